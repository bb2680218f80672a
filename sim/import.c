/* SPDX-License-Identifier: MIT */
/*
 * import.c - makes a world of a Telegram Desktop export; see import.h
 *
 * export/export.h walks the file, which is held whole: where its messages stand is noted here.
 *
 * Threads: none      Limits: import.h
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "os/fs.h"
#include "sim/import_int.h"

enum { FILE_MAX = 512 << 20, CHATS_MAX = 100000, NAMES_MAX = 64 << 20 };

/** Messages of a chat while its object is being read. */
struct draft {
    struct sim_import_chat now, old;
};

struct loader {
    struct sim_world *w;
    struct sim_import *imp;
    struct tg_export export;
    const char *name; /* of the file */
    size_t read;      /* bytes of the text that the walk was given */
    struct draft alone, listed; /* the chat that the file is; one of a list */
    struct tg_error *err;
};

static struct draft *draft_of(struct loader *l)
{
    return l->export.chat->alone ? &l->alone : &l->listed;
}

/* ---- failing ---- */

static tg_code fail_at(struct loader *l, size_t at, const char *what)
{
    size_t line = 1;

    for (size_t i = 0; i < at && i < l->imp->text.len; i++)
        line += l->imp->text.data[i] == '\n';
    tg_fail(l->err, TG_DATA, "%s: line %zu: %s", l->name, line, what);
    return tg_hint(l->err, "give the result.json that Telegram Desktop's export wrote");
}

/* At the end of what was walked so far. */
static tg_code fail_here(struct loader *l, const char *what)
{
    return fail_at(l, (size_t)l->export.passed + l->export.at, what);
}

static tg_code no_memory(struct loader *l)
{
    return tg_fail(l->err, TG_NOMEM, "%s: out of memory", l->name);
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

static tg_code note_message(struct loader *l)
{
    struct draft *d = draft_of(l);
    struct sim_import_item item = { .at = l->export.message_at,
                                    .len = (uint32_t)l->export.message_len };
    struct naming naming = { .imp = l->imp };
    const char *wrong;
    json_t *m;
    tg_code code = tg_export_parse(&l->export, &m, l->err);

    if (code != TG_OK)
        return code;
    wrong = tg_export_identity(m, &item.id, &item.date);
    if (!wrong)
        sim_import_people(m, note_name, &naming);
    json_decref(m);
    if (wrong)
        return tg_export_fail(&l->export, wrong, l->err);
    if (naming.failed)
        return no_memory(l);
    if (item.id < 0) {
        item.id += TG_EXPORT_SHIFT;
        return add_item(&d->old, &item) ? TG_OK : no_memory(l);
    }
    return add_item(&d->now, &item) ? TG_OK : no_memory(l);
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

static tg_code find_kind(struct loader *l, enum sim_chat_kind *ret)
{
    static const enum sim_chat_kind kinds[] = {
        [TG_EXPORT_PRIVATE] = SIM_PRIVATE,
        [TG_EXPORT_GROUP] = SIM_BASIC_GROUP,
        [TG_EXPORT_SUPERGROUP] = SIM_SUPERGROUP,
        [TG_EXPORT_CHANNEL] = SIM_CHANNEL,
    };
    const struct tg_export_chat *chat = l->export.chat;

    if (chat->kind == TG_EXPORT_UNKNOWN)
        return fail_here(l, chat->has_type ? "a chat of unknown type" : "a chat without type");
    *ret = kinds[chat->kind];
    return TG_OK;
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
    uint64_t mixed = sim_hash(UINT64_C(0x01d), (uint64_t)l->export.chat->id);
    int64_t id = (int64_t)(mixed % 900000000000) + 1000000;
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

static tg_code add_chat(struct loader *l)
{
    const struct tg_export_chat *chat = l->export.chat;
    struct draft *d = draft_of(l);
    enum sim_chat_kind kind = SIM_SUPERGROUP;
    struct sim_chat_in *c;
    tg_code code = find_kind(l, &kind);
    bool channel = kind == SIM_CHANNEL, has_old = d->old.n > 0;
    const char *title = chat->title ? chat->title : kind == SIM_PRIVATE ? "" : "Untitled";

    if (code != TG_OK)
        return code;
    if (!tg_export_marked(chat->kind, chat->id))
        return fail_here(l, "a chat without a valid id");
    if (l->w->n_chats >= CHATS_MAX)
        return tg_fail(l->err, TG_LIMIT, "%s: more than %d chats", l->name, CHATS_MAX);
    if (has_old && kind != SIM_SUPERGROUP)
        return fail_here(l, "messages from before a migration, but no supergroup");
    if ((code = sort_items(l, &d->now)) != TG_OK || (code = sort_items(l, &d->old)) != TG_OK)
        return code;
    if (chat->left && (kind == SIM_CHANNEL || kind == SIM_SUPERGROUP))
        kind = SIM_LEFT_CHANNEL;
    d->now.channel = channel;
    c = append_chat(l, &d->now);
    if (!c)
        return no_memory(l);
    set_kind(l->w, c, kind, chat->id);
    c->pub.title = tg_arena_copy(&l->imp->arena, title, strlen(title));
    if (!c->pub.title || !sim_import_name_add(l->imp, c->pub.marked_id, title))
        return no_memory(l);
    return has_old ? add_old_group(l, d, c->pub.index) : TG_OK;
}

static void draft_done(struct draft *d)
{
    free(d->now.item);
    free(d->old.item);
    *d = (struct draft){ 0 };
}

/* ---- the file ---- */

static tg_code note_owner(struct loader *l)
{
    const char *name = l->export.owner_name;

    if (l->export.owner_id &&
        !sim_import_name_add(l->imp, l->export.owner_id, name && *name ? name : "Me"))
        return no_memory(l);
    return TG_OK;
}

static tg_code walk(struct loader *l)
{
    enum tg_export_event event = TG_EXPORT_OWNER;
    tg_code code = TG_OK;

    while (code == TG_OK && event != TG_EXPORT_END) {
        code = tg_export_next(&l->export, &event, l->err);
        if (code != TG_OK)
            break;
        if (event == TG_EXPORT_OWNER)
            code = note_owner(l);
        else if (event == TG_EXPORT_CHAT)
            draft_done(&l->listed);
        else if (event == TG_EXPORT_MESSAGE)
            code = note_message(l);
        else if (event == TG_EXPORT_CHAT_END)
            code = add_chat(l);
    }
    return code;
}

/* Pointers are set last: the lists moved while they grew. */
static tg_code finish(struct loader *l)
{
    struct sim_world *w = l->w;

    if (w->n_chats == 0)
        return fail_here(l, "neither \"messages\" nor \"chats\" with a list: no export");
    for (size_t i = 0; i < w->n_chats; i++)
        w->chat[i].import = &l->imp->chat[i];
    if (l->export.owner_id)
        w->account[0].user_id = l->export.owner_id;
    return TG_OK;
}

static tg_code read_text(void *ctx, void *bytes, size_t n, size_t *ret_n, struct tg_error *err)
{
    struct loader *l = ctx;

    (void)err;
    *ret_n = TG_MIN(n, l->imp->text.len - l->read);
    if (*ret_n)
        memcpy(bytes, l->imp->text.data + l->read, *ret_n);
    l->read += *ret_n;
    return TG_OK;
}

static tg_code load(struct loader *l)
{
    const struct tg_export_input input = { read_text, l };
    tg_code code;

    tg_export_init(&l->export, l->name, &input);
    code = walk(l);
    if (code == TG_OK)
        code = finish(l);
    tg_export_done(&l->export);
    draft_done(&l->alone);
    draft_done(&l->listed);
    return code;
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
