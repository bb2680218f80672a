/* SPDX-License-Identifier: MIT */
/*
 * kafka_impl.h - what the files of the Kafka sink share; see kafka.c
 *
 * Names at the server, for a chat of a topic:
 *   group `tgdata.<topic>.<chat>`            its offset's metadata is the cursor
 *   transactional id, the same               shuts out an older writer
 * Both belong to topic and chat, not to the job: a chat in a topic belongs to one job, and that is
 * found out where the chat is.
 *
 * A message's key is the chat. Of changes, whose chat is none, it is the message that a row is of,
 * owner:chat:id, so that the last one of a key is what it has come to; a deletion as a change event
 * is followed by a message of its key without a value, by which readers forget it.
 *
 * Headers of messages:
 *   tgdata.key      of a row: owner:chat:id:version
 *   tgdata.commit   number of the commit that brought the row
 *   tgdata.cursor   on the last row of a commit: the cursor as it stands in the group; if that row
 *                   was refused, on a message without a value
 *   tgdata.rollback number of the commit behind which nothing counts any more; on a message without
 *                   a value, beside its cursor
 */
#ifndef TG_SINK_KAFKA_IMPL_H
#define TG_SINK_KAFKA_IMPL_H

#include "client/kafka.h"
#include "sink/message.h"
#include "sink/held.h"

enum { KAFKA_WRITERS = 8, KAFKA_CURSOR_MAX = 2048, KAFKA_NAME_MAX = 300 };

/** What a cursor tells. */
struct kafka_cursor {
    struct tg_held_writer writer;
    int32_t partition; /* of all rows of the chat, from its first on */
    struct tg_commit last; /* seq 0: none */
};

/** Appends a cursor's text: one line of JSON, below KAFKA_CURSOR_MAX. */
void tg_kafka_cursor_put(const struct kafka_cursor *cursor, struct tg_buf *out);
/** @return false if that is no cursor of the chat, or one that cannot be */
bool tg_kafka_cursor_take(const char *text, size_t len, int64_t chat_id, struct kafka_cursor *ret);

/** Reads "owner:chat:id:...". @return false if it is none */
bool tg_kafka_key_take(struct tg_str text, int64_t *ret_chat_id, int64_t *ret_id);
/** The key of a message of changes: a row's without its version. */
struct tg_str tg_kafka_change_key(struct tg_str row_key);
/** @return whether that is the key of a chat's messages; TG_CHAT_CHANGES: also those of changes */
bool tg_kafka_chat_take(struct tg_str key, int64_t *ret_chat_id);

static inline struct tg_str tg_kafka_view(const struct tg_buf *b)
{
    return (struct tg_str){ (const char *)b->data, (uint32_t)b->len };
}

/** A producer, and the chat whose transactions it makes. */
struct kafka_slot {
    struct tg_kafka_writer *writer; /* NULL: free */
    int64_t chat_id;
    int32_t partition;
    uint64_t used; /* the greatest was used last */
};

struct sink_kafka {
    struct tg_kafka_options kafka;
    int64_t format, sasl, compression; /* options: places in their tables */
    const char *stream;
    char suffix[64]; /* of the topic's name: the series */
    const struct tg_sink_env *env;
    struct tg_kafka *client;
    struct tg_held chats;
    struct kafka_slot slot[KAFKA_WRITERS];
    uint64_t uses;
    struct kafka_recalled {
        int64_t chat_id;
        struct kafka_cursor cursor;
    } *recalled; /* by chat; what the topic itself tells, where the server forgot */
    size_t n_recalled;
    bool has_recalled;
};

void tg_kafka_sink_name(const struct sink_kafka *s, int64_t chat_id, char out[KAFKA_NAME_MAX]);

/** Where a chat stands: as its group tells, else as the topic does. @return TG_END: nowhere yet */
tg_code tg_kafka_sink_cursor(struct sink_kafka *s, int64_t chat_id, enum tg_kafka_open open,
                             struct kafka_cursor *ret, struct tg_error *err);

/** The partition of a chat's rows: its cursor's, else that of its key. */
int32_t tg_kafka_sink_partition(const struct sink_kafka *s, int64_t chat_id,
                                const struct kafka_cursor *cursor);

/** Where a chat stands, once a producer for it was made: nothing of an older one is under way any
 *  more, and what the server left unended is ended; see kafka_settle.c. After a failure the
 *  producer is of no use. @return as tg_kafka_sink_cursor */
tg_code tg_kafka_sink_settle(struct sink_kafka *s, const struct kafka_slot *slot,
                             struct kafka_cursor *ret, struct tg_error *err);

/** Reads all cursors out of the topic, unless that was done. */
tg_code tg_kafka_recall(struct sink_kafka *s, struct tg_error *err);
tg_code tg_kafka_recall_add(struct sink_kafka *s, int64_t chat_id,
                            const struct kafka_cursor *cursor, struct tg_error *err);

/** A commit of a chat whose rows count. */
struct kafka_commit {
    struct tg_commit commit;
    int64_t first, last; /* offsets of its rows */
};
struct kafka_commits {
    struct kafka_commit *at;
    size_t n, cap;
    int64_t kept_from; /* offset of the oldest message that the topic keeps */
};

/** Reads a chat's commits out of its partition, oldest first. Ends with tg_kafka_commits_done. */
tg_code tg_kafka_commits(struct sink_kafka *s, int64_t chat_id, int32_t partition,
                         struct kafka_commits *ret, struct tg_error *err);
void tg_kafka_commits_done(struct kafka_commits *commits);

/** A chat's cursor as it is to stand; put: written within the transaction that is open, whose end
 *  that is. */
void tg_kafka_sink_fill_cursor(const struct sink_kafka *s, const struct kafka_slot *slot,
                               const struct tg_held_chat *chat, const struct tg_commit *last,
                               struct tg_buf *out);
tg_code tg_kafka_sink_put_cursor(struct sink_kafka *s, const struct kafka_slot *slot,
                                 const struct tg_held_chat *chat, const struct tg_commit *last,
                                 struct tg_error *err);

/** Sends what waits of a chat, and its cursor: one transaction. After a failure it still waits, and
 *  the producer must go before it does. */
tg_code tg_kafka_sink_put_all(struct sink_kafka *s, const struct kafka_slot *slot,
                              struct tg_held_chat *chat, const struct tg_commit *commit,
                              struct tg_error *err);

/** sink.h's functions that write, and those that read. */
tg_code tg_kafka_sink_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err);
tg_code tg_kafka_sink_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                           struct tg_error *err);
tg_code tg_kafka_sink_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                           struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                           struct tg_error *err);
tg_code tg_kafka_sink_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err);
tg_code tg_kafka_sink_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                              struct tg_error *err);
#endif
