/* SPDX-License-Identifier: MIT */
/*
 * expand.c - see expand.h
 */
#include "config/expand.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum { NAME_MAX_BYTES = 4096 };

static const char *process_env(void *ctx, const char *name)
{
    (void)ctx;
    return getenv(name);
}

static tg_code process_file(void *ctx, const char *path, struct tg_buf *out, struct tg_error *err)
{
    FILE *file = fopen(path, "re");
    size_t got = 1;
    bool failed;

    (void)ctx;
    if (!file) {
        tg_fail(err, TG_USAGE, "cannot read the file '%.200s': %s", path, strerror(errno));
        return err->code;
    }
    setvbuf(file, NULL, _IONBF, 0); /* it may be a secret: no copy of it stays */
    while (got && !out->failed) {
        uint8_t *at = tg_buf_extend(out, 1024);

        got = at ? fread(at, 1, 1024, file) : 0;
        if (at)
            out->len -= 1024 - got;
    }
    failed = ferror(file) || out->failed;
    fclose(file);
    if (failed)
        return tg_fail(err, TG_USAGE, "cannot read the file '%.200s', or it is too long", path);
    return TG_OK;
}

const struct tg_expand_from tg_expand_process = { .env = process_env, .file = process_file };

void tg_expand_buf(struct tg_buf *out)
{
    tg_buf_init(out, TG_EXPAND_MAX);
    if (!tg_buf_grow(out, TG_EXPAND_MAX))
        tg_buf_done(out); /* told by whoever fills it */
}

bool tg_expand_needed(const char *text)
{
    return strstr(text, "${") != NULL;
}

tg_code tg_expand_file(const char *path, const struct tg_expand_from *from, struct tg_buf *out,
                       struct tg_error *err)
{
    size_t before = out->len;
    tg_code code = from->file(from->ctx, path, out, err);

    if (code != TG_OK)
        return code;
    if (out->len > before && out->data[out->len - 1] == '\n')
        out->len--;
    if (out->len > before && out->data[out->len - 1] == '\r')
        out->len--;
    if (out->len > before && (memchr(out->data + before, 0, out->len - before) ||
                              !tg_utf8_valid((const char *)out->data + before, out->len - before)))
        return tg_fail(err, TG_USAGE, "the file '%.200s' holds no text", path);
    return TG_OK;
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return n && !name[n] && (name[0] < '0' || name[0] > '9');
}

/* What stands between the braces. */
static tg_code one(char *inside, const struct tg_expand_from *from, struct tg_buf *out,
                   struct tg_error *err)
{
    char *fallback = strstr(inside, ":-");
    const char *value;

    if (strncmp(inside, "file:", 5) == 0)
        return tg_expand_file(inside + 5, from, out, err);
    if (fallback) {
        *fallback = 0;
        fallback += 2;
    }
    if (!is_name(inside)) {
        tg_fail(err, TG_USAGE, "'${%.64s}' names no environment variable", inside);
        return tg_hint(err, "write ${NAME}, ${NAME:-text} or ${file:PATH}, and $${ for the "
                            "characters themselves");
    }
    value = from->env(from->ctx, inside);
    if (fallback && (!value || !*value))
        value = fallback;
    if (!value)
        return tg_fail(err, TG_USAGE, "the environment variable %.64s is not set", inside);
    if (!tg_utf8_valid(value, strlen(value)))
        return tg_fail(err, TG_USAGE, "the environment variable %.64s holds no text", inside);
    tg_buf_str(out, value);
    return TG_OK;
}

tg_code tg_expand(const char *text, const struct tg_expand_from *from, struct tg_buf *out,
                  struct tg_error *err)
{
    char inside[NAME_MAX_BYTES];
    tg_code code = TG_OK;
    const char *at;

    while (code == TG_OK && (at = strstr(text, "${"))) {
        size_t len = strcspn(at + 2, "}");

        if (at > text && at[-1] == '$') {
            tg_buf_add(out, text, (size_t)(at - 1 - text));
            tg_buf_str(out, "${");
            text = at + 2;
            continue;
        }
        if (!at[2 + len] || len >= sizeof inside) {
            tg_fail(err, TG_USAGE, "a '${' has no '}'");
            return tg_hint(err, "write $${ for the characters themselves");
        }
        tg_buf_add(out, text, (size_t)(at - text));
        memcpy(inside, at + 2, len);
        inside[len] = 0;
        code = one(inside, from, out, err);
        text = at + 2 + len + 1;
    }
    if (code != TG_OK)
        return code;
    tg_buf_str(out, text);
    if (out->failed)
        return tg_fail(err, TG_USAGE, "the value is longer than %d bytes", TG_EXPAND_MAX);
    return TG_OK;
}
