/* SPDX-License-Identifier: MIT */
/*
 * row_media.c - kind and metadata of a message's media
 *
 * Photos and documents fill the media_* columns; what else there is to say, and all other kinds,
 * goes into `media` as JSON. A document's kind follows from its attributes, as clients show it.
 * Sizes of photos are those of the largest picture.
 */
#include "telegram/page.h"

/* ---- photo ---- */

struct picture {
    int32_t w, h;
    int64_t size;
    struct tg_str type; /* the letter that the server knows it by */
};

/* The last size of a progressive photo is that of the whole file. */
static int64_t progressive_size(const struct tl_object *o, int i)
{
    struct tl_reader r;
    int64_t size = 0;

    for (uint32_t n = tl_at_vector(o, i, &r); n; n--)
        size = tl_read_i32(&r);
    return size;
}

static struct picture largest_picture(const struct tg_page_shape *shape, struct tl_reader sizes)
{
    struct picture best = { 0 };
    struct tl_object o;

    for (uint32_t n = sizes.at ? tl_read_vector(&sizes, 4) : 0; n; n--) {
        struct picture p = { 0 };

        if (!tl_object_open(shape->schema, &sizes, &o))
            break;
        if (o.ctor->name == TLN_photoSize) {
            p.w = tl_at_i32(&o, shape->ix.photoSize_w, 0);
            p.h = tl_at_i32(&o, shape->ix.photoSize_h, 0);
            p.size = tl_at_i32(&o, shape->ix.photoSize_size, 0);
        } else if (o.ctor->name == TLN_photoSizeProgressive) {
            p.w = tl_at_i32(&o, shape->ix.photoSizeProgressive_w, 0);
            p.h = tl_at_i32(&o, shape->ix.photoSizeProgressive_h, 0);
            p.size = progressive_size(&o, shape->ix.photoSizeProgressive_sizes);
        } else if (o.ctor->name == TLN_photoCachedSize) {
            p.w = tl_at_i32(&o, shape->ix.photoCachedSize_w, 0);
            p.h = tl_at_i32(&o, shape->ix.photoCachedSize_h, 0);
            p.size = tl_at_str(&o, shape->ix.photoCachedSize_bytes).len;
        }
        if ((int64_t)p.w * p.h > (int64_t)best.w * best.h) {
            best = p;
            best.type = tl_field_str(&o, TLN_type);
        }
    }
    return best;
}

static void fill_photo(struct tg_fill *f, struct tl_reader r)
{
    const struct tg_page_shape *shape = f->shape;
    const struct tl_reader whole = r;
    struct tl_object photo;
    struct picture p;

    r = tg_page_enter(shape->schema, r, TLN_photo, shape->ix.photo_sizes, &photo);
    if (!r.at)
        return;
    p = largest_picture(shape, r);
    TG_ROW_SET(f->row, media_id, tl_at_i64(&photo, shape->ix.photo_id, 0));
    if (p.w > 0 && p.h > 0) {
        TG_ROW_SET(f->row, media_size, p.size);
        TG_ROW_SET(f->row, media_width, p.w);
        TG_ROW_SET(f->row, media_height, p.h);
    }
    if (f->options->files && p.type.len)
        tg_fill_file(f, whole, p.size, p.type);
}

/* ---- document ---- */

/* What the attributes of a document say, gathered. */
struct document {
    bool sticker, emoji, video, round, animated, audio, voice;
    int32_t w, h;
    int64_t duration_s; /* -1 none */
    struct tg_str name, alt, title, performer;
    struct tl_reader set;
};

static void read_attribute(const struct tg_page_shape *shape, const struct tl_object *o,
                           struct document *d)
{
    struct tl_reader r;

    switch (o->ctor->name) {
    case TLN_documentAttributeImageSize:
        if (!d->video) {
            d->w = tl_at_i32(o, shape->ix.documentAttributeImageSize_w, 0);
            d->h = tl_at_i32(o, shape->ix.documentAttributeImageSize_h, 0);
        }
        break;
    case TLN_documentAttributeVideo:
        d->video = true;
        d->round |= tl_at_has(o, shape->ix.documentAttributeVideo_round_message);
        d->w = tl_at_i32(o, shape->ix.documentAttributeVideo_w, 0);
        d->h = tl_at_i32(o, shape->ix.documentAttributeVideo_h, 0);
        r = tl_at(o, shape->ix.documentAttributeVideo_duration);
        if (r.at) {
            double s = tl_read_double(&r);

            d->duration_s = s >= 0 && s < 1e9 ? (int64_t)s : -1;
        }
        break;
    case TLN_documentAttributeAudio:
        d->audio = true;
        d->voice |= tl_at_has(o, shape->ix.documentAttributeAudio_voice);
        d->duration_s = tl_at_i32(o, shape->ix.documentAttributeAudio_duration, -1);
        d->title = tl_at_str(o, shape->ix.documentAttributeAudio_title);
        d->performer = tl_at_str(o, shape->ix.documentAttributeAudio_performer);
        break;
    case TLN_documentAttributeFilename:
        d->name = tl_at_str(o, shape->ix.documentAttributeFilename_file_name);
        break;
    case TLN_documentAttributeAnimated:
        d->animated = true;
        break;
    case TLN_documentAttributeSticker:
        d->sticker = true;
        d->alt = tl_at_str(o, shape->ix.documentAttributeSticker_alt);
        d->set = tl_at(o, shape->ix.documentAttributeSticker_stickerset);
        break;
    case TLN_documentAttributeCustomEmoji:
        d->emoji = true;
        d->alt = tl_at_str(o, shape->ix.documentAttributeCustomEmoji_alt);
        d->set = tl_at(o, shape->ix.documentAttributeCustomEmoji_stickerset);
        break;
    default:
        break;
    }
}

static struct tg_str document_kind(const struct document *d)
{
    if (d->sticker)
        return TG_STR("sticker");
    if (d->emoji)
        return TG_STR("custom_emoji");
    if (d->round)
        return TG_STR("round_video");
    if (d->animated)
        return TG_STR("animation");
    if (d->video)
        return TG_STR("video");
    if (d->voice)
        return TG_STR("voice");
    return d->audio ? TG_STR("audio") : TG_STR("document");
}

static void key_str(struct tg_json *j, const char *key, struct tg_str text)
{
    if (!text.len)
        return;
    tg_json_key(j, key);
    tg_json_str(j, text.at, text.len);
}

static void document_json(const struct tg_fill *f, const struct document *d, struct tg_json *j)
{
    struct tl_reader r = d->set;
    struct tl_object set;

    key_str(j, "title", d->title);
    key_str(j, "performer", d->performer);
    key_str(j, "emoji", d->alt);
    if (r.at && tl_object_open(f->shape->schema, &r, &set)) {
        key_str(j, "set_name", tl_field_str(&set, TLN_short_name));
        if (tl_field_has(&set, TLN_id)) {
            tg_json_key(j, "set_id");
            tg_json_i64(j, tl_field_i64(&set, TLN_id, 0));
        }
    }
}

static void fill_document(struct tg_fill *f, const struct tl_object *media, struct tg_json *j)
{
    const struct tg_page_shape *shape = f->shape;
    struct document d = { .duration_s = -1 };
    struct tl_reader list;
    struct tl_object o, attribute;
    struct tg_str kind;

    d.voice = tl_at_has(media, shape->ix.messageMediaDocument_voice);
    d.round = tl_at_has(media, shape->ix.messageMediaDocument_round);
    d.video = tl_at_has(media, shape->ix.messageMediaDocument_video);
    list = tg_page_enter(shape->schema, tl_at(media, shape->ix.messageMediaDocument_document),
                         TLN_document, shape->ix.document_attributes, &o);
    if (list.at) {
        for (uint32_t n = tl_read_vector(&list, 4); n; n--) {
            if (!tl_object_open(shape->schema, &list, &attribute))
                break;
            read_attribute(shape, &attribute, &d);
        }
        TG_ROW_SET(f->row, media_id, tl_at_i64(&o, shape->ix.document_id, 0));
        TG_ROW_SET(f->row, media_size, tl_at_i64(&o, shape->ix.document_size, 0));
        TG_FILL_VIEW(f, media_mime, tl_at_str(&o, shape->ix.document_mime_type));
        TG_FILL_VIEW(f, media_name, d.name);
        if (f->options->files)
            tg_fill_file(f, tl_at(media, shape->ix.messageMediaDocument_document),
                         f->row->media_size, (struct tg_str){ NULL, 0 });
    }
    kind = document_kind(&d);
    TG_ROW_SET(f->row, media_kind, kind);
    if (d.w > 0 && d.h > 0) {
        TG_ROW_SET(f->row, media_width, d.w);
        TG_ROW_SET(f->row, media_height, d.h);
    }
    if (d.duration_s >= 0)
        TG_ROW_SET(f->row, media_duration, d.duration_s);
    document_json(f, &d, j);
}

/* ---- what is told of photos and documents beside the columns ---- */

static void file_json(struct tg_fill *f, bool spoiler, int32_t ttl_s, struct tg_json *j)
{
    if (!(f->row->present & TG_ROW_BIT(media_id))) {
        tg_json_key(j, "expired"); /* the file is gone, the message tells that there was one */
        tg_json_bool(j, true);
    }
    if (spoiler) {
        tg_json_key(j, "spoiler");
        tg_json_bool(j, true);
    }
    if (ttl_s) {
        tg_json_key(j, "ttl_s");
        tg_json_i64(j, ttl_s);
    }
}

/* ---- dispatch ---- */

/* Whether a field of an object that was opened in part may stand behind that part. */
static bool may_follow(const struct tl_object *o, int i)
{
    const struct tl_field *f = tl_ctor_fields(o->schema, o->ctor) + i;

    if (i < 0 || o->field[i])
        return false;
    return f->word == TL_NO_FLAG || !o->field[f->word] ||
           tg_le32(o->field[f->word]) >> f->bit & 1;
}

/*
 * Opens media for `compose`. The file in a photo or document is long, and its own walk is still to
 * come: if nothing is wanted of what stands behind it, the walk ends where it begins.
 */
static bool open_media(const struct tg_page_shape *shape, struct tl_reader r, uint32_t name,
                       struct tl_object *ret)
{
    const int photo[] = { shape->ix.messageMediaPhoto_photo, shape->ix.messageMediaPhoto_spoiler,
                          shape->ix.messageMediaPhoto_ttl_seconds };
    const int document[] = {
        shape->ix.messageMediaDocument_document, shape->ix.messageMediaDocument_spoiler,
        shape->ix.messageMediaDocument_ttl_seconds, shape->ix.messageMediaDocument_video,
        shape->ix.messageMediaDocument_round, shape->ix.messageMediaDocument_voice,
    };
    const int *wanted = name == TLN_messageMediaPhoto ? photo : document; /* the file is first */
    size_t n = name == TLN_messageMediaPhoto ? TG_COUNT(photo) : TG_COUNT(document);
    struct tl_reader whole = r;
    bool more = false;

    if ((name != TLN_messageMediaPhoto && name != TLN_messageMediaDocument) || wanted[0] < 0)
        return tl_object_open(shape->schema, &r, ret);
    if (!tl_object_open_until(shape->schema, &r, wanted[0] - 1, ret))
        return false;
    for (size_t i = 1; i < n; i++)
        more |= may_follow(ret, wanted[i]);
    if (more)
        return tl_object_open(shape->schema, &whole, ret);
    if (may_follow(ret, wanted[0]))
        ret->field[wanted[0]] = ret->end;
    ret->end = whole.end;
    return true;
}

static void set_kind(struct tg_fill *f, const struct tl_ctor *c)
{
    const char *name = tl_symbol_name(f->shape->schema, c->name);
    size_t from = f->json->len;

    tg_page_snake(f->json, strncmp(name, "messageMedia", 12) == 0 ? name + 12 : name);
    TG_ROW_SET(f->row, media_kind, tg_fill_take(f, from));
}

/* Any media that has no form of its own: all its fields under their names. */
static void fill_other(struct tg_fill *f, struct tl_reader r)
{
    const struct tl_ctor *c = tl_ctor_by_id(f->shape->schema, tl_peek_u32(&r));
    struct tg_str data;

    f->media_hashed = 0;
    set_kind(f, c);
    data = tg_fill_object(f, r);
    if (data.len > 2) {
        TG_ROW_SET(f->row, media, data);
        f->media_hashed = data.len;
    }
}

/* Composes what the kind has to tell. @return false if it has no form of its own */
static bool compose(struct tg_fill *f, const struct tl_object *media, struct tg_json *j)
{
    const struct tg_page_shape *shape = f->shape;

    switch (media->ctor->name) {
    case TLN_messageMediaPhoto:
        TG_ROW_SET(f->row, media_kind, TG_STR("photo"));
        fill_photo(f, tl_at(media, shape->ix.messageMediaPhoto_photo));
        file_json(f, tl_at_has(media, shape->ix.messageMediaPhoto_spoiler),
                  tl_at_i32(media, shape->ix.messageMediaPhoto_ttl_seconds, 0), j);
        return true;
    case TLN_messageMediaDocument:
        fill_document(f, media, j);
        file_json(f, tl_at_has(media, shape->ix.messageMediaDocument_spoiler),
                  tl_at_i32(media, shape->ix.messageMediaDocument_ttl_seconds, 0), j);
        return true;
    case TLN_messageMediaPoll:
        TG_ROW_SET(f->row, media_kind, TG_STR("poll"));
        tg_media_poll(f, media, j);
        return true;
    case TLN_messageMediaGeo:
    case TLN_messageMediaGeoLive:
    case TLN_messageMediaVenue:
        set_kind(f, media->ctor);
        tg_media_geo(media, j);
        return true;
    case TLN_messageMediaStory:
        set_kind(f, media->ctor);
        tg_media_story(f, media, j);
        return true;
    case TLN_messageMediaGame:
        set_kind(f, media->ctor);
        tg_media_game(media, j);
        return true;
    default:
        return false;
    }
}

void tg_fill_media(struct tg_fill *f)
{
    const struct tl_schema *s = f->shape->schema;
    struct tl_reader r = tg_message_reader(f->message, TG_M_media), whole = r;
    size_t from = f->json->len;
    const struct tl_ctor *c;
    struct tl_object media;
    struct tg_json j;

    if (!r.at || tl_peek_u32(&r) == tl_id(s, TLN_messageMediaEmpty)) {
        whole = tg_message_reader(f->message, TG_M_rich_message);
        if (whole.at)
            fill_other(f, whole); /* formatted blocks in place of plain text */
        return;
    }
    c = tl_ctor_by_id(s, tl_peek_u32(&r));
    f->media_hashed = UINT32_MAX;
    tg_json_init(&j, f->json);
    tg_json_object(&j);
    if (c && c->name == TLN_messageMediaWebPage) {
        TG_ROW_SET(f->row, media_kind, TG_STR("web_page"));
        tg_media_web_page(f, r, &j);
    } else if (!c || !open_media(f->shape, r, c->name, &media) || !compose(f, &media, &j)) {
        f->json->len = from;
        fill_other(f, whole);
        return;
    }
    tg_json_end_object(&j);
    if (f->json->len - from > 2) {
        TG_ROW_SET(f->row, media, tg_fill_take(f, from));
        f->media_hashed = TG_MIN(f->media_hashed, f->row->media.len);
    } else {
        f->json->len = from;
        f->media_hashed = 0;
    }
}
