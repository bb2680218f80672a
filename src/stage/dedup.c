/* SPDX-License-Identifier: MIT */
/*
 * dedup.c - of rows with the same keys the first stays: `dedup?keys=chat_id,content_hash`
 *
 * Exact, in bounded memory: quality/seen.h; a run knows what those before it have seen: memory.h.
 * It is a rule, of uniqueness, and counted as one. A row that lacks one of the fields is like no
 * other. Rows of deletions pass unseen.
 */
#include <stdio.h>

#include <xxhash.h>

#include "quality/rule.h"
#include "stage/memory.h"

enum { KEYS_MAX = 16, KEY_BYTES = 16 << 20 };

struct dedup {
    const char *keys, *name; /* options */
    int64_t severity, memory;
    uint64_t mask;
    size_t n_keys;
    enum tg_field_id key[KEYS_MAX];
    struct tg_stage_memory came;
    struct tg_buf bytes; /* of a row's keys */
    struct tg_rule_result found;

    /* of a run */
    struct tg_batch *batch;
    const struct tg_stage_env *env;
    struct tg_error *err;
    tg_code result;
};

static tg_code dedup_open(void *self, struct tg_error *err)
{
    struct dedup *d = self;
    const char *list = d->keys;
    struct tg_str word;

    tg_buf_init(&d->bytes, KEY_BYTES);
    while ((word = tg_stage_word(&list)).at) {
        int id = tg_field_find(word);

        if (id < 0) {
            tg_fail(err, TG_USAGE, "dedup: there is no field '%.*s'", (int)TG_MIN(word.len, 60u),
                    word.at);
            return tg_hint(err, "tgdata schema lists them");
        }
        if (d->n_keys == KEYS_MAX)
            return tg_fail(err, TG_USAGE, "dedup: more than %d keys", KEYS_MAX);
        d->key[d->n_keys++] = (enum tg_field_id)id;
        d->mask |= UINT64_C(1) << id;
    }
    if (!d->n_keys) {
        tg_fail(err, TG_USAGE, "dedup: no keys are given");
        return tg_hint(err, "name the fields in which rows are to differ: dedup?keys=chat_id,id or "
                            "dedup?keys=content_hash");
    }
    d->found.kind = TG_RULE_UNIQUENESS;
    d->found.severity = (enum tg_severity)d->severity;
    snprintf(d->found.field, sizeof d->found.field, "%s", d->n_keys == 1 ? d->keys : "");
    if (d->name)
        snprintf(d->found.name, sizeof d->found.name, "%s", d->name);
    else
        snprintf(d->found.name, sizeof d->found.name, "%.50s: %s", d->keys,
                 tg_rule_kind_name(TG_RULE_UNIQUENESS));
    return TG_OK;
}

static void dedup_close(void *self)
{
    struct dedup *d = self;

    tg_stage_memory_done(&d->came);
    tg_buf_done(&d->bytes);
}

static struct tg_seen_key key_of(struct dedup *d, const struct tg_row *row)
{
    XXH128_hash_t hash;

    tg_buf_clear(&d->bytes);
    for (size_t i = 0; i < d->n_keys; i++) {
        enum tg_field_type type = tg_field(d->key[i])->type;
        const void *at = (const char *)row + tg_row_offset[d->key[i]];

        if (type == TG_FIELD_STR || type == TG_FIELD_JSON) {
            const struct tg_str *text = at;

            tg_buf_u32(&d->bytes, text->len);
            tg_buf_add(&d->bytes, text->at, text->len);
        } else {
            tg_buf_u64(&d->bytes, (uint64_t) * (const int64_t *)at);
        }
    }
    hash = XXH3_128bits(d->bytes.data, d->bytes.len);
    return (struct tg_seen_key){ hash.high64, hash.low64 };
}

static bool stays(const void *self, const struct tg_row *at)
{
    struct dedup *d = (struct dedup *)(uintptr_t)self;
    struct tg_row *row = &d->batch->row[at - d->batch->row];
    struct tg_seen_key key;
    bool fresh = true;

    if (d->result != TG_OK || tg_row_changed(row) == TG_ROW_DELETED)
        return true;
    if ((row->present & d->mask) == d->mask) {
        key = key_of(d, row);
        d->result = d->bytes.failed
                        ? tg_fail(d->err, TG_LIMIT, "dedup: the keys of message %lld are too long",
                                  (long long)row->id)
                        : tg_stage_memory_put(&d->came, key, &fresh, d->err);
    }
    if (d->result != TG_OK)
        return true;
    tg_stage_judge(&d->found, row, fresh, d->env);
    if (!fresh && d->severity == TG_SEVERITY_FAIL)
        d->result = tg_fail(d->err, TG_DATA, "message %lld of chat %lld is there twice by its %s",
                            (long long)row->id, (long long)row->chat_id, d->keys);
    else if (!fresh)
        d->result = tg_stage_broken(&d->found, d->batch, row, "", d->env, d->err);
    return fresh || !tg_stage_takes_out(&d->found);
}

static tg_code dedup_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                         struct tg_error *err)
{
    struct dedup *d = self;

    tg_stage_memory_begin(&d->came, env, d->memory);
    d->batch = batch;
    d->env = env;
    d->err = err;
    d->result = TG_OK;
    tg_stage_keep(batch, env, stays, d);
    return d->result;
}

static void dedup_merge(void *self, const void *other)
{
    tg_rule_merge(&((struct dedup *)self)->found, &((const struct dedup *)other)->found);
}

static void dedup_learned(void *self, struct tg_buf *out)
{
    tg_stage_memory_tell(&((struct dedup *)self)->came, out);
}

static tg_code dedup_learn(void *self, const uint8_t *facts, size_t n,
                           const struct tg_stage_env *env, struct tg_error *err)
{
    struct dedup *d = self;

    tg_stage_memory_begin(&d->came, env, d->memory);
    return tg_stage_memory_learn(&d->came, facts, n, err);
}

static void dedup_tally(const void *self, struct tg_quality_result *q)
{
    q->rule[q->n_rules++] = ((const struct dedup *)self)->found;
}

static const struct tg_option dedup_option[] = {
    { .name = "keys",
      .type = TG_OPT_STR,
      .offset = offsetof(struct dedup, keys),
      .value = "FIELD,...",
      .help = "rows that are equal in all of these are one" },
    TG_STAGE_SEVERITY(struct dedup, "drop",
                      "of a row that came before: count it, drop it, keep it as a dead letter, end "
                      "the run"),
    { .name = "memory",
      .type = TG_OPT_SIZE,
      .offset = offsetof(struct dedup, memory),
      .fallback = "64MiB",
      .min = 4096,
      .max = INT64_C(1) << 40,
      .value = "SIZE",
      .help = "what it may take; beyond it keys go to a temporary file" },
    { .name = "name",
      .type = TG_OPT_STR,
      .offset = offsetof(struct dedup, name),
      .value = "NAME",
      .help = "how the rule is called in what is told" },
    { 0 },
};

const struct tg_stage_ops tg_stage_dedup = {
    .head = { "dedup", "of rows with the same keys keep the first", dedup_option,
              sizeof(struct dedup) },
    .whole = true,
    .open = dedup_open,
    .close = dedup_close,
    .run = dedup_run,
    .merge = dedup_merge,
    .tally = dedup_tally,
    .learned = dedup_learned,
    .learn = dedup_learn,
};
