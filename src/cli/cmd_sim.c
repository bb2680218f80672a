/* SPDX-License-Identifier: MIT */
/*
 * cmd_sim.c - tgdata sim: the simulated data centre as a process
 */
#include <signal.h>

#include "cli/cli.h"
#include "cli/term.h"
#include "sim/sim.h"

struct running {
    const struct cli *cli;
    struct sim *sim;
};

/* SIGUSR1 asks for statistics, SIGUSR2 for changes; they wait until somebody watches for them. */
static void hold_users(int how)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigprocmask(how, &set, NULL);
}

/* The first line comes when the data centre watches for signals itself: one that came before has
 * only been counted. */
static void on_line(void *ctx, const char *line)
{
    const struct running *r = ctx;
    struct tg_buf text;
    char stamp[21];

    hold_users(SIG_UNBLOCK);
    if (term_stopped())
        sim_stop(r->sim);
    if (!r->cli->verbose)
        return;
    tg_buf_init(&text, 64 << 10);
    cli_clean(&text, line, 4000);
    term_now(stamp);
    fprintf(stderr, "%s %s\n", stamp, tg_buf_cstr(&text));
    tg_buf_done(&text);
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct sim_settings *settings = cli->own;
    struct running r = { .cli = cli };
    tg_code code;

    if (!settings->dir) {
        tg_fail(err, TG_USAGE, "no directory is given");
        return tg_hint(err, "say where its files may be written: --dir DIR");
    }
    hold_users(SIG_BLOCK);
    code = sim_start(settings, &r.sim, err);
    if (code != TG_OK)
        return code;
    printf("listening: %s/datacenter.json\n", settings->dir);
    code = cli_flush(err);
    if (code == TG_OK)
        code = sim_run(r.sim, on_line, &r, err);
    sim_free(r.sim);
    return code;
}

const struct cli_command cmd_sim = {
    .name = "sim",
    .help = "run a simulated Telegram data centre on this machine",
    .usage = "--dir DIR [OPTIONS]",
    .about = "Serves a made-up world of chats over real MTProto until it is stopped by SIGINT or "
             "SIGTERM. Addresses, public key and test accounts stand in DIR/datacenter.json, which "
             "is written when it listens; a line on stdout says so. The same seed gives the same "
             "world and the same faults.",
    .examples = "  tgdata sim --dir dc --chats 5 --messages 100000 &\n"
                "  tgdata login --datacenter dc/datacenter.json --phone 9996620001 \\\n"
                "      --code 22222 --api-id 1 --api-hash 00\n"
                "  tgdata sim --dir dc --latency-ms 50 --flood messages.getHistory=30/60\n",
    .option = sim_options,
    .size = sizeof(struct sim_settings),
    .run = run,
};
