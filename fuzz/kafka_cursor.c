/* SPDX-License-Identifier: MIT */
/*
 * kafka_cursor.c - any bytes as the cursor of a chat and as the key of a row; a cursor that is
 * taken gives the same text again and again
 */
#include <stdlib.h>

#include "sink/kafka_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct kafka_cursor cursor, again;
    int64_t chat_id, id;
    struct tg_buf first, second;

    if (size > UINT16_MAX)
        return 0;
    if (tg_kafka_key_take((struct tg_str){ text, (uint32_t)size }, &chat_id, &id))
        require(size >= 5); /* "0:0:0" */
    if (!tg_kafka_cursor_take(text, size, -1009, &cursor))
        return 0;
    require(cursor.partition >= 0 && cursor.last.refused <= cursor.last.rows_total);
    tg_buf_init(&first, 1 << 16);
    tg_buf_init(&second, 1 << 16);
    tg_kafka_cursor_put(&cursor, &first);
    require(tg_kafka_cursor_take((const char *)first.data, first.len, -1009, &again));
    tg_kafka_cursor_put(&again, &second);
    require(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
    tg_buf_done(&first);
    tg_buf_done(&second);
    return 0;
}
