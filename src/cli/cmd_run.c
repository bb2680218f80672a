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

struct own {
    const char *job;
    bool json;
    int64_t progress;
};

static const struct tg_option options[] = {
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, job),
      .value = "NAME",
      .help = "only the job of that name" },
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

/* ---- one job ---- */

/* The number of workers that the file says now, for a run that is told to look again. */
static tg_code workers_now(void *ctx, unsigned *ret, struct tg_error *err)
{
    const struct cli *cli = ctx;
    struct tg_config_file *file;
    const struct tg_config_job *job;
    tg_code code = cli_load_file(cli, cli->arg[0], &file, err);

    if (code != TG_OK)
        return code;
    code = TG_NOT_FOUND;
    for (size_t i = 0; code != TG_OK && (job = tg_config_file_job(file, i)); i++) {
        if (strcmp(job->name, ((const struct own *)cli->own)->job) != 0)
            continue;
        *ret = job->workers;
        code = TG_OK;
    }
    tg_config_file_free(file);
    return code == TG_OK ? TG_OK : tg_fail(err, code, "the job is no longer in the file");
}

static tg_code run_job(struct cli *cli, const struct tg_config_job *job, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct own now = { .job = job->name };
    tg_code code = cli_open_log(cli, job->accounts[0], err);
    struct cli file = *cli, one = *cli;
    struct run_own batch = { .json = own->json, .progress = own->progress, .job = job,
                             .workers_now = workers_now, .ctx = &file };
    struct changes_own changes = { .json = own->json, .progress = own->progress };
    bool is_batch = job->pattern == TG_PATTERN_BATCH;

    if (code != TG_OK)
        return code;
    file.own = &now;
    one.config = job->accounts[0];
    one.own = is_batch ? (void *)&batch : (void *)&changes;
    one.arg = calloc(job->n_chats + 1, sizeof *one.arg);
    if (!one.arg)
        return tg_fail(err, TG_NOMEM, "no memory for the chats of a job");
    for (one.n_args = 0; one.n_args < job->n_chats; one.n_args++)
        one.arg[one.n_args] = job->chats[one.n_args];
    if (!cli->quiet)
        cli_tell(cli, TG_LOG_INFO, "job %s (%s)", job->name, tg_pattern_name(job->pattern));
    code = is_batch ? run_extraction(&one, NULL, err)
                    : changes_run(&one, job->pattern == TG_PATTERN_DELTA, err);
    free(one.arg);
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

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_config_file *file;
    const struct tg_config_job *job;
    size_t n_run = 0;
    tg_code code = cli_load_file(cli, cli->arg[0], &file, err);

    if (code != TG_OK)
        return code;
    if (!tg_config_file_job(file, 0)) {
        tg_fail(err, TG_USAGE, "there is no job in '%.200s'", cli->arg[0]);
        tg_hint(err, "add one: jobs: [{name: NAME, chats: all, to: \"ndjson:out\"}]");
        code = TG_USAGE;
    } else if (tg_config_file_warnings(file)) {
        code = tg_fail(err, TG_UNSUPPORTED, "'%.200s' asks for what this build cannot do",
                       cli->arg[0]);
        tg_hint(err, "see the warnings above");
    }
    for (size_t i = 0; code == TG_OK && (job = tg_config_file_job(file, i)); i++) {
        if (own->job && strcmp(own->job, job->name) != 0)
            continue;
        code = run_job(cli, job, err);
        n_run++;
    }
    if (code == TG_OK && !n_run)
        code = no_such_job(file, own->job, err);
    tg_config_file_free(file);
    return code;
}

const struct cli_command cmd_run = {
    .name = "run",
    .help = "run the jobs of a configuration file",
    .usage = "FILE [--job NAME] [OPTIONS]",
    .about = "Checks the whole file, then runs its jobs one after the other: a batch as tgdata "
             "extract does, a stream as tgdata stream, a delta as tgdata delta. A job that fails "
             "ends the run; the same command goes on behind the last commit. At SIGHUP the file "
             "is read again and a batch takes its number of workers from it.",
    .examples = "  tgdata run etl.yaml\n"
                "  tgdata run etl.yaml --job nightly --json\n",
    .option = options,
    .size = sizeof(struct own),
    .args_min = 1,
    .args_max = 1,
    .run = run,
};
