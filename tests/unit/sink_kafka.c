/* SPDX-License-Identifier: MIT */
/*
 * sink_kafka.c - a Kafka topic as destination, at a real broker: the contract of all sinks, and
 * what is its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#ifdef TG_HAVE_KAFKA

#include "sink/kafka_impl.h"
#include "tests/kafka_rig.h"
#include "tests/unit/sink_contract.h"

static char url[160];
static int n_topics;

/* Each test has a topic of its own. */
static const char *fresh(struct tg_sink_env *env)
{
    snprintf(url, sizeof url, "kafka://127.0.0.1:%d/t%d?create=3&timeout=60s", rig.port,
             ++n_topics);
    *env = (struct tg_sink_env){ .job = "job", .fs = &tg_fs_system, .unix_us = test_unix_us };
    return url;
}

static void done(void)
{
}

const struct sink_harness harness = { fresh, done, false };

/* ---- what is its own ---- */

static void name_of(char out[KAFKA_NAME_MAX], int64_t chat_id)
{
    snprintf(out, KAFKA_NAME_MAX, "tgdata.t%d.%lld", n_topics, (long long)chat_id);
}

/* A client beside the sink's, of the test's topic. */
static struct tg_kafka *beside(void)
{
    char topic[24];

    snprintf(topic, sizeof topic, "t%d", n_topics);
    return kafka_client(topic, 0);
}

static struct tg_kafka_writer *other_writer(struct tg_kafka *k, const char *id)
{
    struct tg_kafka_writer *w;
    struct tg_error err;

    if (tg_kafka_writer_new(k, id, &w, &err) != TG_OK)
        fail_msg("%s", err.message);
    return w;
}

/* Sends a message to each partition, and leaves the transaction open. */
static struct tg_kafka_writer *leave_open(struct tg_kafka *k, const char *id)
{
    struct tg_kafka_writer *w = other_writer(k, id);
    struct tg_kafka_message m = { .key = TG_STR("x"), .value = TG_STR("y") };
    struct tg_error err;

    assert_int_equal(tg_kafka_begin(w, &err), TG_OK);
    for (m.partition = 0; m.partition < 3; m.partition++)
        assert_int_equal(tg_kafka_send(w, &m, &err), TG_OK);
    usleep(500000); /* the library sends it */
    return w;
}

struct kept {
    int64_t id[8];
    size_t n;
};

static tg_code keep(void *ctx, const struct tg_row *row, const char *why, struct tg_error *err)
{
    struct kept *kept = ctx;

    (void)err;
    assert_non_null(strstr(why, "too many for topic"));
    kept->id[kept->n++] = row->id;
    return TG_OK;
}

static void a_row_that_is_too_large_is_refused(void **state)
{
    static char large[2 << 20];
    struct kept kept = { .n = 0 };
    struct tg_commit last = { 0 }, next, got;
    struct contract_commits seen = { .n = 0 };
    struct test_seen rows = { .chat_id = CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    memset(large, 'x', sizeof large);
    contract_start(&c);
    for (int kept_by = 0; kept_by < 2; kept_by++) {
        if (kept_by) {
            c.env.refuse = keep;
            c.env.ctx = &kept;
        }
        contract_reopen(&c);
        contract_attach(&c, CHAT, &got);
        test_rows(c.batch, CHAT, 1, 5);
        for (int i = 1; i < 5; i += 3) /* the last one tells the cursor */
            TG_ROW_SET(&c.batch->row[i], text, ((struct tg_str){ large, sizeof large }));
        next = test_commit(&last, CHAT, 5, 5);
        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 5, &c.err), TG_OK);
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), kept_by ? TG_OK : TG_DATA);
    }
    assert_int_equal(kept.n, 2);
    assert_int_equal(kept.id[0], 2);
    assert_int_equal(kept.id[1], 5);
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_int_equal(got.refused, 2);
    assert_int_equal(got.rows_total, 5);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &rows, &c.err), TG_OK);
    assert_int_equal(rows.next_id, 4); /* 1, 3 and 4: three rows */
    contract_commits(&c, CHAT, &seen);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.at[0].refused, 2);
    contract_end(&c);
}

static void rows_that_went_to_a_file_are_sent(void **state)
{
    enum { ROWS = 100 };
    static char large[800000];
    struct tg_commit last = { 0 }, next, got;
    struct test_seen rows = { .chat_id = CHAT, .next_id = 1 };
    struct contract c;

    (void)state;
    memset(large, 'x', sizeof large);
    contract_start(&c);
    contract_reopen(&c);
    contract_attach(&c, CHAT, &got);
    for (int64_t id = 1; id <= ROWS; id++) { /* 80 MB: most go to the file */
        test_rows(c.batch, CHAT, id, 1);
        TG_ROW_SET(c.batch->row, text, ((struct tg_str){ large, sizeof large }));
        assert_int_equal(c.sink.ops->write(c.sink.self, c.batch, 0, 1, &c.err), TG_OK);
    }
    next = test_commit(&last, CHAT, ROWS, ROWS);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_OK);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &rows, &c.err), TG_OK);
    assert_int_equal(rows.next_id, ROWS + 1);
    contract_end(&c);
}

static void events_are_read_back_as_rows(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_cursor behind = { .chat_id = CHAT };
    struct contract_read all = { .next_id = 1 };
    struct tg_batch *batch = tg_batch_new(4);
    struct contract c;
    char as_events[200];

    (void)state;
    contract_start(&c);
    snprintf(as_events, sizeof as_events, "%s&format=debezium", c.url);
    c.url = as_events;
    contract_reopen(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 9);
    contract_scan(&c, CHAT, 9);
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &behind, batch, contract_taken, &all,
                                      &c.err), TG_OK);
    assert_int_equal(all.n, 9);
    c.url = url;
    contract_reopen(&c);
    assert_int_equal(c.sink.ops->read(c.sink.self, CHAT, &behind, batch, contract_taken, &all,
                                      &c.err), TG_CORRUPT);
    tg_batch_free(batch);
    contract_end(&c);
}

struct keyed {
    size_t step, forgotten; /* steps so far; messages without a value */
};

static tg_code check_key(void *ctx, const struct tg_kafka_message *m, struct tg_error *err)
{
    const struct change_step *step;
    struct keyed *k = ctx;
    char want[64];

    (void)err;
    k->forgotten += !m->value.at;
    k->step += m->header[0].value.at != NULL;
    assert_true(k->step > 0);
    step = &change_step[k->step - 1];
    snprintf(want, sizeof want, "%d:%lld:%lld", step->chat_id > 0 ? 5 : 0,
             (long long)step->chat_id, (long long)step->id);
    assert_true(tg_str_eq(m->key, tg_str_of(want))); /* also of the one behind a deletion */
    assert_true(m->value.at || step->what == TG_ROW_DELETED);
    return TG_OK;
}

/* Their keys are messages, and those that are gone are forgotten; they are found all the same. */
static void changes_have_keys_of_their_own(void **state)
{
    static const char *const names[] = { "tgdata.key", NULL };
    struct tg_commit last = { 0 }, got;
    char as_events[200], group[KAFKA_NAME_MAX];
    struct keyed keyed = { .step = 0 };
    struct tg_kafka *k;
    struct contract c;

    (void)state;
    contract_start(&c);
    snprintf(as_events, sizeof as_events, "%s&format=debezium", c.url);
    c.url = as_events;
    contract_reopen(&c);
    contract_attach(&c, CHANGES, &got);
    for (uint64_t commit = 1; commit <= 4; commit++)
        change_commit(&c, commit, &last);
    change_check(&c, 4);
    k = beside();
    assert_int_equal(tg_kafka_look(k, &c.err), TG_OK);
    for (int32_t p = 0; p < 3; p++)
        assert_int_equal(tg_kafka_read(k, p, TG_KAFKA_NOW, names, check_key, &keyed, NULL, &c.err),
                         TG_OK);
    tg_kafka_free(k);
    assert_int_equal(keyed.step, CHANGE_STEPS);
    assert_int_equal(keyed.forgotten, 2);
    tg_sink_close(&c.sink);
    name_of(group, CHANGES);
    kafka_forget(group);
    contract_open(&c);
    assert_int_equal(tg_sink_last(&c.sink, CHANGES, &got, &c.err), TG_OK);
    assert_true(test_same_commit(&got, &last));
    change_check(&c, 4);
    contract_end(&c);
}

/* The server keeps the offsets of a group for some days. */
static void a_cursor_that_is_forgotten_is_found_in_the_topic(void **state)
{
    struct tg_commit last = { 0 }, with_rows, got;
    struct contract c;
    char group[KAFKA_NAME_MAX];

    (void)state;
    contract_start(&c);
    contract_attach(&c, OTHER_CHAT, &got);
    contract_commit(&c, OTHER_CHAT, &last, 4);
    last = (struct tg_commit){ 0 };
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 6);
    contract_commit(&c, CHAT, &last, 3);
    with_rows = last;
    contract_commit(&c, CHAT, &last, 0);
    tg_sink_close(&c.sink);
    name_of(group, CHAT);
    kafka_forget(group);
    contract_open(&c);
    assert_int_equal(tg_sink_last(&c.sink, CHAT, &got, &c.err), TG_OK);
    assert_true(test_same_commit(&got, &with_rows));
    contract_scan(&c, CHAT, 9);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &with_rows));
    contract_commit(&c, CHAT, &with_rows, 2);
    contract_scan(&c, CHAT, 11);
    kafka_forget(group);
    c.env.job = "another";
    contract_reopen(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_USAGE);
    contract_end(&c);
}

static void more_chats_than_producers(void **state)
{
    struct tg_commit last[KAFKA_WRITERS + 3] = { { .seq = 0 } }, got;
    struct contract c;

    (void)state;
    contract_start(&c);
    for (int i = 0; i < (int)TG_COUNT(last); i++)
        assert_int_equal(contract_attach(&c, 100 + i, &got), TG_END);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < (int)TG_COUNT(last); i++)
            contract_commit(&c, 100 + i, &last[i], 3);
    for (int i = 0; i < (int)TG_COUNT(last); i++)
        contract_scan(&c, 100 + i, 6);
    contract_end(&c);
}

/* Whoever makes a producer of that id shuts the sink's out; but the cursor tells who may write. */
static void one_that_was_shut_out_without_right_goes_on(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    struct tg_kafka *k;
    char id[KAFKA_NAME_MAX];

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    k = beside();
    name_of(id, CHAT);
    for (int i = 0; i < 2; i++) {
        tg_kafka_writer_free(other_writer(k, id));
        contract_commit(&c, CHAT, &last, 4);
    }
    contract_scan(&c, CHAT, 8);
    tg_kafka_free(k);
    contract_end(&c);
}

/* The text of a cursor by hand. */
static void set_cursor(struct tg_kafka *k, const char *id, struct kafka_cursor *cursor)
{
    struct tg_kafka_writer *w = other_writer(k, id);
    struct tg_buf text;
    struct tg_error err;

    tg_buf_init(&text, KAFKA_CURSOR_MAX);
    tg_kafka_cursor_put(cursor, &text);
    if (tg_kafka_begin(w, &err) != TG_OK ||
        tg_kafka_commit(w, id, tg_buf_cstr(&text), &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_buf_done(&text);
    tg_kafka_writer_free(w);
}

/* A server without replicas may lose what it said it has, and the producer is of no use then. */
static void a_commit_behind_one_that_was_lost_is_not_made(void **state)
{
    struct tg_commit last = { 0 }, first, next, got;
    struct kafka_cursor cursor;
    struct contract c;
    struct tg_kafka *k;
    struct tg_buf text;
    char id[KAFKA_NAME_MAX];

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    k = beside();
    name_of(id, CHAT);
    contract_commit(&c, CHAT, &last, 4);
    first = last;
    tg_buf_init(&text, KAFKA_CURSOR_MAX);
    assert_int_equal(tg_kafka_cursor(k, id, TG_KAFKA_WAIT, &text, &c.err), TG_OK);
    assert_true(tg_kafka_cursor_take((const char *)text.data, text.len, CHAT, &cursor));
    tg_buf_done(&text);
    contract_commit(&c, CHAT, &last, 4);
    set_cursor(k, id, &cursor);
    contract_write(&c, CHAT, 9, 4);
    next = test_commit(&last, CHAT, 12, 4);
    assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), TG_SINK);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    assert_true(test_same_commit(&got, &first));
    tg_kafka_free(k);
    contract_end(&c);
}

static void what_a_dead_run_left_open_is_ended(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct tg_kafka_writer *w;
    struct contract c;
    struct tg_kafka *k;
    char id[KAFKA_NAME_MAX];

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 4);
    k = beside();
    name_of(id, CHAT);
    w = leave_open(k, id);
    assert_int_equal(tg_sink_last(&c.sink, CHAT, &got, &c.err), TG_OK);
    assert_true(test_same_commit(&got, &last));
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_OK);
    contract_commit(&c, CHAT, &last, 4);
    contract_scan(&c, CHAT, 8);
    tg_kafka_writer_free(w);
    tg_kafka_free(k);
    contract_end(&c);
}

/* Not ours: its rows are not there yet, and hide what stands behind them. */
static void an_open_transaction_of_others_is_told(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct test_seen seen = { .chat_id = CHAT, .next_id = 1 };
    struct tg_kafka_writer *w;
    char short_wait[200];
    struct contract c;
    struct tg_kafka *k;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    k = beside();
    w = leave_open(k, "others");
    contract_commit(&c, CHAT, &last, 4);
    snprintf(short_wait, sizeof short_wait, "kafka://127.0.0.1:%d/t%d?timeout=1s", rig.port,
             n_topics);
    c.url = short_wait;
    contract_reopen(&c);
    assert_int_equal(c.sink.ops->scan(c.sink.self, CHAT, test_seen, &seen, &c.err), TG_SINK);
    assert_non_null(strstr(c.err.message, "a transaction is open"));
    tg_kafka_writer_free(w);
    tg_kafka_writer_free(other_writer(k, "others"));
    contract_scan(&c, CHAT, 4);
    tg_kafka_free(k);
    contract_end(&c);
}

/* A second may be too short for a server that has a busy machine. */
static void attach_in_time(struct contract *c, int64_t chat)
{
    struct tg_commit got;
    tg_code code = TG_SINK;

    for (int tries = 0; code == TG_SINK && tries < 30; tries++)
        code = contract_attach(c, chat, &got);
    if (code != TG_OK)
        fail_msg("%s", c->err.message);
}

/* A server without another one that is killed between a transaction's end and its marks leaves
 * cursor and rows behind that hang for ever: killed at once after many commits, some do. */
static void what_the_server_never_ended_is_ended(void **state)
{
    struct tg_commit last = { 0 }, got;
    struct contract c;
    tg_code code;

    (void)state;
    contract_start(&c);
    contract_attach(&c, CHAT, &got);
    for (int kills = 0; kills < 2; kills++) {
        contract_commit(&c, CHAT, &last, 3);
        kafka_stop();
        kafka_start();
        contract_reopen(&c);
        code = contract_attach(&c, CHAT, &got);
        assert_true(code == TG_OK || (code == TG_END && last.seq == 1));
        if (code == TG_END)
            got = (struct tg_commit){ 0 };
        assert_true(got.seq == last.seq || got.seq + 1 == last.seq);
        last = got; /* of a commit that was marked nowhere the rows come again */
        contract_scan(&c, CHAT, (int64_t)last.rows_total);
    }
    contract_commit(&c, CHAT, &last, 3);
    contract_scan(&c, CHAT, (int64_t)last.rows_total);
    contract_end(&c);
}

/* Killed before a commit: one that may not wait fails, one that may waits. */
static void a_server_that_comes_back(void **state)
{
    struct tg_commit last = { 0 }, next, got;
    char short_wait[200];
    struct contract c;

    (void)state;
    contract_start(&c);
    snprintf(short_wait, sizeof short_wait, "kafka://127.0.0.1:%d/t%d?timeout=1s&create=1",
             rig.port, n_topics);
    contract_attach(&c, CHAT, &got);
    contract_commit(&c, CHAT, &last, 5);
    for (int wait = 0; wait < 2; wait++) {
        c.url = wait ? url : short_wait;
        contract_reopen(&c);
        attach_in_time(&c, CHAT);
        contract_write(&c, CHAT, (int64_t)last.rows_total + 1, 4);
        next = test_commit(&last, CHAT, (int64_t)last.rows_total + 4, 4);
        kafka_stop();
        if (wait)
            kafka_begin();
        assert_int_equal(c.sink.ops->commit(c.sink.self, &next, &c.err), wait ? TG_OK : TG_SINK);
        if (wait) {
            last = next;
            contract_scan(&c, CHAT, (int64_t)last.rows_total);
            continue;
        }
        assert_true(c.err.hint[0] != 0);
        assert_int_equal(contract_attach(&c, CHAT, &got), TG_SINK);
        kafka_start();
    }
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *address, *more; /* @ the port, # that of TLS */
        tg_code code;
        const char *says;
    } row[] = {
        { "//127.0.0.1:@", "", TG_USAGE, "names no server and topic" },
        { "//127.0.0.1:@/", "", TG_USAGE, "names no server and topic" },
        { "127.0.0.1:@/t", "", TG_USAGE, "names no server and topic" },
        { "//127.0.0.1:@/a b", "", TG_USAGE, "'a b' is no name for a topic" },
        { "//tg:secret@127.0.0.1:@/t", "", TG_USAGE, "user or password" },
        { "//127.0.0.1:@/nowhere", "", TG_IO, "Unknown topic" },
        { "//127.0.0.1:1/t", "?timeout=1s", TG_SINK, "refused" },
        { "//127.0.0.1:#/t", "?timeout=2s", TG_SINK, "SSL listener" },
        { "//127.0.0.1:#/t", "?tls&sasl=plain&login=/nowhere/x", TG_USAGE, "/nowhere/x" },
        { "//127.0.0.1:#/t", "?tls&ca=/nowhere/x", TG_USAGE, "/nowhere/x" },
        { "//127.0.0.1:#/t", "?tls&sasl=plain", TG_IO, "certificate" },
        { "//127.0.0.1:#/t", "?tls&sasl=scram-sha-256&ca=CA", TG_IO, "Unsupported SASL" },
        { "//127.0.0.1:#/first", "?tls&sasl=plain&ca=CA", TG_IO, "Topic authorization" },
        { "//127.0.0.1:#/first", "?tls&sasl=plain&ca=CA&login=LOGIN", TG_IO, "Authentication" },
    };
    struct tg_commit got;
    struct contract c;
    char login[100];
    FILE *f;

    (void)state;
    contract_start(&c);
    setenv("KAFKA_USERNAME", "limited", 1);
    setenv("KAFKA_PASSWORD", "secret", 1);
    snprintf(login, sizeof login, "%s/login", rig.directory);
    f = fopen(login, "w");
    assert_true(f && fputs("tg:wrong:one\n", f) >= 0 && fclose(f) == 0);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char text[500];
        struct tg_sink sink = { 0 };
        tg_code code;

        kafka_fill(text, sizeof text, row[i].address, row[i].more);
        code = tg_sink_open(text, &c.env, &sink, &c.err);
        if (code == TG_OK)
            code = sink.ops->attach(sink.self, CHAT, &test_fence, &got, &c.err);
        if (code != row[i].code || !strstr(c.err.message, row[i].says) || !c.err.hint[0])
            fail_msg("%s: %d %s (%s)", text, (int)code, c.err.message, c.err.hint);
        assert_null(strstr(c.err.message, "secret"));
        assert_null(strstr(c.err.message, "wrong:one"));
        tg_sink_close(&sink);
    }
    contract_end(&c);
}

/* Each right that is missing is told, one after the other. */
static void rights_that_are_missing_are_told(void **state)
{
    static const struct {
        rd_kafka_ResourceType_t of; /* given before */
        const char *name, *says;
    } row[] = {
        { RD_KAFKA_RESOURCE_UNKNOWN, NULL, "Topic authorization" },
        { RD_KAFKA_RESOURCE_TOPIC, "t", "Group authorization" },
        { RD_KAFKA_RESOURCE_GROUP, "tgdata.", "Transactional Id authorization" },
    };
    struct tg_commit got;
    struct contract c;

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_attach(&c, CHAT, &got), TG_END); /* makes the topic */
    setenv("KAFKA_USERNAME", "limited", 1);
    setenv("KAFKA_PASSWORD", "secret", 1);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char text[300], topic[40];
        struct tg_sink sink = { 0 };
        tg_code code;

        if (row[i].name)
            kafka_allow("User:limited", row[i].of, row[i].name);
        snprintf(topic, sizeof topic, "//127.0.0.1:#/t%d", n_topics);
        kafka_fill(text, sizeof text, topic, "?tls&sasl=plain&ca=CA");
        assert_int_equal(tg_sink_open(text, &c.env, &sink, &c.err), TG_OK);
        code = sink.ops->attach(sink.self, CHAT, &test_fence, &got, &c.err);
        if (code != TG_IO || !strstr(c.err.message, row[i].says) ||
            !strstr(c.err.hint, "the user needs"))
            fail_msg("%s: %d %s (%s)", text, (int)code, c.err.message, c.err.hint);
        tg_sink_close(&sink);
    }
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        SINK_CONTRACT_TESTS,
        cmocka_unit_test(a_row_that_is_too_large_is_refused),
        cmocka_unit_test(rows_that_went_to_a_file_are_sent),
        cmocka_unit_test(events_are_read_back_as_rows),
        cmocka_unit_test(changes_have_keys_of_their_own),
        cmocka_unit_test(a_cursor_that_is_forgotten_is_found_in_the_topic),
        cmocka_unit_test(more_chats_than_producers),
        cmocka_unit_test(one_that_was_shut_out_without_right_goes_on),
        cmocka_unit_test(a_commit_behind_one_that_was_lost_is_not_made),
        cmocka_unit_test(what_a_dead_run_left_open_is_ended),
        cmocka_unit_test(an_open_transaction_of_others_is_told),
        cmocka_unit_test(what_the_server_never_ended_is_ended),
        cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(rights_that_are_missing_are_told),
    };

    return cmocka_run_group_tests_name("unit/sink_kafka", test, kafka_set_up, kafka_tear_down);
}

#else

int main(void)
{
    return 77; /* skipped: no client in the library */
}

#endif
