/* SPDX-License-Identifier: MIT */
/*
 * retry.c - see retry.h
 */
#include "flow/retry.h"

#include <assert.h>

/* The budget never saves up for more than this many calls, so that a long quiet time does not pay
 * for a storm. */
#define SAVED_CALLS 1000

static int64_t budget_max(const struct tg_retry_policy *p)
{
    return (int64_t)p->budget_free * 1000 + (int64_t)p->budget_permille * SAVED_CALLS;
}

void tg_retry_budget_init(struct tg_retry_budget *b, const struct tg_retry_policy *p)
{
    assert(p->budget_permille <= 1000);
    b->milli = (int64_t)p->budget_free * 1000;
}

void tg_retry_began(struct tg_retry_budget *b, const struct tg_retry_policy *p)
{
    b->milli = TG_MIN(b->milli + p->budget_permille, budget_max(p));
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
    if (!named && p->budget_permille) {
        if (b->milli < 1000)
            return TG_RETRY_NO_BUDGET;
        b->milli -= 1000;
    }
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
        [TG_RETRY_NO_BUDGET] = "too many calls fail to repeat all of them",
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
