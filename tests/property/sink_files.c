/* SPDX-License-Identifier: MIT */
/*
 * sink_files.c - NDJSON and CSV: whatever fails, the committed rows are there, once
 *
 * A run writes and commits random batches on a file system in memory. At a random operation a call
 * fails - once or from then on, for lack of space or with an I/O error -, or the process dies
 * between two calls, or the power fails with a random part of the unsynced bytes and names getting
 * through. Then the sink is opened again and attached. Its commit must be the last one that was
 * acknowledged, or the one that was under way; a scan must find exactly the rows that it covers.
 * The run goes on from there, several times over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "os/fs_memory_dir.h"
#include "tests/unit/sink_rows.h"

enum { SEEDS = 4000, LIVES = 6, STEPS = 8, CHATS = 2 };

struct chat {
    int64_t id;
    struct tg_commit done;  /* last acknowledged commit */
    struct tg_commit tried; /* the one under way when something failed; seq 0: none */
};

struct run {
    uint64_t seed, random;
    struct tg_fs_memory *m;
    struct tg_sink_env env;
    struct tg_batch *batch;
    struct chat chat[CHATS];
    char what[200]; /* for the message of a failure */
};

static const char *url(const struct run *r)
{
    return r->seed % 2 ? "ndjson:out" : "csv:out";
}

static uint64_t below(struct run *r, uint64_t n)
{
    return tg_mem_random(&r->random) % n;
}

static void check(struct run *r, bool good, const char *what, const struct tg_error *err)
{
    if (good)
        return;
    fprintf(stderr, "seed %llu: %s (%s); %s\n%s", (unsigned long long)r->seed, what, r->what,
            err ? err->message : "", tg_fs_memory_log(r->m, NULL));
    fail();
}

/* The destination must hold the acknowledged commit or the one that was tried, nothing else. */
static void check_attached(struct run *r, struct chat *c, tg_code code, const struct tg_commit *got,
                           const struct tg_error *err)
{
    check(r, code == TG_OK || code == TG_END, "attach fails", err);
    if (code == TG_END) {
        check(r, c->done.seq == 0, "a commit is lost", NULL);
    } else if (c->tried.seq && got->seq == c->tried.seq) {
        check(r, test_same_commit(got, &c->tried), "the commit has changed", NULL);
        c->done = c->tried;
    } else {
        check(r, test_same_commit(got, &c->done), "a commit is lost or changed", NULL);
    }
    c->tried.seq = 0;
}

static void check_rows(struct run *r, struct tg_sink *sink, const struct chat *c)
{
    struct test_seen seen = { .chat_id = c->id, .next_id = 1 };
    struct tg_error err;
    tg_code code = sink->ops->scan(sink->self, c->id, test_seen, &seen, &err);

    check(r, code == TG_OK, "scan fails", &err);
    check(r, !seen.odd && seen.next_id == (int64_t)c->done.rows_total + 1, "the rows are not those",
          NULL);
}

/* Takes up all chats; what fails here fails because it was made to. */
static bool take_up(struct run *r, struct tg_sink *sink)
{
    struct tg_error err;

    for (size_t i = 0; i < CHATS; i++) {
        struct tg_commit got = { 0 };
        tg_code code = sink->ops->attach(sink->self, r->chat[i].id, &test_fence, &got, &err);

        if (code == TG_FULL || code == TG_IO)
            return false;
        check_attached(r, &r->chat[i], code, &got, &err);
    }
    return true;
}

/* Writes some rows of a chat and commits them. @return false if this life is to end */
static bool step(struct run *r, struct tg_sink *sink)
{
    struct chat *c = &r->chat[below(r, CHATS)];
    size_t n = below(r, 5) == 0 ? 0 : (size_t)below(r, 40) + 1, half = n ? (size_t)below(r, n) : 0;
    int64_t first = (int64_t)c->done.rows_total + 1;
    struct tg_commit next = test_commit(&c->done, c->id, first + (int64_t)n - 1, n);
    struct tg_error err;
    tg_code code = TG_OK;

    test_rows(r->batch, c->id, first, n);
    if (n)
        code = sink->ops->write(sink->self, r->batch, 0, half, &err);
    if (n && code == TG_OK)
        code = sink->ops->write(sink->self, r->batch, half, n - half, &err);
    if (code == TG_OK && below(r, 10) == 0)
        return false; /* it ends before the commit: these rows must not show */
    if (code == TG_OK) {
        c->tried = next;
        code = sink->ops->commit(sink->self, &next, &err);
    }
    if (code == TG_OK) {
        c->done = next;
        c->tried.seq = 0;
        return true;
    }
    check(r, code == TG_FULL || code == TG_IO, "another failure than the one made", &err);
    return false;
}

/* One life of the process: from opening to a failure, a death or an orderly end. */
static void live(struct run *r)
{
    static const tg_code failure[] = { TG_FULL, TG_IO };
    struct tg_sink sink = { 0 };
    struct tg_error err;
    uint64_t nth = below(r, 60);
    bool stays = below(r, 2), cut = below(r, 2);
    tg_code how = failure[below(r, 2)];

    snprintf(r->what, sizeof r->what, "operation %llu fails with %s%s, then %s",
             (unsigned long long)nth, tg_code_name(how), stays ? " for good" : "",
             cut ? "the power" : "the process dies");
    check(r, tg_sink_open(url(r), &r->env, &sink, &err) == TG_OK, "open fails", &err);
    tg_fs_memory_fail(r->m, nth, how, stays);
    if (take_up(r, &sink)) {
        for (size_t i = 0; i < STEPS; i++) {
            if (step(r, &sink))
                continue;
            /* The engine waits and takes the chat up again, without a new process. */
            if (below(r, 2) || !take_up(r, &sink))
                break;
        }
    }
    if (cut)
        tg_fs_memory_cut(r->m, below(r, 4) ? tg_mem_random(&r->random) : 0);
    tg_fs_memory_fail(r->m, 0, TG_IO, false);
    tg_sink_close(&sink);

    check(r, tg_sink_open(url(r), &r->env, &sink, &err) == TG_OK, "open fails", &err);
    check(r, take_up(r, &sink), "attach fails without a reason", NULL);
    for (size_t i = 0; i < CHATS; i++)
        check_rows(r, &sink, &r->chat[i]);
    if (below(r, 8) == 0)
        tg_fs_memory_cut(r->m, tg_mem_random(&r->random)); /* what attach told must be durable */
    tg_sink_close(&sink);
}

static void committed_rows_are_there_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct run r = { .seed = seed, .random = seed, .m = tg_fs_memory_new() };

        r.env = (struct tg_sink_env){ .job = "job",
                                      .fs = tg_fs_memory_fs(r.m),
                                      .unix_us = test_unix_us };
        r.batch = tg_batch_new(64);
        r.chat[0].id = -1001234;
        r.chat[1].id = 77;
        for (size_t i = 0; i < LIVES; i++)
            live(&r);
        tg_batch_free(r.batch);
        tg_fs_memory_free(r.m);
    }
}

/* A rollback that is interrupted anywhere leaves a sound chain, at the goal or above it. */
static void interrupted_rollback_is_sound(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS / 4; seed++) {
        struct run r = { .seed = seed, .random = seed, .m = tg_fs_memory_new() };
        struct tg_commit commit[13] = { 0 }, got;
        struct tg_sink sink;
        struct tg_error err;
        uint64_t goal;
        tg_code code;

        r.env = (struct tg_sink_env){ .job = "job",
                                      .fs = tg_fs_memory_fs(r.m),
                                      .unix_us = test_unix_us };
        r.batch = tg_batch_new(64);
        check(&r, tg_sink_open(url(&r), &r.env, &sink, &err) == TG_OK, "open", &err);
        sink.ops->attach(sink.self, 5, &test_fence, &got, &err);
        for (size_t i = 1; i < TG_COUNT(commit); i++) {
            size_t n = below(&r, 3) ? (size_t)below(&r, 5) + 1 : 0;
            int64_t first = (int64_t)commit[i - 1].rows_total + 1;

            commit[i] = test_commit(&commit[i - 1], 5, first + (int64_t)n - 1, n);
            test_rows(r.batch, 5, first, n);
            check(&r, sink.ops->write(sink.self, r.batch, 0, n, &err) == TG_OK, "write", &err);
            check(&r, sink.ops->commit(sink.self, &commit[i], &err) == TG_OK, "commit", &err);
        }
        goal = below(&r, TG_COUNT(commit));
        tg_fs_memory_fail(r.m, below(&r, 20), TG_IO, true);
        code = sink.ops->rollback(sink.self, 5, &test_fence, goal, &err);
        tg_fs_memory_fail(r.m, 0, TG_IO, false);
        if (below(&r, 2))
            tg_fs_memory_cut(r.m, tg_mem_random(&r.random));
        tg_sink_close(&sink);
        check(&r, tg_sink_open(url(&r), &r.env, &sink, &err) == TG_OK, "open", &err);
        got.seq = 0;
        check(&r, sink.ops->attach(sink.self, 5, &test_fence, &got, &err) <= TG_END, "attach",
              &err);
        check(&r, got.seq == 0 || test_same_commit(&got, &commit[got.seq]), "commit", NULL);
        check(&r, code != TG_OK || got.seq <= goal, "rolled back too little", NULL);
        r.chat[0] = (struct chat){ .id = 5, .done = commit[got.seq] };
        check_rows(&r, &sink, &r.chat[0]);
        tg_sink_close(&sink);
        tg_batch_free(r.batch);
        tg_fs_memory_free(r.m);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(committed_rows_are_there_once),
        cmocka_unit_test(interrupted_rollback_is_sound),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
