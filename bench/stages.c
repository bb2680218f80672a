/* SPDX-License-Identifier: MIT */
/*
 * stages.c - how fast stages go over rows, one core, in rows per second
 *
 * Rows of a supergroup (tests/page_sample.h) with their texts, enriched; each pass begins with the
 * same rows, and what that takes is not counted.
 *
 *   bench_stages [seconds per figure [stage]...]
 */
#include <stdlib.h>
#include <time.h>

#include "stage/stage.h"
#include "telegram/rows.h"
#include "tests/page_sample.h"

enum { N = 100 };

static const char *const usual[] = {
    "filter?kind=message&text=zzz&not",
    "enrich",
    "fields?drop=entities,media",
    "where?expr=word_count > 3 and not post",
    "where?expr=views and views > 100 or word_count > 3",
    "where?expr=text:find('zzz', 1, true) == nil",
    "where?expr=text:match('#(%25w+)') ~= 'x'",
    "where?expr=not reactions or #reactions < 9",
    "lua?code=row.views = nil",
    "lua?code=row.lang = 'en'",
    "lua?code=row.text = text:upper(); row.lang = 'en'",
    "lua?code=local n = 0 for w in text:gmatch('%25S+') do n = n + 1 end row.words = n",
};

static struct tg_batch *batch;
static struct tg_row row[N];

static struct tg_error err;

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fill(double seconds, const char *text)
{
    struct tg_stage_counts counts = { 0 };
    struct tg_stage_env env = { .now_us = INT64_C(1705400000000000), .counts = &counts };
    struct tg_stage_list list;
    double start = now_s(), best = 1e9;

    if (tg_stages_open(&text, 1, &list, &err) != TG_OK) {
        fprintf(stderr, "bench_stages: %s\n", err.message);
        exit(1);
    }
    while (now_s() - start < seconds) {
        double t = 0;

        for (int k = 0; k < 50; k++) {
            double from;

            memcpy(batch->row, row, sizeof row);
            batch->n = N;
            tg_arena_clear(&batch->arena);
            from = now_s();
            if (tg_stages_run(&list, batch, &env, &err) != TG_OK) {
                fprintf(stderr, "bench_stages: %s\n", err.message);
                exit(1);
            }
            t += now_s() - from;
        }
        best = t < best ? t : best;
    }
    best = best * 1e6 / 50 / N;
    printf("%8.3f us/row %11.0f rows/s %5.0f%% stay  %s\n", best, 1e6 / best,
           (double)batch->n * 100 / N, text);
    tg_stages_close(&list);
}

/* Rows whose texts do not belong to the batch that stages work on. */
static int make_rows(struct tg_batch *from)
{
    static const struct tg_row_options options = { .chat_id = -1000001234567 };
    const struct tl_schema *schema = tl_schema_builtin(228);
    struct tg_page *page = tg_page_new();
    struct tg_page_info info;
    struct tg_arena arena;
    struct tg_buf bytes;
    int failed;

    tg_arena_init(&arena, 16 << 20);
    tg_buf_init(&bytes, 16 << 20);
    failed = !page || !from ||
             tl_encode(schema, sample_page(&arena, N, 100000), &bytes, &err) != TG_OK ||
             tg_page_open(page, schema, bytes.data, bytes.len, &info, &err) != TG_OK;
    for (size_t i = 0; i < N && !failed; i++)
        failed = tg_page_row(page, i, &options, from, &err) != TG_OK;
    for (size_t i = 0; i < N && !failed; i++)
        failed = !tg_batch_copy(batch, &from->row[i]); /* of its own, not of `bytes` */
    tg_page_free(page);
    tg_buf_done(&bytes);
    tg_arena_done(&arena);
    return failed;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    struct tg_stage_counts counts = { 0 };
    struct tg_stage_env env = { .now_us = INT64_C(1705400000000000), .counts = &counts };
    struct tg_batch *from = tg_batch_new(N);
    struct tg_arena texts;
    struct tg_stage_list enrich;
    const char *name = "enrich";

    batch = tg_batch_new(N);
    if (!batch || make_rows(from) || tg_stages_open(&name, 1, &enrich, &err) != TG_OK ||
        tg_stages_run(&enrich, batch, &env, &err) != TG_OK)
        return 1;
    tg_stages_close(&enrich);
    memcpy(row, batch->row, sizeof row);
    texts = batch->arena;
    tg_arena_init(&batch->arena, 64 << 20);
    if (argc > 2)
        for (int i = 2; i < argc; i++)
            fill(seconds, argv[i]);
    else
        for (size_t i = 0; i < TG_COUNT(usual); i++)
            fill(seconds, usual[i]);
    tg_arena_done(&texts);
    tg_batch_free(batch);
    tg_batch_free(from);
    return 0;
}
