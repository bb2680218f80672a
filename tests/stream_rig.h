/* SPDX-License-Identifier: MIT */
/*
 * stream_rig.h - a server that takes messages, for a test program: tests/cli/streams.py KIND
 *
 * It runs the server and reads what has arrived with that server's own client. It is asked by lines
 * and answers by lines, JSON where there is text; it ends the server when its input ends. The
 * program ends with 77 where the server, or its client in the library, is not there.
 */
#ifndef STREAM_RIG_H
#define STREAM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json_read.h"
#include "tests/unit/stream_refusals.h"

static struct {
    FILE *to, *from;
    pid_t pid;
    char *line;
    size_t cap;
    char url[512];
} rig;

/* @return the next line, without its end */
static inline char *rig_read(void)
{
    ssize_t n = getline(&rig.line, &rig.cap, rig.from);
    int status;

    if (n > 0) {
        rig.line[n - 1] = 0;
        return rig.line;
    }
    if (waitpid(rig.pid, &status, 0) == rig.pid && WIFEXITED(status) && WEXITSTATUS(status) == 77)
        exit(77);
    fail_msg("the server has ended");
    return NULL;
}

static inline char *rig_ask(const char *what)
{
    fprintf(rig.to, "%s\n", what);
    fflush(rig.to);
    return rig_read();
}

static inline void rig_start(const char *kind)
{
    int to[2], from[2];

    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        for (int fd = 3; fd < 64; fd++)
            close(fd);
        execlp("python3", "python3", "tests/cli/streams.py", kind, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    rig.to = fdopen(to[1], "w");
    rig.from = fdopen(from[0], "r");
    for (char *line; strcmp(line = rig_read(), "ready") != 0;) { /* NAME=VALUE */
        char *value = strchr(line, '=');

        assert_non_null(value);
        *value = 0;
        setenv(line, value + 1, 1);
    }
}

static inline int rig_end(void **state)
{
    (void)state;
    fclose(rig.to);
    waitpid(rig.pid, NULL, 0);
    fclose(rig.from);
    free(rig.line);
    return 0;
}

/* ---- the harness ---- */

static inline const char *rig_fresh(void)
{
    snprintf(rig.url, sizeof rig.url, "%s", rig_ask("fresh"));
    return rig.url;
}

static inline void rig_done(void)
{
}

/* Lines ["key", "body"], the key null where there is none; then an empty one. */
static inline void rig_drain(stream_seen seen, void *ctx)
{
    for (char *line = rig_ask("drain"); *line; line = rig_read()) {
        struct tg_buf key, body;
        struct tg_json_in in;
        bool no_key;

        tg_buf_init(&key, 1 << 10);
        tg_buf_init(&body, 64 << 20);
        tg_json_in_init(&in, line, strlen(line));
        tg_json_enter(&in, '[');
        assert_true(tg_json_next_item(&in));
        no_key = tg_json_take_null(&in);
        if (!no_key)
            tg_json_take_str(&in, &key);
        assert_true(tg_json_next_item(&in));
        tg_json_take_str(&in, &body);
        assert_false(tg_json_next_item(&in));
        assert_true(tg_json_in_done(&in));
        seen(ctx, no_key ? NULL : tg_buf_cstr(&key), tg_buf_cstr(&body), body.len);
        tg_buf_done(&key);
        tg_buf_done(&body);
    }
}

static inline void rig_away(bool away)
{
    assert_string_equal(rig_ask(away ? "stop" : "start"), "done");
}

const struct stream_harness harness = {
    .fresh = rig_fresh,
    .done = rig_done,
    .drain = rig_drain,
    .away = rig_away,
};

#endif
