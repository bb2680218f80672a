/* SPDX-License-Identifier: MIT */
/*
 * coordinate.h - the way from a client's gates to the Redis that holds limits which workers share
 *
 *   tgc --ask--> queue --> thread: EVALSHA share_script --> queue --> loop: tgc_share_reply
 *                          thread: SUBSCRIBE news       --> queue --> loop: tgc_share_closed
 *
 * Keys are tgdata:{ACCOUNT}:METHOD:DC, the channel tgdata:{ACCOUNT}:news: all of an account's in
 * one slot of a Redis Cluster. A Redis that is gone is tried again with each ask; whoever asks is
 * told at once that it is gone, so the loop waits for nothing.
 *
 * Threads: the loop's, but for its own two      Limits: 256 asks and answers under way
 */
#ifndef TG_SOURCE_COORDINATE_H
#define TG_SOURCE_COORDINATE_H

#include "source/net.h"

struct tg_coordinate;

/**
 * Connects, so that a wrong URL or password shows at once, and that no worker begins without the
 * others.
 * @param random  for the worker's name
 */
tg_code tg_coordinate_new(const char *url, const struct tg_random *random,
                          struct tg_coordinate **ret, struct tg_error *err);

/** For tgc_options. */
const struct tgc_share_io *tg_coordinate_io(const struct tg_coordinate *co);

/** Begins to work for the net's client, which was made with that io. */
tg_code tg_coordinate_start(struct tg_coordinate *co, struct tg_net *net, struct tg_error *err);

/** Hands what has come to the client: on the loop, before its tick. NULL is nothing. */
void tg_coordinate_poll(struct tg_coordinate *co);

/** Gives back what the client holds, and ends; before the net is freed. NULL is nothing. */
void tg_coordinate_free(struct tg_coordinate *co);

#endif
