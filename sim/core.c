/* SPDX-License-Identifier: MIT */
/*
 * core.c - serves one query: who asks, may they, what goes wrong, which handler, which answer
 *
 * The order of checks is the server's: key and connection first, then limits, takeout, login, the
 * account's DC, and what bots may call. Random faults come before all that could have an effect, so
 * that a refused query did nothing.
 *
 * Threads: none
 */
#include "sim/core.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "sim/rpc.h"
#include "sim/targets.h"
#include "tl/walk.h"

enum { ARENA_MAX = 256 << 20, REPLY_MAX = 64 << 20 };

/* ---- failing ---- */

struct tl_value *sim_fail_code(struct sim_call *c, int32_t code, const char *error)
{
    snprintf(c->error, sizeof c->error, "%s", error);
    c->code = code;
    return NULL;
}

struct tl_value *sim_fail(struct sim_call *c, const char *error)
{
    return sim_fail_code(c, tl_rpc_error_code(error), error);
}

struct tl_value *sim_fail_number(struct sim_call *c, const char *error, int64_t number)
{
    char text[sizeof c->error];

    snprintf(text, sizeof text, "%.60s_%lld", error, (long long)number);
    return sim_fail(c, text);
}

/* ---- schemas ---- */

const struct tl_schema *sim_core_schema(const struct sim_core *core, int32_t layer)
{
    const struct tl_schema *best = NULL;

    for (size_t i = 0; i < core->n_schemas && core->schema[i]->layer <= layer; i++)
        best = core->schema[i];
    return best;
}

const struct tl_schema *sim_core_schema_of(const struct sim_core *core,
                                           const struct tl_schema *first, uint32_t id)
{
    if (first && tl_ctor_by_id(first, id))
        return first;
    for (size_t i = core->n_schemas; i-- > 0;) {
        if (tl_ctor_by_id(core->schema[i], id))
            return core->schema[i];
    }
    return NULL;
}

/* Keeps the table sorted; a loaded layer takes the place of a built-in one. */
static bool schema_add(struct sim_core *core, const struct tl_schema *schema)
{
    size_t at = 0;

    while (at < core->n_schemas && core->schema[at]->layer < schema->layer)
        at++;
    if (at < core->n_schemas && core->schema[at]->layer == schema->layer) {
        core->schema[at] = schema;
        return true;
    }
    if (core->n_schemas == SIM_SCHEMAS_MAX)
        return false;
    memmove(&core->schema[at + 1], &core->schema[at],
            (core->n_schemas - at) * sizeof core->schema[0]);
    core->schema[at] = schema;
    core->n_schemas++;
    return true;
}

static tg_code schema_load(struct sim_core *core, const char *path, struct tg_error *err)
{
    const struct tg_fs *fs = &tg_fs_system;
    const char *slash = strrchr(path, '/');
    struct tg_dir *dir = NULL;
    struct tl_schema *schema;
    struct tg_buf text;
    char parent[1024] = ".";
    tg_code code;

    if (slash)
        snprintf(parent, sizeof parent, "%.*s", (int)TG_MAX(slash - path, 1), path);
    tg_buf_init(&text, TL_TEXT_MAX);
    code = fs->open_dir(fs, parent, false, &dir, err);
    if (code == TG_OK)
        code = tg_fs_read_all(fs, dir, slash ? slash + 1 : path, TL_TEXT_MAX, &text, err);
    if (code == TG_OK)
        code = tl_schema_load(path, (const char *)text.data, text.len, &schema, err);
    if (dir)
        fs->close_dir(fs, dir);
    tg_buf_done(&text);
    if (code == TG_NOT_FOUND) { /* a file that the user named */
        tg_hint(err, "--schema names a file with an API layer as TL text");
        code = err->code = TG_USAGE;
    }
    if (code != TG_OK)
        return code;
    core->loaded[core->n_loaded++] = schema;
    if (schema->layer <= 0)
        return tg_fail(err, TG_DATA, "'%s' does not say which layer it is", path);
    return schema_add(core, schema) ? TG_OK : tg_fail(err, TG_LIMIT, "too many layers");
}

static tg_code schemas_start(struct sim_core *core, struct tg_error *err)
{
    const struct tg_option_list *files = &core->set->schema;
    const struct tl_schema *schema;

    for (size_t i = 0; (schema = tl_schema_at(i)); i++) {
        if (schema->layer > 0)
            schema_add(core, schema);
    }
    for (size_t i = 0; i < files->n; i++) {
        tg_code code;

        if (core->n_loaded == SIM_SCHEMAS_MAX)
            return tg_fail(err, TG_LIMIT, "too many layers");
        code = schema_load(core, files->item[i], err);
        if (code != TG_OK)
            return code;
    }
    core->unknown_id = UINT32_C(0xdeadbee1);
    while (sim_core_schema_of(core, NULL, core->unknown_id))
        core->unknown_id++;
    return TG_OK;
}

/* ---- life ---- */

static tg_code limits_start(struct sim_core *core, struct tg_error *err)
{
    core->limits = sim_limits_new();
    if (!core->limits)
        return tg_fail(err, TG_NOMEM, "table of limits");
    for (size_t i = 0; i < core->set->flood.n; i++) {
        tg_code code = sim_limits_add(core->limits, core->set->flood.item[i], err);

        if (code != TG_OK)
            return code;
    }
    return TG_OK;
}

static bool tables_start(struct sim_core *core)
{
    size_t n_accounts = sim_world_accounts(core->world);

    core->row = calloc(TLN_COUNT, sizeof *core->row);
    core->password = calloc(n_accounts + 1, sizeof *core->password);
    core->peers = sim_peers_new();
    if (core->set->cache_mb)
        core->cache = sim_cache_new((uint64_t)core->set->cache_mb << 20);
    if (!core->row || !core->password || !core->peers || !sim_answer_start(core) ||
        (core->set->cache_mb && !core->cache))
        return false;
    for (uint16_t i = 0; sim_methods[i].symbol; i++)
        core->row[sim_methods[i].symbol] = (uint16_t)(i + 1);
    return true;
}

static tg_code live_start(struct sim_core *core, struct tg_error *err)
{
    if (!core->set->live)
        return TG_OK;
    if (core->cache) {
        tg_fail(err, TG_USAGE, "pages of a live world cannot be kept");
        return tg_hint(err, "leave --cache-mb out, or --live");
    }
    return sim_live_new(core->set->live, (uint64_t)core->set->seed, core->world, &core->live, err);
}

void sim_core_changed(struct sim_core *core)
{
    core->n_threads = 0;
    sim_dialogs_free(core);
}

tg_code sim_core_start(struct sim_core *core, struct tg_error *err)
{
    uint64_t seed = (uint64_t)core->set->seed;
    tg_code code;

    assert(core->set && core->world && core->keys);
    sim_stats_init(&core->stats);
    tg_arena_init(&core->arena, ARENA_MAX);
    tg_buf_init(&core->encoded, REPLY_MAX);
    tg_buf_init(&core->scratch, REPLY_MAX);
    code = sim_faults_parse(core->set->faults, seed, &core->faults, err);
    if (code == TG_OK)
        code = limits_start(core, err);
    if (code == TG_OK)
        code = schemas_start(core, err);
    if (code == TG_OK && !tables_start(core))
        code = tg_fail(err, TG_NOMEM, "tables of the data centre");
    return code == TG_OK ? live_start(core, err) : code;
}

void sim_core_stop(struct sim_core *core)
{
    for (size_t i = 0; i < core->n_loaded; i++)
        tl_schema_free(core->loaded[i]);
    core->n_loaded = core->n_schemas = 0;
    sim_answer_stop(core);
    sim_limits_free(core->limits);
    sim_cache_free(core->cache);
    sim_peers_free(core->peers);
    sim_live_end(core->live);
    sim_dialogs_free(core);
    sim_stats_done(&core->stats);
    free(core->row);
    free(core->password);
    tg_arena_done(&core->arena);
    tg_buf_done(&core->encoded);
    tg_buf_done(&core->scratch);
}

/* ---- checks ---- */

static const struct sim_method *method_of(const struct sim_core *core, uint32_t symbol)
{
    return symbol < TLN_COUNT && core->row[symbol] ? &sim_methods[core->row[symbol] - 1] : NULL;
}

/* Two programs with one login, at a DC that is no media DC. */
static bool used_twice(struct sim_call *c)
{
    return c->request->use &&
           !sim_use_note(c->request->use, c->perm, c->key, c->request->session_id);
}

void sim_core_end_login(struct sim_core *core, struct sim_login *login, enum sim_dead why)
{
    sim_takeout_login_ends(core, login);
    sim_keys_end(core->keys, login, why);
}

static bool login_ok(struct sim_call *c, unsigned flags)
{
    struct sim_login *l = c->login;

    if (l && l->dead == SIM_DUPLICATED)
        return sim_fail(c, "AUTH_KEY_DUPLICATED");
    if (l && l->dead) {
        if (flags & SIM_METHOD_ANON) {
            c->login = NULL;
            return true;
        }
        return sim_fail(c, l->dead == SIM_REVOKED ? "SESSION_REVOKED" : "AUTH_KEY_UNREGISTERED");
    }
    if (!l)
        return (flags & SIM_METHOD_ANON) || sim_fail(c, "AUTH_KEY_UNREGISTERED");
    c->me = l->account;
    l->active_s = c->now_s;
    if (used_twice(c)) {
        c->core->stats.duplicated++;
        sim_core_end_login(c->core, l, SIM_DUPLICATED);
        return sim_fail(c, "AUTH_KEY_DUPLICATED");
    }
    return true;
}

static bool connection_ok(struct sim_call *c, unsigned flags)
{
    if (!c->perm && !(flags & SIM_METHOD_UNBOUND))
        return sim_fail(c, "AUTH_KEY_PERM_EMPTY");
    if (c->wraps.inited)
        sim_keys_set_layer(c->core->keys, c->key,
                           c->wraps.layer_named ? c->wraps.layer : c->key->layer,
                           c->key->api_id);
    if (!c->key->layer && !(flags & SIM_METHOD_UNBOUND))
        return sim_fail(c, "CONNECTION_NOT_INITED");
    return true;
}

static bool faults_ok(struct sim_call *c, const struct sim_answer *answer)
{
    static const char *const kind[] = { "RPC_CALL_FAIL", "RPC_MCGET_FAIL", "HISTORY_GET_FAILED",
                                        "WORKER_BUSY_TOO_LONG_RETRY", "INTERDC_2_CALL_ERROR" };
    const struct sim_fault_target target = { answer->method, answer->chat, c->request->dc };
    struct sim_faults *f = &c->core->faults;

    if (!sim_faults_meant(f, &target))
        return true;
    if (sim_faults_hit(f, SIM_FAULT_RPC500))
        return sim_fail_code(c, 500, kind[sim_faults_draw(f, SIM_FAULT_RPC500, TG_COUNT(kind))]);
    if (sim_faults_hit(f, SIM_FAULT_RPC503))
        return sim_fail_code(c, -503, "Timeout");
    if (sim_faults_hit(f, SIM_FAULT_MSGWAIT))
        return sim_faults_draw(f, SIM_FAULT_MSGWAIT, 2)
                   ? sim_fail_code(c, -503, "MSG_WAIT_TIMEOUT")
                   : sim_fail_code(c, 400, "MSG_WAIT_FAILED");
    if (sim_faults_hit(f, SIM_FAULT_FLOOD))
        return sim_fail_number(c, "FLOOD_WAIT",
                               1 + (int64_t)sim_faults_draw(f, SIM_FAULT_FLOOD, 3));
    return true;
}

static bool limits_ok(struct sim_call *c, const char *method)
{
    struct sim_core *core = c->core;
    struct sim_method_stats *stats = sim_stats_method(&core->stats, method);
    uint64_t id = c->request->msg_id;
    struct sim_limit_query q = {
        .account = c->me ? c->me->user_id : 0,
        .method = method,
        .now_us = c->request->now_us,
        .sent_us = (int64_t)(id >> 32) * TG_SECOND_US +
                   (int64_t)(((id & UINT32_MAX) * (uint64_t)TG_SECOND_US) >> 32),
        .grace_us = core->set->latency_ms * TG_MS_US + 150 * TG_MS_US,
    };
    bool early;
    int64_t wait = sim_limits_take(core->limits, &q, &early);

    if (!wait)
        return true;
    core->stats.floods++;
    stats->floods++;
    core->stats.early_repeats += early;
    stats->early_repeats += early;
    return sim_fail_number(c, "FLOOD_WAIT", wait);
}

static bool account_ok(struct sim_call *c, const struct sim_method *m)
{
    enum tl_access access = tl_method_access(c->symbol);

    if (!c->me)
        return true;
    if (c->me->bot_token ? access == TL_FOR_USERS : access == TL_FOR_BOTS)
        return sim_fail(c, c->me->bot_token ? "BOT_METHOD_INVALID" : "USER_BOT_REQUIRED");
    if (c->request->dc != c->me->home_dc &&
        !(m && m->flags & (SIM_METHOD_FOREIGN | SIM_METHOD_ANON)))
        return sim_fail_number(c, "USER_MIGRATE", c->me->home_dc);
    return true;
}

/* A CDN has files, for whoever has a token, and nothing else has them. */
static bool cdn_ok(struct sim_call *c)
{
    return c->request->dc != SIM_CDN || c->symbol == TLN_upload_getCdnFile ||
           sim_fail(c, "METHOD_INVALID");
}

static bool may_call(struct sim_call *c, const struct sim_method *m,
                     const struct sim_answer *answer)
{
    const char *method = answer->method;
    unsigned flags = m ? m->flags : 0;

    if (c->wraps.after_failed)
        return sim_fail(c, "MSG_WAIT_FAILED");
    return cdn_ok(c) && connection_ok(c, flags) && login_ok(c, flags) && faults_ok(c, answer) &&
           limits_ok(c, method) && (!c->login || sim_takeout_ok(c, flags, method)) &&
           account_ok(c, m);
}

/* ---- one query ---- */

static void cache_key(const struct sim_call *c, const struct tl_reader *q,
                      uint8_t key[SIM_CACHE_KEY])
{
    int64_t head[4] = { c->schema->layer, c->me ? c->me->user_id : 0,
                        c->wraps.ranged ? c->wraps.range_min : -1,
                        c->wraps.ranged ? c->wraps.range_max : -1 };
    struct tg_part part[2] = { { head, sizeof head }, { q->at, tl_left(q) } };
    uint8_t hash[TG_SHA256];

    tg_sha256_v(hash, part, 2);
    memcpy(key, hash, SIM_CACHE_KEY);
}

static bool serve_cached(struct sim_call *c, const uint8_t key[SIM_CACHE_KEY],
                         struct sim_answer *ret)
{
    struct sim_cached kept;

    if (c->cut || !sim_cache_get(c->core->cache, key, &kept))
        return false;
    c->chat = kept.chat;
    c->n_ids = TG_MIN(kept.n_ids, (size_t)SIM_PAGE_MAX);
    if (c->n_ids)
        memcpy(c->ids, kept.ids, c->n_ids * sizeof *c->ids);
    ret->body = kept.body;
    ret->len = kept.len;
    c->core->stats.cached++;
    return true;
}

static void serve(struct sim_call *c, const struct sim_method *m, struct tl_reader q,
                  struct sim_answer *ret)
{
    const struct tl_schema *s = sim_core_schema_of(c->core, c->schema, tl_peek_u32(&q));
    bool cached = c->core->cache && m->flags & SIM_METHOD_HISTORY;
    uint8_t key[SIM_CACHE_KEY];
    struct tl_value *request, *reply;

    if (m->flags & SIM_METHOD_HISTORY)
        c->cut = sim_faults_hit(&c->core->faults, SIM_FAULT_SHORT);
    if (cached) {
        cache_key(c, &q, key);
        if (serve_cached(c, key, ret))
            return;
    }
    request = tl_decode(s, &q, c->arena);
    if (!request) {
        sim_fail_code(c, 400, "INPUT_REQUEST_TOO_SHORT");
        return;
    }
    if (c->core->faults.reference_life_s)
        sim_world_tell_time(c->core->world, c->now_s);
    sim_peers_clear(c->core->peers);
    reply = m->handler(c, request);
    if (c->error[0] || !sim_answer_pack(c, reply, ret))
        return;
    if (cached && !c->cut)
        sim_cache_put(c->core->cache, key,
                      &(struct sim_cached){ .body = ret->body, .len = ret->len, .chat = c->chat,
                                            .ids = c->ids, .n_ids = c->n_ids });
}

/* @return the chat that a query names; 0 none */
static int64_t chat_named(struct sim_call *c, const struct tl_schema *s, struct tl_reader q)
{
    const struct tl_value *request = tl_decode(s, &q, c->arena);

    return request ? sim_target_named(request) : 0;
}

static void understand(struct sim_call *c, struct tl_reader *r, struct sim_answer *ret)
{
    const struct tl_schema *s;
    const struct tl_ctor *ctor;
    const struct sim_method *m;

    c->schema = sim_core_schema(c->core, c->key->layer ? c->key->layer : INT32_MAX);
    if (!c->schema) /* a restarted simulator may lack a layer that it had */
        c->schema = c->core->schema[0];
    if (!sim_unwrap(c, r)) {
        if (!c->error[0])
            sim_fail_code(c, 400, "INPUT_REQUEST_TOO_SHORT");
        return;
    }
    s = sim_core_schema_of(c->core, c->schema, tl_peek_u32(r));
    ctor = s ? tl_ctor_by_id(s, tl_peek_u32(r)) : NULL;
    if (!ctor || !ctor->is_function) {
        char text[64];

        snprintf(text, sizeof text, "INPUT_METHOD_INVALID_%u_%zu", tl_peek_u32(r), tl_left(r));
        sim_fail_code(c, 400, text);
        return;
    }
    c->symbol = ctor->name;
    ret->method = tl_symbol_name(s, ctor->name);
    m = method_of(c->core, ctor->name);
    if (c->core->faults.n_chats)
        ret->chat = chat_named(c, s, *r);
    if (!may_call(c, m, ret))
        return;
    if (!m)
        sim_fail(c, "METHOD_INVALID");
    else
        serve(c, m, *r, ret);
}

static void count(struct sim_call *c, const struct sim_answer *answer)
{
    struct sim_core *core = c->core;
    struct sim_method_stats *stats = sim_stats_method(&core->stats, answer->method);

    stats->calls++;
    core->stats.queries++;
    if (c->error[0]) {
        stats->errors++;
        core->stats.errors++;
        c->key->failed[c->key->n_failed++ % TG_COUNT(c->key->failed)] = c->request->msg_id;
        return;
    }
    core->stats.answers++;
    stats->bytes_out += answer->len;
    if (c->n_ids)
        sim_stats_served(&core->stats, c->login ? c->login->hash : 0, c->chat, c->ids, c->n_ids);
}

void sim_core_query(struct sim_core *core, const struct sim_request *request,
                    struct sim_answer *ret)
{
    struct tl_reader r = tl_reader_of(request->body, request->len);
    struct sim_call c = { .core = core, .request = request, .arena = &core->arena };

    *ret = (struct sim_answer){ .method = "" };
    tg_arena_clear(&core->arena);
    c.now_s = request->now_us / TG_SECOND_US;
    c.key = sim_keys_find(core->keys, request->dc, request->key_id);
    if (!c.key) {
        ret->code = 401;
        snprintf(ret->error, sizeof ret->error, "AUTH_KEY_INVALID");
        return;
    }
    c.perm = sim_key_perm(c.key);
    if (c.perm && c.perm->dropped)
        c.perm = NULL;
    c.login = c.perm ? c.perm->login : NULL;
    understand(&c, &r, ret);
    if (c.error[0]) {
        ret->body = NULL;
        ret->code = c.code;
        memcpy(ret->error, c.error, sizeof ret->error);
    }
    if (!c.error[0] && c.me && !c.wraps.no_updates && request->use &&
        request->dc == c.me->home_dc) {
        ret->listener = c.me;
        ret->layer = c.key->layer;
    }
    count(&c, ret);
}
