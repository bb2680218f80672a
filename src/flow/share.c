/* SPDX-License-Identifier: MIT */
/*
 * share.c - see share.h
 */
#include "flow/share.h"

#include <assert.h>

#define PERIOD TG_SHARE_PERIOD_US
#define MICRO TG_SHARE_MICRO
#define PATIENCE_US PERIOD             /* for a reply */
#define IDLE_US (10 * PERIOD)          /* without a wish, then it leaves */
#define APART_US (PERIOD / 2)          /* from one ask to the next while the store is gone */
#define LATE_US (50 * TG_MS_US)        /* as late as a timer may fire without losing tokens */
#define FAR_US (3600 * TG_SECOND_US)
#define QUIET_US (10 * TG_SECOND_US)   /* alone without a flood: there is no limit to learn */
#define ALONE_US (120 * TG_SECOND_US)  /* others wait no longer */

void tg_share_init(struct tg_share *s, const struct tg_limiter_options *options, uint64_t turn)
{
    *s = (struct tg_share){
        .options = *options,
        .mode = TG_SHARE_NEW,
        .ask_at_us = PERIOD * 4 / 10 + (int64_t)(turn % 1000) * (PERIOD / 4) / 1000,
        .wanted_us = INT64_MIN,
        .starving_us = INT64_MAX,
        .closed_until_us = INT64_MIN,
        .flood_until_us = INT64_MIN,
    };
}

/* ---- tokens ---- */

/* What a block has given until then. */
static int64_t given(const struct tg_share_block *b, int64_t now_us)
{
    int64_t at = TG_MIN(TG_MAX(now_us, b->from_us), b->to_us);

    return b->to_us == b->from_us ? b->micro
                                  : b->micro * (at - b->from_us) / (b->to_us - b->from_us);
}

/* What may gather if nobody is there to take it in time: a timer that fires late loses nothing. */
static int64_t room(const struct tg_share *s, int64_t now_us)
{
    int64_t late = 0;

    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++) {
        const struct tg_share_block *b = &s->block[i];

        if (b->to_us > now_us && b->from_us <= now_us)
            late += b->micro * LATE_US / TG_MAX(b->to_us - b->from_us, LATE_US);
    }
    return TG_MAX(2 * MICRO, late);
}

/* Tokens from blocks since they were counted last. */
static int64_t coming(const struct tg_share *s, int64_t now_us)
{
    int64_t n = 0;

    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++)
        if (s->block[i].to_us)
            n += given(&s->block[i], now_us) - s->block[i].taken_micro;
    return n;
}

/* None are given while all must wait: the server said that it is the other way round. */
static int64_t level_at(const struct tg_share *s, int64_t now_us)
{
    int64_t more = now_us < s->closed_until_us ? 0 : coming(s, now_us);

    return s->level_micro + TG_MIN(more, TG_MAX(room(s, now_us) - s->level_micro, INT64_C(0)));
}

static void gather(struct tg_share *s, int64_t now_us)
{
    int64_t level = level_at(s, now_us);

    if (now_us >= s->closed_until_us)
        s->returned_micro += coming(s, now_us) - (level - s->level_micro);
    s->level_micro = level;
    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++) {
        struct tg_share_block *b = &s->block[i];

        b->taken_micro = given(b, now_us);
        if (b->to_us <= now_us)
            *b = (struct tg_share_block){ 0 };
    }
}

static void drop_blocks(struct tg_share *s)
{
    memset(s->block, 0, sizeof s->block);
    s->level_micro = 0;
}

static bool has_block(const struct tg_share *s, int64_t at_us)
{
    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++)
        if (s->block[i].to_us > at_us && s->block[i].from_us <= at_us)
            return true;
    return false;
}

/* What lies before now is lost: others do not wait for who comes late. */
static void add_block(struct tg_share *s, int64_t from_us, int64_t to_us, int64_t micro,
                      int64_t now_us)
{
    struct tg_share_block *slot = NULL;

    if (micro <= 0 || to_us <= now_us) {
        s->returned_micro += TG_MAX(micro, INT64_C(0));
        return;
    }
    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++)
        if (!s->block[i].to_us)
            slot = &s->block[i];
    if (!slot) /* no store deals out so many */
        return;
    *slot = (struct tg_share_block){ from_us, to_us, micro, 0 };
    slot->taken_micro = given(slot, now_us);
    s->returned_micro += slot->taken_micro;
}

/* When the level reaches one token. */
static int64_t wait_for_token(const struct tg_share *s, int64_t now_us)
{
    int64_t start = TG_MAX(now_us, s->closed_until_us), low = start, high = start;
    int64_t need = MICRO - s->level_micro;

    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++)
        high = TG_MAX(high, s->block[i].to_us);
    if (coming(s, high) < need)
        return FAR_US; /* the next reply will tell */
    while (low < high) {
        int64_t middle = low + (high - low) / 2;

        if (coming(s, middle) >= need)
            high = middle;
        else
            low = middle + 1;
    }
    return TG_MAX(low - now_us, INT64_C(1));
}

int64_t tg_share_peek(const struct tg_share *s, const struct tg_limiter *l, int64_t now_us)
{
    if (now_us < s->closed_until_us)
        return s->closed_until_us - now_us;
    if (s->mode == TG_SHARE_WAIT || s->mode == TG_SHARE_NEW)
        return FAR_US;
    if (s->mode != TG_SHARE_SHARED)
        return tg_limiter_peek(l, now_us);
    return level_at(s, now_us) >= MICRO ? 0 : wait_for_token(s, now_us);
}

static void count_starving(struct tg_share *s, int64_t now_us)
{
    if (s->starving_us != INT64_MAX)
        s->starved_us += now_us - s->starving_us;
    s->starving_us = INT64_MAX;
}

int64_t tg_share_take(struct tg_share *s, struct tg_limiter *l, int64_t now_us)
{
    int64_t wait;

    s->wanted_us = now_us;
    if (s->mode == TG_SHARE_SHARED)
        gather(s, now_us);
    else if (now_us >= s->closed_until_us && s->mode != TG_SHARE_WAIT && s->mode != TG_SHARE_NEW)
        return tg_limiter_take(l, now_us);
    wait = tg_share_peek(s, l, now_us);
    if (wait) {
        s->starving_us = TG_MIN(s->starving_us, now_us);
        return wait;
    }
    count_starving(s, now_us);
    s->level_micro -= MICRO;
    s->used_micro += MICRO;
    return 0;
}

int32_t tg_share_remaining(const struct tg_share *s, const struct tg_limiter *l, int64_t now_us)
{
    if (now_us < s->closed_until_us || s->mode == TG_SHARE_WAIT)
        return 0;
    if (s->mode != TG_SHARE_SHARED)
        return tg_limiter_remaining(l, now_us);
    return (int32_t)(level_at(s, now_us) / MICRO);
}

/* ---- floods ---- */

static void close_until(struct tg_share *s, int64_t until_us, int64_t now_us)
{
    gather(s, now_us);
    s->level_micro = 0;
    s->closed_until_us = TG_MAX(s->closed_until_us, until_us);
}

int64_t tg_share_flood(struct tg_share *s, struct tg_limiter *l, int64_t sent_us, int64_t wait_s,
                       uint64_t random, int64_t now_us)
{
    int64_t wait_us = tg_limiter_flood(l, sent_us, wait_s, random, now_us);

    close_until(s, now_us + wait_us, now_us);
    s->flood_until_us = TG_MAX(s->flood_until_us, now_us + wait_us);
    s->flooded_us = now_us;
    return s->closed_until_us - now_us;
}

void tg_share_closed(struct tg_share *s, int64_t wait_us, int64_t now_us)
{
    if (s->mode != TG_SHARE_ALONE && now_us + wait_us > s->closed_until_us)
        close_until(s, now_us + wait_us, now_us);
}

/* ---- asking ---- */

bool tg_share_overdue(const struct tg_share *s, int64_t now_us)
{
    return s->awaiting && now_us - s->asked_us >= PATIENCE_US;
}

int64_t tg_share_due(const struct tg_share *s, int64_t now_us)
{
    if (s->awaiting)
        return s->asked_us + PATIENCE_US;
    if (s->mode == TG_SHARE_APART)
        return s->wanted_us < now_us - IDLE_US ? INT64_MAX : s->next_ask_us;
    if (s->flood_until_us > now_us)
        return now_us;
    if (s->wanted_us < now_us - IDLE_US)
        return s->joined ? now_us : INT64_MAX;
    return s->mode == TG_SHARE_NEW || !s->joined ? now_us : s->next_ask_us;
}

/* Whether the worker that learns is done, and with what. */
static void tell_found(const struct tg_share *s, const struct tg_limiter *l, int64_t now_us,
                       struct tg_share_ask *ask)
{
    bool known = l->phase == TG_LIMIT_KNOWN && (!s->probing || l->probe_at_us > s->alone_us);
    bool quiet = l->phase <= TG_LIMIT_MEASURE &&
                 now_us - TG_MAX(s->flooded_us, s->closed_until_us) > QUIET_US;

    if (s->mode != TG_SHARE_ALONE)
        return;
    if (known || (now_us - s->alone_us > ALONE_US && l->learned_milli)) {
        ask->found_milli = l->rate_milli;
        ask->found_learned_milli = l->learned_milli;
    } else if (quiet || now_us - s->alone_us > ALONE_US) {
        ask->gives_up = true;
    }
}

static int64_t want_of(const struct tg_share *s, size_t waiting, int64_t now_us)
{
    if (s->mode == TG_SHARE_NEW || !s->joined)
        return TG_MAX((int64_t)waiting, INT64_C(1)) * MICRO;
    if (s->starved_us > (now_us - s->asked_us) / 2)
        return TG_SHARE_ALL;
    /* what it used of late, and one for a call that comes; a little, so that it is not forgotten */
    return TG_MAX(s->usual_micro + s->usual_micro / 8 + (1 + (int64_t)waiting) * MICRO -
                      s->level_micro,
                  INT64_C(1));
}

void tg_share_fill(struct tg_share *s, const struct tg_limiter *l, size_t waiting, int64_t now_us,
                   struct tg_share_ask *ret)
{
    assert(!s->awaiting);
    if (s->mode != TG_SHARE_APART && s->wanted_us < now_us - IDLE_US &&
        s->flood_until_us <= now_us && tg_share_leave(s, ret))
        return;
    gather(s, now_us);
    if (s->starving_us != INT64_MAX) {
        count_starving(s, now_us);
        s->starving_us = now_us;
    }
    s->usual_micro += (s->used_micro - s->usual_micro) / 4;
    *ret = (struct tg_share_ask){
        .want_micro = want_of(s, waiting, now_us),
        .now_too = !has_block(s, now_us),
        .returned_micro = s->returned_micro,
        .cap_milli = s->options.rate_milli_per_s
                         ? TG_MAX(s->options.rate_milli_per_s * s->options.use_permille / 1000,
                                  INT64_C(1))
                         : 0,
        .burst_micro = s->options.burst * MICRO,
        .adaptive = s->options.adaptive,
        .known_milli = s->seen ? s->rate_milli : l->rate_milli,
        .known_learned_milli = s->seen ? s->learned_milli : tg_limiter_learned(l),
        .apart = s->mode == TG_SHARE_APART ? s->workers : 0,
        .flood_us = s->flood_until_us > now_us ? s->flood_until_us - now_us : -1,
    };
    if (!ret->known_learned_milli) /* it is configured, no more */
        ret->known_milli = 0;
    tell_found(s, l, now_us, ret);
    s->used_micro = s->returned_micro = 0;
    s->starved_us = 0;
    s->told_until_us = s->flood_until_us; /* again, if no reply comes */
    s->awaiting = true;
    s->asked_us = now_us;
}

bool tg_share_leave(struct tg_share *s, struct tg_share_ask *ret)
{
    int64_t left = s->level_micro + s->returned_micro;

    if (!s->joined)
        return false;
    for (size_t i = 0; i < TG_SHARE_BLOCKS; i++)
        left += s->block[i].micro - s->block[i].taken_micro;
    *ret = (struct tg_share_ask){
        .returned_micro = left,
        .burst_micro = s->options.burst * MICRO,
        .flood_us = -1,
    };
    drop_blocks(s);
    s->joined = false;
    s->mode = TG_SHARE_NEW;
    s->used_micro = s->returned_micro = 0;
    return true;
}

/* ---- replies ---- */

/* The own limiter begins anew, with what is known. */
static void begin_limiter(struct tg_share *s, struct tg_limiter *l, int64_t rate_milli,
                          int64_t learned_milli, int64_t now_us)
{
    struct tg_limiter_options o = s->options;

    if (rate_milli && (!o.rate_milli_per_s || o.rate_milli_per_s > rate_milli)) {
        o.rate_milli_per_s = rate_milli;
        o.use_permille = 1000; /* it is counted in already */
        o.burst = 0; /* what makes up for late timers */
    }
    tg_limiter_init(l, &o, now_us);
    tg_limiter_recall(l, learned_milli, now_us);
}

static void enter(struct tg_share *s, struct tg_limiter *l, const struct tg_share_reply *r,
                  int64_t now_us)
{
    bool again = s->mode == r->mode;

    s->mode = r->mode;
    s->probing = r->probing;
    if (r->mode != TG_SHARE_SHARED)
        drop_blocks(s);
    if (again)
        return;
    if (r->mode == TG_SHARE_ALONE) {
        s->alone_us = now_us;
        begin_limiter(s, l, 0, r->probing ? r->learned_milli : 0, now_us);
        if (r->probing)
            tg_limiter_probe(l, now_us);
    } else {
        begin_limiter(s, l, 0, r->learned_milli, now_us);
    }
}

void tg_share_reply(struct tg_share *s, struct tg_limiter *l, const struct tg_share_reply *r,
                    int64_t now_us)
{
    int64_t read_us = s->asked_us + (now_us - s->asked_us) / 2; /* when the store's clock was */
    int64_t end_us = read_us - r->offset_us + PERIOD;

    assert(s->awaiting);
    s->awaiting = false;
    s->joined = true;
    if (s->flood_until_us == s->told_until_us)
        s->flood_until_us = INT64_MIN;
    gather(s, now_us);
    enter(s, l, r, now_us);
    if (r->learned_milli && r->learned_milli != s->learned_milli && r->mode == TG_SHARE_SHARED)
        begin_limiter(s, l, 0, r->learned_milli, now_us); /* for who remembers it */
    s->rate_milli = r->rate_milli;
    s->learned_milli = r->learned_milli;
    s->workers = TG_MAX(r->workers, INT64_C(1));
    if (r->closed_us > 0 && now_us + r->closed_us > s->closed_until_us)
        close_until(s, now_us + r->closed_us, now_us);
    s->next_ask_us = end_us + s->ask_at_us;
    if (s->next_ask_us - PERIOD > now_us + PERIOD / 10)
        s->next_ask_us -= PERIOD;
    if (r->mode != TG_SHARE_SHARED)
        return;
    s->seen = true;
    s->level_micro += now_us < s->closed_until_us ? 0 : r->once_micro;
    add_block(s, read_us, end_us, r->rest_micro, now_us);
    if (!has_block(s, end_us + PERIOD / 2)) /* asked twice, it is told twice */
        add_block(s, end_us, end_us + PERIOD, r->next_micro, now_us);
}

void tg_share_lost(struct tg_share *s, struct tg_limiter *l, int64_t now_us)
{
    s->awaiting = false;
    s->next_ask_us = now_us + APART_US;
    if (s->mode == TG_SHARE_APART)
        return;
    if (s->mode != TG_SHARE_ALONE)
        begin_limiter(s, l, s->rate_milli ? TG_MAX(s->rate_milli / s->workers, INT64_C(1)) : 0, 0,
                      now_us);
    if (s->rate_milli)
        l->level_nano = 0; /* it has used its share up to now */
    drop_blocks(s);
    s->mode = TG_SHARE_APART;
}
