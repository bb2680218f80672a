/* SPDX-License-Identifier: MIT */
/*
 * media_dir.c - files by their content: nothing half, nothing twice, and power that fails anywhere
 */
#include "etl/media_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LEN = 2 * TG_MEDIA_PART + 12345 };
#define NOW INT64_C(1800000000)

static struct tg_error err;
static uint8_t content[LEN];

static void make_content(uint32_t seed)
{
    for (size_t i = 0; i < LEN; i++)
        content[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
}

static struct tg_row_file file_of(int64_t id)
{
    return (struct tg_row_file){ .id = id, .size = LEN, .photo = id & 1 };
}

/* Reads a file again. */
static tg_code check(const struct tg_fs *fs, const struct tg_media_file *f, struct tg_error *why)
{
    struct tg_media_home *home;
    tg_code code;

    assert_int_equal(tg_media_home_open(fs, "media", &home, why), TG_OK);
    code = home->ops->check(home, f, why);
    tg_media_home_close(home);
    return code;
}

/* Fetches a file from where it stands. @return false if the disk failed on the way */
static bool fetch(const struct tg_fs *fs, int64_t id, int64_t *ret_resumed,
                  struct tg_media_file *ret)
{
    const struct tg_row_file file = file_of(id);
    struct tg_media_part *part;
    struct tg_media_dir *d;
    int64_t done;
    bool good;

    if (tg_media_dir_open(fs, "media", NOW, &d, &err) != TG_OK)
        return false;
    *ret_resumed = LEN;
    good = tg_media_find(d, &file, ret);
    if (!good && tg_media_begin(d, &file, &part, &done, &err) == TG_OK) {
        *ret_resumed = done;
        good = true;
        while (good && done < LEN) {
            size_t n = TG_MIN((size_t)TG_MEDIA_PART, (size_t)(LEN - done));

            good = tg_media_write(part, content + done, n, &err) == TG_OK;
            done += (int64_t)n;
        }
        if (good)
            good = tg_media_finish(part, "jpg", ret, &err) == TG_OK;
        else
            tg_media_leave(part);
    }
    tg_media_dir_close(d);
    return good;
}

static void a_file_is_there_whole_and_once(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(m);
    struct tg_media_file first, second;
    uint8_t sha256[TG_SHA256];
    char path[TG_MEDIA_PATH];
    int64_t resumed;

    (void)state;
    make_content(1);
    assert_true(fetch(fs, 7, &resumed, &first));
    assert_int_equal(resumed, 0);
    tg_sha256(sha256, content, LEN);
    assert_memory_equal(first.sha256, sha256, TG_SHA256);
    assert_int_equal(check(fs, &first, &err), TG_OK);
    assert_true(fetch(fs, 7, &resumed, &second)); /* of the index */
    assert_int_equal(resumed, LEN);
    assert_memory_equal(&first, &second, sizeof first);
    assert_true(fetch(fs, 8, &resumed, &second)); /* the same content */
    assert_int_equal(resumed, 0);
    assert_memory_equal(&first, &second, sizeof first);
    tg_media_path(&first, path);
    assert_true(tg_media_path_read(tg_str_of(path), &second));
    assert_memory_equal(second.sha256, sha256, TG_SHA256);
    path[0] ^= 1;
    assert_false(tg_media_path_read(tg_str_of(path), &second));
    first.sha256[3] ^= 1;
    assert_int_equal(check(fs, &first, &err), TG_GAP);
    tg_fs_memory_free(m);
}

/* A process that is killed between two operations, and one whose power fails there. */
static void it_goes_on_after_whatever_happened(void **state)
{
    bool any_resumed = false;

    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct tg_fs_memory *m = tg_fs_memory_new();
        const struct tg_fs *fs = tg_fs_memory_fs(m);
        struct tg_media_file f;
        uint8_t sha256[TG_SHA256];
        int64_t resumed;

        tg_fs_memory_clock(m, NOW);
        make_content((uint32_t)seed);
        tg_sha256(sha256, content, LEN);
        for (uint64_t nth = 1; nth < 24; nth++) {
            bool good;

            tg_fs_memory_fail(m, 1 + (nth * 7 + seed) % 17, TG_IO, true);
            resumed = 0;
            good = fetch(fs, 3, &resumed, &f);
            any_resumed |= resumed > 0 && resumed < LEN;
            tg_fs_memory_fail(m, 0, TG_IO, false);
            if (good)
                break;
            if ((nth + seed) % 3 == 0)
                tg_fs_memory_cut(m, seed);
        }
        assert_true(fetch(fs, 3, &resumed, &f));
        assert_memory_equal(f.sha256, sha256, TG_SHA256);
        tg_fs_memory_cut(m, seed);
        assert_int_equal(check(fs, &f, &err), TG_OK); /* it was told: it stays */
        tg_fs_memory_free(m);
    }
    assert_true(any_resumed);
}

static void two_at_once_have_their_own(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(m);
    const struct tg_row_file file = file_of(5);
    struct tg_media_dir *d[17] = { NULL };
    struct tg_media_file f;
    int64_t resumed;

    (void)state;
    for (size_t i = 0; i < 16; i++)
        assert_int_equal(tg_media_dir_open(fs, "media", NOW, &d[i], &err), TG_OK);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW, &d[16], &err), TG_BUSY);
    tg_media_dir_close(d[0]);
    assert_true(fetch(fs, 5, &resumed, &f));
    for (size_t i = 1; i < 16; i++)
        tg_media_dir_close(d[i]);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW, &d[0], &err), TG_OK);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW, &d[1], &err), TG_OK);
    assert_true(tg_media_find(d[1], &file, &f)); /* what another one has fetched */
    tg_media_dir_close(d[0]);
    tg_media_dir_close(d[1]);
    tg_fs_memory_free(m);
}

/* Leaves two thirds of a file behind. */
static void leave_half(struct tg_media_dir *d, int64_t id)
{
    const struct tg_row_file file = file_of(id);
    struct tg_media_part *part;
    int64_t done;

    assert_int_equal(tg_media_begin(d, &file, &part, &done, &err), TG_OK);
    assert_int_equal(tg_media_write(part, content, TG_MEDIA_PART, &err), TG_OK);
    tg_media_leave(part);
}

static bool count_half(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    (void)is_dir;
    (void)size;
    *(size_t *)ctx += strstr(name, ".part") || strstr(name, ".sums");
    return true;
}

static size_t n_half(const struct tg_fs *fs, const char *path)
{
    struct tg_dir *dir;
    size_t n = 0;

    assert_int_equal(fs->open_dir(fs, path, false, &dir, &err), TG_OK);
    assert_int_equal(fs->list(fs, dir, count_half, &n, &err), TG_OK);
    fs->close_dir(fs, dir);
    return n;
}

/* Two processes leave halves of files; later one that starts removes those of both that are old,
 * but not while somebody works there. */
static void what_nobody_wants_goes(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(m);
    struct tg_media_dir *a, *b, *c;

    (void)state;
    tg_fs_memory_clock(m, NOW);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW, &a, &err), TG_OK);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW, &b, &err), TG_OK);
    leave_half(a, 1);
    leave_half(b, 2);
    tg_fs_memory_clock(m, NOW + 1);
    leave_half(a, 3);
    tg_media_dir_close(a);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW + TG_MEDIA_OLD_S - 1, &a, &err), TG_OK);
    assert_int_equal(n_half(fs, "media/.tgdata-0"), 4);
    tg_media_dir_close(a);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW + TG_MEDIA_OLD_S, &a, &err), TG_OK);
    assert_int_equal(n_half(fs, "media/.tgdata-0"), 2); /* a file's two */
    assert_int_equal(n_half(fs, "media/.tgdata-1"), 2); /* b works there */
    tg_media_dir_close(b);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW + 2 * TG_MEDIA_OLD_S, &c, &err), TG_OK);
    assert_int_equal(n_half(fs, "media/.tgdata-0"), 2); /* a works there */
    assert_int_equal(n_half(fs, "media/.tgdata-1"), 0);
    tg_media_dir_close(c);
    tg_media_dir_close(a);
    tg_fs_memory_free(m);
}

/* Of a number that no process has taken for long. */
static void and_of_other_numbers(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(m);
    struct tg_media_dir *d[3];

    (void)state;
    tg_fs_memory_clock(m, NOW);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(tg_media_dir_open(fs, "media", NOW, &d[i], &err), TG_OK);
    leave_half(d[2], 1);
    for (size_t i = 0; i < 3; i++)
        tg_media_dir_close(d[i]);
    assert_int_equal(n_half(fs, "media/.tgdata-2"), 2);
    assert_int_equal(tg_media_dir_open(fs, "media", NOW + TG_MEDIA_OLD_S, &d[0], &err), TG_OK);
    assert_int_equal(n_half(fs, "media/.tgdata-2"), 0);
    for (size_t i = 1; i < 3; i++) /* none was kept locked */
        assert_int_equal(tg_media_dir_open(fs, "media", NOW, &d[i], &err), TG_OK);
    for (size_t i = 0; i < 3; i++)
        tg_media_dir_close(d[i]);
    tg_fs_memory_free(m);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_there_whole_and_once),
        cmocka_unit_test(it_goes_on_after_whatever_happened),
        cmocka_unit_test(two_at_once_have_their_own),
        cmocka_unit_test(what_nobody_wants_goes),
        cmocka_unit_test(and_of_other_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
