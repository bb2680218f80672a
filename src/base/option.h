/* SPDX-License-Identifier: MIT */
/*
 * option.h - options as a table: parsed, checked, defaulted and documented from one row each
 *
 * A driver or a command declares a struct for its settings and a table whose rows name a member by
 * its offset. The engine fills the struct from text, checks the bounds, and prints the help.
 *
 * Threads: none: tables are const, the struct belongs to the caller
 */
#ifndef TG_OPTION_H
#define TG_OPTION_H

#include "base/buf.h"
#include "tgdata/describe.h"

enum tg_option_type {
    TG_OPT_STR,      /* const char *; borrowed from the text given */
    TG_OPT_SECRET,   /* const char *; never printed */
    TG_OPT_I64,      /* int64_t */
    TG_OPT_SIZE,     /* int64_t bytes: "64MiB" */
    TG_OPT_MS,       /* int64_t milliseconds: "30s"; without an upper bound also "forever" */
    TG_OPT_BOOL,     /* bool; a bare flag on the command line */
    TG_OPT_PERCENT,  /* int64_t parts of a million, as the bounds: "5", "0.5", "0.5%" */
    TG_OPT_TIME,     /* int64_t Unix seconds: "2024-01-15" */
    TG_OPT_CHOICE,   /* int64_t: index into the words of `choices` */
    TG_OPT_LIST,     /* struct tg_option_list: may be given again */
};

struct tg_option_list {
    const char **item; /* owned by the struct; items borrowed */
    size_t n;
};

/*
 * `min` and `max` bound numbers; both 0: no bounds; max below min: no upper one. A row with a NULL
 * name ends the table. In names '-' and '_' are the same.
 */
struct tg_option {
    const char *name; /* as written by the user: "batch-size" */
    enum tg_option_type type;
    size_t offset;
    const char *fallback; /* text of the default; NULL leaves the member zero */
    int64_t min, max;
    const char *value;   /* word for the value in help: "FILE" */
    const char *help;    /* one line, lower case, no full stop */
    const char *choices; /* for TG_OPT_CHOICE: "auto|plain|json|none" */
    const char *also;    /* another name that is taken for it; NULL if none */
    const char *env;     /* environment variable read when the option is absent; NULL if none */
};

/**
 * Sets every member to the row's environment variable if that is set and not empty, else to its
 * fallback. Overwrites all members: lists held before must be freed first.
 * @return TG_USAGE if a text breaks its own row; the variable is named
 */
tg_code tg_options_default(const struct tg_option *table, void *settings, struct tg_error *err);

/**
 * Sets one member from text.
 * @param text  value; for TG_OPT_BOOL NULL means true, else yes/no/true/false/on/off/1/0
 * @return TG_USAGE with what was wrong and what is taken; a similar name is suggested
 */
tg_code tg_option_set(const struct tg_option *table, void *settings, const char *name,
                      const char *text, struct tg_error *err);

/** @return the row of that name, or NULL */
const struct tg_option *tg_option_find(const struct tg_option *table, const char *name);

/** @return the most similar of the table's names, or NULL if none is near */
const char *tg_option_similar(const struct tg_option *table, const char *name);

/** @param but  a row that does not count; NULL: all do
 *  @return whether two structs have the same settings */
bool tg_options_same(const struct tg_option *table, const void *a, const void *b, const char *but);

/** Frees what TG_OPT_LIST members hold. */
void tg_options_done(const struct tg_option *table, void *settings);

/** Appends the help of all rows as "--name VALUE  help (default: x)", aligned, wrapped at `width`
 *  columns. */
void tg_options_help(const struct tg_option *table, struct tg_buf *out, size_t width);

/** As tg_options_help, as they stand in a driver's URL: "name=VALUE  help". */
void tg_options_help_url(const struct tg_option *table, struct tg_buf *out, size_t width);

/** Tells of a row what others may know. */
void tg_option_describe(const struct tg_option *row, struct tg_option_info *ret);

enum { TG_PERCENT = 10000, TG_WHOLE = 100 * TG_PERCENT }; /* parts of a million */

/** Decodes %XX in place. @return false if malformed, or if it would hide a NUL in the text */
bool tg_percent_decode(char *text);

/**
 * Sets options from the query of a URL, "name=value&flag". Values are percent-decoded in place, and
 * the members point into the text, which must live as long.
 * @return TG_USAGE as tg_option_set
 */
tg_code tg_options_query(const struct tg_option *table, void *settings, char *query,
                         struct tg_error *err);

/**
 * Splits a driver's URL "name:target?query" in place: ends the name and the target with NULs.
 * @param ret_query  NULL if there is none
 * @return TG_USAGE, without a hint, if there is no name
 */
tg_code tg_driver_split(char *url, const char *what, char **ret_target, char **ret_query,
                        struct tg_error *err);

/** Common head of every driver and command; found by name in one table per kind. */
struct tg_driver {
    const char *name;               /* "ndjson" */
    const char *help;               /* one line */
    const struct tg_option *option; /* ends with a NULL name; may be NULL */
    size_t size;                    /* bytes of the settings struct that `option` fills */
};

/**
 * Finds a driver by name.
 * @param at    gives the head number i of the table, NULL behind the last
 * @param what  the kind for the message: "destination"
 * @return TG_USAGE, with the names there are, if none has that name
 */
tg_code tg_driver_find(const struct tg_driver *(*at)(size_t i), const char *name, const char *what,
                       size_t *ret, struct tg_error *err);

/** An instance of a driver that was made for a URL: its options are filled, it is not open. */
struct tg_driver_made {
    size_t at;    /* number in the table */
    void *self;   /* to be freed, after tg_options_done */
    char *url;    /* a copy that the options point into; to be freed */
    char *target; /* in it: what stands behind "NAME:" */
    size_t url_len;
};

/** Makes an instance of the driver that a URL "NAME:TARGET?option=value&..." names. For `at` and
 *  `what` see tg_driver_find. ret is written on TG_OK only */
tg_code tg_driver_make(const struct tg_driver *(*at)(size_t i), const char *what, const char *url,
                       struct tg_driver_made *ret, struct tg_error *err);

/** Frees what is not opened; the URL may have a password in it and is wiped. */
void tg_driver_unmake(struct tg_driver_made *made, const struct tg_option *option);

#endif
