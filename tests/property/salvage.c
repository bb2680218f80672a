/* SPDX-License-Identifier: MIT */
/*
 * salvage.c - reading a window around messages that cannot be decoded, against a model server
 *
 * Each seed draws a history with holes, some messages that cannot be decoded (of known or unknown
 * id), a window, and how often a reply comes short. Checked: each good message of the window comes
 * once, in order; each bad one is set aside once; the reading ends in a bounded number of requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "source/salvage.h"

enum { IDS = 600, REQUESTS_MAX = 3000 };

enum fate { HOLE, GOOD, BAD_KNOWN, BAD_UNKNOWN };

struct server {
    uint64_t x;
    enum fate at[IDS + 1];
    int32_t short_permille;
};

static uint64_t draw(struct server *s, uint64_t n)
{
    s->x ^= s->x << 13;
    s->x ^= s->x >> 7;
    s->x ^= s->x << 17;
    return s->x % n;
}

/* getHistory: newest first. @return how many */
static size_t serve(struct server *s, const struct tg_history_request *q, int32_t id[100])
{
    int32_t start = 0, above = 0, n = 0, rank = 0;

    for (int32_t i = 1; i <= IDS; i++)
        above += s->at[i] != HOLE && q->offset_id && i >= q->offset_id;
    start = TG_MAX(above + q->add_offset, 0);
    for (int32_t i = IDS; i >= 1; i--) {
        if (s->at[i] == HOLE)
            continue;
        if (rank >= start && rank < start + q->limit && i > q->min_id &&
            (!q->max_id || i < q->max_id))
            id[n++] = i;
        rank++;
    }
    if (n > 1 && (int32_t)draw(s, 1000) < s->short_permille)
        n -= 1 + (int32_t)draw(s, (uint64_t)n - 1); /* cut at its old end */
    return (size_t)n;
}

static void make(struct server *s, uint64_t seed)
{
    static const int holes[] = { 0, 5, 30, 90 }, bad[] = { 0, 2, 10, 60 };
    int hole, broken;

    s->x = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    hole = holes[draw(s, 4)];
    broken = bad[draw(s, 4)];
    s->short_permille = (int32_t)draw(s, 3) * 100;
    for (int i = 1; i <= IDS; i++) {
        s->at[i] = GOOD;
        if ((int)draw(s, 100) < hole)
            s->at[i] = HOLE;
        else if ((int)draw(s, 100) < broken)
            s->at[i] = draw(s, 2) ? BAD_KNOWN : BAD_UNKNOWN;
    }
}

struct outcome {
    int seen[IDS + 1], aside[IDS + 1];
    int32_t last;
    bool disorder;
    int n_requests;
};

/* The first undecodable message of a reply in wire order, newest first; 0 none. */
static int32_t broken(const struct server *s, const int32_t *id, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (s->at[id[i]] >= BAD_KNOWN)
            return id[i];
    return 0;
}

static void read_window(struct server *s, const struct tg_history_request *window, int32_t high,
                        struct outcome *o)
{
    struct tg_history_request q;
    struct tg_salvage salvage;
    int32_t id[100];

    o->last = window->min_id;
    tg_salvage_start(&salvage, window, high);
    while (tg_salvage_next(&salvage, &q) == TG_OK && o->n_requests++ < REQUESTS_MAX) {
        size_t n = serve(s, &q, id);
        int32_t bad = broken(s, id, n);
        int wanted;

        if (bad) {
            if (tg_salvage_bad(&salvage))
                o->aside[bad] +=
                    tg_salvage_aside(&salvage, s->at[bad] == BAD_KNOWN ? bad : 0, (uint64_t)bad);
            continue;
        }
        wanted = tg_salvage_piece(&salvage, id, n);
        for (int i = 0; i < wanted; i++) {
            int32_t one = id[n - 1 - (size_t)i];

            o->disorder |= one <= o->last;
            o->last = one;
            o->seen[one]++;
        }
    }
}

static void test_windows(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4000; seed++) {
        struct tg_history_request window = { 0 };
        struct outcome o = { .n_requests = 0 };
        struct server s;
        int32_t low, high, want = 0, top = 0, n_wrong = 0;
        bool follow;

        make(&s, seed);
        low = (int32_t)draw(&s, IDS);
        high = low + 1 + (int32_t)draw(&s, (uint64_t)(IDS - low));
        follow = draw(&s, 3) == 0;
        window.min_id = low;
        window.limit = 100;
        window.offset_id = follow ? high + 1 : low + 1;
        window.add_offset = follow ? 0 : -100;
        for (int32_t i = IDS; i > 0; i--)
            top = top ? top : s.at[i] == GOOD || s.at[i] == BAD_KNOWN ? i : 0;
        read_window(&s, &window, high, &o);
        assert_in_range(o.n_requests, 0, REQUESTS_MAX - 1);
        for (int32_t i = low + 1; i <= high && want < window.limit; i++) {
            if (s.at[i] == HOLE)
                continue;
            want++;
            /* past the last message of known id nothing can be pinned down */
            if (s.at[i] == GOOD)
                n_wrong += o.seen[i] != 1 || o.aside[i];
            else if (i < top)
                n_wrong += o.aside[i] != 1 || o.seen[i];
        }
        for (int32_t i = 1; i <= IDS; i++)
            n_wrong += o.seen[i] > 1 || o.aside[i] > 1 || (o.seen[i] && (i <= low || i > high));
        if (n_wrong || o.disorder)
            print_error("seed %llu: window %d..%d%s, %d wrong, disorder %d\n",
                        (unsigned long long)seed, (int)low + 1, (int)high,
                        follow ? " (follow-up)" : "", (int)n_wrong, o.disorder);
        assert_int_equal(n_wrong, 0);
        assert_false(o.disorder);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = { cmocka_unit_test(test_windows) };

    return cmocka_run_group_tests_name("source/salvage", test, NULL, NULL);
}
