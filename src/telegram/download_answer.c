/* SPDX-License-Identifier: MIT */
/*
 * download_answer.c - what an answer to a download's request means
 *
 * Bytes of a CDN are encrypted with AES-256-CTR under a key that only the file's own DC told, and
 * checked against its SHA-256 of each piece: core.telegram.org/cdn.
 */
#include <stdlib.h>

#include "crypto/ct.h"
#include "telegram/download_impl.h"

enum { REUPLOADS_MAX = 8 }; /* a CDN may drop a file again before it was fetched */

static tg_code senseless(struct tg_error *err)
{
    return tg_fail(err, TG_PROTOCOL, "the server's answer for a part of the file makes no sense");
}

/* ---- bytes ---- */

/* Bytes that the request asked for and the file has. */
static int64_t wanted(const struct tg_download *d, const struct tg_file_request *request)
{
    return TG_MIN((int64_t)request->limit, d->size - request->offset);
}

/* Keeps what a request asked for: a part, or some of it. @return TG_PROTOCOL if it is not as long
 * as the file says */
static tg_code keep(struct tg_download *d, const struct tg_file_request *request,
                    struct tg_str bytes, struct tg_error *err)
{
    struct download_slot *slot = download_slot_of(d, request->offset);
    int64_t at = request->offset % TG_PART_SIZE, part = download_part(d, request->offset - at);
    int64_t want = wanted(d, request);

    slot->state = SLOT_WANTED;
    if (at != slot->filled)
        return TG_OK; /* what stood before it was dropped meanwhile */
    if (bytes.len != want)
        return tg_fail(err, TG_PROTOCOL, "the file is %s than its message tells: %lld bytes",
                       bytes.len < want ? "shorter" : "longer", (long long)d->size);
    if (want == 0)
        return TG_OK;
    if (!slot->bytes)
        slot->bytes = malloc((size_t)part);
    if (!slot->bytes)
        return tg_fail(err, TG_NOMEM, "no memory for a part of a file");
    memcpy(slot->bytes + at, bytes.at, (size_t)want);
    slot->filled += want;
    if (slot->filled == part)
        slot->state = SLOT_HERE;
    return TG_OK;
}

/* ---- hashes ---- */

/* @return where the piece at `offset` stands, or would */
static size_t hash_place(const struct tg_download *d, int64_t offset)
{
    size_t lo = 0, hi = d->n_hashes;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (d->hash[mid].offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static bool add_hash(struct tg_download *d, const struct download_hash *h)
{
    size_t at = hash_place(d, h->offset);

    if (at < d->n_hashes && d->hash[at].offset == h->offset) {
        d->hash[at] = *h;
        return true;
    }
    if (d->n_hashes == d->cap_hashes) {
        size_t cap = d->cap_hashes ? 2 * d->cap_hashes : 16;
        struct download_hash *more = reallocarray(d->hash, cap, sizeof *more);

        if (!more)
            return false;
        d->hash = more;
        d->cap_hashes = cap;
    }
    memmove(&d->hash[at + 1], &d->hash[at], (d->n_hashes - at) * sizeof *h);
    d->hash[at] = *h;
    d->n_hashes++;
    return true;
}

/* Reads a Vector<FileHash>. Pieces that no part could be made of are refused. */
static tg_code read_hashes(struct tg_download *d, const struct tl_schema *schema,
                           struct tl_reader r, struct tg_error *err)
{
    uint32_t n = tl_read_vector(&r, 20);
    struct tl_object o;

    for (; n && !r.bad; n--) {
        struct download_hash h;
        struct tg_str sha256;

        if (!tl_object_open(schema, &r, &o) || o.ctor->name != TLN_fileHash)
            return senseless(err);
        sha256 = tl_field_str(&o, TLN_hash);
        h.offset = tl_field_i64(&o, TLN_offset, -1);
        h.len = tl_field_i32(&o, TLN_limit, 0);
        if (sha256.len != TG_SHA256 || h.offset < 0 || h.len <= 0 || h.len > TG_PART_SIZE)
            return senseless(err);
        memcpy(h.sha256, sha256.at, TG_SHA256);
        if (d->n_hashes >= DOWNLOAD_HASHES_MAX)
            return tg_fail(err, TG_LIMIT, "a file with more than %d hashes", DOWNLOAD_HASHES_MAX);
        if (!add_hash(d, &h))
            return tg_fail(err, TG_NOMEM, "no memory for the hashes of a file");
    }
    return r.bad ? senseless(err) : TG_OK;
}

/* Compares a part of a CDN with the hashes. @return TG_OK; TG_AGAIN: the one at *ret_at is not
 * known; TG_CORRUPT: it is something else */
static tg_code prove(const struct tg_download *d, int64_t offset, int64_t *ret_at)
{
    const uint8_t *bytes = d->slot[offset / TG_PART_SIZE % d->parts].bytes;
    int64_t end = offset + download_part(d, offset);
    uint8_t sha256[TG_SHA256];

    for (int64_t at = offset; at < end;) {
        size_t i = hash_place(d, at);
        const struct download_hash *h = &d->hash[i];

        if (i == d->n_hashes || h->offset != at) {
            *ret_at = at;
            return TG_AGAIN;
        }
        if (h->len > end - at)
            return TG_CORRUPT;
        tg_sha256(sha256, bytes + (at - offset), (size_t)h->len);
        if (!tg_equal_ct(sha256, h->sha256, TG_SHA256))
            return TG_CORRUPT;
        at += h->len;
    }
    return TG_OK;
}

/* Looks at all parts that wait for hashes. */
static void prove_all(struct tg_download *d)
{
    d->needs_hash = false;
    for (uint32_t i = 0; i < d->parts && d->in_cdn; i++) {
        int64_t offset = (d->out / TG_PART_SIZE + i) * TG_PART_SIZE;
        struct download_slot *slot = download_slot_of(d, offset);
        int64_t at = 0;

        if (slot->state != SLOT_UNPROVED)
            continue;
        switch (prove(d, offset, &at)) {
        case TG_OK:
            slot->state = SLOT_HERE;
            break;
        case TG_AGAIN:
            if (!d->needs_hash)
                d->hash_at = at;
            d->needs_hash = true;
            break;
        default:
            slot->state = SLOT_WANTED;
            d->lies++;
            d->generation++;
            d->no_cdn = true;
            download_leave_cdn(d);
        }
    }
}

/* ---- answers ---- */

static bool keep_token(struct tg_buf *to, struct tg_str token)
{
    tg_buf_wipe(to);
    tg_buf_init(to, DOWNLOAD_TOKEN_MAX);
    tg_buf_add(to, token.at, token.len);
    return !to->failed && token.len > 0;
}

/* The file is elsewhere. Parts that were asked for before may tell it once more. */
static tg_code redirected(struct tg_download *d, const struct tl_schema *schema,
                          const struct tl_object *o, struct tg_error *err)
{
    struct tg_str key = tl_field_str(o, TLN_encryption_key);
    struct tg_str iv = tl_field_str(o, TLN_encryption_iv);
    int32_t dc = tl_field_i32(o, TLN_dc_id, 0);

    if (d->no_cdn)
        return tg_fail(err, TG_PROTOCOL, "the server insists on a CDN that was of no use");
    if (d->in_cdn)
        return TG_OK;
    if (key.len != TG_AES_KEY || iv.len != TG_AES_BLOCK || dc <= 0 ||
        !keep_token(&d->token, tl_field_str(o, TLN_file_token)))
        return senseless(err);
    memcpy(d->cdn.key, key.at, TG_AES_KEY);
    memcpy(d->cdn.iv, iv.at, TG_AES_BLOCK);
    d->cdn.dc = dc;
    d->in_cdn = true;
    d->needs_hash = false;
    d->generation++;
    return read_hashes(d, schema, tl_field(o, TLN_file_hashes), err);
}

static tg_code on_part(struct tg_download *d, const struct tg_file_request *request,
                       const struct tl_schema *schema, const struct tl_object *o,
                       struct tg_error *err)
{
    if (o->ctor->name == TLN_upload_file)
        return keep(d, request, tl_field_str(o, TLN_bytes), err);
    if (o->ctor->name != TLN_upload_fileCdnRedirect || d->size == 0)
        return senseless(err);
    download_slot_of(d, request->offset)->state = SLOT_WANTED;
    return redirected(d, schema, o, err);
}

static tg_code decrypt(const struct tg_download *d, int64_t offset, uint8_t *bytes, int64_t n,
                       struct tg_error *err)
{
    uint8_t iv[TG_AES_BLOCK];
    struct tg_aes_ctr ctr;

    tg_aes_ctr_cdn_iv(iv, d->cdn.iv, (uint64_t)offset);
    if (!tg_aes_ctr_init(&ctr, d->cdn.key, iv))
        return tg_fail(err, TG_NOMEM, "no memory to decrypt a part of a file");
    tg_aes_ctr_xor(&ctr, bytes, bytes, (size_t)n);
    tg_aes_ctr_done(&ctr);
    return TG_OK;
}

static tg_code on_cdn_part(struct tg_download *d, const struct tg_file_request *request,
                           const struct tl_object *o, struct tg_error *err)
{
    struct download_slot *slot = download_slot_of(d, request->offset);
    struct tg_str bytes = tl_field_str(o, TLN_bytes);
    int64_t before = slot->filled;
    tg_code code;

    slot->state = SLOT_WANTED;
    if (!d->in_cdn || request->generation != d->generation)
        return TG_OK; /* of a redirection that is over */
    if (o->ctor->name == TLN_upload_cdnFileReuploadNeeded) {
        if (!keep_token(&d->again, tl_field_str(o, TLN_request_token)))
            return senseless(err);
        if (!d->reupload && ++d->reuploads > REUPLOADS_MAX)
            tg_download_no_cdn(d); /* it never has it: the file's own DC does */
        else
            d->reupload = true;
        return TG_OK;
    }
    if (o->ctor->name != TLN_upload_cdnFile || bytes.len != wanted(d, request)) {
        d->lies++;
        d->generation++;
        tg_download_no_cdn(d);
        return TG_OK;
    }
    code = keep(d, request, bytes, err);
    if (code != TG_OK || slot->filled == before)
        return code;
    code = decrypt(d, request->offset, slot->bytes + before, bytes.len, err);
    if (code != TG_OK || slot->state != SLOT_HERE)
        return code;
    slot->state = SLOT_UNPROVED;
    prove_all(d);
    return TG_OK;
}

static tg_code on_hashes(struct tg_download *d, const struct tg_file_request *request,
                         const struct tl_schema *schema, struct tl_reader r, struct tg_error *err)
{
    tg_code code;
    size_t at;

    if (request->ask == TG_ASK_REUPLOAD)
        d->reuploading = d->reupload = false;
    else
        d->hashing = false;
    if (!d->in_cdn || request->generation != d->generation)
        return TG_OK;
    code = read_hashes(d, schema, r, err);
    if (code != TG_OK)
        return code;
    at = hash_place(d, request->offset);
    if (request->ask == TG_ASK_HASHES &&
        (at == d->n_hashes || d->hash[at].offset != request->offset))
        return tg_fail(err, TG_PROTOCOL, "the server has no hash of a part that a CDN delivers");
    prove_all(d);
    return TG_OK;
}

tg_code tg_download_answer(struct tg_download *d, const struct tg_file_request *request,
                           const struct tl_schema *schema, const void *body, size_t len, int32_t dc,
                           struct tg_error *err)
{
    struct tl_reader r = tl_reader_of(body, len);
    struct tl_object o;

    if (request->ask == TG_ASK_HASHES || request->ask == TG_ASK_REUPLOAD)
        return on_hashes(d, request, schema, r, err);
    if (!tl_object_open(schema, &r, &o))
        return senseless(err);
    if (request->ask == TG_ASK_CDN_PART)
        return on_cdn_part(d, request, &o, err);
    if (dc)
        d->file.dc = dc; /* it moved there */
    return on_part(d, request, schema, &o, err);
}
