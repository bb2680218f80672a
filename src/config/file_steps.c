/* SPDX-License-Identifier: MIT */
/*
 * file_steps.c - whether a job's rows can go through its stages, and be looked at behind its runs
 *
 * What a stage is by itself was checked where it stands; here it is looked at by the pattern of the
 * job that has it, be it from `defaults`.
 */
#include "config/file_impl.h"
#include "sink/sink.h"

/* The values of a setting that counts for a job. */
static const struct tg_given *given(const struct tg_config_file *f, const struct tg_file_job *job,
                                    const char *setting)
{
    return tg_file_given(f, job, NULL, tg_file_setting(f, setting));
}

static void check_stage(struct tg_config_file *f, const struct tg_file_job *job,
                        const struct tg_yaml_node *node, const struct tg_stage_ops *stage)
{
    const struct tg_pattern_info *pattern = &tg_patterns[job->job.pattern];
    const char *name = job->job.name ? job->job.name : "";
    struct tg_mistake *m;

    if (stage->whole && !pattern->one_hand) {
        m = tg_file_wrong(f, node, "the stage '%s' must see all rows of a run, and %s has them in "
                          "several hands: '%.64s'", stage->head.name, pattern->who, name);
        tg_hint(&m->err, "have what the job writes transformed");
    }
    if (stage->decodes && job->job.pattern != TG_PATTERN_TRANSFORM) {
        m = tg_file_wrong(f, node, "the stage '%s' has nothing to do in %s: '%.64s'",
                          stage->head.name, pattern->who, name);
        tg_hint(&m->err, "its rows are made by this program just then; it is for transforms");
    }
}

static void check_stages(struct tg_config_file *f, const struct tg_file_job *job)
{
    const struct tg_given *stages = given(f, job, "stage");
    struct tg_stage_list list;
    struct tg_stage_texts all;
    struct tg_error err;

    for (size_t i = 0; stages && i < stages->n; i++) {
        bool several = stages->node->kind == TG_YAML_LIST && i < stages->node->n;
        const struct tg_yaml_node *node = several ? stages->node->value[i] : stages->node;

        list = (struct tg_stage_list){ .n = 0 };
        if (tg_stages_expand(&stages->text[i], 1, &all, &err) == TG_OK &&
            tg_stages_open(all.text, all.n, &list, &err) == TG_OK)
            for (size_t k = 0; k < list.n; k++)
                check_stage(f, job, node, list.one[k].ops);
        tg_stages_close(&list);
        tg_stage_texts_done(&all);
    }
}

void tg_file_check_readable(struct tg_config_file *f, const struct tg_file_job *job,
                            const struct tg_yaml_node *node)
{
    const struct tg_given *to = given(f, job, "to");
    struct tg_error err;

    for (size_t i = 0; to && i < to->n; i++)
        if (tg_sink_check_source(to->text[i], &err) != TG_OK) {
            tg_mistakes_take(&f->mistakes, node->line, node->column, &err);
            return;
        }
}

void tg_file_check_steps(struct tg_config_file *f, const struct tg_file_job *job)
{
    static const char *const step[] = { "verify", "archive-checkpoints" };
    const struct tg_given *verify = given(f, job, "verify");

    check_stages(f, job);
    /* a verification has neither rows nor state of its own that could be looked at or kept */
    for (size_t i = 0; i < TG_COUNT(step) && job->job.pattern == TG_PATTERN_VERIFY; i++) {
        const struct tg_given *own = &job->layer.given[tg_file_setting(f, step[i])];

        if (own->node)
            tg_file_wrong(f, own->node, "%s has no setting '%s'",
                          tg_patterns[job->job.pattern].who, step[i]);
    }
    if (verify && job->job.pattern != TG_PATTERN_VERIFY && verify->n &&
        strcmp(verify->text[0], "yes") == 0)
        tg_file_check_readable(f, job, verify->node);
}
