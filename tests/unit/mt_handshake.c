/* SPDX-License-Identifier: MIT */
/*
 * mt_handshake.c - keys are agreed on: with our own server, by old kinds of clients, and by the
 *                  published example
 */
#include "tests/unit/mt_handshake_kit.h"

#include "crypto/pq.h"
#include "tests/unit/mt_sample.h"

enum { OUT_MAX = 4096, NOW = 1700000000 };

static struct kit kit;

static int setup(void **state)
{
    (void)state;
    kit_open(&kit, 7);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

/* Both ends and the message that is on its way. */
struct talk {
    struct mt_handshake *client;
    struct mt_handshake_server *server;
    struct tg_buf up, down;
    struct mt_handshake_result at_client, at_server;
    struct tg_error err;
    int n_answers;
};

static void talk_open(struct talk *t, const struct mt_handshake_options *more, int retries)
{
    struct mt_handshake_options o = *more;
    struct mt_handshake_server_options so = { .rsa = kit.rsa, .retries = retries };

    memset(t, 0, sizeof *t);
    o.rsa = tg_rsa_private_public(kit.rsa);
    o.n_rsa = 1;
    tg_buf_init(&t->up, OUT_MAX);
    tg_buf_init(&t->down, OUT_MAX);
    t->client = mt_handshake_new(&o, &kit.rng, &t->up);
    t->server = mt_handshake_server_new(&so, &kit.rng);
    assert_non_null(t->client);
    assert_non_null(t->server);
}

static void talk_close(struct talk *t)
{
    mt_handshake_free(t->client);
    mt_handshake_server_free(t->server);
    tg_buf_done(&t->up);
    tg_buf_done(&t->down);
}

/* One request to the server; the client's clock is 100 s behind. */
static tg_code to_server(struct talk *t)
{
    tg_buf_clear(&t->down);
    return mt_handshake_server_input(t->server, t->up.data, t->up.len, NOW, &t->down,
                                     &t->at_server, &t->err);
}

static tg_code to_client(struct talk *t)
{
    tg_buf_clear(&t->up);
    t->n_answers++;
    return mt_handshake_input(t->client, t->down.data, t->down.len, NOW - 100, &t->up,
                              &t->at_client, &t->err);
}

/* Talks until the client is done. @return its verdict */
static tg_code talk(struct talk *t)
{
    tg_code code;

    do {
        code = to_server(t);
        assert_true(code == TG_AGAIN || code == TG_OK);
        code = to_client(t);
    } while (code == TG_AGAIN);
    return code;
}

static void same_key(const struct talk *t)
{
    const struct mt_key *a = &t->at_client.key, *b = &t->at_server.key;
    struct mt_key derived = *a;

    assert_memory_equal(a->key, b->key, sizeof a->key);
    assert_memory_equal(a->id, b->id, 8);
    assert_memory_equal(a->aux_hash, b->aux_hash, 8);
    assert_int_equal(a->expires_at, b->expires_at);
    mt_key_derive(&derived);
    assert_memory_equal(derived.id, a->id, 8);
    assert_memory_equal(t->at_client.salt, t->at_server.salt, 8);
    assert_int_equal(t->at_client.server_time, NOW);
    assert_int_equal(t->at_client.time_offset_s, 100);
}

static void permanent_key(void **state)
{
    struct mt_handshake_options o = { .dc = 10002 };
    struct talk t;

    (void)state;
    talk_open(&t, &o, 0);
    assert_int_equal(talk(&t), TG_OK);
    same_key(&t);
    assert_int_equal(t.n_answers, 3);
    assert_int_equal(t.at_client.key.expires_at, 0);
    assert_int_equal(t.at_server.temp_expires_in, 0);
    assert_int_equal(t.at_server.dc, 10002);
    assert_int_equal(to_client(&t), TG_PROTOCOL); /* it is over */
    talk_close(&t);
}

static void temporary_key(void **state)
{
    struct mt_handshake_options o = { .dc = -4, .temp_expires_in = 86400 };
    struct talk t;

    (void)state;
    talk_open(&t, &o, 0);
    assert_int_equal(talk(&t), TG_OK);
    same_key(&t);
    assert_int_equal(t.at_client.key.expires_at, NOW + 86400);
    assert_int_equal(t.at_client.temp_expires_in, 86400);
    assert_int_equal(t.at_server.temp_expires_in, 86400);
    assert_int_equal(t.at_server.dc, -4);
    talk_close(&t);
}

static void retries(void **state)
{
    struct mt_handshake_options o = { .dc = 2 };

    (void)state;
    for (int n = 1; n <= 6; n++) {
        struct talk t;

        talk_open(&t, &o, n);
        assert_int_equal(talk(&t), n <= 5 ? TG_OK : TG_PROTOCOL);
        if (n <= 5)
            same_key(&t);
        assert_int_equal(t.n_answers, TG_MIN(3 + n, 8));
        talk_close(&t);
    }
}

/* Each request sent twice gets the same bytes twice, whatever trails it; one key is made. */
static void repeated_requests(void **state)
{
    struct mt_handshake_options o = { .dc = 2 };
    struct tg_buf first;
    struct talk t;
    tg_code code;

    (void)state;
    tg_buf_init(&first, OUT_MAX);
    talk_open(&t, &o, 1);
    do {
        code = to_server(&t);
        assert_true(code == TG_AGAIN || code == TG_OK);
        tg_buf_clear(&first);
        tg_buf_add(&first, t.down.data, t.down.len);
        tg_buf_str(&t.up, "trailing bytes!!");
        assert_int_equal(to_server(&t), TG_AGAIN);
        assert_int_equal(t.down.len, first.len);
        assert_memory_equal(t.down.data, first.data, first.len);
        tg_buf_str(&t.down, "trailing bytes!!");
        code = to_client(&t);
    } while (code == TG_AGAIN);
    assert_int_equal(code, TG_OK);
    same_key(&t);
    talk_close(&t);
    tg_buf_done(&first);
}

static void answers_are_kept_ten_minutes(void **state)
{
    struct mt_handshake_options o = { .dc = 2 };
    struct talk t;

    (void)state;
    talk_open(&t, &o, 0);
    assert_int_equal(to_server(&t), TG_AGAIN);
    assert_int_equal(to_client(&t), TG_AGAIN);
    assert_int_equal(to_server(&t), TG_AGAIN);
    tg_buf_clear(&t.down);
    assert_int_equal(mt_handshake_server_input(t.server, t.up.data, t.up.len, NOW + 600, &t.down,
                                               &t.at_server, &t.err),
                     TG_AGAIN);
    assert_int_equal(mt_handshake_server_input(t.server, t.up.data, t.up.len, NOW + 601, &t.down,
                                               &t.at_server, &t.err),
                     TG_PROTOCOL);
    talk_close(&t);
}

/* A server without a trusted key is not spoken to. */
static void unknown_server_key(void **state)
{
    struct mt_handshake_options o = { .dc = 2 };
    struct mt_handshake *client;
    struct talk t;

    (void)state;
    talk_open(&t, &o, 0);
    tg_buf_clear(&t.up);
    client = mt_handshake_new(&o, &kit.rng, &t.up); /* no key at all */
    assert_int_equal(to_server(&t), TG_AGAIN);
    tg_buf_clear(&t.up);
    assert_int_equal(mt_handshake_input(client, t.down.data, t.down.len, NOW, &t.up, &t.at_client,
                                        &t.err),
                     TG_NOT_FOUND);
    assert_int_equal(t.up.len, 0);
    mt_handshake_free(client);
    talk_close(&t);
}

static void no_room_for_an_answer(void **state)
{
    struct mt_handshake_options o = { .dc = 2 };
    struct talk t;
    struct tg_buf small;

    (void)state;
    tg_buf_init(&small, 50);
    talk_open(&t, &o, 0);
    assert_int_equal(mt_handshake_server_input(t.server, t.up.data, t.up.len, NOW, &small,
                                               &t.at_server, &t.err),
                     TG_NOMEM);
    assert_int_equal(to_server(&t), TG_AGAIN);
    tg_buf_clear(&small);
    assert_int_equal(mt_handshake_input(t.client, t.down.data, t.down.len, NOW, &small,
                                        &t.at_client, &t.err),
                     TG_NOMEM);
    assert_int_equal(to_client(&t), TG_PROTOCOL);
    talk_close(&t);
    tg_buf_done(&small);
    mt_handshake_free(NULL);
    mt_handshake_server_free(NULL);
}

/* ---- flavours of clients, by hand ---- */

/* What such a client writes. */
static const struct flavour {
    const char *name;
    uint32_t id;
    bool has_dc, temp, sha1_block;
    bool multi; /* req_pq_multi, not req_pq */
} flavours[] = {
    { "RSA_PAD, p_q_inner_data_dc", 0xa9f55f95, true, false, false, true },
    { "RSA_PAD, p_q_inner_data_temp_dc", 0x56fddf88, true, true, false, true },
    { "RSA_PAD, p_q_inner_data", 0x83c95aec, false, false, false, true },
    { "RSA_PAD, p_q_inner_data_temp", 0x3c6a84d4, false, true, false, true },
    { "SHA1 block, p_q_inner_data", 0x83c95aec, false, false, true, true },
    { "SHA1 block, p_q_inner_data_temp", 0x3c6a84d4, false, true, true, true },
    { "SHA1 block, p_q_inner_data_dc", 0xa9f55f95, true, false, true, false },
};

/* Reads resPQ and appends req_DH_params. */
static void write_req_dh(const struct flavour *f, struct kit_nonces *n, const struct tg_buf *res,
                         struct tg_buf *out)
{
    struct tl_reader r = tl_reader_of(res->data, res->len);
    const struct tg_rsa_key *rsa = tg_rsa_private_public(kit.rsa);
    uint8_t encrypted[256], p[4], q[4];
    uint64_t pq = 0, a, b;
    struct tg_str text;
    struct tg_buf inner;

    tg_buf_init(&inner, 256);
    tl_read_view(&r, 4 + 16);
    memcpy(n->server, tl_read_int128(&r), 16);
    text = tl_read_str(&r);
    for (uint32_t i = 0; i < text.len; i++)
        pq = pq << 8 | (uint8_t)text.at[i];
    assert_true(tg_pq_factor(pq, &a, &b));
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(a >> (24 - 8 * i));
        q[i] = (uint8_t)(b >> (24 - 8 * i));
    }
    tg_random_fill(&kit.rng, n->secret, 32);
    tg_buf_u32(&inner, f->id);
    tl_put_bytes(&inner, text.at, text.len);
    tl_put_bytes(&inner, p, 4);
    tl_put_bytes(&inner, q, 4);
    tg_buf_add(&inner, n->client, 16);
    tg_buf_add(&inner, n->server, 16);
    tg_buf_add(&inner, n->secret, 32);
    if (f->has_dc)
        tg_buf_u32(&inner, 3);
    if (f->temp)
        tg_buf_u32(&inner, 1000);
    assert_true(
        (f->sha1_block ? tg_rsa_legacy_encrypt : tg_rsa_pad_encrypt)(rsa, inner.data, inner.len,
                                                                     &kit.rng, encrypted));
    tg_buf_u32(out, 0xd712e4be);
    tg_buf_add(out, n->client, 16);
    tg_buf_add(out, n->server, 16);
    tl_put_bytes(out, p, 4);
    tl_put_bytes(out, q, 4);
    tg_buf_u64(out, rsa->fingerprint);
    tl_put_bytes(out, encrypted, sizeof encrypted);
    tg_buf_done(&inner);
}

/* Reads server_DH_params_ok, makes the key with g_b = 3^1270, which is 252 bytes long, and appends
 * set_client_DH_params with those 252 bytes. */
static void write_set_dh(const struct kit_nonces *n, const struct tg_buf *params,
                         struct tg_buf *out, uint8_t ret_key[256])
{
    struct tl_reader r = tl_reader_of(params->data, params->len), in;
    struct tg_dh_group group;
    struct tg_dh_peer peer;
    struct tg_error err;
    struct tg_str prime, g_a;
    struct tg_buf inner;
    uint8_t plain[2048], b[256] = { [254] = 1270 >> 8, [255] = 1270 & 0xff }, g_b[256];
    uint32_t g;

    tg_buf_init(&inner, 1024);
    assert_int_equal(tl_read_u32(&r), 0xd0e8075c);
    tl_read_view(&r, 32);
    in = kit_unseal(n, tl_read_str(&r), plain);
    assert_int_equal(tl_read_u32(&in), 0xb5890dba);
    assert_memory_equal(tl_read_int128(&in), n->client, 16);
    assert_memory_equal(tl_read_int128(&in), n->server, 16);
    g = tl_read_u32(&in);
    prime = tl_read_str(&in);
    g_a = tl_read_str(&in);
    assert_int_equal(g, 3);
    assert_int_equal(tl_read_i32(&in), NOW);
    assert_int_equal(g_a.len, 256);
    assert_int_equal(tg_dh_check(prime.at, prime.len, g, NULL, &group, &err), TG_OK);
    assert_memory_equal(prime.at, tg_dh_prime, 256);
    assert_int_equal(tg_dh_public(&group, b, g_b, &err), TG_OK);
    assert_memory_equal(g_b, "\0\0\0\0", 4);
    peer = (struct tg_dh_peer){ g_a.at, g_a.len };
    assert_int_equal(tg_dh_shared(&group, peer, b, ret_key, &err), TG_OK);
    tg_buf_u32(&inner, 0x6643b654);
    tg_buf_add(&inner, n->client, 16);
    tg_buf_add(&inner, n->server, 16);
    tg_buf_u64(&inner, 0);
    tl_put_bytes(&inner, g_b + 4, 252);
    tg_buf_u32(out, 0xf5045f1f);
    tg_buf_add(out, n->client, 16);
    tg_buf_add(out, n->server, 16);
    kit_seal(n, &inner, &(struct kit_seal){ 0 }, out);
    tg_buf_done(&inner);
}

static void every_flavour_of_client(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(flavours); i++) {
        const struct flavour *f = &flavours[i];
        struct mt_handshake_options o = { 0 };
        struct kit_nonces n;
        struct talk t;
        uint8_t key[256];

        talk_open(&t, &o, 0);
        tg_buf_clear(&t.up);
        tg_random_fill(&kit.rng, n.client, 16);
        tg_buf_u32(&t.up, f->multi ? 0xbe7e8ef1 : 0x60469778);
        tg_buf_add(&t.up, n.client, 16);
        assert_int_equal(to_server(&t), TG_AGAIN);
        tg_buf_clear(&t.up);
        write_req_dh(f, &n, &t.down, &t.up);
        if (to_server(&t) != TG_AGAIN)
            fail_msg("%s: %s", f->name, t.err.message);
        tg_buf_clear(&t.up);
        write_set_dh(&n, &t.down, &t.up, key);
        assert_int_equal(to_server(&t), TG_OK);
        assert_int_equal(tg_le32(t.down.data), 0x3bcbf734);
        assert_memory_equal(t.at_server.key.key, key, sizeof key);
        assert_int_equal(t.at_server.dc, f->has_dc ? 3 : 0);
        assert_int_equal(t.at_server.temp_expires_in, f->temp ? 1000 : 0);
        talk_close(&t);
    }
}

/* ---- the published example ---- */

static void put_hex(struct tg_buf *b, const char *hex)
{
    uint8_t bytes[1024];

    tg_buf_add(b, bytes, kit_hex(bytes, sizeof bytes, hex));
}

static void put_head(struct tg_buf *b, uint32_t id)
{
    tg_buf_clear(b);
    tg_buf_u32(b, id);
    put_hex(b, sample_nonce);
    put_hex(b, sample_server_nonce);
}

static void expect_hex(const void *got, size_t len, const char *hex)
{
    uint8_t want[1024];

    assert_int_equal(kit_hex(want, sizeof want, hex), len);
    assert_memory_equal(got, want, len);
}

/* resPQ of the sample: our key stands third, under the fingerprint that the sample uses. */
static void sample_res_pq(struct tg_buf *b)
{
    uint8_t pq[8];

    put_head(b, 0x05162463);
    kit_hex(pq, 8, sample_pq_bytes);
    tl_put_bytes(b, pq, 8);
    tg_buf_u32(b, 0x1cb5c415);
    tg_buf_u32(b, 3);
    put_hex(b, sample_fingerprints_wire);
}

static void check_sample_req_dh(const struct tg_buf *up)
{
    struct tl_reader r = tl_reader_of(up->data, up->len);
    struct tg_rsa_plain plain;
    struct tg_str encrypted;

    assert_int_equal(tl_read_u32(&r), 0xd712e4be);
    expect_hex(tl_read_int128(&r), 16, sample_nonce);
    expect_hex(tl_read_int128(&r), 16, sample_server_nonce);
    assert_true(tg_str_eq(tl_read_str(&r), (struct tg_str){ (const char *)kit_p, 4 }));
    assert_true(tg_str_eq(tl_read_str(&r), (struct tg_str){ (const char *)kit_q, 4 }));
    expect_hex(tl_read_view(&r, 8), 8, sample_fingerprints_wire + 32);
    encrypted = tl_read_str(&r);
    assert_int_equal(encrypted.len, 256);
    assert_true(!r.bad && tl_left(&r) == 0);
    assert_true(tg_rsa_decrypt(kit.rsa, encrypted.at, encrypted.len, &plain));
    assert_int_equal(plain.flavour, TG_RSA_FLAVOUR_PAD);
    expect_hex(plain.data, strlen(sample_inner) / 2, sample_inner);
}

static void published_example(void **state)
{
    struct tg_rsa_key rsa = *tg_rsa_private_public(kit.rsa);
    struct mt_handshake_options o = { .rsa = &rsa, .n_rsa = 1, .dc = 2 };
    uint8_t drawn[512], sealed[1024];
    struct kit_script script = { .at = drawn };
    struct tg_random random = { kit_script_fill, &script };
    struct mt_handshake_result made;
    struct mt_handshake *h;
    struct tg_error err;
    struct tg_buf up, down;
    size_t n;

    (void)state;
    tg_buf_init(&up, OUT_MAX);
    tg_buf_init(&down, OUT_MAX);
    tg_random_seeded_init(&script.rest, 3);
    kit_hex(drawn, 8, sample_fingerprints_wire + 32);
    rsa.fingerprint = tg_le64(drawn);

    script.left = kit_hex(drawn, sizeof drawn, sample_nonce);
    h = mt_handshake_new(&o, &random, &up);
    assert_int_equal(script.left, 0);
    assert_int_equal(tg_le32(up.data), 0xbe7e8ef1);
    expect_hex(up.data + 4, up.len - 4, sample_nonce);

    script.at = drawn;
    script.left = kit_hex(drawn, sizeof drawn, sample_new_nonce);
    sample_res_pq(&down);
    tg_buf_clear(&up);
    assert_int_equal(mt_handshake_input(h, down.data, down.len, NOW, &up, &made, &err), TG_AGAIN);
    check_sample_req_dh(&up);

    script.at = drawn;
    script.left = kit_hex(drawn, sizeof drawn, sample_b);
    script.left += kit_hex(drawn + script.left, sizeof drawn - script.left, sample_client_padding);
    put_head(&down, 0xd0e8075c);
    n = kit_hex(sealed, sizeof sealed, sample_encrypted_answer);
    tl_put_bytes(&down, sealed, n);
    tg_buf_clear(&up);
    assert_int_equal(mt_handshake_input(h, down.data, down.len, NOW, &up, &made, &err), TG_AGAIN);
    put_head(&down, 0xf5045f1f);
    n = kit_hex(sealed, sizeof sealed, sample_encrypted_data_dh);
    tl_put_bytes(&down, sealed, n);
    assert_int_equal(up.len, down.len);
    assert_memory_equal(up.data, down.data, up.len);

    put_head(&down, 0x3bcbf734);
    put_hex(&down, sample_new_nonce_hash1);
    assert_int_equal(mt_handshake_input(h, down.data, down.len, NOW, &up, &made, &err), TG_OK);
    expect_hex(made.key.key, 256, sample_auth_key);
    expect_hex(made.key.id, 8, sample_auth_key_id);
    expect_hex(made.salt, 8, sample_salt);
    assert_int_equal(made.server_time, sample_server_time);
    assert_int_equal(made.time_offset_s, sample_server_time - NOW);
    mt_handshake_free(h);
    tg_buf_done(&up);
    tg_buf_done(&down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permanent_key),
        cmocka_unit_test(temporary_key),
        cmocka_unit_test(retries),
        cmocka_unit_test(repeated_requests),
        cmocka_unit_test(answers_are_kept_ten_minutes),
        cmocka_unit_test(unknown_server_key),
        cmocka_unit_test(no_room_for_an_answer),
        cmocka_unit_test(every_flavour_of_client),
        cmocka_unit_test(published_example),
    };

    return cmocka_run_group_tests_name("mt_handshake", tests, setup, teardown);
}
