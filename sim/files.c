/* SPDX-License-Identifier: MIT */
/*
 * files.c - what the simulated data centre keeps and tells in its directory
 *
 * Threads: the loop's      Limits: see below
 */
#include "sim/server.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "sim/targets.h"

enum { PEM_MAX = 16 << 10, JSON_MAX = 64 << 20, IDS_BLOCK = 1 << 20 };

static const char *const kind_name[] = {
    [SIM_SUPERGROUP] = "supergroup", [SIM_CHANNEL] = "channel",
    [SIM_FORUM] = "forum",           [SIM_BASIC_GROUP] = "group",
    [SIM_PRIVATE] = "private",       [SIM_MIGRATED] = "migrated",
    [SIM_PROTECTED] = "protected",   [SIM_LEFT_CHANNEL] = "left",
    [SIM_DISCUSSION] = "discussion",
};

static tg_code open_dir(const struct sim *sim, struct tg_dir **ret, struct tg_error *err)
{
    return tg_fs_system.open_dir(&tg_fs_system, sim->set.dir, true, ret, err);
}

static tg_code replace(const struct sim *sim, const char *name, bool secret,
                       const struct tg_buf *text, struct tg_error *err)
{
    struct tg_dir *dir;
    tg_code code;

    if (text->failed)
        return tg_fail(err, TG_NOMEM, "text of '%s'", name);
    code = open_dir(sim, &dir, err);
    if (code != TG_OK)
        return code;
    code = tg_fs_replace(&tg_fs_system, dir, name, secret, text->data, text->len, err);
    tg_fs_system.close_dir(&tg_fs_system, dir);
    return code;
}

/* ---- identity ---- */

static tg_code identity_make(struct sim *sim, struct tg_error *err)
{
    struct tg_buf pem;
    tg_code code;

    sim->rsa = tg_rsa_private_generate(&sim->random);
    if (!sim->rsa)
        return tg_fail(err, TG_NOMEM, "RSA key of the data centre");
    tg_buf_init(&pem, PEM_MAX);
    code = tg_rsa_private_write(sim->rsa, &pem)
               ? replace(sim, "rsa.pem", true, &pem, err)
               : tg_fail(err, TG_NOMEM, "RSA key of the data centre");
    tg_buf_wipe(&pem);
    return code;
}

tg_code sim_files_identity(struct sim *sim, struct tg_error *err)
{
    struct tg_dir *dir;
    struct tg_buf pem;
    tg_code code = open_dir(sim, &dir, err);

    if (code != TG_OK)
        return code;
    tg_buf_init(&pem, PEM_MAX);
    code = tg_fs_read_all(&tg_fs_system, dir, "rsa.pem", PEM_MAX, &pem, err);
    tg_fs_system.close_dir(&tg_fs_system, dir);
    if (code == TG_OK)
        code = tg_rsa_private_parse((const char *)pem.data, pem.len, &sim->rsa, err);
    else if (code == TG_NOT_FOUND)
        code = identity_make(sim, err);
    tg_buf_wipe(&pem);
    return code;
}

/* ---- datacenter.json ---- */

static void write_dc(struct tg_json *j, const struct sim *sim, int id, uint16_t port)
{
    tg_json_object(j);
    tg_json_key(j, "id");
    tg_json_i64(j, id);
    tg_json_key(j, "host");
    tg_json_cstr(j, sim->core.host);
    tg_json_key(j, "port");
    tg_json_i64(j, port);
    tg_json_end_object(j);
}

/* The person that a bot belongs to: the first of its data centre without a password. */
static const struct sim_account *owner_of(const struct sim_world *w, const struct sim_account *bot)
{
    for (size_t i = 0; i < sim_world_accounts(w); i++) {
        const struct sim_account *a = sim_world_account(w, i);

        if (!a->bot_token && !a->password && a->home_dc == bot->home_dc)
            return a;
    }
    return sim_world_account(w, 0);
}

/* Every entry has a number and a code, so that a script may take any; bots have their owner's. */
static void write_account(struct tg_json *j, const struct sim_world *w, const struct sim_account *a)
{
    const struct sim_account *reached = a->bot_token ? owner_of(w, a) : a;

    tg_json_object(j);
    tg_json_key(j, "phone");
    tg_json_cstr(j, reached->phone);
    tg_json_key(j, "code");
    tg_json_cstr(j, reached->code);
    if (a->password) {
        tg_json_key(j, "password");
        tg_json_cstr(j, a->password);
    }
    if (a->bot_token) {
        tg_json_key(j, "bot_token");
        tg_json_cstr(j, a->bot_token);
    }
    tg_json_key(j, "user_id");
    tg_json_i64(j, a->user_id);
    tg_json_key(j, "home_dc");
    tg_json_i64(j, a->home_dc);
    tg_json_end_object(j);
}

tg_code sim_files_datacenter(const struct sim *sim, struct tg_error *err)
{
    const struct sim_world *w = sim->core.world;
    struct tg_buf text, pem;
    struct tg_json j;
    tg_code code;

    tg_buf_init(&text, JSON_MAX);
    tg_buf_init(&pem, PEM_MAX);
    tg_json_init(&j, &text);
    tg_json_object(&j);
    tg_json_key(&j, "dcs");
    tg_json_array(&j);
    for (int id = 1; id <= SIM_DCS; id++)
        write_dc(&j, sim, id, sim->core.port[id]);
    tg_json_end_array(&j);
    tg_json_key(&j, "media_dcs");
    tg_json_array(&j);
    for (int id = 1; id <= SIM_DCS; id++)
        write_dc(&j, sim, id, sim->core.media_port[id]);
    tg_json_end_array(&j);
    tg_json_key(&j, "public_key");
    if (!tg_rsa_key_write(tg_rsa_private_public(sim->rsa), TG_RSA_PKCS1, &pem))
        text.failed = true;
    tg_json_str(&j, (const char *)pem.data, pem.len);
    tg_json_key(&j, "main_dc");
    tg_json_i64(&j, sim_world_accounts(w) ? sim_world_account(w, 0)->home_dc : 2);
    tg_json_key(&j, "test");
    tg_json_bool(&j, false);
    tg_json_key(&j, "accounts");
    tg_json_array(&j);
    for (int bots = 0; bots < 2; bots++) /* people first */
        for (size_t i = 0; i < sim_world_accounts(w); i++)
            if ((sim_world_account(w, i)->bot_token != NULL) == bots)
                write_account(&j, w, sim_world_account(w, i));
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    tg_buf_byte(&text, '\n');
    code = replace(sim, "datacenter.json", false, &text, err);
    tg_buf_done(&pem);
    tg_buf_done(&text);
    return code;
}

/* ---- world.json, ids-CHAT.txt ---- */

static void write_chat(struct tg_json *j, const struct sim *sim, const struct sim_chat *chat)
{
    const struct sim_world *w = sim->core.world;
    const struct sim_chat *linked = sim_world_linked(w, chat);

    tg_json_object(j);
    tg_json_key(j, "id");
    tg_json_i64(j, chat->marked_id);
    tg_json_key(j, "title");
    tg_json_cstr(j, chat->title);
    tg_json_key(j, "kind");
    tg_json_cstr(j, kind_name[chat->kind]);
    tg_json_key(j, "username");
    tg_json_cstr(j, chat->username);
    tg_json_key(j, "messages");
    tg_json_u64(j, chat->n_messages);
    tg_json_key(j, "top_id");
    tg_json_i64(j, chat->top_id);
    tg_json_key(j, "migrated_from");
    if (chat->migrated_from >= 0)
        tg_json_i64(j, sim_world_chat(w, (size_t)chat->migrated_from)->marked_id);
    else
        tg_json_null(j);
    tg_json_key(j, "linked");
    if (linked)
        tg_json_i64(j, linked->marked_id);
    else
        tg_json_null(j);
    if (sim->core.live) {
        tg_json_key(j, "silent");
        tg_json_bool(j, sim_live_silent(sim->core.live, chat));
    }
    tg_json_key(j, "members");
    tg_json_array(j);
    for (size_t i = 0; i < sim_world_accounts(w); i++) {
        if (sim_world_member(w, sim_world_account(w, i), chat))
            tg_json_i64(j, sim_world_account(w, i)->user_id);
    }
    tg_json_end_array(j);
    tg_json_end_object(j);
}

/* Of a discussion group: each id with the post that it is a comment on, 0 for none. */
static void put_id(struct tg_buf *text, const struct sim *sim, const struct sim_chat *chat,
                   int64_t id)
{
    tg_buf_i64_text(text, id);
    if (chat->kind == SIM_DISCUSSION) {
        tg_buf_byte(text, ' ');
        tg_buf_i64_text(text, sim_world_comment_of(sim->core.world, chat, id));
    }
    tg_buf_byte(text, '\n');
}

static tg_code write_ids(const struct sim *sim, struct tg_dir *dir, const struct sim_chat *chat,
                         struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_file *file;
    struct tg_buf text;
    char name[64];
    tg_code code;

    snprintf(name, sizeof name, "ids-%" PRId64 ".txt", chat->marked_id);
    code = fs->create(fs, dir, name, false, &file, err);
    if (code != TG_OK)
        return code;
    tg_buf_init(&text, 2 * IDS_BLOCK);
    for (uint64_t i = 0; i < chat->n_messages && code == TG_OK; i++) {
        put_id(&text, sim, chat, sim_world_select(sim->core.world, chat, i));
        if (text.len < IDS_BLOCK && i + 1 < chat->n_messages)
            continue;
        code = text.failed ? tg_fail(err, TG_NOMEM, "text of '%s'", name)
                           : fs->write(fs, file, text.data, text.len, err);
        tg_buf_clear(&text);
    }
    tg_buf_done(&text);
    fs->close(fs, file);
    return code;
}

tg_code sim_files_ids(const struct sim *sim, struct tg_error *err)
{
    struct tg_dir *dir;
    tg_code code = open_dir(sim, &dir, err);

    if (code != TG_OK)
        return code;
    for (size_t i = 0; i < sim_world_chats(sim->core.world) && code == TG_OK; i++)
        code = write_ids(sim, dir, sim_world_chat(sim->core.world, i), err);
    tg_fs_system.close_dir(&tg_fs_system, dir);
    return code;
}

tg_code sim_files_world(const struct sim *sim, struct tg_error *err)
{
    struct tg_buf text;
    struct tg_json j;
    tg_code code;

    tg_buf_init(&text, JSON_MAX);
    tg_json_init(&j, &text);
    tg_json_object(&j);
    tg_json_key(&j, "seed");
    tg_json_i64(&j, sim->set.seed);
    tg_json_key(&j, "chats");
    tg_json_array(&j);
    for (size_t i = 0; i < sim_world_chats(sim->core.world); i++)
        write_chat(&j, sim, sim_world_chat(sim->core.world, i));
    tg_json_end_array(&j);
    tg_json_end_object(&j);
    tg_buf_byte(&text, '\n');
    code = replace(sim, "world.json", false, &text, err);
    tg_buf_done(&text);
    if (code == TG_OK && sim->set.truth)
        code = sim_files_ids(sim, err);
    return code == TG_OK && sim->set.truth_files ? sim_files_media(sim, err) : code;
}

/* ---- statistics ---- */

tg_code sim_files_stats(const struct sim *sim, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    const char *path = sim->set.stats;
    const char *slash = path ? strrchr(path, '/') : NULL;
    struct tg_dir *dir;
    struct tg_buf text;
    char parent[1024] = ".";
    tg_code code;

    if (!path)
        return TG_OK;
    if (slash)
        snprintf(parent, sizeof parent, "%.*s", (int)TG_MAX(slash - path, 1), path);
    code = fs->open_dir(fs, parent, true, &dir, err);
    if (code != TG_OK)
        return code;
    tg_buf_init(&text, JSON_MAX);
    sim_stats_write(&sim->core.stats, &sim->core.faults, &text);
    code = text.failed ? tg_fail(err, TG_NOMEM, "statistics")
                       : tg_fs_replace(fs, dir, slash ? slash + 1 : path, false, text.data,
                                       text.len, err);
    fs->close_dir(fs, dir);
    tg_buf_done(&text);
    return code;
}

/* ---- accept-login ---- */

bool sim_files_accept(const struct sim *sim, char phone[24])
{
    const struct tg_fs *fs = &tg_fs_system;
    struct tg_dir *dir;
    struct tg_buf text;
    struct tg_error err;
    size_t n = 0;

    if (open_dir(sim, &dir, &err) != TG_OK)
        return false;
    tg_buf_init(&text, 4096);
    if (tg_fs_read_all(fs, dir, "accept-login", 4096, &text, &err) == TG_OK) {
        while (n < text.len && n < 23 && text.data[n] >= '0' && text.data[n] <= '9')
            n++;
        if (n)
            memcpy(phone, text.data, n);
        phone[n] = 0;
        if (n)
            fs->unlink(fs, dir, "accept-login", &err);
    }
    fs->close_dir(fs, dir);
    tg_buf_done(&text);
    return n > 0;
}
