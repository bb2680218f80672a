/* SPDX-License-Identifier: MIT */
/*
 * versions.h - what messages were like, so that a change can tell what was before it
 *
 *   document ("version", JOB/CHAT/W)   of the messages W*128+1 .. W*128+128 of a chat, by zstd:
 *     "tgve" | version, 1 | each: id, 8 | edit date, 8 | content, 8 | reactions, 4 | length, 4
 *            | the row as JSON                                        (numbers little endian)
 *
 * A row is kept with the signature of the message as it was then (flow/signature.h), and is
 * believed only of a message whose signature is that one: what is remembered of signatures is
 * exactly what the destination has (change_state.h), so it does not matter that a version is
 * written ahead of the commit that it belongs to, or that the document is an older one. Of each
 * message the two newest versions are kept: as the destination has it, and as it is on its way
 * there.
 *
 * Threads: one at a time
 * Limits: 512 documents in memory, besides those that must be written; a document of 1 MiB: beyond
 *         that the largest versions are given up
 */
#ifndef TG_VERSIONS_H
#define TG_VERSIONS_H

#include "base/row.h"
#include "flow/signature.h"
#include "store/store.h"

struct tg_versions;

struct tg_versions_options {
    const struct tg_store *store; /* borrowed */
    const char *job;
    uint64_t fence;               /* of the job's lease */
    int64_t (*unix_us)(void);
};

/** @return NULL: no memory */
struct tg_versions *tg_versions_new(const struct tg_versions_options *options);
void tg_versions_free(struct tg_versions *v); /* NULL is nothing; what was not flushed is lost */

/**
 * What the message was like that had that signature.
 * @param ret  JSON of the row, valid until the next call; {NULL, 0}: it was not kept
 */
tg_code tg_versions_get(struct tg_versions *v, int64_t chat, const struct tg_signature *is,
                        struct tg_str *ret, struct tg_error *err);

/** The message is like that now; see tg_versions_flush. */
tg_code tg_versions_put(struct tg_versions *v, int64_t chat, const struct tg_signature *is,
                        const struct tg_row *row, struct tg_error *err);

/** Writes what was put. */
tg_code tg_versions_flush(struct tg_versions *v, struct tg_error *err);

struct tg_versions_usage {
    uint64_t rows, row_bytes, document_bytes; /* put; written */
};
void tg_versions_usage(const struct tg_versions *v, struct tg_versions_usage *ret);

#endif
