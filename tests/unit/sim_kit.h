/* SPDX-License-Identifier: MIT */
/*
 * sim_kit.h - a simulated data centre without sockets: queries as trees in, replies as trees out
 */
#ifndef SIM_KIT_H
#define SIM_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mtproto/gzip.h"
#include "sim/auth.h"
#include "sim/rpc.h"
#include "sim/targets.h"

#define KIT_NOW (INT64_C(1790000000) * TG_SECOND_US)

struct kit {
    struct sim_settings set;
    struct sim_core core;
    struct tg_random_seeded seeded;
    struct tg_arena arena;
    struct tg_buf request;
    struct mt_gzip *gzip;
    int64_t now_us;
    uint64_t msg_id;
    /* of the next call */
    int32_t layer;
    bool init;        /* wrap in invokeWithLayer(initConnection) */
    int64_t takeout;  /* wrap in invokeWithTakeout */
    int32_t range[2]; /* wrap in invokeWithMessagesRange unless {0, 0} */
    uint64_t link;    /* number of the connection; media: to a media DC */
    bool media;
    uint64_t session; /* 0: one for each connection */
    struct sim_use use[8]; /* of connections, by number */
    /* of the last call */
    struct sim_answer answer;
    struct tg_buf plain; /* its bytes without gzip_packed */
    size_t n_pushed;
};

static inline void kit_push(void *ctx, int dc, const struct sim_token *to,
                            const struct tg_buf *body)
{
    struct kit *k = ctx;

    assert_true(dc >= 1 && dc <= SIM_DCS && to->len && body->len);
    k->n_pushed++;
}

/* `faults` and `flood` as on the command line. */
static inline struct kit *kit_of(const struct sim_world_options *options, const char *faults,
                                 const char *flood)
{
    struct kit *k = calloc(1, sizeof *k);
    static const char *item[1];
    struct tg_error err = { .message = "" };

    assert_non_null(k);
    k->set.faults = faults;
    k->set.seed = 5;
    item[0] = flood;
    if (flood)
        k->set.flood = (struct tg_option_list){ .item = item, .n = 1 };
    k->layer = 228;
    k->init = true;
    k->link = 1;
    k->now_us = KIT_NOW;
    tg_random_seeded_init(&k->seeded, 9);
    tg_arena_init(&k->arena, 256 << 20);
    tg_buf_init(&k->request, 1 << 20);
    tg_buf_init(&k->plain, 64 << 20);
    k->gzip = mt_gzip_new();
    k->core.set = &k->set;
    k->core.random = tg_random_seeded(&k->seeded);
    k->core.push = kit_push;
    k->core.push_ctx = k;
    snprintf(k->core.host, sizeof k->core.host, "127.0.0.1");
    k->core.port[1] = 4431;
    k->core.port[2] = 4432;
    k->core.media_port[1] = 4433;
    k->core.media_port[2] = 4434;
    assert_int_equal(sim_world_new(options, &k->core.world, &err), TG_OK);
    assert_int_equal(sim_keys_new(NULL, NULL, k->core.world, &k->core.keys, &err), TG_OK);
    if (sim_core_start(&k->core, &err) != TG_OK)
        fail_msg("%s", err.message);
    return k;
}

/* A live world; `live` as on the command line. */
static inline struct kit *kit_live(const struct sim_world_options *options, const char *live)
{
    struct kit *k = kit_of(options, "short=0", NULL);
    struct tg_error err = { .message = "" };

    if (sim_live_new(live, options->seed, k->core.world, &k->core.live, &err) != TG_OK)
        fail_msg("%s", err.message);
    return k;
}

static inline struct kit *kit_new(const char *faults, const char *flood)
{
    const struct sim_world_options options = { .seed = 5, .n_chats = 8, .n_messages = 700,
                                               .holes_percent = -1 };

    return kit_of(&options, faults, flood);
}

static inline void kit_free(struct kit *k)
{
    sim_core_stop(&k->core);
    sim_keys_free(k->core.keys);
    sim_world_free(k->core.world);
    tg_arena_done(&k->arena);
    tg_buf_done(&k->request);
    tg_buf_done(&k->plain);
    mt_gzip_free(k->gzip);
    free(k);
}

static inline struct sim_key *kit_key(struct kit *k, int dc, int64_t expires_at)
{
    struct mt_key key = { .expires_at = expires_at };
    struct sim_key *made;

    tg_random_fill(&k->core.random, key.key, sizeof key.key);
    mt_key_derive(&key);
    made = sim_keys_add(k->core.keys, &key, dc, k->now_us / TG_SECOND_US);
    assert_non_null(made);
    return made;
}

static inline struct tl_value *kit_obj(struct kit *k, uint32_t name)
{
    return tl_obj(&k->arena, name);
}

static inline struct tl_value *kit_wrap(struct kit *k, struct tl_value *q)
{
    struct tl_value *w;

    if (k->range[1]) {
        struct tl_value *range;

        w = kit_obj(k, TLN_invokeWithMessagesRange);
        range = tl_set_new(w, TLN_range, TLN_messageRange);
        tl_set_int(range, TLN_min_id, k->range[0]);
        tl_set_int(range, TLN_max_id, k->range[1]);
        tl_set_obj(w, TLN_query, q);
        q = w;
    }
    if (k->takeout) {
        w = kit_obj(k, TLN_invokeWithTakeout);
        tl_set_long(w, TLN_takeout_id, k->takeout);
        tl_set_obj(w, TLN_query, q);
        q = w;
    }
    if (k->init) {
        w = kit_obj(k, TLN_initConnection);
        tl_set_int(w, TLN_api_id, 17);
        tl_set_cstr(w, TLN_device_model, "kit");
        tl_set_obj(w, TLN_query, q);
        q = w;
        w = kit_obj(k, TLN_invokeWithLayer);
        tl_set_int(w, TLN_layer, k->layer);
        tl_set_obj(w, TLN_query, q);
        q = w;
    }
    return q;
}

static inline const uint8_t *kit_unpack(struct kit *k, size_t *ret_n)
{
    struct tl_reader r = tl_reader_of(k->answer.body, k->answer.len);
    struct tg_str packed;
    uint8_t *bytes;

    *ret_n = k->answer.len;
    if (tl_peek_u32(&r) != UINT32_C(0x3072cfa1))
        return k->answer.body;
    tl_read_u32(&r);
    packed = tl_read_str(&r);
    assert_int_equal(tl_left(&r), 0);
    assert_int_equal(mt_gzip_inflate(k->gzip, packed.at, packed.len, 64 << 20, &bytes, ret_n),
                     TG_OK);
    return bytes;
}

static inline uint64_t kit_session(const struct kit *k)
{
    return k->session ? k->session : 100 + k->link;
}

/* Sends raw request bytes. */
static inline void kit_send(struct kit *k, struct sim_key *key, const void *bytes, size_t n)
{
    struct sim_request request = { .dc = key->dc,
                                   .use = k->media ? NULL : &k->use[k->link],
                                   .key_id = key->key.id,
                                   .session_id = kit_session(k),
                                   .body = bytes,
                                   .len = n,
                                   .now_us = k->now_us };

    k->msg_id = ((uint64_t)(k->now_us / TG_SECOND_US) << 32) + (k->msg_id & UINT32_MAX) + 4;
    request.msg_id = k->msg_id;
    sim_core_query(&k->core, &request, &k->answer);
}

/* Sends a query. @return the reply, or NULL with k->answer.error */
static inline const struct tl_value *kit_try(struct kit *k, struct sim_key *key,
                                             struct tl_value *q)
{
    const struct tl_schema *s = sim_core_schema(&k->core, k->layer);
    struct tg_error err = { .message = "" };
    struct tl_reader r;
    const struct tl_value *reply;
    const uint8_t *bytes;
    size_t n;

    tg_buf_clear(&k->request);
    if (tl_encode(s, kit_wrap(k, q), &k->request, &err) != TG_OK)
        fail_msg("%s", err.message);
    kit_send(k, key, k->request.data, k->request.len);
    if (!k->answer.body)
        return NULL;
    bytes = kit_unpack(k, &n);
    tg_buf_clear(&k->plain);
    tg_buf_add(&k->plain, bytes, n);
    r = tl_reader_of(k->plain.data, k->plain.len);
    reply = tl_decode(s, &r, &k->arena);
    if (!reply || tl_left(&r))
        fail_msg("the reply to %s does not read", k->answer.method);
    return reply;
}

static inline const struct tl_value *kit_call(struct kit *k, struct sim_key *key,
                                              struct tl_value *q)
{
    const struct tl_value *reply = kit_try(k, key, q);

    if (!reply)
        fail_msg("%s: %d %s", k->answer.method, k->answer.code, k->answer.error);
    return reply;
}

static inline void kit_refused(struct kit *k, struct sim_key *key, struct tl_value *q,
                               int32_t code, const char *error)
{
    if (kit_try(k, key, q))
        fail_msg("%s was served, not refused with %s", k->answer.method, error);
    assert_string_equal(k->answer.error, error);
    assert_int_equal(k->answer.code, code);
}

/* The first account at home in a DC that is a person, with or without a password, or a bot. */
static inline const struct sim_account *kit_account(struct kit *k, int dc, bool password, bool bot)
{
    for (size_t i = 0; i < sim_world_accounts(k->core.world); i++) {
        const struct sim_account *a = sim_world_account(k->core.world, i);

        if (a->home_dc == dc && !a->bot_token == !bot && !a->password == !password)
            return a;
    }
    fail_msg("no such account");
    return NULL;
}

static inline struct sim_key *kit_login(struct kit *k, const struct sim_account *a)
{
    struct sim_key *key = kit_key(k, a->home_dc, 0);

    assert_non_null(sim_keys_login(k->core.keys, key, a, tg_random_u64(&k->core.random) | 1,
                                   k->now_us / TG_SECOND_US));
    return key;
}

static inline const struct sim_chat *kit_chat(struct kit *k, enum sim_chat_kind kind)
{
    for (size_t i = 0; i < sim_world_chats(k->core.world); i++) {
        if (sim_world_chat(k->core.world, i)->kind == kind)
            return sim_world_chat(k->core.world, i);
    }
    fail_msg("no such chat");
    return NULL;
}

/* An InputPeer, or an InputChannel where `channel`. */
static inline struct tl_value *kit_peer(struct kit *k, const struct sim_account *a,
                                        const struct sim_chat *chat, bool channel)
{
    int64_t hash = sim_world_access_hash(k->core.world, a->user_id, chat->marked_id);
    struct tl_value *p;

    if (sim_is_channel(chat)) {
        p = kit_obj(k, channel ? TLN_inputChannel : TLN_inputPeerChannel);
        tl_set_long(p, TLN_channel_id, chat->id);
    } else if (chat->marked_id < 0) {
        p = kit_obj(k, TLN_inputPeerChat);
        tl_set_long(p, TLN_chat_id, chat->id);
    } else {
        p = kit_obj(k, TLN_inputPeerUser);
        tl_set_long(p, TLN_user_id, chat->id);
    }
    tl_set_long(p, TLN_access_hash, hash);
    return p;
}

static inline struct tl_value *kit_history(struct kit *k, const struct sim_account *a,
                                           const struct sim_chat *chat, int32_t offset_id)
{
    struct tl_value *q = kit_obj(k, TLN_messages_getHistory);

    tl_set_obj(q, TLN_peer, kit_peer(k, a, chat, false));
    tl_set_int(q, TLN_offset_id, offset_id);
    tl_set_int(q, TLN_limit, 100);
    return q;
}

/* Reads a chat page by page, downwards. @return how many messages */
static inline uint64_t kit_read_all(struct kit *k, struct sim_key *key,
                                    const struct sim_account *a, const struct sim_chat *chat)
{
    int32_t offset = 0;
    uint64_t n = 0;

    for (;;) {
        const struct tl_value *list =
            tl_get_vector(kit_call(k, key, kit_history(k, a, chat, offset)), TLN_messages);

        if (!tl_len(list))
            return n;
        for (uint32_t i = 0; i < tl_len(list); i++) {
            int32_t id = tl_get_int(tl_item(list, i), TLN_id, 0);

            assert_true(sim_world_exists(k->core.world, chat, id));
            assert_true(!offset || id < offset);
            offset = id;
            n++;
        }
    }
}

#endif
