/* SPDX-License-Identifier: MIT */
/*
 * alert_post.h - alerts as the JSON that Alertmanager takes, or that it posts to webhooks
 *
 * Threads: none: pure functions
 */
#ifndef TG_OBSERVE_ALERT_POST_H
#define TG_OBSERVE_ALERT_POST_H

#include "base/json.h"

/** One alert as it is told. */
struct tg_alert_told {
    const char *name;      /* "error_rate" */
    const char *summary;   /* one line */
    double value, threshold;
    bool fires;
    int64_t starts_unix_s, ends_unix_s; /* the latter of one that is resolved */
};

/** Whom they are about. */
struct tg_alert_source {
    const char *job, *instance;
};

/** Whether a URL is one of Alertmanager's own, which takes alerts rather than groups of them. */
bool tg_alert_is_manager(const char *url);

/** Writes the body of a post. @param until_unix_s  for Alertmanager: when what fires is over unless
 *  it is told again */
void tg_alert_put(struct tg_buf *out, bool manager, const struct tg_alert_source *source,
                  const struct tg_alert_told *alert, size_t n, int64_t until_unix_s);

#endif
