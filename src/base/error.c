/* SPDX-License-Identifier: MIT */
/*
 * error.c - the code table, spelled out once in tgdata/error.h, as arrays
 *
 * Threads: none: value type
 */
#include "tgdata/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define CODE_TEXT(name, retry, type, exit_code, text) [TG_##name] = text,
#define CODE_NAME(name, retry, type, exit_code, text) [TG_##name] = #name,
#define CODE_RETRY(name, retry, type, exit_code, text) [TG_##name] = TG_RETRY_##retry,
#define CODE_TYPE(name, retry, type, exit_code, text) [TG_##name] = TG_TYPE_##type,
#define CODE_EXIT(name, retry, type, exit_code, text) [TG_##name] = (exit_code),

static const char *const code_text[] = { TG_CODES(CODE_TEXT) };
static const char *const code_name[] = { TG_CODES(CODE_NAME) };
static const uint8_t code_retry[] = { TG_CODES(CODE_RETRY) };
static const uint8_t code_type[] = { TG_CODES(CODE_TYPE) };
static const uint8_t code_exit[] = { TG_CODES(CODE_EXIT) };
_Static_assert(sizeof code_retry == TG_CODE_COUNT, "one row per code");

static const char *const type_name[] = {
    [TG_TYPE_NONE] = "None",
    [TG_TYPE_RATE_LIMIT] = "RateLimit",
    [TG_TYPE_NETWORK] = "NetworkError",
    [TG_TYPE_SERVER] = "ServerError",
    [TG_TYPE_AUTH] = "Auth",
    [TG_TYPE_NOT_FOUND] = "NotFound",
    [TG_TYPE_BAD_REQUEST] = "BadRequest",
    [TG_TYPE_DATA] = "Data",
    [TG_TYPE_SINK] = "Sink",
    [TG_TYPE_STATE] = "State",
    [TG_TYPE_INTERNAL] = "Internal",
};
_Static_assert(sizeof type_name / sizeof *type_name == TG_TYPE_COUNT, "one name per type");

const char *tg_code_text(tg_code code)
{
    return code_text[code];
}

const char *tg_code_name(tg_code code)
{
    return code_name[code];
}

enum tg_retry tg_code_retry(tg_code code)
{
    return (enum tg_retry)code_retry[code];
}

enum tg_error_type tg_code_type(tg_code code)
{
    return (enum tg_error_type)code_type[code];
}

int tg_code_exit(tg_code code)
{
    return code_exit[code];
}

const char *tg_error_type_name(enum tg_error_type type)
{
    return type_name[type];
}

/* Messages tell what others said, and are cut off where they are too long: what is no UTF-8 then
 * becomes '?', since they go into rows as well. */
static void make_valid(char *text)
{
    while (*text) {
        size_t n = strnlen(text, 4), len = 1;

        while (len <= n && !tg_utf8_valid(text, len))
            len++;
        if (len > n)
            *text = '?';
        text += len > n ? 1 : len;
    }
}

TG_PRINTF(3, 0)
static void write_text(char *text, size_t size, const char *fmt, va_list ap)
{
    vsnprintf(text, size, fmt, ap);
    if (!tg_utf8_valid(text, strlen(text)))
        make_valid(text);
}

tg_code tg_fail(struct tg_error *err, tg_code code, const char *fmt, ...)
{
    int saved = errno; /* before anything can change it */
    bool kernel = code == TG_IO || code == TG_FULL || code == TG_NET;
    va_list ap;

    assert(code > TG_END && code < TG_CODE_COUNT);
    *err = (struct tg_error){ .code = code, .sys_errno = kernel ? saved : 0 };
    va_start(ap, fmt);
    write_text(err->message, sizeof err->message, fmt, ap);
    va_end(ap);
    return code;
}

tg_code tg_hint(struct tg_error *err, const char *fmt, ...)
{
    va_list ap;

    assert(err->code != TG_OK);
    va_start(ap, fmt);
    write_text(err->hint, sizeof err->hint, fmt, ap);
    va_end(ap);
    return err->code;
}
