/* SPDX-License-Identifier: MIT */
/*
 * history_rows.c - finished pages, in order, into batches
 *
 * Text fields of a row point into the reply's buffer, which the batch takes over when the page's
 * last row is in. Rows of a page that spans two batches are copied into the first of them, because
 * that one leaves while the page is still being read.
 */
#include <assert.h>

#include "source/history_impl.h"

bool source_flush(struct tg_history_source *s, bool last)
{
    const struct tg_source_io *io = &s->options.io;
    struct tg_batch *b = s->batch;
    struct tg_breaker_health health;

    if (!b) {
        b = io->batch(io->ctx);
        if (!b)
            return false;
        b->covered_from = s->told + 1;
    }
    s->batch = NULL;
    s->told = source_place(s);
    b->seq = ++s->batch_seq;
    b->cursor = (struct tg_cursor){ s->options.chat_id,
                                    s->options.through ? TG_SEGMENT_THREADS : s->segment, s->told,
                                    source_owner(s) };
    b->ended_us = s->now_us;
    if (!b->started_us)
        b->started_us = s->now_us;
    b->last = last;
    b->rate_limit_remaining =
        tgc_limit_remaining(s->options.client, source_method(s), s->now_us);
    tgc_health(s->options.client, s->options.chat_id, s->now_us, &health);
    b->circuit_state = tg_breaker_name(health.state);
    b->success_rate = health.success_rate;
    b->response_us = health.avg_response_us;
    io->put(io->ctx, b);
    return true;
}

/* @return false without credit */
static bool have_batch(struct tg_history_source *s)
{
    const struct tg_source_io *io = &s->options.io;

    if (s->batch && s->batch->n == s->batch->cap && !source_flush(s, false))
        return false;
    if (s->batch)
        return true;
    s->batch = io->batch(io->ctx);
    if (!s->batch)
        return false;
    s->batch->covered_from = s->told + 1;
    return true;
}

static void begin_page(struct tg_history_source *s, struct source_page *page)
{
    s->batch->n_requests++;
    s->batch->n_flood_waits += page->n_floods;
    s->batch->flood_wait_s += page->flood_wait_s;
    if (!s->batch->started_us)
        s->batch->started_us = page->sent_us;
    s->page_begun = true;
}

static bool wanted_date(const struct tg_history_source *s, int32_t date)
{
    const struct tg_extract_settings *set = s->options.settings;

    return (!set->since || date >= set->since) && (!set->until || date < set->until);
}

/* Fills a row from entry i of the page. */
static tg_code add_row(struct tg_history_source *s, struct source_page *page, size_t i, bool copy,
                       struct tg_error *err)
{
    const struct source_part *part = &page->part[page->entry[i].part];
    size_t at = (size_t)page->entry[i].at;
    struct tg_row_options options = {
        .chat_id = s->segment_chat[s->segment],
        .owner = source_owner(s),
        .protected_chat = s->protected_chat,
        .forum = s->forum,
        .raw = s->options.settings->raw,
        .files = s->options.settings->media != NULL,
        .copy = copy,
    };
    size_t before = s->batch->n;
    tg_code code;

    if (tg_page_date(part->page, at) == 0 || !wanted_date(s, tg_page_date(part->page, at)))
        return TG_OK; /* a messageEmpty, or outside the wanted dates */
    code = tg_page_row(part->page, at, &options, s->batch, err);
    if (code == TG_DATA) {
        const uint8_t *bytes;
        size_t len;

        s->batch->n = before;
        tg_page_bytes(part->page, at, &bytes, &len);
        s->state.n_bad++;
        s->options.io.bad(s->options.io.ctx, options.chat_id, page->entry[i].id, err->message,
                          bytes, len);
        return TG_OK;
    }
    if (code == TG_OK && (s->comments || s->options.through))
        source_comments_row(s, part->page, at, &s->batch->row[before]);
    if (code == TG_OK && s->discussed && s->batch->row[before].replies > 0)
        s->options.io.commented(s->options.io.ctx, s->batch->row[before].id);
    if (code == TG_OK) {
        s->rows_total++;
        s->enough = s->options.settings->limit &&
                  s->rows_total >= (uint64_t)s->options.settings->limit;
    }
    return code;
}

/* The row that comes behind entry i is fetched while that one is filled. */
static void look_ahead(const struct source_page *page, size_t i)
{
    const struct source_entry *next = i > 0 ? &page->entry[i - 1] : NULL; /* oldest first */

    if (next && next->part >= 0)
        tg_page_ahead(page->part[next->part].page, (size_t)next->at);
}

/* The batch takes over the buffers that its rows point into. */
static tg_code adopt(struct tg_history_source *s, struct source_page *page, struct tg_error *err)
{
    for (size_t i = 0; i < page->n_parts; i++) {
        struct source_part *part = &page->part[i];
        void *buffer = part->buffer;

        part->buffer = NULL;
        if (!tg_batch_adopt(s->batch, buffer, part->bytes))
            return tg_fail(err, TG_NOMEM, "no memory for a batch");
    }
    return TG_OK;
}

/* Rows of the piece's page within from..to, oldest first. @return TG_AGAIN without credit */
static tg_code emit_piece(struct tg_history_source *s, struct tg_error *err)
{
    struct source_page *page = s->piece.page;
    size_t n = page ? page->n : 0;
    tg_code code = TG_OK;

    while (code == TG_OK && s->next_entry < n && !s->enough) {
        size_t i = n - 1 - s->next_entry; /* entries are newest first */
        int32_t id = page->entry[i].id;
        bool fits;

        if (id > s->piece.to)
            break;
        if (id < s->piece.from || page->entry[i].part < 0) {
            s->next_entry++;
            continue;
        }
        if (!have_batch(s))
            return TG_AGAIN;
        if (!s->page_begun)
            begin_page(s, page);
        fits = s->piece.page_done && s->batch->cap - s->batch->n >= n - s->next_entry;
        s->page_views |= fits;
        look_ahead(page, i);
        code = add_row(s, page, i, !s->page_views, err);
        if (code == TG_OK) {
            s->next_entry++;
            s->covered = id;
        }
    }
    return code;
}

static tg_code finish_piece(struct tg_history_source *s, struct tg_error *err)
{
    struct source_page *page = s->piece.page;
    tg_code code = TG_OK;

    if (!s->enough)
        s->covered = s->piece.to;
    if (page && s->piece.page_done) {
        if (s->page_views)
            code = adopt(s, page, err);
        source_page_free(s, page);
        s->next_entry = 0;
        s->page_begun = s->page_views = false;
    }
    s->has_piece = false;
    return code;
}

tg_code source_emit(struct tg_history_source *s, struct tg_error *err)
{
    for (;;) {
        tg_code code;

        if (s->enough && !s->has_piece)
            return TG_OK;
        if (!s->has_piece) {
            if (source_threads_over(s))
                return TG_OK;
            code = s->bot ? source_bot_take(s, &s->piece) : tg_history_take(s->plan, &s->piece);
            if (code != TG_OK)
                return code == TG_END ? TG_OK : code;
            s->has_piece = true;
            s->lookup.ready = false;
        }
        if (s->comments && !source_comments_ready(s))
            return TG_AGAIN;
        code = emit_piece(s, err);
        if (code == TG_OK)
            code = finish_piece(s, err);
        if (code != TG_OK)
            return code;
    }
}
