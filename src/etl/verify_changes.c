/* SPDX-License-Identifier: MIT */
/*
 * verify_changes.c - a job of changes against the server: is each message at the destination as the
 *                    server has it, and gone there if it is gone?
 *
 * The destination is read as a whole, then the history of each chat. Meanwhile the world goes on,
 * and perhaps the job does, so what differs is only *suspected*. Some rounds follow: wait, read the
 * destination again for the suspects, ask the server for them by id. One that is the same on both
 * sides, before or after the asking, is cleared. Where nobody delivers anything one round settles
 * it. What is left differs:
 *
 *   missing     the server has it, the destination never had it, or says that it was deleted
 *   stale       both have it, with another content, edit date or reactions
 *   undeleted   the destination alone has it
 *
 * What a job owes: a chat that was read to begin with (rows that tell of no change) as a whole;
 * else only what is newer than the first message that came as new.
 *
 * Threads: one at a time      Limits: see verify_messages.h
 */
#include <stdlib.h>

#include "etl/verify_impl.h"
#include "etl/verify_messages.h"
#include "telegram/message_file.h"

enum { ROWS = 1000, ROUNDS = 3, FIRST_WAIT_MS = 1000 };

struct place {
    int64_t id;
    uint32_t chat;
};

struct owed {
    bool read;       /* rows of it tell of no change */
    bool failed;     /* the server could not be asked */
    int64_t new_from; /* the first that came as new */
};

struct changes {
    struct verify_job *v;
    struct tg_sink sink;
    struct place *place;            /* chats by id */
    struct owed *owed;              /* as v->target */
    bool any_read;                  /* of any chat */
    struct verify_messages there;   /* at the destination; in rounds, of suspects only */
    struct verify_messages suspect; /* as the server has them */
    struct verify_messages answer;  /* of one question by ids */
    bool in_round, no_memory;
    int64_t last_seq;               /* of the rows so far */
    uint32_t chat;                  /* whose messages the server tells */
    struct tg_error offline;        /* why the server is not asked any longer; code OK: it is */
};

/* ---- the destination ---- */

static int by_chat_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* @return NULL: the job does not watch it */
static const struct place *place_of(const struct changes *c, int64_t chat_id)
{
    const struct place wanted = { .id = chat_id };

    return bsearch(&wanted, c->place, c->v->n, sizeof wanted, by_chat_id);
}

static void note(struct changes *c, const struct tg_row *row, uint32_t chat)
{
    struct owed *o = &c->owed[chat];

    if (!(row->present & TG_ROW_BIT(change)))
        o->read = c->any_read = true;
    else if (tg_str_eq(row->change, TG_STR("new")))
        o->new_from = TG_MIN(o->new_from, row->id);
    c->v->info[chat].duplicates += row->change_seq <= c->last_seq;
}

static tg_code on_rows(void *ctx, struct tg_batch *batch, struct tg_error *err)
{
    struct changes *c = ctx;

    for (size_t i = 0; i < batch->n; i++) {
        const struct tg_row *row = &batch->row[i];
        const struct place *place = place_of(c, row->chat_id);
        struct verify_message m;

        if (!place || !verify_message_of(row, place->chat, &m))
            continue;
        if (!c->in_round)
            note(c, row, place->chat);
        c->last_seq = row->change_seq;
        if (c->in_round && !verify_messages_find(&c->suspect, m.chat, m.id))
            continue;
        if (!verify_messages_put(&c->there, &m))
            return tg_fail(err, TG_NOMEM, "no memory for the messages of a destination");
    }
    return TG_OK;
}

static tg_code read_destination(struct changes *c, struct tg_error *err)
{
    const struct tg_cursor from = { .chat_id = TG_CHAT_CHANGES };
    struct tg_batch *batch = tg_batch_new(ROWS);
    tg_code code;

    if (!batch)
        return tg_fail(err, TG_NOMEM, "no memory to read rows");
    c->there.n = 0;
    c->last_seq = 0;
    code = c->sink.ops->read(c->sink.self, TG_CHAT_CHANGES, &from, batch, on_rows, c, err);
    tg_batch_free(batch);
    verify_messages_settle(&c->there);
    return code == TG_END ? TG_OK : code;
}

/* ---- the server ---- */

static bool is_owed(const struct changes *c, const struct verify_message *m)
{
    const struct owed *o = &c->owed[m->chat];
    size_t first = verify_messages_from(&c->there, m->chat, 0);
    bool nothing = first == c->there.n || c->there.at[first].chat != m->chat;

    return o->read || m->id >= o->new_from || (nothing && c->any_read);
}

static void on_message(void *ctx, const struct tg_row *row)
{
    struct changes *c = ctx;
    struct tg_verify_info *info = &c->v->info[c->chat];
    struct verify_message *there, m;

    if (!verify_message_of(row, c->chat, &m))
        return;
    info->server_count++;
    info->server_top = TG_MAX(info->server_top, row->id);
    there = verify_messages_find(&c->there, c->chat, row->id);
    if (there)
        there->met = true;
    if ((there || is_owed(c, &m)) && !verify_message_same(there, &m))
        c->no_memory |= !verify_messages_put(&c->suspect, &m);
}

static void on_unreadable(void *ctx, int64_t id)
{
    struct changes *c = ctx;
    struct verify_message *there = verify_messages_find(&c->there, c->chat, id);

    if (there)
        there->met = true;
}

/* What only the destination has. */
static void count_there(struct changes *c)
{
    struct tg_verify_info *info = &c->v->info[c->chat];

    info->rows = 0;
    for (size_t i = verify_messages_from(&c->there, c->chat, 0);
         i < c->there.n && c->there.at[i].chat == c->chat; i++) {
        struct verify_message gone = { .chat = c->chat, .id = c->there.at[i].id, .gone = true };

        if (c->there.at[i].gone)
            continue;
        info->rows++;
        if (!c->there.at[i].met)
            c->no_memory |= !verify_messages_put(&c->suspect, &gone);
    }
}

/* Failures that end the whole check; and those that the next chat would meet as well. */
static bool ends_all(tg_code code)
{
    return code == TG_CANCELLED || code == TG_NOMEM;
}

static bool ends_asking(tg_code code)
{
    return tg_code_type(code) == TG_TYPE_NETWORK || code == TG_AUTH;
}

/* @return TG_OK, also with a failure that concerns this chat */
static tg_code failed(struct changes *c, uint32_t chat, const struct tg_error *why,
                      struct tg_error *err)
{
    if (ends_asking(why->code))
        c->offline = *why;
    c->owed[chat].failed = true;
    c->v->failure[chat] = *why;
    c->v->info[chat].failure = &c->v->failure[chat];
    if (ends_all(why->code))
        *err = *why;
    return ends_all(why->code) ? why->code : TG_OK;
}

static tg_code read_chat(struct changes *c, struct tg_error *err)
{
    const struct verify_taker taker = { c, on_message, on_unreadable };
    struct tg_verify_info *info = &c->v->info[c->chat];
    struct tg_error why = c->offline;
    tg_code code = why.code;

    info->server_count = 0;
    if (code == TG_OK)
        code = verify_read(c->v->account, info->chat_id, NULL, &taker, &why);
    if (code != TG_OK) {
        info->server_count = -1;
        return failed(c, c->chat, &why, err);
    }
    count_there(c);
    return TG_OK;
}

/* ---- suspects ---- */

/* Drops those that are cleared, and those of chats that cannot be asked for. */
static void drop_met(struct changes *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->suspect.n; i++)
        if (!c->suspect.at[i].met && !c->owed[c->suspect.at[i].chat].failed)
            c->suspect.at[n++] = c->suspect.at[i];
    c->suspect.n = n;
}

static void clear_same(struct changes *c, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        struct verify_message *s = &c->suspect.at[i];

        s->met |= verify_message_same(verify_messages_find(&c->there, s->chat, s->id), s);
    }
}

static void on_answer(void *ctx, const struct tg_row *row)
{
    struct changes *c = ctx;
    struct verify_message m;

    if (verify_message_of(row, c->chat, &m))
        c->no_memory |= !verify_messages_put(&c->answer, &m);
}

static void on_unreadable_suspect(void *ctx, int64_t id)
{
    struct changes *c = ctx;
    struct verify_message *s = verify_messages_find(&c->suspect, c->chat, id);

    if (s)
        s->met = true;
}

/* Asks for suspects from..to, all of one chat. */
static tg_code ask(struct changes *c, size_t from, size_t to, struct tg_error *err)
{
    const struct verify_taker taker = { c, on_answer, on_unreadable_suspect };
    int32_t id[TG_MESSAGES_ASKED];
    const struct verify_ids ids = { id, to - from };
    struct tg_error why = c->offline;
    tg_code code = why.code;

    c->chat = c->suspect.at[from].chat;
    for (size_t i = from; i < to; i++)
        id[i - from] = c->suspect.at[i].id;
    c->answer.n = 0;
    if (code == TG_OK)
        code = verify_read(c->v->account, c->v->target[c->chat].id, &ids, &taker, &why);
    if (code != TG_OK)
        return failed(c, c->chat, &why, err);
    verify_messages_settle(&c->answer);
    for (size_t i = from; i < to; i++) {
        struct verify_message *s = &c->suspect.at[i];
        const struct verify_message *now = verify_messages_find(&c->answer, s->chat, s->id);
        bool met = s->met;

        *s = now ? *now : (struct verify_message){ .chat = s->chat, .id = s->id, .gone = true };
        s->met = met;
    }
    clear_same(c, from, to);
    return TG_OK;
}

static tg_code ask_all(struct changes *c, struct tg_error *err)
{
    tg_code code = TG_OK;
    size_t to;

    for (size_t from = 0; code == TG_OK && from < c->suspect.n; from = to) {
        for (to = from + 1; to < c->suspect.n && to - from < TG_MESSAGES_ASKED &&
                            c->suspect.at[to].chat == c->suspect.at[from].chat;)
            to++;
        code = ask(c, from, to, err);
    }
    return code;
}

static tg_code look_again(struct changes *c, struct tg_error *err)
{
    tg_code code;

    c->in_round = true;
    code = read_destination(c, err);
    c->in_round = false;
    if (code != TG_OK)
        return code;
    clear_same(c, 0, c->suspect.n);
    drop_met(c);
    code = ask_all(c, err);
    drop_met(c);
    return code;
}

static tg_code last_seq(const struct changes *c, uint64_t *ret, struct tg_error *err)
{
    struct tg_commit last = { 0 };
    tg_code code = tg_sink_last(&c->sink, TG_CHAT_CHANGES, &last, err);

    *ret = last.seq;
    return code == TG_END ? TG_OK : code;
}

/* @param seq  the destination's last commit when it was first read */
static tg_code settle(struct changes *c, uint64_t seq, struct tg_error *err)
{
    tg_code code = TG_OK;
    uint64_t now = seq;

    verify_messages_settle(&c->suspect);
    drop_met(c);
    for (int i = 0; code == TG_OK && i < ROUNDS && c->suspect.n && (i == 0 || now != seq); i++) {
        code = verify_wait(c->v->account, (int64_t)FIRST_WAIT_MS << i, err);
        if (code == TG_OK)
            code = last_seq(c, &now, err);
        if (code == TG_OK)
            code = look_again(c, err);
    }
    return code;
}

static void tell_suspects(struct changes *c)
{
    for (size_t i = 0; i < c->suspect.n; i++) {
        const struct verify_message *s = &c->suspect.at[i];
        const struct verify_message *there = verify_messages_find(&c->there, s->chat, s->id);
        struct tg_verify_info *info = &c->v->info[s->chat];

        if (s->gone)
            info->undeleted++;
        else if (!there || there->gone)
            info->missing++;
        else
            info->stale++;
        if (!info->wrong_id)
            info->wrong_id = s->id;
    }
}

/* ---- one destination ---- */

static tg_code check(struct changes *c, uint64_t seq, struct tg_error *err)
{
    tg_code code = read_destination(c, err);

    for (uint32_t i = 0; code == TG_OK && i < c->v->n; i++) {
        c->chat = i;
        code = read_chat(c, err);
        if (code == TG_OK && c->no_memory)
            code = tg_fail(err, TG_NOMEM, "no memory for messages that differ");
    }
    if (code == TG_OK)
        code = settle(c, seq, err);
    if (code == TG_OK && c->no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for messages that differ");
    if (code == TG_OK)
        tell_suspects(c);
    return code;
}

static tg_code open_tables(struct changes *c, struct tg_error *err)
{
    size_t n = c->v->n;

    c->place = calloc(n + 1, sizeof *c->place);
    c->owed = calloc(n + 1, sizeof *c->owed);
    if (!c->place || !c->owed)
        return tg_fail(err, TG_NOMEM, "no memory for the list of chats");
    for (uint32_t i = 0; i < n; i++) {
        c->place[i] = (struct place){ c->v->target[i].id, i };
        c->owed[i].new_from = INT64_MAX;
    }
    qsort(c->place, n, sizeof *c->place, by_chat_id);
    return TG_OK;
}

static tg_code check_one(struct verify_job *v, const struct tg_checkpoint_each *each,
                         struct tg_error *err)
{
    const struct tg_sink_env env = verify_env(v->job);
    struct changes c = { .v = v };
    struct tg_commit last = { 0 };
    tg_code code = verify_open(&env, each->to, &c.sink, err);

    if (code != TG_OK)
        return code;
    if (!c.sink.ops->read) {
        tg_fail(err, TG_UNSUPPORTED, "rows of %.100s cannot be read again",
                tg_sink_shown(each->to).text);
        code = tg_hint(err, "count them there, by chat, id and change_seq");
    }
    if (code == TG_OK)
        code = tg_sink_last(&c.sink, TG_CHAT_CHANGES, &last, err);
    code = code == TG_END ? TG_OK : code;
    if (code == TG_OK && last.seq < each->commit.seq)
        code = verify_behind(&last, &each->commit, tg_sink_shown(each->to).text, err);
    if (code == TG_OK)
        code = open_tables(&c, err);
    if (code == TG_OK)
        code = check(&c, last.seq, err);
    tg_sink_close(&c.sink);
    verify_messages_done(&c.there);
    verify_messages_done(&c.suspect);
    verify_messages_done(&c.answer);
    free(c.place);
    free(c.owed);
    return code;
}

/* Of several each is checked; a stream among them cannot be. */
static tg_code check_each(struct verify_job *v, const struct tg_checkpoint *checkpoint,
                          struct tg_error *err)
{
    tg_code code = TG_OK;
    bool any = false;

    for (size_t i = 0; code == TG_OK && i < checkpoint->n_each; i++) {
        code = check_one(v, &checkpoint->each[i], err);
        if (code == TG_UNSUPPORTED && (any || i + 1 < checkpoint->n_each))
            code = TG_OK;
        else
            any = true;
    }
    return code;
}

tg_code verify_changes(struct verify_job *v, struct tg_error *err)
{
    struct tg_checkpoint checkpoint;
    tg_code code = verify_checkpoint(v->store, v->job, TG_CHAT_CHANGES, &checkpoint, err);
    bool begun = code == TG_OK && checkpoint.commit.seq;

    if (begun)
        code = check_each(v, &checkpoint, err);
    tg_checkpoint_done(&checkpoint);
    for (size_t i = 0; code == TG_OK && i < v->n; i++) {
        struct tg_verify_info *info = &v->info[i];

        info->changes = true;
        info->begun = info->finished = begun;
        info->complete = begun && !info->failure && !info->missing && !info->stale &&
                         !info->undeleted && !info->duplicates;
        code = verify_quarantined(v->store, v->job, info->chat_id, &info->quarantined, err);
    }
    return code;
}
