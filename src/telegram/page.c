/* SPDX-License-Identifier: MIT */
/*
 * page.c - opens a reply of messages: cuts it into messages, users and chats (rows.h, page.h)
 *
 * A messages.Messages object is read field by field. Everything before the vector of messages has
 * no deep objects; in the vectors each item is walked on its own, so that a fault is known to lie
 * in one item, and all before it is good.
 */
#include <assert.h>
#include <stdlib.h>

#include "telegram/page.h"

enum { SCRATCH_MAX = 64 << 20, SCRATCH_KEEP = 64 << 10 };

struct tg_page *tg_page_new(void)
{
    struct tg_page *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->scratch = calloc(1, sizeof *p->scratch);
    if (!p->scratch || !tg_page_peer_index(p)) {
        tg_page_free(p);
        return NULL;
    }
    tg_buf_init(&p->scratch->json, SCRATCH_MAX);
    tg_buf_init(&p->scratch->hash, SCRATCH_MAX);
    return p;
}

void tg_page_free(struct tg_page *p)
{
    if (!p)
        return;
    if (p->scratch) {
        tg_buf_done(&p->scratch->json);
        tg_buf_done(&p->scratch->hash);
    }
    free(p->scratch);
    tl_pieces_done(&p->pieces);
    free(p->message);
    free(p->peer);
    free(p->slot);
    free(p);
}

/* ---- messages ---- */

/* Notes where the fields that rows need stand in a message that is not empty. */
static bool read_places(struct tg_page *p, struct tl_reader *r, enum tg_message_kind kind)
{
    const struct tg_page_shape *shape = &p->shape;
    struct tg_page_message *m = &p->message[p->n];

    memset(m->at, 0, sizeof m->at);
    m->start = r->at;
    m->end = tl_object_places(shape->schema, r, &shape->plan[kind], shape->place[kind], m->at);
    m->kind = kind;
    if (!m->end)
        return false;
    p->id[p->n++] = tg_message_i32(m, TG_M_id);
    return true;
}

/* Reads the next message. @return false if it is none, or none that this layer knows */
static bool read_message(struct tg_page *p, struct tl_reader *r)
{
    const struct tg_page_shape *shape = &p->shape;
    uint32_t id = tl_peek_u32(r);
    struct tg_page_message *m;
    struct tl_object o;

    if (id && id == shape->message_id[TG_MESSAGE])
        return read_places(p, r, TG_MESSAGE);
    if (id && id == shape->message_id[TG_MESSAGE_SERVICE])
        return read_places(p, r, TG_MESSAGE_SERVICE);
    if (!tl_object_open(shape->schema, r, &o) || o.ctor->name != TLN_messageEmpty ||
        o.ctor->type != shape->message_type || o.ctor->is_function)
        return false;
    m = &p->message[p->n];
    *m = (struct tg_page_message){ .start = o.start, .end = o.end, .kind = TG_MESSAGE_EMPTY };
    p->id[p->n++] = tl_at_i32(&o, shape->empty_id, 0);
    return true;
}

/* Fills what is known of a fault in the object at `at`, and cuts the reply into what can be read
 * and what cannot, so that the faulty object stands alone. */
static void set_fault(struct tg_page *p, enum tg_page_fault fault, const uint8_t *at,
                      struct tg_page_info *info)
{
    struct tl_fault why;
    size_t left = (size_t)(p->body + p->len - at);

    info->fault = fault;
    info->fault_at = (size_t)(at - p->body);
    info->fault_len = left;
    info->fault_constructor = left >= 4 ? tg_le32(at) : 0;
    if (tl_explain(p->shape.schema, at, left, TL_NONE, &why))
        info->fault_constructor = why.id;
    if (!tl_pieces_cut(p->shape.schema, p->body, p->len, &p->pieces)) {
        tl_pieces_done(&p->pieces);
        return;
    }
    info->n_bad = p->pieces.n_bad;
    for (size_t i = 0; i < p->pieces.n; i++)
        if (p->pieces.piece[i].at == at)
            info->fault_len = (size_t)(p->pieces.piece[i].end - at);
}

static bool room_for_messages(struct tg_page *p, size_t n)
{
    struct tg_page_message *more;

    if (n <= p->cap)
        return true;
    n = n <= 100 ? 100 : TG_PAGE_MESSAGE_MAX;
    more = realloc(p->message, n * sizeof *more);
    if (!more)
        return false;
    p->message = more;
    p->cap = n;
    return true;
}

/* Opens a user or chat. */
static inline bool open_item(const struct tg_page *p, struct tl_reader *r, struct tl_object *ret)
{
    return tl_object_open_planned(p->shape.schema, r, &p->shape.plan[TG_PLAN_user],
                                  TG_PAGE_PLANS - TG_PLAN_user, ret);
}

static tg_code read_messages(struct tg_page *p, struct tl_reader *r, struct tg_page_info *info,
                             struct tg_error *err)
{
    uint32_t n = tl_read_vector(r, 4);

    if (r->bad)
        return tg_fail(err, TG_PROTOCOL, "a page without its list of messages");
    if (n > TG_PAGE_MESSAGE_MAX)
        return tg_fail(err, TG_PROTOCOL, "a page of %u messages", n);
    if (!room_for_messages(p, n))
        return tg_fail(err, TG_NOMEM, "no memory for a page of %u messages", n);
    while (n--) {
        const uint8_t *at = r->at;

        if (!read_message(p, r)) {
            set_fault(p, TG_PAGE_BAD_MESSAGE, at, info);
            break;
        }
    }
    return TG_OK;
}

/* ---- what stands behind the messages ---- */

static tg_code read_peers(struct tg_page *p, struct tl_reader *r, uint16_t type,
                          struct tg_page_info *info, struct tg_error *err)
{
    const uint8_t *at = r->at;
    struct tl_object o;
    uint32_t n = tl_read_vector(r, 4);

    if (r->bad) {
        set_fault(p, TG_PAGE_BAD_PEER, at, info);
        return TG_OK;
    }
    while (n--) {
        at = r->at;
        if (!open_item(p, r, &o) || o.ctor->type != type ||
            o.ctor->is_function) {
            set_fault(p, TG_PAGE_BAD_PEER, at, info);
            return TG_OK;
        }
        if (!tg_page_peer_add(p, &o))
            return tg_fail(err, TG_NOMEM, "no memory for the users of a page");
    }
    return TG_OK;
}

/* Takes the users and chats from the pieces of a reply that no walk gets through. */
static tg_code salvage_peers(struct tg_page *p, struct tg_error *err)
{
    const struct tl_schema *s = p->shape.schema;

    if (p->pieces.n)
        p->n_peers = 0;
    for (size_t i = 0; i < p->pieces.n; i++) {
        const struct tl_piece *piece = &p->pieces.piece[i];
        const struct tl_field *field = &tl_ctor_fields(s, p->pieces.ctor)[piece->field];
        struct tl_reader r = tl_reader_of(piece->at, (size_t)(piece->end - piece->at));
        struct tl_object o;

        if (piece->kind != TL_PIECE_ITEM ||
            (field->name != TLN_users && field->name != TLN_chats))
            continue;
        if (tl_object_open(s, &r, &o) && !tg_page_peer_add(p, &o))
            return tg_fail(err, TG_NOMEM, "no memory for the users of a page");
    }
    return TG_OK;
}

/* Reads the fields behind the messages of a reply; `head` has the flag words and ends there. */
static tg_code read_tail(struct tg_page *p, const struct tl_object *head,
                         struct tg_page_info *info, struct tg_error *err)
{
    const struct tl_schema *s = p->shape.schema;
    const struct tl_field *field = tl_ctor_fields(s, head->ctor);
    struct tl_reader r = tl_reader_of(head->end, (size_t)(p->body + p->len - head->end));
    int i = tl_field_index(head, TLN_messages) + 1;

    for (; i < head->ctor->n_fields && info->fault == TG_PAGE_WHOLE; i++) {
        const struct tl_field *f = &field[i];
        const uint8_t *at = r.at, *word;
        tg_code code = TG_OK;

        word = f->word == TL_NO_FLAG ? NULL : head->field[f->word];
        if (f->word != TL_NO_FLAG && (!word || !(tg_le32(word) >> f->bit & 1)))
            continue;
        if (f->name == TLN_users || f->name == TLN_chats)
            code = read_peers(p, &r, f->name == TLN_users ? p->shape.user_type : p->shape.chat_type,
                              info, err);
        else if (!tl_skip_type(s, &r, f->type))
            set_fault(p, TG_PAGE_BAD_PEER, at, info);
        if (code != TG_OK)
            return code;
    }
    return info->fault == TG_PAGE_WHOLE ? TG_OK : salvage_peers(p, err);
}

tg_code tg_page_open(struct tg_page *p, const struct tl_schema *schema, const uint8_t *body,
                     size_t len, struct tg_page_info *ret, struct tg_error *err)
{
    struct tg_page_info info = { .total = -1 };
    struct tl_reader r = tl_reader_of(body, len);
    const struct tl_ctor *c = tl_ctor_by_id(schema, tl_peek_u32(&r));
    int messages = tl_ctor_field_index(schema, c, TLN_messages);
    struct tl_object head;
    tg_code code;

    p->n = p->n_peers = 0;
    p->body = body;
    p->len = len;
    tl_pieces_done(&p->pieces);
    if (p->shape.schema != schema && !tg_page_shape_of(&p->shape, schema)) {
        p->shape.schema = NULL;
        return tg_fail(err, TG_USAGE, "a schema without messages");
    }
    if (!c || c->type != p->shape.page_type || c->is_function)
        return tg_fail(err, TG_PROTOCOL, "not a page of messages: constructor %08x",
                       (unsigned)tl_peek_u32(&r));
    if (messages == 0)
        head = (struct tl_object){ .schema = schema, .ctor = c, .start = body, .end = body + 4 };
    else if (!tl_object_open_until(schema, &r, messages < 0 ? TL_FIELD_MAX : messages - 1, &head))
        return tg_fail(err, TG_PROTOCOL, "a page of messages that ends too early");
    info.total = tl_field_i32(&head, TLN_count, -1);
    info.pts = tl_field_i32(&head, TLN_pts, 0);
    r = tl_reader_of(head.end, (size_t)(body + len - head.end));
    code = messages < 0 ? TG_OK : read_messages(p, &r, &info, err);
    head.end = r.at;
    if (code == TG_OK && messages >= 0 && info.fault == TG_PAGE_WHOLE)
        code = read_tail(p, &head, &info, err);
    if (code == TG_OK && !tg_page_peer_index(p))
        code = tg_fail(err, TG_NOMEM, "no memory for the users of a page");
    if (code != TG_OK) {
        p->n = p->n_peers = 0;
        return code;
    }
    if (p->scratch->json.cap > SCRATCH_KEEP)
        tg_buf_done(&p->scratch->json);
    if (p->scratch->hash.cap > SCRATCH_KEEP)
        tg_buf_done(&p->scratch->hash);
    info.n = p->n;
    *ret = info;
    return TG_OK;
}

/* ---- what the planner and the caller ask ---- */

const int32_t *tg_page_ids(const struct tg_page *p)
{
    return p->id;
}

int32_t tg_page_date(const struct tg_page *p, size_t i)
{
    assert(i < p->n);
    return tg_message_i32(&p->message[i], TG_M_date);
}

bool tg_page_is_empty(const struct tg_page *p, size_t i)
{
    assert(i < p->n);
    return p->message[i].kind == TG_MESSAGE_EMPTY || p->message[i].at[TG_M_noforwards];
}

int64_t tg_page_migration(const struct tg_page *p, size_t i)
{
    struct tl_reader r;
    struct tl_object action;

    assert(i < p->n);
    r = tg_message_reader(&p->message[i], TG_M_action);
    if (!r.at || !tl_object_open(p->shape.schema, &r, &action))
        return 0;
    if (action.ctor->name == TLN_messageActionChatMigrateTo)
        return tg_mark_channel(tl_field_i64(&action, TLN_channel_id, 0));
    if (action.ctor->name == TLN_messageActionChannelMigrateFrom)
        return tg_mark_group(tl_field_i64(&action, TLN_chat_id, 0));
    return 0;
}

void tg_page_bytes(const struct tg_page *p, size_t i, const uint8_t **ret, size_t *ret_len)
{
    assert(i < p->n);
    *ret = p->message[i].start;
    *ret_len = (size_t)(p->message[i].end - p->message[i].start);
}

void tg_page_ahead(const struct tg_page *p, size_t i)
{
    enum { AHEAD_MAX = 1024 }; /* most messages are shorter */
    const struct tg_page_message *m = &p->message[i];

    assert(i < p->n);
    if (i > 0) /* what leads to the one behind it: pages are gone through backwards */
        tg_fetch(m - 1, sizeof *m);
    tg_fetch(m->start, TG_MIN((size_t)(m->end - m->start), (size_t)AHEAD_MAX));
}

bool tg_page_bad(const struct tg_page *p, size_t i, const uint8_t **ret, size_t *ret_len)
{
    for (size_t k = 0; k < p->pieces.n; k++) {
        const struct tl_piece *piece = &p->pieces.piece[k];

        if (piece->kind != TL_PIECE_BAD || i--)
            continue;
        *ret = piece->at;
        *ret_len = (size_t)(piece->end - piece->at);
        return true;
    }
    return false;
}
