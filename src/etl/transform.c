/* SPDX-License-Identifier: MIT */
/*
 * transform.c - a run of stages over what a destination holds; see tgdata/transform.h
 *
 *   source: chats -> its commits -> rows -> one segment at a time -> taker: stages, destination
 *
 * All on one thread. What is read of a chat ends where its commits ended when it was begun
 * (transform_chat.c): rows that come meanwhile are for the next run.
 */
#include "tgdata/transform.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/random.h"
#include "etl/transform_impl.h"
#include "os/loop.h"

#define PROGRESS_US (200 * TG_MS_US)
enum { CHATS_MAX = 100000 };

/* ---- what was asked for ---- */

/* @return the value of an option in a URL, without its end; {NULL, 0} if it is not given */
static struct tg_str option_of(const char *url, const char *name)
{
    const char *at = strchr(url, '?');
    size_t n = strlen(name);

    for (; at; at = strchr(at + 1, '&'))
        if (strncmp(at + 1, name, n) == 0 && at[1 + n] == '=')
            return (struct tg_str){ at + n + 2, (uint32_t)strcspn(at + n + 2, "&") };
    return (struct tg_str){ NULL, 0 };
}

/* Whether two URLs name one place, however its path is written. Several tables may stand in one
 * database. */
static bool same_place(const char *a, const char *b)
{
    static const char *const part[] = { "table", "schema", "prefix" };
    size_t na = strcspn(a, "?"), nb = strcspn(b, "?"), driver = strcspn(a, ":");
    char *one = strndup(a, na), *other = strndup(b, nb), *x = NULL, *y = NULL;
    bool same = false;

    for (size_t i = 0; i < TG_COUNT(part); i++)
        if (!tg_str_eq(option_of(a, part[i]), option_of(b, part[i])))
            goto done;
    if (!one || !other || strncmp(a, b, driver + 1) != 0)
        goto done;
    x = realpath(one + driver + 1, NULL);
    y = realpath(other + driver + 1, NULL);
    same = x && y ? strcmp(x, y) == 0 : strcmp(one, other) == 0;
done:
    free(one);
    free(other);
    free(x);
    free(y);
    return same;
}

static tg_code check(struct tg_transform *t, struct tg_error *err)
{
    const struct tg_transform_request *q = t->request;

    if (!q->from) {
        tg_fail(err, TG_USAGE, "no source is named");
        return tg_hint(err, "name what an extraction has written, such as ndjson:DIR");
    }
    if (!t->settings.to) {
        tg_fail(err, TG_USAGE, "no destination is given");
        return tg_hint(err, "say where to, such as --to parquet:DIR");
    }
    if (t->settings.destinations.n > 1) {
        tg_fail(err, TG_USAGE, "more than one destination is given");
        return tg_hint(err, "transform once for each, with a --job of its own");
    }
    if (same_place(q->from, t->settings.to)) {
        tg_fail(err, TG_USAGE, "source and destination are one: %.200s", q->from);
        return tg_hint(err, "write to another directory, table or file");
    }
    return tg_job_name_check(t->settings.job, err);
}

/* Those of the request, else of the settings, else rows are decoded anew. */
static tg_code open_steps(struct tg_transform *t, const struct tg_step_settings *set,
                          struct tg_error *err)
{
    const struct tg_transform_request *q = t->request;
    const struct tg_step decode = { .stage = "decode" };
    tg_code code = TG_OK;

    tg_steps_init(&t->steps);
    for (size_t i = 0; code == TG_OK && i < q->n_stages; i++)
        code = tg_steps_add(&t->steps, &(struct tg_step){ .stage = q->stage[i] }, err);
    if (code == TG_OK && !q->n_stages)
        code = tg_steps_set(&t->steps, set, err);
    if (code == TG_OK && !t->steps.n)
        code = tg_steps_add(&t->steps, &decode, err);
    t->settings.stage = t->steps.texts.text;
    t->settings.n_stages = t->steps.texts.n;
    t->at_work = (struct tg_taker_steps){ .all = &t->steps, .decoder = &t->decoder };
    return code == TG_OK ? tg_taker_steps_open(&t->at_work, false, err) : code;
}

tg_code tg_transform_new(const struct tg_config *config,
                         const struct tg_transform_request *request, struct tg_transform **ret,
                         struct tg_error *err)
{
    struct tg_transform *t = calloc(1, sizeof *t);
    tg_code code;

    if (!t)
        return tg_fail(err, TG_NOMEM, "no memory for a run");
    t->request = request;
    t->settings = config->extract;
    t->settings.source = request->from;
    code = tg_config_check(config, err);
    if (code == TG_OK)
        code = check(t, err);
    if (code == TG_OK)
        code = open_steps(t, &config->steps, err);
    if (code == TG_OK)
        *ret = t;
    else
        tg_transform_free(t);
    return code;
}

void tg_transform_stop(struct tg_transform *t)
{
    atomic_store(&t->stop, true);
}

/* ---- which chats ---- */

static tg_code add_chat(struct tg_transform *t, int64_t id, const char *job, struct tg_error *err)
{
    struct transform_chat *more;

    if (t->n_chats == CHATS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d chats", CHATS_MAX);
    more = reallocarray(t->chat, t->n_chats + 1, sizeof *more);
    if (more)
        t->chat = more;
    if (!more || !(job = strdup(job)))
        return tg_fail(err, TG_NOMEM, "no memory for the chats of a run");
    t->chat[t->n_chats++] = (struct transform_chat){ .id = id, .job = (char *)(uintptr_t)job };
    return TG_OK;
}

static bool is_wanted(const struct tg_transform *t, int64_t id, const char *job)
{
    const struct tg_transform_request *q = t->request;
    bool wanted = q->n_chats == 0;

    for (size_t i = 0; i < q->n_chats && !wanted; i++) {
        int64_t named;

        wanted = tg_i64_parse(q->chat[i], &named) && named == id;
    }
    return wanted && (!q->from_job || strcmp(q->from_job, job) == 0);
}

static bool on_chat(void *ctx, int64_t id, const char *job)
{
    struct tg_transform *t = ctx;

    if (is_wanted(t, id, job))
        t->code = add_chat(t, id, job, &t->err);
    return t->code == TG_OK;
}

static bool has_chat(const struct tg_transform *t, int64_t id)
{
    for (size_t i = 0; i < t->n_chats; i++)
        if (t->chat[i].id == id)
            return true;
    return false;
}

static tg_code not_there(const struct tg_transform *t, int64_t id, struct tg_error *err)
{
    const char *job = t->request->from_job;

    tg_fail(err, TG_NOT_FOUND, "there is no chat %lld%s%.60s in %.160s", (long long)id,
            job ? " of job " : "", job ? job : "", t->request->from);
    return tg_hint(err, "name chats by the ids that the field chat_id has there; leave --chat out "
                        "for all of them");
}

/* Chats that were named must be there; a source that cannot tell what it has is believed. */
static tg_code find_named(struct tg_transform *t, bool told, struct tg_error *err)
{
    const struct tg_transform_request *q = t->request;
    tg_code code = TG_OK;

    for (size_t i = 0; code == TG_OK && i < q->n_chats; i++) {
        int64_t id;

        if (!tg_i64_parse(q->chat[i], &id)) {
            tg_fail(err, TG_USAGE, "'%.80s' is no id of a chat", q->chat[i]);
            return tg_hint(err, "give marked ids, as the field chat_id has them");
        }
        if (!told && !has_chat(t, id))
            code = add_chat(t, id, q->from_job ? q->from_job : "default", err);
        else if (!has_chat(t, id))
            code = not_there(t, id, err);
    }
    return code;
}

static tg_code find_chats(struct tg_transform *t, struct tg_error *err)
{
    const struct tg_transform_request *q = t->request;
    bool told;
    tg_code code = transform_open_source(t, q->from_job ? q->from_job : "default", err);

    if (code != TG_OK)
        return code;
    told = t->source.ops->chats != NULL;
    if (!told && !q->n_chats) {
        tg_fail(err, TG_USAGE, "%.160s does not tell which chats it has", q->from);
        return tg_hint(err, "name them: --chat ID, and their job: --from-job NAME");
    }
    code = told ? t->source.ops->chats(t->source.self, on_chat, t, err) : TG_OK;
    if (code == TG_OK && t->code != TG_OK) {
        *err = t->err;
        code = t->code;
    }
    if (code == TG_OK)
        code = find_named(t, told, err);
    if (code == TG_OK && !t->n_chats) {
        tg_fail(err, TG_NOT_FOUND, "there are no rows in %.200s%s%.60s", q->from,
                q->from_job ? " of job " : "", q->from_job ? q->from_job : "");
        tg_hint(err, "name the place as the extraction's --to named it");
        code = err->code;
    }
    return code;
}

/* ---- the run ---- */

static int64_t sink_clock(void *ctx)
{
    (void)ctx;
    return tg_clock_unix_us();
}

/* While the destination is waited for. */
static void meanwhile(void *ctx)
{
    struct tg_transform *t = ctx;

    if (atomic_load(&t->stop))
        atomic_store(&t->taker.circuit.hurry, true);
    t->waits = true;
    transform_tell(t, false);
    t->waits = false;
}

static tg_code open_all(struct tg_transform *t, struct tg_error *err)
{
    const struct tg_random random = tg_random_system();
    size_t n = (size_t)t->settings.batch_size;
    tg_code code = tg_store_open(t->settings.state, &t->store, err);

    if (code == TG_OK)
        code = tg_raw_decoder_init(&t->decoder, n, err);
    if (code != TG_OK)
        return code;
    tg_letters_init(&t->letters, &t->store, t->settings.job, tg_clock_unix_us);
    t->has_letters = true;
    t->letter_box = (struct tg_letter_box){ &t->letters, t->settings.to, NULL };
    t->at_work.live.box = &t->letter_box;
    t->at_work.live.n_boxes = 1;
    t->sink_env = (struct tg_sink_env){ .job = t->settings.job,
                                        .fs = &tg_fs_system,
                                        .unix_us = sink_clock,
                                        .refuse = tg_letter_keep,
                                        .ctx = &t->letter_box };
    code = tg_sink_open(t->settings.to, &t->sink_env, &t->sink, err);
    t->batch = code == TG_OK ? tg_batch_new(n) : NULL;
    if (code == TG_OK && !t->batch)
        code = tg_fail(err, TG_NOMEM, "no memory for a batch");
    t->taker = (struct tg_taker){
        .job = &t->settings,
        .store = &t->store,
        .sink = &t->sink,
        .letters = &t->letters,
        .steps = &t->at_work,
        .unix_us = tg_clock_unix_us,
        .nonce = (uint32_t)tg_random_u64(&random),
        .observer = t->hooks->observer,
        .trace = t->observed.trace,
        .wait = { .most_ms = t->settings.destination_wait_ms, .meanwhile = meanwhile, .ctx = t },
    };
    pthread_mutex_init(&t->taker.circuit.lock, NULL);
    return code;
}

static tg_code list_chats(struct tg_transform *t, struct tg_error *err)
{
    struct tg_job_chat *list = calloc(t->n_chats, sizeof *list);
    tg_code code;

    if (!list)
        return tg_fail(err, TG_NOMEM, "no memory for the chats of a run");
    for (size_t i = 0; i < t->n_chats; i++)
        list[i] = (struct tg_job_chat){ .id = t->chat[i].id, .title = "" };
    code = tg_taker_list(&t->taker, list, t->n_chats, err);
    free(list);
    return code;
}

static tg_code run_chats(struct tg_transform *t, struct tg_error *err)
{
    struct tg_error late;
    tg_code ended, code = tg_taker_start(&t->taker, err);

    if (code != TG_OK)
        return code;
    code = list_chats(t, err);
    for (t->at = 0; code == TG_OK && t->at < t->n_chats && !atomic_load(&t->stop); t->at++)
        code = transform_chat(t, &t->chat[t->at], err);
    t->at -= t->at == t->n_chats;
    if (code == TG_OK && atomic_load(&t->stop))
        code = tg_fail(err, TG_CANCELLED, "stopped");
    ended = tg_taker_end(&t->taker, &late);
    if (ended != TG_OK && (code == TG_OK || code == TG_CANCELLED)) {
        *err = late;
        code = ended;
    }
    return code;
}

static void fill_result(struct tg_transform *t)
{
    struct tg_transform_result *r = t->result;
    const struct tg_stage_counts *n = &t->at_work.counts;

    r->rows = t->taker.rows;
    r->checkpoints = t->taker.commits;
    r->bytes_out = t->sink.ops ? t->sink.ops->bytes(t->sink.self) : 0;
    r->dropped = n->dropped - n->aside;
    r->set_aside = n->aside;
    r->decoded = n->decoded;
    r->no_raw = n->no_raw;
    r->undecoded = n->undecoded;
    memcpy(r->undecoded_why, n->why, sizeof r->undecoded_why);
    r->failed = n->failed;
    memcpy(r->failed_why, n->failed_why, sizeof r->failed_why);
    r->refused = t->has_letters ? t->letters.n : 0;
    r->seconds = (double)(tg_clock_mono_us() - t->started_us) / 1e6;
}

/* What stages have gathered; also of a run that failed. */
static tg_code report(struct tg_transform *t, tg_code code, struct tg_error *err)
{
    const struct tg_stage_report run = { t->settings.job, t->settings.state, code == TG_OK };
    struct tg_error late;
    tg_code told;

    told = tg_taker_steps_end(&t->at_work, &run, &t->result->quality, &late);
    if (told == TG_OK || code != TG_OK)
        return code;
    *err = late;
    return told;
}

/* The same for the observer, and what it has to say. */
static void tell_observer(struct tg_transform *t, bool done)
{
    const struct tg_pipeline_state state = {
        .rows = t->taker.rows,
        .batches = t->batches,
        .commits = t->taker.commits,
        .bytes_out = t->sink.ops->bytes(t->sink.self),
    };
    char news[TG_OBSERVE_NEWS];

    if (!t->observed.to)
        return;
    t->result->quality.rows = t->at_work.counts.judged;
    t->result->quality.invalid = t->at_work.counts.invalid;
    tg_observed_pipeline(&t->observed, &state, 0, t->letters.n);
    tg_observed_quality(&t->observed, &t->result->quality, t->at_work.counts.aside);
    tg_observe_set(t->observed.to, TG_METRIC_CHATS, NULL, NULL, (double)t->n_chats);
    tg_observe_set(t->observed.to, TG_METRIC_CHATS_DONE, NULL, NULL, (double)t->result->chats);
    tg_observe_set(t->observed.to, TG_METRIC_CHATS_AT_WORK, NULL, NULL, !done);
    tg_observe_ready(t->observed.to, done ? "the run has ended"
                                     : t->waits ? "the destination is waited for" : NULL);
    while (tg_observe_news(t->observed.to, news))
        if (t->hooks->note)
            t->hooks->note(t->hooks->ctx, &(struct tg_note){ .kind = TG_NOTE_WARNING,
                                                             .text = news });
}

void transform_tell(struct tg_transform *t, bool done)
{
    const struct transform_chat *c = t->n_chats ? &t->chat[t->at] : NULL;
    int64_t now = tg_clock_mono_us();
    struct tg_progress p = { .eta_s = -1, .expected = -1, .done = done, .n_chats = t->n_chats };
    char title[32];

    if (!c || (!done && now < t->progress_us))
        return;
    t->progress_us = now + PROGRESS_US;
    tell_observer(t, done);
    if (!t->hooks->progress)
        return;
    snprintf(title, sizeof title, "%lld", (long long)c->id);
    p.chat_id = c->id;
    p.title = title;
    p.chat_index = t->at;
    p.n_done = t->result->chats;
    p.rows = (int64_t)c->read;
    p.expected = (int64_t)TG_MAX(c->expected, c->read);
    p.rows_total = (int64_t)t->result->rows_read;
    p.rows_per_s = now > t->started_us ? (double)p.rows_total * 1e6 / (double)(now - t->started_us)
                                       : 0;
    if (p.rows_per_s > 0)
        p.eta_s = (double)(p.expected - p.rows) / p.rows_per_s;
    p.waiting_for = t->waits ? "destination" : NULL;
    p.bytes_out = t->sink.ops->bytes(t->sink.self);
    t->hooks->progress(t->hooks->ctx, &p);
}

tg_code tg_transform_run(struct tg_transform *t, const struct tg_transform_hooks *hooks,
                         struct tg_transform_result *ret, struct tg_error *err)
{
    tg_code code;

    assert(!t->started_us);
    *ret = (struct tg_transform_result){ 0 };
    t->hooks = hooks;
    t->result = ret;
    t->started_us = tg_clock_mono_us();
    tg_observed_run_begin(&t->observed, hooks->observer, t->settings.job,
                          TG_TRACE_TRANSFORM);
    code = find_chats(t, err);
    if (code == TG_OK)
        code = open_all(t, err);
    if (code == TG_OK)
        code = run_chats(t, err);
    fill_result(t);
    if (t->batch) {
        code = report(t, code, err);
        transform_tell(t, true);
    }
    tg_observed_run_end(&t->observed, ret->rows, code == TG_OK ? NULL : err);
    return code;
}

void tg_transform_free(struct tg_transform *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n_chats; i++)
        free(t->chat[i].job);
    free(t->chat);
    tg_taker_steps_close(&t->at_work);
    tg_steps_done(&t->steps);
    if (t->source.ops)
        tg_sink_close(&t->source);
    if (t->sink.ops)
        tg_sink_close(&t->sink);
    if (t->has_letters)
        tg_letters_done(&t->letters);
    if (t->store.ops)
        tg_store_close(&t->store);
    if (t->taker.job)
        pthread_mutex_destroy(&t->taker.circuit.lock);
    tg_batch_free(t->batch);
    tg_raw_decoder_done(&t->decoder);
    free(t);
}
