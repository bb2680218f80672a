/* SPDX-License-Identifier: MIT */
/*
 * tasks.c - see tasks.h
 *
 * A group is what one tenant wants with the same needs: a queue per priority of those that are
 * ready. Ready ones are queued in the order in which they became due, since time does not go back
 * and those due are moved before anything else is done; so only heads are ever compared. Links are
 * slot numbers + 1, 0 ends a list.
 */
#include "flow/tasks.h"

#include <assert.h>
#include <stdlib.h>

enum { CLOCK_BITS = 20, MEAN_OF = 8, DEAREST_OF = 64, SLOT_BITS = 20, FIRST_SLOTS = 64 };

#define COST_MAX (UINT64_C(1) << 40)

_Static_assert(TG_TASKS_MAX == 1 << SLOT_BITS, "a slot number fits into an id");

struct tasks_slot {
    struct tg_task task;
    uint64_t order;        /* among those due at the same time */
    uint64_t reserved;     /* cost that the tenant's clock is ahead by, since it is expected yet */
    uint32_t weight;       /* that it was reckoned with */
    uint32_t group;        /* index */
    uint32_t heap_at;      /* DELAYED: where in the heap */
    uint32_t next, prev;   /* READY: in its queue; free: the next free one */
};

struct tasks_group {
    uint64_t needs;
    uint32_t tenant;
    uint32_t users;        /* tasks, in whatever state */
    uint32_t next;         /* of the same tenant, or the next free one */
    struct {
        uint32_t first, last;
    } queue[TG_PRIORITIES];
};

/* ---- shares: the tenants' clocks ---- */

static uint64_t ticks(uint64_t cost, uint32_t weight)
{
    return (TG_MIN(cost, COST_MAX) << CLOCK_BITS) / weight;
}

static uint32_t live(const struct tg_tasks_tenant *who)
{
    return who->n[TG_TASK_READY] + who->n[TG_TASK_RUNNING];
}

/* One that had nothing to do begins where the others are: at the least of those that have, or with
 * all equal if nobody has. */
static void come_back(struct tg_tasks *t, struct tg_tasks_tenant *back)
{
    uint64_t least = UINT64_MAX, most = 0;

    for (int i = 0; i < TG_TASKS_TENANTS; i++) {
        const struct tg_tasks_tenant *who = &t->tenant[i];

        if (who != back && live(who))
            least = TG_MIN(least, who->clock);
        most = TG_MAX(most, who->clock);
    }
    back->clock = TG_MAX(back->clock, least == UINT64_MAX ? most : least);
}

static uint64_t mean_with(uint64_t mean, uint64_t cost)
{
    if (!mean)
        return cost;
    return cost > mean ? mean + (cost - mean + MEAN_OF - 1) / MEAN_OF
                       : mean - (mean - cost) / MEAN_OF;
}

/* Advances the clock for what a run will probably cost. */
static void reserve(struct tg_tasks *t, struct tasks_slot *s)
{
    struct tg_tasks_tenant *who = &t->tenant[s->task.tenant];

    s->reserved = TG_MAX(who->mean ? who->mean : t->mean, UINT64_C(1));
    s->weight = who->weight;
    who->clock += ticks(s->reserved, s->weight);
}

static void charge(struct tg_tasks *t, struct tasks_slot *s, uint64_t cost)
{
    struct tg_tasks_tenant *who = &t->tenant[s->task.tenant];
    uint64_t paid = TG_MIN(cost, s->reserved);

    s->reserved -= paid;
    who->clock += ticks(cost - paid, who->weight);
    who->cost += cost;
    s->task.cost += cost;
    s->task.run_cost += cost;
    who->dearest = TG_MAX(who->dearest, s->task.run_cost);
}

/* The run is over: what was reserved and not used is given back. */
static void settle(struct tg_tasks *t, struct tasks_slot *s)
{
    struct tg_tasks_tenant *who = &t->tenant[s->task.tenant];

    if (s->task.run_cost == 0)
        charge(t, s, 1);
    who->clock -= TG_MIN(ticks(s->reserved, s->weight), who->clock);
    s->reserved = 0;
    who->mean = mean_with(who->mean, s->task.run_cost);
    t->mean = mean_with(t->mean, s->task.run_cost);
    who->dearest = TG_MAX(who->dearest - who->dearest / DEAREST_OF, s->task.run_cost);
}

/* Claims have an end: see the head of tasks.h. `can` are the tenants that could be served now. */
static void bound_claims(struct tg_tasks *t, const uint32_t *can, size_t n)
{
    uint64_t most = 0, least = UINT64_MAX, dearest = 1, claim, shift;
    uint32_t weight = TG_TASKS_WEIGHT_MAX;

    for (size_t i = 0; i < n; i++) {
        const struct tg_tasks_tenant *who = &t->tenant[can[i]];

        most = TG_MAX(most, who->clock);
        least = TG_MIN(least, who->clock);
        weight = TG_MIN(weight, who->weight);
        dearest = TG_MAX(dearest, who->dearest);
    }
    claim = ticks(2 * dearest, weight);
    if (n == 0 || most - least <= claim)
        return;
    shift = most - claim - least;
    for (size_t i = 0; i < n; i++) {
        struct tg_tasks_tenant *who = &t->tenant[can[i]];

        if (most - who->clock > claim)
            who->clock = TG_MIN(who->clock + shift, most);
    }
}

/* ---- the heap of delayed ones ---- */

static bool earlier(const struct tg_tasks *t, uint32_t a, uint32_t b)
{
    const struct tasks_slot *x = &t->slot[a], *y = &t->slot[b];

    return x->task.due_us != y->task.due_us ? x->task.due_us < y->task.due_us
                                            : x->order < y->order;
}

static void heap_put(struct tg_tasks *t, uint32_t at, uint32_t index)
{
    t->heap[at] = index;
    t->slot[index].heap_at = at;
}

static void heap_up(struct tg_tasks *t, uint32_t at, uint32_t index)
{
    for (; at && earlier(t, index, t->heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap_put(t, at, t->heap[(at - 1) / 2]);
    heap_put(t, at, index);
}

static void heap_down(struct tg_tasks *t, uint32_t at, uint32_t n, uint32_t index)
{
    for (uint32_t child; (child = 2 * at + 1) < n; at = child) {
        child += child + 1 < n && earlier(t, t->heap[child + 1], t->heap[child]);
        if (!earlier(t, t->heap[child], index))
            break;
        heap_put(t, at, t->heap[child]);
    }
    heap_put(t, at, index);
}

/* Takes out of the heap of n one that stands in it. */
static void heap_remove(struct tg_tasks *t, uint32_t n, uint32_t index)
{
    uint32_t at = t->slot[index].heap_at, last = t->heap[n - 1];

    assert(n && t->heap[at] == index);
    if (last == index)
        return;
    if (at && earlier(t, last, t->heap[(at - 1) / 2]))
        heap_up(t, at, last);
    else
        heap_down(t, at, n - 1, last);
}

/* ---- queues and states ---- */

static void queue_add(struct tg_tasks *t, uint32_t index)
{
    struct tasks_slot *s = &t->slot[index];
    struct tasks_group *g = &t->group[s->group];
    uint32_t *last = &g->queue[s->task.priority].last;

    s->prev = *last;
    s->next = 0;
    if (*last)
        t->slot[*last - 1].next = index + 1;
    else
        g->queue[s->task.priority].first = index + 1;
    *last = index + 1;
}

static void queue_remove(struct tg_tasks *t, uint32_t index)
{
    struct tasks_slot *s = &t->slot[index];
    struct tasks_group *g = &t->group[s->group];

    if (s->prev)
        t->slot[s->prev - 1].next = s->next;
    else
        g->queue[s->task.priority].first = s->next;
    if (s->next)
        t->slot[s->next - 1].prev = s->prev;
    else
        g->queue[s->task.priority].last = s->prev;
}

static void leave_state(struct tg_tasks *t, uint32_t index)
{
    struct tasks_slot *s = &t->slot[index];

    if (s->task.state == TG_TASK_DELAYED)
        heap_remove(t, t->n[TG_TASK_DELAYED], index);
    else if (s->task.state == TG_TASK_READY)
        queue_remove(t, index);
    else if (s->task.state == TG_TASK_RUNNING)
        settle(t, s);
    t->n[s->task.state]--;
    t->tenant[s->task.tenant].n[s->task.state]--;
    s->task.state = TG_TASK_GONE;
    if (!live(&t->tenant[s->task.tenant]))
        t->tenant[s->task.tenant].idle_us = t->last_us;
}

static void enter_state(struct tg_tasks *t, uint32_t index, enum tg_task_state state)
{
    struct tasks_slot *s = &t->slot[index];
    struct tg_tasks_tenant *who = &t->tenant[s->task.tenant];

    assert(s->task.state == TG_TASK_GONE);
    if (state == TG_TASK_DELAYED)
        heap_up(t, t->n[TG_TASK_DELAYED], index);
    else if (!live(who) && who->idle_us < t->last_us)
        come_back(t, who);
    if (state == TG_TASK_READY)
        queue_add(t, index);
    s->task.state = state;
    t->n[state]++;
    who->n[state]++;
}

/* Moves those that have become due to their queues. */
static void advance(struct tg_tasks *t, int64_t now_us)
{
    assert(now_us >= t->last_us);
    t->last_us = now_us;
    while (t->n[TG_TASK_DELAYED] && t->slot[t->heap[0]].task.due_us <= now_us) {
        uint32_t index = t->heap[0];

        leave_state(t, index);
        enter_state(t, index, TG_TASK_READY);
    }
}

/* Queues a task that is in no state; one that is due stands behind all that became due before. */
static void await(struct tg_tasks *t, uint32_t index, int64_t due_us, int64_t now_us)
{
    struct tasks_slot *s = &t->slot[index];

    s->task.due_us = TG_MAX(due_us, now_us);
    s->order = ++t->order;
    enter_state(t, index, due_us > now_us ? TG_TASK_DELAYED : TG_TASK_READY);
}

/* ---- slots and groups ---- */

static bool grow(struct tg_tasks *t)
{
    uint32_t n = t->slots ? TG_MIN(t->slots * 2, t->slots_max) : TG_MIN(FIRST_SLOTS, t->slots_max);
    void *slot, *group, *heap;

    if (n == t->slots)
        return false;
    slot = realloc(t->slot, n * sizeof *t->slot);
    t->slot = slot ? slot : t->slot;
    group = realloc(t->group, n * sizeof *t->group); /* there are never more groups than tasks */
    t->group = group ? group : t->group;
    heap = realloc(t->heap, n * sizeof *t->heap);
    t->heap = heap ? heap : t->heap;
    if (!slot || !group || !heap)
        return false;
    for (uint32_t i = n; i-- > t->slots;) {
        t->slot[i] = (struct tasks_slot){ .next = t->free_slot };
        t->group[i] = (struct tasks_group){ .next = t->free_group };
        t->free_slot = t->free_group = i + 1;
    }
    t->slots = n;
    return true;
}

static uint32_t join_group(struct tg_tasks *t, uint32_t tenant, uint64_t needs)
{
    uint32_t at = t->tenant[tenant].groups;

    while (at && t->group[at - 1].needs != needs)
        at = t->group[at - 1].next;
    if (!at) {
        at = t->free_group;
        assert(at);
        t->free_group = t->group[at - 1].next;
        t->group[at - 1] = (struct tasks_group){ .needs = needs,
                                                 .tenant = tenant,
                                                 .next = t->tenant[tenant].groups };
        t->tenant[tenant].groups = at;
    }
    t->group[at - 1].users++;
    return at - 1;
}

static void leave_group(struct tg_tasks *t, uint32_t index)
{
    struct tasks_group *g = &t->group[index];
    uint32_t *link = &t->tenant[g->tenant].groups;

    if (--g->users)
        return;
    while (*link != index + 1)
        link = &t->group[*link - 1].next;
    *link = g->next;
    g->next = t->free_group;
    t->free_group = index + 1;
}

/* @return the slot + 1; 0: gone */
static uint32_t slot_of(const struct tg_tasks *t, uint64_t id)
{
    uint32_t index = (uint32_t)(id & (TG_TASKS_MAX - 1));

    return index < t->slots && t->slot[index].task.state != TG_TASK_GONE &&
                   t->slot[index].task.id == id
               ? index + 1
               : 0;
}

static void remove_task(struct tg_tasks *t, uint32_t index)
{
    leave_state(t, index);
    leave_group(t, t->slot[index].group);
    t->slot[index].next = t->free_slot;
    t->free_slot = index + 1;
}

/* ---- what is asked for ---- */

void tg_tasks_init(struct tg_tasks *t, uint32_t n_max)
{
    assert(n_max >= 1 && n_max <= TG_TASKS_MAX);
    *t = (struct tg_tasks){ .slots_max = n_max, .last_us = INT64_MIN };
    for (int i = 0; i < TG_TASKS_TENANTS; i++)
        t->tenant[i].weight = 1, t->tenant[i].idle_us = INT64_MIN;
}

void tg_tasks_done(struct tg_tasks *t)
{
    free(t->slot);
    free(t->group);
    free(t->heap);
    *t = (struct tg_tasks){ 0 };
}

void tg_tasks_weight(struct tg_tasks *t, uint32_t tenant, uint32_t weight)
{
    assert(tenant < TG_TASKS_TENANTS && weight >= 1 && weight <= TG_TASKS_WEIGHT_MAX);
    t->tenant[tenant].weight = weight;
}

tg_code tg_tasks_add(struct tg_tasks *t, const struct tg_task *task, int64_t now_us,
                     uint64_t *ret_id, struct tg_error *err)
{
    uint32_t index;
    struct tasks_slot *s;

    assert(task->tenant < TG_TASKS_TENANTS && task->priority < TG_PRIORITIES);
    advance(t, now_us);
    if (!t->free_slot && t->slots == t->slots_max)
        return tg_fail(err, TG_LIMIT, "there are %u tasks already", t->slots_max);
    if (!t->free_slot && !grow(t))
        return tg_fail(err, TG_NOMEM, "no memory for more than %u tasks", t->slots);
    index = t->free_slot - 1;
    s = &t->slot[index];
    t->free_slot = s->next;
    *s = (struct tasks_slot){ .task = { .of = task->of,
                                        .needs = task->needs,
                                        .tenant = task->tenant,
                                        .priority = task->priority,
                                        .attempts_max = task->attempts_max,
                                        .ahead_us = task->ahead_us,
                                        .id = ++t->serial << SLOT_BITS | index },
                              .group = join_group(t, task->tenant, task->needs) };
    await(t, index, task->due_us, now_us);
    *ret_id = s->task.id;
    return TG_OK;
}

/* When its turn is, if it were alone: the lower the sooner. */
static int64_t rank(const struct tg_task *task)
{
    return task->due_us - task->ahead_us + (int64_t)task->priority * TG_TASKS_AGE_US;
}

static bool before(const struct tasks_slot *a, const struct tasks_slot *b)
{
    if (rank(&a->task) != rank(&b->task))
        return rank(&a->task) < rank(&b->task);
    if (a->task.priority != b->task.priority)
        return a->task.priority < b->task.priority;
    return a->order < b->order;
}

/* @return the slot + 1 of the tenant's next task that may run; 0 none */
static uint32_t best_of(const struct tg_tasks *t, uint32_t tenant, tg_tasks_may_fn may, void *ctx)
{
    uint32_t best = 0;

    if (!t->tenant[tenant].n[TG_TASK_READY])
        return 0;
    for (uint32_t at = t->tenant[tenant].groups; at; at = t->group[at - 1].next) {
        const struct tasks_group *g = &t->group[at - 1];

        for (int p = 0; p < TG_PRIORITIES; p++) {
            uint32_t head = g->queue[p].first;

            if (head && (!best || before(&t->slot[head - 1], &t->slot[best - 1])) &&
                (!may || may(ctx, g->needs, (enum tg_priority)p)))
                best = head;
        }
    }
    return best;
}

const struct tg_task *tg_tasks_take(struct tg_tasks *t, tg_tasks_may_fn may, void *ctx,
                                    int64_t now_us)
{
    uint32_t can[TG_TASKS_TENANTS], best[TG_TASKS_TENANTS];
    size_t n = 0, chosen = 0;
    struct tasks_slot *s;

    advance(t, now_us);
    for (uint32_t i = 0; i < TG_TASKS_TENANTS; i++)
        if ((best[n] = best_of(t, i, may, ctx)))
            can[n++] = i;
    if (n == 0)
        return NULL;
    bound_claims(t, can, n);
    for (size_t i = 1; i < n; i++)
        if (t->tenant[can[i]].clock < t->tenant[can[chosen]].clock)
            chosen = i;
    s = &t->slot[best[chosen] - 1];
    queue_remove(t, best[chosen] - 1);
    t->n[TG_TASK_READY]--, t->n[TG_TASK_RUNNING]++;
    t->tenant[can[chosen]].n[TG_TASK_READY]--, t->tenant[can[chosen]].n[TG_TASK_RUNNING]++;
    s->task.state = TG_TASK_RUNNING;
    s->task.run_cost = 0;
    reserve(t, s);
    return &s->task;
}

int64_t tg_tasks_due(const struct tg_tasks *t)
{
    return t->n[TG_TASK_DELAYED] ? t->slot[t->heap[0]].task.due_us : INT64_MAX;
}

const struct tg_task *tg_tasks_find(const struct tg_tasks *t, uint64_t id)
{
    uint32_t at = slot_of(t, id);

    return at ? &t->slot[at - 1].task : NULL;
}

bool tg_tasks_charge(struct tg_tasks *t, uint64_t id, uint64_t cost)
{
    uint32_t at = slot_of(t, id);

    if (!at || t->slot[at - 1].task.state != TG_TASK_RUNNING)
        return false;
    charge(t, &t->slot[at - 1], TG_MIN(cost, COST_MAX));
    return true;
}

bool tg_tasks_over(struct tg_tasks *t, uint64_t id, int64_t now_us)
{
    uint32_t at = slot_of(t, id);

    advance(t, now_us);
    if (!at)
        return false;
    remove_task(t, at - 1);
    return true;
}

bool tg_tasks_reschedule(struct tg_tasks *t, uint64_t id, int64_t delay_us,
                         enum tg_priority priority, int64_t now_us)
{
    uint32_t at = slot_of(t, id);
    int64_t due_us;

    assert(delay_us >= 0 && priority < TG_PRIORITIES);
    advance(t, now_us);
    if (!at)
        return false;
    if (__builtin_add_overflow(now_us, delay_us, &due_us))
        due_us = INT64_MAX;
    leave_state(t, at - 1);
    t->slot[at - 1].task.priority = priority;
    await(t, at - 1, due_us, now_us);
    return true;
}

bool tg_tasks_failed(struct tg_tasks *t, uint64_t id, int64_t delay_us, enum tg_priority priority,
                     int64_t now_us)
{
    uint32_t at = slot_of(t, id);
    struct tg_task *task;

    advance(t, now_us);
    if (!at || t->slot[at - 1].task.state != TG_TASK_RUNNING)
        return false;
    task = &t->slot[at - 1].task;
    task->attempts++;
    if (!task->attempts_max || task->attempts < task->attempts_max)
        return tg_tasks_reschedule(t, id, delay_us, priority, now_us);
    remove_task(t, at - 1);
    return false;
}

const char *tg_priority_name(enum tg_priority priority)
{
    static const char *const name[] = { "high", "normal", "low" };

    assert((size_t)priority < TG_COUNT(name));
    return name[priority];
}
