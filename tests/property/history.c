/* SPDX-License-Identifier: MIT */
/*
 * history.c - the planner of history reads against a model server, over many seeds
 *
 * The server holds a set of ids, answers getHistory exactly as documented, and returns short pages
 * (cut at their old end) with some probability. Replies come back in any order, some requests are
 * lost. Whatever happens: every id once, in order, gap-free coverage, no question asked twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "telegram/history.h"

struct random {
    uint64_t state;
};

static uint64_t draw(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint32_t below(struct random *r, uint32_t n)
{
    return (uint32_t)(draw(r) % n);
}

/* ---- the model server ---- */

struct server {
    int32_t *id; /* ascending */
    size_t n;
    uint32_t short_percent;
};

struct page {
    int32_t id[100];
    size_t n;
    bool out; /* given to the planner and not back yet */
};

static size_t count_below(const struct server *s, int64_t id)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (s->id[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void answer(const struct server *s, const struct tg_history_request *q, struct random *r,
                   struct page *ret)
{
    int64_t at_or_above = q->offset_id ? (int64_t)(s->n - count_below(s, q->offset_id)) : 0;
    int64_t start = TG_MAX(at_or_above + q->add_offset, 0);

    ret->n = 0;
    for (int64_t i = start; i < start + q->limit && i < (int64_t)s->n; i++) {
        int32_t id = s->id[s->n - 1 - (size_t)i];

        if ((q->max_id && id >= q->max_id) || id <= q->min_id)
            continue;
        ret->id[ret->n++] = id;
    }
    if (ret->n > 1 && below(r, 100) < s->short_percent)
        ret->n = 1 + below(r, (uint32_t)ret->n - 1);
}

/* Fills the server with ids 1..top of which about `permille` exist; deleted runs at either end. */
static void fill(struct server *s, struct random *r, int32_t top, uint32_t permille)
{
    int32_t low_cut = below(r, 4) == 0 ? (int32_t)below(r, (uint32_t)top) : 0;
    int32_t high_cut = below(r, 4) == 0 ? (int32_t)below(r, (uint32_t)top) : 0;
    int32_t block = below(r, 3) == 0 ? 50 + (int32_t)below(r, 3000) : 1; /* holes in runs, too */
    bool exists = true;

    s->id = malloc(((size_t)top + 1) * sizeof *s->id);
    s->n = 0;
    assert_non_null(s->id);
    for (int32_t id = 1; id <= top; id++) {
        if (id % block == 0)
            exists = below(r, 1000) < permille;
        if (exists && id > low_cut && id <= top - high_cut)
            s->id[s->n++] = id;
    }
}

/* ---- one run ---- */

struct asked {
    int64_t offset;
    bool follow;
};

struct run {
    const struct server *server;
    struct tg_history_options o;
    struct random r;
    uint32_t lost_percent;
    struct tg_history_request open[2 * TG_LANE_MAX]; /* requests under way */
    size_t n_open;
    struct page *page; /* one per request, ever */
    size_t n_page, cap_page;
    struct asked *asked;
    size_t n_asked;
    int64_t covered, next; /* coverage so far; index of the id to come next */
    size_t n_held;         /* pages out that are not the next to leave */
    uint64_t seed;
};

#define CHECK(run, what)                                                                           \
    do {                                                                                           \
        if (!(what))                                                                               \
            fail_msg("seed %llu: %s", (unsigned long long)(run)->seed, #what);                     \
    } while (0)

static void note_request(struct run *run, const struct tg_history_request *q)
{
    struct asked a = { q->offset_id, q->add_offset == 0 };

    CHECK(run, q->limit == 100 && (q->add_offset == 0 || q->add_offset == -100));
    CHECK(run, q->min_id >= run->o.low && q->min_id < run->o.high);
    run->asked = realloc(run->asked, (run->n_asked + 1) * sizeof *run->asked);
    run->asked[run->n_asked++] = a;
}

static int compare_asked(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;

    return x->offset != y->offset ? (x->offset > y->offset) - (x->offset < y->offset)
                                  : x->follow - y->follow;
}

static void check_asked_once(struct run *run)
{
    if (run->n_asked == 0)
        return;
    qsort(run->asked, run->n_asked, sizeof *run->asked, compare_asked);
    for (size_t i = 1; i < run->n_asked; i++)
        CHECK(run, compare_asked(&run->asked[i - 1], &run->asked[i]) != 0);
}

static void take_all(struct run *run, struct tg_history *h)
{
    struct tg_history_piece piece;
    tg_code code;

    while ((code = tg_history_take(h, &piece)) == TG_OK) {
        struct page *p = piece.page;

        CHECK(run, piece.from == run->covered + 1 && piece.to >= piece.from - 1);
        CHECK(run, piece.page_done == (p != NULL));
        for (size_t i = p ? p->n : 0; i--;) {
            if (p->id[i] < piece.from || p->id[i] > piece.to)
                continue;
            CHECK(run, (size_t)run->next < run->server->n);
            CHECK(run, p->id[i] == run->server->id[run->next]);
            run->next++;
        }
        if (p) {
            CHECK(run, p->out);
            p->out = false;
        }
        run->covered = piece.to;
        CHECK(run, piece.end == (piece.to == run->o.high));
    }
    CHECK(run, (code == TG_END) == (run->covered >= run->o.high));
}

/* Pages held whose ids are beyond the next hundred to leave: what `ahead_max` bounds. */
static void check_held(struct run *run)
{
    size_t n = 0, next = (size_t)run->next + 100;
    int64_t edge = next < run->server->n ? run->server->id[next] : INT64_MAX;

    for (size_t i = 0; i < run->n_page; i++)
        n += run->page[i].out && (run->page[i].n == 0 || run->page[i].id[0] >= edge);
    CHECK(run, n + run->n_open <= run->o.ahead_max + 1);
}

static void reply_one(struct run *run, struct tg_history *h)
{
    size_t k = below(&run->r, (uint32_t)run->n_open);
    struct tg_history_request q = run->open[k];
    struct tg_error err;
    struct page *p;

    run->open[k] = run->open[--run->n_open];
    if (below(&run->r, 100) < run->lost_percent) {
        tg_history_again(h, q.tag);
        return;
    }
    p = &run->page[run->n_page++];
    CHECK(run, run->n_page <= run->cap_page);
    answer(run->server, &q, &run->r, p);
    p->out = p->n > 0 || below(&run->r, 2);
    CHECK(run, tg_history_reply(h, &(struct tg_history_reply){ q.tag, p->id, p->n, false,
                                                               p->out ? p : NULL },
                                &err) == TG_OK);
}

static struct tg_history_stats play(struct run *run, bool small)
{
    struct tg_history *h = tg_history_new(&run->o);
    struct tg_history_stats stats;

    run->cap_page = 1200 + run->server->n / 4;
    run->page = calloc(run->cap_page, sizeof *run->page);
    assert_true(h && run->page);
    run->covered = run->o.low;
    run->next = (int64_t)count_below(run->server, run->o.low + 1);
    for (;;) {
        struct tg_history_request q;
        tg_code code = TG_AGAIN;
        bool lazy = below(&run->r, 8) == 0; /* now and then nothing is taken for a while */

        while (run->n_open < TG_COUNT(run->open) && (code = tg_history_next(h, &q)) == TG_OK) {
            if (run->lost_percent == 0)
                note_request(run, &q);
            run->open[run->n_open++] = q;
        }
        if (small)
            check_held(run);
        CHECK(run, run->n_open <= TG_MAX(run->o.lanes, 16u));
        if (run->n_open == 0)
            CHECK(run, code == TG_END || run->covered < run->o.high);
        if (run->n_open)
            reply_one(run, h);
        if (!lazy || run->n_open == 0)
            take_all(run, h);
        if (run->covered >= run->o.high)
            break;
        if (small && below(&run->r, 64) == 0)
            tg_history_lanes(h, 1 + below(&run->r, 16));
    }
    CHECK(run, run->n_open == 0);
    CHECK(run, (size_t)run->next == count_below(run->server, run->o.high + 1));
    for (size_t i = 0; i < run->n_page; i++)
        CHECK(run, !run->page[i].out);
    check_asked_once(run);
    tg_history_stats(h, &stats);
    tg_history_free(h, NULL, NULL);
    free(run->page);
    free(run->asked);
    return stats;
}

static void test_any_world(void **state)
{
    static const uint32_t permille[] = { 1000, 1000, 999, 950, 500, 100, 10, 0 };

    (void)state;
    for (uint64_t seed = 1; seed <= 30000; seed++) {
        struct random r = { seed };
        struct server server = { .short_percent = below(&r, 2) ? below(&r, 31) : 0 };
        int32_t top = 1 + (int32_t)below(&r, seed % 50 ? 2500 : 60000);
        struct run run = { .server = &server, .seed = seed };

        fill(&server, &r, top, permille[below(&r, TG_COUNT(permille))]);
        run.o.low = below(&r, 2) ? below(&r, (uint32_t)top + 1) : 0;
        run.o.high = below(&r, 2) ? top : run.o.low + below(&r, (uint32_t)top);
        run.o.lanes = below(&r, 3) ? 1 + below(&r, 16) : 1;
        run.o.segment_pages = below(&r, 2) ? below(&r, 6) : 0;
        run.o.density_permille = 1 + (int32_t)below(&r, 1000);
        run.o.ahead_max = 1 + below(&r, below(&r, 2) ? 8 : 300);
        run.lost_percent = below(&r, 2) ? below(&r, 20) : 0;
        run.r = r;
        play(&run, true);
        free(server.id);
    }
}

/* ---- how many requests it costs ---- */

static void test_request_counts(void **state)
{
    static const struct {
        const char *name;
        uint32_t permille, lanes;
        int32_t guess;
        double per_page, spare;
    } row[] = {
        { "dense, one lane", 1000, 1, 1000, 1.0, 1 },
        { "dense, 16 lanes", 1000, 16, 1000, 1.0, 1 },
        { "dense, 16 lanes, guessed sparse", 1000, 16, 100, 1.0, 20 },
        { "1 % holes, one lane", 990, 1, 990, 1.0, 3 },
        { "1 % holes, 16 lanes", 990, 16, 990, 1.02, 16 },
        { "5 % holes, one lane", 950, 1, 950, 1.0, 3 },
        { "5 % holes, 16 lanes", 950, 16, 950, 1.05, 16 },
        { "5 % holes, 16 lanes, guessed dense", 950, 16, 1000, 1.05, 24 },
        { "half deleted, 16 lanes", 500, 16, 500, 1.1, 16 },
        { "90 % holes, one lane", 100, 1, 100, 1.0, 3 },
        { "90 % holes, 16 lanes", 100, 16, 100, 1.2, 16 },
        { "90 % holes, 16 lanes, guessed dense", 100, 16, 1000, 1.2, 32 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct server server = { 0 };
        struct run run = { .server = &server, .seed = i, .r = { i + 1 } };
        struct tg_history_stats stats;
        int32_t top = row[i].permille < 500 ? 1000000 : 200050;
        double pages;

        server.id = malloc((size_t)top * sizeof *server.id);
        for (int32_t id = 1; id <= top; id++)
            if (below(&run.r, 1000) < row[i].permille || id == top)
                server.id[server.n++] = id;
        run.o = (struct tg_history_options){ 0, top, row[i].lanes, 0, row[i].guess, 512 };
        stats = play(&run, false);
        pages = (double)((server.n + 99) / 100);
        print_message("%-36s %zu messages: %llu requests, %.4f of the least, %llu ids cut off\n",
                      row[i].name, server.n, (unsigned long long)stats.n_requests,
                      (double)stats.n_requests / pages, (unsigned long long)stats.n_cut);
        if ((double)stats.n_requests > pages * row[i].per_page + row[i].spare)
            fail_msg("%s: too many requests", row[i].name);
        assert_int_equal(stats.n_ids, server.n);
        free(server.id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_world),
        cmocka_unit_test(test_request_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
