/* SPDX-License-Identifier: MIT */
/*
 * broker.h - a queue of tasks on a message broker, as workers on many machines see it
 *
 *   put -> waiting -> take -> taken --ack---> gone
 *             ^                 |
 *             |                 +--retry--> later (not before a delay), its attempts counted
 *             |                 +--give_back--> waiting, as if it had not been taken
 *             |                 +--bury---> dead letters, with the reason
 *             +--its worker died (nobody called keep for the visibility time)
 *
 * A task is delivered at least once: a worker that dies, or sleeps for longer than the visibility
 * time, loses its tasks to others, and what it then acknowledges may be done twice. That is why
 * workers hold a lease for each chat as well (etl/taker_lease.c), and why rows are committed under
 * fencing tokens. A task that was taken `max_deliveries` times without an end is poison: it is
 * buried by whoever would take it next.
 *
 * A broker is one file; its vtable is the last thing in it, listed in queue/table.c.
 *
 * Threads: one for all calls of one open broker; calls block for bounded times
 * Limits:  bodies of 64 KiB are put; what other programs put may have 2 MiB, and is empty if longer
 */
#ifndef TG_BROKER_H
#define TG_BROKER_H

#include "base/option.h"
#include "base/text.h"

enum { TG_BROKER_BODY_MAX = 64 << 10, TG_BROKER_TAKE_MAX = 2 << 20, TG_BROKER_ID_MAX = 64 };

/** A task that was taken. */
struct tg_delivery {
    char id[TG_BROKER_ID_MAX]; /* the broker's name for it */
    struct tg_buf body;        /* the caller's: initialised before take with room for TAKE_MAX, done
                                  after the end; a NUL behind it is not counted */
    uint32_t deliveries;       /* how often it was taken since it was put or retried, with this */
    uint32_t attempts;         /* how often it failed (retry) */
};

/** How many tasks are where. */
struct tg_broker_depth {
    uint64_t waiting, taken, later, dead;
    bool taken_known; /* else it may be 0 whatever is taken */
};

struct tg_broker_ops {
    struct tg_driver head; /* head.size: bytes of the instance; options fill it before open */

    /** @param target  the URL without its name and options: "//host:port/db"
     *  @param who     this worker's name: no other may have it at the same time */
    tg_code (*open)(void *self, const char *target, const char *who, struct tg_error *err);
    void (*close)(void *self); /* safe after a failed open */

    tg_code (*put)(void *self, const void *body, size_t len, struct tg_error *err);

    /** Takes a task, waiting for one up to wait_ms. @return TG_AGAIN: none came */
    tg_code (*take)(void *self, int64_t wait_ms, struct tg_delivery *ret, struct tg_error *err);

    /** Still at work on it: its visibility time begins anew. @return TG_CONFLICT: it was given to
     *  somebody else meanwhile */
    tg_code (*keep)(void *self, const struct tg_delivery *d, struct tg_error *err);

    tg_code (*ack)(void *self, const struct tg_delivery *d, struct tg_error *err);
    /** @param failed  it counts as an attempt */
    tg_code (*retry)(void *self, const struct tg_delivery *d, int64_t delay_ms, bool failed,
                     struct tg_error *err);
    tg_code (*give_back)(void *self, const struct tg_delivery *d, struct tg_error *err);
    tg_code (*bury)(void *self, const struct tg_delivery *d, const char *reason,
                    struct tg_error *err);

    tg_code (*depth)(void *self, struct tg_broker_depth *ret, struct tg_error *err);

    /** @return how long a task may stay without keep, milliseconds */
    int64_t (*visibility_ms)(const void *self);
};

/** All brokers, ended by NULL. */
extern const struct tg_broker_ops *const tg_brokers[];

struct tg_broker {
    const struct tg_broker_ops *ops;
    void *self;
    char *url; /* owns the text that options point into */
};

/** Opens one from a URL such as "redis://127.0.0.1:6379/0?queue=tgdata". */
tg_code tg_broker_open(const char *url, const char *who, struct tg_broker *ret,
                       struct tg_error *err);
/** @return whether a URL names one, with options that it has; nothing is opened */
tg_code tg_broker_check(const char *url, struct tg_error *err);
void tg_broker_close(struct tg_broker *broker); /* safe on a zeroed struct */

#endif
