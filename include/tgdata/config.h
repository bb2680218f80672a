/* SPDX-License-Identifier: MIT */
/*
 * config.h - all settings by name, checked when they are set
 *
 * One table per scope declares each setting with type, default, bounds and help; the program's
 * options, its help and the documentation are read from the same tables. A config starts with the
 * defaults (and with environment variables where a row names one).
 *
 * Threads: one at a time; a config is read when an account is opened or a job starts, and may be
 * freed then.
 */
#ifndef TGDATA_CONFIG_H
#define TGDATA_CONFIG_H

#include <stddef.h>

#include "tgdata/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tg_config;

/** Which part of the library a setting belongs to. */
enum tg_scope {
    TG_SCOPE_ACCOUNT, /**< session file, data centre, transport, proxy, limits */
    TG_SCOPE_LOGIN,   /**< phone, code, password, bot token, QR */
    TG_SCOPE_JOB,     /**< destination, state, batches */
    TG_SCOPE_READ,    /**< how Telegram is read, and how much waits for the destination */
    TG_SCOPE_EXTRACT, /**< ranges, comments, files, several accounts */
    TG_SCOPE_WORKER,  /**< where tasks of workers come from */
    TG_SCOPE_STAGES,  /**< what is done to rows on their way */
    TG_SCOPE_WATCH,   /**< what is remembered of messages, and how much is on its way */
    TG_SCOPE_STREAM,  /**< streams without end */
    TG_SCOPE_MONITOR, /**< how it is going, for others to see */
    TG_SCOPE_LOG,     /**< what is told, and in which form */
    TG_SCOPE_SCHEDULE, /**< when `tgdata schedule run` runs a job of a file, and how */
    TG_SCOPE_COUNT
};

/** @return a config with defaults; NULL out of memory. A broken environment variable shows up at
 *  the first tg_config_set or when the config is used. */
TG_API struct tg_config *tg_config_new(void);
TG_API void tg_config_free(struct tg_config *config); /* NULL is nothing; secrets are wiped */

/**
 * Sets one setting of any scope.
 * @param value  text, copied; NULL for a flag means true
 * @return TG_USAGE with what is wrong and what would be right
 */
TG_API tg_code tg_config_set(struct tg_config *config, const char *name, const char *value,
                             struct tg_error *err) TG_MUST_CHECK;

/** @return the text of a setting that is a text, valid until it is set again or the config is
 *  freed; NULL if it has none */
TG_API const char *tg_config_text(const struct tg_config *config, const char *name);
/** @return value number i, from 0, of a setting that may be set several times; NULL: no such one */
TG_API const char *tg_config_item(const struct tg_config *config, const char *name, size_t i);

/** @return whether a flag is set; false: there is no such one */
TG_API bool tg_config_flag(const struct tg_config *config, const char *name);

/** @return whether a setting may be set several times, and each value adds to those before */
TG_API bool tg_config_repeats(const char *name);

/** @return whether any scope has a setting of that name, and whether it is a flag */
TG_API bool tg_config_known(const char *name, bool *ret_is_flag);

/** The name of the i-th setting of a scope; NULL past the last. */
TG_API const char *tg_config_name(enum tg_scope scope, size_t i);

/**
 * Writes the help of a scope's settings, one line each.
 * @return length of the whole text, as snprintf
 */
TG_API size_t tg_config_help(enum tg_scope scope, size_t width, char *out, size_t n);

#ifdef __cplusplus
}
#endif
#endif
