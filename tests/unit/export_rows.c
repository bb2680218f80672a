/* SPDX-License-Identifier: MIT */
/*
 * Rows of exported messages: what is told, what is left open; and that they say the same as rows
 * of the same messages that come from the data centre's simulation of that export.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "export/rows.h"
#include "sim/world.h"
#include "telegram/rows.h"
#include "tl/walk.h"

#define HEAD "{\"name\":\"Tea\",\"type\":\"private_supergroup\",\"id\":1500000001,\"messages\":["
#define AT "\"date\":\"2023-01-01T12:00:00\",\"date_unixtime\":\"1672574400\""
#define CHAT INT64_C(-1001500000001)

/* ---- one message ---- */

static struct tg_batch *export_row(const char *message, const struct tg_export_row *more)
{
    struct tg_export_row about = { .chat_id = CHAT, .kind = TG_EXPORT_SUPERGROUP };
    struct tg_batch *b = tg_batch_new(4);
    json_error_t why;
    json_t *m = json_loads(message, 0, &why);
    struct tg_error err = { 0 };

    if (!m)
        fail_msg("%s: %s", message, why.text);
    if (more)
        about = *more;
    assert_int_equal(tg_export_row(m, &about, b, &err), TG_OK);
    json_decref(m);
    return b;
}

static void assert_field(const struct tg_batch *b, enum tg_field_id id, const char *want)
{
    size_t len = 0;
    const char *text = tg_row_text(&b->row[0], id, &len);

    if (!want && !text)
        return;
    if (!want || !text || len != strlen(want) || memcmp(text, want, len) != 0)
        fail_msg("%s is '%.*s', not '%s'", tg_field(id)->name, (int)len, text ? text : "(absent)",
                 want ? want : "(absent)");
}

static void assert_number(const struct tg_batch *b, enum tg_field_id id, int64_t want)
{
    assert_true(tg_row_has(&b->row[0], id));
    assert_int_equal(tg_row_int(&b->row[0], id), want);
}

static void what_an_export_tells_is_in_the_row(void **state)
{
    struct tg_batch *b = export_row(
        "{\"id\":4,\"type\":\"message\"," AT ",\"edited_unixtime\":\"1672574700\","
        "\"from\":\"Anna\",\"from_id\":\"user111\",\"reply_to_message_id\":2,"
        "\"reply_to_peer_id\":\"channel77\",\"forwarded_from\":\"News\","
        "\"forwarded_from_id\":\"channel78\",\"via_bot\":\"@gif\",\"author\":\"A.\","
        "\"text\":[\"\xf0\x9f\x98\x80 see \",{\"type\":\"bold\",\"text\":\"this\"},"
        "{\"type\":\"text_link\",\"text\":\" that\",\"href\":\"https://a.example\"},"
        "{\"type\":\"mention_name\",\"text\":\"Ben\",\"user_id\":222},"
        "{\"type\":\"custom_emoji\",\"text\":\"x\",\"document_id\":\"stickers/a.tgs\"},"
        "{\"type\":\"new_kind\",\"text\":\"y\"}],"
        "\"reactions\":[{\"type\":\"emoji\",\"count\":3,\"emoji\":\"+\"},"
        "{\"type\":\"custom_emoji\",\"count\":2,\"document_id\":\"77\"},"
        "{\"type\":\"custom_emoji\",\"count\":1,\"document_id\":\"(unavailable)\"},"
        "{\"type\":\"paid\",\"count\":9}]}",
        NULL);

    (void)state;
    assert_number(b, TG_F_chat_id, CHAT);
    assert_number(b, TG_F_id, 4);
    assert_number(b, TG_F_owner, 0);
    assert_number(b, TG_F_date, 1672574400);
    assert_number(b, TG_F_edit_date, 1672574700);
    assert_number(b, TG_F_sender_id, 111);
    assert_number(b, TG_F_reply_to_id, 2);
    assert_number(b, TG_F_reply_to_chat_id, -INT64_C(1000000000077));
    assert_number(b, TG_F_forward_from_id, -INT64_C(1000000000078));
    assert_field(b, TG_F_kind, "message");
    assert_field(b, TG_F_source, "export");
    assert_field(b, TG_F_sender_name, "Anna");
    assert_field(b, TG_F_post_author, "A.");
    assert_field(b, TG_F_text, "\xf0\x9f\x98\x80 see this thatBenxy");
    assert_field(b, TG_F_entities,
                 "[{\"type\":\"bold\",\"offset\":7,\"length\":4},"
                 "{\"type\":\"text_url\",\"offset\":11,\"length\":5,\"url\":\"https://a.example\"},"
                 "{\"type\":\"mention_name\",\"offset\":16,\"length\":3,\"user_id\":222},"
                 "{\"type\":\"custom_emoji\",\"offset\":19,\"length\":1},"
                 "{\"type\":\"unknown\",\"offset\":20,\"length\":1}]");
    assert_field(b, TG_F_reactions,
                 "[{\"reaction\":\"+\",\"count\":3},{\"reaction\":\"77\",\"count\":2},"
                 "{\"reaction\":null,\"count\":1},{\"reaction\":\"paid\",\"count\":9}]");
    tg_batch_free(b);
}

static void what_it_lacks_is_absent(void **state)
{
    static const enum tg_field_id absent[] = {
        TG_F_content_hash, TG_F_sender_username, TG_F_thread_id,   TG_F_topic_id,
        TG_F_media_id,     TG_F_views,           TG_F_forwards,    TG_F_replies,
        TG_F_via_bot_id,   TG_F_album_id,        TG_F_forward_message_id,
        TG_F_forward_date, TG_F_forward_from_name, TG_F_edit_date, TG_F_raw,
    };
    struct tg_batch *b = export_row("{\"id\":4,\"type\":\"message\"," AT ",\"from\":null,"
                                    "\"from_id\":\"user333\",\"via_bot\":\"@gif\",\"text\":\"\","
                                    "\"forwarded_from_id\":\"user5\",\"forwarded_from\":\"E\"}",
                                    NULL);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(absent); i++)
        if (tg_row_has(&b->row[0], absent[i]))
            fail_msg("%s is there", tg_field(absent[i])->name);
    assert_field(b, TG_F_sender_name, NULL); /* a deleted account */
    assert_field(b, TG_F_text, NULL);
    tg_batch_free(b);
}

/* Members of any type, as a hostile file may have them. */
static void members_of_another_type_are_as_good_as_none(void **state)
{
    struct tg_batch *b = export_row(
        "{\"id\":4,\"type\":7," AT ",\"from\":{},\"from_id\":[],\"text\":{\"a\":1},"
        "\"reply_to_message_id\":99999999999,\"forwarded_from_id\":\"user-5\",\"photo\":[],"
        "\"width\":1e300,\"height\":-1,\"photo_file_size\":-3,\"reactions\":[1,null,[]],"
        "\"edited_unixtime\":\"x\",\"author\":false,\"text_entities\":[{\"type\":1},2,{}]}",
        NULL);

    (void)state;
    assert_field(b, TG_F_kind, "message");
    assert_field(b, TG_F_media_kind, "photo");
    assert_false(tg_row_has(&b->row[0], TG_F_media_size));
    assert_false(tg_row_has(&b->row[0], TG_F_media_width));
    assert_false(tg_row_has(&b->row[0], TG_F_sender_id));
    assert_false(tg_row_has(&b->row[0], TG_F_reply_to_id));
    assert_false(tg_row_has(&b->row[0], TG_F_forward_from_id));
    assert_false(tg_row_has(&b->row[0], TG_F_edit_date));
    tg_batch_free(b);
}

static void media_are_told_as_in_other_rows(void **state)
{
    static const struct {
        const char *members, *kind, *name, *media;
    } rows[] = {
        { "\"photo\":\"photos/1.jpg\",\"media_spoiler\":true", "photo", NULL,
          "{\"spoiler\":true}" },
        { "\"file\":\"files/report (1).pdf\"", "document", "report (1).pdf", NULL },
        { "\"file\":\"(File not included.)\",\"file_name\":\"a.pdf\"", "document", "a.pdf", NULL },
        { "\"file\":\"(File not included.)\"", "document", NULL, NULL },
        { "\"file\":\"v/1.ogg\",\"media_type\":\"voice_message\"", "voice", NULL, NULL },
        { "\"file\":\"v/1.mp4\",\"media_type\":\"video_message\"", "round_video", NULL, NULL },
        { "\"file\":\"v/1.mp4\",\"media_type\":\"video_file\"", "video", NULL, NULL },
        { "\"file\":\"v/1.mp4\",\"media_type\":\"animation\"", "animation", NULL, NULL },
        { "\"file\":\"v/1.mp3\",\"media_type\":\"audio_file\",\"title\":\"T\",\"performer\":\"P\"",
          "audio", NULL, "{\"title\":\"T\",\"performer\":\"P\"}" },
        { "\"file\":\"s/1.webp\",\"media_type\":\"sticker\",\"sticker_emoji\":\":)\"", "sticker",
          NULL, "{\"emoji\":\":)\"}" },
        { "\"file\":\"x\",\"media_type\":\"hologram\"", "document", NULL, NULL },
        { "\"contact_information\":{\"first_name\":\"A\",\"last_name\":\"\","
          "\"phone_number\":\"+1\"}",
          "contact", NULL, "{\"phone_number\":\"+1\",\"first_name\":\"A\"}" },
        { "\"location_information\":{\"latitude\":1.5,\"longitude\":200}", "geo", NULL,
          "{\"lat\":1.5}" },
        { "\"location_information\":{\"latitude\":1.5,\"longitude\":2.5},"
          "\"live_location_period_seconds\":60",
          "geo_live", NULL, "{\"lat\":1.5,\"long\":2.5,\"period\":60}" },
        { "\"location_information\":{\"latitude\":1.5,\"longitude\":2.5},\"place_name\":\"P\","
          "\"address\":\"A\"",
          "venue", NULL, "{\"lat\":1.5,\"long\":2.5,\"title\":\"P\",\"address\":\"A\"}" },
        { "\"poll\":{\"question\":[\"Q\",{\"type\":\"bold\",\"text\":\"?\"}],\"closed\":true,"
          "\"total_voters\":5,\"answers\":[{\"text\":\"a\",\"voters\":2,\"chosen\":true},"
          "{\"text\":\"b\",\"voters\":3,\"chosen\":false}]}",
          "poll", NULL,
          "{\"question\":{\"text\":\"Q?\"},\"answers\":[{\"text\":\"a\"},{\"text\":\"b\"}],"
          "\"closed\":true,\"total_voters\":5,\"results\":[{\"voters\":2,\"chosen\":true},"
          "{\"voters\":3}]}" },
        { "\"game_title\":\"G\",\"game_description\":\"D\"", "game", NULL,
          "{\"title\":\"G\",\"description\":\"D\"}" },
        { "\"invoice_information\":{\"title\":\"I\",\"amount\":3}", "invoice", NULL,
          "{\"title\":\"I\"}" },
        { "\"self_destruct_period_seconds\":9,\"file\":\"f\",\"media_type\":\"video_file\"",
          "video", NULL, "{\"ttl_s\":9}" },
        { "\"something_new\":{}", NULL, NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        char text[1024];
        struct tg_batch *b;

        snprintf(text, sizeof text, "{\"id\":4,\"type\":\"message\",%s,%s}", AT, rows[i].members);
        b = export_row(text, NULL);
        assert_field(b, TG_F_media_kind, rows[i].kind);
        assert_field(b, TG_F_media_name, rows[i].name);
        assert_field(b, TG_F_media, rows[i].media);
        tg_batch_free(b);
    }
}

static void actions_keep_what_the_export_says_of_them(void **state)
{
    static const struct {
        const char *members, *action, *data;
    } rows[] = {
        { "\"action\":\"invite_members\",\"members\":[\"Ben\",null],\"text\":\"\"", "chat_add_user",
          "{\"members\":[\"Ben\",null]}" },
        { "\"action\":\"phone_call\",\"discard_reason\":\"missed\",\"text\":[]", "phone_call",
          "{\"discard_reason\":\"missed\"}" },
        { "\"action\":\"something_new\",\"n\":1", "something_new", "{\"n\":1}" },
        { "\"action\":7", NULL, NULL },
        { "\"action\":\"delete_group_photo\"", "chat_delete_photo", NULL },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        char text[512];
        struct tg_batch *b;

        snprintf(text, sizeof text,
                 "{\"id\":4,\"type\":\"service\",%s,\"actor\":\"A\",\"actor_id\":\"user9\",%s}", AT,
                 rows[i].members);
        b = export_row(text, NULL);
        assert_field(b, TG_F_kind, "service");
        assert_field(b, TG_F_action, rows[i].action);
        assert_field(b, TG_F_action_data, rows[i].data);
        assert_number(b, TG_F_sender_id, 9);
        tg_batch_free(b);
    }
}

static void posts_private_chats_and_raw(void **state)
{
    const struct tg_export_row post = { .chat_id = CHAT, .kind = TG_EXPORT_CHANNEL, .raw = true };
    const struct tg_export_row private = { .chat_id = 111, .owner = 42, .reader = 42,
                                           .kind = TG_EXPORT_PRIVATE };
    struct tg_batch *b = export_row("{\"id\":4,\n \"type\":\"message\"," AT
                                    ",\"from\":\"C\",\"from_id\":\"channel99\"}",
                                    &post);

    (void)state;
    assert_number(b, TG_F_post, 1);
    assert_false(tg_row_has(&b->row[0], TG_F_sender_id));
    assert_null(memchr(b->row[0].raw.at, '\n', b->row[0].raw.len));
    tg_batch_free(b);
    b = export_row("{\"id\":4,\"type\":\"message\"," AT ",\"from\":\"Me\",\"from_id\":\"user42\"}",
                   &private);
    assert_number(b, TG_F_outgoing, 1);
    assert_number(b, TG_F_owner, 42);
    tg_batch_free(b);
}

/* ---- the same message by both ways ---- */

/* From the simulated data centre's reply, as from Telegram's. */
static struct tg_batch *telegram_row(const char *message)
{
    static const struct sim_world_options options = { .seed = 1, .n_chats = 1 };
    const struct tg_row_options row = { .chat_id = CHAT, .copy = true };
    struct sim_peers *peers = sim_peers_new();
    struct tg_page *page = tg_page_new();
    struct tg_batch *b = tg_batch_new(4);
    struct tg_error err = { 0 };
    const struct sim_chat *chat;
    const struct sim_account *me;
    struct tg_page_info info;
    struct tl_value *reply;
    struct tg_arena arena;
    struct sim_world *w;
    struct tg_buf out, text;

    tg_arena_init(&arena, 4 << 20);
    tg_buf_init(&out, 1 << 20);
    tg_buf_init(&text, 1 << 20);
    tg_buf_printf(&text, "%s%s]}", HEAD, message);
    if (sim_world_from_json(&options, "x", tg_str_of(tg_buf_cstr(&text)), &w, &err) != TG_OK)
        fail_msg("%s: %s", message, err.message);
    chat = sim_world_chat(w, 0);
    me = sim_world_account(w, 0);
    reply = tl_obj(&arena, TLN_messages_messages);
    tl_add_obj(tl_set_vector(reply, TLN_messages),
               sim_world_message(w, me, chat, chat->top_id, &arena));
    sim_peers_add_message(peers, w, chat, chat->top_id);
    sim_peers_set(peers, w, me, reply, &arena);
    assert_int_equal(tl_encode(tl_schema_builtin(228), reply, &out, &err), TG_OK);
    assert_int_equal(tg_page_open(page, tl_schema_builtin(228), out.data, out.len, &info, &err),
                     TG_OK);
    assert_int_equal(tg_page_row(page, 0, &row, b, &err), TG_OK);
    tg_page_free(page);
    sim_peers_free(peers);
    sim_world_free(w);
    tg_arena_done(&arena);
    tg_buf_done(&text);
    tg_buf_done(&out);
    return b;
}

static void compare(const char *message)
{
    /* What the simulation does not have to invent. */
    static const enum tg_field_id same[] = {
        TG_F_kind,        TG_F_date,         TG_F_edit_date,   TG_F_text,        TG_F_entities,
        TG_F_sender_name, TG_F_sender_id,    TG_F_reply_to_id, TG_F_reactions,   TG_F_post_author,
        TG_F_media_kind,  TG_F_media_mime,   TG_F_media_name,  TG_F_media_size,  TG_F_media_width,
        TG_F_media_height, TG_F_action,      TG_F_media_duration, TG_F_forward_from_id,
    };
    struct tg_batch *a = export_row(message, NULL), *b = telegram_row(message);

    for (size_t i = 0; i < TG_COUNT(same); i++) {
        enum tg_field_type type = tg_field(same[i])->type;

        if (type == TG_FIELD_STR || type == TG_FIELD_JSON) {
            size_t len = 0;
            const char *text = tg_row_text(&b->row[0], same[i], &len);
            char copy[1024];

            snprintf(copy, sizeof copy, "%.*s", (int)len, text ? text : "");
            assert_field(a, same[i], text ? copy : NULL);
        } else if (tg_row_has(&a->row[0], same[i]) != tg_row_has(&b->row[0], same[i]) ||
                   tg_row_int(&a->row[0], same[i]) != tg_row_int(&b->row[0], same[i])) {
            fail_msg("%s of %s: %lld, %lld", tg_field(same[i])->name, message,
                     (long long)tg_row_int(&a->row[0], same[i]),
                     (long long)tg_row_int(&b->row[0], same[i]));
        }
    }
    tg_batch_free(a);
    tg_batch_free(b);
}

static const char *const messages[] = {
    "\"type\":\"message\",\"text\":[\"\xf0\x9f\x98\x80 \",{\"type\":\"bold\",\"text\":\"b\"},"
    "{\"type\":\"italic\",\"text\":\"i\"},{\"type\":\"underline\",\"text\":\"u\"},"
    "{\"type\":\"strikethrough\",\"text\":\"s\"},{\"type\":\"spoiler\",\"text\":\"p\"},"
    "{\"type\":\"code\",\"text\":\"c\"},{\"type\":\"pre\",\"text\":\"r\",\"language\":\"c\"},"
    "{\"type\":\"blockquote\",\"text\":\"q\",\"collapsed\":true},"
    "{\"type\":\"link\",\"text\":\"l\"},{\"type\":\"mention\",\"text\":\"@m\"},"
    "{\"type\":\"text_link\",\"text\":\"t\",\"href\":\"https://x.example\"},"
    "{\"type\":\"mention_name\",\"text\":\"n\",\"user_id\":222},"
    "{\"type\":\"hashtag\",\"text\":\"#h\"},{\"type\":\"cashtag\",\"text\":\"$c\"},"
    "{\"type\":\"bot_command\",\"text\":\"/b\"},{\"type\":\"email\",\"text\":\"e\"},"
    "{\"type\":\"phone\",\"text\":\"1\"},{\"type\":\"bank_card\",\"text\":\"2\"},"
    "{\"type\":\"custom_emoji\",\"text\":\"x\",\"document_id\":\"55\"},"
    "{\"type\":\"later\",\"text\":\"y\"}]",
    "\"type\":\"message\",\"text\":\"t\",\"reply_to_message_id\":2,\"forwarded_from\":\"N\","
    "\"forwarded_from_id\":\"channel78\",\"edited_unixtime\":\"1672574700\","
    "\"reactions\":[{\"type\":\"emoji\",\"count\":3,\"emoji\":\"+\"},"
    "{\"type\":\"custom_emoji\",\"count\":2,\"document_id\":\"77\"},"
    "{\"type\":\"paid\",\"count\":9}]",
    "\"type\":\"message\",\"photo\":\"p\",\"photo_file_size\":777,\"width\":64,\"height\":48",
    "\"type\":\"message\",\"file\":\"f\",\"file_name\":\"f.ogg\",\"file_size\":777,"
    "\"mime_type\":\"audio/ogg\",\"media_type\":\"voice_message\",\"duration_seconds\":4",
    "\"type\":\"message\",\"file\":\"f\",\"file_name\":\"f.mp4\",\"file_size\":777,\"width\":6,"
    "\"mime_type\":\"video/mp4\",\"media_type\":\"video_file\",\"duration_seconds\":4,"
    "\"height\":5",
    "\"type\":\"message\",\"file\":\"f\",\"file_size\":777,\"mime_type\":\"video/mp4\","
    "\"media_type\":\"video_message\",\"duration_seconds\":4",
    "\"type\":\"message\",\"file\":\"f\",\"file_size\":777,\"mime_type\":\"video/mp4\","
    "\"media_type\":\"animation\",\"duration_seconds\":4",
    "\"type\":\"message\",\"file\":\"f\",\"file_size\":777,\"mime_type\":\"audio/mpeg\","
    "\"media_type\":\"audio_file\",\"duration_seconds\":4",
    "\"type\":\"message\",\"file\":\"f\",\"file_size\":777,\"mime_type\":\"image/webp\","
    "\"media_type\":\"sticker\",\"width\":512,\"height\":512",
    "\"type\":\"message\",\"file\":\"f\",\"file_name\":\"f\",\"file_size\":777,"
    "\"mime_type\":\"text/plain\"",
    "\"type\":\"message\",\"contact_information\":{\"first_name\":\"A\"}",
    "\"type\":\"message\",\"location_information\":{\"latitude\":1.5,\"longitude\":2.5}",
    "\"type\":\"message\",\"location_information\":{\"latitude\":1.5,\"longitude\":2.5},"
    "\"live_location_period_seconds\":60",
    "\"type\":\"message\",\"location_information\":{\"latitude\":1.5,\"longitude\":2.5},"
    "\"place_name\":\"P\"",
    "\"type\":\"message\",\"poll\":{\"question\":\"Q\",\"answers\":[]}",
    "\"type\":\"service\",\"action\":\"pin_message\",\"message_id\":3",
};
static const char *const actions[] = {
    "create_group", "create_channel", "edit_group_title", "edit_group_photo",
    "delete_group_photo", "invite_members", "remove_members", "join_group_by_link",
    "join_group_by_request", "migrate_to_supergroup", "migrate_from_group", "clear_history",
    "score_in_game", "phone_call", "take_screenshot", "joined_telegram", "group_call",
    "invite_to_group_call", "set_messages_ttl", "topic_created", "topic_edit", "boost_apply",
    "custom_action",
};

static void both_ways_say_the_same(void **state)
{
    char text[2048];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(messages); i++) {
        snprintf(text, sizeof text, "{\"id\":5,%s,%s,\"%s\":\"Anna\",\"%s_id\":\"user111\"}", AT,
                 messages[i], strstr(messages[i], "service") ? "actor" : "from",
                 strstr(messages[i], "service") ? "actor" : "from");
        compare(text);
    }
    for (size_t i = 0; i < TG_COUNT(actions); i++) {
        snprintf(text, sizeof text,
                 "{\"id\":5,\"type\":\"service\",%s,\"action\":\"%s\",\"actor\":\"Anna\","
                 "\"actor_id\":\"user111\"}",
                 AT, actions[i]);
        compare(text);
    }
}

/* ---- the walk ---- */

struct feed {
    const char *text;
    size_t at, len, step;
};

static tg_code feed(void *ctx, void *bytes, size_t n, size_t *ret_n, struct tg_error *err)
{
    struct feed *f = ctx;

    (void)err;
    *ret_n = TG_MIN(TG_MIN(n, f->step), f->len - f->at);
    memcpy(bytes, f->text + f->at, *ret_n);
    f->at += *ret_n;
    return TG_OK;
}

/* Events as letters; messages by their ids. */
static void walk(const char *text, size_t step, char *out, size_t room)
{
    struct feed f = { text, 0, strlen(text), step };
    const struct tg_export_input input = { feed, &f };
    enum tg_export_event event = TG_EXPORT_OWNER;
    struct tg_error err = { 0 };
    struct tg_export e;
    tg_code code = TG_OK;
    size_t n = 0;

    tg_export_init(&e, "result.json", &input);
    out[0] = 0;
    while (code == TG_OK && event != TG_EXPORT_END) {
        json_t *m = NULL;

        code = tg_export_next(&e, &event, &err);
        if (code == TG_OK && event == TG_EXPORT_MESSAGE)
            code = tg_export_parse(&e, &m, &err);
        if (code != TG_OK)
            break;
        if (event == TG_EXPORT_MESSAGE) {
            assert_int_equal(tg_export_peek(&e), tg_export_num(m, "id", 0));
            assert_memory_equal(text + e.message_at, "{\"id\":", 6);
            n += (size_t)snprintf(out + n, room - n, "%lld ",
                                  (long long)tg_export_num(m, "id", 0));
        } else {
            n += (size_t)snprintf(out + n, room - n, "%c%lld ", "OCMmeE"[event],
                                  (long long)e.chat->id);
        }
        json_decref(m);
    }
    if (code != TG_OK)
        snprintf(out + n, room - n, "%s", err.message);
    tg_export_done(&e);
}

static void files_are_walked_whatever_pieces_they_come_in(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "{\"id\":7,\"x\":[{\"a\":\"]}\\\"\"}],\"messages\":[{\"id\":1},{\"id\":2}],\"y\":1}",
          "M7 1 2 e7 E7 " },
        { "\xef\xbb\xbf{\"personal_information\":{\"user_id\":5},\"chats\":{\"list\":[{\"id\":1,"
          "\"messages\":[]},{\"id\":2,\"messages\":[{\"id\":9}]}],\"z\":{}},\"left_chats\":{}}",
          "O0 C0 M1 e1 C0 M2 9 e2 E0 " },
        { "{\"chats\":{\"list\":[{\"messages\":[{\"id\":1", "C0 M0 result.json: line 1: no valid" },
        { "{\"a\":\n\n[1,2", "result.json: line 3: the file ends inside a value" },
        { "{\"a\":", "result.json: line 1: the file ends inside a value" },
        { "{\"a\" 1}", "result.json: line 1: expected ':'" },
        { "", "result.json: line 1: expected '{'" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        for (size_t step = 1; step < 64; step += 1 + step / 3) {
            char got[512];

            walk(rows[i].text, step, got, sizeof got);
            if (strncmp(got, rows[i].want, strlen(rows[i].want)) != 0)
                fail_msg("row %zu, %zu bytes at once: '%s'", i, step, got);
        }
    }
}

static void ids_are_known_where_they_stand_first(void **state)
{
    static const struct {
        const char *message;
        int64_t id;
    } rows[] = {
        { "{\"id\":5}", 5 },           { " {\n \"id\" :\t77 ,\"x\":1}", 77 },
        { "{\"x\":1,\"id\":5}", 0 },   { "{\"id\":-5}", 0 },
        { "{\"id\":\"5\"}", 0 },       { "{\"id\":5.5}", 0 },
        { "{\"id\":5e3}", 0 },         { "{\"id\"}", 0 },
        { "{}", 0 },                   { "[]", 0 },
        { "{\"id\":99999999999999999999}", 0 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct tg_buf text;
        struct feed f = { NULL, 0, 0, SIZE_MAX };
        const struct tg_export_input input = { feed, &f };
        enum tg_export_event event = TG_EXPORT_OWNER;
        struct tg_error err = { 0 };
        struct tg_export e;

        tg_buf_init(&text, 256);
        tg_buf_printf(&text, "{\"messages\":[%s]}", rows[i].message);
        f.text = tg_buf_cstr(&text);
        f.len = text.len;
        tg_export_init(&e, "x", &input);
        while (event != TG_EXPORT_MESSAGE)
            assert_int_equal(tg_export_next(&e, &event, &err), TG_OK);
        if (tg_export_peek(&e) != rows[i].id)
            fail_msg("row %zu: %lld", i, (long long)tg_export_peek(&e));
        tg_export_done(&e);
        tg_buf_done(&text);
    }
}

/* Of a file of any size a window is held. */
static void large_values_are_passed_over_and_large_messages_refused(void **state)
{
    size_t n = (size_t)8 << 20;
    char *long_text = malloc(n + 1), got[200];
    struct tg_buf text;

    (void)state;
    assert_non_null(long_text);
    memset(long_text, 'x', n);
    long_text[n] = 0;
    tg_buf_init(&text, 2 * n);
    tg_buf_str(&text, "{\"id\":3,\"contacts\":[\"");
    tg_buf_str(&text, long_text);
    tg_buf_str(&text, "\"],\"messages\":[]}");
    walk(tg_buf_cstr(&text), SIZE_MAX, got, sizeof got);
    assert_string_equal(got, "M3 e3 E3 ");
    tg_buf_clear(&text);
    tg_buf_str(&text, "{\"id\":3,\n\"messages\":[{\"id\":\"");
    tg_buf_str(&text, long_text);
    tg_buf_str(&text, "\"}]}");
    walk(tg_buf_cstr(&text), SIZE_MAX, got, sizeof got);
    assert_string_equal(got, "M3 result.json: line 2: a message of more than 1 MiB");
    tg_buf_clear(&text);
    tg_buf_str(&text, "{\"messages\":[");
    for (int i = 0; i <= TG_EXPORT_DEPTH_MAX; i++)
        tg_buf_byte(&text, '[');
    for (int i = 0; i <= TG_EXPORT_DEPTH_MAX; i++)
        tg_buf_byte(&text, ']');
    tg_buf_str(&text, "]}");
    walk(tg_buf_cstr(&text), SIZE_MAX, got, sizeof got);
    assert_string_equal(got, "M0 result.json: line 1: a message that is nested too deep");
    tg_buf_done(&text);
    free(long_text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_export_tells_is_in_the_row),
        cmocka_unit_test(what_it_lacks_is_absent),
        cmocka_unit_test(members_of_another_type_are_as_good_as_none),
        cmocka_unit_test(media_are_told_as_in_other_rows),
        cmocka_unit_test(actions_keep_what_the_export_says_of_them),
        cmocka_unit_test(posts_private_chats_and_raw),
        cmocka_unit_test(both_ways_say_the_same),
        cmocka_unit_test(files_are_walked_whatever_pieces_they_come_in),
        cmocka_unit_test(ids_are_known_where_they_stand_first),
        cmocka_unit_test(large_values_are_passed_over_and_large_messages_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
