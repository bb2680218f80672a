/* SPDX-License-Identifier: MIT */
/*
 * faults.h - what goes wrong in the simulated data centre, on demand and from the seed
 *
 * A spec is a list of terms, separated by commas:
 *
 *   NAME=P     happens with probability P (0..1) at each chance
 *   NAME@N     happens at every N-th chance
 *   NAME#N     happens at the N-th chance, once
 *   NAME=VALUE for the settings below
 *
 * Faults; a chance is one answer, unless said otherwise:
 *
 *   drop            the connection is closed before the answer
 *   halfwrite       a part of the answer's packet is written, then the connection is closed
 *   reset           as drop, with RST
 *   split           the answer leaves in small writes with pauses
 *   dup             the answer's packet is sent twice
 *   reorder         the packet is held back until another one has been sent
 *   garbage         a bit of the packet is flipped
 *   badsalt         the next query is answered with bad_server_salt
 *   clock-behind    the next query is answered with bad_msg_notification 17
 *   newsession      new_session_created is announced though the session is not new
 *   t404, t429,     the transport error -404, -429,
 *   t444            -444
 *   500             RPC error 500: RPC_CALL_FAIL, RPC_MCGET_FAIL, WORKER_BUSY_TOO_LONG_RETRY, ...
 *   503             RPC error -503 Timeout
 *   msgwait         RPC error -503 MSG_WAIT_TIMEOUT, or 400 MSG_WAIT_FAILED
 *   flood           FLOOD_WAIT_1 to FLOOD_WAIT_3
 *   slow            the answer is late by up to slow-ms
 *   short           a page of history is cut at its old end though more exist (default 0.01)
 *   file-reference  upload.getFile fails with FILE_REFERENCE_EXPIRED
 *   cdn-lie         upload.getCdnFile gives bytes of which one is wrong
 *   cdn-token       upload.getCdnFile fails with FILE_TOKEN_INVALID
 *   comments-gone   messages.getReplies on a channel's post fails with MSG_ID_INVALID
 *
 * Settings:
 *
 *   clock=SECONDS          the server's clock is ahead by that much (negative: behind)
 *   slow-ms=MS             bound of `slow` (default 1500)
 *   takeout-delay=SECONDS  account.initTakeoutSession first answers TAKEOUT_INIT_DELAY_X
 *   part-max=BYTES         upload.getFile refuses to give more at once: LIMIT_INVALID
 *   reference-life=SECONDS file references end that long after their message was told
 *   unknown-message=ID     the message with that id gets a constructor that no schema has; repeat
 *   unknown-user=ID        the same for a user,
 *   unknown-chat=ID        for a group (bare id) or a channel (bare id),
 *   unknown-full=ID        for what such a chat tells about itself (getFullChannel, getFullChat)
 *   only=METHOD            random faults hit that method only; repeat for more
 *   chat=ID                random faults hit calls that name that chat only (marked id); repeat
 *   dc=N                   random faults hit that DC only; repeat
 *   most=N                 no random fault after N of them
 *   seed=N                 the faults draw from this seed instead of the world's
 *
 * Every fault draws from a stream of its own, so that one term does not move the others.
 *
 * Threads: none      Limits: 64 terms
 */
#ifndef SIM_FAULTS_H
#define SIM_FAULTS_H

#include "base/text.h"
#include "crypto/random.h"

#define SIM_FAULTS(X)                                                                              \
    X(DROP, "drop")                                                                                \
    X(HALFWRITE, "halfwrite")                                                                      \
    X(RESET, "reset")                                                                              \
    X(SPLIT, "split")                                                                              \
    X(DUP, "dup")                                                                                  \
    X(REORDER, "reorder")                                                                          \
    X(GARBAGE, "garbage")                                                                          \
    X(BADSALT, "badsalt")                                                                          \
    X(CLOCK_BEHIND, "clock-behind")                                                                \
    X(NEWSESSION, "newsession")                                                                    \
    X(T404, "t404")                                                                                \
    X(T429, "t429")                                                                                \
    X(T444, "t444")                                                                                \
    X(RPC500, "500")                                                                               \
    X(RPC503, "503")                                                                               \
    X(MSGWAIT, "msgwait")                                                                          \
    X(FLOOD, "flood")                                                                              \
    X(SLOW, "slow")                                                                                \
    X(SHORT, "short")                                                                              \
    X(FILE_REFERENCE, "file-reference")                                                            \
    X(COMMENTS_GONE, "comments-gone")                                                              \
    X(CDN_LIE, "cdn-lie")                                                                          \
    X(CDN_TOKEN, "cdn-token")

enum sim_fault {
#define SIM_FAULT_ENUM(name, text) SIM_FAULT_##name,
    SIM_FAULTS(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_COUNT
};

#define SIM_UNKNOWNS(X)                                                                            \
    X(MESSAGE, "unknown-message")                                                                  \
    X(USER, "unknown-user")                                                                        \
    X(CHAT, "unknown-chat")                                                                        \
    X(FULL, "unknown-full")

enum sim_unknown {
#define SIM_UNKNOWN_ENUM(name, text) SIM_UNKNOWN_##name,
    SIM_UNKNOWNS(SIM_UNKNOWN_ENUM)
#undef SIM_UNKNOWN_ENUM
        SIM_UNKNOWN_COUNT
};

enum { SIM_FAULT_LIST_MAX = 64, SIM_FAULT_NAME_MAX = 64 };

/** A call that faults may be meant for. */
struct sim_fault_target {
    const char *method;
    int64_t chat; /* marked id that it names; 0 none */
    int dc;
};

/** When one fault happens. */
struct sim_fault_rule {
    uint64_t below; /* of 2^53: probability */
    uint64_t every; /* 0: no */
    uint64_t at;    /* 0: no */
    uint64_t n_chances, n_hits;
    struct tg_random_seeded stream;
};

struct sim_faults {
    struct sim_fault_rule rule[SIM_FAULT_COUNT];
    int64_t clock_s, slow_ms, takeout_delay_s;
    int64_t part_max, reference_life_s; /* 0: none */
    uint64_t n_left; /* random faults still allowed */
    uint64_t seed;
    int64_t unknown[SIM_UNKNOWN_COUNT][SIM_FAULT_LIST_MAX];
    size_t n_unknown[SIM_UNKNOWN_COUNT];
    char only[SIM_FAULT_LIST_MAX][SIM_FAULT_NAME_MAX];
    size_t n_only;
    int64_t chat[SIM_FAULT_LIST_MAX], dc[SIM_FAULT_LIST_MAX];
    size_t n_chats, n_dcs;
};

/**
 * Reads a spec; NULL or "" means none but the default of `short`.
 * @return TG_USAGE with the term that is wrong
 */
tg_code sim_faults_parse(const char *spec, uint64_t seed, struct sim_faults *ret,
                         struct tg_error *err) TG_MUST_CHECK;

/** One chance for a fault. @return whether it happens now */
bool sim_faults_hit(struct sim_faults *f, enum sim_fault fault);

/** @return whether random faults are meant for that call */
bool sim_faults_meant(const struct sim_faults *f, const struct sim_fault_target *target);

/** @return whether an object of that id is to be made unknown */
bool sim_faults_unknown(const struct sim_faults *f, enum sim_unknown kind, int64_t id);

/** @return a number in [0, n), n > 0, from the fault's stream: how much, which one */
uint64_t sim_faults_draw(struct sim_faults *f, enum sim_fault fault, uint64_t n);

/** @return the fault's name as in a spec */
const char *sim_fault_name(enum sim_fault fault);

#endif
