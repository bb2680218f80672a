/* SPDX-License-Identifier: MIT */
/*
 * table.c - see table.h
 */
#include "cli/table.h"

#include <assert.h>
#include <math.h>

enum { GAP = 2, CELL_MAX = 512, SESSION_TAIL = 8 /* ".session" */ };

/* ---- cells ---- */

static void put_title(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    tg_buf_str(out, chat->title ? chat->title : "");
}

/* A session file's name tells the account: without its folder and ending. */
static void put_account(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    const char *path = chat->account ? chat->account : "";
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t len = strlen(name);

    if (len > SESSION_TAIL && strcmp(name + len - SESSION_TAIL, ".session") == 0)
        len -= SESSION_TAIL;
    tg_buf_add(out, name, len);
}

static void put_rows(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    char text[32];

    cli_number(text, (uint64_t)TG_MAX(chat->rows, INT64_C(0)));
    tg_buf_str(out, text);
}

static void put_share(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    if (chat->expected > 0)
        tg_buf_printf(out, "%.0f%%",
                      floor(fmin((double)chat->rows / (double)chat->expected, 1) * 100));
    else
        tg_buf_byte(out, '-');
}

static void put_rate(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    char text[32];

    if (chat->rows_per_s < 0.5) {
        tg_buf_byte(out, '-');
        return;
    }
    cli_number(text, (uint64_t)fmin(chat->rows_per_s, 1e15));
    tg_buf_printf(out, "%s/s", text);
}

static void put_eta(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    char text[32];

    if (chat->eta_s < 0) {
        tg_buf_byte(out, '-');
        return;
    }
    cli_duration(text, chat->eta_s);
    tg_buf_str(out, text);
}

static void put_state(struct tg_buf *out, const struct tg_progress_chat *chat)
{
    if (chat->flood_wait_s > 0)
        tg_buf_printf(out, "waits %.0f s", ceil(chat->flood_wait_s));
    else
        tg_buf_str(out, chat->state ? chat->state : "");
    if (chat->flood_wait_s > 0 && chat->waiting_for)
        tg_buf_printf(out, ": %s", chat->waiting_for);
}

/* ---- columns ---- */

enum { TITLE, ACCOUNT, ROWS, SHARE, RATE, ETA, STATE, COLUMNS };

static const struct column {
    const char *head;
    size_t min, max;   /* columns of the terminal */
    bool right;
    void (*put)(struct tg_buf *out, const struct tg_progress_chat *chat);
} column_table[COLUMNS] = {
    [TITLE] = { "chat", 10, 28, false, put_title },
    [ACCOUNT] = { "account", 8, 14, false, put_account },
    [ROWS] = { "rows", 11, 11, true, put_rows },
    [SHARE] = { "done", 4, 4, true, put_share },
    [RATE] = { "rate", 9, 9, true, put_rate },
    [ETA] = { "ETA", 8, 8, true, put_eta },
    [STATE] = { "state", 13, 44, false, put_state },
};

/* What is shown where not all fits: the first of these. */
static const int by_rank[COLUMNS] = { TITLE, STATE, ROWS, RATE, ETA, ACCOUNT, SHARE };

/* Chooses the columns that fit and their widths; 0: left out. */
static void fit_columns(size_t room, bool accounts, size_t width[COLUMNS])
{
    size_t used = 0;

    for (size_t rank = 0; rank < COLUMNS; rank++) {
        int i = by_rank[rank];
        size_t more = column_table[i].min + (used ? GAP : 0);

        width[i] = 0;
        if (used + more > room || (i == ACCOUNT && !accounts))
            continue;
        width[i] = column_table[i].min;
        used += more;
    }
    for (int i = 0; i < COLUMNS; i++) {
        size_t more = width[i] ? TG_MIN(column_table[i].max - width[i], room - used) : 0;

        width[i] += more;
        used += more;
    }
}

/* ---- lines ---- */

static void spaces(struct tg_buf *out, size_t n)
{
    while (n--)
        tg_buf_byte(out, ' ');
}

/* The text of one cell: of a state that is too long without what is waited for. */
static const char *cell_text(struct tg_buf *cell, int column, const struct tg_progress_chat *chat,
                             size_t width)
{
    const char *colon;

    tg_buf_clear(cell);
    if (!chat)
        return column_table[column].head;
    column_table[column].put(cell, chat);
    colon = column == STATE && cell->len > width ? strchr(tg_buf_cstr(cell), ':') : NULL;
    if (colon)
        cell->len = (size_t)(colon - (const char *)cell->data);
    return tg_buf_cstr(cell);
}

/* Appends one line; chat NULL: the header. @return columns */
static size_t put_line(struct tg_buf *out, const struct tg_progress_chat *chat,
                       const size_t width[COLUMNS])
{
    size_t at = 0, due = 0; /* columns written; columns that only alignment asks for */
    struct tg_buf cell, shown;

    tg_buf_init(&cell, CELL_MAX);
    tg_buf_init(&shown, CELL_MAX * 4);
    for (int i = 0; i < COLUMNS; i++) {
        size_t used;

        if (!width[i])
            continue;
        tg_buf_clear(&shown);
        used = cli_clean(&shown, cell_text(&cell, i, chat, width[i]), width[i]);
        if (column_table[i].right)
            due += width[i] - used;
        if (used) {
            spaces(out, due);
            tg_buf_add(out, shown.data, shown.len);
            at += due + used;
            due = 0;
        }
        due += GAP + (column_table[i].right ? 0 : width[i] - used);
    }
    tg_buf_done(&cell);
    tg_buf_done(&shown);
    return at;
}

void table_total(struct tg_buf *out, const struct tg_progress *now)
{
    char text[32];
    double rate = 0, eta_s = -1;

    tg_buf_printf(out, "%zu of %zu chats", now->n_done, now->n_chats);
    if (now->n_accounts > 1)
        tg_buf_printf(out, ", %zu accounts", now->n_accounts);
    for (size_t i = 0; i < now->n_at_work; i++) {
        rate += now->at_work[i].rows_per_s;
        eta_s = fmax(eta_s, now->at_work[i].eta_s);
    }
    cli_number(text, (uint64_t)TG_MAX(now->rows_total, INT64_C(0)));
    tg_buf_printf(out, ": %s rows", text);
    cli_number(text, (uint64_t)fmin(fmax(rate, 0), 1e15));
    tg_buf_printf(out, "  %s/s", text);
    if (now->bytes_out) {
        cli_bytes(text, now->bytes_out);
        tg_buf_printf(out, "  %s", text);
    }
    /* of chats that nobody has begun it is not known how long they take */
    if (eta_s >= 0 && now->n_done + now->n_at_work >= now->n_chats) {
        cli_duration(text, eta_s);
        tg_buf_printf(out, "  ETA %s", text);
    }
    if (now->n_at_work == 0 && now->waiting_for) {
        tg_buf_printf(out, "  waits");
        if (now->flood_wait_s > 0)
            tg_buf_printf(out, " %.0f s", ceil(now->flood_wait_s));
        tg_buf_printf(out, ": %s", now->waiting_for);
    }
}

/* ---- which chats ---- */

/* The higher the more active; alike within a factor of four. */
static int activity(const struct tg_progress_chat *chat)
{
    if (chat->rows_per_s < 0.5)
        return chat->flood_wait_s > 0 ? -1 : 0;
    return 1 + (int)fmax(log2(chat->rows_per_s) / 2, 0);
}

/* Picks up to `room` chats, most active first, the earlier first of those that are alike. */
static size_t pick(const struct tg_progress *now, size_t room, size_t *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < now->n_at_work && room; i++) {
        size_t at = n;

        while (at && activity(&now->at_work[ret[at - 1]]) < activity(&now->at_work[i]))
            at--;
        if (at == room)
            continue;
        n += n < room;
        memmove(ret + at + 1, ret + at, (n - 1 - at) * sizeof *ret);
        ret[at] = i;
    }
    return n;
}

/* ---- the table ---- */

/* One line of the table, and the colour that it has. @return columns */
static uint16_t put_row(struct tg_buf *out, const struct table_look *look,
                        const struct tg_progress_chat *chat, const size_t width[COLUMNS])
{
    const char *colour = !chat ? "\033[2m" : chat->flood_wait_s > 0 ? "\033[33m" : "";
    size_t used;

    colour = look->colour ? colour : "";
    spaces(out, look->indent);
    tg_buf_str(out, colour);
    used = put_line(out, chat, width);
    tg_buf_str(out, *colour ? "\033[0m\n" : "\n");
    return (uint16_t)(look->indent + used);
}

static uint16_t put_text(struct tg_buf *out, const struct table_look *look, const char *text,
                         size_t room)
{
    size_t used;

    spaces(out, look->indent);
    used = cli_clean(out, text, room);
    tg_buf_byte(out, '\n');
    return (uint16_t)(look->indent + used);
}

size_t table_text(struct tg_buf *out, const struct tg_progress *now, const struct table_look *look,
                  uint16_t *ret_columns)
{
    size_t room = TG_MIN(TG_MAX(look->width, look->indent + 2) - 1, (size_t)UINT16_MAX) -
                  look->indent;
    size_t lines = TG_MIN(TG_MAX(look->height, (size_t)2) - 1, (size_t)TABLE_LINES_MAX), n = 0;
    size_t width[COLUMNS], chosen[TABLE_LINES_MAX], n_chosen;
    struct tg_buf text;

    tg_buf_init(&text, CELL_MAX);
    fit_columns(room, now->n_accounts > 1, width);
    if (lines >= 4 && now->n_at_work && width[TITLE]) {
        bool all = now->n_at_work <= lines - 2;

        n_chosen = pick(now, all ? now->n_at_work : lines - 3, chosen);
        ret_columns[n++] = put_row(out, look, NULL, width);
        for (size_t i = 0; i < n_chosen; i++)
            ret_columns[n++] = put_row(out, look, &now->at_work[chosen[i]], width);
        tg_buf_printf(&text, "... and %zu more", now->n_at_work - n_chosen);
        if (!all)
            ret_columns[n++] = put_text(out, look, tg_buf_cstr(&text), room);
    }
    tg_buf_clear(&text);
    table_total(&text, now);
    ret_columns[n++] = put_text(out, look, tg_buf_cstr(&text), room);
    tg_buf_done(&text);
    assert(n <= lines);
    return n;
}

/* ---- in place ---- */

/* The cursor stands below the last line; goes to the beginning of the first one. */
static void go_up(const struct cli_table *t, struct tg_buf *out, size_t width)
{
    size_t rows = 0;

    for (size_t i = 0; i < t->n; i++)
        rows += TG_MAX((t->columns[i] + width - 1) / width, (size_t)1);
    tg_buf_byte(out, '\r');
    if (rows)
        tg_buf_printf(out, "\033[%zuA", rows);
}

void table_draw(struct cli_table *t, struct tg_buf *out, const struct tg_progress *now,
                const struct table_look *look)
{
    struct tg_buf text;
    const char *at, *end;

    tg_buf_init(&text, 1 << 20);
    go_up(t, out, TG_MAX(look->width, (size_t)1));
    t->n = table_text(&text, now, look, t->columns);
    for (at = tg_buf_cstr(&text); (end = strchr(at, '\n')); at = end + 1) {
        tg_buf_add(out, at, (size_t)(end - at));
        tg_buf_str(out, "\033[K\n");
    }
    tg_buf_str(out, "\033[J");
    tg_buf_done(&text);
}

void table_clear(struct cli_table *t, struct tg_buf *out, size_t width)
{
    if (!t->n)
        return;
    go_up(t, out, TG_MAX(width, (size_t)1));
    tg_buf_str(out, "\033[J");
    t->n = 0;
}
