/* SPDX-License-Identifier: MIT */
/*
 * aws_keys.c - see aws_keys.h
 */
#include "client/aws_keys.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX = 1 << 20, FILE_USUAL = 64 << 10, PATH_MAX_BYTES = 4096, VALUE_MAX = 16 << 10 };

/* ---- files ---- */

static struct tg_str trim(struct tg_str s)
{
    while (s.len && strchr(" \t\r", s.at[0]))
        s.at++, s.len--;
    while (s.len && strchr(" \t\r", s.at[s.len - 1]))
        s.len--;
    return s;
}

/* @return the next line, and moves on behind it */
static struct tg_str next_line(struct tg_str *rest)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    uint32_t n = end ? (uint32_t)(end - rest->at) : rest->len;
    struct tg_str line = { rest->at, n };

    n += end != NULL;
    rest->at += n;
    rest->len -= n;
    return line;
}

struct tg_str tg_aws_file_value(struct tg_str file, const char *section, const char *key)
{
    bool inside = false;

    while (file.len) {
        struct tg_str line = next_line(&file), name;
        const char *equals;

        if (!line.len || strchr("#; \t", line.at[0])) /* indented: belongs to the line above */
            continue;
        line = trim(line);
        if (line.len >= 2 && line.at[0] == '[' && line.at[line.len - 1] == ']') {
            name = trim((struct tg_str){ line.at + 1, line.len - 2 });
            inside = tg_str_eq(name, tg_str_of(section));
            continue;
        }
        equals = inside && line.len ? memchr(line.at, '=', line.len) : NULL;
        if (!equals)
            continue;
        name = trim((struct tg_str){ line.at, (uint32_t)(equals - line.at) });
        if (tg_str_eq(name, tg_str_of(key)))
            return trim((struct tg_str){ equals + 1,
                                         line.len - (uint32_t)(equals - line.at) - 1 });
    }
    return (struct tg_str){ NULL, 0 };
}

/* A file that is not there is empty. */
static void read_file(struct tg_buf *out, const char *env, const char *in_home)
{
    const char *path = getenv(env), *home = getenv("HOME");
    char text[PATH_MAX_BYTES];
    FILE *f;

    tg_buf_init(out, FILE_MAX);
    if (!path || !*path) {
        int n = snprintf(text, sizeof text, "%s/.aws/%s", home ? home : "", in_home);

        if (n < 0 || (size_t)n >= sizeof text)
            return;
        path = text;
    }
    f = fopen(path, "rbe");
    if (!f)
        return;
    setvbuf(f, NULL, _IONBF, 0); /* no copy of keys stays in a buffer */
    tg_buf_grow(out, FILE_USUAL); /* so that it need not move */
    while (tg_buf_room(out, 4096)) {
        size_t n = fread(out->data + out->len, 1, 4096, f);

        out->len += n;
        if (!n)
            break;
    }
    fclose(f);
}

/* ---- what is looked for ---- */

static bool is_set(const char *env)
{
    const char *value = getenv(env);

    return value && *value;
}

static void set(struct tg_buf *out, struct tg_str value)
{
    tg_buf_clear(out);
    tg_buf_grow(out, value.len + 1);
    if (value.at)
        tg_buf_add(out, value.at, value.len);
    tg_buf_cstr(out);
}

static void set_env(struct tg_buf *out, const char *env)
{
    set(out, tg_str_of(getenv(env)));
}

static void set_keys(struct tg_aws_login *login, struct tg_str file, const char *section)
{
    set(&login->id, tg_aws_file_value(file, section, "aws_access_key_id"));
    set(&login->secret, tg_aws_file_value(file, section, "aws_secret_access_key"));
    set(&login->token, tg_aws_file_value(file, section, "aws_session_token"));
}

static struct tg_str view(const struct tg_buf *b)
{
    return (struct tg_str){ b->len ? (const char *)b->data : "", (uint32_t)b->len };
}

static void find(struct tg_aws_login *login, const char *profile)
{
    struct tg_buf credentials, config;
    char section[256];

    snprintf(section, sizeof section, "%s%s", strcmp(profile, "default") == 0 ? "" : "profile ",
             profile);
    read_file(&credentials, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
    read_file(&config, "AWS_CONFIG_FILE", "config");
    if (is_set("AWS_ACCESS_KEY_ID")) {
        set_env(&login->id, "AWS_ACCESS_KEY_ID");
        set_env(&login->secret, "AWS_SECRET_ACCESS_KEY");
        set_env(&login->token, "AWS_SESSION_TOKEN");
    } else {
        set_keys(login, view(&credentials), profile);
        if (!login->id.len)
            set_keys(login, view(&config), section);
    }
    if (is_set("AWS_REGION"))
        set_env(&login->region, "AWS_REGION");
    else if (is_set("AWS_DEFAULT_REGION"))
        set_env(&login->region, "AWS_DEFAULT_REGION");
    else
        set(&login->region, tg_aws_file_value(view(&config), section, "region"));
    tg_buf_wipe(&credentials);
    tg_buf_wipe(&config);
}

tg_code tg_aws_login_find(struct tg_aws_login *ret, struct tg_error *err)
{
    const char *profile = is_set("AWS_PROFILE") ? getenv("AWS_PROFILE") : "default";
    struct tg_aws_login login;

    tg_buf_init(&login.id, VALUE_MAX);
    tg_buf_init(&login.secret, VALUE_MAX);
    tg_buf_init(&login.token, VALUE_MAX);
    tg_buf_init(&login.region, VALUE_MAX);
    find(&login, profile);
    if (login.id.len && login.secret.len && !login.id.failed && !login.secret.failed &&
        !login.token.failed && !login.region.failed) {
        *ret = login;
        return TG_OK;
    }
    tg_aws_login_done(&login);
    tg_fail(err, TG_USAGE, "there are no AWS credentials in the environment, nor in profile "
            "'%.60s' of ~/.aws/credentials", profile);
    return tg_hint(err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`");
}

void tg_aws_login_done(struct tg_aws_login *login)
{
    tg_buf_wipe(&login->id);
    tg_buf_wipe(&login->secret);
    tg_buf_wipe(&login->token);
    tg_buf_wipe(&login->region);
}
