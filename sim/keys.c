/* SPDX-License-Identifier: MIT */
/*
 * keys.c - the table of keys and logins, and the file that remembers them
 *
 * The file is replayed line by line at start; lines that do not parse (a torn last one) are left
 * out. Then a compact copy takes its place and is appended to.
 *
 * Threads: none
 */
#include "sim/keys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

enum { BUCKETS = 4096, FILE_MAX = 128 << 20, LINE_MAX_BYTES = 700 };

struct sim_keys {
    const struct tg_fs *fs;
    struct tg_dir *dir;
    struct tg_file *file;
    const struct sim_world *world;
    struct sim_key *bucket[BUCKETS];
    struct sim_key *first;
    struct sim_login *logins;
};

static void note(struct sim_keys *k, const char *line)
{
    struct tg_error err;

    /* A lost line costs a login after a restart, nothing else. */
    if (k->file && k->fs->write(k->fs, k->file, line, strlen(line), &err) != TG_OK) {
        k->fs->close(k->fs, k->file);
        k->file = NULL;
    }
}

static uint64_t id_of(const struct sim_key *key)
{
    return tg_le64(key->key.id);
}

static void key_line(const struct sim_key *key, char line[LINE_MAX_BYTES])
{
    char hex[513];

    tg_hex(hex, key->key.key, sizeof key->key.key);
    snprintf(line, LINE_MAX_BYTES, "key %d %s %" PRId64 " %" PRId64 "\n", key->dc, hex,
             key->created_s, key->key.expires_at);
    explicit_bzero(hex, sizeof hex);
}

static void layer_line(const struct sim_key *key, char line[LINE_MAX_BYTES])
{
    snprintf(line, LINE_MAX_BYTES, "layer %016" PRIx64 " %d %d\n", id_of(key), key->layer,
             key->api_id);
}

static void bind_line(const struct sim_key *temp, char line[LINE_MAX_BYTES])
{
    snprintf(line, LINE_MAX_BYTES, "bind %016" PRIx64 " %016" PRIx64 "\n", id_of(temp),
             id_of(temp->perm));
}

static void login_line(const struct sim_login *l, char line[LINE_MAX_BYTES])
{
    snprintf(line, LINE_MAX_BYTES, "login %016" PRIx64 " %" PRId64 " %" PRId64 "\n", l->hash,
             l->account->user_id, l->created_s);
}

static void auth_line(const struct sim_key *key, char line[LINE_MAX_BYTES])
{
    snprintf(line, LINE_MAX_BYTES, "auth %016" PRIx64 " %016" PRIx64 "\n", id_of(key),
             key->login ? key->login->hash : 0);
}

static void dead_line(const struct sim_login *l, char line[LINE_MAX_BYTES])
{
    snprintf(line, LINE_MAX_BYTES, "dead %016" PRIx64 " %d\n", l->hash, (int)l->dead);
}

static struct sim_key *add(struct sim_keys *k, const struct mt_key *key, int dc)
{
    struct sim_key *made = calloc(1, sizeof *made);
    struct sim_key **bucket;

    if (!made)
        return NULL;
    made->key = *key;
    made->dc = dc;
    bucket = &k->bucket[tg_le32(key->id) % BUCKETS];
    made->chain = *bucket;
    *bucket = made;
    made->next = k->first;
    k->first = made;
    return made;
}

static struct sim_key *find(const struct sim_keys *k, uint64_t id)
{
    struct sim_key *key = k->bucket[(uint32_t)id % BUCKETS];

    while (key && (key->dropped || id_of(key) != id))
        key = key->chain;
    return key;
}

static const struct sim_account *account_of(const struct sim_world *w, int64_t user_id)
{
    for (size_t i = 0; i < sim_world_accounts(w); i++) {
        if (sim_world_account(w, i)->user_id == user_id)
            return sim_world_account(w, i);
    }
    return NULL;
}

static struct sim_login *login_add(struct sim_keys *k, const struct sim_account *account,
                                   uint64_t hash, int64_t now_s)
{
    struct sim_login *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->hash = hash;
    l->account = account;
    l->created_s = l->active_s = now_s;
    l->next = k->logins;
    k->logins = l;
    return l;
}

static void replay_key(struct sim_keys *k, const char *line)
{
    struct mt_key key = { .expires_at = 0 };
    char hex[513];
    int64_t created;
    int dc;

    if (sscanf(line, "key %d %512s %" SCNd64 " %" SCNd64, &dc, hex, &created, &key.expires_at) !=
            4 ||
        !tg_unhex(key.key, sizeof key.key, hex, strlen(hex)))
        return;
    mt_key_derive(&key);
    if (!find(k, tg_le64(key.id))) {
        struct sim_key *made = add(k, &key, dc);

        if (made)
            made->created_s = created;
    }
    mt_key_wipe(&key);
    explicit_bzero(hex, sizeof hex);
}

static void replay(struct sim_keys *k, const char *line)
{
    uint64_t a, b;
    int64_t user, created;
    int32_t layer, api_id;
    int why;
    struct sim_key *key, *other;
    struct sim_login *login;

    if (!strncmp(line, "key ", 4)) {
        replay_key(k, line);
    } else if (sscanf(line, "bind %" SCNx64 " %" SCNx64, &a, &b) == 2) {
        key = find(k, a);
        other = find(k, b);
        if (key && other)
            key->perm = other;
    } else if (sscanf(line, "layer %" SCNx64 " %d %d", &a, &layer, &api_id) == 3) {
        key = find(k, a);
        if (key) {
            key->layer = layer;
            key->api_id = api_id;
        }
    } else if (sscanf(line, "login %" SCNx64 " %" SCNd64 " %" SCNd64, &a, &user, &created) == 3) {
        const struct sim_account *account = account_of(k->world, user);

        if (account && !sim_keys_login_by_hash(k, a))
            login_add(k, account, a, created);
    } else if (sscanf(line, "auth %" SCNx64 " %" SCNx64, &a, &b) == 2) {
        key = find(k, a);
        if (key)
            key->login = sim_keys_login_by_hash(k, b);
    } else if (sscanf(line, "dead %" SCNx64 " %d", &a, &why) == 2) {
        login = sim_keys_login_by_hash(k, a);
        if (login && why >= SIM_ALIVE && why <= SIM_DUPLICATED)
            login->dead = (enum sim_dead)why;
    } else if (sscanf(line, "drop %" SCNx64, &a) == 1) {
        key = find(k, a);
        if (key)
            key->dropped = true;
    }
}

static tg_code load(struct sim_keys *k, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, FILE_MAX);
    code = tg_fs_read_all(k->fs, k->dir, "keys", FILE_MAX, &text, err);
    if (code == TG_OK) {
        tg_buf_cstr(&text);
        for (char *at = (char *)text.data, *end; at && (end = strchr(at, '\n')); at = end + 1) {
            *end = 0;
            replay(k, at);
        }
    } else if (code == TG_NOT_FOUND) {
        code = TG_OK;
    }
    tg_buf_wipe(&text);
    return code;
}

/* Order does not matter but for what refers to what. */
static void save_all(struct sim_keys *k)
{
    char line[LINE_MAX_BYTES];

    for (struct sim_key *key = k->first; key; key = key->next) {
        if (key->dropped)
            continue;
        key_line(key, line);
        note(k, line);
        if (key->layer) {
            layer_line(key, line);
            note(k, line);
        }
    }
    for (struct sim_login *l = k->logins; l; l = l->next) {
        login_line(l, line);
        note(k, line);
        if (l->dead) {
            dead_line(l, line);
            note(k, line);
        }
    }
    for (struct sim_key *key = k->first; key; key = key->next) {
        if (key->dropped)
            continue;
        if (key->login) {
            auth_line(key, line);
            note(k, line);
        }
        if (key->perm) {
            bind_line(key, line);
            note(k, line);
        }
    }
    explicit_bzero(line, sizeof line);
}

static tg_code open_file(struct sim_keys *k, const char *dir, struct tg_error *err)
{
    tg_code code = k->fs->open_dir(k->fs, dir, true, &k->dir, err);

    if (code == TG_OK)
        code = load(k, err);
    if (code == TG_OK)
        code = k->fs->create(k->fs, k->dir, "keys.new", true, &k->file, err);
    if (code != TG_OK)
        return code;
    save_all(k);
    if (!k->file)
        return tg_fail(err, TG_IO, "could not write '%s/keys'", dir);
    return k->fs->rename(k->fs, k->dir, "keys.new", "keys", err);
}

tg_code sim_keys_new(const struct tg_fs *fs, const char *dir, const struct sim_world *world,
                     struct sim_keys **ret, struct tg_error *err)
{
    struct sim_keys *k = calloc(1, sizeof *k);
    tg_code code = TG_OK;

    if (!k)
        return tg_fail(err, TG_NOMEM, "table of keys");
    k->fs = fs;
    k->world = world;
    if (fs)
        code = open_file(k, dir, err);
    if (code != TG_OK) {
        sim_keys_free(k);
        return code;
    }
    *ret = k;
    return TG_OK;
}

void sim_keys_free(struct sim_keys *k)
{
    if (!k)
        return;
    for (struct sim_key *key = k->first, *next; key; key = next) {
        next = key->next;
        explicit_bzero(key, sizeof *key);
        free(key);
    }
    for (struct sim_login *l = k->logins, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    if (k->file)
        k->fs->close(k->fs, k->file);
    if (k->dir)
        k->fs->close_dir(k->fs, k->dir);
    free(k);
}

struct sim_key *sim_keys_add(struct sim_keys *k, const struct mt_key *key, int dc, int64_t now_s)
{
    char line[LINE_MAX_BYTES];
    struct sim_key *made = add(k, key, dc);

    if (!made)
        return NULL;
    made->created_s = now_s;
    key_line(made, line);
    note(k, line);
    explicit_bzero(line, sizeof line);
    return made;
}

struct sim_key *sim_keys_find(struct sim_keys *k, int dc, const uint8_t id[8])
{
    struct sim_key *key = find(k, tg_le64(id));

    return key && key->dc == dc ? key : NULL;
}

void sim_keys_drop(struct sim_keys *k, struct sim_key *key)
{
    char line[LINE_MAX_BYTES];

    key->dropped = true;
    snprintf(line, sizeof line, "drop %016" PRIx64 "\n", id_of(key));
    note(k, line);
}

void sim_keys_bind(struct sim_keys *k, struct sim_key *temp, struct sim_key *perm)
{
    char line[LINE_MAX_BYTES];

    assert(temp->key.expires_at && !perm->key.expires_at);
    temp->perm = perm;
    bind_line(temp, line);
    note(k, line);
}

void sim_keys_set_layer(struct sim_keys *k, struct sim_key *key, int32_t layer, int32_t api_id)
{
    char line[LINE_MAX_BYTES];

    if (key->layer == layer && key->api_id == api_id)
        return;
    key->layer = layer;
    key->api_id = api_id;
    layer_line(key, line);
    note(k, line);
}

struct sim_login *sim_keys_login(struct sim_keys *k, struct sim_key *key,
                                 const struct sim_account *account, uint64_t hash, int64_t now_s)
{
    char line[LINE_MAX_BYTES];
    struct sim_login *l = login_add(k, account, hash, now_s);

    if (!l)
        return NULL;
    l->api_id = key->api_id;
    snprintf(l->device, sizeof l->device, "%s", key->device);
    snprintf(l->system, sizeof l->system, "%s", key->system);
    snprintf(l->version, sizeof l->version, "%s", key->version);
    login_line(l, line);
    note(k, line);
    sim_keys_authorize(k, key, l);
    return l;
}

void sim_keys_authorize(struct sim_keys *k, struct sim_key *key, struct sim_login *login)
{
    char line[LINE_MAX_BYTES];

    assert(!key->key.expires_at);
    key->login = login;
    key->pending = NULL;
    auth_line(key, line);
    note(k, line);
}

void sim_keys_end(struct sim_keys *k, struct sim_login *login, enum sim_dead why)
{
    char line[LINE_MAX_BYTES];

    assert(why != SIM_ALIVE);
    login->dead = why;
    dead_line(login, line);
    note(k, line);
}

struct sim_key *sim_keys_first(const struct sim_keys *k)
{
    return k->first;
}

struct sim_login *sim_keys_logins(const struct sim_keys *k)
{
    return k->logins;
}

struct sim_login *sim_keys_login_by_hash(const struct sim_keys *k, uint64_t hash)
{
    struct sim_login *l = k->logins;

    while (l && l->hash != hash)
        l = l->next;
    return l;
}

/* ---- connections ---- */

void sim_use_end(struct sim_use *use)
{
    if (!use->perm)
        return;
    *(use->prev ? &use->prev->next : &use->perm->uses) = use->next;
    if (use->next)
        use->next->prev = use->prev;
    *use = (struct sim_use){ .perm = NULL };
}

bool sim_use_note(struct sim_use *use, struct sim_key *perm, const struct sim_key *key,
                  uint64_t session_id)
{
    bool alone = true;

    if (use->perm == perm)
        for (const struct sim_use *later = use->prev; later; later = later->prev)
            alone = alone && later->session_id == session_id;
    sim_use_end(use);
    *use = (struct sim_use){ .perm = perm,
                             .key = key,
                             .session_id = session_id,
                             .next = perm->uses };
    if (perm->uses)
        perm->uses->prev = use;
    perm->uses = use;
    return alone;
}

bool sim_use_elsewhere(const struct sim_key *temp, const struct sim_use *mine)
{
    const struct sim_use *use = temp->perm->uses;

    while (use && (use == mine || use->key != temp))
        use = use->next;
    return use != NULL;
}
