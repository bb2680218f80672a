/* SPDX-License-Identifier: MIT */
/*
 * history_bot.c - reads a channel or supergroup by naming ids, which is what a bot may do
 *
 *   ids ->  | window 1..100 | 101..200 | 201..300 | ...     side by side, leaving in order
 *
 * channels.getMessages answers for every id it is given, a hole with messageEmpty, so what a window
 * covers needs no further proof. A window with a message that cannot be decoded is asked for again
 * in halves until that message stands alone.
 *
 * The newest id: updates.getChannelDifference from pts 1 gives the dialog with its top message
 * unless the channel is all but empty; then the channel's pts bounds its ids, since each message
 * took one. Facts: core.telegram.org/method/channels.getMessages, /api/updates.
 *
 * Limits: 64 windows of 100 ids
 */
#include <assert.h>
#include <stdlib.h>

#include "source/history_impl.h"
#include "telegram/request.h"
#include "tl/put.h"
#include "tl/walk.h"

enum { FIRST_PTS = 1, DIFFERENCE_LIMIT = 100 };

/* ---- the newest id ---- */

/* The top message of a channelDifferenceTooLong; 0 for any other reply. What stands behind the
 * dialog is not looked at: the top message itself may be one that cannot be decoded. */
static int32_t top_of(const struct tl_schema *schema, const struct tgc_reply *reply)
{
    struct tl_reader r = tl_reader_of(reply->body, reply->len);
    const struct tl_ctor *ctor = tl_ctor_by_id(schema, tl_peek_u32(&r));
    struct tl_object o, dialog;
    int at = 0;

    if (!ctor || ctor->name != TLN_updates_channelDifferenceTooLong)
        return 0;
    while (at < ctor->n_fields && tl_ctor_fields(schema, ctor)[at].name != TLN_dialog)
        at++;
    if (at == ctor->n_fields || !tl_object_open_until(schema, &r, at, &o) ||
        !tl_field_object(&o, TLN_dialog, &dialog))
        return 0;
    return tl_field_i32(&dialog, TLN_top_message, 0);
}

static void on_difference(void *ctx, const struct tgc_reply *reply)
{
    struct tg_history_source *s = ctx;
    int32_t top;

    s->asked = false;
    s->now_us = reply->now_us;
    if (reply->code != TG_OK) {
        source_fail(s, reply->err);
        return;
    }
    top = top_of(tgc_schema(s->options.client), reply);
    if (top > 0)
        s->until_id = top;
    s->state.top_id = s->until_id;
    s->state.expected = TG_MAX(s->until_id - s->options.resume.id, INT64_C(0));
    s->step = STEP_PAGES;
}

void source_bot_top(struct tg_history_source *s)
{
    struct tgc *client = s->options.client;
    struct tgc_request how = { .method = "updates.getChannelDifference",
                               .chat = s->options.chat_id,
                               .done = on_difference,
                               .ctx = s };
    struct tg_arena arena;
    struct tg_buf raw;
    struct tl_value *q;

    tg_arena_init(&arena, 65536);
    tg_buf_init(&raw, 64);
    q = tl_obj(&arena, TLN_updates_getChannelDifference);
    if (tg_input_channel(&tgc_session(client)->peers, s->options.chat_id, &raw))
        tl_set_raw(q, TLN_channel, raw.data, raw.len);
    tl_set_new(q, TLN_filter, TLN_channelMessagesFilterEmpty);
    tl_set_int(q, TLN_pts, FIRST_PTS);
    tl_set_int(q, TLN_limit, DIFFERENCE_LIMIT);
    s->call = tg_request(client, q, &how, s->now_us);
    s->asked = s->call != 0;
    s->state.n_requests += s->asked;
    if (!s->asked)
        source_no_memory(s);
    tg_buf_done(&raw);
    tg_arena_done(&arena);
}

/* ---- windows ---- */

static struct source_window *window_at(struct tg_history_source *s, uint32_t i)
{
    return &s->windows.at[(s->windows.head + i) % SOURCE_REQUEST_MAX];
}

void source_bot_plan(struct tg_history_source *s)
{
    s->windows = (struct source_windows){
        .next = s->low + 1,
        .high = TG_MIN(s->high, (int64_t)INT32_MAX - 1),
        .most = (uint32_t)TG_MIN(TG_MAX(2 * s->options.settings->in_flight, INT64_C(1)),
                                 (int64_t)SOURCE_REQUEST_MAX),
    };
}

tg_code source_bot_next(struct tg_history_source *s, struct tg_history_request *ret)
{
    struct source_windows *w = &s->windows;
    struct source_window *window;

    if (w->next > w->high)
        return TG_END;
    if (w->n == w->most || s->n_out >= (size_t)TG_MAX(s->options.settings->in_flight, INT64_C(1)))
        return TG_AGAIN;
    window = window_at(s, w->n++);
    *window = (struct source_window){
        .lo = (int32_t)w->next,
        .hi = (int32_t)TG_MIN(w->next + TG_PAGE_LIMIT - 1, w->high),
    };
    w->next = (int64_t)window->hi + 1;
    *ret = (struct tg_history_request){
        .tag = (uint32_t)(window - w->at),
        .offset_id = window->hi + 1,
        .limit = window->hi - window->lo + 1,
    };
    return TG_OK;
}

tg_code source_bot_take(struct tg_history_source *s, struct tg_history_piece *ret)
{
    struct source_windows *w = &s->windows;
    struct source_window *window = window_at(s, 0);

    if (w->n == 0)
        return w->next > w->high ? TG_END : TG_AGAIN;
    if (!window->done)
        return TG_AGAIN;
    *ret = (struct tg_history_piece){
        .page = window->page,
        .from = window->lo,
        .to = window->hi,
        .page_done = true,
        .end = window->hi == w->high,
    };
    window->page = NULL;
    w->head = (w->head + 1) % SOURCE_REQUEST_MAX;
    w->n--;
    return TG_OK;
}

void source_bot_done(struct tg_history_source *s)
{
    for (size_t i = 0; i < SOURCE_REQUEST_MAX; i++)
        source_page_free(s, s->windows.at[i].page);
    s->windows = (struct source_windows){ 0 };
}

/* ---- requests and replies ---- */

bool source_bot_ask(struct tg_history_source *s, struct source_request *r)
{
    int32_t id[TG_PAGE_LIMIT];

    assert(r->part.limit <= TG_PAGE_LIMIT);
    for (int32_t i = 0; i < r->part.limit; i++)
        id[i] = r->part.offset_id - 1 - i;
    return source_ask_ids(s, id, (size_t)r->part.limit, source_on_page, r, &r->call);
}

/* Where in the reply each asked id stands. @return false unless each is there once, and no other */
static bool find_ids(const struct tg_history_request *asked, const struct source_part *part,
                     size_t n, int at[TG_PAGE_LIMIT])
{
    const int32_t *id = tg_page_ids(part->page);

    if (n != (size_t)asked->limit)
        return false;
    for (size_t i = 0; i < n; i++)
        at[i] = -1;
    for (size_t i = 0; i < n; i++) {
        int64_t below = (int64_t)asked->offset_id - 1 - id[i];

        if (below < 0 || below >= asked->limit || at[below] >= 0)
            return false;
        at[below] = (int)i;
    }
    return true;
}

/* @return false if the source has failed */
static bool keep_part(struct tg_history_source *s, struct source_request *r,
                      struct source_part *part, size_t n)
{
    int at[TG_PAGE_LIMIT];
    struct tg_error err;

    if (!find_ids(&r->part, part, n, at)) {
        source_part_drop(s, part);
        tg_fail(&err, TG_PROTOCOL, "the server did not answer for each of the ids below %d",
                (int)r->part.offset_id);
        source_fail(s, &err);
        return false;
    }
    if (!source_page_add(r->page, part)) {
        source_part_drop(s, part);
        source_no_memory(s);
        return false;
    }
    for (int32_t i = r->part.limit; i-- > 0;)
        source_page_entry(r->page, r->part.offset_id - 1 - i, (int)r->page->n_parts - 1, at[i]);
    return true;
}

static void window_done(struct tg_history_source *s, struct source_request *r)
{
    struct source_window *window = &s->windows.at[r->plan.tag];

    source_page_turn(r->page);
    window->page = r->page;
    window->done = true;
    r->page = NULL;
    r->busy = false;
    s->n_out--;
}

void source_bot_reply(struct tg_history_source *s, struct source_request *r,
                      struct source_part *part, const struct tg_page_info *info)
{
    struct tg_history_request *p = &r->part;
    int32_t size = p->limit, lo = p->offset_id - size;

    if (info->fault != TG_PAGE_BAD_MESSAGE) {
        if (!keep_part(s, r, part, info->n)) {
            r->busy = false;
            return;
        }
        lo += size;
        size *= 2;
    } else {
        if (size == 1) {
            source_quarantine(s, lo, "a message with an unknown constructor",
                              part->body + info->fault_at, info->fault_len);
            source_page_entry(r->page, lo, -1, 0);
            lo++;
        }
        source_part_drop(s, part);
        size = TG_MAX(size / 2, 1);
    }
    if (lo >= r->plan.offset_id) {
        window_done(s, r);
        return;
    }
    p->limit = TG_MIN(size, r->plan.offset_id - lo);
    p->offset_id = lo + p->limit;
    if (!source_bot_ask(s, r))
        r->busy = false;
}
