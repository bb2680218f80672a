/* SPDX-License-Identifier: MIT */
/*
 * filter.c - rows that meet every condition stay: `filter?since=2024-01-01&media=photo,video`
 *
 * A condition that is not given is met by every row. With `not` those rows stay that do not meet
 * all of them. Deletions always stay: they have nothing that could be judged.
 */
#include "stage/stage.h"

enum { SENDERS_MAX = 256 };

struct filter {
    int64_t since, until, min_id, max_id; /* options */
    const char *kind, *media, *sender, *text;
    bool not;
    int64_t sender_id[SENDERS_MAX];
    size_t n_senders;
};

static tg_code filter_open(void *self, struct tg_error *err)
{
    struct filter *f = self;
    const char *list = f->kind;
    struct tg_str word;

    if (f->since && f->until && f->since >= f->until)
        return tg_fail(err, TG_USAGE, "filter: no message is sent at or after `since` and before "
                                      "`until`: since is not before until");
    if (f->max_id && f->min_id > f->max_id)
        return tg_fail(err, TG_USAGE, "filter: no id is at least %lld and at most %lld",
                       (long long)f->min_id, (long long)f->max_id);
    while ((word = tg_stage_word(&list)).at) {
        if (tg_str_eq(word, TG_STR("message")) || tg_str_eq(word, TG_STR("service")))
            continue;
        tg_fail(err, TG_USAGE, "filter: there is no kind '%.*s' of rows",
                (int)TG_MIN(word.len, 60u), word.at);
        return tg_hint(err, "kinds are message and service; those of media go with media=");
    }
    list = f->sender;
    while ((word = tg_stage_word(&list)).at) {
        if (f->n_senders == SENDERS_MAX)
            return tg_fail(err, TG_USAGE, "filter: more than %d senders", SENDERS_MAX);
        if (!tg_str_i64(word, &f->sender_id[f->n_senders++])) {
            tg_fail(err, TG_USAGE, "filter: '%.*s' is no id of a sender",
                    (int)TG_MIN(word.len, 60u), word.at);
            return tg_hint(err, "give marked ids as the field sender_id has them, separated by "
                                "commas");
        }
    }
    return TG_OK;
}

static bool in_list(const char *list, struct tg_str value)
{
    struct tg_str word;

    while ((word = tg_stage_word(&list)).at)
        if (tg_str_eq(word, value))
            return true;
    return false;
}

/* `any` and `none` are no kinds of media. */
static bool has_media(const struct filter *f, const struct tg_row *row)
{
    bool media = row->present & TG_ROW_BIT(media_kind);

    if (!media)
        return in_list(f->media, TG_STR("none"));
    return in_list(f->media, TG_STR("any")) || in_list(f->media, row->media_kind);
}

static bool has_sender(const struct filter *f, const struct tg_row *row)
{
    for (size_t i = 0; i < f->n_senders; i++)
        if (row->present & TG_ROW_BIT(sender_id) && row->sender_id == f->sender_id[i])
            return true;
    return false;
}

static bool has_text(const struct filter *f, const struct tg_row *row)
{
    return row->text.len && memmem(row->text.at, row->text.len, f->text, strlen(f->text));
}

static bool meets_all(const struct filter *f, const struct tg_row *row)
{
    return (!f->since || row->date >= f->since) && (!f->until || row->date < f->until) &&
           (!f->min_id || row->id >= f->min_id) && (!f->max_id || row->id <= f->max_id) &&
           (!f->kind || in_list(f->kind, row->kind)) && (!f->media || has_media(f, row)) &&
           (!f->sender || has_sender(f, row)) && (!f->text || has_text(f, row));
}

static bool stays(const void *self, const struct tg_row *row)
{
    const struct filter *f = self;

    return meets_all(f, row) != f->not || tg_row_changed(row) == TG_ROW_DELETED;
}

static tg_code filter_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                          struct tg_error *err)
{
    (void)err;
    tg_stage_keep(batch, env, stays, self);
    return TG_OK;
}

#define OPT(member, name_, type_, max_, help_)                                                     \
    {                                                                                              \
        .name = name_, .type = TG_OPT_##type_, .offset = offsetof(struct filter, member),          \
        .max = max_, .help = help_                                                                 \
    }

static const struct tg_option filter_option[] = {
    OPT(since, "since", TIME, INT32_MAX, "sent at or after that time"),
    OPT(until, "until", TIME, INT32_MAX, "sent before that time"),
    OPT(min_id, "min-id", I64, INT32_MAX, "ids from this one on"),
    OPT(max_id, "max-id", I64, INT32_MAX, "ids up to this one"),
    OPT(kind, "kind", STR, 0, "kinds of rows: message, service"),
    OPT(media, "media", STR, 0, "kinds of media (field media_kind), or any, or none"),
    OPT(sender, "sender", STR, 0, "marked ids of senders, separated by commas"),
    OPT(text, "text", STR, 0, "a piece of the text, as it is written there"),
    OPT(not, "not", BOOL, 0, "keep the rows that do not meet all of that"),
    { 0 },
};

const struct tg_stage_ops tg_stage_filter = {
    .head = { "filter", "keep the rows that meet conditions", filter_option,
              sizeof(struct filter) },
    .open = filter_open,
    .run = filter_run,
};
