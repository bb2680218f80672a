/* SPDX-License-Identifier: MIT */
/*
 * client_auth.c - carries the login to a further DC: export at home, import there
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

bool tgc_auth_needed(const struct tgc *c, const struct tgc_link *link)
{
    return c->options.session->user_id &&
           !c->options.session->dc[tgc_link_index(c, link)].authorized;
}

static void imported(void *ctx, const struct tgc_reply *reply)
{
    struct tgc_link *link = ctx;
    struct tgc *c = link->client;

    link->importing = TGC_AUTH_NONE;
    if (reply->code == TG_OK) {
        c->options.session->dc[tgc_link_index(c, link)].authorized = true;
        c->options.io->save(c->options.io->ctx);
    } else {
        struct tg_error why = *reply->err;

        tgc_link_drop(c, link, &why, reply->now_us); /* the next connection tries again */
    }
}

static void exported(void *ctx, const struct tgc_reply *reply)
{
    struct tgc_link *link = ctx;
    struct tgc *c = link->client;
    struct tg_buf body;
    struct tl_reader r;
    struct tg_str token;
    int64_t id;

    link->importing = TGC_AUTH_NONE;
    if (reply->code != TG_OK)
        return; /* tried again by the next call that needs it */
    r = tl_reader_of(reply->body, reply->len);
    if (tl_read_u32(&r) != ID_EXPORTED_AUTHORIZATION)
        return;
    id = tl_read_i64(&r);
    token = tl_read_str(&r);
    if (r.bad)
        return;
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
