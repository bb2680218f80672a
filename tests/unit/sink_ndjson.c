/* SPDX-License-Identifier: MIT */
/*
 * sink_ndjson.c - NDJSON files: the contract of all sinks, the order of a commit, damage by hand
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json_read.h"
#include "sink/parts.h"

#define FILES_URL "ndjson:out"
#include "tests/unit/sink_files.h"

const struct sink_harness harness = { fresh_files, files_done, false };

static void data_is_safe_before_it_gets_its_name(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    const char *log;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 1);
    contract_commit(&c, CHAT, &last, 0);
    log = tg_fs_memory_log(memory, NULL);
    assert_string_equal(log, "create _writer." WRITER "\n"
                         "sync_dir out/chat_-1009\n"
                         "create part-000001.ndjson." WRITER ".tmp\n"
                         "write part-000001.ndjson." WRITER ".tmp 80\n"
                         "create part-000001.json." WRITER ".tmp\n"
                         "write part-000001.json." WRITER ".tmp 531\n"
                         "fsync part-000001.ndjson." WRITER ".tmp\n"
                         "fsync part-000001.json." WRITER ".tmp\n"
                         "rename part-000001.json." WRITER ".tmp part-000001.json\n"
                         "sync_dir out/chat_-1009\n"
                         "rename part-000001.ndjson." WRITER ".tmp part-000001.ndjson\n"
                         "sync_dir out/chat_-1009\n"
                         "create _cursor.json." WRITER ".tmp\n"
                         "write _cursor.json." WRITER ".tmp 501\n"
                         "fsync _cursor.json." WRITER ".tmp\n"
                         "rename _cursor.json." WRITER ".tmp _cursor.json\n"
                         "sync_dir out/chat_-1009\n");
    contract_end(&c);
}

/* ---- files as a person may find or leave them ---- */

static void the_files_are_as_documented(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_manifest m;
    struct contract c;
    char *text;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    text = get_file(&c, "part-000001.ndjson");
    assert_string_equal(text, "{\"chat_id\":-1009,\"id\":1,\"date\":\"2023-11-14T22:13:21Z\","
                              "\"text\":\"message \\\"1\\\"\\n\"}\n"
                              "{\"chat_id\":-1009,\"id\":2,\"date\":\"2023-11-14T22:13:22Z\","
                              "\"text\":\"message \\\"2\\\"\\n\"}\n");
    free(text);
    text = get_file(&c, "part-000001.json");
    assert_true(tg_manifest_read(&m, text, strlen(text)));
    assert_string_equal(m.job, "job");
    assert_int_equal(m.bytes, 160);
    assert_non_null(strstr(text, "\"ranges\":[{\"segment\":0,\"from\":1,\"to\":2}]"));
    assert_non_null(strstr(text, "\"written_at\":\"2024-01-15T10:30:00Z\""));
    text[strlen(text) / 2] ^= 1;
    assert_false(tg_manifest_read(&m, text, strlen(text)));
    free(text);
    contract_end(&c);
}

static void leftovers_are_deleted_and_strangers_kept(void **state)
{
    static const char *const leftover[] = {
        "part-000002.ndjson." WRITER ".tmp", "part-000003.ndjson.2-00000000.tmp",
        "part-000002.json.3-00000001.tmp",   "_cursor.json.1-ffffffff.tmp",
        "_writer.2-00000000",                "_writer.3-1f3a9c01",
    };
    static const char *const stranger[] = {
        "README",           "part-x.ndjson",  "part-0000007.ndjson", "part-1.json",
        "part-000002.json", "x.3-00000001.tmp", "_writer.02-00000000", "_writer.2-0000000G",
        "part-000002.ndjson.4-00000000.tmp", "part-000002.ndjson.tmp", "_cursor.json.tmp",
        "part-2.ndjson.1-00000000.tmp", ".tmp", ".1-00000000.tmp",
    };
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    for (size_t i = 0; i < TG_COUNT(leftover); i++)
        put_file(&c, leftover[i], "{");
    for (size_t i = 0; i < TG_COUNT(stranger); i++)
        put_file(&c, stranger[i], "mine");
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    for (size_t i = 0; i < TG_COUNT(leftover); i++) {
        struct tg_dir *dir = chat_dir(&c);
        struct tg_file *file;

        assert_int_equal(c.env.fs->open(c.env.fs, dir, leftover[i], &file, &c.err), TG_NOT_FOUND);
        c.env.fs->close_dir(c.env.fs, dir);
    }
    for (size_t i = 0; i < TG_COUNT(stranger); i++) {
        char *text = get_file(&c, stranger[i]);

        assert_string_equal(text, "mine");
        free(text);
    }
    contract_end(&c);
}

static void damage_is_reported_and_nothing_deleted(void **state)
{
    enum { REMOVE, REPLACE, SAME_SIZE };
    static const struct {
        const char *file;
        int how;
    } row[] = {
        { "part-000001.ndjson", REMOVE },  { "part-000001.json", REMOVE },
        { "part-000003.json", REMOVE },    { "part-000001.ndjson", REPLACE },
        { "part-000001.json", REPLACE },   { "part-000003.ndjson", REPLACE },
        { "part-000003.ndjson", SAME_SIZE }, { "_cursor.json", REPLACE },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_commit last = { 0 }, got;
        struct contract c;
        char *text;

        contract_start(&c);
        contract_attach(&c, CHAT, &got);
        for (int k = 0; k < 3; k++)
            contract_commit(&c, CHAT, &last, 2);
        contract_commit(&c, CHAT, &last, 0);
        if (row[i].how == REMOVE)
            remove_file(&c, row[i].file);
        else if (row[i].how == REPLACE)
            put_file(&c, row[i].file, "{}\n");
        else {
            text = get_file(&c, row[i].file);
            text[10] ^= 1;
            put_file(&c, row[i].file, text);
            free(text);
        }
        contract_reopen(&c);
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_CORRUPT);
        assert_true(c.err.hint[0] != 0);
        for (size_t k = 0; k < TG_COUNT(row); k++) {
            if (row[i].how == REMOVE && k == i)
                continue;
            if (row[i].how == REMOVE && strcmp(row[i].file, row[k].file) == 0)
                continue;
            free(get_file(&c, row[k].file));
        }
        contract_end(&c);
    }
}

static void a_scan_finds_any_changed_byte(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct contract c;
    char *text;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    contract_commit(&c, CHAT, &last, 2);
    text = get_file(&c, "part-000001.ndjson");
    strstr(text, "message")[3] ^= 1; /* still JSON */
    put_file(&c, "part-000001.ndjson", text);
    free(text);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_CORRUPT);
    assert_non_null(strstr(c.err.message, "SHA-256"));
    assert_int_equal(c.sink.ops->scan(c.sink.self, 999, test_seen, &seen, &c.err), TG_NOT_FOUND);
    contract_end(&c);
}

static void a_manifest_alone_is_replaced(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    put_file(&c, "part-000001.json", "{");
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END);
    contract_commit(&c, CHAT, &last, 2);
    contract_scan(&c, CHAT, 2);
    contract_end(&c);
}

static void the_writer_file_goes_with_the_writer(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_file *file;
    struct tg_dir *dir;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    free(get_file(&c, "_writer." WRITER));
    contract_commit(&c, CHAT, &last, 0); /* complete: the directory is closed meanwhile */
    free(get_file(&c, "_writer." WRITER));
    contract_reopen(&c);
    dir = chat_dir(&c);
    assert_int_equal(c.env.fs->open(c.env.fs, dir, "_writer." WRITER, &file, &c.err), TG_NOT_FOUND);
    c.env.fs->close_dir(c.env.fs, dir);
    contract_end(&c);
}

static void a_stranger_is_not_replaced(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct contract c;
    char *text;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_write(&c, CHAT, 1, 2);
    next = test_commit(&last, CHAT, 2, 2);
    put_file(&c, "part-000001.ndjson", "mine");
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_CONFLICT);
    assert_non_null(strstr(c.err.message, "part-000001.ndjson"));
    text = get_file(&c, "part-000001.ndjson");
    assert_string_equal(text, "mine");
    free(text);
    contract_end(&c);
}

static void a_rollback_under_way_is_waited_for(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_lock *lock;
    struct tg_dir *dir;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    put_file(&c, ".rollback", "");
    dir = chat_dir(&c);
    assert_int_equal(c.env.fs->lock(c.env.fs, dir, ".rollback", &lock, &c.err), TG_OK);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_BUSY);
    assert_int_equal(c.sink.ops->rollback(c.sink.self, CHAT, &test_fence, 0, &c.err), TG_BUSY);
    c.env.fs->unlock(c.env.fs, lock);
    c.env.fs->close_dir(c.env.fs, dir);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    contract_end(&c);
}

static void a_full_disk_is_waited_out(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    contract_write(&c, CHAT, 3, 4);
    next = test_commit(&last, CHAT, 6, 4);
    tg_fs_memory_fail(memory, 2, TG_FULL, true);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_FULL);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_FULL);
    tg_fs_memory_fail(memory, 0, TG_FULL, false);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &last));
    contract_commit(&c, CHAT, &last, 4);
    contract_scan(&c, CHAT, 6);
    contract_end(&c);
}

static void a_chat_whose_rows_were_lost_is_told_so_and_no_other(void **state)
{
    struct tg_commit last = { 0 }, other = { 0 }, next, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_attach(&c, OTHER_CHAT, &got);
    contract_commit(&c, CHAT, &last, 2);
    for (int step = 0; step < 2; step++) {
        contract_write(&c, CHAT, 3, 4);
        tg_fs_memory_fail(memory, 1, TG_FULL, true);
        contract_write(&c, OTHER_CHAT, (int64_t)other.rows_total + 1, 3); /* CHAT's are lost */
        tg_fs_memory_fail(memory, 0, TG_FULL, false);
        next = test_commit(&last, CHAT, 6, 4);
        if (step) {
            test_rows(c.batch, CHAT, 7, 1);
            assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_FULL);
        }
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_FULL);
        next = test_commit(&other, OTHER_CHAT, (int64_t)other.rows_total + 3, 3);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
        other = next;
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
        assert_true(test_same_commit(&got, &last));
    }
    contract_commit(&c, CHAT, &last, 4);
    contract_scan(&c, CHAT, 6);
    contract_scan(&c, OTHER_CHAT, 6);
    contract_end(&c);
}

static void large_rows_pass_the_buffer(void **state)
{
    enum { LARGE = 700 * 1024 };
    struct tg_commit last = { 0 }, got;
    struct contract c;
    char *text = malloc(LARGE);

    (void)state;
    memset(text, 'x', LARGE);
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int64_t id = 1; id <= 3; id++) {
        struct tg_commit next = test_commit(&last, CHAT, id, 1);

        test_rows(c.batch, CHAT, id, 1);
        TG_ROW_SET(&c.batch->row[0], text, tg_batch_text(c.batch, text, LARGE));
        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
        last = next;
    }
    contract_scan(&c, CHAT, 3);
    free(text);
    contract_end(&c);
}

static void urls_are_checked(void **state)
{
    static const struct {
        const char *url, *hint;
    } row[] = {
        { "out", "NAME:TARGET" },
        { "ndjsn:out", "ndjson" },
        { "ndjson:", "ndjson:DIR" },
        { "ndjson:out?compress=yes", "no options" },
    };
    struct tg_sink_env env;

    (void)state;
    fresh_files(&env);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_sink sink;
        struct tg_error err;

        assert_int_equal(tg_sink_open(row[i].url, &env, &sink, &err), TG_USAGE);
        assert_non_null(strstr(err.hint, row[i].hint));
    }
    files_done();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        SINK_CONTRACT_TESTS,
        cmocka_unit_test(data_is_safe_before_it_gets_its_name),
        cmocka_unit_test(the_files_are_as_documented),
        cmocka_unit_test(leftovers_are_deleted_and_strangers_kept),
        cmocka_unit_test(damage_is_reported_and_nothing_deleted),
        cmocka_unit_test(a_scan_finds_any_changed_byte),
        cmocka_unit_test(a_manifest_alone_is_replaced),
        cmocka_unit_test(the_writer_file_goes_with_the_writer),
        cmocka_unit_test(a_stranger_is_not_replaced),
        cmocka_unit_test(a_rollback_under_way_is_waited_for),
        cmocka_unit_test(a_full_disk_is_waited_out),
        cmocka_unit_test(a_chat_whose_rows_were_lost_is_told_so_and_no_other),
        cmocka_unit_test(large_rows_pass_the_buffer),
        cmocka_unit_test(urls_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
