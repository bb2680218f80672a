/* SPDX-License-Identifier: MIT */
/*
 * session.c - fuzzes what an account is read from: stored sessions and session strings
 *
 * Input: one byte of choice, then
 *   0  a payload of version 1, to which the head with its hash is added, as somebody who makes
 *      files would
 *   1  a whole blob
 *   2  a whole blob, opened with a passphrase (only parameters that are cheap to derive with)
 *   3  a session string
 *   4  as 0, of version 2
 * What is taken must come out of a write and a read unchanged.
 */
#include <stdlib.h>

#include "telegram/session_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 48, CHEAP_LOG2_N = 4 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void write_plain(struct tg_session_data *s, struct tg_buf *out)
{
    struct tg_random none = { 0 }; /* only sealing draws */
    struct tg_error err;

    tg_buf_init(out, 64 << 20);
    require(tg_session_write(s, NULL, &none, out, &err) == TG_OK);
}

static void read_blob(const uint8_t *blob, size_t len, const char *passphrase)
{
    struct tg_session_data s, again;
    struct tg_buf one, two;
    struct tg_error err = { 0 };
    tg_code code;

    tg_session_data_init(&s);
    tg_session_data_init(&again);
    code = tg_session_read(blob, len, passphrase, &s, &err);
    require(code == TG_OK || ((code == TG_CORRUPT || code == TG_LOGIN) && err.code == code &&
                              err.message[0] && err.hint[0]));
    if (code == TG_OK) {
        write_plain(&s, &one);
        require(tg_session_read(one.data, one.len, NULL, &again, &err) == TG_OK);
        write_plain(&again, &two);
        require(one.len == two.len && memcmp(one.data, two.data, one.len) == 0);
        tg_buf_done(&one);
        tg_buf_done(&two);
    }
    tg_session_data_done(&s);
    tg_session_data_done(&again);
}

static void read_payload(uint8_t version, const uint8_t *data, size_t size)
{
    const uint8_t magic[8] = { 'T', 'G', 'S', 'E', 'S', 'S', 'N', version };
    uint8_t *blob = malloc(HEAD + size);

    require(blob != NULL);
    memcpy(blob, magic, sizeof magic);
    tg_put_le64(blob + 8, size);
    tg_sha256(blob + 16, data, size);
    if (size)
        memcpy(blob + HEAD, data, size);
    read_blob(blob, HEAD + size, NULL);
    free(blob);
}

static void read_string(const uint8_t *data, size_t size)
{
    struct tg_datacenter where = { .dc = { { 2, { "149.154.167.51", 443 } } }, .n_dc = 1 };
    struct tg_session_data s;
    struct tg_buf out;
    struct tg_error err;
    char *text = malloc(size + 1);

    require(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    where.test = size % 2;
    tg_session_data_init(&s);
    tg_buf_init(&out, 4096);
    if (tg_session_import(&s, text, &where, &err) == TG_OK) {
        uint8_t key[256];

        memcpy(key, tg_session_dc(&s, s.home_dc)->key.key, sizeof key);
        require(tg_session_authorized(&s));
        require(tg_session_export(&s, TG_SESSION_TELETHON, &out, &err) == TG_OK);
        require(tg_session_import(&s, tg_buf_cstr(&out), &where, &err) == TG_OK);
        require(memcmp(key, tg_session_dc(&s, s.home_dc)->key.key, sizeof key) == 0);
    }
    tg_buf_done(&out);
    tg_session_data_done(&s);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    switch (data[0]) {
    case 0:
        read_payload(1, data + 1, size - 1);
        break;
    case 4:
        read_payload(2, data + 1, size - 1);
        break;
    case 1:
        read_blob(data + 1, size - 1, NULL);
        break;
    case 2:
        if (size <= 11 || (data[9] <= CHEAP_LOG2_N && data[10] <= 8 && data[11] <= 1))
            read_blob(data + 1, size - 1, "passphrase");
        break;
    case 3:
        read_string(data + 1, size - 1);
        break;
    default:
        break;
    }
    return 0;
}
