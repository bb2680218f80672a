/* SPDX-License-Identifier: MIT */
/*
 * handshake.h - creation of an authorization key, as a state machine; both roles, no socket
 *
 *   client                                   server
 *   req_pq_multi            -->
 *                           <--              resPQ
 *   req_DH_params           -->
 *                           <--              server_DH_params_ok
 *   set_client_DH_params    -->
 *                           <--              dh_gen_ok | dh_gen_retry | dh_gen_fail
 *
 * Both sides take and give the bodies of plain (unencrypted) messages. Every nonce, hash and number
 * of the peer is checked; the first thing wrong ends the handshake with TG_SECURITY or TG_PROTOCOL.
 * Facts: core.telegram.org/mtproto/auth_key and /security_guidelines.
 *
 * Threads: none: value type      Limits: 5 retries; answers below 4 KiB
 */
#ifndef MT_HANDSHAKE_H
#define MT_HANDSHAKE_H

#include "base/buf.h"
#include "crypto/dh.h"
#include "crypto/random.h"
#include "crypto/rsa.h"

/** An authorization key as both sides keep it. Wipe with mt_key_wipe. */
struct mt_key {
    uint8_t key[256];
    uint8_t id[8];       /* as on the wire */
    uint8_t aux_hash[8];
    int64_t expires_at;  /* Unix seconds of the server's clock; 0 for a permanent key */
};

/** Fills id and aux_hash from key. */
void mt_key_derive(struct mt_key *k);
void mt_key_wipe(struct mt_key *k);

/** What a finished handshake yields. */
struct mt_handshake_result {
    struct mt_key key;
    uint8_t salt[8];         /* first server salt, as on the wire */
    int64_t server_time;     /* Unix seconds, as the server said when it answered */
    int64_t time_offset_s;   /* client role: server_time - the local time of that moment */
    int64_t temp_expires_in; /* 0 for a permanent key */
    int32_t dc;              /* server role: as asked by the client; 0 if the flavour has none */
};

/* ---- client ---- */

struct mt_handshake_options {
    const struct tg_rsa_key *rsa; /* keys that are trusted; borrowed until the end */
    size_t n_rsa;
    int32_t dc;                   /* +10000 for test, negative for media */
    int32_t temp_expires_in;      /* 0: permanent key; else seconds */
    struct tg_dh_cache *dh_cache; /* primes tested before; borrowed; NULL: none is remembered */
};

struct mt_handshake;

/** Starts; the first message is appended to out. The options are copied. NULL if out of memory. */
struct mt_handshake *mt_handshake_new(const struct mt_handshake_options *options,
                                      const struct tg_random *random, struct tg_buf *out);
void mt_handshake_free(struct mt_handshake *h); /* wipes */

/**
 * Takes the body of one plain message; bytes behind the object are ignored, as servers may pad.
 * The next message, if any, is appended to out. Splitting pq and two exponentiations take a few
 * milliseconds; a prime that is neither Telegram's nor in the cache a third of a second.
 *
 * @param now_s  local Unix time, for time_offset_s
 * @return TG_AGAIN while it goes on; TG_OK with the result; TG_SECURITY or TG_PROTOCOL when the
 *         server lied or erred; TG_NOT_FOUND if none of its keys is trusted; TG_NOMEM. After any
 *         failure the handshake is over: start another.
 */
tg_code mt_handshake_input(struct mt_handshake *h, const void *body, size_t len, int64_t now_s,
                           struct tg_buf *out, struct mt_handshake_result *ret,
                           struct tg_error *err);

/* ---- server ---- */

struct mt_handshake_server_options {
    const struct tg_rsa_private *rsa; /* borrowed */
    int retries;                      /* answer dh_gen_retry that often before dh_gen_ok */
    int32_t dc;                       /* this DC's number: inner data that name another are
                                         refused; 0: any */
};

struct mt_handshake_server;

struct mt_handshake_server *
mt_handshake_server_new(const struct mt_handshake_server_options *options,
                        const struct tg_random *random);
void mt_handshake_server_free(struct mt_handshake_server *h);

/**
 * As mt_handshake_input, for the server: takes one request body, appends the answer. A request that
 * was answered already gets the identical answer again, for 10 minutes. Trailing bytes after the
 * object are allowed. A new req_pq starts over, also after a failure; until then every request
 * after a wrong one fails too.
 *
 * Taken: RSA_PAD and the older SHA1 block, around inner data with a DC or without.
 *
 * @param now_s  Unix time of the server's clock
 * @return TG_AGAIN with an answer; TG_OK once the key is made (out holds dh_gen_ok; a repeated
 *         request for it returns TG_AGAIN); TG_PROTOCOL: answer -404; TG_NOT_FOUND: the client
 *         means another DC, answer -444; TG_NOMEM
 */
tg_code mt_handshake_server_input(struct mt_handshake_server *h, const void *body, size_t len,
                                  int64_t now_s, struct tg_buf *out,
                                  struct mt_handshake_result *ret, struct tg_error *err);

#endif
