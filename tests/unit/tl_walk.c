/* SPDX-License-Identifier: MIT */
/*
 * Walking bytes written by hand: fields are found, faults are located, nothing grows without bound.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tl/walk.h"

/* messages.channelMessages of one message: short text, one entity; but for the message's id the
 * same in layers 198 to 229 */
static const char golden[] =
    "4eba76c7 00000000 63000000 0a000000" /* flags, pts 99, count 10 */
    "15c4b51c 01000000"
    "d3b90076 82010000 04000000" /* message, flags: out, from_id, entities; flags2: effect */
    "07000000 22175159 0500000000000000"           /* id 7, from_id: peerUser 5 */
    "1e37a5a2 0900000000000000"                    /* peer_id: peerChannel 9 */
    "00f15365 05 68656c6c6f 0000"                  /* date 1700000000, "hello" */
    "15c4b51c 01000000 c90b61bd 00000000 05000000" /* messageEntityBold 0, 5 */
    "2a00000000000000"                             /* effect 42 */
    "15c4b51c 00000000 15c4b51c 00000000 15c4b51c 00000000";

static size_t unhex(const char *text, uint8_t *out, size_t max)
{
    char digits[2048];
    size_t n = 0;

    for (; *text; text++) {
        if (*text != ' ')
            digits[n++] = *text;
        assert_true(n < sizeof digits);
    }
    assert_true(n / 2 <= max && tg_unhex(out, n / 2, digits, n));
    return n / 2;
}

static void fields_are_found(void **state)
{
    static const struct {
        int32_t layer;
        uint32_t id;
    } row[] = { { 198, 0x96fdbbe9 }, { 228, 0x7600b9d3 }, { 229, 0x7600b9d3 } };
    uint8_t bytes[512];
    size_t n = unhex(golden, bytes, sizeof bytes), at = 24;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const struct tl_schema *s = tl_schema_builtin(row[i].layer);
        struct tl_reader r = tl_reader_of(bytes + at, n - at), list;
        struct tl_object m, peer, entity;

        tg_put_le32(bytes + at, row[i].id);
        assert_true(tl_object_open(s, &r, &m));
        assert_ptr_equal(r.at, m.end);
        assert_int_equal(m.end - m.start, n - at - 24);
        assert_int_equal(m.ctor->name, TLN_message);
        assert_int_equal(tl_field_i32(&m, TLN_id, 0), 7);
        assert_int_equal(tl_field_i32(&m, TLN_date, 0), 1700000000);
        assert_int_equal(tl_field_i64(&m, TLN_effect, 0), 42);
        assert_int_equal(tl_field_i32(&m, TLN_views, -1), -1);
        assert_true(tl_field_has(&m, TLN_out));
        assert_true(tl_field_bool(&m, TLN_out));
        assert_false(tl_field_has(&m, TLN_post));
        assert_false(tl_field_has(&m, TLN_media));
        assert_false(tl_field_has(&m, TLN_title)); /* no field of a message */
        assert_true(tg_str_eq(tl_field_str(&m, TLN_message), TG_STR("hello")));
        assert_null(tl_field_str(&m, TLN_post_author).at);
        assert_true(tl_field_object(&m, TLN_peer_id, &peer));
        assert_int_equal(peer.ctor->name, TLN_peerChannel);
        assert_int_equal(tl_field_i64(&peer, TLN_channel_id, 0), 9);
        assert_false(tl_field_object(&m, TLN_fwd_from, &peer));
        assert_int_equal(tl_field_vector(&m, TLN_entities, &list), 1);
        assert_true(tl_object_open(s, &list, &entity));
        assert_int_equal(tl_field_i32(&entity, TLN_length, 0), 5);
        assert_int_equal(tl_field_vector(&m, TLN_restriction_reason, &list), 0);
        assert_null(list.at);
    }
}

static void opening_may_stop_early(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    uint8_t bytes[512];
    size_t n = unhex(golden, bytes, sizeof bytes);
    struct tl_reader r = tl_reader_of(bytes, n);
    struct tl_object page;
    const struct tl_ctor *c = tl_ctor_by_name(s, TLN_messages_channelMessages);

    (void)state;
    memset(bytes + 24, 0xee, 4); /* the message is unknown now */
    assert_true(
        tl_object_open_until(s, &r, tl_ctor_field_index(s, c, TLN_offset_id_offset), &page));
    assert_int_equal(tl_field_i32(&page, TLN_count, 0), 10);
    assert_false(tl_field_has(&page, TLN_messages));
    assert_ptr_equal(r.at, bytes + 16);
    assert_int_equal(tl_read_vector(&r, 4), 1);
    assert_false(tl_object_open(s, &r, &page));
}

static void print(const struct tl_schema *s, const uint8_t *bytes, size_t n, struct tg_buf *out)
{
    struct tl_reader r = tl_reader_of(bytes, n);
    struct tg_json json;

    tg_buf_clear(out);
    tg_json_init(&json, out);
    assert_true(tl_print_json(s, &r, &json, NULL));
}

static void objects_print_as_json(void **state)
{
    uint8_t bytes[512];
    size_t n = unhex(golden, bytes, sizeof bytes);
    TG_CLEANUP(tg_buf_done) struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 1 << 16);
    print(tl_schema_builtin(228), bytes, n, &out);
    assert_string_equal(
        tg_buf_cstr(&out),
        "{\"_\":\"messages.channelMessages\",\"pts\":99,\"count\":10,\"messages\":["
        "{\"_\":\"message\",\"out\":true,\"id\":7,\"from_id\":{\"_\":\"peerUser\",\"user_id\":5},"
        "\"peer_id\":{\"_\":\"peerChannel\",\"channel_id\":9},\"date\":1700000000,"
        "\"message\":\"hello\",\"entities\":[{\"_\":\"messageEntityBold\",\"offset\":0,"
        "\"length\":5}],\"effect\":42}],\"topics\":[],\"chats\":[],\"users\":[]}");
    n = unhex("b5757299", bytes, sizeof bytes);
    print(tl_schema_builtin(228), bytes, n, &out);
    assert_string_equal(tg_buf_cstr(&out), "true");
    n = unhex("28d2c0d8 0100000000000000 01 ff 0000", bytes, sizeof bytes);
    tg_put_le32(bytes, tl_id(tl_schema_builtin(228), TLN_photoStrippedSize));
    n = unhex("01 78 0000 03 010203", bytes + 4, sizeof bytes - 4) + 4;
    print(tl_schema_builtin(228), bytes, n, &out);
    assert_string_equal(tg_buf_cstr(&out),
                        "{\"_\":\"photoStrippedSize\",\"type\":\"x\",\"bytes\":\"AQID\"}");
    n = unhex("f18e7ebe 000102030405060708090a0b0c0d0e0f", bytes, sizeof bytes);
    print(tl_schema_builtin(0), bytes, n, &out);
    assert_string_equal(tg_buf_cstr(&out), "{\"_\":\"req_pq_multi\",\"nonce\":"
                                           "\"000102030405060708090a0b0c0d0e0f\"}");
}

static void results_of_functions_print(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    const struct tl_ctor *c = tl_ctor_by_name(s, TLN_contacts_getContactIDs);
    uint8_t bytes[64];
    size_t n = unhex("15c4b51c 02000000 07000000 ffffffff", bytes, sizeof bytes);
    struct tl_reader r = tl_reader_of(bytes, n);
    TG_CLEANUP(tg_buf_done) struct tg_buf out;
    struct tg_json json;

    (void)state;
    tg_buf_init(&out, 1 << 16);
    tg_json_init(&json, &out);
    assert_true(tl_print_json_type(s, &r, c->type, &json, NULL));
    assert_string_equal(tg_buf_cstr(&out), "[7,-1]");
    r = tl_reader_of(bytes, n);
    assert_true(tl_skip_type(s, &r, c->type));
    assert_ptr_equal(r.at, r.end);
}

static void faults_are_located(void **state)
{
    static const struct {
        size_t at;      /* byte to overwrite */
        uint32_t value; /* with */
        const char *text;
    } row[] = {
        { 24, 0x01020304,
          "unknown constructor 01020304 at byte 24: messages.channelMessages"
          ".messages[0]" },
        { 40, 0x01020304,
          "unknown constructor 01020304 at byte 40: messages.channelMessages"
          ".messages[0].from_id" },
        { 40, 0x7600b9d3,
          "misplaced constructor 7600b9d3 at byte 40: messages.channelMessages"
          ".messages[0].from_id" },
        { 84, 0x01020304,
          "unknown constructor 01020304 at byte 84: messages.channelMessages"
          ".messages[0].entities[0]" },
        { 16, 0x01020304,
          "misplaced constructor 01020304 at byte 16: messages.channelMessages"
          ".messages" },
        { 20, 0x7fffffff,
          "the bytes end too early at byte 20: messages.channelMessages"
          ".messages" },
        { 0, 0x01020304, "unknown constructor 01020304 at byte 0" },
        { 68, 0x00ffff00 | 0xfe,
          "the bytes end too early at byte 68: messages.channelMessages"
          ".messages[0].message" },
        { 68, 0xff,
          "the bytes end too early at byte 68: messages.channelMessages"
          ".messages[0].message" },
    };
    const struct tl_schema *s = tl_schema_builtin(228);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        uint8_t bytes[512];
        size_t n = unhex(golden, bytes, sizeof bytes);
        struct tl_reader r = tl_reader_of(bytes, n);
        TG_CLEANUP(tg_buf_done) struct tg_buf out;
        struct tl_fault fault;

        tg_put_le32(bytes + row[i].at, row[i].value);
        tg_buf_init(&out, 1 << 16);
        assert_false(tl_skip(s, &r));
        assert_true(tl_explain(s, bytes, n, TL_NONE, &fault));
        tl_fault_text(s, &fault, &out);
        assert_string_equal(tg_buf_cstr(&out), row[i].text);
        if (i == 3) {
            assert_int_equal(fault.depth, 2);
            assert_int_equal(fault.path[0].ctor, TLN_messages_channelMessages);
            assert_int_equal(fault.path[0].field, TLN_messages);
            assert_int_equal(fault.path[0].item, 0);
            assert_int_equal(fault.path[1].field, TLN_entities);
        }
    }
}

/* textBold of textBold of ...: n levels and then textEmpty */
static size_t nest(const struct tl_schema *s, int n, uint8_t *out)
{
    for (int i = 0; i < n; i++)
        tg_put_le32(out + 4 * i, tl_id(s, i + 1 < n ? TLN_textBold : TLN_textEmpty));
    return 4 * (size_t)n;
}

static void depth_is_bounded(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    static uint8_t bytes[1 << 20];
    struct tl_fault fault;
    struct tl_reader r;

    (void)state;
    size_t n = nest(s, TL_DEPTH_MAX, bytes);
    r = tl_reader_of(bytes, n);
    assert_true(tl_skip(s, &r));
    n = nest(s, TL_DEPTH_MAX + 1, bytes);
    r = tl_reader_of(bytes, n);
    assert_false(tl_skip(s, &r));
    assert_true(tl_explain(s, bytes, n, TL_NONE, &fault));
    assert_int_equal(fault.kind, TL_FAULT_DEPTH);
    n = nest(s, sizeof bytes / 4, bytes);
    r = tl_reader_of(bytes, n);
    assert_false(tl_skip(s, &r));
    assert_true(tl_explain(s, bytes, n, TL_NONE, &fault));
    assert_int_equal(fault.kind, TL_FAULT_DEPTH);
    for (size_t i = 0; i < sizeof bytes; i += 8) { /* vectors in vectors */
        tg_put_le32(bytes + i, TL_VECTOR_ID);
        tg_put_le32(bytes + i + 4, 1);
    }
    r = tl_reader_of(bytes, sizeof bytes);
    assert_false(tl_skip(s, &r));
    assert_true(tl_explain(s, bytes, sizeof bytes, TL_NONE, &fault));
    assert_int_equal(fault.kind, TL_FAULT_DEPTH);
}

static void counts_are_bounded_by_the_bytes(void **state)
{
    static const char *const row[] = {
        "15c4b51c ffffffff",                           /* any */
        "15c4b51c 00000040 00000000",                  /* any */
        "59b4d662 15c4b51c ffffff7f 0100000000000000", /* msgs_ack: longs, 2^31 items */
        "59b4d662 15c4b51c 02000000 0100000000000000", /* one too many */
        "950850ae 0100000000000000 00000000 ffffffff", /* future_salts: bare vector */
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        uint8_t bytes[64];
        size_t n = unhex(row[i], bytes, sizeof bytes);
        struct tl_reader r = tl_reader_of(bytes, n);
        struct tl_fault fault;

        assert_false(tl_skip(tl_schema_builtin(0), &r));
        assert_true(tl_explain(tl_schema_builtin(0), bytes, n, TL_NONE, &fault));
        assert_int_equal(fault.kind, TL_FAULT_SHORT);
    }
    uint8_t bytes[8];
    unhex("15c4b51c 01000000", bytes, sizeof bytes);
    struct tl_reader r = tl_reader_of(bytes, sizeof bytes);
    assert_int_equal(tl_read_vector(&r, 4), 0);
    assert_true(r.bad);
}

static void reads_past_the_end_stick(void **state)
{
    static const uint8_t bytes[] = { 3, 'a', 'b', 'c', 1, 0, 0, 0, 9, 9 };
    struct tl_reader r = tl_reader_of(bytes, sizeof bytes);

    (void)state;
    assert_true(tg_str_eq(tl_read_str(&r), TG_STR("abc")));
    assert_int_equal(tl_read_u32(&r), 1);
    assert_false(r.bad);
    assert_int_equal(tl_read_i32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(tl_left(&r), 0);
    assert_int_equal(tl_peek_u32(&r), 0);
    assert_null(tl_read_int128(&r));
    assert_null(tl_read_str(&r).at);
    assert_false(tl_read_bool(&r));
    r = tl_reader_of(NULL, 0);
    assert_int_equal(tl_read_i64(&r), 0);
    assert_true(r.bad);
    assert_false(tl_skip(tl_schema_builtin(228), &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_found),
        cmocka_unit_test(opening_may_stop_early),
        cmocka_unit_test(objects_print_as_json),
        cmocka_unit_test(results_of_functions_print),
        cmocka_unit_test(faults_are_located),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(counts_are_bounded_by_the_bytes),
        cmocka_unit_test(reads_past_the_end_stick),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
