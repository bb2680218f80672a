/* SPDX-License-Identifier: MIT */
/*
 * session_impl.h - what the files of the client session share; nobody else includes it
 *
 *   session.c          lifetime, calls, clock, state
 *   session_send.c     what is due, packets, containers
 *   session_recv.c     checks of a packet, carriers, replies
 *   session_service.c  service messages of the server
 *
 * A call stands in exactly one of two lists: `queue` (to be sent) or `sent` (on its way on this
 * connection), and in the maps by number and, once it has one, by msg_id.
 */
#ifndef MT_SESSION_IMPL_H
#define MT_SESSION_IMPL_H

#include "mtproto/gzip.h"
#include "mtproto/idmap.h"
#include "mtproto/ids.h"
#include "mtproto/msg_ids.h"
#include "mtproto/session.h"
#include "mtproto/transport.h"
#include "tl/reader.h"

enum {
    MT_SEEN_MAX = 1000,         /* remembered server msg_ids */
    MT_PACKET_CALLS_MAX = 1000, /* calls in a container of ours */
    MT_PACKET_BYTES = 32 << 10, /* a container stays below; a larger call goes alone */
    MT_PACKET_ACKS_MAX = 1000,
    MT_ACKS_EAGER = 16,         /* more than that are sent alone at once */
    MT_RING_MAX = 256,          /* service messages of ours that the server may complain about */
    MT_ACKED_MAX = 1024,        /* acks that can be repeated when their carrier was refused */
    MT_SERVICE_BYTES = 256 << 10, /* service messages that wait */
    MT_SALTS_MAX = 64,
    MT_DOUBT_MAX = 64,          /* messages with a wrong time that wait for a verdict */
    MT_STATE_IDS_MAX = 100,     /* calls asked about at once */
    MT_REFUSALS_MAX = 16,       /* packets refused in a row before the connection is dropped */
    MT_GZIP_FROM = 255,         /* a request above that size is packed */
    MT_FORMER_MAX = 2,          /* session ids whose last messages are dropped silently */
};

#define MT_ACK_DELAY_US (20 * TG_SECOND_US)
#define MT_RESEND_WITHIN_US (290 * TG_SECOND_US) /* a server takes ids up to 300 s old */
#define MT_PAST_MAX_US (300 * TG_SECOND_US)
#define MT_FUTURE_MAX_US (30 * TG_SECOND_US)
#define MT_STALE_US (60 * TG_SECOND_US) /* a call without reply: ask what became of it */
#define MT_SALT_SETTLE_US (5 * TG_SECOND_US) /* a new salt is used that long after it began */
#define MT_SALT_STOCK_US (1800 * TG_SECOND_US) /* salts are asked for when less is left */

struct mt_pending {
    struct mt_pending *next, *prev;
    uint64_t number;
    uint64_t msg_id;    /* 0: none yet */
    uint64_t container; /* in which it was sent last; 0: alone */
    uint64_t after;     /* number of an earlier call, or 0 */
    uint64_t after_id;  /* its msg_id as written last */
    int64_t sent_us;    /* local time */
    void (*make_body)(void *ctx, uint64_t msg_id, uint64_t session_id, struct tg_buf *out);
    void *make_ctx;
    uint32_t seq_no;
    uint32_t quick_token; /* 0: none awaited */
    uint32_t len;
    bool sent; /* in which list */
    bool want_quick_ack;
    uint8_t body[];
};

struct mt_calls {
    struct mt_pending *first, *last;
};

/* A service message of ours: its kind says what to do when the server refuses it. */
enum mt_sent_kind {
    MT_SENT_CONTAINER = 1,
    MT_SENT_ACK,
    MT_SENT_PING,
    MT_SENT_SALTS,
    MT_SENT_STATE_REQ,
    MT_SENT_DESTROY, /* arg: session id */
    MT_SENT_DROP,
    MT_SENT_OTHER,
};

struct mt_sent {
    uint64_t msg_id, container, arg;
    enum mt_sent_kind kind;
};

struct mt_salt {
    int64_t since_us, until_us;
    uint8_t salt[8];
};

struct mt_session {
    struct mt_session_options options;
    struct mt_key key;
    uint8_t former_key_id[8]; /* 0: none. Its packets may still come after mt_session_set_key */
    uint8_t salt[8];
    uint64_t session_id, former[MT_FORMER_MAX];
    struct mt_transport *transport; /* borrowed; NULL: no connection */
    bool failed;                    /* FAILED was raised: nothing more on this connection */
    bool used;                      /* something was sent under this session id */
    unsigned epoch;                 /* changes when the packet in hand must not be read on */

    struct mt_clock clock;
    bool time_known;          /* the offset was measured, so times are checked */
    int64_t told_offset_us;   /* as last reported by MT_EVENT_TIME */
    uint32_t n_content;       /* content-related messages made */
    struct mt_seen seen;
    uint64_t doubt[MT_DOUBT_MAX]; /* content-related msg_ids with a wrong time */
    size_t n_doubt;
    bool in_doubt, doubt_future;
    int64_t doubt_moved_us; /* how far the clock was moved since */

    struct mt_calls queue, sent;
    struct mt_idmap by_number, by_msg_id;
    uint64_t last_number, last_unique_id;
    size_t n_after, queued_bytes;

    uint64_t *acks; /* to be acknowledged; grows to MT_IDS_MAX */
    size_t n_acks, cap_acks;
    int64_t ack_since_us;
    struct mt_acked { uint64_t id, carrier; } *acked; /* MT_ACKED_MAX; NULL before the first ack */
    size_t acked_at;
    struct mt_sent *ring; /* MT_RING_MAX; NULL before the first service message */
    size_t ring_at;
    struct tg_buf service; /* records: kind, length, arg, body */
    uint64_t state_ids[MT_STATE_IDS_MAX];
    size_t n_state_ids;

    struct mt_salt salts[MT_SALTS_MAX]; /* to come, ascending */
    size_t n_salts;
    int64_t salts_asked_us; /* local; 0: never on this connection */
    bool ping_due;
    uint64_t ping_id;
    int64_t ping_at_us, ping_sent_us, heard_us, stale_at_us, rtt_us;
    unsigned n_refused;      /* rounds of refusals since the last success */
    uint64_t refused_up_to;  /* ids of the round that is counted */

    struct tg_buf scratch, packet;
    struct mt_gzip *gzip;
    bool body_pooled; /* the event being raised has its body in the buffer of gzip */
};

/* What is known of the message being read. */
struct mt_in {
    uint64_t msg_id;
    uint32_t seq_no;
    uint8_t *body;
    size_t len;
    bool in_container, in_gzip, in_copy;
};

/* ---- session.c ---- */

/** Raises FAILED once; nothing more is read or written on this connection. */
void mt_session_fail(struct mt_session *s, tg_code code, int32_t transport_error,
                     const char *text);
void mt_session_event(struct mt_session *s, const struct mt_event *event);

/** Takes the owner's time; a leap puts the peer's time in doubt and a ping on its way. */
void mt_session_time(struct mt_session *s, int64_t now_us);

/** Sets the peer's time. Raises TIME where it moved. */
void mt_session_measured(struct mt_session *s, int64_t peer_us);
void mt_session_set_salt(struct mt_session *s, const uint8_t salt[8]);

/** Moves a sent call back to the queue's head; `renumber` takes its msg_id away. */
void mt_session_requeue(struct mt_session *s, struct mt_pending *call, bool renumber);

/** Moves all sent calls back in order. */
void mt_session_requeue_all(struct mt_session *s, bool renumber);

/** Takes a call out of list and maps. The caller frees it. */
void mt_session_unlink(struct mt_session *s, struct mt_pending *call);
void mt_calls_append(struct mt_calls *list, struct mt_pending *call);
void mt_calls_remove(struct mt_calls *list, struct mt_pending *call);

/* ---- session_send.c ---- */

/** Queues a service message; dropped silently when too many wait. */
void mt_session_service(struct mt_session *s, enum mt_sent_kind kind, uint64_t arg,
                        const struct tg_buf *body);
void mt_session_ack(struct mt_session *s, uint64_t msg_id);
const struct mt_sent *mt_session_sent_find(const struct mt_session *s, uint64_t msg_id);

/** Does again what the refused service messages were for. */
void mt_session_resend_service(struct mt_session *s, uint64_t msg_id);

/* ---- session_service.c ---- */

/** @return whether the constructor is a service message; it has then been handled */
bool mt_session_on_service(struct mt_session *s, uint32_t id, const struct mt_in *in);

#endif
