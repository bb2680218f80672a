/* SPDX-License-Identifier: MIT */
/*
 * change_state.h - what a job of changes remembers: exactly what its destination has
 *
 *   box      where an update sequence is: the account's (channel 0), a channel's
 *   chat     the signatures of its messages, and how far a scan of its history is
 *
 * Everything that changes one of them goes into the *entry* at hand and is seen at once. An entry
 * is the note of one batch, and so of one commit: the taker appends it to the job's journal
 * (change_journal.h) before the destination commits. A run begins with the number n of the
 * destination's last commit: what was compacted, and the journal's entries up to n, are the state.
 * Later ones are cut. So a process killed anywhere remembers what the destination has, no more.
 *
 *   tg_change_state_open(n)        state of commit n; doubts are found here, or when a window is
 *                                  loaded
 *   look, range, put, drop, ...    for the rows of a batch
 *   tg_change_entry_end            the batch's note. Every batch of the job has one, in order:
 *                                  the k-th since the opening is that of commit n + k
 *   tg_change_committed            the destination has commit n + k
 *   tg_change_step                 now and then: a piece of compaction, when due
 *   tg_change_state_close          the same as a whole, unless the journal is short
 *
 * What the state says of an id:
 *
 *   baseline done (`scanned`)               there as the signature says, or absent
 *   else: id <= scanned_to, id > scan_end   the same
 *         between                           unknown; a signature is a hint alone: one that is there
 *                                           may have been delivered, and if it is gone now the
 *                                           destination is to be told
 *
 * So a scan ends at the chat's newest message when it begins, or above; live changes put what comes
 * behind. A chat begins as unknown as a whole (0 to INT64_MAX). A chat is *doubted* if its stored
 * signatures are damaged, lost or older than the destination: then it is unknown as a whole again,
 * until tg_change_put_scan begins a scan: 0, end, not scanned; anything else is ignored. Doubts are
 * found
 *
 *   of all chats       the job's document is lost or broken, of another job, signed over other
 *                      fields, newer than the destination; the journal has a hole or broken entry,
 *                      or ends before n. All boxes are gone then: begin with a scan
 *   of one chat        its head or one of its windows is lost, broken, or an older one. Boxes stay
 *
 * In memory there are packed windows (flow/signature_window.h) of some 1024 messages, 9 to 18 bytes
 * a message, and the changes of each beside it until they are some dozens. Windows that are as
 * stored are left out when there is too much, and loaded again when asked for. What is stored, and
 * how: change_doc.h.
 *
 * Codes: those of the store, on which the state stays as it was and the call can be made again;
 * TG_NOMEM, TG_LIMIT, after which it is only good to be freed. A lack of memory in put, drop and
 * put_scan is told by tg_change_entry_end.
 *
 * Threads: one at a time, with a store handle of its own    Limits: ids 1..TG_WINDOW_ID_MAX
 */
#ifndef TG_CHANGE_STATE_H
#define TG_CHANGE_STATE_H

#include "base/arena.h"
#include "base/row.h"
#include "flow/signature_window.h"
#include "store/store.h"
#include "telegram/updates.h"

struct tg_change_state;

struct tg_change_state_options {
    const struct tg_store *store; /* open, for this state alone; borrowed */
    const char *job;
    uint64_t fields;              /* that are signed: tg_signature_fields() */
    uint64_t commit_seq;          /* the destination's last commit; 0: none */
    uint64_t fence;               /* of the job's lease */
    int64_t unix_us;              /* now */
    size_t memory_max;            /* packed windows, about; 0: 32 MiB */
    size_t journal_max;           /* bytes since the last compaction that make one due; 0: what fits
                                     the size of the state, 1 to 8 MiB */
};

/** Loads what is stored, replays the journal to commit_seq.
 *  Damage is no failure: tg_change_doubt() tells what was found. Free with tg_change_state_free. */
tg_code tg_change_state_open(const struct tg_change_state_options *options,
                             struct tg_change_state **ret, struct tg_error *err);
/** Forgets what is not in the journal. Safe on NULL. */
void tg_change_state_free(struct tg_change_state *st);

/** Why all chats were doubted at the opening, for the user: "its journal has a hole"; NULL. */
const char *tg_change_doubt(const struct tg_change_state *st);
/** How many chats are doubted; it may grow with any call that may load a window, so a run without
 *  end looks at it now and then. */
size_t tg_change_n_doubted(const struct tg_change_state *st);

/* ---- what is remembered ---- */

/** @return false: no such box is known */
bool tg_change_box(const struct tg_change_state *st, int64_t channel, struct tg_update_state *ret);

/** A chat that was ever watched. */
struct tg_change_chat {
    int64_t id, owner;            /* marked id; 0, or the account whose message ids are its */
    int64_t scanned_to, scan_end; /* of a scan: ids up to the one are done of those to the other */
    bool scanned;                /* once as a whole: nothing is unknown */
    bool doubted;                /* begin a scan that reads all */
    int64_t top;                 /* highest id that was ever put */
    uint64_t n;                  /* signatures; of the last few changes not yet */
};

bool tg_change_chat(const struct tg_change_state *st, int64_t chat, struct tg_change_chat *ret);
/** The one with the least id above that (INT64_MIN: the first of all). */
bool tg_change_chat_after(const struct tg_change_state *st, int64_t id,
                          struct tg_change_chat *ret);

enum tg_change_known { TG_CHANGE_UNKNOWN, TG_CHANGE_KNOWN_ABSENT, TG_CHANGE_KNOWN_THERE };

/**
 * What is remembered of a message.
 * @param ret_signature  if it is there; a hint if unknown: id 0 if there is not even that
 */
tg_code tg_change_look(struct tg_change_state *st, int64_t chat, int64_t id,
                       enum tg_change_known *ret, struct tg_signature *ret_signature,
                       struct tg_error *err);

/** For deletions without a peer.
 *  @param ret_chat  the chat with an owner that has that id; 0: none */
tg_code tg_change_find(struct tg_change_state *st, int64_t id, int64_t *ret_chat,
                       struct tg_error *err);

/**
 * The signatures around `from`, of ids up to *to at most, as tg_compare_run wants them: within one
 * window, either all known or all unknown.
 * @param to   in: how far is asked; out: how far this answers, at least `from`
 * @param ret  in memory of the state, until any next call
 */
tg_code tg_change_range(struct tg_change_state *st, int64_t chat, int64_t from, int64_t *to,
                        struct tg_signatures *ret, bool *ret_known, struct tg_error *err);

/* ---- changing it: into the entry at hand ---- */

void tg_change_put_box(struct tg_change_state *st, int64_t channel,
                       const struct tg_update_state *box);
/** The box is not to be gone on with: the next run begins it anew. */
void tg_change_drop_box(struct tg_change_state *st, int64_t channel);
/** A message is at the destination so. A chat that is not known begins. */
void tg_change_put(struct tg_change_state *st, int64_t chat, int64_t owner,
                   const struct tg_signature *signature);
/** The destination was told that it is deleted. */
void tg_change_drop(struct tg_change_state *st, int64_t chat, int64_t owner, int64_t id);
/** How far a scan is. scanned: the baseline is done (a later scan keeps it set).
 *  One that ends a doubt is made to end at `top` at least, and none ends lower than the one before
 *  until the baseline is done: go on to the scan_end that tg_change_chat then tells, else hints
 *  above would be taken for known. */
void tg_change_put_scan(struct tg_change_state *st, int64_t chat, int64_t owner,
                        int64_t scanned_to, int64_t scan_end, bool scanned);

/** Whether the entry at hand says anything: else no batch is needed on its account. */
bool tg_change_entry_any(const struct tg_change_state *st);
/** Bytes of the entry at hand so far. */
size_t tg_change_entry_size(const struct tg_change_state *st);
/** Ends the entry and begins the next; also one that says nothing has bytes. Its commit is the one
 *  behind that of the entry before. */
tg_code tg_change_entry_end(struct tg_change_state *st, struct tg_arena *arena, struct tg_str *ret,
                            struct tg_error *err);

/** Up to that commit all is durable at the destination. */
void tg_change_committed(struct tg_change_state *st, uint64_t commit_seq);

/** Whether tg_change_step has something to do. */
bool tg_change_due(const struct tg_change_state *st);
/** A piece of compaction when due: a few calls of the store, and no more for some milliseconds. A
 *  failure of the store that may pass is tried again for ten minutes before it is told. */
tg_code tg_change_step(struct tg_change_state *st, int64_t unix_us, struct tg_error *err);
/** A clean end: compacts what is committed, unless the journal is short. To be freed all the same.
 */
tg_code tg_change_state_close(struct tg_change_state *st, int64_t unix_us, struct tg_error *err);

/** For reports and tests. */
struct tg_change_usage {
    uint64_t messages, windows;
    size_t packed;   /* bytes of windows in memory */
    size_t beside;   /* bytes of changes beside them, and of what is kept per window and chat */
    size_t stored;   /* bytes of windows and heads, as in the documents */
    size_t journal;  /* bytes of entries since the last compaction */
    uint64_t loads, evictions, compactions;
};
void tg_change_usage(const struct tg_change_state *st, struct tg_change_usage *ret);

#endif
