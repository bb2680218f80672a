/* SPDX-License-Identifier: MIT */
/*
 * taker_up.c - a chat is taken up: its checkpoint, and where its destination stands
 *
 *   pattern checked -> lease -> checkpoint -> destination attached -> checkpoint brought there
 *
 * Threads: the taker's
 */
#include "etl/change_journal.h"
#include "etl/taker_impl.h"

static const char *kind_of(const struct tg_taker_chat *c)
{
    return c->fallback ? TG_CHECKPOINT_FALLBACK : TG_CHECKPOINT_LIVE;
}

tg_code tg_taker_save(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    tg_code code;

    c->checkpoint.fence = c->fence;
    code = tg_checkpoint_save(t->store, kind_of(c), c->job, &c->checkpoint, t->unix_us(), err);
    /* Only who has the lease writes it: this run slept between the commit and here. */
    return code == TG_CONFLICT ? tg_taker_taken_over(t, c, err) : code;
}

static bool same_commit(const struct tg_commit *a, const struct tg_commit *b)
{
    return a->seq == b->seq && a->cursor.segment == b->cursor.segment &&
           a->cursor.id == b->cursor.id && a->cursor.owner == b->cursor.owner &&
           a->rows_total == b->rows_total &&
           a->complete == b->complete;
}

/* Whoever took a fallback's rows away has no use for them: the next go on behind all the same. */
static void go_on_without(struct tg_taker_chat *c)
{
    c->next = (struct tg_commit){ .cursor = c->checkpoint.commit.cursor };
}

/* The destination's own last commit decides; the checkpoint is brought to it. */
tg_code tg_taker_bring_up(struct tg_taker *t, struct tg_taker_chat *c, int64_t chat_id,
                          struct tg_error *err)
{
    const struct tg_sink *sink = c->sink;
    struct tg_checkpoint *stored = &c->checkpoint;
    struct tg_commit there[TG_SEVERAL_MAX];
    struct tg_fence fence;
    tg_code code = tg_taker_renew(t, err);
    bool moved;

    if (chat_id == TG_CHAT_CHANGES && tg_several_n(sink) > 1) {
        /* killed between two of them, one would have changes that no run sees again */
        tg_fail(err, TG_USAGE, "changes go to one destination");
        return tg_hint(err, "run a job with a --job name of its own for each");
    }
    stored->commit.cursor.chat_id = c->next.cursor.chat_id = chat_id;
    if (code == TG_OK)
        code = tg_checkpoint_check_pattern(t->store, c->job->job, chat_id, err);
    if (code == TG_OK)
        code = tg_taker_lease_chat(t, c, err);
    fence = (struct tg_fence){ c->fence, t->nonce };
    if (code == TG_OK)
        code = tg_checkpoint_load(t->store, kind_of(c), c->job, chat_id, stored, err);
    if (code != TG_OK && code != TG_END)
        return code;
    if (sink && tg_taker_tell_streams(c, err) != TG_OK)
        return err->code;
    if (tg_sink_remembers(sink))
        code = tg_taker_attach(t, c, &fence, err);
    else
        c->next = stored->commit;
    if (c->fallback && code == TG_END) {
        go_on_without(c);
    } else if (code == TG_OK || code == TG_END) {
        tg_taker_where(c, there);
        code = tg_taker_check_behind(t, stored, there, err);
    }
    if (code == TG_OK)
        code = tg_taker_note_each(c, err);
    if (code != TG_OK && code != TG_END)
        return code;
    if (chat_id == TG_CHAT_CHANGES && t->journals &&
        tg_change_journal_cut(t->store, c->job->job, c->next.seq, c->fence, err) != TG_OK)
        return err->code;
    moved = sink && (!stored->to || strcmp(stored->to, t->job->to) != 0);
    if (moved || !same_commit(&stored->commit, &c->next)) {
        stored->commit = c->next;
        code = c->next.seq ? tg_taker_save(t, c, err) : TG_OK; /* killed before it, or moved */
    }
    return code == TG_END ? TG_OK : code;
}
