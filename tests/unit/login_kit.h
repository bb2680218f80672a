/* SPDX-License-Identifier: MIT */
/*
 * login_kit.h - a server that knows one account, and a person who logs in: for the tests of login
 *
 * Letters of `asked`: p phone, c code, w password.
 */
#ifndef TESTS_UNIT_LOGIN_KIT_H
#define TESTS_UNIT_LOGIN_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "crypto/srp.h"
#include "telegram/login.h"
#include "tests/client_rig.h"

#define PHONE "9996620001"
#define TOKEN "123456:ABC-DEF"

enum { USER = 777001, BOT = 777002, ERRORS_MAX = 3, ANSWERS_MAX = 6, TOKEN_LIFE_S = 30 };

struct refusal {
    uint32_t method;
    int32_t code;
    const char *text;
    int times;
};

struct row {
    const char *name;
    struct tg_login_options options;
    const char *answers[ANSWERS_MAX];
    int32_t dc;           /* where the account lives; 0: 2 */
    const char *password; /* of the account; NULL none */
    uint32_t sent_type;   /* 0: app */
    bool sign_up;
    struct refusal refuse[ERRORS_MAX];
    tg_code want;
    const char *says, *hint; /* parts of the error; or of the question that is asked last */
    const char *asked;
};

/* The server's mind. */
struct fake {
    struct rig *rig;
    const struct row *row;
    int left[ERRORS_MAX];
    uint8_t authorized[8], pending[8]; /* permanent keys */
    int32_t authorized_dc;
    unsigned n_codes, n_passwords, n_polls, n_calls, n_inited;
    int32_t accept_after; /* polls until the token is accepted */
    uint8_t salt1[40], salt2[16], v[TG_DH_BYTES], b[TG_DH_BYTES];
    int64_t srp_id;
};

static struct tg_rsa_private *rsa;

/* ---- the server ---- */

static inline const struct tl_value *refuse(struct rig_call *call, int32_t code, const char *text)
{
    call->error = code;
    call->text = text;
    return NULL;
}

static inline struct tl_value *authorization(struct fake *f, struct rig_call *call, bool bot)
{
    struct tl_value *v = tl_obj(call->arena, TLN_auth_authorization), *user;

    if (f->row->sign_up)
        return tl_obj(call->arena, TLN_auth_authorizationSignUpRequired);
    user = tl_set_new(v, TLN_user, TLN_user);
    tl_set_true(user, TLN_self, true);
    tl_set_true(user, TLN_bot, bot);
    tl_set_long(user, TLN_id, bot ? BOT : USER);
    tl_set_long(user, TLN_access_hash, 42);
    tl_set_cstr(user, TLN_first_name, "Ada");
    if (!bot)
        tl_set_cstr(user, TLN_phone, PHONE);
    memcpy(f->authorized, call->perm_id, 8);
    f->authorized_dc = call->dc;
    return v;
}

static inline const struct tl_value *pass(struct fake *f, struct rig_call *call)
{
    if (!f->row->password)
        return authorization(f, call, false);
    memcpy(f->pending, call->perm_id, 8);
    return refuse(call, 401, "SESSION_PASSWORD_NEEDED");
}

static inline const struct tl_value *send_code(struct fake *f, struct rig_call *call)
{
    struct tl_value *v = tl_obj(call->arena, TLN_auth_sentCode), *type;
    char hash[16];

    assert_true(tg_str_eq(tl_get_str(call->query, TLN_phone_number), TG_STR(PHONE)));
    assert_int_equal(tl_get_int(call->query, TLN_api_id, 0), 12345);
    assert_true(tg_str_eq(tl_get_str(call->query, TLN_api_hash), TG_STR("0123456789abcdef")));
    type =
        tl_set_new(v, TLN_type, f->row->sent_type ? f->row->sent_type : TLN_auth_sentCodeTypeApp);
    if (f->row->sent_type == TLN_auth_sentCodeTypeEmailCode)
        tl_set_cstr(type, TLN_email_pattern, "a***@b.c");
    if (f->row->sent_type == TLN_auth_sentCodeTypeSmsWord)
        tl_set_cstr(type, TLN_beginning, "he");
    else if (f->row->sent_type != TLN_auth_sentCodeTypeSetUpEmailRequired)
        tl_set_int(type, TLN_length, 5);
    snprintf(hash, sizeof hash, "hash%u", ++f->n_codes);
    tl_set_copy(v, TLN_phone_code_hash, hash, strlen(hash));
    return v;
}

static inline const struct tl_value *sign_in(struct fake *f, struct rig_call *call)
{
    struct tg_str code = tl_get_str(call->query, TLN_phone_code);
    char hash[16];

    if (tl_get_obj(call->query, TLN_email_verification))
        code = tl_get_str(tl_get_obj(call->query, TLN_email_verification), TLN_code);
    snprintf(hash, sizeof hash, "hash%u", f->n_codes);
    if (!tg_str_eq(tl_get_str(call->query, TLN_phone_code_hash), tg_str_of(hash)))
        return refuse(call, 400, "PHONE_CODE_EXPIRED");
    if (!tg_str_eq(code, TG_STR("12345")) && !tg_str_eq(code, TG_STR("hello world")))
        return refuse(call, 400, "PHONE_CODE_INVALID");
    return pass(f, call);
}

static inline struct tg_srp_algo algo_of(const struct fake *f)
{
    return (struct tg_srp_algo){ .salt1 = { f->salt1, sizeof f->salt1 },
                                 .salt2 = { f->salt2, sizeof f->salt2 },
                                 .p = { tg_dh_prime, TG_DH_BYTES },
                                 .g = 3 };
}

static inline const struct tl_value *get_password(struct fake *f, struct rig_call *call)
{
    struct tl_value *v = tl_obj(call->arena, TLN_account_password), *algo;
    struct tg_srp_server server = { .algo = algo_of(f), .v = f->v, .secret_b = f->b };
    uint8_t b[TG_DH_BYTES];
    struct tg_error err;

    if (memcmp(f->pending, call->perm_id, 8) != 0)
        return refuse(call, 401, "AUTH_KEY_UNREGISTERED");
    f->n_passwords++;
    f->srp_id++;
    tg_random_fill(&f->rig->random, f->b, sizeof f->b);
    assert_int_equal(tg_srp_verifier(&server.algo,
                                     (struct tg_part){ f->row->password, strlen(f->row->password) },
                                     f->v, &err),
                     TG_OK);
    assert_int_equal(tg_srp_server_b(&server, b, &err), TG_OK);
    tl_set_true(v, TLN_has_password, true);
    algo = tl_set_new(v, TLN_current_algo,
                      TLN_passwordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow);
    tl_set_bytes(algo, TLN_salt1, f->salt1, sizeof f->salt1);
    tl_set_bytes(algo, TLN_salt2, f->salt2, sizeof f->salt2);
    tl_set_int(algo, TLN_g, 3);
    tl_set_bytes(algo, TLN_p, tg_dh_prime, TG_DH_BYTES);
    tl_set_copy(v, TLN_srp_B, b, sizeof b);
    tl_set_long(v, TLN_srp_id, f->srp_id);
    tl_set_cstr(v, TLN_hint, "the usual\none");
    return v;
}

static inline const struct tl_value *check_password(struct fake *f, struct rig_call *call)
{
    const struct tl_value *given = tl_get_obj(call->query, TLN_password);
    struct tg_srp_server server = { .algo = algo_of(f), .v = f->v, .secret_b = f->b };
    struct tg_str a = tl_get_str(given, TLN_A), m1 = tl_get_str(given, TLN_M1);
    struct tg_error err;

    assert_int_equal(m1.len, TG_SHA256);
    if (tl_get_long(given, TLN_srp_id, 0) != f->srp_id)
        return refuse(call, 400, "SRP_ID_INVALID");
    if (tg_srp_server_check(&server, (struct tg_part){ a.at, a.len }, (const uint8_t *)m1.at,
                            &err) != TG_OK)
        return refuse(call, 400, "PASSWORD_HASH_INVALID");
    return authorization(f, call, false);
}

static inline const struct tl_value *export_token(struct fake *f, struct rig_call *call)
{
    struct tl_value *v;
    int64_t now_s = f->rig->now_us / TG_SECOND_US;
    char token[32];

    assert_non_null(tl_get_vector(call->query, TLN_except_ids));
    if ((int32_t)f->n_polls++ < f->accept_after) {
        v = tl_obj(call->arena, TLN_auth_loginToken);
        snprintf(token, sizeof token, "token-%lld", (long long)(now_s / TOKEN_LIFE_S));
        tl_set_int(v, TLN_expires, (int32_t)((now_s / TOKEN_LIFE_S + 1) * TOKEN_LIFE_S));
        tl_set_copy(v, TLN_token, token, strlen(token));
        return v;
    }
    if (f->row->dc && f->row->dc != call->dc) {
        v = tl_obj(call->arena, TLN_auth_loginTokenMigrateTo);
        tl_set_int(v, TLN_dc_id, f->row->dc);
        tl_set_cstr(v, TLN_token, "carry me");
        return v;
    }
    if (f->row->password)
        return pass(f, call);
    v = tl_obj(call->arena, TLN_auth_loginTokenSuccess);
    tl_set_obj(v, TLN_authorization, authorization(f, call, false));
    return v;
}

static inline const struct tl_value *import_token(struct fake *f, struct rig_call *call)
{
    struct tl_value *v = tl_obj(call->arena, TLN_auth_loginTokenSuccess);

    assert_int_equal(call->dc, f->row->dc);
    assert_true(tg_str_eq(tl_get_str(call->query, TLN_token), TG_STR("carry me")));
    if (f->row->password)
        return pass(f, call);
    tl_set_obj(v, TLN_authorization, authorization(f, call, false));
    return v;
}

static inline const struct tl_value *self(struct fake *f, struct rig_call *call)
{
    struct tl_value *v = tl_vector(call->arena), *a = authorization(f, call, false);
    struct tg_buf user;
    struct tg_error err;
    char *kept;

    tg_buf_init(&user, 4096);
    assert_int_equal(tl_encode(tl_schema_builtin(228), tl_get_obj(a, TLN_user), &user, &err),
                     TG_OK);
    kept = tg_arena_copy(call->arena, user.data, user.len);
    tl_add_obj(v, tl_raw(call->arena, kept, user.len));
    tg_buf_done(&user);
    return v;
}

static inline const struct tl_value *answer(void *ctx, struct rig_call *call)
{
    static char migrate[32];
    struct fake *f = ctx;
    const struct row *row = f->row;
    int32_t dc = row->dc ? row->dc : 2;

    f->n_calls++;
    f->n_inited += call->inited;
    for (int i = 0; i < ERRORS_MAX; i++)
        if (row->refuse[i].method == call->name && f->left[i] != 0) {
            f->left[i]--;
            return refuse(call, row->refuse[i].code, row->refuse[i].text);
        }
    if (call->dc != dc &&
        (call->name == TLN_auth_sendCode || call->name == TLN_auth_importBotAuthorization)) {
        snprintf(migrate, sizeof migrate, "%s_MIGRATE_%d",
                 call->name == TLN_auth_sendCode ? "PHONE" : "USER", dc);
        return refuse(call, 303, migrate);
    }
    switch (call->name) {
    case TLN_auth_sendCode:
        return send_code(f, call);
    case TLN_auth_signIn:
        return sign_in(f, call);
    case TLN_account_getPassword:
        return get_password(f, call);
    case TLN_auth_checkPassword:
        return check_password(f, call);
    case TLN_auth_importBotAuthorization:
        if (!tg_str_eq(tl_get_str(call->query, TLN_bot_auth_token), TG_STR(TOKEN)))
            return refuse(call, 400, "ACCESS_TOKEN_INVALID");
        return authorization(f, call, true);
    case TLN_auth_exportLoginToken:
        return export_token(f, call);
    case TLN_auth_importLoginToken:
        return import_token(f, call);
    default:
        break;
    }
    if (memcmp(f->authorized, call->perm_id, 8) != 0)
        return refuse(call, 401, "AUTH_KEY_UNREGISTERED");
    if (call->name == TLN_users_getUsers)
        return self(f, call);
    if (call->name == TLN_auth_logOut) {
        memset(f->authorized, 0, 8);
        return tl_obj(call->arena, TLN_auth_loggedOut);
    }
    return refuse(call, 400, "METHOD_INVALID");
}

/* ---- one login ---- */

struct run {
    struct fake fake;
    struct tg_login *login;
    bool asking, done, failed;
    struct tg_error err;
    char asked[16], hint[256], url[256];
    size_t n_asked, n_answered;
    unsigned n_qr;
    int64_t qr_expires;
};

static inline void on_ask(void *ctx, enum tg_login_question what, const char *hint)
{
    struct run *r = ctx;

    assert_true(!r->asking && !r->done && r->n_asked < sizeof r->asked - 1);
    r->asking = true;
    r->asked[r->n_asked++] = "pcw"[what];
    snprintf(r->hint, sizeof r->hint, "%s", hint);
}

static inline void on_qr(void *ctx, const char *url, int64_t expires)
{
    struct run *r = ctx;

    snprintf(r->url, sizeof r->url, "%s", url);
    r->qr_expires = expires;
    r->n_qr++;
}

static inline void on_done(void *ctx, const struct tg_error *err)
{
    struct run *r = ctx;

    assert_false(r->done);
    r->done = true;
    r->login = NULL;
    r->failed = err != NULL;
    if (err)
        r->err = *err;
}

static inline void start(struct run *r, const struct row *row, bool pfs)
{
    *r = (struct run){ .fake.row = row, .fake.accept_after = 12 };
    for (int i = 0; i < ERRORS_MAX; i++)
        r->fake.left[i] = row->refuse[i].times;
    r->fake.rig = rig_start(rsa, pfs);
    r->fake.rig->answer = answer;
    r->fake.rig->ctx = &r->fake;
    tg_random_fill(&r->fake.rig->random, r->fake.salt1, sizeof r->fake.salt1);
    tg_random_fill(&r->fake.rig->random, r->fake.salt2, sizeof r->fake.salt2);
}

/* Logs in as a program would: answers from the list, then nobody. */
static inline void log_in(struct run *r)
{
    const struct tg_login_hooks hooks = { r, on_ask, on_qr, on_done };
    struct rig *g = r->fake.rig;
    struct tg_login *login = tg_login_start(g->client, &r->fake.row->options, &hooks, g->now_us);
    int64_t end = g->now_us + 600 * TG_SECOND_US;

    r->login = r->done ? NULL : login;
    assert_true(r->done == (login == NULL));
    while (!r->done && g->now_us < end) {
        rig_settle(g);
        if (r->asking) {
            r->asking = false;
            tg_login_answer(r->login,
                            r->n_answered < ANSWERS_MAX ? r->fake.row->answers[r->n_answered++]
                                                        : NULL,
                            g->now_us);
        } else if (r->login) {
            rig_jump(g, TG_MIN(end, tg_login_deadline(r->login)));
            if (r->login && g->now_us >= tg_login_deadline(r->login))
                tg_login_tick(r->login, g->now_us);
        }
    }
    if (!r->done)
        fail_msg("%s: never ends", r->fake.row->name);
    rig_settle(g);
}

#define GIVEN                                                                                      \
    {                                                                                              \
        .phone = "+999 66 2-0001", .code = "12345"                                                 \
    }
#define ONCE(method_, code_, text_)                                                                \
    {                                                                                              \
        {                                                                                          \
            TLN_##method_, code_, text_, 1                                                         \
        }                                                                                          \
    }
#define ALWAYS(method_, code_, text_)                                                              \
    {                                                                                              \
        {                                                                                          \
            TLN_##method_, code_, text_, -1                                                        \
        }                                                                                          \
    }

static inline int set_up(void **state)
{
    (void)state;
    rsa = rig_rsa();
    return rsa ? 0 : -1;
}

static inline int tear_down(void **state)
{
    (void)state;
    tg_rsa_private_free(rsa);
    return 0;
}

#endif
