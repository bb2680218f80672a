/* SPDX-License-Identifier: MIT */
/*
 * history_source.c - the steps of reading a chat, and the requests they make
 *
 * Facts: core.telegram.org/api/offsets, /api/takeout; messages.getHistory's parameters.
 */
#include "source/history_source.h"

#include <assert.h>
#include <stdlib.h>

#include "source/history_impl.h"
#include "tl/put.h"

#define ID_GET_HISTORY 0x4423e6c5u
#define ID_INVOKE_WITH_MESSAGES_RANGE 0x365275f2u
#define ID_MESSAGE_RANGE 0x0ae30253u
/* Pages that wait for an earlier lane: enough to keep sparse chats' lanes busy, few enough to fit. */
enum { AHEAD_PER_LANE = 16 };

void source_fail(struct tg_history_source *s, const struct tg_error *err)
{
    if (s->step == STEP_DONE)
        return;
    s->err = *err;
    s->step = STEP_DONE;
}

static const struct tg_source_io *io_of(const struct tg_history_source *s)
{
    return &s->options.io;
}

static bool own_ids(const struct tg_history_source *s)
{
    return s->segment_chat[s->segment] > -TG_CHANNEL_MARK;
}

bool source_ask(struct tg_history_source *s, const struct tg_history_request *q,
                int32_t offset_date, tgc_done done, void *ctx, uint64_t *ret_call)
{
    struct tg_session_data *session = tgc_session(s->options.client);
    const struct tg_range *range =
        own_ids(s) && s->range < s->options.n_ranges ? &s->options.range[s->range] : NULL;
    struct tgc_request request = { .method = "messages.getHistory", .done = done, .ctx = ctx };
    struct tg_error err;
    struct tg_buf body;

    tg_buf_init(&body, 1024);
    if (range) {
        tg_buf_u32(&body, ID_INVOKE_WITH_MESSAGES_RANGE);
        tg_buf_u32(&body, ID_MESSAGE_RANGE);
        tg_buf_u32(&body, (uint32_t)range->min_id);
        tg_buf_u32(&body, (uint32_t)range->max_id);
    }
    tg_buf_u32(&body, ID_GET_HISTORY);
    if (!tg_input_peer(&session->peers, s->segment_chat[s->segment], &body)) {
        tg_buf_done(&body);
        tg_fail(&err, TG_NOT_FOUND, "this account knows no access to chat %lld",
                (long long)s->segment_chat[s->segment]);
        source_fail(s, &err);
        return false;
    }
    tg_buf_u32(&body, (uint32_t)q->offset_id);
    tg_buf_u32(&body, (uint32_t)offset_date);
    tg_buf_u32(&body, (uint32_t)q->add_offset);
    tg_buf_u32(&body, (uint32_t)q->limit);
    tg_buf_u32(&body, (uint32_t)q->max_id);
    tg_buf_u32(&body, (uint32_t)q->min_id);
    tg_buf_u64(&body, 0);
    request.body = body.data;
    request.len = body.len;
    *ret_call = body.failed ? 0 : tgc_call(s->options.client, &request, s->now_us);
    tg_buf_done(&body);
    if (!*ret_call) {
        tg_fail(&err, TG_NOMEM, "no memory for a history request");
        source_fail(s, &err);
        return false;
    }
    s->state.n_requests++;
    return true;
}

/* ---- the chat ---- */

static void on_full(void *ctx, const struct tg_chat_full *full, const struct tg_error *err)
{
    struct tg_history_source *s = ctx;

    s->asked = false;
    if (err) {
        source_fail(s, err);
        return;
    }
    s->n_segments = 1;
    s->segment_chat[0] = s->options.chat_id;
    if (full->migrated_from) {
        s->n_segments = 2;
        s->segment_chat[0] = full->migrated_from;
        s->segment_chat[1] = s->options.chat_id;
    }
    s->segment = TG_MIN(s->options.resume.segment, s->n_segments - 1);
    s->step = STEP_TOP;
}

static void begin_chat(struct tg_history_source *s, int64_t now_us)
{
    struct tg_session_data *session = tgc_session(s->options.client);
    const struct tg_peer *peer = tg_peers_get(&session->peers, s->options.chat_id);
    struct tg_error err;

    if (!peer) {
        tg_fail(&err, TG_NOT_FOUND, "chat %lld is not known to this account",
                (long long)s->options.chat_id);
        source_fail(s, &err);
        return;
    }
    s->forum = peer->forum;
    s->protected_chat = peer->protected;
    s->owner = s->options.chat_id > -TG_CHANNEL_MARK ? session->user_id : 0;
    if (peer->protected && !s->options.settings->allow_protected) {
        tg_fail(&err, TG_FORBIDDEN, "chat '%s' forbids saving its content", peer->name);
        tg_hint(&err, "if you have the right to keep it, repeat with --allow-protected");
        source_fail(s, &err);
        return;
    }
    s->asked = true;
    if (!tg_chat_full_start(s->options.client, s->options.chat_id, on_full, s, now_us)) {
        tg_fail(&err, TG_NOMEM, "no memory to ask for a chat");
        source_fail(s, &err);
    }
}

/* ---- edges of a segment ---- */

/* Reads the newest id and the count of a one-message reply. */
static bool read_edge(struct tg_history_source *s, const struct tgc_reply *reply, int32_t *ret_id,
                      int32_t *ret_total)
{
    struct tg_page *page = source_pool_get(s);
    struct tg_page_info info;
    struct tg_error err;

    s->asked = false;
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
    if (info.fault == TG_PAGE_BAD_MESSAGE && info.n == 0 && s->edge_skip < TG_PAGE_LIMIT) {
        /* the message at the edge cannot be read: the one before it tells */
        if (s->step == STEP_TOP)
            source_quarantine(s, 0, "a message with an unknown constructor",
                              reply->body + info.fault_at, info.fault_len);
        s->edge_skip++;
        source_pool_put(s, page);
        return false; /* the step asks again */
    }
    s->edge_skip = 0;
    *ret_id = info.n ? tg_page_ids(page)[0] : 0;
    *ret_total = info.total;
    source_pool_put(s, page);
    return true;
}

static void on_top(void *ctx, const struct tgc_reply *reply)
{
    struct tg_history_source *s = ctx;
    const struct tg_extract_settings *set = s->options.settings;
    int32_t id, total;

    if (!read_edge(s, reply, &id, &total))
        return;
    s->state.top_id = id;
    if (s->segment == s->n_segments - 1)
        s->state.expected =
            total < 0 ? -1 : TG_MAX((int64_t)total - (int64_t)s->options.rows_before, INT64_C(0));
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
static void ask_edge(struct tg_history_source *s)
{
    static const struct {
        tgc_done done;
    } edge[] = { [STEP_TOP] = { on_top }, [STEP_SINCE] = { on_since }, [STEP_UNTIL] = { on_until } };
    const struct tg_extract_settings *set = s->options.settings;
    struct tg_history_request q = { .add_offset = s->edge_skip, .limit = 1 };
    int64_t date = s->step == STEP_SINCE ? set->since : s->step == STEP_UNTIL ? set->until : 0;

    s->asked = source_ask(s, &q, date ? clamp_date(date) : 0, edge[s->step].done, s, &s->call);
}

/* ---- segments ---- */

/* Ids low+1..high of the segment are wanted. */
static void plan_segment(struct tg_history_source *s)
{
    const struct tg_extract_settings *set = s->options.settings;
    bool main_segment = s->segment == s->n_segments - 1;
    struct tg_error err;

    s->low = s->since_id;
    s->high = s->until_id;
    if (main_segment && set->min_id)
        s->low = TG_MAX(s->low, set->min_id - 1);
    if (main_segment && set->max_id)
        s->high = TG_MIN(s->high, set->max_id);
    if (!main_segment && set->min_id)
        s->high = 0; /* ids are of the chat itself; the old group lies before all of them */
    if (s->options.resume.segment == s->segment)
        s->low = TG_MAX(s->low, s->options.resume.id);
    s->covered = s->low;
    if (s->high <= s->low)
        return;
    struct tg_history_options plan = {
        .low = s->low,
        .high = s->high,
        .lanes = (uint32_t)set->in_flight,
        .density_permille = 1000,
        .ahead_max = (uint32_t)set->in_flight * AHEAD_PER_LANE,
    };
    if (s->state.expected > 0 && s->high > 0)
        plan.density_permille =
            (int32_t)TG_MIN(TG_MAX(s->state.expected * 1000 / s->high, INT64_C(1)), INT64_C(1000));
    s->plan = tg_history_new(&plan);
    if (!s->plan) {
        tg_fail(&err, TG_NOMEM, "no memory to plan a history");
        source_fail(s, &err);
    }
}

/* @return true if another segment or range follows */
static bool next_segment(struct tg_history_source *s)
{
    s->plan = NULL;
    if (own_ids(s) && s->range + 1 < s->options.n_ranges) {
        s->range++;
        s->step = STEP_TOP;
        return true;
    }
    if (s->segment + 1 >= s->n_segments || s->full)
        return false;
    s->segment++;
    s->range = 0;
    s->step = STEP_TOP;
    return true;
}

static void drop_page(void *ctx, void *page)
{
    source_page_free(ctx, page);
}

static void read_pages(struct tg_history_source *s)
{
    struct tg_error err;
    tg_code code = TG_OK;

    if (!s->plan)
        plan_segment(s);
    if (s->step == STEP_DONE)
        return;
    if (s->plan)
        code = source_emit(s, &err);
    if (code == TG_AGAIN) {
        if (!s->stopping)
            source_send_pages(s);
        return;
    }
    if (code != TG_OK) {
        source_fail(s, &err);
        return;
    }
    if (s->plan)
        tg_history_free(s->plan, drop_page, s);
    s->plan = NULL;
    /* the segment's end: its coverage is told with a batch of its own segment */
    if (s->segment + 1 < s->n_segments && !s->full && s->batch && !source_flush(s, false))
        return;
    if (!next_segment(s))
        s->step = STEP_TAIL;
}

static void finish(struct tg_history_source *s)
{
    struct tg_error err = s->err;

    if (s->ended)
        return;
    s->ended = true;
    if (s->call && s->asked)
        tgc_cancel(s->options.client, s->call);
    for (size_t i = 0; i < SOURCE_REQUEST_MAX; i++)
        if (s->request[i].busy)
            tgc_cancel(s->options.client, s->request[i].call);
    if (s->batch && err.code == TG_OK)
        source_flush(s, false);
    else if (s->batch)
        io_of(s)->give_back(io_of(s)->ctx, s->batch);
    s->batch = NULL;
    io_of(s)->done(io_of(s)->ctx, err.code == TG_OK ? NULL : &err);
}

static void go_on(struct tg_history_source *s, int64_t now_us)
{
    enum source_step before;

    s->now_us = now_us;
    do {
        before = s->step;
        if (s->stopping && !s->ended && s->step != STEP_DONE) {
            s->step = STEP_DONE;
            continue;
        }
        switch (s->step) {
        case STEP_CHAT:
            if (!s->asked)
                begin_chat(s, now_us);
            break;
        case STEP_TOP:
        case STEP_SINCE:
        case STEP_UNTIL:
            if (!s->asked)
                ask_edge(s);
            break;
        case STEP_PAGES:
            read_pages(s);
            break;
        case STEP_TAIL:
            if (source_flush(s, true))
                s->step = STEP_DONE;
            break;
        case STEP_DONE:
            finish(s);
            break;
        }
    } while (s->step != before);
}

struct tg_history_source *tg_source_start(const struct tg_source_options *options, int64_t now_us)
{
    struct tg_history_source *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->options = *options;
    s->batch_seq = options->batches_before;
    s->rows_total = options->rows_before;
    s->state.expected = -1;
    (void)now_us;
    return s;
}

void tg_source_step(struct tg_history_source *s, int64_t now_us)
{
    go_on(s, now_us);
}

void tg_source_stop(struct tg_history_source *s, int64_t now_us)
{
    s->stopping = true;
    go_on(s, now_us);
}

void tg_source_free(struct tg_history_source *s)
{
    if (!s)
        return;
    if (s->batch)
        io_of(s)->give_back(io_of(s)->ctx, s->batch);
    for (size_t i = 0; i < SOURCE_REQUEST_MAX; i++)
        if (s->request[i].page)
            source_page_free(s, s->request[i].page);
    if (s->has_piece && s->piece.page && s->piece.page_done)
        source_page_free(s, s->piece.page);
    if (s->plan)
        tg_history_free(s->plan, drop_page, s);
    while (s->n_pool)
        tg_page_free(s->pool[--s->n_pool]);
    free(s);
}

void tg_source_state(const struct tg_history_source *s, struct tg_source_state *ret)
{
    *ret = s->state;
}
