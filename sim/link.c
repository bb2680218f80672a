/* SPDX-License-Identifier: MIT */
/*
 * link.c - one TCP connection: bytes in, queries served, bytes out, and what goes wrong on the way
 *
 * Freed in two steps: a link that is closed while the protocol works on it stays until then.
 *
 * Threads: the loop's
 */
#include "sim/server.h"

#include <assert.h>
#include <stdlib.h>

#include "mtproto/obfuscation.h"

enum { SPLIT_PIECES = 6, SPLIT_PAUSE_US = 2000 };

/* ---- life ---- */

static void link_free(struct sim_link *link)
{
    struct sim *sim = link->dc->sim;

    *(link->prev ? &link->prev->next : &sim->links) = link->next;
    if (link->next)
        link->next->prev = link->prev;
    sim->n_links--;
    sim->n_freed++;
    sim_late_forget(sim, link);
    sim_use_end(&link->use);
    mt_server_conn_free(link->mt);
    tg_buf_done(&link->slow);
    tg_buf_done(&link->late_push);
    free(link);
}

static void link_gone(struct sim_link *link)
{
    link->conn = NULL;
    link->closed = true;
    if (!link->busy)
        link_free(link);
}

void *sim_link_accept(void *ctx, struct tg_conn *conn, const struct tg_conn_events **ret)
{
    struct sim_dc *dc = ctx;
    struct sim *sim = dc->sim;
    struct sim_link *link;

    *ret = NULL;
    if (sim->n_links >= SIM_LINKS_MAX || !(link = calloc(1, sizeof *link)))
        return NULL;
    link->dc = dc;
    link->conn = conn;
    link->number = ++sim->n_accepted;
    tg_buf_init(&link->slow, 64 << 20);
    tg_buf_init(&link->late_push, SIM_IN_BYTES);
    /* Behind a proxy the first 64 bytes say which DC is meant. */
    if (!sim->set.proxy_secret && !(link->mt = mt_server_conn_new(dc->mt, link))) {
        free(link);
        return NULL;
    }
    link->next = sim->links;
    if (sim->links)
        sim->links->prev = link;
    sim->links = link;
    sim->n_links++;
    sim->core.stats.connections++;
    *ret = &sim_link_events;
    return link;
}

void sim_link_close(struct sim_link *link, bool reset)
{
    if (link->conn)
        tg_conn_close(link->conn, reset, true);
    link_gone(link);
}

/* ---- out ---- */

static void write_out(struct sim_link *link, const uint8_t *bytes, size_t n)
{
    link->dc->sim->core.stats.bytes_out += n;
    tg_conn_write(link->conn, bytes, n);
    tg_conn_pause(link->conn, tg_conn_queued(link->conn) > SIM_OUT_PAUSE);
}

/* Ends the connection as the faults want it; the answer stays in the session's memory. */
static void end(struct sim_link *link, const struct tg_buf *out)
{
    if (link->ending == SIM_HALF && out->len > 1)
        write_out(link, out->data, out->len / 2);
    sim_link_close(link, link->ending == SIM_RESET);
}

void sim_link_flush(struct sim_link *link)
{
    struct sim *sim = link->dc->sim;
    struct tg_buf *out;

    if (link->busy || link->closed || !link->mt)
        return;
    out = mt_server_conn_output(link->mt, sim_now_us(sim));
    if (link->ending != SIM_STAY) {
        end(link, out);
        return;
    }
    if (link->split || link->slow.len) {
        if (!link->slow.len)
            link->slow_at_us = tg_clock_mono_us();
        tg_buf_add(&link->slow, out->data, out->len);
        link->split = false;
        sim_schedule(sim, link->slow_at_us);
    } else if (out->len) {
        write_out(link, out->data, out->len);
    }
    tg_buf_clear(out);
    if (mt_server_conn_closing(link->mt) && !link->slow.len)
        sim_link_close(link, false);
}

/* ---- queries ---- */

/* What happens to the packet of the next answer. */
static void break_packet(struct sim_link *link)
{
    static const struct {
        enum sim_fault fault;
        enum mt_server_fault what;
    } row[] = {
        { SIM_FAULT_DUP, MT_FAULT_DUPLICATE },
        { SIM_FAULT_REORDER, MT_FAULT_REORDER },
        { SIM_FAULT_GARBAGE, MT_FAULT_GARBAGE },
        { SIM_FAULT_BADSALT, MT_FAULT_BAD_SALT },
        { SIM_FAULT_CLOCK_BEHIND, MT_FAULT_CLOCK_BEHIND },
        { SIM_FAULT_NEWSESSION, MT_FAULT_NEW_SESSION },
        { SIM_FAULT_T404, MT_FAULT_TRANSPORT_404 },
        { SIM_FAULT_T429, MT_FAULT_TRANSPORT_429 },
        { SIM_FAULT_T444, MT_FAULT_TRANSPORT_444 },
    };
    struct sim_faults *f = &link->dc->sim->core.faults;

    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (sim_faults_hit(f, row[i].fault))
            mt_server_fault(link->mt, row[i].what);
    }
    if (sim_faults_hit(f, SIM_FAULT_SPLIT))
        link->split = true;
    if (sim_faults_hit(f, SIM_FAULT_DROP))
        link->ending = SIM_DROP;
    if (sim_faults_hit(f, SIM_FAULT_HALFWRITE))
        link->ending = SIM_HALF;
    if (sim_faults_hit(f, SIM_FAULT_RESET))
        link->ending = SIM_RESET;
}

static int64_t delay_us(struct sim *sim, const struct sim_fault_target *target)
{
    struct sim_faults *f = &sim->core.faults;
    int64_t delay = sim->set.latency_ms * TG_MS_US;

    if (sim_faults_meant(f, target) && sim_faults_hit(f, SIM_FAULT_SLOW))
        delay += (int64_t)sim_faults_draw(f, SIM_FAULT_SLOW, (uint64_t)f->slow_ms * 1000);
    return delay;
}

static void reply(struct sim_link *link, const struct mt_query *query,
                  const struct sim_answer *answer)
{
    int64_t now_us = sim_now_us(link->dc->sim);

    if (answer->body)
        mt_server_reply(link->mt,
                        &(struct mt_reply){ .session_id = query->session_id,
                                            .req_msg_id = query->msg_id, .body = answer->body,
                                            .len = answer->len },
                        now_us);
    else
        mt_server_error(link->mt, query->session_id, query->msg_id, answer->code, answer->error,
                        now_us);
}

void sim_link_query(void *ctx, struct mt_server_conn *conn, const struct mt_query *query)
{
    struct sim_dc *dc = ctx;
    struct sim *sim = dc->sim;
    struct sim_link *link = mt_server_conn_user(conn);
    struct sim_request request = { .dc = dc->id,
                                   .use = dc->media ? NULL : &link->use,
                                   .key_id = query->key_id,
                                   .session_id = query->session_id,
                                   .msg_id = query->msg_id,
                                   .body = query->body,
                                   .len = query->len,
                                   .now_us = sim_now_us(sim) };
    struct sim_fault_target target = { .dc = dc->id };
    struct sim_answer answer;
    int64_t delay;

    link->session_id = query->session_id;
    sim_core_query(&sim->core, &request, &answer);
    sim_link_listens(link, &answer);
    target.method = answer.method;
    target.chat = answer.chat;
    if (sim_faults_meant(&sim->core.faults, &target))
        break_packet(link);
    delay = delay_us(sim, &target);
    if (delay <= 0) {
        reply(link, query, &answer);
        return;
    }
    delay += tg_clock_mono_us();
    if (!sim_late_add(sim, link, query, &answer, delay))
        reply(link, query, &answer);
    else
        sim_schedule(sim, delay);
}

/* ---- in ---- */

/* When the protocol wants to be asked again, on the monotonic clock. */
static int64_t link_deadline(const struct sim_link *link, int64_t mono_us)
{
    int64_t at = link->mt ? mt_server_conn_deadline(link->mt) : INT64_MAX;

    if (at == INT64_MAX)
        return INT64_MAX;
    return mono_us + TG_MAX(at - sim_now_us(link->dc->sim), TG_MS_US);
}

static uint8_t *on_room(void *ctx, size_t *ret_n)
{
    struct sim_link *link = ctx;

    *ret_n = SIM_IN_BYTES;
    return link->dc->sim->in;
}

/* Gathers the 64 bytes that a client behind a proxy sends first and picks the DC that they name.
 * @return false if the link is of no use */
static bool route(struct sim_link *link, const uint8_t *bytes, size_t n, size_t *ret_used)
{
    struct sim *sim = link->dc->sim;
    uint8_t copy[MT_INIT_SIZE];
    struct mt_obfuscation obfuscation = { .from_peer = NULL };
    struct mt_init said;
    int id;

    *ret_used = TG_MIN(n, (size_t)MT_INIT_SIZE - link->n_head);
    memcpy(link->head + link->n_head, bytes, *ret_used);
    link->n_head += *ret_used;
    if (link->n_head < MT_INIT_SIZE)
        return true;
    memcpy(copy, link->head, sizeof copy);
    if (!mt_obfuscation_accept(&obfuscation, copy, sim->secret, &said))
        return false;
    mt_obfuscation_done(&obfuscation);
    id = abs((int)said.dc) % 10000;
    if (id >= 1 && id <= SIM_DCS)
        link->dc = said.dc < 0 ? &sim->media[id] : &sim->dc[id];
    link->mt = mt_server_conn_new(link->dc->mt, link);
    return link->mt != NULL;
}

static tg_code feed(struct sim_link *link, const uint8_t *bytes, size_t n, struct tg_error *err)
{
    int64_t now_us = sim_now_us(link->dc->sim);
    size_t used = 0;
    tg_code code = TG_OK;

    if (!link->mt) {
        if (!route(link, bytes, n, &used))
            return tg_fail(err, TG_NOMEM, "connection");
        if (!link->mt)
            return TG_OK;
        code = mt_server_conn_input(link->mt, link->head, link->n_head, now_us, err);
    }
    if (code == TG_OK && n > used)
        code = mt_server_conn_input(link->mt, bytes + used, n - used, now_us, err);
    return code;
}

static void on_received(void *ctx, struct tg_conn *conn, size_t n)
{
    struct sim_link *link = ctx;
    struct sim *sim = link->dc->sim;
    struct tg_error err;
    tg_code code;

    (void)conn;
    assert(n <= SIM_IN_BYTES);
    sim->core.stats.bytes_in += n;
    link->busy = sim->feeding = true;
    code = feed(link, sim->in, n, &err);
    link->busy = sim->feeding = false;
    if (link->closed) {
        link_free(link);
        return;
    }
    if (code != TG_OK)
        sim_say(sim, "DC %d: connection %llu closed: %s", link->dc->id,
                (unsigned long long)link->number, err.message);
    if (code != TG_OK && !link->mt) {
        sim_link_close(link, false);
        return;
    }
    sim_schedule(sim, link_deadline(link, tg_clock_mono_us()));
    sim_link_flush(link);
}

static void on_drained(void *ctx, struct tg_conn *conn)
{
    struct sim_link *link = ctx;

    tg_conn_pause(conn, false);
    sim_link_flush(link);
}

static void on_closed(void *ctx, const struct tg_error *err)
{
    (void)err;
    link_gone(ctx);
}

static void on_opened(void *ctx, struct tg_conn *conn)
{
    (void)ctx;
    (void)conn;
}

/* ---- time ---- */

static void slow_step(struct sim_link *link, int64_t mono_us)
{
    struct sim_faults *f = &link->dc->sim->core.faults;
    size_t piece = link->slow.len / SPLIT_PIECES + 1;
    size_t n;

    if (!link->slow.len || mono_us < link->slow_at_us)
        return;
    n = 1 + sim_faults_draw(f, SIM_FAULT_SPLIT, TG_MAX(piece, (size_t)8));
    n = TG_MIN(n, link->slow.len);
    write_out(link, link->slow.data, n);
    tg_buf_shift(&link->slow, n);
    link->slow_at_us = mono_us + SPLIT_PAUSE_US;
}

int64_t sim_link_tick(struct sim_link *link, int64_t mono_us)
{
    int64_t now_us = sim_now_us(link->dc->sim);
    int64_t at;

    if (link->mt && mt_server_conn_deadline(link->mt) <= now_us) {
        link->busy = true; /* output follows below */
        mt_server_conn_tick(link->mt, now_us);
        link->busy = false;
        if (link->closed) {
            link_free(link);
            return INT64_MAX;
        }
    }
    slow_step(link, mono_us);
    at = link_deadline(link, mono_us);
    if (link->slow.len)
        at = TG_MIN(at, link->slow_at_us);
    sim_link_flush(link); /* may free the link */
    return at;
}

const struct tg_conn_events sim_link_events = {
    .opened = on_opened,
    .room = on_room,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};
