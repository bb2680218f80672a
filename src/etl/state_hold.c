/* SPDX-License-Identifier: MIT */
/*
 * state_hold.c - the leases of jobs whose state is moved, so that nobody runs them; see state.h
 *
 * A run holds "job/NAME", a worker "job/NAME/CHAT" of each chat at work; who begins a chat draws a
 * token from "job/NAME". So who holds that, and has seen that no chat's lease is held, is alone.
 *
 * A job that was moved away has a lease of "moved to URL" for a hundred years.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "etl/lease.h"
#include "etl/state.h"
#include "os/loop.h"
#include "os/proc.h"

#define TTL_US (60 * TG_SECOND_US)
#define MOVED_TTL_US (INT64_C(100) * 365 * 86400 * TG_SECOND_US)

struct name {
    char at[TG_JOB_NAME_MAX + 8];
};

static const char *lease_name(const struct tg_state_hold *h, size_t i, struct name *out)
{
    snprintf(out->at, sizeof out->at, "job/%s", h->jobs->at[i]);
    return out->at;
}

static bool is_moved(const char *owner)
{
    return strncmp(owner, TG_STORE_MOVED, sizeof TG_STORE_MOVED - 1) == 0;
}

/* A lease of a job that is moved back: remembers whom it was left to. */
static tg_code free_moved(struct tg_state_hold *h, size_t i, const struct tg_state_name *there,
                          struct tg_error *err)
{
    struct tg_lease lease = { .token = there->number };

    snprintf(lease.owner, sizeof lease.owner, "%s", there->owner);
    memcpy(h->away[i].owner, lease.owner, sizeof lease.owner);
    return h->store->ops->release(h->store->self, there->key, &lease, err);
}

static tg_code busy(const char *job, const char *owner, const struct tg_store *store,
                    struct tg_error *err)
{
    tg_fail(err, TG_BUSY, "job '%s' is being run by '%.64s' with %s", job, owner,
            tg_store_shown(store->url).text);
    return tg_hint(err, "stop that run, then make the copy again");
}

static tg_code take_one(struct tg_state_hold *h, size_t i, const struct tg_state_names *names,
                        bool moved_from_here, struct tg_error *err)
{
    struct name name;
    const char *job = h->jobs->at[i];
    const struct tg_state_name *there =
        tg_state_names_find(names, TG_STORE_LEASES, "lease", lease_name(h, i, &name));
    struct tg_lease lease;
    tg_code code = TG_OK;

    if (there && moved_from_here && is_moved(there->owner))
        code = free_moved(h, i, there, err);
    if (code == TG_OK)
        code = tg_lease_take(h->store, name.at, tg_clock_unix_us(), TTL_US, &lease, err);
    if (code == TG_BUSY)
        return busy(job, lease.owner, h->store, err);
    if (code == TG_OK)
        h->lease[i] = lease;
    return code;
}

/* Workers hold leases of chats. */
static tg_code check_chats(struct tg_state_hold *h, struct tg_error *err)
{
    struct tg_state_names now = { 0 };
    tg_code code = tg_state_names_read(h->store, &now, err);

    for (size_t i = 0; code == TG_OK && i < now.n; i++) {
        const struct tg_state_name *name = &now.at[i];
        char job[TG_JOB_NAME_MAX + 1];

        if (name->shape == TG_STORE_LEASES && name->owner[0] && strchr(name->key + 4, '/') &&
            name->expires_us > tg_clock_unix_us() && !tg_proc_gone(name->owner) &&
            tg_state_job_of(name->shape, name->key, job) && tg_state_jobs_have(h->jobs, job))
            code = busy(job, name->owner, h->store, err);
    }
    tg_state_names_done(&now);
    return code;
}

tg_code tg_state_hold_take(struct tg_state_hold *h, const struct tg_state_names *names,
                           bool moved_from_here, struct tg_error *err)
{
    tg_code code = TG_OK;

    assert(!h->lease);
    h->lease = calloc(h->jobs->n + 1, sizeof *h->lease);
    h->away = calloc(h->jobs->n + 1, sizeof *h->away);
    if (!h->lease || !h->away)
        return tg_fail(err, TG_NOMEM, "no memory for leases");
    h->renew_us = tg_clock_unix_us() + TTL_US / 3;
    for (size_t i = 0; code == TG_OK && i < h->jobs->n; i++)
        code = take_one(h, i, names, moved_from_here, err);
    return code == TG_OK ? check_chats(h, err) : code;
}

void tg_state_hold_raised(struct tg_state_hold *h, const char *name, uint64_t token)
{
    for (size_t i = 0; h->lease && i < h->jobs->n; i++) {
        struct name own;

        if (strcmp(lease_name(h, i, &own), name) == 0 && h->lease[i].token)
            h->lease[i].token = TG_MAX(h->lease[i].token, token);
    }
}

tg_code tg_state_hold_renew(struct tg_state_hold *h, struct tg_error *err)
{
    int64_t now_us = tg_clock_unix_us();
    tg_code code = TG_OK;

    if (!h->lease || now_us < h->renew_us)
        return TG_OK;
    for (size_t i = 0; code == TG_OK && i < h->jobs->n; i++) {
        struct name name;

        if (h->lease[i].token)
            code = h->store->ops->lease(h->store->self, lease_name(h, i, &name), now_us, TTL_US,
                                        &h->lease[i], err);
    }
    h->renew_us = now_us + TTL_US / 3;
    return code;
}

static tg_code give_back(struct tg_state_hold *h, size_t i, struct tg_error *err)
{
    struct name name;
    tg_code code = h->store->ops->release(h->store->self, lease_name(h, i, &name), &h->lease[i],
                                          err);

    h->lease[i].token = 0;
    return code;
}

/* Leaves a lease that was given back to "moved to ...". */
static tg_code leave_to(struct tg_state_hold *h, size_t i, struct tg_lease *moved,
                        struct tg_error *err)
{
    struct name name;

    return h->store->ops->lease(h->store->self, lease_name(h, i, &name), tg_clock_unix_us(),
                                MOVED_TTL_US, moved, err);
}

void tg_state_hold_release(struct tg_state_hold *h)
{
    struct tg_error ignored;

    for (size_t i = 0; h->lease && i < h->jobs->n; i++) {
        const bool away = h->away && h->away[i].owner[0] && !h->arrived;

        if ((h->lease[i].token && give_back(h, i, &ignored) != TG_OK) ||
            (away && leave_to(h, i, &h->away[i], &ignored) != TG_OK)) {
            /* it runs out by itself */
        }
    }
    free(h->lease);
    free(h->away);
    h->lease = h->away = NULL;
}

void tg_state_moved_to(struct tg_lease *ret, const char *url)
{
    *ret = (struct tg_lease){ 0 };
    snprintf(ret->owner, sizeof ret->owner, TG_STORE_MOVED "%.100s", tg_store_shown(url).text);
}

tg_code tg_state_hold_leave(struct tg_state_hold *h, const char *url, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < h->jobs->n; i++) {
        struct tg_lease moved;

        tg_state_moved_to(&moved, url);
        code = give_back(h, i, err);
        if (code == TG_OK)
            code = leave_to(h, i, &moved, err);
        if (code == TG_BUSY)
            busy(h->jobs->at[i], moved.owner, h->store, err);
    }
    return code;
}
