/* SPDX-License-Identifier: MIT */
/*
 * login_impl.h - the login's insides, shared by login.c (phone, code, bot, the end),
 * login_password.c (two-step verification), login_qr.c (login tokens), login_who.c (who it is,
 * logging out) and login_errors.c (what refusals mean)
 *
 * At any time a login waits for one thing: a reply (`call`), an answer (`asking`), or the time
 * (`deadline_us`). Every function below that takes the login may end it, so that the caller must
 * not touch it afterwards.
 */
#ifndef TG_LOGIN_IMPL_H
#define TG_LOGIN_IMPL_H

#include "telegram/login.h"
#include "telegram/request.h"

enum {
    LOGIN_ARENA_MAX = 1 << 20,
    LOGIN_TEXT_MAX = 512,   /* longest answer */
    LOGIN_RESTARTS_MAX = 2, /* AUTH_RESTART and expired codes, each */
};

struct tg_login {
    struct tgc *client;
    struct tg_login_options options;
    struct tg_login_hooks hooks;
    bool *gone;    /* of tg_login_start: set when it ends before that returns */
    uint64_t call; /* 0: none is on its way */
    void (*on_reply)(struct tg_login *l, const struct tgc_reply *reply);
    bool asking;
    enum tg_login_question question;
    int32_t asked[TG_LOGIN_PASSWORD + 1];
    int64_t deadline_us; /* INT64_MAX: none */
    uint32_t restarts;
    /* phone and code */
    char phone[24];
    char code_hash[256];
    char sent_to[96];  /* "sent to the Telegram app" */
    int32_t code_len;  /* 0 unknown */
    bool email, wordy; /* the code came by mail; is words, not digits */
    uint32_t resends;
    /* password */
    char password[LOGIN_TEXT_MAX];
    bool has_password;
    uint32_t refetches;
    /* QR */
    uint8_t token[256]; /* the one that is shown */
    size_t token_len;
    int32_t token_dc; /* 0: home */
    uint32_t migrations;
};

/** Sends a query that may be sent before login; `on_reply` gets what is no AUTH_RESTART. */
void tg_login_call(struct tg_login *l, const struct tl_value *query, struct tgc_request *how,
                   void (*on_reply)(struct tg_login *l, const struct tgc_reply *reply),
                   int64_t now_us);

/** Asks the person, unless that was done often enough: then the login ends with `refusal`. */
void tg_login_ask(struct tg_login *l, enum tg_login_question what, const char *hint,
                  const struct tg_error *refusal);

/** Ends the login: done(err), then it is gone. */
void tg_login_end(struct tg_login *l, const struct tg_error *err);

/** Ends it with what a failed reply means. */
void tg_login_refused(struct tg_login *l, const struct tgc_reply *reply);

/** Ends it because a reply is not what it should be. */
void tg_login_odd(struct tg_login *l, const char *method);

/** Takes an auth.Authorization: stores who is logged in and ends. NULL is odd. */
void tg_login_authorized(struct tg_login *l, const struct tl_value *authorization,
                         const char *method);

/* login_password.c */
void tg_login_password(struct tg_login *l, int64_t now_us);
void tg_login_password_answer(struct tg_login *l, const char *text, int64_t now_us);

/* login_qr.c */
void tg_login_qr(struct tg_login *l, int64_t now_us);

/* login_who.c: stores who is logged in, with the user's own peer. False if that is no user */
bool tg_login_note_user(struct tgc *c, const struct tl_value *user);

/* login_errors.c */

/** Fills err with what a failed reply means for a login, in one line with a hint. */
tg_code tg_login_explain(const struct tgc_reply *reply, struct tg_error *err);

/** @return whether the reply is that rpc_error; a trailing '*' stands for any end */
bool tg_login_is(const struct tgc_reply *reply, const char *text);

#endif
