/* SPDX-License-Identifier: MIT */
/*
 * session_server_store.c - what the server role remembers: salts, sessions, messages not yet
 * acknowledged; see session_server.h
 *
 * Salts are not stored: the salt of a period is a keyed mix of key id and period number, so every
 * key has one for all times. Only the first salt of a key, which the handshake defines, is kept.
 *
 * Threads: none: one caller      Limits: see session_server_impl.h
 */
#include "mtproto/session_server_impl.h"

#include <assert.h>
#include <stdlib.h>

/* ---- salts ---- */

static uint64_t mix(uint64_t v)
{
    v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
    return v ^ v >> 31;
}

static int64_t salt_every(const struct mt_server *s)
{
    return s->options.salt_every_us > 0 ? s->options.salt_every_us : MT_SRV_SALT_EVERY_US;
}

void mt_srv_salt_at(const struct mt_server *s, const uint8_t key_id[8], int64_t period,
                    uint8_t ret[8])
{
    tg_put_le64(ret, mix(mix(s->secret ^ tg_le64(key_id)) + (uint64_t)period));
}

void mt_srv_salt(const struct mt_server *s, const uint8_t key_id[8], uint8_t ret[8])
{
    mt_srv_salt_at(s, key_id, mt_clock_peer_us(&s->clock) / salt_every(s), ret);
}

static const struct mt_srv_key *find_key(const struct mt_server *s, const uint8_t id[8])
{
    for (size_t i = 0; i < MT_SRV_KEYS_MAX && s->keys[i].made_us; i++)
        if (memcmp(s->keys[i].id, id, 8) == 0)
            return &s->keys[i];
    return NULL;
}

bool mt_srv_salt_valid(const struct mt_server *s, const uint8_t key_id[8], const uint8_t salt[8])
{
    int64_t now = mt_clock_peer_us(&s->clock), period = now / salt_every(s);
    const struct mt_srv_key *key;
    uint8_t made[8];

    for (int64_t back = 0; back < 2; back++) { /* a salt lives one period longer than it is new */
        mt_srv_salt_at(s, key_id, period - back, made);
        if (memcmp(made, salt, 8) == 0)
            return true;
    }
    key = find_key(s, key_id);
    return key && memcmp(key->first_salt, salt, 8) == 0 && now - key->made_us < 2 * salt_every(s);
}

void mt_srv_key_made(struct mt_server *s, const uint8_t id[8], const uint8_t first_salt[8])
{
    struct mt_srv_key *key = &s->keys[s->key_at++ % MT_SRV_KEYS_MAX];

    memcpy(key->id, id, 8);
    memcpy(key->first_salt, first_salt, 8);
    key->made_us = TG_MAX(mt_clock_peer_us(&s->clock), INT64_C(1));
}

/* ---- messages ---- */

void mt_srv_due(struct mt_srv_session *session, struct mt_srv_msg *m)
{
    if (m->due)
        return;
    m->due = true;
    m->due_next = NULL;
    m->due_prev = session->due_last;
    *(session->due_last ? &session->due_last->due_next : &session->due_first) = m;
    session->due_last = m;
    session->n_due++;
}

void mt_srv_undue(struct mt_srv_session *session, struct mt_srv_msg *m)
{
    if (!m->due)
        return;
    m->due = false;
    *(m->due_prev ? &m->due_prev->due_next : &session->due_first) = m->due_next;
    *(m->due_next ? &m->due_next->due_prev : &session->due_last) = m->due_prev;
    session->n_due--;
}

void mt_srv_drop(struct mt_srv_session *session, struct mt_srv_msg *m)
{
    mt_srv_undue(session, m);
    *(m->prev ? &m->prev->next : &session->first) = m->next;
    *(m->next ? &m->next->prev : &session->last) = m->prev;
    if (mt_idmap_get(&session->by_id, m->msg_id) == m)
        mt_idmap_take(&session->by_id, m->msg_id);
    if (m->answer && mt_idmap_get(&session->by_req, m->req_msg_id) == m)
        mt_idmap_take(&session->by_req, m->req_msg_id);
    session->n_kept--;
    session->kept_bytes -= m->len;
    free(m);
}

void mt_srv_bound(struct mt_srv_session *session)
{
    struct mt_srv_msg *m = session->first, *next;
    size_t sent = session->n_kept - session->n_due;

    for (; m && (sent > MT_SRV_KEPT_MAX || session->kept_bytes > MT_SRV_KEPT_BYTES); m = next) {
        next = m->next;
        if (m->due)
            continue;
        if (m->answer) /* the query may run again: nobody knows that it did */
            mt_seen_remove(&session->seen, m->req_msg_id);
        mt_srv_drop(session, m);
        sent--;
    }
}

uint64_t mt_srv_msg_id(struct mt_srv_session *session, struct mt_server *s, unsigned kind)
{
    uint64_t id;

    s->clock.last_id = session->last_id;
    id = mt_clock_id(&s->clock, kind);
    session->last_id = id;
    return id;
}

struct mt_srv_msg *mt_srv_add(struct mt_srv_session *session, bool content, uint64_t req_msg_id,
                              const void *body, size_t len)
{
    struct mt_srv_msg *m;

    assert(session->conn && len % 4 == 0);
    if (session->n_due >= MT_SRV_DUE_MAX || len > MT_MESSAGE_MAX) {
        session->conn->closing = true;
        return NULL;
    }
    m = malloc(sizeof *m + len);
    if (!m)
        return NULL;
    *m = (struct mt_srv_msg){ .req_msg_id = req_msg_id, .len = (uint32_t)len, .content = content };
    m->msg_id = mt_srv_msg_id(session, session->conn->server, req_msg_id ? 1 : 3);
    m->seq_no = content ? 2 * session->n_content++ + 1 : 2 * session->n_content;
    if (body)
        memcpy(m->body, body, len);
    if (content && !mt_idmap_put(&session->by_id, m->msg_id, m)) {
        free(m);
        return NULL;
    }
    m->prev = session->last;
    *(session->last ? &session->last->next : &session->first) = m;
    session->last = m;
    session->n_kept++;
    session->kept_bytes += len;
    mt_srv_due(session, m);
    return m;
}

/* ---- sessions ---- */

static uint64_t slot_of(const struct mt_server *s, const uint8_t key_id[8], uint64_t session_id)
{
    return mix(mix(s->secret + tg_le64(key_id)) ^ session_id);
}

struct mt_srv_session *mt_srv_find(const struct mt_server *s, const uint8_t key_id[8],
                                   uint64_t session_id)
{
    struct mt_srv_session *x = mt_idmap_get(&s->sessions, slot_of(s, key_id, session_id));

    return x && x->session_id == session_id && memcmp(x->key_id, key_id, 8) == 0 ? x : NULL;
}

static void list_remove(struct mt_server *s, struct mt_srv_session *x)
{
    *(x->prev ? &x->prev->next : &s->first) = x->next;
    *(x->next ? &x->next->prev : &s->last) = x->prev;
}

static void list_front(struct mt_server *s, struct mt_srv_session *x)
{
    x->prev = NULL;
    x->next = s->first;
    *(s->first ? &s->first->prev : &s->last) = x;
    s->first = x;
}

void mt_srv_detach(struct mt_srv_session *x)
{
    struct mt_srv_session **at;

    if (!x->conn)
        return;
    for (at = &x->conn->sessions; *at != x; at = &(*at)->conn_next)
        assert(*at);
    *at = x->conn_next;
    x->conn = NULL;
}

void mt_srv_forget(struct mt_server *s, struct mt_srv_session *x)
{
    mt_srv_detach(x);
    list_remove(s, x);
    mt_idmap_take(&s->sessions, x->slot);
    s->n_sessions--;
    while (x->first)
        mt_srv_drop(x, x->first);
    mt_idmap_done(&x->by_id);
    mt_idmap_done(&x->by_req);
    mt_seen_done(&x->seen);
    free(x);
}

/* Makes room for one more: the session unused for longest goes, a living one only if it must. */
static void evict(struct mt_server *s)
{
    struct mt_srv_session *x = s->last;

    if (s->n_sessions < MT_SRV_SESSIONS_MAX)
        return;
    while (x && x->conn)
        x = x->prev;
    mt_srv_forget(s, x ? x : s->last);
}

static struct mt_srv_session *make(struct mt_server *s, const uint8_t key_id[8],
                                   uint64_t session_id)
{
    struct mt_srv_session *x, *other;

    evict(s);
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    memcpy(x->key_id, key_id, 8);
    x->session_id = session_id;
    x->slot = slot_of(s, key_id, session_id);
    mt_seen_init(&x->seen, MT_SRV_SEEN_MAX);
    other = mt_idmap_get(&s->sessions, x->slot);
    if (other)
        mt_srv_forget(s, other);
    if (!mt_idmap_put(&s->sessions, x->slot, x)) {
        free(x);
        return NULL;
    }
    list_front(s, x);
    s->n_sessions++;
    return x;
}

struct mt_srv_session *mt_srv_attach(struct mt_server_conn *c, const uint8_t key_id[8],
                                     uint64_t session_id)
{
    struct mt_srv_session *x = mt_srv_find(c->server, key_id, session_id);

    if (!x && !(x = make(c->server, key_id, session_id)))
        return NULL;
    list_remove(c->server, x);
    list_front(c->server, x);
    if (x->conn == c)
        return x;
    mt_srv_detach(x);
    x->conn = c;
    x->conn_next = c->sessions;
    c->sessions = x;
    x->remind_us = mt_clock_peer_us(&c->server->clock) + MT_SRV_REMIND_US;
    while (x->due_first)
        mt_srv_undue(x, x->due_first);
    for (struct mt_srv_msg *m = x->first; m; m = m->next)
        mt_srv_due(x, m); /* in order, and all: nobody knows what arrived */
    return x;
}
