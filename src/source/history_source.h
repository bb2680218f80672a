/* SPDX-License-Identifier: MIT */
/*
 * history_source.h - reads one chat's history into batches, oldest first
 *
 *   what the chat is -> its segments (an old basic group, then the chat itself)
 *   per segment: newest id, date edges -> plan (telegram/history.h) -> pages -> rows -> batches
 *
 * A bot may not call getHistory: it reads channels and supergroups by windows of ids instead, each
 * id named, so that every id is answered for.
 *
 * The comments of a group that cannot be read are read through its channel (history_threads.c).
 *
 * Batches are taken only while there is credit; without it nothing new is requested. A page with a
 * message that cannot be decoded is read again in smaller pieces until that message stands alone
 * (salvage.h); it goes to quarantine, its neighbours stay.
 *
 * Threads: the loop's; everything happens inside client callbacks and tg_source_step
 * Limits:  segments 2; pages ahead by settings; 100 messages a page
 */
#ifndef TG_HISTORY_SOURCE_H
#define TG_HISTORY_SOURCE_H

#include "config/settings.h"
#include "telegram/chats.h"
#include "telegram/history.h"
#include "telegram/rows.h"
#include "telegram/takeout.h"

/** Posts of a channel that have comments, as a source that read it has met them. */
struct tg_source_posts {
    const int32_t *id; /* ascending */
    size_t n;
    int64_t from, to; /* all with such an id that have comments are there; to 0: none is known */
};

/** Where batches come from and go to. */
struct tg_source_io {
    void *ctx;
    struct tg_batch *(*batch)(void *ctx);               /* NULL: no credit now */
    void (*put)(void *ctx, struct tg_batch *batch);
    void (*give_back)(void *ctx, struct tg_batch *batch); /* unused */
    void (*bad)(void *ctx, int64_t chat_id, int64_t id, const char *reason, const void *bytes,
                size_t len);
    void (*warn)(void *ctx, const char *line);
    /** Last call; err NULL: the end was reached, or the stop was obeyed. Do not free the source
     *  in it. */
    void (*done)(void *ctx, const struct tg_error *err);
    /* The channel's posts are discussed in that group, which its settings want read as well; NULL,
     * and commented with it: nobody wants to know. */
    void (*linked)(void *ctx, int64_t group_id);
    /* One of its posts, read behind those before it, has comments. */
    void (*commented)(void *ctx, int64_t post);
    bool (*may_ask)(void *ctx); /* for one more page now; if not, tg_source_step comes again. NULL:
                                   always */
};

struct tg_source_options {
    struct tgc *client;
    const struct tg_extract_settings *settings;
    struct tg_source_io io;
    int64_t chat_id;
    int64_t through;              /* the chat is a discussion group that is read through this
                                     channel, post by post; 0: it is read itself */
    struct tg_source_posts posts; /* of that channel, borrowed; it is read for what they lack */
    const struct tg_range *range; /* takeout's split ranges, borrowed; NULL: none */
    size_t n_ranges;
    struct tg_cursor resume;      /* segment and id done so far; id 0 nothing; its owner, if any, is
                                     the client's user */
    uint64_t rows_before, batches_before;
    bool urgent;                  /* its requests go before others' */
    bool alone;                   /* without the basic group that it grew from */
};

struct tg_history_source;

/** @return the running source; NULL out of memory */
struct tg_history_source *tg_source_start(const struct tg_source_options *options, int64_t now_us);
/** Goes on: credit came back. */
void tg_source_step(struct tg_history_source *s, int64_t now_us);
/** Hands over what is in hand and calls done soon. */
void tg_source_stop(struct tg_history_source *s, int64_t now_us);
/** Sets an object aside that cannot be read, once: of a reply that the source asked for by others'
 *  hands, such as what the chat is. */
void tg_source_unreadable(struct tg_history_source *s, const char *what, const uint8_t *bytes,
                          size_t len);
/** After done, or to drop everything: no callback comes any more. */
void tg_source_free(struct tg_history_source *s);

struct tg_source_state {
    int64_t expected; /* messages left at the start by the server's count; -1 unknown yet */
    int64_t top_id;
    uint64_t rows;    /* of the chat so far, with those of earlier runs */
    uint64_t n_requests, n_bad;
    const char *method; /* that pages are read with */
    bool begun;         /* it is known what the chat is */
    int64_t covered;    /* last id of the segment that is done with */
    int64_t owner;      /* as tg_cursor.owner of what is being read */
};
void tg_source_state(const struct tg_history_source *s, struct tg_source_state *ret);

#endif
