/* SPDX-License-Identifier: MIT */
/*
 * mt_handshake_lies.c - servers that lie in one field each, and are refused
 *
 * A server made by hand answers the client rightly but for what one row of the table changes. Its
 * answers are built here, apart from the code under test.
 */
#include "tests/unit/mt_handshake_kit.h"

enum { OUT_MAX = 4096, NOW = 1700000000 };

static struct kit kit;

static int setup(void **state)
{
    (void)state;
    kit_open(&kit, 11);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

/* A number of a message, at most a little too long. */
struct number {
    uint8_t at[300];
    size_t len;
};

/* All that a server says. A lie changes something before it is sent. */
struct say {
    uint32_t pq_id, vector_id, n_fingerprints;
    struct kit_nonces pq_nonces;
    struct number pq;
    uint64_t fingerprint;

    uint32_t dh_id, inner_id, g;
    struct kit_nonces dh_nonces, inner_nonces;
    struct number prime, g_a;
    struct kit_seal seal;

    uint32_t gen_id;
    struct kit_nonces gen_nonces;
    uint8_t gen_number;
    uint8_t gen_hash_flip;

    size_t cut[3]; /* bytes missing from the end of each answer */
};

static void set_number(struct number *n, const void *bytes, size_t len)
{
    memcpy(n->at, bytes, len);
    n->len = len;
}

static void set_pq(struct say *s, uint64_t pq)
{
    for (int i = 0; i < 8; i++)
        s->pq.at[i] = (uint8_t)(pq >> (56 - 8 * i));
    s->pq.len = 8;
}

/* prime + delta as big endian; only the last byte changes. */
static void set_prime_plus(struct number *n, int delta)
{
    set_number(n, tg_dh_prime, 256);
    n->at[255] = (uint8_t)(n->at[255] + delta);
}

/* 2^bit */
static void set_power(struct number *n, unsigned bit)
{
    memset(n->at, 0, 256);
    n->at[255 - bit / 8] = (uint8_t)(1 << bit % 8);
    n->len = 256;
}

/* p - 2^bit; the byte of that bit is not zero in p. */
static void set_prime_minus_power(struct number *n, unsigned bit)
{
    set_number(n, tg_dh_prime, 256);
    for (size_t at = 255 - bit / 8, by = (size_t)1 << bit % 8;; at--, by = 1) {
        bool borrow = n->at[at] < by;

        n->at[at] = (uint8_t)(n->at[at] - by);
        if (!borrow)
            return;
    }
}

/* A prime whose half is none. */
static const char unsafe_prime[] =
    "f2ec532e4fd2be4433ddb3c9676b82d8abfb8b2e2c51e7fc31f9b7adea45472c8d210750c37e1315670f3c74affc41"
    "812a2e431ae1605ac6f9ca2ac37bfd92776a104a7c2cfff158326e5ad76a3cea5bb0a910a52e5022097a62b4ce9595"
    "6907b179afa09c5a327424a5eb0d5c29eae6a86a97497f3325cf023ec60b402efac3743e154dd9d33bd47c682957ab"
    "e93752cd095361f349f70645c5ef6f6bf4ff8e898e00e9f125c2b4f3d4f041b938ed216d9e66c9e1b44ca2d206c85d"
    "c3938c3d4e92e73e095ceda97cbcdb1d493a1fa001a33dc541043af1160168830754426b5c3e08091c5308014a3078"
    "2dfd770a75386bf5de765df1779b84440335f20ebf";

static void set_unsafe_prime(struct say *s)
{
    s->prime.len = kit_hex(s->prime.at, sizeof s->prime.at, unsafe_prime);
    s->g = 4; /* goes with any prime */
}

#define LIE(name, change)                                                                          \
    static void name(struct say *s)                                                                \
    {                                                                                              \
        change;                                                                                    \
    }

LIE(no_lie, (void)s)
LIE(pq_other_id, s->pq_id ^= 1)
LIE(pq_other_nonce, s->pq_nonces.client[15] ^= 0x80)
LIE(pq_prime, set_pq(s, UINT64_C(2305843009213693951)))
LIE(pq_even, set_pq(s, 2 * UINT64_C(1780931429)))
LIE(pq_square, set_pq(s, UINT64_C(1513098571) * 1513098571))
LIE(pq_three_primes, set_pq(s, UINT64_C(1000003) * 1000033 * 1000037))
LIE(pq_one, set_pq(s, 1))
LIE(pq_zero, set_pq(s, 0))
LIE(pq_above_63_bits, set_pq(s, UINT64_C(4294967291) * 4294967279))
LIE(pq_nine_bytes, memmove(s->pq.at + 1, s->pq.at, 8); s->pq.at[0] = 0; s->pq.len = 9)
LIE(pq_empty, s->pq.len = 0)
LIE(pq_fingerprint, s->fingerprint ^= 1)
LIE(pq_no_fingerprints, s->n_fingerprints = 0)
LIE(pq_vector_id, s->vector_id ^= 1)
LIE(pq_vector_longer_than_message, s->n_fingerprints = 0x10000000)
LIE(pq_cut, s->cut[0] = 4)
LIE(pq_cut_to_nothing, s->cut[0] = 1000)

LIE(dh_other_id, s->dh_id ^= 1)
LIE(dh_fail, s->dh_id = 0x79cb045d)
LIE(dh_other_nonce, s->dh_nonces.client[0] ^= 1)
LIE(dh_other_server_nonce, s->dh_nonces.server[15] ^= 1)
LIE(dh_cut, s->cut[1] = 4)
LIE(dh_seal_wrong_hash, s->seal.hash_flip = 1)
LIE(dh_seal_hash_covers_padding, s->seal.hash_more = 4)
LIE(dh_seal_too_much_padding, s->seal.more_padding = 16)
LIE(dh_seal_no_whole_blocks, s->seal.cut = 1)
LIE(dh_seal_block_missing, s->seal.cut = 16)
LIE(dh_seal_empty, s->seal.cut = 592)
LIE(dh_seal_one_block, s->seal.cut = 592 - 16)
LIE(dh_seal_too_long, s->seal.more_padding = 1024)
LIE(dh_inner_other_id, s->inner_id ^= 1)
LIE(dh_inner_other_nonce, s->inner_nonces.client[7] ^= 1)
LIE(dh_inner_other_server_nonce, s->inner_nonces.server[7] ^= 1)
LIE(g_0, s->g = 0)
LIE(g_1, s->g = 1)
LIE(g_2, s->g = 2)
LIE(g_6, s->g = 6)
LIE(g_8, s->g = 8)
LIE(g_negative, s->g = 0xffffffff)
LIE(p_even, set_prime_plus(&s->prime, 1))
LIE(p_composite, set_prime_plus(&s->prime, 2); s->g = 4)
LIE(p_not_safe, set_unsafe_prime(s))
LIE(p_short, s->prime.len = 255)
LIE(p_top_bit_clear, s->prime.at[0] &= 0x7f)
LIE(p_long, memmove(s->prime.at + 1, s->prime.at, 256); s->prime.at[0] = 1; s->prime.len = 257)
LIE(p_empty, s->prime.len = 0)
LIE(g_a_zero, memset(s->g_a.at, 0, 256))
LIE(g_a_empty, s->g_a.len = 0)
LIE(g_a_one, set_power(&s->g_a, 0))
LIE(g_a_p_minus_1, set_prime_plus(&s->g_a, -1))
LIE(g_a_p, set_prime_plus(&s->g_a, 0))
LIE(g_a_above_p, set_prime_plus(&s->g_a, 2))
LIE(g_a_below_2_1984, set_power(&s->g_a, 1983))
LIE(g_a_above_p_minus_2_1984, set_prime_minus_power(&s->g_a, 1983))
LIE(g_a_long, memset(s->g_a.at, 0, 300); s->g_a.at[1] = 1; s->g_a.len = 257)

LIE(gen_other_id, s->gen_id ^= 1)
LIE(gen_other_nonce, s->gen_nonces.client[1] ^= 1)
LIE(gen_other_server_nonce, s->gen_nonces.server[1] ^= 1)
LIE(gen_hash, s->gen_hash_flip = 1)
LIE(gen_ok_hash_2, s->gen_number = 2)
LIE(gen_ok_hash_3, s->gen_number = 3)
LIE(gen_retry_hash_1, s->gen_id = 0x46dc1fb9)
LIE(gen_fail_hash_1, s->gen_id = 0xa69dae02)
LIE(gen_fail, s->gen_id = 0xa69dae02; s->gen_number = 3)
LIE(gen_retry, s->gen_id = 0x46dc1fb9; s->gen_number = 2)
LIE(gen_cut, s->cut[2] = 4)

/* `at` is the answer that must be refused: 0 resPQ, 1 DH parameters, 2 dh_gen; 3: none. */
static const struct row {
    const char *name;
    void (*lie)(struct say *s);
    int at;
    tg_code code;
} rows[] = {
    { "the truth", no_lie, 3, TG_OK },
    { "resPQ: other constructor", pq_other_id, 0, TG_PROTOCOL },
    { "resPQ: other nonce", pq_other_nonce, 0, TG_SECURITY },
    { "resPQ: pq is prime", pq_prime, 0, TG_SECURITY },
    { "resPQ: pq is even", pq_even, 0, TG_SECURITY },
    { "resPQ: pq is a square", pq_square, 0, TG_SECURITY },
    { "resPQ: pq has three factors", pq_three_primes, 0, TG_SECURITY },
    { "resPQ: pq is 1", pq_one, 0, TG_SECURITY },
    { "resPQ: pq is 0", pq_zero, 0, TG_SECURITY },
    { "resPQ: pq above 2^63-1", pq_above_63_bits, 0, TG_SECURITY },
    { "resPQ: pq of nine bytes", pq_nine_bytes, 0, TG_SECURITY },
    { "resPQ: pq empty", pq_empty, 0, TG_SECURITY },
    { "resPQ: unknown fingerprint", pq_fingerprint, 0, TG_NOT_FOUND },
    { "resPQ: no fingerprints", pq_no_fingerprints, 0, TG_NOT_FOUND },
    { "resPQ: no vector", pq_vector_id, 0, TG_PROTOCOL },
    { "resPQ: vector too long", pq_vector_longer_than_message, 0, TG_PROTOCOL },
    { "resPQ: cut", pq_cut, 0, TG_PROTOCOL },
    { "resPQ: nothing", pq_cut_to_nothing, 0, TG_PROTOCOL },

    { "DH: other constructor", dh_other_id, 1, TG_PROTOCOL },
    { "DH: server_DH_params_fail", dh_fail, 1, TG_PROTOCOL },
    { "DH: other nonce", dh_other_nonce, 1, TG_SECURITY },
    { "DH: other server nonce", dh_other_server_nonce, 1, TG_SECURITY },
    { "DH: cut", dh_cut, 1, TG_PROTOCOL },
    { "DH: wrong SHA1", dh_seal_wrong_hash, 1, TG_SECURITY },
    { "DH: SHA1 over the padding too", dh_seal_hash_covers_padding, 1, TG_SECURITY },
    { "DH: 16 bytes of padding more", dh_seal_too_much_padding, 1, TG_SECURITY },
    { "DH: no whole blocks", dh_seal_no_whole_blocks, 1, TG_SECURITY },
    { "DH: a block is missing", dh_seal_block_missing, 1, TG_SECURITY },
    { "DH: nothing sealed", dh_seal_empty, 1, TG_SECURITY },
    { "DH: one block sealed", dh_seal_one_block, 1, TG_SECURITY },
    { "DH: sealed part too long", dh_seal_too_long, 1, TG_SECURITY },
    { "DH: other inner constructor", dh_inner_other_id, 1, TG_SECURITY },
    { "DH: other inner nonce", dh_inner_other_nonce, 1, TG_SECURITY },
    { "DH: other inner server nonce", dh_inner_other_server_nonce, 1, TG_SECURITY },
    { "DH: g = 0", g_0, 1, TG_SECURITY },
    { "DH: g = 1", g_1, 1, TG_SECURITY },
    { "DH: g = 2 does not go with p", g_2, 1, TG_SECURITY },
    { "DH: g = 6 does not go with p", g_6, 1, TG_SECURITY },
    { "DH: g = 8", g_8, 1, TG_SECURITY },
    { "DH: g = -1", g_negative, 1, TG_SECURITY },
    { "DH: p is even", p_even, 1, TG_SECURITY },
    { "DH: p is composite", p_composite, 1, TG_SECURITY },
    { "DH: p is no safe prime", p_not_safe, 1, TG_SECURITY },
    { "DH: p of 2040 bits", p_short, 1, TG_SECURITY },
    { "DH: p below 2^2047", p_top_bit_clear, 1, TG_SECURITY },
    { "DH: p of 2049 bits", p_long, 1, TG_SECURITY },
    { "DH: p empty", p_empty, 1, TG_SECURITY },
    { "DH: g_a = 0", g_a_zero, 1, TG_SECURITY },
    { "DH: g_a empty", g_a_empty, 1, TG_SECURITY },
    { "DH: g_a = 1", g_a_one, 1, TG_SECURITY },
    { "DH: g_a = p - 1", g_a_p_minus_1, 1, TG_SECURITY },
    { "DH: g_a = p", g_a_p, 1, TG_SECURITY },
    { "DH: g_a above p", g_a_above_p, 1, TG_SECURITY },
    { "DH: g_a below 2^1984", g_a_below_2_1984, 1, TG_SECURITY },
    { "DH: g_a above p - 2^1984", g_a_above_p_minus_2_1984, 1, TG_SECURITY },
    { "DH: g_a of 257 bytes", g_a_long, 1, TG_SECURITY },

    { "dh_gen: other constructor", gen_other_id, 2, TG_PROTOCOL },
    { "dh_gen: other nonce", gen_other_nonce, 2, TG_SECURITY },
    { "dh_gen: other server nonce", gen_other_server_nonce, 2, TG_SECURITY },
    { "dh_gen_ok: other key", gen_hash, 2, TG_SECURITY },
    { "dh_gen_ok: hash of dh_gen_retry", gen_ok_hash_2, 2, TG_SECURITY },
    { "dh_gen_ok: hash of dh_gen_fail", gen_ok_hash_3, 2, TG_SECURITY },
    { "dh_gen_retry: hash of dh_gen_ok", gen_retry_hash_1, 2, TG_SECURITY },
    { "dh_gen_fail: hash of dh_gen_ok", gen_fail_hash_1, 2, TG_SECURITY },
    { "dh_gen_fail", gen_fail, 2, TG_PROTOCOL },
    { "dh_gen_retry", gen_retry, 3, TG_AGAIN },
    { "dh_gen: cut", gen_cut, 2, TG_PROTOCOL },
};

/* ---- the server made by hand ---- */

struct puppet {
    struct say say;
    struct kit_nonces nonces;
    struct tg_dh_group group;
    uint8_t a[256], aux_hash[8];
    struct tg_buf up, down;
};

static void put_head(struct puppet *p, uint32_t id, const struct kit_nonces *n)
{
    tg_buf_clear(&p->down);
    tg_buf_u32(&p->down, id);
    tg_buf_add(&p->down, n->client, 16);
    tg_buf_add(&p->down, n->server, 16);
}

static void cut(struct puppet *p, int at)
{
    p->down.len -= TG_MIN(p->down.len, p->say.cut[at]);
}

static void say_pq(struct puppet *p, void (*lie)(struct say *))
{
    struct say *s = &p->say;

    memcpy(p->nonces.client, p->up.data + 4, 16);
    tg_random_fill(&kit.rng, p->nonces.server, 16);
    s->pq_id = 0x05162463;
    s->pq_nonces = p->nonces;
    set_pq(s, kit_pq);
    s->vector_id = 0x1cb5c415;
    s->n_fingerprints = 1;
    s->fingerprint = tg_rsa_private_public(kit.rsa)->fingerprint;
    lie(s);
    put_head(p, s->pq_id, &s->pq_nonces);
    tl_put_bytes(&p->down, s->pq.at, s->pq.len);
    tg_buf_u32(&p->down, s->vector_id);
    tg_buf_u32(&p->down, s->n_fingerprints);
    if (s->n_fingerprints)
        tg_buf_u64(&p->down, s->fingerprint);
    cut(p, 0);
}

static void say_dh(struct puppet *p, void (*lie)(struct say *))
{
    struct say *s = &p->say;
    struct tg_error err;
    struct tg_buf inner;

    kit_hear_req_dh(&kit, &p->up, &p->nonces);
    memcpy(p->group.p, tg_dh_prime, 256);
    p->group.g = 3;
    tg_random_fill(&kit.rng, p->a, 256);
    assert_int_equal(tg_dh_public(&p->group, p->a, s->g_a.at, &err), TG_OK);
    s->g_a.len = 256;
    s->dh_id = 0xd0e8075c;
    s->dh_nonces = s->inner_nonces = p->nonces;
    s->inner_id = 0xb5890dba;
    s->g = 3;
    set_number(&s->prime, tg_dh_prime, 256);
    memset(&s->seal, 0, sizeof s->seal);
    lie(s);
    tg_buf_init(&inner, OUT_MAX);
    tg_buf_u32(&inner, s->inner_id);
    tg_buf_add(&inner, s->inner_nonces.client, 16);
    tg_buf_add(&inner, s->inner_nonces.server, 16);
    tg_buf_u32(&inner, s->g);
    tl_put_bytes(&inner, s->prime.at, s->prime.len);
    tl_put_bytes(&inner, s->g_a.at, s->g_a.len);
    tg_buf_u32(&inner, NOW);
    put_head(p, s->dh_id, &s->dh_nonces);
    kit_seal(&p->nonces, &inner, &s->seal, &p->down);
    tg_buf_done(&inner);
    cut(p, 1);
}

/* Learns the key from the client's set_client_DH_params. @return its retry_id */
static int64_t hear_set_dh(struct puppet *p)
{
    struct tl_reader r = tl_reader_of(p->up.data, p->up.len), in;
    uint8_t plain[2048], key[256], id[8];
    struct tg_dh_peer peer;
    struct tg_error err;
    struct tg_str g_b;
    int64_t retry_id;

    assert_int_equal(tl_read_u32(&r), 0xf5045f1f);
    assert_memory_equal(tl_read_int128(&r), p->nonces.client, 16);
    assert_memory_equal(tl_read_int128(&r), p->nonces.server, 16);
    in = kit_unseal(&p->nonces, tl_read_str(&r), plain);
    assert_int_equal(tl_read_u32(&in), 0x6643b654);
    assert_memory_equal(tl_read_int128(&in), p->nonces.client, 16);
    assert_memory_equal(tl_read_int128(&in), p->nonces.server, 16);
    retry_id = tl_read_i64(&in);
    g_b = tl_read_str(&in);
    assert_true(!in.bad && tl_left(&in) < 16 && tl_left(&r) == 0);
    peer = (struct tg_dh_peer){ g_b.at, g_b.len };
    assert_int_equal(tg_dh_shared(&p->group, peer, p->a, key, &err), TG_OK);
    tg_mt_auth_key_id(key, id, p->aux_hash);
    return retry_id;
}

static void say_gen(struct puppet *p, void (*lie)(struct say *))
{
    struct say *s = &p->say;
    uint8_t hash[16];

    assert_int_equal(hear_set_dh(p), 0);
    s->gen_id = 0x3bcbf734;
    s->gen_nonces = p->nonces;
    s->gen_number = 1;
    s->gen_hash_flip = 0;
    lie(s);
    tg_mt_new_nonce_hash(p->nonces.secret, s->gen_number, p->aux_hash, hash);
    hash[15] ^= s->gen_hash_flip;
    put_head(p, s->gen_id, &s->gen_nonces);
    tg_buf_add(&p->down, hash, sizeof hash);
    cut(p, 2);
}

/* Runs one row against a new client. */
static void run_row(const struct row *row)
{
    static void (*const say[])(struct puppet *, void (*)(struct say *)) = { say_pq, say_dh,
                                                                            say_gen };
    struct mt_handshake_options o = { .rsa = tg_rsa_private_public(kit.rsa), .n_rsa = 1, .dc = 2 };
    struct mt_handshake_result made = { .dc = 77 };
    struct puppet p = { 0 };
    struct mt_handshake *h;
    struct tg_error err;

    tg_buf_init(&p.up, OUT_MAX);
    tg_buf_init(&p.down, OUT_MAX);
    h = mt_handshake_new(&o, &kit.rng, &p.up);
    for (int i = 0; i < 3; i++) {
        tg_code want = i == row->at || i == 2 ? row->code : TG_AGAIN, code;

        say[i](&p, row->lie);
        tg_buf_clear(&p.up);
        code = mt_handshake_input(h, p.down.data, p.down.len, NOW, &p.up, &made, &err);
        if (code != want)
            fail_msg("%s: answer %d gave %s", row->name, i, tg_code_name(code));
        if (code != TG_AGAIN && code != TG_OK) { /* nothing is sent, and it is over */
            assert_int_equal(p.up.len, 0);
            assert_int_equal(made.dc, 77);
            assert_true(err.message[0] != 0);
            assert_int_equal(
                mt_handshake_input(h, p.down.data, p.down.len, NOW, &p.up, &made, &err),
                TG_PROTOCOL);
            break;
        }
    }
    if (row->code == TG_AGAIN) { /* the retry names the refused key */
        uint8_t refused[8];

        memcpy(refused, p.aux_hash, 8);
        assert_int_equal(hear_set_dh(&p), (int64_t)tg_le64(refused));
        assert_memory_not_equal(p.aux_hash, refused, 8);
    }
    mt_handshake_free(h);
    tg_buf_done(&p.up);
    tg_buf_done(&p.down);
}

static void lying_servers(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++)
        run_row(&rows[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lying_servers),
    };

    return cmocka_run_group_tests_name("mt_handshake_lies", tests, setup, teardown);
}
