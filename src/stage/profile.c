/* SPDX-License-Identifier: MIT */
/*
 * profile.c - what the values of each field are like, told at the end of the run:
 * `profile?to=profile.json&html=profile.html&expectations=validation.json`
 *
 * Rows pass unchanged. It sees them as they are where it stands among the stages. What is told is
 * also compared with what the job's run before was like.
 */
#include "quality/profile.h"

#include "quality/drift.h"
#include "quality/report.h"
#include "stage/stage.h"

enum { REPORT_MAX = 16 << 20 };

struct profile {
    const char *to, *html, *expectations; /* options */
    int64_t drift; /* hundredths */
    struct tg_profile found;
};

static tg_code profile_open(void *self, struct tg_error *err)
{
    const struct profile *p = self;

    if (p->to || p->html || p->expectations)
        return TG_OK;
    tg_fail(err, TG_USAGE, "profile: no file is named");
    return tg_hint(err, "write profile?to=FILE.json, html=FILE.html, expectations=FILE.json");
}

static void profile_close(void *self)
{
    tg_profile_done(&((struct profile *)self)->found);
}

static tg_code profile_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                           struct tg_error *err)
{
    struct profile *p = self;

    (void)env;
    for (size_t i = 0; i < batch->n; i++)
        tg_profile_add(&p->found, &batch->row[i]);
    if (p->found.failed)
        return tg_fail(err, TG_NOMEM, "no memory for a profile");
    return TG_OK;
}

static void profile_merge(void *self, const void *other)
{
    tg_profile_merge(&((struct profile *)self)->found, &((const struct profile *)other)->found);
}

/* A damaged memory of the last run is as none. */
static tg_code compare(const struct profile *p, const struct tg_stage_end *end,
                       struct tg_error *err)
{
    struct tg_error ignored;
    struct tg_buf bytes;
    tg_code code;

    if (!p->drift || p->found.rows < TG_DRIFT_ROWS)
        return TG_OK;
    tg_buf_init(&bytes, TG_DRIFT_BYTES);
    code = end->recall(end->ctx, &bytes, err);
    if (code == TG_OK &&
        tg_drift_compare(&bytes, &p->found, (double)p->drift / 100, end->quality, &ignored) !=
            TG_OK)
        code = TG_END;
    if ((code == TG_OK || code == TG_END) && end->whole) {
        tg_buf_clear(&bytes);
        tg_drift_write(&p->found, end->now_us / TG_SECOND_US, &bytes);
        code = bytes.failed ? tg_fail(err, TG_NOMEM, "no memory for a profile")
                            : end->remember(end->ctx, &bytes, err);
    }
    tg_buf_done(&bytes);
    return code == TG_END ? TG_OK : code;
}

static tg_code profile_finish(void *self, const struct tg_stage_end *end, struct tg_error *err)
{
    const struct profile *p = self;
    const struct tg_report report = { end->job, end->now_us, &p->found, end->quality };
    const struct {
        const char *path;
        void (*put)(const struct tg_report *r, struct tg_buf *out);
    } row[] = {
        { p->to, tg_report_json },
        { p->html, tg_report_html },
        { p->expectations, tg_report_expectations },
    };
    tg_code code = compare(p, end, err);

    for (size_t i = 0; code == TG_OK && i < TG_COUNT(row); i++) {
        struct tg_buf out;

        if (!row[i].path)
            continue;
        tg_buf_init(&out, REPORT_MAX);
        row[i].put(&report, &out);
        code = out.failed ? tg_fail(err, TG_NOMEM, "no memory for a report")
                          : end->write(end->ctx, row[i].path, &out, err);
        tg_buf_done(&out);
    }
    return code;
}

#define OPT(member, help_)                                                                         \
    { .name = #member, .type = TG_OPT_STR, .offset = offsetof(struct profile, member),             \
      .value = "FILE", .help = help_ }

static const struct tg_option profile_option[] = {
    OPT(to, "where the profile goes, as JSON"),
    OPT(html, "where a page with charts goes: the profile, and what rules found"),
    OPT(expectations, "where what rules found goes, in the form of Great Expectations"),
    { .name = "drift",
      .type = TG_OPT_I64,
      .offset = offsetof(struct profile, drift),
      .fallback = "20",
      .max = 10000,
      .value = "SCORE",
      .help = "what is other than in the job's run before is told from this score on, in "
              "hundredths; 0: it is not compared" },
    { 0 },
};

const struct tg_stage_ops tg_stage_profile = {
    .head = { "profile", "tell what the values of each field are like", profile_option,
              sizeof(struct profile) },
    .looks = true,
    .open = profile_open,
    .close = profile_close,
    .run = profile_run,
    .merge = profile_merge,
    .finish = profile_finish,
};
