/* SPDX-License-Identifier: MIT */
/*
 * enrich.c - fields that are reckoned from others: extracted_timestamp, word_count, has_media
 *
 * Words are what white space parts, as Unicode has it; a row without text has none. A
 * deletion has no content to reckon with. The content hash is there already: whatever makes a row
 * from an object reckons it.
 */
#include "stage/stage.h"

struct enrich {
    char unused; /* it has no settings */
};

/* @return whether white space stands there, and how many bytes the character has */
static bool is_space(const char *at, const char *end, size_t *ret_len)
{
    static const char *const wide[] = { "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80",
                                        "\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaf",
                                        "\xe2\x81\x9f", "\xe3\x80\x80" };
    uint8_t c = (uint8_t)*at;

    *ret_len = 1;
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    for (size_t i = 0; i < TG_COUNT(wide); i++) {
        size_t n = strlen(wide[i]);

        if ((size_t)(end - at) >= n && memcmp(at, wide[i], n) == 0) {
            *ret_len = n;
            return true;
        }
    }
    *ret_len = 3;
    if (end - at >= 3 && memcmp(at, "\xe2\x80", 2) == 0 && (uint8_t)at[2] <= 0x8a)
        return true; /* U+2000 to U+200A */
    *ret_len = 1;
    return false;
}

static int64_t count_words(struct tg_str text)
{
    const char *end = text.at + text.len;
    bool inside = false;
    int64_t n = 0;
    size_t len;

    for (const char *at = text.at; at < end; at += len) {
        bool space = is_space(at, end, &len);

        n += !space && !inside;
        inside = !space;
    }
    return n;
}

static tg_code enrich_run(void *self, struct tg_batch *batch, const struct tg_stage_env *env,
                          struct tg_error *err)
{
    (void)self;
    (void)err;
    for (size_t i = 0; i < batch->n; i++) {
        struct tg_row *row = &batch->row[i];

        TG_ROW_SET(row, extracted_timestamp, env->now_us / TG_SECOND_US);
        if (tg_row_changed(row) == TG_ROW_DELETED)
            continue;
        TG_ROW_SET(row, word_count,
                   row->present & TG_ROW_BIT(text) && row->text.len ? count_words(row->text) : 0);
        row->present &= ~TG_ROW_BIT(has_media);
        if (row->present & TG_ROW_BIT(media_kind))
            TG_ROW_SET(row, has_media, 1);
    }
    return TG_OK;
}

const struct tg_stage_ops tg_stage_enrich = {
    .head = { "enrich", "add extracted_timestamp, word_count and has_media", NULL,
              sizeof(struct enrich) },
    .run = enrich_run,
};
