/* SPDX-License-Identifier: MIT */
/*
 * postgres.h - a connection to a PostgreSQL server: statements, parameters, COPY
 *
 * User and password come from where libpq looks for them: PGUSER, PGPASSWORD, ~/.pgpass, a service
 * file. Every call blocks; a server that does not answer is given up after the timeout. A
 * connection that was lost is made again by tg_postgres_connect.
 *
 *   code               when
 *   TG_USAGE           the address cannot be read, or has a password in it
 *   TG_UNSUPPORTED     this build has no PostgreSQL library
 *   TG_SINK            not connected, lost, shutting down, a deadlock, a lock held too long: later
 *                      it may work
 *   TG_FULL            no space left there
 *   TG_CONFLICT        a unique key is there already
 *   TG_DATA            a constraint or trigger refuses it, or it is too large
 *   TG_IO              everything else: wrong password, no such database, no right, wrong data
 *
 * Threads: one at a time per connection
 */
#ifndef TG_CLIENT_POSTGRES_H
#define TG_CLIENT_POSTGRES_H

#include "base/option.h"
#include "client/sql.h"

struct tg_postgres;

struct tg_postgres_options {
    const char *address;     /* "//[USER@]HOST[:PORT]/DATABASE" */
    const char *tls;         /* libpq's sslmode; NULL: as libpq has it */
    const char *root_cert;   /* sslrootcert; NULL: as libpq has it */
    int64_t timeout_ms;
    const char *name;        /* what each @ of a statement stands for; NULL: for itself */
};

/** Rows of a driver's options that every driver here has; its struct has these members. */
#define TG_POSTGRES_OPTIONS(driver)                                                                \
    { .name = "schema",                                                                            \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct driver, schema),                                                   \
      .fallback = "public",                                                                        \
      .help = "schema of the tables" },                                                            \
    { .name = "sslmode",                                                                           \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct driver, tls),                                                      \
      .help = "TLS, as libpq takes it: disable, prefer, require, verify-ca, verify-full" },        \
    { .name = "sslrootcert",                                                                       \
      .type = TG_OPT_STR,                                                                          \
      .offset = offsetof(struct driver, root_cert),                                                \
      .help = "file with the certificates that the server's is checked with" },                    \
    { .name = "timeout",                                                                           \
      .type = TG_OPT_MS,                                                                           \
      .offset = offsetof(struct driver, timeout_ms),                                               \
      .fallback = "30s",                                                                           \
      .min = 1000,                                                                                 \
      .max = 600000,                                                                               \
      .help = "longest wait for a connection, an answer or another's lock" }

/** Reads the address; connects to nothing. @param o  copied */
tg_code tg_postgres_new(const struct tg_postgres_options *o, struct tg_postgres **ret,
                        struct tg_error *err);
void tg_postgres_free(struct tg_postgres *p); /* NULL is nothing */

/** "host:port/database", for messages. */
const char *tg_postgres_name(const struct tg_postgres *p);

/** Connects unless it is connected. */
tg_code tg_postgres_connect(struct tg_postgres *p, struct tg_error *err);

/** Runs statements without parameters or results. Here and below each @ of a statement stands for
 *  the name that was given. */
tg_code tg_postgres_exec(struct tg_postgres *p, const char *sql, struct tg_error *err);

/**
 * Runs one statement with parameters $1..$n, at most 16; a NUL stands behind the text of one. Each
 * value of a result has a text, those of integers a number too.
 * @param row  gets the result, of at most 128 columns; NULL: it has none
 */
tg_code tg_postgres_query(struct tg_postgres *p, const char *sql, const struct tg_sql_value *param,
                          size_t n, tg_sql_row row, void *ctx, struct tg_error *err);

/** @return the number in the first column of the first row; 0 if there is no row */
tg_code tg_postgres_number(struct tg_postgres *p, const char *sql, int64_t *ret,
                           struct tg_error *err);

/** Starts a COPY ... FROM STDIN, takes its bytes, and ends it; given up if code is not TG_OK. */
tg_code tg_postgres_copy(struct tg_postgres *p, const char *sql, struct tg_error *err);
tg_code tg_postgres_copy_add(struct tg_postgres *p, const void *bytes, size_t n,
                             struct tg_error *err);
tg_code tg_postgres_copy_end(struct tg_postgres *p, tg_code code, struct tg_error *err);

/** Ends a transaction: COMMIT if code is TG_OK, else ROLLBACK. @return code, or why the commit
 *  failed: nothing is known then but what the database tells */
tg_code tg_postgres_end(struct tg_postgres *p, tg_code code, struct tg_error *err);

#endif
