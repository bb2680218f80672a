/* SPDX-License-Identifier: MIT */
/*
 * extract_impl.h - one extraction run from the inside: extract.c (phases, reading, start and end),
 * extract_chats.c (takeout and the list of chats), extract_progress.c (what is told meanwhile)
 *
 * Threads: the account's loop
 */
#ifndef TG_EXTRACT_IMPL_H
#define TG_EXTRACT_IMPL_H

#include "base/marks.h"
#include "etl/pipeline.h"
#include "source/account_impl.h"
#include "source/history_source.h"
#include "tgdata/extract.h"

enum { EXTRACT_RATE_SLOTS = 25 };

enum extract_phase {
    PHASE_TAKEOUT,
    PHASE_CHATS,
    PHASE_RANGES,
    PHASE_BEGIN,
    PHASE_RESUME,
    PHASE_READ,
    PHASE_END,
    PHASE_DONE
};

struct extract_run {
    struct tg_account *account;
    const struct tg_extract_settings *settings;
    const struct tg_extract_hooks *hooks;
    struct tg_extract_result *result;
    struct tg_store store;
    struct tg_sink_env sink_env; /* lives as long as the sink */
    struct tg_sink sink;
    bool has_sink;
    struct tg_pipeline *pipeline;

    enum extract_phase phase;
    bool asked;               /* a request of the phase is on its way */
    const char *const *names; /* as given; NULL: all chats */
    size_t n_names, next_name;
    bool left_listed, list_failed;
    struct tg_job_chat *chat; /* titles are owned */
    size_t n_chats, cap_chats, at_chat;
    struct tg_range *range;
    size_t n_ranges;
    int64_t takeout_id, takeout_due_us;
    struct tg_history_source *source;
    bool source_done;
    bool chat_failed;         /* the chat at work ended with a failure */
    struct tg_marks unreadable; /* what of the replies before the first chat is in quarantine */
    tg_code code; /* the first failure that ends the run, else the first of a chat */
    struct tg_error err;
    bool stopping;
    int64_t leave_us; /* answers are not awaited any longer; 0: the end is not near */

    int64_t started_us, progress_us;
    double flood_until_us;
    char flood_method[64];
    struct {
        int64_t at_us, rows;
    } rate[EXTRACT_RATE_SLOTS];
    size_t n_rates;
};

/* extract.c */
void extract_enter(struct extract_run *r, enum extract_phase phase);
/** Keeps the first failure to tell at the end; one that ends the run goes before one of a chat. */
void extract_keep_failure(struct extract_run *r, const struct tg_error *err);
/** Whether a failure concerns one chat, so that the others go on. */
bool extract_only_this_chat(tg_code code);
void extract_no_memory(struct extract_run *r);

/** As it is told at the end, and once a line now if other chats go on. */
void extract_chat_failed(struct extract_run *r, const char *name, const struct tg_error *err);

/* extract_chats.c: the steps before the first chat is read, and the takeout's end */
void extract_step_takeout(struct extract_run *r, int64_t now_us);
void extract_step_chats(struct extract_run *r, int64_t now_us);
void extract_step_ranges(struct extract_run *r, int64_t now_us);
/** @return whether the end of a takeout session is awaited */
bool extract_finish_takeout(struct extract_run *r, int64_t now_us);

/* extract_progress.c */
void extract_tell_progress(struct extract_run *r, int64_t now_us, bool done);

#endif
