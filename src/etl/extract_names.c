/* SPDX-License-Identifier: MIT */
/*
 * extract_names.c - which chats the names of the tasks are, and what the accounts know of them
 */
#include "etl/extract_impl.h"

/*
 * A supergroup that was a basic group begins with that group's messages: only accounts that were in
 * it can read those, and so the whole.
 */
static void know_old_group(struct extract_task *t, const struct extract_account *a,
                           const struct tg_peer *peer)
{
    if (t && t->state == TASK_WAITING && peer->migrated_to == t->chat.id)
        t->only |= extract_sessions_of(a->run, a->account->session.user_id);
}

/* What the accounts have met of a chat. */
static void know_task(struct extract_run *r, struct extract_task *t)
{
    for (size_t i = 0; i < r->n_accounts; i++)
        if (tg_peers_get(&r->accounts[i]->session.peers, t->chat.id))
            t->seen_by |= extract_bit(&r->account[i]);
}

void extract_tasks_known(struct extract_run *r, struct extract_task *only)
{
    if (r->n_accounts < 2)
        return;
    for (size_t i = 0; i < r->n_accounts; i++) {
        const struct tg_peers *peers = &r->accounts[i]->session.peers;

        for (size_t j = 0; j < tg_peers_count(peers); j++) {
            const struct tg_peer *peer = tg_peers_at(peers, j);
            struct extract_task *t = only;

            if (!t && peer->migrated_to)
                t = extract_task_of_chat(r, peer->migrated_to);
            if (peer->migrated_to)
                know_old_group(t, &r->account[i], peer);
        }
    }
    for (size_t i = 0; i < r->n_tasks; i++) {
        struct extract_task *t = r->task[i];

        if (t->state != TASK_WAITING || (only && t != only))
            continue;
        know_task(r, t);
        if (t->only && !t->bound)
            extract_task_queue(r, t, 0);
    }
}

/* The accounts take turns: resolveUsername is limited far below other methods. One whose network is
 * down is asked if there is no other. */
static struct extract_account *next_finder(struct extract_run *r)
{
    struct extract_account *down = NULL;

    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *a = &r->account[++r->finder % r->n_accounts];

        if (a->out || a->phase != ACCOUNT_READY || (r->finding->not_by & extract_bit(a)))
            continue;
        if (!extract_is_down(a))
            return a;
        down = a;
    }
    return down;
}

static void on_found(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct extract_account *a = ctx;
    struct extract_run *r = a->run;
    struct extract_task *t = r->finding;
    struct extract_task *twin = peer ? extract_task_of_chat(r, peer->id) : NULL;

    a->finding = false;
    if (twin) {
        t->chat = twin->chat; /* read once */
        t->chat.title = "";
        extract_task_tell(r, t, a, NULL);
        r->finding = NULL;
    } else if (peer) {
        if (!extract_task_named(a, t, peer))
            extract_no_memory(r);
        else if (r->phase == RUN_READ)
            extract_tasks_known(r, t);
        r->finding = NULL;
    } else if (r->stopping) {
        r->finding = NULL;
    } else if (err->code == TG_AUTH) {
        extract_account_out(a, err);
    } else if (extract_falls_back(r, err)) {
        if (++t->attempts < r->n_accounts)
            return; /* the next account may have no open breaker */
        r->finding = NULL;
        extract_name_falls_back(a, t, err);
    } else if (extract_may_pass(r, err->code)) {
        if (++t->attempts < EXTRACT_ATTEMPTS)
            return; /* asked again, with the next account */
        extract_task_failed(r, t, a, err);
        r->finding = NULL;
    } else if (!extract_only_this_chat(err->code)) {
        extract_keep_failure(r, err, true);
        r->finding = NULL;
    } else {
        t->not_by |= extract_bit(a);
        if (next_finder(r))
            return;
        extract_task_failed(r, t, a, err);
        r->finding = NULL;
    }
}

bool extract_find(struct extract_run *r)
{
    while (!r->fatal && !r->stopping) {
        struct extract_account *a;

        for (size_t i = r->next_name; !r->finding && i < r->n_tasks; i++) {
            r->next_name = i + 1;
            if (r->task[i]->state == TASK_NEW)
                r->finding = r->task[i];
        }
        if (!r->finding)
            return true;
        for (size_t i = 0; i < r->n_accounts; i++)
            if (r->account[i].finding)
                return false;
        a = next_finder(r);
        if (!a)
            return false; /* the last account was set aside: the run ends */
        a->finding = true; /* the answer may come at once, from the cache */
        extract_touch(a);
        if (!tg_resolve_start(tg_net_client(a->account->net), r->finding->what, on_found, a,
                              tg_net_now(a->account->net))) {
            a->finding = false;
            extract_no_memory(r);
        }
    }
    return false;
}
