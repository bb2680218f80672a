/* SPDX-License-Identifier: MIT */
/*
 * sink.c - how fast a destination takes rows: its writes and commits are measured, and its end
 *
 *   bench_sink URL CHAT_ID ROWS NDJSON...
 *
 * The rows are read back from files of JSON lines, 1,000 at a time; each ROWS are a commit.
 * Prints one JSON object: rows, wall and CPU seconds of this process, peak RSS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "sink/sink.h"

enum { BATCH = 1000 };

struct bench {
    struct tg_sink sink;
    struct tg_batch *batch;
    struct tg_commit last;
    uint64_t rows, commit_rows; /* since the last commit; until the next */
    double wall_s, cpu_s;
    struct tg_error err;
};

static double seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int64_t unix_us(void *ctx)
{
    (void)ctx;
    return (int64_t)(seconds(CLOCK_REALTIME) * 1e6);
}

static void check(const struct bench *b, tg_code code)
{
    if (code == TG_OK || code == TG_END)
        return;
    fprintf(stderr, "bench_sink: %s\n", b->err.message);
    exit(1);
}

static void commit(struct bench *b)
{
    struct tg_commit next = b->last;

    next.seq++;
    next.batches++;
    next.rows = b->rows;
    next.rows_total += b->rows;
    next.covered_from = b->last.cursor.id + 1;
    next.cursor.id = next.last_id;
    next.fence = 1;
    check(b, b->sink.ops->commit(b->sink.self, &next, &b->err));
    b->last = next;
    b->rows = 0;
}

/* The batch, and a commit when one is due. */
static void deliver(struct bench *b, bool end)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    size_t n = b->batch->n;

    if (n) {
        b->batch->cursor.chat_id = b->last.cursor.chat_id;
        check(b, b->sink.ops->write(b->sink.self, b->batch, 0, n, &b->err));
        b->last.last_id = b->batch->row[n - 1].id;
        b->last.last_date = b->batch->row[n - 1].date;
    }
    b->rows += n;
    if (b->rows >= b->commit_rows || (end && b->rows))
        commit(b);
    if (end)
        tg_sink_close(&b->sink);
    b->wall_s += seconds(CLOCK_MONOTONIC) - wall;
    b->cpu_s += seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    tg_batch_clear(b->batch);
}

static void read_file(struct bench *b, const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (!file) {
        perror(path);
        exit(1);
    }
    while ((n = getline(&line, &cap, file)) > 0) {
        check(b, tg_row_read(b->batch, line, (size_t)n - (line[n - 1] == '\n'), &b->err));
        if (b->batch->n == BATCH)
            deliver(b, false);
    }
    free(line);
    fclose(file);
}

int main(int argc, char **argv)
{
    const struct tg_sink_env env = { .job = "bench", .fs = &tg_fs_system, .unix_us = unix_us };
    const struct tg_fence fence = { 1, 1 };
    struct bench b = { .batch = tg_batch_new(BATCH) };
    struct rusage usage;

    if (argc < 5 || !b.batch)
        return 2;
    b.last.cursor.chat_id = strtoll(argv[2], NULL, 10);
    b.commit_rows = strtoull(argv[3], NULL, 10);
    check(&b, tg_sink_open(argv[1], &env, &b.sink, &b.err));
    if (tg_sink_remembers(&b.sink))
        check(&b, b.sink.ops->attach(b.sink.self, b.last.cursor.chat_id, &fence, &b.last, &b.err));
    for (int i = 4; i < argc; i++)
        read_file(&b, argv[i]);
    deliver(&b, true);
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"rows\":%llu,\"wall_s\":%.4f,\"cpu_s\":%.4f,\"rss_mib\":%.1f}\n",
           (unsigned long long)b.last.rows_total, b.wall_s, b.cpu_s, usage.ru_maxrss / 1024.0);
    tg_batch_free(b.batch);
    return 0;
}
