/* SPDX-License-Identifier: MIT */
/*
 * change_state.c - what a job of changes remembers: how much room and time it takes, and single
 * cases; tests/property/change_state.c has the rest
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "base/row.h"
#include "etl/change_journal.h"
#include "etl/change_state.h"
#include "tests/memory_store.h"

enum { CHAT = -1001 };

static struct random r;
static struct memory_store m;
static int64_t now_us;
static size_t journal_max; /* 0: as it is */
static struct tg_arena arena;
static struct tg_error err;

static int set_up(void **state)
{
    (void)state;
    r.state = 1;
    journal_max = 0;
    memory_store_init(&m, &r);
    tg_arena_init(&arena, 256 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    memory_store_done(&m);
    tg_arena_done(&arena);
    memset(&m, 0, sizeof m);
    return 0;
}

static double now_s(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct tg_change_state *open_for(const char *job, uint64_t fields, uint64_t n, size_t memory)
{
    struct tg_change_state_options options = { .store = &m.store, .job = job, .fields = fields,
                                               .commit_seq = n, .fence = 1,
                                               .memory_max = memory,
                                               .journal_max = journal_max };
    struct tg_change_state *st = NULL;

    if (tg_change_state_open(&options, &st, &err) != TG_OK)
        fail_msg("%s", err.message);
    return st;
}

static struct tg_change_state *open_at(uint64_t n)
{
    return open_for("job", TG_SIGNATURE_FIELDS, n, 0);
}

/* Ends the entry, which is durable then. */
static void commit(struct tg_change_state *st, uint64_t seq)
{
    struct tg_change_entry entry = { .seq = seq, .fence = 1 };

    assert_int_equal(tg_change_entry_end(st, &arena, &entry.note, &err), TG_OK);
    assert_int_equal(tg_change_journal_append(&m.store, "job", &entry, 0, &err), TG_OK);
    tg_change_committed(st, seq);
    tg_arena_clear(&arena);
}

static void put(struct tg_change_state *st, int64_t chat, int64_t owner, int64_t id)
{
    tg_change_put(st, chat, owner, &(struct tg_signature){ .id = id, .content = draw(&r) });
}

static enum tg_change_known look(struct tg_change_state *st, int64_t chat, int64_t id)
{
    enum tg_change_known known;
    struct tg_signature s;

    assert_int_equal(tg_change_look(st, chat, id, &known, &s, &err), TG_OK);
    return known;
}

static void close_it(struct tg_change_state *st)
{
    if (tg_change_state_close(st, 0, &err) != TG_OK)
        fail_msg("%s", err.message);
    tg_change_state_free(st);
}

/* ---- single cases ---- */

static void test_what_is_known(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_change_chat chat;
    int64_t found;

    (void)state;
    assert_false(tg_change_chat(st, CHAT, &chat));
    assert_int_equal(look(st, CHAT, 5), TG_CHANGE_UNKNOWN);
    put(st, CHAT, 0, 5);
    assert_int_equal(look(st, CHAT, 5), TG_CHANGE_UNKNOWN);
    tg_change_put_scan(st, CHAT, 0, 3, 10, false);
    put(st, CHAT, 0, 2);
    put(st, CHAT, 0, 12);
    assert_int_equal(look(st, CHAT, 2), TG_CHANGE_KNOWN_THERE);
    assert_int_equal(look(st, CHAT, 3), TG_CHANGE_KNOWN_ABSENT);
    assert_int_equal(look(st, CHAT, 4), TG_CHANGE_UNKNOWN);
    assert_int_equal(look(st, CHAT, 10), TG_CHANGE_UNKNOWN);
    assert_int_equal(look(st, CHAT, 11), TG_CHANGE_KNOWN_ABSENT);
    assert_int_equal(look(st, CHAT, 12), TG_CHANGE_KNOWN_THERE);
    tg_change_put_scan(st, CHAT, 0, 10, 10, true);
    assert_int_equal(look(st, CHAT, 5), TG_CHANGE_KNOWN_THERE);
    tg_change_drop(st, CHAT, 0, 5);
    assert_int_equal(look(st, CHAT, 5), TG_CHANGE_KNOWN_ABSENT);
    put(st, 7, 1, 5);
    put(st, 8, 1, 6);
    assert_int_equal(tg_change_find(st, 6, &found, &err), TG_OK);
    assert_int_equal(found, 8);
    assert_int_equal(tg_change_find(st, 12, &found, &err), TG_OK);
    assert_int_equal(found, 0); /* ids of a channel are its own */
    assert_true(tg_change_chat_after(st, INT64_MIN, &chat) && chat.id == CHAT);
    assert_int_equal(chat.top, 12);
    assert_true(tg_change_chat_after(st, 7, &chat) && chat.id == 8);
    assert_false(tg_change_chat_after(st, 8, &chat));
    tg_change_state_free(st);
}

static void test_range_is_of_one_kind(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_signatures s;
    int64_t to = 100;
    bool known;

    (void)state;
    for (int64_t id = 1; id <= 20; id++)
        put(st, CHAT, 0, id);
    tg_change_put_scan(st, CHAT, 0, 6, 15, false);
    assert_int_equal(tg_change_range(st, CHAT, 2, &to, &s, &known, &err), TG_OK);
    assert_true(known && to == 6 && s.n == 20);
    to = 100;
    assert_int_equal(tg_change_range(st, CHAT, 7, &to, &s, &known, &err), TG_OK);
    assert_true(!known && to == 15);
    to = 100;
    assert_int_equal(tg_change_range(st, CHAT, 16, &to, &s, &known, &err), TG_OK);
    assert_true(known && to == 100 && s.from <= 16 && s.to >= 100);
    to = 9;
    assert_int_equal(tg_change_range(st, -5, 2, &to, &s, &known, &err), TG_OK);
    assert_true(!known && to == 9 && !s.n && s.from == 2 && s.to == 9);
    tg_change_state_free(st);
}

/* Many that are not committed stay beside a window; a range of them is still bounded. */
static void test_range_of_many_uncommitted(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_signatures s;
    bool known;
    int64_t n = 0;

    (void)state;
    for (int64_t id = 1; id <= 10000; id++)
        put(st, CHAT, 0, id);
    for (int64_t from = 1, to; from <= 10000; from = to + 1) {
        to = 20000;
        assert_int_equal(tg_change_range(st, CHAT, from, &to, &s, &known, &err), TG_OK);
        s = tg_signatures_slice(s, from, to);
        assert_true(s.n <= TG_WINDOW_MAX && to >= from);
        n += (int64_t)s.n;
    }
    assert_int_equal(n, 10000);
    tg_change_state_free(st);
}

static void test_other_fields_and_jobs(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_change_chat chat;
    struct tg_update_state box = { { 5, 6, 7 }, 8 }, got;
    struct tg_signatures s;
    int64_t to = 10;
    bool known;

    (void)state;
    tg_change_state_free(st);
    journal_max = 1;
    st = open_at(0);
    put(st, CHAT, 0, 1);
    tg_change_put_scan(st, CHAT, 0, 1, 1, true);
    tg_change_put_box(st, 0, &box);
    commit(st, 1);
    close_it(st);
    st = open_at(1);
    assert_null(tg_change_doubt(st));
    assert_true(tg_change_box(st, 0, &got) && memcmp(&got, &box, sizeof box) == 0);
    tg_change_state_free(st);
    /* its state under another's name */
    for (size_t i = m.n; i--;)
        if (strncmp(m.at[i].key, "job", 3) == 0) {
            struct stored *copy;
            char key[160];

            snprintf(key, sizeof key, "else%s", m.at[i].key + 3);
            copy = stored_add(&m, m.at[i].kind, key, m.at[i].bytes, m.at[i].len);
            copy->n = 1;
        }
    st = open_for("else", TG_SIGNATURE_FIELDS, 1, 0);
    assert_non_null(strstr(tg_change_doubt(st), "another job"));
    assert_false(tg_change_chat(st, CHAT, &chat));
    tg_change_state_free(st);
    /* other fields: what was there is a hint */
    st = open_for("job", TG_SIGNATURE_FIELDS | TG_ROW_BIT(views), 1, 0);
    assert_non_null(strstr(tg_change_doubt(st), "comparison_fields"));
    assert_int_equal(tg_change_n_doubted(st), 1);
    assert_true(tg_change_chat(st, CHAT, &chat) && chat.doubted && !chat.scanned);
    assert_false(tg_change_box(st, 0, &got));
    assert_int_equal(tg_change_range(st, CHAT, 1, &to, &s, &known, &err), TG_OK);
    assert_true(!known && s.n == 1);
    tg_change_state_free(st);
}

/* The destination was emptied, or is another one. */
static void test_destination_has_nothing(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_change_chat chat;

    (void)state;
    tg_change_state_free(st);
    journal_max = 1;
    st = open_at(0);
    put(st, CHAT, 0, 1);
    commit(st, 1);
    close_it(st);
    st = open_at(0);
    assert_non_null(strstr(tg_change_doubt(st), "newer than the destination"));
    assert_false(tg_change_chat(st, CHAT, &chat));
    tg_change_state_free(st);
    st = open_at(0);
    assert_null(tg_change_doubt(st));
    put(st, CHAT, 0, 1);
    commit(st, 1);
    close_it(st);
}

static void commit_some(struct tg_change_state *st, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n <= to; n++) {
        put(st, CHAT, 0, (int64_t)n);
        commit(st, n);
    }
}

/* Documents of before the destination went back, and the journal of since then. */
static void test_two_ways(void **state)
{
    struct memory_store before = { 0 };
    struct tg_change_state *st;

    (void)state;
    journal_max = 1;
    st = open_at(0);
    commit_some(st, 1, 5);
    close_it(st);
    memory_store_copy(&before, &m);
    st = open_at(3);
    assert_non_null(strstr(tg_change_doubt(st), "newer than the destination"));
    commit_some(st, 4, 7);
    tg_change_state_free(st);
    st = open_at(7);
    assert_null(tg_change_doubt(st));
    tg_change_state_free(st);
    for (size_t i = m.n; i--;)
        if (!m.at[i].log)
            stored_free(&m, i);
    for (size_t i = 0; i < before.n; i++)
        if (!before.at[i].log)
            stored_add(&m, before.at[i].kind, before.at[i].key, before.at[i].bytes,
                       before.at[i].len)->n = before.at[i].n;
    st = open_at(7);
    assert_non_null(strstr(tg_change_doubt(st), "does not follow"));
    tg_change_state_free(st);
    memory_store_done(&before);
}

/* Damage is found while a scan is under way: what is said of the scan before that counts no more,
 * though it is committed, and in the journal, only afterwards. */
static void test_doubt_while_scanning(void **state)
{
    struct tg_change_state *st;
    struct tg_change_entry entry[2];
    struct tg_change_chat chat;
    size_t i;

    (void)state;
    journal_max = 1;
    st = open_at(0);
    for (int64_t id = 1; id <= 2000; id++)
        put(st, CHAT, 0, id);
    tg_change_put_scan(st, CHAT, 0, 0, 2000, false);
    commit(st, 1);
    close_it(st);
    i = stored_newest(&m, "changes", "job/-1001/1");
    m.at[i].bytes[m.at[i].len / 2] ^= 1;
    st = open_at(1);
    for (uint64_t n = 0; n < 2; n++) {
        tg_change_put_scan(st, CHAT, 0, n ? 1000 : 0, 2000, false);
        entry[n] = (struct tg_change_entry){ .seq = 2 + n, .fence = 1 };
        assert_int_equal(tg_change_entry_end(st, &arena, &entry[n].note, &err), TG_OK);
    }
    assert_int_equal(tg_change_n_doubted(st), 0);
    assert_int_equal(look(st, CHAT, 500), TG_CHANGE_UNKNOWN);
    assert_int_equal(tg_change_n_doubted(st), 1);
    while (tg_change_due(st))
        assert_int_equal(tg_change_step(st, now_us += TG_SECOND_US, &err), TG_OK);
    for (uint64_t n = 0; n < 2; n++) {
        assert_int_equal(tg_change_journal_append(&m.store, "job", &entry[n], 0, &err), TG_OK);
        tg_change_committed(st, 2 + n);
    }
    tg_change_state_free(st);
    st = open_at(3);
    assert_null(tg_change_doubt(st));
    assert_true(tg_change_chat(st, CHAT, &chat) && chat.doubted);
    assert_int_equal(look(st, CHAT, 500), TG_CHANGE_UNKNOWN);
    /* a scan of now counts, up to the newest hint at least */
    tg_change_put_scan(st, CHAT, 0, 0, 1500, false);
    assert_true(tg_change_chat(st, CHAT, &chat) && !chat.doubted && chat.scan_end == 2000);
    commit(st, 4);
    tg_change_state_free(st);
    st = open_at(4);
    assert_true(tg_change_chat(st, CHAT, &chat) && !chat.doubted && chat.scan_end == 2000);
    tg_change_state_free(st);
}

/* A short journal is left at a clean end; a long one is compacted and dropped. */
static void test_journal_is_short(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_change_usage u;
    size_t n;

    (void)state;
    commit_some(st, 1, 5);
    close_it(st);
    assert_int_equal(m.n, 5);
    st = open_at(5);
    tg_change_usage(st, &u);
    assert_true(u.journal && !tg_change_due(st));
    for (n = 6; !tg_change_due(st); n++) {
        for (int64_t id = 1; id < 5000; id++)
            put(st, CHAT, 0, id);
        commit(st, n);
    }
    close_it(st);
    for (size_t i = 0; i < m.n; i++)
        assert_false(m.at[i].log);
    st = open_at(n - 1);
    assert_null(tg_change_doubt(st));
    tg_change_usage(st, &u);
    assert_true(u.messages == 4999 && !u.journal);
    tg_change_state_free(st);
}

/* A store that fails is asked again with pauses, and told of after ten minutes. */
static void test_store_that_fails(void **state)
{
    struct tg_change_state *st;
    uint64_t calls;
    int64_t begun_us = now_us += 100 * TG_SECOND_US;

    (void)state;
    journal_max = 1;
    st = open_at(0);
    commit_some(st, 1, 5);
    m.dead = true;
    for (calls = m.n_calls; tg_change_step(st, now_us, &err) == TG_OK;)
        now_us += TG_MS_US;
    assert_int_equal(err.code, TG_STATE);
    assert_true(now_us - begun_us > 600 * TG_SECOND_US);
    assert_true(m.n_calls - calls < 30);
    m.dead = false;
    for (calls = m.n_calls; tg_change_due(st); now_us += TG_MS_US)
        assert_int_equal(tg_change_step(st, now_us, &err), TG_OK);
    tg_change_state_free(st);
    st = open_at(5);
    assert_null(tg_change_doubt(st));
    assert_int_equal(look(st, CHAT, 5), TG_CHANGE_UNKNOWN);
    tg_change_state_free(st);
}

static void test_note_has_a_limit(void **state)
{
    struct tg_change_state *st = open_at(0);
    struct tg_str note;

    (void)state;
    for (int64_t id = 1; id < 120000; id++)
        put(st, CHAT, 0, id);
    assert_int_equal(tg_change_entry_end(st, &arena, &note, &err), TG_LIMIT);
    tg_change_state_free(st);
}

/* ---- room and time ---- */

/* A message as they are: a part is edited, a part has reactions. */
static void put_usual(struct tg_change_state *st, int64_t chat, int64_t id, uint32_t edited,
                      uint32_t reacted)
{
    struct tg_signature s = { id, 0, draw(&r), 0 };

    if (chance(&r, edited))
        s.edit_date = 1700000000 + id * 60 + below(&r, 100000);
    if (chance(&r, reacted))
        s.reactions = (uint32_t)draw(&r) | 1;
    tg_change_put(st, chat, 0, &s);
}

static void fill(struct tg_change_state *st, int64_t n, uint32_t edited, uint32_t reacted)
{
    uint64_t seq = 0;

    for (int64_t id = 1; id <= n; id++) {
        put_usual(st, CHAT, id, edited, reacted);
        if (id % 1000 == 0) {
            commit(st, ++seq);
            while (tg_change_due(st))
                assert_int_equal(tg_change_step(st, now_us += TG_SECOND_US, &err), TG_OK);
        }
    }
    tg_change_put_scan(st, CHAT, 0, n, n, true);
    commit(st, ++seq);
}

static void test_bytes_of_a_message(void **state)
{
    static const struct {
        const char *what;
        uint32_t edited, reacted;
    } cases[] = { { "plain", 0, 0 }, { "a group", 5, 10 }, { "a channel", 60, 60 },
                  { "all edited, all with reactions", 100, 100 } };
    enum { N = 100000 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(cases); i++) {
        struct tg_change_state *st = open_at(0);
        struct tg_change_usage u, stored;
        size_t bytes = 0;

        fill(st, N, cases[i].edited, cases[i].reacted);
        tg_change_usage(st, &u);
        close_it(st);
        for (size_t k = 0; k < m.n; k++)
            bytes += m.at[k].len + strlen(m.at[k].key) + 50;
        st = open_at(N / 1000 + 1);
        tg_change_usage(st, &stored);
        print_message("%-32s %.1f bytes of a message in memory, %.1f in %zu documents\n",
                      cases[i].what, (double)(u.packed + u.beside) / N, (double)bytes / N, m.n);
        assert_true(stored.messages <= N);
        assert_true(u.packed + u.beside < 24 * N && bytes < 24 * N);
        tg_change_state_free(st);
        memory_store_clear(&m);
    }
}

static void test_opening_a_million(void **state)
{
    enum { N = 1000000 };
    struct tg_change_state *st = open_at(0);
    struct tg_change_chat chat;
    double begun;

    (void)state;
    begun = now_s(CLOCK_PROCESS_CPUTIME_ID);
    fill(st, N, 5, 10);
    print_message("1,000,000 put in %.2f s of CPU\n", now_s(CLOCK_PROCESS_CPUTIME_ID) - begun);
    begun = now_s(CLOCK_PROCESS_CPUTIME_ID);
    close_it(st);
    print_message("closed in %.3f s\n", now_s(CLOCK_PROCESS_CPUTIME_ID) - begun);
    begun = now_s(CLOCK_PROCESS_CPUTIME_ID);
    st = open_at(N / 1000 + 1);
    print_message("opened in %.3f s\n", now_s(CLOCK_PROCESS_CPUTIME_ID) - begun);
    assert_true(tg_change_chat(st, CHAT, &chat) && chat.n > N / 2 && chat.scanned);
    begun = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (int64_t id = 1; id <= N; id += 1000)
        assert_int_equal(look(st, CHAT, id), TG_CHANGE_KNOWN_THERE);
    print_message("looked into every window in %.3f s\n",
                  now_s(CLOCK_PROCESS_CPUTIME_ID) - begun);
    tg_change_state_free(st);
}

/* Memory stays within its limit though there is more. */
static void test_memory_is_bounded(void **state)
{
    enum { N = 1000000, MEMORY = 1 << 20 };
    struct tg_change_state *st = open_for("job", TG_SIGNATURE_FIELDS, 0, MEMORY);
    struct tg_change_usage u;
    size_t most = 0;

    (void)state;
    fill(st, N, 5, 10);
    close_it(st);
    st = open_for("job", TG_SIGNATURE_FIELDS, N / 1000 + 1, MEMORY);
    for (uint64_t i = 0; i < 20000; i++) {
        int64_t id = 1 + below(&r, N);

        assert_int_equal(look(st, CHAT, id), TG_CHANGE_KNOWN_THERE);
        put_usual(st, CHAT, id, 50, 50);
        if (i % 100 == 99)
            commit(st, N / 1000 + 2 + i / 100);
        while (tg_change_due(st))
            assert_int_equal(tg_change_step(st, now_us += TG_SECOND_US, &err), TG_OK);
        tg_change_usage(st, &u);
        most = TG_MAX(most, u.packed + u.beside);
    }
    print_message("1,000,000 messages and 20,000 edits in at most %.1f MiB (limit 1): %llu windows "
                  "loaded, %llu compactions\n", (double)most / (1 << 20),
                  (unsigned long long)u.loads, (unsigned long long)u.compactions);
    assert_true(most < 4 * MEMORY);
    tg_change_state_free(st);
}

/* 200 chats of 10,000 messages, 2,000 random edits a second in batches of 100. */
static void test_cost_of_edits(void **state)
{
    enum { CHATS = 200, N = 10000, SECONDS = 60, RATE = 2000 };
    struct tg_change_state *st;
    struct tg_change_usage u;
    uint64_t seq = 0, puts;
    double begun;

    (void)state;
    journal_max = 1 << 20; /* that some are compacted */
    st = open_at(0);
    for (int64_t chat = 1; chat <= CHATS; chat++) {
        for (int64_t id = 1; id <= N; id++)
            put_usual(st, -1000 - chat, id, 5, 10);
        tg_change_put_scan(st, -1000 - chat, 0, N, N, true);
        commit(st, ++seq);
    }
    while (tg_change_due(st))
        assert_int_equal(tg_change_step(st, now_us += TG_SECOND_US, &err), TG_OK);
    puts = m.n_puts;
    begun = now_s(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < SECONDS * RATE; i++) {
        int64_t chat = -1001 - (int64_t)below(&r, CHATS), id = 1 + below(&r, N);

        assert_int_equal(look(st, chat, id), TG_CHANGE_KNOWN_THERE);
        put_usual(st, chat, id, 50, 50);
        if (i % 100 == 99)
            commit(st, ++seq);
        if (i % 100 == 99)
            assert_int_equal(tg_change_step(st, now_us += TG_SECOND_US, &err), TG_OK);
    }
    tg_change_usage(st, &u);
    print_message("2,000 random edits a second over 200 chats of 10,000: %.2f %% of a core, store "
                  "in memory; %.1f documents written a second, %llu compactions, %.1f bytes of a "
                  "message\n",
                  100 * (now_s(CLOCK_PROCESS_CPUTIME_ID) - begun) / SECONDS,
                  (double)(m.n_puts - puts) / SECONDS, (unsigned long long)u.compactions,
                  (double)(u.packed + u.beside) / (CHATS * N));
    tg_change_state_free(st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_range_is_of_one_kind, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_range_of_many_uncommitted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_fields_and_jobs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destination_has_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubt_while_scanning, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_journal_is_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_store_that_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_note_has_a_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bytes_of_a_message, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_opening_a_million, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cost_of_edits, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
