/* SPDX-License-Identifier: MIT */
/*
 * demo.h - what the simulated world really holds, to compare extracted files with
 *
 * The simulator writes the ids of each chat to ids-CHAT.txt. That list is made by the world itself
 * and never passes through any code of the extractor.
 *
 * Threads: one at a time      Limits: 10000 chats, files of 1 GiB
 */
#ifndef TG_CLI_DEMO_H
#define TG_CLI_DEMO_H

#include "base/buf.h"

struct truth_chat {
    int64_t id;
    int64_t *message;  /* ascending */
    uint8_t *n_seen;   /* how often each was found, saturating */
    size_t n;
};

struct truth {
    struct truth_chat *chat;
    size_t n, cap;
    uint64_t n_messages;
    uint64_t found, lost, doubled, strange; /* of the last comparison */
};

/**
 * Loads what account `user_id` can extract: its chats without left and protected ones.
 * @param dir  where world.json and ids-CHAT.txt stand
 * @param ret  free with truth_free, also after a failure
 */
tg_code truth_load(const char *dir, int64_t user_id, struct truth *ret,
                   struct tg_error *err) TG_MUST_CHECK;
void truth_free(struct truth *t);

/** Reads every part below `out` and counts what is found, lost, doubled, or was never there. */
tg_code truth_compare(struct truth *t, const char *out, struct tg_error *err) TG_MUST_CHECK;

/** Reads a whole file. */
tg_code demo_read_file(const char *path, struct tg_buf *out, struct tg_error *err) TG_MUST_CHECK;

#endif
