/* SPDX-License-Identifier: MIT */
/*
 * push_impl.h - what each kind of push has of its own
 */
#ifndef TG_OBSERVE_PUSH_IMPL_H
#define TG_OBSERVE_PUSH_IMPL_H

#include "observe/push.h"

/* Readers of the registry. */
enum {
    TG_PUSH_READER_STATSD,
    TG_PUSH_READER_CLOUDWATCH,
    TG_PUSH_READER_ALL, /* takes nothing: all is new to it */
};

struct tg_push_type {
    const char *name;
    tg_code (*open)(const struct tg_push_options *o, void **ret, struct tg_error *err);
    tg_code (*send)(void *self, const struct tg_push_options *o, struct tg_error *err);
    void (*close)(void *self); /* of what open made */
};

extern const struct tg_push_type tg_push_endpoint, tg_push_statsd, tg_push_cloudwatch;

#endif
