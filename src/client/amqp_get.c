/* SPDX-License-Identifier: MIT */
/*
 * amqp_get.c - messages that are got, and acknowledged; see amqp.h and amqp_impl.h
 */
#ifdef TG_HAVE_RABBITMQ

#include "client/amqp_impl.h"
#include "os/loop.h"

static int64_t header(const amqp_table_t *headers, const char *name)
{
    for (int i = 0; i < headers->num_entries; i++) {
        const amqp_table_entry_t *e = &headers->entries[i];

        if (e->key.len != strlen(name) || memcmp(e->key.bytes, name, e->key.len) != 0)
            continue;
        switch (e->value.kind) {
        case AMQP_FIELD_KIND_I64:
            return e->value.value.i64;
        case AMQP_FIELD_KIND_U64:
            return (int64_t)TG_MIN(e->value.value.u64, (uint64_t)INT64_MAX);
        case AMQP_FIELD_KIND_I32:
            return e->value.value.i32;
        case AMQP_FIELD_KIND_U32:
            return e->value.value.u32;
        default:
            return 0;
        }
    }
    return 0;
}

static uint32_t count_of(int64_t v)
{
    return (uint32_t)TG_MAX(TG_MIN(v, INT64_C(1000000)), INT64_C(0));
}

/* The message behind basic.get-ok: header, then the body in pieces. The library's own function
 * waits for them as long as it takes. */
static tg_code read_message(struct tg_amqp *a, struct tg_amqp_message *ret, struct tg_error *err)
{
    int64_t until_us = tg_clock_mono_us() + a->timeout_ms * TG_MS_US;
    bool begun = false;
    uint64_t left = 0;

    tg_buf_clear(&ret->body);
    while (!begun || left) {
        int64_t wait_us = TG_MAX(until_us - tg_clock_mono_us(), INT64_C(0));
        struct timeval timeout = time_of(wait_us / TG_MS_US + 1);
        amqp_frame_t f;
        int status = amqp_simple_wait_frame_noblock(a->c, &f, &timeout);
        tg_code code = rabbit_check_status(a, status, err);

        if (code != TG_OK)
            return code;
        if (f.frame_type == AMQP_FRAME_METHOD) { /* in place of a message: a goodbye */
            code = rabbit_refused(a, &(amqp_rpc_reply_t){ .reply = f.payload.method }, err);
            rabbit_hang_up(a);
            return code;
        }
        if (f.frame_type == AMQP_FRAME_HEADER && !begun) {
            const amqp_basic_properties_t *p = f.payload.properties.decoded;

            begun = true;
            left = f.payload.properties.body_size;
            if (p->_flags & AMQP_BASIC_HEADERS_FLAG) {
                ret->attempts = count_of(header(&p->headers, "attempts"));
                ret->deliveries = count_of(header(&p->headers, "x-delivery-count"));
            }
        } else if (f.frame_type == AMQP_FRAME_BODY && begun &&
                   f.payload.body_fragment.len <= left) {
            tg_buf_add(&ret->body, f.payload.body_fragment.bytes, f.payload.body_fragment.len);
            left -= f.payload.body_fragment.len;
        } else {
            return rabbit_check_status(a, AMQP_STATUS_UNEXPECTED_STATE, err);
        }
    }
    return TG_OK;
}

tg_code tg_amqp_get(struct tg_amqp *a, const char *queue, struct tg_amqp_message *ret,
                    struct tg_error *err)
{
    amqp_rpc_reply_t r;
    tg_code code = tg_amqp_connect(a, err);

    if (code != TG_OK)
        return code;
    r = amqp_basic_get(a->c, CHANNEL, bytes_of(queue), 0);
    code = rabbit_check(a, r, err);
    if (code != TG_OK)
        return code;
    if (r.reply.id == AMQP_BASIC_GET_EMPTY_METHOD) {
        amqp_maybe_release_buffers(a->c);
        return TG_AGAIN;
    }
    ret->epoch = a->epoch;
    ret->tag = ((amqp_basic_get_ok_t *)r.reply.decoded)->delivery_tag;
    ret->attempts = ret->deliveries = 0;
    code = read_message(a, ret, err);
    ret->deliveries++;
    if (code == TG_OK)
        amqp_maybe_release_buffers(a->c);
    return code;
}

tg_code tg_amqp_ack(struct tg_amqp *a, const struct tg_amqp_message *m, struct tg_error *err)
{
    if (!a->c || m->epoch != a->epoch)
        return tg_fail(err, TG_CONFLICT, "the connection that got the message is gone");
    return rabbit_check_status(a, amqp_basic_ack(a->c, CHANNEL, m->tag, 0), err);
}

#else
typedef int tg_amqp_get_is_absent; /* a translation unit may not be empty */
#endif
