/* SPDX-License-Identifier: MIT */
/*
 * sink_several.c - several destinations as one: whatever fails at which of them and when, each has
 * each row once, in its own order
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sink/several.h"
#include "tests/unit/holding.h"
#include "tests/unit/sink_rows.h"

enum { CHAT = -1009, PARTS = 3, ROWS = 60, SEEDS = 150 };

/* Files in memory, whose commits may fail, made or not. */
struct odd {
    struct tg_sink files;
    uint32_t *draw; /* NULL: all goes well */
};

static const char *const name[PARTS] = { "ndjson:a", "ndjson:b", "ndjson:c" };
static struct odd odd[PARTS];

static uint32_t drawn(uint32_t *state, uint32_t n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

static tg_code odd_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                          struct tg_commit *ret, struct tg_error *err)
{
    const struct odd *o = *(struct odd **)self;

    return o->files.ops->attach(o->files.self, chat_id, fence, ret, err);
}

static tg_code odd_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                         struct tg_error *err)
{
    const struct odd *o = *(struct odd **)self;

    return o->files.ops->write(o->files.self, batch, from, n, err);
}

static tg_code odd_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    const struct odd *o = *(struct odd **)self;
    uint32_t what = o->draw ? drawn(o->draw, 6) : 5;
    tg_code code = what == 0 ? TG_SINK : o->files.ops->commit(o->files.self, commit, err);

    return code == TG_OK && what > 1 ? TG_OK
           : code == TG_OK || code == TG_SINK ? tg_fail(err, TG_SINK, "not now") : code;
}

static uint64_t odd_bytes(const void *self)
{
    (void)self;
    return 0;
}

static void odd_close(void *self)
{
    (void)self;
}

static const struct tg_sink_ops odd_ops = {
    .head = { "odd", "files that fail", NULL, sizeof(struct odd *) },
    .attach = odd_attach,
    .write = odd_write,
    .commit = odd_commit,
    .bytes = odd_bytes,
    .close = odd_close,
};

static struct tg_sink make_several(uint32_t draws[PARTS])
{
    struct tg_sink part[PARTS], all;
    struct tg_error err;

    for (size_t i = 0; i < PARTS; i++) {
        struct odd **self = malloc(sizeof *self);

        assert_non_null(self);
        *self = &odd[i];
        odd[i].draw = draws ? &draws[i] : NULL;
        part[i] = (struct tg_sink){ .ops = &odd_ops, .self = self };
    }
    assert_int_equal(tg_several_new(part, name, PARTS, &all, &err), TG_OK);
    assert_int_equal(tg_several_n(&all), PARTS);
    assert_null(all.ops->again); /* none of them holds its rows */
    return all;
}

/* One run of the chat from where it stands, which ends at the first failure. @return whether it was
 * read to its end */
static bool run_once(const struct tg_sink *all, struct tg_batch *b, uint32_t *draw)
{
    struct tg_commit last = { .cursor.chat_id = CHAT }, next;
    struct tg_error err;
    tg_code code = all->ops->attach(all->self, CHAT, &test_fence, &last, &err);

    assert_true(code == TG_OK || code == TG_END);
    while (last.cursor.id < ROWS) {
        int64_t some = 1 + drawn(draw, 9);
        size_t n = (size_t)TG_MIN(some, ROWS - last.cursor.id);

        test_rows(b, CHAT, last.cursor.id + 1, n);
        assert_int_equal(all->ops->write(all->self, b, 0, n, &err), TG_OK);
        next = test_commit(&last, CHAT, last.cursor.id + (int64_t)n, n);
        code = all->ops->commit(all->self, &next, &err);
        if (code != TG_OK) {
            assert_int_equal(code, TG_SINK);
            assert_non_null(strstr(err.message, "ndjson:"));
            return false;
        }
        last = next;
    }
    return true;
}

struct reach {
    int64_t id;
    bool gap;
};

static bool seen_commit(void *ctx, const struct tg_commit *commit)
{
    struct reach *reach = ctx;

    reach->gap |= commit->covered_from > reach->id + 1;
    reach->id = commit->cursor.id;
    return true;
}

static void check(size_t i, uint32_t seed)
{
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct reach reach = { 0 };
    const struct tg_sink *files = &odd[i].files;
    struct tg_error err;

    assert_int_equal(files->ops->scan(files->self, CHAT, test_seen, &seen, &err), TG_OK);
    assert_int_equal(files->ops->commits(files->self, CHAT, seen_commit, &reach, &err), TG_OK);
    if (seen.odd || seen.next_id != ROWS + 1 || reach.gap || reach.id != ROWS)
        fail_msg("seed %u: destination %zu: %d, next %lld, gap %d, up to %lld", (unsigned)seed, i,
                 seen.odd, (long long)seen.next_id, reach.gap, (long long)reach.id);
}

/* The same run goes on after a failure, or another process does. */
static void each_has_each_row_once(void **state)
{
    struct tg_batch *b = tg_batch_new(64);

    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct tg_fs_memory *memory[PARTS]; /* each is one thread's */
        struct tg_sink_env env[PARTS];
        uint32_t draws[PARTS] = { seed, seed * 7 + 1, seed * 13 + 2 }, draw = seed;
        struct tg_error err;
        struct tg_sink all;
        bool ended = false;

        for (size_t i = 0; i < PARTS; i++) {
            memory[i] = tg_fs_memory_new();
            env[i] = (struct tg_sink_env){ .job = "job",
                                           .fs = tg_fs_memory_fs(memory[i]),
                                           .unix_us = test_unix_us };
            assert_int_equal(tg_sink_open(name[i], &env[i], &odd[i].files, &err), TG_OK);
        }
        all = make_several(draws);
        for (int tries = 0; !ended; tries++) {
            assert_true(tries < 1000);
            if (drawn(&draw, 3) == 0) {
                tg_sink_close(&all);
                all = make_several(draws);
            }
            ended = run_once(&all, b, &draw);
        }
        tg_sink_close(&all);
        for (size_t i = 0; i < PARTS; i++) {
            check(i, seed);
            tg_sink_close(&odd[i].files);
            tg_fs_memory_free(memory[i]);
        }
    }
    tg_batch_free(b);
}

/* ---- where all hold their rows ---- */

static bool write_fails(void *draw)
{
    return drawn(draw, 8) == 0;
}

static enum holding_commit commit_is(void *draw)
{
    switch (drawn(draw, 6)) {
    case 0:
        return HOLDING_NOT_MADE;
    case 1:
        return HOLDING_UNANSWERED;
    default:
        return HOLDING_MADE;
    }
}

/* After a failure: @return where all stand */
static struct tg_commit again(const struct tg_sink *all, struct holding hold[PARTS])
{
    struct tg_commit there = { .cursor.chat_id = CHAT };
    struct tg_error err;
    tg_code code = all->ops->again(all->self, CHAT, &test_fence, &there, &err);

    assert_true(code == TG_OK || code == TG_END);
    for (size_t i = 0; i < PARTS; i++)
        assert_true(hold[i].rows.n == 0 || hold[i].last.seq >= there.seq);
    return there;
}

/* A write that failed is made again; a commit that failed without any. */
static void go_on_to_the_end(const struct tg_sink *all, struct holding hold[PARTS],
                             uint32_t *draw)
{
    struct tg_commit last = { .cursor.chat_id = CHAT }, next, there;
    struct tg_batch *b = tg_batch_new(64);
    struct tg_error err;

    assert_int_equal(all->ops->attach(all->self, CHAT, &test_fence, &last, &err), TG_END);
    while (last.cursor.id < ROWS) {
        int64_t id = last.cursor.id;
        size_t n = 0;

        for (uint32_t writes = 1 + drawn(draw, 3); writes && id < ROWS; writes--) {
            int64_t some = 1 + drawn(draw, 9);
            size_t piece = (size_t)TG_MIN(some, ROWS - id);

            test_rows(b, CHAT, id + 1, piece);
            while (all->ops->write(all->self, b, 0, piece, &err) != TG_OK) {
                there = again(all, hold);
                assert_true(there.seq == last.seq);
            }
            id += (int64_t)piece;
            n += piece;
        }
        next = test_commit(&last, CHAT, id, n);
        there = last;
        while (there.seq == last.seq && all->ops->commit(all->self, &next, &err) != TG_OK) {
            assert_int_equal(err.code, TG_SINK);
            there = again(all, hold);
            assert_true(there.seq == last.seq || there.seq == next.seq);
        }
        last = next;
    }
    tg_batch_free(b);
}

static void what_each_holds_is_not_written_twice(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++) {
        struct tg_fs_memory *memory[PARTS];
        struct holding hold[PARTS];
        struct tg_sink part[PARTS], all;
        struct tg_sink_env env[PARTS];
        uint32_t draws[PARTS] = { seed, seed * 7 + 1, seed * 13 + 2 }, draw = seed;
        struct tg_error err;

        for (size_t i = 0; i < PARTS; i++) {
            memory[i] = tg_fs_memory_new();
            env[i] = (struct tg_sink_env){ .job = "job",
                                           .fs = tg_fs_memory_fs(memory[i]),
                                           .unix_us = test_unix_us };
            assert_int_equal(tg_sink_open(name[i], &env[i], &odd[i].files, &err), TG_OK);
            hold[i] = (struct holding){ .sink = odd[i].files, .ctx = &draws[i],
                                        .write_fails = write_fails, .commit_is = commit_is };
            part[i] = holding_sink(&hold[i]);
        }
        assert_int_equal(tg_several_new(part, name, PARTS, &all, &err), TG_OK);
        assert_non_null(all.ops->again);
        assert_int_equal(tg_several_n(&all), PARTS);
        go_on_to_the_end(&all, hold, &draw);
        tg_sink_close(&all);
        for (size_t i = 0; i < PARTS; i++) {
            check(i, seed);
            tg_sink_close(&odd[i].files);
            tg_fs_memory_free(memory[i]);
        }
    }
}

/* ---- a stream beside one whose writes fail ---- */

/* Takes no other commit than one of the rows that it was given since the last. */
static struct {
    uint64_t waiting, sent;
    int writes_fail; /* of the other */
} told;

static tg_code told_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                          struct tg_error *err)
{
    (void)self;
    (void)batch;
    (void)from;
    (void)err;
    told.waiting += n;
    return TG_OK;
}

static tg_code told_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    bool right = told.waiting == commit->rows;

    (void)self;
    told.sent += told.waiting;
    told.waiting = 0;
    return right ? TG_OK : tg_fail(err, TG_INTERNAL, "a commit of other rows");
}

static const struct tg_sink_ops told_ops = {
    .head = { "told", "a stream", NULL, 1 },
    .write = told_write,
    .commit = told_commit,
    .bytes = odd_bytes,
    .close = odd_close,
};

static tg_code full_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                           struct tg_commit *ret, struct tg_error *err)
{
    (void)self;
    (void)chat_id;
    (void)fence;
    (void)ret;
    (void)err;
    return TG_END;
}

static tg_code full_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                          struct tg_error *err)
{
    (void)self;
    (void)batch;
    (void)from;
    (void)n;
    return told.writes_fail-- > 0 ? tg_fail(err, TG_FULL, "no room") : TG_OK;
}

static tg_code full_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    (void)self;
    (void)commit;
    (void)err;
    return TG_OK;
}

static const struct tg_sink_ops full_ops = {
    .head = { "full", "one without room", NULL, 1 },
    .attach = full_attach,
    .write = full_write,
    .commit = full_commit,
    .bytes = odd_bytes,
    .close = odd_close,
};

/* Rows that another refuses to write come again; the stream has them already. */
static void a_stream_has_rows_once_though_another_fails(void **state)
{
    struct tg_sink part[2] = { { .ops = &told_ops, .self = malloc(1) },
                               { .ops = &full_ops, .self = malloc(1) } };
    const struct tg_commit none = { .cursor.chat_id = CHAT };
    struct tg_batch *b = tg_batch_new(64);
    struct tg_commit there = none, next;
    struct tg_error err;
    struct tg_sink all;

    (void)state;
    assert_int_equal(tg_several_new(part, name, 2, &all, &err), TG_OK);
    assert_true(tg_several_stands(&all, 0, &none));
    assert_int_equal(all.ops->attach(all.self, CHAT, &test_fence, &there, &err), TG_END);
    test_rows(b, CHAT, 1, 20);
    assert_int_equal(all.ops->write(all.self, b, 0, 8, &err), TG_OK);
    told.writes_fail = 3;
    assert_int_equal(all.ops->write(all.self, b, 8, 12, &err), TG_FULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(all.ops->attach(all.self, CHAT, &test_fence, &there, &err), TG_END);
        if (all.ops->write(all.self, b, 0, 8, &err) == TG_OK)
            assert_int_equal(all.ops->write(all.self, b, 8, 12, &err), TG_OK);
        assert_int_equal(told.waiting, 20);
    }
    next = test_commit(&none, CHAT, 20, 20);
    assert_int_equal(all.ops->commit(all.self, &next, &err), TG_OK);
    assert_int_equal(told.sent, 20);
    tg_sink_close(&all);
    tg_batch_free(b);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(each_has_each_row_once),
        cmocka_unit_test(what_each_holds_is_not_written_twice),
        cmocka_unit_test(a_stream_has_rows_once_though_another_fails),
    };

    return cmocka_run_group_tests_name("unit/sink_several", test, NULL, NULL);
}
