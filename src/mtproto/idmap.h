/* SPDX-License-Identifier: MIT */
/*
 * idmap.h - finds a thing by its 64-bit id: calls by msg_id, sessions, answers
 *
 * Open addressing with linear probing; a removal moves the entries behind it up, so there are no
 * tombstones and a lookup ends at the first empty slot. Grows by doubling at 3/4 full.
 *
 * Threads: none: value type      Limits: as many entries as its owner puts in
 */
#ifndef MT_IDMAP_H
#define MT_IDMAP_H

#include "base/base.h"

struct mt_idmap_slot {
    uint64_t id;
    void *value; /* NULL: empty */
};

/** A zeroed struct is an empty map. Values are borrowed. */
struct mt_idmap {
    struct mt_idmap_slot *slot;
    size_t n, cap; /* cap is 0 or a power of two */
};

void mt_idmap_done(struct mt_idmap *m); /* frees the table, not the values */

/** Adds or replaces; value is not NULL. @return false if out of memory, then nothing changed */
bool mt_idmap_put(struct mt_idmap *m, uint64_t id, void *value);

/** @return the value, or NULL */
void *mt_idmap_get(const struct mt_idmap *m, uint64_t id);

/** Removes and @return the value, or NULL */
void *mt_idmap_take(struct mt_idmap *m, uint64_t id);

#endif
