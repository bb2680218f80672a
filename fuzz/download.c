/* SPDX-License-Identifier: MIT */
/*
 * download.c - any answers to a download's requests
 *
 * The first bytes choose the file; each further one what the next request meets: what follows as
 * its answer, a refusal, or bytes as they should be. What is given out must be as long as the file.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/text.h"
#include "telegram/download.h"
#include "tl/put.h"

#define ID_UPLOAD_FILE 0x096a18d5u
#define ID_FILE_PARTIAL 0x40bc6f52u

struct input {
    const uint8_t *at, *end;
};

static uint8_t next_byte(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

/* Bytes as they should be. */
static void honest(int64_t size, const struct tg_file_request *q, struct tg_buf *out)
{
    size_t n = (size_t)TG_MIN((int64_t)q->limit, size - q->offset);
    void *zeroes = calloc(1, n + 1);

    tg_buf_u32(out, ID_UPLOAD_FILE);
    tg_buf_u32(out, ID_FILE_PARTIAL);
    tg_buf_u32(out, 0);
    if (zeroes)
        tl_put_bytes(out, zeroes, n);
    free(zeroes);
}

static tg_code answer(struct tg_download *d, const struct tg_file_request *q,
                      struct tg_row_file *file, struct input *in, struct tg_error *err)
{
    static const char *const refusal[] = { "FILE_REFERENCE_EXPIRED", "FILE_TOKEN_INVALID",
                                           "LIMIT_INVALID", "FILE_ID_INVALID" };
    uint8_t how = next_byte(in);
    size_t n = (size_t)next_byte(in) << 3, left = (size_t)(in->end - in->at);
    struct tg_buf body;
    tg_code code;

    n = TG_MIN(n, left);
    if (q->ask == TG_ASK_REFERENCE)
        return tg_download_refreshed(d, how & 1 ? file : NULL, err);
    if ((how & 3) == 1) {
        tg_fail(err, TG_BAD_REQUEST, "refused");
        return tg_download_refused(d, q, refusal[how >> 2 & 3], err);
    }
    tg_buf_init(&body, 2 << 20);
    tg_download_write(d, q, &body);
    tg_buf_clear(&body);
    if (how & 2) {
        honest(file->size, q, &body);
    } else {
        tg_buf_add(&body, in->at, n);
        in->at += n;
    }
    code = tg_download_answer(d, q, tl_schema_builtin(228), body.data, body.len, how >> 4, err);
    tg_buf_done(&body);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = { data, data + size };
    struct tg_row_file file = { .id = 1, .photo = true, .reference = TG_STR("r") };
    struct tg_download *d;
    struct tg_file_request q;
    struct tg_error err;
    int64_t got = 0;
    tg_code code = TG_OK;
    size_t len;

    file.size = next_byte(&in) * 12;
    file.size += (int64_t)(next_byte(&in) & 3) * TG_PART_SIZE;
    d = tg_download_new(&file, 0, 1 + (next_byte(&in) & 3), TG_PART_SIZE);
    while (d && code == TG_OK && in.at < in.end) {
        void *bytes = tg_download_take(d, &len);

        if (bytes)
            got += (int64_t)len;
        free(bytes);
        assert(got <= file.size);
        code = tg_download_next(d, &q);
        if (code == TG_OK)
            code = answer(d, &q, &file, &in, &err);
        else if (code == TG_AGAIN)
            code = bytes ? TG_OK : TG_END;
    }
    if (d && tg_download_ended(d))
        assert(got == file.size);
    tg_download_free(d);
    return 0;
}
