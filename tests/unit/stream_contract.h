/* SPDX-License-Identifier: MIT */
/*
 * stream_contract.h - what every destination that is a stream must do, as test cases
 *
 * A test program includes this file, defines `const struct stream_harness harness`, and puts
 * STREAM_CONTRACT_TESTS into its list of tests.
 */
#ifndef TG_TEST_STREAM_CONTRACT_H
#define TG_TEST_STREAM_CONTRACT_H

#include <time.h>
#include <unistd.h>

#include "tests/unit/sink_rows.h"

/** Called for each message that has arrived, in their order. @param key  NULL: it has none there */
typedef void (*stream_seen)(void *ctx, const char *key, const char *body, size_t len);

struct stream_harness {
    const char *(*fresh)(void); /* an empty place. @return its URL */
    void (*done)(void);
    void (*drain)(stream_seen seen, void *ctx); /* what has arrived since the last time */
    void (*away)(bool away);  /* it can be reached no more, and again */
    void (*around)(bool before); /* a call of the sink; NULL: nothing to do */
};

extern const struct stream_harness harness;

enum { CHAT = -1009, OTHER_CHAT = 12 };

struct stream {
    const char *url;
    struct tg_sink_env env;
    struct tg_sink sink;
    struct tg_batch *batch;
    struct tg_commit last, other; /* of CHAT, of OTHER_CHAT */
    struct tg_error err;
    size_t refused;
    char why[200];
};

static inline void stream_around(bool before)
{
    if (harness.around)
        harness.around(before);
}

static inline int64_t stream_now_us(void *ctx)
{
    struct timespec t;

    (void)ctx;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * TG_SECOND_US;
}

static inline void stream_open(struct stream *s)
{
    tg_code code = tg_sink_open(s->url, &s->env, &s->sink, &s->err);

    if (code == TG_UNSUPPORTED) /* a build without that client */
        exit(77);
    if (code != TG_OK)
        fail_msg("%s: %s", s->url, s->err.message);
}

static inline void stream_start(struct stream *s)
{
    *s = (struct stream){ .batch = tg_batch_new(2000) };
    s->env = (struct tg_sink_env){ .job = "job", .fs = &tg_fs_system, .unix_us = stream_now_us };
    s->url = harness.fresh();
    stream_open(s);
}

static inline void stream_end(struct stream *s)
{
    tg_sink_close(&s->sink);
    tg_batch_free(s->batch);
    harness.done();
}

static inline tg_code stream_write_from(struct stream *s, size_t from, size_t n)
{
    tg_code code;

    stream_around(true);
    code = s->sink.ops->write(s->sink.self, s->batch, from, n, &s->err);
    stream_around(false);
    return code;
}

static inline void stream_write(struct stream *s, int64_t chat_id, int64_t first, size_t n)
{
    test_rows(s->batch, chat_id, first, n);
    assert_int_equal(stream_write_from(s, 0, n), TG_OK);
}

/* @return what the commit of n rows says; *last goes on if it is TG_OK */
static inline tg_code stream_commit(struct stream *s, struct tg_commit *last, int64_t chat_id,
                                    size_t n)
{
    int64_t id = (int64_t)(last->rows_total + n);
    struct tg_commit next = test_commit(last, chat_id, id, n);
    tg_code code;

    stream_around(true);
    code = s->sink.ops->commit(s->sink.self, &next, &s->err);
    stream_around(false);
    if (code == TG_OK)
        *last = next;
    return code;
}

static inline void stream_committed(struct stream *s, struct tg_commit *last, int64_t chat_id,
                                    size_t n)
{
    if (stream_commit(s, last, chat_id, n) != TG_OK)
        fail_msg("%s: %s", s->url, s->err.message);
}

/* ---- what has arrived ---- */

/* Rows of chat_id are those of test_rows; `at_least_once`: some may have come before. */
struct stream_want {
    int64_t chat_id, next_id;
    bool at_least_once;
    size_t others; /* of other chats */
};

static inline void stream_check(void *ctx, const char *key, const char *body, size_t len)
{
    struct stream_want *want = ctx;
    struct tg_batch *row = tg_batch_new(1), *like = tg_batch_new(1);
    struct tg_buf text, id;
    struct tg_error err;

    assert_int_equal(tg_row_read(row, body, len, &err), TG_OK);
    if (row->row[0].chat_id != want->chat_id) {
        want->others++;
    } else {
        tg_buf_init(&text, 1 << 20);
        tg_buf_init(&id, 1 << 10);
        test_rows(like, want->chat_id, row->row[0].id, 1);
        tg_row_json(&like->row[0], &text);
        assert_string_equal(tg_buf_cstr(&text), body);
        tg_row_key(&like->row[0], &id);
        if (key)
            assert_string_equal(tg_buf_cstr(&id), key);
        if (!want->at_least_once || row->row[0].id >= want->next_id)
            assert_int_equal(row->row[0].id, want->next_id);
        want->next_id += row->row[0].id == want->next_id;
        tg_buf_done(&text);
        tg_buf_done(&id);
    }
    tg_batch_free(row);
    tg_batch_free(like);
}

/* Rows 1..n of the chat are there, in order. @return how many of other chats are */
static inline size_t stream_has(int64_t chat_id, int64_t from, int64_t to, bool at_least_once)
{
    struct stream_want want = { .chat_id = chat_id, .next_id = from,
                                .at_least_once = at_least_once };

    harness.drain(stream_check, &want);
    assert_int_equal(want.next_id, to + 1);
    return want.others;
}

/* ---- cases ---- */

static void a_stream_remembers_nothing(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    assert_false(tg_sink_remembers(&s.sink));
    assert_true(!s.sink.ops->attach && !s.sink.ops->rollback && !s.sink.ops->scan &&
                !s.sink.ops->commits && !s.sink.ops->read && !s.sink.ops->series);
    stream_end(&s);
}

static void rows_come_with_their_commit_in_order(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    for (int i = 0; i < 3; i++) {
        stream_write(&s, CHAT, 1 + i * 7, 7);
        stream_committed(&s, &s.last, CHAT, 7);
    }
    assert_int_equal(stream_has(CHAT, 1, 21, false), 0);
    assert_true(s.sink.ops->bytes(s.sink.self) > 21 * 50);
    stream_end(&s);
}

static void a_commit_may_be_of_many_rows(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    stream_write(&s, CHAT, 1, 2000);
    stream_write(&s, CHAT, 2001, 501);
    stream_committed(&s, &s.last, CHAT, 2501);
    assert_int_equal(stream_has(CHAT, 1, 2501, false), 0);
    stream_end(&s);
}

static void a_commit_may_hold_no_rows(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    stream_committed(&s, &s.last, CHAT, 0);
    assert_int_equal(stream_has(CHAT, 1, 0, false), 0);
    stream_write(&s, CHAT, 1, 2);
    stream_committed(&s, &s.last, CHAT, 2);
    stream_committed(&s, &s.last, CHAT, 0);
    assert_int_equal(stream_has(CHAT, 1, 2, false), 0);
    stream_end(&s);
}

static void a_batch_may_be_committed_in_pieces(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    test_rows(s.batch, CHAT, 1, 10);
    for (size_t from = 0; from < 10; from += 5) {
        assert_int_equal(stream_write_from(&s, from, 5), TG_OK);
        stream_committed(&s, &s.last, CHAT, 5);
    }
    assert_int_equal(stream_has(CHAT, 1, 10, false), 0);
    stream_end(&s);
}

/* What one commits is there; what another has waiting is there with its own, and not lost. */
static void chats_are_kept_apart(void **state)
{
    struct stream s;
    size_t others;

    (void)state;
    stream_start(&s);
    stream_write(&s, CHAT, 1, 5);
    stream_write(&s, OTHER_CHAT, 1, 2);
    stream_write(&s, CHAT, 6, 5);
    stream_committed(&s, &s.last, CHAT, 10);
    others = stream_has(CHAT, 1, 10, false);
    stream_committed(&s, &s.other, OTHER_CHAT, 2);
    if (!others)
        stream_has(OTHER_CHAT, 1, 2, false);
    else
        assert_int_equal(others, 2);
    stream_end(&s);
}

static void what_was_not_committed_comes_again(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    stream_write(&s, CHAT, 1, 3);
    stream_committed(&s, &s.last, CHAT, 3);
    stream_write(&s, CHAT, 4, 5);
    tg_sink_close(&s.sink);
    stream_open(&s);
    stream_write(&s, CHAT, 4, 9);
    stream_committed(&s, &s.last, CHAT, 9);
    stream_has(CHAT, 1, 12, true);
    stream_end(&s);
}

/* The failure may pass; then the chat is written again from its checkpoint, others go on. */
static void nothing_is_lost_while_it_is_away(void **state)
{
    struct stream s;
    tg_code code;

    (void)state;
    stream_start(&s);
    stream_write(&s, CHAT, 1, 3);
    stream_committed(&s, &s.last, CHAT, 3);
    stream_write(&s, OTHER_CHAT, 1, 4);
    harness.away(true);
    stream_write(&s, CHAT, 4, 5);
    code = stream_commit(&s, &s.last, CHAT, 5);
    assert_int_equal(tg_code_type(code), TG_TYPE_SINK);
    assert_int_equal(tg_code_retry(code), TG_RETRY_BACKOFF);
    assert_true(s.err.message[0] && s.err.hint[0]);
    harness.away(false);
    for (int i = 0; i < 100 && code != TG_OK; i++) { /* it may be a while until it is back */
        stream_write(&s, CHAT, 4, 5);
        code = stream_commit(&s, &s.last, CHAT, 5);
        usleep(code == TG_OK ? 0 : 100000);
    }
    assert_int_equal(code, TG_OK);
    stream_committed(&s, &s.other, OTHER_CHAT, 4);
    assert_true(stream_has(CHAT, 1, 8, true) >= 4);
    stream_end(&s);
}

static void stream_check_odd(void *ctx, const char *key, const char *body, size_t len)
{
    const char *want = ctx;

    (void)key;
    assert_int_equal(len, strlen(want));
    assert_string_equal(body, want);
}

/* NUL, line ends, quotes, what is no UTF-8: as in the files. */
static void any_text_arrives(void **state)
{
    static const char odd[] = "a\0b\r\n\"\\\xff\xed\xa0\x80 \xf0\x9f\x91\x8d\xe2\x80\xa8";
    struct tg_buf want;
    struct stream s;

    (void)state;
    stream_start(&s);
    test_rows(s.batch, CHAT, 1, 1);
    TG_ROW_SET(&s.batch->row[0], text, tg_batch_text(s.batch, odd, sizeof odd - 1));
    tg_buf_init(&want, 1 << 16);
    tg_row_json(&s.batch->row[0], &want);
    assert_int_equal(stream_write_from(&s, 0, 1), TG_OK);
    stream_committed(&s, &s.last, CHAT, 1);
    harness.drain(stream_check_odd, (void *)(uintptr_t)tg_buf_cstr(&want));
    tg_buf_done(&want);
    stream_end(&s);
}

/* Another has taken the chat over meanwhile and left it: the run is at its checkpoint again. */
static void a_chat_that_was_lost_is_taken_up_again(void **state)
{
    struct stream s;

    (void)state;
    stream_start(&s);
    stream_write(&s, CHAT, 1, 6);
    stream_write(&s, CHAT, 1, 7);
    stream_committed(&s, &s.last, CHAT, 7);
    stream_write(&s, CHAT, 8, 3);
    stream_committed(&s, &s.last, CHAT, 3);
    assert_int_equal(stream_has(CHAT, 1, 10, true), 0);
    stream_end(&s);
}

/* Rows of two chats in one sequence, which may be cut by chat, and a message that is gone. */
struct stream_changes {
    int64_t seq[2]; /* of the last row of each chat */
    size_t n;
};

static void stream_change(void *ctx, const char *key, const char *body, size_t len)
{
    struct tg_batch *b = tg_batch_new(1);
    struct stream_changes *seen = ctx;
    const struct tg_row *row = &b->row[0];
    struct tg_error err;
    struct tg_buf id;

    assert_int_equal(tg_row_read(b, body, len, &err), TG_OK);
    assert_true(row->change_seq > seen->seq[row->chat_id == CHAT]);
    seen->seq[row->chat_id == CHAT] = row->change_seq;
    assert_int_equal(row->chat_id, row->change_seq % 2 ? OTHER_CHAT : CHAT);
    tg_buf_init(&id, 1 << 10);
    tg_row_key(row, &id);
    if (key)
        assert_string_equal(tg_buf_cstr(&id), key);
    assert_int_equal(strstr(tg_buf_cstr(&id), ":1:deleted") != NULL, row->change_seq > 8);
    tg_buf_done(&id);
    tg_batch_free(b);
    seen->n++;
}

static void changes_of_many_chats_arrive(void **state)
{
    struct stream_changes seen = { .n = 0 };
    struct stream s;

    (void)state;
    stream_start(&s);
    for (int64_t commit = 0; commit < 2; commit++) {
        test_rows(s.batch, CHAT, 1, 5);
        s.batch->cursor = (struct tg_cursor){ .chat_id = TG_CHAT_CHANGES,
                                              .segment = TG_SEGMENT_CHANGES,
                                              .id = commit * 5 + 5 };
        for (size_t i = 0; i < 5; i++) {
            struct tg_row *row = &s.batch->row[i];
            int64_t seq = commit * 5 + (int64_t)i + 1;

            row->chat_id = seq % 2 ? OTHER_CHAT : CHAT;
            TG_ROW_SET(row, id, 1);
            TG_ROW_SET(row, change_seq, seq);
            TG_ROW_SET(row, change, seq > 8 ? TG_STR("deleted") : TG_STR("edited"));
        }
        assert_int_equal(stream_write_from(&s, 0, 5), TG_OK);
        stream_committed(&s, &s.last, TG_CHAT_CHANGES, 5);
    }
    harness.drain(stream_change, &seen);
    assert_int_equal(seen.n, 10);
    stream_end(&s);
}

#define STREAM_CONTRACT_TESTS                                                                      \
    cmocka_unit_test(a_stream_remembers_nothing),                                                  \
        cmocka_unit_test(rows_come_with_their_commit_in_order),                                    \
        cmocka_unit_test(a_commit_may_be_of_many_rows),                                            \
        cmocka_unit_test(a_commit_may_hold_no_rows),                                               \
        cmocka_unit_test(a_batch_may_be_committed_in_pieces),                                      \
        cmocka_unit_test(chats_are_kept_apart),                                                    \
        cmocka_unit_test(what_was_not_committed_comes_again),                                      \
        cmocka_unit_test(a_chat_that_was_lost_is_taken_up_again),                                  \
        cmocka_unit_test(nothing_is_lost_while_it_is_away), cmocka_unit_test(any_text_arrives),    \
        cmocka_unit_test(changes_of_many_chats_arrive)

#endif
