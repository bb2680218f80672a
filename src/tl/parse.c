/* SPDX-License-Identifier: MIT */
/*
 * parse.c - reads TL text into declarations
 *
 * A declaration is `name#id {X:Type} field:type ... = Result;`. It may span lines; `//` starts a
 * comment, `// LAYER n` gives the layer, `---functions---` and `---types---` switch what follows.
 * The handful of lines that define TL's own types (int, Bool, vector, ...) are known by name and
 * passed over, as are a generator's own helpers: mtcute.*, and invokeWith...Prefix, which shares
 * its id with a function.
 *
 * Threads: none      Limits: 8 MiB of text, 128 bytes a name, see schema.h for counts
 */
#include "tl/parse.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

enum { NAME_MAX_BYTES = 128, ARENA_MAX = 64 << 20 };

struct parser {
    const char *name; /* of the text */
    const char *at, *end;
    uint32_t line;
    bool functions;
    struct tl_decls *out;
    struct tg_error *err;
};

static const char *const builtin[] = { "int",      "int32",        "int53",      "long",
                                       "int64",    "double",       "string",     "bytes",
                                       "int128",   "int256",       "object",     "vector",
                                       "true",     "boolTrue",     "boolFalse",  "null",
                                       "function", "secureString", "secureBytes" };

void tl_decls_done(struct tl_decls *d)
{
    free(d->decl);
    free(d->field);
    tg_arena_done(&d->arena);
    *d = (struct tl_decls){ 0 };
}

bool tl_name_is_bare(const char *name)
{
    const char *dot = strrchr(name, '.');

    return islower((unsigned char)(dot ? dot[1] : name[0])) != 0;
}

static tg_code fail(struct parser *p, const char *what)
{
    return tg_fail(p->err, TG_DATA, "%s:%u: %s", p->name, p->line, what);
}

/* The tail of a `//` comment may give the layer. */
static void read_comment(struct parser *p)
{
    const char *nl = memchr(p->at, '\n', (size_t)(p->end - p->at));
    const char *stop = nl ? nl : p->end, *c = p->at + 2;
    int64_t layer = 0;

    while (c < stop && (*c == ' ' || *c == '/'))
        c++;
    if (stop - c > 6 && memcmp(c, "LAYER ", 6) == 0) {
        for (c += 6; c < stop && isdigit((unsigned char)*c) && layer < 1000000; c++)
            layer = layer * 10 + (*c - '0');
        p->out->layer = (int32_t)layer;
    }
    p->at = stop;
}

static void skip_space(struct parser *p)
{
    while (p->at < p->end) {
        if (*p->at == '\n')
            p->line++;
        if (p->end - p->at >= 2 && p->at[0] == '/' && p->at[1] == '/')
            read_comment(p);
        else if (isspace((unsigned char)*p->at))
            p->at++;
        else
            return;
    }
}

/* @return length of the word at hand: up to a blank or one of `; { } =` */
static size_t word_len(const struct parser *p)
{
    size_t n = 0;

    while (p->at + n < p->end && !isspace((unsigned char)p->at[n]) && !strchr(";{}=", p->at[n]))
        n++;
    return n;
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static bool is_name(const char *s, size_t n)
{
    if (!n || n > NAME_MAX_BYTES || !isalpha((unsigned char)s[0]) || s[n - 1] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        if (!is_name_char(s[i]) || (s[i] == '.' && s[i + 1] == '.'))
            return false;
    }
    return true;
}

static bool is_type(const char *s, size_t n)
{
    bool named = false;

    for (size_t i = 0; i < n; i++) {
        named |= is_name_char(s[i]);
        if (!is_name_char(s[i]) && !strchr("<>%!#", s[i]))
            return false;
    }
    return n <= NAME_MAX_BYTES && (named || (n == 1 && *s == '#'));
}

static tg_code add_field(struct parser *p, struct tl_decl_field field)
{
    struct tl_decls *d = p->out;
    struct tl_decl *decl = &d->decl[d->n - 1];

    if (!field.name || !field.type)
        return tg_fail(p->err, TG_NOMEM, "no memory for schema %s", p->name);
    if (decl->n_fields == TL_FIELD_MAX || d->n_fields == UINT16_MAX)
        return tg_fail(p->err, TG_LIMIT, "%s:%u: too many fields", p->name, p->line);
    if (d->n_fields == d->cap_fields) {
        size_t cap = d->cap_fields ? d->cap_fields * 2 : 4096;
        struct tl_decl_field *grown = reallocarray(d->field, cap, sizeof *grown);

        if (!grown)
            return tg_fail(p->err, TG_NOMEM, "no memory for schema %s", p->name);
        d->field = grown;
        d->cap_fields = cap;
    }
    d->field[d->n_fields++] = field;
    decl->n_fields++;
    return TG_OK;
}

/* name:type or name:word.bit?type, n bytes at the parser */
static tg_code parse_field(struct parser *p, size_t n)
{
    const char *s = p->at, *colon = memchr(s, ':', n), *end = s + n;
    struct tl_decl_field field = { 0 };
    struct tg_arena *a = &p->out->arena;

    if (!colon || !is_name(s, (size_t)(colon - s)))
        return fail(p, "a field must read name:type");
    const char *type = colon + 1, *ask = memchr(type, '?', (size_t)(end - type));
    if (ask) {
        const char *dot = memchr(type, '.', (size_t)(ask - type));

        if (!dot || !is_name(type, (size_t)(dot - type)) || ask - dot < 2 || ask - dot > 3)
            return fail(p, "a condition must read flags.N");
        for (const char *c = dot + 1; c < ask; c++) {
            if (!isdigit((unsigned char)*c))
                return fail(p, "a condition must read flags.N");
            field.bit = field.bit * 10 + (uint32_t)(*c - '0');
        }
        if (field.bit > 31)
            return fail(p, "a flag has bits 0 to 31");
        field.word = tg_arena_copy(a, type, (size_t)(dot - type));
        if (!field.word)
            return tg_fail(p->err, TG_NOMEM, "no memory for schema %s", p->name);
        type = ask + 1;
    }
    if (!is_type(type, (size_t)(end - type)))
        return fail(p, "this is no type");
    field.name = tg_arena_copy(a, s, (size_t)(colon - s));
    field.type = tg_arena_copy(a, type, (size_t)(end - type));
    p->at += n;
    return add_field(p, field);
}

static bool passed_over(const char *s, size_t n)
{
    static const char prefix[] = "invokeWith", suffix[] = "Prefix";

    for (size_t i = 0; i < TG_COUNT(builtin); i++) {
        if (strlen(builtin[i]) == n && memcmp(builtin[i], s, n) == 0)
            return true;
    }
    return (n > 7 && memcmp(s, "mtcute.", 7) == 0) ||
           (n > 16 && memcmp(s, prefix, 10) == 0 && memcmp(s + n - 6, suffix, 6) == 0);
}

static tg_code skip_declaration(struct parser *p)
{
    while (p->at < p->end && *p->at != ';') {
        if (*p->at == '\n')
            p->line++;
        p->at++;
    }
    if (p->at == p->end)
        return fail(p, "a declaration must end with a semicolon");
    p->at++;
    return TG_OK;
}

static bool parse_id(const char *s, size_t n, uint32_t *ret)
{
    uint32_t v = 0;

    if (n < 1 || n > 8)
        return false;
    for (size_t i = 0; i < n; i++) {
        int c = tolower((unsigned char)s[i]);

        if (!isxdigit(c))
            return false;
        v = v << 4 | (uint32_t)(isdigit(c) ? c - '0' : c - 'a' + 10);
    }
    *ret = v;
    return true;
}

static tg_code add_decl(struct parser *p, const char *name, size_t n)
{
    struct tl_decls *d = p->out;

    if (d->n == TL_CTOR_MAX)
        return tg_fail(p->err, TG_LIMIT, "%s: more than %d constructors", p->name, TL_CTOR_MAX);
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 1024;
        struct tl_decl *grown = reallocarray(d->decl, cap, sizeof *grown);

        if (!grown)
            return tg_fail(p->err, TG_NOMEM, "no memory for schema %s", p->name);
        d->decl = grown;
        d->cap = cap;
    }
    d->decl[d->n] = (struct tl_decl){ .name = tg_arena_copy(&d->arena, name, n),
                                      .line = p->line,
                                      .field = (uint32_t)d->n_fields,
                                      .is_function = p->functions };
    if (!d->decl[d->n].name)
        return tg_fail(p->err, TG_NOMEM, "no memory for schema %s", p->name);
    d->n++;
    return TG_OK;
}

static uint32_t crc32_add(uint32_t crc, const char *s)
{
    for (; *s; s++) {
        crc ^= (uint8_t)*s;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (UINT32_C(0xedb88320) & -(crc & 1));
    }
    return crc;
}

static uint32_t crc32_type(uint32_t crc, const char *type)
{
    for (const char *t = strcmp(type, "bytes") ? type : "string"; *t; t++) {
        char c[2] = { *t == '<' ? ' ' : *t, 0 };

        if (*t != '>')
            crc = crc32_add(crc, c);
    }
    return crc;
}

/* The id of a line without one: CRC32 of the line without `true` flags, bytes as string, blanks
 * for angle brackets. */
static uint32_t normal_crc(const struct tl_decls *d, const struct tl_decl *decl)
{
    const struct tl_decl_field *field = decl->n_fields ? d->field + decl->field : NULL;
    uint32_t crc = crc32_add(~UINT32_C(0), decl->name);

    for (uint32_t i = 0; i < decl->n_fields; i++) {
        if (field[i].type[0] == '!')
            crc = crc32_add(crc32_add(crc32_add(crc, " "), field[i].type + 1), ":Type");
    }
    for (uint32_t i = 0; i < decl->n_fields; i++) {
        const struct tl_decl_field *f = &field[i];
        char bit[3] = { (char)('0' + f->bit / 10), (char)('0' + f->bit % 10), 0 };

        if (f->word && strcmp(f->type, "true") == 0)
            continue;
        crc = crc32_add(crc32_add(crc32_add(crc, " "), f->name), ":");
        if (f->word) {
            crc = crc32_add(crc32_add(crc, f->word), ".");
            crc = crc32_add(crc32_add(crc, bit + (f->bit < 10)), "?");
        }
        crc = crc32_type(crc, f->type);
    }
    return ~crc32_type(crc32_add(crc, " = "), decl->result);
}

/* What follows the name: generics, fields, = Result; */
static tg_code parse_rest(struct parser *p)
{
    for (;;) {
        skip_space(p);
        if (p->at == p->end)
            return fail(p, "a declaration must end with a semicolon");
        if (*p->at == '=')
            break;
        if (*p->at == '{') {
            const char *close = memchr(p->at, '}', (size_t)(p->end - p->at));

            if (!close || memchr(p->at, ';', (size_t)(close - p->at)))
                return fail(p, "a brace is not closed");
            p->at = close + 1;
            continue;
        }
        size_t n = word_len(p);
        if (!n)
            return fail(p, "a field was expected");
        tg_code code = parse_field(p, n);
        if (code != TG_OK)
            return code;
    }
    p->at++;
    skip_space(p);
    size_t n = word_len(p);
    if (!n || !is_type(p->at, n))
        return fail(p, "a result type was expected");
    struct tl_decl *decl = &p->out->decl[p->out->n - 1];
    if (!(decl->result = tg_arena_copy(&p->out->arena, p->at, n)))
        return tg_fail(p->err, TG_NOMEM, "no memory for schema %s", p->name);
    p->at += n;
    skip_space(p);
    if (p->at == p->end || *p->at != ';')
        return fail(p, "a declaration must end with a semicolon");
    p->at++;
    return TG_OK;
}

static tg_code parse_declaration(struct parser *p)
{
    size_t n = word_len(p);
    const char *hash = memchr(p->at, '#', n);
    size_t n_name = hash ? (size_t)(hash - p->at) : n;
    uint32_t id = 0;
    tg_code code;

    if (passed_over(p->at, n_name))
        return skip_declaration(p);
    if (!is_name(p->at, n_name))
        return fail(p, "a declaration must begin with a name");
    if (hash && !parse_id(hash + 1, n - n_name - 1, &id))
        return fail(p, "an id has 1 to 8 hexadecimal digits");
    if ((code = add_decl(p, p->at, n_name)) != TG_OK)
        return code;
    p->at += n;
    if ((code = parse_rest(p)) != TG_OK)
        return code;
    struct tl_decl *decl = &p->out->decl[p->out->n - 1];
    decl->id = hash ? id : normal_crc(p->out, decl);
    return TG_OK;
}

tg_code tl_parse(const char *name, const char *text, size_t len, struct tl_decls *ret,
                 struct tg_error *err)
{
    static const char functions[] = "---functions---", types[] = "---types---";
    struct parser p = {
        .name = name, .at = text, .end = text + len, .line = 1, .out = ret, .err = err
    };

    assert(name && ret && !ret->decl);
    if (len > TL_TEXT_MAX)
        return tg_fail(err, TG_LIMIT, "%s: a schema has at most %d MiB", name, TL_TEXT_MAX >> 20);
    tg_arena_init(&ret->arena, ARENA_MAX);
    for (;;) {
        skip_space(&p);
        if (p.at == p.end)
            break;
        size_t n = word_len(&p);
        if (n == sizeof functions - 1 && memcmp(p.at, functions, n) == 0) {
            p.functions = true;
            p.at += n;
        } else if (n == sizeof types - 1 && memcmp(p.at, types, n) == 0) {
            p.functions = false;
            p.at += n;
        } else {
            tg_code code = parse_declaration(&p);

            if (code != TG_OK)
                return code;
        }
    }
    return ret->n ? TG_OK : fail(&p, "no declarations");
}
