/* SPDX-License-Identifier: MIT */
/*
 * session_data.c - the stored session: round trip, sealing, and every way to be damaged
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdio.h>
#include <cmocka.h>

#include "telegram/session_data.h"

enum { HEAD = 48 };

static struct tg_error err;
static struct tg_random_seeded seeded;

static struct tg_random seed(uint64_t n)
{
    tg_random_seeded_init(&seeded, n);
    return tg_random_seeded(&seeded);
}

/* A session with two DCs, of which one has a key, and peers of every kind. */
static void fill(struct tg_session_data *s)
{
    struct tg_random r = seed(5);
    struct tg_dc_state *dc;

    tg_session_data_init(s);
    s->api_id = 12345;
    memcpy(s->api_hash, "0123456789abcdef0123456789abcdef", 33);
    s->test = true;
    s->home_dc = 2;
    s->user_id = s->peers_of = INT64_C(5000000123);
    memcpy(s->phone, "+9996620001", 12);
    dc = tg_session_dc(s, 2);
    memcpy(dc->address.host, "127.0.0.1", 10);
    dc->address.port = 4430;
    tg_random_fill(&r, dc->key.key, sizeof dc->key.key);
    mt_key_derive(&dc->key);
    dc->has_key = dc->authorized = true;
    tg_random_fill(&r, dc->salt, sizeof dc->salt);
    dc->time_offset_us = -1234567;
    dc = tg_session_dc(s, 203);
    memcpy(dc->address.host, "::1", 4);
    for (int i = 1; i <= 100; i++) {
        char name[32], username[32];
        struct tg_peer p = {
            .id = i % 2 ? i : -TG_CHANNEL_MARK - i,
            .access_hash = -i,
            .kind = i % 2 ? TG_PEER_USER : TG_PEER_CHANNEL,
            .bot = i % 3 == 0,
            .forum = i % 5 == 0,
            .protected = i % 7 == 0,
            .left = i % 11 == 0,
            .min = i % 13 == 0,
            .deleted = i % 17 == 0,
            .migrated_to = i % 19 == 0 ? -TG_CHANNEL_MARK - 7 : 0,
            .name = name,
            .username = i % 4 ? username : NULL,
        };

        snprintf(name, sizeof name, i == 50 ? "" : "Name %d \xd0\x96", i);
        snprintf(username, sizeof username, "user_%d", i);
        assert_true(tg_peers_put(&s->peers, &p));
    }
}

static void assert_same_breaker(const struct tg_breaker_record *a,
                                const struct tg_breaker_record *b)
{
    assert_true(a->open == b->open && a->in_a_row == b->in_a_row);
    assert_int_equal(a->until_unix_us, b->until_unix_us);
}

static void assert_same(const struct tg_session_data *a, const struct tg_session_data *b)
{
    assert_int_equal(a->api_id, b->api_id);
    assert_string_equal(a->api_hash, b->api_hash);
    assert_string_equal(a->phone, b->phone);
    assert_true(a->test == b->test && a->is_bot == b->is_bot && a->home_dc == b->home_dc);
    assert_true(a->user_id == b->user_id && a->peers_of == b->peers_of);
    for (size_t i = 0; i < TG_DC_MAX; i++) {
        const struct tg_dc_state *x = &a->dc[i], *y = &b->dc[i];

        assert_int_equal(x->id, y->id);
        assert_string_equal(x->address.host, y->address.host);
        assert_true(x->address.port == y->address.port && x->has_key == y->has_key);
        assert_true(x->authorized == y->authorized && x->time_offset_us == y->time_offset_us);
        assert_memory_equal(x->salt, y->salt, sizeof x->salt);
        assert_memory_equal(x->key.key, y->key.key, sizeof x->key.key);
        assert_memory_equal(x->key.id, y->key.id, sizeof x->key.id);
        assert_same_breaker(&x->breaker, &y->breaker);
    }
    assert_true(tg_datacenter_equal(&a->where, &b->where));
    assert_same_breaker(&a->breaker, &b->breaker);
    assert_int_equal(a->n_limits, b->n_limits);
    for (size_t i = 0; i < a->n_limits; i++) {
        assert_string_equal(a->limit[i].method, b->limit[i].method);
        assert_true(a->limit[i].dc == b->limit[i].dc && a->limit[i].at_s == b->limit[i].at_s);
        assert_true(a->limit[i].learned_milli == b->limit[i].learned_milli);
    }
    assert_int_equal(tg_peers_count(&a->peers), tg_peers_count(&b->peers));
    for (size_t i = 0; i < tg_peers_count(&a->peers); i++) {
        const struct tg_peer *x = tg_peers_at(&a->peers, i), *y = tg_peers_at(&b->peers, i);

        assert_true(x->id == y->id && x->access_hash == y->access_hash && x->kind == y->kind);
        assert_true(x->min == y->min && x->bot == y->bot && x->deleted == y->deleted);
        assert_true(x->forum == y->forum && x->protected == y->protected && x->left == y->left);
        assert_true(x->migrated_to == y->migrated_to);
        assert_string_equal(x->name, y->name);
        assert_true(!x->username == !y->username);
        if (x->username)
            assert_string_equal(x->username, y->username);
    }
}

/* Two DCs behind a key whose modulus begins with `first`. */
static struct tg_datacenter servers(uint8_t first, uint16_t port)
{
    struct tg_datacenter d = { .main_dc = 203, .test = true };
    uint8_t n[TG_RSA_BYTES] = { first, [TG_RSA_BYTES - 1] = 1 };

    assert_true(tg_datacenter_add(&d, 2, "127.0.0.1", port));
    assert_true(tg_datacenter_add(&d, 203, "dc.example", port));
    assert_false(tg_datacenter_add(&d, 203, "127.0.0.1", port)); /* stands there already */
    assert_false(tg_datacenter_add(&d, 0, "127.0.0.1", port));
    assert_false(tg_datacenter_add(&d, 3, "no host", port));
    assert_false(tg_datacenter_add(&d, 3, "127.0.0.1", 0));
    assert_true(tg_datacenter_add_key(&d, n, sizeof n, 65537));
    assert_false(tg_datacenter_add_key(&d, n, sizeof n, 2));
    return d;
}

static void test_what_is_written_is_read(void **state)
{
    static const char *const passphrase[] = { NULL, "correct horse", "" };
    struct tg_session_data s, back;
    struct tg_buf blob;

    (void)state;
    fill(&s);
    s.where = servers(0x80, 4430);
    tg_session_set_limit(&s, "messages.getHistory", 2, 29950, 1700000000);
    tg_session_set_limit(&s, "channels.getMessages", 4, 1, 1800000000);
    s.breaker = (struct tg_breaker_record){ true, INT64_C(1800000000000000), 4 };
    s.dc[1].breaker = (struct tg_breaker_record){ true, INT64_C(1900000000000000), 2 };
    tg_buf_init(&blob, 64 << 20);
    for (size_t i = 0; i < TG_COUNT(passphrase); i++) {
        struct tg_random r = seed(i);

        tg_buf_clear(&blob);
        assert_int_equal(tg_session_write(&s, passphrase[i], &r, &blob, &err), TG_OK);
        assert_true(tg_is_sealed(blob.data, blob.len) == (passphrase[i] != NULL));
        tg_session_data_init(&back);
        assert_int_equal(tg_session_read(blob.data, blob.len, passphrase[i], &back, &err), TG_OK);
        assert_same(&s, &back);
        assert_true(back.seal.has == (passphrase[i] != NULL));
        tg_session_data_done(&back);
    }
    tg_session_data_done(&s);
    tg_buf_done(&blob);
}

static void test_an_empty_session(void **state)
{
    struct tg_session_data s, back;
    struct tg_random r = seed(1);
    struct tg_buf blob;

    (void)state;
    tg_session_data_init(&s);
    tg_session_data_init(&back);
    tg_buf_init(&blob, 4096);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    assert_int_equal(tg_session_read(blob.data, blob.len, "not needed", &back, &err), TG_OK);
    assert_same(&s, &back);
    assert_false(tg_session_authorized(&back));
    tg_buf_done(&blob);
    tg_session_data_done(&s);
    tg_session_data_done(&back);
}

/* The same salt in both files shows that no second key was derived. */
static void test_the_key_is_derived_once(void **state)
{
    enum { AT_SALT = 12, AT_NONCE = 44 };
    struct tg_session_data s, back;
    struct tg_buf one, two;
    struct tg_random r = seed(9);

    (void)state;
    fill(&s);
    tg_buf_init(&one, 1 << 20);
    tg_buf_init(&two, 1 << 20);
    assert_int_equal(tg_session_write(&s, "a", &r, &one, &err), TG_OK);
    assert_int_equal(tg_session_write(&s, "a", &r, &two, &err), TG_OK);
    assert_memory_equal(one.data + AT_SALT, two.data + AT_SALT, 16);
    assert_memory_not_equal(one.data + AT_NONCE, two.data + AT_NONCE, 12);
    tg_session_data_init(&back); /* also after a read */
    assert_int_equal(tg_session_read(two.data, two.len, "a", &back, &err), TG_OK);
    tg_buf_clear(&one);
    assert_int_equal(tg_session_write(&back, "a", &r, &one, &err), TG_OK);
    assert_memory_equal(one.data + AT_SALT, two.data + AT_SALT, 16);
    tg_buf_clear(&one); /* another passphrase is another key */
    assert_int_equal(tg_session_write(&back, "b", &r, &one, &err), TG_OK);
    assert_memory_not_equal(one.data + AT_SALT, two.data + AT_SALT, 16);
    assert_int_equal(tg_session_read(one.data, one.len, "a", &back, &err), TG_LOGIN);
    assert_int_equal(tg_session_read(one.data, one.len, "b", &back, &err), TG_OK);
    tg_session_data_done(&s);
    tg_session_data_done(&back);
    tg_buf_done(&one);
    tg_buf_done(&two);
}

static void test_a_passphrase_that_is_wrong_or_missing(void **state)
{
    struct tg_session_data s, back;
    struct tg_random r = seed(2);
    struct tg_buf blob;

    (void)state;
    fill(&s);
    tg_session_data_init(&back);
    back.api_id = 77;
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&s, "right", &r, &blob, &err), TG_OK);
    assert_int_equal(tg_session_read(blob.data, blob.len, "wrong", &back, &err), TG_LOGIN);
    assert_true(err.hint[0]);
    assert_int_equal(tg_session_read(blob.data, blob.len, NULL, &back, &err), TG_LOGIN);
    assert_non_null(strstr(err.hint, "TGDATA_PASSPHRASE"));
    blob.data[blob.len - 1] ^= 1;
    assert_int_equal(tg_session_read(blob.data, blob.len, "right", &back, &err), TG_CORRUPT);
    assert_true(err.hint[0]);
    assert_int_equal(tg_session_read(blob.data, 30, "right", &back, &err), TG_CORRUPT);
    assert_int_equal(back.api_id, 77); /* never touched by a failure */
    tg_session_data_done(&s);
    tg_session_data_done(&back);
    tg_buf_done(&blob);
}

static void corrupt(const uint8_t *blob, size_t len, const char *what, size_t at)
{
    struct tg_session_data back;
    uint8_t *copy = malloc(len ? len : 1); /* so that a read past the end is seen */

    tg_session_data_init(&back);
    memcpy(copy, blob, len);
    if (tg_session_read(copy, len, NULL, &back, &err) != TG_CORRUPT || !err.hint[0])
        fail_msg("%s at %zu was taken: %s", what, at, err.message);
    tg_session_data_done(&back);
    free(copy);
}

static void test_any_flipped_bit_and_any_cut_is_seen(void **state)
{
    struct tg_session_data s;
    struct tg_random r = seed(3);
    struct tg_buf blob;

    (void)state;
    fill(&s);
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    for (size_t i = 0; i < blob.len; i++) {
        blob.data[i] ^= 1;
        corrupt(blob.data, blob.len, "a flipped bit", i);
        blob.data[i] ^= 1;
        corrupt(blob.data, i, "a cut", i);
    }
    tg_buf_byte(&blob, 0);
    corrupt(blob.data, blob.len, "a further byte", blob.len);
    tg_session_data_done(&s);
    tg_buf_done(&blob);
}

/* Somebody who makes files can make the hash match too: the payload alone must be checked then. */
static void seal_hash(struct tg_buf *blob)
{
    tg_put_le64(blob->data + 8, blob->len - HEAD);
    tg_sha256(blob->data + 16, blob->data + HEAD, blob->len - HEAD);
}

static void test_a_payload_made_to_harm(void **state)
{
    struct tg_session_data s, back;
    struct tg_random r = seed(4);
    struct tg_buf blob;
    size_t len;

    (void)state;
    fill(&s);
    s.where = servers(0x80, 4430);
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    len = blob.len;
    for (blob.len = HEAD; blob.len < len; blob.len++) {
        seal_hash(&blob);
        corrupt(blob.data, blob.len, "a cut with a new hash", blob.len);
    }
    for (size_t i = HEAD; i < len; i++) { /* any outcome but a crash; failures leave no trace */
        uint8_t kept = blob.data[i];
        tg_code code;

        blob.data[i] = 0xff;
        seal_hash(&blob);
        tg_session_data_init(&back);
        code = tg_session_read(blob.data, blob.len, NULL, &back, &err);
        assert_true(code == TG_OK || code == TG_CORRUPT);
        tg_session_data_done(&back);
        blob.data[i] = kept;
    }
    tg_session_data_done(&s);
    tg_buf_done(&blob);
}

static void test_another_version_is_named(void **state)
{
    struct tg_session_data s;
    struct tg_random r = seed(4);
    struct tg_buf blob;

    (void)state;
    tg_session_data_init(&s);
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    blob.data[7] = 4;
    assert_int_equal(tg_session_read(blob.data, blob.len, NULL, &s, &err), TG_CORRUPT);
    assert_non_null(strstr(err.message, "another version"));
    tg_buf_done(&blob);
    tg_session_data_done(&s);
}

/* Version 2 is the same without the DCs' breakers; version 1 without what stands before them, too:
 * eighteen bytes if nothing is known. */
static void test_an_older_version_is_read(void **state)
{
    struct tg_session_data s, back;
    struct tg_random r = seed(4);
    struct tg_buf blob;
    size_t dcs = 0;

    (void)state;
    fill(&s);
    tg_session_data_init(&back);
    back.where = servers(0x80, 1); /* goes with what was there */
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    for (size_t i = 0; i < TG_DC_MAX; i++)
        dcs += s.dc[i].id != 0;
    corrupt(blob.data, blob.len - 13 * dcs, "a version 3 without its end", blob.len);
    for (uint8_t version = 2; version >= 1; version--) {
        blob.len -= version == 2 ? 13 * dcs : 18;
        blob.data[7] = version;
        seal_hash(&blob);
        assert_int_equal(tg_session_read(blob.data, blob.len, NULL, &back, &err), TG_OK);
        assert_same(&s, &back);
    }
    assert_int_equal(back.where.n_dc, 0);
    tg_session_data_done(&s);
    tg_session_data_done(&back);
    tg_buf_done(&blob);
}

static void test_telegrams_own_servers_are_not_listed(void **state)
{
    struct tg_session_data s, back;
    struct tg_random r = seed(4);
    struct tg_buf blob;
    size_t len;

    (void)state;
    fill(&s);
    tg_session_data_init(&back);
    tg_buf_init(&blob, 1 << 20);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    len = blob.len;
    tg_buf_clear(&blob);
    assert_int_equal(tg_datacenter_builtin(true, &s.where, &err), TG_OK);
    assert_int_equal(tg_session_write(&s, NULL, &r, &blob, &err), TG_OK);
    assert_int_equal(blob.len, len); /* a later release may know newer addresses */
    assert_int_equal(tg_session_read(blob.data, blob.len, NULL, &back, &err), TG_OK);
    assert_true(back.where.builtin && back.where.test && back.where.n_dc == 3);
    tg_session_data_done(&s);
    tg_session_data_done(&back);
    tg_buf_done(&blob);
}

static void test_a_login_stays_with_its_servers(void **state)
{
    struct tg_datacenter first = servers(0x80, 1), moved = servers(0x80, 2), others, own;
    struct tg_session_data s;

    (void)state;
    fill(&s);
    assert_true(tg_session_set_where(&s, &first)); /* nothing was known */
    assert_true(s.where.n_dc == 2 && first.n_dc == 0 && !first.rsa);
    assert_true(tg_session_set_where(&s, &moved)); /* the same, elsewhere */
    assert_int_equal(tg_datacenter_address(&s.where, 2)->port, 2);
    others = servers(0x81, 3);
    assert_int_equal(tg_datacenter_builtin(false, &own, &err), TG_OK);
    assert_false(tg_session_set_where(&s, &others));
    assert_false(tg_session_set_where(&s, &own));
    assert_true(s.where.dc[0].address.port == 2 && s.test && tg_session_authorized(&s));
    tg_session_forget_login(&s); /* then nothing is lost */
    assert_true(tg_session_set_where(&s, &others));
    assert_true(s.home_dc == 0 && s.dc[0].id == 0 && tg_peers_count(&s.peers) == 0);
    assert_true(tg_session_set_where(&s, &own));
    assert_true(s.where.builtin && !s.test);
    tg_session_data_done(&s);
}

static void test_slots_of_dcs(void **state)
{
    struct tg_session_data s;

    (void)state;
    tg_session_data_init(&s);
    assert_null(tg_session_dc(&s, 0));
    for (int i = 1; i <= TG_DC_MAX; i++)
        assert_ptr_equal(tg_session_dc(&s, i), &s.dc[i - 1]);
    assert_null(tg_session_dc(&s, TG_DC_MAX + 1));
    assert_ptr_equal(tg_session_dc(&s, 7), &s.dc[6]);
    tg_session_data_done(&s);
}

static void test_another_user_inherits_nothing(void **state)
{
    struct tg_session_data s;
    struct tg_dc_state *further;

    (void)state;
    fill(&s);
    further = tg_session_dc(&s, 203);
    further->has_key = further->authorized = true;
    tg_session_set_limit(&s, "messages.getHistory", 2, 29950, 1700000000);
    tg_session_set_user(&s, s.user_id, false, (struct tg_str){ 0 });
    assert_true(further->authorized && tg_peers_count(&s.peers) == 100 && s.n_limits == 1);
    assert_string_equal(s.phone, "+9996620001");
    tg_session_set_user(&s, 42, true, TG_STR("123"));
    assert_true(tg_session_authorized(&s) && !further->authorized && further->has_key);
    assert_true(tg_peers_count(&s.peers) == 0 && s.peers_of == 42 && s.user_id == 42 && s.is_bot);
    assert_int_equal(s.n_limits, 0);
    assert_string_equal(s.phone, "123");
    tg_session_forget_login(&s);
    assert_true(!tg_session_authorized(&s) && !further->has_key && s.user_id == 0);
    assert_true(s.peers_of == 42); /* the same user may come back */
    tg_session_data_done(&s);
}

static void test_learned_limits(void **state)
{
    struct tg_session_data s;
    char method[80];

    (void)state;
    tg_session_data_init(&s);
    assert_null(tg_session_limit(&s, "a.b", 1));
    assert_true(tg_session_set_limit(&s, "a.b", 1, 500, 10));
    assert_false(tg_session_set_limit(&s, "a.b", 1, 500, 20)); /* nothing new */
    assert_true(tg_session_set_limit(&s, "a.b", 2, 500, 20));
    assert_true(tg_session_set_limit(&s, "a.b", 1, 400, 30));
    assert_int_equal(tg_session_limit(&s, "a.b", 1)->learned_milli, 400);
    assert_int_equal(s.n_limits, 2);
    for (int i = 0; i < 70; i++) { /* the oldest make room */
        snprintf(method, sizeof method, "m%d", i);
        assert_true(tg_session_set_limit(&s, method, 1, 1000 + i, 100 + i));
    }
    assert_int_equal(s.n_limits, TG_LIMIT_RECORDS_MAX);
    assert_null(tg_session_limit(&s, "a.b", 1));
    assert_null(tg_session_limit(&s, "m5", 1));
    assert_int_equal(tg_session_limit(&s, "m6", 1)->learned_milli, 1006);
    memset(method, 'x', sizeof method - 1);
    method[sizeof method - 1] = 0;
    assert_false(tg_session_set_limit(&s, method, 1, 5, 500));
    tg_session_data_done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_an_empty_session),
        cmocka_unit_test(test_the_key_is_derived_once),
        cmocka_unit_test(test_a_passphrase_that_is_wrong_or_missing),
        cmocka_unit_test(test_any_flipped_bit_and_any_cut_is_seen),
        cmocka_unit_test(test_a_payload_made_to_harm),
        cmocka_unit_test(test_another_version_is_named),
        cmocka_unit_test(test_an_older_version_is_read),
        cmocka_unit_test(test_telegrams_own_servers_are_not_listed),
        cmocka_unit_test(test_a_login_stays_with_its_servers),
        cmocka_unit_test(test_slots_of_dcs),
        cmocka_unit_test(test_another_user_inherits_nothing),
        cmocka_unit_test(test_learned_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
