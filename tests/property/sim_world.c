/* SPDX-License-Identifier: MIT */
/*
 * Random worlds against a model that simply lists every id: rank, select, exists, dates, pages; and
 * every message of them is written and skipped again at each layer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sim/world_int.h"
#include "tl/walk.h"

enum { SEEDS = 24, PAGES = 400 };

static struct sim_world *world(uint64_t seed, uint32_t chats, uint64_t messages, int holes)
{
    const struct sim_world_options o = { .seed = seed, .n_chats = chats, .n_messages = messages,
                                         .holes_percent = holes };
    struct sim_world *w = NULL;
    struct tg_error err;

    assert_int_equal(sim_world_new(&o, &w, &err), TG_OK);
    return w;
}

/* ---- the model: every existing id, ascending ---- */

struct model {
    int64_t *id;
    size_t n;
};

static struct model list_ids(const struct sim_world *w, const struct sim_chat *chat)
{
    struct model m = { .id = calloc(chat->n_messages + 1, sizeof *m.id) };

    assert_non_null(m.id);
    for (int64_t id = 0; id <= (int64_t)chat->top_id + 3; id++) {
        if (!sim_world_exists(w, chat, id))
            continue;
        assert_true(m.n < chat->n_messages);
        m.id[m.n++] = id;
    }
    assert_int_equal(m.n, chat->n_messages);
    if (m.n)
        assert_int_equal(m.id[m.n - 1], chat->top_id);
    return m;
}

static void check_order(const struct sim_world *w, const struct sim_chat *chat,
                        const struct model *m)
{
    size_t below = 0;
    int64_t last = 0;

    for (int64_t id = -1; id <= (int64_t)chat->top_id + 3; id++) {
        int64_t date = sim_world_date(w, chat, id);

        assert_int_equal(sim_world_rank(w, chat, id), below);
        assert_true(date >= last);
        assert_in_range(date, SIM_EPOCH, SIM_NOW);
        if (below < m->n && m->id[below] == id)
            below++;
        last = date;
    }
    for (size_t i = 0; i < m->n; i++)
        assert_int_equal(sim_world_select(w, chat, i), m->id[i]);
    assert_int_equal(sim_world_select(w, chat, m->n), 0);
}

static void check_id_at(const struct sim_world *w, const struct sim_chat *chat, struct sim_rng *r)
{
    for (int i = 0; i < 40; i++) {
        int64_t date = i ? sim_world_date(w, chat, sim_below(r, (uint32_t)chat->top_id + 1)) +
                               (int64_t)sim_below(r, 3) - 1
                         : 0;
        int64_t id = sim_world_id_at(w, chat, date);

        assert_in_range(id, 1, chat->top_id + 1);
        if (id <= chat->top_id)
            assert_true(sim_world_date(w, chat, id) >= date);
        if (id > 1)
            assert_true(sim_world_date(w, chat, id - 1) < date);
    }
}

/* getHistory by counting. */
static size_t model_page(const struct sim_world *w, const struct sim_chat *chat,
                         const struct model *m, const struct sim_page *p, int32_t ids[100])
{
    int64_t start = 0, limit = p->limit > 100 ? 100 : p->limit;
    size_t k = 0;

    for (size_t i = 0; i < m->n; i++) {
        bool newer = (p->offset_id > 0 && m->id[i] >= p->offset_id) ||
                     (p->offset_id <= 0 && p->offset_date > 0 &&
                      sim_world_date(w, chat, m->id[i]) >= p->offset_date);

        start += newer;
    }
    start += p->add_offset;
    if (start < 0)
        start = 0;
    for (int64_t i = start; i < (int64_t)m->n && i < start + limit; i++) {
        int64_t id = m->id[m->n - 1 - (size_t)i];

        if ((p->max_id <= 0 || id < p->max_id) && id > p->min_id)
            ids[k++] = (int32_t)id;
    }
    return k;
}

static int64_t some(struct sim_rng *r, int64_t top)
{
    return sim_chance(r, 400) ? 0 : (int64_t)sim_below(r, (uint32_t)top + 10);
}

static void check_pages(const struct sim_world *w, const struct sim_chat *chat,
                        const struct model *m, struct sim_rng *r)
{
    for (int i = 0; i < PAGES; i++) {
        struct sim_page p = { .offset_id = some(r, chat->top_id),
                              .add_offset = (int64_t)sim_below(r, 260) - 130,
                              .limit = sim_below(r, 120),
                              .max_id = some(r, chat->top_id),
                              .min_id = some(r, chat->top_id) };
        int32_t got[100], want[100], offset = -1;
        size_t n, n_want;

        if (sim_chance(r, 300))
            p.offset_date = sim_world_date(w, chat, some(r, chat->top_id));
        n = sim_world_page(w, chat, &p, got, &offset);
        n_want = model_page(w, chat, m, &p, want);
        if (n != n_want)
            fail_msg("chat %zu of %zu: offset_id %lld offset_date %lld add_offset %lld limit %lld "
                     "max_id %lld min_id %lld: %zu ids, not %zu",
                     (size_t)chat->index, m->n, (long long)p.offset_id, (long long)p.offset_date,
                     (long long)p.add_offset, (long long)p.limit, (long long)p.max_id,
                     (long long)p.min_id, n, n_want);
        assert_memory_equal(got, want, n * sizeof *got);
        if (n) /* the position of the first */
            assert_int_equal(m->id[m->n - 1 - (size_t)offset], got[0]);
    }
}

static void ids_follow_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct sim_rng r = { seed };
        static const int holes[] = { -1, 0, 5, 50, 90, 99 };
        struct sim_world *w =
            world(seed, 1 + sim_below(&r, 14), sim_below(&r, 1200), holes[seed % 6]);

        print_message("seed %llu\n", (unsigned long long)seed);
        for (size_t i = 0; i < sim_world_chats(w); i++) {
            const struct sim_chat *chat = sim_world_chat(w, i);
            struct model m = list_ids(w, chat);

            check_order(w, chat, &m);
            check_id_at(w, chat, &r);
            check_pages(w, chat, &m, &r);
            free(m.id);
        }
        sim_world_free(w);
    }
}

/* Ids of a box belong to one chat each. */
static void boxes_share_ids_without_overlap(void **state)
{
    struct sim_world *w = world(7, 60, 40, 5);
    const struct sim_account *a = sim_world_account(w, 0);

    (void)state;
    for (int64_t id = 1; id < 2000; id++) {
        int owners = 0;

        for (size_t i = 0; i < sim_world_chats(w); i++) {
            const struct sim_chat *chat = sim_world_chat(w, i);

            owners += sim_world_owner(w, chat) == a && sim_world_exists(w, chat, id);
        }
        assert_in_range(owners, 0, 1);
    }
    sim_world_free(w);
}

/* ---- every message, at every layer ---- */

struct figures {
    uint64_t messages, bytes, replies, photos, videos, webpages, reactions, edits, albums, service;
    uint64_t text_bytes, units, users, entities, comments;
};

static void count(struct figures *f, const struct tl_value *m)
{
    const struct tl_value *media = tl_get_obj(m, TLN_media);
    struct tg_str text = tl_get_str(m, TLN_message);
    uint32_t name = tl_name(media);

    f->messages++;
    f->service += tl_name(m) == TLN_messageService;
    f->replies += tl_get_obj(m, TLN_reply_to) != NULL;
    f->photos += name == TLN_messageMediaPhoto;
    f->videos += name == TLN_messageMediaDocument && tl_get_bool(media, TLN_video);
    f->webpages += name == TLN_messageMediaWebPage;
    f->reactions += tl_get_obj(m, TLN_reactions) != NULL;
    f->edits += tl_get(m, TLN_edit_date) != NULL;
    f->albums += tl_get(m, TLN_grouped_id) != NULL;
    f->comments += tl_get_bool(tl_get_obj(m, TLN_replies), TLN_comments);
    f->text_bytes += text.len;
    f->units += tg_utf16_len(text.at, text.len);
    f->entities += tl_len(tl_get_vector(m, TLN_entities));
}

static bool in_vector(const struct tl_value *list, int64_t id)
{
    for (uint32_t i = 0; i < tl_len(list); i++) {
        if (tl_get_long(tl_item(list, i), TLN_id, 0) == id)
            return true;
    }
    return false;
}

static bool peer_known(const struct tl_value *reply, const struct tl_value *peer)
{
    int64_t user = tl_get_long(peer, TLN_user_id, 0), chat = tl_get_long(peer, TLN_chat_id, 0);
    int64_t channel = tl_get_long(peer, TLN_channel_id, 0);

    if (user)
        return in_vector(tl_get_vector(reply, TLN_users), user);
    return in_vector(tl_get_vector(reply, TLN_chats), chat ? chat : channel);
}

/* Every Peer and every user id anywhere in the tree is in the reply's users or chats. */
static void check_known(const struct tl_value *reply, const struct tl_value *v)
{
    switch (v->kind) {
    case TL_VALUE_REF:
        check_known(reply, v->u.ref);
        break;
    case TL_VALUE_VECTOR:
        for (uint32_t i = 0; i < v->n; i++)
            check_known(reply, tl_item(v, i));
        break;
    case TL_VALUE_OBJECT:
        if (v->name == TLN_peerUser || v->name == TLN_peerChat || v->name == TLN_peerChannel)
            assert_true(peer_known(reply, v));
        for (uint32_t i = 0; i < v->n; i++) {
            const struct tl_value *f = &v->u.list[i];

            check_known(reply, f);
            if ((f->field == TLN_user_id || f->field == TLN_via_bot_id) && f->u.i)
                assert_true(in_vector(tl_get_vector(reply, TLN_users), f->u.i));
        }
        break;
    default:
        break;
    }
}

static void encode_and_skip(const struct tl_schema *s, const struct tl_value *v,
                            struct tg_buf *out)
{
    struct tg_error err = { 0 };
    struct tl_reader r;

    tg_buf_clear(out);
    if (tl_encode(s, v, out, &err) != TG_OK)
        fail_msg("layer %d: %s", s->layer, err.message);
    r = tl_reader_of(out->data, out->len);
    assert_true(tl_skip(s, &r));
    assert_int_equal(tl_left(&r), 0);
}

static void check_entities(const struct tl_value *m)
{
    struct tg_str text = tl_get_str(m, TLN_message);
    const struct tl_value *list = tl_get_vector(m, TLN_entities);
    uint32_t units = tg_utf16_len(text.at, text.len);

    assert_true(tg_utf8_valid(text.at, text.len));
    assert_true(units <= SIM_TEXT_MAX);
    for (uint32_t i = 0; i < tl_len(list); i++) {
        int32_t at = tl_get_int(tl_item(list, i), TLN_offset, -1);
        int32_t len = tl_get_int(tl_item(list, i), TLN_length, -1);

        assert_true(at >= 0 && len > 0 && (uint32_t)(at + len) <= units);
    }
}

/* One page as the server would send it. */
static void check_page(const struct sim_world *w, const struct sim_chat *chat, int64_t from,
                       struct tg_arena *arena, struct tg_buf *out, struct figures *f)
{
    static const int32_t layers[] = { 198, 229, 228 };
    const struct sim_account *owner = sim_world_owner(w, chat);
    const struct sim_account *viewer = owner ? owner : sim_world_account(w, 0);
    const struct sim_page p = { .offset_id = from, .limit = 100 };
    struct tl_value *reply = tl_obj(arena, TLN_messages_channelMessages);
    struct tl_value *list = tl_set_vector(reply, TLN_messages);
    struct sim_peers *peers = sim_peers_new();
    int32_t ids[100], offset;
    size_t n = sim_world_page(w, chat, &p, ids, &offset);

    assert_non_null(peers);
    for (size_t i = 0; i < n; i++) {
        struct tl_value *m = sim_world_message(w, viewer, chat, ids[i], arena);

        assert_non_null(m);
        assert_int_equal(tl_get_int(m, TLN_id, 0), ids[i]);
        assert_int_equal(tl_get_int(m, TLN_date, 0), sim_world_date(w, chat, ids[i]));
        check_entities(m);
        count(f, m);
        sim_peers_add_message(peers, w, chat, ids[i]);
        tl_add_obj(list, m);
    }
    sim_peers_set(peers, w, viewer, reply, arena);
    check_known(reply, list);
    f->users += tl_len(tl_get_vector(reply, TLN_users));
    for (size_t i = 0; i < TG_COUNT(layers); i++)
        encode_and_skip(tl_schema_builtin(layers[i]), reply, out);
    f->bytes += out->len;
    sim_peers_free(peers);
}

static void print_figures(const char *what, const struct figures *f)
{
    double n = (double)f->messages / 100;

    print_message("%s: %llu messages, %.0f bytes each at layer 228, text %.0f chars %.0f bytes, "
                  "%.2f entities, %.1f users a page\n",
                  what, (unsigned long long)f->messages, (double)f->bytes / n / 100,
                  (double)f->units / n / 100, (double)f->text_bytes / n / 100,
                  (double)f->entities / n / 100, (double)f->users / n);
    print_message("  %% photos %.1f videos %.1f web %.1f replies %.1f reactions %.1f comments %.1f "
                  "edits %.1f albums %.1f service %.1f\n",
                  (double)f->photos / n, (double)f->videos / n, (double)f->webpages / n,
                  (double)f->replies / n, (double)f->reactions / n, (double)f->comments / n,
                  (double)f->edits / n, (double)f->albums / n, (double)f->service / n);
}

static void every_message_encodes_at_each_layer(void **state)
{
    static const char *const names[] = { "supergroup", "channel", "forum", "basic group",
                                         "private", "migrated", "protected", "left" };
    struct tg_arena arena;
    struct tg_buf out;

    (void)state;
    tg_arena_init(&arena, 64 << 20);
    tg_buf_init(&out, 16 << 20);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct sim_world *w = world(seed, 7, 2600, seed == 2 ? 50 : -1);

        print_message("seed %llu\n", (unsigned long long)seed);
        for (size_t i = 0; i < sim_world_chats(w); i++) {
            const struct sim_chat *chat = sim_world_chat(w, i);
            struct figures f = { 0 };

            for (uint64_t at = 0; at < chat->n_messages; at += 100) {
                uint64_t end = TG_MIN(at + 100, chat->n_messages);
                int64_t top = sim_world_select(w, chat, end - 1);

                check_page(w, chat, top + 1, &arena, &out, &f);
                tg_arena_clear(&arena);
            }
            if (seed == 1)
                print_figures(names[chat->kind], &f);
            if (chat->kind == SIM_SUPERGROUP && seed != 2)
                assert_in_range(f.bytes / f.messages, 540, 640);
        }
        sim_world_free(w);
    }
    tg_buf_done(&out);
    tg_arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_follow_the_model),
        cmocka_unit_test(boxes_share_ids_without_overlap),
        cmocka_unit_test(every_message_encodes_at_each_layer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
