/* SPDX-License-Identifier: MIT */
/*
 * limiter.c - see limiter.h
 *
 * Unit of the bucket: a nano-request, since milli-requests per second times microseconds is exactly
 * that; nothing is divided and nothing drifts.
 */
#include "flow/limiter.h"

#include <assert.h>

#define NANO INT64_C(1000000000)

/* Enough is measured when the estimate is off by at most one in this many, or time is up. */
#define MEASURE_PASSED 300
#define MEASURE_US (25 * TG_SECOND_US)
#define VERIFY_US (2 * TG_SECOND_US)
/* Kept below what was learned, so that the server's bucket fills rather than empties. */
#define KEEP_PERMILLE 997
#define REFINE_US (60 * TG_SECOND_US)
#define REFINED_PASSED 100
#define KNOWN_PASSED 8
#define PROBE_FIRST_US (600 * TG_SECOND_US)
#define PROBE_FALLEN_US (120 * TG_SECOND_US)
#define PROBE_ALLOWED_US (60 * TG_SECOND_US)
#define COARSE_US (5 * TG_SECOND_US)
#define PROBE_LAST_US (4 * 3600 * TG_SECOND_US)
#define RATE_MAX_MILLI INT64_C(100000000) /* 100,000 a second: no server allows more */
#define LATE_US (20 * TG_MS_US)
#define IDLE_MAX_US (3600 * TG_SECOND_US)

static int64_t burst_nano(const struct tg_limiter *l)
{
    int64_t late, bucket;

    if (l->phase == TG_LIMIT_OPEN)
        return l->options.burst * NANO;
    /* A learned bucket may be empty on the server's side, so little is assumed: as much as makes up
     * for timers that fire late, and never more than a part of the bucket that was seen. */
    late = TG_MAX(2 * NANO, l->rate_milli * LATE_US);
    bucket = l->bucket_milli ? l->bucket_milli : l->learned_milli; /* a second's worth is usual */
    return TG_MAX(NANO, TG_MIN(late, bucket / 4 * (NANO / 1000)));
}

static void set_rate(struct tg_limiter *l, int64_t rate_milli)
{
    int64_t limit = l->options.rate_milli_per_s;

    if (limit && (rate_milli == 0 || rate_milli > limit))
        rate_milli = limit;
    if (rate_milli)
        rate_milli = TG_MAX(rate_milli * l->options.use_permille / 1000, INT64_C(1));
    l->rate_milli = TG_MIN(rate_milli, RATE_MAX_MILLI);
}

void tg_limiter_init(struct tg_limiter *l, const struct tg_limiter_options *options,
                     int64_t now_us)
{
    assert(options->rate_milli_per_s >= 0);
    *l = (struct tg_limiter){
        .options = *options,
        .closed_until_us = INT64_MIN,
        .flood_at_us = INT64_MIN,
        .last_us = now_us,
        .probe_every_us = PROBE_FIRST_US,
        .coarse_at_us = INT64_MAX,
    };
    if (l->options.burst < 1)
        l->options.burst = TG_MAX(options->rate_milli_per_s / 10000, INT64_C(2));
    if (l->options.use_permille < 1 || l->options.use_permille > 1000)
        l->options.use_permille = 1000;
    set_rate(l, 0);
    l->level_nano = burst_nano(l);
}

/* The bucket's level at now_us. */
static int64_t level_at(const struct tg_limiter *l, int64_t now_us)
{
    int64_t idle = TG_MIN(TG_MAX(now_us - l->last_us, INT64_C(0)), IDLE_MAX_US);

    return TG_MIN(l->level_nano + idle * l->rate_milli, burst_nano(l));
}

/* No flood came at the pace that was tried: it is allowed. */
static void verify_passed(struct tg_limiter *l, int64_t now_us)
{
    l->learned_milli = TG_MIN(l->learned_milli * 2, RATE_MAX_MILLI);
    set_rate(l, TG_MIN(l->learned_milli * 2, RATE_MAX_MILLI));
    l->since_us = now_us;
    l->passed = 0;
}

static void keep(struct tg_limiter *l, int64_t learned_milli, int64_t now_us)
{
    l->phase = TG_LIMIT_KNOWN;
    l->learned_milli = TG_MAX(learned_milli, INT64_C(1));
    set_rate(l, TG_MAX(l->learned_milli * KEEP_PERMILLE / 1000, INT64_C(1)));
    l->probe_at_us = now_us + l->probe_every_us;
    l->coarse_at_us = INT64_MAX;
}

/* A wait, a second at least, puts less in than comes in meanwhile: the bucket runs over, and what
 * passes between two floods is less than the rate. */
static bool is_leaky(const struct tg_limiter *l)
{
    return l->bucket_milli && l->bucket_milli < l->learned_milli * 7 / 10;
}

/* A bucket that is no small one holds the more the higher the limit is. */
static void raise_to(struct tg_limiter *l, int64_t learned_milli)
{
    if (l->bucket_milli && !is_leaky(l))
        l->bucket_milli = l->bucket_milli * (learned_milli / 1000 + 1) /
                          (l->learned_milli / 1000 + 1);
    l->learned_milli = learned_milli;
}

static void begin_stretch(struct tg_limiter *l, int64_t now_us)
{
    l->since_us = now_us;
    l->passed = 0;
}

static void probe(struct tg_limiter *l, int64_t now_us)
{
    l->phase = TG_LIMIT_PROBE;
    set_rate(l, TG_MIN(l->learned_milli * 2, RATE_MAX_MILLI));
    begin_stretch(l, now_us);
}

/* Double the pace was really asked for, a whole minute long, and given. */
static void probe_passed(struct tg_limiter *l, int64_t now_us)
{
    int64_t span = now_us - l->since_us;

    if (span < PROBE_ALLOWED_US)
        return;
    if (l->passed * 1000 < l->learned_milli * 3 / 2 * (span / TG_SECOND_US)) {
        begin_stretch(l, now_us); /* too little was sent to tell */
        return;
    }
    l->probe_every_us = PROBE_FIRST_US;
    raise_to(l, TG_MIN(l->learned_milli * 2, RATE_MAX_MILLI));
    probe(l, now_us);
}

/* What time alone brings: a verified pace, a probe. */
static void advance(struct tg_limiter *l, int64_t now_us)
{
    l->level_nano = level_at(l, now_us);
    l->last_us = TG_MAX(l->last_us, now_us);
    if (l->phase == TG_LIMIT_VERIFY && now_us - l->since_us >= VERIFY_US &&
        l->passed * 1000 >= TG_MAX(4 * l->bucket_milli, INT64_C(4000)))
        verify_passed(l, now_us);
    if (l->phase == TG_LIMIT_REFINE && now_us - l->since_us >= REFINE_US)
        keep(l, l->rate_milli, now_us); /* a pace that is simply allowed */
    if (l->phase == TG_LIMIT_KNOWN && now_us >= l->probe_at_us) {
        probe(l, now_us);
    } else if (l->phase == TG_LIMIT_KNOWN && now_us >= l->coarse_at_us) {
        keep(l, TG_MIN(l->learned_milli + l->learned_milli / 50 + 1, RATE_MAX_MILLI), now_us);
        l->coarse_at_us = now_us + COARSE_US;
        begin_stretch(l, now_us);
    }
    if (l->phase >= TG_LIMIT_PROBE)
        probe_passed(l, now_us);
}

int64_t tg_limiter_peek(const struct tg_limiter *l, int64_t now_us)
{
    int64_t level;

    if (now_us < l->closed_until_us)
        return l->closed_until_us - now_us;
    if (l->rate_milli == 0)
        return 0;
    level = level_at(l, now_us);
    return level >= NANO ? 0 : (NANO - level + l->rate_milli - 1) / l->rate_milli;
}

int64_t tg_limiter_take(struct tg_limiter *l, int64_t now_us)
{
    int64_t wait;

    advance(l, now_us);
    wait = tg_limiter_peek(l, now_us);
    if (wait == 0 && l->rate_milli)
        l->level_nano -= NANO;
    return wait;
}

void tg_limiter_passed(struct tg_limiter *l, int64_t sent_us, int64_t now_us)
{
    l->n_passed++;
    (void)now_us;
    if (sent_us > l->flood_at_us) {
        l->floods_in_a_row = 0;
        l->passed_after++;
    }
    if (l->phase != TG_LIMIT_OPEN && sent_us < l->since_us)
        return; /* accepted before the measured stretch began */
    l->passed++;
}

/* thousandths of a request per microsecond as milli-requests per second */
static int64_t rate_of(int64_t passed_milli, int64_t span_us)
{
    return span_us <= 0 ? RATE_MAX_MILLI
                        : TG_MIN(TG_MAX(passed_milli, INT64_C(1000)) * 1000000 / span_us,
                                 RATE_MAX_MILLI);
}

static void flood_while_measuring(struct tg_limiter *l, int64_t sent_us, int64_t now_us)
{
    int64_t span = now_us - l->since_us;

    l->cycles++;
    l->sending_us += TG_MAX(sent_us - l->closed_until_us, INT64_C(0));
    if (l->passed < MEASURE_PASSED && span < MEASURE_US)
        return;
    l->phase = TG_LIMIT_VERIFY;
    l->learned_milli = rate_of(l->passed * 1000 - 1000, span);
    /* what came in while sending is not what the wait had put in */
    l->bucket_milli =
        (l->passed * 1000 - l->learned_milli * (l->sending_us / 1000) / 1000) / l->cycles;
    set_rate(l, TG_MIN(l->learned_milli * 2, RATE_MAX_MILLI));
    l->passed = 0;
}

/* What the server let pass beyond its bucket's contents, per time, until it refused a request: the
 * answers to all that was sent before have come. */
static int64_t rate_seen(const struct tg_limiter *l, int64_t refused_us)
{
    return rate_of(l->passed * 1000 - l->bucket_milli, refused_us - l->since_us);
}

static void flood_while_verifying(struct tg_limiter *l, int64_t sent_us)
{
    int64_t rate = TG_MAX(rate_seen(l, sent_us), l->learned_milli);

    l->phase = TG_LIMIT_REFINE;
    set_rate(l, TG_MIN(rate + rate / 10, RATE_MAX_MILLI));
}

static void flood_while_refining(struct tg_limiter *l, int64_t sent_us, int64_t now_us)
{
    int64_t seen = rate_seen(l, sent_us);

    /* The long measurement is the sharper one unless the bucket ran over. */
    if (seen <= l->learned_milli + l->learned_milli / 50) {
        keep(l, l->learned_milli, now_us);
        return;
    }
    keep(l, TG_MAX(seen - seen / TG_MAX(l->passed, INT64_C(40)), l->learned_milli), now_us);
    if (l->passed < REFINED_PASSED) /* off by one in few: a little more each few seconds */
        l->coarse_at_us = now_us + COARSE_US;
}

/* What passed from one flood to the next is the rate, off by at most one request: the upper end. */
static int64_t rate_between(const struct tg_limiter *l, int64_t refused_us)
{
    return rate_of(l->passed_after * 1000 + 1000, refused_us - l->refused_us);
}

static void flood_while_known(struct tg_limiter *l, int64_t sent_us, int64_t now_us)
{
    int64_t slower = l->learned_milli - l->learned_milli / 50;
    int64_t between = l->learned_milli;

    if (l->passed_after >= KNOWN_PASSED && !is_leaky(l))
        between = rate_between(l, sent_us);

    if (between < l->learned_milli - l->learned_milli / 20) {
        slower = TG_MIN(slower, between);
        if (l->coarse_at_us == INT64_MAX) /* it fell; else it was raised too far here */
            l->probe_every_us = PROBE_FALLEN_US;
    }
    keep(l, slower, now_us);
}

/* The second flood of a probe: what passed since the first tells the rate. */
static void flood_while_probed(struct tg_limiter *l, int64_t sent_us, int64_t now_us)
{
    int64_t seen = rate_between(l, sent_us), known = l->learned_milli;
    int64_t passed = TG_MAX(l->passed_after, INT64_C(1)), unsure = known / 10 + 2 * known / passed;

    l->probe_every_us = TG_MIN(l->probe_every_us * 4, PROBE_LAST_US);
    if (is_leaky(l)) {
        keep(l, known, now_us);
    } else if (seen > known + unsure) { /* raised: how far is measured as at first */
        l->phase = TG_LIMIT_VERIFY;
        l->probe_every_us = PROBE_FIRST_US;
        raise_to(l, TG_MAX(seen - seen / passed, known));
        set_rate(l, TG_MIN(l->learned_milli * 2, RATE_MAX_MILLI));
    } else if (seen < known - unsure) {
        l->probe_every_us = PROBE_FALLEN_US;
        keep(l, seen, now_us);
    } else {
        keep(l, known, now_us);
    }
}

static void learn(struct tg_limiter *l, int64_t sent_us, int64_t now_us)
{
    switch (l->phase) {
    case TG_LIMIT_OPEN:
        l->phase = TG_LIMIT_MEASURE;
        l->since_us = now_us;
        l->passed = 0;
        break;
    case TG_LIMIT_MEASURE:
        flood_while_measuring(l, sent_us, now_us);
        break;
    case TG_LIMIT_VERIFY:
        flood_while_verifying(l, sent_us);
        break;
    case TG_LIMIT_REFINE:
        flood_while_refining(l, sent_us, now_us);
        break;
    case TG_LIMIT_KNOWN:
        flood_while_known(l, sent_us, now_us);
        break;
    case TG_LIMIT_PROBE:
        l->phase = TG_LIMIT_PROBED;
        break;
    case TG_LIMIT_PROBED:
        flood_while_probed(l, sent_us, now_us);
        break;
    }
}

/* Empty after a flood, but for what lets one request leave when the wait is over: so the server
 * said, whatever was learned. */
static int64_t level_after(const struct tg_limiter *l, int64_t wait_us)
{
    int64_t one_us;

    if (l->rate_milli == 0)
        return 0;
    one_us = NANO / l->rate_milli;
    return NANO - TG_MIN(one_us, wait_us) * l->rate_milli;
}

/* How long the server wants silence, or longer if it was asked too early again and again. */
static int64_t wait_of(const struct tg_limiter *l, int64_t wait_s, uint64_t random)
{
    int64_t wait_us = TG_MIN(TG_MAX(wait_s, INT64_C(0)), INT64_C(14) * 86400) * TG_SECOND_US;

    if (!l->options.backoff.base_us)
        return wait_us;
    return TG_MAX(wait_us, tg_backoff_limit(&l->options.backoff, TG_MAX(l->floods_in_a_row, 1u), 0,
                                            random));
}

int64_t tg_limiter_flood(struct tg_limiter *l, int64_t sent_us, int64_t wait_s, uint64_t random,
                         int64_t now_us)
{
    bool same_event = sent_us <= l->flood_at_us; /* sent in the instant before it was known */
    int64_t wait_us;

    l->n_floods++;
    l->floods_in_a_row += !same_event;
    wait_us = wait_of(l, wait_s, random);
    advance(l, now_us);
    if (!same_event && l->options.adaptive)
        learn(l, sent_us, now_us);
    l->closed_until_us = TG_MAX(l->closed_until_us, now_us + wait_us);
    if (same_event)
        return l->closed_until_us - now_us;
    l->flood_at_us = now_us;
    l->refused_us = sent_us;
    l->passed_after = 0;
    if (!l->options.adaptive)
        return l->closed_until_us - now_us;
    l->level_nano = level_after(l, wait_us);
    if (l->phase >= TG_LIMIT_VERIFY) {
        l->since_us = l->closed_until_us; /* the next stretch begins when sending does */
        l->passed = 0;
    }
    return l->closed_until_us - now_us;
}

void tg_limiter_recall(struct tg_limiter *l, int64_t learned_milli, int64_t now_us)
{
    if (learned_milli <= 0 || !l->options.adaptive)
        return;
    keep(l, TG_MIN(learned_milli, RATE_MAX_MILLI), now_us);
    l->since_us = now_us;
}

void tg_limiter_probe(struct tg_limiter *l, int64_t now_us)
{
    assert(l->phase == TG_LIMIT_KNOWN);
    l->probe_at_us = now_us;
}

int64_t tg_limiter_learned(const struct tg_limiter *l)
{
    return l->phase >= TG_LIMIT_KNOWN ? l->learned_milli : 0;
}

int64_t tg_limiter_rate(const struct tg_limiter *l)
{
    return l->rate_milli;
}

int32_t tg_limiter_remaining(const struct tg_limiter *l, int64_t now_us)
{
    if (now_us < l->closed_until_us)
        return 0;
    if (l->rate_milli == 0)
        return -1;
    return (int32_t)(level_at(l, now_us) / NANO);
}
