/* SPDX-License-Identifier: MIT */
/*
 * datacenter.h - where Telegram is: addresses and public keys; built in, or from a JSON file
 *
 *   {"dcs":[{"id":2,"host":"127.0.0.1","port":4430}], "public_key":"-----BEGIN RSA PUBLIC
 * KEY-----..", "main_dc":2, "test":false}
 *
 * "public_key" may be a list of up to 8 keys; "main_dc" is the first DC and "test" false if absent.
 * Unknown members are ignored (a simulated data centre also lists its test accounts there); a
 * member that stands twice is refused. Sources of the built-in facts are named in datacenter.c.
 *
 * A public key is what makes a data centre itself: two descriptions that share one are of the same
 * servers, wherever those listen; without a common key a login made at one is nothing at the other.
 *
 * Threads: none: value type      Limits: 16 DCs, 8 keys, file 64 KiB
 */
#ifndef TG_DATACENTER_H
#define TG_DATACENTER_H

#include "base/base.h"
#include "crypto/rsa.h"

enum { TG_DATACENTER_DCS = 16, TG_DATACENTER_KEYS = 8 };

struct tg_dc_address {
    char host[64]; /* numeric or a name; "" unknown */
    uint16_t port;
};

struct tg_datacenter {
    struct {
        int32_t id;
        struct tg_dc_address address;
    } dc[TG_DATACENTER_DCS];
    size_t n_dc;               /* 0: not known where */
    struct tg_rsa_key *rsa; /* owned */
    size_t n_rsa;
    int32_t main_dc;
    bool test;
    bool builtin; /* Telegram's own, as this program knows them */
};

/** Telegram's own production (or test) data centres. */
tg_code tg_datacenter_builtin(bool test, struct tg_datacenter *ret, struct tg_error *err);
/** @return TG_DATA with what is wrong where; TG_NOMEM */
tg_code tg_datacenter_parse(const char *json, size_t len, struct tg_datacenter *ret,
                            struct tg_error *err);
void tg_datacenter_done(struct tg_datacenter *d);

/** Adds a DC, or a key that tg_rsa_key_set accepts. @return false if it cannot be one, stands there
 *  already, or passes the limit; for a key also out of memory */
bool tg_datacenter_add(struct tg_datacenter *d, int32_t id, const char *host, uint16_t port);
bool tg_datacenter_add_key(struct tg_datacenter *d, const void *n, size_t n_len, uint32_t e);

/** @return whether both are the same servers: a public key stands in both */
bool tg_datacenter_same(const struct tg_datacenter *a, const struct tg_datacenter *b);
/** @return whether both say the same in all */
bool tg_datacenter_equal(const struct tg_datacenter *a, const struct tg_datacenter *b);
/** @return NULL if there is no such DC */
const struct tg_dc_address *tg_datacenter_address(const struct tg_datacenter *d, int32_t id);

#endif
