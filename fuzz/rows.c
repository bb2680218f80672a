/* SPDX-License-Identifier: MIT */
/*
 * rows.c - any bytes as a page of messages: opened, told to the peer cache, turned into rows, JSON
 *
 * The first byte chooses the options; the rest is the reply. Rows that came out must encode, and a
 * page must give the same rows a second time.
 */
#include <assert.h>
#include <stdlib.h>

#include "telegram/peers.h"
#include "telegram/rows.h"

static void seen(void *ctx, const struct tg_peer *peer)
{
    size_t *n = ctx;

    *n += strlen(peer->name) + (peer->username ? strlen(peer->username) : 0);
}

/* Fills all rows and appends them as JSON. */
static void rows(const struct tg_page *page, size_t n, const struct tg_row_options *o,
                 struct tg_batch *batch, struct tg_buf *out)
{
    struct tg_error err;

    tg_batch_clear(batch);
    for (size_t i = 0; i < n; i++) {
        tg_code code = tg_page_row(page, i, o, batch, &err);
        const uint8_t *bytes;
        size_t len;

        assert(code == TG_OK || code == TG_END || code == TG_DATA || code == TG_NOMEM);
        tg_page_bytes(page, i, &bytes, &len);
        assert(len >= 8);
        (void)tg_page_migration(page, i);
        (void)tg_page_is_empty(page, i);
        (void)tg_page_date(page, i);
    }
    for (size_t i = 0; i < batch->n; i++)
        tg_row_json(&batch->row[i], out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_row_options o = { .chat_id = -1000000000001, .owner = 5 };
    struct tg_page *page = tg_page_new();
    struct tg_batch *batch = tg_batch_new(256);
    struct tg_buf first, second;
    struct tg_page_info info;
    struct tg_error err;
    size_t n = 0;

    if (!page || !batch || size == 0)
        goto done;
    o.forum = data[0] & 1;
    o.raw = data[0] >> 1 & 1;
    o.copy = data[0] >> 2 & 1;
    tg_buf_init(&first, 64 << 20);
    tg_buf_init(&second, 64 << 20);
    if (tg_page_open(page, tl_schema_builtin(228), data + 1, size - 1, &info, &err) == TG_OK) {
        assert(info.fault == TG_PAGE_WHOLE || info.fault_at + info.fault_len <= size - 1);
        tg_page_peers(page, seen, &n);
        rows(page, info.n, &o, batch, &first);
        rows(page, info.n, &o, batch, &second);
        assert(first.len == second.len);
        assert(first.len == 0 || memcmp(first.data, second.data, first.len) == 0);
    }
    tg_buf_done(&first);
    tg_buf_done(&second);
done:
    tg_batch_free(batch);
    tg_page_free(page);
    return 0;
}
