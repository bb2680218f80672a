/* SPDX-License-Identifier: MIT */
/*
 * zone.c - fuzzes the files of time zones and the texts of schedules
 *
 * Input: 8 bytes of an instant, a text up to a line end, then a file. Whatever was taken must keep
 * its own rules: spans follow one another, local times map to instants that show them, what comes
 * next lies behind, what was previous lies before, and the one leads back to the other.
 */
#include <stdlib.h>

#include "flow/cron.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check_spans(const struct tg_zone *z, int64_t at)
{
    struct tg_zone_span span = tg_zone_span(z, at);

    for (int i = 0; i < 50 && span.until_s != TG_ZONE_NEVER; i++) {
        struct tg_zone_span next = tg_zone_span(z, span.until_s);

        require(span.from_s <= at && at < span.until_s);
        require(next.from_s == span.until_s && next.until_s > next.from_s);
        at = span.until_s;
        span = next;
    }
    require(strnlen(span.kind->name, TG_ZONE_NAME) < TG_ZONE_NAME);
    require(abs(span.kind->offset_s) <= TG_ZONE_OFFSET_S);
}

static void check_local(const struct tg_zone *z, int64_t local_s)
{
    int64_t first, last;

    switch (tg_zone_local(z, local_s, &first, &last)) {
    case TG_ZONE_SKIPPED:
        require(first == last && tg_zone_wall(z, first) > local_s);
        require(tg_zone_wall(z, first - 1) < local_s);
        break;
    case TG_ZONE_ONCE:
        require(first == last && tg_zone_wall(z, first) == local_s);
        break;
    case TG_ZONE_TWICE:
        require(first < last && tg_zone_wall(z, first) == local_s);
        require(tg_zone_wall(z, last) == local_s);
        break;
    }
}

/* Zones whose clocks jump to and fro within two days have no order to hold on to. */
static bool is_calm(const struct tg_zone *z)
{
    for (size_t i = 1; i < z->n_changes; i++)
        if (z->at[i] - z->at[i - 1] < 4 * TG_ZONE_OFFSET_S)
            return false;
    return !z->has_dst;
}

static void check_schedule(const struct tg_zone *z, const char *text, int64_t at)
{
    struct tg_cron c;
    struct tg_error err = { 0 };
    bool calm = is_calm(z);

    if (tg_cron_parse(&c, text, &err) != TG_OK) {
        require(err.code == TG_USAGE && err.message[0]);
        return;
    }
    for (int i = 0; i < 5; i++) {
        int64_t next = tg_cron_next(&c, z, at), back;

        if (next == TG_ZONE_NEVER)
            return;
        require(next > at);
        tg_cron_why(&c, z, next);
        back = tg_cron_previous(&c, z, next);
        require(!calm || back == next);
        at = next;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tg_zone z;
    struct tg_error err = { 0 };
    const uint8_t *end;
    char text[TG_CRON_TEXT + 8];
    int64_t at;
    size_t n;

    if (size < 8)
        return 0;
    at = (int64_t)tg_le64(data) % (TG_ZONE_TIME_MAX / 4);
    data += 8, size -= 8;
    end = memchr(data, '\n', size);
    n = TG_MIN(end ? (size_t)(end - data) : size, sizeof text - 1);
    memcpy(text, data, n);
    text[n] = 0;
    if (!end || tg_zone_read(&z, end + 1, size - (size_t)(end + 1 - data), &err) != TG_OK) {
        require(!end || (err.code == TG_DATA && err.message[0]));
        check_schedule(&tg_zone_utc, text, at);
        return 0;
    }
    check_spans(&z, at);
    check_local(&z, at);
    check_schedule(&z, text, at);
    return 0;
}
