/* SPDX-License-Identifier: MIT */
/*
 * client_wire.c - wrappers around a call's body, and what an rpc_error's text asks for
 *
 * Facts: core.telegram.org/api/invoking, /api/errors, /api/takeout.
 */
#include <stdlib.h>

#include "telegram/client_impl.h"
#include "tl/put.h"

#define ID_INVOKE_WITH_LAYER 0xda9b0d0du
#define ID_INIT_CONNECTION 0xc1cd5ea9u
#define ID_INVOKE_WITH_TAKEOUT 0xaca9fd2eu

static const char *or_default(const char *text, const char *fallback)
{
    return text ? text : fallback;
}

static void put_init(const struct tgc *c, struct tg_buf *out)
{
    const struct tgc_options *o = &c->options;

    tg_buf_u32(out, ID_INVOKE_WITH_LAYER);
    tg_buf_u32(out, (uint32_t)c->schema->layer);
    tg_buf_u32(out, ID_INIT_CONNECTION);
    tg_buf_u32(out, 0); /* flags: no proxy, no params */
    tg_buf_u32(out, (uint32_t)o->session->api_id);
    tl_put_str(out, or_default(o->device, "tgdata"));
    tl_put_str(out, or_default(o->system, "Linux"));
    tl_put_str(out, or_default(o->app_version, TG_VERSION));
    tl_put_str(out, or_default(o->lang, "en"));
    tl_put_str(out, "");
    tl_put_str(out, or_default(o->lang, "en"));
}

void tgc_wrap(const struct tgc *c, const struct tgc_link *link, const struct tgc_call_slot *call,
              struct tg_buf *out)
{
    if (!link->inited)
        put_init(c, out);
    if (c->takeout_id && !call->request.before_login) {
        tg_buf_u32(out, ID_INVOKE_WITH_TAKEOUT);
        tg_buf_u64(out, (uint64_t)c->takeout_id);
    }
    tg_buf_add(out, call->body, call->request.len);
}

struct verdict_row {
    const char *text; /* a trailing '_' stands before a number; a trailing '*' is any end */
    enum tgc_verdict verdict;
};

static const struct verdict_row verdict_table[] = {
    { "PHONE_MIGRATE_", TGC_MOVE_HOME },
    { "NETWORK_MIGRATE_", TGC_MOVE_HOME },
    { "USER_MIGRATE_", TGC_MOVE_HOME },
    { "FILE_MIGRATE_", TGC_MOVE_CALL },
    { "STATS_MIGRATE_", TGC_MOVE_CALL },
    { "FLOOD_WAIT_", TGC_WAIT },
    { "FLOOD_PREMIUM_WAIT_", TGC_WAIT },
    { "SLOWMODE_WAIT_", TGC_WAIT },
    { "FLOOD_TEST_PHONE_WAIT_", TGC_WAIT },
    { "TAKEOUT_INIT_DELAY_", TGC_WAIT },
    { "CONNECTION_NOT_INITED", TGC_REINIT },
    { "CONNECTION_LAYER_INVALID", TGC_REINIT },
    { "MSG_WAIT_TIMEOUT", TGC_REPEAT },
    { "MSG_WAIT_FAILED", TGC_REPEAT },
    { "AUTH_KEY_PERM_EMPTY", TGC_REBIND },
    { "AUTH_KEY_UNREGISTERED", TGC_REAUTH },
    { "AUTH_KEY_INVALID", TGC_DEAD },
    { "AUTH_KEY_DUPLICATED", TGC_DEAD },
    { "SESSION_REVOKED", TGC_DEAD },
    { "SESSION_EXPIRED", TGC_DEAD },
    { "USER_DEACTIVATED*", TGC_DEAD },
    { "AUTH_RESTART*", TGC_FAIL }, /* the login begins again, not this call */
    { "RPC_CALL_FAIL", TGC_REPEAT },
    { "RPC_MCGET_FAIL", TGC_REPEAT },
    { "HISTORY_GET_FAILED", TGC_REPEAT },
    { "WORKER_BUSY_TOO_LONG_RETRY", TGC_REPEAT },
    { "PERSISTENT_TIMESTAMP_OUTDATED", TGC_REPEAT },
};

static bool row_matches(const char *row, const char *text, int64_t *ret_number)
{
    size_t n = strlen(row);

    if (row[n - 1] == '*')
        return strncmp(row, text, n - 1) == 0;
    if (row[n - 1] != '_')
        return strcmp(row, text) == 0;
    return strncmp(row, text, n) == 0 && text[n] != '-' && tg_i64_parse(text + n, ret_number);
}

enum tgc_verdict tgc_judge(int32_t code, const char *text, int64_t *ret_number)
{
    *ret_number = 0;
    for (size_t i = 0; i < TG_COUNT(verdict_table); i++)
        if (row_matches(verdict_table[i].text, text, ret_number))
            return verdict_table[i].verdict;
    return code >= 500 || code < 0 ? TGC_REPEAT : TGC_FAIL;
}

tg_code tgc_rpc_code(int32_t code, const char *text)
{
    static const struct {
        const char *text;
        tg_code code;
    } special[] = {
        { "SESSION_PASSWORD_NEEDED", TG_LOGIN },
        { "CHANNEL_INVALID", TG_NOT_FOUND },
        { "CHANNEL_PRIVATE", TG_FORBIDDEN },
        { "PEER_ID_INVALID", TG_NOT_FOUND },
        { "CHAT_ID_INVALID", TG_NOT_FOUND },
        { "USERNAME_NOT_OCCUPIED", TG_NOT_FOUND },
        { "USERNAME_INVALID", TG_NOT_FOUND },
        { "BOT_METHOD_INVALID", TG_UNSUPPORTED },
        { "AUTH_KEY_DUPLICATED", TG_AUTH },
        { "MSG_WAIT_FAILED", TG_SERVER }, /* of the call before this one */
    };

    for (size_t i = 0; i < TG_COUNT(special); i++)
        if (strcmp(text, special[i].text) == 0)
            return special[i].code;
    switch (code) {
    case 401:
        return TG_AUTH;
    case 403:
        return TG_FORBIDDEN;
    case 404:
        return TG_NOT_FOUND;
    case 420:
        return TG_FLOOD;
    default:
        return code >= 500 || code < 0 ? TG_SERVER : TG_BAD_REQUEST;
    }
}
