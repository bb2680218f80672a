/* SPDX-License-Identifier: MIT */
/*
 * message_file.c - see message_file.h
 */
#include "telegram/message_file.h"

#include "telegram/chats.h"
#include "telegram/rows.h"

#define ID_CHANNELS_GET_MESSAGES 0xad8c9a23u
#define ID_MESSAGES_GET_MESSAGES 0x63c66506u
#define ID_VECTOR 0x1cb5c415u
#define ID_INPUT_MESSAGE_ID 0xa676a322u

const char *tg_messages_ask(struct tgc *c, int64_t chat_id, const int32_t *id, size_t n,
                            struct tg_buf *out)
{
    bool channel = chat_id < -TG_CHANNEL_MARK;

    tg_buf_u32(out, channel ? ID_CHANNELS_GET_MESSAGES : ID_MESSAGES_GET_MESSAGES);
    if (channel && !tg_input_channel(&tgc_session(c)->peers, chat_id, out))
        return NULL;
    tg_buf_u32(out, ID_VECTOR);
    tg_buf_u32(out, (uint32_t)n);
    for (size_t i = 0; i < n; i++) {
        tg_buf_u32(out, ID_INPUT_MESSAGE_ID);
        tg_buf_u32(out, (uint32_t)id[i]);
    }
    return channel ? "channels.getMessages" : "messages.getMessages";
}

tg_code tg_message_file_read(struct tgc *c, const struct tgc_reply *reply, int64_t id,
                             struct tg_batch *scratch, const struct tg_row_file **ret_file,
                             struct tg_error *err)
{
    const struct tg_row_options options = { .files = true, .copy = true };
    struct tg_page *page = tg_page_new();
    struct tg_page_info info;
    tg_code code;

    *ret_file = NULL;
    if (!page)
        return tg_fail(err, TG_NOMEM, "no memory for a message");
    code = tg_page_open(page, tgc_schema(c), reply->body, reply->len, &info, err);
    for (size_t i = 0; code == TG_OK && i < info.n && !*ret_file; i++) {
        if (tg_page_ids(page)[i] != id)
            continue;
        tg_batch_clear(scratch);
        code = tg_page_row(page, i, &options, scratch, err);
        if (code == TG_OK && scratch->n_files)
            *ret_file = &scratch->file[0];
        if (code == TG_END || code == TG_DATA) /* deleted; or it makes no sense any more */
            code = TG_OK;
    }
    tg_page_free(page);
    return code;
}
