/* SPDX-License-Identifier: MIT */
/*
 * duckdb.c - see duckdb.h
 *
 * The table below names what is used of the library. The declarations are those of its duckdb.h,
 * with handles as plain pointers.
 */
#include "client/duckdb.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>
#include <unistd.h>

#include "os/proc.h"

enum { FAILED = 1, TYPE_BOOLEAN = 1, TYPE_BIGINT = 5, TYPE_VARCHAR = 17, TYPE_TIMESTAMP_TZ = 31 };
enum { COLUMNS_MAX = 128, RETRY_MS = 100, INLINE_MAX = 12 };

struct result {
    uint64_t unused[3];
    void *columns;
    char *message;
    void *data;
};

/* A text in a vector: up to twelve bytes stand in it, of more the first four and where all are. */
struct text {
    uint32_t len;
    union {
        char inlined[INLINE_MAX];
        struct {
            char prefix[4];
            const char *at;
        } __attribute__((packed)) far;
    } in;
};
_Static_assert(sizeof(struct text) == 16, "as the library has it");

#define FUNCTIONS(X)                                                                               \
    X(void *, create_instance_cache, (void))                                                       \
    X(int, get_or_create_from_cache, (void *, const char *, void **, void *, char **))             \
    X(void, close, (void **))                                                                      \
    X(int, create_config, (void **))                                                               \
    X(int, set_config, (void *, const char *, const char *))                                       \
    X(void, destroy_config, (void **))                                                             \
    X(void, free, (void *))                                                                        \
    X(int, connect, (void *, void **))                                                             \
    X(void, disconnect, (void **))                                                                 \
    X(int, query, (void *, const char *, struct result *))                                         \
    X(int, prepare, (void *, const char *, void **))                                               \
    X(const char *, prepare_error, (void *))                                                       \
    X(void, destroy_prepare, (void **))                                                            \
    X(int, bind_int64, (void *, uint64_t, int64_t))                                                \
    X(int, bind_varchar_length, (void *, uint64_t, const char *, uint64_t))                        \
    X(int, execute_prepared, (void *, struct result *))                                            \
    X(const char *, result_error, (struct result *))                                               \
    X(void, destroy_result, (struct result *))                                                     \
    X(void *, fetch_chunk, (struct result))                                                        \
    X(uint64_t, vector_size, (void))                                                               \
    X(void *, create_data_chunk, (void **, uint64_t))                                              \
    X(void, destroy_data_chunk, (void **))                                                         \
    X(void, data_chunk_reset, (void *))                                                            \
    X(uint64_t, data_chunk_get_size, (void *))                                                     \
    X(void, data_chunk_set_size, (void *, uint64_t))                                               \
    X(uint64_t, data_chunk_get_column_count, (void *))                                             \
    X(void *, data_chunk_get_vector, (void *, uint64_t))                                           \
    X(void *, vector_get_column_type, (void *))                                                    \
    X(void *, vector_get_data, (void *))                                                           \
    X(uint64_t *, vector_get_validity, (void *))                                                   \
    X(void, vector_ensure_validity_writable, (void *))                                             \
    X(void, vector_assign_string_element_len, (void *, uint64_t, const char *, uint64_t))          \
    X(int, get_type_id, (void *))                                                                  \
    X(void, destroy_logical_type, (void **))                                                       \
    X(int, appender_create_ext,                                                                    \
      (void *, const char *, const char *, const char *, void **))                                 \
    X(int, appender_add_column, (void *, const char *))                                            \
    X(void *, appender_column_type, (void *, uint64_t))                                            \
    X(const char *, appender_error, (void *))                                                      \
    X(int, append_data_chunk, (void *, void *))                                                    \
    X(int, appender_flush, (void *))                                                               \
    X(int, appender_destroy, (void **))

struct library {
#define MEMBER(type, name, arguments) type(*name) arguments;
    FUNCTIONS(MEMBER)
#undef MEMBER
    int (*execute_prepared_streaming)(void *, struct result *); /* where it is there */
    void *instances; /* databases that are open in this process, by their files */
    struct tg_error missing; /* code TG_OK: it is loaded */
};

struct column {
    void *vector;
    void *data;
    uint64_t *valid;
};

struct tg_duckdb {
    const struct library *lib;
    char *path;
    void *database, *connection;

    void *appender, *chunk;
    struct column column[COLUMNS_MAX];
    size_t n_columns;
    uint64_t n, n_max; /* rows in the chunk */
};

/* ---- the library ---- */

static struct library library; /* one in a process, as are the files it holds; for good */
static once_flag library_once = ONCE_FLAG_INIT;

static void load_library(void)
{
#define NAME(type, name, arguments) { "duckdb_" #name, offsetof(struct library, name) },
    static const struct {
        const char *name;
        size_t offset;
    } function[] = { FUNCTIONS(NAME) };
#undef NAME
    const char *path = getenv("TGDATA_DUCKDB");
    struct tg_error *err = &library.missing;
    void *handle;

    path = path && *path ? path : "libduckdb.so";
    handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        tg_fail(err, TG_UNSUPPORTED, "the library of DuckDB cannot be loaded: %.200s", dlerror());
        tg_hint(err, "take libduckdb.so from libduckdb-linux-amd64.zip of DuckDB's releases "
                     "(github.com/duckdb/duckdb), and name it: TGDATA_DUCKDB=/path/libduckdb.so");
        return;
    }
    for (size_t i = 0; i < TG_COUNT(function); i++) {
        void *found = dlsym(handle, function[i].name);

        if (!found) {
            tg_fail(err, TG_UNSUPPORTED,
                    "'%.200s' is no library of DuckDB 1.3 or newer: it has no %s", path,
                    function[i].name);
            tg_hint(err, "name a newer one in TGDATA_DUCKDB");
            return;
        }
        memcpy((char *)&library + function[i].offset, &found, sizeof found);
    }
    *(void **)&library.execute_prepared_streaming =
        dlsym(handle, "duckdb_execute_prepared_streaming");
    library.instances = library.create_instance_cache();
}

/* ---- errors ---- */

static bool says(const char *message, const char *words)
{
    return strstr(message, words) != NULL;
}

/* The first line of what the library says is in the message; it may quote the statement. */
static tg_code fail(const struct tg_duckdb *d, const char *what, const char *message,
                    struct tg_error *err)
{
    static const struct {
        const char *words;
        tg_code code;
        const char *hint;
    } cause[] = {
        { "No space left on device", TG_FULL, "make room there" },
        { "Could not write all bytes", TG_FULL, "make room there" },
        { "Binder Error", TG_IO, "look at what was changed of the table: columns, indexes" },
        { "onstraint", TG_CONFLICT, NULL },
        { "Could not set lock", TG_SINK,
          "it belongs to one process at a time: let that one end, or close it there" },
        { "not a valid DuckDB database", TG_CORRUPT, "name another file: duckdb:FILE" },
        { "orrupt", TG_CORRUPT, "restore it from a backup, or write to another file" },
        { "Serialization Error", TG_CORRUPT, "it may be of a newer version of DuckDB" },
        { "Permission denied", TG_IO, "check who may write there" },
        { "Cannot open file", TG_IO, "check the path and its permissions" },
        { "Out of Memory", TG_SINK, "give it more: duckdb:FILE?memory=4GiB" },
    };
    const char *text = message ? message : "unknown";
    tg_code code = TG_SINK;
    const char *hint = NULL;

    for (size_t i = 0; i < TG_COUNT(cause) && code == TG_SINK && !hint; i++) {
        if (says(text, cause[i].words)) {
            code = cause[i].code;
            hint = cause[i].hint;
        }
    }
    tg_fail(err, code, "could not %s '%.160s': %.*s", what, d->path,
            (int)TG_MIN(strcspn(text, "\n"), (size_t)300), text);
    return hint ? tg_hint(err, "%s", hint) : code;
}

/* ---- opening ---- */

static tg_code make_config(const struct tg_duckdb *d, const struct tg_duckdb_settings *settings,
                           void **ret, struct tg_error *err)
{
    char memory[32];
    const char *const set[][2] = {
        { "memory_limit", memory },
        /* each checkpoint packs the newest rows again: with 16 MB that costs more than they do */
        { "checkpoint_threshold", "256MB" },
        { "threads", "1" }, /* a destination has one thread */
        { "autoinstall_known_extensions", "false" },
        { "autoload_known_extensions", "false" },
        { "access_mode", settings->look ? "READ_ONLY" : "READ_WRITE" },
    };

    snprintf(memory, sizeof memory, "%lldB", (long long)settings->memory_bytes);
    if (d->lib->create_config(ret) == FAILED)
        return tg_fail(err, TG_NOMEM, "settings of DuckDB");
    for (size_t i = 0; i < TG_COUNT(set); i++)
        if (d->lib->set_config(*ret, set[i][0], set[i][1]) == FAILED)
            return tg_fail(err, TG_UNSUPPORTED, "this DuckDB does not know the setting '%s'",
                           set[i][0]);
    return TG_OK;
}

static tg_code open_once(struct tg_duckdb *d, void *config, struct tg_error *err)
{
    char *message = NULL;
    tg_code code = TG_OK;

    if (d->lib->get_or_create_from_cache(d->lib->instances, d->path, &d->database, config,
                                         &message) == FAILED) {
        code = fail(d, "open", message, err);
        d->database = NULL;
    }
    d->lib->free(message);
    if (code == TG_OK && d->lib->connect(d->database, &d->connection) == FAILED)
        code = fail(d, "connect to", NULL, err);
    return code;
}

static tg_code open_in_time(struct tg_duckdb *d, const struct tg_duckdb_settings *settings,
                            struct tg_error *err)
{
    void *config = NULL;
    tg_code code = make_config(d, settings, &config, err);

    if (code == TG_OK)
        code = open_once(d, config, err);
    for (int64_t ms = 0; code == TG_SINK && says(err->message, "Could not set lock") &&
                         ms < settings->busy_ms; ms += RETRY_MS) {
        tg_sleep_us(RETRY_MS * TG_MS_US);
        code = open_once(d, config, err);
    }
    d->lib->destroy_config(&config);
    return code;
}

tg_code tg_duckdb_open(const char *path, const struct tg_duckdb_settings *settings,
                       struct tg_duckdb **ret, struct tg_error *err)
{
    struct tg_duckdb_settings set = *settings;
    struct tg_duckdb *d;
    tg_code code;

    if (set.existing && access(path, F_OK) != 0)
        return tg_fail(err, TG_NOT_FOUND, "'%.200s' is not there", path);
    call_once(&library_once, load_library);
    if (library.missing.code != TG_OK) {
        *err = library.missing;
        return err->code;
    }
    d = calloc(1, sizeof *d);
    if (d) {
        d->lib = &library;
        d->path = strdup(path);
    }
    if (!d || !d->path) {
        free(d);
        return tg_fail(err, TG_NOMEM, "database '%.200s'", path);
    }
    code = open_in_time(d, &set, err);
    if (code != TG_OK && set.look && says(err->message, "different configuration")) {
        set.look = false; /* this process writes it */
        code = open_in_time(d, &set, err);
    }
    if (code != TG_OK) {
        tg_duckdb_close(d);
        return code;
    }
    *ret = d;
    return TG_OK;
}

void tg_duckdb_close(struct tg_duckdb *d)
{
    if (!d)
        return;
    if (d->connection)
        d->lib->disconnect(&d->connection);
    if (d->database)
        d->lib->close(&d->database);
    free(d->path);
    free(d);
}

/* ---- statements ---- */

tg_code tg_duckdb_exec(struct tg_duckdb *d, const char *sql, struct tg_error *err)
{
    struct result result = { 0 };
    tg_code code = TG_OK;

    if (d->lib->query(d->connection, sql, &result) == FAILED)
        code = fail(d, "use", d->lib->result_error(&result), err);
    d->lib->destroy_result(&result);
    return code;
}

static struct tg_sql_value value_of(const struct column *c, int type, uint64_t row)
{
    struct tg_sql_value v = { .null = c->valid && !(c->valid[row / 64] >> row % 64 & 1) };

    if (v.null)
        return v;
    if (type == TYPE_VARCHAR) {
        const struct text *t = (const struct text *)c->data + row;

        v.text = (struct tg_str){ t->len > INLINE_MAX ? t->in.far.at : t->in.inlined, t->len };
    } else if (type == TYPE_BOOLEAN) {
        v.number = ((const uint8_t *)c->data)[row];
    } else if (type == TYPE_BIGINT || type == TYPE_TIMESTAMP_TZ) {
        v.number = ((const int64_t *)c->data)[row];
    }
    return v;
}

static tg_code give_chunk(const struct library *lib, void *chunk, tg_sql_row row, void *ctx,
                          struct tg_error *err)
{
    uint64_t n = lib->data_chunk_get_size(chunk), columns = lib->data_chunk_get_column_count(chunk);
    struct tg_sql_value v[COLUMNS_MAX];
    struct column column[COLUMNS_MAX];
    int type[COLUMNS_MAX];
    tg_code code = TG_OK;

    assert(columns <= COLUMNS_MAX);
    for (uint64_t i = 0; i < columns; i++) {
        void *vector = lib->data_chunk_get_vector(chunk, i);
        void *logical = lib->vector_get_column_type(vector);

        type[i] = lib->get_type_id(logical);
        lib->destroy_logical_type(&logical);
        column[i] = (struct column){ vector, lib->vector_get_data(vector),
                                     lib->vector_get_validity(vector) };
    }
    for (uint64_t k = 0; code == TG_OK && k < n; k++) {
        for (uint64_t i = 0; i < columns; i++)
            v[i] = value_of(&column[i], type[i], k);
        code = row(ctx, v, err);
    }
    return code;
}

static tg_code run(struct tg_duckdb *d, void *stmt, tg_sql_row row, void *ctx,
                   struct tg_error *err)
{
    struct result result = { 0 };
    tg_code code = TG_OK;
    int status = row && d->lib->execute_prepared_streaming
                     ? d->lib->execute_prepared_streaming(stmt, &result)
                     : d->lib->execute_prepared(stmt, &result);

    if (status == FAILED)
        code = fail(d, "use", d->lib->result_error(&result), err);
    while (code == TG_OK && row) {
        void *chunk = d->lib->fetch_chunk(result);

        if (!chunk) {
            const char *message = d->lib->result_error(&result);

            if (message && *message)
                code = fail(d, "read", message, err);
            break;
        }
        code = give_chunk(d->lib, chunk, row, ctx, err);
        d->lib->destroy_data_chunk(&chunk);
    }
    d->lib->destroy_result(&result);
    return code == TG_END ? TG_OK : code;
}

tg_code tg_duckdb_query(struct tg_duckdb *d, const char *sql, const struct tg_sql_value *param,
                        size_t n, tg_sql_row row, void *ctx, struct tg_error *err)
{
    void *stmt = NULL;
    tg_code code = TG_OK;

    if (d->lib->prepare(d->connection, sql, &stmt) == FAILED)
        code = fail(d, "use", d->lib->prepare_error(stmt), err);
    for (size_t i = 0; code == TG_OK && i < n; i++) {
        const struct tg_str *text = &param[i].text;
        int status = text->at ? d->lib->bind_varchar_length(stmt, i + 1, text->at, text->len)
                              : d->lib->bind_int64(stmt, i + 1, param[i].number);

        if (status == FAILED)
            code = tg_fail(err, TG_INTERNAL, "parameter %zu of a statement", i + 1);
    }
    if (code == TG_OK)
        code = run(d, stmt, row, ctx, err);
    d->lib->destroy_prepare(&stmt);
    return code;
}

tg_code tg_duckdb_number(struct tg_duckdb *d, const char *sql, int64_t *ret, struct tg_error *err)
{
    *ret = 0;
    return tg_duckdb_query(d, sql, NULL, 0, tg_sql_take_number, ret, err);
}

tg_code tg_duckdb_begin(struct tg_duckdb *d, struct tg_error *err)
{
    return tg_duckdb_exec(d, "BEGIN TRANSACTION", err);
}

tg_code tg_duckdb_end(struct tg_duckdb *d, tg_code code, struct tg_error *err)
{
    struct tg_error ignored; /* a transaction that failed may be over already */

    if (code == TG_OK)
        code = tg_duckdb_exec(d, "COMMIT", err);
    if (code != TG_OK)
        (void)tg_duckdb_exec(d, "ROLLBACK", &ignored);
    return code;
}

/* ---- appending ---- */

/* Readies the chunk: no rows, all values null. */
static void begin_chunk(struct tg_duckdb *d)
{
    const struct library *lib = d->lib;

    d->n = 0;
    for (size_t i = 0; i < d->n_columns; i++) {
        struct column *c = &d->column[i];

        c->vector = lib->data_chunk_get_vector(d->chunk, i);
        c->data = lib->vector_get_data(c->vector);
        lib->vector_ensure_validity_writable(c->vector);
        c->valid = lib->vector_get_validity(c->vector);
        memset(c->valid, 0, d->n_max / 8);
    }
}

tg_code tg_duckdb_append(struct tg_duckdb *d, const char *table, bool temporary,
                         const char *const *column, size_t n, struct tg_error *err)
{
    const struct library *lib = d->lib;
    void *type[COLUMNS_MAX];

    assert(!d->appender && n > 0 && n <= COLUMNS_MAX);
    if (lib->appender_create_ext(d->connection, temporary ? "temp" : NULL, NULL, table,
                                 &d->appender) == FAILED)
        return tg_duckdb_append_end(d, fail(d, "append to", lib->appender_error(d->appender), err),
                                    err);
    for (size_t i = 0; i < n; i++)
        if (lib->appender_add_column(d->appender, column[i]) == FAILED)
            return tg_duckdb_append_end(
                d, fail(d, "append to", lib->appender_error(d->appender), err), err);
    for (size_t i = 0; i < n; i++)
        type[i] = lib->appender_column_type(d->appender, i);
    d->chunk = lib->create_data_chunk(type, n);
    for (size_t i = 0; i < n; i++)
        lib->destroy_logical_type(&type[i]);
    if (!d->chunk)
        return tg_duckdb_append_end(d, tg_fail(err, TG_NOMEM, "rows for DuckDB"), err);
    d->n_columns = n;
    d->n_max = lib->vector_size();
    begin_chunk(d);
    return TG_OK;
}

static inline void *put(struct tg_duckdb *d, size_t column)
{
    struct column *c = &d->column[column];

    assert(column < d->n_columns);
    c->valid[d->n / 64] |= UINT64_C(1) << d->n % 64;
    return c->data;
}

void tg_duckdb_put_i64(struct tg_duckdb *d, size_t column, int64_t v)
{
    ((int64_t *)put(d, column))[d->n] = v;
}

void tg_duckdb_put_bool(struct tg_duckdb *d, size_t column, bool v)
{
    ((uint8_t *)put(d, column))[d->n] = v;
}

void tg_duckdb_put_text(struct tg_duckdb *d, size_t column, struct tg_str text)
{
    struct text *t = (struct text *)put(d, column) + d->n;

    if (text.len > INLINE_MAX) {
        d->lib->vector_assign_string_element_len(d->column[column].vector, d->n, text.at,
                                                 text.len);
        return;
    }
    *t = (struct text){ .len = text.len };
    if (text.len)
        memcpy(t->in.inlined, text.at, text.len);
}

static tg_code give_rows(struct tg_duckdb *d, struct tg_error *err)
{
    d->lib->data_chunk_set_size(d->chunk, d->n);
    if (d->lib->append_data_chunk(d->appender, d->chunk) == FAILED)
        return fail(d, "append to", d->lib->appender_error(d->appender), err);
    d->lib->data_chunk_reset(d->chunk);
    begin_chunk(d);
    return TG_OK;
}

tg_code tg_duckdb_put_end(struct tg_duckdb *d, struct tg_error *err)
{
    return ++d->n == d->n_max ? give_rows(d, err) : TG_OK;
}

tg_code tg_duckdb_append_end(struct tg_duckdb *d, tg_code code, struct tg_error *err)
{
    if (code == TG_OK && d->n)
        code = give_rows(d, err);
    if (code == TG_OK && d->lib->appender_flush(d->appender) == FAILED)
        code = fail(d, "append to", d->lib->appender_error(d->appender), err);
    if (d->chunk)
        d->lib->destroy_data_chunk(&d->chunk);
    if (d->appender)
        d->lib->appender_destroy(&d->appender);
    d->chunk = d->appender = NULL;
    return code;
}
