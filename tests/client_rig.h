/* SPDX-License-Identifier: MIT */
/*
 * client_rig.h - a real client against real server sessions, in memory, on a virtual clock
 *
 *   struct tgc  <-- bytes -->  mt_server of DC 1..3  -- query tree -->  the test's answer function
 *
 * Everything below the calls is the real thing: transport, handshake, temporary keys, binding,
 * initConnection, containers, acks. The rig answers auth.bindTempAuthKey itself; each other query
 * is given to the test without its wrappers. Time stands still while bytes move and then jumps to
 * the next deadline.
 *
 * Threads: none
 */
#ifndef TESTS_CLIENT_RIG_H
#define TESTS_CLIENT_RIG_H

#include <assert.h>
#include <stdlib.h>

#include "mtproto/session_server.h"
#include "telegram/client.h"
#include "tl/value.h"

#define RIG_START_US (INT64_C(1700000000) * TG_SECOND_US)

enum { RIG_DCS = 3, RIG_KEYS = 64, RIG_ARENA = 4 << 20 };

struct rig;

/* One query; the answer function fills `result` (made in `arena`) or error and text. */
struct rig_call {
    int32_t dc;
    const struct tl_value *query; /* wrappers taken off */
    uint32_t name;
    bool inited, takeout;   /* it came in initConnection, invokeWithTakeout */
    const uint8_t *perm_id; /* key the client is known by: permanent, 8 bytes */
    struct tg_arena *arena;
    int32_t error;
    const char *text;
};

struct rig_key {
    struct mt_key key;
    int32_t dc;
    bool dropped;
    uint8_t perm_id[8]; /* of a temporary key, once bound */
    bool bound;
};

struct rig_link {
    struct rig *rig;
    struct mt_server_conn *conn;
    struct tg_buf to_server;
    bool dialled;
    int32_t dc;
};

struct rig {
    const struct tl_value *(*answer)(void *ctx, struct rig_call *call); /* NULL: no answer ever */
    void *ctx;
    int64_t now_us;
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct tg_rsa_private *rsa;
    struct tg_rsa_key public;
    struct tg_datacenter where;
    struct tg_session_data session;
    struct tgc_io io;
    struct tgc *client;
    struct mt_server *server[RIG_DCS + 1];
    struct rig_server {
        struct rig *rig;
        int32_t dc;
    } side[RIG_DCS + 1];
    struct rig_key key[RIG_KEYS];
    size_t n_keys;
    struct rig_link link[TGC_LINKS_MAX];
    bool refuse_dials;
    int32_t refuse_dc; /* dials to that one; 0: none */
    int32_t bind_error; /* that binding a temporary key meets, `n_bind_errors` times */
    const char *bind_text;
    unsigned n_bind_errors;
    int64_t bind_error_us; /* when it last did */
    /* counters */
    unsigned n_dials, n_saves, n_binds, n_lost, n_logged_out, n_permanent, n_temporary;
    struct tg_error last_lost;
};

/* ---- the server's side ---- */

static inline struct rig_key *rig_key_of(struct rig *g, int32_t dc, const uint8_t id[8])
{
    for (size_t i = 0; i < g->n_keys; i++)
        if (g->key[i].dc == dc && !g->key[i].dropped && memcmp(g->key[i].key.id, id, 8) == 0)
            return &g->key[i];
    return NULL;
}

static inline void rig_on_key(void *ctx, const struct mt_handshake_result *made)
{
    struct rig_server *side = ctx;
    struct rig *g = side->rig;

    assert(g->n_keys < RIG_KEYS);
    assert(abs(made->dc) == side->dc); /* negative: by its media DC */
    g->key[g->n_keys++] = (struct rig_key){ .key = made->key, .dc = side->dc };
    *(made->key.expires_at ? &g->n_temporary : &g->n_permanent) += 1;
}

static inline const struct mt_key *rig_find_key(void *ctx, const uint8_t id[8])
{
    struct rig_server *side = ctx;
    struct rig_key *key = rig_key_of(side->rig, side->dc, id);

    return key ? &key->key : NULL;
}

/* Checks a bind as Telegram does. @return whether it holds */
static inline bool rig_bind(struct rig *g, int32_t dc, const struct mt_query *query,
                            const struct tl_value *q)
{
    struct tg_str sealed = tl_get_str(q, TLN_encrypted_message);
    struct rig_key *temp = rig_key_of(g, dc, query->key_id), *perm;
    struct tg_error err;
    struct mt_bind bind;
    uint8_t id[8];

    tg_put_le64(id, (uint64_t)tl_get_long(q, TLN_perm_auth_key_id, 0));
    perm = rig_key_of(g, dc, id);
    if (!temp || !perm || !temp->key.expires_at || perm->key.expires_at ||
        mt_bind_open(&perm->key, sealed.at, sealed.len, &bind, &err) != TG_OK ||
        bind.msg_id != query->msg_id || bind.temp_session_id != query->session_id ||
        bind.nonce != (uint64_t)tl_get_long(q, TLN_nonce, 0) ||
        bind.expires_at != tl_get_int(q, TLN_expires_at, 0) ||
        memcmp(bind.temp_key_id, temp->key.id, 8) != 0 || memcmp(bind.perm_key_id, id, 8) != 0)
        return false;
    temp->bound = true;
    memcpy(temp->perm_id, id, 8);
    g->n_binds++;
    return true;
}

/* Takes the wrappers off. */
static inline void rig_unwrap(struct rig_call *call)
{
    for (;;) {
        switch (tl_name(call->query)) {
        case TLN_invokeWithLayer:
            break;
        case TLN_initConnection:
            call->inited = true;
            break;
        case TLN_invokeWithTakeout:
            call->takeout = true;
            break;
        default:
            call->name = tl_name(call->query);
            return;
        }
        call->query = tl_get_obj(call->query, TLN_query);
    }
}

static inline void rig_reply(struct rig *g, struct mt_server_conn *conn,
                             const struct mt_query *query, const struct rig_call *call,
                             const struct tl_value *result)
{
    struct tg_error err;
    struct tg_buf body;

    if (call->error) {
        mt_server_error(conn, query->session_id, query->msg_id, call->error, call->text, g->now_us);
        return;
    }
    if (!result)
        return;
    tg_buf_init(&body, RIG_ARENA);
    if (tl_encode(tl_schema_builtin(228), result, &body, &err) != TG_OK) {
        fprintf(stderr, "the answer of the test cannot be encoded: %s\n", err.message);
        abort();
    }
    mt_server_reply(conn,
                    &(struct mt_reply){ .session_id = query->session_id,
                                        .req_msg_id = query->msg_id,
                                        .body = body.data,
                                        .len = body.len },
                    g->now_us);
    tg_buf_done(&body);
}

static inline void rig_on_query(void *ctx, struct mt_server_conn *conn,
                                const struct mt_query *query)
{
    struct rig_server *side = ctx;
    struct rig *g = side->rig;
    struct tl_reader r = tl_reader_of(query->body, query->len);
    struct rig_key *key = rig_key_of(g, side->dc, query->key_id);
    struct rig_call call = { .dc = side->dc };
    const struct tl_value *result = NULL;
    struct tg_arena arena;

    tg_arena_init(&arena, RIG_ARENA);
    call.arena = &arena;
    call.query = tl_decode(tl_schema_builtin(228), &r, &arena);
    assert(call.query && key);
    rig_unwrap(&call);
    call.perm_id = key->key.expires_at ? key->perm_id : key->key.id;
    if (call.name == TLN_auth_bindTempAuthKey) {
        if (g->n_bind_errors) {
            g->n_bind_errors--;
            g->bind_error_us = g->now_us;
            call.error = g->bind_error;
            call.text = g->bind_text;
        } else if (rig_bind(g, side->dc, query, call.query)) {
            result = tl_bool(&arena, true);
        } else {
            call.error = 400;
            call.text = "ENCRYPTED_MESSAGE_INVALID";
        }
    } else if (key->key.expires_at && !key->bound) {
        call.error = 401;
        call.text = "AUTH_KEY_PERM_EMPTY";
    } else {
        result = g->answer(g->ctx, &call);
    }
    rig_reply(g, conn, query, &call, result);
    tg_arena_done(&arena);
}

static inline bool rig_on_destroy(void *ctx, const uint8_t id[8])
{
    return rig_find_key(ctx, id) != NULL;
}

/* ---- the client's side ---- */

static inline void rig_dial(void *ctx, uint32_t link, const struct tg_dc_address *where)
{
    struct rig *g = ctx;

    g->link[link].dialled = true;
    g->link[link].dc = where->port; /* the rig's DCs have their number as port */
    g->n_dials++;
}

static inline void rig_send(void *ctx, uint32_t link, const void *bytes, size_t n)
{
    struct rig *g = ctx;

    assert(g->link[link].conn);
    tg_buf_add(&g->link[link].to_server, bytes, n);
}

static inline void rig_close(struct rig *g, uint32_t link)
{
    struct rig_link *l = &g->link[link];

    mt_server_conn_free(l->conn);
    l->conn = NULL;
    l->dialled = false;
    tg_buf_clear(&l->to_server);
}

static inline void rig_hang_up(void *ctx, uint32_t link)
{
    rig_close(ctx, link);
}

static inline void rig_save(void *ctx)
{
    struct rig *g = ctx;

    g->n_saves++;
}

static inline void rig_notice(void *ctx, const struct tgc_notice *n)
{
    struct rig *g = ctx;

    if (n->kind == TGC_LOST) {
        g->n_lost++;
        g->last_lost = *n->err;
    }
    g->n_logged_out += n->kind == TGC_LOGGED_OUT;
}

/* Cuts a connection as a network does. */
static inline void rig_cut(struct rig *g, uint32_t link)
{
    struct tg_error err;

    if (!g->link[link].conn)
        return;
    rig_close(g, link);
    tg_fail(&err, TG_NET, "cut");
    tgc_link_down(g->client, link, &err, g->now_us);
}

static inline bool rig_to_client(struct rig *g, uint32_t i)
{
    struct rig_link *l = &g->link[i];
    struct mt_server_conn *conn = l->conn;
    struct tg_buf *out = mt_server_conn_output(conn, g->now_us), copy;
    size_t at = 0, n;

    if (out->len == 0)
        return false;
    tg_buf_init(&copy, 64 << 20);
    tg_buf_add(&copy, out->data, out->len);
    tg_buf_clear(out);
    while (at < copy.len && l->conn == conn) {
        uint8_t *room = tgc_link_room(g->client, i, &n);

        n = TG_MIN(n, copy.len - at);
        memcpy(room, copy.data + at, n);
        at += n;
        tgc_link_received(g->client, i, n, g->now_us);
    }
    tg_buf_done(&copy);
    return true;
}

static inline bool rig_to_server(struct rig *g, uint32_t i)
{
    struct rig_link *l = &g->link[i];
    struct tg_error err;
    struct tg_buf bytes = l->to_server;
    bool ok;

    if (bytes.len == 0)
        return false;
    tg_buf_init(&l->to_server, bytes.max);
    ok = mt_server_conn_input(l->conn, bytes.data, bytes.len, g->now_us, &err) == TG_OK;
    tg_buf_done(&bytes);
    if (!ok || mt_server_conn_closing(l->conn)) {
        rig_to_client(g, i);
        rig_cut(g, i);
    }
    return true;
}

/* @return whether anything moved */
static inline bool rig_step(struct rig *g)
{
    bool moved = false;

    tgc_tick(g->client, g->now_us);
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++) {
        struct rig_link *l = &g->link[i];

        if (l->dialled) {
            l->dialled = false;
            moved = true;
            if (g->refuse_dials || l->dc == g->refuse_dc || l->dc < 1 || l->dc > RIG_DCS) {
                struct tg_error err;

                tg_fail(&err, TG_NET, "refused");
                tgc_link_down(g->client, i, &err, g->now_us);
                continue;
            }
            l->conn = mt_server_conn_new(g->server[l->dc], l);
            tgc_link_up(g->client, i, g->now_us);
        }
        if (l->conn && rig_to_server(g, i))
            moved = true;
        if (l->conn && mt_server_conn_deadline(l->conn) <= g->now_us)
            mt_server_conn_tick(l->conn, g->now_us);
        if (l->conn && rig_to_client(g, i))
            moved = true;
    }
    return moved;
}

/* Lets bytes move until nothing does; time stands still. */
static inline void rig_settle(struct rig *g)
{
    for (int i = 0; rig_step(g); i++)
        assert(i < 100000);
}

/* Settles, then jumps to the next deadline, but not past `until_us`. @return whether it got there
 */
static inline bool rig_jump(struct rig *g, int64_t until_us)
{
    int64_t next = until_us;

    rig_settle(g);
    next = TG_MIN(next, tgc_deadline(g->client));
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        if (g->link[i].conn)
            next = TG_MIN(next, mt_server_conn_deadline(g->link[i].conn));
    g->now_us = TG_MAX(next, g->now_us + 1);
    return g->now_us >= until_us;
}

/* ---- life ---- */

/* One RSA key serves a whole test program: pass it on. */
static inline struct tg_rsa_private *rig_rsa(void)
{
    struct tg_random_seeded seeded;
    struct tg_random random;

    tg_random_seeded_init(&seeded, 42);
    random = tg_random_seeded(&seeded);
    return tg_rsa_private_generate(&random);
}

static inline void rig_server_start(struct rig *g, int32_t dc)
{
    struct mt_server_options options = {
        .random = &g->random,
        .rsa = g->rsa,
        .ctx = &g->side[dc],
        .on_key = rig_on_key,
        .find_key = rig_find_key,
        .on_query = rig_on_query,
        .on_destroy_key = rig_on_destroy,
    };

    g->side[dc].rig = g;
    g->side[dc].dc = dc;
    g->server[dc] = mt_server_new(&options);
    assert(g->server[dc]);
    g->where.dc[dc - 1].id = dc;
    g->where.dc[dc - 1].address = (struct tg_dc_address){ "rig", (uint16_t)dc };
    g->where.n_dc = (size_t)dc;
}

/* (Re)starts the client with what the session holds, as a new run of the program would. */
static inline void rig_client_start(struct rig *g, bool pfs)
{
    struct tgc_options options = {
        .io = &g->io,
        .random = &g->random,
        .where = &g->where,
        .session = &g->session,
        .transport = { .framing = MT_INTERMEDIATE, .obfuscated = true },
        .pfs = pfs,
        .limit = { 0, 1, true, 1000 },
    };

    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        rig_close(g, i);
    tgc_free(g->client);
    g->client = tgc_new(&options, g->now_us);
    assert(g->client);
}

static inline struct rig *rig_start(struct tg_rsa_private *rsa, bool pfs)
{
    struct rig *g = calloc(1, sizeof *g);

    assert(g && rsa);
    g->now_us = RIG_START_US;
    tg_random_seeded_init(&g->seeded, 7);
    g->random = tg_random_seeded(&g->seeded);
    g->rsa = rsa;
    g->public = *tg_rsa_private_public(rsa);
    g->where.rsa = &g->public;
    g->where.n_rsa = 1;
    g->where.main_dc = 2;
    for (int32_t dc = 1; dc <= RIG_DCS; dc++)
        rig_server_start(g, dc);
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        tg_buf_init(&g->link[i].to_server, 64 << 20);
    tg_session_data_init(&g->session);
    g->session.api_id = 12345;
    memcpy(g->session.api_hash, "0123456789abcdef", 17);
    g->session.home_dc = g->where.main_dc;
    g->io = (struct tgc_io){ g, rig_dial, rig_send, rig_hang_up, rig_save, rig_notice };
    rig_client_start(g, pfs);
    return g;
}

static inline void rig_stop(struct rig *g)
{
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++) {
        rig_close(g, i);
        tg_buf_done(&g->link[i].to_server);
    }
    tgc_free(g->client);
    for (int32_t dc = 1; dc <= RIG_DCS; dc++)
        mt_server_free(g->server[dc]);
    tg_session_data_done(&g->session);
    free(g);
}

#endif
