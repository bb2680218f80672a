/* SPDX-License-Identifier: MIT */
/*
 * login_qr.c - login by QR code: a token is shown, and asked about until another device accepts it
 *
 *   auth.exportLoginToken -> loginToken            show it, ask again in a few seconds
 *                         -> loginTokenMigrateTo   auth.importLoginToken at that DC
 *                         -> loginTokenSuccess     logged in
 *                         -> SESSION_PASSWORD_NEEDED
 *
 * Facts: core.telegram.org/api/qr-login.
 */
#include "telegram/login_impl.h"

#define POLL_US (3 * TG_SECOND_US) /* as Telegram's web client does */
#define FLOOD_MAX_S 120            /* longer waits are the user's to decide about */
enum { MIGRATIONS_MAX = 4 };

static void on_token(struct tg_login *l, const struct tgc_reply *reply);

/* Shows a token, unless it is the one on the screen, and sets when to ask again. */
static void show(struct tg_login *l, const struct tl_value *v, int64_t now_us)
{
    struct tg_str token = tl_get_str(v, TLN_token);
    int64_t expires_s = tl_get_int(v, TLN_expires, 0);
    int64_t left_us = (expires_s - now_us / TG_SECOND_US) * TG_SECOND_US;
    struct tg_buf url;

    if (token.len == 0 || token.len > sizeof l->token) {
        tg_login_odd(l, "auth.exportLoginToken");
        return;
    }
    l->deadline_us = now_us + TG_MIN(POLL_US, TG_MAX(left_us, TG_SECOND_US));
    if (token.len == l->token_len && memcmp(token.at, l->token, token.len) == 0)
        return;
    memcpy(l->token, token.at, token.len);
    l->token_len = token.len;
    tg_buf_init(&url, 1024);
    tg_buf_room(&url, 1024);
    tg_buf_str(&url, "tg://login?token=");
    tg_base64(&url, token.at, token.len, true);
    if (l->hooks.qr)
        l->hooks.qr(l->hooks.ctx, tg_buf_cstr(&url), expires_s);
    tg_buf_wipe(&url);
}

/* The account lives on another DC: the accepted token is taken there. */
static void migrate(struct tg_login *l, const struct tl_value *v, int64_t now_us)
{
    struct tgc_request how = { .method = "auth.importLoginToken" };
    struct tg_arena arena;
    struct tl_value *q;

    l->token_dc = how.dc = tl_get_int(v, TLN_dc_id, 0);
    if (how.dc <= 0 || ++l->migrations > MIGRATIONS_MAX) {
        tg_login_odd(l, "auth.exportLoginToken");
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, TLN_auth_importLoginToken);
    tl_set_str(q, TLN_token, tl_get_str(v, TLN_token));
    tg_login_call(l, q, &how, on_token, now_us);
    tg_arena_done(&arena);
}

/* From now on the DC that took the token is home. */
static void settle(struct tg_login *l)
{
    if (l->token_dc) {
        tgc_session(l->client)->home_dc = l->token_dc;
        tgc_save(l->client);
    }
    l->token_dc = 0;
}

static void take(struct tg_login *l, const struct tl_value *v, int64_t now_us)
{
    switch (tl_name(v)) {
    case TLN_auth_loginToken:
        show(l, v, now_us);
        break;
    case TLN_auth_loginTokenMigrateTo:
        migrate(l, v, now_us);
        break;
    case TLN_auth_loginTokenSuccess:
        settle(l);
        tg_login_authorized(l, tl_get_obj(v, TLN_authorization), "auth.exportLoginToken");
        break;
    default:
        tg_login_odd(l, "auth.exportLoginToken");
    }
}

static void on_token(struct tg_login *l, const struct tgc_reply *reply)
{
    struct tg_arena arena;
    struct tg_error err;

    if (tg_login_is(reply, "SESSION_PASSWORD_NEEDED")) {
        settle(l);
        tg_login_password(l, reply->now_us);
        return;
    }
    if (reply->code == TG_FLOOD && l->token_len && reply->err->retry_after_s <= FLOOD_MAX_S) {
        l->deadline_us =
            reply->now_us + TG_MAX(reply->err->retry_after_s, INT64_C(1)) * TG_SECOND_US;
        return;
    }
    if (tg_login_is(reply, "AUTH_TOKEN_EXPIRED") && l->restarts++ < LOGIN_RESTARTS_MAX) {
        tg_login_qr(l, reply->now_us);
        return;
    }
    if (reply->code != TG_OK) {
        tg_login_refused(l, reply);
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    take(l, tg_reply_value(l->client, reply, &arena, &err), reply->now_us);
    tg_arena_done(&arena);
}

void tg_login_qr(struct tg_login *l, int64_t now_us)
{
    const struct tg_session_data *session = tgc_session(l->client);
    struct tgc_request how = { .method = "auth.exportLoginToken" };
    struct tg_arena arena;
    struct tl_value *q;

    l->deadline_us = INT64_MAX;
    l->token_dc = 0;
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, TLN_auth_exportLoginToken);
    tl_set_int(q, TLN_api_id, session->api_id);
    tl_set_cstr(q, TLN_api_hash, session->api_hash);
    tl_set_vector(q, TLN_except_ids);
    tg_login_call(l, q, &how, on_token, now_us);
    tg_arena_done(&arena);
}
