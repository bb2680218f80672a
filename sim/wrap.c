/* SPDX-License-Identifier: MIT */
/*
 * wrap.c - peels the wrappers off a query, in any nesting
 *
 * A wrapper is a function whose last field is a query of any kind: its other fields are read in
 * place and the reader is left on the query. What is inside invokeWithLayer is read by that layer's
 * table. Wrappers that mean nothing here (of business connections, of app stores) are peeled too.
 * Fact: core.telegram.org/api/invoking.
 *
 * Threads: none      Limits: 16 wrappers
 */
#include "sim/core.h"
#include "tl/walk.h"

#include <stdio.h>

enum { WRAPPERS_MAX = 16 };

static bool failed_before(const struct sim_key *key, uint64_t msg_id)
{
    for (size_t i = 0; i < TG_COUNT(key->failed); i++) {
        if (key->failed[i] == msg_id && msg_id)
            return true;
    }
    return false;
}

static void copy_text(char *to, size_t size, struct tg_str text)
{
    snprintf(to, size, "%.*s", (int)TG_MIN(text.len, (uint32_t)size), text.at ? text.at : "");
}

static void take_init(struct sim_call *c, const struct tl_object *o)
{
    c->wraps.inited = true;
    c->key->api_id = tl_field_i32(o, TLN_api_id, 0);
    copy_text(c->key->device, sizeof c->key->device, tl_field_str(o, TLN_device_model));
    copy_text(c->key->system, sizeof c->key->system, tl_field_str(o, TLN_system_version));
    copy_text(c->key->version, sizeof c->key->version, tl_field_str(o, TLN_app_version));
}

static void take_range(struct sim_call *c, const struct tl_object *o)
{
    struct tl_object range;

    if (!tl_field_object(o, TLN_range, &range))
        return;
    c->wraps.ranged = true;
    c->wraps.range_min = tl_field_i32(&range, TLN_min_id, 0);
    c->wraps.range_max = tl_field_i32(&range, TLN_max_id, 0);
}

static void take_after(struct sim_call *c, const struct tl_object *o)
{
    struct tl_reader r;
    uint32_t n;

    if (o->ctor->name == TLN_invokeAfterMsg) {
        c->wraps.after_failed |= failed_before(c->key, (uint64_t)tl_field_i64(o, TLN_msg_id, 0));
        return;
    }
    n = tl_field_vector(o, TLN_msg_ids, &r);
    while (n--)
        c->wraps.after_failed |= failed_before(c->key, (uint64_t)tl_read_i64(&r));
}

/* @return false if the layer is one that cannot be served */
static bool take_layer(struct sim_call *c, const struct tl_object *o)
{
    const struct tl_schema *schema;

    c->wraps.layer_named = true;
    c->wraps.layer = tl_field_i32(o, TLN_layer, 0);
    schema = sim_core_schema(c->core, c->wraps.layer);
    if (!schema) {
        sim_fail(c, "CONNECTION_LAYER_INVALID");
        return false;
    }
    c->schema = schema;
    return true;
}

static bool take(struct sim_call *c, const struct tl_object *o)
{
    switch (o->ctor->name) {
    case TLN_invokeWithLayer:
        return take_layer(c, o);
    case TLN_initConnection:
        take_init(c, o);
        return true;
    case TLN_invokeWithoutUpdates:
        c->wraps.no_updates = true;
        return true;
    case TLN_invokeWithTakeout:
        c->wraps.takeout = true;
        c->wraps.takeout_id = tl_field_i64(o, TLN_takeout_id, 0);
        return true;
    case TLN_invokeWithMessagesRange:
        take_range(c, o);
        return true;
    case TLN_invokeAfterMsg:
    case TLN_invokeAfterMsgs:
        take_after(c, o);
        return true;
    default:
        return true;
    }
}

/* @return number of the field that is the wrapped query, -1 if it is no wrapper */
static int query_field(const struct tl_schema *s, const struct tl_ctor *ctor)
{
    const struct tl_field *field = tl_ctor_fields(s, ctor);
    int last = ctor->n_fields - 1;

    if (!ctor->is_function || last < 0 || field[last].kind != TL_KIND_ANY)
        return -1;
    return last;
}

bool sim_unwrap(struct sim_call *c, struct tl_reader *r)
{
    for (int i = 0; i < WRAPPERS_MAX; i++) {
        const struct tl_schema *s = sim_core_schema_of(c->core, c->schema, tl_peek_u32(r));
        const struct tl_ctor *ctor = s ? tl_ctor_by_id(s, tl_peek_u32(r)) : NULL;
        struct tl_object o;
        int query;

        if (!ctor)
            return true;
        query = query_field(s, ctor);
        if (query < 0)
            return true;
        if (!tl_object_open_until(s, r, query - 1, &o))
            return false;
        r->at = o.end;
        if (!take(c, &o))
            return false;
    }
    return false;
}
