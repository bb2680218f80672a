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
#include "telegram/message_file.h"
#include "tl/put.h"

#define ID_GET_HISTORY 0x4423e6c5u
#define ID_GET_REPLIES 0x22ddd30cu
#define ID_INVOKE_WITH_MESSAGES_RANGE 0x365275f2u
#define ID_MESSAGE_RANGE 0x0ae30253u
/* Pages that wait for an earlier lane: enough to keep sparse chats' lanes busy. */
enum { AHEAD_PER_LANE = 16 };

void source_fail(struct tg_history_source *s, const struct tg_error *err)
{
    if (s->step == STEP_DONE)
        return;
    s->err = *err;
    s->step = STEP_DONE;
}

void source_no_memory(struct tg_history_source *s)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory to read a history");
    source_fail(s, &err);
}

const char *source_method(const struct tg_history_source *s)
{
    return s->options.through ? "messages.getReplies"
           : s->bot           ? "channels.getMessages"
                              : "messages.getHistory";
}

static const struct tg_source_io *io_of(const struct tg_history_source *s)
{
    return &s->options.io;
}

static bool own_ids(const struct tg_history_source *s)
{
    return s->segment_chat[s->segment] > -TG_CHANNEL_MARK;
}

bool source_call(struct tg_history_source *s, struct tgc_request *request,
                 const struct tg_buf *body, uint64_t *ret_call)
{
    request->body = body->data;
    request->len = body->len;
    request->urgent = s->options.urgent;
    request->chat = s->options.chat_id;
    *ret_call = body->failed ? 0 : tgc_call(s->options.client, request, s->now_us);
    s->state.n_requests += *ret_call != 0;
    if (!*ret_call)
        source_no_memory(s);
    return *ret_call != 0;
}

bool source_ask(struct tg_history_source *s, const struct tg_history_request *q,
                int32_t offset_date, tgc_done done, void *ctx, uint64_t *ret_call)
{
    struct tg_session_data *session = tgc_session(s->options.client);
    const struct tg_range *range =
        own_ids(s) && s->range < s->options.n_ranges ? &s->options.range[s->range] : NULL;
    struct tgc_request request = { .method = source_method(s), .done = done, .ctx = ctx };
    int64_t through = s->options.through, peer = through ? through : s->segment_chat[s->segment];
    struct tg_error err;
    struct tg_buf body;
    bool sent;

    tg_buf_init(&body, 1024);
    if (range) {
        tg_buf_u32(&body, ID_INVOKE_WITH_MESSAGES_RANGE);
        tg_buf_u32(&body, ID_MESSAGE_RANGE);
        tg_buf_u32(&body, (uint32_t)range->min_id);
        tg_buf_u32(&body, (uint32_t)range->max_id);
    }
    tg_buf_u32(&body, through ? ID_GET_REPLIES : ID_GET_HISTORY);
    if (!tg_input_peer(&session->peers, peer, &body)) {
        tg_buf_done(&body);
        tg_fail(&err, TG_NOT_FOUND, "this account knows no access to chat %lld", (long long)peer);
        source_fail(s, &err);
        return false;
    }
    if (through)
        tg_buf_u32(&body, (uint32_t)(s->by_post.ask ? s->by_post.ask : s->by_post.post));
    tg_buf_u32(&body, (uint32_t)q->offset_id);
    tg_buf_u32(&body, (uint32_t)offset_date);
    tg_buf_u32(&body, (uint32_t)q->add_offset);
    tg_buf_u32(&body, (uint32_t)q->limit);
    tg_buf_u32(&body, (uint32_t)q->max_id);
    tg_buf_u32(&body, (uint32_t)q->min_id);
    tg_buf_u64(&body, 0);
    sent = source_call(s, &request, &body, ret_call);
    tg_buf_done(&body);
    return sent;
}

bool source_ask_ids(struct tg_history_source *s, const int32_t *id, size_t n, tgc_done done,
                    void *ctx, uint64_t *ret_call)
{
    struct tgc_request how = { .done = done, .ctx = ctx };
    struct tg_error err;
    struct tg_buf body;
    bool sent = false;

    tg_buf_init(&body, 2048);
    how.method = tg_messages_ask(s->options.client, s->options.chat_id, id, n, &body);
    if (how.method) {
        sent = source_call(s, &how, &body, ret_call);
    } else {
        tg_fail(&err, TG_NOT_FOUND, "this account knows no access to chat %lld",
                (long long)s->options.chat_id);
        source_fail(s, &err);
    }
    tg_buf_done(&body);
    return sent;
}

/* ---- the chat ---- */

int64_t source_owner(const struct tg_history_source *s)
{
    return s->segment_chat[s->segment] > -TG_CHANNEL_MARK ? s->owner : 0;
}

/* A number of rows is wanted and was reached, perhaps by an earlier run. */
static bool has_enough(const struct tg_history_source *s)
{
    int64_t limit = s->options.settings->limit;

    return limit && s->rows_total >= (uint64_t)limit;
}

static void know_segments(struct tg_history_source *s, int64_t migrated_from)
{
    s->n_segments = 1;
    s->segment_chat[0] = s->options.chat_id;
    if (migrated_from && s->bot) {
        io_of(s)->warn(io_of(s)->ctx, "a bot cannot read what was written before the group became "
                                      "a supergroup");
    } else if (migrated_from) {
        s->n_segments = 2;
        s->segment_chat[0] = migrated_from;
        s->segment_chat[1] = s->options.chat_id;
    }
    if (s->n_segments == 2 && s->options.resume.segment == 0 && s->options.resume.id &&
        !s->options.resume.owner) { /* begun by an account that did not see the old group */
        s->n_segments = 1;
        s->segment_chat[0] = s->options.chat_id;
    }
    s->options.resume.segment = TG_MIN(s->options.resume.segment, s->n_segments - 1);
    s->segment = s->options.resume.segment;
    s->step = STEP_TOP;
}

/* What is said in a group are comments on posts of its channel. */
static void know_discussion(struct tg_history_source *s, int64_t linked)
{
    const struct tg_peers *peers = &tgc_session(s->options.client)->peers;
    const struct tg_peer *peer = tg_peers_get(peers, s->options.chat_id);

    s->comments = peer && peer->kind == TG_PEER_SUPERGROUP;
    s->discussed = peer && peer->kind == TG_PEER_CHANNEL && io_of(s)->linked;
    if (s->discussed)
        io_of(s)->linked(io_of(s)->ctx, linked);
}

/* Only that the end was reached is told. */
static void end_at_once(struct tg_history_source *s)
{
    s->segment = s->options.resume.segment;
    s->covered = s->told = s->options.resume.id;
    s->step = STEP_TAIL;
}

static void on_full(void *ctx, const struct tg_chat_full *full, const struct tg_error *err)
{
    struct source_link *link = ctx;
    struct tg_history_source *s = link->source;

    free(link);
    if (!s)
        return; /* the source is gone */
    s->full = NULL;
    s->asked = false;
    if (err) {
        source_fail(s, err);
        return;
    }
    if (full->partial)
        io_of(s)->warn(io_of(s)->ctx,
                       full->migrated_from
                           ? "what the chat tells about itself cannot be read to its end"
                           : "what the chat tells about itself cannot be read to its end: if it "
                             "was a basic group once, that part of it is not read");
    if (s->bot)
        s->until_id = TG_MAX(full->pts, 1); /* a message needs a pts of its own */
    know_segments(s, s->options.alone ? 0 : full->migrated_from);
    if (full->linked_chat && s->options.settings->include_replies)
        know_discussion(s, full->linked_chat);
    if (has_enough(s))
        end_at_once(s);
}

static void ask_full(struct tg_history_source *s)
{
    struct source_link *link = malloc(sizeof *link);

    if (!link) {
        source_no_memory(s);
        return;
    }
    link->source = s;
    s->full = link;
    s->asked = true; /* the answer may come at once */
    if (tg_chat_full_start(s->options.client, s->options.chat_id, on_full, link, s->now_us))
        return;
    s->full = NULL;
    free(link);
    source_no_memory(s);
}

static void begin_chat(struct tg_history_source *s)
{
    struct tg_session_data *session = tgc_session(s->options.client);
    int64_t id = s->options.through ? s->options.through : s->options.chat_id;
    const struct tg_peer *peer = tg_peers_get(&session->peers, id);
    struct tg_error err;

    if (!peer) {
        tg_fail(&err, TG_NOT_FOUND, "chat %lld is not known to this account", (long long)id);
        source_fail(s, &err);
        return;
    }
    s->forum = peer->forum && !s->options.through;
    s->protected_chat = peer->protected;
    s->owner = session->user_id;
    if (peer->protected && !s->options.settings->allow_protected) {
        tg_fail(&err, TG_FORBIDDEN, "chat '%s' forbids saving its content", peer->name);
        tg_hint(&err, "if you have the right to keep it, repeat with --allow-protected");
        source_fail(s, &err);
        return;
    }
    s->bot = session->is_bot;
    if (s->bot && s->options.chat_id > -TG_CHANNEL_MARK) {
        tg_fail(&err, TG_UNSUPPORTED, "a bot cannot read private chats and basic groups");
        tg_hint(&err, "log in as a person (`tgdata login --phone`); bots read channels and "
                      "supergroups");
        source_fail(s, &err);
        return;
    }
    if (s->options.through)
        source_threads_begin(s);
    else if (has_enough(s) && !s->options.settings->include_replies)
        end_at_once(s);
    else
        ask_full(s);
}

/* ---- segments ---- */

/* Pages side by side: no more than what is left of the limit fills. */
static uint32_t lanes_of(const struct tg_history_source *s)
{
    const struct tg_extract_settings *set = s->options.settings;
    int64_t lanes = set->in_flight;

    if (set->limit)
        lanes = TG_MIN(lanes, (set->limit - (int64_t)s->rows_total) / TG_PAGE_LIMIT + 1);
    return (uint32_t)TG_MAX(lanes, INT64_C(1));
}

static void start_plan(struct tg_history_source *s)
{
    struct tg_history_options plan = {
        .low = s->low,
        .high = s->high,
        .lanes = lanes_of(s),
        .density_permille = 1000,
        .ahead_max = lanes_of(s) * AHEAD_PER_LANE,
    };

    if (s->bot) {
        source_bot_plan(s);
        return;
    }
    if (s->state.expected > 0 && s->high > 0)
        plan.density_permille =
            (int32_t)TG_MIN(TG_MAX(s->state.expected * 1000 / s->high, INT64_C(1)), INT64_C(1000));
    s->plan = tg_history_new(&plan);
    if (!s->plan)
        source_no_memory(s);
}

/* Ids low+1..high of the segment are wanted. */
static void plan_segment(struct tg_history_source *s)
{
    const struct tg_extract_settings *set = s->options.settings;
    bool main_segment = s->segment == s->n_segments - 1;

    if (s->options.through) {
        source_threads_plan(s);
        return;
    }
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
    if (s->range) /* the same ids go on, of which this range shows the next part */
        s->low = TG_MAX(s->low, s->covered);
    else
        s->told = s->low;
    s->covered = s->low;
    if (s->comments)
        tg_comments_begin(&s->threads, s->low + 1);
    s->planned = true;
    if (s->high > s->low)
        start_plan(s);
}

static void drop_page(void *ctx, void *page)
{
    source_page_free(ctx, page);
}

static void end_plan(struct tg_history_source *s)
{
    source_cancel_pages(s, false);
    source_bot_done(s);
    tg_history_free(s->plan, drop_page, s);
    s->plan = NULL;
    s->planned = false;
}

static void read_pages(struct tg_history_source *s)
{
    struct tg_error err;
    tg_code code = TG_OK;

    if (!s->planned)
        plan_segment(s);
    if (s->step == STEP_DONE)
        return;
    if (s->plan || s->windows.most)
        code = source_emit(s, &err);
    if (code == TG_AGAIN) {
        source_send_pages(s);
        return;
    }
    if (code != TG_OK) {
        source_fail(s, &err);
        return;
    }
    end_plan(s);
    s->step = STEP_NEXT;
}

/* On to the next range or segment, if there is one. */
static void next_segment(struct tg_history_source *s)
{
    if (s->options.through) {
        source_threads_next(s);
        return;
    }
    if (!s->enough && own_ids(s) && s->range + 1 < s->options.n_ranges) {
        s->range++;
        s->step = STEP_TOP;
        return;
    }
    if (s->enough || s->segment + 1 >= s->n_segments) {
        s->step = STEP_TAIL;
        return;
    }
    /* what is covered of a segment is told with a batch of its own */
    if ((s->batch || s->covered > s->told) && !source_flush(s, false))
        return;
    s->segment++;
    s->range = 0;
    s->step = STEP_TOP;
}

/* No callback of ours comes any more. */
static void cancel_all(struct tg_history_source *s)
{
    if (s->full)
        s->full->source = NULL;
    else if (s->asked)
        tgc_cancel(s->options.client, s->call);
    s->full = NULL;
    s->asked = false;
    if (s->lookup.busy)
        tgc_cancel(s->options.client, s->lookup.call);
    s->lookup.busy = false;
    source_cancel_pages(s, true);
}

/* The owner may do anything in done but free the source. */
static void finish(struct tg_history_source *s)
{
    struct tg_error err = s->err;

    if (s->ended)
        return;
    s->ended = true;
    cancel_all(s);
    if (s->batch && err.code == TG_OK)
        source_flush(s, false);
    else if (s->batch)
        io_of(s)->give_back(io_of(s)->ctx, s->batch);
    s->batch = NULL;
    io_of(s)->done(io_of(s)->ctx, err.code == TG_OK ? NULL : &err);
}

static void one_step(struct tg_history_source *s)
{
    switch (s->step) {
    case STEP_CHAT:
        if (!s->asked)
            begin_chat(s);
        break;
    case STEP_TOP:
    case STEP_SINCE:
    case STEP_UNTIL:
        if (s->asked)
            break;
        if (s->bot)
            source_bot_top(s);
        else
            source_ask_edge(s);
        break;
    case STEP_PAGES:
        read_pages(s);
        break;
    case STEP_NEXT:
        next_segment(s);
        break;
    case STEP_TAIL:
        if (source_flush(s, true))
            s->step = STEP_DONE;
        break;
    case STEP_DONE:
        finish(s);
        break;
    }
}

static void go_on(struct tg_history_source *s, int64_t now_us)
{
    enum source_step before;

    s->now_us = now_us;
    do {
        if (s->stopping)
            s->step = STEP_DONE;
        before = s->step;
        one_step(s);
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
    s->now_us = now_us;
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
    cancel_all(s);
    if (s->batch)
        io_of(s)->give_back(io_of(s)->ctx, s->batch);
    if (s->has_piece && s->piece.page && s->piece.page_done)
        source_page_free(s, s->piece.page);
    source_bot_done(s);
    tg_history_free(s->plan, drop_page, s);
    tg_comments_done(&s->threads);
    source_threads_done(s);
    while (s->n_pool)
        tg_page_free(s->pool[--s->n_pool]);
    free(s);
}

void tg_source_unreadable(struct tg_history_source *s, const char *what, const uint8_t *bytes,
                          size_t len)
{
    source_quarantine(s, 0, what, bytes, len);
}

void tg_source_state(const struct tg_history_source *s, struct tg_source_state *ret)
{
    *ret = s->state;
    ret->method = source_method(s);
    ret->rows = s->rows_total;
    ret->begun = s->n_segments > 0;
    ret->covered = s->covered;
    ret->owner = ret->begun ? source_owner(s) : 0;
}
