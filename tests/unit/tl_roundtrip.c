/* SPDX-License-Identifier: MIT */
/*
 * Every constructor and function of every built-in layer, filled with random values: what is
 * encoded is walked, opened, decoded and printed to its last byte, and no beginning is accepted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "tests/tl_random.h"
#include "tl/walk.h"

static struct tg_arena arena;
static struct tg_buf wire, again, text;

static int set_up(void **state)
{
    (void)state;
    tg_arena_init(&arena, 64 << 20);
    tg_buf_init(&wire, 16 << 20);
    tg_buf_init(&again, 16 << 20);
    tg_buf_init(&text, 64 << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tg_arena_done(&arena);
    tg_buf_done(&wire);
    tg_buf_done(&again);
    tg_buf_done(&text);
    return 0;
}

static void encode(const struct tl_schema *s, const struct tl_value *v, struct tg_buf *out)
{
    struct tg_error err;

    tg_buf_clear(out);
    if (tl_encode(s, v, out, &err) != TG_OK)
        fail_msg("layer %d, %s: %s", s->layer, tl_symbol_name(s, v->name), err.message);
}

static void check_json(const struct tl_schema *s, const char *name)
{
    struct tl_reader r = tl_reader_of(wire.data, wire.len);
    struct tg_json json;
    json_error_t where;

    tg_buf_clear(&text);
    tg_json_init(&json, &text);
    assert_true(tl_print_json(s, &r, &json, NULL));
    assert_ptr_equal(r.at, r.end);
    json_t *root = json_loadb((const char *)text.data, text.len, 0, &where);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "_")), name);
    json_decref(root);
}

static bool has_any(const struct tl_schema *s, const struct tl_ctor *c)
{
    for (int i = 0; i < c->n_fields; i++)
        if (tl_ctor_fields(s, c)[i].kind == TL_KIND_ANY)
            return true;
    return false;
}

/* What was printed is read back and encodes to the same bytes. */
static void check_json_back(const struct tl_schema *s, const struct tl_ctor *c)
{
    struct tg_error err = { .message = "" };
    const struct tl_value *v;

    tg_arena_clear(&arena);
    v = tl_from_json(s, (const char *)text.data, text.len, &arena, &err);
    if (has_any(s, c)) {
        assert_null(v);
        return;
    }
    if (!v)
        fail_msg("layer %d, %s: %s", s->layer, tl_symbol_name(s, c->name), err.message);
    encode(s, v, &again);
    if (again.len != wire.len || memcmp(again.data, wire.data, wire.len) != 0)
        fail_msg("layer %d, %s: read from JSON it differs", s->layer, tl_symbol_name(s, c->name));
}

/* The places of its fields are those that opening finds, by a plan and without one. */
static void check_places(const struct tl_schema *s, const uint8_t *bytes, size_t n,
                         const struct tl_object *o)
{
    static const struct tl_plan none;
    uint8_t place[TL_FIELD_MAX];
    struct tl_plan plan;

    tl_plan_of(s, n < 4 ? NULL : tl_ctor_by_id(s, tg_le32(bytes)), &plan);
    for (size_t i = 0; i < TL_FIELD_MAX; i++)
        place[i] = (uint8_t)(TL_FIELD_MAX - 1 - i);
    for (int planned = 0; planned < 2; planned++) {
        uint32_t at[TL_FIELD_MAX] = { 0 };
        struct tl_reader r = tl_reader_of(bytes, n);
        const uint8_t *end = tl_object_places(s, &r, planned ? &plan : &none, place, at);

        assert_ptr_equal(end, o ? o->end : NULL);
        assert_int_equal(r.bad, !o);
        assert_ptr_equal(r.at, o ? o->end : bytes + n);
        for (int i = 0; o && i < o->ctor->n_fields; i++)
            assert_ptr_equal(at[place[i]] ? bytes + at[place[i]] : NULL, o->field[i]);
    }
}

/* Opening by a plan finds what opening finds. */
static void check_planned(const struct tl_schema *s, const uint8_t *bytes, size_t n)
{
    struct tl_reader r = tl_reader_of(bytes, n), r2 = r;
    struct tl_object o, planned;
    struct tl_plan plan;
    bool whole = tl_object_open(s, &r, &o);

    tl_plan_of(s, n < 4 ? NULL : tl_ctor_by_id(s, tg_le32(bytes)), &plan);
    assert_int_equal(tl_object_open_planned(s, &r2, &plan, 1, &planned), whole);
    assert_int_equal(r2.bad, !whole);
    check_places(s, bytes, n, whole ? &o : NULL);
    if (!whole)
        return;
    assert_ptr_equal(r2.at, r.at);
    assert_true(planned.ctor == o.ctor && planned.start == o.start && planned.end == o.end);
    assert_memory_equal(planned.field, o.field, o.ctor->n_fields * sizeof *o.field);
}

/* No proper beginning is a whole object; each is explained; copies make over-reads visible. */
static void check_cut(const struct tl_schema *s, size_t n, struct tg_arena *scratch)
{
    struct tl_object o;
    struct tl_fault fault;
    uint8_t *cut = malloc(n ? n : 1);
    struct tl_reader r;

    assert_non_null(cut);
    memcpy(cut, wire.data, n);
    r = tl_reader_of(cut, n);
    assert_false(tl_skip(s, &r));
    assert_true(r.bad);
    r = tl_reader_of(cut, n);
    assert_false(tl_object_open(s, &r, &o));
    check_planned(s, cut, n);
    r = tl_reader_of(cut, n);
    tg_arena_clear(scratch);
    assert_null(tl_decode(s, &r, scratch));
    assert_true(tl_explain(s, cut, n, TL_NONE, &fault));
    assert_int_equal(fault.kind, TL_FAULT_SHORT);
    assert_true(fault.offset <= n);
    free(cut);
}

static void check_ctor(const struct tl_schema *s, const struct tl_ctor *c, uint64_t seed)
{
    struct tl_random random = { s, &arena, seed, 3 };
    struct tl_object o;
    struct tl_fault fault;
    const char *name = tl_symbol_name(s, c->name);

    tg_arena_clear(&arena);
    encode(s, tl_random_object(&random, c, 0), &wire);
    struct tl_reader r = tl_reader_of(wire.data, wire.len);
    if (!tl_skip(s, &r) || r.at != r.end)
        fail_msg("layer %d, %s, seed %llu: skip", s->layer, name, (unsigned long long)seed);
    r = tl_reader_of(wire.data, wire.len);
    assert_true(tl_object_open(s, &r, &o));
    assert_ptr_equal(o.end, wire.data + wire.len);
    assert_ptr_equal(o.ctor, c);
    check_planned(s, wire.data, wire.len);
    assert_false(tl_explain(s, wire.data, wire.len, TL_NONE, &fault));
    r = tl_reader_of(wire.data, wire.len);
    const struct tl_value *v = tl_decode(s, &r, &arena);
    assert_non_null(v);
    encode(s, v, &again);
    if (again.len != wire.len || memcmp(again.data, wire.data, wire.len) != 0)
        fail_msg("layer %d, %s, seed %llu: encoded again differs", s->layer, name,
                 (unsigned long long)seed);
    check_json(s, name);
    check_json_back(s, c);
}

static void every_constructor_round_trips(void **state)
{
    (void)state;
    for (size_t k = 0; tl_schema_at(k); k++) {
        const struct tl_schema *s = tl_schema_at(k);

        if (!s->layer) /* its functions carry no query, so nothing refers to the API */
            continue;
        for (uint32_t i = 0; i < s->n_ctors; i++) {
            for (uint64_t seed = 1; seed <= 3; seed++)
                check_ctor(s, &s->ctor[i], seed * 1000003 + i);
        }
    }
}

static void mtproto_round_trips(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(0);

    (void)state;
    assert_non_null(s);
    for (uint32_t i = 0; i < s->n_ctors; i++)
        check_ctor(s, &s->ctor[i], 77 + i);
}

/* Of another order, another layer, or no JSON of an object at all. */
static void json_of_others_is_read_or_refused(void **state)
{
    static const struct {
        const char *name, *json;
        tg_code code;
    } row[] = {
        { "members in any order", "{\"user_id\":7,\"_\":\"peerUser\"}", TG_OK },
        { "a member of a newer layer", "{\"_\":\"peerUser\",\"user_id\":7,\"x\":[{}]}", TG_OK },
        { "white space, as databases put it", " { \"_\" : \"peerUser\", \"user_id\" : 7 } ",
          TG_OK },
        { "a predicate of a newer layer", "{\"_\":\"peerMars\",\"user_id\":7}", TG_NOT_FOUND },
        { "none at all", "{\"user_id\":7}", TG_DATA },
        { "a text for a number", "{\"_\":\"peerUser\",\"user_id\":\"7\"}", TG_DATA },
        { "something behind it", "{\"_\":\"peerUser\",\"user_id\":7}}", TG_DATA },
        { "cut short", "{\"_\":\"peerUser\",\"user_id\":7", TG_DATA },
        { "a number too large", "{\"_\":\"peerUser\",\"user_id\":1e30}", TG_DATA },
        { "no base64", "{\"_\":\"inputPhotoFileLocation\",\"file_reference\":\"?\"}", TG_DATA },
        { "no object", "[]", TG_DATA },
        { "nothing", "", TG_DATA },
    };
    const struct tl_schema *s = tl_schema_builtin(228);

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_error err = { .code = TG_OK };
        const struct tl_value *v;

        tg_arena_clear(&arena);
        v = tl_from_json(s, row[i].json, strlen(row[i].json), &arena, &err);
        if (err.code != row[i].code || !v != (row[i].code != TG_OK))
            fail_msg("%s: %s", row[i].name, err.message);
        if (v)
            assert_int_equal(tl_get_long(v, TLN_user_id, 0), 7);
    }
}

static void no_beginning_is_whole(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    struct tg_arena scratch;

    (void)state;
    tg_arena_init(&scratch, 16 << 20);
    for (uint32_t i = 0; i < s->n_ctors; i++) {
        struct tl_random random = { s, &arena, 5 + i, 2 };

        tg_arena_clear(&arena);
        encode(s, tl_random_object(&random, &s->ctor[i], 0), &wire);
        for (size_t n = 0; n < TG_MIN(wire.len, (size_t)400); n++)
            check_cut(s, n, &scratch);
        if (wire.len > 400)
            check_cut(s, wire.len - 1, &scratch);
    }
    tg_arena_done(&scratch);
}

/* Whatever is flipped, nothing reads outside; that is for the sanitizers to see. */
static void flipped_bits_stay_inside(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    struct tg_arena scratch;
    uint64_t seed = 20240115;

    (void)state;
    tg_arena_init(&scratch, 16 << 20);
    for (int round = 0; round < 20000; round++) {
        struct tl_random random = { s, &arena, ++seed, 3 };
        struct tl_fault fault;
        struct tg_json json;

        tg_arena_clear(&arena);
        tg_arena_clear(&scratch);
        const struct tl_ctor *c = &s->ctor[tl_random_next(&random) % s->n_ctors];
        encode(s, tl_random_object(&random, c, 0), &wire);
        uint8_t *copy = malloc(wire.len);
        assert_non_null(copy);
        memcpy(copy, wire.data, wire.len);
        for (int flips = 0; flips < 3; flips++)
            copy[tl_random_next(&random) % wire.len] ^= (uint8_t)(1 << tl_random_next(&random) % 8);
        struct tl_reader r = tl_reader_of(copy, wire.len), r2 = r, r3 = r;
        bool whole = tl_skip(s, &r);
        check_planned(s, copy, wire.len);
        if (whole == tl_explain(s, copy, wire.len, TL_NONE, &fault))
            fail_msg("seed %llu: skip and explain differ", (unsigned long long)seed);
        if (whole != (tl_decode(s, &r2, &scratch) != NULL))
            fail_msg("seed %llu: skip and decode differ", (unsigned long long)seed);
        tg_buf_clear(&text);
        tg_json_init(&json, &text);
        if (whole != tl_print_json(s, &r3, &json, NULL))
            fail_msg("seed %llu: skip and print differ", (unsigned long long)seed);
        free(copy);
    }
    tg_arena_done(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_constructor_round_trips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(mtproto_round_trips, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_of_others_is_read_or_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_beginning_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(flipped_bits_stay_inside, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
