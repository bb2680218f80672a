/* SPDX-License-Identifier: MIT */
/*
 * change_state.c - what a job of changes remembers against a model, over many seeds
 *
 * Messages of some chats are put, edited and deleted, scans and boxes move, in batches of which a
 * few are under way before the destination commits them. A run ends cleanly, or is killed: at any
 * call of the store, between entry and commit, anywhere. Calls of the store fail, done or not.
 * Between runs the store is damaged (bytes flipped; documents and entries lost, exchanged, put back
 * as they were; all of it an older backup), the destination goes back to an older commit, or other
 * fields are compared.
 *
 *   after an opening at commit n the state equals the model at commit n, if nothing was damaged
 *   else all that it says it knows equals the model; the rest is told to be unknown
 *   what was put is seen at once
 *   once doubted chats were scanned, and the run ended cleanly, all is exact again
 *
 * TG_SEED=N runs one seed alone, TG_SEEDS=N so many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/row.h"
#include "etl/change_journal.h"
#include "etl/change_note.h"
#include "etl/change_state.h"
#include "tests/memory_store.h"

enum { SEEDS = 500, IDS = 3000, CHATS = 4, BOXES = 2, FLIGHT = 4, OLD = 8 };

static uint64_t seed;
static uint64_t n_opens, n_kills, n_damages, n_doubts, n_chat_doubts, n_exact, n_back, n_compared;

static const struct {
    int64_t id, owner;
} chats[CHATS] = { { -1000000000002, 0 }, { -1000000000001, 0 }, { 55, 7 }, { 56, 7 } };
static const int64_t channels[BOXES] = { 0, 1 };

/* ---- the model ---- */

struct model {
    struct {
        bool there;
        struct tg_change_scan scan;
        struct tg_signature message[IDS + 1]; /* id 0: none */
    } chat[CHATS];
    struct {
        bool there;
        struct tg_update_state at;
    } box[BOXES];
};

struct said {
    uint64_t seq;
    struct tg_change_item item;
};

struct world {
    struct random r;
    struct memory_store m, backup;
    bool have_backup;
    struct said *said; /* by commit; more than the destination has */
    size_t n_said, cap_said;
    struct model now;  /* with all that was said */
    struct model then; /* at commit n */
    uint64_t n, fence, fields;
    struct tg_change_state *st;
    struct { /* entries under way, the oldest first */
        uint64_t seq;
        struct tg_str note;
    } flight[FLIGHT];
    size_t n_flight;
    struct tg_arena arena;
    struct stored old[OLD];
    size_t n_old;
    int64_t ids;
    bool tainted; /* the store was damaged */
    bool disturbed; /* what runs now */
    int64_t now_us;
};

static void model_apply(struct model *m, const struct tg_change_item *item)
{
    int64_t id = item->signature.id;
    size_t c = 0;

    if (item->kind == TG_CHANGE_ITEM_BOX || item->kind == TG_CHANGE_ITEM_NO_BOX) {
        while (channels[c] != item->chat)
            c++;
        m->box[c].there = item->kind == TG_CHANGE_ITEM_BOX;
        m->box[c].at = item->box;
        return;
    }
    while (chats[c].id != item->chat)
        c++;
    if (!m->chat[c].there)
        m->chat[c].scan = (struct tg_change_scan){ 0, INT64_MAX, false };
    m->chat[c].there = true;
    if (item->kind == TG_CHANGE_ITEM_SCAN)
        m->chat[c].scan = item->scan;
    else if (item->kind == TG_CHANGE_ITEM_MESSAGE)
        m->chat[c].message[id] = item->signature;
    else
        m->chat[c].message[id].id = 0;
}

/* The model as the destination has it; what was said later is forgotten. */
static void go_back(struct world *w)
{
    while (w->n_said && w->said[w->n_said - 1].seq > w->n)
        w->n_said--;
    memset(&w->now, 0, sizeof w->now);
    for (size_t i = 0; i < w->n_said; i++)
        model_apply(&w->now, &w->said[i].item);
    w->then = w->now;
    w->n_flight = 0;
    tg_arena_clear(&w->arena);
}

/* ---- checks ---- */

#define REQUIRE(ok, what)                                                                          \
    do {                                                                                           \
        if (!(ok))                                                                                 \
            fail_msg("seed %llu: %s (%s:%d)", (unsigned long long)seed, what, __FILE__, __LINE__); \
    } while (0)

static bool same(const struct tg_signature *a, const struct tg_signature *b)
{
    return a->id == b->id && a->edit_date == b->edit_date && a->content == b->content &&
           a->reactions == b->reactions;
}

/* Whether a range is what the model says. */
static bool equals(const struct model *m, size_t c, struct tg_signatures s, int64_t from,
                   int64_t to)
{
    size_t k = 0;

    while (k < s.n && s.at[k].id < from)
        k++;
    for (int64_t id = from; id <= to && id <= IDS; id++) {
        const struct tg_signature *want = &m->chat[c].message[id];
        bool there = k < s.n && s.at[k].id == id;

        if (there != (want->id != 0) || (there && !same(&s.at[k], want)))
            return false;
        k += there;
    }
    return k == s.n || s.at[k].id > to;
}

/* All of a chat, read window by window. @return false: the store failed */
static bool check_messages(struct world *w, const struct model *m, size_t c)
{
    struct tg_error err;

    for (int64_t from = 1, to; from <= IDS; from = to + 1) {
        struct tg_signatures s;
        bool known;

        to = chance(&w->r, 20) ? from + below(&w->r, 500) : TG_WINDOW_ID_MAX;
        if (tg_change_range(w->st, chats[c].id, from, &to, &s, &known, &err) != TG_OK) {
            REQUIRE(err.code == TG_STATE, err.message);
            if (w->m.dead)
                return false;
            to = from - 1; /* again */
            continue;
        }
        REQUIRE(to >= from && tg_signatures_valid(s) && s.n <= TG_WINDOW_MAX, "a valid range");
        REQUIRE(s.from <= from && s.to >= to, "a range around what is asked");
        if (known || !w->tainted)
            REQUIRE(equals(m, c, s, from, to), "the messages of the model");
        n_compared += known;
    }
    return true;
}

static bool check_chat(struct world *w, const struct model *m, size_t c)
{
    struct tg_change_chat chat;
    bool there = tg_change_chat(w->st, chats[c].id, &chat);

    if (!w->tainted) {
        REQUIRE(there == m->chat[c].there, "the chats of the model");
        REQUIRE(!there || !chat.doubted, "no doubt");
    }
    if (!there)
        return true;
    REQUIRE(chat.owner == chats[c].owner, "its owner");
    if (!check_messages(w, m, c))
        return false;
    tg_change_chat(w->st, chats[c].id, &chat);
    REQUIRE(!chat.doubted || (!chat.scanned && !chat.scanned_to && chat.scan_end == INT64_MAX),
            "a doubted chat is unknown");
    if (!w->tainted)
        REQUIRE(chat.scanned_to == m->chat[c].scan.to && chat.scan_end == m->chat[c].scan.end &&
                    chat.scanned == m->chat[c].scan.scanned, "the scan of the model");
    n_chat_doubts += chat.doubted;
    return true;
}

static void check_boxes(struct world *w, const struct model *m)
{
    for (size_t b = 0; b < BOXES; b++) {
        struct tg_update_state at;
        bool there = tg_change_box(w->st, channels[b], &at);

        if (!w->tainted)
            REQUIRE(there == m->box[b].there, "the boxes of the model");
        if (there)
            REQUIRE(m->box[b].there && memcmp(&at, &m->box[b].at, sizeof at) == 0,
                    "the state of a box");
    }
}

/* @return false: killed meanwhile */
static bool check(struct world *w, const struct model *m)
{
    for (size_t c = 0; c < CHATS; c++)
        if (!check_chat(w, m, c))
            return false;
    check_boxes(w, m);
    return true;
}

/* Asks for single ids. */
static void check_some(struct world *w)
{
    size_t c = below(&w->r, CHATS);
    int64_t id = 1 + below(&w->r, (uint32_t)w->ids), found;
    const struct tg_signature *want = &w->now.chat[c].message[id];
    enum tg_change_known known;
    struct tg_signature s;
    struct tg_error err;

    if (tg_change_look(w->st, chats[c].id, id, &known, &s, &err) != TG_OK) {
        REQUIRE(err.code == TG_STATE, err.message);
        return;
    }
    if (known == TG_CHANGE_KNOWN_THERE || !w->tainted)
        REQUIRE(want->id == s.id && (!s.id || same(want, &s)), "what is looked for");
    if (known == TG_CHANGE_KNOWN_ABSENT)
        REQUIRE(!want->id, "one that is absent");
    if (w->tainted || tg_change_find(w->st, id, &found, &err) != TG_OK)
        return;
    for (c = 0; c < CHATS; c++)
        if (chats[c].id == found)
            REQUIRE(chats[c].owner && w->now.chat[c].message[id].id, "a chat with that id");
    for (c = 0; c < CHATS; c++)
        REQUIRE(found || !chats[c].owner || !w->now.chat[c].message[id].id, "the id is found");
}

/* ---- what a run does ---- */

static void say(struct world *w, const struct tg_change_item *item)
{
    if (w->n_said == w->cap_said)
        w->said = realloc(w->said, (w->cap_said = 2 * w->cap_said + 256) * sizeof *w->said);
    w->said[w->n_said++] = (struct said){
        w->n + w->n_flight + 1, *item };
    model_apply(&w->now, item);
}

static void put_message(struct world *w, size_t c, int64_t id)
{
    struct tg_signature s = { id, chance(&w->r, 30) ? 1 + below(&w->r, 1 << 30) : 0, draw(&w->r),
                              chance(&w->r, 20) ? 1 + below(&w->r, 9) : 0 };

    tg_change_put(w->st, chats[c].id, chats[c].owner, &s);
    say(w, &(struct tg_change_item){ TG_CHANGE_ITEM_MESSAGE, chats[c].id, chats[c].owner,
                                     { .signature = s } });
}

static void drop_message(struct world *w, size_t c, int64_t id)
{
    tg_change_drop(w->st, chats[c].id, chats[c].owner, id);
    say(w, &(struct tg_change_item){ TG_CHANGE_ITEM_DELETED, chats[c].id, chats[c].owner,
                                     { .signature = { .id = id } } });
}

static void put_scan(struct world *w, size_t c, struct tg_change_scan scan)
{
    struct tg_change_chat chat;

    tg_change_put_scan(w->st, chats[c].id, chats[c].owner, scan.to, scan.end, scan.scanned);
    REQUIRE(tg_change_chat(w->st, chats[c].id, &chat) && !chat.doubted, "a scan ends a doubt");
    scan.end = chat.scan_end;
    say(w, &(struct tg_change_item){ TG_CHANGE_ITEM_SCAN, chats[c].id, chats[c].owner,
                                     { .scan = scan } });
}

static int64_t newest(const struct world *w, size_t c)
{
    int64_t id = IDS;

    while (id && !w->now.chat[c].message[id].id)
        id--;
    return id;
}

static void put_box(struct world *w)
{
    size_t b = below(&w->r, BOXES);
    struct tg_change_item item = { .chat = channels[b] };

    if (chance(&w->r, 10)) {
        item.kind = TG_CHANGE_ITEM_NO_BOX;
        tg_change_drop_box(w->st, channels[b]);
    } else {
        item.kind = TG_CHANGE_ITEM_BOX;
        item.box.at[0] = (int32_t)below(&w->r, 1 << 30);
        item.box.date = (int32_t)below(&w->r, 1 << 30) - 5;
        tg_change_put_box(w->st, channels[b], &item.box);
    }
    say(w, &item);
}

static void change(struct world *w)
{
    size_t c = below(&w->r, CHATS);
    int64_t id = 1 + below(&w->r, (uint32_t)w->ids);

    switch (below(&w->r, 10)) {
    case 0:
        put_box(w);
        break;
    case 1:
        if (w->tainted) /* no scan may say what it has not done */
            put_scan(w, c, (struct tg_change_scan){ 0, newest(w, c), false });
        else
            put_scan(w, c,
                     (struct tg_change_scan){ id, id + below(&w->r, 500), chance(&w->r, 40) });
        break;
    case 2:
    case 3:
        drop_message(w, c, id);
        break;
    case 4: /* a run of new ones */
        for (uint32_t n = below(&w->r, (uint32_t)w->ids / 4 + 2); n-- && id <= w->ids; id++)
            put_message(w, c, id);
        break;
    default:
        put_message(w, c, id);
    }
}

static void end_entry(struct world *w)
{
    struct tg_error err;
    struct tg_str note;

    if (tg_change_entry_end(w->st, &w->arena, &note, &err) != TG_OK)
        fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
    w->flight[w->n_flight].seq = w->n + w->n_flight + 1;
    w->flight[w->n_flight++].note = note;
}

/* The taker and the destination: the oldest entry. @return false: killed */
static bool commit(struct world *w)
{
    struct tg_change_entry entry = { w->flight[0].seq, w->fence, w->flight[0].note };
    struct tg_error err;
    tg_code code;

    do {
        code = tg_change_journal_append(&w->m.store, "job", &entry, 0, &err);
    } while (code != TG_OK && !w->m.dead);
    if (code != TG_OK || (w->disturbed && chance(&w->r, 1)))
        return false;
    w->n++;
    w->n_flight--;
    memmove(w->flight, w->flight + 1, w->n_flight * sizeof *w->flight);
    if (w->disturbed && chance(&w->r, 1))
        return false;
    if (chance(&w->r, 80))
        tg_change_committed(w->st, w->n);
    return true;
}

/* A scan of a chat that is doubted, as one entry behind the others. */
static void scan_doubted(struct world *w, size_t c)
{
    struct tg_change_chat chat;
    int64_t end;

    put_scan(w, c, (struct tg_change_scan){ 0, newest(w, c), false });
    tg_change_chat(w->st, chats[c].id, &chat);
    end = chat.scan_end;
    for (int64_t id = 1; id <= IDS; id++) {
        struct tg_signature s = w->now.chat[c].message[id];

        if (s.id) {
            tg_change_put(w->st, chats[c].id, chats[c].owner, &s);
            say(w, &(struct tg_change_item){ TG_CHANGE_ITEM_MESSAGE, chats[c].id, chats[c].owner,
                                             { .signature = s } });
        } else {
            drop_message(w, c, id); /* more than a scan would: of hints alone */
        }
    }
    put_scan(w, c, (struct tg_change_scan){ end, end, true });
}

static bool commit_all(struct world *w)
{
    while (w->n_flight)
        if (!commit(w))
            return false;
    tg_change_committed(w->st, w->n);
    return true;
}

static bool scan_all_doubted(struct world *w)
{
    struct tg_change_chat chat;

    for (size_t c = 0; c < CHATS; c++) {
        bool there = tg_change_chat(w->st, chats[c].id, &chat);

        if (!w->tainted || (there ? chat.scanned : !w->now.chat[c].there))
            continue;
        if (!commit_all(w))
            return false;
        if (tg_change_entry_any(w->st))
            end_entry(w);
        scan_doubted(w, c);
        end_entry(w);
    }
    for (size_t b = 0; b < BOXES; b++) { /* boxes that are gone begin anew */
        struct tg_update_state at;

        if (w->now.box[b].there && !tg_change_box(w->st, channels[b], &at)) {
            tg_change_drop_box(w->st, channels[b]);
            say(w, &(struct tg_change_item){ TG_CHANGE_ITEM_NO_BOX, channels[b], 0,
                                             { { { 0 }, 0 } } });
        }
    }
    if (!commit_all(w))
        return false;
    end_entry(w);
    return commit_all(w);
}

static bool batches(struct world *w)
{
    struct tg_error err;

    for (uint32_t n = below(&w->r, 30); n--;) {
        for (uint32_t k = below(&w->r, 20); k--;)
            change(w);
        check_some(w);
        if (w->n_flight == FLIGHT && !commit(w))
            return false;
        end_entry(w);
        while (w->n_flight && chance(&w->r, 50))
            if (!commit(w))
                return false;
        for (uint32_t k = below(&w->r, 3); k--;)
            REQUIRE(tg_change_step(w->st, w->now_us += 2 * TG_SECOND_US, &err) == TG_OK,
                    err.message);
        if (w->m.dead)
            return false;
    }
    return true;
}

/* ---- damage ---- */

static void remember_old(struct world *w)
{
    struct stored *to = &w->old[w->n_old % OLD];
    const struct stored *from;

    if (!w->m.n)
        return;
    from = &w->m.at[below(&w->r, (uint32_t)w->m.n)];
    if (from->log)
        return;
    if (w->n_old++ >= OLD)
        free(to->bytes);
    *to = *from;
    to->bytes = malloc(from->len);
    memcpy(to->bytes, from->bytes, from->len);
}

static void replace_bytes(struct stored *s, const struct stored *by)
{
    uint8_t *bytes = malloc(by->len ? by->len : 1);

    memcpy(bytes, by->bytes, by->len);
    free(s->bytes);
    s->bytes = bytes;
    s->len = by->len;
}

static void flip(struct world *w, struct stored *s)
{
    size_t from = s->log && tg_le64(s->bytes) > w->n ? 16 : 0;

    if (s->len > from)
        s->bytes[from + below(&w->r, (uint32_t)(s->len - from))] ^= (uint8_t)(1 << below(&w->r, 8));
}

static void put_back(struct world *w)
{
    const struct stored *old = &w->old[below(&w->r, (uint32_t)TG_MIN(w->n_old, OLD))];
    size_t i = stored_newest(&w->m, old->kind, old->key);

    if (i != SIZE_MAX)
        replace_bytes(&w->m.at[i], old);
}

static void damage(struct world *w)
{
    size_t i = w->m.n ? below(&w->r, (uint32_t)w->m.n) : 0;
    size_t k = w->m.n ? below(&w->r, (uint32_t)w->m.n) : 0;

    if (!w->m.n)
        return;
    n_damages++;
    w->tainted = true;
    switch (below(&w->r, 6)) {
    case 0:
        flip(w, &w->m.at[i]);
        break;
    case 1:
        stored_free(&w->m, i);
        break;
    case 2: /* all versions */
        for (struct stored gone = w->m.at[i]; (i = stored_newest(&w->m, gone.kind, gone.key)) !=
                                              SIZE_MAX && !gone.log;)
            stored_free(&w->m, i);
        break;
    case 3:
        if (w->m.at[i].log == w->m.at[k].log)
            replace_bytes(&w->m.at[i], &w->m.at[k]);
        break;
    case 4:
        if (w->n_old)
            put_back(w);
        break;
    default:
        if (w->have_backup)
            memory_store_copy(&w->m, &w->backup);
    }
}

/* ---- a run ---- */

static bool open_state(struct world *w, size_t memory)
{
    struct tg_error err;
    tg_code code;

    do {
        code = tg_change_state_open(
            &(struct tg_change_state_options){ .store = &w->m.store, .job = "job",
                                               .fields = w->fields, .commit_seq = w->n,
                                               .fence = ++w->fence, .memory_max = memory,
                                               .journal_max = 1 + below(&w->r, 20000) },
            &w->st, &err);
        REQUIRE(code == TG_OK || code == TG_STATE || (code == TG_CONFLICT && w->m.shaky),
                code == TG_OK ? "" : err.message);
    } while (code != TG_OK && !w->m.dead);
    if (code != TG_OK)
        return false;
    do {
        code = tg_change_journal_cut(&w->m.store, "job", w->n, w->fence, &err);
    } while (code != TG_OK && !w->m.dead);
    return code == TG_OK;
}

static bool close_state(struct world *w)
{
    struct tg_error err;
    tg_code code;

    do {
        code = tg_change_state_close(w->st, 0, &err);
    } while (code != TG_OK && !w->m.dead);
    return code == TG_OK;
}

/* Between two runs. */
static void meanwhile(struct world *w)
{
    if (chance(&w->r, 8) && w->n) { /* the destination goes back */
        uint32_t commits = 1 + below(&w->r, 20);

        w->n -= TG_MIN(w->n, commits);
        w->tainted = true;
        w->have_backup = false;
        n_back++;
    }
    if (chance(&w->r, 5)) {
        w->fields ^= TG_ROW_BIT(views);
        w->tainted = true;
    }
    if (chance(&w->r, 30))
        damage(w);
    go_back(w);
}

static void run(struct world *w, bool disturbed)
{
    bool ok, late = disturbed && chance(&w->r, 30); /* damage is found while it runs */

    w->disturbed = disturbed;
    w->m.dead = false;
    w->m.kill_in = disturbed && chance(&w->r, 50) ? (int64_t)below(&w->r, 200) : -1;
    w->m.shaky = disturbed && chance(&w->r, 20) ? 5 : 0;
    n_opens++;
    n_exact += !w->tainted;
    ok = open_state(w, 1 + below(&w->r, 60000));
    if (ok && tg_change_doubt(w->st)) {
        n_doubts++;
        REQUIRE(w->tainted, tg_change_doubt(w->st));
    }
    ok = ok && (late || check(w, &w->then));
    if (ok && chance(&w->r, 20) && !w->n_flight) {
        memory_store_copy(&w->backup, &w->m);
        w->have_backup = true;
    }
    ok = ok && (!disturbed || batches(w));
    if (ok && (!disturbed || chance(&w->r, 50)))
        ok = check(w, &w->now) && scan_all_doubted(w);
    if (ok && chance(&w->r, 50))
        ok = check(w, &w->now);
    remember_old(w);
    if (ok && (!disturbed || chance(&w->r, 60))) {
        ok = check(w, &w->now) && scan_all_doubted(w) && close_state(w);
        w->tainted &= !ok;
    } else {
        n_kills++;
    }
    tg_change_state_free(w->st);
    w->st = NULL;
    go_back(w);
    REQUIRE(disturbed || ok, "a run that nothing disturbs ends well");
}

static void run_seed(uint64_t n)
{
    static struct world w;

    seed = n;
    memset(&w, 0, sizeof w);
    w.r.state = n;
    w.ids = chance(&w.r, 30) ? IDS : 50;
    w.fields = TG_SIGNATURE_FIELDS;
    memory_store_init(&w.m, &w.r);
    memory_store_init(&w.backup, &w.r);
    tg_arena_init(&w.arena, 64 << 20);
    for (uint32_t runs = 2 + below(&w.r, 8); runs--;) {
        meanwhile(&w);
        run(&w, true);
    }
    run(&w, false);
    REQUIRE(!w.tainted, "all is exact in the end");
    run(&w, false);
    memory_store_done(&w.m);
    memory_store_done(&w.backup);
    tg_arena_done(&w.arena);
    for (size_t i = 0; i < TG_MIN(w.n_old, OLD); i++)
        free(w.old[i].bytes);
    free(w.said);
}

static void test_model(void **state)
{
    const char *one = getenv("TG_SEED"), *many = getenv("TG_SEEDS");
    uint64_t n = many ? strtoull(many, NULL, 10) : SEEDS;

    (void)state;
    if (one) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t i = 1; i <= n; i++)
        run_seed(i);
    print_message("%llu openings, %llu exact; %llu kills, %llu damages, %llu times back; %llu "
                  "doubts of all, %llu of chats; %llu known ranges compared\n",
                  (unsigned long long)n_opens, (unsigned long long)n_exact,
                  (unsigned long long)n_kills, (unsigned long long)n_damages,
                  (unsigned long long)n_back, (unsigned long long)n_doubts,
                  (unsigned long long)n_chat_doubts, (unsigned long long)n_compared);
    assert_true(n < 100 || (n_doubts && n_chat_doubts && n_exact && n_kills));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_model) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
