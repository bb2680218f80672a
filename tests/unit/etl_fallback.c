/* SPDX-License-Identifier: MIT */
/*
 * Fallbacks as the taker delivers them: what lies beyond both cursors, once, marked, apart;
 * whatever the state store, the destination or the callback does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/etl_kit.h"

enum { READER = 42 };

struct fall_kit {
    struct kit k;
    struct tg_sink_env env;
    struct tg_sink sink;
    struct tg_fallbacks from;
    char file[128], archive[128];
};

static void open_sink(struct fall_kit *f)
{
    f->env = f->k.env;
    f->env.series = "fallback";
    assert_int_equal(tg_sink_open(f->k.job.to, &f->env, &f->sink, &f->k.err), TG_OK);
    f->k.options.fallback_sink = &f->sink;
}

static void start(struct fall_kit *f, int64_t interval, int64_t batch_size)
{
    *f = (struct fall_kit){ .from.n = 0 };
    kit_start(&f->k, interval, batch_size);
    snprintf(f->file, sizeof f->file, "%s/result.json", f->k.dir);
    snprintf(f->archive, sizeof f->archive, "ndjson:%s/archive", f->k.dir);
    open_sink(f);
}

static void end(struct fall_kit *f)
{
    char command[256];

    unlink(f->file);
    snprintf(command, sizeof command, "rm -rf '%s/archive'", f->k.dir);
    assert_int_equal(system(command), 0);
    tg_sink_close(&f->sink);
    kit_end(&f->k);
}

static void use(struct fall_kit *f, const char *list)
{
    assert_int_equal(tg_fallbacks_parse(list, &f->from, &f->k.err), TG_OK);
}

/* An export of the chat, a basic group, with ids from..to; it is the fallback then. */
static void write_export(struct fall_kit *f, int64_t from, int64_t to)
{
    FILE *file = fopen(f->file, "w");
    char list[160];

    assert_non_null(file);
    fprintf(file, "{\"type\":\"private_group\",\"id\":%d,\"messages\":[", -CHAT);
    for (int64_t id = from; id <= to; id++)
        fprintf(file, "%s{\"id\":%lld,\"date_unixtime\":\"%lld\",\"text\":\"t\"}",
                id > from ? "," : "", (long long)id, 1700000000 + (long long)id);
    fprintf(file, "]}");
    assert_int_equal(fclose(file), 0);
    snprintf(list, sizeof list, "export:%s", f->file);
    use(f, list);
}

/* A run in which the breaker is open. */
static tg_code fall_back(struct fall_kit *f, int64_t chat_id, bool migrated,
                         struct tg_fallback_result *ret)
{
    const struct tg_job_chat chat = { .id = chat_id, .title = "" };
    const struct tg_fallback_request request = { .chat = &chat, .from = &f->from,
                                                 .reader = READER, .migrated = migrated };
    struct kit *k = &f->k;
    tg_code code;

    kit_run(k);
    assert_int_equal(tg_pipeline_fall_back(k->pipeline, &request, &k->err), TG_OK);
    for (;;) {
        uint64_t seen = kit_woken(k);

        code = tg_pipeline_fell_back(k->pipeline, chat_id, ret, &k->alone, &k->err);
        if (code != TG_AGAIN)
            break;
        kit_wait(k, seen);
    }
    kit_finish(k);
    return code;
}

static void check_falls(struct fall_kit *f, int64_t rows, int64_t last_id)
{
    struct tg_fallback_result got;

    if (fall_back(f, CHAT, false, &got) != TG_OK)
        fail_msg("%s", f->k.err.message);
    if (got.trouble.code != TG_OK)
        fail_msg("%s", got.trouble.message);
    assert_int_equal(got.rows, rows);
    assert_int_equal(got.last_id, last_id);
}

struct seen {
    struct tg_row row[400];
    size_t n;
};

static tg_code on_rows(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct seen *seen = ctx;

    (void)err;
    assert_true(seen->n + b->n <= TG_COUNT(seen->row));
    memcpy(seen->row + seen->n, b->row, b->n * sizeof *b->row);
    seen->n += b->n;
    return TG_OK;
}

static void read_rows(struct fall_kit *f, int64_t chat_id, struct seen *ret)
{
    const struct tg_cursor begin = { .chat_id = chat_id };
    struct tg_batch *b = tg_batch_new(8);

    ret->n = 0;
    assert_int_equal(f->sink.ops->read(f->sink.self, chat_id, &begin, b, on_rows, ret, &f->k.err),
                     TG_OK);
    tg_batch_free(b);
}

/* The fallback's rows are from..to, without what lies between. */
static void check_rows(struct fall_kit *f, const int64_t *id, size_t n)
{
    struct seen seen;

    read_rows(f, CHAT, &seen);
    assert_int_equal(seen.n, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(seen.row[i].id, id[i]);
        assert_true(tg_row_has(&seen.row[i], TG_F_source));
    }
}

/* ---- cursors ---- */

static void only_what_lies_beyond_both_cursors(void **state)
{
    int64_t want[80];
    struct fall_kit f;
    struct kit_commits commits = { .n = 0 };

    (void)state;
    start(&f, 20, 7);
    assert_int_equal(kit_extract(&f.k, 50), TG_OK);
    write_export(&f, 1, 80);
    check_falls(&f, 30, 80);
    check_falls(&f, 0, 0);
    assert_int_equal(kit_extract(&f.k, 100), TG_OK); /* Telegram is back: behind 50 */
    kit_check_rows(&f.k, 100);
    write_export(&f, 60, 120);
    check_falls(&f, 20, 120);
    write_export(&f, 1, 150);
    check_falls(&f, 30, 150);
    for (int64_t i = 0; i < 80; i++)
        want[i] = i < 30 ? 51 + i : 71 + i;
    check_rows(&f, want, 80);
    kit_check_rows(&f.k, 100);
    assert_int_equal(f.sink.ops->commits(f.sink.self, CHAT, kit_seen_commit, &commits, &f.k.err),
                     TG_OK);
    for (size_t i = 0; i < commits.n; i++) {
        assert_int_equal(commits.at[i].source, TG_FROM_EXPORT);
        assert_int_equal(commits.at[i].covered_from, commits.at[i].cursor.id + 1);
        assert_int_equal(commits.at[i].cursor.owner, READER);
    }
    end(&f);
}

static void a_lost_state_store_brings_nothing_twice(void **state)
{
    char name[200];
    struct fall_kit f;

    (void)state;
    start(&f, 20, 7);
    assert_int_equal(kit_extract(&f.k, 50), TG_OK);
    write_export(&f, 1, 80);
    check_falls(&f, 30, 80);
    tg_store_close(&f.k.store);
    snprintf(name, sizeof name, "%s/state.db", f.k.dir);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(tg_store_open(f.k.state, &f.k.store, &f.k.err), TG_OK);
    f.k.options.nonce++;
    tg_sink_close(&f.k.sink);
    tg_sink_close(&f.sink);
    assert_int_equal(tg_sink_open(f.k.job.to, &f.k.env, &f.k.sink, &f.k.err), TG_OK);
    open_sink(&f);
    write_export(&f, 1, 90);
    check_falls(&f, 10, 90);
    end(&f);
}

static void the_limit_counts_both(void **state)
{
    struct fall_kit f;

    (void)state;
    start(&f, 20, 7);
    f.k.job.limit = 70;
    assert_int_equal(kit_extract(&f.k, 50), TG_OK);
    write_export(&f, 1, 200);
    check_falls(&f, 20, 70);
    check_falls(&f, 0, 0);
    assert_int_equal(kit_extract(&f.k, 60), TG_OK);
    check_falls(&f, 0, 0); /* ten that fallbacks brought lie beyond: all that is left */
    end(&f);
}

/* Workers have leases of single chats: the one that has it delivers its fallback. */
static void workers_fall_back_chat_by_chat(void **state)
{
    struct tg_fallback_result got;
    struct fall_kit f;
    struct kit other;
    struct tg_commit there;

    (void)state;
    start(&f, 20, 7);
    f.k.options.by_chat = true;
    write_export(&f, 1, 80);
    check_falls(&f, 80, 80);
    kit_join(&other, &f.k);
    other.options.by_chat = true;
    kit_run(&other);
    assert_int_equal(kit_chat(&other, CHAT, &there), TG_OK); /* another reads it from Telegram */
    write_export(&f, 1, 90);
    assert_int_equal(fall_back(&f, CHAT, false, &got), TG_OK);
    assert_int_equal(f.k.alone.code, TG_BUSY);
    assert_int_equal(got.rows, 0);
    assert_int_equal(kit_leave(&other, CHAT), 0);
    assert_int_equal(kit_finish(&other), TG_OK);
    check_falls(&f, 10, 90);
    kit_close(&other);
    end(&f);
}

static void a_full_disk_costs_no_row_and_doubles_none(void **state)
{
    int64_t want[300];

    (void)state;
    for (int64_t i = 0; i < 300; i++)
        want[i] = i + 1;
    for (uint64_t nth = 1; nth < 60; nth += 3) {
        struct tg_fallback_result got;
        struct fall_kit f;
        tg_code code;

        start(&f, 40, 10);
        write_export(&f, 1, 300);
        tg_fs_memory_fail(f.k.memory, nth, TG_FULL, true);
        code = fall_back(&f, CHAT, false, &got);
        tg_fs_memory_fail(f.k.memory, 0, TG_OK, false);
        assert_true(code == TG_FULL || code == TG_OK);
        f.k.options.nonce++;
        if (fall_back(&f, CHAT, false, &got) != TG_OK)
            fail_msg("%llu: %s", (unsigned long long)nth, f.k.err.message);
        check_rows(&f, want, 300);
        end(&f);
    }
}

/* ---- callbacks ---- */

struct taker {
    size_t left; /* rows that are still taken */
    int64_t last;
};

static tg_code take_some(void *ctx, struct tg_batch *b, struct tg_error *err)
{
    struct taker *t = ctx;
    struct tg_batch_info info;
    size_t n;

    tg_batch_info(b, &info);
    assert_string_equal(info.source, "export");
    assert_string_equal(info.circuit_state, "open");
    assert_false(info.last);
    n = TG_MIN(t->left, info.n);
    t->left -= n;
    if (n)
        t->last = tg_row_int(tg_batch_get(b, n - 1), TG_F_id);
    return n ? tg_batch_commit(b, n, err) : TG_OK;
}

static void what_a_callback_left_comes_again(void **state)
{
    struct taker taker = { .left = 25 };
    struct fall_kit f;

    (void)state;
    start(&f, 1000, 10);
    f.k.options.sink = f.k.options.fallback_sink = NULL;
    f.k.options.callback = take_some;
    f.k.options.callback_ctx = &taker;
    f.k.job.to = NULL;
    write_export(&f, 1, 100);
    check_falls(&f, 25, 25);
    assert_int_equal(taker.last, 25);
    taker.left = 1000;
    check_falls(&f, 75, 100);
    assert_int_equal(taker.last, 100);
    end(&f);
}

/* ---- archives ---- */

/* What job `job` has delivered: ids 1..n of the chat, behind ids 1..old of another. */
static void write_archive(struct fall_kit *f, const char *job, int64_t chat_id, int64_t old_chat,
                          int64_t old, int64_t n, int64_t owner)
{
    const struct tg_sink_env env = { .job = job, .fs = &tg_fs_system, .unix_us = test_unix_us };
    struct tg_extract_settings set = f->k.job;
    struct tg_checkpoint c = { .fence = 0 };
    struct tg_commit last = { .seq = 0 }, got;
    struct tg_batch *b = tg_batch_new(100);
    struct tg_sink sink;

    set.job = job;
    set.to = f->archive;
    assert_int_equal(tg_sink_open(set.to, &env, &sink, &f->k.err), TG_OK);
    assert_int_equal(sink.ops->attach(sink.self, chat_id, &test_fence, &got, &f->k.err), TG_END);
    for (int32_t segment = old ? 0 : 1; segment < 2; segment++) {
        int64_t ids = segment ? n : old;

        test_rows(b, segment ? chat_id : old_chat, 1, (size_t)ids);
        for (size_t i = 0; i < b->n; i++)
            TG_ROW_SET(&b->row[i], owner, owner);
        b->cursor.chat_id = chat_id;
        assert_int_equal(sink.ops->write(sink.self, b, 0, b->n, &f->k.err), TG_OK);
        last = test_commit(&last, chat_id, ids, (uint64_t)ids);
        last.cursor.segment = old ? segment : 0;
        last.cursor.owner = owner;
        assert_int_equal(sink.ops->commit(sink.self, &last, &f->k.err), TG_OK);
    }
    c.commit = last;
    assert_int_equal(tg_checkpoint_save(&f->k.store, TG_CHECKPOINT_LIVE, &set, &c, 1, &f->k.err),
                     TG_OK);
    tg_checkpoint_done(&c);
    tg_sink_close(&sink);
    tg_batch_free(b);
}

static void an_archive_has_the_old_group_too(void **state)
{
    enum { SUPER = -1000000000123, OLD = -55 };
    struct kit_piece piece = { (int64_t)SUPER, 1, 4, 4, 0, false };
    struct tg_fallback_result got;
    struct tg_commit there;
    struct fall_kit f;
    struct seen seen;
    uint64_t seq = 0;

    (void)state;
    start(&f, 100, 10);
    write_archive(&f, "other", (int64_t)SUPER, OLD, 10, 20, 0);
    kit_run(&f.k); /* from Telegram: four messages of the old group */
    assert_int_equal(kit_chat(&f.k, (int64_t)SUPER, &there), TG_OK);
    assert_true(kit_feed(&f.k, &piece, &seq));
    assert_int_equal(kit_finish(&f.k), TG_OK);
    use(&f, "archive");
    assert_int_equal(fall_back(&f, (int64_t)SUPER, true, &got), TG_OK);
    assert_int_equal(got.trouble.code, TG_OK);
    assert_int_equal(got.rows, 6 + 20);
    assert_int_equal(got.source, TG_FROM_ARCHIVE);
    read_rows(&f, (int64_t)SUPER, &seen);
    assert_int_equal(seen.n, 26);
    for (size_t i = 0; i < seen.n; i++) {
        assert_int_equal(seen.row[i].chat_id, i < 6 ? OLD : (int64_t)SUPER);
        assert_int_equal(seen.row[i].id, i < 6 ? (int64_t)i + 5 : (int64_t)i - 5);
    }
    assert_int_equal(fall_back(&f, (int64_t)SUPER, true, &got), TG_OK);
    assert_int_equal(got.rows, 0);
    end(&f);
}

static void archives_of_other_accounts_and_damaged_ones_are_told_apart(void **state)
{
    struct tg_fallback_result got;
    char part[200];
    struct fall_kit f;

    (void)state;
    start(&f, 100, 10);
    write_archive(&f, "theirs", CHAT, 0, 0, 20, READER + 1);
    use(&f, "archive");
    assert_int_equal(fall_back(&f, CHAT, false, &got), TG_OK);
    assert_int_equal(got.rows, 0);
    assert_int_equal(got.trouble.code, TG_OK); /* it has nothing of ours */
    end(&f);

    start(&f, 100, 10);
    write_archive(&f, "ours", CHAT, 0, 0, 20, READER);
    use(&f, "archive:ours");
    snprintf(part, sizeof part, "%s/archive/chat_%d/part-000001.ndjson", f.k.dir, CHAT);
    assert_int_equal(chmod(part, 0600), 0);
    assert_int_equal(truncate(part, 100), 0);
    assert_int_equal(fall_back(&f, CHAT, false, &got), TG_OK);
    assert_int_equal(got.rows, 0);
    assert_int_equal(got.trouble.code, TG_CORRUPT);
    end(&f);
}

#define MESSAGE(id) "{\"id\":" #id ",\"date_unixtime\":\"1700000000\",\"text\":\"t\"}"
#define CHAT_HEAD "{\"type\":\"private_group\",\"id\":1009,\"messages\":["
#define GROUP CHAT_HEAD MESSAGE(1) "," MESSAGE(2) "]}"
#define OWNER(id) "{\"personal_information\":{\"user_id\":" #id "},"

/* Whose export it is, where the chat stands in it, and what of it can be delivered. */
static void exports_are_searched_for_the_chat(void **state)
{
    static const struct {
        const char *text;
        int64_t rows;
        tg_code trouble;
    } rows[] = {
        { GROUP, 2, TG_OK },
        { OWNER(42) "\"chats\":{\"list\":[" GROUP "]}}", 2, TG_OK },
        { OWNER(43) "\"chats\":{\"list\":[" GROUP "]}}", 0, TG_OK },
        { "{\"left_chats\":{\"list\":[{\"type\":\"bot_chat\",\"id\":1009,\"messages\":["
          MESSAGE(7) "]}," GROUP ",{\"broken", 2, TG_OK },
        { CHAT_HEAD MESSAGE(-999999990) "," MESSAGE(3) "]}", 1, TG_OK },
        { CHAT_HEAD MESSAGE(4) "," MESSAGE(4) "]}", 1, TG_DATA },
        { "{\"messages\":[" MESSAGE(1) "],\"type\":\"private_group\",\"id\":1009}", 0, TG_DATA },
        { "{\"type\":\"private_group\",\"id\":1009}", 0, TG_OK },
        { "{}", 0, TG_OK },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct tg_fallback_result got;
        struct fall_kit f;
        FILE *file;

        start(&f, 100, 10);
        write_export(&f, 1, 1);
        file = fopen(f.file, "w");
        assert_non_null(file);
        fputs(rows[i].text, file);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(fall_back(&f, CHAT, false, &got), TG_OK);
        if (got.rows != rows[i].rows || got.trouble.code != rows[i].trouble)
            fail_msg("row %zu: %lld rows, %s", i, (long long)got.rows, got.trouble.message);
        end(&f);
    }
}

static void lists_are_read(void **state)
{
    static const struct {
        const char *list;
        size_t n;
    } rows[] = {
        { "archive", 1 },       { "archive:a,archive", 2 }, { "export:a b.json,archive", 2 },
        { "", 0 },              { "archive,", 0 },          { "export:", 0 },
        { "archive:a/b", 0 },   { "archives", 0 },          { "Archive", 0 },
        { "export", 0 },        { ",", 0 },                 { "archive:", 1 },
        { "archive,archive,archive,archive,archive,archive,archive,archive,archive", 0 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct tg_fallbacks got;
        struct tg_error err;
        tg_code code = tg_fallbacks_parse(rows[i].list, &got, &err);

        if (code != (rows[i].n ? TG_OK : TG_USAGE) || (rows[i].n && got.n != rows[i].n))
            fail_msg("'%s'", rows[i].list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_lies_beyond_both_cursors),
        cmocka_unit_test(a_lost_state_store_brings_nothing_twice),
        cmocka_unit_test(the_limit_counts_both),
        cmocka_unit_test(workers_fall_back_chat_by_chat),
        cmocka_unit_test(a_full_disk_costs_no_row_and_doubles_none),
        cmocka_unit_test(what_a_callback_left_comes_again),
        cmocka_unit_test(an_archive_has_the_old_group_too),
        cmocka_unit_test(archives_of_other_accounts_and_damaged_ones_are_told_apart),
        cmocka_unit_test(exports_are_searched_for_the_chat),
        cmocka_unit_test(lists_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
