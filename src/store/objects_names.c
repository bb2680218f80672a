/* SPDX-License-Identifier: MIT */
/*
 * objects_names.c - what there is of each shape; see objects.h
 */
#include <stdio.h>

#include "store/objects_impl.h"

tg_code tg_objects_note(struct tg_objects *s, const char *what, const char *kind,
                        struct tg_error *err)
{
    struct object_name name;
    char kinds[16];

    snprintf(kinds, sizeof kinds, "kind/%s", what);
    tg_object_name(&name, kinds, kind, NULL);
    return tg_objects_told(s, s->ops->put(s, name.at, NULL, "1", 1, err), err);
}

static tg_code name_leases(struct tg_objects *s, tg_name_seen seen, void *ctx,
                           struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends names;
    struct tg_lease held;
    tg_code code = tg_object_ends(s, "lease/", &names, err);

    tg_object_init(&o);
    tg_object_ends_to_keys(&names);
    for (size_t i = 0; i < names.n && code == TG_OK; i++) {
        code = tg_object_lease(s, names.at[i], &o, &held, err);
        if (code == TG_OK && !seen(ctx, &(struct tg_store_name){ "lease", names.at[i], held.token,
                                                                held.owner, held.expires_us }))
            return TG_END;
    }
    return code;
}

/* Those of one kind: the newest versions in doc/, or the highest numbers in last/. */
static tg_code name_kind(struct tg_objects *s, const char *what, const char *kind,
                         tg_name_seen seen, void *ctx, struct tg_error *err)
{
    TG_CLEANUP(tg_object_done) struct object o;
    TG_CLEANUP(tg_object_ends_done) struct object_ends keys;
    struct object_name prefix;
    tg_code code;

    tg_object_init(&o);
    tg_object_prefix(&prefix, what, kind, NULL);
    code = tg_object_ends(s, prefix.at, &keys, err);
    tg_object_ends_to_keys(&keys);
    for (size_t i = 0; i < keys.n && code == TG_OK; i++) {
        tg_object_name(&o.name, what, kind, keys.at[i]);
        code = tg_object_get(s, &o, err);
        if (code == TG_OK && *o.tag.at &&
            !seen(ctx, &(struct tg_store_name){ kind, keys.at[i], o.number, "", 0 }))
            return TG_END;
    }
    return code;
}

tg_code tg_objects_names(void *self, enum tg_store_shape shape, tg_name_seen seen, void *ctx,
                         struct tg_error *err)
{
    const char *what = shape == TG_STORE_DOCS ? "doc" : "last";
    TG_CLEANUP(tg_object_ends_done) struct object_ends kinds = { .n = 0 };
    char prefix[16];
    tg_code code;

    if (shape == TG_STORE_LEASES) {
        code = name_leases(self, seen, ctx, err);
        return code == TG_END ? TG_OK : code;
    }
    snprintf(prefix, sizeof prefix, "kind/%s/", what);
    code = tg_object_ends(self, prefix, &kinds, err);
    tg_object_ends_to_keys(&kinds);
    for (size_t i = 0; i < kinds.n && code == TG_OK; i++)
        code = name_kind(self, what, kinds.at[i], seen, ctx, err);
    return code == TG_END ? TG_OK : code;
}
