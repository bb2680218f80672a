/* SPDX-License-Identifier: MIT */
/*
 * account_run.c - running a step function over accounts: the loop, and what is left at its end
 *
 * Threads: the loop's; tg_account_stop from anywhere
 */
#include <assert.h>

#include "source/account_impl.h"

struct tg_account_work {
    tg_account_step step;
    void *ctx;
    tg_code result;
    struct tg_error *err;
};

void tg_account_on_step(void *ctx, int64_t now_us)
{
    struct tg_account *a = ctx;
    struct tg_account_work *work = a->work;

    tg_coordinate_poll(a->coordinate);
    if (!work || work->result != TG_AGAIN)
        return;
    work->result = work->step(work->ctx, a, now_us, work->err);
    if (work->result != TG_AGAIN)
        tg_net_stop(a->net);
}

/* What is still on its way would call back into an operation that is over. */
static void leave_nothing(struct tg_account *a, const struct tg_account_work *work)
{
    bool failed = work->result != TG_OK && work->result != TG_AGAIN;
    struct tg_error kept = { 0 }, why;

    if (failed)
        kept = *work->err; /* the callbacks may write there too */
    tg_fail(&why, TG_CANCELLED, "stopped");
    tgc_fail_all(tg_net_client(a->net), &why);
    if (failed)
        *work->err = kept;
}

/* Stores what was learned; after a failure that one is told. */
static void end_work(struct tg_account *a, struct tg_account_work *work)
{
    struct tg_error ignored;

    a->work = NULL;
    leave_nothing(a, work);
    if (work->result == TG_OK)
        a->held = false;
    if (work->result == TG_OK && a->dirty)
        work->result = tg_account_save(a, work->err);
    else if (tg_account_save(a, &ignored) != TG_OK) {
        /* the first failure is the one to tell */
    }
}

tg_code tg_accounts_run(struct tg_account *const *a, size_t n, tg_account_step step, void *ctx,
                        struct tg_error *err)
{
    struct tg_account_work work = { .step = step, .ctx = ctx, .result = TG_AGAIN, .err = err };

    for (size_t i = 0; i < n; i++) {
        assert(!a[i]->work && tg_net_loop(a[i]->net) == tg_net_loop(a[0]->net));
        a[i]->work = &work;
    }
    for (size_t i = 1; i < n; i++)
        tg_net_settle(a[i]->net);
    tg_net_run(a[0]->net);
    for (size_t i = 0; i < n; i++)
        end_work(a[i], &work);
    return work.result == TG_AGAIN ? tg_fail(err, TG_CANCELLED, "stopped") : work.result;
}

tg_code tg_account_run(struct tg_account *a, tg_account_step step, void *ctx,
                       struct tg_error *err)
{
    return tg_accounts_run(&a, 1, step, ctx, err);
}

void tg_account_stop(struct tg_account *a)
{
    atomic_store_explicit(&a->stop, true, memory_order_relaxed);
    if (a->net)
        tg_net_wake(a->net);
}
