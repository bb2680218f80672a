/* SPDX-License-Identifier: MIT */
/*
 * etl_kit.h - a job as the engine sees it: SQLite in a directory of its own, NDJSON files on a file
 * system in memory, a clock that stands still, and a chat that consists of ids
 */
#ifndef TG_TEST_ETL_KIT_H
#define TG_TEST_ETL_KIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "etl/pipeline.h"
#include "tests/unit/sink_rows.h"

enum { CHAT = -1009 };

static _Atomic int64_t kit_clock_us = INT64_C(1705314600000000);

static inline int64_t kit_unix_us(void)
{
    return atomic_load(&kit_clock_us);
}

struct kit {
    char dir[64], state[128];
    struct tg_fs_memory *memory;
    struct tg_store store;
    struct tg_sink sink;
    struct tg_sink_env env;
    struct tg_extract_settings job;
    struct tg_pipeline_options options;
    struct tg_pipeline *pipeline;
    struct tg_job_chat chat[8]; /* begun since the pipeline was made */
    size_t n_chats;
    struct tg_error err, alone; /* why the chat that was left last failed alone */
    pthread_mutex_t lock;
    pthread_cond_t woken;
    uint64_t n_woken;
};

static inline void kit_wake(void *ctx)
{
    struct kit *k = ctx;

    pthread_mutex_lock(&k->lock);
    k->n_woken++;
    pthread_cond_signal(&k->woken);
    pthread_mutex_unlock(&k->lock);
}

/* Opens store and sink: what a process does when it starts. */
static inline void kit_open(struct kit *k)
{
    assert_int_equal(tg_store_open(k->state, &k->store, &k->err), TG_OK);
    assert_int_equal(tg_sink_open(k->job.to, &k->env, &k->sink, &k->err), TG_OK);
}

static inline void kit_close(struct kit *k)
{
    tg_sink_close(&k->sink);
    tg_store_close(&k->store);
}

static inline void kit_start(struct kit *k, int64_t interval, int64_t batch_size)
{
    *k = (struct kit){ .memory = tg_fs_memory_new() };
    /* memory where there is some: hundreds of runs would otherwise wait for the disk */
    snprintf(k->dir, sizeof k->dir, "%s/tg_etl_XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(k->dir));
    snprintf(k->state, sizeof k->state, "sqlite:%s/state.db", k->dir);
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->woken, NULL);
    k->env = (struct tg_sink_env){ .job = "job",
                                    .fs = tg_fs_memory_fs(k->memory),
                                    .unix_us = test_unix_us };
    k->job = (struct tg_extract_settings){
        .to = "ndjson:out",
        .state = k->state,
        .job = "job",
        .batch_size = batch_size,
        .checkpoint_interval = interval,
        .lease_ms = 30000,
        .credit_bytes = 1 << 30,
        .keep_checkpoints = 1000,
    };
    k->options = (struct tg_pipeline_options){
        .job = &k->job,
        .store = &k->store,
        .sink = &k->sink,
        .nonce = 1,
        .unix_us = kit_unix_us,
        .wake = kit_wake,
        .wake_ctx = k,
    };
    kit_open(k);
}

/* Another process at the same job: state and destination are those of `first`. */
static inline void kit_join(struct kit *k, const struct kit *first)
{
    *k = *first;
    k->options.store = &k->store;
    k->options.sink = &k->sink;
    k->options.wake_ctx = k;
    k->options.nonce++;
    k->env.ctx = NULL;
    pthread_mutex_init(&k->lock, NULL);
    pthread_cond_init(&k->woken, NULL);
    kit_open(k);
}

static inline void kit_end(struct kit *k)
{
    static const char *const more[] = { "", "-wal", "-shm" };
    char name[160];

    kit_close(k);
    for (size_t i = 0; i < TG_COUNT(more); i++) {
        snprintf(name, sizeof name, "%s/state.db%s", k->dir, more[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(k->dir), 0);
    pthread_mutex_destroy(&k->lock);
    pthread_cond_destroy(&k->woken);
    tg_fs_memory_free(k->memory);
}

static inline void kit_run(struct kit *k)
{
    assert_int_equal(tg_pipeline_new(&k->options, &k->pipeline, &k->err), TG_OK);
    k->n_chats = 0;
}

/* Waits until the taker has told something since `seen` wake-ups. */
static inline uint64_t kit_wait(struct kit *k, uint64_t seen)
{
    uint64_t n;

    pthread_mutex_lock(&k->lock);
    while (k->n_woken == seen)
        pthread_cond_wait(&k->woken, &k->lock);
    n = k->n_woken;
    pthread_mutex_unlock(&k->lock);
    return n;
}

static inline uint64_t kit_woken(struct kit *k)
{
    uint64_t n;

    pthread_mutex_lock(&k->lock);
    n = k->n_woken;
    pthread_mutex_unlock(&k->lock);
    return n;
}

static inline void kit_idle(struct kit *k)
{
    struct tg_pipeline_state state;

    for (;;) {
        uint64_t seen = kit_woken(k);

        tg_pipeline_state(k->pipeline, &state);
        if (state.idle)
            return;
        kit_wait(k, seen);
    }
}

/* Where a chat stands that was begun. */
static inline tg_code kit_resume(struct kit *k, int64_t chat_id, struct tg_commit *ret)
{
    for (;;) {
        uint64_t seen = kit_woken(k);
        tg_code code = tg_pipeline_resume(k->pipeline, chat_id, ret, &k->err);

        if (code != TG_AGAIN)
            return code;
        kit_wait(k, seen);
    }
}

/* Waits until so many rows of a chat are committed. */
static inline void kit_wait_rows(struct kit *k, int64_t chat_id, int64_t rows)
{
    for (;;) {
        uint64_t seen = kit_woken(k);

        if (tg_pipeline_rows(k->pipeline, chat_id) >= rows)
            return;
        kit_wait(k, seen);
    }
}

/* Takes up the chat. */
static inline tg_code kit_chat(struct kit *k, int64_t chat_id, struct tg_commit *ret)
{
    struct tg_job_chat *chat = &k->chat[k->n_chats++];

    assert_true(k->n_chats <= TG_COUNT(k->chat));
    *chat = (struct tg_job_chat){ .id = chat_id, .title = "" };
    assert_int_equal(tg_pipeline_begin(k->pipeline, chat, &k->err), TG_OK);
    return kit_resume(k, chat_id, ret);
}

/* Lays it down. @return rows of it that were committed in this run; -1: the pipeline failed */
static inline int64_t kit_leave(struct kit *k, int64_t chat_id)
{
    int64_t rows;

    assert_int_equal(tg_pipeline_leave(k->pipeline, chat_id, &k->err), TG_OK);
    for (;;) {
        uint64_t seen = kit_woken(k);
        tg_code code = tg_pipeline_left(k->pipeline, chat_id, &rows, &k->alone, &k->err);

        if (code != TG_AGAIN)
            return code == TG_OK ? rows : -1;
        kit_wait(k, seen);
    }
}

/* What is fed: ids from..to of a segment, each of which is a row up to rows_to. */
struct kit_piece {
    int64_t chat_id, from, to, rows_to;
    int32_t segment;
    bool last;
};

/* Feeds pieces of a chat as the source does. @return false if the pipeline ended before */
static inline bool kit_feed(struct kit *k, const struct kit_piece *piece, uint64_t *seq)
{
    int64_t id = piece->from;

    do {
        struct tg_pipeline_state state;
        uint64_t seen = kit_woken(k);
        struct tg_batch *b = tg_pipeline_batch(k->pipeline);
        size_t n;

        if (!b) {
            tg_pipeline_state(k->pipeline, &state);
            if (state.failed)
                return false;
            kit_wait(k, seen);
            continue;
        }
        n = (size_t)TG_MAX(TG_MIN((int64_t)b->cap, piece->rows_to - id + 1), INT64_C(0));
        test_rows(b, piece->chat_id, id, n);
        b->seq = ++*seq;
        b->covered_from = id;
        id += (int64_t)n;
        if (id > piece->rows_to)
            id = piece->to + 1;
        b->cursor = (struct tg_cursor){ .chat_id = piece->chat_id,
                                        .segment = piece->segment,
                                        .id = id - 1 };
        b->last = piece->last && id > piece->to;
        b->started_us = 1000000;
        b->ended_us = 2500000;
        tg_pipeline_put(k->pipeline, b);
    } while (id <= piece->to);
    return true;
}

static inline tg_code kit_finish(struct kit *k)
{
    tg_code code = tg_pipeline_finish(k->pipeline, &k->err);

    tg_pipeline_free(k->pipeline);
    k->pipeline = NULL;
    return code;
}

/* A whole run over one chat whose newest id is `to`, from where it stands. */
static inline tg_code kit_extract(struct kit *k, int64_t to)
{
    struct tg_commit there;
    tg_code code;

    kit_run(k);
    code = kit_chat(k, CHAT, &there);
    if (code == TG_OK) {
        struct kit_piece piece = { CHAT, there.cursor.id + 1, to, to, 0, true };
        uint64_t seq = there.batches;

        if (there.cursor.id >= to)
            piece.from = piece.to + 1;
        kit_feed(k, &piece, &seq);
    }
    return kit_finish(k);
}

struct kit_commits {
    struct tg_commit at[256];
    size_t n;
};

static inline bool kit_seen_commit(void *ctx, const struct tg_commit *c)
{
    struct kit_commits *all = ctx;

    assert(all->n < TG_COUNT(all->at));
    all->at[all->n++] = *c;
    return true;
}

static inline void kit_commits(struct kit *k, int64_t chat_id, struct kit_commits *ret)
{
    ret->n = 0;
    assert_int_equal(k->sink.ops->commits(k->sink.self, chat_id, kit_seen_commit, ret, &k->err),
                     TG_OK);
}

/* The rows must be 1..n of the chat, each once. */
static inline void kit_check_rows(struct kit *k, int64_t n)
{
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };

    assert_int_equal(k->sink.ops->scan(k->sink.self, CHAT, test_seen, &seen, &k->err), TG_OK);
    assert_false(seen.odd);
    assert_int_equal(seen.next_id, n + 1);
}

/* The stored checkpoint, by its text. */
static inline uint64_t kit_checkpoint(struct kit *k, struct tg_commit *ret, struct tg_buf *text)
{
    struct tg_doc doc;

    tg_buf_init(text, 1 << 20);
    if (k->store.ops->get(k->store.self, "checkpoint", "job/-1009", &doc, text, &k->err) != TG_OK)
        return 0;
    assert_int_equal(tg_checkpoint_parse((const char *)text->data, text->len, ret, &k->err),
                     TG_OK);
    return doc.version;
}

/* A store whose n-th document cannot be written. */
static struct {
    struct tg_store_ops ops;
    const struct tg_store_ops *inner;
    _Atomic int left;
    tg_code code;
} kit_bad_store;

static inline tg_code kit_bad_put(void *self, const char *kind, const char *key, uint64_t expect,
                                  const struct tg_doc *stamp, const void *bytes, size_t len,
                                  struct tg_error *err)
{
    if (atomic_fetch_sub(&kit_bad_store.left, 1) == 1)
        return tg_fail(err, kit_bad_store.code, "made to fail");
    return kit_bad_store.inner->put(self, kind, key, expect, stamp, bytes, len, err);
}

static inline void kit_break_store(struct kit *k, int nth, tg_code code)
{
    kit_bad_store.inner = k->store.ops;
    kit_bad_store.ops = *k->store.ops;
    kit_bad_store.ops.put = kit_bad_put;
    kit_bad_store.code = code;
    atomic_store(&kit_bad_store.left, nth);
    k->store.ops = &kit_bad_store.ops;
}

#endif
