/* SPDX-License-Identifier: MIT */
/*
 * client_impl.h - the client's insides, shared by client.c (calls and what their answers
 * mean), client_send.c (gates, sending, time), client_link.c (one DC's connection, keys, session),
 * client_auth.c (logins on further DCs), client_circuit.c (the breakers), client_share.c (limits
 * that workers share) and client_wire.c (wrappers and error texts)
 *
 * Inside a session's callback no link is closed and no session freed: whoever wants that sets
 * `failed`, and the link is dropped when the bytes at hand are done with. A done callback may make,
 * cancel and end calls, so lists are walked from their start again after one
 *
 *   call:  WAITING --gate open, link ready--> SENT --reply--> done
 *             ^------ flood, 5xx, migration ------'
 *
 *   link:  DOWN --dial--> DIALING --up--> KEY (permanent) -> TEMP_KEY -> BINDING -> READY
 *            ^--------------------- any failure, with backoff -----------------------'
 */
#ifndef TG_CLIENT_IMPL_H
#define TG_CLIENT_IMPL_H

#include "mtproto/session.h"
#include "telegram/client.h"

enum { TGC_CALL_MAX = 4096, TGC_CALL_CHUNK = 4, TGC_GATE_MAX = 128, TGC_RPC_TEXT_MAX = 96 };

#define TGC_REST_US (5 * TG_SECOND_US) /* of silence, before memory is given back */

enum tgc_call_state { TGC_CALL_FREE, TGC_CALL_WAITING, TGC_CALL_SENT };

struct tgc_call_slot {
    enum tgc_call_state state;
    struct tgc_call_slot *older, *newer; /* calls in use, in order of arrival */
    uint32_t slot;             /* which of TGC_CALL_MAX this is */
    uint64_t number;           /* what tgc_call returned */
    struct tgc_request request;
    uint8_t *body;             /* owned copy, wrappers not included */
    struct tgc_gate *gate;     /* while SENT */
    int32_t dc;                /* where it goes now (after migrations); 0: home */
    int32_t sent_dc;           /* while SENT: where it is, even if home moved since */
    int64_t due_us;            /* not before */
    int64_t asked_us;
    int64_t first_sent_us;
    int64_t sent_us;
    uint64_t mt_call;          /* the session's number while SENT */
    bool inited;               /* it carried initConnection */
    struct tg_retry_call retry;
    struct tg_circuit_pass pass; /* of the breakers, while SENT */
    uint32_t migrations;
    uint32_t n_floods, n_retries;
    int64_t flood_wait_s;
};

/* A limiter of one method at one DC. */
struct tgc_gate {
    const char *method;
    int32_t dc;
    struct tg_limiter limiter;
    struct tg_share *share; /* owned; NULL: the limiter alone decides */
    uint64_t asked;         /* number of the ask whose reply is awaited; 0: none */
};

enum tgc_link_state {
    TGC_DOWN,
    TGC_DIALING,
    TGC_KEY,      /* making the permanent key */
    TGC_TEMP_KEY, /* making a temporary key */
    TGC_READY,    /* the session runs; calls wait for `bound` when keys are temporary */
};

struct tgc_link {
    struct tgc *client;        /* callbacks of the session get the link */
    enum tgc_link_state state;
    int32_t dc;                /* of a media DC's: see tgc_real_dc */
    uint32_t index;            /* within tgc.link */
    uint32_t slot;             /* within session->dc */
    struct tg_dc_address media; /* of a media DC; host "": it is none */
    struct mt_transport *transport;
    struct mt_handshake *handshake;
    struct mt_session *session;
    struct mt_key temp;        /* expires_at 0: none */
    uint8_t temp_salt[8];
    bool bound, binding;
    uint64_t bind_call;
    int64_t bind_due_us;       /* not bound before: the server asked to wait, or was in trouble */
    uint32_t bind_attempts;    /* in a row that met server trouble, on this connection */
    uint32_t n_key_unknown;    /* -404 in a row for the permanent key */
    uint32_t bind_invalid;     /* in a row that the server could not read */
    bool inited;               /* initConnection went through on this session */
    bool failed;               /* the connection must be dropped, when no callback runs */
    bool forget;               /* then its keys and session are of no use any more either */
    bool receiving;            /* bytes are being taken in */
    bool hopeless;             /* it failed too often: calls for it end with `why` */
    bool was_ready;            /* in this run */
    int64_t key_made_us;       /* when the permanent key was made; 0: in an earlier run */
    struct tg_error why;
    int64_t retry_us;          /* not dialled before; 0: at once */
    uint32_t attempts;
    int64_t since_us;          /* start of the present state */
    int64_t rest_us;           /* when memory for bursts is given back; INT64_MAX: it was */
    uint64_t plain_msg_id;     /* of the last handshake message */
    struct tg_buf out;
    enum { TGC_AUTH_NONE, TGC_AUTH_RUNNING } importing; /* login on a further DC */
};

struct tgc {
    struct tgc_options options;
    /* Slots, found by number % TGC_CALL_MAX; made a chunk at a time, for most clients need few. */
    struct tgc_call_slot **chunk;
    size_t n_chunks;
    struct tgc_call_slot *oldest, *newest;
    struct tgc_call_slot *unused; /* free slots, linked by `newer` */
    bool closing;                 /* no more calls are taken */
    size_t n_calls;               /* in use */
    uint64_t last_number;
    struct tgc_gate **gate; /* each stays where it is */
    size_t n_gates;
    uint64_t asked;         /* the last ask for a share */
    bool apart;             /* limits are meant to be shared, but the store is gone */
    struct tg_retry_budget retry_budget;
    struct tg_circuits circuits;
    struct tgc_link *link[TGC_LINKS_MAX]; /* as session->dc, then to media DCs; NULL: not needed so
                                             far */
    struct {
        int32_t dc;
        struct tg_dc_address where;
    } media[TGC_MEDIA_DCS];
    size_t n_media;
    bool media_off; /* they were of no use */
    int64_t takeout_id;
    struct tg_datacenter cdn; /* CDNs, and all their keys */
    struct tg_dh_cache dh_cache; /* primes of servers that were tested */
    struct tgc_stats stats;
    struct mt_session *replying; /* during a done callback: whose buffer may be kept */
    const struct tl_schema *schema;
    int64_t now_us;
};

/* @return the DC that a call is for */
static inline int32_t tgc_call_dc(const struct tgc *c, const struct tgc_call_slot *call)
{
    return call->dc ? call->dc : c->options.session->home_dc;
}

/* Connection n of a media DC is known by the number of its DC plus (n + 1) * TGC_MEDIA_STEP. */
enum { TGC_MEDIA_STEP = 10000 };

static inline int32_t tgc_real_dc(int32_t dc)
{
    return dc % TGC_MEDIA_STEP;
}

/* Whether a link's keys are temporary: a CDN takes no binding. */
static inline bool tgc_pfs(const struct tgc_link *link)
{
    return link->client->options.pfs && !tgc_knows_cdn(link->client, link->dc);
}

/* client.c */
void tgc_finish(struct tgc *c, struct tgc_call_slot *call, struct tgc_reply *reply);
void tgc_notify(struct tgc *c, const struct tgc_notice *notice);
/* Calls that were sent on a link whose session was thrown away wait again. */
void tgc_requeue_link(struct tgc *c, int32_t dc);
void tgc_on_reply(struct tgc *c, struct tgc_link *link, const struct mt_event *event);
/* Ends a call without a reply from the server. */
void tgc_fail_call(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *why);
/* Ends the calls there are now that `matches`; not those that a callback makes meanwhile. */
void tgc_fail_calls(struct tgc *c,
                    bool (*matches)(const struct tgc *c, const struct tgc_call_slot *call,
                                    int32_t dc),
                    int32_t dc, const struct tg_error *why);

/* Asks the retry policy about a failure of the call. @return microseconds to wait before it is made
 * again; -1: not again, and err's hint says why unless the failure speaks for itself */
int64_t tgc_retry_wait(struct tgc *c, struct tgc_call_slot *call, struct tg_error *err);

/* client_send.c */
struct tgc_gate *tgc_gate_of(struct tgc *c, const char *method, int32_t dc);

/* client_share.c */
/* Its limiter begins anew. @return false out of memory */
bool tgc_gate_begin(struct tgc *c, struct tgc_gate *gate);
int64_t tgc_gate_take(struct tgc *c, struct tgc_gate *gate); /* as tg_limiter_take */
int64_t tgc_gate_peek(const struct tgc *c, const struct tgc_gate *gate, int64_t now_us);
int64_t tgc_gate_flood(struct tgc *c, struct tgc_gate *gate, int64_t sent_us, int64_t wait_s);
int32_t tgc_gate_remaining(const struct tgc *c, const struct tgc_gate *gate, int64_t now_us);
void tgc_share_tick(struct tgc *c);
int64_t tgc_share_deadline(const struct tgc *c);

/* client_link.c */
struct tgc_link *tgc_link_of(struct tgc *c, int32_t dc); /* NULL: no such DC */
bool tgc_link_ready(const struct tgc_link *link);
void tgc_link_want(struct tgc *c, struct tgc_link *link, int64_t now_us); /* dials if down */
void tgc_link_flush(struct tgc *c, struct tgc_link *link, int64_t now_us);
void tgc_link_drop(struct tgc *c, struct tgc_link *link, const struct tg_error *why,
                   int64_t now_us);
void tgc_link_tick(struct tgc *c, struct tgc_link *link, int64_t now_us);
int64_t tgc_link_deadline(const struct tgc *c, const struct tgc_link *link);
/* Drops the connection as soon as that can be, with session and temporary key. */
void tgc_link_forget(struct tgc *c, struct tgc_link *link, const struct tg_error *why);
void tgc_link_forget_temp(struct tgc_link *link);
void tgc_link_free(struct tgc_link *link); /* NULL is nothing */
void tgc_handshake_packet(struct tgc *c, struct tgc_link *link, struct mt_packet *packet,
                          int64_t now_us);
/* The server does not know the key that was used. */
void tgc_key_unknown(struct tgc *c, struct tgc_link *link);

/* What is stored of the link's DC. */
struct tg_dc_state *tgc_dc_state(struct tgc *c, const struct tgc_link *link);

/* client_bind.c */
bool tgc_waits_to_bind(const struct tgc_link *link);
void tgc_bind_when_due(struct tgc_link *link, int64_t now_us);
void tgc_on_bind_reply(struct tgc *c, struct tgc_link *link, const struct mt_event *event);
/* The server has lost the permanent key. */
void tgc_key_gone(struct tgc *c, struct tgc_link *link);

/* client_circuit.c */
void tgc_circuit_init(struct tgc *c);
/* @return how long no call like that may leave; the tick dials no DC meanwhile */
int64_t tgc_circuit_wait(const struct tgc *c, int32_t dc, int64_t chat);
/* @return whether the call may not leave for that DC now; err is filled then */
bool tgc_circuit_refuses(const struct tgc *c, int32_t dc, const struct tgc_call_slot *call,
                         struct tg_error *err);
void tgc_circuit_take(struct tgc *c, struct tgc_call_slot *call);
/* The call had its reply (err NULL) or its error; or neither counts any more. */
void tgc_circuit_verdict(struct tgc *c, struct tgc_call_slot *call, const struct tg_error *err);
void tgc_circuit_forget(struct tgc *c, struct tgc_call_slot *call);
/* A connection failed, or could not be made. */
void tgc_circuit_lost(struct tgc *c, int32_t dc, const struct tg_error *why);
/* Writes into the session how they stand. @return whether the owner should store that */
bool tgc_circuit_note(struct tgc *c, int64_t now_us);

/* client_auth.c: exports the login to a further DC; calls for it wait */
void tgc_auth_import(struct tgc *c, struct tgc_link *link, int64_t now_us);
bool tgc_auth_needed(const struct tgc *c, const struct tgc_link *link);
/* The authorization is gone: calls that need it fail, keys are forgotten. */
void tgc_logged_out(struct tgc *c, const struct tg_error *why);

/* client_wire.c */
void tgc_wrap(const struct tgc *c, const struct tgc_link *link, const struct tgc_call_slot *call,
              struct tg_buf *out);

/** What an rpc_error asks for. */
enum tgc_verdict {
    TGC_FAIL,        /* hand it to the caller */
    TGC_WAIT,        /* 420: number = seconds */
    TGC_MOVE_HOME,   /* PHONE/NETWORK/USER_MIGRATE: number = DC */
    TGC_MOVE_CALL,   /* FILE/STATS_MIGRATE: number = DC */
    TGC_REPEAT,      /* server trouble: repeat with backoff */
    TGC_REINIT,      /* send initConnection again */
    TGC_REBIND,      /* the temporary key is not bound any more */
    TGC_REAUTH,      /* 401 on a DC that is not home: export the login again */
    TGC_DEAD,        /* the authorization is gone */
};
enum tgc_verdict tgc_judge(int32_t code, const char *text, int64_t *ret_number);
tg_code tgc_rpc_code(int32_t code, const char *text);

#endif
