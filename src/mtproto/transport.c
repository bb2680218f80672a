/* SPDX-License-Identifier: MIT */
/*
 * transport.c - cuts a TCP byte stream into MTProto packets and back; see transport.h
 *
 * Bytes are read into the receive buffer (recv.h) and, once the stream's key is known, decrypted
 * there at once; a packet is a view of the waiting bytes.
 *
 * Threads: none: one connection, one caller
 * Limits:  recv.h
 */
#include "mtproto/transport.h"

#include <assert.h>
#include <libdeflate.h>
#include <stdlib.h>

#include "mtproto/obfuscation.h"
#include "mtproto/recv.h"

enum {
    FULL_HEAD = 8,
    FULL_TAIL = 4,
    PAD_MAX = 15,
    SERVER_PAD_MAX = 3, /* widespread clients take length % 4 for the padding */
    QUICK_PAD_MAX = 8,
    REAL_PACKET_MIN = 20, /* shorter payloads are errors and acknowledgements */
};

static const uint32_t quick_bit = 0x80000000;

/* The word that opens each framing; abridged sends a single byte of it. Full has none. */
static const uint32_t tags[MT_FRAMING_COUNT] = {
    [MT_ABRIDGED] = 0xefefefef,
    [MT_INTERMEDIATE] = 0xeeeeeeee,
    [MT_PADDED] = 0xdddddddd,
};

struct mt_transport {
    struct tg_random random;
    enum mt_framing framing;
    bool server;
    bool detected; /* the framing is known: always so for a client */
    bool has_secret;
    bool broken;
    int16_t dc;
    uint8_t secret[16];
    struct mt_obfuscation layer; /* off unless obfuscated */
    uint32_t seq_in, seq_out; /* of full */

    struct mt_recv in;
};

/* One frame at the head of the waiting bytes. */
struct frame {
    size_t head, body, tail;
    bool quick_bit; /* the flag of the length field */
    bool is_token;  /* four bytes of quick acknowledgement outside any frame */
    uint32_t token;
};

/* ---- opening ---- */

static struct mt_transport *transport_new(const struct tg_random *random, const uint8_t *secret)
{
    struct mt_transport *t = calloc(1, sizeof *t);

    assert(random);
    if (!t)
        return NULL;
    t->random = *random;
    if (secret) {
        t->has_secret = true;
        memcpy(t->secret, secret, sizeof t->secret);
    }
    return t;
}

struct mt_transport *mt_transport_new_client(const struct mt_transport_options *options,
                                             const struct tg_random *random, struct tg_buf *out)
{
    struct mt_init say = { .tag = tags[options->framing], .dc = options->dc };
    struct mt_transport *t;

    assert(options->framing < MT_FRAMING_COUNT);
    assert(!options->obfuscated || options->framing != MT_FULL);
    assert(!options->has_secret || options->obfuscated);
    t = transport_new(random, options->has_secret ? options->secret : NULL);
    if (!t)
        return NULL;
    t->framing = options->framing;
    t->dc = options->dc;
    t->detected = true;
    if (options->obfuscated) {
        if (!mt_obfuscation_open(&t->layer, &say, t->has_secret ? t->secret : NULL, random, out)) {
            mt_transport_free(t);
            return NULL;
        }
    } else if (t->framing == MT_ABRIDGED) {
        tg_buf_byte(out, (uint8_t)tags[MT_ABRIDGED]);
    } else if (t->framing != MT_FULL) {
        tg_buf_u32(out, tags[t->framing]);
    }
    return t;
}

struct mt_transport *mt_transport_new_server(const struct tg_random *random, const uint8_t *secret)
{
    struct mt_transport *t = transport_new(random, secret);

    if (t)
        t->server = true;
    return t;
}

void mt_transport_rest(struct mt_transport *t)
{
    if (t->in.at == t->in.len)
        mt_recv_drop(&t->in);
}

void mt_transport_free(struct mt_transport *t)
{
    if (!t)
        return;
    mt_obfuscation_done(&t->layer);
    mt_recv_drop(&t->in);
    explicit_bzero(t, sizeof *t);
    free(t);
}

/* ---- receiving ---- */

uint8_t *mt_transport_room(struct mt_transport *t, size_t *ret_n)
{
    if (mt_recv_enough(&t->in) || !mt_recv_reserve(&t->in, MT_RECV_ROOM)) {
        *ret_n = 0;
        return NULL;
    }
    *ret_n = t->in.cap - t->in.len;
    return t->in.data + t->in.len;
}

tg_code mt_transport_fed(struct mt_transport *t, size_t n, struct tg_error *err)
{
    if (n > t->in.cap - t->in.len)
        return tg_fail(err, TG_INTERNAL, "%zu bytes were read into less room", n);
    mt_obfuscation_read(&t->layer, t->in.data + t->in.len, n);
    t->in.len += n;
    return TG_OK;
}

tg_code mt_transport_feed(struct mt_transport *t, const void *bytes, size_t n,
                          struct tg_error *err)
{
    if (n == 0)
        return TG_OK;
    if (mt_recv_enough(&t->in) || n > MT_RECV_MAX - (t->in.len - t->in.at))
        return tg_fail(err, TG_LIMIT, "more than one largest packet is waiting");
    if (!mt_recv_reserve(&t->in, n))
        return tg_fail(err, TG_NOMEM, "receive buffer of %zu more bytes", n);
    memcpy(t->in.data + t->in.len, bytes, n);
    return mt_transport_fed(t, n, err);
}

/* ---- detection, server role ---- */

static tg_code settle(struct mt_transport *t, enum mt_framing framing, size_t taken)
{
    t->framing = framing;
    t->in.at += taken;
    t->detected = true;
    return TG_OK;
}

static tg_code detect_obfuscated(struct mt_transport *t, struct tg_error *err)
{
    uint8_t *head = t->in.data + t->in.at;
    struct mt_init init;

    if (!mt_obfuscation_accept(&t->layer, head, t->has_secret ? t->secret : NULL, &init))
        return tg_fail(err, TG_NOMEM, "cipher of an obfuscated connection");
    mt_obfuscation_read(&t->layer, head + MT_INIT_SIZE, t->in.len - t->in.at - MT_INIT_SIZE);
    t->dc = init.dc;
    for (int f = 0; f < MT_FRAMING_COUNT; f++) {
        if (tags[f] && init.tag == tags[f])
            return settle(t, (enum mt_framing)f, MT_INIT_SIZE);
    }
    return tg_fail(err, TG_PROTOCOL, "obfuscated stream of no known framing");
}

/* Plain openings are told apart as soon as their bytes are there. */
static tg_code detect_plain(struct mt_transport *t, const uint8_t *p, size_t have,
                            struct tg_error *err)
{
    if (p[0] == 0xef)
        return settle(t, MT_ABRIDGED, 1);
    if (have < 4)
        return TG_AGAIN;
    if (tg_le32(p) == tags[MT_INTERMEDIATE])
        return settle(t, MT_INTERMEDIATE, 4);
    if (tg_le32(p) == tags[MT_PADDED])
        return settle(t, MT_PADDED, 4);
    if (mt_foreign_word(p))
        return tg_fail(err, TG_PROTOCOL, "the peer speaks another protocol");
    if (have >= 8 && tg_le32(p + 4) == 0)
        return settle(t, MT_FULL, 0);
    return TG_AGAIN;
}

static tg_code detect(struct mt_transport *t, struct tg_error *err)
{
    size_t have = t->in.len - t->in.at;
    tg_code code;

    if (have == 0)
        return TG_AGAIN;
    code = detect_plain(t, t->in.data + t->in.at, have, err);
    if (code == TG_OK && t->has_secret)
        return tg_fail(err, TG_PROTOCOL, "the peer does not use the proxy secret");
    if (code == TG_AGAIN && have >= MT_INIT_SIZE)
        return detect_obfuscated(t, err);
    return code;
}

/* ---- frames ---- */

static tg_code head_abridged(const struct mt_transport *t, const uint8_t *p, size_t have,
                             struct frame *ret)
{
    uint32_t words = p[0] & 0x7f;

    *ret = (struct frame){ .head = 1, .quick_bit = p[0] & 0x80 };
    if (ret->quick_bit && !t->server) {
        if (have < 4)
            return TG_AGAIN;
        ret->head = 4;
        ret->is_token = true;
        ret->token = __builtin_bswap32(tg_le32(p));
        return TG_OK;
    }
    if (words == 0x7f) {
        if (have < 4)
            return TG_AGAIN;
        ret->head = 4;
        words = tg_le32(p) >> 8;
    }
    ret->body = (size_t)words * 4;
    return TG_OK;
}

static tg_code head_intermediate(const struct mt_transport *t, const uint8_t *p, size_t have,
                                 struct frame *ret)
{
    uint32_t word;

    if (have < 4)
        return TG_AGAIN;
    word = tg_le32(p);
    *ret = (struct frame){ .head = 4, .quick_bit = word & quick_bit };
    if (ret->quick_bit && !t->server) {
        ret->is_token = true;
        ret->token = word;
        return TG_OK;
    }
    ret->body = word & ~quick_bit;
    return TG_OK;
}

static tg_code head_full(const struct mt_transport *t, const uint8_t *p, size_t have,
                         struct frame *ret, struct tg_error *err)
{
    uint32_t size;

    if (have < FULL_HEAD)
        return TG_AGAIN;
    size = tg_le32(p);
    if (size < FULL_HEAD + FULL_TAIL)
        return tg_fail(err, TG_PROTOCOL, "frame of %u bytes is shorter than its own head", size);
    if (tg_le32(p + 4) != t->seq_in)
        return tg_fail(err, TG_PROTOCOL, "frame number %u came where %u was due", tg_le32(p + 4),
                       t->seq_in);
    *ret = (struct frame){ .head = FULL_HEAD,
                           .body = size - FULL_HEAD - FULL_TAIL,
                           .tail = FULL_TAIL };
    return TG_OK;
}

static tg_code read_head(const struct mt_transport *t, const uint8_t *p, size_t have,
                         struct frame *ret, struct tg_error *err)
{
    struct frame f = { 0 };
    tg_code code;
    size_t body_max = MT_PACKET_MAX + (t->framing == MT_PADDED ? PAD_MAX : 0);

    switch (t->framing) {
    case MT_ABRIDGED:
        code = head_abridged(t, p, have, &f);
        break;
    case MT_FULL:
        code = head_full(t, p, have, &f, err);
        break;
    case MT_INTERMEDIATE:
    case MT_PADDED:
    default:
        code = head_intermediate(t, p, have, &f);
        break;
    }
    if (code != TG_OK)
        return code;
    if (!f.is_token) {
        if (f.body < 4 || f.body > body_max || (t->framing != MT_PADDED && f.body % 4))
            return tg_fail(err, TG_PROTOCOL, "packet of %zu bytes", f.body);
    }
    *ret = f;
    return TG_OK;
}

/* What a client is told in a packet too short for a message. @return false: it means nothing */
static bool read_short(const struct mt_transport *t, const uint8_t *body, size_t len,
                       struct mt_packet *ret)
{
    int32_t word = (int32_t)tg_le32(body);

    if (word == 0)
        return false; /* keep-alive */
    if (t->framing == MT_PADDED && word == -1 && len >= 8) {
        *ret = (struct mt_packet){ .is_quick_ack = true, .quick_ack = tg_le32(body + 4) };
        return true;
    }
    *ret = (struct mt_packet){ .error = word };
    return true;
}

static tg_code check_crc(struct mt_transport *t, const uint8_t *p, const struct frame *f,
                         struct tg_error *err)
{
    if (libdeflate_crc32(0, p, f->head + f->body) != tg_le32(p + f->head + f->body))
        return tg_fail(err, TG_PROTOCOL, "frame checksum differs");
    t->seq_in++;
    return TG_OK;
}

/* Takes one frame. ret->len, error and is_quick_ack all zero: a keep-alive was skipped. */
static tg_code take(struct mt_transport *t, struct mt_packet *ret, struct tg_error *err)
{
    size_t have = t->in.len - t->in.at;
    struct frame f = { 0 };
    uint8_t *p;
    tg_code code;

    if (have == 0)
        return TG_AGAIN;
    p = t->in.data + t->in.at;
    code = read_head(t, p, have, &f, err);
    if (code != TG_OK)
        return code;
    if (have < f.head + f.body + f.tail)
        return TG_AGAIN;
    if (t->framing == MT_FULL) {
        code = check_crc(t, p, &f, err);
        if (code != TG_OK)
            return code;
    }
    mt_recv_take(&t->in, f.head + f.body + f.tail, f.head + f.body);
    *ret = (struct mt_packet){ 0 };
    if (f.is_token) {
        *ret = (struct mt_packet){ .is_quick_ack = true, .quick_ack = f.token };
    } else if (!t->server && f.body < REAL_PACKET_MIN) {
        if (read_short(t, p + f.head, f.body, ret) && ret->error > 0)
            return tg_fail(err, TG_PROTOCOL, "packet of %zu bytes", f.body);
    } else {
        *ret = (struct mt_packet){ .at = p + f.head,
                                   .len = f.body,
                                   .wants_quick_ack = f.quick_bit };
    }
    return TG_OK;
}

tg_code mt_transport_next(struct mt_transport *t, struct mt_packet *ret, struct tg_error *err)
{
    struct mt_packet packet = { 0 };
    tg_code code = TG_OK;

    if (t->broken)
        return tg_fail(err, TG_PROTOCOL, "the stream cannot be read after an error");
    if (!t->detected)
        code = detect(t, err);
    while (code == TG_OK && !packet.len && !packet.error && !packet.is_quick_ack)
        code = take(t, &packet, err);
    if (code == TG_OK)
        *ret = packet;
    else if (code != TG_AGAIN)
        t->broken = true;
    return code;
}

/* ---- sending ---- */

static size_t pad_size(const struct mt_transport *t, unsigned n_values)
{
    uint8_t r;

    if (t->framing != MT_PADDED)
        return 0;
    tg_random_fill(&t->random, &r, 1);
    return r % n_values;
}

static uint8_t *put_head(struct mt_transport *t, uint8_t *p, size_t len, bool quick_ack)
{
    uint8_t flag = quick_ack ? 0x80 : 0;
    size_t words = len / 4;

    switch (t->framing) {
    case MT_ABRIDGED:
        if (words < 0x7f) {
            *p = (uint8_t)words | flag;
            return p + 1;
        }
        tg_put_le32(p, (uint32_t)words << 8 | 0x7f | flag);
        return p + 4;
    case MT_FULL:
        tg_put_le32(p, (uint32_t)(len + FULL_HEAD + FULL_TAIL));
        tg_put_le32(p + 4, t->seq_out++);
        return p + FULL_HEAD;
    case MT_INTERMEDIATE:
    case MT_PADDED:
    default:
        tg_put_le32(p, (uint32_t)len | (quick_ack ? quick_bit : 0));
        return p + 4;
    }
}

static size_t head_size(const struct mt_transport *t, size_t len)
{
    switch (t->framing) {
    case MT_ABRIDGED:
        return len / 4 < 0x7f ? 1 : 4;
    case MT_FULL:
        return FULL_HEAD;
    case MT_INTERMEDIATE:
    case MT_PADDED:
    default:
        return 4;
    }
}

static void write_frame(struct mt_transport *t, const void *payload, size_t len,
                        struct tg_buf *out, bool quick_ack)
{
    unsigned pad_max = len < REAL_PACKET_MIN ? QUICK_PAD_MAX
                       : t->server           ? SERVER_PAD_MAX
                                             : PAD_MAX;
    size_t pad = pad_size(t, pad_max + 1);
    size_t total = head_size(t, len) + len + pad + (t->framing == MT_FULL ? FULL_TAIL : 0);
    uint8_t *frame = tg_buf_extend(out, total);
    uint8_t *p;

    if (!frame)
        return;
    p = put_head(t, frame, len + pad, quick_ack);
    memcpy(p, payload, len);
    p += len;
    if (pad)
        tg_random_fill(&t->random, p, pad);
    if (t->framing == MT_FULL)
        tg_put_le32(p, libdeflate_crc32(0, frame, (size_t)(p - frame)));
    mt_obfuscation_write(&t->layer, frame, total);
}

void mt_transport_write(struct mt_transport *t, const void *packet, size_t len, bool quick_ack,
                        struct tg_buf *out)
{
    assert(t->detected);
    assert(len % 4 == 0);
    if (len < 4 || len > MT_PACKET_MAX) {
        out->failed = true;
        return;
    }
    write_frame(t, packet, len, out, quick_ack && t->framing != MT_FULL && !t->server);
}

void mt_transport_write_error(struct mt_transport *t, int32_t code, struct tg_buf *out)
{
    uint8_t word[4];

    assert(t->server && code < 0);
    if (!t->detected)
        return;
    tg_put_le32(word, (uint32_t)code);
    write_frame(t, word, sizeof word, out, false);
}

void mt_transport_write_quick_ack(struct mt_transport *t, uint32_t token, struct tg_buf *out)
{
    uint8_t bytes[8];

    assert(t->server && t->detected);
    token |= quick_bit;
    switch (t->framing) {
    case MT_PADDED:
        tg_put_le32(bytes, UINT32_MAX);
        tg_put_le32(bytes + 4, token);
        write_frame(t, bytes, sizeof bytes, out, false);
        return;
    case MT_FULL:
        return; /* knows no quick acknowledgement */
    case MT_ABRIDGED:
        token = __builtin_bswap32(token);
        break;
    case MT_INTERMEDIATE:
    default:
        break;
    }
    tg_put_le32(bytes, token);
    if (tg_buf_room(out, 4)) {
        mt_obfuscation_write(&t->layer, bytes, 4);
        tg_buf_add(out, bytes, 4);
    }
}

bool mt_transport_detected(const struct mt_transport *t, enum mt_framing *ret, bool *ret_obfuscated,
                           int16_t *ret_dc)
{
    if (!t->detected)
        return false;
    *ret = t->framing;
    *ret_obfuscated = t->layer.on;
    *ret_dc = t->dc;
    return true;
}
