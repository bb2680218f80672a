/* SPDX-License-Identifier: MIT */
/*
 * update_read.c - packets and differences cut into changes: each kind, in each layer that is built
 * in, and bytes that are none
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "telegram/peers.h"
#include "telegram/update_read.h"
#include "tests/page_sample.h"

enum { CHANNEL = 77, USER = 5, GROUP = 9, SELF = 4 };

struct fixture {
    const struct tl_schema *schema;
    struct tg_arena arena;
    struct tg_buf bytes;
    struct tg_update_packet packet;
    struct tg_error err;
};

static void begin(struct fixture *f, int layer)
{
    *f = (struct fixture){ .schema = tl_schema_builtin(layer) };
    assert_non_null(f->schema);
    tg_arena_init(&f->arena, 16 << 20);
    tg_buf_init(&f->bytes, 16 << 20);
}

static void end(struct fixture *f)
{
    tg_arena_done(&f->arena);
    tg_buf_done(&f->bytes);
}

static void encode(struct fixture *f, const struct tl_value *v)
{
    tg_buf_clear(&f->bytes);
    if (tl_encode(f->schema, v, &f->bytes, &f->err) != TG_OK)
        fail_msg("encode: %s", f->err.message);
}

static const struct tg_update_change *read_packet(struct fixture *f, const struct tl_value *v,
                                                  size_t n)
{
    encode(f, v);
    if (tg_update_packet(f->schema, f->bytes.data, f->bytes.len, SELF, &f->arena, &f->packet,
                         &f->err) != TG_OK)
        fail_msg("packet: %s", f->err.message);
    assert_int_equal(f->packet.n, n);
    return f->packet.change;
}

static const struct tg_update_change *read_difference(struct fixture *f, const struct tl_value *v,
                                               int64_t channel, size_t n)
{
    const struct tg_update_state since = { { 10, 20, 30 }, 40 };

    encode(f, v);
    if (tg_update_difference(f->schema, f->bytes.data, f->bytes.len, channel, &since, &f->arena,
                             &f->packet, &f->err) != TG_OK)
        fail_msg("difference: %s", f->err.message);
    assert_int_equal(f->packet.n, n);
    return f->packet.change;
}

static struct tl_value *message(struct fixture *f, int32_t id, struct tl_value *peer)
{
    struct tl_value *m = tl_obj(&f->arena, TLN_message);

    tl_set_int(m, TLN_id, id);
    tl_set_obj(m, TLN_peer_id, peer);
    tl_set_int(m, TLN_date, SAMPLE_DATE);
    tl_set_cstr(m, TLN_message, "text");
    return m;
}

static struct tl_value *channel_message(struct fixture *f, int32_t id)
{
    return message(f, id, sample_channel_peer(&f->arena, CHANNEL));
}

static struct tl_value *pts(struct tl_value *update, int32_t after, int32_t count)
{
    tl_set_int(update, TLN_pts, after);
    tl_set_int(update, TLN_pts_count, count);
    return update;
}

static struct tl_value *new_message(struct fixture *f, uint32_t name, struct tl_value *m,
                                    int32_t after)
{
    struct tl_value *u = tl_obj(&f->arena, name);

    tl_set_obj(u, TLN_message, m);
    return pts(u, after, 1);
}

static void check(const struct tg_update_change *c, enum tg_update_kind kind, int64_t chat,
                  int64_t channel, enum tg_update_seq seq, int32_t after, int32_t count)
{
    assert_int_equal(c->kind, kind);
    assert_int_equal(c->chat, chat);
    assert_int_equal(c->channel, channel);
    assert_int_equal(c->counted.seq, seq);
    assert_int_equal(c->counted.after, after);
    assert_int_equal(c->counted.count, count);
}

static void each_kind_of_update(void **state)
{
    static const int layers[] = { 198, 228, 229 };
    const int64_t there = tg_mark_channel(CHANNEL);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(layers); i++) {
        const struct tg_update_change *c;
        struct tl_value *packet, *list, *u;
        struct fixture f;

        begin(&f, layers[i]);
        packet = tl_obj(&f.arena, TLN_updatesCombined);
        tl_set_int(packet, TLN_seq, 33);
        tl_set_int(packet, TLN_seq_start, 31);
        tl_set_int(packet, TLN_date, 1234);
        list = tl_set_vector(packet, TLN_updates);
        tl_add_obj(list, new_message(&f, TLN_updateNewChannelMessage, channel_message(&f, 3), 7));
        tl_add_obj(list, new_message(&f, TLN_updateEditChannelMessage, channel_message(&f, 2), 8));
        u = pts(tl_add_new(list, TLN_updateDeleteChannelMessages), 10, 2);
        tl_set_long(u, TLN_channel_id, CHANNEL);
        u = tl_set_vector(u, TLN_messages);
        tl_add_int(u, 1);
        tl_add_int(u, 4);
        tl_add_obj(list, new_message(&f, TLN_updateNewMessage,
                                     message(&f, 5, sample_user_peer(&f.arena, USER)), 100));
        u = pts(tl_add_new(list, TLN_updateDeleteMessages), 101, 1);
        tl_add_int(tl_set_vector(u, TLN_messages), 6);
        u = tl_add_new(list, TLN_updateMessageReactions);
        tl_set_obj(u, TLN_peer, sample_channel_peer(&f.arena, CHANNEL));
        tl_set_int(u, TLN_msg_id, 3);
        u = tl_add_new(list, TLN_updateChannelTooLong);
        tl_set_long(u, TLN_channel_id, CHANNEL);
        u = pts(tl_add_new(list, TLN_updateReadHistoryOutbox), 102, 1);
        tl_set_obj(u, TLN_peer, sample_user_peer(&f.arena, USER));
        u = tl_add_new(list, TLN_updateBotStopped);
        tl_set_int(u, TLN_qts, 50);
        tl_add_new(list, TLN_updateUserTyping); /* no change */
        c = read_packet(&f, packet, 10);
        check(&c[0], TG_UPDATE_NEW, there, there, TG_UPDATES_PTS, 7, 1);
        assert_int_equal(c[0].id, 3);
        check(&c[1], TG_UPDATE_EDITED, there, there, TG_UPDATES_PTS, 8, 1);
        check(&c[2], TG_UPDATE_DELETED, there, there, TG_UPDATES_PTS, 10, 2);
        assert_int_equal(c[2].bytes.len, 16);
        assert_int_equal(tg_le32((const uint8_t *)c[2].bytes.at + 12), 4);
        check(&c[3], TG_UPDATE_NEW, USER, 0, TG_UPDATES_PTS, 100, 1);
        check(&c[4], TG_UPDATE_DELETED, 0, 0, TG_UPDATES_PTS, 101, 1);
        check(&c[5], TG_UPDATE_REACTIONS, there, there, TG_UPDATES_QTS, 0, 0);
        assert_int_equal(c[5].id, 3);
        check(&c[6], TG_UPDATE_BEHIND, there, there, TG_UPDATES_QTS, 0, 0);
        check(&c[7], TG_UPDATE_NOTHING, USER, 0, TG_UPDATES_PTS, 102, 1);
        check(&c[8], TG_UPDATE_NOTHING, 0, 0, TG_UPDATES_QTS, 50, 1);
        check(&c[9], TG_UPDATE_NOTHING, 0, 0, TG_UPDATES_SEQ, 33, 3);
        assert_int_equal(f.packet.date, 1234);
        assert_int_equal(c[0].counted.date, 1234);
        assert_int_equal(f.packet.users.len, 8);
        end(&f);
    }
}

/* A short message is the whole one that it stands for. */
static void short_messages_are_written_out(void **state)
{
    static const struct {
        uint32_t name, sender;
        bool out;
        int64_t chat, from;
    } row[] = {
        { TLN_updateShortMessage, TLN_user_id, false, USER, USER },
        { TLN_updateShortMessage, TLN_user_id, true, USER, SELF },
        { TLN_updateShortChatMessage, TLN_from_id, false, -GROUP, USER },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const struct tg_update_change *c;
        struct tl_value *v, *list;
        struct tl_object m, from;
        struct tl_reader r;
        struct fixture f;

        begin(&f, 228);
        v = pts(tl_obj(&f.arena, row[i].name), 8, 1);
        tl_set_int(v, TLN_id, 12);
        tl_set_long(v, row[i].sender, USER);
        if (row[i].chat < 0)
            tl_set_long(v, TLN_chat_id, GROUP);
        tl_set_true(v, TLN_out, row[i].out);
        tl_set_int(v, TLN_date, SAMPLE_DATE);
        tl_set_cstr(v, TLN_message, "short #tag");
        list = tl_set_vector(v, TLN_entities);
        list = tl_add_new(list, TLN_messageEntityHashtag);
        tl_set_int(list, TLN_offset, 6);
        tl_set_int(list, TLN_length, 4);
        c = read_packet(&f, v, 1);
        check(c, TG_UPDATE_NEW, row[i].chat, 0, TG_UPDATES_PTS, 8, 1);
        r = tl_reader_of(c->bytes.at, c->bytes.len);
        assert_true(tl_object_open(f.schema, &r, &m));
        assert_int_equal(m.ctor->name, TLN_message);
        assert_true(tg_str_eq(tl_field_str(&m, TLN_message), TG_STR("short #tag")));
        assert_int_equal(tl_field_i32(&m, TLN_date, 0), SAMPLE_DATE);
        assert_true(tl_field_has(&m, TLN_entities));
        assert_false(tl_field_has(&m, TLN_reply_to));
        assert_int_equal(tl_field_has(&m, TLN_out), row[i].out);
        assert_true(tl_field_object(&m, TLN_from_id, &from));
        assert_int_equal(tl_field_i64(&from, TLN_user_id, 0), row[i].from);
        end(&f);
    }
}

static void other_packets(void **state)
{
    struct fixture f;
    struct tl_value *v;

    (void)state;
    begin(&f, 228);
    read_packet(&f, tl_obj(&f.arena, TLN_updatesTooLong), 0);
    assert_true(f.packet.lost);
    read_packet(&f, pts(tl_obj(&f.arena, TLN_updateShortSentMessage), 5, 1), 0);
    assert_false(f.packet.lost);
    v = tl_obj(&f.arena, TLN_updateShort);
    tl_set_obj(v, TLN_update, new_message(&f, TLN_updateNewChannelMessage,
                                          channel_message(&f, 3), 7));
    assert_int_equal(read_packet(&f, v, 1)->id, 3);
    v = tl_obj(&f.arena, TLN_updates); /* without a number of its own */
    read_packet(&f, v, 0);
    end(&f);
}

static void check_answer(const struct fixture *f, int32_t at_pts, int32_t qts, int32_t seq,
                         bool final, bool too_long)
{
    const struct tg_update_answer *a = &f->packet.answer;

    assert_int_equal(a->state.at[TG_UPDATES_PTS], at_pts);
    assert_int_equal(a->state.at[TG_UPDATES_QTS], qts);
    assert_int_equal(a->state.at[TG_UPDATES_SEQ], seq);
    assert_int_equal(a->final, final);
    assert_int_equal(a->too_long, too_long);
}

static struct tl_value *difference(struct fixture *f, uint32_t name, uint32_t state_field)
{
    struct tl_value *v = tl_obj(&f->arena, name), *list, *s;

    list = tl_set_vector(v, TLN_new_messages);
    tl_add_obj(list, message(f, 5, sample_user_peer(&f->arena, USER)));
    list = tl_set_vector(v, TLN_other_updates);
    tl_add_obj(list, new_message(f, TLN_updateEditMessage,
                                 message(f, 4, sample_user_peer(&f->arena, USER)), 12));
    s = tl_set_new(v, state_field, TLN_updates_state);
    tl_set_int(s, TLN_pts, 12);
    tl_set_int(s, TLN_qts, 21);
    tl_set_int(s, TLN_seq, 31);
    tl_set_int(s, TLN_date, 41);
    return v;
}

static void differences_of_the_account(void **state)
{
    const struct tg_update_change *c;
    struct fixture f;
    struct tl_value *v;

    (void)state;
    begin(&f, 228);
    c = read_difference(&f, difference(&f, TLN_updates_difference, TLN_state), 0, 2);
    check_answer(&f, 12, 21, 31, true, false);
    check(&c[0], TG_UPDATE_NEW, USER, 0, TG_UPDATES_PTS, 0, 0);
    check(&c[1], TG_UPDATE_EDITED, USER, 0, TG_UPDATES_PTS, 12, 1);
    read_difference(&f, difference(&f, TLN_updates_differenceSlice, TLN_intermediate_state), 0, 2);
    check_answer(&f, 12, 21, 31, false, false);
    v = tl_obj(&f.arena, TLN_updates_differenceEmpty);
    tl_set_int(v, TLN_seq, 35);
    tl_set_int(v, TLN_date, 45);
    read_difference(&f, v, 0, 0);
    check_answer(&f, 10, 20, 35, true, false);
    v = tl_obj(&f.arena, TLN_updates_differenceTooLong);
    tl_set_int(v, TLN_pts, 5000);
    read_difference(&f, v, 0, 0);
    check_answer(&f, 5000, 20, 30, true, true);
    end(&f);
}

static void differences_of_a_channel(void **state)
{
    const int64_t there = tg_mark_channel(CHANNEL);
    const struct tg_update_change *c;
    struct fixture f;
    struct tl_value *v, *list;

    (void)state;
    begin(&f, 228);
    v = tl_obj(&f.arena, TLN_updates_channelDifference);
    tl_set_int(v, TLN_pts, 19);
    list = tl_set_vector(v, TLN_new_messages);
    tl_add_obj(list, channel_message(&f, 8));
    tl_add_obj(list, channel_message(&f, 9));
    c = read_difference(&f, v, there, 2);
    check_answer(&f, 19, 20, 30, false, false);
    check(&c[1], TG_UPDATE_NEW, there, there, TG_UPDATES_PTS, 0, 0);
    assert_int_equal(c[1].id, 9);
    v = tl_obj(&f.arena, TLN_updates_channelDifferenceEmpty);
    tl_set_true(v, TLN_final, true);
    tl_set_int(v, TLN_pts, 10);
    tl_set_int(v, TLN_timeout, 30);
    read_difference(&f, v, there, 0);
    check_answer(&f, 10, 20, 30, true, false);
    assert_int_equal(f.packet.answer.timeout_us, 30 * TG_SECOND_US);
    v = tl_obj(&f.arena, TLN_updates_channelDifferenceTooLong);
    list = tl_set_new(v, TLN_dialog, TLN_dialog);
    tl_set_obj(list, TLN_peer, sample_channel_peer(&f.arena, CHANNEL));
    tl_set_int(list, TLN_pts, 900);
    list = tl_set_vector(v, TLN_messages);
    tl_add_obj(list, channel_message(&f, 9)); /* they are read with the rest of the range */
    read_difference(&f, v, there, 0);
    check_answer(&f, 900, 20, 30, false, true);
    end(&f);
}

/* Cut or changed anywhere, it is read or refused; nothing beyond its end is looked at. */
static void bytes_that_are_none(void **state)
{
    const struct tg_update_state since = { { 1 }, 0 };
    struct fixture f;
    uint8_t *copy;

    (void)state;
    begin(&f, 228);
    encode(&f, difference(&f, TLN_updates_difference, TLN_state));
    for (size_t n = 0; n < f.bytes.len; n++) {
        copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, f.bytes.data, n);
        assert_int_equal(tg_update_difference(f.schema, copy, n, 0, &since, &f.arena, &f.packet,
                                              &f.err), TG_PROTOCOL);
        assert_non_null(strstr(f.err.message, "cannot be read"));
        assert_int_equal(tg_update_packet(f.schema, copy, n, SELF, &f.arena, &f.packet, &f.err),
                         TG_PROTOCOL);
        free(copy);
    }
    for (size_t i = 0; i < f.bytes.len * 8; i++) {
        f.bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
        tg_update_difference(f.schema, f.bytes.data, f.bytes.len, 0, &since, &f.arena, &f.packet,
                             &f.err);
        f.bytes.data[i / 8] ^= (uint8_t)(1 << i % 8);
        tg_arena_clear(&f.arena);
    }
    end(&f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_update),
        cmocka_unit_test(short_messages_are_written_out),
        cmocka_unit_test(other_packets),
        cmocka_unit_test(differences_of_the_account),
        cmocka_unit_test(differences_of_a_channel),
        cmocka_unit_test(bytes_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
