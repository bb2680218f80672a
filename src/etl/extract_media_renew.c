/* SPDX-License-Identifier: MIT */
/*
 * extract_media_renew.c - references that have ended: the messages are asked for again
 *
 *   a get's reference has ended --> one request of its lane for up to 100 messages of the chat
 *      |                            those of other such gets, then files that still wait
 *      '--new reference-- goes on   <--'
 *
 * References of one page are told, and so end, at the same time: those that wait are renewed with
 * the first one that ends, and not asked for one by one. While an answer is awaited, the lane's
 * other gets wait for the next request.
 *
 * Comments that are read through their channel are asked for as they were read: those on the post
 * from the message on, since nobody lets this account ask the group.
 */
#include <stdlib.h>

#include "etl/extract_media_impl.h"

enum { BODY_MAX = 4096 };

struct media_renewal {
    struct extract_lane *lane;
    int64_t chat_id;
    int32_t id[TG_MESSAGES_ASKED]; /* asked for: what the answer lacks is not there any more */
    size_t n;
    uint64_t number; /* of the call; 0: none is under way */
};

static bool is_asked(const struct media_renewal *n, int64_t id)
{
    for (size_t i = 0; i < n->n; i++)
        if (n->id[i] == id)
            return true;
    return false;
}

static void add(struct media_renewal *n, const struct tg_row *row)
{
    if (n->n < TG_MESSAGES_ASKED && row->chat_id == n->chat_id && !is_asked(n, row->id))
        n->id[n->n++] = (int32_t)row->id;
}

static bool is_stale(const struct media_renewal *n, const struct media_get *g)
{
    return g->lane == n->lane && g->stale && !g->ended &&
           media_row_of(g->held, g->at)->chat_id == n->chat_id;
}

/* ---- what came ---- */

/* What was asked for in vain ends with the reason. */
static void refused(struct media_renewal *n, const struct tg_error *err, bool of_account)
{
    for (struct media_get *g = n->lane->run->media->gets; g; g = g->next) {
        if (!is_stale(n, g) || !is_asked(n, media_row_of(g->held, g->at)->id))
            continue;
        if (of_account)
            g->trouble = OF_ACCOUNT;
        media_get_failed(g, err);
    }
}

static void renew_gets(struct media_renewal *n, const struct tg_batch *answer)
{
    for (struct media_get *g = n->lane->run->media->gets; g; g = g->next) {
        int64_t id = g->lane ? media_row_of(g->held, g->at)->id : 0;
        const struct tg_row_file *file;
        struct tg_error err;

        if (!is_stale(n, g))
            continue;
        file = tg_message_file(answer, id);
        if (!file && !is_asked(n, id))
            continue; /* with the next request */
        g->stale = false;
        if (tg_download_refreshed(g->download, file, &err) != TG_OK)
            media_get_failed(g, &err);
    }
}

/* Files that are not begun have their places in batches. */
static void renew_held(struct media_renewal *n, const struct tg_batch *answer)
{
    for (struct extract_held *h = n->lane->held; h; h = h->next) {
        for (size_t i = h->first; i < h->batch->n_files; i++) {
            struct tg_row_file *is = media_file_of(h, i);
            const struct tg_row_file *file;
            struct tg_str reference;

            if (h->state[i] == FILE_DONE || media_row_of(h, i)->chat_id != n->chat_id)
                continue;
            file = tg_message_file(answer, media_row_of(h, i)->id);
            if (!file || file->id != is->id || file->photo != is->photo)
                continue;
            reference = tg_batch_text(h->batch, file->reference.at, file->reference.len);
            if (reference.at)
                is->reference = reference;
        }
    }
}

static void on_messages(void *ctx, const struct tgc_reply *reply)
{
    struct media_renewal *n = ctx;
    struct extract_run *r = n->lane->run;
    struct tgc *client = tg_net_client(n->lane->account->account->net);
    struct tg_error err;

    n->number = 0;
    if (reply->code != TG_OK) {
        refused(n, reply->err, !reply->rpc_code);
    } else if (tg_message_files_read(client, reply, r->media->answer, &err) != TG_OK) {
        refused(n, &err, false);
    } else {
        renew_gets(n, r->media->answer);
        renew_held(n, r->media->answer);
    }
}

/* ---- what is asked ---- */

/* @return a get of the lane whose reference has ended; NULL */
static const struct media_get *stale_get(const struct extract_lane *lane)
{
    for (const struct media_get *g = lane->run->media->gets; g; g = g->next)
        if (g->lane == lane && g->stale && !g->ended)
            return g;
    return NULL;
}

static void gather(struct media_renewal *n, const struct media_get *first)
{
    const struct extract_lane *lane = n->lane;

    n->chat_id = media_row_of(first->held, first->at)->chat_id;
    n->n = 0;
    add(n, media_row_of(first->held, first->at));
    if (lane->task->through)
        return;
    for (const struct media_get *g = lane->run->media->gets; g; g = g->next)
        if (is_stale(n, g))
            add(n, media_row_of(g->held, g->at));
    for (const struct extract_held *h = lane->held; h; h = h->next)
        for (size_t i = h->first; i < h->batch->n_files; i++)
            if (h->state[i] == FILE_WANTED)
                add(n, media_row_of(h, i));
}

static const char *write_ask(const struct media_renewal *n, const struct media_get *first,
                             struct tgc *client, struct tg_buf *out)
{
    const struct tg_row *row = media_row_of(first->held, first->at);

    if (n->lane->task->through)
        return tg_comments_ask(client, n->lane->task->channel, (int32_t)row->comment_of_id,
                               n->id[0], out);
    return tg_messages_ask(client, n->chat_id, n->id, n->n, out);
}

static void ask(struct media_renewal *n, const struct media_get *first, int64_t now_us)
{
    struct tgc *client = tg_net_client(n->lane->account->account->net);
    struct tgc_request how = { .done = on_messages, .ctx = n };
    struct tg_error err;
    struct tg_buf body;
    uint64_t number;

    tg_buf_init(&body, BODY_MAX);
    how.method = write_ask(n, first, client, &body);
    how.body = body.data;
    how.len = body.len;
    n->number = 1; /* the answer may come at once */
    number = how.method && !body.failed ? tgc_call(client, &how, now_us) : 0;
    if (!how.method)
        tg_fail(&err, TG_NOT_FOUND, "this account cannot ask for the message again");
    else
        tg_fail(&err, TG_NOMEM, "no memory to fetch a file");
    tg_buf_done(&body);
    if (!number) {
        n->number = 0;
        refused(n, &err, false);
    } else if (n->number) {
        n->number = number;
    }
}

void media_renew(struct extract_lane *lane, int64_t now_us)
{
    const struct media_get *first = stale_get(lane);

    if (!first || (lane->renewal && lane->renewal->number))
        return;
    if (!lane->renewal)
        lane->renewal = calloc(1, sizeof *lane->renewal);
    if (!lane->renewal) {
        extract_no_memory(lane->run);
        return;
    }
    lane->renewal->lane = lane;
    gather(lane->renewal, first);
    ask(lane->renewal, first, now_us);
}

void media_renew_drop(struct extract_lane *lane)
{
    if (lane->renewal && lane->renewal->number)
        tgc_cancel(tg_net_client(lane->account->account->net), lane->renewal->number);
    free(lane->renewal);
    lane->renewal = NULL;
}
