/* SPDX-License-Identifier: MIT */
/*
 * stats.c - counters and the map of served message ids
 *
 * Threads: none
 */
#include "sim/stats.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "sim/faults.h"

enum { PIECE_BITS = 1 << 16, PIECES = 1 << 15 };

/* Ids of one chat that one authorization was given. */
struct sim_served {
    struct sim_served *next;
    uint64_t login;
    int64_t chat;
    uint64_t *piece[PIECES];
};

void sim_stats_init(struct sim_stats *s)
{
    *s = (struct sim_stats){ .served = NULL };
}

void sim_stats_done(struct sim_stats *s)
{
    struct sim_served *next;

    for (struct sim_served *m = s->served; m; m = next) {
        next = m->next;
        for (size_t i = 0; i < PIECES; i++)
            free(m->piece[i]);
        free(m);
    }
    s->served = NULL;
}

struct sim_method_stats *sim_stats_method(struct sim_stats *s, const char *name)
{
    for (size_t i = 0; i < s->n_methods; i++) {
        if (s->method[i].name == name || !strcmp(s->method[i].name, name))
            return &s->method[i];
    }
    if (s->n_methods == SIM_STATS_METHODS_MAX)
        return &s->method[SIM_STATS_METHODS_MAX - 1];
    s->method[s->n_methods] = (struct sim_method_stats){ .name = name };
    return &s->method[s->n_methods++];
}

static struct sim_served *served_of(struct sim_stats *s, uint64_t login, int64_t chat)
{
    struct sim_served *m;

    for (m = s->served; m; m = m->next) {
        if (m->login == login && m->chat == chat)
            return m;
    }
    m = calloc(1, sizeof *m);
    if (m) {
        m->login = login;
        m->chat = chat;
        m->next = s->served;
        s->served = m;
    }
    return m;
}

void sim_stats_served(struct sim_stats *s, uint64_t login, int64_t chat, const int32_t *ids,
                      size_t n)
{
    struct sim_served *m = served_of(s, login, chat);

    s->messages += n;
    for (size_t i = 0; m && i < n; i++) {
        uint32_t id = (uint32_t)ids[i] & INT32_MAX;
        uint64_t **piece = &m->piece[id / PIECE_BITS];
        uint64_t bit = UINT64_C(1) << id % 64;
        uint64_t *word;

        if (!*piece && !(*piece = calloc(PIECE_BITS / 64, sizeof **piece)))
            return;
        word = &(*piece)[id % PIECE_BITS / 64];
        s->messages_again += (*word & bit) != 0;
        *word |= bit;
    }
}

static void number(struct tg_json *j, const char *key, uint64_t v)
{
    tg_json_key(j, key);
    tg_json_u64(j, v);
}

static void write_totals(const struct sim_stats *s, struct tg_json *j)
{
    number(j, "connections", s->connections);
    number(j, "handshakes", s->handshakes);
    number(j, "queries", s->queries);
    number(j, "answers", s->answers);
    number(j, "errors", s->errors);
    number(j, "bytes_in", s->bytes_in);
    number(j, "bytes_out", s->bytes_out);
    number(j, "messages", s->messages);
    number(j, "messages_again", s->messages_again);
    number(j, "floods", s->floods);
    number(j, "early_repeats", s->early_repeats);
    number(j, "takeout_unwrapped", s->takeout_unwrapped);
    number(j, "takeout_open", s->takeout_open);
    number(j, "takeout_unfinished", s->takeout_unfinished);
    number(j, "duplicated", s->duplicated);
    number(j, "short_pages", s->short_pages);
    number(j, "cached", s->cached);
    number(j, "pushes", s->pushes);
    number(j, "pushes_lost", s->pushes_lost);
}

static void write_methods(const struct sim_stats *s, struct tg_json *j)
{
    tg_json_key(j, "unwrapped_methods");
    tg_json_array(j);
    for (size_t i = 0; i < s->n_methods; i++) {
        if (s->method[i].takeout_unwrapped)
            tg_json_cstr(j, s->method[i].name);
    }
    tg_json_end_array(j);
    tg_json_key(j, "methods");
    tg_json_object(j);
    for (size_t i = 0; i < s->n_methods; i++) {
        const struct sim_method_stats *m = &s->method[i];

        tg_json_key(j, m->name);
        tg_json_object(j);
        number(j, "calls", m->calls);
        number(j, "errors", m->errors);
        number(j, "floods", m->floods);
        number(j, "early_repeats", m->early_repeats);
        number(j, "takeout_unwrapped", m->takeout_unwrapped);
        number(j, "bytes_out", m->bytes_out);
        tg_json_end_object(j);
    }
    tg_json_end_object(j);
}

void sim_stats_write(const struct sim_stats *s, const struct sim_faults *faults,
                     struct tg_buf *out)
{
    struct tg_json j;

    assert(s && faults);
    tg_json_init(&j, out);
    tg_json_object(&j);
    write_totals(s, &j);
    tg_json_key(&j, "faults");
    tg_json_object(&j);
    for (int i = 0; i < SIM_FAULT_COUNT; i++)
        number(&j, sim_fault_name((enum sim_fault)i), faults->rule[i].n_hits);
    tg_json_end_object(&j);
    write_methods(s, &j);
    tg_json_end_object(&j);
    tg_buf_byte(out, '\n');
}
