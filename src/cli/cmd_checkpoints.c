/* SPDX-License-Identifier: MIT */
/*
 * cmd_checkpoints.c - tgdata checkpoints list | show | rollback
 */
#include "base/json_read.h"
#include "cli/cli.h"
#include "cli/term.h"

enum { OUTPUT_MAX = 256 << 20 };

struct own {
    bool json;
    const char *state, *job;
    int64_t to;
};

static const struct tg_option options[] = {
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, job),
      .value = "NAME",
      .help = "the job; list shows all jobs without it, the others take \"default\"" },
    { .name = "state",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, state),
      .fallback = "sqlite:tgdata.state",
      .value = "URL",
      .help = "where checkpoints are kept",
      .env = "TGDATA_STATE" },
    { .name = "number",
      .type = TG_OPT_I64,
      .offset = offsetof(struct own, to),
      .fallback = "-1",
      .min = -1,
      .max = INT64_MAX,
      .value = "N",
      .help = "rollback: the checkpoint to go back to, as show numbers them; 0 is the beginning" },
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "print a JSON array of the whole records" },
    { 0 },
};

struct listing {
    bool json;
    struct tg_buf out;
    size_t n;
};

/* What stands in the place of a chat's id for the changes of a job's chats. */
static const char changes[] = "changes";

struct chat_text {
    char at[24];
};

static struct chat_text text_of(int64_t chat_id)
{
    struct chat_text text;

    if (chat_id)
        snprintf(text.at, sizeof text.at, "%lld", (long long)chat_id);
    else
        snprintf(text.at, sizeof text.at, "%s", changes);
    return text;
}

/* What a line of the table shows of a record. */
struct record {
    int64_t last_id, rows, batches;
    struct tg_buf at;
};

static void read_record(const char *json, struct record *ret)
{
    struct tg_json_in in;
    struct tg_str key;

    tg_json_in_init(&in, json, strlen(json));
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("last_message_id")))
            ret->last_id = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("total_messages_processed")))
            ret->rows = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("batches_completed")))
            ret->batches = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("last_checkpoint_time")))
            tg_json_take_str(&in, &ret->at);
        else
            tg_json_skip(&in);
    }
}

static void put_row(struct tg_buf *out, const struct tg_checkpoint_info *c)
{
    struct record r = { 0 };
    char rows[32];

    tg_buf_init(&r.at, 64);
    read_record(c->json, &r);
    cli_number(rows, (uint64_t)TG_MAX(r.rows, INT64_C(0)));
    tg_buf_printf(out, "%-16s %16s %8llu  %-20s %12lld %14s %9lld\n", c->job,
                  text_of(c->chat_id).at, (unsigned long long)c->number, tg_buf_cstr(&r.at),
                  (long long)r.last_id, rows, (long long)r.batches);
    tg_buf_done(&r.at);
}

static bool on_checkpoint(void *ctx, const struct tg_checkpoint_info *c)
{
    struct listing *l = ctx;

    if (l->json) {
        tg_buf_str(&l->out, l->n ? ",\n " : "");
        tg_buf_str(&l->out, c->json);
    } else {
        put_row(&l->out, c);
    }
    l->n++;
    return !l->out.failed;
}

static void begin(struct listing *l, bool json)
{
    l->json = json;
    tg_buf_init(&l->out, OUTPUT_MAX);
    if (json)
        tg_buf_byte(&l->out, '[');
    else
        tg_buf_printf(&l->out, "%-16s %16s %8s  %-20s %12s %14s %9s\n", "JOB", "CHAT", "NUMBER",
                      "TIME", "LAST ID", "MESSAGES", "BATCHES");
}

static tg_code end(struct listing *l, tg_code code, struct tg_error *err)
{
    if (l->json)
        tg_buf_byte(&l->out, ']');
    else if (l->out.len)
        l->out.len--; /* cli_print ends the last line */
    if (code == TG_OK)
        code = cli_print(&l->out, err);
    tg_buf_done(&l->out);
    return code;
}

static tg_code list(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct listing l = { 0 };
    tg_code code;

    if (cli->n_args > 1) {
        tg_fail(err, TG_USAGE, "list takes no chat");
        return tg_hint(err, "tgdata checkpoints show CHAT lists those of one chat");
    }
    begin(&l, own->json);
    code = tg_checkpoints_list(own->state, own->job, on_checkpoint, &l, err);
    return end(&l, code, err);
}

static tg_code take_chat(const struct cli *cli, int64_t *ret, struct tg_error *err)
{
    *ret = 0;
    if (cli->n_args == 2 &&
        (tg_i64_parse(cli->arg[1], ret) || strcmp(cli->arg[1], changes) == 0))
        return TG_OK;
    if (cli->n_args == 2)
        tg_fail(err, TG_USAGE, "'%.64s' is no chat id", cli->arg[1]);
    else
        tg_fail(err, TG_USAGE, "the chat's id is missing");
    return tg_hint(err, "tgdata checkpoints list shows the ids");
}

static tg_code show(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct listing l = { 0 };
    int64_t chat_id;
    tg_code code = take_chat(cli, &chat_id, err);

    if (code != TG_OK)
        return code;
    begin(&l, own->json);
    code = tg_checkpoints_history(own->state, own->job ? own->job : "default", chat_id,
                                  on_checkpoint, &l, err);
    return end(&l, code, err);
}

static tg_code rollback(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    int64_t chat_id;
    tg_code code = take_chat(cli, &chat_id, err);

    if (code == TG_OK && own->to < 0) {
        tg_fail(err, TG_USAGE, "which checkpoint to go back to is missing");
        return tg_hint(err, "pass --number N; tgdata checkpoints show %s lists them",
                       text_of(chat_id).at);
    }
    if (code == TG_OK)
        code = tg_checkpoints_rollback(own->state, own->job ? own->job : "default", chat_id,
                                       (uint64_t)own->to, err);
    if (code == TG_OK)
        printf("%s%s checkpoint %lld; the next run goes on from there.\n",
               chat_id ? "Chat " : "The changes stand at",
               chat_id ? text_of(chat_id).at : "", (long long)own->to);
    return code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    static const struct {
        const char *name;
        tg_code (*run)(const struct cli *cli, struct tg_error *err);
    } verb[] = { { "list", list }, { "show", show }, { "rollback", rollback } };

    for (size_t i = 0; i < TG_COUNT(verb); i++)
        if (strcmp(verb[i].name, cli->arg[0]) == 0)
            return verb[i].run(cli, err);
    tg_fail(err, TG_USAGE, "checkpoints cannot '%.64s'", cli->arg[0]);
    return tg_hint(err, "it can list, show and rollback");
}

const struct cli_command cmd_checkpoints = {
    .name = "checkpoints",
    .help = "list, show or roll back the checkpoints of jobs",
    .usage = "list|show CHAT_ID|rollback CHAT_ID --number N [OPTIONS]",
    .about = "list prints the newest checkpoint of every chat; show prints all that are kept of "
             "one chat, newest first; rollback goes back to one of them and removes from the "
             "destination what came later, so that the next run fetches it anew. Those of a job of "
             "changes, which are one sequence, have the chat id `changes`.",
    .examples = "  tgdata checkpoints list\n"
                "  tgdata checkpoints show -1001234567890 --job nightly --json\n"
                "  tgdata checkpoints rollback -1001234567890 --job nightly --number 12\n",
    .option = options,
    .size = sizeof(struct own),
    .args_min = 1,
    .args_max = 2,
    .run = run,
};
