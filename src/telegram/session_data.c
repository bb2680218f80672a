/* SPDX-License-Identifier: MIT */
/*
 * session_data.c - what a session holds while it is in use; see session_data.h
 */
#include "telegram/session_data.h"

#include <assert.h>
#include <stdlib.h>

#include "crypto/ct.h"

void tg_session_data_init(struct tg_session_data *s)
{
    memset(s, 0, sizeof *s);
    tg_peers_init(&s->peers);
}

void tg_session_data_done(struct tg_session_data *s)
{
    tg_peers_done(&s->peers);
    tg_datacenter_done(&s->where);
    free(s->limit);
    tg_wipe(s, sizeof *s);
}

struct tg_dc_state *tg_session_dc(struct tg_session_data *s, int32_t id)
{
    struct tg_dc_state *unused = NULL;

    if (id == 0)
        return NULL;
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        if (s->dc[i].id == id)
            return &s->dc[i];
        if (s->dc[i].id == 0 && !unused)
            unused = &s->dc[i];
    }
    if (unused)
        unused->id = id;
    return unused;
}

bool tg_session_authorized(const struct tg_session_data *s)
{
    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (s->dc[i].id && s->dc[i].id == s->home_dc)
            return s->dc[i].has_key && s->dc[i].authorized;
    return false;
}

static size_t find_limit(const struct tg_session_data *s, const char *method, int32_t dc)
{
    size_t i = 0;

    while (i < s->n_limits &&
           (s->limit[i].dc != dc || strcmp(s->limit[i].method, method) != 0))
        i++;
    return i;
}

const struct tg_limit_record *tg_session_limit(const struct tg_session_data *s, const char *method,
                                               int32_t dc)
{
    size_t i = find_limit(s, method, dc);

    return i < s->n_limits ? &s->limit[i] : NULL;
}

static size_t oldest_limit(const struct tg_session_data *s)
{
    size_t oldest = 0;

    for (size_t i = 1; i < s->n_limits; i++)
        if (s->limit[i].at_s < s->limit[oldest].at_s)
            oldest = i;
    return oldest;
}

bool tg_session_limit_room(struct tg_session_data *s)
{
    if (!s->limit)
        s->limit = calloc(TG_LIMIT_RECORDS_MAX, sizeof *s->limit);
    return s->limit != NULL;
}

bool tg_session_set_limit(struct tg_session_data *s, const char *method, int32_t dc,
                          int64_t learned_milli, int64_t at_s)
{
    size_t i = find_limit(s, method, dc), len = strlen(method);
    bool changed;

    assert(learned_milli > 0);
    if (len >= sizeof s->limit[0].method)
        return false;
    if (i == TG_LIMIT_RECORDS_MAX)
        i = oldest_limit(s);
    else if (i == s->n_limits && !tg_session_limit_room(s))
        return false;
    else if (i == s->n_limits)
        s->n_limits++;
    changed = s->limit[i].learned_milli != learned_milli || s->limit[i].dc != dc;
    memcpy(s->limit[i].method, method, len + 1);
    s->limit[i].dc = dc;
    s->limit[i].learned_milli = learned_milli;
    s->limit[i].at_s = at_s;
    return changed;
}

void tg_session_forget_login(struct tg_session_data *s)
{
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        mt_key_wipe(&s->dc[i].key);
        s->dc[i].has_key = s->dc[i].authorized = false;
        memset(s->dc[i].salt, 0, sizeof s->dc[i].salt);
    }
    s->user_id = 0;
    s->is_bot = false;
    s->phone[0] = 0;
}

bool tg_session_set_where(struct tg_session_data *s, struct tg_datacenter *where)
{
    bool others = s->where.n_dc && !tg_datacenter_same(&s->where, where);

    if (others && tg_session_authorized(s))
        return false;
    if (others) {
        tg_session_forget_login(s);
        memset(s->dc, 0, sizeof s->dc);
        tg_peers_done(&s->peers);
        s->peers_of = s->home_dc = 0;
        s->n_limits = 0;
        s->breaker = (struct tg_breaker_record){ 0 };
    }
    tg_datacenter_done(&s->where);
    s->where = *where;
    s->test = where->test;
    *where = (struct tg_datacenter){ 0 };
    return true;
}

void tg_session_set_user(struct tg_session_data *s, int64_t user_id, bool is_bot,
                         struct tg_str phone)
{
    assert(user_id != 0);
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        bool home = s->dc[i].id && s->dc[i].id == s->home_dc;

        s->dc[i].authorized = home || (s->dc[i].authorized && s->user_id == user_id);
    }
    if (s->peers_of && s->peers_of != user_id) {
        tg_peers_done(&s->peers);
        s->n_limits = 0;
    }
    s->peers_of = user_id;
    s->user_id = user_id;
    s->is_bot = is_bot;
    if (phone.len && phone.len < sizeof s->phone) {
        memcpy(s->phone, phone.at, phone.len);
        s->phone[phone.len] = 0;
    }
}
