/* SPDX-License-Identifier: MIT */
/*
 * session_server.h - the server's side of MTProto sessions, for the simulated data centre
 *
 * One object serves one connection, without a socket: it opens packets with the key that they name,
 * checks salts, msg_ids and seq_nos as a real server does (bad_server_salt, bad_msg_notification
 * with every code), answers the service messages itself, and raises each RPC query. Per-key and
 * per-session memory (received ids, unacknowledged answers that are sent again on reconnect) lives
 * in mt_server, shared by all connections of one data centre.
 *
 * Answers go to the connection where the session was heard last. A query that comes again is not
 * raised again; queries raised for a connection that is freed without an answer are forgotten, so
 * that the client's repetition raises them anew. No call may free a connection from a callback.
 *
 * Threads: none: one caller for a mt_server and all its connections
 * Limits:  1024 messages a container, 8192 ids an ack, 1000 remembered answers a session
 */
#ifndef MT_SESSION_SERVER_H
#define MT_SESSION_SERVER_H

#include "mtproto/envelope.h"
#include "mtproto/transport.h"

struct mt_server;
struct mt_server_conn;

/** One RPC query of a client. */
struct mt_query {
    const uint8_t *key_id; /* 8 bytes */
    uint64_t session_id;
    uint64_t msg_id;
    uint8_t *body;         /* valid during the callback */
    size_t len;
};

struct mt_server_options {
    const struct tg_random *random;
    const struct tg_rsa_private *rsa;
    const uint8_t *proxy_secret; /* NULL or 16 bytes */
    void *ctx;
    /* A key was made. expires_at of a temporary key is set. Keep it, to give it to find_key. */
    void (*on_key)(void *ctx, const struct mt_handshake_result *made);
    /* @return the key with that id, or NULL (the client then gets -404); borrowed until the next
     * call into this module */
    const struct mt_key *(*find_key)(void *ctx, const uint8_t id[8]);
    /* A query came; answer now or later with mt_server_reply. */
    void (*on_query)(void *ctx, struct mt_server_conn *conn, const struct mt_query *query);
    /* The client asked to drop the key. @return whether it existed */
    bool (*on_destroy_key)(void *ctx, const uint8_t id[8]);
    /* Optional: something became due on this connection through a call on another one. */
    void (*on_output)(void *ctx, struct mt_server_conn *conn);
    int64_t salt_every_us; /* how often the salt changes; 0: 30 min */
    int handshake_retries; /* dh_gen_retry before dh_gen_ok */
    int32_t dc;            /* whoever makes a key for another gets -444; 0: no matter */
};

struct mt_server *mt_server_new(const struct mt_server_options *options);
void mt_server_free(struct mt_server *s); /* after all its connections */

struct mt_server_conn *mt_server_conn_new(struct mt_server *s, void *user);
void mt_server_conn_free(struct mt_server_conn *c); /* the session memory stays in the server */
void *mt_server_conn_user(const struct mt_server_conn *c);

/** Bytes from the socket; answers are appended to what mt_server_conn_output gives. */
tg_code mt_server_conn_input(struct mt_server_conn *c, const void *bytes, size_t n, int64_t now_us,
                             struct tg_error *err); /* failure: close the connection after output */
/** Does what time brings: reminders of unacknowledged messages, held packets, disconnect_delay. */
void mt_server_conn_tick(struct mt_server_conn *c, int64_t now_us);
/** Frames what is due and @return the buffer to write and then tg_buf_clear. */
struct tg_buf *mt_server_conn_output(struct mt_server_conn *c, int64_t now_us);
int64_t mt_server_conn_deadline(const struct mt_server_conn *c);
bool mt_server_conn_closing(const struct mt_server_conn *c);

/** How one reply is packed. */
struct mt_reply {
    uint64_t session_id;
    uint64_t req_msg_id;
    const void *body;    /* the object; already gzip_packed if gzipped */
    size_t len;
};
void mt_server_reply(struct mt_server_conn *c, const struct mt_reply *reply, int64_t now_us);
void mt_server_error(struct mt_server_conn *c, uint64_t session_id, uint64_t req_msg_id,
                     int32_t code, const char *text, int64_t now_us);

/** Pushes an update to a session (content-related, resent until acknowledged). */
void mt_server_push(struct mt_server_conn *c, uint64_t session_id, const void *body, size_t len,
                    int64_t now_us);

/* Deliberate misbehaviour for fault tests: each does what it says to what is sent next. */
enum mt_server_fault {
    MT_FAULT_BAD_SALT,       /* answer the next query with bad_server_salt */
    MT_FAULT_CLOCK_BEHIND,   /* answer the next query with bad_msg_notification 17 */
    MT_FAULT_DUPLICATE,      /* send the next answer's packet twice */
    MT_FAULT_REORDER,        /* hold the next packet until one more has been sent (or the tick) */
    MT_FAULT_NEW_SESSION,    /* announce new_session_created though it is not new */
    MT_FAULT_TRANSPORT_404,  /* send a transport error -404 and close */
    MT_FAULT_TRANSPORT_429,
    MT_FAULT_TRANSPORT_444,
    MT_FAULT_GARBAGE,        /* flip a bit of the next packet's ciphertext */
    MT_FAULT_COUNT
};
void mt_server_fault(struct mt_server_conn *c, enum mt_server_fault fault);

#endif
