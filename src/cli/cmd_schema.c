/* SPDX-License-Identifier: MIT */
/*
 * cmd_schema.c - tgdata schema and version: what a row is made of, and what is built in
 */
#include "base/json.h"
#include "cli/cli.h"

enum { OUTPUT_MAX = 1 << 20 };

struct own {
    bool json;
};

static const struct tg_option options[] = {
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "print a JSON object" },
    { 0 },
};

static const char *type_name(enum tg_field_type type)
{
    static const char *const name[] = {
        [TG_FIELD_I64] = "integer",   [TG_FIELD_TIME] = "time", [TG_FIELD_BOOL] = "boolean",
        [TG_FIELD_STR] = "string", [TG_FIELD_JSON] = "json",
    };

    return name[type];
}

static void schema_json(struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "layer"), tg_json_i64(&j, tg_version_layer());
    tg_json_key(&j, "fields"), tg_json_array(&j);
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);

        tg_json_object(&j);
        tg_json_key(&j, "name"), tg_json_cstr(&j, f->name);
        tg_json_key(&j, "type"), tg_json_cstr(&j, type_name(f->type));
        tg_json_key(&j, "meaning"), tg_json_cstr(&j, f->meaning);
        tg_json_end_object(&j);
    }
    tg_json_end_array(&j);
    tg_json_end_object(&j);
}

static void schema_text(struct tg_buf *out)
{
    tg_buf_printf(out, "%-20s %-8s %s\n", "FIELD", "TYPE", "MEANING");
    for (int i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_field *f = tg_field((enum tg_field_id)i);

        tg_buf_printf(out, "%-20s %-8s %s\n", f->name, type_name(f->type), f->meaning);
    }
    tg_buf_printf(out, "\nRead from API layer %d. A field without a value is not written.",
                  tg_version_layer());
}

static tg_code run_schema(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_buf out;
    tg_code code;

    tg_buf_init(&out, OUTPUT_MAX);
    if (own->json)
        schema_json(&out);
    else
        schema_text(&out);
    code = cli_print(&out, err);
    tg_buf_done(&out);
    return code;
}

const struct cli_command cmd_schema = {
    .name = "schema",
    .help = "the fields of a row, with type and meaning",
    .usage = "[--json]",
    .about = "Prints each field that a row can have: its name in every output, its type and its "
             "meaning, and the API layer that rows are read from.",
    .examples = "  tgdata schema\n  tgdata schema --json | jq -r '.fields[].name'\n",
    .option = options,
    .size = sizeof(struct own),
    .run = run_schema,
};

static tg_code run_version(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct tg_buf out;
    struct tg_json j;
    const char *part;
    tg_code code;

    tg_buf_init(&out, OUTPUT_MAX);
    tg_json_init(&j, &out);
    if (own->json) {
        tg_json_object(&j);
        tg_json_key(&j, "version"), tg_json_cstr(&j, tg_version());
        tg_json_key(&j, "layer"), tg_json_i64(&j, tg_version_layer());
        tg_json_key(&j, "parts"), tg_json_array(&j);
        for (unsigned i = 0; (part = tg_version_part(i)); i++)
            tg_json_cstr(&j, part);
        tg_json_end_array(&j);
        tg_json_end_object(&j);
    } else {
        tg_buf_printf(&out, "tgdata %s, API layer %d", tg_version(), tg_version_layer());
        for (unsigned i = 0; (part = tg_version_part(i)); i++)
            tg_buf_printf(&out, "\n  %s", part);
    }
    code = cli_print(&out, err);
    tg_buf_done(&out);
    return code;
}

const struct cli_command cmd_version = {
    .name = "version",
    .help = "the version, and what is built in",
    .usage = "[--json]",
    .about = "Prints the version, the API layer, the drivers and the libraries that are built in.",
    .examples = "  tgdata version\n",
    .option = options,
    .size = sizeof(struct own),
    .run = run_version,
};
