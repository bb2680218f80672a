/* SPDX-License-Identifier: MIT */
/*
 * chats_find.c - from what a person writes to a peer, and what a chat tells about itself
 *
 * resolveUsername is the most strictly limited method there is, so the cache is asked first.
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

#include "telegram/chats.h"
#include "telegram/login.h"
#include "telegram/request.h"
#include "tl/walk.h"

enum { REPLY_MAX = 16 << 20, WHAT_MAX = 256 };

struct resolve {
    struct tgc *client;
    void (*done)(void *ctx, const struct tg_peer *peer, const struct tg_error *err);
    void *ctx;
    char what[WHAT_MAX]; /* a username, or the id's digits */
    int64_t id;          /* marked; 0: by name */
    bool self;           /* the account's own chat, Saved Messages */
    bool unreadable;     /* it is there, but of a kind that the schema does not know */
};

static void resolved(struct resolve *r, const struct tg_peer *peer, const struct tg_error *err)
{
    r->done(r->ctx, peer, err);
    free(r);
}

static void not_found(struct resolve *r, const char *hint)
{
    struct tg_error err;

    if (r->id)
        tg_fail(&err, TG_NOT_FOUND, "no chat %lld in this account's list", (long long)r->id);
    else
        tg_fail(&err, TG_NOT_FOUND, "nobody has the name '@%s'", r->what);
    tg_hint(&err, "%s", hint);
    resolved(r, NULL, &err);
}

static void cannot_be_read(struct resolve *r)
{
    struct tg_error err;

    if (r->id)
        tg_fail(&err, TG_UNSUPPORTED, "chat %lld is of a kind that this version does not know",
                (long long)r->id);
    else
        tg_fail(&err, TG_UNSUPPORTED, "'@%s' is of a kind that this version does not know",
                r->what);
    tg_hint(&err, "a newer version may know it, or a newer schema (--schema)");
    resolved(r, NULL, &err);
}

static void on_resolved(void *ctx, const struct tgc_reply *reply)
{
    struct resolve *r = ctx;
    struct tg_peers *peers = &tgc_session(r->client)->peers;
    const struct tg_peer *peer = NULL;
    const struct tl_value *v;
    struct tg_arena arena;
    struct tg_error err;

    if (reply->code == TG_NOT_FOUND) {
        not_found(r, "`tgdata chats` lists the chats of this account");
        return;
    }
    if (reply->code != TG_OK) {
        resolved(r, NULL, reply->err);
        return;
    }
    tg_arena_init(&arena, REPLY_MAX);
    v = tg_reply_value(r->client, reply, &arena, &err);
    tg_peers_learn(peers, tgc_schema(r->client), reply->body, reply->len);
    if (v)
        peer = tg_peers_get(peers, tg_peer_id(tl_get_obj(v, TLN_peer)));
    if (peer)
        resolved(r, peer, NULL);
    else if (v && tg_peer_id(tl_get_obj(v, TLN_peer)))
        cannot_be_read(r);
    else if (v)
        not_found(r, "`tgdata chats` lists the chats of this account");
    else
        resolved(r, NULL, &err);
    tg_arena_done(&arena);
}

static bool on_dialog(void *ctx, const struct tg_dialog *dialog)
{
    struct resolve *r = ctx;

    if (dialog->peer->id != r->id)
        return true;
    r->unreadable = dialog->unreadable;
    return false;
}

static void on_listed(void *ctx, const struct tg_error *err)
{
    struct resolve *r = ctx;
    const struct tg_peer *peer = tg_peers_get(&tgc_session(r->client)->peers, r->id);

    if (err)
        resolved(r, NULL, err);
    else if (peer && !peer->min)
        resolved(r, peer, NULL);
    else if (r->unreadable)
        cannot_be_read(r);
    else
        not_found(r, "`tgdata chats` lists the chats of this account with their ids");
}

/* Strips what stands around a name: "@", "https://t.me/", "/123" behind it. */
static bool read_what(struct resolve *r, const char *what)
{
    static const char *const head[] = { "https://", "http://", "t.me/", "telegram.me/", "@" };
    size_t n;

    for (size_t i = 0; i < TG_COUNT(head); i++)
        if (strncmp(what, head[i], strlen(head[i])) == 0)
            what += strlen(head[i]);
    if (tg_i64_parse(what, &r->id))
        return r->id != 0 && r->id >= -TG_CHANNEL_MARK - TG_CHANNEL_ID_MAX &&
               r->id <= TG_USER_ID_MAX;
    if (strncmp(what, "c/", 2) == 0) {
        char *end;
        long long bare = strtoll(what + 2, &end, 10);

        r->id = tg_mark_channel(bare);
        return r->id && (*end == 0 || *end == '/');
    }
    n = strcspn(what, "/?");
    if (n == 0 || n >= sizeof r->what)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)what[i]) && what[i] != '_')
            return false;
    memcpy(r->what, what, n);
    return true;
}

static bool ask_name(struct resolve *r, int64_t now_us)
{
    struct tgc_request how = {
        .method = "contacts.resolveUsername",
        .done = on_resolved,
        .ctx = r,
    };
    struct tg_arena arena;
    struct tl_value *q;
    uint64_t call;

    tg_arena_init(&arena, 65536);
    q = tl_obj(&arena, TLN_contacts_resolveUsername);
    tl_set_cstr(q, TLN_username, r->what);
    call = tg_request(r->client, q, &how, now_us);
    tg_arena_done(&arena);
    return call != 0;
}

/* A bot has no list of chats, but may name a channel or supergroup without an access hash. */
static void on_channels(void *ctx, const struct tgc_reply *reply)
{
    struct resolve *r = ctx;
    struct tg_peers *peers = &tgc_session(r->client)->peers;
    const struct tg_peer *peer;

    if (reply->code == TG_OK)
        tg_peers_learn(peers, tgc_schema(r->client), reply->body, reply->len);
    peer = tg_peers_get(peers, r->id);
    if (reply->code == TG_OK && peer && !peer->min)
        resolved(r, peer, NULL);
    else if (reply->code == TG_OK || reply->code == TG_NOT_FOUND)
        not_found(r, "a bot finds a channel or supergroup that it is in, or that has a @name");
    else
        resolved(r, NULL, reply->err);
}

static bool ask_channel(struct resolve *r, int64_t now_us)
{
    struct tgc_request how = { .method = "channels.getChannels", .done = on_channels, .ctx = r };
    struct tl_value *q, *channel;
    struct tg_arena arena;
    uint64_t call;

    tg_arena_init(&arena, 65536);
    q = tl_obj(&arena, TLN_channels_getChannels);
    channel = tl_add_new(tl_set_vector(q, TLN_id), TLN_inputChannel);
    tl_set_long(channel, TLN_channel_id, -r->id - TG_CHANNEL_MARK);
    tl_set_long(channel, TLN_access_hash, 0);
    call = tg_request(r->client, q, &how, now_us);
    tg_arena_done(&arena);
    return call != 0;
}

static void on_self(void *ctx, const struct tg_error *err)
{
    struct resolve *r = ctx;
    const struct tg_session_data *session = tgc_session(r->client);
    const struct tg_peer *peer = tg_peers_get(&session->peers, session->user_id);

    if (err)
        resolved(r, NULL, err);
    else if (peer)
        resolved(r, peer, NULL);
    else
        not_found(r, "log in anew with `tgdata login --force`");
}

/* Asks the server for what the cache lacks. */
static bool ask(struct resolve *r, int64_t now_us)
{
    struct tg_error err;

    if (r->self) {
        tg_whoami_start(r->client, on_self, r, now_us);
        return true;
    }
    if (!r->id)
        return ask_name(r, now_us);
    if (!tgc_session(r->client)->is_bot)
        return tg_dialogs_start(r->client, on_dialog, on_listed, r, now_us);
    if (r->id < -TG_CHANNEL_MARK)
        return ask_channel(r, now_us);
    tg_fail(&err, TG_UNSUPPORTED, "a bot cannot read private chats and basic groups");
    tg_hint(&err, "log in as a person (`tgdata login --phone`); bots read channels and "
                  "supergroups");
    resolved(r, NULL, &err);
    return true;
}

bool tg_resolve_start(struct tgc *client, const char *what,
                      void (*done)(void *ctx, const struct tg_peer *peer,
                                   const struct tg_error *err),
                      void *ctx, int64_t now_us)
{
    struct resolve *r = calloc(1, sizeof *r);
    const struct tg_peers *peers = &tgc_session(client)->peers;
    const struct tg_peer *peer;
    struct tg_error err;
    bool ok;

    if (!r)
        return false;
    r->client = client;
    r->done = done;
    r->ctx = ctx;
    if (!read_what(r, what)) {
        tg_fail(&err, TG_USAGE, "'%s' names no chat", what);
        tg_hint(&err, "write @name, a t.me link, or an id as `tgdata chats` lists them");
        resolved(r, NULL, &err);
        return true;
    }
    r->self = strcmp(what, "me") == 0 || (r->id && r->id == tgc_session(client)->user_id);
    if (r->self)
        r->id = tgc_session(client)->user_id;
    peer = r->id ? tg_peers_get(peers, r->id) : tg_peers_by_username(peers, tg_str_of(r->what));
    if (peer && !peer->min) {
        resolved(r, peer, NULL);
        return true;
    }
    ok = ask(r, now_us);
    if (!ok)
        free(r);
    return ok;
}

/* ---- what a chat tells ---- */

struct full {
    struct tgc *client;
    int64_t id;
    void (*done)(void *ctx, const struct tg_chat_full *full, const struct tg_error *err);
    void *ctx;
};

/* An old group knows what it became: for when the supergroup cannot tell what it was. */
static int64_t known_origin(const struct tg_peers *peers, int64_t id)
{
    for (size_t i = 0; i < tg_peers_count(peers); i++)
        if (tg_peers_at(peers, i)->migrated_to == id)
            return tg_peers_at(peers, i)->id;
    return 0;
}

static void read_full(const struct tl_value *chat, struct tg_chat_full *ret)
{
    int64_t from = tl_get_long(chat, TLN_migrated_from_chat_id, 0);
    int64_t linked = tl_get_long(chat, TLN_linked_chat_id, 0);

    ret->migrated_from = tg_mark_group(from);
    ret->migrated_max_id = tl_get_int(chat, TLN_migrated_from_max_id, 0);
    ret->linked_chat = tg_mark_channel(linked);
    ret->members = tl_get_int(chat, TLN_participants_count, -1);
    ret->available_min_id = tl_get_int(chat, TLN_available_min_id, 0);
    ret->pts = tl_get_int(chat, TLN_pts, 0);
    ret->hidden_prehistory = tl_get_bool(chat, TLN_hidden_prehistory);
}

/* Whether the object that tells about the chat cannot be read to its end. */
static bool is_partial(const struct tgc *c, const struct tgc_reply *reply)
{
    const struct tl_schema *s = tgc_schema(c);
    struct tl_reader r = tl_reader_of(reply->body, reply->len);
    int i = tl_ctor_field_index(s, tl_ctor_by_id(s, tl_peek_u32(&r)), TLN_full_chat);
    struct tl_object o;

    return i < 0 || !tl_object_open_until(s, &r, i, &o);
}

static void on_full(void *ctx, const struct tgc_reply *reply)
{
    struct full *f = ctx;
    struct tg_chat_full full = { .id = f->id, .members = -1 };
    const struct tl_value *v = NULL;
    struct tg_arena arena;
    struct tg_error err;

    tg_arena_init(&arena, REPLY_MAX);
    if (reply->code != TG_OK) {
        err = *reply->err;
    } else {
        v = tg_reply_value(f->client, reply, &arena, &err);
        tg_peers_learn(&tgc_session(f->client)->peers, tgc_schema(f->client), reply->body,
                       reply->len);
        if (v) {
            read_full(tl_get_obj(v, TLN_full_chat), &full);
            full.partial = is_partial(f->client, reply);
        }
        if (full.partial && !full.migrated_from)
            full.migrated_from = known_origin(&tgc_session(f->client)->peers, f->id);
    }
    tg_arena_done(&arena);
    f->done(f->ctx, v ? &full : NULL, v ? NULL : &err);
    free(f);
}

bool tg_chat_full_start(struct tgc *client, int64_t id,
                        void (*done)(void *ctx, const struct tg_chat_full *full,
                                     const struct tg_error *err),
                        void *ctx, int64_t now_us)
{
    bool channel = id < -TG_CHANNEL_MARK;
    struct tgc_request how = {
        .method = channel ? "channels.getFullChannel" : "messages.getFullChat",
        .chat = id,
        .done = on_full,
    };
    struct tg_chat_full none = { .id = id, .members = -1 };
    struct tg_buf raw;
    struct tg_arena arena;
    struct tl_value *q;
    struct full *f;
    uint64_t call;

    if (id > 0) {
        done(ctx, &none, NULL);
        return true;
    }
    f = calloc(1, sizeof *f);
    if (!f)
        return false;
    *f = (struct full){ client, id, done, ctx };
    how.ctx = f;
    tg_arena_init(&arena, 65536);
    tg_buf_init(&raw, 64);
    q = tl_obj(&arena, channel ? TLN_channels_getFullChannel : TLN_messages_getFullChat);
    if (!channel)
        tl_set_long(q, TLN_chat_id, -id);
    else if (tg_input_channel(&tgc_session(client)->peers, id, &raw))
        tl_set_raw(q, TLN_channel, raw.data, raw.len);
    call = tg_request(client, q, &how, now_us);
    tg_buf_done(&raw);
    tg_arena_done(&arena);
    if (!call)
        free(f);
    return call != 0;
}
