/* SPDX-License-Identifier: MIT */
/*
 * demo_truth.c - see demo.h
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "cli/demo.h"

enum { CHATS_MAX = 10000, PATH_BYTES = 4096, LINE_BYTES = 64 << 20 };
#define FILE_MAX (UINT64_C(1) << 30)

static tg_code no_memory(struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "no memory to compare the files with the world");
}

tg_code demo_read_file(const char *path, struct tg_buf *out, struct tg_error *err)
{
    FILE *f = fopen(path, "rbe");
    size_t n = 1;

    if (!f)
        return tg_fail(err, TG_IO, "could not open '%s': %s", path, strerror(errno));
    while (n && tg_buf_room(out, 64 << 10)) {
        n = fread(out->data + out->len, 1, 64 << 10, f);
        out->len += n;
    }
    n = (size_t)ferror(f);
    fclose(f);
    if (n || out->failed)
        return tg_fail(err, TG_IO, "could not read '%s'", path);
    return TG_OK;
}

/* ---- loading ---- */

static tg_code parse_ids(struct truth_chat *c, const struct tg_buf *text, struct tg_error *err)
{
    size_t lines = 0;
    int64_t v = 0;

    for (size_t i = 0; i < text->len; i++)
        lines += text->data[i] == '\n';
    c->message = calloc(lines + 1, sizeof *c->message);
    c->n_seen = calloc(lines + 1, 1);
    if (!c->message || !c->n_seen)
        return no_memory(err);
    for (size_t i = 0; i < text->len; i++) {
        if (text->data[i] >= '0' && text->data[i] <= '9') {
            v = v * 10 + (text->data[i] - '0');
        } else if (text->data[i] == '\n') {
            c->message[c->n++] = v;
            v = 0;
        }
    }
    return TG_OK;
}

static tg_code add_chat(struct truth *t, const char *dir, int64_t id, struct tg_error *err)
{
    char path[PATH_BYTES];
    struct tg_buf text;
    tg_code code;

    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 16;
        struct truth_chat *more = cap > CHATS_MAX ? NULL : realloc(t->chat, cap * sizeof *more);

        if (!more)
            return no_memory(err);
        t->chat = more;
        t->cap = cap;
    }
    t->chat[t->n] = (struct truth_chat){ .id = id };
    snprintf(path, sizeof path, "%s/ids-%lld.txt", dir, (long long)id);
    tg_buf_init(&text, FILE_MAX);
    code = demo_read_file(path, &text, err);
    if (code == TG_OK)
        code = parse_ids(&t->chat[t->n++], &text, err);
    tg_buf_done(&text);
    if (code == TG_OK)
        t->n_messages += t->chat[t->n - 1].n;
    return code;
}

/* One chat of world.json. A group that became a supergroup is one of its own there, with its own
 * members: somebody who joined later never sees it. */
struct entry {
    int64_t id;
    bool member, kept_out;
};

static void read_entry(struct tg_json_in *in, int64_t user_id, struct entry *e)
{
    struct tg_str key;
    struct tg_buf kind;

    tg_buf_init(&kind, 64);
    for (tg_json_enter(in, '{'); tg_json_next_key(in, &key);) {
        if (tg_str_eq(key, TG_STR("id"))) {
            e->id = tg_json_take_i64(in);
        } else if (tg_str_eq(key, TG_STR("kind"))) {
            tg_json_take_str(in, &kind);
        } else if (tg_str_eq(key, TG_STR("members"))) {
            for (tg_json_enter(in, '['); tg_json_next_item(in);)
                e->member |= tg_json_take_i64(in) == user_id;
        } else {
            tg_json_skip(in);
        }
    }
    e->kept_out = strcmp(tg_buf_cstr(&kind), "left") == 0 ||
                  strcmp(tg_buf_cstr(&kind), "protected") == 0;
    tg_buf_done(&kind);
}

static tg_code take_entry(struct truth *t, const char *dir, const struct entry *e,
                          struct tg_error *err)
{
    return e->member && !e->kept_out ? add_chat(t, dir, e->id, err) : TG_OK;
}

tg_code truth_load(const char *dir, int64_t user_id, struct truth *ret, struct tg_error *err)
{
    char path[PATH_BYTES];
    struct tg_json_in in;
    struct tg_buf text;
    struct tg_str key;
    tg_code code;

    *ret = (struct truth){ 0 };
    snprintf(path, sizeof path, "%s/world.json", dir);
    tg_buf_init(&text, FILE_MAX);
    code = demo_read_file(path, &text, err);
    tg_json_in_init(&in, (const char *)text.data, text.len);
    for (tg_json_enter(&in, '{'); code == TG_OK && tg_json_next_key(&in, &key);) {
        if (!tg_str_eq(key, TG_STR("chats"))) {
            tg_json_skip(&in);
            continue;
        }
        for (tg_json_enter(&in, '['); code == TG_OK && tg_json_next_item(&in);) {
            struct entry e = { 0 };

            read_entry(&in, user_id, &e);
            code = take_entry(ret, dir, &e, err);
        }
    }
    if (code == TG_OK && !tg_json_in_done(&in))
        code = tg_fail(err, TG_DATA, "'%s' is malformed", path);
    tg_buf_done(&text);
    return code;
}

void truth_free(struct truth *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->chat[i].message);
        free(t->chat[i].n_seen);
    }
    free(t->chat);
    *t = (struct truth){ 0 };
}

/* ---- comparing ---- */

static int by_number(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void see(struct truth *t, int64_t chat_id, int64_t id)
{
    for (size_t i = 0; i < t->n; i++) {
        struct truth_chat *c = &t->chat[i];
        const int64_t *at;

        if (c->id != chat_id)
            continue;
        at = bsearch(&id, c->message, c->n, sizeof id, by_number);
        if (at) {
            uint8_t *n = &c->n_seen[at - c->message];

            t->found += *n == 0;
            t->doubled += *n > 0;
            *n = *n < 2 ? (uint8_t)(*n + 1) : *n;
            return;
        }
    }
    t->strange++;
}

static bool read_row(const char *line, size_t len, int64_t *ret_chat, int64_t *ret_id)
{
    struct tg_json_in in;
    struct tg_str key;
    unsigned got = 0;

    tg_json_in_init(&in, line, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("chat_id"))) {
            *ret_chat = tg_json_take_i64(&in);
            got |= 1;
        } else if (tg_str_eq(key, TG_STR("id"))) {
            *ret_id = tg_json_take_i64(&in);
            got |= 2;
        } else {
            tg_json_skip(&in);
        }
    }
    return tg_json_in_done(&in) && got == 3;
}

static tg_code compare_file(struct truth *t, const char *path, struct tg_error *err)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    tg_code code = TG_OK;

    if (!f)
        return tg_fail(err, TG_IO, "could not open '%s': %s", path, strerror(errno));
    while (code == TG_OK && (n = getline(&line, &cap, f)) > 0) {
        int64_t chat_id = 0, id = 0;

        if (n > LINE_BYTES || !read_row(line, (size_t)n, &chat_id, &id))
            code = tg_fail(err, TG_DATA, "'%s' holds a line that is no row", path);
        else
            see(t, chat_id, id);
    }
    if (code == TG_OK && ferror(f))
        code = tg_fail(err, TG_IO, "could not read '%s'", path);
    free(line);
    fclose(f);
    return code;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

static tg_code compare_chat(struct truth *t, const char *dir, struct tg_error *err)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    char path[PATH_BYTES * 2];
    tg_code code = TG_OK;

    if (!d)
        return tg_fail(err, TG_IO, "could not open '%s': %s", dir, strerror(errno));
    while (code == TG_OK && (e = readdir(d))) {
        if (!ends_with(e->d_name, ".ndjson"))
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        code = compare_file(t, path, err);
    }
    closedir(d);
    return code;
}

tg_code truth_compare(struct truth *t, const char *out, struct tg_error *err)
{
    DIR *d = opendir(out);
    struct dirent *e;
    char path[PATH_BYTES];
    tg_code code = TG_OK;

    if (!d)
        return tg_fail(err, TG_IO, "could not open '%s': %s", out, strerror(errno));
    t->found = t->lost = t->doubled = t->strange = 0;
    while (code == TG_OK && (e = readdir(d))) {
        if (strncmp(e->d_name, "chat_", 5) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", out, e->d_name);
        code = compare_chat(t, path, err);
    }
    closedir(d);
    t->lost = t->n_messages - t->found;
    return code;
}
