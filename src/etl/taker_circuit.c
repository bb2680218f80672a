/* SPDX-License-Identifier: MIT */
/*
 * taker_circuit.c - circuit breakers in the taker's store
 */
#include "etl/taker_impl.h"

void tg_taker_keep_circuit(struct tg_taker *t, const char *name, const struct tg_buf *record)
{
    struct tg_error ignored;

    if (tg_circuit_put(t->store, t->job->job, name, record, t->unix_us(), &ignored) != TG_OK) {
        /* it is only forgotten */
    }
}
