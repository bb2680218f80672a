/* SPDX-License-Identifier: MIT */
/*
 * sqlite.c - see sqlite.h
 *
 * A database in write-ahead mode needs a shared-memory file beside it even for reading. In a
 * directory that may not be written that fails; if no log is left over, the main file alone is the
 * whole truth and is opened as immutable.
 *
 * Who only looks leaves everything as it is. Closing the last connection that can write would fold
 * a log that a killed run left into the file: with such a log the file is opened read-only. Without
 * one it is opened for writing, though nothing is written: so the files that SQLite makes beside it
 * for reading are removed again.
 *
 * No file that SQLite locks is ever opened but by SQLite: to close it would take away the locks of
 * all connections that this process has to it, and the next other process to close the database
 * would take itself for the last one and remove the log that is still written to.
 */
#include "client/sqlite.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/fs.h"

static const char settings_sql[] = "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                                   "PRAGMA cache_size=-1024; PRAGMA temp_store=MEMORY;";

static tg_code corrupt(const struct tg_sqlite *d, const char *why, struct tg_error *err)
{
    tg_fail(err, TG_CORRUPT, "'%.160s' is damaged or no database: %.100s", d->path, why);
    return tg_hint(err, d->large ? "restore it from a backup, or name another file"
                                 : "restore it from a backup, or move it away and start anew: "
                                   "destinations keep their own cursors and are resumed from them");
}

static tg_code full(const struct tg_sqlite *d, const char *what, struct tg_error *err)
{
    tg_fail(err, TG_FULL, "could not %s in '%.160s': no space left", what, d->path);
    return tg_hint(err, "make room on that file system; nothing committed is lost");
}

tg_code tg_sqlite_fail(struct tg_sqlite *d, const char *what, struct tg_error *err)
{
    int status = d->db ? sqlite3_errcode(d->db) & 0xff : SQLITE_NOMEM;
    const char *why = d->db ? sqlite3_errmsg(d->db) : "out of memory";

    switch (status) {
    case SQLITE_NOMEM:
        return tg_fail(err, TG_NOMEM, "could not %s: out of memory", what);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return corrupt(d, why, err);
    case SQLITE_FULL:
        return full(d, what, err);
    case SQLITE_IOERR:
        if (sqlite3_system_errno(d->db) == ENOSPC) /* of the files beside it */
            return full(d, what, err);
        tg_fail(err, TG_STATE, "could not %s in '%.160s': %.100s", what, d->path, why);
        return tg_hint(err, "check the disk, and that its file system can be written");
    case SQLITE_ERROR:
        tg_fail(err, TG_UNUSABLE, "could not %s in '%.160s': %.100s", what, d->path, why);
        return tg_hint(err, "its tables are not as this program made them: put back what was "
                            "changed, or name another");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        tg_fail(err, TG_STATE, "could not %s: '%.160s' is locked by another process", what,
                d->path);
        return tg_hint(err, "another program holds a long transaction on it");
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        tg_fail(err, TG_UNUSABLE, "could not %s: '%.160s' may not be written", what, d->path);
        return tg_hint(err, "check the owner and mode of the file and of its directory");
    case SQLITE_CANTOPEN:
        tg_fail(err, TG_UNUSABLE, "could not open '%.160s': %.100s", d->path, why);
        return tg_hint(err, "check that it is a file, and its owner and mode");
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
        return tg_fail(err, TG_DATA, "could not %s in '%.160s': %.100s", what, d->path, why);
    default:
        return tg_fail(err, TG_STATE, "could not %s in '%.160s': %.100s", what, d->path, why);
    }
}

tg_code tg_sqlite_exec(struct tg_sqlite *d, const char *sql, struct tg_error *err)
{
    if (sqlite3_exec(d->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return tg_sqlite_fail(d, "change the database", err);
    return TG_OK;
}

tg_code tg_sqlite_number(struct tg_sqlite *d, const char *sql, int64_t *ret, struct tg_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int status = sqlite3_prepare_v2(d->db, sql, -1, &stmt, NULL);
    tg_code code = TG_OK;

    if (status == SQLITE_OK)
        status = sqlite3_step(stmt);
    if (status == SQLITE_ROW)
        *ret = sqlite3_column_int64(stmt, 0);
    else if (status == SQLITE_DONE)
        *ret = 0;
    else
        code = tg_sqlite_fail(d, "read the database", err);
    sqlite3_finalize(stmt);
    return code;
}

tg_code tg_sqlite_numbers(struct tg_sqlite *d, const char *const *sql, size_t n, int64_t *ret,
                          struct tg_error *err)
{
    struct tg_error ignored;
    tg_code code = tg_sqlite_exec(d, "BEGIN", err);

    for (size_t i = 0; code == TG_OK && i < n; i++)
        code = tg_sqlite_number(d, sql[i], &ret[i], err);
    if (code == TG_OK)
        return tg_sqlite_exec(d, "COMMIT", err);
    (void)tg_sqlite_exec(d, "ROLLBACK", &ignored);
    return code;
}

/* Opens the directory that holds the file, and gives the file's name within it. */
static tg_code open_parent(const char *path, struct tg_dir **ret, const char **ret_name,
                           struct tg_error *err)
{
    const char *slash = strrchr(path, '/');
    char *parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    tg_code code;

    if (!parent)
        return tg_fail(err, TG_NOMEM, "path of a database");
    code = tg_fs_system.open_dir(&tg_fs_system, parent, false, ret, err);
    *ret_name = slash ? slash + 1 : path;
    if (code == TG_NOT_FOUND) {
        code = tg_fail(err, TG_UNUSABLE, "there is no directory '%.200s' for '%.60s'", parent,
                       *ret_name);
        tg_hint(err, "create it, or name another file");
    } else if (code == TG_IO) {
        err->code = code = TG_UNUSABLE;
    }
    free(parent);
    return code;
}

/* SQLite's own messages do not tell that the directory is missing, or that the path names one. */
static tg_code check_path(const char *path, struct tg_error *err)
{
    const char *name;
    struct tg_error ignored;
    struct tg_dir *dir;
    tg_code code = open_parent(path, &dir, &name, err);

    if (code != TG_OK)
        return code;
    tg_fs_system.close_dir(&tg_fs_system, dir);
    if (tg_fs_system.open_dir(&tg_fs_system, path, false, &dir, &ignored) != TG_OK)
        return TG_OK;
    tg_fs_system.close_dir(&tg_fs_system, dir);
    tg_fail(err, TG_UNUSABLE, "'%.200s' is a directory", path);
    return tg_hint(err, "name a file in it");
}

/* @return TG_NOT_FOUND if the file or its directory is not there */
static tg_code check_there(const char *path, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_dir *dir;
    const char *slash = strrchr(path, '/');
    char *parent = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    int64_t written_s;
    tg_code code = parent ? fs->open_dir(fs, parent, false, &dir, err)
                          : tg_fail(err, TG_NOMEM, "path of a database");

    if (code == TG_OK) {
        code = fs->written(fs, dir, slash ? slash + 1 : path, &written_s, err);
        fs->close_dir(fs, dir);
    }
    free(parent);
    if (code != TG_NOT_FOUND)
        return TG_OK; /* opening it tells more */
    tg_fail(err, TG_NOT_FOUND, "there is no file '%.240s'", path);
    return tg_hint(err, "name the file that the job was run with, as its --state did");
}

/* @return whether a write-ahead log with contents stands beside the file, or that is not known */
static bool has_log(const char *path)
{
    const struct tg_fs *fs = &tg_fs_system;
    char log_name[300];
    const char *name;
    struct tg_error ignored;
    struct tg_dir *dir;
    struct tg_file *file;
    size_t n = 1;
    tg_code code = open_parent(path, &dir, &name, &ignored);

    if (code != TG_OK)
        return true;
    snprintf(log_name, sizeof log_name, "%s-wal", name);
    code = fs->open(fs, dir, log_name, &file, &ignored);
    if (code == TG_NOT_FOUND) {
        n = 0;
    } else if (code == TG_OK) {
        uint8_t byte;

        if (fs->read(fs, file, &byte, 1, &n, &ignored) != TG_OK)
            n = 1;
        fs->close(fs, file);
    }
    fs->close_dir(fs, dir);
    return n > 0;
}

/* Opens the main file alone, as one that nobody changes. */
static int open_immutable(struct tg_sqlite *d)
{
    struct tg_buf uri;
    int status;

    tg_buf_init(&uri, 64 * 1024);
    tg_buf_str(&uri, "file:");
    for (const char *at = d->path; *at; at++) {
        if (strchr("?#%", *at))
            tg_buf_printf(&uri, "%%%02X", (unsigned)(uint8_t)*at);
        else
            tg_buf_byte(&uri, (uint8_t)*at);
    }
    tg_buf_str(&uri, "?immutable=1");
    sqlite3_close(d->db);
    d->db = NULL;
    status = sqlite3_open_v2(tg_buf_cstr(&uri), &d->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
                             NULL);
    tg_buf_done(&uri);
    return status;
}

/* The first read shows whether the file is a database and can be reached at all. */
static int first_read(struct tg_sqlite *d)
{
    return sqlite3_exec(d->db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
}

static tg_code open_file(struct tg_sqlite *d, int64_t busy_ms, struct tg_error *err)
{
    int create = d->existing ? 0 : SQLITE_OPEN_CREATE;
    int how = d->look && has_log(d->path) ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | create;
    int status = sqlite3_open_v2(d->path, &d->db, how, NULL);

    if (status == SQLITE_OK) {
        sqlite3_busy_timeout(d->db, (int)TG_MIN(busy_ms, (int64_t)INT32_MAX));
        status = first_read(d);
    }
    if ((status == SQLITE_CANTOPEN || status == SQLITE_READONLY) && !has_log(d->path)) {
        status = open_immutable(d);
        if (status == SQLITE_OK)
            status = first_read(d);
    }
    if (status != SQLITE_OK)
        return tg_sqlite_fail(d, "read the database", err);
    d->read_only = d->look || sqlite3_db_readonly(d->db, "main") == 1;
    return TG_OK;
}

/* Looks through all pages: damage is found now, and not in the middle of a run. */
static tg_code check_pages(struct tg_sqlite *d, struct tg_error *err)
{
    sqlite3_stmt *stmt = NULL;
    int status = sqlite3_prepare_v2(d->db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    tg_code code = TG_OK;

    if (status == SQLITE_OK)
        status = sqlite3_step(stmt);
    if (status != SQLITE_ROW) {
        code = tg_sqlite_fail(d, "check the database", err);
    } else {
        const char *verdict = (const char *)sqlite3_column_text(stmt, 0);

        if (!verdict || strcmp(verdict, "ok") != 0)
            code = corrupt(d, verdict ? verdict : "no verdict", err);
    }
    sqlite3_finalize(stmt);
    return code;
}

tg_code tg_sqlite_open(struct tg_sqlite *d, const char *path, int64_t busy_ms,
                       struct tg_error *err)
{
    tg_code code;

    assert(!d->db && d->n_sql <= TG_SQLITE_STMTS);
    if (!*path)
        return tg_fail(err, TG_USAGE, "no file is named for the database");
    d->path = strdup(path);
    if (!d->path)
        return tg_fail(err, TG_NOMEM, "path of a database");
    code = d->existing ? check_there(path, err) : TG_OK;
    if (code == TG_OK)
        code = check_path(path, err);
    if (code == TG_OK)
        code = open_file(d, busy_ms, err);
    if (code == TG_OK)
        code = tg_sqlite_exec(d, settings_sql, err);
    if (code == TG_OK && !d->large)
        code = check_pages(d, err);
    if (code == TG_OK && !d->read_only)
        code = tg_sqlite_exec(d, "PRAGMA synchronous=FULL;", err);
    if (code == TG_OK && !d->existing && !d->read_only)
        code = tg_sqlite_exec(d, "PRAGMA journal_mode=WAL;", err); /* the file remembers */
    return code;
}

void tg_sqlite_close(struct tg_sqlite *d)
{
    for (size_t i = 0; i < TG_SQLITE_STMTS; i++) {
        sqlite3_finalize(d->stmt[i]);
        d->stmt[i] = NULL;
    }
    sqlite3_close(d->db);
    d->db = NULL;
    free(d->path);
    d->path = NULL;
}

tg_code tg_sqlite_stmt(struct tg_sqlite *d, size_t id, sqlite3_stmt **ret, struct tg_error *err)
{
    assert(id < d->n_sql);
    if (!d->stmt[id] && sqlite3_prepare_v3(d->db, d->sql[id], -1, SQLITE_PREPARE_PERSISTENT,
                                           &d->stmt[id], NULL) != SQLITE_OK)
        return tg_sqlite_fail(d, "prepare a statement", err);
    sqlite3_reset(d->stmt[id]);
    sqlite3_clear_bindings(d->stmt[id]);
    *ret = d->stmt[id];
    return TG_OK;
}

tg_code tg_sqlite_run(struct tg_sqlite *d, sqlite3_stmt *stmt, const char *what,
                      struct tg_error *err)
{
    int status;
    tg_code code = TG_OK;

    do
        status = sqlite3_step(stmt);
    while (status == SQLITE_ROW);
    if (status != SQLITE_DONE)
        code = tg_sqlite_fail(d, what, err);
    sqlite3_reset(stmt);
    return code;
}

tg_code tg_sqlite_begin(struct tg_sqlite *d, struct tg_error *err)
{
    if (d->read_only) {
        tg_fail(err, TG_UNUSABLE, "'%.200s' may not be written", d->path);
        return tg_hint(err, "check the owner and mode of the file and of its directory");
    }
    if (sqlite3_exec(d->db, d->joined ? "SAVEPOINT part" : "BEGIN IMMEDIATE", NULL, NULL, NULL) !=
        SQLITE_OK)
        return tg_sqlite_fail(d, "start a transaction", err);
    return TG_OK;
}

tg_code tg_sqlite_end(struct tg_sqlite *d, tg_code code, struct tg_error *err)
{
    const char *keep = d->joined ? "RELEASE part" : "COMMIT";
    const char *undo = d->joined ? "ROLLBACK TO part; RELEASE part" : "ROLLBACK";

    if (code == TG_OK && sqlite3_exec(d->db, keep, NULL, NULL, NULL) != SQLITE_OK)
        code = tg_sqlite_fail(d, "commit", err);
    if (code != TG_OK && !sqlite3_get_autocommit(d->db))
        sqlite3_exec(d->db, undo, NULL, NULL, NULL);
    return code;
}
