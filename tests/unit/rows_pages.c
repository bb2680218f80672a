/* SPDX-License-Identifier: MIT */
/*
 * rows_pages.c - whole pages are read, damaged ones lose no neighbour, and peers are collected
 */
#include "telegram/page.h"
#include "tests/unit/rows_kit.h"

/* ---- pages ---- */

static void test_page(void **state)
{
    struct tg_row_options raw = { .chat_id = 1, .raw = true };
    struct fixture f;

    (void)state;
    start(&f);
    open_value(&f, sample_page(&f.arena, 100, 5000));
    assert_int_equal(f.info.n, 100);
    assert_int_equal(f.info.total, 123456);
    assert_int_equal(f.info.pts, 99);
    assert_int_equal(f.info.fault, TG_PAGE_WHOLE);
    print_message("%zu bytes a message\n", f.bytes.len / 100);
    for (size_t i = 0; i < 100; i++) {
        const struct tg_row *row = row_at(&f, i, &raw);
        json_t *json = check_json(row), *inside = json_object_get(json, "raw");
        const uint8_t *bytes;
        size_t n;

        assert_int_equal(tg_page_ids(f.page)[i], 5000 - (int)i);
        assert_int_equal(row->id, 5000 - (int)i);
        assert_int_equal(tg_page_date(f.page, i), SAMPLE_DATE + 5000 - (int)i);
        assert_false(tg_page_is_empty(f.page, i));
        assert_string_equal(json_string_value(json_object_get(inside, "_")), "message");
        tg_page_bytes(f.page, i, &bytes, &n);
        assert_true(bytes > f.bytes.data && bytes + n < f.bytes.data + f.bytes.len);
        assert_int_equal(tg_le32(bytes), tl_id(f.schema, TLN_message));
        json_decref(json);
    }
    finish(&f);
}

static void test_empty_messages_and_full_batches(void **state)
{
    struct fixture f;
    struct tg_batch *small = tg_batch_new(1);
    struct tl_value *empty, *page, *list;

    (void)state;
    start(&f);
    empty = tl_obj(&f.arena, TLN_messageEmpty);
    tl_set_int(empty, TLN_id, 7);
    page = tl_obj(&f.arena, TLN_messages_messages);
    list = tl_set_vector(page, TLN_messages);
    tl_add_obj(list, empty);
    tl_add_obj(list, sample_message(&f.arena, 6, 6));
    tl_add_obj(list, sample_message(&f.arena, -5, 5));
    open_value(&f, page);
    assert_int_equal(f.info.total, -1);
    assert_int_equal(f.info.n, 3);
    assert_int_equal(tg_page_ids(f.page)[0], 7);
    assert_true(tg_page_is_empty(f.page, 0));
    assert_int_equal(tg_page_date(f.page, 0), 0);
    assert_int_equal(tg_page_row(f.page, 0, &plain, small, &f.err), TG_END);
    assert_int_equal(tg_page_row(f.page, 2, &plain, small, &f.err), TG_DATA);
    assert_int_equal(small->n, 0);
    assert_int_equal(tg_page_row(f.page, 1, &plain, small, &f.err), TG_OK);
    assert_int_equal(tg_page_row(f.page, 1, &plain, small, &f.err), TG_LIMIT);
    assert_int_equal(small->n, 1);
    tg_batch_free(small);
    finish(&f);
}

static void test_other_replies(void **state)
{
    struct fixture f;
    struct tl_value *v;

    (void)state;
    start(&f);
    v = tl_obj(&f.arena, TLN_messages_messagesNotModified);
    tl_set_int(v, TLN_count, 12);
    open_value(&f, v);
    assert_int_equal(f.info.n, 0);
    assert_int_equal(f.info.total, 12);
    v = tl_obj(&f.arena, TLN_messages_messagesSlice);
    tl_set_int(v, TLN_count, 13);
    tl_set_int(v, TLN_offset_id_offset, 4);
    tl_add_obj(tl_set_vector(v, TLN_messages), sample_message(&f.arena, 6, 6));
    open_value(&f, v);
    assert_int_equal(f.info.n, 1);
    assert_int_equal(f.info.total, 13);
    assert_int_equal(open_bytes(&f, "", 0), TG_PROTOCOL);
    assert_int_equal(open_bytes(&f, "\x01\x02\x03\x04", 4), TG_PROTOCOL);
    tg_buf_clear(&f.bytes);
    assert_int_equal(tl_encode(f.schema, sample_user(&f.arena, 1), &f.bytes, &f.err), TG_OK);
    assert_int_equal(open_bytes(&f, f.bytes.data, f.bytes.len), TG_PROTOCOL);
    finish(&f);
}

/* ---- damage ---- */

/* Where each message and the list of chats begin in a good page, and all its pieces. */
struct layout {
    size_t message[16], n, tail;
    struct tl_pieces pieces; /* tl_pieces_done */
};

static struct layout layout_of(const struct fixture *f)
{
    struct layout l = { .n = f->info.n };

    for (size_t i = 0; i < l.n; i++) {
        const uint8_t *at;
        size_t len;

        tg_page_bytes(f->page, i, &at, &len);
        l.message[i] = (size_t)(at - f->bytes.data);
        l.tail = l.message[i] + len;
    }
    assert_true(tl_pieces_cut(f->schema, f->bytes.data, f->bytes.len, &l.pieces));
    assert_int_equal(l.pieces.n_bad, 0);
    return l;
}

/* A page whose messages carry all sorts of nested objects. */
static void open_rich_page(struct fixture *f)
{
    static const builder build[] = { with_photo,    with_video,     with_entities, forwarded_post,
                                     with_reactions, with_web_page, with_poll,     reply_plain };
    struct tl_value *page = sample_page(&f->arena, 0, 1), *list = tl_set_vector(page, TLN_messages);

    for (size_t i = 0; i < TG_COUNT(build); i++) {
        struct tl_value *m = plain_message(&f->arena), *rows, *row;

        tl_set_int(m, TLN_id, 100 - (int32_t)i);
        build[i](m, &f->arena);
        rows = tl_set_vector(tl_set_new(m, TLN_reply_markup, TLN_replyInlineMarkup), TLN_rows);
        row = tl_add_new(rows, TLN_keyboardButtonRow);
        row = tl_add_new(tl_set_vector(row, TLN_buttons), TLN_keyboardButtonUrl);
        tl_set_cstr(row, TLN_text, "b");
        tl_add_obj(list, m);
    }
    open_value(f, page);
    assert_int_equal(f->info.fault, TG_PAGE_WHOLE);
}

/* The pieces are where they were in the good page, and only the one with the damage is bad. */
static void check_pieces(struct fixture *f, const struct layout *l, size_t at)
{
    struct tl_pieces now;
    const uint8_t *bytes;
    size_t len;

    assert_true(tl_pieces_cut(f->schema, f->bytes.data, f->bytes.len, &now));
    assert_int_equal(now.n, l->pieces.n);
    assert_int_equal(now.n_bad, 1);
    for (size_t i = 0; i < now.n; i++) {
        const struct tl_piece *piece = &now.piece[i];
        size_t from = (size_t)(piece->at - f->bytes.data);
        size_t to = from + (size_t)(piece->end - piece->at);

        assert_ptr_equal(piece->at, l->pieces.piece[i].at);
        assert_ptr_equal(piece->end, l->pieces.piece[i].end);
        assert_int_equal(piece->kind == TL_PIECE_BAD, from <= at && at < to);
        if (piece->kind != TL_PIECE_BAD)
            continue;
        assert_int_equal(f->info.fault_at, from);
        assert_int_equal(f->info.fault_len, to - from);
        assert_true(tg_page_bad(f->page, 0, &bytes, &len));
        assert_ptr_equal(bytes, piece->at);
        assert_int_equal(len, to - from);
        assert_false(tg_page_bad(f->page, 1, &bytes, &len));
    }
    tl_pieces_done(&now);
}

static void check_damage(struct fixture *f, const struct layout *l, size_t at, uint32_t id)
{
    size_t k = 0;

    while (k < l->n && l->message[k] <= at)
        k++;
    assert_int_equal(open_bytes(f, f->bytes.data, f->bytes.len), TG_OK);
    if (at >= l->tail) {
        assert_int_equal(f->info.fault, TG_PAGE_BAD_PEER);
        assert_int_equal(f->info.n, l->n);
        assert_true(f->info.fault_at >= l->tail && f->info.fault_at <= at);
    } else {
        assert_int_equal(f->info.fault, TG_PAGE_BAD_MESSAGE);
        assert_int_equal(f->info.n, k - 1);
        assert_int_equal(f->info.fault_at, l->message[k - 1]);
    }
    check_pieces(f, l, at);
    assert_int_equal(f->info.fault_constructor, id);
    tg_batch_clear(f->batch);
    for (size_t i = 0; i < f->info.n; i++)
        assert_int_equal(row_at(f, i, &plain)->id, 100 - (int)i);
}

static void test_unknown_constructor_at_each_position(void **state)
{
    enum { UNKNOWN = 0x2badf00d };
    struct fixture f;
    struct layout l;
    size_t n_positions = 0, first;

    (void)state;
    start(&f);
    open_rich_page(&f);
    l = layout_of(&f);
    first = l.message[0];
    assert_null(tl_ctor_by_id(f.schema, UNKNOWN));
    for (size_t at = first; at + 4 <= f.bytes.len; at += 4) {
        uint32_t was = tg_le32(f.bytes.data + at);

        if (!tl_ctor_by_id(f.schema, was))
            continue; /* no object begins here */
        tg_put_le32(f.bytes.data + at, UNKNOWN);
        check_damage(&f, &l, at, UNKNOWN);
        tg_put_le32(f.bytes.data + at, was);
        n_positions++;
    }
    print_message("%zu positions\n", n_positions);
    assert_true(n_positions > 80);
    tl_pieces_done(&l.pieces);
    finish(&f);
}

/* Several users and chats that nobody knows: each stands alone, all others have their names. */
static void test_unknown_peers_stand_alone(void **state)
{
    static const struct {
        const char *name;
        unsigned users, chats; /* which of them are unknown, as bits */
    } row[] = {
        { "the first user", 1, 0 },        { "the last user", 32, 0 },
        { "two neighbours", 6, 0 },        { "two apart", 18, 0 },
        { "all users", 63, 0 },            { "the only chat", 0, 1 },
        { "the chat and a user", 8, 1 },   { "all of them", 63, 1 },
        { "all users but one", 61, 0 },
    };
    struct fixture f;

    (void)state;
    start(&f);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tl_value *page = sample_page(&f.arena, 0, 1);
        struct tl_value *users = tl_set_vector(page, TLN_users);
        struct tl_pieces good;
        size_t n_users = 0, n_chats = 0, n_bad = 0;

        for (int k = 0; k < 6; k++)
            tl_add_obj(users, sample_user(&f.arena, 500 + k));
        open_value(&f, page);
        assert_true(tl_pieces_cut(f.schema, f.bytes.data, f.bytes.len, &good));
        for (size_t k = 0; k < good.n; k++) {
            const struct tl_piece *piece = &good.piece[k];
            uint32_t name = tl_ctor_fields(f.schema, good.ctor)[piece->field].name;
            bool bad = piece->kind == TL_PIECE_ITEM &&
                       ((name == TLN_users && row[i].users >> n_users++ & 1) ||
                        (name == TLN_chats && row[i].chats >> n_chats++ & 1));

            if (bad)
                tg_put_le32(f.bytes.data + (piece->at - f.bytes.data), 0x2badf00d);
            n_bad += bad;
        }
        assert_int_equal(n_users, 6);
        assert_int_equal(open_bytes(&f, f.bytes.data, f.bytes.len), TG_OK);
        assert_int_equal(f.info.fault, TG_PAGE_BAD_PEER);
        if (f.info.n_bad != n_bad || f.page->n_peers + n_bad != n_users + n_chats)
            fail_msg("%s: %zu bad, %zu good", row[i].name, f.info.n_bad, f.page->n_peers);
        for (int k = 0; k < 6; k++)
            assert_int_equal(!tg_page_peer_of(f.page, SAMPLE_USER + 500 + k),
                             row[i].users >> k & 1);
        tl_pieces_done(&good);
    }
    finish(&f);
}

static void test_truncation_anywhere(void **state)
{
    struct fixture f;
    struct layout l;

    (void)state;
    start(&f);
    open_rich_page(&f);
    l = layout_of(&f);
    for (size_t n = 0; n < f.bytes.len; n += 4) {
        uint8_t *copy = malloc(n ? n : 1); /* so that a read past the end is seen */

        memcpy(copy, f.bytes.data, n);
        if (open_bytes(&f, copy, n) == TG_OK) {
            assert_true(f.info.fault == (n < l.tail ? TG_PAGE_BAD_MESSAGE : TG_PAGE_BAD_PEER));
            tg_batch_clear(f.batch);
            for (size_t i = 0; i < f.info.n; i++)
                row_at(&f, i, &plain);
        }
        free(copy);
    }
    tl_pieces_done(&l.pieces);
    finish(&f);
}

/* ---- peers ---- */

static void put_peer(void *ctx, const struct tg_peer *peer)
{
    assert_true(tg_peers_put(ctx, peer));
}

static void test_peers(void **state)
{
    struct fixture f;
    struct tg_peers peers;
    struct tl_value *page, *list, *o;
    const struct tg_peer *p;

    (void)state;
    start(&f);
    tg_peers_init(&peers);
    page = sample_page(&f.arena, 1, 1);
    list = tl_set_vector(page, TLN_chats);
    o = sample_channel(&f.arena);
    tl_set_true(o, TLN_forum, true);
    tl_set_true(o, TLN_noforwards, true);
    tl_unset(o, TLN_username);
    tl_set_cstr(tl_add_new(tl_set_vector(o, TLN_usernames), TLN_username), TLN_username, "old");
    tl_add_obj(list, o);
    o = tl_add_new(tl_set_vector(o, TLN_usernames), TLN_username);
    tl_set_true(o, TLN_active, true);
    tl_set_cstr(o, TLN_username, "active_one");
    o = tl_add_new(list, TLN_chat);
    tl_set_long(o, TLN_id, 33);
    tl_set_cstr(o, TLN_title, "Old group");
    tl_set_true(o, TLN_deactivated, true);
    o = tl_set_new(o, TLN_migrated_to, TLN_inputChannel);
    tl_set_long(o, TLN_channel_id, 44);
    o = tl_add_new(list, TLN_channelForbidden);
    tl_set_long(o, TLN_id, 45);
    tl_set_true(o, TLN_broadcast, true);
    tl_add_new(list, TLN_chatEmpty);
    open_value(&f, page);
    tg_page_peers(f.page, put_peer, &peers);
    assert_int_equal(tg_peers_count(&peers), 23);
    p = tg_peers_get(&peers, -1000001234567);
    assert_true(p && p->kind == TG_PEER_SUPERGROUP && p->forum && p->protected && !p->left);
    assert_int_equal(p->access_hash, 4242);
    assert_string_equal(p->username, "active_one");
    p = tg_peers_get(&peers, -33);
    assert_true(p && p->kind == TG_PEER_GROUP && p->migrated_to == -1000000000044 && p->deleted);
    p = tg_peers_get(&peers, -1000000000045);
    assert_true(p && p->kind == TG_PEER_CHANNEL && p->left);
    p = tg_peers_get(&peers, SAMPLE_USER + 7);
    assert_true(p && p->kind == TG_PEER_USER && !p->min && !p->bot);
    assert_string_equal(p->name, "Name7 Surname");
    assert_string_equal(p->username, "user_7");
    tg_peers_done(&peers);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_empty_messages_and_full_batches),
        cmocka_unit_test(test_other_replies),
        cmocka_unit_test(test_unknown_constructor_at_each_position),
        cmocka_unit_test(test_unknown_peers_stand_alone),
        cmocka_unit_test(test_truncation_anywhere),
        cmocka_unit_test(test_peers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
