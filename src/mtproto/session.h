/* SPDX-License-Identifier: MIT */
/*
 * session.h - the client's side of one MTProto session over one connection at a time; no socket
 *
 * The session turns calls into messages and packets into replies: it numbers messages, batches them
 * into containers, gzips large ones, acknowledges, resends what was lost, follows salts and the
 * server's clock, pings, and hands each reply to the call it belongs to. Calls survive a reconnect:
 * those without a reply are sent again on the next connection under the same msg_id, so the server
 * can tell that it knows them.
 *
 *   owner                      session
 *   mt_session_call     --->   queued
 *   mt_session_flush    --->   packets appended to `out`    (write them to the socket)
 *   mt_session_packet   --->   events through on_event
 *   mt_session_tick     --->   at mt_session_deadline: acks, pings, time-outs
 *
 * Flush after each call, packet and tick: what became due is sent then. A reply that cannot be read
 * (broken gzip, no object) is raised as ERROR 500 REPLY_MALFORMED, so each call has one result. The
 * callback may call anything here but mt_session_free.
 *
 * Time: `now_us` is the owner's wall clock in Unix microseconds; it may jump, msg_ids never go
 * back. Facts: core.telegram.org/mtproto/service_messages, /service_messages_about_messages,
 * /description.
 *
 * Threads: none: one caller
 * Limits:  1000 calls and 32 KiB a container; 1000 remembered server msg_ids; 8192 ids an ack;
 *          inflated reply 64 MiB
 */
#ifndef MT_SESSION_H
#define MT_SESSION_H

#include "mtproto/envelope.h"

enum mt_event_kind {
    MT_EVENT_REPLY,       /* a call's result: body is the object, gzip already undone */
    MT_EVENT_ERROR,       /* a call's rpc_error: code and text */
    MT_EVENT_UPDATE,      /* any message that is no reply: an Updates object */
    MT_EVENT_NEW_SESSION, /* the server has a new session: updates may have been missed */
    MT_EVENT_SALT,        /* the salt changed: store it */
    MT_EVENT_TIME,        /* the clock offset changed: store it */
    MT_EVENT_QUICK_ACK,   /* a call with want_quick_ack was received */
    MT_EVENT_FAILED,      /* the connection must be dropped: err says why; calls stay queued */
};

struct mt_event {
    enum mt_event_kind kind;
    uint64_t call;       /* REPLY, ERROR, QUICK_ACK: as returned by mt_session_call */
    const uint8_t *body; /* REPLY, UPDATE: valid during the callback */
    size_t len;
    bool pooled;         /* the body stands in a buffer that mt_session_keep can hand over */
    int32_t code;        /* ERROR: rpc code; FAILED: transport error such as -404, or 0 */
    const char *text;    /* ERROR: NUL-terminated */
    const struct tg_error *err; /* FAILED */
};

struct mt_session_options {
    const struct tg_random *random;
    void (*on_event)(void *ctx, const struct mt_event *event);
    void *ctx;
    int64_t ping_every_us;     /* 0: 60 s; ping_delay_disconnect with 75/60 of it */
    int64_t silence_max_us;    /* 0: 3 missed pings; then FAILED with TG_TIMEOUT */
    bool gzip_requests;
};

struct mt_session;

/** `key` and `salt` are copied. time_offset_us = server clock - owner's clock, 0 if unknown. */
struct mt_session *mt_session_new(const struct mt_session_options *options,
                                  const struct mt_key *key, const uint8_t salt[8],
                                  int64_t time_offset_us);
void mt_session_free(struct mt_session *s); /* wipes the key; calls get no event */

/** A new connection is up: unanswered calls will be sent again, session id stays. */
void mt_session_connected(struct mt_session *s, struct mt_transport *transport, int64_t now_us);

/** The connection is gone. Calls stay queued. */
void mt_session_disconnected(struct mt_session *s);

/** Throws the session id away and starts a fresh one (calls are sent again with new msg_ids). */
void mt_session_restart(struct mt_session *s);

/** Replaces key and salt (a temporary key was renewed). Calls are sent again with new msg_ids. */
void mt_session_set_key(struct mt_session *s, const struct mt_key *key, const uint8_t salt[8]);

/** Options of one call. */
struct mt_call {
    const void *body; /* copied; len % 4 == 0 */
    size_t len;
    bool want_quick_ack;
    bool first;       /* before all queued ones (initConnection, bindTempAuthKey) */
    uint64_t after;   /* invokeAfterMsg of that earlier call; 0: none */
    /* auth.bindTempAuthKey must know its own msg_id: called once when it is assigned (and again if
     * the call is renumbered); appends the body. `body` is then ignored. */
    void (*make_body)(void *ctx, uint64_t msg_id, uint64_t session_id, struct tg_buf *out);
    void *make_ctx;
};

/** @return a number for the call, unique in this session object, never 0; 0 if out of memory */
uint64_t mt_session_call(struct mt_session *s, const struct mt_call *call);

/** Forgets a call: no event will come. Sends rpc_drop_answer if it was sent already. */
void mt_session_cancel(struct mt_session *s, uint64_t call);

/** Decrypts packets of the transport ahead, side by side; then mt_session_packet takes each. */
void mt_session_decrypt(const struct mt_session *s, struct mt_packet *packet, size_t n);

/** Takes one packet of the transport, decrypts it in place, raises events. */
void mt_session_packet(struct mt_session *s, struct mt_packet *packet, int64_t now_us);

/** Appends all that is due to out, framed for the socket. */
void mt_session_flush(struct mt_session *s, int64_t now_us, struct tg_buf *out);

/** Does what time brings. Call at or after the deadline, then flush. */
/** Gives memory back that only traffic needs. @return false, doing nothing, while something is on
 *  its way or waits to be sent */
bool mt_session_rest(struct mt_session *s);
void mt_session_tick(struct mt_session *s, int64_t now_us);

/** @return when mt_session_tick wants to be called, in the owner's microseconds; INT64_MAX: never
 */
int64_t mt_session_deadline(const struct mt_session *s);

/**
 * During on_event(REPLY with pooled): takes over the buffer that holds body (malloc'ed; free() it).
 * Saves the one copy that a large gzipped reply would cost.
 */
void *mt_session_keep(struct mt_session *s);

/** Facts for the owner: session id, current salt, offset, calls without reply, bytes queued. */
struct mt_session_state {
    uint64_t session_id;
    uint8_t salt[8];
    int64_t time_offset_us;
    size_t n_calls;
    size_t queued_bytes;
    int64_t rtt_us; /* of the last ping; 0 if none yet */
};
void mt_session_state(const struct mt_session *s, struct mt_session_state *ret);

#endif
