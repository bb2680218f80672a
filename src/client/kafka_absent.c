/* SPDX-License-Identifier: MIT */
/*
 * kafka_absent.c - the Kafka client of a build without librdkafka: it says so
 *
 * No client is made, so that nothing else is called.
 */
#ifndef TG_HAVE_KAFKA

#include "client/kafka.h"

static tg_code absent(struct tg_error *err)
{
    tg_fail(err, TG_UNSUPPORTED, "this build has no Kafka client");
    return tg_hint(err, "build it with librdkafka (librdkafka-dev); `tgdata version` lists what is "
                        "in");
}

tg_code tg_kafka_new(const struct tg_kafka_options *o, struct tg_kafka **ret, struct tg_error *err)
{
    (void)o;
    *ret = NULL;
    return absent(err);
}

void tg_kafka_free(struct tg_kafka *k)
{
    (void)k;
}

const char *tg_kafka_topic(const struct tg_kafka *k)
{
    (void)k;
    return "";
}

const char *tg_kafka_name(const struct tg_kafka *k)
{
    (void)k;
    return "";
}

tg_code tg_kafka_look(struct tg_kafka *k, struct tg_error *err)
{
    (void)k;
    return absent(err);
}

int32_t tg_kafka_partition_of(const struct tg_kafka *k, const char *key)
{
    (void)k;
    (void)key;
    return 0;
}

int32_t tg_kafka_partitions(const struct tg_kafka *k)
{
    (void)k;
    return 0;
}

size_t tg_kafka_message_max(const struct tg_kafka *k)
{
    (void)k;
    return 0;
}

tg_code tg_kafka_cursor(struct tg_kafka *k, const char *group, enum tg_kafka_open open,
                        struct tg_buf *ret, struct tg_error *err)
{
    (void)k;
    (void)group;
    (void)open;
    (void)ret;
    return absent(err);
}

tg_code tg_kafka_groups(struct tg_kafka *k, tg_kafka_group seen, void *ctx, struct tg_error *err)
{
    (void)k;
    (void)seen;
    (void)ctx;
    return absent(err);
}

tg_code tg_kafka_read(struct tg_kafka *k, int32_t partition, enum tg_kafka_open open,
                      const char *const *names, tg_kafka_seen seen, void *ctx, int64_t *ret_first,
                      struct tg_error *err)
{
    (void)open;
    (void)k;
    (void)partition;
    (void)names;
    (void)seen;
    (void)ctx;
    (void)ret_first;
    return absent(err);
}

tg_code tg_kafka_writer_new(struct tg_kafka *k, const char *id, struct tg_kafka_writer **ret,
                            struct tg_error *err)
{
    (void)k;
    (void)id;
    *ret = NULL;
    return absent(err);
}

void tg_kafka_writer_free(struct tg_kafka_writer *w)
{
    (void)w;
}

tg_code tg_kafka_begin(struct tg_kafka_writer *w, struct tg_error *err)
{
    (void)w;
    return absent(err);
}

tg_code tg_kafka_send(struct tg_kafka_writer *w, const struct tg_kafka_message *message,
                      struct tg_error *err)
{
    (void)w;
    (void)message;
    return absent(err);
}

tg_code tg_kafka_commit(struct tg_kafka_writer *w, const char *group, const char *cursor,
                        struct tg_error *err)
{
    (void)w;
    (void)group;
    (void)cursor;
    return absent(err);
}

tg_code tg_kafka_abort(struct tg_kafka_writer *w, const char *group, struct tg_error *err)
{
    (void)w;
    (void)group;
    return absent(err);
}

#else
typedef int tg_kafka_is_present; /* a translation unit may not be empty */
#endif
