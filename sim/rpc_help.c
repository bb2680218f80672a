/* SPDX-License-Identifier: MIT */
/*
 * rpc_help.c - configuration of the data centres and of clients, language packs
 *
 * Threads: none
 */
#include "sim/rpc.h"

enum { HOUR_S = 3600 };

static void add_dc(struct sim_call *c, struct tl_value *list, int dc, bool media)
{
    struct tl_value *option = tl_add_new(list, TLN_dcOption);

    tl_set_true(option, media ? TLN_media_only : TLN_static, true);
    tl_set_int(option, TLN_id, dc);
    tl_set_cstr(option, TLN_ip_address, c->core->host);
    tl_set_int(option, TLN_port, media ? c->core->media_port[dc] : c->core->port[dc]);
    tl_set_true(option, TLN_cdn, dc == SIM_CDN);
}

/* Limits that clients read out of the configuration. */
static void set_limits(struct tl_value *v)
{
    static const struct {
        uint16_t field;
        int32_t value;
    } row[] = {
        { TLN_chat_size_max, 200 },
        { TLN_megagroup_size_max, 200000 },
        { TLN_forwarded_count_max, 100 },
        { TLN_online_update_period_ms, 210000 },
        { TLN_offline_blur_timeout_ms, 5000 },
        { TLN_offline_idle_timeout_ms, 30000 },
        { TLN_online_cloud_timeout_ms, 300000 },
        { TLN_notify_cloud_delay_ms, 30000 },
        { TLN_notify_default_delay_ms, 1500 },
        { TLN_push_chat_period_ms, 60000 },
        { TLN_push_chat_limit, 2 },
        { TLN_edit_time_limit, 172800 },
        { TLN_revoke_time_limit, INT32_MAX },
        { TLN_revoke_pm_time_limit, INT32_MAX },
        { TLN_rating_e_decay, 2419200 },
        { TLN_stickers_recent_limit, 200 },
        { TLN_channels_read_media_period, 604800 },
        { TLN_call_receive_timeout_ms, 20000 },
        { TLN_call_ring_timeout_ms, 90000 },
        { TLN_call_connect_timeout_ms, 30000 },
        { TLN_call_packet_timeout_ms, 10000 },
        { TLN_caption_length_max, 1024 },
        { TLN_message_length_max, 4096 },
        { TLN_webfile_dc_id, 2 },
    };

    for (size_t i = 0; i < TG_COUNT(row); i++)
        tl_set_int(v, row[i].field, row[i].value);
}

struct tl_value *sim_help_config(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_config);
    struct tl_value *dcs;

    (void)q;
    tl_set_int(v, TLN_date, (int32_t)c->now_s);
    tl_set_int(v, TLN_expires, (int32_t)c->now_s + HOUR_S);
    tl_set_bool(v, TLN_test_mode, false);
    tl_set_int(v, TLN_this_dc, c->request->dc);
    dcs = tl_set_vector(v, TLN_dc_options);
    for (int i = 0; i < 2 * SIM_DCS; i++) /* some clients take the first of a number */
        add_dc(c, dcs, i % SIM_DCS + 1, i >= SIM_DCS);
    if (c->core->cdn_rsa)
        add_dc(c, dcs, SIM_CDN, false);
    set_limits(v);
    tl_set_cstr(v, TLN_dc_txt_domain_name, "invalid");
    tl_set_cstr(v, TLN_me_url_prefix, "https://t.me/");
    tl_set_cstr(v, TLN_suggested_lang_code, "en");
    tl_set_int(v, TLN_lang_pack_version, 1);
    tl_set_int(v, TLN_base_lang_pack_version, 1);
    return v;
}

struct tl_value *sim_help_nearest_dc(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_nearestDc);

    (void)q;
    tl_set_cstr(v, TLN_country, "NL");
    tl_set_int(v, TLN_this_dc, c->request->dc);
    tl_set_int(v, TLN_nearest_dc, 2);
    return v;
}

struct tl_value *sim_help_app_config(struct sim_call *c, const struct tl_value *q)
{
    static const struct {
        const char *key;
        double value;
    } row[] = {
        { "chat_read_mark_expire_period", 604800 },
        { "dialogs_pinned_limit_default", 5 },
        { "channels_limit_default", 500 },
        { "caption_length_limit_default", 1024 },
        { "upload_max_fileparts_default", 4000 },
    };
    struct tl_value *v, *list;

    if (tl_get_int(q, TLN_hash, 0) == 1)
        return tl_obj(c->arena, TLN_help_appConfigNotModified);
    v = tl_obj(c->arena, TLN_help_appConfig);
    tl_set_int(v, TLN_hash, 1);
    list = tl_set_vector(tl_set_new(v, TLN_config, TLN_jsonObject), TLN_value);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tl_value *item = tl_add_new(list, TLN_jsonObjectValue);

        tl_set_cstr(item, TLN_key, row[i].key);
        tl_set_double(tl_set_new(item, TLN_value, TLN_jsonNumber), TLN_value, row[i].value);
    }
    return v;
}

struct tl_value *sim_help_cdn_config(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_cdnConfig), *key;
    struct tl_value *list = tl_set_vector(v, TLN_public_keys);
    struct tg_buf pem;

    (void)q;
    if (!c->core->cdn_rsa)
        return v;
    tg_buf_init(&pem, 16 << 10);
    if (tg_rsa_key_write(tg_rsa_private_public(c->core->cdn_rsa), TG_RSA_PKCS1, &pem)) {
        key = tl_add_new(list, TLN_cdnPublicKey);
        tl_set_int(key, TLN_dc_id, SIM_CDN);
        tl_set_copy(key, TLN_public_key, pem.data, pem.len);
    }
    tg_buf_done(&pem);
    return v;
}

struct tl_value *sim_help_promo(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_help_promoDataEmpty);

    (void)q;
    tl_set_int(v, TLN_expires, (int32_t)c->now_s + HOUR_S);
    return v;
}

struct tl_value *sim_help_terms_update(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_help_termsOfServiceUpdateEmpty);

    (void)q;
    tl_set_int(v, TLN_expires, (int32_t)c->now_s + HOUR_S);
    return v;
}

struct tl_value *sim_help_app_update(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return tl_obj(c->arena, TLN_help_noAppUpdate);
}

struct tl_value *sim_help_invite_text(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_help_inviteText);

    (void)q;
    tl_set_cstr(v, TLN_message, "");
    return v;
}

struct tl_value *sim_langpack_pack(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *v = tl_obj(c->arena, TLN_langPackDifference);

    tl_set_str(v, TLN_lang_code, tl_get_str(q, TLN_lang_code));
    tl_set_int(v, TLN_from_version, tl_get_int(q, TLN_from_version, 0));
    tl_set_int(v, TLN_version, 1);
    return v;
}

static struct tl_value *english(struct sim_call *c)
{
    struct tl_value *v = tl_obj(c->arena, TLN_langPackLanguage);

    tl_set_true(v, TLN_official, true);
    tl_set_cstr(v, TLN_name, "English");
    tl_set_cstr(v, TLN_native_name, "English");
    tl_set_cstr(v, TLN_lang_code, "en");
    tl_set_cstr(v, TLN_plural_code, "en");
    return v;
}

struct tl_value *sim_langpack_languages(struct sim_call *c, const struct tl_value *q)
{
    struct tl_value *list = tl_vector(c->arena);

    (void)q;
    tl_add_obj(list, english(c));
    return list;
}

struct tl_value *sim_langpack_language(struct sim_call *c, const struct tl_value *q)
{
    (void)q;
    return english(c);
}
