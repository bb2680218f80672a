/* SPDX-License-Identifier: MIT */
/*
 * sim_history.c - chats and messages of the simulated data centre: lists, access, pages, searches
 */
#include <stdio.h>

#include "sim_kit.h"

/* ---- dialogs ---- */

static struct tl_value *dialogs(struct kit *k, int32_t limit)
{
    struct tl_value *q = kit_obj(k, TLN_messages_getDialogs);

    tl_set_new(q, TLN_offset_peer, TLN_inputPeerEmpty);
    tl_set_int(q, TLN_limit, limit);
    return q;
}

static int64_t dialog_peer(const struct tl_value *dialog)
{
    const struct tl_value *peer = tl_get_obj(dialog, TLN_peer);

    if (tl_name(peer) == TLN_peerUser)
        return tl_get_long(peer, TLN_user_id, 0);
    if (tl_name(peer) == TLN_peerChat)
        return -tl_get_long(peer, TLN_chat_id, 0);
    return SIM_CHANNEL_MARK - tl_get_long(peer, TLN_channel_id, 0);
}

static void dialogs_come_in_pages_that_end(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    const struct tl_value *whole, *list;
    struct tl_value *q = dialogs(k, 2);
    uint32_t n = 0;

    (void)state;
    whole = tl_get_vector(kit_call(k, key, dialogs(k, 100)), TLN_dialogs);
    assert_true(tl_len(whole) >= 6);
    for (;;) {
        const struct sim_chat *chat;

        list = tl_get_vector(kit_call(k, key, q), TLN_dialogs);
        if (!tl_len(list))
            break;
        for (uint32_t i = 0; i < tl_len(list); i++)
            assert_int_equal(dialog_peer(tl_item(list, i)), dialog_peer(tl_item(whole, n++)));
        chat = sim_world_chat_by_id(k->core.world,
                                    dialog_peer(tl_item(list, tl_len(list) - 1)));
        tl_set_obj(q, TLN_offset_peer, kit_peer(k, a, chat, false));
        tl_set_int(q, TLN_offset_id, chat->top_id);
        tl_set_int(q, TLN_offset_date,
                   (int32_t)sim_world_date(k->core.world, chat, chat->top_id));
    }
    assert_int_equal(n, tl_len(whole));
    kit_free(k);
}

/* ---- access ---- */

static void access_hashes_belong_to_an_account(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_account *other = kit_account(k, 1, false, false);
    const struct sim_chat *group = kit_chat(k, SIM_SUPERGROUP);
    const struct sim_chat *man = kit_chat(k, SIM_PRIVATE);
    struct sim_key *key = kit_login(k, a);
    struct tl_value *q;

    (void)state;
    kit_refused(k, key, kit_history(k, other, group, 0), 400, "CHANNEL_INVALID");
    kit_refused(k, key, kit_history(k, other, man, 0), 400, "PEER_ID_INVALID");
    q = kit_obj(k, TLN_users_getUsers);
    tl_set_long(tl_add_new(tl_set_vector(q, TLN_id), TLN_inputUser), TLN_user_id, man->id);
    kit_refused(k, key, q, 400, "USER_ID_INVALID");
    q = kit_obj(k, TLN_channels_getFullChannel);
    tl_set_obj(q, TLN_channel, kit_peer(k, other, group, true));
    kit_refused(k, key, q, 400, "CHANNEL_INVALID");
    tl_set_obj(q, TLN_channel, kit_peer(k, a, group, true));
    kit_call(k, key, q);
    kit_free(k);
}

static void every_chat_has_its_infos(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);

    (void)state;
    for (size_t i = 0; i < sim_world_chats(k->core.world); i++) {
        const struct sim_chat *chat = sim_world_chat(k->core.world, i);
        struct tl_value *q;

        if (!sim_world_member(k->core.world, a, chat))
            continue;
        if (chat->marked_id > 0) {
            q = kit_obj(k, TLN_users_getFullUser);
            struct tl_value *user = tl_set_new(q, TLN_id, TLN_inputUser);

            tl_set_long(user, TLN_user_id, chat->id);
            tl_set_long(user, TLN_access_hash,
                        sim_world_access_hash(k->core.world, a->user_id, chat->marked_id));
        } else if (sim_is_channel(chat)) {
            q = kit_obj(k, TLN_channels_getFullChannel);
            tl_set_obj(q, TLN_channel, kit_peer(k, a, chat, true));
        } else {
            q = kit_obj(k, TLN_messages_getFullChat);
            tl_set_long(q, TLN_chat_id, chat->id);
        }
        for (k->layer = 228; k->layer >= 198; k->layer -= 30)
            kit_call(k, key, q);
        k->layer = 228;
        if (!chat->username)
            continue;
        q = kit_obj(k, TLN_contacts_resolveUsername);
        tl_set_cstr(q, TLN_username, chat->username);
        kit_call(k, key, q);
    }
    kit_free(k);
}

/* ---- history ---- */

static void every_layer_reads_every_message(void **state)
{
    static const int32_t layer[] = { 198, 228, 229 };
    struct kit *k = kit_new("short=0.3", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);

    (void)state;
    for (size_t l = 0; l < TG_COUNT(layer); l++) {
        k->layer = layer[l];
        for (size_t i = 0; i < sim_world_chats(k->core.world); i++) {
            const struct sim_chat *chat = sim_world_chat(k->core.world, i);

            if (sim_world_member(k->core.world, a, chat))
                assert_int_equal(kit_read_all(k, key, a, chat), chat->n_messages);
        }
    }
    assert_true(k->core.stats.short_pages > 10);
    kit_free(k);
}

static void short_pages_are_cut_at_the_old_end(void **state)
{
    struct kit *k = kit_new("short=1", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);
    const struct tl_value *list;

    (void)state;
    list = tl_get_vector(kit_call(k, key, kit_history(k, a, chat, 0)), TLN_messages);
    assert_in_range(tl_len(list), 1, 99);
    assert_int_equal(tl_get_int(tl_item(list, 0), TLN_id, 0), chat->top_id);
    kit_free(k);
}

static void nothing_changed_is_told_by_hash(void **state)
{
    struct kit *k = kit_new("short=0", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    struct tl_value *q = kit_history(k, a, kit_chat(k, SIM_SUPERGROUP), 0);
    const struct tl_value *list = tl_get_vector(kit_call(k, key, q), TLN_messages);
    uint64_t h = 0;

    (void)state;
    for (uint32_t i = 0; i < tl_len(list); i++) {
        h ^= h >> 21;
        h ^= h << 35;
        h ^= h >> 4;
        h += (uint64_t)tl_get_int(tl_item(list, i), TLN_id, 0);
    }
    tl_set_long(q, TLN_hash, (int64_t)h);
    assert_int_equal(tl_name(kit_call(k, key, q)), TLN_messages_messagesNotModified);
    kit_free(k);
}

static void single_messages_and_missing_ones(void **state)
{
    struct kit *k = kit_new(NULL, NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_PRIVATE);
    struct sim_key *key = kit_login(k, a);
    struct tl_value *q = kit_obj(k, TLN_messages_getMessages);
    struct tl_value *ids = tl_set_vector(q, TLN_id);
    const struct tl_value *list;

    (void)state;
    kit_refused(k, key, q, 400, "MESSAGE_IDS_EMPTY");
    tl_set_int(tl_add_new(ids, TLN_inputMessageID), TLN_id, chat->top_id);
    tl_set_int(tl_add_new(ids, TLN_inputMessageID), TLN_id, 2000000000);
    list = tl_get_vector(kit_call(k, key, q), TLN_messages);
    assert_int_equal(tl_get_int(tl_item(list, 0), TLN_id, 0), chat->top_id);
    assert_int_equal(tl_name(tl_item(list, 1)), TLN_messageEmpty);
    kit_free(k);
}

/* ---- search and threads ---- */

static uint64_t count_thread(struct kit *k, const struct sim_chat *chat, int64_t top)
{
    uint64_t n = 0;

    for (uint64_t i = 0; i < chat->n_messages; i++)
        n += sim_world_thread(k->core.world, chat,
                              sim_world_select(k->core.world, chat, i)) == top;
    return n;
}

static void topics_hold_their_messages(void **state)
{
    struct kit *k = kit_new("short=0", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_FORUM);
    struct sim_key *key = kit_login(k, a);
    struct tl_value *q = kit_obj(k, TLN_messages_getForumTopics);
    const struct tl_value *topics;
    int64_t top;

    (void)state;
    tl_set_obj(q, TLN_peer, kit_peer(k, a, chat, false));
    tl_set_int(q, TLN_limit, 100);
    topics = tl_get_vector(kit_call(k, key, q), TLN_topics);
    assert_int_equal(tl_len(topics), TG_MIN(sim_world_topics(k->core.world, chat), (size_t)100));
    top = tl_get_int(tl_item(topics, 0), TLN_id, 0);
    for (int round = 0; round < 2; round++) { /* the second finds the count that was kept */
        int32_t offset = 0;
        uint64_t n = 0;

        for (;;) {
            const struct tl_value *v, *list;

            q = kit_obj(k, TLN_messages_getReplies);
            tl_set_obj(q, TLN_peer, kit_peer(k, a, chat, false));
            tl_set_int(q, TLN_msg_id, (int32_t)top);
            tl_set_int(q, TLN_offset_id, offset);
            tl_set_int(q, TLN_limit, 7);
            v = kit_call(k, key, q);
            list = tl_get_vector(v, TLN_messages);
            assert_int_equal(tl_get_int(v, TLN_count, 0), count_thread(k, chat, top));
            if (!tl_len(list))
                break;
            n += tl_len(list);
            offset = tl_get_int(tl_item(list, tl_len(list) - 1), TLN_id, 0);
        }
        assert_int_equal(n, count_thread(k, chat, top));
    }
    kit_free(k);
}

static struct tl_value *search(struct kit *k, const struct sim_account *a,
                               const struct sim_chat *chat)
{
    struct tl_value *q = kit_obj(k, TLN_messages_search);

    tl_set_obj(q, TLN_peer, kit_peer(k, a, chat, false));
    tl_set_new(q, TLN_filter, TLN_inputMessagesFilterEmpty);
    tl_set_int(q, TLN_limit, 100);
    return q;
}

static void searches_by_date_text_and_media(void **state)
{
    struct kit *k = kit_new("short=0", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);
    int32_t from = (int32_t)sim_world_date(k->core.world, chat, 200);
    int32_t to = (int32_t)sim_world_date(k->core.world, chat, 260);
    struct tl_value *q = search(k, a, chat);
    const struct tl_value *list;

    (void)state;
    tl_set_int(q, TLN_min_date, from);
    tl_set_int(q, TLN_max_date, to);
    list = tl_get_vector(kit_call(k, key, q), TLN_messages);
    assert_in_range(tl_len(list), 40, 60);
    for (uint32_t i = 0; i < tl_len(list); i++) {
        assert_true(tl_get_int(tl_item(list, i), TLN_date, 0) > from);
        assert_true(tl_get_int(tl_item(list, i), TLN_date, 0) < to);
    }
    q = search(k, a, chat);
    tl_set_new(q, TLN_filter, TLN_inputMessagesFilterPhotos);
    list = tl_get_vector(kit_call(k, key, q), TLN_messages);
    assert_true(tl_len(list) > 5);
    for (uint32_t i = 0; i < tl_len(list); i++)
        assert_int_equal(tl_name(tl_get_obj(tl_item(list, i), TLN_media)),
                         TLN_messageMediaPhoto);
    q = search(k, a, chat);
    tl_set_cstr(q, TLN_q, "no text is like that");
    assert_int_equal(tl_len(tl_get_vector(kit_call(k, key, q), TLN_messages)), 0);
    kit_free(k);
}

/* @return how many messages the search finds; their ids, newest first */
static size_t found(struct kit *k, struct sim_key *key, struct tl_value *q, int32_t ids[100])
{
    const struct tl_value *list = tl_get_vector(kit_call(k, key, q), TLN_messages);

    for (uint32_t i = 0; i < tl_len(list); i++)
        ids[i] = tl_get_int(tl_item(list, i), TLN_id, 0);
    return tl_len(list);
}

/* The page of a search begins at (matches from offset_id on) + add_offset, but not before the
 * newest: also where more than a page of newer ones is asked for, or fewer are there. */
static void searches_begin_where_they_should(void **state)
{
    enum { MANY = 4000 };
    static const int32_t add[] = { 0, 7, -1, -20, -99, -100, -101, -150, -1000, INT32_MIN };
    static const int32_t limit[] = { 1, 20, 100 };
    static int32_t all[MANY];
    struct kit *k = kit_new("short=0", NULL);
    const struct sim_account *a = kit_account(k, 2, false, false);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    struct sim_key *key = kit_login(k, a);
    size_t n = 0, got;
    int32_t ids[100];

    (void)state;
    do {
        struct tl_value *q = search(k, a, chat);

        tl_set_cstr(q, TLN_q, "e");
        tl_set_int(q, TLN_offset_id, n ? all[n - 1] : 0);
        got = found(k, key, q, all + n);
        n += got;
    } while (got && n + 100 <= MANY);
    assert_true(n > 250);
    for (size_t i = 0; i < TG_COUNT(add) * TG_COUNT(limit) * 4; i++) {
        const size_t at[] = { 0, 60, 130, n - 1 }; /* offset_id is right above that one */
        size_t from = at[i % 4], j = i / 4 / TG_COUNT(limit);
        int64_t start = (int64_t)from + add[j];
        size_t want = (size_t)limit[i / 4 % TG_COUNT(limit)];
        struct tl_value *q = search(k, a, chat);

        start = TG_MAX(start, INT64_C(0));
        want = TG_MIN(want, n - TG_MIN((size_t)start, n));
        tl_set_cstr(q, TLN_q, "e");
        tl_set_int(q, TLN_offset_id, all[from] + 1);
        tl_set_int(q, TLN_add_offset, add[j]);
        tl_set_int(q, TLN_limit, limit[i / 4 % TG_COUNT(limit)]);
        assert_int_equal(found(k, key, q, ids), want);
        assert_memory_equal(ids, all + start, want * sizeof *ids);
    }
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dialogs_come_in_pages_that_end),
        cmocka_unit_test(access_hashes_belong_to_an_account),
        cmocka_unit_test(every_chat_has_its_infos),
        cmocka_unit_test(every_layer_reads_every_message),
        cmocka_unit_test(short_pages_are_cut_at_the_old_end),
        cmocka_unit_test(nothing_changed_is_told_by_hash),
        cmocka_unit_test(single_messages_and_missing_ones),
        cmocka_unit_test(topics_hold_their_messages),
        cmocka_unit_test(searches_by_date_text_and_media),
        cmocka_unit_test(searches_begin_where_they_should),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
