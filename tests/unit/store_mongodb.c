/* SPDX-License-Identifier: MIT */
/*
 * store_mongodb.c - state in a collection of MongoDB, at mongo-java-server: the contract of all
 * stores, what all on objects must do, a server that is killed, TLS, what is wrong
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/mongo.h"
#include "tests/ports.h"
#include "tests/unit/store_objects.h"

struct server {
    char directory[64];
    bool tls;
    int port;
    pid_t pid;
};

static struct server rig;
static char url[300];
static int n_stores;

static bool is_up(const struct server *g)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)g->port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;

    close(fd);
    return up;
}

/* At the port and with the directory that it had. */
static void start(struct server *g)
{
    char port[16];
    int status;

    snprintf(port, sizeof port, "%d", g->port);
    g->pid = fork();
    assert_true(g->pid >= 0);
    if (g->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl("tests/mongo_server", "mongo_server", g->directory, port,
              g->tls ? "tls" : NULL, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1200; i++) {
        if (waitpid(g->pid, &status, WNOHANG) == g->pid) {
            if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                exit(77);
            fail_msg("the server does not start: see %s/log", g->directory);
        }
        if (is_up(g))
            return;
        usleep(50000);
    }
    fail_msg("the server does not come up: see %s/log", g->directory);
}

static void stop(struct server *g)
{
    kill(g->pid, SIGKILL);
    waitpid(g->pid, NULL, 0);
}

static void begin(struct server *g, bool tls)
{
    *g = (struct server){ .directory = "/tmp/tgdata-mongo-XXXXXX", .tls = tls };
    assert_non_null(mkdtemp(g->directory));
    g->port = free_ports(1);
    start(g);
}

static void end(struct server *g)
{
    char command[128];

    stop(g);
    snprintf(command, sizeof command, "rm -rf '%s'", g->directory);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    const struct tg_mongo_options options = { .address = "//x/y", .collection = "c" };
    struct tg_mongo *m = NULL;
    struct tg_error err;

    (void)state;
    if (tg_mongo_new(&options, &m, &err) == TG_UNSUPPORTED)
        exit(77);
    tg_mongo_free(m);
    begin(&rig, false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    end(&rig);
    return 0;
}

/* Each test has a collection of its own. */
static const char *fresh(void)
{
    snprintf(url, sizeof url, "mongodb://127.0.0.1:%d/state?collection=s%d&timeout=7s", rig.port,
             ++n_stores);
    return url;
}

static void done(void)
{
}

const struct store_harness harness = { fresh, done };

static void a_server_that_is_killed(void **state)
{
    struct contract c;
    struct tg_doc doc;
    char text[8];

    (void)state;
    contract_start(&c);
    good(contract_put(&c.a, "job", 0, 1, "one", &c.err), &c.err);
    sleep(3); /* this server writes to its file later; a journal it has not */
    stop(&rig);
    assert_int_equal(contract_put(&c.a, "job", 1, 1, "two", &c.err), TG_STATE);
    assert_true(c.err.hint[0] != 0);
    start(&rig);
    good(contract_get(&c.a, "job", &doc, text, sizeof text, &c.err), &c.err);
    assert_string_equal(text, "one");
    good(contract_put(&c.a, "job", 1, 1, "two", &c.err), &c.err);
    contract_end(&c);
}

static tg_code open_and_close(const char *address, struct tg_error *err)
{
    struct tg_store store = { 0 };
    tg_code code = tg_store_open(address, &store, err);

    tg_store_close(&store);
    return code;
}

static void certificates_are_checked(void **state)
{
    struct server own;
    struct tg_error err = { .message = "" };
    char text[300];

    (void)state;
    begin(&own, true);
    snprintf(text, sizeof text, "mongodb://localhost:%d/state?timeout=3s&tls=yes&ca-file=%s/%s",
             own.port, own.directory, "cert.pem");
    good(open_and_close(text, &err), &err);
    snprintf(text, sizeof text, "mongodb://127.0.0.1:%d/state?timeout=3s&tls=yes&ca-file=%s/%s",
             own.port, own.directory, "cert.pem"); /* it is localhost's */
    assert_int_equal(open_and_close(text, &err), TG_STATE);
    snprintf(text, sizeof text, "mongodb://localhost:%d/state?timeout=3s&tls=yes", own.port);
    assert_int_equal(open_and_close(text, &err), TG_STATE);
    assert_non_null(strstr(err.message, "TLS"));
    end(&own);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *url;
        enum tg_store_use use;
        tg_code code;
        const char *says;
    } row[] = {
        { "mongodb:", TG_STORE_CREATE, TG_USAGE, "needs a host and a database" },
        { "mongodb://host", TG_STORE_CREATE, TG_USAGE, "needs a host and a database" },
        { "mongodb://host/", TG_STORE_CREATE, TG_USAGE, "needs a host and a database" },
        { "mongodb://host/a.b", TG_STORE_CREATE, TG_USAGE, "needs a host and a database" },
        { "mongodb://me:s3cret@host/db", TG_STORE_CREATE, TG_USAGE, "has a password in it" },
        { "mongodb://host:x/db", TG_STORE_CREATE, TG_USAGE, "cannot be read" },
        { "mongodb://127.0.0.1:1/db?timeout=1s", TG_STORE_CREATE, TG_STATE, "127.0.0.1:1" },
        { "mongodb://@/db?collection=empty", TG_STORE_CHANGE, TG_NOT_FOUND, "holds no state" },
        { "mongodb://@/db?collection=empty", TG_STORE_LOOK, TG_NOT_FOUND, "holds no state" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const char *at = strstr(row[i].url, "@/");
        char text[200];

        if (at)
            snprintf(text, sizeof text, "mongodb://127.0.0.1:%d%s", rig.port, at + 1);
        contract_refused(at ? text : row[i].url, row[i].use, row[i].code, row[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest test[] = {
        STORE_CONTRACT_TESTS,
        STORE_OBJECTS_TESTS,
        cmocka_unit_test(a_server_that_is_killed),
        cmocka_unit_test(certificates_are_checked),
        cmocka_unit_test(what_is_wrong_is_told),
    };

    return cmocka_run_group_tests_name("unit/store_mongodb", test, set_up, tear_down);
}
