/* SPDX-License-Identifier: MIT */
/*
 * parts_manifest.c - the manifest of a part, written and read; see parts.h
 *
 * One table holds the numbers of a commit, for both directions. The text ends with a digest of
 * itself, so that a flipped bit cannot move the cursor unseen.
 */
#include "base/json.h"
#include "base/json_read.h"
#include "sink/parts.h"

static const char format_name[] = "tgdata part";
enum { FORMAT_VERSION = 1, ROW_SCHEMA_VERSION = 1 };

enum number_type { NUMBER_I64, NUMBER_U64, NUMBER_I32 };

#define NUMBER(name, type, member) { name, NUMBER_##type, offsetof(struct tg_commit, member) }
static const struct {
    const char *name;
    enum number_type type;
    size_t offset;
} number[] = {
    NUMBER("segment", I32, cursor.segment),
    NUMBER("id", I64, cursor.id),
    NUMBER("seq", U64, seq),
    NUMBER("batches", U64, batches),
    NUMBER("rows", U64, rows),
    NUMBER("rows_total", U64, rows_total),
    NUMBER("covered_from", I64, covered_from),
    NUMBER("last_id", I64, last_id),
    NUMBER("last_date", I64, last_date),
    NUMBER("fence", U64, fence),
    NUMBER("owner", I64, cursor.owner),
};

/* ,"self":"<64 hex digits>"}\n */
enum { SELF_LEN = 9 + 64 + 3 };

static void put_commit(struct tg_json *j, const struct tg_commit *commit)
{
    tg_json_object(j);
    for (size_t i = 0; i < TG_COUNT(number); i++) {
        const char *member = (const char *)commit + number[i].offset;

        tg_json_key(j, number[i].name);
        if (number[i].type == NUMBER_U64)
            tg_json_u64(j, *(const uint64_t *)(const void *)member);
        else if (number[i].type == NUMBER_I64)
            tg_json_i64(j, *(const int64_t *)(const void *)member);
        else
            tg_json_i64(j, *(const int32_t *)(const void *)member);
    }
    tg_json_key(j, "complete");
    tg_json_bool(j, commit->complete);
    tg_json_end_object(j);
}

/* The ids that are proved to be in, in the form that people and other tools read. */
static void put_ranges(struct tg_json *j, const struct tg_commit *commit)
{
    tg_json_array(j);
    if (commit->source != TG_FROM_TELEGRAM) {
        tg_json_end_array(j);
        return;
    }
    tg_json_object(j);
    tg_json_key(j, "segment");
    tg_json_i64(j, commit->cursor.segment);
    tg_json_key(j, "from");
    tg_json_i64(j, commit->covered_from);
    tg_json_key(j, "to");
    tg_json_i64(j, commit->cursor.id);
    tg_json_end_object(j);
    tg_json_end_array(j);
}

void tg_manifest_write(const struct tg_manifest *m, const char *file, int64_t unix_us,
                       struct tg_buf *out)
{
    uint8_t self[TG_SHA256];
    char hex[2 * TG_SHA256 + 1];
    size_t start = out->len;
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "format");
    tg_json_cstr(&j, format_name);
    tg_json_key(&j, "version");
    tg_json_i64(&j, FORMAT_VERSION);
    tg_json_key(&j, "schema_version");
    tg_json_i64(&j, ROW_SCHEMA_VERSION);
    tg_json_key(&j, "job");
    tg_json_cstr(&j, m->job);
    tg_json_key(&j, "chat_id");
    tg_json_i64(&j, m->chat_id);
    tg_json_key(&j, "part");
    tg_json_u64(&j, m->part);
    if (file) {
        tg_json_key(&j, "file");
        tg_json_cstr(&j, file);
    }
    if (m->commit.source != TG_FROM_TELEGRAM) {
        tg_json_key(&j, "source");
        tg_json_cstr(&j, tg_row_source_name[m->commit.source]);
    }
    tg_json_key(&j, "rows");
    tg_json_u64(&j, m->commit.rows);
    tg_json_key(&j, "bytes");
    tg_json_u64(&j, m->bytes);
    tg_hex(hex, m->sha256, TG_SHA256);
    tg_json_key(&j, "sha256");
    tg_json_cstr(&j, hex);
    tg_json_key(&j, "ranges");
    put_ranges(&j, &m->commit);
    tg_json_key(&j, "commit");
    put_commit(&j, &m->commit);
    tg_json_key(&j, "written_at");
    tg_json_time(&j, unix_us / TG_SECOND_US);
    if (out->failed)
        return;
    tg_sha256(self, out->data + start, out->len - start);
    tg_hex(hex, self, TG_SHA256);
    tg_buf_str(out, ",\"self\":\"");
    tg_buf_str(out, hex);
    tg_buf_str(out, "\"}\n");
}

static void take_commit(struct tg_json_in *in, struct tg_commit *commit)
{
    uint32_t seen = 0;
    struct tg_str key;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        size_t i = 0;

        while (i < TG_COUNT(number) && !tg_str_eq(key, tg_str_of(number[i].name)))
            i++;
        if (i < TG_COUNT(number)) {
            void *member = (char *)commit + number[i].offset;

            seen |= UINT32_C(1) << i;
            if (number[i].type == NUMBER_U64)
                *(uint64_t *)member = tg_json_take_u64(in);
            else if (number[i].type == NUMBER_I64)
                *(int64_t *)member = tg_json_take_i64(in);
            else
                *(int32_t *)member = (int32_t)tg_json_take_i64(in);
        } else if (tg_str_eq(key, TG_STR("complete"))) {
            commit->complete = tg_json_take_bool(in);
        } else {
            tg_json_skip(in);
        }
    }
    in->bad |= seen != (UINT32_C(1) << TG_COUNT(number)) - 1;
}

/* Reads a string into a fixed field. */
static void take_text(struct tg_json_in *in, char *out, size_t size)
{
    struct tg_buf text;

    tg_buf_init(&text, size);
    tg_json_take_str(in, &text);
    if (text.failed || text.len >= size || memchr(text.len ? text.data : (void *)out, 0, text.len))
        in->bad = true;
    else if (text.len)
        memcpy(out, text.data, text.len);
    out[in->bad ? 0 : text.len] = 0;
    tg_buf_done(&text);
}

static enum tg_row_source take_source(struct tg_json_in *in)
{
    char name[32] = "";

    take_text(in, name, sizeof name);
    for (int i = 0; i < TG_FROM_COUNT; i++)
        if (strcmp(name, tg_row_source_name[i]) == 0)
            return (enum tg_row_source)i;
    in->bad = true;
    return TG_FROM_TELEGRAM;
}

static bool digest_fits(const char *text, size_t len)
{
    uint8_t told[TG_SHA256], self[TG_SHA256];
    const char *tail = text + len - SELF_LEN;

    if (len < SELF_LEN || memcmp(tail, ",\"self\":\"", 9) != 0 ||
        memcmp(text + len - 3, "\"}\n", 3) != 0 || !tg_unhex(told, TG_SHA256, tail + 9, 64))
        return false;
    tg_sha256(self, text, len - SELF_LEN);
    return memcmp(self, told, TG_SHA256) == 0;
}

bool tg_manifest_read(struct tg_manifest *ret, const void *text, size_t len)
{
    enum tg_row_source source = TG_FROM_TELEGRAM;
    char name[32] = "", hex[2 * TG_SHA256 + 1] = "";
    struct tg_json_in in;
    int64_t version = 0;
    struct tg_str key;

    if (!digest_fits(text, len))
        return false;
    *ret = (struct tg_manifest){ 0 };
    tg_json_in_init(&in, text, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("format")))
            take_text(&in, name, sizeof name);
        else if (tg_str_eq(key, TG_STR("version")))
            version = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("job")))
            take_text(&in, ret->job, sizeof ret->job);
        else if (tg_str_eq(key, TG_STR("chat_id")))
            ret->chat_id = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("part")))
            ret->part = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("bytes")))
            ret->bytes = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("file")))
            take_text(&in, ret->file, sizeof ret->file);
        else if (tg_str_eq(key, TG_STR("sha256")))
            take_text(&in, hex, sizeof hex);
        else if (tg_str_eq(key, TG_STR("source")))
            source = take_source(&in);
        else if (tg_str_eq(key, TG_STR("commit")))
            take_commit(&in, &ret->commit);
        else
            tg_json_skip(&in);
    }
    ret->commit.cursor.chat_id = ret->chat_id;
    ret->commit.source = source;
    return tg_json_in_done(&in) && strcmp(name, format_name) == 0 && version == FORMAT_VERSION &&
           ret->commit.seq > 0 && tg_unhex(ret->sha256, TG_SHA256, hex, strlen(hex));
}
