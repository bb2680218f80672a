/* SPDX-License-Identifier: MIT */
/*
 * cmd_verify.c - tgdata verify: is what the destination holds complete?
 */
#include "base/json.h"
#include "cli/term.h"
#include "cli/verify.h"

enum { OUTPUT_MAX = 256 << 20 };

static const struct tg_option options[] = {
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct verify_own, job),
      .fallback = "default",
      .value = "NAME",
      .help = "the job whose destination is read again" },
    { .name = "state",
      .type = TG_OPT_STR,
      .offset = offsetof(struct verify_own, state),
      .fallback = "sqlite:tgdata.state",
      .value = "URL",
      .help = "where its checkpoints are kept",
      .env = "TGDATA_STATE" },
    { .name = "media",
      .type = TG_OPT_STR,
      .offset = offsetof(struct verify_own, media),
      .value = "DIR",
      .help = "also read each file that a row tells of: is it in DIR, or below s3://BUCKET/PREFIX, "
              "with that SHA-256?" },
    { .name = "offline",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct verify_own, offline),
      .help = "do not ask the server; needs no account. Jobs of changes cannot be verified so" },
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct verify_own, json),
      .help = "print a JSON object with an array `chats`" },
    { 0 },
};

struct proof {
    struct cli *cli;
    struct tg_account *account; /* NULL: offline */
    bool json, utf8, offline;
    struct tg_buf out;
    struct tg_json j;
    uint64_t n, rows, duplicates, gaps, incomplete;
};

static void put_json(struct tg_json *j, const struct tg_verify_info *v)
{
    tg_json_object(j);
    tg_json_key(j, "chat_id"), tg_json_i64(j, v->chat_id);
    tg_json_key(j, "title"), tg_json_cstr(j, v->title);
    tg_json_key(j, "covered_from"), tg_json_i64(j, v->covered_from);
    tg_json_key(j, "covered_to"), tg_json_i64(j, v->covered_to);
    tg_json_key(j, "server_top"), tg_json_i64(j, v->server_top);
    tg_json_key(j, "server_count"), tg_json_i64(j, v->server_count);
    tg_json_key(j, "migrated_from"), tg_json_i64(j, v->migrated_from);
    tg_json_key(j, "migrated_count"), tg_json_i64(j, v->migrated_count);
    tg_json_key(j, "rows"), tg_json_u64(j, v->rows);
    tg_json_key(j, "duplicates"), tg_json_u64(j, v->duplicates);
    tg_json_key(j, "gaps"), tg_json_u64(j, v->gaps);
    tg_json_key(j, "refused"), tg_json_u64(j, v->refused);
    tg_json_key(j, "quarantined"), tg_json_u64(j, v->quarantined);
    tg_json_key(j, "media_files"), tg_json_u64(j, v->media_files);
    tg_json_key(j, "media_bad"), tg_json_u64(j, v->media_bad);
    tg_json_key(j, "by_post"), tg_json_bool(j, v->by_post);
    tg_json_key(j, "changes"), tg_json_bool(j, v->changes);
    tg_json_key(j, "missing"), tg_json_u64(j, v->missing);
    tg_json_key(j, "stale"), tg_json_u64(j, v->stale);
    tg_json_key(j, "undeleted"), tg_json_u64(j, v->undeleted);
    tg_json_key(j, "wrong_id"), tg_json_i64(j, v->wrong_id);
    tg_json_key(j, "begun"), tg_json_bool(j, v->begun);
    tg_json_key(j, "finished"), tg_json_bool(j, v->finished);
    tg_json_key(j, "complete"), tg_json_bool(j, v->complete);
    tg_json_key(j, "error"), tg_json_cstr(j, v->failure ? v->failure->message : NULL);
    tg_json_key(j, "error_code");
    tg_json_cstr(j, v->failure ? tg_code_name(v->failure->code) : NULL);
    tg_json_end_object(j);
}

/* What a job of changes has otherwise than the server. */
static void put_wrong(struct proof *p, const struct tg_verify_info *v)
{
    const struct {
        uint64_t n;
        const char *what;
    } part[] = { { v->missing, "missing" }, { v->stale, "stale" }, { v->undeleted, "undeleted" } };

    for (size_t i = 0; i < TG_COUNT(part); i++)
        if (part[i].n)
            tg_buf_printf(&p->out, ", %llu %s", (unsigned long long)part[i].n, part[i].what);
    if (v->wrong_id)
        tg_buf_printf(&p->out, " (one is %lld)", (long long)v->wrong_id);
}

static void put_chat(struct proof *p, const struct tg_verify_info *v)
{
    char rows[32], count[32] = "unknown", server[48] = "", top[32] = "";

    cli_number(rows, v->rows);
    if (v->server_count >= 0)
        cli_number(count, (uint64_t)v->server_count);
    if (!p->offline)
        snprintf(server, sizeof server, " (server counts %s)", count);
    if (!p->offline && v->server_top > 0)
        snprintf(top, sizeof top, " of %lld", (long long)v->server_top);
    else if (!p->offline)
        snprintf(top, sizeof top, " of ?");
    if (v->begun && v->changes)
        tg_buf_printf(&p->out, "%s messages (server has %s)", rows, count);
    else if (v->begun && v->by_post)
        tg_buf_printf(&p->out, "comments on posts %lld..%lld, %s rows", (long long)v->covered_from,
                      (long long)v->covered_to, rows);
    else if (v->begun)
        tg_buf_printf(&p->out, "ids %lld..%lld%s, %s rows%s", (long long)v->covered_from,
                      (long long)v->covered_to, top, rows, server);
    else
        tg_buf_printf(&p->out, "nothing read yet%s", server);
    if (v->migrated_from) {
        cli_number(count, (uint64_t)TG_MAX(v->migrated_count, INT64_C(0)));
        tg_buf_printf(&p->out, ", %s of them in the group it grew from", count);
    }
}

static void put_row(struct proof *p, const struct tg_verify_info *v)
{
    bool good = v->complete && !v->failure;
    struct tg_buf title;

    tg_buf_init(&title, 4096);
    for (size_t used = cli_clean(&title, v->title ? v->title : "", 30); used < 30; used++)
        tg_buf_byte(&title, ' ');
    tg_buf_printf(&p->out, "%s %s  ", good ? p->utf8 ? "✓" : "ok " : p->utf8 ? "✗" : "BAD",
                  tg_buf_cstr(&title));
    put_chat(p, v);
    put_wrong(p, v);
    if (v->gaps)
        tg_buf_printf(&p->out, ", %llu gaps", (unsigned long long)v->gaps);
    if (v->duplicates)
        tg_buf_printf(&p->out, ", %llu duplicates", (unsigned long long)v->duplicates);
    if (v->begun && !v->finished)
        tg_buf_str(&p->out, ", not read to its end yet");
    if (v->refused)
        tg_buf_printf(&p->out, ", %llu refusal%s by the destination",
                      (unsigned long long)v->refused, v->refused == 1 ? "" : "s");
    if (v->quarantined)
        tg_buf_printf(&p->out, ", %llu quarantined", (unsigned long long)v->quarantined);
    if (v->media_files)
        tg_buf_printf(&p->out, ", %llu files", (unsigned long long)v->media_files);
    if (v->media_bad)
        tg_buf_printf(&p->out, ", %llu of them missing or damaged",
                      (unsigned long long)v->media_bad);
    if (v->failure) {
        tg_buf_str(&p->out, ": ");
        cli_clean(&p->out, v->failure->message, SIZE_MAX);
    }
    tg_buf_byte(&p->out, '\n');
    tg_buf_done(&title);
}

static void on_chat(void *ctx, const struct tg_verify_info *v)
{
    struct proof *p = ctx;
    const struct run_reload *reload = &((const struct verify_own *)p->cli->own)->reload;
    unsigned workers;

    if (p->account && reload->at && term_hung_up() && !reload->at(reload->ctx, &workers))
        tg_account_stop(p->account);
    p->n++;
    p->rows += v->rows;
    p->duplicates += v->duplicates;
    p->gaps += v->gaps;
    p->incomplete += !v->complete || v->failure;
    if (p->json)
        put_json(&p->j, v);
    else
        put_row(p, v);
}

static void put_end(struct proof *p, const char *job, tg_code code)
{
    char rows[32];

    if (p->json) {
        tg_json_end_array(&p->j);
        tg_json_key(&p->j, "rows"), tg_json_u64(&p->j, p->rows);
        tg_json_key(&p->j, "duplicates"), tg_json_u64(&p->j, p->duplicates);
        tg_json_key(&p->j, "gaps"), tg_json_u64(&p->j, p->gaps);
        tg_json_key(&p->j, "complete"), tg_json_bool(&p->j, code == TG_OK);
        tg_json_end_object(&p->j);
        return;
    }
    cli_number(rows, p->rows);
    tg_buf_printf(&p->out, "Job '%s': %llu chats, %llu not proved, %s rows, %llu gaps, "
                           "%llu duplicates: %s",
                  job, (unsigned long long)p->n, (unsigned long long)p->incomplete, rows,
                  (unsigned long long)p->gaps, (unsigned long long)p->duplicates,
                  code == TG_OK ? "complete" : "NOT complete");
}

tg_code verify_run(struct cli *cli, struct tg_error *err)
{
    const struct verify_own *own = cli->own;
    struct proof p = { .cli = cli, .json = own->json, .utf8 = term_utf8(),
                       .offline = own->offline };
    struct tg_error late;
    tg_code code = own->offline ? TG_OK : cli_open_account(cli, &p.account, err);

    if (code != TG_OK)
        return code;
    if (own->reload.at)
        term_watch_hangup();
    tg_buf_init(&p.out, OUTPUT_MAX);
    tg_json_init(&p.j, &p.out);
    if (p.json) {
        tg_json_object(&p.j);
        tg_json_key(&p.j, "job"), tg_json_cstr(&p.j, own->job);
        tg_json_key(&p.j, "chats"), tg_json_array(&p.j);
    }
    code = tg_verify(p.account, own->state, own->job, own->media, on_chat, &p, err);
    if (p.account)
        cli_close_account(p.account);
    if (code == TG_OK || p.n) {
        put_end(&p, own->job, code);
        if (cli_print(&p.out, &late) != TG_OK) {
            *err = late;
            code = late.code;
        }
    }
    tg_buf_done(&p.out);
    return code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct verify_own *own = cli->own;
    tg_code code = tg_config_set(cli->config, "job", own->job, err); /* whose name the log has */

    if (code == TG_OK)
        code = cli_open_log(cli, cli->config, err);
    return code == TG_OK ? verify_run(cli, err) : code;
}

const struct cli_command cmd_verify = {
    .name = "verify",
    .help = "prove that a job's files are complete, or name what is missing",
    .usage = "[--job NAME] [OPTIONS]",
    .about = "Reads the destination of a job again and compares it with the job's commits and with "
             "the server. The chats are all that the job was ever asked for. A chat is complete "
             "when it was read to its end, the id ranges of its commits meet without a gap, and no "
             "row stands twice. The server's own count is shown as a hint: it may count what it "
             "does not deliver. Of a job of changes (stream, delta) every message is read from the "
             "server and compared: none may be missing, stale, or there though it was deleted.",
    .examples = "  tgdata verify --job nightly --state sqlite:state.db\n"
                "  tgdata verify --job clean --offline\n"
                "  tgdata verify --json | jq '.chats[] | select(.complete | not)'\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT | 1u << TG_SCOPE_LOG,
    .option = options,
    .size = sizeof(struct verify_own),
    .run = run,
};
