/* SPDX-License-Identifier: MIT */
/*
 * kinesis_calls.c - see kinesis.h
 */
#include "sink/kinesis.h"

#include <assert.h>
#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "base/text.h"

/* ---- the request: {"StreamName": "x", "Records": [{"Data": "...", "PartitionKey": "1"}, ...]} */

void kinesis_begin(struct tg_buf *out, const char *stream)
{
    tg_buf_clear(out);
    tg_buf_str(out, "{\"StreamName\":");
    tg_json_quote(out, stream, strlen(stream));
    tg_buf_str(out, ",\"Records\":[");
}

void kinesis_add(struct tg_buf *out, const struct kinesis_record *record)
{
    struct tg_json j;

    tg_json_init(&j, out);
    j.comma = out->len && out->data[out->len - 1] == '}';
    tg_json_object(&j);
    tg_json_key(&j, "Data"), tg_json_base64(&j, record->data, record->len);
    tg_json_key(&j, "PartitionKey"), tg_json_cstr(&j, record->partition_key);
    tg_json_end_object(&j);
}

void kinesis_end(struct tg_buf *out)
{
    tg_buf_str(out, "]}");
}

/* ---- the answer: {"FailedRecordCount": 1, "Records": [{"ErrorCode": "..."}, ...]} */

/* Copies a string for people, or as much as fits. */
static void take_line(struct tg_json_in *in, char *out, size_t max)
{
    struct tg_buf text;
    size_t n;

    tg_buf_init(&text, 64 << 10);
    tg_json_take_str(in, &text);
    n = TG_MIN(text.len, max - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = text.data[i] < ' ' || text.data[i] >= 0x7f ? ' ' : (char)text.data[i];
    out[n] = 0;
    tg_buf_done(&text);
}

static void read_record(struct tg_json_in *in, struct kinesis_answer *ret, bool *ret_failed)
{
    char code[64] = "", message[80] = "";
    struct tg_str key;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        if (tg_json_take_null(in))
            continue;
        if (tg_str_eq(key, TG_STR("ErrorCode")))
            take_line(in, code, sizeof code);
        else if (tg_str_eq(key, TG_STR("ErrorMessage")))
            take_line(in, message, sizeof message);
        else
            tg_json_skip(in);
    }
    *ret_failed = *code;
    if (*code && !ret->n_failed++)
        snprintf(ret->why, sizeof ret->why, "%s%s%s", code, *message ? ": " : "", message);
}

bool kinesis_read(const struct tg_buf *answer, size_t n, struct kinesis_answer *ret)
{
    struct tg_json_in in;
    struct tg_str key;
    size_t found = 0;

    assert(n <= KINESIS_RECORDS_MAX);
    *ret = (struct kinesis_answer){ .n_failed = 0 };
    tg_json_in_init(&in, (const char *)answer->data, answer->len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (!tg_str_eq(key, TG_STR("Records"))) {
            tg_json_skip(&in);
            continue;
        }
        for (tg_json_enter(&in, '['); tg_json_next_item(&in); found++) {
            if (found < n)
                read_record(&in, ret, &ret->failed[found]);
            else
                tg_json_skip(&in);
        }
    }
    return tg_json_in_done(&in) && found == n;
}
