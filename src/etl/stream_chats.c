/* SPDX-License-Identifier: MIT */
/*
 * stream_chats.c - the chats that are watched: found, and where they stand
 *
 *   NEW --list, names--> FOUND --is it remembered?--> READY
 *                          |                            ^
 *                          +--newest id, pts (TOP)------+
 *
 * Where updates are counted from is asked for once; from then on the job remembers it. Of a chat
 * whose history is wanted, the newest id bounds what is unknown: what is posted later comes live.
 */
#include <stdlib.h>

#include "etl/stream_impl.h"
#include "telegram/chats.h"
#include "telegram/request.h"

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct stream_chat *)a)->job.id;
    int64_t y = ((const struct stream_chat *)b)->job.id;

    return (x > y) - (x < y);
}

struct stream_chat *stream_chat_of(const struct stream_run *r, int64_t id)
{
    const struct stream_chat key = { .job.id = id };

    return r->n_chats ? bsearch(&key, r->chat, r->n_chats, sizeof key, by_id) : NULL;
}

void stream_chats_free(struct stream_run *r)
{
    for (size_t i = 0; i < r->n_chats; i++) {
        stream_scan_free(r->chat[i].scan);
        free(r->chat[i].reacted);
        free(r->chat[i].title);
    }
    free(r->chat);
    r->chat = NULL;
    r->n_chats = 0;
}

static void warn(struct stream_run *r, const struct stream_chat *c, const struct tg_error *why)
{
    tg_account_note_of(r->account, TG_NOTE_WARNING, 0,
                       (struct tg_note_about){ c->job.id, why->code },
                       "'%.100s' is watched no longer: %s", c->title, why->message);
}

void stream_chat_lost(struct stream_chat *c, const struct tg_error *why)
{
    struct stream_run *r = c->run;

    if (c->phase == CHAT_LOST)
        return;
    c->phase = CHAT_LOST;
    tg_updates_end(r->updates, c->job.id);
    stream_scan_free(c->scan);
    c->scan = NULL;
    r->stats->chats_lost++;
    warn(r, c, why);
    if (r->stats->chats_lost == r->n_chats)
        stream_fail(r, why);
}

/* ---- finding them ---- */

static void take_peer(struct stream_chat *c, const struct tg_peer *peer)
{
    struct stream_run *r = c->run;
    struct tg_error err;

    c->phase = CHAT_FOUND;
    c->job.id = peer->id;
    c->channel = peer->kind == TG_PEER_CHANNEL || peer->kind == TG_PEER_SUPERGROUP;
    c->owner = c->channel ? 0 : r->account->session.user_id;
    c->forum = peer->forum;
    c->protected = peer->protected;
    c->title = strdup(peer->name ? peer->name : "");
    c->job.title = c->title;
    if (!c->title) {
        stream_no_memory(r);
    } else if (peer->protected && !r->settings.allow_protected) {
        tg_fail(&err, TG_FORBIDDEN, "'%.100s' forbids saving its content", c->what);
        tg_hint(&err, "leave it out, or pass --allow-protected if you may save it");
        stream_fail(r, &err);
    }
}

static void on_found(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct stream_chat *c = ctx;

    if (peer)
        take_peer(c, peer);
    else
        stream_fail(c->run, err);
}

/* One of all chats of the account is watched, too; its text is what is found by. */
static bool add_chat(struct stream_run *r, const struct tg_peer *peer)
{
    struct stream_chat *more = reallocarray(r->chat, r->n_chats + 1, sizeof *more);

    if (!more)
        return false;
    r->chat = more;
    more[r->n_chats] = (struct stream_chat){ .run = r, .what = "" };
    take_peer(&more[r->n_chats++], peer);
    return true;
}

/* The peers are in the cache then, which is all that named chats need. */
static bool on_dialog(void *ctx, const struct tg_dialog *dialog)
{
    struct stream_run *r = ctx;
    const struct tg_peer *peer = dialog->peer;

    if (r->made->n_chats || dialog->unreadable || peer->left || peer->migrated_to)
        return true;
    if (peer->protected && !r->settings.allow_protected)
        tg_account_note_of(r->account, TG_NOTE_WARNING, 0,
                           (struct tg_note_about){ .chat_id = peer->id },
                           "'%.100s' forbids saving its content and is left out", peer->name);
    else if (!add_chat(r, peer))
        stream_no_memory(r);
    return r->code == TG_OK;
}

static void on_list(void *ctx, const struct tg_error *err)
{
    struct stream_run *r = ctx;

    if (err && !r->made->n_chats)
        stream_fail(r, err); /* else each chat that is not found tells why */
    r->listed = true;
}

static bool is_known(const struct stream_run *r, const char *what)
{
    const struct tg_peers *peers = &tgc_session(r->client)->peers;
    struct tg_buf input;
    int64_t id;
    bool known;

    if (!tg_i64_parse(what, &id))
        return true; /* a name is looked up by itself */
    tg_buf_init(&input, 256);
    known = tg_input_peer(peers, id, &input);
    tg_buf_done(&input);
    return known;
}

/* One list of the account's chats serves all ids that are not known yet.
 * @return whether that is done with */
static bool have_list(struct stream_run *r, int64_t now_us)
{
    bool known = r->made->n_chats > 0;

    if (r->list_asked || (known && r->account->session.is_bot))
        return r->listed || r->account->session.is_bot;
    for (size_t i = 0; known && i < r->n_chats; i++)
        known = is_known(r, r->chat[i].what);
    r->list_asked = true;
    r->listed = known || !tg_dialogs_start(r->client, on_dialog, on_list, r, now_us);
    return r->listed;
}

/* Sorted by id, each once. */
static void sort(struct stream_run *r)
{
    size_t n = 0;

    qsort(r->chat, r->n_chats, sizeof *r->chat, by_id);
    for (size_t i = 0; i < r->n_chats; i++) {
        if (n && r->chat[n - 1].job.id == r->chat[i].job.id) {
            free(r->chat[i].title);
            continue;
        }
        r->own |= !r->chat[i].channel;
        r->chat[n++] = r->chat[i];
    }
    r->n_chats = n;
}

bool stream_chats_find(struct stream_run *r, int64_t now_us)
{
    size_t n_found = 0, n_finding = 0;
    struct tg_error err;

    if (!have_list(r, now_us))
        return false;
    for (size_t i = 0; i < r->n_chats && r->code == TG_OK; i++) {
        struct stream_chat *c = &r->chat[i];

        if (c->phase == CHAT_NEW && n_finding < STREAM_FIND_MAX) {
            c->phase = CHAT_FINDING; /* the answer may come at once */
            if (!tg_resolve_start(r->client, c->what, on_found, c, now_us))
                stream_no_memory(r);
        }
        n_finding += c->phase == CHAT_FINDING;
        n_found += c->phase == CHAT_FOUND;
    }
    if (n_found < r->n_chats || r->code != TG_OK)
        return false;
    sort(r);
    if (!r->n_chats) {
        tg_fail(&err, TG_NOT_FOUND, "this account has no chats");
        stream_fail(r, &err);
    }
    return r->n_chats > 0;
}

/* ---- where they stand ---- */

static void begin_box(struct stream_run *r, int64_t channel, const struct tg_update_state *state)
{
    struct tg_error err;

    if (tg_updates_begin(r->updates, channel, state, channel != 0, stream_now(r), &err) != TG_OK)
        stream_fail(r, &err);
    tg_change_put_box(r->state, channel, state);
}

/* What was there before the job is unknown to it. It is read if that is wanted, or if the
 * destination has some of it, nobody knows which. */
static void begin_scan(struct stream_chat *c, bool doubted)
{
    struct stream_run *r = c->run;

    if (doubted) {
        c->sweep = true;
        tg_account_note_of(r->account, TG_NOTE_WARNING, 0,
                           (struct tg_note_about){ .chat_id = c->job.id },
                           "what is remembered of '%.100s' is not to be trusted: it is read again",
                           c->title);
    }
    tg_change_put_scan(r->state, c->job.id, c->owner, 0, c->top_id, c->top_id == 0);
    if (c->top_id && (doubted || stream_scan_wanted(r)))
        stream_scan_want(c, false);
}

/* All that must be known of the chat is. */
static void ready(struct stream_chat *c)
{
    struct stream_run *r = c->run;
    struct tg_change_chat known = { 0 };
    bool is_known = tg_change_chat(r->state, c->job.id, &known);
    struct tg_update_state state = { .at = { c->pts } };

    c->phase = CHAT_READY;
    if (c->channel) {
        if (c->pts)
            tg_updates_end(r->updates, c->job.id);
        else
            tg_change_box(r->state, c->job.id, &state);
        begin_box(r, c->job.id, &state);
    }
    if (!is_known || known.doubted)
        begin_scan(c, is_known || tg_change_doubt(r->state));
    else if (r->set->rescan && r->phase == RUN_TOPS)
        stream_scan_want(c, true);
    else if (!known.scanned && stream_scan_wanted(r))
        stream_scan_want(c, false);
    stream_touched(r);
}

static void on_top(void *ctx, const struct tgc_reply *reply)
{
    struct stream_chat *c = ctx;
    struct stream_run *r = c->run;
    struct tg_page_info info = { 0 };
    struct tg_error err;
    tg_code code = reply->code;

    r->n_tops--;
    if (code != TG_OK)
        err = *reply->err;
    else
        code = tg_page_open(r->page, tgc_schema(r->client), reply->body, reply->len, &info, &err);
    if (code == TG_OK && c->channel && !info.pts)
        code = tg_fail(&err, TG_PROTOCOL, "chat %lld does not tell its pts", (long long)c->job.id);
    if (code != TG_OK) {
        if (r->phase == RUN_WATCH && (code == TG_FORBIDDEN || code == TG_NOT_FOUND))
            stream_chat_lost(c, &err);
        else
            stream_fail(r, &err);
        return;
    }
    c->pts = info.pts;
    c->top_id = info.n ? tg_page_ids(r->page)[0] : 0;
    if (r->state)
        ready(c);
}

static void on_full(void *ctx, const struct tg_chat_full *full, const struct tg_error *err)
{
    struct stream_chat *c = ctx;

    c->run->n_tops--;
    if (!full) {
        stream_fail(c->run, err);
        return;
    }
    c->pts = full->pts;
    c->top_id = full->pts; /* each message took one */
    ready(c);
}

/* A bot may not read the history. */
static bool ask_top(struct stream_chat *c, int64_t now_us)
{
    struct stream_run *r = c->run;
    struct tgc_request how = { .method = "messages.getHistory", .chat = c->job.id, .done = on_top,
                               .ctx = c };
    struct tg_arena arena;
    struct tg_buf input;
    struct tl_value *q;
    bool asked;

    c->phase = CHAT_TOP;
    r->n_tops++;
    if (r->account->session.is_bot)
        return tg_chat_full_start(r->client, c->job.id, on_full, c, now_us);
    tg_arena_init(&arena, 65536);
    tg_buf_init(&input, 256);
    q = tl_obj(&arena, TLN_messages_getHistory);
    if (tg_input_peer(&tgc_session(r->client)->peers, c->job.id, &input))
        tl_set_raw(q, TLN_peer, input.data, input.len);
    tl_set_int(q, TLN_limit, 1);
    asked = tg_request(r->client, q, &how, now_us);
    tg_buf_done(&input);
    tg_arena_done(&arena);
    r->n_tops -= !asked;
    return asked;
}

/* @return whether it is remembered where the chat stands */
static bool is_remembered(const struct stream_chat *c)
{
    struct tg_change_chat chat;
    struct tg_update_state box;

    return tg_change_chat(c->run->state, c->job.id, &chat) && !chat.doubted &&
           tg_change_box(c->run->state, c->channel ? c->job.id : 0, &box);
}

/* ---- the account ---- */

static void on_state(void *ctx, const struct tgc_reply *reply)
{
    struct stream_run *r = ctx;
    struct tg_arena arena;
    struct tg_error err;
    const struct tl_value *v = NULL;

    r->n_tops--;
    tg_arena_init(&arena, 65536);
    if (reply->code != TG_OK)
        err = *reply->err;
    else
        v = tg_reply_value(r->client, reply, &arena, &err);
    if (!v) {
        stream_fail(r, &err);
    } else {
        r->account_state = (struct tg_update_state){
            .at = { tl_get_int(v, TLN_pts, 0), tl_get_int(v, TLN_qts, 0),
                    tl_get_int(v, TLN_seq, 0) },
            .date = tl_get_int(v, TLN_date, 0),
        };
        r->subscribed = true;
        if (r->own) {
            struct tg_update_state known = r->account_state;

            tg_change_box(r->state, 0, &known);
            begin_box(r, 0, &known);
        }
    }
    tg_arena_done(&arena);
}

/* From then on the server pushes. */
static void subscribe(struct stream_run *r, int64_t now_us)
{
    struct tgc_request how = { .method = "updates.getState", .done = on_state, .ctx = r };
    struct tg_arena arena;

    if (r->state_asked)
        return;
    r->state_asked = true;
    r->n_tops++;
    tg_arena_init(&arena, 4096);
    if (!tg_request(r->client, tl_obj(&arena, TLN_updates_getState), &how, now_us)) {
        r->n_tops--;
        stream_no_memory(r);
    }
    tg_arena_done(&arena);
}

bool stream_chats_tops(struct stream_run *r, int64_t now_us)
{
    size_t n_ready = 0;

    if (!stream_room(r, 0))
        return false; /* what is to be remembered needs a batch */
    subscribe(r, now_us);
    if (!r->subscribed)
        return false;
    for (size_t i = 0; i < r->n_chats && r->code == TG_OK; i++) {
        struct stream_chat *c = &r->chat[i];

        if (c->phase == CHAT_FOUND && r->phase == RUN_TOPS && is_remembered(c))
            ready(c);
        else if (c->phase == CHAT_FOUND && r->n_tops < STREAM_FIND_MAX && !ask_top(c, now_us))
            stream_no_memory(r);
        n_ready += c->phase == CHAT_READY || c->phase == CHAT_LOST;
    }
    return n_ready == r->n_chats;
}

void stream_chats_doubted(struct stream_run *r)
{
    size_t n = tg_change_n_doubted(r->state);
    struct tg_change_chat known;

    for (size_t i = 0; n > r->n_doubted && i < r->n_chats; i++) {
        struct stream_chat *c = &r->chat[i];

        if (c->phase != CHAT_READY || !tg_change_chat(r->state, c->job.id, &known) ||
            !known.doubted)
            continue;
        stream_scan_free(c->scan);
        c->scan = NULL;
        c->scan_due = false;
        c->phase = CHAT_FOUND; /* from its newest id on, as with one that is new */
    }
    r->n_doubted = n;
}
