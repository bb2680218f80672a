/* SPDX-License-Identifier: MIT */
/*
 * bad_record.c - see bad_record.h
 */
#include "etl/bad_record.h"

#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "crypto/hash.h"

/* A stored document holds 1 MiB; base64 makes four bytes of three. */
enum { RECORD_MAX = 1 << 20, BYTES_MAX = 700 << 10 };

void tg_bad_record_write(const struct tg_bad_record *record, struct tg_buf *out,
                         char name[TG_BAD_RECORD_NAME])
{
    struct tg_json j;

    tg_buf_init(out, RECORD_MAX);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "chat_id");
    tg_json_i64(&j, record->chat_id);
    tg_json_key(&j, "id");
    if (record->id)
        tg_json_i64(&j, record->id);
    else
        tg_json_null(&j);
    tg_json_key(&j, "reason");
    tg_json_cstr(&j, record->reason);
    tg_json_key(&j, "bytes");
    tg_json_base64(&j, record->bytes, TG_MIN(record->len, (size_t)BYTES_MAX));
    tg_json_end_object(&j);
    snprintf(name, TG_BAD_RECORD_NAME, "%lld", (long long)record->id);
    if (!record->id) { /* told apart by its bytes */
        uint8_t digest[TG_SHA256];

        tg_sha256(digest, record->bytes, record->len);
        name[0] = 'x';
        tg_hex(name + 1, digest, 16);
    }
}
