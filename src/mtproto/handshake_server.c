/* SPDX-License-Identifier: MIT */
/*
 * handshake_server.c - creation of an authorization key, server role; see handshake.h
 *
 *   IDLE --req_pq--> AWAIT_REQ_DH --req_DH_params--> AWAIT_SET_DH --set_client_DH_params--> MADE
 *
 * Every step keeps its last request (as a hash) and its answer, so that a client that missed the
 * answer may ask again. A wrong request leads to FAILED, where only a new req_pq leads out.
 *
 * Threads: none: value type      Limits: answers are kept ANSWER_KEPT_S; requests below MT_BODY_MAX
 */
#include "mtproto/handshake.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/ct.h"
#include "crypto/mt_kdf.h"
#include "crypto/pq.h"
#include "mtproto/handshake_wire.h"

enum {
    ANSWER_KEPT_S = 600,
    PRIME_BITS = 31, /* of p and q */
    DRAWS_MAX = 8,
    GENERATOR = 3,
};

enum phase { IDLE, AWAIT_REQ_DH, AWAIT_SET_DH, MADE, FAILED };

/* The last request of one step, and what was answered. */
struct exchange {
    bool filled;
    uint8_t request[TG_SHA256];
    struct tg_buf answer;
};

enum step { STEP_PQ, STEP_DH, STEP_SET, N_STEPS };

struct mt_handshake_server {
    struct mt_handshake_server_options options;
    struct tg_random random;
    enum phase phase;
    int64_t started_s;
    int retries_left;
    struct mt_nonces nonces;
    uint64_t p, q;
    int32_t dc, temp_expires_in;
    struct tg_dh_group group;
    uint8_t a[MT_NUMBER];
    uint8_t retry_id[8]; /* what the client must name: zero, then the refused key's hash */
    struct exchange exchange[N_STEPS];
};

struct mt_handshake_server *
mt_handshake_server_new(const struct mt_handshake_server_options *options,
                        const struct tg_random *random)
{
    struct mt_handshake_server *h = calloc(1, sizeof *h);

    assert(options->rsa && options->retries >= 0);
    if (!h)
        return NULL;
    h->options = *options;
    h->random = *random;
    memcpy(h->group.p, tg_dh_prime, sizeof h->group.p);
    h->group.g = GENERATOR;
    for (int i = 0; i < N_STEPS; i++)
        tg_buf_init(&h->exchange[i].answer, MT_BODY_MAX);
    return h;
}

/* Forgets the handshake that was, with its secrets and answers. */
static void forget(struct mt_handshake_server *h)
{
    for (int i = 0; i < N_STEPS; i++) {
        tg_buf_clear(&h->exchange[i].answer);
        h->exchange[i].filled = false;
    }
    explicit_bzero(&h->nonces, sizeof h->nonces);
    explicit_bzero(h->a, sizeof h->a);
    memset(h->retry_id, 0, sizeof h->retry_id);
    h->phase = IDLE;
}

void mt_handshake_server_free(struct mt_handshake_server *h)
{
    if (!h)
        return;
    for (int i = 0; i < N_STEPS; i++)
        tg_buf_done(&h->exchange[i].answer);
    explicit_bzero(h, sizeof *h);
    free(h);
}

static tg_code wrong(struct tg_error *err, const char *what)
{
    return tg_fail(err, TG_PROTOCOL, "wrong handshake request: %s", what);
}

/* ---- repeated requests ---- */

/* Appends the answer that the same request got before. @return false if it is new */
static bool answer_again(struct mt_handshake_server *h, enum step step,
                         const uint8_t request[TG_SHA256], struct tg_buf *out)
{
    const struct exchange *x = &h->exchange[step];

    if (!x->filled || memcmp(x->request, request, TG_SHA256) != 0)
        return false;
    tg_buf_add(out, x->answer.data, x->answer.len);
    return true;
}

/* The buffer to write a step's answer to; `answered` completes it. */
static struct tg_buf *answer_of(struct mt_handshake_server *h, enum step step)
{
    struct exchange *x = &h->exchange[step];

    x->filled = false;
    tg_buf_clear(&x->answer);
    return &x->answer;
}

static tg_code answered(struct mt_handshake_server *h, enum step step,
                        const uint8_t request[TG_SHA256], struct tg_buf *out,
                        struct tg_error *err)
{
    struct exchange *x = &h->exchange[step];

    if (!x->answer.failed)
        tg_buf_add(out, x->answer.data, x->answer.len);
    if (x->answer.failed || out->failed)
        return tg_fail(err, TG_NOMEM, "the handshake's answer");
    memcpy(x->request, request, TG_SHA256);
    x->filled = true;
    return TG_AGAIN;
}

/* ---- req_pq -> resPQ ---- */

static uint64_t draw_prime(const struct tg_random *random)
{
    uint64_t n;

    do
        n = tg_random_below(random, UINT64_C(1) << (PRIME_BITS - 1)) |
            UINT64_C(1) << (PRIME_BITS - 1) | 1;
    while (!tg_is_prime_u64(n));
    return n;
}

static void draw_pq(struct mt_handshake_server *h)
{
    uint64_t a = draw_prime(&h->random);
    uint64_t b;

    do
        b = draw_prime(&h->random);
    while (a == b);
    h->p = TG_MIN(a, b);
    h->q = TG_MAX(a, b);
}

static tg_code on_req_pq(struct mt_handshake_server *h, const uint8_t nonce[16], int64_t now_s)
{
    struct tg_buf *answer;
    uint8_t number[8];

    forget(h);
    h->started_s = now_s;
    h->retries_left = h->options.retries;
    memcpy(h->nonces.client, nonce, sizeof h->nonces.client);
    tg_random_fill(&h->random, h->nonces.server, sizeof h->nonces.server);
    draw_pq(h);
    answer = answer_of(h, STEP_PQ);
    mt_wire_head(answer, MT_ID_RES_PQ, &h->nonces);
    tl_put_bytes(answer, number, mt_wire_number(h->p * h->q, number));
    tg_buf_u32(answer, MT_ID_VECTOR);
    tg_buf_u32(answer, 1);
    tg_buf_u64(answer, tg_rsa_private_public(h->options.rsa)->fingerprint);
    h->phase = AWAIT_REQ_DH;
    return TG_AGAIN;
}

/* ---- req_DH_params -> server_DH_params_ok ---- */

static bool string_is_number(struct tg_str s, uint64_t v)
{
    return mt_wire_number_of(s.at, s.len) == v;
}

/* Reads the inner data of any flavour; sets new_nonce, dc and temp_expires_in. */
static bool read_inner(struct mt_handshake_server *h, const struct tg_rsa_plain *plain)
{
    struct tl_reader r = tl_reader_of(plain->data, plain->len);
    uint32_t id = tl_read_u32(&r);
    bool has_dc = id == MT_ID_INNER_DC || id == MT_ID_INNER_TEMP_DC;
    bool temp = id == MT_ID_INNER_TEMP || id == MT_ID_INNER_TEMP_DC;
    struct tg_str pq = tl_read_str(&r), p = tl_read_str(&r), q = tl_read_str(&r);
    bool ours = mt_wire_nonces_match(&r, &h->nonces);
    const uint8_t *secret = tl_read_int256(&r);
    int32_t dc = has_dc ? tl_read_i32(&r) : 0;
    int32_t expires_in = temp ? tl_read_i32(&r) : 0;

    if (r.bad || !ours || (!has_dc && !temp && id != MT_ID_INNER))
        return false;
    if (!string_is_number(pq, h->p * h->q) || !string_is_number(p, h->p) ||
        !string_is_number(q, h->q) || (temp && expires_in <= 0))
        return false;
    memcpy(h->nonces.secret, secret, sizeof h->nonces.secret);
    h->dc = dc;
    h->temp_expires_in = expires_in;
    return true;
}

/* Numbers of test DCs are 10000 above, those of media DCs are negative. */
static bool is_this_dc(const struct mt_handshake_server *h)
{
    int64_t dc = h->dc < 0 ? -(int64_t)h->dc : h->dc;

    return !h->options.dc || !dc || dc % 10000 == h->options.dc;
}

static tg_code write_dh_params(struct mt_handshake_server *h, int64_t now_s, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_wipe) struct tg_buf inner;
    uint8_t g_a[MT_NUMBER];
    struct tg_buf *answer = answer_of(h, STEP_DH);
    tg_code code = TG_AGAIN;

    tg_buf_init(&inner, MT_SEALED_MAX);
    for (int i = 0; code == TG_AGAIN && i < DRAWS_MAX; i++) {
        tg_random_fill(&h->random, h->a, sizeof h->a);
        code = tg_dh_public(&h->group, h->a, g_a, err);
    }
    if (code == TG_AGAIN)
        return tg_fail(err, TG_INTERNAL, "no usable secret exponent in %d draws", DRAWS_MAX);
    if (code != TG_OK)
        return code;
    mt_wire_head(&inner, MT_ID_DH_INNER, &h->nonces);
    tg_buf_u32(&inner, h->group.g);
    tl_put_bytes(&inner, h->group.p, sizeof h->group.p);
    tl_put_bytes(&inner, g_a, sizeof g_a);
    tg_buf_u32(&inner, (uint32_t)now_s);
    mt_wire_head(answer, MT_ID_DH_OK, &h->nonces);
    mt_wire_seal(&h->nonces, &inner, &h->random, answer);
    return TG_AGAIN;
}

/* The fields of req_DH_params behind its nonces. */
struct req_dh {
    struct tg_str p, q, encrypted;
    uint64_t fingerprint;
};

static tg_code on_req_dh(struct mt_handshake_server *h, const struct req_dh *req, int64_t now_s,
                         struct tg_error *err)
{
    struct tg_rsa_plain plain;
    bool good;

    if (h->phase != AWAIT_REQ_DH)
        return wrong(err, "req_DH_params out of turn");
    if (!string_is_number(req->p, h->p) || !string_is_number(req->q, h->q))
        return wrong(err, "p and q are not the factors of pq");
    if (req->fingerprint != tg_rsa_private_public(h->options.rsa)->fingerprint)
        return wrong(err, "another public key");
    good = tg_rsa_decrypt(h->options.rsa, req->encrypted.at, req->encrypted.len, &plain);
    if (good) {
        good = read_inner(h, &plain);
        explicit_bzero(&plain, sizeof plain);
    }
    if (!good)
        return wrong(err, "encrypted data");
    if (!is_this_dc(h))
        return tg_fail(err, TG_NOT_FOUND, "the handshake is for DC %d", (int)h->dc);
    h->phase = AWAIT_SET_DH;
    return write_dh_params(h, now_s, err);
}

/* ---- set_client_DH_params -> dh_gen_ok ---- */

static bool read_client_inner(struct mt_handshake_server *h, const uint8_t *plain, size_t len,
                              struct tg_str *ret_g_b)
{
    struct tl_reader r = tl_reader_of(plain + TG_SHA1, len - TG_SHA1);
    uint32_t id = tl_read_u32(&r);
    bool ours = mt_wire_nonces_match(&r, &h->nonces);
    const uint8_t *retry_id = tl_read_view(&r, sizeof h->retry_id);
    struct tg_str g_b = tl_read_str(&r);

    if (r.bad || id != MT_ID_CLIENT_INNER || !ours ||
        !mt_wire_sealed_ok(plain, len, len - TG_SHA1 - tl_left(&r)) ||
        memcmp(retry_id, h->retry_id, sizeof h->retry_id) != 0)
        return false;
    *ret_g_b = g_b;
    return true;
}

static void write_gen(struct mt_handshake_server *h, const struct mt_key *key, bool retry)
{
    struct tg_buf *answer = answer_of(h, STEP_SET);
    uint8_t hash[16];

    tg_mt_new_nonce_hash(h->nonces.secret, retry ? 2 : 1, key->aux_hash, hash);
    mt_wire_head(answer, retry ? MT_ID_GEN_RETRY : MT_ID_GEN_OK, &h->nonces);
    tg_buf_add(answer, hash, sizeof hash);
}

static tg_code make_key(struct mt_handshake_server *h, struct tg_str g_b, int64_t now_s,
                        struct mt_handshake_result *ret, struct tg_error *err)
{
    struct mt_handshake_result made = { .server_time = now_s,
                                        .temp_expires_in = h->temp_expires_in,
                                        .dc = h->dc };
    struct tg_dh_peer peer = { g_b.at, g_b.len };
    tg_code code = tg_dh_shared(&h->group, peer, h->a, made.key.key, err);

    if (code == TG_SECURITY)
        return wrong(err, "g_b is out of range");
    if (code != TG_OK)
        return code;
    mt_key_derive(&made.key);
    if (h->retries_left > 0) {
        h->retries_left--;
        write_gen(h, &made.key, true);
        memcpy(h->retry_id, made.key.aux_hash, sizeof h->retry_id);
        code = TG_AGAIN;
    } else {
        write_gen(h, &made.key, false);
        made.key.expires_at = h->temp_expires_in ? now_s + h->temp_expires_in : 0;
        tg_mt_first_salt(h->nonces.secret, h->nonces.server, made.salt);
        explicit_bzero(h->nonces.secret, sizeof h->nonces.secret);
        explicit_bzero(h->a, sizeof h->a);
        h->phase = MADE;
        *ret = made;
    }
    explicit_bzero(&made, sizeof made);
    return code;
}

static tg_code on_set_dh(struct mt_handshake_server *h, struct tg_str sealed, int64_t now_s,
                         struct mt_handshake_result *ret, struct tg_error *err)
{
    uint8_t plain[MT_SEALED_MAX];
    struct tg_str g_b;
    tg_code code;

    if (h->phase != AWAIT_SET_DH)
        return wrong(err, "set_client_DH_params out of turn");
    if (!mt_wire_unseal(&h->nonces, (const uint8_t *)sealed.at, sealed.len, plain))
        return wrong(err, "encrypted parameters");
    if (read_client_inner(h, plain, sealed.len, &g_b))
        code = make_key(h, g_b, now_s, ret, err);
    else
        code = wrong(err, "encrypted parameters");
    explicit_bzero(plain, sizeof plain);
    return code;
}

/* ---- dispatch ---- */

/* One request, cut into the parts that its step needs. */
struct request {
    enum step step;
    const uint8_t *nonce;
    bool ours; /* both nonces are those of the running handshake */
    struct req_dh dh;
    struct tg_str sealed;
    uint8_t hash[TG_SHA256]; /* of the object without what trails it */
};

static bool read_request(const struct mt_handshake_server *h, const void *body, size_t len,
                         struct request *ret)
{
    struct tl_reader r = tl_reader_of(body, len);
    uint32_t id = tl_read_u32(&r);
    struct request q = { .step = STEP_PQ };

    if (id == MT_ID_REQ_PQ || id == MT_ID_REQ_PQ_MULTI) {
        q.nonce = tl_read_int128(&r);
    } else if (id == MT_ID_REQ_DH) {
        q.step = STEP_DH;
        q.ours = mt_wire_nonces_match(&r, &h->nonces);
        q.dh.p = tl_read_str(&r);
        q.dh.q = tl_read_str(&r);
        q.dh.fingerprint = (uint64_t)tl_read_i64(&r);
        q.dh.encrypted = tl_read_str(&r);
    } else if (id == MT_ID_SET_DH) {
        q.step = STEP_SET;
        q.ours = mt_wire_nonces_match(&r, &h->nonces);
        q.sealed = tl_read_str(&r);
    } else {
        return false;
    }
    if (r.bad)
        return false;
    tg_sha256(q.hash, body, len - tl_left(&r));
    *ret = q;
    return true;
}

static tg_code step_on(struct mt_handshake_server *h, const struct request *q, int64_t now_s,
                       struct mt_handshake_result *ret, struct tg_error *err)
{
    if (q->step == STEP_PQ)
        return on_req_pq(h, q->nonce, now_s);
    if (h->phase == IDLE || h->phase == FAILED)
        return wrong(err, "no handshake is under way");
    if (!q->ours)
        return wrong(err, "nonces of another handshake");
    return q->step == STEP_DH ? on_req_dh(h, &q->dh, now_s, err)
                              : on_set_dh(h, q->sealed, now_s, ret, err);
}

tg_code mt_handshake_server_input(struct mt_handshake_server *h, const void *body, size_t len,
                                  int64_t now_s, struct tg_buf *out,
                                  struct mt_handshake_result *ret, struct tg_error *err)
{
    struct mt_handshake_result made = { 0 };
    struct request q = { 0 };
    tg_code code, sent;

    if (h->phase != IDLE && now_s - h->started_s > ANSWER_KEPT_S)
        forget(h);
    if (len > MT_BODY_MAX || !read_request(h, body, len, &q)) {
        code = wrong(err, "malformed");
    } else if (h->phase != FAILED && answer_again(h, q.step, q.hash, out)) {
        return out->failed ? tg_fail(err, TG_NOMEM, "the handshake's answer") : TG_AGAIN;
    } else {
        code = step_on(h, &q, now_s, &made, err);
    }
    if (code == TG_AGAIN || code == TG_OK) {
        sent = answered(h, q.step, q.hash, out, err);
        code = sent == TG_AGAIN ? code : sent;
    }
    if (code == TG_OK)
        *ret = made;
    else if (code != TG_AGAIN)
        h->phase = FAILED;
    explicit_bzero(&made, sizeof made);
    return code;
}
