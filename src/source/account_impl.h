/* SPDX-License-Identifier: MIT */
/*
 * account_impl.h - an open account inside the library: session file, client, loop
 *
 * Work on an account, or on several that share a loop, is a step function that is called on the
 * loop after every event until it says that it is done (account_run.c).
 *
 * Threads: one at a time; stop from anywhere
 */
#ifndef TG_ACCOUNT_IMPL_H
#define TG_ACCOUNT_IMPL_H

#include <stdatomic.h>

#include "config/settings.h"
#include "os/lockfile.h"
#include "source/coordinate.h"
#include "source/net.h"
#include "tgdata/account.h"

struct tg_account {
    struct tg_account_settings settings; /* its texts are only used while opening */
    char *path, *passphrase;
    struct tg_lock *lock;
    struct tl_schema *schema;   /* loaded; NULL: the built-in one */
    struct tg_session_data session;
    struct tg_random random;
    struct tg_coordinate *coordinate; /* limits are shared; NULL: not */
    struct tg_net *net;
    tg_note_fn note;
    void *note_ctx;
    /* is told what the client tells, before that is noted, and takes care of objects that cannot be
       read; NULL: those are noted as warnings */
    void (*watch)(void *ctx, const struct tgc_notice *notice);
    void *watch_ctx;
    atomic_bool stop;
    bool plain;                 /* the file is not sealed and stays so, passphrase or not */
    bool told_plain;            /* the user knows, or is about to change it */
    bool dirty;                 /* the session must be written */
    bool held;                  /* but not before something worked with it */
    bool imported;              /* the login came from a session string */
    bool logged_in_now;         /* a login began while it is open */
    struct tg_error save_error; /* the last failure to write it */
    struct tg_loop *loop;           /* borrowed, shared with other accounts; NULL: its own */
    struct tg_account_work *work;   /* what runs now; NULL: nothing */
};

/** What is done on the loop, after each event of an account: TG_AGAIN until it has ended. `now_us`
 *  is that account's time. */
typedef tg_code (*tg_account_step)(void *ctx, struct tg_account *account, int64_t now_us,
                                   struct tg_error *err);

/** tg_account_open on a loop that is shared. */
tg_code tg_account_open_on(struct tg_loop *loop, const struct tg_config *config, tg_note_fn note,
                           void *ctx, struct tg_account **ret, struct tg_error *err);

/**
 * Runs `step` on the account's loop until it returns anything but TG_AGAIN.
 * @return what step returned; TG_CANCELLED after tg_account_stop, if step does not end by itself
 *         (it is told by tg_account_stopping)
 */
tg_code tg_account_run(struct tg_account *a, tg_account_step step, void *ctx,
                       struct tg_error *err);

/** The same for several accounts, all on one loop: step is called after each event of any. */
tg_code tg_accounts_run(struct tg_account *const *a, size_t n, tg_account_step step, void *ctx,
                        struct tg_error *err);

/** What tg_net calls after each event; ctx is the account. */
void tg_account_on_step(void *ctx, int64_t now_us);

static inline bool tg_account_stopping(const struct tg_account *a)
{
    return atomic_load_explicit(&a->stop, memory_order_relaxed);
}

/** What a line is about. */
struct tg_note_about {
    int64_t chat_id; /* 0: no chat */
    tg_code code;    /* TG_OK: no failure */
};

/** Tells a line to the account's owner. */
#define tg_account_note(a, kind, wait_s, ...)                                                      \
    tg_account_note_of(a, kind, wait_s, (struct tg_note_about){ 0 }, __VA_ARGS__)
void tg_account_note_of(struct tg_account *a, enum tg_note_kind kind, double wait_s,
                        struct tg_note_about about, const char *fmt, ...) TG_PRINTF(5, 6);

/** Tells a line about a circuit breaker that changed its state. */
void tg_account_tell_circuit(struct tg_account *a, const struct tg_circuit_change *c);

/** The settings of all breakers; zeroes where there is no setting. */
struct tg_breaker_options tg_account_breaker(const struct tg_account_settings *s);

/** What the operations on an account share: whether one is done, and how it ended. */
struct tg_account_op {
    struct tg_account *account;
    bool done;
    tg_code code;
    struct tg_error *err;
};

/** Ends it; err NULL is success. */
void tg_account_op_done(struct tg_account_op *op, const struct tg_error *err);
/** For a step function: TG_AGAIN until it is done or the account is stopped. */
tg_code tg_account_op_step(struct tg_account_op *op, struct tg_error *err);

/**
 * Makes sure that somebody is logged in and that it is known who: a session string of Telethon does
 * not tell, so the server is asked once.
 * @return TG_AUTH with a hint if nobody is; what asking failed with
 */
tg_code tg_account_who(struct tg_account *a, struct tg_error *err);

enum { TG_SESSION_FILE_MAX = 64 << 20 };

/** Reads a file. @return TG_NOT_FOUND, TG_IO, TG_LIMIT */
tg_code tg_account_read(const char *path, size_t max, struct tg_buf *out, struct tg_error *err);

/** Whether a session file can be read and somebody is logged in there, as far as it tells; one that
 *  is sealed is not opened if there is a passphrase for it, which takes its time.
 *  @return TG_AUTH: it is not there, or nobody is; TG_LOGIN: it is sealed; TG_CORRUPT */
tg_code tg_account_look(const char *path, bool has_passphrase, struct tg_error *err);

/** Asks the server in any case, which shows whether the login still holds. */
tg_code tg_account_ask_who(struct tg_account *a, struct tg_error *err);

/** Writes the session file if it changed. */
tg_code tg_account_save(struct tg_account *a, struct tg_error *err);

#endif
