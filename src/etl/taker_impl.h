/* SPDX-License-Identifier: MIT */
/*
 * taker_impl.h - the taker's insides: taker.c (chats, batches, commits), taker_lease.c,
 * taker_circuit.c
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

/** Where a chat stands with what came from Telegram, by its checkpoint and the destination, which
 *  must not be behind. ret: zeroes if there is no checkpoint */
tg_code tg_taker_stand(struct tg_taker *t, const struct tg_job_chat *chat,
                       struct tg_commit *ret, struct tg_error *err);

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

/** The destination's breaker as the last run left it. */
tg_code tg_taker_circuit_start(struct tg_taker *t, struct tg_error *err);
/** What the destination did. @param commit  success counts, as a write that is only buffered does
 *  not. @return code */
tg_code tg_taker_sink_did(struct tg_taker *t, tg_code code, bool commit,
                          const struct tg_error *err);
/** @return whether that failure was the destination's, may pass, and is to be waited for */
bool tg_taker_sink_passes(const struct tg_taker *t, tg_code code);

/* ---- taker_lease.c again ---- */

/** Give them back. */
void tg_taker_release_chat(struct tg_taker *t, struct tg_taker_chat *c);
void tg_taker_release(struct tg_taker *t);

#endif
