/* SPDX-License-Identifier: MIT */
/*
 * store_s3.c - state in objects of S3, at a server that checks signatures and conditions: the
 * contract of all stores, what all on objects must do, long lists, damage, a server that is killed,
 * what is wrong
 */
#include "tests/s3_rig.h"
#include "tests/unit/store_objects.h"

#include "client/s3.h"

static char url[200];
static int n_stores;

/* Each test has a prefix of its own. */
static const char *fresh(void)
{
    snprintf(url, sizeof url, "s3://rig/state/s%d?endpoint=%s", ++n_stores, rig.endpoint);
    return url;
}

static void done(void)
{
}

const struct store_harness harness = { fresh, done };

/* An object of the test's store, as somebody else may write it. */
static void meddle(const char *key, const char *text)
{
    char place[64];
    struct tg_s3 *s3;
    struct tg_error err;

    snprintf(place, sizeof place, "//rig/state/s%d", n_stores);
    good(tg_s3_new(place, NULL, rig.endpoint, &s3, &err), &err);
    good(tg_s3_put(s3, key, NULL, text, strlen(text), NULL, &err), &err);
    tg_s3_free(s3);
}

/* ---- lists ---- */

static bool count_key(void *ctx, const char *key, uint64_t size)
{
    char want[16];

    snprintf(want, sizeof want, "n/%04d", (*(int *)ctx)++);
    assert_string_equal(key, want);
    assert_int_equal(size, 1);
    return true;
}

static void lists_longer_than_a_page(void **state)
{
    struct tg_error err;
    struct tg_s3 *s3;
    int n = 0;

    (void)state;
    good(tg_s3_new("//rig/long", NULL, rig.endpoint, &s3, &err), &err);
    for (int i = 0; i < 1007; i++) {
        char key[16];

        snprintf(key, sizeof key, "n/%04d", i);
        good(tg_s3_put(s3, key, NULL, "x", 1, NULL, &err), &err);
    }
    good(tg_s3_list(s3, "n/", NULL, count_key, &n, &err), &err);
    assert_int_equal(n, 1007);
    n = 1005;
    good(tg_s3_list(s3, "n/", "n/1004", count_key, &n, &err), &err);
    assert_int_equal(n, 1007);
    tg_s3_free(s3);
}

/* ---- damage, loss ---- */

static void what_another_wrote_there_is_told(void **state)
{
    static const char *const text[] = {
        "x", "tg1 1 0 5 0000000000000000 0", "tg1 01 0 5 0000000000000000 0\nx",
        "tg1 1 0 5 0000000000000000 0 \nx", "tg1 99999999999999999999 0 5 0000000000000000 0\n",
        "tg1 1 0 5 0000000000000000 4096\n",
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(text); i++) {
        struct tg_lease lease = { .owner = "host:1" };
        struct contract c;
        struct tg_doc doc;
        char got[8];

        contract_start(&c);
        meddle("doc/checkpoint/job", text[i]);
        meddle("last/dead/job", text[i]);
        meddle("log/dead/job/00000000000000000001", text[i]);
        meddle("lease/job", text[i]);
        assert_int_equal(contract_get(&c.a, "job", &doc, got, sizeof got, &c.err), TG_CORRUPT);
        assert_non_null(strstr(c.err.message, "doc/checkpoint/job"));
        assert_int_equal(contract_put(&c.a, "job", 1, 0, "x", &c.err), TG_CORRUPT);
        assert_int_equal(c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, NULL, &c.err),
                         TG_CORRUPT);
        assert_int_equal(c.a.ops->read(c.a.self, "dead", "job", 0, list_entry, got, &c.err),
                         TG_CORRUPT);
        assert_int_equal(c.a.ops->lease(c.a.self, "job", 0, 100, &lease, &c.err), TG_CORRUPT);
        contract_end(&c);
    }
}

static void a_server_that_is_killed(void **state)
{
    struct contract c;
    struct tg_doc doc;
    char text[8];

    (void)state;
    contract_start(&c);
    good(contract_put(&c.a, "job", 0, 1, "one", &c.err), &c.err);
    s3_stop();
    assert_int_equal(contract_put(&c.a, "job", 1, 1, "two", &c.err), TG_STATE);
    assert_true(c.err.hint[0] != 0);
    s3_start();
    good(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), &c.err);
    assert_string_equal(text, "one");
    good(contract_put(&c.a, "job", 1, 1, "two", &c.err), &c.err);
    contract_end(&c);
}

/* ---- what is wrong ---- */

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *place;
        enum tg_store_use use;
        tg_code code;
        const char *says;
    } row[] = {
        { "s3://", TG_STORE_CREATE, TG_USAGE, "no place" },
        { "s3:rig", TG_STORE_CREATE, TG_USAGE, "no place" },
        { "s3://Rig/a", TG_STORE_CREATE, TG_USAGE, "no place" },
        { "s3://rig//a", TG_STORE_CREATE, TG_USAGE, "no place" },
        { "s3://rig/a/../b", TG_STORE_CREATE, TG_USAGE, "no place" },
        { "s3://rig/a%20b", TG_STORE_CREATE, TG_USAGE, "no place" },
        { "s3://nowhere/a", TG_STORE_CREATE, TG_NOT_FOUND, "no bucket 'nowhere'" },
        { "s3://nowhere/a", TG_STORE_LOOK, TG_NOT_FOUND, "no bucket 'nowhere'" },
        { "s3://rig/empty", TG_STORE_CHANGE, TG_NOT_FOUND, "s3://rig/empty holds no state" },
        { "s3://rig/empty", TG_STORE_LOOK, TG_NOT_FOUND, "s3://rig/empty holds no state" },
    };
    char text[200];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        snprintf(text, sizeof text, "%s?endpoint=%s", row[i].place, rig.endpoint);
        contract_refused(text, row[i].use, row[i].code, row[i].says);
    }
    contract_refused("s3://rig/a?endpoint=http://127.0.0.1:1", TG_STORE_CREATE, TG_STATE,
                     "127.0.0.1:1");
    contract_refused("s3://rig/a?endpoint=ftp://x", TG_STORE_CREATE, TG_USAGE, "ftp://x");
    fresh();
    meddle("version/form", "tgdata state 7\n");
    contract_refused(url, TG_STORE_CREATE, TG_UNUSABLE, "tgdata state 7");
}

static void keys_that_may_not(void **state)
{
    struct tg_store store = { 0 };
    struct contract c;
    struct tg_doc doc;
    char text[8];

    (void)state;
    contract_start(&c);
    good(contract_put(&c.a, "job", 0, 1, "one", &c.err), &c.err);
    s3_use_keys("ROKEY", "ROSECRET");
    good(tg_store_open_existing(url, TG_STORE_LOOK, &store, &c.err), &c.err);
    good(contract_get(&store, "job", &doc, text, sizeof text, &c.err), &c.err);
    assert_int_equal(contract_put(&store, "job", 1, 1, "x", &c.err), TG_UNUSABLE);
    tg_store_close(&store);
    contract_refused(url, TG_STORE_CHANGE, TG_UNUSABLE, "AccessDenied");
    s3_use_keys("TGKEY", "wrong");
    contract_refused(url, TG_STORE_LOOK, TG_UNUSABLE, "SignatureDoesNotMatch");
    s3_use_keys("NOBODY", "wrong");
    contract_refused(url, TG_STORE_LOOK, TG_UNUSABLE, "InvalidAccessKeyId");
    s3_use_keys("TGKEY", "TGSECRET/all+of=it");
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        STORE_CONTRACT_TESTS,
        STORE_OBJECTS_TESTS,
        cmocka_unit_test(lists_longer_than_a_page),
        cmocka_unit_test(what_another_wrote_there_is_told),
        cmocka_unit_test(a_server_that_is_killed),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(keys_that_may_not),
    };

    return cmocka_run_group_tests_name("unit/store_s3", test, s3_set_up, s3_tear_down);
}
