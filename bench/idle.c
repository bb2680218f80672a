/* SPDX-License-Identifier: MIT */
/*
 * idle.c - what an idle connection costs: many authorizations in one process, on one loop
 *
 *   bench_idle [CONNECTIONS [SECONDS]]
 *
 * A child process is the simulator. Each connection makes its own key, logs the same account in and
 * then only answers and sends pings. Prints resident memory and CPU time a connection.
 *
 * Threads: main
 */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/fs.h"
#include "sim/sim.h"
#include "source/net.h"
#include "telegram/login.h"

enum { DIALS_AT_ONCE = 16, TEXT_MAX = 64 << 10 };

struct run;

struct one {
    struct run *run;
    struct tg_session_data session;
    struct tg_net *net;
    bool begun, done;
};

struct run {
    struct one *one;
    size_t n, n_begun, n_done;
    struct tg_loop *loop;
    struct tg_datacenter where;
    struct tg_random random;
    char phone[32], code[16];
    bool failed;
};

static void on_save(void *ctx)
{
    (void)ctx;
}

static void on_notice(void *ctx, const struct tgc_notice *notice)
{
    (void)ctx;
    if (notice->kind == TGC_LOST)
        fprintf(stderr, "bench_idle: %s\n", notice->err->message);
}

static void begin_more(struct run *run);

static void on_login(void *ctx, const struct tg_error *err)
{
    struct one *one = ctx;

    if (err) {
        fprintf(stderr, "bench_idle: %s\n", err->message);
        one->run->failed = true;
        tg_loop_stop(one->run->loop);
        return;
    }
    one->done = true;
    one->run->n_done++;
    begin_more(one->run);
    if (one->run->n_done == one->run->n)
        tg_loop_stop(one->run->loop);
}

static void on_ask(void *ctx, enum tg_login_question what, const char *hint)
{
    (void)ctx;
    (void)what;
    (void)hint;
}

/* On the connection's own turn of the loop. */
static void on_step(void *ctx, int64_t now_us)
{
    struct one *one = ctx;
    const struct tg_login_options login = { .phone = one->run->phone, .code = one->run->code };
    const struct tg_login_hooks hooks = { one, on_ask, NULL, on_login };

    if (one->begun)
        return;
    one->begun = true;
    if (!tg_login_start(tg_net_client(one->net), &login, &hooks, now_us) && !one->done)
        one->run->failed = true;
}

static bool begin(struct run *run, struct one *one)
{
    struct tg_net_options net = { .loop = run->loop, .ctx = one, .save = on_save,
                                  .notice = on_notice, .step = on_step };
    struct tgc_options client = {
        .random = &run->random,
        .where = &run->where,
        .session = &one->session,
        .transport = { .framing = MT_INTERMEDIATE, .obfuscated = true },
        .pfs = true,
        .limit = { 0, 0, true, 1000, { 0 } },
    };
    struct tg_error err;

    one->run = run;
    tg_session_data_init(&one->session);
    one->session.api_id = 1;
    memset(one->session.api_hash, '0', 32);
    one->session.home_dc = run->where.main_dc;
    if (tg_net_new(&net, &client, &one->net, &err) != TG_OK) {
        fprintf(stderr, "bench_idle: %s\n", err.message);
        return false;
    }
    tg_net_wake(one->net);
    return true;
}

static void begin_more(struct run *run)
{
    while (run->n_begun < run->n && run->n_begun < run->n_done + DIALS_AT_ONCE && !run->failed)
        run->failed = !begin(run, &run->one[run->n_begun++]);
}

static void on_time(void *ctx)
{
    tg_loop_stop(ctx);
}

static void run_for(struct tg_loop *loop, int64_t us)
{
    struct tg_timer *timer;
    struct tg_error err;

    if (tg_timer_new(loop, on_time, loop, &timer, &err) != TG_OK)
        return;
    tg_timer_at(timer, tg_clock_mono_us() + us);
    tg_loop_run(loop);
    tg_timer_free(timer);
}

static double cpu_s(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6 +
           (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6;
}

static double rss_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size, pages = 0;

    if (f && fscanf(f, "%ld %ld", &size, &pages) != 2)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1024;
}

/* ---- the simulator ---- */

static pid_t start_sim(const char *dir)
{
    struct sim_settings settings;
    struct tg_error err;
    struct sim *sim;
    pid_t pid = fork();

    if (pid)
        return pid;
    if (tg_options_default(sim_options, &settings, &err) != TG_OK)
        _exit(1);
    settings.dir = dir;
    settings.chats = 1;
    settings.messages = 10;
    if (sim_start(&settings, &sim, &err) != TG_OK || sim_run(sim, NULL, NULL, &err) != TG_OK) {
        fprintf(stderr, "bench_idle: %s\n", err.message);
        _exit(1);
    }
    _exit(0);
}

/* The first account's number and code stand first of their kind in the file. */
static bool take_text(const char *json, const char *key, char *out, size_t n)
{
    const char *at = strstr(json, key);
    size_t len;

    at = at ? strchr(at + strlen(key), ':') : NULL;
    at = at ? strchr(at, '"') : NULL;
    len = at ? strcspn(at + 1, "\"") : n;
    if (len >= n)
        return false;
    memcpy(out, at + 1, len);
    out[len] = 0;
    return true;
}

static bool read_datacenter(const char *dir, struct run *run)
{
    struct tg_error err = { 0 };
    struct tg_buf text;
    struct tg_dir *d;
    bool ok = false;

    if (tg_fs_system.open_dir(&tg_fs_system, dir, false, &d, &err) != TG_OK)
        return false;
    tg_buf_init(&text, TEXT_MAX);
    for (int i = 0; i < 500 && !ok; i++) {
        usleep(20000);
        ok = tg_fs_read_all(&tg_fs_system, d, "datacenter.json", TEXT_MAX, &text, &err) == TG_OK;
    }
    ok = ok && tg_datacenter_parse((const char *)text.data, text.len, &run->where, &err) == TG_OK &&
         take_text(tg_buf_cstr(&text), "\"phone\"", run->phone, sizeof run->phone) &&
         take_text(tg_buf_cstr(&text), "\"code\"", run->code, sizeof run->code);
    tg_buf_done(&text);
    tg_fs_system.close_dir(&tg_fs_system, d);
    return ok;
}

static int measure(struct run *run, int64_t seconds)
{
    double rss = rss_kib(), cpu;
    const double n = (double)run->n;

    begin_more(run);
    while (!run->failed && run->n_done < run->n)
        tg_loop_run(run->loop);
    if (run->failed)
        return 1;
    run_for(run->loop, 30 * TG_SECOND_US); /* until they have come to rest */
    malloc_trim(0); /* what the logins took */
    rss = rss_kib() - rss;
    cpu = cpu_s();
    run_for(run->loop, seconds * TG_SECOND_US);
    printf("%zu idle connections of as many authorizations, one process, one thread\n", run->n);
    printf("  memory  %6.1f KiB each (goal: below 32)\n", rss / n);
    printf("  CPU     %6.1f microseconds each per second\n", (cpu_s() - cpu) / n / (double)seconds *
                                                                 1e6);
    return rss / n < 32 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    struct run run = { .n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000 };
    char dir[] = "/tmp/tgdata-idle-XXXXXX";
    struct tg_error err;
    int status = 1;
    pid_t sim;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    run.random = tg_random_system();
    run.one = calloc(run.n, sizeof *run.one);
    if (!run.one || !mkdtemp(dir) || (sim = start_sim(dir)) < 0)
        return 1;
    if (tg_loop_new(&run.loop, &err) == TG_OK && read_datacenter(dir, &run))
        status = measure(&run, argc > 2 ? strtol(argv[2], NULL, 10) : 30);
    else
        fprintf(stderr, "bench_idle: the simulator did not start\n");
    for (size_t i = 0; i < run.n_begun; i++) {
        tg_net_free(run.one[i].net);
        tg_session_data_done(&run.one[i].session);
    }
    tg_loop_free(run.loop);
    tg_datacenter_done(&run.where);
    free(run.one);
    kill(sim, SIGTERM);
    waitpid(sim, NULL, 0);
    return status;
}
