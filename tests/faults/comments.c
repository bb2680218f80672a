/* SPDX-License-Identifier: MIT */
/*
 * comments.c - a discussion group read itself, and through its channel: whatever the network and
 * the server do, wherever a run is broken off and its last batch cut, each message comes once and
 * names its post
 */
#include "source_rig.h"
#include "sim/world_int.h"

enum { MESSAGES = 120, SEEDS = 60 };

static struct rig_home open_home, closed_home;

static int set_up(void **state)
{
    (void)state;
    rig_open_with(&open_home, MESSAGES, SIM_DISCUSS_OPEN);
    rig_open_with(&closed_home, MESSAGES, SIM_DISCUSS_CLOSED);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rig_close(&open_home) | rig_close(&closed_home);
}

/* What is left of a run that was broken off: some commits, the last of them cut by the taker. */
static void break_off(struct rig *g, struct sim_rng *r)
{
    size_t keep = sim_below(r, (uint32_t)g->n_commits + 1);
    struct rig_commit *last;
    uint64_t rows_before, cut;

    if (g->n_commits - keep > 3)
        keep = g->n_commits - 3;
    g->n_commits = keep;
    last = keep ? &g->commit[keep - 1] : NULL;
    g->n_rows = last ? (size_t)last->rows : 0;
    rows_before = keep > 1 ? g->commit[keep - 2].rows : 0;
    if (!last || last->rows < rows_before + 2 || sim_chance(r, 500))
        return;
    cut = 1 + sim_below(r, (uint32_t)(last->rows - rows_before - 1));
    last->rows -= cut;
    g->n_rows -= cut;
    last->last = false;
    last->cursor.id = g->through
                          ? TG_THREAD_CURSOR(g->row[g->n_rows - 1].post, g->row[g->n_rows - 1].id)
                          : g->row[g->n_rows - 1].id;
}

static uint64_t steps_left;

static void stop_some_time(struct rig *g, int64_t now_us)
{
    if (g->source && !g->n_done && steps_left && --steps_left == 0)
        tg_source_stop(g->source, now_us);
}

/* Reads the chat in some runs. */
static void read_in_pieces(struct rig *g, int64_t chat_id, struct sim_rng *r)
{
    bool whole = false;

    g->on_step = stop_some_time;
    for (int runs = 0; !whole; runs++) {
        tg_code code;

        steps_left = runs < 6 && sim_chance(r, 800) ? 1 + sim_below(r, 400) : 0;
        code = rig_read(g, chat_id);
        if (code != TG_OK)
            fail_msg("the run failed: %s", g->err.message);
        whole = g->n_commits && g->commit[g->n_commits - 1].last;
        if (runs < 6 && sim_chance(r, 300)) { /* killed before the end was committed */
            whole = false;
            break_off(g, r);
        }
    }
    assert_false(g->out_of_order || g->wrong_cover || g->after_done);
}

static void start(struct rig *g, struct rig_home *home, uint64_t seed, struct sim_rng *r)
{
    static char faults[128];

    snprintf(faults, sizeof faults, "short=0.2,500=0.02,drop=0.01,dup=0.02,reorder=0.02,seed=%llu",
             (unsigned long long)seed);
    rig_start(g, home, &(struct rig_options){ .seed = seed, .faults = faults,
                                              .attempts_max = 12 });
    g->set = (struct tg_extract_settings){ .batch_size = 20 + sim_below(r, 100),
                                           .in_flight = 1 + sim_below(r, 12),
                                           .include_replies = true };
}

static void test_itself(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_rng r = { seed };
        const struct sim_chat *group;
        struct rig g;

        print_message("seed %llu\n", (unsigned long long)seed);
        start(&g, &open_home, seed, &r);
        group = rig_chat(&g, SIM_DISCUSSION);
        if (sim_chance(&r, 300))
            g.set.min_id = 1 + sim_below(&r, (uint32_t)group->top_id);
        read_in_pieces(&g, group->marked_id, &r);
        assert_true(rig_equal(&g, group->marked_id, true));
        for (size_t i = 0; i < g.n_rows; i++)
            assert_int_equal(g.row[i].post, sim_world_comment_of(g.world, group, g.row[i].id));
        rig_stop(&g);
    }
}

/* The comments on each post, oldest first; and the posts that have some. */
struct truth {
    struct rig_row row[20 * MESSAGES];
    size_t n;
    int32_t post[MESSAGES];
    size_t n_posts;
};

static void know(const struct rig *g, const struct sim_chat *group, struct truth *t)
{
    const struct sim_chat *channel = sim_world_linked(g->world, group);

    *t = (struct truth){ .n = 0 };
    for (uint64_t i = 0; i < channel->n_messages; i++) {
        int64_t post = sim_world_select(g->world, channel, i);
        int64_t root = sim_world_post_root(g->world, channel, post);
        size_t before = t->n;

        for (int64_t id = root + 1; root && id < root + 600 && id <= group->top_id; id++)
            if (sim_world_comment_of(g->world, group, id) == post)
                t->row[t->n++] = (struct rig_row){ group->marked_id, id, post };
        if (t->n > before)
            t->post[t->n_posts++] = (int32_t)post;
    }
}

static void test_through_the_channel(void **state)
{
    static struct truth t;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_rng r = { seed ^ 0x7777 };
        const struct sim_chat *group, *channel;
        size_t known = 0;
        struct rig g;

        print_message("seed %llu\n", (unsigned long long)seed);
        start(&g, &closed_home, seed, &r);
        group = rig_chat(&g, SIM_DISCUSSION);
        channel = sim_world_linked(g.world, group);
        g.through = channel->marked_id;
        know(&g, group, &t);
        if (sim_chance(&r, 500)) { /* all posts, or those from one on, are known beforehand */
            known = sim_chance(&r, 500) ? 0 : sim_below(&r, (uint32_t)t.n_posts);
            g.posts = (struct tg_source_posts){ t.post + known, t.n_posts - known,
                                                known ? t.post[known] : 1, channel->top_id };
        }
        if (sim_chance(&r, 200))
            g.set.limit = 1 + sim_below(&r, (uint32_t)t.n);
        read_in_pieces(&g, group->marked_id, &r);
        assert_int_equal(g.n_rows, g.set.limit ? (size_t)g.set.limit : t.n);
        for (size_t i = 0; i < g.n_rows; i++)
            assert_memory_equal(&g.row[i], &t.row[i], sizeof t.row[i]);
        if (!g.set.limit)
            assert_int_equal(g.commit[g.n_commits - 1].cursor.id,
                             TG_THREAD_CURSOR(channel->top_id, INT32_MAX));
        rig_stop(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_itself),
        cmocka_unit_test(test_through_the_channel),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
