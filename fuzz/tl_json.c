/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as the JSON of an object: what is read encodes to bytes of the layer, which print as
 * JSON that reads as as many bytes again.
 */
#include <assert.h>

#include "tl/value.h"
#include "tl/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_MAX = 64 << 20, TEXT_MAX = 64 << 20, SIZE_MAX_IN = 1 << 16 };

/* @return whether it is the JSON of an object; then its bytes in out */
static bool encode(const struct tl_schema *s, const char *json, size_t len, struct tg_buf *out)
{
    TG_CLEANUP(tg_arena_done) struct tg_arena arena = { 0 };
    struct tg_error err = { .code = TG_OK };
    const struct tl_value *v;

    tg_arena_init(&arena, ARENA_MAX);
    v = tl_from_json(s, json, len, &arena, &err);
    assert(!v == (err.code != TG_OK));
    return v && tl_encode(s, v, out, &err) == TG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf first, second, text;
    const struct tl_schema *s = tl_schema_builtin(228);
    struct tl_reader r;
    struct tg_json json;

    tg_buf_init(&first, TEXT_MAX);
    tg_buf_init(&second, TEXT_MAX);
    tg_buf_init(&text, TEXT_MAX);
    if (size > SIZE_MAX_IN || !encode(s, (const char *)data, size, &first))
        return 0;
    r = tl_reader_of(first.data, first.len);
    tg_json_init(&json, &text);
    bool printed = tl_print_json(s, &r, &json, NULL);
    assert(printed && r.at == r.end);
    bool again = encode(s, (const char *)text.data, text.len, &second);
    assert(again && second.len == first.len);
    return 0;
}
