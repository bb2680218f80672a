/* SPDX-License-Identifier: MIT */
/*
 * scheduler_make.c - the jobs of a file as a planner takes them: timings, zones, stores, accounts
 *                    and resources as pools
 *
 * A session is a pool with one slot: it is used by one run at a time, wherever the account is. What
 * several jobs name is found by a search in order of what was named so far: there are few.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "etl/schedule.h"
#include "etl/scheduler_impl.h"
#include "os/loop.h"

enum { GRACE_MS = 30000, RETRY_WAIT_MAX_MS = 900000, ESTIMATE_MS = 60000, NUMBERS_MAX = 256 };

int64_t tg_sched_now_ms(void)
{
    return tg_clock_unix_us() / 1000;
}

bool tg_scheduled(const struct tg_config_job *job)
{
    const struct tg_schedule_settings *c = &job->accounts[0]->schedule;

    return c->schedule || c->after.n;
}

const char *tg_scheduled_text(const struct tg_config_job *job)
{
    return job->accounts[0]->schedule.schedule;
}

const char *tg_scheduled_on_complete(const struct tg_config_job *job)
{
    return job->accounts[0]->schedule.on_complete;
}

const char *tg_scheduled_on_alert(const struct tg_config_job *job)
{
    return job->accounts[0]->schedule.on_alert;
}

tg_code tg_scheduled_timing(const struct tg_config_job *job, struct tg_schedule **ret,
                            struct tg_error *err)
{
    const struct tg_schedule_settings *c = &job->accounts[0]->schedule;
    const struct {
        const struct tg_option_list *list;
        tg_code (*add)(struct tg_schedule *s, const char *text, struct tg_error *err);
    } way[] = { { &c->preferred, tg_schedule_prefer },
                { &c->avoided, tg_schedule_avoid },
                { &c->maintenance, tg_schedule_maintenance_text } };
    struct tg_schedule *s;
    tg_code code;

    if (!c->schedule)
        return tg_fail(err, TG_NOT_FOUND, "the job '%s' has no schedule", job->name);
    code = tg_schedule_new(c->schedule, c->zone, &s, err);
    if (code != TG_OK)
        return code;
    for (size_t w = 0; w < TG_COUNT(way); w++)
        for (size_t i = 0; i < way[w].list->n && code == TG_OK; i++)
            code = way[w].add(s, way[w].list->item[i], err);
    if (code == TG_OK)
        code = tg_schedule_jitter(s, c->jitter_ms / 1000, job->name, err);
    if (code == TG_OK)
        *ret = s;
    else
        tg_schedule_free(s);
    return code;
}

/* ---- what jobs share ---- */

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "no memory for the schedules of a file");
}

/* The place of a name in a list that grows by it. */
static bool name_of(const char ***list, size_t *n, const char *name, uint32_t *ret)
{
    const char **more;

    for (size_t i = 0; i < *n; i++) {
        if (strcmp((*list)[i], name) == 0) {
            *ret = (uint32_t)i;
            return true;
        }
    }
    more = reallocarray(*list, *n + 1, sizeof **list);
    if (!more)
        return false;
    *list = more;
    more[*n] = name;
    *ret = (uint32_t)(*n)++;
    return true;
}

static tg_code find_zone(struct tg_scheduler *s, const char *name, const struct tg_zone **ret,
                         struct tg_error *err)
{
    struct tg_sched_zone **more, *z;
    tg_code code;

    for (size_t i = 0; i < s->n_zones; i++) {
        if (strcmp(s->zone[i]->name, name) == 0) {
            *ret = &s->zone[i]->zone;
            return TG_OK;
        }
    }
    more = reallocarray(s->zone, s->n_zones + 1, sizeof *s->zone);
    if (!more)
        return no_memory(err);
    s->zone = more;
    z = calloc(1, sizeof *z);
    if (!z)
        return no_memory(err);
    snprintf(z->name, sizeof z->name, "%s", name);
    code = tg_schedule_zone(&z->zone, name, err);
    if (code != TG_OK) {
        free(z);
        return code;
    }
    s->zone[s->n_zones++] = z;
    *ret = &z->zone;
    return TG_OK;
}

static tg_code find_store(struct tg_scheduler *s, struct tg_sched_job *j, struct tg_error *err)
{
    struct tg_store **more;
    size_t n_urls = s->n_stores;
    uint32_t i;
    tg_code code = TG_OK;

    j->store_url = j->job->accounts[0]->extract.state;
    if (!name_of(&s->store_url, &n_urls, j->store_url, &i))
        return no_memory(err);
    if (i == s->n_stores) {
        more = reallocarray(s->store, s->n_stores + 1, sizeof *s->store);
        if (!more)
            return no_memory(err);
        s->store = more;
        s->store[i] = calloc(1, sizeof **s->store);
        if (!s->store[i])
            return no_memory(err);
        code = tg_store_open(j->store_url, s->store[i], err);
        if (code != TG_OK) {
            free(s->store[i]);
            return code;
        }
        s->n_stores++;
    }
    j->store = s->store[i];
    return TG_OK;
}

static tg_code make_timing(struct tg_scheduler *s, struct tg_sched_job *j, struct tg_error *err)
{
    const struct tg_schedule_settings *c = j->conf;
    tg_code code;

    if (!c->schedule)
        return TG_OK;
    code = tg_cron_parse(&j->timing.cron, c->schedule, err);
    if (code == TG_OK)
        code = find_zone(s, c->zone, &j->zone, err);
    for (size_t i = 0; i < c->preferred.n && code == TG_OK; i++)
        code = tg_timing_prefer(&j->timing, c->preferred.item[i], err);
    for (size_t i = 0; i < c->avoided.n && code == TG_OK; i++)
        code = tg_timing_avoid(&j->timing, c->avoided.item[i], err);
    for (size_t i = 0; i < c->maintenance.n && code == TG_OK; i++)
        code = tg_schedule_block(&j->timing, c->maintenance.item[i], err);
    j->timing.jitter_s = c->jitter_ms / 1000;
    j->timing.seed = tg_timing_seed(j->job->name);
    return code;
}

/* ---- one job ---- */

static int64_t due(void *ctx, uint32_t job, int64_t after_ms)
{
    struct tg_scheduler *s = ctx;
    const struct tg_sched_job *j = &s->job[job];
    int64_t at_s;

    if (s->backfill) {
        for (size_t i = 0; i < s->n_dues; i++)
            if (s->dues[i] > after_ms)
                return s->dues[i];
        return TG_PLAN_NEVER;
    }
    at_s = tg_timing_next(&j->timing, j->zone, tg_floor_div(after_ms, 1000)).at_s;
    return at_s >= TG_ZONE_NEVER ? TG_PLAN_NEVER : at_s * 1000;
}

static int64_t begin(void *ctx, uint32_t job, int64_t due_ms)
{
    const struct tg_scheduler *s = ctx;
    const struct tg_sched_job *j = &s->job[job];
    int64_t next_ms;

    if (!j->conf->flexible_ms || s->backfill)
        return due_ms;
    next_ms = due(ctx, job, due_ms);
    return tg_quiet_best(&s->quiet[s->plan[job].account], due_ms,
                         TG_MIN(due_ms + j->conf->flexible_ms, next_ms - 1));
}

/* Pools: its sessions with one slot each, and its resources. */
static tg_code make_pools(struct tg_scheduler *s, struct tg_sched_job *j, struct tg_plan_job *p,
                          uint32_t **number, struct tg_error *err)
{
    char name[64];
    uint32_t *first = *number, pool;

    for (size_t i = 0; i < j->job->n_accounts; i++) {
        const char *session = j->job->no_account ? "" : j->job->accounts[i]->account.session;

        if (!name_of(&s->account_name, &s->n_accounts, session, &pool))
            return no_memory(err);
        if (i == 0)
            p->account = pool;
        if (!j->job->no_account)
            *(*number)++ = pool;
    }
    for (size_t i = 0; i < j->conf->resources.n; i++) {
        int64_t n = tg_name_count(j->conf->resources.item[i], name, sizeof name);

        for (pool = 0; pool < s->n_pools && strcmp(s->pool_name[pool], name) != 0;)
            pool++;
        if (!n || pool == s->n_pools || n > NUMBERS_MAX)
            return tg_fail(err, TG_USAGE, "of '%.64s' there are no slots",
                           j->conf->resources.item[i]);
        while (n--)
            *(*number)++ = pool | UINT32_C(1) << 31; /* behind the accounts, once all are known */
    }
    p->pool = first;
    p->n_pools = (size_t)(*number - first);
    return TG_OK;
}

static tg_code make_after(struct tg_scheduler *s, const struct tg_sched_job *j,
                          struct tg_plan_job *p, uint32_t **number, struct tg_error *err)
{
    p->after = *number;
    for (size_t i = 0; i < j->conf->after.n; i++) {
        size_t k = 0;

        while (k < s->n_jobs && strcmp(s->job[k].job->name, j->conf->after.item[i]) != 0)
            k++;
        if (k == s->n_jobs)
            return tg_fail(err, TG_USAGE, "there is no job '%.64s' to come after",
                           j->conf->after.item[i]);
        *(*number)++ = (uint32_t)k;
        p->n_after++;
    }
    return TG_OK;
}

static void make_plan(const struct tg_scheduler *s, const struct tg_sched_job *j,
                      struct tg_plan_job *p)
{
    static const enum tg_plan_overlap overlap[] = { [TG_OVERLAP_SKIP] = TG_PLAN_SKIP,
                                                    [TG_OVERLAP_QUEUE] = TG_PLAN_QUEUE,
                                                    [TG_OVERLAP_CANCEL] = TG_PLAN_CANCEL };
    const struct tg_schedule_settings *c = j->conf;

    *p = (struct tg_plan_job){
        .priority = (int)c->priority,
        .overlap = s->backfill ? TG_PLAN_QUEUE : overlap[c->overlap],
        .coalesce = c->coalesce && !s->backfill,
        .timed = c->schedule != NULL,
        .catch_up_ms = s->backfill ? TG_PLAN_NEVER / 2 : c->catch_up_ms,
        .max_ms = c->max_duration_ms,
        .deadline_ms = s->backfill ? 0 : c->deadline_ms,
        .estimate_ms = ESTIMATE_MS,
        .retries = (uint32_t)c->retries,
        .backoff = { .base_us = c->retry_wait_ms * 1000,
                     .cap_us = TG_MAX(c->retry_wait_ms, (int64_t)RETRY_WAIT_MAX_MS) * 1000,
                     .multiplier_milli = 2000,
                     .jitter = true },
        .account = TG_PLAN_NONE,
    };
}

/* ---- all ---- */

static tg_code list_jobs(struct tg_scheduler *s, const char *only, struct tg_error *err)
{
    const struct tg_config_job *job;
    size_t n = 0, numbers = 1;

    while (tg_config_file_job(s->file, n))
        n++;
    s->job = calloc(n + 1, sizeof *s->job);
    if (!s->job)
        return no_memory(err);
    for (size_t i = 0; (job = tg_config_file_job(s->file, i)); i++) {
        const struct tg_schedule_settings *c = &job->accounts[0]->schedule;

        if (only ? strcmp(only, job->name) != 0 : !tg_scheduled(job))
            continue;
        s->job[s->n_jobs++] = (struct tg_sched_job){ .job = job, .conf = c };
        numbers += job->n_accounts + c->after.n + c->resources.n * NUMBERS_MAX;
    }
    if (!s->n_jobs && only)
        return tg_fail(err, TG_NOT_FOUND, "there is no job '%.64s' in the file", only);
    if (!s->n_jobs) {
        tg_fail(err, TG_USAGE, "no job of the file has a schedule");
        return tg_hint(err, "give one: jobs: [{name: NAME, schedule: \"every 1 hour\", ...}]");
    }
    s->plan = calloc(s->n_jobs + 1, sizeof *s->plan);
    s->numbers = calloc(numbers, sizeof *s->numbers);
    return s->plan && s->numbers ? TG_OK : no_memory(err);
}

/* Pools are the accounts, then the resources. */
static tg_code make_slots(struct tg_scheduler *s, uint32_t *first, uint32_t *end,
                          const struct tg_option_list *slots, struct tg_error *err)
{
    s->slots = calloc(s->n_accounts + s->n_pools + 1, sizeof *s->slots);
    s->quiet = calloc(s->n_accounts + 1, sizeof *s->quiet);
    if (!s->slots || !s->quiet)
        return no_memory(err);
    for (size_t i = 0; i < s->n_accounts; i++)
        s->slots[i] = 1;
    for (size_t i = 0; i < s->n_pools; i++) {
        char name[64];

        s->slots[s->n_accounts + i] = (uint32_t)tg_name_count(slots->item[i], name, sizeof name);
    }
    for (uint32_t *at = first; at < end; at++)
        if (*at >> 31)
            *at = (uint32_t)s->n_accounts + (*at & INT32_MAX);
    return TG_OK;
}

static tg_code name_slots(struct tg_scheduler *s, const struct tg_option_list *slots,
                          struct tg_error *err)
{
    for (size_t i = 0; i < slots->n; i++) {
        const char **more = reallocarray(s->pool_name, s->n_pools + 1, sizeof *more);
        char name[64], *copy;

        if (!more)
            return no_memory(err);
        s->pool_name = more;
        if (!tg_name_count(slots->item[i], name, sizeof name))
            return tg_fail(err, TG_USAGE, "'%.64s' tells no slots: write NAME=N", slots->item[i]);
        copy = strdup(name);
        if (!copy)
            return no_memory(err);
        more[s->n_pools++] = copy;
    }
    return TG_OK;
}

static tg_code make_jobs(struct tg_scheduler *s, struct tg_error *err)
{
    const struct tg_option_list *slots = &s->job[0].conf->slots;
    uint32_t *number = s->numbers, *middle;
    tg_code code = name_slots(s, slots, err);

    for (size_t i = 0; i < s->n_jobs && code == TG_OK; i++) {
        struct tg_sched_job *j = &s->job[i];

        make_plan(s, j, &s->plan[i]);
        snprintf(j->lease_name, sizeof j->lease_name, "job/%s/schedule", j->job->name);
        code = make_timing(s, j, err);
        if (code == TG_OK)
            code = find_store(s, j, err);
        if (code == TG_OK)
            code = make_pools(s, j, &s->plan[i], &number, err);
    }
    middle = number;
    if (code == TG_OK)
        code = make_slots(s, s->numbers, middle, slots, err);
    for (size_t i = 0; i < s->n_jobs && code == TG_OK && !s->backfill; i++)
        code = make_after(s, &s->job[i], &s->plan[i], &number, err);
    return code;
}

/* ---- a backfill: the dues of a time that did not go well ---- */

struct done {
    const struct tg_scheduled_backfill *b;
    struct tg_scheduler *s;
};

static bool on_done(void *ctx, const struct tg_scheduled_record *r)
{
    const struct done *d = ctx;
    size_t n = 0;

    if (strcmp(r->how, "ok") != 0)
        return true;
    for (size_t i = 0; i < d->s->n_dues; i++)
        if (d->s->dues[i] != r->due_ms)
            d->s->dues[n++] = d->s->dues[i];
    d->s->n_dues = n;
    return true;
}

static tg_code list_dues(struct tg_scheduler *s, const struct tg_scheduled_backfill *b,
                         struct tg_error *err)
{
    enum { DUES_MAX = 100000 };
    struct tg_sched_job *j = &s->job[0];
    struct done done = { b, s };
    int64_t at_ms = b->from_ms - 1;

    if (!j->conf->schedule)
        return tg_fail(err, TG_USAGE, "the job '%s' has no schedule", j->job->name);
    s->dues = calloc(DUES_MAX, sizeof *s->dues);
    if (!s->dues)
        return no_memory(err);
    s->backfill = false; /* the schedule itself is asked */
    while ((at_ms = due(s, 0, at_ms)) < b->until_ms) {
        if (s->n_dues == DUES_MAX)
            return tg_fail(err, TG_USAGE, "there are more than %d runs in that time", DUES_MAX);
        s->dues[s->n_dues++] = at_ms;
    }
    s->backfill = true;
    return b->all ? TG_OK : tg_sched_history(j->store, j->job->name, on_done, &done, err);
}

tg_code tg_sched_make(struct tg_scheduler *s, const struct tg_scheduled_backfill *backfill,
                      struct tg_error *err)
{
    struct tg_plan_setup setup = { .grace_ms = GRACE_MS, .due = due, .begin = begin, .ctx = s };
    tg_code code;

    s->backfill = backfill != NULL;
    code = list_jobs(s, backfill ? backfill->job : NULL, err);
    if (code == TG_OK)
        code = make_jobs(s, err);
    if (code == TG_OK && backfill)
        code = list_dues(s, backfill, err);
    if (code != TG_OK)
        return code;
    setup.job = s->plan;
    setup.n_jobs = s->n_jobs;
    setup.slots = s->slots;
    setup.n_pools = s->n_accounts + s->n_pools;
    setup.n_accounts = s->n_accounts;
    setup.running_max = (uint32_t)s->job[0].conf->max_running;
    s->planner = tg_planner_new(&setup);
    return s->planner ? TG_OK : no_memory(err);
}

void tg_sched_unmake(struct tg_scheduler *s)
{
    tg_planner_free(s->planner);
    for (size_t i = 0; i < s->n_stores; i++) {
        tg_store_close(s->store[i]);
        free(s->store[i]);
    }
    for (size_t i = 0; i < s->n_zones; i++)
        free(s->zone[i]);
    for (size_t i = 0; i < s->n_pools; i++)
        free((void *)(uintptr_t)s->pool_name[i]); /* ours, and const to others */
    free(s->store);
    free(s->store_url);
    free(s->zone);
    free(s->pool_name);
    free(s->account_name);
    free(s->job);
    free(s->plan);
    free(s->numbers);
    free(s->slots);
    free(s->quiet);
    free(s->dues);
}
