/* SPDX-License-Identifier: MIT */
/*
 * import.c - walks a Telegram Desktop export and notes where its messages stand; see import.h
 *
 * The outer structure (objects down to the list of messages) is walked here; every value below is
 * handed to jansson, which stops behind it. So no tree of the whole file is ever built.
 *
 * Threads: none      Limits: import.h
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/fs.h"
#include "sim/import_int.h"

enum { FILE_MAX = 512 << 20, MESSAGE_MAX = 1 << 20, CHATS_MAX = 100000, NAMES_MAX = 64 << 20 };

struct loader {
    struct sim_world *w;
    struct sim_import *imp;
    const char *name; /* of the file */
    const char *text;
    size_t at, len;
    int64_t own_id;   /* the exporter's user id; 0 unknown */
    struct tg_error *err;
};

/** A chat while its object is being read. */
struct draft {
    char *title, *type; /* owned */
    int64_t id;
    bool has_messages, left;
    struct sim_import_chat now, old;
};

/* ---- failing ---- */

static tg_code fail_at(struct loader *l, size_t at, const char *what)
{
    size_t line = 1;

    for (size_t i = 0; i < at && i < l->len; i++)
        line += l->text[i] == '\n';
    tg_fail(l->err, TG_DATA, "%s: line %zu: %s", l->name, line, what);
    return tg_hint(l->err, "give the result.json that Telegram Desktop's export wrote");
}

static tg_code no_memory(struct loader *l)
{
    return tg_fail(l->err, TG_NOMEM, "%s: out of memory", l->name);
}

/* ---- JSON, one step at a time ---- */

static char peek(struct loader *l)
{
    while (l->at < l->len && memchr(" \t\r\n", l->text[l->at], 4))
        l->at++;
    return l->at < l->len ? l->text[l->at] : 0;
}

static tg_code expect(struct loader *l, char c)
{
    char what[32];

    if (peek(l) == c) {
        l->at++;
        return TG_OK;
    }
    snprintf(what, sizeof what, "expected '%c'", c);
    return fail_at(l, l->at, what);
}

/* Reads any value with jansson. */
static tg_code read_value(struct loader *l, json_t **ret)
{
    json_error_t error;
    size_t start = (peek(l), l->at);
    json_t *v = json_loadb(l->text + start, l->len - start,
                           JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES,
                           &error);

    if (!v) {
        size_t at = start + (error.position > 0 ? (size_t)error.position : 0);
        char what[200];

        if (json_error_code(&error) == json_error_out_of_memory)
            return no_memory(l);
        snprintf(what, sizeof what, "no valid JSON: %.160s", error.text);
        return fail_at(l, TG_MIN(at, l->len), what);
    }
    l->at = start + (size_t)error.position;
    *ret = v;
    return TG_OK;
}

/* Steps to the next member of an object or item of an array: TG_OK, or TG_END behind the last. */
static tg_code next(struct loader *l, char close, bool *first)
{
    char c = peek(l);

    if (c == close) {
        l->at++;
        return TG_END;
    }
    if (!*first)
        return expect(l, ',');
    *first = false;
    return TG_OK;
}

/* Reads `"key":`. A key that is longer than the room is none that we know. */
static tg_code read_key(struct loader *l, char key[32])
{
    json_t *v = NULL;
    tg_code code = peek(l) == '"' ? read_value(l, &v) : fail_at(l, l->at, "expected a key");

    if (code != TG_OK)
        return code;
    snprintf(key, 32, "%s", json_string_length(v) < 32 ? json_string_value(v) : "");
    json_decref(v);
    return expect(l, ':');
}

static tg_code skip_value(struct loader *l)
{
    json_t *v;
    tg_code code = read_value(l, &v);

    if (code == TG_OK)
        json_decref(v);
    return code;
}

/* ---- messages ---- */

struct naming {
    struct sim_import *imp;
    bool failed;
};

static void note_name(void *ctx, int64_t marked_id, const char *name)
{
    struct naming *n = ctx;

    if (!sim_import_name_add(n->imp, marked_id, name))
        n->failed = true;
}

static int64_t message_date(const json_t *m)
{
    int64_t date = sim_json_num(m, "date_unixtime", -1);
    const char *text = sim_json_str(m, "date");

    if (date < 0 && text && !tg_time_parse(text, &date))
        date = -1;
    return date;
}

static bool add_item(struct sim_import_chat *c, const struct sim_import_item *item)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        void *grown = reallocarray(c->item, cap, sizeof *c->item);

        if (!grown)
            return false;
        c->item = grown;
        c->cap = cap;
    }
    c->item[c->n++] = *item;
    return true;
}

static tg_code note_message(struct loader *l, struct draft *d, const json_t *m, size_t start)
{
    struct sim_import_item item = { .at = start, .len = (uint32_t)(l->at - start) };
    struct naming naming = { .imp = l->imp };
    const json_t *id = json_object_get(m, "id");

    if (!json_is_object(m))
        return fail_at(l, start, "a message is no object");
    if (l->at - start > MESSAGE_MAX)
        return fail_at(l, start, "a message of more than 1 MiB");
    if (!json_is_integer(id))
        return fail_at(l, start, "a message without id");
    item.id = json_integer_value(id);
    item.date = message_date(m);
    if (item.date < 0 || item.date > INT32_MAX)
        return fail_at(l, start, "a message without a valid date");
    if (item.id == 0 || item.id >= INT32_MAX || item.id <= -SIM_IMPORT_SHIFT)
        return fail_at(l, start, "a message id out of range");
    sim_import_people(m, note_name, &naming);
    if (naming.failed)
        return no_memory(l);
    if (item.id < 0) {
        item.id += SIM_IMPORT_SHIFT;
        return add_item(&d->old, &item) ? TG_OK : no_memory(l);
    }
    return add_item(&d->now, &item) ? TG_OK : no_memory(l);
}

static tg_code read_messages(struct loader *l, struct draft *d)
{
    bool first = true;
    tg_code code = expect(l, '[');

    if (code != TG_OK)
        return code;
    if (d->has_messages)
        return fail_at(l, l->at, "two lists of messages in one chat");
    d->has_messages = true;
    while ((code = next(l, ']', &first)) == TG_OK) {
        json_t *m;
        size_t start = (peek(l), l->at);

        code = read_value(l, &m);
        if (code != TG_OK)
            return code;
        code = note_message(l, d, m, start);
        json_decref(m);
        if (code != TG_OK)
            return code;
    }
    return code == TG_END ? TG_OK : code;
}

static int compare_items(const void *x, const void *y)
{
    const struct sim_import_item *a = x, *b = y;

    return (a->id > b->id) - (a->id < b->id);
}

static tg_code sort_items(struct loader *l, struct sim_import_chat *c)
{
    if (c->n)
        qsort(c->item, c->n, sizeof *c->item, compare_items);
    for (size_t i = 1; i < c->n; i++) {
        if (c->item[i].id == c->item[i - 1].id)
            return fail_at(l, (size_t)TG_MAX(c->item[i].at, c->item[i - 1].at),
                           "two messages of a chat have the same id");
        c->item[i].date = TG_MAX(c->item[i].date, c->item[i - 1].date);
    }
    return TG_OK;
}

/* ---- chats ---- */

static const struct {
    const char *type;
    enum sim_chat_kind kind;
} types[] = {
    { "personal_chat", SIM_PRIVATE },         { "bot_chat", SIM_PRIVATE },
    { "saved_messages", SIM_PRIVATE },        { "replies", SIM_PRIVATE },
    { "verify_codes", SIM_PRIVATE },          { "private_group", SIM_BASIC_GROUP },
    { "private_supergroup", SIM_SUPERGROUP }, { "public_supergroup", SIM_SUPERGROUP },
    { "private_channel", SIM_CHANNEL },       { "public_channel", SIM_CHANNEL },
};

static tg_code find_kind(struct loader *l, const struct draft *d, enum sim_chat_kind *ret)
{
    for (size_t i = 0; d->type && i < TG_COUNT(types); i++) {
        if (strcmp(types[i].type, d->type) == 0) {
            *ret = types[i].kind;
            return TG_OK;
        }
    }
    return fail_at(l, l->at, d->type ? "a chat of unknown type" : "a chat without type");
}

static struct sim_chat_in *append_chat(struct loader *l, struct sim_import_chat *messages)
{
    struct sim_world *w = l->w;
    struct sim_chat_in *c;

    if (w->n_chats == l->imp->cap_chats) {
        size_t cap = l->imp->cap_chats ? l->imp->cap_chats * 2 : 16;
        void *chats = reallocarray(w->chat, cap, sizeof *w->chat), *lists;

        if (!chats)
            return NULL;
        w->chat = chats;
        lists = reallocarray(l->imp->chat, cap, sizeof *l->imp->chat);
        if (!lists)
            return NULL;
        l->imp->chat = lists;
        l->imp->cap_chats = cap;
    }
    c = &w->chat[w->n_chats];
    *c = (struct sim_chat_in){ .owner = -1, .migrated_to = -1, .stride = 1 };
    c->pub = (struct sim_chat){ .index = (uint32_t)w->n_chats, .migrated_from = -1,
                                .n_messages = messages->n };
    if (messages->n)
        c->pub.top_id = (int32_t)messages->item[messages->n - 1].id;
    l->imp->chat[l->imp->n_chats++] = *messages; /* handed over */
    *messages = (struct sim_import_chat){ 0 };
    w->n_chats++;
    return c;
}

static void set_kind(struct sim_world *w, struct sim_chat_in *c, enum sim_chat_kind kind,
                     int64_t id)
{
    c->pub.kind = kind;
    c->pub.id = id;
    c->pub.marked_id = kind == SIM_PRIVATE       ? id
                       : kind == SIM_BASIC_GROUP ? -id
                                                 : -SIM_CHANNEL_BASE - id;
    c->pub.access_hash = sim_world_access_hash(w, 0, c->pub.marked_id);
    c->salt = sim_hash(w->seed, (uint64_t)c->pub.marked_id) & ~UINT64_C(3); /* no photo */
    if (kind == SIM_PRIVATE || kind == SIM_BASIC_GROUP)
        c->owner = 0;
}

/* The basic group that a supergroup was: only its messages are known. */
static tg_code add_old_group(struct loader *l, struct draft *d, uint32_t super)
{
    int64_t id = (int64_t)(sim_hash(UINT64_C(0x01d), (uint64_t)d->id) % 900000000000) + 1000000;
    struct sim_chat_in *c = append_chat(l, &d->old);

    if (!c)
        return no_memory(l);
    set_kind(l->w, c, SIM_BASIC_GROUP, id);
    c->migrated_to = super;
    c->pub.title = l->w->chat[super].pub.title;
    l->w->chat[super].pub.kind = SIM_MIGRATED;
    l->w->chat[super].pub.migrated_from = c->pub.index;
    return TG_OK;
}

static tg_code add_chat(struct loader *l, struct draft *d)
{
    enum sim_chat_kind kind = SIM_SUPERGROUP;
    struct sim_chat_in *c;
    tg_code code = find_kind(l, d, &kind);
    bool channel = kind == SIM_CHANNEL, has_old = d->old.n > 0;
    const char *title = d->title ? d->title : kind == SIM_PRIVATE ? "" : "Untitled";

    if (code != TG_OK)
        return code;
    if (d->id < -SIM_CHANNEL_BASE)
        d->id = -SIM_CHANNEL_BASE - d->id;
    if (d->id <= 0 || d->id >= SIM_CHANNEL_BASE)
        return fail_at(l, l->at, "a chat without a valid id");
    if (l->w->n_chats >= CHATS_MAX)
        return tg_fail(l->err, TG_LIMIT, "%s: more than %d chats", l->name, CHATS_MAX);
    if (has_old && kind != SIM_SUPERGROUP)
        return fail_at(l, l->at, "messages from before a migration, but no supergroup");
    if ((code = sort_items(l, &d->now)) != TG_OK || (code = sort_items(l, &d->old)) != TG_OK)
        return code;
    if (d->left && (kind == SIM_CHANNEL || kind == SIM_SUPERGROUP))
        kind = SIM_LEFT_CHANNEL;
    d->now.channel = channel;
    c = append_chat(l, &d->now);
    if (!c)
        return no_memory(l);
    set_kind(l->w, c, kind, d->id);
    c->pub.title = tg_arena_copy(&l->imp->arena, title, strlen(title));
    if (!c->pub.title || !sim_import_name_add(l->imp, c->pub.marked_id, title))
        return no_memory(l);
    return has_old ? add_old_group(l, d, c->pub.index) : TG_OK;
}

static void draft_done(struct draft *d)
{
    free(d->title);
    free(d->type);
    free(d->now.item);
    free(d->old.item);
}

/* A member of a chat's object that is not its list of messages. */
static tg_code read_chat_member(struct loader *l, struct draft *d, const char *key)
{
    json_t *v;
    tg_code code = read_value(l, &v);
    char **text = strcmp(key, "name") == 0 ? &d->title : strcmp(key, "type") == 0 ? &d->type : NULL;

    if (code != TG_OK)
        return code;
    if (text && json_is_string(v)) {
        free(*text);
        *text = strdup(json_string_value(v));
        if (!*text)
            code = no_memory(l);
    } else if (strcmp(key, "id") == 0 && json_is_integer(v)) {
        d->id = json_integer_value(v);
    }
    json_decref(v);
    return code;
}

static tg_code read_chat(struct loader *l, bool left)
{
    TG_CLEANUP(draft_done) struct draft d = { .left = left };
    bool first = true;
    char key[32];
    tg_code code = expect(l, '{');

    if (code != TG_OK)
        return code;
    while ((code = next(l, '}', &first)) == TG_OK) {
        if ((code = read_key(l, key)) != TG_OK)
            return code;
        code = strcmp(key, "messages") == 0 ? read_messages(l, &d) : read_chat_member(l, &d, key);
        if (code != TG_OK)
            return code;
    }
    return code == TG_END ? add_chat(l, &d) : code;
}

/* "chats" and "left_chats": { "about": ..., "list": [ chat, ... ] } */
static tg_code read_chats(struct loader *l, bool left)
{
    bool first = true, first_chat = true;
    char key[32];
    tg_code code = expect(l, '{');

    if (code != TG_OK)
        return code;
    while ((code = next(l, '}', &first)) == TG_OK) {
        if ((code = read_key(l, key)) != TG_OK)
            return code;
        if (strcmp(key, "list") != 0) {
            if ((code = skip_value(l)) != TG_OK)
                return code;
            continue;
        }
        if ((code = expect(l, '[')) != TG_OK)
            return code;
        while ((code = next(l, ']', &first_chat)) == TG_OK) {
            if ((code = read_chat(l, left)) != TG_OK)
                return code;
        }
        if (code != TG_END)
            return code;
    }
    return code == TG_END ? TG_OK : code;
}

/* ---- the file ---- */

static tg_code read_owner(struct loader *l)
{
    json_t *v;
    tg_code code = read_value(l, &v);

    if (code != TG_OK)
        return code;
    l->own_id = sim_json_num(v, "user_id", 0);
    if (l->own_id < 0 || l->own_id >= SIM_CHANNEL_BASE)
        l->own_id = 0;
    if (l->own_id) {
        const char *name = sim_json_str(v, "first_name");

        if (!sim_import_name_add(l->imp, l->own_id, name && *name ? name : "Me"))
            code = no_memory(l);
    }
    json_decref(v);
    return code;
}

static tg_code read_file(struct loader *l, struct draft *alone)
{
    bool first = true;
    char key[32];
    tg_code code = expect(l, '{');

    if (code != TG_OK)
        return code;
    while ((code = next(l, '}', &first)) == TG_OK) {
        if ((code = read_key(l, key)) != TG_OK)
            return code;
        if (strcmp(key, "chats") == 0 || strcmp(key, "left_chats") == 0)
            code = read_chats(l, key[0] == 'l');
        else if (strcmp(key, "personal_information") == 0)
            code = read_owner(l);
        else if (strcmp(key, "messages") == 0)
            code = read_messages(l, alone);
        else
            code = read_chat_member(l, alone, key);
        if (code != TG_OK)
            return code;
    }
    if (code != TG_END)
        return code;
    if (peek(l))
        return fail_at(l, l->at, "more text behind the end");
    return alone->has_messages ? add_chat(l, alone) : TG_OK;
}

/* Pointers are set last: the lists moved while they grew. */
static tg_code finish(struct loader *l)
{
    struct sim_world *w = l->w;

    if (w->n_chats == 0)
        return fail_at(l, l->at, "neither \"messages\" nor \"chats\" with a list: no export");
    for (size_t i = 0; i < w->n_chats; i++)
        w->chat[i].import = &l->imp->chat[i];
    if (l->own_id)
        w->account[0].user_id = l->own_id;
    return TG_OK;
}

static tg_code load(struct loader *l)
{
    TG_CLEANUP(draft_done) struct draft alone = { 0 };
    tg_code code;

    l->text = (const char *)l->imp->text.data;
    l->len = l->imp->text.len;
    if (l->len >= 3 && memcmp(l->text, "\xef\xbb\xbf", 3) == 0)
        l->at = 3;
    code = read_file(l, &alone);
    return code == TG_OK ? finish(l) : code;
}

static tg_code start(struct loader *l, struct sim_world *w, const char *name, struct tg_error *err)
{
    assert(w->n_chats == 0 && !w->import);
    *l = (struct loader){ .w = w, .name = name, .err = err };
    l->imp = w->import = calloc(1, sizeof *w->import);
    if (!l->imp)
        return no_memory(l);
    tg_buf_init(&l->imp->text, FILE_MAX);
    tg_arena_init(&l->imp->arena, NAMES_MAX);
    return TG_OK;
}

tg_code sim_import_text(struct sim_world *w, const char *name, struct tg_str text,
                        struct tg_error *err)
{
    struct loader l;
    tg_code code = start(&l, w, name, err);

    if (code != TG_OK)
        return code;
    tg_buf_add(&l.imp->text, text.at, text.len);
    if (l.imp->text.failed)
        return no_memory(&l);
    return load(&l);
}

tg_code sim_import_load(struct sim_world *w, const char *path, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    const char *slash = strrchr(path, '/');
    struct tg_dir *dir;
    struct loader l;
    char folder[4096];
    tg_code code = start(&l, w, path, err);

    if (code != TG_OK)
        return code;
    if (slash && (size_t)(slash - path) >= sizeof folder)
        return tg_fail(err, TG_USAGE, "the path '%.200s...' is too long", path);
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    code = fs->open_dir(fs, slash == path ? "/" : folder, false, &dir, err);
    if (code == TG_OK) {
        code = tg_fs_read_all(fs, dir, slash ? slash + 1 : path, FILE_MAX, &l.imp->text, err);
        fs->close_dir(fs, dir);
    }
    if (code == TG_NOT_FOUND) { /* a file that the user named */
        tg_hint(err, "--import names the result.json of an export of Telegram Desktop");
        code = err->code = TG_USAGE;
    }
    return code == TG_OK ? load(&l) : code;
}

void sim_import_free(struct sim_import *imp)
{
    if (!imp)
        return;
    for (size_t i = 0; i < imp->n_chats; i++)
        free(imp->chat[i].item);
    free(imp->chat);
    free(imp->name);
    tg_buf_done(&imp->text);
    tg_arena_done(&imp->arena);
    free(imp);
}
