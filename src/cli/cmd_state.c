/* SPDX-License-Identifier: MIT */
/*
 * cmd_state.c - tgdata state list | copy | backup | restore
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"

enum { OUTPUT_MAX = 64 << 20 };

struct own {
    bool json, keep;
    const char *job;
};

static const struct tg_option options[] = {
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, job),
      .value = "NAME",
      .help = "only this job; without it all" },
    { .name = "keep",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, keep),
      .help = "copy: the job can be run at FROM as well; run it at one place only" },
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "print JSON" },
    { 0 },
};

/* A store's URL as it was given, or "env:NAME" for one that holds a password. */
static tg_code take_url(const char *word, const char **ret, struct tg_error *err)
{
    if (strncmp(word, "env:", 4) != 0) {
        *ret = word;
        return TG_OK;
    }
    *ret = getenv(word + 4);
    if (*ret && **ret)
        return TG_OK;
    tg_fail(err, TG_USAGE, "the environment has no %.64s", word + 4);
    return tg_hint(err, "export %.64s=redis://:PASSWORD@HOST", word + 4);
}

/* ---- list ---- */

struct listing {
    bool json;
    struct tg_buf out;
    struct tg_json j;
};

static void put_json(struct tg_json *j, const struct tg_state_job *job)
{
    tg_json_object(j);
    tg_json_key(j, "job"), tg_json_cstr(j, job->job);
    tg_json_key(j, "chats"), tg_json_u64(j, job->chats);
    tg_json_key(j, "documents"), tg_json_u64(j, job->documents);
    tg_json_key(j, "entries"), tg_json_u64(j, job->entries);
    tg_json_key(j, "changed");
    if (job->changed_us)
        tg_json_time(j, job->changed_us / 1000000);
    else
        tg_json_null(j);
    tg_json_key(j, "owner"), tg_json_cstr(j, job->owner);
    tg_json_key(j, "moved_to"), tg_json_cstr(j, job->moved);
    tg_json_end_object(j);
}

static bool on_job(void *ctx, const struct tg_state_job *job)
{
    struct listing *l = ctx;
    char changed[21] = "-";

    if (l->json) {
        put_json(&l->j, job);
        return !l->out.failed;
    }
    if (job->changed_us)
        tg_time_utc(changed, job->changed_us / 1000000);
    tg_buf_printf(&l->out, "%-20s %9llu %9llu %9llu  %-20s  ", job->job,
                  (unsigned long long)job->chats, (unsigned long long)job->documents,
                  (unsigned long long)job->entries, changed);
    tg_buf_str(&l->out, job->moved ? "moved to " : job->owner ? "run by " : "-");
    cli_clean(&l->out, job->moved ? job->moved : job->owner ? job->owner : "", 120);
    tg_buf_byte(&l->out, '\n');
    return !l->out.failed;
}

static tg_code list(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct listing l = { .json = own->json };
    const char *url = NULL;
    tg_code code = take_url(cli->arg[1], &url, err);

    tg_buf_init(&l.out, OUTPUT_MAX);
    tg_json_init(&l.j, &l.out);
    if (l.json)
        tg_json_array(&l.j);
    else
        tg_buf_printf(&l.out, "%-20s %9s %9s %9s  %-20s  %s\n", "JOB", "CHATS", "DOCUMENTS",
                      "ENTRIES", "CHANGED", "STATE");
    if (code == TG_OK)
        code = tg_state_list(url, on_job, &l, err);
    if (l.json)
        tg_json_end_array(&l.j);
    else
        l.out.len--; /* cli_print ends the last line */
    if (code == TG_OK)
        code = cli_print(&l.out, err);
    tg_buf_done(&l.out);
    return code;
}

/* ---- copy, backup, restore ---- */

static tg_code tell(const struct cli *cli, const struct tg_state_result *r, const char *done,
                    bool to_store, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_json j;
    struct tg_buf out;
    tg_code code;

    tg_buf_init(&out, 4096);
    if (own->json) {
        tg_json_init(&j, &out);
        tg_json_object(&j);
        tg_json_key(&j, "jobs"), tg_json_u64(&j, r->jobs);
        tg_json_key(&j, "documents"), tg_json_u64(&j, r->documents);
        tg_json_key(&j, "versions"), tg_json_u64(&j, r->versions);
        tg_json_key(&j, "entries"), tg_json_u64(&j, r->entries);
        tg_json_key(&j, "written"), tg_json_u64(&j, r->written);
        tg_json_end_object(&j);
    } else if (!r->jobs) { /* by a copy that was made, or cut off, before */
        tg_buf_str(&out, "All jobs were moved there already.");
    } else {
        tg_buf_printf(&out,
                      "%s: %llu job%s, documents: %llu in %llu versions, log entries: %llu", done,
                      (unsigned long long)r->jobs, r->jobs == 1 ? "" : "s",
                      (unsigned long long)r->documents, (unsigned long long)r->versions,
                      (unsigned long long)r->entries);
        if (to_store)
            tg_buf_printf(&out, "; %llu of them were not there before",
                          (unsigned long long)r->written);
        tg_buf_byte(&out, '.');
    }
    code = cli_print(&out, err);
    tg_buf_done(&out);
    return code;
}

static tg_code copy(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_state_result r;
    const char *from = NULL, *to = NULL;
    tg_code code = take_url(cli->arg[1], &from, err);

    if (code == TG_OK)
        code = take_url(cli->arg[2], &to, err);
    if (code == TG_OK)
        code = tg_state_copy(from, to, own->job, own->keep, &r, err);
    return code == TG_OK ? tell(cli, &r, "Copied and read back", true, err) : code;
}

static tg_code backup(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_state_result r;
    const char *url = NULL;
    tg_code code = take_url(cli->arg[1], &url, err);

    if (code == TG_OK)
        code = tg_state_backup(url, cli->arg[2], own->job, &r, err);
    return code == TG_OK ? tell(cli, &r, "Saved", false, err) : code;
}

static tg_code restore(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_state_result r;
    const char *url = NULL;
    tg_code code = take_url(cli->arg[2], &url, err);

    if (code == TG_OK)
        code = tg_state_restore(cli->arg[1], url, own->job, &r, err);
    return code == TG_OK ? tell(cli, &r, "Restored and read back", true, err) : code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    static const struct {
        const char *name, *usage;
        size_t n_args;
        tg_code (*run)(const struct cli *cli, struct tg_error *err);
    } verb[] = {
        { "list", "list STORE", 2, list },
        { "copy", "copy FROM TO", 3, copy },
        { "backup", "backup STORE FILE", 3, backup },
        { "restore", "restore FILE STORE", 3, restore },
    };

    for (size_t i = 0; i < TG_COUNT(verb); i++) {
        if (strcmp(verb[i].name, cli->arg[0]) != 0)
            continue;
        if (cli->n_args == verb[i].n_args)
            return verb[i].run(cli, err);
        tg_fail(err, TG_USAGE, "state %s takes %zu name%s", verb[i].name, verb[i].n_args - 1,
                verb[i].n_args == 2 ? "" : "s");
        return tg_hint(err, "tgdata state %s", verb[i].usage);
    }
    tg_fail(err, TG_USAGE, "state cannot '%.64s'", cli->arg[0]);
    return tg_hint(err, "it can list, copy, backup and restore");
}

const struct cli_command cmd_state = {
    .name = "state",
    .help = "list, move, save and restore the state of jobs",
    .usage = "list STORE|copy FROM TO|backup STORE FILE|restore FILE STORE [OPTIONS]",
    .about = "list prints the jobs of a store. copy moves the state of jobs to another store, of "
             "any kind: runs go on from there and are refused at the old place. backup writes a "
             "file, also while jobs run; restore writes it into a store. Newer state is never "
             "replaced, and what was written is read back. STORE, FROM and TO are as --state has "
             "them, or env:NAME for a variable of the environment.",
    .examples = "  tgdata state copy sqlite:tgdata.state postgres://me@db.example.com/etl\n"
                "  tgdata state backup postgres://me@db.example.com/etl state.backup\n"
                "  tgdata state restore state.backup sqlite:new.state --job nightly\n",
    .option = options,
    .size = sizeof(struct own),
    .args_min = 1,
    .args_max = 3,
    .run = run,
};
