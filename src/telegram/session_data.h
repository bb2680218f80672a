/* SPDX-License-Identifier: MIT */
/*
 * session_data.h - what an account keeps between runs: keys, addresses, login, known peers
 *
 * The owner stores it as an opaque blob (a file 0600, optionally sealed with a passphrase). Also
 * reads and writes the session strings of Telethon and Pyrogram, so that a login made elsewhere can
 * be used and taken back.
 *
 * Threads: none: value type      Limits: 32 DCs, blob 64 MiB, 1,000,000 peers
 */
#ifndef TG_SESSION_DATA_H
#define TG_SESSION_DATA_H

#include "crypto/random.h"
#include "mtproto/handshake.h"
#include "telegram/datacenter.h"
#include "telegram/peers.h"

enum { TG_DC_MAX = 32 };

/** State kept per data centre. */
struct tg_dc_state {
    int32_t id;              /* 0: free slot */
    struct tg_dc_address address;
    bool has_key;
    struct mt_key key;       /* permanent */
    uint8_t salt[8];
    int64_t time_offset_us;
    bool authorized;         /* this key is logged in there */
};

struct tg_session_data {
    int32_t api_id;
    char api_hash[65];
    bool test;
    int32_t home_dc;
    int64_t user_id;         /* 0: not logged in */
    bool is_bot;
    char phone[32];
    struct tg_dc_state dc[TG_DC_MAX];
    struct tg_peers peers;
};

void tg_session_data_init(struct tg_session_data *s);
void tg_session_data_done(struct tg_session_data *s); /* wipes keys */

/** @return the slot of a DC, made if absent; NULL if all are taken */
struct tg_dc_state *tg_session_dc(struct tg_session_data *s, int32_t id);

/** Appends the blob. `passphrase` NULL: not sealed. */
tg_code tg_session_write(const struct tg_session_data *s, const char *passphrase,
                         const struct tg_random *random, struct tg_buf *out,
                         struct tg_error *err);

/** Reads a blob into an initialised struct. @return TG_CORRUPT; TG_LOGIN if the passphrase is wrong
 *  or missing */
tg_code tg_session_read(const void *blob, size_t len, const char *passphrase,
                        struct tg_session_data *ret, struct tg_error *err);

enum tg_session_format { TG_SESSION_TELETHON, TG_SESSION_PYROGRAM };

/** Imports a session string: sets home DC, address, key and what else it tells.
 *  @return TG_DATA if it is malformed */
tg_code tg_session_import(struct tg_session_data *s, const char *text,
                          const struct tg_datacenter *where, struct tg_error *err);

/** Appends a session string of the home DC. @return TG_AUTH if not logged in */
tg_code tg_session_export(const struct tg_session_data *s, enum tg_session_format format,
                          struct tg_buf *out, struct tg_error *err);

#endif
