/* SPDX-License-Identifier: MIT */
/*
 * rsa_key.h - the bare private operation, for rsa.c
 *
 * Threads: any
 */
#ifndef TG_RSA_KEY_H
#define TG_RSA_KEY_H

#include "crypto/rsa.h"

/** c^d mod n, blinded against timing. @return false if c is not below n, or out of memory */
bool tg_rsa_private_power(const struct tg_rsa_private *k, const uint8_t c[TG_RSA_BYTES],
                          uint8_t ret[TG_RSA_BYTES]);

#endif
