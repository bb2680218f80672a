/* SPDX-License-Identifier: MIT */
/*
 * faults.c - reads a fault spec and decides, from the seed, when each fault happens
 *
 * Threads: none
 */
#include "sim/faults.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const fault_name[] = {
#define SIM_FAULT_NAME(name, text) [SIM_FAULT_##name] = text,
    SIM_FAULTS(SIM_FAULT_NAME)
#undef SIM_FAULT_NAME
};

static const char *const unknown_name[] = {
#define SIM_UNKNOWN_NAME(name, text) [SIM_UNKNOWN_##name] = text,
    SIM_UNKNOWNS(SIM_UNKNOWN_NAME)
#undef SIM_UNKNOWN_NAME
};

static const uint64_t one = UINT64_C(1) << 53;

/* One term of a spec, cut into name, sign and value. */
struct term {
    char name[SIM_FAULT_NAME_MAX];
    char value[SIM_FAULT_NAME_MAX];
    char sign; /* '=', '@', '#', or 0 for none */
};

static bool term_cut(const char *text, size_t len, struct term *ret)
{
    size_t n = 0;
    size_t rest;

    *ret = (struct term){ .sign = 0 };
    while (n < len && !strchr("=@#", text[n]))
        n++;
    if (n == 0 || n >= sizeof ret->name)
        return false;
    memcpy(ret->name, text, n);
    if (n == len)
        return true;
    ret->sign = text[n];
    rest = len - n - 1;
    if (rest == 0 || rest >= sizeof ret->value)
        return false;
    memcpy(ret->value, text + n + 1, rest);
    return true;
}

static bool rule_set(struct sim_fault_rule *rule, const struct term *t)
{
    char *end = NULL;
    double p;
    int64_t n;

    if (t->sign == '=') {
        p = strtod(t->value, &end);
        if (*end || !(p >= 0 && p <= 1))
            return false;
        rule->below = (uint64_t)(p * (double)one);
        return true;
    }
    if (!t->sign || !tg_i64_parse(t->value, &n) || n < 1)
        return false;
    *(t->sign == '@' ? &rule->every : &rule->at) = (uint64_t)n;
    return true;
}

static bool setting_number(const struct term *t, int64_t min, int64_t max, int64_t *ret)
{
    int64_t n;

    if (t->sign != '=' || !tg_i64_parse(t->value, &n) || n < min || n > max)
        return false;
    *ret = n;
    return true;
}

/* A number that may be given several times. */
static bool number_add(int64_t *list, size_t *n, const struct term *t, int64_t min)
{
    if (*n == SIM_FAULT_LIST_MAX || !setting_number(t, min, INT64_MAX, &list[*n]))
        return false;
    (*n)++;
    return true;
}

static bool only_add(struct sim_faults *f, const struct term *t)
{
    if (t->sign != '=' || f->n_only == SIM_FAULT_LIST_MAX)
        return false;
    snprintf(f->only[f->n_only++], SIM_FAULT_NAME_MAX, "%s", t->value);
    return true;
}

static bool term_apply(struct sim_faults *f, const struct term *t)
{
    int64_t most, seed;

    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        if (!strcmp(t->name, fault_name[i]))
            return rule_set(&f->rule[i], t);
    }
    for (int i = 0; i < SIM_UNKNOWN_COUNT; i++) {
        if (!strcmp(t->name, unknown_name[i]))
            return number_add(f->unknown[i], &f->n_unknown[i], t, 1);
    }
    if (!strcmp(t->name, "clock"))
        return setting_number(t, -100000000, 100000000, &f->clock_s);
    if (!strcmp(t->name, "slow-ms"))
        return setting_number(t, 1, 3600000, &f->slow_ms);
    if (!strcmp(t->name, "takeout-delay"))
        return setting_number(t, 1, 86400, &f->takeout_delay_s);
    if (!strcmp(t->name, "part-max"))
        return setting_number(t, 1, INT32_MAX, &f->part_max);
    if (!strcmp(t->name, "reference-life"))
        return setting_number(t, 1, 86400, &f->reference_life_s);
    if (!strcmp(t->name, "only"))
        return only_add(f, t);
    if (!strcmp(t->name, "chat"))
        return number_add(f->chat, &f->n_chats, t, INT64_MIN);
    if (!strcmp(t->name, "dc"))
        return number_add(f->dc, &f->n_dcs, t, 1);
    if (!strcmp(t->name, "most") && setting_number(t, 0, INT64_MAX, &most)) {
        f->n_left = (uint64_t)most;
        return true;
    }
    if (!strcmp(t->name, "seed") && setting_number(t, 0, INT64_MAX, &seed)) {
        f->seed = (uint64_t)seed;
        return true;
    }
    return false;
}

tg_code sim_faults_parse(const char *spec, uint64_t seed, struct sim_faults *ret,
                         struct tg_error *err)
{
    struct sim_faults f = { .slow_ms = 1500, .n_left = UINT64_MAX, .seed = seed };
    struct term t;

    f.rule[SIM_FAULT_SHORT].below = one / 100;
    for (const char *at = spec; at && *at;) {
        size_t len = strcspn(at, ",");

        if (len && (!term_cut(at, len, &t) || !term_apply(&f, &t)))
            return tg_fail(err, TG_USAGE, "'%.*s' is no fault that can be asked for",
                           (int)TG_MIN(len, (size_t)80), at);
        at += len + (at[len] == ',');
    }
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        tg_random_seeded_init(&f.rule[i].stream,
                              f.seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)i + 1);
    *ret = f;
    return TG_OK;
}

bool sim_faults_hit(struct sim_faults *f, enum sim_fault fault)
{
    struct sim_fault_rule *rule;
    struct tg_random random;
    bool hit;

    assert(fault < SIM_FAULT_COUNT);
    rule = &f->rule[fault];
    rule->n_chances++;
    hit = (rule->every && rule->n_chances % rule->every == 0) || rule->n_chances == rule->at;
    if (rule->below) {
        random = tg_random_seeded(&rule->stream);
        hit |= tg_random_u64(&random) >> 11 < rule->below;
    }
    if (!hit || f->n_left == 0)
        return false;
    if (fault != SIM_FAULT_SHORT)
        f->n_left--;
    rule->n_hits++;
    return true;
}

static bool in_list(const int64_t *list, size_t n, int64_t number)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i] == number)
            return true;
    }
    return false;
}

static bool is_named(const struct sim_faults *f, const char *method)
{
    for (size_t i = 0; i < f->n_only; i++) {
        if (!strcmp(f->only[i], method))
            return true;
    }
    return f->n_only == 0;
}

bool sim_faults_meant(const struct sim_faults *f, const struct sim_fault_target *t)
{
    return is_named(f, t->method) && (!f->n_chats || in_list(f->chat, f->n_chats, t->chat)) &&
           (!f->n_dcs || in_list(f->dc, f->n_dcs, t->dc));
}

bool sim_faults_unknown(const struct sim_faults *f, enum sim_unknown kind, int64_t id)
{
    return in_list(f->unknown[kind], f->n_unknown[kind], id);
}

uint64_t sim_faults_draw(struct sim_faults *f, enum sim_fault fault, uint64_t n)
{
    struct tg_random random = tg_random_seeded(&f->rule[fault].stream);

    assert(n > 0);
    return tg_random_below(&random, n);
}

const char *sim_fault_name(enum sim_fault fault)
{
    assert(fault < SIM_FAULT_COUNT);
    return fault_name[fault];
}
