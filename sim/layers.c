/* SPDX-License-Identifier: MIT */
/*
 * layers.c - where a layer says something in another shape than the world does
 *
 * tl_encode drops fields that a layer lacks; what went to another constructor is moved here, in
 * the tree that was just made for this reply. The world speaks as layer 228 does.
 *
 * Threads: none
 */
#include "sim/targets.h"

struct tl_value *sim_child(struct tl_value *o, uint32_t field)
{
    for (uint32_t i = 0; o && o->kind == TL_VALUE_OBJECT && i < o->n; i++) {
        struct tl_value *v = &o->u.list[i];

        if (v->field == field)
            return v->kind == TL_VALUE_REF ? v->u.ref : v;
    }
    return NULL;
}

static struct tl_value *child_item(struct tl_value *list, uint32_t i)
{
    struct tl_value *v = list && list->kind == TL_VALUE_VECTOR && i < list->n ? &list->u.list[i]
                                                                               : NULL;

    return v && v->kind == TL_VALUE_REF ? v->u.ref : v;
}

/* From layer 229 on, a button below a message is one object whose type says what it does. */
static void inline_button(struct tl_value *button)
{
    struct tl_value *type;

    if (tl_name(button) != TLN_keyboardButtonUrl)
        return;
    type = tl_set_new(button, TLN_type, TLN_inlineButtonTypeUrl);
    tl_set_str(type, TLN_url, tl_get_str(button, TLN_url));
    button->name = TLN_keyboardInlineButton;
}

static void inline_markup(struct tl_value *markup)
{
    struct tl_value *rows, *row, *buttons;

    if (tl_name(markup) != TLN_replyInlineMarkup)
        return;
    rows = sim_child(markup, TLN_rows);
    for (uint32_t i = 0; (row = child_item(rows, i)); i++) {
        row->name = TLN_keyboardInlineButtonRow;
        buttons = sim_child(row, TLN_buttons);
        for (uint32_t k = 0; k < tl_len(buttons); k++)
            inline_button(child_item(buttons, k));
    }
}

struct tl_value *sim_message(struct sim_call *c, const struct sim_chat *chat, int64_t id)
{
    struct tl_value *m = sim_world_message(c->core->world, c->me, chat, id, c->arena);

    if (tl_has_name(c->schema, TLN_keyboardInlineButtonRow))
        inline_markup(sim_child(m, TLN_reply_markup));
    return m;
}
