/* SPDX-License-Identifier: MIT */
/*
 * yaml.h - a YAML document as a tree that knows its places
 *
 *   bytes -> libyaml's events -> nodes (line, column, text) -> values with ${...} filled in
 *
 * A scalar stays the text that it is: what it means is up to the setting that it is for. Whether it
 * stood in quotes is kept, for in YAML 1.1 a plain `yes` is a truth value and a plain `1:30` is the
 * number 90, which few expect. Keys are texts, each once; there are no tags and no second document.
 *
 * An alias is the node that its anchor names, which was whole before: there are no cycles. It
 * counts as many nodes as if it were written out, so a walk of the tree is as bounded as the tree.
 *
 * Texts are wiped when the tree is done with. What stands in clear text may leave parts in memory
 * that libyaml has freed while it read; what ${...} stands for never comes there.
 *
 * Threads: none
 * Limits:  TG_YAML_MAX bytes, TG_YAML_NODES nodes, TG_YAML_DEPTH levels, TG_YAML_KEYS in a map
 */
#ifndef TG_YAML_H
#define TG_YAML_H

#include "base/arena.h"
#include "config/expand.h"
#include "config/mistake.h"

enum {
    TG_YAML_MAX = 4 << 20,
    TG_YAML_NODES = 200000,
    TG_YAML_DEPTH = 32,
    TG_YAML_KEYS = 2000,
};

enum tg_yaml_kind { TG_YAML_TEXT, TG_YAML_LIST, TG_YAML_MAP };

struct tg_yaml_node {
    enum tg_yaml_kind kind;
    unsigned line, column;  /* from 1 */
    bool plain;             /* a text without quotes, and without ${...} */
    const char *text;       /* of a text, with all expanded; NUL-terminated, without other NULs */
    const char *written;    /* as it stands in the file */
    size_t n;               /* items of a list, pairs of a map */
    struct tg_yaml_node **key, **value; /* key: NULL for a list */
    size_t weight, height;  /* nodes in it, itself among them; levels below it */
};

struct tg_yaml {
    struct tg_arena arena;
    const struct tg_yaml_node *root; /* NULL: there is nothing in the file */
};

/**
 * Reads a document. What is wrong is added to the mistakes: of the syntax the first, of all else
 * each.
 * @param ret  written in any case, to be ended with tg_yaml_done; its root is NULL if the syntax is
 *             wrong
 */
void tg_yaml_read(const void *bytes, size_t len, const struct tg_expand_from *from,
                  struct tg_yaml *ret, struct tg_mistakes *mistakes);
void tg_yaml_done(struct tg_yaml *yaml);

#endif
