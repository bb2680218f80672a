/* SPDX-License-Identifier: MIT */
/*
 * mt_handshake.c - fuzzes every message of the handshake, to the client and to the server
 *
 * Input: one byte that says which message, then its bytes; for the sealed and the RSA-encrypted
 * ones the bytes of the object inside, which is sealed here with the right nonces.
 */
#include <stdlib.h>

#include "crypto/mt_kdf.h"
#include "mtproto/handshake.h"
#include "tl/put.h"
#include "tl/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NOW = 1700000000, OUT_MAX = 8192, OBJECT_MAX = 900 };

/* Nonces that everybody knows: the first bytes that either end draws. */
static const uint8_t client_nonce[] = "cccccccccccccccc";
static const uint8_t new_nonce[] = "ssssssssssssssssssssssssssssssss";
static const uint8_t server_nonce[] = "SSSSSSSSSSSSSSSS";

struct script {
    uint8_t first[48];
    size_t at, len;
    struct tg_random_seeded rest;
};

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void script_fill(void *ctx, void *buf, size_t n)
{
    struct script *s = ctx;
    struct tg_random rest = tg_random_seeded(&s->rest);
    size_t k = TG_MIN(n, s->len - s->at);

    memcpy(buf, s->first + s->at, k);
    s->at += k;
    tg_random_fill(&rest, (uint8_t *)buf + k, n - k);
}

static const struct tg_rsa_private *server_key(void)
{
    static struct tg_rsa_private *key;
    struct tg_random_seeded seeded;
    struct tg_random random;

    if (!key) {
        tg_random_seeded_init(&seeded, 5);
        random = tg_random_seeded(&seeded);
        key = tg_rsa_private_generate(&random);
        require(key != NULL);
    }
    return key;
}

/* Both ends, honest up to the message that is fuzzed. */
struct ends {
    struct script client_script, server_script;
    struct tg_random client_random, server_random;
    struct mt_handshake *client;
    struct mt_handshake_server *server;
    struct tg_buf up, down;
    struct mt_handshake_result made;
    struct tg_error err;
};

static void ends_open(struct ends *e)
{
    struct mt_handshake_options o = { .rsa = tg_rsa_private_public(server_key()),
                                      .n_rsa = 1,
                                      .dc = 2 };
    struct mt_handshake_server_options so = { .rsa = server_key() };

    memset(e, 0, sizeof *e);
    memcpy(e->client_script.first, client_nonce, 16);
    memcpy(e->client_script.first + 16, new_nonce, 32);
    e->client_script.len = 48;
    memcpy(e->server_script.first, server_nonce, 16);
    e->server_script.len = 16;
    tg_random_seeded_init(&e->client_script.rest, 1);
    tg_random_seeded_init(&e->server_script.rest, 2);
    e->client_random = (struct tg_random){ script_fill, &e->client_script };
    e->server_random = (struct tg_random){ script_fill, &e->server_script };
    tg_buf_init(&e->up, OUT_MAX);
    tg_buf_init(&e->down, OUT_MAX);
    e->client = mt_handshake_new(&o, &e->client_random, &e->up);
    e->server = mt_handshake_server_new(&so, &e->server_random);
    require(e->client && e->server);
}

static void ends_close(struct ends *e)
{
    mt_handshake_free(e->client);
    mt_handshake_server_free(e->server);
    tg_buf_done(&e->up);
    tg_buf_done(&e->down);
}

static tg_code to_server(struct ends *e)
{
    tg_buf_clear(&e->down);
    return mt_handshake_server_input(e->server, e->up.data, e->up.len, NOW, &e->down, &e->made,
                                     &e->err);
}

static tg_code to_client(struct ends *e)
{
    tg_buf_clear(&e->up);
    return mt_handshake_input(e->client, e->down.data, e->down.len, NOW, &e->up, &e->made,
                              &e->err);
}

static void head(struct tg_buf *b, uint32_t id)
{
    tg_buf_clear(b);
    tg_buf_u32(b, id);
    tg_buf_add(b, client_nonce, 16);
    tg_buf_add(b, server_nonce, 16);
}

static void seal(struct tg_buf *b, const uint8_t *object, size_t n)
{
    uint8_t plain[20 + OBJECT_MAX + 16] = { 0 };
    struct tg_aes_ige_key aes;

    tg_sha1(plain, object, n);
    memcpy(plain + 20, object, n);
    tg_mt_tmp_key(new_nonce, server_nonce, &aes);
    n = (20 + n + 15) & ~(size_t)15;
    tg_aes_ige_encrypt(plain, plain, n, aes.key, aes.iv);
    tl_put_bytes(b, plain, n);
}

static void check(tg_code code, const struct tg_buf *answer)
{
    require(code == TG_AGAIN || code == TG_OK || code == TG_SECURITY || code == TG_PROTOCOL ||
            code == TG_NOT_FOUND);
    if (code != TG_AGAIN && code != TG_OK)
        require(answer->len == 0);
}

/* req_DH_params around any inner data, in either RSA form. */
static void fuzz_inner(struct ends *e, const uint8_t *data, size_t size, bool legacy)
{
    struct tl_reader r;
    uint8_t encrypted[TG_RSA_BYTES];

    if (size > TG_RSA_PAD_DATA_MAX ||
        !(legacy ? tg_rsa_legacy_encrypt : tg_rsa_pad_encrypt)(tg_rsa_private_public(server_key()),
                                                               data, size, &e->client_random,
                                                               encrypted))
        return;
    r = tl_reader_of(e->up.data, e->up.len);
    tl_read_view(&r, 4 + 32 + 8 + 8 + 8); /* the honest request up to its encrypted part */
    require(!r.bad);
    e->up.len -= tl_left(&r);
    tl_put_bytes(&e->up, encrypted, sizeof encrypted);
    check(to_server(e), &e->down);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ends e;
    uint8_t what;

    if (size < 1 || size > OBJECT_MAX)
        return 0;
    what = data[0] % 10;
    data++;
    size--;
    ends_open(&e);
    /* 0 any request; 1 resPQ; 2 what follows its head; 3, 4 inner data; 5 DH answer; 6 its inside;
     * 7 client's inside; 8 dh_gen; 9 any request after the first */
    if (what >= 3)
        require(to_server(&e) == TG_AGAIN && to_client(&e) == TG_AGAIN);
    if (what == 7 || what == 8)
        require(to_server(&e) == TG_AGAIN && to_client(&e) == TG_AGAIN);
    if (what == 3 || what == 4) {
        fuzz_inner(&e, data, size, what == 4);
    } else if (what == 0 || what == 9 || what == 7) {
        if (what == 7) {
            head(&e.up, 0xf5045f1f);
            seal(&e.up, data, size);
        } else {
            tg_buf_clear(&e.up);
            tg_buf_add(&e.up, data, size);
        }
        check(to_server(&e), &e.down);
    } else {
        if (what == 2)
            head(&e.down, 0x05162463);
        else if (what == 6)
            head(&e.down, 0xd0e8075c);
        else
            tg_buf_clear(&e.down);
        if (what == 6)
            seal(&e.down, data, size);
        else
            tg_buf_add(&e.down, data, size);
        check(to_client(&e), &e.up);
    }
    ends_close(&e);
    return 0;
}
