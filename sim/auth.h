/* SPDX-License-Identifier: MIT */
/*
 * auth.h - logging in: phone codes, 2FA, bot tokens, QR, other DCs, temporary keys
 *
 * Threads: none
 */
#ifndef SIM_AUTH_H
#define SIM_AUTH_H

#include "sim/core.h"

/* auth.c */
struct tl_value *sim_auth_send_code(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_resend_code(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_cancel_code(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_sign_in(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_sign_up(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_bot(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_log_out(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_reset_all(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_account_get_authorizations(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_account_reset_authorization(struct sim_call *c, const struct tl_value *q);

/* auth_password.c */
struct tl_value *sim_account_get_password(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_check_password(struct sim_call *c, const struct tl_value *q);

/* auth_token.c */
struct tl_value *sim_auth_export_token(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_import_token(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_accept_token(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_export(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_import(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_bind(struct sim_call *c, const struct tl_value *q);
struct tl_value *sim_auth_drop_temp(struct sim_call *c, const struct tl_value *q);

/** @return an Authorization-like row of a login */
struct tl_value *sim_authorization_row(struct sim_call *c, const struct sim_login *l);

/** Logs the call's key in. @return auth.authorization */
struct tl_value *sim_auth_finish(struct sim_call *c, const struct sim_account *account);
/** The same, unless the account has a password: then it fails with SESSION_PASSWORD_NEEDED. */
struct tl_value *sim_auth_pass(struct sim_call *c, const struct sim_account *account);

/** Accepts every login token that waits, for the account of that phone: what a test does instead
 *  of a second program (file DIR/accept-login). @return whether there was one */
bool sim_auth_accept_all(struct sim_core *core, const char *phone);
/** @return whether a login token waits to be accepted */
bool sim_auth_tokens_wait(const struct sim_core *core, int64_t now_s);

#endif
