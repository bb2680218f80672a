/* SPDX-License-Identifier: MIT */
/*
 * stream_fetch.c - messages by their ids: what is suspected to be deleted, what has new reactions
 */
#include <assert.h>
#include <stdlib.h>

#include "etl/stream_impl.h"

struct fetch {
    struct stream_run *run;
    stream_fetched fetched;
    void *ctx;
};

static void on_reply(void *ctx, const struct tgc_reply *reply)
{
    struct fetch *f = ctx;
    struct stream_run *r = f->run;
    struct tg_page *page = tg_page_new();
    struct tg_page_info info = { 0 };
    struct tg_error err;
    tg_code code = reply->code;

    r->n_fetches--;
    if (code != TG_OK)
        err = *reply->err;
    else if (!page)
        code = tg_fail(&err, TG_NOMEM, "no memory for a page");
    else
        code = tg_page_open(page, tgc_schema(r->client), reply->body, reply->len, &info, &err);
    if (code == TG_OK && info.fault == TG_PAGE_BAD_MESSAGE)
        code = tg_fail(&err, TG_PROTOCOL, "messages that were asked for by id cannot be read");
    f->fetched(f->ctx, code == TG_OK ? page : NULL, info.n, code == TG_OK ? NULL : &err);
    tg_page_free(page);
    free(f);
}

bool stream_fetch(struct stream_run *r, int64_t chat, const int32_t *id, size_t n,
                  stream_fetched fetched, void *ctx)
{
    struct tgc_request how = { .chat = chat, .done = on_reply };
    struct fetch *f = malloc(sizeof *f);
    struct tg_buf body;
    uint64_t call = 0;

    assert(n && n <= TG_MESSAGES_ASKED);
    if (!f)
        return false;
    *f = (struct fetch){ r, fetched, ctx };
    how.ctx = f;
    tg_buf_init(&body, 4096);
    how.method = tg_messages_ask(r->client, chat, id, n, &body);
    how.body = body.data;
    how.len = body.len;
    if (how.method && !body.failed)
        call = tgc_call(r->client, &how, stream_now(r));
    tg_buf_done(&body);
    if (!call) {
        free(f);
        return false;
    }
    r->n_fetches++;
    return true;
}
