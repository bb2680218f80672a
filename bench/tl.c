/* SPDX-License-Identifier: MIT */
/*
 * tl.c - how fast pages of 100 messages are walked, opened, printed, decoded, built and encoded
 *
 *   bench_tl [MS]      measures each row for MS milliseconds (default 300)
 *
 * The page is that of tests/page_sample.h. One core, processor time; messages per second and MB/s
 * of TL bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/page_sample.h"
#include "tl/walk.h"

enum { MESSAGES = 100, BUFFER_MAX = 16 << 20 };

static struct {
    const struct tl_schema *schema, *old;
    struct tg_arena page_arena, arena;
    struct tg_buf wire, out;
    const struct tl_value *page;
    struct tg_error err;
    int id, date, text; /* resolved fields of `message` */
    volatile uint64_t sink;
} b;

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void must(bool ok)
{
    if (!ok) {
        fprintf(stderr, "bench_tl: a call failed: %s\n", b.err.message);
        exit(1);
    }
}

static void skip(void)
{
    struct tl_reader r = tl_reader_of(b.wire.data, b.wire.len);

    must(tl_skip(b.schema, &r));
}

/* What a page reader does: messages one by one, with three fields of each. */
static void open_all(void)
{
    struct tl_reader r = tl_reader_of(b.wire.data, b.wire.len), list;
    struct tl_object page, m;
    const struct tl_ctor *message = tl_ctor_by_name(b.schema, TLN_message);
    uint64_t sum = 0;

    int last = tl_ctor_field_index(b.schema, tl_ctor_by_id(b.schema, tl_peek_u32(&r)),
                                   TLN_offset_id_offset);
    must(tl_object_open_until(b.schema, &r, last, &page));
    list = r;
    for (uint32_t n = tl_read_vector(&list, 4); n > 0; n--) {
        must(tl_object_open(b.schema, &list, &m) && m.ctor == message);
        sum += (uint64_t)tl_at_i32(&m, b.id, 0) + (uint64_t)tl_at_i32(&m, b.date, 0);
        sum += tl_at_str(&m, b.text).len;
    }
    b.sink += sum;
}

static void open_page(void)
{
    struct tl_reader r = tl_reader_of(b.wire.data, b.wire.len);
    struct tl_object page;

    must(tl_object_open(b.schema, &r, &page));
}

static void print(void)
{
    struct tl_reader r = tl_reader_of(b.wire.data, b.wire.len);
    struct tg_json json;

    tg_buf_clear(&b.out);
    tg_json_init(&json, &b.out);
    must(tl_print_json(b.schema, &r, &json, NULL) && !b.out.failed);
}

static void decode(void)
{
    struct tl_reader r = tl_reader_of(b.wire.data, b.wire.len);

    tg_arena_clear(&b.arena);
    must(tl_decode(b.schema, &r, &b.arena) != NULL);
}

static void encode(void)
{
    tg_buf_clear(&b.out);
    must(tl_encode(b.schema, b.page, &b.out, &b.err) == TG_OK);
}

static void encode_old(void)
{
    tg_buf_clear(&b.out);
    must(tl_encode(b.old, b.page, &b.out, &b.err) == TG_OK);
}

static void build(void)
{
    tg_arena_clear(&b.arena);
    must(sample_page(&b.arena, MESSAGES, 5000) != NULL);
}

static void build_encode(void)
{
    tg_arena_clear(&b.arena);
    tg_buf_clear(&b.out);
    must(tl_encode(b.schema, sample_page(&b.arena, MESSAGES, 5000), &b.out, &b.err) == TG_OK);
}

static void measure(const char *name, void (*run)(void), int64_t ms)
{
    int64_t start, ns = 0, rounds = 0;

    run();
    for (start = now_ns(); ns < ms * 1000000; ns = now_ns() - start) {
        for (int i = 0; i < 16; i++, rounds++)
            run();
    }
    double s = (double)ns / 1e9;
    printf("%-28s %12.0f msg/s %8.0f MB/s\n", name, (double)rounds * MESSAGES / s,
           (double)rounds * (double)b.wire.len / s / 1e6);
}

int main(int argc, char **argv)
{
    int64_t ms = 300;

    must(argc < 2 || (tg_i64_parse(argv[1], &ms) && ms > 0));
    b.schema = tl_schema_builtin(228);
    b.old = tl_schema_builtin(198);
    must(b.schema && b.old);
    tg_arena_init(&b.page_arena, BUFFER_MAX);
    tg_arena_init(&b.arena, BUFFER_MAX);
    tg_buf_init(&b.wire, BUFFER_MAX);
    tg_buf_init(&b.out, BUFFER_MAX);
    b.page = sample_page(&b.page_arena, MESSAGES, 5000);
    must(tl_encode(b.schema, b.page, &b.wire, &b.err) == TG_OK);
    const struct tl_ctor *message = tl_ctor_by_name(b.schema, TLN_message);
    b.id = tl_ctor_field_index(b.schema, message, TLN_id);
    b.date = tl_ctor_field_index(b.schema, message, TLN_date);
    b.text = tl_ctor_field_index(b.schema, message, TLN_message);
    printf("page of %d messages: %zu bytes\n", MESSAGES, b.wire.len);
    measure("skip", skip, ms);
    measure("open the page", open_page, ms);
    measure("open each message", open_all, ms);
    measure("print as JSON", print, ms);
    measure("decode to a tree", decode, ms);
    measure("encode, layer 228", encode, ms);
    measure("encode, layer 198", encode_old, ms);
    measure("build a tree", build, ms);
    measure("build and encode", build_encode, ms);
    tg_arena_done(&b.page_arena);
    tg_arena_done(&b.arena);
    tg_buf_done(&b.wire);
    tg_buf_done(&b.out);
    return 0;
}
