/* SPDX-License-Identifier: MIT */
/*
 * postgres_names.c - everything that state in PostgreSQL keeps, and numbers that are raised; the
 * model stands in postgres.c
 */
#include <assert.h>
#include <stdio.h>

#include "store/postgres_impl.h"

struct names {
    tg_name_seen seen;
    void *ctx;
};

struct text {
    char at[TG_STORE_KEY_MAX + 1];
};

static const char *text_of(struct tg_str value, struct text *out)
{
    snprintf(out->at, sizeof out->at, "%.*s", (int)value.len, value.at ? value.at : "");
    return out->at;
}

/* kind, key, number, owner, expires_us */
static tg_code take_name(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    const struct names *names = ctx;
    struct text kind, key, owner;
    const struct tg_store_name name = {
        .kind = text_of(v[0].text, &kind),
        .key = text_of(v[1].text, &key),
        .number = (uint64_t)v[2].number,
        .owner = text_of(v[3].text, &owner),
        .expires_us = v[4].number,
    };

    (void)err;
    return names->seen(names->ctx, &name) ? TG_OK : TG_END;
}

tg_code tg_ps_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                    struct tg_error *err)
{
    static const char *const sql[] = {
        [TG_STORE_DOCS] =
            "SELECT kind, key, max(version), '', 0 FROM @_doc\" GROUP BY kind, key",
        [TG_STORE_LOGS] = "SELECT kind, key, n, '', 0 FROM @_last\"",
        [TG_STORE_LEASES] = "SELECT 'lease', name, token, owner, expires_us FROM @_lease\"",
    };
    struct store_postgres *s = self;
    struct names names = { seen, ctx };
    tg_code code = tg_postgres_connect(s->db, err);

    if (code == TG_OK)
        code = tg_postgres_query(s->db, sql[shape], NULL, 0, take_name, &names, err);
    return tg_ps_told(code, err);
}

tg_code tg_ps_raise(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                    uint64_t number, struct tg_error *err)
{
    struct store_postgres *s = self;
    const bool log = shape == TG_STORE_LOGS;
    /* a lease has no kind */
    const struct tg_sql_value arg[] = { { .text = tg_str_of(key) },
                                        { .number = tg_store_clamp(number) },
                                        { .text = tg_str_of(kind) } };
    const char *sql =
        log ? "INSERT INTO @_last\" AS l VALUES($3, $1, $2)"
              " ON CONFLICT(kind, key) DO UPDATE SET n = greatest(l.n, $2)"
            : "INSERT INTO @_lease\" AS l VALUES($1, '', $2, 0)"
              " ON CONFLICT(name) DO UPDATE SET token = greatest(l.token, $2)";
    tg_code code = tg_store_check_name(kind, key, err);

    assert(shape != TG_STORE_DOCS);
    if (code == TG_OK)
        code = tg_ps_begin(s, err);
    if (code != TG_OK)
        return tg_ps_told(code, err);
    code = tg_postgres_query(s->db, sql, arg, log ? 3 : 2, NULL, NULL, err);
    return tg_ps_told(tg_postgres_end(s->db, code, err), err);
}
