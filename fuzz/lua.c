/* SPDX-License-Identifier: MIT */
/*
 * lua.c - fuzzes programs over rows: the first byte says whether it is an expression
 *
 * Whatever a program does, the row keeps which message it is, its texts are UTF-8 and its JSON is
 * JSON; what is refused says why; and the same program can be run again.
 */
#include <stdlib.h>

#include "base/json_read.h"
#include "client/lua.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void check(const struct tg_row *row)
{
    require(row->chat_id == -100123 && row->id == 12 && row->date != INT64_MIN);
    require((row->present & TG_ROW_KEY) == (TG_ROW_BIT(chat_id) | TG_ROW_BIT(id)));
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        enum tg_field_type type = tg_field((enum tg_field_id)i)->type;
        struct tg_json_in in;
        const char *text;
        size_t len;

        if (type != TG_FIELD_STR && type != TG_FIELD_JSON)
            continue;
        text = tg_row_text(row, (enum tg_field_id)i, &len);
        if (!text)
            continue;
        require(tg_utf8_valid(text, len));
        tg_json_in_init(&in, text, len);
        tg_json_skip(&in);
        require(type == TG_FIELD_STR || tg_json_in_done(&in));
    }
}

static void fill(struct tg_row *row)
{
    TG_ROW_SET(row, chat_id, -100123);
    TG_ROW_SET(row, id, 12);
    TG_ROW_SET(row, date, 1705314600);
    TG_ROW_SET(row, text, TG_STR("one Two \xd0\xb0\xd0\xb1 #tag (a(b)c)"));
    TG_ROW_SET(row, views, 250);
    TG_ROW_SET(row, post, 1);
    TG_ROW_SET(row, reactions, TG_STR("[{\"reaction\":\"x\",\"count\":7}]"));
    TG_ROW_SET(row, extra, TG_STR("{\"a\":[1,null,{\"b\":\"\\u00e9\"}],\"n\":1e400}"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_batch *batch = tg_batch_new(2);
    struct tg_error err = { 0 };
    char *code = malloc(size + 1);
    struct tg_lua *lua;
    bool value;

    require(batch && code);
    if (size) {
        struct tg_lua_options o = { .name = "fuzz", .code = code, .expression = *data & 1,
                                    .steps = 20000, .memory = 1 << 20 };

        memcpy(code, data + 1, size - 1);
        code[size - 1] = 0;
        if (tg_lua_new(&o, &lua, &err) == TG_OK) {
            for (int i = 0; i < 2; i++) {
                struct tg_row_edit edit = { batch, tg_batch_row(batch) };

                fill(edit.row);
                if (tg_lua_run(lua, &edit, INT64_C(1705400000000000), &value, &err) != TG_OK)
                    require(err.message[0] && tg_utf8_valid(err.message, strlen(err.message)));
                check(edit.row);
            }
            tg_lua_free(lua);
        } else {
            require(err.message[0] && tg_utf8_valid(err.message, strlen(err.message)));
        }
    }
    free(code);
    tg_batch_free(batch);
    return 0;
}
