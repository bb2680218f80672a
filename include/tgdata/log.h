/* SPDX-License-Identifier: MIT */
/*
 * log.h - what happens, told as lines of text, as JSON, or to the journal of systemd
 *
 *   struct tg_log *log;
 *   code = tg_log_open(config, &log, &err);         settings of scope MONITOR, and the job's name
 *   tg_log_note(log, note);                         a note of an account, as tg_note_fn gets it
 *   tg_log_write(log, &(struct tg_log_record){ .level = TG_LOG_INFO, .message = "begun" });
 *   tg_log_close(log);
 *
 *   tg_log_follow(log, observer);                   records have the ids of what it traces
 *
 * A record is one line on stderr, or one entry of the journal. What is not known of it is left out:
 *
 *   {"time":"2024-01-15T10:30:00.250Z","level":"info","event":"flood wait","message":"...",
 *    "job":"nightly","chat":-1001234567890,"account":"a.session","code":"FLOOD","wait_s":17}
 *
 * Threads: functions from any thread; tg_log_close when nobody uses it any more
 */
#ifndef TGDATA_LOG_H
#define TGDATA_LOG_H

#include "tgdata/account.h"
#include "tgdata/observe.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_log;

/** How bad it is. */
enum tg_log_level { TG_LOG_ERROR, TG_LOG_WARNING, TG_LOG_INFO };

/** What is told. Only `level` and `message` must be set; texts are borrowed for the call. */
struct tg_log_record {
    enum tg_log_level level;
    const char *message; /**< one line, no line end */
    const char *event;   /**< what kind of thing it is: "retry"; NULL: no kind */
    const char *account; /**< session file; NULL: of none */
    const char *hint;    /**< what to do about it; NULL, "": nothing is known */
    int64_t chat_id;     /**< 0: of none */
    tg_code code;        /**< TG_OK: no failure */
    double wait_s;       /**< how long it waits; 0: it does not */
};

/**
 * Opens a log as the settings log-format and log-level say.
 * @param config  borrowed for the call
 * @return TG_OK; TG_USAGE; TG_NOMEM. A journal that is not there is no failure: its records go to
 *         stderr as text, the first says so
 */
TG_API tg_code tg_log_open(const struct tg_config *config, struct tg_log **ret,
                           struct tg_error *err) TG_MUST_CHECK;
TG_API void tg_log_close(struct tg_log *log); /* NULL is nothing */

/**
 * With traces, records (but text) tell which span they belong to, as `trace_id` and `span_id`: that
 * of their chat while it is read, else that of the job; behind the end of a run, that of its job.
 * While several runs of the observer go on, nothing is told.
 * @param log       NULL is nothing
 * @param observer  borrowed until the next call; NULL: none any more, what comes is of the last run
 */
TG_API void tg_log_follow(struct tg_log *log, struct tg_observer *observer);

/** @return whether records are text for people to read, as opposed to programs */
TG_API bool tg_log_is_text(const struct tg_log *log);
/** @return whether records of that level are told at all */
TG_API bool tg_log_wants(const struct tg_log *log, enum tg_log_level level);

/** Tells a record, unless its level is below what is wanted. What cannot be written is dropped. */
TG_API void tg_log_write(struct tg_log *log, const struct tg_log_record *record);

/** The level of a kind of note, and the word for it: "flood wait". */
TG_API enum tg_log_level tg_log_note_level(enum tg_note_kind kind);
TG_API const char *tg_log_note_event(enum tg_note_kind kind);

/** Tells a note. */
TG_API void tg_log_note(struct tg_log *log, const struct tg_note *note);

#ifdef __cplusplus
}
#endif
#endif
