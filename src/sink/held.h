/* SPDX-License-Identifier: MIT */
/*
 * held.h - the chats of a destination that takes the rows and the record of a commit together
 *
 *   take up    who writes it, as the destination tells? --> may it be taken up? --> attached
 *   write      rows wait in memory (staged.h)
 *   commit     does it follow? --> still the writer? --> rows and record --> the last commit
 *   again      after a failure: as taking up, but what waits goes on waiting, if it can
 *
 * What of it is asked and told there is the destination's own.
 *
 * Threads: one at a time      Limits: 65536 chats; 64 MiB of rows in memory, then a temporary file
 */
#ifndef TG_SINK_HELD_H
#define TG_SINK_HELD_H

#include "sink/sink.h"
#include "sink/staged.h"

/** A chat that is or was written. */
struct tg_held_chat {
    int64_t id;
    struct tg_fence fence; /* taken up with that one */
    struct tg_commit last; /* seq 0: none yet */
    struct tg_staged rows;
    uint64_t refused;      /* rows that the commit in hand has refused */
    bool attached, was_attached;
};

struct tg_held {
    struct tg_held_chat **chat;
    size_t n;
    struct tg_staged_room room;
    uint64_t bytes; /* of rows that were committed */
};

void tg_held_init(struct tg_held *s);
void tg_held_done(struct tg_held *s);

/** @return the chat, made if it is new */
tg_code tg_held_take(struct tg_held *s, int64_t id, struct tg_held_chat **ret,
                     struct tg_error *err);
/** It must be taken up again: what waits is held (sink.h's again), or forgotten. */
void tg_held_leave(struct tg_held_chat *chat);
void tg_held_forget(struct tg_held_chat *chat);
/** It was taken up, and stands at `last`. What waits is forgotten unless it stood there before. */
void tg_held_attached(struct tg_held_chat *chat, const struct tg_fence *fence,
                      const struct tg_commit *last);
/** sink.h's attach and again of such a chat, with their result. @return code; TG_END */
tg_code tg_held_stands(const struct tg_held_chat *chat, tg_code code, struct tg_commit *ret);

/** Who writes a chat as the database tells it; `job` "" if nobody did yet. */
struct tg_held_writer {
    char job[256];
    struct tg_fence fence;
};

/**
 * Whether a chat may be taken up with a fence; `where` and `hint` are for another job's chat.
 * @return TG_CONFLICT: a newer writer is there; TG_USAGE: it belongs to another job
 */
tg_code tg_held_may_take(const struct tg_held_chat *chat, const char *job,
                         const struct tg_held_writer *there, const struct tg_fence *fence,
                         const char *where, const char *hint, struct tg_error *err);
/** Whether it is still the writer. @return TG_CONFLICT */
tg_code tg_held_still(const struct tg_held_chat *chat, const struct tg_held_writer *there,
                      struct tg_error *err);

/** @return the chat of rows that are written; TG_INTERNAL if it was not taken up. After the write,
 *  with its result: of a write that failed nothing waits. @return code */
tg_code tg_held_writing(struct tg_held *s, int64_t chat_id, struct tg_held_chat **ret,
                        struct tg_error *err);
tg_code tg_held_written(struct tg_held_chat *chat, struct tg_staged_mark before, tg_code code);
/** sink.h's write. @return as tg_held_writing */
tg_code tg_held_write(struct tg_held *s, const struct tg_batch *batch, size_t from, size_t n,
                      struct tg_error *err);
/**
 * Refuses a row of the commit in hand.
 * @param why  the database's failure, of code TG_DATA
 * @return TG_OK: it is kept elsewhere; TG_DATA: nobody keeps it, or the table refuses most rows
 */
tg_code tg_held_refuse(struct tg_held_chat *chat, const struct tg_sink_env *env,
                       const struct tg_row *row, const struct tg_error *why,
                       struct tg_error *err);
/** The commit as it is to be recorded: with what was refused up to it. */
struct tg_commit tg_held_recorded(const struct tg_held_chat *chat,
                                  const struct tg_commit *commit);
/** @return the chat of a commit that follows; TG_INTERNAL if it does not, or was not taken up */
tg_code tg_held_begin_commit(struct tg_held *s, const struct tg_commit *commit,
                             struct tg_held_chat **ret, struct tg_error *err);
/** After the transaction, with its result: what was not committed is held. @return code */
tg_code tg_held_end_commit(struct tg_held *s, struct tg_held_chat *chat,
                           const struct tg_commit *commit, tg_code code);

/** A commit as numbers, which have these names in this order. */
#define TG_HELD_COMMIT                                                                             \
    "chat_id, seq, segment, id, owner, batches, rows, rows_total, covered_from, last_id, "         \
    "last_date, fence, complete, refused"
enum { TG_HELD_COMMIT_N = 14 };
void tg_held_numbers(const struct tg_commit *c, int64_t out[TG_HELD_COMMIT_N]);
struct tg_commit tg_held_commit(const int64_t v[TG_HELD_COMMIT_N]);

/** Rows that are read back (sink.h's read) on their way into batches. */
struct tg_held_back {
    struct tg_batch *batch;
    tg_sink_taken taken;
    void *ctx;
};
/** Before a row: a full batch is given away. @return as `taken` */
tg_code tg_held_room(struct tg_held_back *b, struct tg_error *err);
/** Gives away what is there, also after the last row. @return as `taken` */
tg_code tg_held_give(struct tg_held_back *b, struct tg_error *err);

#endif
