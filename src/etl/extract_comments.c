/* SPDX-License-Identifier: MIT */
/*
 * extract_comments.c - the discussion groups of channels that are read with include_replies
 *
 *   channel's task: WAITING -> RUNNING -> AWAITING ----------------------> DONE
 *                        tells its group |                              ^
 *   group's task:                     WAITING -> RUNNING -> ... -> DONE |
 *
 * A group is a chat like all others, with a task, a checkpoint and an account of its own, and is
 * read once, whoever names it. The channel's task has ended when both are read: whoever is told so,
 * such as a queue that has the task acknowledged then, knows that the comments are there as well. A
 * run that is killed before finds the group again, because every run asks the channel for it.
 *
 * A group that no account can read is read through its channel: the same task and checkpoint, with
 * another source (source/history_threads.c). A series that was begun one way goes on that way.
 *
 * That a group waits for no channel keeps the two from waiting for each other.
 */
#include <stdio.h>
#include <stdlib.h>

#include "etl/extract_impl.h"

/* @return the group's new task; NULL out of memory */
static struct extract_task *add_group(struct extract_lane *lane, const struct tg_peer *group)
{
    const struct extract_task *channel = lane->task;
    struct extract_run *r = lane->run;
    struct extract_task *t;
    char what[64];

    if (group->username)
        snprintf(what, sizeof what, "@%.60s", group->username);
    else
        snprintf(what, sizeof what, "%lld", (long long)group->id);
    t = extract_task_add(r, what);
    if (!t)
        return NULL;
    t->settings = channel->settings;
    t->settings.min_id = t->settings.max_id = 0; /* are ids of posts */
    t->priority = channel->priority;
    t->tenant = channel->tenant;
    t->derived = true;
    if (!extract_task_named(lane->account, t, group))
        return NULL;
    extract_tasks_known(r, t);
    return t;
}

void extract_comments_linked(struct extract_lane *lane, int64_t group_id)
{
    const struct tg_peer *known = tg_peers_get(&lane->account->account->session.peers, group_id);
    const struct tg_peer unknown = { .id = group_id, .kind = TG_PEER_SUPERGROUP, .name = "" };
    const struct tg_peer *group = known ? known : &unknown;
    struct extract_run *r = lane->run;
    struct extract_task *t = extract_task_of_chat(r, group_id);

    if (group->kind != TG_PEER_SUPERGROUP)
        return; /* no server says so */
    if (!t)
        t = add_group(lane, group);
    if (!t) {
        extract_no_memory(r);
        return;
    }
    if (!t->channel) {
        t->channel_what = strdup(lane->task->what);
        t->channel = t->channel_what ? lane->task->chat.id : 0;
    }
    if (t->state == TASK_DONE && extract_only_this_chat(t->end)) /* it was tried before */
        extract_comments_through(lane->account, t);
    t->awaited = true;
    lane->task->awaits = t->number;
}

/* ---- posts ---- */

void extract_comments_begin(struct extract_lane *lane, int64_t id)
{
    struct extract_posts *p = &lane->task->posts;

    while (p->n && p->id[p->n - 1] > id) { /* these come again */
        p->n--;
        lane->run->n_posts--;
    }
    p->to = 0;
    if (!p->from || p->from > id + 1)
        p->from = id + 1;
}

void extract_comments_post(struct extract_lane *lane, int64_t id)
{
    struct extract_posts *p = &lane->task->posts;
    int32_t *more;

    if (p->lost || !lane->task->awaits)
        return;
    if (p->n == p->cap) {
        size_t cap = TG_MAX(2 * p->cap, (size_t)64);

        more = lane->run->n_posts < EXTRACT_POSTS_MAX ? reallocarray(p->id, cap, sizeof *more)
                                                      : NULL;
        p->lost = !more; /* the channel is read again for them */
        if (!more)
            return;
        p->id = more;
        p->cap = cap;
    }
    p->id[p->n++] = (int32_t)id;
    lane->run->n_posts++;
}

void extract_comments_read(struct extract_lane *lane, int64_t id)
{
    const struct extract_task *t = lane->task;

    if (!t->settings.since && !t->settings.limit && !t->settings.min_id && !t->settings.max_id &&
        !t->posts.lost)
        lane->task->posts.to = id;
}

void extract_comments_forget(struct extract_run *r, struct extract_task *t)
{
    r->n_posts -= t->posts.n;
    free(t->posts.id);
    t->posts = (struct extract_posts){ 0 };
}

/* @return the task that reads the channel and waits for the group's; NULL */
static struct extract_task *channel_of(const struct extract_run *r, const struct extract_task *t)
{
    struct extract_task *channel = t->channel ? extract_task_of_chat(r, t->channel) : NULL;

    return channel && channel->awaits == t->number ? channel : NULL;
}

struct tg_source_posts extract_comments_posts(const struct extract_run *r,
                                              const struct extract_task *t)
{
    const struct extract_task *channel = t->through ? channel_of(r, t) : NULL;

    if (!channel || channel->state != TASK_AWAITING)
        return (struct tg_source_posts){ 0 };
    return (struct tg_source_posts){ channel->posts.id, channel->posts.n, channel->posts.from,
                                     channel->posts.to };
}

/* ---- through the channel ---- */

void extract_comments_go_on(struct extract_run *r, const struct extract_task *channel)
{
    struct extract_task *t = channel->awaits ? extract_task_find(r, channel->awaits) : NULL;

    if (t && t->state == TASK_AWAITING && t->through)
        extract_task_queue(r, t, 0);
}

bool extract_comments_through(struct extract_account *a, struct extract_task *t)
{
    const struct extract_task *channel = channel_of(a->run, t);

    if (!t->channel || t->through)
        return false;
    t->through = true;
    t->not_by = 0;
    t->seen_by = extract_bit(a);
    tg_account_note(a->account, TG_NOTE_INFO, 0,
                    "'%s' cannot be read: the comments are asked for post by post", t->chat.title);
    if (channel && channel->state == TASK_RUNNING) { /* soon its posts are known */
        t->state = TASK_AWAITING;
        tg_tasks_over(&a->run->tasks, t->id, extract_now());
        return true;
    }
    return extract_task_queue(a->run, t, 0);
}

tg_code extract_comments_check(const struct extract_task *t, const struct tg_commit *done,
                               struct tg_error *err)
{
    bool through = done->cursor.segment == TG_SEGMENT_THREADS;

    if (!done->seq || through == t->through)
        return TG_OK;
    tg_fail(err, TG_FORBIDDEN,
            through ? "the comments in '%.100s' were read through their channel so far"
                    : "'%.100s' was read itself so far, and cannot be read any longer",
            t->chat.title);
    return tg_hint(err, through ? "name the channel, with --include-replies"
                                : "join the group, or start a series with another --job name");
}

bool extract_comments_await(struct extract_run *r, struct extract_task *channel)
{
    const struct extract_task *group = extract_task_find(r, channel->awaits);

    if (!group || group->state == TASK_DONE)
        return false;
    channel->state = TASK_AWAITING;
    tg_tasks_over(&r->tasks, channel->id, extract_now());
    extract_comments_go_on(r, channel);
    return true;
}

void extract_comments_ended(struct extract_run *r, const struct extract_task *group,
                            const struct extract_account *a, const struct tg_error *err)
{
    struct tg_error why;

    if (err) {
        tg_fail(&why, err->code, "the comments in '%.80s': %.300s", group->chat.title,
                err->message);
        tg_hint(&why, "%s", err->hint);
        why.retry_after_s = err->retry_after_s;
    }
    for (size_t i = 0; i < r->n_tasks; i++)
        if (r->task[i]->state == TASK_AWAITING && r->task[i]->awaits == group->number)
            extract_task_tell(r, r->task[i], a, err ? &why : NULL);
}
