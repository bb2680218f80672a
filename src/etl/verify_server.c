/* SPDX-License-Identifier: MIT */
/*
 * verify_server.c - what the server says about a chat: its newest id and its count of messages
 *
 *   RESOLVE -> FULL -> HISTORY -> OLD -> END
 *
 * A supergroup that grew from a basic group has two histories, each with a count of its own. FULL
 * asks which group that was; it is left out where the commits tell that there is only one history.
 */
#include "etl/verify_impl.h"
#include "telegram/chats.h"
#include "telegram/request.h"
#include "telegram/rows.h"

enum step { STEP_RESOLVE, STEP_FULL, STEP_HISTORY, STEP_OLD, STEP_END };

struct server {
    struct verify_chat *v;
    enum step step;
    bool asked;
    tg_code code;
    struct tg_error err;
};

static struct tgc *client_of(const struct server *s)
{
    return tg_net_client(s->v->account->net);
}

static void answered(struct server *s, enum step next, const struct tg_error *err)
{
    s->asked = false;
    s->step = err ? STEP_END : next;
    if (!err)
        return;
    s->code = err->code;
    s->err = *err;
}

/* ---- answers ---- */

static void on_history(void *ctx, const struct tgc_reply *reply)
{
    struct server *s = ctx;
    struct tg_verify_info *info = &s->v->info;
    struct tg_page *page = NULL;
    struct tg_page_info seen;
    struct tg_error err;
    tg_code code = reply->code;
    int64_t count = 0;

    if (code != TG_OK)
        err = *reply->err;
    else if (!(page = tg_page_new()))
        code = tg_fail(&err, TG_NOMEM, "no memory for a page");
    else
        code = tg_page_open(page, tgc_schema(client_of(s)), reply->body, reply->len, &seen, &err);
    if (code == TG_OK)
        count = seen.total < 0 ? (int64_t)seen.n : seen.total;
    if (code == TG_OK && s->step == STEP_HISTORY) {
        info->server_top = seen.n ? tg_page_ids(page)[0] : 0;
        info->server_count = count;
    } else if (code == TG_OK) {
        info->migrated_count = count;
        info->server_count += count;
    }
    tg_page_free(page);
    answered(s, s->step == STEP_HISTORY && info->migrated_from ? STEP_OLD : STEP_END,
             code == TG_OK ? NULL : &err);
}

static void on_full(void *ctx, const struct tg_chat_full *full, const struct tg_error *err)
{
    struct server *s = ctx;

    if (full && !err)
        s->v->info.migrated_from = full->migrated_from;
    answered(s, STEP_HISTORY, err);
}

static void on_resolved(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct server *s = ctx;
    const struct verify_chat *v = s->v;
    bool may_be_two = v->last.cursor.segment > 0 || !v->info.finished;

    if (!peer)
        answered(s, STEP_END, err);
    else if (v->account->session.is_bot) /* may not call getHistory */
        answered(s, STEP_END, NULL);
    else
        answered(s, peer->kind == TG_PEER_SUPERGROUP && may_be_two ? STEP_FULL : STEP_HISTORY,
                 NULL);
}

/* ---- questions ---- */

static bool ask_history(struct server *s, int64_t chat_id, int64_t now_us)
{
    struct tgc_request how = { .method = "messages.getHistory", .done = on_history, .ctx = s };
    struct tg_arena arena;
    struct tl_value *q;
    struct tg_buf peer;
    uint64_t call = 0;

    tg_arena_init(&arena, 65536);
    tg_buf_init(&peer, 64);
    if (tg_input_peer(&s->v->account->session.peers, chat_id, &peer)) {
        q = tl_obj(&arena, TLN_messages_getHistory);
        tl_set_raw(q, TLN_peer, peer.data, peer.len);
        tl_set_int(q, TLN_limit, 1);
        call = tg_request(client_of(s), q, &how, now_us);
    }
    tg_buf_done(&peer);
    tg_arena_done(&arena);
    return call != 0;
}

/* @return false out of memory; the answer may come at once */
static bool ask(struct server *s, int64_t now_us)
{
    const struct tg_verify_info *info = &s->v->info;
    char name[32];
    struct tg_buf text;

    switch (s->step) {
    case STEP_RESOLVE:
        tg_buf_init(&text, sizeof name);
        tg_buf_i64_text(&text, info->chat_id);
        memcpy(name, tg_buf_cstr(&text), text.len + 1);
        tg_buf_done(&text);
        return tg_resolve_start(client_of(s), name, on_resolved, s, now_us);
    case STEP_FULL:
        return tg_chat_full_start(client_of(s), info->chat_id, on_full, s, now_us);
    case STEP_HISTORY:
        return ask_history(s, info->chat_id, now_us);
    case STEP_OLD:
        return ask_history(s, info->migrated_from, now_us);
    case STEP_END:
        break;
    }
    return true;
}

static tg_code server_step(void *ctx, struct tg_account *a, int64_t now_us, struct tg_error *err)
{
    struct server *s = ctx;

    if (tg_account_stopping(a) && s->step != STEP_END) {
        tg_fail(err, TG_CANCELLED, "stopped");
        tgc_fail_all(client_of(s), err); /* nobody waits for the answers any more */
        return TG_CANCELLED;
    }
    while (s->step != STEP_END && !s->asked) {
        s->asked = true;
        if (!ask(s, now_us))
            return tg_fail(err, TG_NOMEM, "no memory to ask the server");
    }
    if (s->asked)
        return TG_AGAIN;
    if (s->code != TG_OK)
        *err = s->err;
    return s->code;
}

tg_code verify_server(struct verify_chat *v, struct tg_error *err)
{
    struct server s = { .v = v };

    return tg_account_run(v->account, server_step, &s, err);
}
