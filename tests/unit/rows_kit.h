/* SPDX-License-Identifier: MIT */
/*
 * rows_kit.h - a page built by hand, opened and read back, for the tests of rows
 */
#ifndef TESTS_UNIT_ROWS_KIT_H
#define TESTS_UNIT_ROWS_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "telegram/rows.h"
#include "tests/page_sample.h"

struct fixture {
    const struct tl_schema *schema;
    struct tg_arena arena;
    struct tg_buf bytes;
    struct tg_page *page;
    struct tg_batch *batch;
    struct tg_page_info info;
    struct tg_error err;
};

static inline void start(struct fixture *f)
{
    *f = (struct fixture){ .schema = tl_schema_builtin(228) };
    tg_arena_init(&f->arena, 16 << 20);
    tg_buf_init(&f->bytes, 16 << 20);
    f->page = tg_page_new();
    f->batch = tg_batch_new(300);
    assert_true(f->schema && f->page && f->batch);
}

static inline void finish(struct fixture *f)
{
    tg_batch_free(f->batch);
    tg_page_free(f->page);
    tg_page_free(NULL);
    tg_buf_done(&f->bytes);
    tg_arena_done(&f->arena);
}

static inline tg_code open_bytes(struct fixture *f, const void *bytes, size_t n)
{
    return tg_page_open(f->page, f->schema, bytes, n, &f->info, &f->err);
}

static inline void open_value(struct fixture *f, const struct tl_value *v)
{
    tg_buf_clear(&f->bytes);
    if (tl_encode(f->schema, v, &f->bytes, &f->err) != TG_OK)
        fail_msg("encode: %s", f->err.message);
    assert_int_equal(open_bytes(f, f->bytes.data, f->bytes.len), TG_OK);
}

static const struct tg_row_options plain = { .chat_id = -1000001234567 };

static inline const struct tg_row *row_at(struct fixture *f, size_t i,
                                          const struct tg_row_options *o)
{
    if (tg_page_row(f->page, i, o, f->batch, &f->err) != TG_OK)
        fail_msg("row %zu: %s", i, f->err.message);
    return &f->batch->row[f->batch->n - 1];
}

/* The whole row must be valid JSON, and so must each of its JSON fields. */
static inline json_t *check_json(const struct tg_row *row)
{
    struct tg_buf out;
    json_error_t why;
    json_t *json;

    tg_buf_init(&out, 16 << 20);
    tg_row_json(row, &out);
    json = json_loadb((const char *)out.data, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                      &why);
    if (!json)
        fail_msg("%s in %.*s", why.text, (int)out.len, (const char *)out.data);
    tg_buf_done(&out);
    return json;
}

static inline void field_text(const struct tg_row *row, enum tg_field_id id, char *out, size_t size)
{
    size_t len = 0;
    const char *text;

    *out = 0;
    if (!tg_row_has(row, id))
        return;
    if (tg_field(id)->type != TG_FIELD_STR && tg_field(id)->type != TG_FIELD_JSON) {
        snprintf(out, size, "%lld", (long long)tg_row_int(row, id));
        return;
    }
    text = tg_row_text(row, id, &len);
    snprintf(out, size, "%.*s", (int)len, text);
}

static inline struct tl_value *one_message_page(struct tg_arena *a, struct tl_value *m)
{
    struct tl_value *p = sample_page(a, 0, 1), *list = tl_set_vector(p, TLN_messages);

    tl_add_obj(list, m);
    return p;
}

static inline struct tl_value *plain_message(struct tg_arena *a)
{
    struct tl_value *m = tl_obj(a, TLN_message);

    tl_set_int(m, TLN_id, 1000);
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER));
    tl_set_obj(m, TLN_peer_id, sample_channel_peer(a, SAMPLE_CHANNEL));
    tl_set_int(m, TLN_date, SAMPLE_DATE + 1000);
    tl_set_cstr(m, TLN_message, "text");
    return m;
}

static inline struct tl_value *service(struct tg_arena *a, uint32_t action,
                                      struct tl_value **ret)
{
    struct tl_value *m = tl_obj(a, TLN_messageService);

    tl_set_int(m, TLN_id, 1000);
    tl_set_obj(m, TLN_peer_id, sample_channel_peer(a, SAMPLE_CHANNEL));
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER));
    tl_set_int(m, TLN_date, SAMPLE_DATE);
    *ret = tl_set_new(m, TLN_action, action);
    return m;
}

/* ---- what a message may carry ---- */

typedef void (*builder)(struct tl_value *m, struct tg_arena *a);

static inline struct tl_value *media_of(struct tl_value *m, uint32_t name)
{
    return tl_set_new(m, TLN_media, name);
}

static inline void as_is(struct tl_value *m, struct tg_arena *a)
{
    (void)m;
    (void)a;
}

static inline void from_two_names(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER + 7));
}

static inline void with_entities(struct tl_value *m, struct tg_arena *a)
{
    static const uint32_t kind[] = {
        TLN_messageEntityBold,        TLN_messageEntityPre,        TLN_messageEntityTextUrl,
        TLN_messageEntityMentionName, TLN_messageEntityCustomEmoji, TLN_messageEntityBlockquote,
    };
    struct tl_value *list = tl_set_vector(m, TLN_entities);

    (void)a;
    for (size_t i = 0; i < TG_COUNT(kind); i++) {
        struct tl_value *e = tl_add_new(list, kind[i]);

        tl_set_int(e, TLN_offset, (int32_t)i * 4);
        tl_set_int(e, TLN_length, 4);
        tl_set_cstr(e, TLN_url, "https://e.org/\"q\"");
        tl_set_cstr(e, TLN_language, "c");
        tl_set_long(e, TLN_user_id, 99);
        tl_set_long(e, TLN_document_id, 5368324170671202286);
        tl_set_true(e, TLN_collapsed, true);
    }
}

static inline struct tl_value *reply_of(struct tl_value *m, int32_t id)
{
    struct tl_value *r = tl_set_new(m, TLN_reply_to, TLN_messageReplyHeader);

    if (id)
        tl_set_int(r, TLN_reply_to_msg_id, id);
    return r;
}

static inline void reply_plain(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    reply_of(m, 17);
}

static inline void forwarded_post(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = tl_set_new(m, TLN_fwd_from, TLN_messageFwdHeader);

    tl_set_obj(w, TLN_from_id, sample_channel_peer(a, 77));
    tl_set_int(w, TLN_channel_post, 345);
    tl_set_int(w, TLN_date, 1600000000);
}

static inline void with_reactions(struct tl_value *m, struct tg_arena *a)
{
    static const uint32_t kind[] = { TLN_reactionEmoji, TLN_reactionCustomEmoji, TLN_reactionPaid,
                                     TLN_reactionEmpty };
    struct tl_value *list = tl_set_vector(tl_set_new(m, TLN_reactions, TLN_messageReactions),
                                          TLN_results);

    (void)a;
    for (size_t i = 0; i < TG_COUNT(kind); i++) {
        struct tl_value *one = tl_add_new(list, TLN_reactionCount), *what;

        tl_set_int(one, TLN_count, (int32_t)i + 3);
        what = tl_set_new(one, TLN_reaction, kind[i]);
        tl_set_cstr(what, TLN_emoticon, "\xf0\x9f\x91\x8d");
        tl_set_long(what, TLN_document_id, 5368324170671202286);
    }
}

static inline void with_photo(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(media_of(m, TLN_messageMediaPhoto), TLN_photo, sample_photo(a, 31));
}

static inline void with_video(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(media_of(m, TLN_messageMediaDocument), TLN_document, sample_video(a, 32));
}

static inline void with_web_page(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = tl_set_new(media_of(m, TLN_messageMediaWebPage), TLN_webpage, TLN_webPage);

    tl_set_cstr(w, TLN_url, "https://e.org/");
    tl_set_cstr(w, TLN_title, "T");
    tl_set_cstr(w, TLN_description, "D");
    tl_set_obj(w, TLN_photo, sample_photo(a, 61));
}

static inline struct tl_value *text_of(struct tl_value *o, uint32_t field, const char *text)
{
    struct tl_value *t = tl_set_new(o, field, TLN_textWithEntities);

    tl_set_cstr(t, TLN_text, text);
    return t;
}

static inline void with_poll_votes(struct tl_value *m, int32_t votes)
{
    struct tl_value *media = media_of(m, TLN_messageMediaPoll), *poll, *list, *one;

    poll = tl_set_new(media, TLN_poll, TLN_poll);
    tl_set_long(poll, TLN_id, 81);
    text_of(poll, TLN_question, "Why?");
    list = tl_set_vector(poll, TLN_answers);
    one = tl_add_new(list, TLN_pollAnswer);
    text_of(one, TLN_text, "So");
    tl_set_bytes(one, TLN_option, "0", 1);
    tl_set_true(poll, TLN_quiz, true);
    media = tl_set_new(media, TLN_results, TLN_pollResults);
    tl_set_int(media, TLN_total_voters, votes);
    one = tl_add_new(tl_set_vector(media, TLN_results), TLN_pollAnswerVoters);
    tl_set_bytes(one, TLN_option, "0", 1);
    tl_set_int(one, TLN_voters, votes);
    tl_set_vector(one, TLN_recent_voters);
}

static inline void with_poll(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    with_poll_votes(m, 4);
}

/* ---- one message, one field ---- */

struct field_case {
    const char *name;
    builder build;
    enum tg_field_id field;
    const char *want; /* "" absent */
    struct tg_row_options options;
};

static inline void check_fields(const struct field_case *row, size_t n)
{
    struct fixture f;
    char got[1024];

    start(&f);
    for (size_t i = 0; i < n; i++) {
        struct tl_value *m = plain_message(&f.arena);
        const struct tg_row *r;
        json_t *json;

        row[i].build(m, &f.arena);
        open_value(&f, one_message_page(&f.arena, m));
        assert_int_equal(f.info.fault, TG_PAGE_WHOLE);
        tg_batch_clear(f.batch);
        if (tg_page_row(f.page, 0, &row[i].options, f.batch, &f.err) != TG_OK)
            fail_msg("%s: %s", row[i].name, f.err.message);
        r = f.batch->row;
        field_text(r, row[i].field, got, sizeof got);
        if (strcmp(got, row[i].want) != 0)
            fail_msg("%s: got %s, want %s", row[i].name, got, row[i].want);
        json = check_json(r);
        json_decref(json);
        tg_arena_clear(&f.arena);
    }
    finish(&f);
}

#endif
