/* SPDX-License-Identifier: MIT */
/*
 * csv_text.c - see csv_text.h
 */
#include "sink/csv_text.h"

#include <endian.h>

#include "base/json_read.h"

enum { TEXT_MAX = 80 << 20, COLUMNS_MAX = TG_COUNT(((struct tg_file_columns *)0)->field) };

/* ---- writing ---- */

#define ONES UINT64_C(0x0101010101010101) /* a byte, eight times */

static void put_end(struct tg_buf *out, bool crlf)
{
    if (crlf)
        tg_buf_byte(out, '\r');
    tg_buf_byte(out, '\n');
}

static void put_commas(struct tg_buf *out, int n)
{
    uint8_t *at = n ? tg_buf_extend(out, (size_t)n) : NULL;

    if (at)
        memset(at, ',', (size_t)n);
}

void tg_csv_head(struct tg_buf *out, bool crlf)
{
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        if (i)
            tg_buf_byte(out, ',');
        tg_buf_str(out, tg_field((enum tg_field_id)i)->name);
    }
    put_end(out, crlf);
}

static bool is_odd(uint8_t c)
{
    return c < 0x20 || c == '"' || c == ',' || c == 0x7f;
}

/* @return bits in the bytes that are below c, of which the lowest is exact */
static uint64_t below(uint64_t eight, uint8_t c)
{
    return (eight - ONES * c) & ~eight & (ONES << 7);
}

static bool is_quoted(const char *at, size_t n)
{
    size_t i = 0;

    if (n == 0 || at[0] == ' ' || at[n - 1] == ' ')
        return true;
    for (; i + 8 <= n; i += 8) {
        uint64_t v;

        memcpy(&v, at + i, 8);
        if (below(v, 0x20) | below(v ^ ONES * '"', 1) | below(v ^ ONES * ',', 1) |
            below(v ^ ONES * 0x7f, 1))
            return true;
    }
    while (i < n && !is_odd((uint8_t)at[i]))
        i++;
    return i < n;
}

/* Copies text with its quotes doubled, eight bytes at a time up to the next quote: JSON is full of
 * them. @return behind the last; up to 8 bytes more are overwritten */
static uint8_t *put_doubled(uint8_t *to, const char *at, size_t n)
{
    const char *end = at + n;

    while (end - at >= 8) {
        uint64_t eight, hit;
        int before;

        memcpy(&eight, at, 8);
        memcpy(to, at, 8);
        hit = below(le64toh(eight) ^ ONES * '"', 1);
        before = hit ? __builtin_ctzll(hit) / 8 : 8;
        at += before;
        to += before;
        if (hit) {
            *to++ = '"';
            *to++ = (uint8_t)*at++;
        }
    }
    for (; at < end; at++) {
        *to++ = (uint8_t)*at;
        if (*at == '"')
            *to++ = '"';
    }
    return to;
}

static void put_valid_text(struct tg_buf *out, const char *at, size_t n)
{
    enum { AROUND = 2 + 8 };
    uint8_t *to;

    if (!is_quoted(at, n)) {
        tg_buf_add(out, at, n);
        return;
    }
    if (n > SIZE_MAX / 4 || !tg_buf_room(out, 2 * n + AROUND))
        return;
    to = out->data + out->len;
    *to++ = '"';
    to = put_doubled(to, at, n);
    *to++ = '"';
    out->len = (size_t)(to - out->data);
}

/* What a peer sent that is no UTF-8 becomes what it is for readers of the JSON. */
static void put_text(struct tg_buf *out, struct tg_str s)
{
    struct tg_buf text;

    if (tg_utf8_valid(s.at, s.len)) {
        put_valid_text(out, s.at, s.len);
        return;
    }
    tg_buf_init(&text, SIZE_MAX);
    tg_json_mend(&text, s.at, s.len);
    out->failed |= text.failed;
    put_valid_text(out, (const char *)text.data, text.len);
    tg_buf_done(&text);
}

static void put_number(struct tg_buf *out, enum tg_field_type type, int64_t v)
{
    char time[21];

    if (type == TG_FIELD_BOOL)
        tg_buf_str(out, v ? "true" : "false");
    else if (type == TG_FIELD_TIME && tg_time_utc(time, v))
        tg_buf_add(out, time, 20);
    else
        tg_buf_i64_text(out, v);
}

void tg_csv_row(const struct tg_row *row, struct tg_buf *out, bool crlf)
{
    int column = 0;

    for (uint64_t left = row->present; left; left &= left - 1) {
        enum tg_field_id id = (enum tg_field_id)__builtin_ctzll(left);
        enum tg_field_type type = tg_field(id)->type;
        const void *value = (const char *)row + tg_row_offset[id];
        const struct tg_str *s = value;

        put_commas(out, (int)id - column);
        column = (int)id;
        if (type == TG_FIELD_STR)
            put_text(out, *s);
        else if (type != TG_FIELD_JSON)
            put_number(out, type, *(const int64_t *)value);
        else if (s->len) /* no text is no valid JSON: no value */
            put_text(out, *s);
    }
    put_commas(out, TG_FIELD_COUNT - 1 - column);
    put_end(out, crlf);
}

/* ---- reading ---- */

size_t tg_csv_find_end(unsigned *state, const char *at, size_t len)
{
    const char *from = at, *end = at + len, *newline;
    unsigned odd = *state; /* quotes so far: within a quoted field they are odd */

    for (; from < end; from = newline + 1) {
        newline = memchr(from, '\n', (size_t)(end - from));
        for (const char *stop = newline ? newline : end; from < stop; from++)
            odd ^= *from == '"';
        if (!newline)
            break;
        if (!odd)
            return (size_t)(newline + 1 - at);
    }
    *state = odd;
    return 0;
}

struct csv_in {
    const char *at, *end;
    struct tg_buf text; /* of a field with quotes in it */
    bool more;          /* a field follows: the record's first, or behind a comma */
    bool bad;
};

struct csv_field {
    const char *at;
    size_t len;
    bool quoted;
};

static void csv_in_init(struct csv_in *in, const char *at, size_t len)
{
    if (len && at[len - 1] == '\r')
        len--;
    *in = (struct csv_in){ .at = at, .end = at + len, .more = true };
    tg_buf_init(&in->text, TEXT_MAX);
}

/* Reads what stands behind an opening quote, with the closing one. */
static void take_quoted(struct csv_in *in, struct csv_field *ret)
{
    const char *quote;

    ret->at = in->at;
    tg_buf_clear(&in->text);
    for (;;) {
        quote = in->at < in->end ? memchr(in->at, '"', (size_t)(in->end - in->at)) : NULL;
        if (!quote) {
            in->bad = true;
            return;
        }
        if (quote + 1 == in->end || quote[1] != '"')
            break;
        tg_buf_add(&in->text, in->at, (size_t)(quote + 1 - in->at));
        in->at = quote + 2;
    }
    ret->len = (size_t)(quote - ret->at);
    if (in->text.len) {
        tg_buf_add(&in->text, in->at, (size_t)(quote - in->at));
        ret->at = (const char *)in->text.data;
        ret->len = in->text.len;
    }
    in->at = quote + 1;
    in->bad |= in->text.failed || (in->at < in->end && *in->at != ',');
}

static void take_plain(struct csv_in *in, struct csv_field *ret)
{
    ret->at = in->at;
    for (; in->at < in->end && *in->at != ','; in->at++)
        in->bad |= *in->at == '"' || *in->at == '\r' || *in->at == '\n';
    ret->len = (size_t)(in->at - ret->at);
}

/* @return whether there was one more field; its text is valid until the next */
static bool next_field(struct csv_in *in, struct csv_field *ret)
{
    if (!in->more || in->bad)
        return false;
    *ret = (struct csv_field){ .quoted = in->at < in->end && *in->at == '"' };
    if (ret->quoted) {
        in->at++;
        take_quoted(in, ret);
    } else {
        take_plain(in, ret);
    }
    in->more = in->at < in->end;
    in->at += in->more; /* the comma */
    return !in->bad;
}

static struct tg_str text_of(const struct csv_field *f)
{
    return (struct tg_str){ f->at, (uint32_t)f->len };
}

const char *tg_csv_take_head(struct tg_file_columns *ret, const char *at, size_t len)
{
    uint64_t seen = 0;
    bool twice = false, many = false;
    struct csv_field f;
    struct csv_in in;

    ret->n = 0;
    csv_in_init(&in, at, len);
    while (!twice && !many && next_field(&in, &f)) {
        int id = tg_field_find(text_of(&f));

        many = ret->n == COLUMNS_MAX;
        twice = id >= 0 && seen >> id & 1;
        seen |= id >= 0 ? UINT64_C(1) << id : 0;
        if (!many)
            ret->field[ret->n++] = (int16_t)id;
    }
    tg_buf_done(&in.text);
    if (in.bad)
        return "is no CSV";
    if (many || twice)
        return twice ? "names a column twice" : "names too many columns";
    return seen & TG_ROW_BIT(chat_id) && seen & TG_ROW_BIT(id) ? NULL
                                                               : "does not name chat_id and id";
}

const char *tg_csv_take_ids(const struct tg_file_columns *columns, const char *at, size_t len,
                            int64_t *ret_chat_id, int64_t *ret_id)
{
    bool numbers = true;
    struct csv_field f;
    struct csv_in in;
    size_t n = 0;

    csv_in_init(&in, at, len);
    for (; n < columns->n && next_field(&in, &f); n++) {
        if (columns->field[n] == TG_F_chat_id)
            numbers &= tg_str_i64(text_of(&f), ret_chat_id);
        else if (columns->field[n] == TG_F_id)
            numbers &= tg_str_i64(text_of(&f), ret_id);
    }
    tg_buf_done(&in.text);
    if (in.bad)
        return "is no CSV";
    if (n != columns->n || in.more)
        return "has not as many fields as there are columns";
    return numbers ? NULL : "has no number as chat_id or id";
}

tg_code tg_csv_read_row(const struct tg_file_columns *columns, struct tg_batch *b, const char *at,
                        size_t len, struct tg_error *err)
{
    struct tg_row *row = tg_batch_row(b);
    tg_code code = TG_OK;
    struct csv_field f;
    struct csv_in in;
    size_t n = 0;

    if (!row)
        return tg_fail(err, TG_LIMIT, "the batch is full");
    csv_in_init(&in, at, len);
    for (; n < columns->n && next_field(&in, &f) && code == TG_OK; n++)
        if (columns->field[n] >= 0 && (f.len || f.quoted))
            code = tg_row_take(b, row, (enum tg_field_id)columns->field[n], text_of(&f));
    tg_buf_done(&in.text);
    if (in.bad || n != columns->n || in.more || !(row->present & TG_ROW_BIT(chat_id)) ||
        !(row->present & TG_ROW_BIT(id)))
        code = code == TG_NOMEM ? code : TG_DATA;
    if (code == TG_OK)
        return TG_OK;
    b->n--;
    return code == TG_DATA ? tg_fail(err, TG_DATA, "not the CSV of a row")
                           : tg_fail(err, TG_NOMEM, "no memory for a row");
}
