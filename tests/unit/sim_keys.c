/* SPDX-License-Identifier: MIT */
/*
 * sim_keys.c - keys and logins of the simulated data centre come back after a restart
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "crypto/random.h"
#include "sim/keys.h"

struct place {
    struct tg_fs_memory *disk;
    struct sim_world *world;
    struct tg_random_seeded seeded;
    struct tg_random random;
    struct sim_keys *keys;
};

static void open_keys(struct place *p)
{
    struct tg_error err = { .message = "" };

    if (sim_keys_new(tg_fs_memory_fs(p->disk), "dir", p->world, &p->keys, &err) != TG_OK)
        fail_msg("%s", err.message);
}

static void reopen(struct place *p)
{
    sim_keys_free(p->keys);
    open_keys(p);
}

static void place_init(struct place *p)
{
    struct sim_world_options options = { .seed = 1, .n_chats = 1, .n_messages = 1 };
    struct tg_error err;

    p->disk = tg_fs_memory_new();
    tg_random_seeded_init(&p->seeded, 3);
    p->random = tg_random_seeded(&p->seeded);
    assert_non_null(p->disk);
    assert_int_equal(sim_world_new(&options, &p->world, &err), TG_OK);
    open_keys(p);
}

static void place_done(struct place *p)
{
    sim_keys_free(p->keys);
    sim_world_free(p->world);
    tg_fs_memory_free(p->disk);
}

static struct sim_key *make(struct place *p, int dc, int64_t expires_at)
{
    struct mt_key key = { .expires_at = expires_at };

    tg_random_fill(&p->random, key.key, sizeof key.key);
    mt_key_derive(&key);
    return sim_keys_add(p->keys, &key, dc, 1000);
}

static void all_of_it_comes_back(void **state)
{
    struct place p;
    const struct sim_account *account;
    struct sim_key *perm, *temp, *gone;
    uint8_t perm_id[8], temp_id[8], gone_id[8];

    (void)state;
    place_init(&p);
    account = sim_world_account(p.world, 0);
    perm = make(&p, 2, 0);
    temp = make(&p, 2, 5000);
    gone = make(&p, 1, 0);
    memcpy(perm_id, perm->key.id, 8);
    memcpy(temp_id, temp->key.id, 8);
    memcpy(gone_id, gone->key.id, 8);
    sim_keys_bind(p.keys, temp, perm);
    sim_keys_set_layer(p.keys, perm, 228, 17);
    assert_non_null(sim_keys_login(p.keys, perm, account, 42, 2000));
    sim_keys_drop(p.keys, gone);
    for (int round = 0; round < 3; round++) { /* what was read is written anew */
        reopen(&p);
        perm = sim_keys_find(p.keys, 2, perm_id);
        temp = sim_keys_find(p.keys, 2, temp_id);
        assert_non_null(perm);
        assert_non_null(temp);
        assert_null(sim_keys_find(p.keys, 1, perm_id)); /* of another DC */
        assert_null(sim_keys_find(p.keys, 1, gone_id));
        assert_ptr_equal(temp->perm, perm);
        assert_ptr_equal(sim_key_perm(temp), perm);
        assert_int_equal(temp->key.expires_at, 5000);
        assert_int_equal(perm->layer, 228);
        assert_int_equal(perm->api_id, 17);
        assert_non_null(perm->login);
        assert_ptr_equal(perm->login->account, account);
        assert_int_equal(perm->login->hash, 42);
        assert_int_equal(perm->login->created_s, 2000);
        assert_int_equal(perm->login->dead, SIM_ALIVE);
    }
    sim_keys_end(p.keys, perm->login, SIM_REVOKED);
    reopen(&p);
    assert_int_equal(sim_keys_find(p.keys, 2, perm_id)->login->dead, SIM_REVOKED);
    place_done(&p);
}

static void damaged_lines_are_left_out(void **state)
{
    static const char *const line[] = {
        "nonsense\n", "key 2 00ff 1 0\n", "key\n", "bind 1 2\n", "auth 1\n", "\n", "dead zz 1\n",
        "login 7 1 1\n", "layer 1 2 3\n", "drop 9\n", "key 2 0123",
    };
    struct place p;
    const struct tg_fs *fs;
    struct tg_error err;
    struct tg_file *file;
    struct tg_dir *dir;
    struct sim_key *good;
    struct tg_buf text;
    uint8_t id[8];

    (void)state;
    place_init(&p);
    good = make(&p, 2, 0);
    memcpy(id, good->key.id, 8);
    sim_keys_free(p.keys);
    fs = tg_fs_memory_fs(p.disk);
    tg_buf_init(&text, 1 << 16);
    assert_int_equal(fs->open_dir(fs, "dir", true, &dir, &err), TG_OK);
    assert_int_equal(tg_fs_read_all(fs, dir, "keys", 1 << 16, &text, &err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(line); i++)
        tg_buf_str(&text, line[i]);
    assert_int_equal(fs->create(fs, dir, "keys", true, &file, &err), TG_OK);
    assert_int_equal(fs->write(fs, file, text.data, text.len, &err), TG_OK);
    fs->close(fs, file);
    fs->close_dir(fs, dir);
    tg_buf_done(&text);
    open_keys(&p);
    assert_non_null(sim_keys_find(p.keys, 2, id));
    assert_null(sim_keys_first(p.keys)->next);
    place_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_of_it_comes_back),
        cmocka_unit_test(damaged_lines_are_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
