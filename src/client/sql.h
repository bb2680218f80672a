/* SPDX-License-Identifier: MIT */
/*
 * sql.h - names in statements of SQL
 *
 * Threads: pure
 */
#ifndef TG_CLIENT_SQL_H
#define TG_CLIENT_SQL_H

#include "base/buf.h"

/** @param what  "a table"
 *  @return TG_USAGE unless it is a plain identifier of up to 50 characters */
tg_code tg_sql_check_name(const char *what, const char *name, struct tg_error *err);

/** Appends a statement with `name` for each @. */
void tg_sql_put(struct tg_buf *out, const char *sql, const char *name);

#endif
