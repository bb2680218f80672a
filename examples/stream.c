/* SPDX-License-Identifier: MIT */
/*
 * stream.c - what happens in chats, filtered and enriched in C, as it happens
 *
 *   cc stream.c $(pkg-config --cflags --libs tgdata) -o stream
 *   ./stream my.session @news @prices
 *
 * Rows of the last seven days go to ndjson:stream-example, with a count of words; once a second it
 * tells how it is going. Run it again and it goes on behind what is there.
 */
#include <ctype.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <tgdata/tgdata.h>

static struct tg_account *account; /* what Ctrl-C stops */

static void on_signal(int signum)
{
    (void)signum;
    tg_account_stop(account); /* safe in a signal handler */
}

/* A deletion has no date, and passes. */
static bool is_recent(void *ctx, const struct tg_row *row)
{
    (void)ctx;
    return !tg_row_has(row, TG_F_date) ||
           tg_row_int(row, TG_F_date) > (int64_t)time(NULL) - 7 * 24 * 3600;
}

static tg_code count_words(void *ctx, struct tg_row_edit *edit, struct tg_error *err)
{
    size_t len = 0;
    const char *text = tg_row_text(tg_row_edit_row(edit), TG_F_text, &len);
    int64_t n = 0;

    (void)ctx;
    for (size_t i = 0; i < len; i++)
        n += !isspace((unsigned char)text[i]) && (i == 0 || isspace((unsigned char)text[i - 1]));
    return tg_row_set_int(edit, TG_F_word_count, n, err);
}

static bool on_stats(void *ctx, const struct tg_stream_stats *s)
{
    (void)ctx;
    fprintf(stderr, "processed %" PRIu64 ", buffer %.1f%%, %.1f msg/s, %.1f s behind\n",
            s->total_processed, 100 * s->buffer_usage, s->messages_per_second, s->lag_s);
    return true;
}

static tg_code stream(const struct tg_config *config, const char *const *chats, size_t n,
                      struct tg_error *err)
{
    struct tg_stream_stats done;
    struct tg_stream *s;
    tg_code code = tg_stream_new(account, config, &s, err);

    if (code != TG_OK)
        return code;
    tg_stream_source(s, chats, n);
    tg_stream_filter(s, is_recent, NULL);
    tg_stream_transform(s, count_words, NULL);
    tg_stream_batch(s, 500);
    tg_stream_sink(s, "ndjson:stream-example");
    code = tg_stream_run(s, on_stats, NULL, &done, err);
    printf("%" PRIu64 " new, %" PRIu64 " edited, %" PRIu64 " deleted\n", done.kind[TG_KIND_NEW],
           done.kind[TG_KIND_EDITED], done.kind[TG_KIND_DELETED]);
    tg_stream_free(s);
    return code;
}

int main(int argc, char **argv)
{
    struct tg_config *config = tg_config_new();
    struct tg_error err;
    tg_code code;

    if (argc < 3 || !config) {
        fprintf(stderr, "usage: stream SESSION CHAT...\n");
        return 2;
    }
    code = tg_config_set(config, "session", argv[1], &err);
    if (code == TG_OK)
        code = tg_config_set(config, "state", "sqlite:stream-example.db", &err);
    if (code == TG_OK)
        code = tg_account_open(config, NULL, NULL, &account, &err);
    if (code == TG_OK) {
        signal(SIGINT, on_signal);
        code = stream(config, (const char *const *)&argv[2], (size_t)argc - 2, &err);
        tg_account_close(account);
    }
    if (code != TG_OK)
        fprintf(stderr, "stream: %s\n", err.message);
    tg_config_free(config);
    return tg_code_exit(code);
}
