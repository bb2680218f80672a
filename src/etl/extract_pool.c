/* SPDX-License-Identifier: MIT */
/*
 * extract_pool.c - which chat is started next, and which account reads it
 *
 * flow/tasks.h says which task is next, flow/pool.h which account reads its chat. Each session is a
 * member; those of one user are logins of one account. A chat at work is a piece of work in the
 * pool, and its lane follows it: when the pool has put it elsewhere the lane is given up, and one
 * at the new account goes on behind the last commit.
 *
 *   client's notices --> pool: how members are --> works moved --> lanes moved
 *
 * An account gets at most its share of the chats at work. Besides what makes the pool move work, a
 * chat moves when its method alone must wait for long, and when nothing waits and an account has
 * nothing to do. A chat whose accounts are all down is given to one of them: its client knows when
 * to give up.
 */
#include <assert.h>
#include <string.h>

#include "crypto/random.h"
#include "etl/extract_impl.h"
#include "telegram/login.h"

enum { LANES_PER_ACCOUNT = 4 };
#define REBALANCE_US TG_SECOND_US
#define ANSWER_US (5 * TG_SECOND_US)
#define REBALANCE_ROWS 2000 /* what is left must be worth reading some pages twice */

static struct extract_account *account_at(struct extract_run *r, uint32_t member)
{
    return &r->account[member];
}

static enum tg_member_state state_of(const struct extract_account *a)
{
    return tg_pool_state(&a->run->pool, a->at, extract_now());
}

bool extract_is_down(const struct extract_account *a)
{
    return state_of(a) == TG_MEMBER_DOWN;
}

static uint64_t random_bits(void)
{
    const struct tg_random random = tg_random_system();

    return tg_random_u64(&random);
}

static const char *method_of(const struct extract_account *a)
{
    return a->account->session.is_bot ? "channels.getMessages" : "messages.getHistory";
}

uint32_t extract_workers(const struct extract_run *r)
{
    uint32_t n = atomic_load_explicit(&r->workers, memory_order_relaxed);

    return n ? n : r->n_accounts == 1 ? 1 : (uint32_t)r->n_accounts * LANES_PER_ACCOUNT;
}

/* ---- members ---- */

/* Whether an account may be asked for a chat. */
static bool may_serve(void *ctx, uint64_t needs, uint32_t member)
{
    struct extract_run *r = ctx;
    const struct extract_account *a = account_at(r, member);

    return (needs & extract_bit(a)) && a->phase == ACCOUNT_READY;
}

/* A session is named by its path, or the last part of it. */
static bool is_called(const struct tg_account *account, const char *name)
{
    const char *slash = strrchr(account->path, '/');

    return strcmp(account->path, name) == 0 || (slash && strcmp(slash + 1, name) == 0);
}

static bool is_reserved(const struct extract_run *r, size_t at)
{
    const struct tg_option_list *names = &r->settings->reserve;

    for (size_t i = 0; i < names->n; i++)
        if (is_called(r->accounts[at], names->item[i]))
            return true;
    return false;
}

/* A name that nobody has is mistyped. */
static tg_code check_reserve(const struct extract_run *r, struct tg_error *err)
{
    const struct tg_option_list *names = &r->settings->reserve;

    for (size_t i = 0; i < names->n; i++) {
        size_t at = 0;

        while (at < r->n_accounts && !is_called(r->accounts[at], names->item[i]))
            at++;
        if (at == r->n_accounts) {
            tg_fail(err, TG_USAGE, "there is no session '%.200s' to reserve", names->item[i]);
            return tg_hint(err, "name one of the sessions that were given, or its file");
        }
    }
    return TG_OK;
}

/* The first session of the same user. */
static uint32_t first_session(const struct extract_run *r, uint32_t at)
{
    uint32_t i = 0;

    while (r->accounts[i]->session.user_id != r->accounts[at]->session.user_id)
        i++;
    return i;
}

tg_code extract_pool_open(struct extract_run *r, struct tg_error *err)
{
    const struct tg_pool_options options = {
        .members_max = EXTRACT_ACCOUNTS_MAX,
        .may = may_serve,
        .ctx = r,
        .set_aside_us = EXTRACT_LONG_WAIT_US,
        .reserved_permille = (uint32_t)r->settings->reserved_share * 10,
    };
    uint32_t chats = (extract_workers(r) + (uint32_t)r->n_accounts - 1) / (uint32_t)r->n_accounts;
    tg_code code = check_reserve(r, err);

    if (code != TG_OK)
        return code;
    if (!tg_pool_init(&r->pool, &options))
        return tg_fail(err, TG_NOMEM, "no memory for %zu accounts", r->n_accounts);
    for (uint32_t i = 0; code == TG_OK && i < r->n_accounts; i++) {
        const struct tg_pool_who who = {
            .account = first_session(r, i),
            .login = i,
            .dc = r->accounts[i]->session.home_dc,
            .reserved = is_reserved(r, i),
            .in_flight_max = (uint32_t)r->settings->in_flight * chats,
        };
        uint32_t member;

        code = tg_pool_join(&r->pool, &who, extract_now(), &member, err);
        assert(code != TG_OK || member == i);
    }
    return code;
}

void extract_pool_close(struct extract_run *r)
{
    tg_pool_done(&r->pool);
}

void extract_pool_out(struct extract_account *a)
{
    tg_pool_out(&a->run->pool, a->at, false);
}

static void call_ended(struct extract_account *a, int64_t took_us, const struct tg_error *err)
{
    struct tg_pool *pool = &a->run->pool;
    int64_t now = extract_now();

    if (pool->member[a->at].in_flight) /* else it began before the run */
        tg_pool_ended(pool, a->at, now - took_us, err, random_bits(), now);
}

void extract_pool_notice(struct extract_account *a, const struct tgc_notice *n)
{
    struct tg_pool *pool = &a->run->pool;

    switch (n->kind) {
    case TGC_ASKED:
        tg_pool_sent(pool, a->at);
        break;
    case TGC_ENDED: /* a flood is an answer; look_around sees whether that method matters */
        call_ended(a, n->took_us, n->err && n->err->code == TG_FLOOD ? NULL : n->err);
        break;
    case TGC_LOST: /* calls survive that, and the first loss is mended at once, mostly */
        if (n->wait_us && n->dc == a->account->session.home_dc) {
            tg_pool_sent(pool, a->at);
            call_ended(a, 0, n->err);
        }
        break;
    default:
        break;
    }
}

static void on_probed(void *ctx, const struct tg_error *err)
{
    struct extract_account *a = ctx;

    for (; a->n_probes; a->n_probes--)
        call_ended(a, extract_now() - a->probed_us, err);
    extract_touch(a);
}

/* Who is not heard of is asked something cheap, which shows as well whether the login holds. */
static void probe(struct extract_run *r, int64_t now)
{
    uint32_t member;

    while ((member = tg_pool_probe(&r->pool, random_bits(), now)) != TG_POOL_NONE) {
        struct extract_account *a = account_at(r, member);

        a->probed_us = now;
        if (a->n_probes++)
            continue; /* the one before it is still on its way, and serves for both */
        tg_whoami_start(tg_net_client(a->account->net), on_probed, a,
                        tg_net_now(a->account->net));
        extract_touch(a);
    }
}

/* What the sessions of a user have left for one more chat. */
static int64_t quota_of(const struct extract_run *r, uint32_t first)
{
    int64_t rate = 0;
    uint32_t works = 0;

    for (uint32_t i = first; i < r->n_accounts; i++) {
        if (r->pool.member[i].who.account != first)
            continue;
        rate += tgc_limit_rate(tg_net_client(r->accounts[i]->net), method_of(&r->account[i]));
        works += r->pool.member[i].n_works;
    }
    return rate ? rate / (works + 1) : -1;
}

static void tell_quotas(struct extract_run *r)
{
    for (uint32_t i = 0; r->n_accounts > 1 && i < r->n_accounts; i++)
        if (r->pool.member[i].who.account == i)
            tg_pool_quota(&r->pool, i, quota_of(r, i));
}

/* Whether chats move because of that wait: not before an answer that is on its way has come, or
 * accounts that always wait so long would hand a chat round and never read a page of it. */
static bool is_long(int64_t wait_us, int64_t *since_us, int64_t now)
{
    if (wait_us <= EXTRACT_LONG_WAIT_US)
        *since_us = 0;
    else if (!*since_us)
        *since_us = now;
    return *since_us && now - *since_us >= ANSWER_US;
}

/* How many chats an account may have, and which accounts must wait for long. */
static void look_around(struct extract_run *r, int64_t now)
{
    uint32_t up = 0;

    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[i];
        int64_t wait = a->out ? 0
                              : tgc_limit_wait(tg_net_client(a->account->net), method_of(a),
                                               tg_net_now(a->account->net));

        if (is_long(wait, &a->waiting_us, now) && state_of(a) == TG_MEMBER_UP)
            tg_pool_limited(&r->pool, a->at, wait, now);
        up += state_of(a) == TG_MEMBER_UP && a->phase == ACCOUNT_READY;
    }
    tg_pool_works_max(&r->pool, up ? (extract_workers(r) + up - 1) / up : extract_workers(r));
    tell_quotas(r);
}

bool extract_may_ask(const struct extract_lane *lane)
{
    const struct tg_pool *pool = &lane->run->pool;
    uint32_t member = lane->account->at;

    return !pool->options.reserved_permille ||
           tg_pool_state(pool, member, extract_now()) != TG_MEMBER_UP ||
           tg_pool_may_send(pool, member, lane->task->work.workload, extract_now());
}

/* ---- where a chat goes ---- */

static uint32_t choose(struct extract_run *r, uint64_t needs, enum tg_workload workload)
{
    struct tg_pool_work work = { .needs = needs, .workload = workload, .avoid = TG_POOL_NONE };

    return tg_pool_choose(&r->pool, &work, extract_now());
}

/* @return the account with the fewest chats of those that are down; NULL if one is not */
static struct extract_account *all_down(struct extract_run *r, uint64_t needs)
{
    struct extract_account *best = NULL;

    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[i];

        if (!(needs & extract_bit(a)) || a->out)
            continue;
        if (!extract_is_down(a))
            return NULL;
        if (!best || a->n_lanes < best->n_lanes)
            best = a;
    }
    return best;
}

/* Chats that a worker is busy with: all, or those that are not of high priority. */
static uint32_t count_busy(const struct extract_run *r, bool all)
{
    uint32_t n = 0;

    for (size_t i = 0; i < r->n_lanes; i++)
        n += !r->lane[i]->parked && r->lane[i]->phase != LANE_LEAVE &&
             (all || r->lane[i]->task->priority != TG_PRIORITY_HIGH);
    return n;
}

/* Workers that are kept free for chats of high priority; one remains for the others. */
static uint32_t kept_workers(const struct extract_run *r)
{
    uint32_t workers = extract_workers(r), share = (uint32_t)r->settings->reserved_share;

    return TG_MIN((workers * share + 99) / 100, workers - 1);
}

/* Whether one of these accounts may take up a chat of that priority now. */
static bool may_run(void *ctx, uint64_t needs, enum tg_priority priority)
{
    const struct extract_run *r = ctx;
    bool high = priority == TG_PRIORITY_HIGH;

    if (!high && count_busy(r, false) >= extract_workers(r) - kept_workers(r))
        return false;
    return choose(ctx, needs, high ? TG_HIGH_PRIORITY : TG_BULK_HISTORICAL) != TG_POOL_NONE ||
           all_down(ctx, needs);
}

/* One that it did not fail with; and with no more chats than any, one that has met it. */
static uint64_t preferred(struct extract_run *r, const struct extract_task *t)
{
    uint64_t needs = extract_needs(r, t), left = needs & ~t->shunned;
    uint32_t one = choose(r, left, t->work.workload), met;

    if (one == TG_POOL_NONE)
        return needs;
    met = choose(r, left & t->seen_by, t->work.workload);
    if (met == TG_POOL_NONE || r->pool.member[met].n_works > r->pool.member[one].n_works)
        return left;
    return left & t->seen_by;
}

/* @return the account that is to read the task's chat; NULL: none can now */
static struct extract_account *place(struct extract_run *r, struct extract_task *t)
{
    struct extract_account *down;

    t->work = (struct tg_pool_work){
        .of = t,
        .workload = t->priority == TG_PRIORITY_HIGH ? TG_HIGH_PRIORITY
                                                    : (enum tg_workload)t->settings.workload,
    };
    t->work.needs = preferred(r, t);
    tg_pool_add(&r->pool, &t->work, extract_now());
    t->placed = true;
    if (t->work.member != TG_POOL_NONE)
        return account_at(r, t->work.member);
    down = all_down(r, t->work.needs);
    if (!down)
        extract_unplace(r, t);
    return down;
}

void extract_unplace(struct extract_run *r, struct extract_task *t)
{
    if (!t->placed)
        return;
    t->placed = false;
    tg_pool_remove(&r->pool, &t->work);
}

/* ---- moves ---- */

/* Gives a chat up if the pool has put it elsewhere. */
static void follow(struct extract_lane *lane)
{
    uint32_t member = lane->task->work.member;

    if (lane->moving || member == TG_POOL_NONE || member == lane->account->at)
        return;
    lane->moving = true;
    extract_touch(lane->account);
}

void extract_move_on(struct extract_lane *lane)
{
    struct extract_run *r = lane->run;
    struct extract_task *t = lane->task;

    if (t->work.member == TG_POOL_NONE) {
        extract_unplace(r, t);
        extract_task_queue(r, t, 0);
    } else if (!extract_lane_start(t, account_at(r, t->work.member))) {
        extract_no_memory(r);
    }
}

/* To one of these accounts, if one may have it. */
static void move_to(struct extract_lane *lane, uint64_t needs)
{
    struct extract_run *r = lane->run;
    struct tg_pool_work *work = &lane->task->work;

    if (choose(r, needs, work->workload) == TG_POOL_NONE)
        return;
    work->needs = needs;
    tg_pool_fallback(&r->pool, work, extract_now());
    work->needs = extract_needs(r, lane->task);
    follow(lane);
}

/* A chat whose account must wait for long, or is down while another is not, or whose own circuit
 * breaker is open, occupies no worker. */
static bool is_parked(const struct extract_lane *lane, bool any_up)
{
    enum tg_member_state state = state_of(lane->account);

    return extract_lane_wait(lane) > EXTRACT_LONG_WAIT_US || state == TG_MEMBER_LIMITED ||
           extract_circuit_wait(lane->run, lane->task->chat.id) ||
           (state == TG_MEMBER_DOWN && any_up);
}

static void mind_lanes(struct extract_run *r, int64_t now)
{
    bool any_up = false;
    uint32_t from;

    for (size_t i = 0; i < r->n_accounts; i++)
        any_up |= state_of(&r->account[i]) == TG_MEMBER_UP;
    for (size_t i = 0; i < r->n_lanes; i++) {
        struct extract_lane *lane = r->lane[i];
        uint64_t needs = extract_lane_needs(lane);
        bool moves = is_long(extract_lane_wait(lane), &lane->waiting_us, now);

        if (needs != lane->task->work.needs) {
            lane->task->work.needs = needs;
            tg_pool_changed(&r->pool);
        }
        lane->parked = is_parked(lane, any_up);
        if (moves && !lane->moving && state_of(lane->account) == TG_MEMBER_UP)
            move_to(lane, needs & ~extract_bit(lane->account)); /* that method alone must wait */
    }
    while (tg_pool_move(&r->pool, now, &from))
        ;
    for (size_t i = 0; i < r->n_lanes; i++)
        follow(r->lane[i]);
}

/* The chat with the most left, of an account that has several, that `to` may read. */
static struct extract_lane *movable(struct extract_run *r, const struct extract_account *to)
{
    struct extract_lane *best = NULL;
    int64_t most = REBALANCE_ROWS;

    for (size_t i = 0; i < r->n_lanes; i++) {
        struct extract_lane *lane = r->lane[i];
        int64_t left = extract_lane_left(lane);

        if (!lane->moving && lane->account->n_lanes > 1 && left > most &&
            (extract_lane_needs(lane) & extract_bit(to))) {
            best = lane;
            most = left;
        }
    }
    return best;
}

/* Nothing waits: an account without work takes a chat over from one that has several. */
static void rebalance(struct extract_run *r, int64_t now)
{
    if (r->n_accounts < 2 || now < r->rebalance_us || r->tasks.n[TG_TASK_READY])
        return;
    r->rebalance_us = now + REBALANCE_US;
    for (uint32_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[i];
        struct extract_lane *lane = NULL;

        if (!r->pool.member[i].n_works && !is_reserved(r, i) && state_of(a) == TG_MEMBER_UP)
            lane = movable(r, a);
        if (!lane)
            continue;
        move_to(lane, extract_bit(a));
        return;
    }
}

/* ---- dispatch ---- */

/* Tenants get shares of the requests. */
static void charge(struct extract_run *r)
{
    for (size_t i = 0; i < r->n_lanes; i++) {
        struct extract_lane *lane = r->lane[i];
        struct tg_source_state state;

        if (!lane->source)
            continue;
        tg_source_state(lane->source, &state);
        if (state.n_requests > lane->charged)
            tg_tasks_charge(&r->tasks, lane->task->id, state.n_requests - lane->charged);
        lane->charged = state.n_requests;
    }
}

static void start_tasks(struct extract_run *r)
{
    const struct tg_task *next;
    uint32_t workers = extract_workers(r);

    while (!r->fatal && !r->stopping && count_busy(r, true) < workers &&
           (next = tg_tasks_take(&r->tasks, may_run, r, extract_now()))) {
        struct extract_task *t = next->of;
        struct extract_account *a = place(r, t);

        if (!a) { /* free a moment ago, but not now */
            extract_task_queue(r, t, TG_SECOND_US);
        } else if (extract_lane_start(t, a)) {
            t->state = TASK_RUNNING;
            if (!t->begun_us)
                t->begun_us = extract_now();
        } else {
            extract_no_memory(r);
        }
        tell_quotas(r);
    }
}

void extract_dispatch(struct extract_run *r)
{
    int64_t now = extract_now(), due = INT64_MAX;

    if (r->lost_account && !r->fatal)
        extract_fail_orphans(r);
    charge(r);
    look_around(r, now);
    mind_lanes(r, now);
    start_tasks(r);
    rebalance(r, now);
    if (!r->stopping && !r->fatal) {
        probe(r, now);
        due = tg_pool_due(&r->pool);
        if (count_busy(r, true) < extract_workers(r)) /* else the end of a chat looks at them */
            due = TG_MIN(due, tg_tasks_due(&r->tasks));
    }
    if (due != INT64_MAX)
        tg_net_timer(r->stepping->account->net, tg_net_now(r->stepping->account->net) +
                                                    TG_MAX(due - extract_now(), INT64_C(0)));
}
