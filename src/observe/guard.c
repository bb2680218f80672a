/* SPDX-License-Identifier: MIT */
/*
 * guard.c - see guard.h
 */
#include "observe/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "crypto/ct.h"

/* The name in HOST[:PORT] or [ADDRESS][:PORT]. @return false if it is neither */
static bool name_of(const char *host, char ret[64])
{
    const char *end = host[0] == '[' ? strchr(host, ']') : host + strcspn(host, ":");
    size_t n;

    if (host[0] == '[')
        host++;
    if (!end || (size_t)(end - host) >= 64)
        return false;
    n = (size_t)(end - host);
    memcpy(ret, host, n);
    ret[n] = 0;
    end += *end == ']';
    return !*end || (*end == ':' && end[1 + strspn(end + 1, "0123456789")] == 0);
}

bool tg_guard_host(const char *host)
{
    struct in6_addr any;
    char name[64];

    if (!host)
        return true;
    if (!name_of(host, name))
        return false;
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &any) == 1 ||
           inet_pton(AF_INET6, name, &any) == 1;
}

bool tg_guard_origin(const char *origin, const char *host)
{
    static const char *const scheme[] = { "http://", "https://" };

    if (!origin)
        return true;
    for (size_t i = 0; host && i < TG_COUNT(scheme); i++) {
        size_t n = strlen(scheme[i]);

        if (strncasecmp(origin, scheme[i], n) == 0)
            return strcasecmp(origin + n, host) == 0;
    }
    return false;
}

bool tg_guard_token(const char *authorization, const char *token)
{
    char given[TG_TOKEN_MAX + 1] = "", right[TG_TOKEN_MAX + 1] = "";
    size_t len;
    bool same;

    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    authorization += 7;
    len = strlen(authorization);
    if (len > TG_TOKEN_MAX || !token[0])
        return false;
    memcpy(given, authorization, len);
    memcpy(right, token, strnlen(token, TG_TOKEN_MAX));
    same = tg_equal_ct(given, right, sizeof right);
    tg_wipe(given, sizeof given);
    tg_wipe(right, sizeof right);
    return same;
}

static tg_code check(const char *token, const char *from, struct tg_error *err)
{
    size_t n = strlen(token);
    bool ok = n >= TG_TOKEN_MIN && n <= TG_TOKEN_MAX;

    for (size_t i = 0; ok && i < n; i++)
        ok = token[i] > ' ' && token[i] < 0x7f;
    if (ok)
        return TG_OK;
    tg_fail(err, TG_USAGE, "%.200s has no token of %d to %d printable characters", from,
            TG_TOKEN_MIN, TG_TOKEN_MAX);
    return tg_hint(err, "make one with: openssl rand -hex 24");
}

/* The first line of a file, "" if it has none. What is too long comes too long. */
static tg_code read_line(const char *path, char ret[TG_TOKEN_MAX + 3], struct tg_error *err)
{
    FILE *f = fopen(path, "re");

    if (!f) {
        tg_fail(err, TG_IO, "could not open the token's file '%.200s': %s", path, strerror(errno));
        return tg_hint(err, "make one with: (umask 077; openssl rand -hex 24 > FILE)");
    }
    if (!fgets(ret, TG_TOKEN_MAX + 3, f))
        ret[0] = 0;
    ret[strcspn(ret, "\r\n")] = 0;
    fclose(f);
    return TG_OK;
}

tg_code tg_token_read(const char *file, char ret[TG_TOKEN_MAX + 1], struct tg_error *err)
{
    const char *env = file ? NULL : getenv("TGDATA_LISTEN_TOKEN");
    char line[TG_TOKEN_MAX + 3] = "";
    tg_code code = TG_OK;

    ret[0] = 0;
    if (file)
        code = read_line(file, line, err);
    else if (env && *env)
        snprintf(line, sizeof line, "%s", env);
    else
        return TG_OK;
    if (code == TG_OK)
        code = check(line, file ? file : "TGDATA_LISTEN_TOKEN", err);
    if (code == TG_OK)
        memcpy(ret, line, strlen(line) + 1);
    tg_wipe(line, sizeof line);
    return code;
}
