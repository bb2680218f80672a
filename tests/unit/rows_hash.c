/* SPDX-License-Identifier: MIT */
/*
 * rows_hash.c - the content hash changes with what was said, and with nothing else
 */
#include "tests/unit/rows_kit.h"

static void hash_of(struct fixture *f, builder build, char out[64])
{
    struct tl_value *m = plain_message(&f->arena);

    build(m, &f->arena);
    open_value(f, one_message_page(&f->arena, m));
    field_text(row_at(f, 0, &plain), TG_F_content_hash, out, 64);
    assert_int_equal(strlen(out), 32);
}

static void with_counters_only(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_int(m, TLN_views, 5);
    tl_set_int(m, TLN_forwards, 5);
    tl_set_int(m, TLN_edit_date, 1700000777);
    tl_set_true(m, TLN_edit_hide, true);
    tl_set_true(m, TLN_pinned, true);
    with_reactions(m, a);
}

static void with_other_text(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_cstr(m, TLN_message, "texu");
}

static void with_more_votes(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    with_poll_votes(m, 5000);
}

static void with_longer_page(struct tl_value *m, struct tg_arena *a)
{
    with_web_page(m, a);
    tl_set_cstr((struct tl_value *)(uintptr_t)tl_get_obj(tl_get_obj(m, TLN_media), TLN_webpage),
                TLN_description, "another");
}

static void with_other_photo(struct tl_value *m, struct tg_arena *a)
{
    tl_set_obj(media_of(m, TLN_messageMediaPhoto), TLN_photo, sample_photo(a, 32));
}

static void with_new_reference(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *p = sample_photo(a, 31);

    tl_set_bytes(p, TLN_file_reference, "fresh", 5);
    tl_set_long(p, TLN_access_hash, 5);
    tl_set_obj(media_of(m, TLN_messageMediaPhoto), TLN_photo, p);
}

static void test_content_hash(void **state)
{
    static const struct {
        const char *name;
        builder a, b;
        bool same;
    } row[] = {
        { "nothing changed", as_is, as_is, true },
        { "counters, reactions, edit date, pin", as_is, with_counters_only, true },
        { "text", as_is, with_other_text, false },
        { "entities", as_is, with_entities, false },
        { "reply", as_is, reply_plain, false },
        { "forward", as_is, forwarded_post, false },
        { "sender", as_is, from_two_names, false },
        { "media", as_is, with_photo, false },
        { "other photo", with_photo, with_other_photo, false },
        { "file reference and access hash", with_photo, with_new_reference, true },
        { "votes", with_poll, with_more_votes, true },
        { "a web page's description", with_web_page, with_longer_page, true },
    };
    struct fixture f;
    char a[64], b[64];

    (void)state;
    start(&f);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        hash_of(&f, row[i].a, a);
        hash_of(&f, row[i].b, b);
        if ((strcmp(a, b) == 0) != row[i].same)
            fail_msg("%s: %s and %s", row[i].name, a, b);
    }
    finish(&f);
}

static void test_action_hash_without_references(void **state)
{
    struct fixture f;
    char hash[2][64];

    (void)state;
    start(&f);
    for (int i = 0; i < 2; i++) {
        struct tl_value *action, *m = service(&f.arena, TLN_messageActionChatEditPhoto, &action);
        struct tl_value *p = sample_photo(&f.arena, 31);

        tl_set_bytes(p, TLN_file_reference, i ? "first" : "second", 5);
        tl_set_long(p, TLN_access_hash, i + 5);
        tl_set_obj(action, TLN_photo, p);
        open_value(&f, one_message_page(&f.arena, m));
        field_text(row_at(&f, 0, &plain), TG_F_content_hash, hash[i], 64);
    }
    assert_string_equal(hash[0], hash[1]);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_hash),
        cmocka_unit_test(test_action_hash_without_references),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
