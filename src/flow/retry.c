/* SPDX-License-Identifier: MIT */
/*
 * retry.c - see retry.h
 */
#include "flow/retry.h"

#include <assert.h>

/* Calls save up for no more retries than this many of them pay for, so that hours without trouble
 * do not pay for a storm. */
#define SAVED_CALLS 1000
#define RETRY_MICRO INT64_C(1000000)
#define IDLE_MAX_US (3600 * TG_SECOND_US)

static int64_t free_micro(const struct tg_retry_policy *p)
{
    return (int64_t)p->budget_free * RETRY_MICRO;
}

void tg_retry_budget_init(struct tg_retry_budget *b, const struct tg_retry_policy *p,
                          int64_t now_us)
{
    assert(p->budget_permille <= 1000);
    b->micro = free_micro(p);
    b->last_us = now_us;
}

/* Time fills up to what is free, calls beyond that. */
static void pass_time(struct tg_retry_budget *b, const struct tg_retry_policy *p, int64_t now_us)
{
    int64_t idle_us = TG_MIN(TG_MAX(now_us - b->last_us, INT64_C(0)), IDLE_MAX_US);
    int64_t more = idle_us * p->budget_milli_per_s / 1000;

    if (more == 0)
        return; /* what is less than a millionth adds up */
    b->last_us = now_us;
    if (b->micro < free_micro(p))
        b->micro = TG_MIN(b->micro + more, free_micro(p));
}

void tg_retry_began(struct tg_retry_budget *b, const struct tg_retry_policy *p)
{
    int64_t most = free_micro(p) + (int64_t)p->budget_permille * 1000 * SAVED_CALLS;

    b->micro = TG_MIN(b->micro + (int64_t)p->budget_permille * 1000, most);
}

static bool pay(struct tg_retry_budget *b, const struct tg_retry_policy *p, int64_t now_us)
{
    if (!p->budget_permille)
        return true;
    pass_time(b, p, now_us);
    if (b->micro < RETRY_MICRO)
        return false;
    b->micro -= RETRY_MICRO;
    return true;
}

static bool of_that_kind(const struct tg_retry_policy *p, const struct tg_error *err)
{
    return tg_code_retry(err->code) != TG_RETRY_NEVER &&
           (p->retry_on & TG_RETRY_ON(tg_code_type(err->code)));
}

enum tg_retry_answer tg_retry_failed(const struct tg_retry_policy *p, struct tg_retry_budget *b,
                                     struct tg_retry_call *call, const struct tg_error *err,
                                     uint64_t random, int64_t now_us, int64_t *ret_us)
{
    bool named = tg_code_retry(err->code) == TG_RETRY_AFTER;
    uint32_t tries = call->attempts;
    int64_t wait_us;

    assert(err->code != TG_OK && err->retry_after_s >= 0);
    if (!named)
        call->attempts++;
    /* a call that was refused for its rate was not done */
    if (call->once && call->arrived && !named)
        return TG_RETRY_NO_ONCE;
    if (!of_that_kind(p, err))
        return TG_RETRY_NO_KIND;
    if (!named && p->attempts_max && call->attempts >= p->attempts_max)
        return TG_RETRY_NO_ATTEMPTS;
    wait_us = named ? err->retry_after_s * TG_SECOND_US
                    : tg_backoff_wait(&p->backoff, tries, random);
    if (call->deadline_us && (now_us >= call->deadline_us || wait_us >= call->deadline_us - now_us))
        return TG_RETRY_NO_TIME;
    if (!named && !pay(b, p, now_us))
        return TG_RETRY_NO_BUDGET;
    *ret_us = wait_us;
    return TG_RETRY_YES;
}

const char *tg_retry_text(enum tg_retry_answer answer)
{
    static const char *const text[] = {
        [TG_RETRY_YES] = "",
        [TG_RETRY_NO_ONCE] = "it may have been done already",
        [TG_RETRY_NO_KIND] = "trying again would not help",
        [TG_RETRY_NO_ATTEMPTS] = "it was tried often enough",
        [TG_RETRY_NO_TIME] = "its time is up",
        [TG_RETRY_NO_BUDGET] = "too many calls fail for all of them to be repeated",
    };

    assert((size_t)answer < TG_COUNT(text));
    return text[answer];
}

/* @return the type that is called so; TG_TYPE_COUNT if none */
static enum tg_error_type type_of(const char *name, size_t len)
{
    for (int i = TG_TYPE_NONE + 1; i < TG_TYPE_COUNT; i++) {
        const char *known = tg_error_type_name((enum tg_error_type)i);

        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return (enum tg_error_type)i;
    }
    return TG_TYPE_COUNT;
}

tg_code tg_retry_on_parse(const char *names, uint32_t *ret, struct tg_error *err)
{
    uint32_t set = 0;

    while (*names) {
        size_t len = strcspn(names, ", ");
        enum tg_error_type type = type_of(names, len);

        if (len && type == TG_TYPE_COUNT) {
            tg_fail(err, TG_USAGE, "there is no error type '%.*s'", (int)TG_MIN(len, (size_t)40),
                    names);
            return tg_hint(err, "try RateLimit, NetworkError, ServerError, Sink or State");
        }
        if (len)
            set |= TG_RETRY_ON(type);
        names += len + strspn(names + len, ", ");
    }
    *ret = set;
    return TG_OK;
}
