/* SPDX-License-Identifier: MIT */
/*
 * random.h - randomness as an argument
 *
 * Nothing below src/os draws random bytes by itself: it takes a struct tg_random. Production hands
 * in tg_random_system(); the simulator and the tests hand in a seeded one, and a run repeats byte
 * for byte.
 *
 * Threads: the system source may be used by any thread; a seeded one by one thread at a time
 */
#ifndef TG_RANDOM_H
#define TG_RANDOM_H

#include "base/base.h"

/** A source of random bytes. Copy it freely; what ctx points to must outlive the copies. */
struct tg_random {
    void (*fill)(void *ctx, void *buf, size_t n); /* fills all n bytes; cannot fail */
    void *ctx;
};

static inline void tg_random_fill(const struct tg_random *r, void *buf, size_t n)
{
    r->fill(r->ctx, buf, n);
}

/** @return 64 uniform bits */
uint64_t tg_random_u64(const struct tg_random *r);

/** @return a uniform number in [0, n); n must not be 0. Without modulo bias. */
uint64_t tg_random_below(const struct tg_random *r, uint64_t n);

/**
 * The operating system's generator by way of libcrypto. A generator that fails leaves no safe way
 * on, so the process stops then: keys made of guessable bytes are worse than none.
 */
struct tg_random tg_random_system(void);

/**
 * A deterministic stream of bytes from a seed (SplitMix64): for tests and the simulator, never for
 * keys that protect anything. The stream does not depend on how the reads are cut.
 */
struct tg_random_seeded {
    uint64_t state;
    uint64_t word;   /* bytes of the last word that are not given out yet */
    unsigned n_left; /* how many */
};

/** Starts the stream of a seed. Equal seeds give equal streams on every host. */
void tg_random_seeded_init(struct tg_random_seeded *s, uint64_t seed);

/** @return a source that reads from s; s must outlive it */
struct tg_random tg_random_seeded(struct tg_random_seeded *s);

#endif
