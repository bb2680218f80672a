/* SPDX-License-Identifier: MIT */
/*
 * session.c - lifetime, calls and clock of a client session; see session.h and session_impl.h
 *
 * Threads: none: one caller      See also: docs/internals/mtproto-session.md
 */
#include "mtproto/session_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define PING_EVERY_US (60 * TG_SECOND_US)
#define OFFSET_MAX_US (INT64_C(4200000000) * TG_SECOND_US)
#define TELL_OFFSET_US (TG_SECOND_US / 2) /* a smaller move of the offset is not reported */

/* ---- lists ---- */

void mt_calls_append(struct mt_calls *list, struct mt_pending *call)
{
    call->next = NULL;
    call->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = call;
    list->last = call;
}

static void calls_prepend(struct mt_calls *list, struct mt_pending *call)
{
    call->prev = NULL;
    call->next = list->first;
    *(list->first ? &list->first->prev : &list->last) = call;
    list->first = call;
}

void mt_calls_remove(struct mt_calls *list, struct mt_pending *call)
{
    *(call->prev ? &call->prev->next : &list->first) = call->next;
    *(call->next ? &call->next->prev : &list->last) = call->prev;
    call->next = call->prev = NULL;
}

/* ---- events ---- */

void mt_session_event(struct mt_session *s, const struct mt_event *event)
{
    s->options.on_event(s->options.ctx, event);
}

void mt_session_fail(struct mt_session *s, tg_code code, int32_t transport_error,
                     const char *text)
{
    struct tg_error err;

    if (s->failed)
        return;
    s->failed = true;
    s->epoch++;
    tg_fail(&err, code, "%s", text);
    mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_FAILED, .code = transport_error,
                                            .err = &err });
}

/* ---- clock ---- */

void mt_session_time(struct mt_session *s, int64_t now_us)
{
    bool first = !s->clock.started;

    if (mt_clock_set(&s->clock, now_us)) {
        s->time_known = false; /* the pong will tell */
        s->ping_due = s->transport != NULL;
    }
    if (first)
        s->told_offset_us = mt_clock_wall_offset_us(&s->clock);
}

void mt_session_measured(struct mt_session *s, int64_t peer_us)
{
    int64_t moved = peer_us - mt_clock_peer_us(&s->clock), wall;

    if (peer_us > OFFSET_MAX_US)
        return; /* no such time: ids must stay below 2^64 */
    s->clock.offset_us = peer_us - s->clock.local_us;
    s->doubt_moved_us += moved;
    s->time_known = true;
    wall = mt_clock_wall_offset_us(&s->clock);
    if (wall - s->told_offset_us > TELL_OFFSET_US || s->told_offset_us - wall > TELL_OFFSET_US) {
        s->told_offset_us = wall;
        mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_TIME });
    }
}

void mt_session_set_salt(struct mt_session *s, const uint8_t salt[8])
{
    if (memcmp(s->salt, salt, 8) == 0)
        return;
    memcpy(s->salt, salt, 8);
    mt_session_event(s, &(struct mt_event){ .kind = MT_EVENT_SALT });
}

/* ---- calls ---- */

void mt_session_unlink(struct mt_session *s, struct mt_pending *call)
{
    mt_calls_remove(call->sent ? &s->sent : &s->queue, call);
    if (!call->sent)
        s->queued_bytes -= call->len;
    mt_idmap_take(&s->by_number, call->number);
    if (call->msg_id)
        mt_idmap_take(&s->by_msg_id, call->msg_id);
    if (call->after)
        s->n_after--;
}

static void forget_msg_id(struct mt_session *s, struct mt_pending *call)
{
    if (call->msg_id)
        mt_idmap_take(&s->by_msg_id, call->msg_id);
    call->msg_id = 0;
}

static void requeue_one(struct mt_session *s, struct mt_pending *call, bool renumber)
{
    assert(call->sent);
    mt_calls_remove(&s->sent, call);
    calls_prepend(&s->queue, call);
    call->sent = false;
    call->quick_token = 0;
    s->queued_bytes += call->len;
    if (renumber)
        forget_msg_id(s, call);
}

void mt_session_requeue(struct mt_session *s, struct mt_pending *call, bool renumber)
{
    uint64_t number = call->number;

    /* What was told to wait for the old msg_id would wait for ever: it follows under a new one. It
     * goes to the queue's head first, so that the call itself comes out before it. */
    if (renumber && s->n_after)
        for (struct mt_pending *p = s->sent.last, *before; p; p = before) {
            before = p->prev;
            if (p->after == number && p != call) {
                mt_session_requeue(s, p, true);
                before = s->sent.last; /* the recursion may have taken any of them */
            }
        }
    if (call->sent)
        requeue_one(s, call, renumber);
    else if (renumber)
        forget_msg_id(s, call);
}

void mt_session_requeue_all(struct mt_session *s, bool renumber)
{
    while (s->sent.last)
        requeue_one(s, s->sent.last, renumber);
    if (renumber)
        for (struct mt_pending *p = s->queue.first; p; p = p->next)
            forget_msg_id(s, p);
}

uint64_t mt_session_call(struct mt_session *s, const struct mt_call *call)
{
    struct tg_buf packed;
    struct mt_pending *p;
    const void *body = call->body;
    size_t len = call->make_body ? 0 : call->len;

    assert(len % 4 == 0);
    if (len > MT_PACKET_MAX - 2048)
        return 0;
    tg_buf_init(&packed, MT_PACKET_MAX);
    /* invokeAfterMsg must stand outermost, and not every server looks for gzip inside of it. */
    if (len > MT_GZIP_FROM && s->options.gzip_requests && !call->after &&
        mt_gzip_pack(s->gzip, body, len, &packed)) {
        body = packed.data;
        len = packed.len;
    }
    p = calloc(1, sizeof *p + len);
    if (p) {
        *p = (struct mt_pending){ .number = ++s->last_number, .after = call->after,
                                  .make_body = call->make_body, .make_ctx = call->make_ctx,
                                  .want_quick_ack = call->want_quick_ack, .len = (uint32_t)len };
        if (len)
            memcpy(p->body, body, len);
    }
    tg_buf_wipe(&packed);
    if (!p || !mt_idmap_put(&s->by_number, p->number, p)) {
        free(p);
        return 0;
    }
    if (call->first)
        calls_prepend(&s->queue, p);
    else
        mt_calls_append(&s->queue, p);
    s->queued_bytes += len;
    s->n_after += p->after != 0;
    return p->number;
}

void mt_session_cancel(struct mt_session *s, uint64_t number)
{
    struct mt_pending *call = mt_idmap_get(&s->by_number, number);
    struct tg_buf body;

    if (!call)
        return;
    if (call->msg_id) {
        tg_buf_init(&body, 16);
        tg_buf_u32(&body, MT_ID_RPC_DROP_ANSWER);
        tg_buf_u64(&body, call->msg_id);
        if (!body.failed)
            mt_session_service(s, MT_SENT_DROP, call->msg_id, &body);
        tg_buf_done(&body);
    }
    mt_session_unlink(s, call);
    explicit_bzero(call->body, call->len);
    free(call);
}

/* ---- lifetime ---- */

static uint64_t new_session_id(const struct mt_session *s)
{
    uint64_t id;

    do
        id = tg_random_u64(s->options.random);
    while (id == 0 || id == s->session_id);
    return id;
}

struct mt_session *mt_session_new(const struct mt_session_options *options,
                                  const struct mt_key *key, const uint8_t salt[8],
                                  int64_t time_offset_us)
{
    struct mt_session *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    assert(options->on_event && options->random);
    s->options = *options;
    if (s->options.ping_every_us <= 0)
        s->options.ping_every_us = PING_EVERY_US;
    if (s->options.silence_max_us <= 0)
        s->options.silence_max_us = 3 * s->options.ping_every_us;
    s->key = *key;
    memcpy(s->salt, salt, 8);
    s->clock.offset_us = TG_MAX(-OFFSET_MAX_US, TG_MIN(time_offset_us, OFFSET_MAX_US));
    s->time_known = time_offset_us != 0;
    mt_seen_init(&s->seen, MT_SEEN_MAX);
    tg_buf_init(&s->service, MT_SERVICE_BYTES);
    tg_buf_init(&s->scratch, MT_PACKET_MAX);
    tg_buf_init(&s->packet, MT_PACKET_MAX);
    s->session_id = new_session_id(s);
    s->gzip = mt_gzip_new();
    if (!s->gzip) {
        mt_session_free(s);
        return NULL;
    }
    return s;
}

static void free_calls(struct mt_calls *list)
{
    for (struct mt_pending *p = list->first, *next; p; p = next) {
        next = p->next;
        explicit_bzero(p->body, p->len); /* may hold codes and passwords */
        free(p);
    }
}

void mt_session_free(struct mt_session *s)
{
    if (!s)
        return;
    free_calls(&s->queue);
    free_calls(&s->sent);
    mt_idmap_done(&s->by_number);
    mt_idmap_done(&s->by_msg_id);
    mt_seen_done(&s->seen);
    tg_buf_done(&s->service);
    tg_buf_wipe(&s->scratch);
    tg_buf_done(&s->packet);
    free(s->acks);
    free(s->acked);
    free(s->ring);
    mt_gzip_free(s->gzip);
    mt_key_wipe(&s->key);
    explicit_bzero(s, sizeof *s);
    free(s);
}

void mt_session_connected(struct mt_session *s, struct mt_transport *transport, int64_t now_us)
{
    assert(transport);
    mt_session_time(s, now_us);
    mt_session_disconnected(s);
    s->transport = transport;
    s->failed = false;
    s->ping_due = true; /* measures the round trip, and the time where it is not known */
    s->heard_us = s->clock.local_us;
    s->ping_at_us = s->clock.local_us + s->options.ping_every_us;
    s->stale_at_us = s->clock.local_us + MT_STALE_US;
    s->salts_asked_us = 0;
    s->n_refused = 0;
    s->refused_up_to = 0;
}

void mt_session_disconnected(struct mt_session *s)
{
    mt_session_requeue_all(s, false);
    s->transport = NULL;
    s->ping_due = false;
    s->ping_id = 0;
    s->n_state_ids = 0;
    s->epoch++;
}

/* Starts over under a fresh session id: numbers, window and acks belong to the old one. */
static void fresh_session(struct mt_session *s)
{
    memmove(s->former + 1, s->former, sizeof s->former - sizeof *s->former);
    s->former[0] = s->session_id;
    s->session_id = new_session_id(s);
    s->used = false;
    s->n_content = 0;
    s->clock.last_id = 0;
    mt_seen_clear(&s->seen);
    s->n_acks = 0;
    s->n_doubt = 0;
    s->in_doubt = s->doubt_future = false;
    s->n_state_ids = 0;
    s->refused_up_to = 0;
    if (s->acked)
        memset(s->acked, 0, MT_ACKED_MAX * sizeof *s->acked);
    if (s->ring)
        memset(s->ring, 0, MT_RING_MAX * sizeof *s->ring);
    tg_buf_clear(&s->service);
    s->ping_id = 0;
    s->ping_due = s->transport != NULL;
    s->salts_asked_us = 0;
    mt_session_requeue_all(s, true);
    s->epoch++;
}

void mt_session_restart(struct mt_session *s)
{
    bool known = s->used;
    struct tg_buf body;

    fresh_session(s);
    if (!known)
        return;
    tg_buf_init(&body, 16);
    tg_buf_u32(&body, MT_ID_DESTROY_SESSION);
    tg_buf_u64(&body, s->former[0]);
    if (!body.failed)
        mt_session_service(s, MT_SENT_DESTROY, s->former[0], &body);
    tg_buf_done(&body);
}

void mt_session_set_key(struct mt_session *s, const struct mt_key *key, const uint8_t salt[8])
{
    memcpy(s->former_key_id, s->key.id, 8);
    mt_key_wipe(&s->key);
    s->key = *key;
    memcpy(s->salt, salt, 8);
    s->n_salts = 0;
    fresh_session(s);
}

/* ---- time that passes ---- */

/* Asks what became of calls that have waited long on a living connection. */
static void ask_states(struct mt_session *s)
{
    int64_t before = s->clock.local_us - MT_STALE_US;
    struct tg_buf body;

    s->n_state_ids = 0;
    for (struct mt_pending *p = s->sent.first; p && s->n_state_ids < MT_STATE_IDS_MAX; p = p->next)
        if (p->sent_us <= before)
            s->state_ids[s->n_state_ids++] = p->msg_id;
    if (s->n_state_ids == 0)
        return;
    tg_buf_init(&body, 12 + 8 * MT_STATE_IDS_MAX);
    tg_buf_u32(&body, MT_ID_MSGS_STATE_REQ);
    tg_buf_u32(&body, MT_ID_VECTOR);
    tg_buf_u32(&body, (uint32_t)s->n_state_ids);
    for (size_t i = 0; i < s->n_state_ids; i++)
        tg_buf_u64(&body, s->state_ids[i]);
    if (!body.failed)
        mt_session_service(s, MT_SENT_STATE_REQ, 0, &body);
    tg_buf_done(&body);
}

bool mt_session_rest(struct mt_session *s)
{
    if (s->queue.first || s->sent.first || s->n_acks || s->service.len || s->body_pooled)
        return false;
    tg_buf_wipe(&s->scratch);
    tg_buf_done(&s->packet);
    tg_buf_done(&s->service);
    mt_gzip_rest(s->gzip);
    free(s->acks);
    free(s->acked);
    free(s->ring); /* what was sent that long ago is complained about no more */
    s->acks = NULL;
    s->acked = NULL;
    s->ring = NULL;
    s->cap_acks = 0;
    return true;
}

void mt_session_tick(struct mt_session *s, int64_t now_us)
{
    int64_t local;

    mt_session_time(s, now_us);
    if (!s->transport || s->failed)
        return;
    local = s->clock.local_us;
    if (local - s->heard_us >= s->options.silence_max_us) {
        mt_session_fail(s, TG_TIMEOUT, 0, "the server has been silent for too long");
        return;
    }
    if (local >= s->ping_at_us) {
        s->ping_due = true;
        s->ping_at_us = local + s->options.ping_every_us;
    }
    if (local >= s->stale_at_us) {
        s->stale_at_us = local + MT_STALE_US;
        ask_states(s);
    }
}

int64_t mt_session_deadline(const struct mt_session *s)
{
    int64_t at;

    if (!s->transport || s->failed)
        return INT64_MAX;
    at = TG_MIN(s->ping_at_us, s->heard_us + s->options.silence_max_us);
    if (s->sent.first)
        at = TG_MIN(at, s->stale_at_us);
    if (s->n_acks)
        at = TG_MIN(at, s->ack_since_us + MT_ACK_DELAY_US);
    return at - s->clock.local_us + s->clock.wall_us;
}

void *mt_session_keep(struct mt_session *s)
{
    if (!s->body_pooled)
        return NULL;
    s->body_pooled = false;
    return mt_gzip_take(s->gzip);
}

void mt_session_state(const struct mt_session *s, struct mt_session_state *ret)
{
    *ret = (struct mt_session_state){ .session_id = s->session_id,
                                      .time_offset_us = mt_clock_wall_offset_us(&s->clock),
                                      .n_calls = s->by_number.n,
                                      .queued_bytes = s->queued_bytes,
                                      .rtt_us = s->rtt_us };
    memcpy(ret->salt, s->salt, 8);
}
