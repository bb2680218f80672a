/* SPDX-License-Identifier: MIT */
/*
 * memory.c - see memory.h
 */
#include "stage/memory.h"

enum { NEWS_MAX = 1 << 30 };

void tg_stage_memory_begin(struct tg_stage_memory *m, const struct tg_stage_env *env, int64_t bytes)
{
    if (m->began)
        return;
    m->began = true;
    tg_seen_init(&m->seen, env->disk, (uint64_t)bytes);
    tg_buf_init(&m->news, NEWS_MAX);
}

void tg_stage_memory_done(struct tg_stage_memory *m)
{
    tg_seen_done(&m->seen);
    tg_buf_done(&m->news);
}

tg_code tg_stage_memory_put(struct tg_stage_memory *m, struct tg_seen_key key, bool *ret_new,
                            struct tg_error *err)
{
    tg_code code = tg_seen_put(&m->seen, key, ret_new, err);

    if (code != TG_OK || !*ret_new)
        return code;
    tg_buf_u64(&m->news, key.a);
    tg_buf_u64(&m->news, key.b);
    return m->news.failed ? tg_fail(err, TG_NOMEM, "no memory for what a stage remembers") : TG_OK;
}

void tg_stage_memory_tell(struct tg_stage_memory *m, struct tg_buf *out)
{
    tg_buf_add(out, m->news.data, m->news.len);
    out->failed |= m->news.failed;
    tg_buf_clear(&m->news);
}

tg_code tg_stage_memory_learn(struct tg_stage_memory *m, const uint8_t *facts, size_t n,
                              struct tg_error *err)
{
    tg_code code = TG_OK;
    bool ignored;

    for (size_t i = 0; code == TG_OK && i < n; i++, facts += TG_STAGE_FACT) {
        const struct tg_seen_key key = { tg_le64(facts), tg_le64(facts + 8) };

        code = tg_seen_put(&m->seen, key, &ignored, err);
    }
    return code;
}
