/* SPDX-License-Identifier: MIT */
/*
 * letters.h - dead letters: rows that a destination or a rule refused, kept in the state store
 *
 * Document kind "dead", key "job/DESTINATION/chat/ROW": DESTINATION is 16 hex digits of the SHA-256
 * of its URL and series, ROW the row's own key (tg_row_key). So the same row, refused again after a
 * kill, is the same letter. The document is JSON:
 *
 *   { "job": "...", "to": "postgres://...", "chat_id": -100..., "series": "", "reason": "...",
 *     "at": "2024-...Z", "replay": [0, 0], "row": { as `tgdata schema` describes it } }
 *
 * A letter that a rule of the run has made (severity=quarantine), rather than the destination,
 * tells the rule's name as `rule`. It is in the store before the commit that passes its row; until
 * then it waits for others, as a transaction of the store costs more than a letter.
 *
 * `replay` is the number and the fence of the commit that a replay was about to write the row with:
 * killed right after, the next replay finds that commit at the destination and writes nothing. A
 * letter that was replayed or dropped leaves { "gone": "replayed" }, since stores forget no key; it
 * is a letter again if the row is refused anew.
 *
 * Threads: a box is used by the thread of its sink; the lock keeps several apart
 * Limits:  document 1 MiB
 */
#ifndef TG_LETTERS_H
#define TG_LETTERS_H

#include "base/row.h"
#include "os/queue.h"
#include "store/store.h"

#define TG_LETTER_KIND "dead"
enum { TG_LETTER_KEY = 256, TG_LETTER_MAX = 1 << 20 };

/** Where a run's letters go. */
struct tg_letters {
    /* to be filled in; borrowed */
    const struct tg_store *store;
    const char *job;
    int64_t (*unix_us)(void);

    int64_t since_us;   /* when the run began: a letter since then is its own, and counted */
    int64_t chat_id; /* job's chat that is written now: set by whoever calls the sinks */
    pthread_mutex_t lock; /* of what follows, and of the store while sinks write */
    _Atomic uint64_t n;   /* refused so far, each once however often its commit was tried again */
    struct tg_buf waiting; /* letters by rules: length, note */
};

/** Those of one destination: the ctx of its struct tg_sink_env. */
struct tg_letter_box {
    struct tg_letters *letters;
    const char *to;
    const char *series; /* as in struct tg_sink_env */
};

void tg_letters_init(struct tg_letters *l, const struct tg_store *store, const char *job,
                     int64_t (*unix_us)(void));
void tg_letters_done(struct tg_letters *l);

/** For struct tg_sink_env, refuse and its ctx. A letter that this run has kept already stays as it
 *  is; one of a run before is written anew. */
tg_code tg_letter_keep(void *box, const struct tg_row *row, const char *why,
                       struct tg_error *err);

/** Writes a letter of a row that a rule has set aside, with its key, for tg_letter_post. */
tg_code tg_letter_note(const struct tg_letter_box *box, int64_t chat_id,
                       const struct tg_row_aside *aside, struct tg_buf *out, struct tg_error *err);
/** Has what was so written kept by the next flush. */
tg_code tg_letter_post(struct tg_letters *l, const struct tg_buf *note, struct tg_error *err);
/** Keeps all that was posted, as tg_letter_keep does. */
tg_code tg_letters_flush(struct tg_letters *l, struct tg_error *err);

/** A letter's document. */
struct tg_letter {
    struct tg_buf job, to, series, reason, rule; /* texts */
    int64_t chat_id;
    uint64_t replay_seq, replay_fence;
    struct tg_str at, row; /* JSON, part of the document */
};

/** @return TG_END: it is gone; TG_CORRUPT. Done with tg_letter_done in any case */
tg_code tg_letter_read(const char *key, const void *bytes, size_t len, struct tg_letter *ret,
                       struct tg_error *err);
void tg_letter_done(struct tg_letter *letter);
void tg_letter_write(const struct tg_letter *letter, struct tg_buf *out);

/** Puts a document in the place of version `expect` of a letter, and forgets the older ones. */
tg_code tg_letter_put(const struct tg_store *store, const char *key, uint64_t expect,
                      int64_t unix_us, const struct tg_buf *document, struct tg_error *err);
/** Takes a letter out. @param how  "replayed", "dropped" */
tg_code tg_letter_end(const struct tg_store *store, const char *kind, const char *key,
                      uint64_t version, const char *how, int64_t unix_us, struct tg_error *err);
/** Whether a document of that kind was taken out so. */
bool tg_letter_gone(const void *bytes, size_t len);

#endif
