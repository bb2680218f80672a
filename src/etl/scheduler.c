/* SPDX-License-Identifier: MIT */
/*
 * scheduler.c - see tgdata/scheduler.h: the planner's acts are carried out
 *
 * A run: take the lease -> read the document: paused? settled by another? -> what has to be there
 * -> start. Its end: history -> document -> lease. Whatever cannot be read or written is told as
 * trouble, and the run waits.
 */
#include "tgdata/scheduler.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "etl/scheduler_impl.h"
#include "observe/observer.h"

enum { LEASE_MS = 60000, RENEW_MS = 20000, TROUBLE_WAIT_MS = 5000, BUSY_MIN_MS = 1000,
       BUSY_MAX_MS = 15000, STEP_MAX = 100000 };

/* ---- leases ---- */

static void release(const struct tg_scheduler *s, struct tg_sched_job *j)
{
    struct tg_error err;

    if (!j->lease.token)
        return;
    if (j->store->ops->release(j->store->self, j->lease_name, &j->lease, &err) != TG_OK)
        tg_sched_trouble(s, j->job->name, &err);
    j->lease = (struct tg_lease){ 0 };
}

static tg_code take(struct tg_scheduler *s, struct tg_sched_job *j, struct tg_error *err)
{
    int64_t now_ms = tg_sched_now_ms();
    tg_code code = tg_sched_store(s, j, err);

    if (code == TG_OK)
        code = tg_lease_take(j->store, j->lease_name, now_ms * 1000, LEASE_MS * TG_MS_US,
                             &j->lease, err);
    if (code != TG_OK)
        j->lease = (struct tg_lease){ 0 };
    j->renew_ms = now_ms + RENEW_MS;
    s->renew_ms = TG_MIN(s->renew_ms, j->renew_ms);
    return code;
}

/* @return when it is to be renewed again */
static int64_t renew(struct tg_scheduler *s, struct tg_sched_job *j, int64_t now_ms)
{
    struct tg_error err;
    tg_code code;

    if (!j->lease.token)
        return TG_PLAN_NEVER;
    if (now_ms < j->renew_ms)
        return j->renew_ms;
    code = j->store->ops->lease(j->store->self, j->lease_name, now_ms * 1000,
                                LEASE_MS * TG_MS_US, &j->lease, &err);
    j->renew_ms = now_ms + (code == TG_OK ? RENEW_MS : TROUBLE_WAIT_MS);
    if (code == TG_OK)
        return j->renew_ms;
    tg_sched_trouble(s, j->job->name, &err);
    if (code != TG_CONFLICT && code != TG_BUSY)
        return j->renew_ms;
    j->lease = (struct tg_lease){ 0 }; /* another has the job now */
    s->hooks.stop(s->hooks.ctx, j->job->name, false);
    return TG_PLAN_NEVER;
}

/* ---- what is remembered ---- */

/* Changes the document; what somebody else has changed of it meanwhile stays. */
static tg_code remember(struct tg_scheduler *s, struct tg_sched_job *j, int64_t settled_ms, bool ok,
                        struct tg_error *err)
{
    uint32_t number = (uint32_t)(j - s->job);
    tg_code code = TG_CONFLICT;

    if (s->backfill)
        return TG_OK;
    for (int i = 0; i < 10 && code == TG_CONFLICT; i++) {
        code = tg_sched_read(j->store, j->job->name, &j->doc, err);
        if (code != TG_OK)
            return code;
        if (settled_ms > j->doc.settled_ms) {
            j->doc.settled_ms = settled_ms;
            j->doc.ok = ok;
        }
        j->doc.estimate_ms = tg_planner_view(s->planner, number).estimate_ms;
        j->doc.quiet = s->quiet[s->plan[number].account];
        j->doc.flood_until_ms = TG_MAX(j->doc.flood_until_ms, j->flood_until_ms);
        code = tg_sched_write(j->store, j->job->name, &j->doc, err);
    }
    return code;
}

static void record(struct tg_scheduler *s, struct tg_sched_job *j,
                   const struct tg_scheduled_record *r)
{
    struct tg_error err;

    if (tg_sched_store(s, j, &err) != TG_OK || tg_sched_record(j->store, r, &err) != TG_OK)
        tg_sched_trouble(s, j->job->name, &err);
    tg_sched_tell(s, j, r);
}

/* ---- runs ---- */

static void elsewhere(struct tg_scheduler *s, uint32_t job, int64_t wait_ms)
{
    release(s, &s->job[job]);
    tg_planner_elsewhere(s->planner, job, tg_sched_now_ms() + wait_ms);
}

/* How the run ends that could not be started, or was. */
static void end(struct tg_scheduler *s, struct tg_sched_job *j,
                const struct tg_scheduled_result *result)
{
    uint32_t number = (uint32_t)(j - s->job);
    int64_t now_ms = tg_sched_now_ms();
    enum tg_plan_how how = result->ok ? TG_PLAN_OK : TG_PLAN_FAILED;
    struct tg_scheduled_record r = {
        .job = j->job->name, .due_ms = j->due_ms, .attempt = j->attempt,
        .started_ms = j->started_ms, .ended_ms = now_ms, .rows = result->rows,
        .requests = result->requests, .flood_ms = result->flood_ms, .backfill = s->backfill,
        .step = result->ok ? "" : result->step ? result->step : tg_sched_step(result->code),
        .error = result->error ? result->error : "", .by = "",
    };
    struct tg_plan_view view;
    struct tg_random random = tg_random_system();
    struct tg_error err;
    bool settled;

    if (s->draining && result->stopped) {
        r.how = "stopped";
        tg_planner_elsewhere(s->planner, number, TG_PLAN_NEVER);
        record(s, j, &r);
        release(s, j);
        return;
    }
    r.late = j->conf->deadline_ms && now_ms > j->due_ms + j->conf->deadline_ms;
    tg_quiet_note(&s->quiet[s->plan[number].account], j->started_ms, now_ms, result->flood_ms,
                  (int64_t)result->requests);
    if (result->flood_left_ms) {
        j->flood_until_ms = now_ms + result->flood_left_ms;
        tg_planner_flood(s->planner, s->plan[number].account, j->flood_until_ms);
    }
    settled = tg_planner_ended(s->planner, number, now_ms, result->again,
                               tg_random_u64(&random), &how);
    r.again = !settled;
    r.how = how == TG_PLAN_FAILED && result->code == TG_GAP ? "incomplete" : tg_plan_how_name(how);
    view = tg_planner_view(s->planner, number);
    record(s, j, &r);
    if ((settled || result->flood_left_ms) &&
        remember(s, j, settled ? view.settled_ms : 0, how == TG_PLAN_OK, &err) != TG_OK)
        tg_sched_trouble(s, j->job->name, &err);
    release(s, j);
}

static void fail(struct tg_scheduler *s, struct tg_sched_job *j, const struct tg_error *err)
{
    static const tg_code mended_by_hand[] = { TG_USAGE, TG_AUTH, TG_LOGIN, TG_CORRUPT };
    bool again = true;

    for (size_t i = 0; i < TG_COUNT(mended_by_hand); i++)
        again = again && err->code != mended_by_hand[i];
    end(s, j, &(struct tg_scheduled_result){ .error = err->message, .again = again,
                                             .code = err->code, .step = TG_STEP_CHECK });
}

/* How many a run can make until the next one or its longest; -1: that is not known. */
static int64_t requests_for(const struct tg_scheduled_run *run, const struct tg_quiet *quiet,
                            int64_t now_ms)
{
    const struct tg_account_settings *a = &run->job->accounts[0]->account;
    int64_t for_ms = run->until_next_ms < 0 ? TG_PLAN_NEVER : run->until_next_ms;

    if (run->max_duration_ms)
        for_ms = TG_MIN(for_ms, run->max_duration_ms);
    return tg_quiet_requests(quiet, a->rate * a->rate_use * 10, now_ms, for_ms);
}

/* The context of a run. */
static struct tg_scheduled_run run_of(const struct tg_scheduler *s, uint32_t job,
                                      const struct tg_plan_act *act, int64_t now_ms)
{
    const struct tg_sched_job *j = &s->job[job];
    struct tg_scheduled_run run = { .job = j->job, .due_ms = act->due_ms, .attempt = act->attempt,
                                    .max_duration_ms = j->conf->max_duration_ms };
    int64_t next_s = j->zone ? tg_timing_next(&j->timing, j->zone, now_ms / 1000).at_s
                             : TG_ZONE_NEVER;

    if (j->zone) {
        int64_t before_s = tg_timing_previous(&j->timing, j->zone, act->due_ms / 1000 - 1).at_s;

        run.from_ms = TG_MAX(before_s, (int64_t)0) * 1000;
    }
    run.until_next_ms = next_s >= TG_ZONE_NEVER ? -1 : next_s * 1000 - now_ms;
    run.rate_limit_remaining = requests_for(&run, &s->quiet[s->plan[job].account], now_ms);
    run.batch_size = tg_quiet_batch(run.rate_limit_remaining);
    return run;
}

/* Whether the due is still to be run, the lease being held. */
static bool is_wanted(struct tg_scheduler *s, uint32_t job, const struct tg_plan_act *act)
{
    struct tg_sched_job *j = &s->job[job];
    struct tg_error err;

    if (tg_sched_read(j->store, j->job->name, &j->doc, &err) != TG_OK) {
        tg_sched_trouble(s, j->job->name, &err);
        elsewhere(s, job, TROUBLE_WAIT_MS);
        return false;
    }
    if (s->backfill || (!j->doc.paused && j->doc.settled_ms < act->due_ms))
        return true;
    release(s, j);
    tg_planner_settled(s->planner, job, TG_MAX(j->doc.settled_ms, act->due_ms),
                       j->doc.ok && !j->doc.paused, tg_sched_now_ms());
    return false;
}

/* Whether a run waits for the next hour: floods leave it no request in this one. */
static bool put_off(struct tg_scheduler *s, const struct tg_plan_act *act,
                    const struct tg_scheduled_run *run)
{
    struct tg_sched_job *j = &s->job[act->job];
    struct tg_scheduled_record r = { .job = j->job->name, .how = "put_off", .due_ms = act->due_ms,
                                     .attempt = act->attempt, .step = TG_STEP_CHECK, .by = "",
                                     .error = "floods leave its account no request in this hour" };
    const struct tg_quiet calm = { .rate_milli = s->quiet[s->plan[act->job].account].rate_milli };
    int64_t now_ms = j->started_ms, until_ms;

    if (s->backfill || run->rate_limit_remaining != 0 || requests_for(run, &calm, now_ms) == 0)
        return false; /* where a run is so short that none fits at all, floods are not the cause */
    until_ms = tg_sched_put_off(act->due_ms, now_ms, j->conf->catch_up_ms);
    if (!until_ms)
        return false;
    tg_sched_tell(s, j, &r);
    elsewhere(s, act->job, until_ms - now_ms);
    return true;
}

static void start(struct tg_scheduler *s, const struct tg_plan_act *act)
{
    struct tg_sched_job *j = &s->job[act->job];
    struct tg_scheduled_record begun = { .job = j->job->name, .how = "started", .step = "",
                                         .error = "", .by = "", .due_ms = act->due_ms,
                                         .attempt = act->attempt };
    struct tg_scheduled_run run;
    struct tg_error err;
    tg_code code = take(s, j, &err);

    if (code == TG_BUSY) {
        j->busy_wait_ms = TG_MIN(TG_MAX(2 * j->busy_wait_ms, (int64_t)BUSY_MIN_MS),
                                 (int64_t)BUSY_MAX_MS);
        tg_planner_elsewhere(s->planner, act->job, tg_sched_now_ms() + j->busy_wait_ms);
        return;
    }
    j->busy_wait_ms = 0;
    if (code != TG_OK) {
        tg_sched_trouble(s, j->job->name, &err);
        tg_planner_elsewhere(s->planner, act->job, tg_sched_now_ms() + TROUBLE_WAIT_MS);
        return;
    }
    if (!is_wanted(s, act->job, act))
        return;
    j->started_ms = tg_sched_now_ms();
    j->due_ms = act->due_ms;
    j->attempt = act->attempt;
    run = run_of(s, act->job, act, j->started_ms);
    if (put_off(s, act, &run))
        return;
    begun.started_ms = j->started_ms;
    code = tg_sched_prerequisites(j, &err);
    if (code == TG_OK)
        tg_sched_tell(s, j, &begun);
    if (code == TG_OK)
        code = s->hooks.start(s->hooks.ctx, &run, &err);
    if (code != TG_OK)
        fail(s, j, &err);
}

/* Dues that were settled without a run. One that is at work settles them with its own; else only
 * who has the lease, and finds them not settled yet, writes. */
static void tell(struct tg_scheduler *s, const struct tg_plan_act *act)
{
    struct tg_sched_job *j = &s->job[act->job];
    struct tg_scheduled_record r = {
        .job = j->job->name, .how = tg_plan_how_name(act->how), .due_ms = act->due_ms,
        .until_ms = act->until_ms < TG_PLAN_NEVER ? act->until_ms : 0, .step = "", .error = "",
        .by = "",
    };
    struct tg_plan_view view = tg_planner_view(s->planner, act->job);
    struct tg_error err;
    tg_code code;

    if (view.running) {
        record(s, j, &r);
        return;
    }
    code = take(s, j, &err);
    if (code == TG_BUSY)
        return;
    if (code == TG_OK)
        code = tg_sched_read(j->store, j->job->name, &j->doc, &err);
    if (code == TG_OK && j->doc.settled_ms < act->due_ms) {
        if (!j->doc.paused)
            record(s, j, &r);
        code = remember(s, j, view.settled_ms, act->how == TG_PLAN_MERGED && j->doc.ok, &err);
    }
    if (code != TG_OK)
        tg_sched_trouble(s, j->job->name, &err);
    release(s, j);
}

static void act_on(struct tg_scheduler *s, const struct tg_plan_act *act)
{
    struct tg_scheduled_record r = { .job = s->job[act->job].job->name, .how = "late",
                                     .due_ms = act->due_ms, .step = "", .error = "", .by = "" };

    switch (act->what) {
    case TG_PLAN_START:
        start(s, act);
        break;
    case TG_PLAN_STOP:
    case TG_PLAN_KILL:
        s->hooks.stop(s->hooks.ctx, r.job, act->what == TG_PLAN_KILL);
        break;
    case TG_PLAN_LATE:
        tg_sched_tell(s, &s->job[act->job], &r);
        break;
    case TG_PLAN_TELL:
        tell(s, act);
        break;
    }
}

int64_t tg_scheduler_step(struct tg_scheduler *s)
{
    struct tg_plan_act act;
    int64_t wake_ms, now_ms;

    for (int i = 0; !s->draining && i < STEP_MAX &&
                    tg_planner_next(s->planner, tg_sched_now_ms(), &act); i++)
        act_on(s, &act);
    tg_sched_told(s);
    now_ms = tg_sched_now_ms();
    if (now_ms >= s->renew_ms) {
        s->renew_ms = TG_PLAN_NEVER;
        for (size_t i = 0; i < s->n_jobs; i++)
            s->renew_ms = TG_MIN(s->renew_ms, renew(s, &s->job[i], now_ms));
    }
    tg_observe_set(s->hooks.observer, TG_METRIC_SCHEDULED_NOW, NULL, NULL,
                   tg_planner_running(s->planner));
    wake_ms = tg_planner_running(s->planner) ? s->renew_ms : TG_PLAN_NEVER;
    if (!s->draining)
        wake_ms = TG_MIN(wake_ms, tg_planner_wake(s->planner));
    if (wake_ms >= TG_PLAN_NEVER && !tg_planner_running(s->planner))
        return -1;
    return TG_MAX(TG_MIN(wake_ms - now_ms, INT64_C(3600000)), (int64_t)0);
}

void tg_scheduler_ended(struct tg_scheduler *s, const char *job,
                        const struct tg_scheduled_result *result)
{
    for (size_t i = 0; i < s->n_jobs; i++) {
        if (strcmp(s->job[i].job->name, job) == 0 &&
            tg_planner_view(s->planner, (uint32_t)i).running) {
            end(s, &s->job[i], result);
            return;
        }
    }
}

void tg_scheduler_drain(struct tg_scheduler *s)
{
    s->draining = true;
    tg_observe_ready(s->hooks.observer, "the scheduler is ending");
}

/* ---- beginning ---- */

/* What is remembered of a job; a job that is new begins now. */
static tg_code recall(struct tg_scheduler *s, uint32_t number, int64_t now_ms,
                      struct tg_error *err)
{
    struct tg_sched_job *j = &s->job[number];
    uint32_t account = s->plan[number].account;
    tg_code code;

    if (s->backfill) {
        tg_planner_begin(s->planner, number, s->n_dues ? s->dues[0] - 1 : now_ms, true, 0, now_ms);
        return TG_OK;
    }
    code = tg_sched_read(j->store, j->job->name, &j->doc, err);
    if (code == TG_OK && !j->doc.version) {
        j->doc.settled_ms = now_ms;
        code = tg_sched_write(j->store, j->job->name, &j->doc, err);
        if (code == TG_CONFLICT) /* another scheduler begins, too */
            code = tg_sched_read(j->store, j->job->name, &j->doc, err);
    }
    if (code != TG_OK)
        return code;
    tg_quiet_join(&s->quiet[account], &j->doc.quiet);
    tg_planner_begin(s->planner, number, j->doc.settled_ms, j->doc.ok, j->doc.estimate_ms, now_ms);
    if (j->doc.flood_until_ms > now_ms)
        tg_planner_flood(s->planner, account, j->doc.flood_until_ms);
    return TG_OK;
}

tg_code tg_scheduler_new(const struct tg_config_file *file, const struct tg_scheduler_hooks *hooks,
                         const struct tg_scheduled_backfill *backfill, struct tg_scheduler **ret,
                         struct tg_error *err)
{
    struct tg_scheduler *s = calloc(1, sizeof *s);
    int64_t now_ms = tg_sched_now_ms();
    tg_code code;

    assert(hooks->start && hooks->stop);
    if (!s)
        return tg_fail(err, TG_NOMEM, "no memory for a scheduler");
    s->file = file;
    s->hooks = *hooks;
    s->renew_ms = TG_PLAN_NEVER;
    code = tg_sched_make(s, backfill, err);
    for (uint32_t i = 0; code == TG_OK && i < s->n_jobs; i++)
        code = recall(s, i, now_ms, err);
    if (code == TG_OK)
        code = tg_sched_tell_begin(s, err);
    if (code == TG_OK) {
        tg_observe_ready(hooks->observer, NULL);
        *ret = s;
    } else {
        tg_scheduler_free(s);
    }
    return code;
}

void tg_scheduler_free(struct tg_scheduler *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_jobs && s->planner; i++)
        release(s, &s->job[i]);
    tg_sched_tell_last(s);
    tg_sched_unmake(s);
    free(s);
}

/* A run goes on in the scheduler that takes over; one whose job is no longer there is stopped. */
static void hand_over(struct tg_scheduler *from, uint32_t number, struct tg_scheduler *to)
{
    struct tg_sched_job *j = &from->job[number], *there;
    struct tg_scheduled_record r = { .job = j->job->name, .how = "stopped", .due_ms = j->due_ms,
                                     .started_ms = j->started_ms, .attempt = j->attempt,
                                     .step = TG_STEP_EXTRACT, .by = "",
                                     .error = "the job is no longer in the file" };
    size_t k = 0;

    while (k < to->n_jobs && (strcmp(to->job[k].job->name, j->job->name) != 0 ||
                              strcmp(to->job[k].store_url, j->store_url) != 0))
        k++;
    if (k == to->n_jobs) {
        from->hooks.stop(from->hooks.ctx, j->job->name, false);
        r.ended_ms = tg_sched_now_ms();
        record(from, j, &r);
        return;
    }
    there = &to->job[k];
    there->lease = j->lease;
    there->renew_ms = j->renew_ms;
    there->started_ms = j->started_ms;
    there->due_ms = j->due_ms;
    there->attempt = j->attempt;
    to->renew_ms = TG_MIN(to->renew_ms, there->renew_ms);
    j->lease = (struct tg_lease){ 0 };
    tg_planner_adopt(to->planner, (uint32_t)k, there->due_ms, there->attempt, there->started_ms,
                     tg_sched_now_ms());
}

tg_code tg_scheduler_reload(struct tg_scheduler **s, const struct tg_config_file *file,
                            struct tg_error *err)
{
    struct tg_scheduler *new;
    tg_code code = tg_scheduler_new(file, &(*s)->hooks, NULL, &new, err);

    if (code != TG_OK)
        return code;
    for (uint32_t i = 0; i < (*s)->n_jobs; i++)
        if (tg_planner_view((*s)->planner, i).running)
            hand_over(*s, i, new);
    if ((*s)->notices) { /* what still waits goes on */
        struct tg_notices *made = new->notices;

        new->notices = (*s)->notices;
        (*s)->notices = made;
    }
    tg_scheduler_free(*s);
    *s = new;
    return TG_OK;
}

/* ---- from outside ---- */

static tg_code open_store(const struct tg_config_job *job, enum tg_store_use use,
                          struct tg_store *ret, struct tg_error *err)
{
    return tg_store_open_existing(job->accounts[0]->extract.state, use, ret, err);
}

static bool find_owner(void *ctx, const struct tg_store_name *name)
{
    void **arg = ctx;
    struct tg_scheduled_state *state = arg[0];

    if (strcmp(name->key, arg[1]) == 0 && name->owner[0] &&
        name->expires_us > tg_sched_now_ms() * 1000)
        memcpy(state->owner, name->owner, strnlen(name->owner, sizeof state->owner - 1));
    return true;
}

tg_code tg_scheduled_look(const struct tg_config_job *job, struct tg_scheduled_state *ret,
                          struct tg_error *err)
{
    struct tg_scheduled_state state = { 0 };
    struct tg_sched_doc doc = { 0 };
    struct tg_store store = { 0 };
    char lease[TG_LEASE_NAME] = "job/";
    void *arg[] = { &state, lease };
    tg_code code = open_store(job, TG_STORE_LOOK, &store, err);

    if (code == TG_NOT_FOUND) {
        *ret = state;
        return TG_OK;
    }
    strncat(strncat(lease, job->name, sizeof lease - 16), "/schedule", 12);
    if (code == TG_OK)
        code = tg_sched_read(&store, job->name, &doc, err);
    if (code == TG_OK)
        code = store.ops->names(store.self, TG_STORE_LEASES, find_owner, arg, err);
    tg_store_close(&store);
    state.known = doc.version > 0;
    state.paused = doc.paused;
    state.ok = doc.ok;
    state.settled_ms = doc.settled_ms;
    state.estimate_ms = doc.estimate_ms;
    if (code == TG_OK)
        *ret = state;
    return code;
}

tg_code tg_scheduled_pause(const struct tg_config_job *job, bool pause, struct tg_error *err)
{
    struct tg_store store = { 0 };
    struct tg_sched_doc doc;
    tg_code code = tg_store_open(job->accounts[0]->extract.state, &store, err);

    if (code != TG_OK)
        return code;
    do {
        code = tg_sched_read(&store, job->name, &doc, err);
        if (code != TG_OK || doc.paused == pause)
            break;
        if (!pause || !doc.version)
            doc.settled_ms = TG_MAX(doc.settled_ms, tg_sched_now_ms());
        doc.paused = pause;
        code = tg_sched_write(&store, job->name, &doc, err);
    } while (code == TG_CONFLICT);
    tg_store_close(&store);
    return code;
}

tg_code tg_scheduled_history(const struct tg_config_job *job,
                             bool (*seen)(void *ctx, const struct tg_scheduled_record *record),
                             void *ctx, struct tg_error *err)
{
    struct tg_store store = { 0 };
    tg_code code = open_store(job, TG_STORE_LOOK, &store, err);

    if (code == TG_NOT_FOUND)
        return TG_OK;
    if (code == TG_OK)
        code = tg_sched_history(&store, job->name, seen, ctx, err);
    tg_store_close(&store);
    return code;
}
