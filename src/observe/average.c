/* SPDX-License-Identifier: MIT */
/*
 * average.c - see average.h
 */
#include "observe/average.h"

void tg_average_init(struct tg_average *a, int64_t now_us)
{
    *a = (struct tg_average){ .newest = now_us / TG_AVERAGE_SLOT_US, .begun_us = now_us };
}

/* Empties the slots that have begun since. */
static void move_on(struct tg_average *a, int64_t now_us)
{
    int64_t newest = now_us / TG_AVERAGE_SLOT_US;
    int64_t n = TG_MIN(newest - a->newest, (int64_t)TG_AVERAGE_SLOTS);

    for (int64_t i = 0; i < n; i++)
        a->slot[(newest - i) % TG_AVERAGE_SLOTS] = 0;
    a->newest = TG_MAX(a->newest, newest);
}

void tg_average_add(struct tg_average *a, double v, int64_t now_us)
{
    move_on(a, now_us);
    a->slot[a->newest % TG_AVERAGE_SLOTS] += v;
}

double tg_average_sum(struct tg_average *a, int64_t now_us)
{
    double sum = 0;

    move_on(a, now_us);
    for (int i = 0; i < TG_AVERAGE_SLOTS; i++)
        sum += a->slot[i];
    return sum;
}

double tg_average_rate(struct tg_average *a, int64_t now_us)
{
    double sum = tg_average_sum(a, now_us);
    int64_t oldest = (a->newest - TG_AVERAGE_SLOTS + 1) * TG_AVERAGE_SLOT_US;
    int64_t span = now_us - TG_MAX(oldest, a->begun_us);

    return sum * 1e6 / (double)TG_MAX(span, TG_SECOND_US);
}
