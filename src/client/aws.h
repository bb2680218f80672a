/* SPDX-License-Identifier: MIT */
/*
 * aws.h - calls to a service of AWS: one that speaks its JSON protocol (SQS, DynamoDB, Kinesis), or
 * S3
 *
 * A call is a signed request: in the JSON protocol a POST to the root of the endpoint. Where the
 * service has too much to do or fails it is made again, twice, after growing and jittered pauses,
 * so that it may have been done more than once; keys that have expired are looked up anew, once.
 * Secrets are held in memory only, and wiped.
 *
 *   code            when
 *   TG_USAGE        no keys, no region, an endpoint that cannot be read
 *   TG_UNSUPPORTED  this build has no HTTP library
 *   TG_NET, TG_TIMEOUT, TG_SECURITY, TG_LIMIT   see http.h
 *   TG_SERVER       the service fails, or is asked too much
 *   TG_UNUSABLE     it refuses: wrong keys, no permission, or what tg_aws_refusal says
 *
 * Facts: smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html; docs.aws.amazon.com/sdkref
 *
 * Threads: one at a time per client
 */
#ifndef TG_CLIENT_AWS_H
#define TG_CLIENT_AWS_H

#include "client/sigv4.h"

struct tg_aws;

struct tg_aws_service {
    const char *name;         /* as in the scope of signatures: "sqs" */
    const char *target;       /* before the dot of x-amz-target: "AmazonSQS"; NULL: S3 */
    const char *content_type; /* "application/x-amz-json-1.0" */
    const char *endpoint_env; /* AWS_ENDPOINT_URL_SQS; AWS_ENDPOINT_URL is read as well */
    const char *region;       /* NULL or "": that of the environment or the profile */
    const char *endpoint;     /* http[s]://HOST[:PORT]; NULL or "": from the environment, else
                                 AWS's own in the region */
};

/** Finds keys, region and endpoint; nothing is sent. Certificates: those of AWS_CA_BUNDLE, else the
 *  system's */
tg_code tg_aws_new(const struct tg_aws_service *service, struct tg_aws **ret, struct tg_error *err);
void tg_aws_free(struct tg_aws *aws); /* NULL is nothing */

/** The endpoint, for messages. */
const char *tg_aws_endpoint(const struct tg_aws *aws);

/** Makes a call. @param ret  initialised by the caller; the JSON of the answer */
tg_code tg_aws_call(struct tg_aws *aws, const char *action, const struct tg_buf *body,
                    int64_t timeout_ms, struct tg_buf *ret, struct tg_error *err);

/** A request to S3. */
struct tg_aws_request {
    const char *method, *path, *query;    /* as sent: percent-encoded; query NULL: none */
    const struct tg_sigv4_header *header; /* at most 3, beside those that all have */
    size_t n_headers;
    const void *body; /* NULL: none */
    size_t len;
    int64_t timeout_ms;
    struct tg_buf *ret_headers; /* as tg_http_request has it */
};

/** Makes it. `ret` gets the body, whatever it is. @return TG_OK for 200..299; as tg_aws_call */
tg_code tg_aws_send(struct tg_aws *aws, const struct tg_aws_request *request, struct tg_buf *ret,
                    struct tg_error *err);

/** @return the status of the last answer; 0 if none came */
int tg_aws_status(const struct tg_aws *aws);

/** @return the type of the error that the last call was refused with, such as "QueueDoesNotExist";
 *  "" if it was not */
const char *tg_aws_refusal(const struct tg_aws *aws);

#endif
