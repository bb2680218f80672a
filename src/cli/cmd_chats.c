/* SPDX-License-Identifier: MIT */
/*
 * cmd_chats.c - tgdata chats: the account's chats as a table or a JSON array
 */
#include "base/json.h"
#include "cli/cli.h"
#include "cli/term.h"

enum { OUTPUT_MAX = 256 << 20 };

struct own {
    bool json;
};

static const struct tg_option options[] = {
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "print a JSON array of objects with id, title, kind, username, members, protected" },
    { 0 },
};

struct listing {
    bool json;
    struct tg_buf out;
    struct tg_json j;
    size_t n;
};

static void put_json(struct tg_json *j, const struct tg_chat_info *chat)
{
    tg_json_object(j);
    tg_json_key(j, "id"), tg_json_i64(j, chat->id);
    tg_json_key(j, "title"), tg_json_cstr(j, chat->title);
    tg_json_key(j, "kind"), tg_json_cstr(j, chat->kind);
    tg_json_key(j, "username"), tg_json_cstr(j, chat->username);
    tg_json_key(j, "members");
    if (chat->members >= 0)
        tg_json_i64(j, chat->members);
    else
        tg_json_null(j);
    tg_json_key(j, "protected"), tg_json_bool(j, chat->protected_content);
    tg_json_end_object(j);
}

static void put_row(struct tg_buf *out, const struct tg_chat_info *chat)
{
    char members[32] = "-", name[80] = "-";

    if (chat->members >= 0)
        cli_number(members, (uint64_t)chat->members);
    if (chat->username)
        snprintf(name, sizeof name, "@%s", chat->username);
    tg_buf_printf(out, "%16lld  %-10s  %10s  ", (long long)chat->id, chat->kind, members);
    for (size_t used = cli_clean(out, name, 32); used < 24; used++)
        tg_buf_byte(out, ' ');
    tg_buf_str(out, "  ");
    cli_clean(out, chat->title, 200);
    tg_buf_str(out, chat->protected_content ? "  (protected)\n" : "\n");
}

static bool on_chat(void *ctx, const struct tg_chat_info *chat)
{
    struct listing *l = ctx;

    if (l->json) {
        tg_buf_str(&l->out, l->n ? ",\n " : "");
        l->j.comma = false;
        put_json(&l->j, chat);
    } else {
        put_row(&l->out, chat);
    }
    l->n++;
    return !l->out.failed;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    struct listing l = { .json = own->json };
    struct tg_account *account = NULL;
    tg_code code = cli_open_account(cli, &account, err);

    if (code != TG_OK)
        return code;
    tg_buf_init(&l.out, OUTPUT_MAX);
    tg_json_init(&l.j, &l.out);
    if (l.json)
        tg_buf_byte(&l.out, '[');
    else
        tg_buf_printf(&l.out, "%16s  %-10s  %10s  %-24s  %s\n", "ID", "KIND", "MEMBERS", "USERNAME",
                      "TITLE");
    code = tg_account_chats(account, on_chat, &l, err);
    cli_close_account(account);
    if (l.json)
        tg_buf_byte(&l.out, ']');
    else if (l.out.len)
        l.out.len--; /* cli_print ends the last line */
    if (code == TG_OK)
        code = cli_print(&l.out, err);
    tg_buf_done(&l.out);
    return code;
}

const struct cli_command cmd_chats = {
    .name = "chats",
    .help = "list the chats of the account",
    .usage = "[OPTIONS]",
    .about = "Lists the chats of the account in the order of its chat list. An id, a username or a "
             "t.me link names a chat for tgdata extract.",
    .examples = "  tgdata chats\n"
                "  tgdata chats --json | jq -r '.[] | select(.kind==\"channel\").id'\n",
    .scopes = 1u << TG_SCOPE_ACCOUNT,
    .option = options,
    .size = sizeof(struct own),
    .run = run,
};
