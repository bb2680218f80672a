/* SPDX-License-Identifier: MIT */
/*
 * What the simulated data centre can serve on one core, sockets and encryption apart: history of a
 * chat of a million messages at layer 228, page after page as an extractor asks for it, gzip
 * included. With argument "cache" the same pages come a second time from the cache.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sim/core.h"

enum { PAGES = 3000, CHAT = 1000000 };

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct tl_value *query(const struct sim_core *core, struct tg_arena *arena, int page)
{
    const struct sim_chat *chat = sim_world_chat(core->world, 0);
    int64_t me = sim_world_account(core->world, 0)->user_id;
    struct tl_value *q = tl_obj(arena, TLN_messages_getHistory);
    struct tl_value *peer = tl_set_new(q, TLN_peer, TLN_inputPeerChannel);

    tl_set_long(peer, TLN_channel_id, chat->id);
    tl_set_long(peer, TLN_access_hash, sim_world_access_hash(core->world, me, chat->marked_id));
    tl_set_int(q, TLN_offset_id, 1 + page * 100);
    tl_set_int(q, TLN_add_offset, -100);
    tl_set_int(q, TLN_limit, 100);
    tl_set_int(q, TLN_min_id, page * 100);
    return q;
}

/* Serves all pages. @return CPU seconds; a negative number if one failed */
static double serve(struct sim_core *core, struct sim_key *key, size_t *ret_packed)
{
    struct sim_request request = { .dc = key->dc, .key_id = key->key.id,
                                   .session_id = 1, .now_us = INT64_C(1700000000000000) };
    struct tg_arena arena;
    struct tg_buf bytes;
    struct tg_error err;
    double spent = 0;

    tg_arena_init(&arena, 1 << 20);
    tg_buf_init(&bytes, 1 << 20);
    *ret_packed = 0;
    for (int i = 0; i < PAGES && spent >= 0; i++) {
        struct sim_answer answer;
        double t;

        tg_arena_clear(&arena);
        tg_buf_clear(&bytes);
        if (tl_encode(core->schema[0], query(core, &arena, i), &bytes, &err) != TG_OK)
            exit(1);
        request.msg_id = (uint64_t)i * 4;
        request.body = bytes.data;
        request.len = bytes.len;
        t = now_s();
        sim_core_query(core, &request, &answer);
        spent += now_s() - t;
        *ret_packed += answer.len;
        if (!answer.body) {
            fprintf(stderr, "%s\n", answer.error);
            spent = -1;
        }
    }
    tg_arena_done(&arena);
    tg_buf_done(&bytes);
    return spent;
}

int main(int argc, char **argv)
{
    const struct sim_settings set = { .faults = "short=0", .seed = 1,
                                      .cache_mb = argc > 1 && argv[1][0] == 'c' ? 1024 : 0 };
    const struct sim_world_options o = { .seed = 1, .n_chats = 1, .n_messages = CHAT };
    static struct sim_core core;
    struct mt_key key = { .key = { 1 } };
    struct sim_key *made;
    struct tg_error err = { .message = "out of memory" };
    size_t packed;

    core.set = &set;
    core.random = tg_random_system();
    if (sim_world_new(&o, &core.world, &err) != TG_OK ||
        sim_keys_new(NULL, NULL, core.world, &core.keys, &err) != TG_OK ||
        sim_core_start(&core, &err) != TG_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    mt_key_derive(&key);
    made = sim_keys_add(core.keys, &key, sim_world_account(core.world, 0)->home_dc, 0);
    if (!made || !sim_keys_login(core.keys, made, sim_world_account(core.world, 0), 1, 0))
        return 1;
    sim_keys_set_layer(core.keys, made, 228, 1);
    for (int round = 0; round < (set.cache_mb ? 2 : 1); round++) {
        double s = serve(&core, made, &packed);
        double n = PAGES * 100.0;

        if (s < 0)
            return 1;
        printf("sim: %.0f messages, %.0f bytes each packed, %.2f us each: %.0f messages/s%s\n", n,
               (double)packed / n, s * 1e6 / n, n / s, round ? " from the cache" : "");
    }
    sim_core_stop(&core);
    sim_keys_free(core.keys);
    sim_world_free(core.world);
    return 0;
}
