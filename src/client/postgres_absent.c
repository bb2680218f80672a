/* SPDX-License-Identifier: MIT */
/*
 * postgres_absent.c - the PostgreSQL client of a build without libpq: it says so
 */
#ifndef TG_HAVE_POSTGRES

#include "client/postgres.h"

static tg_code absent(struct tg_error *err)
{
    tg_fail(err, TG_UNSUPPORTED, "this build has no PostgreSQL client");
    return tg_hint(err, "build it with libpq (libpq-dev); `tgdata version` lists what is in");
}

tg_code tg_postgres_new(const struct tg_postgres_options *o, struct tg_postgres **ret,
                        struct tg_error *err)
{
    (void)o;
    *ret = NULL;
    return absent(err);
}

void tg_postgres_free(struct tg_postgres *p)
{
    (void)p;
}

const char *tg_postgres_name(const struct tg_postgres *p)
{
    (void)p;
    return "";
}

tg_code tg_postgres_connect(struct tg_postgres *p, struct tg_error *err)
{
    (void)p;
    return absent(err);
}

tg_code tg_postgres_exec(struct tg_postgres *p, const char *sql, struct tg_error *err)
{
    (void)p;
    (void)sql;
    return absent(err);
}

tg_code tg_postgres_query(struct tg_postgres *p, const char *sql,
                          const struct tg_postgres_arg *arg, int n, tg_postgres_row row, void *ctx,
                          struct tg_error *err)
{
    (void)p;
    (void)sql;
    (void)arg;
    (void)n;
    (void)row;
    (void)ctx;
    return absent(err);
}

int64_t tg_postgres_number(struct tg_str value)
{
    (void)value;
    return 0;
}

tg_code tg_postgres_copy(struct tg_postgres *p, const char *sql, struct tg_error *err)
{
    (void)p;
    (void)sql;
    return absent(err);
}

tg_code tg_postgres_copy_add(struct tg_postgres *p, const void *bytes, size_t n,
                             struct tg_error *err)
{
    (void)p;
    (void)bytes;
    (void)n;
    return absent(err);
}

tg_code tg_postgres_copy_end(struct tg_postgres *p, tg_code code, struct tg_error *err)
{
    (void)p;
    (void)code;
    return absent(err);
}

tg_code tg_postgres_end(struct tg_postgres *p, tg_code code, struct tg_error *err)
{
    (void)p;
    (void)code;
    return absent(err);
}

#else
typedef int tg_postgres_is_present; /* a translation unit may not be empty */
#endif
