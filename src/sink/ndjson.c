/* SPDX-License-Identifier: MIT */
/*
 * ndjson.c - rows as lines of JSON in files: `ndjson:DIR`; see files.h
 */
#include "base/json_read.h"
#include "sink/files.h"

static void put_row(const struct tg_files *s, const struct tg_row *row, struct tg_buf *out)
{
    (void)s;
    tg_row_json(row, out);
    tg_buf_byte(out, '\n');
}

static size_t find_end(unsigned *state, const char *at, size_t len)
{
    const char *newline = memchr(at, '\n', len);

    (void)state;
    return newline ? (size_t)(newline - at) + 1 : 0;
}

static const char *take_ids(const struct tg_file_columns *columns, const char *at, size_t len,
                            int64_t *ret_chat_id, int64_t *ret_id)
{
    unsigned found = 0;
    struct tg_json_in in;
    struct tg_str key;

    (void)columns;
    tg_json_in_init(&in, at, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("chat_id"))) {
            *ret_chat_id = tg_json_take_i64(&in);
            found += 1;
        } else if (tg_str_eq(key, TG_STR("id"))) {
            *ret_id = tg_json_take_i64(&in);
            found += 16;
        } else {
            tg_json_skip(&in);
        }
    }
    if (!tg_json_in_done(&in))
        return "is no JSON object";
    return found == 17 ? NULL : "has not one chat_id and one id"; /* once each */
}

static tg_code read_row(const struct tg_file_columns *columns, struct tg_batch *b, const char *at,
                        size_t len, struct tg_error *err)
{
    (void)columns;
    return tg_row_read(b, at, len, err);
}

const struct tg_file_format tg_format_ndjson = {
    .name = "ndjson",
    .suffix = ".ndjson",
    .put_row = put_row,
    .find_end = find_end,
    .take_ids = take_ids,
    .read_row = read_row,
};

static tg_code ndjson_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    return tg_files_open(self, &tg_format_ndjson, target, env, err);
}

static const struct tg_option ndjson_option[] = { { 0 } };

const struct tg_sink_ops tg_sink_ndjson = {
    .head = { "ndjson", "lines of JSON in files, a directory per chat", ndjson_option,
              sizeof(struct tg_files) },
    .open = ndjson_open,
    TG_FILES_OPS,
};
