/* SPDX-License-Identifier: MIT */
/*
 * session_blob.c - a session as bytes: written, sealed, read; see session_data.h
 *
 * The payload, little endian; a text is its length (1 byte, or 2 for names of peers) and its bytes:
 *
 *   api_id 4 | api_hash | flags 1 | home_dc 4 | user_id 8 | phone | peers_of 8
 *   n 4, then per DC    id 4 | host | port 2 | flags 1 | key 256 if it has one | salt 8 | offset 8
 *   n 4, then per peer  id 8 | access_hash 8 | kind 1 | flags 1 | migrated_to 8 | name | username
 *   where 1, then if it is 2:  main_dc 4
 *                              n 4, then per DC   id 4 | host | port 2
 *                              n 4, then per key  modulus 256 | exponent 4
 *   n 4, then per learned limit  method | dc 4 | milli-requests a second 8 | when 8
 *   breaker  open 1 | until 8 | failures in a row 4
 *   per DC above  breaker
 *
 * `where` is 0 not known, 1 Telegram's own, 2 listed. It and what follows came with version 2, the
 * DCs' breakers with version 3; older versions end before. A username's length is 0xffff if there
 * is none. Readers take nothing on trust: the hash protects against damage, not against somebody
 * who made the file.
 */
#include "telegram/session_data.h"

#include <assert.h>

#include "crypto/ct.h"
#include "tl/reader.h"

enum {
    HEAD = 48, /* magic, length, hash */
    BLOB_MAX = 64 << 20,
    NO_TEXT = 0xffff,
    PEER_LEAST = 8 + 8 + 1 + 1 + 8 + 2 + 2,
    FLAG_TEST = 1,
    FLAG_BOT = 2,
    DC_HAS_KEY = 1,
    DC_AUTHORIZED = 2,
    WHERE_UNKNOWN = 0,
    WHERE_BUILTIN = 1,
    WHERE_LISTED = 2,
    VERSION = 3,
};

#define OFFSET_MAX_US (INT64_C(10) * 366 * 86400 * TG_SECOND_US)

static const uint8_t magic[8] = { 'T', 'G', 'S', 'E', 'S', 'S', 'N', VERSION };

/* ---- writing ---- */

static void put_u16(struct tg_buf *out, size_t v)
{
    tg_buf_byte(out, (uint8_t)v);
    tg_buf_byte(out, (uint8_t)(v >> 8));
}

static void put_text(struct tg_buf *out, const char *text)
{
    size_t n = strlen(text);

    assert(n <= UINT8_MAX);
    tg_buf_byte(out, (uint8_t)n);
    tg_buf_add(out, text, n);
}

/* A name that Telegram never makes that long is cut. */
static void put_name(struct tg_buf *out, const char *text)
{
    size_t n = text ? TG_MIN(strlen(text), (size_t)NO_TEXT - 1) : 0;

    put_u16(out, text ? n : NO_TEXT);
    tg_buf_add(out, text, n);
}

static void put_dc(struct tg_buf *out, const struct tg_dc_state *dc)
{
    tg_buf_u32(out, (uint32_t)dc->id);
    put_text(out, dc->address.host);
    put_u16(out, dc->address.port);
    tg_buf_byte(out,
                (uint8_t)((dc->has_key ? DC_HAS_KEY : 0) | (dc->authorized ? DC_AUTHORIZED : 0)));
    if (dc->has_key)
        tg_buf_add(out, dc->key.key, sizeof dc->key.key);
    tg_buf_add(out, dc->salt, sizeof dc->salt);
    tg_buf_u64(out, (uint64_t)dc->time_offset_us);
}

static void put_dcs(struct tg_buf *out, const struct tg_session_data *s)
{
    uint32_t n = 0;

    for (size_t i = 0; i < TG_DC_MAX; i++)
        n += s->dc[i].id != 0;
    tg_buf_u32(out, n);
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (s->dc[i].id)
            put_dc(out, &s->dc[i]);
}

static void put_peer(struct tg_buf *out, const struct tg_peer *p)
{
    const bool flag[] = { p->min, p->bot, p->deleted, p->forum, p->protected, p->left };
    uint8_t flags = 0;

    for (size_t i = 0; i < TG_COUNT(flag); i++)
        flags |= (uint8_t)(flag[i] << i);
    tg_buf_u64(out, (uint64_t)p->id);
    tg_buf_u64(out, (uint64_t)p->access_hash);
    tg_buf_byte(out, (uint8_t)p->kind);
    tg_buf_byte(out, flags);
    tg_buf_u64(out, (uint64_t)p->migrated_to);
    put_name(out, p->name ? p->name : "");
    put_name(out, p->username);
}

static void put_where(struct tg_buf *out, const struct tg_datacenter *where)
{
    uint8_t kind = where->n_dc == 0 ? WHERE_UNKNOWN : where->builtin ? WHERE_BUILTIN : WHERE_LISTED;

    tg_buf_byte(out, kind);
    if (kind != WHERE_LISTED)
        return;
    tg_buf_u32(out, (uint32_t)where->main_dc);
    tg_buf_u32(out, (uint32_t)where->n_dc);
    for (size_t i = 0; i < where->n_dc; i++) {
        tg_buf_u32(out, (uint32_t)where->dc[i].id);
        put_text(out, where->dc[i].address.host);
        put_u16(out, where->dc[i].address.port);
    }
    tg_buf_u32(out, (uint32_t)where->n_rsa);
    for (size_t i = 0; i < where->n_rsa; i++) {
        tg_buf_add(out, where->rsa[i].n, sizeof where->rsa[i].n);
        tg_buf_u32(out, where->rsa[i].e);
    }
}

/* At most what the session takes: growing by copies would leave keys in freed memory. */
static size_t size_of(const struct tg_session_data *s)
{
    size_t size = HEAD + sizeof *s + s->where.n_rsa * sizeof *s->where.rsa +
                  s->n_limits * sizeof *s->limit;

    for (size_t i = 0; i < tg_peers_count(&s->peers); i++) {
        const struct tg_peer *p = tg_peers_at(&s->peers, i);

        size += PEER_LEAST + (p->name ? strlen(p->name) : 0);
        size += p->username ? strlen(p->username) : 0;
    }
    return size;
}

static void put_limits(struct tg_buf *out, const struct tg_session_data *s)
{
    tg_buf_u32(out, (uint32_t)s->n_limits);
    for (size_t i = 0; i < s->n_limits; i++) {
        put_text(out, s->limit[i].method);
        tg_buf_u32(out, (uint32_t)s->limit[i].dc);
        tg_buf_u64(out, (uint64_t)s->limit[i].learned_milli);
        tg_buf_u64(out, (uint64_t)s->limit[i].at_s);
    }
}

static void put_breaker(struct tg_buf *out, const struct tg_breaker_record *b)
{
    tg_buf_byte(out, b->open);
    tg_buf_u64(out, (uint64_t)b->until_unix_us);
    tg_buf_u32(out, b->in_a_row);
}

static void put_session(struct tg_buf *out, const struct tg_session_data *s)
{
    size_t n = tg_peers_count(&s->peers);
    uint8_t *head;

    assert(out->len == 0);
    if (!tg_buf_room(out, size_of(s)) || !tg_buf_extend(out, HEAD))
        return;
    tg_buf_u32(out, (uint32_t)s->api_id);
    put_text(out, s->api_hash);
    tg_buf_byte(out, (uint8_t)((s->test ? FLAG_TEST : 0) | (s->is_bot ? FLAG_BOT : 0)));
    tg_buf_u32(out, (uint32_t)s->home_dc);
    tg_buf_u64(out, (uint64_t)s->user_id);
    put_text(out, s->phone);
    tg_buf_u64(out, (uint64_t)s->peers_of);
    put_dcs(out, s);
    tg_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        put_peer(out, tg_peers_at(&s->peers, i));
    put_where(out, &s->where);
    put_limits(out, s);
    put_breaker(out, &s->breaker);
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (s->dc[i].id)
            put_breaker(out, &s->dc[i].breaker);
    if (out->failed)
        return;
    head = out->data;
    memcpy(head, magic, sizeof magic);
    tg_put_le64(head + 8, out->len - HEAD);
    tg_sha256(head + 16, head + HEAD, out->len - HEAD);
}

/* ---- the passphrase ---- */

static struct tg_part part_of(const char *text)
{
    return (struct tg_part){ text, strlen(text) };
}

static void hash_passphrase(const struct tg_seal_key *key, const char *passphrase,
                            uint8_t out[TG_SHA256])
{
    const struct tg_part parts[] = { { key->salt, sizeof key->salt }, part_of(passphrase) };

    tg_sha256_v(out, parts, TG_COUNT(parts));
}

static void keep_seal(struct tg_session_seal *seal, const struct tg_seal_key *key,
                      const char *passphrase)
{
    seal->key = *key;
    seal->has = true;
    hash_passphrase(key, passphrase, seal->of);
}

/* Sees to it that s->seal is of this passphrase. */
static tg_code have_seal(struct tg_session_data *s, const char *passphrase,
                         const struct tg_random *random, struct tg_error *err)
{
    TG_CLEANUP(tg_seal_key_wipe) struct tg_seal_key key = { 0 };
    uint8_t of[TG_SHA256];
    tg_code code;

    if (s->seal.has) {
        hash_passphrase(&s->seal.key, passphrase, of);
        if (tg_equal_ct(of, s->seal.of, sizeof of))
            return TG_OK;
    }
    code = tg_seal_key_new(part_of(passphrase), random, &key, err);
    if (code == TG_OK)
        keep_seal(&s->seal, &key, passphrase);
    return code;
}

tg_code tg_session_write(struct tg_session_data *s, const char *passphrase,
                         const struct tg_random *random, struct tg_buf *out, struct tg_error *err)
{
    struct tg_buf plain;
    tg_code code = TG_OK;

    tg_buf_init(&plain, BLOB_MAX - TG_SEAL_OVERHEAD);
    put_session(&plain, s);
    if (plain.failed)
        code =
            tg_fail(err, TG_LIMIT, "the session passes %d MiB, or memory is out", BLOB_MAX >> 20);
    if (code == TG_OK && passphrase)
        code = have_seal(s, passphrase, random, err);
    if (code == TG_OK && passphrase) {
        code = tg_seal(&s->seal.key, (struct tg_part){ plain.data, plain.len }, random, out, err);
    } else if (code == TG_OK) {
        tg_buf_add(out, plain.data, plain.len);
        if (out->failed)
            code = tg_fail(err, TG_LIMIT, "no room for the session");
    }
    tg_buf_wipe(&plain);
    return code;
}

/* ---- reading ---- */

static size_t take_byte(struct tl_reader *r)
{
    const uint8_t *p = tl_read_view(r, 1);

    return p ? *p : 0;
}

static size_t take_u16(struct tl_reader *r)
{
    const uint8_t *p = tl_read_view(r, 2);

    return p ? (size_t)p[0] | (size_t)p[1] << 8 : 0;
}

/* Reads n bytes of text into size bytes. A NUL inside, or a text too long, is damage. */
static void take_chars(struct tl_reader *r, size_t n, char *out, size_t size)
{
    const uint8_t *p = tl_read_view(r, n);

    out[0] = 0;
    if (!p)
        return;
    if (n >= size || memchr(p, 0, n)) {
        tl_read_fail(r);
        return;
    }
    memcpy(out, p, n);
    out[n] = 0;
}

static void take_text(struct tl_reader *r, char *out, size_t size)
{
    size_t n = take_byte(r);

    take_chars(r, n, out, size);
}

static void take_dc(struct tl_reader *r, struct tg_session_data *s)
{
    int32_t id = tl_read_i32(r);
    struct tg_dc_state *dc;
    const uint8_t *p;
    size_t flags;

    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (s->dc[i].id == id)
            id = 0; /* twice */
    dc = id > 0 ? tg_session_dc(s, id) : NULL;
    if (!dc) {
        tl_read_fail(r);
        return;
    }
    take_text(r, dc->address.host, sizeof dc->address.host);
    dc->address.port = (uint16_t)take_u16(r);
    flags = take_byte(r);
    dc->has_key = (flags & DC_HAS_KEY) != 0;
    dc->authorized = dc->has_key && (flags & DC_AUTHORIZED);
    p = dc->has_key ? tl_read_view(r, sizeof dc->key.key) : NULL;
    if (p) {
        memcpy(dc->key.key, p, sizeof dc->key.key);
        mt_key_derive(&dc->key);
    }
    p = tl_read_view(r, sizeof dc->salt);
    if (p)
        memcpy(dc->salt, p, sizeof dc->salt);
    dc->time_offset_us = tl_read_i64(r);
    if (dc->time_offset_us > OFFSET_MAX_US || dc->time_offset_us < -OFFSET_MAX_US)
        dc->time_offset_us = 0; /* no clock is that wrong; the server will tell */
}

/* @return false out of memory; damage marks the reader */
static bool take_peer(struct tl_reader *r, struct tg_session_data *s, char text[2][NO_TEXT])
{
    struct tg_peer peer = { 0 };
    size_t kind, flags, n;

    peer.id = tl_read_i64(r);
    peer.access_hash = tl_read_i64(r);
    kind = take_byte(r);
    flags = take_byte(r);
    peer.migrated_to = tl_read_i64(r);
    take_chars(r, take_u16(r), text[0], NO_TEXT);
    n = take_u16(r);
    if (n != NO_TEXT)
        take_chars(r, n, text[1], NO_TEXT);
    if (kind < TG_PEER_USER || kind > TG_PEER_CHANNEL || peer.id == 0 || flags >> 6)
        tl_read_fail(r);
    if (r->bad)
        return true;
    peer.kind = (enum tg_peer_kind)kind;
    peer.min = flags & 1;
    peer.bot = flags >> 1 & 1;
    peer.deleted = flags >> 2 & 1;
    peer.forum = flags >> 3 & 1;
    peer.protected = flags >> 4 & 1;
    peer.left = flags >> 5 & 1;
    peer.name = text[0];
    peer.username = n != NO_TEXT && n ? text[1] : NULL;
    return tg_peers_put(&s->peers, &peer);
}

/* @return false out of memory */
static bool take_peers(struct tl_reader *r, struct tg_session_data *s)
{
    uint32_t n = tl_read_u32(r);
    char(*text)[NO_TEXT];
    struct tg_buf room;
    bool ok = true;

    if (n > TG_PEERS_MAX || n > tl_left(r) / PEER_LEAST)
        tl_read_fail(r);
    tg_buf_init(&room, 2 * NO_TEXT);
    text = (char(*)[NO_TEXT])tg_buf_extend(&room, 2 * NO_TEXT);
    if (!text)
        return false;
    for (; n && ok && !r->bad; n--)
        ok = take_peer(r, s, text);
    tg_buf_done(&room);
    return ok;
}

static void take_listed(struct tl_reader *r, struct tg_datacenter *where)
{
    char host[sizeof where->dc[0].address.host];
    uint32_t n;

    where->main_dc = tl_read_i32(r);
    for (n = tl_read_u32(r); n && !r->bad; n--) {
        int32_t id = tl_read_i32(r);

        take_text(r, host, sizeof host);
        if (!tg_datacenter_add(where, id, host, (uint16_t)take_u16(r)))
            tl_read_fail(r);
    }
    for (n = tl_read_u32(r); n && !r->bad; n--) {
        const uint8_t *modulus = tl_read_view(r, TG_RSA_BYTES);
        uint32_t e = tl_read_u32(r);

        if (!modulus || !tg_datacenter_add_key(where, modulus, TG_RSA_BYTES, e))
            tl_read_fail(r);
    }
    if (where->n_rsa == 0 || !tg_datacenter_address(where, where->main_dc))
        tl_read_fail(r);
}

/* @return false out of memory; damage marks the reader */
static bool take_where(struct tl_reader *r, struct tg_session_data *s)
{
    struct tg_error err;

    switch (take_byte(r)) {
    case WHERE_UNKNOWN:
        return true;
    case WHERE_BUILTIN:
        return tg_datacenter_builtin(s->test, &s->where, &err) == TG_OK;
    case WHERE_LISTED:
        take_listed(r, &s->where);
        s->where.test = s->test;
        return true;
    default:
        tl_read_fail(r);
        return true;
    }
}

/* @return false out of memory; damage marks the reader */
static bool take_limits(struct tl_reader *r, struct tg_session_data *s)
{
    uint32_t n = tl_read_u32(r);

    if (n > TG_LIMIT_RECORDS_MAX)
        tl_read_fail(r);
    if (n && !tg_session_limit_room(s))
        return false;
    while (!r->bad && s->n_limits < n) {
        struct tg_limit_record *limit = &s->limit[s->n_limits];

        take_text(r, limit->method, sizeof limit->method);
        limit->dc = tl_read_i32(r);
        limit->learned_milli = tl_read_i64(r);
        limit->at_s = tl_read_i64(r);
        if (!limit->method[0] || limit->learned_milli <= 0)
            tl_read_fail(r);
        else
            s->n_limits++;
    }
    return true;
}

static void take_breaker(struct tl_reader *r, struct tg_breaker_record *b)
{
    size_t open = take_byte(r);

    b->open = open == 1;
    b->until_unix_us = tl_read_i64(r);
    b->in_a_row = tl_read_u32(r);
    if (open > 1 || b->until_unix_us < 0)
        tl_read_fail(r);
}

/* @return false out of memory; damage marks the reader */
static bool take_session(struct tl_reader *r, unsigned version, struct tg_session_data *s)
{
    uint32_t n;
    size_t flags;

    s->api_id = tl_read_i32(r);
    take_text(r, s->api_hash, sizeof s->api_hash);
    flags = take_byte(r);
    s->test = (flags & FLAG_TEST) != 0;
    s->is_bot = (flags & FLAG_BOT) != 0;
    s->home_dc = tl_read_i32(r);
    s->user_id = tl_read_i64(r);
    take_text(r, s->phone, sizeof s->phone);
    s->peers_of = tl_read_i64(r);
    n = tl_read_u32(r);
    if (n > TG_DC_MAX || flags & ~(size_t)(FLAG_TEST | FLAG_BOT) || s->home_dc < 0)
        tl_read_fail(r);
    while (!r->bad && n--)
        take_dc(r, s);
    if (!take_peers(r, s) || (version >= 2 && !(take_where(r, s) && take_limits(r, s))))
        return false;
    if (version >= 2)
        take_breaker(r, &s->breaker);
    for (size_t i = 0; version >= 3 && i < TG_DC_MAX; i++)
        if (s->dc[i].id)
            take_breaker(r, &s->dc[i].breaker);
    if (tl_left(r))
        tl_read_fail(r);
    return true;
}

static tg_code damaged(struct tg_error *err, const char *what)
{
    tg_fail(err, TG_CORRUPT, "the session is damaged: %s", what);
    return tg_hint(err, "put back a copy of the session file, or delete it and log in again");
}

static tg_code read_plain(const uint8_t *blob, size_t len, struct tg_session_data *ret,
                          struct tg_error *err)
{
    struct tg_session_data s;
    uint8_t hash[TG_SHA256];
    struct tl_reader r;
    unsigned version;
    tg_code code = TG_OK;

    if (len < sizeof magic || memcmp(blob, magic, sizeof magic - 1) != 0)
        return damaged(err, len ? "it does not begin as one" : "it is empty");
    version = blob[sizeof magic - 1];
    if (version < 1 || version > VERSION) {
        tg_fail(err, TG_CORRUPT, "the session was written by another version of this program (%u)",
                version);
        return tg_hint(err, "use that version, or delete the session file and log in again");
    }
    if (len < HEAD || tg_le64(blob + 8) != len - HEAD)
        return damaged(err, "it is cut short, or something stands behind it");
    tg_sha256(hash, blob + HEAD, len - HEAD);
    if (memcmp(hash, blob + 16, sizeof hash) != 0)
        return damaged(err, "its checksum does not match");
    tg_session_data_init(&s);
    r = tl_reader_of(blob + HEAD, len - HEAD);
    if (!take_session(&r, version, &s))
        code = tg_fail(err, TG_NOMEM, "no memory for the session");
    else if (r.bad)
        code = damaged(err, "it says what cannot be");
    if (code != TG_OK) {
        tg_session_data_done(&s);
        return code;
    }
    tg_session_data_done(ret);
    *ret = s;
    tg_wipe(&s, sizeof s);
    return TG_OK;
}

static tg_code read_sealed(struct tg_part sealed, const char *passphrase,
                           struct tg_session_data *ret, struct tg_error *err)
{
    TG_CLEANUP(tg_seal_key_wipe) struct tg_seal_key key = { 0 };
    struct tg_error why;
    struct tg_buf plain;
    tg_code code;

    tg_buf_init(&plain, BLOB_MAX);
    code = tg_seal_open(part_of(passphrase), sealed, &plain, &key, &why);
    if (code == TG_OK) {
        code = read_plain(plain.data, plain.len, ret, err);
        if (code == TG_OK)
            keep_seal(&ret->seal, &key, passphrase);
    } else if (code == TG_AUTH) {
        tg_fail(err, TG_LOGIN, "wrong passphrase for the session");
        code = tg_hint(err, "give the passphrase that the session was made with, or delete the "
                            "session file and log in again");
    } else if (code == TG_CORRUPT) {
        code = damaged(err, why.message);
    } else {
        *err = why;
    }
    tg_buf_wipe(&plain);
    return code;
}

tg_code tg_session_read(const void *blob, size_t len, const char *passphrase,
                        struct tg_session_data *ret, struct tg_error *err)
{
    if (len > BLOB_MAX)
        return damaged(err, "it is too large");
    if (!tg_is_sealed(blob, len))
        return read_plain(blob, len, ret, err);
    if (!passphrase) {
        tg_fail(err, TG_LOGIN, "the session is sealed with a passphrase");
        return tg_hint(err, "give it with --passphrase or in TGDATA_PASSPHRASE");
    }
    return read_sealed((struct tg_part){ blob, len }, passphrase, ret, err);
}
