/* SPDX-License-Identifier: MIT */
/*
 * sim_live.c - a world in which something happens: the overlay against a plain list, the sequences
 * against a client that only listens and one that only asks
 */
#include "sim_kit.h"

#include "sim/world_int.h"

enum { CLOCK_S = 1790000000, IDS_MAX = 40000 };

static const struct sim_world_options small = { .seed = 5, .n_chats = 8, .n_messages = 300,
                                                .holes_percent = -1 };

static struct sim_change change; /* large */

static bool next(struct kit *k)
{
    static int64_t clock_us;

    clock_us += TG_SECOND_US;
    if (!sim_live_next(k->core.live, clock_us, CLOCK_S, &change))
        return false;
    sim_core_changed(&k->core);
    return true;
}

static void live(struct kit *k, int n)
{
    while (n)
        n -= next(k);
}

/* ---- the overlay ---- */

/* Ranks, pages and ids of a chat must be those of the list of its ids. */
static void check_chat(const struct sim_world *w, const struct sim_chat *chat,
                       const uint8_t *there, int64_t end)
{
    uint64_t rank = 0;
    int64_t last = 0;

    for (int64_t id = 1; id < end; id++) {
        assert_int_equal(sim_world_exists(w, chat, id), there[id]);
        assert_int_equal(sim_world_rank(w, chat, id), rank);
        if (!there[id])
            continue;
        assert_int_equal(sim_world_select(w, chat, rank), id);
        assert_true(!last || sim_world_date(w, chat, last) <= sim_world_date(w, chat, id));
        last = id;
        rank++;
    }
    assert_int_equal(chat->n_messages, rank);
    assert_int_equal(chat->top_id, last);
    assert_int_equal(sim_world_select(w, chat, rank), 0);
}

static void a_life(uint64_t seed)
{
    static uint8_t there[32][IDS_MAX];
    const struct sim_world_options options = { .seed = seed, .n_chats = 6 + seed % 9,
                                               .n_messages = 1 + seed * 37 % 400,
                                               .holes_percent = (int)(seed * 13 % 100) - 1 };
    struct kit *k = kit_live(&options, "10/deletes=30,mass=40,edits=10,reach=0");
    const struct sim_world *w = k->core.world;

    assert_true(sim_world_chats(w) <= 32);
    memset(there, 0, sizeof there);
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        for (int64_t id = 1; id < IDS_MAX; id++)
            there[i][id] = sim_world_exists(w, sim_world_chat(w, i), id);
    }
    for (int n = 0; n < 1000;) {
        if (!next(k))
            continue;
        n++;
        for (size_t i = 0; i < change.n; i++) {
            assert_in_range(change.id[i], 1, IDS_MAX - 1);
            if (change.kind == SIM_POSTED || change.kind == SIM_DELETED) {
                uint8_t *one = &there[change.chat->index][change.id[i]];

                assert_int_equal(*one, change.kind == SIM_DELETED);
                *one = change.kind == SIM_POSTED;
            }
        }
    }
    for (size_t i = 0; i < sim_world_chats(w); i++)
        check_chat(w, sim_world_chat(w, i), there[i], IDS_MAX);
    kit_free(k);
}

static void ids_are_those_of_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 30; seed++) {
        print_message("seed %d\n", (int)seed);
        a_life(seed);
    }
}

/* The same seed lives the same life, another one another. */
static void lives_repeat(void **state)
{
    uint64_t sum[3] = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct kit *k = kit_live(&small, i < 2 ? "10/mass=9" : "10/mass=9,seed=77");

        for (int n = 0; n < 500;) {
            if (!next(k))
                continue;
            n++;
            sum[i] = sim_hash(sum[i], (uint64_t)change.pts << 32 ^ (uint64_t)change.kind << 28 ^
                                          (uint64_t)change.chat->index << 20 ^ change.n);
            sum[i] = sim_hash(sum[i], (uint64_t)change.id[0]);
        }
        kit_free(k);
    }
    assert_true(sum[0] == sum[1] && sum[0] != sum[2]);
}

static const struct tl_value *message_of(struct kit *k, struct sim_key *key,
                                         const struct sim_account *a, const struct sim_chat *chat,
                                         int64_t id)
{
    struct tl_value *q = kit_obj(k, TLN_channels_getMessages), *ids, *one;

    tl_set_obj(q, TLN_channel, kit_peer(k, a, chat, true));
    ids = tl_set_vector(q, TLN_id);
    one = tl_add_new(ids, TLN_inputMessageID);
    tl_set_int(one, TLN_id, (int32_t)id);
    return tl_item(tl_get_vector(kit_call(k, key, q), TLN_messages), 0);
}

static void what_changed_is_told(void **state)
{
    struct kit *k = kit_live(&small, "1/mass=20");
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    unsigned seen = 0;

    (void)state;
    while (seen != 0xf) {
        const struct tl_value *m;

        if (!next(k) || change.owner)
            continue;
        m = message_of(k, key, a, change.chat, change.id[0]);
        seen |= 1U << change.kind;
        assert_int_equal(tl_name(m) == TLN_messageEmpty, change.kind == SIM_DELETED);
        if (change.kind == SIM_EDITED || change.kind == SIM_REACTED)
            assert_int_equal(tl_get_int(m, TLN_edit_date, 0), CLOCK_S);
        if (change.kind == SIM_EDITED)
            assert_true(!tl_get_bool(m, TLN_edit_hide) && tl_get_str(m, TLN_message).len);
        if (change.kind == SIM_REACTED)
            assert_non_null(tl_get_obj(m, TLN_reactions));
        if (change.kind == SIM_POSTED)
            assert_int_equal(tl_get_int(m, TLN_date, 0), CLOCK_S);
    }
    kit_free(k);
}

/* ---- a client's picture of one sequence ---- */

/* What a client knows of a chat: a hash of each message's text, 0 where there is none. */
struct picture {
    uint64_t text[IDS_MAX];
    int32_t pts;
};

static uint64_t text_hash(const struct tl_value *m)
{
    struct tg_str text = tl_get_str(m, TLN_message);
    uint64_t h = 1;

    for (uint32_t i = 0; i < text.len; i++)
        h = sim_hash(h, (uint8_t)text.at[i]);
    return h;
}

static const struct tl_value *world_message(struct kit *k, const struct sim_account *a,
                                            const struct sim_chat *chat, int64_t id)
{
    return sim_world_message(k->core.world, a, chat, id, &k->arena);
}

static void picture_take(struct kit *k, struct picture *p, const struct sim_account *a,
                         const struct sim_chat *chat)
{
    memset(p->text, 0, sizeof p->text);
    for (uint64_t i = 0; i < chat->n_messages; i++) {
        int64_t id = sim_world_select(k->core.world, chat, i);

        p->text[id] = text_hash(world_message(k, a, chat, id));
    }
}

static void picture_check(struct kit *k, const struct picture *p, const struct sim_account *a,
                          const struct sim_chat *chat)
{
    uint64_t n = 0;

    for (int64_t id = 1; id < IDS_MAX; id++) {
        if (sim_world_exists(k->core.world, chat, id) != (p->text[id] != 0))
            fail_msg("message %d of %s is %s", (int)id, chat->title,
                     p->text[id] ? "gone, but was not told to be" : "there, but was not told");
        if (!p->text[id])
            continue;
        assert_true(p->text[id] == text_hash(world_message(k, a, chat, id)));
        n++;
    }
    assert_int_equal(n, chat->n_messages);
}

static void apply_message(struct picture *p, const struct tl_value *m)
{
    int32_t id = tl_get_int(m, TLN_id, 0);

    assert_in_range(id, 1, IDS_MAX - 1);
    p->text[id] = text_hash(m);
}

/* An update of the sequence; its pts is checked where `strict`. */
static void apply(struct picture *p, const struct tl_value *u, bool strict)
{
    const struct tl_value *ids = tl_get_vector(u, TLN_messages);
    int32_t pts = tl_get_int(u, TLN_pts, 0), n = tl_get_int(u, TLN_pts_count, -1);

    if (strict) {
        assert_int_equal(p->pts + n, pts);
        p->pts = pts;
    } else {
        assert_true(pts > p->pts);
    }
    switch (tl_name(u)) {
    case TLN_updateNewChannelMessage:
    case TLN_updateEditChannelMessage:
    case TLN_updateNewMessage:
    case TLN_updateEditMessage:
        assert_int_equal(n, 1);
        apply_message(p, tl_get_obj(u, TLN_message));
        break;
    case TLN_updateDeleteChannelMessages:
    case TLN_updateDeleteMessages:
        assert_int_equal(n, tl_len(ids));
        for (uint32_t i = 0; i < tl_len(ids); i++)
            p->text[tl_item_long(ids, i)] = 0;
        break;
    case TLN_updateShortMessage:
    case TLN_updateShortChatMessage:
        apply_message(p, u);
        break;
    default:
        fail_msg("an update that should not be there");
    }
}

static const struct tl_value *decode_push(struct kit *k, const struct sim_answer *answer)
{
    const struct tl_schema *s = sim_core_schema(&k->core, k->layer);
    const struct tl_value *v;
    const uint8_t *bytes;
    struct tl_reader r;
    size_t n;

    k->answer = *answer;
    bytes = kit_unpack(k, &n);
    tg_buf_clear(&k->plain);
    tg_buf_add(&k->plain, bytes, n);
    r = tl_reader_of(k->plain.data, k->plain.len);
    v = tl_decode(s, &r, &k->arena);
    assert_true(v && tl_left(&r) == 0);
    return v;
}

/* The update in a packet: it must say who is named in it. */
static const struct tl_value *unwrap(const struct tl_value *v)
{
    switch (tl_name(v)) {
    case TLN_updateShort:
        return tl_get_obj(v, TLN_update);
    case TLN_updates:
        assert_int_equal(tl_len(tl_get_vector(v, TLN_updates)), 1);
        assert_true(tl_len(tl_get_vector(v, TLN_users)) + tl_len(tl_get_vector(v, TLN_chats)) > 0);
        assert_int_equal(tl_get_int(v, TLN_seq, -1), 0);
        return tl_item(tl_get_vector(v, TLN_updates), 0);
    default:
        return v;
    }
}

/* Whoever gets all pushes has the world, in each sequence without a gap. */
static void pushes_tell_all(void **state)
{
    static struct picture picture[32];
    static unsigned kinds[4];
    struct kit *k = kit_live(&small, "1/mass=20,deletes=10");
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_world *w = k->core.world;
    int32_t box = SIM_STATE_PTS;
    bool shorts = false;

    (void)state;
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        picture[i].pts = sim_world_chat(w, i)->pts;
        picture_take(k, &picture[i], a, sim_world_chat(w, i));
    }
    for (int i = 0; i < 1500; i++) {
        struct sim_answer packed;
        const struct tl_value *v, *u;
        struct picture *p;

        live(k, 1);
        if (!sim_core_push(&k->core, a, k->layer, &change, &packed)) {
            assert_false(sim_world_member(w, a, change.chat));
            continue;
        }
        v = decode_push(k, &packed);
        shorts |= tl_name(v) == TLN_updateShortMessage;
        p = &picture[change.chat->index];
        if (change.owner)
            p->pts = box;
        u = unwrap(v);
        apply(p, u, true);
        if (change.owner)
            box = p->pts;
        kinds[change.kind]++;
        if (change.kind == SIM_REACTED)
            assert_true(tl_get_int(tl_get_obj(u, TLN_message), TLN_edit_date, 0) == CLOCK_S);
        tg_arena_clear(&k->arena);
    }
    assert_true(shorts && kinds[0] && kinds[1] && kinds[2] && kinds[3]);
    assert_int_equal(box, sim_live_account(k->core.live, a)->pts);
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        if (sim_world_member(w, a, chat))
            picture_check(k, &picture[i], a, chat);
        if (sim_is_channel(chat))
            assert_int_equal(picture[i].pts, chat->pts);
    }
    kit_free(k);
}

/* ---- differences ---- */

static struct tl_value *ask_channel(struct kit *k, const struct sim_account *a,
                                    const struct sim_chat *chat, int32_t pts, int32_t limit)
{
    struct tl_value *q = kit_obj(k, TLN_updates_getChannelDifference);

    tl_set_obj(q, TLN_channel, kit_peer(k, a, chat, true));
    tl_set_new(q, TLN_filter, TLN_channelMessagesFilterEmpty);
    tl_set_int(q, TLN_pts, pts);
    tl_set_int(q, TLN_limit, limit);
    return q;
}

static void apply_lists(struct picture *p, const struct tl_value *reply, bool common)
{
    const struct tl_value *list = tl_get_vector(reply, TLN_new_messages);
    const struct tl_value *others = tl_get_vector(reply, TLN_other_updates);

    for (uint32_t i = 0; i < tl_len(list); i++)
        apply_message(p, tl_item(list, i));
    for (uint32_t i = 0; i < tl_len(others); i++) {
        if (!common || tl_name(tl_item(others, i)) != TLN_updateChannelTooLong)
            apply(p, tl_item(others, i), false);
    }
}

static void channel_differences_tell_all(void **state)
{
    static struct picture p;
    struct kit *k = kit_live(&small, "1/mass=30,deletes=10,timeout=3");
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    const struct sim_chat *chat = kit_chat(k, SIM_CHANNEL);
    int slices = 0;

    (void)state;
    p.pts = chat->pts;
    picture_take(k, &p, a, chat);
    for (int round = 0; round < 12; round++) {
        const struct tl_value *reply;
        bool final = false;

        live(k, round * 30);
        while (!final) {
            reply = kit_call(k, key, ask_channel(k, a, chat, p.pts, 10 + round));
            final = tl_get_bool(reply, TLN_final);
            apply_lists(&p, reply, false);
            p.pts = tl_get_int(reply, TLN_pts, 0);
            slices += !final;
            if (tl_name(reply) == TLN_updates_channelDifferenceEmpty)
                assert_true(final);
            assert_int_equal(tl_get_int(reply, TLN_timeout, 0), 3);
        }
        assert_int_equal(p.pts, chat->pts);
        picture_check(k, &p, a, chat);
    }
    assert_true(slices > 5);
    kit_refused(k, key, ask_channel(k, a, chat, chat->pts + 1, 10), 400,
                "PERSISTENT_TIMESTAMP_INVALID");
    kit_free(k);
}

static struct tl_value *ask(struct kit *k, int32_t pts, int32_t date, int32_t total)
{
    struct tl_value *q = kit_obj(k, TLN_updates_getDifference);

    tl_set_int(q, TLN_pts, pts);
    tl_set_int(q, TLN_date, date);
    tl_set_int(q, TLN_qts, 0);
    tl_set_int(q, TLN_pts_limit, 25);
    if (total)
        tl_set_int(q, TLN_pts_total_limit, total);
    return q;
}

static void the_accounts_difference_tells_all(void **state)
{
    static struct picture p; /* of the box: ids say which chat */
    static struct picture one;
    struct kit *k = kit_live(&small, "1/mass=30,deletes=10");
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    struct sim_world *w = k->core.world;
    const struct tl_value *reply, *state_value;
    int slices = 0, behind = 0;
    bool more = true;

    (void)state;
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        if (sim_is_channel(chat) || sim_world_owner(w, chat) != a)
            continue;
        picture_take(k, &one, a, chat);
        for (int64_t id = 1; id < IDS_MAX; id++)
            p.text[id] += one.text[id];
    }
    p.pts = SIM_STATE_PTS;
    reply = kit_call(k, key, ask(k, p.pts, CLOCK_S + 1, 0));
    assert_int_equal(tl_name(reply), TLN_updates_differenceEmpty);
    live(k, 900);
    reply = kit_call(k, key, ask(k, p.pts, CLOCK_S - 5, 3));
    assert_int_equal(tl_name(reply), TLN_updates_differenceTooLong);
    assert_int_equal(tl_get_int(reply, TLN_pts, 0), sim_live_account(k->core.live, a)->pts);
    while (more) {
        const struct tl_value *others;

        reply = kit_call(k, key, ask(k, p.pts, CLOCK_S - 5, 0));
        more = tl_name(reply) == TLN_updates_differenceSlice;
        apply_lists(&p, reply, true);
        others = tl_get_vector(reply, TLN_other_updates);
        for (uint32_t i = 0; i < tl_len(others); i++)
            behind += tl_name(tl_item(others, i)) == TLN_updateChannelTooLong;
        state_value = tl_get_obj(reply, more ? TLN_intermediate_state : TLN_state);
        p.pts = tl_get_int(state_value, TLN_pts, 0);
        slices += more;
    }
    assert_true(slices > 2 && behind > 2);
    assert_int_equal(p.pts, sim_live_account(k->core.live, a)->pts);
    state_value = kit_call(k, key, kit_obj(k, TLN_updates_getState));
    assert_int_equal(tl_get_int(state_value, TLN_pts, 0), p.pts);
    for (size_t i = 0; i < sim_world_chats(w); i++) {
        const struct sim_chat *chat = sim_world_chat(w, i);

        for (uint64_t n = 0; !sim_is_channel(chat) && sim_world_owner(w, chat) == a &&
                             sim_world_alive(w, chat) && n < chat->n_messages;
             n++) {
            int64_t id = sim_world_select(w, chat, n);

            assert_true(p.text[id] == text_hash(world_message(k, a, chat, id)));
            p.text[id] = 0;
        }
        if (!sim_is_channel(chat) && !sim_world_alive(w, chat)) {
            for (int64_t id = 1; id < IDS_MAX; id++)
                p.text[id] *= !sim_world_exists(w, chat, id);
        }
    }
    for (int64_t id = 1; id < IDS_MAX; id++)
        assert_true(!p.text[id]);
    kit_free(k);
}

static void too_long_is_told(void **state)
{
    struct kit *k = kit_live(&small, "1/keep=40");
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    const struct sim_chat *chat = kit_chat(k, SIM_SUPERGROUP);
    int32_t from = chat->pts;
    const struct tl_value *reply;

    (void)state;
    while (chat->pts < from + 45)
        live(k, 1);
    reply = kit_call(k, key, ask_channel(k, a, chat, from, 100));
    assert_int_equal(tl_name(reply), TLN_updates_channelDifferenceTooLong);
    assert_int_equal(tl_get_int(tl_get_obj(reply, TLN_dialog), TLN_pts, 0), chat->pts);
    reply = kit_call(k, key, ask_channel(k, a, chat, chat->pts - 40, 100));
    assert_int_equal(tl_name(reply), TLN_updates_channelDifference);
    kit_free(k);

    k = kit_live(&small, "1/early=1");
    a = kit_account(k, 2, false, false);
    key = kit_login(k, a);
    chat = kit_chat(k, SIM_SUPERGROUP);
    from = chat->pts;
    while (chat->pts < from + 20)
        live(k, 1);
    reply = kit_call(k, key, ask_channel(k, a, chat, from, 10));
    assert_int_equal(tl_name(reply), TLN_updates_channelDifferenceTooLong);
    reply = kit_call(k, key, ask_channel(k, a, chat, from, 50));
    assert_int_equal(tl_name(reply), TLN_updates_channelDifference);
    kit_free(k);
}

/* Dialogs, full infos and pages tell the pts that a client may begin with. */
static void the_pts_is_told_everywhere(void **state)
{
    struct kit *k = kit_live(&small, "1");
    const struct sim_account *a = kit_account(k, 2, false, false);
    struct sim_key *key = kit_login(k, a);
    const struct sim_chat *chat = kit_chat(k, SIM_CHANNEL);
    const struct tl_value *reply, *dialogs;
    struct tl_value *q;
    bool found = false;

    (void)state;
    live(k, 300);
    assert_true(chat->pts > 301);
    reply = kit_call(k, key, kit_history(k, a, chat, 0));
    assert_int_equal(tl_get_int(reply, TLN_pts, 0), chat->pts);
    assert_int_equal(tl_get_int(tl_item(tl_get_vector(reply, TLN_messages), 0), TLN_id, 0),
                     chat->top_id);
    q = kit_obj(k, TLN_channels_getFullChannel);
    tl_set_obj(q, TLN_channel, kit_peer(k, a, chat, true));
    reply = kit_call(k, key, q);
    assert_int_equal(tl_get_int(tl_get_obj(reply, TLN_full_chat), TLN_pts, 0), chat->pts);
    q = kit_obj(k, TLN_messages_getDialogs);
    tl_set_new(q, TLN_offset_peer, TLN_inputPeerEmpty);
    tl_set_int(q, TLN_limit, 100);
    dialogs = tl_get_vector(kit_call(k, key, q), TLN_dialogs);
    for (uint32_t i = 0; i < tl_len(dialogs); i++) {
        const struct tl_value *d = tl_item(dialogs, i);

        if (tl_get_long(tl_get_obj(d, TLN_peer), TLN_channel_id, 0) != chat->id)
            continue;
        assert_int_equal(tl_get_int(d, TLN_pts, 0), chat->pts);
        assert_int_equal(tl_get_int(d, TLN_top_message, 0), chat->top_id);
        found = true;
    }
    assert_true(found);
    assert_int_equal(kit_read_all(k, key, a, chat), chat->n_messages);
    kit_free(k);
}

/* ---- the option ---- */

static void nonsense_is_refused(void **state)
{
    static const char *const wrong[] = { "", "x", "-1", "5x", "5/edits", "5/edits=101",
                                         "5/what=1", "5/edits=60,deletes=60", "5/chat=17",
                                         "5/keep=0", "5/lose=50,swap=51" };
    struct kit *k = kit_new(NULL, NULL);
    struct sim_live *l = NULL;
    struct tg_error err;

    (void)state;
    for (size_t i = 0; i < TG_COUNT(wrong); i++) {
        assert_int_equal(sim_live_new(wrong[i], 1, k->core.world, &l, &err), TG_USAGE);
        assert_null(l);
    }
    kit_free(k);
}

static void pushes_fare_as_told(void **state)
{
    struct kit *k = kit_live(&small, "1/lose=10,repeat=20,swap=30");
    unsigned n[4] = { 0 };

    (void)state;
    for (int i = 0; i < 10000; i++)
        n[sim_live_fate(k->core.live)]++;
    assert_in_range(n[SIM_PUSH_LOST], 850, 1150);
    assert_in_range(n[SIM_PUSH_TWICE], 1800, 2200);
    assert_in_range(n[SIM_PUSH_LATE], 2750, 3250);
    kit_free(k);
}

static void changes_come_when_they_are_due(void **state)
{
    struct kit *k = kit_live(&small, "4/most=7,silent=100");
    struct sim_live *l = k->core.live;
    int64_t from = 1000 * TG_SECOND_US;
    int n = 0;

    (void)state;
    assert_false(sim_live_next(l, from, CLOCK_S, &change));
    assert_int_equal(sim_live_due(l), from + TG_SECOND_US / 4);
    while (sim_live_next(l, from + TG_SECOND_US, CLOCK_S, &change)) {
        struct sim_answer packed;

        n++;
        if (!change.owner)
            assert_false(sim_core_push(&k->core, sim_world_account(k->core.world, 0), 228, &change,
                                       &packed));
    }
    assert_int_equal(n, 4);
    sim_live_poke(l, from + TG_SECOND_US);
    assert_int_equal(sim_live_due(l), INT64_MAX);
    sim_live_poke(l, from + 9 * TG_SECOND_US);
    while (sim_live_next(l, from + 20 * TG_SECOND_US, CLOCK_S, &change))
        n++;
    assert_int_equal(n, 7);
    assert_int_equal(sim_live_due(l), INT64_MAX);
    kit_free(k);

    k = kit_live(&small, "0/burst=5");
    l = k->core.live;
    assert_false(sim_live_next(l, from, CLOCK_S, &change));
    sim_live_poke(l, from);
    for (n = 0; sim_live_next(l, from, CLOCK_S, &change);)
        n++;
    assert_int_equal(n, 5);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_those_of_a_list),
        cmocka_unit_test(lives_repeat),
        cmocka_unit_test(what_changed_is_told),
        cmocka_unit_test(pushes_tell_all),
        cmocka_unit_test(channel_differences_tell_all),
        cmocka_unit_test(the_accounts_difference_tells_all),
        cmocka_unit_test(too_long_is_told),
        cmocka_unit_test(the_pts_is_told_everywhere),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(pushes_fare_as_told),
        cmocka_unit_test(changes_come_when_they_are_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
