/* SPDX-License-Identifier: MIT */
/*
 * several.h - several destinations that are written as one
 *
 *   attach   each tells where it stands; the one that is furthest behind is where all go on
 *   write    each gets the rows behind where it stands itself
 *   commit   each makes its own, with numbers of its own; done when all have
 *
 * Each is called on a thread of its own, all at the same time, and the slowest is waited for. A
 * killed run may leave one ahead of another: it skips rows until the others are there, too. What
 * fails at one has failed, with that one's name; a new attach tells where each stands then. Each
 * that was called tells how that went for it (tg_several_did).
 *
 * If each holds its rows until their commit (sink.h's again), so do several. If one does not, all
 * forget them.
 *
 * A destination without a cursor must be told where it stands before its chat is taken up.
 *
 * What looks at one destination alone (scan, commits, rollback) goes to that one.
 *
 * Threads: one at a time      Limits: TG_SEVERAL_MAX destinations
 */
#ifndef TG_SINK_SEVERAL_H
#define TG_SINK_SEVERAL_H

#include "sink/sink.h"

enum { TG_SEVERAL_MAX = 8 };

/**
 * Makes one of n open sinks, which are closed with it, also on failure.
 * @param name  their URLs, for messages; borrowed until close
 */
tg_code tg_several_new(struct tg_sink *part, const char *const *name, size_t n,
                       struct tg_sink *ret, struct tg_error *err);

/** @return how many a sink consists of: 1 if it was not made of several */
size_t tg_several_n(const struct tg_sink *sink);
/** @return number i of them; the sink itself if it was not made of several */
const struct tg_sink *tg_several_part(const struct tg_sink *sink, size_t i);

/** What a destination of several did at the last attach, write or commit. @param err  why it failed
 *  @return false, and neither is written: it had nothing to do */
bool tg_several_did(const struct tg_sink *sink, size_t i, tg_code *ret, struct tg_error *err);

/** Where a destination of several stands with a chat that was taken up; zeroes: nowhere yet. */
struct tg_commit tg_several_last(const struct tg_sink *sink, size_t i, int64_t chat_id);
/** Says where one without a cursor stands. @return false out of memory */
bool tg_several_stands(const struct tg_sink *sink, size_t i, const struct tg_commit *at);

#endif
