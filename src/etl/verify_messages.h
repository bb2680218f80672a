/* SPDX-License-Identifier: MIT */
/*
 * verify_messages.h - messages by chat and id, each in 32 bytes, as somebody tells them: the
 * destination of a job of changes, or the server
 *
 * Rows are put in as they come; of several of one message the last counts. Now and then, and before
 * anything is looked up, they are sorted and the older ones dropped, so that a log of a million
 * changes of a thousand messages takes little more than these.
 *
 * Two are the same if content hash, edit date and reactions are. Reactions are compared as a set:
 * a destination may write its JSON otherwise. A row without content hash (a stage dropped it) has
 * none of these: it is the same as any.
 *
 * Threads: one at a time      Limits: 32 million messages
 */
#ifndef TG_VERIFY_MESSAGES_H
#define TG_VERIFY_MESSAGES_H

#include "base/row.h"

struct verify_message {
    uint64_t content;   /* the first half of the content hash; 0: unknown */
    int32_t id;
    uint32_t chat;      /* number of the chat, as the caller counts them */
    uint32_t edit_date; /* Unix seconds, 0: none */
    uint32_t reactions; /* a hash of them, 0: none */
    uint32_t order;     /* as they came */
    bool gone;          /* it was deleted */
    bool met;           /* the caller's mark */
};

struct verify_messages {
    struct verify_message *at; /* once settled by chat and id, each once */
    size_t n, cap;
};

/** Frees them; a zeroed one is empty and ready. */
void verify_messages_done(struct verify_messages *m);

/** @return false: no memory, or too many */
bool verify_messages_put(struct verify_messages *m, const struct verify_message *message);

/** To be called before the functions below. */
void verify_messages_settle(struct verify_messages *m);

/** @return place of the first one of that chat with that id or a higher one, or of a later chat */
size_t verify_messages_from(const struct verify_messages *m, uint32_t chat, int32_t id);

/** @return NULL if it is not there */
struct verify_message *verify_messages_find(const struct verify_messages *m, uint32_t chat,
                                            int64_t id);

/** @return false: the row has no id of a message */
bool verify_message_of(const struct tg_row *row, uint32_t chat, struct verify_message *ret);

/** Whether both are there with the same content, or both are not; NULL: not. */
bool verify_message_same(const struct verify_message *a, const struct verify_message *b);

#endif
