/* SPDX-License-Identifier: MIT */
/*
 * change_journal.h - what a job of changes has to remember, commit by commit, in the state store
 *
 *   log "changes", key JOB, an entry:  commit's number, 8 bytes | fencing token, 8 bytes | note
 *
 * Little endian. The entry is written before the destination is asked for the commit of that
 * number, so it counts if and only if the destination (or the checkpoint, of one that remembers
 * nothing) has that commit: whoever resumes behind commit n reads the entries up to n, and those
 * above are of commits that were never made.
 *
 * A number may stand there more than once: a run was killed between entry and commit, and the next
 * one has written its own; or one that was asleep while another took the job over has written one
 * that no destination accepts a commit for. The entry of the greatest token counts, the last of
 * those if there are several.
 *
 * Threads: the store's      Limits: a note of TG_CHANGE_NOTE_MAX bytes
 */
#ifndef TG_CHANGE_JOURNAL_H
#define TG_CHANGE_JOURNAL_H

#include "base/text.h"
#include "store/store.h"

#define TG_CHANGE_NOTE_MAX ((1 << 20) - 16)

struct tg_change_entry {
    uint64_t seq;   /* number of the commit, from 1 */
    uint64_t fence; /* of who writes it */
    struct tg_str note;
};

/** Called for each entry, by number without a hole; must not call the store. @return false stops */
typedef bool (*tg_change_seen)(void *ctx, uint64_t seq, const void *note, size_t len);

/** Durable on TG_OK. @return TG_LIMIT: the note is too long; as the store's append */
tg_code tg_change_journal_append(const struct tg_store *store, const char *job,
                                 const struct tg_change_entry *entry, int64_t unix_us,
                                 struct tg_error *err);

/**
 * Reads the entries of the commits after+1..upto; after: the last one that was compacted, 0 none.
 * @return TG_GAP: that of a commit is missing, those before it were told; TG_CORRUPT: one is no
 *         entry, none was told; as the store's read
 */
tg_code tg_change_journal_read(const struct tg_store *store, const char *job, uint64_t after,
                               uint64_t upto, tg_change_seen seen, void *ctx,
                               struct tg_error *err);

/** A writer with that token resumes behind commit seq: drops what older ones have written above. */
tg_code tg_change_journal_cut(const struct tg_store *store, const char *job, uint64_t seq,
                              uint64_t fence, struct tg_error *err);

/** Drops what was compacted: all entries up to that commit, and what is no entry. */
tg_code tg_change_journal_drop(const struct tg_store *store, const char *job, uint64_t upto,
                               struct tg_error *err);

#endif
