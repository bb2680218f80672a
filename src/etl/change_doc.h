/* SPDX-License-Identifier: MIT */
/*
 * change_doc.h - how what a job of changes remembers is stored: documents of kind "changes"
 *
 *   JOB             up to which commit all is in the documents; boxes; chats, each with the
 *                   checksum of its head
 *   JOB/CHAT        the head of a chat: how far its scan is; its windows, each with its checksum
 *   JOB/CHAT/FROM   a window: the signatures of the ids from FROM on (flow/signature_window.h)
 *
 * Each names what is below it by checksum, so one that is lost, older, or another's is known. A
 * compaction writes windows, then heads, then the job's document: new versions of each. Older
 * versions are dropped, and the journal, when that is written. Killed before, the job's document
 * names the versions before, which are still there; so what is loaded is always a whole state of
 * one commit. What windows and heads are written at a later moment than others is merely newer than
 * the commit that all reaches to (`through`), never than `as_of`: the journal's entries since
 * `through` are put upon it, and that changes nothing if they are in it already.
 *
 *   "tgcj" | version, 1 | job, 8 | fields, 8 | through, 8 | checksum of its
 *            note, 8 | as_of, 8
 *          | boxes, 4 | each: channel, 8, pts, 4, qts, 4, seq, 4, date, 4
 *          | chats, 4 | each: id, 8, owner, 8, checksum of its head, 8 | XXH3-64 of all before, 8
 *   "tgch" | version, 1 | job, 8 | id, 8 | owner, 8 | top, 8 | scanned_to, 8 | scan_end, 8
 *          | scanned 1 + doubted 2, 1 | doubt_seq, 8
 *          | windows, 4 | each: varint, from - that of the one before | varint, n
 *                       | varint, length | if n: checksum, 8 | XXH3-64 of all before, 8
 *
 * The windows of a job are signed over its fields, but say 0: a job with other fields cannot trust
 * them, yet learns from them which messages the destination had.
 *
 * Threads: value types      Limits: 40,000 chats; 70,000 windows of a chat
 */
#ifndef TG_CHANGE_DOC_H
#define TG_CHANGE_DOC_H

#include "base/arena.h"
#include "etl/change_note.h"

#define TG_CHANGE_KIND "changes"

enum { TG_CHANGE_KEY_MAX = 160, TG_CHANGE_DOC_MAX = 1 << 20 };

/* ---- of the job ---- */

struct tg_change_job_box {
    int64_t channel;
    struct tg_update_state at;
};

struct tg_change_job_chat {
    int64_t id, owner;
    uint64_t head_sum;
};

struct tg_change_job_doc {
    uint64_t fields;         /* that are signed */
    uint64_t through, as_of; /* commits */
    uint64_t through_sum;    /* checksum of the note of that commit */
    uint32_t n_boxes, n_chats;
    struct tg_change_job_box *box; /* ascending */
    struct tg_change_job_chat *chat;
};

/** Appends the bytes; out may have failed (as base/buf.h). @param job  tg_change_of.job */
void tg_change_job_put(uint64_t job, const struct tg_change_job_doc *doc, struct tg_buf *out);

/** @param arena  of boxes and chats. @return TG_OK; TG_CORRUPT: not the bytes that were written for
 *         that job; TG_NOMEM */
tg_code tg_change_job_take(uint64_t job, const void *bytes, size_t len, struct tg_arena *arena,
                           struct tg_change_job_doc *ret, struct tg_error *err);

/* ---- of a chat ---- */

struct tg_change_head_window {
    int64_t from;
    uint32_t n, len;
    uint64_t sum; /* 0: n is 0, and there is no document */
};

struct tg_change_head {
    int64_t chat, owner, top;
    struct tg_change_scan scan;
    bool doubted;
    uint64_t doubt_seq; /* what entries up to that commit say of scans was before the doubt */
    uint32_t n_windows;
    struct tg_change_head_window *window;
};

/** Appends the bytes. @return their checksum */
uint64_t tg_change_head_put(uint64_t job, const struct tg_change_head *head, struct tg_buf *out);

/** @return TG_OK; TG_CORRUPT; TG_NOMEM as above. The windows cover all ids */
tg_code tg_change_head_take(uint64_t job, const void *bytes, size_t len, struct tg_arena *arena,
                            struct tg_change_head *ret, struct tg_error *err);

/** The checksum that stands at the end of any of these documents, a window's too. */
uint64_t tg_change_doc_sum(const void *bytes, size_t len);

#endif
