/* SPDX-License-Identifier: MIT */
/*
 * client_bind.c - ties a link's temporary key to its permanent one, and hears what the server says
 * to that
 *
 * Nothing else is sent until it holds. A wait that the server names and server trouble keep key and
 * connection; anything else ends both, and the next connection makes another key.
 *
 * Facts: core.telegram.org/api/pfs, /method/auth.bindTempAuthKey.
 */
#include "telegram/client_impl.h"
#include "tl/put.h"

#define ID_BIND_TEMP_AUTH_KEY 0xcdd42a05u
#define ID_BOOL_TRUE 0x997275b5u
#define BIND_METHOD "auth.bindTempAuthKey"

enum { BIND_ATTEMPTS = 4 };
#define FRESH_KEY_US (60 * TG_SECOND_US) /* a permanent key may not be known at once */

/* auth.bindTempAuthKey names the msg_id and the session that it travels in. */
static void make_bind(void *ctx, uint64_t msg_id, uint64_t session_id, struct tg_buf *out)
{
    struct tgc_link *link = ctx;
    struct tgc *c = link->client;
    const struct tg_dc_state *state = tgc_dc_state(c, link);
    struct mt_bind bind = { .msg_id = msg_id, .temp_session_id = session_id };
    struct tg_buf sealed;

    tg_random_fill(c->options.random, &bind.nonce, sizeof bind.nonce);
    memcpy(bind.temp_key_id, link->temp.id, 8);
    memcpy(bind.perm_key_id, state->key.id, 8);
    bind.expires_at = (int32_t)link->temp.expires_at;
    tg_buf_init(&sealed, 1024);
    mt_bind_write(&state->key, &bind, c->options.random, &sealed);
    tg_buf_u32(out, ID_BIND_TEMP_AUTH_KEY);
    tg_buf_add(out, state->key.id, 8);
    tg_buf_u64(out, bind.nonce);
    tg_buf_u32(out, (uint32_t)bind.expires_at);
    tl_put_bytes(out, sealed.data, sealed.len);
    tg_buf_done(&sealed);
}

bool tgc_waits_to_bind(const struct tgc_link *link)
{
    return link->state == TGC_READY && !link->bound && !link->binding;
}

void tgc_bind_when_due(struct tgc_link *link, int64_t now_us)
{
    struct mt_call call = { .first = true, .make_body = make_bind, .make_ctx = link };

    if (!tgc_waits_to_bind(link) || now_us < link->bind_due_us)
        return;
    link->binding = true;
    link->bind_call = mt_session_call(link->session, &call);
}

/* The server has lost the permanent key: with it the login there, or, at home, all of it. */
void tgc_key_gone(struct tgc *c, struct tgc_link *link)
{
    struct tg_dc_state *state = tgc_dc_state(c, link);
    bool login = state->authorized && link->dc == c->options.session->home_dc;
    struct tg_error why;

    if (link->media.host[0]) { /* that is for the DC itself to say */
        c->media_off = true;
        return;
    }
    state->has_key = state->authorized = false;
    if (!login)
        return;
    tg_fail(&why, TG_AUTH, "DC %d does not know this session's key any more", link->dc);
    tg_hint(&why, "log in again with `tgdata login`");
    tgc_logged_out(c, &why);
}

/* Binds the same key again after a wait, on the same connection. */
static void bind_later(struct tgc *c, struct tgc_link *link, enum tgc_notice_kind kind,
                       int64_t wait_us, const struct tg_error *why)
{
    struct tgc_notice notice = { .kind = kind, .dc = link->dc, .method = BIND_METHOD,
                                 .wait_us = wait_us, .err = why };

    link->bind_due_us = c->now_us + wait_us;
    c->stats.n_retries += kind == TGC_RETRY;
    c->stats.n_floods += kind == TGC_FLOOD;
    c->stats.flood_wait_s += kind == TGC_FLOOD ? wait_us / TG_SECOND_US : 0;
    tgc_notify(c, &notice);
}

/* The server cannot read the binding: the temporary key is of no use. If that is so of the next one
 * too, the permanent key is gone, unless it was made just now and is not known everywhere yet. */
static bool permanent_key_lost(const struct tgc *c, struct tgc_link *link, const char *text)
{
    bool young = link->key_made_us && c->now_us - link->key_made_us < FRESH_KEY_US;

    if (strcmp(text, "ENCRYPTED_MESSAGE_INVALID") != 0)
        return false;
    return ++link->bind_invalid > 1 && !young;
}

static void on_bind_error(struct tgc *c, struct tgc_link *link, const struct mt_event *event)
{
    int64_t number;
    enum tgc_verdict verdict = tgc_judge(event->code, event->text, &number);
    struct tg_error why;

    tg_fail(&why, tgc_rpc_code(event->code, event->text),
            "DC %d refused to bind a temporary key: %s (%d)", link->dc, event->text, event->code);
    if (verdict == TGC_WAIT) {
        number = TG_MIN(TG_MAX(number, INT64_C(1)), INT64_C(14) * 86400);
        bind_later(c, link, TGC_FLOOD, number * TG_SECOND_US, &why);
        return;
    }
    if (verdict == TGC_REPEAT && link->bind_attempts < BIND_ATTEMPTS) {
        bind_later(c, link, TGC_RETRY,
                   tg_backoff_wait(&c->options.retry.backoff, link->bind_attempts++,
                                   tg_random_u64(c->options.random)), &why);
        return;
    }
    link->failed = true; /* the next connection makes another key */
    link->why = why;
    tgc_link_forget_temp(link);
    if (verdict == TGC_DEAD)
        tgc_logged_out(c, &why);
    else if (permanent_key_lost(c, link, event->text))
        tgc_key_gone(c, link);
}

void tgc_on_bind_reply(struct tgc *c, struct tgc_link *link, const struct mt_event *event)
{
    link->binding = false;
    if (event->kind == MT_EVENT_ERROR) {
        on_bind_error(c, link, event);
    } else if (event->len >= 4 && tg_le32(event->body) == ID_BOOL_TRUE) {
        link->bound = link->was_ready = true;
        link->bind_invalid = 0;
    } else {
        link->failed = true;
        tgc_link_forget_temp(link);
        tg_fail(&link->why, TG_PROTOCOL, "DC %d did not bind a temporary key", link->dc);
    }
}
