/* SPDX-License-Identifier: MIT */
/*
 * cmd_enqueue.c - tgdata enqueue: puts chats on a queue for workers, or tells what stands there
 */
#include <stdlib.h>

#include "base/json.h"
#include "cli/cli.h"

struct own {
    const char *queue, *tenant;
    int64_t priority; /* enum tg_priority */
    int64_t weight, since, until, limit;
    bool include_replies, json;
};

static const struct tg_option options[] = {
    { .name = "queue",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, queue),
      .value = "URL",
      .env = "TGDATA_QUEUE",
      .help = "the queue, such as redis://HOST:PORT/0?queue=NAME" },
    { .name = "priority",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct own, priority),
      .fallback = "normal",
      .value = "WHICH",
      .choices = "high|normal|low",
      .help = "which go first" },
    { .name = "tenant",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, tenant),
      .value = "NAME",
      .help = "on whose behalf: tenants get fair shares" },
    { .name = "weight",
      .type = TG_OPT_I64,
      .offset = offsetof(struct own, weight),
      .min = 1,
      .max = 1000,
      .value = "N",
      .help = "of that tenant's share" },
    { .name = "since",
      .type = TG_OPT_TIME,
      .offset = offsetof(struct own, since),
      .max = INT32_MAX,
      .value = "DATE",
      .help = "only messages sent at or after that time" },
    { .name = "until",
      .type = TG_OPT_TIME,
      .offset = offsetof(struct own, until),
      .min = 1,
      .max = INT32_MAX,
      .value = "DATE",
      .help = "only messages sent before that time" },
    { .name = "limit",
      .type = TG_OPT_I64,
      .offset = offsetof(struct own, limit),
      .min = 1,
      .max = INT64_C(1) << 40,
      .value = "N",
      .help = "stop after that many messages of each chat" },
    { .name = "include-replies",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, include_replies),
      .help = "also read the comments on a channel's posts" },
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "print what stands on the queue as a JSON object" },
    { 0 },
};

static tg_code put(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_task_request *task = calloc(cli->n_args, sizeof *task);
    tg_code code;

    if (!task)
        return tg_fail(err, TG_NOMEM, "no memory for %zu tasks", cli->n_args);
    for (size_t i = 0; i < cli->n_args; i++)
        task[i] = (struct tg_task_request){
            .chat = cli->arg[i],
            .priority = (enum tg_priority)own->priority,
            .tenant = own->tenant,
            .weight = (uint32_t)own->weight,
            .since = own->since,
            .until = own->until,
            .limit = own->limit,
            .include_replies = own->include_replies,
        };
    code = tg_enqueue(own->queue, task, cli->n_args, NULL, err);
    free(task);
    return code;
}

static tg_code tell(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_queue_info info;
    struct tg_buf out;
    struct tg_json j;
    tg_code code = tg_queue_look(own->queue, &info, err);

    if (code != TG_OK || (cli->n_args && !own->json && cli->quiet))
        return code;
    tg_buf_init(&out, 4096);
    if (own->json) {
        tg_json_init(&j, &out);
        tg_json_object(&j);
        tg_json_key(&j, "waiting"), tg_json_u64(&j, info.waiting);
        tg_json_key(&j, "taken"), tg_json_u64(&j, info.taken);
        tg_json_key(&j, "later"), tg_json_u64(&j, info.later);
        tg_json_key(&j, "dead"), tg_json_u64(&j, info.dead);
        tg_json_end_object(&j);
    } else {
        tg_buf_printf(&out, "%llu waiting, %llu taken, %llu put off, %llu dead letters",
                      (unsigned long long)info.waiting, (unsigned long long)info.taken,
                      (unsigned long long)info.later, (unsigned long long)info.dead);
    }
    code = cli_print(&out, err);
    tg_buf_done(&out);
    return code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    tg_code code = TG_OK;

    if (!own->queue) {
        tg_fail(err, TG_USAGE, "no queue is named");
        return tg_hint(err, "say where to: --queue redis://HOST:PORT/0");
    }
    if (cli->n_args)
        code = put(cli, err);
    return code == TG_OK ? tell(cli, err) : code;
}

const struct cli_command cmd_enqueue = {
    .name = "enqueue",
    .help = "put chats on a queue for workers, or tell what stands there",
    .usage = "[CHAT...] --queue URL [OPTIONS]",
    .about = "Puts a task on the queue for each chat, then tells how many tasks wait, are taken by "
             "workers, are put off until they are tried again, and have been given up. Without a "
             "chat it tells only that. `tgdata worker` takes tasks.",
    .examples = "  tgdata enqueue @a @b --queue redis://127.0.0.1:6379/0 --priority high\n"
                "  tgdata enqueue --queue redis://127.0.0.1:6379/0 --json\n",
    .option = options,
    .size = sizeof(struct own),
    .args_max = SIZE_MAX,
    .run = run,
};
