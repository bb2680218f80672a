/* SPDX-License-Identifier: MIT */
/*
 * run_after.c - the steps of `tgdata run` behind a job's rows: are they complete, what is kept of
 *               the job's state
 */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/run.h"
#include "cli/verify.h"

enum { PATH_BYTES = 1024 };

static bool validates(const struct tg_config *c)
{
    return tg_config_flag(c, "verify");
}

static tg_code validate(struct cli *cli, const struct tg_config_job *job, bool json,
                        struct tg_error *err)
{
    struct verify_own own = { .json = json, .offline = job->no_account,
                              .state = tg_config_text(cli->config, "state"),
                              .job = tg_config_text(cli->config, "job"),
                              .media = tg_config_text(cli->config, "media") };

    cli->own = &own;
    return verify_run(cli, err);
}

static bool cleans_up(const struct tg_config *c)
{
    return tg_config_text(c, "archive-checkpoints") != NULL;
}

/* Keeps the job's state with all versions of its checkpoints: the next run drops old ones. */
static tg_code clean_up(struct cli *cli, const struct tg_config_job *of, bool json,
                        struct tg_error *err)
{
    const char *dir = tg_config_text(cli->config, "archive-checkpoints");
    const char *job = tg_config_text(cli->config, "job");
    struct tg_state_result r;
    struct timespec now;
    struct tm utc;
    char at[32], path[PATH_BYTES];
    tg_code code;

    (void)of, (void)json;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(at, sizeof at, "%Y%m%dT%H%M%S", &utc);
    if ((size_t)snprintf(path, sizeof path, "%s/%s-%s.%03ldZ.state", dir, job, at,
                         now.tv_nsec / 1000000) >= sizeof path)
        return tg_fail(err, TG_USAGE, "archive_checkpoints: the path is too long");
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return tg_fail(err, TG_IO, "could not make the directory '%.200s'", dir);
    code = tg_state_backup(tg_config_text(cli->config, "state"), path, job, &r, err);
    if (code == TG_OK && !cli->quiet)
        cli_tell(cli, TG_LOG_INFO, "the state of job %s is kept in %s", job, path);
    return code;
}

static const struct {
    enum run_step step;
    bool (*wanted)(const struct tg_config *c);
    tg_code (*run)(struct cli *cli, const struct tg_config_job *job, bool json,
                   struct tg_error *err);
} after[] = { { RUN_VALIDATE, validates, validate }, { RUN_CLEANUP, cleans_up, clean_up } };

/* A verification has neither rows nor state of its own. */
static bool asks_for(const struct tg_config_job *job, size_t i)
{
    return job->pattern != TG_PATTERN_VERIFY && after[i].wanted(job->accounts[0]);
}

bool run_has_step(const struct tg_config_job *job, enum run_step step)
{
    bool has = step == RUN_EXTRACT;

    for (size_t i = 0; i < TG_COUNT(after); i++)
        has = has || (after[i].step == step && asks_for(job, i));
    return has;
}

tg_code run_after(const struct cli *cli, const struct tg_config_job *job, enum run_step step,
                  bool json, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; i < TG_COUNT(after) && code == TG_OK; i++) {
        struct cli one = *cli;

        if ((step != RUN_ALL && step != after[i].step) || !asks_for(job, i))
            continue;
        one.config = job->accounts[0];
        code = after[i].run(&one, job, json, err);
    }
    return code;
}
