/* SPDX-License-Identifier: MIT */
/*
 * extract.c - reads one chat with the C API, in batches that the program itself commits
 *
 *   cc extract.c $(pkg-config --cflags --libs tgdata) -o extract
 *   ./extract me.session @somechannel [datacenter.json]
 *
 * The callback gets each batch once. What it has committed is never delivered again: stop this
 * program at any moment, start it again, and it goes on where the last commit was. Here the rows go
 * to stdout as "id<TAB>date<TAB>text"; a real program would write them to its database and commit
 * when that has.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include <tgdata/tgdata.h>

static struct tg_account *running; /* what Ctrl-C stops */

static void on_signal(int signum)
{
    (void)signum;
    tg_account_stop(running); /* safe in a signal handler; tg_extract then returns TG_CANCELLED */
}

/* One row. Fields are read by id; a text is not NUL-terminated and lives as long as its batch. */
static void print_row(const struct tg_row *row)
{
    size_t n = 0;
    const char *text = tg_row_text(row, TG_F_text, &n);

    printf("%" PRId64 "\t%" PRId64 "\t", tg_row_int(row, TG_F_id), tg_row_int(row, TG_F_date));
    for (size_t i = 0; text && i < n; i++)
        putchar(text[i] == '\n' || text[i] == '\t' ? ' ' : text[i]);
    putchar('\n');
}

/* Called on a thread of the library, one batch at a time. */
static tg_code on_batch(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    uint64_t *n_rows = ctx;
    struct tg_batch_info info;

    tg_batch_info(batch, &info);
    for (size_t i = 0; i < info.n; i++)
        print_row(tg_batch_get(batch, i));
    if (fflush(stdout) != 0)
        return tg_fail(err, TG_SINK, "could not write to standard output");
    *n_rows += info.n;
    fprintf(stderr, "batch %" PRIu64 ": %zu rows in %.0f ms, %u requests, checkpoint '%s'\n",
            info.id, info.n, (double)(info.ended_us - info.started_us) / 1e3, info.requests,
            info.checkpoint_id);
    return tg_batch_commit(batch, info.n, err); /* from here on they count as delivered */
}

/* A setting fails only where the text does not fit it. */
static tg_code configure(struct tg_config *config, char **argv, struct tg_error *err)
{
    tg_code code = tg_config_set(config, "session", argv[1], err);

    if (code == TG_OK && argv[3])
        code = tg_config_set(config, "datacenter", argv[3], err);
    if (code == TG_OK)
        code = tg_config_set(config, "state", "sqlite:extract-example.db", err);
    if (code == TG_OK)
        code = tg_config_set(config, "job", "example", err);
    if (code == TG_OK)
        code = tg_config_set(config, "batch-size", "500", err);
    return code;
}

int main(int argc, char **argv)
{
    uint64_t n_rows = 0;
    struct tg_extract_hooks hooks = { .batch = on_batch, .ctx = &n_rows };
    struct tg_extract_result result = { 0 };
    struct tg_config *config;
    struct tg_error err = { 0 };
    tg_code code;

    if (argc < 3) {
        fprintf(stderr, "usage: %s SESSION CHAT [DATACENTER.json]\n", argv[0]);
        return tg_code_exit(TG_USAGE);
    }
    config = tg_config_new();
    if (!config)
        return tg_code_exit(TG_NOMEM);
    code = configure(config, argv, &err);
    if (code == TG_OK)
        code = tg_account_open(config, NULL, NULL, &running, &err);
    if (code == TG_OK) {
        const char *chat = argv[2];

        signal(SIGINT, on_signal);
        code = tg_extract(running, config, &chat, 1, &hooks, &result, &err);
        signal(SIGINT, SIG_DFL);
    }
    if (code == TG_OK)
        fprintf(stderr, "%" PRIu64 " rows, %" PRIu64 " requests, %.1f s\n", n_rows, result.requests,
                result.seconds);
    else
        fprintf(stderr, "%s\n%s%s%s", err.message, *err.hint ? "hint: " : "", err.hint,
                *err.hint ? "\n" : "");
    tg_account_close(running); /* NULL is nothing */
    tg_config_free(config);
    return tg_code_exit(code);
}
