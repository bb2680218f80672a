/* SPDX-License-Identifier: MIT */
/*
 * alerts.h - looks at a run's numbers again and again, and tells when one is out of bounds
 *
 *   numbers --every interval--> flow/trend.h, flow/alert.h --fires, is resolved--> a line for the
 *                               user, and a post to a service over HTTP
 *
 * While a destination is waited for, nothing is said of the rate of rows, and that time is no part
 * of its average: that it is away is an alert of its own, which fires after `hold`. A rate that
 * drops because a destination is slow has that in its line.
 *
 * A post has all alerts that changed since the last one that was taken, as they are now, so none is
 * lost while the service is away: it is tried again after a growing pause, 60 s at most.
 *
 *   URL                what is posted
 *   .../api/v2/alerts  what Alertmanager takes, again every minute while something fires
 *   others             what Alertmanager posts to a webhook (version 4)
 *
 * The URL and the token are secrets: of the URL messages show the host.
 *
 * Threads: one of its own, which calls the functions of the options; tg_alerts_put any
 * Limits:  5 s for a post
 */
#ifndef TG_OBSERVE_ALERTS_H
#define TG_OBSERVE_ALERTS_H

#include "base/json.h"

enum { TG_ALERT_LINE = 240, TG_ALERT_AWAY = 200 };

struct tg_alerts;

/** The numbers of a run. */
struct tg_alerts_sample {
    double rows;                 /* read since the beginning */
    double attempts, error_rate; /* of calls, over the last 300 s */
    bool caught_up;              /* there is nothing to be read: a rate of 0 is no drop */
    bool held;                   /* nothing is read, as the destination is behind */
    char away[TG_ALERT_AWAY];    /* the destination is waited for, as a line; "": it is not */
    double away_s;               /* for so long */
};

struct tg_alerts_options {
    int64_t error_rate, rate_drop; /* parts of a million; 0: not looked at */
    int64_t anomaly;               /* score; 0: not looked at */
    int64_t hold_ms, interval_ms;
    const char *webhook, *token;   /* NULL: none */
    const char *job;
    void (*look)(void *ctx, struct tg_alerts_sample *ret);
    /** An alert fires, or is resolved. */
    void (*changed)(void *ctx, const char *alert, bool fires, const char *line);
    /** How a post went; err NULL: well. */
    void (*sent)(void *ctx, const struct tg_error *err);
    void *ctx;
};

/** @return TG_OK; TG_USAGE: no such URL; TG_UNSUPPORTED: this build has no HTTP client; TG_NOMEM */
tg_code tg_alerts_new(const struct tg_alerts_options *options, struct tg_alerts **ret,
                      struct tg_error *err);
/** Fires the alert `profile_drift`, which is found once, at the end of a run, and is not resolved
 *  by it. */
void tg_alerts_find(struct tg_alerts *a, double score, double limit, const char *line);
/** What else fires is resolved, as the run is over; what was not told is tried three times more.
 *  NULL is nothing. */
void tg_alerts_free(struct tg_alerts *a);

/** Writes all alerts that are looked at, as an array. NULL writes an empty one. */
void tg_alerts_put(struct tg_alerts *a, struct tg_json *j);

#endif
