/* SPDX-License-Identifier: MIT */
/*
 * stage.h - what is done to rows on their way from a source to a destination
 *
 *   rows of a batch -> stage -> stage -> ... -> destination
 *
 * A stage goes over the rows of a batch in place: it changes fields or drops rows, and keeps the
 * order of the others. It is one file with a driver table, listed in table.c, and is written as
 * "NAME?option=value&...". A stage sees neither clock nor files nor network: what it needs of them
 * comes with struct tg_stage_env, so that the same rows give the same rows.
 *
 * Threads: one at a time for a list of stages      Limits: 64 stages in a list
 */
#ifndef TG_STAGE_H
#define TG_STAGE_H

#include "base/option.h"
#include "base/row.h"
#include "quality/seen.h"
#include "tgdata/quality.h"

enum { TG_STAGES_MAX = 64, TG_STAGE_FACT = 16 };

/** What rows went through so far; stages count up. */
struct tg_stage_counts {
    uint64_t dropped;   /* rows that are gone, those that were set aside among them */
    uint64_t aside;     /* set aside (struct tg_row_aside) */
    uint64_t decoded;   /* made again from their raw objects */
    uint64_t no_raw;    /* without one: as they stood */
    uint64_t undecoded; /* with one that cannot be decoded: as they stood, too */
    char why[200];      /* the first of those; "" */
    uint64_t failed;    /* a stage failed for them: kept or dropped, as its on-error says */
    char failed_why[200]; /* the first of those; "" */
    uint64_t judged;   /* rows that a rule looked at */
    uint64_t invalid;  /* of them, rows that broke one; both once for each row */
};

struct tg_stage_env {
    int64_t now_us; /* Unix microseconds */
    /**
     * Makes a row from the raw object of another; texts live as long as the batch.
     * @return TG_DATA, TG_NOT_FOUND: it cannot be decoded; TG_NOMEM. NULL: nobody can do that
     */
    tg_code (*decode)(void *ctx, const struct tg_row *from, struct tg_row *ret,
                      struct tg_error *err);
    void *ctx;
    struct tg_stage_counts *counts;
    const struct tg_seen_disk *disk; /* quality/seen.h; NULL: none */
};

/** For what a stage tells when the run ends. */
struct tg_stage_end {
    struct tg_quality_result *quality; /* of all rules of the run; drift is added */
    const char *job;
    int64_t now_us;
    /** Replaces a file: as a whole, or not at all. */
    tg_code (*write)(void *ctx, const char *path, const struct tg_buf *bytes,
                     struct tg_error *err);
    /**
     * What this stage of the job has remembered at the end of an earlier run, and remembering.
     * @return recall: TG_END: nothing
     */
    tg_code (*recall)(void *ctx, struct tg_buf *ret, struct tg_error *err);
    tg_code (*remember)(void *ctx, const struct tg_buf *bytes, struct tg_error *err);
    bool whole; /* the run has ended well */
    void *ctx;
};

struct tg_stage_ops {
    struct tg_driver head; /* head.size: bytes of the instance; options fill it before open */

    bool decodes; /* it wants tg_stage_env.decode */
    bool whole;   /* one instance must see all rows of a run */
    bool looks;   /* rows pass it as they are, whatever its options say */

    /** Checks the options and readies the instance. NULL: nothing to do. @return TG_USAGE */
    tg_code (*open)(void *self, struct tg_error *err);

    /** Gives up what `open` made, also if that failed. NULL: nothing. */
    void (*close)(void *self);

    /** Goes over all rows of a batch. Texts that it makes are the batch's. */
    tg_code (*run)(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                   struct tg_error *err);

    /* Of stages that gather something; NULL: of others. */

    /** Adds what another instance has gathered of other batches. */
    void (*merge)(void *self, const void *other);
    /** Adds its rule to those of the run. */
    void (*tally)(const void *self, struct tg_quality_result *q);
    /** Tells what was gathered, once, when all rows went through. */
    tg_code (*finish)(void *self, const struct tg_stage_end *end, struct tg_error *err);

    /* Of stages that remember what came (stage/memory.h); NULL: of others. */

    /** Appends the facts, TG_STAGE_FACT bytes each, that it has learned since this was called. */
    void (*learned)(void *self, struct tg_buf *out);
    /** Learns n facts that another instance has learned, of rows that do not come again. */
    tg_code (*learn)(void *self, const uint8_t *facts, size_t n, const struct tg_stage_env *env,
                     struct tg_error *err);
};

extern const struct tg_stage_ops *const tg_stages[]; /* all, ended by NULL */

/** Stages that follow one another. */
struct tg_stage_list {
    struct tg_stage {
        const struct tg_stage_ops *ops;
        void *self;
        char *text; /* options point into it */
    } one[TG_STAGES_MAX];
    size_t n;
};

/** Opens n stages, each "NAME?option=value&...". @param ret  close it in any case */
tg_code tg_stages_open(const char *const *text, size_t n, struct tg_stage_list *ret,
                       struct tg_error *err);
void tg_stages_close(struct tg_stage_list *list);

/** Runs them all over a batch. */
tg_code tg_stages_run(const struct tg_stage_list *list, struct tg_batch *batch,
                      const struct tg_stage_env *env, struct tg_error *err);

/** Adds what other instances of the same stages have gathered. */
void tg_stages_merge(const struct tg_stage_list *list, const struct tg_stage_list *other);
/** Writes what rules found; `rows` and `invalid` are the counts'. */
void tg_stages_tally(const struct tg_stage_list *list, struct tg_quality_result *ret);

/** The option of a rule's stage that says what becomes of rows that break it. */
#define TG_STAGE_SEVERITY(type_, fallback_, help_)                                                 \
    { .name = "severity", .type = TG_OPT_CHOICE, .offset = offsetof(type_, severity),              \
      .fallback = fallback_, .choices = "warn|drop|quarantine|fail", .help = help_ }

/**
 * What becomes of a row that breaks a rule: it may be set aside.
 * @param why  more than that it broke the rule; ""
 * @return TG_NOMEM
 */
tg_code tg_stage_broken(const struct tg_rule_result *found, struct tg_batch *batch,
                        const struct tg_row *row, const char *why,
                        const struct tg_stage_env *env, struct tg_error *err);
/** @return whether rows that break a rule of that severity go */
bool tg_stage_takes_out(const struct tg_rule_result *found);

/** Counts a row in that a rule looked at: in what it found, and among the rows. */
void tg_stage_judge(struct tg_rule_result *found, struct tg_row *row, bool holds,
                    const struct tg_stage_env *env);

/** Keeps those rows of a batch that `keep` says so of, in order; the others count as dropped. */
void tg_stage_keep(struct tg_batch *batch, const struct tg_stage_env *env,
                   bool (*keep)(const void *self, const struct tg_row *row), const void *self);

/** @return the next of a list "a,b,c", and moves behind it; {NULL, 0} past the last */
struct tg_str tg_stage_word(const char **list);

#endif
