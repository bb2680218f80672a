/* SPDX-License-Identifier: MIT */
/*
 * files.h - rows in files of any format: one whose records stand one behind the other, or one whose
 * parts are written and read as a whole (put_part, read_part)
 *
 * Each chat has a directory of its own, DIR/chat_<id>, with numbered parts (parts.h says how a
 * commit is made safe). A format is a table of functions: how a row is written, where a record
 * ends, what it tells. A driver is a format, and a vtable of TG_FILES_OPS with an open of its own.
 *
 * One buffer serves all chats: it belongs to the chat that was written to last, and is written out
 * when another's turn comes, when it is full, or at a commit.
 *
 * Two processes may meet in one DIR when a run takes over from one that was stopped: the older one
 * is shut out chat by chat (parts_fence.c). Reading (scan, commits) disturbs nobody.
 *
 * Threads: one at a time
 * Limits:  256 KiB of buffer; rows that wait: 64 MiB in memory, then files; a row of up to 80 MiB;
 *          65536 chats in one run
 */
#ifndef TG_SINK_FILES_H
#define TG_SINK_FILES_H

#include "os/scratch.h"
#include "sink/parts.h"
#include "sink/staged.h"

struct tg_files;

/** The columns of a part, as its first record names them. */
struct tg_file_columns {
    int16_t field[1024]; /* tg_field_id; -1: of another version */
    size_t n;
};

struct tg_file_format {
    const char *name;   /* of the driver, "ndjson" */
    const char *suffix; /* ".ndjson" */

    /** Writes a part of these rows with tg_parts_write. With read_part, instead of all below. */
    tg_code (*put_part)(struct tg_files *s, struct tg_parts *part, struct tg_staged *rows,
                        struct tg_error *err);
    /**
     * Reads the rows of a whole part, whose digest is right.
     * @param ids  chat_id and id alone are wanted
     * @return TG_DATA: they are no such rows, the message tells how, as in "part 1 ..."
     */
    tg_code (*read_part)(const struct tg_scratch *part, bool ids, tg_staged_row each, void *ctx,
                         struct tg_error *err);

    /** Appends what each part begins with, a record that is no row. NULL: nothing. */
    void (*put_head)(const struct tg_files *s, struct tg_buf *out);
    /** Appends a row and the end of its record. */
    void (*put_row)(const struct tg_files *s, const struct tg_row *row, struct tg_buf *out);

    /** Looks for the end of a record in the next bytes of it.
     *  @param state  0 at the record's beginning; kept from call to call
     *  @return bytes up to and with the end; 0: it is not in there */
    size_t (*find_end)(unsigned *state, const char *at, size_t len);

    /* Records come without their last byte, the line feed. Each tells what is wrong, as in "line 3
     * of part 1 ...", or NULL; a failure of another kind fills err. */
    const char *(*take_head)(struct tg_file_columns *ret, const char *at, size_t len);
    const char *(*take_ids)(const struct tg_file_columns *columns, const char *at, size_t len,
                            int64_t *ret_chat_id, int64_t *ret_id);
    /** @return as tg_row_read */
    tg_code (*read_row)(const struct tg_file_columns *columns, struct tg_batch *b, const char *at,
                        size_t len, struct tg_error *err);
};

extern const struct tg_file_format tg_format_ndjson, tg_format_csv;

/** Where chats are, if not in directories below the root. */
struct tg_files_place {
    /** Completes parts that are initialised. */
    tg_code (*init)(struct tg_files *s, struct tg_parts *p, struct tg_error *err);
    /** Names of chats, "chat_5"; one may come several times. */
    tg_code (*list)(struct tg_files *s, tg_dir_seen seen, void *ctx, struct tg_error *err);
};

/** A chat that is written. */
struct tg_file_chat {
    struct tg_parts parts;
    struct tg_staged rows; /* that wait for their part */
    struct tg_error *late; /* why rows were lost while another chat was written; NULL */
};

/** The instance; a driver's own settings stand behind it. */
struct tg_files {
    const struct tg_file_format *format;
    const struct tg_sink_env *env;
    const char *root; /* borrowed from the URL */
    const struct tg_files_place *place; /* NULL: directories */
    void *own; /* the format's */
    struct tg_file_chat **chat;
    size_t n_chats;
    struct tg_staged_room room;
    struct tg_buf buffer;
    struct tg_parts *owner; /* whose rows are in the buffer; NULL: it is empty */
    uint64_t buffered_rows;
    uint64_t bytes;
};

/** tg_sink_ops.open, but for the format. */
tg_code tg_files_open(struct tg_files *s, const struct tg_file_format *format, const char *target,
                      const struct tg_sink_env *env, struct tg_error *err);

/* The rest of tg_sink_ops. */
tg_code tg_files_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                        struct tg_commit *ret, struct tg_error *err);
tg_code tg_files_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                       struct tg_error *err);
tg_code tg_files_commit(void *self, const struct tg_commit *commit, struct tg_error *err);
tg_code tg_files_rollback(void *self, int64_t chat_id, const struct tg_fence *fence, uint64_t seq,
                          struct tg_error *err);
tg_code tg_files_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                      struct tg_error *err);
tg_code tg_files_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                      struct tg_batch *batch, tg_sink_taken taken, void *ctx, struct tg_error *err);
tg_code tg_files_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                         struct tg_error *err);
tg_code tg_files_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err);
uint64_t tg_files_bytes(const void *self);
void tg_files_close(void *self);

#define TG_FILES_OPS_BUT_CLOSE                                                                     \
    .attach = tg_files_attach, .write = tg_files_write, .commit = tg_files_commit,                 \
    .rollback = tg_files_rollback, .scan = tg_files_scan, .read = tg_files_read,                   \
    .commits = tg_files_commits, .chats = tg_files_chats, .series = true, .parts = true,           \
    .bytes = tg_files_bytes
#define TG_FILES_OPS TG_FILES_OPS_BUT_CLOSE, .disk = true, .close = tg_files_close

#endif
