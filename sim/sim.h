/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the simulated Telegram data centre, as one call: what `tgdata sim` runs
 *
 * Two DCs of real MTProto over TCP on loopback, serving a world of world.h, writing
 * DIR/datacenter.json once they listen:
 *
 *   { "dcs": [{"id":1,"host":"127.0.0.1","port":N}, ...], "public_key": "-----BEGIN RSA ...",
 *     "main_dc": 2, "test": false,
 *     "accounts": [{"phone":"...","code":"...","password":"..."?,"bot_token":"..."?}, ...] }
 *
 * Other files of DIR: rsa.pem and keys (identity, logins; kept over a restart), world.json (chats
 * with id, title, kind, username, messages, top_id), ids-CHAT.txt with `truth`, live-CHAT.txt and
 * changes.txt with `truth` and `live`, files-CHAT.txt with `truth_files`, and accept-login, which a
 * test writes: the phone in it accepts the login tokens (QR codes) that wait.
 *
 * Threads: sim_run uses the calling thread until stopped by a signal or sim_stop
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "base/option.h"

/** Settings; filled from the table below by command line or tests. */
struct sim_settings {
    const char *dir;
    const char *listen;     /* 127.0.0.1:0 */
    int64_t seed;
    int64_t chats;
    int64_t messages;       /* per chat */
    int64_t holes;          /* percent, -1 default */
    int64_t discussions;    /* enum sim_discussions of world.h */
    int64_t file_max;       /* bytes */
    int64_t files_empty;    /* percent of plain documents */
    int64_t cdn;            /* percent of files */
    int64_t latency_ms;
    struct tg_option_list flood; /* METHOD=RATE/BURST */
    const char *faults;     /* SPEC: see sim/faults.h */
    struct tg_option_list schema; /* further layers */
    const char *live;       /* RATE/SPEC: see sim/live.h; NULL: nothing happens */
    const char *import;     /* result.json */
    const char *proxy_secret; /* 32 hex digits: DCs are behind an MTProto proxy */
    const char *stats;      /* file: counters as JSON, written on SIGUSR1 and at the end */
    bool truth;             /* write DIR/ids-CHAT.txt: the ids of each chat, for tests */
    bool truth_files;       /* write DIR/files-CHAT.txt: what each chat's files hold */
    bool handshake_retry;   /* answer dh_gen_retry once */
    int64_t cache_mb;       /* finished replies kept, for benchmarks; 0 none */
    int64_t temp_key_loss_s; /* forget temporary keys after that many seconds; 0 never */
};

extern const struct tg_option sim_options[];

struct sim;

/** Starts listening on the calling thread's own loop and writes datacenter.json. */
tg_code sim_start(const struct sim_settings *settings, struct sim **ret, struct tg_error *err);
/** Serves until SIGINT, SIGTERM or sim_stop. `on_line` gets one line per event worth telling. */
tg_code sim_run(struct sim *sim, void (*on_line)(void *ctx, const char *line), void *ctx,
                struct tg_error *err);
void sim_stop(struct sim *sim); /* from any thread or a signal handler */
void sim_free(struct sim *sim);

/** For tests in the same process: the world that is served. */
struct sim_world;
const struct sim_world *sim_world_of(const struct sim *sim);

#endif
