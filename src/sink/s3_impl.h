/* SPDX-License-Identifier: MIT */
/*
 * s3_impl.h - what s3.c, s3_parts.c and s3_slots.c share: the slots of a chat in S3
 *
 *   chat_<id>/part-000001.7-1f3a9c02.1.ndjson   rows: by which writer, its how manieth attempt
 *             part-000001.json                  slot 1: the manifest, which names that file
 *             part-000002.json                  slot 2, behind the last: who writes, or a cursor
 *
 * A slot is changed by conditional writes only, and never removed:
 *
 *   nothing -> claim      somebody takes the chat up; older writers are shut out
 *   claim   -> claim      somebody newer does; or a commit without rows, which is kept in it
 *   claim, or nothing, -> commit   the manifest of a part: its rows are in
 *   commit  -> rollback   they are taken back; from the last slot down, one by one
 *
 * So slots 1..n hold commits, and n+1 is the live one: every writer that has attached has changed
 * it since, and the next commit of an older one finds another ETag there, or something where
 * nothing was. An ETag tells no more than what an object holds, so a claim holds a mark that no
 * other has: a commit of one's own that comes late, behind the claim that went to see, is shut out.
 * Nobody gives a file a name that was used before, so that removing one, however late, takes
 * nothing away that another has written.
 *
 * A rollback cannot be shut out that way between looking at slot n and changing it. It looks at
 * n+1, whether that is still its own, after it has read n; whoever takes up a chat where a rollback
 * is marked writes slot n anew after n+1. So either the rollback sees n+1 changed, or it finds
 * another n than it had read.
 */
#ifndef TG_SINK_S3_IMPL_H
#define TG_SINK_S3_IMPL_H

#include "client/s3.h"
#include "sink/files.h"
#include "sink/parts_internal.h"

enum s3_state { S3_NOTHING, S3_CLAIM, S3_ROLLBACK, S3_COMMIT };

struct s3_slot {
    enum s3_state state;
    struct tg_s3_etag etag; /* "" where nothing is */
    struct tg_fence writer;
    uint64_t mark; /* of its header: random, new with each write */
    bool has_manifest; /* of a commit; of a claim: the cursor that it keeps */
    struct tg_manifest m;
};

/** A chat: struct tg_parts.elsewhere. */
struct s3_chat {
    struct tg_s3 *s3;
    char key[64];            /* "chat_5/", or "fallback/chat_5/" */
    struct tg_s3_etag live;  /* of slot n+1 */
    uint64_t top;            /* the highest slot there is */
    char file[TG_PART_NAME]; /* that is being written; "": none */
    unsigned attempts;
    struct tg_buf piece; /* of it, not sent yet */
    char upload[TG_S3_ID_MAX];
    struct tg_s3_etag *etag; /* of pieces that were sent */
    unsigned n_pieces;
};

/** One object of a chat, by its name. */
struct s3_entry {
    char name[TG_PART_NAME];
    uint64_t n, size;
    bool slot; /* else rows */
};

struct s3_listing {
    struct s3_entry *at;
    size_t n, cap;
    uint64_t top;
    bool no_memory;
};

static inline struct s3_chat *tg_s3_chat(const struct tg_parts *p)
{
    return p->elsewhere;
}

/** The key of a file of the chat. */
struct s3_key {
    char at[TG_S3_KEY_MAX];
};

const char *tg_s3_key(const struct tg_parts *p, const char *name, struct s3_key *out);


/** Lists a chat: slots and rows, by number. Done with tg_s3_listing_done, also after a failure. */
tg_code tg_s3_list_chat(struct tg_parts *p, struct s3_listing *ret, struct tg_error *err);
void tg_s3_listing_done(struct s3_listing *l);
/** Looks whether a part's rows are there, all of them. A list that is older than the part is made
 *  anew. @return TG_CORRUPT */
tg_code tg_s3_find_rows(struct tg_parts *p, struct s3_listing *l, const struct tg_manifest *m,
                        struct tg_error *err);

/** Reads a slot. A commit's manifest is checked: number, chat, job, format. @return TG_CORRUPT,
 *  TG_USAGE */
tg_code tg_s3_read_slot(struct tg_parts *p, uint64_t n, struct s3_slot *ret, struct tg_error *err);
/** Writes a slot in place of what was seen: a header unless it is a commit that nobody touched, the
 *  manifest if it has one. A lost answer is found out. @param slot  .etag becomes the new one
 *  @return TG_CONFLICT */
tg_code tg_s3_write_slot(struct tg_parts *p, uint64_t n, struct s3_slot *slot, bool touched,
                         struct tg_error *err);

extern const struct tg_parts_place tg_s3_place;

#endif
