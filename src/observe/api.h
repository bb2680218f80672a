/* SPDX-License-Identifier: MIT */
/*
 * api.h - the pages about what a state store knows: jobs, checkpoints, dead letters; going back
 *
 * Each asks the store anew through the public API, and is therefore slow (httpd.h). Answers are
 * JSON objects; a failure is {"error": ..., "hint": ...} with the status of its code.
 *
 * Threads: that of slow pages      Limits: 10,000 entries, of which "more": true tells
 */
#ifndef TG_OBSERVE_API_H
#define TG_OBSERVE_API_H

#include "observe/httpd.h"
#include "tgdata/config_file.h"

/* Arguments are those of a request in the order told; the state is its URL. */
int tg_api_jobs(const char *state, struct tg_buf *out);
/** The newest checkpoint of each chat (of job [0] alone); all of chat [1] of job [0] if that is
 *  given. */
int tg_api_checkpoints(const char *state, const struct tg_httpd_request *r, struct tg_buf *out);
/** Dead letters (of job [0] alone) and what stands in quarantine. */
int tg_api_letters(const char *state, const struct tg_httpd_request *r, struct tg_buf *out);
/** Goes back to checkpoint [2] of chat [1] of job [0]. */
int tg_api_rollback(const char *state, const struct tg_httpd_request *r, struct tg_buf *out);
/** The scheduled jobs of a file (NULL: there is none), with their last runs. */
int tg_api_schedule(const struct tg_config_file *file, struct tg_buf *out);

/** Writes a failure in place of what was written. @return the status */
int tg_api_error(struct tg_buf *out, const struct tg_error *err);

#endif
