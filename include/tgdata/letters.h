/* SPDX-License-Identifier: MIT */
/*
 * letters.h - dead letters: what no destination has, and why
 *
 * A row that a destination refuses for good (a constraint of its table, too large for the broker),
 * or that a rule of severity `quarantine` sets aside, is kept in the state store with the reason,
 * and the run goes on. Records that could not be decoded stand in the quarantine beside them, with
 * their bytes. Neither is ever forgotten by itself.
 *
 * Threads: calls block; one at a time for each job
 */
#ifndef TGDATA_LETTERS_H
#define TGDATA_LETTERS_H

#include <stddef.h>

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Which letters; what is NULL is not looked at. */
struct tg_letter_filter {
    const char *state;  /**< URL of the state store */
    const char *job;
    const char *to;     /**< URL of the destination */
    const char *rule;   /**< by the name of the rule that made it */
    const char *key;    /**< one letter */
    bool quarantine;    /**< records that could not be decoded, instead of letters */
};

struct tg_letter_info {
    const char *key;
    const char *job;
    const char *to;     /**< the destination; NULL in quarantine */
    const char *reason;
    const char *rule;   /**< that set the row aside; NULL: the destination refused it */
    const char *json;   /**< the whole document: of a letter with the row as `row`, of a record in
                             quarantine with its `bytes` in base64 */
    int64_t chat_id;
    int64_t id;         /**< of the message; 0 unknown */
    int64_t at_us;      /**< when it was kept, Unix microseconds */
};
/** @return false to stop */
typedef bool (*tg_letter_fn)(void *ctx, const struct tg_letter_info *letter);

/**
 * Tells of each letter, by key. The store is only read, and not made if it is not there.
 * @return TG_OK, also if there is none; TG_NOT_FOUND: no such state, or no letter of that key;
 *         TG_CORRUPT, TG_STATE, ...
 */
TG_API tg_code tg_letters_list(const struct tg_letter_filter *which, tg_letter_fn seen, void *ctx,
                               struct tg_error *err) TG_MUST_CHECK;

/** What a replay did. */
struct tg_letters_result {
    uint64_t replayed; /**< rows that are in the destination now */
    uint64_t refused;  /**< rows that it refused again: their letters stay, with the new reason */
    uint64_t kept;     /**< rows that a stage took out: their letters stay as they are */
};

/** What is done to rows before they are written, "NAME?option=value&..." each (docs/transform.md):
 *  such as what mends them, or the stages that stood behind the rule. None that tells at the end of
 *  a run, as `profile` does. */
struct tg_letter_stages {
    const char *const *text;
    size_t n;
};

/**
 * Writes the rows of letters to their destinations again. A letter is taken out when its row is
 * committed there: a replay that is killed is gone on with by the next one. Destinations that keep
 * a cursor get each row once; to others it may come twice, with the same key.
 *
 * @param stages  NULL: rows are written as the letters have them
 * @param ret     written also on failure: what was done until then
 * @return TG_OK, also if rows were refused again, or kept; TG_BUSY: the job runs, or a worker is at
 *         the chat; TG_USAGE: quarantine holds no rows, a stage that there is not; TG_DATA: a stage
 *         failed for a row; the destination's failure
 */
TG_API tg_code tg_letters_replay(const struct tg_letter_filter *which,
                                 const struct tg_letter_stages *stages,
                                 struct tg_letters_result *ret,
                                 struct tg_error *err) TG_MUST_CHECK;

/** Takes letters out for good. @param ret_n  how many; written also on failure */
TG_API tg_code tg_letters_drop(const struct tg_letter_filter *which, uint64_t *ret_n,
                               struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
