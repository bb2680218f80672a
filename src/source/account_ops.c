/* SPDX-License-Identifier: MIT */
/*
 * account_ops.c - the blocking calls of tgdata/account.h: who it is, logout, the list of chats
 *
 * Each starts a state machine of telegram/ and runs the loop until that has called done.
 */
#include <assert.h>
#include <unistd.h>

#include "source/account_impl.h"
#include "telegram/chats.h"
#include "telegram/login.h"

void tg_account_op_done(struct tg_account_op *op, const struct tg_error *err)
{
    op->done = true;
    op->code = err ? err->code : TG_OK;
    if (err)
        *op->err = *err;
}

tg_code tg_account_op_step(struct tg_account_op *op, struct tg_error *err)
{
    if (op->done)
        return op->code;
    if (tg_account_stopping(op->account))
        return tg_fail(err, TG_CANCELLED, "stopped");
    return TG_AGAIN;
}

/* ---- who it is, and logout ---- */

static void on_done(void *ctx, const struct tg_error *err)
{
    tg_account_op_done(ctx, err);
}

static tg_code plain_step(void *ctx, struct tg_account *a, int64_t now_us, struct tg_error *err)
{
    (void)a;
    (void)now_us;
    return tg_account_op_step(ctx, err);
}

tg_code tg_account_ask_who(struct tg_account *a, struct tg_error *err)
{
    struct tg_account_op op = { .account = a, .err = err };

    if (!tg_session_authorized(&a->session)) {
        tg_fail(err, TG_AUTH, "session '%s' is not logged in", a->path);
        return tg_hint(err, "log in with `tgdata login`");
    }
    tg_whoami_start(tg_net_client(a->net), on_done, &op, tg_net_now(a->net));
    return tg_account_run(a, plain_step, &op, err);
}

tg_code tg_account_who(struct tg_account *a, struct tg_error *err)
{
    if (a->plain && a->passphrase && !a->told_plain)
        tg_account_note(a, TG_NOTE_WARNING, 0,
                        "session '%s' is not sealed and stays so; `tgdata login` with the "
                        "passphrase seals it", a->path);
    a->told_plain = true;
    return a->session.user_id ? TG_OK : tg_account_ask_who(a, err);
}

int64_t tg_account_user(const struct tg_account *a)
{
    return a->session.user_id;
}

tg_code tg_account_self(struct tg_account *a, struct tg_user_info *ret, struct tg_error *err)
{
    const struct tg_session_data *s = &a->session;
    const struct tg_peer *peer;
    tg_code code = tg_account_who(a, err);

    if (code != TG_OK)
        return code;
    peer = tg_peers_get(&s->peers, s->user_id);
    *ret = (struct tg_user_info){
        .id = s->user_id,
        .name = peer && peer->name ? peer->name : "",
        .username = peer ? peer->username : NULL,
        .phone = s->phone,
        .bot = s->is_bot,
        .logged_in_now = a->logged_in_now,
    };
    return TG_OK;
}

tg_code tg_account_logout(struct tg_account *a, struct tg_error *err)
{
    struct tg_account_op op = { .account = a, .err = err };
    tg_code code = tg_account_who(a, err);

    if (code != TG_OK)
        return code;
    tg_logout_start(tg_net_client(a->net), on_done, &op, tg_net_now(a->net));
    code = tg_account_run(a, plain_step, &op, err);
    if (code != TG_OK)
        return code;
    a->dirty = false;
    if (unlink(a->path) < 0)
        return tg_fail(err, TG_IO, "logged out, but could not delete '%s'", a->path);
    return TG_OK;
}

/* ---- chats ---- */

struct chats_op {
    struct tg_account_op op;
    tg_chat_fn seen;
    void *ctx;
};

static const char *kind_name(const struct tg_peer *peer)
{
    switch ((int)peer->kind) {
    case TG_PEER_USER:
        return peer->bot ? "bot" : "user";
    case TG_PEER_GROUP:
        return "group";
    case TG_PEER_SUPERGROUP:
        return peer->forum ? "forum" : "supergroup";
    case TG_PEER_CHANNEL:
        return "channel";
    }
    return "unknown";
}

static bool on_dialog(void *ctx, const struct tg_dialog *dialog)
{
    struct chats_op *c = ctx;
    const struct tg_peer *peer = dialog->peer;
    struct tg_chat_info info = {
        .id = peer->id,
        .title = peer->name ? peer->name : "",
        .kind = kind_name(peer),
        .username = peer->username,
        .members = dialog->members,
        .protected_content = peer->protected,
    };

    return c->seen(c->ctx, &info);
}

tg_code tg_account_chats(struct tg_account *a, tg_chat_fn seen, void *ctx, struct tg_error *err)
{
    struct chats_op c = { .op = { .account = a, .err = err }, .seen = seen, .ctx = ctx };
    tg_code code = tg_account_who(a, err);

    if (code != TG_OK)
        return code;
    if (a->session.is_bot) {
        tg_fail(err, TG_UNSUPPORTED, "Telegram lets no bot list its chats");
        return tg_hint(err, "name a channel or supergroup: tgdata extract @name");
    }
    if (!tg_dialogs_start(tg_net_client(a->net), on_dialog, on_done, &c, /* op comes first */
                          tg_net_now(a->net)))
        return tg_fail(err, TG_NOMEM, "no memory to list chats");
    code = tg_account_run(a, plain_step, &c.op, err);
    a->dirty = true; /* access hashes were learned */
    if (code == TG_OK)
        code = tg_account_save(a, err);
    return code;
}
