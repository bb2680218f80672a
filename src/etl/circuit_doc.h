/* SPDX-License-Identifier: MIT */
/*
 * circuit_doc.h - circuit breakers in the state store, so that one that is open outlives a restart
 *
 *   kind "circuit", key JOB/chat/ID or JOB/sink/DESTINATION, Unix microseconds:
 *       {"open":true,"until_us":1700000060000000,"failures":0,"to":"postgres://..."}
 *
 * DESTINATION is 16 hex digits of the SHA-256 of its URL, `to` the URL; chats have none.
 *
 * Written at each transition and by no lease: of several that work at the same job the last one's
 * word counts. Only the newest version is kept. What cannot be understood is as if it was not
 * there; when it ends is the reader's to bound (tg_breaker_load).
 *
 * Threads: the store's
 */
#ifndef TG_CIRCUIT_DOC_H
#define TG_CIRCUIT_DOC_H

#include "flow/circuits.h"
#include "store/store.h"

enum { TG_CIRCUIT_NAME = 40, TG_CIRCUIT_JSON = 64 << 10 };

/** @return the number of a destination: those digits */
int64_t tg_circuit_sink(const char *url);

/** Writes the name within the job: "sink/DESTINATION", "chat/ID". */
void tg_circuit_name(char out[TG_CIRCUIT_NAME], enum tg_circuit_kind kind, int64_t number);

/** @param to  URL of a destination; NULL */
void tg_circuit_write(const struct tg_breaker_record *record, const char *to, struct tg_buf *out);

/** Keeps a record under the job and that name. */
tg_code tg_circuit_put(const struct tg_store *store, const char *job, const char *name,
                       const struct tg_buf *record, int64_t unix_us, struct tg_error *err);

/** Called for each that is open. @param number  of a chat, of a destination */
typedef void (*tg_circuit_seen)(void *ctx, enum tg_circuit_kind kind, int64_t number,
                                const struct tg_breaker_record *record);

/** Reads those of a job that are open. */
tg_code tg_circuits_read(const struct tg_store *store, const char *job, tg_circuit_seen seen,
                         void *ctx, struct tg_error *err);

#endif
