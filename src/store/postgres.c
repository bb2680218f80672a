/* SPDX-License-Identifier: MIT */
/*
 * postgres.c - state in a PostgreSQL database:
 * `postgres://USER@HOST:PORT/DATABASE[?schema=public&prefix=tgdata]`
 *
 *   <prefix>_doc(kind, key, version) -> at_us, fence, bytes      every version that is kept
 *   <prefix>_log(kind, key, n) -> at_us, bytes                   entries; <prefix>_last keeps the
 *                                                                highest number
 *   <prefix>_lease(name) -> owner, token, expires_us             owner is empty when it is free
 *
 * A version of a document is inserted once: of two that replace the same one, the second breaks the
 * key, and learns so. A lease's row is locked while it is decided about, and stays when the lease
 * is given back: its token must go on growing. Times are the caller's.
 *
 * Threads: one call at a time; calls block      Limits: those of store.h
 */
#include <assert.h>
#include <stdio.h>

#include "client/sql.h"
#include "store/postgres_impl.h"

enum { NAME_MAX = 160, SCHEMA_VERSION = 1, ROWS = 100 };

static const char schema_sql[] =
    "CREATE TABLE @_doc\"(kind text COLLATE \"C\" NOT NULL, key text COLLATE \"C\" NOT NULL,"
    " version bigint NOT NULL, at_us bigint NOT NULL, fence bigint NOT NULL,"
    " bytes bytea NOT NULL, PRIMARY KEY(kind, key, version));"
    "CREATE TABLE @_log\"(kind text NOT NULL, key text NOT NULL, n bigint NOT NULL,"
    " at_us bigint NOT NULL, bytes bytea NOT NULL, PRIMARY KEY(kind, key, n));"
    "CREATE TABLE @_last\"(kind text NOT NULL, key text NOT NULL, n bigint NOT NULL,"
    " PRIMARY KEY(kind, key));"
    "CREATE TABLE @_lease\"(name text PRIMARY KEY, owner text NOT NULL, token bigint NOT NULL,"
    " expires_us bigint NOT NULL);"
    "CREATE TABLE @_version\"(version integer NOT NULL);"
    "INSERT INTO @_version\" VALUES(1);";

tg_code tg_ps_told(tg_code code, struct tg_error *err)
{
    if (code == TG_SINK || code == TG_IO)
        err->code = code = code == TG_SINK ? TG_STATE : TG_UNUSABLE;
    return code;
}

/* ---- statements ---- */

tg_code tg_ps_begin(struct store_postgres *s, struct tg_error *err)
{
    tg_code code = tg_postgres_connect(s->db, err);

    if (s->look)
        return tg_fail(err, TG_UNUSABLE, "the state was opened for reading");
    return code == TG_OK ? tg_postgres_exec(s->db, "BEGIN", err) : code;
}

/* ---- opening ---- */

static tg_code check_version(struct store_postgres *s, struct tg_error *err)
{
    int64_t version = 0;
    tg_code code = tg_postgres_number(s->db, "SELECT version FROM @_version\"", &version, err);

    if (code != TG_OK || version == SCHEMA_VERSION)
        return code;
    tg_fail(err, TG_UNUSABLE, "PostgreSQL %s has state of version %lld, this program knows %d",
            tg_postgres_name(s->db), (long long)version, SCHEMA_VERSION);
    return tg_hint(err, "use the program version that wrote it, or a newer one");
}

/* One at a time: others may be about to make the same tables. */
static tg_code need_tables(struct store_postgres *s, bool existing, struct tg_error *err)
{
    int64_t there = 0;
    tg_code code =
        tg_postgres_exec(s->db, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('@\"'))", err);

    if (code == TG_OK)
        code = tg_postgres_number(s->db, "SELECT count(to_regclass('@_version\"'))", &there, err);
    if (code == TG_OK && there) {
        code = check_version(s, err);
    } else if (code == TG_OK && existing) {
        tg_fail(err, TG_NOT_FOUND, "PostgreSQL %s holds no state", tg_postgres_name(s->db));
        code = tg_hint(err, "name the database that the job ran with, and its schema and prefix");
    } else if (code == TG_OK) {
        code = tg_postgres_exec(s->db, schema_sql, err);
    }
    return tg_postgres_end(s->db, code, err);
}

static tg_code postgres_open(void *self, const char *target, enum tg_store_use use,
                             struct tg_error *err)
{
    struct store_postgres *s = self;
    char name[NAME_MAX]; /* @_doc" is a table */
    const struct tg_postgres_options options = {
        .address = target,
        .name = name,
        .tls = s->tls,
        .root_cert = s->root_cert,
        .timeout_ms = s->timeout_ms,
    };
    tg_code code = tg_sql_check_name("a prefix", s->prefix, err);

    if (code == TG_OK)
        code = tg_sql_check_name("a schema", s->schema, err);
    if (code != TG_OK)
        return code;
    s->look = use == TG_STORE_LOOK;
    snprintf(name, sizeof name, "\"%s\".\"%s", s->schema, s->prefix);
    code = tg_postgres_new(&options, &s->db, err);
    if (code == TG_OK)
        code = tg_postgres_connect(s->db, err);
    if (code == TG_OK)
        code = need_tables(s, use != TG_STORE_CREATE, err);
    return tg_ps_told(code, err);
}

static void postgres_close(void *self)
{
    struct store_postgres *s = self;

    tg_postgres_free(s->db);
    s->db = NULL;
}

/* ---- bytes ---- */

/* As bytea takes them: \x and hex digits. */
static void put_hex(struct tg_buf *out, const void *bytes, size_t len)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *at = bytes;
    uint8_t *to;

    tg_buf_str(out, "\\x");
    to = tg_buf_extend(out, 2 * len);
    for (size_t i = 0; to && i < len; i++) {
        *to++ = (uint8_t)digit[at[i] >> 4];
        *to++ = (uint8_t)digit[at[i] & 15];
    }
    tg_buf_byte(out, 0);
}

static unsigned nibble(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void take_hex(struct tg_buf *out, struct tg_str value)
{
    for (uint32_t i = 2; i + 1 < value.len; i += 2)
        tg_buf_byte(out, (uint8_t)(nibble(value.at[i]) << 4 | nibble(value.at[i + 1])));
}

/* ---- documents ---- */

struct docs {
    tg_doc_seen seen;
    void *ctx;
    struct tg_doc *doc; /* where the only one goes; NULL: all are seen */
    struct tg_buf *bytes;
    bool found;
};

/* key, version, at_us, fence, bytes */
static tg_code take_doc(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct docs *d = ctx;
    char key[TG_STORE_KEY_MAX + 1];
    const struct tg_doc doc = {
        .version = (uint64_t)v[1].number,
        .at_us = v[2].number,
        .fence = (uint64_t)v[3].number,
    };

    (void)err;
    d->found = true;
    if (d->doc)
        *d->doc = doc;
    if (d->bytes)
        take_hex(d->bytes, v[4].text);
    if (!d->seen)
        return TG_END;
    snprintf(key, sizeof key, "%.*s", (int)v[0].text.len, v[0].text.at);
    d->found = d->seen(d->ctx, key, &doc, d->bytes->data, d->bytes->len);
    tg_buf_clear(d->bytes);
    return d->found ? TG_OK : TG_END;
}

#define DOC_COLUMNS                                                                                \
    "SELECT key, version, at_us, fence, bytes FROM @_doc\" AS d WHERE kind = $1 AND "

static tg_code get(struct store_postgres *s, const char *kind, const char *key, struct docs *d,
                   struct tg_error *err)
{
    const struct tg_sql_value arg[] = { { .text = tg_str_of(kind) }, { .text = tg_str_of(key) } };
    tg_code code =
        tg_postgres_query(s->db, DOC_COLUMNS "key = $2 ORDER BY version DESC LIMIT 1", arg,
                          TG_COUNT(arg), take_doc, d, err);

    return code == TG_OK && !d->found ? TG_END : code;
}

static tg_code postgres_get(void *self, const char *kind, const char *key, struct tg_doc *ret,
                            struct tg_buf *ret_bytes, struct tg_error *err)
{
    struct store_postgres *s = self;
    struct docs d = { .doc = ret, .bytes = ret_bytes };
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_postgres_connect(s->db, err);
    if (code == TG_OK)
        code = get(s, kind, key, &d, err);
    if (code == TG_OK && ret_bytes && ret_bytes->failed)
        code = tg_fail(err, TG_LIMIT, "no room for document %s/%.200s", kind, key);
    return tg_ps_told(code, err);
}

static tg_code insert_doc(struct store_postgres *s, const char *kind, const char *key,
                          const struct tg_doc *doc, const struct tg_buf *hex, struct tg_error *err)
{
    const struct tg_sql_value arg[] = {
        { .text = tg_str_of(kind) },
        { .text = tg_str_of(key) },
        { .number = (int64_t)doc->version },
        { .number = doc->at_us },
        { .number = (int64_t)doc->fence },
        { .text = tg_str_of((const char *)hex->data) },
    };

    return tg_postgres_query(s->db, "INSERT INTO @_doc\" VALUES($1, $2, $3, $4, $5, $6)", arg,
                             TG_COUNT(arg), NULL, NULL, err);
}

static tg_code postgres_put(void *self, const char *kind, const char *key, uint64_t expect,
                            const struct tg_doc *stamp, const void *bytes, size_t len,
                            struct tg_error *err)
{
    struct store_postgres *s = self;
    struct tg_doc now = { 0 }, next = *stamp;
    struct docs d = { .doc = &now };
    struct tg_buf hex;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_store_check_size("document", kind, key, len, err);
    if (code == TG_OK)
        code = tg_ps_begin(s, err);
    if (code != TG_OK)
        return tg_ps_told(code, err);
    tg_buf_init(&hex, 2 * (size_t)TG_STORE_DOC_MAX + 64);
    put_hex(&hex, bytes, len);
    code = hex.failed ? tg_fail(err, TG_NOMEM, "a document") : get(s, kind, key, &d, err);
    if (code == TG_OK || code == TG_END)
        code = tg_store_compare(kind, key, expect, stamp->fence, &now, err);
    next.version = tg_store_next(expect, stamp);
    if (code == TG_OK) {
        code = insert_doc(s, kind, key, &next, &hex, err);
        if (code == TG_CONFLICT) { /* somebody was faster by a moment */
            now.version = next.version;
            code = tg_store_compare(kind, key, expect, stamp->fence, &now, err);
        }
    }
    tg_buf_done(&hex);
    return tg_ps_told(tg_postgres_end(s->db, code, err), err);
}

static tg_code each_doc(struct store_postgres *s, const char *sql, const char *kind,
                        const char *key, tg_doc_seen seen, void *ctx, struct tg_error *err)
{
    const struct tg_sql_value arg[] = { { .text = tg_str_of(kind) }, { .text = tg_str_of(key) } };
    struct tg_buf bytes;
    struct docs d = { .seen = seen, .ctx = ctx, .bytes = &bytes };
    tg_code code = tg_store_check_name(kind, key, err);

    tg_buf_init(&bytes, TG_STORE_DOC_MAX);
    if (code == TG_OK)
        code = tg_postgres_connect(s->db, err);
    if (code == TG_OK)
        code = tg_postgres_query(s->db, sql, arg, 2, take_doc, &d, err);
    tg_buf_done(&bytes);
    return tg_ps_told(code, err);
}

static tg_code postgres_history(void *self, const char *kind, const char *key, tg_doc_seen seen,
                                void *ctx, struct tg_error *err)
{
    return each_doc(self, DOC_COLUMNS "key = $2 ORDER BY version DESC", kind, key, seen, ctx, err);
}

static tg_code postgres_list(void *self, const char *kind, const char *prefix, tg_doc_seen seen,
                             void *ctx, struct tg_error *err)
{
    return each_doc(self,
                    DOC_COLUMNS "starts_with(key, $2) AND version = (SELECT max(version) FROM"
                                " @_doc\" AS x WHERE x.kind = d.kind AND x.key = d.key)"
                                " ORDER BY key",
                    kind, prefix, seen, ctx, err);
}

/* Runs one statement that changes something. */
static tg_code change(struct store_postgres *s, const char *sql, const struct tg_sql_value *arg,
                      size_t n, struct tg_error *err)
{
    tg_code code = tg_store_check_name(arg[0].text.at, arg[1].text.at, err);

    if (code == TG_OK)
        code = tg_ps_begin(s, err);
    if (code != TG_OK)
        return tg_ps_told(code, err);
    code = tg_postgres_query(s->db, sql, arg, n, NULL, NULL, err);
    return tg_ps_told(tg_postgres_end(s->db, code, err), err);
}

static tg_code postgres_prune(void *self, const char *kind, const char *key, uint64_t n_keep,
                              struct tg_error *err)
{
    const struct tg_sql_value arg[] = { { .text = tg_str_of(kind) },
                                        { .text = tg_str_of(key) },
                                        { .number = tg_store_clamp(n_keep) } };

    assert(n_keep > 0); /* the newest version carries the number and the fence of the next */
    return change(self,
                  "DELETE FROM @_doc\" WHERE kind = $1 AND key = $2 AND version <= (SELECT"
                  " max(version) FROM @_doc\" WHERE kind = $1 AND key = $2) - $3::bigint",
                  arg, TG_COUNT(arg), err);
}

/* ---- logs ---- */

static tg_code insert_entry(struct store_postgres *s, const char *kind, const char *key,
                            const struct tg_log_entry *entry, struct tg_error *err)
{
    struct tg_sql_value arg[] = { { .text = tg_str_of(kind) },
                                  { .text = tg_str_of(key) },
                                  { .number = (int64_t)entry->n },
                                  { .number = entry->at_us },
                                  { .number = 0 } };
    struct tg_buf hex;
    tg_code code;

    tg_buf_init(&hex, 2 * (size_t)TG_STORE_DOC_MAX + 64);
    put_hex(&hex, entry->bytes, entry->len);
    if (!hex.failed)
        arg[4].text = tg_str_of((const char *)hex.data);
    code = hex.failed ? tg_fail(err, TG_NOMEM, "a log entry")
                      : tg_postgres_query(s->db,
                                          "INSERT INTO @_log\" VALUES($1, $2, $3, $4, $5)", arg,
                                          TG_COUNT(arg), NULL, NULL, err);
    tg_buf_done(&hex);
    return code;
}

static tg_code postgres_append(void *self, const char *kind, const char *key, int64_t at_us,
                               const void *bytes, size_t len, uint64_t *ret_n,
                               struct tg_error *err)
{
    struct store_postgres *s = self;
    const struct tg_sql_value arg[] = { { .text = tg_str_of(kind) }, { .text = tg_str_of(key) } };
    int64_t n = 0;
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK)
        code = tg_store_check_size("entry of log", kind, key, len, err);
    if (code == TG_OK)
        code = tg_ps_begin(s, err);
    if (code != TG_OK)
        return tg_ps_told(code, err);
    code = tg_postgres_query(s->db,
                 "INSERT INTO @_last\" AS l VALUES($1, $2, 1) ON CONFLICT(kind, key)"
                 " DO UPDATE SET n = l.n + 1 RETURNING n",
                 arg, TG_COUNT(arg), tg_sql_take_number, &n, err);
    if (code == TG_OK)
        code = insert_entry(s, kind, key, &(struct tg_log_entry){ (uint64_t)n, at_us, bytes, len },
                            err);
    code = tg_ps_told(tg_postgres_end(s->db, code, err), err);
    if (code == TG_OK && ret_n)
        *ret_n = (uint64_t)n;
    return code;
}

struct entries {
    tg_log_seen seen;
    void *ctx;
    struct tg_buf bytes;
    uint64_t last;
    int n;
    bool stopped;
};

static tg_code take_entry(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct entries *e = ctx;
    struct tg_log_entry entry = { .n = (uint64_t)v[0].number, .at_us = v[1].number };

    (void)err;
    tg_buf_clear(&e->bytes);
    take_hex(&e->bytes, v[2].text);
    entry.bytes = e->bytes.data;
    entry.len = e->bytes.len;
    e->last = entry.n;
    e->n++;
    e->stopped = !e->seen(e->ctx, &entry);
    return e->stopped ? TG_END : TG_OK;
}

/* Some at a time: a log may be long. */
static tg_code postgres_read(void *self, const char *kind, const char *key, uint64_t from,
                             tg_log_seen seen, void *ctx, struct tg_error *err)
{
    struct store_postgres *s = self;
    struct tg_sql_value arg[] = { { .text = tg_str_of(kind) },
                                  { .text = tg_str_of(key) },
                                  { .number = tg_store_clamp(from) },
                                  { .number = ROWS } };
    struct entries e = { .seen = seen, .ctx = ctx, .n = ROWS };
    tg_code code = tg_store_check_name(kind, key, err);

    tg_buf_init(&e.bytes, TG_STORE_DOC_MAX);
    if (code == TG_OK)
        code = tg_postgres_connect(s->db, err);
    while (code == TG_OK && e.n == ROWS && !e.stopped) {
        e.n = 0;
        code = tg_postgres_query(s->db,
                     "SELECT n, at_us, bytes FROM @_log\" WHERE kind = $1 AND key = $2 AND n >= $3"
                     " ORDER BY n LIMIT $4",
                     arg, TG_COUNT(arg), take_entry, &e, err);
        arg[2].number = (int64_t)e.last + 1;
    }
    tg_buf_done(&e.bytes);
    return tg_ps_told(code, err);
}

static tg_code postgres_drop(void *self, const char *kind, const char *key, uint64_t from,
                             uint64_t to, struct tg_error *err)
{
    const struct tg_sql_value arg[] = { { .text = tg_str_of(kind) },
                                        { .text = tg_str_of(key) },
                                        { .number = tg_store_clamp(from) },
                                        { .number = tg_store_clamp(to) } };

    return change(self,
                  "DELETE FROM @_log\" WHERE kind = $1 AND key = $2 AND n BETWEEN $3 AND $4", arg,
                  TG_COUNT(arg), err);
}

/* ---- leases ---- */

static tg_code take_lease(void *ctx, const struct tg_sql_value *v, struct tg_error *err)
{
    struct tg_lease *lease = ctx;

    (void)err;
    snprintf(lease->owner, sizeof lease->owner, "%.*s", (int)v[0].text.len, v[0].text.at);
    lease->token = (uint64_t)v[1].number;
    lease->expires_us = v[2].number;
    return TG_END;
}

/* Its row is made if nobody ever had it, and locked. */
static tg_code lock_lease(struct store_postgres *s, const char *name, struct tg_lease *ret,
                          struct tg_error *err)
{
    const struct tg_sql_value arg = { .text = tg_str_of(name) };
    tg_code code = tg_postgres_query(
        s->db, "INSERT INTO @_lease\" VALUES($1, '', 0, 0) ON CONFLICT DO NOTHING", &arg, 1, NULL,
        NULL, err);

    *ret = (struct tg_lease){ 0 };
    if (code == TG_OK)
        code = tg_postgres_query(
            s->db, "SELECT owner, token, expires_us FROM @_lease\" WHERE name = $1 FOR UPDATE",
            &arg, 1, take_lease, ret, err);
    return code;
}

static tg_code set_lease(struct store_postgres *s, const char *name, const struct tg_lease *lease,
                         struct tg_error *err)
{
    const struct tg_sql_value arg[] = { { .text = tg_str_of(name) },
                                        { .text = tg_str_of(lease->owner) },
                                        { .number = (int64_t)lease->token },
                                        { .number = lease->expires_us } };

    return tg_postgres_query(
        s->db, "UPDATE @_lease\" SET owner = $2, token = $3, expires_us = $4 WHERE name = $1", arg,
        TG_COUNT(arg), NULL, NULL, err);
}

static tg_code postgres_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                              struct tg_lease *lease, struct tg_error *err)
{
    struct store_postgres *s = self;
    struct tg_lease held, next = *lease;
    tg_code code = tg_store_check_name("lease", name, err);

    assert(ttl_us > 0 && lease->owner[0] && memchr(lease->owner, 0, sizeof lease->owner));
    if (code == TG_OK)
        code = tg_ps_begin(s, err);
    if (code != TG_OK)
        return tg_ps_told(code, err);
    code = lock_lease(s, name, &held, err);
    if (code == TG_OK)
        code = tg_store_judge(name, &held, now_us, &next, err);
    next.expires_us = now_us + ttl_us;
    if (code == TG_OK)
        code = set_lease(s, name, &next, err);
    code = tg_ps_told(tg_postgres_end(s->db, code, err), err);
    if (code == TG_OK)
        *lease = next;
    else if (code == TG_BUSY)
        *lease = held;
    return code;
}

static tg_code postgres_release(void *self, const char *name, const struct tg_lease *lease,
                                struct tg_error *err)
{
    struct store_postgres *s = self;
    struct tg_lease held;
    tg_code code = tg_store_check_name("lease", name, err);

    if (code == TG_OK)
        code = tg_ps_begin(s, err);
    if (code != TG_OK)
        return tg_ps_told(code, err);
    code = lock_lease(s, name, &held, err);
    if (code == TG_OK && tg_store_is_own(&held, lease)) {
        held.owner[0] = 0;
        held.expires_us = 0;
        code = set_lease(s, name, &held, err);
    }
    return tg_ps_told(tg_postgres_end(s->db, code, err), err);
}

static const struct tg_option postgres_option[] = {
    { .name = "prefix",
      .type = TG_OPT_STR,
      .offset = offsetof(struct store_postgres, prefix),
      .fallback = "tgdata",
      .help = "what the names of the tables begin with" },
    TG_POSTGRES_OPTIONS(store_postgres),
    { 0 },
};

const struct tg_store_ops tg_store_postgres = {
    .head = { "postgres", "state in a PostgreSQL database", postgres_option,
              sizeof(struct store_postgres) },
    .open = postgres_open,
    .close = postgres_close,
    .get = postgres_get,
    .put = postgres_put,
    .history = postgres_history,
    .list = postgres_list,
    .prune = postgres_prune,
    .append = postgres_append,
    .read = postgres_read,
    .drop = postgres_drop,
    .lease = postgres_lease,
    .release = postgres_release,
    .names = tg_ps_names,
    .raise = tg_ps_raise,
};
