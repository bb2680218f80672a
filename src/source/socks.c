/* SPDX-License-Identifier: MIT */
/*
 * socks.c - see socks.h; and the reader of proxy URLs
 *
 * The address goes to the proxy as a name, so that it resolves what the user could not.
 */
#include "source/socks.h"

#include <stdlib.h>

void tg_socks_start(struct tg_socks *s, const struct tg_proxy *proxy,
                    const struct tg_dc_address *where, struct tg_buf *out)
{
    *s = (struct tg_socks){ .proxy = proxy, .where = where };
    tg_buf_add(out, proxy->user[0] ? "\x05\x02\x00\x02" : "\x05\x01\x00", proxy->user[0] ? 4 : 3);
}

static void put_short(struct tg_buf *out, const char *text)
{
    size_t n = TG_MIN(strlen(text), (size_t)255);

    tg_buf_byte(out, (uint8_t)n);
    tg_buf_add(out, text, n);
}

static void put_connect(struct tg_socks *s, struct tg_buf *out)
{
    tg_buf_add(out, "\x05\x01\x00\x03", 4);
    put_short(out, s->where->host);
    tg_buf_byte(out, (uint8_t)(s->where->port >> 8));
    tg_buf_byte(out, (uint8_t)s->where->port);
    s->step = TG_SOCKS_CONNECT;
}

static tg_code on_method(struct tg_socks *s, struct tg_buf *out, struct tg_error *err)
{
    if (s->in[0] != 5)
        return tg_fail(err, TG_NET, "the proxy does not speak SOCKS5");
    if (s->in[1] == 0) {
        put_connect(s, out);
        return TG_AGAIN;
    }
    if (!s->proxy->user[0])
        return tg_fail(err, TG_NET, "the SOCKS5 proxy wants a user name and password");
    if (s->in[1] != 2)
        return tg_fail(err, TG_NET, "the SOCKS5 proxy refuses all ways of logging in");
    tg_buf_byte(out, 1);
    put_short(out, s->proxy->user);
    put_short(out, s->proxy->password);
    s->step = TG_SOCKS_AUTH;
    return TG_AGAIN;
}

static tg_code on_connect(const struct tg_socks *s, struct tg_error *err)
{
    static const char *const reason[] = {
        "ok", "general failure", "not allowed", "network unreachable", "host unreachable",
        "connection refused", "TTL expired", "command not supported", "address not supported",
    };
    uint8_t code = s->in[1];

    if (s->in[0] != 5)
        return tg_fail(err, TG_NET, "the proxy does not speak SOCKS5");
    if (code == 0 && s->in[3] != 1 && s->in[3] != 3 && s->in[3] != 4)
        return tg_fail(err, TG_NET, "the SOCKS5 proxy's reply is not understood");
    if (code != 0)
        return tg_fail(err, TG_NET, "the SOCKS5 proxy could not reach %s:%u: %s", s->where->host,
                       s->where->port, code < TG_COUNT(reason) ? reason[code] : "unknown reason");
    return TG_OK;
}

/* @return bytes of the whole reply that is awaited, as far as it can be told */
static size_t reply_size(const struct tg_socks *s)
{
    if (s->step != TG_SOCKS_CONNECT)
        return 2;
    if (s->n < 5)
        return 5;
    switch (s->in[3]) {
    case 1:
        return 10;
    case 3:
        return 7 + (size_t)s->in[4];
    case 4:
        return 22;
    default:
        return 5; /* refused */
    }
}

tg_code tg_socks_input(struct tg_socks *s, const void *bytes, size_t n, struct tg_buf *out,
                       struct tg_error *err)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < n; i++) {
        tg_code code = TG_AGAIN;

        if (s->n == sizeof s->in)
            return tg_fail(err, TG_NET, "the SOCKS5 proxy sent more than it should");
        s->in[s->n++] = at[i];
        if (s->n < reply_size(s))
            continue;
        if (s->step == TG_SOCKS_METHOD) {
            code = on_method(s, out, err);
        } else if (s->step == TG_SOCKS_AUTH) {
            if (s->in[0] != 1)
                return tg_fail(err, TG_NET, "the proxy does not log in as SOCKS5 proxies do");
            if (s->in[1] != 0)
                return tg_fail(err, TG_NET, "the SOCKS5 proxy refused user name or password");
            put_connect(s, out);
        } else {
            code = on_connect(s, err);
            if (code == TG_OK && i + 1 < n)
                return tg_fail(err, TG_NET, "the SOCKS5 proxy sent more than it should");
        }
        s->n = 0;
        if (code != TG_AGAIN)
            return code;
    }
    return TG_AGAIN;
}

/* ---- URLs ---- */

static bool copy_part(char *out, size_t n, const char *from, const char *to)
{
    size_t len = (size_t)(to - from);

    if (len >= n)
        return false;
    memcpy(out, from, len);
    out[len] = 0;
    return true;
}

static bool parse_host_port(const char *text, struct tg_proxy *p)
{
    const char *colon = strrchr(text, ':');
    const char *from = text, *to = colon;
    int64_t port;

    if (!colon || colon == text || !tg_i64_parse(colon + 1, &port) || port < 1 || port > 65535)
        return false;
    if (*from == '[' || to[-1] == ']') {
        if (*from != '[' || to[-1] != ']' || to - from < 3)
            return false;
        from++;
        to--;
    }
    p->port = (uint16_t)port;
    return copy_part(p->host, sizeof p->host, from, to);
}

static bool parse_secret(const char *from, const char *to, struct tg_proxy *p)
{
    uint8_t raw[64];
    size_t n = (size_t)(to - from) / 2;
    struct tg_buf b;
    bool ok = n <= sizeof raw && tg_unhex(raw, n, from, (size_t)(to - from));

    if (!ok) {
        tg_buf_init(&b, sizeof raw);
        ok = tg_unbase64(&b, from, (size_t)(to - from));
        n = b.len;
        if (ok)
            memcpy(raw, b.data, n);
        tg_buf_wipe(&b);
    }
    if (ok && n == 17 && raw[0] == 0xdd) {
        p->padded = true;
        memcpy(p->secret, raw + 1, 16);
    } else if (ok && n == 16) {
        memcpy(p->secret, raw, 16);
    } else {
        ok = false;
    }
    explicit_bzero(raw, sizeof raw);
    return ok;
}

tg_code tg_proxy_parse(const char *url, struct tg_proxy *ret, struct tg_error *err)
{
    struct tg_proxy p = { 0 };
    const char *rest = strstr(url, "://"), *at;
    bool ok = rest != NULL;

    if (ok && strncmp(url, "socks5://", 9) == 0)
        p.kind = TG_PROXY_SOCKS5;
    else if (ok && strncmp(url, "mtproto://", 10) == 0)
        p.kind = TG_PROXY_MTPROTO;
    else
        ok = false;
    rest = ok ? rest + 3 : url;
    at = ok ? strrchr(rest, '@') : NULL;
    if (ok && p.kind == TG_PROXY_MTPROTO)
        ok = at && parse_secret(rest, at, &p);
    if (ok && p.kind == TG_PROXY_SOCKS5 && at) {
        const char *colon = memchr(rest, ':', (size_t)(at - rest));

        ok = copy_part(p.user, sizeof p.user, rest, colon ? colon : at) &&
             (!colon || copy_part(p.password, sizeof p.password, colon + 1, at)) && p.user[0];
    }
    ok = ok && parse_host_port(at ? at + 1 : rest, &p);
    if (!ok) {
        explicit_bzero(&p, sizeof p);
        tg_fail(err, TG_USAGE, "the proxy address is malformed");
        return tg_hint(err, "write socks5://[USER:PASSWORD@]HOST:PORT or "
                            "mtproto://SECRET@HOST:PORT");
    }
    *ret = p;
    explicit_bzero(&p, sizeof p);
    return TG_OK;
}
