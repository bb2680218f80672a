/* SPDX-License-Identifier: MIT */
/*
 * live.c - draws changes and keeps the ends of the sequences; see live.h
 *
 * Threads: none
 */
#include "sim/live.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/targets.h"
#include "sim/world_int.h"

enum { TRIES = 16, MASS_ONE_IN = 8, HUNDRED = 100 };

struct spec {
    int64_t rate_milli; /* changes a second, times 1000 */
    int64_t edits, reactions, deletes, mass, reach, keep, early, timeout, silent, lose, repeat,
        swap, most, burst, paused, seed, bare;
    int64_t chat[SIM_LIVE_CHATS_MAX];
    size_t n_chats;
};

struct sim_live {
    struct spec spec;
    struct sim_world *w;
    uint64_t salt;
    const struct sim_chat **chat; /* those that can change */
    size_t n_chats;
    struct sim_log *channel; /* by index of the chat */
    struct sim_log *account; /* by number */
    uint64_t n_done, n_kind[4], n_pushed;
    uint64_t n_burst;        /* still to be made at once */
    int64_t from_us;         /* n_from were done then; 0: not begun */
    uint64_t n_from;
    bool paused, full;
};

/* ---- the option ---- */

static bool term_apply(struct spec *s, const char *name, const char *value)
{
    const struct {
        const char *name;
        int64_t *into, min, max;
    } row[] = {
        { "edits", &s->edits, 0, HUNDRED },     { "reactions", &s->reactions, 0, HUNDRED },
        { "deletes", &s->deletes, 0, HUNDRED }, { "mass", &s->mass, 1, SIM_LIVE_MASS_MAX },
        { "reach", &s->reach, 0, INT32_MAX },   { "keep", &s->keep, 1, 1 << 24 },
        { "early", &s->early, 0, 1 },           { "silent", &s->silent, 0, HUNDRED },
        { "lose", &s->lose, 0, HUNDRED },       { "most", &s->most, 0, SIM_LIVE_MOST },
        { "burst", &s->burst, 1, 1 << 20 },     { "paused", &s->paused, 0, 1 },
        { "seed", &s->seed, 0, INT64_MAX },     { "timeout", &s->timeout, 1, 3600 },
        { "repeat", &s->repeat, 0, HUNDRED },   { "swap", &s->swap, 0, HUNDRED },
        { "bare", &s->bare, 0, 1 },
    };
    int64_t n;

    if (!tg_i64_parse(value, &n))
        return false;
    if (!strcmp(name, "chat") && s->n_chats < SIM_LIVE_CHATS_MAX) {
        s->chat[s->n_chats++] = n;
        return true;
    }
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (strcmp(name, row[i].name))
            continue;
        *row[i].into = n;
        return n >= row[i].min && n <= row[i].max;
    }
    return false;
}

static tg_code spec_parse(const char *text, struct spec *s, struct tg_error *err)
{
    char *end;
    double rate = strtod(text, &end);

    if (end == text || !(rate >= 0 && rate <= 1e5) || (*end && *end != '/'))
        return tg_fail(err, TG_USAGE, "a live world is RATE or RATE/SPEC, not '%.80s'", text);
    s->rate_milli = (int64_t)(rate * 1000 + 0.5);
    for (const char *at = *end ? end + 1 : end; *at;) {
        size_t len = strcspn(at, ",");
        char term[80];
        char *equals;

        snprintf(term, sizeof term, "%.*s", (int)TG_MIN(len, sizeof term - 1), at);
        equals = strchr(term, '=');
        if (equals)
            *equals = 0;
        if (!equals || !term_apply(s, term, equals + 1))
            return tg_fail(err, TG_USAGE, "'%.*s' is nothing that a live world can be told",
                           (int)TG_MIN(len, (size_t)80), at);
        at += len + (at[len] == ',');
    }
    if (s->edits + s->reactions + s->deletes > HUNDRED)
        return tg_fail(err, TG_USAGE, "edits, reactions and deletes are more than 100 percent");
    if (s->lose + s->repeat + s->swap > HUNDRED)
        return tg_fail(err, TG_USAGE, "lose, repeat and swap are more than 100 percent");
    return TG_OK;
}

/* ---- life ---- */

static tg_code chats_find(struct sim_live *l, struct tg_error *err)
{
    for (size_t i = 0; i < l->spec.n_chats; i++) {
        const struct sim_chat *chat = sim_world_chat_by_id(l->w, l->spec.chat[i]);

        if (!chat || !sim_world_alive(l->w, chat))
            return tg_fail(err, TG_USAGE, "there is no chat %lld that could change",
                           (long long)l->spec.chat[i]);
        l->chat[l->n_chats++] = chat;
    }
    for (size_t i = 0; !l->spec.n_chats && i < sim_world_chats(l->w); i++) {
        const struct sim_chat *chat = sim_world_chat(l->w, i);

        if (sim_world_alive(l->w, chat))
            l->chat[l->n_chats++] = chat;
    }
    return TG_OK;
}

tg_code sim_live_new(const char *spec, uint64_t seed, struct sim_world *w, struct sim_live **ret,
                     struct tg_error *err)
{
    size_t n_chats = sim_world_chats(w), n_accounts = sim_world_accounts(w);
    struct sim_live *l = calloc(1, sizeof *l);
    tg_code code;

    if (!l)
        return tg_fail(err, TG_NOMEM, "live world");
    l->w = w;
    l->spec = (struct spec){ .edits = 20, .reactions = 15, .deletes = 5, .mass = 1,
                             .reach = 1000, .keep = 10000, .timeout = 30,
                             .most = SIM_LIVE_MOST, .seed = (int64_t)seed };
    l->chat = calloc(n_chats + SIM_LIVE_CHATS_MAX, sizeof *l->chat);
    l->channel = calloc(n_chats + 1, sizeof *l->channel);
    l->account = calloc(n_accounts + 1, sizeof *l->account);
    code = l->chat && l->channel && l->account ? spec_parse(spec, &l->spec, err)
                                               : tg_fail(err, TG_NOMEM, "live world");
    if (code == TG_OK)
        code = chats_find(l, err);
    if (code != TG_OK) {
        sim_live_end(l);
        return code;
    }
    l->paused = l->spec.paused;
    l->salt = sim_hash((uint64_t)l->spec.seed, 0x11fe);
    for (size_t i = 0; i < n_chats; i++)
        l->channel[i].origin = l->channel[i].pts = sim_world_chat(w, i)->pts;
    for (size_t i = 0; i < n_accounts; i++)
        l->account[i].origin = l->account[i].pts = SIM_STATE_PTS;
    *ret = l;
    return TG_OK;
}

void sim_live_end(struct sim_live *l)
{
    if (!l)
        return;
    for (size_t i = 0; l->channel && i < sim_world_chats(l->w); i++)
        free(l->channel[i].event);
    for (size_t i = 0; l->account && i < sim_world_accounts(l->w); i++)
        free(l->account[i].event);
    free(l->channel);
    free(l->account);
    free(l->chat);
    free(l);
}

/* ---- sequences ---- */

static size_t event_at(const struct sim_live *l, const struct sim_log *log, int32_t pts)
{
    return (size_t)(pts - log->origin - 1) % (size_t)l->spec.keep;
}

static bool log_add(struct sim_live *l, struct sim_log *log, struct sim_event event)
{
    size_t at = event_at(l, log, log->pts + 1);

    if (at >= log->cap) {
        size_t cap = TG_MIN(TG_MAX(log->cap * 2, (size_t)16), (size_t)l->spec.keep);
        struct sim_event *grown = realloc(log->event, cap * sizeof *grown);

        if (!grown)
            return false;
        log->event = grown;
        log->cap = cap;
    }
    log->event[at] = event;
    log->pts++;
    return true;
}

const struct sim_log *sim_live_channel(const struct sim_live *l, const struct sim_chat *chat)
{
    return &l->channel[chat->index];
}

const struct sim_log *sim_live_account(const struct sim_live *l, const struct sim_account *a)
{
    return &l->account[a - sim_world_account(l->w, 0)];
}

const struct sim_event *sim_live_event(const struct sim_live *l, const struct sim_log *log,
                                       int32_t pts)
{
    if (pts <= log->origin || pts > log->pts || log->pts - pts >= l->spec.keep)
        return NULL;
    return &log->event[event_at(l, log, pts)];
}

bool sim_live_told(const struct sim_live *l, const struct sim_log *log, int32_t pts, int32_t limit)
{
    if (pts == log->pts)
        return true;
    return sim_live_event(l, log, pts + 1) && !(l->spec.early && log->pts - pts > limit);
}

/* ---- changes ---- */

/* A message of those that changes may hit; 0: there is none. */
static int64_t pick(const struct sim_live *l, const struct sim_chat *chat, struct sim_rng *r)
{
    uint64_t n = chat->n_messages;
    uint64_t reach = l->spec.reach ? TG_MIN(n, (uint64_t)l->spec.reach) : n;

    return n ? sim_world_select(l->w, chat, n - 1 - sim_below(r, (uint32_t)reach)) : 0;
}

static bool touch(const struct sim_live *l, struct sim_change *c, struct sim_rng *r)
{
    for (int i = 0; i < TRIES; i++) {
        int64_t id = pick(l, c->chat, r);

        c->id[0] = (int32_t)id;
        c->n = 1;
        if (c->kind == SIM_EDITED ? sim_world_edit(l->w, c->chat, id, c->date)
                                  : sim_world_react(l->w, c->chat, id, c->date))
            return true;
    }
    return false;
}

static bool delete(const struct sim_live *l, struct sim_change *c, struct sim_rng *r)
{
    uint64_t most = sim_below(r, MASS_ONE_IN) ? 1 : 1 + sim_below(r, (uint32_t)l->spec.mass);
    int64_t first = pick(l, c->chat, r);
    uint64_t rank = sim_world_rank(l->w, c->chat, first);

    for (c->n = 0; c->n < most && rank < c->chat->n_messages && c->chat->n_messages > 1; c->n++) {
        int64_t id = sim_world_select(l->w, c->chat, rank);

        if (!sim_world_delete(l->w, c->chat, id))
            break;
        c->id[c->n] = (int32_t)id;
    }
    return c->n > 0;
}

static bool post(const struct sim_live *l, struct sim_change *c)
{
    c->kind = SIM_POSTED;
    c->n = 1;
    c->id[0] = (int32_t)sim_world_post(l->w, c->chat, c->date);
    return c->id[0] != 0;
}

static bool happen(const struct sim_live *l, struct sim_change *c, struct sim_rng *r)
{
    int64_t x = sim_below(r, HUNDRED);

    c->kind = x < l->spec.edits ? SIM_EDITED
              : x < l->spec.edits + l->spec.reactions
                  ? SIM_REACTED
                  : x < l->spec.edits + l->spec.reactions + l->spec.deletes ? SIM_DELETED
                                                                            : SIM_POSTED;
    if (c->kind == SIM_DELETED ? delete (l, c, r) : c->kind != SIM_POSTED && touch(l, c, r))
        return true;
    return post(l, c); /* where nothing is to be changed */
}

/* A packet to each account that is told of it. */
static void count_packet(struct sim_live *l, const struct sim_change *c)
{
    for (size_t i = 0; i < sim_world_accounts(l->w); i++)
        if (!c->silent && sim_world_member(l->w, sim_world_account(l->w, i), c->chat))
            l->account[i].seq++;
}

/* Counts the change in its sequence. */
static void count(struct sim_live *l, struct sim_change *c)
{
    struct sim_log *log = c->owner ? &l->account[c->owner - sim_world_account(l->w, 0)]
                                   : &l->channel[c->chat->index];

    c->bare = l->spec.bare && c->kind == SIM_REACTED;
    for (size_t i = 0; i < c->n && !c->bare; i++) {
        struct sim_event e = { .id = c->id[i], .chat = c->chat->index & 0xfffffff,
                               .kind = (uint32_t)c->kind & 7, .more = i + 1 < c->n };

        if (!log_add(l, log, e))
            l->full = true; /* what was not noted nobody is told of: no more happens */
    }
    if (c->bare)
        count_packet(l, c);
    else
        log->changed_s = c->date;
    c->pts = log->pts;
    if (!c->owner && !c->bare)
        sim_world_pts_add(l->w, c->chat, (int32_t)c->n);
    l->n_kind[c->kind]++;
}

bool sim_live_silent(const struct sim_live *l, const struct sim_chat *chat)
{
    return sim_is_channel(chat) &&
           (int64_t)(sim_hash(l->salt ^ 0x511e, chat->index) % HUNDRED) < l->spec.silent;
}

bool sim_live_next(struct sim_live *l, int64_t mono_us, int64_t now_s, struct sim_change *ret)
{
    struct sim_rng r;

    if (!l->from_us) {
        l->from_us = mono_us;
        l->n_from = l->n_done;
    }
    if (mono_us < sim_live_due(l))
        return false;
    r.s = sim_hash(l->salt, l->n_done);
    ret->chat = l->chat[sim_below(&r, (uint32_t)l->n_chats)];
    ret->owner = sim_is_channel(ret->chat) ? NULL : sim_world_owner(l->w, ret->chat);
    ret->date = now_s;
    ret->silent = sim_live_silent(l, ret->chat);
    if (!happen(l, ret, &r)) {
        l->full = true;
        return false;
    }
    count(l, ret);
    l->n_done++;
    if (l->n_burst) {
        l->n_burst--;
        l->n_from++; /* beside those that come by the clock */
    }
    return true;
}

int64_t sim_live_due(const struct sim_live *l)
{
    if (l->full || !l->n_chats || l->n_done >= (uint64_t)l->spec.most)
        return INT64_MAX;
    if (l->n_burst)
        return 0;
    if (l->paused || !l->spec.rate_milli)
        return INT64_MAX;
    if (!l->from_us)
        return 0;
    return l->from_us + (int64_t)((l->n_done - l->n_from + 1) * 1000 * (uint64_t)TG_SECOND_US /
                                  (uint64_t)l->spec.rate_milli);
}

void sim_live_poke(struct sim_live *l, int64_t mono_us)
{
    if (l->spec.burst) {
        l->n_burst += (uint64_t)l->spec.burst;
        return;
    }
    l->paused = !l->paused;
    l->from_us = mono_us;
    l->n_from = l->n_done;
}

enum sim_fate sim_live_fate(struct sim_live *l)
{
    int64_t x = (int64_t)(sim_hash(l->salt ^ 0x105e, l->n_pushed++) % HUNDRED);

    if (x < l->spec.lose)
        return SIM_PUSH_LOST;
    if (x < l->spec.lose + l->spec.repeat)
        return SIM_PUSH_TWICE;
    return x < l->spec.lose + l->spec.repeat + l->spec.swap ? SIM_PUSH_LATE : SIM_PUSH_COMES;
}

int32_t sim_live_timeout(const struct sim_live *l)
{
    return (int32_t)l->spec.timeout;
}

uint64_t sim_live_count(const struct sim_live *l, enum sim_change_kind kind)
{
    assert(kind <= SIM_DELETED);
    return l->n_kind[kind];
}
