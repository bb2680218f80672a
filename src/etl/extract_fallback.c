/* SPDX-License-Identifier: MIT */
/*
 * extract_fallback.c - a chat that an open breaker keeps from Telegram, read from elsewhere
 *
 * What of it was read is committed first (LANE_LEAVE); then the taker delivers what fallbacks have
 * (taker_fallback.c), and the task ends with the breaker's error, as it would without. Only this
 * task: others have fallbacks, too. While another account can be tried, that goes first.
 */
#include <stdio.h>

#include "etl/extract_impl.h"

tg_code extract_check_fallback(struct extract_run *r, struct tg_error *err)
{
    const char *list = r->settings->fallback;
    tg_code code;

    for (size_t i = 0; i < r->n_accounts; i++)
        r->falls_back |= r->accounts[i]->settings.circuit_open == TG_CIRCUIT_OPEN_FALLBACK;
    if (r->falls_back && !list) {
        tg_fail(err, TG_USAGE, "--circuit-open fallback without a fallback");
        return tg_hint(err, "say where from, such as --fallback archive,export:result.json");
    }
    if (!list)
        return TG_OK;
    if (!r->falls_back) {
        tg_fail(err, TG_USAGE, "--fallback is never used without --circuit-open fallback");
        return tg_hint(err, "give both, or neither");
    }
    code = tg_fallbacks_parse(list, &r->fallbacks, err);
    return code == TG_OK ? tg_fallbacks_check(&r->fallbacks, err) : code;
}

bool extract_falls_back(const struct extract_run *r, const struct tg_error *err)
{
    return r->falls_back && err->code == TG_CIRCUIT && !r->stopping && !r->fatal;
}

/* Accounts that could be tried next. */
static uint64_t others(const struct extract_run *r, const struct extract_lane *lane)
{
    const struct extract_task *t = lane->task;
    uint64_t set = extract_needs(r, t) & ~t->shunned & ~extract_bit(lane->account);

    for (size_t i = 0; i < r->n_accounts; i++)
        if (r->account[i].out)
            set &= ~extract_bit(&r->account[i]);
    return r->isolate && t->attempts < EXTRACT_ATTEMPTS ? set : 0;
}

bool extract_lane_falls_back(const struct extract_lane *lane)
{
    const struct extract_run *r = lane->run;

    struct tg_error err = lane->err;
    bool own = lane->failed && extract_circuit_own(r, lane->task->chat.id, err.code);

    if (own)
        err.code = TG_CIRCUIT; /* the chat's breaker is open, for all: that is why it failed */
    return lane->failed && !lane->moving && extract_falls_back(r, &err) &&
           (own || !others(r, lane));
}

/* The account has met the basic group that the chat was. */
static bool was_group(const struct extract_lane *lane)
{
    const struct tg_peers *peers = &lane->account->account->session.peers;

    for (size_t i = 0; i < tg_peers_count(peers); i++)
        if (tg_peers_at(peers, i)->migrated_to == lane->task->chat.id)
            return true;
    return false;
}

static void tell(struct extract_lane *lane, const struct tg_fallback_result *done)
{
    struct extract_task *t = lane->task;
    struct tg_account *account = lane->account->account;
    const char *title = *t->chat.title ? t->chat.title : t->what;
    struct tg_note_about chat = { t->chat.id, done->trouble.code };

    t->fallback_rows += done->rows;
    if (done->trouble.code != TG_OK)
        tg_account_note_of(account, TG_NOTE_WARNING, 0, chat, "fallback for '%.100s': %s", title,
                           done->trouble.message);
    chat.code = TG_OK;
    if (!done->rows) {
        tg_account_note_of(account, TG_NOTE_INFO, 0, chat, "no fallback has more of '%s'", title);
        return;
    }
    t->fallback_last_id = done->last_id;
    lane->run->result->fallback_chats++;
    tg_account_note_of(account, TG_NOTE_WARNING, 0, chat,
                       "'%s' from fallback (%s): %lld rows, up to id %lld",
                       title, tg_row_source_name[done->source], (long long)done->rows,
                       (long long)done->last_id);
}

bool extract_fallback_step(struct extract_lane *lane)
{
    struct extract_run *r = lane->run;
    struct extract_task *t = lane->task;
    struct tg_fallback_result done;
    struct tg_error err, alone;
    tg_code code;

    if (!lane->asked) {
        lane->asked = true;
        t->chat.settings = &t->settings;
        t->fallback = (struct tg_fallback_request){
            .chat = &t->chat,
            .from = &r->fallbacks,
            .reader = lane->account->account->session.user_id,
            .migrated = was_group(lane),
        };
        if (tg_pipeline_fall_back(r->pipeline, &t->fallback, &err) != TG_OK)
            extract_keep_failure(r, &err, true);
        return false;
    }
    code = tg_pipeline_fell_back(r->pipeline, t->chat.id, &done, &alone, &err);
    if (code == TG_AGAIN)
        return false;
    if (code != TG_OK)
        extract_keep_failure(r, &err, true);
    else
        tell(lane, &done);
    if (code == TG_OK && alone.code != TG_OK) /* the destination's side */
        lane->err = alone;
    return true;
}

/* The id that a task names; 0: it names no id. */
static struct tg_peer peer_of(const char *what)
{
    struct tg_peer peer = { 0 };

    if (!tg_i64_parse(what, &peer.id))
        peer.id = 0;
    peer.kind = peer.id > 0                  ? TG_PEER_USER
                : peer.id > -TG_CHANNEL_MARK ? TG_PEER_GROUP
                                             : TG_PEER_CHANNEL;
    return peer;
}

void extract_name_falls_back(struct extract_account *a, struct extract_task *t,
                             const struct tg_error *err)
{
    const struct tg_peer peer = peer_of(t->what);

    t->attempts = 0;
    if (!peer.id || extract_task_of_chat(a->run, peer.id))
        extract_task_failed(a->run, t, a, err);
    else if (!extract_task_named(a, t, &peer))
        extract_no_memory(a->run);
}

static bool on_listed(void *ctx, const struct tg_job_chat *chat)
{
    struct extract_account *a = ctx;
    struct extract_task *t;
    struct tg_peer peer;
    char what[24];

    snprintf(what, sizeof what, "%lld", (long long)chat->id);
    peer = peer_of(what);
    peer.name = chat->title;
    if (extract_task_of_chat(a->run, peer.id))
        return true;
    t = extract_task_add(a->run, what);
    if (t && extract_task_named(a, t, &peer))
        return true;
    extract_no_memory(a->run);
    return false;
}

bool extract_list_falls_back(struct extract_account *a)
{
    const struct tg_extract_settings *set = a->run->settings;
    size_t before = a->run->n_tasks;
    struct tg_store store; /* a handle of its own: the other is the taker's */
    struct tg_error err;
    tg_code code = tg_store_open_existing(set->state, TG_STORE_LOOK, &store, &err);

    if (code == TG_OK) {
        code = tg_joblist_read(&store, set->job, on_listed, a, &err);
        tg_store_close(&store);
    }
    if (code != TG_OK)
        tg_account_note(a->account, TG_NOTE_WARNING, 0, "the job's list of chats: %s",
                        err.message);
    if (a->run->n_tasks > before)
        tg_account_note(a->account, TG_NOTE_INFO, 0,
                        "the chats cannot be listed now: those are read that the job was asked for "
                        "before");
    return a->run->n_tasks > 0;
}
