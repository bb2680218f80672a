/* SPDX-License-Identifier: MIT */
/*
 * schedule_show.c - tgdata schedule list, next, history, pause, resume: the jobs of a file, looked
 * at through their state stores
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/file.h"
#include "cli/schedule.h"

enum { OUTPUT_MAX = 64 << 20 };

struct coming {
    int64_t at_s;
    char *job;
};

struct each {
    const struct schedule_own *own;
    struct tg_buf out;
    struct tg_json j;
    const struct tg_config_job *job;
    struct coming *coming; /* next: the runs of all jobs */
    size_t n;              /* ... how many; history: entries of the job still to come */
};

static void put_time(struct tg_buf *out, int64_t ms)
{
    char at[21];

    tg_buf_str(out, ms > 0 && tg_time_utc(at, ms / 1000) ? at : "-");
}

static void pad(struct tg_buf *out, size_t begun, size_t width)
{
    for (size_t n = out->len - begun; n < width; n++)
        tg_buf_byte(out, ' ');
    tg_buf_str(out, "  ");
}

static void put_column(struct tg_buf *out, const char *text, size_t width)
{
    size_t begun = out->len;

    cli_clean(out, text, width);
    pad(out, begun, width);
}

/* Calls for each job that runs by itself, or the one that is named. */
static tg_code for_each(struct cli *cli, tg_code (*each)(struct each *e, struct tg_error *err),
                        struct each *e, struct tg_error *err)
{
    struct tg_config_file *file;
    size_t n = 0;
    tg_code code = cli_load_file(cli, cli->arg[1], &file, err);

    if (code != TG_OK)
        return code;
    for (size_t i = 0; code == TG_OK && (e->job = tg_config_file_job(file, i)); i++) {
        if (e->own->job ? strcmp(e->own->job, e->job->name) != 0 : !tg_scheduled(e->job))
            continue;
        if (!tg_scheduled(e->job))
            code = tg_fail(err, TG_USAGE, "the job '%.64s' has no schedule", e->job->name);
        else
            code = each(e, err);
        n++;
    }
    if (code == TG_OK && !n && e->own->job)
        code = tg_fail(err, TG_NOT_FOUND, "there is no job '%.64s' in the file", e->own->job);
    tg_config_file_free(file);
    return code;
}

/* Prints what a call for each job appends. */
static tg_code print_each(struct cli *cli, const char *header,
                          tg_code (*each)(struct each *e, struct tg_error *err),
                          struct tg_error *err)
{
    struct each e = { .own = cli->own };
    tg_code code;

    tg_buf_init(&e.out, OUTPUT_MAX);
    tg_json_init(&e.j, &e.out);
    if (e.own->json)
        tg_json_array(&e.j);
    else
        tg_buf_str(&e.out, header);
    code = for_each(cli, each, &e, err);
    if (e.own->json)
        tg_json_end_array(&e.j);
    if (code == TG_OK)
        code = cli_print(&e.out, err);
    tg_buf_done(&e.out);
    return code;
}

/* ---- list ---- */

static int64_t next_of(const struct tg_config_job *job, int64_t after_s, struct tg_error *err)
{
    struct tg_schedule_time t = { 0 };
    struct tg_schedule *s;

    if (tg_scheduled_timing(job, &s, err) != TG_OK)
        return 0;
    if (!tg_schedule_next(s, after_s, &t))
        t.unix_s = 0;
    tg_schedule_free(s);
    return t.unix_s * 1000;
}

static const char *state_of(const struct tg_scheduled_state *s)
{
    return s->owner[0] ? "running" : s->paused ? "paused" : !s->known ? "new" : "waiting";
}

static void put_when(struct tg_buf *out, const struct tg_config_job *job)
{
    const char *text = tg_scheduled_text(job), *other;

    if (text)
        tg_buf_str(out, text);
    for (size_t i = 0; (other = tg_config_item(job->accounts[0], "after", i)); i++)
        tg_buf_printf(out, "%s%s", i ? ", " : text ? ", after " : "after ", other);
}

static tg_code list_one(struct each *e, struct tg_error *err)
{
    struct tg_scheduled_state s;
    tg_code code = tg_scheduled_look(e->job, &s, err);
    struct tg_error ignored;
    struct tg_buf when;
    int64_t next_ms;

    if (code != TG_OK)
        return code;
    next_ms = s.paused ? 0 : next_of(e->job, e->own->from_s, &ignored);
    tg_buf_init(&when, 4096);
    put_when(&when, e->job);
    if (e->own->json) {
        tg_json_object(&e->j);
        tg_json_key(&e->j, "job"), tg_json_cstr(&e->j, e->job->name);
        tg_json_key(&e->j, "schedule"), tg_json_cstr(&e->j, tg_buf_cstr(&when));
        tg_json_key(&e->j, "state"), tg_json_cstr(&e->j, state_of(&s));
        tg_json_key(&e->j, "paused"), tg_json_bool(&e->j, s.paused);
        tg_json_key(&e->j, "owner"), tg_json_cstr(&e->j, s.owner[0] ? s.owner : NULL);
        tg_json_key(&e->j, "last_ok"), tg_json_bool(&e->j, s.ok);
        tg_json_time_ms(&e->j, "settled", s.settled_ms);
        tg_json_time_ms(&e->j, "next", next_ms);
        tg_json_key(&e->j, "takes_ms"), tg_json_i64(&e->j, s.estimate_ms);
        tg_json_end_object(&e->j);
    } else {
        tg_buf_byte(&e->out, '\n');
        put_column(&e->out, e->job->name, 20);
        put_column(&e->out, tg_buf_cstr(&when), 24);
        put_column(&e->out, state_of(&s), 8);
        put_time(&e->out, s.settled_ms);
        tg_buf_str(&e->out, "  ");
        put_time(&e->out, next_ms);
    }
    tg_buf_done(&when);
    return TG_OK;
}

tg_code schedule_list(struct cli *cli, struct tg_error *err)
{
    return print_each(cli, "JOB                   SCHEDULE                  STATE     SETTLED UP TO"
                           "         NEXT", list_one, err);
}

/* ---- next ---- */

static int by_time(const void *a, const void *b)
{
    const struct coming *x = a, *y = b;

    return x->at_s != y->at_s ? (x->at_s > y->at_s) - (x->at_s < y->at_s) : strcmp(x->job, y->job);
}

static bool add_coming(struct each *e, int64_t at_s)
{
    struct coming *more = reallocarray(e->coming, e->n + 1, sizeof *e->coming);
    char *name = strdup(e->job->name);

    if (more)
        e->coming = more;
    if (!more || !name) {
        free(name);
        return false;
    }
    e->coming[e->n++] = (struct coming){ at_s, name };
    return true;
}

static tg_code next_one(struct each *e, struct tg_error *err)
{
    struct tg_schedule_time t = { .unix_s = e->own->from_s };
    struct tg_schedule *s;
    tg_code code;

    if (!tg_scheduled_text(e->job))
        return TG_OK; /* when others have succeeded */
    code = tg_scheduled_timing(e->job, &s, err);
    if (code != TG_OK)
        return code;
    for (int64_t i = 0; i < e->own->count && tg_schedule_next(s, t.unix_s, &t); i++) {
        if (!add_coming(e, t.unix_s)) {
            code = tg_fail(err, TG_NOMEM, "no memory for the runs");
            break;
        }
    }
    tg_schedule_free(s);
    return code;
}

static void put_coming(struct each *e)
{
    size_t n = TG_MIN(e->n, (size_t)e->own->count);

    if (e->n)
        qsort(e->coming, e->n, sizeof *e->coming, by_time);
    if (e->own->json)
        tg_json_array(&e->j);
    else
        tg_buf_str(&e->out, "RUNS AT               JOB");
    for (size_t i = 0; i < n; i++) {
        if (e->own->json) {
            tg_json_object(&e->j);
            tg_json_time_ms(&e->j, "time", e->coming[i].at_s * 1000);
            tg_json_key(&e->j, "job"), tg_json_cstr(&e->j, e->coming[i].job);
            tg_json_end_object(&e->j);
        } else {
            tg_buf_byte(&e->out, '\n');
            put_time(&e->out, e->coming[i].at_s * 1000);
            tg_buf_str(&e->out, "  ");
            cli_clean(&e->out, e->coming[i].job, 63);
        }
    }
    if (e->own->json)
        tg_json_end_array(&e->j);
}

tg_code schedule_next(struct cli *cli, struct tg_error *err)
{
    struct each e = { .own = cli->own };
    tg_code code = for_each(cli, next_one, &e, err);

    tg_buf_init(&e.out, OUTPUT_MAX);
    tg_json_init(&e.j, &e.out);
    if (code == TG_OK) {
        put_coming(&e);
        code = cli_print(&e.out, err);
    }
    for (size_t i = 0; i < e.n; i++)
        free(e.coming[i].job);
    free(e.coming);
    tg_buf_done(&e.out);
    return code;
}

/* ---- history ---- */

static bool count_entry(void *ctx, const struct tg_scheduled_record *r)
{
    struct each *e = ctx;

    (void)r;
    e->n++;
    return true;
}

static void put_entry_json(struct tg_json *j, const struct tg_scheduled_record *r)
{
    tg_json_object(j);
    tg_json_key(j, "job"), tg_json_cstr(j, r->job);
    tg_json_key(j, "how"), tg_json_cstr(j, r->how);
    tg_json_time_ms(j, "due", r->due_ms);
    tg_json_key(j, "due_ms"), tg_json_i64(j, r->due_ms);
    if (r->until_ms)
        tg_json_key(j, "until_ms"), tg_json_i64(j, r->until_ms);
    if (r->started_ms) {
        tg_json_time_ms(j, "started", r->started_ms);
        tg_json_time_ms(j, "ended", r->ended_ms);
        tg_json_key(j, "seconds"), tg_json_double(j, (double)(r->ended_ms - r->started_ms) / 1000);
        tg_json_key(j, "attempt"), tg_json_u64(j, r->attempt);
        tg_json_key(j, "again"), tg_json_bool(j, r->again);
        tg_json_key(j, "late"), tg_json_bool(j, r->late);
        tg_json_key(j, "backfill"), tg_json_bool(j, r->backfill);
        tg_json_key(j, "rows"), tg_json_u64(j, r->rows);
        tg_json_key(j, "requests"), tg_json_u64(j, r->requests);
        tg_json_key(j, "flood_wait_s"), tg_json_double(j, (double)r->flood_ms / 1000);
    }
    tg_json_key(j, "step"), tg_json_cstr(j, *r->step ? r->step : NULL);
    tg_json_key(j, "error"), tg_json_cstr(j, *r->error ? r->error : NULL);
    tg_json_key(j, "by"), tg_json_cstr(j, r->by);
    tg_json_end_object(j);
}

static bool put_entry(void *ctx, const struct tg_scheduled_record *r)
{
    struct each *e = ctx;
    char rows[32];

    if (e->n-- > (size_t)e->own->count)
        return true;
    if (e->own->json) {
        put_entry_json(&e->j, r);
        return true;
    }
    tg_buf_byte(&e->out, '\n');
    put_time(&e->out, r->due_ms);
    tg_buf_str(&e->out, "  ");
    put_column(&e->out, r->job, 20);
    put_column(&e->out, r->how, 10);
    if (r->started_ms) {
        cli_number(rows, r->rows);
        tg_buf_printf(&e->out, "%8.1f s  %12s", (double)(r->ended_ms - r->started_ms) / 1000, rows);
    }
    if (r->again)
        tg_buf_str(&e->out, "  tried again");
    if (r->late)
        tg_buf_str(&e->out, "  late");
    if (*r->step)
        tg_buf_printf(&e->out, "  in %.32s", r->step);
    if (*r->error) {
        tg_buf_str(&e->out, *r->step ? ": " : "  ");
        cli_clean(&e->out, r->error, 200);
    }
    return true;
}

static tg_code history_one(struct each *e, struct tg_error *err)
{
    tg_code code;

    e->n = 0;
    code = tg_scheduled_history(e->job, count_entry, e, err);
    return code == TG_OK ? tg_scheduled_history(e->job, put_entry, e, err) : code;
}

tg_code schedule_history(struct cli *cli, struct tg_error *err)
{
    return print_each(cli, "DUE                   JOB                   OUTCOME          TOOK"
                           "          ROWS", history_one, err);
}

/* ---- pause, resume ---- */

static tg_code pause_one(struct each *e, struct tg_error *err)
{
    return tg_scheduled_pause(e->job, true, err);
}

static tg_code resume_one(struct each *e, struct tg_error *err)
{
    return tg_scheduled_pause(e->job, false, err);
}

tg_code schedule_pause(struct cli *cli, struct tg_error *err)
{
    return for_each(cli, pause_one, &(struct each){ .own = cli->own }, err);
}

tg_code schedule_resume(struct cli *cli, struct tg_error *err)
{
    return for_each(cli, resume_one, &(struct each){ .own = cli->own }, err);
}
