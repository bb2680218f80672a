/* SPDX-License-Identifier: MIT */
/*
 * pipeline_spill.c - batches in a temporary file while the destination does not take them
 *
 *   queue --(the taker waits)--> held: items in order, rows of batches packed in the file
 *     |                            |
 *     +----(nothing is held)-------+--> worked off, those that are held first
 *
 * A batch that went to the file gives its credit back, so that the source goes on reading until the
 * file has reached its bound; then credit runs out as ever. Nothing of it is durable or counted
 * before the destination has it: a run that is killed reads it again. The file is emptied when
 * nothing is held any longer.
 *
 * Threads: the taker's      Limits: settings: spill_bytes; 65536 items, 16 MiB of their records
 */
#include <assert.h>
#include <stdlib.h>

#include "base/row_pack.h"
#include "etl/pipeline_impl.h"

enum { ITEMS_MAX = 65536, RECORDS_MAX = 16 << 20, BATCH_MAX = 256 << 20 };

struct pipeline_spilled {
    struct tg_batch head; /* all but rows and what they point into */
    uint64_t at;
    size_t len, n; /* bytes: the rows, then the note */
};

void pipeline_spill_init(struct tg_pipeline *p)
{
    p->spill.end = &p->spill.first;
    p->spill.file.fd = -1;
    tg_buf_init(&p->spill.bytes, BATCH_MAX);
    tg_buf_init(&p->spill.read, BATCH_MAX);
}

void pipeline_spill_done(struct tg_pipeline *p)
{
    assert(!p->spill.first);
    tg_buf_done(&p->spill.bytes);
    tg_buf_done(&p->spill.read);
    tg_batch_free(p->spill.batch);
    tg_scratch_close(&p->spill.file);
}

/* Moves a batch's rows to the file. @return false: there is no room, and it stays as it is */
static bool put_batch(struct tg_pipeline *p, struct pipeline_item *item, uint64_t bytes)
{
    struct pipeline_spill *s = &p->spill;
    const struct tg_batch *b = item->batch;
    struct pipeline_spilled *spilled = NULL;
    struct tg_error ignored; /* without a file the destination is waited for all the same */
    bool fits;

    tg_buf_clear(&s->bytes);
    for (size_t i = 0; i < b->n; i++)
        tg_row_pack(&b->row[i], &s->bytes);
    tg_buf_add(&s->bytes, b->note.at, b->note.len);
    fits = !s->bytes.failed && s->file.size + s->bytes.len <= (uint64_t)p->options.spill_bytes &&
           (s->file.fd >= 0 || tg_scratch_open(&s->file, &ignored) == TG_OK);
    if (fits)
        spilled = malloc(sizeof *spilled);
    s->bytes.failed = false;
    if (!spilled)
        return false;
    *spilled = (struct pipeline_spilled){ *b, s->file.size, s->bytes.len, b->n };
    if (tg_scratch_add(&s->file, s->bytes.data, s->bytes.len, &ignored) != TG_OK) {
        free(spilled);
        return false;
    }
    pipeline_give_back(p, item->batch, bytes);
    item->batch = NULL;
    item->spilled = spilled;
    pthread_mutex_lock(&p->lock);
    p->shared.spilled++;
    pthread_mutex_unlock(&p->lock);
    return true;
}

/* The loop may have nothing else to wake up for. */
static bool has_news(struct tg_taker *t)
{
    bool any;

    pthread_mutex_lock(&t->circuit.lock);
    any = t->circuit.n_news > 0;
    pthread_mutex_unlock(&t->circuit.lock);
    return any;
}

void pipeline_spill(void *pipeline)
{
    struct tg_pipeline *p = pipeline;
    struct pipeline_spill *s = &p->spill;
    bool any = false;

    while (p->options.spill_bytes && !s->full) {
        struct pipeline_item *item;

        if (pipeline_pop(p, &item) != TG_OK)
            break;
        if (item->kind == ITEM_BATCH && !put_batch(p, item, item->bytes))
            s->full = true;
        s->records += item->record.len;
        s->full |= ++s->n == ITEMS_MAX || s->records > RECORDS_MAX;
        *s->end = item;
        s->end = &item->next;
        any = true;
    }
    if (any || has_news(&p->taker))
        p->options.wake(p->options.wake_ctx);
}

struct pipeline_item *pipeline_held(struct tg_pipeline *p)
{
    struct pipeline_spill *s = &p->spill;
    struct pipeline_item *item = s->first;

    if (!item)
        return NULL;
    s->first = item->next;
    s->n--;
    if (!s->first) {
        s->end = &s->first;
        s->records = 0;
        s->full = false;
    }
    return item;
}

static tg_code damaged(struct tg_error *err)
{
    return tg_fail(err, TG_CORRUPT, "a temporary file was changed by somebody else");
}

/* The rows and the note point into the bytes. */
static tg_code unpack(struct tg_batch *b, const struct tg_buf *bytes, size_t n,
                      struct tg_error *err)
{
    size_t at = 0;

    for (size_t size; b->n < n; at += size) {
        struct tg_row *row = tg_batch_row(b);

        if (!row || !tg_row_unpack(bytes->data + at, bytes->len - at, row, &size) || size == 0 ||
            size > bytes->len - at)
            return damaged(err);
    }
    if (b->note.len != bytes->len - at)
        return damaged(err);
    b->note.at = (const char *)bytes->data + at;
    return TG_OK;
}

tg_code pipeline_take_back(struct tg_pipeline *p, struct pipeline_item *item, struct tg_error *err)
{
    struct pipeline_spill *s = &p->spill;
    const struct pipeline_spilled *spilled = item->spilled;
    struct tg_batch *b, empty;
    uint8_t *into;
    tg_code code;

    if (!spilled)
        return TG_OK;
    tg_buf_clear(&s->read);
    into = tg_buf_extend(&s->read, spilled->len);
    if (!s->batch)
        s->batch = tg_batch_new((size_t)p->options.job->batch_size);
    if (!s->batch || (!into && spilled->len))
        return tg_fail(err, TG_NOMEM, "no memory to read a temporary file");
    code = tg_scratch_read(&s->file, spilled->at, into, spilled->len, err);
    if (code != TG_OK)
        return code;
    b = s->batch;
    tg_batch_clear(b);
    empty = *b;
    *b = spilled->head;
    b->row = empty.row;
    b->n = 0;
    b->cap = empty.cap;
    b->arena = empty.arena;
    b->file = empty.file; /* what is fetched of them is fetched already */
    b->n_files = 0;
    b->cap_files = empty.cap_files;
    b->adopted = empty.adopted;
    b->n_adopted = empty.n_adopted;
    b->cap_adopted = empty.cap_adopted;
    item->batch = b;
    return unpack(b, &s->read, spilled->n, err);
}

void pipeline_drop_batch(struct tg_pipeline *p, struct pipeline_item *item)
{
    if (item->batch && !item->spilled)
        pipeline_give_back(p, item->batch, item->bytes);
    free(item->spilled);
    if (!p->spill.first)
        tg_scratch_empty(&p->spill.file);
}
