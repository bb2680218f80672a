/* SPDX-License-Identifier: MIT */
/*
 * Any text as a schema, TL or JSON: it loads or is refused, and what loads can be walked with: each
 * constructor's empty object encodes, and encoded is whole.
 */
#include <assert.h>

#include "tl/value.h"
#include "tl/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 20, SIZE_MAX_IN = 1 << 16 };

static void try_ctor(const struct tl_schema *s, const struct tl_ctor *c)
{
    TG_CLEANUP(tg_arena_done) struct tg_arena arena;
    TG_CLEANUP(tg_buf_done) struct tg_buf out;
    struct tg_error err;
    struct tl_fault fault;

    tg_arena_init(&arena, BYTES_MAX);
    tg_buf_init(&out, BYTES_MAX);
    const struct tl_field *f = tl_ctor_fields(s, c);
    for (int i = 0; i < c->n_fields; i++)
        assert(f[i].type < s->n_types && (f[i].word == TL_NO_FLAG || f[i].word < i));
    if (tl_encode(s, tl_obj(&arena, c->name), &out, &err) != TG_OK)
        return;
    struct tl_reader r = tl_reader_of(out.data, out.len);
    if (tl_skip(s, &r)) /* the walker counts levels a little more strictly than the encoder */
        assert(r.at == r.end);
    else
        assert(tl_explain(s, out.data, out.len, TL_NONE, &fault) && fault.kind == TL_FAULT_DEPTH);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t zeros[256] = { 0 };
    struct tl_schema *s;
    struct tg_error err;

    if (size > SIZE_MAX_IN || tl_schema_load("fuzz", (const char *)data, size, &s, &err) != TG_OK)
        return 0;
    for (uint32_t i = 0; i < s->n_ctors; i++) {
        uint8_t bytes[sizeof zeros + 4];

        try_ctor(s, &s->ctor[i]);
        tg_put_le32(bytes, s->ctor[i].id);
        memcpy(bytes + 4, zeros, sizeof zeros);
        struct tl_reader r = tl_reader_of(bytes, sizeof bytes);
        tl_skip(s, &r);
    }
    tl_schema_free(s);
    return 0;
}
