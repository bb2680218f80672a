/* SPDX-License-Identifier: MIT */
/*
 * os_fs.c - files: what both file systems do alike, what only the kernel's or the memory's does
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/fs.h"
#include "os/lockfile.h"
#include "os/proc.h"

static struct tg_error err;

static void write_file(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                       const char *text, bool sync)
{
    struct tg_file *file;

    assert_int_equal(fs->create(fs, dir, name, false, &file, &err), TG_OK);
    assert_int_equal(fs->write(fs, file, text, strlen(text), &err), TG_OK);
    if (sync)
        assert_int_equal(fs->sync(fs, file, &err), TG_OK);
    fs->close(fs, file);
}

static void check_file(const struct tg_fs *fs, struct tg_dir *dir, const char *name,
                       const char *want)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, 1000);
    code = tg_fs_read_all(fs, dir, name, 999, &text, &err);
    assert_int_equal(code, want ? TG_OK : TG_NOT_FOUND);
    if (want)
        assert_string_equal(tg_buf_cstr(&text), want);
    tg_buf_done(&text);
}

struct listed {
    int n_files, n_dirs;
    uint64_t bytes;
};

static bool count(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    struct listed *l = ctx;

    assert_true(name[0] != '.' || strlen(name) > 2);
    l->n_files += !is_dir;
    l->n_dirs += is_dir;
    l->bytes += is_dir ? 0 : size;
    return true;
}

static bool stop(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    (void)name;
    (void)is_dir;
    (void)size;
    ++*(int *)ctx;
    return false;
}

static void append_file(const struct tg_fs *fs, struct tg_dir *dir, uint64_t keep, const char *text)
{
    struct tg_file *file;

    assert_int_equal(fs->append(fs, dir, "grows", keep, &file, &err), TG_OK);
    assert_int_equal(fs->write(fs, file, text, strlen(text), &err), TG_OK);
    assert_int_equal(fs->sync(fs, file, &err), TG_OK);
    fs->close(fs, file);
}

/* Files that are gone on with, and that move to another directory. */
static void go_on(const struct tg_fs *fs, struct tg_dir *dir, const char *root)
{
    struct tg_dir *other;
    char path[200];

    append_file(fs, dir, 0, "first");
    append_file(fs, dir, UINT64_MAX, " second");
    check_file(fs, dir, "grows", "first second");
    append_file(fs, dir, 5, "ling");
    check_file(fs, dir, "grows", "firstling");
    snprintf(path, sizeof path, "%s/other", root);
    assert_int_equal(fs->open_dir(fs, path, true, &other, &err), TG_OK);
    write_file(fs, other, "taken", "before", true);
    assert_int_equal(fs->move_new(fs, dir, "grows", other, "taken", &err), TG_CONFLICT);
    assert_int_equal(fs->move_new(fs, dir, "none", other, "free", &err), TG_IO);
    assert_int_equal(fs->move_new(fs, dir, "grows", other, "free", &err), TG_OK);
    check_file(fs, dir, "grows", NULL);
    check_file(fs, other, "free", "firstling");
    check_file(fs, other, "taken", "before");
    fs->unlink(fs, other, "free", &err);
    fs->unlink(fs, other, "taken", &err);
    fs->close_dir(fs, other);
}

/* The same steps on both. */
static void use(const struct tg_fs *fs, const char *root)
{
    struct tg_dir *dir, *again;
    struct tg_lock *lock, *second;
    struct listed l = { 0 };
    struct tg_buf text;
    char path[200];
    int n = 0;

    snprintf(path, sizeof path, "%s/a/b", root);
    assert_int_equal(fs->open_dir(fs, path, false, &dir, &err), TG_NOT_FOUND);
    assert_int_equal(fs->open_dir(fs, path, true, &dir, &err), TG_OK);
    assert_int_equal(fs->open_dir(fs, path, true, &again, &err), TG_OK);

    write_file(fs, dir, "one", "first text", true);
    check_file(fs, again, "one", "first text");
    write_file(fs, dir, "one", "short", false);
    check_file(fs, dir, "one", "short");
    check_file(fs, dir, "none", NULL);
    write_file(fs, dir, "two", "other", true);
    assert_int_equal(fs->rename(fs, dir, "two", "one", &err), TG_OK);
    check_file(fs, dir, "one", "other");
    check_file(fs, dir, "two", NULL);
    assert_int_equal(fs->rename(fs, dir, "two", "one", &err), TG_IO);
    assert_non_null(strstr(err.message, "rename"));
    assert_int_equal(fs->rename_new(fs, dir, "two", "new", &err), TG_IO);
    write_file(fs, dir, "two", "newer", true);
    assert_int_equal(fs->rename_new(fs, dir, "two", "one", &err), TG_CONFLICT);
    check_file(fs, dir, "one", "other");
    check_file(fs, dir, "two", "newer");
    fs->unlink(fs, dir, "one", &err);
    assert_int_equal(fs->rename_new(fs, dir, "two", "one", &err), TG_OK);
    check_file(fs, dir, "one", "newer");
    check_file(fs, dir, "two", NULL);
    go_on(fs, dir, root);
    assert_int_equal(fs->sync_dir(fs, dir, &err), TG_OK);

    assert_int_equal(tg_fs_replace(fs, dir, "three", true, "12345", 5, &err), TG_OK);
    assert_int_equal(tg_fs_replace(fs, dir, "three", true, "123", 3, &err), TG_OK);
    check_file(fs, dir, "three", "123");
    check_file(fs, dir, "three.tmp", NULL);
    tg_buf_init(&text, 100);
    assert_int_equal(tg_fs_read_all(fs, dir, "three", 2, &text, &err), TG_LIMIT);
    assert_int_equal(text.len, 0);
    assert_int_equal(tg_fs_read_all(fs, dir, "three", 3, &text, &err), TG_OK);
    tg_buf_done(&text);

    assert_int_equal(fs->list(fs, dir, count, &l, &err), TG_OK);
    assert_int_equal(l.n_files, 2);
    assert_int_equal(l.bytes, 8);
    assert_int_equal(fs->list(fs, dir, stop, &n, &err), TG_OK);
    assert_int_equal(n, 1);

    assert_int_equal(fs->lock(fs, dir, ".lock", &lock, &err), TG_OK);
    assert_int_equal(fs->lock(fs, again, ".lock", &second, &err), TG_BUSY);
    assert_true(err.hint[0] != 0);
    fs->unlock(fs, lock);
    assert_int_equal(fs->lock(fs, again, ".lock", &second, &err), TG_OK);
    fs->unlock(fs, second);
    fs->unlock(fs, NULL);

    assert_int_equal(fs->unlink(fs, dir, "one", &err), TG_OK);
    assert_int_equal(fs->unlink(fs, dir, "one", &err), TG_OK); /* gone is gone */
    assert_int_equal(fs->unlink(fs, dir, "three", &err), TG_OK);
    fs->unlink(fs, dir, ".lock", &err);
    fs->close(fs, NULL);
    fs->close_dir(fs, again);
    fs->close_dir(fs, dir);
    fs->close_dir(fs, NULL);
}

static char root[64];

static void make_root(void)
{
    snprintf(root, sizeof root, "/tmp/tg_fs_XXXXXX");
    assert_non_null(mkdtemp(root));
}

static void use_times(const struct tg_fs *fs, const char *path)
{
    int64_t now_s = time(NULL), written_s;
    struct tg_dir *dir;

    assert_int_equal(fs->open_dir(fs, path, true, &dir, &err), TG_OK);
    write_file(fs, dir, "one", "text", true);
    assert_int_equal(fs->written(fs, dir, "one", &written_s, &err), TG_OK);
    assert_in_range(written_s, now_s - 60, now_s + 60);
    assert_int_equal(fs->unlink(fs, dir, "one", &err), TG_OK);
    assert_int_equal(fs->written(fs, dir, "one", &written_s, &err), TG_NOT_FOUND);
    fs->close_dir(fs, dir);
}

static void both_file_systems_do_the_same(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    char path[100];

    (void)state;
    tg_fs_memory_clock(m, time(NULL));
    use(tg_fs_memory_fs(m), "x");
    use_times(tg_fs_memory_fs(m), "y");
    tg_fs_memory_free(m);
    make_root();
    use(&tg_fs_system, root);
    use_times(&tg_fs_system, root);
    snprintf(path, sizeof path, "%s/a/b", root);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/a", root);
    assert_int_equal(rmdir(path), 0);
    snprintf(path, sizeof path, "%s/other", root);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(root), 0);
}

static void secrets_are_for_their_owner_only(void **state)
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_dir *dir;
    struct stat st;
    char path[100];

    (void)state;
    make_root();
    snprintf(path, sizeof path, "%s/session", root);
    assert_int_equal(fs->open_dir(fs, root, false, &dir, &err), TG_OK);
    write_file(fs, dir, "session.tmp", "left by an older run, open to all", false);
    assert_int_equal(tg_fs_replace(fs, dir, "session", true, "key", 3, &err), TG_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(fs->unlink(fs, dir, "session", &err), TG_OK);
    fs->close_dir(fs, dir);
    assert_int_equal(rmdir(root), 0);
}

static void failures_of_the_kernel_say_what_to_do(void **state)
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_dir *dir;
    struct tg_file *file;
    char path[100];

    (void)state;
    assert_int_equal(fs->open_dir(fs, "/dev/null/x", true, &dir, &err), TG_IO);
    assert_true(err.hint[0] != 0);
    assert_int_equal(fs->open_dir(fs, "/proc/none/x", true, &dir, &err), TG_IO);
    assert_int_equal(fs->open_dir(fs, "", true, &dir, &err), TG_NOT_FOUND);
    assert_int_equal(fs->open_dir(fs, "/dev", false, &dir, &err), TG_OK);
    if (fs->create(fs, dir, "full", false, &file, &err) == TG_OK) {
        assert_int_equal(fs->write(fs, file, "x", 1, &err), TG_FULL);
        assert_non_null(strstr(err.message, "/dev/full"));
        assert_non_null(strstr(err.hint, "make room"));
        fs->close(fs, file);
    }
    fs->close_dir(fs, dir);
    make_root();
    assert_int_equal(fs->open_dir(fs, root, false, &dir, &err), TG_OK);
    snprintf(path, sizeof path, "%s/f", root);
    write_file(fs, dir, "f", "x", false);
    assert_int_equal(fs->open_dir(fs, path, true, (struct tg_dir **)&file, &err), TG_IO);
    assert_int_equal(fs->create(fs, dir, "no/where", false, &file, &err), TG_IO);
    fs->unlink(fs, dir, "f", &err);
    fs->close_dir(fs, dir);
    assert_int_equal(rmdir(root), 0);
}

static void a_lock_names_its_holder_and_ends_with_it(void **state)
{
    struct tg_lock *lock;
    char path[100], pid[32];
    int status, ready[2];
    pid_t child;
    char byte;

    (void)state;
    make_root();
    snprintf(path, sizeof path, "%s/session.lock", root);
    assert_int_equal(pipe(ready), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (tg_lock_file(path, &lock, &err) != TG_OK || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(tg_lock_file(path, &lock, &err), TG_BUSY);
    snprintf(pid, sizeof pid, "process %d", (int)child);
    assert_non_null(strstr(err.message, pid));
    assert_non_null(strstr(err.hint, pid));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    assert_int_equal(access(path, F_OK), 0); /* left, and keeps nobody out */
    assert_int_equal(tg_lock_file(path, &lock, &err), TG_OK);
    tg_lock_release(lock);
    tg_lock_release(NULL);
    assert_int_equal(access(path, F_OK), -1);
    close(ready[0]);
    close(ready[1]);
    assert_int_equal(rmdir(root), 0);
}

enum { TAKERS = 4, TURNS = 400 };

/* Takes the lock again and again; while it is held, nobody else may be inside. */
static int take_turns(const char *path, atomic_int *inside)
{
    struct tg_lock *lock;

    for (int i = 0; i < TURNS;) {
        tg_code code = tg_lock_file(path, &lock, &err);

        if (code == TG_BUSY)
            continue;
        if (code != TG_OK || atomic_fetch_add(inside, 1) != 0)
            return 1;
        if (i % 7 == 0)
            usleep(50);
        atomic_fetch_sub(inside, 1);
        tg_lock_release(lock);
        i++;
    }
    return 0;
}

static void one_at_a_time_though_the_file_comes_and_goes(void **state)
{
    atomic_int *inside = mmap(NULL, sizeof *inside, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child[TAKERS];
    char path[100];
    int status;

    (void)state;
    make_root();
    snprintf(path, sizeof path, "%s/lock", root);
    assert_ptr_not_equal(inside, MAP_FAILED);
    for (int i = 0; i < TAKERS; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0)
            _exit(take_turns(path, inside));
    }
    for (int i = 0; i < TAKERS; i++) {
        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_int_equal(status, 0);
    }
    munmap(inside, sizeof *inside);
    assert_int_equal(rmdir(root), 0); /* nothing is left */
}

/* ---- power failures ---- */

static void only_what_was_synced_survives(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(m);
    struct tg_dir *dir;
    struct tg_file *file;
    struct listed l = { 0 };
    size_t n_ops;

    (void)state;
    assert_int_equal(fs->open_dir(fs, "d", true, &dir, &err), TG_OK);
    write_file(fs, dir, "synced", "whole", true);
    write_file(fs, dir, "volatile", "lost", false);
    write_file(fs, dir, "replaced", "old", true);
    write_file(fs, dir, "gone", "back", true);
    assert_int_equal(fs->sync_dir(fs, dir, &err), TG_OK);
    write_file(fs, dir, "nameless", "safe bytes, no name", true);
    write_file(fs, dir, "new", "new", true);
    assert_int_equal(fs->rename(fs, dir, "new", "replaced", &err), TG_OK);
    assert_int_equal(fs->unlink(fs, dir, "gone", &err), TG_OK);
    assert_int_equal(fs->open(fs, dir, "synced", &file, &err), TG_OK);
    tg_fs_memory_cut(m, 0);
    assert_int_equal(fs->list(fs, dir, count, &l, &err), TG_IO); /* open handles are dead */
    assert_int_equal(fs->read(fs, file, &l, 1, &n_ops, &err), TG_IO);
    fs->close(fs, file);
    fs->close_dir(fs, dir);
    assert_int_equal(fs->open_dir(fs, "d", false, &dir, &err), TG_OK);
    check_file(fs, dir, "synced", "whole");
    check_file(fs, dir, "volatile", "");
    check_file(fs, dir, "replaced", "old");
    check_file(fs, dir, "gone", "back");
    check_file(fs, dir, "nameless", NULL);
    check_file(fs, dir, "new", NULL);
    assert_non_null(strstr(tg_fs_memory_log(m, &n_ops), "fsync new\nrename new replaced\n"));
    assert_int_equal(n_ops, 20);
    fs->close_dir(fs, dir);
    tg_fs_memory_free(m);
}

/* Over many seeds each outcome that a disk may show comes up, and no other. */
static void unsynced_pieces_survive_by_chance(void **state)
{
    static const char text[] = "0123456789";
    int n_named = 0, n_old = 0, n_torn = 0, length[11] = { 0 };

    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct tg_fs_memory *m = tg_fs_memory_new();
        const struct tg_fs *fs = tg_fs_memory_fs(m);
        struct tg_dir *dir;
        struct tg_file *file;
        struct tg_buf got;

        fs->open_dir(fs, "d", true, &dir, &err);
        fs->create(fs, dir, "f", false, &file, &err);
        fs->write(fs, file, text, 4, &err);
        fs->sync(fs, file, &err);
        fs->sync_dir(fs, dir, &err);
        fs->write(fs, file, text + 4, 6, &err);
        fs->close(fs, file);
        write_file(fs, dir, "g", "g", true);
        tg_fs_memory_cut(m, seed);
        fs->close_dir(fs, dir);
        fs->open_dir(fs, "d", false, &dir, &err);
        tg_buf_init(&got, 100);
        assert_int_equal(tg_fs_read_all(fs, dir, "f", 100, &got, &err), TG_OK);
        assert_in_range(got.len, 4, 10);
        length[got.len]++;
        assert_memory_equal(got.data, text, 4);
        n_torn += got.data[got.len - 1] == 0;
        for (size_t i = 4; i < got.len; i++)
            assert_true(got.data[i] == text[i] || got.data[i] == 0);
        if (fs->open(fs, dir, "g", &file, &err) == TG_OK) {
            n_named++;
            fs->close(fs, file);
        } else {
            n_old++;
        }
        tg_buf_done(&got);
        fs->close_dir(fs, dir);
        tg_fs_memory_free(m);
    }
    for (int i = 4; i <= 10; i++)
        assert_true(length[i] > 0);
    assert_true(n_named > 0 && n_old > 0 && n_torn > 0);
}

static void the_nth_operation_fails(void **state)
{
    struct tg_fs_memory *m = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(m);
    struct tg_dir *dir;
    struct tg_file *file;

    (void)state;
    fs->open_dir(fs, "d", true, &dir, &err);
    tg_fs_memory_fail(m, 2, TG_FULL, false);
    assert_int_equal(fs->create(fs, dir, "f", false, &file, &err), TG_OK);
    assert_int_equal(fs->write(fs, file, "12345678", 8, &err), TG_FULL);
    check_file(fs, dir, "f", "1234"); /* half of it got through */
    assert_int_equal(fs->write(fs, file, "x", 1, &err), TG_OK);
    tg_fs_memory_fail(m, 1, TG_IO, true);
    assert_int_equal(fs->sync(fs, file, &err), TG_IO);
    assert_int_equal(fs->sync_dir(fs, dir, &err), TG_IO);
    assert_int_equal(fs->rename(fs, dir, "f", "g", &err), TG_IO);
    assert_int_equal(fs->unlink(fs, dir, "f", &err), TG_IO);
    tg_fs_memory_fail(m, 0, TG_IO, false);
    assert_int_equal(fs->rename(fs, dir, "f", "g", &err), TG_OK);
    check_file(fs, dir, "g", "1234x");
    assert_non_null(strstr(tg_fs_memory_log(m, NULL),
                           "write f 8 failed\nwrite f 1\nfsync f failed\n"));
    fs->close(fs, file);
    fs->close_dir(fs, dir);
    tg_fs_memory_free(m);
}

static void the_process_knows_itself(void **state)
{
    char name[100], small[4];

    (void)state;
    assert_true(tg_proc_rss() > 100000);
    assert_true(tg_proc_rss_peak() >= tg_proc_rss() / 2);
    assert_true(tg_proc_cpu_us() >= 0);
    tg_proc_name(name, sizeof name);
    assert_non_null(strchr(name, ':'));
    tg_proc_name(small, sizeof small);
    assert_int_equal(strlen(small), 3);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_file_systems_do_the_same),
        cmocka_unit_test(secrets_are_for_their_owner_only),
        cmocka_unit_test(failures_of_the_kernel_say_what_to_do),
        cmocka_unit_test(a_lock_names_its_holder_and_ends_with_it),
        cmocka_unit_test(one_at_a_time_though_the_file_comes_and_goes),
        cmocka_unit_test(only_what_was_synced_survives),
        cmocka_unit_test(unsynced_pieces_survive_by_chance),
        cmocka_unit_test(the_nth_operation_fails),
        cmocka_unit_test(the_process_knows_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
