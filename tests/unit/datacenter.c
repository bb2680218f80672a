/* SPDX-License-Identifier: MIT */
/*
 * datacenter.c - the built-in addresses and keys, files that are read, files that are refused
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "telegram/datacenter.h"

static struct tg_datacenter d;
static struct tg_error err;

/* A key as JSON text: line ends escaped. */
static const char *pem_json(char *out, size_t size)
{
    struct tg_datacenter builtin;
    struct tg_buf pem, json;

    tg_buf_init(&pem, 4096);
    tg_buf_init(&json, 4096);
    assert_int_equal(tg_datacenter_builtin(false, &builtin, &err), TG_OK);
    assert_true(tg_rsa_key_write(&builtin.rsa[0], TG_RSA_PKCS1, &pem));
    for (size_t i = 0; i < pem.len; i++) {
        if (pem.data[i] == '\n')
            tg_buf_str(&json, "\\n");
        else
            tg_buf_byte(&json, pem.data[i]);
    }
    snprintf(out, size, "%s", tg_buf_cstr(&json));
    tg_buf_done(&pem);
    tg_buf_done(&json);
    tg_datacenter_done(&builtin);
    return out;
}

/* Replaces each % by the key. */
static tg_code parse(const char *text)
{
    static char pem[4096];
    struct tg_buf json;
    tg_code code;

    pem_json(pem, sizeof pem);
    tg_buf_init(&json, 1 << 20);
    for (; *text; text++) {
        if (*text == '%')
            tg_buf_str(&json, pem);
        else
            tg_buf_byte(&json, (uint8_t)*text);
    }
    code = tg_datacenter_parse((const char *)json.data, json.len, &d, &err);
    tg_buf_done(&json);
    return code;
}

static void test_telegrams_own(void **state)
{
    static const struct {
        bool test;
        uint64_t fingerprint;
        size_t n;
        const char *host[5];
    } row[] = {
        { false,
          UINT64_C(0xd09d1d85de64fd85),
          5,
          { "149.154.175.53", "149.154.167.51", "149.154.175.100", "149.154.167.91",
            "91.108.56.130" } },
        { true,
          UINT64_C(0xb25898df208d2603),
          3,
          { "149.154.175.10", "149.154.167.40", "149.154.175.117" } },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_rsa_key again;

        assert_int_equal(tg_datacenter_builtin(row[i].test, &d, &err), TG_OK);
        assert_int_equal(d.n_dc, row[i].n);
        assert_int_equal(d.main_dc, 2);
        assert_true(d.test == row[i].test);
        for (size_t k = 0; k < row[i].n; k++) {
            const struct tg_dc_address *at = tg_datacenter_address(&d, (int32_t)k + 1);

            assert_non_null(at);
            assert_string_equal(at->host, row[i].host[k]);
            assert_int_equal(at->port, 443);
        }
        assert_null(tg_datacenter_address(&d, 9));
        assert_int_equal(d.n_rsa, 1);
        assert_true(tg_rsa_key_set(&again, d.rsa[0].n, sizeof d.rsa[0].n, d.rsa[0].e));
        assert_true(again.fingerprint == row[i].fingerprint);
        tg_datacenter_done(&d);
        tg_datacenter_done(&d); /* twice is fine */
    }
}

static void test_a_file_is_read(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"dcs\":[{\"id\":1,\"host\":\"127.0.0.1\",\"port\":4431},"
                           "{\"id\":2,\"host\":\"dc-2.example\",\"port\":65535,\"x\":[1]}],"
                           "\"public_key\":\"%\",\"main_dc\":2,\"test\":true,"
                           "\"accounts\":[{\"phone\":\"+9996620001\"}]}"),
                     TG_OK);
    assert_int_equal(d.n_dc, 2);
    assert_string_equal(tg_datacenter_address(&d, 2)->host, "dc-2.example");
    assert_int_equal(tg_datacenter_address(&d, 2)->port, 65535);
    assert_int_equal(tg_datacenter_address(&d, 1)->port, 4431);
    assert_true(d.test && d.main_dc == 2 && d.n_rsa == 1);
    assert_true(d.rsa[0].fingerprint == UINT64_C(0xd09d1d85de64fd85));
    tg_datacenter_done(&d);
}

static void test_what_may_be_left_out(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"dcs\":[{\"id\":4,\"host\":\"::1\",\"port\":1}],"
                           "\"public_key\":[\"%\",\"%\"]}"),
                     TG_OK);
    assert_true(!d.test && d.main_dc == 4 && d.n_rsa == 2);
    tg_datacenter_done(&d);
}

#define DC "{\"id\":2,\"host\":\"h\",\"port\":1}"

static void test_a_wrong_file_is_named(void **state)
{
    static const struct {
        const char *name, *text, *says;
    } row[] = {
        { "nothing", "", "no JSON" },
        { "no JSON", "{\"dcs\":", "no JSON" },
        { "bytes behind it", "{} x", "no JSON" },
        { "a member twice", "{\"dcs\":[],\"dcs\":[]}", "duplicate" },
        { "a list", "[]", "must be a JSON object" },
        { "no DCs", "{\"public_key\":\"%\"}", "\"dcs\"" },
        { "an empty list", "{\"dcs\":[],\"public_key\":\"%\"}", "\"dcs\"" },
        { "a DC that is a number", "{\"dcs\":[1]}", "\"dcs\"[0]" },
        { "no id", "{\"dcs\":[" DC ",{\"host\":\"h\",\"port\":1}]}", "\"dcs\"[1].\"id\"" },
        { "id 0", "{\"dcs\":[{\"id\":0,\"host\":\"h\",\"port\":1}]}", "\"id\"" },
        { "id too large", "{\"dcs\":[{\"id\":4294967298,\"host\":\"h\",\"port\":1}]}", "\"id\"" },
        { "an id twice", "{\"dcs\":[" DC "," DC "]}", "already" },
        { "an empty host", "{\"dcs\":[{\"id\":2,\"host\":\"\",\"port\":1}]}", "\"host\"" },
        { "a host with a space", "{\"dcs\":[{\"id\":2,\"host\":\"a b\",\"port\":1}]}", "\"host\"" },
        { "a host too long",
          "{\"dcs\":[{\"id\":2,\"host\":"
          "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
          "aaaaaaaa\",\"port\":1}]}",
          "\"host\"" },
        { "port 0", "{\"dcs\":[{\"id\":2,\"host\":\"h\",\"port\":0}]}", "\"port\"" },
        { "port 65536", "{\"dcs\":[{\"id\":2,\"host\":\"h\",\"port\":65536}]}", "\"port\"" },
        { "port as text", "{\"dcs\":[{\"id\":2,\"host\":\"h\",\"port\":\"1\"}]}", "\"port\"" },
        { "no key", "{\"dcs\":[" DC "]}", "\"public_key\"" },
        { "a key that is none", "{\"dcs\":[" DC "],\"public_key\":\"x\"}", "\"public_key\"" },
        { "a list of no keys", "{\"dcs\":[" DC "],\"public_key\":[]}", "\"public_key\"" },
        { "test as text", "{\"dcs\":[" DC "],\"public_key\":\"%\",\"test\":\"no\"}", "\"test\"" },
        { "main_dc not listed", "{\"dcs\":[" DC "],\"public_key\":\"%\",\"main_dc\":3}",
          "\"main_dc\"" },
        { "main_dc as text", "{\"dcs\":[" DC "],\"public_key\":\"%\",\"main_dc\":\"2\"}",
          "\"main_dc\"" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (parse(row[i].text) != TG_DATA || !strstr(err.message, row[i].says) || !err.hint[0])
            fail_msg("%s: %s", row[i].name, err.message);
    }
}

static void test_the_bounds(void **state)
{
    struct tg_buf json;

    (void)state;
    tg_buf_init(&json, 1 << 20);
    tg_buf_str(&json, "{\"dcs\":[");
    for (int i = 1; i <= 17; i++)
        tg_buf_printf(&json, "%s{\"id\":%d,\"host\":\"h\",\"port\":1}", i > 1 ? "," : "", i);
    tg_buf_str(&json, "],\"public_key\":\"%\"}");
    assert_int_equal(parse(tg_buf_cstr(&json)), TG_DATA);
    assert_non_null(strstr(err.message, "1 to 16"));
    tg_buf_clear(&json);
    while (json.len <= 64 << 10)
        tg_buf_str(&json, "        ");
    assert_int_equal(parse(tg_buf_cstr(&json)), TG_DATA);
    assert_non_null(strstr(err.message, "64 KiB"));
    tg_buf_done(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_telegrams_own),        cmocka_unit_test(test_a_file_is_read),
        cmocka_unit_test(test_what_may_be_left_out), cmocka_unit_test(test_a_wrong_file_is_named),
        cmocka_unit_test(test_the_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
