/* SPDX-License-Identifier: MIT */
/*
 * broker_client.c - one open broker at the disposal of a script: see test_queues.py
 *
 *   broker_client URL NAME
 *   put TEXT | take WAIT_MS | keep N | ack N | retry N DELAY_MS FAILED | back N | bury N REASON |
 *   depth | big BYTES
 *
 * A line in, a line out: "ok", the name of an error with its text, or what was asked for: "task N
 * DELIVERIES ATTEMPTS BODY", "depth WAITING TAKEN LATER DEAD". N counts what was taken, from 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "queue/broker.h"

enum { LINE_MAX_BYTES = 1 << 18, TAKEN_MAX = 1000 };

struct client {
    struct tg_broker broker;
    struct tg_delivery taken[TAKEN_MAX];
    size_t n;
    struct tg_error err;
};

static tg_code take(struct client *c, int64_t wait_ms)
{
    struct tg_delivery *d = &c->taken[c->n];
    tg_code code;

    if (c->n == TAKEN_MAX)
        return tg_fail(&c->err, TG_LIMIT, "too many");
    tg_buf_init(&d->body, TG_BROKER_TAKE_MAX + 1);
    code = c->broker.ops->take(c->broker.self, wait_ms, d, &c->err);
    if (code == TG_OK)
        printf("task %zu %" PRIu32 " %" PRIu32 " %s\n", c->n++, d->deliveries, d->attempts,
               tg_buf_cstr(&d->body));
    else
        tg_buf_done(&d->body);
    return code;
}

static tg_code depth(struct client *c)
{
    struct tg_broker_depth d = { 0 };
    tg_code code = c->broker.ops->depth(c->broker.self, &d, &c->err);

    if (code == TG_OK)
        printf("depth %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", d.waiting, d.taken,
               d.later, d.dead);
    return code;
}

static tg_code put_big(struct client *c, size_t len)
{
    char *text = malloc(len + 1);
    tg_code code = TG_NOMEM;

    if (text) {
        memset(text, 'x', len);
        code = c->broker.ops->put(c->broker.self, text, len, &c->err);
    }
    free(text);
    return code;
}

/* What is done with one that was taken. */
static tg_code end(struct client *c, const char *verb, char *rest)
{
    const struct tg_broker_ops *ops = c->broker.ops;
    void *self = c->broker.self;
    size_t i = strtoul(rest, &rest, 10);
    const struct tg_delivery *d = &c->taken[i];
    int64_t delay_ms;

    if (i >= c->n)
        return tg_fail(&c->err, TG_USAGE, "no such task");
    if (strcmp(verb, "keep") == 0)
        return ops->keep(self, d, &c->err);
    if (strcmp(verb, "ack") == 0)
        return ops->ack(self, d, &c->err);
    if (strcmp(verb, "back") == 0)
        return ops->give_back(self, d, &c->err);
    if (strcmp(verb, "bury") == 0)
        return ops->bury(self, d, rest + (*rest == ' '), &c->err);
    if (strcmp(verb, "retry") != 0)
        return tg_fail(&c->err, TG_USAGE, "no such command");
    delay_ms = strtoll(rest, &rest, 10);
    return ops->retry(self, d, delay_ms, strtol(rest, NULL, 10) != 0, &c->err);
}

static void obey(struct client *c, char *line)
{
    char *rest = line + strcspn(line, " ");
    bool silent = false;
    tg_code code;

    if (*rest)
        *rest++ = 0;
    if (strcmp(line, "put") == 0)
        code = c->broker.ops->put(c->broker.self, rest, strlen(rest), &c->err);
    else if (strcmp(line, "big") == 0)
        code = put_big(c, strtoul(rest, NULL, 10));
    else if ((silent = strcmp(line, "take") == 0))
        code = take(c, strtoll(rest, NULL, 10));
    else if ((silent = strcmp(line, "depth") == 0))
        code = depth(c);
    else
        code = end(c, line, rest);
    if (code == TG_AGAIN)
        puts("none");
    else if (code != TG_OK)
        printf("%s %s\n", tg_code_name(code), c->err.message);
    else if (!silent)
        puts("ok");
}

int main(int argc, char **argv)
{
    static char line[LINE_MAX_BYTES];
    static struct client c;

    setvbuf(stdout, NULL, _IOLBF, 1 << 18);
    if (argc != 3)
        return 2;
    if (tg_broker_open(argv[1], argv[2], &c.broker, &c.err) != TG_OK) {
        fprintf(stderr, "%s\n", c.err.message);
        return 1;
    }
    puts("ok");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        obey(&c, line);
    }
    for (size_t i = 0; i < c.n; i++)
        tg_buf_done(&c.taken[i].body);
    tg_broker_close(&c.broker);
    return 0;
}
