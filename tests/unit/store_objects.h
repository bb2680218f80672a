/* SPDX-License-Identifier: MIT */
/*
 * store_objects.h - what every store on objects (src/store/objects.h) must do beside the contract:
 * many writers at once, keys of any bytes, documents in pieces
 *
 * A test program defines what store_contract.h asks for before it includes this file, and puts
 * STORE_OBJECTS_TESTS into its list of tests.
 */
#ifndef TG_TEST_STORE_OBJECTS_H
#define TG_TEST_STORE_OBJECTS_H

#include <pthread.h>

#include "store/objects.h"
#include "tests/unit/store_contract.h"

static inline void good(tg_code code, const struct tg_error *err)
{
    if (code != TG_OK)
        fail_msg("%s: %s", tg_code_name(code), err->message);
}

/* ---- many at once ---- */

enum { WRITERS = 4, TURNS = 6 };

static void *write_all(void *url)
{
    struct tg_store store = { 0 };
    struct tg_lease lease = { .owner = "" };
    struct tg_error err;
    long won = 0;

    good(tg_store_open(url, &store, &err), &err);
    snprintf(lease.owner, sizeof lease.owner, "host:%lx", (unsigned long)pthread_self());
    for (int i = 0; i < TURNS; i++) {
        struct tg_doc doc = { 0 };
        char text[32];
        uint64_t n;
        tg_code code = TG_CONFLICT;

        while (code == TG_CONFLICT || code == TG_STATE) {
            tg_code got = contract_get(&store, "job", &doc, text, sizeof text, &err);

            if (got == TG_END)
                doc.version = 0;
            code = contract_put(&store, "job", doc.version, 0, "x", &err);
        }
        good(code, &err);
        good(store.ops->append(store.self, "dead", "job", 1, "x", 1, &n, &err), &err);
        code = store.ops->lease(store.self, "job", 0, 100, &lease, &err);
        won += code == TG_OK;
        lease.token = code == TG_OK ? lease.token : 0;
        if (code != TG_OK)
            snprintf(lease.owner, sizeof lease.owner, "host:%lx", (unsigned long)pthread_self());
    }
    tg_store_close(&store);
    return (void *)won;
}

static bool count_doc(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                      size_t len)
{
    (void)key, (void)bytes, (void)len;
    assert_int_equal(doc->version, *(uint64_t *)ctx);
    --*(uint64_t *)ctx;
    return true;
}

static bool count_entry(void *ctx, const struct tg_log_entry *entry)
{
    assert_int_equal(entry->n, ++*(uint64_t *)ctx);
    return true;
}

static void several_at_once(void **state)
{
    pthread_t thread[WRITERS];
    struct contract c = { .err.code = TG_OK };
    static char address[300];
    uint64_t version = WRITERS * TURNS, n = 0;
    int owners = 0;

    (void)state;
    snprintf(address, sizeof address, "%s", harness.fresh());
    good(tg_store_open(address, &c.a, &c.err), &c.err);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, write_all, address), 0);
    for (int i = 0; i < WRITERS; i++) {
        void *won;

        pthread_join(thread[i], &won);
        owners += won != NULL;
    }
    assert_int_equal(owners, 1);
    good(c.a.ops->history(c.a.self, "checkpoint", "job", count_doc, &version, &c.err), &c.err);
    assert_int_equal(version, 0);
    good(c.a.ops->read(c.a.self, "dead", "job", 0, count_entry, &n, &c.err), &c.err);
    assert_int_equal(n, WRITERS * TURNS);
    contract_end(&c);
}

/* ---- keys ---- */

static void keys_of_any_bytes(void **state)
{
    static const char *const key[] = { "", ".", "..", "a/../b", "%2F", "a b+c=d?e#f&g", "~",
                                       "\x01\xff", "\n" };
    struct contract c;
    struct listed l = { "", 0 };
    struct tg_doc doc;
    char text[64];

    (void)state;
    contract_start(&c);
    for (size_t i = 0; i < TG_COUNT(key); i++)
        good(contract_put(&c.a, key[i], 0, 0, key[i], &c.err), &c.err);
    for (size_t i = 0; i < TG_COUNT(key); i++) {
        good(contract_get(&c.b, key[i], &doc, text, sizeof text, &c.err), &c.err);
        assert_string_equal(text, key[i]);
    }
    good(c.b.ops->list(c.b.self, "checkpoint", "a", list_doc, &l, &c.err), &c.err);
    assert_string_equal(l.text, "a b+c=d?e#f&g:1=a b+c=d?e#f&g a/../b:1=a/../b ");
    contract_end(&c);
}

/* ---- documents in pieces ---- */

enum { LARGE = 900 * 1000 };

static void *large_text(int seed)
{
    uint8_t *text = malloc(LARGE);

    for (size_t i = 0; i < LARGE; i++)
        text[i] = (uint8_t)(i * 2654435761u >> 13 ^ (unsigned)seed);
    return text;
}

static bool check_large(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                        size_t len)
{
    void *want = large_text((int)doc->version);

    (void)key;
    assert_int_equal(len, LARGE);
    assert_memory_equal(bytes, want, LARGE);
    free(want);
    ++*(int *)ctx;
    return true;
}

static bool check_large_entry(void *ctx, const struct tg_log_entry *entry)
{
    void *want = large_text((int)entry->n);

    assert_int_equal(entry->len, LARGE);
    assert_memory_equal(entry->bytes, want, LARGE);
    free(want);
    ++*(int *)ctx;
    return true;
}

static void large_documents_keep_their_bytes(void **state)
{
    struct contract c;
    int n = 0;

    (void)state;
    contract_start(&c);
    for (int i = 0; i < 4; i++) {
        const struct tg_doc stamp = { .at_us = 1 };
        void *text = large_text(i + 1);

        good(c.a.ops->put(c.a.self, "checkpoint", "job", (uint64_t)i, &stamp, text, LARGE, &c.err),
             &c.err);
        assert_int_equal(c.b.ops->put(c.b.self, "checkpoint", "job", (uint64_t)i, &stamp, text,
                                      LARGE, &c.err), TG_CONFLICT);
        good(c.a.ops->append(c.a.self, "dead", "job", 1, text, LARGE, NULL, &c.err), &c.err);
        free(text);
    }
    good(c.b.ops->history(c.b.self, "checkpoint", "job", check_large, &n, &c.err), &c.err);
    assert_int_equal(n, 4);
    good(c.a.ops->prune(c.a.self, "checkpoint", "job", 2, &c.err), &c.err);
    n = 0;
    good(c.b.ops->history(c.b.self, "checkpoint", "job", check_large, &n, &c.err), &c.err);
    assert_int_equal(n, 2);
    n = 0;
    good(c.b.ops->list(c.b.self, "checkpoint", "", check_large, &n, &c.err), &c.err);
    assert_int_equal(n, 1);
    good(c.a.ops->drop(c.a.self, "dead", "job", 2, 3, &c.err), &c.err);
    n = 0;
    good(c.b.ops->read(c.b.self, "dead", "job", 0, check_large_entry, &n, &c.err), &c.err);
    assert_int_equal(n, 2);
    contract_end(&c);
}

/* ---- what is cut off ---- */

static const struct tg_objects_ops *whole_ops;
static int puts_left;

static inline tg_code put_or_die(void *self, const char *name, const struct tg_object_tag *seen,
                                 const void *bytes, size_t len, struct tg_error *err)
{
    if (puts_left-- <= 0)
        return tg_fail(err, TG_STATE, "cut off");
    return whole_ops->put(self, name, seen, bytes, len, err);
}

static bool note_number(void *ctx, const struct tg_store_name *name)
{
    *(uint64_t *)ctx = name->number;
    return true;
}

/* A copy that was cut off anywhere can be made again: no number is given that has no entry. */
static void an_entry_that_is_copied_is_there_before_its_number(void **state)
{
    const struct tg_log_entry entry = { 7, 3, "seven", 5 };

    (void)state;
    for (int most = 0, done = 0; !done; most++) {
        struct tg_objects_ops dying;
        struct tg_objects *o;
        struct contract c;
        uint64_t number = 0;

        contract_start(&c);
        o = c.a.self;
        whole_ops = o->ops;
        dying = *whole_ops;
        dying.put = put_or_die;
        puts_left = most;
        o->ops = &dying;
        done = c.a.ops->enter(c.a.self, "dead", "job", &entry, &c.err) == TG_OK;
        o->ops = whole_ops;
        good(c.b.ops->names(c.b.self, TG_STORE_LOGS, note_number, &number, &c.err), &c.err);
        if (number)
            check_log(&c, 0, 9, "7@3=seven ");
        good(c.a.ops->enter(c.a.self, "dead", "job", &entry, &c.err), &c.err);
        check_log(&c, 0, 9, "7@3=seven ");
        good(c.a.ops->append(c.a.self, "dead", "job", 4, "x", 1, &number, &c.err), &c.err);
        assert_int_equal(number, 8);
        contract_end(&c);
        assert_true(most < 9);
    }
}

#define STORE_OBJECTS_TESTS                                                                        \
    cmocka_unit_test(several_at_once), cmocka_unit_test(keys_of_any_bytes),                        \
        cmocka_unit_test(large_documents_keep_their_bytes),                                        \
        cmocka_unit_test(an_entry_that_is_copied_is_there_before_its_number)

#endif
