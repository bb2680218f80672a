/* SPDX-License-Identifier: MIT */
/*
 * media_s3.c - complete files as objects of S3, at a server that checks signatures: small ones,
 * large ones in pieces, uploads that were cut off, a server that is away, what is wrong
 */
#include "tests/s3_rig.h"

#include "client/s3.h"
#include "etl/media_home.h"

enum { BIG = (20 << 20) + 12345, SMALL = 5000 };

static uint8_t content[BIG];
static char place[200];
static int n_places, n_waits;
static struct tg_error err;

/* A place that is empty, and a file to be put there. */
struct given {
    struct tg_fs_memory *m;
    const struct tg_fs *fs;
    struct tg_dir *own;
    struct tg_media_home *home;
    struct tg_s3 *s3;
    struct tg_media_file f;
    char key[TG_MEDIA_PATH];
};

static void good(tg_code code)
{
    if (code != TG_OK)
        fail_msg("%s: %s", tg_code_name(code), err.message);
}

static void write_file(struct given *g, const char *name, size_t n)
{
    struct tg_file *file;

    good(g->fs->create(g->fs, g->own, name, false, &file, &err));
    good(g->fs->write(g->fs, file, content, n, &err));
    g->fs->close(g->fs, file);
}

static void given(struct given *g, size_t n)
{
    char target[64];

    memset(g, 0, sizeof *g);
    snprintf(target, sizeof target, "//rig/media%d", ++n_places);
    snprintf(place, sizeof place, "s3:%s?work=w&endpoint=%s", target, rig.endpoint);
    g->m = tg_fs_memory_new();
    g->fs = tg_fs_memory_fs(g->m);
    good(tg_media_home_open(g->fs, place, &g->home, &err));
    assert_string_equal(g->home->work, "w");
    good(g->home->ops->look(g->home, &err));
    good(tg_s3_new(target, NULL, rig.endpoint, &g->s3, &err));
    good(g->fs->open_dir(g->fs, "w", true, &g->own, &err));
    write_file(g, "d7-1.part", n);
    g->f = (struct tg_media_file){ .size = (int64_t)n, .ext = "bin" };
    tg_sha256(g->f.sha256, content, n);
    tg_media_path(&g->f, g->key);
}

static bool count(void *ctx, const char *key, uint64_t size)
{
    (void)key, (void)size;
    ++*(int *)ctx;
    return true;
}

static int objects(struct given *g)
{
    int n = 0;

    good(tg_s3_list(g->s3, "", NULL, count, &n, &err));
    return n;
}

static void none_is_noted(struct given *g)
{
    struct tg_file *file;

    assert_int_equal(g->fs->open(g->fs, g->own, "d7-1.upload", &file, &err), TG_NOT_FOUND);
}

static void done(struct given *g)
{
    tg_s3_free(g->s3);
    tg_media_home_close(g->home);
    g->fs->close_dir(g->fs, g->own);
    tg_fs_memory_free(g->m);
}

static void put(struct given *g)
{
    good(g->home->ops->place(g->home, g->own, "d7-1.part", &g->f, &err));
    good(g->home->ops->has(g->home, &g->f, &err));
    good(g->home->ops->check(g->home, &g->f, &err));
    none_is_noted(g);
}

static void files_of_all_sizes(void **state)
{
    static const size_t size[] = { 0, 1, SMALL, 16 << 20, (16 << 20) + 1, BIG };
    struct given g;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(size); i++) {
        given(&g, size[i]);
        assert_int_equal(g.home->ops->has(g.home, &g.f, &err), TG_NOT_FOUND);
        assert_int_equal(g.home->ops->check(g.home, &g.f, &err), TG_GAP);
        put(&g);
        put(&g); /* once more */
        assert_int_equal(objects(&g), 1);
        memcpy(g.f.ext, "txt", 4);
        put(&g); /* another end: the same content is there */
        assert_string_equal(g.f.ext, "bin");
        assert_int_equal(objects(&g), 1);
        done(&g);
    }
}

static void another_content_is_seen(void **state)
{
    struct given g;

    (void)state;
    given(&g, SMALL);
    g.f.sha256[7] ^= 1;
    assert_int_equal(g.home->ops->place(g.home, g.own, "d7-1.part", &g.f, &err), TG_IO);
    assert_int_equal(objects(&g), 0);
    tg_media_path(&g.f, g.key);
    good(tg_s3_put(g.s3, g.key, NULL, content, SMALL, NULL, &err));
    assert_int_equal(g.home->ops->check(g.home, &g.f, &err), TG_GAP);
    done(&g);
    given(&g, BIG);
    g.f.sha256[7] ^= 1;
    assert_int_equal(g.home->ops->place(g.home, g.own, "d7-1.part", &g.f, &err), TG_IO);
    assert_int_equal(objects(&g), 0);
    none_is_noted(&g);
    done(&g);
}

static void note(struct given *g, const char *key, const char *id, const char *more)
{
    struct tg_file *file;
    char text[TG_S3_ID_MAX + 400];

    snprintf(text, sizeof text, "%s\n%s\n%s", key, id, more);
    good(g->fs->create(g->fs, g->own, "d7-1.upload", false, &file, &err));
    good(g->fs->write(g->fs, file, text, strlen(text), &err));
    g->fs->close(g->fs, file);
}

/* What a killed run has left, in all the ways there are. */
static void an_upload_goes_on(void **state)
{
    char id[TG_S3_ID_MAX], line[120];
    struct tg_s3_etag etag;
    struct given g;

    (void)state;
    for (int how = 0; how < 6; how++) {
        given(&g, BIG);
        good(tg_s3_upload(g.s3, g.key, id, &err));
        good(tg_s3_piece(g.s3, g.key, id, 1, content, 8 << 20, &etag, &err));
        snprintf(line, sizeof line, "%s\n", etag.at);
        if (how == 1)
            line[strlen(line) / 2] = 0; /* torn */
        if (how == 2)
            snprintf(line, sizeof line, "0123456789abcdef0123456789abcdef\n"); /* of no piece */
        if (how == 3)
            good(tg_s3_abort(g.s3, g.key, id, &err));
        if (how == 4)
            line[0] = 0;
        note(&g, how == 5 ? "ab/under-another-name" : g.key, id, line);
        put(&g);
        assert_int_equal(objects(&g), 1);
        done(&g);
    }
}

static bool wait_for(void *ctx, unsigned n, const struct tg_error *why)
{
    (void)ctx;
    assert_int_equal(n, ++n_waits);
    assert_true(*why->message);
    if (n == 2)
        s3_start();
    return n < 3;
}

static void a_server_that_is_away_is_waited_for(void **state)
{
    struct given g;

    (void)state;
    given(&g, SMALL);
    s3_stop();
    assert_int_equal(g.home->ops->place(g.home, g.own, "d7-1.part", &g.f, &err), TG_SINK);
    g.home->wait = wait_for;
    put(&g);
    assert_int_equal(n_waits, 2);
    done(&g);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        const char *place;
        tg_code open, look;
    } row[] = {
        { "s3://rig/x?work=w&endpoint=%s", TG_OK, TG_OK },
        { "s3://nowhere-at-all/x?endpoint=%s", TG_OK, TG_IO },
        { "s3://rig/x?endpoint=http://127.0.0.1:1", TG_OK, TG_SINK },
        { "s3://?endpoint=%s", TG_USAGE, TG_OK },
        { "s3://rig/x?colour=red&endpoint=%s", TG_USAGE, TG_OK },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_media_home *home = NULL;
        const char *at = strstr(row[i].place, "%s");

        snprintf(place, sizeof place, "%.*s%s",
                 (int)(at ? at - row[i].place : (long)strlen(row[i].place)), row[i].place,
                 at ? rig.endpoint : "");
        assert_int_equal(tg_media_home_open(&tg_fs_system, place, &home, &err), row[i].open);
        if (row[i].open == TG_OK)
            assert_int_equal(home->ops->look(home, &err), row[i].look);
        tg_media_home_close(home);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_of_all_sizes),
        cmocka_unit_test(another_content_is_seen),
        cmocka_unit_test(an_upload_goes_on),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_server_that_is_away_is_waited_for),
    };

    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16) * 31);
    return cmocka_run_group_tests(tests, s3_set_up, s3_tear_down);
}
