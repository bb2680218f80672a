/* SPDX-License-Identifier: MIT */
/*
 * download.c - the plan of a download against servers that are slow, wrong and hostile
 *
 * A little server answers each request from the file's bytes, encoded with the schema's own tables;
 * a row of the table below says in which way it is not as it should be.
 */
#include "telegram/download.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/aes.h"
#include "crypto/hash.h"
#include "tl/value.h"

enum { PIECE = 128 << 10, CDN = 203, FILE_MAX = 5 << 20 };

enum lie { HONEST, SHORT, LONG, OTHER, JUNK, HASH_LIE, BYTES_LIE, HASH_SHORT, HASH_GAP, NO_HASHES,
           BAD_KEY, REDIRECT_EVER, REFERENCE, REFERENCE_EVER, TOKEN_ONCE, TOKEN_EVER, REUPLOAD,
           REUPLOAD_EVER, CDN_SHORT, CDN_JUNK, NO_FILE };

struct server {
    enum lie lie;
    bool cdn;
    int64_t size;
    uint32_t limit; /* it refuses requests for more; 0: any are fine */
    uint32_t n_asked[5], n_refused, n_uploads;
    const struct tl_schema *schema;
    struct tg_arena arena;
    struct tg_buf out;
    const char *refusal; /* "" none */
};

static uint8_t content[FILE_MAX];
static const uint8_t key[TG_AES_KEY] = "a key of thirty-two bytes......";
static const uint8_t iv[TG_AES_BLOCK] = "sixteen bytes..";
static struct tg_error err;

static void add_hashes(struct server *s, struct tl_value *list, int64_t from)
{
    for (int64_t at = from; at < s->size && at < from + 8 * PIECE; at += PIECE) {
        struct tl_value *h = tl_add_new(list, TLN_fileHash);
        size_t n = (size_t)TG_MIN((int64_t)PIECE, s->size - at);
        uint8_t sha256[TG_SHA256];

        tg_sha256(sha256, content + at, n);
        sha256[5] ^= s->lie == HASH_LIE;
        tl_set_long(h, TLN_offset, s->lie == HASH_GAP ? at + 1 : at);
        tl_set_int(h, TLN_limit, (int32_t)n);
        tl_set_copy(h, TLN_hash, sha256, s->lie == HASH_SHORT ? 31 : TG_SHA256);
    }
}

static struct tl_value *redirect(struct server *s, int64_t offset)
{
    struct tl_value *v = tl_obj(&s->arena, TLN_upload_fileCdnRedirect);
    struct tl_value *list = tl_set_vector(v, TLN_file_hashes);

    tl_set_int(v, TLN_dc_id, CDN);
    tl_set_copy(v, TLN_file_token, "token", 5);
    tl_set_copy(v, TLN_encryption_key, key, s->lie == BAD_KEY ? 31 : TG_AES_KEY);
    tl_set_copy(v, TLN_encryption_iv, iv, TG_AES_BLOCK);
    if (s->lie != NO_HASHES)
        add_hashes(s, list, offset);
    return v;
}

/* @return the length of what is delivered of a part */
static size_t part_of(const struct server *s, const struct tg_file_request *q, enum lie shorter,
                      uint8_t *ret)
{
    size_t n = (size_t)TG_MAX(TG_MIN((int64_t)q->limit, s->size - q->offset), INT64_C(0));

    if (s->lie == shorter && n)
        n--;
    memcpy(ret, content + q->offset, n);
    return n;
}

static struct tl_value *file_bytes(struct server *s, const struct tg_file_request *q)
{
    uint8_t *bytes = tg_arena_bytes(&s->arena, TG_PART_SIZE + 1);
    struct tl_value *v = tl_obj(&s->arena, s->lie == OTHER ? TLN_upload_cdnFile : TLN_upload_file);
    size_t n = part_of(s, q, SHORT, bytes);

    if (s->lie == LONG)
        bytes[n++] = 0;
    if (s->lie != OTHER) {
        tl_set_new(v, TLN_type, TLN_storage_filePartial);
        tl_set_int(v, TLN_mtime, 0);
    }
    tl_set_bytes(v, TLN_bytes, bytes, n);
    return v;
}

static struct tl_value *cdn_bytes(struct server *s, const struct tg_file_request *q)
{
    uint8_t *bytes = tg_arena_bytes(&s->arena, TG_PART_SIZE), start[TG_AES_BLOCK];
    struct tl_value *v = tl_obj(&s->arena, TLN_upload_cdnFile);
    size_t n = part_of(s, q, CDN_SHORT, bytes);
    struct tg_aes_ctr ctr;

    tg_aes_ctr_cdn_iv(start, iv, (uint64_t)q->offset);
    assert_true(tg_aes_ctr_init(&ctr, key, start));
    tg_aes_ctr_xor(&ctr, bytes, bytes, n);
    tg_aes_ctr_done(&ctr);
    bytes[n / 2] ^= s->lie == BYTES_LIE;
    tl_set_bytes(v, TLN_bytes, bytes, n);
    return v;
}

/* @return NULL: refused */
static struct tl_value *serve(struct server *s, const struct tg_file_request *q)
{
    struct tl_value *v;

    s->n_asked[q->ask]++;
    s->refusal = "";
    if (s->limit && q->limit > s->limit && q->ask <= TG_ASK_CDN_PART) {
        s->refusal = "LIMIT_INVALID";
        return NULL;
    }
    switch (q->ask) {
    case TG_ASK_PART:
        if (s->lie == REFERENCE_EVER || (s->lie == REFERENCE && s->n_refused++ < 3))
            s->refusal = "FILE_REFERENCE_EXPIRED";
        else if (s->lie == NO_FILE)
            s->refusal = "FILE_ID_INVALID";
        else
            return s->cdn ? redirect(s, q->offset) : file_bytes(s, q);
        return NULL;
    case TG_ASK_CDN_PART:
        if (s->lie == TOKEN_EVER || (s->lie == TOKEN_ONCE && s->n_refused++ == 0)) {
            s->refusal = "FILE_TOKEN_INVALID";
            return NULL;
        }
        if (s->lie == CDN_JUNK)
            return tl_obj(&s->arena, TLN_upload_file);
        if (s->lie != REUPLOAD_EVER && (s->lie != REUPLOAD || s->n_uploads))
            return cdn_bytes(s, q);
        v = tl_obj(&s->arena, TLN_upload_cdnFileReuploadNeeded);
        tl_set_copy(v, TLN_request_token, "again", 5);
        return v;
    case TG_ASK_REUPLOAD:
        s->n_uploads++;
        /* fall through */
    case TG_ASK_HASHES:
        v = tl_vector(&s->arena);
        add_hashes(s, v, q->ask == TG_ASK_HASHES ? q->offset : 0);
        return v;
    case TG_ASK_REFERENCE:
        break;
    }
    return NULL;
}

/* One request and what comes of it. */
static tg_code one(struct server *s, struct tg_download *d, const struct tg_file_request *q)
{
    struct tg_row_file again = { .id = 7, .size = s->size, .reference = TG_STR("new") };
    struct tg_buf body;
    tg_code code;

    tg_arena_clear(&s->arena);
    if (q->ask == TG_ASK_REFERENCE) {
        s->n_asked[q->ask]++;
        return tg_download_refreshed(d, &again, &err);
    }
    tg_buf_init(&body, 8192);
    assert_true(tg_download_write(d, q, &body)[0] != 0);
    assert_true(body.len > 8 && !body.failed);
    tg_buf_done(&body);
    struct tl_value *v = serve(s, q);
    if (s->refusal[0]) {
        tg_fail(&err, TG_BAD_REQUEST, "%s", s->refusal);
        return tg_download_refused(d, q, s->refusal, &err);
    }
    tg_buf_clear(&s->out);
    if (s->lie == JUNK)
        tg_buf_add(&s->out, "some bytes that are no object..", 32);
    else if (s->lie == CDN_JUNK && q->ask == TG_ASK_CDN_PART)
        tg_buf_add(&s->out, "\x01\x02\x03\x04junk", 8);
    else
        assert_int_equal(tl_encode(s->schema, v, &s->out, &err), TG_OK);
    code = tg_download_answer(d, q, s->schema, s->out.data, s->out.len, 4, &err);
    return code;
}

/* Downloads with several requests under way, answered in an order drawn from a seed. */
static tg_code download(struct server *s, int64_t done, uint32_t seed)
{
    const struct tg_row_file file = { .id = 7, .dc = 2, .size = s->size,
                                      .reference = TG_STR("reference"), .thumb = "y" };
    struct tg_download *d = tg_download_new(&file, done, 4, TG_PART_SIZE);
    struct tg_file_request flying[32];
    tg_code code = TG_OK;
    int64_t got = done;
    size_t n = 0, len;

    s->schema = tl_schema_builtin(228);
    tg_arena_init(&s->arena, 64 << 20);
    tg_buf_init(&s->out, 16 << 20);
    for (int rounds = 0; rounds < 10000 && code == TG_OK; rounds++) {
        void *bytes = tg_download_take(d, &len);
        size_t pick;

        if (bytes) {
            assert_memory_equal(bytes, content + got, len);
            free(bytes);
            got += (int64_t)len;
        }
        while (n < TG_COUNT(flying) && (code = tg_download_next(d, &flying[n])) == TG_OK)
            n++;
        if (code == TG_END)
            break;
        assert_int_equal(code, TG_AGAIN);
        code = TG_OK;
        if (n == 0)
            continue;
        seed = seed * 1664525 + 1013904223;
        pick = (seed >> 16) % n;
        struct tg_file_request q = flying[pick];
        flying[pick] = flying[--n];
        code = one(s, d, &q);
    }
    assert_true(code != TG_OK && code != TG_AGAIN); /* it never goes round for ever */
    if (code == TG_END) {
        assert_true(tg_download_ended(d));
        assert_int_equal(got, s->size);
    }
    tg_download_free(d);
    tg_arena_done(&s->arena);
    tg_buf_done(&s->out);
    return code;
}

static void whatever_the_server_does_the_bytes_are_right_or_refused(void **state)
{
    static const struct {
        const char *name;
        enum lie lie;
        bool cdn;
        int64_t size;
        tg_code want;
        uint32_t limit;
    } row[] = {
        { "a small file", HONEST, false, 1000, TG_END, 0 },
        { "one of a part", HONEST, false, TG_PART_SIZE, TG_END, 0 },
        { "one of several", HONEST, false, FILE_MAX - 5, TG_END, 0 },
        { "an empty one", HONEST, false, 0, TG_END, 0 },
        { "one that is shorter than told", SHORT, false, 3000000, TG_PROTOCOL, 0 },
        { "one that is longer", LONG, false, 3000000, TG_PROTOCOL, 0 },
        { "an empty one that is not", LONG, false, 0, TG_PROTOCOL, 0 },
        { "an answer of another kind", OTHER, false, 1000, TG_PROTOCOL, 0 },
        { "bytes that are no answer", JUNK, false, 1000, TG_PROTOCOL, 0 },
        { "a file that is gone", NO_FILE, false, 1000, TG_BAD_REQUEST, 0 },
        { "references that end", REFERENCE, false, 3000000, TG_END, 0 },
        { "a reference that always has ended", REFERENCE_EVER, false, 3000000, TG_BAD_REQUEST, 0 },
        { "a CDN", HONEST, true, FILE_MAX - 5, TG_END, 0 },
        { "a CDN, without hashes at first", NO_HASHES, true, FILE_MAX - 5, TG_END, 0 },
        { "a CDN that lacks the file", REUPLOAD, true, FILE_MAX - 5, TG_END, 0 },
        { "a token that ends once", TOKEN_ONCE, true, FILE_MAX - 5, TG_END, 0 },
        { "requests for half a part", HONEST, false, FILE_MAX - 5, TG_END, 512 << 10 },
        { "requests for little", HONEST, false, FILE_MAX - 5, TG_END, 32 << 10 },
        { "requests for little, and references that end", REFERENCE, false, 3000000, TG_END,
          256 << 10 },
        { "a small file, and no request for more", HONEST, false, 1000, TG_END, TG_PART_LEAST },
        { "a server that gives nothing", HONEST, false, 1000, TG_BAD_REQUEST, 1 },
        { "one that is shorter than told, by half parts", SHORT, false, 3000000, TG_PROTOCOL,
          512 << 10 },
        { "a CDN, by half parts", HONEST, true, FILE_MAX - 5, TG_END, 512 << 10 },
        { "a CDN that lacks the file, by half parts", REUPLOAD, true, FILE_MAX - 5, TG_END,
          512 << 10 },
        { "a CDN whose bytes are wrong, by half parts", BYTES_LIE, true, 3000000, TG_PROTOCOL,
          512 << 10 },
        { "an empty file at a CDN", HONEST, true, 0, TG_PROTOCOL, 0 },
        { "a key of the wrong length", BAD_KEY, true, 3000000, TG_PROTOCOL, 0 },
        { "a hash of the wrong length", HASH_SHORT, true, 3000000, TG_PROTOCOL, 0 },
        { "hashes that leave bytes out", HASH_GAP, true, 3000000, TG_PROTOCOL, 0 },
        /* below, the file's own DC insists on the CDN, which the plan has given up */
        { "a hash that is wrong", HASH_LIE, true, 3000000, TG_PROTOCOL, 0 },
        { "bytes that are wrong", BYTES_LIE, true, 3000000, TG_PROTOCOL, 0 },
        { "a CDN that gives too little", CDN_SHORT, true, 3000000, TG_PROTOCOL, 0 },
        { "a token that always has ended", TOKEN_EVER, true, 3000000, TG_PROTOCOL, 0 },
        { "a CDN that never has the file", REUPLOAD_EVER, true, 3000000, TG_PROTOCOL, 0 },
        { "a CDN that gives junk", CDN_JUNK, true, 3000000, TG_PROTOCOL, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        for (uint32_t seed = 0; seed < 8; seed++) {
            struct server s = { .lie = row[i].lie, .cdn = row[i].cdn, .size = row[i].size,
                                .limit = row[i].limit };
            tg_code code = download(&s, 0, seed);

            if (code != row[i].want)
                fail_msg("%s: %s %s", row[i].name, tg_code_name(code), err.message);
            assert_int_equal(row[i].lie == REUPLOAD || row[i].lie == REUPLOAD_EVER,
                             s.n_uploads > 0);
        }
    }
}

static void a_download_goes_on_where_it_was(void **state)
{
    struct server s = { .size = FILE_MAX - 5 };

    (void)state;
    assert_int_equal(download(&s, 2 * TG_PART_SIZE, 1), TG_END);
    assert_int_equal(s.n_asked[TG_ASK_PART], 3);
    s = (struct server){ .size = FILE_MAX - 5 };
    assert_int_equal(download(&s, s.size, 1), TG_END); /* all was there but its name */
    assert_int_equal(s.n_asked[TG_ASK_PART], 0);
}

/* A CDN that lies is left for the file's own DC, and what it lied about is not used. */
static void a_cdn_that_lies_costs_nothing_but_time(void **state)
{
    const struct tg_row_file file = { .id = 7, .dc = 2, .size = 2500000,
                                      .reference = TG_STR("reference") };
    struct tg_download *d = tg_download_new(&file, 0, 2, TG_PART_SIZE);
    struct server s = { .cdn = true, .size = file.size, .lie = BYTES_LIE };
    struct tg_file_request q;
    int64_t got = 0;
    size_t len;
    void *bytes;

    (void)state;
    s.schema = tl_schema_builtin(228);
    tg_arena_init(&s.arena, 64 << 20);
    tg_buf_init(&s.out, 16 << 20);
    while (tg_download_next(d, &q) == TG_OK) {
        assert_int_equal(q.dc, q.ask == TG_ASK_CDN_PART ? CDN : tg_download_lies(d) ? 4 : 2);
        assert_int_equal(one(&s, d, &q), TG_OK);
        s.cdn &= tg_download_lies(d) == 0; /* as asked without cdn_supported */
        while ((bytes = tg_download_take(d, &len))) {
            assert_memory_equal(bytes, content + got, len);
            got += (int64_t)len;
            free(bytes);
        }
    }
    assert_int_equal(got, file.size);
    assert_int_equal(tg_download_lies(d), 1);
    assert_int_equal(tg_download_cdn(d), 0);
    tg_download_free(d);
    tg_arena_done(&s.arena);
    tg_buf_done(&s.out);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_the_server_does_the_bytes_are_right_or_refused),
        cmocka_unit_test(a_download_goes_on_where_it_was),
        cmocka_unit_test(a_cdn_that_lies_costs_nothing_but_time),
    };

    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16) * 31);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
