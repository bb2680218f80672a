/* SPDX-License-Identifier: MIT */
/*
 * objects.c - records, names and pieces; see objects.h
 */
#include "store/objects_impl.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/random.h"

#define FORM "tgdata state 1\n"
enum { PIECES_MAX = 1024, ENDS_MAX = 256 << 20, SWAP_TRIES = 5 };

/* ---- names ---- */

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

static size_t put_part(char *out, size_t size, const char *text)
{
    size_t n = 0;

    if (!*text)
        n += (size_t)snprintf(out, size, "~0");
    for (; *text; text++)
        n += (size_t)snprintf(out + n, size - n, strchr(plain, *text) ? "%c" : "~%02X",
                              (unsigned char)*text);
    return n;
}

void tg_object_name(struct object_name *out, const char *what, const char *kind, const char *key)
{
    size_t n = (size_t)snprintf(out->at, sizeof out->at, "%s/", what);

    n += put_part(out->at + n, sizeof out->at - n, kind);
    if (key) {
        out->at[n++] = '/';
        n += put_part(out->at + n, sizeof out->at - n, key);
    }
    assert(n < sizeof out->at);
}

void tg_object_prefix(struct object_name *out, const char *what, const char *kind, const char *key)
{
    size_t n;

    tg_object_name(out, what, kind, key);
    n = strlen(out->at);
    assert(n + 1 < sizeof out->at);
    memcpy(out->at + n, "/", 2);
}

void tg_object_digits(char out[21], uint64_t number)
{
    snprintf(out, 21, "%020" PRIu64, number);
}

void tg_object_name_n(struct object_name *out, const char *what, const char *kind,
                      const char *key, uint64_t number)
{
    char digits[21];
    size_t n;

    tg_object_name(out, what, kind, key);
    tg_object_digits(digits, number);
    n = strlen(out->at);
    n += (size_t)snprintf(out->at + n, sizeof out->at - n, "/%s", digits);
    assert(n < sizeof out->at);
}

bool tg_object_number(const char *text, char end, uint64_t *ret)
{
    uint64_t v = 0;

    if (strspn(text, "0123456789") != 20 || text[20] != end)
        return false;
    for (int i = 0; i < 20; i++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    *ret = v;
    return true;
}

bool tg_object_key(const char *part, char *out, size_t size)
{
    size_t n = 0;

    if (strcmp(part, "~0") == 0)
        part += 2;
    for (; *part && n + 1 < size; part++) {
        uint8_t byte = (uint8_t)*part;

        if (*part == '~' && !(part[1] && part[2] && tg_unhex(&byte, 1, part + 1, 2)))
            return false;
        part += *part == '~' ? 2 : 0;
        out[n++] = (char)byte;
    }
    out[n] = 0;
    return !*part;
}

/* ---- failures ---- */

tg_code tg_objects_told(const struct tg_objects *s, tg_code code, struct tg_error *err)
{
    (void)s;
    if (code != TG_NET && code != TG_TIMEOUT && code != TG_SERVER && code != TG_PROTOCOL)
        return code;
    err->code = TG_STATE;
    if (!err->hint[0])
        tg_hint(err, "what was written is kept; start it again when the server can be reached");
    return TG_STATE;
}

static tg_code corrupt(const struct tg_objects *s, const char *name, struct tg_error *err)
{
    tg_fail(err, TG_CORRUPT, "%.80s: '%.200s' cannot be read", s->where, name);
    return tg_hint(err, "if another program writes there, name another place for the state");
}

tg_code tg_objects_may_change(const struct tg_objects *s, const char *kind, const char *key,
                              struct tg_error *err)
{
    tg_code code = tg_store_check_name(kind, key, err);

    if (code == TG_OK && s->look)
        code = tg_fail(err, TG_UNUSABLE, "the state was opened for reading");
    return code;
}

/* ---- objects ---- */

void tg_object_init(struct object *o)
{
    *o = (struct object){ .number = 0 };
    tg_buf_init(&o->text, OBJECT_MAX);
}

void tg_object_done(struct object *o)
{
    tg_buf_done(&o->text);
}

static void write_head(struct object *o, struct tg_buf *out)
{
    tg_buf_printf(out, "tg1 %" PRIu64 " %" PRIu64 " %" PRId64 " %016" PRIx64 " %" PRIu64 "\n",
                  o->number, o->fence, o->at_us, o->mark, o->pieces);
}

/* Only the exact spelling counts. */
static bool read_head(struct object *o)
{
    char line[OBJECT_HEAD_MAX];
    const char *end = o->text.len ? memchr(o->text.data, '\n', o->text.len) : NULL;
    struct tg_buf again;
    bool good;

    o->head = end ? (size_t)(end + 1 - (const char *)o->text.data) : sizeof line;
    if (o->head >= sizeof line)
        return false;
    memcpy(line, o->text.data, o->head);
    line[o->head] = 0;
    if (sscanf(line, "tg1 %20" SCNu64 " %20" SCNu64 " %20" SCNd64 " %16" SCNx64 " %20" SCNu64,
               &o->number, &o->fence, &o->at_us, &o->mark, &o->pieces) != 5)
        return false;
    tg_buf_init(&again, sizeof line);
    write_head(o, &again);
    good = again.len == o->head && memcmp(again.data, line, again.len) == 0 &&
           o->pieces <= PIECES_MAX;
    tg_buf_done(&again);
    return good;
}

tg_code tg_object_get(struct tg_objects *s, struct object *o, struct tg_error *err)
{
    tg_code code = s->ops->get(s, o->name.at, &o->text, &o->tag, err);

    o->head = 0;
    o->number = o->fence = o->mark = o->pieces = 0;
    o->at_us = 0;
    if (code == TG_END) {
        tg_buf_clear(&o->text);
        o->tag.at[0] = 0;
        return TG_OK;
    }
    if (code == TG_LIMIT || (code == TG_OK && !read_head(o)))
        return corrupt(s, o->name.at, err);
    return tg_objects_told(s, code, err);
}

/* ---- pieces ---- */

static void piece_name(struct object_name *out, const struct object *o, const char *more)
{
    const char *last = strrchr(o->name.at, '/');
    bool numbered = strncmp(o->name.at, "doc/", 4) != 0; /* else the number is only in the head */
    const char *what = strncmp(o->name.at, "log/", 4) == 0 ? "" : "doc/";
    const char *from = *what ? strchr(o->name.at, '/') + 1 : o->name.at;
    int len = (int)((numbered ? last : from + strlen(from)) - from);
    char digits[21];
    int n;

    tg_object_digits(digits, o->number);
    n = snprintf(out->at, sizeof out->at, "bit/%s%.*s/%s%s", what, len, from, digits, more);
    assert(n > 0 && (size_t)n < sizeof out->at);
    (void)n;
}

static void piece_i(struct object_name *out, const struct object *o, uint64_t i)
{
    char more[48];

    snprintf(more, sizeof more, "-%016" PRIx64 ".%06" PRIu64, o->mark, i);
    piece_name(out, o, more);
}

tg_code tg_object_join(struct tg_objects *s, struct object *o, struct tg_error *err)
{
    TG_CLEANUP(tg_buf_done) struct tg_buf piece;
    struct tg_object_tag tag;
    struct object_name name;
    tg_code code = TG_OK;

    tg_buf_init(&piece, OBJECT_MAX);
    for (uint64_t i = 0; i < o->pieces && code == TG_OK; i++) {
        piece_i(&name, o, i);
        code = s->ops->get(s, name.at, &piece, &tag, err);
        if (code == TG_OK)
            tg_buf_add(&o->text, piece.data, piece.len);
    }
    if (code == TG_OK && o->text.failed)
        return corrupt(s, o->name.at, err);
    return tg_objects_told(s, code, err);
}

tg_code tg_object_fill(struct tg_objects *s, struct object *o, const void *bytes, size_t len,
                       struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    size_t piece = s->ops->object_max, room = piece - OBJECT_HEAD_MAX;
    struct object_name name;
    tg_code code = TG_OK;

    o->mark = tg_random_u64(&random);
    o->pieces = len <= room ? 0 : (len + piece - 1) / piece;
    for (uint64_t i = 0; i < o->pieces && code == TG_OK; i++) {
        piece_i(&name, o, i);
        code = s->ops->put(s, name.at, NULL, (const char *)bytes + i * piece,
                           TG_MIN(piece, len - i * piece), err);
    }
    if (code != TG_OK)
        return tg_objects_told(s, code, err);
    tg_buf_clear(&o->text);
    write_head(o, &o->text);
    o->head = o->text.len;
    if (!o->pieces)
        tg_buf_add(&o->text, bytes, len);
    return o->text.failed ? tg_fail(err, TG_NOMEM, "state of %zu bytes", len) : TG_OK;
}

static bool same_object(const struct object *a, const struct object *b)
{
    return *b->tag.at && a->text.len == b->text.len &&
           memcmp(a->text.data, b->text.data, a->text.len) == 0;
}

tg_code tg_object_put(struct tg_objects *s, const struct object *o,
                      const struct tg_object_tag *seen, struct tg_error *err)
{
    struct object now;
    tg_code code = TG_CONFLICT;

    tg_object_init(&now);
    now.name = o->name;
    for (int i = 0; i < SWAP_TRIES && code == TG_CONFLICT; i++) {
        struct tg_error ignored;

        code = tg_objects_told(
            s, s->ops->put(s, o->name.at, seen, o->text.data, o->text.len, err), err);
        if (code == TG_OK || !seen || (code != TG_CONFLICT && code != TG_STATE) ||
            tg_object_get(s, &now, &ignored) != TG_OK)
            break;
        if (same_object(o, &now))
            code = TG_OK;
        else if (strcmp(now.tag.at, seen->at) != 0)
            break; /* another was first */
    }
    tg_object_done(&now);
    return code;
}

/* ---- lists ---- */

struct gathered {
    struct object_ends *to;
    bool failed;
};

static bool gather(void *ctx, const char *last)
{
    struct gathered *g = ctx;

    tg_buf_add(&g->to->text, last, strlen(last) + 1);
    g->to->n++;
    return !g->to->text.failed;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void sort(struct object_ends *e)
{
    if (e->n)
        qsort(e->at, e->n, sizeof *e->at, by_bytes);
}

void tg_object_ends_to_keys(struct object_ends *e)
{
    size_t n = 0;

    for (size_t i = 0; i < e->n; i++) {
        char *text = (char *)e->text.data + (e->at[i] - (const char *)e->text.data);

        if (tg_object_key(text, text, strlen(text) + 1))
            e->at[n++] = text;
    }
    e->n = n;
    sort(e);
}

tg_code tg_object_ends(struct tg_objects *s, const char *prefix, struct object_ends *ret,
                       struct tg_error *err)
{
    struct gathered g = { .to = ret };
    const char *at;
    tg_code code;

    *ret = (struct object_ends){ .n = 0 };
    tg_buf_init(&ret->text, ENDS_MAX);
    code = tg_objects_told(s, s->ops->list(s, prefix, gather, &g, err), err);
    if (code != TG_OK)
        return code;
    if (ret->n)
        ret->at = calloc(ret->n, sizeof *ret->at);
    if (ret->text.failed || (ret->n && !ret->at))
        return tg_fail(err, TG_NOMEM, "a list of state");
    at = (const char *)ret->text.data;
    for (size_t i = 0; i < ret->n; i++, at += strlen(at) + 1)
        ret->at[i] = at;
    sort(ret);
    return TG_OK;
}

void tg_object_ends_done(struct object_ends *e)
{
    tg_buf_done(&e->text);
    free(e->at);
    e->at = NULL;
    e->n = 0;
}

/* All whose names begin so. */
static tg_code drop_all(struct tg_objects *s, const char *prefix, struct tg_error *err)
{
    TG_CLEANUP(tg_object_ends_done) struct object_ends ends;
    int parent = (int)(strrchr(prefix, '/') + 1 - prefix);
    tg_code code = tg_object_ends(s, prefix, &ends, err);

    for (size_t i = 0; i < ends.n && code == TG_OK; i++) {
        struct object_name name;

        snprintf(name.at, sizeof name.at, "%.*s%s", parent, prefix, ends.at[i]);
        code = s->ops->drop(s, name.at, err);
    }
    return tg_objects_told(s, code, err);
}

tg_code tg_object_drop(struct tg_objects *s, const struct object *o, struct tg_error *err)
{
    struct object_name name;
    tg_code code = TG_OK;

    if (s->ops->object_max < OBJECT_MAX) {
        piece_name(&name, o, "-");
        code = drop_all(s, name.at, err);
    }
    return code == TG_OK ? tg_objects_told(s, s->ops->drop(s, o->name.at, err), err) : code;
}

/* ---- opening ---- */

tg_code tg_objects_open(struct tg_objects *s, enum tg_store_use use, struct tg_error *err)
{
    static const struct tg_object_tag none = { "" };
    TG_CLEANUP(tg_buf_done) struct tg_buf text;
    struct tg_object_tag tag;
    tg_code code;

    s->look = use == TG_STORE_LOOK;
    tg_buf_init(&text, 4096);
    code = s->ops->get(s, "version/form", &text, &tag, err);
    if (code == TG_END && use == TG_STORE_CREATE) {
        code = s->ops->put(s, "version/form", &none, FORM, strlen(FORM), err);
        if (code == TG_OK || code == TG_CONFLICT)
            code = s->ops->get(s, "version/form", &text, &tag, err);
    }
    if (code == TG_END) {
        tg_fail(err, TG_NOT_FOUND, "%.200s holds no state", s->where);
        return tg_hint(err, "name the place that the job ran with");
    }
    if (code == TG_LIMIT)
        return corrupt(s, "version/form", err);
    if (code != TG_OK)
        return tg_objects_told(s, code, err);
    if (text.len == strlen(FORM) && memcmp(text.data, FORM, text.len) == 0)
        return TG_OK;
    tg_fail(err, TG_UNUSABLE, "%.160s holds state of another version: '%.30s'", s->where,
            tg_buf_cstr(&text));
    return tg_hint(err, "use the program version that wrote it, or a newer one");
}
