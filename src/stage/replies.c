/* SPDX-License-Identifier: MIT */
/*
 * replies.c - whether the message that a reply answers is there: `replies?severity=warn`
 *
 * It is a rule, of reference, over the rows that are replies within their chat: the target must
 * have come before, in this run or one that it goes on behind (memory.h). Rows of a chat come by
 * ascending ids, and replies point back. Replies to other chats, and deletions, pass unseen.
 */
#include <stdio.h>

#include <xxhash.h>

#include "quality/rule.h"
#include "stage/memory.h"

struct replies {
    int64_t severity, memory; /* options */
    struct tg_stage_memory came;
    struct tg_rule_result found;

    /* of a run */
    struct tg_batch *batch;
    const struct tg_stage_env *env;
    struct tg_error *err;
    tg_code result;
};

static tg_code replies_open(void *self, struct tg_error *err)
{
    struct replies *p = self;

    (void)err;
    p->found.kind = TG_RULE_REFERENCE;
    p->found.severity = (enum tg_severity)p->severity;
    snprintf(p->found.field, sizeof p->found.field, "reply_to_id");
    snprintf(p->found.name, sizeof p->found.name, "reply_to_id: reference");
    return TG_OK;
}

static void replies_close(void *self)
{
    tg_stage_memory_done(&((struct replies *)self)->came);
}

static struct tg_seen_key key_of(const struct tg_row *row, int64_t id)
{
    const int64_t part[] = { row->chat_id, row->owner, id };
    XXH128_hash_t hash = XXH3_128bits(part, sizeof part);

    return (struct tg_seen_key){ hash.high64, hash.low64 };
}

static bool is_reply(const struct tg_row *row)
{
    return row->present & TG_ROW_BIT(reply_to_id) &&
           (!(row->present & TG_ROW_BIT(reply_to_chat_id)) ||
            row->reply_to_chat_id == row->chat_id);
}

static bool stays(const void *self, const struct tg_row *at)
{
    struct replies *p = (struct replies *)(uintptr_t)self;
    struct tg_row *row = &p->batch->row[at - p->batch->row];
    bool fresh, there = true;

    if (p->result != TG_OK || tg_row_changed(row) == TG_ROW_DELETED)
        return true;
    p->result = tg_stage_memory_put(&p->came, key_of(row, row->id), &fresh, p->err);
    if (p->result != TG_OK || !is_reply(row))
        return true;
    p->result = tg_seen_has(&p->came.seen, key_of(row, row->reply_to_id), &there, p->err);
    if (p->result != TG_OK)
        return true;
    tg_stage_judge(&p->found, row, there, p->env);
    if (!there && p->severity == TG_SEVERITY_FAIL)
        p->result = tg_fail(p->err, TG_DATA,
                            "message %lld of chat %lld answers %lld, which is not there",
                            (long long)row->id, (long long)row->chat_id,
                            (long long)row->reply_to_id);
    else if (!there)
        p->result = tg_stage_broken(&p->found, p->batch, row, "", p->env, p->err);
    return there || !tg_stage_takes_out(&p->found);
}

static tg_code replies_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                           struct tg_error *err)
{
    struct replies *p = self;

    tg_stage_memory_begin(&p->came, env, p->memory);
    p->batch = batch;
    p->env = env;
    p->err = err;
    p->result = TG_OK;
    tg_stage_keep(batch, env, stays, p);
    return p->result;
}

static void replies_merge(void *self, const void *other)
{
    tg_rule_merge(&((struct replies *)self)->found, &((const struct replies *)other)->found);
}

static void replies_learned(void *self, struct tg_buf *out)
{
    tg_stage_memory_tell(&((struct replies *)self)->came, out);
}

static tg_code replies_learn(void *self, const uint8_t *facts, size_t n,
                             const struct tg_stage_env *env, struct tg_error *err)
{
    struct replies *p = self;

    tg_stage_memory_begin(&p->came, env, p->memory);
    return tg_stage_memory_learn(&p->came, facts, n, err);
}

static void replies_tally(const void *self, struct tg_quality_result *q)
{
    q->rule[q->n_rules++] = ((const struct replies *)self)->found;
}

static const struct tg_option replies_option[] = {
    TG_STAGE_SEVERITY(struct replies, "warn",
                      "of a reply to what is not there: count it, drop it, keep it as a dead "
                      "letter, end the run"),
    { .name = "memory",
      .type = TG_OPT_SIZE,
      .offset = offsetof(struct replies, memory),
      .fallback = "64MiB",
      .min = 4096,
      .max = INT64_C(1) << 40,
      .value = "SIZE",
      .help = "what it may take; beyond it ids go to a temporary file" },
    { 0 },
};

const struct tg_stage_ops tg_stage_replies = {
    .head = { "replies", "count, drop, keep or refuse replies to messages that are not there",
              replies_option, sizeof(struct replies) },
    .whole = true,
    .open = replies_open,
    .close = replies_close,
    .run = replies_run,
    .merge = replies_merge,
    .tally = replies_tally,
    .learned = replies_learned,
    .learn = replies_learn,
};
