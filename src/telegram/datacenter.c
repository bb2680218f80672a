/* SPDX-License-Identifier: MIT */
/*
 * datacenter.c - see datacenter.h
 *
 * The built-in facts are those that Telegram's own clients ship: the addresses stand in the open
 * sources of Telegram Desktop (mtproto_dc_options.cpp) and TDLib (ConnectionCreator.cpp), the keys
 * in the same places and in GramJS 2 (tl/binary/rsa-keys.js, as modulus and exponent). Each key is
 * named here by its fingerprint, the low 64 bits of SHA-1 over its TL strings, which is also how
 * the server names it on the wire (core.telegram.org/mtproto/auth_key).
 */
#include "telegram/datacenter.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

enum { FILE_MAX = 64 << 10, DC_ID_MAX = 999, HTTPS_PORT = 443 };

/* ---- adding, comparing ---- */

static bool make_room(struct tg_datacenter *d)
{
    if (!d->rsa)
        d->rsa = calloc(TG_DATACENTER_KEYS, sizeof *d->rsa);
    return d->rsa && d->n_rsa < TG_DATACENTER_KEYS;
}

bool tg_datacenter_add_key(struct tg_datacenter *d, const void *n, size_t n_len, uint32_t e)
{
    if (!make_room(d) || !tg_rsa_key_set(&d->rsa[d->n_rsa], n, n_len, e))
        return false;
    d->n_rsa++;
    return true;
}

static tg_code add_pem(struct tg_datacenter *d, const char *pem, size_t len, struct tg_error *err)
{
    tg_code code;

    if (!make_room(d))
        return tg_fail(err, TG_NOMEM, "no memory for public keys");
    code = tg_rsa_key_parse(pem, len, &d->rsa[d->n_rsa], err);
    if (code == TG_OK)
        d->n_rsa++;
    return code;
}

/* What a host name or a numeric address is written with. */
static bool good_host(const char *host)
{
    size_t n = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-_");

    return n > 0 && host[n] == 0;
}

bool tg_datacenter_add(struct tg_datacenter *d, int32_t id, const char *host, uint16_t port)
{
    size_t len = strlen(host);

    if (d->n_dc == TG_COUNT(d->dc) || id < 1 || id > DC_ID_MAX || tg_datacenter_address(d, id) ||
        len >= sizeof d->dc[0].address.host || !good_host(host) || port == 0)
        return false;
    d->dc[d->n_dc].id = id;
    d->dc[d->n_dc].address.port = port;
    memcpy(d->dc[d->n_dc].address.host, host, len + 1);
    d->n_dc++;
    return true;
}

static bool has_key(const struct tg_datacenter *d, const struct tg_rsa_key *key)
{
    for (size_t i = 0; i < d->n_rsa; i++)
        if (d->rsa[i].e == key->e && memcmp(d->rsa[i].n, key->n, sizeof key->n) == 0)
            return true;
    return false;
}

bool tg_datacenter_same(const struct tg_datacenter *a, const struct tg_datacenter *b)
{
    for (size_t i = 0; i < a->n_rsa; i++)
        if (has_key(b, &a->rsa[i]))
            return true;
    return false;
}

bool tg_datacenter_equal(const struct tg_datacenter *a, const struct tg_datacenter *b)
{
    bool equal = a->n_dc == b->n_dc && a->n_rsa == b->n_rsa && a->main_dc == b->main_dc &&
                 a->test == b->test && a->builtin == b->builtin;

    for (size_t i = 0; equal && i < a->n_dc; i++)
        equal = a->dc[i].id == b->dc[i].id && a->dc[i].address.port == b->dc[i].address.port &&
                strcmp(a->dc[i].address.host, b->dc[i].address.host) == 0;
    for (size_t i = 0; equal && i < a->n_rsa; i++)
        equal = has_key(b, &a->rsa[i]);
    return equal;
}

/* ---- Telegram's own ---- */

static const struct {
    int32_t id;
    bool test;
    const char *host;
} builtin_dc[] = {
    { 1, false, "149.154.175.53" }, { 2, false, "149.154.167.51" }, { 3, false, "149.154.175.100" },
    { 4, false, "149.154.167.91" }, { 5, false, "91.108.56.130" },  { 1, true, "149.154.175.10" },
    { 2, true, "149.154.167.40" },  { 3, true, "149.154.175.117" },
};

enum { BUILTIN_MAIN_DC = 2 };

/* fingerprint d09d1d85de64fd85 */
static const char production_key[] =
    "-----BEGIN RSA PUBLIC KEY-----\n"
    "MIIBCgKCAQEA6LszBcC1LGzyr992NzE0ieY+BSaOW622Aa9Bd4ZHLl+TuFQ4lo4g\n"
    "5nKaMBwK/BIb9xUfg0Q29/2mgIR6Zr9krM7HjuIcCzFvDtr+L0GQjae9H0pRB2OO\n"
    "62cECs5HKhT5DZ98K33vmWiLowc621dQuwKWSQKjWf50XYFw42h21P2KXUGyp2y/\n"
    "+aEyZ+uVgLLQbRA1dEjSDZ2iGRy12Mk5gpYc397aYp438fsJoHIgJ2lgMv5h7WY9\n"
    "t6N/byY9Nw9p21Og3AoXSL2q/2IJ1WRUhebgAdGVMlV1fkuOQoEzR7EdpqtQD9Cs\n"
    "5+bfo3Nhmcyvk5ftB0WkJ9z6bNZ7yxrP8wIDAQAB\n"
    "-----END RSA PUBLIC KEY-----\n";

/* fingerprint b25898df208d2603 */
static const char test_key[] = "-----BEGIN RSA PUBLIC KEY-----\n"
                               "MIIBCgKCAQEAyMEdY1aR+sCR3ZSJrtztKTKqigvO/vBfqACJLZtS7QMgCGXJ6XIR\n"
                               "yy7mx66W0/sOFa7/1mAZtEoIokDP3ShoqF4fVNb6XeqgQfaUHd8wJpDWHcR2OFwv\n"
                               "plUUI1PLTktZ9uW2WE23b+ixNwJjJGwBDJPQEQFBE+vfmH0JP503wr5INS1poWg/\n"
                               "j25sIWeYPHYeOrFp/eXaqhISP6G+q2IeTaWTXpwZj4LzXq5YOpk4bYEQ6mvRq7D1\n"
                               "aHWfYmlEGepfaYR8Q0YqvvhYtMte3ITnuSJs171+GDqpdKcSwHnd6FudwGO4pcCO\n"
                               "j4WcDuXc2CTHgH8gFTNhp/Y8/SpDOhvn9QIDAQAB\n"
                               "-----END RSA PUBLIC KEY-----\n";

tg_code tg_datacenter_builtin(bool test, struct tg_datacenter *ret, struct tg_error *err)
{
    struct tg_datacenter d = { .main_dc = BUILTIN_MAIN_DC, .test = test, .builtin = true };
    tg_code code;

    for (size_t i = 0; i < TG_COUNT(builtin_dc); i++)
        if (builtin_dc[i].test == test)
            tg_datacenter_add(&d, builtin_dc[i].id, builtin_dc[i].host, HTTPS_PORT);
    code = test ? add_pem(&d, test_key, sizeof test_key - 1, err)
                : add_pem(&d, production_key, sizeof production_key - 1, err);
    if (code != TG_OK) {
        tg_datacenter_done(&d);
        return code;
    }
    *ret = d;
    return TG_OK;
}

/* ---- from a file ---- */

static bool whole_number(const json_t *v, json_int_t min, json_int_t max)
{
    return json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max;
}

static tg_code read_dc(const json_t *item, size_t i, struct tg_datacenter *d, struct tg_error *err)
{
    const json_t *id = json_object_get(item, "id"), *port = json_object_get(item, "port");
    const json_t *host = json_object_get(item, "host");

    if (!json_is_object(item))
        return tg_fail(err, TG_DATA, "\"dcs\"[%zu] must be an object with id, host and port", i);
    if (!whole_number(id, 1, DC_ID_MAX))
        return tg_fail(err, TG_DATA, "\"dcs\"[%zu].\"id\" must be a whole number from 1 to %d", i,
                       DC_ID_MAX);
    if (!json_is_string(host) || json_string_length(host) >= sizeof d->dc[0].address.host ||
        !good_host(json_string_value(host)))
        return tg_fail(
            err, TG_DATA,
            "\"dcs\"[%zu].\"host\" must be a host name or address of 1 to %zu characters", i,
            sizeof d->dc[0].address.host - 1);
    if (!whole_number(port, 1, UINT16_MAX))
        return tg_fail(err, TG_DATA, "\"dcs\"[%zu].\"port\" must be a whole number from 1 to %d", i,
                       UINT16_MAX);
    if (tg_datacenter_address(d, (int32_t)json_integer_value(id)))
        return tg_fail(err, TG_DATA, "\"dcs\"[%zu].\"id\" is %d, which stands there already", i,
                       (int)json_integer_value(id));
    tg_datacenter_add(d, (int32_t)json_integer_value(id), json_string_value(host),
                      (uint16_t)json_integer_value(port)); /* all of it is checked above */
    return TG_OK;
}

static tg_code read_dcs(const json_t *root, struct tg_datacenter *d, struct tg_error *err)
{
    const json_t *dcs = json_object_get(root, "dcs");
    size_t n = json_array_size(dcs);

    if (!json_is_array(dcs) || n < 1 || n > TG_COUNT(d->dc))
        return tg_fail(err, TG_DATA, "\"dcs\" must be a list of 1 to %zu data centres",
                       TG_COUNT(d->dc));
    for (size_t i = 0; i < n; i++) {
        tg_code code = read_dc(json_array_get(dcs, i), i, d, err);

        if (code != TG_OK)
            return code;
    }
    return TG_OK;
}

static tg_code read_key(const json_t *pem, struct tg_datacenter *d, struct tg_error *err)
{
    struct tg_error why;
    tg_code code;

    if (!json_is_string(pem))
        return tg_fail(err, TG_DATA, "\"public_key\" must be an RSA key as PEM text");
    code = add_pem(d, json_string_value(pem), json_string_length(pem), &why);
    return code == TG_OK ? TG_OK : tg_fail(err, code, "\"public_key\": %s", why.message);
}

/* One key, or a list of them. */
static tg_code read_keys(const json_t *root, struct tg_datacenter *d, struct tg_error *err)
{
    const json_t *keys = json_object_get(root, "public_key");
    size_t n = json_array_size(keys);
    tg_code code = TG_OK;

    if (!json_is_array(keys))
        return read_key(keys, d, err);
    if (n < 1 || n > TG_DATACENTER_KEYS)
        return tg_fail(err, TG_DATA, "\"public_key\" must be one key or a list of 1 to %d",
                       TG_DATACENTER_KEYS);
    for (size_t i = 0; i < n && code == TG_OK; i++)
        code = read_key(json_array_get(keys, i), d, err);
    return code;
}

static tg_code read_root(const json_t *root, struct tg_datacenter *d, struct tg_error *err)
{
    const json_t *main_dc = json_object_get(root, "main_dc"), *test = json_object_get(root, "test");
    tg_code code;

    if (!json_is_object(root))
        return tg_fail(err, TG_DATA,
                       "the file must be a JSON object with \"dcs\" and \"public_key\"");
    code = read_dcs(root, d, err);
    if (code == TG_OK)
        code = read_keys(root, d, err);
    if (code != TG_OK)
        return code;
    if (test && !json_is_boolean(test))
        return tg_fail(err, TG_DATA, "\"test\" must be true or false");
    d->test = json_is_true(test);
    if (main_dc && !whole_number(main_dc, 1, DC_ID_MAX))
        return tg_fail(err, TG_DATA, "\"main_dc\" must be a whole number from 1 to %d", DC_ID_MAX);
    d->main_dc = main_dc ? (int32_t)json_integer_value(main_dc) : d->dc[0].id;
    if (!tg_datacenter_address(d, d->main_dc))
        return tg_fail(err, TG_DATA, "\"main_dc\" is %d, which \"dcs\" does not list", d->main_dc);
    return TG_OK;
}

tg_code tg_datacenter_parse(const char *json, size_t len, struct tg_datacenter *ret,
                            struct tg_error *err)
{
    struct tg_datacenter d = { 0 };
    json_error_t where;
    json_t *root;
    tg_code code;

    if (len > FILE_MAX)
        return tg_fail(err, TG_DATA, "the data centre file is larger than %d KiB", FILE_MAX >> 10);
    root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &where);
    if (!root) {
        tg_fail(err, TG_DATA, "the data centre file is no JSON: line %d, column %d: %s", where.line,
                where.column, where.text);
        return tg_hint(err, "it lists \"dcs\" (id, host, port), \"public_key\" and \"main_dc\"");
    }
    code = read_root(root, &d, err);
    json_decref(root);
    if (code != TG_OK) {
        struct tg_error why = *err;

        tg_datacenter_done(&d);
        tg_fail(err, code, "the data centre file is wrong: %s", why.message);
        return tg_hint(err, "it lists \"dcs\" (id, host, port), \"public_key\" and \"main_dc\"");
    }
    *ret = d;
    return TG_OK;
}

void tg_datacenter_done(struct tg_datacenter *d)
{
    free(d->rsa);
    d->rsa = NULL;
    d->n_rsa = d->n_dc = 0;
}

const struct tg_dc_address *tg_datacenter_address(const struct tg_datacenter *d, int32_t id)
{
    for (size_t i = 0; i < d->n_dc; i++)
        if (d->dc[i].id == id)
            return &d->dc[i].address;
    return NULL;
}
