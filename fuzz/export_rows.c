/* SPDX-License-Identifier: MIT */
/*
 * export_rows.c - fuzzes the rows of Telegram Desktop exports, and reading rows back
 *
 * The file comes in pieces of a size that its first byte chooses. Each row that it gives is whole
 * JSON, which gives the same row again.
 */
#include <stdlib.h>

#include "export/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

struct feed {
    const uint8_t *at;
    size_t left, step;
};

static tg_code feed(void *ctx, void *bytes, size_t n, size_t *ret_n, struct tg_error *err)
{
    struct feed *f = ctx;

    (void)err;
    *ret_n = TG_MIN(TG_MIN(n, f->step), f->left);
    if (*ret_n)
        memcpy(bytes, f->at, *ret_n);
    f->at += *ret_n;
    f->left -= *ret_n;
    return TG_OK;
}

static void read_back(struct tg_batch *b)
{
    struct tg_buf first, again;
    struct tg_error err;

    tg_buf_init(&first, 32 << 20);
    tg_buf_init(&again, 32 << 20);
    tg_row_json(&b->row[0], &first);
    tg_batch_clear(b);
    require(tg_row_read(b, (const char *)first.data, first.len, &err) == TG_OK);
    tg_row_json(&b->row[0], &again);
    require(again.len == first.len && memcmp(again.data, first.data, first.len) == 0);
    tg_buf_done(&first);
    tg_buf_done(&again);
}

static void try_message(struct tg_export *e, struct tg_batch *b)
{
    const struct tg_export_row about = { .chat_id = -5, .owner = 7, .reader = 7, .raw = true,
                                         .kind = e->chat->kind };
    int64_t id, date;
    struct tg_error err;
    json_t *m;

    if (tg_export_parse(e, &m, &err) != TG_OK)
        return;
    if (!tg_export_identity(m, &id, &date) && id > 0) {
        tg_batch_clear(b);
        require(tg_export_row(m, &about, b, &err) == TG_OK);
        read_back(b);
    }
    json_decref(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed f = { data, size, size ? 1 + data[0] * 16u : 1 };
    const struct tg_export_input input = { feed, &f };
    enum tg_export_event event = TG_EXPORT_OWNER;
    struct tg_batch *b = tg_batch_new(1);
    struct tg_error err = { 0 };
    struct tg_export e;

    if (size > INPUT_MAX || !b) {
        tg_batch_free(b);
        return 0;
    }
    tg_export_init(&e, "input", &input);
    while (event != TG_EXPORT_END) {
        if (tg_export_next(&e, &event, &err) != TG_OK) {
            require(err.message[0]);
            break;
        }
        if (event == TG_EXPORT_MESSAGE)
            try_message(&e, b);
    }
    tg_export_done(&e);
    tg_batch_free(b);
    return 0;
}
