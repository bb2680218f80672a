/* SPDX-License-Identifier: MIT */
/*
 * objects_docs.c - documents with their history; see objects.h
 */
#include <stdio.h>
#include <stdlib.h>

#include "store/objects_impl.h"

static void stamp_of(const struct object *o, struct tg_doc *ret)
{
    *ret = (struct tg_doc){ .version = o->number, .at_us = o->at_us, .fence = o->fence };
}

/* Reads the newest version; `head` is initialised. tag "": there is none. */
static tg_code read_newest(struct tg_objects *s, struct object *head, const char *kind,
                           const char *key, struct tg_error *err)
{
    tg_object_name(&head->name, "doc", kind, key);
    return tg_object_get(s, head, err);
}

tg_code tg_objects_get(void *self, const char *kind, const char *key, struct tg_doc *ret,
                       struct tg_buf *ret_bytes, struct tg_error *err)
{
    enum { TRIES = 10 };
    TG_CLEANUP(tg_object_done) struct object head;
    tg_code code = tg_store_check_name(kind, key, err);

    tg_object_init(&head);
    for (int i = 0; code == TG_OK; i++) {
        code = read_newest(self, &head, kind, key, err);
        if (code == TG_OK && !*head.tag.at)
            return TG_END;
        if (code == TG_OK)
            code = tg_object_join(self, &head, err);
        if (code != TG_END)
            break;
        /* its pieces were pruned meanwhile: there is a newer one */
        code = i < TRIES ? TG_OK : tg_fail(err, TG_STATE, "%s/%.160s changes all the time", kind,
                                           key);
    }
    if (code != TG_OK)
        return code;
    stamp_of(&head, ret);
    tg_buf_add(ret_bytes, tg_object_bytes(&head), tg_object_len(&head));
    return ret_bytes->failed ? tg_fail(err, TG_NOMEM, "document %s/%.160s", kind, key) : TG_OK;
}

/* Keeps the newest version, which is about to be replaced. */
static tg_code keep_old(struct tg_objects *s, const struct object *head, const char *kind,
                        const char *key, struct tg_error *err)
{
    struct object old = *head;

    tg_object_name_n(&old.name, "old", kind, key, head->number);
    return tg_object_put(s, &old, NULL, err);
}

/* What stands now, told as another's. */
static tg_code lost(struct tg_objects *s, const char *kind, const char *key, uint64_t expect,
                    uint64_t fence, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object head;
    struct tg_doc now;
    tg_code code;

    tg_object_init(&head);
    code = read_newest(s, &head, kind, key, err);
    stamp_of(&head, &now);
    if (code == TG_OK)
        code = tg_store_compare(kind, key, expect, fence, &now, err);
    return code == TG_OK ? tg_fail(err, TG_STATE, "%s/%.160s changes all the time", kind, key)
                         : code;
}

tg_code tg_objects_put(void *self, const char *kind, const char *key, uint64_t expect,
                       const struct tg_doc *stamp, const void *bytes, size_t len,
                       struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object head;
    TG_CLEANUP(tg_object_done) struct object next;
    struct tg_doc now;
    tg_code code = tg_objects_may_change(self, kind, key, err);

    tg_object_init(&head);
    tg_object_init(&next);
    if (code == TG_OK)
        code = tg_store_check_size("document", kind, key, len, err);
    if (code == TG_OK)
        code = read_newest(self, &head, kind, key, err);
    stamp_of(&head, &now);
    if (code == TG_OK)
        code = tg_store_compare(kind, key, expect, stamp->fence, &now, err);
    next.name = head.name;
    next.number = tg_store_next(expect, stamp);
    next.fence = stamp->fence;
    next.at_us = stamp->at_us;
    if (code == TG_OK && !*head.tag.at)
        code = tg_objects_note(self, "doc", kind, err);
    if (code == TG_OK)
        code = tg_object_fill(self, &next, bytes, len, err);
    if (code == TG_OK && *head.tag.at)
        code = keep_old(self, &head, kind, key, err);
    if (code != TG_OK)
        return code;
    code = tg_object_put(self, &next, &head.tag, err);
    return code == TG_CONFLICT ? lost(self, kind, key, expect, stamp->fence, err) : code;
}

/* ---- history ---- */

static tg_code show(struct tg_objects *s, struct object *o, const char *key, tg_doc_seen seen,
                    void *ctx, struct tg_error *err)
{
    struct tg_doc doc;
    tg_code code = *o->tag.at ? tg_object_join(s, o, err) : TG_END;

    if (code == TG_END) /* pruned meanwhile */
        return TG_OK;
    if (code != TG_OK)
        return code;
    stamp_of(o, &doc);
    return seen(ctx, key, &doc, tg_object_bytes(o), tg_object_len(o)) ? TG_OK : TG_END;
}

/* The numbers of the versions that are kept, without the newest. */
static tg_code list_old(struct tg_objects *s, const char *kind, const char *key,
                        struct object_ends *ret, struct tg_error *err)
{
    struct object_name name;
    size_t n = 0;
    tg_code code;

    tg_object_prefix(&name, "old", kind, key);
    code = tg_object_ends(s, name.at, ret, err);
    for (size_t i = 0; i < ret->n && code == TG_OK; i++) {
        uint64_t number;

        if (tg_object_number(ret->at[i], 0, &number))
            ret->at[n++] = ret->at[i];
    }
    ret->n = code == TG_OK ? n : 0;
    return code;
}

tg_code tg_objects_history(void *self, const char *kind, const char *key, tg_doc_seen seen,
                           void *ctx, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends old = { .n = 0 };
    uint64_t newest, number;
    tg_code code = tg_store_check_name(kind, key, err);

    tg_object_init(&o);
    if (code == TG_OK)
        code = read_newest(self, &o, kind, key, err);
    if (code != TG_OK || !*o.tag.at)
        return code;
    newest = o.number;
    code = show(self, &o, key, seen, ctx, err);
    if (code == TG_OK)
        code = list_old(self, kind, key, &old, err);
    for (size_t i = old.n; i > 0 && code == TG_OK; i--) {
        if (!tg_object_number(old.at[i - 1], 0, &number) || number >= newest)
            continue;
        tg_object_name_n(&o.name, "old", kind, key, number);
        code = tg_object_get(self, &o, err);
        if (code == TG_OK)
            code = show(self, &o, key, seen, ctx, err);
    }
    return code == TG_END ? TG_OK : code;
}

/* ---- all of a kind ---- */

tg_code tg_objects_list(void *self, const char *kind, const char *prefix, tg_doc_seen seen,
                        void *ctx, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends keys = { .n = 0 };
    struct object_name name;
    tg_code code = tg_store_check_name(kind, prefix, err);

    tg_object_init(&o);
    if (code == TG_OK) {
        if (*prefix)
            tg_object_name(&name, "doc", kind, prefix);
        else
            tg_object_prefix(&name, "doc", kind, NULL);
        code = tg_object_ends(self, name.at, &keys, err);
    }
    if (code == TG_OK)
        tg_object_ends_to_keys(&keys);
    for (size_t i = 0; i < keys.n && code == TG_OK; i++) {
        code = read_newest(self, &o, kind, keys.at[i], err);
        if (code == TG_OK)
            code = show(self, &o, keys.at[i], seen, ctx, err);
    }
    return code == TG_END ? TG_OK : code;
}

/* ---- pruning ---- */

/* What may stay of the pieces: "N-MARK" of each version that is kept. */
struct kept {
    uint64_t newest;
    struct tg_buf marks; /* pairs of numbers and marks */
};

static void keep(struct kept *k, const struct object *o)
{
    const uint64_t pair[2] = { o->number, o->mark };

    tg_buf_add(&k->marks, pair, sizeof pair);
}

static bool is_kept(const struct kept *k, uint64_t number, uint64_t mark)
{
    if (number > k->newest) /* of a writer who has not swapped yet */
        return true;
    for (size_t at = 0; at + 2 * sizeof(uint64_t) <= k->marks.len; at += 2 * sizeof(uint64_t)) {
        uint64_t pair[2];

        memcpy(pair, k->marks.data + at, sizeof pair);
        if (pair[0] == number && pair[1] == mark)
            return true;
    }
    return false;
}

/* Removes the pieces of versions that are gone, or never came to be. */
static tg_code drop_pieces(struct tg_objects *s, const struct kept *k, const char *kind,
                           const char *key, struct tg_error *err)
{
    TG_CLEANUP(tg_object_ends_done) struct object_ends pieces;
    struct object_name prefix;
    tg_code code;

    tg_object_prefix(&prefix, "bit/doc", kind, key);
    code = tg_object_ends(s, prefix.at, &pieces, err);
    for (size_t i = 0; i < pieces.n && code == TG_OK; i++) {
        struct object_name name;
        uint64_t number;
        char *end;

        if (!tg_object_number(pieces.at[i], '-', &number) ||
            is_kept(k, number, strtoull(pieces.at[i] + 21, &end, 16)) || *end != '.')
            continue;
        snprintf(name.at, sizeof name.at, "%.*s%s", (int)strlen(prefix.at), prefix.at,
                 pieces.at[i]);
        code = tg_objects_told(s, s->ops->drop(s, name.at, err), err);
    }
    return code;
}

tg_code tg_objects_prune(void *self, const char *kind, const char *key, uint64_t n_keep,
                         struct tg_error *err)
{
    struct tg_objects *s = self;
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends old = { .n = 0 };
    struct kept k = { .newest = 0 };
    bool pieces = s->ops->object_max < OBJECT_MAX;
    tg_code code = tg_objects_may_change(s, kind, key, err);

    tg_object_init(&o);
    tg_buf_init(&k.marks, 16 << 20);
    if (code == TG_OK)
        code = read_newest(s, &o, kind, key, err);
    if (code != TG_OK || !*o.tag.at)
        return code;
    k.newest = o.number;
    keep(&k, &o);
    code = list_old(s, kind, key, &old, err);
    for (size_t i = old.n, n = 1; i > 0 && code == TG_OK; i--) {
        uint64_t number;

        if (!tg_object_number(old.at[i - 1], 0, &number) || number >= k.newest)
            continue;
        tg_object_name_n(&o.name, "old", kind, key, number);
        if (n++ >= n_keep) {
            code = tg_objects_told(s, s->ops->drop(s, o.name.at, err), err);
        } else if (pieces) {
            code = tg_object_get(s, &o, err);
            keep(&k, &o);
        }
    }
    if (code == TG_OK && pieces && !k.marks.failed)
        code = drop_pieces(s, &k, kind, key, err);
    tg_buf_done(&k.marks);
    return code;
}
