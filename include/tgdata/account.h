/* SPDX-License-Identifier: MIT */
/*
 * account.h - a Telegram account: its session file, login, chats
 *
 * Opening reads and locks the session file (a second process is refused: one session used twice at
 * once is killed by the server). All calls block and run the account's event loop on the calling
 * thread.
 *
 * Threads: one at a time per account; tg_account_stop from any thread or a signal handler
 */
#ifndef TGDATA_ACCOUNT_H
#define TGDATA_ACCOUNT_H

#include "tgdata/config.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_account;

/** What an account tells while it works: lines for a log, and waits. */
enum tg_note_kind {
    TG_NOTE_CONNECTING, /**< a connection is being made; text: where to ("DC 2"); wait_s 0 */
    TG_NOTE_CONNECTED,  /**< it stands and the key is agreed; text: where to; wait_s 0 */
    TG_NOTE_LOST,       /**< it ended or could not be made; text: why; wait_s: until the next try */
    TG_NOTE_FLOOD,      /**< text: the method that must wait; wait_s: as the server named it */
    TG_NOTE_RETRY,      /**< a request is sent again; text: why; wait_s: how long it is put off */
    TG_NOTE_INFO,       /**< text: one line worth telling; wait_s 0 */
    TG_NOTE_WARNING,    /**< text: one line that somebody should see; wait_s 0 */
};

struct tg_note {
    enum tg_note_kind kind;
    const char *text; /**< NUL-terminated, no line end; never NULL; valid during the call */
    double wait_s;    /**< seconds, at least 0 */
    const char *account; /**< its session file */
    int64_t chat_id;     /**< marked id of the chat that it is about; 0: of none, or not known */
    tg_code code;        /**< of the failure that it tells of; TG_OK: of none */
};

/** Gets a note: on the thread that runs a call, which waits until it returns. It must not call
 *  functions of the account but tg_account_stop. */
typedef void (*tg_note_fn)(void *ctx, const struct tg_note *note);

/**
 * Opens an account from the settings of scope ACCOUNT. Nothing is sent yet, but with the setting
 * coordinate (also named coordinate_across_workers) the Redis that it names is connected to. A
 * passphrase opens a sealed session file and seals a new one; a plain one is sealed by
 * tg_account_login only.
 *
 * @param note  called on the thread that runs a call; may be NULL
 * @return TG_OK; TG_BUSY: the session file is in use; TG_CORRUPT; TG_LOGIN: wrong passphrase;
 *         TG_IO; TG_USAGE; TG_NET, TG_UNUSABLE: Redis cannot be reached, or refuses
 */
TG_API tg_code tg_account_open(const struct tg_config *config, tg_note_fn note, void *ctx,
                               struct tg_account **ret, struct tg_error *err) TG_MUST_CHECK;

/** Closes connections, saves and unlocks the session, frees the account. NULL is nothing. Not while
 *  a call runs. */
TG_API void tg_account_close(struct tg_account *account);

/** Makes the running call end soon with TG_CANCELLED, and later ones at once. From any thread or a
 *  signal handler; not after tg_account_close. */
TG_API void tg_account_stop(struct tg_account *account);

/** What a login may ask for. */
enum tg_ask {
    TG_ASK_PHONE,
    TG_ASK_CODE,
    TG_ASK_PASSWORD, /**< do not echo */
};

/**
 * Fills `out` with an answer of at most n - 1 bytes, NUL-terminated.
 * @param hint  text for the user: where the code went, the password's hint; may be ""
 * @return TG_OK, or a failure that ends the login
 */
typedef tg_code (*tg_ask_fn)(void *ctx, enum tg_ask what, const char *hint, char *out, size_t n,
                             struct tg_error *err);

/** Shows a login link (tg://login?token=...) as a QR code; called again when it is renewed. */
typedef void (*tg_qr_fn)(void *ctx, const char *url, int64_t expires_unix_s);

/**
 * Logs in with the settings of scope LOGIN; asks for what is missing. A session that is logged in
 * already is checked with the server and stays as it is, unless the setting `force` is set: then it
 * is logged in anew, and its file replaced when that has worked (if not, close the account: only
 * the file still has the former login).
 * @return TG_OK; TG_USAGE also if the session is logged in as another account than the settings
 *         name; TG_LOGIN: the server refused code, password, token or phone; TG_FLOOD; TG_NET, ...
 */
TG_API tg_code tg_account_login(struct tg_account *account, const struct tg_config *config,
                                tg_ask_fn ask, tg_qr_fn qr, void *ctx,
                                struct tg_error *err) TG_MUST_CHECK;

/**
 * Logs out at the server, then deletes the session file. The account is of no use afterwards but
 * for tg_account_close.
 *
 * @param err  written only on failure
 * @return TG_OK; TG_AUTH: nobody is logged in; TG_NET, TG_SERVER, ...: the server did not answer,
 *         and login and file stay; TG_IO: logged out, but the file could not be deleted;
 *         TG_CANCELLED
 *
 * Blocks until the server has answered.
 */
TG_API tg_code tg_account_logout(struct tg_account *account, struct tg_error *err) TG_MUST_CHECK;

/** Who is logged in. */
struct tg_user_info {
    int64_t id;
    const char *name;     /**< may be "" */
    const char *username; /**< NULL: none */
    const char *phone;    /**< digits; "": none, or not told */
    bool bot;
    bool logged_in_now;   /**< tg_account_login did it, rather than an earlier run */
};

/**
 * Tells who is logged in. Asks the server only if that is not known yet.
 * @param ret  its texts are valid until the next call with this account
 * @return TG_OK; TG_AUTH: nobody is
 */
TG_API tg_code tg_account_self(struct tg_account *account, struct tg_user_info *ret,
                               struct tg_error *err) TG_MUST_CHECK;

/** @return the user id of the logged-in account; 0 if nobody is logged in or it is not known yet
 *  (tg_account_self asks). Sends nothing. */
TG_API int64_t tg_account_user(const struct tg_account *account);

/**
 * Writes the session as a string of another client. Whoever has it is logged in: keep it as secret
 * as the session file, and do not use both at once.
 *
 * @param format  "telethon" or "pyrogram"
 * @param out     the caller's; written only on TG_OK, NUL-terminated
 * @param n       bytes that out has room for, with the NUL; 512 are enough
 * @param err     written only on failure
 * @return TG_OK; TG_USAGE: no such format; TG_AUTH: nobody is logged in, or the format wants a user
 *         id that is not known yet; TG_UNSUPPORTED: the format cannot tell where this session is;
 *         TG_LIMIT: n is too small, the message says what it takes; TG_NOMEM
 *
 * Sends nothing.
 */
TG_API tg_code tg_account_export(struct tg_account *account, const char *format, char *out,
                                 size_t n, struct tg_error *err) TG_MUST_CHECK;

/** One chat of the account's list. Texts are valid during the call. */
struct tg_chat_info {
    int64_t id;           /**< marked id */
    const char *title;    /**< may be empty */
    const char *kind;     /**< user, bot, group, supergroup, forum, channel; "unknown" if it cannot
                               be read */
    const char *username; /**< NULL: none */
    int64_t members;      /**< -1 unknown */
    bool protected_content;
};

/** Gets a chat, on the thread of the call. @return false to stop: the call then ends with TG_OK */
typedef bool (*tg_chat_fn)(void *ctx, const struct tg_chat_info *chat);

/**
 * Lists the account's chats, in the order of its chat list. What was learned about them is kept in
 * the session.
 *
 * @param seen  called once for each chat, with ctx
 * @param err   written only on failure; chats may have been given before
 * @return TG_OK; TG_AUTH: nobody is logged in; TG_UNSUPPORTED: a bot has no list; TG_NET,
 *         TG_SERVER, TG_FLOOD, ...; TG_IO: the session could not be stored; TG_CANCELLED
 *
 * Blocks until the list is read, through flood waits as well.
 */
TG_API tg_code tg_account_chats(struct tg_account *account, tg_chat_fn seen, void *ctx,
                                struct tg_error *err) TG_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
