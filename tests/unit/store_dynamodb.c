/* SPDX-License-Identifier: MIT */
/*
 * store_dynamodb.c - state in a table of DynamoDB, at moto: the contract of all stores, what all on
 * objects must do, what is wrong
 */
#include "tests/moto_rig.h"
#include "tests/unit/store_objects.h"

static char url[200];
static int n_stores;

/* Each test has a table of its own. */
static const char *fresh(void)
{
    snprintf(url, sizeof url, "dynamodb://state%d?create=yes&endpoint=%s", ++n_stores,
             rig.endpoint);
    return url;
}

static void done(void)
{
}

const struct store_harness harness = { fresh, done };

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *url;
        enum tg_store_use use;
        tg_code code;
        const char *says;
    } row[] = {
        { "dynamodb:", TG_STORE_CREATE, TG_USAGE, "no table" },
        { "dynamodb://ab", TG_STORE_CREATE, TG_USAGE, "no table" },
        { "dynamodb://a/b", TG_STORE_CREATE, TG_USAGE, "no table" },
        { "dynamodb://nowhere?endpoint=@", TG_STORE_CREATE, TG_NOT_FOUND, "no table 'nowhere'" },
        { "dynamodb://nowhere?create=yes&endpoint=@", TG_STORE_LOOK, TG_NOT_FOUND, "'nowhere'" },
        { "dynamodb://nowhere?endpoint=http://127.0.0.1:1", TG_STORE_CREATE, TG_STATE,
          "127.0.0.1:1" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const char *at = strchr(row[i].url, '@');
        char text[200];

        snprintf(text, sizeof text, "%.*s%s", at ? (int)(at - row[i].url) : 200, row[i].url,
                 at ? rig.endpoint : "");
        contract_refused(text, row[i].use, row[i].code, row[i].says);
    }
}

/* A Query answers 1 MB at a time, whatever is wanted of the items. */
static void lists_longer_than_a_page(void **state)
{
    enum { N = 15 };
    struct contract c;
    void *text = large_text(1);
    struct listed l = { "", 0 };

    (void)state;
    contract_start(&c);
    for (int i = 0; i < N; i++)
        good(c.a.ops->append(c.a.self, "dead", "job", 1, text, 200000, NULL, &c.err), &c.err);
    free(text);
    good(c.a.ops->drop(c.a.self, "dead", "job", 2, N - 1, &c.err), &c.err);
    good(c.b.ops->append(c.b.self, "dead", "job", 5, "x", 1, NULL, &c.err), &c.err);
    good(c.b.ops->read(c.b.self, "dead", "job", N + 1, list_entry, &l, &c.err), &c.err);
    assert_string_equal(l.text, "16@5=x ");
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        STORE_CONTRACT_TESTS,
        STORE_OBJECTS_TESTS,
        cmocka_unit_test(lists_longer_than_a_page),
        cmocka_unit_test(what_is_wrong_is_told),
    };

    return cmocka_run_group_tests_name("unit/store_dynamodb", test, moto_set_up, moto_tear_down);
}
