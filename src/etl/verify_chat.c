/* SPDX-License-Identifier: MIT */
/*
 * verify_chat.c - one chat's checkpoint and what its destination really holds
 *
 * The checkpoint says where to look and how far the destination must reach at least. It is read
 * first: a run that goes on meanwhile can only bring the destination further.
 */
#include <stdio.h>
#include <stdlib.h>

#include "etl/letters.h"
#include "etl/verify_impl.h"

enum { RECORD_MAX = 1 << 20 };

static bool keep_id(struct verify_chat *v, int64_t chat_id, int64_t id)
{
    if (v->n_ids == v->cap_ids) {
        size_t cap = TG_MAX(2 * v->cap_ids, (size_t)1024);
        int64_t *more = reallocarray(v->id, cap, sizeof *more);

        v->no_memory = !more;
        if (!more)
            return false;
        v->id = more;
        v->cap_ids = cap;
    }
    v->id[v->n_ids++] = (int64_t)(chat_id == v->info.chat_id) << 32 | id;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void count_doubled(struct verify_chat *v)
{
    if (v->n_ids)
        qsort(v->id, v->n_ids, sizeof *v->id, by_id);
    for (size_t i = 1; i < v->n_ids; i++)
        v->info.duplicates += v->id[i] == v->id[i - 1];
    free(v->id);
    v->id = NULL;
    v->n_ids = v->cap_ids = 0;
}

static bool on_row(void *ctx, int64_t chat_id, int64_t id)
{
    struct verify_chat *v = ctx;

    v->info.rows++;
    if (v->info.by_post || v->letters)
        return keep_id(v, chat_id, id);
    if (chat_id == v->row_chat && id <= v->row_last)
        v->info.duplicates++;
    v->row_chat = chat_id;
    v->row_last = id;
    return true;
}

static bool on_commit(void *ctx, const struct tg_commit *c)
{
    struct verify_chat *v = ctx;
    bool same = v->info.begun && v->last.cursor.segment == c->cursor.segment;

    if (same && c->covered_from > v->last.cursor.id + 1)
        v->info.gaps++;
    if (v->info.begun && c->cursor.segment < v->last.cursor.segment)
        v->info.gaps++; /* segments never go back */
    if (!same)
        v->info.covered_from = c->covered_from;
    v->info.covered_to = c->cursor.id;
    v->info.by_post = c->cursor.segment == TG_SEGMENT_THREADS;
    if (v->info.by_post) {
        v->info.covered_from = same ? v->info.covered_from : 1;
        v->info.covered_to = c->cursor.id >> 32;
    }
    v->info.finished = c->complete;
    v->info.refused = c->refused;
    v->info.begun = true;
    v->last = *c;
    return true;
}

static bool on_quarantined(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                           size_t len)
{
    (void)key;
    (void)doc;
    *(uint64_t *)ctx += !tg_letter_gone(bytes, len);
    return true;
}

tg_code verify_quarantined(const struct tg_store *store, const char *job, int64_t chat_id,
                           uint64_t *count, struct tg_error *err)
{
    char prefix[128];

    tg_checkpoint_key(prefix, sizeof prefix - 1, job, chat_id);
    memcpy(prefix + strlen(prefix), "/", 2);
    return store->ops->list(store->self, "quarantine", prefix, on_quarantined, count, err);
}

/* "job/DESTINATION/chat/ROW", gone or not: it may have been written again, behind the others. */
static bool on_letter(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                      size_t len)
{
    struct verify_chat *v = ctx;
    const char *at = strchr(key, '/');
    char chat[32];
    size_t n;

    (void)doc;
    (void)bytes;
    (void)len;
    at = at ? strchr(at + 1, '/') : NULL;
    n = (size_t)snprintf(chat, sizeof chat, "/%lld/", (long long)v->info.chat_id);
    v->letters = at && strncmp(at, chat, n) == 0;
    return !v->letters;
}

static tg_code look_for_letters(struct verify_chat *v, struct tg_error *err)
{
    char prefix[TG_JOB_NAME_MAX + 2];

    snprintf(prefix, sizeof prefix, "%s/", v->job);
    return v->store->ops->list(v->store->self, TG_LETTER_KIND, prefix, on_letter, v, err);
}

/* ---- checkpoint ---- */

tg_code verify_checkpoint(const struct tg_store *store, const char *job, int64_t chat_id,
                          struct tg_checkpoint *ret, struct tg_error *err)
{
    struct tg_buf text;
    struct tg_doc doc;
    char key[128];
    tg_code code;

    *ret = (struct tg_checkpoint){ 0 };
    tg_checkpoint_key(key, sizeof key, job, chat_id);
    tg_buf_init(&text, RECORD_MAX);
    code = store->ops->get(store->self, "checkpoint", key, &doc, &text, err);
    if (code == TG_OK)
        code = tg_checkpoint_read_each((const char *)text.data, text.len, ret, err);
    if (code == TG_OK && !ret->n_each) {
        tg_fail(err, TG_UNSUPPORTED,
                "job '%s' delivered to a callback: there is nothing to read again", job);
        code = tg_hint(err, "only a job with a destination (--to) can be verified");
    }
    tg_buf_done(&text);
    return code == TG_END ? TG_OK : code;
}

/* ---- destination ---- */

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

tg_code verify_behind(const struct tg_commit *there, const struct tg_commit *told, const char *to,
                      struct tg_error *err)
{
    tg_fail(err, TG_GAP, "%.160s holds %llu messages of it, but %llu were delivered there", to,
            (unsigned long long)there->rows_total, (unsigned long long)told->rows_total);
    return tg_hint(err, "put back what is missing; or roll the chat back and extract it again");
}

struct tg_sink_env verify_env(const char *job)
{
    return (struct tg_sink_env){ .job = job, .fs = &tg_fs_system, .unix_us = sink_clock };
}

tg_code verify_open(const struct tg_sink_env *env, const char *to, struct tg_sink *ret,
                    struct tg_error *err)
{
    struct tg_sink sink;
    tg_code code = tg_sink_open(to, env, &sink, err);

    if (code != TG_OK)
        return code;
    if (!tg_sink_remembers(&sink)) {
        tg_sink_close(&sink);
        tg_fail(err, TG_UNSUPPORTED, "job '%s' delivered to %.60s: there is nothing to read again",
                env->job, to);
        return tg_hint(err, "only a destination that keeps its rows can be verified");
    }
    *ret = sink;
    return TG_OK;
}

static tg_code read_again(struct verify_chat *v, const struct tg_commit *checkpoint,
                          const char *to, struct tg_error *err)
{
    const struct tg_sink_env env = verify_env(v->job);
    int64_t chat_id = v->info.chat_id;
    struct tg_sink sink;
    tg_code code = verify_open(&env, to, &sink, err);

    if (code != TG_OK)
        return code;
    code = sink.ops->commits(sink.self, chat_id, on_commit, v, err);
    if (code == TG_OK && v->last.rows_total < checkpoint->rows_total)
        code = verify_behind(&v->last, checkpoint, to, err);
    if (code == TG_OK && v->last.seq)
        code = sink.ops->scan(sink.self, chat_id, on_row, v, err);
    count_doubled(v);
    if (code == TG_OK && v->media && v->last.seq)
        code = verify_media(v, &sink, err);
    if (code == TG_OK && v->no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for the ids of a chat");
    tg_sink_close(&sink);
    return code == TG_END ? TG_OK : code;
}

/* Of several: what is wrong with one is wrong; a stream among them cannot be read again. */
static tg_code read_each(struct verify_chat *v, const struct tg_checkpoint *checkpoint,
                         struct tg_error *err)
{
    const struct tg_verify_info before = v->info;
    struct verify_chat read = *v;
    uint64_t gaps = 0, duplicates = 0;
    bool finished = true, any = false;
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < checkpoint->n_each; i++) {
        const struct tg_checkpoint_each *each = &checkpoint->each[i];

        v->info = before;
        v->last = (struct tg_commit){ 0 };
        v->row_chat = v->row_last = 0;
        code = read_again(v, &each->commit, each->to, err);
        if (code == TG_UNSUPPORTED && (any || i + 1 < checkpoint->n_each)) {
            code = TG_OK;
            continue;
        }
        any = true;
        read = *v;
        gaps += v->info.gaps;
        duplicates += v->info.duplicates;
        finished &= v->info.finished;
    }
    if (code == TG_OK)
        *v = read;
    v->info.gaps = gaps;
    v->info.duplicates = duplicates;
    v->info.finished = finished && any;
    return code;
}

tg_code verify_destination(struct verify_chat *v, struct tg_error *err)
{
    struct tg_checkpoint checkpoint;
    tg_code code = verify_checkpoint(v->store, v->job, v->info.chat_id, &checkpoint, err);

    if (code == TG_OK)
        code = look_for_letters(v, err);
    if (code == TG_OK && checkpoint.commit.seq)
        code = read_each(v, &checkpoint, err);
    tg_checkpoint_done(&checkpoint);
    if (code == TG_OK)
        code = verify_quarantined(v->store, v->job, v->info.chat_id, &v->info.quarantined, err);
    return code;
}
