/* SPDX-License-Identifier: MIT */
/*
 * rows.c - see rows.h; media are in media.c
 */
#include "export/rows.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"

enum { JSON_MAX = 8 << 20 };

struct tg_str tg_export_keep(struct tg_export_fill *f, const void *text, size_t len)
{
    struct tg_str kept = tg_batch_text(f->batch, text, len);

    f->failed |= !kept.at;
    return kept;
}

/* ---- text ---- */

/* Types of pieces, and what Telegram calls such a stretch. */
static const struct {
    const char *piece, *entity;
} entity_types[] = {
    { "bold", "bold" },
    { "italic", "italic" },
    { "underline", "underline" },
    { "strikethrough", "strike" },
    { "spoiler", "spoiler" },
    { "code", "code" },
    { "pre", "pre" },
    { "blockquote", "blockquote" },
    { "link", "url" },
    { "url", "url" },
    { "text_link", "text_url" },
    { "mention", "mention" },
    { "mention_name", "mention_name" },
    { "hashtag", "hashtag" },
    { "cashtag", "cashtag" },
    { "bot_command", "bot_command" },
    { "email", "email" },
    { "phone", "phone" },
    { "bank_card", "bank_card" },
    { "custom_emoji", "custom_emoji" },
};

struct gather {
    struct tg_buf text, json;
    struct tg_json j;
    uint32_t units;
};

/* The id of a custom emoji; 0 if the export has the path of its file instead. */
static int64_t document_id(const json_t *o)
{
    return tg_export_num(o, "document_id", 0);
}

static void put_entity_rest(struct tg_json *j, const json_t *piece, const char *type)
{
    const char *text = NULL;

    if (strcmp(type, "pre") == 0) {
        text = tg_export_str(piece, "language");
        tg_json_key(j, "language");
        tg_json_cstr(j, text ? text : "");
    } else if (strcmp(type, "text_url") == 0) {
        text = tg_export_str(piece, "href");
        tg_json_key(j, "url");
        tg_json_cstr(j, text ? text : "");
    } else if (strcmp(type, "mention_name") == 0) {
        int64_t user = tg_export_peer(json_object_get(piece, "user_id"));

        if (user) {
            tg_json_key(j, "user_id");
            tg_json_i64(j, user);
        }
    } else if (strcmp(type, "custom_emoji") == 0 && document_id(piece)) {
        tg_json_key(j, "document_id");
        tg_json_i64(j, document_id(piece));
    } else if (strcmp(type, "blockquote") == 0 &&
               json_is_true(json_object_get(piece, "collapsed"))) {
        tg_json_key(j, "collapsed");
        tg_json_bool(j, true);
    }
}

static void add_piece(void *ctx, const char *text, size_t len, const json_t *piece)
{
    struct gather *g = ctx;
    uint32_t at = g->units;
    const char *type = "unknown", *told;
    struct tg_json *j = &g->j;

    tg_buf_add(&g->text, text, len);
    g->units += tg_utf16_len(text, len);
    if (!piece)
        return;
    told = tg_export_str(piece, "type");
    for (size_t i = 0; told && i < TG_COUNT(entity_types); i++)
        if (strcmp(entity_types[i].piece, told) == 0)
            type = entity_types[i].entity;
    tg_json_object(j);
    tg_json_key(j, "type"), tg_json_cstr(j, type);
    tg_json_key(j, "offset"), tg_json_i64(j, at);
    tg_json_key(j, "length"), tg_json_i64(j, g->units - at);
    put_entity_rest(j, piece, type);
    tg_json_end_object(j);
}

static void fill_text(struct tg_export_fill *f)
{
    struct gather g = { 0 };

    tg_buf_init(&g.text, JSON_MAX);
    tg_buf_init(&g.json, JSON_MAX);
    tg_json_init(&g.j, &g.json);
    tg_json_array(&g.j);
    tg_export_text(f->message, add_piece, &g);
    tg_json_end_array(&g.j);
    f->failed |= g.text.failed || g.json.failed;
    if (!f->failed && g.text.len)
        TG_ROW_SET(f->row, text, tg_export_keep(f, g.text.data, g.text.len));
    if (!f->failed && g.json.len > 2)
        TG_ROW_SET(f->row, entities, tg_export_keep(f, g.json.data, g.json.len));
    tg_buf_done(&g.text);
    tg_buf_done(&g.json);
}

/* ---- who, and what it refers to ---- */

static void fill_sender(struct tg_export_fill *f, const char *id_key, const char *name_key)
{
    int64_t sender = tg_export_peer(json_object_get(f->message, id_key));

    if (f->about->kind == TG_EXPORT_CHANNEL) {
        TG_ROW_SET(f->row, post, true);
        return;
    }
    if (sender)
        TG_ROW_SET(f->row, sender_id, sender);
    TG_EXPORT_SET(f, sender_name, tg_export_str(f->message, name_key));
    if (sender && sender == f->about->reader)
        TG_ROW_SET(f->row, outgoing, true);
}

static void fill_reply(struct tg_export_fill *f, const char *id_key)
{
    int64_t to = tg_export_num(f->message, id_key, 0);
    int64_t peer = tg_export_peer(json_object_get(f->message, "reply_to_peer_id"));

    if (to <= 0 || to > INT32_MAX) /* below zero: of the group before, whose id is not told */
        return;
    TG_ROW_SET(f->row, reply_to_id, to);
    if (peer && peer != f->about->chat_id)
        TG_ROW_SET(f->row, reply_to_chat_id, peer);
}

static void fill_forward(struct tg_export_fill *f)
{
    int64_t from = tg_export_peer(json_object_get(f->message, "forwarded_from_id"));
    int64_t date = tg_export_time(f->message, "forwarded_date_unixtime", "forwarded_date", 0);
    const char *name = tg_export_str(f->message, "forwarded_from");

    if (from)
        TG_ROW_SET(f->row, forward_from_id, from);
    else
        TG_EXPORT_SET(f, forward_from_name, name);
    if (date > 0 && date <= INT32_MAX && (from || name))
        TG_ROW_SET(f->row, forward_date, date);
}

/* ---- reactions ---- */

static void put_reaction(struct tg_json *j, const json_t *v)
{
    const char *type = tg_export_str(v, "type");
    char text[24];

    tg_json_key(j, "reaction");
    if (type && strcmp(type, "paid") == 0) {
        tg_json_cstr(j, "paid");
    } else if (type && strcmp(type, "custom_emoji") == 0) {
        snprintf(text, sizeof text, "%lld", (long long)document_id(v));
        tg_json_cstr(j, document_id(v) ? text : NULL);
    } else {
        tg_json_cstr(j, tg_export_str(v, "emoji"));
    }
}

static void fill_reactions(struct tg_export_fill *f)
{
    const json_t *list = json_object_get(f->message, "reactions");
    size_t n = json_array_size(list);
    struct tg_buf out;
    struct tg_json j;

    if (!n)
        return;
    tg_buf_init(&out, JSON_MAX);
    tg_json_init(&j, &out);
    tg_json_array(&j);
    for (size_t i = 0; i < n; i++) {
        const json_t *v = json_array_get(list, i);
        int64_t count = tg_export_num(v, "count", 0);

        tg_json_object(&j);
        put_reaction(&j, v);
        tg_json_key(&j, "count");
        if (count > 0 && count <= INT32_MAX)
            tg_json_i64(&j, count);
        else
            tg_json_null(&j);
        tg_json_end_object(&j);
    }
    tg_json_end_array(&j);
    f->failed |= out.failed;
    if (!f->failed)
        TG_ROW_SET(f->row, reactions, tg_export_keep(f, out.data, out.len));
    tg_buf_done(&out);
}

/* ---- service messages ---- */

static const struct {
    const char *word, *action;
} actions[] = {
    { "create_group", "chat_create" },
    { "create_channel", "channel_create" },
    { "edit_group_title", "chat_edit_title" },
    { "edit_group_photo", "chat_edit_photo" },
    { "delete_group_photo", "chat_delete_photo" },
    { "invite_members", "chat_add_user" },
    { "remove_members", "chat_delete_user" },
    { "join_group_by_link", "chat_joined_by_link" },
    { "join_group_by_request", "chat_joined_by_request" },
    { "migrate_to_supergroup", "chat_migrate_to" },
    { "migrate_from_group", "channel_migrate_from" },
    { "pin_message", "pin_message" },
    { "clear_history", "history_clear" },
    { "score_in_game", "game_score" },
    { "phone_call", "phone_call" },
    { "take_screenshot", "screenshot_taken" },
    { "joined_telegram", "contact_sign_up" },
    { "group_call", "group_call" },
    { "invite_to_group_call", "invite_to_group_call" },
    { "set_messages_ttl", "set_messages_ttl" },
    { "topic_created", "topic_create" },
    { "topic_edit", "topic_edit" },
    { "boost_apply", "boost_apply" },
    { "custom_action", "custom_action" },
};

/* What every message has; the rest is the action's own. */
static bool is_common(const char *key)
{
    static const char *const common[] = {
        "id",       "type",  "date",   "date_unixtime", "edited",    "edited_unixtime",
        "actor_id", "actor", "action", "text_entities", "reactions",
    };

    for (size_t i = 0; i < TG_COUNT(common); i++)
        if (strcmp(common[i], key) == 0)
            return true;
    return false;
}

/* Keeps a JSON value as text without line breaks. */
static struct tg_str keep_json(struct tg_export_fill *f, const json_t *v)
{
    char *text = json_dumps(v, JSON_COMPACT);
    struct tg_str kept = { 0 };

    if (text)
        kept = tg_export_keep(f, text, strlen(text));
    f->failed |= !text;
    free(text);
    return kept;
}

static void fill_action_data(struct tg_export_fill *f)
{
    json_t *own = json_object(), *v;
    const char *key;

    f->failed |= !own;
    json_object_foreach((json_t *)(uintptr_t)f->message, key, v) {
        bool empty = strcmp(key, "text") == 0 && json_string_length(v) == 0 &&
                     json_array_size(v) == 0;

        if (!is_common(key) && !empty && json_object_set(own, key, v) != 0)
            f->failed = true;
    }
    if (!f->failed && json_object_size(own))
        TG_ROW_SET(f->row, action_data, keep_json(f, own));
    json_decref(own);
}

static void fill_service(struct tg_export_fill *f)
{
    const char *word = tg_export_str(f->message, "action"), *action = word;

    for (size_t i = 0; word && i < TG_COUNT(actions); i++)
        if (strcmp(actions[i].word, word) == 0)
            action = actions[i].action;
    if (word && strcmp(word, "group_call") == 0 && json_object_get(f->message, "members"))
        action = "invite_to_group_call";
    TG_ROW_SET(f->row, kind, TG_STR("service"));
    fill_sender(f, "actor_id", "actor");
    fill_reply(f, "message_id"); /* of a pin */
    TG_EXPORT_SET(f, action, action);
    fill_action_data(f);
}

/* ---- all of it ---- */

static void fill_message(struct tg_export_fill *f)
{
    int64_t edited = tg_export_time(f->message, "edited_unixtime", "edited", 0);

    TG_ROW_SET(f->row, kind, TG_STR("message"));
    if (edited > 0 && edited <= INT32_MAX)
        TG_ROW_SET(f->row, edit_date, edited);
    fill_sender(f, "from_id", "from");
    fill_text(f);
    fill_reply(f, "reply_to_message_id");
    fill_forward(f);
    tg_export_media(f);
    TG_EXPORT_SET(f, post_author, tg_export_str(f->message, "author"));
}

tg_code tg_export_row(const json_t *message, const struct tg_export_row *about, struct tg_batch *b,
                      struct tg_error *err)
{
    struct tg_export_fill f = { .message = message, .about = about, .batch = b };
    const char *type = tg_export_str(message, "type"), *wrong;
    int64_t id = 0, date = 0;

    f.row = tg_batch_row(b);
    if (!f.row)
        return tg_fail(err, TG_LIMIT, "the batch is full");
    wrong = tg_export_identity(message, &id, &date);
    assert(!wrong && id > 0);
    (void)wrong;
    TG_ROW_SET(f.row, chat_id, about->chat_id);
    TG_ROW_SET(f.row, id, id);
    TG_ROW_SET(f.row, owner, about->owner);
    TG_ROW_SET(f.row, date, date);
    TG_ROW_SET(f.row, source, TG_STR("export"));
    if (type && strcmp(type, "service") == 0)
        fill_service(&f);
    else
        fill_message(&f);
    fill_reactions(&f);
    if (about->raw && !f.failed)
        TG_ROW_SET(f.row, raw, keep_json(&f, message));
    if (!f.failed)
        return TG_OK;
    b->n--;
    return tg_fail(err, TG_NOMEM, "no memory for an exported message");
}
