/* SPDX-License-Identifier: MIT */
/*
 * state_names.c - what a store has, and whose it is; see state.h
 */
#include <stdlib.h>

#include "etl/state.h"

enum { NAMES_MAX = 20000000 };

bool tg_state_job_of(enum tg_store_shape shape, const char *key, char out[TG_JOB_NAME_MAX + 1])
{
    static const char lease[] = "job/";
    struct tg_error ignored;
    size_t n;

    if (shape == TG_STORE_LEASES) {
        if (strncmp(key, lease, sizeof lease - 1) != 0)
            return false;
        key += sizeof lease - 1;
    }
    n = strcspn(key, "/");
    if (n > TG_JOB_NAME_MAX)
        return false;
    memcpy(out, key, n);
    out[n] = 0;
    return tg_job_name_check(out, &ignored) == TG_OK;
}

static int compare(enum tg_store_shape shape, const char *kind, const char *key,
                   const struct tg_state_name *b)
{
    int order = (shape > b->shape) - (shape < b->shape);

    if (!order)
        order = strcmp(kind, b->kind);
    return order ? order : strcmp(key, b->key);
}

static int by_name(const void *a, const void *b)
{
    const struct tg_state_name *name = a;

    return compare(name->shape, name->kind, name->key, b);
}

struct gathering {
    struct tg_state_names *names;
    enum tg_store_shape shape;
    bool no_memory;
};

static bool on_name(void *ctx, const struct tg_store_name *name)
{
    struct gathering *g = ctx;
    struct tg_state_names *names = g->names;
    const size_t kind = strlen(name->kind) + 1, key = strlen(name->key) + 1;
    const size_t owner = strlen(name->owner) + 1;
    struct tg_state_name *to;
    char job[TG_JOB_NAME_MAX + 1];

    if (!tg_state_job_of(g->shape, name->key, job))
        return true;
    if (names->n == names->cap) {
        size_t cap = names->cap ? 2 * names->cap : 64;
        struct tg_state_name *more =
            cap > NAMES_MAX ? NULL : reallocarray(names->at, cap, sizeof *more);

        g->no_memory = !more;
        if (!more)
            return false;
        names->at = more;
        names->cap = cap;
    }
    to = &names->at[names->n];
    *to = (struct tg_state_name){ .shape = g->shape, .number = name->number,
                                  .expires_us = name->expires_us,
                                  .kind = malloc(kind + key + owner) };
    g->no_memory = !to->kind;
    if (!to->kind)
        return false;
    to->key = to->kind + kind;
    to->owner = to->key + key;
    memcpy(to->kind, name->kind, kind);
    memcpy(to->key, name->key, key);
    memcpy(to->owner, name->owner, owner);
    names->n++;
    return true;
}

/* Sorts them, and keeps one of those that came twice. */
static void sort(struct tg_state_names *names)
{
    size_t n = 0;

    if (names->n)
        qsort(names->at, names->n, sizeof *names->at, by_name);
    for (size_t i = 0; i < names->n; i++) {
        if (n && by_name(&names->at[n - 1], &names->at[i]) == 0) {
            names->at[n - 1].number = TG_MAX(names->at[n - 1].number, names->at[i].number);
            free(names->at[i].kind);
        } else {
            names->at[n++] = names->at[i];
        }
    }
    names->n = n;
}

tg_code tg_state_names_read(const struct tg_store *store, struct tg_state_names *ret,
                            struct tg_error *err)
{
    struct tg_state_names names = { 0 };
    tg_code code = TG_OK;

    for (int shape = TG_STORE_DOCS; code == TG_OK && shape <= TG_STORE_LEASES; shape++) {
        struct gathering g = { &names, (enum tg_store_shape)shape, false };

        code = store->ops->names(store->self, g.shape, on_name, &g, err);
        if (code == TG_OK && g.no_memory)
            code = tg_fail(err, TG_NOMEM, "no memory for the names of what the state holds");
    }
    sort(&names);
    if (code == TG_OK)
        *ret = names;
    else
        tg_state_names_done(&names);
    return code;
}

struct tg_state_name *tg_state_names_find(const struct tg_state_names *names,
                                          enum tg_store_shape shape, const char *kind,
                                          const char *key)
{
    size_t low = 0, high = names->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare(shape, kind, key, &names->at[middle]);

        if (!order)
            return &names->at[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

void tg_state_names_done(struct tg_state_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->at[i].kind);
    free(names->at);
    *names = (struct tg_state_names){ 0 };
}

/* ---- jobs ---- */

/* @return where the job stands, or would; *found tells which */
static size_t place(const struct tg_state_jobs *jobs, const char *job, bool *found)
{
    size_t low = 0, high = jobs->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(job, jobs->at[middle]);

        *found = order == 0;
        if (*found)
            return middle;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *found = false;
    return low;
}

bool tg_state_jobs_have(const struct tg_state_jobs *jobs, const char *job)
{
    bool found;

    place(jobs, job, &found);
    return found;
}

tg_code tg_state_jobs_add(struct tg_state_jobs *jobs, const char *job, struct tg_error *err)
{
    bool found;
    size_t at = place(jobs, job, &found);

    if (found)
        return TG_OK;
    if (jobs->n == TG_STATE_JOBS_MAX) {
        tg_fail(err, TG_LIMIT, "there are more than %d jobs", TG_STATE_JOBS_MAX);
        return tg_hint(err, "name one at a time with --job");
    }
    if (jobs->n == jobs->cap) {
        size_t cap = jobs->cap ? 2 * jobs->cap : 16;
        void *more = reallocarray(jobs->at, cap, sizeof *jobs->at);

        if (!more)
            return tg_fail(err, TG_NOMEM, "no memory for the names of jobs");
        jobs->at = more;
        jobs->cap = cap;
    }
    memmove(jobs->at + at + 1, jobs->at + at, (jobs->n - at) * sizeof *jobs->at);
    memset(jobs->at[at], 0, sizeof jobs->at[at]);
    memcpy(jobs->at[at], job, strlen(job));
    jobs->n++;
    return TG_OK;
}

void tg_state_jobs_done(struct tg_state_jobs *jobs)
{
    free(jobs->at);
    *jobs = (struct tg_state_jobs){ 0 };
}
