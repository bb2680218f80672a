/* SPDX-License-Identifier: MIT */
/*
 * late.c - answers that wait for their time: a binary heap by due time
 *
 * Threads: the loop's
 */
#include "sim/server.h"

#include <stdio.h>
#include <stdlib.h>

static bool before(const struct sim_late *a, const struct sim_late *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void swap(struct sim_late *a, struct sim_late *b)
{
    struct sim_late t = *a;

    *a = *b;
    *b = t;
}

static void sift_up(struct sim_late *heap, size_t i)
{
    while (i && before(&heap[i], &heap[(i - 1) / 2])) {
        swap(&heap[i], &heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct sim_late *heap, size_t n, size_t i)
{
    for (;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < n; child++) {
            if (before(&heap[child], &heap[least]))
                least = child;
        }
        if (least == i)
            return;
        swap(&heap[i], &heap[least]);
        i = least;
    }
}

bool sim_late_add(struct sim *sim, struct sim_link *link, const struct mt_query *query,
                  const struct sim_answer *answer, int64_t due_us)
{
    struct sim_late *l;

    if (sim->n_late == sim->late_cap) {
        size_t cap = sim->late_cap ? sim->late_cap * 2 : 64;

        if (!(l = realloc(sim->late, cap * sizeof *l)))
            return false;
        sim->late = l;
        sim->late_cap = cap;
    }
    l = &sim->late[sim->n_late];
    *l = (struct sim_late){ .due_us = due_us,
                            .order = sim->n_late_ever++,
                            .link = link,
                            .session_id = query->session_id,
                            .msg_id = query->msg_id,
                            .code = answer->code,
                            .len = answer->len };
    snprintf(l->error, sizeof l->error, "%s", answer->error);
    if (answer->body) {
        if (!(l->body = malloc(TG_MAX(answer->len, (size_t)1))))
            return false;
        memcpy(l->body, answer->body, answer->len);
    }
    sift_up(sim->late, sim->n_late++);
    return true;
}

static void send_one(struct sim *sim, struct sim_late *l)
{
    struct sim_link *link = l->link;

    if (!link)
        return;
    if (l->body)
        mt_server_reply(link->mt,
                        &(struct mt_reply){ .session_id = l->session_id, .req_msg_id = l->msg_id,
                                            .body = l->body, .len = l->len },
                        sim_now_us(sim));
    else
        mt_server_error(link->mt, l->session_id, l->msg_id, l->code, l->error, sim_now_us(sim));
    sim_link_flush(link);
}

int64_t sim_late_run(struct sim *sim, int64_t mono_us)
{
    while (sim->n_late && sim->late[0].due_us <= mono_us) {
        struct sim_late l = sim->late[0];

        sim->late[0] = sim->late[--sim->n_late];
        sift_down(sim->late, sim->n_late, 0);
        send_one(sim, &l);
        free(l.body);
    }
    return sim->n_late ? sim->late[0].due_us : INT64_MAX;
}

void sim_late_forget(struct sim *sim, const struct sim_link *link)
{
    for (size_t i = 0; i < sim->n_late; i++) {
        if (sim->late[i].link == link)
            sim->late[i].link = NULL;
    }
}

void sim_late_done(struct sim *sim)
{
    while (sim->n_late)
        free(sim->late[--sim->n_late].body);
    free(sim->late);
    sim->late = NULL;
}
