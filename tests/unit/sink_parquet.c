/* SPDX-License-Identifier: MIT */
/*
 * sink_parquet.c - Parquet files: the contract of all sinks, rows that come back as they were,
 * row groups, files that are none. How others read them: tests/cli/test_destinations.py
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sink/parquet_impl.h"
#include "sink/parquet_read.h"
#include "sink/thrift.h"

#define FILES_URL "parquet:out"
#include "tests/unit/sink_files.h"

const struct sink_harness harness = { fresh_files, files_done, false };

/* Gathers rows as lines of JSON. */
static tg_code gather(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        tg_row_json(&batch->row[i], ctx);
        tg_buf_byte(ctx, '\n');
    }
    return TG_OK;
}

static void read_all(struct contract *c, struct tg_buf *out)
{
    const struct tg_cursor start = { .chat_id = CHAT };
    struct tg_batch *b = tg_batch_new(7);

    tg_buf_init(out, 64 << 20);
    if (c->sink.ops->read(c->sink.self, CHAT, &start, b, gather, out, &c->err) != TG_OK)
        fail_msg("%s", c->err.message);
    tg_batch_free(b);
}

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Texts of the kinds that matter: few that come again, many that do not, empty, NUL, no UTF-8. */
static struct tg_str some_text(struct tg_batch *b, bool json, uint64_t *seed)
{
    static const struct tg_str odd[] = { { "", 0 }, { "a\0b", 3 }, { "\xff\xfe,", 3 },
                                         { "\xf0\x9f\x91\x8d", 4 }, { "again", 5 } };
    char text[64];
    int n;

    if (json) {
        n = snprintf(text, sizeof text, "[{\"type\":\"bold\",\"offset\":%d}]",
                     (int)(draw(seed) % 9));
        return tg_batch_text(b, text, (size_t)n);
    }
    if (draw(seed) % 2)
        return odd[draw(seed) % TG_COUNT(odd)];
    n = snprintf(text, sizeof text, "%llx", (unsigned long long)draw(seed));
    return tg_batch_text(b, text, (size_t)n);
}

static int64_t some_number(enum tg_field_type type, uint64_t *seed)
{
    static const int64_t odd[] = { INT64_MIN, INT64_MAX, 0, -1, 1 };

    if (type == TG_FIELD_TIME)
        return (int64_t)(draw(seed) % 4000000000) - 1000000000;
    return draw(seed) % 3 ? (int64_t)(draw(seed) % 100) : odd[draw(seed) % TG_COUNT(odd)];
}

static void fill(struct tg_batch *b, int64_t first, size_t n, uint64_t *seed)
{
    test_rows(b, CHAT, first, n);
    for (size_t i = 0; i < n; i++) {
        for (int f = TG_F_owner; f < TG_FIELD_COUNT; f++) {
            enum tg_field_type type = tg_field((enum tg_field_id)f)->type;
            void *member = (char *)&b->row[i] + tg_row_offset[f];

            if (draw(seed) % 4 == 0 && f != TG_F_owner)
                continue;
            if (type == TG_FIELD_STR || type == TG_FIELD_JSON)
                *(struct tg_str *)member = some_text(b, type == TG_FIELD_JSON, seed);
            else
                *(int64_t *)member = type == TG_FIELD_BOOL ? 1 : some_number(type, seed);
            b->row[i].present |= UINT64_C(1) << f;
        }
    }
}

static void rows_come_back_as_they_were(void **state)
{
    static const char *const url[] = { "parquet:out", "parquet:out?compress=none",
                                       "parquet:out?row-group=1", "parquet:out?row-group=7",
                                       "parquet:out?row-group=300&compress=none" };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(url); i++) {
        struct tg_commit last = { 0 }, next, got;
        uint64_t seed = i + 1, id = 1;
        struct tg_buf want, found;
        struct contract c;

        contract_start(&c);
        c.url = url[i];
        contract_reopen(&c);
        contract_attach(&c, CHAT, &got);
        tg_buf_init(&want, 64 << 20);
        for (size_t part = 0; part < 6; part++) {
            uint64_t rows = 0;

            for (size_t k = 0; k < part * part; k++, rows += 64, id += 64) {
                fill(c.batch, (int64_t)id, 64, &seed);
                gather(&want, c.batch, &c.err);
                assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 64, &c.err), TG_OK);
            }
            next = test_commit(&last, CHAT, (int64_t)id - 1, rows);
            assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
            last = next;
        }
        read_all(&c, &found);
        assert_true(want.len > 0 && found.len == want.len);
        assert_memory_equal(found.data, want.data, want.len);
        contract_scan(&c, CHAT, (int64_t)id - 1);
        tg_buf_done(&want);
        tg_buf_done(&found);
        contract_end(&c);
    }
}

static void data_is_safe_before_it_gets_its_name(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    const char *log;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 1);
    log = strstr(tg_fs_memory_log(memory, NULL), "fsync");
    assert_string_equal(log, "fsync part-000001.parquet." WRITER ".tmp\n"
                             "fsync part-000001.json." WRITER ".tmp\n"
                             "rename part-000001.json." WRITER ".tmp part-000001.json\n"
                             "sync_dir out/chat_-1009\n"
                             "rename part-000001.parquet." WRITER ".tmp part-000001.parquet\n"
                             "sync_dir out/chat_-1009\n");
    contract_end(&c);
}

static void a_row_of_any_size_ends_its_group(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    size_t large = 33 << 20;
    char *text = malloc(large);
    struct contract c;
    struct tg_buf found;

    (void)state;
    memset(text, 'x', large);
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int64_t id = 1; id <= 4; id++) {
        test_rows(c.batch, CHAT, id, 1);
        if (id % 2 == 0)
            TG_ROW_SET(&c.batch->row[0], text, ((struct tg_str){ text, (uint32_t)large }));
        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    }
    next = test_commit(&last, CHAT, 4, 4);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    contract_scan(&c, CHAT, 4);
    read_all(&c, &found);
    assert_false(found.failed && found.len < large);
    tg_buf_done(&found);
    free(text);
    contract_end(&c);
}

/* ---- files that are none ---- */

static tg_code count_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    (void)row;
    (void)err;
    return ++*(int *)ctx > 1000 ? TG_END : TG_OK;
}

/* A file of 100 rows in three row groups. */
static void make_file(struct tg_buf *out)
{
    struct tg_parquet p = { 0 };
    struct tg_batch *b = tg_batch_new(100);
    struct tg_error err;
    uint64_t seed = 9;

    tg_buf_init(out, 1 << 20);
    assert_int_equal(tg_parquet_init(&p, TG_PARQUET_ZSTD, 40, out, &err), TG_OK);
    tg_parquet_begin(&p);
    fill(b, 1, 100, &seed);
    for (size_t i = 0; i < b->n; i++)
        if (tg_parquet_row(&p, &b->row[i]))
            assert_int_equal(tg_parquet_end_group(&p, &err), TG_OK);
    assert_int_equal(tg_parquet_end_group(&p, &err), TG_OK);
    assert_int_equal(tg_parquet_end(&p, &err), TG_OK);
    tg_parquet_done(&p);
    tg_batch_free(b);
}

static tg_code read_bytes(const void *bytes, size_t n, int *ret_rows, struct tg_error *err)
{
    struct tg_scratch file;
    tg_code code;

    *ret_rows = 0;
    assert_int_equal(tg_scratch_open(&file, err), TG_OK);
    assert_int_equal(tg_scratch_add(&file, bytes, n, err), TG_OK);
    code = tg_parquet_read(&file, UINT64_MAX, count_row, ret_rows, err);
    tg_scratch_close(&file);
    return code;
}

static void damage_is_told_and_nothing_worse(void **state)
{
    struct tg_error err;
    struct tg_buf file;
    uint64_t seed = 4;
    int rows;

    (void)state;
    make_file(&file);
    assert_int_equal(read_bytes(file.data, file.len, &rows, &err), TG_OK);
    assert_int_equal(rows, 100);
    for (size_t n = 0; n < file.len; n += 1 + n / 16)
        assert_int_equal(read_bytes(file.data, n, &rows, &err), TG_DATA);
    for (int i = 0; i < 1000; i++) {
        /* most of them in the footer: that is where the lengths are */
        size_t at = i % 4 ? file.len - 1 - draw(&seed) % 9000 : draw(&seed) % file.len;
        uint8_t was = file.data[at];
        tg_code code;

        file.data[at] = (uint8_t)draw(&seed);
        code = read_bytes(file.data, file.len, &rows, &err);
        assert_true(code == TG_OK || code == TG_DATA || code == TG_END);
        file.data[at] = was;
    }
    tg_buf_done(&file);
}

static void a_part_that_was_changed_is_told(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 5);
    put_file(&c, "part-000001.parquet", "PAR1PAR1");
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_CORRUPT);
    contract_end(&c);
}

/* Structs and lists without end must not use up the stack. */
static void depth_has_a_bound(void **state)
{
    static const uint8_t nested[] = { 0x19, 0x1c };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(nested); i++) {
        uint8_t *bytes = malloc(1 << 20);
        struct tg_thrift_in in;

        memset(bytes, nested[i], 1 << 20);
        tg_thrift_in_init(&in, bytes, 1 << 20);
        tg_thrift_skip(&in, nested[i] & 15);
        assert_true(in.bad);
        free(bytes);
    }
}

static void what_is_wrong_is_told(void **state)
{
    static const char *const url[] = { "parquet:", "parquet://x", "parquet:x?compress=lzo",
                                       "parquet:x?row-group=0", "parquet:x?row-group=2000000" };
    struct contract c;

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(url); i++) {
        struct tg_sink sink = { 0 };

        assert_int_equal(tg_sink_open(url[i], &c.env, &sink, &c.err), TG_USAGE);
    }
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        SINK_CONTRACT_TESTS,
        cmocka_unit_test(rows_come_back_as_they_were),
        cmocka_unit_test(data_is_safe_before_it_gets_its_name),
        cmocka_unit_test(a_row_of_any_size_ends_its_group),
        cmocka_unit_test(damage_is_told_and_nothing_worse),
        cmocka_unit_test(a_part_that_was_changed_is_told),
        cmocka_unit_test(depth_has_a_bound),
        cmocka_unit_test(what_is_wrong_is_told),
    };

    return cmocka_run_group_tests_name("unit/sink_parquet", test, NULL, NULL);
}
