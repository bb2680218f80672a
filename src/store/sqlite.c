/* SPDX-License-Identifier: MIT */
/*
 * sqlite.c - state in one SQLite file: `sqlite:FILE[?busy-timeout=5s]`
 *
 *   doc(kind, key, version) -> at_us, fence, bytes      every version that is kept
 *   log(kind, key, n) -> at_us, bytes                   entries; log_last keeps the highest number
 *   lease(name) -> owner, token, expires_us             owner is empty when it is free
 *
 * Every change runs in a transaction that takes the write lock first, so that what was compared
 * still holds when it is replaced, whichever process writes. The row of a lease stays when the
 * lease is given back: its token must go on growing.
 *
 * Threads: one call at a time; callbacks must not call the store
 * Limits:  those of store.h
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/sqlite.h"
#include "store/rules.h"

enum { SCHEMA_VERSION = 1 };

/* "tgdS": marks the file as this program's. */
#define APPLICATION_ID "1952932947"

struct store_sqlite {
    int64_t busy_timeout_ms;
    struct tg_sqlite db;
};

static const char schema_sql[] =
    "CREATE TABLE doc(kind TEXT NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL,"
    " at_us INTEGER NOT NULL, fence INTEGER NOT NULL, bytes BLOB NOT NULL,"
    " PRIMARY KEY(kind, key, version));"
    "CREATE TABLE log(kind TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL,"
    " at_us INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY(kind, key, n));"
    "CREATE TABLE log_last(kind TEXT NOT NULL, key TEXT NOT NULL, n INTEGER NOT NULL,"
    " PRIMARY KEY(kind, key));"
    "CREATE TABLE lease(name TEXT PRIMARY KEY, owner TEXT NOT NULL, token INTEGER NOT NULL,"
    " expires_us INTEGER NOT NULL);"
    "PRAGMA application_id=" APPLICATION_ID ";"
    "PRAGMA user_version=1;";

enum {
    DOC_GET,
    DOC_PUT,
    DOC_HISTORY,
    DOC_LIST,
    DOC_PRUNE,
    LOG_NUMBER,
    LOG_ADD,
    LOG_READ,
    LOG_DROP,
    LEASE_GET,
    LEASE_SET,
    NAMES,
    LOG_RAISE = NAMES + 3,
    LEASE_RAISE,
    N_STMTS
};

#define DOC_COLUMNS "SELECT key, version, at_us, fence, bytes FROM doc AS d WHERE kind = ?1 AND "

static const char *const statement[N_STMTS] = {
    [DOC_GET] = DOC_COLUMNS "key = ?2 ORDER BY version DESC LIMIT 1",
    [DOC_PUT] = "INSERT INTO doc(kind, key, version, at_us, fence, bytes)"
                " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [DOC_HISTORY] = DOC_COLUMNS "key = ?2 ORDER BY version DESC",
    [DOC_LIST] = DOC_COLUMNS
    "key >= ?2 AND substr(key, 1, length(?2)) = ?2 AND version ="
    " (SELECT max(version) FROM doc AS x WHERE x.kind = d.kind AND x.key = d.key) ORDER BY key",
    [DOC_PRUNE] = "DELETE FROM doc WHERE kind = ?1 AND key = ?2 AND version <="
                  " (SELECT max(version) FROM doc WHERE kind = ?1 AND key = ?2) - ?3",
    [LOG_NUMBER] = "INSERT INTO log_last(kind, key, n) VALUES(?1, ?2, 1)"
                   " ON CONFLICT(kind, key) DO UPDATE SET n = n + 1 RETURNING n",
    [LOG_ADD] = "INSERT INTO log(kind, key, n, at_us, bytes) VALUES(?1, ?2, ?3, ?4, ?5)",
    [LOG_READ] = "SELECT n, at_us, bytes FROM log WHERE kind = ?1 AND key = ?2 AND n >= ?3"
                 " ORDER BY n",
    [LOG_DROP] = "DELETE FROM log WHERE kind = ?1 AND key = ?2 AND n BETWEEN ?3 AND ?4",
    [LEASE_GET] = "SELECT owner, token, expires_us FROM lease WHERE name = ?1",
    [LEASE_SET] = "INSERT INTO lease(name, owner, token, expires_us) VALUES(?1, ?2, ?3, ?4)"
                  " ON CONFLICT(name) DO UPDATE SET owner = ?2, token = ?3, expires_us = ?4",
    [NAMES + TG_STORE_DOCS] = "SELECT kind, key, max(version), '', 0 FROM doc GROUP BY kind, key",
    [NAMES + TG_STORE_LOGS] = "SELECT kind, key, n, '', 0 FROM log_last",
    [NAMES + TG_STORE_LEASES] = "SELECT 'lease', name, token, owner, expires_us FROM lease",
    [LOG_RAISE] = "INSERT INTO log_last(kind, key, n) VALUES(?1, ?2, ?3)"
                  " ON CONFLICT(kind, key) DO UPDATE SET n = max(n, ?3)",
    [LEASE_RAISE] = "INSERT INTO lease(name, owner, token, expires_us) VALUES(?2, '', ?3, 0)"
                    " ON CONFLICT(name) DO UPDATE SET token = max(token, ?3)",
};

/* ---- opening ---- */

static tg_code make_schema(struct tg_sqlite *db, struct tg_error *err)
{
    int64_t version = 0;
    tg_code code = tg_sqlite_begin(db, err);

    if (code != TG_OK)
        return code;
    /* Another process may have been faster. */
    code = tg_sqlite_number(db, "PRAGMA user_version", &version, err);
    if (code == TG_OK && version == 0)
        code = tg_sqlite_exec(db, schema_sql, err);
    return tg_sqlite_end(db, code, err);
}

static tg_code check_schema(struct tg_sqlite *db, struct tg_error *err)
{
    static const char *const sql[] = { "PRAGMA user_version", "PRAGMA application_id",
                                       "SELECT count(*) FROM sqlite_master" };
    int64_t value[TG_COUNT(sql)] = { 0 }, version, application, n_tables;
    tg_code code = tg_sqlite_numbers(db, sql, TG_COUNT(sql), value, err);

    if (code != TG_OK)
        return code;
    version = value[0], application = value[1], n_tables = value[2];
    if (n_tables == 0 && version == 0 && application == 0) {
        if (!db->existing)
            return make_schema(db, err);
        tg_fail(err, TG_NOT_FOUND, "'%.200s' holds no state", db->path);
        return tg_hint(err, "name the file that the job was run with, as its --state did");
    }
    if (application != strtoll(APPLICATION_ID, NULL, 10)) {
        tg_fail(err, TG_UNUSABLE, "'%.200s' is a database of another program", db->path);
        return tg_hint(err, "name another file for the state");
    }
    if (version != SCHEMA_VERSION) {
        tg_fail(err, TG_UNUSABLE, "'%.160s' has state of version %lld, this program knows %d",
                db->path, (long long)version, SCHEMA_VERSION);
        return tg_hint(err, "use the program version that wrote it, or a newer one");
    }
    return TG_OK;
}

static tg_code sqlite_open(void *self, const char *target, enum tg_store_use use,
                           struct tg_error *err)
{
    struct store_sqlite *s = self;
    tg_code code;

    s->db.sql = statement;
    s->db.n_sql = N_STMTS;
    s->db.existing = use != TG_STORE_CREATE;
    s->db.look = use == TG_STORE_LOOK;
    if (strncmp(target, "//", 2) == 0) {
        tg_fail(err, TG_USAGE, "'%.200s' is no path of a file", target);
        return tg_hint(err, "write it without '//': sqlite:FILE");
    }
    code = tg_sqlite_open(&s->db, target, s->busy_timeout_ms, err);
    return code == TG_OK ? check_schema(&s->db, err) : code;
}

static void sqlite_close(void *self)
{
    struct store_sqlite *s = self;

    tg_sqlite_close(&s->db);
}

/* ---- documents ---- */

/* Readies a statement whose first two parameters are kind and key. */
static tg_code prepare(struct store_sqlite *s, size_t id, const char *kind, const char *key,
                       sqlite3_stmt **ret, struct tg_error *err)
{
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_sqlite_stmt(&s->db, id, ret, err);
    if (code == TG_OK) {
        sqlite3_bind_text(*ret, 1, kind, -1, SQLITE_STATIC);
        sqlite3_bind_text(*ret, 2, key, -1, SQLITE_STATIC);
    }
    return code;
}

static struct tg_doc doc_of(sqlite3_stmt *stmt)
{
    return (struct tg_doc){
        .version = (uint64_t)sqlite3_column_int64(stmt, 1),
        .at_us = sqlite3_column_int64(stmt, 2),
        .fence = (uint64_t)sqlite3_column_int64(stmt, 3),
    };
}

static tg_code sqlite_get(void *self, const char *kind, const char *key, struct tg_doc *ret,
                          struct tg_buf *ret_bytes, struct tg_error *err)
{
    struct store_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = prepare(s, DOC_GET, kind, key, &stmt, err);
    int status;

    if (code != TG_OK)
        return code;
    status = sqlite3_step(stmt);
    if (status == SQLITE_ROW) {
        const void *bytes = sqlite3_column_blob(stmt, 4);

        if (ret_bytes)
            tg_buf_add(ret_bytes, bytes, (size_t)sqlite3_column_bytes(stmt, 4));
        if (ret_bytes && ret_bytes->failed)
            code = tg_fail(err, TG_LIMIT, "no room for document %s/%.200s", kind, key);
        else if (ret)
            *ret = doc_of(stmt);
    } else {
        code = status == SQLITE_DONE ? TG_END : tg_sqlite_fail(&s->db, "read a document", err);
    }
    sqlite3_reset(stmt);
    return code;
}

static tg_code insert_doc(struct store_sqlite *s, const char *kind, const char *key,
                          const struct tg_doc *doc, const struct tg_log_entry *body,
                          struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = prepare(s, DOC_PUT, kind, key, &stmt, err);

    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 3, (int64_t)doc->version);
    sqlite3_bind_int64(stmt, 4, doc->at_us);
    sqlite3_bind_int64(stmt, 5, (int64_t)doc->fence);
    sqlite3_bind_blob(stmt, 6, body->len ? body->bytes : "", (int)body->len, SQLITE_STATIC);
    return tg_sqlite_run(&s->db, stmt, "write a document", err);
}

static tg_code sqlite_put(void *self, const char *kind, const char *key, uint64_t expect,
                          const struct tg_doc *stamp, const void *bytes, size_t len,
                          struct tg_error *err)
{
    struct store_sqlite *s = self;
    struct tg_log_entry body = { .bytes = bytes, .len = len };
    struct tg_doc now = { 0 }, next = *stamp;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_store_check_size("document", kind, key, len, err);
    if (code == TG_OK)
        code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return code;
    code = sqlite_get(s, kind, key, &now, NULL, err);
    if (code == TG_END)
        code = TG_OK;
    if (code == TG_OK)
        code = tg_store_compare(kind, key, expect, stamp->fence, &now, err);
    next.version = tg_store_next(expect, stamp);
    if (code == TG_OK)
        code = insert_doc(s, kind, key, &next, &body, err);
    return tg_sqlite_end(&s->db, code, err);
}

/* Gives the rows of a bound statement to `seen`. */
static tg_code each_doc(struct store_sqlite *s, sqlite3_stmt *stmt, tg_doc_seen seen, void *ctx,
                        struct tg_error *err)
{
    tg_code code = TG_OK;
    int status;

    while ((status = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct tg_doc doc = doc_of(stmt);

        if (!seen(ctx, (const char *)sqlite3_column_text(stmt, 0), &doc,
                  sqlite3_column_blob(stmt, 4), (size_t)sqlite3_column_bytes(stmt, 4)))
            break;
    }
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        code = tg_sqlite_fail(&s->db, "read documents", err);
    sqlite3_reset(stmt);
    return code;
}

static tg_code sqlite_history(void *self, const char *kind, const char *key, tg_doc_seen seen,
                              void *ctx, struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = prepare(self, DOC_HISTORY, kind, key, &stmt, err);

    return code == TG_OK ? each_doc(self, stmt, seen, ctx, err) : code;
}

static tg_code sqlite_list(void *self, const char *kind, const char *prefix, tg_doc_seen seen,
                           void *ctx, struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = prepare(self, DOC_LIST, kind, prefix, &stmt, err);

    return code == TG_OK ? each_doc(self, stmt, seen, ctx, err) : code;
}

/* Runs a bound statement that changes something, in a transaction of its own. */
static tg_code change(struct store_sqlite *s, sqlite3_stmt *stmt, const char *what,
                      struct tg_error *err)
{
    tg_code code = tg_sqlite_begin(&s->db, err);

    if (code != TG_OK)
        return code;
    code = tg_sqlite_run(&s->db, stmt, what, err);
    return tg_sqlite_end(&s->db, code, err);
}

static tg_code sqlite_prune(void *self, const char *kind, const char *key, uint64_t n_keep,
                            struct tg_error *err)
{
    struct store_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code;

    assert(n_keep > 0); /* the newest version carries the number and the fence of the next */
    code = prepare(s, DOC_PRUNE, kind, key, &stmt, err);
    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 3, tg_store_clamp(n_keep));
    return change(s, stmt, "prune a document", err);
}

static tg_code sqlite_begin(void *self, struct tg_error *err)
{
    struct store_sqlite *s = self;
    tg_code code = tg_sqlite_begin(&s->db, err);

    s->db.joined = code == TG_OK;
    return code;
}

static tg_code sqlite_end(void *self, tg_code code, struct tg_error *err)
{
    struct store_sqlite *s = self;

    s->db.joined = false;
    return tg_sqlite_end(&s->db, code, err);
}

/* ---- logs ---- */

static tg_code next_number(struct store_sqlite *s, const char *kind, const char *key, int64_t *ret,
                           struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = prepare(s, LOG_NUMBER, kind, key, &stmt, err);

    if (code != TG_OK)
        return code;
    if (sqlite3_step(stmt) != SQLITE_ROW) {
        code = tg_sqlite_fail(&s->db, "number a log entry", err);
        sqlite3_reset(stmt);
        return code;
    }
    *ret = sqlite3_column_int64(stmt, 0);
    return tg_sqlite_run(&s->db, stmt, "number a log entry", err);
}

static tg_code insert_entry(struct store_sqlite *s, const char *kind, const char *key,
                            const struct tg_log_entry *entry, struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = prepare(s, LOG_ADD, kind, key, &stmt, err);

    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 3, (int64_t)entry->n);
    sqlite3_bind_int64(stmt, 4, entry->at_us);
    sqlite3_bind_blob(stmt, 5, entry->len ? entry->bytes : "", (int)entry->len, SQLITE_STATIC);
    return tg_sqlite_run(&s->db, stmt, "append to a log", err);
}

static tg_code sqlite_append(void *self, const char *kind, const char *key, int64_t at_us,
                             const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err)
{
    struct store_sqlite *s = self;
    int64_t n = 0;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_store_check_size("entry of log", kind, key, len, err);
    if (code == TG_OK)
        code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return code;
    code = next_number(s, kind, key, &n, err);
    if (code == TG_OK) {
        struct tg_log_entry entry = { (uint64_t)n, at_us, bytes, len };

        code = insert_entry(s, kind, key, &entry, err);
    }
    code = tg_sqlite_end(&s->db, code, err);
    if (code == TG_OK && ret_n)
        *ret_n = (uint64_t)n;
    return code;
}

static tg_code sqlite_read(void *self, const char *kind, const char *key, uint64_t from,
                           tg_log_seen seen, void *ctx, struct tg_error *err)
{
    struct store_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = prepare(s, LOG_READ, kind, key, &stmt, err);
    int status;

    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 3, tg_store_clamp(from));
    while ((status = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct tg_log_entry entry = {
            .n = (uint64_t)sqlite3_column_int64(stmt, 0),
            .at_us = sqlite3_column_int64(stmt, 1),
            .bytes = sqlite3_column_blob(stmt, 2),
            .len = (size_t)sqlite3_column_bytes(stmt, 2),
        };

        if (!seen(ctx, &entry))
            break;
    }
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        code = tg_sqlite_fail(&s->db, "read a log", err);
    sqlite3_reset(stmt);
    return code;
}

static tg_code sqlite_drop(void *self, const char *kind, const char *key, uint64_t from,
                           uint64_t to, struct tg_error *err)
{
    struct store_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = prepare(s, LOG_DROP, kind, key, &stmt, err);

    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 3, tg_store_clamp(from));
    sqlite3_bind_int64(stmt, 4, tg_store_clamp(to));
    return change(s, stmt, "drop log entries", err);
}

/* ---- leases ---- */

static tg_code get_lease(struct store_sqlite *s, const char *name, struct tg_lease *ret,
                         struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_stmt(&s->db, LEASE_GET, &stmt, err);
    int status;

    *ret = (struct tg_lease){ 0 };
    if (code != TG_OK)
        return code;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    status = sqlite3_step(stmt);
    if (status == SQLITE_ROW) {
        snprintf(ret->owner, sizeof ret->owner, "%s", (const char *)sqlite3_column_text(stmt, 0));
        ret->token = (uint64_t)sqlite3_column_int64(stmt, 1);
        ret->expires_us = sqlite3_column_int64(stmt, 2);
    } else if (status != SQLITE_DONE) {
        code = tg_sqlite_fail(&s->db, "read a lease", err);
    }
    sqlite3_reset(stmt);
    return code;
}

static tg_code set_lease(struct store_sqlite *s, const char *name, const struct tg_lease *lease,
                         struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_stmt(&s->db, LEASE_SET, &stmt, err);

    if (code != TG_OK)
        return code;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(stmt, 2, lease->owner, -1, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 3, (int64_t)lease->token);
    sqlite3_bind_int64(stmt, 4, lease->expires_us);
    return tg_sqlite_run(&s->db, stmt, "write a lease", err);
}

static tg_code sqlite_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                            struct tg_lease *lease, struct tg_error *err)
{
    struct store_sqlite *s = self;
    struct tg_lease held, next = *lease;
    tg_code code = tg_store_check_name("lease", name, err);

    assert(ttl_us > 0 && lease->owner[0] && memchr(lease->owner, 0, sizeof lease->owner));
    if (code == TG_OK)
        code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return code;
    code = get_lease(s, name, &held, err);
    if (code == TG_OK)
        code = tg_store_judge(name, &held, now_us, &next, err);
    next.expires_us = now_us + ttl_us;
    if (code == TG_OK)
        code = set_lease(s, name, &next, err);
    code = tg_sqlite_end(&s->db, code, err);
    if (code == TG_OK)
        *lease = next;
    else if (code == TG_BUSY)
        *lease = held;
    return code;
}

static tg_code sqlite_release(void *self, const char *name, const struct tg_lease *lease,
                              struct tg_error *err)
{
    struct store_sqlite *s = self;
    struct tg_lease held;
    tg_code code = tg_store_check_name("lease", name, err);

    if (code == TG_OK)
        code = tg_sqlite_begin(&s->db, err);
    if (code != TG_OK)
        return code;
    code = get_lease(s, name, &held, err);
    if (code == TG_OK && tg_store_is_own(&held, lease)) {
        held.owner[0] = 0;
        held.expires_us = 0;
        code = set_lease(s, name, &held, err);
    }
    return tg_sqlite_end(&s->db, code, err);
}

/* ---- everything there is ---- */

static tg_code sqlite_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                            struct tg_error *err)
{
    struct store_sqlite *s = self;
    sqlite3_stmt *stmt;
    tg_code code = tg_sqlite_stmt(&s->db, NAMES + (size_t)shape, &stmt, err);
    int status;

    if (code != TG_OK)
        return code;
    while ((status = sqlite3_step(stmt)) == SQLITE_ROW) {
        struct tg_store_name name = {
            .kind = (const char *)sqlite3_column_text(stmt, 0),
            .key = (const char *)sqlite3_column_text(stmt, 1),
            .number = (uint64_t)sqlite3_column_int64(stmt, 2),
            .owner = (const char *)sqlite3_column_text(stmt, 3),
            .expires_us = sqlite3_column_int64(stmt, 4),
        };

        if (!seen(ctx, &name))
            break;
    }
    if (status != SQLITE_ROW && status != SQLITE_DONE)
        code = tg_sqlite_fail(&s->db, "list what there is", err);
    sqlite3_reset(stmt);
    return code;
}

static tg_code sqlite_raise(void *self, enum tg_store_shape shape, const char *kind,
                            const char *key, uint64_t number, struct tg_error *err)
{
    sqlite3_stmt *stmt;
    tg_code code = prepare(self, shape == TG_STORE_LOGS ? LOG_RAISE : LEASE_RAISE, kind, key,
                           &stmt, err);

    assert(shape != TG_STORE_DOCS);
    if (code != TG_OK)
        return code;
    sqlite3_bind_int64(stmt, 3, tg_store_clamp(number));
    return change(self, stmt, "raise a number", err);
}

static const struct tg_option sqlite_option[] = {
    { .name = "busy-timeout",
      .type = TG_OPT_MS,
      .offset = offsetof(struct store_sqlite, busy_timeout_ms),
      .fallback = "5s",
      .min = 0,
      .max = 600000,
      .help = "longest wait for another process that is writing" },
    { 0 },
};

const struct tg_store_ops tg_store_sqlite = {
    .head = { "sqlite", "state in one SQLite file", sqlite_option, sizeof(struct store_sqlite) },
    .open = sqlite_open,
    .close = sqlite_close,
    .get = sqlite_get,
    .put = sqlite_put,
    .history = sqlite_history,
    .list = sqlite_list,
    .prune = sqlite_prune,
    .begin = sqlite_begin,
    .end = sqlite_end,
    .append = sqlite_append,
    .read = sqlite_read,
    .drop = sqlite_drop,
    .lease = sqlite_lease,
    .release = sqlite_release,
    .names = sqlite_names,
    .raise = sqlite_raise,
};
