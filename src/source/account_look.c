/* SPDX-License-Identifier: MIT */
/*
 * account_look.c - what a session file tells without a server
 */
#include "crypto/aead.h"
#include "source/account_impl.h"

static tg_code look_into(const char *path, const struct tg_buf *blob, struct tg_error *err)
{
    struct tg_session_data session;
    tg_code code;

    tg_session_data_init(&session);
    code = tg_session_read(blob->data, blob->len, NULL, &session, err);
    if (code == TG_OK && !tg_session_authorized(&session))
        code = tg_fail(err, TG_AUTH, "session '%.200s' is not logged in", path);
    tg_session_data_done(&session);
    return code;
}

tg_code tg_account_look(const char *path, bool has_passphrase, struct tg_error *err)
{
    struct tg_buf blob;
    tg_code code;

    tg_buf_init(&blob, TG_SESSION_FILE_MAX);
    code = tg_account_read(path, TG_SESSION_FILE_MAX, &blob, err);
    if (code == TG_NOT_FOUND)
        code = tg_fail(err, TG_AUTH, "there is no session '%.200s'", path);
    else if (code == TG_OK && !(has_passphrase && tg_is_sealed(blob.data, blob.len)))
        code = look_into(path, &blob, err);
    tg_buf_wipe(&blob);
    return code;
}
