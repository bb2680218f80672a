/* SPDX-License-Identifier: MIT */
/*
 * history_pages.c - requests of the plan out, replies back as pages; salvage of undecodable ones
 */
#include <assert.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "source/history_impl.h"
#include "tl/reader.h"

struct tg_page *source_pool_get(struct tg_history_source *s)
{
    return s->n_pool ? s->pool[--s->n_pool] : tg_page_new();
}

void source_pool_put(struct tg_history_source *s, struct tg_page *page)
{
    if (page && s->n_pool < SOURCE_POOL_MAX)
        s->pool[s->n_pool++] = page;
    else
        tg_page_free(page);
}

void source_page_free(struct tg_history_source *s, struct source_page *page)
{
    if (!page)
        return;
    for (size_t i = 0; i < page->n_parts; i++) {
        source_pool_put(s, page->part[i].page);
        free(page->part[i].buffer);
    }
    free(page->part);
    free(page);
}

/* Takes the reply's bytes over (or copies them) and opens them. @return false out of memory */
static bool open_part(struct tg_history_source *s, const struct tgc_reply *reply,
                      struct source_part *ret, struct tg_page_info *info, struct tg_error *err)
{
    const uint8_t *body = reply->body;
    struct source_part part = { .page = source_pool_get(s), .bytes = reply->len };

    part.buffer = reply->pooled ? tgc_keep(s->options.client) : NULL;
    if (!part.buffer) {
        part.buffer = malloc(reply->len ? reply->len : 1);
        if (part.buffer)
            body = memcpy(part.buffer, reply->body, reply->len);
    }
    if (!part.page || !part.buffer) {
        source_part_drop(s, &part);
        tg_fail(err, TG_NOMEM, "no memory for a page");
        return false;
    }
    if (tg_page_open(part.page, tgc_schema(s->options.client), body, reply->len, info, err) !=
        TG_OK) {
        source_part_drop(s, &part);
        return false;
    }
    part.body = body;
    *ret = part;
    return true;
}

bool source_page_add(struct source_page *page, const struct source_part *part)
{
    struct source_part *more = realloc(page->part, (page->n_parts + 1) * sizeof *more);

    if (!more)
        return false;
    page->part = more;
    page->part[page->n_parts++] = *part;
    return true;
}

void source_part_drop(struct tg_history_source *s, struct source_part *part)
{
    source_pool_put(s, part->page);
    free(part->buffer);
    *part = (struct source_part){ 0 };
}

void source_page_entry(struct source_page *page, int32_t id, int part, int at)
{
    if (page->n == TG_COUNT(page->entry))
        return;
    page->entry[page->n].id = id;
    page->entry[page->n].part = (int16_t)part;
    page->entry[page->n].at = (int16_t)at;
    page->n++;
}

void source_page_turn(struct source_page *page)
{
    for (size_t i = 0, k = page->n; i + 1 < k; i++) {
        struct source_entry swap = page->entry[i];

        page->entry[i] = page->entry[--k];
        page->entry[k] = swap;
    }
}

static void note_reply(struct source_page *page, const struct tgc_reply *reply)
{
    page->n_floods += reply->n_floods;
    page->flood_wait_s += reply->flood_wait_s;
    if (!page->sent_us)
        page->sent_us = reply->first_sent_us;
}

/* Gives the finished page to the plan. */
static void deliver(struct tg_history_source *s, struct source_request *r, struct source_page *page)
{
    int32_t id[2 * TG_PAGE_LIMIT];
    struct tg_history_reply reply = {
        .tag = r->plan.tag,
        .id = id,
        .n = page->n,
        .contiguous = r->salvaging || r->proved, /* its pieces were full, or the end was met */
        .page = page,
    };
    struct tg_error err;

    for (size_t i = 0; i < page->n; i++)
        id[i] = page->entry[i].id;
    r->busy = r->salvaging = false;
    r->page = NULL;
    s->n_out--;
    if (tg_history_reply(s->plan, &reply, &err) != TG_OK) {
        source_page_free(s, page);
        source_fail(s, &err);
    }
}

static void learn_peer(void *ctx, const struct tg_peer *peer)
{
    tg_peers_put(ctx, peer);
}

static uint64_t mark_of(const uint8_t *bytes, size_t len)
{
    uint8_t hash[TG_SHA256];

    tg_sha256(hash, bytes, len);
    return tg_le64(hash);
}

void source_quarantine(struct tg_history_source *s, int32_t id, const char *reason,
                       const uint8_t *bytes, size_t len)
{
    if (!id && !tg_marks_add(&s->known_bad, mark_of(bytes, len)))
        return; /* the same user comes with each page of what it wrote */
    s->state.n_bad++;
    s->options.io.bad(s->options.io.ctx,
                      s->n_segments ? s->segment_chat[s->segment] : s->options.chat_id, id, reason,
                      bytes, len);
}

/* Users and chats that are unknown to the schema: the messages are whole, those names missing. */
static void note_bad_peers(struct tg_history_source *s, const struct source_part *part,
                           const struct tg_page_info *info)
{
    static const char reason[] = "an unknown object among users or chats";
    const uint8_t *bytes;
    size_t len;

    for (size_t i = 0; tg_page_bad(part->page, i, &bytes, &len); i++)
        source_quarantine(s, 0, reason, bytes, len);
    if (info->n_bad == 0)
        source_quarantine(s, 0, reason, part->body + info->fault_at, info->fault_len);
}

int32_t source_id_of(const struct tg_history_source *s, const uint8_t *bytes, size_t len)
{
    struct tl_reader r = tl_reader_of(bytes, len);
    const struct tl_schema *schema = tgc_schema(s->options.client);
    const struct tl_ctor *ctor = tl_ctor_by_id(schema, tl_read_u32(&r));

    if (r.bad || !ctor)
        return 0;
    for (int i = 0; i < ctor->n_fields; i++) {
        const struct tl_field *field = tl_ctor_fields(schema, ctor) + i;

        if (field->kind == TL_KIND_TRUE)
            continue;
        if (field->name == TLN_id)
            return tl_read_i32(&r);
        if (field->kind != TL_KIND_FLAGS)
            return 0;
        tl_read_u32(&r);
    }
    return 0;
}

static void ask_salvage(struct tg_history_source *s, struct source_request *r)
{
    struct tg_history_request q;

    if (tg_salvage_next(&r->salvage, &q) == TG_END) {
        source_page_turn(r->page);
        deliver(s, r, r->page);
        return;
    }
    if (!source_ask(s, &q, 0, source_on_page, r, &r->call))
        r->busy = false;
}

static void start_salvage(struct tg_history_source *s, struct source_request *r)
{
    r->salvaging = true;
    tg_salvage_start(&r->salvage, &r->plan, s->high);
    r->page = calloc(1, sizeof *r->page);
    if (!r->page) {
        source_no_memory(s);
        return;
    }
    ask_salvage(s, r);
}

static void on_salvage(struct tg_history_source *s, struct source_request *r,
                       struct source_part *part, const struct tg_page_info *info)
{
    int wanted;

    if (info->fault == TG_PAGE_BAD_MESSAGE) {
        const uint8_t *bytes = part->body + info->fault_at;

        if (tg_salvage_bad(&r->salvage)) {
            int32_t id = source_id_of(s, bytes, info->fault_len);

            if (tg_salvage_aside(&r->salvage, id, mark_of(bytes, info->fault_len)))
                source_quarantine(s, id, "a message with an unknown constructor", bytes,
                                  info->fault_len);
            if (id)
                source_page_entry(r->page, id, -1, 0);
        }
        source_part_drop(s, part);
        ask_salvage(s, r);
        return;
    }
    wanted = tg_salvage_piece(&r->salvage, tg_page_ids(part->page), info->n);
    if (wanted > 0 && source_page_add(r->page, part)) {
        for (int i = 0; i < wanted; i++) {
            int at = (int)info->n - 1 - i;

            source_page_entry(r->page, tg_page_ids(part->page)[at], (int)r->page->n_parts - 1, at);
        }
    } else {
        source_part_drop(s, part);
        if (wanted > 0) {
            source_no_memory(s);
            return;
        }
    }
    ask_salvage(s, r);
}

static void on_whole_page(struct tg_history_source *s, struct source_request *r,
                          const struct tgc_reply *reply, struct source_part *part,
                          const struct tg_page_info *info)
{
    struct source_page *page = calloc(1, sizeof *page);

    if (!page || !source_page_add(page, part)) {
        free(page);
        source_part_drop(s, part);
        source_no_memory(s);
        return;
    }
    note_reply(page, reply);
    r->proved = source_threads_count(s, part->page, info);
    for (size_t i = 0; i < info->n; i++)
        source_page_entry(page, tg_page_ids(part->page)[i], 0, (int)i);
    deliver(s, r, page);
}

void source_page_came(struct tg_history_source *s, struct source_request *r,
                      const struct tgc_reply *reply, struct source_part *part,
                      const struct tg_page_info *info)
{
    if (r->page)
        note_reply(r->page, reply);
    if (s->bot) {
        source_bot_reply(s, r, part, info);
    } else if (r->salvaging) {
        on_salvage(s, r, part, info);
    } else if (info->fault == TG_PAGE_BAD_MESSAGE) {
        source_part_drop(s, part);
        start_salvage(s, r);
    } else {
        on_whole_page(s, r, reply, part, info);
    }
}

void source_on_page(void *ctx, const struct tgc_reply *reply)
{
    struct source_request *r = ctx;
    struct tg_history_source *s = r->source;
    struct source_part part;
    struct tg_page_info info;
    struct tg_error err;

    s->now_us = reply->now_us;
    if (reply->code != TG_OK) {
        r->busy = false;
        if (!source_threads_early(s, r, reply, NULL, NULL) && !source_threads_gone(s, reply))
            source_fail(s, reply->err);
        return;
    }
    if (!open_part(s, reply, &part, &info, &err)) {
        r->busy = false;
        source_fail(s, &err);
        return;
    }
    if (info.fault == TG_PAGE_BAD_PEER)
        note_bad_peers(s, &part, &info);
    tg_page_peers(part.page, learn_peer, &tgc_session(s->options.client)->peers);
    if (!source_threads_early(s, r, reply, &part, &info))
        source_page_came(s, r, reply, &part, &info);
}

static bool send_page(struct tg_history_source *s, struct source_request *r)
{
    if (!s->bot)
        return source_ask(s, &r->plan, 0, source_on_page, r, &r->call);
    r->page = calloc(1, sizeof *r->page);
    if (r->page)
        return source_bot_ask(s, r);
    source_no_memory(s);
    return false;
}

static bool may_ask(const struct tg_history_source *s)
{
    const struct tg_source_io *io = &s->options.io;

    return s->n_out < SOURCE_REQUEST_MAX && !s->by_post.over &&
           (!io->may_ask || io->may_ask(io->ctx));
}

struct source_request *source_free_request(struct tg_history_source *s)
{
    struct source_request *r = s->request;

    while (r->busy || r->ahead.state != AHEAD_NONE)
        r++;
    return r;
}

void source_send_pages(struct tg_history_source *s)
{
    struct tg_history_request plan;

    while (s->step == STEP_PAGES && may_ask(s)) {
        struct source_request *r;

        if ((s->bot ? source_bot_next(s, &plan) : tg_history_next(s->plan, &plan)) != TG_OK)
            break;
        if (source_threads_adopt(s, &plan))
            continue;
        r = source_free_request(s);
        r->source = s;
        r->plan = r->part = plan;
        r->proved = false;
        r->busy = true;
        s->n_out++;
        if (!send_page(s, r))
            r->busy = false;
    }
    if (s->options.through && s->step == STEP_PAGES)
        source_threads_ahead(s);
}

void source_cancel_pages(struct tg_history_source *s, bool all)
{
    s->n_out = 0;
    for (size_t i = 0; i < SOURCE_REQUEST_MAX; i++) {
        struct source_request *r = &s->request[i];

        if (r->ahead.state != AHEAD_NONE && !all) {
            s->n_out += r->busy;
            continue;
        }
        if (r->busy)
            tgc_cancel(s->options.client, r->call);
        if (r->ahead.state == AHEAD_HERE)
            source_part_drop(s, &r->ahead.part);
        source_page_free(s, r->page);
        *r = (struct source_request){ 0 };
    }
}
