/* SPDX-License-Identifier: MIT */
/*
 * pool.c - see pool.h
 *
 * `change` counts everything after which work that found no place might find one; work remembers
 * the last change that it was tried at, and the pool the last one that all were tried at.
 */
#include "flow/pool.h"

#include <assert.h>
#include <stdlib.h>

enum { LATENCY_OF = 8 };

static struct tg_pool_member *member_at(const struct tg_pool *p, uint32_t member)
{
    assert(member < p->n && p->member[member].joined);
    return &p->member[member];
}

static enum tg_member_state state_of(const struct tg_pool_member *m, int64_t now_us)
{
    if (m->out || !m->joined)
        return TG_MEMBER_OUT;
    if (m->down)
        return TG_MEMBER_DOWN;
    return m->limited_until_us > now_us ? TG_MEMBER_LIMITED : TG_MEMBER_UP;
}

/* @return the first from `from` on that is of the same account as the member, itself included; n */
static uint32_t next_of_account(const struct tg_pool *p, uint32_t from, uint32_t member)
{
    uint32_t account = member_at(p, member)->who.account;

    while (from < p->n && !(p->member[from].joined && p->member[from].who.account == account))
        from++;
    return from;
}

#define EACH_OF_ACCOUNT(p, i, member)                                                              \
    for (uint32_t i = next_of_account(p, 0, member); i < (p)->n;                                   \
         i = next_of_account(p, i + 1, member))

/* Waits that are over are a change. */
static void end_waits(struct tg_pool *p, int64_t now_us)
{
    if (now_us < p->limit_ends_us)
        return;
    p->limit_ends_us = INT64_MAX;
    for (uint32_t i = 0; i < p->n; i++)
        if (p->member[i].limited_until_us > now_us)
            p->limit_ends_us = TG_MIN(p->limit_ends_us, p->member[i].limited_until_us);
    p->change++;
}

/* ---- lists of work ---- */

static struct tg_pool_work **list_of(struct tg_pool *p, uint32_t member)
{
    return member == TG_POOL_NONE ? &p->waiting : &member_at(p, member)->works;
}

static void link_work(struct tg_pool *p, struct tg_pool_work *work, uint32_t member)
{
    struct tg_pool_work **list = list_of(p, member);

    work->member = member;
    work->prev = NULL;
    work->next = *list;
    if (*list)
        (*list)->prev = work;
    *list = work;
    if (member == TG_POOL_NONE) {
        p->n_waiting++;
        return;
    }
    p->member[member].n_works++;
    p->member[member].chosen = ++p->chosen;
    EACH_OF_ACCOUNT (p, i, member)
        p->member[i].put++;
}

static bool is_full(const struct tg_pool *p, const struct tg_pool_member *m)
{
    return p->works_max && m->n_works >= p->works_max;
}

static void unlink_work(struct tg_pool *p, struct tg_pool_work *work)
{
    if (work->prev)
        work->prev->next = work->next;
    else
        *list_of(p, work->member) = work->next;
    if (work->next)
        work->next->prev = work->prev;
    if (work->member == TG_POOL_NONE) {
        p->n_waiting--;
        return;
    }
    p->change += is_full(p, &p->member[work->member]); /* there is room for another */
    p->member[work->member].n_works--;
}

static void let_all_wait(struct tg_pool *p, uint32_t member)
{
    struct tg_pool_member *m = member_at(p, member);

    for (struct tg_pool_work *work; (work = m->works);) {
        unlink_work(p, work);
        link_work(p, work, TG_POOL_NONE);
    }
    p->change++;
}

/* ---- choice ---- */

static bool has_room(const struct tg_pool *p, const struct tg_pool_member *m,
                     enum tg_workload workload)
{
    uint32_t most = m->who.in_flight_max, kept = 0;

    if (workload != TG_HIGH_PRIORITY && !m->who.reserved)
        kept = (uint32_t)(((uint64_t)most * p->options.reserved_permille + 999) / 1000);
    return m->in_flight < most - TG_MIN(kept, most - 1);
}

static bool may_ever(const struct tg_pool *p, uint32_t member, const struct tg_pool_work *work)
{
    const struct tg_pool_member *m = &p->member[member];

    return m->joined && !m->out && m->who.media == work->media &&
           (!work->dc || work->dc == m->who.dc) &&
           (!p->options.may || p->options.may(p->options.ctx, work->needs, member));
}

/* Compares what the workload goes by. @return < 0: a is better */
static int compare_fit(const struct tg_pool_member *a, const struct tg_pool_member *b,
                       enum tg_workload workload)
{
    int64_t x, y;

    if (workload == TG_BULK_HISTORICAL) {
        x = a->quota_milli < 0 ? INT64_MAX : a->quota_milli / ((int64_t)a->put + 1);
        y = b->quota_milli < 0 ? INT64_MAX : b->quota_milli / ((int64_t)b->put + 1);
        return (x < y) - (x > y);
    }
    if (workload == TG_HIGH_PRIORITY && a->who.reserved != b->who.reserved)
        return a->who.reserved ? -1 : 1;
    return (a->latency_us > b->latency_us) - (a->latency_us < b->latency_us);
}

static bool better(const struct tg_pool *p, uint32_t one, uint32_t than, enum tg_workload workload)
{
    const struct tg_pool_member *a = &p->member[one], *b;
    int fit;

    if (than == TG_POOL_NONE)
        return true;
    b = &p->member[than];
    if (has_room(p, a, workload) != has_room(p, b, workload))
        return has_room(p, a, workload);
    fit = compare_fit(a, b, workload);
    if (fit)
        return fit < 0;
    return a->n_works != b->n_works ? a->n_works < b->n_works : a->chosen < b->chosen;
}

uint32_t tg_pool_choose(struct tg_pool *p, const struct tg_pool_work *work, int64_t now_us)
{
    uint32_t best[2] = { TG_POOL_NONE, TG_POOL_NONE }; /* in need only: [true] */
    bool avoided[2] = { false, false }, others = false, need;

    end_waits(p, now_us);
    for (uint32_t i = 0; i < p->n; i++) {
        bool spare = p->member[i].who.reserved && work->workload != TG_HIGH_PRIORITY;

        if (!may_ever(p, i, work))
            continue;
        others |= !spare;
        if (state_of(&p->member[i], now_us) != TG_MEMBER_UP || is_full(p, &p->member[i]))
            continue;
        if (i == work->avoid)
            avoided[spare] = true;
        else if (better(p, i, best[spare], work->workload))
            best[spare] = i;
    }
    need = !others;
    return best[need] == TG_POOL_NONE && avoided[need] ? work->avoid : best[need];
}

/* ---- work ---- */

uint32_t tg_pool_add(struct tg_pool *p, struct tg_pool_work *work, int64_t now_us)
{
    assert(work->workload < TG_WORKLOADS);
    work->avoid = TG_POOL_NONE;
    link_work(p, work, tg_pool_choose(p, work, now_us));
    work->tried = p->change;
    return work->member;
}

void tg_pool_remove(struct tg_pool *p, struct tg_pool_work *work)
{
    unlink_work(p, work);
    work->next = work->prev = NULL;
}

uint32_t tg_pool_fallback(struct tg_pool *p, struct tg_pool_work *work, int64_t now_us)
{
    if (work->member == TG_POOL_NONE)
        return TG_POOL_NONE;
    work->avoid = work->member;
    unlink_work(p, work);
    link_work(p, work, tg_pool_choose(p, work, now_us));
    work->tried = p->change;
    return work->member;
}

/* @return the first of the list that another member can take, moved to it; NULL */
static struct tg_pool_work *move_one(struct tg_pool *p, struct tg_pool_work *first, int64_t now_us)
{
    for (struct tg_pool_work *work = first; work; work = work->next) {
        uint32_t to;

        if (work->tried == p->change)
            continue;
        if (work->member != TG_POOL_NONE)
            work->avoid = work->member;
        to = tg_pool_choose(p, work, now_us);
        work->tried = p->change;
        if (to == TG_POOL_NONE)
            continue;
        unlink_work(p, work);
        link_work(p, work, to);
        return work;
    }
    return NULL;
}

struct tg_pool_work *tg_pool_move(struct tg_pool *p, int64_t now_us, uint32_t *ret_from)
{
    struct tg_pool_work *work;

    end_waits(p, now_us);
    if (p->settled == p->change)
        return NULL;
    *ret_from = TG_POOL_NONE;
    if ((work = move_one(p, p->waiting, now_us)))
        return work;
    for (uint32_t i = 0; i < p->n; i++) {
        if (state_of(&p->member[i], now_us) == TG_MEMBER_UP)
            continue;
        *ret_from = i;
        if ((work = move_one(p, p->member[i].works, now_us)))
            return work;
    }
    p->settled = p->change;
    return NULL;
}

bool tg_pool_hope(const struct tg_pool *p, const struct tg_pool_work *work)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (may_ever(p, i, work))
            return true;
    return false;
}

void tg_pool_changed(struct tg_pool *p)
{
    p->change++;
}

void tg_pool_works_max(struct tg_pool *p, uint32_t n)
{
    p->change += n != p->works_max;
    p->works_max = n;
}

/* ---- how members are ---- */

static void go_down(struct tg_pool *p, struct tg_pool_member *m, uint64_t random, int64_t now_us)
{
    m->down = true;
    m->probing = false;
    m->changed_us = now_us;
    m->retry_us = now_us + tg_backoff_wait(&p->options.backoff, m->failures, random);
    m->failures += m->failures < UINT32_MAX;
    p->change++;
}

static void heard(struct tg_pool *p, struct tg_pool_member *m, int64_t now_us)
{
    m->heard_us = now_us;
    m->probing = false;
    m->failures = 0;
    if (!m->down)
        return;
    m->down = false;
    m->changed_us = now_us;
    p->change++;
}

void tg_pool_limited(struct tg_pool *p, uint32_t member, int64_t wait_us, int64_t now_us)
{
    int64_t until_us;

    if (wait_us <= p->options.set_aside_us)
        return;
    if (__builtin_add_overflow(now_us, wait_us, &until_us))
        until_us = INT64_MAX;
    EACH_OF_ACCOUNT (p, i, member)
        p->member[i].limited_until_us = TG_MAX(p->member[i].limited_until_us, until_us);
    p->limit_ends_us = TG_MIN(p->limit_ends_us, until_us);
    p->change++;
}

void tg_pool_out(struct tg_pool *p, uint32_t member, bool account)
{
    uint32_t login = member_at(p, member)->who.login;

    EACH_OF_ACCOUNT (p, i, member)
        if (account || p->member[i].who.login == login) {
            p->member[i].out = true;
            let_all_wait(p, i);
        }
}

void tg_pool_quota(struct tg_pool *p, uint32_t member, int64_t milli_per_s)
{
    EACH_OF_ACCOUNT (p, i, member) {
        p->member[i].quota_milli = TG_MAX(milli_per_s, INT64_C(-1));
        p->member[i].put = 0;
    }
}

/* ---- calls ---- */

bool tg_pool_may_send(const struct tg_pool *p, uint32_t member, enum tg_workload workload,
                      int64_t now_us)
{
    const struct tg_pool_member *m = member_at(p, member);

    return state_of(m, now_us) == TG_MEMBER_UP && has_room(p, m, workload);
}

void tg_pool_sent(struct tg_pool *p, uint32_t member)
{
    member_at(p, member)->in_flight++;
}

/* What the end of a call says about the connection. */
enum verdict { ANSWER, FAILURE, LOST, NOTHING };

static enum verdict judge(const struct tg_error *failure)
{
    if (!failure || failure->code == TG_OK)
        return ANSWER;
    if (failure->code == TG_AUTH)
        return LOST;
    switch (tg_code_type(failure->code)) {
    case TG_TYPE_NETWORK:
        return FAILURE;
    case TG_TYPE_SERVER:
        return failure->code == TG_CIRCUIT ? NOTHING : ANSWER;
    case TG_TYPE_RATE_LIMIT:
    case TG_TYPE_NOT_FOUND:
    case TG_TYPE_BAD_REQUEST:
        return ANSWER;
    default:
        return NOTHING;
    }
}

static void answered(struct tg_pool *p, struct tg_pool_member *m, int64_t took_us, int64_t now_us)
{
    m->latency_us = m->latency_us < 0
                        ? took_us
                        : m->latency_us + (took_us - m->latency_us) / LATENCY_OF;
    heard(p, m, now_us);
}

/* Several calls fail with one connection; what was sent before it was known to be up or down, or
 * before the probe that is under way, tells nothing new. */
static bool is_news(const struct tg_pool_member *m, int64_t sent_us)
{
    return m->down ? m->probing && sent_us >= m->probe_us : sent_us >= m->changed_us;
}

void tg_pool_ended(struct tg_pool *p, uint32_t member, int64_t sent_us,
                   const struct tg_error *failure, uint64_t random, int64_t now_us)
{
    struct tg_pool_member *m = member_at(p, member);

    assert(m->in_flight && sent_us <= now_us);
    m->in_flight--;
    switch (judge(failure)) {
    case ANSWER:
        answered(p, m, now_us - sent_us, now_us);
        if (failure && failure->code == TG_FLOOD)
            tg_pool_limited(p, member,
                            TG_MIN(failure->retry_after_s, INT64_MAX / TG_SECOND_US) * TG_SECOND_US,
                            now_us);
        break;
    case FAILURE:
        if (is_news(m, sent_us))
            go_down(p, m, random, now_us);
        break;
    case LOST:
        tg_pool_out(p, member, false);
        break;
    case NOTHING:
        break;
    }
}

/* When something is to be done about a member. */
static int64_t due_of(const struct tg_pool *p, const struct tg_pool_member *m)
{
    if (!m->joined || m->out)
        return INT64_MAX;
    if (m->probing)
        return m->probe_us + p->options.answer_within_us;
    return m->down ? m->retry_us : m->heard_us + p->options.check_every_us;
}

uint32_t tg_pool_probe(struct tg_pool *p, uint64_t random, int64_t now_us)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct tg_pool_member *m = &p->member[i];

        if (due_of(p, m) > now_us)
            continue;
        if (m->probing) {
            go_down(p, m, random, now_us);
            if (m->retry_us > now_us)
                continue;
        }
        m->probing = true;
        m->probe_us = now_us;
        m->in_flight++;
        return i;
    }
    return TG_POOL_NONE;
}

int64_t tg_pool_due(const struct tg_pool *p)
{
    int64_t due = p->limit_ends_us;

    for (uint32_t i = 0; i < p->n; i++)
        due = TG_MIN(due, due_of(p, &p->member[i]));
    return due;
}

/* ---- members ---- */

bool tg_pool_init(struct tg_pool *p, const struct tg_pool_options *options)
{
    struct tg_pool_options *o = &p->options;

    assert(options->members_max >= 1 && options->members_max <= TG_POOL_MEMBERS_MAX);
    assert(options->reserved_permille < 1000);
    *p = (struct tg_pool){ .options = *options, .change = 1, .limit_ends_us = INT64_MAX };
    o->check_every_us = o->check_every_us ? o->check_every_us : 30 * TG_SECOND_US;
    o->answer_within_us = o->answer_within_us ? o->answer_within_us : 15 * TG_SECOND_US;
    o->set_aside_us = o->set_aside_us ? o->set_aside_us : 60 * TG_SECOND_US;
    if (!o->backoff.base_us)
        o->backoff = (struct tg_backoff){ TG_SECOND_US, 60 * TG_SECOND_US, 2000, true };
    p->member = calloc(options->members_max, sizeof *p->member);
    return p->member != NULL;
}

void tg_pool_done(struct tg_pool *p)
{
    free(p->member);
    *p = (struct tg_pool){ 0 };
}

static bool same_connection(const struct tg_pool_who *a, const struct tg_pool_who *b)
{
    return a->account == b->account && a->login == b->login && a->dc == b->dc && !a->media &&
           !b->media;
}

tg_code tg_pool_join(struct tg_pool *p, const struct tg_pool_who *who, int64_t now_us,
                     uint32_t *ret, struct tg_error *err)
{
    uint32_t slot = p->n;

    assert(who->in_flight_max >= 1);
    for (uint32_t i = p->n; i-- > 0;) {
        if (!p->member[i].joined)
            slot = i;
        else if (same_connection(&p->member[i].who, who))
            return tg_fail(err, TG_BUSY, "this login is connected to DC %d already", (int)who->dc);
    }
    if (slot == p->options.members_max)
        return tg_fail(err, TG_LIMIT, "there are %u connections already", p->options.members_max);
    p->member[slot] = (struct tg_pool_member){ .who = *who,
                                               .latency_us = -1,
                                               .quota_milli = -1,
                                               .limited_until_us = INT64_MIN,
                                               .heard_us = now_us,
                                               .changed_us = now_us,
                                               .joined = true };
    p->n = TG_MAX(p->n, slot + 1);
    EACH_OF_ACCOUNT (p, i, slot)
        if (i != slot) { /* quota and waits are the account's */
            p->member[slot].limited_until_us = p->member[i].limited_until_us;
            p->member[slot].quota_milli = p->member[i].quota_milli;
            p->member[slot].put = p->member[i].put;
        }
    p->change++;
    *ret = slot;
    return TG_OK;
}

void tg_pool_leave(struct tg_pool *p, uint32_t member)
{
    struct tg_pool_member *m = member_at(p, member);

    assert(m->in_flight == 0);
    let_all_wait(p, member);
    m->joined = false;
}

enum tg_member_state tg_pool_state(const struct tg_pool *p, uint32_t member, int64_t now_us)
{
    return state_of(member_at(p, member), now_us);
}

const char *tg_pool_state_name(enum tg_member_state state)
{
    static const char *const name[] = { "up", "limited", "down", "out" };

    assert((size_t)state < TG_COUNT(name));
    return name[state];
}

const char *tg_workload_name(enum tg_workload workload)
{
    static const char *const name[] = { "bulk_historical", "real_time", "high_priority" };

    assert((size_t)workload < TG_COUNT(name));
    return name[workload];
}
