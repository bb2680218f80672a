/* SPDX-License-Identifier: MIT */
/*
 * keys.h - authorization keys and logins of the simulated data centre, kept across restarts
 *
 *   key (temporary) --bound to--> key (permanent, of one DC) --authorized by--> login --> account
 *
 * A login is one row of account.getAuthorizations; keys of both DCs may share it (exported
 * authorizations). Everything is written to DIR/keys as lines of text, appended as it happens and
 * written anew at start:
 *
 *   key DC HEX CREATED EXPIRES      bind TEMP PERM       layer KEY LAYER API_ID
 *   login HASH USER CREATED         auth KEY HASH        dead HASH WHY        drop KEY
 *
 * These are keys of a simulation: the file is mode 0600 all the same.
 *
 * Threads: none      Limits: 100,000 keys; file of 128 MiB
 */
#ifndef SIM_KEYS_H
#define SIM_KEYS_H

#include "mtproto/envelope.h"
#include "os/fs.h"
#include "sim/world.h"

enum sim_dead { SIM_ALIVE, SIM_LOGGED_OUT, SIM_REVOKED, SIM_DUPLICATED };

struct sim_login {
    struct sim_login *next;
    uint64_t hash;
    const struct sim_account *account;
    enum sim_dead dead;
    int64_t created_s, active_s;
    int32_t api_id;
    char device[64], system[32], version[32];
    /* takeout */
    int64_t takeout_id;      /* 0: none */
    uint64_t takeout_session; /* MTProto session that began it */
    bool takeout_used;       /* a call has named it: its number has arrived */
    int64_t takeout_from_us; /* when one may be started; 0: not asked yet */
};

/* A connection to an ordinary DC, as user of a permanent key; the connection's, zeroed at first. */
struct sim_use {
    struct sim_key *perm;      /* NULL: nothing yet */
    const struct sim_key *key; /* that it came with: perm, or a temporary key of it */
    uint64_t session_id;
    struct sim_use *next, *prev; /* of the same permanent key; whoever spoke last is first */
};

struct sim_key {
    struct sim_key *chain; /* hash table */
    struct sim_key *next;  /* all keys, newest first */
    struct mt_key key;
    int dc;
    bool dropped;
    int64_t created_s;
    struct sim_key *perm;    /* of a temporary key: what it is bound to */
    struct sim_login *login; /* of a permanent key */
    int32_t layer;           /* 0: no initConnection yet */
    int32_t api_id;
    char device[64], system[32], version[32];
    struct sim_use *uses;    /* of a permanent key: connections that are open */
    bool media;              /* of a temporary key: bound at a media DC */
    /* a login under way */
    const struct sim_account *pending; /* phone code given, password still due */
    uint64_t srp_id;
    uint8_t srp_b[TG_DH_BYTES];
    uint64_t failed[32];     /* msg_ids of the last queries that failed */
    uint32_t n_failed;
};

struct sim_keys;

/** Opens DIR/keys, reading what is there. `fs` NULL: in memory only. */
tg_code sim_keys_new(const struct tg_fs *fs, const char *dir, const struct sim_world *world,
                     struct sim_keys **ret, struct tg_error *err) TG_MUST_CHECK;
void sim_keys_free(struct sim_keys *k); /* wipes */

/** @return the new key, owned by k; NULL out of memory */
struct sim_key *sim_keys_add(struct sim_keys *k, const struct mt_key *key, int dc, int64_t now_s);
/** @return NULL if unknown or dropped */
struct sim_key *sim_keys_find(struct sim_keys *k, int dc, const uint8_t id[8]);
void sim_keys_drop(struct sim_keys *k, struct sim_key *key);
void sim_keys_bind(struct sim_keys *k, struct sim_key *temp, struct sim_key *perm);
void sim_keys_set_layer(struct sim_keys *k, struct sim_key *key, int32_t layer, int32_t api_id);

/** Makes a login and authorizes the (permanent) key with it. NULL out of memory */
struct sim_login *sim_keys_login(struct sim_keys *k, struct sim_key *key,
                                 const struct sim_account *account, uint64_t hash, int64_t now_s);
void sim_keys_authorize(struct sim_keys *k, struct sim_key *key, struct sim_login *login);
void sim_keys_end(struct sim_keys *k, struct sim_login *login, enum sim_dead why);

/**
 * A connection speaks with a key.
 * @return false: the permanent key is used by two at once: this connection spoke before, then one
 *         of another session, and both are open
 */
bool sim_use_note(struct sim_use *use, struct sim_key *perm, const struct sim_key *key,
                  uint64_t session_id);
/** @return whether an open connection other than `mine` spoke with that temporary key last */
bool sim_use_elsewhere(const struct sim_key *temp, const struct sim_use *mine);
/** The connection is closed. */
void sim_use_end(struct sim_use *use);

/** All keys and logins, newest first. */
struct sim_key *sim_keys_first(const struct sim_keys *k);
struct sim_login *sim_keys_logins(const struct sim_keys *k);
struct sim_login *sim_keys_login_by_hash(const struct sim_keys *k, uint64_t hash);

/** @return the permanent key behind a key: itself, or what it is bound to; NULL if unbound */
static inline struct sim_key *sim_key_perm(struct sim_key *key)
{
    return key->key.expires_at ? key->perm : key;
}

#endif
