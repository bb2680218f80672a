/* SPDX-License-Identifier: MIT */
/*
 * rows.c - messages of every shape become the rows they should, and damaged pages lose no neighbour
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "telegram/peers.h"
#include "telegram/rows.h"
#include "tests/page_sample.h"

struct fixture {
    const struct tl_schema *schema;
    struct tg_arena arena;
    struct tg_buf bytes;
    struct tg_page *page;
    struct tg_batch *batch;
    struct tg_page_info info;
    struct tg_error err;
};

static void start(struct fixture *f)
{
    *f = (struct fixture){ .schema = tl_schema_builtin(228) };
    tg_arena_init(&f->arena, 16 << 20);
    tg_buf_init(&f->bytes, 16 << 20);
    f->page = tg_page_new();
    f->batch = tg_batch_new(300);
    assert_true(f->schema && f->page && f->batch);
}

static void finish(struct fixture *f)
{
    tg_batch_free(f->batch);
    tg_page_free(f->page);
    tg_page_free(NULL);
    tg_buf_done(&f->bytes);
    tg_arena_done(&f->arena);
}

static tg_code open_bytes(struct fixture *f, const void *bytes, size_t n)
{
    return tg_page_open(f->page, f->schema, bytes, n, &f->info, &f->err);
}

static void open_value(struct fixture *f, const struct tl_value *v)
{
    tg_buf_clear(&f->bytes);
    if (tl_encode(f->schema, v, &f->bytes, &f->err) != TG_OK)
        fail_msg("encode: %s", f->err.message);
    assert_int_equal(open_bytes(f, f->bytes.data, f->bytes.len), TG_OK);
}

static const struct tg_row_options plain = { .chat_id = -1000001234567 };

static const struct tg_row *row_at(struct fixture *f, size_t i, const struct tg_row_options *o)
{
    if (tg_page_row(f->page, i, o, f->batch, &f->err) != TG_OK)
        fail_msg("row %zu: %s", i, f->err.message);
    return &f->batch->row[f->batch->n - 1];
}

/* The whole row must be valid JSON, and so must each of its JSON fields. */
static json_t *check_json(const struct tg_row *row)
{
    struct tg_buf out;
    json_error_t why;
    json_t *json;

    tg_buf_init(&out, 16 << 20);
    tg_row_json(row, &out);
    json = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                      &why);
    if (!json)
        fail_msg("%s in %.*s", why.text, (int)out.len, (const char *)out.data);
    tg_buf_done(&out);
    return json;
}

static void field_text(const struct tg_row *row, enum tg_field_id id, char *out, size_t size)
{
    size_t len = 0;
    const char *text;

    *out = 0;
    if (!tg_row_has(row, id))
        return;
    if (tg_field(id)->type != TG_FIELD_STR && tg_field(id)->type != TG_FIELD_JSON) {
        snprintf(out, size, "%lld", (long long)tg_row_int(row, id));
        return;
    }
    text = tg_row_text(row, id, &len);
    snprintf(out, size, "%.*s", (int)len, text);
}

/* ---- one message, one field ---- */

typedef void (*builder)(struct tl_value *m, struct tg_arena *a);

static struct tl_value *media_of(struct tl_value *m, uint32_t name)
{
    return tl_set_new(m, TLN_media, name);
}

static void as_is(struct tl_value *m, struct tg_arena *a)
{
    (void)m;
    (void)a;
}

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

static void from_two_names(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER + 7));
}

static void with_entities(struct tl_value *m, struct tg_arena *a)
{
    static const uint32_t kind[] = {
        TLN_messageEntityBold,        TLN_messageEntityPre,        TLN_messageEntityTextUrl,
        TLN_messageEntityMentionName, TLN_messageEntityCustomEmoji, TLN_messageEntityBlockquote,
    };
    struct tl_value *list = tl_set_vector(m, TLN_entities);

    (void)a;
    for (size_t i = 0; i < TG_COUNT(kind); i++) {
        struct tl_value *e = tl_add_new(list, kind[i]);

        tl_set_int(e, TLN_offset, (int32_t)i * 4);
        tl_set_int(e, TLN_length, 4);
        tl_set_cstr(e, TLN_url, "https://e.org/\"q\"");
        tl_set_cstr(e, TLN_language, "c");
        tl_set_long(e, TLN_user_id, 99);
        tl_set_long(e, TLN_document_id, 5368324170671202286);
        tl_set_true(e, TLN_collapsed, true);
    }
}

static void with_no_entities(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_vector(m, TLN_entities);
}

static struct tl_value *reply_of(struct tl_value *m, int32_t id)
{
    struct tl_value *r = tl_set_new(m, TLN_reply_to, TLN_messageReplyHeader);

    if (id)
        tl_set_int(r, TLN_reply_to_msg_id, id);
    return r;
}

static void reply_plain(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    reply_of(m, 17);
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

static void forwarded_post(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = tl_set_new(m, TLN_fwd_from, TLN_messageFwdHeader);

    tl_set_obj(w, TLN_from_id, sample_channel_peer(a, 77));
    tl_set_int(w, TLN_channel_post, 345);
    tl_set_int(w, TLN_date, 1600000000);
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

static void with_reactions(struct tl_value *m, struct tg_arena *a)
{
    static const uint32_t kind[] = { TLN_reactionEmoji, TLN_reactionCustomEmoji, TLN_reactionPaid,
                                     TLN_reactionEmpty };
    struct tl_value *list = tl_set_vector(tl_set_new(m, TLN_reactions, TLN_messageReactions),
                                          TLN_results);

    (void)a;
    for (size_t i = 0; i < TG_COUNT(kind); i++) {
        struct tl_value *one = tl_add_new(list, TLN_reactionCount), *what;

        tl_set_int(one, TLN_count, (int32_t)i + 3);
        what = tl_set_new(one, TLN_reaction, kind[i]);
        tl_set_cstr(what, TLN_emoticon, "\xf0\x9f\x91\x8d");
        tl_set_long(what, TLN_document_id, 5368324170671202286);
    }
}

static void with_photo(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(media_of(m, TLN_messageMediaPhoto), TLN_photo, sample_photo(a, 31));
}

static void with_expired_photo(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_int(media_of(m, TLN_messageMediaPhoto), TLN_ttl_seconds, 10);
}

static struct tl_value *document_of(struct tl_value *m)
{
    struct tl_value *media = media_of(m, TLN_messageMediaDocument);
    struct tl_value *d = tl_set_new(media, TLN_document, TLN_document);

    tl_set_long(d, TLN_id, 41);
    tl_set_cstr(d, TLN_mime_type, "application/x");
    tl_set_long(d, TLN_size, 9000000000);
    return tl_set_vector(d, TLN_attributes);
}

static void with_document(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_cstr(tl_add_new(document_of(m), TLN_documentAttributeFilename), TLN_file_name,
                "a b.zip");
}

static void with_video(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(media_of(m, TLN_messageMediaDocument), TLN_document, sample_video(a, 32));
}

static void with_round_video(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_true(tl_add_new(document_of(m), TLN_documentAttributeVideo), TLN_round_message, true);
}

static void with_animation(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *list = document_of(m);

    (void)a;
    tl_add_new(list, TLN_documentAttributeVideo);
    tl_add_new(list, TLN_documentAttributeAnimated);
}

static void with_voice(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = tl_add_new(document_of(m), TLN_documentAttributeAudio);

    (void)a;
    tl_set_true(v, TLN_voice, true);
    tl_set_int(v, TLN_duration, 7);
}

static void with_audio(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = tl_add_new(document_of(m), TLN_documentAttributeAudio);

    (void)a;
    tl_set_int(v, TLN_duration, 200);
    tl_set_cstr(v, TLN_title, "Song");
    tl_set_cstr(v, TLN_performer, "Band");
}

static void with_sticker(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *s = tl_add_new(document_of(m), TLN_documentAttributeSticker), *set;

    (void)a;
    tl_set_cstr(s, TLN_alt, "\xf0\x9f\x98\x80");
    set = tl_set_new(s, TLN_stickerset, TLN_inputStickerSetID);
    tl_set_long(set, TLN_id, 71);
}

static void with_web_page(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = tl_set_new(media_of(m, TLN_messageMediaWebPage), TLN_webpage, TLN_webPage);

    tl_set_cstr(w, TLN_url, "https://e.org/");
    tl_set_cstr(w, TLN_title, "T");
    tl_set_cstr(w, TLN_description, "D");
    tl_set_obj(w, TLN_photo, sample_photo(a, 61));
}

static void with_pending_page(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = media_of(m, TLN_messageMediaWebPage);

    (void)a;
    tl_set_cstr(tl_set_new(w, TLN_webpage, TLN_webPagePending), TLN_url, "https://e.org/");
}

static struct tl_value *text_of(struct tl_value *o, uint32_t field, const char *text)
{
    struct tl_value *t = tl_set_new(o, field, TLN_textWithEntities);

    tl_set_cstr(t, TLN_text, text);
    return t;
}

static void with_poll_votes(struct tl_value *m, int32_t votes)
{
    struct tl_value *media = media_of(m, TLN_messageMediaPoll), *poll, *list, *one;

    poll = tl_set_new(media, TLN_poll, TLN_poll);
    tl_set_long(poll, TLN_id, 81);
    text_of(poll, TLN_question, "Why?");
    list = tl_set_vector(poll, TLN_answers);
    one = tl_add_new(list, TLN_pollAnswer);
    text_of(one, TLN_text, "So");
    tl_set_bytes(one, TLN_option, "0", 1);
    tl_set_true(poll, TLN_quiz, true);
    media = tl_set_new(media, TLN_results, TLN_pollResults);
    tl_set_int(media, TLN_total_voters, votes);
    one = tl_add_new(tl_set_vector(media, TLN_results), TLN_pollAnswerVoters);
    tl_set_bytes(one, TLN_option, "0", 1);
    tl_set_int(one, TLN_voters, votes);
    tl_set_vector(one, TLN_recent_voters);
}

static void with_poll(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    with_poll_votes(m, 4);
}

static void with_venue(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = media_of(m, TLN_messageMediaVenue), *p;

    (void)a;
    p = tl_set_new(v, TLN_geo, TLN_geoPoint);
    tl_set_double(p, TLN_lat, 48.5);
    tl_set_double(p, TLN_long, -2.25);
    tl_set_cstr(v, TLN_title, "Cafe");
}

static void with_contact(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *c = media_of(m, TLN_messageMediaContact);

    (void)a;
    tl_set_cstr(c, TLN_phone_number, "123");
    tl_set_cstr(c, TLN_first_name, "A");
    tl_set_long(c, TLN_user_id, 6);
}

static void with_dice(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *d = media_of(m, TLN_messageMediaDice);

    (void)a;
    tl_set_int(d, TLN_value, 6);
    tl_set_cstr(d, TLN_emoticon, "\xf0\x9f\x8e\xb2");
}

static void with_game(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *g = tl_set_new(media_of(m, TLN_messageMediaGame), TLN_game, TLN_game);

    (void)a;
    tl_set_long(g, TLN_id, 3);
    tl_set_cstr(g, TLN_short_name, "chess");
}

static void with_story(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *s = media_of(m, TLN_messageMediaStory);

    tl_set_obj(s, TLN_peer, sample_user_peer(a, 5));
    tl_set_int(s, TLN_id, 12);
}

static void with_invoice(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = media_of(m, TLN_messageMediaInvoice);

    (void)a;
    tl_set_cstr(v, TLN_title, "Tea");
    tl_set_cstr(v, TLN_currency, "EUR");
    tl_set_long(v, TLN_total_amount, 350);
}

static void with_unsupported(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    media_of(m, TLN_messageMediaUnsupported);
}

static void with_empty_media(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    media_of(m, TLN_messageMediaEmpty);
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

static const struct {
    const char *name;
    builder build;
    enum tg_field_id field;
    const char *want; /* "" absent */
    struct tg_row_options options;
} field_row[] = {
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
    { "photo", with_photo, TG_F_media_kind, "photo", { 0 } },
    { "photo: id", with_photo, TG_F_media_id, "31", { 0 } },
    { "photo: largest width", with_photo, TG_F_media_width, "1280", { 0 } },
    { "photo: size of the progressive file", with_photo, TG_F_media_size, "150000", { 0 } },
    { "photo: nothing else", with_photo, TG_F_media, "", { 0 } },
    { "expired photo", with_expired_photo, TG_F_media, "{\"expired\":true,\"ttl_s\":10}", { 0 } },
    { "document", with_document, TG_F_media_kind, "document", { 0 } },
    { "document: name", with_document, TG_F_media_name, "a b.zip", { 0 } },
    { "document: type", with_document, TG_F_media_mime, "application/x", { 0 } },
    { "document: size beyond 32 bits", with_document, TG_F_media_size, "9000000000", { 0 } },
    { "video", with_video, TG_F_media_kind, "video", { 0 } },
    { "video: seconds rounded down", with_video, TG_F_media_duration, "12", { 0 } },
    { "video: height", with_video, TG_F_media_height, "1080", { 0 } },
    { "round video", with_round_video, TG_F_media_kind, "round_video", { 0 } },
    { "animation", with_animation, TG_F_media_kind, "animation", { 0 } },
    { "voice", with_voice, TG_F_media_kind, "voice", { 0 } },
    { "voice: seconds", with_voice, TG_F_media_duration, "7", { 0 } },
    { "audio", with_audio, TG_F_media_kind, "audio", { 0 } },
    { "audio: tags", with_audio, TG_F_media, "{\"title\":\"Song\",\"performer\":\"Band\"}", { 0 } },
    { "sticker", with_sticker, TG_F_media_kind, "sticker", { 0 } },
    { "sticker: set", with_sticker, TG_F_media, "{\"emoji\":\"\xf0\x9f\x98\x80\",\"set_id\":71}",
      { 0 } },
    { "web page", with_web_page, TG_F_media_kind, "web_page", { 0 } },
    { "web page: details", with_web_page, TG_F_media,
      "{\"url\":\"https://e.org/\",\"title\":\"T\",\"description\":\"D\",\"photo_id\":61}", { 0 } },
    { "pending web page", with_pending_page, TG_F_media,
      "{\"url\":\"https://e.org/\",\"pending\":true}", { 0 } },
    { "poll", with_poll, TG_F_media,
      "{\"id\":81,\"question\":{\"text\":\"Why?\"},"
      "\"answers\":[{\"text\":\"So\",\"option\":\"MA==\"}],\"quiz\":true,\"total_voters\":4,"
      "\"results\":[{\"option\":\"MA==\",\"voters\":4}]}", { 0 } },
    { "venue", with_venue, TG_F_media_kind, "venue", { 0 } },
    { "venue: place", with_venue, TG_F_media, "{\"lat\":48.5,\"long\":-2.25,\"title\":\"Cafe\"}",
      { 0 } },
    { "contact", with_contact, TG_F_media,
      "{\"phone_number\":\"123\",\"first_name\":\"A\",\"last_name\":\"\",\"vcard\":\"\","
      "\"user_id\":6}",
      { 0 } },
    { "dice", with_dice, TG_F_media, "{\"value\":6,\"emoticon\":\"\xf0\x9f\x8e\xb2\"}", { 0 } },
    { "game", with_game, TG_F_media, "{\"id\":3,\"short_name\":\"chess\"}", { 0 } },
    { "story", with_story, TG_F_media, "{\"chat_id\":5,\"id\":12}", { 0 } },
    { "invoice", with_invoice, TG_F_media_kind, "invoice", { 0 } },
    { "unsupported", with_unsupported, TG_F_media_kind, "unsupported", { 0 } },
    { "unsupported: nothing to tell", with_unsupported, TG_F_media, "", { 0 } },
    { "empty media is none", with_empty_media, TG_F_media_kind, "", { 0 } },
    { "odd bytes stay as they are in the row", with_odd_bytes, TG_F_text, "a", { 0 } },
};

static struct tl_value *one_message_page(struct tg_arena *a, struct tl_value *m)
{
    struct tl_value *p = sample_page(a, 0, 1), *list = tl_set_vector(p, TLN_messages);

    tl_add_obj(list, m);
    return p;
}

static struct tl_value *plain_message(struct tg_arena *a)
{
    struct tl_value *m = tl_obj(a, TLN_message);

    tl_set_int(m, TLN_id, 1000);
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER));
    tl_set_obj(m, TLN_peer_id, sample_channel_peer(a, SAMPLE_CHANNEL));
    tl_set_int(m, TLN_date, SAMPLE_DATE + 1000);
    tl_set_cstr(m, TLN_message, "text");
    return m;
}

static void test_fields(void **state)
{
    struct fixture f;
    char got[1024];

    (void)state;
    start(&f);
    for (size_t i = 0; i < TG_COUNT(field_row); i++) {
        struct tl_value *m = plain_message(&f.arena);
        const struct tg_row *row;
        json_t *json;

        field_row[i].build(m, &f.arena);
        open_value(&f, one_message_page(&f.arena, m));
        assert_int_equal(f.info.fault, TG_PAGE_WHOLE);
        tg_batch_clear(f.batch);
        if (tg_page_row(f.page, 0, &field_row[i].options, f.batch, &f.err) != TG_OK)
            fail_msg("%s: %s", field_row[i].name, f.err.message);
        row = f.batch->row;
        field_text(row, field_row[i].field, got, sizeof got);
        if (strcmp(got, field_row[i].want) != 0)
            fail_msg("%s: got %s, want %s", field_row[i].name, got, field_row[i].want);
        json = check_json(row);
        json_decref(json);
        tg_arena_clear(&f.arena);
    }
    finish(&f);
}

/* ---- service messages ---- */

static struct tl_value *service(struct tg_arena *a, uint32_t action, struct tl_value **ret)
{
    struct tl_value *m = tl_obj(a, TLN_messageService);

    tl_set_int(m, TLN_id, 1000);
    tl_set_obj(m, TLN_peer_id, sample_channel_peer(a, SAMPLE_CHANNEL));
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER));
    tl_set_int(m, TLN_date, SAMPLE_DATE);
    *ret = tl_set_new(m, TLN_action, action);
    return m;
}

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

/* ---- content hash ---- */

static void hash_of(struct fixture *f, builder build, char out[64])
{
    struct tl_value *m = plain_message(&f->arena);

    build(m, &f->arena);
    open_value(f, one_message_page(&f->arena, m));
    field_text(row_at(f, 0, &plain), TG_F_content_hash, out, 64);
    assert_int_equal(strlen(out), 32);
}

static void with_counters_only(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_int(m, TLN_views, 5);
    tl_set_int(m, TLN_forwards, 5);
    tl_set_int(m, TLN_edit_date, 1700000777);
    tl_set_true(m, TLN_edit_hide, true);
    tl_set_true(m, TLN_pinned, true);
    with_reactions(m, a);
}

static void with_other_text(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_cstr(m, TLN_message, "texu");
}

static void with_more_votes(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    with_poll_votes(m, 5000);
}

static void with_longer_page(struct tl_value *m, struct tg_arena *a)
{
    with_web_page(m, a);
    tl_set_cstr((struct tl_value *)(uintptr_t)tl_get_obj(tl_get_obj(m, TLN_media), TLN_webpage),
                TLN_description, "another");
}

static void with_other_photo(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(media_of(m, TLN_messageMediaPhoto), TLN_photo, sample_photo(a, 32));
}

static void with_new_reference(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *p = sample_photo(a, 31);

    tl_set_bytes(p, TLN_file_reference, "fresh", 5);
    tl_set_long(p, TLN_access_hash, 5);
    tl_set_obj(media_of(m, TLN_messageMediaPhoto), TLN_photo, p);
}

static void test_content_hash(void **state)
{
    static const struct {
        const char *name;
        builder a, b;
        bool same;
    } row[] = {
        { "nothing changed", as_is, as_is, true },
        { "counters, reactions, edit date, pin", as_is, with_counters_only, true },
        { "text", as_is, with_other_text, false },
        { "entities", as_is, with_entities, false },
        { "reply", as_is, reply_plain, false },
        { "forward", as_is, forwarded_post, false },
        { "sender", as_is, from_two_names, false },
        { "media", as_is, with_photo, false },
        { "other photo", with_photo, with_other_photo, false },
        { "file reference and access hash", with_photo, with_new_reference, true },
        { "votes", with_poll, with_more_votes, true },
        { "a web page's description", with_web_page, with_longer_page, true },
    };
    struct fixture f;
    char a[64], b[64];

    (void)state;
    start(&f);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        hash_of(&f, row[i].a, a);
        hash_of(&f, row[i].b, b);
        if ((strcmp(a, b) == 0) != row[i].same)
            fail_msg("%s: %s and %s", row[i].name, a, b);
    }
    finish(&f);
}

static void test_action_hash_without_references(void **state)
{
    struct fixture f;
    char hash[2][64];

    (void)state;
    start(&f);
    for (int i = 0; i < 2; i++) {
        struct tl_value *action, *m = service(&f.arena, TLN_messageActionChatEditPhoto, &action);
        struct tl_value *p = sample_photo(&f.arena, 31);

        tl_set_bytes(p, TLN_file_reference, i ? "first" : "second", 5);
        tl_set_long(p, TLN_access_hash, i + 5);
        tl_set_obj(action, TLN_photo, p);
        open_value(&f, one_message_page(&f.arena, m));
        field_text(row_at(&f, 0, &plain), TG_F_content_hash, hash[i], 64);
    }
    assert_string_equal(hash[0], hash[1]);
    finish(&f);
}

/* ---- pages ---- */

static void test_page(void **state)
{
    struct tg_row_options raw = { .chat_id = 1, .raw = true };
    struct fixture f;

    (void)state;
    start(&f);
    open_value(&f, sample_page(&f.arena, 100, 5000));
    assert_int_equal(f.info.n, 100);
    assert_int_equal(f.info.total, 123456);
    assert_int_equal(f.info.pts, 99);
    assert_int_equal(f.info.fault, TG_PAGE_WHOLE);
    print_message("%zu bytes a message\n", f.bytes.len / 100);
    for (size_t i = 0; i < 100; i++) {
        const struct tg_row *row = row_at(&f, i, &raw);
        json_t *json = check_json(row), *inside = json_object_get(json, "raw");
        const uint8_t *bytes;
        size_t n;

        assert_int_equal(tg_page_ids(f.page)[i], 5000 - (int)i);
        assert_int_equal(row->id, 5000 - (int)i);
        assert_int_equal(tg_page_date(f.page, i), SAMPLE_DATE + 5000 - (int)i);
        assert_false(tg_page_is_empty(f.page, i));
        assert_string_equal(json_string_value(json_object_get(inside, "_")), "message");
        tg_page_bytes(f.page, i, &bytes, &n);
        assert_true(bytes > f.bytes.data && bytes + n < f.bytes.data + f.bytes.len);
        assert_int_equal(tg_le32(bytes), tl_id(f.schema, TLN_message));
        json_decref(json);
    }
    finish(&f);
}

static void test_empty_messages_and_full_batches(void **state)
{
    struct fixture f;
    struct tg_batch *small = tg_batch_new(1);
    struct tl_value *empty, *page, *list;

    (void)state;
    start(&f);
    empty = tl_obj(&f.arena, TLN_messageEmpty);
    tl_set_int(empty, TLN_id, 7);
    page = tl_obj(&f.arena, TLN_messages_messages);
    list = tl_set_vector(page, TLN_messages);
    tl_add_obj(list, empty);
    tl_add_obj(list, sample_message(&f.arena, 6, 6));
    tl_add_obj(list, sample_message(&f.arena, -5, 5));
    open_value(&f, page);
    assert_int_equal(f.info.total, -1);
    assert_int_equal(f.info.n, 3);
    assert_int_equal(tg_page_ids(f.page)[0], 7);
    assert_true(tg_page_is_empty(f.page, 0));
    assert_int_equal(tg_page_date(f.page, 0), 0);
    assert_int_equal(tg_page_row(f.page, 0, &plain, small, &f.err), TG_END);
    assert_int_equal(tg_page_row(f.page, 2, &plain, small, &f.err), TG_DATA);
    assert_int_equal(small->n, 0);
    assert_int_equal(tg_page_row(f.page, 1, &plain, small, &f.err), TG_OK);
    assert_int_equal(tg_page_row(f.page, 1, &plain, small, &f.err), TG_LIMIT);
    assert_int_equal(small->n, 1);
    tg_batch_free(small);
    finish(&f);
}

static void test_other_replies(void **state)
{
    struct fixture f;
    struct tl_value *v;

    (void)state;
    start(&f);
    v = tl_obj(&f.arena, TLN_messages_messagesNotModified);
    tl_set_int(v, TLN_count, 12);
    open_value(&f, v);
    assert_int_equal(f.info.n, 0);
    assert_int_equal(f.info.total, 12);
    v = tl_obj(&f.arena, TLN_messages_messagesSlice);
    tl_set_int(v, TLN_count, 13);
    tl_set_int(v, TLN_offset_id_offset, 4);
    tl_add_obj(tl_set_vector(v, TLN_messages), sample_message(&f.arena, 6, 6));
    open_value(&f, v);
    assert_int_equal(f.info.n, 1);
    assert_int_equal(f.info.total, 13);
    assert_int_equal(open_bytes(&f, "", 0), TG_PROTOCOL);
    assert_int_equal(open_bytes(&f, "\x01\x02\x03\x04", 4), TG_PROTOCOL);
    tg_buf_clear(&f.bytes);
    assert_int_equal(tl_encode(f.schema, sample_user(&f.arena, 1), &f.bytes, &f.err), TG_OK);
    assert_int_equal(open_bytes(&f, f.bytes.data, f.bytes.len), TG_PROTOCOL);
    finish(&f);
}

/* ---- damage ---- */

/* Where each message and the list of chats begin in a good page. */
struct layout {
    size_t message[16], n, tail;
};

static struct layout layout_of(const struct fixture *f)
{
    struct layout l = { .n = f->info.n };

    for (size_t i = 0; i < l.n; i++) {
        const uint8_t *at;
        size_t len;

        tg_page_bytes(f->page, i, &at, &len);
        l.message[i] = (size_t)(at - f->bytes.data);
        l.tail = l.message[i] + len;
    }
    return l;
}

/* A page whose messages carry all sorts of nested objects. */
static void open_rich_page(struct fixture *f)
{
    static const builder build[] = { with_photo,    with_video,     with_entities, forwarded_post,
                                     with_reactions, with_web_page, with_poll,     reply_plain };
    struct tl_value *page = sample_page(&f->arena, 0, 1), *list = tl_set_vector(page, TLN_messages);

    for (size_t i = 0; i < TG_COUNT(build); i++) {
        struct tl_value *m = plain_message(&f->arena), *rows, *row;

        tl_set_int(m, TLN_id, 100 - (int32_t)i);
        build[i](m, &f->arena);
        rows = tl_set_vector(tl_set_new(m, TLN_reply_markup, TLN_replyInlineMarkup), TLN_rows);
        row = tl_add_new(rows, TLN_keyboardButtonRow);
        row = tl_add_new(tl_set_vector(row, TLN_buttons), TLN_keyboardButtonUrl);
        tl_set_cstr(row, TLN_text, "b");
        tl_add_obj(list, m);
    }
    open_value(f, page);
    assert_int_equal(f->info.fault, TG_PAGE_WHOLE);
}

static void check_damage(struct fixture *f, const struct layout *l, size_t at, uint32_t id)
{
    size_t k = 0;

    while (k < l->n && l->message[k] <= at)
        k++;
    assert_int_equal(open_bytes(f, f->bytes.data, f->bytes.len), TG_OK);
    if (at >= l->tail) {
        assert_int_equal(f->info.fault, TG_PAGE_BAD_PEER);
        assert_int_equal(f->info.n, l->n);
        assert_true(f->info.fault_at >= l->tail && f->info.fault_at <= at);
    } else {
        assert_int_equal(f->info.fault, TG_PAGE_BAD_MESSAGE);
        assert_int_equal(f->info.n, k - 1);
        assert_int_equal(f->info.fault_at, l->message[k - 1]);
    }
    assert_int_equal(f->info.fault_at + f->info.fault_len, f->bytes.len);
    assert_int_equal(f->info.fault_constructor, id);
    tg_batch_clear(f->batch);
    for (size_t i = 0; i < f->info.n; i++)
        assert_int_equal(row_at(f, i, &plain)->id, 100 - (int)i);
}

static void test_unknown_constructor_at_each_position(void **state)
{
    enum { UNKNOWN = 0x2badf00d };
    struct fixture f;
    struct layout l;
    size_t n_positions = 0, first;

    (void)state;
    start(&f);
    open_rich_page(&f);
    l = layout_of(&f);
    first = l.message[0];
    assert_null(tl_ctor_by_id(f.schema, UNKNOWN));
    for (size_t at = first; at + 4 <= f.bytes.len; at += 4) {
        uint32_t was = tg_le32(f.bytes.data + at);

        if (!tl_ctor_by_id(f.schema, was))
            continue; /* no object begins here */
        tg_put_le32(f.bytes.data + at, UNKNOWN);
        check_damage(&f, &l, at, UNKNOWN);
        tg_put_le32(f.bytes.data + at, was);
        n_positions++;
    }
    print_message("%zu positions\n", n_positions);
    assert_true(n_positions > 80);
    finish(&f);
}

static void test_truncation_anywhere(void **state)
{
    struct fixture f;
    struct layout l;

    (void)state;
    start(&f);
    open_rich_page(&f);
    l = layout_of(&f);
    for (size_t n = 0; n < f.bytes.len; n += 4) {
        uint8_t *copy = malloc(n ? n : 1); /* so that a read past the end is seen */

        memcpy(copy, f.bytes.data, n);
        if (open_bytes(&f, copy, n) == TG_OK) {
            assert_true(f.info.fault == (n < l.tail ? TG_PAGE_BAD_MESSAGE : TG_PAGE_BAD_PEER));
            tg_batch_clear(f.batch);
            for (size_t i = 0; i < f.info.n; i++)
                row_at(&f, i, &plain);
        }
        free(copy);
    }
    finish(&f);
}

/* ---- peers ---- */

static void put_peer(void *ctx, const struct tg_peer *peer)
{
    assert_true(tg_peers_put(ctx, peer));
}

static void test_peers(void **state)
{
    struct fixture f;
    struct tg_peers peers;
    struct tl_value *page, *list, *o;
    const struct tg_peer *p;

    (void)state;
    start(&f);
    tg_peers_init(&peers);
    page = sample_page(&f.arena, 1, 1);
    list = tl_set_vector(page, TLN_chats);
    o = sample_channel(&f.arena);
    tl_set_true(o, TLN_forum, true);
    tl_set_true(o, TLN_noforwards, true);
    tl_unset(o, TLN_username);
    tl_set_cstr(tl_add_new(tl_set_vector(o, TLN_usernames), TLN_username), TLN_username, "old");
    tl_add_obj(list, o);
    o = tl_add_new(tl_set_vector(o, TLN_usernames), TLN_username);
    tl_set_true(o, TLN_active, true);
    tl_set_cstr(o, TLN_username, "active_one");
    o = tl_add_new(list, TLN_chat);
    tl_set_long(o, TLN_id, 33);
    tl_set_cstr(o, TLN_title, "Old group");
    tl_set_true(o, TLN_deactivated, true);
    o = tl_set_new(o, TLN_migrated_to, TLN_inputChannel);
    tl_set_long(o, TLN_channel_id, 44);
    o = tl_add_new(list, TLN_channelForbidden);
    tl_set_long(o, TLN_id, 45);
    tl_set_true(o, TLN_broadcast, true);
    tl_add_new(list, TLN_chatEmpty);
    open_value(&f, page);
    tg_page_peers(f.page, put_peer, &peers);
    assert_int_equal(tg_peers_count(&peers), 23);
    p = tg_peers_get(&peers, -1000001234567);
    assert_true(p && p->kind == TG_PEER_SUPERGROUP && p->forum && p->protected && !p->left);
    assert_int_equal(p->access_hash, 4242);
    assert_string_equal(p->username, "active_one");
    p = tg_peers_get(&peers, -33);
    assert_true(p && p->kind == TG_PEER_GROUP && p->migrated_to == -1000000000044 && p->deleted);
    p = tg_peers_get(&peers, -1000000000045);
    assert_true(p && p->kind == TG_PEER_CHANNEL && p->left);
    p = tg_peers_get(&peers, SAMPLE_USER + 7);
    assert_true(p && p->kind == TG_PEER_USER && !p->min && !p->bot);
    assert_string_equal(p->name, "Name7 Surname");
    assert_string_equal(p->username, "user_7");
    tg_peers_done(&peers);
    finish(&f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_service_messages),
        cmocka_unit_test(test_content_hash),
        cmocka_unit_test(test_action_hash_without_references),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_empty_messages_and_full_batches),
        cmocka_unit_test(test_other_replies),
        cmocka_unit_test(test_unknown_constructor_at_each_position),
        cmocka_unit_test(test_truncation_anywhere),
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_odd_bytes_become_valid_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
