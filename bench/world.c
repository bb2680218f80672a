/* SPDX-License-Identifier: MIT */
/*
 * Cost of the simulated world: pages of ids, message trees, their users, and their encoding, of a
 * chat of ten million messages. Prints the bytes of a message as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim/world.h"

enum { PAGES = 2000, CHAT = 10000000 };

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(void)
{
    const struct sim_world_options o = { .seed = 1, .n_chats = 1, .n_messages = CHAT,
                                         .holes_percent = -1 };
    struct sim_world *w;
    struct tg_error err;
    struct sim_peers *peers = sim_peers_new();
    const struct tl_schema *schema = tl_schema_builtin(228);
    struct tg_arena arena;
    struct tg_buf out;
    double ids_s = 0, build_s = 0, peers_s = 0, encode_s = 0, t;
    size_t n_messages = 0, bytes = 0;

    if (!peers || sim_world_new(&o, &w, &err) != TG_OK)
        return 1;
    tg_arena_init(&arena, 64 << 20);
    tg_buf_init(&out, 16 << 20);
    for (int i = 0; i < PAGES; i++) {
        const struct sim_chat *chat = sim_world_chat(w, 0);
        const struct sim_page p = { .offset_id = 1 + i * 4999, .add_offset = -100, .limit = 100 };
        struct tl_value *reply, *list;
        int32_t ids[100], offset;
        size_t n;

        t = now_s();
        n = sim_world_page(w, chat, &p, ids, &offset);
        ids_s += now_s() - t;
        t = now_s();
        reply = tl_obj(&arena, TLN_messages_channelMessages);
        list = tl_set_vector(reply, TLN_messages);
        for (size_t k = 0; k < n; k++)
            tl_add_obj(list, sim_world_message(w, sim_world_account(w, 0), chat, ids[k], &arena));
        build_s += now_s() - t;
        t = now_s();
        for (size_t k = 0; k < n; k++)
            sim_peers_add_message(peers, w, chat, ids[k]);
        sim_peers_set(peers, w, sim_world_account(w, 0), reply, &arena);
        peers_s += now_s() - t;
        t = now_s();
        if (tl_encode(schema, reply, &out, &err) != TG_OK) {
            fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        encode_s += now_s() - t;
        n_messages += n;
        bytes += out.len;
        tg_buf_clear(&out);
        sim_peers_clear(peers);
        tg_arena_clear(&arena);
    }
    printf("world: %zu messages of %.0f bytes; each: ids %.0f ns, tree %.0f ns, users %.0f ns, "
           "encode %.0f ns; %.0f trees/s\n",
           n_messages, (double)bytes / (double)n_messages, ids_s * 1e9 / (double)n_messages,
           build_s * 1e9 / (double)n_messages, peers_s * 1e9 / (double)n_messages,
           encode_s * 1e9 / (double)n_messages, (double)n_messages / build_s);
    sim_peers_free(peers);
    sim_world_free(w);
    tg_buf_done(&out);
    tg_arena_done(&arena);
    return 0;
}
