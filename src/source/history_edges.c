/* SPDX-License-Identifier: MIT */
/*
 * history_edges.c - where a segment ends: its newest id, and the ids between which the wanted dates
 * lie
 *
 * Each costs one request for one message: getHistory with offset_date gives the newest message
 * before a date, and ids grow with dates.
 */
#include "source/history_impl.h"

/* Reads the newest id and the count of a one-message reply. */
static bool read_edge(struct tg_history_source *s, const struct tgc_reply *reply, int32_t *ret_id,
                      int32_t *ret_total)
{
    struct tg_page *page = source_pool_get(s);
    struct tg_page_info info;
    struct tg_error err;
    int32_t id = 0;

    s->asked = false;
    s->now_us = reply->now_us;
    if (reply->code != TG_OK) {
        source_fail(s, reply->err);
        source_pool_put(s, page);
        return false;
    }
    if (!page || tg_page_open(page, tgc_schema(s->options.client), reply->body, reply->len, &info,
                              &err) != TG_OK) {
        if (!page)
            tg_fail(&err, TG_NOMEM, "no memory for a page");
        source_fail(s, &err);
        source_pool_put(s, page);
        return false;
    }
    if (info.fault == TG_PAGE_BAD_MESSAGE && info.n == 0)
        id = source_id_of(s, reply->body + info.fault_at, info.fault_len);
    if (info.fault == TG_PAGE_BAD_MESSAGE && info.n == 0 && !id && s->edge_skip < TG_PAGE_LIMIT) {
        /* the message at the edge cannot be read: the one before it tells */
        if (s->step == STEP_TOP)
            source_quarantine(s, 0, "a message with an unknown constructor",
                              reply->body + info.fault_at, info.fault_len);
        s->edge_skip++;
        source_pool_put(s, page);
        return false; /* the step asks again */
    }
    s->edge_skip = 0;
    *ret_id = info.n ? tg_page_ids(page)[0] : id;
    *ret_total = info.total;
    source_pool_put(s, page);
    return true;
}

/* What the server counts in the chat itself; a takeout counts range by range. */
static void expect(struct tg_history_source *s, int32_t total)
{
    int64_t left = s->range ? s->state.expected : -(int64_t)s->options.rows_before;

    if (s->segment == s->n_segments - 1)
        s->state.expected = total < 0 ? -1 : TG_MAX(left + total, INT64_C(0));
}

static void on_top(void *ctx, const struct tgc_reply *reply)
{
    struct tg_history_source *s = ctx;
    const struct tg_extract_settings *set = s->options.settings;
    int32_t id, total;

    if (!read_edge(s, reply, &id, &total))
        return;
    s->state.top_id = id;
    expect(s, total);
    s->since_id = 0;
    s->until_id = id;
    s->step = set->since ? STEP_SINCE : set->until ? STEP_UNTIL : STEP_PAGES;
}

static void on_since(void *ctx, const struct tgc_reply *reply)
{
    struct tg_history_source *s = ctx;
    int32_t id, total;

    if (!read_edge(s, reply, &id, &total))
        return;
    s->since_id = id;
    s->step = s->options.settings->until ? STEP_UNTIL : STEP_PAGES;
}

static void on_until(void *ctx, const struct tgc_reply *reply)
{
    struct tg_history_source *s = ctx;
    int32_t id, total;

    if (!read_edge(s, reply, &id, &total))
        return;
    s->until_id = id;
    s->step = STEP_PAGES;
}

static int32_t clamp_date(int64_t date)
{
    return (int32_t)TG_MIN(TG_MAX(date, INT64_C(1)), (int64_t)INT32_MAX);
}

/* Asks for the one message that an edge is told from. */
void source_ask_edge(struct tg_history_source *s)
{
    static const struct {
        tgc_done done;
    } edge[] = {
        [STEP_TOP] = { on_top }, [STEP_SINCE] = { on_since }, [STEP_UNTIL] = { on_until }
    };
    const struct tg_extract_settings *set = s->options.settings;
    struct tg_history_request q = { .add_offset = s->edge_skip, .limit = 1 };
    int64_t date = s->step == STEP_SINCE ? set->since : s->step == STEP_UNTIL ? set->until : 0;

    s->asked = source_ask(s, &q, date ? clamp_date(date) : 0, edge[s->step].done, s, &s->call);
}
