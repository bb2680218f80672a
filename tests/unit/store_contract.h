/* SPDX-License-Identifier: MIT */
/*
 * store_contract.h - what every state store must do, as test cases
 *
 * A test program includes this file, defines `const struct store_harness harness`, and puts
 * STORE_CONTRACT_TESTS into its list of tests.
 */
#ifndef TG_TEST_STORE_CONTRACT_H
#define TG_TEST_STORE_CONTRACT_H

#include <stdio.h>
#include <stdlib.h>

#include "store/store.h"

struct store_harness {
    /** Empties the store. @return its URL; opening it again shows the same contents */
    const char *(*fresh)(void);
    void (*done)(void);
};

extern const struct store_harness harness;

/* Two handles on one store: two processes, as far as a store can tell. */
struct contract {
    struct tg_store a, b;
    struct tg_error err;
};

static inline void contract_start(struct contract *c)
{
    const char *url = harness.fresh();

    assert_int_equal(tg_store_open(url, &c->a, &c->err), TG_OK);
    assert_int_equal(tg_store_open(url, &c->b, &c->err), TG_OK);
}

/* A store that cannot be opened says why, with a hint and without a password ("s3cr..."). */
static inline void contract_refused(const char *url, enum tg_store_use use, tg_code code,
                                    const char *says)
{
    struct tg_store store = { 0 };
    struct tg_error err = { .message = "" };
    tg_code got = use == TG_STORE_CREATE ? tg_store_open(url, &store, &err)
                                         : tg_store_open_existing(url, use, &store, &err);

    if (got != code || !strstr(err.message, says) || !err.hint[0] || strstr(err.message, "s3cr"))
        fail_msg("%s: %s %s (%s)", url, tg_code_name(got), err.message, err.hint);
    tg_store_close(&store);
}

static inline void contract_end(struct contract *c)
{
    tg_store_close(&c->a);
    tg_store_close(&c->b);
    harness.done();
}

static inline tg_code contract_put(struct tg_store *s, const char *key, uint64_t expect,
                                   uint64_t fence, const char *text, struct tg_error *err)
{
    const struct tg_doc stamp = { .at_us = 1000 + (int64_t)expect, .fence = fence };

    return s->ops->put(s->self, "checkpoint", key, expect, &stamp, text, strlen(text), err);
}

static inline tg_code contract_get(struct tg_store *s, const char *key, struct tg_doc *ret,
                                   char *text, size_t size, struct tg_error *err)
{
    struct tg_buf bytes;
    tg_code code;

    tg_buf_init(&bytes, 2 << 20);
    code = s->ops->get(s->self, "checkpoint", key, ret, &bytes, err);
    if (code == TG_OK)
        snprintf(text, size, "%s", tg_buf_cstr(&bytes));
    tg_buf_done(&bytes);
    return code;
}

static void a_missing_document_is_the_end(void **state)
{
    struct contract c;
    struct tg_doc doc;
    char text[32];

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), TG_END);
    contract_end(&c);
}

static void a_document_is_replaced_by_compare_and_swap(void **state)
{
    static const struct {
        const char *name;
        uint64_t expect, fence;
        tg_code want;
        const char *text; /* what stands afterwards */
    } row[] = {
        { "a new one is not version 1 yet", 1, 0, TG_CONFLICT, NULL },
        { "the first", 0, 0, TG_OK, "the first" },
        { "not made twice", 0, 0, TG_CONFLICT, "the first" },
        { "the second", 1, 5, TG_OK, "the second" },
        { "an old version is no base", 1, 5, TG_CONFLICT, "the second" },
        { "a version to come is no base", 3, 5, TG_CONFLICT, "the second" },
        { "an old owner is kept out", 2, 4, TG_CONFLICT, "the second" },
        { "nobody's token is old too", 2, 0, TG_CONFLICT, "the second" },
        { "the third", 2, 5, TG_OK, "the third" },
        { "the fourth, by a new owner", 3, 6, TG_OK, "the fourth, by a new owner" },
    };
    struct contract c;
    struct tg_doc doc = { 0 };
    char text[64];

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_store *s = i % 2 ? &c.b : &c.a;
        tg_code code = contract_put(s, "job", row[i].expect, row[i].fence, row[i].name, &c.err);

        if (code != row[i].want)
            fail_msg("%s: %s", row[i].name, tg_code_name(code));
        if (!row[i].text)
            continue;
        assert_int_equal(contract_get(&c.b, "job", &doc, text, sizeof text, &c.err), TG_OK);
        assert_string_equal(text, row[i].text);
    }
    assert_int_equal(doc.version, 4);
    assert_int_equal(doc.fence, 6);
    assert_int_equal(doc.at_us, 1003);
    contract_end(&c);
}

struct listed {
    char text[512];
    int left; /* documents that may still come */
};

static bool list_doc(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                     size_t len)
{
    struct listed *l = ctx;
    size_t at = strlen(l->text);

    snprintf(l->text + at, sizeof l->text - at, "%s:%d=%.*s ", key, (int)doc->version, (int)len,
             (const char *)bytes);
    return --l->left != 0;
}

static void versions_are_kept_and_pruned(void **state)
{
    struct listed l = { "", 0 };
    struct contract c;
    char text[32];

    (void)state;
    contract_start(&c);
    for (uint64_t i = 0; i < 5; i++) {
        snprintf(text, sizeof text, "v%d", (int)i + 1);
        assert_int_equal(contract_put(&c.a, "job", i, 0, text, &c.err), TG_OK);
    }
    assert_int_equal(c.b.ops->history(c.b.self, "checkpoint", "job", list_doc, &l, &c.err), TG_OK);
    assert_string_equal(l.text, "job:5=v5 job:4=v4 job:3=v3 job:2=v2 job:1=v1 ");
    assert_int_equal(c.b.ops->prune(c.b.self, "checkpoint", "job", 2, &c.err), TG_OK);
    l = (struct listed){ "", 0 };
    assert_int_equal(c.a.ops->history(c.a.self, "checkpoint", "job", list_doc, &l, &c.err), TG_OK);
    assert_string_equal(l.text, "job:5=v5 job:4=v4 ");
    assert_int_equal(c.b.ops->prune(c.b.self, "checkpoint", "job", 100, &c.err), TG_OK);
    assert_int_equal(contract_put(&c.a, "job", 5, 0, "v6", &c.err), TG_OK);
    l = (struct listed){ "", 1 };
    assert_int_equal(c.a.ops->history(c.a.self, "checkpoint", "job", list_doc, &l, &c.err), TG_OK);
    assert_string_equal(l.text, "job:6=v6 ");
    contract_end(&c);
}

static void the_newest_of_each_key_is_listed(void **state)
{
    static const struct {
        const char *prefix, *want;
    } row[] = {
        { "", "a/1:2=y a/2:1=x a_1:1=x b:1=x \xc3\xa9:1=x " },
        { "a/", "a/1:2=y a/2:1=x " },
        { "a/1", "a/1:2=y " },
        { "a%", "" },
        { "\xc3\xa9", "\xc3\xa9:1=x " },
    };
    static const char *const key[] = { "b", "a/2", "a/1", "a_1", "\xc3\xa9" };
    const struct tg_doc stamp = { .at_us = 1 };
    struct contract c;

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(key); i++)
        assert_int_equal(contract_put(&c.a, key[i], 0, 0, "x", &c.err), TG_OK);
    assert_int_equal(contract_put(&c.a, "a/1", 1, 0, "y", &c.err), TG_OK);
    assert_int_equal(c.a.ops->put(c.a.self, "other", "a/3", 0, &stamp, "z", 1, &c.err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct listed l = { "", 0 };

        assert_int_equal(
            c.b.ops->list(c.b.self, "checkpoint", row[i].prefix, list_doc, &l, &c.err), TG_OK);
        assert_string_equal(l.text, row[i].want);
    }
    contract_end(&c);
}

static bool list_entry(void *ctx, const struct tg_log_entry *entry)
{
    struct listed *l = ctx;
    size_t at = strlen(l->text);

    snprintf(l->text + at, sizeof l->text - at, "%d@%d=%.*s ", (int)entry->n, (int)entry->at_us,
             (int)entry->len, (const char *)entry->bytes);
    return --l->left != 0;
}

static void check_log(struct contract *c, uint64_t from, int most, const char *want)
{
    struct listed l = { "", most };

    assert_int_equal(c->b.ops->read(c->b.self, "dead", "job", from, list_entry, &l, &c->err),
                     TG_OK);
    assert_string_equal(l.text, want);
}

static void log_numbers_never_come_again(void **state)
{
    struct contract c;
    uint64_t n = 0;

    (void)state;
    contract_start(&c);
    check_log(&c, 0, 0, "");
    for (int i = 1; i <= 4; i++) {
        struct tg_store *s = i % 2 ? &c.a : &c.b;

        assert_int_equal(s->ops->append(s->self, "dead", "job", 10 * i, "ab", (size_t)i % 3, &n,
                                        &c.err),
                         TG_OK);
        assert_int_equal(n, i);
    }
    check_log(&c, 0, 0, "1@10=a 2@20=ab 3@30= 4@40=a ");
    check_log(&c, 3, 0, "3@30= 4@40=a ");
    check_log(&c, 1, 2, "1@10=a 2@20=ab ");
    assert_int_equal(c.a.ops->drop(c.a.self, "dead", "job", 2, 3, &c.err), TG_OK);
    check_log(&c, 0, 0, "1@10=a 4@40=a ");
    assert_int_equal(c.a.ops->drop(c.a.self, "dead", "job", 0, UINT64_MAX, &c.err), TG_OK);
    check_log(&c, 0, 0, "");
    assert_int_equal(c.a.ops->append(c.a.self, "dead", "job", 50, "x", 1, &n, &c.err), TG_OK);
    assert_int_equal(n, 5);
    assert_int_equal(c.a.ops->append(c.a.self, "dead", "another", 60, "x", 1, &n, &c.err), TG_OK);
    assert_int_equal(n, 1);
    contract_end(&c);
}

static void a_lease_has_one_owner_at_a_time(void **state)
{
    enum { TAKE, RENEW, RELEASE };
    /* who: 0 or 1; a renewal uses the token that this one got last */
    static const struct {
        const char *name;
        int who, what;
        int64_t now_us;
        tg_code want;
        uint64_t token;
    } row[] = {
        { "a free lease is taken", 0, TAKE, 0, TG_OK, 1 },
        { "not by two", 1, TAKE, 50, TG_BUSY, 0 },
        { "not twice by one", 0, TAKE, 50, TG_BUSY, 1 },
        { "it is renewed", 0, RENEW, 90, TG_OK, 1 },
        { "for the whole time", 1, TAKE, 189, TG_BUSY, 0 },
        { "then it ends", 1, TAKE, 190, TG_OK, 2 },
        { "the old owner has lost it", 0, RENEW, 191, TG_CONFLICT, 1 },
        { "and gives nothing back", 0, RELEASE, 192, TG_OK, 1 },
        { "of the new one's", 0, TAKE, 193, TG_BUSY, 0 },
        { "that is given back", 1, RELEASE, 194, TG_OK, 2 },
        { "and gone for who gave it", 1, RENEW, 195, TG_CONFLICT, 2 },
        { "at once", 0, TAKE, 196, TG_OK, 3 },
        { "late, but nobody came", 0, RENEW, 1000, TG_OK, 3 },
    };
    static const char *const owner[2] = { "host:1", "host:2" };
    struct tg_lease lease[2] = { 0 };
    struct contract c;

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_store *s = row[i].who ? &c.b : &c.a;
        struct tg_lease *l = &lease[row[i].who];
        tg_code code;

        if (row[i].what == TAKE)
            *l = (struct tg_lease){ 0 };
        memcpy(l->owner, owner[row[i].who], strlen(owner[row[i].who]) + 1);
        if (row[i].what == RELEASE)
            code = s->ops->release(s->self, "job", l, &c.err);
        else
            code = s->ops->lease(s->self, "job", row[i].now_us, 100, l, &c.err);
        if (code != row[i].want)
            fail_msg("%s: %s", row[i].name, tg_code_name(code));
        if (code == TG_BUSY) {
            const char *holder = owner[i >= 6];

            assert_non_null(strstr(c.err.message, holder));
            assert_string_equal(l->owner, holder); /* who has it is told */
            l->token = row[i].token;
        }
        if (l->token != row[i].token)
            fail_msg("%s: token %d", row[i].name, (int)l->token);
        if (code == TG_OK && row[i].what != RELEASE)
            assert_int_equal(l->expires_us, row[i].now_us + 100);
    }
    contract_end(&c);
}

static void sizes_have_limits(void **state)
{
    const struct tg_doc stamp = { .at_us = 1 };
    char *large = calloc(1, (1 << 20) + 1), key[300];
    struct contract c;
    struct tg_doc doc;
    char text[8];

    (void)state;
    contract_start(&c);
    memset(key, 'k', sizeof key);
    key[257] = 0;
    assert_int_equal(contract_put(&c.a, key, 0, 0, "x", &c.err), TG_LIMIT);
    key[256] = 0;
    assert_int_equal(contract_put(&c.a, key, 0, 0, "x", &c.err), TG_OK);
    assert_int_equal(
        c.a.ops->put(c.a.self, "k", "large", 0, &stamp, large, (1 << 20) + 1, &c.err), TG_LIMIT);
    assert_int_equal(c.a.ops->put(c.a.self, "k", "large", 0, &stamp, large, 1 << 20, &c.err),
                     TG_OK);
    assert_int_equal(c.a.ops->put(c.a.self, "k", "empty", 0, &stamp, "", 0, &c.err), TG_OK);
    key[33] = 0;
    assert_int_equal(c.a.ops->put(c.a.self, key, "x", 0, &stamp, "x", 1, &c.err), TG_LIMIT);
    assert_int_equal(contract_get(&c.a, "none", &doc, text, sizeof text, &c.err), TG_END);
    free(large);
    contract_end(&c);
}

static void versions_keep_their_numbers_when_they_are_copied(void **state)
{
    static const struct {
        const char *text;
        uint64_t expect, version, fence;
        tg_code want;
    } row[] = {
        { "the oldest that is kept", 0, 5, 2, TG_OK },
        { "not on top of nothing again", 0, 7, 2, TG_CONFLICT },
        { "with a hole before it", 5, 9, 3, TG_OK },
        { "not in between", 5, 7, 3, TG_CONFLICT },
        { "not by an old owner", 9, 12, 2, TG_CONFLICT },
        { "the next of its own", 9, 0, 3, TG_OK },
    };
    struct listed l = { "", 0 };
    struct contract c;

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const struct tg_doc stamp = { row[i].version, 77, row[i].fence };
        struct tg_store *s = i % 2 ? &c.b : &c.a;
        tg_code code = s->ops->put(s->self, "checkpoint", "job/1", row[i].expect, &stamp,
                                   row[i].text, strlen(row[i].text), &c.err);

        if (code != row[i].want)
            fail_msg("%s: %s", row[i].text, tg_code_name(code));
    }
    assert_int_equal(c.b.ops->history(c.b.self, "checkpoint", "job/1", list_doc, &l, &c.err),
                     TG_OK);
    assert_string_equal(l.text, "job/1:10=the next of its own job/1:9=with a hole before it "
                                "job/1:5=the oldest that is kept ");
    contract_end(&c);
}

/* As text, sorted; what came twice once. */
struct named {
    char text[16][96];
    size_t n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool list_name(void *ctx, const struct tg_store_name *name)
{
    struct named *names = ctx;
    char text[96];

    snprintf(text, sizeof text, "%s/%s:%d %s@%d", name->kind, name->key, (int)name->number,
             name->owner, (int)name->expires_us);
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->text[i], text) == 0)
            return true;
    assert_true(names->n < TG_COUNT(names->text));
    memcpy(names->text[names->n++], text, sizeof text);
    return true;
}

static void check_names(struct contract *c, enum tg_store_shape shape, const char *want)
{
    struct named names = { .n = 0 };
    char all[1024] = "";

    assert_int_equal(c->b.ops->names(c->b.self, shape, list_name, &names, &c->err), TG_OK);
    qsort(names.text, names.n, sizeof names.text[0], by_text);
    for (size_t i = 0; i < names.n; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s, ", names.text[i]);
    assert_string_equal(all, want);
}

static void everything_that_is_there_is_named(void **state)
{
    const struct tg_doc stamp = { .at_us = 1 };
    struct tg_lease mine = { .owner = "host:1" }, free_again = { .owner = "host:2" };
    struct contract c;

    (void)state;
    contract_start(&c);
    for (int shape = TG_STORE_DOCS; shape <= TG_STORE_LEASES; shape++)
        check_names(&c, (enum tg_store_shape)shape, "");
    assert_int_equal(contract_put(&c.a, "job/-5", 0, 0, "x", &c.err), TG_OK);
    assert_int_equal(contract_put(&c.a, "job/-5", 1, 0, "y", &c.err), TG_OK);
    assert_int_equal(contract_put(&c.a, "a:%b", 0, 0, "x", &c.err), TG_OK);
    assert_int_equal(c.a.ops->put(c.a.self, "odd:%", "job", 0, &stamp, "", 0, &c.err), TG_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(c.a.ops->append(c.a.self, "dead", i ? "job" : "j:%x/1", 1, "x", 1, NULL,
                                         &c.err),
                         TG_OK);
    assert_int_equal(c.a.ops->drop(c.a.self, "dead", "job", 0, UINT64_MAX, &c.err), TG_OK);
    assert_int_equal(c.a.ops->lease(c.a.self, "job/a", 100, 50, &mine, &c.err), TG_OK);
    assert_int_equal(c.a.ops->lease(c.a.self, "job/b", 100, 50, &free_again, &c.err), TG_OK);
    assert_int_equal(c.a.ops->release(c.a.self, "job/b", &free_again, &c.err), TG_OK);
    check_names(&c, TG_STORE_DOCS,
                "checkpoint/a:%b:1 @0, checkpoint/job/-5:2 @0, odd:%/job:1 @0, ");
    check_names(&c, TG_STORE_LOGS, "dead/j:%x/1:1 @0, dead/job:2 @0, ");
    check_names(&c, TG_STORE_LEASES, "lease/job/a:1 host:1@150, lease/job/b:1 @0, ");
    contract_end(&c);
}

static void numbers_are_raised_and_go_on_from_there(void **state)
{
    struct tg_lease mine = { .owner = "host:1" }, next = { .owner = "host:2" };
    struct contract c;
    uint64_t n = 0;

    (void)state;
    contract_start(&c);
    for (int i = 0; i < 2; i++) /* the second time changes nothing */
        assert_int_equal(c.a.ops->raise(c.a.self, TG_STORE_LOGS, "dead", "job", 99, &c.err),
                         TG_OK);
    assert_int_equal(c.b.ops->append(c.b.self, "dead", "job", 1, "x", 1, &n, &c.err), TG_OK);
    assert_int_equal(n, 100);
    assert_int_equal(c.a.ops->raise(c.a.self, TG_STORE_LOGS, "dead", "job", 9, &c.err), TG_OK);
    assert_int_equal(c.b.ops->append(c.b.self, "dead", "job", 1, "y", 1, &n, &c.err), TG_OK);
    assert_int_equal(n, 101);
    check_log(&c, 0, 0, "100@1=x 101@1=y ");

    assert_int_equal(c.a.ops->raise(c.a.self, TG_STORE_LEASES, "lease", "job", 7, &c.err), TG_OK);
    check_names(&c, TG_STORE_LEASES, "lease/job:7 @0, ");
    assert_int_equal(c.b.ops->lease(c.b.self, "job", 0, 100, &mine, &c.err), TG_OK);
    assert_int_equal(mine.token, 8);
    assert_int_equal(c.a.ops->raise(c.a.self, TG_STORE_LEASES, "lease", "job", 5, &c.err), TG_OK);
    assert_int_equal(c.b.ops->lease(c.b.self, "job", 1, 100, &mine, &c.err), TG_OK);
    assert_int_equal(c.a.ops->raise(c.a.self, TG_STORE_LEASES, "lease", "job", 50, &c.err),
                     TG_OK);
    assert_int_equal(c.a.ops->lease(c.a.self, "job", 1, 100, &next, &c.err), TG_BUSY);
    mine.token = 50; /* whoever raised it knows */
    assert_int_equal(c.b.ops->release(c.b.self, "job", &mine, &c.err), TG_OK);
    next = (struct tg_lease){ .owner = "host:2" };
    assert_int_equal(c.a.ops->lease(c.a.self, "job", 2, 100, &next, &c.err), TG_OK);
    assert_int_equal(next.token, 51);
    contract_end(&c);
}

#define STORE_CONTRACT_TESTS                                                                       \
    cmocka_unit_test(a_missing_document_is_the_end),                                               \
        cmocka_unit_test(a_document_is_replaced_by_compare_and_swap),                              \
        cmocka_unit_test(versions_are_kept_and_pruned),                                            \
        cmocka_unit_test(the_newest_of_each_key_is_listed),                                        \
        cmocka_unit_test(log_numbers_never_come_again),                                            \
        cmocka_unit_test(a_lease_has_one_owner_at_a_time), cmocka_unit_test(sizes_have_limits),    \
        cmocka_unit_test(versions_keep_their_numbers_when_they_are_copied),                        \
        cmocka_unit_test(everything_that_is_there_is_named),                                       \
        cmocka_unit_test(numbers_are_raised_and_go_on_from_there)

#endif
