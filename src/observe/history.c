/* SPDX-License-Identifier: MIT */
/*
 * history.c - see history.h
 */
#include "observe/history.h"

#include <math.h>

void tg_history_init(struct tg_history *h, int64_t now_us)
{
    *h = (struct tg_history){ .last_us = now_us };
}

/* How much a counter has grown, and what it is from now on. */
static double grown(double *before, double now)
{
    double by = now - *before;

    *before = now;
    return by;
}

void tg_history_look(struct tg_history *h, struct tg_metrics *m, int64_t now_us)
{
    double seconds = (double)(now_us - h->last_us) / 1e6, lag, n;
    double *to = &h->at[0][h->n % TG_HISTORY_MAX];
    double v[TG_HISTORY_COLUMNS];

    if (now_us - h->last_us < TG_HISTORY_STEP_US)
        return;
    lag = grown(&h->lag_sum, tg_metrics_sum(m, TG_METRIC_LAG));
    n = grown(&h->lag_n, tg_metrics_count(m, TG_METRIC_LAG));
    v[TG_HISTORY_READ] = grown(&h->read, tg_metrics_sum(m, TG_METRIC_EXTRACTED)) / seconds;
    v[TG_HISTORY_COMMITTED] = grown(&h->committed, tg_metrics_sum(m, TG_METRIC_COMMITTED));
    v[TG_HISTORY_COMMITTED] /= seconds;
    v[TG_HISTORY_LAG] = n > 0 ? lag / n : (double)NAN;
    tg_metrics_attempts(m, now_us, &v[TG_HISTORY_ERRORS]);
    v[TG_HISTORY_QUEUE] = tg_metrics_sum(m, TG_METRIC_QUEUE);
    v[TG_HISTORY_FLOOD] = grown(&h->flood, tg_metrics_sum(m, TG_METRIC_FLOOD_SECONDS));
    for (size_t i = 0; i < TG_HISTORY_COLUMNS; i++)
        to[i * TG_HISTORY_MAX] = round(v[i] * 1e4) / 1e4; /* short as text */
    h->n++;
    h->last_us = now_us;
}

void tg_history_put(const struct tg_history *h, uint64_t from, int64_t now_us, int64_t unix_s,
                    struct tg_json *j)
{
    static const char *const name[] = {
#define TG_HISTORY_NAME(id, name_) [TG_HISTORY_##id] = name_,
        TG_HISTORY(TG_HISTORY_NAME)
#undef TG_HISTORY_NAME
    };
    uint64_t first = h->n > TG_HISTORY_MAX ? h->n - TG_HISTORY_MAX : 0;

    first = TG_MIN(TG_MAX(first, from), h->n);
    tg_json_object(j);
    tg_json_key(j, "step_s"), tg_json_double(j, (double)TG_HISTORY_STEP_US / 1e6);
    tg_json_key(j, "first"), tg_json_u64(j, first);
    tg_json_key(j, "next"), tg_json_u64(j, h->n);
    tg_json_key(j, "until");
    tg_json_time(j, unix_s - (now_us - h->last_us) / TG_SECOND_US);
    for (size_t i = 0; i < TG_HISTORY_COLUMNS; i++) {
        tg_json_key(j, name[i]), tg_json_array(j);
        for (uint64_t k = first; k < h->n; k++)
            tg_json_double(j, h->at[i][k % TG_HISTORY_MAX]);
        tg_json_end_array(j);
    }
    tg_json_end_object(j);
}
