/* SPDX-License-Identifier: MIT */
/*
 * schedule_run.c - tgdata schedule run, backfill: each run is a process of its own
 *
 *   scheduler --start--> `tgdata run FILE --job NAME` --end, summary--> scheduler --> hooks
 *
 * A process that hangs, leaks or crashes takes nothing else with it, and one that is to end is sent
 * SIGTERM, whereupon it commits. What it says goes on to stderr with the job's name before it. The
 * program waits in poll() for the pipes of its children; a signal ends the wait.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/text.h"
#include "cli/child.h"
#include "cli/file.h"
#include "cli/run.h"
#include "cli/schedule.h"
#include "cli/term.h"

enum { OUT_MAX = 4 << 20, BLOCK = 16 << 10, TURN_MS = 1000, HOOK_TURN_MS = 200, RUNS_MAX = 1024,
       ERROR_BYTES = 320, ENV_BYTES = 256 };

struct env {
    const char *name;
    char value[ENV_BYTES];
};

struct run {
    char job[64];
    enum run_step step;
    bool to_stdout;          /* its rows */
    struct env env[12];
    size_t n_env;
    struct tg_scheduled_result result; /* as far as it has come */
    struct child child;
    struct tg_buf out, line; /* its summary; what it says, up to the end of a line */
    bool asked;              /* to end */
    char error[ERROR_BYTES];
};

struct daemon {
    struct cli *cli;
    struct tg_config_file *file;
    struct tg_scheduler *scheduler;
    struct tg_observer *observer; /* NULL: nobody looks on */
    struct run *run[RUNS_MAX];
    size_t n_runs;
    struct child hook[RUNS_MAX];
    size_t n_hooks;
};

/* ---- telling ---- */

static void put_event(const struct tg_scheduled_record *r)
{
    struct tg_buf line;
    struct tg_json j;

    tg_buf_init(&line, 64 << 10);
    tg_json_init(&j, &line);
    tg_json_object(&j);
    tg_json_key(&j, "event"), tg_json_cstr(&j, r->how);
    tg_json_key(&j, "job"), tg_json_cstr(&j, r->job);
    tg_json_key(&j, "due_ms"), tg_json_i64(&j, r->due_ms);
    if (r->attempt)
        tg_json_key(&j, "attempt"), tg_json_u64(&j, r->attempt);
    if (r->ended_ms) {
        tg_json_key(&j, "again"), tg_json_bool(&j, r->again);
        tg_json_key(&j, "seconds");
        tg_json_double(&j, (double)(r->ended_ms - r->started_ms) / 1000);
        tg_json_key(&j, "rows"), tg_json_u64(&j, r->rows);
    }
    if (*r->step)
        tg_json_key(&j, "step"), tg_json_cstr(&j, r->step);
    if (*r->error)
        tg_json_key(&j, "error"), tg_json_cstr(&j, r->error);
    tg_json_end_object(&j);
    printf("%s\n", tg_buf_cstr(&line));
    fflush(stdout);
    tg_buf_done(&line);
}

static void say(const struct tg_scheduled_record *r)
{
    char now[21], due[21] = "";

    term_now(now);
    tg_time_utc(due, r->due_ms / 1000);
    fprintf(stderr, "%s  %s: %s, due %s", now, r->job, r->how, due);
    if (r->attempt > 1)
        fprintf(stderr, ", attempt %u", r->attempt);
    if (r->ended_ms)
        fprintf(stderr, ", %.1f s, %llu rows", (double)(r->ended_ms - r->started_ms) / 1000,
                (unsigned long long)r->rows);
    if (*r->step)
        fprintf(stderr, ", in %s", r->step);
    if (*r->error)
        fprintf(stderr, ": %s", r->error);
    fprintf(stderr, "%s\n", r->again ? "; it is tried again" : "");
}

/* ---- hooks ---- */

static void put_env(const struct env *env, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (env[i].value[0])
            setenv(env[i].name, env[i].value, 1);
}

static void take_env(const struct env *env, size_t n)
{
    for (size_t i = 0; i < n; i++)
        unsetenv(env[i].name);
}

#define NUMBER(name_, v)                                                                           \
    snprintf(env[n].value, ENV_BYTES, "%lld", (long long)(v)), env[n++].name = name_
#define TEXT(name_, v) snprintf(env[n].value, ENV_BYTES, "%s", v), env[n++].name = name_

static void run_hook(struct daemon *d, const char *command, const struct tg_scheduled_record *r)
{
    struct env env[12] = { { 0 } };
    char due[21] = "";
    struct tg_error err = { 0 };
    size_t n = 0;

    if (d->n_hooks == RUNS_MAX)
        return;
    tg_time_utc(due, r->due_ms / 1000);
    TEXT("TGDATA_RUN_JOB", r->job);
    TEXT("TGDATA_RUN_OUTCOME", r->how);
    TEXT("TGDATA_RUN_DUE", due);
    TEXT("TGDATA_RUN_STEP", r->step);
    TEXT("TGDATA_RUN_ERROR", r->error);
    NUMBER("TGDATA_RUN_ATTEMPT", r->attempt);
    NUMBER("TGDATA_RUN_AGAIN", r->again);
    NUMBER("TGDATA_RUN_ROWS", r->rows);
    NUMBER("TGDATA_RUN_SECONDS", r->ended_ms ? (r->ended_ms - r->started_ms) / 1000 : 0);
    NUMBER("TGDATA_RUN_LATE", r->late || strcmp(r->how, "late") == 0);
    put_env(env, n);
    if (child_shell(&d->hook[d->n_hooks], command, &err) == TG_OK)
        d->n_hooks++;
    else
        cli_report(d->cli, &err);
    take_env(env, n);
}

static const struct tg_config_job *find_job(const struct tg_config_file *file, const char *name)
{
    const struct tg_config_job *job;

    for (size_t i = 0; (job = tg_config_file_job(file, i)); i++)
        if (strcmp(job->name, name) == 0)
            return job;
    return NULL;
}

static void on_told(void *ctx, const struct tg_scheduled_record *r)
{
    struct daemon *d = ctx;
    const struct tg_config_job *job = find_job(d->file, r->job);
    const char *complete = job ? tg_scheduled_on_complete(job) : NULL;
    const char *alert = job ? tg_scheduled_on_alert(job) : NULL;

    if (((const struct schedule_own *)d->cli->own)->json)
        put_event(r);
    else if (!d->cli->quiet)
        say(r);
    if (complete && r->ended_ms)
        run_hook(d, complete, r);
    if (alert && tg_scheduled_is_alarm(r))
        run_hook(d, alert, r);
}

static void on_trouble(void *ctx, const char *job, const struct tg_error *err)
{
    const struct daemon *d = ctx;

    fprintf(stderr, "%s: ", job);
    cli_report(d->cli, err);
}

/* ---- runs ---- */

static const char *const step_word[RUN_STEPS] = { [RUN_EXTRACT] = "extract",
                                                  [RUN_VALIDATE] = "validate",
                                                  [RUN_CLEANUP] = "cleanup" };

static tg_code start_step(const struct daemon *d, struct run *run, struct tg_error *err)
{
    const char *arg[] = { "run", d->cli->arg[1], "--job", run->job, "--step",
                          step_word[run->step], "--json", "--no-listen", "--progress", "none",
                          NULL };
    tg_code code;

    tg_buf_init(&run->out, OUT_MAX);
    tg_buf_init(&run->line, OUT_MAX);
    put_env(run->env, run->n_env);
    code = child_start(&run->child, arg, run->to_stdout ? CHILD_INHERIT : CHILD_READ, CHILD_READ,
                       err);
    take_env(run->env, run->n_env);
    return code;
}

/* What a run finds in its environment. */
static void fill_env(struct run *run, const struct tg_scheduled_run *r)
{
    struct env *env = run->env;
    char due[21] = "", from[21] = "", id[21] = "";
    size_t n = 0, k = 0;

    tg_time_utc(due, r->due_ms / 1000);
    for (size_t i = 0; due[i]; i++) /* fit for names: 20260101T020000Z */
        if (due[i] != '-' && due[i] != ':')
            id[k++] = due[i];
    TEXT("TGDATA_RUN_DUE", due);
    TEXT("TGDATA_RUN_ID", id);
    if (r->from_ms && tg_time_utc(from, r->from_ms / 1000)) {
        TEXT("TGDATA_RUN_FROM", from);
        TEXT("TGDATA_RUN_UNTIL", due);
    }
    NUMBER("TGDATA_RUN_ATTEMPT", r->attempt);
    if (r->until_next_ms >= 0)
        NUMBER("TGDATA_TIME_UNTIL_NEXT_RUN", r->until_next_ms / 1000);
    if (r->max_duration_ms)
        NUMBER("TGDATA_MAX_DURATION", r->max_duration_ms / 1000);
    if (r->rate_limit_remaining >= 0)
        NUMBER("TGDATA_RATE_LIMIT_REMAINING", r->rate_limit_remaining);
    if (r->batch_size)
        NUMBER("TGDATA_BATCH_SIZE", r->batch_size);
    run->n_env = n;
}

static tg_code on_start(void *ctx, const struct tg_scheduled_run *r, struct tg_error *err)
{
    struct daemon *d = ctx;
    const struct tg_config *config = r->job->accounts[0];
    struct run *run = d->n_runs < RUNS_MAX ? calloc(1, sizeof *run) : NULL;
    const char *to;
    tg_code code;

    if (!run)
        return tg_fail(err, TG_NOMEM, "no room for another run");
    for (size_t i = 0; (to = tg_config_item(config, "to", i)); i++)
        run->to_stdout |= strncmp(to, "stdout:", 7) == 0;
    snprintf(run->job, sizeof run->job, "%s", r->job->name);
    run->step = RUN_EXTRACT;
    fill_env(run, r);
    code = start_step(d, run, err);
    if (code == TG_OK)
        d->run[d->n_runs++] = run;
    else
        free(run);
    return code;
}

static void on_stop(void *ctx, const char *job, bool kill)
{
    struct daemon *d = ctx;

    for (size_t i = 0; i < d->n_runs; i++) {
        if (strcmp(d->run[i]->job, job) != 0)
            continue;
        d->run[i]->asked = true;
        child_signal(&d->run[i]->child, kill ? SIGKILL : SIGTERM);
    }
}

static void read_status(struct tg_json_in *in, struct tg_scheduled_result *r)
{
    struct tg_buf name;

    tg_buf_init(&name, 64);
    tg_json_take_str(in, &name);
    for (int c = 0; c < TG_CODE_COUNT; c++)
        if (strcmp(tg_code_name((tg_code)c), tg_buf_cstr(&name)) == 0)
            r->code = (tg_code)c;
    tg_buf_done(&name);
}

/* The first code that a program ends so with. */
static tg_code code_of(int exit_code)
{
    int c = TG_NOMEM;

    while (c < TG_CODE_COUNT && tg_code_exit((tg_code)c) != exit_code)
        c++;
    return c < TG_CODE_COUNT ? (tg_code)c : TG_INTERNAL;
}

/* Of jobs of changes they are told by kind. */
static uint64_t read_requests(struct tg_json_in *in)
{
    struct tg_str kind;
    uint64_t n = 0;

    if (*in->at != '{')
        return tg_json_take_u64(in);
    for (tg_json_enter(in, '{'); tg_json_next_key(in, &kind);)
        n += tg_json_take_u64(in);
    return n;
}

/* What the run's summary tells. */
static void read_summary(const struct run *run, struct tg_scheduled_result *r)
{
    struct tg_json_in in;
    struct tg_str key;

    tg_json_in_init(&in, (const char *)run->out.data, run->out.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        char number[32] = "";
        const char *at = in.at;

        if (tg_str_eq(key, TG_STR("status"))) {
            read_status(&in, r);
            continue;
        }
        if (tg_str_eq(key, TG_STR("requests"))) {
            r->requests = read_requests(&in);
            continue;
        }
        tg_json_skip(&in);
        snprintf(number, sizeof number, "%.*s", (int)TG_MIN(in.at - at, 31), at);
        if (tg_str_eq(key, TG_STR("rows")) || tg_str_eq(key, TG_STR("changes_detected")))
            r->rows = strtoull(number, NULL, 10);
        else if (tg_str_eq(key, TG_STR("flood_wait_s")))
            r->flood_ms = (int64_t)(strtod(number, NULL) * 1000);
        else if (tg_str_eq(key, TG_STR("retry_after_s")))
            r->flood_left_ms = (int64_t)(strtod(number, NULL) * 1000);
    }
}

/* Nothing but a change of what is asked for helps after these: usage, nothing found, refused, not
 * logged in, a difference. */
static bool may_help(int exit_code)
{
    return exit_code != 2 && exit_code != 3 && exit_code != 4 && exit_code != 5 && exit_code != 10;
}

/* The next step of a run that has done one well; RUN_STEPS: it is at its end. */
static enum run_step next_step(const struct daemon *d, const struct run *run)
{
    const struct tg_config_job *job = find_job(d->file, run->job);
    enum run_step next = run->step + 1;

    while (next < RUN_STEPS && !(job && run_has_step(job, next)))
        next++;
    return next;
}

/* Takes in how a step has ended. */
static void end_step(struct run *run)
{
    struct tg_scheduled_result *r = &run->result;
    int exit_code = child_wait(&run->child);

    r->ok = exit_code == 0;
    r->stopped = exit_code && run->asked;
    r->again = may_help(exit_code);
    if (run->step == RUN_EXTRACT)
        read_summary(run, r);
    else if (exit_code)
        r->step = step_word[run->step];
    if (exit_code && r->code == TG_OK)
        r->code = code_of(exit_code);
    if (exit_code && !run->error[0])
        snprintf(run->error, sizeof run->error, "it has ended with %s %d",
                 exit_code > 130 ? "signal" : "exit code",
                 exit_code > 130 ? exit_code - 128 : exit_code);
    child_done(&run->child);
    tg_buf_done(&run->out);
    tg_buf_done(&run->line);
}

/* @return whether the run goes on with a step; else its result tells how it has ended */
static bool go_on(const struct daemon *d, struct run *run)
{
    struct tg_scheduled_result *r = &run->result;
    enum run_step next = next_step(d, run);
    struct tg_error err;

    if (!r->ok || next == RUN_STEPS)
        return false;
    run->step = next;
    if (!run->asked && start_step(d, run, &err) == TG_OK)
        return true;
    *r = (struct tg_scheduled_result){ .rows = r->rows, .requests = r->requests,
                                       .flood_ms = r->flood_ms, .stopped = run->asked,
                                       .again = true, .step = step_word[next],
                                       .code = run->asked ? TG_CANCELLED : err.code };
    snprintf(run->error, sizeof run->error, "%s", run->asked ? "it was stopped" : err.message);
    return false;
}

static void end_run(struct daemon *d, size_t i)
{
    struct run *run = d->run[i];

    end_step(run);
    if (go_on(d, run))
        return;
    run->result.error = run->result.ok ? NULL : run->error;
    d->run[i] = d->run[--d->n_runs];
    tg_scheduler_ended(d->scheduler, run->job, &run->result);
    free(run);
}

/* Passes on whole lines that a run says; the last one of an error is kept. */
static void pass_on(struct run *run)
{
    for (;;) {
        uint8_t *end = run->line.len ? memchr(run->line.data, '\n', run->line.len) : NULL;
        const char *text = (const char *)run->line.data;
        static const char begins[] = "tgdata run: ";

        if (!end)
            return;
        *end = 0;
        if (strncmp(text, begins, strlen(begins)) == 0)
            snprintf(run->error, sizeof run->error, "%s", text + strlen(begins));
        fprintf(stderr, "%s: %s\n", run->job, text);
        tg_buf_shift(&run->line, (size_t)(end - run->line.data) + 1);
    }
}

/* @return false at the end of the pipe */
static bool read_pipe(int fd, struct tg_buf *to)
{
    uint8_t block[BLOCK];
    ssize_t n = read(fd, block, sizeof block);

    if (n > 0 && to->len + (size_t)n < OUT_MAX)
        tg_buf_add(to, block, (size_t)n);
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static void shut(int *fd)
{
    close(*fd);
    *fd = -1;
}

/* Waits for a run to say something or to end. */
static void wait_for(struct daemon *d, int64_t wait_ms)
{
    static struct pollfd fd[2 * RUNS_MAX];
    size_t n = 0;

    if (wait_ms < 0 || wait_ms > TURN_MS)
        wait_ms = TURN_MS; /* a signal between two looks is seen then */
    if (d->n_hooks && wait_ms > HOOK_TURN_MS)
        wait_ms = HOOK_TURN_MS;
    for (size_t i = 0; i < d->n_runs; i++) {
        const struct child *c = &d->run[i]->child;

        fd[n++] = (struct pollfd){ .fd = c->fd, .events = POLLIN };
        fd[n++] = (struct pollfd){ .fd = c->fd_err, .events = POLLIN };
    }
    if (poll(fd, n, (int)wait_ms) <= 0)
        return;
    for (size_t i = d->n_runs; i-- > 0;) {
        struct run *run = d->run[i];
        struct child *c = &run->child;
        bool only_err = c->fd_err == -1; /* stdout goes elsewhere, fd is its stderr */

        if (fd[2 * i].fd >= 0 && fd[2 * i].revents &&
            !read_pipe(c->fd, only_err ? &run->line : &run->out))
            shut(&c->fd);
        if (fd[2 * i + 1].fd >= 0 && fd[2 * i + 1].revents && !read_pipe(c->fd_err, &run->line))
            c->fd_err = (close(c->fd_err), -2); /* at its end, which is not "none" */
        pass_on(run);
        if (c->fd < 0 && c->fd_err < 0)
            end_run(d, i);
    }
}

static void reap_hooks(struct daemon *d)
{
    for (size_t i = d->n_hooks; i-- > 0;) {
        if (!child_ended(&d->hook[i]))
            continue;
        child_wait(&d->hook[i]);
        child_done(&d->hook[i]);
        d->hook[i] = d->hook[--d->n_hooks];
    }
}

/* ---- the program ---- */

static void reload(struct daemon *d)
{
    struct tg_config_file *file;
    struct tg_error err;
    tg_code code = cli_load_file(d->cli, d->cli->arg[1], &file, &err);

    if (code == TG_OK) {
        code = tg_scheduler_reload(&d->scheduler, file, &err);
        if (code != TG_OK)
            tg_config_file_free(file);
    }
    if (code != TG_OK) {
        cli_report(d->cli, &err); /* and all goes on as it is */
        return;
    }
    if (d->observer)
        tg_observer_jobs(d->observer, file);
    tg_config_file_free(d->file);
    d->file = file;
    if (!d->cli->quiet)
        fprintf(stderr, "%s was read again\n", d->cli->arg[1]);
}

static void run_down(struct daemon *d)
{
    tg_scheduler_drain(d->scheduler);
    for (size_t i = 0; i < d->n_runs; i++) {
        d->run[i]->asked = true;
        child_signal(&d->run[i]->child, SIGTERM);
    }
    while (d->n_runs) {
        tg_scheduler_step(d->scheduler); /* renews leases */
        wait_for(d, TURN_MS);
    }
    for (size_t i = 0; i < d->n_hooks; i++)
        child_wait(&d->hook[i]); /* hooks are let end */
    reap_hooks(d);
}

static tg_code run_file(struct cli *cli, const struct tg_scheduled_backfill *backfill,
                        struct tg_error *err)
{
    struct daemon *d = calloc(1, sizeof *d);
    struct tg_scheduler_hooks hooks = { on_start, on_stop, on_told, on_trouble, d, NULL };
    int64_t wait_ms = 0;
    tg_code code;

    if (!d)
        return tg_fail(err, TG_NOMEM, "no memory for a scheduler");
    d->cli = cli;
    code = cli_load_file(cli, cli->arg[1], &d->file, err);
    if (code == TG_OK && tg_config_file_warnings(d->file)) {
        code = tg_fail(err, TG_UNSUPPORTED, "'%.200s' asks for what this build cannot do",
                       cli->arg[1]);
        tg_hint(err, "see the warnings above");
    }
    if (code == TG_OK && !backfill)
        code = cli_listen_as(cli, d->file, err);
    if (code == TG_OK)
        code = cli_open_page(cli, d->file, NULL, &d->observer, err);
    hooks.observer = d->observer;
    if (code == TG_OK)
        code = tg_scheduler_new(d->file, &hooks, backfill, &d->scheduler, err);
    if (code == TG_OK) {
        term_watch_hangup();
        cli_tell_observer(cli, d->observer);
        while (!term_stopped() && (wait_ms = tg_scheduler_step(d->scheduler)) >= 0) {
            wait_for(d, wait_ms);
            reap_hooks(d);
            if (!backfill && term_hung_up())
                reload(d);
        }
        run_down(d);
    }
    tg_scheduler_free(d->scheduler);
    cli_close_observer(cli, d->observer);
    tg_config_file_free(d->file);
    free(d);
    return code;
}

tg_code schedule_run(struct cli *cli, struct tg_error *err)
{
    return run_file(cli, NULL, err);
}

tg_code schedule_backfill(struct cli *cli, struct tg_error *err)
{
    const struct schedule_own *own = cli->own;
    struct tg_scheduled_backfill b = { .job = own->job, .from_ms = own->from_s * 1000,
                                       .until_ms = own->until_s * 1000, .all = own->all };

    if (!own->job || !own->from_s) {
        tg_fail(err, TG_USAGE, "a backfill is of one job, from a time on");
        return tg_hint(err, "say which: --job NAME --from 2026-11-01 --until 2026-11-05");
    }
    return run_file(cli, &b, err);
}
