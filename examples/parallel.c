/* SPDX-License-Identifier: MIT */
/*
 * parallel.c - reads many chats with several accounts, each account's limits kept
 *
 *   cc parallel.c $(pkg-config --cflags --libs tgdata) -o parallel
 *   ./parallel a.session,b.session @news @prices! @archive-
 *
 * A chat is a task: `!` behind its name gives it high priority, `-` low. What network or server
 * trouble kept from ending is put off for a minute, once, behind all others. Rows go to
 * ndjson:parallel-example; run it again and it goes on behind what is there.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <tgdata/tgdata.h>

enum { TASKS_MAX = 1024 };

struct program {
    struct tg_parallel *parallel;
    bool put_off[TASKS_MAX]; /* by task: it had its second chance */
};

static struct tg_parallel *running; /* what Ctrl-C stops */

static void on_signal(int signum)
{
    (void)signum;
    tg_parallel_stop(running); /* safe in a signal handler */
}

/* The place to slow down whoever waits for the rows. */
static void on_wait(void *ctx, const char *account, const char *method, double seconds)
{
    (void)ctx;
    fprintf(stderr, "%s: %s must wait %.0f s\n", account, method, seconds);
}

static void on_task(void *ctx, const struct tg_task_result *result)
{
    struct program *program = ctx;
    struct tg_error err;

    if (result->success) {
        fprintf(stderr, "'%s': %" PRIu64 " rows in %.1f s with %s\n", result->title, result->rows,
                result->seconds, result->account);
        return;
    }
    fprintf(stderr, "'%s' failed: %s\n", result->title, result->err->message);
    if (result->task >= TASKS_MAX || program->put_off[result->task] ||
        (result->error_type != TG_TYPE_NETWORK && result->error_type != TG_TYPE_SERVER))
        return;
    program->put_off[result->task] = true;
    if (tg_parallel_reschedule(program->parallel, result->task, 60, TG_PRIORITY_LOW, &err) != TG_OK)
        fprintf(stderr, "%s\n", err.message);
}

static tg_code configure(struct tg_config *config, struct tg_error *err)
{
    static const char *const setting[][2] = {
        { "to", "ndjson:parallel-example" },
        { "state", "sqlite:parallel-example.db" },
        { "job", "example" },
        { "reserved-share", "25" }, /* of each account's requests, for high priority */
    };
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < sizeof setting / sizeof setting[0]; i++)
        code = tg_config_set(config, setting[i][0], setting[i][1], err);
    return code;
}

static tg_code add_accounts(struct tg_parallel *p, struct tg_config *config, char *list,
                            struct tg_error *err)
{
    tg_code code = TG_OK;

    for (char *path = list, *next; code == TG_OK && path; path = next) {
        next = strchr(path, ',');
        if (next)
            *next++ = 0;
        code = tg_config_set(config, "session", path, err);
        if (code == TG_OK)
            code = tg_parallel_account(p, config, NULL, NULL, err);
    }
    return code;
}

static tg_code add_task(struct tg_parallel *p, char *chat, struct tg_error *err)
{
    struct tg_task_request task = { .chat = chat, .priority = TG_PRIORITY_NORMAL };
    size_t n = strlen(chat);

    if (n > 1 && (chat[n - 1] == '!' || chat[n - 1] == '-')) {
        task.priority = chat[n - 1] == '!' ? TG_PRIORITY_HIGH : TG_PRIORITY_LOW;
        chat[n - 1] = 0;
    }
    return tg_parallel_add(p, &task, NULL, err);
}

int main(int argc, char **argv)
{
    static struct program program;
    const struct tg_parallel_hooks hooks = {
        .extract = { .wait = on_wait },
        .task = on_task,
        .task_ctx = &program,
    };
    struct tg_extract_result result = { 0 };
    struct tg_config *config;
    struct tg_error err = { 0 };
    tg_code code;

    if (argc < 3) {
        fprintf(stderr, "usage: %s SESSION,SESSION... CHAT...\n", argv[0]);
        return tg_code_exit(TG_USAGE);
    }
    config = tg_config_new();
    if (!config)
        return tg_code_exit(TG_NOMEM);
    code = configure(config, &err);
    if (code == TG_OK)
        code = tg_parallel_new(config, &program.parallel, &err);
    if (code == TG_OK)
        code = add_accounts(program.parallel, config, argv[1], &err);
    for (int i = 2; code == TG_OK && i < argc; i++)
        code = add_task(program.parallel, argv[i], &err);
    if (code == TG_OK) {
        running = program.parallel;
        signal(SIGINT, on_signal);
        code = tg_parallel_run(program.parallel, &hooks, &result, &err);
        signal(SIGINT, SIG_DFL);
    }
    if (code == TG_OK)
        fprintf(stderr, "%" PRIu64 " rows of %" PRIu64 " chats, %" PRIu64 " requests, %.1f s\n",
                result.rows, result.chats, result.requests, result.seconds);
    else
        fprintf(stderr, "%s\n%s%s%s", err.message, *err.hint ? "hint: " : "", err.hint,
                *err.hint ? "\n" : "");
    tg_parallel_free(program.parallel); /* NULL is nothing */
    tg_config_free(config);
    return tg_code_exit(code);
}
