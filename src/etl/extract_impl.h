/* SPDX-License-Identifier: MIT */
/*
 * extract_impl.h - one extraction run from the inside
 *
 *   tasks (chats to read)  --dispatch-->  lanes (chats at work)  --batches-->  pipeline
 *                                            |
 *                                         accounts (each with a client; all on one loop)
 *
 *   extract.c           phases, start and end            RUN_ACCOUNTS .. RUN_DONE
 *   extract_accounts.c  an account's takeout and list    ACCOUNT_TAKEOUT .. ACCOUNT_DONE
 *   extract_names.c     which chats the tasks' names are
 *   extract_tasks.c     the chats that are to be read, and what becomes of them
 *   extract_pool.c      which task is next, and with which account; how the accounts are
 *   extract_lane.c      one chat at work                 LANE_FIND .. LANE_FALLBACK
 *   extract_circuits.c  circuit breakers: of chats, and what those of all kinds do
 *   extract_comments.c  the discussion groups of channels
 *   extract_media.c     the files of rows, without which these are not delivered
 *   extract_media_renew.c  where files are, asked for again
 *   extract_fallback.c  what is read instead of Telegram
 *   extract_steps.c     what is done to rows before they are delivered
 *   extract_progress.c  what is told meanwhile
 *
 * Everything is stepped after each event of an account: the run as a whole and that account's
 * lanes. Whatever concerns another account wakes that one (extract_touch).
 *
 * Time: of tg_net_now of the account at hand for what its client is told, extract_now for the run.
 *
 * Threads: the loop's, but for `workers` and `stop`
 */
#ifndef TG_EXTRACT_IMPL_H
#define TG_EXTRACT_IMPL_H

#include "base/marks.h"
#include "etl/letters.h"
#include "etl/observed.h"
#include "etl/pipeline.h"
#include "flow/pool.h"
#include "flow/tasks.h"
#include "sink/several.h"
#include "source/account_impl.h"
#include "source/history_source.h"
#include "tgdata/parallel.h"

enum {
    EXTRACT_RATE_SLOTS = 25,
    EXTRACT_ACCOUNTS_MAX = 64,
    EXTRACT_TASKS_MAX = 100000,
    EXTRACT_POSTS_MAX = 1 << 22, /* remembered in all */
};

/* How often a chat, a name, or the list of an account is tried again after network or server
 * trouble, where that need not end the run; after the first wait twice as long each time. */
enum { EXTRACT_ATTEMPTS = 3 };
#define EXTRACT_RETRY_US (2 * TG_SECOND_US)

/* A wait that lets other work go first, and a chat go to another account. */
#define EXTRACT_LONG_WAIT_US (60 * TG_SECOND_US)

enum extract_phase {
    RUN_ACCOUNTS, /* takeouts are begun, chats are listed */
    RUN_NAMES,    /* chats that were named are found */
    RUN_READ,
    RUN_END, /* takeouts are ended */
    RUN_DONE
};

enum extract_account_phase {
    ACCOUNT_TAKEOUT,
    ACCOUNT_LIST,
    ACCOUNT_RANGES,
    ACCOUNT_READY,
    ACCOUNT_FINISH, /* ends its takeout */
    ACCOUNT_DONE
};

struct extract_media;
struct extract_held;
struct media_renewal;

struct extract_account {
    struct extract_run *run;
    struct tg_account *account;
    uint32_t at; /* number within the run */
    enum extract_account_phase phase;
    bool asked; /* a request of the phase is on its way */
    bool left_listed, list_failed;
    bool listed;  /* all of its chats were told */
    int64_t *own; /* those of them that are its own: private chats, basic groups */
    size_t n_own, cap_own;
    bool out;     /* set aside: nothing is asked of it any more */
    struct tg_error why; /* if out */
    uint32_t list_failures;
    int64_t list_due_us;
    int64_t waiting_us; /* long, and since then; 0: no */
    bool finding; /* it looks a name up */
    int64_t takeout_id, takeout_due_us;
    struct tg_range *range;
    size_t n_ranges;
    struct tgc_stats before;
    struct tg_observed_account observed;
    uint32_t n_lanes;
    uint32_t n_parts; /* of files, on their way */
    uint32_t n_on[TGC_MEDIA_LINKS]; /* of them, by connection to their media DC */
    uint32_t n_gets;  /* files that are being fetched */
    uint32_t part_limit; /* bytes that requests ask for since the server refused more; 0: all */
    enum { CDNS_UNKNOWN, CDNS_ASKED, CDNS_TOLD } cdns; /* and media DCs: where they are */
    uint32_t n_probes; /* that the pool awaits the end of; one call serves them all */
    int64_t probed_us; /* the last of them */
};

/* Posts with comments that a channel's lane has met. */
struct extract_posts {
    int32_t *id;
    size_t n, cap;
    int64_t from, to; /* to 0: it was not read to its end, or not all of it was kept */
    bool lost;
};

enum extract_task_state {
    TASK_NEW,     /* not known yet which chat that is */
    TASK_WAITING,
    TASK_RUNNING,
    TASK_AWAITING, /* read, but its comments are not; or comments: their channel is not */
    TASK_DONE,
};

struct extract_task {
    uint64_t number; /* from 1 */
    char *what;      /* how an account finds the chat: as given, or its id */
    struct tg_job_chat chat; /* its title is owned */
    struct tg_extract_settings settings;
    enum tg_priority priority;
    uint32_t tenant;
    uint64_t id; /* in the line of those that wait or run */
    enum extract_task_state state;
    uint64_t seen_by, not_by; /* accounts that have met it, that cannot see it: a bit each */
    uint64_t only;            /* accounts that alone can read all of it; 0: any */
    uint64_t shunned;         /* accounts that it failed with */
    struct tg_pool_work work; /* while it is at work: whose it is to be */
    bool placed;              /* it is in the pool */
    bool bound;               /* private chat or basic group: its ids belong to the account */
    int64_t owner;            /* user whose account it was read with so far; 0: no matter */
    bool listed;              /* in the job's list */
    bool derived;             /* a discussion group that nobody asked for by itself */
    struct extract_posts posts; /* that people commented on, while it awaits those */
    uint64_t awaits;          /* number of the task that reads its comments; 0: none does */
    bool awaited;             /* others end with it */
    tg_code end;              /* how it ended last */
    int64_t channel;          /* whose discussion group it is, if that is known; 0 */
    char *channel_what;       /* how an account finds that */
    bool through;             /* it cannot be read: its comments are, through the channel */
    int64_t due_us;           /* not before */
    uint32_t attempts;        /* that failed */
    int64_t rows;             /* committed in this run */
    int64_t fallback_rows, fallback_last_id; /* besides; of fallbacks */
    struct tg_fallback_request fallback;     /* while one is at work */
    int64_t begun_us;         /* first taken up; 0 not yet */
};

enum extract_lane_phase {
    LANE_FIND,
    LANE_BEGIN,
    LANE_RESUME,
    LANE_READ,
    LANE_LEAVE,
    LANE_FALLBACK, /* it has failed, and the failure is told when this is over */
};

/* A chat at work with an account. */
struct extract_lane {
    struct extract_run *run;
    struct extract_account *account;
    struct extract_task *task;
    enum extract_lane_phase phase;
    bool asked;
    bool parked; /* a long wait: it counts for no worker */
    int64_t waiting_us; /* long, and since then; 0: no */
    bool moving; /* it is given up, so that another account goes on with the chat */
    struct tg_history_source *source;
    bool source_done;
    bool failed;
    struct tg_error err;
    struct {
        int64_t at_us, rows;
    } rate[EXTRACT_RATE_SLOTS];
    size_t n_rates;
    double rows_per_s;
    struct extract_held *held; /* batches whose files are not all there, oldest first */
    struct media_renewal *renewal; /* of file references; NULL: none was asked for */
    uint64_t charged; /* requests that its tenant was charged with */
};

struct extract_run {
    /* to be filled in between extract_init and extract_go; borrowed */
    const struct tg_extract_settings *settings; /* `own` once there are steps */
    const struct tg_step_settings *step_settings;
    const struct tg_extract_hooks *hooks;
    struct tg_extract_result *result;
    tg_task_fn on_task; /* may be NULL */
    void *task_ctx;
    struct tg_account *accounts[EXTRACT_ACCOUNTS_MAX];
    size_t n_accounts;
    bool all;     /* the chats that the accounts list, besides the tasks */
    bool (*feed)(void *ctx); /* adds tasks while it reads. @return whether more may come; NULL: none
                                come */
    void *feed_ctx;
    bool by_chat; /* others work at the same job at the same time */
    bool isolate; /* trouble of one chat is no reason to end the run */
    atomic_uint workers; /* chats at work at most; 0: chosen by the number of accounts */

    enum extract_phase phase;
    struct extract_account account[EXTRACT_ACCOUNTS_MAX];
    struct extract_account *stepping; /* whose event it is */
    struct extract_task **task;
    size_t n_tasks, cap_tasks, n_ended, n_posts;
    uint64_t serial; /* number of the newest task */
    struct tg_tasks tasks; /* their order */
    struct tg_pool pool;   /* members: the accounts, by their number within the run */
    size_t next_name;      /* tasks before it were looked up */
    struct tg_job_chat *list; /* of the tasks that were known when reading began */
    struct extract_task *finding; /* the name that is looked up */
    uint32_t finder;              /* account that does */
    bool lost_account;            /* one was set aside since the tasks were looked at */
    struct extract_lane **lane;
    size_t n_lanes;

    struct tg_circuit_chats circuits; /* of the chats; clients ask them */
    bool sink_open;                   /* the breaker of one is, as far as it was told */
    bool sink_away;                   /* one fails, and is waited for */

    struct tg_store store;
    struct tg_letters letters;
    struct extract_series {
        const char *name; /* as in struct tg_sink_env */
        struct tg_sink_env env[TG_SEVERAL_MAX]; /* live as long as the sinks */
        struct tg_letter_box box[TG_SEVERAL_MAX];
        struct tg_sink sink; /* ops NULL: not open */
    } live, beside; /* rows from Telegram; from fallbacks */
    bool falls_back; /* where a breaker is open */
    struct tg_fallbacks fallbacks;
    struct tg_extract_settings own;
    struct tg_steps steps; /* n 0: none */
    const char *shaping[TG_STAGES_MAX]; /* those that are parameters of the job */
    struct tg_taker_steps at_work;
    struct tg_pipeline *pipeline;
    struct tg_observed_run observed;
    struct extract_media *media; /* NULL: files are not wanted */
    struct tg_marks left_out;   /* chats that were told to be left out */
    struct tg_marks unreadable; /* what of replies that belong to no chat is in quarantine */

    tg_code code; /* the first failure that ends the run, else the first of a chat */
    bool fatal;   /* it ends the run */
    struct tg_error err;
    bool stopping;
    int64_t leave_us; /* answers are not awaited any longer; 0: the end is not near */
    int64_t started_us, progress_us, rebalance_us;
    char waiting_for[64]; /* a takeout's delay */
};

static inline uint64_t extract_bit(const struct extract_account *a)
{
    return UINT64_C(1) << a->at;
}

/* ---- extract.c ---- */

/** Makes a run without accounts and tasks; what is given is borrowed until it has ended. */
void extract_init(struct extract_run *r, const struct tg_config *config,
                  const struct tg_extract_hooks *hooks, struct tg_extract_result *result);
/** Runs it to its end, and frees the tasks. */
tg_code extract_go(struct extract_run *r, struct tg_error *err);
void extract_enter(struct extract_run *r, enum extract_phase phase);
/** Keeps the first failure to tell at the end; one that ends the run goes before one of a chat. */
void extract_keep_failure(struct extract_run *r, const struct tg_error *err, bool fatal);
void extract_no_memory(struct extract_run *r);
/** Whether a failure concerns one chat, so that the others go on. */
bool extract_only_this_chat(tg_code code);
/** Whether it is network or server trouble that may be over soon, and the run can wait for that. */
bool extract_may_pass(const struct extract_run *r, tg_code code);
/** Monotonic microseconds. */
int64_t extract_now(void);
/** Something changed for an account: it is stepped soon, unless that is what happens now. */
void extract_touch(struct extract_account *a);
/** From any thread: all accounts are stepped soon. */
void extract_wake(void *run);
/** Sets a record aside that cannot be decoded. */
void extract_bad_record(struct extract_run *r, int64_t chat_id, int64_t id, const char *reason,
                        const void *bytes, size_t len);

/* ---- extract_sinks.c ---- */
/** @return TG_USAGE: one is named twice, or too many are; as tg_sink_open */
tg_code extract_sinks_open(struct extract_run *r, struct tg_error *err);
void extract_sinks_close(struct extract_run *r);

/* ---- extract_accounts.c ---- */
void extract_account_step(struct extract_account *a, int64_t now_us);
/** The account is set aside; its chats go to others. */
void extract_account_out(struct extract_account *a, const struct tg_error *why);
/** Who is to read a private chat or basic group that `a` has found: who lists it, else those whose
 *  lists are not known since their logins are gone, else `a`. @return a bit each */
uint64_t extract_account_whose(struct extract_account *a, int64_t chat_id);
/** Ends its takeout, if it has one. @return whether that is awaited */
bool extract_account_finish(struct extract_account *a, int64_t now_us);

/* ---- extract_tasks.c ---- */
/** @return the new task, or NULL out of memory or past the limit */
struct extract_task *extract_task_add(struct extract_run *r, const char *what);
/** @return the task of that number; NULL */
struct extract_task *extract_task_find(const struct extract_run *r, uint64_t number);
/** Forgets tasks that are done: for runs without end. */
void extract_tasks_prune(struct extract_run *r);
/** @return the task of a chat, if there is one that is not over for good */
struct extract_task *extract_task_of_chat(const struct extract_run *r, int64_t chat_id);
/** The task's chat was found by that account. @return false out of memory */
bool extract_task_named(struct extract_account *a, struct extract_task *t,
                        const struct tg_peer *peer);
/** The task is over; err NULL: it went well. */
void extract_task_tell(struct extract_run *r, struct extract_task *t,
                       const struct extract_account *a, const struct tg_error *err);
/** It has failed, and others go on. */
void extract_task_failed(struct extract_run *r, struct extract_task *t,
                         const struct extract_account *a, const struct tg_error *err);
/** A chat of an account's list. @return false out of memory */
bool extract_task_seen(struct extract_account *a, const struct tg_peer *peer);
/** An account was set aside: what nobody else can read has failed. */
void extract_fail_orphans(struct extract_run *r);
/** @return accounts that may be asked for the task's chat; that are sessions of a user */
uint64_t extract_needs(const struct extract_run *r, const struct extract_task *t);
uint64_t extract_sessions_of(const struct extract_run *r, int64_t user_id);
/** The lane is over: the task has succeeded, waits for another try, or has failed. */
void extract_task_over(struct extract_run *r, struct extract_lane *lane);
/** Lets a task wait, whatever became of it, and stand in line then. @return false out of memory */
bool extract_task_queue(struct extract_run *r, struct extract_task *t, int64_t delay_us);
void extract_tasks_free(struct extract_run *r);

/* ---- extract_names.c ---- */
/** What the accounts have met of the tasks' chats, when all have listed theirs; NULL: of all. */
void extract_tasks_known(struct extract_run *r, struct extract_task *only);
/** Looks one name up after the other. @return whether all are found or given up */
bool extract_find(struct extract_run *r);

/* ---- extract_pool.c ---- */
/** Makes the accounts members of the pool. */
tg_code extract_pool_open(struct extract_run *r, struct tg_error *err);
void extract_pool_close(struct extract_run *r);
/** Starts what may run now, moves what has to move, and sees how the accounts are. */
void extract_dispatch(struct extract_run *r);
/** @return chats at work at most */
uint32_t extract_workers(const struct extract_run *r);
/** What a client tells of calls and connections; other notices are nothing. */
void extract_pool_notice(struct extract_account *a, const struct tgc_notice *n);
/** Its connection failed, and did not come back so far. */
bool extract_is_down(const struct extract_account *a);
/** Its login has ended. */
void extract_pool_out(struct extract_account *a);
/** Another account goes on with a chat that was given up. */
void extract_move_on(struct extract_lane *lane);
/** The task's chat is not at work any more. */
void extract_unplace(struct extract_run *r, struct extract_task *t);
/** @return whether the lane's chat may have one more request under way: some are kept for high
 *  priority */
bool extract_may_ask(const struct extract_lane *lane);

/* ---- extract_circuits.c ---- */
/** Makes the chats' breakers, as an earlier run left them; before the pipeline has the store. */
tg_code extract_circuits_open(struct extract_run *r, struct tg_error *err);
void extract_circuits_close(struct extract_run *r);
/** A breaker changed its state: counted; a chat's is kept. */
void extract_circuit_changed(struct extract_account *a, const struct tg_circuit_change *change);
/** Tells and counts what has become of the destination and its breaker. */
void extract_circuit_news(struct extract_run *r);
/** @return how long the chat's own breaker lets nobody ask about it, microseconds */
int64_t extract_circuit_wait(const struct extract_run *r, int64_t chat_id);
/** @return whether server trouble met with that chat is the chat's own: its breaker is not closed
 */
bool extract_circuit_own(const struct extract_run *r, int64_t chat_id, tg_code code);

/* ---- extract_lane.c ---- */
struct extract_lane *extract_lane_start(struct extract_task *t, struct extract_account *a);
/** @return whether it is over: then extract_task_over, extract_lane_free */
bool extract_lane_step(struct extract_lane *lane, int64_t now_us);
void extract_lane_free(struct extract_lane *lane);
/** @return how long its account must wait before its next request, microseconds */
int64_t extract_lane_wait(const struct extract_lane *lane);
/** @return the accounts that could go on with the chat as it is now, its own included */
uint64_t extract_lane_needs(const struct extract_lane *lane);
/** @return rows that the chat is reckoned to have left; -1 unknown */
int64_t extract_lane_left(const struct extract_lane *lane);

/** It fails, and with it what it has in hand; not from within a callback of its source. */
void extract_lane_fail(struct extract_lane *lane, const struct tg_error *err);

/* ---- extract_media.c ---- */
/** Opens the directory, if files are wanted. */
tg_code extract_media_open(struct extract_run *r, struct tg_error *err);
void extract_media_close(struct extract_run *r);
/** Takes a batch of the lane: it goes to the pipeline behind those before it, once its files are
 *  there. */
void extract_media_put(struct extract_lane *lane, struct tg_batch *batch);
/** What can be done now with that account's connections. */
void extract_media_step(struct extract_account *a, int64_t now_us);
/** Gives back what the lane has in hand. */
void extract_media_drop(struct extract_lane *lane);

/* ---- extract_comments.c ---- */
/** The lane's chat is a channel whose posts are discussed in that group: it is to be read, too. */
void extract_comments_linked(struct extract_lane *lane, int64_t group_id);
/** The lane's source begins behind that id; has met a post with comments; has read it to its end.
 *  Nothing unless the chat is a channel whose comments are read. */
void extract_comments_begin(struct extract_lane *lane, int64_t id);
void extract_comments_post(struct extract_lane *lane, int64_t id);
void extract_comments_read(struct extract_lane *lane, int64_t id);
void extract_comments_forget(struct extract_run *r, struct extract_task *t);
/** @return what is known of the posts of the channel that the task's chat is read through */
struct tg_source_posts extract_comments_posts(const struct extract_run *r,
                                              const struct extract_task *t);
/** The channel is read, or will not be: what waits for that goes on. */
void extract_comments_go_on(struct extract_run *r, const struct extract_task *channel);
/** No account can read the task's chat. @return whether its comments are to be read instead,
 *  through its channel; the task waits for that */
bool extract_comments_through(struct extract_account *a, struct extract_task *t);
/** @return TG_OK if the chat can be gone on with in the way it is to be read: itself, or through
 *  its channel */
tg_code extract_comments_check(const struct extract_task *t, const struct tg_commit *done,
                               struct tg_error *err);
/** @return whether the channel that was read must wait for its comments */
bool extract_comments_await(struct extract_run *r, struct extract_task *channel);
/** A task is over: so are those that waited for it alone. err NULL: it went well */
void extract_comments_ended(struct extract_run *r, const struct extract_task *group,
                            const struct extract_account *a, const struct tg_error *err);

/* ---- extract_fallback.c ---- */

/** Reads and checks the settings. */
tg_code extract_check_fallback(struct extract_run *r, struct tg_error *err);
/** Whether what failed with that error may be read from elsewhere. */
bool extract_falls_back(const struct extract_run *r, const struct tg_error *err);
/** As that, of a lane: it has failed so, and no other account is to be tried. */
bool extract_lane_falls_back(const struct extract_lane *lane);
/** @return whether it is over: then extract_task_over, extract_lane_free */
bool extract_fallback_step(struct extract_lane *lane);
/** An account's chats could not be listed: the job's list has those of earlier runs.
 *  @return whether there are any */
bool extract_list_falls_back(struct extract_account *a);
/** A task's name could not be looked up: if it is an id, the chat is known all the same. */
void extract_name_falls_back(struct extract_account *a, struct extract_task *t,
                             const struct tg_error *err);

/* ---- extract_steps.c ---- */
/** Makes and opens the steps of a run; its settings tell them from then on. */
tg_code extract_steps_open(struct extract_run *r, struct tg_error *err);
void extract_steps_close(struct extract_run *r);
/** The taker has ended: what stages have gathered is told and part of the result.
 *  @return code, or why that failed if the run has ended well */
tg_code extract_steps_end(struct extract_run *r, tg_code code, struct tg_error *err);

/* ---- extract_progress.c ---- */
void extract_tell_progress(struct extract_run *r, bool done);

#endif
