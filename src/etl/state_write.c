/* SPDX-License-Identifier: MIT */
/*
 * state_write.c - takes the items of jobs into a store; see state.h
 *
 * A document may be written if the target has none of it, or an older history of the same one: what
 * both have of it is equal, and the target's newest version is among the items, or older than the
 * oldest of them. Likewise a log: entries of one number are equal, and the target has given no
 * higher one. Writing adds the versions and entries behind the target's newest, with the numbers
 * they have; so it can be cut off anywhere and made again.
 *
 *            items        1  2  3  4  5               4  5  6  7        4  5
 *            target       1  2  3                     1  2              4  5  6
 *                         4, 5 are written            all are written   refused: newer
 */
#include <stdio.h>
#include <stdlib.h>

#include "etl/state.h"

static tg_code other(const struct tg_state_target *t, struct tg_error *err)
{
    tg_fail(err, TG_CONFLICT, "%s holds other state of %s/%.120s",
            tg_store_shown(t->store->url).text, t->kind, t->key);
    return tg_hint(err, "that job has another history there: choose another store, prefix or "
                        "schema");
}

static tg_code newer(const struct tg_state_target *t, uint64_t ours, struct tg_error *err)
{
    tg_fail(err, TG_CONFLICT, "%s holds newer state of %s/%.120s: %llu, not %llu",
            tg_store_shown(t->store->url).text, t->kind, t->key, (unsigned long long)t->before,
            (unsigned long long)ours);
    return tg_hint(err, "the job has run with that state since; copy from there instead");
}

static tg_code lost(const struct tg_state_target *t, struct tg_error *err)
{
    tg_fail(err, TG_GAP, "what was written to %s does not read back: %s/%.120s",
            tg_store_shown(t->store->url).text, t->kind, t->key);
    return tg_hint(err, "is that store used by something else? Make the copy again");
}

/* ---- what the target has of the document or log at hand ---- */

static void digest_of(const void *bytes, size_t len, struct tg_state_digest *ret)
{
    tg_sha256(ret->sha256, len ? bytes : "", len);
}

static bool remember(struct tg_state_target *t, const struct tg_state_digest *digest)
{
    if (t->n_known == t->cap_known) {
        size_t cap = t->cap_known ? 2 * t->cap_known : 16;
        struct tg_state_digest *more = reallocarray(t->known, cap, sizeof *more);

        t->no_memory = !more;
        if (!more)
            return false;
        t->known = more;
        t->cap_known = cap;
    }
    t->known[t->n_known++] = *digest;
    return true;
}

static bool on_version(void *ctx, const char *key, const struct tg_doc *doc, const void *bytes,
                       size_t len)
{
    struct tg_state_digest d = { .number = doc->version, .fence = doc->fence,
                                 .at_us = doc->at_us };

    (void)key;
    digest_of(bytes, len, &d);
    return remember(ctx, &d);
}

static bool on_entry(void *ctx, const struct tg_log_entry *entry)
{
    struct tg_state_digest d = { .number = entry->n, .at_us = entry->at_us };

    digest_of(entry->bytes, entry->len, &d);
    return remember(ctx, &d);
}

static int by_number(const void *a, const void *b)
{
    const struct tg_state_digest *x = a, *y = b;

    return (x->number > y->number) - (x->number < y->number);
}

static struct tg_state_digest *find(const struct tg_state_target *t, uint64_t number)
{
    const struct tg_state_digest wanted = { .number = number };

    return t->n_known ? bsearch(&wanted, t->known, t->n_known, sizeof wanted, by_number) : NULL;
}

static bool equal(const struct tg_state_digest *d, const struct tg_state_item *item)
{
    struct tg_state_digest own;

    digest_of(item->bytes, item->len, &own);
    return d->at_us == item->at_us && d->fence == item->fence &&
           memcmp(d->sha256, own.sha256, sizeof own.sha256) == 0;
}

/* Begins with a document or log: reads what the target has of it. */
static tg_code open_it(struct tg_state_target *t, const struct tg_state_item *item,
                       struct tg_error *err)
{
    const struct tg_store *s = t->store;
    struct tg_state_name *there;
    tg_code code = TG_OK;

    if (strlen(item->kind) >= sizeof t->kind || strlen(item->key) >= sizeof t->key)
        return tg_fail(err, TG_CORRUPT, "a name of state is too long: '%.60s...'", item->key);
    memcpy(t->kind, item->kind, strlen(item->kind) + 1);
    memcpy(t->key, item->key, strlen(item->key) + 1);
    t->shape = item->shape;
    t->open = true;
    t->n_known = 0;
    t->first = item->number;
    t->first_us = item->at_us;
    there = tg_state_names_find(&t->there, item->shape, item->kind, item->key);
    t->before = t->newest = there ? there->number : 0;
    if (there)
        there->met = true;
    if (there && item->shape == TG_STORE_DOCS)
        code = s->ops->history(s->self, t->kind, t->key, on_version, t, err);
    else if (there && item->shape == TG_STORE_LOGS)
        code = s->ops->read(s->self, t->kind, t->key, 0, on_entry, t, err);
    if (code == TG_OK && t->no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for what the target has of %s", t->key);
    if (t->n_known)
        qsort(t->known, t->n_known, sizeof *t->known, by_number);
    if (item->shape == TG_STORE_DOCS)
        t->result.documents++;
    return code;
}

/* ---- documents ---- */

static tg_code take_version(struct tg_state_target *t, const struct tg_state_item *item,
                            struct tg_error *err)
{
    struct tg_state_digest *there = find(t, item->number);
    const struct tg_doc stamp = { item->number, item->at_us, item->fence };
    tg_code code;

    t->result.versions++;
    t->last = item->number;
    if (there && !equal(there, item))
        return other(t, err);
    if (there)
        there->met = true;
    /* a hole among those of the target; what is older than its oldest was dropped there */
    if (!there && item->number < t->before && t->n_known && item->number > t->known[0].number)
        return other(t, err);
    if (item->number <= t->newest || t->pass == TG_STATE_CHECK)
        return TG_OK;
    if (t->pass == TG_STATE_VERIFY)
        return lost(t, err);
    code = t->store->ops->put(t->store->self, t->kind, t->key, t->newest, &stamp, item->bytes,
                              item->len, err);
    t->newest = item->number;
    t->result.written += code == TG_OK;
    return code;
}

/* All versions were taken. */
static tg_code end_versions(struct tg_state_target *t, struct tg_error *err)
{
    const struct tg_state_digest *newest = t->n_known ? &t->known[t->n_known - 1] : NULL;

    if (t->before > t->last)
        return newer(t, t->last, err);
    if (newest && !newest->met && (newest->number > t->first || newest->at_us > t->first_us))
        return other(t, err);
    return TG_OK;
}

/* ---- logs ---- */

/* Writes the entry behind those that the target has given a number. */
static tg_code write_entry(struct tg_state_target *t, const struct tg_state_item *item,
                           struct tg_error *err)
{
    const struct tg_log_entry entry = { item->number, item->at_us, item->bytes, item->len };
    const struct tg_store *s = t->store;
    uint64_t n = 0;
    tg_code code = TG_OK;

    if (s->ops->enter)
        return s->ops->enter(s->self, t->kind, t->key, &entry, err);
    if (item->number > t->newest + 1)
        code = s->ops->raise(s->self, TG_STORE_LOGS, t->kind, t->key, item->number - 1, err);
    if (code == TG_OK)
        code = s->ops->append(s->self, t->kind, t->key, item->at_us, item->bytes, item->len, &n,
                              err);
    return code == TG_OK && n != item->number ? lost(t, err) : code;
}

static tg_code take_entry(struct tg_state_target *t, const struct tg_state_item *item,
                          struct tg_error *err)
{
    struct tg_state_digest *there = find(t, item->number);
    tg_code code;

    t->result.entries++;
    if (there) {
        there->met = true;
        return equal(there, item) ? TG_OK : other(t, err);
    }
    if (item->number <= t->newest)
        return other(t, err);
    if (t->pass == TG_STATE_VERIFY)
        return lost(t, err);
    if (t->pass == TG_STATE_CHECK)
        return TG_OK;
    code = write_entry(t, item, err);
    t->newest = item->number;
    t->result.written += code == TG_OK;
    return code;
}

/* All entries were taken: what has been dropped since is dropped here, too. */
static tg_code take_last(struct tg_state_target *t, const struct tg_state_item *item,
                         struct tg_error *err)
{
    const struct tg_store *s = t->store;
    tg_code code = TG_OK;

    if (t->before > item->number)
        return newer(t, item->number, err);
    if (t->pass == TG_STATE_CHECK)
        return TG_OK;
    for (size_t i = 0; code == TG_OK && i < t->n_known; i++) {
        uint64_t n = t->known[i].number;

        if (!t->known[i].met)
            code = t->pass == TG_STATE_VERIFY ? lost(t, err)
                                              : s->ops->drop(s->self, t->kind, t->key, n, n, err);
    }
    if (code == TG_OK && t->newest < item->number)
        code = t->pass == TG_STATE_VERIFY
                   ? lost(t, err)
                   : s->ops->raise(s->self, TG_STORE_LOGS, t->kind, t->key, item->number, err);
    return code;
}

/* ---- leases ---- */

static tg_code take_token(struct tg_state_target *t, const struct tg_state_item *item,
                          struct tg_error *err)
{
    uint64_t token = item->number + t->token_ahead;

    if (t->pass == TG_STATE_VERIFY)
        return t->before >= token ? TG_OK : lost(t, err);
    if (t->pass == TG_STATE_CHECK || t->before >= token)
        return TG_OK;
    tg_state_hold_raised(t->hold, t->key, token);
    return t->store->ops->raise(t->store->self, TG_STORE_LEASES, t->kind, t->key, token, err);
}

/* ---- a pass ---- */

tg_code tg_state_target_begin(struct tg_state_target *t, enum tg_state_pass pass,
                              struct tg_error *err)
{
    t->pass = pass;
    t->open = false;
    t->result = (struct tg_state_result){ .jobs = t->jobs->n, .written = t->result.written };
    tg_state_names_done(&t->there);
    return tg_state_names_read(t->store, &t->there, err);
}

static tg_code close_it(struct tg_state_target *t, struct tg_error *err)
{
    bool versions = t->open && t->shape == TG_STORE_DOCS;

    t->open = false;
    return versions ? end_versions(t, err) : TG_OK;
}

tg_code tg_state_target_take(void *target, const struct tg_state_item *item, struct tg_error *err)
{
    struct tg_state_target *t = target;
    bool same = t->open && item->shape == t->shape && strcmp(item->kind, t->kind) == 0 &&
                strcmp(item->key, t->key) == 0;
    tg_code code = same ? TG_OK : close_it(t, err);

    if (code == TG_OK && !same)
        code = open_it(t, item, err);
    if (code != TG_OK)
        return code;
    switch (item->shape) {
    case TG_STORE_DOCS:
        return take_version(t, item, err);
    case TG_STORE_LOGS:
        return item->last ? take_last(t, item, err) : take_entry(t, item, err);
    case TG_STORE_LEASES:
        break;
    }
    return take_token(t, item, err);
}

/* What the target has of those jobs, and the items have not, makes it other state. */
static tg_code check_rest(struct tg_state_target *t, struct tg_error *err)
{
    for (size_t i = 0; i < t->there.n; i++) {
        const struct tg_state_name *name = &t->there.at[i];
        char job[TG_JOB_NAME_MAX + 1];

        if (name->met || name->shape == TG_STORE_LEASES ||
            !tg_state_job_of(name->shape, name->key, job) || !tg_state_jobs_have(t->jobs, job))
            continue;
        snprintf(t->kind, sizeof t->kind, "%s", name->kind);
        snprintf(t->key, sizeof t->key, "%s", name->key);
        return other(t, err);
    }
    return TG_OK;
}

tg_code tg_state_target_end(struct tg_state_target *t, struct tg_error *err)
{
    tg_code code = close_it(t, err);

    return code == TG_OK && t->pass == TG_STATE_CHECK ? check_rest(t, err) : code;
}

void tg_state_target_done(struct tg_state_target *t)
{
    tg_state_names_done(&t->there);
    free(t->known);
    t->known = NULL;
}
