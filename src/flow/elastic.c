/* SPDX-License-Identifier: MIT */
/*
 * elastic.c - see elastic.h
 */
#include "flow/elastic.h"

#include <assert.h>

/* So many windows without news make every number what that load makes it: longer gaps are cut. */
enum { WINDOWS_MAX = 64 * (TG_ELASTIC_SHRINK_WINDOWS + 1) };
enum { WAITING_MAX = 1000000 };

void tg_elastic_init(struct tg_elastic *e, unsigned min, unsigned max, int64_t now_us)
{
    assert(min >= 1 && min <= max);
    *e = (struct tg_elastic){ .min = min, .max = max, .workers = min, .window_us = now_us,
                              .seen_us = now_us };
}

static void decide(struct tg_elastic *e)
{
    const int64_t us = TG_ELASTIC_WINDOW_US, n = (int64_t)e->workers;
    bool waits = e->waiting_us * 2 >= us;

    e->hot = waits && e->busy_us * 10 >= n * us * 9 ? e->hot + 1 : 0;
    e->cold = !waits && e->busy_us * 10 <= (n - 1) * us * 7 ? e->cold + 1 : 0;
    if (e->hot >= TG_ELASTIC_GROW_WINDOWS && e->workers < e->max) {
        e->workers = TG_MIN(e->max, e->workers + (e->workers + 1) / 2);
        e->grown++;
        e->hot = 0;
    } else if (e->cold >= TG_ELASTIC_SHRINK_WINDOWS && e->workers > e->min) {
        e->workers--;
        e->shrunk++;
        e->cold = 0;
    }
    e->busy_us = e->waiting_us = 0;
}

unsigned tg_elastic_step(struct tg_elastic *e, int64_t now_us, unsigned busy, size_t waiting)
{
    now_us = TG_MAX(now_us, e->seen_us); /* threads read the clock before they get the lock */
    if (now_us - e->window_us > WINDOWS_MAX * TG_ELASTIC_WINDOW_US) {
        e->seen_us = e->window_us = now_us - WINDOWS_MAX * TG_ELASTIC_WINDOW_US;
        e->busy_us = e->waiting_us = 0;
    }
    while (e->seen_us < now_us) {
        int64_t end = TG_MIN(now_us, e->window_us + TG_ELASTIC_WINDOW_US);

        e->busy_us += (end - e->seen_us) * e->busy;
        e->waiting_us += (end - e->seen_us) * (int64_t)e->waiting;
        e->seen_us = end;
        if (end == e->window_us + TG_ELASTIC_WINDOW_US) {
            decide(e);
            e->window_us = end;
        }
    }
    e->busy = busy;
    e->waiting = TG_MIN(waiting, (size_t)WAITING_MAX);
    return e->workers;
}
