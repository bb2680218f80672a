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
    int64_t expires_at;  /* Unix seconds; 0 for a permanent key */
};

/** Fills id and aux_hash from key. */
void mt_key_derive(struct mt_key *k);
void mt_key_wipe(struct mt_key *k);

/** What a finished handshake yields. */
struct mt_handshake_result {
    struct mt_key key;
    uint8_t salt[8];         /* first server salt, as on the wire */
    int64_t server_time;     /* Unix seconds, as the server said when it answered */
    int64_t temp_expires_in; /* 0 for a permanent key */
    int32_t dc;              /* server role: as asked by the client; 0 if the flavour has none */
};

/* ---- client ---- */

struct mt_handshake_options {
    const struct tg_rsa_key *rsa; /* keys that are trusted; borrowed until the end */
    size_t n_rsa;
    int32_t dc;                   /* +10000 for test, negative for media */
    int32_t temp_expires_in;      /* 0: permanent key; else seconds */
};

struct mt_handshake;

/** Starts; the first message is appended to out. NULL if out of memory. */
struct mt_handshake *mt_handshake_new(const struct mt_handshake_options *options,
                                      const struct tg_random *random, struct tg_buf *out);
void mt_handshake_free(struct mt_handshake *h); /* wipes */

/**
 * Takes the body of one plain message. The next message, if any, is appended to out.
 *
 * @param now_s  local Unix time, to bind the key's expiry
 * @return TG_AGAIN while it goes on; TG_OK with the result; TG_SECURITY or TG_PROTOCOL when the
 *         server lied or erred; TG_NOT_FOUND if none of its keys is trusted
 */
tg_code mt_handshake_input(struct mt_handshake *h, const void *body, size_t len, int64_t now_s,
                           struct tg_buf *out, struct mt_handshake_result *ret,
                           struct tg_error *err);

/* ---- server ---- */

struct mt_handshake_server_options {
    const struct tg_rsa_private *rsa; /* borrowed */
    int retries;                      /* answer dh_gen_retry that often before dh_gen_ok */
};

struct mt_handshake_server;

struct mt_handshake_server *
mt_handshake_server_new(const struct mt_handshake_server_options *options,
                        const struct tg_random *random);
void mt_handshake_server_free(struct mt_handshake_server *h);

/**
 * As mt_handshake_input, for the server: takes one request body, appends the answer. A request that
 * was answered already gets the identical answer again. Trailing bytes after the object are allowed.
 *
 * @return TG_AGAIN; TG_OK once the key is made (out holds dh_gen_ok); TG_PROTOCOL: answer -404
 */
tg_code mt_handshake_server_input(struct mt_handshake_server *h, const void *body, size_t len,
                                  int64_t now_s, struct tg_buf *out,
                                  struct mt_handshake_result *ret, struct tg_error *err);

#endif
