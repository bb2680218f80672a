/* SPDX-License-Identifier: MIT */
/*
 * share_model.h - what flow/share_script.c does, in C, on a clock of the test's own
 *
 * The property tests run against it; a test against a real Redis shows that the script gives the
 * same replies to the same asks.
 */
#ifndef SHARE_MODEL_H
#define SHARE_MODEL_H

#include <stdlib.h>

#include "flow/share.h"

enum { MODEL_WORKERS = 16 };

struct model {
    int64_t rate, learned, unsure, till, probing, before, settle, closed, nf, flood_at, probe_at;
    int64_t every, pe, a, b, s, eff;
    int learner; /* -1: none */
    struct {
        bool there;
        int64_t le, want, got;
    } worker[MODEL_WORKERS];
    int64_t published; /* a flood wait that all are told; -1: none */
};

static inline void model_init(struct model *m)
{
    *m = (struct model){ .learner = -1, .pe = -2, .published = -1 };
}

static inline int64_t model_effective(const struct model *m, int64_t cap)
{
    return cap > 0 && (m->rate == 0 || m->rate > cap) ? cap : m->rate;
}

static inline void model_alone(struct model *m, int id, bool probing, int64_t now)
{
    m->before = m->rate;
    m->probing = probing;
    m->learner = id;
    m->settle = now + 2 * TG_SHARE_PERIOD_US;
}

static inline void model_found(struct model *m, const struct tg_share_ask *q, int64_t now)
{
    const int64_t P = TG_SHARE_PERIOD_US;

    if (q->found_milli > 0) {
        if (m->before == 0 || q->found_milli > m->before + m->before / 20)
            m->every = 600 * P;
        else if (q->found_milli < m->before - m->before / 20)
            m->every = 120 * P;
        else
            m->every = TG_MIN(TG_MAX(m->every, 600 * P) * 4, 14400 * P);
        m->rate = q->found_milli;
        m->learned = q->found_learned_milli;
        m->learner = -1;
        m->unsure = m->nf = 0;
        m->probe_at = now + m->every;
    } else if (q->gives_up) {
        m->learner = -1;
        if (m->rate == 0)
            m->unsure = 0;
        else
            m->probe_at = now + TG_MAX(m->every, 600 * P);
    }
}

static inline void model_flood(struct model *m, int id, const struct tg_share_ask *q, int64_t now)
{
    bool first = now >= m->closed;
    int64_t r = model_effective(m, q->cap_milli);

    m->closed = TG_MAX(m->closed, now + q->flood_us);
    m->published = q->flood_us;
    if (!q->adaptive || !first || m->learner >= 0)
        return;
    if (now - m->flood_at > 60 * TG_SHARE_PERIOD_US)
        m->nf = 0;
    m->nf++;
    m->flood_at = now;
    if (r == 0 || m->nf >= 3) {
        model_alone(m, id, false, now);
        m->rate = m->learned = m->nf = 0;
        m->unsure = 1;
    } else {
        m->learned = (m->learned ? m->learned : r) * 98 / 100;
        m->rate = TG_MAX(r * 98 / 100, INT64_C(1));
        m->probe_at = now + TG_MAX(m->every, 600 * TG_SHARE_PERIOD_US);
    }
}

static inline enum tg_share_mode model_mode(struct model *m, int id, const struct tg_share_ask *q,
                                            int64_t r, int64_t now)
{
    if (q->want_micro == 0) {
        if (m->learner == id)
            m->learner = -1;
        return TG_SHARE_FREE;
    }
    if (m->learner >= 0)
        return m->learner == id ? TG_SHARE_ALONE : TG_SHARE_WAIT;
    if (r == 0 && m->unsure && q->adaptive) {
        model_alone(m, id, false, now);
        return TG_SHARE_ALONE;
    }
    if (r == 0)
        return TG_SHARE_FREE;
    if (q->adaptive && q->want_micro == TG_SHARE_ALL && m->rate > 0 && now >= m->probe_at) {
        model_alone(m, id, true, now);
        return TG_SHARE_ALONE;
    }
    return TG_SHARE_SHARED;
}

static inline int model_order(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static inline void model_deal(struct model *m, int id, const struct tg_share_ask *q, int64_t pool,
                              int64_t e, int64_t off, struct tg_share_reply *ret)
{
    const int64_t P = TG_SHARE_PERIOD_US;
    bool again = m->worker[id].there && m->worker[id].le == e + 1;
    bool all = q->want_micro == TG_SHARE_ALL;
    int64_t total = m->b + (again ? m->worker[id].got : 0), hungry = all, want, left, level = 0;
    int64_t wants[MODEL_WORKERS], share, ahead;
    size_t n = 0;

    for (int i = 0; i < MODEL_WORKERS; i++) {
        if (i == id || !m->worker[i].there || m->worker[i].le < e)
            continue;
        total += m->worker[i].le == e + 1 ? m->worker[i].got : 0;
        hungry += m->worker[i].want == TG_SHARE_ALL;
    }
    want = all ? total : q->want_micro;
    wants[n++] = want;
    for (int i = 0; i < MODEL_WORKERS; i++)
        if (i != id && m->worker[i].there && m->worker[i].le >= e)
            wants[n++] = m->worker[i].want == TG_SHARE_ALL ? total : m->worker[i].want;
    qsort(wants, n, sizeof *wants, model_order);
    left = total;
    for (size_t i = 0; i < n; i++) {
        level = left / (int64_t)(n - i);
        if (wants[i] > level)
            break;
        left -= wants[i];
        level = wants[i];
    }
    share = TG_MIN(want, level);
    if (q->apart)
        share = TG_MIN(share, total / q->apart);
    ahead = TG_MIN(m->a, pool * (P - off) / P);
    ret->next_micro = again ? m->worker[id].got : TG_MIN(share, m->b);
    m->b -= again ? 0 : ret->next_micro;
    if (q->now_too)
        ret->rest_micro = TG_MIN(share * (P - off) / P, ahead);
    else if (all && off * 10 >= P * 4)
        ret->rest_micro = ahead / hungry;
    if (q->now_too || all)
        ret->once_micro = all ? m->s : TG_MIN(m->s, want);
    m->a -= ret->rest_micro;
    m->s -= ret->once_micro;
}

static inline void model_periods(struct model *m, int id, const struct tg_share_ask *q, int64_t r,
                                 int64_t now, struct tg_share_reply *ret)
{
    const int64_t P = TG_SHARE_PERIOD_US, e = now / P, off = now - e * P, pool = r * 1000;

    if (m->pe < 0 || e > m->pe + 1) {
        m->s = m->pe == -1 || q->apart ? 0 : q->burst_micro;
        m->a = pool * (P - off) / P;
        m->b = pool;
    } else {
        if (m->eff != r)
            m->b = TG_MAX(m->b + pool - m->eff * 1000, INT64_C(0));
        if (e == m->pe + 1) {
            m->s = TG_MIN(m->s + m->a, q->burst_micro);
            m->a = m->b;
            m->b = pool;
        }
    }
    m->s = TG_MIN(m->s + q->returned_micro, q->burst_micro);
    if (ret->mode == TG_SHARE_SHARED)
        model_deal(m, id, q, pool, e, off, ret);
    m->pe = e;
    m->eff = r;
}

static inline void model_ask(struct model *m, int id, const struct tg_share_ask *q, int64_t now,
                             struct tg_share_reply *ret)
{
    const int64_t P = TG_SHARE_PERIOD_US, e = now / P;
    int64_t r, closed;

    *ret = (struct tg_share_reply){ .offset_us = now - e * P, .workers = 1 };
    if (m->learner >= 0 && m->till < now)
        m->learner = -1;
    if (m->rate == 0 && m->learner < 0 && q->known_milli > 0 && !m->unsure) {
        m->rate = q->known_milli;
        m->learned = q->known_learned_milli;
        m->every = 600 * P;
        m->probe_at = now + m->every;
    }
    if (m->learner == id)
        model_found(m, q, now);
    if (q->flood_us >= 0)
        model_flood(m, id, q, now);
    r = model_effective(m, q->cap_milli);
    ret->mode = model_mode(m, id, q, r, now);
    if (ret->mode == TG_SHARE_ALONE)
        m->till = now + 3 * P;
    if (ret->mode == TG_SHARE_ALONE || ret->mode == TG_SHARE_WAIT)
        m->pe = -1;
    for (int i = 0; i < MODEL_WORKERS; i++)
        ret->workers += i != id && m->worker[i].there && m->worker[i].le >= e;
    if (r > 0 && m->learner < 0)
        model_periods(m, id, q, r, now, ret);
    m->worker[id].there = q->want_micro != 0;
    m->worker[id].le = e + 1;
    m->worker[id].want = q->want_micro;
    m->worker[id].got = ret->next_micro;
    closed = ret->mode == TG_SHARE_ALONE ? TG_MAX(m->closed, m->settle) : m->closed;
    ret->closed_us = TG_MAX(closed - now, INT64_C(0));
    ret->rate_milli = r;
    ret->learned_milli = m->learned;
    ret->probing = ret->mode == TG_SHARE_ALONE && m->probing;
}

#endif
