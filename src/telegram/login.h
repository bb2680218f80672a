/* SPDX-License-Identifier: MIT */
/*
 * login.h - logging an account in: phone code, two-step password (SRP), bot token, QR; and out
 *
 *   phone: sendCode -> ask code -> signIn -> [SESSION_PASSWORD_NEEDED -> getPassword -> ask
 *          password -> checkPassword] -> done
 *   QR:    exportLoginToken -> show -> poll / updateLoginToken -> [MigrateTo DC] -> [password] ->
 * done bot:   importBotAuthorization -> done
 *
 * A wrong code or password is asked for again a few times when a person answers, never when it came
 * from the settings. On success the session data says who is logged in, and is saved.
 *
 * Threads: none: runs inside the client's callbacks
 */
#ifndef TG_LOGIN_H
#define TG_LOGIN_H

#include "telegram/client.h"

enum tg_login_question { TG_LOGIN_PHONE, TG_LOGIN_CODE, TG_LOGIN_PASSWORD };

struct tg_login_options {
    const char *phone, *code, *password, *bot_token; /* NULL: ask; borrowed until done */
    bool qr;
    int32_t asks_max; /* how often the same thing is asked for; 0: 3 */
};

struct tg_login;

struct tg_login_hooks {
    void *ctx;
    /** Answer with tg_login_answer, at once or later. */
    void (*ask)(void *ctx, enum tg_login_question what, const char *hint);
    void (*qr)(void *ctx, const char *url, int64_t expires_unix_s);
    /** Last call; err is NULL on success. The login frees itself afterwards. */
    void (*done)(void *ctx, const struct tg_error *err);
};

/**
 * Starts. `ask` and `done` may be called before it returns: answer such a question afterwards.
 * @return the running login, owned by itself until done; NULL if done was called already, or out of
 *         memory (done is not called then)
 */
struct tg_login *tg_login_start(struct tgc *client, const struct tg_login_options *options,
                                const struct tg_login_hooks *hooks, int64_t now_us);
/** `text` is copied; NULL means that nobody can answer: the login ends with TG_USAGE and a hint. */
void tg_login_answer(struct tg_login *login, const char *text, int64_t now_us);
/** Drives QR polling. Call when tg_login_deadline has passed. */
void tg_login_tick(struct tg_login *login, int64_t now_us);
int64_t tg_login_deadline(const struct tg_login *login);
/** Ends it without done. */
void tg_login_cancel(struct tg_login *login);

/** Asks the server who is logged in (users.getUsers of oneself) and stores it in the session, as an
 *  imported Telethon string does not tell. done gets NULL on success. */
void tg_whoami_start(struct tgc *client, void (*done)(void *ctx, const struct tg_error *err),
                     void *ctx, int64_t now_us);

/** auth.logOut; done gets NULL on success. Also succeeds if the server says it was logged out. The
 *  session has neither login nor keys afterwards. */
void tg_logout_start(struct tgc *client, void (*done)(void *ctx, const struct tg_error *err),
                     void *ctx, int64_t now_us);

#endif
