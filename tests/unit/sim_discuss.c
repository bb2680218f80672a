/* SPDX-License-Identifier: MIT */
/*
 * Groups in which posts are discussed: what posts, their copies and the comments say of each other,
 * and who may read them.
 */
#include "sim_kit.h"

static const struct sim_world_options mixed = { .seed = 5, .n_chats = 9, .n_messages = 300,
                                                .holes_percent = -1,
                                                .discussions = SIM_DISCUSS_MIXED };

static struct kit *group_kit(void)
{
    return kit_of(&mixed, "short=0", NULL);
}

/* The nth discussion group of the world: 0 is open, 1 closed. */
static const struct sim_chat *group_of(const struct kit *k, int nth)
{
    for (size_t i = 0; i < sim_world_chats(k->core.world); i++)
        if (sim_world_chat(k->core.world, i)->kind == SIM_DISCUSSION && nth-- == 0)
            return sim_world_chat(k->core.world, i);
    fail_msg("no such group");
    return NULL;
}

static void all_other_chats_are_as_they_are_without(void **state)
{
    struct sim_world_options plain = mixed;
    struct kit *k = group_kit(), *without;
    size_t n;

    (void)state;
    plain.discussions = SIM_DISCUSS_NONE;
    without = kit_of(&plain, NULL, NULL);
    n = sim_world_chats(without->core.world);
    assert_int_equal(sim_world_chats(k->core.world), n + 2);
    for (size_t i = 0; i < n; i++) {
        const struct sim_chat *a = sim_world_chat(k->core.world, i);
        const struct sim_chat *b = sim_world_chat(without->core.world, i);

        assert_true(a->marked_id == b->marked_id && a->n_messages == b->n_messages &&
                    a->top_id == b->top_id);
        assert_string_equal(a->title, b->title);
    }
    kit_free(k);
    kit_free(without);
}

static int64_t peer_of(const struct tl_value *peer)
{
    return SIM_CHANNEL_MARK - tl_get_long(peer, TLN_channel_id, 0);
}

/* What a client makes of a message of the group: its post; 0 for talk. ret_root: whether it is the
 * post's copy. */
static int64_t seen_post(const struct tl_value *m, const struct sim_chat *channel, bool *ret_root,
                         int64_t *ret_thread)
{
    const struct tl_value *f = tl_get_obj(m, TLN_fwd_from), *r = tl_get_obj(m, TLN_reply_to);

    *ret_root = f && tl_get_obj(f, TLN_saved_from_peer) &&
                peer_of(tl_get_obj(m, TLN_from_id)) == channel->marked_id;
    if (tl_name(m) == TLN_message)
        *ret_thread = tl_get_int(r, TLN_reply_to_top_id, tl_get_int(r, TLN_reply_to_msg_id, 0));
    else
        *ret_thread = 0;
    if (!*ret_root)
        return 0;
    assert_true(peer_of(tl_get_obj(f, TLN_saved_from_peer)) == channel->marked_id);
    return tl_get_int(f, TLN_saved_from_msg_id, 0);
}

static void comments_name_the_copy_of_their_post(void **state)
{
    struct kit *k = group_kit();
    const struct sim_world *w = k->core.world;
    const struct sim_account *me = sim_world_account(w, 0);

    (void)state;
    for (int nth = 0; nth < 2; nth++) {
        const struct sim_chat *group = group_of(k, nth), *channel = sim_world_linked(w, group);
        uint64_t n_roots = 0, n_comments = 0, n_talk = 0, n_lost = 0;

        assert_ptr_equal(sim_world_linked(w, channel), group);
        for (uint64_t i = 0; i < group->n_messages; i++) {
            int64_t id = sim_world_select(w, group, i), thread;
            int64_t truth = sim_world_comment_of(w, group, id), post;
            bool root;
            const struct tl_value *m;

            tg_arena_clear(&k->arena);
            m = sim_world_message(w, me, group, id, &k->arena);
            assert_true(peer_of(tl_get_obj(m, TLN_peer_id)) == group->marked_id);
            post = seen_post(m, channel, &root, &thread);
            if (root) {
                assert_int_equal(post, truth);
                assert_true(!sim_world_exists(w, channel, post) ||
                            sim_world_post_root(w, channel, post) == id);
                n_roots++;
            } else if (truth) {
                assert_true(sim_world_date(w, group, id) >= sim_world_date(w, channel, truth));
                assert_true(sim_world_exists(w, group, thread));
                assert_int_equal(sim_world_comment_of(w, group, thread), truth);
                assert_int_equal(sim_world_thread(w, group, id), thread);
                n_comments++;
            } else if (thread && !sim_world_exists(w, group, thread)) {
                n_lost++;
            } else {
                n_talk++;
            }
        }
        assert_true(n_roots > 250 && n_comments > 2000 && n_talk > 300 && n_lost > 10);
    }
    kit_free(k);
}

static void posts_tell_how_many_comments_they_have(void **state)
{
    struct kit *k = group_kit();
    const struct sim_world *w = k->core.world;
    const struct sim_chat *group = group_of(k, 1), *channel = sim_world_linked(w, group);
    uint32_t *n = calloc((size_t)channel->top_id + 1, sizeof *n), most = 0, none = 0;
    int64_t *top = calloc((size_t)channel->top_id + 1, sizeof *top);

    (void)state;
    assert_true(n && top);
    for (uint64_t i = 0; i < group->n_messages; i++) {
        int64_t id = sim_world_select(w, group, i), post = sim_world_comment_of(w, group, id);

        if (!post || id == sim_world_post_root(w, channel, post))
            continue;
        n[post]++;
        top[post] = id;
    }
    for (uint64_t i = 0; i < channel->n_messages; i++) {
        int64_t post = sim_world_select(w, channel, i);
        const struct tl_value *r;

        tg_arena_clear(&k->arena);
        r = tl_get_obj(sim_world_message(w, sim_world_account(w, 0), channel, post, &k->arena),
                       TLN_replies);
        assert_int_equal(r != NULL, sim_world_post_root(w, channel, post) != 0);
        if (!r)
            continue;
        assert_true(tl_get_bool(r, TLN_comments));
        assert_int_equal(tl_get_long(r, TLN_channel_id, 0), group->id);
        assert_int_equal(tl_get_int(r, TLN_replies, -1), n[post]);
        assert_int_equal(tl_get_int(r, TLN_max_id, 0), top[post]);
        assert_int_equal(tl_len(tl_get_vector(r, TLN_recent_repliers)), TG_MIN(n[post], 3));
        most = TG_MAX(most, n[post]);
        none += n[post] == 0;
    }
    assert_true(most > 100 && none > 20);
    free(n);
    free(top);
    kit_free(k);
}

static void a_closed_group_is_read_by_its_posts(void **state)
{
    struct kit *k = group_kit();
    const struct sim_world *w = k->core.world;
    const struct sim_account *me = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, me);
    const struct sim_chat *group = group_of(k, 1), *channel = sim_world_linked(w, group);
    const struct tl_value *reply;
    struct tl_value *q;
    int64_t post = 0, last = 0;
    uint32_t n = 0;

    (void)state;
    q = kit_obj(k, TLN_channels_getFullChannel);
    tl_set_obj(q, TLN_channel, kit_peer(k, me, channel, true));
    reply = kit_call(k, key, q);
    assert_int_equal(tl_get_long(tl_get_obj(reply, TLN_full_chat), TLN_linked_chat_id, 0),
                     group->id);
    assert_int_equal(tl_len(tl_get_vector(reply, TLN_chats)), 2);
    q = kit_obj(k, TLN_channels_getFullChannel);
    tl_set_obj(q, TLN_channel, kit_peer(k, me, group, true));
    kit_refused(k, key, q, 400, "CHANNEL_PRIVATE");
    q = kit_obj(k, TLN_messages_getHistory);
    tl_set_obj(q, TLN_peer, kit_peer(k, me, group, false));
    tl_set_int(q, TLN_limit, 10);
    kit_refused(k, key, q, 400, "CHANNEL_PRIVATE");

    for (int64_t at = 1; !post; at++) { /* the most discussed of the first posts */
        int64_t root = sim_world_post_root(w, channel, at);

        for (int64_t id = 1; root && id <= 512; id++)
            n += sim_world_exists(w, group, id) && sim_world_thread(w, group, id) == root;
        post = n > 100 ? at : 0;
        n = post ? n : 0;
    }
    for (uint32_t got = 0; got < n;) { /* oldest first, as history is read */
        const struct tl_value *list;

        q = kit_obj(k, TLN_messages_getReplies);
        tl_set_obj(q, TLN_peer, kit_peer(k, me, channel, false));
        tl_set_int(q, TLN_msg_id, (int32_t)post);
        tl_set_int(q, TLN_offset_id, (int32_t)last + 1);
        tl_set_int(q, TLN_add_offset, -100);
        tl_set_int(q, TLN_limit, 100);
        tl_set_int(q, TLN_min_id, (int32_t)last);
        reply = kit_call(k, key, q);
        list = tl_get_vector(reply, TLN_messages);
        assert_int_equal(tl_get_int(reply, TLN_count, 0), n);
        assert_int_equal(tl_len(list), TG_MIN(100, n - got));
        for (uint32_t i = tl_len(list); i-- > 0;) {
            int32_t id = tl_get_int(tl_item(list, i), TLN_id, 0);

            assert_true(id > last);
            assert_int_equal(sim_world_comment_of(w, group, id), post);
            last = id;
        }
        got += tl_len(list);
    }
    q = kit_obj(k, TLN_messages_getDiscussionMessage);
    tl_set_obj(q, TLN_peer, kit_peer(k, me, channel, false));
    tl_set_int(q, TLN_msg_id, (int32_t)post);
    reply = kit_call(k, key, q);
    assert_int_equal(tl_get_int(tl_item(tl_get_vector(reply, TLN_messages), 0), TLN_id, 0),
                     sim_world_post_root(w, channel, post));
    q = kit_obj(k, TLN_messages_getReplies);
    tl_set_obj(q, TLN_peer, kit_peer(k, me, channel, false));
    tl_set_int(q, TLN_msg_id, 1); /* the channel was made: nobody can comment on that */
    kit_refused(k, key, q, 400, "MSG_ID_INVALID");
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_other_chats_are_as_they_are_without),
        cmocka_unit_test(comments_name_the_copy_of_their_post),
        cmocka_unit_test(posts_tell_how_many_comments_they_have),
        cmocka_unit_test(a_closed_group_is_read_by_its_posts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
