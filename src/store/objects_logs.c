/* SPDX-License-Identifier: MIT */
/*
 * objects_logs.c - logs and leases; see objects.h
 */
#include <assert.h>
#include <stdio.h>

#include "store/objects_impl.h"

enum { TRIES = 100 };

static tg_code crowded(const char *what, const char *name, tg_code code, struct tg_error *err)
{
    return code == TG_CONFLICT ? tg_fail(err, TG_STATE, "the %s '%.100s' changes all the time",
                                         what, name)
                               : code;
}

/* ---- logs ---- */

/* Takes the log's next number, or raises it so that the next is behind `least`. */
static tg_code count(struct tg_objects *s, const char *kind, const char *key, uint64_t least,
                     uint64_t *ret, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object last;
    tg_code code = TG_CONFLICT;

    tg_object_init(&last);
    tg_object_name(&last.name, "last", kind, key);
    for (int i = 0; i < TRIES && code == TG_CONFLICT; i++) {
        code = tg_object_get(s, &last, err);
        if (code == TG_OK && !ret && last.number >= least)
            return TG_OK;
        if (code == TG_OK && !*last.tag.at)
            code = tg_objects_note(s, "last", kind, err);
        last.number = ret ? last.number + 1 : least;
        if (code == TG_OK)
            code = tg_object_fill(s, &last, NULL, 0, err);
        if (code == TG_OK)
            code = tg_object_put(s, &last, &last.tag, err);
    }
    if (code == TG_OK && ret)
        *ret = last.number;
    return crowded("log", key, code, err);
}

/* o->number is its own. */
static tg_code put_entry(struct tg_objects *s, struct object *o, const char *kind, const char *key,
                         const void *bytes, size_t len, struct tg_error *err)
{
    tg_code code;

    tg_object_name_n(&o->name, "log", kind, key, o->number);
    code = tg_object_fill(s, o, bytes, len, err);
    return code == TG_OK ? tg_object_put(s, o, NULL, err) : code;
}

tg_code tg_objects_append(void *self, const char *kind, const char *key, int64_t at_us,
                          const void *bytes, size_t len, uint64_t *ret_n, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    tg_code code = tg_objects_may_change(self, kind, key, err);

    tg_object_init(&o);
    if (code == TG_OK)
        code = tg_store_check_size("entry of log", kind, key, len, err);
    if (code == TG_OK)
        code = count(self, kind, key, 0, &o.number, err);
    if (code != TG_OK)
        return code;
    o.at_us = at_us;
    code = put_entry(self, &o, kind, key, bytes, len, err);
    if (code == TG_OK && ret_n)
        *ret_n = o.number;
    return code;
}

tg_code tg_objects_enter(void *self, const char *kind, const char *key,
                         const struct tg_log_entry *entry, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    tg_code code = tg_objects_may_change(self, kind, key, err);

    tg_object_init(&o);
    o.number = entry->n;
    o.at_us = entry->at_us;
    if (code == TG_OK)
        code = tg_store_check_size("entry of log", kind, key, entry->len, err);
    if (code == TG_OK)
        code = put_entry(self, &o, kind, key, entry->bytes, entry->len, err);
    return code == TG_OK ? count(self, kind, key, entry->n, NULL, err) : code;
}

/* The numbers of a log, as the ends of names. */
static tg_code list_log(struct tg_objects *s, const char *kind, const char *key,
                        struct object_ends *ret, struct tg_error *err)
{
    struct object_name name;

    tg_object_prefix(&name, "log", kind, key);
    return tg_object_ends(s, name.at, ret, err);
}

tg_code tg_objects_read(void *self, const char *kind, const char *key, uint64_t from,
                        tg_log_seen seen, void *ctx, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends log = { .n = 0 };
    bool more = true;
    tg_code code = tg_store_check_name(kind, key, err);

    tg_object_init(&o);
    if (code == TG_OK)
        code = list_log(self, kind, key, &log, err);
    for (size_t i = 0; i < log.n && code == TG_OK && more; i++) {
        uint64_t number;

        if (!tg_object_number(log.at[i], 0, &number) || number < from)
            continue;
        tg_object_name_n(&o.name, "log", kind, key, number);
        code = tg_object_get(self, &o, err);
        if (code == TG_OK)
            code = *o.tag.at ? tg_object_join(self, &o, err) : TG_END;
        if (code == TG_OK)
            more = seen(ctx, &(struct tg_log_entry){ number, o.at_us, tg_object_bytes(&o),
                                                     tg_object_len(&o) });
        else if (code == TG_END) /* dropped meanwhile */
            code = TG_OK;
    }
    return code;
}

tg_code tg_objects_drop(void *self, const char *kind, const char *key, uint64_t from, uint64_t to,
                        struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends log = { .n = 0 };
    tg_code code = tg_objects_may_change(self, kind, key, err);

    tg_object_init(&o);
    if (code == TG_OK)
        code = list_log(self, kind, key, &log, err);
    for (size_t i = 0; i < log.n && code == TG_OK; i++) {
        if (!tg_object_number(log.at[i], 0, &o.number) || o.number < from || o.number > to)
            continue;
        tg_object_name_n(&o.name, "log", kind, key, o.number);
        code = tg_object_drop(self, &o, err);
    }
    return code;
}

/* ---- leases ---- */

/* A lease is an object: its number is the token, its time when it ends, its bytes the owner. */
tg_code tg_object_lease(struct tg_objects *s, const char *name, struct object *o,
                        struct tg_lease *ret, struct tg_error *err)
{
    size_t len;
    tg_code code;

    tg_object_name(&o->name, "lease", name, NULL);
    code = tg_object_get(s, o, err);
    if (code != TG_OK)
        return code;
    *ret = (struct tg_lease){ .token = o->number, .expires_us = o->at_us };
    len = *o->tag.at ? tg_object_len(o) : 0;
    if (len >= sizeof ret->owner || (len && memchr(tg_object_bytes(o), 0, len)))
        return tg_fail(err, TG_CORRUPT, "%.80s: the lease '%.100s' cannot be read", s->where, name);
    if (len)
        memcpy(ret->owner, tg_object_bytes(o), len);
    return TG_OK;
}

static tg_code write_lease(struct tg_objects *s, struct object *o, const struct tg_lease *lease,
                           struct tg_error *err)
{
    tg_code code;

    o->number = lease->token;
    o->at_us = lease->expires_us;
    code = tg_object_fill(s, o, lease->owner, strlen(lease->owner), err);
    return code == TG_OK ? tg_object_put(s, o, &o->tag, err) : code;
}

tg_code tg_objects_lease(void *self, const char *name, int64_t now_us, int64_t ttl_us,
                         struct tg_lease *lease, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    struct tg_lease held, next;
    tg_code code = tg_objects_may_change(self, "lease", name, err);

    assert(ttl_us > 0 && lease->owner[0] && memchr(lease->owner, 0, sizeof lease->owner));
    tg_object_init(&o);
    if (code != TG_OK)
        return code;
    for (int i = 0;; i++) {
        next = *lease;
        code = tg_object_lease(self, name, &o, &held, err);
        if (code == TG_OK)
            code = tg_store_judge(name, &held, now_us, &next, err);
        if (code == TG_BUSY)
            *lease = held;
        if (code != TG_OK)
            return code;
        next.expires_us = now_us + ttl_us;
        code = write_lease(self, &o, &next, err);
        if (code != TG_CONFLICT || i == TRIES)
            break;
    }
    if (code == TG_OK)
        *lease = next;
    return crowded("lease", name, code, err);
}

tg_code tg_objects_release(void *self, const char *name, const struct tg_lease *lease,
                           struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    struct tg_lease held;
    tg_code code = tg_objects_may_change(self, "lease", name, err);

    tg_object_init(&o);
    if (code == TG_OK)
        code = TG_CONFLICT;
    for (int i = 0; i < TRIES && code == TG_CONFLICT; i++) {
        code = tg_object_lease(self, name, &o, &held, err);
        if (code != TG_OK || !tg_store_is_own(&held, lease))
            return code;
        code = write_lease(self, &o, &(struct tg_lease){ .token = held.token }, err);
    }
    return crowded("lease", name, code, err);
}

/* ---- raising ---- */

static tg_code raise_lease(struct tg_objects *s, const char *name, uint64_t token,
                           struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    struct tg_lease held;
    tg_code code = TG_CONFLICT;

    tg_object_init(&o);
    for (int i = 0; i < TRIES && code == TG_CONFLICT; i++) {
        code = tg_object_lease(s, name, &o, &held, err);
        if (code != TG_OK || held.token >= token)
            return code;
        held.token = token;
        code = write_lease(s, &o, &held, err);
    }
    return crowded("lease", name, code, err);
}

tg_code tg_objects_raise(void *self, enum tg_store_shape shape, const char *kind, const char *key,
                         uint64_t number, struct tg_error *err)
{
    tg_code code = tg_objects_may_change(self, kind, key, err);

    assert(shape != TG_STORE_DOCS);
    if (code != TG_OK)
        return code;
    return shape == TG_STORE_LOGS ? count(self, kind, key, number, NULL, err)
                                  : raise_lease(self, key, number, err);
}
