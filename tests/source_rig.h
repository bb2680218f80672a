/* SPDX-License-Identifier: MIT */
/*
 * source_rig.h - one account reading chats from a simulated data centre, both on the virtual clock
 *
 *   rig_open     a directory for the data centre, and a session per account, logged in once
 *   rig_start    data centre and client, fresh but for keys and logins
 *   rig_read     one chat through the history source; rows and commits are kept
 *   rig_stop
 *
 * Every batch is kept as a commit, so that a test can resume behind any of them.
 *
 * Threads: one
 */
#ifndef TESTS_SOURCE_RIG_H
#define TESTS_SOURCE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/fs.h"
#include "sim/server.h"
#include "sim/targets.h"
#include "source/history_source.h"
#include "source/net.h"
#include "telegram/login.h"
#include "vloop.h"

#define RIG_START_US (INT64_C(1767225600) * TG_SECOND_US)

enum { RIG_ACCOUNTS = 8, RIG_CREDIT = 4, RIG_NOTES = 4096 };

/* What outlives data centre and client. */
struct rig_home {
    char dir[64];
    int64_t messages;
    enum sim_discussions discussions;
    bool has[RIG_ACCOUNTS];
    struct tg_session_data session[RIG_ACCOUNTS];
};

struct rig_options {
    size_t account;
    const char *faults, *flood, *proxy_secret;
    int64_t latency_ms, temp_key_loss_s, wire_us;
    bool pfs;
    uint64_t seed;
    uint32_t attempts_max;
};

struct rig_row {
    int64_t chat_id, id;
    int64_t post; /* that it is a comment on; 0: none */
};

/* What a checkpoint would hold after a batch. */
struct rig_commit {
    struct tg_cursor cursor;
    uint64_t rows, batches;
    bool last;
};

struct rig_note {
    enum tgc_notice_kind kind;
    int64_t at_us, wait_us;
};

struct rig {
    struct rig_home *home;
    struct rig_options options;
    struct sim *sim;
    const struct sim_world *world;
    struct tg_net *net;
    struct tgc *client;
    struct tg_datacenter where;
    struct tg_session_data *session;
    struct tg_random_seeded seeded;
    struct tg_random random;
    void (*on_step)(struct rig *g, int64_t now_us); /* a test's own, after every event */
    void *test;
    /* reading */
    struct tg_history_source *source;
    struct tg_extract_settings set;
    const struct tg_range *range;
    size_t n_ranges;
    int64_t through; /* channel that comments are read through; 0: the chat is read itself */
    struct tg_source_posts posts;
    struct rig_row *row;
    size_t n_rows, cap_rows;
    struct rig_commit *commit;
    size_t n_commits, cap_commits;
    struct tg_batch *batch[RIG_CREDIT];
    size_t n_free;
    bool no_credit;
    bool out_of_order, wrong_cover, after_done;
    uint64_t n_bad, n_done;
    struct tg_error err;
    struct tg_source_state state;
    struct rig_note note[RIG_NOTES];
    size_t n_notes;
    /* an answer of another kind */
    bool answered;
    struct tg_error answer;
};

static inline void rig_no_save(void *ctx)
{
    (void)ctx;
}

static inline void rig_notice(void *ctx, const struct tgc_notice *n)
{
    struct rig *g = ctx;

    if (g->n_notes < RIG_NOTES && n->kind != TGC_ASKED && n->kind != TGC_ENDED)
        g->note[g->n_notes++] = (struct rig_note){ n->kind, vloop_elapsed_us(), n->wait_us };
    if (getenv("TG_TRACE"))
        printf("%.6f notice %d %s wait %.3f: %s\n", (double)vloop_elapsed_us() / 1e6, n->kind,
               n->method ? n->method : "", (double)n->wait_us / 1e6, n->err ? n->err->message : "");
}

static inline void rig_step(void *ctx, int64_t now_us)
{
    struct rig *g = ctx;

    if (g->on_step)
        g->on_step(g, now_us);
    if (g->source && !g->n_done)
        tg_source_step(g->source, now_us);
}

/* ---- data centre and client ---- */

static inline void rig_sim(struct rig *g)
{
    const struct rig_options *o = &g->options;
    const char *flood[1] = { o->flood };
    struct sim_settings set = { 0 };
    struct tg_error err;

    assert_int_equal(tg_options_default(sim_options, &set, &err), TG_OK);
    set.dir = g->home->dir;
    set.listen = "127.0.0.1:0";
    set.seed = 7;
    set.chats = 8;
    set.messages = g->home->messages;
    set.discussions = g->home->discussions;
    set.latency_ms = o->latency_ms;
    set.faults = o->faults;
    set.proxy_secret = o->proxy_secret;
    set.temp_key_loss_s = o->temp_key_loss_s;
    if (o->flood) {
        set.flood.item = flood;
        set.flood.n = 1;
    }
    if (sim_start(&set, &g->sim, &err) != TG_OK)
        fail_msg("sim: %s", err.message);
    set.flood.item = NULL;
    set.flood.n = 0;
    tg_options_done(sim_options, &set);
    g->world = sim_world_of(g->sim);
}

static inline void rig_where(struct rig *g)
{
    struct tg_error err;
    struct tg_dir *dir;
    struct tg_buf text;

    tg_buf_init(&text, 65536);
    assert_int_equal(tg_fs_system.open_dir(&tg_fs_system, g->home->dir, false, &dir, &err), TG_OK);
    assert_int_equal(tg_fs_read_all(&tg_fs_system, dir, "datacenter.json", 65536, &text, &err),
                     TG_OK);
    tg_fs_system.close_dir(&tg_fs_system, dir);
    if (tg_datacenter_parse((const char *)text.data, text.len, &g->where, &err) != TG_OK)
        fail_msg("datacenter.json: %s", err.message);
    tg_buf_done(&text);
}

static inline void rig_client(struct rig *g)
{
    const struct rig_options *o = &g->options;
    struct tg_net_options net = {
        .ctx = g, .save = rig_no_save, .notice = rig_notice, .step = rig_step
    };
    struct tgc_options client = {
        .random = &g->random,
        .where = &g->where,
        .session = g->session,
        .transport = { .framing = MT_INTERMEDIATE, .obfuscated = true },
        .pfs = o->pfs,
        .limit = { 0, 1, true, 1000 },
        .retry.backoff = { 200 * TG_MS_US, 5 * TG_SECOND_US, 2000, true },
        .call_timeout_us = 20 * TG_SECOND_US,
        .retry.attempts_max = o->attempts_max,
    };
    struct tg_error err;

    tg_random_seeded_init(&g->seeded, o->seed + 1);
    g->random = tg_random_seeded(&g->seeded);
    assert_int_equal(tg_net_new(&net, &client, &g->net, &err), TG_OK);
    g->client = tg_net_client(g->net);
}

static inline void rig_start(struct rig *g, struct rig_home *home,
                             const struct rig_options *options)
{
    *g = (struct rig){ .home = home, .options = *options };
    g->session = &home->session[options->account];
    vloop_reset(options->seed + 1, RIG_START_US + (int64_t)options->seed * TG_SECOND_US,
                options->wire_us ? options->wire_us : 500);
    vloop_deadline(INT64_C(10) * 24 * 3600 * TG_SECOND_US);
    rig_sim(g);
    rig_where(g);
    rig_client(g);
}

static inline void rig_drop_source(struct rig *g)
{
    if (!g->source)
        return;
    tg_source_state(g->source, &g->state);
    tg_source_free(g->source);
    g->source = NULL;
}

static inline void rig_stop(struct rig *g)
{
    rig_drop_source(g);
    tg_net_free(g->net);
    tg_datacenter_done(&g->where);
    sim_free(g->sim);
    for (size_t i = 0; i < g->n_free; i++)
        tg_batch_free(g->batch[i]);
    free(g->row);
    free(g->commit);
}

/* ---- answers of another kind: login, lists, takeout ---- */

static inline void rig_answer(void *ctx, const struct tg_error *err)
{
    struct rig *g = ctx;

    g->answered = true;
    g->answer = err ? *err : (struct tg_error){ 0 };
    tg_net_stop(g->net);
}

/* Runs until rig_answer. @return the failure, or TG_OK */
static inline tg_code rig_await(struct rig *g)
{
    while (!g->answered && !vloop_late())
        tg_net_run(g->net);
    if (!g->answered)
        fail_msg("no answer before the deadline");
    g->answered = false;
    return g->answer.code;
}

static inline void rig_no_ask(void *ctx, enum tg_login_question what, const char *hint)
{
    (void)ctx;
    (void)hint;
    fail_msg("the login asks for %d", (int)what);
}

static inline void rig_login(struct rig *g)
{
    const struct sim_account *a = sim_world_account(g->world, g->options.account);
    struct tg_login_options options = { .phone = a->bot_token ? NULL : a->phone,
                                        .code = a->code,
                                        .password = a->password,
                                        .bot_token = a->bot_token };
    struct tg_login_hooks hooks = { .ctx = g, .ask = rig_no_ask, .done = rig_answer };

    assert_non_null(tg_login_start(g->client, &options, &hooks, tg_net_now(g->net)));
    if (rig_await(g) != TG_OK)
        fail_msg("login: %s", g->answer.message);
}

static inline bool rig_seen(void *ctx, const struct tg_dialog *dialog)
{
    (void)ctx;
    (void)dialog;
    return true;
}

/* What the account can read is known: from its list, or for a bot because it is told. */
static inline void rig_learn(struct rig *g)
{
    if (!g->session->is_bot) {
        assert_true(tg_dialogs_start(g->client, rig_seen, rig_answer, g, tg_net_now(g->net)));
        if (rig_await(g) != TG_OK)
            fail_msg("dialogs: %s", g->answer.message);
        return;
    }
    for (size_t i = 0; i < sim_world_chats(g->world); i++) {
        const struct sim_chat *chat = sim_world_chat(g->world, i);
        struct tg_peer peer = { .id = chat->marked_id, .kind = TG_PEER_SUPERGROUP, .name = "" };

        if (sim_is_channel(chat))
            tg_peers_put(&g->session->peers, &peer);
    }
}

/* The first account that is a bot, or is not, after `skip` of them. */
static inline size_t rig_account(const struct rig_home *home, bool bot, size_t skip)
{
    struct sim_world_options o = { .seed = 7, .n_chats = 8,
                                   .n_messages = (uint64_t)home->messages, .holes_percent = -1 };
    struct sim_world *w;
    struct tg_error err;
    size_t found = 0;

    assert_int_equal(sim_world_new(&o, &w, &err), TG_OK);
    while (found < sim_world_accounts(w) &&
           ((sim_world_account(w, found)->bot_token != NULL) != bot || skip-- > 0))
        found++;
    sim_world_free(w);
    assert_in_range(found, 0, RIG_ACCOUNTS - 1);
    return found;
}

/* Makes sure that an account is logged in. */
static inline void rig_have(struct rig_home *home, size_t account)
{
    struct tg_session_data *session = &home->session[account];
    struct rig g;

    if (home->has[account])
        return;
    home->has[account] = true;
    tg_session_data_init(session);
    session->api_id = 1;
    snprintf(session->api_hash, sizeof session->api_hash, "%032d", 0);
    rig_start(&g, home, &(struct rig_options){ .account = account });
    session->home_dc = g.where.main_dc;
    rig_login(&g);
    rig_learn(&g);
    rig_stop(&g);
}

static inline void rig_open_with(struct rig_home *home, int64_t messages,
                                 enum sim_discussions discussions)
{
    *home = (struct rig_home){ .messages = messages, .discussions = discussions };
    snprintf(home->dir, sizeof home->dir, "/tmp/tgdata-rig-XXXXXX");
    assert_non_null(mkdtemp(home->dir));
    rig_have(home, 0);
}

static inline void rig_open(struct rig_home *home, int64_t messages)
{
    rig_open_with(home, messages, SIM_DISCUSS_NONE);
}

static inline int rig_close(struct rig_home *home)
{
    char command[128];

    for (size_t i = 0; i < RIG_ACCOUNTS; i++)
        if (home->has[i])
            tg_session_data_done(&home->session[i]);
    snprintf(command, sizeof command, "rm -rf '%s'", home->dir);
    return system(command);
}

/* ---- reading ---- */

static inline struct tg_batch *rig_batch(void *ctx)
{
    struct rig *g = ctx;

    return g->n_free && !g->no_credit ? g->batch[--g->n_free] : NULL;
}

static inline void rig_return(void *ctx, struct tg_batch *b)
{
    struct rig *g = ctx;

    tg_batch_clear(b);
    g->batch[g->n_free++] = b;
}

static inline void *rig_grow(void *list, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return list;
    *cap = *cap ? *cap * 2 : 256;
    list = realloc(list, *cap * size);
    assert_non_null(list);
    return list;
}

static inline void rig_put(void *ctx, struct tg_batch *b)
{
    struct rig *g = ctx;
    const struct rig_commit *before = g->n_commits ? &g->commit[g->n_commits - 1] : NULL;
    uint64_t rows = before ? before->rows : 0;

    g->after_done |= g->n_done != 0;
    for (size_t i = 0; i < b->n; i++) {
        g->row = rig_grow(g->row, g->n_rows, &g->cap_rows, sizeof *g->row);
        g->row[g->n_rows++] = (struct rig_row){ b->row[i].chat_id, b->row[i].id,
                                                b->row[i].comment_of_id };
    }
    if (before && before->cursor.segment == b->cursor.segment)
        g->wrong_cover |= b->covered_from != before->cursor.id + 1 &&
                          !(g->set.since || g->set.min_id); /* these begin higher up */
    if (before) {
        g->out_of_order |= b->seq != before->batches + 1;
        g->wrong_cover |=
            b->cursor.segment < before->cursor.segment ||
            (b->cursor.segment == before->cursor.segment && b->covered_from <= before->cursor.id);
    }
    g->wrong_cover |= b->cursor.id < b->covered_from - 1;
    g->commit = rig_grow(g->commit, g->n_commits, &g->cap_commits, sizeof *g->commit);
    g->commit[g->n_commits++] = (struct rig_commit){ b->cursor, rows + b->n, b->seq, b->last };
    rig_return(g, b);
}

static inline void rig_bad(void *ctx, int64_t chat_id, int64_t id, const char *reason,
                           const void *bytes, size_t len)
{
    struct rig *g = ctx;

    (void)chat_id;
    (void)id;
    (void)reason;
    (void)bytes;
    (void)len;
    g->n_bad++;
}

static inline void rig_warn(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static inline void rig_done(void *ctx, const struct tg_error *err)
{
    struct rig *g = ctx;

    g->n_done++;
    if (err)
        g->err = *err;
    tg_net_stop(g->net);
}

/* Starts the source behind what was committed so far. Settings are in g->set. */
static inline void rig_begin(struct rig *g, int64_t chat_id)
{
    const struct rig_commit *at = g->n_commits ? &g->commit[g->n_commits - 1] : NULL;
    struct tg_source_options options = {
        .client = g->client,
        .settings = &g->set,
        .io = { g, rig_batch, rig_put, rig_return, rig_bad, rig_warn, rig_done },
        .chat_id = chat_id,
        .through = g->through,
        .posts = g->posts,
        .range = g->range,
        .n_ranges = g->n_ranges,
        .resume = at ? at->cursor : (struct tg_cursor){ chat_id, 0, 0, 0 },
        .rows_before = at ? at->rows : 0,
        .batches_before = at ? at->batches : 0,
    };

    rig_drop_source(g);
    while (g->n_free < RIG_CREDIT)
        g->batch[g->n_free++] = tg_batch_new((size_t)g->set.batch_size);
    g->n_done = 0;
    g->err = (struct tg_error){ 0 };
    g->source = tg_source_start(&options, tg_net_now(g->net));
    assert_non_null(g->source);
}

/* Runs the source to its end. @return its failure, or TG_OK */
static inline tg_code rig_finish(struct rig *g)
{
    while (!g->n_done && !vloop_late())
        tg_net_run(g->net);
    if (!g->n_done)
        fail_msg("the source does not end");
    tg_source_state(g->source, &g->state);
    return g->err.code;
}

static inline tg_code rig_read(struct rig *g, int64_t chat_id)
{
    rig_begin(g, chat_id);
    return rig_finish(g);
}

/* ---- truth ---- */

static inline bool rig_wanted(const struct tg_extract_settings *set, bool main, int64_t id,
                              int64_t date)
{
    if (main && ((set->min_id && id < set->min_id) || (set->max_id && id > set->max_id)))
        return false;
    if (!main && set->min_id)
        return false;
    return (!set->since || date >= set->since) && (!set->until || date < set->until);
}

/* Whether the rows from `at` on are the chat's wanted messages, each once, in order. `all` false:
 * perhaps not to the end. */
static inline bool rig_is_chat(const struct rig *g, const struct sim_chat *chat, bool main,
                               size_t *at, bool all)
{
    size_t limit = g->set.limit ? (size_t)g->set.limit : SIZE_MAX;

    for (int64_t id = 1; id <= chat->top_id && *at < limit; id++) {
        if (!sim_world_exists(g->world, chat, id) ||
            !rig_wanted(&g->set, main, id, sim_world_date(g->world, chat, id)))
            continue;
        if (*at == g->n_rows && !all)
            return true;
        if (*at == g->n_rows || g->row[*at].id != id || g->row[*at].chat_id != chat->marked_id) {
            print_error("row %zu: the world has %lld of %lld, got %lld of %lld\n", *at,
                        (long long)id, (long long)chat->marked_id,
                        *at < g->n_rows ? (long long)g->row[*at].id : 0LL,
                        *at < g->n_rows ? (long long)g->row[*at].chat_id : 0LL);
            return false;
        }
        ++*at;
    }
    return true;
}

/* Whether the rows are what the settings ask of the chat. */
static inline bool rig_equal(const struct rig *g, int64_t chat_id, bool all)
{
    const struct sim_chat *chat = sim_world_chat_by_id(g->world, chat_id);
    size_t at = 0;
    bool ok = true;

    if (chat->migrated_from >= 0 && !g->session->is_bot)
        ok = rig_is_chat(g, sim_world_chat(g->world, (size_t)chat->migrated_from), false, &at, all);
    ok = ok && rig_is_chat(g, chat, true, &at, all);
    if (ok && at != g->n_rows)
        print_error("%zu rows, the world has %zu\n", g->n_rows, at);
    if (g->out_of_order || g->wrong_cover || g->after_done)
        print_error("batches: out of order %d, coverage wrong %d, after the end %d\n",
                    g->out_of_order, g->wrong_cover, g->after_done);
    return ok && at == g->n_rows && !g->out_of_order && !g->wrong_cover && !g->after_done;
}

/* The first chat of a kind that the account can read. */
static inline const struct sim_chat *rig_chat(const struct rig *g, enum sim_chat_kind kind)
{
    const struct sim_account *me = sim_world_account(g->world, g->options.account);

    for (size_t i = 0; i < sim_world_chats(g->world); i++) {
        const struct sim_chat *chat = sim_world_chat(g->world, i);

        if (chat->kind != kind || sim_world_migrated_to(g->world, chat))
            continue;
        if (sim_is_channel(chat) || sim_world_member(g->world, me, chat))
            return chat;
    }
    fail_msg("no chat of kind %d", (int)kind);
    return NULL;
}

static inline const struct sim_method_stats *rig_stats(const struct rig *g, const char *method)
{
    return sim_stats_method(&g->sim->core.stats, method);
}

#endif
