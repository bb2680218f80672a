/* SPDX-License-Identifier: MIT */
/*
 * page_shape.c - where the fields of a schema's messages, users and media stand
 *
 * A field that a layer lacks, or has with another kind, is simply absent from then on.
 */
#include <assert.h>
#include <stdio.h>

#include "telegram/page.h"

/* @return number of the field in the constructor if it has the kind expected, else -1 */
static int8_t resolve(const struct tl_schema *s, uint32_t ctor, uint32_t field, enum tl_kind kind)
{
    const struct tl_ctor *c = tl_ctor_by_name(s, ctor);
    int i = tl_ctor_field_index(s, c, field);

    if (i < 0 || tl_ctor_fields(s, c)[i].kind != kind)
        return -1;
    return (int8_t)i;
}

/* @return the id of a constructor that is nothing but a long, so that it stands behind the id */
static uint32_t only_long(const struct tl_schema *s, uint32_t ctor)
{
    const struct tl_ctor *c = tl_ctor_by_name(s, ctor);

    if (!c || c->n_fields != 1 || tl_ctor_fields(s, c)[0].kind != TL_KIND_LONG)
        return 0;
    return c->id;
}

/* @return the id of reactionCount if it is flags, an int behind bit 0, the reaction, the count */
static uint32_t plain_count(const struct tg_page_shape *shape)
{
    const struct tl_schema *s = shape->schema;
    const struct tl_ctor *c = tl_ctor_by_name(s, TLN_reactionCount);
    const struct tl_field *f = c ? tl_ctor_fields(s, c) : NULL;

    if (!c || c->n_fields != 4 || shape->ix.reactionCount_reaction != 2 ||
        shape->ix.reactionCount_count != 3 || f[0].kind != TL_KIND_FLAGS ||
        f[1].kind != TL_KIND_INT || f[1].word != 0 || f[1].bit != 0 || f[2].word != TL_NO_FLAG ||
        f[3].word != TL_NO_FLAG)
        return 0;
    return c->id;
}

void tg_page_snake(struct tg_buf *out, const char *name)
{
    for (const char *at = name; *at; at++) {
        bool upper = *at >= 'A' && *at <= 'Z';
        bool after_lower = at > name && !(at[-1] >= 'A' && at[-1] <= 'Z');
        bool before_lower = at > name && at[1] >= 'a' && at[1] <= 'z';

        if (upper && (after_lower || before_lower)) /* the T of SetMessagesTTL, not the second */
            tg_buf_byte(out, '_');
        tg_buf_byte(out, (uint8_t)(upper ? *at + 32 : *at));
    }
}

static uint32_t entity_slot(uint32_t id)
{
    return id * 0x9e3779b1u >> 26;
}

const struct tg_page_entity *tg_page_entity_of(const struct tg_page_shape *shape, uint32_t id)
{
    uint32_t i = entity_slot(id);

    for (; shape->entity[i].id; i = (i + 1) % TG_PAGE_ENTITY_SLOTS)
        if (shape->entity[i].id == id)
            return &shape->entity[i];
    return NULL;
}

static void add_entity(struct tg_page_shape *shape, const struct tl_ctor *c)
{
    const struct tl_schema *s = shape->schema;
    const struct tl_field *field = tl_ctor_fields(s, c);
    const char *name = tl_symbol_name(s, c->name), *tail = strstr(name, "MessageEntity");
    uint32_t i = entity_slot(c->id);
    struct tg_page_entity *e;
    struct tg_buf label;

    if (strncmp(name, "messageEntity", 13) == 0)
        tail = name;
    if (!tail)
        return;
    while (shape->entity[i].id)
        i = (i + 1) % TG_PAGE_ENTITY_SLOTS;
    e = &shape->entity[i];
    tg_buf_init(&label, 64);
    tg_page_snake(&label, tail + 13);
    if (!label.failed && label.len <= 28) {
        int n = snprintf(e->text, sizeof e->text, "{\"type\":\"%s\",\"offset\":",
                         tg_buf_cstr(&label));

        assert(n > 0 && (size_t)n < sizeof e->text);
        e->len = (uint8_t)n;
        e->id = c->id;
        e->plain = c->n_fields == 2 && field[0].name == TLN_offset && field[1].name == TLN_length &&
                   field[0].kind == TL_KIND_INT && field[1].kind == TL_KIND_INT;
    }
    tg_buf_done(&label);
}

static void add_entities(struct tg_page_shape *shape)
{
    const struct tl_schema *s = shape->schema;
    uint16_t type = tl_type_by_name(s, TLN_MessageEntity);
    size_t n = 0;

    for (uint32_t i = 0; type != TL_NONE && i < s->n_ctors; i++)
        if (!s->ctor[i].is_function && s->ctor[i].type == type && n++ < TG_PAGE_ENTITY_SLOTS / 2)
            add_entity(shape, &s->ctor[i]);
}

/* Resolves the fields of a kind of message. @return false if it has no id */
static bool resolve_message(struct tg_page_shape *shape, enum tg_message_kind kind, uint32_t name)
{
#define WANTED(name, kind) { TLN_##name, TL_KIND_##kind },
    static const struct {
        uint32_t name;
        enum tl_kind kind;
    } wanted[] = { TG_MESSAGE_FIELDS(WANTED) }; /* as tg_message_field */
    const struct tl_ctor *c = tl_ctor_by_name(shape->schema, name);
    bool found_id = false;

    if (c && c->type == shape->message_type && !c->is_function)
        shape->message_id[kind] = c->id;
    memset(shape->place[kind], TG_M_COUNT, sizeof shape->place[kind]);
    for (uint8_t k = 0; k < TG_M_COUNT; k++) {
        int i = resolve(shape->schema, name, wanted[k].name, wanted[k].kind);

        if (i >= 0)
            shape->place[kind][i] = k;
        found_id |= i >= 0 && k == TG_M_id;
    }
    return found_id;
}

bool tg_page_shape_of(struct tg_page_shape *shape, const struct tl_schema *s)
{
#define RESOLVE(ctor, field, kind) shape->ix.ctor##_##field =                                      \
    resolve(s, TLN_##ctor, TLN_##field, TL_KIND_##kind);
#define PLAN(ctor) tl_plan_of(s, tl_ctor_by_name(s, TLN_##ctor), &shape->plan[TG_PLAN_##ctor]);
    bool whole;

    memset(shape, 0, sizeof *shape);
    shape->schema = s;
    shape->peer_user = only_long(s, TLN_peerUser);
    shape->peer_chat = only_long(s, TLN_peerChat);
    shape->peer_channel = only_long(s, TLN_peerChannel);
    shape->reaction_emoji = tl_id(s, TLN_reactionEmoji);
    shape->reaction_custom = only_long(s, TLN_reactionCustomEmoji);
    shape->reaction_paid = tl_id(s, TLN_reactionPaid);
    shape->page_type = tl_type_by_name(s, TLN_messages_Messages);
    shape->message_type = tl_type_by_name(s, TLN_Message);
    shape->chat_type = tl_type_by_name(s, TLN_Chat);
    shape->user_type = tl_type_by_name(s, TLN_User);
    shape->empty_id = resolve(s, TLN_messageEmpty, TLN_id, TL_KIND_INT);
    whole = resolve_message(shape, TG_MESSAGE, TLN_message);
    whole &= resolve_message(shape, TG_MESSAGE_SERVICE, TLN_messageService);
    TG_PAGE_FIELDS(RESOLVE)
    TG_PAGE_PLANNED(PLAN)
    shape->reaction_count = plain_count(shape);
    add_entities(shape);
    return shape->page_type != TL_NONE && shape->message_type != TL_NONE &&
           shape->chat_type != TL_NONE && shape->user_type != TL_NONE && shape->peer_user &&
           shape->empty_id >= 0 && whole;
}
