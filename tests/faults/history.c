/* SPDX-License-Identifier: MIT */
/*
 * history.c - a chat's history through every fault of the simulated data centre, on a virtual clock
 *
 * Client, sockets and server run in one thread (vloop.h). The first seeds have each fault of the
 * simulator alone, at each of three rates; the others several together, with objects that the
 * schema does not know. Each draws a latency and a number of requests in flight, too. Checked: the
 * rows are exactly the world's messages, in order, each once; what is missing stands in quarantine,
 * once, as itself; the run ends; a server's wait is never cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/fs.h"
#include "sim/faults.h"
#include "sim/sim.h"
#include "sim/world.h"
#include "source/history_source.h"
#include "source/net.h"
#include "telegram/login.h"
#include "vloop.h"

#define START_US (INT64_C(1767225600) * TG_SECOND_US)

enum { MESSAGES = 2500, BATCH = 128, CREDIT = 3, BAD_MAX = 16, CHATS_MAX = 16 };

struct chat {
    int64_t marked, bare;
};

struct fixture {
    char dir[64];
    struct tg_session_data session; /* logged in */
    struct chat chat[CHATS_MAX];    /* that can be read */
    size_t n_chats;
    int64_t a_sender;               /* a user who wrote in the first of them */
};

struct bad {
    int64_t chat_id, id;
    const char *reason;
    uint8_t *bytes;
    size_t len;
};

/* One client in one world. */
struct client {
    struct sim *sim;
    struct tg_net *net;
    struct tg_datacenter where;
    struct tg_session_data *session;
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct tg_history_source *source;
    struct tg_extract_settings set;
    int64_t *ids;
    size_t n_ids, cap_ids;
    struct tg_batch *free_batch[CREDIT];
    size_t n_free;
    uint64_t next_seq;
    bool done, out_of_order, wrong_owner;
    int64_t flood_until_us, n_early;
    struct tg_error err;
    struct bad bad[BAD_MAX];  /* what went to quarantine */
    uint64_t n_bad;
    int64_t a_sender;         /* of some row: a user */
    uint64_t n_named;         /* rows of that sender that have its name */
};

static void no_save(void *ctx)
{
    (void)ctx;
}

static void on_notice(void *ctx, const struct tgc_notice *n)
{
    struct client *c = ctx;

    if (n->kind == TGC_FLOOD && getenv("TG_TRACE"))
        printf("%.6f flood %s %.0f s\n", (double)vloop_elapsed_us() / 1e6, n->method,
               (double)n->wait_us / 1e6);
    if (getenv("TG_TRACE") && n->err)
        printf("%.6f notice %d: %s (wait %.3f)\n", (double)vloop_elapsed_us() / 1e6, n->kind,
               n->err->message, (double)n->wait_us / 1e6);
    if (n->kind == TGC_UNREADABLE && c->source)
        tg_source_unreadable(c->source, "an unknown object among users or chats", n->bytes, n->len);
}

/* ---- the world ---- */

static void start_sim(struct client *c, const struct fixture *f, const char *faults,
                      int64_t latency_ms)
{
    struct sim_settings set = { 0 };
    struct tg_error err;

    assert_int_equal(tg_options_default(sim_options, &set, &err), TG_OK);
    set.dir = f->dir;
    set.listen = "127.0.0.1:0";
    set.seed = 7;
    set.chats = 8;
    set.messages = MESSAGES;
    set.latency_ms = latency_ms;
    set.faults = faults;
    if (sim_start(&set, &c->sim, &err) != TG_OK)
        fail_msg("sim: %s", err.message);
    tg_options_done(sim_options, &set);
}

static void start_client(struct client *c, const struct fixture *f, uint64_t seed,
                         void (*step)(void *ctx, int64_t now_us))
{
    struct tg_net_options net = { .ctx = c, .save = no_save, .notice = on_notice, .step = step };
    struct tgc_options options = {
        .random = &c->random,
        .where = &c->where,
        .session = c->session,
        .transport = { .framing = MT_INTERMEDIATE, .obfuscated = true },
        .pfs = seed % 4 == 0,
        .limit = { 0, 1, true, 1000 },
        .retry.backoff = { 200 * TG_MS_US, 5 * TG_SECOND_US, 2000, true },
        .call_timeout_us = 20 * TG_SECOND_US,
        .breaker = { .failure_threshold = seed % 3 ? 0 : 4,
                     .recovery_timeout_us = 5 * TG_SECOND_US,
                     .half_open_requests = 2 },
    };
    struct tg_error err;
    struct tg_dir *dir;
    struct tg_buf text;

    tg_random_seeded_init(&c->seeded, seed);
    c->random = tg_random_seeded(&c->seeded);
    tg_buf_init(&text, 65536);
    assert_int_equal(tg_fs_system.open_dir(&tg_fs_system, f->dir, false, &dir, &err), TG_OK);
    assert_int_equal(tg_fs_read_all(&tg_fs_system, dir, "datacenter.json", 65536, &text, &err),
                     TG_OK);
    tg_fs_system.close_dir(&tg_fs_system, dir);
    if (tg_datacenter_parse((const char *)text.data, text.len, &c->where, &err) != TG_OK)
        fail_msg("datacenter.json: %s", err.message);
    tg_buf_done(&text);
    for (size_t i = 0; i < TG_DC_MAX; i++) /* ports are new in every run */
        if (c->session->dc[i].id)
            c->session->dc[i].address = *tg_datacenter_address(&c->where, c->session->dc[i].id);
    assert_int_equal(tg_net_new(&net, &options, &c->net, &err), TG_OK);
}

static void stop_client(struct client *c)
{
    tg_source_free(c->source);
    tg_net_free(c->net);
    tg_datacenter_done(&c->where);
    sim_free(c->sim);
    for (size_t i = 0; i < c->n_free; i++)
        tg_batch_free(c->free_batch[i]);
    free(c->ids);
    for (uint64_t i = 0; i < c->n_bad && i < BAD_MAX; i++)
        free(c->bad[i].bytes);
    /* of a session that is a copy only this is its own; nothing learned passes from seed to seed */
    free(c->session->limit);
    c->session->limit = NULL;
    c->session->n_limits = 0;
}

/* ---- login, once ---- */

static void note_chats(struct fixture *f, const struct sim_world *w)
{
    for (size_t i = 0; i < sim_world_chats(w) && f->n_chats < CHATS_MAX; i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);
        const struct tg_peer *peer = tg_peers_get(&f->session.peers, chat->marked_id);

        if (peer && !peer->protected && !peer->migrated_to)
            f->chat[f->n_chats++] = (struct chat){ chat->marked_id, chat->id };
    }
}

struct login {
    struct client client;
    struct tg_login *login;
    bool done;
    struct tg_error err;
};

static void no_ask(void *ctx, enum tg_login_question what, const char *hint)
{
    struct login *l = ctx;

    (void)what;
    (void)hint;
    tg_login_answer(l->login, NULL, tg_net_now(l->client.net));
}

static void on_login(void *ctx, const struct tg_error *err)
{
    struct login *l = ctx;

    l->done = true;
    if (err)
        l->err = *err;
    tg_net_stop(l->client.net);
}

static bool seen_all(void *ctx, const struct tg_dialog *dialog)
{
    (void)ctx;
    (void)dialog;
    return true;
}

/* ---- reading ---- */

static struct tg_batch *take_batch(void *ctx)
{
    struct client *c = ctx;

    return c->n_free ? c->free_batch[--c->n_free] : NULL;
}

static void put_batch(void *ctx, struct tg_batch *b)
{
    struct client *c = ctx;

    c->out_of_order |= b->seq != ++c->next_seq;
    for (size_t i = 0; i < b->n; i++) {
        if (c->n_ids == c->cap_ids) {
            c->cap_ids = c->cap_ids ? c->cap_ids * 2 : 1024;
            c->ids = realloc(c->ids, c->cap_ids * sizeof *c->ids);
            assert_non_null(c->ids);
        }
        c->ids[c->n_ids++] = b->row[i].id;
        /* ids of a channel are its own, those of an old group belong to the account that reads */
        c->wrong_owner |= (b->row[i].chat_id > -TG_CHANNEL_MARK) != (b->row[i].owner != 0);
        if (!c->a_sender && b->row[i].sender_id > 0 && i > 20)
            c->a_sender = b->row[i].sender_id;
        c->n_named += b->row[i].sender_id == c->a_sender &&
                      tg_row_has(&b->row[i], TG_F_sender_name);
    }
    tg_batch_clear(b);
    c->free_batch[c->n_free++] = b;
}

static void return_batch(void *ctx, struct tg_batch *b)
{
    struct client *c = ctx;

    tg_batch_clear(b);
    c->free_batch[c->n_free++] = b;
}

static void on_bad(void *ctx, int64_t chat_id, int64_t id, const char *reason, const void *bytes,
                   size_t len)
{
    struct client *c = ctx;

    if (c->n_bad < BAD_MAX) {
        struct bad *b = &c->bad[c->n_bad];

        *b = (struct bad){ chat_id, id, reason, malloc(len + 1), len };
        assert_non_null(b->bytes);
        memcpy(b->bytes, bytes, len);
    }
    c->n_bad++;
}

static void on_warn(void *ctx, const char *line)
{
    (void)ctx;
    (void)line;
}

static void on_done(void *ctx, const struct tg_error *err)
{
    struct client *c = ctx;

    c->done = true;
    if (err)
        c->err = *err;
    tg_net_stop(c->net);
}

static void on_step(void *ctx, int64_t now_us)
{
    struct client *c = ctx;

    if (c->source && !c->done)
        tg_source_step(c->source, now_us);
}

static void read_chat(struct client *c, int64_t chat_id, int64_t in_flight)
{
    struct tg_source_options options = {
        .client = tg_net_client(c->net),
        .settings = &c->set,
        .io = { c, take_batch, put_batch, return_batch, on_bad, on_warn, on_done },
        .chat_id = chat_id,
    };

    c->set = (struct tg_extract_settings){ .batch_size = BATCH, .in_flight = in_flight };
    while (c->n_free < CREDIT)
        c->free_batch[c->n_free++] = tg_batch_new(BATCH);
    c->source = tg_source_start(&options, tg_net_now(c->net));
    vloop_deadline(3600 * TG_SECOND_US);
    tg_net_run(c->net);
}

/* Reads the first chat undisturbed, for somebody who wrote there. */
static void note_sender(struct fixture *f)
{
    struct client c = { .session = &f->session };

    vloop_reset(1, START_US, 100);
    start_sim(&c, f, NULL, 0);
    start_client(&c, f, 1, on_step);
    read_chat(&c, f->chat[0].marked, 4);
    assert_true(c.done && !c.err.code && c.a_sender);
    f->a_sender = c.a_sender;
    stop_client(&c);
}

static int set_up(void **state)
{
    static struct fixture f;
    struct login l = { .client.session = &f.session };
    const struct sim_account *account;
    struct tg_login_options options = { 0 };
    struct tg_login_hooks hooks = { .ctx = &l, .ask = no_ask, .done = on_login };

    snprintf(f.dir, sizeof f.dir, "/tmp/tgdata-faults-XXXXXX");
    assert_non_null(mkdtemp(f.dir));
    vloop_reset(1, START_US, 100);
    tg_session_data_init(&f.session);
    f.session.api_id = 1;
    snprintf(f.session.api_hash, sizeof f.session.api_hash, "%032d", 0);
    start_sim(&l.client, &f, NULL, 0);
    account = sim_world_account(sim_world_of(l.client.sim), 0);
    f.session.home_dc = account->home_dc;
    options.phone = account->phone;
    options.code = account->code;
    start_client(&l.client, &f, 1, NULL);
    l.login = tg_login_start(tg_net_client(l.client.net), &options, &hooks,
                             tg_net_now(l.client.net));
    vloop_deadline(300 * TG_SECOND_US);
    tg_net_run(l.client.net);
    if (!l.done || l.err.code)
        fail_msg("login: %s", l.err.message);
    l.done = false;
    assert_true(tg_dialogs_start(tg_net_client(l.client.net), seen_all, on_login, &l,
                                 tg_net_now(l.client.net)));
    tg_net_run(l.client.net);
    if (!l.done || l.err.code)
        fail_msg("dialogs: %s", l.err.message);
    note_chats(&f, sim_world_of(l.client.sim));
    stop_client(&l.client);
    note_sender(&f);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];

    tg_session_data_done(&f->session);
    snprintf(command, sizeof command, "rm -rf '%s'", f->dir);
    return system(command);
}

/* ---- what must come of it ---- */

/* Objects that the schema does not know, by bare id; 0: none. */
struct unknown {
    int64_t message, user, chat;
};

/* The record is the one object alone, of which nothing but the constructor is unknown: put one of
 * the named in its place and all of it can be read. @return its id; 0 if it is no such object */
static int64_t id_in_quarantine(const struct bad *b, const char *reason, uint32_t name,
                                uint32_t or_name)
{
    const struct tl_schema *schema = tl_schema_builtin(228);
    const uint32_t names[] = { name, or_name };
    struct tl_object o;

    if (strcmp(b->reason, reason) != 0 || b->id || b->len < 4)
        return 0;
    for (size_t i = 0; i < TG_COUNT(names); i++) {
        struct tl_reader r = tl_reader_of(b->bytes, b->len);

        tg_put_le32(b->bytes, tl_id(schema, names[i]));
        if (tl_object_open(schema, &r, &o) && r.at == r.end)
            return name == TLN_message ? tl_field_i32(&o, TLN_id, 0) : tl_field_i64(&o, TLN_id, 0);
    }
    return 0;
}

/* How many records of a chat's quarantine are the object of that kind and id. */
static unsigned count_bad(const struct client *c, int64_t chat_id, const char *reason,
                          const uint32_t name[2], int64_t id)
{
    unsigned n = 0;

    for (uint64_t i = 0; i < c->n_bad && i < BAD_MAX; i++)
        n += c->bad[i].chat_id == chat_id &&
             id_in_quarantine(&c->bad[i], reason, name[0], name[1]) == id;
    return n;
}

/* Rows and quarantine of one chat, which is all of what is read or its first part. */
static bool compare_part(const struct client *c, const struct sim_world *w,
                         const struct sim_chat *chat, const struct unknown *unknown, size_t *at,
                         uint64_t *n_bad)
{
    static const uint32_t message[2] = { TLN_message, TLN_messageService };
    static const uint32_t user[2] = { TLN_user, TLN_user };
    static const uint32_t group[2] = { TLN_channel, TLN_chat };
    static const char peer_reason[] = "an unknown object among users or chats";
    unsigned n, n_messages = 0, wrong = 0;

    for (int64_t id = 1; id <= chat->top_id; id++) {
        if (!sim_world_exists(w, chat, id))
            continue;
        if (id == unknown->message)
            n_messages++;
        else if (*at < c->n_ids && c->ids[*at] == id)
            ++*at;
        else
            wrong++;
    }
    n = count_bad(c, chat->marked_id, "a message with an unknown constructor", message,
                  unknown->message);
    wrong += unknown->message && n != n_messages;
    *n_bad += unknown->message ? n : 0;
    n = count_bad(c, chat->marked_id, peer_reason, user, unknown->user);
    wrong += unknown->user && n > 1; /* none if it wrote nothing here */
    *n_bad += unknown->user ? n : 0;
    n = count_bad(c, chat->marked_id, peer_reason, group, unknown->chat);
    wrong += unknown->chat && n > 1;
    wrong += unknown->chat == chat->id && chat->marked_id < 0 && n != 1;
    *n_bad += unknown->chat ? n : 0;
    if (wrong)
        print_error("chat %lld: %u differences, %zu rows, %llu in quarantine\n",
                    (long long)chat->marked_id, wrong, c->n_ids, (unsigned long long)c->n_bad);
    return !wrong;
}

/* All of the chat, and of the old group it came from, if any; nothing else, nothing twice. */
static bool compare(const struct client *c, const struct sim_world *w, int64_t chat_id,
                    const struct unknown *unknown)
{
    const struct sim_chat *chat = sim_world_chat_by_id(w, chat_id);
    uint64_t n_bad = 0;
    size_t at = 0;
    bool same = true;

    if (chat->migrated_from >= 0)
        same = compare_part(c, w, sim_world_chat(w, (size_t)chat->migrated_from), unknown, &at,
                            &n_bad);
    same = compare_part(c, w, chat, unknown, &at, &n_bad) && same;
    if (at != c->n_ids || n_bad != c->n_bad)
        print_error("chat %lld: %zu of %zu rows, %llu of %llu in quarantine\n",
                    (long long)chat->marked_id, at, c->n_ids, (unsigned long long)n_bad,
                    (unsigned long long)c->n_bad);
    return same && at == c->n_ids && n_bad == c->n_bad;
}

/* ---- faults ---- */

/* Every fault of the simulator, and its clock. */
enum { N_FAULTS = SIM_FAULT_COUNT + 1, ALONE = 2 * 3 * N_FAULTS };

static uint64_t next(uint64_t *x)
{
    *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *x >> 33;
}

static int put_fault(char *out, size_t n, size_t fault, size_t how)
{
    static const char *const rate[] = { "=0.05", "=0.15", "=0.4" };
    static const char *const seldom[] = { "@150", "@60", "@40" };
    static const int clock_s[] = { -7, 400, -90000 };

    if (fault == SIM_FAULT_COUNT)
        return snprintf(out, n, "clock=%d,", clock_s[how]);
    /* -404 on one connection after the other says that the key is gone: not so often, then */
    return snprintf(out, n, "%s%s,", sim_fault_name((enum sim_fault)fault),
                    fault == SIM_FAULT_T404 ? seldom[how] : rate[how]);
}

/* The first seeds have each fault alone, at each rate; the others two to four, and every third of
 * them objects that the schema does not know. */
static void draw_faults(uint64_t seed, uint64_t *x, const struct unknown *unknown, char *out,
                        size_t n)
{
    size_t len = 0;

    if (seed <= ALONE) {
        len += (size_t)put_fault(out, n, seed % N_FAULTS, seed / N_FAULTS % 3);
    } else {
        for (uint64_t many = 2 + next(x) % 3; many; many--) {
            size_t fault = next(x) % N_FAULTS;

            len += (size_t)put_fault(out + len, n - len, fault, next(x) % 3);
        }
    }
    if (unknown->message)
        len += (size_t)snprintf(out + len, n - len,
                                "unknown-message=%lld,unknown-user=%lld,unknown-chat=%lld,",
                                (long long)unknown->message, (long long)unknown->user,
                                (long long)unknown->chat);
    snprintf(out + len, n - len, "most=60,seed=%llu", (unsigned long long)seed);
}

static bool run_seed(const struct fixture *f, uint64_t seed)
{
    struct client c = { 0 };
    struct tg_session_data session = f->session; /* keys and peers are read, not owned */
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    const struct chat *chat = &f->chat[next(&x) % f->n_chats];
    struct unknown unknown = { 0 };
    char faults[512];
    bool ok;

    if (seed > ALONE && seed % 3 == 0)
        unknown = (struct unknown){ 1 + (int64_t)(next(&x) % MESSAGES), f->a_sender, chat->bare };
    draw_faults(seed, &x, &unknown, faults, sizeof faults);
    c.session = &session;
    vloop_reset(seed, START_US + (int64_t)seed * TG_SECOND_US, 100 + (int64_t)(next(&x) % 3000));
    start_sim(&c, f, faults, (int64_t)(next(&x) % 3) * 20);
    start_client(&c, f, seed, on_step);
    read_chat(&c, chat->marked, 1 + (int64_t)(next(&x) % 16));
    ok = c.done && !c.err.code && !c.out_of_order && !c.wrong_owner && !vloop_late();
    if (!ok)
        print_error("done %d late %d err '%s'\n", c.done, vloop_late(), c.err.message);
    ok = compare(&c, sim_world_of(c.sim), chat->marked, &unknown) && ok;
    if (!ok)
        print_error("seed %llu: faults %s, virtual time %.1f s\n", (unsigned long long)seed, faults,
                    (double)vloop_elapsed_us() / 1e6);
    stop_client(&c);
    return ok;
}

static void test_faults(void **state)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1;
    uint64_t to = one ? from : many ? strtoull(many, NULL, 10) : 500;
    int n_wrong = 0;

    for (uint64_t seed = from; seed <= to; seed++)
        n_wrong += !run_seed(*state, seed);
    assert_int_equal(n_wrong, 0);
}

/* Each kind of unknown object, with messages at the edges and in the middle: it goes to
 * quarantine, once, as itself; every other message is a row. */
static void test_unknown_objects(void **state)
{
    static const int64_t message[] = { 1, 350, MESSAGES };
    const struct fixture *f = *state;

    for (size_t i = 0; i < 3 * f->n_chats; i++) {
        const struct chat *chat = &f->chat[i / 3];
        struct unknown unknown = { message[i % 3], f->a_sender, chat->bare };
        struct client c = { 0 };
        struct tg_session_data session = f->session;
        char faults[128];

        c.session = &session;
        snprintf(faults, sizeof faults, "unknown-message=%lld,unknown-user=%lld,unknown-chat=%lld",
                 (long long)unknown.message, (long long)unknown.user, (long long)unknown.chat);
        vloop_reset(i + 1, START_US, 500);
        start_sim(&c, f, faults, 0);
        start_client(&c, f, i, on_step);
        read_chat(&c, chat->marked, 4);
        if (c.err.code || !compare(&c, sim_world_of(c.sim), chat->marked, &unknown))
            fail_msg("chat %lld, %s: %s", (long long)chat->marked, faults, c.err.message);
        assert_true(c.done);
        stop_client(&c);
    }
}

/* Several unknown messages side by side, and far apart. */
static void test_unknown_neighbours(void **state)
{
    static const uint32_t message[2] = { TLN_message, TLN_messageService };
    static const int64_t id[] = { 100, 101, 299 };
    const struct fixture *f = *state;
    struct client c = { 0 };
    struct tg_session_data session = f->session;

    c.session = &session;
    vloop_reset(1, START_US, 500);
    start_sim(&c, f, "unknown-message=100,unknown-message=101,unknown-message=299", 0);
    start_client(&c, f, 1, on_step);
    read_chat(&c, f->chat[0].marked, 4);
    assert_true(c.done && !c.err.code);
    assert_int_equal(c.n_bad, TG_COUNT(id));
    for (size_t i = 0; i < TG_COUNT(id); i++)
        assert_int_equal(count_bad(&c, f->chat[0].marked, "a message with an unknown constructor",
                                   message, id[i]), 1);
    stop_client(&c);
}

/* A user that no schema knows costs its name, never a message. */
static void test_unknown_user(void **state)
{
    const struct fixture *f = *state;
    char faults[64] = "";

    for (int round = 0; round < 2; round++) {
        struct unknown unknown = { .user = round ? f->a_sender : 0 };
        struct client c = { .a_sender = f->a_sender };
        struct tg_session_data session = f->session;

        c.session = &session;
        vloop_reset(77, START_US, 500);
        start_sim(&c, f, faults, 0);
        start_client(&c, f, 77, on_step);
        read_chat(&c, f->chat[0].marked, 4);
        assert_true(c.done && !c.err.code);
        assert_true(compare(&c, sim_world_of(c.sim), f->chat[0].marked, &unknown));
        assert_int_equal(c.n_named > 0, !round);
        assert_int_equal(c.n_bad, round);
        snprintf(faults, sizeof faults, "unknown-user=%lld", (long long)f->a_sender);
        stop_client(&c);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_unknown_objects),
        cmocka_unit_test(test_unknown_neighbours),
        cmocka_unit_test(test_unknown_user),
    };

    return cmocka_run_group_tests_name("faults/history", test, set_up, tear_down);
}
