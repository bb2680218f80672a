/* SPDX-License-Identifier: MIT */
/*
 * cdn.c - see cdn.h
 *
 * Media DCs are told by the way: they are those of DCs that are known, and share their keys.
 *
 * A CDN that has no key, and a key of a CDN that has no address, are of no use and left out; so is
 * a number that one of Telegram's own DCs has.
 */
#include "telegram/cdn.h"

#include <stdlib.h>

#include "telegram/request.h"

enum { ARENA_MAX = 4 << 20 };

struct cdn_op {
    struct tgc *client;
    void (*done)(void *ctx, const struct tg_error *err);
    void *ctx;
    struct tg_datacenter found;
};

static void end(struct cdn_op *op, const struct tg_error *err)
{
    struct cdn_op kept = *op;

    free(op);
    if (!err)
        tgc_set_cdn(kept.client, &kept.found);
    tg_datacenter_done(&kept.found);
    kept.done(kept.ctx, err);
}

static bool ask(struct cdn_op *op, uint32_t query, const char *method, tgc_done done,
                int64_t now_us)
{
    struct tgc_request how = { .method = method, .done = done, .ctx = op };
    struct tg_arena arena;
    bool ok;

    tg_arena_init(&arena, ARENA_MAX);
    ok = tg_request(op->client, tl_obj(&arena, query), &how, now_us) != 0;
    tg_arena_done(&arena);
    return ok;
}

static void read_config(struct cdn_op *op, const struct tl_value *config)
{
    const struct tl_value *list = tl_get_vector(config, TLN_dc_options);

    for (uint32_t i = 0; i < tl_len(list); i++) {
        const struct tl_value *o = tl_item(list, i);
        struct tg_str ip = tl_get_str(o, TLN_ip_address);
        int32_t port = tl_get_int(o, TLN_port, 0), id = tl_get_int(o, TLN_id, 0);
        struct tg_dc_address a;
        bool ours;

        if (tl_get_bool(o, TLN_ipv6) || tl_get_bool(o, TLN_tcpo_only) || ip.len >= sizeof a.host ||
            port <= 0 || port > UINT16_MAX)
            continue;
        memcpy(a.host, ip.at, ip.len);
        a.host[ip.len] = 0;
        a.port = (uint16_t)port;
        ours = tg_datacenter_address(&tgc_session(op->client)->where, id) != NULL;
        if (tl_get_bool(o, TLN_cdn) && !ours)
            tg_datacenter_add(&op->found, id, a.host, a.port);
        else if (tl_get_bool(o, TLN_media_only) && ours)
            tgc_set_media(op->client, id, &a);
    }
}

static void read_keys(struct cdn_op *op, const struct tl_value *config)
{
    const struct tl_value *list = tl_get_vector(config, TLN_public_keys);

    for (uint32_t i = 0; i < tl_len(list); i++) {
        const struct tl_value *k = tl_item(list, i);
        struct tg_str pem = tl_get_str(k, TLN_public_key);
        struct tg_rsa_key key;
        struct tg_error ignored;

        if (tg_datacenter_address(&op->found, tl_get_int(k, TLN_dc_id, 0)) &&
            tg_rsa_key_parse(pem.at, pem.len, &key, &ignored) == TG_OK)
            tg_datacenter_add_key(&op->found, key.n, sizeof key.n, key.e);
    }
}

/* Reads what an answer holds. @return false, with why, if it holds nothing of use */
static bool take(struct cdn_op *op, const struct tgc_reply *reply,
                 void (*read)(struct cdn_op *op, const struct tl_value *v), struct tg_error *err)
{
    const struct tl_value *v = NULL;
    struct tg_arena arena;

    tg_arena_init(&arena, ARENA_MAX);
    if (reply->code != TG_OK)
        *err = *reply->err;
    else if ((v = tg_reply_value(op->client, reply, &arena, err)))
        read(op, v);
    tg_arena_done(&arena);
    return v != NULL;
}

static void on_keys(void *ctx, const struct tgc_reply *reply)
{
    struct cdn_op *op = ctx;
    struct tg_error err;
    bool good = take(op, reply, read_keys, &err);

    end(op, good ? NULL : &err);
}

static void on_config(void *ctx, const struct tgc_reply *reply)
{
    struct cdn_op *op = ctx;
    struct tg_error err;
    bool good = take(op, reply, read_config, &err);

    if (good && !ask(op, TLN_help_getCdnConfig, "help.getCdnConfig", on_keys, reply->now_us)) {
        tg_fail(&err, TG_NOMEM, "no memory to ask for CDNs");
        good = false;
    }
    if (!good)
        end(op, &err);
}

bool tg_cdn_start(struct tgc *c, void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                  int64_t now_us)
{
    struct cdn_op *op = calloc(1, sizeof *op);

    if (!op)
        return false;
    op->client = c;
    op->done = done;
    op->ctx = ctx;
    if (ask(op, TLN_help_getConfig, "help.getConfig", on_config, now_us))
        return true;
    free(op);
    return false;
}
