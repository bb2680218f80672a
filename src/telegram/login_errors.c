/* SPDX-License-Identifier: MIT */
/*
 * login_errors.c - what a refusal of the server means for somebody who logs in, and what to do
 *
 * Facts: the error lists of core.telegram.org/method/auth.sendCode, auth.signIn,
 * auth.checkPassword, auth.importBotAuthorization, auth.exportLoginToken and auth.importLoginToken.
 */
#include "telegram/login_impl.h"

struct refusal {
    const char *text; /* a trailing '*' stands for any end */
    tg_code code;
    const char *message, *hint;
};

#define GET_API_ID "check --api-id and --api-hash; they stand at https://my.telegram.org"
#define SUPPORT "write to recover@telegram.org if the number is yours"

static const struct refusal table[] = {
    { "PHONE_NUMBER_INVALID", TG_LOGIN, "Telegram does not take this phone number",
      "give it in international form, such as +491701234567" },
    { "PHONE_NUMBER_BANNED", TG_LOGIN, "this phone number is banned from Telegram", SUPPORT },
    { "PHONE_NUMBER_FLOOD", TG_LOGIN, "too many login codes were asked for with this phone number",
      "wait a day, or log in with --qr" },
    { "PHONE_PASSWORD_FLOOD", TG_LOGIN, "too many wrong passwords were given for this number",
      "wait a day before the next try" },
    { "PHONE_NUMBER_UNOCCUPIED", TG_LOGIN, "there is no account with this phone number",
      "sign up in an official Telegram app first" },
    { "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN", TG_LOGIN, "this number cannot log in with this api id",
      "sign up in an official Telegram app first" },
    { "PHONE_PASSWORD_PROTECTED", TG_LOGIN, "the number is protected by a password",
      "log in with an official Telegram app first" },
    { "PHONE_CODE_INVALID", TG_LOGIN, "the login code is wrong",
      "run the login again without --code; a new code will be sent and asked for" },
    { "PHONE_CODE_EMPTY", TG_LOGIN, "the login code is empty",
      "run the login again without --code; a new code will be sent and asked for" },
    { "PHONE_CODE_EXPIRED", TG_LOGIN, "the login code has expired",
      "run the login again without --code; a new code will be sent and asked for" },
    { "PHONE_CODE_HASH_EMPTY", TG_LOGIN, "the server forgot that it sent a login code",
      "run the login again" },
    { "SMS_CODE_CREATE_FAILED", TG_LOGIN, "the server could not send a login code",
      "try again later, or log in with --qr" },
    { "SEND_CODE_UNAVAILABLE", TG_LOGIN, "the server has no further way to send a login code",
      "wait until the last code has expired, or log in with --qr" },
    { "EMAIL_*", TG_LOGIN, "the code from the mail was refused", "run the login again" },
    { "PHONE_MIGRATE_*", TG_LOGIN, "the account lives in a data centre whose address is not known",
      "add it to the data centre file" },
    { "USER_MIGRATE_*", TG_LOGIN, "the account lives in a data centre whose address is not known",
      "add it to the data centre file" },
    { "API_ID_INVALID", TG_LOGIN, "the api id and the api hash do not belong together",
      GET_API_ID },
    { "CONNECTION_API_ID_INVALID", TG_LOGIN, "the api id is not known", GET_API_ID },
    { "API_ID_PUBLISHED_FLOOD", TG_LOGIN, "this api id was published and may not log in any more",
      "get one of your own at https://my.telegram.org" },
    { "UPDATE_APP_TO_LOGIN", TG_LOGIN, "Telegram demands a newer layer for this login",
      "update this program, or log in elsewhere and import a session string" },
    { "SIGN_IN_FAILED", TG_LOGIN, "the server could not log in", "run the login again" },
    { "PASSWORD_HASH_INVALID", TG_LOGIN, "the two-step verification password is wrong",
      "run the login again without --password to be asked, or reset the password in an app" },
    { "PASSWORD_EMPTY", TG_LOGIN, "the account has no two-step verification password after all",
      "run the login again" },
    { "SRP_*", TG_LOGIN, "the server did not accept the proof of the password",
      "run the login again" },
    { "ACCESS_TOKEN_INVALID", TG_LOGIN, "the bot token is wrong",
      "copy it again from @BotFather; it looks like 123456:ABC-DEF" },
    { "ACCESS_TOKEN_EXPIRED", TG_LOGIN, "the bot token was revoked",
      "get the present one from @BotFather" },
    { "AUTH_TOKEN_*", TG_LOGIN, "the QR code was refused or has expired", "run the login again" },
    { "AUTH_RESTART*", TG_LOGIN, "the server asks to begin the login again, again and again",
      "try again in a few minutes" },
    { "USER_DEACTIVATED_BAN", TG_LOGIN, "this account was banned", SUPPORT },
    { "USER_DEACTIVATED", TG_LOGIN, "this account was deleted", "log in with another account" },
    { "SESSION_PASSWORD_NEEDED", TG_LOGIN, "the account is protected by a password",
      "give it with --password or in TGDATA_PASSWORD" },
    { "AUTH_KEY_DUPLICATED", TG_AUTH, "this session was used by two connections at once",
      "run the login again; it makes a new key" },
    { "AUTH_KEY_UNREGISTERED", TG_AUTH, "the server does not know this login any more",
      "log in with `tgdata login`" },
    { "SESSION_REVOKED", TG_AUTH, "this session was ended from another device",
      "log in with `tgdata login`" },
    { "BOT_METHOD_INVALID", TG_LOGIN, "the session belongs to a bot", "use another session file" },
};

static bool matches(const char *row, const char *text)
{
    size_t n = strlen(row);

    return row[n - 1] == '*' ? strncmp(row, text, n - 1) == 0 : strcmp(row, text) == 0;
}

bool tg_login_is(const struct tgc_reply *reply, const char *text)
{
    return reply->code != TG_OK && matches(text, reply->rpc_text);
}

static tg_code explain_flood(const struct tgc_reply *reply, struct tg_error *err)
{
    int64_t s = reply->err->retry_after_s;

    tg_fail(err, TG_FLOOD, "the server takes the next try to log in only in %lld seconds",
            (long long)s);
    err->retry_after_s = s;
    return tg_hint(err, "wait that long (%lld h %lld min %lld s); trying earlier makes it longer",
                   (long long)(s / 3600), (long long)(s / 60 % 60), (long long)(s % 60));
}

tg_code tg_login_explain(const struct tgc_reply *reply, struct tg_error *err)
{
    if (reply->code == TG_FLOOD)
        return explain_flood(reply, err);
    for (size_t i = 0; i < TG_COUNT(table); i++) {
        if (!matches(table[i].text, reply->rpc_text))
            continue;
        tg_fail(err, table[i].code, "%s (%s)", table[i].message, reply->rpc_text);
        return tg_hint(err, "%s", table[i].hint);
    }
    *err = *reply->err;
    if (!err->hint[0] && reply->rpc_text[0])
        tg_hint(err, "what '%s' means stands at https://core.telegram.org/api/errors",
                reply->rpc_text);
    return err->code;
}
