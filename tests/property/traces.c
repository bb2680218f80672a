/* SPDX-License-Identifier: MIT */
/*
 * traces.c - runs at random on a virtual clock: whatever happens, in whatever order, the spans that
 *            are told form one tree, or many that are linked to the job's span, each within its
 *            parent's time, with all that went wrong in it; both forms of them are JSON; and what a
 *            traceparent is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json_read.h"
#include "observe/trace.h"
#include "seeds.h"

enum { SEEDS = 3000, STEPS = 120, CHATS = 5, WAITING = 64 };

static int64_t now_us;

static int64_t clock_us(void)
{
    return now_us;
}

/* What was told. */
struct told {
    struct tg_span *span; /* without their texts: these are lent for a call */
    size_t n, cap;
    bool as_json;
};

static void check_json(const struct tg_span *s, enum tg_span_form form)
{
    static const struct tg_span_pair more = { "deployment.environment", "a \"b\"" };
    static const struct tg_span_source from = { "a \"host\"", NULL, &more, 1 };
    struct tg_buf one, body;
    struct tg_json_in in;

    tg_buf_init(&one, 1 << 20);
    tg_buf_init(&body, 1 << 20);
    tg_span_put(&one, form, s, &from);
    tg_span_wrap(&body, form, &one, &from);
    assert_false(one.failed || body.failed);
    tg_json_in_init(&in, (const char *)body.data, body.len);
    tg_json_skip(&in);
    assert_true(tg_json_in_done(&in));
    tg_buf_done(&one);
    tg_buf_done(&body);
}

static void take(void *ctx, const struct tg_span *span)
{
    struct told *t = ctx;

    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->span = reallocarray(t->span, t->cap, sizeof *t->span);
        assert_non_null(t->span);
    }
    if (t->as_json)
        check_json(span, (enum tg_span_form)(t->n % 2));
    t->span[t->n++] = *span;
}

static size_t count(const struct told *t, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        n += strcmp(t->span[i].name, name) == 0;
    return n;
}

static const struct tg_span *find(const struct told *t, uint64_t id)
{
    const struct tg_span *found = NULL;

    for (size_t i = 0; i < t->n; i++) {
        if (t->span[i].id != id)
            continue;
        assert_null(found); /* no id twice */
        found = &t->span[i];
    }
    return found;
}

/* What a run did, to be compared with what was told of it. */
struct model {
    enum tg_trace_pattern pattern;
    bool mixed; /* its batches are of any chats */
    bool at_work[CHATS];
    size_t begun; /* calls when the last batch was whole, or nothing of one was there */
    bool any;
    size_t polls;
    size_t chats, calls, odd, batches, commits, bad_commits;
    struct {
        int64_t chat;
        uint64_t seq;
    } waits[WAITING];
    size_t n_waits;
    uint64_t seq;
};

static int64_t id_of(uint32_t chat)
{
    return INT64_C(-1000000000000) - chat;
}

static void end_call(struct tg_trace *t, struct random *r, struct model *m, uint64_t number)
{
    static const struct tg_error failed = { .code = TG_NET, .message = "a \"line\" \xff was lost" };
    uint32_t floods = chance(r, 10), retries = chance(r, 10) ? 1 + below(r, 12) : 0;
    struct tg_trace_call call = {
        .method = "messages.getHistory",
        .account = "a.session",
        .number = number,
        .chat_id = chance(r, 80) ? id_of(below(r, CHATS)) : 0,
        .dc = 2,
        .age_us = (int64_t)(draw(r) % (3 * TG_SECOND_US)),
        .took_us = 1000,
        .n_floods = floods,
        .n_retries = retries,
        .flood_wait_s = floods,
        .err = chance(r, 5) ? &failed : NULL,
    };

    for (uint32_t i = 0; i < floods; i++)
        tg_trace_call_event(t, call.account, number, "flood_wait", TG_SECOND_US, NULL);
    for (uint32_t i = 0; i < retries; i++)
        tg_trace_call_event(t, call.account, number, "retry", 1000, &failed);
    now_us += below(r, 5000);
    call.age_us = TG_MIN(call.age_us, now_us - TG_SECOND_US); /* the run began at a second */
    tg_trace_call(t, &call);
    m->calls++;
    m->odd += floods || retries || call.err;
}

/* A batch of any chats begins, is found to be none, or the calls so far have brought none. */
static void gather(struct tg_trace *t, struct random *r, struct model *m)
{
    if (chance(r, 50)) {
        m->any = chance(r, 80);
        tg_trace_gather(t, m->any);
        return;
    }
    tg_trace_settle(t);
    if (m->any)
        return;
    m->polls += m->calls > m->begun;
    m->begun = m->calls;
}

static void put_batch(struct tg_trace *t, struct random *r, struct model *m)
{
    uint32_t chat = below(r, CHATS);
    struct tg_row row[3] = { { .chat_id = id_of(chat) }, { .chat_id = id_of(0) }, { .id = 1 } };
    struct tg_batch batch = { .row = row, .n = below(r, 3) };

    if ((!m->mixed && !m->at_work[chat]) || m->n_waits == WAITING)
        return;
    batch.seq = ++m->seq;
    tg_trace_batch(t, id_of(chat), &batch);
    if (m->mixed && chance(r, 50)) { /* behind its stages */
        batch.n = 0;
        tg_trace_batch(t, id_of(chat), &batch);
    }
    m->any = false;
    m->begun = m->calls;
    m->waits[m->n_waits].chat = id_of(chat);
    m->waits[m->n_waits++].seq = m->seq;
    m->batches++;
}

static void take_batch(struct tg_trace *t, struct random *r, struct model *m)
{
    static const struct tg_error failed = { .code = TG_SINK, .message = "no" };
    const struct tg_error *err = chance(r, 5) ? &failed : NULL;
    int64_t begun_us = now_us;
    uint32_t at;

    if (!m->n_waits)
        return;
    at = below(r, (uint32_t)m->n_waits);
    now_us += below(r, 50000);
    if (chance(r, 50) || err) {
        tg_trace_commit(t, m->waits[at].chat, m->waits[at].seq, 10, begun_us, err);
        m->commits++;
        m->bad_commits += err != NULL;
    }
    tg_trace_batch_end(t, m->waits[at].chat, m->waits[at].seq, err);
    m->waits[at] = m->waits[--m->n_waits];
}

static void toggle_chat(struct tg_trace *t, struct random *r, struct model *m)
{
    uint32_t chat = below(r, CHATS);

    if (m->at_work[chat]) {
        tg_trace_chat_end(t, id_of(chat), 7, NULL);
        for (size_t i = 0; i < m->n_waits;)
            if (m->waits[i].chat == id_of(chat))
                m->waits[i] = m->waits[--m->n_waits];
            else
                i++;
    } else {
        tg_trace_chat(t, id_of(chat), "a.session");
        tg_trace_chat(t, id_of(chat), "a.session");
        m->chats++;
    }
    m->at_work[chat] = !m->at_work[chat];
}

/* A span below the job, or the root of a trace that the job is linked to. */
static void check_place(const struct tg_span *s, const struct tg_span *parent,
                        const struct tg_span *root, enum tg_trace_pattern pattern)
{
    bool apart = pattern == TG_TRACE_STREAM || pattern == TG_TRACE_WORKER;

    if (parent) {
        assert_memory_equal(s->trace, parent->trace, TG_TRACE_ID);
        assert_true(s->job.span == 0 && !(apart && parent == root));
        return;
    }
    assert_true(apart && s->parent == 0);
    assert_memory_not_equal(s->trace, root->trace, TG_TRACE_ID);
    assert_memory_equal(s->job.trace, root->trace, TG_TRACE_ID);
    assert_true(s->job.span == root->id);
    assert_string_equal(s->fact[0].key, "tgdata.job");
}

static void check_tree(const struct told *told, uint64_t above, enum tg_trace_pattern pattern)
{
    const struct tg_span *root = &told->span[told->n - 1];

    assert_string_equal(root->name, "job");
    assert_true(root->parent == above && root->job.span == 0);
    for (size_t i = 0; i + 1 < told->n; i++) {
        const struct tg_span *s = &told->span[i], *parent = find(told, s->parent);

        assert_true(s->id != 0 && find(told, s->id) == s);
        check_place(s, parent, root, pattern);
        assert_true(s->start_us <= s->end_us);
        assert_true(s->start_us >= root->start_us && s->end_us <= root->end_us);
        if (!parent)
            continue;
        assert_true(s->end_us <= parent->end_us);
        if (!s->calls)
            assert_true(s->start_us >= parent->start_us);
        for (size_t e = 0; e < s->n_events; e++)
            assert_true(s->event[e].at_us >= s->start_us && s->event[e].at_us <= s->end_us);
    }
}

static void one_run(uint64_t seed)
{
    struct random r = { seed };
    struct tg_random_seeded seeded;
    struct tg_trace_parent above = { .span = draw(&r) | 1, .sampled = true, .trace = { 1, 2, 3 } };
    unsigned percent = chance(&r, 40) ? 100 : chance(&r, 40) ? 0 : 30;
    bool continued = chance(&r, 50);
    struct told told = { .as_json = seed % 16 == 0 };
    struct model m = { .pattern = (enum tg_trace_pattern)below(&r, 4) };
    struct tg_trace *t;

    tg_random_seeded_init(&seeded, seed);
    now_us = TG_SECOND_US;
    m.mixed = m.pattern == TG_TRACE_STREAM || m.pattern == TG_TRACE_DELTA;
    t = tg_trace_new(&(struct tg_trace_options){ .job = "j",
                                                 .pattern = m.pattern,
                                                 .share_ppm = percent * 10000,
                                                 .parent = continued ? &above : NULL,
                                                 .random = tg_random_seeded(&seeded),
                                                 .unix_us = clock_us,
                                                 .add = take,
                                                 .ctx = &told });
    assert_non_null(t);
    for (uint32_t i = 0; i < STEPS; i++) {
        uint32_t what = below(&r, 100);

        now_us += below(&r, 100000);
        if (what < 15)
            m.mixed ? gather(t, &r, &m) : toggle_chat(t, &r, &m);
        else if (what < 65)
            end_call(t, &r, &m, i + 1);
        else if (what < 85)
            put_batch(t, &r, &m);
        else
            take_batch(t, &r, &m);
    }
    tg_trace_end(t, 9, NULL);
    check_tree(&told, continued ? above.span : 0, m.pattern);
    assert_int_equal(count(&told, "job"), 1);
    assert_int_equal(count(&told, "chat"), m.chats);
    if (percent == 100) {
        assert_int_equal(count(&told, "messages.getHistory"), m.calls);
        assert_int_equal(count(&told, "commit"), m.commits);
        assert_true(count(&told, "batch") >= m.batches); /* and those that were never whole */
        assert_true(count(&told, "poll") >= m.polls);
    } else {
        assert_true(count(&told, "messages.getHistory") >= m.odd);
        assert_true(count(&told, "commit") >= m.bad_commits);
    }
    free(told.span);
}

static uint64_t at_seed;

static void test_runs(void **state)
{
    const char *one = getenv("TG_SEED");

    (void)state;
    for (at_seed = one ? strtoull(one, NULL, 10) : 1; at_seed <= SEEDS; at_seed++)
        one_run(at_seed);
}

static int tell_seed(void **state)
{
    (void)state;
    if (at_seed <= SEEDS)
        print_error("failed at seed %llu; TG_SEED=%llu starts there\n",
                    (unsigned long long)at_seed, (unsigned long long)at_seed);
    return 0;
}

static void test_nothing(void **state)
{
    const struct tg_trace_call call = { .method = "x", .account = "y" };

    (void)state;
    tg_trace_chat(NULL, 1, "a");
    tg_trace_gather(NULL, true);
    tg_trace_settle(NULL);
    tg_trace_batch(NULL, 1, NULL);
    tg_trace_commit(NULL, 1, 1, 1, 1, NULL);
    tg_trace_batch_end(NULL, 1, 1, NULL);
    tg_trace_call_event(NULL, "a", 1, "x", 1, NULL);
    tg_trace_call(NULL, &call);
    tg_trace_chat_end(NULL, 1, 1, NULL);
    tg_trace_end(NULL, 1, NULL);
}

static void test_traceparent(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } row[] = {
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", true },
        { "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-comes", true },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-", false },
        { "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x", false },
        { "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
        { "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false },
        { "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0", false },
        { "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01", false },
        { "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false },
        { "", false },
        { NULL, false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_trace_parent got = { .span = 7 };

        assert_int_equal(tg_trace_parent_read(row[i].text, &got), row[i].good);
        assert_true(got.span == (row[i].good ? UINT64_C(0x00f067aa0ba902b7) : 7));
        if (row[i].good)
            assert_true(got.trace[0] == 0x4b && got.trace[15] == 0x36 && got.sampled == (i != 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_runs, tell_seed),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_traceparent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
