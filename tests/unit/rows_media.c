/* SPDX-License-Identifier: MIT */
/*
 * rows_media.c - what a message shows besides its text: each kind of media, field by field
 */
#include "tests/unit/rows_kit.h"

static void with_expired_photo(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_int(media_of(m, TLN_messageMediaPhoto), TLN_ttl_seconds, 10);
}

static struct tl_value *document_of(struct tl_value *m)
{
    struct tl_value *media = media_of(m, TLN_messageMediaDocument);
    struct tl_value *d = tl_set_new(media, TLN_document, TLN_document);

    tl_set_long(d, TLN_id, 41);
    tl_set_cstr(d, TLN_mime_type, "application/x");
    tl_set_long(d, TLN_size, 9000000000);
    return tl_set_vector(d, TLN_attributes);
}

static void with_document(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_cstr(tl_add_new(document_of(m), TLN_documentAttributeFilename), TLN_file_name,
                "a b.zip");
}

static void with_round_video(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    tl_set_true(tl_add_new(document_of(m), TLN_documentAttributeVideo), TLN_round_message, true);
}

static void with_animation(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *list = document_of(m);

    (void)a;
    tl_add_new(list, TLN_documentAttributeVideo);
    tl_add_new(list, TLN_documentAttributeAnimated);
}

static void with_voice(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = tl_add_new(document_of(m), TLN_documentAttributeAudio);

    (void)a;
    tl_set_true(v, TLN_voice, true);
    tl_set_int(v, TLN_duration, 7);
}

static void with_audio(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = tl_add_new(document_of(m), TLN_documentAttributeAudio);

    (void)a;
    tl_set_int(v, TLN_duration, 200);
    tl_set_cstr(v, TLN_title, "Song");
    tl_set_cstr(v, TLN_performer, "Band");
}

static void with_sticker(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *s = tl_add_new(document_of(m), TLN_documentAttributeSticker), *set;

    (void)a;
    tl_set_cstr(s, TLN_alt, "\xf0\x9f\x98\x80");
    set = tl_set_new(s, TLN_stickerset, TLN_inputStickerSetID);
    tl_set_long(set, TLN_id, 71);
}

static void with_pending_page(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *w = media_of(m, TLN_messageMediaWebPage);

    (void)a;
    tl_set_cstr(tl_set_new(w, TLN_webpage, TLN_webPagePending), TLN_url, "https://e.org/");
}

static void with_venue(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = media_of(m, TLN_messageMediaVenue), *p;

    (void)a;
    p = tl_set_new(v, TLN_geo, TLN_geoPoint);
    tl_set_double(p, TLN_lat, 48.5);
    tl_set_double(p, TLN_long, -2.25);
    tl_set_cstr(v, TLN_title, "Cafe");
}

static void with_contact(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *c = media_of(m, TLN_messageMediaContact);

    (void)a;
    tl_set_cstr(c, TLN_phone_number, "123");
    tl_set_cstr(c, TLN_first_name, "A");
    tl_set_long(c, TLN_user_id, 6);
}

static void with_dice(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *d = media_of(m, TLN_messageMediaDice);

    (void)a;
    tl_set_int(d, TLN_value, 6);
    tl_set_cstr(d, TLN_emoticon, "\xf0\x9f\x8e\xb2");
}

static void with_game(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *g = tl_set_new(media_of(m, TLN_messageMediaGame), TLN_game, TLN_game);

    (void)a;
    tl_set_long(g, TLN_id, 3);
    tl_set_cstr(g, TLN_short_name, "chess");
}

static void with_story(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *s = media_of(m, TLN_messageMediaStory);

    tl_set_obj(s, TLN_peer, sample_user_peer(a, 5));
    tl_set_int(s, TLN_id, 12);
}

static void with_invoice(struct tl_value *m, struct tg_arena *a)
{
    struct tl_value *v = media_of(m, TLN_messageMediaInvoice);

    (void)a;
    tl_set_cstr(v, TLN_title, "Tea");
    tl_set_cstr(v, TLN_currency, "EUR");
    tl_set_long(v, TLN_total_amount, 350);
}

static void with_unsupported(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    media_of(m, TLN_messageMediaUnsupported);
}

static void with_empty_media(struct tl_value *m, struct tg_arena *a)
{
    (void)a;
    media_of(m, TLN_messageMediaEmpty);
}

static const struct field_case field_row[] = {
    { "photo", with_photo, TG_F_media_kind, "photo", { 0 } },
    { "photo: id", with_photo, TG_F_media_id, "31", { 0 } },
    { "photo: largest width", with_photo, TG_F_media_width, "1280", { 0 } },
    { "photo: size of the progressive file", with_photo, TG_F_media_size, "150000", { 0 } },
    { "photo: nothing else", with_photo, TG_F_media, "", { 0 } },
    { "expired photo", with_expired_photo, TG_F_media, "{\"expired\":true,\"ttl_s\":10}", { 0 } },
    { "document", with_document, TG_F_media_kind, "document", { 0 } },
    { "document: name", with_document, TG_F_media_name, "a b.zip", { 0 } },
    { "document: type", with_document, TG_F_media_mime, "application/x", { 0 } },
    { "document: size beyond 32 bits", with_document, TG_F_media_size, "9000000000", { 0 } },
    { "video", with_video, TG_F_media_kind, "video", { 0 } },
    { "video: seconds rounded down", with_video, TG_F_media_duration, "12", { 0 } },
    { "video: height", with_video, TG_F_media_height, "1080", { 0 } },
    { "round video", with_round_video, TG_F_media_kind, "round_video", { 0 } },
    { "animation", with_animation, TG_F_media_kind, "animation", { 0 } },
    { "voice", with_voice, TG_F_media_kind, "voice", { 0 } },
    { "voice: seconds", with_voice, TG_F_media_duration, "7", { 0 } },
    { "audio", with_audio, TG_F_media_kind, "audio", { 0 } },
    { "audio: tags", with_audio, TG_F_media, "{\"title\":\"Song\",\"performer\":\"Band\"}", { 0 } },
    { "sticker", with_sticker, TG_F_media_kind, "sticker", { 0 } },
    { "sticker: set", with_sticker, TG_F_media, "{\"emoji\":\"\xf0\x9f\x98\x80\",\"set_id\":71}",
      { 0 } },
    { "web page", with_web_page, TG_F_media_kind, "web_page", { 0 } },
    { "web page: details", with_web_page, TG_F_media,
      "{\"url\":\"https://e.org/\",\"title\":\"T\",\"description\":\"D\",\"photo_id\":61}", { 0 } },
    { "pending web page", with_pending_page, TG_F_media,
      "{\"url\":\"https://e.org/\",\"pending\":true}", { 0 } },
    { "poll", with_poll, TG_F_media,
      "{\"id\":81,\"question\":{\"text\":\"Why?\"},"
      "\"answers\":[{\"text\":\"So\",\"option\":\"MA==\"}],\"quiz\":true,\"total_voters\":4,"
      "\"results\":[{\"option\":\"MA==\",\"voters\":4}]}", { 0 } },
    { "venue", with_venue, TG_F_media_kind, "venue", { 0 } },
    { "venue: place", with_venue, TG_F_media, "{\"lat\":48.5,\"long\":-2.25,\"title\":\"Cafe\"}",
      { 0 } },
    { "contact", with_contact, TG_F_media,
      "{\"phone_number\":\"123\",\"first_name\":\"A\",\"last_name\":\"\",\"vcard\":\"\","
      "\"user_id\":6}",
      { 0 } },
    { "dice", with_dice, TG_F_media, "{\"value\":6,\"emoticon\":\"\xf0\x9f\x8e\xb2\"}", { 0 } },
    { "game", with_game, TG_F_media, "{\"id\":3,\"short_name\":\"chess\"}", { 0 } },
    { "story", with_story, TG_F_media, "{\"chat_id\":5,\"id\":12}", { 0 } },
    { "invoice", with_invoice, TG_F_media_kind, "invoice", { 0 } },
    { "unsupported", with_unsupported, TG_F_media_kind, "unsupported", { 0 } },
    { "unsupported: nothing to tell", with_unsupported, TG_F_media, "", { 0 } },
    { "empty media is none", with_empty_media, TG_F_media_kind, "", { 0 } },
};

static void test_media_fields(void **state)
{
    (void)state;
    check_fields(field_row, TG_COUNT(field_row));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
