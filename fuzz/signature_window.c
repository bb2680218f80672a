/* SPDX-License-Identifier: MIT */
/*
 * signature_window.c - any bytes as a window of signatures; with the checksum put right as well,
 * since a fuzzer does not guess it. What is taken gives the same bytes again, and each signature is
 * found by its id.
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

static void take(const struct tg_window_owner *of, const uint8_t *bytes, size_t size)
{
    static struct tg_signature room[TG_WINDOW_MAX];
    struct tg_signatures w;
    struct tg_signature found;
    struct tg_error err = { 0 };
    struct tg_buf again;
    uint64_t sum;

    if (tg_window_take(of, bytes, size, room, &w, &sum, &err) != TG_OK) {
        require(err.code == TG_CORRUPT && err.message[0]);
        return;
    }
    require(w.n <= TG_WINDOW_MAX && w.from >= 1 && w.from <= w.to && tg_signatures_valid(w));
    tg_buf_init(&again, TG_WINDOW_BYTES);
    require(tg_window_put(of, w, &again) == sum);
    require(!again.failed && again.len == size && memcmp(again.data, bytes, size) == 0);
    for (size_t i = 0; i < w.n; i += 1 + w.n / 16)
        require(tg_window_find(bytes, size, w.at[i].id, &found) && found.id == w.at[i].id &&
                !tg_signature_differs(&found, &w.at[i]));
    require(!tg_window_find(bytes, size, w.from - 1, &found));
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
