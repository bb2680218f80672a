/* SPDX-License-Identifier: MIT */
/*
 * fallback.h - where messages come from while an open breaker keeps an account from Telegram
 *
 *   archive        what other jobs of the same state store have delivered of the chat, to
 *                  destinations that can be read again; those that reach least far first
 *   archive:JOB    that job alone
 *   export:FILE    a Telegram Desktop export, of one chat or of all
 *
 * A list of them is tried in order. What they give is what they have: nothing proves that it is
 * complete. Which of it is delivered is the taker's business (taker_fallback.c).
 *
 * Ids of private chats and basic groups belong to an account: an archive of another account's, and
 * an export that says it is of another user, does not have the chat. An export of a single chat
 * does not say whose it is, and is taken to be the account's own. An export does not tell the id of
 * the basic group that a supergroup was: that group's messages in it are left out.
 *
 * Threads: the taker's      Limits: 8 sources, names of 1023 bytes; 1000 archives of a chat
 */
#ifndef TG_FALLBACK_H
#define TG_FALLBACK_H

#include "config/settings.h"
#include "sink/sink.h"
#include "store/store.h"

enum { TG_FALLBACKS_MAX = 8, TG_FALLBACK_NAME = 1024 };

struct tg_fallback {
    enum tg_row_source source;
    char name[TG_FALLBACK_NAME]; /* job, "" for all; file */
};

struct tg_fallbacks {
    struct tg_fallback one[TG_FALLBACKS_MAX];
    size_t n;
};

/** Reads "archive,export:FILE". @return TG_USAGE */
tg_code tg_fallbacks_parse(const char *list, struct tg_fallbacks *ret, struct tg_error *err);

/** Whether the files are there that are named. @return TG_USAGE if not */
tg_code tg_fallbacks_check(const struct tg_fallbacks *all, struct tg_error *err);

/** What is asked of a source. */
struct tg_fallback_ask {
    const struct tg_store *store;
    const struct tg_extract_settings *job;
    int64_t chat_id;         /* marked */
    int64_t reader;          /* user id of the account that cannot read it now */
    struct tg_cursor behind; /* what lies before it need not be given, */
    int64_t known;           /* nor ids of the chat itself up to that */
};

/**
 * Gives the rows that a source has of a chat, oldest first, marked: batch by batch in `batch`.
 * @return TG_OK: those were all, or `take` has ended it; TG_NOT_FOUND: the source does not have the
 *         chat; TG_DATA, TG_CORRUPT, TG_IO, ...: it cannot be read, or no further; what `take`
 *         failed with
 */
tg_code tg_fallback_read(const struct tg_fallback *from, const struct tg_fallback_ask *ask,
                         struct tg_batch *batch, tg_sink_taken take, void *ctx,
                         struct tg_error *err);

/* ---- fallback_export.c ---- */
tg_code tg_fallback_export(const char *path, const struct tg_fallback_ask *ask,
                           struct tg_batch *batch, tg_sink_taken take, void *ctx,
                           struct tg_error *err);
tg_code tg_fallback_export_check(const char *path, struct tg_error *err);

#endif
