/* SPDX-License-Identifier: MIT */
/*
 * drift.c - see drift.h
 */
#include "quality/drift.h"

#include <math.h>
#include <stdio.h>

#include "base/json.h"
#include "base/json_read.h"
#include "quality/report.h"

enum { VERSION = 1, TOP = TG_REPORT_TOP, CUTS = TG_REPORT_SHARES, CELLS = TOP + 1 };

#define NULLS_LIMIT 0.05 /* shares of rows */
#define SURE 4.5         /* standard deviations of chance */

static const char *const kind_name[] = { "nulls", "values", "lengths", "top", "distinct" };
_Static_assert(TG_COUNT(kind_name) == TG_DRIFT_KINDS, "one name per kind");

const char *tg_drift_kind_name(enum tg_drift_kind kind)
{
    return kind_name[kind];
}

/* ---- what is compared of a field ---- */

/* Ids and numbers that grow with time. */
#define GROWING                                                                                    \
    (TG_ROW_BIT(id) | TG_ROW_BIT(reply_to_id) | TG_ROW_BIT(thread_id) |                            \
     TG_ROW_BIT(forward_message_id) | TG_ROW_BIT(album_id) | TG_ROW_BIT(media_id) |                \
     TG_ROW_BIT(comment_of_id) | TG_ROW_BIT(change_seq) | TG_ROW_BIT(change_pts))
/* Numbers that name something, so that there is no more and less. */
#define NAMES                                                                                      \
    (TG_ROW_BIT(chat_id) | TG_ROW_BIT(owner) | TG_ROW_BIT(sender_id) |                             \
     TG_ROW_BIT(reply_to_chat_id) | TG_ROW_BIT(topic_id) | TG_ROW_BIT(forward_from_id) |           \
     TG_ROW_BIT(via_bot_id) | TG_ROW_BIT(comment_of_chat_id))

static bool has_numbers(size_t id)
{
    enum tg_field_type type = tg_field((enum tg_field_id)id)->type;

    return type != TG_FIELD_TIME && type != TG_FIELD_BOOL && !((GROWING | NAMES) >> id & 1);
}

static bool has_top(size_t id)
{
    return tg_field((enum tg_field_id)id)->type == TG_FIELD_STR || NAMES >> id & 1;
}

/* A field as it was before. */
struct field {
    uint64_t n, distinct;
    int64_t median;
    size_t n_cuts, n_top;
    int64_t cut[CUTS];
    uint64_t upto[CUTS]; /* how many are at most the cut */
    uint64_t hash[TOP], count[TOP];
};

struct before {
    uint64_t version, rows;
    int64_t at_s;
    struct field field[TG_FIELD_COUNT];
};

/* ---- remembering ---- */

static void put_cuts(struct tg_json *j, const struct tg_kll *k)
{
    int64_t at[CUTS];

    if (!tg_kll_quantiles(k, tg_report_share, at, CUTS))
        return;
    tg_json_key(j, "median"), tg_json_i64(j, at[CUTS / 2]);
    tg_json_key(j, "upto"), tg_json_array(j);
    for (size_t i = 0; i < CUTS; i++) {
        if (i && at[i] == at[i - 1])
            continue;
        tg_json_i64(j, at[i]);
        tg_json_u64(j, tg_kll_upto(k, at[i]));
    }
    tg_json_end_array(j);
}

static void put_top(struct tg_json *j, const struct tg_top *top)
{
    const struct tg_top_value *best[TOP + 1];
    size_t n = tg_top_best(top, best, TOP);

    tg_json_key(j, "top"), tg_json_array(j);
    for (size_t i = 0; i < n; i++) {
        tg_json_u64(j, best[i]->hash);
        tg_json_u64(j, best[i]->count);
    }
    tg_json_end_array(j);
}

void tg_drift_write(const struct tg_profile *p, int64_t now_s, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "version"), tg_json_u64(&j, VERSION);
    tg_json_key(&j, "at"), tg_json_i64(&j, now_s);
    tg_json_key(&j, "rows"), tg_json_u64(&j, p->rows);
    tg_json_key(&j, "fields"), tg_json_object(&j);
    for (size_t i = 0; i < TG_FIELD_COUNT; i++) {
        const struct tg_profile_field *f = p->field[i];

        if (!f)
            continue;
        tg_json_key(&j, tg_field((enum tg_field_id)i)->name), tg_json_object(&j);
        tg_json_key(&j, "n"), tg_json_u64(&j, f->n);
        tg_json_key(&j, "distinct"), tg_json_u64(&j, tg_report_distinct(f));
        if (has_numbers(i))
            put_cuts(&j, &f->numbers);
        if (has_top(i))
            put_top(&j, &f->top);
        tg_json_end_object(&j);
    }
    tg_json_end_object(&j);
    tg_json_end_object(&j);
}

static void take_cuts(struct tg_json_in *in, struct field *f)
{
    for (tg_json_enter(in, '['); tg_json_next_item(in);) {
        int64_t cut = tg_json_take_i64(in);
        uint64_t n = tg_json_next_item(in) ? tg_json_take_u64(in) : 0;

        if (f->n_cuts == CUTS)
            continue;
        f->cut[f->n_cuts] = cut;
        f->upto[f->n_cuts++] = n;
    }
}

static void take_top(struct tg_json_in *in, struct field *f)
{
    for (tg_json_enter(in, '['); tg_json_next_item(in);) {
        uint64_t hash = tg_json_take_u64(in);
        uint64_t n = tg_json_next_item(in) ? tg_json_take_u64(in) : 0;

        if (f->n_top == TOP)
            continue;
        f->hash[f->n_top] = hash;
        f->count[f->n_top++] = n;
    }
}

static void take_field(struct tg_json_in *in, struct field *f)
{
    struct tg_str name;

    for (tg_json_enter(in, '{'); tg_json_next_key(in, &name);) {
        if (tg_str_eq(name, TG_STR("n")))
            f->n = tg_json_take_u64(in);
        else if (tg_str_eq(name, TG_STR("distinct")))
            f->distinct = tg_json_take_u64(in);
        else if (tg_str_eq(name, TG_STR("median")))
            f->median = tg_json_take_i64(in);
        else if (tg_str_eq(name, TG_STR("upto")))
            take_cuts(in, f);
        else if (tg_str_eq(name, TG_STR("top")))
            take_top(in, f);
        else
            tg_json_skip(in);
    }
}

static bool take(const struct tg_buf *bytes, struct before *ret)
{
    struct tg_json_in in;
    struct tg_str name;

    *ret = (struct before){ .rows = 0 };
    tg_json_in_init(&in, (const char *)bytes->data, bytes->len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &name);) {
        if (tg_str_eq(name, TG_STR("version")))
            ret->version = tg_json_take_u64(&in);
        else if (tg_str_eq(name, TG_STR("at")))
            ret->at_s = tg_json_take_i64(&in);
        else if (tg_str_eq(name, TG_STR("rows")))
            ret->rows = tg_json_take_u64(&in);
        else if (!tg_str_eq(name, TG_STR("fields")))
            tg_json_skip(&in);
        else
            for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &name);) {
                int id = tg_field_find(name);

                if (id < 0)
                    tg_json_skip(&in);
                else
                    take_field(&in, &ret->field[id]);
            }
    }
    return tg_json_in_done(&in) && ret->version == VERSION;
}

/* ---- comparing ---- */

struct cells {
    double before[CELLS], now[CELLS]; /* counts */
    size_t n;
};

struct sides {
    double before, now; /* how many values there are */
};

/* What chance makes of two samples of one source: a quantile of chi square (Wilson, Hilferty). */
static double chance(size_t n_cells, const struct sides *n)
{
    double k = (double)n_cells - 1, spread = 2 / (9 * k), root = 1 - spread + SURE * sqrt(spread);

    return k * root * root * root * (1 / n->before + 1 / n->now);
}

/* @return the index; *ret_limit grows to what chance makes */
static double psi(const struct cells *c, const struct sides *n, double *ret_limit)
{
    double sum = 0;
    size_t used = 0;

    for (size_t i = 0; i < c->n; i++) {
        double before = fmax(c->before[i], 0.5) / n->before, now = fmax(c->now[i], 0.5) / n->now;

        if (c->before[i] <= 0 && c->now[i] <= 0)
            continue;
        sum += (now - before) * log(now / before);
        used++;
    }
    *ret_limit = used > 1 ? fmax(*ret_limit, chance(used, n)) : INFINITY;
    return sum;
}

static void tell(struct tg_quality_result *q, size_t id, const struct tg_drift *d)
{
    struct tg_drift *to = &q->drift[q->n_drifts];

    if (!(d->score > d->limit) || q->n_drifts == TG_DRIFTS_MAX)
        return;
    *to = *d;
    snprintf(to->field, sizeof to->field, "%s", tg_field((enum tg_field_id)id)->name);
    q->n_drifts++;
}

static void compare_nulls(const struct before *b, const struct tg_profile *p, size_t id,
                          struct tg_quality_result *q)
{
    const struct sides n = { (double)b->rows, (double)p->rows };
    double had = (double)b->field[id].n / n.before;
    double has = p->field[id] ? (double)p->field[id]->n / n.now : 0;
    double all = (had * n.before + has * n.now) / (n.before + n.now);
    double error = sqrt(all * (1 - all) * (1 / n.before + 1 / n.now));

    tell(q, id, &(struct tg_drift){ .kind = TG_DRIFT_NULLS, .before = 1 - had, .now = 1 - has,
                                    .score = fabs(has - had),
                                    .limit = fmax(NULLS_LIMIT, SURE * error) });
}

static void compare_numbers(const struct field *was, const struct tg_profile_field *f, size_t id,
                            double limit, struct tg_quality_result *q)
{
    const struct sides n = { (double)was->n, (double)f->n };
    enum tg_field_type type = tg_field((enum tg_field_id)id)->type;
    bool text = type == TG_FIELD_STR || type == TG_FIELD_JSON;
    struct tg_drift d = { .kind = text ? TG_DRIFT_LENGTHS : TG_DRIFT_VALUES, .limit = limit,
                          .before = (double)was->median };
    uint64_t before = 0, now = 0;
    const double half = 0.5;
    struct cells c = { .n = 0 };
    int64_t median = 0;

    for (size_t i = 0; i < was->n_cuts; i++) {
        uint64_t upto = tg_kll_upto(&f->numbers, was->cut[i]);

        c.before[c.n] = (double)was->upto[i] - (double)before;
        c.now[c.n++] = (double)upto - (double)now;
        before = was->upto[i];
        now = upto;
    }
    c.before[c.n] = n.before - (double)before;
    c.now[c.n++] = n.now - (double)now;
    if (tg_kll_quantiles(&f->numbers, &half, &median, 1))
        d.now = (double)median;
    d.score = psi(&c, &n, &d.limit);
    tell(q, id, &d);
}

static double count_of(const struct tg_top *top, uint64_t hash)
{
    for (size_t i = 0; i < top->n; i++)
        if (top->value[i].hash == hash)
            return (double)top->value[i].count;
    return 0;
}

static void compare_top(const struct field *was, const struct tg_profile_field *f, size_t id,
                        double limit, struct tg_quality_result *q)
{
    const struct sides n = { (double)was->n, (double)f->n };
    struct tg_drift d = { .kind = TG_DRIFT_TOP, .limit = limit };
    double before = 0, now = 0;
    struct cells c = { .n = 0 };

    for (size_t i = 0; i < was->n_top; i++) {
        c.before[c.n] = (double)was->count[i];
        c.now[c.n] = count_of(&f->top, was->hash[i]);
        before += c.before[c.n];
        now += c.now[c.n++];
    }
    if (before < n.before / 2)
        return;
    d.before = before / n.before;
    d.now = now / n.now;
    c.before[c.n] = n.before - before;
    c.now[c.n++] = n.now - now;
    d.score = psi(&c, &n, &d.limit);
    tell(q, id, &d);
}

/* From nearly all to less than half, or the other way round. */
static void compare_distinct(const struct field *was, const struct tg_profile_field *f, size_t id,
                             struct tg_quality_result *q)
{
    double before = (double)was->distinct / (double)was->n;
    double now = (double)tg_report_distinct(f) / (double)f->n;
    bool turned = fmax(before, now) >= 0.9 && fmin(before, now) < 0.5;

    tell(q, id, &(struct tg_drift){ .kind = TG_DRIFT_DISTINCT, .before = before, .now = now,
                                    .score = turned ? fabs(now - before) : 0, .limit = 0.4 });
}

tg_code tg_drift_compare(const struct tg_buf *bytes, const struct tg_profile *p, double limit,
                         struct tg_quality_result *q, struct tg_error *err)
{
    struct before b;

    if (!take(bytes, &b))
        return tg_fail(err, TG_CORRUPT, "the profile of the last run is damaged");
    if (b.rows < TG_DRIFT_ROWS || p->rows < TG_DRIFT_ROWS)
        return TG_OK;
    q->drift_rows = b.rows;
    q->drift_at_s = b.at_s;
    for (size_t id = 0; id < TG_FIELD_COUNT; id++) {
        const struct tg_profile_field *f = p->field[id];
        const struct field *was = &b.field[id];

        compare_nulls(&b, p, id, q);
        if (!f || f->n < TG_DRIFT_ROWS || was->n < TG_DRIFT_ROWS)
            continue;
        if (has_numbers(id) && was->n_cuts)
            compare_numbers(was, f, id, limit, q);
        if (has_top(id))
            compare_top(was, f, id, limit, q);
        if (!(GROWING >> id & 1) && tg_field((enum tg_field_id)id)->type != TG_FIELD_TIME)
            compare_distinct(was, f, id, q);
    }
    return TG_OK;
}
