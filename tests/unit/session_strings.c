/* SPDX-License-Identifier: MIT */
/*
 * session_strings.c - session strings as Telethon 1.45 and Pyrogram write them, both ways
 *
 * The Telethon strings were made by Telethon's own StringSession; the Pyrogram ones by the struct
 * formats that its storage documents. The key in all of them is byte i = 7 i + 3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "telegram/session_data.h"

/* DC 2, 149.154.167.51, port 443 */
static const char telethon_4[] =
    "1ApWapzMBuwMKERgfJi00O0JJUFdeZWxzeoGIj5adpKuyucDHztXc4-rx-"
    "P8GDRQbIikwNz5FTFNaYWhvdn2Ei5KZoKeutbzDytHY3-"
    "bt9PsCCRAXHiUsMzpBSE9WXWRrcnmAh46VnKOqsbi_xs3U2-Lp8Pf-"
    "BQwTGiEoLzY9REtSWWBnbnV8g4qRmJ-mrbS7wsnQ197l7PP6AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3"
    "vsXM09rh6O_2_QQLEhkgJy41PENKUVhfZm10e4KJkJeepayzusHIz9bd5Ovy-"
    "QAHDhUcIyoxOD9GTVRbYmlwd36FjJOaoaivtr3Ey9LZ4Ofu9fw=";

/* DC 2, 2001:67c:4e8:f002::a, port 443 */
static const char telethon_6[] =
    "1AiABBnwE6PACAAAAAAAAAAoBuwMKERgfJi00O0JJUFdeZWxzeoGIj5adpKuyucDHztXc4-rx-"
    "P8GDRQbIikwNz5FTFNaYWhvdn2Ei5KZoKeutbzDytHY3-"
    "bt9PsCCRAXHiUsMzpBSE9WXWRrcnmAh46VnKOqsbi_xs3U2-Lp8Pf-"
    "BQwTGiEoLzY9REtSWWBnbnV8g4qRmJ-mrbS7wsnQ197l7PP6AQgPFh0kKzI5QEdOVVxjanF4f4aNlJuiqbC3"
    "vsXM09rh6O_2_QQLEhkgJy41PENKUVhfZm10e4KJkJeepayzusHIz9bd5Ovy-"
    "QAHDhUcIyoxOD9GTVRbYmlwd36FjJOaoaivtr3Ey9LZ4Ofu9fw=";

/* DC 4, api id 12345, not test, user 5000000123, no bot */
static const char pyrogram[] =
    "BAAAMDkAAwoRGB8mLTQ7QklQV15lbHN6gYiPlp2kq7K5wMfO1dzj6vH4_wYNFBsiKTA3PkVMU1phaG92fYSL"
    "kpmgp661vMPK0djf5u30-"
    "wIJEBceJSwzOkFIT1ZdZGtyeYCHjpWco6qxuL_GzdTb4unw9_4FDBMaISgvNj1ES1JZYGdudXyDipGYn6att"
    "LvCydDX3uXs8_oBCA8WHSQrMjlAR05VXGNqcXh_ho2Um6KpsLe-xczT2uHo7_b9BAsSGSAnLjU8Q0pRWF9mb"
    "XR7gomQl56lrLO6wcjP1t3k6_L5AAcOFRwjKjE4P0ZNVFtiaXB3foWMk5qhqK-2vcTL0tng5-"
    "71_AAAAAEqBfJ7AA";

/* DC 4, not test, user 777000, a bot */
static const char pyrogram_old[] =
    "BAADChEYHyYtNDtCSVBXXmVsc3qBiI-WnaSrsrnAx87V3OPq8fj_Bg0UGyIpMDc-RUxTWmFob3Z9hIuSmaCn"
    "rrW8w8rR2N_m7fT7AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Nvi6fD3_gUMExohKC82PURLUllg"
    "Z251fIOKkZifpq20u8LJ0Nfe5ezz-gEIDxYdJCsyOUBHTlVcY2pxeH-GjZSboqmwt77FzNPa4ejv9v0ECxIZ"
    "ICcuNTxDSlFYX2ZtdHuCiZCXnqWss7rByM_W3eTr8vkABw4VHCMqMTg_Rk1UW2JpcHd-"
    "hYyTmqGor7a9xMvS2eDn7vX8AAvbKAE";

/* DC 4, test, user 5000000123, no bot */
static const char pyrogram_old_64[] =
    "BAEDChEYHyYtNDtCSVBXXmVsc3qBiI-WnaSrsrnAx87V3OPq8fj_Bg0UGyIpMDc-RUxTWmFob3Z9hIuSmaCn"
    "rrW8w8rR2N_m7fT7AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Nvi6fD3_gUMExohKC82PURLUllg"
    "Z251fIOKkZifpq20u8LJ0Nfe5ezz-gEIDxYdJCsyOUBHTlVcY2pxeH-GjZSboqmwt77FzNPa4ejv9v0ECxIZ"
    "ICcuNTxDSlFYX2ZtdHuCiZCXnqWss7rByM_W3eTr8vkABw4VHCMqMTg_Rk1UW2JpcHd-"
    "hYyTmqGor7a9xMvS2eDn7vX8AAAAASoF8nsA";

static struct tg_datacenter production, test_dcs, elsewhere;
static struct tg_session_data s;
static struct tg_error err;

static int set_up(void **state)
{
    (void)state;
    elsewhere.dc[0].id = 1; /* lists neither DC 2 nor 4 */
    elsewhere.n_dc = 1;
    return tg_datacenter_builtin(false, &production, &err) ||
           tg_datacenter_builtin(true, &test_dcs, &err);
}

static int tear_down(void **state)
{
    (void)state;
    tg_datacenter_done(&production);
    tg_datacenter_done(&test_dcs);
    return 0;
}

/* @return the home DC, whose key is that of all the strings */
static const struct tg_dc_state *home(void)
{
    const struct tg_dc_state *dc = tg_session_dc(&s, s.home_dc);
    struct mt_key key = { 0 };

    for (int i = 0; i < 256; i++)
        key.key[i] = (uint8_t)(i * 7 + 3);
    mt_key_derive(&key);
    assert_true(dc && dc->has_key && dc->authorized && tg_session_authorized(&s));
    assert_memory_equal(dc->key.key, key.key, sizeof key.key);
    assert_memory_equal(dc->key.id, key.id, sizeof key.id);
    return dc;
}

static void assert_export(enum tg_session_format format, const char *want)
{
    struct tg_buf out;

    tg_buf_init(&out, 4096);
    assert_int_equal(tg_session_export(&s, format, &out, &err), TG_OK);
    assert_string_equal(tg_buf_cstr(&out), want);
    tg_buf_done(&out);
}

static void test_telethon(void **state)
{
    static const struct {
        const char *text, *host;
        const struct tg_datacenter *where;
    } row[] = {
        { telethon_4, "149.154.167.51", &elsewhere },
        { telethon_6, "2001:67c:4e8:f002::a", &elsewhere },
        { telethon_6, "149.154.167.51", &production }, /* a known address is preferred */
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_session_data_init(&s);
        assert_int_equal(tg_session_import(&s, row[i].text, row[i].where, &err), TG_OK);
        assert_int_equal(s.home_dc, 2);
        assert_string_equal(home()->address.host, row[i].host);
        assert_int_equal(home()->address.port, 443);
        assert_true(s.user_id == 0); /* the string does not tell */
        assert_export(TG_SESSION_TELETHON, i == 1 ? telethon_6 : telethon_4);
        tg_session_data_done(&s);
    }
}

static void test_pyrogram(void **state)
{
    static const struct {
        const char *text;
        const struct tg_datacenter *where;
        int32_t api_id;
        int64_t user_id;
        bool is_bot;
    } row[] = {
        { pyrogram, &production, 12345, INT64_C(5000000123), false },
        { pyrogram_old, &production, 0, 777000, true },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_session_data_init(&s);
        assert_int_equal(tg_session_import(&s, row[i].text, row[i].where, &err), TG_OK);
        assert_int_equal(s.home_dc, 4);
        assert_string_equal(home()->address.host, "149.154.167.91");
        assert_true(s.api_id == row[i].api_id && s.user_id == row[i].user_id);
        assert_true(s.is_bot == row[i].is_bot && !s.test);
        if (i == 0)
            assert_export(TG_SESSION_PYROGRAM, pyrogram);
        tg_session_data_done(&s);
    }
}

static void test_pyrogram_of_the_test_network(void **state)
{
    static const struct tg_datacenter four = { .dc = { { 4, { "10.0.0.4", 80 } } },
                                               .n_dc = 1,
                                               .test = true };

    (void)state;
    tg_session_data_init(&s);
    assert_int_equal(tg_session_import(&s, pyrogram_old_64, &four, &err), TG_OK);
    assert_string_equal(home()->address.host, "10.0.0.4");
    assert_true(s.test && s.user_id == INT64_C(5000000123));
    tg_session_data_done(&s);
}

static void test_white_space_and_padding(void **state)
{
    char text[600];

    (void)state;
    tg_session_data_init(&s);
    snprintf(text, sizeof text, "  %s==\r\n", pyrogram);
    assert_int_equal(tg_session_import(&s, text, &production, &err), TG_OK);
    snprintf(text, sizeof text, "%.*s", (int)sizeof telethon_4 - 2, telethon_4);
    assert_int_equal(tg_session_import(&s, text, &production, &err), TG_OK);
    tg_session_data_done(&s);
}

static void test_an_import_replaces_another_login(void **state)
{
    struct tg_peer peer = { .id = 5, .kind = TG_PEER_USER, .name = "old" };

    (void)state;
    tg_session_data_init(&s);
    assert_int_equal(tg_session_import(&s, pyrogram, &production, &err), TG_OK);
    assert_true(tg_peers_put(&s.peers, &peer));
    assert_int_equal(tg_session_import(&s, telethon_4, &production, &err), TG_OK);
    assert_true(s.user_id == 0 && s.home_dc == 2 && tg_peers_count(&s.peers) == 0);
    assert_false(tg_session_dc(&s, 4)->has_key);
    assert_int_equal(s.api_id, 12345);
    tg_session_data_done(&s);
}

static void test_what_is_no_session_string(void **state)
{
    static char zero_key[500], long_text[2000];
    const struct {
        const char *name, *text;
        const struct tg_datacenter *where;
    } row[] = {
        { "nothing", "", &production },
        { "white space", " \n", &production },
        { "a lone version", "1", &production },
        { "words", "hello there", &production },
        { "no base64", "1****", &production },
        { "base64 of another length", "1QUJDRA==", &production },
        { "two strings", "AAAA AAAA", &production },
        { "an empty key", zero_key, &production },
        { "far too long", long_text, &production },
        { "production on the test network", pyrogram, &test_dcs },
        { "test on production", pyrogram_old_64, &production },
        { "a DC that nobody knows", pyrogram, &elsewhere },
    };

    (void)state;
    memset(zero_key, 'A', 362);
    zero_key[0] = 'B'; /* DC 4, zeroes else */
    memset(long_text, 'A', sizeof long_text - 1);
    tg_session_data_init(&s);
    s.api_id = 5;
    s.home_dc = 3;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        if (tg_session_import(&s, row[i].text, row[i].where, &err) != TG_DATA)
            fail_msg("%s", row[i].name);
        assert_true(s.api_id == 5 && s.home_dc == 3 && s.dc[0].id == 0);
    }
    tg_session_data_done(&s);
}

static void test_what_cannot_be_exported(void **state)
{
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 4096);
    tg_session_data_init(&s);
    assert_int_equal(tg_session_export(&s, TG_SESSION_TELETHON, &out, &err), TG_AUTH);
    assert_int_equal(tg_session_import(&s, telethon_4, &production, &err), TG_OK);
    assert_int_equal(tg_session_export(&s, TG_SESSION_PYROGRAM, &out, &err), TG_AUTH);
    assert_non_null(strstr(err.message, "who is logged in"));
    memcpy(tg_session_dc(&s, 2)->address.host, "dc.example", 11);
    assert_int_equal(tg_session_export(&s, TG_SESSION_TELETHON, &out, &err), TG_UNSUPPORTED);
    tg_session_dc(&s, 2)->authorized = false;
    assert_int_equal(tg_session_export(&s, TG_SESSION_TELETHON, &out, &err), TG_AUTH);
    assert_int_equal(out.len, 0);
    tg_session_data_done(&s);
    tg_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_telethon),
        cmocka_unit_test(test_pyrogram),
        cmocka_unit_test(test_pyrogram_of_the_test_network),
        cmocka_unit_test(test_white_space_and_padding),
        cmocka_unit_test(test_an_import_replaces_another_login),
        cmocka_unit_test(test_what_is_no_session_string),
        cmocka_unit_test(test_what_cannot_be_exported),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
