/* SPDX-License-Identifier: MIT */
/*
 * client.c - calls and gates: when a call may leave, what its answer means, who is told
 *
 * Waiting calls are looked through in order of arrival, those that a flood sent back first. A gate
 * that is closed holds back only calls of its own method and DC.
 */
#include "telegram/client.h"

#include <assert.h>
#include <stdlib.h>

#include "telegram/client_impl.h"
#include "telegram/rows.h"

#define CALL_TIMEOUT_US (60 * TG_SECOND_US)
#define TEMP_KEY_S (24 * 3600)
enum { MIGRATIONS_MAX = 4, BODY_MAX = 1 << 20 };

struct tgc *tgc_new(const struct tgc_options *options, int64_t now_us)
{
    struct tgc *c = calloc(1, sizeof *c);

    assert(options->io && options->session && options->where && options->random);
    if (!c)
        return NULL;
    c->options = *options;
    c->now_us = now_us;
    c->schema = options->schema ? options->schema : tl_schema_builtin(228);
    c->call = calloc(TGC_CALL_MAX, sizeof *c->call);
    if (!c->call || !c->schema) {
        tgc_free(c);
        return NULL;
    }
    for (size_t i = TGC_CALL_MAX; i-- > 0;) {
        c->call[i].newer = c->unused;
        c->unused = &c->call[i];
    }
    if (!c->options.temp_key_s)
        c->options.temp_key_s = TEMP_KEY_S;
    if (!c->options.call_timeout_us)
        c->options.call_timeout_us = CALL_TIMEOUT_US;
    if (!c->options.backoff.base_us)
        c->options.backoff = (struct tg_backoff){ TG_SECOND_US, 60 * TG_SECOND_US, 2000, true };
    return c;
}

void tgc_notify(struct tgc *c, const struct tgc_notice *notice)
{
    c->options.io->notice(c->options.io->ctx, notice);
}

const struct tl_schema *tgc_schema(const struct tgc *c)
{
    return c->schema;
}

struct tg_session_data *tgc_session(struct tgc *c)
{
    return c->options.session;
}

void tgc_set_takeout(struct tgc *c, int64_t takeout_id)
{
    c->takeout_id = takeout_id;
}

/* ---- gates ---- */

/* @return the gate of a method at a DC; NULL if there is none yet */
static const struct tgc_gate *find_gate(const struct tgc *c, const char *method, int32_t dc)
{
    for (size_t i = 0; i < c->n_gates; i++)
        if (c->gate[i].dc == dc && strcmp(c->gate[i].method, method) == 0)
            return &c->gate[i];
    return NULL;
}

/* As find_gate, made if absent. Past the bound all further methods share the last one. */
static struct tgc_gate *gate_of(struct tgc *c, const char *method, int32_t dc)
{
    const struct tgc_gate *known = find_gate(c, method, dc);
    struct tgc_gate *gate;

    if (known)
        return &c->gate[known - c->gate];
    if (c->n_gates == TGC_GATE_MAX)
        return &c->gate[TGC_GATE_MAX - 1];
    gate = &c->gate[c->n_gates++];
    gate->method = method;
    gate->dc = dc;
    tg_limiter_init(&gate->limiter, &c->options.limit, c->now_us);
    return gate;
}

void tgc_limit(struct tgc *c, const char *method, const struct tg_limiter_options *options,
               int64_t now_us)
{
    c->now_us = now_us;
    if (!method) {
        c->options.limit = *options;
        return;
    }
    tg_limiter_init(&gate_of(c, method, c->options.session->home_dc)->limiter, options, now_us);
}

int32_t tgc_limit_remaining(const struct tgc *c, const char *method, int64_t now_us)
{
    const struct tgc_gate *gate = find_gate(c, method, c->options.session->home_dc);

    return gate ? tg_limiter_remaining(&gate->limiter, now_us) : -1;
}

int64_t tgc_limit_wait(const struct tgc *c, const char *method, int64_t now_us)
{
    const struct tgc_gate *gate = find_gate(c, method, c->options.session->home_dc);

    return gate ? tg_limiter_peek(&gate->limiter, now_us) : 0;
}

/* ---- calls ---- */

uint64_t tgc_call(struct tgc *c, const struct tgc_request *request, int64_t now_us)
{
    struct tgc_call_slot *call = c->unused, *rest;
    uint8_t *body;

    assert(request->done && request->method && request->len % 4 == 0 && request->len < BODY_MAX);
    c->now_us = now_us;
    body = call ? malloc(request->len) : NULL;
    if (!body)
        return 0;
    rest = call->newer;
    memcpy(body, request->body, request->len);
    *call = (struct tgc_call_slot){
        .state = TGC_CALL_WAITING,
        .older = c->newest,
        .request = *request,
        .body = body,
        .dc = request->dc,
        /* unique, and the slot can be told from it */
        .number = ++c->last_number * TGC_CALL_MAX + (uint64_t)(call - c->call),
    };
    call->request.body = NULL;
    c->unused = rest;
    *(c->newest ? &c->newest->newer : &c->oldest) = call;
    c->newest = call;
    c->n_calls++;
    return call->number;
}

static void release(struct tgc *c, struct tgc_call_slot *call)
{
    *(call->older ? &call->older->newer : &c->oldest) = call->newer;
    *(call->newer ? &call->newer->older : &c->newest) = call->older;
    explicit_bzero(call->body, call->request.len); /* may hold a code or a proof */
    free(call->body);
    *call = (struct tgc_call_slot){ .state = TGC_CALL_FREE, .newer = c->unused };
    c->unused = call;
    c->n_calls--;
}

void tgc_free(struct tgc *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (c->link[i].dc)
            tgc_link_done(&c->link[i]);
    while (c->oldest)
        release(c, c->oldest);
    free(c->call);
    free(c);
}

void tgc_cancel(struct tgc *c, uint64_t number)
{
    struct tgc_call_slot *call = &c->call[number % TGC_CALL_MAX];
    struct tgc_link *link;

    if (call->state == TGC_CALL_FREE || call->number != number)
        return;
    link = call->state == TGC_CALL_SENT ? tgc_link_of(c, call->sent_dc) : NULL;
    if (link && link->session)
        mt_session_cancel(link->session, call->mt_call);
    release(c, call);
}

void tgc_finish(struct tgc *c, struct tgc_call_slot *call, struct tgc_reply *reply)
{
    struct tgc_request request = call->request;

    reply->n_floods = call->n_floods;
    reply->flood_wait_s = call->flood_wait_s;
    reply->sent_us = call->sent_us;
    reply->now_us = c->now_us;
    if (!reply->rpc_text)
        reply->rpc_text = "";
    release(c, call);
    request.done(request.ctx, reply);
}

static void fail_call(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *err)
{
    struct tgc_reply reply = { .code = err->code, .err = err };

    tgc_finish(c, call, &reply);
}

bool tgc_fail_one(struct tgc *c,
                  bool (*matches)(const struct tgc *c, const struct tgc_call_slot *call,
                                  int32_t dc),
                  int32_t dc, const struct tg_error *why)
{
    for (struct tgc_call_slot *call = c->oldest; call; call = call->newer) {
        if (matches(c, call, dc)) {
            fail_call(c, call, why);
            return true;
        }
    }
    return false;
}

static bool is_lost(const struct tgc *c, const struct tgc_call_slot *call, int32_t dc)
{
    (void)c;
    (void)dc;
    return call->state == TGC_CALL_WAITING && call->request.once && call->mt_call;
}

void tgc_requeue_link(struct tgc *c, int32_t dc)
{
    struct tg_error err;

    for (struct tgc_call_slot *call = c->oldest; call; call = call->newer)
        if (call->state == TGC_CALL_SENT && call->sent_dc == dc)
            call->state = TGC_CALL_WAITING;
    tg_fail(&err, TG_NET, "the connection to DC %d was lost while a call was on its way", dc);
    while (tgc_fail_one(c, is_lost, dc, &err))
        ;
}

/* The call goes again after `wait_us`, unless it may not be repeated. */
static void repeat(struct tgc *c, struct tgc_call_slot *call, int64_t wait_us)
{
    call->state = TGC_CALL_WAITING;
    call->due_us = c->now_us + wait_us;
}

static void flooded(struct tgc *c, struct tgc_call_slot *call, int64_t wait_s)
{
    struct tgc_notice notice = {
        .kind = TGC_FLOOD,
        .dc = tgc_call_dc(c, call),
        .method = call->request.method,
        .wait_us = wait_s * TG_SECOND_US,
    };

    tg_limiter_flood(&c->gate[call->gate].limiter, call->sent_us, wait_s, c->now_us);
    c->stats.n_floods++;
    c->stats.flood_wait_s += wait_s;
    call->n_floods++;
    call->flood_wait_s += wait_s;
    tgc_notify(c, &notice);
}

/* Server trouble: repeat with backoff, a bounded number of times. @return false: tell the caller */
static bool try_again(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *err)
{
    struct tgc_notice notice = {
        .kind = TGC_RETRY,
        .dc = tgc_call_dc(c, call),
        .method = call->request.method,
        .err = err,
    };

    if (call->request.once ||
        (c->options.attempts_max && call->attempts + 1 >= c->options.attempts_max))
        return false;
    notice.wait_us = tg_backoff_wait(&c->options.backoff, call->attempts++,
                                     tg_random_u64(c->options.random));
    c->stats.n_retries++;
    tgc_notify(c, &notice);
    repeat(c, call, notice.wait_us);
    return true;
}

static bool migrate(struct tgc *c, struct tgc_call_slot *call, int32_t dc, bool home)
{
    if (++call->migrations > MIGRATIONS_MAX || !tgc_link_of(c, dc))
        return false;
    if (home) {
        if (!call->request.follow_home)
            return false;
        c->options.session->home_dc = dc;
        c->options.io->save(c->options.io->ctx);
    }
    call->dc = dc == c->options.session->home_dc ? 0 : dc;
    repeat(c, call, 0);
    return true;
}

static bool has_login(const struct tgc *c)
{
    return c->options.session->user_id || tg_session_authorized(c->options.session);
}

/* @return true if the call goes on by itself */
static bool handled(struct tgc *c, struct tgc_link *link, struct tgc_call_slot *call,
                    const struct tg_error *err, const struct mt_event *event)
{
    const uint64_t this_call = call->number;
    int64_t number;
    bool home = link->dc == c->options.session->home_dc;

    switch (tgc_judge(event->code, event->text, &number)) {
    case TGC_WAIT:
        number = TG_MIN(TG_MAX(number, INT64_C(0)), INT64_C(14) * 86400);
        flooded(c, call, number);
        if (call->request.flood_fails)
            return false;
        repeat(c, call, TG_MAX(number, INT64_C(1)) * TG_SECOND_US);
        return true;
    case TGC_MOVE_HOME:
        return number > 0 && number < TG_DC_MAX && migrate(c, call, (int32_t)number, true);
    case TGC_MOVE_CALL:
        return number > 0 && number < TG_DC_MAX && migrate(c, call, (int32_t)number, false);
    case TGC_REPEAT:
        return try_again(c, call, err);
    case TGC_REINIT:
        link->inited = false;
        if (++call->migrations > MIGRATIONS_MAX)
            return false;
        repeat(c, call, 0);
        return true;
    case TGC_REBIND:
        if (!c->options.pfs || ++call->migrations > MIGRATIONS_MAX)
            return false;
        link->failed = true;
        link->why = *err;
        tgc_link_forget_temp(c, link);
        repeat(c, call, 0);
        return true;
    case TGC_REAUTH:
        if (home) {
            if (!call->request.before_login && has_login(c))
                tgc_logged_out(c, err);
            return call->number != this_call; /* failed there; the slot may be in use again */
        }
        c->options.session->dc[tgc_link_index(c, link)].authorized = false;
        if (++call->migrations > MIGRATIONS_MAX)
            return false;
        repeat(c, call, 0);
        return true;
    case TGC_DEAD:
        tgc_logged_out(c, err);
        if (call->number != this_call)
            return true;
        if (!call->request.follow_home || strncmp(event->text, "USER_", 5) == 0 ||
            ++call->migrations > MIGRATIONS_MAX)
            return false;
        repeat(c, call, 0); /* a login begins anew with another key */
        return true;
    case TGC_FAIL:
        break;
    }
    return false;
}

static void on_rpc_error(struct tgc *c, struct tgc_link *link, struct tgc_call_slot *call,
                         const struct mt_event *event)
{
    struct tg_error err;
    struct tgc_reply reply = { .err = &err, .rpc_code = event->code, .rpc_text = event->text };
    int64_t number;

    reply.code = tg_fail(&err, tgc_rpc_code(event->code, event->text), "%s: %s (%d)",
                         call->request.method, event->text, event->code);
    if (tgc_judge(event->code, event->text, &number) == TGC_WAIT)
        err.retry_after_s = number;
    if (strcmp(event->text, "AUTH_KEY_DUPLICATED") == 0)
        tg_hint(&err, "this session was used by two connections at once; log in again");
    else if (reply.code == TG_AUTH)
        tg_hint(&err, "log in with `tgdata login`");
    if (!handled(c, link, call, &err, event))
        tgc_finish(c, call, &reply);
}

static struct tgc_call_slot *sent_call(struct tgc *c, const struct tgc_link *link, uint64_t mt_call)
{
    for (struct tgc_call_slot *call = c->oldest; call; call = call->newer)
        if (call->state == TGC_CALL_SENT && call->mt_call == mt_call && call->sent_dc == link->dc)
            return call;
    return NULL;
}

void tgc_on_reply(struct tgc *c, struct tgc_link *link, const struct mt_event *event)
{
    struct tgc_call_slot *call = sent_call(c, link, event->call);
    struct tgc_reply reply = { .code = TG_OK, .body = event->body, .len = event->len,
                               .pooled = event->pooled };

    if (!call)
        return; /* cancelled */
    if (event->kind == MT_EVENT_ERROR) {
        on_rpc_error(c, link, call, event);
        return;
    }
    tg_limiter_passed(&c->gate[call->gate].limiter, call->sent_us, c->now_us);
    if (call->inited)
        link->inited = true;
    link->attempts = 0;
    c->replying = link->session;
    tgc_finish(c, call, &reply);
    c->replying = NULL;
}

void *tgc_keep(struct tgc *c)
{
    return c->replying ? mt_session_keep(c->replying) : NULL;
}

/* ---- sending ---- */

static bool may_send(struct tgc *c, struct tgc_call_slot *call, struct tgc_link *link)
{
    bool further = link->dc != c->options.session->home_dc;

    if (!tgc_link_ready(link))
        return false;
    if (further && !call->request.before_login && tgc_auth_needed(c, link)) {
        tgc_auth_import(c, link, c->now_us);
        return false;
    }
    return true;
}

static bool send_call(struct tgc *c, struct tgc_call_slot *call, struct tgc_link *link)
{
    struct tg_buf body;
    struct mt_call mt = { 0 };

    tg_buf_init(&body, BODY_MAX + 4096);
    tgc_wrap(c, link, call, &body);
    mt.body = body.data;
    mt.len = body.len;
    call->mt_call = body.failed ? 0 : mt_session_call(link->session, &mt);
    tg_buf_wipe(&body);
    if (!call->mt_call)
        return false;
    call->inited = !link->inited;
    call->state = TGC_CALL_SENT;
    call->sent_dc = link->dc;
    call->sent_us = c->now_us;
    c->stats.n_requests++;
    return true;
}

/* @return false if the list of calls may have changed */
static bool push_call(struct tgc *c, struct tgc_call_slot *call)
{
    struct tgc_link *link = tgc_link_of(c, tgc_call_dc(c, call));
    struct tg_error err;

    if (call->due_us > c->now_us)
        return true;
    if (!link) {
        tg_fail(&err, TG_NOT_FOUND, "no address of DC %d is known", tgc_call_dc(c, call));
        fail_call(c, call, &err);
        return false;
    }
    tgc_link_want(c, link, c->now_us);
    if (!may_send(c, call, link))
        return true;
    call->gate = (uint32_t)(gate_of(c, call->request.method, link->dc) - c->gate);
    if (tg_limiter_take(&c->gate[call->gate].limiter, c->now_us))
        return true;
    if (send_call(c, call, link))
        return true;
    tg_fail(&err, TG_NOMEM, "no memory to send %s", call->request.method);
    fail_call(c, call, &err);
    return false;
}

/* Oldest first, so that what a flood sent back goes before what came later. */
static void push_calls(struct tgc *c)
{
    struct tgc_call_slot *call = c->oldest;

    while (call) {
        bool same = call->state != TGC_CALL_WAITING || push_call(c, call);

        call = same ? call->newer : c->oldest;
    }
}

/* @return the link of a call without making it; NULL if there is none yet */
static const struct tgc_link *link_of(const struct tgc *c, const struct tgc_call_slot *call)
{
    int32_t dc = call->state == TGC_CALL_SENT ? call->sent_dc : tgc_call_dc(c, call);

    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (c->link[i].dc == dc)
            return &c->link[i];
    return NULL;
}

/* When a sent call has waited too long: counted while its connection is up. */
static int64_t timeout_of(const struct tgc *c, const struct tgc_link *link,
                          const struct tgc_call_slot *call)
{
    if (!link || !tgc_link_ready(link))
        return INT64_MAX;
    return TG_MAX(call->sent_us, link->since_us) + c->options.call_timeout_us;
}

/* A call that got no reply at all for long: the connection is made anew, which sends it again. */
static void check_timeouts(struct tgc *c)
{
    for (struct tgc_call_slot *call = c->oldest; call; call = call->newer) {
        struct tg_error why;

        if (call->state != TGC_CALL_SENT || c->now_us < timeout_of(c, link_of(c, call), call))
            continue;
        tg_fail(&why, TG_TIMEOUT, "%s had no reply for %lld seconds", call->request.method,
                (long long)(c->options.call_timeout_us / TG_SECOND_US));
        tgc_link_drop(c, tgc_link_of(c, call->sent_dc), &why, c->now_us);
    }
}

void tgc_tick(struct tgc *c, int64_t now_us)
{
    c->now_us = now_us;
    check_timeouts(c);
    push_calls(c);
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        struct tgc_link *link = &c->link[i];

        if (!link->dc)
            continue;
        /* calls in flight need the link even if none waits */
        if (link->state == TGC_DOWN && link->session) {
            struct mt_session_state state;

            mt_session_state(link->session, &state);
            if (state.n_calls)
                tgc_link_want(c, link, now_us);
        }
        tgc_link_tick(c, link, now_us);
    }
}

/* When a waiting call can go, without changing anything. */
static int64_t call_deadline(const struct tgc *c, const struct tgc_call_slot *call)
{
    const struct tgc_link *link = link_of(c, call);
    const struct tgc_gate *gate;
    int64_t due = call->due_us;

    if (!link)
        return due;
    if (link->state == TGC_DOWN) /* what was sent before goes again on the next connection */
        return TG_MAX(due, link->retry_us);
    if (call->state == TGC_CALL_SENT)
        return timeout_of(c, link, call);
    if (!tgc_link_ready(link))
        return INT64_MAX;
    gate = find_gate(c, call->request.method, link->dc);
    if (gate)
        due = TG_MAX(due, c->now_us + tg_limiter_peek(&gate->limiter, c->now_us));
    return due;
}

int64_t tgc_deadline(const struct tgc *c)
{
    int64_t soonest = INT64_MAX;

    for (const struct tgc_call_slot *call = c->oldest; call; call = call->newer)
        soonest = TG_MIN(soonest, call_deadline(c, call));
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (c->link[i].dc)
            soonest = TG_MIN(soonest, tgc_link_deadline(c, &c->link[i]));
    return soonest;
}

void tgc_stats(const struct tgc *c, struct tgc_stats *ret)
{
    *ret = c->stats;
    ret->n_open = c->n_calls;
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        struct mt_session_state state;

        if (c->link[i].dc != c->options.session->home_dc || !c->link[i].session)
            continue;
        mt_session_state(c->link[i].session, &state);
        ret->rtt_us = state.rtt_us;
    }
}
