/* SPDX-License-Identifier: MIT */
/*
 * run.c - see run.h
 */
#include "cli/run.h"

#include "base/json.h"
#include "cli/progress.h"
#include "cli/quality.h"
#include "cli/term.h"

/* ---- workers ---- */

static tg_code read_workers(const char *path, unsigned *ret, struct tg_error *err)
{
    FILE *file = fopen(path, "re");
    unsigned n;
    bool read = file && fscanf(file, "%5u", &n) == 1 && n <= 10000;

    if (file)
        fclose(file);
    if (!read) {
        tg_fail(err, TG_USAGE, "there is no number of workers in '%s'", path);
        return tg_hint(err, "write a number of 0 to 10000 into it");
    }
    *ret = n;
    return TG_OK;
}

static tg_code set_workers(const struct cli *cli, struct tg_parallel *p, struct tg_error *err)
{
    const struct run_own *own = cli->own;
    unsigned n = 0;
    tg_code code = read_workers(own->workers_from, &n, err);

    if (code == TG_OK)
        tg_parallel_workers(p, n);
    return code;
}

/* ---- progress ---- */

struct watch {
    struct cli *cli;
    struct tg_parallel *parallel;
};

static void hung_up(const struct watch *w)
{
    const struct run_own *own = w->cli->own;
    struct tg_error err;
    unsigned n;

    progress_clear(w->cli->progress);
    if (own->reload.at && !own->reload.at(own->reload.ctx, &n))
        tg_parallel_stop(w->parallel);
    else if (own->reload.at)
        tg_parallel_workers(w->parallel, n);
    else if (set_workers(w->cli, w->parallel, &err) != TG_OK)
        cli_report(w->cli, &err); /* and all goes on as it is */
}

static void on_progress(void *ctx, const struct tg_progress *now)
{
    struct watch *w = ctx;

    if (term_hung_up())
        hung_up(w);
    progress_show(w->cli->progress, now);
}

static void stop_parallel(void *parallel)
{
    tg_parallel_stop(parallel);
}

/* ---- results ---- */

static void put_circuits(struct tg_json *j, const struct tg_extract_result *r)
{
    const struct {
        const char *kind;
        const struct tg_circuit_counts *n;
    } row[] = {
        { "account", &r->account_circuits },
        { "dc", &r->dc_circuits },
        { "chat", &r->chat_circuits },
        { "sink", &r->sink_circuits },
    };

    tg_json_object(j);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_json_key(j, row[i].kind), tg_json_object(j);
        tg_json_key(j, "opened"), tg_json_u64(j, row[i].n->opened);
        tg_json_key(j, "half_opened"), tg_json_u64(j, row[i].n->half_opened);
        tg_json_key(j, "closed"), tg_json_u64(j, row[i].n->closed);
        tg_json_end_object(j);
    }
    tg_json_end_object(j);
}

static void put_json(struct tg_buf *out, const struct tg_extract_result *r, tg_code code,
                     const struct tg_error *err)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "status"), tg_json_cstr(&j, tg_code_name(code));
    if (code == TG_FLOOD)
        tg_json_key(&j, "retry_after_s"), tg_json_i64(&j, err->retry_after_s);
    tg_json_key(&j, "chats"), tg_json_u64(&j, r->chats);
    tg_json_key(&j, "rows"), tg_json_u64(&j, r->rows);
    tg_json_key(&j, "batches"), tg_json_u64(&j, r->batches);
    tg_json_key(&j, "checkpoints"), tg_json_u64(&j, r->checkpoints);
    tg_json_key(&j, "requests"), tg_json_u64(&j, r->requests);
    tg_json_key(&j, "flood_waits"), tg_json_u64(&j, r->flood_waits);
    tg_json_key(&j, "flood_wait_s"), tg_json_double(&j, r->flood_wait_s);
    tg_json_key(&j, "seconds"), tg_json_double(&j, r->seconds);
    tg_json_key(&j, "rows_per_s");
    tg_json_double(&j, r->seconds > 0 ? (double)r->rows / r->seconds : 0);
    tg_json_key(&j, "bytes_out"), tg_json_u64(&j, r->bytes_out);
    tg_json_key(&j, "quarantined"), tg_json_u64(&j, r->quarantined);
    tg_json_key(&j, "refused"), tg_json_u64(&j, r->refused);
    tg_json_key(&j, "dropped"), tg_json_u64(&j, r->dropped);
    tg_json_key(&j, "set_aside"), tg_json_u64(&j, r->set_aside);
    tg_json_key(&j, "failed"), tg_json_u64(&j, r->failed);
    tg_json_key(&j, "failed_why");
    tg_json_cstr(&j, r->failed_why[0] ? r->failed_why : NULL);
    quality_json(&j, &r->quality);
    tg_json_key(&j, "empty"), tg_json_u64(&j, r->empty);
    tg_json_key(&j, "circuits"), put_circuits(&j, r);
    tg_json_key(&j, "fallback_rows"), tg_json_u64(&j, r->fallback_rows);
    tg_json_key(&j, "fallback_chats"), tg_json_u64(&j, r->fallback_chats);
    tg_json_key(&j, "media_files"), tg_json_u64(&j, r->media_files);
    tg_json_key(&j, "media_bytes"), tg_json_u64(&j, r->media_bytes);
    tg_json_key(&j, "media_missing"), tg_json_u64(&j, r->media_missing);
    tg_json_end_object(&j);
}

static void put_count(struct tg_buf *out, uint64_t n, const char *what)
{
    char text[32];

    cli_number(text, n);
    if (n)
        tg_buf_printf(out, ", %s %s", text, what);
}

static void put_steps(struct tg_buf *out, const struct tg_extract_result *r)
{
    put_count(out, r->dropped, "dropped");
    put_count(out, r->set_aside, "set aside (tgdata dlq list)");
    put_count(out, r->failed, "a stage failed for");
    if (r->failed) {
        tg_buf_str(out, "\nFailed, the first: ");
        cli_clean(out, r->failed_why, SIZE_MAX);
    }
}

static void put_text(struct tg_buf *out, const struct tg_extract_result *r)
{
    char rows[32], bytes[32], rate[32], time[32];

    cli_number(rows, r->rows);
    cli_bytes(bytes, r->bytes_out);
    cli_number(rate, (uint64_t)(r->seconds > 0 ? (double)r->rows / r->seconds : 0));
    cli_duration(time, r->seconds);
    tg_buf_printf(out, "%s messages of %llu chat%s in %s (%s/s), %s written", rows,
                  (unsigned long long)r->chats, r->chats == 1 ? "" : "s", time, rate, bytes);
    cli_number(rows, r->requests);
    tg_buf_printf(out, "; %s requests, %llu checkpoint%s", rows, (unsigned long long)r->checkpoints,
                  r->checkpoints == 1 ? "" : "s");
    if (r->flood_waits)
        tg_buf_printf(out, ", %llu flood wait%s (%.0f s)", (unsigned long long)r->flood_waits,
                      r->flood_waits == 1 ? "" : "s", r->flood_wait_s);
    if (r->quarantined)
        tg_buf_printf(out, ", %llu quarantined", (unsigned long long)r->quarantined);
    if (r->refused)
        tg_buf_printf(out, ", %llu refused by the destination (tgdata dlq list)",
                      (unsigned long long)r->refused);
    put_steps(out, r);
    if (r->fallback_rows) {
        cli_number(rows, r->fallback_rows);
        tg_buf_printf(out, "\n%s more of %llu chat%s from a fallback, marked in the field source.",
                      rows, (unsigned long long)r->fallback_chats,
                      r->fallback_chats == 1 ? "" : "s");
    }
    if (r->media_files || r->media_missing) {
        cli_number(rows, r->media_files);
        cli_bytes(bytes, r->media_bytes);
        tg_buf_printf(out, "\n%s files fetched, %s", rows, bytes);
    }
    if (r->media_missing)
        tg_buf_printf(out, "; %llu could not be had: the field media_error says why",
                      (unsigned long long)r->media_missing);
    if (r->empty && r->empty == r->chats)
        tg_buf_str(out, "\nThere is no message in that range.");
    else if (r->empty)
        tg_buf_printf(out, "\n%llu of the chats have no message in that range.",
                      (unsigned long long)r->empty);
    quality_text(out, &r->quality);
}

static tg_code tell_result(const struct cli *cli, const struct tg_extract_result *result,
                           tg_code ended, struct tg_error *err)
{
    const struct run_own *own = cli->own;
    struct tg_buf out;
    struct tg_error ignored;
    tg_code code = TG_OK;

    tg_buf_init(&out, 64 << 10);
    if (own->json)
        put_json(&out, result, ended, err);
    else
        put_text(&out, result);
    if (own->json || ended == TG_OK || result->rows || result->fallback_rows)
        code = cli_print_summary(cli, &out, own->json, ended == TG_OK ? err : &ignored);
    tg_buf_done(&out);
    return ended == TG_OK ? code : ended;
}

/* Each account of a job has its own settings; its session may be a list, too. */
static tg_code add_job_accounts(struct cli *cli, struct tg_parallel *p,
                                const struct tg_config_job *job, struct tg_error *err)
{
    struct tg_config *whole = cli->config;
    tg_code code = TG_OK;

    for (size_t i = 0; i < job->n_accounts && code == TG_OK; i++) {
        cli->config = job->accounts[i];
        code = cli_add_accounts(cli, p, tg_config_text(cli->config, "session"), err);
    }
    cli->config = whole;
    return code;
}

static tg_code prepare(struct cli *cli, struct tg_parallel *p, struct tg_error *err)
{
    const struct run_own *own = cli->own;
    tg_code code = own->job ? add_job_accounts(cli, p, own->job, err)
                            : cli_add_accounts(cli, p, own->accounts, err);

    for (size_t i = 0; code == TG_OK && i < cli->n_args; i++) {
        const struct tg_task_request task = { .chat = cli->arg[i],
                                              .priority = TG_PRIORITY_NORMAL };

        code = tg_parallel_add(p, &task, NULL, err);
    }
    if (code == TG_OK && (own->workers_from || own->job))
        term_watch_hangup();
    if (code == TG_OK && own->workers_from)
        code = set_workers(cli, p, err);
    return code;
}

tg_code run_extraction(struct cli *cli, const struct tg_worker_options *worker,
                       struct tg_error *err)
{
    const struct run_own *own = cli->own;
    struct tg_extract_result result = { 0 };
    struct watch watch = { .cli = cli };
    struct tg_parallel_hooks hooks = { .extract = { .progress = on_progress, .ctx = &watch } };
    struct cli_progress progress;
    tg_code code = cli_open_observer(cli, &hooks.extract.observer, err);

    if (code == TG_OK)
        code = tg_parallel_new(cli->config, &watch.parallel, err);
    if (code == TG_OK)
        code = prepare(cli, watch.parallel, err);
    if (code != TG_OK) {
        tg_parallel_free(watch.parallel);
        cli_close_observer(cli, hooks.extract.observer);
        return code;
    }
    progress_init(&progress, progress_mode_of(own->progress), stderr);
    progress_logs(&progress, cli->log);
    cli->progress = &progress;
    cli->notes_json = progress.mode == PROGRESS_JSON;
    cli_tell_observer(cli, hooks.extract.observer);
    term_stops(stop_parallel, watch.parallel);
    code = worker ? tg_worker_run(watch.parallel, worker, &hooks, &result, err)
                  : tg_parallel_run(watch.parallel, &hooks, &result, err);
    term_stops(NULL, NULL);
    tg_parallel_free(watch.parallel);
    cli_close_observer(cli, hooks.extract.observer);
    progress_done(&progress);
    cli->progress = NULL;
    quality_warn(cli, &result.quality);
    return tell_result(cli, &result, code, err);
}
