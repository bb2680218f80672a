/* SPDX-License-Identifier: MIT */
/*
 * parallel_impl.h - what worker.c needs of a parallel run
 *
 * Threads: as parallel.h
 */
#ifndef TG_PARALLEL_IMPL_H
#define TG_PARALLEL_IMPL_H

#include "etl/extract_impl.h"

struct tg_parallel {
    const struct tg_config *config;
    struct tg_loop *loop;
    struct extract_run run;
    struct tg_extract_result ignored; /* until there is a caller's */
    char *tenant[TG_TASKS_TENANTS];   /* names; 0 is nobody in particular */
    size_t n_tenants;
    bool ran;
};

/** Something was found to do: the run looks again. From any thread. */
void tg_parallel_wake(struct tg_parallel *p);

#endif
