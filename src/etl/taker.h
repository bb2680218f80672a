/* SPDX-License-Identifier: MIT */
/*
 * taker.h - what is done with each batch: lease, callback, sink, commit, checkpoint
 *
 *   tg_taker_start                     takes the job's lease (taker_lease.c)
 *   tg_taker_list                      the job's list of chats
 *   tg_taker_chat                      destination attached, checkpoint loaded and brought to it
 *   tg_taker_batch                     callback, sink write, a commit every interval of rows
 *   tg_taker_leave                     commits what is left of the chat
 *   tg_taker_end                       commits what is left of all, gives the lease back
 *
 * Any number of chats may be taken up at once; each has a checkpoint and commits of its own.
 *
 * A commit is: lease checked, rows durable in the destination, then the checkpoint. Killed between
 * the two, the next run finds the destination ahead and brings the checkpoint to it. After any
 * failure nothing more is written; only the checkpoint may be told why.
 *
 * A failure of the destination that may pass ends nothing (taker_wait.c): the taker waits, takes
 * the chat up again, writes what was not committed once more, and goes on. For that it keeps the
 * rows behind the last commit, unless the destination does. Each destination has a circuit breaker
 * (taker_circuit.c), if they are given thresholds and there is no callback; while one is open
 * nothing is asked of any, since all get the same rows. Whoever puts batches meanwhile waits for
 * credit.
 *
 * Without a callback a batch counts as taken when it comes, and a commit is due every interval of
 * rows. A callback commits by itself: tg_batch_commit is a commit at once.
 *
 * Rows may go through steps first (taker_steps.c), which change and drop them. What is read counts:
 * for the cursor, for what a commit covers, for the interval. So a batch whose rows are all dropped
 * is a commit like any other, without rows.
 *
 * Changes (TG_SEGMENT_CHANGES) are another matter: a batch is one commit, whatever the interval,
 * and before the destination is asked for it the batch's note goes into the journal
 * (change_journal.h) under the commit's number, if the taker keeps one. So what was noted up to
 * the destination's last commit is what it has.
 *
 * Threads: one at a time
 */
#ifndef TG_TAKER_H
#define TG_TAKER_H

#include <stdatomic.h>

#include "etl/checkpoint.h"
#include "etl/circuit_doc.h"
#include "etl/fallback.h"
#include "etl/joblist.h"
#include "etl/letters.h"
#include "etl/raw_decoder.h"
#include "etl/stage_report.h"
#include "etl/steps.h"
#include "os/queue.h"
#include "sink/several.h"
#include "sink/staged.h"
#include "tgdata/extract.h"

enum { TG_TAKER_NEWS = 32, TG_TAKER_NAME = 160, TG_TAKER_MEMORIES = 8 };

/* How one destination does. */
struct tg_taker_guard {
    struct tg_breaker breaker;
    uint64_t turn;        /* of the commit in hand; 0 none */
    bool answered;        /* once, in this run */
    struct tg_error last; /* what it said at the last call, if that was a failure that may pass;
                             else code TG_OK */
    int64_t away_us;      /* since when it is told to be away, monotonic; 0: it is not */
};

/* The destinations' circuit breakers. */
struct tg_taker_circuit {
    /* to be filled in */
    struct tg_breaker_options options; /* without threshold and rate it never opens */
    bool fails;                        /* while one is open the taker fails; else it waits */

    /* own */
    atomic_bool hurry;  /* the end is near: nothing is waited for */
    struct tg_taker_guard at[TG_SEVERAL_MAX];
    pthread_mutex_t lock; /* of what follows, news for another thread; made by the owner */
    struct tg_taker_news {
        enum tg_taker_told {
            TG_TAKER_CIRCUIT, /* a breaker changed */
            TG_TAKER_AWAY,    /* a destination fails, and is waited for */
            TG_TAKER_BACK,    /* it does not any longer */
        } what;
        struct tg_circuit_change change;
        char name[TG_TAKER_NAME];      /* of the destination, if there are several; else "" */
        size_t n;            /* destinations whose breaker is open; that are away: with this one */
        struct tg_error err; /* why: open, away */
        int64_t away_us;     /* back: how long it was */
    } news[TG_TAKER_NEWS]; /* if there are more, the newest are left out */
    size_t n_news;
};

/* Waiting for destinations that fail. */
struct tg_taker_wait {
    /* to be filled in */
    int64_t most_ms; /* then the run ends; 0: at once. INT64_MAX: never, if it has answered before
                        and is not full; a time holds for these as well */
    int64_t first_us; /* the first pause; 0: a second */
    void (*meanwhile)(void *ctx); /* called again and again while it waits; may be NULL */
    void *ctx;

    /* own */
    int64_t since_us, pause_us; /* monotonic; 0: it is not waited for */
    struct tg_staged_room room; /* of the rows that chats keep */
};

/* One chat that was taken up. */
struct tg_taker_chat {
    const struct tg_extract_settings *job; /* with what differs for this chat */
    const struct tg_sink *sink; /* NULL: a callback alone */
    bool fallback;              /* its rows are a fallback's: a series of their own */
    struct tg_checkpoint checkpoint;
    struct tg_commit next; /* what the next commit will say; rows counts up */
    int64_t rows;          /* committed in this run, */
    int64_t rows_read;     /* and with those that steps dropped */
    int64_t oldest_us;     /* when the oldest batch was begun that is not committed; 0: none */
    uint64_t read;         /* rows that were taken since the last commit, dropped or not */
    uint64_t fence;        /* its writer's token */
    struct tg_lease lease; /* of the chat alone (by_chat) */
    int64_t renew_us;
    bool have_lease;
    bool dirty;            /* something is not committed yet */
    bool held;             /* a callback left rows behind: nothing moves past them */
    bool counted;          /* the batch in hand is taken whole, and counted */
    bool stopped;          /* a step has failed */
    struct tg_str note;    /* of the batch in hand, for the journal of changes */
    uint64_t read_total;   /* by all runs of the job, up to the cursor */
    uint64_t hand_dropped; /* of the batch that a callback has: rows that it does not see */
    struct tg_buf learned[TG_TAKER_MEMORIES]; /* by each stage that remembers, not committed */
    size_t settled[TG_TAKER_MEMORIES];        /* bytes of that, of rows that were taken */
    /* rows written since the last commit: of batches before the one in hand, and of that */
    struct tg_staged kept;
    const struct tg_batch *hand;
    uint64_t hand_seq; /* number of the batch in hand; 0: none is */
    size_t hand_from, hand_to;
};

/* Steps that rows go through on their way to callback and sink. */
struct tg_taker_steps {
    /* to be filled in; borrowed */
    const struct tg_steps *all;
    struct tg_raw_decoder *decoder; /* NULL: there is nothing to decode */

    /* own */
    struct tg_taker_series {
        /* to be filled in: where rows that are set aside belong; NULL: nowhere */
        const struct tg_letter_box *box;
        size_t n_boxes;

        struct tg_stage_list stages;
    } live, beside;
    struct tg_stage_counts counts;
};

struct tg_taker {
    /* to be filled in; borrowed */
    const struct tg_extract_settings *job;
    const struct tg_store *store;
    const struct tg_sink *sink; /* NULL: a callback alone */
    const struct tg_sink *fallback_sink; /* the same place, for the rows of fallbacks */
    struct tg_letters *letters; /* of what the sinks refuse; NULL: they fail instead */
    struct tg_taker_steps *steps; /* NULL: none */
    struct tg_observer *observer; /* is told how long rows took; NULL: nobody is */
    struct tg_trace *trace;       /* is told of commits; NULL: nobody is */
    tg_batch_fn callback;       /* NULL: a sink alone */
    void *callback_ctx;
    int64_t (*unix_us)(void);
    uint32_t nonce;             /* random: tells this run from others (struct tg_fence) */
    bool by_chat;               /* others work at the same job: leases are of single chats */
    bool journals;              /* what is noted with changes is to be remembered */
    struct tg_taker_circuit circuit;
    struct tg_taker_wait wait;

    uint64_t rows, batches, commits; /* done so far */
    uint64_t fallback_rows;          /* besides `rows` */
    int64_t renew_us;                /* when a lease is to be renewed, by unix_us */

    /* own */
    struct tg_lease lease;
    char lease_name[80];
    bool have_lease;
    struct tg_taker_chat **chat;
    size_t n_chats;
    int64_t *spoiled; /* chats that must not be taken up again (taker_memory.c) */
    size_t n_spoiled;
    struct tg_error broken; /* why a callback's commit failed; code OK: none did */
    bool failed;
};

/** Takes the job's lease, unless chats have leases of their own. @return TG_BUSY if the job runs
 *  elsewhere */
tg_code tg_taker_start(struct tg_taker *t, struct tg_error *err);

/** Renews what leases it is time for. @return TG_CONFLICT if another run has the job */
tg_code tg_taker_renew(struct tg_taker *t, struct tg_error *err);

/** Whether a failure is one chat's alone, which was laid down with it: others go on. So it is for
 *  workers whose chat another has taken. */
bool tg_taker_only_chat(const struct tg_taker *t, tg_code code);

/**
 * Looks whether the destination has all that was delivered of these chats, then writes down that
 * the job was asked for them.
 * @return TG_GAP: it lacks some; TG_USAGE: it is another one
 */
tg_code tg_taker_list(struct tg_taker *t, const struct tg_job_chat *chat, size_t n,
                      struct tg_error *err);

/** Takes a chat up; what is given must stay until it is left. ret: where it stands; zeroes but for
 *  the chat's id if nothing is there yet */
tg_code tg_taker_chat(struct tg_taker *t, const struct tg_job_chat *chat, struct tg_commit *ret,
                      struct tg_error *err);

/** @return rows of the chat that were read and committed in this run, dropped or not, while it is
 *  taken up */
int64_t tg_taker_rows(const struct tg_taker *t, int64_t chat_id);

/** Commits what is left of a chat that was taken up and lays it down. ret_rows: those that
 *  were committed in this run; written in any case */
tg_code tg_taker_leave(struct tg_taker *t, int64_t chat_id, int64_t *ret_rows,
                       struct tg_error *err);

/** Takes a batch of the chat. What a refusing callback had committed before stays. */
tg_code tg_taker_batch(struct tg_taker *t, struct tg_batch *b, struct tg_error *err);

/** What is to be read of a chat instead of Telegram. */
struct tg_fallback_request {
    const struct tg_job_chat *chat;
    const struct tg_fallbacks *from;
    int64_t reader;    /* user id of the account */
    bool migrated;     /* the chat was a basic group: its first segment is that group */
    atomic_bool *stop; /* set by another thread: end soon */
    void (*told)(void *ctx, const struct tg_taker *t); /* some rows more were taken; or NULL */
    void *ctx;
};

/** What came of it. */
struct tg_fallback_result {
    int64_t rows;    /* committed */
    int64_t last_id; /* of the last of them */
    enum tg_row_source source; /* of the last of them */
    struct tg_error trouble; /* the first failure of a source; code TG_OK: none. That it does not
                                have the chat is none */
};

/**
 * Delivers what fallbacks have of a chat that is not taken up, beyond what was delivered from
 * Telegram and by fallbacks before (taker_fallback.c). Blocks until that is done.
 *
 * @param ret  also written on failure
 * @return TG_OK, whether a source had anything or not; the failure of sink, store or callback
 */
tg_code tg_taker_fallback(struct tg_taker *t, const struct tg_fallback_request *request,
                          struct tg_fallback_result *ret, struct tg_error *err);

/** A record that could not be decoded. `name` tells it from others of the chat: kept once. */
tg_code tg_taker_bad_record(struct tg_taker *t, int64_t chat_id, const char *name,
                            const struct tg_buf *record, struct tg_error *err);

/** A row that a rule has set aside (tg_letter_note), before the batch that it was in. */
tg_code tg_taker_letter(struct tg_taker *t, const struct tg_buf *note, struct tg_error *err);

/** Opens the stages of the steps: for rows from Telegram, and with `beside` for those of fallbacks,
 *  a series of their own. Close it in any case. @return as tg_steps_open */
tg_code tg_taker_steps_open(struct tg_taker_steps *s, bool beside, struct tg_error *err);
void tg_taker_steps_close(struct tg_taker_steps *s);

/** Tells what stages have gathered, once no taker is at work any more. */
tg_code tg_taker_steps_end(struct tg_taker_steps *s, const struct tg_stage_report *run,
                           struct tg_quality_result *ret, struct tg_error *err);

/** Waits while the breaker of a destination is open, and keeps the leases meanwhile.
 *  @return TG_CIRCUIT if that is not to be waited for; TG_CONFLICT */
tg_code tg_taker_await_sink(struct tg_taker *t, struct tg_error *err);

/** From any thread. @return whether there is news of the destinations: *ret, oldest first */
bool tg_taker_news(struct tg_taker *t, struct tg_taker_news *ret);

/** Keeps how a circuit breaker stands. If that cannot be, the next run begins with a closed one. */
void tg_taker_keep_circuit(struct tg_taker *t, const char *name, const struct tg_buf *record);

/** Commits what is left, unless something failed, and gives the lease back. Safe to call twice. */
tg_code tg_taker_end(struct tg_taker *t, struct tg_error *err);

#endif
