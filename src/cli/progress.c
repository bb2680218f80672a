/* SPDX-License-Identifier: MIT */
/*
 * progress.c - see progress.h
 *
 *   2/5 Harbour news  ━━━━━━━━━━━━━━━━╸          62%  31,204 rows  41,000/s  ETA 0:07
 *   2/5 Harbour news  ━━━━━━━━━━━━━━━━╸          62%  31,204 rows  waits 17 s: messages.getHistory
 */
#include "cli/progress.h"

#include <math.h>

#include "base/json.h"
#include "cli/term.h"

enum { LINE_MAX_BYTES = 16 << 20, PLAIN_EVERY_S = 5, TITLE_MAX = 28, BAR_MAX = 32, BAR_MIN = 8 };

enum progress_mode progress_mode_of(int64_t choice)
{
    static const enum progress_mode mode[] = { PROGRESS_AUTO, PROGRESS_PLAIN, PROGRESS_JSON,
                                               PROGRESS_NONE };

    return mode[choice];
}

void progress_init(struct cli_progress *p, enum progress_mode mode, FILE *to)
{
    bool tty = term_is_tty(fileno(to));

    *p = (struct cli_progress){ .mode = mode, .to = to };
    if (mode == PROGRESS_AUTO)
        p->mode = tty && term_colour(fileno(to)) ? PROGRESS_BAR : PROGRESS_PLAIN;
    p->utf8 = term_utf8();
    p->colour = term_colour(fileno(to));
    tg_buf_init(&p->line, LINE_MAX_BYTES);
}

void progress_done(struct cli_progress *p)
{
    progress_clear(p);
    tg_buf_done(&p->line);
}

void progress_logs(struct cli_progress *p, struct tg_log *log)
{
    if (!log || tg_log_is_text(log))
        return;
    p->log = log;
    if (p->mode == PROGRESS_BAR)
        p->mode = PROGRESS_PLAIN;
}

void progress_plain(struct cli_progress *p, const char *text)
{
    if (p->log)
        tg_log_write(p->log, &(struct tg_log_record){ .level = TG_LOG_INFO,
                                                      .event = "progress",
                                                      .message = text });
    else
        fprintf(p->to, "%*s%s\n", (int)p->indent, "", text);
    fflush(p->to);
}

/* A line with its time, which a log knows by itself. */
static void plain_now(struct cli_progress *p)
{
    char stamp[21];

    if (p->log) {
        progress_plain(p, tg_buf_cstr(&p->line));
        return;
    }
    term_now(stamp);
    fprintf(p->to, "%*s%s %s\n", (int)p->indent, "", stamp, tg_buf_cstr(&p->line));
    fflush(p->to);
}

void progress_clear(struct cli_progress *p)
{
    tg_buf_clear(&p->line);
    table_clear(&p->table, &p->line, term_width(fileno(p->to), 80));
    if (p->drawn)
        tg_buf_str(&p->line, "\r\033[K");
    p->drawn = false;
    fputs(tg_buf_cstr(&p->line), p->to);
    fflush(p->to);
}

void progress_line(struct cli_progress *p, const char *text)
{
    size_t width = (size_t)term_width(fileno(p->to), 80);

    progress_clear(p);
    tg_buf_clear(&p->line);
    cli_clean(&p->line, text, width ? width - 1 : 0);
    p->drawn = true;
    fputs(tg_buf_cstr(&p->line), p->to);
    fflush(p->to);
}

void progress_bar(struct tg_buf *out, double share, size_t columns, bool utf8)
{
    double full = fmin(fmax(share, 0), 1) * (double)columns;
    size_t whole = (size_t)full;
    bool half = full - (double)whole >= 0.5;

    for (size_t i = 0; i < columns; i++) {
        if (i < whole)
            tg_buf_str(out, utf8 ? "━" : "#");
        else if (i == whole && half)
            tg_buf_str(out, utf8 ? "╸" : "+");
        else
            tg_buf_str(out, utf8 ? " " : ".");
    }
}

/* Share of the present chat's rows; -1 unknown. */
static double share_of(const struct tg_progress *now)
{
    if (now->done)
        return 1;
    if (now->expected < 0)
        return -1;
    return now->expected == 0 ? 1 : fmin((double)now->rows / (double)now->expected, 1);
}

/* What stands behind the bar. */
static void put_facts(struct tg_buf *out, const struct tg_progress *now, const char *title)
{
    char text[32];

    if (title)
        tg_buf_printf(out, "%s  ", title);
    if (share_of(now) >= 0)
        tg_buf_printf(out, "%3.0f%%  ", floor(share_of(now) * 100));
    cli_number(text, (uint64_t)TG_MAX(now->rows, INT64_C(0)));
    tg_buf_printf(out, "%s rows", text);
    if (now->n_at_work && strcmp(now->at_work->state, "fallback") == 0)
        tg_buf_str(out, " from a fallback");
    if (now->waiting_for && now->flood_wait_s > 0) {
        tg_buf_printf(out, "  flood wait %.0f s: %s", ceil(now->flood_wait_s), now->waiting_for);
        return;
    }
    cli_number(text, (uint64_t)fmax(now->rows_per_s, 0));
    tg_buf_printf(out, "  %s/s", text);
    if (now->waiting_for)
        tg_buf_printf(out, "  waits for %s", now->waiting_for);
    if (now->eta_s >= 0) {
        cli_duration(text, now->eta_s);
        tg_buf_printf(out, "  ETA %s", text);
    }
}

static void show_bar(struct cli_progress *p, const struct tg_progress *now)
{
    size_t width = term_width(fileno(p->to), 80), used = 0;
    struct tg_buf facts, *line = &p->line;

    tg_buf_init(&facts, 1024);
    put_facts(&facts, now, NULL);
    tg_buf_clear(line);
    tg_buf_str(line, "\r\033[K");
    for (size_t i = 0; i < p->indent; i++)
        tg_buf_byte(line, ' ');
    width -= TG_MIN(width, p->indent);
    if (now->n_chats > 1) {
        size_t before = line->len;

        tg_buf_printf(line, "%zu/%zu ", now->chat_index + 1, now->n_chats);
        used = line->len - before;
    }
    width -= width > 1; /* the last column stays free: some terminals wrap early */
    if (used + facts.len + 2 < width) {
        size_t room = TG_MIN(width - used - facts.len - 2, (size_t)TITLE_MAX);

        used += cli_clean(line, now->title ? now->title : "", room);
        tg_buf_str(line, "  ");
        used += 2;
    }
    if (share_of(now) >= 0 && used + facts.len + 2 + BAR_MIN <= width) {
        size_t room = TG_MIN(width - used - facts.len - 2, (size_t)BAR_MAX);

        tg_buf_str(line, p->colour ? "\033[36m" : "");
        progress_bar(line, share_of(now), room, p->utf8);
        tg_buf_str(line, p->colour ? "\033[0m  " : "  ");
        used += room + 2;
    }
    tg_buf_add(line, facts.data, TG_MIN(facts.len, width > used ? width - used : 0));
    fputs(tg_buf_cstr(line), p->to);
    fflush(p->to);
    p->drawn = true;
    tg_buf_done(&facts);
}

static void show_table(struct cli_progress *p, const struct tg_progress *now)
{
    struct table_look look = { .width = term_width(fileno(p->to), 80),
                               .height = term_height(fileno(p->to), 24),
                               .indent = p->indent,
                               .colour = p->colour };

    if (p->drawn)
        progress_clear(p);
    tg_buf_clear(&p->line);
    table_draw(&p->table, &p->line, now, &look);
    fputs(tg_buf_cstr(&p->line), p->to);
    fflush(p->to);
}

/* Of several chats at work their sum is told. */
static void show_plain_sum(struct cli_progress *p, const struct tg_progress *now)
{
    double at = term_clock();

    if (now->n_chats == 0 || now->done || at < p->plain_due)
        return;
    p->plain_due = at + PLAIN_EVERY_S;
    tg_buf_clear(&p->line);
    table_total(&p->line, now);
    plain_now(p);
}

static void show_plain(struct cli_progress *p, const struct tg_progress *now)
{
    double at = term_clock();
    char where[48];
    struct tg_buf title;

    if (now->n_chats == 0)
        return; /* still looking which chats there are */
    if (at < p->plain_due && now->chat_id == p->plain_chat && !now->done)
        return;
    p->plain_due = at + PLAIN_EVERY_S;
    p->plain_chat = now->chat_id;
    tg_buf_init(&title, 4096);
    snprintf(where, sizeof where, "chat %zu of %zu, ", now->chat_index + 1, now->n_chats);
    tg_buf_str(&title, where);
    cli_clean(&title, now->title ? now->title : "", 60);
    tg_buf_byte(&title, ':');
    tg_buf_clear(&p->line);
    put_facts(&p->line, now, tg_buf_cstr(&title));
    if (!now->done)
        plain_now(p);
    tg_buf_done(&title);
}

static void put_chat(struct tg_json *j, const struct tg_progress_chat *chat)
{
    tg_json_object(j);
    tg_json_key(j, "chat_id"), tg_json_i64(j, chat->chat_id);
    tg_json_key(j, "title"), tg_json_cstr(j, chat->title);
    tg_json_key(j, "account"), tg_json_cstr(j, chat->account);
    tg_json_key(j, "state"), tg_json_cstr(j, chat->state);
    tg_json_key(j, "rows"), tg_json_i64(j, chat->rows);
    tg_json_key(j, "expected"), tg_json_i64(j, chat->expected);
    tg_json_key(j, "rows_per_s"), tg_json_double(j, chat->rows_per_s);
    tg_json_key(j, "eta_s"), tg_json_double(j, chat->eta_s);
    tg_json_key(j, "flood_wait_s"), tg_json_double(j, chat->flood_wait_s);
    tg_json_key(j, "waiting_for"), tg_json_cstr(j, chat->waiting_for);
    tg_json_end_object(j);
}

static void show_json(struct cli_progress *p, const struct tg_progress *now)
{
    struct tg_json j;

    tg_buf_clear(&p->line);
    tg_json_init(&j, &p->line);
    tg_json_object(&j);
    tg_json_key(&j, "event"), tg_json_cstr(&j, now->done ? "done" : "progress");
    tg_json_key(&j, "chat_id"), tg_json_i64(&j, now->chat_id);
    tg_json_key(&j, "title"), tg_json_cstr(&j, now->title);
    tg_json_key(&j, "chat_index"), tg_json_u64(&j, now->chat_index);
    tg_json_key(&j, "chats"), tg_json_u64(&j, now->n_chats);
    tg_json_key(&j, "done"), tg_json_u64(&j, now->n_done);
    tg_json_key(&j, "at_work"), tg_json_u64(&j, now->n_at_work);
    tg_json_key(&j, "rows"), tg_json_i64(&j, now->rows);
    tg_json_key(&j, "rows_total"), tg_json_i64(&j, now->rows_total);
    tg_json_key(&j, "fallback_rows"), tg_json_i64(&j, now->fallback_rows);
    tg_json_key(&j, "expected"), tg_json_i64(&j, now->expected);
    tg_json_key(&j, "rows_per_s"), tg_json_double(&j, now->rows_per_s);
    tg_json_key(&j, "eta_s"), tg_json_double(&j, now->eta_s);
    tg_json_key(&j, "bytes_out"), tg_json_u64(&j, now->bytes_out);
    tg_json_key(&j, "flood_wait_s"), tg_json_double(&j, now->flood_wait_s);
    tg_json_key(&j, "waiting_for"), tg_json_cstr(&j, now->waiting_for);
    tg_json_key(&j, "accounts"), tg_json_u64(&j, now->n_accounts);
    tg_json_key(&j, "chats_at_work");
    tg_json_array(&j);
    for (size_t i = 0; i < now->n_at_work; i++)
        put_chat(&j, &now->at_work[i]);
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    tg_buf_byte(&p->line, '\n');
    fputs(tg_buf_cstr(&p->line), p->to);
    fflush(p->to);
}

void progress_show(struct cli_progress *p, const struct tg_progress *now)
{
    p->tabled = p->tabled || now->n_at_work > 1;
    switch (p->mode) {
    case PROGRESS_BAR:
        if (now->done)
            progress_clear(p);
        else if (p->tabled)
            show_table(p, now);
        else
            show_bar(p, now);
        break;
    case PROGRESS_PLAIN:
        if (p->tabled)
            show_plain_sum(p, now);
        else
            show_plain(p, now);
        break;
    case PROGRESS_JSON:
        show_json(p, now);
        break;
    default:
        break;
    }
}
