/* SPDX-License-Identifier: MIT */
/*
 * extract_chats.c - which chats a run reads: the names it was given, or all; inside a takeout or
 * not
 */
#include <stdio.h>
#include <stdlib.h>

#include "etl/extract_impl.h"

enum { CHATS_MAX = 100000 };

/* ---- takeout ---- */

static void on_takeout(void *ctx, int64_t id, const struct tg_error *err)
{
    struct extract_run *r = ctx;
    int64_t wait_us;

    r->asked = false;
    r->takeout_id = err ? 0 : id;
    if (!err && !r->stopping) {
        extract_enter(r, PHASE_CHATS);
        return;
    }
    if (!err) { /* opened while the run was being stopped */
        extract_enter(r, PHASE_END);
        return;
    }
    if (err->code != TG_FLOOD || r->stopping) {
        extract_keep_failure(r, err);
        extract_enter(r, PHASE_END);
        return;
    }
    wait_us = TG_MAX(err->retry_after_s, INT64_C(1)) * TG_SECOND_US;
    tg_account_note(r->account, TG_NOTE_FLOOD, (double)wait_us / 1e6,
                    "account.initTakeoutSession: the server lets exports start only after a delay");
    r->takeout_due_us = tg_net_now(r->account->net) + wait_us;
    snprintf(r->flood_method, sizeof r->flood_method, "account.initTakeoutSession");
    r->flood_until_us = (double)r->takeout_due_us;
}

void extract_step_takeout(struct extract_run *r, int64_t now_us)
{
    static const struct tg_takeout_options all = { true, true, true, true, false, 0 };

    if (r->asked)
        return;
    if (!r->settings->takeout) {
        extract_enter(r, PHASE_CHATS);
    } else if (now_us < r->takeout_due_us) {
        tg_net_timer(r->account->net, r->takeout_due_us);
    } else {
        r->asked = tg_takeout_start(tg_net_client(r->account->net), &all, on_takeout, r, now_us);
        if (!r->asked)
            extract_no_memory(r);
    }
}

static void on_takeout_finished(void *ctx, const struct tg_error *err)
{
    struct extract_run *r = ctx;

    if (err)
        tg_account_note(r->account, TG_NOTE_WARNING, 0, "the export session did not end: %s",
                        err->message);
    r->takeout_id = 0;
    r->asked = false;
}

bool extract_finish_takeout(struct extract_run *r, int64_t now_us)
{
    if (r->takeout_id)
        r->asked = tg_takeout_finish(tg_net_client(r->account->net), r->code == TG_OK,
                                     on_takeout_finished, r, now_us);
    return r->asked;
}

static int by_first_id(const void *a, const void *b)
{
    const struct tg_range *x = a, *y = b;

    return (x->min_id > y->min_id) - (x->min_id < y->min_id);
}

static void on_ranges(void *ctx, const struct tg_range *range, size_t n, const struct tg_error *err)
{
    struct extract_run *r = ctx;

    r->asked = false;
    if (err) {
        extract_keep_failure(r, err);
        extract_enter(r, PHASE_END);
        return;
    }
    r->range = n ? calloc(n, sizeof *r->range) : NULL;
    if (n && !r->range) {
        extract_no_memory(r);
        return;
    }
    if (n) {
        memcpy(r->range, range, n * sizeof *range);
        qsort(r->range, n, sizeof *r->range, by_first_id); /* rows leave oldest first */
    }
    r->n_ranges = n;
    extract_enter(r, PHASE_BEGIN);
}

/* ---- which chats ---- */

static bool add_chat(struct extract_run *r, const struct tg_peer *peer)
{
    char *title;

    for (size_t i = 0; i < r->n_chats; i++)
        if (r->chat[i].id == peer->id)
            return true;
    if (r->n_chats == r->cap_chats) {
        size_t cap = r->cap_chats ? r->cap_chats * 2 : 16;
        struct tg_job_chat *more = cap > CHATS_MAX ? NULL : realloc(r->chat, cap * sizeof *more);

        if (!more)
            return false;
        r->chat = more;
        r->cap_chats = cap;
    }
    title = strdup(peer->name ? peer->name : "");
    if (!title)
        return false;
    r->chat[r->n_chats++] = (struct tg_job_chat){ peer->id, title };
    return true;
}

static void on_resolved(void *ctx, const struct tg_peer *peer, const struct tg_error *err)
{
    struct extract_run *r = ctx;

    r->asked = false;
    r->next_name++;
    if (!peer) {
        extract_chat_failed(r, r->names[r->next_name - 1], err);
        if (!extract_only_this_chat(err->code))
            extract_enter(r, PHASE_END);
    } else if (!add_chat(r, peer)) {
        extract_no_memory(r);
    }
}

static bool on_dialog(void *ctx, const struct tg_dialog *dialog)
{
    struct extract_run *r = ctx;
    struct tg_error err;
    char id[32];

    if (dialog->unreadable) {
        snprintf(id, sizeof id, "%lld", (long long)dialog->peer->id);
        tg_fail(&err, TG_UNSUPPORTED, "chat %s is of a kind that this version does not know", id);
        extract_chat_failed(r, id, &err);
        return true;
    }
    if (dialog->peer->migrated_to)
        return true; /* read as the first part of the supergroup it became */
    if (dialog->peer->protected && !r->settings->allow_protected) {
        tg_account_note(r->account, TG_NOTE_INFO, 0,
                        "left out '%s': it forbids saving its content (--allow-protected)",
                        dialog->peer->name);
        return true;
    }
    if (add_chat(r, dialog->peer))
        return true;
    r->list_failed = true;
    return false;
}

static void on_listed(void *ctx, const struct tg_error *err)
{
    struct extract_run *r = ctx;

    r->asked = false;
    if (err) {
        extract_keep_failure(r, err);
        extract_enter(r, PHASE_END);
    } else if (r->list_failed) {
        extract_no_memory(r);
    } else if (r->takeout_id && !r->left_listed) {
        r->left_listed = true;
        r->asked = tg_left_channels_start(tg_net_client(r->account->net), on_dialog, on_listed, r,
                                          tg_net_now(r->account->net));
        if (!r->asked)
            extract_no_memory(r);
    } else {
        extract_enter(r, PHASE_RANGES);
    }
}

void extract_step_chats(struct extract_run *r, int64_t now_us)
{
    struct tgc *client = tg_net_client(r->account->net);

    if (r->asked)
        return;
    if (!r->names) {
        r->asked = tg_dialogs_start(client, on_dialog, on_listed, r, now_us);
        if (!r->asked)
            extract_no_memory(r);
    } else if (r->next_name < r->n_names) {
        r->asked = true; /* the answer may come at once, from the cache */
        if (!tg_resolve_start(client, r->names[r->next_name], on_resolved, r, now_us)) {
            r->asked = false;
            extract_no_memory(r);
        }
    } else {
        extract_enter(r, PHASE_RANGES);
    }
}

void extract_step_ranges(struct extract_run *r, int64_t now_us)
{
    if (r->asked)
        return;
    if (!r->takeout_id) {
        extract_enter(r, PHASE_BEGIN);
        return;
    }
    r->asked = tg_split_ranges_start(tg_net_client(r->account->net), on_ranges, r, now_us);
    if (!r->asked)
        extract_no_memory(r);
}
