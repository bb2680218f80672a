/* SPDX-License-Identifier: MIT */
/*
 * scheduler_check.c - the steps of a run: what has to be there before it, and where it has failed
 */
#include <stdio.h>
#include <sys/statvfs.h>

#include "etl/scheduler_impl.h"
#include "source/account_impl.h"

/* Room where a destination of files writes, or will: the nearest directory above that is there. */
static tg_code check_room(const char *path, int64_t bytes, struct tg_error *err)
{
    char at[1024];
    struct statvfs fs;
    double free_bytes;

    snprintf(at, sizeof at, "%s", *path ? path : ".");
    while (statvfs(at, &fs) < 0) {
        char *slash = strrchr(at, '/');

        if (!slash || slash == at) {
            snprintf(at, sizeof at, "%s", slash ? "/" : ".");
            if (statvfs(at, &fs) < 0)
                return TG_OK; /* who writes there will tell */
            break;
        }
        *slash = 0;
    }
    free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    if (free_bytes >= (double)bytes)
        return TG_OK;
    tg_fail(err, TG_FULL, "%.0f MB are free in '%.100s', and a run needs %.0f MB", free_bytes / 1e6,
            at, (double)bytes / 1e6);
    return tg_hint(err, "make room, or change min_free_space");
}

/* Whether somebody is logged in there, as far as the file tells: its key may have been revoked. */
static tg_code check_session(const struct tg_account_settings *a, struct tg_error *err)
{
    tg_code code;

    if (a->import || strchr(a->session, ','))
        return TG_OK; /* the run makes it; or several, which it will find */
    code = tg_account_look(a->session, a->passphrase != NULL, err);
    if (code == TG_AUTH)
        tg_hint(err, "log in with: tgdata login --session %.100s", a->session);
    return code;
}

static tg_code check_destination(const char *to, int64_t bytes, struct tg_error *err)
{
    static const char *const files[] = { "ndjson:", "csv:", "parquet:", "sqlite:", "duckdb:" };

    for (size_t i = 0; i < TG_COUNT(files); i++) {
        char path[1024];
        size_t len = strlen(files[i]);

        if (strncmp(to, files[i], len) != 0)
            continue;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(to + len, "?"), to + len);
        return check_room(path, bytes, err);
    }
    return TG_OK;
}

tg_code tg_sched_prerequisites(const struct tg_sched_job *j, struct tg_error *err)
{
    const struct tg_option_list *to = &j->job->accounts[0]->extract.destinations;
    int64_t bytes = j->conf->free_space_bytes;
    tg_code code = bytes ? check_room(".", bytes, err) : TG_OK;

    for (size_t i = 0; !j->job->no_account && i < j->job->n_accounts && code == TG_OK; i++)
        code = check_session(&j->job->accounts[i]->account, err);
    for (size_t i = 0; bytes && i < to->n && code == TG_OK; i++)
        code = check_destination(to->item[i], bytes, err);
    return code;
}

const char *tg_sched_step(tg_code code)
{
    static const struct {
        int exit_code; /* what codes have in common */
        const char *step;
    } row[] = { { 2, TG_STEP_CHECK },  { 4, TG_STEP_CHECK }, { 5, TG_STEP_CHECK },
                { 7, TG_STEP_LOAD },   { 8, TG_STEP_LOAD },  { 9, TG_STEP_CHECK },
                { 10, TG_STEP_VALIDATE } };

    if (code == TG_DATA) /* a row breaks a rule */
        return TG_STEP_VALIDATE;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        if (row[i].exit_code == tg_code_exit(code))
            return row[i].step;
    return TG_STEP_EXTRACT;
}

int64_t tg_sched_put_off(int64_t due_ms, int64_t now_ms, int64_t catch_up_ms)
{
    const int64_t hour_ms = 3600000;
    int64_t until_ms = (now_ms / hour_ms + 1) * hour_ms;

    return now_ms < due_ms + hour_ms && until_ms <= due_ms + catch_up_ms ? until_ms : 0;
}
