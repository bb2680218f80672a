/* SPDX-License-Identifier: MIT */
/*
 * sim_rpc.c - what the simulated data centre answers: wrappers, takeout, limits, files
 */
#include <stdio.h>

#include "sim_kit.h"

#include "tl/walk.h"

/* ---- connections and layers ---- */

static void wrappers_nest_and_the_layer_is_kept(void **state)
{
    struct kit *k = kit_new("short=0", NULL);
    struct sim_key *key = kit_login(k, kit_account(k, 2, false, false));
    struct tl_value *q, *w;

    (void)state;
    k->init = false;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "CONNECTION_NOT_INITED");
    k->init = true;
    k->layer = 198;
    q = kit_obj(k, TLN_invokeWithoutUpdates);
    w = kit_obj(k, TLN_invokeAfterMsg);
    tl_set_long(w, TLN_msg_id, 99);
    tl_set_obj(w, TLN_query, kit_obj(k, TLN_updates_getState));
    tl_set_obj(q, TLN_query, w);
    kit_call(k, key, q);
    k->init = false;
    kit_call(k, key, kit_history(k, kit_account(k, 2, false, false),
                                 kit_chat(k, SIM_SUPERGROUP), 0)); /* reads by layer 198 */
    assert_int_equal(key->layer, 198);
    kit_free(k);
}

static void a_query_after_a_failed_one_fails(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    struct sim_key *key = kit_login(k, kit_account(k, 2, false, false));
    struct tl_value *q = kit_obj(k, TLN_invokeAfterMsg);
    struct tl_value *wrong = kit_obj(k, TLN_contacts_resolveUsername);

    (void)state;
    tl_set_cstr(wrong, TLN_username, "nobody_has_that");
    kit_refused(k, key, wrong, 400, "USERNAME_NOT_OCCUPIED");
    tl_set_long(q, TLN_msg_id, (int64_t)k->msg_id);
    tl_set_obj(q, TLN_query, kit_obj(k, TLN_updates_getState));
    kit_refused(k, key, q, 400, "MSG_WAIT_FAILED");
    kit_free(k);
}

static void layers_are_chosen(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    struct sim_key *key = kit_login(k, kit_account(k, 2, false, false));
    uint8_t old[] = { 0x0d, 0x0d, 0x9b, 0xda, 12, 0, 0, 0 };

    (void)state;
    assert_int_equal(sim_core_schema(&k->core, 228)->layer, 228);
    assert_int_equal(sim_core_schema(&k->core, 220)->layer, 198);
    assert_int_equal(sim_core_schema(&k->core, 500)->layer, 229);
    assert_null(sim_core_schema(&k->core, 100));
    kit_send(k, key, old, sizeof old);
    assert_string_equal(k->answer.error, "CONNECTION_LAYER_INVALID");
    kit_free(k);
}

static void nonsense_is_refused_by_name(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    struct sim_key *key = kit_login(k, kit_account(k, 2, false, false));
    uint8_t unknown[] = { 0xe1, 0xbe, 0xad, 0xde }, config[] = { 0x6b, 0x18, 0xf9, 0xc4 };
    uint8_t history[] = { 0xc5, 0xe6, 0x23, 0x44, 1, 2, 3, 4 };

    (void)state;
    kit_call(k, key, kit_obj(k, TLN_help_getConfig));
    kit_send(k, key, unknown, sizeof unknown);
    assert_string_equal(k->answer.error, "INPUT_METHOD_INVALID_3735928545_4");
    kit_send(k, key, history, sizeof history);
    assert_string_equal(k->answer.error, "INPUT_REQUEST_TOO_SHORT");
    kit_send(k, key, config, 3);
    assert_int_equal(k->answer.code, 400);
    kit_send(k, key, config, 0);
    assert_int_equal(k->answer.code, 400);
    kit_refused(k, key, kit_obj(k, TLN_messages_getAttachMenuBots), 400, "METHOD_INVALID");
    kit_free(k);
}

static void cut_and_flipped_queries_never_harm(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    uint8_t copy[512];
    size_t n;

    (void)state;
    kit_call(k, key, kit_history(k, a, kit_chat(k, SIM_SUPERGROUP), 50));
    n = k->request.len;
    assert_true(n <= sizeof copy);
    for (size_t i = 0; i < n; i++) {
        kit_send(k, key, k->request.data, i);
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, k->request.data, n);
            copy[i] ^= (uint8_t)(1 << bit);
            kit_send(k, key, copy, n);
        }
    }
    kit_free(k);
}

/* ---- configuration ---- */

static void the_configuration_names_all_dcs(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    struct sim_key *key = kit_key(k, 1, 0);
    static const struct {
        int32_t id, port;
        bool media;
    } row[] = { { 1, 4431, false }, { 2, 4432, false }, { 1, 4433, true }, { 2, 4434, true } };
    const struct tl_value *v, *dcs;

    (void)state;
    v = kit_call(k, key, kit_obj(k, TLN_help_getConfig));
    assert_int_equal(tl_get_int(v, TLN_this_dc, 0), 1);
    dcs = tl_get_vector(v, TLN_dc_options);
    assert_int_equal(tl_len(dcs), TG_COUNT(row));
    for (uint32_t i = 0; i < TG_COUNT(row); i++) {
        assert_int_equal(tl_get_int(tl_item(dcs, i), TLN_id, 0), row[i].id);
        assert_int_equal(tl_get_int(tl_item(dcs, i), TLN_port, 0), row[i].port);
        assert_int_equal(tl_get_bool(tl_item(dcs, i), TLN_media_only), row[i].media);
    }
    kit_free(k);
}

/* ---- takeout ---- */

static void takeout_is_enforced(void **state)
{
    struct kit *k = kit_new("short=0,takeout-delay=5", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);
    static const int32_t outside[][2] = { { 0, 10 }, { 900, 1100 }, { 7, 3 }, { -5, 5 } };
    const struct tl_value *ranges, *left;
    uint64_t n = 0;

    (void)state;
    kit_refused(k, key, kit_obj(k, TLN_account_initTakeoutSession), 420, "TAKEOUT_INIT_DELAY_5");
    k->now_us += 2 * TG_SECOND_US;
    kit_refused(k, key, kit_obj(k, TLN_account_initTakeoutSession), 420, "TAKEOUT_INIT_DELAY_3");
    kit_refused(k, key, kit_obj(k, TLN_messages_getSplitRanges), 400, "TAKEOUT_REQUIRED");
    k->now_us += 3 * TG_SECOND_US;
    k->takeout = 1;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "TAKEOUT_INVALID");
    k->takeout = 0;
    k->takeout = tl_get_long(kit_call(k, key, kit_obj(k, TLN_account_initTakeoutSession)),
                             TLN_id, 0);
    ranges = kit_call(k, key, kit_obj(k, TLN_messages_getSplitRanges));
    for (uint32_t i = 0; i < tl_len(ranges); i++) {
        k->range[0] = tl_get_int(tl_item(ranges, i), TLN_min_id, 0);
        k->range[1] = tl_get_int(tl_item(ranges, i), TLN_max_id, 0);
        n += kit_read_all(k, key, a, chat);
    }
    assert_int_equal(n, chat->n_messages);
    for (size_t i = 0; i < TG_COUNT(outside); i++) {
        memcpy(k->range, outside[i], sizeof k->range);
        kit_refused(k, key, kit_history(k, a, chat, 0), 400, "RANGES_INVALID");
    }
    k->range[1] = 0;
    left = tl_get_vector(kit_call(k, key, kit_obj(k, TLN_channels_getLeftChannels)), TLN_chats);
    for (uint32_t i = 0; i < tl_len(left); i++) {
        chat = sim_world_chat_by_id(k->core.world, SIM_CHANNEL_MARK -
                                                       tl_get_long(tl_item(left, i), TLN_id, 0));
        assert_int_equal(kit_read_all(k, key, a, chat), chat->n_messages);
    }
    assert_true(tl_len(left) > 0);
    assert_int_equal(k->core.stats.takeout_unwrapped, 0);
    int64_t id = k->takeout;

    k->takeout = 0;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "TAKEOUT_REQUIRED");
    assert_int_equal(k->core.stats.takeout_unwrapped, 1);
    kit_call(k, key, kit_obj(k, TLN_help_getConfig));
    k->range[0] = 1;
    k->range[1] = 1000;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "TAKEOUT_REQUIRED");
    k->range[1] = 0;
    if (!chat->username)
        kit_refused(k, key, kit_history(k, a, chat, 0), 400, "CHANNEL_PRIVATE");
    k->takeout = id;
    kit_call(k, key, kit_obj(k, TLN_account_finishTakeoutSession));
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "TAKEOUT_INVALID");
    assert_int_equal(k->core.stats.takeout_open, 0);
    assert_int_equal(k->core.stats.takeout_unfinished, 0);
    kit_free(k);
}

static int64_t takeout_begun(struct kit *k, struct sim_key *key)
{
    k->takeout = 0;
    return tl_get_long(kit_call(k, key, kit_obj(k, TLN_account_initTakeoutSession)), TLN_id, 0);
}

static void check_takeouts(const struct kit *k, uint64_t open, uint64_t unfinished)
{
    assert_int_equal(k->core.stats.takeout_open, open);
    assert_int_equal(k->core.stats.takeout_unfinished, unfinished);
}

static void other_sessions_are_not_locked_out(void **state)
{
    struct kit *k = kit_new("short=0", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a), *other = kit_login(k, a);
    int64_t first = takeout_begun(k, key), second;

    (void)state;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "TAKEOUT_REQUIRED");
    kit_call(k, other, kit_obj(k, TLN_updates_getState)); /* another login */
    k->link = 2;                                          /* another session of the first */
    k->now_us += 60 * TG_SECOND_US;
    kit_call(k, key, kit_obj(k, TLN_updates_getState));
    k->takeout = first;
    kit_call(k, key, kit_obj(k, TLN_updates_getState));
    assert_int_equal(k->core.stats.takeout_unwrapped, 1);
    check_takeouts(k, 1, 0);

    takeout_begun(k, key); /* the first is left: it was used, and by another session */
    check_takeouts(k, 1, 1);
    second = takeout_begun(k, key); /* as if that answer had been lost */
    check_takeouts(k, 1, 1);
    k->takeout = first;
    kit_refused(k, key, kit_obj(k, TLN_updates_getState), 400, "TAKEOUT_INVALID");
    k->takeout = second;
    kit_call(k, key, kit_obj(k, TLN_updates_getState));
    kit_call(k, key, kit_obj(k, TLN_account_finishTakeoutSession));
    check_takeouts(k, 0, 1);

    k->takeout = takeout_begun(k, key);
    kit_call(k, key, kit_obj(k, TLN_auth_logOut));
    check_takeouts(k, 0, 2);
    k->takeout = 0;
    k->link = 3;
    takeout_begun(k, other);
    k->link = 4;
    kit_call(k, other, kit_obj(k, TLN_auth_logOut));
    check_takeouts(k, 0, 3);
    kit_free(k);
}

/* ---- limits, faults ---- */

static void floods_and_server_errors(void **state)
{
    struct kit *k = kit_new("500#2,503#2", "messages.getHistory=1/1");
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);

    (void)state;
    kit_call(k, key, kit_history(k, a, chat, 0));
    assert_null(kit_try(k, key, kit_history(k, a, chat, 0)));
    assert_int_equal(k->answer.code, 500);
    kit_refused(k, key, kit_history(k, a, chat, 0), -503, "Timeout");
    kit_refused(k, key, kit_history(k, a, chat, 0), 420, "FLOOD_WAIT_1");
    k->now_us += TG_SECOND_US;
    kit_call(k, key, kit_history(k, a, chat, 0));
    assert_int_equal(k->core.stats.floods, 1);
    assert_int_equal(k->core.stats.early_repeats, 0);
    kit_free(k);
}

/* Counts objects of a vector field that the client's table does not know. */
static size_t count_unknown(struct kit *k, uint32_t id)
{
    size_t n = 0;

    for (size_t i = 0; i + 4 <= k->plain.len; i += 4)
        n += tg_le32(k->plain.data + i) == id;
    return n;
}

static void objects_are_made_unknown(void **state)
{
    struct kit *k = kit_new("short=0,unknown-message=650,unknown-chat=1", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);
    const uint8_t *bytes;
    struct tg_error err;
    size_t n;

    (void)state;
    assert_true(sim_world_exists(k->core.world, chat, 650));
    tg_buf_clear(&k->request);
    assert_int_equal(tl_encode(sim_core_schema(&k->core, 228),
                               kit_wrap(k, kit_history(k, a, chat, 0)), &k->request, &err),
                     TG_OK);
    kit_send(k, key, k->request.data, k->request.len);
    bytes = kit_unpack(k, &n);
    tg_buf_add(&k->plain, bytes, n);
    assert_int_equal(count_unknown(k, k->core.unknown_id), 1);
    kit_call(k, key, kit_history(k, a, chat, 600)); /* a page without it */
    kit_free(k);
}

/* ---- updates, files ---- */

static void there_is_nothing_new(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);
    const struct tl_value *now = kit_call(k, key, kit_obj(k, TLN_updates_getState));
    struct tl_value *q = kit_obj(k, TLN_updates_getDifference);
    const struct tl_value *v;

    (void)state;
    tl_set_int(q, TLN_pts, tl_get_int(now, TLN_pts, 0));
    assert_int_equal(tl_name(kit_call(k, key, q)), TLN_updates_differenceEmpty);
    q = kit_obj(k, TLN_updates_getChannelDifference);
    tl_set_obj(q, TLN_channel, kit_peer(k, a, chat, true));
    tl_set_new(q, TLN_filter, TLN_channelMessagesFilterEmpty);
    kit_refused(k, key, q, 400, "PERSISTENT_TIMESTAMP_EMPTY");
    v = kit_call(k, key, kit_history(k, a, chat, 0));
    tl_set_int(q, TLN_pts, tl_get_int(v, TLN_pts, 0));
    assert_int_equal(tl_name(kit_call(k, key, q)), TLN_updates_channelDifferenceEmpty);
    tl_set_int(q, TLN_pts, tl_get_int(v, TLN_pts, 0) - 1);
    assert_int_equal(tl_name(kit_call(k, key, q)), TLN_updates_channelDifferenceTooLong);
    kit_free(k);
}

/* @return a document of the chat, as a reply holds it */
static const struct tl_value *find_document(struct kit *k, struct sim_key *key,
                                            const struct sim_account *a)
{
    const struct tl_value *list =
        tl_get_vector(kit_call(k, key, kit_history(k, a, kit_chat(k, SIM_SUPERGROUP), 0)),
                      TLN_messages);

    for (uint32_t i = 0; i < tl_len(list); i++) {
        const struct tl_value *d =
            tl_get_obj(tl_get_obj(tl_item(list, i), TLN_media), TLN_document);

        if (tl_name(d) == TLN_document && tl_get_int(d, TLN_dc_id, 0) == 2)
            return d;
    }
    fail_msg("no document");
    return NULL;
}

static void files_come_in_pieces(void **state)
{
    struct kit *k = kit_new("short=0,file-reference#2", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a), *away = kit_key(k, 1, 0);
    const struct tl_value *d = find_document(k, key, a);
    struct tg_str reference = tl_get_str(d, TLN_file_reference);
    struct tl_value *q = kit_obj(k, TLN_upload_getFile);
    struct tl_value *at = tl_set_new(q, TLN_location, TLN_inputDocumentFileLocation);
    int64_t size = tl_get_long(d, TLN_size, 0), got = 0;

    (void)state;
    tl_set_long(at, TLN_id, tl_get_long(d, TLN_id, 0));
    tl_set_long(at, TLN_access_hash, tl_get_long(d, TLN_access_hash, 0));
    tl_set_int(q, TLN_limit, 5000);
    kit_refused(k, key, q, 400, "LIMIT_INVALID");
    tl_set_int(q, TLN_limit, 1 << 17);
    kit_refused(k, key, q, 400, "FILE_REFERENCE_EMPTY");
    tl_set_copy(at, TLN_file_reference, reference.at, reference.len);
    while (got < size) {
        const struct tl_value *v;

        tl_set_long(q, TLN_offset, got);
        v = kit_try(k, key, q);
        if (!v) {
            assert_string_equal(k->answer.error, "FILE_REFERENCE_EXPIRED");
            continue;
        }
        got += tl_get_str(v, TLN_bytes).len;
    }
    assert_int_equal(got, size);
    sim_keys_authorize(k->core.keys, away, key->login);
    kit_refused(k, away, q, 303, "FILE_MIGRATE_2");
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrappers_nest_and_the_layer_is_kept),
        cmocka_unit_test(a_query_after_a_failed_one_fails),
        cmocka_unit_test(layers_are_chosen),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(cut_and_flipped_queries_never_harm),
        cmocka_unit_test(the_configuration_names_all_dcs),
        cmocka_unit_test(takeout_is_enforced),
        cmocka_unit_test(other_sessions_are_not_locked_out),
        cmocka_unit_test(floods_and_server_errors),
        cmocka_unit_test(objects_are_made_unknown),
        cmocka_unit_test(there_is_nothing_new),
        cmocka_unit_test(files_come_in_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
