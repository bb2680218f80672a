/* SPDX-License-Identifier: MIT */
/*
 * rpc_files.c - upload.getFile: pieces of the world's files
 *
 * A file is a pure function of its id. It lives in the DC that its document or photo named;
 * the other one answers FILE_MIGRATE. Offsets and limits follow the rules of
 * core.telegram.org/api/files#downloading-files.
 *
 * Threads: none
 */
#include "crypto/hash.h"
#include "sim/rpc.h"
#include "sim/targets.h"

enum {
    PIECE = 4096,
    PIECE_PRECISE = 1024,
    BLOCK = 1 << 20,
    HASH_PIECE = 128 << 10, /* bytes that one fileHash covers */
    HASHES = 8,
    REFERENCE = 21,
};

static int dc_of(int64_t file_id)
{
    return 1 + (int)(file_id >> 13 & 1);
}

static int64_t part_max(const struct sim_call *c)
{
    return c->core->faults.part_max ? TG_MIN(c->core->faults.part_max, (int64_t)BLOCK) : BLOCK;
}

bool sim_file_range_ok(struct sim_call *c, const struct tl_value *q)
{
    int64_t offset = tl_get_long(q, TLN_offset, 0);
    int64_t limit = tl_get_int(q, TLN_limit, 0);
    bool precise = tl_get_bool(q, TLN_precise);
    int64_t unit = precise ? PIECE_PRECISE : PIECE;

    if (offset < 0 || offset % unit)
        return sim_fail(c, "OFFSET_INVALID");
    if (limit <= 0 || limit % unit || limit > part_max(c) || (!precise && BLOCK % limit))
        return sim_fail(c, "LIMIT_INVALID");
    if (offset / BLOCK != (offset + limit - 1) / BLOCK)
        return sim_fail(c, "LIMIT_INVALID");
    return true;
}

static bool reference_ok(struct sim_call *c, const struct tl_value *location)
{
    struct tg_str reference = tl_get_str(location, TLN_file_reference);
    int64_t life_s = c->core->faults.reference_life_s;

    if (reference.len == 0)
        return sim_fail(c, "FILE_REFERENCE_EMPTY");
    if (reference.len != REFERENCE || reference.at[0] != 2)
        return sim_fail(c, "FILE_REFERENCE_INVALID");
    if (sim_faults_hit(&c->core->faults, SIM_FAULT_FILE_REFERENCE) ||
        (life_s && tg_le32((const uint8_t *)reference.at + 17) + life_s <= c->now_s))
        return sim_fail(c, "FILE_REFERENCE_EXPIRED");
    return true;
}

/* @return the id of the file, or of its thumbnail; 0 with the call failed */
static int64_t document_file(struct sim_call *c, const struct tl_value *location)
{
    const struct sim_world *w = c->core->world;
    int64_t id = tl_get_long(location, TLN_id, 0);
    struct tg_str thumb = tl_get_str(location, TLN_thumb_size);

    if (!sim_world_is_file(id) ||
        tl_get_long(location, TLN_access_hash, 0) !=
            sim_world_access_hash(w, c->me->user_id, id)) {
        sim_fail(c, "FILE_ID_INVALID");
        return 0;
    }
    if (!reference_ok(c, location))
        return 0;
    if (dc_of(id) != c->request->dc) {
        sim_fail_number(c, "FILE_MIGRATE", dc_of(id));
        return 0;
    }
    if (thumb.len == 0)
        return id;
    id = sim_world_file_thumb(id, thumb.at[0]);
    if (id == 0 || thumb.len != 1) {
        sim_fail(c, "LOCATION_INVALID");
        return 0;
    }
    return id;
}

static int64_t peer_photo_file(struct sim_call *c, const struct tl_value *location)
{
    int64_t id = tl_get_long(location, TLN_photo_id, 0);
    struct sim_target t;

    if (!sim_target_peer(c, tl_get_obj(location, TLN_peer), &t))
        return 0;
    if (!sim_world_is_file(id)) {
        sim_fail(c, "PHOTO_ID_INVALID");
        return 0;
    }
    return tl_get_bool(location, TLN_big) ? id : sim_world_file_thumb(id, 's');
}

static int64_t file_of(struct sim_call *c, const struct tl_value *location)
{
    switch (tl_name(location)) {
    case TLN_inputDocumentFileLocation:
    case TLN_inputPhotoFileLocation:
        return document_file(c, location);
    case TLN_inputPeerPhotoFileLocation:
        return peer_photo_file(c, location);
    default:
        sim_fail(c, "LOCATION_INVALID");
        return 0;
    }
}

struct tl_value *sim_upload_get_file(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    int64_t offset = tl_get_long(q, TLN_offset, 0);
    int64_t limit = tl_get_int(q, TLN_limit, 0);
    const struct tl_value *location = tl_get_obj(q, TLN_location);
    struct tl_value *v;
    int64_t id, n;
    uint8_t *bytes;

    if (!sim_file_range_ok(c, q))
        return NULL;
    id = file_of(c, location);
    if (!id)
        return NULL;
    if (tl_get_bool(q, TLN_cdn_supported) && sim_cdn_has(c, id))
        return sim_cdn_redirect(c, id, offset);
    n = TG_MAX(0, TG_MIN(limit, sim_world_file_size(w, id) - offset));
    bytes = tg_arena_bytes(c->arena, (size_t)TG_MAX(n, 1));
    if (!bytes)
        return sim_fail_code(c, 500, "MEMORY_LIMIT");
    sim_world_file_bytes(w, id, offset, bytes, (size_t)n);
    v = tl_obj(c->arena, TLN_upload_file);
    tl_set_new(v, TLN_type, TLN_storage_filePartial);
    tl_set_int(v, TLN_mtime, 0);
    tl_set_bytes(v, TLN_bytes, bytes, (size_t)n);
    return v;
}

static void add_hash(struct sim_call *c, struct tl_value *list, int64_t id, int64_t offset)
{
    const struct sim_world *w = c->core->world;
    int64_t n = TG_MIN((int64_t)HASH_PIECE, sim_world_file_size(w, id) - offset);
    uint8_t *bytes = tg_arena_bytes(c->arena, (size_t)n);
    struct tl_value *row = tl_add_new(list, TLN_fileHash);
    uint8_t hash[TG_SHA256] = { 0 };

    if (bytes) {
        sim_world_file_bytes(w, id, offset, bytes, (size_t)n);
        tg_sha256(hash, bytes, (size_t)n);
    }
    tl_set_long(row, TLN_offset, offset);
    tl_set_int(row, TLN_limit, (int32_t)n);
    tl_set_copy(row, TLN_hash, hash, sizeof hash);
}

void sim_file_add_hashes(struct sim_call *c, struct tl_value *list, int64_t id, int64_t offset)
{
    offset -= offset % HASH_PIECE;
    for (int i = 0; i < HASHES && offset < sim_world_file_size(c->core->world, id); i++) {
        add_hash(c, list, id, offset);
        offset += HASH_PIECE;
    }
}

struct tl_value *sim_file_hashes(struct sim_call *c, int64_t id, int64_t offset)
{
    struct tl_value *list = tl_vector(c->arena);

    if (offset < 0)
        return sim_fail(c, "OFFSET_INVALID");
    sim_file_add_hashes(c, list, id, offset);
    return list;
}

struct tl_value *sim_upload_get_hashes(struct sim_call *c, const struct tl_value *q)
{
    int64_t id = file_of(c, tl_get_obj(q, TLN_location));

    return id ? sim_file_hashes(c, id, tl_get_long(q, TLN_offset, 0)) : NULL;
}
