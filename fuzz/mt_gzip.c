/* SPDX-License-Identifier: MIT */
/*
 * mt_gzip.c - fuzzer: bytes of a gzip_packed, whatever they are, and packing them back
 *
 * The first byte chooses the budget. What inflates must keep to it; what is packed must inflate to
 * the same bytes.
 */
#include <assert.h>
#include <stdlib.h>

#include "mtproto/gzip.h"
#include "mtproto/ids.h"
#include "tl/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct mt_gzip *g, const uint8_t *data, size_t size)
{
    struct tg_buf packed;
    struct tl_reader r;
    struct tg_str bytes;
    uint8_t *made;
    size_t n;

    tg_buf_init(&packed, 1 << 24);
    if (mt_gzip_pack(g, data, size, &packed)) {
        assert(packed.len < size && packed.len % 4 == 0);
        r = tl_reader_of(packed.data, packed.len);
        assert(tl_read_u32(&r) == MT_ID_GZIP_PACKED);
        bytes = tl_read_str(&r);
        assert(!r.bad && tl_left(&r) == 0);
        assert(mt_gzip_inflate(g, bytes.at, bytes.len, size, &made, &n) == TG_OK);
        assert(n == size && memcmp(made, data, n) == 0);
    } else {
        assert(packed.len == 0);
    }
    tg_buf_done(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mt_gzip *g = mt_gzip_new();
    uint8_t *made = NULL;
    size_t n = 0, budget;

    if (!g || size < 1) {
        mt_gzip_free(g);
        return 0;
    }
    budget = (size_t)1 << (data[0] % 24);
    if (mt_gzip_inflate(g, data + 1, size - 1, budget, &made, &n) == TG_OK) {
        assert(n <= budget && made);
        if (data[0] & 128)
            free(mt_gzip_take(g));
    }
    mt_gzip_trim(g);
    round_trip(g, data + 1, size - 1);
    mt_gzip_free(g);
    return 0;
}
