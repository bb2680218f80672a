/* SPDX-License-Identifier: MIT */
/*
 * world.c - a simulated world's life, its accounts, and finding chats; see world.h
 *
 * Threads: none      Limits: 100,000 chats, 2^31-1 ids a chat
 */
#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "sim/import.h"
#include "sim/world_int.h"

enum { CHATS_MAX = 100000, NAMES_MAX = 64 << 20 };

/* ---- accounts ---- */

static const struct {
    const char *phone, *code, *password;
    bool bot;
    int home_dc;
} account_rows[] = {
    { "9996620001", "22222", NULL, false, 2 },
    { "9996620002", "22222", "correct horse", false, 2 },
    { "", "", NULL, true, 2 },
    { "9996610001", "11111", NULL, false, 1 },
    { "9996610002", "11111", "p\xc3\xa4sswort \xd1\x81\xd0\xbb\xd0\xbe\xd0\xb2\xd0\xbe", false, 1 },
    { "9996620003", "22222", NULL, false, 2 },
    { "", "", NULL, true, 1 },
};

_Static_assert(TG_COUNT(account_rows) <= SIM_PERSONS_MAX, "every account may be a person");

/* "<user id>:AA<33 characters>", as BotFather hands them out. */
static const char *bot_token(struct sim_world *w, int64_t user_id, uint32_t i)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    struct sim_rng r = { sim_hash(w->seed, 0xb07 + i) };
    struct tg_buf b;
    const char *ret;

    tg_buf_init(&b, 128);
    tg_buf_i64_text(&b, user_id);
    tg_buf_str(&b, ":AA");
    for (int k = 0; k < 33; k++)
        tg_buf_byte(&b, (uint8_t)alphabet[sim_below(&r, 64)]);
    ret = b.failed ? NULL : tg_arena_copy(&w->arena, b.data, b.len);
    tg_buf_done(&b);
    return ret;
}

static tg_code make_accounts(struct sim_world *w, struct tg_error *err)
{
    w->n_accounts = TG_COUNT(account_rows);
    w->account = calloc(w->n_accounts, sizeof *w->account);
    if (!w->account)
        return tg_fail(err, TG_NOMEM, "out of memory for the world");
    for (uint32_t i = 0; i < w->n_accounts; i++) {
        struct sim_account *a = &w->account[i];

        *a = (struct sim_account){ .user_id = sim_user_id(w, i),
                                   .phone = account_rows[i].phone,
                                   .code = account_rows[i].code,
                                   .password = account_rows[i].password,
                                   .home_dc = account_rows[i].home_dc };
        if (!account_rows[i].bot) {
            w->person[w->n_persons++] = i;
            continue;
        }
        a->bot_token = bot_token(w, a->user_id, i);
        if (!a->bot_token)
            return tg_fail(err, TG_NOMEM, "out of memory for the world");
    }
    return TG_OK;
}

size_t sim_world_accounts(const struct sim_world *w)
{
    return w->n_accounts;
}

const struct sim_account *sim_world_account(const struct sim_world *w, size_t i)
{
    assert(i < w->n_accounts);
    return &w->account[i];
}

int64_t sim_world_access_hash(const struct sim_world *w, int64_t account_user_id, int64_t peer_id)
{
    uint64_t h = sim_hash(w->seed ^ (uint64_t)account_user_id * UINT64_C(0x9e3779b97f4a7c15),
                          (uint64_t)peer_id);

    return (int64_t)(h ? h : 1);
}

/* ---- life ---- */

static tg_code check_options(const struct sim_world_options *o, bool import, struct tg_error *err)
{
    if (!import && (o->n_chats < 1 || o->n_chats > CHATS_MAX))
        return tg_fail(err, TG_USAGE, "a world has 1 to %d chats", CHATS_MAX);
    if (o->n_messages > INT32_MAX)
        return tg_fail(err, TG_USAGE, "a chat has at most 2147483647 messages");
    if (o->holes_percent < -1 || o->holes_percent > 99)
        return tg_fail(err, TG_USAGE, "0 to 99 percent of the ids can be deleted");
    return TG_OK;
}

static tg_code start(const struct sim_world_options *options, bool import, struct sim_world **ret,
                     struct tg_error *err)
{
    struct sim_world *w;
    tg_code code = check_options(options, import, err);

    if (code != TG_OK)
        return code;
    w = calloc(1, sizeof *w);
    if (!w)
        return tg_fail(err, TG_NOMEM, "out of memory for the world");
    w->seed = sim_mix(options->seed + 1);
    w->options = *options;
    w->keep = SIM_BLOCK / 100 *
              (100 - (uint32_t)(options->holes_percent < 0 ? 5 : options->holes_percent));
    w->n_users = SIM_POOL;
    tg_arena_init(&w->arena, NAMES_MAX);
    code = make_accounts(w, err);
    if (code != TG_OK) {
        sim_world_free(w);
        return code;
    }
    *ret = w;
    return TG_OK;
}

/* Hands the world over once its chats are in it, or frees it. */
static tg_code finish(struct sim_world *w, tg_code code, struct sim_world **ret,
                      struct tg_error *err)
{
    if (code == TG_OK)
        code = sim_chats_index(w, err);
    if (code == TG_OK)
        *ret = w;
    else
        sim_world_free(w);
    return code;
}

tg_code sim_world_new(const struct sim_world_options *options, struct sim_world **ret,
                      struct tg_error *err)
{
    struct sim_world *w;
    tg_code code = start(options, options->import, &w, err);

    if (code != TG_OK)
        return code;
    if (options->import)
        code = sim_import_load(w, options->import, err);
    else if ((code = sim_patterns_make(w, err)) == TG_OK)
        code = sim_chats_make(w, err);
    return finish(w, code, ret, err);
}

tg_code sim_world_from_json(const struct sim_world_options *options, const char *name,
                            struct tg_str text, struct sim_world **ret, struct tg_error *err)
{
    struct sim_world *w;
    tg_code code = start(options, true, &w, err);

    return code == TG_OK ? finish(w, sim_import_text(w, name, text, err), ret, err) : code;
}

void sim_world_free(struct sim_world *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_chats; i++) {
        free(w->chat[i].topic);
        sim_live_free(w->chat[i].live);
    }
    sim_import_free(w->import);
    free(w->chat);
    free(w->by_id);
    free(w->by_name);
    free(w->pattern);
    free(w->account);
    tg_arena_done(&w->arena);
    free(w);
}

/* ---- finding chats ---- */

static int compare_ids(const void *x, const void *y)
{
    const struct sim_key_id *a = x, *b = y;

    return (a->id > b->id) - (a->id < b->id);
}

static int compare_names(const void *x, const void *y)
{
    const struct sim_key_name *a = x, *b = y;

    return strcasecmp(a->name, b->name);
}

tg_code sim_chats_index(struct sim_world *w, struct tg_error *err)
{
    w->by_id = calloc(w->n_chats + 1, sizeof *w->by_id);
    w->by_name = calloc(w->n_chats + 1, sizeof *w->by_name);
    if (!w->by_id || !w->by_name)
        return tg_fail(err, TG_NOMEM, "out of memory for the world");
    for (uint32_t i = 0; i < w->n_chats; i++) {
        struct sim_chat *chat = &w->chat[i].pub;

        chat->pts = chat->top_id + 1;
        w->by_id[i] = (struct sim_key_id){ chat->marked_id, i };
        if (chat->username)
            w->by_name[w->n_by_name++] = (struct sim_key_name){ chat->username, i };
    }
    qsort(w->by_id, w->n_chats, sizeof *w->by_id, compare_ids);
    qsort(w->by_name, w->n_by_name, sizeof *w->by_name, compare_names);
    for (size_t i = 1; i < w->n_chats; i++) {
        if (w->by_id[i].id == w->by_id[i - 1].id)
            return tg_fail(err, TG_DATA, "two chats have the id %lld", (long long)w->by_id[i].id);
    }
    return TG_OK;
}

size_t sim_world_chats(const struct sim_world *w)
{
    return w->n_chats;
}

const struct sim_chat *sim_world_chat(const struct sim_world *w, size_t i)
{
    assert(i < w->n_chats);
    return &w->chat[i].pub;
}

const struct sim_chat *sim_world_chat_by_id(const struct sim_world *w, int64_t marked_id)
{
    const struct sim_key_id key = { .id = marked_id };
    const struct sim_key_id *found =
        bsearch(&key, w->by_id, w->n_chats, sizeof *w->by_id, compare_ids);

    return found ? &w->chat[found->index].pub : NULL;
}

static int compare_name(struct tg_str name, const char *with)
{
    int order = strncasecmp(name.at, with, name.len);

    return order ? order : -(with[name.len] != 0);
}

const struct sim_chat *sim_world_chat_by_username(const struct sim_world *w, struct tg_str name)
{
    size_t low = 0, high = w->n_by_name;

    if (name.len && name.at[0] == '@') {
        name.at++;
        name.len--;
    }
    if (name.len == 0)
        return NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_name(name, w->by_name[middle].name);

        if (order == 0)
            return &w->chat[w->by_name[middle].index].pub;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool sim_world_member(const struct sim_world *w, const struct sim_account *a,
                      const struct sim_chat *chat)
{
    const struct sim_chat_in *c = sim_in(w, chat);

    if (chat->kind == SIM_LEFT_CHANNEL || c->closed)
        return false;
    return c->owner < 0 || a == &w->account[c->owner];
}

const struct sim_chat *sim_world_migrated_to(const struct sim_world *w, const struct sim_chat *chat)
{
    int64_t to = sim_in(w, chat)->migrated_to;

    return to < 0 ? NULL : &w->chat[to].pub;
}

const struct sim_account *sim_world_owner(const struct sim_world *w, const struct sim_chat *chat)
{
    int owner = sim_in(w, chat)->owner;

    return owner < 0 ? NULL : &w->account[owner];
}

void sim_world_ids(const struct sim_world *w, const struct sim_chat *chat,
                   void (*seen)(void *ctx, int64_t id), void *ctx)
{
    for (uint64_t i = 0; i < chat->n_messages; i++)
        seen(ctx, sim_world_select(w, chat, i));
}
