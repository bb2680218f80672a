/* SPDX-License-Identifier: MIT */
/*
 * verify_impl.h - the check from the inside: verify.c (which chats, the verdict); of an extracted
 * chat verify_chat.c (the destination), verify_media.c (its files), verify_server.c (what the
 * server says); of a job of changes verify_changes.c (its destination beside the server's messages)
 * and verify_read.c (these)
 *
 * Threads: one at a time; verify_server.c and verify_read.c on the account's loop
 */
#ifndef TG_VERIFY_IMPL_H
#define TG_VERIFY_IMPL_H

#include "etl/checkpoint.h"
#include "source/account_impl.h"
#include "tgdata/extract.h"

/* One chat at work. */
struct verify_chat {
    struct tg_account *account;
    const struct tg_store *store;
    const char *job, *media; /* media NULL: files are not looked at */
    struct tg_verify_info info;
    struct tg_commit last;  /* the last commit that the destination tells of; seq 0: none */
    int64_t row_last;       /* id of the row read last, */
    int64_t row_chat;       /* and the chat it is of: a stitched group's rows are of two */
    int64_t *id;            /* of all rows, where these do not stand in order: comments stand by
                               their posts, letters that were written again behind the rest */
    size_t n_ids, cap_ids;
    bool letters;           /* rows of it may have been written again */
    bool no_memory;
};

/** A chat that a job was asked for, or that has a checkpoint. */
struct verify_target {
    int64_t id;
    size_t order; /* as they were asked for; the rest behind them */
    char *title;
};

/** The newest checkpoint of a chat. @param ret  no destinations if it was never begun */
tg_code verify_checkpoint(const struct tg_store *store, const char *job, int64_t chat_id,
                          struct tg_checkpoint *ret, struct tg_error *err);

/** The destination has less than the checkpoint tells. @return TG_GAP */
tg_code verify_behind(const struct tg_commit *there, const struct tg_commit *told, const char *to,
                      struct tg_error *err);

/** Opens a destination to read it again. @param env  verify_env(); borrowed until it is closed */
tg_code verify_open(const struct tg_sink_env *env, const char *to, struct tg_sink *ret,
                    struct tg_error *err);
struct tg_sink_env verify_env(const char *job);

/** Counts the records of a chat that were set aside. */
tg_code verify_quarantined(const struct tg_store *store, const char *job, int64_t chat_id,
                           uint64_t *count, struct tg_error *err);

/**
 * Reads checkpoint and destination of info.chat_id into info.
 * @return TG_OK; TG_GAP, TG_CORRUPT: what is there is not what was delivered; what stood in the way
 */
tg_code verify_destination(struct verify_chat *v, struct tg_error *err);

/** Reads again all files that rows of the destination tell of. */
tg_code verify_media(struct verify_chat *v, const struct tg_sink *sink, struct tg_error *err);

/** Adds what the server says to info; after verify_destination. @return TG_CANCELLED, TG_NET... */
tg_code verify_server(struct verify_chat *v, struct tg_error *err);

/* ---- jobs of changes ---- */

/** Who gets messages as the server has them. */
struct verify_taker {
    void *ctx;
    void (*row)(void *ctx, const struct tg_row *row);
    void (*unreadable)(void *ctx, int64_t id); /* it is there, and cannot be decoded */
};

struct verify_ids {
    const int32_t *id;
    size_t n; /* TG_MESSAGES_ASKED at most */
};

/** Reads all messages of a chat, oldest first, or those that are there of some. @param ids  NULL:
 *  all */
tg_code verify_read(struct tg_account *a, int64_t chat_id, const struct verify_ids *ids,
                    const struct verify_taker *taker, struct tg_error *err);

/** Waits, with the connection alive. @return TG_OK; TG_CANCELLED */
tg_code verify_wait(struct tg_account *a, int64_t ms, struct tg_error *err);

/** What a job of changes is checked with, and what came of it. */
struct verify_job {
    struct tg_account *account;
    const struct tg_store *store;
    const char *job;
    const struct verify_target *target; /* the chats that it watches */
    size_t n;
    struct tg_verify_info *info; /* one for each, zeroed but for chat_id and title */
    struct tg_error *failure;    /* one for each; info.failure points there */
};

/** @return TG_OK, whatever was found; a failure that concerns all */
tg_code verify_changes(struct verify_job *v, struct tg_error *err);

#endif
