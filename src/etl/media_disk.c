/* SPDX-License-Identifier: MIT */
/*
 * media_disk.c - see media_disk.h
 *
 * An order is one allocation: it travels to the disk thread, becomes the answer there, and travels
 * back. The job's part is the disk thread's alone.
 */
#include "etl/media_disk.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "os/loop.h"
#include "os/proc.h"
#include "os/queue.h"

enum { QUEUE_MAX = 4096 };
#define NAP_US (100 * TG_MS_US)
#define PAUSE_MAX_US (30 * TG_SECOND_US)

enum order_kind { ORDER_BEGIN, ORDER_WRITE, ORDER_FINISH, ORDER_LEAVE, ORDER_NONE };

struct tg_media_job {
    struct tg_row_file file;
    struct tg_media_part *part; /* the disk thread's */
    void *of;
    bool failed; /* the disk thread's */
    struct order *leave; /* set aside, so that leaving cannot fail */
};

struct order {
    enum order_kind kind;
    struct tg_media_job *job;
    void *bytes;
    size_t n;
    char ext[TG_MEDIA_EXT];
    struct tg_media_answer answer;
};

struct tg_media_disk {
    struct tg_media_dir *dir;
    int64_t wait_ms, away_us; /* since then, the disk thread's */
    atomic_bool stopping;
    struct tg_queue *orders, *answers;
    pthread_t thread;
    bool running;
    void (*wake)(void *ctx);
    void *wake_ctx;
};

/* ---- the disk thread ---- */

static void answer(struct tg_media_disk *m, struct order *o)
{
    if (tg_queue_push(m->answers, o, 0) != TG_OK)
        free(o);
    m->wake(m->wake_ctx);
}

/* As struct tg_media_home has it. */
static bool wait_for_home(void *ctx, unsigned n, const struct tg_error *why)
{
    struct tg_media_disk *m = ctx;
    int64_t now_us = tg_clock_mono_us(), pause_us = TG_SECOND_US << TG_MIN(n - 1, 5u);
    struct order *o = n == 1 ? calloc(1, sizeof *o) : NULL;

    if (n == 1)
        m->away_us = now_us;
    if (o) {
        o->kind = ORDER_NONE;
        o->answer.news = TG_MEDIA_AWAY;
        o->answer.err = *why;
        answer(m, o);
    }
    if (m->wait_ms < INT64_MAX / TG_MS_US && now_us - m->away_us >= m->wait_ms * TG_MS_US)
        return false;
    for (int64_t left = TG_MIN(pause_us, PAUSE_MAX_US); left > 0; left -= NAP_US) {
        if (atomic_load(&m->stopping))
            return false;
        tg_sleep_us(TG_MIN(left, NAP_US));
    }
    return true;
}

static tg_code begin(struct tg_media_disk *m, struct order *o, struct tg_error *err)
{
    struct tg_media_job *job = o->job;

    o->answer.news = TG_MEDIA_FOUND;
    if (tg_media_find(m->dir, &job->file, &o->answer.file))
        return TG_OK;
    o->answer.news = TG_MEDIA_BEGUN;
    return tg_media_begin(m->dir, &job->file, &job->part, &o->answer.done, err);
}

static tg_code finish(struct order *o, struct tg_error *err)
{
    struct tg_media_part *part = o->job->part;

    o->answer.news = TG_MEDIA_FOUND;
    o->job->part = NULL;
    return tg_media_finish(part, o->ext, &o->answer.file, err);
}

static void leave(struct tg_media_job *job)
{
    tg_media_leave(job->part);
    job->part = NULL;
}

static void carry_out(struct tg_media_disk *m, struct order *o)
{
    struct tg_error err;
    tg_code code = TG_OK;

    o->answer.of = o->job->of;
    if (o->kind == ORDER_LEAVE) {
        leave(o->job);
        o->answer.news = TG_MEDIA_LEFT;
    } else if (o->job->failed) {
        o->answer.news = TG_MEDIA_WRITTEN; /* nobody waits for it any more */
    } else if (o->kind == ORDER_BEGIN) {
        code = begin(m, o, &err);
    } else if (o->kind == ORDER_FINISH) {
        code = finish(o, &err);
    } else {
        o->answer.news = TG_MEDIA_WRITTEN;
        code = tg_media_write(o->job->part, o->bytes, o->n, &err);
    }
    free(o->bytes);
    o->bytes = NULL;
    if (code == TG_OK)
        return;
    leave(o->job);
    o->job->failed = true;
    o->answer.news = TG_MEDIA_FAILED;
    o->answer.err = err;
}

static void *disk_thread(void *ctx)
{
    struct tg_media_disk *m = ctx;
    uint64_t bytes;
    void *item;

    while (tg_queue_pop(m->orders, INT64_MAX, &item, &bytes) == TG_OK) {
        carry_out(m, item);
        answer(m, item);
    }
    return NULL;
}

/* ---- the loop thread ---- */

static bool send(struct tg_media_disk *m, struct order *o)
{
    if (o && tg_queue_push(m->orders, o, 0) == TG_OK)
        return true;
    if (o)
        free(o->bytes);
    free(o);
    return false;
}

static struct order *new_order(enum order_kind kind, struct tg_media_job *job)
{
    struct order *o = calloc(1, sizeof *o);

    if (o) {
        o->kind = kind;
        o->job = job;
    }
    return o;
}

tg_code tg_media_disk_new(const char *place, int64_t wait_ms, void (*wake)(void *ctx), void *ctx,
                          struct tg_media_disk **ret, struct tg_error *err)
{
    struct tg_media_disk *m = calloc(1, sizeof *m);
    tg_code code;

    if (!m)
        return tg_fail(err, TG_NOMEM, "no memory to write files");
    m->wake = wake;
    m->wake_ctx = ctx;
    m->wait_ms = wait_ms;
    m->orders = tg_queue_new(QUEUE_MAX, UINT64_MAX);
    m->answers = tg_queue_new(QUEUE_MAX, UINT64_MAX);
    code = m->orders && m->answers ? tg_media_dir_open(&tg_fs_system, place,
                                                       tg_clock_unix_us() / TG_SECOND_US, &m->dir,
                                                       err)
                                   : tg_fail(err, TG_NOMEM, "no memory to write files");
    if (code == TG_OK) {
        tg_media_dir_home(m->dir)->wait = wait_for_home;
        tg_media_dir_home(m->dir)->ctx = m;
        code = tg_thread_start(&m->thread, "tg-media", disk_thread, m, err);
    }
    m->running = code == TG_OK;
    if (code != TG_OK) {
        tg_media_disk_free(m);
        return code;
    }
    *ret = m;
    return TG_OK;
}

void tg_media_disk_free(struct tg_media_disk *m)
{
    struct tg_media_answer answer;

    if (!m)
        return;
    atomic_store(&m->stopping, true);
    if (m->orders)
        tg_queue_close(m->orders);
    if (m->running)
        pthread_join(m->thread, NULL);
    while (m->answers && tg_media_disk_answer(m, &answer)) {
        /* nobody wants it any more */
    }
    tg_media_dir_close(m->dir);
    tg_queue_free(m->orders);
    tg_queue_free(m->answers);
    free(m);
}

struct tg_media_job *tg_media_disk_begin(struct tg_media_disk *m, const struct tg_row_file *file,
                                         void *of)
{
    struct tg_media_job *job = calloc(1, sizeof *job);

    if (!job)
        return NULL;
    job->file = *file;
    job->of = of;
    job->leave = new_order(ORDER_LEAVE, job);
    if (!job->leave || !send(m, new_order(ORDER_BEGIN, job))) {
        free(job->leave);
        free(job);
        return NULL;
    }
    return job;
}

bool tg_media_disk_write(struct tg_media_disk *m, struct tg_media_job *job, void *bytes, size_t n)
{
    struct order *o = new_order(ORDER_WRITE, job);

    if (!o) {
        free(bytes);
        return false;
    }
    o->bytes = bytes;
    o->n = n;
    return send(m, o);
}

bool tg_media_disk_finish(struct tg_media_disk *m, struct tg_media_job *job, const char *ext)
{
    struct order *o = new_order(ORDER_FINISH, job);

    if (o && strlen(ext) < sizeof o->ext)
        memcpy(o->ext, ext, strlen(ext) + 1);
    return send(m, o);
}

void tg_media_disk_leave(struct tg_media_disk *m, struct tg_media_job *job)
{
    send(m, job->leave);
}

bool tg_media_disk_answer(struct tg_media_disk *m, struct tg_media_answer *ret)
{
    struct order *o;
    uint64_t bytes;
    void *item;

    if (tg_queue_pop(m->answers, 0, &item, &bytes) != TG_OK)
        return false;
    o = item;
    *ret = o->answer;
    if (o->kind == ORDER_LEAVE)
        free(o->job);
    free(o);
    return true;
}
