/* SPDX-License-Identifier: MIT */
/*
 * import_media.c - media of an exported message, as far as the export tells
 *
 * The file's bytes are not served, but bytes of the same number: the file id carries the size.
 *
 * Threads: none
 */
#include <assert.h>

#include "sim/import_int.h"

static void set_str(struct tl_value *o, uint32_t field, const json_t *m, const char *key)
{
    const char *s = tg_export_str(m, key);

    tl_set_copy(o, field, s ? s : "", s ? strlen(s) : 0);
}

static void set_file(struct tl_value *o, const struct sim_media_at *at, int64_t file_id)
{
    tl_set_long(o, TLN_id, file_id);
    tl_set_long(o, TLN_access_hash, sim_world_access_hash(at->w, at->viewer->user_id, file_id));
    sim_set_reference(o, at);
    tl_set_int(o, TLN_date, (int32_t)at->date);
    tl_set_int(o, TLN_dc_id, 2);
}

static int32_t side(const json_t *m, const char *key)
{
    return (int32_t)TG_MAX(0, TG_MIN(tg_export_num(m, key, 0), 1000000));
}

struct tl_value *sim_import_photo(const struct sim_media_at *at, const json_t *message)
{
    struct tl_value *p = tl_obj(at->arena, TLN_photo), *s;
    int64_t size = tg_export_num(message, "photo_file_size", 100000);
    int64_t file_id = sim_file_id_sized(at->key, TG_MIN(size, INT32_MAX));

    set_file(p, at, file_id);
    s = tl_add_new(tl_set_vector(p, TLN_sizes), TLN_photoSize);
    tl_set_cstr(s, TLN_type, "y");
    tl_set_int(s, TLN_w, side(message, "width"));
    tl_set_int(s, TLN_h, side(message, "height"));
    tl_set_int(s, TLN_size, (int32_t)sim_world_file_size(at->w, file_id));
    return p;
}

static void set_ttl(struct tl_value *media, const json_t *m)
{
    int64_t ttl = tg_export_num(m, "self_destruct_period_seconds", 0);

    if (ttl > 0 && ttl <= INT32_MAX)
        tl_set_int(media, TLN_ttl_seconds, (int32_t)ttl);
}

static void set_video(struct tl_value *list, const json_t *m, bool round)
{
    struct tl_value *a = tl_add_new(list, TLN_documentAttributeVideo);

    tl_set_double(a, TLN_duration, (double)tg_export_num(m, "duration_seconds", 0));
    tl_set_int(a, TLN_w, side(m, "width"));
    tl_set_int(a, TLN_h, side(m, "height"));
    tl_set_true(a, TLN_round_message, round);
}

static void set_audio(struct tl_value *list, const json_t *m, bool voice)
{
    struct tl_value *a = tl_add_new(list, TLN_documentAttributeAudio);

    tl_set_true(a, TLN_voice, voice);
    tl_set_int(a, TLN_duration, side(m, "duration_seconds"));
    if (tg_export_str(m, "title"))
        set_str(a, TLN_title, m, "title");
    if (tg_export_str(m, "performer"))
        set_str(a, TLN_performer, m, "performer");
}

static void set_sticker(struct tl_value *list, const json_t *m)
{
    struct tl_value *a = tl_add_new(list, TLN_documentAttributeImageSize);

    tl_set_int(a, TLN_w, side(m, "width"));
    tl_set_int(a, TLN_h, side(m, "height"));
    a = tl_add_new(list, TLN_documentAttributeSticker);
    set_str(a, TLN_alt, m, "sticker_emoji");
    tl_set_new(a, TLN_stickerset, TLN_inputStickerSetEmpty);
}

static struct tl_value *document(const struct sim_media_at *at, const json_t *m, const char *type)
{
    struct tl_value *media = tl_obj(at->arena, TLN_messageMediaDocument), *list;
    struct tl_value *d = tl_set_new(media, TLN_document, TLN_document);
    int64_t file_id = sim_file_id_sized(at->key, tg_export_num(m, "file_size", 0));

    set_file(d, at, file_id);
    set_str(d, TLN_mime_type, m, "mime_type");
    tl_set_long(d, TLN_size, sim_world_file_size(at->w, file_id));
    list = tl_set_vector(d, TLN_attributes);
    if (strcmp(type, "video_file") == 0) {
        tl_set_true(media, TLN_video, true);
        set_video(list, m, false);
    } else if (strcmp(type, "video_message") == 0) {
        tl_set_true(media, TLN_video, true);
        tl_set_true(media, TLN_round, true);
        set_video(list, m, true);
    } else if (strcmp(type, "animation") == 0) {
        set_video(list, m, false);
        tl_add_new(list, TLN_documentAttributeAnimated);
    } else if (strcmp(type, "voice_message") == 0) {
        tl_set_true(media, TLN_voice, true);
        set_audio(list, m, true);
    } else if (strcmp(type, "audio_file") == 0) {
        set_audio(list, m, false);
    } else if (strcmp(type, "sticker") == 0) {
        set_sticker(list, m);
    }
    if (tg_export_str(m, "file_name"))
        set_str(tl_add_new(list, TLN_documentAttributeFilename), TLN_file_name, m, "file_name");
    set_ttl(media, m);
    return media;
}

static struct tl_value *contact(const struct sim_media_at *at, const json_t *info)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaContact);

    set_str(m, TLN_phone_number, info, "phone_number");
    set_str(m, TLN_first_name, info, "first_name");
    set_str(m, TLN_last_name, info, "last_name");
    return m;
}

static double degrees(const json_t *v, double most)
{
    double x = json_is_number(v) ? json_number_value(v) : 0;

    return x >= -most && x <= most ? x : 0;
}

static struct tl_value *location(const struct sim_media_at *at, const json_t *m, const json_t *info)
{
    bool venue = tg_export_str(m, "place_name"), live;
    struct tl_value *o, *geo;

    live = !venue && json_object_get(m, "live_location_period_seconds");
    o = tl_obj(at->arena, venue  ? TLN_messageMediaVenue
                          : live ? TLN_messageMediaGeoLive
                                 : TLN_messageMediaGeo);
    geo = tl_set_new(o, TLN_geo, TLN_geoPoint);
    tl_set_double(geo, TLN_long, degrees(json_object_get(info, "longitude"), 180));
    tl_set_double(geo, TLN_lat, degrees(json_object_get(info, "latitude"), 90));
    if (venue) {
        set_str(o, TLN_title, m, "place_name");
        set_str(o, TLN_address, m, "address");
    } else if (live) {
        tl_set_int(o, TLN_period, side(m, "live_location_period_seconds"));
    }
    return o;
}

static void set_text(struct tl_value *o, uint32_t field, const json_t *v, const char *key)
{
    struct tl_value *t = tl_set_new(o, field, TLN_textWithEntities);

    set_str(t, TLN_text, v, key);
    tl_set_vector(t, TLN_entities);
}

static struct tl_value *poll_media(const struct sim_media_at *at, const json_t *info)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaPoll), *a;
    struct tl_value *poll = tl_set_new(m, TLN_poll, TLN_poll), *answers, *results, *voters;
    const json_t *answer;
    size_t i;

    tl_set_long(poll, TLN_id, (int64_t)(at->key >> 1));
    tl_set_true(poll, TLN_closed, json_is_true(json_object_get(info, "closed")));
    set_text(poll, TLN_question, info, "question");
    answers = tl_set_vector(poll, TLN_answers);
    results = tl_set_new(m, TLN_results, TLN_pollResults);
    voters = tl_set_vector(results, TLN_results);
    json_array_foreach(json_object_get(info, "answers"), i, answer) {
        const uint8_t option[2] = { (uint8_t)i, (uint8_t)(i >> 8) };

        a = tl_add_new(answers, TLN_pollAnswer);
        set_text(a, TLN_text, answer, "text");
        tl_set_copy(a, TLN_option, option, 2);
        a = tl_add_new(voters, TLN_pollAnswerVoters);
        tl_set_true(a, TLN_chosen, json_is_true(json_object_get(answer, "chosen")));
        tl_set_copy(a, TLN_option, option, 2);
        tl_set_int(a, TLN_voters, side(answer, "voters"));
    }
    tl_set_int(results, TLN_total_voters, side(info, "total_voters"));
    return m;
}

struct tl_value *sim_import_media(const struct sim_media_at *at, const json_t *message)
{
    const json_t *info;
    const char *type = tg_export_str(message, "media_type");
    struct tl_value *m;

    if (json_object_get(message, "photo")) {
        m = tl_obj(at->arena, TLN_messageMediaPhoto);
        tl_set_obj(m, TLN_photo, sim_import_photo(at, message));
        tl_set_true(m, TLN_spoiler, json_is_true(json_object_get(message, "media_spoiler")));
        set_ttl(m, message);
        return m;
    }
    if (type || json_object_get(message, "file"))
        return document(at, message, type ? type : "");
    if (json_is_object(info = json_object_get(message, "contact_information")))
        return contact(at, info);
    if (json_is_object(info = json_object_get(message, "location_information")))
        return location(at, message, info);
    if (json_is_object(info = json_object_get(message, "poll")))
        return poll_media(at, info);
    if (tg_export_str(message, "game_title") || json_object_get(message, "invoice_information"))
        return tl_obj(at->arena, TLN_messageMediaUnsupported);
    return NULL;
}
