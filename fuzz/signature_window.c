/* SPDX-License-Identifier: MIT */
/*
 * signature_window.c - any bytes as a window of signatures and as the head of a chain of them; with
 * the checksum put right as well, since a fuzzer does not guess it. What is taken gives the same
 * bytes again.
 */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "flow/signature_window.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void take_head(const struct tg_window_owner *of, const uint8_t *bytes, size_t size)
{
    struct tg_window_head h;
    struct tg_error err = { 0 };
    struct tg_buf again;

    if (tg_window_head_take(of, bytes, size, &h, &err) != TG_OK) {
        require(err.code == TG_CORRUPT && err.message[0]);
        return;
    }
    tg_buf_init(&again, TG_WINDOW_HEAD_BYTES);
    tg_window_head_put(of, &h, &again);
    require(again.len == size && memcmp(again.data, bytes, size) == 0);
    tg_buf_done(&again);
}

static void take(const struct tg_window_owner *of, const uint8_t *bytes, size_t size)
{
    static struct tg_signature room[TG_WINDOW_MAX];
    struct tg_signatures w;
    struct tg_error err = { 0 };
    struct tg_buf again;
    uint64_t sum;

    take_head(of, bytes, size);
    if (tg_window_take(of, bytes, size, room, &w, &sum, &err) != TG_OK) {
        require(err.code == TG_CORRUPT && err.message[0]);
        return;
    }
    require(w.n <= TG_WINDOW_MAX && w.from >= 1 && w.from <= w.to && tg_signatures_valid(w));
    tg_buf_init(&again, TG_WINDOW_BYTES);
    require(tg_window_put(of, w, &again) == sum);
    require(!again.failed && again.len == size && memcmp(again.data, bytes, size) == 0);
    tg_buf_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tg_window_owner of = { -1001, 0, 1, TG_SIGNATURE_FIELDS };
    struct tg_buf b;

    take(&of, data, size);
    if (size < 8 || size > TG_WINDOW_BYTES + 64)
        return 0;
    tg_buf_init(&b, size);
    tg_buf_add(&b, data, size);
    if (!b.failed) {
        tg_put_le64(b.data + size - 8, XXH3_64bits(data, size - 8));
        take(&of, b.data, size);
    }
    tg_buf_done(&b);
    return 0;
}
