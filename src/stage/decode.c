/* SPDX-License-Identifier: MIT */
/*
 * decode.c - rows made again from the objects that they keep in `raw`, by this program's decoder
 *
 * So fields that are new, and faults that were mended, reach rows that were extracted long ago.
 * What a message itself does not tell stays as it stood: who its sender was by name (that came with
 * the reply), where the row came from, whose comment it is, what other stages and downloads added.
 *
 * A row without raw, or with one that cannot be decoded, stays as it stood and is counted.
 */
#include <stdio.h>

#include "stage/stage.h"

struct decode {
    char unused; /* it has no settings */
};

/* The fields that a message tells: absent from the new row they are absent. Others stay. */
#define TOLD(X)                                                                                    \
    X(kind) X(date) X(edit_date) X(content_hash) X(sender_id) X(text) X(entities) X(reply_to_id)   \
    X(reply_to_chat_id) X(thread_id) X(topic_id) X(forward_from_id) X(forward_from_name)           \
    X(forward_message_id) X(forward_date) X(album_id) X(media_kind) X(media_id) X(media_mime)      \
    X(media_name) X(media_size) X(media_width) X(media_height) X(media_duration) X(media)          \
    X(views) X(forwards) X(replies) X(reactions) X(via_bot_id) X(post_author) X(action)            \
    X(action_data) X(outgoing) X(post) X(silent) X(pinned) X(protected) X(ttl_s)

#define TOLD_BIT(name) | TG_ROW_BIT(name)
static const uint64_t told = 0 TOLD(TOLD_BIT);

static void keep_untold(struct tg_row *fresh, const struct tg_row *old)
{
    for (uint64_t left = old->present & ~told & ~fresh->present; left; left &= left - 1) {
        enum tg_field_id id = (enum tg_field_id)__builtin_ctzll(left);
        enum tg_field_type type = tg_field(id)->type;
        bool text = type == TG_FIELD_STR || type == TG_FIELD_JSON;

        memcpy((char *)fresh + tg_row_offset[id], (const char *)old + tg_row_offset[id],
               text ? sizeof(struct tg_str) : sizeof(int64_t));
        fresh->present |= UINT64_C(1) << id;
    }
}

static tg_code decode_row(struct tg_row *row, const struct tg_stage_env *env, struct tg_error *err)
{
    struct tg_stage_counts *counts = env->counts;
    struct tg_row fresh;
    tg_code code;

    if (!(row->present & TG_ROW_BIT(raw))) {
        counts->no_raw++;
        return TG_OK;
    }
    code = env->decode(env->ctx, row, &fresh, err);
    if (code == TG_DATA || code == TG_NOT_FOUND) {
        counts->undecoded++;
        if (!counts->why[0])
            snprintf(counts->why, sizeof counts->why, "message %lld of chat %lld: %.140s",
                     (long long)row->id, (long long)row->chat_id, err->message);
        return TG_OK;
    }
    if (code != TG_OK)
        return code;
    keep_untold(&fresh, row);
    fresh.judged = row->judged;
    *row = fresh;
    counts->decoded++;
    return TG_OK;
}

static tg_code decode_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                          struct tg_error *err)
{
    tg_code code = TG_OK;

    (void)self;
    if (!env->decode)
        return tg_fail(err, TG_UNSUPPORTED, "there is nothing to decode rows with");
    for (size_t i = 0; code == TG_OK && i < batch->n; i++)
        code = decode_row(&batch->row[i], env, err);
    return code;
}

const struct tg_stage_ops tg_stage_decode = {
    .head = { "decode", "make rows again from what they keep in raw", NULL,
              sizeof(struct decode) },
    .decodes = true,
    .run = decode_run,
};
