/* SPDX-License-Identifier: MIT */
/*
 * store_redis.c - state in Redis, at real servers: the contract of all stores; a server that comes
 * back, a cluster, a replica; numbers that no Lua number holds; what is wrong
 */
#include "tests/redis_rig.h"
#include "tests/unit/store_contract.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

static struct redis_rig rig;
static char url[160];
static int n_stores;

static int set_up(void **state)
{
    (void)state;
    redis_start(&rig, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_end(&rig);
    return 0;
}

/* Each test has keys of its own. */
static const char *fresh(void)
{
    snprintf(url, sizeof url, "%s?prefix=s%d&timeout=2s", rig.url, ++n_stores);
    return url;
}

static void done(void)
{
}

const struct store_harness harness = { fresh, done };

/* A command of somebody else's, on a key of the store. */
static void meddle(const char *command, const char *what, const char *more, const char *value)
{
    char key[100];
    const char *const word[] = { command, key, more ? more : value, more ? value : NULL, NULL };
    const char *const scored[] = { command, key, "0", value, NULL };

    snprintf(key, sizeof key, "{s%d}:%s", n_stores, what);
    redis_do(&rig, strcmp(command, "ZADD") == 0 ? scored : word);
}

static void good(tg_code code, const struct tg_error *err)
{
    if (code != TG_OK)
        fail_msg("%s: %s", tg_code_name(code), err->message);
}

/* Starts it again, and waits until it has read what it kept. */
static void come_back(struct redis_rig *g)
{
    struct tg_redis *r = NULL;
    struct tg_error err;
    tg_code code = TG_NET;

    redis_again(g);
    good(tg_redis_new(g->url, 5000, &r, &err), &err);
    for (int i = 0; i < 500 && code != TG_OK; i++, usleep(10000))
        code = tg_redis_words(r, (const char *const[]){ "GET", "x", NULL }, NULL, &err);
    good(code, &err);
    tg_redis_free(r);
}

static void a_server_that_comes_back(void **state)
{
    struct redis_rig own;
    struct contract c;
    struct tg_lease lease = { .owner = "host:1" };
    struct tg_doc doc;
    char text[32];
    uint64_t n;

    (void)state;
    own = (struct redis_rig){ .append = true, .dir = "/tmp/tgdata-redis-XXXXXX" };
    redis_begin(&own);
    snprintf(url, sizeof url, "%s?timeout=2s", own.url);
    good(tg_store_open(url, &c.a, &c.err), &c.err);
    assert_null(c.a.ops->warning(c.a.self));
    good(contract_put(&c.a, "job", 0, 1, "one", &c.err), &c.err);
    redis_stop(&own);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(contract_put(&c.a, "job", 1, 1, "two", &c.err), TG_STATE);
        assert_true(c.err.hint[0] != 0);
    }
    come_back(&own);
    usleep(300000); /* the pause after a failure */
    good(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), &c.err);
    assert_string_equal(text, "one");
    redis_stop(&own); /* cut off and back at once: nobody notices, and scripts are known again */
    come_back(&own);
    good(contract_put(&c.a, "job", 1, 1, "two", &c.err), &c.err);
    redis_stop(&own);
    come_back(&own);
    good(c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, &n, &c.err), &c.err);
    assert_int_equal(n, 1);
    redis_stop(&own);
    come_back(&own);
    good(c.a.ops->lease(c.a.self, "job", 0, 100, &lease, &c.err), &c.err);
    tg_store_close(&c.a);
    redis_end(&own);
}

/* A connection that was cut before anything was asked: nobody notices, nothing is made twice. */
static void a_connection_that_is_cut(void **state)
{
    static const char *const cut[] = { "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes", NULL };
    struct tg_lease lease = { .owner = "host:1" };
    struct listed l = { "", 0 };
    struct contract c;
    uint64_t n;

    (void)state;
    contract_start(&c);
    for (uint64_t i = 0; i < 3; i++) {
        redis_do(&rig, cut);
        good(contract_put(&c.a, "job", i, 1, "x", &c.err), &c.err);
        redis_do(&rig, cut);
        good(c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, &n, &c.err), &c.err);
        redis_do(&rig, cut);
        good(c.a.ops->lease(c.a.self, "job", 0, 100, &lease, &c.err), &c.err);
    }
    good(c.b.ops->history(c.b.self, "checkpoint", "job", list_doc, &l, &c.err), &c.err);
    assert_string_equal(l.text, "job:3=x job:2=x job:1=x ");
    assert_int_equal(n, 3);
    contract_end(&c);
}

/* Passes one connection at a time on to a server, but for an answer that it swallows. */
struct relay {
    int listener, port, to;
    atomic_int swallow; /* that answer from now on: then the connection is cut */
    pthread_t thread;
};

static int socket_at(int port, bool listens)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (listens ? bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 8)
                : connect(fd, (struct sockaddr *)&a, sizeof a))
        fail_msg("no socket");
    return fd;
}

static void pass_on(struct relay *r, int near)
{
    struct pollfd end[2] = { { near, POLLIN, 0 }, { socket_at(r->to, false), POLLIN, 0 } };
    char bytes[4096];

    while (poll(end, 2, -1) > 0) {
        int from = end[0].revents ? 0 : 1;
        ssize_t n = read(end[from].fd, bytes, sizeof bytes);

        if (n <= 0 || (from == 1 && atomic_load(&r->swallow) > 0 &&
                       atomic_fetch_sub(&r->swallow, 1) == 1))
            break;
        if (write(end[!from].fd, bytes, (size_t)n) != n)
            break;
    }
    close(end[1].fd);
}

static void *relay_run(void *arg)
{
    struct relay *r = arg;
    int near;

    while ((near = accept(r->listener, NULL, NULL)) >= 0) {
        pass_on(r, near);
        close(near);
    }
    return NULL;
}

/* A change that is made, but whose answer is lost, is asked for again: it is not made twice. */
static void an_answer_that_is_lost(void **state)
{
    struct relay r = { .port = free_ports(1), .to = rig.port };
    struct tg_lease lease = { .owner = "host:1" }, other = { .owner = "host:2" };
    struct listed docs = { "", 0 }, entries = { "", 0 };
    struct contract c;
    uint64_t n;

    (void)state;
    fresh();
    r.listener = socket_at(r.port, true);
    pthread_create(&r.thread, NULL, relay_run, &r);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d?prefix=s%d&timeout=2s", r.port, n_stores);
    good(tg_store_open(url, &c.a, &c.err), &c.err);
    for (int i = 0; i < 3; i++) { /* the first time the scripts are not known yet */
        atomic_store(&r.swallow, i);
        good(contract_put(&c.a, "job", (uint64_t)i, 1, "x", &c.err), &c.err);
        atomic_store(&r.swallow, i);
        good(c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, &n, &c.err), &c.err);
        assert_int_equal(n, i + 1);
    }
    for (int i = 0; i < 3; i++) { /* taken and renewed; what is read, and the change */
        atomic_store(&r.swallow, i);
        good(c.a.ops->lease(c.a.self, "job", i, 100, &lease, &c.err), &c.err);
        assert_int_equal(lease.token, 1);
    }
    atomic_store(&r.swallow, 2);
    good(c.a.ops->release(c.a.self, "job", &lease, &c.err), &c.err);
    atomic_store(&r.swallow, 2);
    good(c.a.ops->lease(c.a.self, "job", 3, 100, &other, &c.err), &c.err);
    assert_int_equal(other.token, 2);
    atomic_store(&r.swallow, 1);
    good(c.a.ops->history(c.a.self, "checkpoint", "job", list_doc, &docs, &c.err), &c.err);
    assert_string_equal(docs.text, "job:3=x job:2=x job:1=x ");
    atomic_store(&r.swallow, 1);
    good(c.a.ops->prune(c.a.self, "checkpoint", "job", 1, &c.err), &c.err);
    atomic_store(&r.swallow, 1);
    good(c.a.ops->drop(c.a.self, "dead", "job", 2, 2, &c.err), &c.err);
    good(c.a.ops->read(c.a.self, "dead", "job", 1, list_entry, &entries, &c.err), &c.err);
    assert_string_equal(entries.text, "1@1=x 3@1=x ");
    assert_int_equal(atomic_load(&r.swallow), 0); /* each was */
    tg_store_close(&c.a);
    shutdown(r.listener, SHUT_RDWR);
    pthread_join(r.thread, NULL);
    close(r.listener);
}

/* What several do at once, each with a connection of its own. */
enum { RACERS = 4, ROUNDS = 100 };

struct racer {
    pthread_t thread;
    char owner[16];
    uint64_t number[ROUNDS], token[ROUNDS]; /* of entries and leases */
    struct tg_error err;
    bool failed;
};

static bool race_once(struct tg_store *s, struct racer *r, int round)
{
    struct tg_lease lease = { 0 };
    struct tg_doc doc = { 0 };
    char text[8];
    tg_code code;

    do {
        code = contract_get(s, "job", &doc, text, sizeof text, &r->err);
        if (code == TG_OK || code == TG_END)
            code = contract_put(s, "job", doc.version, 0, r->owner, &r->err);
    } while (code == TG_CONFLICT);
    if (code == TG_OK)
        code = s->ops->append(s->self, "dead", "job", 1, "x", 1, &r->number[round], &r->err);
    while (code == TG_OK) {
        memcpy(lease.owner, r->owner, sizeof r->owner);
        lease.token = 0;
        code = s->ops->lease(s->self, "job", 0, 100, &lease, &r->err);
        if (code == TG_OK)
            break;
        code = code == TG_BUSY ? TG_OK : code;
    }
    r->token[round] = lease.token;
    return code == TG_OK && s->ops->release(s->self, "job", &lease, &r->err) == TG_OK;
}

static void *race(void *arg)
{
    struct tg_store s = { 0 };
    struct racer *r = arg;

    r->failed = tg_store_open(url, &s, &r->err) != TG_OK;
    for (int i = 0; i < ROUNDS && !r->failed; i++)
        r->failed = !race_once(&s, r, i);
    tg_store_close(&s);
    return NULL;
}

static void several_at_once(void **state)
{
    static struct racer racer[RACERS];
    static bool given[RACERS * ROUNDS + 1], had[RACERS * ROUNDS + 1];
    struct contract c;
    struct tg_doc doc;
    char text[32];

    (void)state;
    contract_start(&c);
    for (int i = 0; i < RACERS; i++) {
        snprintf(racer[i].owner, sizeof racer[i].owner, "host:%d", i);
        pthread_create(&racer[i].thread, NULL, race, &racer[i]);
    }
    for (int i = 0; i < RACERS; i++) {
        pthread_join(racer[i].thread, NULL);
        if (racer[i].failed)
            fail_msg("%s", racer[i].err.message);
    }
    good(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), &c.err);
    assert_int_equal(doc.version, RACERS * ROUNDS);
    for (int i = 0; i < RACERS * ROUNDS; i++) { /* each number and token once */
        uint64_t n = racer[i / ROUNDS].number[i % ROUNDS];
        uint64_t token = racer[i / ROUNDS].token[i % ROUNDS];

        assert_in_range(n, 1, RACERS * ROUNDS);
        assert_in_range(token, 1, RACERS * ROUNDS);
        assert_false(given[n] || had[token]);
        given[n] = had[token] = true;
    }
    contract_end(&c);
}

static void a_cluster(void **state)
{
    struct redis_rig g[2];
    struct tg_error err;

    (void)state;
    redis_start_cluster(g);
    for (int i = 0; i < 2; i++) { /* whichever node is named */
        struct listed l = { "", 0 };
        struct contract c;
        uint64_t n;

        snprintf(url, sizeof url, "%s?prefix=p", g[i].url);
        assert_int_equal(tg_store_open(url, &c.a, &err), TG_OK);
        assert_int_equal(contract_put(&c.a, i ? "b" : "a", 0, 1, "x", &err), TG_OK);
        assert_int_equal(c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, &n, &err), TG_OK);
        assert_int_equal(n, i + 1);
        assert_int_equal(c.a.ops->list(c.a.self, "checkpoint", "", list_doc, &l, &err), TG_OK);
        assert_string_equal(l.text, i ? "a:1=x b:1=x " : "a:1=x ");
        tg_store_close(&c.a);
    }
    redis_end(&g[0]);
    redis_end(&g[1]);
}

/* 2^53 + 1 is the first whole number that a double has not. */
#define BIG UINT64_C(9007199254740993)
#define BIG_DIGITS "00009007199254740993"

static void numbers_that_no_double_holds(void **state)
{
    struct tg_lease lease = { .owner = "host:2" }, late = { .owner = "host:1", .token = BIG - 1 };
    struct contract c;
    struct tg_doc doc;
    struct listed l = { "", 0 };
    char text[32];
    uint64_t n;

    (void)state;
    contract_start(&c);
    meddle("ZADD", "doc:checkpoint:job", NULL, BIG_DIGITS " " BIG_DIGITS " 5 before");
    meddle("ZADD", "docs:checkpoint", NULL, "job");
    meddle("SET", "last:dead:job", NULL, "9007199254740992");
    meddle("HSET", "lease", "job", BIG_DIGITS " 9007199254740993 host:1");

    assert_int_equal(contract_put(&c.a, "job", BIG - 1, BIG, "x", &c.err), TG_CONFLICT);
    assert_int_equal(contract_put(&c.a, "job", BIG + 1, BIG, "x", &c.err), TG_CONFLICT);
    assert_int_equal(contract_put(&c.a, "job", BIG, BIG - 1, "x", &c.err), TG_CONFLICT);
    assert_non_null(strstr(c.err.message, "9007199254740993 is newer than 9007199254740992"));
    assert_int_equal(contract_put(&c.a, "job", BIG, BIG, "after", &c.err), TG_OK);
    assert_int_equal(contract_get(&c.b, "job", &doc, text, sizeof text, &c.err), TG_OK);
    assert_true(doc.version == BIG + 1 && doc.fence == BIG && strcmp(text, "after") == 0);

    assert_int_equal(c.a.ops->append(c.a.self, "dead", "job", INT64_MAX, "x", 1, &n, &c.err),
                     TG_OK);
    assert_true(n == BIG);
    assert_int_equal(c.a.ops->append(c.a.self, "dead", "job", INT64_MIN, "y", 1, &n, &c.err),
                     TG_OK);
    assert_true(n == BIG + 1);
    assert_int_equal(c.a.ops->drop(c.a.self, "dead", "job", 0, BIG, &c.err), TG_OK);
    assert_int_equal(c.a.ops->read(c.a.self, "dead", "job", BIG, list_entry, &l, &c.err), TG_OK);
    assert_non_null(strstr(l.text, "=y "));
    assert_null(strstr(l.text, "=x "));

    assert_int_equal(c.a.ops->lease(c.a.self, "job", INT64_C(9007199254740992), 10, &lease, &c.err),
                     TG_BUSY);
    assert_int_equal(c.a.ops->lease(c.a.self, "job", 1, 10, &late, &c.err), TG_CONFLICT);
    lease = (struct tg_lease){ .owner = "host:2" };
    assert_int_equal(c.a.ops->lease(c.a.self, "job", INT64_C(9007199254740993), 10, &lease, &c.err),
                     TG_OK);
    assert_true(lease.token == BIG + 1);
    assert_int_equal(c.a.ops->put(c.a.self, "checkpoint", "top", 0,
                                  &(struct tg_doc){ .at_us = -7, .fence = UINT64_MAX }, "x", 1,
                                  &c.err), TG_OK);
    assert_int_equal(contract_get(&c.b, "top", &doc, text, sizeof text, &c.err), TG_OK);
    assert_true(doc.fence == UINT64_MAX && doc.at_us == -7);
    contract_end(&c);
}

static void bytes_are_kept_as_they_are(void **state)
{
    uint8_t all[256];
    struct tg_doc stamp = { .fence = 1 }, doc;
    struct tg_buf got;
    struct contract c;

    (void)state;
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    contract_start(&c);
    assert_int_equal(
        c.a.ops->put(c.a.self, "kind", "k", 0, &stamp, all, sizeof all, &c.err), TG_OK);
    assert_int_equal(c.a.ops->put(c.a.self, "k:i%d", "k", 0, &stamp, "1", 1, &c.err), TG_OK);
    assert_int_equal(c.a.ops->put(c.a.self, "k", "i%d:k", 0, &stamp, "2", 1, &c.err), TG_OK);
    tg_buf_init(&got, 1000);
    assert_int_equal(c.b.ops->get(c.b.self, "kind", "k", &doc, &got, &c.err), TG_OK);
    assert_int_equal(got.len, sizeof all);
    assert_memory_equal(got.data, all, sizeof all);
    tg_buf_done(&got);
    contract_end(&c);
}

/* More than one page of each. */
static void long_lists(void **state)
{
    enum { MANY = 100 };
    struct contract c;
    char key[16];

    (void)state;
    contract_start(&c);
    for (uint64_t i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "\xff%03d", (int)i);
        assert_int_equal(contract_put(&c.a, key, 0, 0, "x", &c.err), TG_OK);
        assert_int_equal(contract_put(&c.a, "job", i, 0, "x", &c.err), TG_OK);
        assert_int_equal(c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, NULL, &c.err), TG_OK);
    }
    for (int what = 0; what < 3; what++) {
        struct listed l = { "", MANY + 1 };

        if (what == 0)
            c.b.ops->list(c.b.self, "checkpoint", "\xff", list_doc, &l, &c.err);
        else if (what == 1)
            c.b.ops->history(c.b.self, "checkpoint", "job", list_doc, &l, &c.err);
        else
            c.b.ops->read(c.b.self, "dead", "job", 1, list_entry, &l, &c.err);
        assert_int_equal(l.left, 1);
    }
    contract_end(&c);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *more;
        enum tg_store_use use;
        tg_code code;
        const char *says;
    } row[] = {
        { "?prefix={x}", TG_STORE_CREATE, TG_USAGE, "'{x}' is no name for a prefix" },
        { "?prefix=", TG_STORE_CREATE, TG_USAGE, "'' is no name for a prefix" },
        { "?prefix=empty", TG_STORE_CHANGE, TG_NOT_FOUND, "holds no state" },
        { "?prefix=empty", TG_STORE_LOOK, TG_NOT_FOUND, "holds no state" },
        { "?prefix=newer", TG_STORE_CREATE, TG_UNUSABLE, "version 7" },
        { "?prefix=foreign", TG_STORE_CREATE, TG_UNUSABLE, "WRONGTYPE" },
        { "/77", TG_STORE_CREATE, TG_UNUSABLE, "DB index" },
    };

    (void)state;
    redis_do(&rig, (const char *const[]){ "SET", "{newer}:version", "7", NULL });
    redis_do(&rig, (const char *const[]){ "LPUSH", "{foreign}:version", "1", NULL });
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        char text[200];

        snprintf(text, sizeof text, "%s%s", rig.url, row[i].more);
        contract_refused(text, row[i].use, row[i].code, row[i].says);
    }
    contract_refused("rediss://127.0.0.1:1", TG_STORE_CREATE, TG_UNSUPPORTED, "TLS");
    contract_refused("redis://127.0.0.1:1", TG_STORE_CREATE, TG_STATE, "127.0.0.1:1");
}

static void passwords(void **state)
{
    struct redis_rig own;
    char text[100];
    struct tg_store store = { 0 };
    struct tg_error err;

    (void)state;
    redis_start(&own, "s3cr@t");
    contract_refused(own.url, TG_STORE_CREATE, TG_UNUSABLE, "NOAUTH");
    snprintf(text, sizeof text, "redis://:s3cr3t@127.0.0.1:%d", own.port);
    contract_refused(text, TG_STORE_CREATE, TG_UNUSABLE, "WRONGPASS");
    snprintf(text, sizeof text, "redis://:s3cr%%40t@127.0.0.1:%d", own.port);
    assert_int_equal(tg_store_open(text, &store, &err), TG_OK);
    tg_store_close(&store);
    redis_end(&own);
}

static void passwords_are_not_shown(void **state)
{
    static const struct {
        const char *url, *want;
    } row[] = {
        { "redis://:s3cret@host:1/2?prefix=a", "redis://:***@host:1/2?prefix=a" },
        { "redis://me:s3c@ret@host", "redis://me:***@host" },
        { "redis://host:1/2?prefix=a@b", "redis://host:1/2?prefix=a@b" },
        { "postgres://me@host:1/db", "postgres://me@host:1/db" },
        { "sqlite:a:b@c", "sqlite:a:b@c" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        assert_string_equal(tg_store_shown(row[i].url).text, row[i].want);
}

static void foreign_keys(void **state)
{
    static const struct {
        const char *command, *what, *more, *value;
        tg_code put, append, lease;
    } row[] = {
        { "SET", "doc:checkpoint:job", NULL, "x", TG_UNUSABLE, TG_OK, TG_OK },
        { "SET", "log:dead:job", NULL, "x", TG_OK, TG_UNUSABLE, TG_OK },
        { "SET", "last:dead:job", NULL, "x", TG_OK, TG_UNUSABLE, TG_OK },
        { "SET", "last:dead:job", NULL, "-5", TG_OK, TG_CORRUPT, TG_OK },
        { "SET", "lease", NULL, "x", TG_OK, TG_OK, TG_UNUSABLE },
        { "ZADD", "doc:checkpoint:job", NULL, "x", TG_CORRUPT, TG_OK, TG_OK },
        { "ZADD", "doc:checkpoint:job", NULL, "99999999999999999999 99999999999999999999 1 x",
          TG_CORRUPT, TG_OK, TG_OK },
        { "HSET", "lease", "job", "x", TG_OK, TG_OK, TG_CORRUPT },
        { "HSET", "lease", "job", "00000000000000000001 12", TG_OK, TG_OK, TG_CORRUPT },
        { "HSET", "lease", "job", "00000000000000000001 1x y", TG_OK, TG_OK, TG_CORRUPT },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_lease lease = { .owner = "host:1" };
        struct listed l = { "", 0 };
        struct tg_doc doc;
        struct contract c;
        char text[32];
        tg_code put, append, took;

        contract_start(&c);
        meddle(row[i].command, row[i].what, row[i].more, row[i].value);
        put = contract_put(&c.a, "job", 0, 1, "x", &c.err);
        append = c.a.ops->append(c.a.self, "dead", "job", 1, "x", 1, NULL, &c.err);
        took = c.a.ops->lease(c.a.self, "job", 0, 100, &lease, &c.err);
        if (put != row[i].put || append != row[i].append || took != row[i].lease)
            fail_msg("row %d: %d %d %d: %s", (int)i, (int)put, (int)append, (int)took,
                     c.err.message);
        assert_int_equal(contract_get(&c.b, "job", &doc, text, sizeof text, &c.err), put);
        meddle("ZADD", "docs:checkpoint", NULL, "job");
        assert_int_equal(
            c.b.ops->list(c.b.self, "checkpoint", "", list_doc, &l, &c.err), put);
        contract_end(&c);
    }
}

static void a_full_server_and_a_cache(void **state)
{
    struct redis_rig own;
    struct tg_store store = { 0 };
    struct tg_error err;

    (void)state;
    redis_start(&own, NULL);
    assert_int_equal(tg_store_open(own.url, &store, &err), TG_OK);
    assert_non_null(strstr(store.ops->warning(store.self), "appendonly is off"));
    redis_do(&own, (const char *const[]){ "CONFIG", "SET", "maxmemory", "1", NULL });
    assert_int_equal(contract_put(&store, "job", 0, 1, "x", &err), TG_UNUSABLE);
    assert_non_null(strstr(err.message, "OOM"));
    assert_non_null(strstr(err.hint, "maxmemory"));
    redis_do(&own, (const char *const[]){ "CONFIG", "SET", "maxmemory", "1000000000", NULL });
    assert_int_equal(contract_put(&store, "job", 0, 1, "x", &err), TG_OK);
    tg_store_close(&store);
    redis_do(&own, (const char *const[]){ "CONFIG", "SET", "maxmemory-policy", "allkeys-lru",
                                          NULL });
    contract_refused(own.url, TG_STORE_CHANGE, TG_UNUSABLE, "allkeys-lru");
    redis_do(&own, (const char *const[]){ "ACL", "SETUSER", "default", "-config", NULL });
    assert_int_equal(tg_store_open(own.url, &store, &err), TG_OK); /* it does not tell */
    tg_store_close(&store);
    redis_end(&own);
}

static void a_replica(void **state)
{
    struct redis_rig own;
    struct tg_store look = { 0 }, store = { 0 };
    struct contract c;
    struct tg_doc doc;
    char port[16], text[32];

    (void)state;
    contract_start(&c);
    assert_int_equal(contract_put(&c.a, "job", 0, 1, "one", &c.err), TG_OK);
    redis_start(&own, NULL);
    snprintf(port, sizeof port, "%d", rig.port);
    redis_do(&own, (const char *const[]){ "REPLICAOF", "127.0.0.1", port, NULL });
    snprintf(url, sizeof url, "%s?prefix=s%d", own.url, n_stores);
    contract_refused(url, TG_STORE_CREATE, TG_UNUSABLE, "READONLY");
    for (int i = 0; i < 500; i++) {
        if (tg_store_open_existing(url, TG_STORE_LOOK, &look, &c.err) == TG_OK)
            break;
        usleep(20000);
    }
    assert_int_equal(contract_get(&look, "job", &doc, text, sizeof text, &c.err), TG_OK);
    assert_string_equal(text, "one");
    assert_int_equal(contract_put(&look, "job", 1, 1, "two", &c.err), TG_UNUSABLE);
    assert_int_equal(tg_store_open_existing(url, TG_STORE_CHANGE, &store, &c.err), TG_OK);
    assert_int_equal(contract_put(&store, "job", 1, 1, "two", &c.err), TG_UNUSABLE);
    assert_non_null(strstr(c.err.hint, "replica"));
    redis_do(&own, (const char *const[]){ "REPLICAOF", "NO", "ONE", NULL });
    assert_int_equal(contract_put(&store, "job", 1, 1, "two", &c.err), TG_OK);
    tg_store_close(&store);
    tg_store_close(&look);
    redis_end(&own);
    contract_end(&c);
}

int main(void)
{
    const struct CMUnitTest test[] = {
        STORE_CONTRACT_TESTS,
        cmocka_unit_test(a_server_that_comes_back),
        cmocka_unit_test(a_connection_that_is_cut),
        cmocka_unit_test(an_answer_that_is_lost),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(a_cluster),
        cmocka_unit_test(numbers_that_no_double_holds),
        cmocka_unit_test(bytes_are_kept_as_they_are),
        cmocka_unit_test(long_lists),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(passwords),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(foreign_keys),
        cmocka_unit_test(a_full_server_and_a_cache),
        cmocka_unit_test(a_replica),
    };

    if (!tg_redis_built_in())
        return 77;
    return cmocka_run_group_tests_name("unit/store_redis", test, set_up, tear_down);
}
