/* SPDX-License-Identifier: MIT */
/*
 * s3_impl.h - what s3.c and s3_upload.c share
 */
#ifndef TG_CLIENT_S3_IMPL_H
#define TG_CLIENT_S3_IMPL_H

#include "client/s3.h"

struct tg_s3 {
    struct tg_aws *aws;
    char bucket[64];
    char prefix[TG_S3_KEY_MAX / 4]; /* "" or with a slash at its end */
    char name[TG_S3_KEY_MAX];       /* for messages */
    bool bare; /* conditions name an ETag without quotes */
    struct tg_buf reply, headers;
};

struct s3_call {
    const char *method, *key, *query; /* key NULL: the bucket itself */
    const char *condition, *value;    /* a header beside; NULL: none */
    const void *body;
    size_t len;
    struct tg_buf *ret; /* NULL: s->reply */
};

/** Makes a call. @return as tg_aws_send, but TG_NOT_FOUND: no such bucket; TG_END: no such object;
 *  TG_CONFLICT: a condition does not hold, or cannot be told now */
tg_code tg_s3_call(struct tg_s3 *s, const struct s3_call *call, struct tg_error *err);

/** Takes the ETag out of the last answer's headers. @return TG_PROTOCOL */
tg_code tg_s3_take_etag(struct tg_s3 *s, struct tg_s3_etag *ret, struct tg_error *err);

/** @return TG_PROTOCOL: the answer is none of S3 */
tg_code tg_s3_strange(const struct tg_s3 *s, struct tg_error *err);

/** Appends a value of a query, encoded. */
void tg_s3_encode(struct tg_buf *out, const char *text);

#endif
