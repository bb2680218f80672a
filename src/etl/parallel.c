/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - pattern 3: the run of extract_impl.h with many tasks and accounts, as the C API
 * offers it
 */
#include "tgdata/parallel.h"

#include <stdlib.h>

#include "etl/parallel_impl.h"

tg_code tg_parallel_new(const struct tg_config *config, struct tg_parallel **ret,
                        struct tg_error *err)
{
    static const struct tg_extract_hooks none = { 0 };
    struct tg_parallel *p;
    tg_code code = tg_config_check(config, err);

    if (code != TG_OK)
        return code;
    p = calloc(1, sizeof *p);
    if (!p)
        return tg_fail(err, TG_NOMEM, "no memory for a run");
    extract_init(&p->run, config, &none, &p->ignored);
    p->config = config;
    p->n_tenants = 1;
    code = tg_loop_new(&p->loop, err);
    if (code != TG_OK) {
        tg_parallel_free(p);
        return code;
    }
    *ret = p;
    return TG_OK;
}

void tg_parallel_free(struct tg_parallel *p)
{
    if (!p)
        return;
    if (!p->ran)
        extract_tasks_free(&p->run);
    for (size_t i = 0; i < p->run.n_accounts; i++)
        tg_account_close(p->run.accounts[i]);
    if (p->loop)
        tg_loop_free(p->loop);
    for (size_t i = 1; i < p->n_tenants; i++)
        free(p->tenant[i]);
    free(p);
}

tg_code tg_parallel_account(struct tg_parallel *p, const struct tg_config *config,
                            tg_note_fn note, void *ctx, struct tg_error *err)
{
    struct extract_run *r = &p->run;
    tg_code code;

    if (r->n_accounts == EXTRACT_ACCOUNTS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d accounts in one run", EXTRACT_ACCOUNTS_MAX);
    code = tg_account_open_on(p->loop, config, note, ctx, &r->accounts[r->n_accounts], err);
    r->n_accounts += code == TG_OK;
    return code;
}

/* ---- tasks ---- */

static tg_code find_tenant(struct tg_parallel *p, const char *name, uint32_t *ret,
                           struct tg_error *err)
{
    *ret = 0;
    if (!name || !*name)
        return TG_OK;
    for (*ret = 1; *ret < p->n_tenants; ++*ret)
        if (strcmp(p->tenant[*ret], name) == 0)
            return TG_OK;
    if (p->n_tenants == TG_TASKS_TENANTS)
        return tg_fail(err, TG_LIMIT, "more than %d tenants in one run", TG_TASKS_TENANTS - 1);
    p->tenant[p->n_tenants] = strdup(name);
    if (!p->tenant[p->n_tenants])
        return tg_fail(err, TG_NOMEM, "no memory for a tenant");
    p->n_tenants++;
    return TG_OK;
}

static tg_code check_request(const struct tg_task_request *q, struct tg_error *err)
{
    if (!q->chat || !*q->chat)
        return tg_fail(err, TG_USAGE, "a task names no chat");
    if ((unsigned)q->priority >= TG_PRIORITIES)
        return tg_fail(err, TG_USAGE, "a task has priority %u; there are 0 to 2",
                       (unsigned)q->priority);
    if (q->since < 0 || q->until < 0 || q->limit < 0 || (q->until && q->since >= q->until))
        return tg_fail(err, TG_USAGE, "no message can be in the range of task '%.100s'", q->chat);
    if (q->weight > TG_TASKS_WEIGHT_MAX)
        return tg_fail(err, TG_USAGE, "a tenant's weight is %u; it can be %d", q->weight,
                       TG_TASKS_WEIGHT_MAX);
    return TG_OK;
}

tg_code tg_parallel_add(struct tg_parallel *p, const struct tg_task_request *q, uint64_t *ret_task,
                        struct tg_error *err)
{
    struct extract_run *r = &p->run;
    struct extract_task *t;
    uint32_t tenant;
    tg_code code = check_request(q, err);

    if (code == TG_OK)
        code = find_tenant(p, q->tenant, &tenant, err);
    if (code != TG_OK)
        return code;
    t = extract_task_add(r, q->chat);
    if (!t)
        return tg_fail(err, TG_NOMEM, "no memory for one more task");
    t->priority = q->priority;
    t->tenant = tenant;
    if (q->weight)
        tg_tasks_weight(&r->tasks, tenant, q->weight);
    if (q->since)
        t->settings.since = q->since;
    if (q->until)
        t->settings.until = q->until;
    if (q->limit)
        t->settings.limit = q->limit;
    t->settings.include_replies |= q->include_replies;
    if (ret_task)
        *ret_task = t->number;
    return TG_OK;
}

/* @return an ended or waiting task whose chat is known */
static struct extract_task *find_task(struct tg_parallel *p, uint64_t number, struct tg_error *err)
{
    struct extract_run *r = &p->run;
    struct extract_task *t = extract_task_find(r, number);

    if (t && t->chat.id && (t->state == TASK_DONE || t->state == TASK_WAITING))
        return t;
    tg_fail(err, TG_NOT_FOUND, "there is no task %llu that could be tried again",
            (unsigned long long)number);
    return NULL;
}

tg_code tg_parallel_reschedule(struct tg_parallel *p, uint64_t task, double delay_s,
                               enum tg_priority priority, struct tg_error *err)
{
    struct extract_task *t = find_task(p, task, err);

    if (!t)
        return err->code;
    t->priority = priority;
    if (extract_task_queue(&p->run, t, (int64_t)(delay_s * 1e6)))
        return TG_OK;
    return tg_fail(err, TG_NOMEM, "no memory to try a task again");
}

tg_code tg_parallel_retry(struct tg_parallel *p, uint64_t task, struct tg_error *err)
{
    const struct extract_task *t = find_task(p, task, err);

    return t ? tg_parallel_reschedule(p, task, 0, t->priority, err) : err->code;
}

/* ---- running ---- */

tg_code tg_parallel_run(struct tg_parallel *p, const struct tg_parallel_hooks *hooks,
                        struct tg_extract_result *ret, struct tg_error *err)
{
    struct extract_run *r = &p->run;

    *ret = (struct tg_extract_result){ 0 };
    if (!r->n_accounts)
        return tg_fail(err, TG_USAGE, "no account was added");
    if (p->ran)
        return tg_fail(err, TG_USAGE, "it ran already");
    p->ran = true;
    r->hooks = &hooks->extract;
    r->result = ret;
    r->on_task = hooks->task;
    r->task_ctx = hooks->task_ctx;
    r->all = r->n_tasks == 0 && !r->feed;
    r->isolate = extract_workers(r) > 1 || r->feed;
    return extract_go(r, err);
}

void tg_parallel_wake(struct tg_parallel *p)
{
    for (size_t i = 0; i < p->run.n_accounts; i++)
        tg_net_wake(p->run.accounts[i]->net);
}

void tg_parallel_workers(struct tg_parallel *p, unsigned n)
{
    atomic_store_explicit(&p->run.workers, n, memory_order_relaxed);
    tg_parallel_wake(p);
}

void tg_parallel_stop(struct tg_parallel *p)
{
    for (size_t i = 0; i < p->run.n_accounts; i++)
        tg_account_stop(p->run.accounts[i]);
}
