/* SPDX-License-Identifier: MIT */
/*
 * history_threads.c - comments read through their channel, post by post
 *
 *   channel:  post 7 | post 8 | post 9 | ...      a source of its own reads these
 *               |                 |
 *   group:    comments          comments          messages.getReplies, oldest first
 *
 * For groups that the account cannot read: the comments can be read by whoever reads the channel.
 * Posts without comments cost no request. A thread is one plan (telegram/history.h) without an
 * upper end: it is over when as many comments came as the server counts, which takes no request
 * more than their pages; where the count does not fit, when the plan has proved it. Threads are
 * read one after the other, while the first pages of the next ones are on their way: most have no
 * second.
 *
 * Which posts have comments is known where the channel was read just before; what of it was not,
 * since it is another run, or a range of it, is read again here.
 *
 * Where reading stands is a pair, which is why it goes on behind the last comment that was
 * committed. Rows of a thread ascend; those of the group as a whole do not.
 *
 *   cursor:  post << 32 | last comment read of it; 2^31 - 1: all of it
 *
 * Limits: 200 posts ahead
 */
#include <assert.h>
#include <stdlib.h>

#include "source/history_impl.h"

enum { POSTS_AHEAD = 200, POSTS_IN_FLIGHT = 2, AHEAD_MAX = 32, ALL_OF_IT = INT32_MAX };

int64_t source_place(const struct tg_history_source *s)
{
    const struct source_threads *t = &s->by_post;

    if (!s->options.through)
        return s->covered;
    if (t->post)
        return TG_THREAD_CURSOR(t->post, s->covered);
    return t->done ? TG_THREAD_CURSOR(t->done, ALL_OF_IT) : 0;
}

void source_threads_begin(struct tg_history_source *s)
{
    struct source_threads *t = &s->by_post;
    int64_t id = s->options.resume.id, limit = s->options.settings->limit;
    struct tg_error err;

    if (s->bot) {
        tg_fail(&err, TG_UNSUPPORTED, "a bot cannot ask for the comments on a post");
        tg_hint(&err, "make it a member of the discussion group, or log in as a person");
        source_fail(s, &err);
        return;
    }
    s->n_segments = 1;
    s->segment_chat[0] = s->options.chat_id;
    s->told = id;
    if ((id & INT32_MAX) == ALL_OF_IT) {
        t->done = id >> 32;
    } else if (id) {
        t->post = id >> 32;
        t->done = t->post - 1;
        t->last = s->covered = id & INT32_MAX;
    }
    s->enough = limit && s->rows_total >= (uint64_t)limit;
    s->step = STEP_NEXT;
}

/* ---- the channel's posts ---- */

static struct tg_batch *lend_batch(void *ctx)
{
    struct source_threads *t = &((struct tg_history_source *)ctx)->by_post;

    if (t->lent || t->held)
        return NULL;
    if (!t->batch)
        t->batch = tg_batch_new(POSTS_AHEAD);
    t->lent = t->batch != NULL;
    return t->batch;
}

static void on_posts(void *ctx, struct tg_batch *batch)
{
    struct source_threads *t = &((struct tg_history_source *)ctx)->by_post;

    assert(batch == t->batch);
    t->lent = false;
    t->held = true;
    t->next = 0;
}

static void on_unused(void *ctx, struct tg_batch *batch)
{
    (void)batch;
    ((struct tg_history_source *)ctx)->by_post.lent = false;
}

static void on_bad_post(void *ctx, int64_t chat_id, int64_t id, const char *reason,
                        const void *bytes, size_t len)
{
    const struct tg_source_io *io = &((struct tg_history_source *)ctx)->options.io;

    io->bad(io->ctx, chat_id, id, reason, bytes, len);
}

static void no_word(void *ctx, const char *line)
{
    (void)ctx;
    (void)line; /* it was said when the channel itself was read */
}

static void on_posts_done(void *ctx, const struct tg_error *err)
{
    struct tg_history_source *s = ctx;

    s->by_post.ended = true;
    if (err)
        source_fail(s, err);
}

static bool may_ask(void *ctx)
{
    const struct tg_source_io *io = &((const struct tg_history_source *)ctx)->options.io;

    return !io->may_ask || io->may_ask(io->ctx);
}

static bool start_posts(struct tg_history_source *s)
{
    struct source_threads *t = &s->by_post;
    struct tg_source_options options = {
        .client = s->options.client,
        .settings = &t->settings,
        .io = { .ctx = s, .batch = lend_batch, .put = on_posts, .give_back = on_unused,
                .bad = on_bad_post, .warn = no_word, .done = on_posts_done, .may_ask = may_ask },
        .chat_id = s->options.through,
        .resume = { .chat_id = s->options.through, .id = t->done },
        .urgent = s->options.urgent,
    };

    t->settings = *s->options.settings;
    t->settings.since = t->settings.limit = 0; /* of the comments; none is older than its post */
    t->settings.min_id = t->settings.max_id = 0;
    t->settings.include_replies = t->settings.raw = false;
    t->settings.media = NULL;
    t->settings.in_flight = POSTS_IN_FLIGHT;
    t->posts = tg_source_start(&options, s->now_us);
    if (!t->posts)
        source_no_memory(s);
    return t->posts != NULL;
}

static bool knows_posts(const struct tg_history_source *s)
{
    const struct source_threads *t = &s->by_post;

    return !t->posts && s->options.posts.to && s->options.posts.from <= t->done + 1;
}

/* From the posts that are known. */
static bool next_known(struct tg_history_source *s)
{
    const struct tg_source_posts *known = &s->options.posts;
    struct source_threads *t = &s->by_post;

    while (t->next < known->n && known->id[t->next] <= t->done)
        t->next++;
    if (t->next < known->n) {
        t->post = known->id[t->next];
        return true;
    }
    t->done = TG_MAX(t->done, known->to);
    s->step = STEP_TAIL;
    return false;
}

/* @return whether there is one; if not, it is awaited, or there is none left, or reading failed */
static bool next_post(struct tg_history_source *s)
{
    struct source_threads *t = &s->by_post;
    struct tg_source_state state;

    if (knows_posts(s))
        return next_known(s);
    for (;;) {
        while (t->held && t->next < t->batch->n) {
            const struct tg_row *row = &t->batch->row[t->next++];

            if (row->replies > 0) {
                t->post = row->id;
                return true;
            }
            t->done = row->id;
        }
        if (t->held)
            tg_batch_clear(t->batch);
        t->held = false;
        if (t->ended) {
            tg_source_state(t->posts, &state);
            t->done = TG_MAX(t->done, state.covered);
            s->step = STEP_TAIL;
            return false;
        }
        if (!t->posts && !start_posts(s))
            return false;
        tg_source_step(t->posts, s->now_us);
        if (s->step == STEP_DONE || (!t->held && !t->ended))
            return false;
    }
}

void source_threads_next(struct tg_history_source *s)
{
    struct source_threads *t = &s->by_post;

    if (s->enough) {
        s->step = STEP_TAIL;
        return;
    }
    if (t->begun) {
        t->done = t->post;
        t->post = t->last = 0;
        t->begun = false;
    }
    if (t->post || next_post(s))
        s->step = STEP_PAGES;
}

void source_threads_done(struct tg_history_source *s)
{
    tg_source_free(s->by_post.posts);
    tg_batch_free(s->by_post.batch);
    s->by_post.posts = NULL;
    s->by_post.batch = NULL;
}

/* ---- one post's comments ---- */

void source_threads_plan(struct tg_history_source *s)
{
    struct source_threads *t = &s->by_post;

    t->begun = true;
    t->whole = t->last == 0;
    t->n_fetched = 0;
    t->over = false;
    t->top = 0;
    s->low = s->covered = t->last;
    s->high = INT32_MAX - 1;
    s->planned = true;
    if (s->low >= s->high)
        return; /* a run was stopped between this thread and the next */
    s->plan = tg_history_new(&(struct tg_history_options){ .low = s->low,
                                                           .high = s->high,
                                                           .lanes = 1,
                                                           .density_permille = 1000,
                                                           .ahead_max = 1 });
    if (!s->plan)
        source_no_memory(s);
}

bool source_threads_count(struct tg_history_source *s, const struct tg_page *page,
                          const struct tg_page_info *info)
{
    struct source_threads *t = &s->by_post;

    if (!s->options.through)
        return false;
    t->n_fetched += info->n;
    if (info->n)
        t->top = TG_MAX(t->top, (int64_t)tg_page_ids(page)[0]);
    t->over = t->whole && info->total >= 0 && t->n_fetched == (uint64_t)info->total;
    return t->over;
}

bool source_threads_over(const struct tg_history_source *s)
{
    return s->options.through && s->by_post.over && s->covered >= s->by_post.top;
}

static bool is_gone(const struct tgc_reply *reply)
{
    return strcmp(reply->rpc_text, "MSG_ID_INVALID") == 0;
}

static void end_thread(struct tg_history_source *s)
{
    s->by_post.over = true;
    s->by_post.top = s->covered;
}

bool source_threads_gone(struct tg_history_source *s, const struct tgc_reply *reply)
{
    if (!s->options.through || !is_gone(reply))
        return false;
    end_thread(s);
    s->n_out--;
    return true;
}

/* ---- ahead ---- */

/* @return the n-th post with comments behind the one at work, from 0; 0: it is not known yet */
static int64_t post_behind(const struct tg_history_source *s, size_t n)
{
    const struct tg_source_posts *known = &s->options.posts;
    const struct source_threads *t = &s->by_post;

    if (knows_posts(s)) {
        size_t i = t->next;

        while (i < known->n && known->id[i] <= t->post)
            i++;
        return n < known->n - i ? known->id[i + n] : 0;
    }
    for (size_t i = t->next; t->held && i < t->batch->n; i++)
        if (t->batch->row[i].replies > 0 && n-- == 0)
            return t->batch->row[i].id;
    return 0;
}

static struct source_request *find_ahead(struct tg_history_source *s, int64_t post)
{
    for (size_t i = 0; i < SOURCE_REQUEST_MAX; i++)
        if (s->request[i].ahead.state != AHEAD_NONE && s->request[i].ahead.post == post)
            return &s->request[i];
    return NULL;
}

void source_threads_ahead(struct tg_history_source *s)
{
    static const struct tg_history_request first = { .offset_id = 1,
                                                     .add_offset = -TG_PAGE_LIMIT,
                                                     .limit = TG_PAGE_LIMIT };
    size_t most = (size_t)TG_MIN(s->options.settings->in_flight - 1, (int64_t)AHEAD_MAX);

    for (size_t i = 0; i < most && s->step == STEP_PAGES && may_ask(s); i++) {
        int64_t post = post_behind(s, i);
        struct source_request *r;

        if (!post)
            return;
        if (find_ahead(s, post))
            continue;
        r = source_free_request(s);
        *r = (struct source_request){ .source = s,
                                      .ahead = { .state = AHEAD_ASKED, .post = post } };
        s->by_post.ask = post;
        r->busy = source_ask(s, &first, 0, source_on_page, r, &r->call);
        s->by_post.ask = 0;
        s->n_out += r->busy;
        if (!r->busy)
            r->ahead.state = AHEAD_NONE;
    }
}

bool source_threads_early(struct tg_history_source *s, struct source_request *r,
                          const struct tgc_reply *reply, const struct source_part *part,
                          const struct tg_page_info *info)
{
    if (r->ahead.state != AHEAD_ASKED || (!part && !is_gone(reply)))
        return false;
    r->busy = false;
    s->n_out--;
    r->ahead.state = part ? AHEAD_HERE : AHEAD_GONE;
    if (part) {
        r->ahead.part = *part;
        r->ahead.info = *info;
        r->ahead.reply = *reply;
        r->ahead.reply.body = NULL;
    }
    return true;
}

bool source_threads_adopt(struct tg_history_source *s, const struct tg_history_request *plan)
{
    bool first = s->options.through && plan->offset_id == 1 && plan->min_id == 0;
    struct source_request *r = first ? find_ahead(s, s->by_post.post) : NULL;
    enum source_ahead_state state = r ? r->ahead.state : AHEAD_NONE;

    if (!r)
        return false;
    r->ahead.state = AHEAD_NONE;
    r->plan = r->part = *plan;
    if (state == AHEAD_GONE)
        end_thread(s);
    if (state != AHEAD_HERE)
        return true;
    r->busy = true;
    s->n_out++;
    source_page_came(s, r, &r->ahead.reply, &r->ahead.part, &r->ahead.info);
    return true;
}
