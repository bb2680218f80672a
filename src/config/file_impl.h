/* SPDX-License-Identifier: MIT */
/*
 * file_impl.h - how the tree of a configuration file becomes settings
 *
 *   section of the seed's ETL design \
 *   defaults                          > layers of values, by setting --> a config for each account
 *   account, job                     /                                    of each job
 *
 * A layer holds for each setting the node that gives its value, so that a later layer replaces an
 * earlier one as a whole, lists as well. Each value is tried on a scratch config where it stands,
 * which is what tells mistakes with their lines; what is applied to a job's configs is known to
 * fit.
 *
 * Threads: none
 */
#ifndef TG_CONFIG_FILE_IMPL_H
#define TG_CONFIG_FILE_IMPL_H

#include "config/rules.h"
#include "config/settings.h"
#include "config/yaml.h"
#include "tgdata/config_file.h"

enum { TG_SETTINGS_MAX = 256, TG_FILE_JOBS = 10000, TG_FILE_ACCOUNTS = 64,
       TG_FILE_CONFIGS = 20000 };

/** A setting of any scope. */
struct tg_setting {
    const struct tg_option *row;
    enum tg_scope scope;
};

/** What a layer gives a setting. */
struct tg_given {
    const struct tg_yaml_node *node; /* where it stands; NULL: it is not given */
    const char *const *text;         /* its value, or those of a list; n 0: it is taken away */
    const char *const *shown;        /* the same as it stands in the file */
    size_t n;
};

struct tg_layer {
    struct tg_given *given; /* one for each setting of the file */
};

struct tg_file_account {
    const char *name;
    const struct tg_yaml_node *node;
    struct tg_layer layer;
};

struct tg_file_job {
    struct tg_config_job job; /* what callers see */
    const struct tg_yaml_node *node;
    const struct tg_yaml_node *source; /* the value of `from` or `of` */
    const struct tg_file_job *reads;   /* the job that it names; NULL: none of the file */
    bool no_rules;                     /* quality: no */
    bool all;                 /* chats: all */
    struct tg_layer layer;
    struct tg_file_account **account; /* NULL: the one that the settings name */
    size_t n_account;
};

struct tg_config_file {
    struct tg_arena arena;
    struct tg_yaml yaml;
    struct tg_mistakes mistakes;
    const struct tg_expand_from *from;
    struct tg_config *scratch;
    bool queue_set; /* TGDATA_QUEUE names the queue of jobs that name none */
    struct tg_setting setting[TG_SETTINGS_MAX];
    size_t n_settings;
    struct tg_layer seed, defaults;
    const struct tg_yaml_node *breaker; /* the node `enabled` of the seed's circuit breaker */
    bool breaker_on;
    enum tg_pattern pattern;            /* of jobs that name none */
    struct tg_file_account *account;
    size_t n_accounts;
    struct tg_file_job *job;
    size_t n_jobs, n_warnings, n_advice;
    struct tg_rules rules; /* the section `quality` */
};

/** How many of something a job takes. */
enum tg_takes { TG_TAKES_NONE, TG_TAKES_ONE, TG_TAKES_MANY };

/** What jobs of a pattern are. */
struct tg_pattern_info {
    const char *name, *who;      /* "batch", "a batch" */
    unsigned scopes;             /* bits: settings that they take */
    enum tg_takes accounts, to;
    bool chats;                  /* they name chats */
    bool all;                    /* or take all */
    bool one_hand;               /* one thread has all rows of a run */
};

extern const struct tg_pattern_info tg_patterns[TG_PATTERN_COUNT];

/** A key of jobs that is no setting. */
struct tg_job_key {
    const char *name;
    unsigned taken, needed; /* bits of patterns */
    const char *help;
};

extern const struct tg_job_key tg_job_keys[]; /* ended by a NULL name */

/** @return the key of that name, or NULL */
const struct tg_job_key *tg_job_key_find(const char *name);

/* ---- file.c ---- */

/** As tg_config_file_load, from bytes and with the given source of ${...}; the mistakes are in the
 *  file, sorted. NULL out of memory. */
struct tg_config_file *tg_config_file_read(const void *bytes, size_t len,
                                           const struct tg_expand_from *from);

/** Lists the settings that a file can give. @return how many */
size_t tg_settings_list(struct tg_setting out[TG_SETTINGS_MAX]);

/** @return whether jobs of a pattern take settings of a scope */
bool tg_pattern_takes(enum tg_pattern pattern, enum tg_scope scope);

/** Who takes which settings. */
struct tg_taker {
    const char *who;  /* "a stream" */
    unsigned scopes;  /* bits */
    unsigned pattern; /* bit of the pattern, of a job; 0: it has no keys besides */
};

/** Reads all settings of a map into a layer; keys of jobs that are none are left to the caller. */
void tg_file_read_settings(struct tg_config_file *file, const struct tg_taker *taker,
                           const struct tg_yaml_node *map, struct tg_layer *layer);

/** Makes a layer that gives nothing. @return false out of memory */
bool tg_file_layer(struct tg_config_file *file, struct tg_layer *layer);

/** @return the value of a key of a map; NULL: there is none */
const struct tg_yaml_node *tg_file_find(const struct tg_yaml_node *map, const char *name);

/* ---- file_jobs.c ---- */

/** The pattern of a word. */
bool tg_pattern_parse(const char *word, enum tg_pattern *ret);

/** Reads the list of jobs, and finds for each the job whose rows it reads. */
void tg_file_read_jobs(struct tg_config_file *file, const struct tg_yaml_node *list);

/** The value that counts for a setting of a job with an account; NULL: none is given. */
const struct tg_given *tg_file_given(const struct tg_config_file *file,
                                     const struct tg_file_job *job,
                                     const struct tg_file_account *account, size_t setting);

/** @return whether a job's rows meet the rules of the section `quality` */
bool tg_file_rules(const struct tg_config_file *file, const struct tg_file_job *job);

/** Copies a text out, as snprintf; used by show and schema. */
size_t tg_text_out(struct tg_buf *text, char *out, size_t n);

/* ---- file_steps.c ---- */

/** Whether a job's rows can go through its stages, and be verified behind its runs. */
void tg_file_check_steps(struct tg_config_file *file, const struct tg_file_job *job);

/** Whether what a job writes can be read again. @param node  that wants it */
void tg_file_check_readable(struct tg_config_file *file, const struct tg_file_job *job,
                            const struct tg_yaml_node *node);

/* ---- file_value.c ---- */

/** The mistake at a node. */
struct tg_mistake *tg_file_wrong(struct tg_config_file *file, const struct tg_yaml_node *node,
                                 const char *fmt, ...) TG_PRINTF(3, 4);

/** As tg_file_wrong, but the file can be run. */
struct tg_mistake *tg_file_advise(struct tg_config_file *file, const struct tg_yaml_node *node,
                                  const char *text);

/** An unknown key, with the most similar of n names. */
void tg_file_unknown(struct tg_config_file *file, const struct tg_yaml_node *key,
                     const char *const *names, size_t n);

/** @return whether two names are the same, '-' and '_' alike */
bool tg_name_same(const char *a, const char *b);

/** @return the number of the setting of that name, or SIZE_MAX */
size_t tg_file_setting(const struct tg_config_file *file, const char *name);

/** The one text of a node; NULL, with the mistake told, if it is something else or nothing, or a
 *  plain word that YAML takes for something else than a text. */
const char *tg_file_text(struct tg_config_file *file, const struct tg_yaml_node *node,
                         const char *what);

/** Reads a truth value. @return false with the mistake told */
bool tg_file_bool(struct tg_config_file *file, const struct tg_yaml_node *node, const char *what,
                  bool *ret);

/** Gives a setting the value of a node. */
void tg_file_give(struct tg_config_file *file, struct tg_layer *layer, size_t setting,
                  const struct tg_yaml_node *node);

/** Gives a setting a text that stands for the node's value. */
void tg_file_give_text(struct tg_config_file *file, struct tg_layer *layer, size_t setting,
                       const struct tg_yaml_node *node, const char *text);

/* ---- file_keys.c ---- */

/** Reads one of the sections that the design of ETL interfaces names: extraction, rate_limiting,
 *  error_handling, monitoring. @return whether it is one of them */
bool tg_file_section(struct tg_config_file *file, const struct tg_yaml_node *key,
                     const struct tg_yaml_node *value);

/* ---- file_schedule.c ---- */

/** Checks what jobs say of when they are run: each schedule with its zone and what it gives way to,
 *  that the jobs to be run after are there and do not wait for one another, resources. */
void tg_file_check_schedules(struct tg_config_file *file);

/** What sections leave to be done when all were read. */
void tg_file_sections_end(struct tg_config_file *file);

/** A key of a section. */
enum tg_key_kind {
    TG_KEY_SAME,       /* the setting's own value */
    TG_KEY_NOT,        /* a truth value, turned round */
    TG_KEY_PERCENT,    /* a share of 0 to 1 for a setting in percent */
    TG_KEY_PATTERN,    /* the pattern of jobs that name none */
    TG_KEY_BREAKER,    /* whether there are circuit breakers */
    TG_KEY_COORDINATE, /* whether limits are shared, or through what */
};

struct tg_key {
    const char *path;    /* "retry.max_attempts", with its section before */
    const char *setting; /* that it means */
    enum tg_key_kind kind;
};

extern const struct tg_key tg_keys[]; /* ended by a NULL path */

/** Other names of settings, with values of other units; they stand where the settings do. */
extern const struct tg_key tg_other_keys[]; /* ended by a NULL path */

/** @return the row of that name; NULL */
const struct tg_key *tg_file_other_key(const char *name);

/** Gives a setting in percent a share from 0 to 1. */
void tg_file_give_percent(struct tg_config_file *file, struct tg_layer *layer,
                          const struct tg_key *key, const struct tg_yaml_node *node);

#endif
