/* SPDX-License-Identifier: MIT */
/*
 * commit_client.c - a program that embeds the library, to be killed: see test_commit.py
 *
 *   commit_client SESSION DATACENTER STATE JOURNAL TO CHAT [NAME=VALUE...]
 *   TO "-": no destination; several CHATs separated by commas
 *
 * The journal gets a line for each row that is delivered ("D chat id"), before it is committed, and
 * one for each commit that returned ("C chat id", the last row of it). A line is one write: what
 * was written when SIGKILL came stays. Each batch is committed in up to three steps. What the batch
 * tells about itself goes before: "B chat id rows started ended requests floods flood_s remaining
 * last circuit success response_us" (circuit: 0 closed, 1 half open, 2 open; success in permille).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tgdata/tgdata.h>

static bool note(int journal, const char *text, size_t n)
{
    return write(journal, text, n) == (ssize_t)n;
}

static bool note_row(int journal, char kind, const struct tg_row *row)
{
    char line[64];
    int n = snprintf(line, sizeof line, "%c %" PRId64 " %" PRId64 "\n", kind,
                     tg_row_int(row, TG_F_chat_id), tg_row_int(row, TG_F_id));

    return note(journal, line, (size_t)n);
}

static int circuit_of(const char *state)
{
    return strcmp(state, "closed") == 0 ? 0 : strcmp(state, "half_open") == 0 ? 1 : 2;
}

static bool note_batch(int journal, const struct tg_batch_info *b)
{
    char line[256];
    int n = snprintf(line, sizeof line,
                     "B %" PRId64 " %" PRIu64 " %zu %" PRId64 " %" PRId64 " %" PRIu32 " %" PRIu32
                     " %" PRId64 " %" PRId32 " %d %d %d %" PRId64 "\n",
                     b->chat_id, b->id, b->n, b->started_us, b->ended_us, b->requests,
                     b->flood_waits, b->flood_wait_s, b->rate_limit_remaining, b->last,
                     circuit_of(b->circuit_state), (int)(b->success_rate * 1000),
                     b->avg_response_us);

    return note(journal, line, (size_t)n);
}

/* Further settings, and the chats. @return how many chats there are */
static size_t arguments(struct tg_config *config, char **word, char *chats, const char *chat[16])
{
    struct tg_error err;
    size_t n = 0;

    for (; *word; word++) {
        char *value = strchr(*word, '=');

        if (value)
            *value++ = 0;
        if (!value || tg_config_set(config, *word, value, &err) != TG_OK)
            return 0;
    }
    for (char *at; n < 16 && (at = strsep(&chats, ","));)
        chat[n++] = at;
    return n;
}

static tg_code on_batch(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    int journal = *(int *)ctx;
    struct tg_batch_info info;
    size_t done = 0;

    tg_batch_info(batch, &info);
    if (!note_batch(journal, &info))
        return tg_fail(err, TG_SINK, "could not write the journal");
    for (size_t step = 1; step <= 3 && done < info.n; step++) {
        size_t upto = step == 3 ? info.n : (info.n * step + info.id % 3) / 3;
        tg_code code;

        for (size_t i = done; i < upto; i++)
            if (!note_row(journal, 'D', tg_batch_get(batch, i)))
                return tg_fail(err, TG_SINK, "could not write the journal");
        if (upto == done)
            continue;
        code = tg_batch_commit(batch, upto, err);
        if (code != TG_OK)
            return code;
        if (!note_row(journal, 'C', tg_batch_get(batch, upto - 1)))
            return tg_fail(err, TG_SINK, "could not write the journal");
        done = upto;
    }
    return TG_OK;
}

int main(int argc, char **argv)
{
    const struct {
        const char *name, *value;
    } setting[] = { { "session", argv[1] }, { "datacenter", argv[2] }, { "state", argv[3] },
                    { "to", argv[5] },      { "job", "job" },          { "batch-size", "60" },
                    { "checkpoint-interval", "1000" } };
    struct tg_extract_result result;
    struct tg_account *account = NULL;
    struct tg_config *config;
    struct tg_error err = { 0 };
    const char *chat[16];
    tg_code code = TG_OK;
    size_t n_chats;
    int journal;

    if (argc < 7)
        return tg_code_exit(TG_USAGE);
    journal = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    config = tg_config_new();
    if (journal < 0 || !config)
        return tg_code_exit(TG_IO);
    n_chats = arguments(config, argv + 7, argv[6], chat);
    if (!n_chats)
        return tg_code_exit(TG_USAGE);
    for (size_t i = 0; code == TG_OK && i < sizeof setting / sizeof setting[0]; i++)
        if (strcmp(setting[i].value, "-") != 0)
            code = tg_config_set(config, setting[i].name, setting[i].value, &err);
    if (code == TG_OK)
        code = tg_account_open(config, NULL, NULL, &account, &err);
    if (code == TG_OK) {
        struct tg_extract_hooks hooks = { .batch = on_batch, .ctx = &journal };

        code = tg_extract(account, config, chat, n_chats, &hooks, &result, &err);
    }
    if (code != TG_OK)
        fprintf(stderr, "commit_client: %s\n", err.message);
    tg_account_close(account);
    tg_config_free(config);
    close(journal);
    return tg_code_exit(code);
}
