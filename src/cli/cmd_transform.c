/* SPDX-License-Identifier: MIT */
/*
 * cmd_transform.c - tgdata transform: stages over what was extracted before
 */
#include "base/json.h"
#include "cli/quality.h"
#include "cli/term.h"
#include "cli/transform.h"

static const struct tg_option options[] = {
    { .name = "chat",
      .type = TG_OPT_LIST,
      .offset = offsetof(struct transform_own, chat),
      .value = "ID",
      .help = "only that chat; without it all that are there" },
    { .name = "from-job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct transform_own, from_job),
      .value = "NAME",
      .help = "only chats that this job has extracted" },
    CLI_PROGRESS_OPTION(struct transform_own, progress),
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct transform_own, json),
      .help = "print the summary as a JSON object" },
    { 0 },
};

/* ---- the summary ---- */

static void put_json(struct tg_buf *out, const struct tg_transform_result *r, tg_code code)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "status"), tg_json_cstr(&j, tg_code_name(code));
    tg_json_key(&j, "chats"), tg_json_u64(&j, r->chats);
    tg_json_key(&j, "rows_read"), tg_json_u64(&j, r->rows_read);
    tg_json_key(&j, "rows"), tg_json_u64(&j, r->rows);
    tg_json_key(&j, "dropped"), tg_json_u64(&j, r->dropped);
    tg_json_key(&j, "set_aside"), tg_json_u64(&j, r->set_aside);
    tg_json_key(&j, "decoded"), tg_json_u64(&j, r->decoded);
    tg_json_key(&j, "no_raw"), tg_json_u64(&j, r->no_raw);
    tg_json_key(&j, "undecoded"), tg_json_u64(&j, r->undecoded);
    tg_json_key(&j, "undecoded_why");
    tg_json_cstr(&j, r->undecoded_why[0] ? r->undecoded_why : NULL);
    tg_json_key(&j, "failed"), tg_json_u64(&j, r->failed);
    tg_json_key(&j, "failed_why");
    tg_json_cstr(&j, r->failed_why[0] ? r->failed_why : NULL);
    quality_json(&j, &r->quality);
    tg_json_key(&j, "refused"), tg_json_u64(&j, r->refused);
    tg_json_key(&j, "checkpoints"), tg_json_u64(&j, r->checkpoints);
    tg_json_key(&j, "bytes_out"), tg_json_u64(&j, r->bytes_out);
    tg_json_key(&j, "seconds"), tg_json_double(&j, r->seconds);
    tg_json_key(&j, "rows_per_s");
    tg_json_double(&j, r->seconds > 0 ? (double)r->rows_read / r->seconds : 0);
    tg_json_end_object(&j);
}

static void put_count(struct tg_buf *out, uint64_t n, const char *what)
{
    char text[32];

    if (!n)
        return;
    cli_number(text, n);
    tg_buf_printf(out, ", %s %s", text, what);
}

static void put_text(struct tg_buf *out, const struct tg_transform_result *r)
{
    char read[32], rows[32], bytes[32], rate[32], time[32];

    cli_number(read, r->rows_read);
    cli_number(rows, r->rows);
    cli_bytes(bytes, r->bytes_out);
    cli_number(rate, (uint64_t)(r->seconds > 0 ? (double)r->rows_read / r->seconds : 0));
    cli_duration(time, r->seconds);
    tg_buf_printf(out, "%s messages of %llu chat%s read in %s (%s/s), %s written (%s)", read,
                  (unsigned long long)r->chats, r->chats == 1 ? "" : "s", time, rate, rows, bytes);
    put_count(out, r->decoded, "decoded anew");
    put_count(out, r->no_raw, "as they stood: they have no raw object");
    put_count(out, r->undecoded, "as they stood: their raw object cannot be decoded");
    put_count(out, r->failed, "a stage failed for");
    put_count(out, r->dropped, "dropped");
    put_count(out, r->set_aside, "set aside (tgdata dlq list)");
    put_count(out, r->refused, "refused (tgdata dlq list)");
    tg_buf_printf(out, "; %llu checkpoint%s", (unsigned long long)r->checkpoints,
                  r->checkpoints == 1 ? "" : "s");
    if (r->undecoded) {
        tg_buf_str(out, "\nNot decoded, the first: ");
        cli_clean(out, r->undecoded_why, SIZE_MAX);
    }
    if (r->failed) {
        tg_buf_str(out, "\nFailed, the first: ");
        cli_clean(out, r->failed_why, SIZE_MAX);
    }
    quality_text(out, &r->quality);
}

static tg_code tell_result(const struct cli *cli, const struct tg_transform_result *result,
                           tg_code ended, struct tg_error *err)
{
    const struct transform_own *own = cli->own;
    struct tg_error ignored;
    struct tg_buf out;
    tg_code code = TG_OK;

    tg_buf_init(&out, 64 << 10);
    if (own->json)
        put_json(&out, result, ended);
    else
        put_text(&out, result);
    if (own->json || ended == TG_OK || result->rows)
        code = cli_print_summary(cli, &out, own->json, ended == TG_OK ? err : &ignored);
    tg_buf_done(&out);
    return ended == TG_OK ? code : ended;
}

/* ---- the run ---- */

struct watch {
    struct cli *cli;
    struct tg_transform *transform;
};

static void on_progress(void *ctx, const struct tg_progress *now)
{
    const struct watch *w = ctx;
    const struct run_reload *reload = &((const struct transform_own *)w->cli->own)->reload;
    unsigned workers;

    if (reload->at && term_hung_up() && !reload->at(reload->ctx, &workers))
        tg_transform_stop(w->transform);
    progress_show(w->cli->progress, now);
}

static void on_note(void *ctx, const struct tg_note *note)
{
    cli_note(((const struct watch *)ctx)->cli, note);
}

static void stop(void *transform)
{
    tg_transform_stop(transform);
}

/* With all that looks at it. */
static tg_code run_watched(struct watch *w, struct tg_observer *observer,
                           struct tg_transform_result *result, struct tg_error *err)
{
    const struct transform_own *own = w->cli->own;
    const struct tg_transform_hooks hooks = { on_progress, w, observer, on_note };
    struct cli_progress progress;
    tg_code code;

    progress_init(&progress, progress_mode_of(own->progress), stderr);
    progress_logs(&progress, w->cli->log);
    w->cli->progress = &progress;
    cli_tell_observer(w->cli, observer);
    if (own->reload.at)
        term_watch_hangup();
    term_stops(stop, w->transform);
    code = tg_transform_run(w->transform, &hooks, result, err);
    term_stops(NULL, NULL);
    progress_done(&progress);
    w->cli->progress = NULL;
    return code;
}

tg_code transform_run(struct cli *cli, struct tg_error *err)
{
    const struct transform_own *own = cli->own;
    const struct tg_transform_request request = {
        .from = cli->arg[0],
        .from_job = own->from_job,
        .chat = own->chat.item,
        .n_chats = own->chat.n,
    };
    struct watch watch = { .cli = cli };
    struct tg_transform_result result;
    struct tg_observer *observer = NULL;
    tg_code code = tg_transform_new(cli->config, &request, &watch.transform, err);

    if (code == TG_OK)
        code = cli_open_observer(cli, &observer, err);
    if (code != TG_OK) {
        tg_transform_free(watch.transform);
        return code;
    }
    code = run_watched(&watch, observer, &result, err);
    tg_transform_free(watch.transform);
    cli_close_observer(cli, observer);
    quality_warn(cli, &result.quality);
    return tell_result(cli, &result, code, err);
}

const struct cli_command cmd_transform = {
    .name = "transform",
    .help = "filter, enrich or decode again what was extracted, without a call",
    .usage = "FROM --to URL [--stage STAGE]... [OPTIONS]",
    .about = "Reads what an extraction has written to FROM (files, tables or a topic, as its --to "
             "named them), runs stages over the rows, and writes them to one other destination; "
             "Telegram is not asked. Commits, checkpoints and resuming are as with extract: the "
             "job of a transformation has a name of its own, and the same command goes on behind "
             "its last commit. Rows go through enrich, stages, filters, transformations, in that "
             "order; without any they are decoded anew from their raw objects. A stage is decode, "
             "filter?since=DATE&media=photo, enrich, validate?field=text&max-length=4096, "
             "fields?drop=raw, where?expr=views > 100, or lua?code=row.lang = 'en': "
             "docs/transform.md, docs/expressions.md and docs/quality.md have all of them.",
    .examples = "  tgdata transform ndjson:raw --to parquet:clean --job clean\n"
                "  tgdata transform ndjson:raw --to sqlite:photos.db --job photos \\\n"
                "      --stage decode --stage 'filter?media=photo&since=2024-01-01' \\\n"
                "      --stage enrich --stage 'fields?drop=raw'\n",
    .scopes = 1u << TG_SCOPE_JOB | 1u << TG_SCOPE_STAGES | 1u << TG_SCOPE_MONITOR |
              1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct transform_own),
    .args_min = 1,
    .args_max = 1,
    .run = transform_run,
};
