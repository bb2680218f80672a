/* SPDX-License-Identifier: MIT */
/*
 * client_auth.c - carries the login to a further DC: export at home, import there; and its end
 *
 * Keys are per DC, so a DC that is not home knows nobody until the login was imported. Calls for it
 * wait meanwhile. Facts: core.telegram.org/api/datacenter.
 */
#include <assert.h>

#include "telegram/client_impl.h"
#include "tl/put.h"
#include "tl/reader.h"

#define ID_EXPORT_AUTHORIZATION 0xe5bfffcdu
#define ID_EXPORTED_AUTHORIZATION 0xb434e2b8u
#define ID_IMPORT_AUTHORIZATION 0xa57a7dadu

void tgc_save(struct tgc *c)
{
    c->options.io->save(c->options.io->ctx);
}

const struct tg_random *tgc_random(const struct tgc *c)
{
    return c->options.random;
}

void tgc_forget_login(struct tgc *c)
{
    struct tg_error why;

    tg_session_forget_login(c->options.session);
    tg_fail(&why, TG_NET, "the login has ended");
    for (size_t i = 0; i < TGC_LINKS_MAX; i++)
        if (c->link[i])
            tgc_link_forget(c, c->link[i], &why);
    tgc_save(c);
}

void tgc_set_cdn(struct tgc *c, struct tg_datacenter *cdn)
{
    tg_datacenter_done(&c->cdn);
    c->cdn = *cdn;
    *cdn = (struct tg_datacenter){ 0 };
}

bool tgc_knows_cdn(const struct tgc *c, int32_t dc)
{
    return tg_datacenter_address(&c->cdn, dc) != NULL;
}

static bool needs_login(const struct tgc *c, const struct tgc_call_slot *call, int32_t dc)
{
    (void)c;
    (void)dc;
    return !call->request.before_login;
}

void tgc_logged_out(struct tgc *c, const struct tg_error *why)
{
    struct tgc_notice notice = { .kind = TGC_LOGGED_OUT, .err = why };

    tgc_forget_login(c);
    tgc_notify(c, &notice);
    tgc_fail_calls(c, needs_login, 0, why);
}

bool tgc_auth_needed(const struct tgc *c, const struct tgc_link *link)
{
    return tg_session_authorized(c->options.session) &&
           !c->options.session->dc[link->slot].authorized;
}

static bool waits_for_import(const struct tgc *c, const struct tgc_call_slot *call, int32_t dc)
{
    return call->state == TGC_CALL_WAITING && !call->request.before_login &&
           tgc_call_dc(c, call) == dc;
}

/* The login cannot be carried over: calls for that DC are told, else they would ask for ever. */
static void give_up(struct tgc *c, const struct tgc_link *link, const struct tg_error *why)
{
    tgc_fail_calls(c, waits_for_import, link->dc, why);
}

static void imported(void *ctx, const struct tgc_reply *reply)
{
    struct tgc_link *link = ctx;
    struct tgc *c = link->client;

    link->importing = TGC_AUTH_NONE;
    if (reply->code == TG_OK) {
        c->options.session->dc[link->slot].authorized = true;
        tgc_save(c);
    } else {
        give_up(c, link, reply->err);
    }
}

static void exported(void *ctx, const struct tgc_reply *reply)
{
    struct tgc_link *link = ctx;
    struct tgc *c = link->client;
    struct tg_buf body;
    struct tl_reader r;
    struct tg_str token;
    struct tg_error err;
    int64_t id;
    bool fits;

    link->importing = TGC_AUTH_NONE;
    if (reply->code != TG_OK) {
        give_up(c, link, reply->err);
        return;
    }
    r = tl_reader_of(reply->body, reply->len);
    fits = tl_read_u32(&r) == ID_EXPORTED_AUTHORIZATION;
    id = tl_read_i64(&r);
    token = tl_read_str(&r);
    if (!fits || r.bad) {
        tg_fail(&err, TG_PROTOCOL, "the login could not be carried to DC %d", link->dc);
        give_up(c, link, &err);
        return;
    }
    tg_buf_init(&body, 65536);
    tg_buf_u32(&body, ID_IMPORT_AUTHORIZATION);
    tg_buf_u64(&body, (uint64_t)id);
    tl_put_bytes(&body, token.at, token.len);
    struct tgc_request request = {
        .body = body.data,
        .len = body.len,
        .method = "auth.importAuthorization",
        .dc = link->dc,
        .before_login = true,
        .done = imported,
        .ctx = link,
    };
    if (!body.failed && tgc_call(c, &request, reply->now_us))
        link->importing = TGC_AUTH_RUNNING;
    tg_buf_wipe(&body);
}

void tgc_auth_import(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    struct tg_buf body;

    if (link->importing)
        return;
    tg_buf_init(&body, 64);
    tg_buf_u32(&body, ID_EXPORT_AUTHORIZATION);
    tg_buf_u32(&body, (uint32_t)link->dc);
    struct tgc_request request = {
        .body = body.data,
        .len = body.len,
        .method = "auth.exportAuthorization",
        .done = exported,
        .ctx = link,
    };
    if (!body.failed && tgc_call(c, &request, now_us))
        link->importing = TGC_AUTH_RUNNING;
    tg_buf_done(&body);
}
