/* SPDX-License-Identifier: MIT */
/*
 * pool.h - which connection serves which piece of work
 *
 * A member is one authorization on one DC: a login of an account with its connection. Several
 * logins of an account share its quota; one login has one connection on an ordinary DC (a second
 * one would end it: AUTH_KEY_DUPLICATED) and may have several on a media DC.
 *
 *   UP --network failure--> DOWN --backoff--> probed --answer--> UP      (one member)
 *   UP --wait of more than a minute--> LIMITED --the wait is over--> UP  (all of the account)
 *   any --login ended--> OUT                                             (all of the login)
 *
 * Work is given to a member when it is added and stays there. Among the members that may serve it
 * and are UP, those with room for one more call first, the choice is by workload:
 *
 *   bulk_historical   most quota left, shared among what was put there since it was told; unknown
 *                     quota counts as more than any other
 *   real_time         lowest latency; a member that was never measured counts as fastest
 *   high_priority     a reserved member, of these or else of all the fastest; besides, a share of
 *                     each member's calls in flight is kept for it
 *
 * then fewest pieces of work, then whoever was chosen longest ago. Reserved members serve other
 * work only if nobody else that is not OUT may serve it.
 *
 * Work whose member is not UP any more is moved (tg_pool_move) as soon as another may serve it, and
 * never to the one where it failed last while there is another. If there is none it stays, or waits
 * without a member if that is OUT or it failed there; it is told of like a move when somebody can
 * serve it.
 *
 * A member that nothing was heard of for 30 s is due for a probe: any cheap call. One that does not
 * answer is DOWN, is probed again after a backoff, and comes back with its first answer.
 *
 * Cost: O(members) a choice and a deadline; a move O(work that waits), and O(members) for each
 * piece of it once per change of the pool. Memory: members as given at init; work belongs to the
 * caller.
 *
 * Time: any microseconds that do not go back. Pure: no clock; random bits are an argument.
 *
 * Threads: none: value type      Limits: 4096 members
 */
#ifndef TG_POOL_H
#define TG_POOL_H

#include "flow/backoff.h"

#define TG_POOL_NONE UINT32_MAX

enum { TG_POOL_MEMBERS_MAX = 4096 };

enum tg_workload { TG_BULK_HISTORICAL, TG_REAL_TIME, TG_HIGH_PRIORITY, TG_WORKLOADS };

enum tg_member_state { TG_MEMBER_UP, TG_MEMBER_LIMITED, TG_MEMBER_DOWN, TG_MEMBER_OUT };

struct tg_pool_options {
    uint32_t members_max;        /* 1..TG_POOL_MEMBERS_MAX */
    /* Whether a member can serve what a work needs (a chat that its account sees, say). When it
       would answer otherwise than before, call tg_pool_changed. NULL: always */
    bool (*may)(void *ctx, uint64_t needs, uint32_t member);
    void *ctx;
    int64_t check_every_us;      /* 0: 30 s */
    int64_t answer_within_us;    /* of a probe; 0: 15 s */
    int64_t set_aside_us;        /* waits longer than that make LIMITED; 0: 60 s */
    struct tg_backoff backoff;   /* between probes of one that is DOWN; base_us 0: 1 s to 60 s */
    uint32_t reserved_permille;  /* of a member's calls in flight, for high_priority; < 1000 */
};

/** What a member is. */
struct tg_pool_who {
    uint32_t account, login;     /* numbers of the caller's */
    int32_t dc;
    bool media;                  /* a media DC: serves media work, and that alone */
    bool reserved;               /* for high_priority */
    uint32_t in_flight_max;      /* calls; >= 1 */
};

/** A piece of work; the caller's storage, linked here from add to remove. */
struct tg_pool_work {
    /* given */
    void *of;                    /* the caller's */
    uint64_t needs;
    enum tg_workload workload;
    int32_t dc;                  /* 0: any */
    bool media;
    /* kept */
    uint32_t member;             /* TG_POOL_NONE: waits for one */
    uint32_t avoid;              /* where it failed last; TG_POOL_NONE */
    uint64_t tried;              /* private */
    struct tg_pool_work *next, *prev;
};

struct tg_pool_member {
    struct tg_pool_who who;
    uint32_t in_flight, n_works;
    int64_t latency_us;          /* moving average of an eighth; -1 not measured */
    int64_t quota_milli;         /* of its account, as told */
    int64_t limited_until_us;    /* INT64_MIN: not limited */
    int64_t heard_us;            /* when the last answer came */
    int64_t retry_us;            /* DOWN: when the next probe is due */
    uint32_t failures;           /* in a row */
    bool joined, down, out;
    /* private */
    bool probing;
    int64_t probe_us, changed_us;
    uint64_t chosen;
    uint32_t put;                /* work given to its account since its quota was told */
    struct tg_pool_work *works;
};

struct tg_pool {
    struct tg_pool_options options;
    struct tg_pool_member *member;
    uint32_t n;                  /* slots in use or used before */
    struct tg_pool_work *waiting;
    uint32_t n_waiting;
    uint32_t works_max;          /* pieces of work that a member may have; 0: any number */
    /* private */
    uint64_t change, chosen, settled;
    int64_t limit_ends_us;
};

/** @return false: out of memory */
bool tg_pool_init(struct tg_pool *p, const struct tg_pool_options *options);
void tg_pool_done(struct tg_pool *p);

/**
 * Takes up a member, which counts as UP.
 * @return TG_LIMIT: there are members_max; TG_BUSY: that login has a connection on that DC, and it
 *         is no media DC; TG_OK: *ret is its number, until it leaves
 */
tg_code tg_pool_join(struct tg_pool *p, const struct tg_pool_who *who, int64_t now_us,
                     uint32_t *ret, struct tg_error *err) TG_MUST_CHECK;
/** None of its calls is under way any more. Its work waits; its number may be given to another. */
void tg_pool_leave(struct tg_pool *p, uint32_t member);

/** @return how a member is; to be asked with the time, since waits end */
enum tg_member_state tg_pool_state(const struct tg_pool *p, uint32_t member, int64_t now_us);
const char *tg_pool_state_name(enum tg_member_state state); /* "up", "limited", "down", "out" */
const char *tg_workload_name(enum tg_workload workload);    /* "bulk_historical", ... */

/* ---- work ---- */

/** @return the member that would be chosen for the work now; TG_POOL_NONE */
uint32_t tg_pool_choose(struct tg_pool *p, const struct tg_pool_work *work, int64_t now_us);

/** Gives it to a member, or lets it wait. @return work->member */
uint32_t tg_pool_add(struct tg_pool *p, struct tg_pool_work *work, int64_t now_us);
void tg_pool_remove(struct tg_pool *p, struct tg_pool_work *work);

/** A network error: the work goes on with another member, or waits. @return work->member */
uint32_t tg_pool_fallback(struct tg_pool *p, struct tg_pool_work *work, int64_t now_us);

/**
 * Rebalances: to be called until it returns NULL after anything changed and at tg_pool_due.
 * @param ret_from  where it was; TG_POOL_NONE: it waited
 * @return work that was moved to work->member; NULL: none is left to be moved
 */
struct tg_pool_work *tg_pool_move(struct tg_pool *p, int64_t now_us, uint32_t *ret_from);

/** @return whether a member that is not OUT may serve it, sooner or later */
bool tg_pool_hope(const struct tg_pool *p, const struct tg_pool_work *work);

/** `may` would answer otherwise now. */
void tg_pool_changed(struct tg_pool *p);

/** Sets works_max. A member that has as many gets no more until one is removed or moved. */
void tg_pool_works_max(struct tg_pool *p, uint32_t n);

/* ---- calls ---- */

/** @return whether a call of that workload may be sent by the member now: it is UP, and has room */
bool tg_pool_may_send(const struct tg_pool *p, uint32_t member, enum tg_workload workload,
                      int64_t now_us);

/** A call was sent. */
void tg_pool_sent(struct tg_pool *p, uint32_t member);

/**
 * A call, or a probe, came to its end; for every call sent and every probe.
 * @param sent_us  when it was sent
 * @param failure  NULL: it was answered. A refusal or a short wait is an answer too; a network
 *                 failure makes the member DOWN unless it is of an earlier connection; TG_AUTH puts
 *                 the login OUT
 * @param random   64 uniform random bits
 */
void tg_pool_ended(struct tg_pool *p, uint32_t member, int64_t sent_us,
                   const struct tg_error *failure, uint64_t random, int64_t now_us);

/** @return a member that is due for a probe, which counts as sent; TG_POOL_NONE */
uint32_t tg_pool_probe(struct tg_pool *p, uint64_t random, int64_t now_us);

/** @return when a probe or the end of a wait is due; INT64_MAX never */
int64_t tg_pool_due(const struct tg_pool *p);

/* ---- what else is known of members ---- */

/** What the member's account has left: requests per second, in thousandths; -1 unknown. */
void tg_pool_quota(struct tg_pool *p, uint32_t member, int64_t milli_per_s);
/** The server asks the member's account to wait. Sets it aside if that is long. */
void tg_pool_limited(struct tg_pool *p, uint32_t member, int64_t wait_us, int64_t now_us);
/** The login has ended, or the whole account has (banned, deleted). */
void tg_pool_out(struct tg_pool *p, uint32_t member, bool account);

#endif
