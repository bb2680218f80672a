/* SPDX-License-Identifier: MIT */
/*
 * read.c - reads a chat with the C API and drops the rows, as the other clients of the benchmark do
 *
 *   bench_read SESSION DATACENTER.json CHAT TRANSPORT STATE.db
 *
 * Every row is filled and looked at; nothing is written and no checkpoint moves. Prints one JSON
 * object with the rows and the sum of their ids.
 *
 * Threads: main; the callback on a thread of the library
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <tgdata/tgdata.h>

struct seen {
    uint64_t rows, ids, text_bytes;
};

static tg_code on_batch(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct seen *seen = ctx;
    struct tg_batch_info info;

    (void)err;
    tg_batch_info(batch, &info);
    for (size_t i = 0; i < info.n; i++) {
        const struct tg_row *row = tg_batch_get(batch, i);
        size_t n = 0;

        if (tg_row_text(row, TG_F_text, &n))
            seen->text_bytes += n;
        seen->ids += (uint64_t)tg_row_int(row, TG_F_id);
    }
    seen->rows += info.n;
    return TG_OK;
}

int main(int argc, char **argv)
{
    static const char *const name[] = { "session", "datacenter", NULL, "transport", "state" };
    struct seen seen = { 0 };
    struct tg_extract_hooks hooks = { .batch = on_batch, .ctx = &seen };
    struct tg_extract_result result = { 0 };
    struct tg_config *config = tg_config_new();
    struct tg_account *account = NULL;
    struct tg_error err = { 0 };
    tg_code code = config ? TG_OK : TG_NOMEM;
    char state[4096];

    if (argc != 6) {
        fprintf(stderr, "usage: bench_read SESSION DATACENTER.json CHAT TRANSPORT STATE.db\n");
        return 2;
    }
    snprintf(state, sizeof state, "sqlite:%s", argv[5]);
    for (int i = 0; i < 5 && code == TG_OK; i++)
        if (name[i])
            code = tg_config_set(config, name[i], i == 4 ? state : argv[i + 1], &err);
    if (code == TG_OK)
        code = tg_account_open(config, NULL, NULL, &account, &err);
    if (code == TG_OK) {
        const char *chat = argv[3];

        code = tg_extract(account, config, &chat, 1, &hooks, &result, &err);
    }
    if (code != TG_OK)
        fprintf(stderr, "bench_read: %s\n", err.message);
    tg_account_close(account);
    tg_config_free(config);
    printf("{\"rows\": %" PRIu64 ", \"ids\": %" PRIu64 ", \"text_bytes\": %" PRIu64 "}\n",
           seen.rows, seen.ids, seen.text_bytes);
    return code == TG_OK ? 0 : 1;
}
