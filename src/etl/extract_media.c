/* SPDX-License-Identifier: MIT */
/*
 * extract_media.c - the files of rows: fetched side by side, and each batch held until its own are
 *                   there
 *
 *   lane:  source --batch--> held, in order --all files there--> pipeline
 *   file:  WANTED -> GOING (a get) -> DONE: the row tells where it is, or why it cannot be had
 *   get:   is it here? (disk thread) -> parts (the lane's account) -> written -> under its name
 *
 * What keeps an account from the server fails the lane, as it does when pages are read: the chat is
 * gone on with later, and files that are here are not fetched again. What is wrong with one file is
 * told in its row. The disk's trouble ends the run.
 *
 * Held batches are out of the pipeline's credit, so nothing more is read than that allows.
 *
 * Threads: the loop's
 * Limits:  settings: media_parts of 1 MiB on their way for each account, and as many files at once,
 *          of each of which two parts wait for the disk
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/extract_media_impl.h"
#include "telegram/cdn.h"

enum { PARTS_OF_FILE = 8, UNWRITTEN_MAX = 2, BODY_MAX = 16 << 10 };

/* ---- a row's file is done ---- */

static void mark_done(struct extract_held *h, size_t at)
{
    h->state[at] = FILE_DONE;
    h->n_left--;
}

static void tell_missing(struct extract_run *r, struct extract_held *h, size_t at,
                         const struct tg_error *why)
{
    struct tg_str text = tg_batch_text(h->batch, why->message, strlen(why->message));

    if (!text.at) {
        extract_no_memory(r); /* and the batch is never handed on */
        return;
    }
    TG_ROW_SET(media_row_of(h, at), media_error, text);
    r->result->media_missing++;
    mark_done(h, at);
}

static void tell_file(struct extract_run *r, struct extract_held *h, size_t at,
                      const struct tg_media_file *f)
{
    char path[TG_MEDIA_PATH], hex[2 * TG_SHA256 + 1];
    struct tg_str is, sha;

    tg_media_path(f, path);
    tg_hex(hex, f->sha256, TG_SHA256);
    is = tg_batch_text(h->batch, path, strlen(path));
    sha = tg_batch_text(h->batch, hex, 2 * TG_SHA256);
    if (!is.at || !sha.at) {
        extract_no_memory(r);
        return;
    }
    TG_ROW_SET(media_row_of(h, at), media_path, is);
    TG_ROW_SET(media_row_of(h, at), media_sha256, sha);
    mark_done(h, at);
}

/* Batches whose files are all there go on, in order. */
static void flush(struct extract_lane *lane)
{
    while (lane->held && !lane->held->n_left) {
        struct extract_held *h = lane->held;

        lane->held = h->next;
        tg_pipeline_put(lane->run->pipeline, h->batch);
        free(h);
    }
}

/* ---- batches ---- */

void extract_media_put(struct extract_lane *lane, struct tg_batch *batch)
{
    struct extract_media *m = lane->run->media;
    struct extract_held *h, **last = &lane->held;

    if (!m || (!batch->n_files && !lane->held)) {
        tg_pipeline_put(lane->run->pipeline, batch);
        return;
    }
    h = calloc(1, sizeof *h + batch->n_files);
    if (!h) {
        extract_no_memory(lane->run);
        tg_pipeline_return(lane->run->pipeline, batch);
        return;
    }
    h->batch = batch;
    h->n_left = batch->n_files;
    for (size_t i = 0; i < batch->n_files; i++) {
        struct tg_error why;

        if (batch->file[i].row >= batch->n || !tg_media_wanted(&m->want, media_row_of(h, i)))
            mark_done(h, i);
        else if (!tg_media_may(&m->want, &batch->file[i], &why))
            tell_missing(lane->run, h, i, &why);
    }
    while (*last)
        last = &(*last)->next;
    *last = h;
    flush(lane);
    extract_touch(lane->account);
}

/* ---- gets ---- */

static struct tgc *client_of(const struct media_get *g)
{
    return tg_net_client(g->account->account->net);
}

static void call_ends(struct media_call *call)
{
    struct extract_account *a = call->get->account;

    call->number = 0;
    a->n_parts--;
    a->n_on[call->on]--;
}

static void cancel_calls(struct media_get *g)
{
    for (size_t i = 0; i < MEDIA_CALLS; i++) {
        if (!g->call[i].number)
            continue;
        tgc_cancel(client_of(g), g->call[i].number);
        call_ends(&g->call[i]);
    }
}

/* Nobody waits for it any more: it goes when the disk thread has let it go. */
static void let_go(struct extract_media *m, struct media_get *g)
{
    if (!g->lane)
        return;
    cancel_calls(g);
    tg_download_free(g->download);
    g->download = NULL;
    g->account->n_gets--;
    g->lane = NULL;
    tg_media_disk_leave(m->disk, g->job);
}

void extract_media_drop(struct extract_lane *lane)
{
    struct extract_media *m = lane->run->media;

    media_renew_drop(lane);
    for (struct media_get *g = m ? m->gets : NULL; g; g = g->next)
        if (g->lane == lane)
            let_go(m, g);
    while (lane->held) {
        struct extract_held *h = lane->held;

        lane->held = h->next;
        tg_pipeline_return(lane->run->pipeline, h->batch);
        free(h);
    }
}

static bool is_going(const struct extract_media *m, const struct tg_row_file *file)
{
    for (const struct media_get *g = m->gets; g; g = g->next)
        if (g->lane && media_file_of(g->held, g->at)->id == file->id &&
            media_file_of(g->held, g->at)->photo == file->photo)
            return true;
    return false;
}

static void start(struct extract_lane *lane, struct extract_held *h, size_t at)
{
    struct extract_media *m = lane->run->media;
    struct media_get *g = calloc(1, sizeof *g);

    if (g)
        g->job = tg_media_disk_begin(m->disk, media_file_of(h, at), g);
    if (!g || !g->job) {
        free(g);
        extract_no_memory(lane->run);
        return;
    }
    g->lane = lane;
    g->account = lane->account;
    g->held = h;
    g->at = at;
    for (size_t i = 0; i < MEDIA_CALLS; i++)
        g->call[i].get = g;
    g->next = m->gets;
    m->gets = g;
    lane->account->n_gets++;
    h->state[at] = FILE_GOING;
}

/* One file may stand in many rows: while it is fetched for one, the others wait. */
static void start_lane(struct extract_lane *lane, uint32_t gets_max)
{
    for (struct extract_held *h = lane->held; h; h = h->next) {
        while (h->first < h->batch->n_files && h->state[h->first] != FILE_WANTED)
            h->first++;
        for (size_t i = h->first; i < h->batch->n_files; i++) {
            if (lane->account->n_gets >= gets_max)
                return;
            if (h->state[i] == FILE_WANTED && !is_going(lane->run->media, media_file_of(h, i)))
                start(lane, h, i);
        }
    }
}

/* ---- requests ---- */

void media_get_failed(struct media_get *g, const struct tg_error *err)
{
    if (!g->ended)
        g->err = *err;
    g->ended = true;
}

static void on_reply(void *ctx, const struct tgc_reply *reply)
{
    struct media_call *call = ctx;
    struct media_get *g = call->get;
    struct tg_error err;
    tg_code code;

    call_ends(call);
    if (reply->code != TG_OK) {
        code = reply->code;
        err = *reply->err;
        if (!reply->rpc_code && code != TG_NOT_FOUND && /* such as no address of its DC */
            call->request.ask != TG_ASK_CDN_PART)
            g->trouble = OF_ACCOUNT;
        else
            code = tg_download_refused(g->download, &call->request, reply->rpc_text, &err);
    } else {
        code = tg_download_answer(g->download, &call->request, tgc_schema(client_of(g)),
                                  reply->body, reply->len, reply->dc, &err);
    }
    g->account->part_limit = tg_download_limit(g->download);
    if (code != TG_OK)
        media_get_failed(g, &err);
}

static void no_memory_for(struct media_get *g)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory to fetch a file");
    media_get_failed(g, &err);
}

/* Of the connections to its media DC the one with the fewest parts on their way. */
static uint32_t least_busy(const struct extract_account *a)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < TGC_MEDIA_LINKS; i++)
        if (a->n_on[i] < a->n_on[best])
            best = i;
    return best;
}

static void ask(struct media_get *g, const struct tg_file_request *request, int64_t now_us)
{
    struct tgc_request how = {
        .done = on_reply,
        .dc = request->dc,
        .before_login = request->ask == TG_ASK_CDN_PART, /* a CDN knows nobody */
    };
    struct media_call *call = g->call;
    struct tg_buf body;

    while (call->number)
        call++;
    assert(call < g->call + MEDIA_CALLS);
    call->request = *request;
    call->on = least_busy(g->account);
    how.ctx = call;
    tg_buf_init(&body, BODY_MAX);
    how.method = tg_download_write(g->download, request, &body);
    if (request->ask == TG_ASK_PART)
        how.dc = tgc_media(client_of(g), request->dc, call->on);
    how.body = body.data;
    how.len = body.len;
    g->account->n_parts++;
    g->account->n_on[call->on]++;
    call->number = 1; /* the answer may come at once */
    uint64_t number = body.failed ? 0 : tgc_call(client_of(g), &how, now_us);
    tg_buf_done(&body);
    if (!number) {
        call_ends(call);
        no_memory_for(g);
    } else if (call->number) {
        call->number = number;
    }
}

/* ---- CDNs ---- */

static void on_cdns(void *ctx, const struct tg_error *err)
{
    struct extract_account *a = ctx;

    (void)err; /* files come from their own DCs then */
    a->cdns = CDNS_TOLD;
    extract_touch(a);
}

/* Asks once where CDNs and media DCs are. @return whether the next part may be asked for; if not,
 * it is of a CDN, and that must be known first */
static bool cdn_ready(struct media_get *g, int64_t now_us)
{
    struct extract_account *a = g->account;
    int32_t dc = tg_download_cdn(g->download);

    if (a->cdns == CDNS_UNKNOWN) {
        a->cdns = CDNS_ASKED;
        if (!tg_cdn_start(client_of(g), on_cdns, a, now_us))
            no_memory_for(g);
    }
    if (!dc || tgc_knows_cdn(client_of(g), dc))
        return true;
    if (a->cdns == CDNS_TOLD) {
        tg_download_no_cdn(g->download); /* nobody knows that one */
        return true;
    }
    return false;
}

/* Hands on what is here, and asks for more. */
static void pump(struct extract_media *m, struct media_get *g, uint32_t parts_max, int64_t now_us)
{
    struct tg_file_request request;
    char ext[TG_MEDIA_EXT];
    size_t n;

    while (!g->ended && g->unwritten < UNWRITTEN_MAX) {
        void *bytes = tg_download_take(g->download, &n);

        if (!bytes)
            break;
        g->unwritten++;
        if (!tg_media_disk_write(m->disk, g->job, bytes, n))
            no_memory_for(g);
    }
    while (!g->ended && g->unwritten < UNWRITTEN_MAX && /* the disk comes first */
           g->account->n_parts < parts_max && cdn_ready(g, now_us) &&
           tg_download_next(g->download, &request) == TG_OK) {
        g->stale |= request.ask == TG_ASK_REFERENCE;
        if (request.ask != TG_ASK_REFERENCE)
            ask(g, &request, now_us);
    }
    if (g->ended || g->finishing || g->unwritten || !tg_download_ended(g->download))
        return;
    g->finishing = true;
    tg_media_ext(media_row_of(g->held, g->at), ext);
    if (!tg_media_disk_finish(m->disk, g->job, ext))
        no_memory_for(g);
}

/* ---- what becomes of a get ---- */

static void begun(struct extract_run *r, struct media_get *g, int64_t done)
{
    uint32_t parts = (uint32_t)TG_MIN(r->settings->media_parts, (int64_t)PARTS_OF_FILE);
    uint32_t limit = g->account->part_limit ? g->account->part_limit : TG_PART_SIZE;

    g->download = tg_download_new(media_file_of(g->held, g->at), done, parts, limit);
    if (!g->download)
        no_memory_for(g);
}

static void found(struct extract_run *r, struct media_get *g, const struct tg_media_file *f)
{
    if (g->download) { /* else it was here already */
        r->result->media_files++;
        r->result->media_bytes += (uint64_t)f->size;
    }
    tell_file(r, g->held, g->at, f);
    flush(g->lane);
    let_go(r->media, g);
}

static void forget(struct extract_media *m, struct media_get *g)
{
    struct media_get **at = &m->gets;

    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
    free(g);
}

static void take_answers(struct extract_run *r)
{
    struct extract_media *m = r->media;
    struct tg_media_answer answer;

    while (tg_media_disk_answer(m->disk, &answer)) {
        struct media_get *g = answer.of;

        if (answer.news == TG_MEDIA_LEFT) {
            forget(m, g);
            continue;
        }
        if (answer.news == TG_MEDIA_AWAY)
            tg_account_note(r->accounts[0], TG_NOTE_WARNING, 0,
                            "files wait: %s; it is tried again", answer.err.message);
        if (!g || !g->lane)
            continue;
        extract_touch(g->account);
        if (answer.news == TG_MEDIA_BEGUN) {
            begun(r, g, answer.done);
        } else if (answer.news == TG_MEDIA_WRITTEN) {
            g->unwritten--;
        } else if (answer.news == TG_MEDIA_FAILED) {
            g->trouble = OF_DISK;
            media_get_failed(g, &answer.err);
        } else {
            found(r, g, &answer.file);
        }
    }
}

/* Whether it is the file that is wrong, and another try would not help. */
static bool is_the_file(tg_code code)
{
    return code == TG_BAD_REQUEST || code == TG_NOT_FOUND || code == TG_FORBIDDEN ||
           code == TG_PROTOCOL || code == TG_LIMIT || code == TG_UNSUPPORTED;
}

static void give_up(struct extract_run *r, struct media_get *g)
{
    struct extract_lane *lane = g->lane;
    struct tg_error why = g->err;

    if (g->trouble == OF_DISK || why.code == TG_NOMEM) {
        extract_keep_failure(r, &why, true);
    } else if (g->trouble == OF_FILE && is_the_file(why.code)) {
        tell_missing(r, g->held, g->at, &why);
        let_go(r->media, g);
        flush(lane);
    } else {
        extract_media_drop(lane);
        extract_lane_fail(lane, &why);
    }
}

void extract_media_step(struct extract_account *a, int64_t now_us)
{
    struct extract_run *r = a->run;
    uint32_t most = (uint32_t)r->settings->media_parts;

    if (!r->media)
        return;
    take_answers(r);
    for (size_t i = 0; i < r->n_lanes; i++)
        if (r->lane[i]->account == a && !r->stopping)
            start_lane(r->lane[i], most + 2);
    for (struct media_get *g = r->media->gets; g && !r->fatal; g = g->next)
        if (g->lane && g->account == a && g->download && !g->ended)
            pump(r->media, g, most, now_us);
    for (size_t i = 0; i < r->n_lanes && !r->fatal; i++)
        if (r->lane[i]->account == a)
            media_renew(r->lane[i], now_us);
    for (struct media_get *g = r->media->gets; g && !r->fatal; g = g->next)
        if (g->lane && g->account == a && g->ended)
            give_up(r, g);
}

/* ---- life ---- */

tg_code extract_media_open(struct extract_run *r, struct tg_error *err)
{
    tg_code code;

    if (!r->settings->media)
        return TG_OK;
    r->media = calloc(1, sizeof *r->media);
    if (!r->media)
        return tg_fail(err, TG_NOMEM, "no memory to fetch files");
    r->media->answer = tg_batch_new(TG_MESSAGES_ASKED);
    code = tg_media_want_of(r->settings, &r->media->want, err);
    if (code == TG_OK && !r->media->answer)
        code = tg_fail(err, TG_NOMEM, "no memory to fetch files");
    if (code == TG_OK)
        code = tg_media_disk_new(r->settings->media, r->settings->destination_wait_ms,
                                 extract_wake, r, &r->media->disk, err);
    if (code == TG_IO && !*err->hint)
        code = tg_hint(err, "--media names a directory, or s3://BUCKET/PREFIX, for files");
    return code;
}

void extract_media_close(struct extract_run *r)
{
    struct extract_media *m = r->media;

    if (!m)
        return;
    for (struct media_get *g = m->gets; g; g = g->next)
        let_go(m, g);
    tg_media_disk_free(m->disk);
    while (m->gets)
        forget(m, m->gets);
    tg_batch_free(m->answer);
    free(m);
    r->media = NULL;
}
