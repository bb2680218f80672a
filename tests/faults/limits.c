/* SPDX-License-Identifier: MIT */
/*
 * limits.c - the server's limits and conditions over virtual hours: rates, export sessions, keys
 * that are lost, a further data centre
 */
#include "source_rig.h"
#include "telegram/request.h"

enum { MESSAGES = 2300, BATCH = 200 };

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

/* ---- as fast as the server allows ---- */

struct pump {
    struct rig *g;
    int64_t chat, lanes, out, begun_us;
    uint64_t n_passed, n_late; /* in all, after the first minute */
};

static void on_pumped(void *ctx, const struct tgc_reply *reply)
{
    struct pump *p = ctx;

    p->out--;
    if (reply->code == TG_CANCELLED)
        return; /* the run is over */
    if (reply->code != TG_OK)
        fail_msg("getHistory: %s", reply->err->message);
    p->n_passed++;
    p->n_late += vloop_elapsed_us() - p->begun_us >= 60 * TG_SECOND_US;
}

static void pump(struct rig *g, int64_t now_us)
{
    struct tgc_request how = { .method = "messages.getHistory", .done = on_pumped, .ctx = g->test };
    struct pump *p = g->test;
    struct tg_arena arena;
    struct tg_buf raw;
    struct tl_value *q;

    tg_arena_init(&arena, 65536);
    tg_buf_init(&raw, 64);
    assert_true(tg_input_peer(&g->session->peers, p->chat, &raw));
    q = tl_obj(&arena, TLN_messages_getHistory);
    tl_set_raw(q, TLN_peer, raw.data, raw.len);
    tl_set_int(q, TLN_limit, 1);
    for (; p->out < p->lanes; p->out++)
        assert_true(tg_request(g->client, q, &how, now_us) != 0);
    tg_buf_done(&raw);
    tg_arena_done(&arena);
}

static uint64_t floods_since(const struct rig *g, int64_t at_us)
{
    uint64_t n = 0;

    assert_true(g->n_notes < RIG_NOTES);
    for (size_t i = 0; i < g->n_notes; i++)
        n += g->note[i].kind == TGC_FLOOD && g->note[i].at_us >= at_us;
    return n;
}

/* A limit of 30 requests a second: after the first minute at least 98% of it, and no more floods.
 */
static void test_the_limit_is_used(void **state)
{
    static const struct {
        const char *flood;
        int64_t latency_ms, wire_us, lanes;
    } row[] = {
        { "messages.getHistory=30/30", 0, 300, 4 },
        { "messages.getHistory=30/30", 5, 500, 8 },
        { "messages.getHistory=30/30", 20, 1000, 16 },
        { "messages.getHistory=30/60", 50, 1000, 16 },
        { "messages.getHistory=30/40", 100, 5000, 16 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct pump p = { .lanes = row[i].lanes };
        struct rig g;
        double share;

        rig_start(&g, &home,
                  &(struct rig_options){ .flood = row[i].flood,
                                         .latency_ms = row[i].latency_ms,
                                         .wire_us = row[i].wire_us,
                                         .seed = i });
        p.chat = rig_chat(&g, SIM_SUPERGROUP)->marked_id;
        p.begun_us = vloop_elapsed_us();
        g.test = &p;
        g.on_step = pump;
        vloop_deadline(600 * TG_SECOND_US);
        tg_net_run(g.net);
        share = (double)p.n_late / (30.0 * 540);
        printf("%s, %lld ms: %.2f%% of the limit, %llu floods, %llu after a minute\n", row[i].flood,
               (long long)row[i].latency_ms, share * 100, (unsigned long long)floods_since(&g, 0),
               (unsigned long long)floods_since(&g, p.begun_us + 60 * TG_SECOND_US));
        assert_true(share >= 0.98);
        assert_int_equal(floods_since(&g, p.begun_us + 60 * TG_SECOND_US), 0);
        assert_int_equal(g.sim->core.stats.early_repeats, 0);
        rig_stop(&g);
    }
}

/* Waits are kept by the server's own measure, with many pages in flight; the rows are whole. */
static void test_strict_limits(void **state)
{
    static const char *const flood[] = { "messages.getHistory=1/1", "messages.getHistory=2/5",
                                         "*=3/3", "messages.getHistory=0.2/2" };

    (void)state;
    for (size_t i = 0; i < 3 * TG_COUNT(flood); i++) {
        const struct sim_chat *chat;
        struct rig g;

        rig_start(&g, &home,
                  &(struct rig_options){ .flood = flood[i % TG_COUNT(flood)],
                                         .latency_ms = 7 * (int64_t)i,
                                         .seed = i,
                                         .pfs = i % 2 });
        chat = rig_chat(&g, i % 3 ? SIM_FORUM : SIM_MIGRATED);
        g.set = (struct tg_extract_settings){ .batch_size = BATCH, .in_flight = 1 + (int64_t)i };
        assert_int_equal(rig_read(&g, chat->marked_id), TG_OK);
        assert_true(rig_equal(&g, chat->marked_id, true));
        assert_true(g.sim->core.stats.floods > 0);
        assert_int_equal(g.sim->core.stats.early_repeats, 0);
        rig_stop(&g);
    }
}

/* ---- export sessions ---- */

struct export
{
    struct rig *g;
    int64_t id;
    struct tg_range range[8];
    size_t n;
};

static void on_export(void *ctx, int64_t id, const struct tg_error *err)
{
    struct export *e = ctx;

    e->id = id;
    rig_answer(e->g, err);
}

static void on_ranges(void *ctx, const struct tg_range *range, size_t n, const struct tg_error *err)
{
    struct export *e = ctx;

    assert_in_range(n, 0, TG_COUNT(e->range));
    if (n)
        memcpy(e->range, range, n * sizeof *range);
    e->n = n;
    rig_answer(e->g, err);
}

static void read_exported(struct rig *g, const struct export *e, enum sim_chat_kind kind)
{
    const struct sim_chat *chat = rig_chat(g, kind);

    g->n_rows = g->n_commits = 0;
    g->range = e->range;
    g->n_ranges = e->n;
    for (int64_t lanes = 1; lanes < 9; lanes += 7) {
        size_t n;

        g->n_rows = g->n_commits = 0;
        g->set = (struct tg_extract_settings){ .batch_size = 64, .in_flight = lanes };
        assert_int_equal(rig_read(g, chat->marked_id), TG_OK);
        assert_true(rig_equal(g, chat->marked_id, true));
        n = g->n_commits;
        for (size_t i = n; i-- > 1;) { /* and on from anywhere, across the ranges */
            g->n_commits = i;
            g->n_rows = (size_t)g->commit[i - 1].rows;
            assert_int_equal(rig_read(g, chat->marked_id), TG_OK);
            assert_true(rig_equal(g, chat->marked_id, true));
        }
    }
    /* dates across the ranges */
    g->n_rows = g->n_commits = 0;
    g->set.since = sim_world_date(g->world, chat, chat->top_id / 4);
    g->set.until = sim_world_date(g->world, chat, chat->top_id / 2);
    assert_int_equal(rig_read(g, chat->marked_id), TG_OK);
    assert_true(rig_equal(g, chat->marked_id, true));
}

static void test_export_session(void **state)
{
    static const struct tg_takeout_options all = { true, true, true, true, false, 0 };
    struct export e = { 0 };
    struct rig g;
    int64_t begun;

    (void)state;
    rig_start(&g, &home,
              &(struct rig_options){ .faults = "takeout-delay=80000", .latency_ms = 20 });
    e.g = &g;
    begun = tg_net_now(g.net);
    assert_true(tg_takeout_start(g.client, &all, on_export, &e, begun));
    assert_int_equal(rig_await(&g), TG_FLOOD);
    assert_int_equal(g.answer.retry_after_s, 80000);
    /* asked again at once, it leaves exactly when the server said */
    begun = tg_net_now(g.net);
    assert_true(tg_takeout_start(g.client, &all, on_export, &e, begun));
    assert_int_equal(rig_await(&g), TG_OK);
    assert_in_range(tg_net_now(g.net) - begun, 80000 * TG_SECOND_US,
                    80000 * TG_SECOND_US + TG_SECOND_US / 4);
    assert_true(e.id != 0);
    assert_int_equal(rig_stats(&g, "account.initTakeoutSession")->calls, 2);
    assert_true(tg_split_ranges_start(g.client, on_ranges, &e, tg_net_now(g.net)));
    assert_int_equal(rig_await(&g), TG_OK);
    assert_true(e.n > 1);
    assert_true(tg_left_channels_start(g.client, rig_seen, rig_answer, &g, tg_net_now(g.net)));
    assert_int_equal(rig_await(&g), TG_OK);
    read_exported(&g, &e, SIM_PRIVATE);
    read_exported(&g, &e, SIM_BASIC_GROUP);
    read_exported(&g, &e, SIM_MIGRATED);
    read_exported(&g, &e, SIM_CHANNEL);
    read_exported(&g, &e, SIM_LEFT_CHANNEL);
    assert_true(tg_takeout_finish(g.client, true, rig_answer, &g, tg_net_now(g.net)));
    assert_int_equal(rig_await(&g), TG_OK);
    assert_int_equal(g.sim->core.stats.takeout_unwrapped, 0);
    assert_int_equal(g.sim->core.stats.takeout_open, 0);
    assert_int_equal(g.sim->core.stats.takeout_unfinished, 0);
    assert_int_equal(rig_stats(&g, "account.finishTakeoutSession")->calls, 1);
    assert_int_equal(rig_stats(&g, "account.finishTakeoutSession")->errors, 0);
    rig_stop(&g);
}

/* ---- keys ---- */

static void test_temporary_keys_that_are_lost(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 8; seed++) {
        const struct sim_chat *chat;
        struct rig g;

        rig_start(&g, &home,
                  &(struct rig_options){
                      .pfs = true, .temp_key_loss_s = 5, .latency_ms = 700, .seed = seed });
        chat = rig_chat(&g, SIM_SUPERGROUP);
        g.set =
            (struct tg_extract_settings){ .batch_size = BATCH, .in_flight = 1 + (int64_t)seed / 4 };
        assert_int_equal(rig_read(&g, chat->marked_id), TG_OK);
        assert_true(rig_equal(&g, chat->marked_id, true));
        assert_in_range(g.sim->core.stats.handshakes, 3, 12);
        rig_stop(&g);
    }
}

static void on_user(void *ctx, const struct tgc_reply *reply)
{
    rig_answer(ctx, reply->code == TG_OK ? NULL : reply->err);
}

/* A call for the DC that is not home: the login is carried there first, once. */
static void test_further_data_centre(void **state)
{
    (void)state;
    for (int pfs = 0; pfs < 2; pfs++) {
        struct tgc_request how = { .method = "users.getUsers", .done = on_user };
        struct tg_arena arena;
        struct tl_value *q;
        struct rig g;

        rig_start(&g, &home, &(struct rig_options){ .pfs = pfs });
        how.ctx = &g;
        how.dc = 3 - g.session->home_dc;
        tg_session_dc(g.session, how.dc)->authorized = false;
        tg_arena_init(&arena, 65536);
        q = tl_obj(&arena, TLN_users_getUsers);
        tl_add_new(tl_set_vector(q, TLN_id), TLN_inputUserSelf);
        for (int i = 0; i < 3; i++) {
            assert_true(tg_request(g.client, q, &how, tg_net_now(g.net)) != 0);
            if (rig_await(&g) != TG_OK)
                fail_msg("%s", g.answer.message);
        }
        tg_arena_done(&arena);
        assert_int_equal(rig_stats(&g, "auth.exportAuthorization")->calls, 1);
        assert_int_equal(rig_stats(&g, "auth.importAuthorization")->calls, 1);
        assert_true(tg_session_dc(g.session, how.dc)->authorized);
        rig_stop(&g);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_the_limit_is_used),
        cmocka_unit_test(test_strict_limits),
        cmocka_unit_test(test_export_session),
        cmocka_unit_test(test_temporary_keys_that_are_lost),
        cmocka_unit_test(test_further_data_centre),
    };

    return cmocka_run_group_tests_name("faults/limits", test, set_up, tear_down);
}
