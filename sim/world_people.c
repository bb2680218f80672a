/* SPDX-License-Identifier: MIT */
/*
 * world_people.c - users and foreign channels: everything about them is drawn from their number
 *
 * The first numbers are the accounts, then a pool that groups draw their members from, then one
 * partner for each private chat. An id is a number spread out, so that it can be turned back.
 *
 * Threads: none      Limits: about 23,000 users
 */
#include <assert.h>
#include <stdio.h>

#include "sim/import.h"
#include "sim/world_int.h"

enum { ID_FIRST = 10000000, ID_STEP = 300007, FOREIGN_FIRST = 1000000000, FOREIGN_STEP = 997 };

static const char *const first_names[SIM_SCRIPTS][8] = {
    [SIM_ENGLISH] = { "Alice", "Ben", "Carol", "David", "Erin", "Frank", "Grace", "O'Neill" },
    [SIM_SPANISH] = { "Lucía", "José", "Zoë", "Jürgen", "Inês", "Núria", "François", "Łukasz" },
    [SIM_RUSSIAN] = { "Анна", "Борис", "Вера", "Глеб", "Дарья", "Егор", "Ольга", "Юрий" },
    [SIM_ARABIC] = { "أحمد", "فاطمة", "محمد", "ليلى", "يوسف", "مريم", "سارة", "خالد" },
    [SIM_CHINESE] = { "伟", "芳", "娜", "敏", "静", "磊", "洋", "艳" },
};

static const char *const last_names[SIM_SCRIPTS][6] = {
    [SIM_ENGLISH] = { "Archer", "Brook", "Carter", "Dale", "Ellis", "\"Ace\" Ford" },
    [SIM_SPANISH] = { "García", "Muñoz", "Peña", "Müller", "Gonçalves", "Dvořák" },
    [SIM_RUSSIAN] = { "Соколов", "Орлова", "Лебедь", "Зимин", "Рощин", "Ёлкин" },
    [SIM_ARABIC] = { "حسن", "علي", "منصور", "سالم", "ناصر", "عمر" },
    [SIM_CHINESE] = { "王", "李", "张", "刘", "陈", "杨" },
};

static const char *const places[SIM_SCRIPTS][8] = {
    [SIM_ENGLISH] = { "Harbour", "River", "Northern", "Open", "City", "Market", "Weather", "Data" },
    [SIM_SPANISH] = { "Plaza", "Café", "Ciudad", "Año Nuevo", "Puerto", "Niños", "Über", "Façade" },
    [SIM_RUSSIAN] = { "Город", "Рынок", "Погода", "Утро", "Книги", "Поезда", "Новости", "Дом" },
    [SIM_ARABIC] = { "أخبار", "مدينة", "سوق", "كتب", "صور", "طقس", "سفر", "علوم" },
    [SIM_CHINESE] = { "今日", "城市", "市场", "天气", "读书", "摄影", "旅行", "科技" },
};

static const char *const things[SIM_SCRIPTS][6] = {
    [SIM_ENGLISH] = { "News", "Chat", "Watch", "Engineers", "& Friends", "\xf0\x9f\x93\xa3" },
    [SIM_SPANISH] = { "hoy", "amigos", "24h", "viajes", "música", "\xf0\x9f\x8e\xb6" },
    [SIM_RUSSIAN] = { "сегодня", "чат", "и друзья", "24", "обзор", "\xf0\x9f\x94\xa5" },
    [SIM_ARABIC] = { "اليوم", "العرب", "الجديد", "٢٤", "عاجل", "الأصدقاء" },
    [SIM_CHINESE] = { "新闻", "群", "日报", "频道", "讨论", "朋友" },
};

static uint64_t draw(const struct sim_world *w, uint32_t k)
{
    return sim_hash(w->seed ^ 0x9e091e, k);
}

static uint8_t script_of(uint64_t h)
{
    return (uint8_t)((h & 15) < 6 ? SIM_ENGLISH : (h >> 4) % SIM_SCRIPTS);
}

static const char *join(const char *a, const char *b, struct tg_arena *arena)
{
    char text[128];
    int n = snprintf(text, sizeof text, "%s%s%s", a, *b ? " " : "", b);

    assert(n > 0 && (size_t)n < sizeof text);
    return tg_arena_copy(arena, text, (size_t)n);
}

const char *sim_title(uint64_t salt, uint8_t script, struct tg_arena *arena)
{
    uint64_t h = sim_hash(salt, 0x7171e);

    return join(places[script][h & 7], things[script][(h >> 8) % 6], arena);
}

/* ---- numbers and ids ---- */

int64_t sim_user_id(const struct sim_world *w, uint32_t k)
{
    return ID_FIRST + (int64_t)k * ID_STEP + (int64_t)(draw(w, k) >> 40) % ID_STEP;
}

int64_t sim_user_number(const struct sim_world *w, int64_t user_id)
{
    int64_t k = (user_id - ID_FIRST) / ID_STEP;

    if (user_id < ID_FIRST || k >= w->n_users || sim_user_id(w, (uint32_t)k) != user_id)
        return -1;
    return k;
}

bool sim_user_is_bot(const struct sim_world *w, uint32_t k)
{
    return k < w->n_accounts ? w->account[k].bot_token != NULL : k < SIM_POOL && k % 25 == 7;
}

static bool is_deleted(const struct sim_world *w, uint32_t k)
{
    return k >= w->n_accounts && k % 29 == 11 && !sim_user_is_bot(w, k);
}

uint32_t sim_member(const struct sim_world *w, const struct sim_chat_in *c, uint32_t slot)
{
    if (c->owner >= 0 && slot == 0)
        return (uint32_t)c->owner;
    if (c->pub.kind == SIM_PRIVATE)
        return (uint32_t)sim_user_number(w, c->pub.id);
    if (c->owner < 0 && slot < w->n_persons)
        return w->person[slot];
    return (uint32_t)w->n_accounts +
           (uint32_t)(sim_hash(c->salt ^ 0x3e3be4, slot) % (SIM_POOL - w->n_accounts));
}

const char *sim_user_name(const struct sim_world *w, uint32_t k, struct tg_arena *arena)
{
    uint64_t h = draw(w, k);
    uint8_t script = script_of(h);

    if (is_deleted(w, k))
        return tg_arena_copy(arena, "Deleted Account", 15);
    return join(first_names[script][h >> 8 & 7],
                (h >> 16 & 7) < 5 ? last_names[script][(h >> 20) % 6] : "", arena);
}

const char *sim_user_username(const struct sim_world *w, uint32_t k, struct tg_arena *arena)
{
    uint64_t h = draw(w, k);
    char text[32];
    int n;

    if (sim_user_is_bot(w, k))
        n = snprintf(text, sizeof text, "sim_%u_bot", k);
    else if ((h >> 28 & 7) < 4 && !is_deleted(w, k))
        n = snprintf(text, sizeof text, "sim_user_%u", k);
    else
        return NULL;
    return tg_arena_copy(arena, text, (size_t)n);
}

int64_t sim_world_user_by_username(const struct sim_world *w, struct tg_str name)
{
    struct tg_arena arena;
    char text[40];
    unsigned k;
    int64_t ret = 0;
    const char *own;

    if (name.len >= sizeof text)
        return 0;
    memcpy(text, name.at, name.len);
    text[name.len] = 0;
    if (sscanf(text, "%*[@]sim_user_%5u", &k) != 1 && sscanf(text, "sim_user_%5u", &k) != 1 &&
        sscanf(text, "sim_%5u_bot", &k) != 1)
        return 0;
    tg_arena_init(&arena, 1 << 16);
    own = k < w->n_users ? sim_user_username(w, k, &arena) : NULL;
    if (own && strcmp(own, text + (text[0] == '@')) == 0)
        ret = sim_user_id(w, k);
    tg_arena_done(&arena);
    return ret;
}

/* ---- users as objects ---- */

static void set_photo(struct tl_value *u, uint64_t h, struct tg_arena *arena)
{
    struct tl_value *photo = tl_set_new(u, TLN_photo, TLN_userProfilePhoto);

    tl_set_long(photo, TLN_photo_id, sim_file_id(h, SIM_FILE_PHOTO));
    if (h >> 50 & 3)
        sim_set_stripped(photo, TLN_stripped_thumb, h, arena);
    tl_set_int(photo, TLN_dc_id, 1 + (int32_t)(h >> 51 & 1));
}

static void set_status(struct tl_value *u, uint64_t h)
{
    struct tl_value *status;

    switch (h >> 32 & 7) {
    case 0:
        status = tl_set_new(u, TLN_status, TLN_userStatusOnline);
        tl_set_int(status, TLN_expires, (int32_t)(SIM_NOW + 300));
        break;
    case 1:
    case 2:
        status = tl_set_new(u, TLN_status, TLN_userStatusOffline);
        tl_set_int(status, TLN_was_online, (int32_t)(SIM_NOW - (int64_t)(h >> 40 & 0xffff)));
        break;
    case 3:
        tl_set_new(u, TLN_status, TLN_userStatusLastWeek);
        break;
    case 4:
        tl_set_new(u, TLN_status, TLN_userStatusLastMonth);
        break;
    default:
        tl_set_new(u, TLN_status, TLN_userStatusRecently);
        break;
    }
}

static void set_bot(struct tl_value *u, uint32_t k)
{
    tl_set_true(u, TLN_bot, true);
    tl_set_true(u, TLN_bot_chat_history, k % 2 == 0);
    tl_set_int(u, TLN_bot_info_version, 3 + (int32_t)(k % 20));
    if (k % 3 == 0)
        tl_set_cstr(u, TLN_bot_inline_placeholder, "Search\xe2\x80\xa6");
}

static void set_names(struct tl_value *u, const struct sim_world *w, uint32_t k,
                      struct tg_arena *arena)
{
    uint64_t h = draw(w, k);
    uint8_t script = script_of(h);
    const char *username = sim_user_username(w, k, arena);

    tl_set_cstr(u, TLN_first_name, first_names[script][h >> 8 & 7]);
    if ((h >> 16 & 7) < 5)
        tl_set_cstr(u, TLN_last_name, last_names[script][(h >> 20) % 6]);
    if (!username)
        return;
    if (k % 41 == 3) { /* several names, bought ones: then the plain field is absent */
        struct tl_value *list = tl_set_vector(u, TLN_usernames), *name;

        name = tl_add_new(list, TLN_username);
        tl_set_true(name, TLN_editable, true);
        tl_set_true(name, TLN_active, true);
        tl_set_cstr(name, TLN_username, username);
        name = tl_add_new(list, TLN_username);
        tl_set_true(name, TLN_active, true);
        tl_set_cstr(name, TLN_username, "gold");
    } else {
        tl_set_cstr(u, TLN_username, username);
    }
}

/* What only full objects have; a min user is one that the viewer knows from a message alone. */
static void set_known(struct tl_value *u, const struct sim_world *w,
                      const struct sim_account *viewer, uint32_t k)
{
    uint64_t h = draw(w, k);
    bool self = k < w->n_accounts && viewer == &w->account[k];

    tl_set_true(u, TLN_self, self);
    tl_set_true(u, TLN_contact, !self && k >= SIM_POOL && k % 3 == 0);
    tl_set_true(u, TLN_mutual_contact, !self && k >= SIM_POOL && k % 6 == 0);
    if (self && *viewer->phone)
        tl_set_cstr(u, TLN_phone, viewer->phone);
    tl_set_true(u, TLN_premium, (h >> 44 & 7) == 0);
    tl_set_true(u, TLN_verified, k % 211 == 17);
    tl_set_true(u, TLN_scam, k % 499 == 5);
    tl_set_true(u, TLN_fake, k % 503 == 6);
    if ((h >> 44 & 31) == 0) {
        struct tl_value *status = tl_set_new(u, TLN_emoji_status, TLN_emojiStatus);

        tl_set_long(status, TLN_document_id, sim_file_id(h ^ 1, SIM_FILE_STICKER));
    }
    if (!sim_user_is_bot(w, k))
        set_status(u, h);
}

static struct tl_value *imported_user(const struct sim_world *w, const struct sim_account *viewer,
                                      int64_t user_id, struct tg_arena *arena)
{
    const char *name = w->import ? sim_import_peer_name(w->import, user_id) : NULL;
    struct tl_value *u = tl_obj(arena, name ? TLN_user : TLN_userEmpty);

    tl_set_long(u, TLN_id, user_id);
    if (!name)
        return u;
    tl_set_long(u, TLN_access_hash, sim_world_access_hash(w, viewer->user_id, user_id));
    tl_set_true(u, TLN_self, user_id == viewer->user_id);
    if (user_id == viewer->user_id && *viewer->phone)
        tl_set_cstr(u, TLN_phone, viewer->phone);
    if (*name)
        tl_set_cstr(u, TLN_first_name, name);
    else
        tl_set_true(u, TLN_deleted, true);
    return u;
}

struct tl_value *sim_world_user(const struct sim_world *w, const struct sim_account *viewer,
                                int64_t user_id, struct tg_arena *arena)
{
    int64_t k = sim_user_number(w, user_id);
    struct tl_value *u;

    if (k < 0 || (w->import && sim_import_peer_name(w->import, user_id)))
        return imported_user(w, viewer, user_id, arena);
    u = tl_obj(arena, TLN_user);
    tl_set_long(u, TLN_id, user_id);
    tl_set_long(u, TLN_access_hash, sim_world_access_hash(w, viewer->user_id, user_id));
    if (is_deleted(w, (uint32_t)k)) {
        tl_set_true(u, TLN_deleted, true);
        return u;
    }
    set_names(u, w, (uint32_t)k, arena);
    if (draw(w, (uint32_t)k) >> 47 & 3)
        set_photo(u, draw(w, (uint32_t)k), arena);
    if (sim_user_is_bot(w, (uint32_t)k))
        set_bot(u, (uint32_t)k);
    if (k >= (int64_t)w->n_accounts && k < SIM_POOL && k % 31 == 13) {
        tl_set_true(u, TLN_min, true);
        tl_set_true(u, TLN_apply_min_photo, k % 2 == 0);
    } else {
        set_known(u, w, viewer, (uint32_t)k);
    }
    return u;
}

/* ---- foreign channels ---- */

int64_t sim_foreign_id(uint32_t f)
{
    return -SIM_CHANNEL_BASE - FOREIGN_FIRST - (int64_t)f * FOREIGN_STEP;
}

int64_t sim_foreign_number(int64_t marked_id)
{
    int64_t x = -SIM_CHANNEL_BASE - FOREIGN_FIRST - marked_id;

    return x < 0 || x % FOREIGN_STEP || x / FOREIGN_STEP >= SIM_FOREIGN ? -1 : x / FOREIGN_STEP;
}

struct tl_value *sim_foreign_value(const struct sim_world *w, const struct sim_account *viewer,
                                   uint32_t f, struct tg_arena *arena)
{
    struct tl_value *o = tl_obj(arena, TLN_channel);
    uint64_t h = sim_hash(w->seed ^ 0xf04e, f);
    char name[32];
    int n = snprintf(name, sizeof name, "sim_foreign_%u", f);

    tl_set_true(o, TLN_left, true);
    tl_set_true(o, f % 4 == 3 ? TLN_megagroup : TLN_broadcast, true);
    tl_set_true(o, TLN_min, f % 8 == 5);
    tl_set_true(o, TLN_verified, f % 16 == 1);
    tl_set_long(o, TLN_id, -SIM_CHANNEL_BASE - sim_foreign_id(f));
    tl_set_long(o, TLN_access_hash,
                sim_world_access_hash(w, viewer->user_id, sim_foreign_id(f)));
    tl_set_cstr(o, TLN_title, sim_title(h, script_of(h), arena));
    if (f % 3)
        tl_set_copy(o, TLN_username, name, (size_t)n);
    tl_set_new(o, TLN_photo, TLN_chatPhotoEmpty);
    tl_set_int(o, TLN_date, (int32_t)(SIM_EPOCH + (int64_t)(h & 0x7ffffff)));
    return o;
}
