/* SPDX-License-Identifier: MIT */
/*
 * stream_scan.c - a chat's history, compared with what is remembered of it
 *
 *   history source --batches of ids that are covered--> compare, window by window
 *                                                          |
 *        suspected deletions <--by id--> server            |
 *                                                          v
 *                       rows of what differs, and how far the scan is, into the batch at hand
 *
 * It is the first run of a job (baseline), and what is done where the server does not tell any more
 * what has changed, or where the job's memory is damaged. Live changes go on meanwhile: of a
 * message that came live since, a page may tell what was before, so the page is passed over
 * there.
 *
 * What is delivered of a range, and up to where it is, go into one batch; a scan that is cut off
 * goes on there. If the memory was damaged, the destination is also told of each id that does not
 * exist: nobody knows what it has.
 */
#include <stdlib.h>

#include "etl/stream_impl.h"

#define AGAIN_US (5 * TG_SECOND_US)

enum { SCAN_BATCHES = 2, SCAN_ROWS = 1000 };

enum scan_phase { SCAN_WAIT, SCAN_CONFIRM, SCAN_DELIVER };

struct stream_scan {
    struct stream_chat *chat;
    struct tg_extract_settings settings;
    struct tg_history_source *source;
    bool ended, failed;
    struct tg_error err;
    struct tg_batch *batch[SCAN_BATCHES]; /* the first n_full are full, oldest first */
    size_t n_full, n_lent;

    enum scan_phase phase;
    bool begun, sweep;
    bool tail;             /* only what the job has seen is read: ids above what was there before */
    int64_t at, to;        /* the range that is compared; up to `at`-1 all is done */
    int64_t told;          /* id up to which is put down */
    int64_t end;           /* of what was unknown */
    size_t row, item;      /* first row of the range; next item to deliver */
    int64_t next_id;       /* to sweep from */
    struct tg_signature now[TG_WINDOW_MAX];
    struct tg_compare compare;
    struct tg_batch *found;  /* suspected, and there after all */
    int64_t confirm_us;      /* not before */
    bool confirming;
    int32_t asked[TG_MESSAGES_ASKED];
    size_t n_asked;

    int64_t *passed; /* ids that came live: a hash, 0 is free */
    size_t n_passed, cap_passed;
};

/* ---- ids that came live ---- */

static size_t slot_of(const struct stream_scan *s, int64_t id)
{
    size_t i = (size_t)((uint64_t)id * UINT64_C(0x9e3779b97f4a7c15)) & (s->cap_passed - 1);

    while (s->passed[i] && s->passed[i] != id)
        i = (i + 1) & (s->cap_passed - 1);
    return i;
}

static bool has_passed(const struct stream_scan *s, int64_t id)
{
    return s->cap_passed && s->passed[slot_of(s, id)];
}

void stream_scan_passed(struct stream_chat *c, int64_t id)
{
    struct stream_scan *s = c->scan;

    if (!s || id <= 0)
        return;
    if (2 * s->n_passed >= s->cap_passed) {
        struct stream_scan old = *s;

        s->cap_passed = old.cap_passed ? 2 * old.cap_passed : 256;
        s->passed = calloc(s->cap_passed, sizeof *s->passed);
        if (!s->passed) {
            s->passed = old.passed;
            s->cap_passed = old.cap_passed;
            stream_no_memory(c->run);
            return;
        }
        for (size_t i = 0; i < old.cap_passed; i++)
            if (old.passed[i])
                s->passed[slot_of(s, old.passed[i])] = old.passed[i];
        free(old.passed);
    }
    s->n_passed += !s->passed[slot_of(s, id)];
    s->passed[slot_of(s, id)] = id;
}

/* ---- the source ---- */

static struct tg_batch *lend_batch(void *ctx)
{
    struct stream_scan *s = ctx;

    if (s->n_full + s->n_lent == SCAN_BATCHES || s->chat->run->pressed)
        return NULL;
    return s->batch[s->n_full + s->n_lent++];
}

static void take_batch(void *ctx, struct tg_batch *b)
{
    struct stream_scan *s = ctx;

    (void)b; /* the source fills one after the other */
    s->n_lent--;
    s->n_full++;
}

static void take_back(void *ctx, struct tg_batch *b)
{
    struct stream_scan *s = ctx;

    tg_batch_clear(b);
    s->n_lent--;
}

static void bad_record(void *ctx, int64_t chat_id, int64_t id, const char *reason,
                       const void *bytes, size_t len)
{
    stream_quarantine(((struct stream_scan *)ctx)->chat->run, chat_id, id, reason, bytes, len);
}

static void warn(void *ctx, const char *line)
{
    const struct stream_scan *s = ctx;

    tg_account_note_of(s->chat->run->account, TG_NOTE_WARNING, 0,
                       (struct tg_note_about){ .chat_id = s->chat->job.id }, "%s", line);
}

static void on_done(void *ctx, const struct tg_error *err)
{
    struct stream_scan *s = ctx;

    s->ended = true;
    s->failed = err != NULL;
    if (err)
        s->err = *err;
}

void stream_scan_free(struct stream_scan *s)
{
    if (!s)
        return;
    tg_source_free(s->source);
    for (size_t i = 0; i < SCAN_BATCHES; i++)
        tg_batch_free(s->batch[i]);
    tg_batch_free(s->found);
    tg_compare_done(&s->compare);
    free(s->passed);
    s->chat->run->n_scans--;
    free(s);
}

bool stream_scan_wanted(const struct stream_run *r)
{
    return r->delta || r->set->history;
}

void stream_scan_want(struct stream_chat *c, bool anew)
{
    struct stream_run *r = c->run;
    struct tg_change_chat known;

    if (anew && tg_change_chat(r->state, c->job.id, &known) &&
        (known.scanned || stream_scan_wanted(r)))
        tg_change_put_scan(r->state, c->job.id, c->owner, 0, known.scan_end, known.scanned);
    if (c->scan && anew) {
        stream_scan_free(c->scan);
        c->scan = NULL;
    }
    c->scan_due |= !c->scan;
}

static struct stream_scan *new_scan(struct stream_chat *c)
{
    struct stream_scan *s = calloc(1, sizeof *s);
    bool whole = s != NULL;

    if (!s)
        return NULL;
    c->run->n_scans++;
    s->chat = c;
    for (size_t i = 0; i < SCAN_BATCHES; i++)
        whole = (s->batch[i] = tg_batch_new(SCAN_ROWS)) && whole;
    s->found = tg_batch_new(SCAN_ROWS);
    if (whole && s->found)
        return s;
    stream_scan_free(s);
    return NULL;
}

static void start(struct stream_chat *c, int64_t now_us)
{
    struct stream_run *r = c->run;
    struct tg_change_chat known;
    struct stream_scan *s = new_scan(c);
    struct tg_source_options options = {
        .client = r->client,
        .io = { .ctx = s, .batch = lend_batch, .put = take_batch, .give_back = take_back,
                .bad = bad_record, .warn = warn, .done = on_done },
        .chat_id = c->job.id,
        .alone = true,
    };

    if (!s || !tg_change_chat(r->state, c->job.id, &known)) {
        stream_no_memory(r);
        return;
    }
    s->settings = r->settings;
    s->settings.batch_size = SCAN_ROWS;
    s->end = known.scan_end;
    s->sweep = c->sweep;
    s->tail = !known.scanned && !c->sweep && !stream_scan_wanted(r);
    s->told = s->tail ? known.scan_end : known.scanned_to;
    options.settings = &s->settings;
    options.resume = (struct tg_cursor){ c->job.id, 0, s->told, c->owner };
    c->scan = s;
    c->scan_due = false;
    r->stats->scans++;
    s->source = tg_source_start(&options, now_us);
    if (!s->source)
        stream_no_memory(r);
}

/* ---- one range ---- */

static void put_down(struct stream_scan *s, int64_t to)
{
    struct stream_chat *c = s->chat;
    struct tg_change_chat known;

    if (s->tail || to <= s->told || !tg_change_chat(c->run->state, c->job.id, &known))
        return;
    tg_change_put_scan(c->run->state, c->job.id, c->owner, to, TG_MAX(s->end, to), known.scanned);
    s->told = to;
    stream_touched(c->run);
}

/* @return where the ids end that the batch in hand answers for */
static int64_t batch_end(const struct stream_scan *s)
{
    return s->batch[0]->last ? TG_WINDOW_ID_MAX : s->batch[0]->cursor.id;
}

/* Compares the next range of the batch in hand. */
static tg_code compare(struct stream_scan *s, struct tg_error *err)
{
    struct stream_run *r = s->chat->run;
    const struct tg_batch *b = s->batch[0];
    struct tg_signatures stored, now = { .from = s->at, .at = s->now };
    bool known;
    tg_code code;
    size_t n = 0;

    s->to = batch_end(s);
    code = tg_change_range(r->state, s->chat->job.id, s->at, &s->to, &stored, &known, err);
    if (code != TG_OK)
        return code;
    for (; s->row + n < b->n && b->row[s->row + n].id <= s->to; n++)
        if (!tg_signature_of(&b->row[s->row + n], r->fields, &s->now[n]))
            return tg_fail(err, TG_INTERNAL, "a message without what is compared");
    now.to = s->to;
    now.n = n;
    code = tg_compare_run(&s->compare, stored, known, now, err);
    s->item = 0;
    s->next_id = s->at;
    s->phase = SCAN_CONFIRM;
    tg_batch_clear(s->found);
    return code;
}

/* ---- suspected deletions ---- */

static void confirm(struct stream_scan *s, const struct tg_page *page, size_t n)
{
    struct stream_chat *c = s->chat;
    const struct tg_row_options options = {
        .chat_id = c->job.id, .owner = c->owner, .protected_chat = c->protected,
        .forum = c->forum, .raw = c->run->settings.raw, .copy = true,
    };
    struct tg_signature now;
    struct tg_error err;

    for (size_t i = 0; i < s->n_asked; i++) {
        size_t k = 0, at = s->found->n;
        bool there;

        while (k < n && tg_page_ids(page)[k] != s->asked[i])
            k++;
        there = k < n && tg_page_row(page, k, &options, s->found, &err) == TG_OK &&
                tg_signature_of(&s->found->row[at], c->run->fields, &now);
        tg_compare_confirm(&s->compare, s->asked[i], there ? &now : NULL);
    }
}

static void on_confirmed(void *ctx, const struct tg_page *page, size_t n,
                         const struct tg_error *err)
{
    struct stream_chat *c = ctx;
    struct stream_scan *s = c->scan;

    if (!s || !s->confirming)
        return;
    s->confirming = false;
    if (!err)
        confirm(s, page, n);
    else if (err->code == TG_FORBIDDEN || err->code == TG_NOT_FOUND)
        stream_chat_lost(c, err);
    else
        s->confirm_us = stream_now(c->run) + AGAIN_US;
}

/* @return whether all that was suspected is known */
static bool have_confirmed(struct stream_scan *s, int64_t now_us)
{
    struct stream_chat *c = s->chat;

    if (s->confirming || now_us < s->confirm_us)
        return false;
    s->n_asked = 0;
    for (size_t i = 0; i < s->compare.n && s->n_asked < TG_MESSAGES_ASKED; i++)
        if (s->compare.item[i].kind == TG_CHANGE_SUSPECTED)
            s->asked[s->n_asked++] = (int32_t)s->compare.item[i].id;
    if (!s->n_asked)
        return true;
    s->confirming = true;
    if (!stream_fetch(c->run, c->job.id, s->asked, s->n_asked, on_confirmed, c)) {
        s->confirming = false;
        stream_no_memory(c->run);
    }
    return false;
}

/* ---- delivery ---- */

static enum tg_change_kind kind_of(enum tg_change change)
{
    switch (change) {
    case TG_CHANGE_NEW:
        return TG_KIND_NEW;
    case TG_CHANGE_EDITED:
        return TG_KIND_EDITED;
    case TG_CHANGE_REACTIONS:
        return TG_KIND_REACTIONS;
    case TG_CHANGE_DELETED:
        return TG_KIND_DELETED;
    default:
        return TG_KIND_READ;
    }
}

/* The row of an item: of the batch in hand, or of what was asked for by id. */
static const struct tg_row *row_of(const struct stream_scan *s, const struct tg_compare_item *item)
{
    if (item->row != TG_COMPARE_NO_ROW)
        return &s->batch[0]->row[s->row + item->row];
    for (size_t i = 0; i < s->found->n; i++)
        if (s->found->row[i].id == item->id)
            return &s->found->row[i];
    return NULL;
}

/* @return false: there is no room now. What is sent tells how far the scan is */
static bool make_room(struct stream_scan *s, int64_t id)
{
    struct stream_run *r = s->chat->run;

    if (r->batch && r->batch->n >= r->batch_size)
        put_down(s, id - 1);
    return stream_room(r, 1);
}

static void deliver_row(struct stream_scan *s, const struct tg_compare_item *item)
{
    struct stream_run *r = s->chat->run;
    const struct tg_row *row = row_of(s, item);
    struct tg_batch *b = r->batch;
    struct tg_error err;
    size_t at = b->n;

    if (!row || !tg_batch_copy(b, row)) {
        tg_fail(&err, TG_NOMEM, "no memory for a row of chat %lld", (long long)s->chat->job.id);
        stream_fail(r, &err);
        return;
    }
    if (!stream_row_versions(r, s->chat, &b->row[at], &item->before, &item->after))
        return;
    tg_change_put(r->state, s->chat->job.id, s->chat->owner, &item->after);
    stream_row_mark(r, &b->row[at], kind_of(item->kind), 0, 0);
}

/* Tells the destination that ids before this one do not exist. @return false: no room now */
static bool sweep(struct stream_scan *s, int64_t before)
{
    struct stream_chat *c = s->chat;

    before = TG_MIN(before, s->end + 1);
    for (; s->sweep && !s->compare.known && s->next_id < before; s->next_id++) {
        if (has_passed(s, s->next_id))
            continue;
        if (!make_room(s, s->next_id))
            return false;
        stream_row_deleted(c->run, c, s->next_id, 0, 0);
    }
    s->next_id = before + 1;
    return true;
}

/* @return whether all of the range is in batches */
static bool deliver(struct stream_scan *s)
{
    struct stream_run *r = s->chat->run;
    const struct tg_compare *c = &s->compare;

    for (; s->item < c->n && r->code == TG_OK; s->item++) {
        const struct tg_compare_item *item = &c->item[s->item];

        if (!sweep(s, item->id))
            return false;
        if (has_passed(s, item->id) || !tg_change_delivered(item->kind)) {
            r->stats->total_processed++;
            continue;
        }
        if (!make_room(s, item->id))
            return false;
        if (item->kind == TG_CHANGE_DELETED) {
            stream_row_deleted(r, s->chat, item->id, 0, 0);
        } else {
            r->stats->total_processed++;
            deliver_row(s, item);
        }
    }
    return r->code == TG_OK && sweep(s, s->to + 1) && stream_room(r, 0);
}

/* ---- steps ---- */

/* The batch in hand is done with. */
static void next_batch(struct stream_scan *s)
{
    struct tg_batch *b = s->batch[0];

    tg_batch_clear(b);
    b->last = false;
    for (size_t i = 1; i < SCAN_BATCHES; i++)
        s->batch[i - 1] = s->batch[i];
    s->batch[SCAN_BATCHES - 1] = b;
    s->n_full--;
    s->begun = false;
}

static void begin_batch(struct stream_scan *s)
{
    s->begun = true;
    s->row = 0;
    s->at = s->batch[0]->covered_from;
    s->phase = SCAN_WAIT;
}

/* A range is done. @return whether the scan is over */
static bool end_range(struct stream_scan *s)
{
    struct stream_chat *c = s->chat;
    const struct tg_batch *b = s->batch[0];

    while (s->row < b->n && b->row[s->row].id <= s->to)
        s->row++;
    s->at = s->to + 1;
    s->phase = SCAN_WAIT;
    if (s->at <= batch_end(s)) {
        put_down(s, s->to);
        return false;
    }
    put_down(s, b->cursor.id);
    if (!b->last) {
        next_batch(s);
        return false;
    }
    if (!s->tail) {
        tg_change_put_scan(c->run->state, c->job.id, c->owner, TG_MAX(s->end, s->told),
                           TG_MAX(s->end, s->told), true);
        stream_touched(c->run);
    }
    return true;
}

/* @return whether it is over */
static bool step(struct stream_scan *s, int64_t now_us)
{
    struct stream_run *r = s->chat->run;
    struct tg_error err;

    while (s->n_full && r->code == TG_OK && s->chat->phase != CHAT_LOST) {
        if (!s->begun)
            begin_batch(s);
        if (s->phase == SCAN_WAIT && compare(s, &err) != TG_OK) {
            stream_fail(r, &err);
            return false;
        }
        if (s->phase == SCAN_CONFIRM && !have_confirmed(s, now_us))
            return false;
        s->phase = SCAN_DELIVER;
        if (!deliver(s))
            return false;
        if (end_range(s))
            return true;
    }
    return false;
}

static void end(struct stream_chat *c)
{
    stream_scan_free(c->scan);
    c->scan = NULL;
    c->sweep = false;
}

/* Its history cannot be read. */
static void fail(struct stream_chat *c)
{
    const struct tg_error why = c->scan->err;

    if (why.code == TG_FORBIDDEN || why.code == TG_NOT_FOUND)
        stream_chat_lost(c, &why);
    else
        stream_fail(c->run, &why);
}

void stream_scans_step(struct stream_run *r, int64_t now_us)
{
    for (size_t i = 0; i < r->n_chats && r->code == TG_OK; i++) {
        struct stream_chat *c = &r->chat[i];

        if (c->scan_due && c->phase == CHAT_READY && r->n_scans < STREAM_SCANS_MAX &&
            stream_room(r, 0))
            start(c, now_us);
        if (!c->scan)
            continue;
        tg_source_step(c->scan->source, now_us);
        if (c->scan->failed)
            fail(c);
        else if (step(c->scan, now_us))
            end(c);
    }
}

bool stream_scans_idle(const struct stream_run *r)
{
    for (size_t i = 0; i < r->n_chats; i++)
        if (r->chat[i].scan || r->chat[i].scan_due)
            return false;
    return true;
}
