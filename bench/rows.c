/* SPDX-License-Identifier: MIT */
/*
 * rows.c - how fast replies become rows and rows become JSON, one core, in messages per second
 *
 * walk     opening the page: every message walked once, users and chats into their table
 * project  filling the rows of a batch
 * encode   writing them as JSON lines
 *
 *   bench_rows [seconds per figure]
 */
#include <stdlib.h>
#include <time.h>

#include "telegram/rows.h"
#include "tests/page_sample.h"

enum { N = 100 };

struct bench {
    const struct tl_schema *schema;
    struct tg_buf bytes, out;
    struct tg_page *page;
    struct tg_batch *batch;
    struct tg_page_info info;
    struct tg_error err;
};

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void walk(struct bench *b)
{
    if (tg_page_open(b->page, b->schema, b->bytes.data, b->bytes.len, &b->info, &b->err) != TG_OK ||
        b->info.n != N)
        abort();
}

static void project(struct bench *b)
{
    static const struct tg_row_options options = { .chat_id = -1000001234567 };

    tg_batch_clear(b->batch);
    for (size_t i = 0; i < N; i++)
        if (tg_page_row(b->page, i, &options, b->batch, &b->err) != TG_OK)
            abort();
}

static void encode(struct bench *b)
{
    tg_buf_clear(&b->out);
    for (size_t i = 0; i < b->batch->n; i++) {
        tg_row_json(&b->batch->row[i], &b->out);
        tg_buf_byte(&b->out, '\n');
    }
}

static void all(struct bench *b)
{
    walk(b);
    project(b);
    encode(b);
}

/* @return microseconds of CPU per message */
static double measure(struct bench *b, void (*step)(struct bench *b), double seconds)
{
    double start = now_s(), best = 1e9;
    long n = 0;

    while (now_s() - start < seconds) {
        double t = now_s();

        for (int k = 0; k < 50; k++, n++)
            step(b);
        t = (now_s() - t) / 50;
        best = t < best ? t : best;
    }
    return best * 1e6 / N;
}

static void print_line(const char *what, double us, size_t bytes)
{
    printf("%-22s %8.3f us/message %10.0f messages/s", what, us, 1e6 / us);
    if (bytes)
        printf(" %8.0f MB/s", (double)bytes / N / us);
    printf("\n");
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    struct bench b = { .schema = tl_schema_builtin(228) };
    struct tg_arena arena;

    tg_arena_init(&arena, 16 << 20);
    tg_buf_init(&b.bytes, 16 << 20);
    tg_buf_init(&b.out, 16 << 20);
    b.page = tg_page_new();
    b.batch = tg_batch_new(N);
    if (!b.page || !b.batch ||
        tl_encode(b.schema, sample_page(&arena, N, 100000), &b.bytes, &b.err) != TG_OK)
        return 1;
    all(&b);
    printf("%d messages, %zu bytes each as received, %zu as JSON\n", N, b.bytes.len / N,
           b.out.len / N);
    print_line("walk", measure(&b, walk, seconds), b.bytes.len);
    print_line("project", measure(&b, project, seconds), 0);
    print_line("encode", measure(&b, encode, seconds), b.out.len);
    print_line("all three", measure(&b, all, seconds), b.bytes.len);
    tg_batch_free(b.batch);
    tg_page_free(b.page);
    tg_buf_done(&b.bytes);
    tg_buf_done(&b.out);
    tg_arena_done(&arena);
    return 0;
}
