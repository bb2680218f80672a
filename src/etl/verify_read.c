/* SPDX-License-Identifier: MIT */
/*
 * verify_read.c - the messages of a chat as the server has them now: all of its history, or those
 *                 with some ids
 *
 *   FIND -> READ -> END
 *
 * FIND asks only if the account has not met the chat yet.
 */
#include "etl/verify_impl.h"
#include "source/history_source.h"
#include "telegram/message_file.h"

enum { ROWS = 1000, BODY_MAX = 4096, LANES = 8 };

enum step { STEP_FIND, STEP_READ, STEP_END };

struct reading {
    const struct verify_taker *taker;
    struct tg_account *account;
    int64_t chat_id;
    const int32_t *id; /* NULL: all */
    size_t n_ids;
    enum step step;
    bool asked, lent;
    struct tg_batch *batch;
    struct tg_history_source *source;
    struct tg_error err; /* code TG_OK: none */
};

static struct tgc *client_of(const struct reading *r)
{
    return tg_net_client(r->account->net);
}

static void end(struct reading *r, const struct tg_error *err)
{
    r->step = STEP_END;
    r->asked = false;
    if (err)
        r->err = *err;
}

static void no_memory(struct reading *r)
{
    struct tg_error err;

    tg_fail(&err, TG_NOMEM, "no memory to read a chat");
    end(r, &err);
}

/* What came; rows of the group that the chat grew from are none of its changes. */
static void take_rows(struct reading *r)
{
    for (size_t i = 0; i < r->batch->n; i++)
        if (r->batch->row[i].chat_id == r->chat_id)
            r->taker->row(r->taker->ctx, &r->batch->row[i]);
    tg_batch_clear(r->batch);
}

/* ---- all of them ---- */

static struct tg_batch *lend(void *ctx)
{
    struct reading *r = ctx;

    if (r->lent)
        return NULL;
    r->lent = true;
    return r->batch;
}

static void put(void *ctx, struct tg_batch *batch)
{
    struct reading *r = ctx;

    (void)batch; /* there is but one */
    take_rows(r);
    r->lent = false;
}

static void give_back(void *ctx, struct tg_batch *batch)
{
    struct reading *r = ctx;

    tg_batch_clear(batch);
    r->lent = false;
}

static void bad(void *ctx, int64_t chat_id, int64_t id, const char *reason, const void *bytes,
                size_t len)
{
    struct reading *r = ctx;

    (void)reason;
    (void)bytes;
    (void)len;
    if (chat_id == r->chat_id)
        r->taker->unreadable(r->taker->ctx, id);
}

static void warn(void *ctx, const char *line)
{
    tg_account_note(((struct reading *)ctx)->account, TG_NOTE_WARNING, 0, "%s", line);
}

static void on_done(void *ctx, const struct tg_error *err)
{
    end(ctx, err);
}

static void read_history(struct reading *r, int64_t now_us)
{
    static const struct tg_extract_settings settings = {
        .batch_size = ROWS, .in_flight = LANES, .allow_protected = true
    };
    const struct tg_source_options options = {
        .client = client_of(r),
        .settings = &settings,
        .io = { .ctx = r, .batch = lend, .put = put, .give_back = give_back, .bad = bad,
                .warn = warn, .done = on_done },
        .chat_id = r->chat_id,
    };

    if (r->source)
        tg_source_step(r->source, now_us);
    else if (!(r->source = tg_source_start(&options, now_us)))
        no_memory(r);
}

/* ---- some of them ---- */

static void on_messages(void *ctx, const struct tgc_reply *reply)
{
    struct reading *r = ctx;
    const struct tg_row_options options = {
        .chat_id = r->chat_id,
        .owner = r->chat_id > -TG_CHANNEL_MARK ? r->account->session.user_id : 0,
        .copy = true
    };
    struct tg_page *page = tg_page_new();
    struct tg_page_info info = { 0 };
    struct tg_error err;
    tg_code code = page ? TG_OK : tg_fail(&err, TG_NOMEM, "no memory for messages");

    if (code == TG_OK && reply->code != TG_OK) {
        err = *reply->err;
        code = err.code;
    }
    if (code == TG_OK)
        code = tg_page_open(page, tgc_schema(client_of(r)), reply->body, reply->len, &info, &err);
    for (size_t i = 0; code == TG_OK && i < info.n; i++) {
        code = tg_page_row(page, i, &options, r->batch, &err);
        if (code == TG_DATA)
            r->taker->unreadable(r->taker->ctx, tg_page_ids(page)[i]);
        if (code == TG_END || code == TG_DATA)
            code = TG_OK;
    }
    if (code == TG_OK)
        take_rows(r);
    tg_page_free(page);
    end(r, code == TG_OK ? NULL : &err);
}

static void read_ids(struct reading *r, int64_t now_us)
{
    struct tgc_request how = { .done = on_messages, .ctx = r };
    struct tg_buf body;

    if (r->asked)
        return;
    tg_buf_init(&body, BODY_MAX);
    how.method = tg_messages_ask(client_of(r), r->chat_id, r->id, r->n_ids, &body);
    how.body = body.data;
    how.len = body.len;
    r->asked = true; /* the answer may come at once */
    if (!how.method || body.failed || !tgc_call(client_of(r), &how, now_us))
        no_memory(r);
    tg_buf_done(&body);
}

/* ---- steps ---- */

static void on_found(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct reading *r = ctx;

    r->asked = false;
    if (!peer)
        end(r, err);
    else
        r->step = STEP_READ;
}

static void find(struct reading *r, int64_t now_us)
{
    char name[32];
    struct tg_buf text;

    tg_buf_init(&text, 256);
    if (tg_input_peer(&r->account->session.peers, r->chat_id, &text)) {
        r->step = STEP_READ;
    } else if (!r->asked) {
        tg_buf_clear(&text);
        tg_buf_i64_text(&text, r->chat_id);
        memcpy(name, tg_buf_cstr(&text), TG_MIN(text.len + 1, sizeof name));
        r->asked = true; /* the answer may come at once */
        if (!tg_resolve_start(client_of(r), name, on_found, r, now_us))
            no_memory(r);
    }
    tg_buf_done(&text);
}

static tg_code read_step(void *ctx, struct tg_account *a, int64_t now_us, struct tg_error *err)
{
    struct reading *r = ctx;

    if (tg_account_stopping(a) && r->step != STEP_END)
        return tg_fail(err, TG_CANCELLED, "stopped");
    if (r->step == STEP_FIND)
        find(r, now_us);
    if (r->step == STEP_READ && r->id)
        read_ids(r, now_us);
    else if (r->step == STEP_READ)
        read_history(r, now_us);
    if (r->step != STEP_END)
        return TG_AGAIN;
    if (r->err.code != TG_OK)
        *err = r->err;
    return r->err.code;
}

tg_code verify_read(struct tg_account *a, int64_t chat_id, const struct verify_ids *ids,
                    const struct verify_taker *taker, struct tg_error *err)
{
    struct reading r = { .taker = taker, .account = a, .chat_id = chat_id };
    tg_code code;

    if (ids) {
        r.id = ids->id;
        r.n_ids = ids->n;
    }
    r.batch = tg_batch_new(ROWS);
    if (!r.batch)
        return tg_fail(err, TG_NOMEM, "no memory to read a chat");
    code = tg_account_run(a, read_step, &r, err);
    tg_source_free(r.source);
    tg_batch_free(r.batch);
    return code;
}

/* ---- waiting ---- */

struct wait {
    int64_t ms, until_us;
};

static tg_code wait_step(void *ctx, struct tg_account *a, int64_t now_us, struct tg_error *err)
{
    struct wait *w = ctx;

    if (tg_account_stopping(a))
        return tg_fail(err, TG_CANCELLED, "stopped");
    if (!w->until_us)
        w->until_us = now_us + w->ms * 1000;
    if (now_us >= w->until_us)
        return TG_OK;
    tg_net_timer(a->net, w->until_us);
    return TG_AGAIN;
}

tg_code verify_wait(struct tg_account *a, int64_t ms, struct tg_error *err)
{
    return tg_account_run(a, wait_step, &(struct wait){ .ms = ms }, err);
}
