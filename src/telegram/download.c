/* SPDX-License-Identifier: MIT */
/*
 * download.c - see download.h; which part is asked for, and the file's place in requests
 *
 * A ring of slots, one for each part from the next to be given out on:
 *
 *   WANTED --asked--> ASKED --bytes--> HERE --given out--> WANTED, for a later part
 *      ^                |                ^
 *      |- refused, -----|--CDN bytes--> UNPROVED (hashes are missing)
 *      |  redirected    |
 *      '- not all of it-'
 */
#include "telegram/download_impl.h"

#include <assert.h>
#include <stdlib.h>

#include "tl/put.h"

#define ID_GET_FILE 0xbe5335beu
#define ID_DOCUMENT_LOCATION 0xbad07584u
#define ID_PHOTO_LOCATION 0x40181ffeu
#define ID_GET_CDN_FILE 0x395f69dau
#define ID_REUPLOAD_CDN_FILE 0x9b2754a8u
#define ID_GET_CDN_FILE_HASHES 0x91dc3f31u

enum { CDN_SUPPORTED = 1 << 1, REFRESHES_MAX = 3, REDIRECTS_MAX = 4 };

/* ---- life ---- */

static bool set_file(struct tg_download *d, const struct tg_row_file *file)
{
    char *reference = malloc(file->reference.len + 1);

    if (!reference)
        return false;
    if (file->reference.len)
        memcpy(reference, file->reference.at, file->reference.len);
    free(d->reference);
    d->reference = reference;
    d->file = *file;
    d->file.reference.at = reference;
    return true;
}

struct tg_download *tg_download_new(const struct tg_row_file *file, int64_t done, uint32_t parts,
                                    uint32_t limit)
{
    struct tg_download *d = calloc(1, sizeof *d);

    assert(parts > 0 && parts <= TG_PARTS_MAX && done >= 0 && file->size >= 0);
    assert(done == file->size || done % TG_PART_SIZE == 0);
    assert(limit >= TG_PART_LEAST && limit <= TG_PART_SIZE && (limit & (limit - 1)) == 0);
    if (!d || !set_file(d, file)) {
        free(d);
        return NULL;
    }
    d->size = file->size;
    d->parts = parts;
    d->limit = limit;
    d->out = done;
    d->empty_asked = done > 0;
    return d;
}

void tg_download_free(struct tg_download *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < TG_PARTS_MAX; i++)
        free(d->slot[i].bytes);
    explicit_bzero(&d->cdn, sizeof d->cdn);
    tg_buf_wipe(&d->token);
    tg_buf_done(&d->again);
    free(d->hash);
    free(d->reference);
    free(d);
}

uint32_t tg_download_limit(const struct tg_download *d)
{
    return d->limit;
}

uint32_t tg_download_lies(const struct tg_download *d)
{
    return d->lies;
}

int32_t tg_download_cdn(const struct tg_download *d)
{
    return d->in_cdn ? d->cdn.dc : 0;
}

void tg_download_no_cdn(struct tg_download *d)
{
    d->no_cdn = true;
    download_leave_cdn(d);
}

/* ---- what to ask ---- */

struct download_slot *download_slot_of(struct tg_download *d, int64_t offset)
{
    return &d->slot[offset / TG_PART_SIZE % d->parts];
}

int64_t download_part(const struct tg_download *d, int64_t offset)
{
    return TG_MIN((int64_t)TG_PART_SIZE, d->size - offset);
}

void download_leave_cdn(struct tg_download *d)
{
    d->in_cdn = false;
    d->hashing = d->reuploading = d->reupload = false;
    d->n_hashes = 0;
    for (size_t i = 0; i < TG_PARTS_MAX; i++) { /* nobody says that these are right */
        if (d->slot[i].state == SLOT_UNPROVED)
            d->slot[i].state = SLOT_WANTED;
        d->slot[i].filled = 0;
    }
}

static tg_code ask(struct tg_download *d, struct tg_file_request *ret, enum tg_file_ask what,
                   int64_t offset)
{
    *ret = (struct tg_file_request){
        .ask = what,
        .offset = offset,
        .limit = d->limit,
        .dc = what == TG_ASK_CDN_PART ? d->cdn.dc : d->file.dc,
        .generation = d->generation,
    };
    return TG_OK;
}

/* What stands before further parts of a CDN. */
static bool cdn_needs(struct tg_download *d, struct tg_file_request *ret)
{
    if (d->reupload && !d->reuploading) {
        d->reuploading = true;
        ask(d, ret, TG_ASK_REUPLOAD, 0);
        return true;
    }
    if (d->needs_hash && !d->hashing) {
        d->hashing = true;
        ask(d, ret, TG_ASK_HASHES, d->hash_at);
        return true;
    }
    return false;
}

tg_code tg_download_next(struct tg_download *d, struct tg_file_request *ret)
{
    int64_t end = TG_MIN(d->size, (d->out / TG_PART_SIZE + d->parts) * TG_PART_SIZE);

    if (d->stale) {
        if (d->refreshing)
            return TG_AGAIN;
        d->refreshing = true;
        return ask(d, ret, TG_ASK_REFERENCE, 0);
    }
    if (d->in_cdn && cdn_needs(d, ret))
        return TG_OK;
    if (d->in_cdn && d->reupload)
        return TG_AGAIN;
    for (int64_t at = d->out; at < end; at += TG_PART_SIZE) {
        struct download_slot *slot = download_slot_of(d, at);

        if (slot->state != SLOT_WANTED)
            continue;
        slot->state = SLOT_ASKED;
        return ask(d, ret, d->in_cdn ? TG_ASK_CDN_PART : TG_ASK_PART, at + slot->filled);
    }
    if (d->size == 0 && !d->empty_asked) { /* that it is empty is the server's to say */
        d->empty_asked = true;
        d->slot[0].state = SLOT_ASKED;
        return ask(d, ret, TG_ASK_PART, 0);
    }
    return tg_download_ended(d) ? TG_END : TG_AGAIN;
}

bool tg_download_ended(const struct tg_download *d)
{
    return d->out == d->size &&
           (d->size || (d->empty_asked && d->slot[0].state == SLOT_WANTED));
}

static void put_location(const struct tg_download *d, struct tg_buf *out)
{
    tg_buf_u32(out, d->file.photo ? ID_PHOTO_LOCATION : ID_DOCUMENT_LOCATION);
    tg_buf_u64(out, (uint64_t)d->file.id);
    tg_buf_u64(out, (uint64_t)d->file.access_hash);
    tl_put_bytes(out, d->file.reference.at, d->file.reference.len);
    tl_put_str(out, d->file.thumb);
}

const char *tg_download_write(const struct tg_download *d, const struct tg_file_request *request,
                              struct tg_buf *out)
{
    switch (request->ask) {
    case TG_ASK_PART:
        tg_buf_u32(out, ID_GET_FILE);
        tg_buf_u32(out, d->no_cdn || d->size == 0 ? 0 : CDN_SUPPORTED);
        put_location(d, out);
        tg_buf_u64(out, (uint64_t)request->offset);
        tg_buf_u32(out, request->limit);
        return "upload.getFile";
    case TG_ASK_CDN_PART:
        tg_buf_u32(out, ID_GET_CDN_FILE);
        tl_put_bytes(out, d->token.data, d->token.len);
        tg_buf_u64(out, (uint64_t)request->offset);
        tg_buf_u32(out, request->limit);
        return "upload.getCdnFile";
    case TG_ASK_HASHES:
        tg_buf_u32(out, ID_GET_CDN_FILE_HASHES);
        tl_put_bytes(out, d->token.data, d->token.len);
        tg_buf_u64(out, (uint64_t)request->offset);
        return "upload.getCdnFileHashes";
    case TG_ASK_REUPLOAD:
        tg_buf_u32(out, ID_REUPLOAD_CDN_FILE);
        tl_put_bytes(out, d->token.data, d->token.len);
        tl_put_bytes(out, d->again.data, d->again.len);
        return "upload.reuploadCdnFile";
    case TG_ASK_REFERENCE:
        break;
    }
    return "";
}

/* ---- refusals ---- */

/* The request did not do what it should: what it was for stays wanted. */
static void unask(struct tg_download *d, const struct tg_file_request *request)
{
    switch (request->ask) {
    case TG_ASK_PART:
    case TG_ASK_CDN_PART:
        download_slot_of(d, request->offset)->state = SLOT_WANTED;
        if (d->size == 0)
            d->empty_asked = false;
        break;
    case TG_ASK_HASHES:
        d->hashing = false;
        break;
    case TG_ASK_REUPLOAD:
        d->reuploading = false;
        break;
    case TG_ASK_REFERENCE:
        d->refreshing = false;
        break;
    }
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

tg_code tg_download_refused(struct tg_download *d, const struct tg_file_request *request,
                            const char *text, const struct tg_error *err)
{
    bool old = request->generation != d->generation;

    unask(d, request);
    if (request->ask == TG_ASK_PART && begins(text, "FILE_REFERENCE_")) {
        if (!old && !d->stale && ++d->refreshes > REFRESHES_MAX)
            return err->code;
        d->stale |= !old;
        return TG_OK;
    }
    if (begins(text, "LIMIT_INVALID") && request->limit > TG_PART_LEAST &&
        (request->ask == TG_ASK_PART || request->ask == TG_ASK_CDN_PART)) {
        d->limit = TG_MIN(d->limit, request->limit / 2);
        return TG_OK;
    }
    if (request->ask == TG_ASK_PART || request->ask == TG_ASK_REFERENCE)
        return err->code;
    if (old)
        return TG_OK; /* of a redirection that is over */
    if (!begins(text, "FILE_TOKEN_INVALID") && !begins(text, "REQUEST_TOKEN_INVALID"))
        d->no_cdn = true; /* the CDN is of no use: the file's own DC has it, too */
    d->no_cdn |= ++d->redirects > REDIRECTS_MAX;
    d->generation++;
    download_leave_cdn(d);
    return TG_OK;
}

tg_code tg_download_refreshed(struct tg_download *d, const struct tg_row_file *file,
                              struct tg_error *err)
{
    d->refreshing = false;
    if (!file)
        return tg_fail(err, TG_NOT_FOUND, "the message has no file any more");
    if (file->id != d->file.id || file->size != d->size)
        return tg_fail(err, TG_NOT_FOUND, "the message has another file now");
    if (!set_file(d, file))
        return tg_fail(err, TG_NOMEM, "no memory for a file reference");
    d->stale = false;
    d->generation++;
    return TG_OK;
}

/* ---- what is here ---- */

void *tg_download_take(struct tg_download *d, size_t *ret_len)
{
    struct download_slot *slot = download_slot_of(d, d->out);
    uint8_t *bytes = slot->bytes;

    if (d->out >= d->size || slot->state != SLOT_HERE)
        return NULL;
    *ret_len = (size_t)download_part(d, d->out);
    slot->bytes = NULL;
    slot->filled = 0;
    slot->state = SLOT_WANTED;
    d->out += (int64_t)*ret_len;
    d->refreshes = d->reuploads = 0; /* it goes on */
    return bytes;
}
