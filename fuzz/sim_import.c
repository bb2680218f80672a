/* SPDX-License-Identifier: MIT */
/*
 * sim_import.c - fuzzes the loader of Telegram Desktop exports
 *
 * What it accepts must serve: every message is found under its id, builds, and encodes at layer 228
 * into bytes that the walker skips exactly.
 */
#include <stdlib.h>

#include "sim/world.h"
#include "tl/walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 16, MESSAGES_TRIED = 64 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void try_message(const struct sim_world *w, const struct sim_chat *chat, int64_t id)
{
    const struct tl_schema *schema = tl_schema_builtin(228);
    const struct sim_account *viewer = sim_world_account(w, 0);
    struct sim_peers *peers = sim_peers_new();
    struct tg_error err;
    struct tl_value *reply, *list;
    struct tg_arena arena;
    struct tl_reader r;
    struct tg_buf out;

    require(peers && sim_world_exists(w, chat, id));
    tg_arena_init(&arena, 32 << 20);
    tg_buf_init(&out, 32 << 20);
    reply = tl_obj(&arena, TLN_messages_messages);
    list = tl_set_vector(reply, TLN_messages);
    tl_add_obj(list, sim_world_message(w, viewer, chat, id, &arena));
    sim_peers_add_message(peers, w, chat, id);
    sim_peers_set(peers, w, viewer, reply, &arena);
    require(tl_encode(schema, reply, &out, &err) == TG_OK);
    r = tl_reader_of(out.data, out.len);
    require(tl_skip(schema, &r) && tl_left(&r) == 0);
    sim_peers_free(peers);
    tg_arena_done(&arena);
    tg_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct sim_world_options o = { .seed = 1, .n_chats = 1 };
    struct sim_world *w;
    struct tg_error err = { 0 };
    int budget = MESSAGES_TRIED;

    if (size > INPUT_MAX)
        return 0;
    if (sim_world_from_json(&o, "input", (struct tg_str){ (const char *)data, (uint32_t)size }, &w,
                            &err) != TG_OK) {
        require(err.message[0]);
        return 0;
    }
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        for (uint64_t k = 0; k < chat->n_messages && budget-- > 0; k++)
            try_message(w, chat, sim_world_select(w, chat, k));
    }
    sim_world_free(w);
    return 0;
}
