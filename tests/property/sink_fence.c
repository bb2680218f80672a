/* SPDX-License-Identifier: MIT */
/*
 * sink_fence.c - writers that sleep between any two steps and wake up when another has gone on
 *
 * Two or three writers share one chat on a file system in memory; each has a newer fence than the
 * one before. Every call of the file system is a step, and one step is made at a time: a writer is
 * a thread that waits for its turn, so a schedule repeats exactly. First all schedules of the form
 * "the old one makes k steps, the new one j, then each goes on to its end", then random ones, with
 * power cuts. Whatever the schedule:
 *   - the rows are 1, 2, 3, ... without a hole or a repetition, and digests are right;
 *   - each acknowledged commit is there, unchanged;
 *   - no commit is acknowledged that an old writer began after a newer one had attached;
 *   - a writer that was overtaken ends with TG_CONFLICT and nothing else.
 *
 * Threads: the lock is held by whoever runs; turn says who may
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

#include "os/fs_memory_dir.h"
#include "sink/parts.h"
#include "tests/unit/sink_rows.h"

enum { CHAT = -1009, WRITERS = 3, COMMITS_MAX = 8, STEPS_MAX = 4000, SEEDS = 800 };
enum { NOBODY = -1 };

enum act { ACT_ROWS = 'r', ACT_CURSOR = 'c', ACT_ROLLBACK = 'b' };

struct stage;

struct writer {
    struct stage *stage;
    struct tg_fs fs; /* waits for its turn, then does what the one in memory does */
    struct tg_sink_env env;
    pthread_t thread;
    pthread_cond_t go;
    int index;
    const char *script; /* acts, in order */
    bool waiting, ended, at_end;

    tg_code code; /* of the first thing that failed */
    struct tg_error err;
    bool attached;
    struct tg_commit acked[COMMITS_MAX];
    size_t n_acked;
};

struct stage {
    pthread_mutex_t lock;
    pthread_cond_t paused; /* the one at work waits again, or has ended */
    int turn;
    struct tg_fs_memory *m;
    struct writer writer[WRITERS];
    size_t n_writers;
    bool hold;  /* writers keep what they have until the others have ended */
    bool late;  /* a commit was acknowledged that must not be */
    char what[160];
};

/* ---- a file system in steps ---- */

static void await_turn(struct writer *w)
{
    struct stage *s = w->stage;

    pthread_mutex_lock(&s->lock);
    w->waiting = true;
    s->turn = NOBODY;
    pthread_cond_signal(&s->paused);
    while (s->turn != w->index)
        pthread_cond_wait(&w->go, &s->lock);
    w->waiting = false;
    pthread_mutex_unlock(&s->lock);
}

static const struct tg_fs *inner(const struct tg_fs *fs)
{
    struct writer *w = fs->ctx;

    await_turn(w);
    return tg_fs_memory_fs(w->stage->m);
}

static tg_code step_open_dir(const struct tg_fs *fs, const char *path, bool create,
                             struct tg_dir **ret, struct tg_error *err)
{
    fs = inner(fs);
    return fs->open_dir(fs, path, create, ret, err);
}

static void step_close_dir(const struct tg_fs *fs, struct tg_dir *dir)
{
    fs = inner(fs);
    fs->close_dir(fs, dir);
}

static tg_code step_sync_dir(const struct tg_fs *fs, struct tg_dir *dir, struct tg_error *err)
{
    fs = inner(fs);
    return fs->sync_dir(fs, dir, err);
}

static tg_code step_list(const struct tg_fs *fs, struct tg_dir *dir, tg_dir_seen seen, void *ctx,
                         struct tg_error *err)
{
    fs = inner(fs);
    return fs->list(fs, dir, seen, ctx, err);
}

static tg_code step_create(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                           bool secret, struct tg_file **ret, struct tg_error *err)
{
    fs = inner(fs);
    return fs->create(fs, dir, name, secret, ret, err);
}

static tg_code step_open(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                         struct tg_file **ret, struct tg_error *err)
{
    fs = inner(fs);
    return fs->open(fs, dir, name, ret, err);
}

static tg_code step_write(const struct tg_fs *fs, struct tg_file *file, const void *bytes, size_t n,
                          struct tg_error *err)
{
    fs = inner(fs);
    return fs->write(fs, file, bytes, n, err);
}

static tg_code step_read(const struct tg_fs *fs, struct tg_file *file, void *bytes, size_t n,
                         size_t *ret_n, struct tg_error *err)
{
    fs = inner(fs);
    return fs->read(fs, file, bytes, n, ret_n, err);
}

static tg_code step_sync(const struct tg_fs *fs, struct tg_file *file, struct tg_error *err)
{
    fs = inner(fs);
    return fs->sync(fs, file, err);
}

static void step_close(const struct tg_fs *fs, struct tg_file *file)
{
    fs = inner(fs);
    fs->close(fs, file);
}

static tg_code step_rename(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                           const char *to, struct tg_error *err)
{
    fs = inner(fs);
    return fs->rename(fs, dir, from, to, err);
}

static tg_code step_rename_new(const struct tg_fs *fs, struct tg_dir *dir, const char *from,
                               const char *to, struct tg_error *err)
{
    fs = inner(fs);
    return fs->rename_new(fs, dir, from, to, err);
}

static tg_code step_unlink(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                           struct tg_error *err)
{
    fs = inner(fs);
    return fs->unlink(fs, dir, name, err);
}

static tg_code step_lock(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                         struct tg_lock **ret, struct tg_error *err)
{
    fs = inner(fs);
    return fs->lock(fs, dir, name, ret, err);
}

static void step_unlock(const struct tg_fs *fs, struct tg_lock *lock)
{
    fs = inner(fs);
    fs->unlock(fs, lock);
}

static const struct tg_fs step_ops = {
    .open_dir = step_open_dir,
    .close_dir = step_close_dir,
    .sync_dir = step_sync_dir,
    .list = step_list,
    .create = step_create,
    .open = step_open,
    .write = step_write,
    .read = step_read,
    .sync = step_sync,
    .close = step_close,
    .rename = step_rename,
    .rename_new = step_rename_new,
    .unlink = step_unlink,
    .lock = step_lock,
    .unlock = step_unlock,
};

/* ---- a writer ---- */

static struct tg_fence fence_of(int index)
{
    /* The last two have one token: two runs whose stores do not know each other. */
    return (struct tg_fence){ .token = (uint64_t)TG_MIN(index, 1) + 5, .nonce = (uint32_t)index };
}

/* Is a newer writer at work? One that has ended in order is in nobody's way. */
static bool overtaken(const struct writer *w)
{
    for (size_t i = (size_t)w->index + 1; i < w->stage->n_writers; i++) {
        const struct writer *other = &w->stage->writer[i];

        if (other->attached && (!other->at_end || w->stage->hold))
            return true;
    }
    return false;
}

static tg_code write_rows(struct tg_parts *p, int64_t first, size_t n, struct tg_error *err)
{
    tg_code code = TG_OK;
    char line[80];

    for (size_t i = 0; i < n && code == TG_OK; i++) {
        int len = snprintf(line, sizeof line, "{\"chat_id\":%d,\"id\":%lld}\n", CHAT,
                           (long long)first + (long long)i);

        code = tg_parts_write(p, line, (size_t)len, 1, err);
    }
    return code;
}

static tg_code act(struct writer *w, struct tg_parts *p, enum act what, struct tg_commit *last)
{
    bool late = overtaken(w);
    size_t n = what == ACT_ROWS ? 2 : 0;
    int64_t first = (int64_t)last->rows_total + 1;
    struct tg_commit next = test_commit(last, CHAT, first + (int64_t)n - 1, n);
    tg_code code;

    next.fence = fence_of(w->index).token;
    code = write_rows(p, first, n, &w->err);
    if (code == TG_OK)
        code = tg_parts_commit(p, &next, &w->err);
    if (code != TG_OK)
        return code;
    *last = next;
    assert(w->n_acked < COMMITS_MAX);
    w->acked[w->n_acked++] = next;
    w->stage->late |= late;
    return TG_OK;
}

static tg_code play(struct writer *w, struct tg_parts *p)
{
    const struct tg_fence fence = fence_of(w->index);
    struct tg_commit last = { 0 };
    const char *at = w->script;
    tg_code code = tg_parts_init(p, &w->env, "out", CHAT, ".ndjson", &w->err);

    if (code == TG_OK && *at == ACT_ROLLBACK)
        return tg_parts_rollback(p, &fence, 1, &w->err);
    if (code == TG_OK)
        code = tg_parts_attach(p, &fence, &last, &w->err);
    w->attached = code == TG_OK || code == TG_END;
    for (code = w->attached ? TG_OK : code; code == TG_OK && *at; at++)
        code = act(w, p, (enum act)*at, &last);
    return code;
}

static void *writer_thread(void *arg)
{
    struct writer *w = arg;
    struct stage *s = w->stage;
    struct tg_parts parts;

    await_turn(w);
    w->code = play(w, &parts);
    pthread_mutex_lock(&s->lock);
    w->at_end = true;
    pthread_mutex_unlock(&s->lock);
    if (s->hold)
        await_turn(w);
    tg_parts_done(&parts);
    pthread_mutex_lock(&s->lock);
    w->ended = true;
    s->turn = NOBODY;
    pthread_cond_signal(&s->paused);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the stage ---- */

static void stage_start(struct stage *s, const char *const *script, size_t n, bool hold)
{
    *s = (struct stage){ .turn = NOBODY, .m = tg_fs_memory_new(), .n_writers = n, .hold = hold };
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->paused, NULL);
    for (size_t i = 0; i < n; i++) {
        struct writer *w = &s->writer[i];

        w->stage = s;
        pthread_cond_init(&w->go, NULL);
        w->fs = step_ops;
        w->fs.ctx = w;
        w->env = (struct tg_sink_env){ .job = "job", .fs = &w->fs, .unix_us = test_unix_us };
        w->index = (int)i;
        w->script = script[i];
    }
}

static void start_threads(struct stage *s)
{
    for (size_t i = 0; i < s->n_writers; i++) {
        struct writer *w = &s->writer[i];

        assert_int_equal(pthread_create(&w->thread, NULL, writer_thread, w), 0);
        pthread_mutex_lock(&s->lock);
        while (!w->waiting)
            pthread_cond_wait(&s->paused, &s->lock);
        pthread_mutex_unlock(&s->lock);
    }
}

/* Lets a writer make up to n steps. @return how many it made before it ended (or holds) */
static size_t run(struct stage *s, size_t index, size_t n)
{
    struct writer *w = &s->writer[index];
    size_t made = 0;

    pthread_mutex_lock(&s->lock);
    while (made < n && !w->ended && !(w->at_end && s->hold)) {
        s->turn = w->index;
        pthread_cond_signal(&w->go);
        while (s->turn != NOBODY)
            pthread_cond_wait(&s->paused, &s->lock);
        made++;
    }
    pthread_mutex_unlock(&s->lock);
    return made;
}

static void stage_end(struct stage *s)
{
    pthread_mutex_lock(&s->lock);
    s->hold = false; /* read by the threads only under their turn */
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < s->n_writers; i++) {
        run(s, i, STEPS_MAX);
        pthread_join(s->writer[i].thread, NULL);
    }
}

static void stage_free(struct stage *s)
{
    for (size_t i = 0; i < s->n_writers; i++)
        pthread_cond_destroy(&s->writer[i].go);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->paused);
    tg_fs_memory_free(s->m);
}

/* ---- what must hold ---- */

static void check(struct stage *s, bool good, const char *what, const struct tg_error *err)
{
    if (good)
        return;
    fprintf(stderr, "%s: %s; %s\n%s", s->what, what, err ? err->message : "",
            tg_fs_memory_log(s->m, NULL));
    fail();
}

struct chain {
    struct stage *stage;
    struct tg_commit at[4 * COMMITS_MAX];
    size_t n;
};

static bool seen_commit(void *ctx, const struct tg_commit *commit)
{
    struct chain *chain = ctx;

    assert(chain->n < TG_COUNT(chain->at));
    chain->at[chain->n++] = *commit;
    return true;
}

static void check_acked(struct stage *s, const struct chain *chain, const struct tg_commit *last,
                        const struct writer *w)
{
    for (size_t i = 0; i < w->n_acked; i++) {
        const struct tg_commit *c = &w->acked[i];
        bool found = c->rows == 0 && c->seq < last->seq; /* it may have been superseded */

        for (size_t k = 0; k < chain->n && !found; k++)
            found = test_same_commit(c, &chain->at[k]);
        check(s, found, "an acknowledged commit is not there", NULL);
    }
}

/* Reads everything as the next run would. */
static void check_all(struct stage *s, bool rolled_back)
{
    const struct tg_sink_env env = { .job = "job",
                                     .fs = tg_fs_memory_fs(s->m),
                                     .unix_us = test_unix_us };
    static const struct tg_fence next = { 99, 0 };
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct chain chain = { .stage = s };
    struct tg_commit last = { 0 };
    struct tg_sink sink;
    struct tg_error err;
    tg_code code;

    check(s, tg_sink_open("ndjson:out", &env, &sink, &err) == TG_OK, "open", &err);
    code = sink.ops->attach(sink.self, CHAT, &next, &last, &err);
    check(s, code == TG_OK || code == TG_END, "attach", &err);
    check(s, sink.ops->scan(sink.self, CHAT, test_seen, &seen, &err) == TG_OK, "scan", &err);
    check(s, !seen.odd && seen.next_id == (int64_t)last.rows_total + 1, "wrong rows", NULL);
    check(s, sink.ops->commits(sink.self, CHAT, seen_commit, &chain, &err) == TG_OK, "commits",
          &err);
    for (size_t i = rolled_back ? 1 : 0; i < s->n_writers; i++)
        check_acked(s, &chain, &last, &s->writer[i]);
    check(s, !s->late, "a commit begun too late was acknowledged", NULL);
    tg_sink_close(&sink);
}

static void check_codes(struct stage *s)
{
    for (size_t i = 0; i < s->n_writers; i++) {
        struct writer *w = &s->writer[i];
        bool all = w->code == TG_OK;

        check(s, all || w->code == TG_CONFLICT, "ends with another failure", &w->err);
        check(s, all || i + 1 < s->n_writers, "the newest is shut out", &w->err);
        check(s, all || w->err.hint[0], "no hint", &w->err);
    }
}

/* ---- the tests ---- */

static size_t steps_alone(const char *script)
{
    struct stage s;
    size_t n;

    stage_start(&s, &script, 1, false);
    start_threads(&s);
    n = run(&s, 0, STEPS_MAX);
    assert_int_equal(s.writer[0].code, TG_OK);
    pthread_join(s.writer[0].thread, NULL);
    stage_free(&s);
    return n;
}

static void the_old_one_wakes_up_at_every_step(void **state)
{
    static const char *const script[] = { "rcr", "rcr" };
    size_t old = steps_alone(script[0]), n_shut_out = 0;

    (void)state;
    for (size_t k = 0; k <= old; k++) {
        for (size_t j = 0;; j++) {
            struct stage s;
            size_t made;

            stage_start(&s, script, 2, true);
            snprintf(s.what, sizeof s.what, "%zu steps of the old one, then %zu of the new", k, j);
            start_threads(&s);
            run(&s, 0, k);
            made = run(&s, 1, j);
            run(&s, 0, STEPS_MAX);
            run(&s, 1, STEPS_MAX);
            check(&s, s.writer[1].code == TG_OK, "the new one fails", &s.writer[1].err);
            check_codes(&s);
            check(&s, !overtaken(&s.writer[0]) || s.writer[0].code == TG_CONFLICT ||
                          s.writer[0].n_acked == 3, "the old one goes on", NULL);
            n_shut_out += s.writer[0].code == TG_CONFLICT;
            stage_end(&s);
            check_all(&s, false);
            stage_free(&s);
            if (made < j)
                break; /* the new one was at its end: a longer pause is the same */
        }
    }
    assert_true(n_shut_out > old);
}

static uint64_t below(uint64_t *random, uint64_t n)
{
    return tg_mem_random(random) % n;
}

/* Random turns, up to three writers; in one of two runs the power fails. */
static void any_schedule_with_power_cuts(void **state)
{
    static const char *const script[] = { "rcrr", "crr", "rr" };

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t random = seed;
        struct stage s;
        bool cut = below(&random, 2), hold = below(&random, 2), dead = false;

        stage_start(&s, script, 2 + below(&random, 2), hold);
        snprintf(s.what, sizeof s.what, "seed %llu", (unsigned long long)seed);
        start_threads(&s);
        for (size_t turns = below(&random, 30); turns > 0; turns--) {
            size_t who = below(&random, s.n_writers);

            run(&s, who, below(&random, below(&random, 4) ? 8 : 60));
        }
        if (cut) {
            dead = true;
            tg_fs_memory_cut(s.m, below(&random, 4) ? tg_mem_random(&random) : 0);
        }
        for (size_t i = 0; i < s.n_writers; i++)
            run(&s, i, dead ? 0 : STEPS_MAX);
        if (!dead && hold)
            check_codes(&s);
        stage_end(&s);
        check_all(&s, false);
        stage_free(&s);
    }
}

/* A rollback that sleeps: a run that takes over waits for it, or it finds itself shut out. */
static void a_sleeping_rollback_removes_nothing_new(void **state)
{
    static const char *const script[] = { "b", "rr" };
    static const char *const before[] = { "rrcr" };
    size_t n_waited = 0;

    (void)state;
    for (size_t k = 0; k < 70; k++) {
        for (size_t j = 0;; j++) {
            struct stage s, first;
            struct writer *old, *new;
            size_t made;

            stage_start(&first, before, 1, false);
            start_threads(&first);
            run(&first, 0, STEPS_MAX);
            pthread_join(first.writer[0].thread, NULL);
            stage_start(&s, script, 2, true);
            tg_fs_memory_free(s.m);
            s.m = first.m;
            first.m = NULL;
            stage_free(&first);
            snprintf(s.what, sizeof s.what, "%zu steps of the rollback, %zu of the run", k, j);
            start_threads(&s);
            old = &s.writer[0];
            new = &s.writer[1];
            run(&s, 0, k);
            made = run(&s, 1, j);
            run(&s, 0, STEPS_MAX);
            run(&s, 1, STEPS_MAX);
            check(&s, old->code == TG_OK || old->code == TG_CONFLICT, "rollback", &old->err);
            check(&s, new->code == TG_OK || new->code == TG_BUSY, "run", &new->err);
            n_waited += new->code == TG_BUSY;
            stage_end(&s);
            check_all(&s, true);
            stage_free(&s);
            if (made < j)
                break;
        }
    }
    assert_true(n_waited > 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_one_wakes_up_at_every_step),
        cmocka_unit_test(any_schedule_with_power_cuts),
        cmocka_unit_test(a_sleeping_rollback_removes_nothing_new),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
