/* SPDX-License-Identifier: MIT */
/*
 * account_ops.c - the blocking calls of tgdata/account.h: login, logout, the list of chats
 *
 * Each starts a state machine of telegram/ and runs the loop until that has called done.
 */
#include <assert.h>
#include <unistd.h>

#include "source/account_impl.h"
#include "telegram/chats.h"
#include "telegram/login.h"

/* What every such call shares: whether it is done, and how it ended. */
struct op {
    struct tg_account *account;
    bool done;
    tg_code code;
    struct tg_error *err;
};

static void op_done(struct op *op, const struct tg_error *err)
{
    op->done = true;
    op->code = err ? err->code : TG_OK;
    if (err)
        *op->err = *err;
}

static tg_code op_step(struct op *op, struct tg_error *err)
{
    if (op->done)
        return op->code;
    if (tg_account_stopping(op->account))
        return tg_fail(err, TG_CANCELLED, "stopped");
    return TG_AGAIN;
}

/* ---- login ---- */

struct login_op {
    struct op op;
    struct tg_login *login;
    tg_ask_fn ask;
    tg_qr_fn qr;
    void *ctx;
    bool asking; /* a question waits for an answer, outside of the client's callbacks */
    enum tg_login_question question;
    char hint[160];
};

static void on_ask(void *ctx, enum tg_login_question what, const char *hint)
{
    struct login_op *l = ctx;
    size_t n = TG_MIN(strlen(hint), sizeof l->hint - 1);

    l->asking = true;
    l->question = what;
    memcpy(l->hint, hint, n);
    l->hint[n] = 0;
}

static void on_qr(void *ctx, const char *url, int64_t expires)
{
    struct login_op *l = ctx;

    if (l->qr)
        l->qr(l->ctx, url, expires);
}

static void on_login_done(void *ctx, const struct tg_error *err)
{
    struct login_op *l = ctx;

    l->login = NULL;
    op_done(&l->op, err);
}

static tg_code answer(struct login_op *l, int64_t now_us, struct tg_error *err)
{
    static const enum tg_ask ask[] = {
        [TG_LOGIN_PHONE] = TG_ASK_PHONE,
        [TG_LOGIN_CODE] = TG_ASK_CODE,
        [TG_LOGIN_PASSWORD] = TG_ASK_PASSWORD,
    };
    char text[512];
    tg_code code = TG_OK;

    l->asking = false;
    if (!l->ask) {
        tg_login_answer(l->login, NULL, now_us);
        return TG_OK;
    }
    code = l->ask(l->ctx, ask[l->question], l->hint, text, sizeof text, err);
    if (code == TG_OK)
        tg_login_answer(l->login, text, now_us);
    explicit_bzero(text, sizeof text);
    return code;
}

static tg_code login_step(void *ctx, int64_t now_us, struct tg_error *err)
{
    struct login_op *l = ctx;
    tg_code code;

    while (l->asking && l->login) {
        code = answer(l, now_us, err);
        if (code != TG_OK)
            return code;
    }
    if (l->login && now_us >= tg_login_deadline(l->login))
        tg_login_tick(l->login, now_us);
    if (l->login)
        tg_net_timer(l->op.account->net, tg_login_deadline(l->login));
    return op_step(&l->op, err);
}

tg_code tg_account_login(struct tg_account *a, const struct tg_config *config, tg_ask_fn ask,
                         tg_qr_fn qr, void *ctx, struct tg_error *err)
{
    const struct tg_login_settings *s = &config->login;
    struct login_op l = { .op = { .account = a, .err = err }, .ask = ask, .qr = qr, .ctx = ctx };
    struct tg_login_options options = {
        .phone = s->phone,
        .code = s->code,
        .password = s->password,
        .bot_token = s->bot_token,
        .qr = s->qr,
    };
    struct tg_login_hooks hooks = { .ctx = &l, .ask = on_ask, .qr = on_qr, .done = on_login_done };
    tg_code code;

    if (!a->session.api_id || !a->session.api_hash[0]) {
        tg_fail(err, TG_USAGE, "logging in needs an api id and an api hash");
        return tg_hint(err, "get them at https://my.telegram.org and pass --api-id and --api-hash");
    }
    l.login = tg_login_start(tg_net_client(a->net), &options, &hooks, tg_net_now(a->net));
    if (!l.login && !l.op.done)
        return tg_fail(err, TG_NOMEM, "no memory to log in");
    code = tg_account_run(a, login_step, &l, err);
    if (l.login)
        tg_login_cancel(l.login);
    return code;
}

/* ---- who it is, and logout ---- */

static void on_done(void *ctx, const struct tg_error *err)
{
    op_done(ctx, err);
}

static tg_code plain_step(void *ctx, int64_t now_us, struct tg_error *err)
{
    (void)now_us;
    return op_step(ctx, err);
}

tg_code tg_account_who(struct tg_account *a, struct tg_error *err)
{
    struct op op = { .account = a, .err = err };

    if (a->session.user_id)
        return TG_OK;
    if (!tg_session_authorized(&a->session)) {
        tg_fail(err, TG_AUTH, "session '%s' is not logged in", a->path);
        return tg_hint(err, "log in with `tgdata login`");
    }
    tg_whoami_start(tg_net_client(a->net), on_done, &op, tg_net_now(a->net));
    return tg_account_run(a, plain_step, &op, err);
}

tg_code tg_account_logout(struct tg_account *a, struct tg_error *err)
{
    struct op op = { .account = a, .err = err };
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
    struct op op;
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
