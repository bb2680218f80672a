/* SPDX-License-Identifier: MIT */
/*
 * world_media.c - photos, documents and the other things that hang on a message, and file bytes
 *
 * A file id carries its kind in the low byte, and in the four bits above it the thumbnail it is of,
 * so that size and bytes need nothing but the id:
 *
 *     62..12 drawn from the message | 11..8 thumbnail, 0: the whole file | 7..0 kind
 *
 * In files of an import bits 44..12 are the size.
 *
 * Threads: none      Limits: files up to 40 MiB
 */
#include <assert.h>
#include <stdio.h>

#include "sim/world_int.h"

/* Whole files: bytes `least` .. `least + more - 1`. */
static const struct {
    uint32_t least, more;
} file_rows[] = {
    [0] = { 0, 1 },
    [SIM_FILE_PHOTO] = { 40000, 260000 },   [SIM_FILE_VIDEO] = { 300000, 40000000 },
    [SIM_FILE_VOICE] = { 4000, 400000 },    [SIM_FILE_AUDIO] = { 2000000, 8000000 },
    [SIM_FILE_STICKER] = { 8000, 56000 },   [SIM_FILE_ROUND] = { 200000, 3000000 },
    [SIM_FILE_GIF] = { 50000, 2000000 },    [SIM_FILE_OTHER] = { 1, 12000000 },
};

/* Thumbnails: letter, longer side, share of the whole photo's bytes. */
static const struct {
    char letter;
    uint16_t side, per_mille;
} thumb_rows[] = { { 0, 0, 1000 },   { 's', 100, 20 },  { 'm', 320, 110 },
                   { 'x', 800, 450 }, { 'y', 1280, 1000 }, { 'w', 2560, 1000 } };

/* ---- files ---- */

int64_t sim_file_id(uint64_t key, enum sim_file_kind kind)
{
    uint64_t h = sim_hash(key, 0xf11e);

    return (int64_t)((h & INT64_MAX & ~UINT64_C(0xfff)) | (uint64_t)kind);
}

int64_t sim_file_id_sized(uint64_t key, int64_t size)
{
    uint64_t h = sim_hash(key, 0xf11e);

    size = TG_MAX(0, TG_MIN(size, (INT64_C(1) << 33) - 1));
    return (int64_t)(h >> 46 << 45 | (uint64_t)size << 12 | SIM_FILE_SIZED);
}

int64_t sim_world_file_thumb(int64_t file_id, char letter)
{
    for (size_t i = 1; i < TG_COUNT(thumb_rows); i++) {
        if (thumb_rows[i].letter == letter)
            return (int64_t)(((uint64_t)file_id & ~UINT64_C(0xf00)) | i << 8);
    }
    return 0;
}

bool sim_world_is_file(int64_t file_id)
{
    uint32_t kind = file_id & 0xff, thumb = file_id >> 8 & 0xf;

    return file_id > 0 && (kind == SIM_FILE_SIZED || (kind > 0 && kind < TG_COUNT(file_rows) &&
                                                      thumb < TG_COUNT(thumb_rows)));
}

int64_t sim_world_file_size(const struct sim_world *w, int64_t file_id)
{
    uint32_t kind = file_id & 0xff, thumb = file_id >> 8 & 0xf;
    uint64_t whole = (uint64_t)file_id & ~UINT64_C(0xf00);
    uint64_t size, max = (uint64_t)w->options.file_max;

    if (!sim_world_is_file(file_id))
        return 0;
    if (kind == SIM_FILE_SIZED)
        return file_id >> 12 & ((INT64_C(1) << 33) - 1);
    if (kind == SIM_FILE_OTHER && !thumb &&
        (int)(sim_hash(w->seed, whole ^ 11) % 100) < w->options.files_empty)
        return 0;
    size = file_rows[kind].least + sim_hash(w->seed, whole) % file_rows[kind].more;
    if (max && size > max)
        size = 1 + sim_hash(w->seed, whole ^ 7) % max;
    if (thumb && kind != SIM_FILE_PHOTO)
        size = 4000 + sim_hash(w->seed, whole ^ 5) % 16000;
    else if (thumb)
        size = TG_MAX(1, size * thumb_rows[thumb].per_mille / 1000);
    return (int64_t)(max ? TG_MIN(size, max) : size);
}

void sim_world_file_bytes(const struct sim_world *w, int64_t file_id, int64_t offset, void *out,
                          size_t n)
{
    uint64_t key = sim_hash(w->seed, (uint64_t)file_id), word = 0, at = (uint64_t)offset;
    uint8_t *to = out;

    assert(offset >= 0);
    for (size_t i = 0; i < n; i++, at++) {
        if (i == 0 || (at & 7) == 0)
            word = sim_mix(key + (at >> 3) * UINT64_C(0x9e3779b97f4a7c15));
        to[i] = (uint8_t)(word >> (8 * (at & 7)));
    }
}

/* ---- photos ---- */

struct tl_value *sim_peer_value(int64_t marked_id, struct tg_arena *arena)
{
    struct tl_value *p;

    if (marked_id > 0) {
        p = tl_obj(arena, TLN_peerUser);
        tl_set_long(p, TLN_user_id, marked_id);
    } else if (marked_id > -SIM_CHANNEL_BASE) {
        p = tl_obj(arena, TLN_peerChat);
        tl_set_long(p, TLN_chat_id, -marked_id);
    } else {
        p = tl_obj(arena, TLN_peerChannel);
        tl_set_long(p, TLN_channel_id, -SIM_CHANNEL_BASE - marked_id);
    }
    return p;
}

void sim_set_stripped(struct tl_value *o, uint32_t field, uint64_t key, struct tg_arena *arena)
{
    uint32_t n = 136 + (uint32_t)(key >> 33 & 120); /* whole words */
    uint8_t *bytes = tg_arena_bytes(arena, n);
    struct sim_rng r = { key };

    if (!bytes) {
        tl_set_obj(o, field, NULL);
        return;
    }
    for (uint32_t i = 0; i + 8 <= n; i += 8)
        tg_put_le64(bytes + i, sim_next(&r));
    bytes[0] = 1; /* version, height and width of the tiny JPEG whose header is left out */
    bytes[1] = 28;
    bytes[2] = 40;
    tl_set_bytes(o, field, bytes, n);
}

void sim_world_tell_time(struct sim_world *w, int64_t now_s)
{
    w->told_s = now_s;
}

void sim_set_reference(struct tl_value *o, const struct sim_media_at *at)
{
    uint8_t bytes[21] = { 2 };

    tg_put_le32(bytes + 1, at->chat ? at->chat->pub.index : 0);
    tg_put_le32(bytes + 5, (uint32_t)at->id);
    tg_put_le64(bytes + 9, sim_hash(at->w->seed ^ (uint64_t)at->viewer->user_id, (uint64_t)at->id));
    tg_put_le32(bytes + 17, (uint32_t)at->w->told_s);
    tl_set_copy(o, TLN_file_reference, bytes, sizeof bytes);
}

static void set_file(struct tl_value *o, const struct sim_media_at *at, int64_t file_id)
{
    tl_set_long(o, TLN_id, file_id);
    tl_set_long(o, TLN_access_hash,
                sim_world_access_hash(at->w, at->viewer->user_id, file_id));
    sim_set_reference(o, at);
    tl_set_int(o, TLN_date, (int32_t)at->date);
    tl_set_int(o, TLN_dc_id, 1 + (int32_t)(file_id >> 13 & 1));
}

static void add_size(struct tl_value *sizes, const struct sim_media_at *at, int64_t file_id,
                     uint32_t thumb, bool tall)
{
    static const char letters[][2] = { "", "s", "m", "x", "y", "w" };
    struct tl_value *s = tl_add_new(sizes, TLN_photoSize);
    int32_t side = thumb_rows[thumb].side, other = side * 3 / 4;

    tl_set_cstr(s, TLN_type, letters[thumb]);
    tl_set_int(s, TLN_w, tall ? other : side);
    tl_set_int(s, TLN_h, tall ? side : other);
    tl_set_int(s, TLN_size,
               (int32_t)sim_world_file_size(
                   at->w, sim_world_file_thumb(file_id, thumb_rows[thumb].letter)));
}

/* The largest size, with the byte counts at which a loading picture gets sharper. */
static void add_progressive(struct tl_value *sizes, const struct sim_media_at *at, int64_t file_id,
                            bool tall)
{
    static const int32_t share[] = { 9, 22, 31, 52, 100 };
    struct tl_value *s = tl_add_new(sizes, TLN_photoSizeProgressive), *list;
    int64_t size = sim_world_file_size(at->w, sim_world_file_thumb(file_id, 'y'));

    tl_set_cstr(s, TLN_type, "y");
    tl_set_int(s, TLN_w, tall ? 960 : 1280);
    tl_set_int(s, TLN_h, tall ? 1280 : 960);
    list = tl_set_vector(s, TLN_sizes);
    for (size_t i = 0; i < TG_COUNT(share); i++)
        tl_add_int(list, (int32_t)(size * share[i] / 100));
}

struct tl_value *sim_photo_value(const struct sim_media_at *at, uint64_t key)
{
    struct tl_value *p = tl_obj(at->arena, TLN_photo), *sizes, *stripped;
    int64_t file_id = sim_file_id(key, SIM_FILE_PHOTO);
    bool tall = key >> 21 & 1;

    set_file(p, at, file_id);
    tl_set_true(p, TLN_has_stickers, (key >> 22 & 63) == 0);
    sizes = tl_set_vector(p, TLN_sizes);
    stripped = tl_add_new(sizes, TLN_photoStrippedSize);
    tl_set_cstr(stripped, TLN_type, "i");
    sim_set_stripped(stripped, TLN_bytes, key, at->arena);
    add_size(sizes, at, file_id, 1, tall);
    add_size(sizes, at, file_id, 2, tall);
    add_size(sizes, at, file_id, 3, tall);
    if (key >> 23 & 3)
        add_progressive(sizes, at, file_id, tall);
    return p;
}

static struct tl_value *photo_media(const struct sim_media_at *at)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaPhoto);

    tl_set_obj(m, TLN_photo, sim_photo_value(at, at->key));
    tl_set_true(m, TLN_spoiler, (at->key >> 24 & 63) == 0);
    if (at->chat->pub.kind == SIM_PRIVATE && (at->key >> 30 & 63) == 0)
        tl_set_int(m, TLN_ttl_seconds, 60);
    return m;
}

/* ---- documents ---- */

struct doc {
    const struct sim_media_at *at;
    struct tl_value *media, *document, *attributes;
    int64_t file_id;
};

static struct doc document(const struct sim_media_at *at, enum sim_file_kind kind, const char *mime)
{
    struct doc d = { .at = at, .file_id = sim_file_id(at->key, kind) };

    d.media = tl_obj(at->arena, TLN_messageMediaDocument);
    d.document = tl_set_new(d.media, TLN_document, TLN_document);
    set_file(d.document, at, d.file_id);
    tl_set_cstr(d.document, TLN_mime_type, mime);
    tl_set_long(d.document, TLN_size, sim_world_file_size(at->w, d.file_id));
    d.attributes = tl_set_vector(d.document, TLN_attributes);
    return d;
}

static void set_file_name(const struct doc *d, const char *stem, const char *ending)
{
    struct tl_value *a = tl_add_new(d->attributes, TLN_documentAttributeFilename);
    char text[64];
    int n = snprintf(text, sizeof text, "%s%u.%s", stem, (unsigned)(d->at->key >> 40 & 0xffff),
                     ending);

    assert(n > 0 && (size_t)n < sizeof text);
    tl_set_copy(a, TLN_file_name, text, (size_t)n);
}

static void set_thumbs(const struct doc *d)
{
    struct tl_value *sizes = tl_set_vector(d->document, TLN_thumbs), *stripped;

    stripped = tl_add_new(sizes, TLN_photoStrippedSize);
    tl_set_cstr(stripped, TLN_type, "i");
    sim_set_stripped(stripped, TLN_bytes, d->at->key, d->at->arena);
    add_size(sizes, d->at, d->file_id, 2, false);
}

static struct tl_value *set_video(const struct doc *d, int32_t w, int32_t h)
{
    struct tl_value *a = tl_add_new(d->attributes, TLN_documentAttributeVideo);

    tl_set_double(a, TLN_duration, 1 + (double)(d->at->key >> 34 & 0x7ff) / 8);
    tl_set_int(a, TLN_w, w);
    tl_set_int(a, TLN_h, h);
    return a;
}

static struct tl_value *video_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_VIDEO, "video/mp4");

    tl_set_true(d.media, TLN_video, true);
    set_thumbs(&d);
    if (at->key >> 28 & 1) { /* a short moving preview */
        struct tl_value *v = tl_add_new(tl_set_vector(d.document, TLN_video_thumbs), TLN_videoSize);

        tl_set_cstr(v, TLN_type, "v");
        tl_set_int(v, TLN_w, 320);
        tl_set_int(v, TLN_h, 180);
        tl_set_int(v, TLN_size, 30000 + (int32_t)(at->key >> 29 & 0x7fff));
    }
    tl_set_true(set_video(&d, 1280, 720), TLN_supports_streaming, true);
    if (at->key >> 26 & 3)
        set_file_name(&d, "VID_", "mp4");
    return d.media;
}

static struct tl_value *round_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_ROUND, "video/mp4");

    tl_set_true(d.media, TLN_video, true);
    tl_set_true(d.media, TLN_round, true);
    set_thumbs(&d);
    tl_set_true(set_video(&d, 400, 400), TLN_round_message, true);
    return d.media;
}

static struct tl_value *gif_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_GIF, "video/mp4");

    set_thumbs(&d);
    tl_set_true(set_video(&d, 320, 240), TLN_nosound, true);
    tl_add_new(d.attributes, TLN_documentAttributeAnimated);
    set_file_name(&d, "animation", "gif.mp4");
    return d.media;
}

static struct tl_value *voice_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_VOICE, "audio/ogg");
    struct tl_value *a = tl_add_new(d.attributes, TLN_documentAttributeAudio);
    uint8_t wave[63];
    struct sim_rng r = { at->key };

    for (size_t i = 0; i < sizeof wave; i++)
        wave[i] = (uint8_t)sim_next(&r);
    tl_set_true(d.media, TLN_voice, true);
    tl_set_true(a, TLN_voice, true);
    tl_set_int(a, TLN_duration, 1 + (int32_t)(at->key >> 34 & 0xff));
    tl_set_copy(a, TLN_waveform, wave, sizeof wave);
    return d.media;
}

static struct tl_value *audio_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_AUDIO, "audio/mpeg");
    struct tl_value *a = tl_add_new(d.attributes, TLN_documentAttributeAudio);

    tl_set_int(a, TLN_duration, 60 + (int32_t)(at->key >> 34 & 0x1ff));
    tl_set_cstr(a, TLN_title, sim_title(at->key, at->chat->script, at->arena));
    tl_set_cstr(a, TLN_performer, "M\xc3\xa4rz & \"Friends\"");
    set_file_name(&d, "track ", "mp3");
    return d.media;
}

static struct tl_value *sticker_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_STICKER, "image/webp");
    struct tl_value *a = tl_add_new(d.attributes, TLN_documentAttributeImageSize), *set;

    tl_set_int(a, TLN_w, 512);
    tl_set_int(a, TLN_h, 512);
    a = tl_add_new(d.attributes, TLN_documentAttributeSticker);
    tl_set_str(a, TLN_alt, sim_emoji[at->key % sim_n_emoji]);
    set = tl_set_new(a, TLN_stickerset, TLN_inputStickerSetID);
    tl_set_long(set, TLN_id, (int64_t)(at->key >> 2 & 0xffffffffff));
    tl_set_long(set, TLN_access_hash, (int64_t)sim_hash(at->key, 1));
    return d.media;
}

static struct tl_value *file_media(const struct sim_media_at *at)
{
    struct doc d = document(at, SIM_FILE_OTHER, at->key & 1 ? "application/pdf" : "text/csv");

    set_file_name(&d, at->key & 2 ? "report \"final\" " : "отчёт_",
                  at->key & 1 ? "pdf" : "csv");
    return d.media;
}

/* ---- the rest ---- */

static struct tl_value *webpage_media(const struct sim_media_at *at)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaWebPage);
    struct tl_value *p = tl_set_new(m, TLN_webpage, TLN_webPage);
    struct sim_rng r = { at->key };
    const struct sim_say say = { .script = (enum sim_script)at->chat->script,
                                 .units = 120 + sim_below(&r, 300) };
    struct sim_said about;
    char url[80];
    int n = snprintf(url, sizeof url, "https://news.example.com/%u/%u",
                     (unsigned)(at->key >> 40 & 0xff), (unsigned)(at->key >> 48));

    assert(n > 8 && (size_t)n < sizeof url);
    tl_set_long(p, TLN_id, (int64_t)(at->key >> 1));
    tl_set_copy(p, TLN_url, url, (size_t)n);
    tl_set_copy(p, TLN_display_url, url + 8, (size_t)n - 8);
    tl_set_int(p, TLN_hash, (int32_t)(at->key >> 33));
    tl_set_cstr(p, TLN_type, "article");
    tl_set_cstr(p, TLN_site_name, "Example News");
    tl_set_cstr(p, TLN_title, sim_title(at->key, at->chat->script, at->arena));
    if (sim_text_make(&r, &say, at->arena, &about))
        tl_set_str(p, TLN_description, about.text);
    tl_set_cstr(p, TLN_author, "Editors & \xd0\xaf");
    if (at->key >> 25 & 7)
        tl_set_obj(p, TLN_photo, sim_photo_value(at, sim_hash(at->key, 2)));
    return m;
}

static void set_text(struct tl_value *o, uint32_t field, const char *text)
{
    struct tl_value *t = tl_set_new(o, field, TLN_textWithEntities);

    tl_set_cstr(t, TLN_text, text);
    tl_set_vector(t, TLN_entities);
}

static struct tl_value *poll_media(const struct sim_media_at *at)
{
    static const char *const question[] = { "When shall we meet?", "Когда?",
                                            "Which one, \"A\" or \"B\"?" };
    static const char *const answer[] = { "Monday", "Tuesday", "\xe6\x98\x8e\xe5\xa4\xa9",
                                          "never \xf0\x9f\x98\x80" };
    static const char option[] = "0123";
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaPoll), *a;
    struct tl_value *poll = tl_set_new(m, TLN_poll, TLN_poll), *answers, *results, *voters;
    uint32_t n = 2 + (uint32_t)(at->key >> 12) % 3;
    int32_t total = 0;

    tl_set_long(poll, TLN_id, (int64_t)(at->key >> 1));
    tl_set_true(poll, TLN_closed, (at->key >> 16 & 3) == 0);
    tl_set_true(poll, TLN_multiple_choice, (at->key >> 18 & 3) == 0);
    set_text(poll, TLN_question, question[at->key % TG_COUNT(question)]);
    answers = tl_set_vector(poll, TLN_answers);
    results = tl_set_new(m, TLN_results, TLN_pollResults);
    voters = tl_set_vector(results, TLN_results);
    for (uint32_t i = 0; i < n; i++) {
        int32_t count = (int32_t)(sim_hash(at->key, i) % 90);

        a = tl_add_new(answers, TLN_pollAnswer);
        set_text(a, TLN_text, answer[i]);
        tl_set_bytes(a, TLN_option, option + i, 1);
        a = tl_add_new(voters, TLN_pollAnswerVoters);
        tl_set_bytes(a, TLN_option, option + i, 1);
        tl_set_int(a, TLN_voters, count);
        total += count;
    }
    tl_set_int(results, TLN_total_voters, total);
    return m;
}

static void set_geo(struct tl_value *o, const struct sim_media_at *at)
{
    struct tl_value *g = tl_set_new(o, TLN_geo, TLN_geoPoint);

    tl_set_double(g, TLN_long, (double)(int32_t)(at->key >> 32) / 4294967296.0 * 360);
    tl_set_double(g, TLN_lat, (double)(int32_t)at->key / 4294967296.0 * 180);
    tl_set_long(g, TLN_access_hash, (int64_t)sim_hash(at->key, 3));
}

static struct tl_value *geo_media(const struct sim_media_at *at, enum sim_media media)
{
    static const uint32_t name[] = { TLN_messageMediaGeo, TLN_messageMediaGeoLive,
                                     TLN_messageMediaVenue };
    struct tl_value *m = tl_obj(at->arena, name[media - SIM_GEO]);

    set_geo(m, at);
    if (media == SIM_GEO_LIVE) {
        tl_set_int(m, TLN_heading, (int32_t)(at->key % 360) + 1);
        tl_set_int(m, TLN_period, 900);
    } else if (media == SIM_VENUE) {
        tl_set_cstr(m, TLN_title, sim_title(at->key, at->chat->script, at->arena));
        tl_set_cstr(m, TLN_address, "12 Harbour Street");
        tl_set_cstr(m, TLN_provider, "foursquare");
        tl_set_cstr(m, TLN_venue_id, "4b0587aaf964a5201aa822e3");
        tl_set_cstr(m, TLN_venue_type, "food/coffeeshop");
    }
    return m;
}

static struct tl_value *contact_media(const struct sim_media_at *at)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaContact);
    int64_t user = at->plan->contact;
    char phone[16];
    int n = snprintf(phone, sizeof phone, "99966%05u", (unsigned)(at->key >> 40) % 100000);

    tl_set_copy(m, TLN_phone_number, phone, (size_t)n);
    tl_set_cstr(m, TLN_first_name,
                user ? sim_user_name(at->w, (uint32_t)sim_user_number(at->w, user), at->arena)
                     : "Office");
    tl_set_cstr(m, TLN_last_name, "");
    tl_set_cstr(m, TLN_vcard, user ? "" : "BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Office\r\nEND:VCARD");
    tl_set_long(m, TLN_user_id, user);
    return m;
}

static struct tl_value *game_media(const struct sim_media_at *at)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaGame);
    struct tl_value *g = tl_set_new(m, TLN_game, TLN_game);

    tl_set_long(g, TLN_id, (int64_t)(at->key >> 1));
    tl_set_long(g, TLN_access_hash, (int64_t)sim_hash(at->key, 4));
    tl_set_cstr(g, TLN_short_name, "lumber");
    tl_set_cstr(g, TLN_title, "Lumber");
    tl_set_cstr(g, TLN_description, "Chop!");
    tl_set_obj(g, TLN_photo, sim_photo_value(at, at->key));
    return m;
}

static struct tl_value *dice_media(const struct sim_media_at *at)
{
    struct tl_value *m = tl_obj(at->arena, TLN_messageMediaDice);

    tl_set_int(m, TLN_value, 1 + (int32_t)(at->key % 6));
    tl_set_cstr(m, TLN_emoticon, at->key & 64 ? "\xf0\x9f\x8e\xb2" : "\xf0\x9f\x8e\xaf");
    return m;
}

struct tl_value *sim_media_value(const struct sim_media_at *at, enum sim_media media)
{
    switch (media) {
    case SIM_PHOTO:
        return photo_media(at);
    case SIM_VIDEO:
        return video_media(at);
    case SIM_WEBPAGE:
        return webpage_media(at);
    case SIM_VOICE:
        return voice_media(at);
    case SIM_AUDIO:
        return audio_media(at);
    case SIM_STICKER:
        return sticker_media(at);
    case SIM_ROUND:
        return round_media(at);
    case SIM_GIF:
        return gif_media(at);
    case SIM_FILE:
        return file_media(at);
    case SIM_POLL:
        return poll_media(at);
    case SIM_GEO:
    case SIM_GEO_LIVE:
    case SIM_VENUE:
        return geo_media(at, media);
    case SIM_CONTACT:
        return contact_media(at);
    case SIM_DICE:
        return dice_media(at);
    case SIM_GAME:
        return game_media(at);
    default:
        return tl_obj(at->arena, TLN_messageMediaUnsupported);
    }
}
