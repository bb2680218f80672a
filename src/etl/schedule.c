/* SPDX-License-Identifier: MIT */
/*
 * schedule.c - tgdata/schedule.h: a schedule is a text that was read, and its zone
 */
#include "tgdata/schedule.h"

#include <stdlib.h>

#include "base/text.h"
#include "etl/schedule.h"
#include "os/zoneinfo.h"

struct tg_schedule {
    struct tg_timing timing;
    struct tg_zone zone;
};

tg_code tg_schedule_zone(struct tg_zone *z, const char *name, struct tg_error *err)
{
    struct tg_buf file;
    tg_code code;

    if (strcmp(name, "UTC") == 0) {
        *z = tg_zone_utc;
        return TG_OK;
    }
    tg_buf_init(&file, TG_ZONE_FILE_MAX);
    code = tg_zoneinfo_read(name, &file, err);
    if (code == TG_OK)
        code = tg_zone_read(z, file.data, file.len, err);
    if (code == TG_DATA)
        tg_hint(err, "the file of %.64s is damaged, or not one of a zone", name);
    tg_buf_done(&file);
    return code;
}

tg_code tg_schedule_new(const char *text, const char *zone, struct tg_schedule **ret,
                        struct tg_error *err)
{
    struct tg_schedule *s = calloc(1, sizeof *s);
    tg_code code;

    if (!s)
        return tg_fail(err, TG_NOMEM, "no memory for a schedule");
    code = tg_cron_parse(&s->timing.cron, text, err);
    if (code == TG_OK)
        code = tg_schedule_zone(&s->zone, zone, err);
    if (code == TG_OK)
        *ret = s;
    else
        free(s);
    return code;
}

void tg_schedule_free(struct tg_schedule *s)
{
    free(s);
}

tg_code tg_schedule_prefer(struct tg_schedule *s, const char *times, struct tg_error *err)
{
    return tg_timing_prefer(&s->timing, times, err);
}

tg_code tg_schedule_avoid(struct tg_schedule *s, const char *windows, struct tg_error *err)
{
    return tg_timing_avoid(&s->timing, windows, err);
}

tg_code tg_schedule_maintenance(struct tg_schedule *s, int64_t from_unix_s, int64_t until_unix_s,
                                struct tg_error *err)
{
    return tg_timing_block(&s->timing, from_unix_s, until_unix_s, err);
}

tg_code tg_schedule_block(struct tg_timing *t, const char *window, struct tg_error *err)
{
    const char *slash = strchr(window, '/');
    char from[32];
    int64_t from_s, until_s;

    if (slash && (size_t)(slash - window) < sizeof from) {
        memcpy(from, window, (size_t)(slash - window));
        from[slash - window] = 0;
        if (tg_time_parse(from, &from_s) && tg_time_parse(slash + 1, &until_s))
            return tg_timing_block(t, from_s, until_s, err);
    }
    tg_fail(err, TG_USAGE, "'%.64s' is no window of maintenance", window);
    return tg_hint(err, "write two times in UTC: 2026-12-24T18:00/2026-12-26T06:00");
}

tg_code tg_schedule_maintenance_text(struct tg_schedule *s, const char *window,
                                     struct tg_error *err)
{
    return tg_schedule_block(&s->timing, window, err);
}

tg_code tg_schedule_jitter(struct tg_schedule *s, int64_t seconds, const char *name,
                           struct tg_error *err)
{
    if (seconds < 0 || seconds > TG_TIMING_JITTER_MAX_S)
        return tg_fail(err, TG_USAGE, "jitter is at most a day");
    s->timing.jitter_s = seconds;
    s->timing.seed = tg_timing_seed(name);
    return TG_OK;
}

static enum tg_schedule_why why_of(const struct tg_schedule *s, const struct tg_timing_run *run)
{
    static const enum tg_schedule_why why[] = {
        [TG_CRON_PLAIN] = TG_SCHEDULE_PLAIN,
        [TG_CRON_MOVED] = TG_SCHEDULE_SKIPPED,
        [TG_CRON_FIRST] = TG_SCHEDULE_FIRST,
        [TG_CRON_SECOND] = TG_SCHEDULE_SECOND,
    };

    if (run->why != TG_TIMING_AS_DUE)
        return run->why == TG_TIMING_PREFERRED ? TG_SCHEDULE_PREFERRED : TG_SCHEDULE_PUT_OFF;
    return why[tg_cron_why(&s->timing.cron, &s->zone, run->before_s)];
}

static bool told(const struct tg_schedule *s, struct tg_timing_run run,
                 struct tg_schedule_time *ret)
{
    const struct tg_zone_kind *kind;

    if (run.at_s == TG_ZONE_NEVER || run.at_s == -TG_ZONE_NEVER)
        return false;
    kind = tg_zone_span(&s->zone, run.at_s).kind;
    *ret = (struct tg_schedule_time){ .unix_s = run.at_s, .offset_s = kind->offset_s,
                                      .why = why_of(s, &run) };
    memcpy(ret->zone, kind->name, sizeof ret->zone);
    return true;
}

bool tg_schedule_next(const struct tg_schedule *s, int64_t after_unix_s,
                      struct tg_schedule_time *ret)
{
    return told(s, tg_timing_next(&s->timing, &s->zone, after_unix_s), ret);
}

bool tg_schedule_previous(const struct tg_schedule *s, int64_t at_unix_s,
                          struct tg_schedule_time *ret)
{
    return told(s, tg_timing_previous(&s->timing, &s->zone, at_unix_s), ret);
}
