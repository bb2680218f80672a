/* SPDX-License-Identifier: MIT */
/*
 * takeout.c - see takeout.h
 */
#include "telegram/takeout.h"

#include <stdlib.h>

#include "telegram/request.h"

struct takeout {
    struct tgc *client;
    void (*on_id)(void *ctx, int64_t id, const struct tg_error *err);
    void (*on_end)(void *ctx, const struct tg_error *err);
    void (*on_ranges)(void *ctx, const struct tg_range *range, size_t n,
                      const struct tg_error *err);
    void *ctx;
};

/* Calls a query whose answer goes to done with a copy of t. @return false out of memory */
static bool ask(const struct takeout *t, const struct tl_value *query, struct tgc_request *how,
                int64_t now_us)
{
    struct takeout *kept = malloc(sizeof *kept);

    if (!kept)
        return false;
    *kept = *t;
    how->ctx = kept;
    if (tg_request(t->client, query, how, now_us))
        return true;
    free(kept);
    return false;
}

static void on_started(void *ctx, const struct tgc_reply *reply)
{
    struct takeout t = *(struct takeout *)ctx;
    const struct tl_value *v;
    struct tg_arena arena;
    struct tg_error err;
    int64_t id = 0;

    free(ctx);
    tg_arena_init(&arena, 65536);
    if (reply->code != TG_OK) {
        err = *reply->err;
    } else {
        v = tg_reply_value(t.client, reply, &arena, &err);
        id = tl_get_long(v, TLN_id, 0);
        if (v && !id)
            tg_fail(&err, TG_PROTOCOL, "the server opened an export session without a number");
    }
    tg_arena_done(&arena);
    if (id)
        tgc_set_takeout(t.client, id);
    t.on_id(t.ctx, id, id ? NULL : &err);
}

bool tg_takeout_start(struct tgc *client, const struct tg_takeout_options *options,
                      void (*done)(void *ctx, int64_t takeout_id, const struct tg_error *err),
                      void *ctx, int64_t now_us)
{
    struct takeout t = { .client = client, .on_id = done, .ctx = ctx };
    struct tgc_request how = {
        .method = "account.initTakeoutSession",
        .flood_fails = true,
        .done = on_started,
    };
    struct tg_arena arena;
    struct tl_value *q;
    bool ok;

    tg_arena_init(&arena, 65536);
    q = tl_obj(&arena, TLN_account_initTakeoutSession);
    tl_set_true(q, TLN_message_users, options->users);
    tl_set_true(q, TLN_message_chats, options->groups);
    tl_set_true(q, TLN_message_megagroups, options->supergroups);
    tl_set_true(q, TLN_message_channels, options->channels);
    tl_set_true(q, TLN_files, options->files);
    if (options->files)
        tl_set_long(q, TLN_file_max_size, options->file_max_bytes);
    ok = ask(&t, q, &how, now_us);
    tg_arena_done(&arena);
    return ok;
}

static void on_finished(void *ctx, const struct tgc_reply *reply)
{
    struct takeout t = *(struct takeout *)ctx;

    free(ctx);
    tgc_set_takeout(t.client, 0);
    t.on_end(t.ctx, reply->code == TG_OK ? NULL : reply->err);
}

bool tg_takeout_finish(struct tgc *client, bool success,
                       void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                       int64_t now_us)
{
    struct takeout t = { .client = client, .on_end = done, .ctx = ctx };
    struct tgc_request how = { .method = "account.finishTakeoutSession", .done = on_finished };
    struct tg_arena arena;
    struct tl_value *q;
    bool ok;

    tg_arena_init(&arena, 65536);
    q = tl_obj(&arena, TLN_account_finishTakeoutSession);
    tl_set_true(q, TLN_success, success);
    ok = ask(&t, q, &how, now_us);
    tg_arena_done(&arena);
    return ok;
}

static void on_ranges(void *ctx, const struct tgc_reply *reply)
{
    struct takeout t = *(struct takeout *)ctx;
    const struct tl_value *v = NULL;
    struct tg_range *range = NULL;
    struct tg_arena arena;
    struct tg_error err;
    uint32_t n = 0;

    free(ctx);
    tg_arena_init(&arena, 1 << 20);
    if (reply->code != TG_OK)
        err = *reply->err;
    else
        v = tg_reply_value(t.client, reply, &arena, &err);
    n = tl_len(v);
    if (n)
        range = tg_arena_alloc(&arena, n, sizeof *range);
    for (uint32_t i = 0; range && i < n; i++) {
        range[i].min_id = tl_get_int(tl_item(v, i), TLN_min_id, 0);
        range[i].max_id = tl_get_int(tl_item(v, i), TLN_max_id, 0);
    }
    t.on_ranges(t.ctx, range, range ? n : 0, v ? NULL : &err);
    tg_arena_done(&arena);
}

bool tg_split_ranges_start(struct tgc *client,
                           void (*done)(void *ctx, const struct tg_range *range, size_t n,
                                        const struct tg_error *err),
                           void *ctx, int64_t now_us)
{
    struct takeout t = { .client = client, .on_ranges = done, .ctx = ctx };
    struct tgc_request how = { .method = "messages.getSplitRanges", .done = on_ranges };
    struct tg_arena arena;
    bool ok;

    tg_arena_init(&arena, 65536);
    ok = ask(&t, tl_obj(&arena, TLN_messages_getSplitRanges), &how, now_us);
    tg_arena_done(&arena);
    return ok;
}
