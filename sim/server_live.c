/* SPDX-License-Identifier: MIT */
/*
 * server_live.c - makes what is due happen, pushes it to those who listen, and writes it down
 *
 * A connection listens from the first query on that its login made at home without
 * invokeWithoutUpdates; of two connections of a session the later one does. One that does not read
 * gets nothing until it has read: it finds the gap by itself, as with the real server.
 *
 * DIR/changes.txt, with --truth: one line for each change as it happens,
 *   <Unix microseconds> <chat> posted|edited|reacted|deleted <pts> <id>[,<id>...]
 *
 * Threads: the loop's
 */
#include "sim/server.h"

#include <inttypes.h>
#include <stdio.h>

enum { AT_ONCE = 128, LINES_MAX = 4 << 20 };

void sim_link_listens(struct sim_link *link, const struct sim_answer *answer)
{
    if (!answer->listener)
        return;
    link->layer = answer->layer;
    if (link->listener == answer->listener && link->heard == link->session_id)
        return;
    link->listener = answer->listener;
    link->heard = link->session_id;
    tg_buf_clear(&link->late_push);
    for (struct sim_link *other = link->dc->sim->links; other; other = other->next) {
        if (other != link && other->heard == link->heard)
            other->listener = NULL;
    }
}

static void send(struct sim_link *link, const void *body, size_t n)
{
    struct sim *sim = link->dc->sim;

    sim->core.stats.pushes++;
    mt_server_push(link->mt, link->heard, body, n, sim_now_us(sim));
}

static void push_to(struct sim *sim, struct sim_link *link, const struct sim_change *change)
{
    struct sim_answer packed;
    enum sim_fate fate;

    if (!sim_core_push(&sim->core, link->listener, link->layer, change, &packed))
        return;
    fate = sim_live_fate(sim->core.live);
    if (fate == SIM_PUSH_LOST || tg_conn_queued(link->conn) > SIM_OUT_PAUSE) {
        sim->core.stats.pushes_lost++;
        return;
    }
    if (fate == SIM_PUSH_LATE && !link->late_push.len) {
        tg_buf_add(&link->late_push, packed.body, packed.len);
        return;
    }
    for (int i = 0; i < 1 + (fate == SIM_PUSH_TWICE); i++)
        send(link, packed.body, packed.len);
    if (link->late_push.len)
        send(link, link->late_push.data, link->late_push.len);
    tg_buf_clear(&link->late_push);
    sim_link_flush(link); /* may free it */
}

/* One push may end a connection, and then the walk begins again behind those that were served. */
static void push_all(struct sim *sim, const struct sim_change *change)
{
    struct sim_link *link = sim->links;

    sim->n_rounds++;
    while (link) {
        struct sim_link *following = link->next;
        uint64_t n_freed = sim->n_freed;

        if (link->ticked != sim->n_rounds && link->listener && !link->closed && link->mt) {
            link->ticked = sim->n_rounds;
            push_to(sim, link, change);
        }
        link = sim->n_freed == n_freed ? following : sim->links;
    }
}

static void write_down(struct sim *sim, const struct sim_change *change, struct tg_buf *lines)
{
    static const char *const name[] = { "posted", "edited", "reacted", "deleted" };
    char head[120];

    snprintf(head, sizeof head, "%" PRId64 " %" PRId64 " %s %" PRId32 " ", sim_now_us(sim),
             change->chat->marked_id, name[change->kind], change->pts);
    tg_buf_str(lines, head);
    for (size_t i = 0; i < change->n; i++) {
        if (i)
            tg_buf_byte(lines, ',');
        tg_buf_i64_text(lines, change->id[i]);
    }
    tg_buf_byte(lines, '\n');
}

static void save(struct sim *sim, struct tg_buf *lines)
{
    struct tg_error err;
    tg_code code = TG_OK;

    if (lines->failed)
        code = tg_fail(&err, TG_NOMEM, "lines of changes.txt");
    else if (lines->len && sim->changes)
        code = tg_fs_system.write(&tg_fs_system, sim->changes, lines->data, lines->len, &err);
    if (code != TG_OK)
        sim_say(sim, "%s", err.message);
    tg_buf_done(lines);
}

int64_t sim_live_run(struct sim *sim, int64_t mono_us)
{
    struct sim_live *live = sim->core.live;
    struct tg_buf lines;
    int n = 0;

    if (!live)
        return INT64_MAX;
    tg_buf_init(&lines, LINES_MAX);
    while (n < AT_ONCE &&
           sim_live_next(live, mono_us, sim_now_us(sim) / TG_SECOND_US, &sim->change)) {
        n++;
        if (sim->changes)
            write_down(sim, &sim->change, &lines);
        push_all(sim, &sim->change);
    }
    if (n)
        sim_core_changed(&sim->core);
    save(sim, &lines);
    return sim_live_due(live);
}
