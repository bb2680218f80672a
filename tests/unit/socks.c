/* SPDX-License-Identifier: MIT */
/*
 * socks.c - the SOCKS5 greeting against proxies of every kind, byte by byte and at once; and proxy
 * addresses as a person writes them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "source/socks.h"

#define SECRET "0123456789abcdef0123456789abcdef"

/* ---- the greeting ---- */

struct talk {
    const char *name;
    const char *user, *password; /* NULL: none */
    const char *from_proxy;      /* hex */
    const char *to_proxy;        /* hex: all that is sent */
    tg_code code;                /* after the last byte */
    const char *says;            /* part of the message */
};

/* 149.154.167.50:443 as a name, as RFC 1928 has it */
#define CONNECT "050100030e3134392e3135342e3136372e353001bb"

static const struct talk talks[] = {
    { "no login needed", NULL, NULL,
      "0500"
      "05000001000000000000",
      "050100" CONNECT, TG_OK, NULL },
    { "a login offered, not asked for", "u", "p",
      "0500"
      "05000001000000000000",
      "05020002" CONNECT, TG_OK, NULL },
    { "a login asked for", "user", "pass",
      "0502"
      "0100"
      "0500000100000000"
      "0000",
      "05020002"
      "01047573657204"
      "70617373" CONNECT,
      TG_OK, NULL },
    { "an empty password", "u", "",
      "0502"
      "0100"
      "05000001000000000000",
      "05020002"
      "01017500" CONNECT,
      TG_OK, NULL },
    { "bound to a name", NULL, NULL,
      "0500"
      "0500000303616263"
      "01bb",
      "050100" CONNECT, TG_OK, NULL },
    { "bound to an empty name", NULL, NULL,
      "0500"
      "0500000300"
      "01bb",
      "050100" CONNECT, TG_OK, NULL },
    { "bound to IPv6", NULL, NULL,
      "0500"
      "05000004"
      "00000000000000000000000000000001"
      "01bb",
      "050100" CONNECT, TG_OK, NULL },
    { "wrong password", "u", "p",
      "0502"
      "0101",
      "05020002"
      "0101750170",
      TG_NET, "refused user" },
    { "a login is needed, none is known", NULL, NULL, "0502", "050100", TG_NET, "wants a user" },
    { "no way that suits", NULL, NULL, "05ff", "050100", TG_NET, "wants" },
    { "no way that suits, with a login", "u", "p", "05ff", "05020002", TG_NET, "refuses" },
    { "a way that was not offered", "u", "p", "0501", "05020002", TG_NET, "refuses" },
    { "not allowed", NULL, NULL,
      "0500"
      "05020001000000000000",
      "050100" CONNECT, TG_NET, "not allowed" },
    { "connection refused", NULL, NULL,
      "0500"
      "05050001000000000000",
      "050100" CONNECT, TG_NET, "149.154.167.50:443: connection refused" },
    { "a reason nobody knows", NULL, NULL,
      "0500"
      "05630001000000000000",
      "050100" CONNECT, TG_NET, "unknown reason" },
    { "an address of no kind", NULL, NULL,
      "0500"
      "0500000900",
      "050100" CONNECT, TG_NET, "not understood" },
    { "another version in the reply", NULL, NULL,
      "0500"
      "04000001000000000000",
      "050100" CONNECT, TG_NET, "SOCKS5" },
    { "SOCKS4", NULL, NULL, "005a", "050100", TG_NET, "does not speak SOCKS5" },
    { "HTTP", NULL, NULL, "485454502f312e3120343030", "050100", TG_NET, "does not speak SOCKS5" },
    { "login of another version", "u", "p",
      "0502"
      "0500",
      "05020002"
      "0101750170",
      TG_NET, "SOCKS5" },
    { "the server speaks first", NULL, NULL,
      "0500"
      "05000001000000000000"
      "aa",
      "050100" CONNECT, TG_NET, "more than it should" },
    { "nothing yet", NULL, NULL, "05", "050100", TG_AGAIN, NULL },
    { "half a reply", NULL, NULL,
      "0500"
      "0500000100",
      "050100" CONNECT, TG_AGAIN, NULL },
};

static tg_code feed(const struct talk *t, size_t piece, struct tg_buf *out, struct tg_error *err)
{
    static const struct tg_dc_address where = { "149.154.167.50", 443 };
    struct tg_proxy proxy = { .kind = TG_PROXY_SOCKS5, .host = "p", .port = 1080 };
    uint8_t bytes[256];
    size_t n = strlen(t->from_proxy) / 2;
    struct tg_socks socks;
    tg_code code = TG_AGAIN;

    if (t->user)
        snprintf(proxy.user, sizeof proxy.user, "%s", t->user);
    if (t->password)
        snprintf(proxy.password, sizeof proxy.password, "%s", t->password);
    assert_true(tg_unhex(bytes, n, t->from_proxy, 2 * n));
    tg_socks_start(&socks, &proxy, &where, out);
    for (size_t at = 0; at < n && code == TG_AGAIN; at += piece)
        code = tg_socks_input(&socks, bytes + at, TG_MIN(piece, n - at), out, err);
    return code;
}

static void test_greetings(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(talks); i++) {
        const struct talk *t = &talks[i];

        for (size_t piece = 1; piece < 64; piece += piece < 4 ? 1 : 59) {
            struct tg_error err = { 0 };
            char sent[512] = { 0 };
            struct tg_buf out;
            tg_code code;

            if (piece < 64 && strcmp(t->name, "the server speaks first") == 0 && piece != 63)
                continue; /* what comes later belongs to the tunnel */
            tg_buf_init(&out, 1024);
            code = feed(t, piece, &out, &err);
            for (size_t k = 0; k < out.len && 2 * k + 2 < sizeof sent; k++)
                snprintf(sent + 2 * k, 3, "%02x", out.data[k]);
            if (code != t->code || strcmp(sent, t->to_proxy) != 0 ||
                (t->says && !strstr(err.message, t->says)))
                fail_msg("%s, pieces of %zu: code %d, sent %s, '%s'", t->name, piece, code, sent,
                         err.message);
            tg_buf_done(&out);
        }
    }
}

/* Whatever bytes come: an end, no sign of a fault, nothing sent that was not meant. */
static void test_noise(void **state)
{
    static const struct tg_dc_address where = { "dc", 443 };
    uint64_t x = 88172645463325252u;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct tg_proxy proxy = { .kind = TG_PROXY_SOCKS5, .host = "p", .port = 1 };
        tg_code code = TG_AGAIN;
        struct tg_socks socks;
        struct tg_error err;
        struct tg_buf out;

        snprintf(proxy.user, sizeof proxy.user, "%s", round % 2 ? "u" : "");
        tg_buf_init(&out, 4096);
        tg_socks_start(&socks, &proxy, &where, &out);
        for (int i = 0; i < 2000 && code == TG_AGAIN; i++) {
            uint8_t byte;

            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            byte = x % 3 == 0 ? 5 : x % 3 == 1 ? (uint8_t)(x >> 8) % 4 : (uint8_t)(x >> 16);
            code = tg_socks_input(&socks, &byte, 1, &out, &err);
        }
        assert_true(code == TG_OK || code == TG_NET);
        assert_in_range(out.len, 3, 64);
        tg_buf_done(&out);
    }
}

/* ---- addresses ---- */

static void test_addresses(void **state)
{
    static const struct {
        const char *url;
        enum tg_proxy_kind kind;
        const char *host;
        uint16_t port;
        const char *user, *password;
        bool padded;
    } row[] = {
        { "socks5://localhost:1080", TG_PROXY_SOCKS5, "localhost", 1080, "", "", false },
        { "socks5://u:p@10.0.0.1:9", TG_PROXY_SOCKS5, "10.0.0.1", 9, "u", "p", false },
        { "socks5://u:p:q@h:9", TG_PROXY_SOCKS5, "h", 9, "u", "p:q", false },
        { "socks5://u:p@q@h:9", TG_PROXY_SOCKS5, "h", 9, "u", "p@q", false },
        { "socks5://u@h:9", TG_PROXY_SOCKS5, "h", 9, "u", "", false },
        { "socks5://[::1]:1080", TG_PROXY_SOCKS5, "::1", 1080, "", "", false },
        { "mtproto://" SECRET "@h:443", TG_PROXY_MTPROTO, "h", 443, "", "", false },
        { "mtproto://dd" SECRET "@h:443", TG_PROXY_MTPROTO, "h", 443, "", "", true },
        { "mtproto://3QEjRWeJq83vASNFZ4mrze8@h:443", TG_PROXY_MTPROTO, "h", 443, "", "", true },
        { "mtproto://ASNFZ4mrze8BI0VniavN7w==@h:443", TG_PROXY_MTPROTO, "h", 443, "", "", false },
    };
    uint8_t secret[16];

    (void)state;
    assert_true(tg_unhex(secret, 16, SECRET, 32));
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_error err = { 0 };
        struct tg_proxy p;

        if (tg_proxy_parse(row[i].url, &p, &err) != TG_OK)
            fail_msg("%s: %s", row[i].url, err.message);
        if (p.kind != row[i].kind || strcmp(p.host, row[i].host) || p.port != row[i].port ||
            strcmp(p.user, row[i].user) || strcmp(p.password, row[i].password) ||
            p.padded != row[i].padded)
            fail_msg("%s: host %s port %u user %s password %s", row[i].url, p.host, p.port, p.user,
                     p.password);
        if (p.kind == TG_PROXY_MTPROTO)
            assert_memory_equal(p.secret, secret, 16);
    }
}

static void test_malformed_addresses(void **state)
{
    static const char *const url[] = {
        "",
        "socks5",
        "socks5:/",
        "socks5://",
        "socks5://h",
        "socks5://h:",
        "socks5://h:0",
        "socks5://h:65536",
        "socks5://h:-1",
        "socks5://h:1x",
        "socks5://:1080",
        "socks5://u:p@",
        "socks5://u:p@:1",
        "socks5://:p@h:1",
        "socks5://@h:1",
        "socks5://[::1:1080",
        "socks5://::1]:1080",
        "socks5://[]:1080",
        "http://h:80",
        "SOCKS5://h:1",
        "socks4://h:1",
        "xsocks5://h:1",
        "mtproto://h:443",
        "mtproto://@h:443",
        "mtproto://00@h:443",
        "mtproto://" SECRET "00@h:443",
        "mtproto://xx" SECRET "@h:443",
        "mtproto://ee" SECRET "@h:443",
        "mtproto://" SECRET "@h",
        "mtproto://" SECRET,
        "mtproto://%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%%@h:1",
    };
    char longer[900];

    (void)state;
    for (size_t i = 0; i < TG_COUNT(url); i++) {
        struct tg_error err = { 0 };
        struct tg_proxy p;

        if (tg_proxy_parse(url[i], &p, &err) != TG_USAGE)
            fail_msg("'%s' was taken", url[i]);
        assert_true(err.hint[0] != 0);
        assert_null(strstr(err.message, SECRET)); /* no secret in a message */
    }
    for (int part = 0; part < 3; part++) {
        static const char *const form[] = { "socks5://", "socks5://u:", "socks5://" };
        struct tg_error err = { 0 };
        struct tg_proxy p;
        size_t n = strlen(form[part]);

        memcpy(longer, form[part], n);
        memset(longer + n, 'a', 300);
        snprintf(longer + n + 300, sizeof longer - n - 300, "%s", part ? "@h:1" : ":1");
        assert_int_equal(tg_proxy_parse(longer, &p, &err), TG_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_noise),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_malformed_addresses),
    };

    return cmocka_run_group_tests_name("source/socks", test, NULL, NULL);
}
