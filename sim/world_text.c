/* SPDX-License-Identifier: MIT */
/*
 * world_text.c - draws a message's text and where its formatting stands
 *
 * Words are appended one by one, and where a span begins or ends, the units of UTF-16 up to there
 * are counted, since entities go by them. Some spans wrap the next words (bold, a link with
 * its own address), others are a word of their own kind (a URL, a mention, a hashtag).
 *
 * Threads: none      Limits: SIM_TEXT_MAX units, SIM_SPANS_MAX spans
 */
#include <assert.h>
#include <stdio.h>

#include "sim/world_int.h"

enum { ROOM = SIM_TEXT_MAX * 3 + 512 }; /* one unit is at most 3 bytes; two units at most 4 */

struct draft {
    struct sim_rng *rng;
    const struct sim_words *words;
    uint32_t len;
    uint32_t units, counted; /* units of the first `counted` bytes */
    uint32_t sentence; /* words left in this sentence */
    uint32_t gap;      /* drawn along with the last word: what follows it */
    char text[ROOM];
};

static void add(struct draft *d, const char *at, size_t n)
{
    assert(d->len + n <= ROOM);
    memcpy(d->text + d->len, at, n);
    d->len += (uint32_t)n;
}

/* Units so far. Counted in long stretches, only where a span begins or ends. */
static uint32_t units(struct draft *d)
{
    d->units += tg_utf16_len(d->text + d->counted, d->len - d->counted);
    d->counted = d->len;
    return d->units;
}

static void add_cstr(struct draft *d, const char *s)
{
    add(d, s, strlen(s));
}

static void add_word(struct draft *d)
{
    uint64_t x = sim_next(d->rng);
    const struct tg_str *w = &d->words->word[(x >> 32) * d->words->n >> 32];
    char first = w->at[0];

    d->gap = x & 1023;
    if (d->sentence == 0) {
        d->sentence = 4 + sim_below(d->rng, 12);
        if (first >= 'a' && first <= 'z') {
            add(d, w->at, w->len);
            d->text[d->len - w->len] = (char)(first - 'a' + 'A');
            return;
        }
    }
    add(d, w->at, w->len);
}

/* What stands between two words. Rarely something that a writer of files must escape. */
static void add_gap(struct draft *d)
{
    static const char *const odd[] = { "\n", "\n\n", " \"", "\\", "\t", " \x01 ",
                                       " </b> ", " 'a','b'; ", "\xe2\x80\xa8", "\x7f",
                                       "\r\n", "\xef\xbb\xbf" };
    uint32_t x = d->gap;

    if (--d->sentence == 0)
        add_cstr(d, d->words->stop);
    else if (x < 70)
        add_cstr(d, d->words->comma);
    else if (x < 82)
        add_cstr(d, odd[x - 70 > 7 ? sim_below(d->rng, TG_COUNT(odd)) : 0]);
    else if (x < 100) {
        const struct tg_str *e = &sim_emoji[sim_below(d->rng, sim_n_emoji)];

        add_cstr(d, d->words->space);
        add(d, e->at, e->len);
        add_cstr(d, d->words->space);
    } else
        add_cstr(d, d->words->space);
}

static void add_special(struct draft *d, enum sim_span_kind kind)
{
    uint32_t x = sim_below(d->rng, 100000);
    const struct tg_str *w = &sim_words[SIM_ENGLISH].word[x % sim_words[SIM_ENGLISH].n];
    char text[96];
    int n = 0;

    switch (kind) {
    case SIM_URL:
        n = snprintf(text, sizeof text, "https://news.example.com/%.*s/%u?id=%u", (int)w->len,
                     w->at, 2000 + x % 27, x);
        break;
    case SIM_MENTION:
        n = snprintf(text, sizeof text, "@sim_user_%u", x % SIM_POOL);
        break;
    case SIM_HASHTAG:
        n = snprintf(text, sizeof text, "#%.*s",
                     (int)d->words->word[x % d->words->n].len, d->words->word[x % d->words->n].at);
        break;
    case SIM_CASHTAG:
        n = snprintf(text, sizeof text, "$%c%cT", 'A' + (int)(x % 26), 'A' + (int)(x / 26 % 26));
        break;
    case SIM_EMAIL:
        n = snprintf(text, sizeof text, "user%u@example.org", x);
        break;
    case SIM_PHONE:
        n = snprintf(text, sizeof text, "+99966%05u", x);
        break;
    case SIM_COMMAND:
        n = snprintf(text, sizeof text, "/start%u", x % 10);
        break;
    default: /* SIM_CUSTOM_EMOJI */
        w = &sim_emoji[x % sim_n_emoji];
        add(d, w->at, w->len);
        return;
    }
    assert(n > 0 && (size_t)n < sizeof text);
    add(d, text, (size_t)n);
}

static enum sim_span_kind draw_kind(struct draft *d)
{
    /* Links, bold and mentions are most of what people write. */
    static const uint8_t share[SIM_SPAN_KINDS] = {
        [SIM_BOLD] = 22, [SIM_ITALIC] = 8, [SIM_UNDERLINE] = 2, [SIM_STRIKE] = 2,
        [SIM_SPOILER] = 2, [SIM_CODE] = 5, [SIM_PRE] = 2, [SIM_BLOCKQUOTE] = 3,
        [SIM_TEXT_URL] = 15, [SIM_CUSTOM_EMOJI] = 5, [SIM_URL] = 10,
        [SIM_MENTION] = 10, [SIM_HASHTAG] = 9, [SIM_CASHTAG] = 1, [SIM_EMAIL] = 1,
        [SIM_PHONE] = 1, [SIM_COMMAND] = 2,
    };
    uint32_t x = sim_below(d->rng, 100), k = 0;

    while (x >= share[k])
        x -= share[k++];
    return (enum sim_span_kind)k;
}

/* One span and its text; bold sometimes lies inside italic, over the same words. */
static void add_span(struct draft *d, struct sim_said *said, const struct sim_say *say)
{
    enum sim_span_kind kind =
        say->mention && said->n_spans == 0 ? SIM_MENTION_NAME : draw_kind(d);
    struct sim_span *span = &said->span[said->n_spans++];

    *span = (struct sim_span){ .kind = kind, .at = units(d) };
    if (kind >= SIM_CUSTOM_EMOJI) {
        add_special(d, kind);
        if (d->sentence == 0)
            d->sentence = 4;
    } else {
        uint32_t n = 1 + sim_below(d->rng, 3);

        for (uint32_t i = 0; i < n; i++) {
            if (i)
                add_cstr(d, d->words->space);
            add_word(d);
        }
    }
    span->len = units(d) - span->at;
    if (kind == SIM_BOLD && said->n_spans < say->n_spans && sim_chance(d->rng, 150)) {
        said->span[said->n_spans] = *span;
        said->span[said->n_spans++].kind = SIM_ITALIC;
    }
}

bool sim_text_make(struct sim_rng *r, const struct sim_say *say, struct tg_arena *arena,
                   struct sim_said *ret)
{
    /* The length is steered by bytes; a little less than what a unit takes, so that it stays within
     * the bounds. The last word may reach beyond. */
    uint32_t enough = TG_MIN(say->units, SIM_TEXT_MAX - 128) * sim_words[say->script].bytes_8 / 8;
    uint32_t step = enough / (say->n_spans + 1), next = step / 2;
    struct draft d;
    char *copy;

    assert(say->n_spans <= SIM_SPANS_MAX && say->units <= SIM_TEXT_MAX);
    d.rng = r;
    d.words = &sim_words[say->script];
    d.len = d.units = d.counted = d.sentence = d.gap = 0;
    ret->n_spans = 0;
    for (;;) {
        if (ret->n_spans < say->n_spans && d.len >= next) {
            add_span(&d, ret, say);
            next += step;
        } else {
            add_word(&d);
        }
        if (d.len + 8 >= enough)
            break;
        add_gap(&d);
    }
    if (say->units == SIM_TEXT_MAX) /* the longest text there is, to the unit */
        for (uint32_t i = units(&d); i < SIM_TEXT_MAX; i++)
            add(&d, ".", 1);
    copy = tg_arena_bytes(arena, d.len);
    if (!copy)
        return false;
    memcpy(copy, d.text, d.len);
    ret->text = (struct tg_str){ copy, d.len };
    return true;
}
