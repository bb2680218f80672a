/* SPDX-License-Identifier: MIT */
/*
 * cmd_login.c - tgdata login, logout, export-session
 *
 * Login asks on the terminal for what the settings do not have. Without a terminal the missing
 * option is named, so that a script learns what to pass.
 */
#include <qrencode.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/term.h"

struct login_own {
    bool json;
};

static const struct tg_option login_options[] = {
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct login_own, json),
      .help = "print the account as a JSON object" },
    { 0 },
};

/* ---- asking ---- */

static tg_code nobody_to_ask(enum tg_ask what, struct tg_error *err)
{
    static const struct {
        const char *missing, *hint;
    } say[] = {
        [TG_ASK_PHONE] = { "a phone number", "pass --phone NUMBER, or --bot-token, or --qr" },
        [TG_ASK_CODE] = { "the login code", "pass --code CODE, --code-fd N, or set TGDATA_CODE" },
        [TG_ASK_PASSWORD] = { "the two-step verification password",
                              "pass --password-fd N, --password TEXT, or set TGDATA_PASSWORD" },
    };

    tg_fail(err, TG_USAGE, "%s is needed, and there is no terminal to ask on", say[what].missing);
    return tg_hint(err, "%s", say[what].hint);
}

static tg_code ask(void *ctx, enum tg_ask what, const char *hint, char *out, size_t n,
                   struct tg_error *err)
{
    static const char *const question[] = {
        [TG_ASK_PHONE] = "Phone number",
        [TG_ASK_CODE] = "Login code",
        [TG_ASK_PASSWORD] = "Password",
    };
    struct tg_buf prompt;
    tg_code code;

    (void)ctx;
    tg_buf_init(&prompt, 4096);
    tg_buf_str(&prompt, question[what]);
    if (*hint) {
        tg_buf_str(&prompt, " (");
        cli_clean(&prompt, hint, 200);
        tg_buf_str(&prompt, ")");
    }
    tg_buf_str(&prompt, ": ");
    code = term_ask(tg_buf_cstr(&prompt), what != TG_ASK_PASSWORD, out, n, err);
    tg_buf_done(&prompt);
    return code == TG_END ? nobody_to_ask(what, err) : code;
}

/* ---- QR: two modules a character cell, dark on light whatever the terminal's colours ---- */

static bool dark(const QRcode *qr, int x, int y)
{
    return x >= 0 && y >= 0 && x < qr->width && y < qr->width &&
           qr->data[y * qr->width + x] & 1;
}

static void put_cell(struct tg_buf *out, bool upper, bool lower, bool utf8)
{
    static const char *const half[] = { " ", "▄", "▀", "█" };

    if (utf8)
        tg_buf_str(out, half[upper << 1 | lower]);
    else
        tg_buf_str(out, upper ? "##" : "  ");
}

static void put_qr(struct tg_buf *out, const QRcode *qr, bool utf8)
{
    const int margin = 2;

    for (int y = -margin; y < qr->width + margin; y += utf8 ? 2 : 1) {
        tg_buf_str(out, "  \033[30;107m");
        for (int x = -margin; x < qr->width + margin; x++)
            put_cell(out, dark(qr, x, y), dark(qr, x, y + 1), utf8);
        tg_buf_str(out, "\033[0m\n");
    }
}

static void show_qr(void *ctx, const char *url, int64_t expires_unix_s)
{
    QRcode *qr = QRcode_encodeString8bit(url, 0, QR_ECLEVEL_L);
    struct tg_buf out;

    (void)ctx;
    tg_buf_init(&out, 1 << 20);
    if (qr && term_is_tty(fileno(stderr)))
        put_qr(&out, qr, term_utf8());
    tg_buf_printf(&out,
                  "Scan with the phone: Settings, Devices, Link Desktop Device (%lld s left)\n",
                  (long long)TG_MAX(expires_unix_s - (int64_t)time(NULL), INT64_C(0)));
    tg_buf_printf(&out, "%s\n", url);
    fputs(tg_buf_cstr(&out), stderr);
    fflush(stderr);
    tg_buf_wipe(&out);
    QRcode_free(qr);
}

/* ---- commands ---- */

static void put_json(struct tg_buf *out, const struct tg_user_info *self)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "user_id"), tg_json_i64(&j, self->id);
    tg_json_key(&j, "name"), tg_json_cstr(&j, self->name);
    tg_json_key(&j, "username"), tg_json_cstr(&j, self->username);
    tg_json_key(&j, "phone"), tg_json_cstr(&j, *self->phone ? self->phone : NULL);
    tg_json_key(&j, "bot"), tg_json_bool(&j, self->bot);
    tg_json_key(&j, "already_logged_in"), tg_json_bool(&j, !self->logged_in_now);
    tg_json_end_object(&j);
}

/* "Logged in as Ada (@ada, +15550100, user 12)." */
static void put_text(struct tg_buf *out, const struct tg_user_info *self)
{
    tg_buf_str(out, self->logged_in_now ? "Logged in as " : "Already logged in as ");
    cli_clean(out, self->name, 200);
    tg_buf_str(out, *self->name ? " (" : "(");
    if (self->username)
        tg_buf_printf(out, "@%s, ", self->username);
    if (*self->phone)
        tg_buf_printf(out, "+%s, ", self->phone);
    tg_buf_printf(out, "%s %lld).", self->bot ? "bot" : "user", (long long)self->id);
    if (!self->logged_in_now)
        tg_buf_str(out, " Nothing was changed; --force logs in anew.");
}

static tg_code tell_account(const struct cli *cli, const struct tg_user_info *self,
                            struct tg_error *err)
{
    const struct login_own *own = cli->own;
    struct tg_buf out;
    tg_code code;

    tg_buf_init(&out, 4096);
    if (own->json)
        put_json(&out, self);
    else
        put_text(&out, self);
    code = cli_print(&out, err);
    tg_buf_done(&out);
    return code;
}

static tg_code run_login(struct cli *cli, struct tg_error *err)
{
    struct tg_account *account = NULL;
    struct tg_user_info self;
    tg_code code = cli_open_account(cli, &account, err);

    if (code != TG_OK)
        return code;
    code = tg_account_login(account, cli->config, ask, show_qr, cli, err);
    if (code == TG_OK)
        code = tg_account_self(account, &self, err);
    if (code == TG_OK)
        code = tell_account(cli, &self, err);
    cli_close_account(account);
    return code;
}

const struct cli_command cmd_login = {
    .name = "login",
    .help = "log an account in: phone code, password, bot token, QR code or session string",
    .usage = "[OPTIONS]",
    .about = "Logs an account in and keeps the session in a file. What no option, environment "
             "variable or file descriptor gives is asked for on the terminal; without one, the "
             "missing option is named. A session that is logged in already stays as it is and is "
             "named; --force logs in anew. Application id and hash come from "
             "https://my.telegram.org.",
    .examples = "  tgdata login --session me.session --api-id 12345 --api-hash HEX\n"
                "  tgdata login --qr --api-id 12345 --api-hash HEX\n"
                "  TGDATA_BOT_TOKEN=123:abc tgdata login --api-id 12345 --api-hash HEX\n"
                "  tgdata login --session-string-fd 0 --api-id 12345 --api-hash HEX <string\n"
                "  tgdata login --phone +15550100 --code-fd 3 --password-fd 4 3<code 4<password\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT | 1u << TG_SCOPE_LOGIN,
    .option = login_options,
    .size = sizeof(struct login_own),
    .run = run_login,
};

static tg_code run_logout(struct cli *cli, struct tg_error *err)
{
    struct tg_account *account = NULL;
    tg_code code = cli_open_account(cli, &account, err);

    if (code != TG_OK)
        return code;
    code = tg_account_logout(account, err);
    cli_close_account(account);
    if (code == TG_OK)
        puts("Logged out; the session file is deleted.");
    return code;
}

const struct cli_command cmd_logout = {
    .name = "logout",
    .help = "end the session at the server and delete its file",
    .usage = "[OPTIONS]",
    .about = "Ends the session at the server, so that it can never be used again, and deletes the "
             "session file.",
    .examples = "  tgdata logout --session me.session\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT,
    .run = run_logout,
};

static tg_code run_export(struct cli *cli, struct tg_error *err)
{
    char text[1024];
    struct tg_account *account = NULL;
    tg_code code = cli_open_account(cli, &account, err);

    if (code != TG_OK)
        return code;
    code = tg_account_export(account, cli->arg[0], text, sizeof text, err);
    cli_close_account(account);
    if (code == TG_OK)
        puts(text);
    explicit_bzero(text, sizeof text);
    return code;
}

const struct cli_command cmd_export_session = {
    .name = "export-session",
    .help = "print the session as a string of Telethon or Pyrogram",
    .usage = "telethon|pyrogram [OPTIONS]",
    .about = "Prints the session as a string that another client reads. Whoever has that string "
             "has the account; two programs must not use it at the same time.",
    .examples = "  tgdata export-session telethon --session me.session\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT,
    .args_min = 1,
    .args_max = 1,
    .run = run_export,
};
