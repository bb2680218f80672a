/* SPDX-License-Identifier: MIT */
/*
 * pages.h - pages of messages: which ids a request asks for, and the reply that holds them
 *
 *   newest                                                  oldest
 *   top ... | start .......... limit ............ | ...        1
 *           count of ids >= offset_id, + add_offset
 *
 * Threads: none      Limits: 100 messages a page
 */
#ifndef SIM_PAGES_H
#define SIM_PAGES_H

#include "sim/targets.h"

/** Which ids of a chat may be seen. */
struct sim_window {
    int64_t lo, hi; /* both included */
};

/** Ids found, newest first. */
struct sim_found {
    int32_t id[SIM_PAGE_MAX];
    size_t n;
    int32_t offset;  /* position of the first among all, newest = 0 */
    uint64_t total;
    bool inexact;
};

/** Reads offset_id, add_offset, limit, ... of a request; absent fields are 0. */
struct sim_page sim_page_of(const struct tl_value *q);

/** @return the whole chat, or what of it the call's range allows */
struct sim_window sim_window_of(const struct sim_call *c, const struct sim_chat *chat);

/** A page of the existing ids inside a window. */
void sim_page_window(const struct sim_call *c, const struct sim_chat *chat,
                     struct sim_window window, const struct sim_page *page,
                     struct sim_found *ret);

/** Whether a message belongs to what is looked for. */
typedef bool (*sim_match)(void *ctx, const struct sim_chat *chat, int64_t id);

/** A page of those that match: walks from the offset both ways as far as is needed. */
void sim_page_match(struct sim_call *c, const struct sim_chat *chat, struct sim_window window,
                    const struct sim_page *page, sim_match match, void *ctx,
                    struct sim_found *ret);

/** The reply: messages.messages, messagesSlice, channelMessages or messagesNotModified. Makes the
 *  page short where the call says so, and notes what was given. `hash` 0: not asked. */
struct tl_value *sim_page_reply(struct sim_call *c, const struct sim_chat *chat,
                                struct sim_found *found, int64_t hash);

/** The reply where there is nothing to read. */
struct tl_value *sim_page_empty(struct sim_call *c);

#endif
