/* SPDX-License-Identifier: MIT */
/*
 * parallel_client.c - a program that reads many chats with many accounts: see test_parallel_c.py
 *
 *   parallel_client STATE TO SESSION,SESSION... WORKERS TASK...
 *   TASK is CHAT,PRIORITY[,TENANT,WEIGHT[,ACTION]]; ACTION is what is done when it ends for the
 *   first time: `later` reschedules it with low priority, `retry` tries it again, a number sets
 *   the workers. NAME=VALUE in its place is a setting; +CHAT is a task of high priority that is
 *   added when the fifth batch comes; /N keeps messages whose ids N divides, and
 *   tells the id as the text
 *
 * Lines on stdout, as things happen: "B chat rows" a batch is committed, "T task success rows
 * retries type session" a task has ended, "N chats" so many are being read, "W session method
 * seconds" the server asks to wait, "X code" what an action returned, "E requests floods" at the
 * end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tgdata/tgdata.h>

enum { TASKS = 256 };

struct program {
    struct tg_parallel *parallel;
    const char *action[TASKS]; /* by task; NULL none, or it was done */
    size_t at_work, batches;
    const char *late;          /* the chat that is added at the fifth batch; NULL none */
    int64_t divisor;           /* of ids that are kept; 0: all are, as they are */
};

static tg_code add_late(struct program *program, struct tg_error *err)
{
    struct tg_task_request request = { .chat = program->late, .priority = TG_PRIORITY_HIGH };

    program->late = NULL;
    return tg_parallel_add(program->parallel, &request, NULL, err);
}

static bool is_divided(void *ctx, const struct tg_row *row)
{
    return tg_row_int(row, TG_F_id) % ((const struct program *)ctx)->divisor == 0;
}

static tg_code tell_id(void *ctx, struct tg_row_edit *edit, struct tg_error *err)
{
    char text[32];
    int n = snprintf(text, sizeof text, "id %" PRId64,
                     tg_row_int(tg_row_edit_row(edit), TG_F_id));

    (void)ctx;
    return tg_row_set_text(edit, TG_F_text, text, (size_t)n, err);
}

static tg_code on_batch(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct program *program = ctx;
    struct tg_batch_info info;
    tg_code code;

    tg_batch_info(batch, &info);
    code = tg_batch_commit(batch, info.n, err);
    if (code == TG_OK && ++program->batches >= 5 && program->late)
        code = add_late(program, err);
    if (code == TG_OK)
        printf("B %" PRId64 " %zu\n", info.chat_id, info.n);
    return code;
}

static void on_progress(void *ctx, const struct tg_progress *progress)
{
    struct program *program = ctx;
    size_t n = 0;

    for (size_t i = 0; i < progress->n_at_work; i++) /* those that a worker is busy with */
        n += strcmp(progress->at_work[i].state, "committing") != 0;
    if (n == program->at_work)
        return;
    program->at_work = n;
    printf("N %zu\n", program->at_work);
}

static void on_wait(void *ctx, const char *account, const char *method, double seconds)
{
    (void)ctx;
    printf("W %s %s %.3f\n", account, method, seconds);
}

static void act(struct program *program, uint64_t task, const char *action)
{
    struct tg_error err = { 0 };
    tg_code code = TG_OK;

    if (strcmp(action, "later") == 0)
        code = tg_parallel_reschedule(program->parallel, task, 0.2, TG_PRIORITY_LOW, &err);
    else if (strcmp(action, "retry") == 0)
        code = tg_parallel_retry(program->parallel, task, &err);
    else
        tg_parallel_workers(program->parallel, (unsigned)strtoul(action, NULL, 10));
    printf("X %d\n", (int)code);
}

static void on_task(void *ctx, const struct tg_task_result *result)
{
    struct program *program = ctx;
    const char *action = program->action[result->task];

    printf("T %" PRIu64 " %d %" PRIu64 " %" PRIu32 " %d %s\n", result->task, result->success,
           result->rows, result->retry_count, (int)result->error_type, result->account);
    program->action[result->task] = NULL;
    if (action)
        act(program, result->task, action);
}

static tg_code add_accounts(struct tg_parallel *p, struct tg_config *config, char *list,
                            struct tg_error *err)
{
    tg_code code = TG_OK;

    for (char *at; code == TG_OK && (at = strsep(&list, ","));) {
        code = tg_config_set(config, "session", at, err);
        if (code == TG_OK)
            code = tg_parallel_account(p, config, NULL, NULL, err);
    }
    return code;
}

static tg_code add_task(struct program *program, char *text, struct tg_error *err)
{
    const char *chat = strsep(&text, ","), *priority = strsep(&text, ",");
    const char *tenant = strsep(&text, ","), *weight = strsep(&text, ",");
    struct tg_task_request request = {
        .chat = chat,
        .priority = priority ? (enum tg_priority)strtoul(priority, NULL, 10) : TG_PRIORITY_NORMAL,
        .tenant = tenant,
        .weight = weight ? (uint32_t)strtoul(weight, NULL, 10) : 0,
    };
    uint64_t task;
    tg_code code = tg_parallel_add(program->parallel, &request, &task, err);

    if (code == TG_OK && task < TASKS)
        program->action[task] = text;
    return code;
}

/* Settings come before accounts, tasks after them. */
static tg_code take_words(struct program *program, struct tg_config *config, char **word, int n,
                          bool settings, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (int i = 0; code == TG_OK && i < n; i++) {
        char *value = strchr(word[i], '=');

        if (settings && value) {
            *value = '\0';
            code = tg_config_set(config, word[i], value + 1, err);
            *value = '=';
        } else if (!settings && *word[i] == '/') {
            program->divisor = (int64_t)strtoul(word[i] + 1, NULL, 10);
        } else if (!settings && *word[i] == '+') {
            program->late = word[i] + 1;
        } else if (!settings && !value) {
            code = add_task(program, word[i], err);
        }
    }
    return code;
}

int main(int argc, char **argv)
{
    struct program program = { 0 };
    const struct tg_step steps[] = { { .filter = is_divided, .ctx = &program },
                                     { .transform = tell_id },
                                     { .stage = "enrich" } };
    struct tg_parallel_hooks hooks = {
        .extract = { .batch = on_batch, .progress = on_progress, .wait = on_wait, .ctx = &program },
        .task = on_task,
        .task_ctx = &program,
    };
    struct tg_extract_result result = { 0 };
    struct tg_config *config = tg_config_new();
    struct tg_error err = { 0 };
    tg_code code = TG_OK;

    if (argc < 6 || !config)
        return tg_code_exit(TG_USAGE);
    setvbuf(stdout, NULL, _IOLBF, 0);
    code = tg_config_set(config, "state", argv[1], &err);
    if (code == TG_OK)
        code = tg_config_set(config, "to", argv[2], &err);
    if (code == TG_OK)
        code = tg_config_set(config, "workers", argv[4], &err);
    if (code == TG_OK)
        code = tg_config_set(config, "batch-size", "100", &err);
    if (code == TG_OK)
        code = take_words(&program, config, argv + 5, argc - 5, true, &err);
    if (code == TG_OK)
        code = tg_parallel_new(config, &program.parallel, &err);
    if (code == TG_OK)
        code = add_accounts(program.parallel, config, argv[3], &err);
    if (code == TG_OK)
        code = take_words(&program, config, argv + 5, argc - 5, false, &err);
    hooks.extract.step = steps;
    hooks.extract.n_steps = program.divisor ? sizeof steps / sizeof *steps : 0;
    if (code == TG_OK)
        code = tg_parallel_run(program.parallel, &hooks, &result, &err);
    printf("E %" PRIu64 " %" PRIu64 "\n", result.requests, result.flood_waits);
    if (code != TG_OK)
        fprintf(stderr, "parallel_client: %s\n", err.message);
    tg_parallel_free(program.parallel);
    tg_config_free(config);
    return tg_code_exit(code);
}
