/* SPDX-License-Identifier: MIT */
/*
 * task_json.h - a task as it stands on a queue; see tgdata/worker.h
 *
 * Threads: none: value types
 */
#ifndef TG_TASK_JSON_H
#define TG_TASK_JSON_H

#include "base/text.h"
#include "tgdata/parallel.h"

/** A task that was read; its texts are owned. */
struct tg_task_text {
    struct tg_task_request request;
    struct tg_buf chat, tenant;
};

void tg_task_write(const struct tg_task_request *task, struct tg_buf *out);

/** Done with tg_task_text_done, also on failure. @return TG_DATA with what is wrong */
tg_code tg_task_read(const void *text, size_t len, struct tg_task_text *ret, struct tg_error *err);
void tg_task_text_done(struct tg_task_text *t);

#endif
