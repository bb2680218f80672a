/* SPDX-License-Identifier: MIT */
/*
 * sink.h - what a destination must offer: durable commits with a cursor of its own
 *
 * The engine writes rows, then commits them together with a record of what they cover. After a
 * crash it attaches again, learns the last durable commit from the destination itself, and goes on
 * behind it. Whatever was written after that commit must not be visible to readers, or is removed
 * on attach. A sink is one file; its vtable is the last thing in it, listed in sink/table.c.
 *
 * After a failed write or commit nothing is known but what the destination tells: the chat must be
 * attached again, then written on from the commit that attach reports. The same holds after a
 * rollback. A sink that holds rows itself until their commit can be taken up by `again` instead:
 * what it holds is not written once more.
 *
 * A commit's seq follows the last one's, its rows are those written since, and its rows_total adds
 * up; a sink refuses others (TG_INTERNAL). A commit without rows may leave no trace once another
 * follows it: covered_from reaches back to the end of the last commit with rows.
 *
 * A run that was stopped, even for hours between two steps of a commit, and wakes up when another
 * has taken its job over, must neither add nor remove anything: that is what fences are for.
 *
 * A row that a destination can never take (a constraint of its table, too large for the broker)
 * ends no run: the sink hands it to env.refuse with the reason and goes on as if it was written. It
 * counts in the commit's rows; `refused` tells with attach and commits how many of rows_total were,
 * and scan finds those fewer. So each row is in the destination or among the dead letters, and a
 * check can count both. What refuses most rows is set up wrongly, and fails as ever.
 *
 * A stream keeps no cursor and cannot be read again: attach is NULL, and so are rollback, scan,
 * commits and read. Its commit gives away what was written; the checkpoint in the state store,
 * which follows it, is the cursor. Rows behind the checkpoint come again after a crash, those of a
 * chat after its failed write or commit, and when the chat was lost to another: what waits in the
 * sink since before may be dropped then, and a commit of so many rows is of the newest.
 *
 * Threads: one thread for all calls of one open sink; calls may block
 */
#ifndef TG_SINK_H
#define TG_SINK_H

#include "base/option.h"
#include "base/row.h"
#include "os/fs.h"

/** What one commit covers. Written to the destination with the rows, and read back on attach. */
struct tg_commit {
    struct tg_cursor cursor;  /* everything up to it is in the destination */
    uint64_t seq;             /* number of the commit within job and chat, from 1, without holes */
    uint64_t batches;         /* batches completed so far */
    uint64_t rows;            /* rows of this commit */
    uint64_t rows_total;      /* rows of the job and chat up to here */
    uint64_t refused;         /* those of rows_total that the destination refused for good; the sink
                                 counts them: what commit gets there means nothing */
    int64_t covered_from;     /* ids covered_from..cursor.id of cursor.segment are all in, proved */
    int64_t last_id;          /* id of the last row so far; 0 if none */
    int64_t last_date;        /* its date, Unix seconds */
    uint64_t fence;           /* fencing token of the writer's lease */
    bool complete;            /* the chat's end was reached */
    enum tg_row_source source; /* of its rows; what no server has answered for covers no ids */
};

/**
 * Who writes. The token is that of the lease: whoever takes a job over has a greater one. The nonce
 * is drawn at random by each run, so that two runs with different state stores, whose tokens say
 * nothing about each other, are told apart.
 */
struct tg_fence {
    uint64_t token;
    uint32_t nonce;
};

/** What every sink gets when it is opened; borrowed until close. */
struct tg_sink_env {
    const char *job;
    const struct tg_fs *fs;
    int64_t (*unix_us)(void *ctx);
    /**
     * Keeps a row that the destination refuses for good, with the reason in one line. Called within
     * write or commit of the row's chat, before the commit that counts the row is durable; the same
     * row may be given again. NULL: the sink fails instead (TG_DATA).
     * @return TG_OK: it is kept, durably; else the sink fails with that code
     */
    tg_code (*refuse)(void *ctx, const struct tg_row *row, const char *why, struct tg_error *err);
    void *ctx; /* of both functions */
    const char *series; /* NULL: the rows from Telegram. Else a name: rows that are kept apart from
                           those, with commits of their own */
};

/** Called by scan for each row of the destination. @return false to stop */
typedef bool (*tg_sink_seen)(void *ctx, int64_t chat_id, int64_t id);

/** Called with rows of the destination in order, which it may change.
 *  @return TG_OK to go on; TG_END to stop; a failure */
typedef tg_code (*tg_sink_taken)(void *ctx, struct tg_batch *batch, struct tg_error *err);

/** Called for each commit of the destination. @return false to stop */
typedef bool (*tg_commit_seen)(void *ctx, const struct tg_commit *commit);

/** Called for each chat of the destination. @return false to stop */
typedef bool (*tg_chat_seen)(void *ctx, int64_t chat_id, const char *job);

struct tg_sink_ops {
    struct tg_driver head; /* head.size: bytes of the instance; options fill it before open */

    /** Opens the destination named by the URL part behind "name:". */
    tg_code (*open)(void *self, const char *target, const struct tg_sink_env *env,
                    struct tg_error *err);

    /**
     * Takes up a chat for writing: shuts out writers with an older fence, finds the last durable
     * commit, removes what was written behind it. From then on an older writer that still runs
     * fails with TG_CONFLICT, at its next commit at the latest, and what it commits is not there.
     * @return TG_OK with the commit; TG_END, ret untouched, if there is none; TG_CONFLICT if a
     * newer writer is there; TG_CORRUPT if what is there was damaged
     */
    tg_code (*attach)(void *self, int64_t chat_id, const struct tg_fence *fence,
                      struct tg_commit *ret, struct tg_error *err);

    /**
     * As attach, after a write or commit of the chat failed, of a sink that holds rows itself until
     * they are committed. If the destination stands where it stood, all rows that were written
     * since wait still for their commit, but for those of a write that failed: only these are to be
     * written again. If it stands elsewhere they are forgotten. NULL: they are always.
     */
    tg_code (*again)(void *self, int64_t chat_id, const struct tg_fence *fence,
                     struct tg_commit *ret, struct tg_error *err);

    /** Takes rows from..from+n of a batch; they may be buffered, and are copied if so. */
    tg_code (*write)(void *self, const struct tg_batch *batch, size_t from, size_t n,
                     struct tg_error *err);

    /** Makes all rows written for that chat since its last commit durable and visible, all or none.
     *  No rows at all is a commit too. */
    tg_code (*commit)(void *self, const struct tg_commit *commit, struct tg_error *err);

    /** Removes everything behind commit number seq of a chat (checkpoint rollback). Attaches first.
     *  @return as attach; TG_BUSY if another rollback is under way */
    tg_code (*rollback)(void *self, int64_t chat_id, const struct tg_fence *fence, uint64_t seq,
                        struct tg_error *err);

    /** Reads the destination again, checks it against its own records, reports each row. */
    tg_code (*scan)(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                    struct tg_error *err);

    /** Reports each commit as the destination's own records tell it, oldest first. TG_OK also if
     *  there is none. */
    tg_code (*commits)(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                       struct tg_error *err);

    /** The last commit, without taking the chat up. NULL: the last one that `commits` tells.
     *  @return TG_END, ret untouched, if there is none */
    tg_code (*last)(void *self, int64_t chat_id, struct tg_commit *ret, struct tg_error *err);

    /**
     * Reads rows back, checking as scan does: the batch is filled, given to `taken`, cleared, and
     * so on. Rows of parts that end at or before `behind` (segment, id) may be left out. NULL: what
     * was written there cannot be read.
     */
    tg_code (*read)(void *self, int64_t chat_id, const struct tg_cursor *behind,
                    struct tg_batch *batch, tg_sink_taken taken, void *ctx, struct tg_error *err);

    /** Reports each chat that is there, and the job whose chat it is, by chat id; env.job does not
     *  matter. TG_OK also if there is none. NULL: it cannot be told. */
    tg_code (*chats)(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err);

    bool series; /* rows of another env.series are kept apart; else it is opened with none */
    bool parts;  /* each commit makes a file: many small ones are a burden */
    bool disk;   /* files of this machine: of its failures none passes by itself but TG_FULL */

    /** Bytes of output so far, for progress and statistics. */
    uint64_t (*bytes)(const void *self);

    /** Drops uncommitted rows and frees everything. Safe after a failed open. */
    void (*close)(void *self);
};

/** All sinks, ended by NULL. */
extern const struct tg_sink_ops *const tg_sinks[];

/**
 * Opens a sink from a URL such as "ndjson:DIR?compress=zstd".
 * @param ret  instance; close with tg_sink_close
 */
struct tg_sink {
    const struct tg_sink_ops *ops;
    void *self;
    char *url; /* owns the text that options point into */
};
/** @return whether the destination itself knows what it holds; no sink knows nothing */
static inline bool tg_sink_remembers(const struct tg_sink *sink)
{
    return sink && sink->ops->attach;
}

/** A destination's URL as messages show it: without the query, and of a service's address no more
 *  than tg_url_shown does. */
struct tg_sink_shown {
    char text[160];
} tg_sink_shown(const char *url);

/** The last commit of a destination that remembers. @return TG_END, ret untouched: there is none */
tg_code tg_sink_last(const struct tg_sink *sink, int64_t chat_id, struct tg_commit *ret,
                     struct tg_error *err);

tg_code tg_sink_open(const char *url, const struct tg_sink_env *env, struct tg_sink *ret,
                     struct tg_error *err);
/** @return TG_USAGE if a URL names no driver, or options that it has not; opens nothing */
tg_code tg_sink_check(const char *url, struct tg_error *err);

/** The same for a destination that is to be read. @return TG_UNSUPPORTED: what is written there
 *  cannot be */
tg_code tg_sink_check_source(const char *url, struct tg_error *err);
void tg_sink_close(struct tg_sink *sink);

#endif
