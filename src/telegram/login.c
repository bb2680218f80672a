/* SPDX-License-Identifier: MIT */
/*
 * login.c - the login's life; phone and code, bot tokens
 *
 * Facts: core.telegram.org/api/auth, /method/auth.sendCode, /method/auth.signIn,
 * /type/auth.SentCodeType, /method/auth.importBotAuthorization.
 */
#include "telegram/login.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/ct.h"
#include "telegram/login_impl.h"

enum { ASKS_MAX = 3, PHONE_DIGITS_MIN = 5, PHONE_DIGITS_MAX = 15 };

static void begin(struct tg_login *l, int64_t now_us);

/* ---- the end ---- */

static void release(struct tg_login *l)
{
    if (l->call)
        tgc_cancel(l->client, l->call);
    if (l->gone)
        *l->gone = true;
    tg_wipe(l, sizeof *l);
    free(l);
}

void tg_login_end(struct tg_login *l, const struct tg_error *err)
{
    struct tg_login_hooks hooks = l->hooks;

    release(l);
    hooks.done(hooks.ctx, err);
}

void tg_login_cancel(struct tg_login *l)
{
    if (l)
        release(l);
}

void tg_login_refused(struct tg_login *l, const struct tgc_reply *reply)
{
    struct tg_error err;

    tg_login_explain(reply, &err);
    tg_login_end(l, &err);
}

void tg_login_odd(struct tg_login *l, const char *method)
{
    struct tg_error err;

    tg_fail(&err, TG_PROTOCOL, "the server's answer to %s makes no sense here", method);
    tg_hint(&err, "run the login again; if that does not help, update this program");
    tg_login_end(l, &err);
}

void tg_login_authorized(struct tg_login *l, const struct tl_value *v, const char *method)
{
    struct tg_session_data *session = tgc_session(l->client);
    struct tg_error err;

    if (tl_name(v) == TLN_auth_authorizationSignUpRequired) {
        tg_fail(&err, TG_LOGIN, "there is no Telegram account with this phone number");
        tg_hint(&err, "sign up in an official Telegram app first");
        tg_login_end(l, &err);
        return;
    }
    if (tl_name(v) != TLN_auth_authorization) {
        tg_login_odd(l, method);
        return;
    }
    if (l->phone[0]) /* what the user object says comes over it */
        memcpy(session->phone, l->phone, strlen(l->phone) + 1);
    if (tg_login_note_user(l->client, tl_get_obj(v, TLN_user)))
        tg_login_end(l, NULL);
    else
        tg_login_odd(l, method);
}

/* ---- calls and questions ---- */

static void on_reply(void *ctx, const struct tgc_reply *reply)
{
    struct tg_login *l = ctx;

    l->call = 0;
    if (tg_login_is(reply, "AUTH_RESTART*") && l->restarts++ < LOGIN_RESTARTS_MAX)
        begin(l, reply->now_us);
    else
        l->on_reply(l, reply);
}

void tg_login_call(struct tg_login *l, const struct tl_value *query, struct tgc_request *how,
                   void (*then)(struct tg_login *l, const struct tgc_reply *reply), int64_t now_us)
{
    struct tg_error err;

    assert(l->call == 0 && !l->asking);
    how->before_login = how->follow_home = how->flood_fails = true;
    how->done = on_reply;
    how->ctx = l;
    l->on_reply = then;
    l->call = tg_request(l->client, query, how, now_us);
    if (l->call)
        return;
    tg_fail(&err, TG_NOMEM, "no memory to call %s", how->method);
    tg_login_end(l, &err);
}

void tg_login_ask(struct tg_login *l, enum tg_login_question what, const char *hint,
                  const struct tg_error *refusal)
{
    int32_t asks_max = l->options.asks_max > 0 ? l->options.asks_max : ASKS_MAX;
    struct tg_error err;

    assert(!l->asking && l->call == 0);
    if (l->asked[what]++ >= asks_max) {
        if (refusal) {
            err = *refusal;
        } else {
            tg_fail(&err, TG_LOGIN, "the server asked for the same thing too often");
            tg_hint(&err, "run the login again");
        }
        tg_login_end(l, &err);
        return;
    }
    l->asking = true;
    l->question = what;
    l->hooks.ask(l->hooks.ctx, what, hint);
}

/* ---- phone and code ---- */

/* Keeps the digits of a phone number as people write it. @return false if it is none */
static bool clean_phone(const char *text, char out[24])
{
    size_t n = 0;

    for (; *text; text++) {
        if (*text >= '0' && *text <= '9') {
            if (n == PHONE_DIGITS_MAX)
                return false;
            out[n++] = *text;
        } else if (!strchr("+ -./()\t\r\n", *text) || (*text == '+' && n)) {
            return false;
        }
    }
    out[n] = 0;
    return n >= PHONE_DIGITS_MIN;
}

static const struct {
    uint32_t type;
    const char *text;
    bool email, wordy;
    uint32_t detail; /* a text field that tells more; 0 none */
} sent_table[] = {
    { TLN_auth_sentCodeTypeApp, "sent to the Telegram app", false, false, 0 },
    { TLN_auth_sentCodeTypeSms, "sent by SMS", false, false, 0 },
    { TLN_auth_sentCodeTypeFirebaseSms, "sent by SMS", false, false, 0 },
    { TLN_auth_sentCodeTypeCall, "told in a phone call", false, false, 0 },
    { TLN_auth_sentCodeTypeFlashCall, "the number that calls and hangs up:", false, false,
      TLN_pattern },
    { TLN_auth_sentCodeTypeMissedCall, "the last digits of the number that calls, beginning with",
      false, false, TLN_prefix },
    { TLN_auth_sentCodeTypeEmailCode, "sent by mail to", true, false, TLN_email_pattern },
    { TLN_auth_sentCodeTypeFragmentSms, "sent to the number's owner on fragment.com", false, false,
      0 },
    { TLN_auth_sentCodeTypeSmsWord, "a word sent by SMS", false, true, TLN_beginning },
    { TLN_auth_sentCodeTypeSmsPhrase, "words sent by SMS", false, true, TLN_beginning },
};

/* Learns how the code was sent. @return false if it cannot be entered here */
static bool note_sent(struct tg_login *l, const struct tl_value *sent)
{
    const struct tl_value *type = tl_get_obj(sent, TLN_type);
    struct tg_str hash = tl_get_str(sent, TLN_phone_code_hash);

    if (hash.len == 0 || hash.len >= sizeof l->code_hash || memchr(hash.at, 0, hash.len))
        return false;
    memcpy(l->code_hash, hash.at, hash.len);
    l->code_hash[hash.len] = 0;
    for (size_t i = 0; i < TG_COUNT(sent_table); i++) {
        struct tg_str detail = { 0 };

        if (sent_table[i].type != tl_name(type))
            continue;
        if (sent_table[i].detail)
            detail = tl_get_str(type, sent_table[i].detail);
        snprintf(l->sent_to, sizeof l->sent_to, "%s%s%.*s", sent_table[i].text,
                 detail.len ? " " : "", (int)TG_MIN(detail.len, 40u), detail.len ? detail.at : "");
        l->email = sent_table[i].email;
        l->wordy = sent_table[i].wordy;
        l->code_len = tl_get_int(type, TLN_length, 0);
        return true;
    }
    return false;
}

static void ask_code(struct tg_login *l, const char *before, const struct tg_error *refusal)
{
    char hint[160];

    if (l->code_len > 0 && l->code_len <= 32)
        snprintf(hint, sizeof hint, "%s%s, %d digits", before, l->sent_to, (int)l->code_len);
    else
        snprintf(hint, sizeof hint, "%s%s", before, l->sent_to);
    tg_login_ask(l, TG_LOGIN_CODE, hint, refusal);
}

static void send_code(struct tg_login *l, int64_t now_us);

static void ask_phone(struct tg_login *l, const char *hint, const struct tg_error *refusal)
{
    l->phone[0] = 0;
    tg_login_ask(l, TG_LOGIN_PHONE, hint, refusal);
}

static void on_signed_in(struct tg_login *l, const struct tgc_reply *reply)
{
    bool wrong = tg_login_is(reply, "PHONE_CODE_INVALID") ||
                 tg_login_is(reply, "PHONE_CODE_EMPTY") || tg_login_is(reply, "EMAIL_CODE_INVALID");
    struct tg_arena arena;
    struct tg_error err;

    if (tg_login_is(reply, "SESSION_PASSWORD_NEEDED")) {
        tg_login_password(l, reply->now_us);
    } else if (wrong && !l->options.code) {
        tg_login_explain(reply, &err);
        ask_code(l, "that was wrong, try again: ", &err);
    } else if (tg_login_is(reply, "PHONE_CODE_EXPIRED") && !l->options.code && l->resends++ == 0) {
        send_code(l, reply->now_us);
    } else if (reply->code != TG_OK) {
        tg_login_refused(l, reply);
    } else {
        tg_arena_init(&arena, LOGIN_ARENA_MAX);
        tg_login_authorized(l, tg_reply_value(l->client, reply, &arena, &err), "auth.signIn");
        tg_arena_done(&arena);
    }
}

/* A code as it is typed: digits may be grouped, words keep their spaces inside. */
static void clean_code(const char *text, bool wordy, char out[LOGIN_TEXT_MAX])
{
    size_t n = 0;

    text += strspn(text, " \t\r\n");
    for (; *text && n < LOGIN_TEXT_MAX - 1; text++)
        if (wordy || !strchr(" -\t\r\n", *text))
            out[n++] = *text;
    while (n && strchr(" \t\r\n", out[n - 1]))
        n--;
    out[n] = 0;
}

static void sign_in(struct tg_login *l, const char *text, int64_t now_us)
{
    struct tgc_request how = { .method = "auth.signIn" };
    struct tg_arena arena;
    struct tl_value *q, *email;
    char code[LOGIN_TEXT_MAX];

    clean_code(text, l->wordy, code);
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, TLN_auth_signIn);
    tl_set_cstr(q, TLN_phone_number, l->phone);
    tl_set_cstr(q, TLN_phone_code_hash, l->code_hash);
    if (l->email) {
        email = tl_set_new(q, TLN_email_verification, TLN_emailVerificationCode);
        tl_set_cstr(email, TLN_code, code);
    } else {
        tl_set_cstr(q, TLN_phone_code, code);
    }
    tg_login_call(l, q, &how, on_signed_in, now_us);
    tg_arena_done(&arena);
    tg_wipe(code, sizeof code);
}

/* The code can be had in some way that this program has no part in. */
static void end_unsendable(struct tg_login *l, const struct tl_value *v)
{
    struct tg_error err;

    if (tl_name(v) == TLN_auth_sentCodePaymentRequired)
        tg_fail(&err, TG_LOGIN, "Telegram wants to be paid for sending a code to this number");
    else if (tl_name(tl_get_obj(v, TLN_type)) == TLN_auth_sentCodeTypeSetUpEmailRequired)
        tg_fail(&err, TG_LOGIN, "Telegram wants the account to have a mail address for logging in");
    else {
        tg_login_odd(l, "auth.sendCode");
        return;
    }
    tg_hint(&err, "log in with an official Telegram app first, then here with --qr");
    tg_login_end(l, &err);
}

static void on_code_sent(struct tg_login *l, const struct tgc_reply *reply)
{
    const struct tl_value *v;
    struct tg_arena arena;
    struct tg_error err;

    if (tg_login_is(reply, "PHONE_NUMBER_INVALID") && !l->options.phone) {
        tg_login_explain(reply, &err);
        ask_phone(l, "that was no phone number, try again: international form", &err);
        return;
    }
    if (reply->code != TG_OK) {
        tg_login_refused(l, reply);
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    v = tg_reply_value(l->client, reply, &arena, &err);
    if (tl_name(v) == TLN_auth_sentCodeSuccess)
        tg_login_authorized(l, tl_get_obj(v, TLN_authorization), "auth.sendCode");
    else if (tl_name(v) != TLN_auth_sentCode || !note_sent(l, v))
        end_unsendable(l, v);
    else if (l->options.code)
        sign_in(l, l->options.code, reply->now_us);
    else
        ask_code(l, l->resends ? "the code had expired, a new one was " : "", NULL);
    tg_arena_done(&arena);
}

static void send_code(struct tg_login *l, int64_t now_us)
{
    const struct tg_session_data *session = tgc_session(l->client);
    struct tgc_request how = { .method = "auth.sendCode" };
    struct tg_arena arena;
    struct tl_value *q;

    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, TLN_auth_sendCode);
    tl_set_cstr(q, TLN_phone_number, l->phone);
    tl_set_int(q, TLN_api_id, session->api_id);
    tl_set_cstr(q, TLN_api_hash, session->api_hash);
    tl_set_new(q, TLN_settings, TLN_codeSettings);
    tg_login_call(l, q, &how, on_code_sent, now_us);
    tg_arena_done(&arena);
}

static void take_phone(struct tg_login *l, const char *text, int64_t now_us)
{
    struct tg_error err;

    if (clean_phone(text, l->phone)) {
        send_code(l, now_us);
        return;
    }
    tg_fail(&err, TG_USAGE, "'%.40s' is no phone number", text);
    tg_hint(&err, "give it in international form, such as +491701234567");
    if (l->options.phone)
        tg_login_end(l, &err);
    else
        ask_phone(l, "that was no phone number, try again: international form", &err);
}

/* ---- bots ---- */

static void on_bot(struct tg_login *l, const struct tgc_reply *reply)
{
    struct tg_arena arena;
    struct tg_error err;

    if (reply->code != TG_OK) {
        tg_login_refused(l, reply);
        return;
    }
    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    tg_login_authorized(l, tg_reply_value(l->client, reply, &arena, &err),
                        "auth.importBotAuthorization");
    tg_arena_done(&arena);
}

static void log_in_bot(struct tg_login *l, int64_t now_us)
{
    const struct tg_session_data *session = tgc_session(l->client);
    struct tgc_request how = { .method = "auth.importBotAuthorization" };
    struct tg_arena arena;
    struct tl_value *q;

    tg_arena_init(&arena, LOGIN_ARENA_MAX);
    q = tl_obj(&arena, TLN_auth_importBotAuthorization);
    tl_set_int(q, TLN_flags, 0);
    tl_set_int(q, TLN_api_id, session->api_id);
    tl_set_cstr(q, TLN_api_hash, session->api_hash);
    tl_set_cstr(q, TLN_bot_auth_token, l->options.bot_token);
    tg_login_call(l, q, &how, on_bot, now_us);
    tg_arena_done(&arena);
}

/* ---- life ---- */

static void begin(struct tg_login *l, int64_t now_us)
{
    l->deadline_us = INT64_MAX;
    if (l->options.bot_token)
        log_in_bot(l, now_us);
    else if (l->options.qr)
        tg_login_qr(l, now_us);
    else if (l->phone[0])
        send_code(l, now_us);
    else if (l->options.phone)
        take_phone(l, l->options.phone, now_us);
    else
        ask_phone(l, "international form, such as +491701234567", NULL);
}

struct tg_login *tg_login_start(struct tgc *client, const struct tg_login_options *options,
                                const struct tg_login_hooks *hooks, int64_t now_us)
{
    struct tg_login *l = calloc(1, sizeof *l);
    bool gone = false;

    assert(hooks->ask && hooks->done);
    if (!l)
        return NULL;
    l->client = client;
    l->options = *options;
    l->hooks = *hooks;
    l->gone = &gone;
    begin(l, now_us);
    if (gone)
        return NULL;
    l->gone = NULL;
    return l;
}

/* Nobody can answer: tells how the answer can be given beforehand. */
static void end_unanswered(struct tg_login *l)
{
    static const struct {
        const char *what, *hint;
    } row[] = {
        [TG_LOGIN_PHONE] = { "the phone number is",
                             "give it with --phone, or use --qr or --bot-token" },
        [TG_LOGIN_CODE] = { "the login code is", "give it with --code or in TGDATA_CODE" },
        [TG_LOGIN_PASSWORD] = { "the two-step verification password is",
                                "give it with --password or in TGDATA_PASSWORD" },
    };
    struct tg_error err;

    tg_fail(&err, TG_USAGE, "%s missing, and nobody is there to be asked", row[l->question].what);
    tg_hint(&err, "%s", row[l->question].hint);
    tg_login_end(l, &err);
}

void tg_login_answer(struct tg_login *l, const char *text, int64_t now_us)
{
    if (!l->asking)
        return;
    if (!text) {
        end_unanswered(l);
        return;
    }
    l->asking = false;
    switch (l->question) {
    case TG_LOGIN_PHONE:
        take_phone(l, text, now_us);
        break;
    case TG_LOGIN_CODE:
        sign_in(l, text, now_us);
        break;
    case TG_LOGIN_PASSWORD:
        tg_login_password_answer(l, text, now_us);
        break;
    }
}

void tg_login_tick(struct tg_login *l, int64_t now_us)
{
    if (now_us >= l->deadline_us && l->call == 0 && !l->asking)
        tg_login_qr(l, now_us);
}

int64_t tg_login_deadline(const struct tg_login *l)
{
    return l->deadline_us;
}
