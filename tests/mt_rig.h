/* SPDX-License-Identifier: MIT */
/*
 * mt_rig.h - packets made and read by hand, for tests of either side of a session
 *
 * A rig knows the key and plays the other side of what is tested: it seals any message, however
 * wrong, and opens what comes back into a flat list of messages.
 *
 * Threads: none
 */
#ifndef TESTS_MT_RIG_H
#define TESTS_MT_RIG_H

#include <assert.h>

#include "mtproto/envelope.h"
#include "mtproto/ids.h"
#include "mtproto/msg_ids.h"
#include "mtproto/transport.h"
#include "tl/reader.h"

#define RIG_NOW_US (INT64_C(1700000000) * TG_SECOND_US)

enum { RIG_MESSAGES_MAX = 4096 };

/* A message that the tested side sent; `container` is 0 if it came bare. */
struct rig_message {
    uint64_t msg_id, container;
    uint32_t seq_no, id, len;
    uint8_t salt[8];
    uint64_t session_id;
    size_t at; /* of the body in rig.bytes */
};

struct rig_wire {
    struct mt_key key;
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct tg_buf bytes; /* bodies of all messages */
    struct rig_message message[RIG_MESSAGES_MAX];
    size_t n, n_packets;
};

static inline void rig_wire_init(struct rig_wire *w, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    tg_random_seeded_init(&w->seeded, seed);
    w->random = tg_random_seeded(&w->seeded);
    tg_random_fill(&w->random, w->key.key, sizeof w->key.key);
    mt_key_derive(&w->key);
    tg_buf_init(&w->bytes, 256 << 20);
}

static inline void rig_wire_done(struct rig_wire *w)
{
    tg_buf_done(&w->bytes);
}

static inline void rig_wire_clear(struct rig_wire *w)
{
    w->n = w->n_packets = 0;
    tg_buf_clear(&w->bytes);
}

static inline void rig_add(struct rig_wire *w, const struct mt_message *m, uint64_t container)
{
    struct rig_message *to = &w->message[w->n++];

    assert(w->n <= RIG_MESSAGES_MAX);
    *to = (struct rig_message){ .msg_id = m->msg_id, .container = container, .seq_no = m->seq_no,
                                .id = m->len >= 4 ? tg_le32(m->body) : 0, .len = m->len,
                                .session_id = m->session_id, .at = w->bytes.len };
    memcpy(to->salt, m->salt, 8);
    tg_buf_add(&w->bytes, m->body, m->len);
}

/* Opens one packet of the tested side and lists its messages. */
static inline void rig_open(struct rig_wire *w, enum mt_side side, struct mt_packet *packet)
{
    struct mt_message m;
    struct tg_error err;
    struct tl_reader r;

    if (mt_envelope_open(&w->key, side, false, packet->at, packet->len, &m, &err) != TG_OK)
        assert(!"a packet that the key does not open");
    w->n_packets++;
    if (m.len < 4 || tg_le32(m.body) != MT_ID_MSG_CONTAINER) {
        rig_add(w, &m, 0);
        return;
    }
    r = tl_reader_of(m.body + 4, m.len - 4);
    for (uint32_t n = tl_read_u32(&r); n > 0; n--) {
        struct mt_message inner = m;

        inner.msg_id = (uint64_t)tl_read_i64(&r);
        inner.seq_no = tl_read_u32(&r);
        inner.len = tl_read_u32(&r);
        inner.body = m.body + (r.at - m.body);
        tl_read_view(&r, inner.len);
        assert(!r.bad && inner.msg_id < m.msg_id);
        rig_add(w, &inner, m.msg_id);
    }
    assert(tl_left(&r) == 0 && m.seq_no % 2 == 0);
}

/* @return the n-th message of that constructor, or NULL */
static inline const struct rig_message *rig_find(const struct rig_wire *w, uint32_t id, size_t n)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->message[i].id == id && n-- == 0)
            return &w->message[i];
    return NULL;
}

static inline const uint8_t *rig_body(const struct rig_wire *w, const struct rig_message *m)
{
    return w->bytes.data + m->at;
}

static inline void rig_bytes(struct tg_buf *b, const void *bytes, size_t n)
{
    size_t start = b->len;

    if (n < 254) {
        tg_buf_byte(b, (uint8_t)n);
    } else {
        tg_buf_u32(b, 0xfe | (uint32_t)n << 8);
    }
    tg_buf_add(b, bytes, n);
    while ((b->len - start) % 4)
        tg_buf_byte(b, 0);
}

static inline void rig_ids(struct tg_buf *b, const uint64_t *ids, size_t n)
{
    tg_buf_u32(b, MT_ID_VECTOR);
    tg_buf_u32(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        tg_buf_u64(b, ids[i]);
}

static inline uint64_t rig_id(int64_t us, unsigned kind)
{
    struct mt_clock c = { .started = true, .local_us = us, .wall_us = us };

    return mt_clock_id(&c, kind);
}

#endif
