/* SPDX-License-Identifier: MIT */
/*
 * members.c - see members.h
 */
#include "export/members.h"

enum tg_export_kind tg_export_kind_of(const char *type)
{
    static const struct {
        const char *type;
        enum tg_export_kind kind;
    } types[] = {
        { "personal_chat", TG_EXPORT_PRIVATE },
        { "bot_chat", TG_EXPORT_PRIVATE },
        { "saved_messages", TG_EXPORT_PRIVATE },
        { "replies", TG_EXPORT_PRIVATE },
        { "verify_codes", TG_EXPORT_PRIVATE },
        { "private_group", TG_EXPORT_GROUP },
        { "private_supergroup", TG_EXPORT_SUPERGROUP },
        { "public_supergroup", TG_EXPORT_SUPERGROUP },
        { "private_channel", TG_EXPORT_CHANNEL },
        { "public_channel", TG_EXPORT_CHANNEL },
    };

    for (size_t i = 0; i < TG_COUNT(types); i++)
        if (strcmp(types[i].type, type) == 0)
            return types[i].kind;
    return TG_EXPORT_UNKNOWN;
}

int64_t tg_export_marked(enum tg_export_kind kind, int64_t id)
{
    if (id <= 0 || id >= TG_EXPORT_CHANNELS)
        return 0;
    switch (kind) {
    case TG_EXPORT_PRIVATE:
        return id;
    case TG_EXPORT_GROUP:
        return -id;
    case TG_EXPORT_SUPERGROUP:
    case TG_EXPORT_CHANNEL:
        return -TG_EXPORT_CHANNELS - id;
    case TG_EXPORT_UNKNOWN:
        break;
    }
    return 0;
}

const char *tg_export_str(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

int64_t tg_export_num(const json_t *o, const char *key, int64_t absent)
{
    const json_t *v = json_object_get(o, key);
    int64_t n;

    if (json_is_integer(v))
        return json_integer_value(v);
    if (json_is_real(v) && json_real_value(v) > -9e15 && json_real_value(v) < 9e15)
        return (int64_t)json_real_value(v);
    return json_is_string(v) && tg_i64_parse(json_string_value(v), &n) ? n : absent;
}

int64_t tg_export_time(const json_t *o, const char *unix_key, const char *text_key, int64_t absent)
{
    int64_t date = tg_export_num(o, unix_key, -1);
    const char *text = tg_export_str(o, text_key);

    if (date < 0 && (!text || !tg_time_parse(text, &date)))
        return absent;
    return date;
}

int64_t tg_export_peer(const json_t *v)
{
    static const struct {
        const char *word;
        size_t len;
        enum tg_export_kind kind;
    } kinds[] = { { "user", 4, TG_EXPORT_PRIVATE },
                  { "channel", 7, TG_EXPORT_CHANNEL },
                  { "chat", 4, TG_EXPORT_GROUP } };
    const char *text = json_string_value(v);
    int64_t n;

    if (!text)
        return json_is_integer(v) ? tg_export_marked(TG_EXPORT_PRIVATE, json_integer_value(v)) : 0;
    for (size_t i = 0; i < TG_COUNT(kinds); i++)
        if (strncmp(text, kinds[i].word, kinds[i].len) == 0)
            return tg_i64_parse(text + kinds[i].len, &n) ? tg_export_marked(kinds[i].kind, n) : 0;
    return 0;
}

static void see_piece(const json_t *piece, tg_export_piece seen, void *ctx)
{
    const json_t *text = json_is_object(piece) ? json_object_get(piece, "text") : piece;
    const char *type = tg_export_str(piece, "type");
    size_t n = json_string_length(text);

    if (!json_is_string(text) || n == 0)
        return;
    seen(ctx, json_string_value(text), n, type && strcmp(type, "plain") != 0 ? piece : NULL);
}

void tg_export_text(const json_t *message, tg_export_piece seen, void *ctx)
{
    const json_t *pieces = json_object_get(message, "text_entities");
    size_t n;

    if (json_array_size(pieces) == 0)
        pieces = json_object_get(message, "text");
    n = json_array_size(pieces);
    if (json_is_string(pieces))
        see_piece(pieces, seen, ctx);
    for (size_t i = 0; i < n; i++)
        see_piece(json_array_get(pieces, i), seen, ctx);
}

const char *tg_export_identity(const json_t *message, int64_t *ret_id, int64_t *ret_date)
{
    const json_t *id = json_object_get(message, "id");
    int64_t date = tg_export_time(message, "date_unixtime", "date", -1), n;

    if (!json_is_integer(id))
        return "a message without id";
    if (date < 0 || date > INT32_MAX)
        return "a message without a valid date";
    n = json_integer_value(id);
    if (n == 0 || n >= INT32_MAX || n <= -TG_EXPORT_SHIFT)
        return "a message id out of range";
    *ret_id = n;
    *ret_date = date;
    return NULL;
}
