/* SPDX-License-Identifier: MIT */
/*
 * chats.c - the chat list, page by page; finding one chat; what a chat tells about itself
 *
 * Facts: core.telegram.org/api/offsets (getDialogs pages by date, id and peer of the last dialog's
 * top message), /method/contacts.resolveUsername, /method/channels.getFullChannel.
 */
#include "telegram/chats.h"

#include <assert.h>
#include <stdlib.h>

#include "telegram/request.h"
#include "tl/put.h"

enum { DIALOGS_LIMIT = 100, REPLY_MAX = 64 << 20, FOLDER_ARCHIVE = 1 };

/* ---- the list ---- */

struct dialogs {
    struct tgc *client;
    bool (*seen)(void *ctx, const struct tg_dialog *dialog);
    void (*done)(void *ctx, const struct tg_error *err);
    void *ctx;
    int32_t folder;
    bool left;           /* channels.getLeftChannels instead */
    int32_t offset_date, offset_id, offset;
    int64_t offset_peer;
    int64_t *known;      /* ids already told, so that a chat that moved up is told once */
    size_t n_known, cap_known;
};

static void dialogs_done(struct dialogs *d, const struct tg_error *err)
{
    d->done(d->ctx, err);
    free(d->known);
    free(d);
}

static void on_dialogs(void *ctx, const struct tgc_reply *reply);
static void on_left(void *ctx, const struct tgc_reply *reply);

static struct tl_value *input_peer(struct dialogs *d, struct tg_arena *arena)
{
    struct tg_buf raw;
    struct tl_value *v = NULL;
    char *kept;

    tg_buf_init(&raw, 64);
    if (d->offset_peer &&
        tg_input_peer(&tgc_session(d->client)->peers, d->offset_peer, &raw) && !raw.failed) {
        kept = tg_arena_copy(arena, raw.data, raw.len);
        v = kept ? tl_raw(arena, kept, raw.len) : NULL;
    }
    tg_buf_done(&raw);
    return v ? v : tl_obj(arena, TLN_inputPeerEmpty);
}

static bool ask_dialogs(struct dialogs *d, int64_t now_us)
{
    struct tgc_request how = { .ctx = d };
    struct tg_arena arena;
    struct tl_value *q;
    uint64_t call;

    tg_arena_init(&arena, 1 << 20);
    if (d->left) {
        how.method = "channels.getLeftChannels";
        how.done = on_left;
        q = tl_obj(&arena, TLN_channels_getLeftChannels);
        tl_set_int(q, TLN_offset, d->offset);
    } else {
        how.method = "messages.getDialogs";
        how.done = on_dialogs;
        q = tl_obj(&arena, TLN_messages_getDialogs);
        if (d->folder)
            tl_set_int(q, TLN_folder_id, d->folder);
        tl_set_int(q, TLN_offset_date, d->offset_date);
        tl_set_int(q, TLN_offset_id, d->offset_id);
        tl_set_obj(q, TLN_offset_peer, input_peer(d, &arena));
        tl_set_int(q, TLN_limit, DIALOGS_LIMIT);
        tl_set_long(q, TLN_hash, 0);
    }
    call = tg_request(d->client, q, &how, now_us);
    tg_arena_done(&arena);
    return call != 0;
}

static void ask_or_fail(struct dialogs *d, int64_t now_us)
{
    struct tg_error err;

    if (ask_dialogs(d, now_us))
        return;
    tg_fail(&err, TG_NOMEM, "no memory to list chats");
    dialogs_done(d, &err);
}

/* @return true if the id is new */
static bool remember(struct dialogs *d, int64_t id)
{
    for (size_t i = 0; i < d->n_known; i++)
        if (d->known[i] == id)
            return false;
    if (d->n_known == d->cap_known) {
        size_t cap = d->cap_known ? d->cap_known * 2 : 64;
        int64_t *more = realloc(d->known, cap * sizeof *more);

        if (!more)
            return true; /* told twice at worst */
        d->known = more;
        d->cap_known = cap;
    }
    d->known[d->n_known++] = id;
    return true;
}

static int32_t members_of(const struct tl_value *chats, int64_t id)
{
    for (uint32_t i = 0; i < tl_len(chats); i++) {
        const struct tl_value *chat = tl_item(chats, i);
        int64_t bare = tl_get_long(chat, TLN_id, 0);

        if (id && (id == tg_mark_group(bare) || id == tg_mark_channel(bare)))
            return tl_get_int(chat, TLN_participants_count, -1);
    }
    return -1;
}

/* @return what an id alone tells; 0: channel or supergroup */
static enum tg_peer_kind kind_of(int64_t id)
{
    return id > 0 ? TG_PEER_USER : id > -TG_CHANNEL_MARK ? TG_PEER_GROUP : 0;
}

/* @return false to stop */
static bool tell(struct dialogs *d, int64_t id, int32_t top, const struct tl_value *reply)
{
    const struct tg_peer *peer = tg_peers_get(&tgc_session(d->client)->peers, id);
    struct tg_peer unknown = { .id = id, .kind = kind_of(id), .name = "" };
    struct tg_dialog dialog = {
        .peer = peer ? peer : &unknown,
        .top_id = top,
        .members = members_of(tl_get_vector(reply, TLN_chats), id),
        .unreadable = !peer,
    };

    if (!id || !remember(d, id))
        return true;
    return d->seen(d->ctx, &dialog);
}

static int32_t date_of(const struct tl_value *messages, int32_t id, int64_t peer)
{
    for (uint32_t i = 0; i < tl_len(messages); i++) {
        const struct tl_value *m = tl_item(messages, i);

        if (tl_get_int(m, TLN_id, 0) == id && tg_peer_id(tl_get_obj(m, TLN_peer_id)) == peer)
            return tl_get_int(m, TLN_date, 0);
    }
    return 0;
}

/* Reads a reply and feeds the cache. @return NULL if d was ended */
static const struct tl_value *open_reply(struct dialogs *d, const struct tgc_reply *reply,
                                         struct tg_arena *arena)
{
    const struct tl_value *v;
    struct tg_error err;

    if (reply->code != TG_OK) {
        dialogs_done(d, reply->err);
        return NULL;
    }
    v = tg_reply_value(d->client, reply, arena, &err);
    if (!v) {
        dialogs_done(d, &err);
        return NULL;
    }
    tg_peers_learn(&tgc_session(d->client)->peers, tgc_schema(d->client), reply->body, reply->len);
    return v;
}

/* Moves the offsets behind the last dialog of a page. @return false if that is not possible */
static bool move_on(struct dialogs *d, const struct tl_value *v, const struct tl_value *list)
{
    const struct tl_value *messages = tl_get_vector(v, TLN_messages);

    for (uint32_t i = tl_len(list); i-- > 0;) {
        const struct tl_value *dialog = tl_item(list, i);
        int64_t peer = tg_peer_id(tl_get_obj(dialog, TLN_peer));
        int32_t top = tl_get_int(dialog, TLN_top_message, 0);
        int32_t date = date_of(messages, top, peer);

        if (!date)
            continue;
        if (date == d->offset_date && top == d->offset_id && peer == d->offset_peer)
            return false;
        d->offset_date = date;
        d->offset_id = top;
        d->offset_peer = peer;
        return true;
    }
    return false;
}

/* A folder is read: the archive follows. */
static void next_folder(struct dialogs *d, int64_t now_us)
{
    if (d->folder == FOLDER_ARCHIVE) {
        dialogs_done(d, NULL);
        return;
    }
    d->folder = FOLDER_ARCHIVE;
    d->offset_date = d->offset_id = 0;
    d->offset_peer = 0;
    ask_or_fail(d, now_us);
}

static void on_dialogs(void *ctx, const struct tgc_reply *reply)
{
    struct dialogs *d = ctx;
    const struct tl_value *v, *list;
    struct tg_arena arena;
    bool more = true;

    tg_arena_init(&arena, REPLY_MAX);
    v = open_reply(d, reply, &arena);
    if (!v) {
        tg_arena_done(&arena);
        return;
    }
    list = tl_get_vector(v, TLN_dialogs);
    for (uint32_t i = 0; more && i < tl_len(list); i++) {
        const struct tl_value *dialog = tl_item(list, i);

        if (tl_name(dialog) == TLN_dialog)
            more = tell(d, tg_peer_id(tl_get_obj(dialog, TLN_peer)),
                        tl_get_int(dialog, TLN_top_message, 0), v);
    }
    if (!more)
        dialogs_done(d, NULL);
    else if (tl_name(v) != TLN_messages_dialogsSlice || !tl_len(list) || !move_on(d, v, list))
        next_folder(d, reply->now_us);
    else
        ask_or_fail(d, reply->now_us);
    tg_arena_done(&arena);
}

static void on_left(void *ctx, const struct tgc_reply *reply)
{
    struct dialogs *d = ctx;
    const struct tl_value *v, *list;
    struct tg_arena arena;
    bool more = true;

    tg_arena_init(&arena, REPLY_MAX);
    v = open_reply(d, reply, &arena);
    if (!v) {
        tg_arena_done(&arena);
        return;
    }
    list = tl_get_vector(v, TLN_chats);
    for (uint32_t i = 0; more && i < tl_len(list); i++)
        more = tell(d, tg_mark_channel(tl_get_long(tl_item(list, i), TLN_id, 0)), 0, v);
    d->offset += (int32_t)tl_len(list);
    if (!more || tl_name(v) != TLN_messages_chatsSlice || !tl_len(list) ||
        d->offset >= tl_get_int(v, TLN_count, 0))
        dialogs_done(d, NULL);
    else
        ask_or_fail(d, reply->now_us);
    tg_arena_done(&arena);
}

static bool start_list(struct tgc *client, bool left,
                       bool (*seen)(void *ctx, const struct tg_dialog *dialog),
                       void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                       int64_t now_us)
{
    struct dialogs *d = calloc(1, sizeof *d);

    if (!d)
        return false;
    *d = (struct dialogs){ .client = client, .seen = seen, .done = done, .ctx = ctx, .left = left };
    if (ask_dialogs(d, now_us))
        return true;
    free(d);
    return false;
}

bool tg_dialogs_start(struct tgc *client, bool (*seen)(void *ctx, const struct tg_dialog *dialog),
                      void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                      int64_t now_us)
{
    return start_list(client, false, seen, done, ctx, now_us);
}

bool tg_left_channels_start(struct tgc *client,
                            bool (*seen)(void *ctx, const struct tg_dialog *dialog),
                            void (*done)(void *ctx, const struct tg_error *err), void *ctx,
                            int64_t now_us)
{
    return start_list(client, true, seen, done, ctx, now_us);
}
