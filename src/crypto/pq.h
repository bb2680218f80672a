/* SPDX-License-Identifier: MIT */
/*
 * pq.h - splitting the handshake's pq into its two primes
 *
 * Brent's variant of Pollard's rho with Montgomery arithmetic: about a millisecond at worst. The
 * walk starts at a point computed from pq, so that equal input takes equal steps.
 *
 * Threads: none: pure      Limits: 16 walks of 2^19 steps
 */
#ifndef TG_PQ_H
#define TG_PQ_H

#include "base/base.h"

/**
 * Splits pq = p * q with p < q.
 * @return false unless pq is the product of two different odd primes and below 2^63
 */
bool tg_pq_factor(uint64_t pq, uint64_t *ret_p, uint64_t *ret_q) TG_MUST_CHECK;

/** @return whether n is prime; exact for all 64-bit numbers */
bool tg_is_prime_u64(uint64_t n);

#endif
