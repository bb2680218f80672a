/* SPDX-License-Identifier: MIT */
/*
 * rows.c - messages of every shape, and service messages, become the rows they should
 */
#include "tests/unit/rows_kit.h"

/* ---- one message, one field ---- */

static void from_private(struct tl_value *m, struct tg_arena *a)
{
    tl_unset(m, TLN_from_id);
    tl_set_obj(m, TLN_peer_id, sample_user_peer(a, 55));
}

static void from_private_out(struct tl_value *m, struct tg_arena *a)
{
    from_private(m, a);
    tl_set_true(m, TLN_out, true);
}

static void from_post(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_unset(m, TLN_from_id);
    tl_set_true(m, TLN_post, true);
    tl_set_cstr(m, TLN_post_author, "The Editor");
}

static void from_anonymous(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_unset(m, TLN_from_id);
}

static void from_channel(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(m, TLN_from_id, sample_channel_peer(a, SAMPLE_CHANNEL));
}

static void from_stranger(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, 424242));
}

static void from_first_name_only(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER + 3));
}

static void with_no_entities(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_vector(m, TLN_entities);
}

static void reply_elsewhere(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(reply_of(m, 17), TLN_reply_to_peer_id, sample_channel_peer(a, 5));
}

static void reply_in_thread(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_int(reply_of(m, 17), TLN_reply_to_top_id, 9);
}

static void in_topic(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_true(reply_of(m, 8), TLN_forum_topic, true);
}

static void reply_in_topic(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *r = reply_of(m, 17);

    (void)a;
    tl_set_true(r, TLN_forum_topic, true);
    tl_set_int(r, TLN_reply_to_top_id, 8);
}

static void reply_to_story(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *r = tl_set_new(m, TLN_reply_to, TLN_messageReplyStoryHeader);

    tl_set_obj(r, TLN_peer, sample_user_peer(a, 5));
    tl_set_int(r, TLN_story_id, 3);
}

static void forwarded_hidden(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = tl_set_new(m, TLN_fwd_from, TLN_messageFwdHeader);

    (void)a;
    tl_set_cstr(w, TLN_from_name, "Hidden One");
    tl_set_int(w, TLN_date, 1600000000);
}

static void with_numbers(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_int(m, TLN_edit_date, 1700000777);
    tl_set_int(m, TLN_views, 5);
    tl_set_int(m, TLN_forwards, 0);
    tl_set_long(m, TLN_grouped_id, 13500000000000001);
    tl_set_long(m, TLN_via_bot_id, 777);
    tl_set_int(m, TLN_ttl_period, 86400);
    tl_set_int(tl_set_new(m, TLN_replies, TLN_messageReplies), TLN_replies, 12);
    tl_set_true(m, TLN_silent, true);
    tl_set_true(m, TLN_pinned, true);
    tl_set_true(m, TLN_noforwards, true);
}

static void with_odd_bytes(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_bytes(m, TLN_message, "a\0b\xff\xc3(\x01", 7);
}

#define FORUM { .chat_id = -1000001234567, .forum = true }
#define OWNED { .chat_id = 55, .owner = 4711 }
#define PROTECTED { .chat_id = -1000001234567, .protected_chat = true }
#define COPIED { .chat_id = -1000001234567, .copy = true }

static const struct field_case field_row[] = {
    { "kind", as_is, TG_F_kind, "message", { 0 } },
    { "chat id is that of the options", as_is, TG_F_chat_id, "55", OWNED },
    { "owner is that of the options", as_is, TG_F_owner, "4711", OWNED },
    { "date", as_is, TG_F_date, "1700001000", { 0 } },
    { "sender said outright", as_is, TG_F_sender_id, "700000000", { 0 } },
    { "private chat: the other side", from_private, TG_F_sender_id, "55", OWNED },
    { "private chat: ourselves", from_private_out, TG_F_sender_id, "4711", OWNED },
    { "outgoing", from_private_out, TG_F_outgoing, "1", OWNED },
    { "a channel post has no sender", from_post, TG_F_sender_id, "", { 0 } },
    { "a channel post is one", from_post, TG_F_post, "1", { 0 } },
    { "signature", from_post, TG_F_post_author, "The Editor", { 0 } },
    { "anonymous administrator", from_anonymous, TG_F_sender_id, "-1000001234567", { 0 } },
    { "sent as the channel", from_channel, TG_F_sender_id, "-1000001234567", { 0 } },
    { "sent as the channel: its title", from_channel, TG_F_sender_name, "The group", { 0 } },
    { "sent as the channel: its username", from_channel, TG_F_sender_username, "the_group", { 0 } },
    { "an unknown sender is kept", from_stranger, TG_F_sender_id, "424242", { 0 } },
    { "an unknown sender has no name", from_stranger, TG_F_sender_name, "", { 0 } },
    { "first name only", from_first_name_only, TG_F_sender_name, "Name3", { 0 } },
    { "first and last name", from_two_names, TG_F_sender_name, "Name7 Surname", { 0 } },
    { "first and last name, copied", from_two_names, TG_F_sender_name, "Name7 Surname", COPIED },
    { "username", from_two_names, TG_F_sender_username, "user_7", { 0 } },
    { "no username", as_is, TG_F_sender_username, "", { 0 } },
    { "text", as_is, TG_F_text, "text", { 0 } },
    { "text, copied", as_is, TG_F_text, "text", COPIED },
    { "entities", with_entities, TG_F_entities,
      "[{\"type\":\"bold\",\"offset\":0,\"length\":4},"
      "{\"type\":\"pre\",\"offset\":4,\"length\":4,\"language\":\"c\"},"
      "{\"type\":\"text_url\",\"offset\":8,\"length\":4,\"url\":\"https://e.org/\\\"q\\\"\"},"
      "{\"type\":\"mention_name\",\"offset\":12,\"length\":4,\"user_id\":99},"
      "{\"type\":\"custom_emoji\",\"offset\":16,\"length\":4,\"document_id\":5368324170671202286},"
      "{\"type\":\"blockquote\",\"offset\":20,\"length\":4,\"collapsed\":true}]", { 0 } },
    { "an empty list of entities", with_no_entities, TG_F_entities, "", { 0 } },
    { "reply", reply_plain, TG_F_reply_to_id, "17", { 0 } },
    { "a reply in a group makes a thread", reply_plain, TG_F_thread_id, "17", { 0 } },
    { "a reply elsewhere", reply_elsewhere, TG_F_reply_to_chat_id, "-1000000000005", { 0 } },
    { "a reply elsewhere makes no thread", reply_elsewhere, TG_F_thread_id, "", { 0 } },
    { "thread", reply_in_thread, TG_F_thread_id, "9", { 0 } },
    { "a thread is no topic", reply_in_thread, TG_F_topic_id, "1", FORUM },
    { "no forum, no topic", in_topic, TG_F_topic_id, "", { 0 } },
    { "topic named by the reply", in_topic, TG_F_topic_id, "8", FORUM },
    { "topic of a reply", reply_in_topic, TG_F_topic_id, "8", FORUM },
    { "reply within a topic", reply_in_topic, TG_F_reply_to_id, "17", FORUM },
    { "no topic means General", as_is, TG_F_topic_id, "1", FORUM },
    { "a story is no message", reply_to_story, TG_F_reply_to_id, "", { 0 } },
    { "forwarded post: channel", forwarded_post, TG_F_forward_from_id, "-1000000000077", { 0 } },
    { "forwarded post: id", forwarded_post, TG_F_forward_message_id, "345", { 0 } },
    { "forwarded post: date", forwarded_post, TG_F_forward_date, "1600000000", { 0 } },
    { "hidden forward: name", forwarded_hidden, TG_F_forward_from_name, "Hidden One", { 0 } },
    { "hidden forward: no id", forwarded_hidden, TG_F_forward_from_id, "", { 0 } },
    { "edit date", with_numbers, TG_F_edit_date, "1700000777", { 0 } },
    { "views", with_numbers, TG_F_views, "5", { 0 } },
    { "no forwards yet", with_numbers, TG_F_forwards, "0", { 0 } },
    { "album", with_numbers, TG_F_album_id, "13500000000000001", { 0 } },
    { "via bot", with_numbers, TG_F_via_bot_id, "777", { 0 } },
    { "time to live", with_numbers, TG_F_ttl_s, "86400", { 0 } },
    { "replies", with_numbers, TG_F_replies, "12", { 0 } },
    { "silent", with_numbers, TG_F_silent, "1", { 0 } },
    { "pinned", with_numbers, TG_F_pinned, "1", { 0 } },
    { "protected message", with_numbers, TG_F_protected, "1", { 0 } },
    { "protected chat", as_is, TG_F_protected, "1", PROTECTED },
    { "not protected", as_is, TG_F_protected, "", { 0 } },
    { "reactions", with_reactions, TG_F_reactions,
      "[{\"reaction\":\"\xf0\x9f\x91\x8d\",\"count\":3},"
      "{\"reaction\":\"5368324170671202286\",\"count\":4},"
      "{\"reaction\":\"paid\",\"count\":5},{\"reaction\":null,\"count\":6}]", { 0 } },
    { "odd bytes stay as they are in the row", with_odd_bytes, TG_F_text, "a", { 0 } },
};

static void test_fields(void **state)
{
    (void)state;
    check_fields(field_row, TG_COUNT(field_row));
}

static void test_odd_bytes_become_valid_json(void **state)
{
    struct fixture f;
    struct tl_value *m;
    json_t *json;

    (void)state;
    start(&f);
    m = plain_message(&f.arena);
    with_odd_bytes(m, &f.arena);
    open_value(&f, one_message_page(&f.arena, m));
    json = check_json(row_at(&f, 0, &(struct tg_row_options){ .chat_id = 1, .raw = true }));
    assert_memory_equal(json_string_value(json_object_get(json, "text")),
                        "a\0b\xef\xbf\xbd\xef\xbf\xbd(\x01", 11);
    json_decref(json);
    finish(&f);
}

/* ---- service messages ---- */

static void test_service_messages(void **state)
{
    static const struct {
        uint32_t action;
        const char *name, *data; /* NULL: not compared */
        int64_t migration;
    } row[] = {
        { TLN_messageActionChatAddUser, "chat_add_user", "{\"users\":[5]}", 0 },
        { TLN_messageActionChatEditTitle, "chat_edit_title", "{\"title\":\"N\"}", 0 },
        { TLN_messageActionPinMessage, "pin_message", "", 0 },
        { TLN_messageActionSetMessagesTTL, "set_messages_ttl", "{\"period\":0}", 0 },
        { TLN_messageActionChatMigrateTo, "chat_migrate_to", "{\"channel_id\":9}", -1000000000009 },
        { TLN_messageActionChannelMigrateFrom, "channel_migrate_from",
          "{\"title\":\"N\",\"chat_id\":8}", -8 },
        { TLN_messageActionTopicCreate, "topic_create", NULL, 0 },
    };
    struct tg_row_options forum = { .chat_id = -1000001234567, .forum = true };
    struct fixture f;
    char got[200];

    (void)state;
    start(&f);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tl_value *action, *m = service(&f.arena, row[i].action, &action);
        const struct tg_row *r;

        tl_set_cstr(action, TLN_title, "N");
        tl_set_long(action, TLN_channel_id, 9);
        tl_set_long(action, TLN_chat_id, 8);
        if (row[i].action == TLN_messageActionChatAddUser)
            tl_add_long(tl_set_vector(action, TLN_users), 5);
        open_value(&f, one_message_page(&f.arena, m));
        r = row_at(&f, 0, &forum);
        assert_true(tg_page_migration(f.page, 0) == row[i].migration);
        field_text(r, TG_F_kind, got, sizeof got);
        assert_string_equal(got, "service");
        field_text(r, TG_F_action, got, sizeof got);
        assert_string_equal(got, row[i].name);
        field_text(r, TG_F_action_data, got, sizeof got);
        if (row[i].data)
            assert_string_equal(got, row[i].data);
        assert_int_equal(r->topic_id, row[i].action == TLN_messageActionTopicCreate ? 1000 : 1);
        json_decref(check_json(r));
    }
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_odd_bytes_become_valid_json),
        cmocka_unit_test(test_service_messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
