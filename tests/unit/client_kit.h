/* SPDX-License-Identifier: MIT */
/*
 * client_kit.h - calls made on a client_rig, what became of them, and scripted answers
 */
#ifndef TESTS_UNIT_CLIENT_KIT_H
#define TESTS_UNIT_CLIENT_KIT_H

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

static inline uint64_t draw(struct script *s)
{
    s->seed ^= s->seed << 13;
    s->seed ^= s->seed >> 7;
    return s->seed ^= s->seed << 17;
}

static inline const struct tl_value *on_query(void *ctx, struct rig_call *call)
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

static inline const struct tl_value *yes(struct script *s, struct rig_call *call)
{
    (void)s;
    return tl_bool(call->arena, true);
}

static inline const struct tl_value *never(struct script *s, struct rig_call *call)
{
    (void)s;
    (void)call;
    return NULL;
}

static inline const struct tl_value *refuse(struct script *s, struct rig_call *call)
{
    if (s->n_left == 0)
        return yes(s, call);
    s->n_left--;
    call->error = s->error;
    call->text = s->text;
    return NULL;
}

/* A client in place of the one before, on the same session. */
static inline void new_client(struct script *s, bool pfs, const struct tgc_options *more)
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

static inline void start_with(struct script *s, bool pfs, const struct tgc_options *more)
{
    *s = (struct script){ .seed = 1, .answer = yes };
    s->g = rig_start(rsa, pfs);
    s->g->answer = on_query;
    s->g->ctx = s;
    new_client(s, pfs, more);
}

static inline void start(struct script *s, bool pfs, uint32_t attempts_max)
{
    start_with(s, pfs, &(struct tgc_options){ .retry.attempts_max = attempts_max });
}

static inline void on_reply(void *ctx, const struct tgc_reply *reply)
{
    struct one *one = ctx;

    assert_true((reply->code == TG_OK) == (reply->err == NULL || reply->err->code == TG_OK));
    one->n_done++;
    one->code = reply->code;
    one->done_us = one->s->g->now_us;
    if (one->s->on_done)
        one->s->on_done(one->s, one);
}

static inline struct one *make(struct script *s, struct tgc_request how)
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
static inline void be_logged_in(struct script *s)
{
    make(s, (struct tgc_request){ .before_login = true });
    rig_settle(s->g);
    assert_int_equal(s->call[0].code, TG_OK);
    s->n = 0;
    s->n_queries = 0;
    tg_session_dc(&s->g->session, s->g->session.home_dc)->authorized = true;
}

static inline void run(struct script *s, int64_t seconds)
{
    int64_t until = s->g->now_us + seconds * TG_SECOND_US;

    while (!rig_jump(s->g, until))
        ;
    rig_settle(s->g);
}

static inline void each_done_once(const struct script *s, tg_code code)
{
    for (size_t i = 0; i < s->n; i++) {
        assert_int_equal(s->call[i].n_done, 1);
        assert_int_equal(s->call[i].code, code);
    }
}

static inline int set_up(void **state)
{
    (void)state;
    rsa = rig_rsa();
    return rsa ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    tg_rsa_private_free(rsa);
    return 0;
}

#endif
