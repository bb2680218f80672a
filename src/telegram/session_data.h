/* SPDX-License-Identifier: MIT */
/*
 * session_data.h - what an account keeps between runs: keys, addresses, login, known peers
 *
 * The owner stores it as an opaque blob (a file 0600, optionally sealed with a passphrase):
 *
 *   "TGSESSN" 02 | length of the rest after the hash, 8 | SHA-256 of that, 32
 *                | account, DCs, peers, where the DCs are, learned limits, breakers
 *
 * or the same inside a sealed file of crypto/aead.h. Version 01, which did not say where, is read
 * too. Session strings of Telethon and Pyrogram are read and written as well, so that a login made
 * elsewhere can be used and taken back.
 *
 * Threads: none: value type      Limits: 16 DCs, blob 64 MiB, 1,000,000 peers, 64 learned limits
 */
#ifndef TG_SESSION_DATA_H
#define TG_SESSION_DATA_H

#include "crypto/aead.h"
#include "crypto/random.h"
#include "flow/breaker.h"
#include "mtproto/handshake.h"
#include "telegram/datacenter.h"
#include "telegram/peers.h"

enum { TG_DC_MAX = 16, TG_LIMIT_RECORDS_MAX = 64 };

/** State kept per data centre. */
struct tg_dc_state {
    int32_t id; /* 0: free slot */
    struct tg_dc_address address;
    bool has_key;
    struct mt_key key; /* permanent */
    uint8_t salt[8];
    int64_t time_offset_us;
    bool authorized; /* this key is logged in there */
    struct tg_breaker_record breaker;
};

/** What a limiter has learned of the server, so that the next run need not (flow/limiter.h). */
struct tg_limit_record {
    char method[64];
    int32_t dc;
    int64_t learned_milli; /* requests per 1000 seconds; > 0 */
    int64_t at_s;          /* when, Unix seconds */
};

/** A key derived from a passphrase, kept because deriving takes a third of a second. */
struct tg_session_seal {
    bool has;
    struct tg_seal_key key;
    uint8_t of[TG_SHA256]; /* salted hash of the passphrase that it belongs to */
};

struct tg_session_data {
    int32_t api_id;
    char api_hash[65];
    bool test; /* as where.test */
    int32_t home_dc;
    int64_t user_id; /* 0: not logged in, or tg_session_authorized and unknown */
    bool is_bot;
    char phone[32];
    int64_t peers_of; /* the user whose access hashes the peers hold; 0 none yet */
    struct tg_dc_state dc[TG_DC_MAX];
    struct tg_peers peers;
    struct tg_datacenter where; /* the servers that the keys belong to; n_dc 0: not known */
    struct tg_limit_record *limit; /* owned */
    size_t n_limits;
    struct tg_breaker_record breaker; /* the account's */
    struct tg_session_seal seal; /* never stored */
};

void tg_session_data_init(struct tg_session_data *s);
void tg_session_data_done(struct tg_session_data *s); /* wipes keys */

/** @return the slot of a DC, made if absent; NULL if all are taken */
struct tg_dc_state *tg_session_dc(struct tg_session_data *s, int32_t id);

/** @return whether the home DC's key is logged in. A Telethon string does not tell to whom: then
 *  user_id is 0 until tg_whoami_start has asked */
bool tg_session_authorized(const struct tg_session_data *s);

/**
 * Says where the data centres are, moving `where` into the session. What a session holds belongs to
 * the servers that it came from: other servers (tg_datacenter_same) begin with nothing.
 * @return false if they are others and somebody is logged in: then nothing changed, and `where` is
 *         still the caller's
 */
bool tg_session_set_where(struct tg_session_data *s, struct tg_datacenter *where);

/** @return what was learned of a method at a DC; NULL: nothing */
const struct tg_limit_record *tg_session_limit(const struct tg_session_data *s, const char *method,
                                               int32_t dc);

/** Makes room for all records. @return false out of memory */
bool tg_session_limit_room(struct tg_session_data *s);

/** Keeps what was learned; the oldest record makes room. A method whose name is too long is not
 *  kept, and nothing is out of memory. @return whether that changed anything but the time */
bool tg_session_set_limit(struct tg_session_data *s, const char *method, int32_t dc,
                          int64_t learned_milli, int64_t at_s);

/** Forgets login and keys of all DCs; peers stay. */
void tg_session_forget_login(struct tg_session_data *s);

/** Notes who is logged in at the home DC now; logins on further DCs have to be carried over anew,
 *  and peers that another user learned are dropped. `phone` may be NULL or empty: stays. */
void tg_session_set_user(struct tg_session_data *s, int64_t user_id, bool is_bot,
                         struct tg_str phone);

/** Appends the blob. `passphrase` NULL: not sealed. The first sealing derives a key, which takes a
 *  third of a second; later ones with the same passphrase use it again.
 *  @return TG_NOMEM; TG_LIMIT if it passes 64 MiB or out's cap */
tg_code tg_session_write(struct tg_session_data *s, const char *passphrase,
                         const struct tg_random *random, struct tg_buf *out, struct tg_error *err);

/** Reads a blob into an initialised struct, which is unchanged on failure. A passphrase that a blob
 *  does not need is ignored. @return TG_CORRUPT; TG_LOGIN if the passphrase is wrong or missing */
tg_code tg_session_read(const void *blob, size_t len, const char *passphrase,
                        struct tg_session_data *ret, struct tg_error *err);

enum tg_session_format { TG_SESSION_TELETHON, TG_SESSION_PYROGRAM };

/**
 * Imports a session string: sets home DC, key, the address unless `where` knows one, and what else
 * it tells; other logins, keys and peers are forgotten. Unchanged on failure.
 *
 * Telethon:       '1' + base64url of  dc 1 | IPv4 4 or IPv6 16 | port 2 | key 256
 * Pyrogram:       base64url of        dc 1 | api_id 4 | test 1 | key 256 | user 8 | bot 1
 * older Pyrogram: base64url of        dc 1 | test 1 | key 256 | user 4 or 8 | bot 1
 *
 * all big endian; padding is optional, white space around is ignored.
 * @return TG_DATA if it is malformed, of the other network (test or not), or of a DC without
 * address
 */
tg_code tg_session_import(struct tg_session_data *s, const char *text,
                          const struct tg_datacenter *where, struct tg_error *err);

/** Appends a session string of the home DC. @return TG_AUTH if not logged in, or for Pyrogram if it
 *  is not known who is; TG_UNSUPPORTED for Telethon if the DC's address is a name */
tg_code tg_session_export(const struct tg_session_data *s, enum tg_session_format format,
                          struct tg_buf *out, struct tg_error *err);

#endif
