/* SPDX-License-Identifier: MIT */
/*
 * client.h - one account's client: calls in, replies out; connections, keys and waits in between
 *
 * The client decides what to dial, makes keys (permanent, and temporary ones for forward secrecy),
 * wraps the first call in initConnection, sends each call on the right DC, follows migrations,
 * holds calls back while a limiter says so, and repeats what the retry policy lets it repeat. It
 * owns no socket: the owner dials, moves bytes, and lends its clock.
 *
 *   tgc_call -> gate (limiter of method and DC) -> session of that DC -> link -> owner's socket
 *
 * Links are numbered by DC slot; the owner answers each dial with tgc_link_up or tgc_link_down.
 * Time: now_us is Unix microseconds for protocol purposes and must not jump back while in use; the
 * owner derives it from a monotonic clock plus an offset taken at start.
 *
 * Threads: none: all calls on the owner's loop      Limits: 4096 calls at once
 */
#ifndef TG_CLIENT_H
#define TG_CLIENT_H

#include "flow/circuits.h"
#include "flow/limiter.h"
#include "flow/retry.h"
#include "flow/share.h"
#include "mtproto/transport.h"
#include "telegram/session_data.h"
#include "tl/schema.h"

struct tgc;

/** Connections to each media DC, and links in all: numbers below that are the owner's. */
enum { TGC_MEDIA_LINKS = 2, TGC_MEDIA_DCS = 8,
       TGC_LINKS_MAX = TG_DC_MAX + TGC_MEDIA_DCS * TGC_MEDIA_LINKS };

enum tgc_notice_kind {
    TGC_CONNECTING, /* dc, host */
    TGC_CONNECTED,  /* dc: calls go out */
    TGC_LOST,       /* dc, err, wait_us until the next try */
    TGC_FLOOD,      /* method, wait_us: the server asked to wait */
    TGC_RETRY,      /* method, err, wait_us: a call will be repeated */
    TGC_LOGGED_OUT, /* the authorization is gone; err */
    TGC_CIRCUIT,    /* a breaker changed its state: circuit; wait_us, err: as there */
    TGC_APART,      /* limits are not shared any more; err: why; method, rate_milli, workers: the
                       rate that is kept meanwhile of one method, and how many shared it */
    TGC_TOGETHER,   /* they are shared again */
    TGC_UNREADABLE, /* bytes, err: an object of a reply is left out; see tg_reply_value */
    TGC_ASKED,      /* method: a call was taken in; one of the next follows in any case */
    TGC_UPDATES,    /* dc, bytes: an Updates object that the server pushed */
    TGC_NEW_SESSION, /* dc: what was pushed before may be lost */
    TGC_ENDED,      /* method, err (NULL: it was answered): how that went; took_us: since it was
                       last sent, 0 never; dc; what `call` tells of it */
};

struct tgc_notice {
    enum tgc_notice_kind kind;
    int32_t dc;
    const char *method;
    int64_t wait_us, took_us;
    const struct tg_error *err;
    const struct tg_circuit_change *circuit;
    int64_t rate_milli, workers;
    const uint8_t *bytes; /* of the object, during the call; no call may be made in it */
    size_t len;
    struct {              /* of TGC_FLOOD, TGC_RETRY and TGC_ENDED: which call that is */
        uint64_t number;  /* 0: none of the owner's */
        int64_t chat;
        int64_t age_us;   /* since it was taken in */
        uint32_t n_floods, n_retries;
        int64_t flood_wait_s;
    } call;
};

struct tgc_io {
    void *ctx;
    /** Starts connecting a link. Answer later with tgc_link_up or tgc_link_down. */
    void (*dial)(void *ctx, uint32_t link, const struct tg_dc_address *where);
    void (*send)(void *ctx, uint32_t link, const void *bytes, size_t n);
    void (*hang_up)(void *ctx, uint32_t link); /* no link_down follows */
    /** The session data changed in a way that must survive: store it. */
    void (*save)(void *ctx);
    void (*notice)(void *ctx, const struct tgc_notice *notice);
};

/** An ask of a gate: flow/share.h. */
struct tgc_share_query {
    struct tg_share_ask ask;
    int64_t account;       /* user id */
    bool test;             /* of the test servers */
    const char *method;    /* static text */
    int32_t dc;
    uint64_t number;       /* for the reply; 0: none is awaited */
};

/** The way to the store that holds the limits which several workers share. */
struct tgc_share_io {
    void *ctx;
    /** Passes an ask on without waiting. Unless number is 0, tgc_share_reply or tgc_share_gone is
     *  called later. @return false, with why, if it cannot be passed on */
    bool (*ask)(void *ctx, const struct tgc_share_query *query, struct tg_error *err);
};

struct tgc_options {
    const struct tgc_io *io;
    const struct tg_random *random;
    const struct tg_datacenter *where; /* borrowed */
    struct tg_session_data *session;   /* borrowed, changed in place */
    struct mt_transport_options transport;
    bool pfs;                 /* use temporary keys; renewed before they end */
    int64_t temp_key_s;       /* their life; 0: 24 h */
    struct tg_limiter_options limit; /* for every method, unless tgc_limit sets another; methods
                                        that Telegram limits far below others are held to a lower
                                        rate if it is adaptive */
    const struct tgc_share_io *share; /* limits are shared with other workers; NULL: not */
    /* For 5xx and time-outs; its backoff (base_us 0: the default) and its attempts (5 are enough
       before the first success) for connecting too. A call whose connection is lost goes again on
       the next one: that is no retry. retry_on 0: RateLimit, NetworkError, ServerError. */
    struct tg_retry_policy retry;
    /* Breakers (flow/circuits.h) count how calls go; they open if there is a threshold or a rate.
       Zeroes: tg_circuit_defaults. */
    struct tg_breaker_options breaker;
    bool circuit_fails;       /* calls end with TG_CIRCUIT while one is open; else they wait */
    int64_t call_timeout_us;  /* without any reply; 0: 60 s; then the call is repeated */
    int64_t call_deadline_us; /* from tgc_call to its end, at most; 0: none */
    const struct tl_schema *schema; /* layer that is announced and read; NULL: 228; borrowed */
    const char *device, *system, *app_version, *lang; /* for initConnection; NULL: defaults */
};

struct tgc *tgc_new(const struct tgc_options *options, int64_t now_us); /* NULL out of memory */
/** Calls that are still open end with TG_CANCELLED; no new ones are taken meanwhile. */
void tgc_free(struct tgc *c);

/* ---- the owner's side of links ---- */
void tgc_link_up(struct tgc *c, uint32_t link, int64_t now_us);
void tgc_link_down(struct tgc *c, uint32_t link, const struct tg_error *why, int64_t now_us);
uint8_t *tgc_link_room(struct tgc *c, uint32_t link, size_t *ret_n);
void tgc_link_received(struct tgc *c, uint32_t link, size_t n, int64_t now_us);
void tgc_tick(struct tgc *c, int64_t now_us);
int64_t tgc_deadline(const struct tgc *c); /* when tgc_tick wants to run; INT64_MAX never */

/* ---- calls ---- */

struct tgc_reply {
    tg_code code;          /* TG_OK with body; else err is filled */
    const struct tg_error *err;
    int32_t dc;            /* who answered */
    int32_t rpc_code;      /* 400, 420, ...; 0 if the failure is not the server's */
    const char *rpc_text;  /* "CHANNEL_PRIVATE"; "" */
    const uint8_t *body;   /* the result object, valid during the callback */
    size_t len;
    bool pooled;           /* tgc_keep can take the buffer over */
    uint32_t n_floods;     /* flood waits on the way */
    int64_t flood_wait_s;
    int64_t first_sent_us;  /* before any flood wait */
    int64_t sent_us, now_us;
};

typedef void (*tgc_done)(void *ctx, const struct tgc_reply *reply);

struct tgc_request {
    const void *body;      /* copied */
    size_t len;
    const char *method;    /* name for limiter, notices and statistics; static text */
    int32_t dc;            /* 0: home */
    int64_t chat;          /* that it is about, for its breaker; 0: none */
    bool before_login;     /* may be sent while not logged in */
    bool once;             /* not idempotent: never repeated after it may have been received */
    bool follow_home;      /* PHONE/NETWORK/USER_MIGRATE change the home DC and repeat */
    bool flood_fails;      /* hand FLOOD_WAIT to the caller instead of waiting */
    bool urgent;           /* goes before all that wait and are not, at the limiters too */
    tgc_done done;
    void *ctx;
};

/** @return a number to cancel with; 0 out of memory or past the limit (done is not called) */
uint64_t tgc_call(struct tgc *c, const struct tgc_request *request, int64_t now_us);
void tgc_cancel(struct tgc *c, uint64_t call); /* no callback; unknown numbers are nothing */
/** Ends every open call: each done is called with `why`. */
void tgc_fail_all(struct tgc *c, const struct tg_error *why);
/** During done: takes over the malloc'ed buffer that holds body; NULL if not pooled. */
void *tgc_keep(struct tgc *c);

/**
 * Writes into the session data what the limiters have learned and which breakers are open. What it
 * says of a method at a DC is taken up by the first call that asks there, unless it is older than
 * 30 days; of the account's and the DCs' breakers by the next client.
 * @return whether something changed that the owner should store
 */
bool tgc_note_learned(struct tgc *c, int64_t now_us);

/** How the calls of the last minute went: the worst of the breakers of the account, its home DC and
 *  that chat (0: none). */
void tgc_health(const struct tgc *c, int64_t chat, int64_t now_us, struct tg_breaker_health *ret);
/** The breakers of chats, which clients share; borrowed until it is called with NULL. */
void tgc_set_chats(struct tgc *c, struct tg_circuit_chats *chats);

/** Sets the limits of one method; method NULL: the default. */
void tgc_limit(struct tgc *c, const char *method, const struct tg_limiter_options *options,
               int64_t now_us);
/** Tokens left for a method at the home DC; -1 unknown. And how long a call would wait now. */
int32_t tgc_limit_remaining(const struct tgc *c, const char *method, int64_t now_us);
int64_t tgc_limit_wait(const struct tgc *c, const char *method, int64_t now_us);
/** The rate of a method at the home DC that was configured or learned, in thousandths of a request
 *  per second; 0 while none is. */
int64_t tgc_limit_rate(const struct tgc *c, const char *method);

/* ---- limits that are shared ---- */
void tgc_share_reply(struct tgc *c, uint64_t number, const struct tg_share_reply *reply,
                     int64_t now_us);
void tgc_share_gone(struct tgc *c, uint64_t number, const struct tg_error *why, int64_t now_us);
/** Another worker was told to wait. */
void tgc_share_closed(struct tgc *c, const char *method, int32_t dc, int64_t wait_us,
                      int64_t now_us);
/** Gives back what is left: to be called once, before the end. */
void tgc_share_leave(struct tgc *c);

/**
 * Tells where CDNs are and their keys. A CDN may be called with upload.getCdnFile alone, and as
 * before_login. What was told before is forgotten. @param cdn  moved into the client
 */
void tgc_set_cdn(struct tgc *c, struct tg_datacenter *cdn);
/** @return whether it is known where that CDN is */
bool tgc_knows_cdn(const struct tgc *c, int32_t dc);

/** Tells where the media DC of a DC is, which takes several connections of a login. */
void tgc_set_media(struct tgc *c, int32_t dc, const struct tg_dc_address *where);
/** @return what a request's `dc` is to be, so that it goes on connection n (from 0) of that DC's
 *  media DC; the DC itself as long as that cannot be */
int32_t tgc_media(const struct tgc *c, int32_t dc, uint32_t n);

/** All calls from now on are wrapped in invokeWithTakeout(id); 0 ends that. */
void tgc_set_takeout(struct tgc *c, int64_t takeout_id);

/** The schema replies are written in (layer 228). */
const struct tl_schema *tgc_schema(const struct tgc *c);
struct tg_session_data *tgc_session(struct tgc *c);
const struct tg_random *tgc_random(const struct tgc *c);

/** Tells the owner that an object of a reply is left out. */
void tgc_unreadable(struct tgc *c, const struct tg_error *why, const uint8_t *bytes, size_t len);
/** The session data was changed: the owner is asked to store it. */
void tgc_save(struct tgc *c);
/** Forgets login and keys of all DCs, in the session and in links; the next call makes new keys. */
void tgc_forget_login(struct tgc *c);

struct tgc_stats {
    uint64_t n_requests, n_floods, n_retries, n_reconnects, n_circuit_opened, bytes_in, bytes_out;
    int64_t flood_wait_s;
    size_t n_open; /* calls without reply */
    size_t n_links; /* connections that stand */
    int64_t rtt_us;
};
void tgc_stats(const struct tgc *c, struct tgc_stats *ret);


#endif
