/* SPDX-License-Identifier: MIT */
/*
 * client_link.c - one DC's connection: dialling, making keys, running the session
 *
 * A session object outlives connections, so calls in flight survive a reconnect. A permanent key is
 * made once and stored; a temporary key (forward secrecy) is made per run, bound to the permanent
 * one before any other call, and replaced a quarter of its life before it ends.
 *
 * Facts: core.telegram.org/api/pfs, /mtproto/mtproto-transports#transport-errors.
 */
#include <assert.h>
#include <stdlib.h>

#include "telegram/client_impl.h"

enum { OUT_MAX = 64 << 20, TEST_DC = 10000, FIRST_ATTEMPTS = 5, KEY_UNKNOWN_MAX = 3 };
#define DIAL_MAX_US (15 * TG_SECOND_US)      /* connecting, or one step of a handshake */
#define STABLE_US (30 * TG_SECOND_US)        /* a link that lived so long starts backoff anew */

struct tg_dc_state *tgc_dc_state(struct tgc *c, const struct tgc_link *link)
{
    return &c->options.session->dc[link->slot];
}

static bool has_address(const struct tg_session_data *s, int32_t dc)
{
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (dc && s->dc[i].id == dc)
            return s->dc[i].address.host[0] != 0;
    return false;
}

/* @return NULL out of memory */
static struct tgc_link *new_link(struct tgc *c, int32_t dc, uint32_t index, uint32_t slot)
{
    struct tgc_link *link = calloc(1, sizeof *link);

    assert(!c->link[index]);
    if (!link)
        return NULL;
    link->dc = dc;
    link->index = index;
    link->slot = slot;
    link->client = c;
    link->rest_us = INT64_MAX;
    tg_buf_init(&link->out, OUT_MAX);
    c->link[index] = link;
    return link;
}

void tgc_set_media(struct tgc *c, int32_t dc, const struct tg_dc_address *where)
{
    size_t i = 0;

    while (i < c->n_media && c->media[i].dc != dc)
        i++;
    if (i == TGC_MEDIA_DCS || i < c->n_media || dc <= 0 || dc >= TGC_MEDIA_STEP)
        return;
    c->media[i].dc = dc;
    c->media[i].where = *where;
    c->n_media++;
}

/* The login must be there already, since it is the DC's own connection that carries it. */
int32_t tgc_media(const struct tgc *c, int32_t dc, uint32_t n)
{
    const struct tg_session_data *s = c->options.session;
    bool ready = false, known = false;

    for (size_t i = 0; i < TG_DC_MAX; i++)
        ready |= s->dc[i].id == dc && s->dc[i].has_key && s->dc[i].authorized;
    for (size_t i = 0; i < c->n_media; i++)
        known |= c->media[i].dc == dc;
    assert(n < TGC_MEDIA_LINKS);
    return ready && known && !c->media_off ? dc + (int32_t)(n + 1) * TGC_MEDIA_STEP : dc;
}

/* @return NULL: it is not known where that is */
static struct tgc_link *media_link(struct tgc *c, int32_t dc)
{
    struct tg_dc_state *state = tg_session_dc(c->options.session, tgc_real_dc(dc));
    uint32_t index = TG_DC_MAX;
    struct tgc_link *link;
    size_t i = 0;

    while (index < TGC_LINKS_MAX && c->link[index])
        index++;
    while (i < c->n_media && c->media[i].dc != tgc_real_dc(dc))
        i++;
    if (!state || i == c->n_media || index == TGC_LINKS_MAX)
        return NULL;
    link = new_link(c, dc, index, (uint32_t)(state - c->options.session->dc));
    if (link)
        link->media = c->media[i].where;
    return link;
}

struct tgc_link *tgc_link_of(struct tgc *c, int32_t dc)
{
    const struct tg_dc_address *known;
    struct tg_dc_state *state;
    uint32_t slot;

    for (size_t i = 0; i < TGC_LINKS_MAX; i++)
        if (dc && c->link[i] && c->link[i]->dc == dc)
            return c->link[i];
    if (dc >= TGC_MEDIA_STEP)
        return media_link(c, dc);
    known = tg_datacenter_address(tgc_knows_cdn(c, dc) ? &c->cdn : c->options.where, dc);
    if (!known && !has_address(c->options.session, dc))
        return NULL;
    state = tg_session_dc(c->options.session, dc);
    if (!state)
        return NULL;
    if (known)
        state->address = *known; /* rather than what an earlier run was told */
    slot = (uint32_t)(state - c->options.session->dc);
    return new_link(c, dc, slot, slot);
}

bool tgc_link_ready(const struct tgc_link *link)
{
    return link->state == TGC_READY && link->bound && !link->failed;
}

void tgc_link_free(struct tgc_link *link)
{
    if (!link)
        return;
    mt_transport_free(link->transport);
    mt_handshake_free(link->handshake);
    mt_session_free(link->session);
    mt_key_wipe(&link->temp);
    tg_buf_wipe(&link->out);
    free(link);
}

static void enter(struct tgc_link *link, enum tgc_link_state state, int64_t now_us)
{
    link->state = state;
    link->since_us = now_us;
}

/* Hands what was gathered to the owner's socket. */
static void send_out(struct tgc *c, struct tgc_link *link)
{
    if (link->out.failed) {
        link->failed = true;
        tg_fail(&link->why, TG_LIMIT, "output for DC %d passed its bound", link->dc);
    } else if (link->out.len && link->state > TGC_DIALING) {
        c->stats.bytes_out += link->out.len;
        c->options.io->send(c->options.io->ctx, link->index, link->out.data,
                            link->out.len);
    }
    tg_buf_clear(&link->out);
}

void tgc_link_want(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    struct tg_dc_state *state = tgc_dc_state(c, link);
    struct tgc_notice notice = { .kind = TGC_CONNECTING, .dc = tgc_real_dc(link->dc) };

    if (link->state != TGC_DOWN || now_us < link->retry_us)
        return;
    enter(link, TGC_DIALING, now_us);
    link->failed = false;
    tgc_notify(c, &notice);
    c->options.io->dial(c->options.io->ctx, link->index,
                        link->media.host[0] ? &link->media : &state->address);
}

static void close_parts(struct tgc_link *link)
{
    if (link->session)
        mt_session_disconnected(link->session);
    mt_transport_free(link->transport);
    link->transport = NULL;
    mt_handshake_free(link->handshake);
    link->handshake = NULL;
    tg_buf_clear(&link->out);
}

/* Nothing is left of what the link was: the next connection makes new keys and a new session. */
static void forget_all(struct tgc *c, struct tgc_link *link)
{
    link->forget = false;
    tgc_link_forget_temp(link);
    mt_session_free(link->session);
    link->session = NULL;
    tgc_requeue_link(c, link->dc);
}

/* A DC that was never reached in this run is given up sooner than one that was. */
static bool too_often(const struct tgc *c, const struct tgc_link *link)
{
    uint32_t most = c->options.retry.attempts_max;

    if (!link->was_ready)
        most = TG_MIN(most, (uint32_t)FIRST_ATTEMPTS);
    return most && link->attempts >= most;
}

/* The connection is down; the next try waits. */
static void went_down(struct tgc *c, struct tgc_link *link, const struct tg_error *why,
                      int64_t now_us)
{
    struct tgc_notice notice = { .kind = TGC_LOST, .dc = tgc_real_dc(link->dc), .err = why };
    bool stable = link->state == TGC_READY && now_us - link->since_us > STABLE_US;

    close_parts(link);
    if (link->forget)
        forget_all(c, link);
    if (stable)
        link->attempts = 0;
    notice.wait_us = tg_backoff_wait(&c->options.retry.backoff, link->attempts,
                                     tg_random_u64(c->options.random));
    if (link->attempts == 0 && why->code == TG_NET)
        notice.wait_us = 0; /* a first loss is tried again at once */
    link->attempts++;
    if (too_often(c, link)) {
        link->hopeless = true;
        tg_fail(&link->why, why->code, "DC %d cannot be reached: %.400s", tgc_real_dc(link->dc),
                why->message);
        tg_hint(&link->why, "check the network, the proxy and the data centre's address");
    }
    link->retry_us = now_us + notice.wait_us;
    link->failed = false;
    enter(link, TGC_DOWN, now_us);
    c->stats.n_reconnects++;
    tgc_notify(c, &notice);
}

void tgc_link_forget(struct tgc *c, struct tgc_link *link, const struct tg_error *why)
{
    if (link->state == TGC_DOWN) {
        forget_all(c, link);
        return;
    }
    link->failed = link->forget = true; /* a callback of the session may be running */
    link->why = *why;
}

void tgc_link_drop(struct tgc *c, struct tgc_link *link, const struct tg_error *why, int64_t now_us)
{
    if (link->state == TGC_DOWN)
        return;
    if (link->receiving) { /* its bytes are being read: dropped when that is over */
        if (!link->failed)
            link->why = *why;
        link->failed = true;
        return;
    }
    c->options.io->hang_up(c->options.io->ctx, link->index);
    went_down(c, link, why, now_us);
}

void tgc_link_down(struct tgc *c, uint32_t index, const struct tg_error *why, int64_t now_us)
{
    struct tgc_link *link = c->link[index];

    assert(index < TGC_LINKS_MAX);
    if (link->state == TGC_DOWN)
        return;
    went_down(c, link, why, now_us);
    tgc_circuit_lost(c, link->dc, why);
}

/* ---- keys ---- */

static void send_plain(struct tgc *c, struct tgc_link *link, const struct tg_buf *body,
                       int64_t now_us)
{
    struct tg_buf packet;
    uint64_t id = ((uint64_t)(now_us / TG_SECOND_US) << 32 |
                   (uint64_t)(now_us % TG_SECOND_US * 4294)) &
                  ~UINT64_C(3);

    link->plain_msg_id = id > link->plain_msg_id ? id : link->plain_msg_id + 4;
    tg_buf_init(&packet, MT_PACKET_MAX);
    mt_plain_write(link->plain_msg_id, body->data, body->len, &packet);
    if (!packet.failed)
        mt_transport_write(link->transport, packet.data, packet.len, false, &link->out);
    tg_buf_wipe(&packet);
    send_out(c, link);
}

/* As the protocol has it: a test DC's is higher, a media DC's negative. */
static int32_t dc_number(const struct tgc_link *link)
{
    int32_t dc = tgc_real_dc(link->dc) + (link->client->options.where->test ? TEST_DC : 0);

    return link->media.host[0] ? -dc : dc;
}

static void start_handshake(struct tgc *c, struct tgc_link *link, bool temporary, int64_t now_us)
{
    const struct tg_datacenter *where =
        tgc_knows_cdn(c, link->dc) ? &c->cdn : c->options.where;
    struct mt_handshake_options options = {
        .rsa = where->rsa,
        .n_rsa = where->n_rsa,
        .dc = dc_number(link),
        .dh_cache = &c->dh_cache,
        .temp_expires_in = temporary ? (int32_t)c->options.temp_key_s : 0,
    };
    struct tg_buf body;

    tg_buf_init(&body, 4096);
    mt_handshake_free(link->handshake);
    link->handshake = mt_handshake_new(&options, c->options.random, &body);
    enter(link, temporary ? TGC_TEMP_KEY : TGC_KEY, now_us);
    if (link->handshake)
        send_plain(c, link, &body, now_us);
    else {
        link->failed = true;
        tg_fail(&link->why, TG_NOMEM, "no memory for a handshake with DC %d", link->dc);
    }
    tg_buf_wipe(&body);
}

static void on_event(void *ctx, const struct mt_event *event);

static void run_session(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    const struct tg_dc_state *state = tgc_dc_state(c, link);
    const struct mt_key *key = tgc_pfs(link) ? &link->temp : &state->key;
    const uint8_t *salt = tgc_pfs(link) ? link->temp_salt : state->salt;
    struct mt_session_options options = {
        .random = c->options.random,
        .on_event = on_event,
        .ctx = link,
        .gzip_requests = true,
    };
    struct tgc_notice notice = { .kind = TGC_CONNECTED, .dc = tgc_real_dc(link->dc) };

    if (!link->session) {
        link->session = mt_session_new(&options, key, salt, state->time_offset_us);
        if (!link->session) {
            link->failed = true;
            tg_fail(&link->why, TG_NOMEM, "no memory for a session with DC %d", link->dc);
            return;
        }
        link->bound = !tgc_pfs(link);
    }
    enter(link, TGC_READY, now_us);
    link->was_ready |= link->bound;
    link->bind_attempts = 0;
    tgc_bind_when_due(link, now_us);
    mt_session_connected(link->session, link->transport, now_us);
    tgc_link_flush(c, link, now_us);
    tgc_notify(c, &notice);
}

/* Keys end by the server's clock. */
static bool temp_key_stale(struct tgc *c, const struct tgc_link *link, int64_t now_us)
{
    int64_t server_us = now_us + tgc_dc_state(c, link)->time_offset_us;

    return tgc_pfs(link) &&
           link->temp.expires_at - c->options.temp_key_s / 4 <= server_us / TG_SECOND_US;
}

/* Goes on with what the link lacks: a permanent key, a temporary key, the session. */
static void proceed(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    if (!tgc_dc_state(c, link)->has_key && link->media.host[0]) {
        link->failed = c->media_off = true; /* that key is not for it to make */
        tg_fail(&link->why, TG_NET, "DC %d lost its key", tgc_real_dc(link->dc));
    } else if (!tgc_dc_state(c, link)->has_key)
        start_handshake(c, link, false, now_us);
    else if (temp_key_stale(c, link, now_us))
        start_handshake(c, link, true, now_us);
    else
        run_session(c, link, now_us);
}

void tgc_link_up(struct tgc *c, uint32_t index, int64_t now_us)
{
    struct tgc_link *link = c->link[index];
    struct mt_transport_options options = c->options.transport;

    assert(index < TGC_LINKS_MAX);
    c->now_us = now_us;
    if (link->state != TGC_DIALING)
        return;
    options.dc = (int16_t)dc_number(link);
    link->transport = mt_transport_new_client(&options, c->options.random, &link->out);
    if (!link->transport) {
        link->failed = true; /* the tick drops it */
        tg_fail(&link->why, TG_NOMEM, "no memory for a connection to DC %d", link->dc);
        return;
    }
    proceed(c, link, now_us);
}

static void keep_permanent(struct tgc *c, struct tgc_link *link,
                           const struct mt_handshake_result *made)
{
    struct tg_dc_state *state = tgc_dc_state(c, link);

    state->key = made->key;
    memcpy(state->salt, made->salt, 8);
    state->time_offset_us = made->time_offset_s * TG_SECOND_US;
    state->has_key = true;
    state->authorized = false;
    link->key_made_us = c->now_us;
    tgc_save(c);
}

static void keep_temporary(struct tgc *c, struct tgc_link *link,
                           const struct mt_handshake_result *made)
{
    link->temp = made->key;
    tgc_dc_state(c, link)->time_offset_us = made->time_offset_s * TG_SECOND_US;
    memcpy(link->temp_salt, made->salt, 8);
    link->bound = link->binding = link->inited = false;
    if (link->session)
        mt_session_set_key(link->session, &link->temp, link->temp_salt);
}

void tgc_handshake_packet(struct tgc *c, struct tgc_link *link, struct mt_packet *packet,
                          int64_t now_us)
{
    struct mt_handshake_result made;
    struct mt_message message;
    struct tg_buf body;
    tg_code code;

    if (!mt_is_plain(packet->at, packet->len))
        return; /* left over from an earlier key */
    tg_buf_init(&body, 8192);
    code = mt_plain_open(packet->at, packet->len, &message, &link->why);
    if (code == TG_OK)
        code = mt_handshake_input(link->handshake, message.body, message.len,
                                  now_us / TG_SECOND_US, &body, &made, &link->why);
    if (code == TG_AGAIN) {
        send_plain(c, link, &body, now_us);
    } else if (code == TG_OK) {
        mt_handshake_free(link->handshake);
        link->handshake = NULL;
        if (link->state == TGC_KEY)
            keep_permanent(c, link, &made);
        else
            keep_temporary(c, link, &made);
        proceed(c, link, now_us);
        mt_key_wipe(&made.key);
    } else {
        link->failed = true;
    }
    tg_buf_wipe(&body);
}

void tgc_link_forget_temp(struct tgc_link *link)
{
    mt_key_wipe(&link->temp);
    memset(&link->temp, 0, sizeof link->temp);
    link->bound = !tgc_pfs(link);
    if (link->binding && link->session)
        mt_session_cancel(link->session, link->bind_call); /* it was for that key */
    link->binding = link->inited = false;
}

void tgc_key_unknown(struct tgc *c, struct tgc_link *link)
{
    bool handshake = link->state == TGC_KEY || link->state == TGC_TEMP_KEY;

    if (handshake || (tgc_pfs(link) && link->temp.expires_at)) {
        tgc_link_forget_temp(link);
        return; /* the next connection makes another */
    }
    if (++link->n_key_unknown < KEY_UNKNOWN_MAX)
        return; /* a login is not thrown away for what one server says once */
    link->n_key_unknown = 0;
    tgc_key_gone(c, link);
    mt_session_free(link->session);
    link->session = NULL;
    tgc_requeue_link(c, link->dc);
}

/* Updates come at home. */
static void tell_updates(const struct tgc_link *link, const struct mt_event *event)
{
    const bool pushed = event->kind == MT_EVENT_UPDATE;
    struct tgc *c = link->client;
    struct tgc_notice notice = { .kind = pushed ? TGC_UPDATES : TGC_NEW_SESSION,
                                 .dc = link->dc,
                                 .bytes = pushed ? event->body : NULL,
                                 .len = pushed ? event->len : 0 };

    if (link->dc == c->options.session->home_dc)
        tgc_notify(c, &notice);
}

static void on_event(void *ctx, const struct mt_event *event)
{
    struct tgc_link *link = ctx;
    struct tgc *c = link->client;
    struct mt_session_state state;

    switch (event->kind) {
    case MT_EVENT_REPLY:
    case MT_EVENT_ERROR:
        if (link->binding && event->call == link->bind_call)
            tgc_on_bind_reply(c, link, event);
        else
            tgc_on_reply(c, link, event);
        break;
    case MT_EVENT_SALT:
    case MT_EVENT_TIME:
        mt_session_state(link->session, &state);
        if (!tgc_pfs(link))
            memcpy(tgc_dc_state(c, link)->salt, state.salt, 8);
        else
            memcpy(link->temp_salt, state.salt, 8);
        tgc_dc_state(c, link)->time_offset_us = state.time_offset_us;
        break;
    case MT_EVENT_FAILED:
        link->failed = true;
        link->why = *event->err;
        break;
    case MT_EVENT_UPDATE:
    case MT_EVENT_NEW_SESSION:
        tell_updates(link, event);
        break;
    case MT_EVENT_QUICK_ACK:
        break;
    }
}

void tgc_link_flush(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    if (link->state != TGC_READY || link->failed)
        return;
    mt_session_flush(link->session, now_us, &link->out);
    send_out(c, link);
}

/* It has been quiet: what bursts need is given back, for there may be a thousand of these. */
static void rest(struct tgc_link *link, int64_t now_us)
{
    link->rest_us = mt_session_rest(link->session) ? INT64_MAX : now_us + TGC_REST_US;
    mt_transport_rest(link->transport);
    if (link->out.len == 0)
        tg_buf_wipe(&link->out);
}

void tgc_link_tick(struct tgc *c, struct tgc_link *link, int64_t now_us)
{
    struct tg_error why;

    if (link->state == TGC_READY && !link->failed) {
        mt_session_tick(link->session, now_us);
        if (now_us >= link->rest_us)
            rest(link, now_us);
        tgc_bind_when_due(link, now_us);
        if (temp_key_stale(c, link, now_us) && (link->bound || tgc_waits_to_bind(link))) {
            tgc_link_forget_temp(link);
            tg_fail(&why, TG_NET, "renewing the temporary key of DC %d", link->dc);
            tgc_link_drop(c, link, &why, now_us);
            return;
        }
    }
    if (link->state != TGC_DOWN && link->state != TGC_READY &&
        now_us - link->since_us >= DIAL_MAX_US) {
        tg_fail(&why, TG_TIMEOUT, "DC %d did not answer within %d seconds", link->dc,
                (int)(DIAL_MAX_US / TG_SECOND_US));
        tgc_link_drop(c, link, &why, now_us);
        tgc_circuit_lost(c, link->dc, &why);
    } else if (link->failed) {
        why = link->why;
        tgc_link_drop(c, link, &why, now_us);
    } else {
        tgc_link_flush(c, link, now_us);
    }
}

int64_t tgc_link_deadline(const struct tgc *c, const struct tgc_link *link)
{
    (void)c;
    switch (link->state) {
    case TGC_DOWN:
        return INT64_MAX; /* calls that wait for it know when */
    case TGC_READY:
        return TG_MIN(TG_MIN(mt_session_deadline(link->session), link->rest_us),
                      tgc_waits_to_bind(link) ? link->bind_due_us : INT64_MAX);
    default:
        return link->since_us + DIAL_MAX_US;
    }
}
