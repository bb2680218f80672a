/* SPDX-License-Identifier: MIT */
/*
 * verify_impl.h - the check of one chat from the inside: verify.c (which chats, the verdict),
 * verify_chat.c (the destination), verify_media.c (its files), verify_server.c (what the server
 * says)
 *
 * Threads: one at a time; verify_server.c on the account's loop
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
    bool no_memory;
};

/**
 * Reads checkpoint and destination of info.chat_id into info.
 * @return TG_OK; TG_GAP, TG_CORRUPT: what is there is not what was delivered; what stood in the way
 */
tg_code verify_destination(struct verify_chat *v, struct tg_error *err);

/** Reads again all files that rows of the destination tell of. */
tg_code verify_media(struct verify_chat *v, const struct tg_sink *sink, struct tg_error *err);

/** Adds what the server says to info; after verify_destination. @return TG_CANCELLED, TG_NET... */
tg_code verify_server(struct verify_chat *v, struct tg_error *err);

#endif
