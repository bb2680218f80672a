/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - parts of schedules that the scheduler shares
 *
 * Threads: any
 */
#ifndef TG_ETL_SCHEDULE_H
#define TG_ETL_SCHEDULE_H

#include "flow/timing.h"

/** Reads a zone by its name. @return as tg_schedule_new */
tg_code tg_schedule_zone(struct tg_zone *ret, const char *name, struct tg_error *err);

/** Adds a dated window from a text, "FROM/UNTIL". @return TG_USAGE */
tg_code tg_schedule_block(struct tg_timing *t, const char *window, struct tg_error *err);

#endif
