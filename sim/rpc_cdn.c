/* SPDX-License-Identifier: MIT */
/*
 * rpc_cdn.c - files that a CDN delivers: redirections at the file's DC, encrypted bytes at the CDN
 *
 * A token is the file's id and a keyed hash of it. The CDN lacks every file until it was brought
 * there once: it asks the client to have that done. Facts: core.telegram.org/cdn.
 *
 * Threads: none
 */
#include "crypto/aes.h"
#include "crypto/ct.h"
#include "crypto/hash.h"
#include "sim/rpc.h"

enum { TOKEN = 8 + TG_SHA256 };

/* What nobody but this data centre can say of a file. */
static void secret_of(const struct sim_call *c, const char *what, int64_t id,
                      uint8_t ret[TG_SHA256])
{
    int64_t seed = c->core->set->seed;
    struct tg_part part[] = { { what, strlen(what) }, { &seed, sizeof seed }, { &id, sizeof id } };

    tg_sha256_v(ret, part, TG_COUNT(part));
}

static void token_of(const struct sim_call *c, int64_t id, uint8_t ret[TOKEN])
{
    tg_put_le64(ret, (uint64_t)id);
    secret_of(c, "token", id, ret + 8);
}

/* @return the file of a token; 0 with the call failed */
static int64_t file_of(struct sim_call *c, const struct tl_value *q)
{
    struct tg_str said = tl_get_str(q, TLN_file_token);
    uint8_t token[TOKEN];
    int64_t id;

    if (said.len == TOKEN) {
        id = (int64_t)tg_le64((const uint8_t *)said.at);
        token_of(c, id, token);
        if (tg_equal_ct(token, (const uint8_t *)said.at, TOKEN))
            return id;
    }
    sim_fail(c, "FILE_TOKEN_INVALID");
    return 0;
}

bool sim_cdn_has(const struct sim_call *c, int64_t file_id)
{
    uint8_t draw[TG_SHA256];

    secret_of(c, "cdn", file_id, draw);
    return c->core->cdn_rsa && tg_le32(draw) % 100 < (uint64_t)c->core->set->cdn;
}

struct tl_value *sim_cdn_redirect(struct sim_call *c, int64_t file_id, int64_t offset)
{
    struct tl_value *v = tl_obj(c->arena, TLN_upload_fileCdnRedirect);
    uint8_t token[TOKEN], key[TG_SHA256], iv[TG_SHA256];

    token_of(c, file_id, token);
    secret_of(c, "key", file_id, key);
    secret_of(c, "iv", file_id, iv);
    tl_set_int(v, TLN_dc_id, SIM_CDN);
    tl_set_copy(v, TLN_file_token, token, TOKEN);
    tl_set_copy(v, TLN_encryption_key, key, TG_AES_KEY);
    tl_set_copy(v, TLN_encryption_iv, iv, TG_AES_BLOCK);
    sim_file_add_hashes(c, tl_set_vector(v, TLN_file_hashes), file_id, offset);
    return v;
}

static struct tl_value *reupload_needed(struct sim_call *c, int64_t id)
{
    struct tl_value *v = tl_obj(c->arena, TLN_upload_cdnFileReuploadNeeded);
    uint8_t token[TG_SHA256];

    secret_of(c, "request", id, token);
    tl_set_copy(v, TLN_request_token, token, TG_SHA256);
    return v;
}

struct tl_value *sim_upload_get_cdn_file(struct sim_call *c, const struct tl_value *q)
{
    const struct sim_world *w = c->core->world;
    int64_t offset = tl_get_long(q, TLN_offset, 0), id = file_of(c, q), n;
    uint8_t key[TG_SHA256], iv[TG_SHA256], start[TG_AES_BLOCK], *bytes;
    struct tg_aes_ctr ctr;
    struct tl_value *v;

    if (c->request->dc != SIM_CDN)
        return sim_fail(c, "CDN_METHOD_INVALID");
    if (!id || !sim_file_range_ok(c, q))
        return NULL;
    if (sim_faults_hit(&c->core->faults, SIM_FAULT_CDN_TOKEN))
        return sim_fail(c, "FILE_TOKEN_INVALID");
    if (c->core->cdn_has[(uint64_t)id >> 12 & (SIM_CDN_FILES - 1)] != id)
        return reupload_needed(c, id);
    n = TG_MAX(0, TG_MIN((int64_t)tl_get_int(q, TLN_limit, 0),
                         sim_world_file_size(w, id) - offset));
    bytes = tg_arena_bytes(c->arena, (size_t)TG_MAX(n, 1));
    secret_of(c, "key", id, key);
    secret_of(c, "iv", id, iv);
    tg_aes_ctr_cdn_iv(start, iv, (uint64_t)offset);
    if (!bytes || !tg_aes_ctr_init(&ctr, key, start))
        return sim_fail_code(c, 500, "MEMORY_LIMIT");
    sim_world_file_bytes(w, id, offset, bytes, (size_t)n);
    tg_aes_ctr_xor(&ctr, bytes, bytes, (size_t)n);
    tg_aes_ctr_done(&ctr);
    if (n && sim_faults_hit(&c->core->faults, SIM_FAULT_CDN_LIE))
        bytes[sim_faults_draw(&c->core->faults, SIM_FAULT_CDN_LIE, (uint64_t)n)] ^= 1;
    v = tl_obj(c->arena, TLN_upload_cdnFile);
    tl_set_bytes(v, TLN_bytes, bytes, (size_t)n);
    return v;
}

struct tl_value *sim_upload_reupload_cdn(struct sim_call *c, const struct tl_value *q)
{
    int64_t id = file_of(c, q);
    struct tg_str said = tl_get_str(q, TLN_request_token);
    uint8_t token[TG_SHA256];

    if (!id)
        return NULL;
    secret_of(c, "request", id, token);
    if (said.len != TG_SHA256 || !tg_equal_ct(token, (const uint8_t *)said.at, TG_SHA256))
        return sim_fail(c, "REQUEST_TOKEN_INVALID");
    c->core->cdn_has[(uint64_t)id >> 12 & (SIM_CDN_FILES - 1)] = id;
    return sim_file_hashes(c, id, 0);
}

struct tl_value *sim_upload_get_cdn_hashes(struct sim_call *c, const struct tl_value *q)
{
    int64_t id = file_of(c, q);

    return id ? sim_file_hashes(c, id, tl_get_long(q, TLN_offset, 0)) : NULL;
}
