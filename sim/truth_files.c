/* SPDX-License-Identifier: MIT */
/*
 * truth_files.c - files-CHAT.txt: what is in the files of a chat's messages, for tests to compare
 *
 *   MESSAGE FILE SIZE SHA256        a line for each message with a photo or document
 *
 * It is written from the messages as an account that is in the chat gets them. Of a photo the
 * largest picture counts.
 *
 * Threads: the loop's
 */
#include "sim/server.h"

#include <inttypes.h>
#include <stdio.h>

#include "crypto/hash.h"

enum { BLOCK = 1 << 20, ARENA_MAX = 16 << 20 };

/* @return the file of a message, with the thumbnail in it that is its largest picture; 0: none */
static int64_t file_of(const struct tl_value *message)
{
    const struct tl_value *media = tl_get_obj(message, TLN_media);
    const struct tl_value *photo = tl_get_obj(media, TLN_photo), *sizes;

    if (tl_name(media) == TLN_messageMediaDocument)
        return tl_get_long(tl_get_obj(media, TLN_document), TLN_id, 0);
    sizes = tl_get_vector(photo, TLN_sizes);
    if (tl_name(media) != TLN_messageMediaPhoto || tl_len(sizes) == 0)
        return 0;
    return sim_world_file_thumb(
        tl_get_long(photo, TLN_id, 0),
        tl_get_str(tl_item(sizes, tl_len(sizes) - 1), TLN_type).at[0]);
}

static bool hash_file(const struct sim_world *w, int64_t file, uint8_t sha256[TG_SHA256])
{
    static uint8_t block[BLOCK];
    int64_t size = sim_world_file_size(w, file);
    struct tg_sha256_ctx sha;

    if (!tg_sha256_init(&sha))
        return false;
    for (int64_t at = 0; at < size; at += BLOCK) {
        size_t n = (size_t)TG_MIN(size - at, (int64_t)BLOCK);

        sim_world_file_bytes(w, file, at, block, n);
        tg_sha256_add(&sha, block, n);
    }
    tg_sha256_take(&sha, sha256);
    tg_sha256_done(&sha);
    return true;
}

static const struct sim_account *viewer_of(const struct sim_world *w, const struct sim_chat *chat)
{
    for (size_t i = 0; i < sim_world_accounts(w); i++)
        if (sim_world_member(w, sim_world_account(w, i), chat))
            return sim_world_account(w, i);
    return sim_world_account(w, 0);
}

static tg_code put_files(const struct sim_world *w, const struct sim_chat *chat,
                         struct tg_arena *arena, struct tg_buf *text, struct tg_error *err)
{
    const struct sim_account *viewer = viewer_of(w, chat);

    for (uint64_t i = 0; i < chat->n_messages; i++) {
        int64_t id = sim_world_select(w, chat, i), file;
        uint8_t sha256[TG_SHA256];
        char hex[2 * TG_SHA256 + 1];

        tg_arena_clear(arena);
        file = file_of(sim_world_message(w, viewer, chat, id, arena));
        if (!file)
            continue;
        if (!hash_file(w, file, sha256))
            return tg_fail(err, TG_NOMEM, "no memory for the hash of a file");
        tg_hex(hex, sha256, TG_SHA256);
        tg_buf_printf(text, "%" PRId64 " %" PRId64 " %" PRId64 " %s\n", id,
                      file & ~INT64_C(0xf00), sim_world_file_size(w, file), hex);
    }
    return text->failed ? tg_fail(err, TG_NOMEM, "text of the files of a chat") : TG_OK;
}

tg_code sim_files_media(const struct sim *sim, struct tg_error *err)
{
    const struct sim_world *w = sim->core.world;
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_arena arena;
    struct tg_dir *dir;
    struct tg_buf text;
    tg_code code = fs->open_dir(fs, sim->set.dir, true, &dir, err);

    if (code != TG_OK)
        return code;
    tg_arena_init(&arena, ARENA_MAX);
    tg_buf_init(&text, 1 << 30);
    for (size_t i = 0; i < sim_world_chats(w) && code == TG_OK; i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);
        char name[64];

        snprintf(name, sizeof name, "files-%" PRId64 ".txt", chat->marked_id);
        tg_buf_clear(&text);
        code = put_files(w, chat, &arena, &text, err);
        if (code == TG_OK)
            code = tg_fs_replace(fs, dir, name, false, text.data, text.len, err);
    }
    tg_buf_done(&text);
    tg_arena_done(&arena);
    fs->close_dir(fs, dir);
    return code;
}
