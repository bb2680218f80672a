/* SPDX-License-Identifier: MIT */
/*
 * sink_stdout.c - rows on standard output: written by their commit, none lost when it has no room
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/stream_contract.h"

/* ---- the harness of stream_contract.h: a file stands in the place of the standard output ---- */

static struct {
    int kept, file, full;
    bool away;
    off_t drained;
} place = { -1, -1, -1, false, 0 };

static const char *fresh(void)
{
    char path[] = "/tmp/tgdata-test-XXXXXX";

    place.file = mkstemp(path);
    place.full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    place.drained = 0;
    assert_true(place.file >= 0 && place.full >= 0);
    unlink(path);
    return "stdout:";
}

static void done(void)
{
    close(place.file);
    close(place.full);
}

static void around(bool before)
{
    fflush(stdout);
    if (before)
        place.kept = dup(1);
    assert_int_equal(dup2(!before ? place.kept : place.away ? place.full : place.file, 1), 1);
    if (!before)
        close(place.kept);
}

static void away(bool gone)
{
    place.away = gone;
}

static void drain(stream_seen seen, void *ctx)
{
    size_t n = (size_t)(lseek(place.file, 0, SEEK_END) - place.drained);
    char *all = calloc(1, n + 1), *line = all;

    assert_int_equal(pread(place.file, all, n, place.drained), n);
    place.drained += (off_t)n;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        seen(ctx, NULL, line, (size_t)(end - line));
    }
    assert_int_equal(*line, 0);
    free(all);
}

const struct stream_harness harness = { fresh, done, drain, away, around };

/* ---- what is stdout's own ---- */

struct out {
    int kept, file; /* the true standard output; what stands in its place */
    struct tg_sink_env env;
    struct tg_sink sink;
    struct tg_batch *batch;
    struct tg_error err;
};

static void use(int fd)
{
    fflush(stdout);
    assert_int_equal(dup2(fd, 1), 1);
}

static void start(struct out *o, const char *url)
{
    char path[] = "/tmp/tgdata-test-XXXXXX";

    *o = (struct out){ .env = { .job = "job", .fs = &tg_fs_system, .unix_us = test_unix_us },
                       .batch = tg_batch_new(64) };
    o->kept = dup(1);
    o->file = mkstemp(path);
    assert_true(o->file >= 0);
    unlink(path);
    assert_int_equal(tg_sink_open(url, &o->env, &o->sink, &o->err), TG_OK);
}

static void end(struct out *o)
{
    tg_sink_close(&o->sink);
    tg_batch_free(o->batch);
    close(o->file);
    close(o->kept);
}

/* All calls go to the given descriptor. */
static tg_code write_rows(struct out *o, int fd, int64_t chat_id, int64_t first, size_t n)
{
    tg_code code;

    test_rows(o->batch, chat_id, first, n);
    use(fd);
    code = o->sink.ops->write(o->sink.self, o->batch, 0, n, &o->err);
    use(o->kept);
    return code;
}

static tg_code commit(struct out *o, int fd, int64_t chat_id, int64_t id, uint64_t rows)
{
    struct tg_commit next = test_commit(&(struct tg_commit){ 0 }, chat_id, id, rows);
    tg_code code;

    use(fd);
    code = o->sink.ops->commit(o->sink.self, &next, &o->err);
    use(o->kept);
    return code;
}

static size_t size(const struct out *o)
{
    return (size_t)lseek(o->file, 0, SEEK_END);
}

/* @return how often a text stands in the file */
static size_t count(const struct out *o, const char *text)
{
    size_t n = size(o), found = 0;
    char *all = calloc(1, n + 1);

    assert_int_equal(pread(o->file, all, n, 0), n);
    for (const char *at = all; (at = strstr(at, text)); at++)
        found++;
    free(all);
    return found;
}

static void rows_are_written_by_their_commit(void **state)
{
    struct out o;

    (void)state;
    start(&o, "stdout:");
    assert_false(tg_sink_remembers(&o.sink));
    assert_int_equal(write_rows(&o, o.file, CHAT, 1, 5), TG_OK);
    assert_int_equal(commit(&o, o.file, CHAT, 5, 5), TG_OK);
    assert_int_equal(count(&o, "{\"chat_id\":-1009,\"id\":"), 5);
    assert_int_equal(count(&o, "}\n"), 5);
    assert_int_equal(o.sink.ops->bytes(o.sink.self), size(&o));
    end(&o);
}

static void the_columns_are_named_once(void **state)
{
    struct out o;

    (void)state;
    start(&o, "stdout:?format=csv");
    assert_int_equal(commit(&o, o.file, CHAT, 0, 0), TG_OK);
    assert_int_equal(size(&o), 0);
    for (int64_t first = 1; first < 9; first += 4) {
        assert_int_equal(write_rows(&o, o.file, CHAT, first, 4), TG_OK);
        assert_int_equal(commit(&o, o.file, CHAT, first + 3, 4), TG_OK);
    }
    assert_int_equal(count(&o, "chat_id,id,"), 1);
    assert_int_equal(count(&o, "\n-1009,"), 8);
    end(&o);
}

/* The rows of a chat stand in the buffer when another's commit fails. */
static void a_full_disk_loses_nothing_of_others(void **state)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct out o;

    (void)state;
    assert_true(full >= 0);
    start(&o, "stdout:");
    assert_int_equal(write_rows(&o, full, OTHER_CHAT, 1, 3), TG_OK);
    assert_int_equal(write_rows(&o, full, CHAT, 1, 2), TG_OK);
    assert_int_equal(commit(&o, full, CHAT, 2, 2), TG_FULL);
    assert_non_null(strstr(o.err.message, "standard output"));
    assert_true(o.err.hint[0] != 0);
    assert_int_equal(commit(&o, o.file, OTHER_CHAT, 3, 3), TG_OK);
    assert_int_equal(count(&o, "{\"chat_id\":12,"), 3);
    end(&o);
    close(full);
}

static void a_reader_that_is_gone_is_told(void **state)
{
    struct out o;
    int pair[2];

    (void)state;
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    assert_int_equal(pipe(pair), 0);
    close(pair[0]);
    start(&o, "stdout:");
    assert_int_equal(write_rows(&o, pair[1], CHAT, 1, 2), TG_OK);
    assert_int_equal(commit(&o, pair[1], CHAT, 2, 2), TG_IO);
    assert_non_null(strstr(o.err.message, "has ended"));
    end(&o);
    close(pair[1]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_written_by_their_commit),
        cmocka_unit_test(the_columns_are_named_once),
        cmocka_unit_test(a_full_disk_loses_nothing_of_others),
        cmocka_unit_test(a_reader_that_is_gone_is_told),
        STREAM_CONTRACT_TESTS,
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
