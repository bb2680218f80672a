/* SPDX-License-Identifier: MIT */
/*
 * server.c - the data centre as a process: starts, listens, serves, stops
 *
 * Threads: the loop's; sim_stop from any
 */
#include "sim/server.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/auth.h"

#define TOKEN_POLL_US (200 * TG_MS_US)

int64_t sim_now_us(const struct sim *sim)
{
    return tg_clock_unix_us() + sim->core.faults.clock_s * TG_SECOND_US;
}

void sim_say(struct sim *sim, const char *fmt, ...)
{
    char line[400];
    va_list ap;

    if (!sim->on_line)
        return;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    sim->on_line(sim->line_ctx, line);
}

/* ---- time ---- */

void sim_schedule(struct sim *sim, int64_t mono_us)
{
    if (mono_us >= sim->timer_at_us)
        return;
    sim->timer_at_us = mono_us;
    tg_timer_at(sim->timer, mono_us);
}

static void accept_tokens(struct sim *sim)
{
    char phone[24];

    if (sim_files_accept(sim, phone) && sim_auth_accept_all(&sim->core, phone))
        sim_say(sim, "login token accepted for %s", phone);
}

/* Ticks every link once. One link's output may end another, and then the walk begins again. */
static int64_t tick_links(struct sim *sim, int64_t mono_us)
{
    struct sim_link *link = sim->links;
    int64_t next = INT64_MAX;

    sim->n_rounds++;
    while (link) {
        struct sim_link *following = link->next;
        uint64_t n_freed = sim->n_freed;

        if (link->ticked != sim->n_rounds) {
            int64_t at;

            link->ticked = sim->n_rounds;
            at = sim_link_tick(link, mono_us); /* TG_MIN would call it twice */
            next = TG_MIN(next, at);
        }
        link = sim->n_freed == n_freed ? following : sim->links;
    }
    return next;
}

static void on_timer(void *ctx)
{
    struct sim *sim = ctx;
    int64_t mono_us = tg_clock_mono_us();
    int64_t next, links, live;

    sim->timer_at_us = INT64_MAX;
    live = sim_live_run(sim, mono_us);
    next = sim_late_run(sim, mono_us);
    next = TG_MIN(next, live);
    if (sim_auth_tokens_wait(&sim->core, sim_now_us(sim) / TG_SECOND_US)) {
        accept_tokens(sim);
        next = TG_MIN(next, mono_us + TOKEN_POLL_US);
    }
    links = tick_links(sim, mono_us);
    next = TG_MIN(next, links);
    sim_schedule(sim, next);
}

/* ---- callbacks of the protocol ---- */

static void on_key(void *ctx, const struct mt_handshake_result *made)
{
    struct sim_dc *dc = ctx;
    struct sim *sim = dc->sim;
    int64_t now_s = sim_now_us(sim) / TG_SECOND_US;
    struct mt_key key = made->key;

    if (made->temp_expires_in && !key.expires_at)
        key.expires_at = now_s + made->temp_expires_in;
    sim->core.stats.handshakes++;
    if (!sim_keys_add(sim->core.keys, &key, dc->id, now_s))
        sim_say(sim, "DC %d: out of memory for a key", dc->id);
    mt_key_wipe(&key);
}

static bool key_lost(const struct sim *sim, const struct sim_key *key)
{
    int64_t now_s = sim_now_us(sim) / TG_SECOND_US;
    int64_t life_s = sim->set.temp_key_loss_s;

    if (!key->key.expires_at)
        return false;
    return key->key.expires_at <= now_s || (life_s && now_s - key->created_s >= life_s);
}

static const struct mt_key *find_key(void *ctx, const uint8_t id[8])
{
    struct sim_dc *dc = ctx;
    struct sim_key *key = sim_keys_find(dc->sim->core.keys, dc->id, id);

    if (!key || (dc->sim->feeding && key_lost(dc->sim, key)))
        return NULL;
    return &key->key; /* what is answered meanwhile is still sent */
}

static bool on_destroy_key(void *ctx, const uint8_t id[8])
{
    struct sim_dc *dc = ctx;
    struct sim_keys *keys = dc->sim->core.keys;
    struct sim_key *key = sim_keys_find(keys, dc->id, id);

    if (!key)
        return false;
    if (key->login && !key->login->dead)
        sim_core_end_login(&dc->sim->core, key->login, SIM_LOGGED_OUT);
    sim_keys_drop(keys, key);
    return true;
}

static void on_output(void *ctx, struct mt_server_conn *conn)
{
    (void)ctx;
    sim_link_flush(mt_server_conn_user(conn));
}

static void on_query(void *ctx, struct mt_server_conn *conn, const struct mt_query *query)
{
    struct sim_dc *dc = ctx;
    struct sim *sim = dc->sim;

    sim_link_query(dc, conn, query);
    if (sim_auth_tokens_wait(&sim->core, sim_now_us(sim) / TG_SECOND_US))
        sim_schedule(sim, tg_clock_mono_us() + TOKEN_POLL_US);
}

static void push(void *ctx, int dc, const struct sim_token *to, const struct tg_buf *body)
{
    struct sim *sim = ctx;

    for (struct sim_link *link = sim->links; link; link = link->next) {
        if (link->dc->id != dc || link->session_id != to->session_id || link->closed)
            continue;
        mt_server_push(link->mt, to->session_id, body->data, body->len, sim_now_us(sim));
        sim_link_flush(link); /* may free it, so no more of the list after that */
        return;
    }
}

static void say(void *ctx, const char *line)
{
    sim_say(ctx, "%s", line);
}

/* ---- starting ---- */

static tg_code dc_start(struct sim *sim, int id, bool media, uint16_t port, struct tg_error *err)
{
    struct sim_dc *dc = media ? &sim->media[id] : &sim->dc[id];
    struct mt_server_options options = {
        .random = &sim->random,
        .rsa = id == SIM_CDN ? sim->cdn_rsa : sim->rsa,
        .proxy_secret = sim->set.proxy_secret ? sim->secret : NULL,
        .ctx = dc,
        .on_key = on_key,
        .find_key = find_key,
        .on_query = on_query,
        .on_destroy_key = on_destroy_key,
        .on_output = on_output,
        .handshake_retries = sim->set.handshake_retry ? 1 : 0,
        .dc = id,
    };

    dc->sim = sim;
    dc->id = id;
    dc->media = media;
    dc->mt = mt_server_new(&options);
    if (!dc->mt)
        return tg_fail(err, TG_NOMEM, "data centre %d", id);
    return tg_listen(sim->loop, sim->core.host, port, sim_link_accept, dc, &dc->listener,
                     media ? &sim->core.media_port[id] : &sim->core.port[id], err);
}

/* "127.0.0.1:4430" or "[::1]:4430" */
static tg_code listen_parse(struct sim *sim, uint16_t *ret_port, struct tg_error *err)
{
    const char *text = sim->set.listen ? sim->set.listen : "127.0.0.1:0";
    const char *colon = strrchr(text, ':');
    bool bracket = text[0] == '[';
    const char *from = text + bracket;
    size_t len;
    int64_t port;

    if (!colon || !tg_i64_parse(colon + 1, &port) || port < 0 || port > 65536 - 2 * SIM_DCS)
        return tg_fail(err, TG_USAGE, "an address to listen on is HOST:PORT, not '%.80s'", text);
    len = (size_t)(colon - from);
    if (bracket && (len == 0 || from[--len] != ']'))
        return tg_fail(err, TG_USAGE, "an address to listen on is HOST:PORT, not '%.80s'", text);
    if (len == 0 || len >= sizeof sim->core.host)
        return tg_fail(err, TG_USAGE, "an address to listen on is HOST:PORT, not '%.80s'", text);
    snprintf(sim->core.host, sizeof sim->core.host, "%.*s", (int)len, from);
    *ret_port = (uint16_t)port;
    return TG_OK;
}

static tg_code secret_parse(struct sim *sim, struct tg_error *err)
{
    const char *hex = sim->set.proxy_secret;

    if (!hex)
        return TG_OK;
    if (strlen(hex) == 34 && !strncmp(hex, "dd", 2))
        hex += 2;
    if (!tg_unhex(sim->secret, sizeof sim->secret, hex, strlen(hex)))
        return tg_fail(err, TG_USAGE, "a proxy secret is 32 hex digits");
    return TG_OK;
}

static tg_code world_start(struct sim *sim, struct tg_error *err)
{
    struct sim_world_options options = { .seed = (uint64_t)sim->set.seed,
                                         .n_chats = (uint32_t)sim->set.chats,
                                         .n_messages = (uint64_t)sim->set.messages,
                                         .holes_percent = (int)sim->set.holes,
                                         .file_max = sim->set.file_max,
                                         .files_empty = (int)sim->set.files_empty,
                                         .import = sim->set.import,
                                         .discussions =
                                             (enum sim_discussions)sim->set.discussions };
    tg_code code = sim_world_new(&options, &sim->core.world, err);

    if (code == TG_OK)
        code = sim_keys_new(&tg_fs_system, sim->set.dir, sim->core.world, &sim->core.keys, err);
    if (code == TG_OK) {
        sim->core_started = true;
        code = sim_core_start(&sim->core, err);
    }
    return code;
}

static tg_code net_start(struct sim *sim, struct tg_error *err)
{
    uint16_t port = 0;
    tg_code code = listen_parse(sim, &port, err);

    if (code == TG_OK)
        code = tg_loop_new(&sim->loop, err);
    if (code == TG_OK)
        code = tg_timer_new(sim->loop, on_timer, sim, &sim->timer, err);
    for (int i = 0; i < 2 * SIM_DCS && code == TG_OK; i++)
        code = dc_start(sim, i % SIM_DCS + 1, i >= SIM_DCS, port ? (uint16_t)(port + i) : 0, err);
    return code;
}

/* Its key is told in the configuration, so a new one at each start will do. */
static tg_code cdn_start(struct sim *sim, struct tg_error *err)
{
    if (!sim->set.cdn)
        return TG_OK;
    sim->cdn_rsa = tg_rsa_private_generate(&sim->random);
    if (!sim->cdn_rsa)
        return tg_fail(err, TG_NOMEM, "RSA key of the CDN");
    sim->core.cdn_rsa = sim->cdn_rsa;
    return dc_start(sim, SIM_CDN, false, 0, err);
}

static void on_wake(void *ctx)
{
    struct sim *sim = ctx;

    tg_loop_stop(sim->loop);
}

static tg_code start(struct sim *sim, struct tg_error *err)
{
    tg_code code = secret_parse(sim, err);

    if (code == TG_OK)
        code = sim_files_identity(sim, err);
    if (code == TG_OK)
        code = world_start(sim, err);
    if (code == TG_OK)
        code = net_start(sim, err);
    if (code == TG_OK)
        code = cdn_start(sim, err);
    if (code == TG_OK)
        code = tg_wake_new(sim->loop, on_wake, sim, &sim->wake, err);
    if (code == TG_OK)
        code = sim_files_world(sim, err);
    if (code == TG_OK)
        code = sim_files_changes(sim, err);
    /* Last, since whoever waits for the file connects at once. */
    return code == TG_OK ? sim_files_datacenter(sim, err) : code;
}

tg_code sim_start(const struct sim_settings *settings, struct sim **ret, struct tg_error *err)
{
    struct sim *sim = calloc(1, sizeof *sim);
    tg_code code;

    if (!sim)
        return tg_fail(err, TG_NOMEM, "data centre");
    sim->set = *settings;
    sim->random = tg_random_system();
    sim->timer_at_us = INT64_MAX;
    sim->core.set = &sim->set;
    sim->core.random = sim->random;
    sim->core.push = push;
    sim->core.push_ctx = sim;
    sim->core.say = say;
    sim->core.say_ctx = sim;
    code = settings->dir ? start(sim, err)
                         : tg_fail(err, TG_USAGE, "a simulator needs a directory (--dir DIR)");
    if (code != TG_OK) {
        sim_free(sim);
        return code;
    }
    *ret = sim;
    return TG_OK;
}

/* ---- running ---- */

static tg_code write_files(struct sim *sim, struct tg_error *err)
{
    tg_code code = sim_files_live(sim, err);

    return code == TG_OK ? sim_files_stats(sim, err) : code;
}

static void on_signal(void *ctx, int signum)
{
    struct sim *sim = ctx;
    struct tg_error err;

    if (signum == SIGUSR2 && sim->core.live) {
        sim_live_poke(sim->core.live, tg_clock_mono_us());
        sim_schedule(sim, 0);
    } else if (signum == SIGUSR1) {
        if (write_files(sim, &err) != TG_OK)
            sim_say(sim, "%s", err.message);
    } else if (signum != SIGUSR2) {
        tg_loop_stop(sim->loop);
    }
}

tg_code sim_run(struct sim *sim, void (*on_line)(void *ctx, const char *line), void *ctx,
                struct tg_error *err)
{
    tg_code code;

    sim->on_line = on_line;
    sim->line_ctx = ctx;
    code = tg_signals_watch(sim->loop, on_signal, sim, err);
    if (code == TG_OK)
        code = tg_signals_also(sim->loop, SIGUSR1, err);
    if (code == TG_OK)
        code = tg_signals_also(sim->loop, SIGUSR2, err);
    if (code != TG_OK)
        return code;
    sim_say(sim, "listening on %s: DC 1 at port %u, DC 2 at port %u; for media %u and %u",
            sim->core.host, sim->core.port[1], sim->core.port[2], sim->core.media_port[1],
            sim->core.media_port[2]);
    if (sim->core.live)
        sim_schedule(sim, sim_live_due(sim->core.live));
    tg_loop_run(sim->loop);
    return write_files(sim, err);
}

void sim_stop(struct sim *sim)
{
    tg_wake_send(sim->wake);
}

void sim_free(struct sim *sim)
{
    if (!sim)
        return;
    while (sim->links)
        sim_link_close(sim->links, false);
    for (int id = 1; id <= SIM_DCS; id++) {
        tg_listener_close(sim->dc[id].listener);
        tg_listener_close(sim->media[id].listener);
    }
    tg_listener_close(sim->dc[SIM_CDN].listener);
    mt_server_free(sim->dc[SIM_CDN].mt);
    for (int id = 1; id <= SIM_DCS; id++) {
        mt_server_free(sim->dc[id].mt);
        mt_server_free(sim->media[id].mt);
    }
    sim_late_done(sim);
    if (sim->changes)
        tg_fs_system.close(&tg_fs_system, sim->changes);
    tg_timer_free(sim->timer);
    tg_wake_free(sim->wake);
    tg_loop_free(sim->loop);
    if (sim->core_started)
        sim_core_stop(&sim->core);
    sim_keys_free(sim->core.keys);
    sim_world_free(sim->core.world);
    tg_rsa_private_free(sim->rsa);
    tg_rsa_private_free(sim->cdn_rsa);
    free(sim);
}

const struct sim_world *sim_world_of(const struct sim *sim)
{
    return sim->core.world;
}
