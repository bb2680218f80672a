/* SPDX-License-Identifier: MIT */
/*
 * files_live.c - what a live world has come to, for tests to compare
 *
 * DIR/live-CHAT.txt, with --truth, at the end and at SIGUSR1: one line for each message that is
 * there, "<id> <hash> <edit date> <reactions>", the hash being the first 16 hex digits of the
 * SHA-256 of its text, and then one for each that was deleted, "<id> -". Edits change the text,
 * reactions do not.
 *
 * Threads: the loop's
 */
#include "sim/server.h"

#include <inttypes.h>
#include <stdio.h>

#include "crypto/hash.h"

enum { BLOCK = 1 << 20, ARENA = 1 << 20, HASH_HEX = 16 };

/* How many people have reacted. */
static int32_t reactions_of(const struct tl_value *m)
{
    const struct tl_value *all = tl_get_obj(m, TLN_reactions);
    const struct tl_value *results = all ? tl_get_vector(all, TLN_results) : NULL;
    int32_t n = 0;

    for (uint32_t i = 0; results && i < tl_len(results); i++)
        n += tl_get_int(tl_item(results, i), TLN_count, 0);
    return n;
}

static void put_message(const struct sim_world *w, const struct sim_chat *chat, int64_t id,
                        struct tg_arena *arena, struct tg_buf *text)
{
    const struct sim_account *owner = sim_world_owner(w, chat);
    const struct tl_value *m;
    struct tg_str said;
    uint8_t hash[TG_SHA256];
    char hex[2 * TG_SHA256 + 1];

    tg_arena_clear(arena);
    m = sim_world_message(w, owner ? owner : sim_world_account(w, 0), chat, id, arena);
    said = tl_get_str(m, TLN_message);
    tg_sha256(hash, said.at, said.len);
    tg_hex(hex, hash, sizeof hash);
    tg_buf_i64_text(text, id);
    tg_buf_byte(text, ' ');
    tg_buf_add(text, hex, HASH_HEX);
    tg_buf_byte(text, ' ');
    tg_buf_i64_text(text, tl_get_int(m, TLN_edit_date, 0));
    tg_buf_byte(text, ' ');
    tg_buf_i64_text(text, reactions_of(m));
    tg_buf_byte(text, '\n');
}

static tg_code write_block(struct tg_file *file, struct tg_buf *text, bool all,
                           struct tg_error *err)
{
    tg_code code;

    if (text->len < BLOCK && !all)
        return TG_OK;
    code = text->failed ? tg_fail(err, TG_NOMEM, "text of the truth")
                        : tg_fs_system.write(&tg_fs_system, file, text->data, text->len, err);
    tg_buf_clear(text);
    return code;
}

static tg_code write_chat(const struct sim_world *w, const struct sim_chat *chat,
                          struct tg_file *file, struct tg_error *err)
{
    const int32_t *gone;
    size_t n_gone = sim_world_gone(w, chat, &gone);
    struct tg_arena arena;
    struct tg_buf text;
    tg_code code = TG_OK;

    tg_arena_init(&arena, ARENA);
    tg_buf_init(&text, 2 * BLOCK);
    for (uint64_t i = 0; i < chat->n_messages && code == TG_OK; i++) {
        put_message(w, chat, sim_world_select(w, chat, i), &arena, &text);
        code = write_block(file, &text, false, err);
    }
    for (size_t i = 0; i < n_gone && code == TG_OK; i++) {
        tg_buf_i64_text(&text, gone[i]);
        tg_buf_str(&text, " -\n");
        code = write_block(file, &text, false, err);
    }
    if (code == TG_OK)
        code = write_block(file, &text, true, err);
    tg_buf_done(&text);
    tg_arena_done(&arena);
    return code;
}

static tg_code write_all(const struct sim *sim, struct tg_dir *dir, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    const struct sim_world *w = sim->core.world;
    tg_code code = TG_OK;

    for (size_t i = 0; i < sim_world_chats(w) && code == TG_OK; i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);
        struct tg_file *file;
        char name[64], part[72];

        if (!sim_world_alive(w, chat))
            continue;
        snprintf(name, sizeof name, "live-%" PRId64 ".txt", chat->marked_id);
        snprintf(part, sizeof part, "%s.part", name);
        code = fs->create(fs, dir, part, false, &file, err);
        if (code != TG_OK)
            break;
        code = write_chat(w, chat, file, err);
        fs->close(fs, file);
        if (code == TG_OK)
            code = fs->rename(fs, dir, part, name, err);
    }
    return code;
}

tg_code sim_files_live(const struct sim *sim, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_dir *dir;
    tg_code code;

    if (!sim->core.live || !sim->set.truth)
        return TG_OK;
    code = fs->open_dir(fs, sim->set.dir, true, &dir, err);
    if (code != TG_OK)
        return code;
    code = write_all(sim, dir, err);
    fs->close_dir(fs, dir);
    return code == TG_OK ? sim_files_ids(sim, err) : code;
}

tg_code sim_files_changes(struct sim *sim, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_dir *dir;
    tg_code code;

    if (!sim->core.live || !sim->set.truth)
        return TG_OK;
    code = fs->open_dir(fs, sim->set.dir, true, &dir, err);
    if (code != TG_OK)
        return code;
    code = fs->create(fs, dir, "changes.txt", false, &sim->changes, err);
    fs->close_dir(fs, dir);
    return code;
}
