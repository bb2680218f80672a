/* SPDX-License-Identifier: MIT */
/*
 * api.c - see api.h
 */
#include "observe/api.h"

#include "base/json.h"
#include "base/json_read.h"
#include "base/text.h"
#include "tgdata/extract.h"
#include "tgdata/letters.h"
#include "tgdata/state.h"

enum { ENTRIES_MAX = 10000 };
enum { JOB, CHAT, NUMBER }; /* arguments */

/* A list that is being written. */
struct listing {
    struct tg_json j;
    size_t n;
    bool more;
};

static void begin(struct listing *l, const char *key, struct tg_buf *out)
{
    *l = (struct listing){ 0 };
    tg_json_init(&l->j, out);
    tg_json_object(&l->j);
    tg_json_key(&l->j, key), tg_json_array(&l->j);
}

/* @return false: no more of them */
static bool room(struct listing *l)
{
    l->more = l->n++ >= ENTRIES_MAX;
    return !l->more;
}

static int status_of(tg_code code)
{
    switch (code) {
    case TG_USAGE: return 400;
    case TG_NOT_FOUND: return 404;
    case TG_BUSY:
    case TG_CONFLICT:
    case TG_GAP: return 409;
    case TG_UNSUPPORTED: return 501;
    default: return 500;
    }
}

int tg_api_error(struct tg_buf *out, const struct tg_error *err)
{
    struct tg_json j;

    tg_buf_clear(out);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "error"), tg_json_cstr(&j, err->message);
    tg_json_key(&j, "hint"), tg_json_cstr(&j, err->hint[0] ? err->hint : NULL);
    tg_json_key(&j, "code"), tg_json_cstr(&j, tg_code_name(err->code));
    tg_json_end_object(&j);
    return status_of(err->code);
}

/* A store that is not there yet has nothing: no failure of a run that begins. */
static int end(struct listing *l, tg_code code, const struct tg_error *err, struct tg_buf *out)
{
    if (code != TG_OK && code != TG_NOT_FOUND)
        return tg_api_error(out, err);
    tg_json_end_array(&l->j);
    tg_json_key(&l->j, "more"), tg_json_bool(&l->j, l->more);
    tg_json_end_object(&l->j);
    return 200;
}

/* ---- jobs ---- */

static bool on_job(void *ctx, const struct tg_state_job *job)
{
    struct listing *l = ctx;
    struct tg_json *j = &l->j;

    if (!room(l))
        return false;
    tg_json_object(j);
    tg_json_key(j, "job"), tg_json_cstr(j, job->job);
    tg_json_key(j, "chats"), tg_json_u64(j, job->chats);
    tg_json_key(j, "changed");
    if (job->changed_us)
        tg_json_time(j, job->changed_us / TG_SECOND_US);
    else
        tg_json_null(j);
    tg_json_key(j, "owner"), tg_json_cstr(j, job->owner);
    tg_json_key(j, "moved"), tg_json_bool(j, job->moved != NULL);
    tg_json_end_object(j);
    return true;
}

int tg_api_jobs(const char *state, struct tg_buf *out)
{
    struct tg_error err = { 0 };
    struct listing l;

    begin(&l, "jobs", out);
    return end(&l, tg_state_list(state, on_job, &l, &err), &err, out);
}

/* ---- checkpoints ---- */

/* What is told of a record. */
static void put_record(struct tg_json *j, const char *json)
{
    static const char *const name[][2] = {
        { "last_checkpoint_time", "time" },
        { "last_message_id", "last_message_id" },
        { "last_message_date", "last_message_date" },
        { "total_messages_processed", "messages" },
        { "batches_completed", "batches" },
    };
    struct tg_json_in in;
    struct tg_str key;

    tg_json_in_init(&in, json, strlen(json));
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        const char *begun = in.at;
        size_t i = 0;

        while (i < TG_COUNT(name) && !tg_str_eq(key, tg_str_of(name[i][0])))
            i++;
        tg_json_skip(&in);
        if (i == TG_COUNT(name) || in.bad)
            continue;
        tg_json_key(j, name[i][1]);
        tg_json_raw(j, begun, (size_t)(in.at - begun));
    }
}

static bool on_checkpoint(void *ctx, const struct tg_checkpoint_info *c)
{
    struct listing *l = ctx;

    if (!room(l))
        return false;
    tg_json_object(&l->j);
    tg_json_key(&l->j, "job"), tg_json_cstr(&l->j, c->job);
    tg_json_key(&l->j, "chat_id"), tg_json_i64(&l->j, c->chat_id);
    tg_json_key(&l->j, "number"), tg_json_u64(&l->j, c->number);
    put_record(&l->j, c->json);
    tg_json_end_object(&l->j);
    return true;
}

static int wrong(struct tg_buf *out, const char *what)
{
    struct tg_error err;

    tg_fail(&err, TG_USAGE, "%s", what);
    return tg_api_error(out, &err);
}

int tg_api_checkpoints(const char *state, const struct tg_httpd_request *r, struct tg_buf *out)
{
    const char *job = r->arg[JOB][0] ? r->arg[JOB] : NULL;
    struct tg_error err = { 0 };
    struct listing l;
    int64_t chat;

    if (r->arg[CHAT][0] && (!job || !tg_i64_parse(r->arg[CHAT], &chat)))
        return wrong(out, "a chat is a number, and needs its job");
    begin(&l, "checkpoints", out);
    if (r->arg[CHAT][0])
        return end(&l, tg_checkpoints_history(state, job, chat, on_checkpoint, &l, &err), &err,
                   out);
    return end(&l, tg_checkpoints_list(state, job, on_checkpoint, &l, &err), &err, out);
}

int tg_api_rollback(const char *state, const struct tg_httpd_request *r, struct tg_buf *out)
{
    int64_t chat, number;
    struct tg_error err = { 0 };
    struct tg_json j;

    if (!r->arg[JOB][0] || !tg_i64_parse(r->arg[CHAT], &chat) ||
        !tg_i64_parse(r->arg[NUMBER], &number) || number < 0)
        return wrong(out, "job, chat and number are needed: which checkpoint to go back to");
    if (tg_checkpoints_rollback(state, r->arg[JOB], chat, (uint64_t)number, &err) != TG_OK)
        return tg_api_error(out, &err);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "job"), tg_json_cstr(&j, r->arg[JOB]);
    tg_json_key(&j, "chat_id"), tg_json_i64(&j, chat);
    tg_json_key(&j, "rolled_back_to"), tg_json_i64(&j, number);
    tg_json_end_object(&j);
    return 200;
}

/* ---- dead letters ---- */

struct letters {
    struct listing list;
    bool quarantine;
};

static bool on_letter(void *ctx, const struct tg_letter_info *info)
{
    struct letters *l = ctx;
    struct tg_json *j = &l->list.j;

    if (!room(&l->list))
        return false;
    tg_json_object(j);
    tg_json_key(j, "key"), tg_json_cstr(j, info->key);
    tg_json_key(j, "kind"), tg_json_cstr(j, l->quarantine ? "quarantined" : "refused");
    tg_json_key(j, "job"), tg_json_cstr(j, info->job);
    tg_json_key(j, "chat_id"), tg_json_i64(j, info->chat_id);
    tg_json_key(j, "id"), tg_json_i64(j, info->id);
    tg_json_key(j, "at"), tg_json_time(j, info->at_us / TG_SECOND_US);
    tg_json_key(j, "reason"), tg_json_cstr(j, info->reason);
    tg_json_end_object(j);
    return true;
}

int tg_api_letters(const char *state, const struct tg_httpd_request *r, struct tg_buf *out)
{
    struct tg_letter_filter which = { .state = state, .job = r->arg[JOB][0] ? r->arg[JOB] : NULL };
    struct tg_error err = { 0 };
    struct letters l = { 0 };
    tg_code code;

    begin(&l.list, "letters", out);
    code = tg_letters_list(&which, on_letter, &l, &err);
    which.quarantine = l.quarantine = true;
    if (code == TG_OK && !l.list.more)
        code = tg_letters_list(&which, on_letter, &l, &err);
    return end(&l.list, code, &err, out);
}
