/* SPDX-License-Identifier: MIT */
/*
 * stage_texts.c - the stages that settings stand for: files of rules read, programs of filters and
 * transformations put into the URL of their stage
 */
#include <stdlib.h>

#include "config/file_impl.h"
#include "config/rules.h"

enum { FILE_NODES = 256u << 20, URL_MAX = 1 << 20 };

/* ---- files of rules ---- */

static tg_code first_mistake(const struct tg_config_file *f, const char *path, struct tg_error *err)
{
    for (size_t i = 0; i < f->mistakes.n; i++) {
        const struct tg_mistake *m = &f->mistakes.item[i];

        if (m->warning)
            continue;
        tg_fail(err, TG_USAGE, "%.100s:%u:%u: %.200s", path, m->line, m->column, m->err.message);
        return m->err.hint[0] ? tg_hint(err, "%s", m->err.hint) : TG_USAGE;
    }
    return f->mistakes.nomem ? tg_fail(err, TG_NOMEM, "no memory for '%.200s'", path) : TG_OK;
}

static tg_code add_text(struct tg_stage_texts *t, const char *text, struct tg_error *err)
{
    if (t->n == TG_STAGES_MAX)
        return tg_fail(err, TG_USAGE, "more than %d stages", TG_STAGES_MAX);
    t->text[t->n] = tg_arena_copy(&t->arena, text, strlen(text));
    return t->text[t->n++] ? TG_OK : tg_fail(err, TG_NOMEM, "no memory for stages");
}

static tg_code add_file(struct tg_stage_texts *t, const char *path, struct tg_error *err)
{
    struct tg_config_file *f = calloc(1, sizeof *f);
    const struct tg_yaml_node *section = NULL, *inner = NULL;
    struct tg_rules rules = { .n = 0 };
    struct tg_buf bytes;
    tg_code code;

    if (!f)
        return tg_fail(err, TG_NOMEM, "no memory for '%.200s'", path);
    tg_arena_init(&f->arena, FILE_NODES);
    tg_buf_init(&bytes, TG_YAML_MAX + 1025);
    code = tg_expand_process.file(NULL, path, &bytes, err);
    if (code == TG_OK) {
        tg_yaml_read(bytes.data, bytes.len, &tg_expand_process, &f->yaml, &f->mistakes);
        section = f->yaml.root;
        for (size_t i = 0; section && section->kind == TG_YAML_MAP && i < section->n && !inner; i++)
            if (strcmp(section->key[i]->text, "quality") == 0)
                inner = section->value[i];
        if (inner)
            section = inner;
        if (section)
            tg_rules_read(f, section, &rules);
        tg_mistakes_sort(&f->mistakes);
        code = first_mistake(f, path, err);
        if (code == TG_OK && !rules.n)
            code = tg_fail(err, TG_USAGE, "there is no rule in '%.200s'", path);
    }
    for (size_t i = 0; code == TG_OK && i < rules.n; i++)
        code = add_text(t, rules.stage[i].text, err);
    tg_buf_wipe(&bytes);
    tg_config_file_free(f);
    return code;
}

/* ---- texts ---- */

/* A file of rules stands for the stages that it holds. */
static tg_code add_stage(struct tg_stage_texts *t, const char *text, struct tg_error *err)
{
    static const char names_file[] = "validate?rules=";
    const char *path = text + sizeof names_file - 1;
    char *plain;
    tg_code code;

    if (strncmp(text, names_file, sizeof names_file - 1) != 0 || strchr(path, '&'))
        return add_text(t, text, err);
    plain = strdup(path);
    if (!plain)
        code = tg_fail(err, TG_NOMEM, "no memory for stages");
    else if (!tg_percent_decode(plain))
        code = tg_fail(err, TG_USAGE, "'%.200s' has a malformed %% escape", path);
    else
        code = add_file(t, plain, err);
    free(plain);
    return code;
}

static tg_code add_program(struct tg_stage_texts *t, const char *form, const char *program,
                           struct tg_error *err)
{
    struct tg_buf url;
    tg_code code;

    tg_buf_init(&url, URL_MAX);
    tg_buf_str(&url, form);
    for (; *program; program++)
        if (strchr("%&+", *program))
            tg_buf_printf(&url, "%%%02X", (unsigned char)*program);
        else
            tg_buf_add(&url, program, 1);
    code = url.failed ? tg_fail(err, TG_USAGE, "the program is too long")
                      : add_text(t, tg_buf_cstr(&url), err);
    tg_buf_wipe(&url);
    return code;
}

void tg_stage_texts_init(struct tg_stage_texts *t)
{
    *t = (struct tg_stage_texts){ .n = 0 };
    tg_arena_init(&t->arena, FILE_NODES);
}

tg_code tg_stage_texts_add(struct tg_stage_texts *t, const char *setting, const char *value,
                           struct tg_error *err)
{
    if (strcmp(setting, "filter") == 0)
        return add_program(t, "where?expr=", value, err);
    if (strcmp(setting, "transform") == 0)
        return add_program(t, "lua?code=", value, err);
    return add_stage(t, value, err);
}

tg_code tg_stages_expand(const char *const *text, size_t n, struct tg_stage_texts *ret,
                         struct tg_error *err)
{
    tg_code code = TG_OK;

    tg_stage_texts_init(ret);
    for (size_t i = 0; code == TG_OK && i < n; i++)
        code = add_stage(ret, text[i], err);
    return code;
}

tg_code tg_stage_texts_set(struct tg_stage_texts *t, const struct tg_step_settings *set,
                           struct tg_error *err)
{
    const struct {
        const char *setting;
        const struct tg_option_list *list;
    } part[] = { { "stage", &set->stage }, { "filter", &set->filter },
                 { "transform", &set->transform } };
    tg_code code = set->enrich ? add_text(t, "enrich", err) : TG_OK;

    for (size_t i = 0; i < TG_COUNT(part); i++)
        for (size_t k = 0; code == TG_OK && k < part[i].list->n; k++)
            code = tg_stage_texts_add(t, part[i].setting, part[i].list->item[k], err);
    return code;
}

void tg_stage_texts_done(struct tg_stage_texts *t)
{
    tg_arena_wipe(&t->arena);
    *t = (struct tg_stage_texts){ .n = 0 };
}
