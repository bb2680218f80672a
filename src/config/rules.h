/* SPDX-License-Identifier: MIT */
/*
 * rules.h - rules over rows in YAML: a section `quality`, read into the stages that it stands for
 *
 *   quality:                                     validate?field=text&max-length=4096&severity=...
 *     severity: quarantine                 -->   validate?expr=date <= now&severity=quarantine
 *     rules: [{field: text, max_length: 4096},   enrich
 *             {expr: date <= now}]               profile?to=profile.json
 *     enrich_metadata: yes
 *     profile: {to: profile.json}
 *
 * So a rule is a stage, whoever wrote it, and docs/quality.md tells all of both. The section stands
 * in a configuration, for its jobs that take stages, or in a file of its own, that a stage
 * `validate?rules=FILE` names.
 *
 * Threads: none      Limits: TG_STAGES_MAX stages
 */
#ifndef TG_CONFIG_RULES_H
#define TG_CONFIG_RULES_H

#include "base/arena.h"
#include "config/settings.h"
#include "stage/stage.h"

struct tg_config_file;
struct tg_yaml_node;

struct tg_rules {
    const struct tg_yaml_node *section; /* NULL: there is none */
    struct tg_rule_stage {
        const char *text;
        const struct tg_yaml_node *node; /* where it stands */
        bool whole;                      /* it must see all rows of a run */
    } stage[TG_STAGES_MAX];
    size_t n;
};

/** Reads a section; mistakes are the file's, and so is the memory. */
void tg_rules_read(struct tg_config_file *file, const struct tg_yaml_node *section,
                   struct tg_rules *ret);

/** The stages of a run, as texts, with those of files of rules in their places. */
struct tg_stage_texts {
    struct tg_arena arena;
    const char *text[TG_STAGES_MAX];
    size_t n;
};

void tg_stage_texts_init(struct tg_stage_texts *t);
void tg_stage_texts_done(struct tg_stage_texts *t);

/** Adds the value of a setting that rows go through: `stage`, `filter` or `transform`.
 *  @return TG_USAGE: a file is wrong, there are too many; TG_NOT_FOUND, TG_IO, TG_NOMEM */
tg_code tg_stage_texts_add(struct tg_stage_texts *t, const char *setting, const char *value,
                           struct tg_error *err);

/** The same for n values of `stage`, from nothing; @param ret  done with tg_stage_texts_done in any
 *  case */
tg_code tg_stages_expand(const char *const *text, size_t n, struct tg_stage_texts *ret,
                         struct tg_error *err);

/** Adds all that settings name, in the order in which rows meet them. */
tg_code tg_stage_texts_set(struct tg_stage_texts *t, const struct tg_step_settings *set,
                           struct tg_error *err);

#endif
