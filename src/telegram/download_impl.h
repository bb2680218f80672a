/* SPDX-License-Identifier: MIT */
/*
 * download_impl.h - a download from the inside: download.c (what is asked), download_answer.c (what
 * answers mean, and whether a CDN tells the truth)
 */
#ifndef TG_DOWNLOAD_IMPL_H
#define TG_DOWNLOAD_IMPL_H

#include "crypto/aes.h"
#include "crypto/hash.h"
#include "telegram/download.h"

enum { DOWNLOAD_HASHES_MAX = 65536, DOWNLOAD_TOKEN_MAX = 4096 };

struct download_slot {
    enum { SLOT_WANTED, SLOT_ASKED, SLOT_UNPROVED, SLOT_HERE } state;
    uint8_t *bytes; /* malloc'ed; TG_PART_SIZE of them, or what is left of the file */
    int64_t filled; /* of them, before it is all HERE */
};

/* What the file's own DC says of a piece. */
struct download_hash {
    int64_t offset;
    int32_t len;
    uint8_t sha256[TG_SHA256];
};

struct tg_download {
    struct tg_row_file file; /* its reference is `reference` */
    char *reference;
    int64_t size;
    uint32_t parts, limit;
    int64_t out; /* bytes that were given out */
    struct download_slot slot[TG_PARTS_MAX];
    bool empty_asked;        /* of an empty file */
    bool stale, refreshing;  /* the reference has ended; and is asked for */
    uint32_t refreshes, reuploads; /* since something came */
    uint32_t generation;     /* of the reference and of the redirection */
    /* redirected */
    bool in_cdn, no_cdn;
    struct {
        int32_t dc;
        uint8_t key[TG_AES_KEY], iv[TG_AES_BLOCK];
    } cdn;
    struct tg_buf token, again; /* of the file; to have it brought to the CDN */
    bool reupload, reuploading;
    struct download_hash *hash; /* by offset, without overlap */
    size_t n_hashes, cap_hashes;
    bool needs_hash, hashing;
    int64_t hash_at;            /* first byte that none is known of */
    uint32_t redirects, lies;
};

struct download_slot *download_slot_of(struct tg_download *d, int64_t offset);
/** Bytes of the part at that offset. */
int64_t download_part(const struct tg_download *d, int64_t offset);
void download_leave_cdn(struct tg_download *d);

#endif
