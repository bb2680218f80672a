/* SPDX-License-Identifier: MIT */
/*
 * taker_memory.c - what stages have learned of rows, kept with the commits that cover them
 *
 *   log "stages", key JOB/CHAT or JOB/CHAT/fallback, entries little endian:
 *
 *   1 | stage, 1 byte | segment, 4 | cursor's id, 8 | rows read so far, 8 | facts, 16 bytes each
 *
 * The stage is counted among those that remember; 255 stands for none: then only the rows are told,
 * which a limit needs to know, as rows that were dropped count for it. Entries are written before
 * the destination is asked for the commit. Whoever takes the chat up learns those that are not
 * beyond its cursor: what was never committed, or was rolled back, is read again and learned again
 * then. An entry that stands there twice is learned twice, which changes nothing; so it needs no
 * token.
 *
 * Stages know the rows of all chats that the run has taken up. A chat that was left with rows that
 * stages have seen and no commit covers must not be taken up again by the same run: its rows would
 * be taken for those that came before.
 *
 * Threads: the taker's
 * Limits:  8 stages that remember; entries of 512 KiB
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "etl/stage_disk.h"
#include "etl/taker_impl.h"

#define KIND "stages"

enum { FORMAT = 1, HEAD = 22, NO_STAGE = 255, FACTS_MAX = 32768, LEARNED_MAX = 1 << 30 };

/* The stage of that number among those that remember; NULL: there are fewer. */
static const struct tg_stage *memory_at(const struct tg_taker *t, const struct tg_taker_chat *c,
                                        size_t number)
{
    const struct tg_stage_list *stages = &tg_taker_series(t, c)->stages;

    for (size_t i = 0; i < stages->n; i++)
        if (stages->one[i].ops->learned && number-- == 0)
            return &stages->one[i];
    return NULL;
}

static void name_log(const struct tg_taker_chat *c, char key[192])
{
    snprintf(key, 192, "%s/%lld%s", c->job->job, (long long)c->next.cursor.chat_id,
             c->fallback ? "/fallback" : "");
}

/* ---- learned ---- */

tg_code tg_taker_learned(const struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    const struct tg_stage *stage;

    for (size_t i = 0; (stage = memory_at(t, c, i)); i++) {
        if (!c->learned[i].max)
            tg_buf_init(&c->learned[i], LEARNED_MAX);
        stage->ops->learned(stage->self, &c->learned[i]);
        if (c->learned[i].failed)
            return tg_fail(err, TG_NOMEM, "no memory for what stages remember");
    }
    return TG_OK;
}

void tg_taker_settle(struct tg_taker_chat *c)
{
    for (size_t i = 0; i < TG_TAKER_MEMORIES; i++)
        c->settled[i] = c->learned[i].len;
}

/* ---- kept ---- */

static tg_code append(struct tg_taker *t, const struct tg_taker_chat *c, uint8_t stage,
                      const struct tg_str *facts, struct tg_error *err)
{
    struct tg_buf entry;
    char key[192];
    uint64_t n;
    tg_code code;

    name_log(c, key);
    tg_buf_init(&entry, HEAD + FACTS_MAX * TG_STAGE_FACT);
    tg_buf_byte(&entry, FORMAT);
    tg_buf_byte(&entry, stage);
    tg_buf_u32(&entry, (uint32_t)c->next.cursor.segment);
    tg_buf_u64(&entry, (uint64_t)c->next.cursor.id);
    tg_buf_u64(&entry, c->read_total);
    tg_buf_add(&entry, facts->at, facts->len);
    code = entry.failed ? tg_fail(err, TG_NOMEM, "no memory for what stages remember")
                        : t->store->ops->append(t->store->self, KIND, key, t->unix_us(),
                                                entry.data, entry.len, &n, err);
    tg_buf_done(&entry);
    return code;
}

tg_code tg_taker_remember(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    const struct tg_str none = { NULL, 0 };
    tg_code code = TG_OK;

    if (!t->steps)
        return TG_OK;
    if (c->job->limit)
        code = append(t, c, NO_STAGE, &none, err);
    for (size_t i = 0; i < TG_TAKER_MEMORIES; i++) {
        for (size_t at = 0; code == TG_OK && at < c->settled[i];) {
            size_t n = TG_MIN(c->settled[i] - at, (size_t)FACTS_MAX * TG_STAGE_FACT);
            const struct tg_str facts = { (const char *)c->learned[i].data + at, (uint32_t)n };

            code = append(t, c, (uint8_t)i, &facts, err);
            at += n;
        }
    }
    return code;
}

void tg_taker_remembered(struct tg_taker_chat *c)
{
    for (size_t i = 0; i < TG_TAKER_MEMORIES; i++) {
        if (c->settled[i])
            tg_buf_shift(&c->learned[i], c->settled[i]);
        c->settled[i] = 0;
    }
}

/* ---- read again ---- */

struct recalling {
    const struct tg_taker *t;
    struct tg_taker_chat *c;
    const struct tg_stage_env *env; /* NULL: only the rows are counted */
    tg_code code;
    struct tg_error *err;
};

static bool is_beyond(const uint8_t *entry, const struct tg_cursor *cursor)
{
    int32_t segment = (int32_t)tg_le32(entry + 2);
    int64_t id = (int64_t)tg_le64(entry + 6);

    return segment != cursor->segment ? segment > cursor->segment : id > cursor->id;
}

static bool on_entry(void *ctx, const struct tg_log_entry *entry)
{
    struct recalling *r = ctx;
    struct tg_taker_chat *c = r->c;
    const uint8_t *bytes = entry->bytes;
    size_t n = entry->len < HEAD ? 0 : (entry->len - HEAD) / TG_STAGE_FACT;
    const struct tg_stage *stage;

    if (entry->len != HEAD + n * TG_STAGE_FACT || bytes[0] != FORMAT) {
        r->code = tg_fail(r->err, TG_CORRUPT, "what stages of job '%s' remember of chat %lld is "
                          "damaged", c->job->job, (long long)c->next.cursor.chat_id);
        tg_hint(r->err, "extract it anew: with another --job name");
        return false;
    }
    if (is_beyond(bytes, &c->next.cursor))
        return true;
    c->read_total = TG_MAX(c->read_total, tg_le64(bytes + 14));
    stage = r->env && bytes[1] != NO_STAGE ? memory_at(r->t, c, bytes[1]) : NULL;
    if (stage)
        r->code = stage->ops->learn(stage->self, bytes + HEAD, n, r->env, r->err);
    return r->code == TG_OK;
}

static bool is_spoiled(const struct tg_taker *t, const struct tg_taker_chat *c)
{
    for (size_t i = 0; i < t->n_spoiled; i++)
        if (t->spoiled[i] == c->next.cursor.chat_id)
            return true;
    return false;
}

tg_code tg_taker_recall(struct tg_taker *t, struct tg_taker_chat *c, struct tg_error *err)
{
    const struct tg_stage_env env = { .disk = &tg_stage_disk };
    struct recalling r = { t, c, &env, TG_OK, err };
    char key[192];
    tg_code code;

    c->read_total = c->next.rows_total;
    if (!t->steps || (!memory_at(t, c, 0) && !c->job->limit))
        return TG_OK;
    if (is_spoiled(t, c)) {
        tg_fail(err, TG_BUSY, "chat %lld was left with messages that stages of this run have seen "
                "and nobody took", (long long)c->next.cursor.chat_id);
        return tg_hint(err, "another run goes on with it");
    }
    if (!c->next.seq)
        return TG_OK;
    name_log(c, key);
    code = t->store->ops->read(t->store->self, KIND, key, 1, on_entry, &r, err);
    return code == TG_OK ? r.code : code;
}

tg_code tg_taker_count_read(struct tg_taker *t, const struct tg_extract_settings *job,
                            struct tg_commit *commit, struct tg_error *err)
{
    struct tg_taker_chat c = { .job = job, .next = *commit, .read_total = commit->rows_total };
    struct recalling r = { t, &c, NULL, TG_OK, err };
    char key[192];
    tg_code code;

    if (!t->steps || !job->limit || !commit->seq)
        return TG_OK;
    name_log(&c, key);
    code = t->store->ops->read(t->store->self, KIND, key, 1, on_entry, &r, err);
    commit->rows_total = c.read_total;
    return code == TG_OK ? r.code : code;
}

/* ---- the end of a chat ---- */

void tg_taker_forget(struct tg_taker *t, struct tg_taker_chat *c)
{
    bool any = false;

    for (size_t i = 0; i < TG_TAKER_MEMORIES; i++) {
        any |= c->learned[i].len > 0;
        tg_buf_done(&c->learned[i]);
    }
    if (any && !t->failed) {
        int64_t *more = reallocarray(t->spoiled, t->n_spoiled + 1, sizeof *more);

        if (more)
            t->spoiled = more;
        if (more)
            more[t->n_spoiled++] = c->next.cursor.chat_id;
        t->failed |= !more; /* nothing more may be taken up, then */
    }
}

tg_code tg_taker_check_memories(const struct tg_stage_list *stages, struct tg_error *err)
{
    size_t n = 0;

    for (size_t i = 0; i < stages->n; i++)
        n += stages->one[i].ops->learned != NULL;
    if (n <= TG_TAKER_MEMORIES)
        return TG_OK;
    return tg_fail(err, TG_USAGE, "%zu stages that remember what came, such as dedup; %d at most",
                   n, TG_TAKER_MEMORIES);
}
