/* SPDX-License-Identifier: MIT */
/*
 * proc.h - the own process: memory, CPU time, identity
 *
 * Threads: any
 */
#ifndef TG_OS_PROC_H
#define TG_OS_PROC_H

#include "base/base.h"

/** @return the most memory the process has held so far, in bytes */
uint64_t tg_proc_rss_peak(void);

/** @return the memory the process holds now, in bytes; 0 if the kernel does not tell */
uint64_t tg_proc_rss(void);

/** @return CPU time of all threads, user and system, in microseconds */
int64_t tg_proc_cpu_us(void);

/** Writes "host:pid" into out, cut to fit: who holds a lease. */
void tg_proc_name(char *out, size_t n);

/** @return whether a name written by tg_proc_name is that of a process of this host that has ended;
 *  false also if that cannot be told */
bool tg_proc_gone(const char *name);

/** Sleeps that long; not for the loop's thread. */
void tg_sleep_us(int64_t us);

#endif
