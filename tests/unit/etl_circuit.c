/* SPDX-License-Identifier: MIT */
/*
 * etl_circuit.c - circuit breakers in the state store, and that of the destination
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

/* ---- the destination's ---- */

/* Takes the chat up, feeds it to its end and lays it down. @return whether it went well; if not,
 * the chat failed alone */
static bool try_chat(struct kit *k, int64_t to)
{
    struct tg_pipeline_state told;
    struct tg_commit there;
    bool well = kit_chat(k, CHAT, &there) == TG_OK;

    if (well && there.cursor.id < to) {
        const struct kit_piece piece = { CHAT, there.cursor.id + 1, to, to, 0, true };
        uint64_t seq = there.batches;

        assert_true(kit_feed(k, &piece, &seq));
    }
    assert_true(kit_leave(k, CHAT) >= 0);
    tg_pipeline_state(k->pipeline, &told);
    assert_false(told.failed);
    assert_true(k->alone.code == TG_OK || k->alone.code == TG_FULL);
    return k->alone.code == TG_OK;
}

/* Whatever fails at the destination and when: the same run goes on behind the last commit. */
static void what_may_pass_is_tried_again(void **state)
{
    enum { ROWS = 130 };

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        unsigned tries = 1;
        struct kit k;

        kit_start(&k, 50, 20);
        k.options.circuit.failure_threshold = 3;
        kit_run(&k);
        tg_fs_memory_fail(k.memory, nth, TG_FULL, false);
        while (!try_chat(&k, ROWS))
            tries++;
        tg_fs_memory_fail(k.memory, 0, TG_IO, false);
        assert_int_equal(kit_finish(&k), TG_OK);
        kit_check_rows(&k, ROWS);
        kit_end(&k);
        assert_true(tries <= 2);
        if (tries == 1 && nth > 40)
            break; /* it was never reached */
    }
}

/* Open after two failures; tried and closed when its time has come. */
static void an_open_destination_is_waited_for(void **state)
{
    static const enum tg_breaker_state wanted[] = { TG_BREAKER_OPEN, TG_BREAKER_HALF_OPEN,
                                                    TG_BREAKER_CLOSED };
    struct tg_taker_news news;
    struct kit k;

    (void)state;
    kit_start(&k, 50, 20);
    k.options.circuit = (struct tg_breaker_options){ .failure_threshold = 2,
                                                     .recovery_timeout_us = 300 * TG_MS_US,
                                                     .half_open_requests = 2 };
    kit_run(&k);
    assert_true(try_chat(&k, 60));
    tg_fs_memory_fail(k.memory, 1, TG_FULL, true);
    assert_false(try_chat(&k, 130));
    assert_false(tg_pipeline_news(k.pipeline, &news));
    assert_false(try_chat(&k, 130));
    assert_int_equal(find(&k, "job").n_sinks, 1);
    tg_fs_memory_fail(k.memory, 0, TG_IO, false);
    assert_true(try_chat(&k, 250));
    for (size_t i = 0; i < TG_COUNT(wanted); i++) {
        assert_true(tg_pipeline_news(k.pipeline, &news));
        assert_int_equal(news.change.to, wanted[i]);
        assert_true((news.change.err != NULL) == (i == 0));
    }
    assert_false(tg_pipeline_news(k.pipeline, &news));
    assert_int_equal(kit_finish(&k), TG_OK);
    assert_int_equal(find(&k, "job").n_sinks, 0);
    kit_check_rows(&k, 250);
    kit_end(&k);
}

static bool slow_to_answer;
static const struct tg_sink_ops *files;

/* The destination's commits cannot be read for a moment. */
static tg_code commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                       struct tg_error *err)
{
    if (slow_to_answer) {
        slow_to_answer = false;
        return tg_fail(err, TG_SINK, "not now");
    }
    return files->commits(self, chat_id, seen, ctx, err);
}

/* The list of chats is nobody's alone: it is tried again where it is. */
static void the_list_waits_for_the_destination(void **state)
{
    (void)state;
    for (int guarded = 0; guarded < 2; guarded++) {
        struct tg_sink_ops ops;
        struct tg_job_chat chat = { .id = CHAT, .title = "" };
        struct kit k;

        kit_start(&k, 50, 20);
        assert_int_equal(kit_extract(&k, 20), TG_OK); /* else there is nothing to look for */
        files = k.sink.ops;
        ops = *files;
        ops.commits = commits;
        k.sink.ops = &ops;
        k.options.circuit.failure_threshold = guarded ? 3 : 0;
        kit_run(&k);
        slow_to_answer = true;
        assert_int_equal(tg_pipeline_list(k.pipeline, &chat, 1, &k.err), TG_OK);
        if (guarded)
            assert_true(try_chat(&k, 60));
        assert_int_equal(kit_finish(&k), guarded ? TG_OK : TG_SINK);
        assert_false(slow_to_answer);
        k.sink.ops = files;
        kit_end(&k);
    }
}

/* Or it ends the run: the one in which it opens with its failure, the next one at once. */
static void an_open_destination_ends_the_run(void **state)
{
    struct kit k;

    (void)state;
    kit_start(&k, 50, 20);
    k.options.circuit.failure_threshold = 1;
    k.options.circuit_fails = true;
    tg_fs_memory_fail(k.memory, 1, TG_FULL, true);
    assert_int_equal(kit_extract(&k, 130), TG_FULL);
    tg_fs_memory_fail(k.memory, 0, TG_IO, false);
    assert_int_equal(kit_extract(&k, 130), TG_CIRCUIT);
    assert_non_null(strstr(k.err.message, "the destination"));
    k.options.circuit_fails = false;
    k.options.circuit.recovery_timeout_us = TG_MS_US; /* no more is left then */
    assert_int_equal(kit_extract(&k, 130), TG_OK);
    kit_check_rows(&k, 130);
    kit_end(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_read),
        cmocka_unit_test(damage_is_as_if_it_was_not_there),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(an_open_destination_is_waited_for),
        cmocka_unit_test(the_list_waits_for_the_destination),
        cmocka_unit_test(an_open_destination_ends_the_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
