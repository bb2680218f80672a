/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as an object of a built-in layer: the four ways to read them agree on whether they are
 * one and how long it is, and what was decoded encodes to something that decodes again.
 */
#include <assert.h>
#include <stdlib.h>

#include "tl/value.h"
#include "tl/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 64 << 20, TEXT_MAX = 64 << 20, SIZE_MAX_IN = 1 << 16 };

static void encode_again(const struct tl_schema *s, const struct tl_value *v)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf out;
    struct tg_error err;
    struct tl_reader r;

    tg_buf_init(&out, ARENA_MAX);
    if (tl_encode(s, v, &out, &err) != TG_OK) {
        assert(err.code == TG_LIMIT || err.code == TG_NOMEM);
        return;
    }
    r = tl_reader_of(out.data, out.len);
    bool whole = tl_skip(s, &r);
    assert(whole && r.at == r.end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TG_CLEANUP(tg_arena_done) struct tg_arena arena = { 0 };
    TG_CLEANUP(tg_buf_done) struct tg_buf text = { 0 };
    static const int32_t layers[] = { 228, 198, 229, 0 };
    struct tl_object o;
    struct tl_fault fault;
    struct tg_json json;

    if (size < 1 || size > SIZE_MAX_IN)
        return 0;
    const struct tl_schema *s = tl_schema_builtin(layers[data[0] & 3]);
    struct tl_reader skip = tl_reader_of(data + 1, size - 1), open = skip, decode = skip,
                     print = skip;
    tg_arena_init(&arena, ARENA_MAX);
    tg_buf_init(&text, TEXT_MAX);
    tg_json_init(&json, &text);
    bool whole = tl_skip(s, &skip);
    bool faulty = tl_explain(s, data + 1, size - 1, TL_NONE, &fault);
    assert(whole != faulty);
    if (faulty)
        tl_fault_text(s, &fault, &text);
    tg_buf_clear(&text);
    const struct tl_value *v = tl_decode(s, &decode, &arena);
    assert(whole == (v != NULL) && decode.at == skip.at);
    bool printed = tl_print_json(s, &print, &json, NULL);
    assert(whole == printed && print.at == skip.at);
    if (tl_object_open(s, &open, &o)) {
        assert(whole && open.at == skip.at && o.end == skip.at);
        for (int i = 0; i < o.ctor->n_fields; i++)
            assert(!o.field[i] || (o.field[i] >= o.start && o.field[i] <= o.end));
    }
    if (v)
        encode_again(s, v);
    return 0;
}
