/* SPDX-License-Identifier: MIT */
/*
 * core.h - the simulated data centre without sockets: a query's bytes in, an answer's bytes out
 *
 *   mt_server --> sim_core_query --> wrap.c     wrappers peeled off, layer chosen
 *                                    core.c     who asks; limits, faults, takeout, login, bots
 *                                    methods.c  table of handlers, by area in rpc_*.c
 *                                    answer.c   encoded for the client's layer, gzip_packed
 *
 * A handler takes the call and the decoded request and gives a tree, or fails by name. It never
 * knows the layer.
 *
 * Threads: none: the simulator's loop
 */
#ifndef SIM_CORE_H
#define SIM_CORE_H

#include "sim/cache.h"
#include "sim/faults.h"
#include "sim/keys.h"
#include "sim/limits.h"
#include "sim/live.h"
#include "sim/sim.h"
#include "sim/stats.h"
#include "sim/world.h"
#include "tl/errors.h"
#include "tl/value.h"

enum {
    SIM_DCS = 2,
    SIM_CDN = SIM_DCS + 1, /* the CDN's DC: no logins, a key of its own */
    SIM_CDN_FILES = 1024,
    SIM_CODES_MAX = 64,    /* phone codes sent and not used yet */
    SIM_TOKENS_MAX = 64,   /* login tokens, exported authorizations */
    SIM_TOKEN = 32,        /* bytes of a login token */
    SIM_EXPORT = 128,      /* bytes of an exported authorization */
    SIM_CODE_LIFE_S = 300,
    SIM_TOKEN_LIFE_S = 30,
    SIM_SCHEMAS_MAX = 32,
    SIM_PAGE_MAX = 100,
};

/* A phone code that was sent. */
struct sim_code {
    char hash[19]; /* phone_code_hash; "" free */
    char phone[24];
    const struct sim_account *account; /* NULL: nobody has that number */
    int64_t sent_s;
};

/* A QR login under way, or an authorization on its way to another DC. */
struct sim_token {
    uint8_t bytes[SIM_EXPORT];
    size_t len;                        /* 0: free */
    int64_t expires_s;
    int dc;                            /* where it was made; of an export: where it goes */
    uint8_t key_id[8];                 /* who showed it */
    uint64_t session_id;
    const struct sim_account *account; /* who accepted it; NULL: nobody yet */
    struct sim_login *login;           /* of an export */
    int64_t id;                        /* of an export */
};

/* 2FA of one account, made when first asked for. */
struct sim_password {
    bool made;
    uint8_t salt1[40], salt2[16], v[TG_DH_BYTES];
};

/* A thread's size, counted once. */
struct sim_thread_count {
    uint32_t chat;
    int64_t top;
    uint64_t n;
};

/** Where things stand; filled by the owner before sim_core_start. */
struct sim_core {
    const struct sim_settings *set;
    struct sim_world *world;
    struct sim_keys *keys;
    struct tg_random random;
    char host[64];
    uint16_t port[SIM_CDN + 1], media_port[SIM_DCS + 1]; /* by DC id */
    const struct tg_rsa_private *cdn_rsa; /* NULL: there is no CDN */
    /* Sends an update to a session that is connected; may be NULL. */
    void (*push)(void *ctx, int dc, const struct sim_token *to, const struct tg_buf *body);
    void *push_ctx;
    /* Takes a line about a call that could not be served; may be NULL. */
    void (*say)(void *ctx, const char *line);
    void *say_ctx;
    /* filled by sim_core_start */
    struct sim_faults faults;
    struct sim_limits *limits;
    struct sim_stats stats;
    struct sim_cache *cache; /* NULL: none */
    struct sim_peers *peers;
    struct sim_live *live; /* NULL: nothing happens in the world */
    const struct tl_schema *schema[SIM_SCHEMAS_MAX]; /* ascending layers, without MTProto itself */
    struct tl_schema *loaded[SIM_SCHEMAS_MAX];
    size_t n_schemas, n_loaded;
    uint32_t unknown_id; /* a constructor id that no schema has */
    uint16_t *row;       /* symbol -> row of sim_methods + 1 */
    struct tg_arena arena;
    struct tg_buf encoded, scratch;
    struct libdeflate_compressor *deflate;
    struct sim_code code[SIM_CODES_MAX];
    struct sim_token token[SIM_TOKENS_MAX];
    struct sim_password *password; /* one per account */
    struct sim_thread_count thread[256];
    size_t n_threads;
    struct sim_dialogs *dialogs;   /* one list per account */
    int64_t cdn_has[SIM_CDN_FILES]; /* files that were brought to the CDN; the newest of a slot */
};

/** One query as it came. */
struct sim_request {
    int dc;
    struct sim_use *use; /* the connection's, until it is closed; NULL: to a media DC */
    const uint8_t *key_id;
    uint64_t session_id, msg_id;
    const uint8_t *body;
    size_t len;
    int64_t now_us;   /* server's clock */
};

/** What goes back. The bytes belong to the core until its next call. */
struct sim_answer {
    const uint8_t *body; /* NULL: an error */
    size_t len;
    int32_t code;
    char error[96];
    const char *method;  /* "" if it was not understood */
    int64_t chat;        /* that it names, if faults are meant for some chats; else 0 */
    const struct sim_account *listener; /* who wants updates on this connection; NULL: as before */
    int32_t layer;       /* of the listener */
};

/** What wrappers said. */
struct sim_wraps {
    bool layer_named, inited, no_updates, takeout, ranged;
    int32_t layer;
    int64_t takeout_id;
    int32_t range_min, range_max;
    bool after_failed; /* invokeAfterMsg of a query that failed */
};

/** One query while it is served. */
struct sim_call {
    struct sim_core *core;
    const struct sim_request *request;
    struct sim_key *key;         /* as used: may be temporary */
    struct sim_key *perm;        /* NULL: a temporary key that is not bound */
    struct sim_login *login;     /* NULL: nobody */
    const struct sim_account *me;
    struct sim_wraps wraps;
    const struct tl_schema *schema;
    struct tg_arena *arena;
    uint32_t symbol;             /* of the method */
    int64_t now_s;
    char error[96];              /* not "": failed */
    int32_t code;
    /* pages of history */
    bool cut;                    /* this page is to be short */
    int64_t chat;                /* marked id of what was read; 0 none */
    int32_t ids[SIM_PAGE_MAX];
    size_t n_ids;
};

typedef struct tl_value *(*sim_handler)(struct sim_call *c, const struct tl_value *q);

enum {
    SIM_METHOD_ANON = 1,    /* needs no login */
    SIM_METHOD_UNBOUND = 2, /* a temporary key need not be bound, a connection not be inited */
    SIM_METHOD_FOREIGN = 4, /* may be called outside the account's DC */
    SIM_METHOD_HISTORY = 8, /* gives pages of messages: may be cut short, is cached */
};

struct sim_method {
    uint16_t symbol;
    uint8_t flags;
    sim_handler handler;
};

extern const struct sim_method sim_methods[]; /* ends with symbol 0 */

/** Reads specs and schemas of core->set and makes tables. sim_core_stop afterwards in any case. */
tg_code sim_core_start(struct sim_core *core, struct tg_error *err) TG_MUST_CHECK;
void sim_core_stop(struct sim_core *core); /* world, keys stay the owner's */

/** Serves one query. */
void sim_core_query(struct sim_core *core, const struct sim_request *request,
                    struct sim_answer *ret);

/** What the server pushes to an account on that change, if it is its business, packed for a layer.
 *  @return false: nothing */
bool sim_core_push(struct sim_core *core, const struct sim_account *to, int32_t layer,
                   const struct sim_change *change, struct sim_answer *ret);
/** The world has changed: forgets what was worked out about it. */
void sim_core_changed(struct sim_core *core);

/* ---- for handlers ---- */

/** Fails the call with an RPC error of the table. @return NULL, so that it can stand in a return */
struct tl_value *sim_fail(struct sim_call *c, const char *error);
/** The same with a number behind the name: "FLOOD_WAIT", 17. */
struct tl_value *sim_fail_number(struct sim_call *c, const char *error, int64_t number);
/** The same with a code of one's own. */
struct tl_value *sim_fail_code(struct sim_call *c, int32_t code, const char *error);

/** @return the schema for a layer, or NULL if it is older than all */
const struct tl_schema *sim_core_schema(const struct sim_core *core, int32_t layer);

/** @return the schema that has a function of that id, the asked one first; NULL */
const struct tl_schema *sim_core_schema_of(const struct sim_core *core,
                                           const struct tl_schema *first, uint32_t id);

/** Ends a login, and with it the takeout that is open in it. */
void sim_core_end_login(struct sim_core *core, struct sim_login *login, enum sim_dead why);

/* wrap.c */

/** Peels wrappers off. @return false if malformed, after which c->error may be set */
bool sim_unwrap(struct sim_call *c, struct tl_reader *r);

/* answer.c */

/** Encodes the tree for the call's layer, makes what is asked for unknown, packs it. */
bool sim_answer_pack(struct sim_call *c, const struct tl_value *reply, struct sim_answer *ret);
/** Makes the compressor. @return false out of memory */
bool sim_answer_start(struct sim_core *core);
void sim_answer_stop(struct sim_core *core);

#endif
