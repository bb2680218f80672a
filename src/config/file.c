/* SPDX-License-Identifier: MIT */
/*
 * file.c - see tgdata/config_file.h and file_impl.h
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/file_impl.h"

/* ---- settings ---- */

bool tg_pattern_takes(enum tg_pattern pattern, enum tg_scope scope)
{
    return tg_patterns[pattern].scopes & 1u << scope;
}

/* A job is named by its key `name`, and logins are made by `tgdata login`. */
size_t tg_settings_list(struct tg_setting out[TG_SETTINGS_MAX])
{
    size_t n = 0;

    for (int s = 0; s < TG_SCOPE_COUNT; s++) {
        if (s == TG_SCOPE_LOGIN)
            continue;
        for (const struct tg_option *row = tg_config_table((enum tg_scope)s); row->name; row++)
            if (strcmp(row->name, "job") != 0 && n < TG_SETTINGS_MAX)
                out[n++] = (struct tg_setting){ row, (enum tg_scope)s };
    }
    return n;
}

/* ---- maps of settings ---- */

bool tg_file_layer(struct tg_config_file *f, struct tg_layer *layer)
{
    layer->given = tg_arena_alloc(&f->arena, f->n_settings, sizeof *layer->given);
    f->mistakes.nomem = f->mistakes.nomem || !layer->given;
    return layer->given != NULL;
}

static void unknown_setting(struct tg_config_file *f, const struct tg_taker *t,
                            const struct tg_yaml_node *key)
{
    const char *names[TG_SETTINGS_MAX + 32];
    size_t n = 0;
    struct tg_mistake *m;

    if (tg_file_setting(f, key->text) != SIZE_MAX) {
        tg_file_wrong(f, key, "%s has no setting '%.64s'", t->who, key->text);
        return;
    }
    if (t->pattern && tg_job_key_find(key->text)) {
        tg_file_wrong(f, key, "%s has no key '%.64s'", t->who, key->text);
        return;
    }
    if (tg_name_same(key->text, "<<")) {
        m = tg_file_wrong(f, key, "merge keys ('<<') are not used in a configuration");
        tg_hint(&m->err, "what several jobs share stands under defaults");
        return;
    }
    for (const struct tg_job_key *own = tg_job_keys; own->name; own++)
        if (t->pattern & own->taken)
            names[n++] = own->name;
    for (size_t i = 0; i < f->n_settings && n < TG_SETTINGS_MAX; i++)
        if (t->scopes & 1u << f->setting[i].scope)
            names[n++] = f->setting[i].row->name;
    for (const struct tg_key *other = tg_other_keys; other->path && n < TG_SETTINGS_MAX; other++)
        names[n++] = other->path;
    tg_file_unknown(f, key, names, n);
}

void tg_file_read_settings(struct tg_config_file *f, const struct tg_taker *t,
                           const struct tg_yaml_node *map, struct tg_layer *layer)
{
    for (size_t i = 0; i < map->n; i++) {
        const struct tg_yaml_node *key = map->key[i];
        const struct tg_job_key *own = tg_job_key_find(key->text);
        const struct tg_key *other = tg_file_other_key(key->text);
        size_t setting = tg_file_setting(f, other ? other->setting : key->text);

        if (own && own->taken & t->pattern)
            continue;
        if (setting == SIZE_MAX || !(t->scopes & 1u << f->setting[setting].scope))
            unknown_setting(f, t, key);
        else if (layer->given[setting].node)
            tg_file_wrong(f, key, "'%.64s' is given twice", key->text);
        else if (other)
            tg_file_give_percent(f, layer, other, map->value[i]);
        else
            tg_file_give(f, layer, setting, map->value[i]);
    }
}

const struct tg_yaml_node *tg_file_find(const struct tg_yaml_node *map, const char *name)
{
    for (size_t i = 0; i < map->n; i++)
        if (tg_name_same(map->key[i]->text, name))
            return map->value[i];
    return NULL;
}

/* ---- accounts ---- */

static void read_accounts(struct tg_config_file *f, const struct tg_yaml_node *map)
{
    static const struct tg_taker taker = { "an account", 1u << TG_SCOPE_ACCOUNT, 0 };
    size_t session = tg_file_setting(f, "session");

    if (map->kind != TG_YAML_MAP || !map->n || map->n > TG_FILE_ACCOUNTS) {
        struct tg_mistake *m = tg_file_wrong(f, map, "'accounts' takes 1 to %d names, each with "
                                             "settings", TG_FILE_ACCOUNTS);

        tg_hint(&m->err, "write it as NAME: {session: FILE}");
        return;
    }
    f->account = tg_arena_alloc(&f->arena, map->n, sizeof *f->account);
    if (!f->account)
        return;
    for (size_t i = 0; i < map->n; i++) {
        struct tg_file_account *a = &f->account[f->n_accounts];
        const struct tg_yaml_node *node = map->value[i];

        *a = (struct tg_file_account){ .name = map->key[i]->text, .node = map->key[i] };
        if (!tg_file_layer(f, &a->layer))
            return;
        f->n_accounts++;
        if (node->kind != TG_YAML_MAP) {
            tg_file_wrong(f, node, "the account '%.64s' takes settings", a->name);
            continue;
        }
        tg_file_read_settings(f, &taker, node, &a->layer);
        if (!tg_file_find(node, "session"))
            tg_file_wrong(f, a->node, "the account '%.64s' has no session", a->name);
        for (size_t k = 0; k + 1 < f->n_accounts && a->layer.given[session].n; k++)
            if (f->account[k].layer.given[session].n &&
                strcmp(f->account[k].layer.given[session].text[0],
                       a->layer.given[session].text[0]) == 0)
                tg_file_wrong(f, a->layer.given[session].node,
                              "the accounts '%.64s' and '%.64s' have the same session",
                              f->account[k].name, a->name);
    }
}

/* ---- what counts ---- */

/* Of the job that it reads a verification has the state, the media, and what concerns accounts. */
static bool is_lent(const struct tg_file_job *job, const struct tg_setting *setting)
{
    return job->job.pattern == TG_PATTERN_VERIFY && job->reads &&
           (setting->scope == TG_SCOPE_ACCOUNT || strcmp(setting->row->name, "state") == 0 ||
            strcmp(setting->row->name, "media") == 0);
}

const struct tg_given *tg_file_given(const struct tg_config_file *f, const struct tg_file_job *job,
                                     const struct tg_file_account *account, size_t setting)
{
    bool lent = is_lent(job, &f->setting[setting]);
    const struct tg_layer *layer[] = { &job->layer, lent ? &job->reads->layer : NULL,
                                       account ? &account->layer : NULL, &f->defaults, &f->seed };

    if (!lent && !tg_pattern_takes(job->job.pattern, f->setting[setting].scope))
        return NULL;
    for (size_t i = 0; i < TG_COUNT(layer); i++)
        if (layer[i] && layer[i]->given && layer[i]->given[setting].node &&
            (layer[i]->given[setting].n || layer[i] == &f->seed))
            return &layer[i]->given[setting];
    return NULL;
}

bool tg_file_rules(const struct tg_config_file *f, const struct tg_file_job *job)
{
    return f->rules.section && !job->no_rules &&
           tg_pattern_takes(job->job.pattern, TG_SCOPE_STAGES);
}

/* Its checkpoints are kept under its name, and that of a series. */
static tg_code name_series(struct tg_config *c, const char *job, struct tg_error *err)
{
    char name[128];

    if (!c->schedule.series)
        return TG_OK;
    snprintf(name, sizeof name, "%.63s.%.63s", job, c->schedule.series);
    return tg_config_set(c, "job", name, err);
}

static struct tg_config *make_config(struct tg_config_file *f, const struct tg_file_job *job,
                                     const struct tg_file_account *account)
{
    struct tg_config *c = tg_config_new();
    struct tg_error err;
    tg_code code = c ? tg_config_set(c, "job", job->job.name, &err) : TG_NOMEM;

    for (size_t i = 0; i < f->n_settings && code == TG_OK; i++) {
        const struct tg_given *given = tg_file_given(f, job, account, i);

        for (size_t k = 0; given && k < given->n && code == TG_OK; k++)
            code = tg_config_set(c, f->setting[i].row->name, given->text[k], &err);
    }
    for (size_t i = 0; tg_file_rules(f, job) && i < f->rules.n && code == TG_OK; i++)
        code = tg_config_set(c, "stage", f->rules.stage[i].text, &err);
    if (code == TG_OK)
        code = name_series(c, job->job.name, &err);
    if (code == TG_OK && f->seed.given[tg_file_setting(f, "coordinate")].node &&
        !f->seed.given[tg_file_setting(f, "coordinate")].n)
        c->account.coordinate = NULL; /* coordinate_across_workers: false */
    if (code == TG_OK)
        return c;
    f->mistakes.nomem = true; /* all else was tried on the scratch config */
    tg_config_free(c);
    return NULL;
}

static void make_job(struct tg_config_file *f, struct tg_file_job *job)
{
    size_t n = job->n_account ? job->n_account : 1;
    struct tg_config **made = tg_arena_alloc(&f->arena, n, sizeof(struct tg_config *));

    f->mistakes.nomem = f->mistakes.nomem || !made;
    job->job.accounts = made;
    for (size_t i = 0; made && i < n && !f->mistakes.nomem; i++) {
        made[i] = make_config(f, job, job->n_account ? job->account[i] : NULL);
        job->job.n_accounts += made[i] != NULL;
    }
    if (job->job.n_accounts)
        job->job.workers = (unsigned)made[0]->extract.workers;
}

static void make_jobs(struct tg_config_file *f)
{
    size_t configs = 0;

    for (size_t i = 0; i < f->n_jobs; i++)
        configs += TG_MAX(f->job[i].n_account, (size_t)1);
    if (configs > TG_FILE_CONFIGS)
        tg_file_wrong(f, f->yaml.root, "jobs and their accounts come to more than %d",
                      TG_FILE_CONFIGS);
    for (size_t i = 0; i < f->n_jobs && !f->mistakes.n_errors; i++)
        make_job(f, &f->job[i]);
}

/* ---- the file ---- */

/* Rules are stages of the jobs that take stages. */
static void read_quality(struct tg_config_file *f, const struct tg_yaml_node *section)
{
    const struct tg_file_job *taker = NULL, *many = NULL;
    struct tg_mistake *m;

    tg_rules_read(f, section, &f->rules);
    for (size_t i = 0; i < f->n_jobs; i++) {
        if (!tg_file_rules(f, &f->job[i]))
            continue;
        taker = &f->job[i];
        many = many || tg_patterns[taker->job.pattern].one_hand ? many : taker;
    }
    if (f->n_jobs && !taker) {
        m = tg_file_advise(f, section, "no job here meets 'quality'");
        tg_hint(&m->err, "leave it out, or have a job without quality: no that delivers rows");
    }
    for (size_t i = 0; many && i < f->rules.n; i++) {
        if (!f->rules.stage[i].whole)
            continue;
        m = tg_file_wrong(f, f->rules.stage[i].node, "this rule must see all rows of a run, and "
                          "%s has them in several hands", tg_patterns[many->job.pattern].who);
        tg_hint(&m->err, "give the job '%.64s' the key quality: no, and have what it writes "
                         "transformed", many->job.name ? many->job.name : "");
    }
}

static void read_root(struct tg_config_file *f, const struct tg_yaml_node *root)
{
    static const struct tg_taker taker = { "a job", ~(1u << TG_SCOPE_LOGIN), 0 };
    static const char *const keys[] = { "extraction", "rate_limiting", "error_handling",
                                        "monitoring", "quality", "accounts", "defaults",
                                        "jobs" };
    const struct tg_yaml_node *defaults = tg_file_find(root, "defaults"), *accounts, *jobs,
                              *quality;

    for (size_t i = 0; i < root->n; i++) {
        const char *name = root->key[i]->text;

        if (strcmp(name, "accounts") != 0 && strcmp(name, "defaults") != 0 &&
            strcmp(name, "jobs") != 0 && strcmp(name, "quality") != 0 &&
            !tg_file_section(f, root->key[i], root->value[i]))
            tg_file_unknown(f, root->key[i], keys, TG_COUNT(keys));
    }
    tg_file_sections_end(f);
    if (defaults && defaults->kind == TG_YAML_MAP)
        tg_file_read_settings(f, &taker, defaults, &f->defaults);
    else if (defaults)
        tg_file_wrong(f, defaults, "'defaults' takes settings");
    if ((accounts = tg_file_find(root, "accounts")))
        read_accounts(f, accounts);
    if ((jobs = tg_file_find(root, "jobs")))
        tg_file_read_jobs(f, jobs);
    if ((quality = tg_file_find(root, "quality")))
        read_quality(f, quality);
    tg_file_check_schedules(f);
}

struct tg_config_file *tg_config_file_read(const void *bytes, size_t len,
                                           const struct tg_expand_from *from)
{
    struct tg_config_file *f = calloc(1, sizeof *f);
    struct tg_error err;

    if (!f)
        return NULL;
    tg_arena_init(&f->arena, 256u << 20);
    f->from = from;
    f->scratch = tg_config_new();
    f->n_settings = tg_settings_list(f->setting);
    f->mistakes.nomem = !f->scratch;
    f->queue_set = f->scratch && f->scratch->worker.queue;
    tg_yaml_read(bytes, len, from, &f->yaml, &f->mistakes);
    if (f->scratch && tg_config_check(f->scratch, &err) != TG_OK)
        tg_mistakes_take(&f->mistakes, 1, 1, &err); /* the environment */
    if (f->yaml.root && f->yaml.root->kind != TG_YAML_MAP)
        tg_file_wrong(f, f->yaml.root, "a configuration is made of keys with values");
    else if (f->yaml.root && f->scratch && tg_file_layer(f, &f->seed) &&
             tg_file_layer(f, &f->defaults))
        read_root(f, f->yaml.root);
    else if (!f->yaml.root && !f->mistakes.n)
        tg_mistakes_add(&f->mistakes, 1, 1, "there is nothing in it");
    make_jobs(f);
    f->n_warnings = f->mistakes.n - TG_MIN(f->mistakes.n_errors + f->n_advice, f->mistakes.n);
    tg_mistakes_sort(&f->mistakes);
    return f;
}

void tg_config_file_free(struct tg_config_file *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n_jobs; i++)
        for (size_t k = 0; k < f->job[i].job.n_accounts; k++)
            tg_config_free(f->job[i].job.accounts[k]);
    tg_config_free(f->scratch);
    tg_mistakes_done(&f->mistakes);
    tg_yaml_done(&f->yaml);
    tg_arena_wipe(&f->arena);
    free(f);
}

static tg_code tell(const struct tg_config_file *f, const char *path, tg_config_mistake_fn mistake,
                    void *ctx, struct tg_error *err)
{
    const struct tg_mistake *first = NULL;

    for (size_t i = 0; i < f->mistakes.n; i++) {
        const struct tg_mistake *m = &f->mistakes.item[i];

        if (!first && !m->warning)
            first = m;
        if (mistake)
            mistake(ctx, &(struct tg_config_mistake){ path, m->line, m->column, m->warning,
                                                      m->advice, m->err.message,
                                                      m->err.hint });
    }
    if (f->mistakes.nomem)
        return tg_fail(err, TG_NOMEM, "no memory for '%.200s'", path);
    if (!first)
        return TG_OK;
    if (mistake) {
        tg_fail(err, TG_USAGE, "%zu mistake%s in '%.200s'", f->mistakes.n_errors,
                f->mistakes.n_errors == 1 ? "" : "s", path);
        return tg_hint(err, "docs/configuration.md tells what a file can hold, and so does tgdata "
                            "config schema");
    }
    tg_fail(err, TG_USAGE, "%.100s:%u:%u: %.200s", path, first->line, first->column,
            first->err.message);
    return first->err.hint[0] ? tg_hint(err, "%s", first->err.hint) : TG_USAGE;
}

tg_code tg_config_file_load(const char *path, tg_config_mistake_fn mistake, void *ctx,
                            struct tg_config_file **ret, struct tg_error *err)
{
    struct tg_config_file *f = NULL;
    struct tg_buf bytes;
    tg_code code;

    tg_buf_init(&bytes, TG_YAML_MAX + 1025);
    tg_buf_grow(&bytes, TG_YAML_MAX + 1025); /* one that grew would leave copies behind */
    code = tg_expand_process.file(NULL, path, &bytes, err);
    if (code == TG_OK) {
        f = tg_config_file_read(bytes.data, bytes.len, &tg_expand_process);
        code = f ? tell(f, path, mistake, ctx, err)
                 : tg_fail(err, TG_NOMEM, "no memory for '%.200s'", path);
    }
    tg_buf_wipe(&bytes);
    if (code == TG_OK)
        *ret = f;
    else
        tg_config_file_free(f);
    return code;
}

const struct tg_config_job *tg_config_file_job(const struct tg_config_file *f, size_t i)
{
    return i < f->n_jobs ? &f->job[i].job : NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

bool tg_config_job_same(const struct tg_config_job *a, const struct tg_config_job *b)
{
    bool same = a->pattern == b->pattern && a->n_chats == b->n_chats &&
                a->n_accounts == b->n_accounts && a->offline == b->offline &&
                same_text(a->from, b->from) && same_text(a->from_job, b->from_job) &&
                same_text(a->of, b->of);

    for (size_t i = 0; same && i < a->n_chats; i++)
        same = strcmp(a->chats[i], b->chats[i]) == 0;
    for (size_t i = 0; same && i < a->n_accounts; i++)
        same = tg_config_same(a->accounts[i], b->accounts[i], "workers");
    return same;
}

size_t tg_config_file_warnings(const struct tg_config_file *f)
{
    return f->n_warnings;
}
