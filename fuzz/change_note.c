/* SPDX-License-Identifier: MIT */
/*
 * change_note.c - any bytes as a note of a commit, as the document of a job, as the head of a chat;
 * with the checksum put right as well, since a fuzzer does not guess it. What is read of documents
 * gives the same bytes again.
 */
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "etl/change_doc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { JOB_AT = 5, FIELDS_AT = 13, SEQ_AT = 21, BEFORE_AT = 29, PREFIX = 37, SUM = 8, SEQ = 7 };

static const struct tg_change_of of = { 1, TG_SIGNATURE_FIELDS };
static struct tg_change_note note;

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void on_item(void *ctx, const struct tg_change_item *item)
{
    (void)ctx;
    if (item->kind == TG_CHANGE_ITEM_MESSAGE || item->kind == TG_CHANGE_ITEM_DELETED)
        require(item->signature.id >= 1 && item->signature.id <= TG_WINDOW_ID_MAX);
    if (item->kind != TG_CHANGE_ITEM_BOX && item->kind != TG_CHANGE_ITEM_NO_BOX)
        require(item->chat != 0);
    tg_change_note_add(&note, item);
}

static void take_note(const uint8_t *bytes, size_t size)
{
    static int depth;
    struct tg_error err = { 0 };
    struct tg_buf copy;
    uint64_t sum = 0, own;

    tg_buf_init(&note.out, TG_CHANGE_NOTE_MAX);
    tg_change_note_begin(&note, of);
    if (tg_change_note_read(of, SEQ, bytes, size, &sum, on_item, NULL, &err) != TG_OK) {
        require(err.code == TG_CORRUPT && err.message[0]);
    } else if (!note.out.failed && !depth) {
        /* what was read can be written, and read again */
        own = tg_change_note_finish(&note, SEQ, 0);
        copy = note.out;
        note.out = (struct tg_buf){ 0 };
        require(own == tg_change_doc_sum(copy.data, copy.len));
        depth++;
        take_note(copy.data, copy.len);
        depth--;
        tg_buf_done(&copy);
        return;
    } else {
        require(!depth || sum);
    }
    tg_buf_done(&note.out);
}

static void take_docs(const uint8_t *bytes, size_t size)
{
    struct tg_change_job_doc doc;
    struct tg_change_head head;
    struct tg_error err = { 0 };
    struct tg_arena arena;
    struct tg_buf again;

    tg_arena_init(&arena, 1 << 20);
    tg_buf_init(&again, 1 << 20);
    if (tg_change_job_take(of.job, bytes, size, &arena, &doc, &err) == TG_OK) {
        tg_change_job_put(of.job, &doc, &again);
        require(again.failed || (again.len == size && memcmp(again.data, bytes, size) == 0));
    }
    tg_buf_clear(&again);
    if (tg_change_head_take(of.job, bytes, size, &arena, &head, &err) == TG_OK) {
        tg_change_head_put(of.job, &head, &again);
        require(again.failed || (again.len == size && memcmp(again.data, bytes, size) == 0));
    }
    tg_buf_done(&again);
    tg_arena_done(&arena);
}

static void put_right(const char magic[4], const uint8_t *data, size_t size, size_t prefix,
                      void (*take)(const uint8_t *bytes, size_t size))
{
    uint8_t *whole = malloc(size + PREFIX + SUM);

    require(whole);
    memset(whole, 0, PREFIX);
    memcpy(whole, magic, 4);
    whole[4] = 1;
    tg_put_le64(whole + JOB_AT, of.job);
    tg_put_le64(whole + FIELDS_AT, of.fields);
    tg_put_le64(whole + SEQ_AT, SEQ);
    memcpy(whole + prefix, data, size);
    tg_put_le64(whole + prefix + size, XXH3_64bits(whole, prefix + size));
    take(whole, prefix + size + SUM);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    take_note(data, size);
    take_docs(data, size);
    put_right("tgce", data, size, PREFIX, take_note);
    put_right("tgcj", data, size, FIELDS_AT, take_docs);
    put_right("tgch", data, size, FIELDS_AT, take_docs);
    return 0;
}
