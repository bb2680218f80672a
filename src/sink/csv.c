/* SPDX-License-Identifier: MIT */
/*
 * csv.c - rows as CSV in files: `csv:DIR`; see files.h, csv_text.h
 */
#include "sink/csv_text.h"

struct sink_csv {
    struct tg_files files;
    int64_t newline;
};

enum { NEWLINE_CRLF };

static void put_head(const struct tg_files *s, struct tg_buf *out)
{
    tg_csv_head(out, s->format == &tg_format_csv);
}

static void put_row(const struct tg_files *s, const struct tg_row *row, struct tg_buf *out)
{
    tg_csv_row(row, out, s->format == &tg_format_csv);
}

#define FORMAT                                                                                     \
    .name = "csv", .suffix = ".csv", .put_head = put_head, .put_row = put_row,                     \
    .find_end = tg_csv_find_end, .take_head = tg_csv_take_head, .take_ids = tg_csv_take_ids,       \
    .read_row = tg_csv_read_row

const struct tg_file_format tg_format_csv = { FORMAT };         /* lines end with CR LF */
static const struct tg_file_format format_of_unix = { FORMAT }; /* with LF */

static tg_code csv_open(void *self, const char *target, const struct tg_sink_env *env,
                        struct tg_error *err)
{
    const struct sink_csv *s = self;

    return tg_files_open(self, s->newline == NEWLINE_CRLF ? &tg_format_csv : &format_of_unix,
                         target, env, err);
}

static const struct tg_option csv_option[] = {
    { .name = "newline",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_csv, newline),
      .fallback = "crlf",
      .help = "how lines end",
      .choices = "crlf|lf" },
    { 0 },
};

const struct tg_sink_ops tg_sink_csv = {
    .head = { "csv", "CSV files, a directory per chat", csv_option, sizeof(struct sink_csv) },
    .open = csv_open,
    TG_FILES_OPS,
};
