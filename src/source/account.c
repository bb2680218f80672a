/* SPDX-License-Identifier: MIT */
/*
 * account.c - opening and closing an account: its session file, its lock, its client
 *
 * The session file is replaced as a whole (written aside, synced, renamed), mode 0600. A lock
 * beside it keeps a second process out: Telegram kills a session that two connections use at once.
 * A passphrase opens a sealed file and seals a new one; a plain file is sealed by a login only, so
 * that a passphrase given by mistake locks nobody out.
 */
#include "tgdata/account.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "crypto/ct.h"
#include "os/fs.h"
#include "source/account_impl.h"

enum { DATACENTER_MAX = 64 << 10 };

void tg_account_note_of(struct tg_account *a, enum tg_note_kind kind, double wait_s,
                        struct tg_note_about about, const char *fmt, ...)
{
    char text[512];
    const struct tg_note note = { kind, text, wait_s, a->path, about.chat_id, about.code };
    va_list ap;

    if (!a->note)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    a->note(a->note_ctx, &note);
}

/* ---- files ---- */

/* Splits a path into its directory (opened) and its name. */
static tg_code open_parent(const char *path, struct tg_dir **ret, const char **ret_name,
                           struct tg_error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir;
    tg_code code;

    *ret_name = slash ? slash + 1 : path;
    if (!**ret_name)
        return tg_fail(err, TG_USAGE, "'%s' is no file name", path);
    dir = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
    if (!dir)
        return tg_fail(err, TG_NOMEM, "no memory for a path");
    code = tg_fs_system.open_dir(&tg_fs_system, dir, false, ret, err);
    free(dir);
    return code;
}

tg_code tg_account_read(const char *path, size_t max, struct tg_buf *out, struct tg_error *err)
{
    struct tg_dir *dir;
    const char *name;
    tg_code code = open_parent(path, &dir, &name, err);

    if (code != TG_OK)
        return code;
    code = tg_fs_read_all(&tg_fs_system, dir, name, max, out, err);
    tg_fs_system.close_dir(&tg_fs_system, dir);
    return code;
}

tg_code tg_account_save(struct tg_account *a, struct tg_error *err)
{
    struct tg_dir *dir = NULL;
    struct tg_buf blob;
    const char *name;
    tg_code code;

    if (a->net && tgc_note_learned(tg_net_client(a->net), tg_net_now(a->net)))
        a->dirty = true;
    if (!a->dirty || a->held)
        return TG_OK;
    tg_buf_init(&blob, TG_SESSION_FILE_MAX);
    code = tg_session_write(&a->session, a->plain ? NULL : a->passphrase, &a->random, &blob,
                            err);
    if (code == TG_OK)
        code = open_parent(a->path, &dir, &name, err);
    if (code == TG_OK)
        code = tg_fs_replace(&tg_fs_system, dir, name, true, blob.data, blob.len, err);
    if (dir)
        tg_fs_system.close_dir(&tg_fs_system, dir);
    tg_buf_wipe(&blob);
    a->dirty = code != TG_OK;
    return code;
}

static tg_code load_session(struct tg_account *a, struct tg_error *err)
{
    struct tg_buf blob;
    tg_code code;

    tg_buf_init(&blob, TG_SESSION_FILE_MAX);
    code = tg_account_read(a->path, TG_SESSION_FILE_MAX, &blob, err);
    if (code == TG_OK) {
        code = tg_session_read(blob.data, blob.len, a->passphrase, &a->session, err);
        a->plain = !tg_is_sealed(blob.data, blob.len);
    } else if (code == TG_NOT_FOUND) {
        code = TG_OK; /* a new session begins */
    }
    tg_buf_wipe(&blob);
    return code;
}

static tg_code load_datacenter(const char *path, struct tg_datacenter *ret, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    tg_buf_init(&text, DATACENTER_MAX);
    code = tg_account_read(path, DATACENTER_MAX, &text, err);
    if (code == TG_OK)
        code = tg_datacenter_parse((const char *)text.data, text.len, ret, err);
    if (code == TG_NOT_FOUND)
        tg_hint(err, "--datacenter names the file that `tgdata sim` writes");
    if (code == TG_DATA || code == TG_NOT_FOUND)
        code = err->code = TG_USAGE; /* a file that the user named */
    tg_buf_done(&text);
    return code;
}

static tg_code other_servers(const struct tg_account *a, struct tg_error *err)
{
    const struct tg_account_settings *s = &a->settings;

    if (s->datacenter)
        tg_fail(err, TG_USAGE, "'%s' describes other servers than those that session '%s' is "
                "logged in at: no public key stands in both", s->datacenter, a->path);
    else
        tg_fail(err, TG_USAGE, "session '%s' is not logged in at Telegram's test servers", a->path);
    return tg_hint(err, "leave %s away: the session knows its servers; or log in to another "
                        "session file", s->datacenter ? "--datacenter" : "--test-dc");
}

/*
 * The session says where its servers are; settings go before it, as long as those are the same
 * servers. A session that says nothing, being new or of an old version, is Telegram's.
 */
static tg_code choose_servers(struct tg_account *a, struct tg_error *err)
{
    const struct tg_account_settings *s = &a->settings;
    struct tg_session_data *session = &a->session;
    struct tg_datacenter where = { 0 };
    tg_code code = TG_OK;
    bool changed; /* what a login should keep */

    if (s->datacenter)
        code = load_datacenter(s->datacenter, &where, err);
    else if (s->test || !session->where.n_dc)
        code = tg_datacenter_builtin(s->test || session->test, &where, err);
    else
        return TG_OK;
    if (code != TG_OK)
        return code;
    changed = s->datacenter && !tg_datacenter_equal(&session->where, &where);
    if (!tg_session_set_where(session, &where)) {
        tg_datacenter_done(&where);
        return other_servers(a, err);
    }
    a->dirty = changed && tg_session_authorized(session);
    return TG_OK;
}

static tg_code load_schema(struct tg_account *a, const char *path, struct tg_error *err)
{
    struct tg_buf text;
    tg_code code;

    if (!path)
        return TG_OK;
    tg_buf_init(&text, TL_TEXT_MAX);
    code = tg_account_read(path, TL_TEXT_MAX, &text, err);
    if (code == TG_OK)
        code = tl_schema_load(path, (const char *)text.data, text.len, &a->schema, err);
    if (code == TG_NOT_FOUND) { /* a file that the user named */
        tg_hint(err, "--schema names a file with an API layer as TL text");
        code = err->code = TG_USAGE;
    }
    tg_buf_done(&text);
    return code;
}

static tg_code lock_session(struct tg_account *a, struct tg_error *err)
{
    char *path;
    tg_code code;

    if (asprintf(&path, "%s.lock", a->path) < 0)
        return tg_fail(err, TG_NOMEM, "no memory for a path");
    code = tg_lock_file(path, &a->lock, err);
    if (code == TG_BUSY) {
        struct tg_error why = *err;

        tg_fail(err, TG_BUSY, "session '%s' is in use: %s", a->path, why.message);
        tg_hint(err, "%s; a session used twice at once is ended by the server, so log in to a "
                     "second session file for parallel work", why.hint);
    }
    free(path);
    return code;
}

/* ---- what the client tells ---- */

static void on_save(void *ctx)
{
    struct tg_account *a = ctx;

    a->dirty = true;
    if (tg_account_save(a, &a->save_error) != TG_OK)
        tg_account_note(a, TG_NOTE_WARNING, 0, "the session could not be stored: %s",
                        a->save_error.message);
}

/* Whose breaker it is, as a reader knows it. */
static void name_circuit(const struct tg_account *a, const struct tg_circuit_change *c, char *out,
                         size_t n)
{
    const struct tg_peer *peer = c->kind == TG_CIRCUIT_CHAT
                                     ? tg_peers_get(&a->session.peers, c->number)
                                     : NULL;

    if (c->kind == TG_CIRCUIT_CHAT)
        snprintf(out, n, "chat %lld%s%.100s%s", (long long)c->number, peer ? " '" : "",
                 peer ? peer->name : "", peer ? "'" : "");
    else if (c->kind == TG_CIRCUIT_DC)
        snprintf(out, n, "DC %d", (int)c->number);
    else
        snprintf(out, n, "the %s%s%.130s", c->kind == TG_CIRCUIT_SINK ? "destination" : "account",
                 c->name ? " " : "", c->name ? c->name : "");
}

void tg_account_tell_circuit(struct tg_account *a, const struct tg_circuit_change *c)
{
    const char *from = tg_breaker_name(c->from), *to = tg_breaker_name(c->to);
    double wait_s = (double)c->wait_us / 1e6;
    const struct tg_note_about about = {
        .chat_id = c->kind == TG_CIRCUIT_CHAT ? c->number : 0,
        .code = c->to == TG_BREAKER_OPEN && c->err ? c->err->code : TG_OK,
    };
    char whose[160];

    name_circuit(a, c, whose, sizeof whose);
    if (c->to == TG_BREAKER_OPEN)
        tg_account_note_of(a, TG_NOTE_WARNING, wait_s, about, "circuit breaker of %s: %s to %s, "
                           "next try in %.3g s: %s", whose, from, to, wait_s,
                           c->err ? c->err->message : "");
    else
        tg_account_note_of(a, TG_NOTE_INFO, 0, about, "circuit breaker of %s: %s to %s, %s", whose,
                           from, to, c->to == TG_BREAKER_CLOSED ? "all goes on" : "it is tried");
}

static void tell_apart(struct tg_account *a, const struct tgc_notice *n)
{
    if (n->rate_milli)
        tg_account_note(a, TG_NOTE_WARNING, 0, "limits are not shared now (%s): one of %lld "
                        "workers, this one keeps to its part, %.2f %s a second", n->err->message,
                        (long long)n->workers, (double)n->rate_milli / 1000, n->method);
    else
        tg_account_note(a, TG_NOTE_WARNING, 0, "limits are not shared now (%s): this worker goes "
                        "by its own flood waits", n->err->message);
}

static void on_notice(void *ctx, const struct tgc_notice *n)
{
    struct tg_account *a = ctx;
    double wait_s = (double)n->wait_us / 1e6;
    const struct tg_note_about failed = { .code = n->err ? n->err->code : TG_OK };

    if (a->watch)
        a->watch(a->watch_ctx, n);
    switch (n->kind) {
    case TGC_CONNECTING:
        tg_account_note(a, TG_NOTE_CONNECTING, 0, "DC %d", n->dc);
        break;
    case TGC_CONNECTED:
        tg_account_note(a, TG_NOTE_CONNECTED, 0, "DC %d", n->dc);
        break;
    case TGC_LOST:
        tg_account_note_of(a, TG_NOTE_LOST, wait_s, failed, "%s", n->err->message);
        break;
    case TGC_FLOOD:
        tg_account_note_of(a, TG_NOTE_FLOOD, wait_s, (struct tg_note_about){ .code = TG_FLOOD },
                           "%s", n->method);
        break;
    case TGC_RETRY:
        tg_account_note_of(a, TG_NOTE_RETRY, wait_s, failed, "%s", n->err->message);
        break;
    case TGC_CIRCUIT:
        tg_account_tell_circuit(a, n->circuit);
        break;
    case TGC_APART:
        tell_apart(a, n);
        break;
    case TGC_TOGETHER:
        tg_account_note(a, TG_NOTE_INFO, 0, "limits are shared again");
        break;
    case TGC_LOGGED_OUT:
        tg_account_note_of(a, TG_NOTE_WARNING, 0, failed, "%s", n->err->message);
        break;
    case TGC_UNREADABLE:
        if (!a->watch)
            tg_account_note(a, TG_NOTE_WARNING, 0, "left out %s", n->err->message);
        break;
    case TGC_UPDATES:
    case TGC_NEW_SESSION:
    case TGC_ASKED:
    case TGC_ENDED:
        break;
    }
}

/* ---- life ---- */

static struct mt_transport_options transport_of(const struct tg_account_settings *s)
{
    static const enum mt_framing framing[] = {
        [TG_TRANSPORT_OBFUSCATED] = MT_INTERMEDIATE, [TG_TRANSPORT_INTERMEDIATE] = MT_INTERMEDIATE,
        [TG_TRANSPORT_ABRIDGED] = MT_ABRIDGED,       [TG_TRANSPORT_PADDED] = MT_PADDED,
        [TG_TRANSPORT_FULL] = MT_FULL,
    };

    return (struct mt_transport_options){
        .framing = framing[s->transport],
        .obfuscated = s->transport == TG_TRANSPORT_OBFUSCATED,
    };
}

static struct tg_backoff backoff_of(const struct tg_account_settings *s)
{
    return (struct tg_backoff){
        .base_us = TG_SECOND_US,
        .cap_us = s->backoff_max_ms * TG_MS_US,
        .multiplier_milli = (int32_t)s->backoff_multiplier * 1000,
        .jitter = !s->no_jitter,
    };
}

static struct tg_limiter_options limit_of(const struct tg_account_settings *s)
{
    struct tg_limiter_options limit = {
        .rate_milli_per_s = s->rate * 1000,
        .burst = s->burst,
        .adaptive = s->rate_strategy == TG_STRATEGY_TOKEN_BUCKET,
        .use_permille = (int32_t)s->rate_use * 10,
    };

    if (s->rate_strategy == TG_STRATEGY_BACKOFF)
        limit.backoff = backoff_of(s);
    return limit;
}

struct tg_breaker_options tg_account_breaker(const struct tg_account_settings *s)
{
    return (struct tg_breaker_options){
        .failure_threshold = (uint32_t)s->circuit_failures,
        .rate_permille = (uint32_t)s->circuit_rate * 10,
        .calls_min = 10,
        .recovery_timeout_us = s->recovery_timeout_ms * TG_MS_US,
        .half_open_requests = (uint32_t)s->half_open_requests,
    };
}

static tg_code retry_of(const struct tg_account_settings *s, struct tg_retry_policy *ret,
                        struct tg_error *err)
{
    *ret = (struct tg_retry_policy){
        .attempts_max = (uint32_t)s->attempts,
        .backoff = backoff_of(s),
        .budget_permille = (uint32_t)s->retry_budget * 10,
        .budget_free = 30,
        .budget_milli_per_s = 2000,
    };
    return tg_retry_on_parse(s->retry_on, &ret->retry_on, err);
}

static tg_code start_client(struct tg_account *a, struct tg_error *err)
{
    const struct tg_account_settings *s = &a->settings;
    struct tg_net_options net = { .loop = a->loop,
                                  .ctx = a,
                                  .save = on_save,
                                  .notice = on_notice,
                                  .step = tg_account_on_step };
    struct tgc_options client = {
        .random = &a->random,
        .where = &a->session.where,
        .session = &a->session,
        .schema = a->schema,
        .transport = transport_of(s),
        .pfs = !s->no_pfs,
        .limit = limit_of(s),
        .breaker = tg_account_breaker(s),
        .circuit_fails = s->circuit_open != TG_CIRCUIT_OPEN_WAIT,
        .call_deadline_us = s->call_deadline_ms * TG_MS_US,
        .call_timeout_us = s->call_timeout_ms * TG_MS_US,
    };
    tg_code code = retry_of(s, &client.retry, err);

    if (code == TG_OK && s->proxy)
        code = tg_proxy_parse(s->proxy, &net.proxy, err);
    if (code == TG_OK && s->coordinate)
        code = tg_coordinate_new(s->coordinate, &a->random, &a->coordinate, err);
    if (a->coordinate)
        client.share = tg_coordinate_io(a->coordinate);
    if (code == TG_OK)
        code = tg_net_new(&net, &client, &a->net, err);
    if (code == TG_OK && a->coordinate)
        code = tg_coordinate_start(a->coordinate, a->net, err);
    explicit_bzero(&net.proxy, sizeof net.proxy);
    return code;
}

static bool same_login(const struct tg_session_data *a, struct tg_session_data *b)
{
    const struct tg_dc_state *there = tg_session_dc(b, b->home_dc);

    for (size_t i = 0; i < TG_DC_MAX; i++)
        if (a->dc[i].id && a->dc[i].id == a->home_dc)
            return a->home_dc == b->home_dc &&
                   tg_equal_ct(a->dc[i].key.key, there->key.key, sizeof there->key.key);
    return false;
}

/* A session string begins a new session. One that is logged in goes only if that is asked for, and
 * not before the string turned out to work. */
static tg_code import_string(struct tg_account *a, const char *text, bool force,
                             struct tg_error *err)
{
    struct tg_session_data told;
    tg_code code;

    tg_session_data_init(&told);
    code = tg_session_import(&told, text, &a->session.where, err);
    if (code == TG_DATA)
        code = err->code = TG_USAGE; /* the user gave it */
    if (code == TG_OK && tg_session_authorized(&a->session) && !force) {
        if (!same_login(&a->session, &told)) {
            tg_fail(err, TG_USAGE, "session '%s' is logged in, but not with this session string",
                    a->path);
            code = tg_hint(err, "name a new file with --session, leave the session string away, or "
                                "replace the login: tgdata login --force");
        }
    } else if (code == TG_OK) {
        code = tg_session_import(&a->session, text, &a->session.where, err);
        a->imported = a->held = a->dirty = code == TG_OK;
    }
    tg_session_data_done(&told);
    return code;
}

/* Telegram's are 32 hexadecimal digits. Other servers may take what they like. */
static tg_code take_api_hash(struct tg_session_data *session, const char *hash,
                             struct tg_error *err)
{
    size_t len = strlen(hash);

    if (session->where.builtin && (len != 32 || strspn(hash, "0123456789abcdefABCDEF") != len)) {
        tg_fail(err, TG_USAGE, "the api hash must be 32 hexadecimal digits");
        return tg_hint(err, "copy it from https://my.telegram.org, where it stands beside the api "
                            "id");
    }
    if (len >= sizeof session->api_hash)
        return tg_fail(err, TG_USAGE, "the api hash is longer than %zu characters",
                       sizeof session->api_hash - 1);
    memcpy(session->api_hash, hash, len + 1);
    return TG_OK;
}

/* Settings win over what the file says, so that a changed api id is used. */
static tg_code apply_settings(struct tg_account *a, bool force, struct tg_error *err)
{
    const struct tg_account_settings *s = &a->settings;
    tg_code code = TG_OK;

    if (s->api_id)
        a->session.api_id = (int32_t)s->api_id;
    if (s->api_hash)
        code = take_api_hash(&a->session, s->api_hash, err);
    if (code == TG_OK && s->import)
        code = import_string(a, s->import, force, err);
    if (code != TG_OK)
        return code;
    if (!a->session.home_dc)
        a->session.home_dc = a->session.where.main_dc;
    return TG_OK;
}

tg_code tg_account_open_on(struct tg_loop *loop, const struct tg_config *config, tg_note_fn note,
                           void *ctx, struct tg_account **ret, struct tg_error *err)
{
    struct tg_account *a;
    tg_code code = tg_config_check(config, err);

    if (code != TG_OK)
        return code;
    a = calloc(1, sizeof *a);
    if (!a)
        return tg_fail(err, TG_NOMEM, "no memory for an account");
    a->settings = config->account;
    a->loop = loop;
    a->note = note;
    a->note_ctx = ctx;
    a->random = tg_random_system();
    tg_session_data_init(&a->session);
    a->path = strdup(config->account.session);
    a->passphrase = config->account.passphrase ? strdup(config->account.passphrase) : NULL;
    if (!a->path || (config->account.passphrase && !a->passphrase))
        code = tg_fail(err, TG_NOMEM, "no memory for an account");
    if (code == TG_OK)
        code = lock_session(a, err);
    if (code == TG_OK)
        code = load_schema(a, config->account.schema, err);
    if (code == TG_OK)
        code = load_session(a, err);
    if (code == TG_OK)
        code = choose_servers(a, err);
    if (code == TG_OK)
        code = apply_settings(a, config->login.force, err);
    if (code == TG_OK)
        code = start_client(a, err);
    if (code != TG_OK) {
        tg_account_close(a);
        return code;
    }
    *ret = a;
    return TG_OK;
}

tg_code tg_account_open(const struct tg_config *config, tg_note_fn note, void *ctx,
                        struct tg_account **ret, struct tg_error *err)
{
    return tg_account_open_on(NULL, config, note, ctx, ret, err);
}

void tg_account_close(struct tg_account *a)
{
    struct tg_error ignored;

    if (!a)
        return;
    if (a->net && tg_account_save(a, &ignored) != TG_OK)
        tg_account_note(a, TG_NOTE_WARNING, 0, "the session could not be stored: %s",
                        ignored.message);
    tg_coordinate_free(a->coordinate);
    tg_net_free(a->net);
    tg_session_data_done(&a->session);
    tl_schema_free(a->schema);
    tg_lock_release(a->lock);
    if (a->passphrase)
        explicit_bzero(a->passphrase, strlen(a->passphrase));
    free(a->passphrase);
    free(a->path);
    free(a);
}

tg_code tg_account_export(struct tg_account *a, const char *format, char *out, size_t n,
                          struct tg_error *err)
{
    enum tg_session_format f = TG_SESSION_TELETHON;
    struct tg_buf text;
    tg_code code;

    if (strcmp(format, "pyrogram") == 0)
        f = TG_SESSION_PYROGRAM;
    else if (strcmp(format, "telethon") != 0)
        return tg_fail(err, TG_USAGE, "'%s' is no session format; there are telethon and pyrogram",
                       format);
    tg_buf_init(&text, 4096);
    code = tg_session_export(&a->session, f, &text, err);
    if (code == TG_OK && text.len >= n)
        code = tg_fail(err, TG_LIMIT, "the session string needs %zu bytes", text.len + 1);
    if (code == TG_OK) {
        memcpy(out, text.data, text.len);
        out[text.len] = 0;
    }
    tg_buf_wipe(&text);
    return code;
}
