/* SPDX-License-Identifier: MIT */
/*
 * dynamodb.c - state in a table of Amazon DynamoDB: `dynamodb://TABLE[?create=no]`; see objects.h
 *
 *   p (HASH, S)    the name up to its last '/'
 *   n (RANGE, S)   what stands behind it, and a '.'
 *   b (B)          the bytes
 *   m (S)          a random mark, new with each write
 *
 * A write is one PutItem: under the condition that m is what was seen, or that there is no item. An
 * item holds 400 KB at most, names included; larger documents are in pieces. All reads are strongly
 * consistent. No transactions, indexes or expiry of the service are used.
 *
 * Threads: one call at a time; calls block
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/json_read.h"
#include "client/aws.h"
#include "crypto/random.h"
#include "os/proc.h"
#include "store/objects.h"

enum { TIMEOUT_MS = 15000, REPLY_MAX = 4 << 20, REQUEST_MAX = 1 << 20, ITEM_MAX = 256 << 10,
       TABLE_MAX = 255, WAIT_MS = 200, WAITS = 300 };

struct store_dynamodb {
    struct tg_objects objects;
    /* options */
    const char *region, *endpoint;
    bool create;
    /* own */
    struct tg_aws *aws;
    char table[TABLE_MAX + 1], where[TABLE_MAX + 16];
    struct tg_buf request, reply;
};

/* ---- calls ---- */

static void begin(struct store_dynamodb *s, struct tg_json *j)
{
    tg_buf_clear(&s->request);
    tg_json_init(j, &s->request);
    tg_json_object(j);
    tg_json_key(j, "TableName"), tg_json_cstr(j, s->table);
}

static tg_code end(struct store_dynamodb *s, struct tg_json *j, const char *action,
                   struct tg_error *err)
{
    const char *refusal;
    tg_code code;

    tg_json_end_object(j);
    code = tg_aws_call(s->aws, action, &s->request, TIMEOUT_MS, &s->reply, err);
    refusal = tg_aws_refusal(s->aws);
    if (code != TG_UNUSABLE)
        return code;
    if (strcmp(refusal, "ConditionalCheckFailedException") == 0)
        return tg_fail(err, TG_CONFLICT, "%.200s: an item was changed by another", s->where);
    if (strcmp(refusal, "ResourceNotFoundException") != 0)
        return code;
    tg_fail(err, TG_NOT_FOUND, "there is no table '%.255s' at %.40s", s->table,
            tg_aws_endpoint(s->aws));
    return tg_hint(err, "add create=yes to the URL, or name another; do region and keys belong to "
                        "it?");
}

static void put_attribute(struct tg_json *j, const char *name, const char *type, const char *text)
{
    tg_json_key(j, name);
    tg_json_object(j);
    tg_json_key(j, type), tg_json_cstr(j, text);
    tg_json_end_object(j);
}

/* The two parts of a name; a part may not be empty. */
static void put_key(struct tg_json *j, const char *name)
{
    const char *last = strrchr(name, '/') + 1;
    char text[TG_OBJECT_NAME + 2];

    snprintf(text, sizeof text, "%.*s", (int)(last - name), name);
    put_attribute(j, "p", "S", text);
    snprintf(text, sizeof text, "%s.", last);
    put_attribute(j, "n", "S", text);
}

static tg_code strange(const struct store_dynamodb *s, struct tg_error *err)
{
    return tg_fail(err, TG_PROTOCOL, "%.100s: the answer is none of DynamoDB",
                   tg_aws_endpoint(s->aws));
}

/* {"S": "..."} or {"B": "..."} */
static bool take_attribute(struct tg_json_in *in, struct tg_buf *out)
{
    struct tg_str type;

    tg_buf_clear(out);
    for (tg_json_enter(in, '{'); tg_json_next_key(in, &type);)
        tg_json_take_str(in, out);
    return !out->failed;
}

/* ---- one item ---- */

static tg_code read_item(struct store_dynamodb *s, struct tg_buf *ret, struct tg_object_tag *tag,
                         struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    bool good = true, there = false;
    struct tg_json_in in;
    struct tg_str key;

    tg_buf_init(&text, REPLY_MAX);
    tag->at[0] = 0;
    tg_json_in_init(&in, (const char *)s->reply.data, s->reply.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (!tg_str_eq(key, TG_STR("Item"))) {
            tg_json_skip(&in);
            continue;
        }
        for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
            bool bytes = tg_str_eq(key, TG_STR("b")), mark = tg_str_eq(key, TG_STR("m"));

            good &= take_attribute(&in, &text);
            there |= bytes;
            if (bytes && good)
                good = tg_unbase64(ret, (const char *)text.data, text.len);
            else if (mark && good)
                snprintf(tag->at, sizeof tag->at, "%.90s", tg_buf_cstr(&text));
        }
    }
    if (!good || !tg_json_in_done(&in) || (there && !*tag->at))
        return strange(s, err);
    if (ret->failed)
        return tg_fail(err, TG_LIMIT, "%.200s: an item is too long", s->where);
    return there ? TG_OK : TG_END;
}

static tg_code get(void *self, const char *name, struct tg_buf *ret, struct tg_object_tag *ret_tag,
                   struct tg_error *err)
{
    struct store_dynamodb *s = self;
    struct tg_json j;
    tg_code code;

    tg_buf_clear(ret);
    begin(s, &j);
    tg_json_key(&j, "ConsistentRead"), tg_json_bool(&j, true);
    tg_json_key(&j, "Key");
    tg_json_object(&j);
    put_key(&j, name);
    tg_json_end_object(&j);
    code = end(s, &j, "GetItem", err);
    return code == TG_OK ? read_item(s, ret, ret_tag, err) : code;
}

static tg_code put(void *self, const char *name, const struct tg_object_tag *seen,
                   const void *bytes, size_t len, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    struct store_dynamodb *s = self;
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    struct tg_json j;
    char mark[20];

    tg_buf_init(&text, REQUEST_MAX);
    tg_base64(&text, bytes, len, false);
    snprintf(mark, sizeof mark, "%016" PRIx64, tg_random_u64(&random));
    begin(s, &j);
    tg_json_key(&j, "Item");
    tg_json_object(&j);
    put_key(&j, name);
    put_attribute(&j, "b", "B", tg_buf_cstr(&text));
    put_attribute(&j, "m", "S", mark);
    tg_json_end_object(&j);
    if (seen && *seen->at) {
        tg_json_key(&j, "ConditionExpression"), tg_json_cstr(&j, "m = :m");
        tg_json_key(&j, "ExpressionAttributeValues");
        tg_json_object(&j);
        put_attribute(&j, ":m", "S", seen->at);
        tg_json_end_object(&j);
    } else if (seen) {
        tg_json_key(&j, "ConditionExpression"), tg_json_cstr(&j, "attribute_not_exists(p)");
    }
    return text.failed ? tg_fail(err, TG_NOMEM, "an item") : end(s, &j, "PutItem", err);
}

static tg_code drop(void *self, const char *name, struct tg_error *err)
{
    struct store_dynamodb *s = self;
    struct tg_json j;

    begin(s, &j);
    tg_json_key(&j, "Key");
    tg_json_object(&j);
    put_key(&j, name);
    tg_json_end_object(&j);
    return end(s, &j, "DeleteItem", err);
}

/* ---- lists ---- */

struct page {
    char from[TG_OBJECT_NAME + 2]; /* n of the last item that was looked at; "": there is no more */
    tg_object_seen seen;
    void *ctx;
    bool bad, stopped;
};

/* {"p": {"S": ...}, "n": {"S": "last."}, ...} */
static void take_key(struct tg_json_in *in, char *ret, size_t size, struct page *p)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    struct tg_str key;

    tg_buf_init(&text, size - 1);
    *ret = 0;
    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        if (!tg_str_eq(key, TG_STR("n"))) {
            tg_json_skip(in);
            continue;
        }
        p->bad |= !take_attribute(in, &text) || !text.len;
        snprintf(ret, size, "%s", p->bad ? "" : tg_buf_cstr(&text));
    }
    p->bad |= !*ret;
}

static tg_code read_page(struct store_dynamodb *s, struct page *p, struct tg_error *err)
{
    struct tg_json_in in;
    struct tg_str key;

    *p->from = 0;
    tg_json_in_init(&in, (const char *)s->reply.data, s->reply.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("Items"))) {
            for (tg_json_enter(&in, '['); tg_json_next_item(&in);) {
                char last[TG_OBJECT_NAME + 2];
                size_t n;

                take_key(&in, last, sizeof last, p);
                n = strlen(last);
                if (n)
                    last[n - 1] = 0; /* the '.' */
                if (n && !p->stopped && !p->bad)
                    p->stopped = !p->seen(p->ctx, last);
            }
        } else if (tg_str_eq(key, TG_STR("LastEvaluatedKey"))) {
            take_key(&in, p->from, sizeof p->from, p);
        } else {
            tg_json_skip(&in);
        }
    }
    return tg_json_in_done(&in) && !p->bad ? TG_OK : strange(s, err);
}

static tg_code list(void *self, const char *prefix, tg_object_seen seen, void *ctx,
                    struct tg_error *err)
{
    struct store_dynamodb *s = self;
    const char *last = strrchr(prefix, '/') + 1;
    struct page p = { .seen = seen, .ctx = ctx };
    char parent[TG_OBJECT_NAME];
    tg_code code;

    snprintf(parent, sizeof parent, "%.*s", (int)(last - prefix), prefix);
    do {
        struct tg_json j;

        begin(s, &j);
        tg_json_key(&j, "ConsistentRead"), tg_json_bool(&j, true);
        tg_json_key(&j, "ProjectionExpression"), tg_json_cstr(&j, "n");
        tg_json_key(&j, "KeyConditionExpression");
        tg_json_cstr(&j, *last ? "p = :p AND begins_with(n, :n)" : "p = :p");
        tg_json_key(&j, "ExpressionAttributeValues");
        tg_json_object(&j);
        put_attribute(&j, ":p", "S", parent);
        if (*last)
            put_attribute(&j, ":n", "S", last);
        tg_json_end_object(&j);
        if (*p.from) {
            tg_json_key(&j, "ExclusiveStartKey");
            tg_json_object(&j);
            put_attribute(&j, "p", "S", parent);
            put_attribute(&j, "n", "S", p.from);
            tg_json_end_object(&j);
        }
        code = end(s, &j, "Query", err);
        if (code == TG_OK)
            code = read_page(s, &p, err);
    } while (code == TG_OK && *p.from && !p.stopped);
    return code;
}

static const struct tg_objects_ops objects = {
    .object_max = ITEM_MAX, .get = get, .put = put, .drop = drop, .list = list,
};

/* ---- opening ---- */

static void put_schema(struct tg_json *j, const char *list, const char *type, const char *p,
                       const char *n)
{
    tg_json_key(j, list);
    tg_json_array(j);
    for (int i = 0; i < 2; i++) {
        tg_json_object(j);
        tg_json_key(j, "AttributeName"), tg_json_cstr(j, i ? "n" : "p");
        tg_json_key(j, type), tg_json_cstr(j, i ? n : p);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

static tg_code make_table(struct store_dynamodb *s, struct tg_error *err)
{
    struct tg_json j;
    tg_code code;

    begin(s, &j);
    tg_json_key(&j, "BillingMode"), tg_json_cstr(&j, "PAY_PER_REQUEST");
    put_schema(&j, "AttributeDefinitions", "AttributeType", "S", "S");
    put_schema(&j, "KeySchema", "KeyType", "HASH", "RANGE");
    code = end(s, &j, "CreateTable", err);
    /* another may make it at the same time */
    return strcmp(tg_aws_refusal(s->aws), "ResourceInUseException") == 0 ? TG_OK : code;
}

/* Waits until a table that was just made answers. */
static tg_code wait_for_table(struct store_dynamodb *s, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    struct tg_object_tag tag;
    tg_code code = TG_NOT_FOUND;

    tg_buf_init(&text, 4096);
    for (int i = 0; i < WAITS && code == TG_NOT_FOUND; i++) {
        if (i)
            tg_sleep_us(WAIT_MS * TG_MS_US);
        code = get(s, "version/form", &text, &tag, err);
    }
    return code == TG_END ? TG_OK : code;
}

static tg_code set_table(struct store_dynamodb *s, const char *target, struct tg_error *err)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *name = strncmp(target, "//", 2) == 0 ? target + 2 : "";
    size_t len = strlen(name);

    if (len < 3 || len > TABLE_MAX || strspn(name, good) != len) {
        tg_fail(err, TG_USAGE, "'dynamodb:%.160s' names no table of DynamoDB", target);
        return tg_hint(err, "write it as dynamodb://TABLE: 3 to 255 letters, digits, '._-'");
    }
    snprintf(s->table, sizeof s->table, "%s", name);
    snprintf(s->where, sizeof s->where, "dynamodb://%s", name);
    return TG_OK;
}

static tg_code dynamodb_open(void *self, const char *target, enum tg_store_use use,
                             struct tg_error *err)
{
    struct store_dynamodb *s = self;
    const struct tg_aws_service service = { .name = "dynamodb", .target = "DynamoDB_20120810",
                                            .content_type = "application/x-amz-json-1.0",
                                            .endpoint_env = "AWS_ENDPOINT_URL_DYNAMODB",
                                            .region = s->region, .endpoint = s->endpoint };
    tg_code code;

    tg_buf_init(&s->request, REQUEST_MAX);
    tg_buf_init(&s->reply, REPLY_MAX);
    s->objects.ops = &objects;
    s->objects.where = s->where;
    code = set_table(s, target, err);
    if (code == TG_OK)
        code = tg_aws_new(&service, &s->aws, err);
    if (code == TG_OK)
        code = tg_objects_open(&s->objects, use, err);
    if (code != TG_NOT_FOUND || !s->create || use != TG_STORE_CREATE)
        return code;
    code = make_table(s, err);
    if (code == TG_OK)
        code = wait_for_table(s, err);
    return code == TG_OK ? tg_objects_open(&s->objects, use, err)
                         : tg_objects_told(&s->objects, code, err);
}

static void dynamodb_close(void *self)
{
    struct store_dynamodb *s = self;

    tg_aws_free(s->aws);
    tg_buf_done(&s->request);
    tg_buf_done(&s->reply);
    s->aws = NULL;
}

static const struct tg_option dynamodb_option[] = {
    { .name = "region",
      .type = TG_OPT_STR,
      .offset = offsetof(struct store_dynamodb, region),
      .fallback = "",
      .value = "NAME",
      .help = "region of the table, else that of AWS_REGION or the profile" },
    { .name = "endpoint",
      .type = TG_OPT_STR,
      .offset = offsetof(struct store_dynamodb, endpoint),
      .fallback = "",
      .value = "URL",
      .help = "server, else AWS_ENDPOINT_URL_DYNAMODB or Amazon's own" },
    { .name = "create",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct store_dynamodb, create),
      .fallback = "no",
      .help = "make the table, paid by request, if it is not there" },
    { 0 },
};

const struct tg_store_ops tg_store_dynamodb = {
    .head = { "dynamodb", "a table of Amazon DynamoDB", dynamodb_option,
              sizeof(struct store_dynamodb) },
    .open = dynamodb_open,
    .close = dynamodb_close,
    TG_OBJECTS_OPS,
};
