/* SPDX-License-Identifier: MIT */
/*
 * Exports of Telegram Desktop: what of a message survives the way into TL, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim/import_int.h"
#include "tl/walk.h"

static const struct sim_world_options options = { .seed = 1, .n_chats = 1 };

static struct sim_world *load(const char *text)
{
    struct sim_world *w = NULL;
    struct tg_error err = { 0 };

    if (sim_world_from_json(&options, "result.json", tg_str_of(text), &w, &err) != TG_OK)
        fail_msg("%s", err.message);
    return w;
}

#define HEAD "{\"name\":\"Fish & \\\"Chips\\\"\",\"type\":\"private_supergroup\",\"id\":1500000001,"
#define AT "\"date\":\"2023-01-01T12:00:00\",\"date_unixtime\":\"1672574400\","
#define ANNA "\"from\":\"Anna\",\"from_id\":\"user111\","

static const char group[] = HEAD
    "\"messages\":["
    "{\"id\":1,\"type\":\"service\"," AT "\"actor\":\"Anna\",\"actor_id\":\"user111\","
    "\"action\":\"invite_members\",\"members\":[\"Ben\",null,\"Carol\"],\"text\":\"\"},"
    "{\"id\":2,\"type\":\"message\"," AT ANNA "\"text\":[\"\xf0\x9f\x98\x80 see \","
    "{\"type\":\"bold\",\"text\":\"this\"},\" and \","
    "{\"type\":\"text_link\",\"text\":\"that\",\"href\":\"https://a.example/\"},"
    "{\"type\":\"mention_name\",\"text\":\"Ben\",\"user_id\":222}],"
    "\"edited\":\"2023-01-01T12:05:00\",\"edited_unixtime\":\"1672574700\"},"
    "{\"id\":4,\"type\":\"message\"," AT "\"from\":null,\"from_id\":\"user333\","
    "\"reply_to_message_id\":2,\"text\":\"gone\",\"text_entities\":[{\"type\":\"plain\","
    "\"text\":\"gone\"}],\"forwarded_from\":\"News\",\"forwarded_from_id\":\"channel77\","
    "\"via_bot\":\"@gif\",\"reactions\":[{\"type\":\"emoji\",\"count\":3,"
    "\"emoji\":\"\xf0\x9f\x91\x8d\","
    "\"recent\":[{\"from\":\"Dora\",\"from_id\":\"user444\",\"date\":\"2023-01-02T00:00:00\"}]}]},"
    "{\"id\":9,\"type\":\"message\"," AT ANNA "\"photo\":\"photos/1.jpg\",\"width\":640,"
    "\"height\":480,\"photo_file_size\":12345,\"text\":\"\"},"
    "{\"id\":10,\"type\":\"message\"," AT ANNA "\"file\":\"f.ogg\",\"file_size\":777,"
    "\"media_type\":\"voice_message\",\"mime_type\":\"audio/ogg\",\"duration_seconds\":4,"
    "\"text\":\"\"},"
    "{\"id\":11,\"type\":\"message\"," AT ANNA "\"poll\":{\"question\":\"Q?\",\"closed\":true,"
    "\"total_voters\":5,\"answers\":[{\"text\":\"a\",\"voters\":2,\"chosen\":true},"
    "{\"text\":\"b\",\"voters\":3,\"chosen\":false}]},\"text\":\"\"}"
    "]}";

struct fixture {
    struct sim_world *w;
    struct tg_arena arena;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->w = load(group);
    tg_arena_init(&f->arena, 16 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tg_arena_done(&f->arena);
    sim_world_free(f->w);
    free(f);
    return 0;
}

static struct tl_value *message(struct fixture *f, int64_t id)
{
    return sim_world_message(f->w, sim_world_account(f->w, 0), sim_world_chat(f->w, 0), id,
                             &f->arena);
}

static void assert_str(const struct tl_value *o, uint32_t field, const char *want)
{
    struct tg_str s = tl_get_str(o, field);

    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.at, want, s.len);
}

static void chat_and_ids_are_those_of_the_file(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = sim_world_chat(f->w, 0);
    static const int64_t want[] = { 1, 2, 4, 9, 10, 11 };
    int32_t ids[100], offset;
    const struct sim_page newest = { .limit = 3 };

    assert_int_equal(sim_world_chats(f->w), 1);
    assert_int_equal(chat->kind, SIM_SUPERGROUP);
    assert_int_equal(chat->marked_id, INT64_C(-1001500000001));
    assert_string_equal(chat->title, "Fish & \"Chips\"");
    assert_int_equal(chat->n_messages, TG_COUNT(want));
    assert_int_equal(chat->top_id, 11);
    for (size_t i = 0; i < TG_COUNT(want); i++) {
        assert_int_equal(sim_world_select(f->w, chat, i), want[i]);
        assert_int_equal(sim_world_rank(f->w, chat, want[i]), i);
        assert_true(sim_world_exists(f->w, chat, want[i]));
    }
    assert_false(sim_world_exists(f->w, chat, 3));
    assert_int_equal(sim_world_page(f->w, chat, &newest, ids, &offset), 3);
    assert_int_equal(ids[2], 9);
    assert_int_equal(tl_name(message(f, 3)), TLN_messageEmpty);
}

static void text_pieces_become_entities(void **state)
{
    struct fixture *f = *state;
    struct tl_value *m = message(f, 2);
    const struct tl_value *list = tl_get_vector(m, TLN_entities);

    assert_str(m, TLN_message, "\xf0\x9f\x98\x80 see this and thatBen");
    assert_int_equal(tl_len(list), 3);
    assert_int_equal(tl_name(tl_item(list, 0)), TLN_messageEntityBold);
    assert_int_equal(tl_get_int(tl_item(list, 0), TLN_offset, -1), 7); /* the emoji counts two */
    assert_int_equal(tl_get_int(tl_item(list, 0), TLN_length, -1), 4);
    assert_int_equal(tl_name(tl_item(list, 1)), TLN_messageEntityTextUrl);
    assert_str(tl_item(list, 1), TLN_url, "https://a.example/");
    assert_int_equal(tl_get_long(tl_item(list, 2), TLN_user_id, 0), 222);
    assert_int_equal(tl_get_int(m, TLN_edit_date, 0), 1672574700);
    assert_int_equal(tl_get_int(m, TLN_date, 0), 1672574400);
    assert_int_equal(tl_get_long(tl_get_obj(m, TLN_from_id), TLN_user_id, 0), 111);
}

static void replies_forwards_and_reactions_are_kept(void **state)
{
    struct fixture *f = *state;
    struct tl_value *m = message(f, 4);
    const struct tl_value *fwd = tl_get_obj(m, TLN_fwd_from);
    const struct tl_value *reactions = tl_get_obj(m, TLN_reactions);
    const struct tl_value *one = tl_item(tl_get_vector(reactions, TLN_results), 0);

    assert_int_equal(tl_get_int(tl_get_obj(m, TLN_reply_to), TLN_reply_to_msg_id, 0), 2);
    assert_int_equal(tl_get_long(tl_get_obj(fwd, TLN_from_id), TLN_channel_id, 0), 77);
    assert_int_equal(tl_get_int(one, TLN_count, 0), 3);
    assert_str(tl_get_obj(one, TLN_reaction), TLN_emoticon, "\xf0\x9f\x91\x8d");
    one = tl_item(tl_get_vector(reactions, TLN_recent_reactions), 0);
    assert_int_equal(tl_get_long(tl_get_obj(one, TLN_peer_id), TLN_user_id, 0), 444);
    assert_int_equal(tl_get_long(m, TLN_via_bot_id, 0), sim_import_named_id("@gif"));
}

static void media_keep_kind_and_size(void **state)
{
    struct fixture *f = *state;
    const struct tl_value *photo = tl_get_obj(tl_get_obj(message(f, 9), TLN_media), TLN_photo);
    const struct tl_value *size = tl_item(tl_get_vector(photo, TLN_sizes), 0);
    const struct tl_value *voice = tl_get_obj(message(f, 10), TLN_media);
    const struct tl_value *poll = tl_get_obj(message(f, 11), TLN_media);
    int64_t file_id = tl_get_long(tl_get_obj(voice, TLN_document), TLN_id, 0);

    assert_int_equal(tl_get_int(size, TLN_size, 0), 12345);
    assert_int_equal(tl_get_int(size, TLN_w, 0), 640);
    assert_true(tl_get_bool(voice, TLN_voice));
    assert_int_equal(tl_get_long(tl_get_obj(voice, TLN_document), TLN_size, 0), 777);
    assert_int_equal(sim_world_file_size(f->w, file_id), 777);
    assert_int_equal(tl_name(poll), TLN_messageMediaPoll);
    assert_int_equal(tl_len(tl_get_vector(tl_get_obj(poll, TLN_poll), TLN_answers)), 2);
}

static void people_are_in_the_reply(void **state)
{
    struct fixture *f = *state;
    struct sim_peers *peers = sim_peers_new();
    struct tl_value *reply = tl_obj(&f->arena, TLN_messages_channelMessages);
    const struct tl_value *users;
    bool deleted = false, anna = false, ben = false;

    assert_non_null(peers);
    for (int64_t id = 1; id <= 11; id++)
        sim_peers_add_message(peers, f->w, sim_world_chat(f->w, 0), id);
    sim_peers_set(peers, f->w, sim_world_account(f->w, 0), reply, &f->arena);
    users = tl_get_vector(reply, TLN_users);
    for (uint32_t i = 0; i < tl_len(users); i++) {
        const struct tl_value *u = tl_item(users, i);

        anna |= tg_str_eq(tl_get_str(u, TLN_first_name), TG_STR("Anna"));
        ben |= tl_get_long(u, TLN_id, 0) == sim_import_named_id("Ben");
        deleted |= tl_get_bool(u, TLN_deleted) && tl_get_long(u, TLN_id, 0) == 333;
    }
    assert_true(anna && ben && deleted);
    assert_int_equal(tl_len(tl_get_vector(reply, TLN_chats)), 2); /* the group and "News" */
    sim_peers_free(peers);
}

static void every_message_encodes(void **state)
{
    static const int32_t layers[] = { 198, 228, 229 };
    struct fixture *f = *state;
    struct tg_error err = { 0 };
    struct tg_buf out;

    tg_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < TG_COUNT(layers); i++) {
        for (int64_t id = 1; id <= 11; id++) {
            struct tl_reader r;

            tg_buf_clear(&out);
            if (tl_encode(tl_schema_builtin(layers[i]), message(f, id), &out, &err) != TG_OK)
                fail_msg("layer %d: %s", layers[i], err.message);
            r = tl_reader_of(out.data, out.len);
            assert_true(tl_skip(tl_schema_builtin(layers[i]), &r) && tl_left(&r) == 0);
        }
    }
    tg_buf_done(&out);
}

/* Every action that the table knows, and one that nobody knows. */
static void service_actions_are_told_apart(void **state)
{
    static const struct {
        const char *members; /* JSON behind "action": */
        uint32_t name;
    } rows[] = {
        { "\"create_group\",\"title\":\"T\",\"members\":[\"A\"]", TLN_messageActionChatCreate },
        { "\"create_channel\",\"title\":\"T\"", TLN_messageActionChannelCreate },
        { "\"edit_group_title\",\"title\":\"T\"", TLN_messageActionChatEditTitle },
        { "\"edit_group_photo\",\"photo\":\"p\"", TLN_messageActionChatEditPhoto },
        { "\"delete_group_photo\"", TLN_messageActionChatDeletePhoto },
        { "\"remove_members\",\"members\":[\"A\"]", TLN_messageActionChatDeleteUser },
        { "\"remove_members\",\"members\":[]", TLN_messageActionChatDeleteUser },
        { "\"join_group_by_link\",\"inviter\":\"A\"", TLN_messageActionChatJoinedByLink },
        { "\"join_group_by_request\"", TLN_messageActionChatJoinedByRequest },
        { "\"pin_message\",\"message_id\":3", TLN_messageActionPinMessage },
        { "\"phone_call\",\"discard_reason\":\"missed\"", TLN_messageActionPhoneCall },
        { "\"group_call\",\"duration\":3", TLN_messageActionGroupCall },
        { "\"invite_to_group_call\",\"members\":[\"A\"]", TLN_messageActionInviteToGroupCall },
        { "\"set_messages_ttl\",\"period\":86400", TLN_messageActionSetMessagesTTL },
        { "\"topic_created\",\"title\":\"T\"", TLN_messageActionTopicCreate },
        { "\"score_in_game\",\"score\":3", TLN_messageActionGameScore },
        { "\"something_new\"", TLN_messageActionCustomAction },
        { "7", TLN_messageActionCustomAction },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct tg_error err = { 0 };
        struct tg_arena arena;
        struct sim_world *w;
        struct tl_value *m;
        struct tg_buf out;
        char text[512];

        snprintf(text, sizeof text,
                 "%s\"messages\":[{\"id\":5,\"type\":\"service\",%s\"action\":%s}]}", HEAD, AT,
                 rows[i].members);
        w = load(text);
        tg_arena_init(&arena, 1 << 20);
        tg_buf_init(&out, 1 << 16);
        m = sim_world_message(w, sim_world_account(w, 0), sim_world_chat(w, 0), 5, &arena);
        assert_int_equal(tl_name(m), TLN_messageService);
        assert_int_equal(tl_name(tl_get_obj(m, TLN_action)), rows[i].name);
        assert_int_equal(tl_encode(tl_schema_builtin(228), m, &out, &err), TG_OK);
        tg_buf_done(&out);
        tg_arena_done(&arena);
        sim_world_free(w);
    }
}

static void a_full_export_has_all_chats(void **state)
{
    struct sim_world *w = load(
        "{\"about\":\"x\",\"personal_information\":{\"user_id\":4242,\"first_name\":\"Me\"},"
        "\"contacts\":{\"list\":[1,{\"messages\":[]}]},"
        "\"chats\":{\"about\":\"y\",\"list\":["
        "{\"name\":\"Anna\",\"type\":\"personal_chat\",\"id\":111,\"messages\":["
        "{\"id\":1,\"type\":\"message\"," AT ANNA "\"text\":\"hi\"},"
        "{\"id\":2,\"type\":\"message\"," AT "\"from\":\"Me\",\"from_id\":\"user4242\","
        "\"text\":\"ho\"}]},"
        "{\"messages\":[],\"id\":5,\"type\":\"private_group\",\"name\":\"G\"},"
        "{\"name\":\"C\",\"type\":\"public_channel\",\"id\":99,\"messages\":["
        "{\"id\":7,\"type\":\"message\"," AT "\"from\":\"C\",\"from_id\":\"channel99\","
        "\"author\":\"Dora\",\"text\":\"post\"}]},"
        "{\"name\":\"S\",\"type\":\"private_supergroup\",\"id\":98,\"messages\":["
        "{\"id\":-999999997,\"type\":\"service\"," AT "\"action\":\"migrate_to_supergroup\"},"
        "{\"id\":1,\"type\":\"service\"," AT "\"action\":\"migrate_from_group\",\"title\":\"S\"}]}"
        "]},\"left_chats\":{\"list\":[{\"name\":\"L\",\"type\":\"public_channel\",\"id\":97,"
        "\"messages\":[]}]}}");
    const struct sim_account *me = sim_world_account(w, 0);
    const struct sim_chat *super = sim_world_chat_by_id(w, -INT64_C(1000000000098)), *old;
    struct tg_arena arena;
    struct tl_value *m;

    (void)state;
    tg_arena_init(&arena, 1 << 20);
    assert_int_equal(sim_world_chats(w), 6);
    assert_int_equal(me->user_id, 4242);
    assert_int_equal(super->kind, SIM_MIGRATED);
    old = sim_world_chat(w, (size_t)super->migrated_from);
    assert_int_equal(old->kind, SIM_BASIC_GROUP);
    assert_int_equal(old->top_id, 3);
    assert_ptr_equal(sim_world_migrated_to(w, old), super);
    m = sim_world_message(w, me, old, 3, &arena);
    assert_int_equal(tl_get_long(tl_get_obj(m, TLN_action), TLN_channel_id, 0), 98);
    m = sim_world_message(w, me, super, 1, &arena);
    assert_int_equal(tl_get_long(tl_get_obj(m, TLN_action), TLN_chat_id, 0), old->id);
    m = sim_world_message(w, me, sim_world_chat_by_id(w, 111), 2, &arena);
    assert_true(tl_get_bool(m, TLN_out));
    m = sim_world_message(w, me, sim_world_chat_by_id(w, -INT64_C(1000000000099)), 7, &arena);
    assert_true(tl_get_bool(m, TLN_post));
    assert_null(tl_get_obj(m, TLN_from_id));
    assert_str(m, TLN_post_author, "Dora");
    assert_false(sim_world_member(w, me, sim_world_chat_by_id(w, -INT64_C(1000000000097))));
    tg_arena_done(&arena);
    sim_world_free(w);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        { "", "line 1: expected '{'" },
        { "[]", "line 1: expected '{'" },
        { "{}", "no export" },
        { "{\"chats\":[]}", "expected '{'" },
        { "{\"chats\":{\"list\":[]}}", "no export" },
        { "{\n\"messages\":\n[}", "line 3: no valid JSON" },
        { HEAD "\"messages\":[1]}", "a message is no object" },
        { HEAD "\"messages\":[{}]}", "without id" },
        { HEAD "\"messages\":[{\"id\":1}]}", "without a valid date" },
        { HEAD "\"messages\":[{\"id\":\"1\"," AT "\"x\":1}]}", "without id" },
        { HEAD "\"messages\":[{\"id\":0," AT "\"x\":1}]}", "out of range" },
        { HEAD "\"messages\":[{\"id\":2147483647," AT "\"x\":1}]}", "out of range" },
        { HEAD "\"messages\":[{\"id\":99999999999999999999," AT "\"x\":1}]}", "no valid JSON" },
        { HEAD "\"messages\":[{\"id\":1," AT "\"x\":1},\n{\"id\":1," AT "\"x\":1}]}",
          "line 2: two messages of a chat have the same id" },
        { HEAD "\"messages\":[],\"messages\":[]}", "two lists" },
        { HEAD "\"messages\":[]", "expected ','" },
        { HEAD "\"messages\":[]} x", "more text behind the end" },
        { "{\"type\":\"private_supergroup\",\"messages\":[]}", "without a valid id" },
        { "{\"type\":\"club\",\"id\":1,\"messages\":[]}", "unknown type" },
        { "{\"id\":1,\"messages\":[]}", "without type" },
        { "{\"type\":\"private_group\",\"id\":1,\"messages\":[{\"id\":-5," AT "\"x\":1}]}",
          "no supergroup" },
        { HEAD "\"messages\":[{\"id\":1," AT "\"x\":\"\xff\"}]}", "no valid JSON" },
        { HEAD "\"messages\":[{\"id\":1," AT "\"x\":\"\\ud800\"}]}", "no valid JSON" },
        { "{\"chats\":{\"list\":[" HEAD "\"messages\":[]}," HEAD "\"messages\":[]}]}}",
          "two chats have the id" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct sim_world *w = NULL;
        struct tg_error err = { 0 };
        tg_code code =
            sim_world_from_json(&options, "result.json", tg_str_of(rows[i].text), &w, &err);

        if (code != TG_DATA || !strstr(err.message, rows[i].part))
            fail_msg("row %zu: %s: %s", i, tg_code_name(code), err.message);
        assert_null(w);
    }
}

static void deep_nesting_is_refused(void **state)
{
    size_t n = 1 << 20;
    char *text = malloc(n + 1);
    struct sim_world *w;
    struct tg_error err = { 0 };

    (void)state;
    assert_non_null(text);
    memset(text, '[', n);
    memcpy(text, "{\"a\":", 5);
    text[n] = 0;
    assert_int_equal(sim_world_from_json(&options, "x", tg_str_of(text), &w, &err), TG_DATA);
    free(text);
}

static void files_are_read_and_missing_ones_named(void **state)
{
    char path[] = "/tmp/sim_import_XXXXXX";
    struct sim_world_options o = options;
    struct sim_world *w = NULL;
    struct tg_error err = { 0 };
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, group, strlen(group)), (long)strlen(group));
    close(fd);
    o.import = path;
    assert_int_equal(sim_world_new(&o, &w, &err), TG_OK);
    assert_int_equal(sim_world_chat(w, 0)->n_messages, 6);
    sim_world_free(w);
    unlink(path);
    assert_int_equal(sim_world_new(&o, &w, &err), TG_USAGE);
    o.import = "/tmp";
    assert_true(sim_world_new(&o, &w, &err) != TG_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        WITH(chat_and_ids_are_those_of_the_file),
        WITH(text_pieces_become_entities),
        WITH(replies_forwards_and_reactions_are_kept),
        WITH(media_keep_kind_and_size),
        WITH(people_are_in_the_reply),
        WITH(every_message_encodes),
        cmocka_unit_test(service_actions_are_told_apart),
        cmocka_unit_test(a_full_export_has_all_chats),
        cmocka_unit_test(bad_files_are_refused_with_their_line),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(files_are_read_and_missing_ones_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
