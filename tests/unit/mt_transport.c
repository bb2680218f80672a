/* SPDX-License-Identifier: MIT */
/*
 * mt_transport.c - framings and obfuscation: one role reads what the other writes, however cut
 */
#include "tests/unit/mt_transport_kit.h"

#include <zlib.h>

static const size_t sizes[] = { 20,  24,  40,  504,   508,    512,
                                516, 512, 604, 16384, 300000, 100 };

/* Sends all sizes one way and reads them with the given step of bytes. */
static void send_all(const struct shape *s, struct mt_transport *from, struct mt_transport *to,
                     struct tg_buf *bytes, size_t step)
{
    struct tg_error err;
    struct mt_packet got;
    size_t n_got = 0;

    for (size_t i = 0; i < TG_COUNT(sizes); i++) {
        uint8_t *p = malloc(sizes[i]);

        make_packet(p, sizes[i]);
        mt_transport_write(from, p, sizes[i], false, bytes);
        free(p);
    }
    assert_false(bytes->failed);
    for (size_t at = 0; at < bytes->len; at += step) {
        size_t n = TG_MIN(step, bytes->len - at);

        assert_int_equal(mt_transport_feed(to, bytes->data + at, n, &err), TG_OK);
        if (step > 100 && at % 3)
            continue; /* let several pile up */
        while (n_got < TG_COUNT(sizes) && mt_transport_next(to, &got, &err) == TG_OK) {
            assert_true(got.len >= sizes[n_got]);
            n_got++;
        }
    }
    while (n_got < TG_COUNT(sizes))
        expect_packet(s, to, sizes[n_got++], &got);
    assert_int_equal(mt_transport_next(to, &got, &err), TG_AGAIN);
    tg_buf_clear(bytes);
}

static void every_shape_and_chunking(void **state)
{
    static const size_t steps[] = { 1, 3, 7, 61, 1000, 4097, 1 << 20 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(shapes); i++) {
        for (size_t k = 0; k < TG_COUNT(steps); k++) {
            struct wire w;
            enum mt_framing framing;
            bool obfuscated;
            int16_t dc;

            wire_open(&w, &shapes[i], i * 100 + k);
            assert_false(mt_transport_detected(w.server, &framing, &obfuscated, &dc));
            send_all(&shapes[i], w.client, w.server, &w.up, steps[k]);
            assert_true(mt_transport_detected(w.server, &framing, &obfuscated, &dc));
            assert_int_equal(framing, shapes[i].framing);
            assert_int_equal(obfuscated, shapes[i].obfuscated);
            if (obfuscated)
                assert_int_equal(dc, -10002);
            send_all(&shapes[i], w.server, w.client, &w.down, steps[k]);
            wire_close(&w);
        }
    }
}

/* The contents, one packet at a time, through the room that the transport offers. */
static void room_and_contents(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(shapes); i++) {
        struct wire w;
        struct mt_packet got;
        struct tg_error err;

        wire_open(&w, &shapes[i], i);
        for (size_t k = 0; k < TG_COUNT(sizes); k++) {
            uint8_t *p = malloc(sizes[k]);
            size_t at = 0;

            make_packet(p, sizes[k]);
            mt_transport_write(w.client, p, sizes[k], false, &w.up);
            free(p);
            while (at < w.up.len) {
                size_t n;
                uint8_t *room = mt_transport_room(w.server, &n);

                assert_non_null(room);
                assert_true(n >= 16384);
                n = TG_MIN(TG_MIN(n, w.up.len - at), (size_t)50000);
                memcpy(room, w.up.data + at, n);
                at += n;
                assert_int_equal(mt_transport_fed(w.server, n, &err), TG_OK);
            }
            tg_buf_clear(&w.up);
            expect_packet(&shapes[i], w.server, sizes[k], &got);
            assert_false(got.wants_quick_ack);
        }
        wire_close(&w);
    }
}

/* A packet stays where it is while further ones are taken; its bytes may be changed. */
static void packets_are_stable_and_writable(void **state)
{
    struct wire w;
    struct mt_packet a, b;
    struct tg_error err;
    uint8_t p[40];

    (void)state;
    wire_open(&w, &shapes[5], 1);
    make_packet(p, sizeof p);
    mt_transport_write(w.client, p, sizeof p, false, &w.up);
    mt_transport_write(w.client, p, sizeof p, false, &w.up);
    assert_int_equal(mt_transport_feed(w.server, w.up.data, w.up.len, &err), TG_OK);
    expect_packet(&shapes[5], w.server, sizeof p, &a);
    memset(a.at, 0xcc, a.len);
    expect_packet(&shapes[5], w.server, sizeof p, &b);
    assert_int_equal(a.at[0], 0xcc);
    assert_int_equal(a.at[a.len - 1], 0xcc);
    wire_close(&w);
}

static void opening_bytes(void **state)
{
    static const uint8_t abridged[] = { 0xef }, inter[] = { 0xee, 0xee, 0xee, 0xee },
                         padded[] = { 0xdd, 0xdd, 0xdd, 0xdd };
    const struct {
        size_t shape, len;
        const uint8_t *bytes;
    } rows[] = { { 0, 1, abridged }, { 1, 4, inter }, { 2, 4, padded }, { 3, 0, NULL } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct wire w;

        wire_open(&w, &shapes[rows[i].shape], 5);
        assert_int_equal(w.up.len, rows[i].len);
        if (rows[i].len)
            assert_memory_equal(w.up.data, rows[i].bytes, rows[i].len);
        wire_close(&w);
    }
}

/* Gives the bytes of a script first, then those of a seed. */
struct script {
    const uint8_t *at;
    size_t left;
    struct tg_random rest;
};

static void script_fill(void *ctx, void *buf, size_t n)
{
    struct script *s = ctx;
    size_t k = TG_MIN(n, s->left);

    memcpy(buf, s->at, k);
    s->at += k;
    s->left -= k;
    tg_random_fill(&s->rest, (uint8_t *)buf + k, n - k);
}

/* An init that begins like something else is drawn again. */
static void forbidden_inits_are_redrawn(void **state)
{
    static const uint8_t bad[][8] = {
        { 0xef, 1, 2, 3, 4, 5, 6, 7 },          { 'H', 'E', 'A', 'D', 1, 1, 1, 1 },
        { 'P', 'O', 'S', 'T', 1, 1, 1, 1 },     { 'G', 'E', 'T', ' ', 1, 1, 1, 1 },
        { 'O', 'P', 'T', 'I', 1, 1, 1, 1 },     { 0x16, 3, 1, 2, 1, 1, 1, 1 },
        { 0xdd, 0xdd, 0xdd, 0xdd, 1, 1, 1, 1 }, { 0xee, 0xee, 0xee, 0xee, 1, 1, 1, 1 },
        { 1, 2, 3, 4, 0, 0, 0, 0 },
    };
    uint8_t draws[TG_COUNT(bad) * 64 + 64];
    struct tg_random_seeded seeded;
    struct script script = { draws, sizeof draws, { 0 } };
    struct tg_random random = { script_fill, &script };
    struct mt_transport_options o = { .framing = MT_INTERMEDIATE, .obfuscated = true };
    struct mt_transport *t;
    struct tg_buf out;

    (void)state;
    memset(draws, 0x5a, sizeof draws);
    for (size_t i = 0; i < TG_COUNT(bad); i++)
        memcpy(draws + i * 64, bad[i], 8);
    tg_random_seeded_init(&seeded, 1);
    script.rest = tg_random_seeded(&seeded);
    tg_buf_init(&out, 100);
    t = mt_transport_new_client(&o, &random, &out);
    assert_non_null(t);
    assert_int_equal(script.left, 0);
    assert_int_equal(out.len, 64);
    assert_memory_equal(out.data, draws + TG_COUNT(bad) * 64, 56);
    mt_transport_free(t);
    tg_buf_done(&out);
}

/* A stream of plain bytes for the server, and what it makes of it. */
static tg_code server_reads(const void *bytes, size_t n, const uint8_t *with_secret,
                            struct mt_packet *ret)
{
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct mt_transport *t;
    struct tg_error err;
    tg_code code;

    tg_random_seeded_init(&seeded, 9);
    random = tg_random_seeded(&seeded);
    t = mt_transport_new_server(&random, with_secret);
    assert_non_null(t);
    assert_int_equal(mt_transport_feed(t, bytes, n, &err), TG_OK);
    code = mt_transport_next(t, ret, &err);
    if (code == TG_PROTOCOL) /* stays so */
        assert_int_equal(mt_transport_next(t, ret, &err), TG_PROTOCOL);
    mt_transport_free(t);
    return code;
}

#define ROW(name, code, bytes) { name, code, bytes, sizeof(bytes) - 1 }

static void malformed_streams(void **state)
{
    static const struct {
        const char *name;
        tg_code code;
        const char *bytes;
        size_t n;
    } rows[] = {
        ROW("nothing", TG_AGAIN, ""),
        ROW("half a tag", TG_AGAIN, "\xee\xee"),
        ROW("tag alone", TG_AGAIN, "\xef"),
        ROW("http", TG_PROTOCOL, "GET / HTTP/1.1\r\n"),
        ROW("http head", TG_PROTOCOL, "HEAD"),
        ROW("http post", TG_PROTOCOL, "POST / HTTP/1.1\r\n"),
        ROW("http options", TG_PROTOCOL, "OPTIONS *"),
        ROW("tls hello", TG_PROTOCOL, "\x16\x03\x01\x02"),
        ROW("abridged, empty packet", TG_PROTOCOL, "\xef\x00"),
        ROW("abridged, long form and empty", TG_PROTOCOL, "\xef\x7f\0\0\0"),
        ROW("abridged, too long", TG_PROTOCOL, "\xef\x7f\0\0\x40"),
        ROW("abridged, largest", TG_AGAIN, "\xef\x7f\xff\xff\x3f"),
        ROW("abridged, half a head", TG_AGAIN, "\xef\x7f\xff\xff"),
        ROW("intermediate, empty packet", TG_PROTOCOL, "\xee\xee\xee\xee\0\0\0\0"),
        ROW("intermediate, odd length", TG_PROTOCOL, "\xee\xee\xee\xee\x16\0\0\0"),
        ROW("intermediate, too long", TG_PROTOCOL, "\xee\xee\xee\xee\0\0\0\x01"),
        ROW("intermediate, largest", TG_AGAIN, "\xee\xee\xee\xee\xfc\xff\xff\0"),
        ROW("padded, too long", TG_PROTOCOL, "\xdd\xdd\xdd\xdd\x0c\0\0\x01"),
        ROW("padded, largest", TG_AGAIN, "\xdd\xdd\xdd\xdd\x0b\0\0\x01"),
        ROW("padded, odd length", TG_AGAIN, "\xdd\xdd\xdd\xdd\x17\0\0\0"),
        ROW("full, no payload", TG_PROTOCOL, "\x0c\0\0\0\0\0\0\0"),
        ROW("full, shorter than its head", TG_PROTOCOL, "\x0b\0\0\0\0\0\0\0"),
        ROW("full, odd length", TG_PROTOCOL, "\x19\0\0\0\0\0\0\0"),
        ROW("full, too long", TG_PROTOCOL, "\x10\0\0\x01\0\0\0\0"),
        ROW("full, wrong checksum", TG_PROTOCOL, "\x10\0\0\0\0\0\0\0abcd\1\2\3\4"),
        ROW("63 bytes of noise", TG_AGAIN,
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz01234567890"),
        ROW("obfuscated, no known tag", TG_PROTOCOL,
            "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789AB"),
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct mt_packet got;
        tg_code code = server_reads(rows[i].bytes, rows[i].n, NULL, &got);

        if (code != rows[i].code)
            fail_msg("%s: %s, not %s", rows[i].name, tg_code_name(code),
                     tg_code_name(rows[i].code));
    }
}

static void plain_framing_is_refused_by_a_proxy(void **state)
{
    struct mt_packet got;

    (void)state;
    assert_int_equal(server_reads("\xef", 1, secret, &got), TG_PROTOCOL);
    assert_int_equal(server_reads("\xee\xee\xee\xee", 4, secret, &got), TG_PROTOCOL);
}

static void another_secret_is_refused(void **state)
{
    struct wire w;
    struct mt_packet got;
    uint8_t other[16] = "another secret!";

    (void)state;
    for (size_t i = 7; i < TG_COUNT(shapes); i++) {
        wire_open(&w, &shapes[i], i);
        assert_int_equal(server_reads(w.up.data, w.up.len, other, &got), TG_PROTOCOL);
        assert_int_equal(server_reads(w.up.data, w.up.len, secret, &got), TG_AGAIN);
        wire_close(&w);
    }
}

/* Full counts frames per direction and guards each with a CRC. */
static void full_sequence_and_checksum(void **state)
{
    struct wire w;
    struct mt_packet got;
    struct tg_error err;
    uint8_t p[24];

    (void)state;
    make_packet(p, sizeof p);
    wire_open(&w, &shapes[3], 1);
    mt_transport_write(w.client, p, sizeof p, true, &w.up);
    mt_transport_write(w.client, p, sizeof p, false, &w.up);
    assert_int_equal(w.up.len, 2 * 36);
    for (uint32_t k = 0; k < 2; k++) {
        const uint8_t *f = w.up.data + k * 36;

        assert_int_equal(tg_le32(f), 36);
        assert_int_equal(tg_le32(f + 4), k);
        assert_int_equal(tg_le32(f + 32), crc32(0, f, 32));
    }
    /* the second frame first */
    assert_int_equal(mt_transport_feed(w.server, w.up.data, 36, &err), TG_OK);
    assert_int_equal(mt_transport_feed(w.server, w.up.data, 36, &err), TG_OK);
    expect_packet(&shapes[3], w.server, sizeof p, &got);
    assert_false(got.wants_quick_ack);
    assert_int_equal(mt_transport_next(w.server, &got, &err), TG_PROTOCOL);
    wire_close(&w);

    for (size_t bit = 64; bit < 36 * 8; bit++) {
        uint8_t f[36];

        wire_open(&w, &shapes[3], 1);
        mt_transport_write(w.client, p, sizeof p, false, &w.up);
        memcpy(f, w.up.data, sizeof f);
        f[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(server_reads(f, sizeof f, NULL, &got), TG_PROTOCOL);
        wire_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_and_chunking),
        cmocka_unit_test(room_and_contents),
        cmocka_unit_test(packets_are_stable_and_writable),
        cmocka_unit_test(opening_bytes),
        cmocka_unit_test(forbidden_inits_are_redrawn),
        cmocka_unit_test(malformed_streams),
        cmocka_unit_test(plain_framing_is_refused_by_a_proxy),
        cmocka_unit_test(another_secret_is_refused),
        cmocka_unit_test(full_sequence_and_checksum),
    };

    return cmocka_run_group_tests_name("mt_transport", tests, NULL, NULL);
}
