/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the pool in random worlds on a virtual clock, against what can be said of every moment
 *
 * A world has members whose network comes and goes, work that makes calls through them, and servers
 * that refuse, ask to wait or end a login. It is driven as an owner would: by the ends of calls and
 * by tg_pool_due. The test keeps its own account of each member (what was heard, when a wait ends)
 * and checks after each event: states; every choice against all others by the rule as written; that
 * no work stays where it cannot be served while somebody can serve it; that probes come when
 * nothing was heard, one at a time; that who cannot be reached is noticed, and comes back.
 *
 * TG_SEED=n runs one seed, TG_SEEDS=n that many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/pool.h"

enum { SEEDS = 1500, EVENTS = 300, MEMBERS = 8, WORKS = 24, CALLS = 256 };
enum { CHECK_S = 30, ANSWER_S = 15, BACKOFF_S = 60 };

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    return *x ^= *x << 17;
}

static int64_t draw_us(uint64_t *x, int64_t seconds)
{
    return (int64_t)(next(x) % (uint64_t)(seconds * TG_SECOND_US));
}

/* ---- the world ---- */

struct truth {
    bool joined, out, reachable;
    struct tg_pool_who who;
    int64_t unreachable_us;  /* since when */
    int64_t back_us;         /* reachable again since */
    int64_t heard_us, limited_until_us;
    bool down;
    int64_t turned_us;       /* when it last became up or down */
    bool probing;            /* as far as is not given up */
    int64_t probe_us;
    uint32_t in_flight;
};

struct call {
    bool used;
    uint32_t member, work;   /* work WORKS: a probe */
    int64_t sent_us, end_us;
    struct tg_error err;     /* code TG_OK: answered */
};

struct world {
    struct tg_pool p;
    struct truth m[MEMBERS];
    struct tg_pool_work work[WORKS];
    bool has[WORKS];
    struct call call[CALLS];
    uint64_t sees[MEMBERS];  /* by account: needs it can serve, as bits */
    int64_t now_us;
    uint64_t x;
};

static bool may(void *ctx, uint64_t needs, uint32_t member)
{
    const struct world *w = ctx;

    return w->sees[w->m[member].who.account] >> needs & 1;
}

static enum tg_member_state truth_state(const struct world *w, uint32_t i)
{
    if (!w->m[i].joined || w->m[i].out)
        return TG_MEMBER_OUT;
    if (w->m[i].down)
        return TG_MEMBER_DOWN;
    return w->m[i].limited_until_us > w->now_us ? TG_MEMBER_LIMITED : TG_MEMBER_UP;
}

static bool serves(struct world *w, uint32_t i, const struct tg_pool_work *work)
{
    return w->m[i].joined && !w->m[i].out && w->m[i].who.media == work->media &&
           (!work->dc || work->dc == w->m[i].who.dc) && may(w, work->needs, i);
}

static int64_t count_works(const struct world *w, uint32_t i)
{
    int64_t n = 0;

    for (int k = 0; k < WORKS; k++)
        n += w->has[k] && w->work[k].member == i;
    return n;
}

/* Whether there is no room for the work besides others. */
static bool is_full(const struct world *w, uint32_t i, const struct tg_pool_work *work)
{
    const size_t k = (size_t)(work - w->work);
    bool there = k < WORKS && w->has[k] && work->member == i;

    return w->p.works_max && count_works(w, i) - there >= w->p.works_max;
}

/* Whether somebody is UP for the work; reserved members count for others only in need. */
static bool open_to(struct world *w, uint32_t i, const struct tg_pool_work *work)
{
    if (!serves(w, i, work) || truth_state(w, i) != TG_MEMBER_UP || is_full(w, i, work))
        return false;
    if (!w->m[i].who.reserved || work->workload == TG_HIGH_PRIORITY)
        return true;
    for (uint32_t k = 0; k < MEMBERS; k++)
        if (!w->m[k].who.reserved && serves(w, k, work))
            return false;
    return true;
}

/* ---- choices ---- */

/* What the choice goes by, the least first; must be read off before the choice. */
static void put_rank(const struct world *w, uint32_t i, enum tg_workload workload, int64_t rank[4])
{
    const struct tg_pool_member *m = &w->p.member[i];
    uint32_t kept = (m->who.in_flight_max * w->p.options.reserved_permille + 999) / 1000;

    if (workload == TG_HIGH_PRIORITY || m->who.reserved)
        kept = 0;
    if (kept >= m->who.in_flight_max)
        kept = m->who.in_flight_max - 1;
    rank[0] = w->m[i].in_flight + kept >= m->who.in_flight_max;
    rank[1] = rank[2] = 0;
    if (workload == TG_BULK_HISTORICAL)
        rank[1] = m->quota_milli < 0 ? INT64_MIN : -(m->quota_milli / (1 + m->put));
    else
        rank[2] = m->latency_us;
    if (workload == TG_HIGH_PRIORITY)
        rank[1] = !m->who.reserved;
    rank[3] = count_works(w, i);
}

static int compare_ranks(const int64_t a[4], const int64_t b[4])
{
    for (int k = 0; k < 4; k++)
        if (a[k] != b[k])
            return a[k] < b[k] ? -1 : 1;
    return 0;
}

/* @return whether `got` is what the rule gives, of those that are open to the work */
static void check_choice(struct world *w, const struct tg_pool_work *work, uint32_t got)
{
    int64_t mine[4], other[4];
    bool others = false;

    for (uint32_t i = 0; i < MEMBERS; i++)
        others |= i != work->avoid && open_to(w, i, work);
    if (got == TG_POOL_NONE) {
        for (uint32_t i = 0; i < MEMBERS; i++)
            assert_false(open_to(w, i, work));
        return;
    }
    assert_true(open_to(w, got, work));
    if (got == work->avoid) {
        assert_false(others);
        return;
    }
    put_rank(w, got, work->workload, mine);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (i == work->avoid || !open_to(w, i, work))
            continue;
        put_rank(w, i, work->workload, other);
        assert_true(compare_ranks(mine, other) <= 0);
        if (compare_ranks(mine, other) == 0)
            assert_true(w->p.member[got].chosen <= w->p.member[i].chosen);
    }
}

/* ---- calls ---- */

static struct call *new_call(struct world *w, uint32_t member, uint32_t work)
{
    for (int i = 0; i < CALLS; i++) {
        struct call *c = &w->call[i];

        if (c->used)
            continue;
        *c = (struct call){ .used = true, .member = member, .work = work, .sent_us = w->now_us };
        w->m[member].in_flight++;
        return c;
    }
    return NULL;
}

/* How it will end: drawn when it is sent. */
static void draw_end(struct world *w, struct call *c)
{
    static const tg_code code[] = { TG_SERVER, TG_FLOOD, TG_FLOOD, TG_NOT_FOUND, TG_CANCELLED };
    uint64_t what = next(&w->x) % 400;

    c->end_us = w->now_us + 1 + draw_us(&w->x, 2);
    if (!w->m[c->member].reachable)
        c->err.code = next(&w->x) % 2 ? TG_NET : TG_TIMEOUT;
    else if (c->work == WORKS)
        return;
    else if (what < TG_COUNT(code) * 8)
        c->err.code = code[what / 8];
    else if (what == 399)
        c->err.code = TG_AUTH;
    if (c->err.code == TG_FLOOD)
        c->err.retry_after_s = (int64_t)(next(&w->x) % 120);
    if (c->err.code == TG_TIMEOUT)
        c->end_us = w->now_us + 20 * TG_SECOND_US;
}

static void send_call(struct world *w, uint32_t k)
{
    uint32_t member = w->work[k].member;
    struct call *c;
    int64_t rank[4];

    if (member == TG_POOL_NONE || truth_state(w, member) != TG_MEMBER_UP) {
        if (member != TG_POOL_NONE)
            assert_false(tg_pool_may_send(&w->p, member, w->work[k].workload, w->now_us));
        return;
    }
    put_rank(w, member, w->work[k].workload, rank);
    assert_int_equal(tg_pool_may_send(&w->p, member, w->work[k].workload, w->now_us), !rank[0]);
    if (rank[0] || !(c = new_call(w, member, k)))
        return;
    tg_pool_sent(&w->p, member);
    draw_end(w, c);
}

static void turn(struct world *w, uint32_t i, bool down)
{
    w->m[i].probing = false;
    if (w->m[i].down != down || down)
        w->m[i].turned_us = w->now_us;
    w->m[i].down = down;
}

static void model_end(struct world *w, const struct call *c)
{
    struct truth *m = &w->m[c->member];
    bool known = m->down ? !m->probing || c->sent_us < m->probe_us : c->sent_us < m->turned_us;

    m->in_flight--;
    switch (c->err.code) {
    case TG_NET:
    case TG_TIMEOUT:
        if (!known)
            turn(w, c->member, true);
        return;
    case TG_CANCELLED:
        return;
    case TG_AUTH:
        for (int i = 0; i < MEMBERS; i++)
            if (w->m[i].who.account == m->who.account && w->m[i].who.login == m->who.login)
                w->m[i].out = true;
        return;
    default:
        m->heard_us = w->now_us;
        turn(w, c->member, false);
        if (c->err.retry_after_s <= 60)
            return;
        for (int i = 0; i < MEMBERS; i++)
            if (w->m[i].joined && w->m[i].who.account == m->who.account)
                w->m[i].limited_until_us = TG_MAX(w->m[i].limited_until_us,
                                                  w->now_us + c->err.retry_after_s * TG_SECOND_US);
    }
}

static void end_call(struct world *w, struct call *c)
{
    struct tg_pool_work *work = c->work < WORKS && w->has[c->work] ? &w->work[c->work] : NULL;

    c->used = false;
    model_end(w, c);
    tg_pool_ended(&w->p, c->member, c->sent_us, c->err.code ? &c->err : NULL, next(&w->x),
                  w->now_us);
    if (work && tg_code_type(c->err.code) == TG_TYPE_NETWORK && work->member == c->member) {
        uint32_t got = tg_pool_fallback(&w->p, work, w->now_us);
        bool other = false;

        for (uint32_t i = 0; i < MEMBERS; i++)
            other |= i != c->member && open_to(w, i, work);
        assert_int_equal(work->avoid, c->member);
        if (other) {
            assert_int_not_equal(got, TG_POOL_NONE);
            assert_int_not_equal(got, c->member);
        }
    }
}

/* ---- what holds at every moment ---- */

static void check_all(struct world *w)
{
    uint32_t works[MEMBERS] = { 0 }, waiting = 0;

    for (uint32_t i = 0; i < MEMBERS; i++) {
        const struct truth *m = &w->m[i];

        if (!m->joined)
            continue;
        assert_int_equal(tg_pool_state(&w->p, i, w->now_us), truth_state(w, i));
        assert_int_equal(w->p.member[i].in_flight, m->in_flight);
        if (m->out)
            continue;
        /* noticed in time, and back in time: between two probes of a member lie at most a backoff
         * and the time that one may take */
        if (!m->reachable && !m->down)
            assert_true(w->now_us <= TG_MAX(m->unreachable_us, m->heard_us) +
                                         (CHECK_S + ANSWER_S + 2) * TG_SECOND_US);
        if (m->reachable && m->down)
            assert_true(w->now_us <= m->back_us + (BACKOFF_S + ANSWER_S + 2) * TG_SECOND_US);
    }
    for (uint32_t k = 0; k < WORKS; k++) {
        const struct tg_pool_work *work = &w->work[k];
        bool hope = false;

        if (!w->has[k])
            continue;
        waiting += work->member == TG_POOL_NONE;
        if (work->member != TG_POOL_NONE)
            works[work->member]++;
        for (uint32_t i = 0; i < MEMBERS; i++)
            hope |= serves(w, i, work);
        assert_int_equal(tg_pool_hope(&w->p, work), hope);
        if (work->member != TG_POOL_NONE)
            assert_false(w->m[work->member].out);
        if (work->member != TG_POOL_NONE && truth_state(w, work->member) == TG_MEMBER_UP)
            continue;
        for (uint32_t i = 0; i < MEMBERS; i++)
            assert_false(open_to(w, i, work));
    }
    for (uint32_t i = 0; i < MEMBERS; i++)
        if (w->m[i].joined)
            assert_int_equal(w->p.member[i].n_works, works[i]);
    assert_int_equal(w->p.n_waiting, waiting);
}

/* The owner's part after every event. */
static void serve_pool(struct world *w)
{
    struct tg_pool_work *work;
    uint32_t from, i;

    for (uint32_t k = 0; k < MEMBERS; k++) /* a probe that is late has failed */
        if (w->m[k].joined && !w->m[k].out && w->m[k].probing &&
            w->now_us >= w->m[k].probe_us + ANSWER_S * TG_SECOND_US)
            turn(w, k, true);
    while ((i = tg_pool_probe(&w->p, next(&w->x), w->now_us)) != TG_POOL_NONE) {
        struct call *c = new_call(w, i, WORKS);

        assert_non_null(c);
        assert_false(w->m[i].out || w->m[i].probing);
        if (!w->m[i].down)
            assert_true(w->now_us - w->m[i].heard_us >= CHECK_S * TG_SECOND_US);
        w->m[i].probing = true;
        w->m[i].probe_us = w->now_us;
        draw_end(w, c);
    }
    while ((work = tg_pool_move(&w->p, w->now_us, &from))) {
        size_t k = (size_t)(work - w->work);

        assert_true(k < WORKS && w->has[k]);
        if (from != TG_POOL_NONE) {
            assert_int_not_equal(truth_state(w, from), TG_MEMBER_UP);
            assert_int_not_equal(work->member, from);
        }
        assert_true(open_to(w, work->member, work));
        for (uint32_t m = 0; work->member == work->avoid && m < MEMBERS; m++)
            assert_true(m == work->avoid || !open_to(w, m, work));
    }
    assert_true(tg_pool_due(&w->p) > w->now_us);
    check_all(w);
}

/* ---- events ---- */

static void join(struct world *w, uint32_t slot)
{
    struct tg_error err;
    uint32_t got;
    struct tg_pool_who who = { .account = (uint32_t)(next(&w->x) % 4),
                               .login = (uint32_t)(next(&w->x) % 2),
                               .dc = 1 + (int32_t)(next(&w->x) % 2),
                               .media = next(&w->x) % 4 == 0,
                               .reserved = next(&w->x) % 4 == 0,
                               .in_flight_max = 1 + (uint32_t)(next(&w->x) % 6) };
    bool twice = false;
    int64_t limited = INT64_MIN;

    for (int i = 0; i < MEMBERS; i++) {
        const struct truth *m = &w->m[i];

        if (!m->joined || m->who.account != who.account)
            continue;
        limited = TG_MAX(limited, m->limited_until_us);
        twice |= m->who.login == who.login && m->who.dc == who.dc && !m->who.media && !who.media;
    }
    if (twice) {
        assert_int_equal(tg_pool_join(&w->p, &who, w->now_us, &got, &err), TG_BUSY);
        return;
    }
    assert_int_equal(tg_pool_join(&w->p, &who, w->now_us, &got, &err), TG_OK);
    assert_int_equal(got, slot);
    w->m[slot] = (struct truth){ .joined = true,
                                 .reachable = true,
                                 .who = who,
                                 .back_us = w->now_us,
                                 .heard_us = w->now_us,
                                 .turned_us = w->now_us,
                                 .limited_until_us = limited };
}

static void leave(struct world *w, uint32_t i)
{
    for (int k = 0; k < CALLS; k++)
        if (w->call[k].used && w->call[k].member == i) {
            w->call[k].err = (struct tg_error){ .code = TG_CANCELLED };
            end_call(w, &w->call[k]);
        }
    tg_pool_leave(&w->p, i);
    w->m[i].joined = false;
}

static void event_member(struct world *w)
{
    uint32_t i = (uint32_t)(next(&w->x) % MEMBERS);
    struct truth *m = &w->m[i];

    if (!m->joined) {
        for (i = 0; w->m[i].joined; i++)
            ;
        join(w, i);
        return;
    }
    switch (next(&w->x) % 8) {
    case 0:
        if (next(&w->x) % 4 == 0)
            leave(w, i);
        break;
    case 1:
    case 2:
        m->reachable = !m->reachable;
        *(m->reachable ? &m->back_us : &m->unreachable_us) = w->now_us;
        for (int k = 0; k < CALLS; k++) /* what is on its way is lost with the connection */
            if (!m->reachable && w->call[k].used && w->call[k].member == i)
                w->call[k].err = (struct tg_error){ .code = TG_NET };
        break;
    case 3:
        w->sees[m->who.account] ^= UINT64_C(1) << next(&w->x) % 4;
        tg_pool_changed(&w->p);
        break;
    case 4:
        if (next(&w->x) % 16)
            break;
        tg_pool_out(&w->p, i, true);
        for (int k = 0; k < MEMBERS; k++)
            w->m[k].out |= w->m[k].joined && w->m[k].who.account == m->who.account;
        break;
    default:
        tg_pool_quota(&w->p, i, next(&w->x) % 3 ? (int64_t)(next(&w->x) % 50000) : -1);
        if (next(&w->x) % 8 == 0)
            tg_pool_works_max(&w->p, (uint32_t)(next(&w->x) % 5));
    }
}

static void event_work(struct world *w)
{
    uint32_t k = (uint32_t)(next(&w->x) % WORKS), got;
    struct tg_pool_work *work = &w->work[k];

    if (w->has[k] && next(&w->x) % 8 == 0) {
        tg_pool_remove(&w->p, work);
        w->has[k] = false;
    } else if (w->has[k]) {
        send_call(w, k);
    } else {
        *work = (struct tg_pool_work){ .needs = next(&w->x) % 4,
                                       .workload = (enum tg_workload)(next(&w->x) % TG_WORKLOADS),
                                       .dc = (int32_t)(next(&w->x) % 3),
                                       .media = next(&w->x) % 6 == 0,
                                       .avoid = TG_POOL_NONE };
        got = tg_pool_choose(&w->p, work, w->now_us);
        check_choice(w, work, got);
        assert_int_equal(tg_pool_add(&w->p, work, w->now_us), got);
        w->has[k] = true;
    }
}

/* To the next moment at which something ends, is due, or is done of one's own accord. */
static void step(struct world *w)
{
    int64_t at = w->now_us + draw_us(&w->x, next(&w->x) % 8 ? 3 : 40);
    struct call *first = NULL;

    for (int i = 0; i < CALLS; i++)
        if (w->call[i].used && w->call[i].end_us <= at) {
            first = &w->call[i];
            at = first->end_us;
        }
    if (tg_pool_due(&w->p) < at) {
        w->now_us = tg_pool_due(&w->p);
    } else {
        w->now_us = at;
        if (first)
            end_call(w, first);
        else if (next(&w->x) % 5 == 0)
            event_member(w);
        else
            event_work(w);
    }
    serve_pool(w);
}

static void run_world(uint64_t seed)
{
    static struct world w;

    w = (struct world){ .x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1 };
    for (int i = 0; i < MEMBERS; i++)
        w.sees[i] = next(&w.x);
    assert_true(tg_pool_init(&w.p, &(struct tg_pool_options){
                                       .members_max = MEMBERS,
                                       .may = may,
                                       .ctx = &w,
                                       .reserved_permille = (uint32_t)(next(&w.x) % 600) }));
    for (uint32_t i = 0; i < 2 + seed % (MEMBERS - 1); i++) {
        uint32_t slot = 0;

        while (w.m[slot].joined)
            slot++;
        join(&w, slot);
    }
    for (int i = 0; i < EVENTS; i++)
        step(&w);
    tg_pool_done(&w.p);
}

static uint64_t at_seed;

static void test_worlds(void **state)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t last = many ? strtoull(many, NULL, 10) : SEEDS;

    (void)state;
    at_seed = 1;
    if (one)
        at_seed = last = strtoull(one, NULL, 10);
    for (; at_seed <= last; at_seed++)
        run_world(at_seed);
    at_seed = 0;
}

static int tell_seed(void **state)
{
    (void)state;
    if (at_seed)
        print_error("failed at seed %llu: TG_SEED=%llu\n", (unsigned long long)at_seed,
                    (unsigned long long)at_seed);
    return 0;
}

/* ---- what is said of single cases ---- */

/* A pool of four: a slow one, a fast one, one with much quota, and a reserved one. */
static void make_four(struct tg_pool *p)
{
    static const struct {
        int64_t latency_us, quota_milli;
        bool reserved;
    } row[] = {
        { 90000, 2000, false },
        { 20000, 1000, false },
        { 50000, 9000, false },
        { 60000, 9999, true },
    };
    struct tg_error err;
    uint32_t got;

    assert_true(tg_pool_init(p, &(struct tg_pool_options){ .members_max = 4,
                                                           .reserved_permille = 250 }));
    for (uint32_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_pool_who who = { .account = i,
                                   .dc = 2,
                                   .reserved = row[i].reserved,
                                   .in_flight_max = 4 };

        assert_int_equal(tg_pool_join(p, &who, 0, &got, &err), TG_OK);
        tg_pool_quota(p, got, row[i].quota_milli);
        tg_pool_sent(p, got);
        tg_pool_ended(p, got, 0, NULL, 0, row[i].latency_us);
    }
    assert_int_equal(tg_pool_join(p, &(struct tg_pool_who){ .account = 9, .in_flight_max = 1 }, 0,
                                  &got, &err),
                     TG_LIMIT);
}

static void test_workloads(void **state)
{
    static struct tg_pool p;
    struct tg_pool_work bulk[12], live = { .workload = TG_REAL_TIME };
    struct tg_pool_work high = { .workload = TG_HIGH_PRIORITY };
    uint32_t n[4] = { 0 };

    (void)state;
    make_four(&p);
    for (int i = 0; i < 12; i++) {
        bulk[i] = (struct tg_pool_work){ .workload = TG_BULK_HISTORICAL };
        n[tg_pool_add(&p, &bulk[i], 100000)]++;
    }
    assert_int_equal(n[0], 2); /* 2 : 1 : 9 */
    assert_int_equal(n[1], 1);
    assert_int_equal(n[2], 9);
    assert_int_equal(n[3], 0);
    assert_int_equal(tg_pool_add(&p, &live, 100000), 1);
    assert_int_equal(tg_pool_add(&p, &high, 100000), 3);
    /* three of four calls for all; the fourth for high priority */
    for (int i = 0; i < 3; i++) {
        assert_true(tg_pool_may_send(&p, 1, TG_REAL_TIME, 100000));
        tg_pool_sent(&p, 1);
    }
    assert_false(tg_pool_may_send(&p, 1, TG_REAL_TIME, 100000));
    assert_true(tg_pool_may_send(&p, 1, TG_HIGH_PRIORITY, 100000));
    /* a full one is not chosen, and without the reserved one the fastest is for high priority */
    tg_pool_out(&p, 3, true);
    assert_int_equal(high.member, TG_POOL_NONE);
    assert_int_equal(tg_pool_choose(&p, &live, 100000), 2);
    assert_int_equal(tg_pool_choose(&p, &high, 100000), 1);
    tg_pool_done(&p);
}

/* A long wait moves an account's work, a short one does not; it is not moved back. */
static void test_long_wait(void **state)
{
    static struct tg_pool p;
    struct tg_pool_work live = { .workload = TG_REAL_TIME };
    struct tg_error flood = { .code = TG_FLOOD, .retry_after_s = 60 };
    uint32_t from;

    (void)state;
    make_four(&p);
    assert_int_equal(tg_pool_add(&p, &live, 100000), 1);
    for (; flood.retry_after_s <= 61; flood.retry_after_s++) {
        tg_pool_sent(&p, 1);
        tg_pool_ended(&p, 1, 100000, &flood, 0, 200000);
        if (flood.retry_after_s == 60)
            assert_null(tg_pool_move(&p, 200000, &from));
    }
    assert_int_equal(tg_pool_state(&p, 1, 200000), TG_MEMBER_LIMITED);
    assert_ptr_equal(tg_pool_move(&p, 200000, &from), &live);
    assert_int_equal(from, 1);
    assert_int_equal(live.member, 2);
    assert_null(tg_pool_move(&p, 200000, &from));
    assert_int_equal(tg_pool_state(&p, 1, 200000 + 61 * TG_SECOND_US), TG_MEMBER_UP);
    assert_null(tg_pool_move(&p, 200000 + 61 * TG_SECOND_US, &from));
    tg_pool_done(&p);
}

/* Work that failed somewhere does not go back there at once, though that one is up again already;
 * unless nobody else is. */
static void test_not_twice_in_a_row(void **state)
{
    static struct tg_pool p;
    struct tg_pool_work live = { .workload = TG_REAL_TIME };
    struct tg_error lost = { .code = TG_NET };

    (void)state;
    make_four(&p);
    tg_pool_out(&p, 0, true);
    assert_int_equal(tg_pool_add(&p, &live, 100000), 1);
    for (int i = 0; i < 3; i++) {
        tg_pool_sent(&p, live.member);
        tg_pool_sent(&p, live.member);
        tg_pool_ended(&p, live.member, 100000, &lost, 0, 100000);
        tg_pool_ended(&p, live.member, 100000, NULL, 0, 100000);
        assert_int_equal(tg_pool_state(&p, live.member, 100000), TG_MEMBER_UP);
        assert_int_equal(tg_pool_fallback(&p, &live, 100000), i % 2 ? 1 : 2);
    }
    tg_pool_out(&p, 1, true);
    assert_int_equal(tg_pool_fallback(&p, &live, 100000), 2);
    tg_pool_done(&p);
}

/* One that cannot be reached is probed again at growing distances, and comes back. */
static void test_probes(void **state)
{
    static const int64_t at_s[] = { 30, 31, 33, 37, 45, 61, 93, 153, 213 };
    static struct tg_pool p;
    struct tg_pool_options o = { .members_max = 1,
                                 .backoff = { TG_SECOND_US, 60 * TG_SECOND_US, 2000, false } };
    struct tg_pool_who who = { .in_flight_max = 1 };
    struct tg_error err = { .code = TG_NET };
    uint32_t got;

    (void)state;
    assert_true(tg_pool_init(&p, &o));
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_OK);
    err = (struct tg_error){ .code = TG_NET };
    for (size_t i = 0; i < TG_COUNT(at_s); i++) {
        int64_t now = at_s[i] * TG_SECOND_US;

        assert_int_equal(tg_pool_due(&p), now);
        assert_int_equal(tg_pool_probe(&p, 0, now - 1), TG_POOL_NONE);
        assert_int_equal(tg_pool_probe(&p, 0, now), 0);
        assert_int_equal(tg_pool_probe(&p, 0, now), TG_POOL_NONE);
        tg_pool_ended(&p, 0, now, i + 1 < TG_COUNT(at_s) ? &err : NULL, 0, now);
    }
    assert_int_equal(tg_pool_state(&p, 0, 213 * TG_SECOND_US), TG_MEMBER_UP);
    assert_int_equal(tg_pool_due(&p), 243 * TG_SECOND_US);
    tg_pool_done(&p);
}

/* One connection of a login on an ordinary DC, several on a media DC. */
static void test_one_connection(void **state)
{
    static struct tg_pool p;
    struct tg_pool_who who = { .account = 1, .login = 1, .dc = 2, .in_flight_max = 1 };
    struct tg_error err;
    uint32_t got;

    (void)state;
    assert_true(tg_pool_init(&p, &(struct tg_pool_options){ .members_max = 8 }));
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_OK);
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_BUSY);
    assert_string_equal(err.message, "this login is connected to DC 2 already");
    who.login = 2;
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_OK);
    who.media = true;
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_OK);
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_OK);
    tg_pool_leave(&p, 0);
    who = (struct tg_pool_who){ .account = 1, .login = 1, .dc = 2, .in_flight_max = 1 };
    assert_int_equal(tg_pool_join(&p, &who, 0, &got, &err), TG_OK);
    assert_int_equal(got, 0);
    tg_pool_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_worlds, tell_seed),
        cmocka_unit_test(test_workloads),
        cmocka_unit_test(test_long_wait),
        cmocka_unit_test(test_not_twice_in_a_row),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_one_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
