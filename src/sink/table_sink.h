/* SPDX-License-Identifier: MIT */
/*
 * table_sink.h - what destinations that are tables of a database have in common
 *
 *   <table>           a column for each field; key (chat_id, owner, id); job_chat_id and job_commit
 *                     tell the commit that brought the row
 *   <table>_commits   what each commit of a chat covers
 *   <table>_chats     to which job a chat belongs, and who writes it
 *
 * Rows wait in memory (staged.h) until their commit puts them and its record into the tables in one
 * transaction, so that there is each row exactly once, whenever a run is killed. The same
 * transaction looks whether the writer is still the one that the chat was taken up by.
 *
 * job_chat_id is NULL unless it differs from chat_id (the old group of a supergroup).
 *
 * Threads: one at a time      Limits: 65536 chats
 */
#ifndef TG_SINK_TABLE_SINK_H
#define TG_SINK_TABLE_SINK_H

#include "sink/sink.h"
#include "sink/staged.h"

/** A chat that is or was written. */
struct tg_table_chat {
    int64_t id;
    struct tg_fence fence; /* taken up with that one */
    struct tg_commit last; /* seq 0: none yet */
    struct tg_staged rows;
    uint64_t refused;      /* rows that the commit in hand has refused */
    bool attached, was_attached;
};

struct tg_table_chats {
    struct tg_table_chat **chat;
    size_t n;
    struct tg_staged_room room;
    uint64_t bytes; /* of rows that were committed */
};

void tg_table_init(struct tg_table_chats *s);
void tg_table_done(struct tg_table_chats *s);

/** @return the chat, made if it is new */
tg_code tg_table_take(struct tg_table_chats *s, int64_t id, struct tg_table_chat **ret,
                      struct tg_error *err);
/** Forgets what waits for a commit; the chat must be taken up again. */
void tg_table_leave(struct tg_table_chat *chat);

/** Who writes a chat as the database tells it; `job` "" if nobody did yet. */
struct tg_table_writer {
    char job[256];
    struct tg_fence fence;
};

/**
 * Whether a chat may be taken up with a fence; `where` and `hint` are for another job's chat.
 * @return TG_CONFLICT: a newer writer is there; TG_USAGE: it belongs to another job
 */
tg_code tg_table_may_take(const struct tg_table_chat *chat, const char *job,
                          const struct tg_table_writer *there, const struct tg_fence *fence,
                          const char *where, const char *hint, struct tg_error *err);
/** Whether it is still the writer. @return TG_CONFLICT */
tg_code tg_table_still(const struct tg_table_chat *chat, const struct tg_table_writer *there,
                       struct tg_error *err);

/** @return the chat of rows that are written; TG_INTERNAL if it was not taken up */
tg_code tg_table_writing(struct tg_table_chats *s, int64_t chat_id, struct tg_table_chat **ret,
                         struct tg_error *err);
/** sink.h's write. @return as tg_table_writing */
tg_code tg_table_write(struct tg_table_chats *s, const struct tg_batch *batch, size_t from,
                       size_t n, struct tg_error *err);
/**
 * Refuses a row of the commit in hand.
 * @param why  the database's failure, of code TG_DATA
 * @return TG_OK: it is kept elsewhere; TG_DATA: nobody keeps it, or the table refuses most rows
 */
tg_code tg_table_refuse(struct tg_table_chat *chat, const struct tg_sink_env *env,
                        const struct tg_row *row, const struct tg_error *why,
                        struct tg_error *err);
/** The commit as it is to be recorded: with what was refused up to it. */
struct tg_commit tg_table_recorded(const struct tg_table_chat *chat,
                                   const struct tg_commit *commit);
/** @return the chat of a commit that follows; TG_INTERNAL if it does not, or was not taken up */
tg_code tg_table_begin_commit(struct tg_table_chats *s, const struct tg_commit *commit,
                              struct tg_table_chat **ret, struct tg_error *err);
/** After the transaction, with its result. @return code */
tg_code tg_table_end_commit(struct tg_table_chats *s, struct tg_table_chat *chat,
                            const struct tg_commit *commit, tg_code code);

/** The numbers of a commit, in the order of the columns TG_TABLE_COMMIT. */
#define TG_TABLE_COMMIT                                                                            \
    "chat_id, seq, segment, id, owner, batches, rows, rows_total, covered_from, last_id, "         \
    "last_date, fence, complete, refused"
enum { TG_TABLE_COMMIT_N = 14 };
void tg_table_of_commit(const struct tg_commit *c, int64_t out[TG_TABLE_COMMIT_N]);
struct tg_commit tg_table_to_commit(const int64_t v[TG_TABLE_COMMIT_N]);

/** Counts what a scan finds, and hands it on. */
struct tg_table_scan {
    tg_sink_seen seen;
    void *ctx;
    uint64_t rows;
    bool stopped;
};
/** @return false to stop */
bool tg_table_seen(struct tg_table_scan *scan, int64_t chat_id, int64_t id);
/** @return TG_CORRUPT if another number of rows was found than the last commit tells */
tg_code tg_table_scanned(const struct tg_table_scan *scan, const struct tg_commit *last,
                         int64_t chat_id, const char *table, struct tg_error *err);

/** Rows that are read back (sink.h's read) on their way into batches. */
struct tg_table_read {
    struct tg_batch *batch;
    tg_sink_taken taken;
    void *ctx;
    uint64_t rows;
    struct tg_row *row; /* the one that is filled */
};
/** Begins the next row; a full batch is given away before. @return as `taken` */
tg_code tg_table_next_row(struct tg_table_read *r, struct tg_error *err);
/** Sets a field of it from its text. @return TG_CORRUPT: the text is none of that field's */
tg_code tg_table_take_field(struct tg_table_read *r, int field, struct tg_str text,
                            struct tg_error *err);
/** After the last: gives what is left away. @return as `taken` */
tg_code tg_table_rows_end(struct tg_table_read *r, struct tg_error *err);

/** Where reading begins: ids up to these are left out of the rows of the group that a supergroup
 *  was (INT64_MAX: all of them), and of those of the chat itself. */
struct tg_table_from {
    int64_t old_id, id;
    bool by_post; /* comments: in order of their posts; none is left out */
};
struct tg_table_from tg_table_from(const struct tg_cursor *behind, const struct tg_commit *last);

bool tg_table_is_key(int field);
/** Bits of the fields that are in every row of a table: its key; truth values, absent is false. */
#define TG_TABLE_ALWAYS_I64 0
#define TG_TABLE_ALWAYS_TIME 0
#define TG_TABLE_ALWAYS_BOOL 1
#define TG_TABLE_ALWAYS_STR 0
#define TG_TABLE_ALWAYS_JSON 0
#define TG_TABLE_ALWAYS_BIT(name, type, meaning) | (TG_TABLE_ALWAYS_##type * TG_ROW_BIT(name))
#define TG_TABLE_ALWAYS                                                                            \
    (TG_ROW_BIT(chat_id) | TG_ROW_BIT(owner) | TG_ROW_BIT(id) TG_FIELDS(TG_TABLE_ALWAYS_BIT))
/** Tells that a table has no column for that part of the key. @param where  the database */
tg_code tg_table_lacks_key(const char *table, const char *column, const char *where,
                           struct tg_error *err);
/** Whether a database's file may have that name. @return TG_USAGE */
tg_code tg_table_path(const char *path, const char *driver, struct tg_error *err);
/** Checks the table's name, an option; of another series the rows go to <table>_<series>, whose
 *  name is kept in `room` then. */
enum { TG_TABLE_NAME = 96 };
tg_code tg_table_name(const char **table, char room[TG_TABLE_NAME], const struct tg_sink_env *env,
                      struct tg_error *err);

#endif
