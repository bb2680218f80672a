/* SPDX-License-Identifier: MIT */
/*
 * client.c - calls of a client against scripted servers: waits, repeats, ends; callbacks that do as
 * they like
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "client_rig.h"
#include "telegram/request.h"

enum { CALLS = 40 };

static struct tg_rsa_private *rsa;

struct script;

struct one {
    struct script *s;
    uint64_t number;
    unsigned n_done;
    tg_code code;
    int64_t done_us;
};

/* A rig, the calls made on it, and how its servers answer. */
struct script {
    struct rig *g;
    struct one call[CALLS];
    size_t n;
    void (*on_done)(struct script *s, struct one *one); /* may be NULL */
    const struct tl_value *(*answer)(struct script *s, struct rig_call *call);
    /* what the servers saw */
    int64_t at_us[1000];
    size_t n_queries;
    /* floods */
    uint64_t seed;
    int64_t told_us, open_us, late_us;
    unsigned n_early, n_left, n_exports, n_imports;
    int32_t error;
    const char *text;
    bool closing;
};

static uint64_t draw(struct script *s)
{
    s->seed ^= s->seed << 13;
    s->seed ^= s->seed >> 7;
    return s->seed ^= s->seed << 17;
}

static const struct tl_value *on_query(void *ctx, struct rig_call *call)
{
    struct script *s = ctx;

    if (s->n_queries < TG_COUNT(s->at_us))
        s->at_us[s->n_queries] = s->g->now_us;
    s->n_queries++;
    if (call->name == TLN_auth_exportAuthorization) {
        struct tl_value *v = tl_obj(call->arena, TLN_auth_exportedAuthorization);

        s->n_exports++;
        tl_set_long(v, TLN_id, 5);
        tl_set_bytes(v, TLN_bytes, "token", 5);
        return v;
    }
    return s->answer(s, call);
}

static const struct tl_value *yes(struct script *s, struct rig_call *call)
{
    (void)s;
    return tl_bool(call->arena, true);
}

static const struct tl_value *never(struct script *s, struct rig_call *call)
{
    (void)s;
    (void)call;
    return NULL;
}

static const struct tl_value *refuse(struct script *s, struct rig_call *call)
{
    if (s->n_left == 0)
        return yes(s, call);
    s->n_left--;
    call->error = s->error;
    call->text = s->text;
    return NULL;
}

/* A client in place of the one before, on the same session. */
static void new_client(struct script *s, bool pfs, const struct tgc_options *more)
{
    struct tgc_options options = *more;

    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        rig_cut(s->g, i);
    tgc_free(s->g->client);
    options.io = &s->g->io;
    options.random = &s->g->random;
    options.where = &s->g->where;
    options.session = &s->g->session;
    options.transport = (struct mt_transport_options){ .framing = MT_INTERMEDIATE,
                                                       .obfuscated = true };
    options.pfs = pfs;
    options.limit = (struct tg_limiter_options){ 0, 1, true, 1000, { 0 } };
    s->g->client = tgc_new(&options, s->g->now_us);
    assert_non_null(s->g->client);
    s->g->session.user_id = 1;
}

static void start_with(struct script *s, bool pfs, const struct tgc_options *more)
{
    *s = (struct script){ .seed = 1, .answer = yes };
    s->g = rig_start(rsa, pfs);
    s->g->answer = on_query;
    s->g->ctx = s;
    new_client(s, pfs, more);
}

static void start(struct script *s, bool pfs, uint32_t attempts_max)
{
    start_with(s, pfs, &(struct tgc_options){ .retry.attempts_max = attempts_max });
}

static void on_reply(void *ctx, const struct tgc_reply *reply)
{
    struct one *one = ctx;

    assert_true((reply->code == TG_OK) == (reply->err == NULL || reply->err->code == TG_OK));
    one->n_done++;
    one->code = reply->code;
    one->done_us = one->s->g->now_us;
    if (one->s->on_done)
        one->s->on_done(one->s, one);
}

static struct one *make(struct script *s, struct tgc_request how)
{
    struct one *one = &s->call[s->n++];
    struct tg_arena arena;

    assert_in_range(s->n, 1, CALLS);
    tg_arena_init(&arena, 65536);
    *one = (struct one){ .s = s };
    how.method = how.method ? how.method : "help.getNearestDc";
    how.done = on_reply;
    how.ctx = one;
    one->number =
        tg_request(s->g->client, tl_obj(&arena, TLN_help_getNearestDc), &how, s->g->now_us);
    tg_arena_done(&arena);
    assert_true(one->number != 0);
    return one;
}

/* The home DC knows the session's key and who it is. */
static void be_logged_in(struct script *s)
{
    make(s, (struct tgc_request){ .before_login = true });
    rig_settle(s->g);
    assert_int_equal(s->call[0].code, TG_OK);
    s->n = 0;
    s->n_queries = 0;
    tg_session_dc(&s->g->session, s->g->session.home_dc)->authorized = true;
}

static void run(struct script *s, int64_t seconds)
{
    int64_t until = s->g->now_us + seconds * TG_SECOND_US;

    while (!rig_jump(s->g, until))
        ;
    rig_settle(s->g);
}

static void each_done_once(const struct script *s, tg_code code)
{
    for (size_t i = 0; i < s->n; i++) {
        assert_int_equal(s->call[i].n_done, 1);
        assert_int_equal(s->call[i].code, code);
    }
}

/* ---- waits that the server names ---- */

static const struct tl_value *flood(struct script *s, struct rig_call *call)
{
    static char text[32];
    int64_t now = s->g->now_us, wait = 1 + (int64_t)(draw(s) % 9);

    s->n_early += now > s->told_us && now < s->open_us; /* the same instant: was under way */
    if (s->open_us && now >= s->open_us) { /* the first after a wait is not late either */
        s->late_us = TG_MAX(s->late_us, now - s->open_us);
        s->open_us = 0;
    }
    if (s->n_left == 0 || draw(s) % 3 == 0)
        return yes(s, call);
    s->n_left--;
    s->told_us = now;
    s->open_us = TG_MAX(s->open_us, now + wait * TG_SECOND_US);
    snprintf(text, sizeof text, "FLOOD_WAIT_%d", (int)wait);
    call->error = 420;
    call->text = text;
    return NULL;
}

static void test_flood_waits_are_kept_to_the_millisecond(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct script s;

        start(&s, seed % 2, 3);
        be_logged_in(&s);
        s.seed = seed * UINT64_C(0x9e3779b97f4a7c15);
        s.answer = flood;
        s.n_left = 12;
        for (size_t i = 0; i < 1 + seed % 12; i++)
            make(&s, (struct tgc_request){ 0 });
        run(&s, 600);
        each_done_once(&s, TG_OK); /* attempts do not count waits */
        assert_int_equal(s.n_early, 0);
        assert_in_range(s.late_us, 0, TG_SECOND_US / 4);
        rig_stop(s.g);
    }
}

static void test_a_flood_holds_its_method_alone(void **state)
{
    struct script s;
    struct one *held, *free_one;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "FLOOD_WAIT_100";
    s.n_left = 1;
    held = make(&s, (struct tgc_request){ .method = "a.b" });
    rig_settle(s.g);
    free_one = make(&s, (struct tgc_request){ .method = "c.d" });
    make(&s, (struct tgc_request){ .method = "a.b" });
    run(&s, 50);
    assert_int_equal(free_one->n_done, 1);
    assert_int_equal(held->n_done + s.call[2].n_done, 0);
    run(&s, 60);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

static void test_flood_of_no_seconds(void **state)
{
    struct script s;

    (void)state;
    start(&s, false, 3);
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "FLOOD_WAIT_0";
    s.n_left = 5;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    assert_int_equal(s.n_queries, 6);
    for (size_t i = 1; i < 6; i++) /* a second each: nothing spins */
        assert_in_range(s.at_us[i] - s.at_us[i - 1], TG_SECOND_US, TG_SECOND_US * 5 / 4);
    rig_stop(s.g);
}

static void test_flood_for_the_caller(void **state)
{
    struct script s;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "TAKEOUT_INIT_DELAY_86400";
    s.n_left = 1;
    make(&s, (struct tgc_request){ .flood_fails = true });
    rig_settle(s.g);
    each_done_once(&s, TG_FLOOD);
    rig_stop(s.g);
}

/* ---- repeats and their end ---- */

static void test_server_trouble(void **state)
{
    static const struct {
        int32_t error;
        const char *text;
        unsigned times;
        bool once;
        tg_code code;
    } row[] = {
        { 500, "RPC_CALL_FAIL", 3, false, TG_OK },
        { -503, "Timeout", 3, false, TG_OK },
        { 500, "RPC_CALL_FAIL", 4, false, TG_SERVER },
        { 500, "SOMETHING_NEW", 4, false, TG_SERVER },
        { 500, "RPC_CALL_FAIL", 1, true, TG_SERVER },
        { 400, "CHANNEL_INVALID", 1, false, TG_NOT_FOUND },
        { 400, "CONNECTION_NOT_INITED", 2, false, TG_OK },
        { 403, "CHAT_FORBIDDEN", 1, false, TG_FORBIDDEN },
        { 303, "FILE_MIGRATE_3", 1, false, TG_OK },
        { 303, "FILE_MIGRATE_9", 1, false, TG_BAD_REQUEST },
        { 400, "BOT_METHOD_INVALID", 1, false, TG_UNSUPPORTED },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;

        start(&s, false, 4);
        be_logged_in(&s);
        s.answer = refuse;
        s.error = row[i].error;
        s.text = row[i].text;
        s.n_left = row[i].times;
        make(&s, (struct tgc_request){ .once = row[i].once });
        run(&s, 120);
        each_done_once(&s, row[i].code);
        rig_stop(s.g);
    }
}

/* What the policy does not let a call repeat is told at once. */
static void test_policy_decides(void **state)
{
    static const struct {
        struct tg_retry_policy policy;
        int64_t deadline_s;
        const char *text;
        int32_t error;
        size_t refusals;
        unsigned queries; /* that reach the server */
        tg_code code;
    } row[] = {
        { { .retry_on = TG_RETRY_ON(TG_TYPE_NETWORK) }, 0, "FLOOD_WAIT_5", 420, 9, 1, TG_FLOOD },
        { { .retry_on = TG_RETRY_ON(TG_TYPE_RATE_LIMIT) }, 0, "INTERNAL", 500, 9, 1, TG_SERVER },
        { { .attempts_max = 3 }, 0, "INTERNAL", 500, 9, 3, TG_SERVER },
        { { .budget_permille = 1, .budget_free = 4 }, 0, "INTERNAL", 500, 9, 5, TG_SERVER },
        { { 0 }, 30, "FLOOD_WAIT_31", 420, 9, 1, TG_FLOOD },
        { { 0 }, 30, "FLOOD_WAIT_9", 420, 9, 4, TG_FLOOD },
        { { 0 }, 30, "FLOOD_WAIT_9", 420, 2, 3, TG_OK },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;

        start_with(&s, false,
                   &(struct tgc_options){ .retry = row[i].policy,
                                          .call_deadline_us = row[i].deadline_s * TG_SECOND_US });
        be_logged_in(&s);
        s.answer = refuse;
        s.error = row[i].error;
        s.text = row[i].text;
        s.n_left = row[i].refusals;
        make(&s, (struct tgc_request){ 0 });
        run(&s, 600);
        each_done_once(&s, row[i].code);
        assert_int_equal(s.n_queries, row[i].queries);
        rig_stop(s.g);
    }
}

/* A call that cannot even leave ends at its deadline. */
static void test_deadline_while_waiting(void **state)
{
    struct script s;
    int64_t begun;

    (void)state;
    start_with(&s, false, &(struct tgc_options){ .call_deadline_us = 20 * TG_SECOND_US });
    be_logged_in(&s);
    s.answer = refuse;
    s.error = 420;
    s.text = "FLOOD_WAIT_100";
    s.n_left = 1;
    make(&s, (struct tgc_request){ .flood_fails = true });
    rig_settle(s.g);
    begun = s.g->now_us;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    assert_int_equal(s.call[1].n_done, 1);
    assert_int_equal(s.call[1].code, TG_TIMEOUT);
    assert_int_equal(s.call[1].done_us, begun + 20 * TG_SECOND_US);
    rig_stop(s.g);
}

/* What a run learned is there in the next one, which keeps below it from its first call on. */
static void test_learned_limits_outlive_a_client(void **state)
{
    struct script s;
    int64_t begun;

    (void)state;
    start(&s, false, 0);
    assert_true(tg_session_set_limit(&s.g->session, "help.getNearestDc", s.g->session.home_dc, 2000,
                                     s.g->now_us / TG_SECOND_US));
    be_logged_in(&s);
    begun = s.g->now_us;
    for (int i = 0; i < 10; i++)
        make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    assert_true(s.call[9].done_us - begun >= 4 * TG_SECOND_US);
    assert_false(tgc_note_learned(s.g->client, s.g->now_us)); /* the same as before */
    assert_int_equal(tgc_limit_wait(s.g->client, "contacts.resolveUsername", s.g->now_us), 0);
    rig_stop(s.g);
}

/* What is urgent does not stand behind what came before it and still waits. */
static void test_urgent_calls_overtake(void **state)
{
    struct script s;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    tgc_limit(s.g->client, "help.getNearestDc",
              &(struct tg_limiter_options){ 1000, 1, false, 1000, { 0 } }, s.g->now_us);
    for (int i = 0; i < 12; i++)
        make(&s, (struct tgc_request){ .urgent = i >= 10 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    for (int i = 1; i < 10; i++) /* one was sent at once */
        assert_true(s.call[10].done_us < s.call[i].done_us);
    assert_true(s.call[10].done_us < s.call[11].done_us && s.call[11].done_us < s.call[1].done_us);
    rig_stop(s.g);
}

/* Names are resolved slowly after the first few. */
static void test_strict_methods(void **state)
{
    struct script s;
    int64_t begun;

    (void)state;
    start(&s, false, 0);
    be_logged_in(&s);
    begun = s.g->now_us;
    for (int i = 0; i < 22; i++)
        make(&s, (struct tgc_request){ .method = "contacts.resolveUsername" });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    assert_true(s.call[19].done_us - begun < TG_SECOND_US);
    assert_in_range(s.call[21].done_us - begun, 9 * TG_SECOND_US, 11 * TG_SECOND_US);
    rig_stop(s.g);
}

/* ---- the circuit breaker ---- */

static const struct tgc_options guarded = {
    .retry.backoff = { TG_SECOND_US, TG_SECOND_US, 1000, false },
    .breaker = { .failure_threshold = 3, .window_us = 60 * TG_SECOND_US,
                 .recovery_timeout_us = 60 * TG_SECOND_US, .half_open_requests = 2 },
};

static enum tg_breaker_state circuit_of(const struct script *s)
{
    struct tg_breaker_health health;

    tgc_health(s->g->client, 0, s->g->now_us, &health);
    return health.state;
}

static void start_broken(struct script *s, const struct tgc_options *options, size_t refusals)
{
    start_with(s, false, options);
    be_logged_in(s);
    s->answer = refuse;
    s->error = 500;
    s->text = "INTERNAL";
    s->n_left = refusals;
}

static const struct tl_value *refuse_dc3(struct script *s, struct rig_call *call)
{
    if (call->dc != 3)
        return yes(s, call);
    call->error = 500;
    call->text = "INTERNAL";
    return NULL;
}

/* Three failures, then a minute's silence before each further try, and two successes close it. */
static void test_open_circuit_waits(void **state)
{
    struct script s;
    struct tgc_stats stats;
    int64_t begun;

    (void)state;
    start_broken(&s, &guarded, 5);
    begun = s.g->now_us;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 30);
    assert_int_equal(s.n_queries, 3);
    assert_int_equal(circuit_of(&s), TG_BREAKER_OPEN);
    make(&s, (struct tgc_request){ 0 });
    run(&s, 31);
    assert_int_equal(s.n_queries, 3);
    run(&s, 200);
    each_done_once(&s, TG_OK);
    assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED);
    assert_true(s.call[0].done_us - begun >= 120 * TG_SECOND_US);
    tgc_stats(s.g->client, &stats);
    assert_in_range(stats.n_circuit_opened, 2, 3);
    rig_stop(s.g);
}

/* Calls end at once, also in the next run, until the minute is over. */
static void test_open_circuit_fails_calls(void **state)
{
    struct tgc_options options = guarded;
    struct script s;

    (void)state;
    options.circuit_fails = true;
    start_broken(&s, &options, 3);
    make(&s, (struct tgc_request){ 0 });
    run(&s, 10);
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    each_done_once(&s, TG_CIRCUIT);
    assert_int_equal(s.n_queries, 3);
    assert_true(s.g->session.breaker.open);

    new_client(&s, false, &options);
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    each_done_once(&s, TG_CIRCUIT);
    assert_int_equal(s.n_queries, 3);
    run(&s, 60);
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 5);
    each_done_once(&s, TG_OK);
    assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED);
    rig_stop(s.g);
}

/* What cannot be reached is not dialled again and again. */
static void test_open_circuit_dials_nobody(void **state)
{
    struct script s;
    unsigned dials;

    (void)state;
    start_with(&s, false, &guarded);
    be_logged_in(&s);
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        rig_cut(s.g, i);
    s.g->refuse_dials = true;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 20);
    assert_int_equal(circuit_of(&s), TG_BREAKER_OPEN);
    dials = s.g->n_dials;
    run(&s, 35);
    assert_int_equal(s.g->n_dials, dials);
    run(&s, 20);
    assert_int_equal(s.g->n_dials, dials + 1);
    s.g->refuse_dials = false;
    run(&s, 120);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

/* A DC that is dead, or only fails: calls to it wait for its breaker, those to home go on. */
static void test_a_dead_dc_stops_alone(void **state)
{
    (void)state;
    for (int dead = 0; dead < 2; dead++) {
        struct script s;
        struct tgc_stats stats;

        start_with(&s, false, &guarded);
        be_logged_in(&s);
        s.g->refuse_dc = dead ? 3 : 0;
        if (!dead)
            s.answer = refuse_dc3;
        make(&s, (struct tgc_request){ .dc = 3 });
        run(&s, 20);
        assert_int_equal(s.call[0].n_done, 0);
        tgc_stats(s.g->client, &stats);
        assert_int_equal(stats.n_circuit_opened, 1);
        assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED); /* of account and home */
        make(&s, (struct tgc_request){ 0 });
        run(&s, 1);
        assert_int_equal(s.call[1].code, TG_OK);
        assert_int_equal(s.call[1].n_done, 1);
        tgc_note_learned(s.g->client, s.g->now_us);
        assert_true(tg_session_dc(&s.g->session, 3)->breaker.open);
        assert_false(s.g->session.breaker.open);
        s.g->refuse_dc = 0;
        s.answer = yes;
        run(&s, 120);
        each_done_once(&s, TG_OK);
        rig_stop(s.g);
    }
}

/* It is left alone in the next run as well. */
static void test_a_dead_dc_is_remembered(void **state)
{
    struct tgc_options options = guarded;
    struct script s;

    (void)state;
    start_with(&s, false, &guarded);
    be_logged_in(&s);
    s.g->refuse_dc = 3;
    make(&s, (struct tgc_request){ .dc = 3 });
    run(&s, 20);
    options.circuit_fails = true;
    new_client(&s, false, &options);
    s.g->refuse_dc = 0;
    s.n = 0;
    make(&s, (struct tgc_request){ .dc = 3 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    assert_int_equal(s.call[0].code, TG_CIRCUIT);
    assert_int_equal(s.call[1].code, TG_OK);
    assert_int_equal(s.n_queries, 1);
    rig_stop(s.g);
}

/* A chat whose calls fail stops alone; which client asks makes no difference. */
static void test_a_broken_chat_stops_alone(void **state)
{
    struct tgc_options options = guarded;
    struct tg_circuit_chats chats;
    struct script s;

    (void)state;
    options.circuit_fails = true;
    tg_circuit_chats_init(&chats, &options.breaker);
    start_broken(&s, &options, 3);
    tgc_set_chats(s.g->client, &chats);
    make(&s, (struct tgc_request){ .chat = -7 });
    run(&s, 10);
    assert_int_equal(s.n_queries, 3);
    assert_int_equal(s.call[0].code, TG_CIRCUIT);
    assert_int_equal(tg_circuit_chat(&chats, -7)->state, TG_BREAKER_OPEN);
    assert_int_equal(circuit_of(&s), TG_BREAKER_CLOSED);
    s.n = 0;
    make(&s, (struct tgc_request){ .chat = -8 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 1);
    each_done_once(&s, TG_OK);
    new_client(&s, false, &options);
    tgc_set_chats(s.g->client, &chats);
    s.n = 0;
    make(&s, (struct tgc_request){ .chat = -7 });
    run(&s, 1);
    each_done_once(&s, TG_CIRCUIT);
    run(&s, 60);
    s.n = 0;
    make(&s, (struct tgc_request){ .chat = -7 });
    make(&s, (struct tgc_request){ .chat = -7 });
    run(&s, 5);
    each_done_once(&s, TG_OK);
    assert_int_equal(tg_circuit_chat(&chats, -7)->state, TG_BREAKER_CLOSED);
    rig_stop(s.g);
    tg_circuit_chats_done(&chats);
}

static void test_no_answer_ever(void **state)
{
    struct script s;

    (void)state;
    start(&s, true, 3);
    be_logged_in(&s);
    s.answer = never;
    make(&s, (struct tgc_request){ 0 });
    make(&s, (struct tgc_request){ 0 });
    run(&s, 600);
    each_done_once(&s, TG_TIMEOUT);
    s.answer = yes; /* later calls are served */
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 10);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

static void test_unreachable(void **state)
{
    struct script s;

    (void)state;
    start(&s, true, 12);
    s.g->refuse_dials = true;
    for (int i = 0; i < 2; i++) {
        s.n = 0;
        make(&s, (struct tgc_request){ .before_login = true });
        make(&s, (struct tgc_request){ 0 });
        run(&s, 300);
        each_done_once(&s, TG_NET);
        assert_int_equal(s.g->n_dials, 5 * (i + 1)); /* it was never there: no long patience */
    }
    s.g->refuse_dials = false;
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 60);
    each_done_once(&s, TG_OK);
    s.g->refuse_dials = true; /* it was there: it may come back */
    rig_cut(s.g, 0);
    s.n = 0;
    make(&s, (struct tgc_request){ 0 });
    run(&s, 20);
    assert_int_equal(s.call[0].n_done, 0);
    s.g->refuse_dials = false;
    run(&s, 120);
    each_done_once(&s, TG_OK);
    rig_stop(s.g);
}

/* ---- keys that are lost, logins that end ---- */

static void drop_keys(struct rig *g, bool temporary)
{
    for (size_t i = 0; i < g->n_keys; i++)
        if (temporary || !g->key[i].key.expires_at)
            g->key[i].dropped |= (g->key[i].key.expires_at != 0) == temporary;
    for (uint32_t i = 0; i < TGC_LINKS_MAX; i++)
        rig_cut(g, i);
}

static void test_lost_keys(void **state)
{
    static const struct {
        const char *name;
        bool pfs, temporary, permanent;
        int64_t age_s;
        tg_code code;
    } row[] = {
        { "a temporary key: another is bound", true, true, false, 0, TG_OK },
        { "both", true, true, true, 3600, TG_AUTH },
        { "the permanent key, no others are used", false, false, true, 3600, TG_AUTH },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;

        start(&s, row[i].pfs, 5);
        be_logged_in(&s);
        run(&s, row[i].age_s + 1);
        if (row[i].temporary)
            drop_keys(s.g, true);
        if (row[i].permanent)
            drop_keys(s.g, false);
        make(&s, (struct tgc_request){ 0 });
        make(&s, (struct tgc_request){ 0 });
        run(&s, 120);
        if (s.call[0].code != row[i].code)
            print_error("%s: %s\n", row[i].name, tg_code_text(s.call[0].code));
        each_done_once(&s, row[i].code);
        assert_int_equal(s.g->n_logged_out, row[i].code == TG_AUTH);
        assert_int_equal(tg_session_authorized(&s.g->session), row[i].code == TG_OK);
        s.n = 0; /* what needs no login works on with a new key */
        make(&s, (struct tgc_request){ .before_login = true });
        run(&s, 60);
        each_done_once(&s, TG_OK);
        rig_stop(s.g);
    }
}

/* What the server may say to a temporary key. */
static void test_binding(void **state)
{
    enum { ALWAYS = 10000 };
    static const struct {
        const char *name;
        int32_t error;
        const char *text;
        unsigned times;
        unsigned keys; /* temporary ones made; 0: any number */
        int64_t wait_us;
        tg_code code;
    } row[] = {
        { "a flood wait is waited for, with the same key", 420, "FLOOD_WAIT_7", 1, 1,
          7 * TG_SECOND_US, TG_OK },
        { "and another", 420, "FLOOD_WAIT_3", 2, 1, 3 * TG_SECOND_US, TG_OK },
        { "server trouble passes", 500, "RPC_CALL_FAIL", 2, 1, 0, TG_OK },
        { "or comes with a negative code", -503, "Timeout", 1, 1, 0, TG_OK },
        { "or does not pass", 500, "RPC_CALL_FAIL", ALWAYS, 0, 0, TG_SERVER },
        { "it could not be read: another key", 400, "ENCRYPTED_MESSAGE_INVALID", 1, 2, 0, TG_OK },
        { "nor the other: the permanent one is gone", 400, "ENCRYPTED_MESSAGE_INVALID", 2, 0, 0,
          TG_AUTH },
        { "our clock was off: another key", 400, "EXPIRES_AT_INVALID", 1, 2, 0, TG_OK },
        { "refused for good", 400, "NO_SUCH_THING", ALWAYS, 0, 0, TG_BAD_REQUEST },
        { "the login has ended", 406, "AUTH_KEY_DUPLICATED", 1, 0, 0, TG_AUTH },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct script s;
        int64_t wait_us;
        bool ends = row[i].code == TG_AUTH;

        start(&s, true, 5);
        be_logged_in(&s);
        run(&s, 3600); /* the permanent key is no new one */
        drop_keys(s.g, true);
        s.g->n_temporary = s.g->n_binds = 0;
        s.g->bind_error = row[i].error;
        s.g->bind_text = row[i].text;
        s.g->n_bind_errors = row[i].times;
        make(&s, (struct tgc_request){ 0 });
        run(&s, 600);
        wait_us = s.call[0].done_us - s.g->bind_error_us;
        if (s.call[0].n_done != 1 || s.call[0].code != row[i].code ||
            (row[i].keys && s.g->n_temporary != row[i].keys))
            fail_msg("%s: %u done, %s, %u keys", row[i].name, (unsigned)s.call[0].n_done,
                     tg_code_text(s.call[0].code), s.g->n_temporary);
        if (row[i].wait_us)
            assert_in_range(wait_us, row[i].wait_us, row[i].wait_us + TG_SECOND_US / 4);
        assert_int_equal(s.g->n_logged_out, ends);
        assert_int_equal(tg_session_authorized(&s.g->session), !ends);
        rig_stop(s.g);
    }
}

static void test_ended_logins(void **state)
{
    static const struct {
        int32_t error;
        const char *text;
    } row[] = {
        { 406, "AUTH_KEY_DUPLICATED" }, { 401, "AUTH_KEY_UNREGISTERED" },
        { 401, "AUTH_KEY_INVALID" },    { 401, "SESSION_REVOKED" },
        { 401, "SESSION_EXPIRED" },     { 401, "USER_DEACTIVATED_BAN" },
    };

    (void)state;
    for (size_t i = 0; i < 2 * TG_COUNT(row); i++) {
        struct script s;

        start(&s, i % 2, 5);
        be_logged_in(&s);
        s.answer = refuse;
        s.error = row[i / 2].error;
        s.text = row[i / 2].text;
        s.n_left = 1;
        for (int k = 0; k < 5; k++)
            make(&s, (struct tgc_request){ 0 });
        run(&s, 60);
        each_done_once(&s, TG_AUTH);
        assert_int_equal(s.g->n_logged_out, 1);
        assert_false(tg_session_authorized(&s.g->session));
        rig_stop(s.g);
    }
}

/* ---- further data centres ---- */

static const struct tl_value *import_fails(struct script *s, struct rig_call *call)
{
    if (call->name != TLN_auth_importAuthorization)
        return yes(s, call);
    s->n_imports++;
    call->error = 400;
    call->text = "AUTH_BYTES_INVALID";
    return NULL;
}

static const struct tl_value *import_works(struct script *s, struct rig_call *call)
{
    struct tl_value *v;

    if (call->name != TLN_auth_importAuthorization)
        return yes(s, call);
    s->n_imports++;
    v = tl_obj(call->arena, TLN_auth_authorization);
    tl_set_long(tl_set_new(v, TLN_user, TLN_userEmpty), TLN_id, 1);
    return v;
}

static void test_further_data_centres(void **state)
{
    (void)state;
    for (int works = 0; works < 2; works++) {
        struct script s;

        start(&s, true, 5);
        be_logged_in(&s);
        s.answer = works ? import_works : import_fails;
        for (int i = 0; i < 6; i++)
            make(&s, (struct tgc_request){ .dc = 1 + 2 * (i % 2) });
        run(&s, 60);
        each_done_once(&s, works ? TG_OK : TG_BAD_REQUEST);
        if (works) {
            assert_int_equal(s.n_exports, 2);
            assert_int_equal(s.n_imports, 2);
        }
        assert_in_range(s.n_queries, 0, 30); /* asked, not hammered */
        rig_stop(s.g);
    }
}

/* ---- media DCs ---- */

/* Calls go over connections of their own, with the DC's keys; whatever is wrong there, the login
 * stays and the DC's own connection goes on. */
static void test_media_dcs(void **state)
{
    static const struct {
        const char *name;
        bool pfs;
        int32_t error;
        const char *text;
        bool stays; /* with the media DC */
    } row[] = {
        { "all is well", false, 0, "", true },
        { "with temporary keys", true, 0, "", true },
        { "it has trouble", true, 500, "RPC_CALL_FAIL", true },
        { "it does not know the login", true, 401, "AUTH_KEY_UNREGISTERED", false },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_dc_address where = { .host = "media" };
        struct script s;
        int32_t home;
        unsigned n_dials;

        start(&s, row[i].pfs, 4);
        home = s.g->session.home_dc;
        where.port = (uint16_t)home;
        tgc_set_media(s.g->client, home, &where);
        assert_int_equal(tgc_media(s.g->client, home, 0), home); /* nobody is logged in */
        be_logged_in(&s);
        n_dials = s.g->n_dials;
        assert_int_equal(tgc_media(s.g->client, home, 1), home + 20000);
        assert_int_equal(tgc_media(s.g->client, 3, 1), 3); /* that is not known */
        s.answer = refuse;
        s.error = row[i].error;
        s.text = row[i].text;
        s.n_left = row[i].error ? 1 : 0;
        for (uint32_t n = 0; n < 8; n++)
            make(&s, (struct tgc_request){ .dc = tgc_media(s.g->client, home,
                                                           n % TGC_MEDIA_LINKS) });
        run(&s, 60);
        each_done_once(&s, TG_OK);
        assert_int_equal(s.g->n_dials, n_dials + TGC_MEDIA_LINKS);
        assert_int_equal(s.g->n_permanent, 1);
        assert_int_equal(s.g->n_logged_out, 0);
        assert_true(tg_session_authorized(&s.g->session));
        assert_int_equal(tgc_media(s.g->client, home, 0) != home, row[i].stays);
        rig_stop(s.g);
    }
}

/* ---- callbacks that do as they like ---- */

/* Cancels a neighbour, and makes a call in the place of what ended. */
static void wild(struct script *s, struct one *one)
{
    size_t other = (size_t)(draw(s) % s->n);

    (void)one;
    if (s->call[other].n_done == 0) {
        tgc_cancel(s->g->client, s->call[other].number);
        s->call[other].n_done = 1; /* no callback may come for it */
    }
    if (s->n < CALLS && !s->closing)
        make(s, (struct tgc_request){ .before_login = draw(s) % 2, .dc = (int32_t)(draw(s) % 4) });
}

static void test_wild_callbacks(void **state)
{
    static const struct {
        int32_t error;
        const char *text;
    } row[] = {
        { 406, "AUTH_KEY_DUPLICATED" }, { 401, "AUTH_KEY_UNREGISTERED" },
        { 400, "CHANNEL_INVALID" },     { 401, "AUTH_KEY_PERM_EMPTY" },
        { 500, "RPC_CALL_FAIL" },       { 420, "FLOOD_WAIT_2" },
        { 303, "FILE_MIGRATE_1" },      { 400, "CONNECTION_NOT_INITED" },
    };

    (void)state;
    for (uint64_t seed = 0; seed < 15 * TG_COUNT(row); seed++) {
        struct script s;
        struct tg_error why;

        start(&s, seed % 2, 3);
        be_logged_in(&s);
        s.seed = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
        s.answer = refuse;
        s.error = row[seed % TG_COUNT(row)].error;
        s.text = row[seed % TG_COUNT(row)].text;
        s.n_left = 1 + seed % 5;
        s.on_done = wild;
        for (int i = 0; i < 6; i++)
            make(&s, (struct tgc_request){ .dc = (int32_t)(draw(&s) % 4) });
        if (seed % 4 == 1) {
            rig_settle(s.g);
            rig_cut(s.g, 0);
        }
        if (seed % 4 == 2) {
            tg_fail(&why, TG_CANCELLED, "enough");
            rig_step(s.g);
            tgc_fail_all(s.g->client, &why);
        }
        if (seed % 4 != 3)
            run(&s, 300);
        else
            run(&s, 0);
        s.closing = true;
        tgc_free(s.g->client); /* what is open ends now, once */
        s.g->client = NULL;
        for (size_t i = 0; i < s.n; i++)
            assert_int_equal(s.call[i].n_done, 1);
        rig_stop(s.g);
    }
}

static int set_up(void **state)
{
    (void)state;
    rsa = rig_rsa();
    return rsa ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    tg_rsa_private_free(rsa);
    return 0;
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_flood_waits_are_kept_to_the_millisecond),
        cmocka_unit_test(test_a_flood_holds_its_method_alone),
        cmocka_unit_test(test_flood_of_no_seconds),
        cmocka_unit_test(test_flood_for_the_caller),
        cmocka_unit_test(test_server_trouble),
        cmocka_unit_test(test_policy_decides),
        cmocka_unit_test(test_deadline_while_waiting),
        cmocka_unit_test(test_learned_limits_outlive_a_client),
        cmocka_unit_test(test_urgent_calls_overtake),
        cmocka_unit_test(test_strict_methods),
        cmocka_unit_test(test_open_circuit_waits),
        cmocka_unit_test(test_open_circuit_fails_calls),
        cmocka_unit_test(test_open_circuit_dials_nobody),
        cmocka_unit_test(test_a_dead_dc_stops_alone),
        cmocka_unit_test(test_a_dead_dc_is_remembered),
        cmocka_unit_test(test_a_broken_chat_stops_alone),
        cmocka_unit_test(test_no_answer_ever),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_lost_keys),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_ended_logins),
        cmocka_unit_test(test_further_data_centres),
        cmocka_unit_test(test_media_dcs),
        cmocka_unit_test(test_wild_callbacks),
    };

    return cmocka_run_group_tests_name("telegram/client", test, set_up, tear_down);
}
