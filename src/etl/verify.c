/* SPDX-License-Identifier: MIT */
/*
 * verify.c - is what a job delivered complete? The destination is read again, and the server asked
 *
 * Completeness is proved by contiguity: every commit says which ids the replies behind it covered,
 * and each must begin where the one before ended. The rows are read from the destination, not from
 * the job's notes. The server's count is told beside them as a hint: it counts what it likes.
 */
#include <stdlib.h>

#include "etl/checkpoint.h"
#include "source/account_impl.h"
#include "telegram/chats.h"
#include "telegram/request.h"
#include "telegram/rows.h"
#include "tgdata/extract.h"

enum { URL_MAX = 4096, CHATS_MAX = 100000 };

/* One chat of the job, gathered from its checkpoint. */
struct target {
    int64_t chat_id;
    char to[URL_MAX];
};

struct verify {
    struct tg_account *account;
    struct tg_store store;
    const char *job;
    struct target *target;
    size_t n, cap;
    struct tg_verify_info info;
    /* the rows read so far */
    int64_t row_chat, row_last;
    /* the commits read so far */
    struct tg_commit last;
    bool any_commit;
    /* the server's answer */
    bool asked, answered;
    tg_code code;
    struct tg_error *err;
};

static bool on_checkpoint(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                          size_t len)
{
    struct verify *v = ctx;
    struct tg_commit commit;
    struct target *t;

    (void)key;
    (void)doc;
    if (v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 8;
        struct target *more = cap > CHATS_MAX ? NULL : realloc(v->target, cap * sizeof *more);

        if (!more) {
            v->code = tg_fail(v->err, TG_NOMEM, "no memory for the list of chats");
            return false;
        }
        v->target = more;
        v->cap = cap;
    }
    t = &v->target[v->n];
    v->code = tg_checkpoint_parse(bytes, len, &commit, v->err);
    if (v->code != TG_OK)
        return false;
    if (!tg_checkpoint_to(bytes, len, t->to, sizeof t->to)) {
        v->code = tg_fail(v->err, TG_UNSUPPORTED,
                          "job '%s' delivered to a callback: there is nothing to read again",
                          v->job);
        return false;
    }
    t->chat_id = commit.cursor.chat_id;
    v->n++;
    return true;
}

static bool on_row(void *ctx, int64_t chat_id, int64_t id)
{
    struct verify *v = ctx;

    v->info.rows++;
    if (chat_id == v->row_chat && id <= v->row_last)
        v->info.duplicates++;
    v->row_chat = chat_id;
    v->row_last = id;
    return true;
}

static bool on_commit(void *ctx, const struct tg_commit *c)
{
    struct verify *v = ctx;
    bool same = v->any_commit && v->last.cursor.segment == c->cursor.segment;

    if (same && c->covered_from > v->last.cursor.id + 1)
        v->info.gaps++;
    if (v->any_commit && c->cursor.segment < v->last.cursor.segment)
        v->info.gaps++; /* segments never go back */
    if (!same)
        v->info.covered_from = c->covered_from;
    v->info.covered_to = c->cursor.id;
    v->info.finished = c->complete;
    v->last = *c;
    v->any_commit = true;
    return true;
}

static bool on_quarantined(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                           size_t len)
{
    struct verify *v = ctx;

    (void)key;
    (void)doc;
    (void)bytes;
    (void)len;
    v->info.quarantined++;
    return true;
}

/* ---- the server ---- */

static void on_history(void *ctx, const struct tgc_reply *reply)
{
    struct verify *v = ctx;
    struct tg_page *page = tg_page_new();
    struct tg_page_info info;

    v->answered = true;
    v->code = TG_OK;
    if (reply->code != TG_OK) {
        *v->err = *reply->err;
        v->code = reply->code;
    } else if (!page) {
        v->code = tg_fail(v->err, TG_NOMEM, "no memory for a page");
    } else {
        v->code = tg_page_open(page, tgc_schema(tg_net_client(v->account->net)), reply->body,
                               reply->len, &info, v->err);
        if (v->code == TG_OK) {
            v->info.server_top = info.n ? tg_page_ids(page)[0] : 0;
            v->info.server_count = info.total < 0 ? (int64_t)info.n : info.total;
        }
    }
    tg_page_free(page);
}

static bool ask_history(struct verify *v, int64_t chat_id, int64_t now_us)
{
    struct tgc *client = tg_net_client(v->account->net);
    struct tgc_request how = { .method = "messages.getHistory", .done = on_history, .ctx = v };
    struct tg_arena arena;
    struct tl_value *q;
    struct tg_buf peer;
    uint64_t call = 0;

    tg_arena_init(&arena, 65536);
    tg_buf_init(&peer, 64);
    if (tg_input_peer(&v->account->session.peers, chat_id, &peer)) {
        q = tl_obj(&arena, TLN_messages_getHistory);
        tl_set_raw(q, TLN_peer, peer.data, peer.len);
        tl_set_int(q, TLN_limit, 1);
        call = tg_request(client, q, &how, now_us);
    }
    tg_buf_done(&peer);
    tg_arena_done(&arena);
    return call != 0;
}

static void on_resolved(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct verify *v = ctx;

    if (peer && v->account->session.is_bot) { /* may not call getHistory */
        v->answered = true;
        v->code = TG_OK;
        return;
    }
    if (peer && ask_history(v, peer->id, tg_net_now(v->account->net)))
        return;
    v->answered = true;
    if (peer)
        v->code = tg_fail(v->err, TG_NOMEM, "no memory to ask the server");
    else
        *v->err = *err, v->code = err->code;
}

static tg_code server_step(void *ctx, int64_t now_us, struct tg_error *err)
{
    struct verify *v = ctx;
    char name[32];

    if (tg_account_stopping(v->account))
        return tg_fail(err, TG_CANCELLED, "stopped");
    if (!v->asked) {
        struct tg_buf text;

        v->asked = true;
        tg_buf_init(&text, sizeof name);
        tg_buf_i64_text(&text, v->info.chat_id);
        memcpy(name, tg_buf_cstr(&text), text.len + 1);
        tg_buf_done(&text);
        if (!tg_resolve_start(tg_net_client(v->account->net), name, on_resolved, v, now_us))
            return tg_fail(err, TG_NOMEM, "no memory to find a chat");
    }
    return v->answered ? v->code : TG_AGAIN;
}

/* ---- one chat ---- */

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

static tg_code read_destination(struct verify *v, const struct target *t, struct tg_error *err)
{
    struct tg_sink_env env = { v->job, &tg_fs_system, sink_clock, NULL };
    struct tg_sink sink;
    tg_code code = tg_sink_open(t->to, &env, &sink, err);

    if (code != TG_OK)
        return code;
    code = sink.ops->commits(sink.self, t->chat_id, on_commit, v, err);
    if (code == TG_OK)
        code = sink.ops->scan(sink.self, t->chat_id, on_row, v, err);
    tg_sink_close(&sink);
    return code == TG_END ? TG_OK : code;
}

static tg_code verify_chat(struct verify *v, const struct target *t, struct tg_error *err)
{
    const struct tg_peer *peer;
    char prefix[128];
    tg_code code;

    v->info = (struct tg_verify_info){ .chat_id = t->chat_id, .server_count = -1, .title = "" };
    v->any_commit = v->asked = v->answered = false;
    v->row_chat = v->row_last = 0;
    code = read_destination(v, t, err);
    tg_checkpoint_key(prefix, sizeof prefix - 1, v->job, t->chat_id);
    memcpy(prefix + strlen(prefix), "/", 2);
    if (code == TG_OK)
        code = v->store.ops->list(v->store.self, "quarantine", prefix, on_quarantined, v, err);
    if (code == TG_OK)
        code = tg_account_run(v->account, server_step, v, err);
    if (code != TG_OK)
        return code;
    peer = tg_peers_get(&v->account->session.peers, t->chat_id);
    if (peer && peer->name)
        v->info.title = peer->name;
    v->info.complete = v->info.finished && !v->info.gaps && !v->info.duplicates;
    return TG_OK;
}

tg_code tg_verify(struct tg_account *a, const char *state_url, const char *job, tg_verify_fn seen,
                  void *ctx, struct tg_error *err)
{
    struct verify v = { .account = a, .job = job, .err = err };
    char prefix[TG_JOB_NAME_MAX + 2];
    bool complete = true;
    tg_code code = tg_job_name_check(job, err);

    if (code == TG_OK)
        code = tg_account_who(a, err);
    if (code == TG_OK)
        code = tg_store_open(state_url, &v.store, err);
    if (code != TG_OK)
        return code;
    memcpy(prefix, job, strlen(job));
    memcpy(prefix + strlen(job), "/", 2);
    code = v.store.ops->list(v.store.self, "checkpoint", prefix, on_checkpoint, &v, err);
    if (code == TG_OK)
        code = v.code;
    if (code == TG_OK && !v.n) {
        tg_fail(err, TG_NOT_FOUND, "job '%s' has no checkpoints in %s", job, state_url);
        code = tg_hint(err, "`tgdata checkpoints list` shows the jobs that there are");
    }
    for (size_t i = 0; code == TG_OK && i < v.n; i++) {
        code = verify_chat(&v, &v.target[i], err);
        if (code == TG_OK)
            seen(ctx, &v.info);
        complete &= v.info.complete;
    }
    if (code == TG_OK && !complete) {
        tg_fail(err, TG_GAP, "job '%s' is not complete", job);
        code = tg_hint(err, "run the extraction again; it goes on where it stopped");
    }
    free(v.target);
    tg_store_close(&v.store);
    return code;
}
