/* SPDX-License-Identifier: MIT */
/*
 * salvage.h - reads a window of ids in pieces, so that one undecodable message does not take its
 * neighbours along
 *
 * Ascending from `last`: pieces of k messages; a piece that fails is halved; a single message that
 * fails is set aside with its bytes. Pieces that came out short are asked again at their own size,
 * so that nothing between two pieces is passed over.
 *
 * Pure: says what to ask next, is told what came back.
 *
 * Threads: none: value type
 */
#ifndef TG_SALVAGE_H
#define TG_SALVAGE_H

#include "telegram/history.h"

struct tg_salvage {
    int32_t last;     /* everything up to it is done */
    int32_t bound;    /* ids from here on are not wanted */
    int32_t want;     /* messages still wanted */
    int32_t piece;    /* messages of the next piece */
    int32_t behind;   /* messages of unknown id that are passed over: 0 usually */
    uint64_t mark;    /* of the last of them */
};

/**
 * @param request  the request whose reply could not be decoded
 * @param high     the highest id that is wanted
 */
void tg_salvage_start(struct tg_salvage *s, const struct tg_history_request *request,
                      int64_t high);

/** @return TG_OK with the next request, TG_END when the window is read */
tg_code tg_salvage_next(const struct tg_salvage *s, struct tg_history_request *ret);

/** A piece came whole. @param id newest first. @return how many, counted from the end (the oldest),
 *  are new and wanted; -1 if the piece must be asked again smaller */
int tg_salvage_piece(struct tg_salvage *s, const int32_t *id, size_t n);

/** A piece could not be decoded. @return true if it was a single message: set it aside */
bool tg_salvage_bad(struct tg_salvage *s);

/**
 * A single message is set aside.
 *
 * @param id    0 if even that is unknown
 * @param mark  a hash of its bytes
 * @return false if it was set aside before: the server shows the newest message again to whoever
 *         asks for what lies behind it
 */
bool tg_salvage_aside(struct tg_salvage *s, int32_t id, uint64_t mark);

#endif
