/* SPDX-License-Identifier: MIT */
/*
 * sql.c - see sql.h
 */
#include "client/sql.h"

enum { NAME_MAX_LEN = 50 };

tg_code tg_sql_check_name(const char *what, const char *name, struct tg_error *err)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    if (n > 0 && n <= NAME_MAX_LEN && !name[n] && !(*name >= '0' && *name <= '9') &&
        strncmp(name, "sqlite_", 7) != 0 && strncmp(name, "pg_", 3) != 0)
        return TG_OK;
    tg_fail(err, TG_USAGE, "'%.80s' is no name for %s", name, what);
    return tg_hint(err, "letters, digits and _, at most %d, and no digit first", NAME_MAX_LEN);
}

void tg_sql_put(struct tg_buf *out, const char *sql, const char *name)
{
    for (; *sql; sql++) {
        if (*sql == '@')
            tg_buf_str(out, name);
        else
            tg_buf_byte(out, (uint8_t)*sql);
    }
}

tg_code tg_sql_take_number(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    (void)err;
    *(int64_t *)ctx = v[0].number;
    return TG_END;
}
