/* SPDX-License-Identifier: MIT */
/*
 * mt_transport_signals.c - quick acknowledgements, transport errors, and the bounds of memory
 */
#include "tests/unit/mt_transport_kit.h"

static void quick_ack_requests(void **state)
{
    static const size_t lens[] = { 504, 508, 1000 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(shapes); i++) {
        for (size_t k = 0; k < TG_COUNT(lens); k++) {
            struct wire w;
            struct mt_packet got;
            struct tg_error err;
            uint8_t p[1000];

            wire_open(&w, &shapes[i], i);
            make_packet(p, lens[k]);
            mt_transport_write(w.client, p, lens[k], true, &w.up);
            mt_transport_write(w.client, p, lens[k], false, &w.up);
            assert_int_equal(mt_transport_feed(w.server, w.up.data, w.up.len, &err), TG_OK);
            expect_packet(&shapes[i], w.server, lens[k], &got);
            assert_int_equal(got.wants_quick_ack, shapes[i].framing != MT_FULL);
            expect_packet(&shapes[i], w.server, lens[k], &got);
            assert_false(got.wants_quick_ack);
            wire_close(&w);
        }
    }
}

static void quick_ack_replies(void **state)
{
    const uint32_t token = 0x91a2b3c4;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(shapes); i++) {
        struct wire w;
        struct mt_packet got;
        struct tg_error err;
        uint8_t p[40];

        wire_open(&w, &shapes[i], i);
        introduce(&w);
        mt_transport_write_quick_ack(w.server, token, &w.down);
        if (i == MT_ABRIDGED)
            assert_memory_equal(w.down.data, "\x91\xa2\xb3\xc4", 4);
        else if (i == MT_INTERMEDIATE)
            assert_memory_equal(w.down.data, "\xc4\xb3\xa2\x91", 4);
        else if (i == MT_PADDED)
            assert_memory_equal(w.down.data + 4, "\xff\xff\xff\xff\xc4\xb3\xa2\x91", 8);
        if (shapes[i].framing == MT_PADDED)
            assert_in_range(w.down.len, 4 + 8, 4 + 16);
        else
            assert_int_equal(w.down.len, shapes[i].framing == MT_FULL ? 0 : 4);
        make_packet(p, sizeof p);
        mt_transport_write(w.server, p, sizeof p, false, &w.down);
        for (size_t k = 0; k < w.down.len; k++)
            assert_int_equal(mt_transport_feed(w.client, w.down.data + k, 1, &err), TG_OK);
        if (shapes[i].framing != MT_FULL) {
            assert_int_equal(mt_transport_next(w.client, &got, &err), TG_OK);
            assert_true(got.is_quick_ack);
            assert_int_equal(got.quick_ack, token);
            assert_int_equal(got.len, 0);
        }
        expect_packet(&shapes[i], w.client, sizeof p, &got);
        wire_close(&w);
    }
}

static void transport_errors(void **state)
{
    static const int32_t codes[] = { -404, -429, -444, -1 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(shapes); i++) {
        for (size_t k = 0; k < TG_COUNT(codes); k++) {
            struct wire w;
            struct mt_packet got;
            struct tg_error err;

            if (codes[k] == -1 && shapes[i].framing == MT_PADDED)
                continue; /* says quick acknowledgement there */
            wire_open(&w, &shapes[i], i * 7 + k);
            mt_transport_write_error(w.server, codes[k], &w.down);
            assert_int_equal(w.down.len, 0); /* nobody to tell yet */
            introduce(&w);
            mt_transport_write_error(w.server, codes[k], &w.down);
            assert_int_equal(mt_transport_feed(w.client, w.down.data, w.down.len, &err), TG_OK);
            assert_int_equal(mt_transport_next(w.client, &got, &err), TG_OK);
            assert_int_equal(got.error, codes[k]);
            assert_int_equal(got.len, 0);
            assert_int_equal(mt_transport_next(w.client, &got, &err), TG_AGAIN);
            wire_close(&w);
        }
    }
}

static void short_words_to_a_client(void **state)
{
    struct wire w;
    struct mt_packet got;
    struct tg_error err;

    (void)state;
    wire_open(&w, &shapes[MT_INTERMEDIATE], 1);
    /* a zero word keeps alive and is skipped; a positive one means nothing */
    assert_int_equal(mt_transport_feed(w.client, "\4\0\0\0\0\0\0\0\4\0\0\0\x6c\xfe\xff\xff", 16,
                                       &err),
                     TG_OK);
    assert_int_equal(mt_transport_next(w.client, &got, &err), TG_OK);
    assert_int_equal(got.error, -404);
    assert_int_equal(mt_transport_feed(w.client, "\4\0\0\0\1\0\0\0", 8, &err), TG_OK);
    assert_int_equal(mt_transport_next(w.client, &got, &err), TG_PROTOCOL);
    wire_close(&w);
}

static void largest_packet_passes_and_more_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct wire w;
        struct mt_packet got;
        struct tg_error err;
        uint8_t *p = malloc(MT_PACKET_MAX + 4);
        size_t at = 0;

        make_packet(p, MT_PACKET_MAX);
        wire_open(&w, &shapes[i], i);
        mt_transport_write(w.client, p, MT_PACKET_MAX, false, &w.up);
        while (at < w.up.len) {
            size_t n;
            uint8_t *room = mt_transport_room(w.server, &n);

            assert_non_null(room);
            n = TG_MIN(n, w.up.len - at);
            memcpy(room, w.up.data + at, n);
            at += n;
            assert_int_equal(mt_transport_fed(w.server, n, &err), TG_OK);
        }
        expect_packet(&shapes[i], w.server, MT_PACKET_MAX, &got);

        memset(&got, 0, sizeof got);
        tg_buf_clear(&w.up);
        mt_transport_write(w.client, p, MT_PACKET_MAX + 4, false, &w.up);
        assert_true(w.up.failed);
        assert_int_equal(w.up.len, 0);
        free(p);
        wire_close(&w);
    }
}

static void bytes_without_end_are_refused(void **state)
{
    struct wire w;
    struct tg_error err;
    size_t fed = 0, n;
    uint8_t p[32768] = { 0 };
    tg_code code = TG_OK;

    (void)state;
    wire_open(&w, &shapes[1], 1);
    while (fed < 2 * (size_t)MT_PACKET_MAX) {
        code = mt_transport_feed(w.server, p, sizeof p, &err);
        if (code != TG_OK)
            break;
        fed += sizeof p;
    }
    assert_int_equal(code, TG_LIMIT);
    assert_in_range(fed, MT_PACKET_MAX, MT_PACKET_MAX + 200000);
    assert_null(mt_transport_room(w.server, &n));
    assert_int_equal(n, 0);
    wire_close(&w);
}

/* After one large packet a long run of small ones gives the memory back. */
static void buffer_shrinks(void **state)
{
    struct wire w;
    struct mt_packet got;
    struct tg_error err;
    uint8_t *p = calloc(1, 8 << 20);
    size_t n, large;

    (void)state;
    wire_open(&w, &shapes[1], 1);
    mt_transport_write(w.client, p, 8 << 20, false, &w.up);
    assert_int_equal(mt_transport_feed(w.server, w.up.data, w.up.len, &err), TG_OK);
    assert_int_equal(mt_transport_next(w.server, &got, &err), TG_OK);
    assert_non_null(mt_transport_room(w.server, &large));
    assert_true(large >= 8 << 20);
    for (int i = 0; i < 64 * 12; i++) {
        tg_buf_clear(&w.up);
        mt_transport_write(w.client, p, 100, false, &w.up);
        assert_int_equal(mt_transport_feed(w.server, w.up.data, w.up.len, &err), TG_OK);
        assert_int_equal(mt_transport_next(w.server, &got, &err), TG_OK);
    }
    assert_non_null(mt_transport_room(w.server, &n));
    assert_true(n <= 64 << 10);
    free(p);
    wire_close(&w);
}

static void a_full_output_buffer_changes_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(shapes); i++) {
        struct wire w;
        struct mt_packet got;
        struct tg_buf small;
        uint8_t p[100];

        wire_open(&w, &shapes[i], i);
        tg_buf_init(&small, 50);
        make_packet(p, sizeof p);
        mt_transport_write(w.client, p, sizeof p, false, &small);
        assert_true(small.failed);
        assert_int_equal(small.len, 0);
        mt_transport_write(w.client, p, sizeof p, false, &w.up);
        assert_int_equal(mt_transport_feed(w.server, w.up.data, w.up.len, &(struct tg_error){ 0 }),
                         TG_OK);
        expect_packet(&shapes[i], w.server, sizeof p, &got);
        tg_buf_done(&small);
        wire_close(&w);
    }
    mt_transport_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quick_ack_requests),
        cmocka_unit_test(quick_ack_replies),
        cmocka_unit_test(transport_errors),
        cmocka_unit_test(short_words_to_a_client),
        cmocka_unit_test(largest_packet_passes_and_more_is_refused),
        cmocka_unit_test(bytes_without_end_are_refused),
        cmocka_unit_test(buffer_shrinks),
        cmocka_unit_test(a_full_output_buffer_changes_nothing),
    };

    return cmocka_run_group_tests_name("mt_transport_signals", tests, NULL, NULL);
}
