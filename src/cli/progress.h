/* SPDX-License-Identifier: MIT */
/*
 * progress.h - how far a run is, as one line that is redrawn, or a table of the chats at work where
 * there are several, as plain lines, or JSON lines
 *
 * Threads: the thread that runs the call
 */
#ifndef TG_CLI_PROGRESS_H
#define TG_CLI_PROGRESS_H

#include "cli/table.h"

enum progress_mode { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_JSON, PROGRESS_NONE, PROGRESS_BAR };

struct cli_progress {
    enum progress_mode mode;
    FILE *to;
    bool utf8, colour;
    bool drawn;            /* a line without its end stands on the terminal */
    double plain_due;      /* of term_clock: when the next plain line is written */
    int64_t plain_chat;
    bool tabled;           /* there were several chats at work at once */
    struct cli_table table;
    struct tg_log *log;    /* plain lines go there; NULL: to `to` */
    size_t indent;         /* columns left free at the beginning of a line */
    struct tg_buf line;
};

/** The row of an option table for how progress is told; its member is an int64_t. */
#define CLI_PROGRESS_OPTION(own, member)                                                           \
    { .name = "progress",                                                                          \
      .type = TG_OPT_CHOICE,                                                                       \
      .offset = offsetof(own, member),                                                             \
      .fallback = "auto",                                                                          \
      .value = "MODE",                                                                             \
      .choices = "auto|plain|json|none",                                                           \
      .help = "how progress is told on stderr: live, plain lines, JSON lines, not at all" }

/** @return the mode of that choice */
enum progress_mode progress_mode_of(int64_t choice);

/** Starts; AUTO becomes BAR on a terminal, PLAIN elsewhere. */
void progress_init(struct cli_progress *p, enum progress_mode mode, FILE *to);
void progress_done(struct cli_progress *p);
/** If a log is for programs, what would be drawn or written in plain lines goes to it. */
void progress_logs(struct cli_progress *p, struct tg_log *log);
/** Writes a plain line. */
void progress_plain(struct cli_progress *p, const char *text);

/** Shows where a run is. */
void progress_show(struct cli_progress *p, const struct tg_progress *now);

/** Draws a line in the place of the one before, cut to the terminal. */
void progress_line(struct cli_progress *p, const char *text);

/** Takes the redrawn line away, so that something else can be written. */
void progress_clear(struct cli_progress *p);

/** Appends a bar of `columns` for a share of 0..1. */
void progress_bar(struct tg_buf *out, double share, size_t columns, bool utf8);

#endif
