/* SPDX-License-Identifier: MIT */
/*
 * extract_tasks.c - which chat is read next, with which account, and what becomes of a failure
 *
 * flow/tasks.h keeps the order: shares between tenants, priorities, what is put off. What a task
 * needs is the set of accounts that may be asked for its chat. Among those the one with the fewest
 * chats at work gets it, so that all accounts' quotas are used; an account that the server makes
 * wait for long gets none.
 *
 *   one chat cannot be read    another account is tried, then the task has failed
 *   a login is gone            the account is set aside, its chats go to others
 *   network or server trouble  tried again, with another account if there is one
 *   all else                   the run ends
 */
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "etl/extract_impl.h"

enum { TASK_ATTEMPTS = 3, LANES_PER_ACCOUNT = 4 };
#define RETRY_US (2 * TG_SECOND_US)
/* What one account alone can read goes before what others can as well, or that account would be
 * left with it at the end; but not before a higher priority. */
#define BOUND_FIRST_US (TG_TASKS_AGE_US / 2)
#define REBALANCE_US TG_SECOND_US
#define REBALANCE_ROWS 2000 /* what is left must be worth reading some pages twice */

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

/* Accounts that may be asked for the chat. */
static uint64_t needs_of(const struct extract_run *r, const struct extract_task *t)
{
    uint64_t all = r->n_accounts == 64 ? UINT64_MAX : (UINT64_C(1) << r->n_accounts) - 1, own = 0;

    for (size_t i = 0; t->owner && i < r->n_accounts; i++)
        if (r->accounts[i]->session.user_id == t->owner)
            own |= extract_bit(&r->account[i]);
    return (t->owner ? own : t->only ? t->only : all) & ~t->not_by;
}

bool extract_task_queue(struct extract_run *r, struct extract_task *t, int64_t delay_us)
{
    const struct tg_task line = {
        .of = t,
        .needs = needs_of(r, t),
        .tenant = t->tenant,
        .priority = t->priority,
        .due_us = extract_now() + delay_us,
        .ahead_us = r->n_accounts > 1 && t->bound ? BOUND_FIRST_US : 0,
    };
    struct tg_error err;

    tg_tasks_over(&r->tasks, t->id, extract_now());
    r->n_ended -= t->state == TASK_DONE;
    t->state = TASK_WAITING;
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
    if (t->bound)
        t->only = extract_bit(a);
    t->seen_by |= extract_bit(a);
    return extract_task_queue(a->run, t, 0);
}

bool extract_task_seen(struct extract_account *a, const struct tg_peer *peer)
{
    struct extract_run *r = a->run;
    struct extract_task *t = extract_task_of_chat(r, peer->id);
    char what[64];

    if (t && !t->bound) {
        t->seen_by |= extract_bit(a);
        return true;
    }
    if (t) { /* another account's chat of the same number: its messages are others */
        if (!(t->seen_by & extract_bit(a)))
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
        .seconds = t->begun_us ? (double)(extract_now() - t->begun_us) / 1e6 : 0,
        .retry_count = t->attempts,
        .err = err,
    };

    t->state = TASK_DONE;
    r->n_ended++;
    tg_tasks_over(&r->tasks, t->id, extract_now());
    if (err) {
        result.error_type = tg_code_type(err->code);
        result.retry_after_s = (double)err->retry_after_s;
    }
    if (r->on_task)
        r->on_task(r->task_ctx, &result);
}

void extract_task_failed(struct extract_run *r, struct extract_task *t,
                         const struct extract_account *a, const struct tg_error *err)
{
    extract_keep_failure(r, err, false);
    if (r->all || r->n_tasks > 1)
        tg_account_note(a->account, TG_NOTE_WARNING, 0, "left out '%s': %s",
                        *t->chat.title ? t->chat.title : t->what, err->message);
    extract_task_tell(r, t, a, err);
}

/* ---- dispatch ---- */

uint32_t extract_workers(const struct extract_run *r)
{
    uint32_t n = atomic_load_explicit(&r->workers, memory_order_relaxed);

    return n ? n : r->n_accounts == 1 ? 1 : (uint32_t)r->n_accounts * LANES_PER_ACCOUNT;
}

/* Until its next request for messages may leave. */
static int64_t wait_of(const struct extract_account *a)
{
    const char *method = a->account->session.is_bot ? "channels.getMessages"
                                                    : "messages.getHistory";

    return tgc_limit_wait(tg_net_client(a->account->net), method, tg_net_now(a->account->net));
}

static bool is_usable(const struct extract_account *a)
{
    return !a->out && a->phase == ACCOUNT_READY && wait_of(a) <= EXTRACT_LONG_WAIT_US;
}

/* Nor has it more than its share of the chats at work. */
static bool is_free(const struct extract_account *a)
{
    const struct extract_run *r = a->run;
    uint32_t usable = 0;

    if (!is_usable(a))
        return false;
    for (size_t i = 0; i < r->n_accounts; i++)
        usable += is_usable(&r->account[i]);
    return a->n_lanes < (extract_workers(r) + usable - 1) / usable;
}

/* Whether one of these accounts may take up a chat now. */
static bool may_run(void *ctx, uint64_t needs)
{
    const struct extract_run *r = ctx;

    for (size_t i = 0; i < r->n_accounts; i++)
        if ((needs & extract_bit(&r->account[i])) && is_free(&r->account[i]))
            return true;
    return false;
}

/* Few chats at work first; then one that has met the chat; one that it failed with comes last. */
static struct extract_account *choose(struct extract_run *r, const struct extract_task *t)
{
    uint64_t needs = needs_of(r, t);
    struct extract_account *best = NULL;
    uint64_t best_score = UINT64_MAX;

    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[i];
        uint64_t score = (t->shunned & extract_bit(a) ? UINT32_MAX : 0) + 2 * (uint64_t)a->n_lanes +
                         (t->seen_by & extract_bit(a) ? 0 : 1);

        if ((needs & extract_bit(a)) && is_free(a) && score < best_score) {
            best = a;
            best_score = score;
        }
    }
    return best;
}

/* Chats that a worker is busy with. */
static uint32_t count_busy(const struct extract_run *r)
{
    uint32_t n = 0;

    for (size_t i = 0; i < r->n_lanes; i++)
        n += !r->lane[i]->parked && r->lane[i]->phase != LANE_LEAVE;
    return n;
}

/* Gives a chat up so that another account goes on with it. */
static void move(struct extract_lane *lane)
{
    lane->moving = true;
    extract_touch(lane->account);
}

/* A chat whose account must wait for long occupies no worker, and moves if it can. */
static void mind_waits(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_lanes; i++) {
        struct extract_lane *lane = r->lane[i];

        lane->parked = extract_lane_wait(lane) > EXTRACT_LONG_WAIT_US;
        if (lane->parked && extract_lane_movable(lane) && choose(r, lane->task))
            move(lane);
    }
}

/* The chat with the most left, of an account that has several, that `to` may read. */
static struct extract_lane *movable(struct extract_run *r, const struct extract_account *to)
{
    struct extract_lane *best = NULL;
    int64_t most = REBALANCE_ROWS;

    for (size_t i = 0; i < r->n_lanes; i++) {
        struct extract_lane *lane = r->lane[i];
        int64_t left = extract_lane_left(lane);

        if (extract_lane_movable(lane) && lane->account->n_lanes > 1 && left > most &&
            (needs_of(r, lane->task) & extract_bit(to))) {
            best = lane;
            most = left;
        }
    }
    return best;
}

/* Nothing waits: an account without work takes a chat over from one that has several. */
static void rebalance(struct extract_run *r)
{
    int64_t now = extract_now();

    if (r->n_accounts < 2 || now < r->rebalance_us || r->tasks.n[TG_TASK_READY])
        return;
    r->rebalance_us = now + REBALANCE_US;
    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[i];
        struct extract_lane *lane = a->n_lanes || !is_free(a) ? NULL : movable(r, a);

        if (!lane)
            continue;
        move(lane);
        return;
    }
}

/* An account was set aside: what nobody else can read has failed. */
static void fail_orphans(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_tasks; i++) {
        struct extract_task *t = r->task[i];
        const struct extract_account *last = NULL;
        struct tg_error err;
        bool served = false;

        for (size_t j = 0; t->state == TASK_WAITING && j < r->n_accounts; j++) {
            if (!(needs_of(r, t) & extract_bit(&r->account[j])))
                continue;
            last = &r->account[j];
            served |= !last->out;
        }
        if (!last || served)
            continue;
        tg_fail(&err, TG_AUTH, "no account is left that can read it");
        tg_hint(&err, "log in again with `tgdata login --session %.150s`", last->account->path);
        extract_task_failed(r, t, last, &err);
    }
    r->lost_account = false;
}

void extract_dispatch(struct extract_run *r)
{
    const struct tg_task *next;
    uint32_t workers = extract_workers(r);
    int64_t due;

    if (r->lost_account && !r->fatal)
        fail_orphans(r);
    mind_waits(r);
    while (!r->fatal && !r->stopping && count_busy(r) < workers &&
           (next = tg_tasks_take(&r->tasks, may_run, r, extract_now()))) {
        struct extract_task *t = next->of;
        struct extract_account *a = choose(r, t);

        if (!a) { /* free a moment ago, but it has to wait now */
            extract_task_queue(r, t, TG_SECOND_US);
        } else if (extract_lane_start(t, a)) {
            t->state = TASK_RUNNING;
            if (!t->begun_us)
                t->begun_us = extract_now();
        } else {
            extract_no_memory(r);
        }
    }
    rebalance(r);
    due = tg_tasks_due(&r->tasks);
    if (due != INT64_MAX)
        tg_net_timer(r->stepping->account->net, tg_net_now(r->stepping->account->net) +
                                                    TG_MAX(due - extract_now(), INT64_C(0)));
}

/* ---- what becomes of a lane ---- */

/* @return after how long a failed chat is tried again; -1: it is not */
static int64_t retry_delay(struct extract_run *r, struct extract_task *t,
                           const struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    int64_t wait_us = err->retry_after_s * TG_SECOND_US;

    if (!r->isolate || t->attempts >= TASK_ATTEMPTS)
        return -1;
    switch (tg_code_type(err->code)) {
    case TG_TYPE_RATE_LIMIT:
        return wait_us + wait_us / 10 * (int64_t)(tg_random_u64(&random) % 1024) / 1024;
    case TG_TYPE_NETWORK:
    case TG_TYPE_SERVER:
        return needs_of(r, t) & ~t->shunned ? 0 : RETRY_US << t->attempts;
    default:
        return -1;
    }
}

static void lane_failed(struct extract_run *r, struct extract_lane *lane)
{
    struct extract_account *a = lane->account;
    struct extract_task *t = lane->task;
    const struct tg_error *err = &lane->err;
    int64_t delay;

    if (err->code == TG_AUTH) {
        extract_account_out(a, err);
        t->not_by |= extract_bit(a);
        if (needs_of(r, t) && !r->fatal)
            extract_task_queue(r, t, 0);
        else
            extract_task_failed(r, t, a, err);
        return;
    }
    if (extract_only_this_chat(err->code)) {
        t->not_by |= extract_bit(a);
        if (needs_of(r, t))
            extract_task_queue(r, t, 0);
        else
            extract_task_failed(r, t, a, err);
        return;
    }
    t->attempts++;
    t->shunned |= extract_bit(a);
    delay = retry_delay(r, t, err);
    if (delay >= 0) {
        t->priority = TG_PRIORITY_LOW;
        extract_task_queue(r, t, delay);
        tg_account_note(a->account, TG_NOTE_RETRY, (double)delay / 1e6, "'%s' is tried again: %s",
                        t->chat.title, err->message);
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

    if (lane->failed && !r->stopping) {
        lane_failed(r, lane);
    } else if (lane->failed) {
        extract_keep_failure(r, &lane->err, !extract_only_this_chat(lane->err.code));
        extract_task_tell(r, t, lane->account, &lane->err);
    } else if (r->stopping) {
        t->state = TASK_DONE; /* wherever it is: it goes on there next time */
        r->n_ended++;
        r->result->chats++;
    } else if (lane->moving) {
        t->shunned |= extract_bit(lane->account);
        extract_task_queue(r, t, 0);
    } else {
        r->result->chats++;
        extract_task_tell(r, t, lane->account, NULL);
    }
}
