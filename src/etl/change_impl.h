/* SPDX-License-Identifier: MIT */
/*
 * change_impl.h - the inside of change_state.h: change_state.c asks and changes, change_load.c
 *                 reads documents and journal, change_compact.c writes documents
 *
 * What is seen at once (`now`) runs ahead of what the destination has (`kept`). Changes of messages
 * wait as ops beside their window; those of boxes and scans in a queue, `late`, until their commit
 * is told. Only what is committed is ever stored.
 */
#ifndef TG_CHANGE_IMPL_H
#define TG_CHANGE_IMPL_H

#include "etl/change_doc.h"
#include "etl/change_state.h"
#include "etl/change_window.h"

struct change_scan {
    struct tg_change_scan scan;
    bool doubted;
};

struct change_chat {
    int64_t id, owner, top;
    struct tg_change_windows windows;
    struct change_scan now, kept;
    uint64_t born;      /* commit that it begins with */
    uint64_t scan_seq;  /* newest commit that says something of its scan */
    uint64_t doubt_seq; /* what those up to this say was before the doubt */
    /* its head's document */
    uint64_t head_sum, version; /* version: newest, if known */
    bool have_head, version_known;
    bool head_dirty;            /* it says something else by now */
    bool prune;
};

struct change_box {
    int64_t channel;
    struct tg_update_state now, kept;
    bool now_there, kept_there;
};

struct change_late {
    uint64_t seq;
    uint64_t sum;               /* of the note that ends with it; 0: there is an item */
    struct tg_change_item item; /* box, no box, scan */
};

struct change_compaction {
    enum change_phase {
        CHANGE_IDLE, CHANGE_WINDOWS, CHANGE_JOB, CHANGE_DROP, CHANGE_PRUNE
    } phase;
    uint64_t through, through_sum; /* what was committed when it began */
    uint32_t round;
    size_t journal;       /* bytes at its beginning */
    int64_t chat;         /* the next one with at least that id */
    size_t window;
    unsigned calls;       /* of the store, that are left of this step */
    int64_t next_us;      /* not before, by the wall clock */
    int64_t failing_us, pause_us; /* since when the store fails; 0: it does not */
};

struct tg_change_state {
    const struct tg_store *store;
    char *job;
    struct tg_change_of of;
    uint64_t fence;
    size_t memory_max, journal_max, journal_fixed;
    struct change_chat **chat; /* by id */
    size_t n_chats, cap_chats, last_chat;
    struct change_box *box;    /* by channel */
    size_t n_boxes, cap_boxes;
    struct change_late *late;  /* late_at..n_late */
    size_t late_at, n_late, cap_late;
    struct tg_change_note note;
    uint64_t next, committed;  /* number of the commit at hand; newest durable one */
    uint64_t sum, committed_sum; /* of the note before the one at hand; of that commit */
    struct tg_change_room room;
    bool no_memory;
    const char *doubt;
    char doubt_text[sizeof((struct tg_error *)0)->message];
    size_t n_doubted;
    bool doubt_new;            /* a doubt is not stored yet */
    size_t journal;            /* bytes since `through` */
    /* the job's document */
    uint64_t through, version;
    bool version_known;
    struct change_compaction compaction;
    size_t hand_chat, hand_window, packed_least; /* of what is left out of memory */
    uint64_t n_loads, n_evictions, n_compactions;
};

/* ---- change_state.c ---- */

/** NULL: there is none. */
struct change_chat *tg_change_chat_get(const struct tg_change_state *st, int64_t id);
/** Index of the first chat with at least that id. */
size_t tg_change_chat_index(const struct tg_change_state *st, int64_t id);
/** The one of that id; begun if there is none. @return NULL: no memory, as st->no_memory says */
struct change_chat *tg_change_chat_obtain(struct tg_change_state *st, int64_t id, int64_t owner,
                                          uint64_t born);
/** As tg_change_put_box of a box that is durable. */
void tg_change_box_load(struct tg_change_state *st, int64_t channel,
                        const struct tg_update_state *at);
/** Changes what is seen, by the item of a commit. */
void tg_change_apply(struct tg_change_state *st, const struct tg_change_item *item, uint64_t seq);
/** What is stored of the chat is not to be trusted. */
void tg_change_doubt_chat(struct tg_change_state *st, struct change_chat *c);
void tg_change_chat_free(struct change_chat *c, struct tg_change_room *room);
/** Forgets all boxes. */
void tg_change_forget_boxes(struct tg_change_state *st);
/** Forgets all chats. */
void tg_change_forget_chats(struct tg_change_state *st);

static inline struct tg_window_owner tg_change_owner(const struct change_chat *c)
{
    return (struct tg_window_owner){ c->id, c->owner, TG_SEGMENT_CHANGES, 0 };
}

/* ---- change_load.c ---- */

/** The key of a chat's head, of its window from an id on; 0: of the job's document. */
void tg_change_key(const struct tg_change_state *st, int64_t chat, int64_t from,
                   char out[TG_CHANGE_KEY_MAX]);
/** Reads documents and journal. */
tg_code tg_change_load(struct tg_change_state *st, uint64_t commit_seq, int64_t unix_us,
                       struct tg_error *err);
/** Sees to it that a window is in memory; if what is stored is damaged, the chat is doubted, and
 *  the window empty. */
tg_code tg_change_window_need(struct tg_change_state *st, struct change_chat *c, size_t i,
                              struct tg_error *err);
/** Leaves out windows but that one, if there is too much in memory. */
void tg_change_evict(struct tg_change_state *st, const struct tg_change_window *but);

/* ---- change_compact.c ---- */

/** Compacts all that is committed, at once. */
tg_code tg_change_compact(struct tg_change_state *st, int64_t unix_us, struct tg_error *err);
/** How long the journal may be, for what is there. */
void tg_change_set_limit(struct tg_change_state *st);

#endif
