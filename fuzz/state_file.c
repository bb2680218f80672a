/* SPDX-License-Identifier: MIT */
/*
 * state_file.c - any bytes as a backup of state, and as a line of one: what is read gives the same
 * line again
 */
#include <stdlib.h>

#include "etl/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static tg_code ignore(void *ctx, const struct tg_state_item *item, struct tg_error *err)
{
    (void)err;
    *(uint64_t *)ctx += item->len;
    return TG_OK;
}

static void whole_file(const uint8_t *data, size_t size)
{
    struct tg_fs_memory *memory = tg_fs_memory_new();
    const struct tg_fs *fs = tg_fs_memory_fs(memory);
    struct tg_dir *dir = NULL;
    struct tg_error err;
    uint64_t bytes = 0;

    require(fs->open_dir(fs, ".", true, &dir, &err) == TG_OK);
    require(tg_fs_replace(fs, dir, "f", false, data, size, &err) == TG_OK);
    if (tg_state_file_read(fs, "f", ignore, &bytes, &err) != TG_OK)
        require(err.message[0] && err.hint[0]);
    fs->close_dir(fs, dir);
    tg_fs_memory_free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_state_room room, second;
    struct tg_state_item item, again;
    struct tg_buf line, same;

    whole_file(data, size);
    tg_buf_init(&room.bytes, (1 << 20) + 3);
    tg_buf_init(&room.text, 2 << 20);
    second = room;
    tg_buf_init(&line, 4 << 20);
    tg_buf_init(&same, 4 << 20);
    if (tg_state_line_read((const char *)data, size, &room, &item)) {
        tg_state_line_write(&item, &line);
        require(tg_state_line_read((const char *)line.data, line.len, &second, &again));
        require(again.shape == item.shape && again.number == item.number &&
                again.len == item.len && again.last == item.last);
        tg_state_line_write(&again, &same);
        require(same.len == line.len && memcmp(same.data, line.data, line.len) == 0);
    }
    tg_buf_done(&line);
    tg_buf_done(&same);
    tg_buf_done(&room.bytes);
    tg_buf_done(&room.text);
    tg_buf_done(&second.bytes);
    tg_buf_done(&second.text);
    return 0;
}
