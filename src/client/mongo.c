/* SPDX-License-Identifier: MIT */
/*
 * mongo.c - see mongo.h; the only file that includes libmongoc
 *
 * It is loaded when a store asks for it: it sets itself up as it is loaded, brings thirty libraries
 * along, and says on standard error what it does not like about the machine.
 */
#ifdef TG_HAVE_MONGODB

#include "client/mongo.h"

#include <dlfcn.h>
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

enum { PART_MAX = 256, DUPLICATE = 11000, AUTH_FAILED = 18, NOT_ALLOWED = 13 };

struct tg_mongo {
    mongoc_client_t *client;
    mongoc_collection_t *items;
    char name[2 * PART_MAX + 16];
};

/* ---- the library ---- */

#define FUNCTIONS(X)                                                                               \
    X(client_destroy) X(client_get_collection) X(client_new_from_uri) X(client_set_error_api)      \
    X(collection_delete_one) X(collection_destroy) X(collection_find_with_opts)                    \
    X(collection_insert_one) X(collection_replace_one) X(cursor_destroy) X(cursor_error)           \
    X(cursor_next) X(init) X(log_set_handler) X(read_concern_destroy) X(read_concern_new)          \
    X(read_concern_set_level) X(uri_destroy) X(uri_new_with_error) X(uri_set_appname)              \
    X(uri_set_auth_source) X(uri_set_option_as_bool) X(uri_set_option_as_int32)                    \
    X(uri_set_option_as_utf8) X(uri_set_password) X(uri_set_read_concern) X(uri_set_username)      \
    X(uri_set_write_concern) X(write_concern_destroy) X(write_concern_new)                         \
    X(write_concern_set_journal) X(write_concern_set_wmajority)

static struct {
#define DECLARE(name) __typeof__(mongoc_##name) *name;
    FUNCTIONS(DECLARE)
#undef DECLARE
} lib;

static const struct function {
    const char *name;
    size_t offset;
} function[] = {
#define ROW(name) { "mongoc_" #name, offsetof(__typeof__(lib), name) },
    FUNCTIONS(ROW)
#undef ROW
};

static struct tg_error trouble; /* why it was not loaded; code OK: it was */

static void load(void)
{
    void *handle;

    setenv("MONGOC_DISABLE_SHM", "1", 0); /* counters for others to look at, which are not wanted */
    handle = dlopen("libmongoc-1.0.so.0", RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; handle && i < TG_COUNT(function); i++) {
        void *found = dlsym(handle, function[i].name);

        if (!found)
            break;
        memcpy((char *)&lib + function[i].offset, &found, sizeof found);
        if (i + 1 == TG_COUNT(function)) {
            lib.log_set_handler(NULL, NULL); /* what fails is told by who asked */
            lib.init();
            return;
        }
    }
    tg_fail(&trouble, TG_UNSUPPORTED, "the library of MongoDB cannot be loaded: %.200s", dlerror());
    tg_hint(&trouble, "install libmongoc-1.0-0 (Debian's name), or keep the state elsewhere");
}

static tg_code begin(struct tg_error *err)
{
    static once_flag once = ONCE_FLAG_INIT;

    call_once(&once, load);
    if (trouble.code != TG_OK)
        *err = trouble;
    return trouble.code;
}

/* ---- opening ---- */

struct address {
    char user[PART_MAX], hosts[PART_MAX], database[64];
};

static tg_code bad_address(const char *why, struct tg_error *err)
{
    tg_fail(err, TG_USAGE, "the address of a MongoDB server %s", why);
    return tg_hint(err, "write it as mongodb://USER@HOST:PORT/DATABASE, the password in "
                        "MONGODB_PASSWORD");
}

/* "//[USER@]HOSTS/DATABASE" */
static tg_code take_address(const char *text, struct address *ret, struct tg_error *err)
{
    const char *hosts = strncmp(text, "//", 2) == 0 ? text + 2 : "", *at = strrchr(hosts, '@');
    const char *slash;
    size_t user = at ? (size_t)(at - hosts) : 0;

    *ret = (struct address){ .user = "" };
    if (user && memchr(hosts, ':', user))
        return bad_address("has a password in it", err);
    if (user >= sizeof ret->user)
        return bad_address("is too long", err);
    memcpy(ret->user, hosts, user);
    hosts = at ? at + 1 : hosts;
    slash = strchr(hosts, '/');
    if (!slash || slash == hosts || (size_t)(slash - hosts) >= sizeof ret->hosts || !slash[1] ||
        strlen(slash + 1) >= sizeof ret->database || strpbrk(slash + 1, "/\\. \"$"))
        return bad_address("needs a host and a database", err);
    memcpy(ret->hosts, hosts, (size_t)(slash - hosts));
    snprintf(ret->database, sizeof ret->database, "%s", slash + 1);
    return TG_OK;
}

static bool set_text(mongoc_uri_t *uri, const char *option, const char *value)
{
    return !value || !*value || lib.uri_set_option_as_utf8(uri, option, value);
}

static bool set_options(mongoc_uri_t *uri, const struct tg_mongo_options *o,
                        const struct address *a)
{
    const char *password = getenv("MONGODB_PASSWORD");
    mongoc_write_concern_t *all = lib.write_concern_new();
    mongoc_read_concern_t *durable = lib.read_concern_new();
    int32_t timeout_ms = (int32_t)TG_MIN(o->timeout_ms, INT32_MAX);
    bool good = lib.uri_set_option_as_int32(uri, MONGOC_URI_SERVERSELECTIONTIMEOUTMS,
                                               timeout_ms) &&
                lib.uri_set_option_as_int32(uri, MONGOC_URI_CONNECTTIMEOUTMS, timeout_ms) &&
                lib.uri_set_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, timeout_ms) &&
                lib.uri_set_option_as_bool(uri, MONGOC_URI_SERVERSELECTIONTRYONCE, false) &&
                set_text(uri, MONGOC_URI_REPLICASET, o->replica_set) &&
                lib.uri_set_appname(uri, "tgdata");

    if (*a->user)
        good &= lib.uri_set_username(uri, a->user) &&
                lib.uri_set_password(uri, password ? password : "");
    if (o->auth_source && *o->auth_source)
        good &= lib.uri_set_auth_source(uri, o->auth_source);
    if (o->tls)
        good &= lib.uri_set_option_as_bool(uri, MONGOC_URI_TLS, true) &&
                set_text(uri, MONGOC_URI_TLSCAFILE, o->ca_file);
    lib.write_concern_set_wmajority(all, timeout_ms);
    lib.write_concern_set_journal(all, true);
    lib.uri_set_write_concern(uri, all);
    lib.write_concern_destroy(all);
    lib.read_concern_set_level(durable, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    lib.uri_set_read_concern(uri, durable);
    lib.read_concern_destroy(durable);
    return good;
}

tg_code tg_mongo_new(const struct tg_mongo_options *o, struct tg_mongo **ret, struct tg_error *err)
{
    struct tg_mongo *m;
    struct address a;
    mongoc_uri_t *uri;
    bson_error_t why;
    char text[2 * PART_MAX + 16];
    tg_code code = take_address(o->address, &a, err);

    if (code == TG_OK)
        code = begin(err);
    if (code != TG_OK)
        return code;
    snprintf(text, sizeof text, "mongodb://%s/%s", a.hosts, a.database);
    uri = lib.uri_new_with_error(text, &why);
    m = calloc(1, sizeof *m);
    if (!uri || !m) {
        lib.uri_destroy(uri);
        free(m);
        return bad_address("cannot be read", err);
    }
    snprintf(m->name, sizeof m->name, "%s", text);
    if (set_options(uri, o, &a))
        m->client = lib.client_new_from_uri(uri);
    lib.uri_destroy(uri);
    if (!m->client) {
        tg_mongo_free(m);
        return bad_address("has options that this build does not understand", err);
    }
    lib.client_set_error_api(m->client, MONGOC_ERROR_API_VERSION_2);
    m->items = lib.client_get_collection(m->client, a.database, o->collection);
    *ret = m;
    return TG_OK;
}

void tg_mongo_free(struct tg_mongo *m)
{
    if (!m)
        return;
    lib.collection_destroy(m->items);
    lib.client_destroy(m->client);
    free(m);
}

const char *tg_mongo_name(const struct tg_mongo *m)
{
    return m->name;
}

/* ---- what went wrong ---- */

static tg_code refused(const struct tg_mongo *m, const bson_error_t *why, struct tg_error *err)
{
    char text[200];

    snprintf(text, sizeof text, "%.199s", why->message);
    for (char *c = text; *c; c++)
        *c = (unsigned char)*c < ' ' ? ' ' : *c;
    if (why->domain == MONGOC_ERROR_CLIENT || why->code == AUTH_FAILED ||
        why->code == NOT_ALLOWED) {
        tg_fail(err, TG_UNUSABLE, "%.100s: %s", m->name, text);
        return tg_hint(err, "look at the user, at MONGODB_PASSWORD and at auth-source: the user "
                            "needs the role readWrite");
    }
    return tg_fail(err, why->domain == MONGOC_ERROR_SERVER ? TG_SERVER : TG_NET, "%.100s: %s",
                   m->name, text);
}

/* ---- one object ---- */

static void mark_of(const bson_t *doc, char ret[TG_MONGO_MARK])
{
    bson_iter_t at;

    *ret = 0;
    if (bson_iter_init_find(&at, doc, "m") && BSON_ITER_HOLDS_UTF8(&at))
        snprintf(ret, TG_MONGO_MARK, "%.20s", bson_iter_utf8(&at, NULL));
}

tg_code tg_mongo_get(struct tg_mongo *m, const char *name, struct tg_buf *ret,
                     char ret_mark[TG_MONGO_MARK], struct tg_error *err)
{
    bson_t filter = BSON_INITIALIZER;
    mongoc_cursor_t *cursor;
    const uint8_t *bytes = NULL;
    const bson_t *doc;
    uint32_t len = 0;
    bson_iter_t at;
    bson_error_t why;
    tg_code code = TG_OK;

    BSON_APPEND_UTF8(&filter, "_id", name);
    cursor = lib.collection_find_with_opts(m->items, &filter, NULL, NULL);
    tg_buf_clear(ret);
    if (lib.cursor_next(cursor, &doc)) {
        mark_of(doc, ret_mark);
        if (bson_iter_init_find(&at, doc, "b") && BSON_ITER_HOLDS_BINARY(&at))
            bson_iter_binary(&at, NULL, &len, &bytes);
        tg_buf_add(ret, bytes, len);
        if (ret->failed || !*ret_mark)
            code = tg_fail(err, TG_LIMIT, "%.100s: '%.160s' is no object", m->name, name);
    } else {
        code = lib.cursor_error(cursor, &why) ? refused(m, &why, err) : TG_END;
    }
    lib.cursor_destroy(cursor);
    bson_destroy(&filter);
    return code;
}

static tg_code conflict(const struct tg_mongo *m, const char *name, struct tg_error *err)
{
    return tg_fail(err, TG_CONFLICT, "%.100s: '%.160s' was changed by another", m->name, name);
}

/* @return how many documents a write has found */
static int64_t number_in(const bson_t *reply, const char *what)
{
    bson_iter_t at;

    return bson_iter_init_find(&at, reply, what) ? bson_iter_as_int64(&at) : 0;
}

tg_code tg_mongo_put(struct tg_mongo *m, const char *name, const char *seen, const char *mark,
                     const void *bytes, size_t len, struct tg_error *err)
{
    bson_t doc = BSON_INITIALIZER, filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, reply;
    bson_error_t why = { .code = 0 };
    bool fresh = seen && !*seen, good;
    tg_code code = TG_OK;

    BSON_APPEND_UTF8(&doc, "_id", name);
    BSON_APPEND_UTF8(&doc, "m", mark);
    BSON_APPEND_BINARY(&doc, "b", BSON_SUBTYPE_BINARY, bytes, (uint32_t)len);
    BSON_APPEND_UTF8(&filter, "_id", name);
    if (seen)
        BSON_APPEND_UTF8(&filter, "m", seen);
    else
        BSON_APPEND_BOOL(&opts, "upsert", true);
    good = fresh ? lib.collection_insert_one(m->items, &doc, NULL, &reply, &why)
                 : lib.collection_replace_one(m->items, &filter, &doc, &opts, &reply, &why);
    if (!good)
        code = fresh && why.code == DUPLICATE ? conflict(m, name, err) : refused(m, &why, err);
    else if (seen && !fresh && number_in(&reply, "matchedCount") != 1)
        code = conflict(m, name, err);
    bson_destroy(&reply);
    bson_destroy(&opts);
    bson_destroy(&filter);
    bson_destroy(&doc);
    return code;
}

tg_code tg_mongo_drop(struct tg_mongo *m, const char *name, struct tg_error *err)
{
    bson_t filter = BSON_INITIALIZER;
    bson_error_t why;
    bool good;

    BSON_APPEND_UTF8(&filter, "_id", name);
    good = lib.collection_delete_one(m->items, &filter, NULL, NULL, &why);
    bson_destroy(&filter);
    return good ? TG_OK : refused(m, &why, err);
}

/* ---- lists ---- */

tg_code tg_mongo_list(struct tg_mongo *m, const char *prefix, tg_mongo_seen seen, void *ctx,
                      struct tg_error *err)
{
    size_t size = strlen(prefix) + 2;
    char *behind = malloc(size);
    bson_t filter = BSON_INITIALIZER, opts = BSON_INITIALIZER, range, fields;
    mongoc_cursor_t *cursor;
    bson_error_t why;
    const bson_t *doc;
    tg_code code = TG_OK;

    if (!behind)
        return tg_fail(err, TG_NOMEM, "a list");
    snprintf(behind, size, "%s\x7f", prefix); /* behind all that goes on in ASCII */
    BSON_APPEND_DOCUMENT_BEGIN(&filter, "_id", &range);
    BSON_APPEND_UTF8(&range, "$gte", prefix);
    BSON_APPEND_UTF8(&range, "$lt", behind);
    bson_append_document_end(&filter, &range);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "projection", &fields);
    BSON_APPEND_INT32(&fields, "_id", 1);
    bson_append_document_end(&opts, &fields);
    cursor = lib.collection_find_with_opts(m->items, &filter, &opts, NULL);
    while (lib.cursor_next(cursor, &doc)) {
        bson_iter_t at;

        if (bson_iter_init_find(&at, doc, "_id") && BSON_ITER_HOLDS_UTF8(&at) &&
            !seen(ctx, bson_iter_utf8(&at, NULL)))
            break;
    }
    if (lib.cursor_error(cursor, &why))
        code = refused(m, &why, err);
    lib.cursor_destroy(cursor);
    bson_destroy(&opts);
    bson_destroy(&filter);
    free(behind);
    return code;
}

#else
typedef int tg_mongo_is_absent; /* a translation unit may not be empty */
#endif
