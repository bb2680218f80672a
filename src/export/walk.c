/* SPDX-License-Identifier: MIT */
/*
 * walk.c - the outer structure of an export, and where its values end; see export.h
 *
 *   window   [ passed ... | at ->  what was read ahead ]   shifted when more is read
 *
 * The end of a value is where its brackets are balanced; whether it is valid is jansson's to say.
 *
 * Threads: one at a time
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "export/export.h"
#include "export/members.h"

enum { BLOCK = 256 * 1024, KEY_MAX = 32 };

void tg_export_init(struct tg_export *e, const char *name, const struct tg_export_input *input)
{
    *e = (struct tg_export){ .name = name, .input = *input };
    e->alone.alone = true;
    e->chat = &e->alone;
    tg_buf_init(&e->window, TG_EXPORT_VALUE_MAX + 2 * BLOCK);
}

static void chat_done(struct tg_export_chat *c)
{
    free(c->title);
    *c = (struct tg_export_chat){ .alone = c->alone };
}

void tg_export_done(struct tg_export *e)
{
    chat_done(&e->alone);
    chat_done(&e->listed);
    free(e->owner_name);
    tg_buf_done(&e->window);
    *e = (struct tg_export){ 0 };
}

/* ---- failing ---- */

static uint64_t count_lines(const uint8_t *at, size_t n)
{
    const uint8_t *end = at + n;
    uint64_t lines = 0;

    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        lines++;
        at++;
    }
    return lines;
}

/* `at` is a place in the window. */
static tg_code fail_at(const struct tg_export *e, size_t at, const char *what, struct tg_error *err)
{
    uint64_t line = 1 + e->lines;

    if (e->window.len)
        line += count_lines(e->window.data, TG_MIN(at, e->window.len));
    tg_fail(err, TG_DATA, "%.150s: line %llu: %s", e->name, (unsigned long long)line, what);
    return tg_hint(err, "give the result.json that Telegram Desktop's export wrote");
}

tg_code tg_export_fail(const struct tg_export *e, const char *what, struct tg_error *err)
{
    return fail_at(e, e->message, what, err);
}

static tg_code no_memory(const struct tg_export *e, struct tg_error *err)
{
    return tg_fail(err, TG_NOMEM, "%.150s: out of memory", e->name);
}

/* ---- bytes ---- */

/* Drops what is behind, and reads on. What stands before `at` is gone then. */
static tg_code fill(struct tg_export *e, struct tg_error *err)
{
    uint8_t *room;
    size_t n = 0;
    tg_code code;

    if (e->at) {
        e->passed += e->at;
        e->lines += count_lines(e->window.data, e->at);
        tg_buf_shift(&e->window, e->at);
        e->at = 0;
    }
    if (e->input_ended)
        return TG_OK;
    room = tg_buf_extend(&e->window, BLOCK);
    if (!room)
        return no_memory(e, err);
    e->window.len -= BLOCK;
    code = e->input.read(e->input.ctx, room, BLOCK, &n, err);
    if (code != TG_OK)
        return code;
    assert(n <= BLOCK);
    e->window.len += n;
    e->input_ended = n == 0;
    return TG_OK;
}

/* Passes white space. ret: the character that stands there, left in place; -1 at the end. */
static tg_code peek(struct tg_export *e, int *ret, struct tg_error *err)
{
    for (;;) {
        while (e->at < e->window.len && memchr(" \t\r\n", e->window.data[e->at], 4))
            e->at++;
        if (e->at < e->window.len || e->input_ended)
            break;
        tg_code code = fill(e, err);

        if (code != TG_OK)
            return code;
    }
    *ret = e->at < e->window.len ? e->window.data[e->at] : -1;
    return TG_OK;
}

static tg_code expect(struct tg_export *e, char c, struct tg_error *err)
{
    char what[32];
    int there;
    tg_code code = peek(e, &there, err);

    if (code != TG_OK)
        return code;
    if (there == c) {
        e->at++;
        return TG_OK;
    }
    snprintf(what, sizeof what, "expected '%c'", c);
    return fail_at(e, e->at, what, err);
}

/* ---- values ---- */

/* How far into a value the search for its end is. */
struct scan {
    size_t depth, deepest;
    bool text, escaped; /* inside quotes; behind a backslash there */
    bool begun, ended;
};

/* Looks at n bytes. @return how many of them belong to the value */
static size_t scan_bytes(struct scan *s, const uint8_t *at, size_t n)
{
    size_t i = 0;

    for (; i < n && !s->ended; i++) {
        uint8_t c = at[i];

        if (s->text) {
            if (s->escaped)
                s->escaped = false;
            else if (c == '\\')
                s->escaped = true;
            else if (c == '"')
                s->ended = !(s->text = false) && s->depth == 0;
        } else if (c == '"') {
            if (s->begun && s->depth == 0)
                break;
            s->text = true;
        } else if (c == '{' || c == '[') {
            if (s->begun && s->depth == 0)
                break;
            s->depth++;
            s->deepest = TG_MAX(s->deepest, s->depth);
        } else if (c == '}' || c == ']') {
            if (s->begun && s->depth == 0)
                break;
            s->depth -= s->depth > 0;
            s->ended = s->depth == 0;
        } else if (s->depth == 0 && s->begun && memchr(", \t\r\n", c, 5)) {
            break;
        }
        s->begun = true;
    }
    s->ended |= i < n;
    return i;
}

/*
 * Finds the end of the value that begins next. `keep`: all of it stays in the window, from e->at
 * on; else it is passed over. A value that the file ends in is as long as there is.
 */
static tg_code find_end(struct tg_export *e, bool keep, size_t *ret_len, struct tg_error *err)
{
    struct scan scan = { 0 };
    size_t len = 0;
    int c;
    tg_code code = peek(e, &c, err);

    while (code == TG_OK) {
        len += scan_bytes(&scan, e->window.data + e->at + len, e->window.len - e->at - len);
        if (scan.ended || e->input_ended)
            break;
        if (!keep) {
            e->at += len;
            len = 0;
        } else if (len > TG_EXPORT_VALUE_MAX) {
            break;
        }
        code = fill(e, err);
    }
    if (code != TG_OK)
        return code;
    if (keep && len > TG_EXPORT_VALUE_MAX)
        return fail_at(e, e->at, "a message of more than 1 MiB", err);
    if (keep && scan.deepest > TG_EXPORT_DEPTH_MAX) /* rows are to be read again */
        return fail_at(e, e->at, "a message that is nested too deep", err);
    if (!keep && !scan.ended)
        return fail_at(e, e->window.len, "the file ends inside a value", err);
    *ret_len = len;
    return TG_OK;
}

static tg_code parse(const struct tg_export *e, size_t at, size_t len, json_t **ret,
                     struct tg_error *err)
{
    json_error_t error;
    char what[200];

    *ret = json_loadb((const char *)e->window.data + at, len,
                      JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (*ret)
        return TG_OK;
    if (json_error_code(&error) == json_error_out_of_memory)
        return no_memory(e, err);
    snprintf(what, sizeof what, "no valid JSON: %.160s", error.text);
    for (char *c = what; *c; c++)
        if ((uint8_t)*c < ' ') /* it quotes what it found */
            *c = ' ';
    return fail_at(e, at + TG_MIN((size_t)TG_MAX(error.position, 0), len), what, err);
}

static tg_code read_value(struct tg_export *e, json_t **ret, struct tg_error *err)
{
    size_t len;
    tg_code code = find_end(e, true, &len, err);

    if (code == TG_OK)
        code = parse(e, e->at, len, ret, err);
    if (code == TG_OK)
        e->at += len;
    return code;
}

static tg_code skip_value(struct tg_export *e, struct tg_error *err)
{
    size_t len;
    tg_code code = find_end(e, false, &len, err);

    if (code == TG_OK)
        e->at += len;
    return code;
}

/* Steps to the next member of an object or item of an array: TG_OK, or TG_END behind the last. */
static tg_code next(struct tg_export *e, char close, struct tg_error *err)
{
    bool *first = &e->first[e->place];
    int c;
    tg_code code = peek(e, &c, err);

    if (code != TG_OK)
        return code;
    if (c == close) {
        e->at++;
        return TG_END;
    }
    if (!*first)
        return expect(e, ',', err);
    *first = false;
    return TG_OK;
}

/* As next, and reads `"key":`. A key that is longer than the room is none that we know. */
static tg_code next_key(struct tg_export *e, char key[KEY_MAX], struct tg_error *err)
{
    json_t *v = NULL;
    tg_code code = next(e, '}', err);
    int c;

    if (code == TG_OK)
        code = peek(e, &c, err);
    if (code == TG_OK)
        code = c == '"' ? read_value(e, &v, err) : fail_at(e, e->at, "expected a key", err);
    if (code != TG_OK)
        return code;
    snprintf(key, KEY_MAX, "%s", json_string_length(v) < KEY_MAX ? json_string_value(v) : "");
    json_decref(v);
    return expect(e, ':', err);
}

static tg_code enter(struct tg_export *e, enum tg_export_place place, char bracket,
                     struct tg_error *err)
{
    tg_code code = expect(e, bracket, err);

    e->place = place;
    e->first[place] = true;
    return code;
}

/* ---- places ---- */

static tg_code read_owner(struct tg_export *e, struct tg_error *err)
{
    const char *name;
    json_t *v;
    tg_code code = read_value(e, &v, err);

    if (code != TG_OK)
        return code;
    e->owner_id = tg_export_num(v, "user_id", 0);
    if (e->owner_id < 0 || e->owner_id >= TG_EXPORT_CHANNELS)
        e->owner_id = 0;
    name = tg_export_str(v, "first_name");
    if (name) {
        free(e->owner_name);
        e->owner_name = strdup(name);
        if (!e->owner_name)
            code = no_memory(e, err);
    }
    json_decref(v);
    return code;
}

/* A member of a chat's object that is not its list of messages. */
static tg_code read_chat_member(struct tg_export *e, const char *key, struct tg_error *err)
{
    struct tg_export_chat *c = e->chat;
    bool name = strcmp(key, "name") == 0, type = strcmp(key, "type") == 0;
    json_t *v;
    tg_code code;

    if (!name && !type && strcmp(key, "id") != 0)
        return skip_value(e, err);
    code = read_value(e, &v, err);
    if (code != TG_OK)
        return code;
    if (name && json_is_string(v)) {
        free(c->title);
        c->title = strdup(json_string_value(v));
        if (!c->title)
            code = no_memory(e, err);
    } else if (type && json_is_string(v)) {
        c->has_type = true;
        c->kind = tg_export_kind_of(json_string_value(v));
    } else if (!name && !type && json_is_integer(v)) {
        c->id = json_integer_value(v);
        if (c->id < -TG_EXPORT_CHANNELS) /* some versions write the marked id */
            c->id = -TG_EXPORT_CHANNELS - c->id;
    }
    json_decref(v);
    return code;
}

static tg_code enter_messages(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err)
{
    tg_code code = enter(e, TG_EXPORT_IN_MESSAGES, '[', err);

    if (code == TG_OK && e->chat->has_messages)
        return fail_at(e, e->at, "two lists of messages in one chat", err);
    e->chat->has_messages = true;
    e->message = e->at;
    *ret = TG_EXPORT_MESSAGES;
    return code;
}

/* The file's own members. @return TG_AGAIN if that was no event */
static tg_code step_file(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err)
{
    char key[KEY_MAX];
    int c;
    tg_code code = next_key(e, key, err);

    if (code == TG_END) {
        code = peek(e, &c, err);
        if (code == TG_OK && c >= 0)
            return fail_at(e, e->at, "more text behind the end", err);
        e->ended = true;
        *ret = e->alone.has_messages ? TG_EXPORT_CHAT_END : TG_EXPORT_END;
        return code;
    }
    if (code != TG_OK)
        return code;
    if (strcmp(key, "chats") == 0 || strcmp(key, "left_chats") == 0) {
        e->left = key[0] == 'l';
        code = enter(e, TG_EXPORT_IN_CHATS, '{', err);
    } else if (strcmp(key, "personal_information") == 0) {
        *ret = TG_EXPORT_OWNER;
        return read_owner(e, err);
    } else if (strcmp(key, "messages") == 0) {
        return enter_messages(e, ret, err);
    } else {
        code = read_chat_member(e, key, err);
    }
    return code == TG_OK ? TG_AGAIN : code;
}

/* "chats" and "left_chats": { "about": ..., "list": [ chat, ... ] } */
static tg_code step_chats(struct tg_export *e, struct tg_error *err)
{
    char key[KEY_MAX];
    tg_code code = next_key(e, key, err);

    if (code == TG_END)
        e->place = TG_EXPORT_IN_FILE;
    else if (code == TG_OK && strcmp(key, "list") == 0)
        code = enter(e, TG_EXPORT_IN_LIST, '[', err);
    else if (code == TG_OK)
        code = skip_value(e, err);
    return code == TG_OK || code == TG_END ? TG_AGAIN : code;
}

static tg_code step_list(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err)
{
    tg_code code = next(e, ']', err);

    if (code == TG_END) {
        e->place = TG_EXPORT_IN_CHATS;
        return TG_AGAIN;
    }
    if (code == TG_OK)
        code = enter(e, TG_EXPORT_IN_CHAT, '{', err);
    chat_done(&e->listed);
    e->chat = &e->listed;
    e->chat->left = e->left;
    *ret = TG_EXPORT_CHAT;
    return code;
}

static tg_code step_chat(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err)
{
    char key[KEY_MAX];
    tg_code code = next_key(e, key, err);

    if (code == TG_END) {
        e->place = TG_EXPORT_IN_LIST;
        *ret = TG_EXPORT_CHAT_END;
        return TG_OK;
    }
    if (code == TG_OK && strcmp(key, "messages") == 0)
        return enter_messages(e, ret, err);
    if (code == TG_OK)
        code = read_chat_member(e, key, err);
    return code == TG_OK ? TG_AGAIN : code;
}

static tg_code step_messages(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err)
{
    tg_code code = next(e, ']', err);

    if (code == TG_END) {
        e->place = e->chat->alone ? TG_EXPORT_IN_FILE : TG_EXPORT_IN_CHAT;
        return TG_AGAIN;
    }
    if (code == TG_OK)
        code = find_end(e, true, &e->message_len, err);
    if (code != TG_OK)
        return code;
    e->message = e->at;
    e->message_at = e->passed + e->at;
    e->at += e->message_len;
    *ret = TG_EXPORT_MESSAGE;
    return TG_OK;
}

/* Nothing of the file was read so far. */
static tg_code begin(struct tg_export *e, struct tg_error *err)
{
    tg_code code = TG_OK;

    e->begun = true;
    while (code == TG_OK && !e->input_ended && e->window.len < 3)
        code = fill(e, err);
    if (code == TG_OK && e->window.len >= 3 && memcmp(e->window.data, "\xef\xbb\xbf", 3) == 0)
        e->at = 3;
    return code == TG_OK ? enter(e, TG_EXPORT_IN_FILE, '{', err) : code;
}

tg_code tg_export_next(struct tg_export *e, enum tg_export_event *ret, struct tg_error *err)
{
    tg_code code = e->begun ? TG_AGAIN : begin(e, err);

    if (code == TG_OK)
        code = TG_AGAIN;
    if (code == TG_AGAIN && e->ended) {
        *ret = TG_EXPORT_END;
        return TG_OK;
    }
    while (code == TG_AGAIN) {
        switch (e->place) {
        case TG_EXPORT_IN_FILE:
            e->chat = &e->alone;
            code = step_file(e, ret, err);
            break;
        case TG_EXPORT_IN_CHATS:
            code = step_chats(e, err);
            break;
        case TG_EXPORT_IN_LIST:
            code = step_list(e, ret, err);
            break;
        case TG_EXPORT_IN_CHAT:
            code = step_chat(e, ret, err);
            break;
        case TG_EXPORT_IN_MESSAGES:
            code = step_messages(e, ret, err);
            break;
        case TG_EXPORT_PLACES:
            return tg_fail(err, TG_INTERNAL, "an export is read at no place");
        }
    }
    return code;
}

static const char *pass_space(const char *at, const char *end)
{
    while (at < end && memchr(" \t\r\n", *at, 4))
        at++;
    return at;
}

int64_t tg_export_peek(const struct tg_export *e)
{
    const char *at = (const char *)e->window.data + e->message, *end = at + e->message_len;
    int64_t id = 0;

    at = pass_space(at + (at < end && *at == '{'), end);
    if (end - at < 4 || memcmp(at, "\"id\"", 4) != 0)
        return 0;
    at = pass_space(at + 4, end);
    at = pass_space(at + (at < end && *at == ':'), end);
    for (; at < end && *at >= '0' && *at <= '9' && id < INT32_MAX; at++)
        id = id * 10 + (*at - '0');
    return at < end && memchr(", \t\r\n}", *at, 6) ? id : 0;
}

tg_code tg_export_parse(struct tg_export *e, json_t **ret, struct tg_error *err)
{
    tg_code code = parse(e, e->message, e->message_len, ret, err);

    if (code != TG_OK || json_is_object(*ret))
        return code;
    json_decref(*ret);
    *ret = NULL;
    return tg_export_fail(e, "a message is no object", err);
}
