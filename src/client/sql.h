/* SPDX-License-Identifier: MIT */
/*
 * sql.h - names in statements of SQL, and values
 *
 * Threads: pure
 */
#ifndef TG_CLIENT_SQL_H
#define TG_CLIENT_SQL_H

#include "base/buf.h"
#include "base/text.h"

/** @param what  "a table"
 *  @return TG_USAGE unless it is a plain identifier of up to 50 characters */
tg_code tg_sql_check_name(const char *what, const char *name, struct tg_error *err);

/** Appends a statement with `name` for each @. */
void tg_sql_put(struct tg_buf *out, const char *sql, const char *name);

/** A value of a result, or a parameter. */
struct tg_sql_value {
    int64_t number;     /* of what is one; 0 of others */
    struct tg_str text; /* valid during the call; a parameter with text.at is a text */
    bool null;
};

/** Gets each row of a result. @return TG_OK to go on; TG_END to stop; a failure */
typedef tg_code (*tg_sql_row)(void *ctx, const struct tg_sql_value *v, struct tg_error *err);

/** One that puts the first number of the first row into the int64_t at ctx. */
tg_code tg_sql_take_number(void *ctx, const struct tg_sql_value *v, struct tg_error *err);

#endif
