/* SPDX-License-Identifier: MIT */
/*
 * answer.c - turns a reply tree into the bytes that go on the wire
 *
 * Level 1 of deflate is taken: measured on pages of 100 messages, level 6 makes serving them cost
 * twice as much and the result 7 % smaller.
 *
 * Threads: none
 */
#include "sim/core.h"

#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DEFLATE_LEVEL = 1,
    PACK_MIN = 512,
};

#define GZIP_PACKED_ID UINT32_C(0x3072cfa1)

bool sim_answer_start(struct sim_core *core)
{
    core->deflate = libdeflate_alloc_compressor(DEFLATE_LEVEL);
    return core->deflate != NULL;
}

void sim_answer_stop(struct sim_core *core)
{
    if (core->deflate)
        libdeflate_free_compressor(core->deflate);
    core->deflate = NULL;
}

/* Whether the object is one whose constructor is to be unknown. */
static bool is_unknown(const struct sim_faults *f, const struct tl_value *o)
{
    int64_t id = tl_get_long(o, TLN_id, 0);

    switch (tl_name(o)) {
    case TLN_message:
    case TLN_messageService:
        return sim_faults_unknown(f, SIM_UNKNOWN_MESSAGE, id);
    case TLN_user:
        return sim_faults_unknown(f, SIM_UNKNOWN_USER, id);
    case TLN_chat:
    case TLN_channel:
        return sim_faults_unknown(f, SIM_UNKNOWN_CHAT, id);
    case TLN_chatFull:
    case TLN_channelFull:
        return sim_faults_unknown(f, SIM_UNKNOWN_FULL, id);
    default:
        return false;
    }
}

/* Finds the object's own bytes in the encoded reply and overwrites their constructor id. */
static void make_unknown(struct sim_call *c, const struct tl_value *o, struct tg_buf *reply)
{
    struct sim_core *core = c->core;
    struct tg_error err;
    uint8_t *at = reply->data;

    tg_buf_clear(&core->scratch);
    if (tl_encode(c->schema, o, &core->scratch, &err) != TG_OK)
        return;
    while ((at = memmem(at, (size_t)(reply->data + reply->len - at), core->scratch.data,
                        core->scratch.len))) {
        tg_put_le32(at, core->unknown_id);
        at += core->scratch.len;
    }
}

static void make_unknown_items(struct sim_call *c, const struct tl_value *list,
                               struct tg_buf *reply)
{
    for (uint32_t i = 0; i < tl_len(list); i++) {
        if (is_unknown(&c->core->faults, tl_item(list, i)))
            make_unknown(c, tl_item(list, i), reply);
    }
}

static void spoil(struct sim_call *c, const struct tl_value *reply, struct tg_buf *out)
{
    static const uint32_t field[] = { TLN_messages, TLN_new_messages, TLN_users, TLN_chats };
    const struct tl_value *full = tl_get_obj(reply, TLN_full_chat);
    size_t n = 0;

    for (int i = 0; i < SIM_UNKNOWN_COUNT; i++)
        n += c->core->faults.n_unknown[i];
    if (n == 0)
        return;
    if (full && is_unknown(&c->core->faults, full))
        make_unknown(c, full, out);
    if (reply->kind == TL_VALUE_VECTOR) {
        make_unknown_items(c, reply, out);
        return;
    }
    for (size_t i = 0; reply->kind == TL_VALUE_OBJECT && i < TG_COUNT(field); i++)
        make_unknown_items(c, tl_get_vector(reply, field[i]), out);
}

/* Writes the head of a TL string of n bytes at `at`. @return bytes written */
static size_t string_head(uint8_t *at, size_t n)
{
    if (n < 254) {
        at[0] = (uint8_t)n;
        return 1;
    }
    tg_put_le32(at, (uint32_t)n << 8 | 254);
    return 4;
}

/* Replaces `scratch` by gzip_packed of the encoded reply. @return whether that is smaller */
static bool gzip(struct sim_core *core)
{
    struct tg_buf *out = &core->scratch;
    size_t room = core->encoded.len;
    size_t n, head;
    uint8_t *at;

    tg_buf_clear(out);
    at = tg_buf_extend(out, room + 16);
    if (!at || room < PACK_MIN)
        return false;
    n = libdeflate_gzip_compress(core->deflate, core->encoded.data, room, at + 8, room - 16);
    if (n == 0)
        return false;
    tg_put_le32(at, GZIP_PACKED_ID);
    head = string_head(at + 4, n);
    if (head == 1)
        memmove(at + 5, at + 8, n);
    out->len = 4 + head + n;
    while (out->len % 4)
        tg_buf_byte(out, 0);
    return !out->failed && out->len < room;
}

/* A layer that lacks what the world holds, or a reply that was put together wrongly. */
static void report(struct sim_call *c, const struct tg_error *err)
{
    const struct sim_core *core = c->core;
    char line[400];

    if (!core->say)
        return;
    snprintf(line, sizeof line, "no reply to %s for layer %d: %s",
             tl_symbol_name(c->schema, c->symbol), c->schema->layer, err->message);
    core->say(core->say_ctx, line);
}

bool sim_answer_pack(struct sim_call *c, const struct tl_value *reply, struct sim_answer *ret)
{
    struct sim_core *core = c->core;
    struct tg_error err;
    tg_code code;

    tg_buf_clear(&core->encoded);
    code = reply ? tl_encode(c->schema, reply, &core->encoded, &err)
                 : tg_fail(&err, TG_NOMEM, "out of memory");
    if (code != TG_OK) {
        report(c, &err);
        sim_fail_code(c, 500, code == TG_NOMEM ? "MEMORY_LIMIT" : "INTERNAL_SERVER_ERROR");
        return false;
    }
    spoil(c, reply, &core->encoded);
    if (gzip(core)) {
        ret->body = core->scratch.data;
        ret->len = core->scratch.len;
    } else {
        ret->body = core->encoded.data;
        ret->len = core->encoded.len;
    }
    return true;
}
