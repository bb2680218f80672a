/* SPDX-License-Identifier: MIT */
/*
 * circuit_doc.c - see circuit_doc.h
 */
#include "etl/circuit_doc.h"

#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/text.h"
#include "crypto/hash.h"

static const char doc_kind[] = "circuit";

static int64_t number_of(const uint8_t bytes[8])
{
    uint64_t number = 0;

    for (size_t i = 0; i < sizeof number; i++)
        number = number << 8 | bytes[i];
    return (int64_t)number;
}

int64_t tg_circuit_sink(const char *url)
{
    uint8_t digest[TG_SHA256];

    tg_sha256(digest, url, strlen(url));
    return number_of(digest);
}

void tg_circuit_name(char out[TG_CIRCUIT_NAME], enum tg_circuit_kind kind, int64_t number)
{
    const char *name = tg_circuit_kind_name(kind);

    if (kind == TG_CIRCUIT_CHAT)
        snprintf(out, TG_CIRCUIT_NAME, "%s/%lld", name, (long long)number);
    else
        snprintf(out, TG_CIRCUIT_NAME, "%s/%016llx", name, (unsigned long long)number);
}

void tg_circuit_write(const struct tg_breaker_record *record, const char *to, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "open"), tg_json_bool(&j, record->open);
    tg_json_key(&j, "until_us"), tg_json_i64(&j, record->until_unix_us);
    tg_json_key(&j, "failures"), tg_json_u64(&j, record->in_a_row);
    if (to) {
        tg_json_key(&j, "to");
        tg_json_cstr(&j, to);
    }
    tg_json_end_object(&j);
}

tg_code tg_circuit_put(const struct tg_store *store, const char *job, const char *name,
                       const struct tg_buf *record, int64_t unix_us, struct tg_error *err)
{
    struct tg_doc before = { 0 }, stamp = { .at_us = unix_us };
    struct tg_buf ignored;
    char key[192];
    tg_code code;

    snprintf(key, sizeof key, "%s/%s", job, name);
    tg_buf_init(&ignored, 1 << 20);
    code = store->ops->get(store->self, doc_kind, key, &before, &ignored, err);
    tg_buf_done(&ignored);
    if (code == TG_OK || code == TG_END)
        code = store->ops->put(store->self, doc_kind, key, before.version, &stamp, record->data,
                               record->len, err);
    if (code == TG_OK)
        code = store->ops->prune(store->self, doc_kind, key, 1, err);
    return code;
}

/* @return false if it is none */
static bool read_record(const void *bytes, size_t len, struct tg_breaker_record *ret)
{
    struct tg_json_in in;
    struct tg_str key;
    uint64_t failures = 0;

    *ret = (struct tg_breaker_record){ 0 };
    tg_json_in_init(&in, bytes, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("open")))
            ret->open = tg_json_take_bool(&in);
        else if (tg_str_eq(key, TG_STR("until_us")))
            ret->until_unix_us = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("failures")))
            failures = tg_json_take_u64(&in);
        else
            tg_json_skip(&in);
    }
    ret->in_a_row = (uint32_t)TG_MIN(failures, (uint64_t)UINT32_MAX);
    return tg_json_in_done(&in) && ret->until_unix_us >= 0;
}

static bool read_name(const char *name, enum tg_circuit_kind *ret_kind, int64_t *ret_number)
{
    static const char chat[] = "chat/", sink[] = "sink/";
    const char *digits = name + sizeof sink - 1;
    uint8_t bytes[8];

    *ret_number = 0;
    if (strncmp(name, sink, sizeof sink - 1) == 0) {
        *ret_kind = TG_CIRCUIT_SINK;
        if (!tg_unhex(bytes, sizeof bytes, digits, strlen(digits)))
            return false;
        *ret_number = number_of(bytes);
        return true;
    }
    *ret_kind = TG_CIRCUIT_CHAT;
    return strncmp(name, chat, sizeof chat - 1) == 0 &&
           tg_i64_parse(name + sizeof chat - 1, ret_number) && *ret_number;
}

struct reading {
    size_t prefix;
    tg_circuit_seen seen;
    void *ctx;
};

static bool on_doc(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                   size_t len)
{
    const struct reading *r = ctx;
    struct tg_breaker_record record;
    enum tg_circuit_kind kind;
    int64_t number;

    (void)doc;
    if (read_name(key + r->prefix, &kind, &number) && read_record(bytes, len, &record) &&
        record.open)
        r->seen(r->ctx, kind, number, &record);
    return true;
}

tg_code tg_circuits_read(const struct tg_store *store, const char *job, tg_circuit_seen seen,
                         void *ctx, struct tg_error *err)
{
    char prefix[160];
    struct reading r = { .seen = seen, .ctx = ctx };

    snprintf(prefix, sizeof prefix, "%s/", job);
    r.prefix = strlen(prefix);
    return store->ops->list(store->self, doc_kind, prefix, on_doc, &r, err);
}
