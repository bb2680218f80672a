/* SPDX-License-Identifier: MIT */
/*
 * stream_boxes.c - what the server tells of updates: pushes in, differences asked for
 *
 * The order is kept by telegram/updates.h; here are the calls that it wants, and the bytes. What it
 * applies is collected and becomes rows once it has returned (stream_rows.c). Since rows go in that
 * order into one batch after the other, and what a batch's note says of a box is where that stood
 * when the batch was put, nothing needs to be told to be committed item by item.
 *
 * An answer is taken only if the batch at hand has room for all of it; else it is asked for again.
 * A push that there is no room for is let go: its box knows that it is behind.
 *
 * Source: core.telegram.org/api/updates.
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/stream_impl.h"
#include "telegram/chats.h"
#include "telegram/request.h"

#define AGAIN_US (5 * TG_SECOND_US) /* an ask that failed */

enum {
    HELD_BYTES_MAX = 16 << 20, /* of packets that wait for others */
    PACKET_MAX = 64 << 20,
    CHANNEL_LIMIT = 100, /* counts in an answer; servers give people no more */
    BOT_LIMIT = 1000,    /* and bots more: so many rows there is room for */
    ACCOUNT_LIMIT = 1000,
};

/* ---- packets and items ---- */

static void free_packet(struct stream_packet *p)
{
    tg_arena_done(&p->arena);
    free(p);
}

void stream_item_drop(struct stream_item *item)
{
    struct stream_packet *p = item->packet;

    if (--p->out == 0) {
        p->run->held_bytes -= p->len;
        free_packet(p);
    }
}

/* @return a packet with a copy of the bytes; NULL without memory */
static struct stream_packet *new_packet(struct stream_run *r, const uint8_t *bytes, size_t len,
                                        const uint8_t **ret_body)
{
    struct stream_packet *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    tg_arena_init(&p->arena, PACKET_MAX);
    p->run = r;
    p->len = len;
    p->came_us = stream_now(r);
    *ret_body = (const uint8_t *)tg_arena_copy(&p->arena, bytes, len);
    if (*ret_body)
        return p;
    free_packet(p);
    return NULL;
}

/* An item for each change; the packet lives until all are dropped. @return NULL: no memory */
static struct stream_item *make_items(struct stream_run *r, struct stream_packet *p)
{
    struct stream_item *item = tg_arena_alloc(&p->arena, p->read.n, sizeof *item);

    for (size_t i = 0; item && i < p->read.n; i++)
        item[i] = (struct stream_item){ p, &p->read.change[i] };
    if (item) {
        p->out = p->read.n;
        r->held_bytes += p->len;
    }
    return item;
}

/* ---- what updates.h wants ---- */

static void on_apply(void *ctx, int64_t channel, void *item, uint64_t ticket)
{
    struct stream_run *r = ctx;
    struct stream_chat *c = channel ? stream_chat_of(r, channel) : NULL;

    tg_updates_commit(r->updates, channel, ticket);
    if (r->n_applied == r->cap_applied) {
        size_t cap = r->cap_applied ? 2 * r->cap_applied : 256;
        struct stream_item **more = reallocarray(r->applied, cap, sizeof *more);
        struct tg_error err;

        if (!more) {
            tg_fail(&err, TG_NOMEM, "no memory for the changes of a stream");
            stream_fail(r, &err);
            stream_item_drop(item);
            return;
        }
        r->applied = more;
        r->cap_applied = cap;
    }
    r->applied[r->n_applied++] = item;
    if (c)
        c->moved = true;
    else
        r->account_moved = true;
    r->any_moved = true;
}

static void on_drop(void *ctx, void *item)
{
    (void)ctx;
    stream_item_drop(item);
}

static void on_too_long(void *ctx, int64_t channel, const struct tg_update_state *from,
                        const struct tg_update_state *to, uint64_t ticket)
{
    struct stream_run *r = ctx;

    (void)from, (void)to;
    tg_updates_commit(r->updates, channel, ticket);
    r->stats->too_long++;
    for (size_t i = 0; i < r->n_chats; i++) {
        struct stream_chat *c = &r->chat[i];

        if (channel ? c->job.id == channel : !c->channel)
            stream_scan_want(c, true);
    }
}

/* ---- differences ---- */

struct ask {
    struct stream_run *run;
    int64_t channel;
    struct tg_update_state since;
};

/* The state from which was asked means nothing to the server any more. */
static bool is_state_gone(const struct tgc_reply *reply)
{
    return strncmp(reply->rpc_text, "PERSISTENT_TIMESTAMP_", 21) == 0;
}

static void note_caught_up(struct stream_run *r, int64_t channel, bool final)
{
    struct stream_chat *c = channel ? stream_chat_of(r, channel) : NULL;

    if (c) {
        c->moved = true;
        c->caught_up |= final;
    } else if (!channel) {
        r->account_moved = true;
        r->account_caught_up |= final;
    }
    r->any_moved = true;
}

/* Whether it is told by the answer itself: one about the account may also tell of channels, whose
 * updates are counted by themselves. */
static bool is_of(const struct tg_update_change *c, int64_t channel)
{
    return c->channel == channel || !c->counted.after;
}

static void take_change(struct stream_run *r, struct stream_item *item)
{
    const struct tg_update_change *c = item->change;
    struct tg_update update = c->counted;

    update.item = item;
    if (c->kind != TG_UPDATE_BEHIND) {
        tg_updates_take(r->updates, c->channel, &update, stream_now(r));
        return;
    }
    tg_updates_behind(r->updates, c->channel, stream_now(r));
    stream_item_drop(item);
}

/* @return TG_OK: it was given to the box; else it is asked for again */
static tg_code take_answer(struct stream_run *r, const struct ask *a, const struct tgc_reply *reply,
                           struct tg_error *err)
{
    const uint8_t *body;
    struct stream_packet *p = new_packet(r, reply->body, reply->len, &body);
    struct tg_update_answer *answer;
    struct stream_item *item;
    size_t n = 0;
    void **each;
    tg_code code;

    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory for a difference");
    code = tg_update_difference(tgc_schema(r->client), body, reply->len, a->channel, &a->since,
                                &p->arena, &p->read, err);
    answer = &p->read.answer;
    if (code == TG_PROTOCOL) { /* what it holds is found in the history */
        p->read.n = 0;
        answer->too_long = answer->final = true;
        stream_quarantine(r, a->channel, 0, err->message, reply->body, reply->len);
        code = TG_OK;
    }
    if (code == TG_OK && stream_rows_of(p) > STREAM_ANSWER_MAX) {
        p->read.n = 0;
        answer->too_long = true;
    }
    item = code == TG_OK ? make_items(r, p) : NULL;
    each = item ? tg_arena_alloc(&p->arena, p->read.n, sizeof *each) : NULL;
    if (code == TG_OK && !each)
        code = tg_fail(err, TG_NOMEM, "no memory for a difference");
    if (code != TG_OK) {
        if (item)
            r->held_bytes -= p->len;
        free_packet(p);
        return code;
    }
    for (size_t i = 0; i < p->read.n; i++)
        if (is_of(&p->read.change[i], a->channel))
            each[n++] = &item[i];
    p->pts = answer->state.at[TG_UPDATES_PTS];
    p->date = answer->state.date;
    answer->item = each;
    answer->n = n;
    p->out++; /* not before the end of this */
    tg_updates_answer(r->updates, a->channel, answer, stream_now(r));
    note_caught_up(r, a->channel, answer->final || answer->too_long);
    for (size_t i = 0; i < p->read.n; i++)
        if (!is_of(&p->read.change[i], a->channel))
            take_change(r, &item[i]);
    stream_item_drop(&(struct stream_item){ p, NULL });
    return TG_OK;
}

static void on_difference(void *ctx, const struct tgc_reply *reply)
{
    struct ask *a = ctx;
    struct stream_run *r = a->run;
    struct stream_chat *c = a->channel ? stream_chat_of(r, a->channel) : NULL;
    int64_t now = stream_now(r);
    struct tg_error err;

    r->n_asks--;
    if (r->phase != RUN_WATCH) {
        tg_updates_failed(r->updates, a->channel, INT64_MAX);
    } else if (reply->code == TG_OK && !stream_room(r, STREAM_ANSWER_MAX)) {
        tg_updates_failed(r->updates, a->channel, now); /* when there is room */
    } else if (reply->code == TG_OK) {
        if (take_answer(r, a, reply, &err) != TG_OK) {
            tg_updates_failed(r->updates, a->channel, now + AGAIN_US);
            stream_fail(r, &err);
        }
        stream_rows(r);
    } else if (is_state_gone(reply)) {
        const struct tg_update_answer gone = { .state = a->since, .too_long = true,
                                               .timeout_us = AGAIN_US };

        tg_updates_answer(r->updates, a->channel, &gone, now);
        note_caught_up(r, a->channel, true);
        if (c)
            c->phase = CHAT_FOUND; /* where it stands now is asked for again */
    } else if (c && (reply->code == TG_FORBIDDEN || reply->code == TG_NOT_FOUND ||
                     reply->code == TG_BAD_REQUEST)) {
        tg_updates_failed(r->updates, a->channel, INT64_MAX);
        stream_chat_lost(c, reply->err);
    } else if (tg_code_type(reply->code) == TG_TYPE_AUTH || reply->code == TG_CANCELLED ||
               reply->code == TG_CIRCUIT) {
        tg_updates_failed(r->updates, a->channel, INT64_MAX);
        stream_fail(r, reply->err);
    } else {
        tg_updates_failed(r->updates, a->channel, now + AGAIN_US);
    }
    free(a);
}

static struct tl_value *channel_query(struct stream_run *r, struct tg_arena *arena,
                                      struct tg_buf *input, const struct ask *a)
{
    struct tl_value *q = tl_obj(arena, TLN_updates_getChannelDifference);

    if (tg_input_channel(&tgc_session(r->client)->peers, a->channel, input))
        tl_set_raw(q, TLN_channel, input->data, input->len);
    tl_set_new(q, TLN_filter, TLN_channelMessagesFilterEmpty);
    tl_set_int(q, TLN_pts, a->since.at[TG_UPDATES_PTS]);
    tl_set_int(q, TLN_limit, r->account->session.is_bot ? BOT_LIMIT : CHANNEL_LIMIT);
    return q;
}

static struct tl_value *account_query(struct tg_arena *arena, const struct ask *a)
{
    struct tl_value *q = tl_obj(arena, TLN_updates_getDifference);

    tl_set_int(q, TLN_pts, a->since.at[TG_UPDATES_PTS]);
    tl_set_int(q, TLN_pts_limit, ACCOUNT_LIMIT);
    tl_set_int(q, TLN_date, a->since.date);
    tl_set_int(q, TLN_qts, a->since.at[TG_UPDATES_QTS]);
    return q;
}

static void on_ask(void *ctx, int64_t channel, const struct tg_update_state *since)
{
    struct stream_run *r = ctx;
    struct ask *a = malloc(sizeof *a);
    struct tgc_request how = { .method = channel ? "updates.getChannelDifference"
                                                 : "updates.getDifference",
                               .chat = channel, .done = on_difference, .ctx = a };
    struct tg_arena arena;
    struct tg_buf input;
    uint64_t call = 0;

    tg_arena_init(&arena, 65536);
    tg_buf_init(&input, 256);
    if (a) {
        *a = (struct ask){ r, channel, *since };
        call = tg_request(r->client, channel ? channel_query(r, &arena, &input, a)
                                             : account_query(&arena, a),
                          &how, stream_now(r));
    }
    tg_buf_done(&input);
    tg_arena_done(&arena);
    if (call) {
        r->n_asks++;
        return;
    }
    free(a);
    tg_updates_failed(r->updates, channel, stream_now(r) + AGAIN_US);
}

int64_t stream_boxes_step(struct stream_run *r, int64_t now_us)
{
    if (r->pressed || tg_updates_due(r->updates) > now_us)
        return r->pressed ? INT64_MAX : tg_updates_due(r->updates);
    if (!stream_room(r, STREAM_ANSWER_MAX))
        return INT64_MAX; /* a commit will call */
    tg_updates_tick(r->updates, now_us);
    return tg_updates_due(r->updates);
}

/* ---- pushes ---- */

static void all_behind(struct stream_run *r)
{
    int64_t now = stream_now(r);

    tg_updates_behind(r->updates, 0, now);
    for (size_t i = 0; i < r->n_chats; i++)
        if (r->chat[i].channel)
            tg_updates_behind(r->updates, r->chat[i].job.id, now);
}

/* Whether it can be taken now: rows for it, and not too much that waits for others. */
static bool can_take(struct stream_run *r, const struct stream_packet *p)
{
    return r->held_bytes < HELD_BYTES_MAX && stream_rows_of(p) <= STREAM_ANSWER_MAX &&
           stream_room(r, STREAM_ANSWER_MAX);
}

static void let_go(struct stream_run *r, const struct stream_packet *p)
{
    int64_t now = stream_now(r);

    r->stats->pushes_lost++;
    for (size_t i = 0; i < p->read.n; i++)
        tg_updates_behind(r->updates, p->read.change[i].channel, now);
}

static void give(struct stream_run *r, struct stream_packet *p)
{
    struct stream_item *item = make_items(r, p);

    if (!item) {
        let_go(r, p);
        free_packet(p);
        return;
    }
    p->out++;
    for (size_t i = 0; i < p->read.n; i++)
        take_change(r, &item[i]);
    stream_item_drop(&(struct stream_item){ p, NULL });
}

void stream_pushed(struct stream_run *r, const uint8_t *bytes, size_t len)
{
    const uint8_t *body;
    struct stream_packet *p;
    struct tg_error err;

    if (!r->updates || r->phase != RUN_WATCH)
        return;
    if (!bytes) {
        all_behind(r);
        return;
    }
    r->stats->pushes++;
    p = new_packet(r, bytes, len, &body);
    if (!p || tg_update_packet(tgc_schema(r->client), body, len, r->account->session.user_id,
                               &p->arena, &p->read, &err) != TG_OK) {
        r->stats->pushes_lost++;
        all_behind(r);
        if (p)
            free_packet(p);
        return;
    }
    p->date = p->read.date;
    if (p->read.lost)
        tg_updates_behind(r->updates, 0, stream_now(r));
    if (p->read.n == 0) {
        free_packet(p);
    } else if (can_take(r, p)) {
        give(r, p);
        stream_rows(r);
    } else {
        let_go(r, p);
        free_packet(p);
    }
}

/* ---- what is remembered ---- */

static bool same_state(const struct tg_update_state *a, const struct tg_update_state *b)
{
    for (size_t i = 0; i < TG_UPDATES_SEQS; i++)
        if (a->at[i] != b->at[i])
            return false;
    return true;
}

/* Whether a box that was touched stands elsewhere than is remembered; where. */
static bool has_moved(struct stream_run *r, int64_t channel, struct tg_update_state *ret)
{
    struct tg_update_state known;

    return tg_updates_state(r->updates, channel, ret, NULL) &&
           !(tg_change_box(r->state, channel, &known) && same_state(&known, ret));
}

bool stream_boxes_moved(struct stream_run *r)
{
    struct tg_update_state state;

    if (!r->any_moved)
        return false;
    r->any_moved = r->account_moved = r->account_moved && has_moved(r, 0, &state);
    for (size_t i = 0; i < r->n_chats; i++) {
        struct stream_chat *c = &r->chat[i];

        c->moved = c->moved && has_moved(r, c->job.id, &state);
        r->any_moved |= c->moved;
    }
    return r->any_moved;
}

void stream_boxes_remember(struct stream_run *r)
{
    struct tg_update_state state;

    if (!stream_boxes_moved(r))
        return;
    if (r->account_moved && has_moved(r, 0, &state))
        tg_change_put_box(r->state, 0, &state);
    for (size_t i = 0; i < r->n_chats; i++) {
        struct stream_chat *c = &r->chat[i];

        if (c->moved && has_moved(r, c->job.id, &state))
            tg_change_put_box(r->state, c->job.id, &state);
        c->moved = false;
    }
    r->account_moved = r->any_moved = false;
}

/* ---- the whole ---- */

tg_code stream_boxes_open(struct stream_run *r, struct tg_error *err)
{
    static const struct tg_updates_ops ops = { on_apply, on_drop, on_ask, on_too_long };

    r->updates = tg_updates_new(&ops, r);
    return r->updates ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for updates");
}

void stream_boxes_close(struct stream_run *r)
{
    for (size_t i = 0; i < r->n_applied; i++)
        stream_item_drop(r->applied[i]);
    r->n_applied = 0;
    tg_updates_free(r->updates);
    r->updates = NULL;
    free(r->applied);
    r->applied = NULL;
}
