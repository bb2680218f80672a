/* SPDX-License-Identifier: MIT */
/*
 * cmd_run.c - tgdata run: the jobs of a configuration file
 *
 * A job is run as the command of its pattern would: with its config, its chats as arguments, and
 * its accounts.
 */
#include <stdlib.h>

#include "cli/changes.h"
#include "cli/file.h"
#include "cli/run.h"
#include "cli/term.h"
#include "cli/transform.h"
#include "cli/verify.h"

struct own {
    const char *job;
    bool json, no_listen;
    int64_t progress, step;
};

static const struct tg_option options[] = {
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, job),
      .value = "NAME",
      .help = "only the job of that name" },
    { .name = "step",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct own, step),
      .fallback = "all",
      .choices = RUN_STEP_WORDS,
      .value = "WHICH",
      .help = "only that step of each job: its rows; whether they are complete (of jobs with "
              "verify: true); what is kept of its state (with archive_checkpoints)" },
    { .name = "no-listen",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, no_listen),
      .help = "do not listen, whatever the file says: for several runs at the same time" },
    CLI_PROGRESS_OPTION(struct own, progress),
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "print the summary of each job on stdout as a JSON object (on stderr if its rows go "
              "to stdout)" },
    { 0 },
};

static void on_mistake(void *ctx, const struct tg_config_mistake *m)
{
    (void)ctx;
    fprintf(stderr, "%s:%u:%u: %s%s%s%s\n", m->path, m->line, m->column,
            m->warning ? "warning: " : "", m->message, m->hint[0] ? "; " : "", m->hint);
}

tg_code cli_load_file(const struct cli *cli, const char *path, struct tg_config_file **ret,
                      struct tg_error *err)
{
    (void)cli;
    return tg_config_file_load(path, on_mistake, NULL, ret, err);
}

/* ---- SIGHUP ---- */

/* What is run: a file, and another one in its place once the job at work has ended. */
struct jobs {
    struct cli *cli;
    struct tg_config_file *file, *next;
    const struct tg_config_job *now;
    bool again;        /* the job at work begins again */
    struct names {
        char **name;   /* of jobs that were run */
        size_t n;
    } done;
};

static tg_code take_listen(const struct tg_config_file *file, struct tg_error *err)
{
    const struct tg_config_job *job;
    tg_code code = TG_OK;

    for (size_t i = 0; (job = tg_config_file_job(file, i)); i++)
        for (size_t k = 0; code == TG_OK && k < job->n_accounts; k++)
            code = tg_config_set(job->accounts[k], "listen", "", err);
    return code;
}

static tg_code load(const struct cli *cli, struct tg_config_file **ret, struct tg_error *err)
{
    tg_code code = cli_load_file(cli, cli->arg[0], ret, err);

    if (code != TG_OK)
        return code;
    if (!tg_config_file_job(*ret, 0)) {
        code = tg_fail(err, TG_USAGE, "there is no job in '%.200s'", cli->arg[0]);
        tg_hint(err, "add one: jobs: [{name: NAME, chats: all, to: \"ndjson:out\"}]");
    } else if (tg_config_file_warnings(*ret)) {
        code = tg_fail(err, TG_UNSUPPORTED, "'%.200s' asks for what this build cannot do",
                       cli->arg[0]);
        tg_hint(err, "see the warnings above");
    } else if (((const struct own *)cli->own)->no_listen) {
        code = take_listen(*ret, err);
    }
    if (code != TG_OK)
        tg_config_file_free(*ret);
    return code;
}

static const struct tg_config_job *job_of(const struct tg_config_file *file, const char *name)
{
    const struct tg_config_job *job;

    for (size_t i = 0; (job = tg_config_file_job(file, i)); i++)
        if (strcmp(job->name, name) == 0)
            return job;
    return NULL;
}

/* A file that is wrong changes nothing. */
static bool at_hangup(void *ctx, unsigned *workers)
{
    struct jobs *jobs = ctx;
    const struct tg_config_job *job;
    struct tg_config_file *file;
    struct tg_error err;

    *workers = jobs->now->workers;
    if (load(jobs->cli, &file, &err) != TG_OK) {
        cli_report(jobs->cli, &err);
        return true;
    }
    tg_config_file_free(jobs->next);
    jobs->next = file;
    job = job_of(file, jobs->now->name);
    jobs->again = job && !tg_config_job_same(job, jobs->now);
    if (job)
        *workers = job->workers;
    if (!jobs->cli->quiet && (jobs->again || !job))
        cli_tell(jobs->cli, TG_LOG_INFO, "job %s %s", jobs->now->name,
                 job ? "begins again: its settings have changed" : "ends: the file has it no more");
    return job && !jobs->again;
}

/* ---- one job ---- */

/* Chats are arguments of the commands that read them. */
static tg_code give_chats(struct cli *one, const struct tg_config_job *job, struct tg_error *err)
{
    one->arg = calloc(job->n_chats + 1, sizeof *one->arg);
    if (!one->arg)
        return tg_fail(err, TG_NOMEM, "no memory for the chats of a job");
    for (one->n_args = 0; one->n_args < job->n_chats; one->n_args++)
        one->arg[one->n_args] = job->chats[one->n_args];
    return TG_OK;
}

static tg_code run_batch(struct cli *one, const struct jobs *jobs, const struct run_reload *reload,
                         struct tg_error *err)
{
    static const struct tg_worker_options as_set = { 0 };
    const struct own *own = jobs->cli->own;
    struct run_own batch = { .json = own->json, .progress = own->progress, .job = jobs->now,
                             .reload = *reload };

    one->own = &batch;
    return run_extraction(one, jobs->now->pattern == TG_PATTERN_WORKER ? &as_set : NULL, err);
}

static tg_code run_changes(struct cli *one, const struct jobs *jobs,
                           const struct run_reload *reload, struct tg_error *err)
{
    const struct own *own = jobs->cli->own;
    struct changes_own changes = { .json = own->json, .progress = own->progress,
                                   .reload = *reload };

    one->own = &changes;
    return changes_run(one, jobs->now->pattern == TG_PATTERN_DELTA, err);
}

static tg_code run_transform(struct cli *one, const struct jobs *jobs,
                             const struct run_reload *reload, struct tg_error *err)
{
    const struct own *own = jobs->cli->own;
    struct transform_own transform = { .from_job = jobs->now->from_job,
                                       .chat = { one->arg, one->n_args },
                                       .json = own->json, .progress = own->progress,
                                       .reload = *reload };
    const char *from[] = { jobs->now->from };

    one->own = &transform;
    one->arg = from;
    one->n_args = 1;
    return transform_run(one, err);
}

static tg_code run_verify(struct cli *one, const struct jobs *jobs,
                          const struct run_reload *reload, struct tg_error *err)
{
    const struct own *own = jobs->cli->own;
    struct verify_own verify = { .json = own->json, .offline = jobs->now->offline,
                                 .state = tg_config_text(one->config, "state"),
                                 .job = jobs->now->of,
                                 .media = tg_config_text(one->config, "media"),
                                 .reload = *reload };

    one->own = &verify;
    one->n_args = 0;
    return verify_run(one, err);
}

static tg_code run_job(struct jobs *jobs, struct tg_error *err)
{
    static tg_code (*const run[TG_PATTERN_COUNT])(struct cli *one, const struct jobs *jobs,
                                                  const struct run_reload *reload,
                                                  struct tg_error *err) = {
        [TG_PATTERN_BATCH] = run_batch,         [TG_PATTERN_STREAM] = run_changes,
        [TG_PATTERN_DELTA] = run_changes,       [TG_PATTERN_TRANSFORM] = run_transform,
        [TG_PATTERN_VERIFY] = run_verify,       [TG_PATTERN_WORKER] = run_batch,
    };
    const struct tg_config_job *job = jobs->now;
    const struct run_reload reload = { at_hangup, jobs };
    struct cli *cli = jobs->cli, one;
    const char **chats;
    tg_code code = cli_open_log(cli, job->accounts[0], err);

    if (code != TG_OK)
        return code;
    one = *cli;
    one.config = job->accounts[0];
    code = give_chats(&one, job, err);
    chats = one.arg;
    if (!cli->quiet && code == TG_OK)
        cli_tell(cli, TG_LOG_INFO, "job %s (%s)", job->name, tg_pattern_name(job->pattern));
    if (code == TG_OK)
        code = run[job->pattern](&one, jobs, &reload, err);
    free(chats);
    return code;
}

/* ---- the jobs ---- */

static tg_code no_such_job(const struct tg_config_file *file, const char *name,
                           struct tg_error *err)
{
    const struct tg_config_job *job;
    size_t len = 0;

    tg_fail(err, TG_NOT_FOUND, "there is no job '%.64s' in the file", name);
    for (size_t i = 0; (job = tg_config_file_job(file, i)) && len < sizeof err->hint; i++)
        len += (size_t)snprintf(err->hint + len, sizeof err->hint - len, "%s%s",
                                i ? ", " : "there are: ", job->name);
    return err->code;
}

static bool is_done(const struct names *done, const char *name)
{
    size_t i = 0;

    while (i < done->n && strcmp(done->name[i], name) != 0)
        i++;
    return i < done->n;
}

static tg_code note_done(struct names *done, const char *name, struct tg_error *err)
{
    char **more = reallocarray(done->name, done->n + 1, sizeof *more);

    if (more)
        done->name = more;
    if (!more || !(more[done->n] = strdup(name)))
        return tg_fail(err, TG_NOMEM, "no memory for the jobs of a file");
    done->n++;
    return TG_OK;
}

/* Whether a job that is still to be run has to come before this one. */
static bool has_to_wait(const struct jobs *jobs, const struct tg_config_job *job)
{
    const char *other = job->reads;

    for (size_t i = 0;; i++) {
        if (other && !is_done(&jobs->done, other))
            return true;
        if (!(other = tg_config_item(job->accounts[0], "after", i)))
            return false;
    }
}

/* The first of the file that can be run now; checked is that they do not wait for one another. */
static const struct tg_config_job *next_job(const struct jobs *jobs)
{
    const struct own *own = jobs->cli->own;
    const struct tg_config_job *job;

    if (own->job)
        return is_done(&jobs->done, own->job) ? NULL : job_of(jobs->file, own->job);
    for (size_t i = 0; (job = tg_config_file_job(jobs->file, i)); i++)
        if (!is_done(&jobs->done, job->name) && !has_to_wait(jobs, job))
            break;
    return job;
}

/* Runs one; what SIGHUP has brought then counts. */
static tg_code run_next(struct jobs *jobs, struct tg_error *err)
{
    const struct own *own = jobs->cli->own;
    enum run_step step = (enum run_step)own->step;
    tg_code code = step <= RUN_EXTRACT ? run_job(jobs, err) : TG_OK;
    bool ended = jobs->next && (jobs->again || !job_of(jobs->next, jobs->now->name));

    if (ended && code == TG_CANCELLED && !term_stopped())
        code = TG_OK; /* by us */
    if (code == TG_OK && !ended)
        code = run_after(jobs->cli, jobs->now, step, own->json, err);
    if (code == TG_OK && !jobs->again)
        code = note_done(&jobs->done, jobs->now->name, err);
    if (jobs->next) {
        tg_config_file_free(jobs->file);
        jobs->file = jobs->next;
        jobs->next = NULL;
    }
    jobs->again = false;
    return code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct jobs jobs = { .cli = cli };
    tg_code code = load(cli, &jobs.file, err);

    if (code != TG_OK)
        return code;
    if (own->job && !job_of(jobs.file, own->job))
        code = no_such_job(jobs.file, own->job, err);
    while (code == TG_OK && !term_stopped() && (jobs.now = next_job(&jobs)))
        code = run_next(&jobs, err);
    for (size_t i = 0; i < jobs.done.n; i++)
        free(jobs.done.name[i]);
    free(jobs.done.name);
    tg_config_file_free(jobs.file);
    return code;
}

const struct cli_command cmd_run = {
    .name = "run",
    .help = "run the jobs of a configuration file",
    .usage = "FILE [--job NAME] [OPTIONS]",
    .about = "Checks the whole file, then runs its jobs one after the other: a batch as tgdata "
             "extract does, and so with stream, delta, transform, verify and worker; a job that "
             "reads the rows of another, or names it in after, comes behind it. A job that fails "
             "ends the run; the same command goes on behind the last commit. At SIGHUP the file "
             "is read again: a batch takes its number of workers from it, a job whose other "
             "settings have changed ends where it stands and begins again with them. A job with "
             "verify: true is then verified, and the state of one with archive_checkpoints kept; "
             "--step does one of these alone.",
    .examples = "  tgdata run etl.yaml\n"
                "  tgdata run etl.yaml --job nightly --json\n",
    .option = options,
    .size = sizeof(struct own),
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
