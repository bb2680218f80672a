/* SPDX-License-Identifier: MIT */
/*
 * taker_lease.c - who may write: one run with all chats of a job, or many workers with a chat each
 *
 *                     a run                        a worker (by_chat)
 *   lease held        "job/NAME"                   "job/NAME/CHAT" of each chat at work
 *   fencing token     that lease's                 drawn from "job/NAME" when a chat is taken up
 *
 * Tokens of both come from one counter, so that whoever took a chat up last has the greatest,
 * whatever it is: destinations need to compare nothing else. A worker draws by taking the job's
 * lease for a moment; while a run holds it, no worker begins a chat.
 */
#include <assert.h>
#include <stdio.h>

#include "etl/lease.h"
#include "etl/taker_impl.h"
#include "os/proc.h"

/* To draw a token: others that draw hold the job's lease for a moment too. */
enum { DRAWS_MAX = 200, KEPT_MAX = 32 << 20 };
#define DRAW_TTL_US (2 * TG_SECOND_US)
#define DRAW_PAUSE_US (10 * TG_MS_US)

static tg_code try_lease(const struct tg_taker *t, const char *name, int64_t ttl_us,
                         struct tg_lease *lease, struct tg_error *err)
{
    return t->store->ops->lease(t->store->self, name, t->unix_us(), ttl_us, lease, err);
}

static tg_code take_lease(const struct tg_taker *t, const char *name, int64_t ttl_us,
                          struct tg_lease *lease, struct tg_error *err)
{
    return tg_lease_take(t->store, name, t->unix_us(), ttl_us, lease, err);
}

static int64_t ttl_us(const struct tg_taker *t)
{
    return t->job->lease_ms * TG_MS_US;
}

tg_code tg_taker_start(struct tg_taker *t, struct tg_error *err)
{
    tg_code code;

    assert(t->sink || t->callback);
    snprintf(t->lease_name, sizeof t->lease_name, "job/%s", t->job->job);
    t->wait.room.most = KEPT_MAX;
    code = tg_taker_circuit_start(t, err);
    if (code != TG_OK)
        return code;
    if (t->by_chat) {
        t->renew_us = t->unix_us() + ttl_us(t) / 3;
        return TG_OK;
    }
    code = take_lease(t, t->lease_name, ttl_us(t), &t->lease, err);
    if (code == TG_BUSY)
        tg_hint(err, "wait for it to end, stop it, or use another --job name");
    t->have_lease = code == TG_OK;
    t->renew_us = t->unix_us() + ttl_us(t) / 3;
    return code;
}

tg_code tg_taker_taken_over(const struct tg_taker *t, const struct tg_taker_chat *c,
                            struct tg_error *err)
{
    if (t->by_chat && c)
        tg_fail(err, TG_CONFLICT, "chat %lld of job '%s' was taken over by another worker",
                (long long)c->next.cursor.chat_id, t->job->job);
    else
        tg_fail(err, TG_CONFLICT, "job '%s' was taken over by another run", t->job->job);
    return tg_hint(err, "this run has stopped; what it had committed is kept, and the other run "
                        "goes on from there");
}

/*
 * Before each commit, and when its time comes: a run that slept past its lease must not go on. A
 * store that cannot be reached for a moment costs the lease only when it has run out.
 */
static tg_code renew(struct tg_taker *t, struct tg_taker_chat *c, const char *name,
                     struct tg_lease *lease, int64_t *due_us, struct tg_error *err)
{
    int64_t now = t->unix_us();
    tg_code code;

    if (now < *due_us)
        return TG_OK;
    code = try_lease(t, name, ttl_us(t), lease, err);
    if (code == TG_CONFLICT) {
        tg_taker_taken_over(t, c, err);
    } else if (code == TG_STATE && now < lease->expires_us) {
        *due_us = TG_MIN(now + TG_SECOND_US, lease->expires_us);
        code = TG_OK;
    } else if (code == TG_OK) {
        *due_us = now + ttl_us(t) / 3;
    }
    return code;
}

tg_code tg_taker_renew(struct tg_taker *t, struct tg_error *err)
{
    int64_t next;

    if (!t->by_chat) {
        assert(t->have_lease);
        return renew(t, NULL, t->lease_name, &t->lease, &t->renew_us, err);
    }
    next = t->unix_us() + ttl_us(t) / 3;
    for (size_t i = 0; i < t->n_chats; i++) {
        struct tg_taker_chat *c = t->chat[i];
        struct tg_error lost; /* told when the chat is committed next */

        if (tg_taker_renew_chat(t, c, &lost) != TG_OK)
            c->renew_us = t->unix_us() + TG_SECOND_US;
        if (c->have_lease)
            next = TG_MIN(next, c->renew_us);
    }
    t->renew_us = next;
    return TG_OK;
}

/* ---- of a chat ---- */

static tg_code draw_token(struct tg_taker *t, uint64_t *ret, struct tg_error *err)
{
    struct tg_lease lease;
    tg_code code = TG_BUSY;

    for (int i = 0; i < DRAWS_MAX && code == TG_BUSY; i++) {
        code = take_lease(t, t->lease_name, DRAW_TTL_US, &lease, err);
        if (code == TG_BUSY && lease.expires_us - t->unix_us() > DRAW_TTL_US)
            return code; /* a run has it, and keeps it */
        if (code == TG_BUSY)
            tg_sleep_us(DRAW_PAUSE_US);
    }
    if (code == TG_OK)
        code = t->store->ops->release(t->store->self, t->lease_name, &lease, err);
    *ret = lease.token;
    return code;
}

tg_code tg_taker_lease_chat(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    char name[TG_LEASE_NAME];
    tg_code code;

    if (!t->by_chat) {
        c->fence = t->lease.token;
        return TG_OK;
    }
    tg_lease_chat_name(name, t->job->job, c->next.cursor.chat_id);
    code = take_lease(t, name, ttl_us(t), &c->lease, err);
    c->have_lease = code == TG_OK;
    c->renew_us = t->unix_us() + ttl_us(t) / 3;
    t->renew_us = TG_MIN(t->renew_us, c->renew_us);
    return code == TG_OK ? draw_token(t, &c->fence, err) : code;
}

tg_code tg_taker_renew_chat(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    char name[TG_LEASE_NAME];

    if (!c->have_lease)
        return TG_OK;
    tg_lease_chat_name(name, t->job->job, c->next.cursor.chat_id);
    return renew(t, c, name, &c->lease, &c->renew_us, err);
}

void tg_taker_release_chat(struct tg_taker *t, struct tg_taker_chat *c)
{
    struct tg_error ignored;
    char name[TG_LEASE_NAME];

    if (!c->have_lease)
        return;
    tg_lease_chat_name(name, t->job->job, c->next.cursor.chat_id);
    if (t->store->ops->release(t->store->self, name, &c->lease, &ignored) != TG_OK) {
        /* it runs out by itself */
    }
}

void tg_taker_release(struct tg_taker *t)
{
    struct tg_error ignored;

    if (t->have_lease && t->store->ops->release(t->store->self, t->lease_name, &t->lease,
                                                &ignored) != TG_OK) {
        /* it runs out by itself */
    }
    t->have_lease = false;
}

bool tg_taker_only_chat(const struct tg_taker *t, tg_code code)
{
    return t->by_chat &&
           (code == TG_CONFLICT || code == TG_BUSY || code == TG_GAP || code == TG_USAGE);
}
