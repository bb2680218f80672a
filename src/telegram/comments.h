/* SPDX-License-Identifier: MIT */
/*
 * comments.h - which post of a channel each thread of its discussion group belongs to
 *
 * A post comes to the group as a message of its own, the root; comments name the root as their
 * thread. The group is read oldest first, so that a root is met before its comments:
 *
 *   ids of the group   ...| from ............... read so far |
 *                         | roots were noted; others are none |
 *     to be asked for     | known without asking              |
 *
 * Threads that began before `from` (a run that was resumed, a range of dates) are asked for, and
 * the answers kept as well. So is what was noted and had to be forgotten again.
 *
 * Threads: none: value type
 * Limits:  131072 roots noted (3 MiB), the older half goes first; 4096 answers, all go at once
 */
#ifndef TG_COMMENTS_H
#define TG_COMMENTS_H

#include "telegram/rows.h"

enum { TG_COMMENTS_NOTED = 1 << 17, TG_COMMENTS_ASKED = 4096 };

struct tg_comments_root {
    int32_t thread;
    struct tg_post post; /* chat 0: it is none */
};

struct tg_comments {
    int64_t from;                   /* all messages from this id on were noted */
    int32_t last;                   /* that was noted */
    struct tg_comments_root *noted; /* ascending */
    size_t n, cap;
    struct tg_comments_root *asked; /* by hash; thread 0: free */
    size_t n_asked;
};

/** Reading begins at that id; what was noted before is forgotten. */
void tg_comments_begin(struct tg_comments *c, int64_t from);
void tg_comments_done(struct tg_comments *c);

/** A message was read, in ascending order; post.chat 0: it is no root. @return false: no memory */
bool tg_comments_note(struct tg_comments *c, int32_t id, struct tg_post post);

/** An answer; post.chat 0: that thread belongs to no post. @return false out of memory */
bool tg_comments_learn(struct tg_comments *c, int32_t thread, struct tg_post post);

/** @return TG_OK: the thread belongs to *ret; TG_END: to no post; TG_AGAIN: that must be asked */
tg_code tg_comments_find(const struct tg_comments *c, int32_t thread, struct tg_post *ret);

#endif
