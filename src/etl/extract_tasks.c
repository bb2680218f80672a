/* SPDX-License-Identifier: MIT */
/*
 * extract_tasks.c - the chats that are to be read, and what becomes of them
 *
 * flow/tasks.h keeps their order: shares between tenants, priorities, what is put off. What a task
 * needs is the set of accounts that may be asked for its chat; which of them reads it is the pool's
 * choice (extract_pool.c).
 *
 *   one chat cannot be read    another account is tried, then the task has failed
 *   a login is gone            the account is set aside, its chats go to others
 *   network or server trouble  tried again, with another account if there is one
 *   the chat's own trouble     (its circuit breaker is open) it has failed, if its calls have
 *   the destination's trouble  tried again, if it may pass and there is a circuit breaker
 *   all else                   the run ends
 */
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "etl/extract_impl.h"

/* What one account alone can read goes before what others can as well, or that account would be
 * left with it at the end; but not before a higher priority. */
#define BOUND_FIRST_US (TG_TASKS_AGE_US / 2)

/* ---- tasks ---- */

struct extract_task *extract_task_add(struct extract_run *r, const char *what)
{
    struct extract_task *t;

    if (r->n_tasks == r->cap_tasks) {
        size_t cap = r->cap_tasks ? r->cap_tasks * 2 : 16;
        struct extract_task **more = cap > 2 * EXTRACT_TASKS_MAX
                                         ? NULL
                                         : reallocarray(r->task, cap, sizeof *more);

        if (!more)
            return NULL;
        r->task = more;
        r->cap_tasks = cap;
    }
    t = r->n_tasks < EXTRACT_TASKS_MAX ? calloc(1, sizeof *t) : NULL;
    if (!t)
        return NULL;
    t->what = strdup(what);
    if (!t->what) {
        free(t);
        return NULL;
    }
    t->settings = *r->settings;
    t->priority = TG_PRIORITY_NORMAL;
    t->chat.title = "";
    r->task[r->n_tasks++] = t;
    t->number = ++r->serial;
    return t;
}

struct extract_task *extract_task_find(const struct extract_run *r, uint64_t number)
{
    size_t lo = 0, hi = r->n_tasks; /* they stand by number */

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (r->task[mid]->number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < r->n_tasks && r->task[lo]->number == number ? r->task[lo] : NULL;
}

static void free_task(struct extract_task *t)
{
    if (*t->chat.title)
        free((void *)(uintptr_t)t->chat.title);
    free(t->posts.id);
    free(t->channel_what);
    free(t->what);
    free(t);
}

void extract_tasks_prune(struct extract_run *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->n_tasks; i++) {
        if (r->task[i]->state == TASK_DONE)
            free_task(r->task[i]);
        else
            r->task[kept++] = r->task[i];
    }
    r->n_tasks = kept;
    r->n_ended = r->next_name = 0;
}

void extract_tasks_free(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_tasks; i++)
        free_task(r->task[i]);
    free(r->task);
    free(r->list);
    tg_tasks_done(&r->tasks);
}

struct extract_task *extract_task_of_chat(const struct extract_run *r, int64_t chat_id)
{
    for (size_t i = 0; i < r->n_tasks; i++)
        if (r->task[i]->state != TASK_NEW && r->task[i]->chat.id == chat_id &&
            !(r->feed && r->task[i]->state == TASK_DONE)) /* asked for again */
            return r->task[i];
    return NULL;
}

uint64_t extract_sessions_of(const struct extract_run *r, int64_t user_id)
{
    uint64_t set = 0;

    for (size_t i = 0; i < r->n_accounts; i++)
        if (r->accounts[i]->session.user_id == user_id)
            set |= extract_bit(&r->account[i]);
    return set;
}

uint64_t extract_needs(const struct extract_run *r, const struct extract_task *t)
{
    uint64_t all = r->n_accounts == 64 ? UINT64_MAX : (UINT64_C(1) << r->n_accounts) - 1;

    if (t->owner)
        all = extract_sessions_of(r, t->owner);
    else if (t->only)
        all = t->only;
    return all & ~t->not_by;
}

/* Whether an account is left that may be asked for the chat. */
static bool is_served(const struct extract_run *r, const struct extract_task *t)
{
    for (size_t i = 0; i < r->n_accounts; i++)
        if (!r->account[i].out && (extract_needs(r, t) & extract_bit(&r->account[i])))
            return true;
    return false;
}

bool extract_task_queue(struct extract_run *r, struct extract_task *t, int64_t delay_us)
{
    const struct tg_task line = {
        .of = t,
        .needs = extract_needs(r, t),
        .tenant = t->tenant,
        .priority = t->priority,
        .due_us = extract_now() + delay_us,
        .ahead_us = r->n_accounts > 1 && t->only ? BOUND_FIRST_US : 0,
    };
    struct tg_error err;

    tg_tasks_over(&r->tasks, t->id, extract_now());
    r->n_ended -= t->state == TASK_DONE;
    t->state = TASK_WAITING;
    r->lost_account |= !is_served(r, t); /* perhaps since it was taken up */
    if (tg_tasks_add(&r->tasks, &line, extract_now(), &t->id, &err) == TG_OK)
        return true;
    extract_keep_failure(r, &err, true);
    return false;
}

bool extract_task_named(struct extract_account *a, struct extract_task *t,
                        const struct tg_peer *peer)
{
    char *title = NULL;

    if (peer->name && *peer->name) {
        title = strdup(peer->name);
        if (!title)
            return false;
    }
    t->chat.id = peer->id;
    t->chat.title = title ? title : "";
    t->bound = peer->kind == TG_PEER_USER || peer->kind == TG_PEER_GROUP;
    if (t->bound) /* anybody finds a user by name, which makes it nobody's chat */
        t->only = extract_account_whose(a, peer->id);
    t->seen_by |= extract_bit(a);
    return extract_task_queue(a->run, t, 0);
}

bool extract_task_seen(struct extract_account *a, const struct tg_peer *peer)
{
    struct extract_run *r = a->run;
    struct extract_task *t = extract_task_of_chat(r, peer->id);
    char what[64];

    if (t && (!t->bound || (t->only & extract_bit(a)))) {
        t->seen_by |= extract_bit(a);
        return true;
    }
    if (t) { /* another account's chat of the same number: its messages are others */
        tg_account_note(a->account, TG_NOTE_WARNING, 0,
                        "left out '%s' of session '%s': a private chat of that id is read with "
                        "another account; read this one with a job of its own",
                        peer->name, a->account->path);
        return true;
    }
    if (peer->username)
        snprintf(what, sizeof what, "@%.60s", peer->username);
    else
        snprintf(what, sizeof what, "%lld", (long long)peer->id);
    t = extract_task_add(r, what);
    return t && extract_task_named(a, t, peer);
}

/* ---- results ---- */

void extract_task_tell(struct extract_run *r, struct extract_task *t,
                       const struct extract_account *a, const struct tg_error *err)
{
    struct tg_task_result result = {
        .task = t->number,
        .chat_id = t->chat.id,
        .title = t->chat.title,
        .account = a ? a->account->path : "",
        .success = !err,
        .rows = (uint64_t)t->rows,
        .fallback_rows = (uint64_t)t->fallback_rows,
        .fallback_last_id = t->fallback_last_id,
        .seconds = t->begun_us ? (double)(extract_now() - t->begun_us) / 1e6 : 0,
        .retry_count = t->attempts,
        .derived = t->derived,
        .err = err,
    };

    t->state = TASK_DONE;
    t->end = err ? err->code : TG_OK;
    r->n_ended++;
    tg_tasks_over(&r->tasks, t->id, extract_now());
    extract_comments_forget(r, t);
    if (err) {
        result.error_type = tg_code_type(err->code);
        result.retry_after_s = (double)err->retry_after_s;
    }
    if (r->on_task)
        r->on_task(r->task_ctx, &result);
    extract_comments_go_on(r, t);
    if (t->awaited)
        extract_comments_ended(r, t, a, err);
}

void extract_task_failed(struct extract_run *r, struct extract_task *t,
                         const struct extract_account *a, const struct tg_error *err)
{
    extract_keep_failure(r, err, false);
    if (r->all || r->n_tasks > 1)
        tg_account_note_of(a->account, TG_NOTE_WARNING, 0,
                           (struct tg_note_about){ t->chat.id, err->code }, "left out '%s': %s",
                           *t->chat.title ? t->chat.title : t->what, err->message);
    extract_task_tell(r, t, a, err);
}

/* An account was set aside: what nobody else can read has failed. */
void extract_fail_orphans(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_tasks; i++) {
        struct extract_task *t = r->task[i];
        const struct extract_account *last = NULL;
        struct tg_error err;

        if (t->state != TASK_WAITING || is_served(r, t))
            continue;
        for (size_t j = 0; j < r->n_accounts; j++)
            if (extract_needs(r, t) & extract_bit(&r->account[j]))
                last = &r->account[j];
        if (!last)
            continue;
        tg_fail(&err, last->why.code, "no account is left that can read it: %.300s",
                last->why.message);
        if (err.code == TG_AUTH)
            tg_hint(&err, "log in again with `tgdata login --session %.150s`",
                    last->account->path);
        extract_task_failed(r, t, last, &err);
    }
    r->lost_account = false;
}

/* ---- what becomes of a lane ---- */

/* @return after how long a failed chat is tried again; -1: it is not */
static int64_t retry_delay(struct extract_run *r, struct extract_task *t,
                           const struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    int64_t wait_us = err->retry_after_s * TG_SECOND_US;

    if (!r->isolate || t->attempts >= EXTRACT_ATTEMPTS)
        return -1;
    switch (tg_code_type(err->code)) {
    case TG_TYPE_RATE_LIMIT:
        return wait_us + wait_us / 10 * (int64_t)(tg_random_u64(&random) % 1024) / 1024;
    case TG_TYPE_NETWORK:
    case TG_TYPE_SERVER:
        return extract_needs(r, t) & ~t->shunned ? 0 : EXTRACT_RETRY_US << t->attempts;
    default:
        return -1;
    }
}

static void lane_failed(struct extract_run *r, struct extract_lane *lane)
{
    struct extract_account *a = lane->account;
    struct extract_task *t = lane->task;
    const struct tg_error *err = &lane->err;
    bool own = extract_circuit_own(r, t->chat.id, err->code);
    int64_t delay;

    if (lane->phase == LANE_FALLBACK) {
        extract_task_failed(r, t, a, err);
        return;
    }
    if (err->code == TG_AUTH) {
        extract_account_out(a, err);
        t->not_by |= extract_bit(a);
        if (extract_needs(r, t) && !r->fatal)
            extract_task_queue(r, t, 0);
        else
            extract_task_failed(r, t, a, err);
        return;
    }
    if (extract_only_this_chat(err->code)) {
        t->not_by |= extract_bit(a);
        if (extract_needs(r, t))
            extract_task_queue(r, t, 0);
        else if (!extract_comments_through(a, t))
            extract_task_failed(r, t, a, err);
        return;
    }
    t->attempts++;
    t->shunned |= extract_bit(a);
    delay = own && err->code == TG_CIRCUIT ? -1 : retry_delay(r, t, err);
    if (delay >= 0) {
        delay = TG_MAX(delay, extract_circuit_wait(r, t->chat.id));
        t->priority = TG_PRIORITY_LOW;
        extract_task_queue(r, t, delay);
        tg_account_note_of(a->account, TG_NOTE_RETRY, (double)delay / 1e6,
                           (struct tg_note_about){ t->chat.id, err->code },
                           "'%s' is tried again: %s", t->chat.title, err->message);
    } else if (own) {
        extract_task_failed(r, t, a, err);
    } else if (r->by_chat && (err->code == TG_BUSY || err->code == TG_CONFLICT ||
                              err->code == TG_GAP || err->code == TG_USAGE)) {
        extract_task_failed(r, t, a, err);
    } else if (r->isolate && tg_code_retry(err->code) != TG_RETRY_NEVER &&
               tg_code_type(err->code) != TG_TYPE_SINK &&
               tg_code_type(err->code) != TG_TYPE_STATE) {
        extract_task_failed(r, t, a, err);
    } else {
        extract_keep_failure(r, err, true);
        extract_task_tell(r, t, a, err);
    }
}

void extract_task_over(struct extract_run *r, struct extract_lane *lane)
{
    struct extract_task *t = lane->task;

    if (lane->moving && !lane->failed && !r->stopping) {
        extract_move_on(lane);
        return;
    }
    extract_unplace(r, t);
    if (lane->failed && !r->stopping) {
        lane_failed(r, lane);
    } else if (lane->phase == LANE_FALLBACK) {
        t->state = TASK_DONE; /* it goes on there, too */
        r->n_ended++;
    } else if (lane->failed) {
        extract_keep_failure(r, &lane->err, !extract_only_this_chat(lane->err.code));
        extract_task_tell(r, t, lane->account, &lane->err);
    } else if (r->stopping) {
        t->state = TASK_DONE; /* wherever it is: it goes on there next time */
        r->n_ended++;
        r->result->chats++;
    } else {
        r->result->chats++;
        if (!extract_comments_await(r, t))
            extract_task_tell(r, t, lane->account, NULL);
    }
}
