/* SPDX-License-Identifier: MIT */
/*
 * fs_memory_dir.h - files and directories of the file system in memory; what a cut leaves of them
 *
 * A directory has the entries that are seen, the durable ones, and between them the changes since
 * its last sync, in order.
 *
 * Threads: one at a time
 */
#ifndef TG_OS_FS_MEMORY_DIR_H
#define TG_OS_FS_MEMORY_DIR_H

#include "os/fs.h"

enum { TG_MEM_NAME = 96 };

struct tg_mem_inode {
    struct tg_mem_inode *next; /* all files ever made, freed at the end */
    struct tg_buf now, durable;
    int64_t written_s;
    bool truncated; /* since the last sync: `durable` is no beginning of `now` */
};

struct tg_mem_entry {
    char name[TG_MEM_NAME];
    struct tg_mem_inode *inode;
};

struct tg_mem_entries {
    struct tg_mem_entry *at;
    size_t n, cap;
};

struct tg_mem_change {
    char gone[TG_MEM_NAME]; /* entry that went; "" if none */
    struct tg_mem_entry came;   /* entry that came; no inode if none */
};

struct tg_mem_dir {
    struct tg_mem_dir *next;
    struct tg_mem_entries now, durable;
    struct tg_mem_change *change;
    size_t n_changes, cap_changes;
    char path[];
};

/** One step of SplitMix64. */
uint64_t tg_mem_random(uint64_t *state);

/** @return the entry of that name, or NULL; valid until the next change */
struct tg_mem_entry *tg_mem_find(const struct tg_mem_entries *e, const char *name);

/** Makes a change that is not durable yet. @return false out of memory, as the next */
bool tg_mem_change(struct tg_mem_dir *d, const struct tg_mem_change *c);
bool tg_mem_copy(struct tg_mem_entries *to, const struct tg_mem_entries *from);

/** Lets a random subset of the changes get through, none if *random is 0; drops the rest. */
void tg_mem_cut_dir(struct tg_mem_dir *d, uint64_t *random);

#endif
