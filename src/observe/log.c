/* SPDX-License-Identifier: MIT */
/*
 * log.c - see tgdata/log.h
 *
 * Each record is one write, so that lines of several threads do not tear each other.
 *
 * Threads: the lock guards what is followed; else nothing changes after tg_log_open but `silent`
 */
#include "tgdata/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/settings.h"
#include "observe/log_text.h"
#include "observe/observer.h"
#include "os/loop.h"
#include "os/queue.h"

enum { RECORD_MAX = 64 << 10 };

struct tg_log {
    enum tg_log_format format;
    enum tg_log_level level;
    char job[96];
    int journal;        /* -1: none */
    atomic_bool silent; /* the journal has taken nothing the last time: it is told once */
    char socket[sizeof((struct sockaddr_un *)0)->sun_path];

    pthread_mutex_t lock;
    struct tg_observer *follows; /* NULL: none */
    struct tg_span_link last;    /* of the last run of the one before; span 0: none */
};

static struct tg_log_of belongs_to(struct tg_log *log, const struct tg_log_record *r)
{
    struct tg_log_of ret = { .job = log->job };

    pthread_mutex_lock(&log->lock);
    if (!tg_observe_where(log->follows, r->chat_id, &ret.span))
        ret.span = log->last;
    pthread_mutex_unlock(&log->lock);
    return ret;
}

static void put_line(struct tg_log *log, const struct tg_log_record *r)
{
    const struct tg_log_of of = belongs_to(log, r);
    struct tg_buf line;
    size_t at = 0;

    tg_buf_init(&line, RECORD_MAX);
    if (log->format == TG_LOG_JSON)
        tg_log_put_json(&line, r, &of, tg_clock_unix_us());
    else
        tg_log_put_text(&line, r, log->job, tg_clock_unix_us());
    while (!line.failed && at < line.len) {
        ssize_t n = write(STDERR_FILENO, line.data + at, line.len - at);

        if (n <= 0 && errno != EINTR)
            break; /* nobody is left to be told */
        at += n > 0 ? (size_t)n : 0;
    }
    tg_buf_done(&line);
}

/* @return whether the journal has it */
static bool put_journal(struct tg_log *log, const struct tg_log_record *r)
{
    const struct tg_log_of of = belongs_to(log, r);
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    struct tg_buf entry;
    bool sent = false;

    memcpy(to.sun_path, log->socket, sizeof to.sun_path);
    tg_buf_init(&entry, RECORD_MAX);
    tg_log_put_journal(&entry, r, &of);
    if (!entry.failed)
        sent = sendto(log->journal, entry.data, entry.len, MSG_NOSIGNAL,
                      (const struct sockaddr *)&to, sizeof to) == (ssize_t)entry.len;
    tg_buf_done(&entry);
    return sent;
}

tg_code tg_log_open(const struct tg_config *config, struct tg_log **ret, struct tg_error *err)
{
    const struct timeval patience = { .tv_usec = 100000 }; /* it may be busy, or hang */
    const struct tg_monitor_settings *set = &config->monitor;
    struct tg_log *log;
    tg_code code = tg_config_check(config, err);

    if (code != TG_OK)
        return code;
    if (strlen(set->journal_socket) >= sizeof log->socket) {
        tg_fail(err, TG_USAGE, "the path of the journal's socket is too long");
        return tg_hint(err, "it has at most %zu characters", sizeof log->socket - 1);
    }
    log = calloc(1, sizeof *log);
    if (!log)
        return tg_fail(err, TG_NOMEM, "no memory for a log");
    pthread_mutex_init(&log->lock, NULL);
    log->format = (enum tg_log_format)set->log_format;
    log->level = (enum tg_log_level)set->log_level;
    log->journal = -1;
    if (log->format == TG_LOG_JOURNALD)
        log->journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (log->journal >= 0 &&
        setsockopt(log->journal, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) != 0) {
        /* then a journal that stands still is waited for */
    }
    snprintf(log->job, sizeof log->job, "%s", config->extract.job ? config->extract.job : "");
    memcpy(log->socket, set->journal_socket, strlen(set->journal_socket));
    *ret = log;
    return TG_OK;
}

void tg_log_close(struct tg_log *log)
{
    if (!log)
        return;
    if (log->journal >= 0)
        close(log->journal);
    pthread_mutex_destroy(&log->lock);
    free(log);
}

void tg_log_follow(struct tg_log *log, struct tg_observer *observer)
{
    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->last.span = 0;
    if (!observer && !tg_observe_where(log->follows, 0, &log->last))
        log->last.span = 0;
    log->follows = observer;
    pthread_mutex_unlock(&log->lock);
}

bool tg_log_is_text(const struct tg_log *log)
{
    return log->format == TG_LOG_TEXT;
}

bool tg_log_wants(const struct tg_log *log, enum tg_log_level level)
{
    return level <= log->level;
}

void tg_log_write(struct tg_log *log, const struct tg_log_record *record)
{
    char lost[192];

    if (!tg_log_wants(log, record->level))
        return;
    if (log->format != TG_LOG_JOURNALD) {
        put_line(log, record);
        return;
    }
    if (put_journal(log, record)) {
        atomic_store(&log->silent, false);
        return;
    }
    snprintf(lost, sizeof lost, "the journal takes nothing at '%.108s' (%s): the log goes to "
             "stderr until it does", log->socket, strerror(errno));
    if (!atomic_exchange(&log->silent, true))
        put_line(log, &(struct tg_log_record){ .level = TG_LOG_WARNING, .message = lost });
    put_line(log, record);
}

/* ---- notes ---- */

static const struct {
    enum tg_log_level level;
    const char *event;
} kinds[] = {
    [TG_NOTE_CONNECTING] = { TG_LOG_INFO, "connecting" },
    [TG_NOTE_CONNECTED] = { TG_LOG_INFO, "connected" },
    [TG_NOTE_LOST] = { TG_LOG_WARNING, "connection lost" },
    [TG_NOTE_FLOOD] = { TG_LOG_INFO, "flood wait" },
    [TG_NOTE_RETRY] = { TG_LOG_INFO, "retry" },
    [TG_NOTE_INFO] = { TG_LOG_INFO, "info" },
    [TG_NOTE_WARNING] = { TG_LOG_WARNING, "warning" },
};

enum tg_log_level tg_log_note_level(enum tg_note_kind kind)
{
    return kinds[kind].level;
}

const char *tg_log_note_event(enum tg_note_kind kind)
{
    return kinds[kind].event;
}

void tg_log_note(struct tg_log *log, const struct tg_note *note)
{
    tg_log_write(log, &(struct tg_log_record){ .level = kinds[note->kind].level,
                                               .message = note->text,
                                               .event = kinds[note->kind].event,
                                               .account = note->account,
                                               .chat_id = note->chat_id,
                                               .code = note->code,
                                               .wait_s = note->wait_s });
}
