/* SPDX-License-Identifier: MIT */
/*
 * letters.c - see letters.h
 */
#include "etl/letters.h"

#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "crypto/hash.h"

enum { TEXT_MAX = 64 << 10, DESTINATION = 8 };

static const char gone_begin[] = "{\"gone\":";

void tg_letters_init(struct tg_letters *l, const struct tg_store *store, const char *job,
                     int64_t (*unix_us)(void))
{
    *l = (struct tg_letters){ .store = store, .job = job, .unix_us = unix_us,
                              .since_us = unix_us() };
    pthread_mutex_init(&l->lock, NULL);
}

void tg_letters_done(struct tg_letters *l)
{
    if (l->store)
        pthread_mutex_destroy(&l->lock);
    *l = (struct tg_letters){ 0 };
}

/* ---- documents ---- */

bool tg_letter_gone(const void *bytes, size_t len)
{
    return len >= sizeof gone_begin - 1 && memcmp(bytes, gone_begin, sizeof gone_begin - 1) == 0;
}

static void write_text(struct tg_json *j, const char *key, const struct tg_buf *text)
{
    tg_json_key(j, key);
    tg_json_str(j, (const char *)text->data, text->len);
}

void tg_letter_write(const struct tg_letter *letter, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    write_text(&j, "job", &letter->job);
    write_text(&j, "to", &letter->to);
    tg_json_key(&j, "chat_id"), tg_json_i64(&j, letter->chat_id);
    write_text(&j, "series", &letter->series);
    write_text(&j, "reason", &letter->reason);
    tg_json_key(&j, "at"), tg_json_raw(&j, letter->at.at, letter->at.len);
    tg_json_key(&j, "replay"), tg_json_array(&j);
    tg_json_u64(&j, letter->replay_seq);
    tg_json_u64(&j, letter->replay_fence);
    tg_json_end_array(&j);
    tg_json_key(&j, "row"), tg_json_raw(&j, letter->row.at, letter->row.len);
    tg_json_end_object(&j);
}

static void init(struct tg_letter *letter)
{
    struct tg_buf *const text[] = { &letter->job, &letter->to, &letter->series, &letter->reason };

    *letter = (struct tg_letter){ 0 };
    for (size_t i = 0; i < TG_COUNT(text); i++)
        tg_buf_init(text[i], TEXT_MAX);
}

/* Any value, as it stands. */
static struct tg_str take_raw(struct tg_json_in *in)
{
    const char *from = in->at;

    tg_json_skip(in);
    while (from < in->at && *from == ' ')
        from++;
    return (struct tg_str){ from, (uint32_t)(in->at - from) };
}

static void take_replay(struct tg_json_in *in, struct tg_letter *letter)
{
    uint64_t *const into[] = { &letter->replay_seq, &letter->replay_fence };
    size_t n = 0;

    for (tg_json_enter(in, '['); tg_json_next_item(in);) {
        uint64_t v = tg_json_take_u64(in);

        if (n < TG_COUNT(into))
            *into[n++] = v;
    }
}

tg_code tg_letter_read(const char *key, const void *bytes, size_t len, struct tg_letter *ret,
                       struct tg_error *err)
{
    bool has_chat = false;
    struct tg_json_in in;
    struct tg_str name;

    init(ret);
    if (tg_letter_gone(bytes, len))
        return TG_END;
    tg_json_in_init(&in, bytes, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &name);) {
        if (tg_str_eq(name, TG_STR("job")))
            tg_json_take_str(&in, &ret->job);
        else if (tg_str_eq(name, TG_STR("to")))
            tg_json_take_str(&in, &ret->to);
        else if (tg_str_eq(name, TG_STR("series")))
            tg_json_take_str(&in, &ret->series);
        else if (tg_str_eq(name, TG_STR("reason")))
            tg_json_take_str(&in, &ret->reason);
        else if (tg_str_eq(name, TG_STR("chat_id")))
            ret->chat_id = tg_json_take_i64(&in), has_chat = true;
        else if (tg_str_eq(name, TG_STR("replay")))
            take_replay(&in, ret);
        else if (tg_str_eq(name, TG_STR("at")))
            ret->at = take_raw(&in);
        else if (tg_str_eq(name, TG_STR("row")))
            ret->row = take_raw(&in);
        else
            tg_json_skip(&in);
    }
    if (tg_json_in_done(&in) && ret->job.len && ret->to.len && has_chat && ret->row.len &&
        ret->at.len && !ret->job.failed && !ret->to.failed && !ret->reason.failed)
        return TG_OK;
    tg_fail(err, TG_CORRUPT, "dead letter '%.120s' is damaged", key);
    return tg_hint(err, "tgdata dlq drop takes it out");
}

void tg_letter_done(struct tg_letter *letter)
{
    tg_buf_done(&letter->job);
    tg_buf_done(&letter->to);
    tg_buf_done(&letter->series);
    tg_buf_done(&letter->reason);
}

tg_code tg_letter_put(const struct tg_store *store, const char *key, uint64_t expect,
                      int64_t unix_us, const struct tg_buf *document, struct tg_error *err)
{
    const struct tg_doc stamp = { .at_us = unix_us };
    tg_code code = store->ops->put(store->self, TG_LETTER_KIND, key, expect, &stamp,
                                   document->data, document->len, err);

    return code == TG_OK && expect
               ? store->ops->prune(store->self, TG_LETTER_KIND, key, 1, err)
               : code;
}

tg_code tg_letter_end(const struct tg_store *store, const char *kind, const char *key,
                      uint64_t version, const char *how, int64_t unix_us, struct tg_error *err)
{
    const struct tg_doc stamp = { .at_us = unix_us };
    char text[64];
    int n = snprintf(text, sizeof text, "%s\"%s\"}", gone_begin, how);
    tg_code code = store->ops->put(store->self, kind, key, version, &stamp, text, (size_t)n, err);

    return code == TG_OK ? store->ops->prune(store->self, kind, key, 1, err) : code;
}

/* ---- keeping ---- */

static void name_letter(const struct tg_letter_box *box, const struct tg_row *row,
                        char key[TG_LETTER_KEY])
{
    uint8_t digest[TG_SHA256];
    char destination[2 * DESTINATION + 1];
    struct tg_buf name;

    tg_buf_init(&name, TEXT_MAX);
    tg_buf_printf(&name, "%s\n%s", box->to, box->series ? box->series : "");
    tg_sha256(digest, name.data, name.len);
    tg_hex(destination, digest, DESTINATION);
    tg_buf_clear(&name);
    tg_row_key(row, &name);
    snprintf(key, TG_LETTER_KEY, "%s/%s/%lld/%s", box->letters->job, destination,
             (long long)box->letters->chat_id, tg_buf_cstr(&name));
    tg_buf_done(&name);
}

static void write_letter(const struct tg_letter_box *box, const struct tg_row *row,
                         const char *why, struct tg_buf *out)
{
    const struct tg_letters *l = box->letters;
    struct tg_letter letter;
    struct tg_buf at, text;
    struct tg_json j;

    init(&letter);
    letter.chat_id = l->chat_id;
    tg_buf_init(&at, 64);
    tg_buf_init(&text, TG_LETTER_MAX);
    tg_buf_str(&letter.job, l->job);
    tg_buf_str(&letter.to, box->to);
    tg_buf_str(&letter.series, box->series ? box->series : "");
    tg_buf_str(&letter.reason, why);
    tg_json_init(&j, &at);
    tg_json_time(&j, l->unix_us() / TG_SECOND_US);
    tg_row_json(row, &text);
    letter.at = (struct tg_str){ (const char *)at.data, (uint32_t)at.len };
    letter.row = (struct tg_str){ (const char *)text.data, (uint32_t)text.len };
    tg_letter_write(&letter, out);
    out->failed |= text.failed;
    tg_letter_done(&letter);
    tg_buf_done(&at);
    tg_buf_done(&text);
}

static tg_code keep(const struct tg_letter_box *box, const struct tg_row *row, const char *why,
                    struct tg_error *err)
{
    struct tg_letters *l = box->letters;
    const struct tg_store *store = l->store;
    struct tg_doc before = { 0 };
    struct tg_buf document;
    struct tg_letter old;
    char key[TG_LETTER_KEY];
    tg_code code;

    name_letter(box, row, key);
    tg_buf_init(&document, TG_LETTER_MAX);
    code = store->ops->get(store->self, TG_LETTER_KIND, key, &before, &document, err);
    if (code == TG_OK && before.at_us >= l->since_us) { /* this row, unless a replay has it */
        bool there = tg_letter_read(key, document.data, document.len, &old, err) == TG_OK &&
                     !old.replay_seq;

        tg_letter_done(&old);
        if (there) {
            tg_buf_done(&document);
            return TG_OK;
        }
    }
    if (code == TG_OK || code == TG_END) {
        tg_buf_clear(&document);
        write_letter(box, row, why, &document);
        if (document.failed)
            code = tg_fail(err, TG_LIMIT, "message %lld of chat %lld is too large to be kept as a "
                           "dead letter", (long long)row->id, (long long)row->chat_id);
        else
            code = tg_letter_put(store, key, before.version, l->unix_us(), &document, err);
        l->n += code == TG_OK;
    }
    tg_buf_done(&document);
    return code;
}

tg_code tg_letter_keep(void *ctx, const struct tg_row *row, const char *why, struct tg_error *err)
{
    const struct tg_letter_box *box = ctx;
    tg_code code;

    pthread_mutex_lock(&box->letters->lock);
    code = keep(box, row, why, err);
    pthread_mutex_unlock(&box->letters->lock);
    return code;
}
