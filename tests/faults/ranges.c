/* SPDX-License-Identifier: MIT */
/*
 * ranges.c - what is asked of a chat is what comes: dates, ids, limits, resumes, stops; of every
 * kind of chat, as a person and as a bot
 *
 * Each run is compared with the world message by message, and its batches' coverage must be whole.
 */
#include "source_rig.h"

enum { MESSAGES = 700, BATCH = 64 };

static struct rig_home home;

static int set_up(void **state)
{
    (void)state;
    rig_open(&home, MESSAGES);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rig_close(&home);
}

static const enum sim_chat_kind kinds[] = { SIM_SUPERGROUP,  SIM_CHANNEL, SIM_FORUM,
                                            SIM_BASIC_GROUP, SIM_PRIVATE, SIM_MIGRATED };

static struct tg_extract_settings settings(int64_t in_flight)
{
    return (struct tg_extract_settings){ .batch_size = BATCH, .in_flight = in_flight };
}

static void start(struct rig *g, uint64_t seed)
{
    rig_start(g, &home, &(struct rig_options){ .seed = seed });
}

static void check(struct rig *g, int64_t chat_id)
{
    if (g->err.code)
        fail_msg("the run failed: %s", g->err.message);
    assert_true(rig_equal(g, chat_id, true));
    assert_true(g->n_commits > 0 && g->commit[g->n_commits - 1].last);
    assert_int_equal(g->n_done, 1);
}

static void test_every_kind(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3 * TG_COUNT(kinds); i++) {
        const struct sim_chat *chat;
        struct rig g;

        start(&g, i);
        chat = rig_chat(&g, kinds[i % TG_COUNT(kinds)]);
        g.set = settings(i < TG_COUNT(kinds) ? 1 : 8 * (int64_t)i);
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        rig_stop(&g);
    }
}

/* The n-th message's date, n counted from the oldest. */
static int64_t date_of(const struct rig *g, const struct sim_chat *chat, uint64_t n)
{
    return sim_world_date(g->world, chat, sim_world_select(g->world, chat, n));
}

/* Requests beyond those for a page of each hundred ids that are in range. */
static void test_dates(void **state)
{
    static const struct {
        const char *name;
        int from, to;           /* number of the message whose date it is; -1 open */
        int from_more, to_more; /* seconds added to it */
    } row[] = {
        { "on the first message's second", 0, -1, 0, 0 },
        { "a second behind the first message", 0, -1, 1, 0 },
        { "on a message's second", 300, -1, 0, 0 },
        { "a second after a message", 300, -1, 1, 0 },
        { "until a message's second: without it", -1, 300, 0, 0 },
        { "until a second after it: with it", -1, 300, 0, 1 },
        { "both", 100, 400, 0, 0 },
        { "exactly one message", 250, 250, 0, 1 },
        { "an empty range", 250, 250, 0, 0 },
        { "a range turned round", 400, 100, 0, 0 },
        { "before the first message", -1, 0, 0, -100 },
        { "after the last message", MESSAGES - 1, -1, 100, 0 },
    };

    (void)state;
    for (size_t i = 0; i < 2 * TG_COUNT(row) * TG_COUNT(kinds); i++) {
        size_t at = i % TG_COUNT(row);
        const struct sim_chat *chat;
        uint64_t extra;
        struct rig g;

        start(&g, i);
        chat = rig_chat(&g, kinds[i / TG_COUNT(row) % TG_COUNT(kinds)]);
        g.set = settings(i < TG_COUNT(row) * TG_COUNT(kinds) ? 1 : 8);
        if (row[at].from >= 0)
            g.set.since = date_of(&g, chat, (uint64_t)row[at].from) + row[at].from_more;
        if (row[at].to >= 0)
            g.set.until = date_of(&g, chat, (uint64_t)row[at].to) + row[at].to_more;
        g.sim->core.faults.rule[SIM_FAULT_SHORT].below = 0; /* each page is full: to count them */
        rig_read(&g, chat->marked_id);
        if (!rig_equal(&g, chat->marked_id, true))
            fail_msg("%s, chat %lld", row[at].name, (long long)chat->marked_id);
        check(&g, chat->marked_id);
        /* per segment: the newest id, an edge or two, and a page more where ids are sparse */
        extra = (chat->migrated_from >= 0 ? 2 : 1) * (1 + (row[at].from >= 0) + (row[at].to >= 0));
        if (g.set.in_flight == 1 && g.state.n_requests > extra + g.n_rows / 100 + 3)
            fail_msg("%s: %llu requests for %zu rows", row[at].name,
                     (unsigned long long)g.state.n_requests, g.n_rows);
        if (g.n_rows == 0)
            assert_in_range(g.state.n_requests, 0, extra + 2);
        rig_stop(&g);
    }
}

static void test_ids(void **state)
{
    static const struct {
        int64_t min, max;
    } row[] = { { 1, 0 },   { 0, 1 },     { 2, 2 },     { 100, 100 }, { 101, 200 }, { 0, 99 },
                { 250, 0 }, { 300, 299 }, { 699, 701 }, { 5000, 0 },  { 0, 5000 } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row) * TG_COUNT(kinds); i++) {
        const struct sim_chat *chat;
        struct rig g;

        start(&g, i);
        chat = rig_chat(&g, kinds[i / TG_COUNT(row)]);
        g.set = settings(1 + (int64_t)i % 9);
        g.set.min_id = row[i % TG_COUNT(row)].min;
        g.set.max_id = row[i % TG_COUNT(row)].max;
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        rig_stop(&g);
    }
}

static void test_limit(void **state)
{
    static const int64_t limit[] = { 1, 2, BATCH - 1, BATCH, BATCH + 1, 100, 101, 399, 5000 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(limit) * TG_COUNT(kinds); i++) {
        const struct sim_chat *chat;
        uint64_t n_queries;
        size_t n_rows;
        struct rig g;

        start(&g, i);
        chat = rig_chat(&g, kinds[i / TG_COUNT(limit)]);
        g.set = settings(1 + (int64_t)i % 17);
        g.set.limit = limit[i % TG_COUNT(limit)];
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        n_rows = g.n_rows;
        n_queries = g.sim->core.stats.queries;
        assert_true(n_rows == (size_t)g.set.limit || g.set.limit > (int64_t)chat->n_messages);
        rig_read(&g, chat->marked_id); /* a resume after the limit does nothing */
        check(&g, chat->marked_id);
        assert_int_equal(g.n_rows, n_rows);
        if (n_rows == (size_t)g.set.limit)
            assert_int_equal(g.sim->core.stats.queries, n_queries);
        rig_stop(&g);
    }
}

/* A limit that ends a chat while credit is missing and pages are ahead. */
static void no_credit_for_a_while(struct rig *g, int64_t now_us)
{
    (void)now_us;
    g->no_credit = g->n_rows > 0 && vloop_elapsed_us() < 20 * TG_SECOND_US;
    tg_net_timer(g->net, tg_net_now(g->net) + 50 * TG_MS_US);
}

static void test_waiting_for_credit(void **state)
{
    (void)state;
    for (int64_t limit = 0; limit < 400; limit += 40) {
        const struct sim_chat *chat;
        struct rig g;

        start(&g, (uint64_t)limit);
        chat = rig_chat(&g, limit % 80 ? SIM_MIGRATED : SIM_SUPERGROUP);
        g.set = settings(16);
        g.set.limit = limit;
        g.on_step = no_credit_for_a_while;
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        rig_stop(&g);
    }
}

/* Whatever was committed last, the rest follows, nothing twice. */
static void test_resume_anywhere(void **state)
{
    (void)state;
    for (size_t k = 0; k < TG_COUNT(kinds); k++) {
        const struct sim_chat *chat;
        struct rig_commit *commit;
        size_t n;
        struct rig g;

        start(&g, k);
        chat = rig_chat(&g, kinds[k]);
        g.set = settings(4);
        g.set.batch_size = 7;
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        n = g.n_commits;
        commit = malloc(n * sizeof *commit);
        assert_non_null(commit);
        memcpy(commit, g.commit, n * sizeof *commit);
        for (size_t i = 0; i < n; i++) {
            g.n_commits = 1;
            g.commit[0] = commit[i];
            g.n_rows = (size_t)commit[i].rows;
            g.set.in_flight = 1 + (int64_t)i % 5;
            rig_read(&g, chat->marked_id);
            check(&g, chat->marked_id);
        }
        free(commit);
        rig_stop(&g);
    }
}

/* ---- stops ---- */

struct stopper {
    int64_t at_us;
    bool drop;
};

static void stop_at(struct rig *g, int64_t now_us)
{
    struct stopper *s = g->test;

    if (vloop_elapsed_us() < s->at_us) {
        tg_net_timer(g->net, now_us + s->at_us - vloop_elapsed_us());
    } else if (s->drop) {
        tg_source_free(g->source);
        g->source = NULL;
        g->n_done = 1;
        g->on_step = NULL;
        tg_net_stop(g->net);
    } else {
        g->on_step = NULL;
        tg_source_stop(g->source, now_us);
    }
}

/* Stopped or dropped at any moment, then resumed: nothing lost, nothing twice. */
static void test_stops(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 120; seed++) {
        struct stopper s = { .drop = seed % 3 == 0 };
        const struct sim_chat *chat;
        size_t n_rows;
        struct rig g;

        rig_start(&g, &home,
                  &(struct rig_options){ .seed = seed, .latency_ms = 3, .pfs = seed % 2 == 1 });
        chat = rig_chat(&g, kinds[seed % TG_COUNT(kinds)]);
        g.set = settings(1 + (int64_t)seed % 12);
        for (int i = 0; i < 3; i++) {
            s.at_us = vloop_elapsed_us() + (int64_t)(seed * 977 % 60) * TG_MS_US;
            g.test = &s;
            g.on_step = stop_at;
            rig_begin(&g, chat->marked_id);
            while (!g.n_done)
                tg_net_run(g.net);
            assert_true(rig_equal(&g, chat->marked_id, false));
            n_rows = g.n_rows;
            for (int k = 0; k < 3; k++) { /* answers that are late find nobody */
                tg_net_timer(g.net, tg_net_now(g.net) + 50 * TG_MS_US);
                vloop_deadline(100 * TG_MS_US);
                tg_net_run(g.net);
            }
            vloop_deadline(3600 * TG_SECOND_US);
            assert_int_equal(g.n_rows, n_rows);
        }
        g.on_step = NULL;
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        rig_stop(&g);
    }
}

/* ---- bots ---- */

static void test_bot(void **state)
{
    static const enum sim_chat_kind readable[] = { SIM_SUPERGROUP, SIM_CHANNEL, SIM_FORUM,
                                                   SIM_MIGRATED };
    size_t bot = rig_account(&home, true, 0);

    (void)state;
    rig_have(&home, bot);
    for (size_t i = 0; i < 12; i++) {
        const struct sim_chat *chat;
        struct rig g;

        rig_start(&g, &home,
                  &(struct rig_options){ .account = bot,
                                         .seed = i,
                                         .faults = i % 3 ? NULL : "drop=0.05,500=0.1,most=20" });
        chat = rig_chat(&g, readable[i % TG_COUNT(readable)]);
        g.set = settings(1 + 3 * (int64_t)i);
        if (i >= 8) {
            g.set.limit = 150;
            g.set.min_id = 40;
            g.set.since = date_of(&g, chat, 60);
        }
        rig_read(&g, chat->marked_id);
        check(&g, chat->marked_id);
        assert_int_equal(rig_stats(&g, "messages.getHistory")->calls, 0);
        if (i < 8)
            assert_in_range(rig_stats(&g, "channels.getMessages")->calls, 0,
                            chat->top_id / 100 + 20);
        rig_stop(&g);
    }
}

static void test_bot_sets_unreadable_aside(void **state)
{
    size_t bot = rig_account(&home, true, 0);

    (void)state;
    rig_have(&home, bot);
    for (int i = 0; i < 3; i++) {
        static const char *const faults[] = { "unknown-message=1", "unknown-message=700",
                                              "unknown-message=100,unknown-message=101" };
        const struct sim_chat *chat;
        struct rig g;

        rig_start(&g, &home, &(struct rig_options){ .account = bot, .faults = faults[i] });
        chat = rig_chat(&g, SIM_SUPERGROUP);
        g.set = settings(4);
        assert_int_equal(rig_read(&g, chat->marked_id), TG_OK);
        assert_int_equal(g.n_bad, i == 2 ? 2 : 1);
        assert_int_equal(g.n_rows + g.n_bad, chat->n_messages);
        assert_false(g.out_of_order || g.wrong_cover);
        assert_int_equal(g.commit[g.n_commits - 1].cursor.id, chat->top_id);
        rig_stop(&g);
    }
}

static void test_bot_is_told(void **state)
{
    size_t bot = rig_account(&home, true, 0);
    struct rig g;

    (void)state;
    rig_have(&home, bot);
    rig_start(&g, &home, &(struct rig_options){ .account = bot });
    for (size_t i = 0; i < sim_world_chats(g.world); i++) {
        const struct sim_chat *chat = sim_world_chat(g.world, i);
        struct tg_peer peer = { .id = chat->marked_id, .kind = TG_PEER_GROUP, .name = "" };

        if (sim_is_channel(chat))
            continue;
        tg_peers_put(&g.session->peers, &peer);
        g.set = settings(1);
        assert_int_equal(rig_read(&g, chat->marked_id), TG_UNSUPPORTED);
        assert_true(g.err.hint[0] != 0);
    }
    assert_int_equal(g.sim->core.stats.queries, 0);
    rig_stop(&g);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_waiting_for_credit),
        cmocka_unit_test(test_resume_anywhere),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_bot),
        cmocka_unit_test(test_bot_sets_unreadable_aside),
        cmocka_unit_test(test_bot_is_told),
    };

    return cmocka_run_group_tests_name("faults/ranges", test, set_up, tear_down);
}
