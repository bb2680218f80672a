/* SPDX-License-Identifier: MIT */
/*
 * login.c - every way to log in and to be refused, by a real client against real sessions
 *
 * Each row is one login: what the settings give, what the person answers, how the account is, what
 * the server refuses; and what must come of it.
 */
#include "tests/unit/login_kit.h"

/* The session says who is in, stands a store and a load, and serves a new run without login. */
static void check_session(struct run *r)
{
    const struct row *row = r->fake.row;
    struct rig *g = r->fake.rig;
    int64_t id = row->options.bot_token ? BOT : USER;
    const struct tg_peer *me = tg_peers_get(&g->session.peers, id);
    unsigned n_permanent = g->n_permanent;
    struct tg_error err;
    struct tg_buf blob;

    assert_true(g->session.user_id == id && g->session.is_bot == (id == BOT));
    assert_true(tg_session_authorized(&g->session) && g->n_saves > 0);
    assert_int_equal(g->session.home_dc, row->dc ? row->dc : 2);
    assert_int_equal(r->fake.authorized_dc, g->session.home_dc);
    if (id == USER)
        assert_string_equal(g->session.phone, PHONE);
    assert_true(me && me->access_hash == 42);
    assert_string_equal(me->name, "Ada");
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&g->session, NULL, &g->random, &blob, &err), TG_OK);
    assert_int_equal(tg_session_read(blob.data, blob.len, NULL, &g->session, &err), TG_OK);
    tg_buf_done(&blob);
    g->session.user_id = 0; /* as after the import of a Telethon string */
    rig_client_start(g, true);
    r->done = false;
    tg_whoami_start(g->client, on_done, r, g->now_us);
    rig_settle(g);
    assert_true(r->done && !r->failed && g->session.user_id == USER);
    assert_int_equal(g->n_permanent, n_permanent);
}

static void check_row(const struct row *row, bool pfs)
{
    struct run r;

    start(&r, row, pfs);
    log_in(&r);
    if (r.failed ? r.err.code != row->want : row->want != TG_OK)
        fail_msg("%s: %s (%s)", row->name, r.failed ? r.err.message : "went through", r.err.hint);
    if (strcmp(r.asked, row->asked ? row->asked : "") != 0)
        fail_msg("%s: asked '%s'", row->name, r.asked);
    if (row->says && !strstr(r.failed ? r.err.message : r.hint, row->says))
        fail_msg("%s: says '%s'", row->name, r.failed ? r.err.message : r.hint);
    if (r.failed && !r.err.hint[0])
        fail_msg("%s: no hint: %s", row->name, r.err.message);
    if (row->hint && !strstr(r.err.hint, row->hint))
        fail_msg("%s: hint '%s'", row->name, r.err.hint);
    if (r.failed) {
        assert_false(tg_session_authorized(&r.fake.rig->session));
    } else {
        check_session(&r);
    }
    rig_stop(r.fake.rig);
}

static const struct row rows[] = {
    { .name = "all given", .options = GIVEN },
    { .name = "all asked",
      .answers = { PHONE, "12345" },
      .asked = "pc",
      .says = "sent to the Telegram app, 5 digits" },
    { .name = "a code in groups",
      .options = { .phone = PHONE },
      .answers = { " 12-3 45\n" },
      .asked = "c" },
    { .name = "another DC", .options = GIVEN, .dc = 1 },
    { .name = "no phone at first", .answers = { "what?", "+", PHONE, "12345" }, .asked = "pppc" },
    { .name = "never a phone",
      .answers = { "a", "b", "c" },
      .asked = "ppp",
      .want = TG_USAGE,
      .says = "'c' is no phone number" },
    { .name = "a given phone that is none",
      .options = { .phone = "12" },
      .want = TG_USAGE,
      .says = "'12'",
      .hint = "international form" },
    { .name = "nobody to give the phone", .asked = "p", .want = TG_USAGE, .hint = "--phone" },
    { .name = "nobody to give the code",
      .options = { .phone = PHONE },
      .asked = "c",
      .want = TG_USAGE,
      .hint = "TGDATA_CODE" },
    { .name = "a wrong code, then the right one",
      .options = { .phone = PHONE },
      .answers = { "11111", "12345" },
      .asked = "cc",
      .says = "that was wrong" },
    { .name = "three wrong codes",
      .options = { .phone = PHONE },
      .answers = { "1", "2", "3", "12345" },
      .asked = "ccc",
      .want = TG_LOGIN,
      .says = "code is wrong" },
    { .name = "five tries are allowed",
      .options = { .phone = PHONE, .asks_max = 5 },
      .answers = { "1", "2", "3", "", "12345" },
      .asked = "ccccc" },
    { .name = "a given code that is wrong",
      .options = { .phone = PHONE, .code = "00000" },
      .want = TG_LOGIN,
      .says = "PHONE_CODE_INVALID",
      .hint = "without --code" },
    { .name = "an expired code",
      .options = { .phone = PHONE },
      .answers = { "12345", "12345" },
      .refuse = ONCE(auth_signIn, 400, "PHONE_CODE_EXPIRED"),
      .asked = "cc",
      .says = "a new one was sent" },
    { .name = "codes that expire again and again",
      .options = { .phone = PHONE },
      .answers = { "12345", "12345" },
      .refuse = ALWAYS(auth_signIn, 400, "PHONE_CODE_EXPIRED"),
      .asked = "cc",
      .want = TG_LOGIN,
      .says = "expired" },
    { .name = "a given code that expired",
      .options = GIVEN,
      .want = TG_LOGIN,
      .refuse = ONCE(auth_signIn, 400, "PHONE_CODE_EXPIRED"),
      .says = "expired" },
    { .name = "a code by SMS",
      .options = { .phone = PHONE },
      .answers = { "12345" },
      .asked = "c",
      .sent_type = TLN_auth_sentCodeTypeSms,
      .says = "by SMS, 5 digits" },
    { .name = "a code by mail",
      .options = { .phone = PHONE },
      .answers = { "12345" },
      .asked = "c",
      .sent_type = TLN_auth_sentCodeTypeEmailCode,
      .says = "by mail to a***@b.c" },
    { .name = "words by SMS",
      .options = { .phone = PHONE },
      .answers = { " hello world " },
      .asked = "c",
      .sent_type = TLN_auth_sentCodeTypeSmsWord,
      .says = "a word sent by SMS he" },
    { .name = "a mail address is demanded",
      .options = GIVEN,
      .want = TG_LOGIN,
      .sent_type = TLN_auth_sentCodeTypeSetUpEmailRequired,
      .says = "mail address" },
    { .name = "no account",
      .options = GIVEN,
      .sign_up = true,
      .want = TG_LOGIN,
      .says = "no Telegram account",
      .hint = "sign up" },
    { .name = "an invalid number, given",
      .options = GIVEN,
      .want = TG_LOGIN,
      .refuse = ALWAYS(auth_sendCode, 406, "PHONE_NUMBER_INVALID"),
      .hint = "international" },
    { .name = "an invalid number, asked",
      .answers = { "99999", PHONE, "12345" },
      .asked = "ppc",
      .refuse = ONCE(auth_sendCode, 406, "PHONE_NUMBER_INVALID") },
    { .name = "a banned number",
      .options = GIVEN,
      .want = TG_LOGIN,
      .refuse = ALWAYS(auth_sendCode, 400, "PHONE_NUMBER_BANNED"),
      .says = "banned" },
    { .name = "a wrong api id",
      .options = GIVEN,
      .want = TG_LOGIN,
      .refuse = ALWAYS(auth_sendCode, 400, "API_ID_INVALID"),
      .hint = "--api-hash" },
    { .name = "an unknown refusal",
      .options = GIVEN,
      .want = TG_BAD_REQUEST,
      .refuse = ALWAYS(auth_sendCode, 400, "NEVER_HEARD_OF"),
      .says = "NEVER_HEARD_OF" },
    { .name = "a flood",
      .options = GIVEN,
      .want = TG_FLOOD,
      .refuse = ALWAYS(auth_sendCode, 420, "FLOOD_WAIT_86400"),
      .says = "86400 seconds",
      .hint = "24 h 0 min" },
    { .name = "server trouble",
      .options = GIVEN,
      .refuse = { { TLN_auth_sendCode, 500, "RPC_CALL_FAIL", 2 } } },
    { .name = "a restart", .options = GIVEN, .refuse = ONCE(auth_signIn, 500, "AUTH_RESTART") },
    { .name = "a restart with a number",
      .options = { .phone = PHONE },
      .answers = { "12345", "12345" },
      .refuse = ONCE(auth_signIn, 500, "AUTH_RESTART_3"),
      .asked = "cc" },
    { .name = "restarts for ever",
      .options = GIVEN,
      .want = TG_LOGIN,
      .refuse = ALWAYS(auth_signIn, 500, "AUTH_RESTART"),
      .says = "again and again" },
    { .name = "a DC without address",
      .options = GIVEN,
      .dc = 5,
      .want = TG_LOGIN,
      .says = "address is not known" },
    { .name = "a key that died",
      .options = GIVEN,
      .refuse = ONCE(auth_sendCode, 406, "AUTH_KEY_DUPLICATED") },
    { .name = "a deleted account",
      .options = GIVEN,
      .want = TG_LOGIN,
      .refuse = ALWAYS(auth_signIn, 401, "USER_DEACTIVATED"),
      .says = "deleted" },

    { .name = "a given password",
      .password = "pa\xc3\x9fword",
      .options = { .phone = PHONE, .code = "12345", .password = "pa\xc3\x9fword" } },
    { .name = "a password that is asked for",
      .options = GIVEN,
      .password = "secret",
      .asked = "w",
      .answers = { "secret" },
      .says = "hint: the usual one" },
    { .name = "a wrong password, then the right one",
      .options = GIVEN,
      .password = "secret",
      .answers = { "Secret", "secret" },
      .asked = "ww",
      .says = "that was wrong" },
    { .name = "an empty password, then the right one",
      .options = GIVEN,
      .password = "secret",
      .answers = { "", "secret" },
      .asked = "ww" },
    { .name = "three wrong passwords",
      .options = GIVEN,
      .password = "secret",
      .answers = { "a", "b", "c" },
      .asked = "www",
      .want = TG_LOGIN,
      .says = "password is wrong" },
    { .name = "a given password that is wrong",
      .password = "secret",
      .want = TG_LOGIN,
      .options = { .phone = PHONE, .code = "12345", .password = "x" },
      .says = "PASSWORD_HASH_INVALID" },
    { .name = "nobody to give the password",
      .options = GIVEN,
      .password = "secret",
      .asked = "w",
      .want = TG_USAGE,
      .hint = "TGDATA_PASSWORD" },
    { .name = "a stale challenge",
      .password = "secret",
      .options = { .phone = PHONE, .code = "12345", .password = "secret" },
      .refuse = ONCE(auth_checkPassword, 400, "SRP_ID_INVALID") },
    { .name = "challenges that are always stale",
      .password = "secret",
      .want = TG_LOGIN,
      .options = { .phone = PHONE, .code = "12345", .password = "secret" },
      .refuse = ALWAYS(auth_checkPassword, 400, "SRP_ID_INVALID"),
      .says = "SRP_ID_INVALID" },
    { .name = "a flood of passwords",
      .password = "secret",
      .want = TG_FLOOD,
      .options = { .phone = PHONE, .code = "12345", .password = "secret" },
      .refuse = ALWAYS(auth_checkPassword, 420, "FLOOD_WAIT_30"),
      .says = "30 seconds" },

    { .name = "a bot", .options = { .bot_token = TOKEN } },
    { .name = "a bot of another DC", .options = { .bot_token = TOKEN }, .dc = 3 },
    { .name = "a wrong bot token",
      .options = { .bot_token = "1:x" },
      .want = TG_LOGIN,
      .says = "bot token is wrong",
      .hint = "@BotFather" },

    { .name = "a QR code", .options = { .qr = true } },
    { .name = "a QR code, other DC", .options = { .qr = true }, .dc = 1 },
    { .name = "a QR code, password",
      .options = { .qr = true },
      .password = "secret",
      .answers = { "secret" },
      .asked = "w" },
    { .name = "a QR code, other DC, password",
      .options = { .qr = true, .password = "secret" },
      .dc = 3,
      .password = "secret" },
    { .name = "a QR code that expired on the way",
      .options = { .qr = true },
      .dc = 1,
      .refuse = ONCE(auth_importLoginToken, 400, "AUTH_TOKEN_EXPIRED") },
    { .name = "a QR code that is refused",
      .options = { .qr = true },
      .dc = 1,
      .want = TG_LOGIN,
      .refuse = ALWAYS(auth_importLoginToken, 400, "AUTH_TOKEN_INVALID"),
      .says = "QR code" },
    { .name = "a QR code and a long flood",
      .options = { .qr = true },
      .want = TG_FLOOD,
      .refuse = ALWAYS(auth_exportLoginToken, 420, "FLOOD_WAIT_60") },
};

static void test_logins(void **state)
{
    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++)
        check_row(&rows[i], i % 3 != 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logins),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
