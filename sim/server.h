/* SPDX-License-Identifier: MIT */
/*
 * server.h - inside the simulated data centre: sockets, connections, answers that are late
 *
 *   sim --- dc[1], media[1] --- mt_server, listener each
 *       \-- dc[2], media[2] --- ...
 *       \-- links: one per TCP connection, each with its mt_server_conn
 *       \-- late: answers by the time they are due
 *
 * Two clocks: the loop's timer goes by the monotonic one; what clients are told goes by the wall
 * clock, moved by the fault `clock`.
 *
 * Threads: the loop's; sim_stop from any      Limits: 10,000 connections
 */
#ifndef SIM_SERVER_H
#define SIM_SERVER_H

#include "mtproto/session_server.h"
#include "os/loop.h"
#include "sim/core.h"

enum {
    SIM_LINKS_MAX = 10000,
    SIM_IN_BYTES = 256 << 10,
    SIM_OUT_PAUSE = 16 << 20, /* a client that reads so slowly is not read from */
};

struct sim_dc {
    struct sim *sim;
    int id;
    bool media;           /* its media DC: the same keys, as many connections as one likes */
    struct tg_listener *listener;
    struct mt_server *mt;
};

/* How a connection ends after the answer under way. */
enum sim_ending { SIM_STAY, SIM_DROP, SIM_HALF, SIM_RESET };

struct sim_link {
    struct sim_link *next, *prev;
    struct sim_dc *dc;
    struct tg_conn *conn; /* NULL: closed */
    struct mt_server_conn *mt; /* NULL until the DC is known */
    uint8_t head[64];          /* behind a proxy: what came until then */
    size_t n_head;
    uint64_t number;
    uint64_t ticked;           /* the round of ticks that it was last part of */
    uint64_t session_id;  /* of its last query */
    const struct sim_account *listener; /* whom changes are pushed to here; NULL: nobody */
    uint64_t heard;       /* the session that it is pushed to */
    int32_t layer;        /* of the listener */
    struct tg_buf late_push; /* goes out after the next one */
    struct sim_use use;
    enum sim_ending ending;
    bool busy;            /* inside mt_server_conn_input: output follows */
    bool closed;          /* freed when no longer busy */
    /* bytes that leave in small pieces */
    struct tg_buf slow;
    bool split;
    int64_t slow_at_us;   /* monotonic */
};

/* An answer that is late. */
struct sim_late {
    int64_t due_us;       /* monotonic */
    uint64_t order;       /* of its making: keeps equal times in order */
    struct sim_link *link; /* NULL: the connection is gone */
    uint64_t session_id, msg_id;
    int32_t code;
    char error[96];
    uint8_t *body; /* NULL: an error */
    size_t len;
};

struct sim {
    struct sim_settings set;
    struct tg_random random;
    struct tg_rsa_private *rsa, *cdn_rsa;
    uint8_t secret[16];
    struct sim_core core;
    struct tg_loop *loop;
    struct tg_timer *timer;
    int64_t timer_at_us;
    struct tg_wake *wake;
    struct sim_dc dc[SIM_CDN + 1], media[SIM_DCS + 1]; /* by id */
    struct sim_link *links;
    size_t n_links;
    uint64_t n_accepted, n_freed, n_rounds;
    struct sim_late *late; /* heap */
    size_t n_late, late_cap;
    uint64_t n_late_ever;
    struct sim_change change; /* the one that happens */
    struct tg_file *changes;  /* changes.txt; NULL: not written */
    uint8_t in[SIM_IN_BYTES];
    void (*on_line)(void *ctx, const char *line);
    void *line_ctx;
    bool core_started;
    bool feeding; /* bytes of a client are being read */
};

/** @return the clock that clients are told, Unix microseconds */
int64_t sim_now_us(const struct sim *sim);

/** Makes the timer fire at that time, if not earlier. */
void sim_schedule(struct sim *sim, int64_t mono_us);

/** One line to whoever runs the simulator. */
void sim_say(struct sim *sim, const char *fmt, ...) TG_PRINTF(2, 3);

/* link.c */

extern const struct tg_conn_events sim_link_events;
/** tg_listen's accept. @return NULL to refuse */
void *sim_link_accept(void *dc, struct tg_conn *conn, const struct tg_conn_events **ret);
void sim_link_close(struct sim_link *link, bool reset);
/** Writes what is due. */
void sim_link_flush(struct sim_link *link);
/** mt_server's callback: serves a query, now or late. */
void sim_link_query(void *dc, struct mt_server_conn *conn, const struct mt_query *query);
/** Everything that time brings to a link. @return when to come back, monotonic */
int64_t sim_link_tick(struct sim_link *link, int64_t mono_us);

/* late.c */

/** Keeps an answer until due_us. @return false out of memory */
bool sim_late_add(struct sim *sim, struct sim_link *link, const struct mt_query *query,
                  const struct sim_answer *answer, int64_t due_us);
/** Sends all that is due. @return when the next one is */
int64_t sim_late_run(struct sim *sim, int64_t mono_us);
/** The link is gone: its answers will not be sent. */
void sim_late_forget(struct sim *sim, const struct sim_link *link);
void sim_late_done(struct sim *sim);

/* server_live.c */

/** Notes on a link who wants updates there, as the answer to its query tells. */
void sim_link_listens(struct sim_link *link, const struct sim_answer *answer);
/** Makes all that is due happen. @return when the next change is */
int64_t sim_live_run(struct sim *sim, int64_t mono_us);

/* files_live.c */

/** Writes live-CHAT.txt and ids-CHAT.txt anew. */
tg_code sim_files_live(const struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
/** Opens changes.txt. */
tg_code sim_files_changes(struct sim *sim, struct tg_error *err) TG_MUST_CHECK;

/* files.c */

tg_code sim_files_identity(struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
tg_code sim_files_datacenter(const struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
tg_code sim_files_world(const struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
/** Writes ids-CHAT.txt of every chat. */
tg_code sim_files_ids(const struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
tg_code sim_files_media(const struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
tg_code sim_files_stats(const struct sim *sim, struct tg_error *err) TG_MUST_CHECK;
/** Reads and removes DIR/accept-login. @return whether it held a phone */
bool sim_files_accept(const struct sim *sim, char phone[24]);

#endif
