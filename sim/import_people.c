/* SPDX-License-Identifier: MIT */
/*
 * import_people.c - whom an exported message names, what they are called, and finding messages
 *
 * Threads: none
 */
#include <assert.h>
#include <stdlib.h>

#include "sim/import_int.h"

/* ---- ids ---- */

int64_t sim_import_named_id(const char *name)
{
    uint64_t h = 0x4a3e;

    for (; *name; name++)
        h = sim_hash(h, (uint8_t)*name);
    return INT64_C(400000000000) + (int64_t)(h % 500000000000);
}

/* ---- everybody in a message ---- */

static void see(const json_t *o, const char *id_key, const char *name_key, sim_import_seen seen,
                void *ctx)
{
    int64_t id = tg_export_peer(json_object_get(o, id_key));
    const json_t *name = json_object_get(o, name_key);

    if (id) /* a null name is that of a deleted account */
        seen(ctx, id, json_is_null(name) ? "" : json_string_value(name));
}

static void see_named(const json_t *v, sim_import_seen seen, void *ctx)
{
    const char *name = json_string_value(v);

    if (name && *name)
        seen(ctx, sim_import_named_id(name), name);
}

static void see_parts(const json_t *list, sim_import_seen seen, void *ctx)
{
    const json_t *part;
    size_t i;

    json_array_foreach((json_t *)(uintptr_t)list, i, part) {
        if (json_is_object(part) && json_object_get(part, "user_id"))
            see(part, "user_id", "text", seen, ctx);
    }
}

void sim_import_people(const json_t *message, sim_import_seen seen, void *ctx)
{
    const json_t *list, *item, *recent;
    size_t i, k;

    see(message, "from_id", "from", seen, ctx);
    see(message, "actor_id", "actor", seen, ctx);
    see(message, "forwarded_from_id", "forwarded_from", seen, ctx);
    see(message, "saved_from_id", "saved_from", seen, ctx);
    see(message, "reply_to_peer_id", "", seen, ctx);
    see_named(json_object_get(message, "via_bot"), seen, ctx);
    see_named(json_object_get(message, "inviter"), seen, ctx);
    see_parts(json_object_get(message, "text"), seen, ctx);
    see_parts(json_object_get(message, "text_entities"), seen, ctx);
    list = json_object_get(message, "members");
    json_array_foreach((json_t *)(uintptr_t)list, i, item)
        see_named(item, seen, ctx);
    list = json_object_get(message, "reactions");
    json_array_foreach((json_t *)(uintptr_t)list, i, item) {
        recent = json_object_get(item, "recent");
        json_array_foreach((json_t *)(uintptr_t)recent, k, item)
            see(item, "from_id", "from", seen, ctx);
    }
}

/* ---- names ---- */

static struct sim_import_name *name_slot(const struct sim_import *imp, int64_t id)
{
    size_t i = sim_mix((uint64_t)id) & (imp->cap_names - 1);

    while (imp->name[i].id && imp->name[i].id != id)
        i = (i + 1) & (imp->cap_names - 1);
    return &imp->name[i];
}

static bool grow_names(struct sim_import *imp)
{
    struct sim_import next = { .cap_names = imp->cap_names ? imp->cap_names * 2 : 256 };

    next.name = calloc(next.cap_names, sizeof *next.name);
    if (!next.name)
        return false;
    for (size_t i = 0; i < imp->cap_names; i++) {
        if (imp->name[i].id)
            *name_slot(&next, imp->name[i].id) = imp->name[i];
    }
    free(imp->name);
    imp->name = next.name;
    imp->cap_names = next.cap_names;
    return true;
}

bool sim_import_name_add(struct sim_import *imp, int64_t marked_id, const char *name)
{
    struct sim_import_name *slot;

    assert(marked_id);
    if (imp->n_names * 2 >= imp->cap_names && !grow_names(imp))
        return false;
    slot = name_slot(imp, marked_id);
    if (slot->id && (*slot->name || !name || !*name))
        return true;
    if (!slot->id) {
        slot->id = marked_id;
        slot->name = "";
        imp->n_names++;
    }
    if (!name || !*name)
        return true;
    slot->name = tg_arena_copy(&imp->arena, name, strlen(name));
    if (!slot->name)
        slot->name = "";
    return *slot->name != 0;
}

const char *sim_import_peer_name(const struct sim_import *imp, int64_t marked_id)
{
    const struct sim_import_name *slot;

    if (!imp->cap_names || !marked_id)
        return NULL;
    slot = name_slot(imp, marked_id);
    return slot->id ? slot->name : NULL;
}

struct tl_value *sim_import_chat_value(const struct sim_world *w, const struct sim_account *viewer,
                                       int64_t marked_id, struct tg_arena *arena)
{
    const char *name = sim_import_peer_name(w->import, marked_id);
    struct tl_value *o;

    if (!name)
        return NULL;
    if (marked_id > -SIM_CHANNEL_BASE) {
        o = tl_obj(arena, TLN_chatForbidden);
        tl_set_long(o, TLN_id, -marked_id);
    } else {
        o = tl_obj(arena, TLN_channel);
        tl_set_true(o, TLN_left, true);
        tl_set_true(o, TLN_broadcast, true);
        tl_set_long(o, TLN_id, -SIM_CHANNEL_BASE - marked_id);
        tl_set_long(o, TLN_access_hash, sim_world_access_hash(w, viewer->user_id, marked_id));
        tl_set_new(o, TLN_photo, TLN_chatPhotoEmpty);
    }
    tl_set_cstr(o, TLN_title, name);
    return o;
}

/* ---- finding messages ---- */

uint64_t sim_import_rank(const struct sim_import_chat *c, int64_t id)
{
    size_t low = 0, high = c->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (c->item[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int64_t sim_import_find(const struct sim_import_chat *c, int64_t id)
{
    uint64_t i = sim_import_rank(c, id);

    return i < c->n && c->item[i].id == id ? (int64_t)i : -1;
}

int64_t sim_import_select(const struct sim_import_chat *c, uint64_t n)
{
    return n < c->n ? c->item[n].id : 0;
}

int64_t sim_import_date(const struct sim_import_chat *c, int64_t id)
{
    uint64_t i = sim_import_rank(c, id);

    if (c->n == 0)
        return SIM_EPOCH;
    return c->item[TG_MIN(i, c->n - 1)].date;
}
