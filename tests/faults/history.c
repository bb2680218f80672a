/* SPDX-License-Identifier: MIT */
/*
 * history.c - a chat's history through every fault of the simulated data centre, on a virtual clock
 *
 * Client, sockets and server run in one thread (vloop.h). Each seed draws a fault, or several, with
 * its rate, a latency and a number of requests in flight. Checked: the rows are exactly the world's
 * messages, in order, each once; the run ends; a server's wait is never cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/fs.h"
#include "sim/sim.h"
#include "sim/world.h"
#include "source/history_source.h"
#include "source/net.h"
#include "telegram/login.h"
#include "vloop.h"

#define START_US (INT64_C(1767225600) * TG_SECOND_US)

enum { MESSAGES = 2500, BATCH = 128, CREDIT = 3, BAD_MAX = 8 };

struct fixture {
    char dir[64];
    struct tg_session_data session; /* logged in */
};

struct bad {
    int64_t id;
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
    (void)c;
}

/* ---- the world ---- */

static void start_sim(struct client *c, const struct fixture *f, const char *faults, uint64_t seed,
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
    (void)seed;
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
        .backoff = { 200 * TG_MS_US, 5 * TG_SECOND_US, 2000, true },
        .call_timeout_us = 20 * TG_SECOND_US,
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
}

/* ---- login, once ---- */

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
    start_sim(&l.client, &f, NULL, 1, 0);
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
    stop_client(&l.client);
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

    (void)chat_id;
    if (c->n_bad < BAD_MAX) {
        struct bad *b = &c->bad[c->n_bad];

        *b = (struct bad){ id, reason, malloc(len + 1), len };
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

/* The chat that reads like `chat` plus the old group it came from, if any. */
static bool compare(const struct client *c, const struct sim_world *w,
                    const struct sim_chat *chat, uint64_t n_bad)
{
    size_t at = 0, n = 0;
    uint64_t bad = 0;

    if (chat->migrated_from >= 0) {
        const struct sim_chat *old = sim_world_chat(w, (size_t)chat->migrated_from);

        for (int64_t id = 1; id <= old->top_id; id++, n++) {
            if (!sim_world_exists(w, old, id))
                n--;
            else if (at < c->n_ids && c->ids[at] == id)
                at++;
            else
                bad++;
        }
    }
    for (int64_t id = 1; id <= chat->top_id; id++) {
        if (!sim_world_exists(w, chat, id))
            continue;
        n++;
        if (at < c->n_ids && c->ids[at] == id)
            at++;
        else
            bad++;
    }
    if (bad != n_bad || at != c->n_ids)
        print_error("chat %lld: world %zu, got %zu, equal %zu, missing %llu (quarantine %llu)\n",
                    (long long)chat->marked_id, n, c->n_ids, at, (unsigned long long)bad,
                    (unsigned long long)n_bad);
    return bad == n_bad && at == c->n_ids;
}

/* ---- faults ---- */

static const char *const single[] = {
    "drop=%s",   "halfwrite=%s",    "reset=%s",      "split=%s", "dup=%s",
    "reorder=%s", "garbage=%s",     "badsalt=%s",    "clock-behind=%s", "newsession=%s",
    "t429=%s",   "500=%s",          "503=%s",        "flood=%s", "slow=%s",
    "short=%s",  "drop=%s,dup=0.2", "short=%s,flood=0.1", "split=%s,halfwrite=0.1",
};

static void draw_faults(uint64_t *x, char *out, size_t n)
{
    static const char *const rate[] = { "0.05", "0.15", "0.4" };
    size_t many = 1 + (*x / 7) % 3 * ((*x / 1000) % 2), len = 0;

    for (size_t i = 0; i < many; i++) {
        char term[64];

        *x = *x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(term, sizeof term, single[(*x >> 33) % TG_COUNT(single)], rate[(*x >> 20) % 3]);
#pragma GCC diagnostic pop
        len += (size_t)snprintf(out + len, n - len, "%s%s", i ? "," : "", term);
    }
    snprintf(out + len, n - len, ",most=60");
}

static bool run_seed(const struct fixture *f, uint64_t seed)
{
    struct client c = { 0 };
    struct tg_session_data session;
    const struct sim_world *w;
    const struct sim_chat *chat;
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    char faults[256];
    bool ok;

    draw_faults(&x, faults, sizeof faults);
    session = f->session; /* keys and peers are read, not owned */
    c.session = &session;
    vloop_reset(seed, START_US + (int64_t)seed * TG_SECOND_US, 100 + (int64_t)(x % 3000));
    start_sim(&c, f, faults, seed, (int64_t)(x / 5 % 3) * 20);
    start_client(&c, f, seed, on_step);
    w = sim_world_of(c.sim);
    do
        chat = sim_world_chat(w, (x++ >> 3) % sim_world_chats(w));
    while (!tg_peers_get(&session.peers, chat->marked_id) ||
           tg_peers_get(&session.peers, chat->marked_id)->protected ||
           tg_peers_get(&session.peers, chat->marked_id)->migrated_to);
    read_chat(&c, chat->marked_id, 1 + (int64_t)(x / 11 % 16));
    ok = c.done && !c.err.code && !c.out_of_order && !c.wrong_owner && !vloop_late();
    if (!ok)
        print_error("done %d late %d err '%s'\n", c.done, vloop_late(), c.err.message);
    ok = compare(&c, w, chat, 0) && ok;
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

/* The record is the one object alone, of which nothing but the constructor is unknown: put one of
 * the named in its place and all of it can be read. @return its id */
static int64_t check_bad(const struct bad *b, const char *reason, const uint32_t name[2])
{
    const struct tl_schema *schema = tl_schema_builtin(228);
    struct tl_object o;

    assert_string_equal(b->reason, reason);
    assert_true(b->id == 0);
    assert_true(b->len >= 4 && !tl_ctor_by_id(schema, tg_le32(b->bytes)));
    for (int i = 0; i < 2; i++) {
        struct tl_reader r = tl_reader_of(b->bytes, b->len);

        tg_put_le32(b->bytes, tl_id(schema, name[i]));
        if (tl_object_open(schema, &r, &o) && r.at == r.end)
            return name[0] == TLN_message ? tl_field_i32(&o, TLN_id, 0)
                                          : tl_field_i64(&o, TLN_id, 0);
    }
    fail_msg("%zu bytes in quarantine are no such object", b->len);
    return 0;
}

/* A message that no schema knows goes to quarantine; every other message is a row. */
static void test_unknown_objects(void **state)
{
    static const struct {
        const char *faults;
        uint64_t n_missing;
        int64_t id[3];
    } row[] = {
        { "unknown-message=1", 1, { 1 } },
        { "unknown-message=350", 1, { 350 } },
        { "unknown-message=100,unknown-message=101,unknown-message=299", 3, { 100, 101, 299 } },
        { "unknown-message=2500", 1, { 2500 } },
    };
    static const uint32_t message[2] = { TLN_message, TLN_messageService };
    const struct fixture *f = *state;

    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct client c = { 0 };
        struct tg_session_data session = f->session;
        const struct sim_world *w;

        c.session = &session;
        vloop_reset(i + 1, START_US, 500);
        start_sim(&c, f, row[i].faults, 1, 0);
        start_client(&c, f, i, on_step);
        w = sim_world_of(c.sim);
        read_chat(&c, sim_world_chat(w, 0)->marked_id, 4);
        if (c.err.code)
            print_error("%s: %s\n", row[i].faults, c.err.message);
        assert_true(c.done && !c.err.code);
        assert_int_equal(c.n_bad, row[i].n_missing);
        for (uint64_t k = 0, found; k < c.n_bad; k++) {
            int64_t id =
                check_bad(&c.bad[k], "a message with an unknown constructor", message);

            for (found = 0; found < 3 && row[i].id[found] != id; found++)
                ;
            assert_true(found < 3);
        }
        assert_true(compare(&c, w, sim_world_chat(w, 0), row[i].n_missing));
        stop_client(&c);
    }
}

/* Users and chats that no schema knows cost names, never messages. */
static void test_unknown_peers(void **state)
{
    static const uint32_t user[2] = { TLN_user, TLN_user };
    const struct fixture *f = *state;
    char faults[64] = "";
    int64_t sender = 0;

    for (int round = 0; round < 2; round++) {
        struct client c = { .a_sender = sender };
        struct tg_session_data session = f->session;
        const struct sim_world *w;

        c.session = &session;
        vloop_reset(77, START_US, 500);
        start_sim(&c, f, faults, 1, 0);
        start_client(&c, f, 77, on_step);
        w = sim_world_of(c.sim);
        read_chat(&c, sim_world_chat(w, 0)->marked_id, 4);
        if (c.err.code)
            print_error("%s: %s\n", faults, c.err.message);
        assert_true(c.done && !c.err.code);
        assert_true(compare(&c, w, sim_world_chat(w, 0), 0));
        if (round == 0) {
            assert_true(c.n_named > 0);
            assert_int_equal(c.n_bad, 0);
        } else {
            assert_int_equal(c.n_named, 0);
            assert_int_equal(c.n_bad, 1); /* once, not with each page */
            assert_true(c.bad[0].id == 0);
            assert_true(check_bad(&c.bad[0], "an unknown object among users or chats", user) ==
                        sender);
        }
        sender = c.a_sender;
        snprintf(faults, sizeof faults, "unknown-user=%lld", (long long)sender);
        stop_client(&c);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_unknown_objects),
        cmocka_unit_test(test_unknown_peers),
    };

    return cmocka_run_group_tests_name("faults/history", test, set_up, tear_down);
}
