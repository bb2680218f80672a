/* SPDX-License-Identifier: MIT */
/*
 * client.c - calls: taken in, cancelled, ended; what an answer means and who is told
 */
#include "telegram/client.h"

#include <assert.h>
#include <stdlib.h>

#include "telegram/client_impl.h"
#include "telegram/rows.h"

#define CALL_TIMEOUT_US (60 * TG_SECOND_US)
#define TEMP_KEY_S (24 * 3600)
#define RETRY_ON                                                                                   \
    (TG_RETRY_ON(TG_TYPE_RATE_LIMIT) | TG_RETRY_ON(TG_TYPE_NETWORK) | TG_RETRY_ON(TG_TYPE_SERVER))
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
    if (!c->schema) {
        tgc_free(c);
        return NULL;
    }
    if (!c->options.temp_key_s)
        c->options.temp_key_s = TEMP_KEY_S;
    if (!c->options.call_timeout_us)
        c->options.call_timeout_us = CALL_TIMEOUT_US;
    if (!c->options.retry.backoff.base_us)
        c->options.retry.backoff = (struct tg_backoff){ TG_SECOND_US, 60 * TG_SECOND_US, 2000,
                                                        true };
    if (!c->options.retry.retry_on)
        c->options.retry.retry_on = RETRY_ON;
    tg_retry_budget_init(&c->retry_budget, &c->options.retry, now_us);
    tgc_circuit_init(c);
    return c;
}

void tgc_notify(struct tgc *c, const struct tgc_notice *notice)
{
    c->options.io->notice(c->options.io->ctx, notice);
}

void tgc_unreadable(struct tgc *c, const struct tg_error *why, const uint8_t *bytes, size_t len)
{
    struct tgc_notice notice = { .kind = TGC_UNREADABLE, .err = why, .bytes = bytes, .len = len };

    tgc_notify(c, &notice);
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

/* ---- calls ---- */

/* @return a free slot, still listed as such; NULL past the limit or out of memory */
static struct tgc_call_slot *free_slot(struct tgc *c)
{
    struct tgc_call_slot *chunk, **more;

    if (c->unused || c->n_chunks == TGC_CALL_MAX / TGC_CALL_CHUNK)
        return c->unused;
    more = realloc(c->chunk, (c->n_chunks + 1) * sizeof *more);
    if (more)
        c->chunk = more;
    chunk = more ? calloc(TGC_CALL_CHUNK, sizeof *chunk) : NULL;
    if (!chunk)
        return NULL;
    for (uint32_t i = TGC_CALL_CHUNK; i-- > 0;) {
        chunk[i].slot = (uint32_t)c->n_chunks * TGC_CALL_CHUNK + i;
        chunk[i].newer = c->unused;
        c->unused = &chunk[i];
    }
    c->chunk[c->n_chunks++] = chunk;
    return c->unused;
}

uint64_t tgc_call(struct tgc *c, const struct tgc_request *request, int64_t now_us)
{
    struct tgc_notice notice = { .kind = TGC_ASKED, .method = request->method };
    struct tgc_call_slot *call = free_slot(c), *rest;
    uint8_t *body;

    assert(request->done && request->method && request->len % 4 == 0 && request->len < BODY_MAX);
    c->now_us = TG_MAX(c->now_us, now_us);
    body = call && !c->closing ? malloc(request->len) : NULL;
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
        .asked_us = c->now_us,
        .slot = call->slot,
        /* unique, and the slot can be told from it */
        .number = ++c->last_number * TGC_CALL_MAX + call->slot,
    };
    call->request.body = NULL;
    call->retry.once = request->once;
    if (c->options.call_deadline_us)
        call->retry.deadline_us = c->now_us + c->options.call_deadline_us;
    tg_retry_began(&c->retry_budget, &c->options.retry);
    c->unused = rest;
    *(c->newest ? &c->newest->newer : &c->oldest) = call;
    c->newest = call;
    c->n_calls++;
    tgc_notify(c, &notice);
    return call->number;
}

/* A notice of a call. */
static void notify_of(struct tgc *c, const struct tgc_call_slot *call, struct tgc_notice notice)
{
    notice.method = call->request.method;
    notice.call.number = call->number;
    notice.call.chat = call->request.chat;
    notice.call.age_us = TG_MAX(c->now_us - call->asked_us, INT64_C(0));
    notice.call.n_floods = call->n_floods;
    notice.call.n_retries = call->n_retries;
    notice.call.flood_wait_s = call->flood_wait_s;
    tgc_notify(c, &notice);
}

static void tell_ended(struct tgc *c, const struct tgc_call_slot *call, const struct tg_error *err)
{
    notify_of(c, call, (struct tgc_notice){
        .kind = TGC_ENDED,
        .dc = tgc_real_dc(call->sent_dc),
        .took_us = call->sent_us ? TG_MAX(c->now_us - call->sent_us, INT64_C(0)) : 0,
        .err = err,
    });
}

static void release(struct tgc *c, struct tgc_call_slot *call)
{
    tgc_circuit_forget(c, call);
    *(call->older ? &call->older->newer : &c->oldest) = call->newer;
    *(call->newer ? &call->newer->older : &c->newest) = call->older;
    explicit_bzero(call->body, call->request.len); /* may hold a code or a proof */
    free(call->body);
    *call = (struct tgc_call_slot){ .newer = c->unused, .slot = call->slot };
    c->unused = call;
    c->n_calls--;
}

/* The session that it was sent on forgets it. */
static void withdraw(struct tgc *c, const struct tgc_call_slot *call)
{
    struct tgc_link *link = call->state == TGC_CALL_SENT ? tgc_link_of(c, call->sent_dc) : NULL;

    if (link && link->session)
        mt_session_cancel(link->session, call->mt_call);
}

void tgc_cancel(struct tgc *c, uint64_t number)
{
    size_t chunk = number % TGC_CALL_MAX / TGC_CALL_CHUNK;
    struct tgc_call_slot *call;
    struct tg_error err;

    if (chunk >= c->n_chunks)
        return;
    call = &c->chunk[chunk][number % TGC_CALL_CHUNK];
    if (call->state == TGC_CALL_FREE || call->number != number)
        return;
    withdraw(c, call);
    tg_fail(&err, TG_CANCELLED, "nobody waits for the answer any more");
    tell_ended(c, call, &err);
    release(c, call);
}

void tgc_finish(struct tgc *c, struct tgc_call_slot *call, struct tgc_reply *reply)
{
    struct tgc_request request = call->request;

    reply->n_floods = call->n_floods;
    reply->flood_wait_s = call->flood_wait_s;
    reply->first_sent_us = call->first_sent_us;
    reply->sent_us = call->sent_us;
    reply->now_us = c->now_us;
    if (!reply->rpc_text)
        reply->rpc_text = "";
    tell_ended(c, call, reply->code == TG_OK ? NULL : reply->err);
    release(c, call);
    request.done(request.ctx, reply);
}

void tgc_fail_call(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *why)
{
    struct tgc_reply reply = { .code = why->code, .err = why };

    withdraw(c, call);
    tgc_finish(c, call, &reply);
}

void tgc_fail_calls(struct tgc *c,
                    bool (*matches)(const struct tgc *c, const struct tgc_call_slot *call,
                                    int32_t dc),
                    int32_t dc, const struct tg_error *why)
{
    uint64_t before = (c->last_number + 1) * TGC_CALL_MAX;
    struct tgc_call_slot *call = c->oldest;

    while (call) {
        if (call->number < before && matches(c, call, dc)) {
            tgc_fail_call(c, call, why);
            call = c->oldest; /* the callback may have changed the list */
        } else {
            call = call->newer;
        }
    }
}

static bool any_call(const struct tgc *c, const struct tgc_call_slot *call, int32_t dc)
{
    (void)c;
    (void)call;
    (void)dc;
    return true;
}

void tgc_fail_all(struct tgc *c, const struct tg_error *why)
{
    tgc_fail_calls(c, any_call, 0, why);
}

void tgc_free(struct tgc *c)
{
    struct tg_error why;

    if (!c)
        return;
    c->closing = true;
    tg_fail(&why, TG_CANCELLED, "the client was closed");
    tgc_fail_all(c, &why); /* what waits for an answer is freed by its callback */
    for (size_t i = 0; i < TGC_LINKS_MAX; i++)
        tgc_link_free(c->link[i]);
    for (size_t i = 0; i < c->n_gates; i++) {
        free(c->gate[i]->share);
        free(c->gate[i]);
    }
    free(c->gate);
    tg_circuits_done(&c->circuits);
    tg_datacenter_done(&c->cdn);
    while (c->oldest)
        release(c, c->oldest);
    for (size_t i = 0; i < c->n_chunks; i++)
        free(c->chunk[i]);
    free(c->chunk);
    free(c);
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
        if (call->state == TGC_CALL_SENT && call->sent_dc == dc) {
            tgc_circuit_forget(c, call);
            call->state = TGC_CALL_WAITING;
        }
    tg_fail(&err, TG_NET, "the connection to DC %d was lost while a call was on its way",
            tgc_real_dc(dc));
    tgc_fail_calls(c, is_lost, dc, &err);
}

/* The call goes again after `wait_us`, unless it may not be repeated. */
static void repeat(struct tgc *c, struct tgc_call_slot *call, int64_t wait_us)
{
    call->state = TGC_CALL_WAITING;
    call->mt_call = 0; /* it had its answer */
    call->due_us = c->now_us + wait_us;
}

static void flooded(struct tgc *c, struct tgc_call_slot *call, int64_t wait_s)
{
    const struct tg_limiter *limiter = &call->gate->limiter;
    bool was_known = tg_limiter_learned(limiter) != 0;
    struct tgc_notice notice = {
        .kind = TGC_FLOOD,
        .dc = tgc_call_dc(c, call),
        .wait_us = tgc_gate_flood(c, call->gate, call->sent_us, wait_s),
    };

    if (!was_known && tg_limiter_learned(limiter) && tgc_note_learned(c, c->now_us))
        tgc_save(c); /* it cost floods to learn */
    c->stats.n_floods++;
    c->stats.flood_wait_s += wait_s;
    call->n_floods++;
    call->flood_wait_s += wait_s;
    notify_of(c, call, notice);
}

int64_t tgc_retry_wait(struct tgc *c, struct tgc_call_slot *call, struct tg_error *err)
{
    enum tg_retry_answer answer;
    int64_t wait_us;

    call->retry.arrived = true; /* it was sent, and nothing says that it was not done */
    answer = tg_retry_failed(&c->options.retry, &c->retry_budget, &call->retry, err,
                             tg_random_u64(c->options.random), c->now_us, &wait_us);
    if (answer == TG_RETRY_YES)
        return wait_us;
    if (answer != TG_RETRY_NO_KIND && answer != TG_RETRY_NO_ONCE)
        tg_hint(err, "not asked again: %s", tg_retry_text(answer));
    return -1;
}

/* Server trouble: repeat with backoff if the policy lets it. @return false: tell the caller */
static bool try_again(struct tgc *c, struct tgc_call_slot *call, struct tg_error *err)
{
    struct tgc_notice notice = {
        .kind = TGC_RETRY,
        .dc = tgc_call_dc(c, call),
        .wait_us = tgc_retry_wait(c, call, err),
        .err = err,
    };

    if (notice.wait_us < 0)
        return false;
    c->stats.n_retries++;
    call->n_retries++;
    notify_of(c, call, notice);
    repeat(c, call, notice.wait_us);
    return true;
}

/* The server asks to wait; X may be 0: a second then, so that nothing spins. */
static bool wait_and_repeat(struct tgc *c, struct tgc_call_slot *call, int64_t wait_s,
                            struct tg_error *err)
{
    err->retry_after_s = TG_MIN(TG_MAX(wait_s, INT64_C(1)), INT64_C(14) * 86400);
    flooded(c, call, err->retry_after_s);
    if (call->request.flood_fails || tgc_retry_wait(c, call, err) < 0)
        return false;
    repeat(c, call, err->retry_after_s * TG_SECOND_US);
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
                    struct tg_error *err, const struct mt_event *event)
{
    const uint64_t this_call = call->number;
    int64_t number;
    bool home = tgc_real_dc(link->dc) == c->options.session->home_dc;

    switch (tgc_judge(event->code, event->text, &number)) {
    case TGC_WAIT:
        return wait_and_repeat(c, call, number, err);
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
        if (!tgc_pfs(link) || ++call->migrations > MIGRATIONS_MAX)
            return false;
        if (link->bound) { /* else it went with a binding that was refused and is tried again */
            link->failed = true;
            tg_fail(&link->why, TG_NET, "%s", err->message); /* says nothing about the login */
            tgc_link_forget_temp(link);
        }
        repeat(c, call, 0);
        return true;
    case TGC_REAUTH:
        if (link->media.host[0]) { /* its DC may see that otherwise */
            c->media_off = true;
            repeat(c, call, 0);
            return true;
        }
        if (home) {
            if (!call->request.before_login && has_login(c))
                tgc_logged_out(c, err);
            return call->number != this_call; /* failed there; the slot may be in use again */
        }
        c->options.session->dc[link->slot].authorized = false;
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
        err.retry_after_s = TG_MAX(number, INT64_C(0));
    tgc_circuit_verdict(c, call, &err);
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
                               .pooled = event->pooled, .dc = tgc_real_dc(link->dc) };

    if (!call)
        return; /* cancelled */
    if (event->kind == MT_EVENT_ERROR) {
        on_rpc_error(c, link, call, event);
        return;
    }
    tg_limiter_passed(&call->gate->limiter, call->sent_us, c->now_us);
    tgc_circuit_verdict(c, call, NULL);
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
