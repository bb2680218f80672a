/* SPDX-License-Identifier: MIT */
/*
 * yaml.c - see yaml.h
 */
#include "config/yaml.h"

#include <yaml.h>

#include "base/text.h"

struct anchor {
    struct anchor *older;
    const char *name;
    struct tg_yaml_node *node;
};

struct reader {
    yaml_parser_t parser;
    struct tg_yaml *yaml;
    struct tg_mistakes *mistakes;
    const struct tg_expand_from *from;
    struct anchor *anchors;
    size_t nodes;
};

static unsigned line_of(yaml_mark_t mark)
{
    return (unsigned)TG_MIN(mark.line, (size_t)UINT32_MAX - 1) + 1;
}

static unsigned column_of(yaml_mark_t mark)
{
    return (unsigned)TG_MIN(mark.column, (size_t)UINT32_MAX - 1) + 1;
}

static struct tg_mistake *wrong_at(struct reader *r, yaml_mark_t mark, const char *what)
{
    return tg_mistakes_add(r->mistakes, line_of(mark), column_of(mark), "%s", what);
}

/* What libyaml says, in words that help where it is a common slip. */
static void wrong_syntax(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "no memory";
    yaml_mark_t mark = p->problem_mark;
    struct tg_mistake *m;

    if (p->error == YAML_READER_ERROR) {
        m = tg_mistakes_add(r->mistakes, line_of(p->mark), column_of(p->mark), "%s", problem);
        tg_hint(&m->err, "a configuration is text in UTF-8");
        return;
    }
    m = tg_mistakes_add(r->mistakes, line_of(mark), column_of(mark), "%s%s%s", problem,
                        p->context ? " " : "", p->context ? p->context : "");
    if (strstr(problem, "cannot start any token"))
        tg_hint(&m->err, "put the value in quotes: \"@name\"; lines begin with spaces, not tabs");
    else if (strstr(problem, "mapping values are not allowed"))
        tg_hint(&m->err, "put a value with ': ' in quotes, and look at how far lines are indented");
    else if (strstr(problem, "did not find expected"))
        tg_hint(&m->err, "look at how far the lines around it are indented, and at brackets");
}

static bool next(struct reader *r, yaml_event_t *ret)
{
    if (yaml_parser_parse(&r->parser, ret))
        return true;
    wrong_syntax(r);
    return false;
}

/* Of what libyaml holds, so much can be wiped; see yaml.h. */
static void drop(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static void drop_parser(yaml_parser_t *p)
{
    explicit_bzero(p->raw_buffer.start, (size_t)(p->raw_buffer.end - p->raw_buffer.start));
    explicit_bzero(p->buffer.start, (size_t)(p->buffer.end - p->buffer.start));
    yaml_parser_delete(p);
}

static struct tg_yaml_node *new_node(struct reader *r, enum tg_yaml_kind kind, yaml_mark_t mark)
{
    struct tg_yaml_node *node = tg_arena_alloc(&r->yaml->arena, 1, sizeof *node);

    if (!node) {
        r->mistakes->nomem = true;
        return NULL;
    }
    *node = (struct tg_yaml_node){
        .kind = kind, .line = line_of(mark), .column = column_of(mark), .weight = 1
    };
    return node;
}

/* ---- texts ---- */

static void expand(struct reader *r, struct tg_yaml_node *node)
{
    struct tg_buf out;
    struct tg_error err;
    char *text;

    tg_expand_buf(&out);
    node->plain = false;
    if (tg_expand(node->written, r->from, &out, &err) != TG_OK) {
        tg_mistakes_take(r->mistakes, node->line, node->column, &err);
    } else {
        text = tg_arena_copy(&r->yaml->arena, out.data, out.len);
        r->mistakes->nomem = r->mistakes->nomem || !text;
        node->text = text ? text : node->written;
    }
    tg_buf_wipe(&out);
}

static struct tg_yaml_node *read_text(struct reader *r, const yaml_event_t *event, bool key)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    yaml_scalar_style_t style = event->data.scalar.style;
    struct tg_yaml_node *node;

    if (memchr(value, 0, len)) {
        wrong_at(r, event->start_mark, "a text has a NUL in it");
        return NULL;
    }
    node = new_node(r, TG_YAML_TEXT, event->start_mark);
    if (!node)
        return NULL;
    node->written = node->text = tg_arena_copy(&r->yaml->arena, value, len);
    node->plain = style == YAML_PLAIN_SCALAR_STYLE;
    if (!node->text) {
        r->mistakes->nomem = true;
        return NULL;
    }
    if (!key && style != YAML_SINGLE_QUOTED_SCALAR_STYLE && tg_expand_needed(node->text))
        expand(r, node);
    return node;
}

/* ---- anchors ---- */

static bool add_anchor(struct reader *r, const yaml_char_t *name, struct tg_yaml_node *node)
{
    struct anchor *a;

    if (!name)
        return true;
    a = tg_arena_alloc(&r->yaml->arena, 1, sizeof *a);
    if (a)
        *a = (struct anchor){ r->anchors, tg_arena_copy(&r->yaml->arena, name,
                                                        strlen((const char *)name)), node };
    if (!a || !a->name) {
        r->mistakes->nomem = true;
        return false;
    }
    r->anchors = a;
    return true;
}

static struct tg_yaml_node *find_anchor(struct reader *r, const yaml_event_t *event, size_t depth)
{
    const char *name = (const char *)event->data.alias.anchor;

    for (const struct anchor *a = r->anchors; a; a = a->older) {
        if (strcmp(a->name, name) != 0)
            continue;
        r->nodes += a->node->weight - 1; /* itself was counted */
        if (r->nodes <= TG_YAML_NODES && depth + a->node->height <= TG_YAML_DEPTH)
            return a->node;
        wrong_at(r, event->start_mark, "with its aliases written out the file is too large or too "
                                       "deep");
        return NULL;
    }
    tg_mistakes_add(r->mistakes, line_of(event->start_mark), column_of(event->start_mark),
                    "there is no anchor '&%.64s' before this alias", name);
    return NULL;
}

/* ---- nodes ---- */

/* A list or map that grows; copied into the arena when it is whole. */
struct growing {
    struct tg_yaml_node **item;
    size_t n, cap;
};

static bool grow(struct reader *r, struct growing *g, struct tg_yaml_node *node)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? 2 * g->cap : 8;
        struct tg_yaml_node **item = realloc(g->item, cap * sizeof *item);

        if (!item) {
            r->mistakes->nomem = true;
            return false;
        }
        g->item = item;
        g->cap = cap;
    }
    g->item[g->n++] = node;
    return true;
}

static struct tg_yaml_node *read_node(struct reader *r, yaml_event_t *event, size_t depth,
                                      bool key);

static void check_key(struct reader *r, const struct growing *g, const struct tg_yaml_node *key)
{
    for (size_t i = 0; i < g->n; i += 2) {
        if (strcmp(g->item[i]->text, key->text) != 0)
            continue;
        tg_mistakes_add(r->mistakes, key->line, key->column,
                        "'%.64s' is given twice: it stands in line %u as well", key->text,
                        g->item[i]->line);
        return;
    }
}

/* The items up to the end of a list or map. */
static bool read_items(struct reader *r, struct growing *g, struct tg_yaml_node *node,
                       size_t depth)
{
    const bool map = node->kind == TG_YAML_MAP;
    bool ok = true;

    while (ok) {
        bool key = map && g->n % 2 == 0;
        struct tg_yaml_node *one;
        yaml_event_t event;

        if (!next(r, &event))
            return false;
        if (event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT) {
            drop(&event);
            return true;
        }
        one = read_node(r, &event, depth, key);
        if (one && key && one->kind != TG_YAML_TEXT) {
            wrong_at(r, event.start_mark, "a key is a text");
            one = NULL;
        }
        if (one && key && g->n >= 2 * TG_YAML_KEYS) {
            wrong_at(r, event.start_mark, "there are too many keys");
            one = NULL;
        }
        drop(&event);
        if (one && key)
            check_key(r, g, one);
        ok = one && grow(r, g, one);
        if (ok) {
            node->weight += one->weight;
            node->height = TG_MAX(node->height, one->height + 1);
        }
    }
    return false;
}

static struct tg_yaml_node *read_items_of(struct reader *r, enum tg_yaml_kind kind,
                                          yaml_mark_t mark, size_t depth)
{
    struct tg_yaml_node *node = new_node(r, kind, mark), **all = NULL;
    struct growing g = { 0 };
    bool ok = node && read_items(r, &g, node, depth + 1);
    size_t step = kind == TG_YAML_MAP ? 2 : 1;

    if (ok && g.n) {
        all = tg_arena_alloc(&r->yaml->arena, g.n, sizeof(struct tg_yaml_node *));
        r->mistakes->nomem = r->mistakes->nomem || !all;
        ok = all != NULL;
    }
    if (ok) {
        node->n = g.n / step;
        node->key = kind == TG_YAML_MAP ? all : NULL;
        node->value = kind == TG_YAML_MAP && all ? all + node->n : all;
    }
    for (size_t i = 0; ok && i < g.n; i++)
        all[i % step * node->n + i / step] = g.item[i];
    free(g.item);
    return ok ? node : NULL;
}

static struct tg_yaml_node *read_node(struct reader *r, yaml_event_t *event, size_t depth,
                                      bool key)
{
    const yaml_char_t *tag = NULL, *anchor = NULL;
    struct tg_yaml_node *node = NULL;

    if (++r->nodes > TG_YAML_NODES || depth > TG_YAML_DEPTH) {
        wrong_at(r, event->start_mark, depth > TG_YAML_DEPTH ? "it is nested too deeply"
                                                             : "the file has too many values");
        return NULL;
    }
    if (event->type == YAML_ALIAS_EVENT)
        return find_anchor(r, event, depth);
    if (event->type == YAML_SCALAR_EVENT) {
        tag = event->data.scalar.tag, anchor = event->data.scalar.anchor;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        tag = event->data.sequence_start.tag, anchor = event->data.sequence_start.anchor;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        tag = event->data.mapping_start.tag, anchor = event->data.mapping_start.anchor;
    }
    if (tag)
        wrong_at(r, event->start_mark, "tags ('!') are not used in a configuration");
    if (event->type == YAML_SCALAR_EVENT)
        node = read_text(r, event, key);
    else
        node = read_items_of(r, event->type == YAML_MAPPING_START_EVENT ? TG_YAML_MAP
                                                                        : TG_YAML_LIST,
                             event->start_mark, depth);
    return node && add_anchor(r, anchor, node) ? node : NULL;
}

/* STREAM-START, DOCUMENT-START, a node, DOCUMENT-END, STREAM-END. */
static void read_document(struct reader *r)
{
    struct tg_yaml_node *root = NULL;
    yaml_event_t event;
    bool more = true;

    while (more && next(r, &event)) {
        more = event.type != YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && root) {
            wrong_at(r, event.start_mark, "there is a second document");
            more = false;
        } else if (event.type != YAML_STREAM_START_EVENT && more &&
                   event.type != YAML_DOCUMENT_START_EVENT &&
                   event.type != YAML_DOCUMENT_END_EVENT) {
            root = read_node(r, &event, 0, false);
            more = root != NULL;
        } else if (event.type == YAML_STREAM_END_EVENT) {
            r->yaml->root = root;
        }
        drop(&event);
    }
}

void tg_yaml_read(const void *bytes, size_t len, const struct tg_expand_from *from,
                  struct tg_yaml *ret, struct tg_mistakes *mistakes)
{
    struct reader r = { .yaml = ret, .mistakes = mistakes, .from = from };

    *ret = (struct tg_yaml){ 0 };
    tg_arena_init(&ret->arena, 256u << 20);
    if (len > TG_YAML_MAX) {
        tg_mistakes_add(mistakes, 1, 1, "the file has more than %d MiB", TG_YAML_MAX >> 20);
        return;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        mistakes->nomem = true;
        return;
    }
    yaml_parser_set_input_string(&r.parser, bytes, len);
    read_document(&r);
    drop_parser(&r.parser);
}

void tg_yaml_done(struct tg_yaml *yaml)
{
    tg_arena_wipe(&yaml->arena);
    yaml->root = NULL;
}
