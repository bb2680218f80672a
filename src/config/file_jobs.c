/* SPDX-License-Identifier: MIT */
/*
 * file_jobs.c - the jobs of a configuration file: what each pattern takes, and who reads whose rows
 *
 * `from` of a transformation and `of` of a verification name another job of the file, wherever it
 * stands; so that is looked at when all jobs were read. A `from` that is no job's name is the URL
 * of a destination; if a job of the file writes there, it is the one that is read.
 */
#include "base/text.h"
#include "config/file_impl.h"
#include "sink/sink.h"

/* ---- the tables ---- */

#define BIT(scope) (1u << TG_SCOPE_##scope)
#define PATTERN(name) (1u << TG_PATTERN_##name)

enum {
    EVERY = BIT(MONITOR) | BIT(LOG) | BIT(SCHEDULE),
    READS = EVERY | BIT(ACCOUNT) | BIT(JOB) | BIT(READ),
};

const struct tg_pattern_info tg_patterns[TG_PATTERN_COUNT] = {
    [TG_PATTERN_BATCH] = { "batch", "a batch", READS | BIT(STAGES) | BIT(EXTRACT), TG_TAKES_MANY,
                           TG_TAKES_MANY, .chats = true, .all = true, .one_hand = true },
    [TG_PATTERN_STREAM] = { "stream", "a stream", READS | BIT(STAGES) | BIT(WATCH) | BIT(STREAM),
                            TG_TAKES_ONE, TG_TAKES_ONE, .chats = true },
    [TG_PATTERN_DELTA] = { "delta", "a delta", READS | BIT(STAGES) | BIT(WATCH), TG_TAKES_ONE,
                           TG_TAKES_ONE, .chats = true },
    [TG_PATTERN_TRANSFORM] = { "transform", "a transform", EVERY | BIT(JOB) | BIT(STAGES),
                               TG_TAKES_NONE, TG_TAKES_ONE, .all = true, .one_hand = true },
    [TG_PATTERN_VERIFY] = { "verify", "a verify", BIT(ACCOUNT) | BIT(LOG) | BIT(SCHEDULE),
                            TG_TAKES_ONE, TG_TAKES_NONE },
    [TG_PATTERN_WORKER] = { "worker", "a worker", READS | BIT(STAGES) | BIT(EXTRACT) | BIT(WORKER),
                            TG_TAKES_MANY, TG_TAKES_MANY, .one_hand = true },
};

enum {
    ALL = (1u << TG_PATTERN_COUNT) - 1,
    WITH_CHATS = PATTERN(BATCH) | PATTERN(STREAM) | PATTERN(DELTA),
};

const struct tg_job_key tg_job_keys[] = {
    { "name", ALL, ALL, "its checkpoints and parameters belong together" },
    { "pattern", ALL, 0, "what it does" },
    { "chats", WITH_CHATS | PATTERN(TRANSFORM), WITH_CHATS,
      "ids, @usernames, links; of a batch also all; of a transform ids, or all" },
    { "account", ALL & ~PATTERN(TRANSFORM), 0, "the account that reads" },
    { "accounts", ALL & ~PATTERN(TRANSFORM), 0, "the accounts that read; of a batch or worker "
                                                "several" },
    { "from", PATTERN(TRANSFORM), PATTERN(TRANSFORM),
      "of a transform: the job whose rows are read, or the URL of what it has written" },
    { "from_job", PATTERN(TRANSFORM), 0, "with a URL: only chats which that job has extracted" },
    { "of", PATTERN(VERIFY), PATTERN(VERIFY), "of a verify: the job whose rows are looked at" },
    { "offline", PATTERN(VERIFY), 0, "the server is not asked: no account is needed" },
    { "quality", ALL & ~PATTERN(VERIFY), 0,
      "no: its rows do not meet the section quality" },
    { NULL, 0, 0, NULL },
};

const struct tg_job_key *tg_job_key_find(const char *name)
{
    const struct tg_job_key *key = tg_job_keys;

    while (key->name && !tg_name_same(key->name, name))
        key++;
    return key->name ? key : NULL;
}

const char *tg_pattern_name(enum tg_pattern pattern)
{
    return tg_patterns[pattern].name;
}

bool tg_pattern_parse(const char *word, enum tg_pattern *ret)
{
    for (int p = 0; p < TG_PATTERN_COUNT; p++) {
        if (strcmp(word, tg_patterns[p].name) == 0) {
            *ret = (enum tg_pattern)p;
            return true;
        }
    }
    if (strcmp(word, "parallel_batch") != 0)
        return false;
    *ret = TG_PATTERN_BATCH; /* how many chats at once is told by `workers` */
    return true;
}

static const struct tg_pattern_info *info(const struct tg_file_job *job)
{
    return &tg_patterns[job->job.pattern];
}

/* ---- one job ---- */

static void read_name(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_yaml_node *name = tg_file_find(job->node, "name");

    if (!name) {
        tg_file_wrong(f, job->node, "a job has no name");
        return;
    }
    job->job.name = tg_file_text(f, name, "name");
    for (size_t i = 0; job->job.name && &f->job[i] != job; i++)
        if (f->job[i].job.name && strcmp(f->job[i].job.name, job->job.name) == 0)
            tg_file_wrong(f, name, "there are two jobs '%.64s': line %u", job->job.name,
                          f->job[i].node->line);
}

static void read_pattern(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_yaml_node *pattern = tg_file_find(job->node, "pattern");
    const char *word = pattern ? tg_file_text(f, pattern, "pattern") : NULL;
    struct tg_option names[TG_PATTERN_COUNT + 1] = { { 0 } };
    struct tg_mistake *m;
    struct tg_buf all;

    job->job.pattern = f->pattern;
    if (!word || tg_pattern_parse(word, &job->job.pattern))
        return;
    tg_buf_init(&all, 512);
    for (int p = 0; p < TG_PATTERN_COUNT; p++) {
        names[p].name = tg_patterns[p].name;
        tg_buf_printf(&all, "%s%s", p ? "|" : "", tg_patterns[p].name);
    }
    m = tg_file_wrong(f, pattern, "'pattern' is one of %s, not '%.64s'", tg_buf_cstr(&all), word);
    if (tg_option_similar(names, word))
        tg_hint(&m->err, "did you mean '%s'?", tg_option_similar(names, word));
    tg_buf_done(&all);
}

/* Chats of a source are named by the ids that its rows have. */
static void check_id(struct tg_config_file *f, const struct tg_yaml_node *node, const char *text)
{
    struct tg_mistake *m;
    int64_t id;

    if (!text || tg_i64_parse(text, &id))
        return;
    m = tg_file_wrong(f, node, "'%.64s' is no id of a chat, and a transform asks nobody", text);
    tg_hint(&m->err, "give marked ids, as the field chat_id has them");
}

static void read_chats(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_yaml_node *chats = tg_file_find(job->node, "chats");
    bool list = chats && chats->kind == TG_YAML_LIST;
    size_t n = list ? chats->n : chats ? 1 : 0;
    const char **text = tg_arena_alloc(&f->arena, n + 1, sizeof *text);
    struct tg_mistake *m;

    f->mistakes.nomem = f->mistakes.nomem || !text;
    job->job.chats = text;
    job->all = chats ? !list && chats->kind == TG_YAML_TEXT && strcmp(chats->text, "all") == 0
                     : !info(job)->chats;
    if (!text || !(tg_job_key_find("chats")->taken & 1u << job->job.pattern) ||
        (!chats && !info(job)->chats))
        return;
    if (!n) {
        m = tg_file_wrong(f, chats ? chats : job->node, "the job has no chats");
        tg_hint(&m->err, "name them: chats: [\"@name\", -1001234567890], or chats: all");
        return;
    }
    if (job->all && !info(job)->all)
        tg_file_wrong(f, chats, "%s names its chats", info(job)->who);
    for (size_t i = 0; i < n && !job->all; i++) {
        const struct tg_yaml_node *one = list ? chats->value[i] : chats;

        text[i] = tg_file_text(f, one, "chats");
        job->job.n_chats += text[i] != NULL;
        if (job->job.pattern == TG_PATTERN_TRANSFORM)
            check_id(f, one, text[i]);
    }
}

static void read_accounts(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_yaml_node *one = tg_file_find(job->node, "account");
    const struct tg_yaml_node *node = one ? one : tg_file_find(job->node, "accounts");
    bool list = node && node->kind == TG_YAML_LIST;
    size_t n = !node ? f->n_accounts : list ? node->n : 1;

    if (info(job)->accounts == TG_TAKES_NONE)
        return;
    if (one && tg_file_find(job->node, "accounts"))
        tg_file_wrong(f, one, "a job names its 'account' or its 'accounts', not both");
    if (!node && job->job.pattern == TG_PATTERN_VERIFY)
        return; /* that of the job that it verifies */
    job->account = tg_arena_alloc(&f->arena, n + 1, sizeof(struct tg_file_account *));
    for (size_t i = 0; i < n && job->account; i++) {
        const struct tg_yaml_node *at = list ? node->value[i] : node;
        const char *name = node ? tg_file_text(f, at, "account") : f->account[i].name;
        size_t k = 0;

        while (name && k < f->n_accounts && strcmp(f->account[k].name, name) != 0)
            k++;
        if (name && k < f->n_accounts)
            job->account[job->n_account++] = &f->account[k];
        else if (name)
            tg_file_wrong(f, at, "there is no account '%.64s'", name);
    }
    if (node && !n)
        tg_file_wrong(f, node, "the job has no account");
    if (n > 1 && info(job)->accounts == TG_TAKES_ONE) {
        struct tg_mistake *m = tg_file_wrong(f, node ? node : job->node, "%s takes one account",
                                             info(job)->who);

        tg_hint(&m->err, "name it: account: %.64s", f->n_accounts ? f->account[0].name : "NAME");
    }
}

static const struct tg_given *destinations(const struct tg_config_file *f,
                                           const struct tg_file_job *job)
{
    return job->layer.given ? tg_file_given(f, job, NULL, tg_file_setting(f, "to")) : NULL;
}

static void check_to(struct tg_config_file *f, const struct tg_file_job *job)
{
    const struct tg_given *to = destinations(f, job);

    if (info(job)->to == TG_TAKES_NONE)
        return;
    if (!to && !tg_file_find(job->node, "to"))
        tg_file_wrong(f, job->node, "the job has no destination: 'to'");
    else if (to && to->n > 1 && info(job)->to == TG_TAKES_ONE)
        tg_file_wrong(f, to->node, "%s takes one destination", info(job)->who);
}

static void check_needed(struct tg_config_file *f, struct tg_file_job *job)
{
    size_t queue = tg_file_setting(f, "queue");

    for (const struct tg_job_key *key = tg_job_keys; key->name; key++) {
        bool told = strcmp(key->name, "name") == 0 || strcmp(key->name, "chats") == 0;

        if (!told && key->needed & 1u << job->job.pattern && !tg_file_find(job->node, key->name))
            tg_hint(&tg_file_wrong(f, job->node, "the job has no '%s'", key->name)->err, "%s",
                    key->help);
    }
    if (job->job.pattern == TG_PATTERN_WORKER && !tg_file_given(f, job, NULL, queue) &&
        !tg_file_find(job->node, "queue") && !f->queue_set) {
        struct tg_mistake *m = tg_file_wrong(f, job->node, "the job has no queue");

        tg_hint(&m->err, "say where its tasks come from: queue: redis://HOST:PORT/0");
    }
}

/* What is read of the keys that only some patterns have. */
static void read_own(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_yaml_node *offline = tg_file_find(job->node, "offline");
    const struct tg_yaml_node *quality = tg_file_find(job->node, "quality");
    const struct tg_yaml_node *from_job = tg_file_find(job->node, "from_job");
    bool on;

    if (job->job.pattern == TG_PATTERN_VERIFY && offline)
        tg_file_bool(f, offline, "offline", &job->job.offline);
    if (quality && tg_job_key_find("quality")->taken & 1u << job->job.pattern &&
        tg_file_bool(f, quality, "quality", &on))
        job->no_rules = !on;
    if (job->job.pattern == TG_PATTERN_TRANSFORM && from_job)
        job->job.from_job = tg_file_text(f, from_job, "from_job");
    job->job.no_account = info(job)->accounts == TG_TAKES_NONE || job->job.offline;
}

static void read_job(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_yaml_node *session;

    job->job.pattern = f->pattern;
    if (job->node->kind != TG_YAML_MAP) {
        tg_file_wrong(f, job->node, "a job takes keys with values");
        return;
    }
    read_name(f, job);
    read_pattern(f, job);
    if (!tg_file_layer(f, &job->layer))
        return;
    tg_file_read_settings(f, &(struct tg_taker){ info(job)->who, info(job)->scopes,
                                                 1u << job->job.pattern },
                          job->node, &job->layer);
    read_own(f, job);
    read_chats(f, job);
    read_accounts(f, job);
    session = tg_file_find(job->node, "session");
    if (session && job->n_account)
        tg_file_wrong(f, session, "'session' stands with the account");
    check_to(f, job);
    tg_file_check_steps(f, job);
    check_needed(f, job);
}

/* ---- who reads whose rows ---- */

static const struct tg_file_job *job_named(const struct tg_config_file *f, const char *name)
{
    for (size_t i = 0; i < f->n_jobs; i++)
        if (f->job[i].job.name && strcmp(f->job[i].job.name, name) == 0)
            return &f->job[i];
    return NULL;
}

static void no_such_job(struct tg_config_file *f, const struct tg_yaml_node *node)
{
    struct tg_option *names = tg_arena_alloc(&f->arena, f->n_jobs + 1, sizeof *names);
    struct tg_mistake *m = tg_file_wrong(f, node, "there is no job '%.64s'", node->text);
    size_t n = 0;

    for (size_t i = 0; names && i < f->n_jobs; i++)
        if (f->job[i].job.name)
            names[n++].name = f->job[i].job.name;
    if (names && tg_option_similar(names, node->text))
        tg_hint(&m->err, "did you mean '%s'?", tg_option_similar(names, node->text));
}

/* The job that writes to a place, if it is one job alone. */
static const struct tg_file_job *job_writing(const struct tg_config_file *f, const char *url)
{
    const struct tg_file_job *found = NULL;

    for (size_t i = 0; i < f->n_jobs; i++) {
        const struct tg_given *to = destinations(f, &f->job[i]);

        for (size_t k = 0; to && k < to->n; k++) {
            if (strcmp(to->text[k], url) != 0)
                continue;
            if (found && found != &f->job[i])
                return NULL;
            found = &f->job[i];
        }
    }
    return found;
}

static void find_source(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_given *to;
    struct tg_mistake *m;
    struct tg_error err;

    job->reads = job_named(f, job->source->text);
    to = job->reads ? destinations(f, job->reads) : NULL;
    if (!job->reads && !strchr(job->source->text, ':')) {
        no_such_job(f, job->source);
        return;
    }
    if (job->reads == job || (job->reads && !info(job->reads)->to)) {
        tg_file_wrong(f, job->source, "the job '%.64s' writes no rows that could be read here",
                      job->source->text);
        return;
    }
    if (to && to->n > 1) {
        m = tg_file_wrong(f, job->source, "the job '%.64s' has several destinations",
                          job->source->text);
        tg_hint(&m->err, "name the one that is read by its URL");
        return;
    }
    if (job->reads && job->job.from_job) {
        m = tg_file_wrong(f, tg_file_find(job->node, "from_job"), "'from' names the job already");
        tg_hint(&m->err, "leave from_job out, or give from a URL");
    }
    if (job->reads && !to)
        return; /* told where it stands */
    job->job.from_job = job->reads ? job->reads->job.name : job->job.from_job;
    job->job.from = job->reads ? to->text[0] : job->source->text;
    job->reads = job->reads ? job->reads : job_writing(f, job->job.from);
    if (tg_sink_check_source(job->job.from, &err) != TG_OK)
        tg_mistakes_take(&f->mistakes, job->source->line, job->source->column, &err);
    to = destinations(f, job);
    if (to && strcmp(to->text[0], job->job.from) == 0)
        tg_file_wrong(f, to->node, "source and destination are one");
}

static void find_verified(struct tg_config_file *f, struct tg_file_job *job)
{
    const struct tg_file_job *of = job_named(f, job->source->text);
    struct tg_mistake *m;

    if (!of) {
        no_such_job(f, job->source);
    } else if (!info(of)->to) {
        tg_file_wrong(f, job->source, "the job '%.64s' delivers nothing", job->source->text);
    } else if (job->job.offline &&
               (of->job.pattern == TG_PATTERN_STREAM || of->job.pattern == TG_PATTERN_DELTA)) {
        m = tg_file_wrong(f, tg_file_find(job->node, "offline"),
                          "what %s has delivered is compared with the server", info(of)->who);
        tg_hint(&m->err, "leave 'offline' out");
    } else {
        job->reads = of;
        job->job.of = of->job.name;
        tg_file_check_readable(f, of, job->source);
        if (!job->account && of->n_account) {
            job->account = of->account;
            job->n_account = 1;
        } else if (!job->account && f->n_accounts) {
            job->account = tg_arena_alloc(&f->arena, 1, sizeof(struct tg_file_account *));
            f->mistakes.nomem = f->mistakes.nomem || !job->account;
            if (job->account)
                job->account[job->n_account++] = &f->account[0];
        }
    }
}

static void find_read(struct tg_config_file *f, struct tg_file_job *job)
{
    bool transforms = job->job.pattern == TG_PATTERN_TRANSFORM;

    if (job->node->kind != TG_YAML_MAP ||
        (!transforms && job->job.pattern != TG_PATTERN_VERIFY))
        return;
    job->source = tg_file_find(job->node, transforms ? "from" : "of");
    if (!job->source || !tg_file_text(f, job->source, transforms ? "from" : "of"))
        return;
    if (transforms)
        find_source(f, job);
    else
        find_verified(f, job);
    job->job.reads = job->reads ? job->reads->job.name : NULL;
}

/* ---- all ---- */

void tg_file_read_jobs(struct tg_config_file *f, const struct tg_yaml_node *list)
{
    if (list->kind != TG_YAML_LIST || list->n > TG_FILE_JOBS) {
        struct tg_mistake *m = tg_file_wrong(f, list, "'jobs' takes a list, of %d at most",
                                             TG_FILE_JOBS);

        tg_hint(&m->err, "begin each job with a dash: - name: NAME");
        return;
    }
    f->job = tg_arena_alloc(&f->arena, list->n + 1, sizeof *f->job);
    f->mistakes.nomem = f->mistakes.nomem || !f->job;
    for (size_t i = 0; f->job && i < list->n; i++) {
        f->job[i].node = list->value[i];
        f->n_jobs++;
        read_job(f, &f->job[i]);
    }
    for (size_t i = 0; f->job && i < f->n_jobs; i++)
        find_read(f, &f->job[i]);
}
