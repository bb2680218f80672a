/* SPDX-License-Identifier: MIT */
/*
 * verify.c - is what a job delivered complete? The destination is read again, and the server asked
 *
 * Completeness is proved by contiguity: every commit says which ids the replies behind it covered,
 * and each must begin where the one before ended. The rows are read from the destination, not from
 * the job's notes. The server's count is told beside them as a hint: it counts what it likes.
 *
 * The chats are those that the job was asked for (joblist.h) and those that have a checkpoint: one
 * that was never begun is as incomplete as one that was broken off. What stands in the way of one
 * chat's check is told with that chat, and the others are checked all the same.
 *
 * Without an account the server is not asked: what was delivered is proved all the same.
 *
 * A job that has a checkpoint of TG_CHAT_CHANGES is one of changes: verify_changes.c.
 */
#include <stdlib.h>

#include "etl/joblist.h"
#include "etl/verify_impl.h"

enum { CHATS_MAX = 1000000 };

struct verify {
    struct verify_target *target;
    size_t n, cap;
    bool no_memory;
    struct tg_error offline;  /* why the server is not asked any longer; code OK: it is */
    struct tg_error failure;  /* the first that kept a chat from being checked */
    size_t n_failed, n_incomplete, n_without_files;
    bool changes;             /* of a job of changes */
};

/* ---- which chats ---- */

static bool add_target(struct verify *v, int64_t id, const char *title)
{
    char *copy = strdup(title);

    if (copy && v->n == v->cap) {
        size_t cap = v->cap ? v->cap * 2 : 8;
        struct verify_target *more =
            cap > CHATS_MAX ? NULL : reallocarray(v->target, cap, sizeof *more);

        if (!more) {
            free(copy);
            copy = NULL;
        } else {
            v->target = more;
            v->cap = cap;
        }
    }
    v->no_memory = !copy;
    if (copy) {
        v->target[v->n] = (struct verify_target){ id, v->n, copy };
        v->n++;
    }
    return copy != NULL;
}

static bool on_listed(void *ctx, const struct tg_job_chat *chat)
{
    return add_target(ctx, chat->id, chat->title);
}

static bool on_checkpoint(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                          size_t len)
{
    (void)doc;
    (void)bytes;
    (void)len;
    return add_target(ctx, strtoll(strrchr(key, '/') + 1, NULL, 10), "");
}

static int by_id(const void *a, const void *b)
{
    const struct verify_target *x = a, *y = b;

    return x->id != y->id ? (x->id > y->id) - (x->id < y->id) : x->order < y->order ? -1 : 1;
}

static int by_order(const void *a, const void *b)
{
    const struct verify_target *x = a, *y = b;

    return x->order < y->order ? -1 : x->order > y->order;
}

static void drop_doubles(struct verify *v)
{
    size_t n = 0;

    if (v->n == 0)
        return;
    qsort(v->target, v->n, sizeof *v->target, by_id);
    for (size_t i = 0; i < v->n; i++) {
        if (n && v->target[n - 1].id == v->target[i].id)
            free(v->target[i].title);
        else
            v->target[n++] = v->target[i];
    }
    v->n = n;
    qsort(v->target, n, sizeof *v->target, by_order);
}

static tg_code gather(struct verify *v, const struct tg_store *store, const char *job,
                      struct tg_error *err)
{
    char prefix[TG_JOB_NAME_MAX + 2];
    tg_code code = tg_joblist_read(store, job, on_listed, v, err);

    memcpy(prefix, job, strlen(job));
    memcpy(prefix + strlen(job), "/", 2);
    if (code == TG_OK && !v->no_memory)
        code = store->ops->list(store->self, "checkpoint", prefix, on_checkpoint, v, err);
    if (code == TG_OK && v->no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for the list of chats");
    drop_doubles(v);
    return code;
}

/* ---- one chat ---- */

/* Failures that end the whole check. */
static bool ends_all(tg_code code)
{
    return code == TG_CANCELLED || code == TG_NOMEM;
}

/* Failures that the next chat would meet as well, after another wait. */
static bool ends_asking(tg_code code)
{
    return tg_code_type(code) == TG_TYPE_NETWORK || code == TG_AUTH;
}

/* @return TG_OK, also with a failure that concerns this chat; it is in info.failure then */
static tg_code check_chat(struct verify *v, struct verify_chat *c, struct tg_error *err)
{
    bool proved;
    tg_code code = verify_destination(c, err);

    if (ends_all(code))
        return code;
    proved = code == TG_OK && c->info.finished && !c->info.gaps && !c->info.duplicates &&
             !c->info.media_bad;
    if (code == TG_OK && (!c->account || c->info.by_post)) {
        c->info.complete = proved; /* by_post: the account cannot read that group */
        return TG_OK;
    }
    if (code == TG_OK && v->offline.code != TG_OK) {
        *err = v->offline;
        code = err->code;
    } else if (code == TG_OK) {
        code = verify_server(c, err);
        if (ends_asking(code))
            v->offline = *err;
    }
    if (ends_all(code))
        return code;
    c->info.complete = proved;
    c->info.failure = code == TG_OK ? NULL : err;
    return TG_OK;
}

static void count(struct verify *v, const struct tg_verify_info *info)
{
    const struct tg_error *failure = info->failure;
    bool found = failure && (failure->code == TG_GAP || failure->code == TG_CORRUPT);

    v->n_incomplete += found || (!info->complete && !failure);
    v->n_without_files += info->media_bad && info->finished && !info->gaps && !info->duplicates;
    if (!failure || found)
        return;
    if (v->n_failed++ == 0)
        v->failure = *failure;
}

static tg_code verdict(const struct verify *v, const char *job, struct tg_error *err)
{
    if (v->n_incomplete) {
        tg_fail(err, TG_GAP, "job '%s' is not complete: %zu of %zu chats", job, v->n_incomplete,
                v->n);
        return tg_hint(err, "%s", v->changes ? "run `tgdata delta` or `tgdata stream` of that job "
                                               "again, then verify"
                                  : v->n_without_files == v->n_incomplete
                                      ? "does --media name the DIR of the extraction? Files that "
                                        "are gone come again with a job of another name"
                                      : "run the extraction again; it goes on where it stopped");
    }
    if (v->n_failed) {
        *err = v->failure;
        tg_fail(err, v->failure.code, "%zu of %zu chats could not be checked: %.240s", v->n_failed,
                v->n, v->failure.message);
        return tg_hint(err, "%s", v->failure.hint);
    }
    return TG_OK;
}

static const char *title_of(const struct tg_account *a, int64_t chat_id, const char *listed)
{
    const struct tg_peer *peer = a ? tg_peers_get(&a->session.peers, chat_id) : NULL;

    return peer && peer->name && *peer->name ? peer->name : listed;
}

static tg_code verify_all(struct verify *v, const struct verify_chat *with, tg_verify_fn seen,
                          void *ctx, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < v->n; i++) {
        struct verify_chat c = *with;
        struct tg_error failure;

        c.info = (struct tg_verify_info){
            .chat_id = v->target[i].id,
            .server_count = -1,
            .title = v->target[i].title,
        };
        code = check_chat(v, &c, &failure);
        c.info.title = title_of(c.account, c.info.chat_id, c.info.title);
        if (code != TG_OK) {
            *err = failure;
            break;
        }
        count(v, &c.info);
        seen(ctx, &c.info);
    }
    return code == TG_OK ? verdict(v, with->job, err) : code;
}

/* ---- a job of changes ---- */

/* Takes the pseudo chat out of the list. @return whether it was there */
static bool take_changes(struct verify *v)
{
    for (size_t i = 0; i < v->n; i++) {
        if (v->target[i].id != TG_CHAT_CHANGES)
            continue;
        free(v->target[i].title);
        v->n--;
        memmove(&v->target[i], &v->target[i + 1], (v->n - i) * sizeof v->target[i]);
        return true;
    }
    return false;
}

static tg_code verify_job_of_changes(struct verify *v, const struct verify_chat *with,
                                     tg_verify_fn seen, void *ctx, struct tg_error *err)
{
    struct verify_job job = { .account = with->account, .store = with->store, .job = with->job,
                              .target = v->target, .n = v->n };
    tg_code code = TG_OK;

    if (with->media)
        return tg_fail(err, TG_UNSUPPORTED, "files of a job of changes cannot be verified");
    if (!with->account) {
        tg_fail(err, TG_UNSUPPORTED, "'%s' is a job of changes: only the server knows whether they "
                "are all there", with->job);
        return tg_hint(err, "verify it with the account");
    }
    job.info = calloc(v->n + 1, sizeof *job.info);
    job.failure = calloc(v->n + 1, sizeof *job.failure);
    if (!job.info || !job.failure)
        code = tg_fail(err, TG_NOMEM, "no memory for the list of chats");
    for (size_t i = 0; code == TG_OK && i < v->n; i++)
        job.info[i] = (struct tg_verify_info){ .chat_id = v->target[i].id, .server_count = -1 };
    if (code == TG_OK)
        code = verify_changes(&job, err);
    for (size_t i = 0; code == TG_OK && i < v->n; i++) {
        job.info[i].title = title_of(with->account, v->target[i].id, v->target[i].title);
        count(v, &job.info[i]);
        seen(ctx, &job.info[i]);
    }
    free(job.info);
    free(job.failure);
    return code == TG_OK ? verdict(v, with->job, err) : code;
}

tg_code tg_verify(struct tg_account *a, const char *state_url, const char *job, const char *media,
                  tg_verify_fn seen, void *ctx, struct tg_error *err)
{
    struct verify v = { .n = 0 };
    struct tg_store store;
    const struct verify_chat with = { .account = a, .store = &store, .job = job,
                                      .media = media };
    tg_code code = tg_job_name_check(job, err);

    if (code == TG_OK && a)
        code = tg_account_who(a, err);
    if (code == TG_OK)
        code = tg_store_open_existing(state_url, TG_STORE_LOOK, &store, err);
    if (code != TG_OK)
        return code;
    code = gather(&v, &store, job, err);
    if (code == TG_OK && !v.n) {
        tg_fail(err, TG_NOT_FOUND, "job '%s' is not in %s", job,
                tg_store_shown(state_url).text);
        code = tg_hint(err, "`tgdata checkpoints list` shows the jobs that there are");
    }
    v.changes = code == TG_OK && take_changes(&v);
    if (code == TG_OK)
        code = (v.changes ? verify_job_of_changes : verify_all)(&v, &with, seen, ctx, err);
    for (size_t i = 0; i < v.n; i++)
        free(v.target[i].title);
    free(v.target);
    tg_store_close(&store);
    return code;
}
