/* SPDX-License-Identifier: MIT */
/*
 * csv_rows.c - any bytes as a part of CSV: columns, ids, rows; each row gives the same row again
 *
 * The bytes come in pieces of a size that the first byte chooses; where records end must not depend
 * on it.
 */
#include <stdlib.h>

#include "sink/csv_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

/* @return bytes of the record at the beginning, with its end; 0: it has none */
static size_t record(const char *at, size_t len, size_t step)
{
    unsigned whole = 0, pieces = 0;
    size_t want = tg_csv_find_end(&whole, at, len), done = 0;

    while (done < len) {
        size_t n = TG_MIN(step, len - done), found = tg_csv_find_end(&pieces, at + done, n);

        done += found ? found : n;
        if (found) {
            require(done == want);
            return want;
        }
    }
    require(want == 0);
    return 0;
}

static void row_again(struct tg_batch *b)
{
    struct tg_file_columns columns;
    struct tg_buf head, first, again;
    struct tg_error err;
    unsigned state = 0;

    tg_buf_init(&head, 1 << 20);
    tg_buf_init(&first, 1 << 20);
    tg_buf_init(&again, 1 << 20);
    tg_csv_head(&head, true);
    require(!tg_csv_take_head(&columns, (const char *)head.data, head.len - 1));
    tg_csv_row(b->row, &first, true);
    require(tg_csv_find_end(&state, (const char *)first.data, first.len) == first.len);
    tg_batch_clear(b);
    require(tg_csv_read_row(&columns, b, (const char *)first.data, first.len - 1, &err) == TG_OK);
    tg_csv_row(b->row, &again, true);
    require(again.len == first.len && memcmp(again.data, first.data, first.len) == 0);
    tg_buf_done(&head);
    tg_buf_done(&first);
    tg_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data + 1;
    size_t left = size - 1, step, n;
    struct tg_file_columns columns;
    struct tg_batch *b = tg_batch_new(1);
    struct tg_error err;
    int64_t chat_id, id;

    if (size < 1 || size > INPUT_MAX || !b) {
        tg_batch_free(b);
        return 0;
    }
    step = 1 + data[0];
    n = record(at, left, step);
    if (n && !tg_csv_take_head(&columns, at, n - 1)) {
        at += n;
        for (left -= n; (n = record(at, left, step)) > 0; at += n, left -= n) {
            bool wrong = tg_csv_take_ids(&columns, at, n - 1, &chat_id, &id) != NULL;

            tg_batch_clear(b);
            if (tg_csv_read_row(&columns, b, at, n - 1, &err) != TG_OK)
                continue;
            require(!wrong && b->row->chat_id == chat_id && b->row->id == id);
            row_again(b);
        }
    }
    tg_batch_free(b);
    return 0;
}
