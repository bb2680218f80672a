/* SPDX-License-Identifier: MIT */
/*
 * store_sqlite.c - state in SQLite: the contract of all stores; files that are damaged or foreign
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/store_contract.h"

static char dir[64], path[128], url[200]; /* of the test that runs */

static const char *fresh(void)
{
    snprintf(dir, sizeof dir, "/tmp/tg_store_XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/state.db", dir);
    snprintf(url, sizeof url, "sqlite:%s?busy_timeout=20s", path);
    return url;
}

static void done(void)
{
    static const char *const more[] = { "", "-wal", "-shm" };
    char name[160];

    for (size_t i = 0; i < TG_COUNT(more); i++) {
        snprintf(name, sizeof name, "%s%s", path, more[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(dir), 0);
}

const struct store_harness harness = { fresh, done };

static void put_bytes(const char *bytes, size_t n, off_t at)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

static void exec_sql(const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void check_refused(tg_code want)
{
    struct tg_store s;
    struct tg_error err;
    tg_code code = tg_store_open(url, &s, &err);

    if (code != want)
        fail_msg("%s instead of %s: %s", tg_code_name(code), tg_code_name(want), err.message);
    assert_true(err.hint[0] != 0);
}

static void fill(void)
{
    struct tg_store s;
    struct tg_error err;
    char text[400];

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    assert_int_equal(tg_store_open(url, &s, &err), TG_OK);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(contract_put(&s, "job", i, 0, text, &err), TG_OK);
    tg_store_close(&s);
}

static void unusable_files_are_refused_with_a_hint(void **state)
{
    char noise[4096];

    (void)state;
    memset(noise, 'n', sizeof noise);

    fresh();
    put_bytes(noise, sizeof noise, 0);
    check_refused(TG_CORRUPT);
    done();

    fresh();
    fill();
    put_bytes(noise, sizeof noise, 2 * 4096);
    check_refused(TG_CORRUPT);
    done();

    fresh();
    fill();
    assert_int_equal(truncate(path, 5 * 4096), 0);
    check_refused(TG_CORRUPT);
    done();

    fresh();
    exec_sql("CREATE TABLE mine(x)");
    check_refused(TG_UNUSABLE);
    done();

    fresh();
    fill();
    exec_sql("PRAGMA user_version=99");
    check_refused(TG_UNUSABLE);
    done();

    fresh();
    snprintf(url, sizeof url, "sqlite:%s/none/state.db", dir);
    check_refused(TG_UNUSABLE);
    snprintf(url, sizeof url, "sqlite:%s", dir);
    check_refused(TG_UNUSABLE);
    done();
}

/* What a user without rights sees. @return which step went wrong; 0: none */
static int look_without_rights(void)
{
    struct tg_store s;
    struct tg_error err;
    struct tg_doc doc;
    char text[512];

    if (tg_store_open(url, &s, &err) != TG_OK)
        return 1;
    if (contract_get(&s, "job", &doc, text, sizeof text, &err) != TG_OK || doc.version != 200)
        return 2;
    if (contract_put(&s, "job", 200, 0, "x", &err) != TG_UNUSABLE || !err.hint[0])
        return 3;
    tg_store_close(&s);
    return 0;
}

static void state_can_be_listed_without_the_right_to_write(void **state)
{
    int status;
    pid_t child;

    (void)state;
    fresh();
    fill();
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(dir, 0555), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) /* modes do not bind root */
        _exit(geteuid() == 0 && setuid(65534) < 0 ? 9 : look_without_rights());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    done();
}

static void a_lock_of_another_program_is_a_passing_failure(void **state)
{
    struct tg_store s;
    struct tg_error err;
    sqlite3 *db;

    (void)state;
    fresh();
    fill();
    snprintf(url, sizeof url, "sqlite:%s?busy-timeout=1ms", path);
    assert_int_equal(tg_store_open(url, &s, &err), TG_OK);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(contract_put(&s, "job", 200, 0, "x", &err), TG_STATE);
    assert_int_equal(tg_code_retry(err.code), TG_RETRY_BACKOFF);
    assert_int_equal(sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(contract_put(&s, "job", 200, 0, "x", &err), TG_OK);
    tg_store_close(&s);
    done();
}

static void a_commit_is_durable_by_settings(void **state)
{
    struct tg_store s;
    struct tg_error err;
    sqlite3 *db;
    sqlite3_stmt *stmt;

    (void)state;
    fresh();
    assert_int_equal(tg_store_open(url, &s, &err), TG_OK);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(stmt, 0), "wal");
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    tg_store_close(&s);
    done();
}

/* Another process opens the database, sees so many documents, and closes it. */
static void check_elsewhere(size_t n)
{
    char command[320];

    snprintf(command, sizeof command, "test \"$(sqlite3 %s 'SELECT count(*) FROM doc')\" = %zu",
             path, n);
    assert_int_equal(system(command), 0);
}

/* Else the next other process to end takes itself for the last one, and removes the log. */
static void who_looks_takes_no_lock_away(void **state)
{
    static const char *const key[] = { "one", "two", "three" };
    struct contract c;
    struct tg_store look;

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(key); i++) {
        assert_int_equal(contract_put(&c.a, key[i], 0, 0, "x", &c.err), TG_OK);
        assert_int_equal(tg_store_open_existing(url, TG_STORE_LOOK, &look, &c.err), TG_OK);
        tg_store_close(&look);
        check_elsewhere(i + 1);
    }
    contract_end(&c);
}

static void what_is_done_together_is_there_or_not_at_all(void **state)
{
    struct contract c;
    struct tg_doc doc;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_put(&c.a, "old", 0, 0, "x", &c.err), TG_OK);
    for (int kept = 0; kept < 2; kept++) {
        assert_int_equal(c.a.ops->begin(c.a.self, &c.err), TG_OK);
        assert_int_equal(contract_put(&c.a, "one", 0, 0, "1", &c.err), TG_OK);
        assert_int_equal(contract_put(&c.a, "old", 0, 0, "lost", &c.err), TG_CONFLICT);
        assert_int_equal(contract_put(&c.a, "old", 1, 0, "new", &c.err), TG_OK);
        assert_int_equal(c.a.ops->prune(c.a.self, "checkpoint", "old", 1, &c.err), TG_OK);
        assert_int_equal(c.b.ops->get(c.b.self, "checkpoint", "one", &doc, NULL, &c.err), TG_END);
        assert_int_equal(c.a.ops->end(c.a.self, kept ? TG_OK : TG_CANCELLED, &c.err),
                         kept ? TG_OK : TG_CANCELLED);
        assert_int_equal(c.b.ops->get(c.b.self, "checkpoint", "one", &doc, NULL, &c.err),
                         kept ? TG_OK : TG_END);
        assert_int_equal(c.b.ops->get(c.b.self, "checkpoint", "old", &doc, NULL, &c.err), TG_OK);
        assert_int_equal(doc.version, kept ? 2 : 1);
    }
    contract_end(&c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STORE_CONTRACT_TESTS,
        cmocka_unit_test(who_looks_takes_no_lock_away),
        cmocka_unit_test(what_is_done_together_is_there_or_not_at_all),
        cmocka_unit_test(unusable_files_are_refused_with_a_hint),
        cmocka_unit_test(state_can_be_listed_without_the_right_to_write),
        cmocka_unit_test(a_lock_of_another_program_is_a_passing_failure),
        cmocka_unit_test(a_commit_is_durable_by_settings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
