/* SPDX-License-Identifier: MIT */
/*
 * log_text.c - see log_text.h
 */
#include "observe/log_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"
#include "base/text.h"

const char *const tg_log_level_name[] = { "error", "warning", "info" };

/* Of syslog, as the journal wants it. */
static const int priority[] = { 3, 4, 6 };

static void put_time(char out[32], int64_t unix_us)
{
    time_t seconds = (time_t)(unix_us / TG_SECOND_US);
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + n, 32 - n, ".%03dZ", (int)(unix_us % TG_SECOND_US / TG_MS_US));
}

static bool given(const char *text)
{
    return text && *text;
}

/* The ids of a span as digits, "" if there is none. */
struct ids {
    char trace[2 * TG_TRACE_ID + 1], span[17];
};

static struct ids ids_of(const struct tg_span_link *at)
{
    struct ids ret = { .trace = "" };

    if (at->span) {
        tg_hex(ret.trace, at->trace, TG_TRACE_ID);
        snprintf(ret.span, sizeof ret.span, "%016" PRIx64, at->span);
    }
    return ret;
}

void tg_log_put_json(struct tg_buf *out, const struct tg_log_record *r,
                     const struct tg_log_of *of, int64_t unix_us)
{
    const struct ids ids = ids_of(&of->span);
    const struct {
        const char *key, *text;
    } row[] = {
        { "level", tg_log_level_name[r->level] },
        { "event", r->event },
        { "message", r->message },
        { "hint", r->hint },
        { "job", of->job },
        { "account", r->account },
        { "code", r->code == TG_OK ? NULL : tg_code_name(r->code) },
        { "trace_id", ids.trace },
        { "span_id", ids.span },
    };
    struct tg_json j;
    char time[32];

    put_time(time, unix_us);
    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "time"), tg_json_cstr(&j, time);
    for (size_t i = 0; i < TG_COUNT(row); i++)
        if (given(row[i].text))
            tg_json_key(&j, row[i].key), tg_json_cstr(&j, row[i].text);
    if (r->chat_id)
        tg_json_key(&j, "chat"), tg_json_i64(&j, r->chat_id);
    if (r->wait_s > 0)
        tg_json_key(&j, "wait_s"), tg_json_double(&j, r->wait_s);
    tg_json_end_object(&j);
    tg_buf_byte(out, '\n');
}

void tg_log_put_text(struct tg_buf *out, const struct tg_log_record *r, const char *job,
                     int64_t unix_us)
{
    char time[32];
    size_t from;

    put_time(time, unix_us);
    tg_buf_printf(out, "%s %s", time, tg_log_level_name[r->level]);
    from = out->len;
    if (given(job))
        tg_buf_printf(out, " [%s]", job);
    tg_buf_printf(out, ": %s", r->message);
    if (given(r->hint))
        tg_buf_printf(out, "; %s", r->hint);
    for (size_t i = from; i < out->len; i++) /* what a peer wrote does not steer a terminal */
        if (out->data[i] < ' ' || out->data[i] == 0x7f)
            out->data[i] = '?';
    tg_buf_byte(out, '\n');
}

static void put_field(struct tg_buf *out, const char *name, const char *value)
{
    size_t len = value ? strlen(value) : 0;

    if (!len)
        return;
    tg_buf_str(out, name);
    if (memchr(value, '\n', len)) {
        tg_buf_byte(out, '\n');
        tg_buf_u64(out, len);
    } else {
        tg_buf_byte(out, '=');
    }
    tg_buf_add(out, value, len);
    tg_buf_byte(out, '\n');
}

void tg_log_put_journal(struct tg_buf *out, const struct tg_log_record *r,
                        const struct tg_log_of *of)
{
    const struct ids ids = ids_of(&of->span);
    char number[32];

    put_field(out, "MESSAGE", r->message);
    snprintf(number, sizeof number, "%d", priority[r->level]);
    put_field(out, "PRIORITY", number);
    put_field(out, "SYSLOG_IDENTIFIER", "tgdata");
    put_field(out, "TGDATA_EVENT", r->event);
    put_field(out, "TGDATA_HINT", r->hint);
    put_field(out, "TGDATA_JOB", of->job);
    put_field(out, "TGDATA_ACCOUNT", r->account);
    put_field(out, "TRACE_ID", ids.trace);
    put_field(out, "SPAN_ID", ids.span);
    if (r->code != TG_OK)
        put_field(out, "TGDATA_CODE", tg_code_name(r->code));
    if (r->chat_id) {
        snprintf(number, sizeof number, "%lld", (long long)r->chat_id);
        put_field(out, "TGDATA_CHAT", number);
    }
    if (r->wait_s > 0) {
        snprintf(number, sizeof number, "%.3f", r->wait_s);
        put_field(out, "TGDATA_WAIT_SECONDS", number);
    }
}
