/* SPDX-License-Identifier: MIT */
/*
 * breakers.c - see breakers.h
 */
#include "observe/breakers.h"

#include <stdio.h>

static size_t find(const struct tg_breakers *b, const struct tg_open_breaker *one)
{
    size_t i = 0;

    while (i < b->n && (strcmp(b->at[i].kind, one->kind) != 0 || strcmp(b->at[i].of, one->of) != 0))
        i++;
    return i;
}

void tg_breakers_set(struct tg_breakers *b, const struct tg_open_breaker *now, const char *why)
{
    size_t i = find(b, now);

    if (!now->state && i < b->n) {
        b->n--;
        memmove(&b->at[i], &b->at[i + 1], (b->n - i) * sizeof b->at[0]);
    }
    if (!now->state || i == TG_BREAKERS_MAX)
        return;
    if (i == b->n)
        b->at[b->n++] = *now;
    b->at[i].state = now->state;
    if (why)
        snprintf(b->at[i].why, sizeof b->at[i].why, "%s", why);
}

void tg_breakers_put(const struct tg_breakers *b, int64_t now_us, struct tg_json *j)
{
    tg_json_array(j);
    for (size_t i = 0; i < b->n; i++) {
        const struct tg_open_breaker *o = &b->at[i];

        tg_json_object(j);
        tg_json_key(j, "kind"), tg_json_cstr(j, o->kind);
        tg_json_key(j, "of"), tg_json_cstr(j, o->of);
        tg_json_key(j, "state"), tg_json_cstr(j, o->state);
        tg_json_key(j, "since_s"), tg_json_double(j, (double)(now_us - o->since_us) / 1e6);
        tg_json_key(j, "reason"), tg_json_cstr(j, o->why[0] ? o->why : NULL);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}
