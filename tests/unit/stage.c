/* SPDX-License-Identifier: MIT */
/*
 * Stages: what a filter keeps is what a plain model keeps, words are counted as white space parts
 * them, a decoded row keeps what its message does not tell, and mistakes are told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "stage/stage.h"
#include "tests/tl_random.h"

enum { ROWS = 64 };

static struct tg_batch *batch;
static struct tg_stage_counts counts;
static struct tg_error err;

static int set_up(void **state)
{
    (void)state;
    batch = tg_batch_new(ROWS);
    counts = (struct tg_stage_counts){ 0 };
    return !batch;
}

static int tear_down(void **state)
{
    (void)state;
    tg_batch_free(batch);
    return 0;
}

static struct tg_stage_env env_of(void)
{
    return (struct tg_stage_env){ .now_us = INT64_C(1705314600999999), .counts = &counts };
}

static void run_text(const char *text, const struct tg_stage_env *env)
{
    struct tg_stage_list list;

    if (tg_stages_open(&text, 1, &list, &err) != TG_OK)
        fail_msg("%s: %s", text, err.message);
    assert_int_equal(tg_stages_run(&list, batch, env, &err), TG_OK);
    tg_stages_close(&list);
}

static struct tg_row *add_text(const char *text)
{
    struct tg_row *row = tg_batch_row(batch);

    TG_ROW_SET(row, chat_id, -5);
    TG_ROW_SET(row, id, (int64_t)batch->n);
    if (text)
        TG_ROW_SET(row, text, tg_str_of(text));
    return row;
}

/* ---- filter ---- */

static const char *const kinds[] = { "message", "service" };
static const char *const media[] = { NULL, "photo", "video", "web_page" };
static const char *const texts[] = { NULL, "", "ab", "abc", "xabcx", "ABC" };

struct model {
    int64_t since, until, min_id, max_id, sender;
    const char *kind, *media, *text;
    bool not;
};

static bool model_media(const char *wanted, const struct tg_row *row)
{
    char padded[64], name[32];

    if (!(row->present & TG_ROW_BIT(media_kind)))
        return strstr(wanted, "none") != NULL;
    snprintf(padded, sizeof padded, ",%s,", wanted);
    snprintf(name, sizeof name, ",%.*s,", (int)row->media_kind.len, row->media_kind.at);
    return strstr(padded, name) || strstr(padded, ",any,");
}

static bool model_keeps(const struct model *m, const struct tg_row *row)
{
    bool all = true;
    char text[32] = "";

    if (row->text.len)
        snprintf(text, sizeof text, "%.*s", (int)row->text.len, row->text.at);
    all &= !m->since || row->date >= m->since;
    all &= !m->until || row->date < m->until;
    all &= !m->min_id || row->id >= m->min_id;
    all &= !m->max_id || row->id <= m->max_id;
    all &= !m->kind || tg_str_eq(row->kind, tg_str_of(m->kind));
    all &= !m->media || model_media(m->media, row);
    all &= !m->sender || (row->present & TG_ROW_BIT(sender_id) && row->sender_id == m->sender);
    all &= !m->text || strstr(text, m->text);
    return all != m->not;
}

static void random_rows(struct tl_random *r)
{
    tg_batch_clear(batch);
    for (size_t i = 0; i < ROWS; i++) {
        const char *kind = media[tl_random_next(r) % TG_COUNT(media)];
        struct tg_row *row = add_text(texts[tl_random_next(r) % TG_COUNT(texts)]);

        TG_ROW_SET(row, id, (int64_t)i + 1);
        TG_ROW_SET(row, date, 1700000000 + (int64_t)i);
        TG_ROW_SET(row, kind, tg_str_of(kinds[tl_random_next(r) % 4 == 0]));
        if (kind)
            TG_ROW_SET(row, media_kind, tg_str_of(kind));
        if (tl_random_next(r) % 3)
            TG_ROW_SET(row, sender_id, (int64_t)(tl_random_next(r) % 3) - 1);
    }
}

/* Fills the model and writes the stage that says the same. */
static void random_filter(struct tl_random *r, struct model *m, struct tg_buf *stage)
{
    static const char *const wanted[] = { "photo", "photo,web_page", "any", "none", "none,video" };

    *m = (struct model){ 0 };
    tg_buf_clear(stage);
    tg_buf_str(stage, "filter?");
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "since=@%lld&", (long long)(m->since = 1700000000 + 20));
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "until=@%lld&", (long long)(m->until = 1700000000 + 50));
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "min-id=%lld&", (long long)(m->min_id = 10));
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "max-id=%lld&", (long long)(m->max_id = 40));
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "kind=%s&", m->kind = kinds[tl_random_next(r) % 2]);
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "media=%s&",
                      m->media = wanted[tl_random_next(r) % TG_COUNT(wanted)]);
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "sender=77,%lld&", (long long)(m->sender = 1));
    if (tl_random_next(r) % 4 == 0)
        tg_buf_printf(stage, "text=%s&", m->text = "abc");
    if ((m->not = tl_random_next(r) % 4 == 0))
        tg_buf_str(stage, "not");
}

static void a_filter_keeps_what_a_model_keeps(void **state)
{
    struct tl_random r = { .state = 20240115 };
    struct tg_stage_env env = env_of();
    struct tg_buf stage;

    (void)state;
    tg_buf_init(&stage, 4096);
    for (int round = 0; round < 2000; round++) {
        struct tg_row want[ROWS];
        struct model m;
        size_t n = 0;

        random_rows(&r);
        random_filter(&r, &m, &stage);
        for (size_t i = 0; i < ROWS; i++)
            if (model_keeps(&m, &batch->row[i]))
                want[n++] = batch->row[i];
        counts.dropped = 0;
        run_text(tg_buf_cstr(&stage), &env);
        if (batch->n != n || counts.dropped != ROWS - n ||
            memcmp(batch->row, want, n * sizeof *want) != 0)
            fail_msg("round %d, %s: %zu rows, not %zu", round, tg_buf_cstr(&stage), batch->n, n);
    }
    tg_buf_done(&stage);
}

/* ---- enrich ---- */

static void words_are_what_white_space_parts(void **state)
{
    static const struct {
        const char *text;
        int64_t words;
    } row[] = {
        { NULL, 0 },
        { "", 0 },
        { " \t\n ", 0 },
        { "one", 1 },
        { "  one\ttwo\nthree ", 3 },
        { "a\xc2\xa0" "b\xe2\x80\x83" "c\xe3\x80\x80" "d\xe2\x80\xa8" "e", 5 }, /* wide spaces */
        { "\xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 \xe4\xbd\xa0\xe5\xa5\xbd", 2 },
        { "zero\xe2\x80\x8bwidth", 1 }, /* no white space in Unicode */
        { "a\x1f" "b", 2 },
    };
    struct tg_stage_env env = env_of();

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_row *added = add_text(row[i].text);

        if (i % 2)
            TG_ROW_SET(added, media_kind, TG_STR("photo"));
    }
    run_text("enrich", &env);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const struct tg_row *got = &batch->row[i];

        assert_true(got->present & TG_ROW_BIT(word_count));
        assert_int_equal(got->word_count, row[i].words);
        assert_int_equal(got->extracted_timestamp, 1705314600);
        assert_int_equal(got->present >> TG_F_has_media & 1, i % 2);
    }
}

/* ---- fields ---- */

static void keys_stay_whatever_is_dropped(void **state)
{
    struct tg_stage_env env = env_of();
    struct tg_row *row = add_text("x");

    (void)state;
    TG_ROW_SET(row, owner, 0);
    TG_ROW_SET(row, date, 5);
    run_text("fields?drop=text,id,date", &env);
    assert_int_equal(row->present, TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(owner));
    TG_ROW_SET(row, date, 5);
    TG_ROW_SET(row, views, 7);
    run_text("fields?keep=views", &env);
    assert_int_equal(row->present,
                     TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(owner) | TG_ROW_BIT(views));
}

static void deletions_pass_filters_and_keep_what_they_are(void **state)
{
    static const char *const filter[] = { "filter?text=abc", "filter?text=abc&not", "filter?not",
                                          "filter?min-id=1000" };
    const uint64_t all = TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(change) |
                         TG_ROW_BIT(change_seq) | TG_ROW_BIT(extracted_timestamp);
    struct tg_stage_env env = env_of();

    (void)state;
    for (size_t i = 0; i < TG_COUNT(filter); i++) {
        struct tg_row *row;

        tg_batch_clear(batch);
        row = add_text(NULL);
        TG_ROW_SET(row, change, TG_STR("deleted"));
        TG_ROW_SET(row, change_seq, 9);
        run_text(filter[i], &env);
        run_text("enrich", &env);
        run_text("fields?keep=extracted_timestamp", &env);
        assert_int_equal(batch->n, 1);
        assert_int_equal(row->present, all);
    }
}

/* Files that are wanted stay with their rows. */
static void files_follow_their_rows(void **state)
{
    struct tg_stage_env env = env_of();

    (void)state;
    for (int64_t i = 0; i < 40; i++) {
        add_text(i % 3 ? "abc" : "x");
        for (int64_t k = i % 4; k < 2; k++)
            tg_batch_file(batch)->id = i;
    }
    run_text("filter?text=abc", &env);
    assert_int_equal(batch->n, 26);
    assert_int_equal(batch->n_files, 19);
    for (size_t i = 0; i < batch->n_files; i++)
        assert_int_equal(batch->row[batch->file[i].row].id, batch->file[i].id + 1);
}

/* ---- decode ---- */

/* Of what it is given it makes a row that has the text "new" and nothing else. */
static tg_code decode(void *ctx, const struct tg_row *from, struct tg_row *ret,
                      struct tg_error *error)
{
    ++*(int *)ctx;
    if (tg_str_eq(from->raw, TG_STR("bad")))
        return tg_fail(error, TG_DATA, "not the JSON of an object");
    if (tg_str_eq(from->raw, TG_STR("full")))
        return tg_fail(error, TG_NOMEM, "no memory");
    *ret = (struct tg_row){ 0 };
    TG_ROW_SET(ret, chat_id, from->chat_id);
    TG_ROW_SET(ret, id, from->id);
    TG_ROW_SET(ret, text, TG_STR("new"));
    return TG_OK;
}

static void a_decoded_row_keeps_what_its_message_does_not_tell(void **state)
{
    struct tg_stage_env env = env_of();
    struct tg_row *good = add_text("old"), *plain = add_text("old"), *bad = add_text("old");
    int calls = 0;

    (void)state;
    env.decode = decode;
    env.ctx = &calls;
    TG_ROW_SET(good, raw, TG_STR("{}"));
    TG_ROW_SET(good, views, 7); /* a message tells it: gone */
    TG_ROW_SET(good, sender_name, TG_STR("Ada"));
    TG_ROW_SET(good, source, TG_STR("archive"));
    TG_ROW_SET(good, comment_of_id, 3);
    TG_ROW_SET(bad, raw, TG_STR("bad"));
    run_text("decode", &env);
    assert_int_equal(calls, 2);
    assert_int_equal(counts.decoded, 1);
    assert_int_equal(counts.no_raw, 1);
    assert_int_equal(counts.undecoded, 1);
    assert_non_null(strstr(counts.why, "message 3 of chat -5: not the JSON"));
    assert_true(tg_str_eq(good->text, TG_STR("new")));
    assert_int_equal(good->present, TG_ROW_BIT(chat_id) | TG_ROW_BIT(id) | TG_ROW_BIT(text) |
                                        TG_ROW_BIT(raw) | TG_ROW_BIT(sender_name) |
                                        TG_ROW_BIT(source) | TG_ROW_BIT(comment_of_id));
    assert_true(tg_str_eq(good->sender_name, TG_STR("Ada")));
    assert_int_equal(good->comment_of_id, 3);
    assert_true(tg_str_eq(plain->text, TG_STR("old")) && tg_str_eq(bad->text, TG_STR("old")));
}

static void memory_that_is_out_is_no_bad_row(void **state)
{
    static const char *const text[] = { "decode" };
    struct tg_row *row = add_text("old");
    struct tg_stage_env env = env_of();
    struct tg_stage_list list;
    int calls = 0;

    (void)state;
    env.decode = decode;
    env.ctx = &calls;
    TG_ROW_SET(row, raw, TG_STR("full"));
    assert_int_equal(tg_stages_open(text, 1, &list, &err), TG_OK);
    assert_int_equal(tg_stages_run(&list, batch, &env, &err), TG_NOMEM);
    tg_stages_close(&list);
    assert_int_equal(counts.undecoded, 0);
}

/* ---- lists ---- */

static void stages_run_in_their_order(void **state)
{
    static const char *const text[] = { "fields?drop=text", "filter?text=x" };
    static const char *const other[] = { "filter?text=x", "fields?drop=text" };
    struct tg_stage_env env = env_of();
    struct tg_stage_list list;

    (void)state;
    add_text("x");
    add_text("y");
    assert_int_equal(tg_stages_open(other, 2, &list, &err), TG_OK);
    assert_int_equal(tg_stages_run(&list, batch, &env, &err), TG_OK);
    tg_stages_close(&list);
    assert_int_equal(batch->n, 1);
    assert_int_equal(batch->row[0].id, 1);
    assert_false(batch->row[0].present & TG_ROW_BIT(text));
    assert_int_equal(tg_stages_open(text, 2, &list, &err), TG_OK);
    tg_stages_close(&list);
}

static void mistakes_are_told(void **state)
{
    static const struct {
        const char *stage, *message;
    } row[] = {
        { "", "names no stage" },
        { "?since=1", "names no stage" },
        { "filter:x", "names no stage" },
        { "fliter", "there is no stage 'fliter'" },
        { "filter?sinse=2024-01-01", "unknown option 'sinse'" },
        { "filter?since=soon", "since" },
        { "filter?since=2024-01-02&until=2024-01-02", "since is not before until" },
        { "filter?min-id=5&max-id=4", "at least 5 and at most 4" },
        { "filter?min-id=-1", "min-id" },
        { "filter?sender=1,ada", "'ada' is no id" },
        { "filter?text=%4", "malformed" },
        { "fields", "neither" },
        { "fields?keep=id&drop=id", "exclude each other" },
        { "fields?keep=id,colour", "no field 'colour'" },
        { "enrich?x=1", "x" },
    };
    const char *many[TG_STAGES_MAX + 1];
    struct tg_stage_list list;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        tg_code code = tg_stages_open(&row[i].stage, 1, &list, &err);

        tg_stages_close(&list);
        if (code != TG_USAGE || !strstr(err.message, row[i].message))
            fail_msg("%s: %s", row[i].stage, code == TG_OK ? "taken" : err.message);
    }
    for (size_t i = 0; i < TG_COUNT(many); i++)
        many[i] = "enrich";
    assert_int_equal(tg_stages_open(many, TG_COUNT(many), &list, &err), TG_USAGE);
    tg_stages_close(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_filter_keeps_what_a_model_keeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_are_what_white_space_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(deletions_pass_filters_and_keep_what_they_are, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(files_follow_their_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_stay_whatever_is_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_decoded_row_keeps_what_its_message_does_not_tell, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(memory_that_is_out_is_no_bad_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stages_run_in_their_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_are_told, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
