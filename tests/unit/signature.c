/* SPDX-License-Identifier: MIT */
/*
 * signature.c - which fields are compared, what changes a signature and what does not, windows as
 * bytes: their size, what is taken back, and every way in which they can be broken
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "flow/signature_window.h"

static const struct tg_window_owner of = { -1001234567890, 0, 1, TG_SIGNATURE_FIELDS };

/* ---- fields ---- */

static void fields_are_named(void **state)
{
    static const struct {
        const char *list;
        uint64_t want; /* 0: refused */
        const char *message;
    } row[] = {
        { "id,edit_date,content_hash", TG_SIGNATURE_FIELDS, NULL },
        { " content_hash , edit_date", TG_SIGNATURE_FIELDS, NULL },
        { "text,views", TG_ROW_BIT(id) | TG_ROW_BIT(text) | TG_ROW_BIT(views), NULL },
        { "id", 0, "'id' alone does not tell whether a message changed" },
        { "", 0, "there is no field '' to compare" },
        { "id,,text", 0, "there is no field '' to compare" },
        { "id,content_hsh", 0, "there is no field 'content_hsh' to compare" },
        { "id,reactions", 0,
          "'reactions' cannot be compared: they are always compared, apart from the rest" },
        { "raw", 0, "'raw' cannot be compared: it differs from one read to the next" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_error err = { 0 };
        uint64_t fields = 0;
        tg_code code = tg_signature_fields(tg_str_of(row[i].list), &fields, &err);

        assert_int_equal(code, row[i].want ? TG_OK : TG_USAGE);
        assert_true(fields == row[i].want);
        if (row[i].message)
            assert_string_equal(err.message, row[i].message);
    }
}

static struct tg_row plain_row(void)
{
    struct tg_row row = { 0 };

    TG_ROW_SET(&row, id, 7);
    TG_ROW_SET(&row, date, 1700000000);
    TG_ROW_SET(&row, text, TG_STR("hello"));
    TG_ROW_SET(&row, content_hash, TG_STR("00112233445566778899aabbccddeeff"));
    return row;
}

static void only_what_was_said_changes_a_signature(void **state)
{
    static const struct {
        const char *name, *list;
        unsigned want;
    } row[] = {
        { "counters", NULL, 0 },
        { "edit date", NULL, TG_SIGNATURE_EDIT_DATE },
        { "hash", NULL, TG_SIGNATURE_CONTENT },
        { "reactions", NULL, TG_SIGNATURE_REACTIONS },
        { "counters", "views", TG_SIGNATURE_CONTENT },
        { "edit date", "content_hash", 0 },
        { "hash", "text", 0 },
        { "text gone", "text", TG_SIGNATURE_CONTENT },
        { "text gone", NULL, 0 },
        { "no reactions", NULL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_row a = plain_row(), b = plain_row();
        uint64_t fields = TG_SIGNATURE_FIELDS;
        struct tg_signature before, after;
        struct tg_error err;

        if (row[i].list)
            assert_int_equal(tg_signature_fields(tg_str_of(row[i].list), &fields, &err), TG_OK);
        if (strcmp(row[i].name, "counters") == 0) {
            TG_ROW_SET(&b, views, 5);
            TG_ROW_SET(&b, forwards, 6);
            TG_ROW_SET(&b, replies, 7);
            TG_ROW_SET(&b, pinned, 1);
        } else if (strcmp(row[i].name, "edit date") == 0) {
            TG_ROW_SET(&b, edit_date, 1700000100);
        } else if (strcmp(row[i].name, "hash") == 0) {
            TG_ROW_SET(&b, content_hash, TG_STR("10112233445566778899aabbccddeeff"));
        } else if (strcmp(row[i].name, "reactions") == 0) {
            TG_ROW_SET(&b, reactions, TG_STR("[{\"reaction\":\"x\",\"count\":1}]"));
        } else if (strcmp(row[i].name, "no reactions") == 0) {
            TG_ROW_SET(&b, reactions, TG_STR("[]"));
        } else {
            b.present &= ~TG_ROW_BIT(text);
        }
        assert_true(tg_signature_of(&a, fields, &before));
        assert_true(tg_signature_of(&b, fields, &after));
        if (tg_signature_differs(&before, &after) != row[i].want)
            fail_msg("%s, %s: %u", row[i].name, row[i].list ? row[i].list : "default",
                     tg_signature_differs(&before, &after));
    }
}

/* Stored state depends on it: this number may not change. */
static void the_recipe_stays(void **state)
{
    struct tg_row row = plain_row();
    struct tg_signature s;
    uint8_t bytes[5 + 32] = { TG_F_content_hash, 32 };

    (void)state;
    memcpy(bytes + 5, row.content_hash.at, 32);
    TG_ROW_SET(&row, reactions, TG_STR("[{\"reaction\":\"x\",\"count\":1}]"));
    assert_true(tg_signature_of(&row, TG_SIGNATURE_FIELDS, &s));
    assert_true(s.content == XXH3_64bits(bytes, sizeof bytes));
    assert_true(s.content == UINT64_C(0x6c447edeb4c69267));
    assert_int_equal(s.reactions, (uint32_t)XXH3_64bits(row.reactions.at, row.reactions.len));
}

static void rows_without_hash_have_no_signature(void **state)
{
    struct tg_row row = plain_row();
    struct tg_signature s;
    uint64_t text = TG_ROW_BIT(id) | TG_ROW_BIT(text);

    (void)state;
    row.present &= ~TG_ROW_BIT(content_hash);
    assert_false(tg_signature_of(&row, TG_SIGNATURE_FIELDS, &s));
    assert_true(tg_signature_of(&row, text, &s));
    row.present &= ~TG_ROW_BIT(id);
    assert_false(tg_signature_of(&row, text, &s));
}

static void slices(void **state)
{
    static const struct tg_signature at[] = { { .id = 3 }, { .id = 5 }, { .id = 9 } };
    static const struct tg_signatures s = { 1, 10, at, 3 };
    static const struct {
        int64_t from, to;
        size_t first, n;
    } row[] = { { 1, 10, 0, 3 }, { 3, 5, 0, 2 }, { 4, 4, 1, 0 }, { 4, 9, 1, 2 }, { 10, 10, 3, 0 },
                { 1, 0, 0, 0 },  { 11, 10, 3, 0 } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_signatures part = tg_signatures_slice(s, row[i].from, row[i].to);

        assert_int_equal(part.n, row[i].n);
        assert_ptr_equal(part.at, at + row[i].first);
    }
    assert_true(tg_signatures_valid(s));
    assert_false(tg_signatures_valid((struct tg_signatures){ 4, 10, at, 3 }));
    assert_false(tg_signatures_valid((struct tg_signatures){ 1, 8, at, 3 }));
    assert_int_equal(tg_window_first(s, 2).to, 5);
    assert_int_equal(tg_window_first(s, 3).to, 10);
}

/* ---- windows ---- */

struct random {
    uint64_t state;
};

static uint64_t draw(struct random *r)
{
    uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Rows as they come in a chat: of 100 ids so many exist, so many are edited, have reactions. */
struct chat {
    const char *name;
    uint32_t exist, edited, reacted; /* of 1000 */
};

static void sign_row(struct random *r, const struct chat *chat, int64_t id,
                     struct tg_signature *ret)
{
    struct tg_row row = { 0 };
    uint64_t noise[2] = { draw(r), draw(r) };
    char hex[33], reactions[64];

    TG_ROW_SET(&row, id, id);
    TG_ROW_SET(&row, date, 1600000000 + id * 37);
    tg_hex(hex, noise, sizeof noise);
    TG_ROW_SET(&row, content_hash, ((struct tg_str){ hex, 32 }));
    if (draw(r) % 1000 < chat->edited)
        TG_ROW_SET(&row, edit_date, row.date + (int64_t)(draw(r) % (86400 * 30)));
    if (draw(r) % 1000 < chat->reacted) {
        snprintf(reactions, sizeof reactions, "[{\"reaction\":\"x\",\"count\":%u}]",
                 (unsigned)(draw(r) % 900));
        TG_ROW_SET(&row, reactions, tg_str_of(reactions));
    }
    assert_true(tg_signature_of(&row, of.fields, ret));
}

/* Bytes of a chat of that many messages, cut into windows as they are stored. */
static size_t stored_bytes(const struct chat *chat, size_t n)
{
    static struct tg_signature s[TG_WINDOW_CUT], back[TG_WINDOW_MAX];
    struct random r = { 1 };
    size_t total = 0;
    int64_t id = 0;

    while (n) {
        struct tg_signatures w = { id + 1, 0, s, 0 }, taken;
        struct tg_error err = { 0 };
        struct tg_buf out;
        uint64_t sum;

        for (; w.n < TG_WINDOW_CUT && n; n--) {
            while (draw(&r) % 1000 >= chat->exist)
                id++;
            sign_row(&r, chat, ++id, &s[w.n++]);
        }
        w.to = id;
        tg_buf_init(&out, TG_WINDOW_BYTES);
        sum = tg_window_put(&of, w, &out);
        assert_false(out.failed);
        total += out.len;
        taken.n = 0;
        assert_int_equal(tg_window_take(&of, out.data, out.len, back, &taken, &sum, &err), TG_OK);
        assert_int_equal(taken.from, w.from);
        assert_int_equal(taken.to, w.to);
        assert_int_equal(taken.n, w.n);
        for (size_t i = 0; i < w.n; i++)
            assert_true(back[i].id == s[i].id && !tg_signature_differs(&back[i], &s[i]));
        tg_buf_done(&out);
    }
    return total;
}

static void below_24_bytes_a_message(void **state)
{
    static const struct chat row[] = {
        { "a group", 970, 40, 80 },
        { "a channel: edits and reactions on most", 900, 600, 950 },
        { "everything edited and reacted to", 1000, 1000, 1000 },
        { "a private chat: one id in 20", 50, 30, 100 },
        { "ids far apart, everything edited", 2, 1000, 1000 },
    };
    enum { MESSAGES = 100000 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        double each = (double)stored_bytes(&row[i], MESSAGES) / MESSAGES;

        print_message("%5.2f bytes a message: %s\n", each, row[i].name);
        assert_true(each < 24);
    }
}

static void extremes_are_taken_back(void **state)
{
    static const struct tg_signature s[] = {
        { 1, INT64_MIN, 0, UINT32_MAX },      { 2, INT64_MAX, UINT64_MAX, 0 },
        { 3, 0, 1, 0 },                       { 4, -1, 1, 1 },
        { TG_WINDOW_ID_MAX, 1, 1, UINT32_MAX },
    };
    static struct tg_signature back[TG_WINDOW_MAX];
    const struct tg_signatures w = { 1, TG_WINDOW_ID_MAX, s, TG_COUNT(s) };
    struct tg_signatures taken;
    struct tg_error err = { 0 };
    struct tg_buf out;
    uint64_t sum, same;

    (void)state;
    tg_buf_init(&out, TG_WINDOW_BYTES);
    sum = tg_window_put(&of, w, &out);
    assert_int_equal(tg_window_take(&of, out.data, out.len, back, &taken, &same, &err), TG_OK);
    assert_true(sum == same && taken.n == w.n);
    for (size_t i = 0; i < w.n; i++)
        assert_true(back[i].id == s[i].id && !tg_signature_differs(&back[i], &s[i]));
    tg_buf_done(&out);
}

static void refused(const struct tg_window_owner *who, const struct tg_buf *b, size_t len,
                    const char *why)
{
    static struct tg_signature room[TG_WINDOW_MAX];
    struct tg_signatures taken = { 0 };
    struct tg_error err = { 0 };
    uint64_t sum = 0;

    assert_int_equal(tg_window_take(who, b->data, len, room, &taken, &sum, &err), TG_CORRUPT);
    assert_true(!taken.at && !sum);
    if (why && !strstr(err.message, why))
        fail_msg("'%s' does not say '%s'", err.message, why);
}

static void broken_windows_are_not_trusted(void **state)
{
    static const struct tg_signature s[] = { { 10, 0, 1, 0 }, { 11, 99, 2, 3 }, { 20, 0, 3, 4 } };
    const struct tg_signatures w = { 5, 20, s, TG_COUNT(s) };
    struct tg_window_owner other[] = { of, of, of, of };
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, TG_WINDOW_BYTES);
    tg_window_put(&of, w, &out);
    for (size_t len = 0; len < out.len; len++)
        refused(&of, &out, len, NULL);
    for (size_t bit = 0; bit < out.len * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        refused(&of, &out, out.len, bit < 32 ? "not what was stored" : "wrong checksum");
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    other[0].chat_id++;
    other[1].owner = 1;
    other[2].segment = 0;
    other[3].fields |= TG_ROW_BIT(text);
    for (size_t i = 0; i < TG_COUNT(other); i++)
        refused(&other[i], &out, out.len, i < 3 ? "another chat" : "comparison_fields");
    tg_buf_byte(&out, 0);
    refused(&of, &out, out.len, "wrong checksum");
    tg_buf_done(&out);
}

/* Bytes that a checksum cannot tell from right ones. */
static void contradictions_are_found(void **state)
{
    static const struct tg_signature s[] = { { 10, 0, 1, 0 }, { 11, 99, 2, 3 }, { 20, 0, 3, 4 } };
    static const struct {
        size_t at;
        uint8_t byte;
        const char *why;
    } row[] = {
        { 4, 2, "version" },           { 33, 11, "itself" },         { 33, 0, "itself" },
        { 41, 19, "itself" },          { 41, 4, "itself" },          { 48, 0x7f, "itself" },
        { 49, 2, "itself" },           { 49, 4, "itself" },          { 51, 1, "itself" },
        { 53, 9 << 2 | 2, "itself" },  { 53, 255, "itself" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_buf out;

        tg_buf_init(&out, TG_WINDOW_BYTES);
        tg_window_put(&of, (struct tg_signatures){ 5, 20, s, TG_COUNT(s) }, &out);
        out.data[row[i].at] = row[i].byte;
        tg_put_le64(out.data + out.len - 8, XXH3_64bits(out.data, out.len - 8));
        refused(&of, &out, out.len, row[i].why);
        tg_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_named),
        cmocka_unit_test(only_what_was_said_changes_a_signature),
        cmocka_unit_test(the_recipe_stays),
        cmocka_unit_test(rows_without_hash_have_no_signature),
        cmocka_unit_test(slices),
        cmocka_unit_test(below_24_bytes_a_message),
        cmocka_unit_test(extremes_are_taken_back),
        cmocka_unit_test(broken_windows_are_not_trusted),
        cmocka_unit_test(contradictions_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
