/* SPDX-License-Identifier: MIT */
/*
 * fields.c - which fields go on: `fields?keep=date,text` or `fields?drop=raw`
 *
 * What tells a row from others stays in any case: chat_id, id, owner, and the change that it is.
 */
#include "stage/stage.h"

struct fields {
    const char *keep, *drop; /* options */
    uint64_t mask;           /* of those that go on */
};

static tg_code mask_of(const char *list, uint64_t *ret, struct tg_error *err)
{
    struct tg_str word;

    *ret = 0;
    while ((word = tg_stage_word(&list)).at) {
        int id = tg_field_find(word);

        if (id < 0) {
            tg_fail(err, TG_USAGE, "fields: there is no field '%.*s'", (int)TG_MIN(word.len, 60u),
                    word.at);
            return tg_hint(err, "tgdata schema lists them");
        }
        *ret |= UINT64_C(1) << id;
    }
    return TG_OK;
}

static tg_code fields_open(void *self, struct tg_error *err)
{
    struct fields *f = self;
    tg_code code;

    if (!f->keep == !f->drop) {
        tg_fail(err, TG_USAGE, "fields: %s", f->keep ? "`keep` and `drop` exclude each other"
                                                     : "neither `keep` nor `drop` is given");
        return tg_hint(err, "write fields?keep=NAME,... or fields?drop=NAME,...");
    }
    code = mask_of(f->keep ? f->keep : f->drop, &f->mask, err);
    f->mask = (f->keep ? f->mask : ~f->mask) | TG_ROW_KEY;
    return code;
}

static tg_code fields_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                          struct tg_error *err)
{
    const struct fields *f = self;

    (void)env;
    (void)err;
    for (size_t i = 0; i < batch->n; i++)
        batch->row[i].present &= f->mask;
    return TG_OK;
}

static const struct tg_option fields_option[] = {
    { .name = "keep",
      .type = TG_OPT_STR,
      .offset = offsetof(struct fields, keep),
      .help = "the fields that go on, separated by commas" },
    { .name = "drop",
      .type = TG_OPT_STR,
      .offset = offsetof(struct fields, drop),
      .help = "those that do not" },
    { 0 },
};

const struct tg_stage_ops tg_stage_fields = {
    .head = { "fields", "keep or drop fields", fields_option, sizeof(struct fields) },
    .open = fields_open,
    .run = fields_run,
};
