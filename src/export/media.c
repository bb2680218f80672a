/* SPDX-License-Identifier: MIT */
/*
 * media.c - media of an exported message: kinds and forms as rows.h says
 */
#include "base/json.h"
#include "export/rows.h"

enum { MEDIA_MAX = 4 << 20 };

/* ---- numbers ---- */

static void fill_sides(struct tg_export_fill *f)
{
    int64_t w = tg_export_num(f->message, "width", 0), h = tg_export_num(f->message, "height", 0);

    if (w <= 0 || h <= 0 || w > INT32_MAX || h > INT32_MAX)
        return;
    TG_ROW_SET(f->row, media_width, w);
    TG_ROW_SET(f->row, media_height, h);
}

static void fill_size(struct tg_export_fill *f, const char *key)
{
    int64_t size = tg_export_num(f->message, key, -1);

    if (size >= 0)
        TG_ROW_SET(f->row, media_size, size);
}

static void put_text(struct tg_json *j, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    tg_json_key(j, key);
    tg_json_cstr(j, text);
}

/* Members of another name in the export. */
static void put_member(struct tg_json *j, const char *key, const json_t *o, const char *member)
{
    put_text(j, key, tg_export_str(o, member));
}

static void put_num(struct tg_json *j, const char *key, const json_t *o, const char *member)
{
    int64_t n = tg_export_num(o, member, 0);

    if (n <= 0 || n > INT32_MAX)
        return;
    tg_json_key(j, key);
    tg_json_i64(j, n);
}

static void put_flag(struct tg_json *j, const char *key, const json_t *o, const char *member)
{
    if (!json_is_true(json_object_get(o, member)))
        return;
    tg_json_key(j, key);
    tg_json_bool(j, true);
}

/* ---- files ---- */

static const struct {
    const char *type, *kind;
} file_kinds[] = {
    { "video_file", "video" },     { "video_message", "round_video" }, { "animation", "animation" },
    { "voice_message", "voice" },  { "audio_file", "audio" },          { "sticker", "sticker" },
};

/* The name that the file was sent with; older exports tell it only as that of their own copy. */
static const char *file_name(const struct tg_export_fill *f, bool plain)
{
    const char *name = tg_export_str(f->message, "file_name");
    const char *path = tg_export_str(f->message, "file"), *slash;

    if (name || !plain || !path || *path == '(') /* "(File not included. ...)" */
        return name;
    slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void fill_file(struct tg_export_fill *f, const char *type, struct tg_json *j)
{
    const json_t *m = f->message;
    int64_t duration = tg_export_num(m, "duration_seconds", -1);
    const char *kind = "document";

    for (size_t i = 0; type && i < TG_COUNT(file_kinds); i++)
        if (strcmp(file_kinds[i].type, type) == 0)
            kind = file_kinds[i].kind;
    TG_EXPORT_SET(f, media_kind, kind);
    TG_EXPORT_SET(f, media_mime, tg_export_str(m, "mime_type"));
    TG_EXPORT_SET(f, media_name, file_name(f, !type));
    fill_size(f, "file_size");
    fill_sides(f);
    if (duration >= 0 && duration <= INT32_MAX)
        TG_ROW_SET(f->row, media_duration, duration);
    put_member(j, "title", m, "title");
    put_member(j, "performer", m, "performer");
    put_member(j, "emoji", m, "sticker_emoji");
}

/* ---- all other ---- */

static void put_contact(struct tg_json *j, const json_t *info)
{
    static const char *const member[] = { "phone_number", "first_name", "last_name" };

    for (size_t i = 0; i < TG_COUNT(member); i++)
        put_member(j, member[i], info, member[i]);
}

static void put_degrees(struct tg_json *j, const char *key, const json_t *v, double most)
{
    double x = json_is_number(v) ? json_number_value(v) : most + 1;

    if (!(x >= -most && x <= most))
        return;
    tg_json_key(j, key);
    tg_json_double(j, x);
}

/* @return the kind of place */
static const char *put_place(struct tg_json *j, const json_t *m, const json_t *info)
{
    bool venue = tg_export_str(m, "place_name");
    bool live = !venue && json_object_get(m, "live_location_period_seconds");

    put_degrees(j, "lat", json_object_get(info, "latitude"), 90);
    put_degrees(j, "long", json_object_get(info, "longitude"), 180);
    if (live)
        put_num(j, "period", m, "live_location_period_seconds");
    if (venue) {
        put_member(j, "title", m, "place_name");
        put_member(j, "address", m, "address");
    }
    return venue ? "venue" : live ? "geo_live" : "geo";
}

/* Newer exports have a list of pieces where older ones have a string. */
static void add_text(void *ctx, const char *text, size_t len, const json_t *piece)
{
    (void)piece;
    tg_buf_add(ctx, text, len);
}

static void put_wording(struct tg_json *j, const json_t *o, const char *member)
{
    const json_t *v = json_object_get(o, member);
    json_t *as_text = json_pack("{s:O}", "text", v ? (json_t *)(uintptr_t)v : json_null());
    struct tg_buf text;

    tg_buf_init(&text, MEDIA_MAX);
    tg_export_text(as_text, add_text, &text);
    if (text.failed)
        j->out->failed = true;
    put_text(j, "text", tg_buf_cstr(&text));
    tg_buf_done(&text);
    json_decref(as_text);
}

/* Results stand in the order of the answers: the server's own keys of them are not told. */
static void put_poll(struct tg_json *j, const json_t *info)
{
    const json_t *answers = json_object_get(info, "answers");
    size_t n = json_array_size(answers);

    tg_json_key(j, "question");
    tg_json_object(j);
    put_wording(j, info, "question");
    tg_json_end_object(j);
    tg_json_key(j, "answers");
    tg_json_array(j);
    for (size_t i = 0; i < n; i++) {
        tg_json_object(j);
        put_wording(j, json_array_get(answers, i), "text");
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
    put_flag(j, "closed", info, "closed");
    put_num(j, "total_voters", info, "total_voters");
    tg_json_key(j, "results");
    tg_json_array(j);
    for (size_t i = 0; i < n; i++) {
        const json_t *a = json_array_get(answers, i);

        tg_json_object(j);
        put_num(j, "voters", a, "voters");
        put_flag(j, "chosen", a, "chosen");
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

/* @return the kind of media that are no file; NULL: there are none */
static const char *put_other(struct tg_json *j, const json_t *m)
{
    const json_t *info;

    if (json_is_object(info = json_object_get(m, "contact_information"))) {
        put_contact(j, info);
        return "contact";
    }
    if (json_is_object(info = json_object_get(m, "location_information")))
        return put_place(j, m, info);
    if (json_is_object(info = json_object_get(m, "poll"))) {
        put_poll(j, info);
        return "poll";
    }
    if (tg_export_str(m, "game_title")) {
        put_member(j, "title", m, "game_title");
        put_member(j, "description", m, "game_description");
        return "game";
    }
    if (json_is_object(info = json_object_get(m, "invoice_information"))) {
        put_member(j, "title", info, "title");
        put_member(j, "description", info, "description");
        return "invoice";
    }
    return NULL;
}

void tg_export_media(struct tg_export_fill *f)
{
    const json_t *m = f->message;
    const char *type = tg_export_str(m, "media_type");
    bool photo = json_object_get(m, "photo");
    struct tg_buf out;
    struct tg_json j;

    tg_buf_init(&out, MEDIA_MAX);
    tg_json_init(&j, &out);
    tg_json_object(&j);
    if (photo) {
        TG_EXPORT_SET(f, media_kind, "photo");
        fill_size(f, "photo_file_size");
        fill_sides(f);
    } else if (type || json_object_get(m, "file")) {
        fill_file(f, type, &j);
    } else {
        TG_EXPORT_SET(f, media_kind, put_other(&j, m));
    }
    put_flag(&j, "spoiler", m, "media_spoiler");
    put_num(&j, "ttl_s", m, "self_destruct_period_seconds");
    tg_json_end_object(&j);
    f->failed |= out.failed;
    if (!f->failed && out.len > 2)
        TG_ROW_SET(f->row, media, tg_export_keep(f, out.data, out.len));
    tg_buf_done(&out);
}
