/* SPDX-License-Identifier: MIT */
/*
 * Value trees: one tree fits every layer, flags follow from what is present, mistakes are named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tl/value.h"
#include "tl/walk.h"

static struct tg_arena arena;
static struct tg_buf out, text;
static struct tg_error err;

static int set_up(void **state)
{
    (void)state;
    tg_arena_init(&arena, 1 << 20);
    tg_buf_init(&out, 1 << 20);
    tg_buf_init(&text, 1 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tg_arena_done(&arena);
    tg_buf_done(&out);
    tg_buf_done(&text);
    return 0;
}

static const char *json_of(int32_t layer, const struct tl_value *v)
{
    const struct tl_schema *s = tl_schema_builtin(layer);
    struct tg_json json;

    tg_buf_clear(&out);
    tg_buf_clear(&text);
    if (tl_encode(s, v, &out, &err) != TG_OK)
        fail_msg("%s", err.message);
    struct tl_reader r = tl_reader_of(out.data, out.len);
    tg_json_init(&json, &text);
    assert_true(tl_print_json(s, &r, &json, NULL));
    assert_ptr_equal(r.at, r.end);
    return tg_buf_cstr(&text);
}

static struct tl_value *peer(int64_t id)
{
    struct tl_value *p = tl_obj(&arena, TLN_peerUser);

    tl_set_long(p, TLN_user_id, id);
    return p;
}

static struct tl_value *reply_header(void)
{
    struct tl_value *h = tl_obj(&arena, TLN_messageReplyHeader);

    tl_set_bytes(h, TLN_poll_option, "\x01", 1); /* not at 198 */
    tl_set_int(h, TLN_reply_to_msg_id, 3);
    tl_set_true(h, TLN_quote, true);
    return h;
}

static void one_tree_fits_every_layer(void **state)
{
    (void)state;
    assert_string_equal(json_of(228, reply_header()),
                        "{\"_\":\"messageReplyHeader\",\"quote\":true,\"reply_to_msg_id\":3,"
                        "\"poll_option\":\"AQ==\"}");
    assert_string_equal(json_of(198, reply_header()),
                        "{\"_\":\"messageReplyHeader\",\"quote\":true,\"reply_to_msg_id\":3}");
}

static void absent_mandatory_fields_are_empty(void **state)
{
    (void)state;
    assert_string_equal(json_of(228, tl_obj(&arena, TLN_messages_channelMessages)),
                        "{\"_\":\"messages.channelMessages\",\"pts\":0,\"count\":0,"
                        "\"messages\":[],\"topics\":[],\"chats\":[],\"users\":[]}");
    assert_string_equal(json_of(228, tl_obj(&arena, TLN_updateNewMessage)),
                        "{\"_\":\"updateNewMessage\",\"message\":{\"_\":\"messageEmpty\","
                        "\"id\":0},\"pts\":0,\"pts_count\":0}");
    assert_string_equal(json_of(228, tl_obj(&arena, TLN_messageMediaGeo)),
                        "{\"_\":\"messageMediaGeo\",\"geo\":{\"_\":\"geoPointEmpty\"}}");
    /* views and forwards hang on one bit: one of them brings the other */
    struct tl_value *m = tl_obj(&arena, TLN_message);
    tl_set_int(m, TLN_views, 5);
    assert_string_equal(json_of(228, m),
                        "{\"_\":\"message\",\"id\":0,\"peer_id\":{\"_\":\"peerUser\",\"user_id\":0}"
                        ",\"date\":0,\"message\":\"\",\"views\":5,\"forwards\":0}");
}

static void the_last_value_counts(void **state)
{
    struct tl_value *h = tl_obj(&arena, TLN_messageReplyHeader);

    (void)state;
    for (int i = 0; i < 100; i++)
        tl_set_int(h, TLN_reply_to_msg_id, i);
    tl_set_true(h, TLN_quote, true);
    tl_set_true(h, TLN_quote, false);
    tl_set_cstr(h, TLN_quote_text, "x");
    tl_set_cstr(h, TLN_quote_text, NULL);
    tl_set_bool(h, TLN_forum_topic, false); /* a `true` flag: not set */
    assert_int_equal(tl_get_int(h, TLN_reply_to_msg_id, 0), 99);
    assert_string_equal(json_of(228, h), "{\"_\":\"messageReplyHeader\",\"reply_to_msg_id\":99}");
}

static void values_that_stand_alone(void **state)
{
    struct tl_value *v = tl_vector(&arena);

    (void)state;
    assert_string_equal(json_of(228, tl_bool(&arena, true)), "true");
    assert_string_equal(json_of(228, tl_bool(&arena, false)), "false");
    assert_string_equal(json_of(228, v), "[]");
    tl_add_obj(v, peer(1));
    tl_add_obj(v, peer(2));
    assert_string_equal(json_of(228, v), "[{\"_\":\"peerUser\",\"user_id\":1},"
                                         "{\"_\":\"peerUser\",\"user_id\":2}]");
    v = tl_vector(&arena);
    tl_add_int(v, 7);
    tl_add_long(v, 8);
    tg_buf_clear(&out);
    assert_int_equal(tl_encode(tl_schema_builtin(228), v, &out, &err), TG_OK);
    assert_int_equal(out.len, 8 + 4 + 8);
}

static void raw_bytes_are_embedded(void **state)
{
    struct tl_value *m = tl_obj(&arena, TLN_message), *list = tl_vector(&arena);

    (void)state;
    assert_int_equal(tl_encode(tl_schema_builtin(228), peer(12), &text, &err), TG_OK);
    char *raw = tg_arena_copy(&arena, text.data, text.len);
    size_t n = text.len;
    tl_set_raw(m, TLN_peer_id, raw, n);
    tl_set_raw(m, TLN_from_id, raw, n);
    assert_string_equal(json_of(228, m),
                        "{\"_\":\"message\",\"id\":0,\"from_id\":{\"_\":\"peerUser\","
                        "\"user_id\":12},\"peer_id\":{\"_\":\"peerUser\",\"user_id\":12},"
                        "\"date\":0,\"message\":\"\"}");
    tl_add_raw(list, raw, n);
    tl_add_obj(list, tl_raw(&arena, raw, n));
    assert_string_equal(json_of(228, list), "[{\"_\":\"peerUser\",\"user_id\":12},"
                                            "{\"_\":\"peerUser\",\"user_id\":12}]");
}

static void check_failure(int32_t layer, const struct tl_value *v, tg_code want, const char *part)
{
    tg_buf_clear(&out);
    tg_buf_str(&out, "kept");
    tg_code code = tl_encode(tl_schema_builtin(layer), v, &out, &err);
    if (code != want || !strstr(err.message, part))
        fail_msg("code %d: %s", code, err.message);
    assert_int_equal(out.len, 4);
}

static void mistakes_are_named(void **state)
{
    struct tl_value *m = tl_obj(&arena, TLN_message), *q;

    (void)state;
    check_failure(198, tl_obj(&arena, TLN_messages_getForumTopics), TG_NOT_FOUND,
                  "layer 198 has no 'messages.getForumTopics'");
    tl_set_obj(m, TLN_media, tl_obj(&arena, TLN_messageMediaToDo));
    check_failure(198, m, TG_NOT_FOUND, "'messageMediaToDo'");
    tl_unset(m, TLN_media);
    tl_set_obj(m, TLN_peer_id, tl_obj(&arena, TLN_userEmpty));
    check_failure(228, m, TG_DATA, "another type");
    tl_set_int(m, TLN_peer_id, 5);
    check_failure(228, m, TG_DATA, "an object was wanted in 'message'");
    tl_set_obj(m, TLN_peer_id, peer(1));
    tl_set_int(m, TLN_message, 5);
    check_failure(228, m, TG_DATA, "text was wanted in 'message'");
    tl_set_cstr(m, TLN_message, "");
    tl_set_cstr(m, TLN_date, "1");
    check_failure(228, m, TG_DATA, "a number was wanted in 'message'");
    q = tl_obj(&arena, TLN_invokeWithLayer);
    check_failure(228, q, TG_DATA, "missing in 'invokeWithLayer'");
    q = tl_obj(&arena, TLN_req_pq_multi);
    tl_set_bytes(q, TLN_nonce, "short", 5);
    check_failure(0, q, TG_DATA, "16 or 32 bytes");
    check_failure(228, NULL, TG_NOMEM, "no memory");
}

static void depth_and_size_are_bounded(void **state)
{
    struct tl_value *v = tl_obj(&arena, TLN_textEmpty);
    struct tg_buf tiny;

    (void)state;
    for (int i = 0; i < 200; i++) {
        struct tl_value *up = tl_obj(&arena, TLN_textBold);

        tl_set_obj(up, TLN_text, v);
        v = up;
    }
    check_failure(228, v, TG_LIMIT, "too deeply");
    tg_buf_init(&tiny, 10);
    assert_int_equal(tl_encode(tl_schema_builtin(228), peer(5), &tiny, &err), TG_LIMIT);
    tg_buf_done(&tiny);
}

static void no_memory_is_told_by_encode(void **state)
{
    (void)state;
    for (size_t max = 24; max < 6000; max += 24) {
        struct tg_arena small;
        tg_arena_init(&small, max);
        struct tl_value *m = tl_obj(&small, TLN_message);

        for (int i = 0; i < 20; i++)
            tl_set_int(m, TLN_id, i);
        struct tl_value *list = tl_set_vector(m, TLN_entities);
        for (int i = 0; i < 20; i++)
            tl_set_int(tl_add_new(list, TLN_messageEntityBold), TLN_offset, i);
        tl_set_copy(m, TLN_message, "text", 4);
        tg_buf_clear(&out);
        tg_code code = tl_encode(tl_schema_builtin(228), m, &out, &err);
        assert_true(code == TG_OK || code == TG_NOMEM);
        tg_arena_done(&small);
    }
}

static void requests_are_read_back(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    struct tl_value *layer = tl_obj(&arena, TLN_invokeWithLayer);
    struct tl_value *init = tl_set_new(layer, TLN_query, TLN_initConnection);
    struct tl_value *get = tl_set_new(init, TLN_query, TLN_channels_getMessages), *ids, *id;

    (void)state;
    tl_set_int(layer, TLN_layer, 228);
    tl_set_int(init, TLN_api_id, 9);
    tl_set_cstr(init, TLN_device_model, "test");
    tl_set_new(get, TLN_channel, TLN_inputChannelEmpty);
    ids = tl_set_vector(get, TLN_id);
    for (int i = 1; i <= 3; i++) {
        id = tl_add_new(ids, TLN_inputMessageID);
        tl_set_int(id, TLN_id, i * 10);
    }
    tg_buf_clear(&out);
    assert_int_equal(tl_encode(s, layer, &out, &err), TG_OK);
    struct tl_reader r = tl_reader_of(out.data, out.len);
    const struct tl_value *v = tl_decode(s, &r, &arena);
    assert_int_equal(tl_name(v), TLN_invokeWithLayer);
    assert_int_equal(tl_get_int(v, TLN_layer, 0), 228);
    v = tl_get_obj(v, TLN_query);
    assert_int_equal(tl_name(v), TLN_initConnection);
    assert_true(tg_str_eq(tl_get_str(v, TLN_device_model), TG_STR("test")));
    assert_null(tl_get_obj(v, TLN_proxy));
    v = tl_get_obj(v, TLN_query);
    assert_int_equal(tl_name(v), TLN_channels_getMessages);
    v = tl_get_vector(v, TLN_id);
    assert_int_equal(tl_len(v), 3);
    assert_int_equal(tl_get_int(tl_item(v, 2), TLN_id, 0), 30);
    assert_null(tl_item(v, 3));
    assert_int_equal(tl_item_long(v, 0), 0); /* an object, no number */
    assert_int_equal(tl_get_long(NULL, TLN_id, -4), -4);
    assert_int_equal(tl_name(NULL), 0);
    assert_int_equal(tl_len(NULL), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_tree_fits_every_layer),  TEST(absent_mandatory_fields_are_empty),
        TEST(the_last_value_counts),      TEST(values_that_stand_alone),
        TEST(raw_bytes_are_embedded),     TEST(mistakes_are_named),
        TEST(depth_and_size_are_bounded), TEST(no_memory_is_told_by_encode),
        TEST(requests_are_read_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
