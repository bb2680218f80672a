/* SPDX-License-Identifier: MIT */
/*
 * handshake.c - creation of an authorization key, client role; see handshake.h
 *
 *   AWAIT_PQ --resPQ--> AWAIT_DH --server_DH_params_ok--> AWAIT_GEN --dh_gen_ok--> OVER
 *                                                          |     ^
 *                                                          '-----' dh_gen_retry, at most 5 times
 *
 * Any failure leads to OVER as well. Nothing of the server is used before it has been checked
 * against what only the two ends know.
 *
 * Threads: none: value type      Limits: RETRY_MAX; messages below MT_BODY_MAX
 */
#include "mtproto/handshake.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/ct.h"
#include "crypto/mt_kdf.h"
#include "crypto/pq.h"
#include "mtproto/handshake_wire.h"

enum { RETRY_MAX = 5, DRAWS_MAX = 8 };

enum phase { AWAIT_PQ, AWAIT_DH, AWAIT_GEN, OVER };

struct mt_handshake {
    struct mt_handshake_options options;
    struct tg_random random;
    enum phase phase;
    int retries;
    struct mt_nonces nonces;
    struct tg_dh_group group;
    uint8_t g_a[MT_NUMBER];
    uint8_t retry_id[8]; /* of the key that the server refused; zero at first */
    int64_t server_time, time_offset_s;
    struct mt_key key; /* the one that dh_gen_ok will confirm */
};

struct mt_handshake *mt_handshake_new(const struct mt_handshake_options *options,
                                      const struct tg_random *random, struct tg_buf *out)
{
    struct mt_handshake *h = calloc(1, sizeof *h);

    assert(options->n_rsa == 0 || options->rsa);
    assert(options->temp_expires_in >= 0);
    if (!h)
        return NULL;
    h->options = *options;
    h->random = *random;
    tg_random_fill(&h->random, h->nonces.client, sizeof h->nonces.client);
    tg_buf_u32(out, MT_ID_REQ_PQ_MULTI);
    tg_buf_add(out, h->nonces.client, sizeof h->nonces.client);
    return h;
}

void mt_handshake_free(struct mt_handshake *h)
{
    if (!h)
        return;
    explicit_bzero(h, sizeof *h);
    free(h);
}

static tg_code cut_short(struct tg_error *err)
{
    return tg_fail(err, TG_PROTOCOL, "the server's handshake message is malformed");
}

static tg_code wrong_nonce(struct tg_error *err)
{
    return tg_fail(err, TG_SECURITY, "the server answered with a nonce of another handshake");
}

/* ---- resPQ -> req_DH_params ---- */

/* What resPQ says. */
struct res_pq {
    struct tg_str pq;
    uint64_t p, q;
    const struct tg_rsa_key *rsa;
};

static const struct tg_rsa_key *trusted(const struct mt_handshake *h, uint64_t fingerprint)
{
    for (size_t i = 0; i < h->options.n_rsa; i++) {
        if (h->options.rsa[i].fingerprint == fingerprint)
            return &h->options.rsa[i];
    }
    return NULL;
}

static tg_code read_res_pq(struct mt_handshake *h, struct tl_reader *r, struct res_pq *ret,
                           struct tg_error *err)
{
    uint32_t id = tl_read_u32(r);
    const uint8_t *nonce = tl_read_int128(r);
    const uint8_t *server_nonce = tl_read_int128(r);
    struct tg_str pq = tl_read_str(r);
    const struct tg_rsa_key *rsa = NULL;
    uint32_t n = tl_read_vector(r, 8);
    uint64_t p, q;

    if (r->bad || id != MT_ID_RES_PQ)
        return cut_short(err);
    if (memcmp(nonce, h->nonces.client, sizeof h->nonces.client) != 0)
        return wrong_nonce(err);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t fingerprint = (uint64_t)tl_read_i64(r);

        if (!rsa)
            rsa = trusted(h, fingerprint);
    }
    if (!rsa) {
        tg_fail(err, TG_NOT_FOUND, "none of the server's %u keys is known", n);
        return tg_hint(err, "give the public key of this server, or connect to another");
    }
    if (!tg_pq_factor(mt_wire_number_of(pq.at, pq.len), &p, &q))
        return tg_fail(err, TG_SECURITY, "the server's pq is not a product of two primes");
    memcpy(h->nonces.server, server_nonce, sizeof h->nonces.server);
    *ret = (struct res_pq){ .pq = pq, .p = p, .q = q, .rsa = rsa };
    return TG_OK;
}

static void write_inner(const struct mt_handshake *h, const struct res_pq *pq, struct tg_buf *out)
{
    bool temp = h->options.temp_expires_in > 0;
    uint8_t number[8];

    tg_buf_u32(out, temp ? MT_ID_INNER_TEMP_DC : MT_ID_INNER_DC);
    tl_put_bytes(out, pq->pq.at, pq->pq.len);
    tl_put_bytes(out, number, mt_wire_number(pq->p, number));
    tl_put_bytes(out, number, mt_wire_number(pq->q, number));
    tg_buf_add(out, h->nonces.client, sizeof h->nonces.client);
    tg_buf_add(out, h->nonces.server, sizeof h->nonces.server);
    tg_buf_add(out, h->nonces.secret, sizeof h->nonces.secret);
    tg_buf_u32(out, (uint32_t)h->options.dc);
    if (temp)
        tg_buf_u32(out, (uint32_t)h->options.temp_expires_in);
}

static tg_code take_res_pq(struct mt_handshake *h, struct tl_reader *r, struct tg_buf *out,
                           struct tg_error *err)
{
    TG_CLEANUP(tg_buf_wipe) struct tg_buf inner;
    uint8_t encrypted[TG_RSA_BYTES], number[8];
    struct res_pq pq = { 0 };
    tg_code code;

    tg_buf_init(&inner, TG_RSA_PAD_DATA_MAX);
    code = read_res_pq(h, r, &pq, err);
    if (code != TG_OK)
        return code;
    tg_random_fill(&h->random, h->nonces.secret, sizeof h->nonces.secret);
    write_inner(h, &pq, &inner);
    if (inner.failed ||
        !tg_rsa_pad_encrypt(pq.rsa, inner.data, inner.len, &h->random, encrypted))
        return tg_fail(err, TG_NOMEM, "encrypting the handshake");
    mt_wire_head(out, MT_ID_REQ_DH, &h->nonces);
    tl_put_bytes(out, number, mt_wire_number(pq.p, number));
    tl_put_bytes(out, number, mt_wire_number(pq.q, number));
    tg_buf_u64(out, pq.rsa->fingerprint);
    tl_put_bytes(out, encrypted, sizeof encrypted);
    h->phase = AWAIT_DH;
    return TG_AGAIN;
}

/* ---- server_DH_params_ok -> set_client_DH_params ---- */

/* Draws b, makes the key that the server will make too, and tells it g_b. */
static tg_code offer(struct mt_handshake *h, struct tg_buf *out, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_wipe) struct tg_buf inner;
    uint8_t b[MT_NUMBER], g_b[MT_NUMBER];
    struct tg_dh_peer peer = { h->g_a, sizeof h->g_a };
    tg_code code = TG_AGAIN;

    tg_buf_init(&inner, MT_SEALED_MAX);
    for (int i = 0; code == TG_AGAIN && i < DRAWS_MAX; i++) {
        tg_random_fill(&h->random, b, sizeof b);
        code = tg_dh_public(&h->group, b, g_b, err);
    }
    if (code == TG_AGAIN)
        code = tg_fail(err, TG_INTERNAL, "no usable secret exponent in %d draws", DRAWS_MAX);
    if (code == TG_OK)
        code = tg_dh_shared(&h->group, peer, b, h->key.key, err);
    explicit_bzero(b, sizeof b);
    if (code != TG_OK)
        return code;
    mt_key_derive(&h->key);
    mt_wire_head(&inner, MT_ID_CLIENT_INNER, &h->nonces);
    tg_buf_add(&inner, h->retry_id, sizeof h->retry_id);
    tl_put_bytes(&inner, g_b, sizeof g_b);
    mt_wire_head(out, MT_ID_SET_DH, &h->nonces);
    mt_wire_seal(&h->nonces, &inner, &h->random, out);
    h->phase = AWAIT_GEN;
    return TG_AGAIN;
}

static tg_code read_dh_inner(struct mt_handshake *h, const uint8_t *plain, size_t len,
                             struct tg_error *err)
{
    struct tl_reader r = tl_reader_of(plain + TG_SHA1, len - TG_SHA1);
    uint32_t id = tl_read_u32(&r);
    bool ours = mt_wire_nonces_match(&r, &h->nonces);
    uint32_t g = tl_read_u32(&r);
    struct tg_str prime = tl_read_str(&r);
    struct tg_str g_a = tl_read_str(&r);
    int32_t server_time = tl_read_i32(&r);
    tg_code code;

    /* one verdict for all of it: which part was wrong is nobody's business */
    if (r.bad || id != MT_ID_DH_INNER || !ours ||
        !mt_wire_sealed_ok(plain, len, len - TG_SHA1 - tl_left(&r)))
        return tg_fail(err, TG_SECURITY, "the server's parameters are not sealed by its secret");
    code = tg_dh_check(prime.at, prime.len, g, h->options.dh_cache, &h->group, err);
    if (code != TG_OK)
        return code;
    if (g_a.len > MT_NUMBER || !tg_dh_public_ok(&h->group, g_a.at, g_a.len))
        return tg_fail(err, TG_SECURITY, "the server's g_a is out of range");
    memset(h->g_a, 0, sizeof h->g_a);
    memcpy(h->g_a + sizeof h->g_a - g_a.len, g_a.at, g_a.len);
    h->server_time = server_time;
    return TG_OK;
}

static tg_code take_dh_params(struct mt_handshake *h, struct tl_reader *r, int64_t now_s,
                              struct tg_buf *out, struct tg_error *err)
{
    uint8_t plain[MT_SEALED_MAX];
    uint32_t id = tl_read_u32(r);
    bool ours = mt_wire_nonces_match(r, &h->nonces);
    struct tg_str sealed;
    tg_code code;

    if (r->bad || (id != MT_ID_DH_OK && id != MT_ID_DH_FAIL))
        return cut_short(err);
    if (!ours)
        return wrong_nonce(err);
    if (id == MT_ID_DH_FAIL)
        return tg_fail(err, TG_PROTOCOL, "the server refused the handshake");
    sealed = tl_read_str(r);
    if (r->bad)
        return cut_short(err);
    if (!mt_wire_unseal(&h->nonces, (const uint8_t *)sealed.at, sealed.len, plain))
        return tg_fail(err, TG_SECURITY, "the server's parameters are not sealed by its secret");
    code = read_dh_inner(h, plain, sealed.len, err);
    explicit_bzero(plain, sizeof plain);
    if (code != TG_OK)
        return code;
    h->time_offset_s = h->server_time - now_s;
    return offer(h, out, err);
}

/* ---- dh_gen_* ---- */

static void finish(struct mt_handshake *h, struct mt_handshake_result *ret)
{
    bool temp = h->options.temp_expires_in > 0;

    h->key.expires_at = temp ? h->server_time + h->options.temp_expires_in : 0;
    *ret = (struct mt_handshake_result){ .key = h->key,
                                         .server_time = h->server_time,
                                         .time_offset_s = h->time_offset_s,
                                         .temp_expires_in = h->options.temp_expires_in,
                                         .dc = h->options.dc };
    tg_mt_first_salt(h->nonces.secret, h->nonces.server, ret->salt);
}

static tg_code take_gen(struct mt_handshake *h, struct tl_reader *r, struct tg_buf *out,
                        struct mt_handshake_result *ret, struct tg_error *err)
{
    uint32_t id = tl_read_u32(r);
    bool ours = mt_wire_nonces_match(r, &h->nonces);
    const uint8_t *hash = tl_read_int128(r);
    uint8_t want[16];
    uint8_t number = id == MT_ID_GEN_OK ? 1 : id == MT_ID_GEN_RETRY ? 2 : 3;

    if (r->bad || (number == 3 && id != MT_ID_GEN_FAIL))
        return cut_short(err);
    if (!ours)
        return wrong_nonce(err);
    tg_mt_new_nonce_hash(h->nonces.secret, number, h->key.aux_hash, want);
    if (!tg_equal_ct(hash, want, sizeof want))
        return tg_fail(err, TG_SECURITY, "the server does not hold the key that was agreed on");
    if (number == 3)
        return tg_fail(err, TG_PROTOCOL, "the server refused the key");
    if (number == 1) {
        finish(h, ret);
        return TG_OK;
    }
    if (h->retries++ == RETRY_MAX)
        return tg_fail(err, TG_PROTOCOL, "the server refused %d keys", RETRY_MAX + 1);
    memcpy(h->retry_id, h->key.aux_hash, sizeof h->retry_id);
    return offer(h, out, err);
}

tg_code mt_handshake_input(struct mt_handshake *h, const void *body, size_t len, int64_t now_s,
                           struct tg_buf *out, struct mt_handshake_result *ret,
                           struct tg_error *err)
{
    struct tl_reader r = tl_reader_of(body, len);
    tg_code code;

    if (h->phase == OVER)
        return tg_fail(err, TG_PROTOCOL, "the handshake is over");
    if (len > MT_BODY_MAX)
        code = tg_fail(err, TG_PROTOCOL, "handshake message of %zu bytes", len);
    else if (h->phase == AWAIT_PQ)
        code = take_res_pq(h, &r, out, err);
    else if (h->phase == AWAIT_DH)
        code = take_dh_params(h, &r, now_s, out, err);
    else
        code = take_gen(h, &r, out, ret, err);
    if (code == TG_AGAIN && out->failed)
        code = tg_fail(err, TG_NOMEM, "the next handshake message");
    if (code != TG_AGAIN) {
        h->phase = OVER;
        explicit_bzero(&h->nonces, sizeof h->nonces);
        mt_key_wipe(&h->key);
    }
    return code;
}
