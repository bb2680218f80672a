/* SPDX-License-Identifier: MIT */
/*
 * cache.h - finished history replies, kept so that a benchmark measures its client and not the sim
 *
 * Key: 24 bytes of SHA-256 over layer, account and request, made by the caller. Least recently used
 * first out.
 *
 * Threads: none      Limits: bytes given at construction, keys and bookkeeping included
 */
#ifndef SIM_CACHE_H
#define SIM_CACHE_H

#include "base/base.h"

enum { SIM_CACHE_KEY = 24 };

/** A kept reply: what goes on the wire, and what the counters need. */
struct sim_cached {
    const uint8_t *body;
    size_t len;
    int64_t chat;        /* marked id; 0: no messages */
    const int32_t *ids;
    size_t n_ids;
};

struct sim_cache;

struct sim_cache *sim_cache_new(uint64_t bytes_max); /* NULL out of memory */
void sim_cache_free(struct sim_cache *c);

/** @return whether the key is known; ret's pointers hold until the next put */
bool sim_cache_get(struct sim_cache *c, const uint8_t key[SIM_CACHE_KEY], struct sim_cached *ret);

/** Copies a reply in. What is too large or finds no memory is not kept. */
void sim_cache_put(struct sim_cache *c, const uint8_t key[SIM_CACHE_KEY],
                   const struct sim_cached *reply);

#endif
