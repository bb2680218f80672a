/* SPDX-License-Identifier: MIT */
/*
 * kinesis.h - the call PutRecords of Amazon Kinesis Data Streams, as request and answer of JSON
 *
 * An answer tells of each record, in the order of the request, whether the stream has it.
 *
 * Facts: docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
 *
 * Threads: pure
 */
#ifndef TG_SINK_KINESIS_H
#define TG_SINK_KINESIS_H

#include "base/buf.h"

enum {
    KINESIS_RECORDS_MAX = 500,   /* of a call */
    KINESIS_CALL_MAX = 5 << 20,  /* bytes of its data and keys */
    KINESIS_RECORD_MAX = 1 << 20 /* of one record's data and key */
};

struct kinesis_record {
    const void *data;
    size_t len;
    const char *partition_key;
};

/** Begins a request, adds a record, ends it. */
void kinesis_begin(struct tg_buf *out, const char *stream);
void kinesis_add(struct tg_buf *out, const struct kinesis_record *record);
void kinesis_end(struct tg_buf *out);

struct kinesis_answer {
    bool failed[KINESIS_RECORDS_MAX];
    size_t n_failed;
    char why[160]; /* code and message of the first that failed */
};

/** Reads the answer to a call of n records. @return false if it is none; ret is not to be used */
bool kinesis_read(const struct tg_buf *answer, size_t n, struct kinesis_answer *ret);

#endif
