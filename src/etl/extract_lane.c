/* SPDX-License-Identifier: MIT */
/*
 * extract_lane.c - one chat at work: found by its account, taken up, read, left
 *
 *   FIND -> BEGIN -> RESUME -> READ -> LEAVE [-> FALLBACK]
 *
 * FIND asks only if the account has not met the chat yet: access hashes belong to an account. A
 * lane that fails before BEGIN is over at once; after it the chat is left in any case, so that all
 * that was read is committed.
 */
#include <stdlib.h>

#include "crypto/hash.h"
#include "etl/extract_impl.h"

static struct tgc *client_of(const struct extract_lane *lane)
{
    return tg_net_client(lane->account->account->net);
}

static void enter(struct extract_lane *lane, enum extract_lane_phase phase)
{
    lane->phase = phase;
    lane->asked = false;
}

static void fail(struct extract_lane *lane, const struct tg_error *err)
{
    if (!lane->failed)
        lane->err = *err;
    lane->failed = true;
}

/* ---- what the source asks for ---- */

static struct tg_batch *take_batch(void *ctx)
{
    return tg_pipeline_batch(((struct extract_lane *)ctx)->run->pipeline);
}

static void put_batch(void *ctx, struct tg_batch *batch)
{
    extract_media_put(ctx, batch);
}

static void return_batch(void *ctx, struct tg_batch *batch)
{
    tg_pipeline_return(((struct extract_lane *)ctx)->run->pipeline, batch);
}

static void bad_record(void *ctx, int64_t chat_id, int64_t id, const char *reason,
                       const void *bytes, size_t len)
{
    extract_bad_record(((struct extract_lane *)ctx)->run, chat_id, id, reason, bytes, len);
}

static void warn(void *ctx, const char *line)
{
    struct extract_lane *lane = ctx;

    tg_account_note_of(lane->account->account, TG_NOTE_WARNING, 0,
                       (struct tg_note_about){ .chat_id = lane->task->chat.id }, "%s", line);
}

static void linked(void *ctx, int64_t group_id)
{
    extract_comments_linked(ctx, group_id);
}

static void commented(void *ctx, int64_t post)
{
    extract_comments_post(ctx, post);
}

static bool may_ask(void *ctx)
{
    return extract_may_ask(ctx);
}

static void on_source_done(void *ctx, const struct tg_error *err)
{
    struct extract_lane *lane = ctx;

    lane->source_done = true;
    if (err)
        fail(lane, err);
}

/* ---- steps ---- */

/* The chat that the account must know. */
static int64_t chat_to_find(const struct extract_lane *lane, const char **ret_what)
{
    const struct extract_task *t = lane->task;

    *ret_what = t->through ? t->channel_what : t->what;
    return t->through ? t->channel : t->chat.id;
}

static void on_found(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct extract_lane *lane = ctx;
    struct tg_error other;
    const char *what;

    lane->asked = false;
    if (peer && peer->id == chat_to_find(lane, &what)) {
        enter(lane, LANE_BEGIN);
        return;
    }
    if (peer) { /* a name that has changed hands meanwhile */
        tg_fail(&other, TG_NOT_FOUND, "'%s' is another chat now", what);
        err = &other;
    }
    fail(lane, err);
}

static void step_find(struct extract_lane *lane, int64_t now_us)
{
    const char *what;
    int64_t id = chat_to_find(lane, &what);
    struct tg_buf known;
    struct tg_error err;
    bool found;

    if (lane->asked || lane->failed)
        return;
    tg_buf_init(&known, 256);
    found = tg_input_peer(&tgc_session(client_of(lane))->peers, id, &known);
    tg_buf_done(&known);
    if (found) {
        enter(lane, LANE_BEGIN);
        return;
    }
    lane->asked = true; /* the answer may come at once */
    if (!tg_resolve_start(client_of(lane), what, on_found, lane, now_us)) {
        lane->asked = false;
        tg_fail(&err, TG_NOMEM, "no memory to look for a chat");
        fail(lane, &err);
    }
}

static void step_begin(struct extract_lane *lane)
{
    struct extract_run *r = lane->run;
    struct extract_task *t = lane->task;
    struct tg_error err;

    t->chat.settings = &t->settings;
    if ((!t->listed && tg_pipeline_list(r->pipeline, &t->chat, 1, &err) != TG_OK) ||
        tg_pipeline_begin(r->pipeline, &t->chat, &err) != TG_OK)
        extract_keep_failure(r, &err, true);
    t->listed = true;
    enter(lane, LANE_RESUME);
}

/* Message ids of private chats and basic groups belong to the account. */
static tg_code check_owner(struct extract_lane *lane, int64_t owner, struct tg_error *err)
{
    struct extract_task *t = lane->task;

    if (!owner || owner == lane->account->account->session.user_id)
        return TG_OK;
    t->owner = owner;
    tg_fail(err, TG_FORBIDDEN, "'%.100s' was read by account %lld so far, and its message ids are "
            "that account's own", t->chat.title, (long long)owner);
    return tg_hint(err,
                   "go on with that account's session, or start a series with another --job name");
}

void extract_lane_fail(struct extract_lane *lane, const struct tg_error *err)
{
    fail(lane, err);
    tg_source_free(lane->source);
    lane->source = NULL;
    lane->source_done = true;
    enter(lane, LANE_READ);
}

/* The destination's side failed: of this chat alone, or of all. */
static void give_up(struct extract_lane *lane, const struct tg_error *err)
{
    struct tg_error why;

    if (!tg_pipeline_chat_failed(lane->run->pipeline, lane->task->chat.id, &why)) {
        extract_keep_failure(lane->run, err, true);
        return;
    }
    extract_lane_fail(lane, &why);
}

static void step_resume(struct extract_lane *lane, int64_t now_us)
{
    struct extract_account *a = lane->account;
    struct extract_task *t = lane->task;
    struct tg_commit done;
    struct tg_error err;
    tg_code code = tg_pipeline_resume(lane->run->pipeline, t->chat.id, &done, &err);

    if (code == TG_AGAIN)
        return;
    if (code != TG_OK) {
        give_up(lane, &err);
        return;
    }
    code = check_owner(lane, done.cursor.owner, &err);
    if (code == TG_OK)
        code = extract_comments_check(t, &done, &err);
    if (code != TG_OK) { /* another account or way may do */
        fail(lane, &err);
        lane->source_done = true;
        enter(lane, LANE_READ);
        return;
    }
    struct tg_source_options options = {
        .client = client_of(lane),
        .settings = &t->settings,
        .io = { lane, take_batch, put_batch, return_batch, bad_record, warn, on_source_done,
                linked, commented, may_ask },
        .chat_id = t->chat.id,
        .through = t->through ? t->channel : 0,
        .posts = extract_comments_posts(lane->run, t),
        .range = a->range,
        .n_ranges = a->n_ranges,
        .resume = done.cursor,
        .rows_before = done.rows_total,
        .batches_before = done.batches,
        .urgent = t->work.workload == TG_HIGH_PRIORITY,
    };
    extract_comments_begin(lane, done.cursor.id);
    lane->source = tg_source_start(&options, now_us);
    if (!lane->source)
        extract_no_memory(lane->run);
    enter(lane, LANE_READ);
}

/* Nothing in the range asked for is worth a word: it may be mistyped. */
static void mind_empty(struct extract_lane *lane, const struct tg_source_state *state)
{
    const struct tg_extract_settings *set = &lane->task->settings;

    if (lane->failed || lane->moving || lane->run->stopping || state->rows || state->n_bad ||
        !(set->since || set->until || set->min_id || set->max_id))
        return;
    lane->run->result->empty++;
    tg_account_note_of(lane->account->account, TG_NOTE_INFO, 0,
                       (struct tg_note_about){ .chat_id = lane->task->chat.id },
                       "'%s' has no message in that range", lane->task->chat.title);
}

static void step_read(struct extract_lane *lane, int64_t now_us)
{
    struct extract_run *r = lane->run;
    struct tg_source_state state;
    struct tg_error err;

    if (lane->source && tg_pipeline_chat_failed(r->pipeline, lane->task->chat.id, &err))
        give_up(lane, &err);
    else if (lane->source && (r->stopping || lane->moving))
        tg_source_stop(lane->source, now_us);
    else if (lane->source)
        tg_source_step(lane->source, now_us);
    if (!lane->source_done)
        return;
    if (lane->held && !lane->failed && !lane->moving && !r->stopping)
        return; /* its files are being fetched */
    extract_media_drop(lane);
    if (lane->source) {
        tg_source_state(lane->source, &state);
        mind_empty(lane, &state);
        if (!lane->failed && !lane->moving && !r->stopping)
            extract_comments_read(lane, state.covered);
        tg_source_free(lane->source);
        lane->source = NULL;
    }
    if (tg_pipeline_leave(r->pipeline, lane->task->chat.id, &err) != TG_OK)
        extract_keep_failure(r, &err, true);
    enter(lane, LANE_LEAVE);
}

/* @return whether it is left */
static bool step_leave(struct extract_lane *lane)
{
    struct tg_error err, alone;
    int64_t rows;
    tg_code code = tg_pipeline_left(lane->run->pipeline, lane->task->chat.id, &rows, &alone, &err);

    if (code == TG_AGAIN)
        return false;
    if (code != TG_OK) {
        extract_keep_failure(lane->run, &err, true);
        return false;
    }
    lane->task->rows += rows;
    if (alone.code != TG_OK)
        fail(lane, &alone);
    return true;
}

bool extract_lane_step(struct extract_lane *lane, int64_t now_us)
{
    enum extract_lane_phase before;

    do {
        before = lane->phase;
        if (lane->run->fatal)
            return false; /* the run is about to end, with all lanes as they are */
        switch (lane->phase) {
        case LANE_FIND:
            if (!lane->asked && (lane->run->stopping || lane->moving))
                return true;
            step_find(lane, now_us);
            break;
        case LANE_BEGIN:
            step_begin(lane);
            break;
        case LANE_RESUME:
            step_resume(lane, now_us);
            break;
        case LANE_READ:
            step_read(lane, now_us);
            break;
        case LANE_LEAVE:
            if (!step_leave(lane))
                return false;
            if (!extract_lane_falls_back(lane))
                return true;
            enter(lane, LANE_FALLBACK);
            break;
        case LANE_FALLBACK:
            return extract_fallback_step(lane);
        }
        if (lane->phase == LANE_FIND && lane->failed) {
            if (!extract_lane_falls_back(lane))
                return true;
            enter(lane, LANE_FALLBACK);
        }
    } while (lane->phase != before);
    return false;
}

struct extract_lane *extract_lane_start(struct extract_task *t, struct extract_account *a)
{
    struct extract_run *r = a->run;
    struct extract_lane **more = reallocarray(r->lane, r->n_lanes + 1, sizeof *more), *lane;

    if (!more)
        return NULL;
    r->lane = more;
    lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    lane->run = r;
    lane->account = a;
    lane->task = t;
    a->n_lanes++;
    r->lane[r->n_lanes++] = lane;
    tg_trace_chat(r->observed.trace, t->chat.id, a->account->path);
    extract_touch(a);
    return lane;
}

void extract_lane_free(struct extract_lane *lane)
{
    struct extract_run *r = lane->run;

    for (size_t i = 0; i < r->n_lanes; i++)
        if (r->lane[i] == lane)
            memmove(&r->lane[i], &r->lane[i + 1], (--r->n_lanes - i) * sizeof r->lane[0]);
    lane->account->n_lanes--;
    tg_source_free(lane->source);
    extract_media_drop(lane);
    tg_trace_chat_end(r->observed.trace, lane->task->chat.id, lane->task->rows,
                      lane->failed ? &lane->err : NULL);
    free(lane);
}

int64_t extract_lane_wait(const struct extract_lane *lane)
{
    struct tg_source_state state;

    if (!lane->source)
        return 0;
    tg_source_state(lane->source, &state);
    return tgc_limit_wait(client_of(lane), state.method, tg_net_now(lane->account->account->net));
}

uint64_t extract_lane_needs(const struct extract_lane *lane)
{
    const struct extract_run *r = lane->run;
    uint64_t needs = extract_needs(r, lane->task);
    struct tg_source_state state;

    if (lane->moving)
        return needs;
    if (!lane->source || lane->phase != LANE_READ)
        return extract_bit(lane->account);
    tg_source_state(lane->source, &state);
    return state.owner ? needs & extract_sessions_of(r, state.owner) : needs;
}

int64_t extract_lane_left(const struct extract_lane *lane)
{
    struct tg_source_state state;

    if (!lane->source)
        return -1;
    tg_source_state(lane->source, &state);
    return state.expected < 0 ? -1
                              : TG_MAX(state.expected - tg_pipeline_rows(lane->run->pipeline,
                                                                         lane->task->chat.id),
                                       INT64_C(0));
}
