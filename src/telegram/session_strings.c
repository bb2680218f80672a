/* SPDX-License-Identifier: MIT */
/*
 * session_strings.c - the session strings of Telethon and Pyrogram
 *
 * Layouts: telethon/sessions/string.py (StringSession, version 1) and pyrogram/storage/storage.py
 * (Storage.SESSION_STRING_FORMAT and its two older forms, told apart by length). A Telethon string
 * says nothing about who is logged in; a Pyrogram string nothing about addresses.
 */
#include <arpa/inet.h>
#include <assert.h>

#include "crypto/ct.h"
#include "telegram/session_data.h"
#include "tl/reader.h"

enum {
    KEY = 256,
    TELETHON_4 = 1 + 4 + 2 + KEY,
    TELETHON_6 = 1 + 16 + 2 + KEY,
    PYROGRAM = 1 + 4 + 1 + KEY + 8 + 1,
    PYROGRAM_OLD_64 = 1 + 1 + KEY + 8 + 1,
    PYROGRAM_OLD = 1 + 1 + KEY + 4 + 1,
    RAW_MAX = 512,
    TEXT_MAX = 512,
};

/* What a string tells; wiped after use. */
struct told {
    int32_t dc, api_id;
    struct tg_dc_address address; /* host "" if it tells none */
    bool has_test, test;
    bool has_user, is_bot;
    int64_t user_id;
    uint8_t key[KEY];
};

/* ---- import ---- */

/* Reads n bytes, big endian. */
static uint64_t take(struct tl_reader *r, size_t n)
{
    const uint8_t *p = tl_read_view(r, n);
    uint64_t v = 0;

    for (size_t i = 0; p && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static void take_key(struct tl_reader *r, struct told *t)
{
    const uint8_t *p = tl_read_view(r, KEY);

    if (p)
        memcpy(t->key, p, KEY);
}

static bool read_telethon(struct tl_reader *r, struct told *t)
{
    size_t n_ip = tl_left(r) == TELETHON_4 ? 4 : 16;
    const uint8_t *ip;

    if (tl_left(r) != TELETHON_4 && tl_left(r) != TELETHON_6)
        return false;
    t->dc = (int32_t)take(r, 1);
    ip = tl_read_view(r, n_ip);
    t->address.port = (uint16_t)take(r, 2);
    take_key(r, t);
    return !r->bad && t->address.port &&
           inet_ntop(n_ip == 4 ? AF_INET : AF_INET6, ip, t->address.host, sizeof t->address.host) !=
               NULL;
}

static bool take_flag(struct tl_reader *r)
{
    return take(r, 1) != 0;
}

static bool read_pyrogram(struct tl_reader *r, struct told *t)
{
    size_t n = tl_left(r);

    if (n != PYROGRAM && n != PYROGRAM_OLD && n != PYROGRAM_OLD_64)
        return false;
    t->dc = (int32_t)take(r, 1);
    if (n == PYROGRAM) {
        uint64_t api_id = take(r, 4);

        t->api_id = api_id <= INT32_MAX ? (int32_t)api_id : 0;
    }
    t->has_test = t->has_user = true;
    t->test = take_flag(r);
    take_key(r, t);
    t->user_id = (int64_t)take(r, n == PYROGRAM_OLD ? 4 : 8);
    t->is_bot = take_flag(r);
    return !r->bad && t->user_id > 0;
}

static bool is_zero(const uint8_t *bytes, size_t n)
{
    uint8_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= bytes[i];
    return any == 0;
}

static bool read_string(const char *text, struct told *t)
{
    size_t len;
    struct tg_buf raw;
    struct tl_reader r;
    bool telethon, ok;

    text += strspn(text, " \t\r\n");
    len = strcspn(text, " \t\r\n");
    if (text[len + strspn(text + len, " \t\r\n")] || len > TEXT_MAX)
        return false;
    /* a Pyrogram string would begin with '1' only at a DC above 211 */
    telethon = text[0] == '1';
    tg_buf_init(&raw, RAW_MAX);
    tg_buf_room(&raw, RAW_MAX); /* growing by copies would leave keys in freed memory */
    ok = tg_unbase64(&raw, text + telethon, len - telethon);
    r = tl_reader_of(raw.data, raw.len);
    ok = ok && (telethon ? read_telethon(&r, t) : read_pyrogram(&r, t));
    tg_buf_wipe(&raw);
    return ok && t->dc > 0 && !is_zero(t->key, KEY);
}

/* Takes over what the string told. */
static void adopt(struct tg_session_data *s, const struct told *t,
                  const struct tg_datacenter *where)
{
    struct tg_dc_state *dc;

    tg_session_forget_login(s);
    tg_peers_done(&s->peers);
    s->peers_of = 0;
    for (size_t i = 0; i < TG_DC_MAX; i++)
        s->dc[i] = (struct tg_dc_state){ 0 };
    dc = tg_session_dc(s, t->dc);
    assert(dc);
    dc->address = t->address;
    memcpy(dc->key.key, t->key, KEY);
    mt_key_derive(&dc->key);
    dc->has_key = dc->authorized = true;
    s->home_dc = t->dc;
    s->test = where->test;
    if (t->api_id && !s->api_id)
        s->api_id = t->api_id;
    if (t->has_user) {
        s->user_id = s->peers_of = t->user_id;
        s->is_bot = t->is_bot;
    }
}

tg_code tg_session_import(struct tg_session_data *s, const char *text,
                          const struct tg_datacenter *where, struct tg_error *err)
{
    const struct tg_dc_address *known;
    struct told t = { 0 };
    tg_code code = TG_OK;

    if (!read_string(text, &t)) {
        tg_fail(err, TG_DATA, "this is no session string of Telethon or Pyrogram");
        code = tg_hint(err, "Telethon: StringSession.save(client.session); Pyrogram: "
                            "export_session_string()");
    } else if (t.has_test && t.test != where->test) {
        code =
            tg_fail(err, TG_DATA, "the session string is of Telegram's %s network, this run is not",
                    t.test ? "test" : "production");
    } else {
        known = tg_datacenter_address(where, t.dc);
        if (known)
            t.address = *known;
        if (t.address.host[0])
            adopt(s, &t, where);
        else
            code = tg_fail(err, TG_DATA,
                           "the session string is of DC %d, whose address is not known", t.dc);
    }
    tg_wipe(&t, sizeof t);
    return code;
}

/* ---- export ---- */

static void put(struct tg_buf *out, uint64_t v, size_t n)
{
    for (size_t i = n; i-- > 0;)
        tg_buf_byte(out, (uint8_t)(v >> (8 * i)));
}

static tg_code put_telethon(const struct tg_dc_state *dc, struct tg_buf *raw, struct tg_error *err)
{
    uint8_t ip[16];
    bool six = inet_pton(AF_INET6, dc->address.host, ip) == 1;

    if (!six && inet_pton(AF_INET, dc->address.host, ip) != 1)
        return tg_fail(err, TG_UNSUPPORTED,
                       "a Telethon string holds a numeric address, but DC %d is at '%s'", dc->id,
                       dc->address.host);
    put(raw, (uint64_t)dc->id, 1);
    tg_buf_add(raw, ip, six ? 16 : 4);
    put(raw, dc->address.port, 2);
    tg_buf_add(raw, dc->key.key, KEY);
    return TG_OK;
}

static tg_code put_pyrogram(const struct tg_session_data *s, const struct tg_dc_state *dc,
                            struct tg_buf *raw, struct tg_error *err)
{
    if (!s->user_id) {
        tg_fail(err, TG_AUTH,
                "it is not known yet who is logged in, which a Pyrogram string tells");
        return tg_hint(err, "run `tgdata chats` once with this session");
    }
    put(raw, (uint64_t)dc->id, 1);
    put(raw, (uint32_t)s->api_id, 4);
    put(raw, s->test, 1);
    tg_buf_add(raw, dc->key.key, KEY);
    put(raw, (uint64_t)s->user_id, 8);
    put(raw, s->is_bot, 1);
    return TG_OK;
}

static const struct tg_dc_state *home_of(const struct tg_session_data *s)
{
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (s->dc[i].id && s->dc[i].id == s->home_dc)
            return &s->dc[i];
    return NULL;
}

tg_code tg_session_export(const struct tg_session_data *s, enum tg_session_format format,
                          struct tg_buf *out, struct tg_error *err)
{
    const struct tg_dc_state *dc = home_of(s);
    struct tg_buf raw;
    tg_code code;

    if (!dc || !tg_session_authorized(s)) {
        tg_fail(err, TG_AUTH, "there is no login to export");
        return tg_hint(err, "log in with `tgdata login`");
    }
    if (dc->id > UINT8_MAX)
        return tg_fail(err, TG_UNSUPPORTED, "a session string cannot name DC %d", dc->id);
    tg_buf_init(&raw, RAW_MAX);
    tg_buf_room(&raw, RAW_MAX);
    tg_buf_room(out, TEXT_MAX);
    code = format == TG_SESSION_TELETHON ? put_telethon(dc, &raw, err)
                                         : put_pyrogram(s, dc, &raw, err);
    if (code == TG_OK && format == TG_SESSION_TELETHON)
        tg_buf_byte(out, '1');
    if (code == TG_OK)
        tg_base64(out, raw.data, raw.len, true);
    /* Telethon reads padded strings only; Pyrogram adds the padding itself */
    for (size_t i = raw.len; code == TG_OK && format == TG_SESSION_TELETHON && i % 3; i++)
        tg_buf_byte(out, '=');
    if (code == TG_OK && (out->failed || raw.failed))
        code = tg_fail(err, TG_LIMIT, "no room for the session string");
    tg_buf_wipe(&raw);
    return code;
}
