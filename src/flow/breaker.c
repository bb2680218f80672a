/* SPDX-License-Identifier: MIT */
/*
 * breaker.c - see breaker.h
 */
#include "flow/breaker.h"

#include <assert.h>

static void enter(struct tg_breaker *b, enum tg_breaker_state state, int64_t now_us)
{
    b->state = state;
    b->turn++;
    b->since_us = now_us;
    b->in_a_row = 0;
    b->trials = b->trials_ok = 0;
    b->trial_us = now_us;
}

static int64_t slice_us(const struct tg_breaker *b)
{
    return TG_MAX(b->options.window_us / TG_BREAKER_SLICES, INT64_C(1));
}

void tg_breaker_init(struct tg_breaker *b, const struct tg_breaker_options *options,
                     int64_t now_us)
{
    assert(options->window_us > 0 && options->recovery_timeout_us > 0);
    assert(options->rate_permille <= 1000);
    *b = (struct tg_breaker){ .options = *options };
    if (b->options.half_open_requests < 1)
        b->options.half_open_requests = 1;
    for (int i = 0; i < TG_BREAKER_SLICES; i++)
        b->slice[i].number = INT64_MIN;
    enter(b, TG_BREAKER_CLOSED, now_us);
}

/* Whether the trials that are out are not awaited any more. */
static bool given_up(const struct tg_breaker *b, int64_t now_us)
{
    return b->trials > b->trials_ok && now_us - b->trial_us >= b->options.recovery_timeout_us;
}

int64_t tg_breaker_peek(const struct tg_breaker *b, int64_t now_us)
{
    int64_t wait = 0;

    if (b->state == TG_BREAKER_OPEN)
        wait = b->since_us + b->options.recovery_timeout_us - now_us;
    else if (b->state == TG_BREAKER_HALF_OPEN && b->trials == b->options.half_open_requests)
        wait = b->trial_us + b->options.recovery_timeout_us - now_us;
    return TG_MAX(wait, INT64_C(0));
}

uint64_t tg_breaker_take(struct tg_breaker *b, int64_t now_us)
{
    if (tg_breaker_peek(b, now_us)) {
        b->n_refused++;
        return 0;
    }
    if (b->state == TG_BREAKER_CLOSED)
        return b->turn;
    if (b->state == TG_BREAKER_OPEN || given_up(b, now_us)) {
        b->n_half_opened += b->state == TG_BREAKER_OPEN;
        enter(b, TG_BREAKER_HALF_OPEN, now_us);
    }
    b->trials++;
    b->trial_us = now_us;
    return b->turn;
}

/* ---- the window ---- */

static void sum_window(const struct tg_breaker *b, int64_t now_us, uint64_t *ok, uint64_t *failed,
                       int64_t *response_us)
{
    int64_t newest = now_us / slice_us(b);

    *ok = *failed = 0;
    *response_us = 0;
    for (int i = 0; i < TG_BREAKER_SLICES; i++) {
        if (b->slice[i].number > newest || b->slice[i].number <= newest - TG_BREAKER_SLICES)
            continue;
        *ok += b->slice[i].ok;
        *failed += b->slice[i].failed;
        *response_us += b->slice[i].response_us;
    }
}

static void count(struct tg_breaker *b, bool ok, int64_t response_us, int64_t now_us)
{
    int64_t number = now_us / slice_us(b);
    int i = (int)(((uint64_t)number) % TG_BREAKER_SLICES);

    if (b->slice[i].number != number) {
        b->slice[i].number = number;
        b->slice[i].ok = b->slice[i].failed = 0;
        b->slice[i].response_us = 0;
    }
    if (ok)
        b->slice[i].ok++;
    else
        b->slice[i].failed++;
    b->slice[i].response_us += TG_MAX(response_us, INT64_C(0));
}

static bool rate_too_high(const struct tg_breaker *b, int64_t now_us)
{
    uint64_t ok, failed;
    int64_t response_us;

    if (!b->options.rate_permille)
        return false;
    sum_window(b, now_us, &ok, &failed, &response_us);
    return ok + failed >= TG_MAX(b->options.calls_min, 1u) &&
           failed * 1000 >= (ok + failed) * b->options.rate_permille;
}

/* A breaker that closes starts afresh: what opened it must not open it again. */
static void clear_window(struct tg_breaker *b)
{
    for (int i = 0; i < TG_BREAKER_SLICES; i++)
        b->slice[i].number = INT64_MIN;
}

/* ---- verdicts ---- */

void tg_breaker_passed(struct tg_breaker *b, uint64_t turn, int64_t response_us, int64_t now_us)
{
    assert(turn);
    count(b, true, response_us, now_us);
    if (turn != b->turn)
        return;
    b->in_a_row = 0;
    if (b->state == TG_BREAKER_HALF_OPEN && ++b->trials_ok >= b->options.half_open_requests) {
        clear_window(b);
        b->n_closed++;
        enter(b, TG_BREAKER_CLOSED, now_us);
    }
}

void tg_breaker_failed(struct tg_breaker *b, uint64_t turn, int64_t response_us, int64_t now_us)
{
    bool open;

    assert(turn);
    count(b, false, response_us, now_us);
    if (turn != b->turn)
        return;
    open = b->state == TG_BREAKER_HALF_OPEN ||
           (b->options.failure_threshold && ++b->in_a_row >= b->options.failure_threshold) ||
           rate_too_high(b, now_us);
    if (!open)
        return;
    b->n_opened++;
    enter(b, TG_BREAKER_OPEN, now_us);
}

void tg_breaker_forget(struct tg_breaker *b, uint64_t turn)
{
    if (turn == b->turn && b->state == TG_BREAKER_HALF_OPEN && b->trials > b->trials_ok)
        b->trials--;
}

enum tg_breaker_verdict tg_breaker_judge(const struct tg_error *err, int64_t recovery_timeout_us)
{
    switch (tg_code_type(err->code)) {
    case TG_TYPE_RATE_LIMIT:
        return err->retry_after_s > recovery_timeout_us / TG_SECOND_US ? TG_BREAKER_FAIL
                                                                       : TG_BREAKER_PASS;
    case TG_TYPE_NETWORK:
    case TG_TYPE_SERVER:
    case TG_TYPE_AUTH:
    case TG_TYPE_SINK:
    case TG_TYPE_STATE:
        return TG_BREAKER_FAIL;
    case TG_TYPE_NOT_FOUND:
    case TG_TYPE_BAD_REQUEST:
    case TG_TYPE_DATA:
        return TG_BREAKER_PASS;
    case TG_TYPE_NONE:
        return err->code == TG_OK ? TG_BREAKER_PASS : TG_BREAKER_NOTHING;
    case TG_TYPE_INTERNAL:
    case TG_TYPE_COUNT:
        break;
    }
    return TG_BREAKER_NOTHING;
}

/* ---- what is told, what is kept ---- */

void tg_breaker_health(const struct tg_breaker *b, int64_t now_us, struct tg_breaker_health *ret)
{
    uint64_t ok, failed;
    int64_t response_us;

    sum_window(b, now_us, &ok, &failed, &response_us);
    ret->state = b->state;
    ret->calls = (uint32_t)(ok + failed);
    ret->success_rate = ok + failed ? (double)ok / (double)(ok + failed) : 1;
    ret->avg_response_us = ok + failed ? response_us / (int64_t)(ok + failed) : 0;
}

const char *tg_breaker_name(enum tg_breaker_state state)
{
    static const char *const name[] = {
        [TG_BREAKER_CLOSED] = "closed",
        [TG_BREAKER_OPEN] = "open",
        [TG_BREAKER_HALF_OPEN] = "half_open",
    };

    assert((size_t)state < TG_COUNT(name));
    return name[state];
}

void tg_breaker_save(const struct tg_breaker *b, int64_t now_us, int64_t unix_us,
                     struct tg_breaker_record *ret)
{
    *ret = (struct tg_breaker_record){ .open = b->state != TG_BREAKER_CLOSED,
                                       .in_a_row = b->in_a_row };
    if (b->state == TG_BREAKER_OPEN)
        ret->until_unix_us = unix_us + tg_breaker_peek(b, now_us);
    else if (b->state == TG_BREAKER_HALF_OPEN)
        ret->until_unix_us = unix_us;
}

void tg_breaker_load(struct tg_breaker *b, const struct tg_breaker_record *record, int64_t now_us,
                     int64_t unix_us)
{
    int64_t left;

    if (record->open) {
        left = record->until_unix_us > unix_us ? record->until_unix_us - unix_us : 0;
        left = TG_MIN(left, b->options.recovery_timeout_us);
        enter(b, TG_BREAKER_OPEN, now_us - (b->options.recovery_timeout_us - left));
        return;
    }
    b->in_a_row = b->options.failure_threshold
                      ? TG_MIN(record->in_a_row, b->options.failure_threshold - 1)
                      : 0;
}
