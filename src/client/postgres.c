/* SPDX-License-Identifier: MIT */
/*
 * postgres.c - see postgres.h; the only file that includes libpq
 *
 * Facts: postgresql.org/docs: libpq, SQLSTATE classes (appendix A), COPY.
 */
#ifdef TG_HAVE_POSTGRES

#include "client/postgres.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARGS_MAX = 16, COLUMNS_MAX = 128, KEYWORDS_MAX = 16, SQL_MAX = 65536 };

struct tg_postgres {
    PGconn *c; /* NULL: never connected, or lost */
    PQconninfoOption *where;
    char name[200], root_cert[512], tls[16], connect_s[24], silence_ms[24], settings[64];
    struct tg_buf sql; /* the statement that runs */
    char *at;          /* what @ stands for */
    bool copying;
};

/* ---- failures ---- */

/* What the server says goes over several lines; the first one tells it. */
static struct tg_str first_line(const char *text)
{
    const char *prefix = strstr(text, ":  ");
    size_t n;

    if (prefix && prefix < text + strcspn(text, "\n"))
        text = prefix + 3; /* "ERROR:  " */
    n = strcspn(text, "\n");
    return (struct tg_str){ text, (uint32_t)TG_MIN(n, (size_t)160) };
}

static tg_code lost(struct tg_postgres *p, const char *what, const char *why, struct tg_error *err)
{
    struct tg_str line = first_line(why);

    tg_fail(err, TG_SINK, "could not %s at PostgreSQL %s: %.*s", what, p->name, (int)line.len,
            line.at);
    return tg_hint(err, "check that the server runs and can be reached");
}

static const struct {
    const char *state; /* beginning of the SQLSTATE */
    tg_code code;
    const char *hint;
} refusal[] = {
    { "08", TG_SINK, "check that the server runs and can be reached" },
    { "57P", TG_SINK, "the server was shut down or the connection ended there" },
    { "40", TG_SINK, NULL },
    { "55P03", TG_SINK, "another program holds a lock on it" },
    { "53100", TG_FULL, "make room on the server; nothing committed is lost" },
    { "53", TG_SINK, "the server is short of memory or connections" },
    { "23505", TG_CONFLICT, NULL },
    { "22", TG_DATA, NULL },
    { "23", TG_DATA, NULL },
    { "44", TG_DATA, NULL },    /* WITH CHECK OPTION of a view */
    { "54", TG_DATA, NULL },    /* too large, for a row or an index */
    { "P0", TG_DATA, NULL },    /* RAISE in a trigger */
    { "28", TG_IO, "user and password: PGUSER, PGPASSWORD or ~/.pgpass" },
    { "3D000", TG_IO, "make it with createdb" },
    { "3F000", TG_IO, "make the schema: CREATE SCHEMA ..." },
    { "42501", TG_IO, "the user needs CREATE on the schema, or INSERT, UPDATE, DELETE and SELECT" },
    { "42", TG_IO, "its tables are not as this program made them: put back what was changed, or "
                   "name another table, prefix or schema" },
};

static tg_code failed_with(const char *what, const char *state, const char *why,
                           struct tg_postgres *p, struct tg_error *err)
{
    struct tg_str line = first_line(why);

    for (size_t i = 0; i < TG_COUNT(refusal); i++)
        if (strncmp(refusal[i].state, state, strlen(refusal[i].state)) == 0) {
            tg_fail(err, refusal[i].code, "could not %s at PostgreSQL %s: %.*s", what, p->name,
                    (int)line.len, line.at);
            return refusal[i].hint ? tg_hint(err, "%s", refusal[i].hint) : err->code;
        }
    return tg_fail(err, TG_IO, "could not %s at PostgreSQL %s: %.*s (%s)", what, p->name,
                   (int)line.len, line.at, state);
}

/* From a result, or from the connection if there is none. Frees the result. */
static tg_code failed(struct tg_postgres *p, const char *what, PGresult *r, struct tg_error *err)
{
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    tg_code code;

    if (state && PQstatus(p->c) == CONNECTION_OK)
        code = failed_with(what, state, PQresultErrorMessage(r), p, err);
    else
        code = lost(p, what, PQerrorMessage(p->c), err);
    PQclear(r);
    return code;
}

/* ---- connecting ---- */

static const char *value_of(const struct tg_postgres *p, const char *keyword)
{
    for (const PQconninfoOption *o = p->where; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0 && o->val)
            return o->val;
    return NULL;
}

static tg_code read_address(struct tg_postgres *p, const char *address, struct tg_error *err)
{
    char uri[600], *why = NULL;
    const char *host, *port, *database;

    snprintf(uri, sizeof uri, "postgresql:%s", address);
    p->where = strlen(address) < sizeof uri - 16 ? PQconninfoParse(uri, &why) : NULL;
    if (!p->where) {
        tg_fail(err, TG_USAGE, "the address of the PostgreSQL server cannot be read: %.*s",
                why ? (int)strcspn(why, "\n") : 8, why ? why : "too long");
        PQfreemem(why);
        return tg_hint(err, "write it as postgres://USER@HOST:PORT/DATABASE");
    }
    if (value_of(p, "password")) {
        tg_fail(err, TG_USAGE, "a password does not belong in the address of PostgreSQL");
        return tg_hint(err, "others can read the command line: set PGPASSWORD or use ~/.pgpass");
    }
    host = value_of(p, "host");
    port = value_of(p, "port");
    database = value_of(p, "dbname");
    snprintf(p->name, sizeof p->name, "%.80s%s%.20s/%.80s", host ? host : "", port ? ":" : "",
             port ? port : "", database ? database : "");
    return TG_OK;
}

tg_code tg_postgres_new(const struct tg_postgres_options *o, struct tg_postgres **ret,
                        struct tg_error *err)
{
    struct tg_postgres *p = calloc(1, sizeof *p);
    tg_code code = p ? TG_OK : tg_fail(err, TG_NOMEM, "a PostgreSQL connection");

    if (code == TG_OK)
        code = read_address(p, o->address, err);
    if (code != TG_OK) {
        tg_postgres_free(p);
        return code;
    }
    tg_buf_init(&p->sql, SQL_MAX);
    p->at = strdup(o->name ? o->name : "@");
    if (!p->at) {
        tg_postgres_free(p);
        return tg_fail(err, TG_NOMEM, "a PostgreSQL connection");
    }
    snprintf(p->tls, sizeof p->tls, "%s", o->tls ? o->tls : "");
    snprintf(p->root_cert, sizeof p->root_cert, "%s", o->root_cert ? o->root_cert : "");
    snprintf(p->connect_s, sizeof p->connect_s, "%lld",
             (long long)TG_MAX(o->timeout_ms / 1000, INT64_C(2)));
    snprintf(p->silence_ms, sizeof p->silence_ms, "%lld", (long long)o->timeout_ms);
    snprintf(p->settings, sizeof p->settings, "-c lock_timeout=%lld -c timezone=UTC",
             (long long)o->timeout_ms);
    *ret = p;
    return TG_OK;
}

static void hang_up(struct tg_postgres *p)
{
    if (p->c)
        PQfinish(p->c);
    p->c = NULL;
    p->copying = false;
}

void tg_postgres_free(struct tg_postgres *p)
{
    if (!p)
        return;
    hang_up(p);
    PQconninfoFree(p->where);
    tg_buf_done(&p->sql);
    free(p->at);
    free(p);
}

const char *tg_postgres_name(const struct tg_postgres *p)
{
    return p->name;
}

static void ignore(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

tg_code tg_postgres_connect(struct tg_postgres *p, struct tg_error *err)
{
    const char *key[KEYWORDS_MAX] = { NULL }, *value[KEYWORDS_MAX];
    const char *const given[] = { "host", "port", "dbname", "user" };
    int n = 0;

    if (p->c && PQstatus(p->c) == CONNECTION_OK)
        return TG_OK;
    hang_up(p);
    for (size_t i = 0; i < TG_COUNT(given); i++)
        if ((value[n] = value_of(p, given[i])))
            key[n++] = given[i];
    const struct {
        const char *key, *value;
    } more[] = {
        { "connect_timeout", p->connect_s },  { "tcp_user_timeout", p->silence_ms },
        { "keepalives_idle", "30" },          { "application_name", "tgdata" },
        { "client_encoding", "UTF8" },        { "options", p->settings },
        { "sslmode", p->tls },                { "sslrootcert", p->root_cert },
    };
    for (size_t i = 0; i < TG_COUNT(more); i++) {
        if (!*more[i].value)
            continue;
        key[n] = more[i].key;
        value[n++] = more[i].value;
    }
    value[n] = NULL;
    p->c = PQconnectdbParams(key, value, 0);
    if (!p->c)
        return tg_fail(err, TG_NOMEM, "a PostgreSQL connection");
    if (PQstatus(p->c) != CONNECTION_OK) {
        const char *why = PQerrorMessage(p->c);
        tg_code code;

        /* before the first statement libpq hands over no SQLSTATE */
        if (strstr(why, "authentication") || strstr(why, "no password supplied"))
            code = failed_with("log in", "28000", why, p, err);
        else if (strstr(why, "FATAL:  database"))
            code = failed_with("connect", "3D000", why, p, err);
        else if (strstr(why, "FATAL:  role"))
            code = failed_with("log in", "28000", why, p, err);
        else
            code = lost(p, "connect", why, err);
        hang_up(p);
        return code;
    }
    PQsetNoticeProcessor(p->c, ignore, NULL);
    return TG_OK;
}

/* ---- statements ---- */

/* Fills in the name. @return NULL out of memory, or too long */
static const char *filled(struct tg_postgres *p, const char *sql)
{
    tg_buf_clear(&p->sql);
    tg_sql_put(&p->sql, sql, p->at);
    tg_buf_byte(&p->sql, 0);
    return p->sql.failed ? NULL : (const char *)p->sql.data;
}

static tg_code not_connected(struct tg_postgres *p, struct tg_error *err)
{
    return lost(p, "run a statement", "not connected", err);
}

tg_code tg_postgres_exec(struct tg_postgres *p, const char *sql, struct tg_error *err)
{
    PGresult *r;
    ExecStatusType status;

    if (!p->c)
        return not_connected(p, err);
    if (!(sql = filled(p, sql)))
        return tg_fail(err, TG_NOMEM, "no memory for a statement");
    r = PQexec(p->c, sql);
    status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return failed(p, "run a statement", r, err);
    PQclear(r);
    return TG_OK;
}

static bool is_integer(Oid type)
{
    return type == 20 || type == 21 || type == 23; /* int8, int2, int4: pg_type.dat */
}

static tg_code give_rows(const PGresult *r, tg_sql_row row, void *ctx, struct tg_error *err)
{
    struct tg_sql_value v[COLUMNS_MAX];
    int n = PQnfields(r);
    tg_code code = TG_OK;

    assert(n <= COLUMNS_MAX);
    for (int k = 0; code == TG_OK && k < PQntuples(r); k++) {
        for (int i = 0; i < n; i++) {
            v[i] = (struct tg_sql_value){ .null = PQgetisnull(r, k, i) };
            if (v[i].null)
                continue;
            v[i].text = (struct tg_str){ PQgetvalue(r, k, i), (uint32_t)PQgetlength(r, k, i) };
            v[i].number = is_integer(PQftype(r, i)) ? strtoll(v[i].text.at, NULL, 10) : 0;
        }
        code = row(ctx, v, err);
    }
    return code == TG_END ? TG_OK : code;
}

tg_code tg_postgres_query(struct tg_postgres *p, const char *sql, const struct tg_sql_value *param,
                          size_t n, tg_sql_row row, void *ctx, struct tg_error *err)
{
    char number[ARGS_MAX][24];
    const char *value[ARGS_MAX];
    ExecStatusType status;
    tg_code code = TG_OK;
    PGresult *r;

    assert(n <= ARGS_MAX);
    if (!p->c)
        return not_connected(p, err);
    if (!(sql = filled(p, sql)))
        return tg_fail(err, TG_NOMEM, "no memory for a statement");
    for (size_t i = 0; i < n; i++) {
        snprintf(number[i], sizeof number[i], "%lld", (long long)param[i].number);
        value[i] = param[i].text.at ? param[i].text.at : number[i];
    }
    r = PQexecParams(p->c, sql, (int)n, NULL, value, NULL, NULL, 0);
    status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return failed(p, "run a statement", r, err);
    if (row)
        code = give_rows(r, row, ctx, err);
    PQclear(r);
    return code;
}

tg_code tg_postgres_number(struct tg_postgres *p, const char *sql, int64_t *ret,
                           struct tg_error *err)
{
    *ret = 0;
    return tg_postgres_query(p, sql, NULL, 0, tg_sql_take_number, ret, err);
}

tg_code tg_postgres_copy(struct tg_postgres *p, const char *sql, struct tg_error *err)
{
    PGresult *r;

    if (!p->c)
        return not_connected(p, err);
    if (!(sql = filled(p, sql)))
        return tg_fail(err, TG_NOMEM, "no memory for a statement");
    r = PQexec(p->c, sql);
    if (PQresultStatus(r) != PGRES_COPY_IN)
        return failed(p, "copy rows", r, err);
    PQclear(r);
    p->copying = true;
    return TG_OK;
}

tg_code tg_postgres_copy_add(struct tg_postgres *p, const void *bytes, size_t n,
                             struct tg_error *err)
{
    const char *at = bytes;

    while (n) {
        int piece = (int)TG_MIN(n, (size_t)1 << 30);

        if (PQputCopyData(p->c, at, piece) != 1)
            return lost(p, "copy rows", PQerrorMessage(p->c), err);
        at += piece;
        n -= (size_t)piece;
    }
    return TG_OK;
}

tg_code tg_postgres_copy_end(struct tg_postgres *p, tg_code code, struct tg_error *err)
{
    struct tg_error ended = { 0 };
    PGresult *r;

    if (!p->copying)
        return code;
    p->copying = false;
    if (PQputCopyEnd(p->c, code == TG_OK ? NULL : "given up") != 1)
        return code == TG_OK ? lost(p, "copy rows", PQerrorMessage(p->c), err) : code;
    while ((r = PQgetResult(p->c))) {
        if (PQresultStatus(r) == PGRES_COMMAND_OK)
            PQclear(r);
        else
            failed(p, "copy rows", r, &ended);
    }
    if (ended.code != TG_OK && (code == TG_OK || code == TG_SINK)) {
        *err = ended; /* what the server says tells more than a broken pipe */
        return ended.code;
    }
    return code;
}

tg_code tg_postgres_end(struct tg_postgres *p, tg_code code, struct tg_error *err)
{
    struct tg_error ignored;

    if (code == TG_OK)
        return tg_postgres_exec(p, "COMMIT", err);
    if (p->c && PQtransactionStatus(p->c) != PQTRANS_IDLE &&
        tg_postgres_exec(p, "ROLLBACK", &ignored) != TG_OK)
        hang_up(p);
    return code;
}

#else
typedef int tg_postgres_is_absent; /* a translation unit may not be empty */
#endif
