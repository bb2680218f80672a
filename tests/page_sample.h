/* SPDX-License-Identifier: MIT */
/*
 * page_sample.h - a realistic page of a supergroup's messages, for tests, fuzzers and benchmarks
 *
 * Text of some 130 characters in two scripts, formatting, photos, videos, web pages, replies,
 * comment counts, reactions, and twenty users: near 590 bytes a message. A function of its
 * arguments alone.
 */
#ifndef TG_PAGE_SAMPLE_H
#define TG_PAGE_SAMPLE_H

#include <assert.h>
#include <stdio.h>

#include "tl/value.h"

#define SAMPLE_CHANNEL INT64_C(1234567)
#define SAMPLE_USER INT64_C(700000000)
#define SAMPLE_DATE 1700000000

static inline struct tl_value *sample_peer(struct tg_arena *a, uint32_t name, uint32_t field,
                                           int64_t id)
{
    struct tl_value *p = tl_obj(a, name);

    tl_set_long(p, field, id);
    return p;
}

static inline struct tl_value *sample_user_peer(struct tg_arena *a, int64_t id)
{
    return sample_peer(a, TLN_peerUser, TLN_user_id, id);
}

static inline struct tl_value *sample_channel_peer(struct tg_arena *a, int64_t id)
{
    return sample_peer(a, TLN_peerChannel, TLN_channel_id, id);
}

static inline void sample_picture(struct tl_value *sizes, const char *type, int32_t w, int32_t h,
                                  int32_t bytes)
{
    struct tl_value *s = tl_add_new(sizes, TLN_photoSize);

    tl_set_cstr(s, TLN_type, type);
    tl_set_int(s, TLN_w, w);
    tl_set_int(s, TLN_h, h);
    tl_set_int(s, TLN_size, bytes);
}

static inline struct tl_value *sample_photo(struct tg_arena *a, int64_t id)
{
    static const char thumb[160] = "\x01\x28\x1e stripped";
    struct tl_value *p = tl_obj(a, TLN_photo), *sizes, *s;

    tl_set_long(p, TLN_id, id);
    tl_set_long(p, TLN_access_hash, id * 31);
    tl_set_bytes(p, TLN_file_reference, thumb, 25);
    tl_set_int(p, TLN_date, SAMPLE_DATE);
    tl_set_int(p, TLN_dc_id, 2);
    sizes = tl_set_vector(p, TLN_sizes);
    s = tl_add_new(sizes, TLN_photoStrippedSize);
    tl_set_cstr(s, TLN_type, "i");
    tl_set_bytes(s, TLN_bytes, thumb, sizeof thumb);
    sample_picture(sizes, "m", 320, 240, 18000);
    s = tl_add_new(sizes, TLN_photoSizeProgressive);
    tl_set_cstr(s, TLN_type, "y");
    tl_set_int(s, TLN_w, 1280);
    tl_set_int(s, TLN_h, 960);
    s = tl_set_vector(s, TLN_sizes);
    tl_add_int(s, 20000);
    tl_add_int(s, 150000);
    return p;
}

static inline struct tl_value *sample_video(struct tg_arena *a, int64_t id)
{
    struct tl_value *d = tl_obj(a, TLN_document), *list, *v;

    tl_set_long(d, TLN_id, id);
    tl_set_long(d, TLN_access_hash, id * 37);
    tl_set_bytes(d, TLN_file_reference, "reference-of-25-bytes....", 25);
    tl_set_int(d, TLN_date, SAMPLE_DATE);
    tl_set_cstr(d, TLN_mime_type, "video/mp4");
    tl_set_long(d, TLN_size, 5000000);
    tl_set_int(d, TLN_dc_id, 4);
    list = tl_set_vector(d, TLN_thumbs);
    sample_picture(list, "m", 320, 180, 9000);
    list = tl_set_vector(d, TLN_attributes);
    v = tl_add_new(list, TLN_documentAttributeVideo);
    tl_set_double(v, TLN_duration, 12.75);
    tl_set_int(v, TLN_w, 1920);
    tl_set_int(v, TLN_h, 1080);
    tl_set_true(v, TLN_supports_streaming, true);
    v = tl_add_new(list, TLN_documentAttributeFilename);
    tl_set_cstr(v, TLN_file_name, "video.mp4");
    return d;
}

static inline void sample_media(struct tl_value *m, struct tg_arena *a, int i)
{
    struct tl_value *media, *page;

    switch (i % 10) {
    case 0:
    case 5:
        media = tl_set_new(m, TLN_media, TLN_messageMediaPhoto);
        tl_set_obj(media, TLN_photo, sample_photo(a, 5000 + i));
        break;
    case 2:
        media = tl_set_new(m, TLN_media, TLN_messageMediaDocument);
        tl_set_obj(media, TLN_document, sample_video(a, 6000 + i));
        tl_set_true(media, TLN_video, true);
        break;
    case 7:
        media = tl_set_new(m, TLN_media, TLN_messageMediaWebPage);
        page = tl_set_new(media, TLN_webpage, TLN_webPage);
        tl_set_long(page, TLN_id, 7000 + i);
        tl_set_cstr(page, TLN_url, "https://example.org/news/article");
        tl_set_cstr(page, TLN_display_url, "example.org/news/article");
        tl_set_cstr(page, TLN_type, "article");
        tl_set_cstr(page, TLN_site_name, "Example");
        tl_set_cstr(page, TLN_title, "What happened in the \"other\" town");
        tl_set_cstr(page, TLN_description, "A longer sentence about what the page tells");
        tl_set_obj(page, TLN_photo, sample_photo(a, 8000 + i));
        break;
    default:
        break;
    }
}

static inline void sample_entities(struct tl_value *m, int i)
{
    static const uint32_t kind[] = { TLN_messageEntityBold, TLN_messageEntityMention,
                                     TLN_messageEntityTextUrl, TLN_messageEntityItalic };
    struct tl_value *list = i % 5 ? tl_set_vector(m, TLN_entities) : NULL;

    for (int k = 0; k < i % 5; k++) {
        struct tl_value *e = tl_add_new(list, kind[k]);

        tl_set_int(e, TLN_offset, k * 10);
        tl_set_int(e, TLN_length, 6);
        if (kind[k] == TLN_messageEntityTextUrl)
            tl_set_cstr(e, TLN_url, "https://example.org/");
    }
}

static inline void sample_counters(struct tl_value *m, struct tg_arena *a, int i)
{
    struct tl_value *o, *list, *one;

    tl_set_int(m, TLN_views, 1000 + i);
    tl_set_int(m, TLN_forwards, i % 7);
    if (i % 2) {
        o = tl_set_new(m, TLN_replies, TLN_messageReplies);
        tl_set_int(o, TLN_replies, i);
        tl_set_int(o, TLN_replies_pts, i * 3);
        list = tl_set_vector(o, TLN_recent_repliers);
        for (int k = 0; k < 3; k++)
            tl_add_obj(list, sample_user_peer(a, SAMPLE_USER + (i + k) % 20));
    }
    if (i % 5 < 3) {
        o = tl_set_new(m, TLN_reactions, TLN_messageReactions);
        list = tl_set_vector(o, TLN_results);
        for (int k = 0; k <= i % 3; k++) {
            one = tl_add_new(list, TLN_reactionCount);
            tl_set_int(one, TLN_count, 3 + k);
            one = tl_set_new(one, TLN_reaction, TLN_reactionEmoji);
            tl_set_cstr(one, TLN_emoticon, k ? "\xe2\x9d\xa4" : "\xf0\x9f\x91\x8d");
        }
        list = tl_set_vector(o, TLN_recent_reactions);
        for (int k = 0; k < 3; k++) {
            one = tl_add_new(list, TLN_messagePeerReaction);
            tl_set_obj(one, TLN_peer_id, sample_user_peer(a, SAMPLE_USER + (i + k) % 20));
            tl_set_int(one, TLN_date, SAMPLE_DATE + i);
            one = tl_set_new(one, TLN_reaction, TLN_reactionEmoji);
            tl_set_cstr(one, TLN_emoticon, "\xf0\x9f\x91\x8d");
        }
    }
}

/* Message number i of the page, with the id given. */
static inline struct tl_value *sample_message(struct tg_arena *a, int32_t id, int i)
{
    static const char latin[] =
        "The quick brown fox said \"hello\" to everyone in the group, and then went on to tell a "
        "story about the weather in the hills, which nobody had asked for. Not at all, really.";
    static const char cyrillic[] =
        "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82, \xd0\xba\xd0\xb0\xd0\xba "
        "\xd0\xb4\xd0\xb5\xd0\xbb\xd0\xb0? \xd0\xa1\xd0\xb5\xd0\xb3\xd0\xbe\xd0\xb4\xd0\xbd"
        "\xd1\x8f "
        "\xd1\x85\xd0\xbe\xd1\x80\xd0\xbe\xd1\x88\xd0\xb0\xd1\x8f "
        "\xd0\xbf\xd0\xbe\xd0\xb3\xd0\xbe\xd0\xb4\xd0\xb0.\n";
    struct tl_value *m = tl_obj(a, TLN_message), *reply;
    char text[400];
    int n = snprintf(text, sizeof text, "%s%.*s", i % 3 ? "" : cyrillic, 110 + i * 37 % 60, latin);

    assert(n > 0 && n < (int)sizeof text);
    tl_set_int(m, TLN_id, id);
    tl_set_obj(m, TLN_from_id, sample_user_peer(a, SAMPLE_USER + i % 20));
    tl_set_obj(m, TLN_peer_id, sample_channel_peer(a, SAMPLE_CHANNEL));
    tl_set_int(m, TLN_date, SAMPLE_DATE + id);
    tl_set_copy(m, TLN_message, text, (size_t)n);
    sample_media(m, a, i);
    sample_entities(m, i);
    sample_counters(m, a, i);
    if (i % 10 < 3) {
        reply = tl_set_new(m, TLN_reply_to, TLN_messageReplyHeader);
        tl_set_int(reply, TLN_reply_to_msg_id, id > 3 ? id - 3 : 1);
    }
    return m;
}

static inline struct tl_value *sample_user(struct tg_arena *a, int i)
{
    struct tl_value *u = tl_obj(a, TLN_user), *photo;
    char name[32];
    int n;

    tl_set_long(u, TLN_id, SAMPLE_USER + i);
    tl_set_long(u, TLN_access_hash, 900000 + i);
    n = snprintf(name, sizeof name, "Name%d", i);
    tl_set_copy(u, TLN_first_name, name, (size_t)n);
    if (i % 3)
        tl_set_cstr(u, TLN_last_name, "Surname");
    n = snprintf(name, sizeof name, "user_%d", i);
    if (i % 2)
        tl_set_copy(u, TLN_username, name, (size_t)n);
    photo = tl_set_new(u, TLN_photo, TLN_userProfilePhoto);
    tl_set_long(photo, TLN_photo_id, 77000 + i);
    tl_set_int(photo, TLN_dc_id, 2);
    return u;
}

static inline struct tl_value *sample_channel(struct tg_arena *a)
{
    struct tl_value *c = tl_obj(a, TLN_channel);

    tl_set_long(c, TLN_id, SAMPLE_CHANNEL);
    tl_set_long(c, TLN_access_hash, 4242);
    tl_set_cstr(c, TLN_title, "The group");
    tl_set_cstr(c, TLN_username, "the_group");
    tl_set_true(c, TLN_megagroup, true);
    tl_set_int(c, TLN_date, SAMPLE_DATE);
    return c;
}

/* A reply with n messages, ids top, top-1, ... Free with the arena. */
static inline struct tl_value *sample_page(struct tg_arena *a, int n, int32_t top)
{
    struct tl_value *p = tl_obj(a, TLN_messages_channelMessages), *list;

    tl_set_int(p, TLN_pts, 99);
    tl_set_int(p, TLN_count, 123456);
    list = tl_set_vector(p, TLN_messages);
    for (int i = 0; i < n; i++)
        tl_add_obj(list, sample_message(a, top - i, i));
    list = tl_set_vector(p, TLN_chats);
    tl_add_obj(list, sample_channel(a));
    list = tl_set_vector(p, TLN_users);
    for (int i = 0; i < 20; i++)
        tl_add_obj(list, sample_user(a, i));
    return p;
}

#endif
