/* SPDX-License-Identifier: MIT */
/*
 * describe.h - the tables of the library as data: settings, drivers, keys of configuration files
 *
 *   struct tg_option_info o;
 *   for (size_t i = 0; tg_setting_describe(TG_SCOPE_JOB, i, &o); i++)
 *       printf("--%s %s  %s\n", o.name, o.value ? o.value : "", o.help);
 *
 * For whatever shows or completes them: the program's help, manual pages and completion of shells,
 * forms of other programs. All texts are constants.
 *
 * Threads: any
 */
#ifndef TGDATA_DESCRIBE_H
#define TGDATA_DESCRIBE_H

#include "tgdata/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A setting, or an option of a driver or a command. */
struct tg_option_info {
    const char *name;     /**< "batch-size"; of a configuration file with '_' as well */
    const char *value;    /**< word for the value: "N", "FILE"; NULL: a flag */
    const char *choices;  /**< "auto|plain"; NULL: other values */
    const char *help;     /**< one line, lower case, no full stop */
    const char *fallback; /**< the default as text; NULL: none that is worth telling */
    const char *env;      /**< environment variable that is read in its place; NULL */
    bool repeats;         /**< may be given again */
};

/** Number i, from 0, of a scope. @return false past the last */
TG_API bool tg_setting_describe(enum tg_scope scope, size_t i, struct tg_option_info *ret);

/** What there are drivers for. */
enum tg_driver_kind {
    TG_DRIVER_DESTINATION, /**< --to */
    TG_DRIVER_STATE,       /**< --state */
    TG_DRIVER_QUEUE,       /**< --queue */
    TG_DRIVER_STAGE,       /**< --stage */
    TG_DRIVER_KINDS
};

struct tg_driver_info {
    const char *name; /**< "ndjson" */
    const char *help; /**< one line */
};

/** Driver number i, from 0. @return false past the last */
TG_API bool tg_driver_describe(enum tg_driver_kind kind, size_t i, struct tg_driver_info *ret);

/** Option number j, from 0, of driver number i. @return false past the last of either */
TG_API bool tg_driver_option_describe(enum tg_driver_kind kind, size_t i, size_t j,
                                      struct tg_option_info *ret);

/** A key in the sections of a configuration file. */
struct tg_file_key_info {
    const char *path;    /**< "error_handling.retry.max_attempts" */
    const char *setting; /**< the setting that it gives; NULL: none of that name */
    const char *meaning; /**< one line, of those that are not simply that setting; NULL */
};

/** Number i, from 0. @return false past the last */
TG_API bool tg_file_key_describe(size_t i, struct tg_file_key_info *ret);

#ifdef __cplusplus
}
#endif
#endif
