/* SPDX-License-Identifier: MIT */
/*
 * What a generated world promises: the same from the same seed, accounts of every kind, and chats
 * in which everything happens that an extraction must cope with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/world_int.h"

enum { MESSAGES = 12000 };

struct fixture {
    struct sim_world *w;
    struct tg_arena arena;
};

static struct sim_world *world(uint64_t seed, uint32_t n_chats, uint64_t n, int holes)
{
    const struct sim_world_options o = { .seed = seed, .n_chats = n_chats, .n_messages = n,
                                         .holes_percent = holes };
    struct sim_world *w = NULL;
    struct tg_error err = { 0 };

    if (sim_world_new(&o, &w, &err) != TG_OK)
        fail_msg("%s", err.message);
    return w;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->w = world(42, 7, MESSAGES, -1);
    tg_arena_init(&f->arena, 64 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    tg_arena_done(&f->arena);
    sim_world_free(f->w);
    free(f);
    return 0;
}

static const struct sim_chat *of_kind(const struct sim_world *w, enum sim_chat_kind kind)
{
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        if (sim_world_chat(w, i)->kind == kind)
            return sim_world_chat(w, i);
    }
    fail_msg("no chat of kind %d", kind);
    return NULL;
}

static struct tl_value *message(struct fixture *f, const struct sim_chat *chat, int64_t id)
{
    if (tg_arena_held(&f->arena) > (32 << 20))
        tg_arena_clear(&f->arena);
    return sim_world_message(f->w, sim_world_account(f->w, 0), chat, id, &f->arena);
}

static int64_t first_id(const struct fixture *f, const struct sim_chat *chat)
{
    return sim_world_select(f->w, chat, 0);
}

/* ---- determinism ---- */

static uint64_t digest(struct sim_world *w)
{
    struct tg_arena arena;
    struct tg_buf out;
    struct tg_error err;
    uint64_t h = 0;

    tg_arena_init(&arena, 64 << 20);
    tg_buf_init(&out, 64 << 20);
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        for (uint64_t k = 0; k < chat->n_messages; k += 7) {
            int64_t id = sim_world_select(w, chat, k);
            struct tl_value *m = sim_world_message(w, sim_world_account(w, 0), chat, id, &arena);

            assert_int_equal(tl_encode(tl_schema_builtin(228), m, &out, &err), TG_OK);
        }
        tg_arena_clear(&arena);
    }
    for (size_t i = 0; i < out.len; i++)
        h = sim_hash(h, out.data[i]);
    tg_buf_done(&out);
    tg_arena_done(&arena);
    return h;
}

static void the_seed_decides_everything(void **state)
{
    struct sim_world *a = world(5, 7, 300, -1), *b = world(5, 7, 300, -1);
    struct sim_world *c = world(6, 7, 300, -1);
    uint64_t h = digest(a);

    (void)state;
    assert_true(h == digest(b));
    assert_true(h != digest(c));
    sim_world_free(a);
    sim_world_free(b);
    sim_world_free(c);
}

/* ---- accounts and chats ---- */

static void accounts_are_of_every_kind(void **state)
{
    struct fixture *f = *state;
    size_t n = sim_world_accounts(f->w), n_2fa = 0, n_bots = 0, n_dc1 = 0;
    const struct sim_account *first = sim_world_account(f->w, 0);

    assert_true(n >= 6);
    assert_null(first->password);
    assert_null(first->bot_token);
    for (size_t i = 0; i < n; i++) {
        const struct sim_account *a = sim_world_account(f->w, i);

        n_2fa += a->password != NULL;
        n_bots += a->bot_token != NULL;
        n_dc1 += a->home_dc == 1;
        assert_true(a->home_dc == 1 || a->home_dc == 2);
        if (a->bot_token)
            assert_non_null(strchr(a->bot_token, ':'));
        else
            assert_memory_equal(a->phone, "99966", 5);
        for (size_t k = 0; k < sim_world_chats(f->w); k++) {
            const struct sim_chat *chat = sim_world_chat(f->w, k);
            const struct sim_account *owner = sim_world_owner(f->w, chat);

            assert_int_equal(sim_world_member(f->w, a, chat),
                             chat->kind != SIM_LEFT_CHANNEL && (!owner || owner == a));
        }
    }
    assert_true(n_2fa && n_bots && n_dc1 && n_dc1 < n);
}

static void six_chats_hold_every_kind_and_the_first_account_sees_them(void **state)
{
    struct sim_world *w = world(1, 6, 10, -1);

    (void)state;
    for (int kind = SIM_SUPERGROUP; kind <= SIM_LEFT_CHANNEL; kind++) {
        const struct sim_chat *chat = of_kind(w, (enum sim_chat_kind)kind);

        assert_int_equal(sim_world_member(w, sim_world_account(w, 0), chat),
                         kind != SIM_LEFT_CHANNEL);
    }
    assert_int_equal(sim_world_chat(w, 0)->kind, SIM_SUPERGROUP);
    sim_world_free(w);
}

static void chats_are_found_by_id_and_name(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < sim_world_chats(f->w); i++) {
        const struct sim_chat *chat = sim_world_chat(f->w, i);

        assert_ptr_equal(sim_world_chat_by_id(f->w, chat->marked_id), chat);
        if (chat->username) {
            assert_ptr_equal(sim_world_chat_by_username(f->w, tg_str_of(chat->username)), chat);
            assert_null(sim_world_chat_by_username(
                f->w, (struct tg_str){ chat->username, (uint32_t)strlen(chat->username) - 1 }));
        }
    }
    assert_ptr_equal(sim_world_chat_by_username(f->w, TG_STR("@SIM_Group_0")),
                     sim_world_chat(f->w, 0));
    assert_null(sim_world_chat_by_username(f->w, TG_STR("")));
    assert_null(sim_world_chat_by_id(f->w, 12345));
}

static void access_hashes_differ_between_accounts(void **state)
{
    struct fixture *f = *state;
    int64_t peer = sim_world_chat(f->w, 0)->marked_id;
    int64_t a = sim_world_access_hash(f->w, sim_world_account(f->w, 0)->user_id, peer);
    int64_t b = sim_world_access_hash(f->w, sim_world_account(f->w, 1)->user_id, peer);

    assert_true(a && b && a != b);
    assert_int_equal(a, sim_world_access_hash(f->w, sim_world_account(f->w, 0)->user_id, peer));
}

static void users_are_found_by_name(void **state)
{
    struct fixture *f = *state;
    size_t n = 0;

    for (uint32_t k = 0; k < 400; k++) {
        const char *name = sim_user_username(f->w, k, &f->arena);

        assert_int_equal(sim_user_number(f->w, sim_user_id(f->w, k)), k);
        if (!name)
            continue;
        n++;
        assert_int_equal(sim_world_user_by_username(f->w, tg_str_of(name)), sim_user_id(f->w, k));
    }
    assert_true(n > 100);
    assert_int_equal(sim_world_user_by_username(f->w, TG_STR("nobody")), 0);
    assert_int_equal(sim_world_user_by_username(f->w, TG_STR("sim_user_99999")), 0);
    assert_int_equal(sim_user_number(f->w, 5), -1);
}

static void impossible_options_are_refused(void **state)
{
    static const struct sim_world_options rows[] = {
        { .n_chats = 0, .n_messages = 1 },
        { .n_chats = 100001, .n_messages = 1 },
        { .n_chats = 1, .n_messages = UINT64_C(1) << 40 },
        { .n_chats = 1, .n_messages = 1, .holes_percent = 100 },
        { .n_chats = 1, .n_messages = 1, .holes_percent = -2 },
        { .n_chats = 1, .n_messages = 2000000000, .holes_percent = 50 },
        { .n_chats = 100, .n_messages = 500000000 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++) {
        struct sim_world *w = NULL;
        struct tg_error err = { 0 };

        assert_int_equal(sim_world_new(&rows[i], &w, &err), TG_USAGE);
        assert_true(err.message[0]);
        assert_null(w);
    }
}

static void holes_are_exact_in_every_block(void **state)
{
    static const int percents[] = { 5, 50, 90, 99 };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(percents); i++) {
        struct sim_world *w = world(3, 2, 5000, percents[i]);
        const struct sim_chat *chat = sim_world_chat(w, 1);

        for (int64_t b = 0; (b + 1) * SIM_BLOCK < chat->top_id; b++)
            assert_int_equal(sim_world_rank(w, chat, (b + 1) * SIM_BLOCK + 1) -
                                 sim_world_rank(w, chat, b * SIM_BLOCK + 1),
                             SIM_BLOCK / 100 * (100 - percents[i]));
        sim_world_free(w);
    }
}

static void the_first_chat_is_dense(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(sim_world_chat(f->w, 0)->top_id, MESSAGES);
    assert_true(sim_world_chat(f->w, 1)->top_id > MESSAGES);
}

/* ---- messages ---- */

static void migrated_groups_are_linked_both_ways(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *super = of_kind(f->w, SIM_MIGRATED), *old;
    struct tl_value *from, *to, *full;

    old = sim_world_chat(f->w, (size_t)super->migrated_from);
    assert_ptr_equal(sim_world_migrated_to(f->w, old), super);
    from = message(f, super, first_id(f, super));
    assert_int_equal(tl_get_int(from, TLN_id, 0), 1);
    assert_int_equal(tl_name(tl_get_obj(from, TLN_action)), TLN_messageActionChannelMigrateFrom);
    assert_int_equal(tl_get_long(tl_get_obj(from, TLN_action), TLN_chat_id, 0), old->id);
    to = message(f, old, old->top_id);
    assert_int_equal(tl_name(tl_get_obj(to, TLN_action)), TLN_messageActionChatMigrateTo);
    assert_int_equal(tl_get_long(tl_get_obj(to, TLN_action), TLN_channel_id, 0), super->id);
    assert_true(tl_get_int(to, TLN_date, 0) <= tl_get_int(from, TLN_date, 0));
    assert_int_equal(tl_name(tl_get_obj(message(f, old, first_id(f, old)), TLN_action)),
                     TLN_messageActionChatCreate);
    full = sim_world_chat_full(f->w, sim_world_account(f->w, 0), super, &f->arena);
    assert_int_equal(tl_get_long(full, TLN_migrated_from_chat_id, 0), old->id);
    assert_int_equal(tl_get_int(full, TLN_migrated_from_max_id, 0), old->top_id);
    full = sim_world_chat_full(f->w, sim_world_account(f->w, 1), super, &f->arena);
    assert_null(tl_get(full, TLN_migrated_from_chat_id));
}

static void albums_are_runs_that_may_straddle_pages(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = sim_world_chat(f->w, 0);
    size_t n_albums = 0, n_straddling = 0;
    int64_t album = 0, from = 0, date = 0;
    uint32_t run = 0;

    for (int64_t id = 1; id <= chat->top_id; id++) {
        struct tl_value *m = message(f, chat, id);
        int64_t grouped = tl_get_long(m, TLN_grouped_id, 0);
        const struct tl_value *peer = tl_get_obj(m, TLN_from_id);
        int64_t sender = tl_get_long(peer, TLN_user_id, tl_get_long(peer, TLN_channel_id, 0));

        if (grouped && grouped == album) {
            assert_int_equal(sender, from);
            assert_int_equal(tl_get_int(m, TLN_date, 0), date);
            n_straddling += id % 100 == 1;
            run++;
        } else {
            if (album)
                assert_in_range(run, 2, 10);
            n_albums += grouped != 0;
            run = 1;
        }
        album = grouped;
        from = sender;
        date = tl_get_int(m, TLN_date, 0);
    }
    assert_true(n_albums > MESSAGES / 300);
    assert_true(n_straddling > 0);
}

static void forums_have_topics_made_by_their_messages(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = of_kind(f->w, SIM_FORUM);
    size_t n = sim_world_topics(f->w, chat);
    int64_t last = INT64_MAX;

    assert_true(n > 2);
    for (size_t i = 0; i < n; i++) {
        struct tl_value *t =
            sim_world_topic(f->w, sim_world_account(f->w, 0), chat, i, &f->arena);
        int64_t id = tl_get_int(t, TLN_id, 0);

        assert_true(id < last && id == sim_world_topic_id(f->w, chat, i));
        last = id;
        assert_true(sim_world_exists(f->w, chat, tl_get_int(t, TLN_top_message, 0)));
        assert_int_equal(sim_world_thread(f->w, chat, tl_get_int(t, TLN_top_message, 0)), id);
        assert_int_equal(tl_name(tl_get_obj(message(f, chat, id), TLN_action)),
                         id == 1 ? TLN_messageActionChannelCreate : TLN_messageActionTopicCreate);
    }
    assert_int_equal(last, 1); /* General */
}

/* The topic a client would derive from a message is the one that the world says. */
static void messages_tell_their_topic(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = of_kind(f->w, SIM_FORUM);

    for (uint64_t i = 0; i < chat->n_messages; i++) {
        int64_t id = sim_world_select(f->w, chat, i), topic = 1;
        struct tl_value *m = message(f, chat, id);
        const struct tl_value *reply = tl_get_obj(m, TLN_reply_to);

        if (tl_get_bool(reply, TLN_forum_topic))
            topic = tl_get_int(reply, TLN_reply_to_top_id,
                               tl_get_int(reply, TLN_reply_to_msg_id, 0));
        if (tl_name(tl_get_obj(m, TLN_action)) == TLN_messageActionTopicCreate)
            topic = id;
        if (tl_name(tl_get_obj(m, TLN_action)) == TLN_messageActionPinMessage)
            continue; /* answers the pinned message, wherever that is */
        assert_int_equal(sim_world_thread(f->w, chat, id), topic);
    }
}

static void channel_posts_have_no_sender(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = of_kind(f->w, SIM_CHANNEL);
    size_t n_comments = 0;

    for (uint64_t i = 0; i < 2000; i++) {
        struct tl_value *m = message(f, chat, sim_world_select(f->w, chat, i));

        assert_true(tl_get_bool(m, TLN_post));
        assert_null(tl_get(m, TLN_from_id));
        if (tl_name(m) == TLN_message)
            assert_true(tl_get_int(m, TLN_views, 0) > 0);
        n_comments += tl_get_bool(tl_get_obj(m, TLN_replies), TLN_comments);
    }
    assert_in_range(n_comments, 800, 1200);
}

static void private_chats_name_the_own_side_only(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = of_kind(f->w, SIM_PRIVATE);
    int64_t me = sim_world_account(f->w, 0)->user_id;
    size_t n_out = 0;

    for (uint64_t i = 0; i < 500; i++) {
        struct tl_value *m = message(f, chat, sim_world_select(f->w, chat, i));
        const struct tl_value *from = tl_get_obj(m, TLN_from_id);

        assert_int_equal(tl_get_bool(m, TLN_out), from != NULL);
        assert_int_equal(tl_get_long(tl_get_obj(m, TLN_peer_id), TLN_user_id, 0), chat->id);
        if (from)
            assert_int_equal(tl_get_long(from, TLN_user_id, 0), me);
        n_out += from != NULL;
    }
    assert_in_range(n_out, 100, 400);
}

/* Marks what happens in the world; each must be seen at least once. */
struct seen {
    bool name[TLN_COUNT]; /* predicates of media, actions and entities */
    bool longest, control, hidden, anonymous, deleted, empty_with_media, via, quote, edited;
};

static void look(struct fixture *f, const struct sim_chat *chat, const struct tl_value *m,
                 struct seen *s)
{
    struct tg_str text = tl_get_str(m, TLN_message);
    const struct tl_value *list = tl_get_vector(m, TLN_entities);
    const struct tl_value *from = tl_get_obj(m, TLN_from_id);

    s->name[tl_name(tl_get_obj(m, TLN_media))] = true;
    s->name[tl_name(tl_get_obj(m, TLN_action))] = true;
    for (uint32_t i = 0; i < tl_len(list); i++)
        s->name[tl_name(tl_item(list, i))] = true;
    if (tg_utf16_len(text.at, text.len) == SIM_TEXT_MAX)
        s->longest = true;
    if (text.len && memchr(text.at, 1, text.len))
        s->control = true;
    if (tl_get(m, TLN_media) && text.len == 0)
        s->empty_with_media = true;
    if (tl_get(tl_get_obj(m, TLN_fwd_from), TLN_from_name))
        s->hidden = true;
    if (tl_get_long(from, TLN_channel_id, 0) == chat->id)
        s->anonymous = true;
    if (tl_get(m, TLN_via_bot_id))
        s->via = true;
    if (tl_get(m, TLN_edit_date))
        s->edited = true;
    if (tl_get_bool(tl_get_obj(m, TLN_reply_to), TLN_quote))
        s->quote = true;
    if (tl_name(from) == TLN_peerUser) {
        struct tl_value *u = sim_world_user(f->w, sim_world_account(f->w, 0),
                                            tl_get_long(from, TLN_user_id, 0), &f->arena);

        assert_int_equal(tl_name(u), TLN_user);
        if (tl_get_bool(u, TLN_deleted))
            s->deleted = true;
    }
}

static void everything_happens(void **state)
{
    static const uint32_t want[] = {
        TLN_messageMediaPhoto,       TLN_messageMediaDocument,    TLN_messageMediaWebPage,
        TLN_messageMediaPoll,        TLN_messageMediaGeo,         TLN_messageMediaVenue,
        TLN_messageMediaContact,     TLN_messageMediaDice,        TLN_messageMediaGame,
        TLN_messageMediaUnsupported, TLN_messageMediaGeoLive,     TLN_messageActionChatCreate,
        TLN_messageActionPinMessage, TLN_messageActionChatAddUser, TLN_messageActionChatDeleteUser,
        TLN_messageActionChatEditTitle, TLN_messageActionChatEditPhoto,
        TLN_messageActionChatJoinedByLink, TLN_messageActionGroupCall,
        TLN_messageActionSetMessagesTTL, TLN_messageActionTopicCreate,
        TLN_messageActionTopicEdit,  TLN_messageActionPhoneCall,  TLN_messageActionCustomAction,
        TLN_messageActionBoostApply, TLN_messageEntityBold,       TLN_messageEntityTextUrl,
        TLN_messageEntityUrl,        TLN_messageEntityMention,    TLN_messageEntityMentionName,
        TLN_messageEntityHashtag,    TLN_messageEntityPre,        TLN_messageEntityCustomEmoji,
        TLN_messageEntityBlockquote, TLN_messageEntitySpoiler,
    };
    struct fixture *f = *state;
    struct seen *s = calloc(1, sizeof *s);

    assert_non_null(s);
    for (size_t i = 0; i < sim_world_chats(f->w); i++) {
        const struct sim_chat *chat = sim_world_chat(f->w, i);

        for (uint64_t k = 0; k < chat->n_messages; k++)
            look(f, chat, message(f, chat, sim_world_select(f->w, chat, k)), s);
    }
    for (size_t i = 0; i < TG_COUNT(want); i++) {
        if (!s->name[want[i]])
            fail_msg("never seen: %s", tl_symbol_name(tl_schema_builtin(228), want[i]));
    }
    assert_true(s->longest);
    assert_true(s->control);
    assert_true(s->hidden);
    assert_true(s->anonymous);
    assert_true(s->deleted);
    assert_true(s->empty_with_media);
    assert_true(s->via);
    assert_true(s->quote);
    assert_true(s->edited);
    free(s);
}

/* ---- texts and files ---- */

static void utf16_lengths_are_right(void **state)
{
    static const struct {
        const char *text;
        uint32_t units;
    } rows[] = {
        { "", 0 },
        { "a", 1 },
        { "abcdefgh", 8 },
        { "abcdefghi", 9 },
        { "\xc3\xa9", 1 },
        { "\xe6\x98\x8e\xe5\xa4\xa9", 2 },
        { "\xf0\x9f\x98\x80", 2 },
        { "abcdefg\xf0\x9f\x98\x80z", 10 },
        { "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", 5 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(rows); i++)
        assert_int_equal(tg_utf16_len(rows[i].text, strlen(rows[i].text)), rows[i].units);
}

static void files_are_functions_of_their_id(void **state)
{
    struct fixture *f = *state;
    int64_t id = sim_file_id(77, SIM_FILE_PHOTO), small = sim_world_file_thumb(id, 'm');
    uint8_t whole[4096], part[100];

    sim_world_file_bytes(f->w, id, 0, whole, sizeof whole);
    for (int64_t at = 0; at < 3000; at += 131) {
        sim_world_file_bytes(f->w, id, at, part, sizeof part);
        assert_memory_equal(part, whole + at, sizeof part);
    }
    assert_true(sim_world_file_size(f->w, id) >= 40000);
    assert_in_range(sim_world_file_size(f->w, small), 1, sim_world_file_size(f->w, id) - 1);
    assert_int_equal(sim_world_file_thumb(id, 'q'), 0);
    assert_int_equal(sim_world_file_size(f->w, 0), 0);
    assert_int_equal(sim_world_file_size(f->w, -1), 0);
}

static void documents_have_the_size_of_their_file(void **state)
{
    struct fixture *f = *state;
    const struct sim_chat *chat = sim_world_chat(f->w, 0);
    size_t n = 0;

    for (int64_t id = 1; id <= 2000; id++) {
        const struct tl_value *media = tl_get_obj(message(f, chat, id), TLN_media);
        const struct tl_value *d = tl_get_obj(media, TLN_document);

        if (!d)
            continue;
        n++;
        assert_int_equal(tl_get_long(d, TLN_size, 0),
                         sim_world_file_size(f->w, tl_get_long(d, TLN_id, 0)));
    }
    assert_true(n > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_seed_decides_everything),
        cmocka_unit_test(accounts_are_of_every_kind),
        cmocka_unit_test(six_chats_hold_every_kind_and_the_first_account_sees_them),
        cmocka_unit_test(chats_are_found_by_id_and_name),
        cmocka_unit_test(access_hashes_differ_between_accounts),
        cmocka_unit_test(users_are_found_by_name),
        cmocka_unit_test(impossible_options_are_refused),
        cmocka_unit_test(holes_are_exact_in_every_block),
        cmocka_unit_test(the_first_chat_is_dense),
        cmocka_unit_test(migrated_groups_are_linked_both_ways),
        cmocka_unit_test(albums_are_runs_that_may_straddle_pages),
        cmocka_unit_test(forums_have_topics_made_by_their_messages),
        cmocka_unit_test(messages_tell_their_topic),
        cmocka_unit_test(channel_posts_have_no_sender),
        cmocka_unit_test(private_chats_name_the_own_side_only),
        cmocka_unit_test(everything_happens),
        cmocka_unit_test(utf16_lengths_are_right),
        cmocka_unit_test(files_are_functions_of_their_id),
        cmocka_unit_test(documents_have_the_size_of_their_file),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
