/* SPDX-License-Identifier: MIT */
/*
 * login_who.c - who is logged in, and logging out
 *
 * Facts: core.telegram.org/method/users.getUsers, /method/auth.logOut.
 */
#include <stdlib.h>

#include "telegram/chats.h"
#include "telegram/login_impl.h"

enum { USER_MAX = 1 << 16 };

struct ask {
    struct tgc *client;
    void (*done)(void *ctx, const struct tg_error *err);
    void *ctx;
};

/* Calls a query whose answer goes to how->done with an ask; tells done if it cannot. */
static void start(const struct ask *ask, uint32_t query, struct tgc_request *how, int64_t now_us)
{
    struct ask *kept = malloc(sizeof *kept);
    struct tl_value *q, *id;
    struct tg_arena arena;
    struct tg_error err;
    bool ok = false;

    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, query);
    if (query == TLN_users_getUsers) {
        id = tl_set_vector(q, TLN_id);
        tl_add_new(id, TLN_inputUserSelf);
    }
    if (kept) {
        *kept = *ask;
        how->ctx = kept;
        ok = tg_request(ask->client, q, how, now_us) != 0;
    }
    tg_arena_done(&arena);
    if (ok)
        return;
    free(kept);
    tg_fail(&err, TG_NOMEM, "no memory to call %s", how->method);
    ask->done(ask->ctx, &err);
}

bool tg_login_note_user(struct tgc *c, const struct tl_value *user)
{
    struct tg_session_data *session = tgc_session(c);
    struct tg_buf one, all;
    struct tg_arena arena;
    struct tl_value *v;
    struct tg_error err;

    if (tl_name(user) != TLN_user || tl_get_long(user, TLN_id, 0) <= 0)
        return false;
    tg_session_set_user(session, tl_get_long(user, TLN_id, 0), tl_get_bool(user, TLN_bot),
                        tl_get_str(user, TLN_phone));
    tg_buf_init(&one, USER_MAX);
    tg_buf_init(&all, USER_MAX);
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    if (tl_encode(tgc_schema(c), user, &one, &err) == TG_OK) {
        v = tl_obj(&arena, TLN_auth_authorization); /* peers are learned from replies */
        tl_set_raw(v, TLN_user, one.data, one.len);
        if (tl_encode(tgc_schema(c), v, &all, &err) == TG_OK)
            tg_peers_learn(&session->peers, tgc_schema(c), all.data, all.len);
    }
    tg_arena_done(&arena);
    tg_buf_done(&one);
    tg_buf_done(&all);
    tgc_save(c);
    return true;
}

static void on_self(void *ctx, const struct tgc_reply *reply)
{
    struct ask ask = *(struct ask *)ctx;
    const struct tl_value *v = NULL;
    struct tg_arena arena;
    struct tg_error err;
    bool ok = false;

    free(ctx);
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    if (reply->code != TG_OK) {
        tg_login_explain(reply, &err);
    } else {
        v = tg_reply_value(ask.client, reply, &arena, &err);
        ok = tg_login_note_user(ask.client, tl_item(v, 0));
        if (v && !ok)
            tg_fail(&err, TG_PROTOCOL, "the server does not tell who is logged in");
    }
    tg_arena_done(&arena);
    ask.done(ask.ctx, ok ? NULL : &err);
}

void tg_whoami_start(struct tgc *client, void (*done)(void *ctx, const struct tg_error *err),
                     void *ctx, int64_t now_us)
{
    struct ask ask = { client, done, ctx };
    struct tgc_request how = { .method = "users.getUsers", .done = on_self };

    start(&ask, TLN_users_getUsers, &how, now_us);
}

static void on_logged_out(void *ctx, const struct tgc_reply *reply)
{
    struct ask ask = *(struct ask *)ctx;
    struct tg_error err;

    free(ctx);
    if (reply->code == TG_OK || reply->code == TG_AUTH) {
        tgc_forget_login(ask.client);
        ask.done(ask.ctx, NULL);
        return;
    }
    tg_login_explain(reply, &err);
    ask.done(ask.ctx, &err);
}

void tg_logout_start(struct tgc *client, void (*done)(void *ctx, const struct tg_error *err),
                     void *ctx, int64_t now_us)
{
    struct ask ask = { client, done, ctx };
    struct tgc_request how = {
        .method = "auth.logOut",
        .before_login = true, /* that nobody is logged in is for on_logged_out to know */
        .flood_fails = true,
        .done = on_logged_out,
    };

    start(&ask, TLN_auth_logOut, &how, now_us);
}
