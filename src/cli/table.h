/* SPDX-License-Identifier: MIT */
/*
 * table.h - the chats at work as a table that is redrawn in place
 *
 *   chat                  account         rows    rate     ETA  state
 *   Harbour news          work          31,204   4,100/s  0:07  reading
 *   Old friends           archive        8,800         -     -  waits 17 s: messages.getHistory
 *   ... and 37 more
 *   12 of 100 chats, 5 accounts: 1,234,567 rows  41,000/s  56.3 MB
 *
 * Fits itself into the terminal: columns that do not fit are left out, those that say least first;
 * of the chats the most active are shown, most active first. Rates within a factor of four are
 * alike there, so that lines do not change places all the time.
 *
 * Redrawn with one write: the cursor goes back to the first line, each line is written over and its
 * rest cleared, then what is below. A terminal that has become narrower has wrapped what stood
 * there, and that is counted so.
 *
 * Threads: the thread that runs the call      Limits: 256 lines
 */
#ifndef TG_CLI_TABLE_H
#define TG_CLI_TABLE_H

#include "cli/cli.h"

enum { TABLE_LINES_MAX = 256 };

/** What it is drawn on. */
struct table_look {
    size_t width, height; /* of the terminal */
    size_t indent;        /* columns left free at the beginning of each line */
    bool colour;
};

/** What was drawn last. */
struct cli_table {
    uint16_t columns[TABLE_LINES_MAX]; /* of each line */
    size_t n;                          /* lines; 0: nothing stands there */
};

/**
 * Appends the table, its lines ended by line ends, each of at most look->width - 1 columns, at most
 * look->height - 1 of them: the header, then chats, a line for those that found no room, the total.
 * Where only one line fits that is the total.
 *
 * @param ret_columns  of each line; TABLE_LINES_MAX of them
 * @return lines
 */
size_t table_text(struct tg_buf *out, const struct tg_progress *now, const struct table_look *look,
                  uint16_t *ret_columns);

/** Appends what makes the table of now stand where the last one stood. */
void table_draw(struct cli_table *t, struct tg_buf *out, const struct tg_progress *now,
                const struct table_look *look);

/** Appends what takes the table away and leaves the cursor where its first line began. */
void table_clear(struct cli_table *t, struct tg_buf *out, size_t width);

/** Appends "12 of 100 chats, 5 accounts: 1,234,567 rows  41,000/s  56.3 MB  ETA 1:02". */
void table_total(struct tg_buf *out, const struct tg_progress *now);

#endif
