/* SPDX-License-Identifier: MIT */
/*
 * extract_accounts.c - what an account does before chats are read with it, and at the end
 *
 *   TAKEOUT -> LIST -> RANGES -> READY -> FINISH -> DONE
 *
 * TAKEOUT, RANGES and FINISH only inside export sessions. LIST when all chats are wanted, and where
 * it must be known which account can read what.
 */
#include <stdio.h>
#include <stdlib.h>

#include "etl/extract_impl.h"

static struct tgc *client_of(const struct extract_account *a)
{
    return tg_net_client(a->account->net);
}

static void enter(struct extract_account *a, enum extract_account_phase phase)
{
    a->phase = phase;
    a->asked = false;
}

void extract_account_out(struct extract_account *a, const struct tg_error *why)
{
    struct extract_run *r = a->run;
    size_t left = 0;

    if (a->out)
        return;
    a->out = r->lost_account = true;
    a->why = *why;
    extract_pool_out(a);
    for (size_t i = 0; i < r->n_accounts; i++)
        left += !r->account[i].out;
    extract_keep_failure(r, why, left == 0);
    if (left)
        tg_account_note(a->account, TG_NOTE_WARNING, 0, "session '%s' is set aside: %s",
                        a->account->path, why->message);
}

/* What keeps an account from beginning. */
static void fail(struct extract_account *a, const struct tg_error *err)
{
    enter(a, ACCOUNT_READY);
    if (a->run->stopping)
        extract_keep_failure(a->run, err, true);
    else
        extract_account_out(a, err);
}

static void no_memory(struct extract_account *a)
{
    enter(a, ACCOUNT_READY);
    extract_no_memory(a->run);
}

/* ---- takeout ---- */

static void on_takeout(void *ctx, int64_t id, const struct tg_error *err)
{
    struct extract_account *a = ctx;
    int64_t wait_us;

    a->asked = false;
    a->takeout_id = err ? 0 : id;
    if (!err) { /* perhaps while the run was being stopped */
        enter(a, a->run->stopping ? ACCOUNT_READY : ACCOUNT_LIST);
        return;
    }
    if (err->code != TG_FLOOD || a->run->stopping) {
        fail(a, err);
        return;
    }
    wait_us = TG_MAX(err->retry_after_s, INT64_C(1)) * TG_SECOND_US;
    tg_account_note(a->account, TG_NOTE_FLOOD, (double)wait_us / 1e6,
                    "account.initTakeoutSession: the server lets exports start only after a delay");
    a->takeout_due_us = tg_net_now(a->account->net) + wait_us;
}

static void step_takeout(struct extract_account *a, int64_t now_us)
{
    const struct tg_extract_settings *set = a->run->settings;
    const struct tg_takeout_options all = {
        .users = true,
        .groups = true,
        .supergroups = true,
        .channels = true,
        .files = set->media != NULL,
        .file_max_bytes = set->media_max_size ? set->media_max_size : INT64_MAX,
    };

    if (!a->run->settings->takeout) {
        enter(a, ACCOUNT_LIST);
    } else if (now_us < a->takeout_due_us) {
        tg_net_timer(a->account->net, a->takeout_due_us);
    } else {
        a->asked = tg_takeout_start(client_of(a), &all, on_takeout, a, now_us);
        if (!a->asked)
            no_memory(a);
    }
}

static void on_finished(void *ctx, const struct tg_error *err)
{
    struct extract_account *a = ctx;

    if (err)
        tg_account_note(a->account, TG_NOTE_WARNING, 0, "the export session did not end: %s",
                        err->message);
    a->takeout_id = 0;
    enter(a, ACCOUNT_DONE);
}

bool extract_account_finish(struct extract_account *a, int64_t now_us)
{
    if (a->phase < ACCOUNT_FINISH && !a->asked) {
        enter(a, ACCOUNT_FINISH);
        if (a->takeout_id && !a->out)
            a->asked = tg_takeout_finish(client_of(a), a->run->code == TG_OK, on_finished, a,
                                         now_us);
    }
    return a->asked;
}

static int by_first_id(const void *a, const void *b)
{
    const struct tg_range *x = a, *y = b;

    return (x->min_id > y->min_id) - (x->min_id < y->min_id);
}

static void on_ranges(void *ctx, const struct tg_range *range, size_t n, const struct tg_error *err)
{
    struct extract_account *a = ctx;

    a->asked = false;
    if (err) {
        fail(a, err);
        return;
    }
    a->range = n ? calloc(n, sizeof *a->range) : NULL;
    if (n && !a->range) {
        no_memory(a);
        return;
    }
    if (n) {
        memcpy(a->range, range, n * sizeof *range);
        qsort(a->range, n, sizeof *a->range, by_first_id); /* rows leave oldest first */
    }
    a->n_ranges = n;
    enter(a, ACCOUNT_READY);
}

static void step_ranges(struct extract_account *a, int64_t now_us)
{
    if (!a->takeout_id) {
        enter(a, ACCOUNT_READY);
        return;
    }
    a->asked = tg_split_ranges_start(client_of(a), on_ranges, a, now_us);
    if (!a->asked)
        no_memory(a);
}

/* ---- the list of chats ---- */

/* @return false out of memory */
static bool note_own(struct extract_account *a, const struct tg_peer *peer)
{
    if (peer->kind != TG_PEER_USER && peer->kind != TG_PEER_GROUP)
        return true;
    if (a->n_own == a->cap_own) {
        size_t cap = TG_MAX(2 * a->cap_own, (size_t)64);
        int64_t *more = reallocarray(a->own, cap, sizeof *more);

        if (!more)
            return false;
        a->own = more;
        a->cap_own = cap;
    }
    a->own[a->n_own++] = peer->id;
    return true;
}

static bool lists(const struct extract_account *a, int64_t chat_id)
{
    for (size_t i = 0; i < a->n_own; i++)
        if (a->own[i] == chat_id)
            return true;
    return false;
}

uint64_t extract_account_whose(struct extract_account *a, int64_t chat_id)
{
    struct extract_run *r = a->run;
    uint64_t unknown = 0;

    if (lists(a, chat_id))
        return extract_sessions_of(r, a->account->session.user_id);
    for (size_t i = 0; i < r->n_accounts; i++) {
        struct extract_account *other = &r->account[i];

        if (lists(other, chat_id))
            return extract_sessions_of(r, other->account->session.user_id);
        if (other->out && !other->listed)
            unknown |= extract_bit(other);
    }
    r->lost_account |= unknown != 0; /* it has failed, then */
    return unknown ? unknown : extract_sessions_of(r, a->account->session.user_id);
}

static bool on_dialog(void *ctx, const struct tg_dialog *dialog)
{
    struct extract_account *a = ctx;
    struct extract_run *r = a->run;
    const struct tg_peer *peer = dialog->peer;
    struct tg_error err;

    a->list_failed = !dialog->unreadable && !note_own(a, peer);
    if (!r->all || a->list_failed)
        return !a->list_failed; /* the list is read for what the account learns from it */
    if (dialog->unreadable) {
        tg_fail(&err, TG_UNSUPPORTED, "chat %lld is of a kind that this version does not know",
                (long long)peer->id);
        extract_keep_failure(r, &err, false);
        tg_account_note(a->account, TG_NOTE_WARNING, 0, "left out '%lld': %s", (long long)peer->id,
                        err.message);
        return true;
    }
    if (peer->migrated_to)
        return true; /* read as the first part of the supergroup it became */
    if (peer->protected && !r->settings->allow_protected) {
        if (tg_marks_add(&r->left_out, (uint64_t)peer->id)) /* once, of all accounts */
            tg_account_note(a->account, TG_NOTE_INFO, 0,
                            "left out '%s': it forbids saving its content (--allow-protected)",
                            peer->name);
        return true;
    }
    a->list_failed = !extract_task_seen(a, peer);
    return !a->list_failed;
}

/* Without its list an account can be asked for less: enough where nothing can be asked now. If all
 * chats are wanted, those are read that the job was asked for before. */
static bool does_without(struct extract_account *a, const struct tg_error *err)
{
    if (!extract_falls_back(a->run, err) || (a->run->all && !extract_list_falls_back(a)))
        return false;
    enter(a, ACCOUNT_RANGES);
    return true;
}

/* Trouble that may pass costs no account, but some seconds. */
static void list_failed(struct extract_account *a, const struct tg_error *err)
{
    int64_t wait_us = TG_MAX(EXTRACT_RETRY_US << a->list_failures,
                             err->retry_after_s * TG_SECOND_US);

    if (does_without(a, err))
        return;
    if (a->run->stopping || !extract_may_pass(a->run, err->code) ||
        a->list_failures++ == EXTRACT_ATTEMPTS) {
        fail(a, err);
        return;
    }
    a->list_due_us = tg_net_now(a->account->net) + wait_us;
    a->left_listed = false;
    tg_account_note(a->account, TG_NOTE_RETRY, (double)wait_us / 1e6,
                    "the list of chats is tried again: %s", err->message);
}

static void on_listed(void *ctx, const struct tg_error *err)
{
    struct extract_account *a = ctx;

    a->asked = false;
    if (err) {
        list_failed(a, err);
    } else if (a->list_failed) {
        no_memory(a);
    } else if (a->takeout_id && !a->left_listed) {
        a->left_listed = true;
        a->asked = tg_left_channels_start(client_of(a), on_dialog, on_listed, a,
                                          tg_net_now(a->account->net));
        if (!a->asked)
            no_memory(a);
    } else {
        a->listed = true;
        enter(a, ACCOUNT_RANGES);
    }
}

static void step_list(struct extract_account *a, int64_t now_us)
{
    bool wanted = a->run->all || (a->run->n_accounts > 1 && !a->account->session.is_bot);

    if (!wanted) {
        enter(a, ACCOUNT_RANGES);
        return;
    }
    if (now_us < a->list_due_us) {
        tg_net_timer(a->account->net, a->list_due_us);
        return;
    }
    a->n_own = 0;
    a->asked = tg_dialogs_start(client_of(a), on_dialog, on_listed, a, now_us);
    if (!a->asked)
        no_memory(a);
}

void extract_account_step(struct extract_account *a, int64_t now_us)
{
    enum extract_account_phase before;

    do {
        before = a->phase;
        if (a->asked)
            return;
        if (a->phase == ACCOUNT_TAKEOUT)
            step_takeout(a, now_us);
        else if (a->phase == ACCOUNT_LIST)
            step_list(a, now_us);
        else if (a->phase == ACCOUNT_RANGES)
            step_ranges(a, now_us);
    } while (a->phase != before);
}
