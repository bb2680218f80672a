/* SPDX-License-Identifier: MIT */
/*
 * dh_bn.h - modular powers with a secret exponent, shared by dh.c and srp.c
 *
 * Threads: none: pure
 */
#ifndef TG_DH_BN_H
#define TG_DH_BN_H

#include "crypto/evp.h"

/**
 * ret = base ^ secret mod p in constant time; p odd. Marks `secret` as constant-time.
 * @return false if out of memory
 */
bool tg_bn_power(BIGNUM *ret, const BIGNUM *base, BIGNUM *secret, const BIGNUM *p, BN_CTX *ctx);

#endif
