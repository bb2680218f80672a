/* SPDX-License-Identifier: MIT */
/*
 * table_sink.h - what destinations that are tables of a database have in common
 *
 *   <table>           a column for each field; key (chat_id, owner, id); job_chat_id and job_commit
 *                     tell the commit that brought the row
 *   <table>_commits   what each commit of a chat covers
 *   <table>_chats     to which job a chat belongs, and who writes it
 *
 * Rows wait (held.h) until their commit puts them and its record into the tables in one
 * transaction, so that there is each row exactly once, whenever a run is killed. The same
 * transaction looks whether the writer is still the one that the chat was taken up by.
 *
 * job_chat_id is NULL unless it differs from chat_id (the old group of a supergroup; changes).
 *
 * Of changes the table is what they come to: a message's last row. So it has fewer rows than its
 * commits tell, and no commit but all of them can be taken back.
 *
 * What is done is the same for all of them (table_sink.c, table_read.c), in the same statements; a
 * database tells how it is opened, how it runs one of these, and how it takes rows and gives them
 * back: struct tg_table_ops.
 *
 * Threads: one at a time
 */
#ifndef TG_SINK_TABLE_SINK_H
#define TG_SINK_TABLE_SINK_H

#include "client/sql.h"
#include "sink/held.h"

/** Rows that are read back. */
struct tg_table_reading {
    struct tg_held_back back;
    uint64_t rows;
    struct tg_row *row; /* the one that is filled */
    bool ended;         /* the taker has had enough */
};

/** Statements in which @ stands for the table, and parameters come as $1, $2 and so on. Those of
 *  rows may have any number of them, and run within a transaction. */
enum tg_table_statement {
    TG_TABLE_WRITER,
    TG_TABLE_TAKE_OVER,
    TG_TABLE_LAST,
    TG_TABLE_COMMITS,
    TG_TABLE_PUT_COMMIT,
    TG_TABLE_CUT_ROWS,
    TG_TABLE_CUT_COMMITS,
    TG_TABLE_CHATS,
    TG_TABLE_SCAN_OLD,
    TG_TABLE_SCAN,
    TG_TABLE_SCAN_CHANGES,
    TG_TABLE_STATEMENTS
};
extern const char *const tg_table_sql[TG_TABLE_STATEMENTS];

struct tg_table_sink;

/** What a database can do. `self` is the sink, whose first member is its struct tg_table_sink. */
struct tg_table_ops {
    const char *another; /* how another place is named: "sqlite:FILE?table=NAME" */
    /** Connects, and sees to the tables, unless that was done. @return TG_NOT_FOUND: nothing was
     *  ever written there, and it is to be read only; TG_IO: they are not ours */
    tg_code (*need)(void *self, bool write, struct tg_error *err);
    tg_code (*begin)(void *self, bool write, struct tg_error *err);
    /** Commits if code is TG_OK, else rolls back. @return code, or why the commit failed */
    tg_code (*end)(void *self, tg_code code, struct tg_error *err);
    /** Runs one of the statements. TG_TABLE_WRITER keeps others from changing that line until the
     *  transaction's end. @param row  NULL: it has no result */
    tg_code (*ask)(void *self, enum tg_table_statement statement, const struct tg_sql_value *value,
                   size_t n, tg_sql_row row, void *ctx, struct tg_error *err);
    /** Puts the rows that wait into the table, within a transaction; one whose key is there already
     *  takes its place, and of changes several may have one key. Those that it refuses go to
     *  tg_held_refuse. */
    tg_code (*put_rows)(void *self, struct tg_held_chat *chat, const struct tg_commit *commit,
                        struct tg_error *err);
    /** Reads rows, with tg_table_next_row for each, within a transaction.
     *  @param of  " FROM ..." of a statement that selects the columns of fields */
    tg_code (*read_rows)(void *self, const char *of, const struct tg_sql_value *value, size_t n,
                         struct tg_table_reading *r, struct tg_error *err);
};

struct tg_table_sink {
    const struct tg_table_ops *ops;
    const struct tg_sink_env *env;
    const char *table; /* an option; of another series: */
    char other[96];    /* <table>_<series> */
    const char *where; /* file or server, for messages */
    struct tg_held held;
};

/** Fills in what is not the caller's: table and where. @return TG_USAGE: the table's name */
tg_code tg_table_init(struct tg_table_sink *s, const struct tg_table_ops *ops,
                      const struct tg_sink_env *env, struct tg_error *err);
void tg_table_done(struct tg_table_sink *s);

/** Of tg_sink_ops. */
tg_code tg_table_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                        struct tg_commit *ret, struct tg_error *err);
tg_code tg_table_again(void *self, int64_t chat_id, const struct tg_fence *fence,
                       struct tg_commit *ret, struct tg_error *err);
tg_code tg_table_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                       struct tg_error *err);
tg_code tg_table_commit(void *self, const struct tg_commit *commit, struct tg_error *err);
tg_code tg_table_rollback(void *self, int64_t chat_id, const struct tg_fence *fence, uint64_t seq,
                          struct tg_error *err);
tg_code tg_table_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                      struct tg_error *err);
tg_code tg_table_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                         struct tg_error *err);
tg_code tg_table_last(void *self, int64_t chat_id, struct tg_commit *ret, struct tg_error *err);
tg_code tg_table_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                      struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                      struct tg_error *err);
tg_code tg_table_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err);
uint64_t tg_table_bytes(const void *self);
/* all but open, commit and close */
#define TG_TABLE_SINK_OPS                                                                          \
    .attach = tg_table_attach, .again = tg_table_again, .write = tg_table_write,                   \
    .rollback = tg_table_rollback, .scan = tg_table_scan, .commits = tg_table_commits,             \
    .last = tg_table_last, .read = tg_table_read, .chats = tg_table_chats, .series = true,         \
    .bytes = tg_table_bytes

/** The row of a driver's options that names the table; its struct begins with `t`. */
#define TG_TABLE_OPTION                                                                            \
    { .name = "table",                                                                             \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct tg_table_sink, table),                                             \
      .fallback = "messages",                                                                      \
      .help = "name of the table; others with the same beginning stand beside it" }

/** Within a transaction, or alone. ret: seq 0 if there is none */
tg_code tg_table_ask_last(struct tg_table_sink *s, int64_t chat_id, struct tg_commit *ret,
                          struct tg_error *err);

/** The transaction of a commit, between held.h's begin and end. @param ret_ours  whether the chat
 *  was found to be still this one's, before what failed, if so */
tg_code tg_table_put(struct tg_table_sink *s, struct tg_held_chat *chat,
                     const struct tg_commit *commit, bool *ret_ours, struct tg_error *err);

/* ---- reading rows back ---- */

/** Begins the next row; a full batch is given away before. @return as `taken` */
tg_code tg_table_next_row(struct tg_table_reading *r, struct tg_error *err);
/** Sets a field of it from its text. @return TG_CORRUPT: the text is none of that field's */
tg_code tg_table_take_field(struct tg_table_reading *r, int field, struct tg_str text,
                            struct tg_error *err);

/* ---- columns and names ---- */

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
/** Appends statements that make the three tables.
 *  @param type  of a field's column, unless it is a key; `integer` is that of all others
 *  @param more  columns of the table that the database has besides: "name type, " */
void tg_table_create(struct tg_buf *sql, const char *integer,
                     const char *(*type)(enum tg_field_type type), const char *more);
/** Which fields have a column, as bits: given name and type of each column, as a tg_sql_row.
 *  @return TG_IO: one is of another type than its field's, and would take no row */
struct tg_table_columns {
    const struct tg_table_sink *s;
    const char *(*type)(enum tg_field_type type);
    uint64_t there;
};
tg_code tg_table_take_column(void *ctx, const struct tg_sql_value *v, struct tg_error *err);
/** Fails: what a table is. @return TG_NOT_FOUND of the first, TG_IO */
tg_code tg_table_none(const struct tg_table_sink *s, struct tg_error *err);
tg_code tg_table_theirs(const struct tg_table_sink *s, struct tg_error *err);
tg_code tg_table_lacks_key(const struct tg_table_sink *s, int field, struct tg_error *err);
/** Whether a database's file may have that name. @return TG_USAGE */
tg_code tg_table_path(const char *path, const char *driver, struct tg_error *err);

#endif
