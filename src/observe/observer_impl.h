/* SPDX-License-Identifier: MIT */
/*
 * observer_impl.h - the struct behind an observer, and what its two files share: observer.c, which
 * is told things, and observer_pages.c, which tells them over HTTP
 *
 * Threads: a lock guards what stands behind it in the struct; the rest does not change once runs
 *          begin
 */
#ifndef TG_OBSERVER_IMPL_H
#define TG_OBSERVER_IMPL_H

#include "config/settings.h"
#include "observe/alerts.h"
#include "observe/history.h"
#include "observe/httpd.h"
#include "observe/observer.h"
#include "observe/push.h"
#include "observe/traces.h"
#include "os/queue.h"

struct tg_observer {
    struct tg_httpd *httpd; /* NULL: it does not listen */
    struct tg_push *push[TG_PUSH_KINDS]; /* NULL: it does not push there */
    struct tg_alerts *alerts; /* NULL: there are none */
    struct tg_traces *traces; /* NULL: there are none */
    int64_t started_us;
    char *state, *job;     /* the run's */
    bool writable;         /* a token is set */
    pthread_mutex_t file_lock; /* of `file`; held while its jobs are told, which may take long */
    const struct tg_config_file *file; /* whose jobs are shown; NULL: none */

    pthread_mutex_t lock;
    struct tg_metrics *metrics;
    struct tg_history history;
    char why[160];          /* it is not ready; "": it is */
    char away[TG_ALERT_AWAY]; /* the destination is waited for; "": it is not */
    int64_t away_us;        /* since then */
    bool held;
    struct tg_breakers breakers;
    struct tg_buf chats;
    bool push_fails[TG_PUSH_KINDS], alert_fails, traces_fail;
    struct tg_news news;
};

/** Serves the pages where the settings say. */
tg_code tg_observer_listen(struct tg_observer *o, const struct tg_monitor_settings *set,
                           struct tg_error *err);

/** Write what /metrics and /api/metrics have. @return 200 */
int tg_observer_put_text(void *observer, struct tg_buf *out);
int tg_observer_put_summary(void *observer, struct tg_buf *out);

#endif
