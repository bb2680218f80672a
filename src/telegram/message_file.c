/* SPDX-License-Identifier: MIT */
/*
 * message_file.c - see message_file.h
 */
#include "telegram/message_file.h"

#include "telegram/chats.h"
#include "telegram/rows.h"

#define ID_CHANNELS_GET_MESSAGES 0xad8c9a23u
#define ID_MESSAGES_GET_MESSAGES 0x63c66506u
#define ID_GET_REPLIES 0x22ddd30cu
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

const char *tg_comments_ask(struct tgc *c, int64_t channel_id, int32_t post, int32_t from,
                            struct tg_buf *out)
{
    tg_buf_u32(out, ID_GET_REPLIES);
    if (!tg_input_peer(&tgc_session(c)->peers, channel_id, out))
        return NULL;
    tg_buf_u32(out, (uint32_t)post);
    tg_buf_u32(out, (uint32_t)from); /* offset_id */
    tg_buf_u32(out, 0);              /* offset_date */
    tg_buf_u32(out, (uint32_t)-TG_MESSAGES_ASKED); /* add_offset: those from it on */
    tg_buf_u32(out, TG_MESSAGES_ASKED);
    tg_buf_u32(out, 0); /* max_id */
    tg_buf_u32(out, 0); /* min_id */
    tg_buf_u64(out, 0); /* hash */
    return "messages.getReplies";
}

tg_code tg_message_files_read(struct tgc *c, const struct tgc_reply *reply, struct tg_batch *ret,
                              struct tg_error *err)
{
    const struct tg_row_options options = { .files = true, .copy = true };
    struct tg_page *page = tg_page_new();
    struct tg_page_info info;
    tg_code code;

    tg_batch_clear(ret);
    if (!page)
        return tg_fail(err, TG_NOMEM, "no memory for messages");
    code = tg_page_open(page, tgc_schema(c), reply->body, reply->len, &info, err);
    for (size_t i = 0; code == TG_OK && i < info.n && ret->n < ret->cap; i++) {
        code = tg_page_row(page, i, &options, ret, err);
        if (code == TG_END || code == TG_DATA) /* deleted; or it makes no sense any more */
            code = TG_OK;
    }
    tg_page_free(page);
    return code;
}

const struct tg_row_file *tg_message_file(const struct tg_batch *read, int64_t id)
{
    for (size_t i = 0; i < read->n_files; i++)
        if (read->file[i].row < read->n && read->row[read->file[i].row].id == id)
            return &read->file[i];
    return NULL;
}
