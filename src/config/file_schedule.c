/* SPDX-License-Identifier: MIT */
/*
 * file_schedule.c - what the jobs of a file say of when they are run, checked where it stands
 */
#include <stdlib.h>

#include "base/text.h"
#include "config/file_impl.h"
#include "tgdata/schedule.h"

enum { AFTER_MAX = 64, RESOURCES_MAX = 32, NAME_BYTES = 64 };

struct checking {
    struct tg_config_file *f;
    const struct tg_file_job *job;
};

static const struct tg_given *given(const struct checking *c, const char *setting)
{
    const struct tg_given *g = tg_file_given(c->f, c->job, NULL, tg_file_setting(c->f, setting));

    return g && g->n ? g : NULL;
}

/* Takes a mistake for the place where that value stands, once: defaults are the same for all. */
static void mistaken(const struct checking *c, const struct tg_given *g, size_t i,
                     const struct tg_error *err)
{
    const struct tg_yaml_node *node =
        g->node->kind == TG_YAML_LIST && i < g->node->n ? g->node->value[i] : g->node;

    for (size_t k = 0; k < c->f->mistakes.n; k++)
        if (c->f->mistakes.item[k].line == node->line &&
            c->f->mistakes.item[k].column == node->column)
            return;
    tg_mistakes_take(&c->f->mistakes, node->line, node->column, err);
}

/* ---- schedules ---- */

static void check_timing(const struct checking *c, const struct tg_given *when)
{
    static const struct {
        const char *setting;
        tg_code (*add)(struct tg_schedule *s, const char *text, struct tg_error *err);
    } way[] = { { "preferred-times", tg_schedule_prefer },
                { "avoid-times", tg_schedule_avoid },
                { "maintenance", tg_schedule_maintenance_text } };
    const struct tg_given *zone = given(c, "time-zone");
    struct tg_schedule *s;
    struct tg_error err;
    tg_code code = tg_schedule_new(when->text[0], zone ? zone->text[0] : "UTC", &s, &err);

    if (code != TG_OK) {
        struct tg_schedule *plain;
        struct tg_error other;
        bool is_zone = zone && tg_schedule_new(when->text[0], "UTC", &plain, &other) == TG_OK;

        if (is_zone)
            tg_schedule_free(plain);
        mistaken(c, is_zone ? zone : when, 0, &err);
        return;
    }
    for (size_t w = 0; w < TG_COUNT(way); w++) {
        const struct tg_given *g = given(c, way[w].setting);

        for (size_t i = 0; g && i < g->n; i++)
            if (way[w].add(s, g->text[i], &err) != TG_OK)
                mistaken(c, g, i, &err);
    }
    tg_schedule_free(s);
}

/* ---- one after another ---- */

static size_t find_job(const struct tg_config_file *f, const char *name)
{
    size_t i = 0;

    while (i < f->n_jobs && !(f->job[i].job.name && strcmp(f->job[i].job.name, name) == 0))
        i++;
    return i;
}

static void check_after(const struct checking *c, const struct tg_given *after)
{
    struct tg_error err;

    if (after->n > AFTER_MAX) {
        tg_fail(&err, TG_USAGE, "a job is run after at most %d others", AFTER_MAX);
        mistaken(c, after, 0, &err);
    }
    for (size_t i = 0; i < after->n; i++) {
        size_t other = find_job(c->f, after->text[i]);
        struct checking its = { c->f, &c->f->job[other] };

        if (other == c->f->n_jobs) {
            tg_fail(&err, TG_USAGE, "there is no job '%.64s'", after->text[i]);
            mistaken(c, after, i, &err);
        } else if (!given(&its, "schedule") && !given(&its, "after")) {
            tg_fail(&err, TG_USAGE, "the job '%.64s' is not run by itself: it has no schedule",
                    after->text[i]);
            mistaken(c, after, i, &err);
        }
    }
}

/* Whether a job is run after itself, or reads what it writes, by way of others.
 * mark: 1 on the way, 2 done */
static bool goes_round(struct tg_config_file *f, size_t i, uint8_t *mark, unsigned depth)
{
    struct checking c = { f, &f->job[i] };
    const struct tg_given *after = given(&c, "after");
    bool round = mark[i] == 1 || depth > 1000;

    if (mark[i] || round)
        return round;
    mark[i] = 1;
    for (size_t k = 0; after && k < after->n && !round; k++) {
        size_t other = find_job(f, after->text[k]);

        round = other < f->n_jobs && goes_round(f, other, mark, depth + 1);
    }
    if (f->job[i].reads && !round)
        round = goes_round(f, (size_t)(f->job[i].reads - f->job), mark, depth + 1);
    mark[i] = 2;
    return round;
}

static void check_rounds(struct tg_config_file *f)
{
    uint8_t *mark = tg_arena_alloc(&f->arena, f->n_jobs + 1, 1);
    struct tg_error err;

    f->mistakes.nomem = f->mistakes.nomem || !mark;
    for (size_t i = 0; mark && i < f->n_jobs; i++) {
        struct checking c = { f, &f->job[i] };

        if (mark[i] || !goes_round(f, i, mark, 0))
            continue;
        tg_fail(&err, TG_USAGE, "the job '%.64s' waits for itself, by way of others",
                f->job[i].job.name ? f->job[i].job.name : "");
        if (given(&c, "after"))
            mistaken(&c, given(&c, "after"), 0, &err);
        else
            tg_mistakes_take(&f->mistakes, f->job[i].source->line, f->job[i].source->column, &err);
        return;
    }
}

/* ---- resources ---- */

static void check_resources(const struct checking *c, const struct tg_given *need)
{
    const struct tg_given *slots = given(c, "resource-slots");
    char name[NAME_BYTES], there[NAME_BYTES];
    struct tg_error err;

    for (size_t i = 0; i < need->n; i++) {
        int64_t n = tg_name_count(need->text[i], name, sizeof name), has = 0;

        for (size_t k = 0; slots && n && k < slots->n && !has; k++) {
            int64_t have = tg_name_count(slots->text[k], there, sizeof there);

            has = strcmp(name, there) == 0 ? have : 0;
        }
        if (!n || need->n > RESOURCES_MAX) {
            tg_fail(&err, TG_USAGE, "'%.64s' is no resource, or there are more than %d",
                    need->text[i], RESOURCES_MAX);
            tg_hint(&err, "write NAME, or NAME=N for N slots of it");
        } else if (has < n) {
            tg_fail(&err, TG_USAGE, "of '%s' there are %lld slots, and %lld are needed", name,
                    (long long)has, (long long)n);
            tg_hint(&err, "say how many there are: defaults: {resource_slots: [\"%s=%lld\"]}", name,
                    (long long)n);
        } else {
            continue;
        }
        mistaken(c, need, i, &err);
    }
}

static void check_webhooks(const struct checking *c)
{
    static const char *const webhook[] = { "on-complete-webhook", "on-alert-webhook" };

    for (size_t i = 0; i < TG_COUNT(webhook); i++) {
        const struct tg_given *g = given(c, webhook[i]);
        struct tg_error err;

        if (!g || tg_url_is_http(g->text[0]))
            continue;
        tg_fail(&err, TG_USAGE, "'%s' is no address to post to", webhook[i]);
        tg_hint(&err, "write it as https://HOST/PATH");
        mistaken(c, g, 0, &err);
    }
}

/* What all jobs share stands under defaults only, else two jobs could say two things. */
static void check_shared(const struct checking *c)
{
    static const char *const shared[] = { "max-running", "resource-slots" };

    for (size_t i = 0; i < TG_COUNT(shared); i++) {
        const struct tg_given *g = &c->job->layer.given[tg_file_setting(c->f, shared[i])];
        struct tg_error err;

        if (!g->node)
            continue;
        tg_fail(&err, TG_USAGE, "'%s' is the same for all jobs", shared[i]);
        tg_hint(&err, "put it under defaults");
        mistaken(c, g, 0, &err);
    }
}

void tg_file_check_schedules(struct tg_config_file *f)
{
    if (f->mistakes.nomem)
        return;
    for (size_t i = 0; i < f->n_jobs; i++) {
        struct checking c = { f, &f->job[i] };
        const struct tg_given *g;

        if (!c.job->layer.given)
            return;
        if ((g = given(&c, "schedule")))
            check_timing(&c, g);
        if ((g = given(&c, "after")))
            check_after(&c, g);
        if ((g = given(&c, "resources")))
            check_resources(&c, g);
        check_webhooks(&c);
        check_shared(&c);
    }
    check_rounds(f);
}
