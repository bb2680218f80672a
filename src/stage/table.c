/* SPDX-License-Identifier: MIT */
/*
 * table.c - the list of all stages, and lists of them at work; see stage.h
 */
#include <stdio.h>
#include <stdlib.h>

#include "quality/rule.h"
#include "stage/stage.h"

extern const struct tg_stage_ops tg_stage_decode, tg_stage_enrich, tg_stage_fields, tg_stage_filter,
    tg_stage_where, tg_stage_lua, tg_stage_validate, tg_stage_profile, tg_stage_dedup,
    tg_stage_replies;

const struct tg_stage_ops *const tg_stages[] = { &tg_stage_decode, &tg_stage_filter,
                                                 &tg_stage_where,  &tg_stage_enrich,
                                                 &tg_stage_lua,    &tg_stage_fields,
                                                 &tg_stage_validate, &tg_stage_dedup,
                                                 &tg_stage_replies, &tg_stage_profile, NULL };

static const struct tg_driver *head(size_t i)
{
    return tg_stages[i] ? &tg_stages[i]->head : NULL;
}

static tg_code open_one(const char *text, struct tg_stage *ret, struct tg_error *err)
{
    size_t name = strcspn(text, "?"), n = strlen(text) + 2;
    char *url = malloc(n); /* a driver's URL has a target; a stage none */
    struct tg_driver_made made;
    tg_code code = TG_OK;

    if (!url)
        return tg_fail(err, TG_NOMEM, "no memory for a stage");
    memcpy(url, text, name);
    url[name] = ':';
    memcpy(url + name + 1, text + name, n - name - 1);
    if (!name || memchr(text, ':', name)) {
        code = tg_fail(err, TG_USAGE, "'%.80s' names no stage", text);
        tg_hint(err, "write it as NAME or NAME?option=value&option=value");
    }
    if (code == TG_OK)
        code = tg_driver_make(head, "stage", url, &made, err);
    free(url);
    if (code != TG_OK)
        return code;
    *ret = (struct tg_stage){ tg_stages[made.at], made.self, made.url };
    return ret->ops->open ? ret->ops->open(ret->self, err) : TG_OK;
}

tg_code tg_stages_open(const char *const *text, size_t n, struct tg_stage_list *ret,
                       struct tg_error *err)
{
    tg_code code = TG_OK;

    *ret = (struct tg_stage_list){ .n = 0 };
    if (n > TG_STAGES_MAX)
        return tg_fail(err, TG_USAGE, "more than %d stages", TG_STAGES_MAX);
    for (size_t i = 0; code == TG_OK && i < n; i++) {
        code = open_one(text[i], &ret->one[i], err);
        ret->n += ret->one[i].self != NULL;
    }
    return code;
}

void tg_stages_close(struct tg_stage_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        struct tg_stage *s = &list->one[i];

        if (s->ops->close)
            s->ops->close(s->self);
        tg_options_done(s->ops->head.option, s->self);
        free(s->self);
        free(s->text);
    }
    *list = (struct tg_stage_list){ .n = 0 };
}

tg_code tg_stages_run(const struct tg_stage_list *list, struct tg_batch *batch,
                      const struct tg_stage_env *env, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < list->n && batch->n; i++)
        code = list->one[i].ops->run(list->one[i].self, batch, env, err);
    return code;
}

void tg_stages_merge(const struct tg_stage_list *list, const struct tg_stage_list *other)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->one[i].ops->merge)
            list->one[i].ops->merge(list->one[i].self, other->one[i].self);
}

void tg_stages_tally(const struct tg_stage_list *list, struct tg_quality_result *ret)
{
    ret->n_rules = 0;
    for (size_t i = 0; i < list->n; i++)
        if (list->one[i].ops->tally)
            list->one[i].ops->tally(list->one[i].self, ret);
}

void tg_stage_judge(struct tg_rule_result *found, struct tg_row *row, bool holds,
                    const struct tg_stage_env *env)
{
    struct tg_stage_counts *counts = env->counts;

    tg_rule_count(found, row, holds);
    counts->judged += !(row->judged & TG_ROW_JUDGED);
    counts->invalid += !holds && !(row->judged & TG_ROW_INVALID);
    row->judged |= TG_ROW_JUDGED | (holds ? 0 : TG_ROW_INVALID);
}

tg_code tg_stage_broken(const struct tg_rule_result *found, struct tg_batch *batch,
                        const struct tg_row *row, const char *why,
                        const struct tg_stage_env *env, struct tg_error *err)
{
    char text[400];

    if (found->severity != TG_SEVERITY_QUARANTINE)
        return TG_OK;
    snprintf(text, sizeof text, "breaks the rule '%s'%s%s", found->name, *why ? ": " : "", why);
    if (!tg_batch_set_aside(batch, row, found->name, text))
        return tg_fail(err, TG_NOMEM, "no memory for a row that breaks a rule");
    env->counts->aside++;
    return TG_OK;
}

bool tg_stage_takes_out(const struct tg_rule_result *found)
{
    return found->severity == TG_SEVERITY_DROP || found->severity == TG_SEVERITY_QUARANTINE;
}

void tg_stage_keep(struct tg_batch *b, const struct tg_stage_env *env,
                   bool (*keep)(const void *self, const struct tg_row *row), const void *self)
{
    size_t n = 0, n_files = 0, file = 0;

    for (size_t i = 0; i < b->n; i++) {
        bool stays = keep(self, &b->row[i]);

        for (; file < b->n_files && b->file[file].row == i; file++) {
            if (!stays)
                continue;
            b->file[n_files] = b->file[file];
            b->file[n_files++].row = n;
        }
        if (stays && n != i)
            b->row[n] = b->row[i];
        n += stays;
    }
    b->n_files = n_files;
    env->counts->dropped += b->n - n;
    b->n = n;
}

struct tg_str tg_stage_word(const char **list)
{
    struct tg_str word = { NULL, 0 };

    if (!*list || !**list)
        return word;
    word = (struct tg_str){ *list, (uint32_t)strcspn(*list, ",") };
    *list += word.len + ((*list)[word.len] == ',');
    return word;
}
