/* SPDX-License-Identifier: MIT */
/*
 * cmd_schedule.c - tgdata schedule: when a schedule runs, before work depends on it (next, check);
 * the words that take a file are in schedule_run.c and schedule_show.c
 */
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/schedule.h"

enum { OUTPUT_MAX = 64 << 20, DAY_S = 86400, CHECK_DAYS = 366, CHECK_MAX = 600000, TOLD_MAX = 12 };

static const struct tg_option options[] = {
    { .name = "tz",
      .type = TG_OPT_STR,
      .offset = offsetof(struct schedule_own, zone),
      .fallback = "UTC",
      .value = "ZONE",
      .help = "the time zone whose clocks are meant, such as Europe/Berlin",
      .env = "TGDATA_TZ" },
    { .name = "count",
      .type = TG_OPT_I64,
      .offset = offsetof(struct schedule_own, count),
      .fallback = "5",
      .min = 1,
      .max = 100000,
      .value = "N",
      .help = "next: how many runs are printed; history: entries" },
    { .name = "prefer",
      .type = TG_OPT_LIST,
      .offset = offsetof(struct schedule_own, prefer),
      .value = "TIMES",
      .help = "times of day to wait for if the next run is not due before, such as 02:00,14:00" },
    { .name = "avoid",
      .type = TG_OPT_LIST,
      .offset = offsetof(struct schedule_own, avoid),
      .value = "WINDOWS",
      .help = "times of each day to put runs off to the end of, such as 09:00-17:00" },
    { .name = "maintenance",
      .type = TG_OPT_LIST,
      .offset = offsetof(struct schedule_own, maintenance),
      .value = "FROM/UNTIL",
      .help = "the same once, from one time to another; may be given again" },
    { .name = "jitter",
      .type = TG_OPT_MS,
      .offset = offsetof(struct schedule_own, jitter_ms),
      .min = 0,
      .max = DAY_S * 1000,
      .fallback = "0",
      .value = "TIME",
      .help = "up to that much later, drawn from --name and the run" },
    { .name = "name",
      .type = TG_OPT_STR,
      .offset = offsetof(struct schedule_own, name),
      .fallback = "default",
      .value = "NAME",
      .help = "the job's, for --jitter" },
    { .name = "from",
      .type = TG_OPT_TIME,
      .offset = offsetof(struct schedule_own, from_s),
      .value = "TIME",
      .help = "begin there in place of now" },
    { .name = "until",
      .type = TG_OPT_TIME,
      .offset = offsetof(struct schedule_own, until_s),
      .value = "TIME",
      .help = "backfill: up to that time, in place of now" },
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct schedule_own, job),
      .value = "NAME",
      .help = "list, next, history, pause, resume, backfill: the job of that name" },
    { .name = "all",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct schedule_own, all),
      .help = "backfill: also runs that went well" },
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct schedule_own, json),
      .help = "print JSON; run and backfill: each event as a line of it" },
    { 0 },
};

static const struct {
    const char *name, *meaning;
} why[] = {
    [TG_SCHEDULE_PLAIN] = { NULL, "" },
    [TG_SCHEDULE_SKIPPED] = { "skipped", "clocks jump over its time: it runs then" },
    [TG_SCHEDULE_FIRST] = { "first", "clocks show this time twice: the first" },
    [TG_SCHEDULE_SECOND] = { "second", "clocks show this time twice: the second" },
    [TG_SCHEDULE_PREFERRED] = { "preferred", "has waited for a preferred time" },
    [TG_SCHEDULE_PUT_OFF] = { "put_off", "put off to the end of a time to avoid" },
};

struct stamp {
    char text[32];
};

/* "2027-03-28 03:00:00 +02:00"; with a 'T' and no spaces for machines */
static struct stamp local_of(const struct tg_schedule_time *t, bool machine)
{
    char at[21];
    struct stamp s = { "" };
    int offset_min = (t->offset_s < 0 ? -t->offset_s : t->offset_s) / 60;

    if (!tg_time_utc(at, t->unix_s + t->offset_s))
        return s;
    at[10] = machine ? 'T' : ' ';
    at[19] = 0;
    snprintf(s.text, sizeof s.text, "%s%s%c%02d:%02d", at, machine ? "" : " ",
             t->offset_s < 0 ? '-' : '+', offset_min / 60 % 100, offset_min % 60);
    return s;
}

/* "45 s", "1 h 30 min", "12 d 4 h" */
static struct stamp wait_of(int64_t s)
{
    struct stamp text;

    if (s < 60)
        snprintf(text.text, sizeof text.text, "%lld s", (long long)s);
    else if (s < 3600)
        snprintf(text.text, sizeof text.text, "%lld min %lld s", (long long)s / 60,
                 (long long)s % 60);
    else if (s < 2 * DAY_S)
        snprintf(text.text, sizeof text.text, "%lld h %lld min", (long long)s / 3600,
                 (long long)s % 3600 / 60);
    else
        snprintf(text.text, sizeof text.text, "%lld d %lld h", (long long)s / DAY_S,
                 (long long)s % DAY_S / 3600);
    return text;
}

static void put_json(struct tg_json *j, const struct tg_schedule_time *t)
{
    tg_json_object(j);
    tg_json_key(j, "time"), tg_json_time(j, t->unix_s);
    tg_json_key(j, "local"), tg_json_cstr(j, local_of(t, true).text);
    tg_json_key(j, "zone"), tg_json_cstr(j, t->zone);
    tg_json_key(j, "why"), tg_json_cstr(j, why[t->why].name);
    tg_json_end_object(j);
}

static void put_line(struct tg_buf *out, const struct tg_schedule_time *t, int64_t from_s)
{
    tg_buf_printf(out, "%-27s  %-6s  %-14s", local_of(t, false).text, t->zone,
                  wait_of(t->unix_s - from_s).text);
    if (why[t->why].name)
        tg_buf_printf(out, "  %s", why[t->why].meaning);
    while (out->len && out->data[out->len - 1] == ' ')
        out->len--;
}

static void put_next(const struct tg_schedule *s, const struct schedule_own *own,
                     struct tg_buf *out)
{
    struct tg_schedule_time t = { .unix_s = own->from_s };
    struct tg_json j;

    tg_json_init(&j, out);
    if (own->json)
        tg_json_array(&j);
    else
        tg_buf_printf(out, "%-27s  %-6s  %s", "RUNS AT", "ZONE", "IN");
    for (int64_t i = 0; i < own->count && tg_schedule_next(s, t.unix_s, &t); i++) {
        if (own->json) {
            put_json(&j, &t);
        } else {
            tg_buf_byte(out, '\n');
            put_line(out, &t, own->from_s);
        }
    }
    if (own->json)
        tg_json_end_array(&j);
}

/* What a year of runs is like. */
struct year {
    int64_t n, shortest_s, longest_s, days;
    struct tg_schedule_time first, touched[TOLD_MAX]; /* by clocks */
    size_t n_touched;
    int64_t n_preferred, n_put_off;
};

static struct year look(const struct tg_schedule *s, int64_t from_s)
{
    struct year y = { .shortest_s = INT64_MAX, .days = CHECK_DAYS };
    struct tg_schedule_time t = { .unix_s = from_s };
    int64_t until_s = from_s + (int64_t)CHECK_DAYS * DAY_S, before_s;

    for (before_s = from_s; y.n < CHECK_MAX && tg_schedule_next(s, before_s, &t); y.n++) {
        if (t.unix_s > until_s)
            return y;
        if (y.n) {
            y.shortest_s = TG_MIN(y.shortest_s, t.unix_s - before_s);
            y.longest_s = TG_MAX(y.longest_s, t.unix_s - before_s);
        } else {
            y.first = t;
        }
        if (t.why == TG_SCHEDULE_PREFERRED)
            y.n_preferred++;
        else if (t.why == TG_SCHEDULE_PUT_OFF)
            y.n_put_off++;
        else if (t.why != TG_SCHEDULE_PLAIN && y.n_touched++ < TOLD_MAX)
            y.touched[y.n_touched - 1] = t;
        before_s = t.unix_s;
    }
    y.days = (before_s - from_s) / DAY_S;
    return y;
}

static void put_check_json(const struct year *y, const char *zone, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "time_zone"), tg_json_cstr(&j, zone);
    tg_json_key(&j, "days"), tg_json_i64(&j, y->days);
    tg_json_key(&j, "runs"), tg_json_i64(&j, y->n);
    if (y->n > 1) {
        tg_json_key(&j, "shortest_pause_s"), tg_json_i64(&j, y->shortest_s);
        tg_json_key(&j, "longest_pause_s"), tg_json_i64(&j, y->longest_s);
    }
    tg_json_key(&j, "preferred"), tg_json_i64(&j, y->n_preferred);
    tg_json_key(&j, "put_off"), tg_json_i64(&j, y->n_put_off);
    tg_json_key(&j, "clock_changes"), tg_json_array(&j);
    for (size_t i = 0; i < TG_MIN(y->n_touched, (size_t)TOLD_MAX); i++)
        put_json(&j, &y->touched[i]);
    tg_json_end_array(&j);
    tg_json_key(&j, "clock_changes_total"), tg_json_u64(&j, y->n_touched);
    tg_json_end_object(&j);
}

static void put_check(const struct year *y, struct tg_buf *out)
{
    char n[32];

    cli_number(n, (uint64_t)y->n);
    tg_buf_printf(out, "Runs %s time%s in %lld days", n, y->n == 1 ? "" : "s",
                  (long long)y->days);
    if (y->n)
        tg_buf_printf(out, ", first %s", local_of(&y->first, false).text);
    if (y->n > 1 && y->shortest_s == y->longest_s)
        tg_buf_printf(out, ", always %s apart", wait_of(y->shortest_s).text);
    else if (y->n > 1)
        tg_buf_printf(out, ", %s to %s apart", wait_of(y->shortest_s).text,
                      wait_of(y->longest_s).text);
    tg_buf_byte(out, '.');
    if (y->n_preferred || y->n_put_off)
        tg_buf_printf(out, "\n%lld have waited for a preferred time, %lld were put off to the end "
                      "of a time to avoid.", (long long)y->n_preferred, (long long)y->n_put_off);
    if (y->n_touched)
        tg_buf_printf(out, "\nClocks are changed at %zu of them:", y->n_touched);
    for (size_t i = 0; i < TG_MIN(y->n_touched, (size_t)TOLD_MAX); i++)
        tg_buf_printf(out, "\n  %s %s  %s", local_of(&y->touched[i], false).text,
                      y->touched[i].zone, why[y->touched[i].why].meaning);
    if (y->n_touched > TOLD_MAX)
        tg_buf_printf(out, "\n  ... and %zu more", y->n_touched - TOLD_MAX);
}

/* The schedule with all that it gives way to. */
static tg_code open_schedule(const struct cli *cli, struct tg_schedule **ret, struct tg_error *err)
{
    const struct schedule_own *own = cli->own;
    struct tg_schedule *s;
    tg_code code = tg_schedule_new(cli->arg[1], own->zone, &s, err);

    if (code != TG_OK)
        return code;
    for (size_t i = 0; i < own->prefer.n && code == TG_OK; i++)
        code = tg_schedule_prefer(s, own->prefer.item[i], err);
    for (size_t i = 0; i < own->avoid.n && code == TG_OK; i++)
        code = tg_schedule_avoid(s, own->avoid.item[i], err);
    for (size_t i = 0; i < own->maintenance.n && code == TG_OK; i++)
        code = tg_schedule_maintenance_text(s, own->maintenance.item[i], err);
    if (code == TG_OK)
        code = tg_schedule_jitter(s, own->jitter_ms / 1000, own->name, err);
    if (code == TG_OK)
        *ret = s;
    else
        tg_schedule_free(s);
    return code;
}

static tg_code next_or_check(struct cli *cli, bool next, struct tg_error *err)
{
    struct schedule_own *own = cli->own;
    struct tg_schedule *s;
    struct tg_buf out;
    tg_code code = open_schedule(cli, &s, err);

    if (code != TG_OK)
        return code;
    tg_buf_init(&out, OUTPUT_MAX);
    if (next) {
        put_next(s, own, &out);
    } else {
        struct year y = look(s, own->from_s);

        if (own->json)
            put_check_json(&y, own->zone, &out);
        else
            put_check(&y, &out);
    }
    code = cli_print(&out, err);
    tg_buf_done(&out);
    tg_schedule_free(s);
    return code;
}

static tg_code next(struct cli *cli, struct tg_error *err)
{
    return access(cli->arg[1], R_OK) == 0 ? schedule_next(cli, err)
                                          : next_or_check(cli, true, err);
}

static tg_code check(struct cli *cli, struct tg_error *err)
{
    return next_or_check(cli, false, err);
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    static const struct {
        const char *word;
        tg_code (*run)(struct cli *cli, struct tg_error *err);
    } word[] = { { "next", next },
                 { "check", check },
                 { "run", schedule_run },
                 { "list", schedule_list },
                 { "history", schedule_history },
                 { "pause", schedule_pause },
                 { "resume", schedule_resume },
                 { "backfill", schedule_backfill } };
    struct schedule_own *own = cli->own;
    int64_t now_s = (int64_t)time(NULL);

    for (size_t i = 0; i < TG_COUNT(word); i++) {
        if (strcmp(cli->arg[0], word[i].word) != 0)
            continue;
        if (own->from_s == 0 && word[i].run != schedule_backfill)
            own->from_s = now_s;
        if (own->until_s == 0)
            own->until_s = now_s;
        return word[i].run(cli, err);
    }
    tg_fail(err, TG_USAGE, "schedule cannot '%.64s'", cli->arg[0]);
    return tg_hint(err, "it can next, check, run, list, history, pause, resume and backfill");
}

const struct cli_command cmd_schedule = {
    .name = "schedule",
    .help = "run the jobs of a file when they are due, or see when that is",
    .usage = "run|list|next|history|pause|resume|backfill FILE | next|check 'SCHEDULE'",
    .about = "run runs the jobs of a configuration file that have a schedule, each run as a "
             "process of its own, until it is sent SIGTERM; at SIGHUP the file is read again; "
             "with --listen a page tells how it goes. "
             "Several can run, on several machines: a job is run by one. What a job says of "
             "when and how it is run is told in docs/scheduling.md and tgdata-config(5). list "
             "tells how the jobs stand, next when they run, history what came of it. A job "
             "that is paused is not run until it is resumed. backfill runs now what did not go"
             " well of a time. Of a schedule itself, next prints the next runs; check looks at"
             " a year of it: how many runs, how far apart, and those that fall on a change of "
             "clocks. A schedule is a line of cron (30 2 * * mon-fri), a macro (@daily), a "
             "period (every 15 minutes, every 2 days at 02:00) or times of day (02:00,14:00; "
             "mon-fri 08:30). A time of day that clocks jump over runs when they have jumped; "
             "one that comes twice runs the first time. A star as minute or hour follows the "
             "wall clock; every N hours counts time that passes. Runs wait for preferred "
             "times, and are put off while it is to be avoided.",
    .examples = "  tgdata schedule run etl.yaml\n"
                "  tgdata schedule run etl.yaml --listen 9464\n"
                "  tgdata schedule list etl.yaml\n"
                "  tgdata schedule pause etl.yaml --job nightly\n"
                "  tgdata schedule backfill etl.yaml --job nightly --from 2026-11-01\n"
                "  tgdata schedule next '30 2 * * *' --tz Europe/Berlin\n"
                "  tgdata schedule next 'every 6 hours' --count 10 --json\n"
                "  tgdata schedule next 'every 6 hours' --avoid 09:00-17:00 --prefer 02:00\n"
                "  tgdata schedule check 'mon-fri 02:30' --tz America/New_York\n",
    .scopes = 1u << TG_SCOPE_MONITOR,
    .option = options,
    .size = sizeof(struct schedule_own),
    .args_min = 2,
    .args_max = 2,
    .run = run,
};
