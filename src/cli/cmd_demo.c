/* SPDX-License-Identifier: MIT */
/*
 * cmd_demo.c - tgdata demo: everything at work on one machine, without an account
 *
 *   sim (process) <--MTProto--> login, chats, extract --SIGKILL--> extract again, verify
 *
 * Each step runs this program as a user would. The extractor is killed in the middle and started
 * again; at the end its files are compared with the simulated world's own list of ids.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json_read.h"
#include "cli/child.h"
#include "cli/demo.h"
#include "cli/progress.h"
#include "cli/term.h"

enum { PATH_BYTES = 2048, LEASE_WAIT_MAX_S = 20 };
#define KILL_SHARE 0.47 /* of the rows; or when nothing has come for */
#define STALL_S 0.7
#define LATE_SHARE 0.6  /* of the pages: then one is late */

struct own {
    const char *dir;
    int64_t chats, messages, seed;
    bool no_kill;
};

static const struct tg_option options[] = {
    { .name = "dir",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, dir),
      .value = "DIR",
      .help = "empty or new directory for everything it writes (default: a new one in $TMPDIR)" },
    { .name = "chats",
      .type = TG_OPT_I64,
      .offset = offsetof(struct own, chats),
      .fallback = "6",
      .min = 1,
      .max = 1000,
      .value = "N",
      .help = "chats of the simulated world" },
    { .name = "messages",
      .type = TG_OPT_I64,
      .offset = offsetof(struct own, messages),
      .fallback = "50000",
      .min = 1,
      .max = 10000000,
      .value = "N",
      .help = "messages of each chat" },
    { .name = "seed",
      .type = TG_OPT_I64,
      .offset = offsetof(struct own, seed),
      .fallback = "7",
      .min = 0,
      .max = INT64_MAX,
      .value = "N",
      .help = "another world" },
    { .name = "no-kill",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, no_kill),
      .help = "let the first extraction run to its end" },
    { 0 },
};

/* Everything that the steps share. */
struct demo {
    const struct own *own;
    char dir[PATH_BYTES / 4], sim_dir[PATH_BYTES], out[PATH_BYTES];
    char datacenter[PATH_BYTES], session[PATH_BYTES], to[PATH_BYTES], state[PATH_BYTES];
    char phone[64], code[64];
    int64_t user_id;
    struct child sim;
    struct truth truth;
    unsigned step;
    double seconds;        /* of extraction, both runs */
    double cpu_s;
    long rss_kib;          /* greatest of both */
    int64_t rows;          /* of the last run */
    uint64_t bytes;        /* of both, as written */
};

/* ---- telling ---- */

static const char *bold(void)
{
    return term_colour(1) ? "\033[1m" : "";
}

static const char *plain(void)
{
    return term_colour(1) ? "\033[0m" : "";
}

static void title(struct demo *d, const char *what)
{
    printf("\n%s%u. %s%s\n", bold(), ++d->step, what, plain());
    fflush(stdout);
}

static tg_code stopped(struct tg_error *err)
{
    tg_fail(err, TG_CANCELLED, "stopped");
    return tg_hint(err, "the demo starts from the beginning when it is called again");
}

/* ---- the data centre ---- */

static tg_code make_dirs(struct demo *d, struct tg_error *err)
{
    const char *tmp = getenv("TMPDIR");

    if (d->own->dir) {
        snprintf(d->dir, sizeof d->dir, "%s", d->own->dir);
        if (strlen(d->own->dir) >= sizeof d->dir)
            return tg_fail(err, TG_USAGE, "the directory's name is too long");
        if (mkdir(d->dir, 0700) < 0 && errno != EEXIST)
            return tg_fail(err, TG_IO, "could not make '%s': %s", d->dir, strerror(errno));
        if (rmdir(d->dir) < 0 || mkdir(d->dir, 0700) < 0) {
            tg_fail(err, TG_USAGE, "'%s' is not empty", d->dir);
            return tg_hint(err, "name another directory, or remove that one");
        }
    } else {
        snprintf(d->dir, sizeof d->dir, "%s/tgdata-demo-XXXXXX",
                 tmp && *tmp && strlen(tmp) < 200 ? tmp : "/tmp");
        if (!mkdtemp(d->dir))
            return tg_fail(err, TG_IO, "could not make '%s': %s", d->dir, strerror(errno));
    }
    snprintf(d->sim_dir, sizeof d->sim_dir, "%s/datacenter", d->dir);
    snprintf(d->datacenter, sizeof d->datacenter, "%s/datacenter/datacenter.json", d->dir);
    snprintf(d->out, sizeof d->out, "%s/messages", d->dir);
    snprintf(d->session, sizeof d->session, "%s/demo.session", d->dir);
    snprintf(d->to, sizeof d->to, "ndjson:%s/messages", d->dir);
    snprintf(d->state, sizeof d->state, "sqlite:%s/state.db", d->dir);
    if (mkdir(d->sim_dir, 0700) < 0)
        return tg_fail(err, TG_IO, "could not make '%s': %s", d->sim_dir, strerror(errno));
    return TG_OK;
}

static void take_text(struct tg_json_in *in, char *out, size_t n)
{
    struct tg_buf text;

    tg_buf_init(&text, 4096);
    tg_json_take_str(in, &text);
    snprintf(out, n, "%s", tg_buf_cstr(&text));
    tg_buf_done(&text);
}

/* The first account of datacenter.json: it has no password. */
static tg_code read_account(struct demo *d, struct tg_error *err)
{
    struct tg_json_in in;
    struct tg_buf text;
    struct tg_str key;
    tg_code code;

    tg_buf_init(&text, 1 << 20);
    code = demo_read_file(d->datacenter, &text, err);
    tg_json_in_init(&in, (const char *)text.data, text.len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (!tg_str_eq(key, TG_STR("accounts"))) {
            tg_json_skip(&in);
            continue;
        }
        for (tg_json_enter(&in, '['); tg_json_next_item(&in);) {
            if (d->phone[0]) {
                tg_json_skip(&in);
                continue;
            }
            for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
                if (tg_str_eq(key, TG_STR("phone")))
                    take_text(&in, d->phone, sizeof d->phone);
                else if (tg_str_eq(key, TG_STR("code")))
                    take_text(&in, d->code, sizeof d->code);
                else if (tg_str_eq(key, TG_STR("user_id")))
                    d->user_id = tg_json_take_i64(&in);
                else
                    tg_json_skip(&in);
            }
        }
    }
    if (code == TG_OK && (!tg_json_in_done(&in) || !d->phone[0] || !d->code[0]))
        code = tg_fail(err, TG_DATA, "'%s' names no account", d->datacenter);
    tg_buf_done(&text);
    return code;
}

/* Starts the process and waits until it listens; `faults` may be NULL. */
static tg_code run_sim(struct demo *d, const char *faults, struct tg_error *err)
{
    char seed[32], chats[32], messages[32];
    const char *arg[] = { "sim",     "--dir", d->sim_dir,   "--seed", seed,    "--chats", chats,
                          "--messages", messages, faults ? "--faults" : "--truth", faults, NULL };
    tg_code code;

    snprintf(seed, sizeof seed, "%lld", (long long)d->own->seed);
    snprintf(chats, sizeof chats, "%lld", (long long)d->own->chats);
    snprintf(messages, sizeof messages, "%lld", (long long)d->own->messages);
    code = child_start(&d->sim, arg, CHILD_READ, CHILD_INHERIT, err);
    if (code != TG_OK)
        return code;
    if (child_line(&d->sim))
        return read_account(d, err);
    return term_stopped() ? stopped(err)
                          : tg_fail(err, TG_INTERNAL, "the data centre did not start");
}

/* The same world and logins again, with other faults. */
static tg_code restart_sim(struct demo *d, const char *faults, struct tg_error *err)
{
    child_signal(&d->sim, SIGTERM);
    child_wait(&d->sim);
    child_done(&d->sim);
    return run_sim(d, faults, err);
}

/*
 * However fast the machine and small the world: the first extraction must not end before it is
 * killed. So one page, behind the place where the kill is due, is answered an hour late. Which one
 * that is can be told when the world is known: the data centre starts once more. And again when it
 * has served its purpose.
 */
static tg_code start_sim_with_late_page(struct demo *d, struct tg_error *err)
{
    char faults[128];

    snprintf(faults, sizeof faults,
             "slow#%llu,slow-ms=3600000,only=messages.getHistory,seed=1",
             (unsigned long long)((double)d->truth.n_messages / 100 * LATE_SHARE) + 1);
    return restart_sim(d, faults, err);
}

static tg_code start_sim(struct demo *d, struct tg_error *err)
{
    char number[32];
    double from = term_clock();
    tg_code code;

    title(d, "A Telegram data centre, simulated, on this machine");
    code = run_sim(d, NULL, err);
    if (code == TG_OK)
        code = truth_load(d->sim_dir, d->user_id, &d->truth, err);
    if (code == TG_OK && !d->own->no_kill)
        code = start_sim_with_late_page(d, err);
    if (code != TG_OK)
        return code;
    cli_number(number, d->truth.n_messages);
    printf("   Listens on 127.0.0.1 and speaks MTProto 2.0; world %lld holds %s messages for this "
           "account (%.1f s).\n",
           (long long)d->own->seed, number, term_clock() - from);
    return TG_OK;
}

/* ---- commands whose output is shown as it is ---- */

static tg_code relay(const char *const *arg, struct tg_error *err)
{
    struct child c;
    const char *line;
    int status;
    tg_code code = child_start(&c, arg, CHILD_READ, CHILD_INHERIT, err);

    while (code == TG_OK && (line = child_line(&c)))
        printf("   %s\n", line);
    fflush(stdout);
    if (code != TG_OK)
        return code;
    status = child_wait(&c);
    child_done(&c);
    if (term_stopped())
        return stopped(err);
    return status == 0 ? TG_OK
                       : tg_fail(err, TG_INTERNAL, "tgdata %s ended with exit code %d", arg[0],
                                 status);
}

static tg_code login(struct demo *d, struct tg_error *err)
{
    const char *arg[] = { "login",    "--session", d->session, "--datacenter", d->datacenter,
                          "--phone",  d->phone,    "--code",   d->code,        "--api-id",
                          "1",        "--api-hash", "demo",    "--quiet", NULL };
    const char *chats[] = { "chats",        "--session",   d->session,
                            "--datacenter", d->datacenter, "--quiet", NULL };
    double from = term_clock();
    tg_code code;

    title(d, "Login by phone code, and the chats of the account");
    code = relay(arg, err);
    if (code == TG_OK) {
        printf("   Key exchange, sign-in and session file took %.2f s.\n\n", term_clock() - from);
        code = relay(chats, err);
    }
    return code;
}

/* ---- extraction ---- */

static bool read_progress(const char *line, struct tg_progress *p, struct tg_buf *title_text,
                          struct tg_buf *waiting)
{
    struct tg_json_in in;
    struct tg_str key;
    bool event = false;
    char word[16] = "";

    tg_buf_clear(title_text);
    tg_buf_clear(waiting);
    tg_json_in_init(&in, line, strlen(line));
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("event")))
            take_text(&in, word, sizeof word);
        else if (tg_str_eq(key, TG_STR("chat_id")))
            p->chat_id = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("chat_index")))
            p->chat_index = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("chats")))
            p->n_chats = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("rows_total")))
            p->rows_total = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("bytes_out")))
            p->bytes_out = tg_json_take_u64(&in);
        else if (tg_str_eq(key, TG_STR("title")) && !tg_json_take_null(&in))
            tg_json_take_str(&in, title_text);
        else if (tg_str_eq(key, TG_STR("waiting_for")) && !tg_json_take_null(&in))
            tg_json_take_str(&in, waiting);
        else if (!tg_str_eq(key, TG_STR("title")) && !tg_str_eq(key, TG_STR("waiting_for")))
            tg_json_skip(&in);
    }
    event = strcmp(word, "progress") == 0 || strcmp(word, "done") == 0;
    p->done = strcmp(word, "done") == 0;
    p->title = tg_buf_cstr(title_text);
    p->waiting_for = waiting->len ? tg_buf_cstr(waiting) : NULL;
    return event && tg_json_in_done(&in);
}

/* One extractor as it is watched. */
struct watch {
    struct demo *demo;
    struct child child;
    struct cli_progress progress;
    struct tg_buf title, waiting;
    int64_t before;        /* rows of the run before */
    int64_t kill_at;       /* rows; -1 never */
    double from;
    int64_t seen;          /* rows, and when they last grew */
    double seen_at;
    bool killed;
};

/* The bar shows all chats as one, with the speed since the start of this run. */
static void show(struct watch *w, const struct tg_progress *seen)
{
    struct tg_progress all = *seen;
    double seconds = term_clock() - w->from;

    all.rows = w->before + seen->rows_total;
    all.expected = (int64_t)w->demo->truth.n_messages;
    all.rows_per_s = seconds > 0 ? (double)seen->rows_total / seconds : 0;
    all.eta_s = all.rows_per_s > 0 ? (double)(all.expected - all.rows) / all.rows_per_s : -1;
    progress_show(&w->progress, &all);
}

/* Time to kill: far enough, or as far as it gets because of the page that is late. */
static bool is_time(struct watch *w, const struct tg_progress *now)
{
    if (now->done)
        return false;
    if (!w->seen_at || now->rows_total != w->seen || !now->n_chats) {
        w->seen = now->rows_total;
        w->seen_at = term_clock();
    }
    return now->rows_total >= w->kill_at || term_clock() - w->seen_at > STALL_S;
}

static void watch_lines(struct watch *w)
{
    struct tg_progress now = { 0 };
    const char *line;

    while ((line = child_line(&w->child))) {
        if (*line != '{') {
            progress_clear(&w->progress);
            fprintf(stderr, "   %s\n", line);
            continue;
        }
        if (!read_progress(line, &now, &w->title, &w->waiting))
            continue;
        w->demo->rows = now.rows_total;
        show(w, &now);
        if (w->kill_at >= 0 && !w->killed && is_time(w, &now)) {
            w->killed = true;
            child_signal(&w->child, SIGKILL);
        }
    }
    w->demo->bytes += now.bytes_out;
}

/* Runs one extractor, and kills it at `kill_at` rows. @return its exit code in *ret_status */
static tg_code extract(struct demo *d, int64_t before, int64_t kill_at, int *ret_status,
                       struct tg_error *err)
{
    const char *arg[] = { "extract",    "--all",   "--session", d->session, "--datacenter",
                          d->datacenter, "--to",   d->to,       "--state",  d->state,
                          "--job",      "demo",    "--lease",   "1s",       "--progress",
                          "json",       "--json",  NULL };
    struct watch w = { .demo = d, .before = before, .kill_at = kill_at, .from = term_clock() };
    tg_code code = child_start(&w.child, arg, CHILD_NULL, CHILD_READ, err);

    if (code != TG_OK)
        return code;
    d->rows = 0;
    tg_buf_init(&w.title, 4096);
    tg_buf_init(&w.waiting, 256);
    progress_init(&w.progress, PROGRESS_AUTO, stdout);
    w.progress.indent = 3;
    watch_lines(&w);
    *ret_status = child_wait(&w.child);
    progress_done(&w.progress);
    if (*ret_status != tg_code_exit(TG_BUSY)) {
        d->seconds += term_clock() - w.from;
        d->cpu_s += w.child.cpu_s;
        d->rss_kib = TG_MAX(d->rss_kib, w.child.rss_kib);
    }
    child_done(&w.child);
    tg_buf_done(&w.title);
    tg_buf_done(&w.waiting);
    return term_stopped() ? stopped(err) : TG_OK;
}

static void tell_run(const struct demo *d, double seconds, const char *what)
{
    char rows[32], rate[32];

    cli_number(rows, (uint64_t)d->rows);
    cli_number(rate, (uint64_t)(seconds > 0 ? (double)d->rows / seconds : 0));
    printf("   %s %s messages in %.1f s (%s/s).\n", what, rows, seconds, rate);
    fflush(stdout);
}

static tg_code first_run(struct demo *d, int64_t *ret_rows, struct tg_error *err)
{
    int64_t kill_at =
        d->own->no_kill ? -1 : (int64_t)((double)d->truth.n_messages * KILL_SHARE) + 1;
    int status = 0;
    tg_code code;

    title(d, d->own->no_kill ? "Extraction of all chats into NDJSON"
                             : "Extraction of all chats into NDJSON, killed in the middle");
    code = extract(d, 0, kill_at, &status, err);
    if (code != TG_OK)
        return code;
    *ret_rows = d->rows;
    tell_run(d, d->seconds, status == 0 ? "Extracted" : "Committed");
    if (status == 128 + SIGKILL)
        printf("   The process was killed with SIGKILL: no time to tidy up.\n");
    else if (status != 0 || !d->own->no_kill)
        return tg_fail(err, TG_INTERNAL, "the extraction ended with exit code %d", status);
    return d->own->no_kill ? TG_OK : restart_sim(d, NULL, err);
}

static tg_code second_run(struct demo *d, int64_t before, struct tg_error *err)
{
    double from = term_clock(), extracting;
    int status;
    tg_code code;

    title(d, "The same command again");
    do { /* the killed run holds the job until its lease ends */
        extracting = d->seconds;
        code = extract(d, before, -1, &status, err);
        if (code == TG_OK && status == tg_code_exit(TG_BUSY))
            term_sleep(0.3);
    } while (code == TG_OK && status == tg_code_exit(TG_BUSY) &&
             term_clock() - from < LEASE_WAIT_MAX_S && !term_stopped());
    if (code != TG_OK)
        return code;
    if (status != 0)
        return tg_fail(err, TG_INTERNAL, "the extraction ended with exit code %d", status);
    tell_run(d, d->seconds - extracting, "Went on behind the last commit:");
    return TG_OK;
}

/* ---- the proof ---- */

static tg_code prove(struct demo *d, struct tg_error *err)
{
    const char *arg[] = { "verify",  "--session", d->session, "--datacenter", d->datacenter,
                          "--state", d->state,    "--job",    "demo",         "--quiet",
                          NULL };
    const struct truth *t = &d->truth;
    char found[32], total[32];
    tg_code code;

    title(d, "The proof: tgdata verify, then the files against the world's own list of ids");
    code = relay(arg, err);
    if (code == TG_OK)
        code = truth_compare(&d->truth, d->out, err);
    if (code != TG_OK)
        return code;
    cli_number(found, t->found);
    cli_number(total, t->n_messages);
    printf("   The world has %s messages, the files %s of them: %llu lost, %llu twice, %llu that "
           "were never there.\n",
           total, found, (unsigned long long)t->lost, (unsigned long long)t->doubled,
           (unsigned long long)t->strange);
    if (t->lost || t->doubled || t->strange)
        return tg_fail(err, TG_GAP, "the files differ from the world");
    return TG_OK;
}

static void tell_end(const struct demo *d, double from)
{
    char rows[32], rate[32], bytes[32];

    cli_number(rows, d->truth.n_messages);
    cli_number(rate, (uint64_t)((double)d->truth.n_messages / d->seconds));
    cli_bytes(bytes, d->bytes);
    printf("\n%sDone in %.1f s.%s %s messages in %.1f s of extraction: %s a second, %s of NDJSON,\n"
           "%.1f s of CPU and at most %.0f MiB of memory for the extractor. The simulated server "
           "ran on this\nmachine beside it.\n\n",
           bold(), term_clock() - from, plain(), rows, d->seconds, rate, bytes, d->cpu_s,
           (double)d->rss_kib / 1024);
    printf("  messages     %s/chat_*/part-*.ndjson\n  checkpoints  tgdata checkpoints list --state "
           "%s\n  fields       tgdata schema\n  tidy up      rm -r %s\n",
           d->out, d->state, d->dir);
}

static tg_code steps(struct demo *d, struct tg_error *err)
{
    int64_t rows = 0;
    tg_code code = start_sim(d, err);

    if (code == TG_OK)
        code = login(d, err);
    if (code == TG_OK)
        code = first_run(d, &rows, err);
    if (code == TG_OK && !d->own->no_kill)
        code = second_run(d, rows, err);
    return code == TG_OK ? prove(d, err) : code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    struct demo d = { .own = cli->own };
    double from = term_clock();
    tg_code code = make_dirs(&d, err);

    if (code != TG_OK)
        return code;
    d.sim.fd = -1;
    printf("%stgdata demo%s: a data centre, an account, an extraction that is killed, and the "
           "proof that nothing is missing\n",
           bold(), plain());
    code = steps(&d, err);
    child_done(&d.sim);
    if (code == TG_OK)
        tell_end(&d, from);
    else
        fprintf(stderr, "\n  what was written: %s\n", d.dir);
    truth_free(&d.truth);
    return code;
}

const struct cli_command cmd_demo = {
    .name = "demo",
    .help = "see everything at work on this machine, without an account",
    .usage = "[OPTIONS]",
    .about = "Starts a simulated data centre, logs in to it over MTProto, extracts every message "
             "of its chats, kills the extractor in the middle, resumes, verifies, and compares the "
             "files with the world's own list of message ids. Prints how fast it was and where the "
             "files are. Nothing leaves this machine.",
    .examples = "  tgdata demo\n  tgdata demo --messages 500000 --dir /var/tmp/big\n",
    .option = options,
    .size = sizeof(struct own),
    .run = run,
};
