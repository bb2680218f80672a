/* SPDX-License-Identifier: MIT */
/*
 * rules.c - see rules.h
 */
#include "store/rules.h"

#include <assert.h>

tg_code tg_store_check_name(const char *kind, const char *key, struct tg_error *err)
{
    if (strlen(kind) > TG_STORE_KIND_MAX || !*kind)
        return tg_fail(err, TG_LIMIT, "kind of state '%.40s' is not 1 to %d bytes", kind,
                       TG_STORE_KIND_MAX);
    if (strlen(key) > TG_STORE_KEY_MAX)
        return tg_fail(err, TG_LIMIT, "key of state '%.40s...' is longer than %d bytes", key,
                       TG_STORE_KEY_MAX);
    return TG_OK;
}

tg_code tg_store_check_size(const char *what, const char *kind, const char *key, size_t len,
                            struct tg_error *err)
{
    if (len <= TG_STORE_DOC_MAX)
        return TG_OK;
    return tg_fail(err, TG_LIMIT, "%s %s/%.160s has %zu bytes, more than %d", what, kind, key, len,
                   TG_STORE_DOC_MAX);
}

tg_code tg_store_compare(const char *kind, const char *key, uint64_t expect, uint64_t fence,
                         const struct tg_doc *now, struct tg_error *err)
{
    if (now->version != expect) {
        tg_fail(err, TG_CONFLICT, "%s/%.160s is at version %llu, not %llu", kind, key,
                (unsigned long long)now->version, (unsigned long long)expect);
        return tg_hint(err, "another process wrote it meanwhile; read it again");
    }
    if (fence < now->fence) {
        tg_fail(err, TG_CONFLICT, "%s/%.160s was taken over: token %llu is newer than %llu", kind,
                key, (unsigned long long)now->fence, (unsigned long long)fence);
        return tg_hint(err, "another run holds the lease now; this one must stop");
    }
    return TG_OK;
}

uint64_t tg_store_next(uint64_t expect, const struct tg_doc *stamp)
{
    assert(stamp->version == 0 || stamp->version > expect);
    return stamp->version ? stamp->version : expect + 1;
}

bool tg_store_is_own(const struct tg_lease *held, const struct tg_lease *mine)
{
    return held->token == mine->token && strcmp(held->owner, mine->owner) == 0;
}

tg_code tg_store_judge(const char *name, const struct tg_lease *held, int64_t now_us,
                       struct tg_lease *want, struct tg_error *err)
{
    if (want->token) {
        if (tg_store_is_own(held, want))
            return TG_OK;
        tg_fail(err, TG_CONFLICT, "the lease on '%.100s' was lost to '%.100s'", name,
                held->owner[0] ? held->owner : "nobody");
        return tg_hint(err, "this run was stopped or cut off for too long; start it again");
    }
    if (strncmp(held->owner, TG_STORE_MOVED, sizeof TG_STORE_MOVED - 1) == 0) {
        tg_fail(err, TG_CONFLICT, "'%.64s' was %.128s", name, held->owner);
        return tg_hint(err, "run it with that --state; `tgdata state copy` moves it back");
    }
    if (held->owner[0] && held->expires_us > now_us) {
        long long left_s = (held->expires_us - now_us + TG_SECOND_US - 1) / TG_SECOND_US;

        tg_fail(err, TG_BUSY, "'%.100s' is in use by '%.100s'", name, held->owner);
        return tg_hint(err, "wait for it to end; if it is gone for good, its lease ends in %lld s",
                       left_s);
    }
    want->token = held->token + 1;
    return TG_OK;
}

int64_t tg_store_clamp(uint64_t v)
{
    return v > INT64_MAX ? INT64_MAX : (int64_t)v;
}
