/* SPDX-License-Identifier: MIT */
/*
 * etl_circuit.c - circuit breakers in the state store, and those of destinations
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"
#include "tests/unit/holding.h"

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
    tg_circuit_write(record, kind == TG_CIRCUIT_SINK ? "ndjson:out" : NULL, &text);
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
    keep(&k, TG_CIRCUIT_SINK, tg_circuit_sink("ndjson:out"), &open);
    keep(&k, TG_CIRCUIT_CHAT, INT64_MIN, &closed);
    f = find(&k, "job");
    assert_true(f.n_chats == 0 && f.n_sinks == 1);
    assert_int_equal(f.chat, tg_circuit_sink("ndjson:out"));
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
        { "sink", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
        { "sink/0123456789abcde", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
        { "sink/0123456789abcdeg", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
        { "sink/0123456789abcdef0", "{\"open\":true,\"until_us\":5,\"failures\":0}" },
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

/* Waits as a run does, but shortly. */
static void start_waiting(struct kit *k, int64_t interval, int64_t batch_size)
{
    kit_start(k, interval, batch_size);
    k->options.sink_wait_ms = 3600000;
    k->options.sink_pause_us = 2 * TG_MS_US;
    k->options.spill_bytes = 1 << 20;
}

/* Whatever fails at the destination and when, with a breaker or without: the same run goes on
 * behind the last commit, and each row is there once. */
static void what_may_pass_is_tried_again(void **state)
{
    enum { ROWS = 130 };

    (void)state;
    for (uint64_t nth = 1; nth < 120; nth++) {
        struct kit k;

        start_waiting(&k, nth % 2 ? 50 : 20, 20);
        k.options.circuit.failure_threshold = nth % 3 ? 3 : 0;
        tg_fs_memory_fail(k.memory, nth, TG_FULL, false);
        assert_int_equal(kit_extract(&k, ROWS), TG_OK);
        tg_fs_memory_fail(k.memory, 0, TG_IO, false);
        kit_check_rows(&k, ROWS);
        kit_end(&k);
    }
}

/* A destination as it likes to be: over files. */
static struct {
    const struct tg_sink_ops *files;
    struct tg_sink_ops ops;
    atomic_int fails;       /* commits that are not made, yet */
    atomic_int unanswered;  /* commits that are made, and told as failures */
    atomic_int listings;    /* that fail */
    atomic_int n_failed;
} odd;

static tg_code odd_fail(struct tg_error *err)
{
    atomic_fetch_add(&odd.n_failed, 1);
    return tg_fail(err, TG_SINK, "not now");
}

static tg_code odd_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    tg_code code;

    if (atomic_load(&odd.fails) > 0) {
        atomic_fetch_sub(&odd.fails, 1);
        return odd_fail(err);
    }
    code = odd.files->commit(self, commit, err);
    if (code != TG_OK || atomic_load(&odd.unanswered) == 0)
        return code;
    atomic_fetch_sub(&odd.unanswered, 1);
    return odd_fail(err);
}

static tg_code odd_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                           struct tg_error *err)
{
    if (atomic_load(&odd.listings) > 0) {
        atomic_fetch_sub(&odd.listings, 1);
        return odd_fail(err);
    }
    return odd.files->commits(self, chat_id, seen, ctx, err);
}

static void make_odd(struct kit *k)
{
    memset(&odd, 0, sizeof odd);
    odd.files = k->sink.ops;
    odd.ops = *odd.files;
    odd.ops.disk = false; /* as a server is */
    odd.ops.commit = odd_commit;
    odd.ops.commits = odd_commits;
    k->sink.ops = &odd.ops;
}

static void end_odd(struct kit *k)
{
    k->sink.ops = odd.files;
    kit_end(k);
}

static void a_commit_whose_answer_was_lost_is_made_once(void **state)
{
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    make_odd(&k);
    atomic_store(&odd.unanswered, 3);
    atomic_store(&odd.fails, 2);
    assert_int_equal(kit_extract(&k, 330), TG_OK);
    assert_int_equal(atomic_load(&odd.n_failed), 5);
    k.sink.ops = odd.files;
    kit_check_rows(&k, 330);
    kit_end(&k);
}

static struct {
    int writes, commits, unanswered; /* that fail, yet */
} trouble;

static bool trouble_write(void *ctx)
{
    (void)ctx;
    return trouble.writes-- > 0;
}

static enum holding_commit trouble_commit(void *ctx)
{
    (void)ctx;
    if (trouble.commits-- > 0)
        return HOLDING_NOT_MADE;
    return trouble.unanswered-- > 0 ? HOLDING_UNANSWERED : HOLDING_MADE;
}

/* But for rows of a write that failed. */
static void one_that_holds_its_rows_gets_none_twice(void **state)
{
    static const struct {
        int writes, commits, unanswered;
        uint64_t twice; /* rows that come again: 20 a write */
    } row[] = { { 0, 0, 0, 0 }, { 0, 3, 0, 0 }, { 0, 2, 3, 0 }, { 2, 0, 0, 40 }, { 1, 2, 1, 20 } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct holding h = { .write_fails = trouble_write, .commit_is = trouble_commit };
        struct tg_sink files;
        struct kit k;

        start_waiting(&k, 50, 20);
        trouble.writes = row[i].writes;
        trouble.commits = row[i].commits;
        trouble.unanswered = row[i].unanswered;
        files = h.sink = k.sink;
        k.sink = holding_sink(&h);
        assert_int_equal(kit_extract(&k, 330), TG_OK);
        assert_int_equal(h.n_written, 330 + row[i].twice);
        assert_int_equal(h.n_again, row[i].writes + row[i].commits + row[i].unanswered);
        tg_sink_close(&k.sink);
        k.sink = files;
        kit_check_rows(&k, 330);
        kit_end(&k);
    }
}

static void it_is_told_once_and_given_up_in_time(void **state)
{
    struct tg_taker_news news;
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    k.options.sink_wait_ms = 60;
    make_odd(&k);
    kit_run(&k);
    atomic_store(&odd.fails, 3);
    assert_int_equal(kit_chat(&k, CHAT, &(struct tg_commit){ 0 }), TG_OK);
    assert_true(kit_feed(&k, &(struct kit_piece){ CHAT, 1, 100, 100, 0, true }, &(uint64_t){ 0 }));
    assert_int_equal(kit_leave(&k, CHAT), 100);
    assert_true(tg_pipeline_news(k.pipeline, &news) && news.what == TG_TAKER_AWAY);
    assert_string_equal(news.err.message, "not now");
    assert_true(tg_pipeline_news(k.pipeline, &news) && news.what == TG_TAKER_BACK);
    assert_true(news.away_us > 0);
    assert_false(tg_pipeline_news(k.pipeline, &news));
    assert_int_equal(kit_finish(&k), TG_OK);
    atomic_store(&odd.fails, 1000000);
    assert_int_equal(kit_extract(&k, 130), TG_SINK);
    assert_non_null(strstr(k.err.hint, "--destination-wait"));
    k.options.sink_wait_ms = 0;
    atomic_store(&odd.n_failed, 0);
    assert_int_equal(kit_extract(&k, 130), TG_SINK);
    assert_int_equal(atomic_load(&odd.n_failed), 1);
    end_odd(&k);
}

/* Though nothing else happens. */
static void that_it_is_away_wakes_whoever_tells_it(void **state)
{
    struct tg_taker_news news;
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    k.options.spill_bytes = 0;
    make_odd(&k);
    kit_run(&k);
    atomic_store(&odd.fails, 1000000000);
    assert_int_equal(kit_chat(&k, CHAT, &(struct tg_commit){ 0 }), TG_OK);
    assert_true(kit_feed(&k, &(struct kit_piece){ CHAT, 1, 50, 50, 0, true }, &(uint64_t){ 0 }));
    for (;;) {
        uint64_t seen = kit_woken(&k);

        if (tg_pipeline_news(k.pipeline, &news))
            break;
        kit_wait(&k, seen);
    }
    assert_int_equal(news.what, TG_TAKER_AWAY);
    tg_pipeline_hurry(k.pipeline);
    assert_int_equal(kit_finish(&k), TG_SINK);
    end_odd(&k);
}

/* For ever, but for a destination that never answered in this run. */
static void one_that_never_answered_is_not_waited_for(void **state)
{
    const struct tg_job_chat chat = { .id = CHAT, .title = "" };
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    assert_int_equal(kit_extract(&k, 20), TG_OK); /* else there is nothing to look for */
    make_odd(&k);
    for (int waits = 0; waits < 2; waits++) {
        k.options.sink_wait_ms = waits ? 60000 : INT64_MAX;
        atomic_store(&odd.listings, 2);
        kit_run(&k);
        assert_int_equal(tg_pipeline_list(k.pipeline, &chat, 1, &k.err), TG_OK);
        assert_int_equal(kit_finish(&k), waits ? TG_OK : TG_SINK);
    }
    k.options.sink_wait_ms = INT64_MAX;
    atomic_store(&odd.fails, 3);
    assert_int_equal(kit_extract(&k, 100), TG_OK);
    end_odd(&k);
}

/* Puts batches of 20 rows as long as there is credit, or comes soon. @return how many */
static int64_t feed_all(struct kit *k, int64_t most, int64_t *id)
{
    int64_t n = 0;

    for (int dry = 0; n < most && dry < 400;) {
        struct tg_batch *b = tg_pipeline_batch(k->pipeline);

        if (!b) {
            usleep(1000);
            dry++;
            continue;
        }
        dry = 0;
        test_rows(b, CHAT, *id, 20);
        assert_non_null(tg_batch_file(b)); /* as with --media */
        b->seq = (uint64_t)(*id + 19) / 20;
        b->covered_from = *id;
        *id += 20;
        b->last = ++n == most;
        tg_pipeline_put(k->pipeline, b);
    }
    return n;
}

/* While it is away the source goes on reading, up to the bound; then all comes in order. */
static void what_is_read_meanwhile_is_spilled(void **state)
{
    struct tg_pipeline_state told;

    (void)state;
    for (int bound = 0; bound < 3; bound++) {
        struct tg_commit there;
        int64_t id = 1, n;
        struct kit k;

        start_waiting(&k, 50, 20);
        k.options.spill_bytes = (int64_t[]){ 0, 20000, 1 << 20 }[bound];
        k.job.credit_bytes = 1 << 20;
        make_odd(&k);
        kit_run(&k);
        assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
        atomic_store(&odd.fails, 1000000000);
        n = feed_all(&k, 300, &id);
        tg_pipeline_state(k.pipeline, &told);
        if (bound == 2)
            assert_int_equal(n, 300);
        else
            assert_true(n < 100); /* it has had to wait */
        assert_true((told.spilled > 0) == (bound > 0));
        assert_true(told.spilled <= (bound == 1 ? 40 : 300));
        assert_int_equal(tg_pipeline_rows(k.pipeline, CHAT), 0);
        atomic_store(&odd.fails, 0);
        if (n < 300)
            n += feed_all(&k, 300 - n, &id);
        assert_int_equal(n, 300);
        assert_int_equal(kit_leave(&k, CHAT), 6000);
        assert_int_equal(kit_finish(&k), TG_OK);
        k.sink.ops = odd.files;
        kit_check_rows(&k, 6000);
        kit_end(&k);
    }
}

/* It fails now and then, also in the middle of what was spilled. */
static void what_was_spilled_may_have_to_wait_again(void **state)
{
    struct tg_commit there;
    int64_t id = 1;
    struct kit k;

    (void)state;
    start_waiting(&k, 70, 20);
    make_odd(&k);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    for (int i = 0; i < 20; i++) {
        atomic_store(&odd.fails, 3);
        atomic_store(&odd.unanswered, i % 2);
        assert_int_equal(feed_all(&k, 15, &id), 15);
    }
    assert_int_equal(kit_leave(&k, CHAT), 6000);
    assert_int_equal(kit_finish(&k), TG_OK);
    k.sink.ops = odd.files;
    kit_check_rows(&k, 6000);
    kit_end(&k);
}

static bool count_docs(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                       size_t len)
{
    (void)key, (void)doc, (void)bytes, (void)len;
    ++*(size_t *)ctx;
    return true;
}

/* However many records cannot be decoded meanwhile, the loop goes on; but it reads no further. */
static void records_that_come_meanwhile_block_nobody(void **state)
{
    enum { RECORDS = 700 };
    struct tg_commit there;
    int64_t id = 1;
    size_t n = 0;
    struct kit k;

    (void)state;
    start_waiting(&k, 20, 20);
    k.options.spill_bytes = 0;
    make_odd(&k);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    atomic_store(&odd.fails, 1000000000);
    assert_int_equal(feed_all(&k, 1, &id), 1);
    for (int64_t i = 1; i <= RECORDS; i++)
        assert_int_equal(tg_pipeline_quarantine(k.pipeline, CHAT, i, "odd", "abc", 3, &k.err),
                         TG_OK);
    assert_null(tg_pipeline_batch(k.pipeline));
    atomic_store(&odd.fails, 0);
    assert_int_equal(feed_all(&k, 2, &id), 2);
    assert_int_equal(kit_leave(&k, CHAT), 60);
    assert_int_equal(kit_finish(&k), TG_OK);
    k.store.ops->list(k.store.self, "quarantine", "job/-1009/", count_docs, &n, &k.err);
    assert_int_equal(n, RECORDS);
    k.sink.ops = odd.files;
    kit_check_rows(&k, 60);
    kit_end(&k);
}

static void a_stop_does_not_wait_for_it(void **state)
{
    struct tg_commit there;
    int64_t id = 1;
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    make_odd(&k);
    kit_run(&k);
    assert_int_equal(kit_chat(&k, CHAT, &there), TG_OK);
    atomic_store(&odd.fails, 1000000000);
    assert_int_equal(feed_all(&k, 50, &id), 50);
    tg_pipeline_hurry(k.pipeline);
    assert_int_equal(kit_finish(&k), TG_SINK);
    end_odd(&k);
}

/* Open after two failures; tried and closed when its time has come. */
static void an_open_destination_is_waited_for(void **state)
{
    static const enum tg_breaker_state wanted[] = { TG_BREAKER_OPEN, TG_BREAKER_HALF_OPEN,
                                                    TG_BREAKER_CLOSED };
    struct tg_taker_news news;
    size_t n = 0;
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    k.options.circuit = (struct tg_breaker_options){ .failure_threshold = 2,
                                                     .recovery_timeout_us = 300 * TG_MS_US,
                                                     .half_open_requests = 2 };
    make_odd(&k);
    kit_run(&k);
    atomic_store(&odd.fails, 2);
    assert_int_equal(kit_chat(&k, CHAT, &(struct tg_commit){ 0 }), TG_OK);
    assert_true(kit_feed(&k, &(struct kit_piece){ CHAT, 1, 250, 250, 0, true }, &(uint64_t){ 0 }));
    while (find(&k, "job").n_sinks == 0)
        usleep(1000);
    assert_int_equal(kit_leave(&k, CHAT), 250);
    while (tg_pipeline_news(k.pipeline, &news)) {
        if (news.what != TG_TAKER_CIRCUIT)
            continue;
        assert_true(n < TG_COUNT(wanted) && news.change.to == wanted[n]);
        assert_true((news.change.err != NULL) == (n == 0));
        n++;
    }
    assert_int_equal(n, TG_COUNT(wanted));
    assert_int_equal(kit_finish(&k), TG_OK);
    assert_int_equal(find(&k, "job").n_sinks, 0);
    k.sink.ops = odd.files;
    kit_check_rows(&k, 250);
    kit_end(&k);
}

/* Or it ends the run: the one in which it opens with its failure, the next one at once. */
static void an_open_destination_ends_the_run(void **state)
{
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
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

/* ---- one of several ---- */

/* The second destination is odd, on a disk of its own. */
static const char *two[] = { "ndjson:out", "ndjson:second" };
static struct tg_fs_memory *second_disk;
static struct tg_sink_env second_env;

static void start_two(struct kit *k)
{
    struct tg_sink part[2] = { k->sink };

    memset(&odd, 0, sizeof odd);
    second_disk = tg_fs_memory_new();
    second_env = k->env;
    second_env.fs = tg_fs_memory_fs(second_disk);
    assert_int_equal(tg_sink_open(two[1], &second_env, &part[1], &k->err), TG_OK);
    odd.files = part[1].ops;
    odd.ops = *odd.files;
    odd.ops.commit = odd_commit;
    odd.ops.commits = odd_commits;
    part[1].ops = &odd.ops;
    assert_int_equal(tg_several_new(part, two, 2, &k->sink, &k->err), TG_OK);
    k->job.destinations = (struct tg_option_list){ two, 2 };
}

static void end_two(struct kit *k)
{
    kit_end(k);
    tg_fs_memory_free(second_disk);
}

static void check_two(const struct kit *k, int64_t n)
{
    for (size_t i = 0; i < 2; i++) {
        const struct tg_sink *part = tg_several_part(&k->sink, i);
        struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
        struct tg_error err;

        assert_int_equal(part->ops->scan(part->self, CHAT, test_seen, &seen, &err), TG_OK);
        assert_false(seen.odd);
        assert_int_equal(seen.next_id, n + 1);
    }
}

/* It opens, waits its time and is tried; the other's stays closed, and loses nothing. */
static void one_of_several_opens_and_no_other(void **state)
{
    static const enum tg_breaker_state wanted[] = { TG_BREAKER_OPEN, TG_BREAKER_HALF_OPEN,
                                                    TG_BREAKER_CLOSED };
    struct tg_taker_news news;
    size_t n = 0, away = 0, back = 0;
    struct found f;
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    k.options.circuit = (struct tg_breaker_options){ .failure_threshold = 2,
                                                     .recovery_timeout_us = 300 * TG_MS_US,
                                                     .half_open_requests = 2 };
    start_two(&k);
    kit_run(&k);
    atomic_store(&odd.fails, 2);
    assert_int_equal(kit_chat(&k, CHAT, &(struct tg_commit){ 0 }), TG_OK);
    assert_true(kit_feed(&k, &(struct kit_piece){ CHAT, 1, 250, 250, 0, true }, &(uint64_t){ 0 }));
    while ((f = find(&k, "job")).n_sinks == 0)
        usleep(1000);
    assert_int_equal(f.n_sinks, 1);
    assert_int_equal(f.chat, tg_circuit_sink(two[1]));
    assert_int_equal(kit_leave(&k, CHAT), 250);
    while (tg_pipeline_news(k.pipeline, &news)) {
        assert_string_equal(news.name, two[1]);
        away += news.what == TG_TAKER_AWAY;
        back += news.what == TG_TAKER_BACK;
        if (news.what != TG_TAKER_CIRCUIT)
            continue;
        assert_true(n < TG_COUNT(wanted) && news.change.to == wanted[n]);
        assert_string_equal(news.change.name, two[1]);
        assert_int_equal(news.n, n == 0);
        if (n++ == 0)
            assert_string_equal(news.change.err->message, "not now");
    }
    assert_true(n == TG_COUNT(wanted) && away == 1 && back == 1);
    assert_int_equal(kit_finish(&k), TG_OK);
    assert_int_equal(find(&k, "job").n_sinks, 0);
    check_two(&k, 250);
    end_two(&k);
}

/* What an earlier run has kept of one of them ends this one at once, by its name. */
static void one_of_several_that_is_open_is_named(void **state)
{
    const struct tg_breaker_record open = { true, INT64_MAX, 0 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct kit k;

        start_waiting(&k, 50, 20);
        k.options.circuit.failure_threshold = 1;
        k.options.circuit_fails = true;
        start_two(&k);
        keep(&k, TG_CIRCUIT_SINK, tg_circuit_sink(two[i]), &open);
        assert_int_equal(kit_extract(&k, 130), TG_CIRCUIT);
        assert_non_null(strstr(k.err.message, two[i]));
        assert_null(strstr(k.err.message, two[1 - i]));
        end_two(&k);
    }
}

static void one_of_several_that_never_answered_is_not_waited_for(void **state)
{
    const struct tg_job_chat chat = { .id = CHAT, .title = "" };
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    start_two(&k);
    assert_int_equal(kit_extract(&k, 20), TG_OK);
    k.options.sink_wait_ms = INT64_MAX;
    atomic_store(&odd.listings, 2);
    kit_run(&k);
    assert_int_equal(tg_pipeline_list(k.pipeline, &chat, 1, &k.err), TG_OK);
    assert_int_equal(kit_finish(&k), TG_SINK); /* though the other has */
    end_two(&k);
}

/* Each counts its own failures: two that fail by turns are two that failed once. */
static void failures_of_several_are_not_added_up(void **state)
{
    struct kit k;

    (void)state;
    start_waiting(&k, 50, 20);
    k.options.circuit.failure_threshold = 2;
    k.options.circuit_fails = true;
    start_two(&k);
    atomic_store(&odd.fails, 1);
    tg_fs_memory_fail(k.memory, 1, TG_FULL, false);
    assert_int_equal(kit_extract(&k, 130), TG_OK);
    check_two(&k, 130);
    end_two(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_read),
        cmocka_unit_test(damage_is_as_if_it_was_not_there),
        cmocka_unit_test(what_may_pass_is_tried_again),
        cmocka_unit_test(a_commit_whose_answer_was_lost_is_made_once),
        cmocka_unit_test(one_that_holds_its_rows_gets_none_twice),
        cmocka_unit_test(it_is_told_once_and_given_up_in_time),
        cmocka_unit_test(that_it_is_away_wakes_whoever_tells_it),
        cmocka_unit_test(one_that_never_answered_is_not_waited_for),
        cmocka_unit_test(what_is_read_meanwhile_is_spilled),
        cmocka_unit_test(what_was_spilled_may_have_to_wait_again),
        cmocka_unit_test(records_that_come_meanwhile_block_nobody),
        cmocka_unit_test(a_stop_does_not_wait_for_it),
        cmocka_unit_test(an_open_destination_is_waited_for),
        cmocka_unit_test(an_open_destination_ends_the_run),
        cmocka_unit_test(one_of_several_opens_and_no_other),
        cmocka_unit_test(one_of_several_that_is_open_is_named),
        cmocka_unit_test(one_of_several_that_never_answered_is_not_waited_for),
        cmocka_unit_test(failures_of_several_are_not_added_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
