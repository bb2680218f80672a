/* SPDX-License-Identifier: MIT */
/*
 * taker_impl.h - the taker's insides: taker.c (chats, batches, commits), taker_up.c, taker_steps.c,
 * taker_memory.c, taker_lease.c, taker_circuit.c, taker_wait.c, taker_behind.c
 */
#ifndef TG_TAKER_IMPL_H
#define TG_TAKER_IMPL_H

#include "etl/taker.h"

/* ---- taker.c ---- */

/** As tg_taker_chat, of either series. */
tg_code tg_taker_take_up(struct tg_taker *t, const struct tg_job_chat *chat, bool fallback,
                         struct tg_commit *ret, struct tg_error *err);

/** @return a chat that is taken up; NULL */
struct tg_taker_chat *tg_taker_find(const struct tg_taker *t, int64_t chat_id);

/* ---- taker_up.c ---- */

/** Loads the chat's checkpoint, attaches its destination, and brings the one to the other. */
tg_code tg_taker_bring_up(struct tg_taker *t, struct tg_taker_chat *c, int64_t chat_id,
                          struct tg_error *err);
/** Writes the checkpoint. */
tg_code tg_taker_save(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);

/* ---- taker_steps.c ---- */

/** Takes rows from..*to of a batch through the steps: those that stay stand behind each other from
 *  `from` on, up to the new *to. What rules have set aside is in the store then. */
tg_code tg_taker_pass(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b,
                      size_t from, size_t *to, struct tg_error *err);

/** @return the stages that the chat's rows go through */
struct tg_taker_series *tg_taker_series(const struct tg_taker *t, const struct tg_taker_chat *c);

/* ---- taker_memory.c ---- */

/** @return TG_USAGE: there are too many that remember */
tg_code tg_taker_check_memories(const struct tg_stage_list *stages, struct tg_error *err);
/** What stages have learned since is the chat's. */
tg_code tg_taker_learned(const struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);
/** The rows that it was learned of are taken: the next commit covers them. */
void tg_taker_settle(struct tg_taker_chat *c);
/** Writes down what was learned of the rows that the next commit covers, before it is asked for. */
tg_code tg_taker_remember(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);
/** That commit was made. */
void tg_taker_remembered(struct tg_taker_chat *c);
/** A chat was taken up at c->next: its stages learn what was known there; c->read_total is told.
 *  @return TG_BUSY: this run has left rows of it that stages have seen */
tg_code tg_taker_recall(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);
/** Makes rows_total of a chat's last commit what was read for it, if there is a limit. */
tg_code tg_taker_count_read(struct tg_taker *t, const struct tg_extract_settings *job,
                            struct tg_commit *commit, struct tg_error *err);
/** The chat is laid down. */
void tg_taker_forget(struct tg_taker *t, struct tg_taker_chat *c);

/* ---- taker_behind.c ---- */

/** Where a chat stands with what came from Telegram, by its checkpoint and the destinations, which
 *  must not be behind. ret: zeroes if there is no checkpoint */
tg_code tg_taker_stand(struct tg_taker *t, const struct tg_job_chat *chat,
                       struct tg_commit *ret, struct tg_error *err);
/** @param there  the last commit of each destination @return TG_GAP, TG_USAGE: one lacks some */
tg_code tg_taker_check_behind(const struct tg_taker *t, const struct tg_checkpoint *stored,
                              const struct tg_commit *there, struct tg_error *err);
/** Tells those of several that have no cursor where the chat stands with them. */
tg_code tg_taker_tell_streams(const struct tg_taker_chat *c, struct tg_error *err);
/** Where each destination stands with a chat that was taken up. */
void tg_taker_where(const struct tg_taker_chat *c, struct tg_commit there[TG_SEVERAL_MAX]);
/** Puts that into the checkpoint, of several. */
tg_code tg_taker_note_each(struct tg_taker_chat *c, struct tg_error *err);

/* ---- taker_lease.c ---- */

/** What a writer is told that wakes up and finds another in its place; c NULL: of the whole job. */
tg_code tg_taker_taken_over(const struct tg_taker *t, const struct tg_taker_chat *c,
                            struct tg_error *err);

/** Gives the chat its fencing token, and its lease if chats have leases of their own.
 *  @return TG_BUSY if another has it, or the whole job */
tg_code tg_taker_lease_chat(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);

/** Renews that lease if it is time. @return TG_CONFLICT if another has it */
tg_code tg_taker_renew_chat(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);

/* ---- taker_circuit.c ---- */

/** The destinations' breakers as the last run left them. */
tg_code tg_taker_circuit_start(struct tg_taker *t, struct tg_error *err);
/** What the destinations of a sink did. @param commit  success counts, as a write that is only
 *  buffered does not. @return code */
tg_code tg_taker_sink_did(struct tg_taker *t, const struct tg_sink *sink, tg_code code, bool commit,
                          const struct tg_error *err);
bool tg_taker_is_guarded(const struct tg_taker *t);
/** How many destinations there are; their guards are t->circuit.at. */
size_t tg_taker_n_guards(const struct tg_taker *t);
/** Writes how one is called among several; "": it is the only one. */
void tg_taker_name_guard(const struct tg_taker *t, size_t i, char out[TG_TAKER_NAME]);
/** @return 0, or how long the breakers keep all waiting; *ret_which: which longest */
int64_t tg_taker_circuit_wait(const struct tg_taker *t, size_t *ret_which);
/** Adds news; `from` and `to` of a change differ. */
void tg_taker_tell(struct tg_taker *t, const struct tg_taker_news *news);

/* ---- taker_wait.c ---- */

/** A destination has failed. Waits, if it is to be waited for, and keeps the leases meanwhile.
 *  @return whether it is to be tried again; else *code and err say what ends the run */
bool tg_taker_again(struct tg_taker *t, tg_code *code, struct tg_error *err);
/** It does no longer: what was tried again went well. */
void tg_taker_back(struct tg_taker *t);
/** Sleeps so long. @return false: the lease is lost, with *code and err; or the end is near */
bool tg_taker_nap(struct tg_taker *t, int64_t us, tg_code *code, struct tg_error *err);

/** As tg_sink_last, and as a sink's attach into c->next, however often it must be tried. */
tg_code tg_taker_last_commit(struct tg_taker *t, const struct tg_sink *sink, int64_t chat_id,
                             struct tg_commit *ret, struct tg_error *err);
tg_code tg_taker_attach(struct tg_taker *t, struct tg_taker_chat *c, const struct tg_fence *fence,
                        struct tg_error *err);
/** Commits c->next, however often it must be tried. */
tg_code tg_taker_put_commit(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);
/** Writes rows from..to of a batch behind those that were written, in the same way. */
tg_code tg_taker_put_rows(struct tg_taker *t, struct tg_taker_chat *c, const struct tg_batch *b,
                          size_t from, size_t to, struct tg_error *err);
/** The batch in hand is given back: what of it is not committed is kept. */
tg_code tg_taker_keep_rows(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err);

/* ---- taker_lease.c again ---- */

/** Give them back. */
void tg_taker_release_chat(struct tg_taker *t, struct tg_taker_chat *c);
void tg_taker_release(struct tg_taker *t);

#endif
