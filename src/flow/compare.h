/* SPDX-License-Identifier: MIT */
/*
 * compare.h - what happened to the messages of an id range between two runs
 *
 * Stored signatures are laid beside those of the rows that the server gives now:
 *
 *   stored   now          kind                                                    unknown range
 *   no       yes          NEW                                                     READ
 *   yes      the same     SAME                                                    READ
 *   yes      another      EDITED, or REACTIONS (signature.h says when)            READ
 *   yes      no           SUSPECTED; asked for by id: DELETED, or what it is      the same
 *
 * A message that is missing is only suspected to be deleted: the range given is one that is proved
 * to be covered (telegram/history.h), but servers have been seen to leave messages out, and a
 * deletion cannot be taken back at a destination. So each suspected id is asked for by itself
 * (channels.getMessages, 100 at once), and tg_compare_confirm told the answer. What is never
 * confirmed keeps its stored signature and is suspected again by the next run.
 *
 * A range is *unknown* if nobody can say what the destination has of it (etl/change_state.h): at
 * the first run, after damage. Then every message is delivered, and all ids of the range that come
 * with no item do not exist: the destination deletes them, if it has any.
 *
 * One range, cut anywhere:
 *
 *   tg_change_range       what is remembered, and whether it can be built on
 *   pages of history      rows and their signatures, the range that is covered
 *   tg_compare_run        items: one for each id that is there or was
 *   tg_compare_confirm    for each SUSPECTED item; of an unknown range for all
 *   tg_change_put, _drop  what tg_change_delivered() says, into the batch that delivers it
 *
 * Threads: one at a time      Limits: 2 * TG_WINDOW_MAX items of a range
 */
#ifndef TG_COMPARE_H
#define TG_COMPARE_H

#include "flow/signature_window.h"

enum tg_change {
    TG_CHANGE_SAME,
    TG_CHANGE_NEW,
    TG_CHANGE_EDITED,
    TG_CHANGE_REACTIONS, /* they alone */
    TG_CHANGE_DELETED,
    TG_CHANGE_SUSPECTED,
    TG_CHANGE_READ,
    TG_CHANGES
};

/** Their names in reports, as `edited`. */
extern const char *const tg_change_name[TG_CHANGES];

/** Whether the destination is told. */
static inline bool tg_change_delivered(enum tg_change kind)
{
    return kind != TG_CHANGE_SAME && kind != TG_CHANGE_SUSPECTED;
}

/** What happened to one id. */
struct tg_compare_item {
    enum tg_change kind;
    unsigned differs;                  /* tg_signature_part bits of two signatures; else 0 */
    int64_t id;
    size_t row;                        /* which of the signatures given; TG_COMPARE_NO_ROW */
    struct tg_signature before, after; /* as far as the kind has them */
};
#define TG_COMPARE_NO_ROW SIZE_MAX

/** The counts of a run; a zeroed one is empty. */
struct tg_compare_stats {
    uint64_t total_processed;  /* ids looked at: messages there, and those that are missing */
    uint64_t changes_detected; /* of them delivered */
    uint64_t n[TG_CHANGES];
    int64_t processing_us;
};

struct tg_compare {
    struct tg_compare_item *item; /* ids ascending */
    size_t n, cap;
    int64_t from, to;             /* the range */
    bool known;                   /* else all that is there is READ, and no other id exists */
    size_t n_suspected;           /* not confirmed yet */
};

/** Frees the items; a zeroed one is empty and ready. */
void tg_compare_done(struct tg_compare *c);

/**
 * Compares what is stored with what is there now.
 *
 * @param stored  the window around the range; none are stored: of that range, with n 0
 * @param known   the destination has what is stored, and nothing else
 * @param now     of a range that was proved to be covered, at most TG_WINDOW_MAX signatures
 * @return TG_OK; TG_PROTOCOL: ids of `now` do not ascend or lie outside its range; TG_LIMIT;
 *         TG_NOMEM. c has no items unless TG_OK
 */
tg_code tg_compare_run(struct tg_compare *c, struct tg_signatures stored, bool known,
                       struct tg_signatures now, struct tg_error *err);

/**
 * A suspected id was asked for.
 *
 * @param now  of the message that is there after all; NULL: the server says there is none
 * @return the item, of another kind now, with the row TG_COMPARE_NO_ROW; NULL: that id is not
 *         suspected
 */
const struct tg_compare_item *tg_compare_confirm(struct tg_compare *c, int64_t id,
                                                 const struct tg_signature *now);

/** Counts the items as they are: after the last confirmation. */
void tg_compare_count(const struct tg_compare *c, int64_t processing_us,
                      struct tg_compare_stats *stats);

#endif
