/* SPDX-License-Identifier: MIT */
/*
 * pgcopy.h - rows as PostgreSQL's COPY takes them in binary
 *
 *   field type   column        bytes
 *   I64          bigint        8
 *   TIME         timestamptz   8: microseconds since 2000-01-01
 *   BOOL         boolean       1
 *   STR          text          UTF-8
 *   JSON         jsonb         version 1, text
 *
 * PostgreSQL cannot store NUL in a text, nor \u0000 in jsonb: they become U+2400 (SYMBOL FOR NUL),
 * and the row's column job_note says so.
 *
 * Facts: postgresql.org/docs: COPY, binary format; send functions of the types.
 *
 * Threads: pure
 */
#ifndef TG_SINK_PGCOPY_H
#define TG_SINK_PGCOPY_H

#include "base/row.h"

/** @return the column's type in SQL, and as format_type tells it */
const char *tg_pgcopy_type(enum tg_field_type type);

/** What COPY begins with. */
void tg_pgcopy_head(struct tg_buf *out);

/** One row: all fields in table order, then job_chat_id, job_commit, job_note.
 *  @param job_chat_id  NULL in the row if it is the row's own chat */
void tg_pgcopy_row(const struct tg_row *row, int64_t job_chat_id, int64_t job_commit,
                   struct tg_buf *out);

/** What COPY ends with. */
void tg_pgcopy_tail(struct tg_buf *out);

#endif
