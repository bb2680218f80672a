/* SPDX-License-Identifier: MIT */
/*
 * msg_ids.h - message ids: making them from a clock that may jump, and remembering those that came
 *
 *   msg_id   Unix seconds (32) | fraction (30) | kind (2): 0 client, 1 reply, 3 other of the server
 *
 * mt_clock turns the owner's wall clock into one that never goes back and never leaps: a step back
 * counts as no time, a step forward of more than MT_CLOCK_LEAP_US too (the owner slept or somebody
 * set the clock: which of the two, only the peer can tell). The peer's time is local time plus an
 * offset that is measured from its messages.
 *
 * mt_seen holds the newest ids of one session in order. An id is new unless it stands there, or
 * lies at or below the highest one that was ever forgotten; so none is ever taken twice.
 *
 * Threads: none: value types      Limits: `max` ids, given at construction
 */
#ifndef MT_MSG_IDS_H
#define MT_MSG_IDS_H

#include "base/base.h"

#define MT_CLOCK_LEAP_US (150 * TG_SECOND_US)

struct mt_clock {
    bool started;
    int64_t wall_us;   /* as the owner said last */
    int64_t local_us;  /* never goes back */
    int64_t offset_us; /* the peer's time minus local time */
    uint64_t last_id;  /* of those made here */
};

/** Takes the owner's time. @return whether it stepped so far that the peer's time is in doubt */
bool mt_clock_set(struct mt_clock *c, int64_t now_us);

/** @return the peer's time as far as is known, Unix microseconds, never negative */
int64_t mt_clock_peer_us(const struct mt_clock *c);

/** @return the peer's time minus the owner's wall clock */
int64_t mt_clock_wall_offset_us(const struct mt_clock *c);

/** Makes the next id, above all made before; `kind` is its two low bits. */
uint64_t mt_clock_id(struct mt_clock *c, unsigned kind);

/** @return the Unix microseconds that stand in an id */
int64_t mt_id_us(uint64_t msg_id);

struct mt_seen_entry {
    uint64_t id;
    uint32_t seq_no;
    uint32_t tag;  /* for the owner */
    uint32_t flag; /* for the owner */
};

struct mt_seen {
    struct mt_seen_entry *at; /* grows to 2 * max; the live ones are at[head..head+n), ascending */
    size_t head, n, cap, max;
    uint64_t floor; /* highest id that was forgotten */
};

enum mt_seen_answer {
    MT_SEEN_NEW,
    MT_SEEN_DUPLICATE,
    MT_SEEN_TOO_OLD, /* at or below what was forgotten: nobody can tell */
    MT_SEEN_NOMEM,
};

void mt_seen_init(struct mt_seen *s, size_t max); /* allocates nothing */
void mt_seen_done(struct mt_seen *s);
void mt_seen_clear(struct mt_seen *s);

/** @return what is known of id, without adding it */
enum mt_seen_answer mt_seen_check(const struct mt_seen *s, uint64_t id);

/** Adds id if it is new; the lowest is forgotten for want of room. @return as it was before */
enum mt_seen_answer mt_seen_add(struct mt_seen *s, uint64_t id, uint32_t seq_no);

/** @return the entry of id or NULL; valid until the next add or remove */
struct mt_seen_entry *mt_seen_find(const struct mt_seen *s, uint64_t id);

/** Forgets id as if it had never come. */
void mt_seen_remove(struct mt_seen *s, uint64_t id);

/** @return how many stand below id: the index in order where it is or would be */
size_t mt_seen_rank(const struct mt_seen *s, uint64_t id);

/** @return the byte of msgs_state_info for id, without flags */
uint8_t mt_seen_state(const struct mt_seen *s, uint64_t id);

#endif
