/* SPDX-License-Identifier: MIT */
/*
 * kafka.h - a topic of Apache Kafka: transactions of messages with a cursor, and reading them back
 *
 *   struct tg_kafka         looks at the topic: partitions, cursors, messages
 *   struct tg_kafka_writer  a producer whose transactions shut out those of an older one with the
 *                           same id
 *
 * A cursor is a short text that a group keeps as metadata of an offset; the server forgets it some
 * days (offsets.retention.minutes) after it was last written. It moves with the messages of the
 * same transaction. Whoever makes a writer ends the transaction that the last one with that id has
 * left open, and nothing of it stays.
 *
 * User and password come from KAFKA_USERNAME and KAFKA_PASSWORD, or from a file.
 *
 *   code               when
 *   TG_USAGE           the address or an option cannot be read
 *   TG_UNSUPPORTED     this build has no Kafka library
 *   TG_SINK            not reached, not answered, no leader: later it may work
 *   TG_BUSY            another writer with that id was made since
 *   TG_DATA            a message is too large for the topic
 *   TG_IO              everything else: wrong password, no right, no such topic
 *
 * After a failure a writer is only good for tg_kafka_writer_free.
 *
 * Threads: one at a time; the library has some of its own for each of them      Limits: 32 MiB of
 * messages on the way; a message of 100 MB
 */
#ifndef TG_CLIENT_KAFKA_H
#define TG_CLIENT_KAFKA_H

#include "base/option.h"
#include "base/text.h"

struct tg_kafka;
struct tg_kafka_writer;

struct tg_kafka_options {
    const char *address;    /* "//HOST[:PORT][,HOST[:PORT]...]/TOPIC" */
    const char *suffix;     /* appended to the topic's name; NULL: nothing */
    bool tls;
    const char *ca;         /* files in PEM; NULL: as the library has it */
    const char *cert, *key;
    const char *sasl;       /* mechanism: "PLAIN", ...; NULL: none */
    const char *login;      /* file that holds USER:PASSWORD; NULL: from the environment */
    const char *compression;
    int64_t partitions;     /* a topic that is not there is made with so many; 0: it is not */
    int64_t timeout_ms;     /* of every call */
    int64_t transaction_ms; /* after that the server ends a transaction whose writer is gone */
};

/** Rows of a driver's options; its struct has a member `kafka` of struct tg_kafka_options. */
#define TG_KAFKA_OPTION(driver, member, name_, type_, ...)                                         \
    { .name = (name_),                                                                             \
      .type = (type_),                                                                             \
      .offset = offsetof(struct driver, kafka) + offsetof(struct tg_kafka_options, member),        \
      __VA_ARGS__ }

/** Reads the address and the login; connects to nothing. @param o  texts borrowed until free */
tg_code tg_kafka_new(const struct tg_kafka_options *o, struct tg_kafka **ret, struct tg_error *err);
void tg_kafka_free(struct tg_kafka *k); /* NULL is nothing */

const char *tg_kafka_topic(const struct tg_kafka *k);
/** "topic 'x' of Kafka host:port", for messages. */
const char *tg_kafka_name(const struct tg_kafka *k);

/** Looks whether the topic is there and fit for transactions that must not be forgotten; makes it
 *  if that was asked for. Does nothing if that was found before. */
tg_code tg_kafka_look(struct tg_kafka *k, struct tg_error *err);

/** After tg_kafka_look. */
int32_t tg_kafka_partitions(const struct tg_kafka *k);
/** @return the partition that Java's clients choose for a key */
int32_t tg_kafka_partition_of(const struct tg_kafka *k, const char *key);
/** @return most bytes of key, value and headers that a message of the topic may have */
size_t tg_kafka_message_max(const struct tg_kafka *k);

/** What if a transaction is open where something is read. */
enum tg_kafka_open {
    TG_KAFKA_NOW,  /* what was there before it is told */
    TG_KAFKA_ASK,  /* TG_AGAIN is told: cursors only */
    TG_KAFKA_WAIT, /* its end is waited for */
};

/** Appends the cursor of a group. @return TG_END: there is none; TG_AGAIN: see TG_KAFKA_ASK */
tg_code tg_kafka_cursor(struct tg_kafka *k, const char *group, enum tg_kafka_open open,
                        struct tg_buf *ret, struct tg_error *err);

/** Gets the name of each group that the user may see. Another code than TG_OK ends it. */
typedef tg_code (*tg_kafka_group)(void *ctx, const char *name, struct tg_error *err);
tg_code tg_kafka_groups(struct tg_kafka *k, tg_kafka_group seen, void *ctx, struct tg_error *err);

struct tg_kafka_header {
    const char *name;
    struct tg_str value;
};
enum { TG_KAFKA_HEADERS = 4 };

struct tg_kafka_message {
    int32_t partition;
    int64_t offset; /* when read */
    struct tg_str key, value; /* value {NULL, 0}: none */
    bool stays; /* when sent: the value's bytes, until the commit or the writer's end, so that they
                   need no copy */
    struct tg_kafka_header header[TG_KAFKA_HEADERS]; /* up to the first without a name */
};

/** Gets each message; its texts are valid during the call. Of its headers those that `names` of
 *  tg_kafka_read tells, in that order, {NULL, 0} where there is none. @return TG_OK to go on;
 *  TG_END to stop; a failure */
typedef tg_code (*tg_kafka_seen)(void *ctx, const struct tg_kafka_message *message,
                                 struct tg_error *err);

/**
 * Reads what was committed in a partition when the call began, in order.
 * @param names      headers that are wanted, at most TG_KAFKA_HEADERS, ended by NULL
 * @param ret_first  offset of the oldest message that the topic still keeps; may be NULL
 */
tg_code tg_kafka_read(struct tg_kafka *k, int32_t partition, enum tg_kafka_open open,
                      const char *const *names, tg_kafka_seen seen, void *ctx, int64_t *ret_first,
                      struct tg_error *err);

/** Makes a writer, and shuts out those with that id before it. After tg_kafka_look. */
tg_code tg_kafka_writer_new(struct tg_kafka *k, const char *id, struct tg_kafka_writer **ret,
                            struct tg_error *err);
void tg_kafka_writer_free(struct tg_kafka_writer *w); /* NULL is nothing */

/** A transaction: begun, messages sent (copied, unless `stays`), then the cursor and the end. When
 *  the end fails with TG_SINK, it may have been done or not: the cursor tells, once there is a new
 *  writer. */
tg_code tg_kafka_begin(struct tg_kafka_writer *w, struct tg_error *err);
tg_code tg_kafka_send(struct tg_kafka_writer *w, const struct tg_kafka_message *message,
                      struct tg_error *err);
tg_code tg_kafka_commit(struct tg_kafka_writer *w, const char *group, const char *cursor,
                        struct tg_error *err);

/** Ends a transaction without what is in it, in every partition that its messages went to and in
 *  the group; what an older writer of that id left there, and the server never ended, goes too. */
tg_code tg_kafka_abort(struct tg_kafka_writer *w, const char *group, struct tg_error *err);

#endif
