/* SPDX-License-Identifier: MIT */
/*
 * cmd_dlq.c - tgdata dlq list | show | replay | drop
 */
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"

enum { OUTPUT_MAX = 256 << 20 };

struct own {
    bool json, quarantine, all;
    const char *state, *job, *to, *rule;
    struct tg_option_list stage;
};

static const struct tg_option options[] = {
    { .name = "job",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, job),
      .value = "NAME",
      .help = "only letters of that job" },
    { .name = "to",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, to),
      .value = "URL",
      .help = "only letters of that destination" },
    { .name = "rule",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, rule),
      .value = "NAME",
      .help = "only letters of rows that this rule has set aside" },
    { .name = "stage",
      .type = TG_OPT_LIST,
      .offset = offsetof(struct own, stage),
      .value = "STAGE",
      .help = "replay: what is done to the rows before, in the order given" },
    { .name = "state",
      .type = TG_OPT_STR,
      .offset = offsetof(struct own, state),
      .fallback = "sqlite:tgdata.state",
      .value = "URL",
      .help = "where they are kept",
      .env = "TGDATA_STATE" },
    { .name = "quarantine",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, quarantine),
      .help = "records that could not be decoded, instead of letters" },
    { .name = "all",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, all),
      .help = "drop: all that the other options leave" },
    { .name = "json",
      .type = TG_OPT_BOOL,
      .offset = offsetof(struct own, json),
      .help = "list: print a JSON array of the whole letters; replay, drop: what was done" },
    { 0 },
};

static struct tg_letter_filter filter_of(const struct cli *cli)
{
    const struct own *own = cli->own;

    return (struct tg_letter_filter){
        .state = own->state,
        .job = own->job,
        .to = own->to,
        .rule = own->rule,
        .key = cli->n_args == 2 ? cli->arg[1] : NULL,
        .quarantine = own->quarantine,
    };
}

struct listing {
    bool json, whole;
    struct tg_buf out;
    uint64_t n;
};

/* Keys are not cut: they are what the other verbs take. */
static void put_line(struct tg_buf *out, const struct tg_letter_info *l)
{
    char at[24] = "";

    tg_time_utc(at, l->at_us / TG_SECOND_US);
    tg_buf_printf(out, "%s  %lld in %lld  ", at, (long long)l->id, (long long)l->chat_id);
    if (l->to) {
        cli_clean(out, l->to, SIZE_MAX);
        tg_buf_str(out, "\n  ");
    } else {
        tg_buf_str(out, "quarantine\n  ");
    }
    cli_clean(out, l->reason, SIZE_MAX);
    tg_buf_printf(out, "\n  %s\n", l->key);
}

static bool on_letter(void *ctx, const struct tg_letter_info *letter)
{
    struct listing *l = ctx;

    if (l->json) {
        tg_buf_str(&l->out, l->n ? ",\n " : "");
        tg_buf_str(&l->out, "{\"key\":");
        tg_json_quote(&l->out, letter->key, strlen(letter->key));
        tg_buf_str(&l->out, ",\"letter\":");
    }
    if (l->json || l->whole)
        tg_buf_str(&l->out, letter->json);
    else
        put_line(&l->out, letter);
    if (l->json)
        tg_buf_byte(&l->out, '}');
    l->n++;
    return !l->out.failed;
}

static tg_code list(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    const struct tg_letter_filter which = filter_of(cli);
    struct listing l = { .json = own->json };
    tg_code code;

    if (which.key)
        return tg_fail(err, TG_USAGE, "list takes no key: tgdata dlq show KEY");
    tg_buf_init(&l.out, OUTPUT_MAX);
    if (l.json)
        tg_buf_byte(&l.out, '[');
    code = tg_letters_list(&which, on_letter, &l, err);
    if (l.json)
        tg_buf_byte(&l.out, ']');
    else if (l.n)
        tg_buf_printf(&l.out, "%llu in all", (unsigned long long)l.n);
    else
        tg_buf_str(&l.out, "none");
    if (code == TG_OK)
        code = cli_print(&l.out, err);
    tg_buf_done(&l.out);
    return code;
}

static tg_code show(const struct cli *cli, struct tg_error *err)
{
    const struct tg_letter_filter which = filter_of(cli);
    struct listing l = { .whole = true };
    tg_code code;

    if (!which.key) {
        tg_fail(err, TG_USAGE, "the letter's key is missing");
        return tg_hint(err, "tgdata dlq list shows the keys");
    }
    tg_buf_init(&l.out, OUTPUT_MAX);
    code = tg_letters_list(&which, on_letter, &l, err);
    if (code == TG_OK)
        code = cli_print(&l.out, err);
    tg_buf_done(&l.out);
    return code;
}

static tg_code replay(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    const struct tg_letter_filter which = filter_of(cli);
    const struct tg_letter_stages stages = { own->stage.item, own->stage.n };
    struct tg_letters_result done;
    tg_code code = tg_letters_replay(&which, &stages, &done, err);
    unsigned long long replayed = done.replayed, refused = done.refused, kept = done.kept;

    if (own->json)
        printf("{\"replayed\":%llu,\"refused\":%llu,\"kept\":%llu}\n", replayed, refused, kept);
    else if (code == TG_OK || replayed || refused || kept)
        printf("Rows that are in their destination now: %llu; refused again: %llu; kept back by "
               "a stage: %llu.\n", replayed, refused, kept);
    if (code == TG_OK && done.refused) {
        tg_fail(err, TG_DATA, "%llu rows were refused again", (unsigned long long)done.refused);
        code = tg_hint(err, "tgdata dlq list shows why");
    }
    return code;
}

static tg_code drop(const struct cli *cli, struct tg_error *err)
{
    const struct own *own = cli->own;
    const struct tg_letter_filter which = filter_of(cli);
    uint64_t n;
    tg_code code;

    if (!which.key && !own->all) {
        tg_fail(err, TG_USAGE, "which letter to drop is missing");
        return tg_hint(err, "name its key, or drop --all [--job NAME] [--to URL]");
    }
    code = tg_letters_drop(&which, &n, err);
    if (own->json)
        printf("{\"dropped\":%llu}\n", (unsigned long long)n);
    else if (code == TG_OK || n)
        printf("%llu dropped.\n", (unsigned long long)n);
    return code;
}

static tg_code run(struct cli *cli, struct tg_error *err)
{
    static const struct {
        const char *name;
        tg_code (*run)(const struct cli *cli, struct tg_error *err);
    } verb[] = { { "list", list }, { "show", show }, { "replay", replay }, { "drop", drop } };

    for (size_t i = 0; i < TG_COUNT(verb); i++)
        if (strcmp(verb[i].name, cli->arg[0]) == 0)
            return verb[i].run(cli, err);
    tg_fail(err, TG_USAGE, "dlq cannot '%.64s'", cli->arg[0]);
    return tg_hint(err, "it can list, show, replay and drop");
}

const struct cli_command cmd_dlq = {
    .name = "dlq",
    .help = "rows that a destination or a rule has refused: list, show, write again or drop them",
    .usage = "list|show KEY|replay [KEY]|drop KEY|drop --all [OPTIONS]",
    .about = "A row that a destination refuses for good, such as by a constraint of its table, or "
             "that a rule of severity quarantine sets aside, is kept as a dead letter, and the run "
             "goes on. list prints time, message, chat, "
             "destination, reason and key of each; show prints one whole, with its row; replay "
             "writes the rows to their destinations again, mended by --stage, and takes out the "
             "letters of those that are there then; drop takes letters out for good. Records that "
             "could not be decoded are shown and dropped with --quarantine.",
    .examples = "  tgdata dlq list --job nightly\n"
                "  tgdata dlq replay --job nightly --to postgres://me@localhost/archive\n"
                "  tgdata dlq replay --job nightly --rule 'views: range' \\\n"
                "      --stage 'lua?code=row.views = math.min(views, 1000000)'\n"
                "  tgdata dlq list --quarantine --json | jq -r '.[].letter.reason'\n",
    .option = options,
    .size = sizeof(struct own),
    .args_min = 1,
    .args_max = 2,
    .run = run,
};
