/* SPDX-License-Identifier: MIT */
/*
 * store_postgres.c - state in PostgreSQL, at a real server: the contract of all stores; a server
 * that comes back; what is wrong
 */
#include "tests/postgres_rig.h"
#include "tests/unit/store_contract.h"

static char url[160];
static int n_stores;

/* Each test has tables of its own. */
static const char *fresh(void)
{
    snprintf(url, sizeof url, "postgres:%s?prefix=s%d", rig.address, ++n_stores);
    return url;
}

static void done(void)
{
}

const struct store_harness harness = { fresh, done };

static void a_server_that_comes_back(void **state)
{
    struct contract c;
    struct tg_doc doc;
    char text[32];

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_put(&c.a, "job", 0, 1, "one", &c.err), TG_OK);
    postgres_stop(SIGQUIT);
    assert_int_equal(contract_put(&c.a, "job", 1, 1, "two", &c.err), TG_STATE);
    assert_true(c.err.hint[0] != 0);
    assert_int_equal(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), TG_STATE);
    postgres_start();
    assert_int_equal(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), TG_OK);
    assert_string_equal(text, "one");
    assert_int_equal(contract_put(&c.a, "job", 1, 1, "two", &c.err), TG_OK);
    contract_get(&c.b, "job", &doc, text, sizeof text, &c.err); /* learns that it was cut off */
    assert_int_equal(contract_get(&c.b, "job", &doc, text, sizeof text, &c.err), TG_OK);
    assert_string_equal(text, "two");
    contract_end(&c);
}

static void bytes_are_kept_as_they_are(void **state)
{
    uint8_t all[256];
    struct tg_doc stamp = { .fence = 1 }, doc;
    struct tg_buf got;
    struct contract c;

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    contract_start(&c);
    assert_int_equal(
        c.a.ops->put(c.a.self, "kind", "k", 0, &stamp, all, sizeof all, &c.err), TG_OK);
    tg_buf_init(&got, 1000);
    assert_int_equal(c.b.ops->get(c.b.self, "kind", "k", &doc, &got, &c.err), TG_OK);
    assert_int_equal(got.len, sizeof all);
    assert_memory_equal(got.data, all, sizeof all);
    tg_buf_done(&got);
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *more;
        enum tg_store_use use;
        tg_code code;
        const char *says;
    } row[] = {
        { "?prefix=1x", TG_STORE_CREATE, TG_USAGE, "'1x' is no name for a prefix" },
        { "?schema=nowhere", TG_STORE_CREATE, TG_UNUSABLE, "nowhere" },
        { "?prefix=empty", TG_STORE_CHANGE, TG_NOT_FOUND, "holds no state" },
        { "?prefix=empty", TG_STORE_LOOK, TG_NOT_FOUND, "holds no state" },
        { "?prefix=newer", TG_STORE_CREATE, TG_UNUSABLE, "version 7" },
        { "?sslmode=require", TG_STORE_CREATE, TG_STATE, "SSL" },
    };
    struct contract c;

    (void)state;
    contract_start(&c);
    assert_int_equal(tg_postgres_exec(rig.beside, "CREATE TABLE newer_version(version int);"
                                                  "INSERT INTO newer_version VALUES(7)",
                                      &c.err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char text[200];

        snprintf(text, sizeof text, "postgres:%s%s", rig.address, row[i].more);
        contract_refused(text, row[i].use, row[i].code, row[i].says);
    }
    contract_end(&c);
}

static void one_that_is_looked_at_is_not_changed(void **state)
{
    struct tg_store look = { 0 };
    struct contract c;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_put(&c.a, "job", 0, 1, "one", &c.err), TG_OK);
    assert_int_equal(tg_store_open_existing(url, TG_STORE_LOOK, &look, &c.err), TG_OK);
    assert_int_equal(contract_put(&look, "job", 1, 1, "two", &c.err), TG_UNUSABLE);
    tg_store_close(&look);
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        STORE_CONTRACT_TESTS,
        cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(bytes_are_kept_as_they_are),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(one_that_is_looked_at_is_not_changed),
    };

    return cmocka_run_group_tests_name("unit/store_postgres", test, postgres_set_up,
                                       postgres_tear_down);
}
