/* SPDX-License-Identifier: MIT */
/*
 * dlq_replay.c - writing the rows of dead letters to their destinations again
 *
 * A replay works letters off by key, some at a time, those of one chat and destination together:
 *
 *   leases -> attach -> stages -> letters marked with the commit to come -> write, commit ->
 *   letters out
 *
 * Killed behind the commit, the next replay finds it at the destination by its number and fence,
 * and only takes the letters out. A row that is refused again writes its letter anew; the letter of
 * a row that a stage takes out stays as it is.
 */
#include <stdlib.h>

#include "config/rules.h"
#include "crypto/random.h"
#include "etl/checkpoint.h"
#include "etl/dlq_impl.h"
#include "etl/lease.h"
#include "etl/raw_decoder.h"
#include "etl/stage_disk.h"
#include "os/loop.h"

enum { AT_ONCE = 50 };

/* What is done to each row before. */
struct steps {
    struct tg_stage_texts text;
    struct tg_stage_list list;
    struct tg_stage_counts counts;
    struct tg_raw_decoder decoder;
    struct tg_batch *row; /* one, so that nobody needs to find out which of several is left */
};

static tg_code no_place(const struct tg_stage_list *list, struct tg_error *err)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->one[i].ops->finish) {
            tg_fail(err, TG_USAGE, "a replay has no place for the stage '%s'",
                    list->one[i].ops->head.name);
            return tg_hint(err, "it is of runs, which see all rows: leave it out");
        }
    return TG_OK;
}

/* @param ret  zeroes; done with steps_done in any case */
static tg_code steps_open(struct steps *ret, const char *const *stage, size_t n,
                          struct tg_error *err)
{
    tg_code code = tg_stages_expand(stage, n, &ret->text, err);

    if (code == TG_OK)
        code = tg_stages_open(ret->text.text, ret->text.n, &ret->list, err);
    if (code == TG_OK)
        code = no_place(&ret->list, err);
    if (code == TG_OK)
        code = tg_raw_decoder_init(&ret->decoder, 1, err);
    ret->row = code == TG_OK ? tg_batch_new(1) : NULL;
    return code == TG_OK && !ret->row ? tg_fail(err, TG_NOMEM, "no memory for a row") : code;
}

static void steps_done(struct steps *s)
{
    tg_stages_close(&s->list);
    tg_stage_texts_done(&s->text);
    tg_raw_decoder_done(&s->decoder);
    tg_batch_free(s->row);
}

/* Appends a letter's row, as the stages leave it. @param ret_kept  none is left: one took it out */
static tg_code steps_take(struct steps *s, const struct tg_letter *letter, struct tg_batch *into,
                          bool *ret_kept, struct tg_error *err)
{
    const struct tg_stage_env env = {
        .now_us = tg_clock_unix_us(),
        .decode = tg_raw_decode,
        .ctx = &s->decoder,
        .counts = &s->counts,
        .disk = &tg_stage_disk,
    };
    tg_code code;

    tg_batch_clear(s->row);
    tg_raw_decoder_clear(&s->decoder);
    code = tg_row_read(s->row, letter->row.at, letter->row.len, err);
    if (code == TG_OK)
        code = tg_stages_run(&s->list, s->row, &env, err);
    if (code != TG_OK)
        return code;
    *ret_kept = !s->row->n;
    if (s->row->n && !tg_batch_copy(into, &s->row->row[0]))
        return tg_fail(err, TG_NOMEM, "no memory for a row");
    return TG_OK;
}

/* ---- a chat's letters ---- */

/* The letters of one chat and destination, within a page. */
struct replay {
    struct tg_letters_result *result;
    const struct tg_store *store;
    struct dlq_entry *entry;
    size_t n;
    struct tg_letter letter[DLQ_PAGE];
    bool done[DLQ_PAGE]; /* its row is there by an earlier replay, that was killed */
    bool kept[DLQ_PAGE]; /* a stage has taken its row out */
    struct steps steps;
    uint64_t replayed, refused; /* of them */
    struct tg_letters letters;
    struct tg_letter_box box;
    struct tg_sink_env env;
    struct tg_sink sink;
    struct tg_batch *batch;
    struct tg_lease_held *held;
    uint64_t fence;
    struct tg_commit last, next;
};

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

static bool on_commit(void *ctx, const struct tg_commit *c)
{
    struct replay *r = ctx;

    for (size_t i = 0; i < r->n; i++)
        r->done[i] |= c->seq == r->letter[i].replay_seq && c->fence == r->letter[i].replay_fence;
    return true;
}

/* Takes the chat up, and says what the commit to come will be. */
static tg_code take_up(struct replay *r, struct tg_error *err)
{
    const struct tg_sink *sink = &r->sink;
    const struct tg_random random = tg_random_system();
    const struct tg_fence fence = { r->fence, (uint32_t)tg_random_u64(&random) };
    int64_t chat_id = r->letter[0].chat_id;
    tg_code code = TG_OK;

    r->last = (struct tg_commit){ .cursor.chat_id = chat_id };
    if (tg_sink_remembers(sink)) {
        code = sink->ops->attach(sink->self, chat_id, &fence, &r->last, err);
        if (code == TG_OK)
            code = sink->ops->commits(sink->self, chat_id, on_commit, r, err);
    }
    if (code == TG_END) {
        tg_fail(err, TG_GAP, "%.160s holds nothing of chat %lld", r->box.to, (long long)chat_id);
        code = tg_hint(err, "extract the chat there again; then drop the letters");
    }
    r->next = r->last;
    r->next.seq++;
    r->next.rows = 0;
    r->next.fence = r->fence;
    if (r->last.rows || !r->last.seq) /* as ever: back to the end of the last one with rows */
        r->next.covered_from = r->last.cursor.id + 1;
    return code;
}

/* Calls `work` for each letter; what it changes in the store is one change, if that can be. Within
 * one, which is short, no lease can be kept. */
static tg_code each_letter(struct replay *r,
                           tg_code (*work)(struct replay *r, size_t i, struct tg_error *err),
                           struct tg_error *err)
{
    const struct tg_store *store = r->store;
    bool together = store->ops->begin != NULL;
    tg_code code = tg_lease_keep(r->held, err);

    if (code == TG_OK && together)
        code = store->ops->begin(store->self, err);
    if (code != TG_OK)
        return code;
    for (size_t i = 0; code == TG_OK && i < r->n; i++) {
        if (!together)
            code = tg_lease_keep(r->held, err);
        if (code == TG_OK && !r->kept[i])
            code = work(r, i, err);
    }
    return together ? store->ops->end(store->self, code, err) : code;
}

static tg_code mark(struct replay *r, size_t i, struct tg_error *err)
{
    struct tg_letter *letter = &r->letter[i];
    struct tg_buf document;
    tg_code code;

    if (r->done[i])
        return TG_OK;
    letter->replay_seq = r->next.seq;
    letter->replay_fence = r->next.fence;
    tg_buf_init(&document, TG_LETTER_MAX);
    tg_letter_write(letter, &document);
    code = document.failed ? tg_fail(err, TG_LIMIT, "a dead letter is too large")
                           : tg_letter_put(r->store, r->entry[i].key, r->entry[i].version,
                                           tg_clock_unix_us(), &document, err);
    r->entry[i].version += code == TG_OK;
    tg_buf_done(&document);
    return code;
}

static tg_code write_rows(struct replay *r, struct tg_error *err)
{
    const struct tg_sink *sink = &r->sink;
    tg_code code = TG_OK;

    tg_batch_clear(r->batch);
    r->batch->cursor = r->last.cursor;
    for (size_t i = 0; code == TG_OK && i < r->n; i++) {
        if (r->done[i])
            continue;
        code = tg_lease_keep(r->held, err);
        if (code == TG_OK)
            code = steps_take(&r->steps, &r->letter[i], r->batch, &r->kept[i], err);
        r->result->kept += r->kept[i];
    }
    if (code == TG_OK)
        code = each_letter(r, mark, err);
    for (size_t at = 0, n; code == TG_OK && at < r->batch->n; at += n) {
        n = TG_MIN(r->batch->n - at, (size_t)AT_ONCE);
        code = tg_lease_keep(r->held, err);
        if (code == TG_OK)
            code = sink->ops->write(sink->self, r->batch, at, n, err);
    }
    if (code != TG_OK || !r->batch->n)
        return code;
    r->next.rows = r->batch->n;
    r->next.rows_total += r->batch->n;
    code = tg_lease_keep(r->held, err);
    return code == TG_OK ? sink->ops->commit(sink->self, &r->next, err) : code;
}

/* What was refused again is a newer version than what was marked, and stays. */
static tg_code take_out(struct replay *r, size_t i, struct tg_error *err)
{
    tg_code code = tg_letter_end(r->store, TG_LETTER_KIND, r->entry[i].key, r->entry[i].version,
                                 "replayed", tg_clock_unix_us(), err);

    r->replayed += code == TG_OK;
    r->refused += code == TG_CONFLICT;
    return code == TG_CONFLICT ? TG_OK : code;
}

static tg_code take_all_out(struct replay *r, struct tg_error *err)
{
    tg_code code;

    r->replayed = r->refused = 0;
    code = each_letter(r, take_out, err);
    if (code == TG_OK || !r->store->ops->begin) { /* else what was done was taken back */
        r->result->replayed += r->replayed;
        r->result->refused += r->refused;
    }
    return code;
}

static tg_code replay_group(void *ctx, struct tg_lease_held *held, struct tg_error *err)
{
    struct replay *r = ctx;
    const char *series = tg_buf_cstr(&r->letter[0].series), *job = tg_buf_cstr(&r->letter[0].job);
    tg_code code;

    r->held = held;
    r->fence = held->lease[0].token;
    tg_letters_init(&r->letters, r->store, job, tg_clock_unix_us);
    r->letters.chat_id = r->letter[0].chat_id;
    r->box = (struct tg_letter_box){ &r->letters, tg_buf_cstr(&r->letter[0].to),
                                     *series ? series : NULL };
    r->env = (struct tg_sink_env){ .job = job,
                                   .fs = &tg_fs_system,
                                   .unix_us = sink_clock,
                                   .refuse = tg_letter_keep,
                                   .ctx = &r->box,
                                   .series = r->box.series };
    code = tg_sink_open(r->box.to, &r->env, &r->sink, err);
    if (code == TG_OK) {
        code = take_up(r, err);
        if (code == TG_OK)
            code = write_rows(r, err);
        if (code == TG_OK)
            code = take_all_out(r, err);
        tg_sink_close(&r->sink);
    }
    tg_letters_done(&r->letters);
    return code;
}

/* Bytes of a key before its row: job, destination and chat. */
static size_t group_of(const char *key)
{
    const char *at = key;

    for (int i = 0; i < 3 && at; i++)
        at = strchr(at + (i > 0), '/');
    return at ? (size_t)(at - key) : strlen(key);
}

/* A message may have changed again since: what was refused would come behind what it is now. */
static tg_code refuse_changes(struct tg_letter *letter, struct tg_error *err)
{
    tg_fail(err, TG_UNSUPPORTED, "letters of changes are not written again: %.80s in %.120s",
            tg_buf_cstr(&letter->job), tg_buf_cstr(&letter->to));
    return tg_hint(err, "mend the destination, take the job back by checkpoints rollback changes "
                        "--number 0, so that all is read again, and drop them; --job NAME keeps "
                        "to another job's");
}

static tg_code replay_page(void *ctx, const struct tg_store *store, struct dlq_page *p,
                           struct tg_error *err)
{
    struct replay *r = ctx;
    tg_code code = TG_OK;

    r->store = store;
    for (size_t from = 0; code == TG_OK && from < p->n; from += r->n) {
        size_t group = group_of(p->entry[from].key);

        r->entry = p->entry + from;
        memset(r->done, 0, sizeof r->done);
        memset(r->kept, 0, sizeof r->kept);
        for (r->n = 0; code == TG_OK && from + r->n < p->n; r->n++) {
            struct dlq_entry *e = &r->entry[r->n];

            if (group_of(e->key) != group || memcmp(e->key, r->entry->key, group) != 0)
                break;
            code = tg_letter_read(e->key, e->document.data, e->document.len, &r->letter[r->n],
                                  err);
        }
        if (code == TG_OK && r->letter[0].chat_id == TG_CHAT_CHANGES)
            code = refuse_changes(&r->letter[0], err);
        if (code == TG_OK)
            code = tg_lease_job(store, tg_buf_cstr(&r->letter[0].job), r->letter[0].chat_id,
                                replay_group, r, err);
        for (size_t i = 0; i < r->n; i++)
            tg_letter_done(&r->letter[i]);
    }
    return code;
}

tg_code tg_letters_replay(const struct tg_letter_filter *which,
                          const struct tg_letter_stages *stages, struct tg_letters_result *ret,
                          struct tg_error *err)
{
    struct replay *r;
    tg_code code;

    *ret = (struct tg_letters_result){ 0 };
    if (which->quarantine)
        return tg_fail(err, TG_USAGE, "what could not be decoded is no row that can be written");
    r = calloc(1, sizeof *r);
    if (!r)
        return tg_fail(err, TG_NOMEM, "no memory for dead letters");
    r->result = ret;
    r->batch = tg_batch_new(DLQ_PAGE);
    code = r->batch ? steps_open(&r->steps, stages ? stages->text : NULL, stages ? stages->n : 0,
                                 err)
                    : tg_fail(err, TG_NOMEM, "no memory for dead letters");
    if (code == TG_OK)
        code = dlq_each_page(which, replay_page, r, err);
    steps_done(&r->steps);
    tg_batch_free(r->batch);
    free(r);
    return code;
}
