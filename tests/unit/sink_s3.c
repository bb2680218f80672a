/* SPDX-License-Identifier: MIT */
/*
 * sink_s3.c - objects of S3 as destination, at a server that checks signatures and conditions: the
 * contract of all sinks; pieces, leftovers, damage, rollbacks and takeovers in each other's way
 */
#include "tests/s3_rig.h"
#include "tests/unit/sink_contract.h"

#include "client/s3.h"

static char url[200];
static int n_places;

/* Each test has a prefix of its own. */
static const char *fresh(struct tg_sink_env *env)
{
    snprintf(url, sizeof url, "s3://rig/out/t%d?endpoint=%s", ++n_places, rig.endpoint);
    *env = (struct tg_sink_env){ .job = "job", .fs = &tg_fs_system, .unix_us = test_unix_us };
    return url;
}

static void done(void)
{
}

const struct sink_harness harness = { fresh, done, false };

static void good(tg_code code, const struct tg_error *err)
{
    if (code != TG_OK)
        fail_msg("%s: %s", tg_code_name(code), err->message);
}

/* ---- objects as a person may find or leave them ---- */

static struct tg_s3 *place(void)
{
    char text[64];
    struct tg_s3 *s3;
    struct tg_error err;

    snprintf(text, sizeof text, "//rig/out/t%d/chat_%d", n_places, CHAT);
    good(tg_s3_new(text, NULL, rig.endpoint, &s3, &err), &err);
    return s3;
}

static void put_object(const char *key, const char *text)
{
    struct tg_s3 *s3 = place();
    struct tg_error err;

    good(tg_s3_put(s3, key, NULL, text, strlen(text), NULL, &err), &err);
    tg_s3_free(s3);
}

static void drop_object(const char *key)
{
    struct tg_s3 *s3 = place();
    struct tg_error err;

    good(tg_s3_drop(s3, key, &err), &err);
    tg_s3_free(s3);
}

static char *get_object(const char *key)
{
    struct tg_s3 *s3 = place();
    struct tg_error err;
    struct tg_buf text;
    char *copy;

    tg_buf_init(&text, 32 << 20);
    good(tg_s3_get(s3, key, &text, NULL, &err), &err);
    copy = strdup(tg_buf_cstr(&text));
    tg_buf_done(&text);
    tg_s3_free(s3);
    return copy;
}

struct names {
    char text[1024];
};

static bool add_name(void *ctx, const char *key, uint64_t size)
{
    struct names *names = ctx;
    size_t n = strlen(names->text);

    (void)size;
    snprintf(names->text + n, sizeof names->text - n, "%s ", key);
    return true;
}

static void check_names(const char *want)
{
    struct names names = { "" };
    struct tg_s3 *s3 = place();
    struct tg_error err;

    good(tg_s3_list(s3, "", NULL, add_name, &names, &err), &err);
    assert_string_equal(names.text, want);
    tg_s3_free(s3);
}

#define ROWS(n, attempt) "part-00000" #n ".3-1f3a9c02." #attempt ".ndjson "
#define SLOT(n) "part-00000" #n ".json "

static void the_objects_are_as_documented(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    char *text;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    check_names(SLOT(1));
    text = get_object("part-000001.json");
    assert_non_null(strstr(text, "{\"format\":\"tgdata writer\",\"version\":1,"
                                 "\"writer\":\"3-1f3a9c02\",\"state\":\"claim\",\"mark\":\""));
    assert_int_equal(strlen(text), 103);
    free(text);
    contract_commit(&c, CHAT, &last, 2);
    check_names(ROWS(1, 1) SLOT(1));
    text = get_object("part-000001.json");
    assert_non_null(strstr(text, "\"file\":\"part-000001.3-1f3a9c02.1.ndjson\""));
    assert_non_null(strstr(text, "\"ranges\":[{\"segment\":0,\"from\":1,\"to\":2}]"));
    free(text);
    text = get_object("part-000001.3-1f3a9c02.1.ndjson");
    assert_string_equal(text, "{\"chat_id\":-1009,\"id\":1,\"date\":\"2023-11-14T22:13:21Z\","
                              "\"text\":\"message \\\"1\\\"\\n\"}\n"
                              "{\"chat_id\":-1009,\"id\":2,\"date\":\"2023-11-14T22:13:22Z\","
                              "\"text\":\"message \\\"2\\\"\\n\"}\n");
    free(text);
    contract_commit(&c, CHAT, &last, 0);
    check_names(ROWS(1, 1) SLOT(1) SLOT(2));
    contract_commit(&c, CHAT, &last, 1);
    check_names(ROWS(1, 1) SLOT(1) ROWS(2, 2) SLOT(2));
    contract_end(&c);
}

static void leftovers_are_removed_and_strangers_kept(void **state)
{
    struct tg_commit last = { 0 }, got;
    char id[TG_S3_ID_MAX];
    struct tg_s3_etag etag;
    struct contract c;
    struct tg_s3 *s3;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    put_object("part-000001.2-00000000.1.ndjson", "late");
    put_object("part-000002.2-00000000.1.ndjson", "never");
    put_object("part-000007.9-00000000.4.csv", "x");
    put_object("README", "mine");
    put_object("part-2.json", "mine");
    s3 = place();
    good(tg_s3_upload(s3, "part-000002.2-00000000.2.ndjson", id, &c.err), &c.err);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    check_names("README " ROWS(1, 1) SLOT(1) SLOT(2) "part-2.json ");
    assert_int_equal(tg_s3_piece(s3, "part-000002.2-00000000.2.ndjson", id, 1, "x", 1, &etag,
                                 &c.err), TG_CONFLICT);
    tg_s3_free(s3);
    contract_scan(&c, CHAT, 2);
    contract_end(&c);
}

static void large_parts_go_in_pieces(void **state)
{
    enum { LARGE = 700 * 1024, ROWS_OF_IT = 27 }; /* 18.5 MiB: three pieces */
    struct tg_commit last = { 0 }, next, got;
    struct contract c;
    char *text = malloc(LARGE);

    (void)state;
    memset(text, 'x', LARGE);
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int round = 0; round < 2; round++) { /* the first is never committed */
        if (round)
            contract_attach(&c, CHAT, &got);
        for (int64_t id = 1; id <= ROWS_OF_IT; id++) {
            test_rows(c.batch, CHAT, id, 1);
            TG_ROW_SET(&c.batch->row[0], text, tg_batch_text(c.batch, text, LARGE));
            good(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), &c.err);
        }
    }
    next = test_commit(&last, CHAT, ROWS_OF_IT, ROWS_OF_IT);
    good(c.sink.ops->commit(c.sink.self, &next, &c.err), &c.err);
    check_names(ROWS(1, 2) SLOT(1));
    contract_scan(&c, CHAT, ROWS_OF_IT);
    free(text);
    contract_end(&c);
}

static void damage_is_reported_and_nothing_removed(void **state)
{
    static const char rows[] = "part-000003.3-1f3a9c02.3.ndjson", first[] =
        "part-000001.3-1f3a9c02.1.ndjson";
    static const struct {
        const char *key, *text; /* NULL: removed */
        tg_code attach;
    } row[] = {
        { rows, NULL, TG_CORRUPT },
        { rows, "{}\n", TG_CORRUPT },
        { "part-000003.json", "{}\n", TG_CORRUPT },
        { "part-000002.json", NULL, TG_CORRUPT },
        { "part-000004.json", "{\"format\":\"tgdata writer\",\"version\":1,\"writer\":\"03-1\","
                              "\"state\":\"claim\",\"mark\":\"0000000000000001\"}\n",
          TG_CORRUPT },
        { first, NULL, TG_OK },     /* only a scan looks at those before */
        { first, "{}\n", TG_OK },
        { "part-000001.json", "{}\n", TG_OK },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
        struct tg_commit last = { 0 }, got;
        struct contract c;

        contract_start(&c);
        contract_attach(&c, CHAT, &got);
        for (int k = 0; k < 3; k++)
            contract_commit(&c, CHAT, &last, 2);
        contract_commit(&c, CHAT, &last, 0);
        if (row[i].text)
            put_object(row[i].key, row[i].text);
        else
            drop_object(row[i].key);
        contract_reopen(&c);
        if (contract_attach(&c, CHAT, &got) != row[i].attach)
            fail_msg("row %d: %s", (int)i, c.err.message);
        assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err),
                         TG_CORRUPT);
        assert_true(c.err.hint[0] != 0);
        contract_end(&c);
    }
}

static void a_scan_finds_any_changed_byte(void **state)
{
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct tg_commit last = { 0 }, got;
    struct contract c;
    char *text;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    text = get_object("part-000001.3-1f3a9c02.1.ndjson");
    strstr(text, "message")[3] ^= 1; /* still JSON */
    put_object("part-000001.3-1f3a9c02.1.ndjson", text);
    free(text);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_CORRUPT);
    assert_non_null(strstr(c.err.message, "SHA-256"));
    assert_int_equal(c.sink.ops->scan(c.sink.self, 999, test_seen, &seen, &c.err), TG_NOT_FOUND);
    contract_end(&c);
}

/* A run that died while it went back left its mark; whoever comes next goes on from what stands. */
static void a_rollback_that_died(void **state)
{
    static const struct tg_fence later = { 5, 7 };
    struct tg_commit last = { 0 }, got, want = { 0 };
    struct contract c;
    char *text;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int k = 0; k < 4; k++) {
        contract_commit(&c, CHAT, &last, 2);
        if (k == 2)
            want = last;
    }
    put_object("part-000004.json", "{\"format\":\"tgdata writer\",\"version\":1,"
                                   "\"writer\":\"4-00000009\",\"state\":\"rollback\","
                                   "\"mark\":\"0000000000000001\"}\n");
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_CONFLICT); /* it is newer */
    good(c.sink.ops->attach(c.sink.self, CHAT, &later, &got, &c.err), &c.err);
    assert_true(test_same_commit(&got, &want));
    text = get_object("part-000003.json"); /* written anew: the dead one finds another */
    assert_non_null(strstr(text, "\"writer\":\"5-00000007\",\"state\":\"commit\",\"mark\":\""));
    free(text);
    contract_scan(&c, CHAT, 6);
    contract_commit(&c, CHAT, &want, 3);
    contract_scan(&c, CHAT, 9);
    good(c.sink.ops->attach(c.sink.self, CHAT, &later, &got, &c.err), &c.err);
    assert_true(test_same_commit(&got, &want));
    contract_end(&c);
}

/* Its answer was lost, the chat was taken up again, and only then it reaches the server. */
static void a_commit_that_comes_late_is_lost(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct tg_sink again;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_write(&c, CHAT, 1, 2);
    good(tg_sink_open(c.url, &c.env, &again, &c.err), &c.err);
    assert_int_equal(again.ops->attach(again.self, CHAT, &test_fence, &got, &c.err), TG_END);
    next = test_commit(&last, CHAT, 2, 2);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_CONFLICT);
    tg_sink_close(&again);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 2);
    contract_end(&c);
}

static void a_chat_goes_on_behind_a_rollback(void **state)
{
    struct tg_commit last = { 0 }, first = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int k = 0; k < 5; k++) {
        contract_commit(&c, CHAT, &last, 2);
        if (k == 0)
            first = last;
    }
    good(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 1, &c.err), &c.err);
    check_names(ROWS(1, 1) SLOT(1) SLOT(2) SLOT(3) SLOT(4) SLOT(5) SLOT(6));
    contract_attach(&c, CHAT, &got);
    assert_true(test_same_commit(&got, &first));
    last = first;
    for (int k = 0; k < 7; k++) { /* through the slots that it left, and on */
        contract_commit(&c, CHAT, &last, k == 2 ? 0 : 1);
        contract_scan(&c, CHAT, (int64_t)last.rows_total);
    }
    contract_reopen(&c);
    contract_attach(&c, CHAT, &got);
    assert_true(test_same_commit(&got, &last));
    contract_end(&c);
}

struct meanwhile {
    struct contract *writer;
    struct tg_commit *last;
    int64_t rows;
};

static bool commit_once(void *ctx, int64_t chat_id, int64_t id)
{
    struct meanwhile *m = ctx;

    (void)id;
    if (m->rows++ == 0)
        contract_commit(m->writer, chat_id, m->last, 2);
    return true;
}

static void a_chat_is_read_while_it_is_written(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_sink reader;
    struct contract c;
    struct meanwhile m = { &c, &last, 0 };

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 3);
    contract_reopen(&c);
    contract_attach(&c, CHAT, &got); /* its claim is listed, what takes its place is not */
    good(tg_sink_open(c.url, &c.env, &reader, &c.err), &c.err);
    good(reader.ops->scan(reader.self, CHAT, commit_once, &m, &c.err), &c.err);
    assert_int_equal(m.rows, 5);
    tg_sink_close(&reader);
    contract_end(&c);
}

static void another_format_is_refused(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    char text[220];

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    snprintf(text, sizeof text, "%s&format=csv", url);
    c.url = text;
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_USAGE);
    assert_non_null(strstr(c.err.message, "another format"));
    contract_end(&c);
}

static void each_format_is_written(void **state)
{
    static const struct {
        const char *format, *begins;
    } row[] = { { "ndjson", "{\"chat_id\":" }, { "csv", "chat_id," }, { "parquet", "PAR1" } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_commit last = { 0 }, got;
        struct contract c;
        char text[220], name[64], *rows;

        contract_start(&c);
        snprintf(text, sizeof text, "%s&format=%s", url, row[i].format);
        c.url = text;
        contract_reopen(&c);
        contract_attach(&c, CHAT, &got);
        contract_commit(&c, CHAT, &last, 3);
        contract_commit(&c, CHAT, &last, 2);
        contract_scan(&c, CHAT, 5);
        snprintf(name, sizeof name, "part-000002.3-1f3a9c02.2.%s", row[i].format);
        rows = get_object(name);
        assert_int_equal(strncmp(rows, row[i].begins, strlen(row[i].begins)), 0);
        free(rows);
        contract_reopen(&c); /* goes on behind what is there */
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
        assert_int_equal(got.rows_total, 5);
        contract_commit(&c, CHAT, &last, 4);
        contract_scan(&c, CHAT, 9);
        contract_end(&c);
    }
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *url;
        tg_code code;
        const char *says;
    } row[] = {
        { "s3:", TG_USAGE, "no place" },
        { "s3://nowhere/a?endpoint=@", TG_IO, "no bucket 'nowhere'" },
        { "s3://rig/a?endpoint=http://127.0.0.1:1", TG_SINK, "127.0.0.1:1" },
        { "s3://rig/a?endpoint=@", TG_IO, "SignatureDoesNotMatch" },
    };
    struct tg_sink_env env;

    (void)state;
    fresh(&env);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_error err = { .message = "" };
        const char *at = strchr(row[i].url, '@');
        struct tg_sink sink;
        char text[200];

        s3_use_keys("TGKEY", i == TG_COUNT(row) - 1 ? "wrong" : "TGSECRET/all+of=it");
        snprintf(text, sizeof text, "%.*s%s", (int)(at ? at - row[i].url : 200), row[i].url,
                 at ? rig.endpoint : "");
        if (tg_sink_open(text, &env, &sink, &err) != row[i].code ||
            !strstr(err.message, row[i].says) || !err.hint[0])
            fail_msg("%s: %s %s (%s)", text, tg_code_name(err.code), err.message, err.hint);
    }
    s3_use_keys("TGKEY", "TGSECRET/all+of=it");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SINK_CONTRACT_TESTS,
        cmocka_unit_test(the_objects_are_as_documented),
        cmocka_unit_test(leftovers_are_removed_and_strangers_kept),
        cmocka_unit_test(large_parts_go_in_pieces),
        cmocka_unit_test(damage_is_reported_and_nothing_removed),
        cmocka_unit_test(a_scan_finds_any_changed_byte),
        cmocka_unit_test(a_rollback_that_died),
        cmocka_unit_test(a_commit_that_comes_late_is_lost),
        cmocka_unit_test(a_chat_goes_on_behind_a_rollback),
        cmocka_unit_test(a_chat_is_read_while_it_is_written),
        cmocka_unit_test(another_format_is_refused),
        cmocka_unit_test(each_format_is_written),
        cmocka_unit_test(what_is_wrong_is_told),
    };

    return cmocka_run_group_tests_name("unit/sink_s3", tests, s3_set_up, s3_tear_down);
}
