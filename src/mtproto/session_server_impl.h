/* SPDX-License-Identifier: MIT */
/*
 * session_server_impl.h - what the files of the server role share; nobody else includes it
 *
 *   session_server.c        data centre, connections, plain packets, faults
 *   session_server_store.c  memory of keys, sessions, answers
 *   session_server_recv.c   checks of a packet, carriers, queries
 *   session_server_service.c  service messages
 *   session_server_send.c   messages to packets
 *
 * A session keeps its messages to the client in the order they were made. Those due stand in a
 * second list as well. One that is not content-related leaves both when it is sent; the others stay
 * until acknowledged, and become due again when the session appears on another connection.
 */
#ifndef MT_SESSION_SERVER_IMPL_H
#define MT_SESSION_SERVER_IMPL_H

#include "mtproto/gzip.h"
#include "mtproto/idmap.h"
#include "mtproto/ids.h"
#include "mtproto/msg_ids.h"
#include "mtproto/session_server.h"
#include "tl/reader.h"

enum {
    MT_SRV_SESSIONS_MAX = 4096, /* of one data centre; the longest idle one goes first */
    MT_SRV_KEYS_MAX = 4096,     /* whose first salt is remembered */
    MT_SRV_SEEN_MAX = 2048,     /* remembered msg_ids of a client */
    MT_SRV_KEPT_MAX = 1000,     /* sent messages that wait for an acknowledgement */
    MT_SRV_KEPT_BYTES = 64 << 20,
    MT_SRV_DUE_MAX = 65536,     /* unsent messages; a client that reads so slowly is cut off */
    MT_SRV_ACKS_MAX = 1024,
    MT_SRV_ACKS_EAGER = 16,
    MT_SRV_HANDSHAKES_MAX = 256, /* at once; their answers are kept for 10 minutes */
    MT_SRV_CONN_KEYS_MAX = 4,   /* keys in use on a connection */
    MT_SRV_ERRORS_MAX = 10,     /* -404 answers before a connection is closed */
    MT_SRV_PACKET_BYTES = 64 << 10, /* containers stay below; larger messages go alone */
    MT_SRV_SALTS_MAX = 64,
    MT_SRV_OUT_HIGH = 1 << 20,  /* no more is framed while the owner has that much to write */
    MT_SRV_OUT_MAX = 64 << 20,
    MT_SRV_REMIND_MAX = 64,     /* messages mentioned at once */
};

#define MT_SRV_ACK_DELAY_US (10 * TG_SECOND_US)
#define MT_SRV_HOLD_US (20 * TG_MS_US)
#define MT_SRV_REMIND_US (60 * TG_SECOND_US) /* an unacknowledged message is mentioned again */
#define MT_SRV_SALT_EVERY_US (1800 * TG_SECOND_US)

/* Flags of mt_seen_entry: what became of a query. */
enum {
    MT_QUERY_RUNNING = 1,
    MT_QUERY_ANSWERED = 2, /* the answer is kept, or was acknowledged */
    MT_QUERY_DROPPED = 4,  /* by rpc_drop_answer: the answer is not wanted */
    MT_QUERY_MOVED = 8,    /* came again on another connection while running */
};

/* A message to a client: body follows. */
struct mt_srv_msg {
    struct mt_srv_msg *next, *prev;         /* all of the session */
    struct mt_srv_msg *due_next, *due_prev; /* those to be sent */
    uint64_t msg_id, req_msg_id;            /* req_msg_id: what it answers; 0: nothing */
    int64_t sent_us;
    uint32_t seq_no, len;
    bool content, due, answer; /* answer: an rpc_result, found by req_msg_id */
    uint8_t body[];
};

struct mt_srv_session {
    struct mt_srv_session *next, *prev; /* in the server's list, newest use first */
    uint8_t key_id[8];
    uint64_t session_id, slot;
    struct mt_server_conn *conn;        /* where its messages go; NULL: nowhere now */
    struct mt_srv_session *conn_next;   /* of the same connection */
    bool announced;                     /* new_session_created was sent */
    uint32_t n_content;
    uint64_t last_id;
    struct mt_seen seen;
    struct mt_srv_msg *first, *last, *due_first, *due_last;
    struct mt_idmap by_id, by_req; /* kept messages */
    size_t n_kept, kept_bytes, n_due;
    size_t n_running; /* queries without answer; some may have left the window since */
    uint64_t acks[MT_SRV_ACKS_MAX];
    size_t n_acks;
    int64_t ack_since_us, remind_us;
};

struct mt_srv_key {
    uint8_t id[8], first_salt[8];
    int64_t made_us; /* 0: free */
};

struct mt_srv_handshake {
    uint8_t nonce[16];
    struct mt_handshake_server *h;
};

struct mt_server {
    struct mt_server_options options;
    struct mt_clock clock; /* last_id is unused: each session has its own */
    uint64_t secret;       /* of the salts and of the session table */
    struct mt_idmap sessions;
    struct mt_srv_session *first, *last;
    size_t n_sessions;
    struct mt_srv_key keys[MT_SRV_KEYS_MAX];
    size_t key_at;
    uint32_t last_conn;
    uint64_t plain_id; /* last msg_id of a plain answer */
    struct mt_srv_handshake handshake[MT_SRV_HANDSHAKES_MAX]; /* outlive their connections */
    size_t handshake_at;
    struct mt_gzip *gzip;
    struct tg_buf scratch, packet;
};

struct mt_server_conn {
    struct mt_server *server;
    void *user;
    uint32_t number; /* tags queries that run for this connection */
    struct mt_transport *transport;
    struct mt_srv_session *sessions;
    uint8_t keys[MT_SRV_CONN_KEYS_MAX][8];
    size_t n_keys;
    struct tg_buf out;
    unsigned fault[MT_FAULT_COUNT];
    uint8_t *held; /* a packet that MT_FAULT_REORDER holds back */
    size_t held_len;
    int64_t held_since_us;
    int64_t disconnect_us; /* 0: never */
    unsigned n_errors;
    bool closing;
};

/* The message being read. */
struct mt_srv_in {
    struct mt_server_conn *conn;
    struct mt_srv_session *session;
    uint64_t msg_id;
    uint32_t seq_no;
    uint8_t *body;
    size_t len;
    uint64_t container; /* that holds it; 0: none */
    bool in_gzip, in_copy;
};

/* ---- store ---- */

struct mt_srv_session *mt_srv_find(const struct mt_server *s, const uint8_t key_id[8],
                                   uint64_t session_id);
/** Finds or makes a session and moves it to the connection. NULL if out of memory. */
struct mt_srv_session *mt_srv_attach(struct mt_server_conn *c, const uint8_t key_id[8],
                                     uint64_t session_id);
void mt_srv_detach(struct mt_srv_session *session);
void mt_srv_forget(struct mt_server *s, struct mt_srv_session *session);

/**
 * Makes a message and puts it in line. `req_msg_id` is the message that it answers, or 0. body may
 * be NULL, then the caller fills it.
 *
 * @return the message; NULL if out of memory or the client reads too slowly
 */
struct mt_srv_msg *mt_srv_add(struct mt_srv_session *session, bool content, uint64_t req_msg_id,
                              const void *body, size_t len);
void mt_srv_due(struct mt_srv_session *session, struct mt_srv_msg *m);
void mt_srv_undue(struct mt_srv_session *session, struct mt_srv_msg *m);
void mt_srv_drop(struct mt_srv_session *session, struct mt_srv_msg *m);

/** Drops the oldest messages that were sent, while there are too many. */
void mt_srv_bound(struct mt_srv_session *session);
uint64_t mt_srv_msg_id(struct mt_srv_session *session, struct mt_server *s, unsigned kind);

void mt_srv_key_made(struct mt_server *s, const uint8_t id[8], const uint8_t first_salt[8]);

/** The salt of a key that is valid now, newest first, and whether one given is valid. */
void mt_srv_salt(const struct mt_server *s, const uint8_t key_id[8], uint8_t ret[8]);
bool mt_srv_salt_valid(const struct mt_server *s, const uint8_t key_id[8], const uint8_t salt[8]);
void mt_srv_salt_at(const struct mt_server *s, const uint8_t key_id[8], int64_t period,
                    uint8_t ret[8]);

/* ---- receiving ---- */

/** Takes one encrypted packet. @return false if it is not from a holder of the key */
bool mt_srv_packet(struct mt_server_conn *c, struct mt_packet *packet);

/** Queues an answer to a message that needs no acknowledgement. */
void mt_srv_say(const struct mt_srv_in *in, const struct tg_buf *body);
bool mt_srv_is_service(uint32_t id);

/** @return whether it is a service message; it has then been answered. `r` stands behind the id. */
bool mt_srv_service(const struct mt_srv_in *in, uint32_t id, struct tl_reader *r);

/* ---- sending ---- */

/** Frames what is due, up to MT_SRV_OUT_HIGH bytes. */
void mt_srv_output(struct mt_server_conn *c);

/** Lets go of a packet that a fault holds back. */
void mt_srv_release(struct mt_server_conn *c);

/** Mentions messages that have waited long for an acknowledgement. */
void mt_srv_remind(struct mt_srv_session *session, const struct mt_server *s);
bool mt_srv_acks_due(const struct mt_srv_session *session, const struct mt_server *s);
void mt_srv_ack(struct mt_srv_session *session, const struct mt_server *s, uint64_t msg_id);
void mt_srv_unack(struct mt_srv_session *session, uint64_t msg_id);

#endif
