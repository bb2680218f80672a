/* SPDX-License-Identifier: MIT */
/*
 * compare.c - delta runs over changing chats against a model, over many seeds
 *
 * A world's messages are posted, edited, deleted and reacted to, between runs and between the pages
 * of one. A run compares ranges cut anywhere with what is remembered (etl/change_state.h), is shown
 * short pages, has some of its questions after suspected deletions left unanswered, and is killed:
 * at any call of the state store, before and after the destination commits. Between runs the state
 * is broken now and then: bytes flipped, documents and notes lost, older ones put back.
 *
 *   what is remembered as known is what the destination has, always
 *   every item is what two versions say, and nothing is missing
 *   without damage nothing is unknown once it was read
 *   in the end, after a run that nothing disturbs, the destination equals the world
 *
 * TG_SEED=N runs one seed alone, TG_SEEDS=N so many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "etl/change_journal.h"
#include "etl/change_state.h"
#include "flow/compare.h"
#include "tests/memory_store.h"

enum { SEEDS = 5000, IDS = 400, OLD = 16, CHAT = -1001 };

static uint64_t seed;
static uint64_t seen[TG_CHANGES], n_kills, n_broken, n_runs, n_doubts;

/* ---- what there is ---- */

/* A message, or none: content 0. */
struct message {
    uint32_t content, edit_date, reactions;
};

struct world {
    struct random r;
    struct message message[IDS + 1], destination[IDS + 1];
    struct message next[IDS + 1]; /* the destination once it commits */
    int64_t top;                  /* highest id ever given out */
    struct memory_store m;
    struct stored old[OLD];       /* documents as they were once */
    size_t n_old;
    struct tg_change_state *st;
    struct tg_arena arena;
    uint64_t n, fence;            /* commits of the destination; writer */
    int64_t now_us;
    uint32_t changes;             /* how lively it is */
    uint32_t hidden, silent;      /* percent: left out of pages; not answered */
    uint32_t kinds;               /* of reactions: with few, they soon are what they were */
    bool disturbed;               /* short pages, missing answers, changes while reading */
    bool broken;                  /* the state was, since all of it was read */
    struct tg_compare compare;
    struct tg_compare_stats stats;
};

static struct tg_signature signature_of(int64_t id, const struct message *m)
{
    return (struct tg_signature){ id, m->edit_date,
                                  m->content * UINT64_C(0x9e3779b97f4a7c15), m->reactions };
}

/* ---- what happens ---- */

static void happen(struct world *w)
{
    int64_t id = 1 + below(&w->r, (uint32_t)TG_MAX(w->top, 1));
    struct message *m = &w->message[id];
    uint32_t what = below(&w->r, 100);

    if (what < 30) {
        if (w->top < IDS)
            w->message[++w->top] = (struct message){ 1 + below(&w->r, 3), 0, below(&w->r, 2) };
    } else if (!m->content) {
        return;
    } else if (what < 55) {
        m->content = 1 + (m->content + below(&w->r, 2)) % 3; /* may come back to what it was */
        m->edit_date += 1 + below(&w->r, 9);
    } else if (what < 75) {
        *m = (struct message){ 0 };
    } else {
        m->reactions = (m->reactions + 1) % w->kinds; /* as well */
        m->edit_date += what < 80;
    }
}

static void happen_some(struct world *w, uint32_t most)
{
    for (uint32_t n = below(&w->r, most + 1); n; n--)
        happen(w);
}

/* ---- a piece of a run ---- */

/* What the server shows of from..to. */
static size_t read_page(struct world *w, int64_t from, int64_t to, struct message *page,
                        struct tg_signature *now)
{
    size_t n = 0;

    for (int64_t id = from; id <= to; id++) {
        page[id] = w->message[id];
        if (w->disturbed && chance(&w->r, w->hidden))
            page[id] = (struct message){ 0 };
        if (page[id].content)
            now[n++] = signature_of(id, &page[id]);
    }
    return n;
}

/* Of what is unknown all must be answered. */
static void confirm_all(struct world *w, struct message *page)
{
    for (size_t k = 0; k < w->compare.n; k++) {
        int64_t id = w->compare.item[k].id;
        struct tg_signature now = signature_of(id, &w->message[id]);

        if (w->compare.item[k].kind != TG_CHANGE_SUSPECTED ||
            (w->disturbed && w->compare.known && chance(&w->r, w->silent)))
            continue;
        assert_non_null(tg_compare_confirm(&w->compare, id, w->message[id].content ? &now : NULL));
        page[id] = w->message[id];
        assert_null(tg_compare_confirm(&w->compare, id, NULL));
    }
}

static void check_item(const struct world *w, const struct tg_compare_item *i,
                       const struct message *now, const struct message *was)
{
    enum tg_change want = TG_CHANGE_SAME;

    if (!now->content)
        want = i->kind == TG_CHANGE_DELETED ? TG_CHANGE_DELETED : TG_CHANGE_SUSPECTED;
    else if (!w->compare.known)
        want = TG_CHANGE_READ;
    else if (!was->content)
        want = TG_CHANGE_NEW;
    else if (now->content != was->content ||
             (now->edit_date != was->edit_date && now->reactions == was->reactions))
        want = TG_CHANGE_EDITED;
    else if (now->reactions != was->reactions)
        want = TG_CHANGE_REACTIONS;
    if (i->kind != want)
        fail_msg("%lld is told %s, is %s", (long long)i->id, tg_change_name[i->kind],
                 tg_change_name[want]);
}

/* What is known is at the destination. */
static void check_stored(const struct world *w, struct tg_signatures s)
{
    size_t k = 0;

    for (int64_t id = s.from; id <= TG_MIN(s.to, IDS); id++) {
        const struct message *at = &w->next[id];
        struct tg_signature want = signature_of(id, at);
        bool is = k < s.n && s.at[k].id == id;

        if (is != (at->content != 0) || (is && tg_signature_differs(&want, &s.at[k])))
            fail_msg("what is remembered of %lld is not at the destination", (long long)id);
        k += is;
    }
    assert_int_equal(k, s.n);
}

/* All items of the range are right, and every id that is there, or was as we know, has one. */
static void check_items(struct world *w, const struct message *page, struct tg_signatures stored)
{
    const struct tg_compare *c = &w->compare;
    size_t k = 0, o = 0, suspected = 0;

    for (int64_t id = c->from; id <= c->to; id++) {
        bool was = o < stored.n && stored.at[o].id == id;

        o += was;
        if (!page[id].content && !was)
            continue;
        assert_true(k < c->n && c->item[k].id == id);
        check_item(w, &c->item[k], &page[id], &w->next[id]);
        suspected += c->item[k++].kind == TG_CHANGE_SUSPECTED;
    }
    assert_int_equal(k, c->n);
    assert_int_equal(suspected, c->n_suspected);
}

/* Into the batch at hand; of what is unknown, ids that do not exist as well. */
static void deliver(struct world *w, const struct message *page)
{
    const struct tg_compare *c = &w->compare;
    size_t k = 0;

    for (int64_t id = c->from; id <= c->to; id++) {
        const struct tg_compare_item *i = k < c->n && c->item[k].id == id ? &c->item[k++] : NULL;

        if (i ? !tg_change_delivered(i->kind) : c->known)
            continue;
        w->next[id] = i ? page[id] : (struct message){ 0 };
        if (w->next[id].content)
            tg_change_put(w->st, CHAT, 0, &i->after);
        else
            tg_change_drop(w->st, CHAT, 0, id);
    }
}

/* Ends the batch: note, commit. @return false: killed, before or behind it */
static bool commit(struct world *w)
{
    struct tg_change_entry entry = { .seq = w->n + 1, .fence = w->fence };
    struct tg_error err;

    if (tg_change_entry_end(w->st, &w->arena, &entry.note, &err) != TG_OK)
        fail_msg("%s", err.message);
    if (tg_change_journal_append(&w->m.store, "job", &entry, 0, &err) != TG_OK ||
        (w->m.kill_in >= 0 && chance(&w->r, 2)))
        return false;
    memcpy(w->destination, w->next, sizeof w->next);
    w->n++;
    tg_arena_clear(&w->arena);
    if (w->m.kill_in >= 0 && chance(&w->r, 2))
        return false;
    tg_change_committed(w->st, w->n);
    assert_int_equal(tg_change_step(w->st, w->now_us += TG_SECOND_US, &err), TG_OK);
    return !w->m.dead;
}

/* The range from `from` on, cut anywhere. @return where it ends; 0: killed */
static int64_t piece(struct world *w, int64_t from, int64_t end)
{
    struct message page[IDS + 1];
    struct tg_signature now[IDS + 1];
    struct tg_signatures stored, shown = { from, from, now, 0 };
    struct tg_error err = { 0 };
    bool known;

    shown.to += below(&w->r, chance(&w->r, 50) ? 10 : 120);
    shown.to = TG_MIN(shown.to, end);
    if (tg_change_range(w->st, CHAT, from, &shown.to, &stored, &known, &err) != TG_OK)
        return 0;
    stored = tg_signatures_slice(stored, from, shown.to);
    if (known)
        check_stored(w, stored);
    shown.n = read_page(w, from, shown.to, page, now);
    assert_int_equal(tg_compare_run(&w->compare, stored, known, shown, &err), TG_OK);
    confirm_all(w, page);
    check_items(w, page, stored);
    deliver(w, page);
    tg_compare_count(&w->compare, 1, &w->stats);
    if (w->disturbed)
        happen_some(w, 2);
    return shown.to;
}

/* ---- a run ---- */

static bool open_state(struct world *w)
{
    struct tg_change_state_options options = { .store = &w->m.store, .job = "job",
                                               .fields = TG_SIGNATURE_FIELDS, .commit_seq = w->n,
                                               .fence = ++w->fence,
                                               .memory_max = 1 + below(&w->r, 5000),
                                               .journal_max = 1 + below(&w->r, 5000) };
    struct tg_error err;

    w->st = NULL;
    memcpy(w->next, w->destination, sizeof w->next);
    tg_arena_clear(&w->arena);
    if (tg_change_state_open(&options, &w->st, &err) != TG_OK ||
        tg_change_journal_cut(&w->m.store, "job", w->n, w->fence, &err) != TG_OK)
        return false;
    if (tg_change_doubt(w->st) && !w->broken)
        fail_msg("doubted without damage: %s", tg_change_doubt(w->st));
    return true;
}

/* Reads all of the chat. @return false: killed */
static bool scan(struct world *w)
{
    struct tg_change_chat chat;
    bool there = tg_change_chat(w->st, CHAT, &chat);
    int64_t at = there && !chat.doubted && chat.scanned_to < chat.scan_end ? chat.scanned_to : 0;

    if (there && chat.doubted) {
        n_doubts++;
        if (!w->broken)
            fail_msg("doubted without damage");
    }
    /* ids may be at the destination that nobody remembers */
    tg_change_put_scan(w->st, CHAT, 0, at, there && chat.scanned ? w->top : IDS,
                       there && chat.scanned);
    tg_change_chat(w->st, CHAT, &chat);
    while (at < chat.scan_end) {
        at = piece(w, at + 1, chat.scan_end);
        if (!at)
            return false;
        tg_change_put_scan(w->st, CHAT, 0, at, chat.scan_end, chat.scanned);
        if (chance(&w->r, 70) && !commit(w))
            return false;
    }
    tg_change_put_scan(w->st, CHAT, 0, at, at, true);
    return commit(w);
}

static void run(struct world *w)
{
    struct tg_change_chat chat;
    struct tg_error err;

    n_runs++;
    w->m.dead = false;
    if (open_state(w) && scan(w)) {
        /* damage that was found on the way is dealt with by another scan */
        bool whole = tg_change_chat(w->st, CHAT, &chat) && !chat.doubted;

        while (!whole && scan(w))
            whole = tg_change_chat(w->st, CHAT, &chat) && !chat.doubted;
        if (whole && (w->m.kill_in < 0 || chance(&w->r, 50)) &&
            tg_change_state_close(w->st, 0, &err) == TG_OK)
            w->broken = false;
    }
    n_kills += w->m.dead;
    tg_change_state_free(w->st);
}

/* ---- what goes wrong in between ---- */

static struct stored *any_document(struct world *w)
{
    struct stored *s = w->m.n ? &w->m.at[below(&w->r, (uint32_t)w->m.n)] : NULL;

    return s && !s->log ? s : NULL;
}

static void set_bytes(struct stored *s, const struct stored *by)
{
    s->bytes = realloc(s->bytes, by->len);
    memcpy(s->bytes, by->bytes, by->len);
    s->len = by->len;
}

static void remember(struct world *w)
{
    struct stored *s = any_document(w);

    if (!s || w->n_old == OLD)
        return;
    w->old[w->n_old] = *s;
    w->old[w->n_old].bytes = NULL;
    set_bytes(&w->old[w->n_old++], s);
}

static void break_state(struct world *w)
{
    const struct stored *old = w->n_old ? &w->old[below(&w->r, (uint32_t)w->n_old)] : NULL;
    struct stored *s = any_document(w);
    size_t i;

    w->broken = true;
    n_broken++;
    switch (below(&w->r, 5)) {
    case 0: /* a bit */
        if (s)
            s->bytes[below(&w->r, (uint32_t)s->len)] ^= (uint8_t)(1 << below(&w->r, 8));
        break;
    case 1: /* a document or a note is lost */
        if (w->m.n)
            stored_free(&w->m, below(&w->r, (uint32_t)w->m.n));
        break;
    case 2: /* an older one */
        i = old ? stored_newest(&w->m, old->kind, old->key) : SIZE_MAX;
        if (i != SIZE_MAX)
            set_bytes(&w->m.at[i], old);
        break;
    case 3: /* cut off */
        if (s)
            s->len = below(&w->r, (uint32_t)s->len);
        break;
    default: /* all of it */
        memory_store_clear(&w->m);
    }
}

static void check_end(const struct world *w)
{
    for (int64_t id = 1; id <= IDS; id++)
        if (memcmp(&w->destination[id], &w->message[id], sizeof w->message[id]) != 0)
            fail_msg("%lld at the destination: content %u edited %u reactions %u; is %u %u %u",
                     (long long)id, w->destination[id].content, w->destination[id].edit_date,
                     w->destination[id].reactions, w->message[id].content,
                     w->message[id].edit_date, w->message[id].reactions);
}

static void run_seed(struct world *w)
{
    uint32_t deadly, breaking;

    memset(w, 0, sizeof *w);
    w->r.state = seed;
    memory_store_init(&w->m, &w->r);
    tg_arena_init(&w->arena, 16 << 20);
    w->changes = 1 + below(&w->r, chance(&w->r, 50) ? 60 : 600);
    w->hidden = below(&w->r, chance(&w->r, 50) ? 5 : 50);
    w->silent = below(&w->r, 80);
    w->kinds = 2 + below(&w->r, 2);
    deadly = below(&w->r, 80);
    breaking = chance(&w->r, 40) ? below(&w->r, 40) : 0;
    for (uint32_t n = below(&w->r, 300); n; n--)
        happen(w);
    for (uint32_t n = 1 + below(&w->r, 8); n; n--) {
        w->disturbed = chance(&w->r, 60);
        w->m.kill_in = chance(&w->r, deadly) ? (int64_t)below(&w->r, 40) : -1;
        run(w);
        remember(w);
        if (chance(&w->r, breaking))
            break_state(w);
        happen_some(w, w->changes);
    }
    w->disturbed = false;
    w->m.kill_in = -1;
    run(w);
    assert_false(w->broken);
    for (size_t i = 0; i < TG_CHANGES; i++)
        seen[i] += w->stats.n[i];
    /* what was cut off is finished first; then all is compared */
    run(w);
    check_end(w);
    w->stats = (struct tg_compare_stats){ 0 };
    run(w); /* and then there is nothing to do */
    assert_int_equal(w->stats.changes_detected, 0);
    check_end(w);
}

static void clear(struct world *w)
{
    memory_store_done(&w->m);
    while (w->n_old)
        free(w->old[--w->n_old].bytes);
    tg_compare_done(&w->compare);
    tg_arena_done(&w->arena);
}

static void the_destination_equals_the_world(void **state)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;
    struct world *w = malloc(sizeof *w);

    (void)state;
    assert_non_null(w);
    seed = one ? strtoull(one, NULL, 10) : 1;
    for (uint64_t end = one ? seed + 1 : n + 1; seed < end; seed++) {
        run_seed(w);
        clear(w);
    }
    free(w);
    seed = 0;
    for (size_t i = 0; i < TG_CHANGES; i++)
        print_message("%llu %s, ", (unsigned long long)seen[i], tg_change_name[i]);
    print_message("%llu runs, %llu killed, state broken %llu times, doubted %llu times\n",
                  (unsigned long long)n_runs, (unsigned long long)n_kills,
                  (unsigned long long)n_broken, (unsigned long long)n_doubts);
}

static int tell_seed(void **state)
{
    (void)state;
    if (seed)
        print_error("seed %llu: TG_SEED=%llu repeats it\n", (unsigned long long)seed,
                    (unsigned long long)seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_destination_equals_the_world, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
