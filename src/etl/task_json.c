/* SPDX-License-Identifier: MIT */
/*
 * task_json.c - see task_json.h
 */
#include "etl/task_json.h"

#include "base/json.h"
#include "base/json_read.h"

enum { CHAT_MAX = 256, TENANT_MAX = 128 };

static void put_number(struct tg_json *j, const char *key, int64_t value)
{
    if (value)
        tg_json_key(j, key), tg_json_i64(j, value);
}

void tg_task_write(const struct tg_task_request *task, struct tg_buf *out)
{
    struct tg_json j;

    tg_json_init(&j, out);
    tg_json_object(&j);
    tg_json_key(&j, "chat"), tg_json_cstr(&j, task->chat);
    tg_json_key(&j, "priority"), tg_json_cstr(&j, tg_priority_name(task->priority));
    if (task->tenant)
        tg_json_key(&j, "tenant"), tg_json_cstr(&j, task->tenant);
    put_number(&j, "weight", task->weight);
    put_number(&j, "since", task->since);
    put_number(&j, "until", task->until);
    put_number(&j, "limit", task->limit);
    if (task->include_replies)
        tg_json_key(&j, "include_replies"), tg_json_bool(&j, true);
    tg_json_end_object(&j);
}

static bool take_priority(struct tg_json_in *in, enum tg_priority *ret)
{
    struct tg_buf name;
    bool found = false;

    tg_buf_init(&name, 64);
    tg_json_take_str(in, &name);
    for (unsigned i = 0; !name.failed && i < TG_PRIORITIES; i++) {
        if (strcmp(tg_buf_cstr(&name), tg_priority_name((enum tg_priority)i)) == 0) {
            *ret = (enum tg_priority)i;
            found = true;
        }
    }
    tg_buf_done(&name);
    return found;
}

tg_code tg_task_read(const void *text, size_t len, struct tg_task_text *ret, struct tg_error *err)
{
    struct tg_task_request *q = &ret->request;
    bool known = true;
    struct tg_json_in in;
    struct tg_str key;

    *ret = (struct tg_task_text){ .request.priority = TG_PRIORITY_NORMAL };
    tg_buf_init(&ret->chat, CHAT_MAX);
    tg_buf_init(&ret->tenant, TENANT_MAX);
    tg_json_in_init(&in, text, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("chat")))
            tg_json_take_str(&in, &ret->chat);
        else if (tg_str_eq(key, TG_STR("priority")))
            known &= take_priority(&in, &q->priority);
        else if (tg_str_eq(key, TG_STR("tenant")))
            tg_json_take_str(&in, &ret->tenant);
        else if (tg_str_eq(key, TG_STR("weight")))
            q->weight = (uint32_t)TG_MIN(tg_json_take_u64(&in), (uint64_t)UINT32_MAX);
        else if (tg_str_eq(key, TG_STR("since")))
            q->since = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("until")))
            q->until = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("limit")))
            q->limit = tg_json_take_i64(&in);
        else if (tg_str_eq(key, TG_STR("include_replies")))
            q->include_replies = tg_json_take_bool(&in);
        else
            known = false, tg_json_skip(&in);
    }
    if (!tg_json_in_done(&in) || ret->chat.failed || ret->tenant.failed)
        return tg_fail(err, TG_DATA, "it is no JSON object as a task is, or too long");
    if (!known)
        return tg_fail(err, TG_DATA, "it has a field that no task has, or another priority than "
                                     "high, normal, low");
    q->chat = tg_buf_cstr(&ret->chat);
    q->tenant = ret->tenant.len ? tg_buf_cstr(&ret->tenant) : NULL;
    if (strlen(q->chat) != ret->chat.len || (q->tenant && strlen(q->tenant) != ret->tenant.len))
        return tg_fail(err, TG_DATA, "a text of it has a zero byte");
    return TG_OK;
}

void tg_task_text_done(struct tg_task_text *t)
{
    tg_buf_done(&t->chat);
    tg_buf_done(&t->tenant);
}
