/* SPDX-License-Identifier: MIT */
/*
 * account_login.c - logging in: a login that works is never lost by asking for one
 *
 *   session file logged in?  no                                    -> log in
 *                            yes, the server does not know it      -> log in
 *                            yes, and settings name another user   -> refused
 *                            yes                                   -> that is the answer
 *   with force: log in with new keys; the file is replaced when that has worked
 *   a session string was imported: it is the login, once the server has confirmed it
 *
 * A login with a passphrase also seals a session file that was plain.
 */
#include <stdlib.h>

#include "source/account_impl.h"
#include "telegram/login.h"

struct login_op {
    struct tg_account_op op;
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
    tg_account_op_done(&l->op, err);
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

static tg_code login_step(void *ctx, struct tg_account *a, int64_t now_us, struct tg_error *err)
{
    struct login_op *l = ctx;
    tg_code code;

    (void)a;
    while (l->asking && l->login) {
        code = answer(l, now_us, err);
        if (code != TG_OK)
            return code;
    }
    if (l->login && now_us >= tg_login_deadline(l->login))
        tg_login_tick(l->login, now_us);
    if (l->login)
        tg_net_timer(l->op.account->net, tg_login_deadline(l->login));
    return tg_account_op_step(&l->op, err);
}

static tg_code log_in(struct tg_account *a, const struct tg_login_settings *s, struct login_op *l,
                      struct tg_error *err)
{
    struct tg_login_options options = {
        .phone = s->phone,
        .code = s->code,
        .password = s->password,
        .bot_token = s->bot_token,
        .qr = s->qr,
    };
    struct tg_login_hooks hooks = { .ctx = l, .ask = on_ask, .qr = on_qr, .done = on_login_done };
    tg_code code;

    a->plain = a->plain && !a->passphrase;
    if (!a->session.api_id || !a->session.api_hash[0]) {
        tg_fail(err, TG_USAGE, "logging in needs an api id and an api hash");
        return tg_hint(err, "get them at https://my.telegram.org and pass --api-id and --api-hash");
    }
    l->login = tg_login_start(tg_net_client(a->net), &options, &hooks, tg_net_now(a->net));
    if (!l->login && !l->op.done)
        return tg_fail(err, TG_NOMEM, "no memory to log in");
    code = tg_account_run(a, login_step, l, err);
    if (l->login)
        tg_login_cancel(l->login);
    a->logged_in_now = code == TG_OK;
    return code;
}

/* ---- who is there already ---- */

static bool same_digits(const char *a, const char *b)
{
    for (;; a++, b++) {
        while (*a && (*a < '0' || *a > '9'))
            a++;
        while (*b && (*b < '0' || *b > '9'))
            b++;
        if (*a != *b || !*a)
            return *a == *b;
    }
}

/* Whether the settings name somebody else. Who scans a QR code is not known before. */
static bool names_another(const struct tg_login_settings *s, const struct tg_user_info *self)
{
    if (s->bot_token)
        return strtoll(s->bot_token, NULL, 10) != self->id;
    if (!s->phone || s->qr)
        return false;
    return self->bot || (*self->phone && !same_digits(s->phone, self->phone));
}

static tg_code seal(struct tg_account *a, struct tg_error *err)
{
    if (!a->plain || !a->passphrase)
        return TG_OK;
    a->plain = false;
    a->dirty = true;
    tg_account_note(a, TG_NOTE_INFO, 0, "session '%s' is sealed with the passphrase now", a->path);
    return tg_account_save(a, err);
}

static tg_code keep_login(struct tg_account *a, const struct tg_login_settings *s,
                          struct tg_error *err)
{
    struct tg_user_info self;
    tg_code code = tg_account_ask_who(a, err);

    if (code == TG_OK)
        code = tg_account_self(a, &self, err);
    if (code != TG_OK)
        return code;
    if (!names_another(s, &self)) {
        a->logged_in_now = a->imported;
        return seal(a, err);
    }
    tg_fail(err, TG_USAGE, "session '%s' is logged in as user %lld, not as the account asked for",
            a->path, (long long)self.id);
    return tg_hint(err, "name another session file with --session, end this login with `tgdata "
                        "logout`, or replace it with --force");
}

tg_code tg_account_login(struct tg_account *a, const struct tg_config *config, tg_ask_fn ask,
                         tg_qr_fn qr, void *ctx, struct tg_error *err)
{
    struct login_op l = { .op = { .account = a, .err = err }, .ask = ask, .qr = qr, .ctx = ctx };
    tg_code code = TG_AUTH;

    a->told_plain = true;
    if (a->imported)
        return keep_login(a, &config->login, err);
    if (tg_session_authorized(&a->session) && config->login.force) {
        a->held = true;
        tgc_forget_login(tg_net_client(a->net));
    } else if (tg_session_authorized(&a->session)) {
        code = keep_login(a, &config->login, err);
    }
    return code == TG_AUTH ? log_in(a, &config->login, &l, err) : code;
}
