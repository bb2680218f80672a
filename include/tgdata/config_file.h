/* SPDX-License-Identifier: MIT */
/*
 * config_file.h - accounts, jobs and their settings in a YAML file
 *
 *   struct tg_config_file *file;
 *   tg_config_file_load("etl.yaml", on_mistake, ctx, &file, &err);
 *   for (size_t i = 0; (job = tg_config_file_job(file, i)); i++)
 *       ...                     job->accounts[0] is a config as tg_config_set would have filled it
 *   tg_config_file_free(file);
 *
 * The whole file is checked before any of it is used, and everything that is wrong is told, each
 * with line and column. What stands in it is told in docs/configuration.md, and by
 * tg_config_schema for editors.
 *
 * Threads: one at a time
 */
#ifndef TGDATA_CONFIG_FILE_H
#define TGDATA_CONFIG_FILE_H

#include "tgdata/config.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_config_file;

/** What a job does. */
enum tg_pattern {
    TG_PATTERN_BATCH,  /**< to their end, resumably (tg_extract, tg_parallel_run) */
    TG_PATTERN_STREAM, /**< what happens in them, without end (tg_stream_run) */
    TG_PATTERN_DELTA,  /**< what has changed since the last run (tg_stream_delta) */
    TG_PATTERN_TRANSFORM, /**< steps over what was extracted before (tg_transform_run) */
    TG_PATTERN_VERIFY, /**< whether all is there that a job has delivered (tg_verify) */
    TG_PATTERN_WORKER, /**< chats that stand on a queue (tg_worker_run) */
    TG_PATTERN_COUNT
};

/** @return "batch", "stream", "delta", "transform", "verify", "worker" */
TG_API const char *tg_pattern_name(enum tg_pattern pattern);

/** One thing that is wrong with a file. */
struct tg_config_mistake {
    const char *path;      /**< of the file, as given */
    unsigned line, column; /**< from 1 */
    bool warning;          /**< can be loaded, but not be run: what it asks for is not built in */
    bool advice;           /**< with `warning`: can be run as well, but is seldom what was meant */
    const char *message;   /**< one line */
    const char *hint;      /**< may be "" */
};
typedef void (*tg_config_mistake_fn)(void *ctx, const struct tg_config_mistake *mistake);

/** One job of a file; valid until the file is freed. */
struct tg_config_job {
    const char *name;
    enum tg_pattern pattern;
    const char *const *chats; /**< as tg_extract takes them; of a transformation marked ids */
    size_t n_chats;           /**< 0: all chats of the accounts, or of the source */
    /** One config for each account, with all settings of the job and of that account. Those of the
     *  job are the same in each. At least one, also of a job that asks no account. A verification
     *  has the state and the media of the job that it verifies. */
    struct tg_config *const *accounts;
    size_t n_accounts;
    unsigned workers;         /**< the setting of that name */
    bool no_account;          /**< Telegram is not asked */
    const char *reads;        /**< the job of the file whose rows are read: it is to be run before;
                                   NULL: none */
    const char *from;         /**< of a transformation: URL of what is read */
    const char *from_job;     /**< only the chats of that job; NULL: all that are there */
    const char *of;           /**< of a verification: the job that is verified */
    bool offline;             /**< the server is not asked */
};

/**
 * Reads and checks a file. ${NAME} and ${file:PATH} are filled in.
 *
 * @param mistake  called for each mistake, in the order of the file; NULL: only err tells
 * @param ret      written on TG_OK only
 * @param err      how many mistakes there are; without a callback the first of them, with its line
 * @return TG_OK, also if there are warnings only; TG_USAGE: the file cannot be read, or is wrong;
 *         TG_NOMEM
 */
TG_API tg_code tg_config_file_load(const char *path, tg_config_mistake_fn mistake, void *ctx,
                                   struct tg_config_file **ret,
                                   struct tg_error *err) TG_MUST_CHECK;
TG_API void tg_config_file_free(struct tg_config_file *file); /* NULL is nothing */

/** @return job number i of a file, from 0; NULL past the last */
TG_API const struct tg_config_job *tg_config_file_job(const struct tg_config_file *file, size_t i);

/** @return whether two jobs, of one file or of two, ask for the same: pattern, chats, accounts and
 *  all settings but the number of workers, which a run can be given while it runs */
TG_API bool tg_config_job_same(const struct tg_config_job *a, const struct tg_config_job *b);

/** @return how many warnings there were that are no advice */
TG_API size_t tg_config_file_warnings(const struct tg_config_file *file);

/**
 * Writes what a file comes to as YAML: the jobs, each with the settings that the file gives it, and
 * the line where each stands. Secrets are written as ***.
 * @return length of the whole text, as snprintf
 */
TG_API size_t tg_config_file_show(const struct tg_config_file *file, char *out, size_t n);

/** Writes a JSON Schema of what a file can hold. @return length of the whole text, as snprintf */
TG_API size_t tg_config_schema(char *out, size_t n);

#ifdef __cplusplus
}
#endif
#endif
