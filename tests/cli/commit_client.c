/* SPDX-License-Identifier: MIT */
/*
 * commit_client.c - a program that embeds the library, to be killed: see test_commit.py
 *
 *   commit_client SESSION DATACENTER STATE JOURNAL TO CHAT...      TO "-": no destination
 *
 * The journal gets a line for each row that is delivered ("D chat id"), before it is committed, and
 * one for each commit that returned ("C chat id", the last row of it). A line is one write: what
 * was written when SIGKILL came stays. Each batch is committed in up to three steps.
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

static tg_code on_batch(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    int journal = *(int *)ctx;
    struct tg_batch_info info;
    size_t done = 0;

    tg_batch_info(batch, &info);
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
    tg_code code = TG_OK;
    int journal;

    if (argc < 7)
        return tg_code_exit(TG_USAGE);
    journal = open(argv[4], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    config = tg_config_new();
    if (journal < 0 || !config)
        return tg_code_exit(TG_IO);
    for (size_t i = 0; code == TG_OK && i < sizeof setting / sizeof setting[0]; i++)
        if (strcmp(setting[i].value, "-") != 0)
            code = tg_config_set(config, setting[i].name, setting[i].value, &err);
    if (code == TG_OK)
        code = tg_account_open(config, NULL, NULL, &account, &err);
    if (code == TG_OK) {
        struct tg_extract_hooks hooks = { .batch = on_batch, .ctx = &journal };

        code = tg_extract(account, config, (const char *const *)(argv + 6), (size_t)argc - 6,
                          &hooks, &result, &err);
    }
    if (code != TG_OK)
        fprintf(stderr, "commit_client: %s\n", err.message);
    tg_account_close(account);
    tg_config_free(config);
    close(journal);
    return tg_code_exit(code);
}
