/* SPDX-License-Identifier: MIT */
/*
 * taker_behind.c - whether destinations have what was delivered to them
 *
 * A destination that lacks what was delivered is not quietly filled again: whoever took the rows
 * away, or mistyped --to, would get a series with a hole or a second series. The same holds for one
 * that is added to a job; one that is left out is forgotten with the next checkpoint.
 *
 * The checkpoint tells for each of several destinations where it stands, in its own numbers.
 */
#include "etl/taker_impl.h"

static tg_code check_one(const struct tg_taker *t, const struct tg_checkpoint *stored, size_t i,
                         const struct tg_commit *there, struct tg_error *err)
{
    const char *to = tg_job_to(t->job, i);
    const struct tg_commit *delivered = tg_checkpoint_of(stored, to);
    uint64_t wanted = delivered ? delivered->rows_total : stored->commit.rows_total;
    long long chat_id = stored->commit.cursor.chat_id;

    if (!stored->commit.rows_total)
        return TG_OK;
    if (tg_sink_remembers(tg_several_part(t->sink, i)) ? there->rows_total >= wanted
                                                       : delivered != NULL)
        return TG_OK; /* a commit without rows may have left no trace */
    if (!delivered) {
        tg_fail(err, TG_USAGE, "job '%s' delivered chat %lld to %.120s, not to %.60s", t->job->job,
                chat_id, stored->to ? stored->to : "a callback", to);
        return tg_hint(err, "go on with that --to; or start a new series with another --job name");
    }
    tg_fail(err, TG_GAP, "%.100s holds %llu messages of chat %lld, but %llu were delivered there",
            to, (unsigned long long)there->rows_total, chat_id, (unsigned long long)wanted);
    return tg_hint(err, "put back what is missing, or extract it anew: tgdata checkpoints rollback "
                        "--number 0 --job %s --state %.60s -- %lld",
                   t->job->job, t->job->state, chat_id);
}

tg_code tg_taker_check_behind(const struct tg_taker *t, const struct tg_checkpoint *stored,
                              const struct tg_commit *there, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && t->sink && i < tg_several_n(t->sink); i++)
        code = check_one(t, stored, i, &there[i], err);
    return code;
}

tg_code tg_taker_stand(struct tg_taker *t, const struct tg_job_chat *chat,
                       struct tg_commit *ret, struct tg_error *err)
{
    const struct tg_extract_settings *job = chat->settings ? chat->settings : t->job;
    struct tg_checkpoint stored = { 0 };
    struct tg_commit there[TG_SEVERAL_MAX] = { 0 };
    size_t n = t->sink ? tg_several_n(t->sink) : 0;
    tg_code code = tg_checkpoint_load(t->store, TG_CHECKPOINT_LIVE, job, chat->id, &stored, err);

    for (size_t i = 0; (code == TG_OK || (code == TG_END && stored.commit.seq)) && i < n; i++)
        if (tg_sink_remembers(tg_several_part(t->sink, i)))
            code = tg_taker_last_commit(t, tg_several_part(t->sink, i), chat->id, &there[i], err);
    if (code == TG_OK || (code == TG_END && stored.commit.seq))
        code = tg_taker_check_behind(t, &stored, there, err);
    *ret = n == 1 && there[0].seq > stored.commit.seq ? there[0] : stored.commit;
    tg_checkpoint_done(&stored);
    return code == TG_END ? TG_OK : code;
}

tg_code tg_taker_tell_streams(const struct tg_taker_chat *c, struct tg_error *err)
{
    for (size_t i = 0; i < tg_several_n(c->sink); i++) {
        const struct tg_commit *at = tg_checkpoint_of(&c->checkpoint, tg_job_to(c->job, i));

        if (tg_several_n(c->sink) > 1 && !tg_sink_remembers(tg_several_part(c->sink, i)) &&
            !tg_several_stands(c->sink, i, at ? at : &c->checkpoint.commit))
            return tg_fail(err, TG_NOMEM, "no memory for a chat");
    }
    return TG_OK;
}

void tg_taker_where(const struct tg_taker_chat *c, struct tg_commit there[TG_SEVERAL_MAX])
{
    size_t n = c->sink ? tg_several_n(c->sink) : 0;

    there[0] = c->next;
    for (size_t i = 0; n > 1 && i < n; i++)
        there[i] = tg_several_last(c->sink, i, c->next.cursor.chat_id);
}

tg_code tg_taker_note_each(struct tg_taker_chat *c, struct tg_error *err)
{
    struct tg_commit there[TG_SEVERAL_MAX];
    size_t n = c->sink ? tg_several_n(c->sink) : 0;
    tg_code code = TG_OK;

    if (n < 2)
        return TG_OK;
    tg_taker_where(c, there);
    tg_checkpoint_forget_each(&c->checkpoint);
    for (size_t i = 0; code == TG_OK && i < n; i++)
        code = tg_checkpoint_add_each(&c->checkpoint, tg_job_to(c->job, i), &there[i], err);
    return code;
}
