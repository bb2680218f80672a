/* SPDX-License-Identifier: MIT */
/*
 * import_text.c - an exported message's text: pieces with a type each
 *
 * Offsets are not in the file: they follow from the pieces before, counted in UTF-16 units.
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
    const char *type = tg_export_str(piece, "type");
    uint32_t name = TLN_messageEntityUnknown;
    struct tl_value *e;

    for (size_t i = 0; i < TG_COUNT(kinds); i++) {
        if (strcmp(kinds[i].type, type) == 0)
            name = kinds[i].name;
    }
    e = tl_obj(arena, name);
    if (name == TLN_messageEntityPre) {
        set_cstr_copy(e, TLN_language, tg_export_str(piece, "language"));
    } else if (name == TLN_messageEntityTextUrl) {
        set_cstr_copy(e, TLN_url, tg_export_str(piece, "href"));
    } else if (name == TLN_messageEntityMentionName) {
        tl_set_long(e, TLN_user_id, tg_export_peer(json_object_get(piece, "user_id")));
    } else if (name == TLN_messageEntityCustomEmoji) {
        const char *id = tg_export_str(piece, "document_id");

        tl_set_long(e, TLN_document_id, tg_export_num(piece, "document_id",
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

static void add_piece(void *ctx, const char *text, size_t n, const json_t *piece)
{
    struct gather *g = ctx;
    uint32_t at = g->units;
    struct tl_value *e;

    tg_buf_add(&g->text, text, n);
    g->units += tg_utf16_len(text, n);
    e = piece ? entity_of(piece, g->arena) : NULL;
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
    struct gather g = { .message = m, .arena = arena };

    tg_buf_init(&g.text, 2 << 20);
    tg_export_text(message, add_piece, &g);
    if (g.text.failed)
        tl_set_obj(m, TLN_message, NULL);
    else
        tl_set_copy(m, TLN_message, g.text.data, g.text.len);
    tg_buf_done(&g.text);
}
