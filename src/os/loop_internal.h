/* SPDX-License-Identifier: MIT */
/*
 * loop_internal.h - what loop.c and net.c share: the loop's struct and its rings of open handles
 *
 * Every open object hangs in a ring of its loop, so that freeing the loop finds all of them. A ring
 * is a circular list whose head is a link too; a link that is in no ring points to itself.
 *
 * Threads: the loop's own
 */
#ifndef TG_OS_LOOP_INTERNAL_H
#define TG_OS_LOOP_INTERNAL_H

#include <uv.h>

#include "os/loop.h"

struct tg_link {
    struct tg_link *prev, *next;
};

static inline void tg_link_init(struct tg_link *l)
{
    l->prev = l->next = l;
}

static inline void tg_link_remove(struct tg_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    tg_link_init(l);
}

static inline void tg_link_append(struct tg_link *head, struct tg_link *l)
{
    l->prev = head->prev;
    l->next = head;
    head->prev->next = l;
    head->prev = l;
}

static inline bool tg_link_alone(const struct tg_link *l)
{
    return l->next == l;
}

/* The object that a link is the member `link` of. */
#define TG_LINK_OWNER(at, type) ((type *)(void *)((char *)(at) - offsetof(type, link)))

struct tg_loop {
    uv_loop_t uv;
    uv_idle_t idle;                   /* runs while a timer is due at once */
    uv_signal_t signal[3];
    bool watching;                    /* signal[] are initialised */
    uv_signal_t also[TG_SIGNALS_ALSO];
    int n_also;
    struct tg_link conn, listener, timer, wake; /* rings of open objects */
    struct tg_link due;               /* timers that fire in the next turn */
    void (*on_signal)(void *ctx, int signum);
    void *signal_ctx;
};

/** Closes every connection (quietly) and listener; part of tg_loop_free. */
void tg_net_close_all(struct tg_loop *loop);

/** Fills err from a libuv status; errno is set from it, so that it is kept. */
tg_code tg_fail_uv(struct tg_error *err, int status, const char *what);

#endif
