/* SPDX-License-Identifier: MIT */
/*
 * mt_handshake_clients.c - clients that send wrong, cut, late or repeated requests, and are refused
 */
#include "tests/unit/mt_handshake_kit.h"

enum { OUT_MAX = 4096, NOW = 1700000000 };

static struct kit kit;

static int setup(void **state)
{
    (void)state;
    kit_open(&kit, 13);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

/* The requests of a good client, and a server that has answered the first `n` of them. */
struct visit {
    struct mt_handshake_server *server;
    struct tg_buf up, down;
};

static void visit_open(struct visit *v, int n_answered)
{
    struct mt_handshake_options o = { .rsa = tg_rsa_private_public(kit.rsa), .n_rsa = 1, .dc = 2 };
    struct mt_handshake_server_options so = { .rsa = kit.rsa };
    struct mt_handshake_result made;
    struct mt_handshake *h;
    struct tg_error err;

    tg_buf_init(&v->up, OUT_MAX);
    tg_buf_init(&v->down, OUT_MAX);
    h = mt_handshake_new(&o, &kit.rng, &v->up);
    v->server = mt_handshake_server_new(&so, &kit.rng);
    for (int i = 0; i < n_answered; i++) {
        tg_buf_clear(&v->down);
        assert_int_equal(mt_handshake_server_input(v->server, v->up.data, v->up.len, NOW, &v->down,
                                                   &made, &err),
                         TG_AGAIN);
        tg_buf_clear(&v->up);
        assert_int_equal(mt_handshake_input(h, v->down.data, v->down.len, NOW, &v->up, &made, &err),
                         TG_AGAIN);
    }
    tg_buf_clear(&v->down);
    mt_handshake_free(h);
}

static void visit_close(struct visit *v)
{
    mt_handshake_server_free(v->server);
    tg_buf_done(&v->up);
    tg_buf_done(&v->down);
}

static tg_code visit_ask(struct visit *v)
{
    struct mt_handshake_result made;
    struct tg_error err;

    return mt_handshake_server_input(v->server, v->up.data, v->up.len, NOW, &v->down, &made, &err);
}

/* A bit flipped in any byte that means something; the true request comes too late after that. */
static void flipped_requests(void **state)
{
    static const size_t ignored_until[] = { 44, 52 }; /* TL padding behind p and q: 3 bytes each */

    (void)state;
    for (int step = 1; step < 3; step++) {
        struct visit v;
        size_t len;

        visit_open(&v, step);
        len = v.up.len;
        visit_close(&v);
        for (size_t at = 0; at < len; at += at < 70 ? 1 : 13) {
            if (step == 1 && (ignored_until[0] - at - 1 < 3 || ignored_until[1] - at - 1 < 3))
                continue;
            visit_open(&v, step);
            v.up.data[at] ^= 0x10;
            if (visit_ask(&v) != TG_PROTOCOL)
                fail_msg("step %d: a flip at %zu was taken", step, at);
            assert_int_equal(v.down.len, 0);
            v.up.data[at] ^= 0x10;
            assert_int_equal(visit_ask(&v), TG_PROTOCOL);
            visit_close(&v);
        }
    }
}

static void cut_requests(void **state)
{
    (void)state;
    for (int step = 0; step < 3; step++) {
        struct visit v;

        for (size_t less = 1; less < 60; less++) {
            visit_open(&v, step);
            if (less <= v.up.len) {
                v.up.len -= less;
                assert_int_equal(visit_ask(&v), TG_PROTOCOL);
            }
            visit_close(&v);
        }
    }
}

static void requests_out_of_turn(void **state)
{
    struct visit v, other;

    (void)state;
    visit_open(&v, 2); /* set_client_DH_params of another handshake */
    visit_open(&other, 0);
    tg_buf_clear(&other.up);
    tg_buf_add(&other.up, v.up.data, v.up.len);
    assert_int_equal(visit_ask(&other), TG_PROTOCOL);
    visit_close(&other);
    visit_open(&other, 2);
    tg_buf_clear(&other.up);
    tg_buf_add(&other.up, v.up.data, v.up.len);
    assert_int_equal(visit_ask(&other), TG_PROTOCOL);
    visit_close(&other);

    assert_int_equal(visit_ask(&v), TG_OK);
    v.up.data[60] ^= 1; /* a second, different set_client_DH_params */
    assert_int_equal(visit_ask(&v), TG_PROTOCOL);
    tg_buf_clear(&v.up); /* a new handshake leads out */
    tg_buf_u32(&v.up, 0xbe7e8ef1);
    tg_buf_str(&v.up, "0123456789abcdef");
    assert_int_equal(visit_ask(&v), TG_AGAIN);
    visit_close(&v);
}

/* ---- set_client_DH_params that is sealed rightly around wrong things ---- */

static const struct inner {
    const char *name;
    uint32_t id;
    int64_t retry_id;
    unsigned g_b_bit; /* g_b = 2^bit */
    size_t g_b_len;   /* 257: with one more bit in front */
    struct kit_seal seal;
    tg_code code;
} inners[] = {
    { "good", 0x6643b654, 0, 1985, 256, { 0 }, TG_OK },
    { "other constructor", 0x6643b655, 0, 1985, 256, { 0 }, TG_PROTOCOL },
    { "retry_id of nothing", 0x6643b654, 1, 1985, 256, { 0 }, TG_PROTOCOL },
    { "g_b too small", 0x6643b654, 0, 1983, 256, { 0 }, TG_PROTOCOL },
    { "g_b = 1", 0x6643b654, 0, 0, 256, { 0 }, TG_PROTOCOL },
    { "g_b empty", 0x6643b654, 0, 1985, 0, { 0 }, TG_PROTOCOL },
    { "g_b too long", 0x6643b654, 0, 1985, 257, { 0 }, TG_PROTOCOL },
    { "wrong SHA1", 0x6643b654, 0, 1985, 256, { .hash_flip = 1 }, TG_PROTOCOL },
    { "SHA1 over padding", 0x6643b654, 0, 1985, 256, { .hash_more = 4 }, TG_PROTOCOL },
    { "more padding", 0x6643b654, 0, 1985, 256, { .more_padding = 16 }, TG_PROTOCOL },
    { "no whole blocks", 0x6643b654, 0, 1985, 256, { .cut = 1 }, TG_PROTOCOL },
};

/* Brings the server of v to await req_DH_params. v->up then holds a good one. */
static void learn_nonces(struct visit *v, struct kit_nonces *n)
{
    struct mt_handshake_options o = { .rsa = tg_rsa_private_public(kit.rsa), .n_rsa = 1, .dc = 2 };
    struct mt_handshake_result made;
    struct mt_handshake *h;
    struct tg_error err;

    visit_open(v, 0);
    tg_buf_clear(&v->up);
    h = mt_handshake_new(&o, &kit.rng, &v->up);
    assert_int_equal(visit_ask(v), TG_AGAIN);
    memcpy(n->client, v->down.data + 4, 16);
    memcpy(n->server, v->down.data + 20, 16);
    tg_buf_clear(&v->up);
    assert_int_equal(mt_handshake_input(h, v->down.data, v->down.len, NOW, &v->up, &made, &err),
                     TG_AGAIN);
    kit_hear_req_dh(&kit, &v->up, n);
    mt_handshake_free(h);
}

/* A set_client_DH_params as `row` wants it. */
static void write_set_dh(struct visit *v, const struct kit_nonces *n, const struct inner *row)
{
    uint8_t g_b[257] = { 1 };
    struct tg_buf object;

    g_b[256 - row->g_b_bit / 8] |= (uint8_t)(1 << row->g_b_bit % 8);
    tg_buf_init(&object, OUT_MAX);
    tg_buf_u32(&object, row->id);
    tg_buf_add(&object, n->client, 16);
    tg_buf_add(&object, n->server, 16);
    tg_buf_u64(&object, (uint64_t)row->retry_id);
    tl_put_bytes(&object, row->g_b_len == 257 ? g_b : g_b + 1, row->g_b_len);
    tg_buf_clear(&v->up);
    tg_buf_u32(&v->up, 0xf5045f1f);
    tg_buf_add(&v->up, n->client, 16);
    tg_buf_add(&v->up, n->server, 16);
    kit_seal(n, &object, &row->seal, &v->up);
    tg_buf_done(&object);
}

static void wrong_client_inner(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(inners); i++) {
        struct kit_nonces n;
        struct visit v;

        learn_nonces(&v, &n);
        assert_int_equal(visit_ask(&v), TG_AGAIN);
        write_set_dh(&v, &n, &inners[i]);
        if (visit_ask(&v) != inners[i].code)
            fail_msg("%s", inners[i].name);
        visit_close(&v);
    }
}

/* Before req_DH_params the server has no secret: one of zeros must not be good enough. After
 * dh_gen_ok another well-formed request makes no second key. */
static void well_formed_out_of_turn(void **state)
{
    struct inner other = inners[0];
    struct kit_nonces n;
    struct visit v;

    (void)state;
    learn_nonces(&v, &n);
    memset(n.secret, 0, sizeof n.secret);
    write_set_dh(&v, &n, &inners[0]);
    assert_int_equal(visit_ask(&v), TG_PROTOCOL);
    visit_close(&v);

    learn_nonces(&v, &n);
    assert_int_equal(visit_ask(&v), TG_AGAIN);
    write_set_dh(&v, &n, &inners[0]);
    assert_int_equal(visit_ask(&v), TG_OK);
    assert_int_equal(visit_ask(&v), TG_AGAIN); /* the same again */
    other.g_b_bit++;
    write_set_dh(&v, &n, &other);
    assert_int_equal(visit_ask(&v), TG_PROTOCOL);
    memset(n.secret, 0, sizeof n.secret);
    write_set_dh(&v, &n, &other);
    assert_int_equal(visit_ask(&v), TG_PROTOCOL);
    visit_close(&v);
}

/* ---- req_DH_params that is encrypted rightly around wrong things ---- */

/* Offsets into p_q_inner_data: id 4, pq 12, p 8, q 8, nonce 16, server_nonce 16, new_nonce 32. */
static const struct {
    const char *name;
    uint32_t id;
    size_t flip_at;
    int32_t expires_in;
    tg_code code;
} rsa_inners[] = {
    { "good", 0xa9f55f95, 0, 0, TG_AGAIN },
    { "good, temporary", 0x56fddf88, 0, 1, TG_AGAIN },
    { "other constructor", 0xa9f55f94, 0, 0, TG_PROTOCOL },
    { "other pq", 0xa9f55f95, 4 + 8, 0, TG_PROTOCOL },
    { "other p", 0xa9f55f95, 16 + 4, 0, TG_PROTOCOL },
    { "other q", 0xa9f55f95, 24 + 4, 0, TG_PROTOCOL },
    { "other nonce", 0xa9f55f95, 32 + 15, 0, TG_PROTOCOL },
    { "other server nonce", 0xa9f55f95, 48 + 15, 0, TG_PROTOCOL },
    { "temporary for no time", 0x56fddf88, 0, 0, TG_PROTOCOL },
    { "temporary for less than no time", 0x56fddf88, 0, -1, TG_PROTOCOL },
};

static void wrong_rsa_inner(void **state)
{
    const struct tg_rsa_key *rsa = tg_rsa_private_public(kit.rsa);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rsa_inners); i++) {
        uint8_t inner[4 + 12 + 8 + 8 + 16 + 16 + 32 + 4 + 4], encrypted[256];
        struct tg_rsa_plain plain;
        struct kit_nonces n;
        struct visit v;

        learn_nonces(&v, &n);
        assert_true(tg_rsa_decrypt(kit.rsa, v.up.data + v.up.len - 256, 256, &plain));
        memcpy(inner, plain.data, sizeof inner);
        tg_put_le32(inner, rsa_inners[i].id);
        if (rsa_inners[i].flip_at)
            inner[rsa_inners[i].flip_at] ^= 2;
        tg_put_le32(inner + sizeof inner - 4, (uint32_t)rsa_inners[i].expires_in);
        assert_true(tg_rsa_pad_encrypt(rsa, inner, sizeof inner, &kit.rng, encrypted));
        memcpy(v.up.data + v.up.len - 256, encrypted, 256);
        if (visit_ask(&v) != rsa_inners[i].code)
            fail_msg("%s", rsa_inners[i].name);
        if (rsa_inners[i].code == TG_AGAIN) { /* another one does not replace it */
            assert_true(tg_rsa_pad_encrypt(rsa, inner, sizeof inner, &kit.rng, encrypted));
            memcpy(v.up.data + v.up.len - 256, encrypted, 256);
            assert_int_equal(visit_ask(&v), TG_PROTOCOL);
        }
        visit_close(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_requests),
        cmocka_unit_test(cut_requests),
        cmocka_unit_test(requests_out_of_turn),
        cmocka_unit_test(wrong_client_inner),
        cmocka_unit_test(well_formed_out_of_turn),
        cmocka_unit_test(wrong_rsa_inner),
    };

    return cmocka_run_group_tests_name("mt_handshake_clients", tests, setup, teardown);
}
