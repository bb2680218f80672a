/* SPDX-License-Identifier: MIT */
/*
 * kafka_look.c - what there is of a topic: partitions, settings, cursors; see kafka.h
 *
 * Requests of the library's admin interface are answered by an event on a queue; each is waited
 * for here, in slices, so that a login that is wrong is told at once.
 */
#ifdef TG_HAVE_KAFKA

#include "client/kafka_impl.h"

#include <stdio.h>

#include "os/loop.h"
#include "os/proc.h"

#define PAUSE_US (20 * TG_MS_US)
#define ASK_US (500 * TG_MS_US)

enum { MESSAGE_MAX_USUAL = 1000000, MESSAGE_MAX_MOST = 100000000, BATCH_HEAD = 512 };

/* ---- requests that an event answers ---- */

struct request {
    struct tg_kafka *k;
    rd_kafka_queue_t *queue;
    rd_kafka_AdminOptions_t *options;
};

static bool ask_begin(struct request *r, struct tg_kafka *k, rd_kafka_admin_op_t op)
{
    char why[200];

    *r = (struct request){ k, rd_kafka_queue_new(k->rk), rd_kafka_AdminOptions_new(k->rk, op) };
    rd_kafka_AdminOptions_set_request_timeout(r->options, (int)k->o.timeout_ms, why, sizeof why);
    return r->queue && r->options;
}

/* @return the event, to be destroyed; NULL, err filled */
static rd_kafka_event_t *answer(struct request *r, const char *what, struct tg_error *err)
{
    int64_t deadline = tg_kafka_deadline(r->k) + TG_SECOND_US;
    rd_kafka_event_t *event = NULL;
    rd_kafka_resp_err_t code;
    int slice;

    while (!event && (slice = tg_kafka_slice(deadline)) && !tg_kafka_hopeless(&r->k->trouble)) {
        event = rd_kafka_queue_poll(r->queue, slice);
        rd_kafka_poll(r->k->rk, 0);
    }
    code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (code == RD_KAFKA_RESP_ERR__TIMED_OUT)
        tg_kafka_timed_out(r->k, what, &r->k->trouble, err);
    else if (code)
        tg_kafka_failed(r->k, what, code, rd_kafka_event_error_string(event), err);
    else
        return event;
    if (event)
        rd_kafka_event_destroy(event);
    return NULL;
}

static void ask_end(struct request *r)
{
    if (r->options)
        rd_kafka_AdminOptions_destroy(r->options);
    if (r->queue)
        rd_kafka_queue_destroy(r->queue);
}

/* ---- the topic ---- */

static tg_code make_topic(struct tg_kafka *k, struct tg_error *err)
{
    static const char what[] = "make the topic";
    rd_kafka_NewTopic_t *topic;
    rd_kafka_event_t *event = NULL;
    struct request r;
    char why[200];
    tg_code code = TG_OK;

    topic = rd_kafka_NewTopic_new(k->topic, (int)k->o.partitions, -1, why, sizeof why);
    if (topic && ask_begin(&r, k, RD_KAFKA_ADMIN_OP_CREATETOPICS)) {
        rd_kafka_CreateTopics(k->rk, &topic, 1, r.options, r.queue);
        event = answer(&r, what, err);
        ask_end(&r);
    } else {
        tg_fail(err, TG_NOMEM, "could not %s: %.160s", what, topic ? "no memory" : why);
    }
    if (topic)
        rd_kafka_NewTopic_destroy(topic);
    if (event) {
        size_t n;
        const rd_kafka_topic_result_t **made =
            rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
        rd_kafka_resp_err_t e = n ? rd_kafka_topic_result_error(made[0])
                                  : RD_KAFKA_RESP_ERR_NO_ERROR;

        if (e && e != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            code = tg_kafka_failed(k, what, e, rd_kafka_topic_result_error_string(made[0]), err);
        rd_kafka_event_destroy(event);
        return code;
    }
    return err->code;
}

/* @return whether the answer told; *ret_error is the topic's, 0 if it is there */
static bool ask_metadata(struct tg_kafka *k, int slice, rd_kafka_resp_err_t *ret_error)
{
    const struct rd_kafka_metadata *found;
    rd_kafka_resp_err_t code = rd_kafka_metadata(k->rk, 0, k->rkt, &found, slice);

    rd_kafka_poll(k->rk, 0);
    if (code) {
        *ret_error = code;
        return false;
    }
    *ret_error = found->topic_cnt == 1 ? found->topics[0].err : RD_KAFKA_RESP_ERR__BAD_MSG;
    k->partitions = found->topic_cnt == 1 ? found->topics[0].partition_cnt : 0;
    rd_kafka_metadata_destroy(found);
    return *ret_error != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE && (*ret_error || k->partitions);
}

static tg_code find_topic(struct tg_kafka *k, struct tg_error *err)
{
    int64_t deadline = tg_kafka_deadline(k);
    rd_kafka_resp_err_t found = RD_KAFKA_RESP_ERR_NO_ERROR;
    bool told = false, made = false;
    tg_code code = TG_OK;
    int slice;

    while (code == TG_OK && (!told || found) && !tg_kafka_hopeless(&k->trouble) &&
           (slice = tg_kafka_slice(deadline))) {
        told = ask_metadata(k, slice, &found);
        if (!told || !found)
            continue;
        if (found != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || !k->o.partitions)
            return tg_kafka_failed(k, "find the topic", found, NULL, err);
        if (!made)
            code = make_topic(k, err);
        made = true;
    }
    if (code != TG_OK || (told && !found))
        return code;
    return tg_kafka_timed_out(k, "reach the server", &k->trouble, err);
}

/* What a user may not see stays as it usually is. */
static tg_code take_settings(struct tg_kafka *k, rd_kafka_event_t *event, struct tg_error *err)
{
    size_t n = 0, n_entries = 0;
    rd_kafka_ConfigResource_t const **found =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(event), &n);
    const rd_kafka_ConfigEntry_t **entry =
        n == 1 && !rd_kafka_ConfigResource_error(found[0])
            ? rd_kafka_ConfigResource_configs(found[0], &n_entries) : NULL;

    for (size_t i = 0; i < n_entries; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entry[i]);
        const char *value = rd_kafka_ConfigEntry_value(entry[i]);
        int64_t number;

        if (value && strcmp(name, "max.message.bytes") == 0 && tg_i64_parse(value, &number))
            k->message_max = (size_t)TG_MIN(TG_MAX(number - BATCH_HEAD, (int64_t)1024),
                                            (int64_t)MESSAGE_MAX_MOST);
        if (value && strcmp(name, "cleanup.policy") == 0 && strstr(value, "compact")) {
            tg_fail(err, TG_IO, "topic '%.120s' is compacted: it keeps one message of each chat",
                    k->topic);
            return tg_hint(err, "name a topic with cleanup.policy=delete");
        }
    }
    return TG_OK;
}

static tg_code look_at_settings(struct tg_kafka *k, struct tg_error *err)
{
    rd_kafka_ConfigResource_t *about = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC,
                                                                   k->topic);
    rd_kafka_event_t *event = NULL;
    struct request r = { k, NULL, NULL };
    tg_code code;

    k->message_max = MESSAGE_MAX_USUAL;
    if (!about || !ask_begin(&r, k, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS)) {
        code = tg_fail(err, TG_NOMEM, "no memory to ask for a topic's settings");
    } else {
        rd_kafka_DescribeConfigs(k->rk, &about, 1, r.options, r.queue);
        event = answer(&r, "read the topic's settings", err);
        code = event ? take_settings(k, event, err) : err->code;
    }
    if (event)
        rd_kafka_event_destroy(event);
    if (about)
        rd_kafka_ConfigResource_destroy(about);
    ask_end(&r);
    return code;
}

tg_code tg_kafka_look(struct tg_kafka *k, struct tg_error *err)
{
    static const char *const more[][2] = {
        { "isolation.level", "read_committed" },
        { "enable.partition.eof", "true" },
        { "enable.auto.commit", "false" },
        { "auto.offset.reset", "earliest" },
        { "fetch.wait.max.ms", "50" },
        { "queued.max.messages.kbytes", "16384" },
        { "message.max.bytes", "100000000" },
        { NULL, NULL },
    };
    tg_code code;

    if (k->partitions)
        return TG_OK;
    if (!k->rk) {
        k->rk = tg_kafka_handle(k, RD_KAFKA_CONSUMER, more, &k->trouble, err);
        k->rkt = k->rk ? rd_kafka_topic_new(k->rk, k->topic, NULL) : NULL;
        if (!k->rkt)
            return k->rk ? tg_fail(err, TG_NOMEM, "no memory for a topic") : err->code;
    }
    k->trouble.code = RD_KAFKA_RESP_ERR_NO_ERROR;
    code = find_topic(k, err);
    if (code == TG_OK)
        code = look_at_settings(k, err);
    if (code != TG_OK)
        k->partitions = 0;
    return code;
}

int32_t tg_kafka_partitions(const struct tg_kafka *k)
{
    return k->partitions;
}

int32_t tg_kafka_partition_of(const struct tg_kafka *k, const char *key)
{
    return rd_kafka_msg_partitioner_murmur2(k->rkt, key, strlen(key), k->partitions, NULL, NULL);
}

size_t tg_kafka_message_max(const struct tg_kafka *k)
{
    return k->message_max;
}

/* ---- cursors ---- */

static const char reading[] = "read a cursor";

/* What a member of a group is told beside answers. */
static void take_trouble(rd_kafka_t *rk, struct kafka_trouble *trouble)
{
    rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 0);

    if (m && m->err) {
        trouble->code = m->err;
        snprintf(trouble->text, sizeof trouble->text, "%s", rd_kafka_message_errstr(m));
    }
    if (m)
        rd_kafka_message_destroy(m);
}

static tg_code take_cursor(struct tg_kafka *k, const rd_kafka_topic_partition_t *at,
                           struct tg_buf *ret, struct tg_error *err)
{
    if (at->err)
        return tg_kafka_failed(k, reading, at->err, NULL, err);
    if (at->offset < 0 || !at->metadata_size)
        return TG_END;
    tg_buf_add(ret, at->metadata, at->metadata_size);
    return ret->failed ? tg_fail(err, TG_NOMEM, "no memory for a cursor") : TG_OK;
}

/*
 * A group's offset is asked for by a member of the group, which has a handle of its own: requests
 * of others (ListConsumerGroupOffsets) end version 2.0 of the library by a NULL pointer when the
 * server says that it is not the group's coordinator.
 */
tg_code tg_kafka_cursor(struct tg_kafka *k, const char *group, enum tg_kafka_open open,
                        struct tg_buf *ret, struct tg_error *err)
{
    const char *const more[][2] = {
        { "group.id", group },
        { "isolation.level", open == TG_KAFKA_NOW ? "read_uncommitted" : "read_committed" },
        { "enable.auto.commit", "false" },
        { NULL, NULL },
    };
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    int64_t deadline = open == TG_KAFKA_ASK ? tg_clock_mono_us() + ASK_US : tg_kafka_deadline(k);
    rd_kafka_resp_err_t e = RD_KAFKA_RESP_ERR__TIMED_OUT;
    struct kafka_trouble trouble;
    rd_kafka_t *rk = tg_kafka_handle(k, RD_KAFKA_CONSUMER, more, &trouble, err);
    tg_code code;
    int slice;

    rd_kafka_topic_partition_list_add(list, k->topic, 0);
    while (rk && e && (slice = tg_kafka_slice(deadline)) && !tg_kafka_hopeless(&trouble) &&
           (e == RD_KAFKA_RESP_ERR__TIMED_OUT || tg_kafka_passes(e))) {
        if (e != RD_KAFKA_RESP_ERR__TIMED_OUT)
            tg_sleep_us(PAUSE_US);
        e = rd_kafka_committed(rk, list, slice);
        rd_kafka_poll(rk, 0);
        if (e)
            take_trouble(rk, &trouble);
    }
    if (!rk)
        code = err->code;
    else if (!e)
        code = take_cursor(k, &list->elems[0], ret, err);
    else if (open == TG_KAFKA_ASK && (e == RD_KAFKA_RESP_ERR__TIMED_OUT || tg_kafka_passes(e)))
        code = TG_AGAIN;
    else
        code = e == RD_KAFKA_RESP_ERR__TIMED_OUT ? tg_kafka_timed_out(k, reading, &trouble, err)
                                                 : tg_kafka_failed(k, reading, e, NULL, err);
    rd_kafka_topic_partition_list_destroy(list);
    if (rk)
        rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return code;
}

tg_code tg_kafka_groups(struct tg_kafka *k, tg_kafka_group seen, void *ctx, struct tg_error *err)
{
    const rd_kafka_ConsumerGroupListing_t **group;
    const rd_kafka_ListConsumerGroups_result_t *found;
    rd_kafka_event_t *event = NULL;
    struct request r;
    size_t n = 0, n_refused = 0;
    const rd_kafka_error_t **refused;
    tg_code code;

    if (!ask_begin(&r, k, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS)) {
        code = tg_fail(err, TG_NOMEM, "no memory to ask for groups");
    } else {
        rd_kafka_ListConsumerGroups(k->rk, r.options, r.queue);
        event = answer(&r, "list the groups", err);
        code = event ? TG_OK : err->code;
    }
    if (event) {
        found = rd_kafka_event_ListConsumerGroups_result(event);
        refused = rd_kafka_ListConsumerGroups_result_errors(found, &n_refused);
        group = rd_kafka_ListConsumerGroups_result_valid(found, &n);
        if (n_refused)
            code = tg_kafka_failed(k, "list the groups", rd_kafka_error_code(refused[0]),
                                   rd_kafka_error_string(refused[0]), err);
        for (size_t i = 0; code == TG_OK && i < n; i++)
            code = seen(ctx, rd_kafka_ConsumerGroupListing_group_id(group[i]), err);
        rd_kafka_event_destroy(event);
    }
    ask_end(&r);
    return code;
}

#else
typedef int tg_kafka_look_is_absent; /* a translation unit may not be empty */
#endif
