/* SPDX-License-Identifier: MIT */
/*
 * changes.c - see changes.h
 */
#include "cli/changes.h"

#include "base/json.h"
#include "cli/quality.h"
#include "cli/term.h"

struct shown {
    struct cli *cli;
    struct cli_progress *progress;
    double due; /* of the next plain line */
};

#define PLAIN_S 10.0

/* ---- statistics ---- */

static void put_requests(struct tg_json *j, const struct tg_stream_stats *s)
{
    const struct {
        const char *name;
        uint64_t n;
    } row[] = {
        { "difference", s->differences },       { "channel_difference", s->channel_differences },
        { "history", s->history_requests },     { "confirm", s->confirm_requests },
        { "other", s->other_requests },
    };

    tg_json_object(j);
    for (size_t i = 0; i < TG_COUNT(row); i++)
        tg_json_key(j, row[i].name), tg_json_u64(j, row[i].n);
    tg_json_end_object(j);
}

static void put_members(struct tg_json *j, const struct tg_stream_stats *s)
{
    const struct {
        const char *name;
        uint64_t n;
    } row[] = {
        { "total_processed", s->total_processed }, { "changes_detected", s->changes_detected },
        { "new", s->kind[TG_KIND_NEW] },           { "edited", s->kind[TG_KIND_EDITED] },
        { "reactions", s->kind[TG_KIND_REACTIONS] }, { "deleted", s->kind[TG_KIND_DELETED] },
        { "read", s->kind[TG_KIND_READ] },         { "filtered", s->filtered },
        { "commits", s->commits },                 { "chats", s->chats },
        { "chats_lost", s->chats_lost },           { "pushes", s->pushes },
        { "pushes_lost", s->pushes_lost },         { "too_long", s->too_long },
        { "scans", s->scans },                     { "quarantined", s->quarantined },
        { "refused", s->refused },                 { "flood_waits", s->flood_waits },
        { "state_messages", s->state_messages },   { "state_bytes", s->state_bytes },
        { "versions", s->versions },               { "version_bytes", s->version_bytes },
        { "bytes_out", s->bytes_out },             { "workers", s->workers },
        { "failed", s->failed },                   { "set_aside", s->set_aside },
    };

    for (size_t i = 0; i < TG_COUNT(row); i++)
        tg_json_key(j, row[i].name), tg_json_u64(j, row[i].n);
    tg_json_key(j, "failed_why"), tg_json_cstr(j, s->failed_why[0] ? s->failed_why : NULL);
    tg_json_key(j, "requests"), put_requests(j, s);
    tg_json_key(j, "buffer_usage"), tg_json_double(j, s->buffer_usage);
    tg_json_key(j, "messages_per_second"), tg_json_double(j, s->messages_per_second);
    tg_json_key(j, "lag_s"), tg_json_double(j, s->lag_s);
    tg_json_key(j, "backpressure"), tg_json_bool(j, s->backpressure);
    tg_json_key(j, "seconds"), tg_json_double(j, s->seconds);
}

static void put_json(struct tg_buf *out, const struct tg_stream_stats *s, const char *key,
                     const char *value)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, key), tg_json_cstr(&j, value);
    put_members(&j, s);
    quality_json(&j, &s->quality);
    tg_json_end_object(&j);
}

static void put_line(struct tg_buf *out, const struct tg_stream_stats *s)
{
    char rows[32], rate[32];

    cli_number(rows, s->changes_detected);
    cli_number(rate, (uint64_t)s->messages_per_second);
    tg_buf_printf(out, "%s changes of %llu chat%s, %s/s, buffer %.0f%%, %.1f s behind%s", rows,
                  (unsigned long long)s->chats, s->chats == 1 ? "" : "s", rate,
                  100 * s->buffer_usage, s->lag_s,
                  s->backpressure ? ", waiting for the destination" : "");
}

/* ---- while it runs ---- */

static bool on_stats(void *ctx, const struct tg_stream_stats *stats)
{
    struct shown *w = ctx;
    const struct run_reload *reload = &((const struct changes_own *)w->cli->own)->reload;
    unsigned workers;
    struct tg_buf line;

    if (reload->at && term_hung_up() && !reload->at(reload->ctx, &workers))
        return false;

    tg_buf_init(&line, 64 << 10);
    if (w->progress->mode == PROGRESS_JSON) {
        put_json(&line, stats, "event", "statistics");
        fprintf(w->progress->to, "%s\n", tg_buf_cstr(&line));
        fflush(w->progress->to);
    } else if (w->progress->mode == PROGRESS_BAR) {
        put_line(&line, stats);
        progress_line(w->progress, tg_buf_cstr(&line));
    } else if (w->progress->mode == PROGRESS_PLAIN && term_clock() >= w->due) {
        put_line(&line, stats);
        progress_plain(w->progress, tg_buf_cstr(&line));
        w->due = term_clock() + PLAIN_S;
    }
    tg_buf_done(&line);
    return true;
}

/* ---- the end ---- */

static void put_text(struct tg_buf *out, const struct tg_stream_stats *s, bool delta)
{
    char rows[32], time[32];

    cli_number(rows, s->changes_detected);
    cli_duration(time, s->seconds);
    tg_buf_printf(out, "%s change%s of %llu chat%s in %s:", rows,
                  s->changes_detected == 1 ? "" : "s", (unsigned long long)s->chats,
                  s->chats == 1 ? "" : "s", time);
    for (int k = 0; k < TG_KIND_COUNT; k++) {
        cli_number(rows, s->kind[k]);
        if (s->kind[k])
            tg_buf_printf(out, " %s %s,", rows, tg_change_kind_name((enum tg_change_kind)k));
    }
    cli_number(rows, s->differences + s->channel_differences + s->history_requests +
                     s->confirm_requests + s->other_requests);
    tg_buf_printf(out, " %s requests, %llu commit%s", rows, (unsigned long long)s->commits,
                  s->commits == 1 ? "" : "s");
    if (s->filtered) {
        cli_number(rows, s->filtered);
        tg_buf_printf(out, "; %s filtered out", rows);
    }
    if (s->failed) {
        cli_number(rows, s->failed);
        tg_buf_printf(out, "; %s that a stage failed for, the first: ", rows);
        cli_clean(out, s->failed_why, SIZE_MAX);
    }
    if (s->scans)
        tg_buf_printf(out, "; %llu chat%s read%s", (unsigned long long)s->scans,
                      s->scans == 1 ? "" : "s", delta && s->too_long ? " again" : "");
    if (s->chats_lost)
        tg_buf_printf(out, "; %llu watched no longer", (unsigned long long)s->chats_lost);
    if (s->quarantined)
        tg_buf_printf(out, "; %llu quarantined", (unsigned long long)s->quarantined);
    if (s->set_aside)
        tg_buf_printf(out, "; %llu set aside by rules (tgdata dlq list)",
                      (unsigned long long)s->set_aside);
    if (s->refused)
        tg_buf_printf(out, "; %llu refused by the destination (tgdata dlq list)",
                      (unsigned long long)s->refused);
    quality_text(out, &s->quality);
}

static tg_code tell_result(const struct cli *cli, const struct tg_stream_stats *stats, bool delta,
                           tg_code ended, struct tg_error *err)
{
    const struct changes_own *own = cli->own;
    struct tg_error ignored;
    struct tg_buf out;
    tg_code code = TG_OK;

    tg_buf_init(&out, 64 << 10);
    if (own->json)
        put_json(&out, stats, "status", tg_code_name(ended));
    else
        put_text(&out, stats, delta);
    if (own->json || ended == TG_OK || stats->changes_detected)
        code = cli_print_summary(cli, &out, own->json, ended == TG_OK ? err : &ignored);
    tg_buf_done(&out);
    return ended == TG_OK ? code : ended;
}

tg_code changes_run(struct cli *cli, bool delta, struct tg_error *err)
{
    const struct changes_own *own = cli->own;
    struct tg_stream_stats stats = { 0 };
    struct tg_account *account;
    struct tg_observer *observer = NULL;
    struct tg_stream *stream;
    struct cli_progress progress;
    struct shown shown = { .cli = cli, .progress = &progress };
    tg_code code = cli_check_chats(cli, own->all, err);

    if (code == TG_OK)
        code = cli_open_observer(cli, &observer, err);
    if (code == TG_OK)
        code = cli_open_account(cli, &account, err);
    if (code != TG_OK) {
        cli_close_observer(cli, observer);
        return code;
    }
    code = tg_stream_new(account, cli->config, &stream, err);
    if (code != TG_OK) {
        cli_close_account(account);
        cli_close_observer(cli, observer);
        return code;
    }
    tg_stream_observe(stream, observer);
    tg_stream_source(stream, cli->arg, cli->n_args);
    progress_init(&progress, progress_mode_of(own->progress), stderr);
    progress_logs(&progress, cli->log);
    cli->progress = &progress;
    cli->notes_json = progress.mode == PROGRESS_JSON;
    cli_tell_observer(cli, observer);
    if (own->reload.at)
        term_watch_hangup();
    code = delta ? tg_stream_delta(stream, on_stats, &shown, &stats, err)
                 : tg_stream_run(stream, on_stats, &shown, &stats, err);
    tg_stream_free(stream);
    cli_close_account(account);
    cli_close_observer(cli, observer);
    progress_done(&progress);
    cli->progress = NULL;
    quality_warn(cli, &stats.quality);
    return tell_result(cli, &stats, delta, code, err);
}
