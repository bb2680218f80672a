/* SPDX-License-Identifier: MIT */
/*
 * etl_circuit.c - circuit breakers in the state store: kept, read again, and what is damaged there
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

struct found {
    unsigned n_chats, n_sinks;
    int64_t chat;
    struct tg_breaker_record record;
};

static void on_found(void *ctx, enum tg_circuit_kind kind, int64_t number,
                     const struct tg_breaker_record *record)
{
    struct found *f = ctx;

    f->n_chats += kind == TG_CIRCUIT_CHAT;
    f->n_sinks += kind == TG_CIRCUIT_SINK;
    f->chat = number;
    f->record = *record;
}

static struct found find(struct kit *k, const char *job)
{
    struct found f = { 0 };

    assert_int_equal(tg_circuits_read(&k->store, job, on_found, &f, &k->err), TG_OK);
    return f;
}

static void put(struct kit *k, const char *name, const char *text)
{
    struct tg_buf record;

    tg_buf_init(&record, 4096);
    tg_buf_str(&record, text);
    assert_int_equal(tg_circuit_put(&k->store, "job", name, &record, kit_unix_us(), &k->err),
                     TG_OK);
    tg_buf_done(&record);
}

static void keep(struct kit *k, enum tg_circuit_kind kind, int64_t number,
                 const struct tg_breaker_record *record)
{
    char name[TG_CIRCUIT_NAME];
    struct tg_buf text;

    tg_circuit_name(name, kind, number);
    tg_buf_init(&text, TG_CIRCUIT_JSON);
    tg_circuit_write(record, &text);
    assert_false(text.failed);
    put(k, name, tg_buf_cstr(&text));
    tg_buf_done(&text);
}

static void what_is_kept_is_read(void **state)
{
    const struct tg_breaker_record open = { true, INT64_MAX, UINT32_MAX }, closed = { 0 };
    struct found f;
    struct kit k;

    (void)state;
    kit_start(&k, 100, 10);
    keep(&k, TG_CIRCUIT_CHAT, INT64_MIN, &open);
    f = find(&k, "job");
    assert_true(f.n_chats == 1 && f.chat == INT64_MIN && f.record.open);
    assert_int_equal(f.record.until_unix_us, INT64_MAX);
    assert_int_equal(f.record.in_a_row, UINT32_MAX);
    assert_int_equal(find(&k, "jo").n_chats, 0);
    assert_int_equal(find(&k, "other").n_chats, 0);
    keep(&k, TG_CIRCUIT_SINK, 0, &open);
    keep(&k, TG_CIRCUIT_CHAT, INT64_MIN, &closed);
    f = find(&k, "job");
    assert_true(f.n_chats == 0 && f.n_sinks == 1);
    kit_end(&k);
}

static void damage_is_as_if_it_was_not_there(void **state)
{
    static const struct {
        const char *name, *text;
    } row[] = {
        { "chat/12", "" },
        { "chat/12", "{\"open\":true" },
        { "chat/12", "{\"open\":1,\"until_us\":5,\"failures\":0}" },
        { "chat/12", "{\"open\":true,\"until_us\":-5,\"failures\":0}" },
        { "chat/12", "{\"open\":true,\"until_us\":5.5,\"failures\":0}" },
        { "chat/12", "{\"open\":true,\"until_us\":99999999999999999999,\"failures\":0}" },
        { "chat/12", "{\"open\":true,\"until_us\":5,\"failures\":-1}" },
        { "chat/", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
        { "chat/0", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
        { "chat/12x", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
        { "sinks", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
    };
    struct kit k;

    (void)state;
    kit_start(&k, 100, 10);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct found f;

        put(&k, row[i].name, row[i].text);
        f = find(&k, "job");
        if (f.n_chats || f.n_sinks)
            fail_msg("'%s' of %s was read", row[i].text, row[i].name);
    }
    put(&k, "chat/12", "{\"later\":[{}],\"open\":true}"); /* what a later version may write */
    assert_int_equal(find(&k, "job").n_chats, 1);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_read),
        cmocka_unit_test(damage_is_as_if_it_was_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
