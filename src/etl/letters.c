/* SPDX-License-Identifier: MIT */
/*
 * letters.c - see letters.h
 */
#include "etl/letters.h"

#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "crypto/hash.h"

enum { TEXT_MAX = 64 << 10, DESTINATION = 8, WAITING = 1 << 20 };

static const char gone_begin[] = "{\"gone\":";

void tg_letters_init(struct tg_letters *l, const struct tg_store *store, const char *job,
                     int64_t (*unix_us)(void))
{
    *l = (struct tg_letters){ .store = store, .job = job, .unix_us = unix_us,
                              .since_us = unix_us() };
    tg_buf_init(&l->waiting, 4 * WAITING);
    pthread_mutex_init(&l->lock, NULL);
}

void tg_letters_done(struct tg_letters *l)
{
    if (l->store) {
        pthread_mutex_destroy(&l->lock);
        tg_buf_done(&l->waiting);
    }
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
    if (letter->rule.len)
        write_text(&j, "rule", &letter->rule);
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
    struct tg_buf *const text[] = { &letter->job, &letter->to, &letter->series, &letter->reason,
                                   &letter->rule };

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
        else if (tg_str_eq(name, TG_STR("rule")))
            tg_json_take_str(&in, &ret->rule);
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
    tg_buf_done(&letter->rule);
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

/* A row, why it is a letter, and of which chat of the job. */
struct refused {
    const struct tg_letter_box *box;
    int64_t chat_id;
    const struct tg_row *row;
    const char *why, *rule; /* "": the destination's */
};

static void name_letter(const struct refused *r, char key[TG_LETTER_KEY])
{
    const struct tg_letter_box *box = r->box;
    uint8_t digest[TG_SHA256];
    char destination[2 * DESTINATION + 1];
    struct tg_buf name;

    tg_buf_init(&name, TEXT_MAX);
    tg_buf_printf(&name, "%s\n%s", box->to, box->series ? box->series : "");
    tg_sha256(digest, name.data, name.len);
    tg_hex(destination, digest, DESTINATION);
    tg_buf_clear(&name);
    tg_row_key(r->row, &name);
    snprintf(key, TG_LETTER_KEY, "%s/%s/%lld/%s", box->letters->job, destination,
             (long long)r->chat_id, tg_buf_cstr(&name));
    tg_buf_done(&name);
}

static void write_letter(const struct refused *r, struct tg_buf *out)
{
    const struct tg_letters *l = r->box->letters;
    struct tg_letter letter;
    struct tg_buf at, text;
    struct tg_json j;

    init(&letter);
    letter.chat_id = r->chat_id;
    tg_buf_init(&at, 64);
    tg_buf_init(&text, TG_LETTER_MAX);
    tg_buf_str(&letter.job, l->job);
    tg_buf_str(&letter.to, r->box->to);
    tg_buf_str(&letter.series, r->box->series ? r->box->series : "");
    tg_buf_str(&letter.reason, r->why);
    tg_buf_str(&letter.rule, r->rule);
    tg_json_init(&j, &at);
    tg_json_time(&j, l->unix_us() / TG_SECOND_US);
    tg_row_json(r->row, &text);
    letter.at = (struct tg_str){ (const char *)at.data, (uint32_t)at.len };
    letter.row = (struct tg_str){ (const char *)text.data, (uint32_t)text.len };
    tg_letter_write(&letter, out);
    out->failed |= text.failed;
    tg_letter_done(&letter);
    tg_buf_done(&at);
    tg_buf_done(&text);
}

static tg_code too_large(const struct tg_row *row, struct tg_error *err)
{
    return tg_fail(err, TG_LIMIT, "message %lld of chat %lld is too large to be kept as a dead "
                   "letter", (long long)row->id, (long long)row->chat_id);
}

/* @return whether this run has kept the letter already, and no replay has it */
static bool is_kept(const struct tg_letters *l, const struct tg_doc *before,
                    const struct tg_buf *document)
{
    struct tg_error ignored;
    struct tg_letter old;
    bool there;

    if (before->at_us < l->since_us)
        return false;
    there = tg_letter_read("", document->data, document->len, &old, &ignored) == TG_OK &&
            !old.replay_seq;
    tg_letter_done(&old);
    return there;
}

/* Under the lock. @param ret_new  it is new in this run */
static tg_code keep(const struct tg_letters *l, const char *key, const struct tg_buf *document,
                    bool *ret_new, struct tg_error *err)
{
    const struct tg_store *store = l->store;
    struct tg_doc before = { 0 };
    struct tg_buf old;
    tg_code code;

    tg_buf_init(&old, TG_LETTER_MAX);
    code = store->ops->get(store->self, TG_LETTER_KIND, key, &before, &old, err);
    if (code == TG_END || (code == TG_OK && !is_kept(l, &before, &old))) {
        code = tg_letter_put(store, key, before.version, l->unix_us(), document, err);
        *ret_new = code == TG_OK;
    }
    tg_buf_done(&old);
    return code;
}

tg_code tg_letter_keep(void *ctx, const struct tg_row *row, const char *why, struct tg_error *err)
{
    const struct tg_letter_box *box = ctx;
    struct tg_letters *l = box->letters;
    struct refused r = { box, 0, row, why, "" };
    struct tg_buf document;
    char key[TG_LETTER_KEY];
    bool is_new = false;
    tg_code code;

    tg_buf_init(&document, TG_LETTER_MAX);
    pthread_mutex_lock(&l->lock);
    r.chat_id = l->chat_id;
    name_letter(&r, key);
    write_letter(&r, &document);
    code = document.failed ? too_large(row, err) : keep(l, key, &document, &is_new, err);
    l->n += is_new;
    pthread_mutex_unlock(&l->lock);
    tg_buf_done(&document);
    return code;
}

/* The key, its end, the document. */
tg_code tg_letter_note(const struct tg_letter_box *box, int64_t chat_id,
                       const struct tg_row_aside *aside, struct tg_buf *out, struct tg_error *err)
{
    const struct refused r = { box, chat_id, &aside->row, aside->why, aside->rule };
    struct tg_buf document;
    char key[TG_LETTER_KEY];
    tg_code code;

    tg_buf_init(&document, TG_LETTER_MAX);
    name_letter(&r, key);
    write_letter(&r, &document);
    tg_buf_add(out, key, strlen(key) + 1);
    tg_buf_add(out, document.data, document.len);
    code = document.failed || out->failed ? too_large(&aside->row, err) : TG_OK;
    tg_buf_done(&document);
    return code;
}

/* Under the lock: keeps a note. */
static tg_code keep_note(const struct tg_letters *l, const uint8_t *note, size_t len,
                         struct tg_error *err)
{
    const char *key = (const char *)note;
    size_t n = strlen(key) + 1;
    const struct tg_buf document = { .data = (uint8_t *)(uintptr_t)note + n, .len = len - n };
    bool is_new;

    return keep(l, key, &document, &is_new, err);
}

/* Under the lock. */
static tg_code flush(struct tg_letters *l, struct tg_error *err)
{
    const struct tg_store *store = l->store;
    tg_code code = TG_OK;
    uint32_t len;

    if (!l->waiting.len)
        return TG_OK;
    if (store->ops->begin)
        code = store->ops->begin(store->self, err);
    if (code != TG_OK)
        return code;
    for (size_t at = 0; code == TG_OK && at < l->waiting.len; at += sizeof len + len) {
        memcpy(&len, l->waiting.data + at, sizeof len);
        code = keep_note(l, l->waiting.data + at + sizeof len, len, err);
    }
    if (store->ops->end)
        code = store->ops->end(store->self, code, err);
    if (code == TG_OK)
        tg_buf_clear(&l->waiting);
    return code;
}

tg_code tg_letters_flush(struct tg_letters *l, struct tg_error *err)
{
    tg_code code;

    pthread_mutex_lock(&l->lock);
    code = flush(l, err);
    pthread_mutex_unlock(&l->lock);
    return code;
}

tg_code tg_letter_post(struct tg_letters *l, const struct tg_buf *note, struct tg_error *err)
{
    uint32_t len = (uint32_t)note->len;
    tg_code code;

    pthread_mutex_lock(&l->lock);
    tg_buf_add(&l->waiting, &len, sizeof len);
    tg_buf_add(&l->waiting, note->data, note->len);
    code = l->waiting.failed ? tg_fail(err, TG_NOMEM, "no memory for dead letters") : TG_OK;
    if (code == TG_OK && l->waiting.len >= WAITING)
        code = flush(l, err);
    pthread_mutex_unlock(&l->lock);
    return code;
}
