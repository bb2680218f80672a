/* SPDX-License-Identifier: MIT */
/*
 * import_text.c - an exported message's text: a string, or pieces with a type each
 *
 * Newer exports have "text_entities", older ones "text" as a list of strings and objects. Offsets
 * are not in the file: they follow from the pieces before, counted in UTF-16 units.
 *
 * Threads: none      Limits: those of the arena
 */
#include <assert.h>
#include <stdlib.h>

#include "sim/import_int.h"

static const struct {
    const char *type;
    uint32_t name;
} kinds[] = {
    { "bold", TLN_messageEntityBold },
    { "italic", TLN_messageEntityItalic },
    { "underline", TLN_messageEntityUnderline },
    { "strikethrough", TLN_messageEntityStrike },
    { "spoiler", TLN_messageEntitySpoiler },
    { "code", TLN_messageEntityCode },
    { "pre", TLN_messageEntityPre },
    { "blockquote", TLN_messageEntityBlockquote },
    { "link", TLN_messageEntityUrl },
    { "url", TLN_messageEntityUrl },
    { "text_link", TLN_messageEntityTextUrl },
    { "mention", TLN_messageEntityMention },
    { "mention_name", TLN_messageEntityMentionName },
    { "hashtag", TLN_messageEntityHashtag },
    { "cashtag", TLN_messageEntityCashtag },
    { "bot_command", TLN_messageEntityBotCommand },
    { "email", TLN_messageEntityEmail },
    { "phone", TLN_messageEntityPhone },
    { "bank_card", TLN_messageEntityBankCard },
    { "custom_emoji", TLN_messageEntityCustomEmoji },
};

static void set_cstr_copy(struct tl_value *o, uint32_t field, const char *s)
{
    tl_set_copy(o, field, s ? s : "", s ? strlen(s) : 0);
}

/* @return the entity of a piece; NULL for plain text and out of memory */
static struct tl_value *entity_of(const json_t *piece, struct tg_arena *arena)
{
    const char *type = sim_json_str(piece, "type");
    uint32_t name = TLN_messageEntityUnknown;
    struct tl_value *e;

    if (!type || strcmp(type, "plain") == 0)
        return NULL;
    for (size_t i = 0; i < TG_COUNT(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0)
            name = kinds[i].name;
    }
    e = tl_obj(arena, name);
    if (name == TLN_messageEntityPre) {
        set_cstr_copy(e, TLN_language, sim_json_str(piece, "language"));
    } else if (name == TLN_messageEntityTextUrl) {
        set_cstr_copy(e, TLN_url, sim_json_str(piece, "href"));
    } else if (name == TLN_messageEntityMentionName) {
        tl_set_long(e, TLN_user_id, sim_import_peer_id(json_object_get(piece, "user_id")));
    } else if (name == TLN_messageEntityCustomEmoji) {
        const char *id = sim_json_str(piece, "document_id");

        tl_set_long(e, TLN_document_id, sim_json_num(piece, "document_id",
                                                     id ? sim_import_named_id(id) : 0));
    } else if (name == TLN_messageEntityBlockquote) {
        tl_set_true(e, TLN_collapsed, json_is_true(json_object_get(piece, "collapsed")));
    }
    return e;
}

struct gather {
    struct tg_buf text;
    uint32_t units;
    struct tl_value *message, *list;
    struct tg_arena *arena;
};

static void add_piece(struct gather *g, const json_t *piece)
{
    const json_t *text = json_is_object(piece) ? json_object_get(piece, "text") : piece;
    size_t n = json_string_length(text);
    uint32_t at = g->units;
    struct tl_value *e;

    if (!json_is_string(text) || n == 0)
        return;
    tg_buf_add(&g->text, json_string_value(text), n);
    g->units += sim_utf16_len(json_string_value(text), n);
    e = json_is_object(piece) ? entity_of(piece, g->arena) : NULL;
    if (!e)
        return;
    tl_set_int(e, TLN_offset, (int32_t)at);
    tl_set_int(e, TLN_length, (int32_t)(g->units - at));
    if (!g->list)
        g->list = tl_set_vector(g->message, TLN_entities);
    tl_add_obj(g->list, e);
}

void sim_import_set_text(struct tl_value *m, const json_t *message, struct tg_arena *arena)
{
    const json_t *pieces = json_object_get(message, "text_entities"), *piece;
    struct gather g = { .message = m, .arena = arena };
    size_t i;

    if (json_array_size(pieces) == 0)
        pieces = json_object_get(message, "text");
    tg_buf_init(&g.text, 2 << 20);
    if (json_is_string(pieces))
        add_piece(&g, pieces);
    json_array_foreach((json_t *)(uintptr_t)pieces, i, piece)
        add_piece(&g, piece);
    if (g.text.failed)
        tl_set_obj(m, TLN_message, NULL);
    else
        tl_set_copy(m, TLN_message, g.text.data, g.text.len);
    tg_buf_done(&g.text);
}
