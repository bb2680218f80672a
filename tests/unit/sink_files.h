/* SPDX-License-Identifier: MIT */
/*
 * sink_files.h - for tests of sinks that write files: a file system in memory, and hands in it
 *
 * A test program defines FILES_URL, the sink's URL for the directory "out", and includes this file.
 */
#ifndef TG_TEST_SINK_FILES_H
#define TG_TEST_SINK_FILES_H

#include "tests/unit/sink_contract.h"

#define WRITER "3-1f3a9c02" /* test_fence */

static struct tg_fs_memory *memory; /* of the test that runs */

static const char *fresh_files(struct tg_sink_env *env)
{
    memory = tg_fs_memory_new();
    *env = (struct tg_sink_env){ .job = "job",
                                 .fs = tg_fs_memory_fs(memory),
                                 .unix_us = test_unix_us };
    return FILES_URL;
}

static void files_done(void)
{
    tg_fs_memory_free(memory);
}

/* ---- files as a person may find or leave them ---- */

static inline struct tg_dir *chat_dir(struct contract *c)
{
    struct tg_dir *dir;

    assert_int_equal(c->env.fs->open_dir(c->env.fs, "out/chat_-1009", true, &dir, &c->err), TG_OK);
    return dir;
}

static inline void put_file(struct contract *c, const char *name, const char *text)
{
    struct tg_dir *dir = chat_dir(c);

    assert_int_equal(tg_fs_replace(c->env.fs, dir, name, false, text, strlen(text), &c->err),
                     TG_OK);
    c->env.fs->close_dir(c->env.fs, dir);
}

static inline void remove_file(struct contract *c, const char *name)
{
    struct tg_dir *dir = chat_dir(c);

    assert_int_equal(c->env.fs->unlink(c->env.fs, dir, name, &c->err), TG_OK);
    c->env.fs->close_dir(c->env.fs, dir);
}

static inline char *get_file(struct contract *c, const char *name)
{
    struct tg_dir *dir = chat_dir(c);
    struct tg_buf text;
    char *copy;

    tg_buf_init(&text, 1 << 20);
    assert_int_equal(tg_fs_read_all(c->env.fs, dir, name, 1 << 20, &text, &c->err), TG_OK);
    copy = strdup(tg_buf_cstr(&text));
    tg_buf_done(&text);
    c->env.fs->close_dir(c->env.fs, dir);
    return copy;
}

#endif
