/* SPDX-License-Identifier: MIT */
/*
 * api_schedule.c - the jobs of a configuration file: when they run, and how their last runs went;
 * see api.h
 */
#include "observe/api.h"

#include "base/json.h"
#include "os/loop.h"
#include "tgdata/scheduler.h"

enum { RUNS_MAX = 10 };

/* The newest entries of a history, which comes oldest first: a ring of their JSON. */
struct runs {
    struct tg_buf at[RUNS_MAX];
    size_t n;
};

static bool on_run(void *ctx, const struct tg_scheduled_record *r)
{
    struct runs *runs = ctx;
    struct tg_buf *out = &runs->at[runs->n++ % RUNS_MAX];
    struct tg_json j;

    tg_buf_clear(out);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "how"), tg_json_cstr(&j, r->how);
    tg_json_time_ms(&j, "due", r->due_ms);
    tg_json_time_ms(&j, "started", r->started_ms);
    tg_json_key(&j, "took_s");
    if (r->started_ms && r->ended_ms)
        tg_json_double(&j, (double)(r->ended_ms - r->started_ms) / 1e3);
    else
        tg_json_null(&j);
    tg_json_key(&j, "rows"), tg_json_u64(&j, r->rows);
    tg_json_key(&j, "flood_wait_s"), tg_json_double(&j, (double)r->flood_ms / 1e3);
    tg_json_key(&j, "late"), tg_json_bool(&j, r->late);
    tg_json_key(&j, "step"), tg_json_cstr(&j, r->step[0] ? r->step : NULL);
    tg_json_key(&j, "error"), tg_json_cstr(&j, r->error[0] ? r->error : NULL);
    tg_json_end_object(&j);
    return true;
}

static tg_code put_runs(struct tg_json *j, const struct tg_config_job *job, struct tg_error *err)
{
    struct runs runs = { .n = 0 };
    tg_code code;

    for (size_t i = 0; i < RUNS_MAX; i++)
        tg_buf_init(&runs.at[i], 64 << 10);
    code = tg_scheduled_history(job, on_run, &runs, err);
    tg_json_key(j, "runs"), tg_json_array(j);
    for (size_t i = 0; code == TG_OK && i < TG_MIN(runs.n, (size_t)RUNS_MAX); i++) {
        const struct tg_buf *one = &runs.at[(runs.n - 1 - i) % RUNS_MAX];

        if (!one->failed)
            tg_json_raw(j, (const char *)one->data, one->len);
    }
    tg_json_end_array(j);
    for (size_t i = 0; i < RUNS_MAX; i++)
        tg_buf_done(&runs.at[i]);
    return code;
}

/* @return when it is due next; 0: never, or only after others */
static int64_t next_s(const struct tg_config_job *job)
{
    struct tg_schedule_time t = { .unix_s = tg_clock_unix_us() / TG_SECOND_US };
    struct tg_schedule *s;
    struct tg_error ignored;
    bool comes;

    if (tg_scheduled_timing(job, &s, &ignored) != TG_OK)
        return 0;
    comes = tg_schedule_next(s, t.unix_s, &t);
    tg_schedule_free(s);
    return comes ? t.unix_s : 0;
}

static tg_code put_job(struct tg_json *j, const struct tg_config_job *job, struct tg_error *err)
{
    struct tg_scheduled_state s;
    const char *other;
    tg_code code = tg_scheduled_look(job, &s, err);

    if (code != TG_OK)
        return code;
    tg_json_object(j);
    tg_json_key(j, "job"), tg_json_cstr(j, job->name);
    tg_json_key(j, "pattern"), tg_json_cstr(j, tg_pattern_name(job->pattern));
    tg_json_key(j, "schedule"), tg_json_cstr(j, tg_scheduled_text(job));
    tg_json_key(j, "after"), tg_json_array(j);
    for (size_t i = 0; (other = tg_config_item(job->accounts[0], "after", i)); i++)
        tg_json_cstr(j, other);
    tg_json_end_array(j);
    tg_json_time_ms(j, "next", s.paused ? 0 : next_s(job) * 1000);
    tg_json_key(j, "paused"), tg_json_bool(j, s.paused);
    tg_json_key(j, "owner"), tg_json_cstr(j, s.owner[0] ? s.owner : NULL);
    code = put_runs(j, job, err);
    tg_json_end_object(j);
    return code;
}

int tg_api_schedule(const struct tg_config_file *file, struct tg_buf *out)
{
    const struct tg_config_job *job;
    struct tg_error err;
    struct tg_json j;
    tg_code code = TG_OK;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "jobs"), tg_json_array(&j);
    for (size_t i = 0; file && code == TG_OK && (job = tg_config_file_job(file, i)); i++)
        if (tg_scheduled(job))
            code = put_job(&j, job, &err);
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    return code == TG_OK ? 200 : tg_api_error(out, &err);
}
