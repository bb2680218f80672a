/* SPDX-License-Identifier: MIT */
/*
 * lua.c - rows judged by an expression and changed by a program: `where?expr=word_count > 3`,
 * `lua?code=row.lang = "en"`, `lua?file=mine.lua`
 *
 * The language, and what it may do and cost, is client/lua.h's. A row for which it fails ends the
 * run, stays as it stood, or goes, as `on-error` says; a program that no row could mend always ends
 * it. Rows of deletions pass untouched: they have no content to reckon with.
 */
#include <stdio.h>

#include "client/lua.h"
#include "stage/stage.h"

enum on_error { FAIL, KEEP, DROP };

struct program {
    const char *expr, *code, *file; /* options */
    int64_t on_error, steps, memory;
    char name[120]; /* for messages */
    struct tg_lua *lua;

    /* of a run */
    struct tg_batch *batch;
    const struct tg_stage_env *env;
    struct tg_error *err;
    tg_code result;
};

static tg_code open_program(struct program *p, const char *option, const char *value,
                            struct tg_error *err)
{
    struct tg_lua_options o = {
        .name = p->name,
        .code = p->expr ? p->expr : p->code,
        .file = p->expr || p->code ? NULL : p->file,
        .expression = p->expr != NULL,
        .steps = p->steps,
        .memory = p->memory,
    };

    snprintf(p->name, sizeof p->name, "%s=%.80s", option, value);
    for (char *c = p->name; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    return tg_lua_new(&o, &p->lua, err);
}

static tg_code where_open(void *self, struct tg_error *err)
{
    struct program *p = self;

    if (p->expr && *p->expr)
        return open_program(p, "where?expr", p->expr, err);
    tg_fail(err, TG_USAGE, "where: no expression is given");
    return tg_hint(err, "write where?expr=EXPRESSION, such as 'where?expr=views > 100'");
}

static tg_code lua_open(void *self, struct tg_error *err)
{
    struct program *p = self;

    if (!p->code != !p->file)
        return open_program(p, p->code ? "lua?code" : "lua?file", p->code ? p->code : p->file,
                            err);
    tg_fail(err, TG_USAGE, "lua: %s", p->code ? "`code` and `file` exclude each other"
                                              : "neither `code` nor `file` is given");
    return tg_hint(err, "write lua?code=STATEMENTS or lua?file=PATH");
}

static void close_program(void *self)
{
    struct program *p = self;

    tg_lua_free(p->lua);
}

/* @return whether the row stays */
static bool failed(struct program *p, tg_code code, const struct tg_error *err)
{
    struct tg_stage_counts *counts = p->env->counts;

    if (code != TG_DATA || p->on_error == FAIL) {
        *p->err = *err;
        p->result = code;
        return true;
    }
    counts->failed++;
    if (!counts->failed_why[0])
        snprintf(counts->failed_why, sizeof counts->failed_why, "%.199s", err->message);
    return p->on_error == KEEP;
}

static bool stays(const void *self, const struct tg_row *row)
{
    struct program *p = (struct program *)(uintptr_t)self;
    struct tg_row *at = &p->batch->row[row - p->batch->row];
    struct tg_row_edit edit = { p->batch, at };
    struct tg_row before;
    struct tg_error err;
    bool value = true;
    tg_code code;

    if (p->result != TG_OK || tg_row_changed(row) == TG_ROW_DELETED)
        return true;
    if (p->on_error == KEEP && !p->expr)
        before = *row;
    code = tg_lua_run(p->lua, &edit, p->env->now_us, &value, &err);
    if (code == TG_OK)
        return value;
    if (p->on_error == KEEP && !p->expr)
        *at = before;
    return failed(p, code, &err);
}

static tg_code run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                   struct tg_error *err)
{
    struct program *p = self;

    p->batch = batch;
    p->env = env;
    p->err = err;
    p->result = TG_OK;
    tg_stage_keep(batch, env, stays, p);
    return p->result;
}

#define COMMON                                                                                     \
    { .name = "on-error", .type = TG_OPT_CHOICE, .offset = offsetof(struct program, on_error),     \
      .fallback = "fail", .choices = "fail|keep|drop",                                             \
      .help = "when it fails for a row: end the run, keep the row as it stood, drop it" },         \
    { .name = "steps", .type = TG_OPT_I64, .offset = offsetof(struct program, steps),              \
      .fallback = "1000000", .min = 1000, .max = INT64_C(1000000000), .value = "N",                \
      .help = "what it may take for a row: instructions, characters tried in patterns" },          \
    { .name = "memory", .type = TG_OPT_SIZE, .offset = offsetof(struct program, memory),           \
      .fallback = "16MiB", .min = 1 << 20, .max = 1 << 30, .value = "SIZE",                        \
      .help = "what it may hold" },                                                                \
    { 0 }

static const struct tg_option where_option[] = {
    { .name = "expr",
      .type = TG_OPT_STR,
      .offset = offsetof(struct program, expr),
      .value = "EXPRESSION",
      .help = "in Lua, over the row's fields; % is written %25, & is written %26" },
    COMMON,
};

static const struct tg_option lua_option[] = {
    { .name = "code",
      .type = TG_OPT_STR,
      .offset = offsetof(struct program, code),
      .value = "STATEMENTS",
      .help = "in Lua; row.NAME = ... changes a field, return false drops the row" },
    { .name = "file",
      .type = TG_OPT_STR,
      .offset = offsetof(struct program, file),
      .value = "PATH",
      .help = "where they stand instead" },
    COMMON,
};

const struct tg_stage_ops tg_stage_where = {
    .head = { "where", "keep the rows for which an expression is true", where_option,
              sizeof(struct program) },
    .open = where_open,
    .close = close_program,
    .run = run,
};

const struct tg_stage_ops tg_stage_lua = {
    .head = { "lua", "change rows by a small program", lua_option, sizeof(struct program) },
    .open = lua_open,
    .close = close_program,
    .run = run,
};
