/* SPDX-License-Identifier: MIT */
/*
 * row_media_json.c - media that is told as JSON: web pages, polls, places, stories, games
 *
 * Members that change without an edit (vote counts, a page's description) come last, and the
 * content hash stops before them: media_hashed says where.
 */
#include "telegram/page.h"

static void put_str(struct tg_json *j, const char *key, struct tg_str text)
{
    if (!text.len)
        return;
    tg_json_key(j, key);
    tg_json_str(j, text.at, text.len);
}

static void put_i64(struct tg_json *j, const char *key, int64_t v)
{
    tg_json_key(j, key);
    tg_json_i64(j, v);
}

/* Writes `true` under its own name if the flag is set. */
static void put_flag(struct tg_json *j, const struct tl_object *o, uint32_t name)
{
    if (tl_field_has(o, name)) {
        tg_json_key(j, tl_symbol_name(o->schema, name));
        tg_json_bool(j, true);
    }
}

static void put_str_of(struct tg_json *j, const struct tl_object *o, uint32_t name)
{
    put_str(j, tl_symbol_name(o->schema, name), tl_field_str(o, name));
}

static void put_i32_of(struct tg_json *j, const struct tl_object *o, uint32_t name)
{
    if (tl_field_has(o, name))
        put_i64(j, tl_symbol_name(o->schema, name), tl_field_i32(o, name, 0));
}

/* The id of a photo or document inside. Bare constructors photoEmpty and the like have one, too. */
static void put_id_of(struct tg_json *j, const char *key, const struct tl_object *o, int i)
{
    struct tl_object file;

    if (tl_at_object(o, i, &file))
        put_i64(j, key, tl_field_i64(&file, TLN_id, 0));
}

/* Everything written from here on is left out of the content hash. */
static void hash_ends(struct tg_fill *f, size_t media_start)
{
    f->media_hashed = (uint32_t)(f->json->len - media_start);
}

/* ---- web page ---- */

void tg_media_web_page(struct tg_fill *f, struct tl_reader media, struct tg_json *j)
{
    const struct tg_page_shape *shape = f->shape;
    size_t start = f->json->len - 1; /* of the opening brace */
    struct tl_reader r;
    struct tl_object page;

    r = tg_page_enter(shape->schema, media, TLN_messageMediaWebPage,
                      shape->ix.messageMediaWebPage_webpage, &page);
    /* the rest of a page, its text above all, may be long and is not looked at */
    if (!r.at || !tl_object_open_until(shape->schema, &r, shape->ix.webPage_document, &page))
        return;
    if (page.ctor->name != TLN_webPage) {
        put_str_of(j, &page, TLN_url);
        hash_ends(f, start);
        if (page.ctor->name == TLN_webPagePending) {
            tg_json_key(j, "pending");
            tg_json_bool(j, true);
        }
        return;
    }
    put_str(j, "url", tl_at_str(&page, shape->ix.webPage_url));
    hash_ends(f, start);
    put_str(j, "type", tl_at_str(&page, shape->ix.webPage_type));
    put_str(j, "site_name", tl_at_str(&page, shape->ix.webPage_site_name));
    put_str(j, "title", tl_at_str(&page, shape->ix.webPage_title));
    put_str(j, "description", tl_at_str(&page, shape->ix.webPage_description));
    put_str(j, "author", tl_at_str(&page, shape->ix.webPage_author));
    put_id_of(j, "photo_id", &page, shape->ix.webPage_photo);
    put_id_of(j, "document_id", &page, shape->ix.webPage_document);
}

/* ---- poll ---- */

/* The members of a text with entities; older layers have a plain string there. */
static void put_text(struct tg_fill *f, struct tg_json *j, const struct tl_object *o, uint32_t name)
{
    int i = tl_field_index(o, name);
    struct tl_object text;
    struct tl_reader entities;
    size_t from;

    if (i < 0)
        return;
    if (tl_ctor_fields(o->schema, o->ctor)[i].kind == TL_KIND_STRING) {
        put_str(j, "text", tl_at_str(o, i));
        return;
    }
    if (!tl_at_object(o, i, &text))
        return;
    put_str_of(j, &text, TLN_text);
    entities = tl_field(&text, TLN_entities);
    from = f->json->len;
    if (entities.at) {
        tg_buf_str(f->json, ",\"entities\":");
        tg_entities_json(f->shape, entities, f->json);
        if (f->json->len - from <= sizeof(",\"entities\":[]") - 1)
            f->json->len = from;
    }
}

static void put_votes(struct tg_json *j, const struct tl_object *results)
{
    struct tl_reader r;
    struct tl_object o;
    uint32_t n = tl_field_vector(results, TLN_results, &r);

    put_i32_of(j, results, TLN_total_voters);
    if (!n)
        return;
    tg_json_key(j, "results");
    tg_json_array(j);
    for (; n && tl_object_open(results->schema, &r, &o); n--) {
        struct tg_str option = tl_field_str(&o, TLN_option);

        tg_json_object(j);
        tg_json_key(j, "option");
        tg_json_base64(j, option.at, option.len);
        put_i32_of(j, &o, TLN_voters);
        put_flag(j, &o, TLN_correct);
        put_flag(j, &o, TLN_chosen);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

static void put_answers(struct tg_fill *f, const struct tl_object *poll, struct tg_json *j)
{
    struct tl_reader r;
    struct tl_object o;
    uint32_t n = tl_field_vector(poll, TLN_answers, &r);

    tg_json_key(j, "answers");
    tg_json_array(j);
    for (; n && tl_object_open(poll->schema, &r, &o); n--) {
        struct tg_str option = tl_field_str(&o, TLN_option);

        tg_json_object(j);
        put_text(f, j, &o, TLN_text);
        tg_json_key(j, "option");
        tg_json_base64(j, option.at, option.len);
        tg_json_end_object(j);
    }
    tg_json_end_array(j);
}

void tg_media_poll(struct tg_fill *f, const struct tl_object *media, struct tg_json *j)
{
    size_t start = f->json->len - 1;
    struct tl_object poll, results;

    if (!tl_field_object(media, TLN_poll, &poll))
        return;
    put_i64(j, "id", tl_field_i64(&poll, TLN_id, 0));
    tg_json_key(j, "question");
    tg_json_object(j);
    put_text(f, j, &poll, TLN_question);
    tg_json_end_object(j);
    put_answers(f, &poll, j);
    put_flag(j, &poll, TLN_quiz);
    put_flag(j, &poll, TLN_multiple_choice);
    put_flag(j, &poll, TLN_public_voters);
    put_i32_of(j, &poll, TLN_close_period);
    put_i32_of(j, &poll, TLN_close_date);
    hash_ends(f, start);
    put_flag(j, &poll, TLN_closed);
    if (tl_field_object(media, TLN_results, &results)) {
        put_votes(j, &results);
        put_str_of(j, &results, TLN_solution);
    }
}

/* ---- places ---- */

static void put_point(struct tg_json *j, const struct tl_object *point)
{
    if (!tl_field_has(point, TLN_lat))
        return; /* geoPointEmpty */
    tg_json_key(j, "lat");
    tg_json_double(j, tl_field_double(point, TLN_lat, 0));
    tg_json_key(j, "long");
    tg_json_double(j, tl_field_double(point, TLN_long, 0));
    put_i32_of(j, point, TLN_accuracy_radius);
}

void tg_media_geo(const struct tl_object *media, struct tg_json *j)
{
    struct tl_object point;

    if (tl_field_object(media, TLN_geo, &point))
        put_point(j, &point);
    put_i32_of(j, media, TLN_heading);
    put_i32_of(j, media, TLN_period);
    put_i32_of(j, media, TLN_proximity_notification_radius);
    put_str_of(j, media, TLN_title);
    put_str_of(j, media, TLN_address);
    put_str_of(j, media, TLN_provider);
    put_str_of(j, media, TLN_venue_id);
    put_str_of(j, media, TLN_venue_type);
}

/* ---- stories and games ---- */

void tg_media_story(struct tg_fill *f, const struct tl_object *media, struct tg_json *j)
{
    put_i64(j, "chat_id", tg_page_peer_id(f->shape, tl_field(media, TLN_peer).at));
    put_i64(j, "id", tl_field_i32(media, TLN_id, 0));
}

void tg_media_game(const struct tl_object *media, struct tg_json *j)
{
    struct tl_object game;

    if (!tl_field_object(media, TLN_game, &game))
        return;
    put_i64(j, "id", tl_field_i64(&game, TLN_id, 0));
    put_str_of(j, &game, TLN_short_name);
    put_str_of(j, &game, TLN_title);
    put_str_of(j, &game, TLN_description);
}
