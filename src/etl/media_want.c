/* SPDX-License-Identifier: MIT */
/*
 * media_want.c - see media_want.h
 */
#include "etl/media_want.h"

#include <assert.h>

enum { EXT_MAX = 8 };
#define SIZE_MOST (INT64_C(1) << 40)

static const char *const kind_table[] = {
    "photo",       "video",     "document",     "audio", "voice", "sticker",
    "round_video", "animation", "custom_emoji",
};

static const struct {
    const char *mime, *ext;
} ext_table[] = {
    { "image/jpeg", "jpg" },       { "image/png", "png" },       { "image/webp", "webp" },
    { "image/gif", "gif" },        { "video/mp4", "mp4" },       { "video/webm", "webm" },
    { "video/quicktime", "mov" },  { "audio/ogg", "ogg" },       { "audio/mpeg", "mp3" },
    { "audio/mp4", "m4a" },        { "application/pdf", "pdf" }, { "text/plain", "txt" },
    { "text/csv", "csv" },         { "application/zip", "zip" }, { "application/json", "json" },
    { "application/x-tgsticker", "tgs" },
};

/* @return its number; TG_COUNT(kind_table): there is none */
static size_t kind_of(struct tg_str name)
{
    size_t i = 0;

    while (i < TG_COUNT(kind_table) && !tg_str_eq(name, tg_str_of(kind_table[i])))
        i++;
    return i;
}

tg_code tg_media_want_of(const struct tg_extract_settings *set, struct tg_media_want *ret,
                         struct tg_error *err)
{
    const char *at = set->media_types;

    *ret = (struct tg_media_want){ .size_max = set->media_max_size };
    if (!at)
        ret->kinds = UINT32_MAX;
    while (at) {
        size_t n = strcspn(at, ",");
        size_t kind = kind_of((struct tg_str){ at, (uint32_t)n });

        if (kind == TG_COUNT(kind_table)) {
            tg_fail(err, TG_USAGE, "--media-types: there is no kind '%.*s'",
                    (int)TG_MIN(n, (size_t)64), at);
            return tg_hint(err, "kinds are photo, video, document, audio, voice, sticker, "
                                "round_video, animation and custom_emoji, separated by commas");
        }
        ret->kinds |= 1u << kind;
        at = at[n] ? at + n + 1 : NULL;
    }
    return TG_OK;
}

bool tg_media_wanted(const struct tg_media_want *want, const struct tg_row *row)
{
    size_t kind = row->present & TG_ROW_BIT(media_kind) ? kind_of(row->media_kind)
                                                        : TG_COUNT(kind_table);

    return kind < TG_COUNT(kind_table) && want->kinds >> kind & 1;
}

bool tg_media_may(const struct tg_media_want *want, const struct tg_row_file *file,
                  struct tg_error *why)
{
    if (file->size < 0 || file->size > SIZE_MOST)
        tg_fail(why, TG_DATA, "no file has %lld bytes", (long long)file->size);
    else if (want->size_max && file->size > want->size_max)
        tg_fail(why, TG_LIMIT, "larger than --media-max-size");
    else if (!file->reference.len)
        tg_fail(why, TG_DATA, "the message does not tell where the file is");
    else
        return true;
    return false;
}

void tg_media_ext(const struct tg_row *row, char ret[TG_MEDIA_EXT])
{
    struct tg_str name = row->present & TG_ROW_BIT(media_name) ? row->media_name : TG_STR("");
    struct tg_str mime = row->present & TG_ROW_BIT(media_mime) ? row->media_mime : TG_STR("");
    size_t n = 0;

    memset(ret, 0, TG_MEDIA_EXT);
    if (tg_str_eq(row->media_kind, TG_STR("photo")))
        mime = TG_STR("image/jpeg"); /* so are all photos */
    while (n < name.len && n <= EXT_MAX && name.at[name.len - 1 - n] != '.')
        n++;
    if (n > 0 && n <= EXT_MAX && n < name.len) {
        for (size_t i = 0; i < n; i++) {
            char c = name.at[name.len - n + i];

            ret[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
            if (!((ret[i] >= 'a' && ret[i] <= 'z') || (ret[i] >= '0' && ret[i] <= '9'))) {
                memset(ret, 0, TG_MEDIA_EXT);
                break;
            }
        }
    }
    for (size_t i = 0; !ret[0] && i < TG_COUNT(ext_table); i++)
        if (tg_str_eq(mime, tg_str_of(ext_table[i].mime)))
            memcpy(ret, ext_table[i].ext, strlen(ext_table[i].ext));
}
