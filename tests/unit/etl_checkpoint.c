/* SPDX-License-Identifier: MIT */
/*
 * etl_checkpoint.c - the record that ETL tools read, its parameters, hostile text, going back
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <jansson.h>

#include "os/loop.h"
#include "tests/unit/etl_kit.h"

static const struct tg_commit commit = {
    .cursor = { .chat_id = CHAT, .id = 98765432 },
    .seq = 3,
    .batches = 42,
    .rows = 1000,
    .rows_total = 42000,
    .covered_from = 98764000,
    .last_id = 98765430,
    .last_date = 1705314600, /* 2024-01-15T10:30:00Z */
    .fence = 7,
};

static struct tg_checkpoint checkpoint_of(const struct tg_commit *c)
{
    return (struct tg_checkpoint){ .commit = *c, .fence = c->fence };
}

static json_t *stored(struct kit *k)
{
    struct tg_commit ignored;
    struct tg_buf text;
    json_t *o;

    assert_true(kit_checkpoint(k, &ignored, &text) > 0);
    o = json_loadb((const char *)text.data, text.len, 0, NULL);
    assert_non_null(o);
    tg_buf_done(&text);
    return o;
}

/* ---- the record ---- */

/* Names and types of the interface description's example, in its order. */
#define SAVE(at_us)                                                                                \
    tg_checkpoint_save(&k.store, TG_CHECKPOINT_LIVE, &k.job, &c, (at_us), &k.err)
#define LOAD(job) tg_checkpoint_load(&k.store, TG_CHECKPOINT_LIVE, (job), CHAT, &got, &k.err)

static void the_record_is_the_documented_one(void **state)
{
    static const char example[] =
        "{\"job_id\":\"job\",\"group_id\":-1009,\"last_message_id\":98765430,"
        "\"last_message_date\":\"2024-01-15T10:30:00Z\",\"batches_completed\":42,"
        "\"total_messages_processed\":42000,\"last_checkpoint_time\":\"2024-01-15T10:35:00Z\","
        "\"extraction_params\":{\"start_date\":\"2024-01-01T00:00:00Z\",\"batch_size\":1000}}";
    json_t *want = json_loads(example, 0, NULL), *got;
    struct tg_checkpoint c = checkpoint_of(&commit);
    const char *key;
    json_t *value;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 1000);
    k.job.since = 1704067200;
    assert_int_equal(SAVE(INT64_C(1705314900000000)),
                     TG_OK);
    assert_int_equal(c.number, 1);
    got = stored(&k);
    json_object_foreach(want, key, value)
        assert_true(json_equal(value, json_object_get(got, key)));
    assert_int_equal(json_object_size(got), json_object_size(want) + 1);
    assert_true(json_is_object(json_object_get(got, "tgdata")));
    json_decref(got);
    json_decref(want);
    tg_checkpoint_done(&c);
    kit_end(&k);
}

static void before_the_first_message_the_date_is_null(void **state)
{
    struct tg_commit empty = { .cursor.chat_id = CHAT, .seq = 1, .complete = true };
    struct tg_checkpoint c = checkpoint_of(&empty);
    struct tg_commit read;
    struct tg_buf text;
    json_t *got;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 1000);
    assert_int_equal(SAVE(0), TG_OK);
    got = stored(&k);
    assert_true(json_is_null(json_object_get(got, "last_message_date")));
    json_decref(got);
    kit_checkpoint(&k, &read, &text);
    assert_true(test_same_commit(&read, &empty));
    tg_buf_done(&text);
    kit_end(&k);
}

static void what_is_saved_is_loaded(void **state)
{
    struct tg_checkpoint c = checkpoint_of(&commit), got;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 1000);
    assert_int_equal(LOAD(&k.job), TG_END);
    for (uint64_t n = 1; n <= 3; n++) {
        c.commit.seq = n;
        c.commit.cursor.segment = (int32_t)(n & 1);
        c.commit.complete = n == 3;
        assert_int_equal(SAVE((int64_t)n), TG_OK);
        assert_int_equal(LOAD(&k.job), TG_OK);
        assert_true(test_same_commit(&got.commit, &c.commit));
        assert_int_equal(got.number, n);
        assert_int_equal(got.at_us, (int64_t)n);
        tg_checkpoint_done(&got);
    }
    /* somebody else has written meanwhile */
    c.number = 2;
    assert_int_equal(SAVE(9), TG_CONFLICT);
    c.number = 3;
    c.fence = 6;
    assert_int_equal(SAVE(9), TG_CONFLICT);
    kit_end(&k);
}

static void the_log_of_batches_has_a_bound(void **state)
{
    struct tg_checkpoint c = checkpoint_of(&commit);
    json_t *got, *list;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 1000);
    for (uint64_t i = 1; i <= 2500; i++) {
        struct tg_batch_record r = { .id = i, .started_us = 1500000, .ended_us = 2000000,
                                     .rows = 10, .failed = i == 2500 };

        memset(r.error, 'e', sizeof r.error - 1);
        tg_checkpoint_batch(&c, &r);
    }
    assert_int_equal(c.n_batches, TG_BATCH_LOG_MAX);
    assert_int_equal(SAVE(0), TG_OK);
    assert_int_equal(c.n_batches, 0);
    got = stored(&k);
    list = json_object_get(json_object_get(got, "tgdata"), "batches");
    assert_int_equal(json_array_size(list), TG_BATCH_LOG_MAX);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "id")), 1501);
    list = json_array_get(list, TG_BATCH_LOG_MAX - 1);
    assert_string_equal(json_string_value(json_object_get(list, "status")), "failed");
    assert_int_equal(json_string_length(json_object_get(list, "error")), 159);
    json_decref(got);
    tg_checkpoint_done(&c);
    kit_end(&k);
}

static bool count_versions(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                           size_t len)
{
    size_t *n = ctx;

    (void)key;
    (void)bytes;
    (void)len;
    assert_int_equal(doc->version, 32 - *n);
    (*n)++;
    return true;
}

static void old_versions_go(void **state)
{
    struct tg_checkpoint c = checkpoint_of(&commit);
    size_t n = 0;
    struct kit k;

    (void)state;
    kit_start(&k, 1000, 1000);
    k.job.keep_checkpoints = 5;
    for (int i = 0; i < 32; i++)
        assert_int_equal(SAVE(i), TG_OK);
    k.store.ops->history(k.store.self, "checkpoint", "job/-1009", count_versions, &n, &k.err);
    assert_int_equal(n, 5);
    kit_end(&k);
}

/* ---- parameters ---- */

static void other_parameters_are_refused_by_name(void **state)
{
    static const struct tg_extract_settings first = {
        .since = 1704067200, .batch_size = 10, .min_id = 5, .limit = 100
    };
    static const struct {
        const char *differs; /* NULL: the same series */
        struct tg_extract_settings then;
    } row[] = {
        { NULL, { .since = 1704067200, .batch_size = 10, .min_id = 5, .limit = 100 } },
        { NULL, { .since = 1704067200, .batch_size = 99, .min_id = 5, .limit = 100 } },
        { "start_date", { .since = 1704067201, .batch_size = 10, .min_id = 5, .limit = 100 } },
        { "start_date", { .batch_size = 10, .min_id = 5, .limit = 100 } },
        { "end_date",
          { .since = 1704067200, .until = 1, .batch_size = 10, .min_id = 5, .limit = 100 } },
        { "min_id", { .since = 1704067200, .batch_size = 10, .min_id = 6, .limit = 100 } },
        { "max_id",
          { .since = 1704067200, .batch_size = 10, .min_id = 5, .max_id = 9, .limit = 100 } },
        { "limit", { .since = 1704067200, .batch_size = 10, .min_id = 5 } },
        { "raw",
          { .since = 1704067200, .batch_size = 10, .min_id = 5, .limit = 100, .raw = true } },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_checkpoint c = checkpoint_of(&commit), got;
        struct tg_extract_settings then = row[i].then;
        struct kit k;

        kit_start(&k, 1000, 1000);
        k.job.since = first.since;
        k.job.batch_size = first.batch_size;
        k.job.min_id = first.min_id;
        k.job.limit = first.limit;
        assert_int_equal(SAVE(0), TG_OK);
        then.job = "job";
        if (row[i].differs) {
            assert_int_equal(LOAD(&then), TG_USAGE);
            assert_non_null(strstr(k.err.message, row[i].differs));
            assert_true(k.err.hint[0] != 0);
        } else {
            assert_int_equal(LOAD(&then), TG_OK);
            tg_checkpoint_done(&got);
        }
        kit_end(&k);
    }
}

static void job_names_are_checked(void **state)
{
    static const struct {
        const char *name;
        bool good;
    } row[] = { { "a", true }, { "Backfill_2024-01.x", true }, { "", false }, { "a/b", false },
                { "a b", false }, { "caf\303\251", false },
                { "0123456789012345678901234567890123456789012345678901234567890123", false },
                { "012345678901234567890123456789012345678901234567890123456789012", true } };
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        assert_int_equal(tg_job_name_check(row[i].name, &err), row[i].good ? TG_OK : TG_USAGE);
}

/* ---- hostile text ---- */

#define HEAD "{\"group_id\":1,\"last_message_id\":2,\"last_message_date\":null,"
#define TAIL                                                                                       \
    "\"batches_completed\":1,\"total_messages_processed\":2,\"tgdata\":{\"segment\":0,"            \
    "\"cursor\":2,\"owner\":0,\"covered_from\":1,\"seq\":1,\"rows\":2,\"fence\":1}}"

static void hostile_records_are_told_from_good_ones(void **state)
{
    static const struct {
        const char *name, *text;
        bool good;
    } row[] = {
        { "whole", HEAD TAIL, true },
        { "more than is known", HEAD "\"x\":[{}]," TAIL, true },
        { "nothing", "", false },
        { "no object", "[1]", false },
        { "cut", HEAD, false },
        { "behind it more", HEAD TAIL "x", false },
        { "a name twice", HEAD "\"group_id\":3," TAIL, false },
        { "text for a number", "{\"group_id\":\"1\",\"last_message_id\":2," TAIL, false },
        { "a fraction", "{\"group_id\":1.5,\"last_message_id\":2," TAIL, false },
        { "too large a number",
          "{\"group_id\":99999999999999999999,\"last_message_id\":2," TAIL, false },
        { "a date that is none",
          "{\"group_id\":1,\"last_message_id\":2,\"last_message_date\":\"soon\"," TAIL, false },
        { "own part missing", HEAD "\"batches_completed\":1,\"total_messages_processed\":2}",
          false },
        { "own part is text", HEAD "\"batches_completed\":1,\"total_messages_processed\":2,"
                                   "\"tgdata\":\"x\"}", false },
        { "negative count", HEAD "\"batches_completed\":-1,\"total_messages_processed\":2,"
                                 "\"tgdata\":{\"segment\":0,\"cursor\":2,"
                                 "\"owner\":0,\"covered_from\":1,\"seq\":1,"
                                 "\"rows\":2,\"fence\":1}}", false },
        { "fifth segment", HEAD "\"batches_completed\":1,\"total_messages_processed\":2,"
                                 "\"tgdata\":{\"segment\":4,\"cursor\":2,"
                                "\"owner\":0,\"covered_from\":1,\"seq\":1,"
                                 "\"rows\":2,\"fence\":1}}", false },
        { "no UTF-8", "{\"group_id\":1,\"x\":\"\377\"}", false },
        { "a zero byte", "{\"group_id\":1,\"x\":\"\\u0000\"}", false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_commit got = { .seq = 77 };
        struct tg_error err;
        tg_code code = tg_checkpoint_parse(row[i].text, strlen(row[i].text), &got, &err);

        if (code != (row[i].good ? TG_OK : TG_CORRUPT))
            fail_msg("%s: %s", row[i].name, tg_code_name(code));
        assert_int_equal(got.seq, row[i].good ? 1 : 77);
    }
}

static void deep_and_torn_text_is_refused(void **state)
{
    enum { DEEP = 200000 };
    static const char whole[] = HEAD TAIL;
    char *deep = malloc(DEEP), to[32];
    struct tg_commit got;
    struct tg_error err;

    (void)state;
    memset(deep, '[', DEEP);
    assert_int_equal(tg_checkpoint_parse(deep, DEEP, &got, &err), TG_CORRUPT);
    assert_false(tg_checkpoint_to(deep, DEEP, to, sizeof to));
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        memcpy(deep, whole, n);
        assert_int_equal(tg_checkpoint_parse(deep, n, &got, &err), TG_CORRUPT);
    }
    for (size_t n = 0; n < sizeof whole - 1; n++) { /* any byte changed: parsed or refused */
        memcpy(deep, whole, sizeof whole);
        deep[n] = (char)(deep[n] ^ 0x1f);
        if (tg_checkpoint_parse(deep, sizeof whole - 1, &got, &err) != TG_OK)
            assert_int_equal(err.code, TG_CORRUPT);
    }
    free(deep);
}

static void the_destination_is_read_back(void **state)
{
    static const char text[] = "{\"tgdata\":{\"to\":\"ndjson:out\"}}";
    char to[16], small[5];

    (void)state;
    assert_true(tg_checkpoint_to(text, sizeof text - 1, to, sizeof to));
    assert_string_equal(to, "ndjson:out");
    assert_false(tg_checkpoint_to(text, sizeof text - 1, small, sizeof small));
    assert_string_equal(small, "");
    assert_false(tg_checkpoint_to("{\"tgdata\":{\"to\":null}}", 22, to, sizeof to));
}

/* ---- going back ---- */

/* The program's own rollback works on real files: the sink is opened again for each look. */
struct real {
    struct kit k;
    char to[160];
};

static void real_start(struct real *r)
{
    kit_start(&r->k, 100, 100);
    tg_sink_close(&r->k.sink);
    snprintf(r->to, sizeof r->to, "ndjson:%s/out", r->k.dir);
    r->k.env.fs = &tg_fs_system;
    r->k.job.to = r->to;
    assert_int_equal(tg_sink_open(r->to, &r->k.env, &r->k.sink, &r->k.err), TG_OK);
}

static void remove_all(const char *dir)
{
    struct tg_error err;
    struct tg_dir *d;
    char chat[160];
    static const char *const more[] = { "_cursor.json", ".rollback" };

    snprintf(chat, sizeof chat, "%s/out/chat_%d", dir, CHAT);
    assert_int_equal(tg_fs_system.open_dir(&tg_fs_system, chat, true, &d, &err), TG_OK);
    for (int i = 1; i < 40; i++) {
        char name[40];

        snprintf(name, sizeof name, "part-%06d.ndjson", i);
        tg_fs_system.unlink(&tg_fs_system, d, name, &err);
        snprintf(name, sizeof name, "part-%06d.json", i);
        tg_fs_system.unlink(&tg_fs_system, d, name, &err);
    }
    for (size_t i = 0; i < TG_COUNT(more); i++)
        tg_fs_system.unlink(&tg_fs_system, d, more[i], &err);
    tg_fs_system.close_dir(&tg_fs_system, d);
    assert_int_equal(rmdir(chat), 0);
    snprintf(chat, sizeof chat, "%s/out", dir);
    assert_int_equal(rmdir(chat), 0);
}

static void real_end(struct real *r)
{
    kit_close(&r->k);
    remove_all(r->k.dir);
    kit_open(&r->k);
    kit_end(&r->k);
}

static void going_back_cuts_destination_and_checkpoint(void **state)
{
    struct tg_commit last;
    struct tg_buf text;
    struct real r;
    json_t *o, *own;

    (void)state;
    real_start(&r);
    assert_int_equal(kit_extract(&r.k, 550), TG_OK); /* checkpoints 1..6 */
    kit_close(&r.k);
    assert_int_equal(tg_checkpoints_rollback(r.k.state, "job", CHAT, 3, &r.k.err), TG_OK);
    kit_open(&r.k);
    kit_check_rows(&r.k, 300);
    assert_int_equal(kit_checkpoint(&r.k, &last, &text), 7);
    tg_buf_done(&text);
    assert_true(last.seq == 3 && last.rows_total == 300 && !last.complete);
    o = stored(&r.k);
    own = json_object_get(o, "tgdata");
    assert_int_equal(json_integer_value(json_object_get(own, "rolled_back_to")), 3);
    assert_int_equal(json_integer_value(json_object_get(own, "number")), 7);
    json_decref(o);
    r.k.job.checkpoint_interval = 50; /* other cuts from here on */
    assert_int_equal(kit_extract(&r.k, 600), TG_OK);
    kit_check_rows(&r.k, 600);
    kit_close(&r.k);
    /* checkpoint 5 was of the history that is gone: its commit number now means another */
    assert_int_equal(tg_checkpoints_rollback(r.k.state, "job", CHAT, 5, &r.k.err), TG_NOT_FOUND);
    assert_true(r.k.err.hint[0] != 0);
    assert_int_equal(tg_checkpoints_rollback(r.k.state, "job", CHAT, 99, &r.k.err), TG_NOT_FOUND);
    assert_int_equal(tg_checkpoints_rollback(r.k.state, "job", 5, 1, &r.k.err), TG_NOT_FOUND);
    kit_open(&r.k);
    kit_check_rows(&r.k, 600);
    real_end(&r);
}

static void a_running_job_is_not_rolled_back(void **state)
{
    struct real r;

    (void)state;
    real_start(&r);
    assert_int_equal(kit_extract(&r.k, 250), TG_OK);
    atomic_store(&kit_clock_us, tg_clock_unix_us()); /* the rollback looks at the real clock */
    kit_run(&r.k);
    assert_int_equal(tg_checkpoints_rollback(r.k.state, "job", CHAT, 1, &r.k.err), TG_BUSY);
    assert_true(r.k.err.hint[0] != 0);
    assert_int_equal(kit_finish(&r.k), TG_OK);
    kit_check_rows(&r.k, 250);
    real_end(&r);
}

struct listed {
    size_t n;
    uint64_t first, last;
};

static bool on_listed(void *ctx, const struct tg_checkpoint_info *info)
{
    struct listed *l = ctx;

    assert_string_equal(info->job, "job");
    assert_true(info->json[0] == '{');
    if (l->n++ == 0)
        l->first = info->number;
    l->last = info->number;
    return true;
}

static void checkpoints_are_listed(void **state)
{
    struct listed l = { 0 }, none = { 0 }, all = { 0 }, history = { 0 };
    struct kit k;

    (void)state;
    kit_start(&k, 100, 100);
    assert_int_equal(kit_extract(&k, 350), TG_OK);
    assert_int_equal(tg_checkpoints_list(k.state, "job", on_listed, &l, &k.err), TG_OK);
    assert_true(l.n == 1 && l.first == 4);
    assert_int_equal(tg_checkpoints_list(k.state, NULL, on_listed, &all, &k.err), TG_OK);
    assert_int_equal(all.n, 1);
    assert_int_equal(tg_checkpoints_list(k.state, "jo", on_listed, &none, &k.err),
                     TG_NOT_FOUND);
    assert_int_equal(none.n, 0);
    assert_int_equal(tg_checkpoints_history(k.state, "job", CHAT, on_listed, &history, &k.err),
                     TG_OK);
    assert_true(history.n == 4 && history.first == 4 && history.last == 1);
    kit_end(&k);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_record_is_the_documented_one),
        cmocka_unit_test(before_the_first_message_the_date_is_null),
        cmocka_unit_test(what_is_saved_is_loaded),
        cmocka_unit_test(the_log_of_batches_has_a_bound),
        cmocka_unit_test(old_versions_go),
        cmocka_unit_test(other_parameters_are_refused_by_name),
        cmocka_unit_test(job_names_are_checked),
        cmocka_unit_test(hostile_records_are_told_from_good_ones),
        cmocka_unit_test(deep_and_torn_text_is_refused),
        cmocka_unit_test(the_destination_is_read_back),
        cmocka_unit_test(going_back_cuts_destination_and_checkpoint),
        cmocka_unit_test(a_running_job_is_not_rolled_back),
        cmocka_unit_test(checkpoints_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
