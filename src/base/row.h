/* SPDX-License-Identifier: MIT */
/*
 * row.h - rows and batches inside the library: the unit of flow, memory, credit and commit
 *
 * A batch owns everything its rows point to: an arena for what was built, and adopted buffers (the
 * inflated replies) that string fields are views into. Nothing in a batch is freed singly. Batches
 * are pooled: clear keeps the memory for the next use, above a bound it is given back.
 *
 * Threads: one owner at a time; handed over through queues
 * Limits:  row strings in one batch 64 MiB
 */
#ifndef TG_BASE_ROW_H
#define TG_BASE_ROW_H

#include "base/arena.h"
#include "base/text.h"
#include "tgdata/row.h"
#include "tgdata/stage.h"

#define TG_ROW_MEMBER_I64(name) int64_t name;
#define TG_ROW_MEMBER_TIME(name) int64_t name;
#define TG_ROW_MEMBER_BOOL(name) int64_t name;
#define TG_ROW_MEMBER_STR(name) struct tg_str name;
#define TG_ROW_MEMBER_JSON(name) struct tg_str name;
#define TG_ROW_MEMBER(name, type, meaning) TG_ROW_MEMBER_##type(name)

/* Set a member and its bit together with TG_ROW_SET. */
struct tg_row {
    uint64_t present; /* bit per tg_field_id */
    TG_FIELDS(TG_ROW_MEMBER)
    uint8_t judged; /* by rules on its way: TG_ROW_JUDGED, TG_ROW_INVALID; is nowhere kept */
};
enum { TG_ROW_JUDGED = 1, TG_ROW_INVALID = 2 };
_Static_assert(TG_FIELD_COUNT <= 64, "the presence mask has 64 bits");

#define TG_ROW_BIT(name) (UINT64_C(1) << TG_F_##name)
#define TG_ROW_SET(row, name, value)                                                               \
    ((row)->name = (value), (void)((row)->present |= TG_ROW_BIT(name)))

/* What tells which message a row is, and which change of it. */
#define TG_ROW_KEY                                                                                 \
    (TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(owner) | TG_ROW_BIT(change) |               \
     TG_ROW_BIT(change_seq) | TG_ROW_BIT(change_pts) | TG_ROW_BIT(change_date))

/** Offset of each field's member, by tg_field_id. */
extern const uint16_t tg_row_offset[TG_FIELD_COUNT];

/* A discussion group that is read through its channel, post by post: the cursor's id is that of the
 * post and of its last comment. */
#define TG_SEGMENT_THREADS 2
#define TG_THREAD_CURSOR(post, comment) ((int64_t)(post) << 32 | (int64_t)(comment))

/* Changes of all chats of a job, in one sequence: rows with `change_seq`, whose number is the
 * cursor's id. For destinations and checkpoints they are one chat, that has an id no chat has. */
#define TG_SEGMENT_CHANGES 3
#define TG_CHAT_CHANGES 0

/** Where rows come from. */
enum tg_row_source {
    TG_FROM_TELEGRAM,
    TG_FROM_ARCHIVE, /* what another job has delivered */
    TG_FROM_EXPORT,  /* a Telegram Desktop export */
    TG_FROM_COUNT
};
/** Their names, as in the field `source`. */
extern const char *const tg_row_source_name[TG_FROM_COUNT];

/** What became of a row's message. */
enum tg_row_change {
    TG_ROW_READ, /* it was there when it was looked at; the field `change` is absent */
    TG_ROW_NEW,
    TG_ROW_EDITED,
    TG_ROW_REACTIONS, /* they alone */
    TG_ROW_DELETED,   /* the row tells which message it was, and no more */
    TG_ROW_CHANGES
};
/** Their names, as in the field `change`. */
extern const char *const tg_row_change_name[TG_ROW_CHANGES];
/** @return what the field tells; TG_ROW_READ if that is no change that is known */
enum tg_row_change tg_row_changed(const struct tg_row *row);

/** A row's file, and what the server wants to hear to give it out. */
struct tg_row_file {
    size_t row;                /* of the batch */
    bool photo;
    int32_t dc;
    int64_t id, access_hash;
    int64_t size;              /* as the message tells */
    char thumb[4];             /* which picture of a photo; "" of a document */
    struct tg_str reference;   /* ends after a while: the message asked for again has another */
};

/** A row that a rule has taken out of its batch, to be kept as a dead letter. */
struct tg_row_aside {
    struct tg_row_aside *next;
    struct tg_row row;
    const char *rule; /* its name; lives as long as the stages */
    const char *why;  /* in the batch */
};

/** Where a chat's extraction stands: all ids up to `id` of segments up to `segment` are done. */
struct tg_cursor {
    int64_t chat_id; /* the chat that was asked for (a migrated group: the supergroup) */
    int32_t segment; /* 0: the chat; a migrated group: 0 the old group, 1 the supergroup;
                        TG_SEGMENT_THREADS; TG_SEGMENT_CHANGES */
    int64_t id;      /* last id covered; ids are of the segment's own chat */
    int64_t owner;   /* user id of the account whose ids they are: private chats, basic groups; 0:
                        they are the same for all */
};

struct tg_batch {
    uint64_t seq; /* number within the job and chat, from 1, without holes */
    struct tg_row *row;
    size_t n, cap;
    struct tg_arena arena;
    struct tg_row_file *file; /* of its rows, in their order; filled only where asked for */
    size_t n_files, cap_files;
    struct tg_row_aside *aside; /* newest first; etl/letters.h takes them before the rows go on */
    void **adopted; /* malloc'ed buffers that rows point into */
    size_t n_adopted, cap_adopted;
    size_t bytes; /* reckoned size of all strings: credit */

    struct tg_cursor cursor;   /* where the chat stands once this batch is committed */
    int64_t covered_from;      /* ids covered_from..cursor.id of the segment are all in, proved */
    enum tg_row_source source; /* of all its rows */
    bool last;                 /* the chat's end was reached with this batch (may be empty) */
    struct tg_str note;        /* of TG_SEGMENT_CHANGES: what the job is to remember if and only if
                                  this batch is committed; bytes of the arena */
    int64_t started_us, ended_us; /* when its first request was sent, when it was complete */
    uint32_t n_requests;
    uint32_t n_flood_waits;    /* while it was fetched */
    int64_t flood_wait_s;
    int32_t rate_limit_remaining; /* tokens left for the method; -1 unknown */
    const char *circuit_state;    /* static text; NULL unknown */
    double success_rate;          /* of the last minute's calls, 0..1 */
    int64_t response_us;          /* their mean */

    size_t n_taken;            /* rows that a callback has committed */
    char checkpoint_id[128];   /* "job/chat/number" of the newest checkpoint; "" before the first */
    /* makes the first n_rows rows durable; NULL unless a callback has the batch in hand */
    tg_code (*commit)(void *ctx, struct tg_batch *b, size_t n_rows, struct tg_error *err);
    void *commit_ctx;
};

/** @return an empty batch with room for n_rows, or NULL */
struct tg_batch *tg_batch_new(size_t n_rows);
void tg_batch_free(struct tg_batch *b);

/** Forgets the rows; keeps memory up to a bound. */
void tg_batch_clear(struct tg_batch *b);

/** @return the next row, zeroed; NULL if the batch is full (n == cap) */
struct tg_row *tg_batch_row(struct tg_batch *b);

/** Takes ownership of a malloc'ed buffer. @return false out of memory (then it was freed) */
bool tg_batch_adopt(struct tg_batch *b, void *buffer, size_t bytes);

/** Adds a file of the batch's last row. @return zeroed but for `row`; NULL out of memory */
struct tg_row_file *tg_batch_file(struct tg_batch *b);

/** Copies text into the batch. @return {NULL, 0} out of memory */
struct tg_str tg_batch_text(struct tg_batch *b, const void *text, size_t len);

/** Sets a row aside. @param why  copied @return false out of memory */
bool tg_batch_set_aside(struct tg_batch *b, const struct tg_row *row, const char *rule,
                        const char *why);

/** Copies a row as the batch's next, with its texts. @return false: full, or out of memory */
bool tg_batch_copy(struct tg_batch *b, const struct tg_row *row);

/** Appends the row as one JSON object; fields in table order, absent ones left out. */
void tg_row_json(const struct tg_row *row, struct tg_buf *out);

/** Reads a row back from that JSON, as the batch's next; its texts are copied. Unknown members are
 *  passed over. @return TG_OK; TG_DATA, TG_LIMIT (the batch is full), TG_NOMEM: no row was added */
tg_code tg_row_read(struct tg_batch *b, const char *json, size_t len, struct tg_error *err);

/** @return the field of that name; -1 if there is none */
int tg_field_find(struct tg_str name);

/**
 * Sets a field from its text: a number, 2024-01-15T10:30:00Z (outside years 1..9999 Unix seconds),
 * true or false, UTF-8, JSON; copied into the batch.
 * @return TG_OK; TG_DATA: it is none of that field's; TG_NOMEM; err is not filled
 */
tg_code tg_row_take(struct tg_batch *b, struct tg_row *row, enum tg_field_id id,
                    struct tg_str text);

/** @return the cursor's id once everything up to the row is covered */
static inline int64_t tg_row_place(const struct tg_row *row, int32_t segment)
{
    if (segment == TG_SEGMENT_CHANGES)
        return row->change_seq;
    return segment == TG_SEGMENT_THREADS ? TG_THREAD_CURSOR(row->comment_of_id, row->id) : row->id;
}

/** A row of a batch in a transformation's hand; see tgdata/stage.h. */
struct tg_row_edit {
    struct tg_batch *batch; /* texts are copied into it */
    struct tg_row *row;
};

/**
 * Appends owner:chat_id:message_id:version. The version is edit date and content hash; of a row
 * among changes also a hash of its reactions, if there are any or they changed; of one that is gone
 * "deleted". Rows of equal keys are equal, but reactions may come to be what they were before: a
 * row that came again is one whose key is that of the message's last row.
 */
void tg_row_key(const struct tg_row *row, struct tg_buf *out);

#endif
