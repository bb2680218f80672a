/* SPDX-License-Identifier: MIT */
/*
 * taker.c - see taker.h
 */
#include "etl/taker_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "etl/change_journal.h"
#include "observe/observer.h"

/* ---- commits ---- */

struct tg_taker_chat *tg_taker_find(const struct tg_taker *t, int64_t chat_id)
{
    for (size_t i = 0; i < t->n_chats; i++)
        if (t->chat[i]->next.cursor.chat_id == chat_id)
            return t->chat[i];
    return NULL;
}

static bool is_changes(int32_t segment)
{
    return segment == TG_SEGMENT_CHANGES;
}

/* What is to be remembered with the commit, told before anybody is asked for it. */
static tg_code keep_note(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    const struct tg_change_entry entry = { c->next.seq, c->fence, c->note };

    if (!is_changes(c->next.cursor.segment) || !t->journals)
        return TG_OK;
    return tg_change_journal_append(t->store, c->job->job, &entry, t->unix_us(), err);
}

/* The next commit begins where the last one with rows ended: one without leaves no trace in the
 * destination once another follows. */
static void go_on_behind(struct tg_taker_chat *c)
{
    if (c->next.rows || !c->next.seq)
        c->next.covered_from = c->next.cursor.id + 1;
    c->next.rows = c->read = 0;
    c->dirty = false;
    c->note = (struct tg_str){ NULL, 0 };
    tg_taker_remembered(c);
    c->hand_from = c->hand_to;
    tg_staged_clear(&c->kept);
}

static tg_code make_commit(struct tg_taker *t, struct tg_taker_chat *c, bool complete,
                           struct tg_error *err)
{
    tg_code code = tg_taker_renew(t, err);

    if (code == TG_OK)
        code = tg_taker_renew_chat(t, c, err);
    if (code == TG_OK && t->letters)
        code = tg_letters_flush(t->letters, err);
    if (code != TG_OK)
        return code;
    c->next.seq = c->checkpoint.commit.seq + 1;
    c->next.fence = c->fence;
    c->next.complete = complete;
    if (c->fallback)
        c->next.covered_from = c->next.cursor.id + 1; /* nothing proves that nothing is missing */
    code = keep_note(t, c, err);
    if (code == TG_OK)
        code = tg_taker_remember(t, c, err);
    if (code == TG_OK)
        code = tg_taker_put_commit(t, c, err);
    if (code != TG_OK)
        return code;
    c->checkpoint.commit = c->next;
    code = tg_taker_note_each(c, err);
    if (code == TG_OK)
        code = tg_taker_save(t, c, err);
    if (code != TG_OK)
        return code;
    t->commits++;
    *(c->fallback ? &t->fallback_rows : &t->rows) += c->next.rows;
    c->rows += (int64_t)c->next.rows;
    c->rows_read += (int64_t)c->read;
    if (c->oldest_us)
        tg_observe_seconds(t->observer, TG_METRIC_LAG, (double)(t->unix_us() - c->oldest_us) / 1e6);
    c->oldest_us = 0;
    go_on_behind(c);
    return TG_OK;
}

static tg_code commit(struct tg_taker *t, struct tg_taker_chat *c, bool complete,
                      struct tg_error *err)
{
    int64_t begun_us = t->trace ? t->unix_us() : 0;
    uint64_t rows = c->next.rows;
    tg_code code = make_commit(t, c, complete, err);

    tg_trace_commit(t->trace, c->next.cursor.chat_id, c->hand_seq, rows, begun_us,
                    code == TG_OK ? NULL : err);
    return code;
}

/* Rows from..*to go through the steps. A step that does not go on with a row ends the run: what was
 * taken before it is committed. */
static tg_code pass(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b, size_t from,
                    size_t *to, struct tg_error *err)
{
    tg_code code = tg_taker_pass(t, c, b, from, to, err);
    struct tg_error ignored;

    if (code == TG_OK)
        return TG_OK;
    c->stopped = true;
    if (c->dirty && !c->held && commit(t, c, false, &ignored) != TG_OK)
        c->dirty = false; /* what is told is the step's failure */
    return code;
}

/* Rows from..to go through the steps, if a callback has not got them from there already; those that
 * are left go to the sink. All of them count as read, and the cursor goes past them. */
static tg_code take_piece(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b,
                          size_t from, size_t to, struct tg_error *err)
{
    size_t end = to;
    int64_t place;
    tg_code code = TG_OK;

    assert(from < to && to <= b->n);
    place = tg_row_place(&b->row[to - 1], b->cursor.segment);
    if (!t->callback)
        code = pass(t, c, b, from, &end, err);
    if (code == TG_OK && from < end)
        code = tg_taker_put_rows(t, c, b, from, end, err);
    if (code != TG_OK)
        return code;
    if (from < end)
        c->next.last_id = b->row[end - 1].id;
    if (from < end && b->row[end - 1].date) /* a deletion has none */
        c->next.last_date = b->row[end - 1].date;
    c->read += to - from;
    c->read_total += to - from;
    if (!t->callback)
        tg_taker_settle(c);
    c->next.rows += end - from;
    c->next.rows_total += end - from;
    c->next.cursor.id = place;
    c->next.cursor.owner = b->cursor.owner;
    c->dirty = true;
    if (!c->oldest_us)
        c->oldest_us = b->started_us;
    return TG_OK;
}

static uint64_t interval_of(const struct tg_taker_chat *c, const struct tg_batch *b)
{
    return is_changes(b->cursor.segment) ? UINT64_MAX : (uint64_t)c->job->checkpoint_interval;
}

/* Rows from..to, taken for good, cut where a checkpoint is due. */
static tg_code take_rows(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b,
                         size_t from, size_t to, struct tg_error *err)
{
    uint64_t interval = interval_of(c, b);

    assert(c->read < interval);
    for (size_t at = from; at < to;) {
        size_t piece = (size_t)TG_MIN(interval - c->read, (uint64_t)(to - at));
        tg_code code = take_piece(t, c, b, at, at + piece, err);

        at += piece;
        if (code == TG_OK && c->read == interval && at < to)
            code = commit(t, c, false, err);
        if (code != TG_OK)
            return code;
    }
    return TG_OK;
}

/* ---- batches ---- */

static void name_checkpoint(const struct tg_taker_chat *c, struct tg_batch *b)
{
    b->checkpoint_id[0] = 0;
    if (c->checkpoint.number)
        snprintf(b->checkpoint_id, sizeof b->checkpoint_id, "%s/%lld/%llu", c->job->job,
                 (long long)b->cursor.chat_id, (unsigned long long)c->checkpoint.number);
}

/* A new segment (the supergroup behind a basic group), another source: no commit spans two. */
static tg_code enter_segment(struct tg_taker *t, struct tg_taker_chat *c,
                             const struct tg_batch *b, struct tg_error *err)
{
    tg_code code = TG_OK;

    if (c->dirty && !c->held && c->next.source != b->source)
        code = commit(t, c, false, err);
    if (code != TG_OK)
        return code;
    c->next.source = b->source;
    if (c->next.cursor.segment != b->cursor.segment) {
        if (c->held)
            return TG_OK; /* rows of the segment before were left behind */
        if (c->dirty)
            code = commit(t, c, false, err);
        c->next.cursor.segment = b->cursor.segment;
        c->next.cursor.id = b->covered_from - 1;
        c->next.covered_from = b->covered_from;
    } else if (c->checkpoint.commit.seq == 0 && !c->dirty) {
        c->next.cursor.id = b->covered_from - 1;
        c->next.covered_from = b->covered_from;
    }
    return code;
}

/* The whole batch was taken: the cursor goes past what holds no rows, too. */
static void finish_batch(struct tg_taker_chat *c, const struct tg_batch *b, uint64_t rows)
{
    const struct tg_batch_record record = {
        .id = b->seq,
        .started_us = b->started_us,
        .ended_us = b->ended_us,
        .rows = rows,
    };

    c->dirty |= c->next.cursor.id < b->cursor.id || b->note.len;
    c->next.cursor.id = TG_MAX(c->next.cursor.id, b->cursor.id);
    c->next.cursor.owner = b->cursor.owner;
    c->next.batches++;
    c->read_total += c->hand_dropped;
    c->hand_dropped = 0;
    c->counted = true;
    tg_taker_settle(c);
    tg_checkpoint_batch(&c->checkpoint, &record);
}

/* Whether a commit would tell anything new. */
static bool has_news(const struct tg_taker_chat *c, bool complete)
{
    return c->dirty || (complete && !c->checkpoint.commit.complete);
}

/* tg_batch_commit: rows up to n are durable in the sink and in the checkpoint, or it failed. */
static tg_code commit_now(void *ctx, struct tg_batch *b, size_t n, struct tg_error *err)
{
    struct tg_taker *t = ctx;
    struct tg_taker_chat *c = tg_taker_find(t, b->cursor.chat_id);
    bool whole = n == b->n;
    tg_code code = TG_OK;

    if (t->broken.code != TG_OK) {
        *err = t->broken;
        return err->code;
    }
    if (c->held) {
        tg_fail(err, TG_USAGE, "batch %llu cannot be committed: rows before it were not",
                (unsigned long long)b->seq);
        return tg_hint(err, "commit each batch before the next one; what was not comes again in "
                            "the next run");
    }
    if (is_changes(b->cursor.segment) && !whole)
        return tg_fail(err, TG_USAGE, "changes are committed batch by batch: all %zu rows, not %zu",
                       b->n, n);
    if (n > b->n_taken)
        code = take_rows(t, c, b, b->n_taken, n, err);
    if (code == TG_OK && whole && !c->counted)
        finish_batch(c, b, b->n);
    if (code == TG_OK && has_news(c, whole && b->last))
        code = commit(t, c, whole && b->last, err);
    if (code != TG_OK) {
        t->broken = *err;
        return code;
    }
    b->n_taken = n;
    name_checkpoint(c, b);
    return TG_OK;
}

/* @return what the callback thinks of the batch; all that it committed is durable */
static tg_code ask_callback(struct tg_taker *t, struct tg_batch *b, struct tg_error *err)
{
    tg_code code;

    *err = (struct tg_error){ .code = TG_OK };
    b->n_taken = 0;
    b->commit = commit_now;
    b->commit_ctx = t;
    code = t->callback(t->callback_ctx, b, err);
    b->commit = NULL;
    if (t->broken.code != TG_OK) { /* whatever it made of that */
        *err = t->broken;
        return err->code;
    }
    if (code == TG_OK)
        return TG_OK;
    if (code == TG_AGAIN || code == TG_END || code >= TG_CODE_COUNT)
        code = TG_SINK;
    if (err->code == TG_OK)
        return tg_fail(err, code, "the callback did not take batch %llu of chat %lld",
                       (unsigned long long)b->seq, (long long)b->cursor.chat_id);
    err->code = code;
    return code;
}

/* A batch without rows needs no word of the callback, unless it refuses. */
static tg_code offer_batch(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b,
                           struct tg_error *err)
{
    tg_code code = ask_callback(t, b, err);
    bool whole = b->n_taken == b->n;

    if (code == TG_OK && whole && !c->held && !c->counted)
        finish_batch(c, b, b->n);
    c->held |= code != TG_OK || !whole;
    return code;
}

static tg_code take_batch(struct tg_taker *t, struct tg_taker_chat *c, struct tg_batch *b,
                          struct tg_error *err)
{
    uint64_t before = c->next.rows_total;
    bool complete;
    tg_code code = enter_segment(t, c, b, err);

    if (code != TG_OK)
        return code;
    name_checkpoint(c, b);
    c->counted = false;
    c->note = b->note;
    if (t->callback) {
        c->hand_dropped = b->n;
        code = pass(t, c, b, 0, &b->n, err);
        c->hand_dropped -= b->n;
        if (code == TG_OK)
            code = offer_batch(t, c, b, err);
    } else {
        code = take_rows(t, c, b, 0, b->n, err);
        if (code == TG_OK)
            finish_batch(c, b, c->next.rows_total - before);
    }
    if (code != TG_OK)
        return code;
    t->batches++;
    complete = b->last && !c->held;
    if (c->dirty ? c->read >= (uint64_t)c->job->checkpoint_interval || b->last ||
                       is_changes(b->cursor.segment)
                 : has_news(c, complete))
        code = commit(t, c, complete, err);
    return code;
}

static void drop_chat(struct tg_taker *t, struct tg_taker_chat *c)
{
    size_t i = 0;

    while (t->chat[i] != c)
        i++;
    t->chat[i] = t->chat[--t->n_chats];
    tg_taker_release_chat(t, c);
    tg_taker_forget(t, c);
    tg_checkpoint_done(&c->checkpoint);
    tg_staged_done(&c->kept);
    free(c);
}

/* Lays the chat down as it is; unless the failure is this chat's alone, nothing more is done. */
static void chat_failed(struct tg_taker *t, struct tg_taker_chat *c, tg_code code)
{
    t->failed |= !tg_taker_only_chat(t, code);
    drop_chat(t, c);
}

/* The checkpoint tells why it goes no further; that it cannot be written changes nothing. */
static void note_failure(struct tg_taker *t, struct tg_taker_chat *c, const struct tg_batch *b,
                         const struct tg_error *why)
{
    struct tg_batch_record record = {
        .id = b->seq,
        .started_us = b->started_us,
        .ended_us = t->unix_us(),
        .rows = b->n,
        .failed = true,
    };
    struct tg_error ignored;

    /* Without the store or the lease it is not ours to tell. Of a step, nothing that would bind the
     * job to it before a row was delivered: whoever mends it goes on with the same name. */
    if (tg_code_type(why->code) == TG_TYPE_STATE || (c->stopped && !c->checkpoint.commit.seq))
        return;
    snprintf(record.error, sizeof record.error, "%.159s", why->message);
    tg_checkpoint_batch(&c->checkpoint, &record);
    if (tg_taker_save(t, c, &ignored) != TG_OK) {
        /* the run tells its failure all the same */
    }
}

tg_code tg_taker_batch(struct tg_taker *t, struct tg_batch *b, struct tg_error *err)
{
    struct tg_taker_chat *c = tg_taker_find(t, b->cursor.chat_id);
    tg_code code;

    assert(!t->failed && c);
    c->hand_seq = b->seq;
    code = take_batch(t, c, b, err);
    if (code == TG_OK)
        code = tg_taker_keep_rows(t, c, err);
    c->hand_seq = 0;
    tg_trace_batch_end(t->trace, b->cursor.chat_id, b->seq, code == TG_OK ? NULL : err);
    if (code != TG_OK) {
        note_failure(t, c, b, err);
        chat_failed(t, c, code);
    }
    return code;
}

/* ---- chats ---- */

static const struct tg_extract_settings *settings_of(const struct tg_taker *t,
                                                     const struct tg_job_chat *chat)
{
    return chat->settings ? chat->settings : t->job;
}

static struct tg_taker_chat *add_chat(struct tg_taker *t, const struct tg_job_chat *chat,
                                      bool fallback)
{
    struct tg_taker_chat **more = reallocarray(t->chat, t->n_chats + 1, sizeof *t->chat), *c;

    if (!more)
        return NULL;
    t->chat = more;
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->job = settings_of(t, chat);
    c->fallback = fallback;
    c->sink = fallback ? t->fallback_sink : t->sink;
    tg_staged_init(&c->kept, &t->wait.room);
    t->chat[t->n_chats++] = c;
    return c;
}

tg_code tg_taker_list(struct tg_taker *t, const struct tg_job_chat *chat, size_t n,
                      struct tg_error *err)
{
    struct tg_commit unused;
    tg_code code = tg_taker_renew(t, err);

    assert(!t->failed);
    for (size_t i = 0; code == TG_OK && t->sink && i < n; i++)
        code = tg_taker_stand(t, &chat[i], &unused, err);
    if (code == TG_OK)
        code = tg_joblist_add(t->store, t->job->job, chat, n, t->unix_us(), err);
    t->failed = code != TG_OK;
    return code;
}

tg_code tg_taker_take_up(struct tg_taker *t, const struct tg_job_chat *chat, bool fallback,
                         struct tg_commit *ret, struct tg_error *err)
{
    struct tg_taker_chat *c;
    tg_code code;

    assert(!t->failed && !tg_taker_find(t, chat->id));
    c = add_chat(t, chat, fallback);
    code = c ? tg_taker_bring_up(t, c, chat->id, err)
             : tg_fail(err, TG_NOMEM, "no memory for a chat");
    if (code == TG_OK)
        code = tg_taker_recall(t, c, err);
    if (code == TG_OK) {
        *ret = c->next;
        ret->rows_total = c->read_total; /* what counts for a limit */
        go_on_behind(c);
    } else if (c) {
        chat_failed(t, c, code);
    } else {
        t->failed = true;
    }
    return code;
}

tg_code tg_taker_chat(struct tg_taker *t, const struct tg_job_chat *chat, struct tg_commit *ret,
                      struct tg_error *err)
{
    return tg_taker_take_up(t, chat, false, ret, err);
}

int64_t tg_taker_rows(const struct tg_taker *t, int64_t chat_id)
{
    const struct tg_taker_chat *c = tg_taker_find(t, chat_id);

    return c ? c->rows_read : 0;
}

tg_code tg_taker_leave(struct tg_taker *t, int64_t chat_id, int64_t *ret_rows,
                       struct tg_error *err)
{
    struct tg_taker_chat *c = tg_taker_find(t, chat_id);
    tg_code code = TG_OK;

    assert(!t->failed && c);
    if (c->dirty)
        code = commit(t, c, false, err);
    *ret_rows = c->rows;
    if (code == TG_OK)
        drop_chat(t, c);
    else
        chat_failed(t, c, code);
    return code;
}

tg_code tg_taker_bad_record(struct tg_taker *t, int64_t chat_id, const char *name,
                            const struct tg_buf *record, struct tg_error *err)
{
    const struct tg_taker_chat *c = tg_taker_find(t, chat_id);
    struct tg_doc stamp = { .at_us = t->unix_us(), .fence = c ? c->fence : t->lease.token };
    const struct tg_store *store = t->store;
    char key[192];
    tg_code code;

    snprintf(key, sizeof key, "%s/%lld/%s", t->job->job, (long long)chat_id, name);
    /* A document of its own, so that a record met again after a resume is kept once. */
    code = store->ops->put(store->self, "quarantine", key, 0, &stamp, record->data, record->len,
                           err);
    if (code == TG_CONFLICT)
        code = TG_OK;
    t->failed |= code != TG_OK;
    return code;
}

tg_code tg_taker_letter(struct tg_taker *t, const struct tg_buf *note, struct tg_error *err)
{
    tg_code code = tg_letter_post(t->letters, note, err);

    t->failed |= code != TG_OK;
    return code;
}

tg_code tg_taker_end(struct tg_taker *t, struct tg_error *err)
{
    tg_code code = t->letters && !t->failed ? tg_letters_flush(t->letters, err) : TG_OK;

    t->failed |= code != TG_OK;
    while (t->n_chats) {
        struct tg_taker_chat *c = t->chat[t->n_chats - 1];

        if (!t->failed && c->dirty)
            code = commit(t, c, false, err);
        if (code != TG_OK && !t->failed)
            chat_failed(t, c, code);
        else
            drop_chat(t, c);
    }
    free(t->chat);
    t->chat = NULL;
    free(t->spoiled);
    t->spoiled = NULL;
    t->n_spoiled = 0;
    tg_taker_release(t);
    return code;
}
