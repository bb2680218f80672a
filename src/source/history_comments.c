/* SPDX-License-Identifier: MIT */
/*
 * history_comments.c - tells of each message of a discussion group which post it is a comment on
 *
 * A piece of the plan is looked through before its rows are made: roots are noted, and threads that
 * began before what was read in this run are asked for, a hundred in one request. A group that is
 * read from its beginning asks for none.
 */
#include "source/history_impl.h"

/* The messages of the piece that become rows, oldest first. @return NULL behind the last */
static const struct source_entry *entry_at(const struct tg_history_source *s, size_t *i)
{
    const struct source_page *page = s->piece.page;

    while (page && *i < page->n) {
        const struct source_entry *e = &page->entry[page->n - 1 - (*i)++];

        if (e->part >= 0 && e->id >= s->piece.from && e->id <= s->piece.to)
            return e;
    }
    return NULL;
}

static const struct tg_page *page_of(const struct tg_history_source *s,
                                     const struct source_entry *e)
{
    return ((const struct source_page *)s->piece.page)->part[e->part].page;
}

static bool note_roots(struct tg_history_source *s)
{
    const struct source_entry *e;

    for (size_t i = 0; (e = entry_at(s, &i));)
        if (!tg_comments_note(&s->threads, e->id, tg_page_post(page_of(s, e), (size_t)e->at)))
            return false;
    return true;
}

static bool is_listed(const struct source_lookup *l, int32_t id)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->id[i] == id)
            return true;
    return false;
}

/* Lists the threads of the piece that must be asked for, as many as go into one request. */
static void list_unknown(struct tg_history_source *s)
{
    struct source_lookup *l = &s->lookup;
    const struct source_entry *e;
    struct tg_post post;

    l->n = 0;
    for (size_t i = 0; l->n < TG_PAGE_LIMIT && (e = entry_at(s, &i));) {
        int32_t thread = tg_page_thread(page_of(s, e), (size_t)e->at);

        if (tg_comments_find(&s->threads, thread, &post) == TG_AGAIN && !is_listed(l, thread))
            l->id[l->n++] = thread;
    }
}

/* What is not told, or cannot be decoded, tells of no post. */
static bool learn(struct tg_history_source *s, const struct tg_page *page, size_t n)
{
    const struct source_lookup *l = &s->lookup;
    bool kept = true;

    for (size_t i = 0; i < l->n; i++)
        kept &= tg_comments_learn(&s->threads, l->id[i], (struct tg_post){ 0 });
    for (size_t i = 0; i < n; i++)
        if (is_listed(l, tg_page_ids(page)[i]))
            kept &= tg_comments_learn(&s->threads, tg_page_ids(page)[i], tg_page_post(page, i));
    return kept;
}

static void on_roots(void *ctx, const struct tgc_reply *reply)
{
    struct tg_history_source *s = ctx;
    struct tg_page *page = NULL;
    struct tg_page_info info;
    struct tg_error err;

    s->lookup.busy = false;
    s->now_us = reply->now_us;
    if (reply->code != TG_OK)
        source_fail(s, reply->err);
    else if (!(page = source_pool_get(s)))
        source_no_memory(s);
    else if (tg_page_open(page, tgc_schema(s->options.client), reply->body, reply->len, &info,
                          &err) != TG_OK)
        source_fail(s, &err);
    else if (!learn(s, page, info.n))
        source_no_memory(s);
    source_pool_put(s, page);
}

bool source_comments_ready(struct tg_history_source *s)
{
    if (s->lookup.ready || s->lookup.busy)
        return s->lookup.ready;
    if (!note_roots(s)) {
        source_no_memory(s);
        return false;
    }
    list_unknown(s);
    s->lookup.ready = s->lookup.n == 0;
    if (!s->lookup.ready)
        s->lookup.busy = source_ask_ids(s, s->lookup.id, s->lookup.n, on_roots, s, &s->lookup.call);
    return s->lookup.ready;
}

void source_comments_row(const struct tg_history_source *s, const struct tg_page *page, size_t at,
                         struct tg_row *row)
{
    struct tg_post post = s->options.through
                              ? (struct tg_post){ s->options.through, (int32_t)s->by_post.post }
                              : tg_page_post(page, at);

    if (!post.chat && tg_comments_find(&s->threads, tg_page_thread(page, at), &post) != TG_OK)
        return;
    TG_ROW_SET(row, comment_of_chat_id, post.chat);
    TG_ROW_SET(row, comment_of_id, post.id);
}
