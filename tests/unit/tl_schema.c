/* SPDX-License-Identifier: MIT */
/*
 * Built-in layers have the ids that clients know; schemas load from TL text and from JSON to the
 * same tables; what is malformed or made to hurt is refused with its line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tl/errors.h"
#include "tl/value.h"
#include "tl/walk.h"

static void ids_by_layer(void **state)
{
    static const struct {
        uint32_t name;
        uint32_t at_198, at_228, at_229; /* 0: the layer has no such thing */
    } row[] = {
        { TLN_message, 0x96fdbbe9, 0x7600b9d3, 0x7600b9d3 },
        { TLN_messageService, 0xd3d28540, 0x7a800e0a, 0x7a800e0a },
        { TLN_messageReplyHeader, 0xafbc09db, 0x1b97dd66, 0x1b97dd66 },
        { TLN_channel, 0xe00998b7, 0xd49f34c6, 0xd49f34c6 },
        { TLN_user, 0x4b46c37e, 0xb1b8cc83, 0xb1b8cc83 },
        { TLN_channelFull, 0x52d6806b, 0xa04e8d3a, 0xa04e8d3a },
        { TLN_dialog, 0xd58a08c6, 0xfc89f7f3, 0xfc89f7f3 },
        { TLN_messages_channelMessages, 0xc776ba4e, 0xc776ba4e, 0xc776ba4e },
        { TLN_messages_messagesSlice, 0x3a54685e, 0x5f206716, 0x5f206716 },
        { TLN_forumTopic, 0x71701da9, 0xfcdad815, 0xfcdad815 },
        { TLN_channels_getForumTopics, 0x0de560d1, 0, 0 },
        { TLN_messages_getForumTopics, 0, 0x3ba47bff, 0x3ba47bff },
        { TLN_messages_getHistory, 0x4423e6c5, 0x4423e6c5, 0x4423e6c5 },
        { TLN_messageEmpty, 0x90a6ca84, 0x90a6ca84, 0x90a6ca84 },
        { TLN_invokeWithLayer, 0xda9b0d0d, 0xda9b0d0d, 0xda9b0d0d },
        { TLN_initConnection, 0xc1cd5ea9, 0xc1cd5ea9, 0xc1cd5ea9 },
        { TLN_req_pq_multi, 0, 0, 0 },
    };
    const struct tl_schema *a = tl_schema_builtin(198), *b = tl_schema_builtin(228),
                           *c = tl_schema_builtin(229), *mt = tl_schema_builtin(0);

    (void)state;
    assert_true(a && b && c && mt);
    assert_null(tl_schema_builtin(1));
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        assert_int_equal(tl_id(a, row[i].name), row[i].at_198);
        assert_int_equal(tl_id(b, row[i].name), row[i].at_228);
        assert_int_equal(tl_id(c, row[i].name), row[i].at_229);
    }
    assert_int_equal(tl_id(mt, TLN_req_pq_multi), 0xbe7e8ef1);
    assert_ptr_equal(tl_schema_at(0), mt);
    assert_ptr_equal(tl_schema_at(3), c);
    assert_null(tl_schema_at(4));
    assert_null(tl_schema_at(99));
}

static void the_newest_complete_layer_is_whole(void **state)
{
    const struct tl_schema *s = tl_schema_builtin(228);
    uint32_t functions = 0, updates = 0;

    (void)state;
    for (uint32_t i = 0; i < s->n_ctors; i++) {
        functions += s->ctor[i].is_function;
        updates += !s->ctor[i].is_function && s->type[s->ctor[i].type].name == TLN_Update;
        assert_ptr_equal(tl_ctor_by_id(s, s->ctor[i].id), &s->ctor[i]);
        assert_ptr_equal(tl_ctor_by_name(s, s->ctor[i].name), &s->ctor[i]);
    }
    assert_int_equal(functions, 807);
    assert_int_equal(s->n_ctors - functions, 1641);
    assert_int_equal(updates, 165);
}

static void names_are_symbols(void **state)
{
    static const char nul[] = "message\0of another length";
    const struct tl_schema *s = tl_schema_builtin(228);
    const struct tl_ctor *m = tl_ctor_by_name(s, TLN_message);
    const struct tl_field *f = tl_ctor_fields(s, m);

    (void)state;
    assert_string_equal(tl_symbol_name(NULL, TLN_messages_getHistory), "messages.getHistory");
    assert_int_equal(tl_symbol_find(NULL, "messages.getHistory", 19), TLN_messages_getHistory);
    assert_int_equal(tl_symbol_find(NULL, "messages.getHistor", 18), TLN_NONE);
    assert_int_equal(tl_symbol_find(s, "", 0), TLN_NONE);
    assert_int_equal(tl_symbol_find(s, nul, sizeof nul - 1), TLN_NONE);
    assert_string_equal(tl_symbol_name(s, TLN_COUNT), "");
    int views = tl_ctor_field_index(s, m, TLN_views);
    assert_int_equal(f[views].bit, 10);
    assert_int_equal(f[f[views].word].name, TLN_flags);
    int effect = tl_ctor_field_index(s, m, TLN_effect);
    assert_int_equal(f[f[effect].word].name, TLN_flags2);
    assert_int_equal(tl_ctor_field_index(s, m, TLN_title), -1);
    assert_int_equal(tl_ctor_field_index(s, NULL, TLN_title), -1);
    assert_int_equal(m->type, tl_type_by_name(s, TLN_Message));
    assert_int_equal(tl_type_by_name(s, TLN_message), TL_NONE);
}

static const char small_tl[] =
    "// LAYER 42\n"
    "int ? = Int; vector#1cb5c415 {t:Type} # [ t ] = Vector t; boolTrue#997275b5 = Bool;\n"
    "mtcute.own#1 = Bool;\n"
    "invokeWithFunPrefix#2 {X:Type} = Error;\n"
    "peerUser#59511722 user_id:long = Peer;\n"
    "thing#0a0b0c0d flags:# on:flags.0?true name:flags.3?string list:Vector<Peer>\n"
    "   bare:vector<%Solo> solo:solo when:int53 = Thing; // the end\n"
    "solo#11223344 n:int = Solo;\n"
    "resPQ nonce:int128 server_nonce:int128 pq:string"
    " server_public_key_fingerprints:Vector<long> = ResPQ;\n"
    "---functions---\n"
    "invokeWithLayer {X:Type} layer:int query:!X = X;\n"
    "getThing#77 = Vector<Thing>;\n";

static const char small_json[] =
    "{\"l\":42,\"e\":["
    "{\"kind\":\"class\",\"name\":\"mtcute.own\",\"id\":1,\"type\":\"Bool\",\"arguments\":[]},"
    "{\"kind\":\"class\",\"name\":\"peerUser\",\"id\":1498486562,\"type\":\"Peer\",\"arguments\":["
    "{\"name\":\"user_id\",\"type\":\"int53\"}]},"
    "{\"kind\":\"class\",\"name\":\"thing\",\"id\":168496141,\"type\":\"Thing\",\"arguments\":["
    "{\"name\":\"flags\",\"type\":\"#\"},"
    "{\"name\":\"on\",\"type\":\"true\",\"typeModifiers\":{\"predicate\":\"flags.0\"}},"
    "{\"name\":\"name\",\"type\":\"string\",\"typeModifiers\":{\"predicate\":\"flags.3\"}},"
    "{\"name\":\"list\",\"type\":\"Peer\",\"typeModifiers\":{\"isVector\":true}},"
    "{\"name\":\"bare\",\"type\":\"%Solo\",\"typeModifiers\":{\"isBareVector\":true}},"
    "{\"name\":\"solo\",\"type\":\"solo\"},{\"name\":\"when\",\"type\":\"int53\"}]},"
    "{\"kind\":\"class\",\"name\":\"solo\",\"id\":287454020,\"type\":\"Solo\",\"arguments\":["
    "{\"name\":\"n\",\"type\":\"int\"}]},"
    "{\"kind\":\"class\",\"name\":\"mt_resPQ\",\"id\":85337187,\"type\":\"ResPQ\",\"arguments\":["
    "{\"name\":\"nonce\",\"type\":\"int128\"},{\"name\":\"server_nonce\",\"type\":\"int128\"},"
    "{\"name\":\"pq\",\"type\":\"bytes\"},{\"name\":\"server_public_key_fingerprints\","
    "\"type\":\"long\",\"typeModifiers\":{\"isVector\":true}}]},"
    "{\"kind\":\"method\",\"name\":\"invokeWithLayer\",\"type\":\"X\",\"id\":3667594509,"
    "\"generics\":[{\"name\":\"X\",\"type\":\"Type\"}],\"arguments\":["
    "{\"name\":\"layer\",\"type\":\"int\"},{\"name\":\"query\",\"type\":\"!X\"}]},"
    "{\"kind\":\"method\",\"name\":\"getThing\",\"id\":119,\"type\":\"Thing\","
    "\"typeModifiers\":{\"isVector\":true},\"arguments\":[]}],\"u\":{}}";

static void check_small(const char *text)
{
    struct tl_schema *s;
    struct tg_error err;

    assert_int_equal(tl_schema_load("small", text, strlen(text), &s, &err), TG_OK);
    assert_int_equal(s->layer, 42);
    assert_int_equal(s->n_ctors, 6);
    assert_int_equal(tl_id(s, TLN_resPQ), 0x05162463); /* by its CRC32 where none is written */
    assert_int_equal(tl_id(s, TLN_invokeWithLayer), 0xda9b0d0d);
    assert_int_equal(tl_id(s, TLN_peerUser), 0x59511722);
    uint32_t thing = tl_symbol_find(s, "thing", 5);
    assert_true(thing >= TLN_COUNT);
    assert_string_equal(tl_symbol_name(s, thing), "thing");
    const struct tl_ctor *c = tl_ctor_by_name(s, thing);
    assert_non_null(c);
    assert_int_equal(c->n_fields, 7);
    const struct tl_field *f = tl_ctor_fields(s, c);
    static const uint8_t kind[] = { TL_KIND_FLAGS,  TL_KIND_TRUE,        TL_KIND_STRING,
                                    TL_KIND_VECTOR, TL_KIND_BARE_VECTOR, TL_KIND_BARE,
                                    TL_KIND_LONG };
    for (int i = 0; i < 7; i++)
        assert_int_equal(f[i].kind, kind[i]);
    assert_int_equal(f[2].bit, 3);
    const struct tl_ctor *get = tl_ctor_by_id(s, 0x77);
    assert_true(get && get->is_function);
    assert_int_equal(s->type[get->type].kind, TL_KIND_VECTOR);
    tl_schema_free(s);
}

static void text_and_json_load_alike(void **state)
{
    (void)state;
    check_small(small_tl);
    check_small(small_json);
}

static void malformed_schemas_are_refused(void **state)
{
    static const struct {
        const char *text, *message; /* a part of it */
    } row[] = {
        { "", "no declarations" },
        { "// LAYER 3\n", "no declarations" },
        { "a#1 = A", "semicolon" },
        { "a#1 = A;\nb#2 x:int", "2:" },
        { "a#g = A;", "hexadecimal" },
        { "a#123456789 = A;", "hexadecimal" },
        { "# = A;", "name" },
        { "a#1 x = A;", "name:type" },
        { "a#1 x:flags.0?int = A;", "no flags field" },
        { "a#1 flags:# x:flags.32?int = A;", "bits 0 to 31" },
        { "a#1 flags:# x:flags.?int = A;", "flags.N" },
        { "a#1 flags:# x:flags.0x?int = A;", "flags.N" },
        { "a#1 flags:# flags2:flags.1?# = A;", "depend" },
        { "a#1 x:int x:long = A;", "twice" },
        { "a#1 = A;\na#2 = A;", "line 2: 'a' is defined twice" },
        { "a#1 = A;\nb#1 = A;", "taken twice" },
        { "a#1cb5c415 x:int = A;", "twice" },
        { "a#1 x:nothing = A;", "no such type" },
        { "a#1 x:%Nothing = A;", "no such type" },
        { "a#1 = A; b#2 = A; c#3 x:%A = C;", "no such type" },
        { "a#1 x:Vector< = A;", "no such type" },
        { "a#1 x:Vector<int = A;", "no such type" },
        { "a#1 x:Vector<#> = A;", "no such type" },
        { "a#1 x:Vector<true> = A;", "no such type" },
        { "a#1 x:Vector<Vector<Vector<Vector<Vector<Vector<Vector<Vector<Vector<Vector<int"
          ">>>>>>>>>> = A;",
          "no such type" },
        { "a#1 = int;", "no such type" },
        { "a#1 {X:Type = A;", "brace" },
        { "solo#1 = Solo; a#2 x:vector<solo> = A;", "cannot be bare" },
        { "a0#1 = A0; a1#2 x:%A0 y:%A0 = A1;", "cannot be bare" },
        { "a#1 f:# f1:# f2:# f3:# f4:# f5:# f6:# f7:# = A;", "flags fields" },
        { "{\"l\":1}", "missing" },
        { "{\"l\":1,\"e\":[{\"name\":\"a b; c\",\"kind\":\"class\",\"type\":\"A\"}]}", "" },
        { "[1,2", "" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tl_schema *s = NULL;
        struct tg_error err = { 0 };
        tg_code code = tl_schema_load("s", row[i].text, strlen(row[i].text), &s, &err);

        if (code == TG_OK || s || !strstr(err.message, row[i].message))
            fail_msg("%s: code %d, %s", row[i].text, code, err.message);
    }
}

static void too_many_fields_are_refused(void **state)
{
    struct tg_buf text;
    struct tl_schema *s;
    struct tg_error err;

    (void)state;
    for (int n = 128; n <= 129; n++) {
        tg_buf_init(&text, 1 << 16);
        tg_buf_str(&text, "a#1");
        for (int i = 0; i < n; i++)
            tg_buf_printf(&text, " x%d:int", i);
        tg_buf_str(&text, " = A;");
        tg_code code = tl_schema_load("s", tg_buf_cstr(&text), text.len, &s, &err);
        assert_int_equal(code, n == 128 ? TG_OK : TG_LIMIT);
        if (code == TG_OK)
            tl_schema_free(s);
        tg_buf_done(&text);
    }
}

/* A bare type that holds itself ends at the depth limit, not in the stack. */
static void bare_recursion_ends(void **state)
{
    static const char text[] = "a#1 n:int next:%A = A; b#2 x:Vector<B> = B;";
    static const uint8_t zeros[4096] = { 1 };
    struct tl_schema *s;
    struct tg_error err;

    (void)state;
    assert_int_equal(tl_schema_load("s", text, strlen(text), &s, &err), TG_OK);
    struct tl_reader r = tl_reader_of(zeros, sizeof zeros);
    assert_false(tl_skip(s, &r));
    struct tl_fault fault;
    assert_true(tl_explain(s, zeros, sizeof zeros, TL_NONE, &fault));
    assert_int_equal(fault.kind, TL_FAULT_DEPTH);
    tl_schema_free(s);
}

static void rpc_errors_have_codes(void **state)
{
    static const struct {
        const char *text;
        int code;
        int64_t value;
    } row[] = {
        { "FLOOD_WAIT_17", 420, 17 },        { "FLOOD_PREMIUM_WAIT_3", 420, 3 },
        { "PHONE_MIGRATE_4", 303, 4 },       { "FILE_MIGRATE_2", 303, 2 },
        { "USER_MIGRATE_5", 303, 5 },        { "FILE_REFERENCE_0_EXPIRED", 400, 0 },
        { "2FA_CONFIRM_WAIT_60", 420, 60 },  { "CHANNEL_PRIVATE", 400, 0 },
        { "AUTH_KEY_UNREGISTERED", 401, 0 }, { "SESSION_PASSWORD_NEEDED", 401, 0 },
        { "PEER_ID_INVALID", 400, 0 },       { "NO_SUCH_ERROR_AT_ALL", 400, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        int64_t value = 0;

        if (tl_rpc_error_code(row[i].text) != row[i].code)
            fail_msg("%s: %d", row[i].text, tl_rpc_error_code(row[i].text));
        tl_rpc_error_find(row[i].text, strlen(row[i].text), &value);
        assert_int_equal(value, row[i].value);
    }
    assert_null(tl_rpc_error_find("", 0, NULL));
    assert_null(tl_rpc_error_find("NO_SUCH_ERROR_1", 15, NULL));
    assert_int_equal(tl_method_access(TLN_messages_getHistory), TL_FOR_USERS);
    assert_int_equal(tl_method_access(TLN_channels_getMessages), TL_FOR_ALL);
    assert_int_equal(tl_method_access(TLN_bots_setBotCommands), TL_FOR_BOTS);
    assert_int_equal(tl_method_access(TLN_NONE), TL_FOR_ALL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_by_layer),
        cmocka_unit_test(the_newest_complete_layer_is_whole),
        cmocka_unit_test(names_are_symbols),
        cmocka_unit_test(text_and_json_load_alike),
        cmocka_unit_test(malformed_schemas_are_refused),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(bare_recursion_ends),
        cmocka_unit_test(rpc_errors_have_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
