/* SPDX-License-Identifier: MIT */
/*
 * kafka.c - rows as messages of a Kafka topic: `kafka://HOST:PORT[,...]/TOPIC[?create=PARTITIONS]`
 *
 *   attach  cursor read --> producer of that chat: takes back what another left open, shuts it out
 *           --> cursor read again (kafka_settle.c) --> written again with this run's fence
 *   commit  begin, rows, cursor: one transaction
 *
 * Readers with isolation.level=read_committed see each row once. Rows wait in memory (kafka_rows.c)
 * until their commit, so that a transaction is open for a moment only. All rows of a chat go to one
 * partition, in order; their key is the chat.
 *
 * A producer is some threads; there are as many as KAFKA_WRITERS at once, and the one whose commit
 * is longest ago makes room. Whoever makes a new producer for a chat shuts out the last one, also
 * one that has every right to write: so it is the fence in the cursor that tells who may. One that
 * was shut out reads the cursor, makes a producer if the fence there is its own, and does its
 * transaction again.
 *
 * A log cannot be taken back: a rollback sets the cursor back, and appends a message that says so
 * (kafka_impl.h). The rows come again behind it.
 *
 * Threads: one at a time; calls block      Limits: 64 MiB of rows in memory, then a temporary file
 */
#include <stdio.h>
#include <stdlib.h>

#include "sink/kafka_impl.h"

enum { ATTEMPTS = 4 };

static const char *const mechanism[] = { NULL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" };
static const char *const compression[] = { "zstd", "lz4", "gzip", "snappy", "none" };

static tg_code kafka_open(void *self, const char *target, const struct tg_sink_env *env,
                          struct tg_error *err)
{
    struct sink_kafka *s = self;

    s->env = env;
    tg_held_init(&s->chats);
    snprintf(s->suffix, sizeof s->suffix, "%s%s", env->series ? "." : "",
             env->series ? env->series : "");
    s->kafka.address = target;
    s->kafka.suffix = s->suffix;
    s->kafka.sasl = mechanism[s->sasl];
    s->kafka.compression = compression[s->compression];
    return tg_kafka_new(&s->kafka, &s->client, err);
}

static void drop(struct kafka_slot *slot)
{
    tg_kafka_writer_free(slot->writer);
    slot->writer = NULL;
}

static void kafka_close(void *self)
{
    struct sink_kafka *s = self;

    for (size_t i = 0; i < KAFKA_WRITERS; i++)
        drop(&s->slot[i]);
    tg_held_done(&s->chats);
    tg_kafka_free(s->client);
    s->client = NULL;
    free(s->recalled);
    s->recalled = NULL;
}

/* ---- producers ---- */

static struct kafka_slot *slot_of(struct sink_kafka *s, int64_t chat_id)
{
    for (size_t i = 0; i < KAFKA_WRITERS; i++)
        if (s->slot[i].writer && s->slot[i].chat_id == chat_id) {
            s->slot[i].used = ++s->uses;
            return &s->slot[i];
        }
    return NULL;
}

static tg_code make_slot(struct sink_kafka *s, int64_t chat_id, struct kafka_slot **ret,
                         struct tg_error *err)
{
    struct kafka_slot *slot = slot_of(s, chat_id);
    char id[KAFKA_NAME_MAX];

    for (size_t i = 0; !slot && i < KAFKA_WRITERS; i++)
        if (!s->slot[i].writer)
            slot = &s->slot[i];
    if (!slot) {
        slot = &s->slot[0];
        for (size_t i = 1; i < KAFKA_WRITERS; i++)
            if (s->slot[i].used < slot->used)
                slot = &s->slot[i];
    }
    drop(slot);
    slot->chat_id = chat_id;
    slot->used = ++s->uses;
    tg_kafka_sink_name(s, chat_id, id);
    *ret = slot;
    return tg_kafka_writer_new(s->client, id, &slot->writer, err);
}

void tg_kafka_sink_fill_cursor(const struct sink_kafka *s, const struct kafka_slot *slot,
                               const struct tg_held_chat *chat, const struct tg_commit *last,
                               struct tg_buf *out)
{
    struct kafka_cursor cursor = { .partition = slot->partition, .last = *last };

    snprintf(cursor.writer.job, sizeof cursor.writer.job, "%s", s->env->job);
    cursor.writer.fence = chat->fence;
    tg_buf_clear(out);
    tg_kafka_cursor_put(&cursor, out);
}

tg_code tg_kafka_sink_put_cursor(struct sink_kafka *s, const struct kafka_slot *slot,
                                 const struct tg_held_chat *chat, const struct tg_commit *last,
                                 struct tg_error *err)
{
    char group[KAFKA_NAME_MAX];
    struct tg_buf text;
    tg_code code;

    tg_kafka_sink_name(s, chat->id, group);
    tg_buf_init(&text, KAFKA_CURSOR_MAX);
    tg_kafka_sink_fill_cursor(s, slot, chat, last, &text);
    code = text.failed ? tg_fail(err, TG_LIMIT, "the job's name is too long for a cursor")
                       : tg_kafka_commit(slot->writer, group, tg_buf_cstr(&text), err);
    tg_buf_done(&text);
    return code;
}

/* ---- taking up ---- */

static tg_code may_take(const struct sink_kafka *s, const struct tg_held_chat *chat, tg_code read,
                        const struct kafka_cursor *there, const struct tg_fence *fence,
                        struct tg_error *err)
{
    if (read != TG_OK && read != TG_END)
        return read;
    return tg_held_may_take(chat, s->env->job, &there->writer, fence, tg_kafka_name(s->client),
                            "kafka://HOST:PORT/TOPIC", err);
}

/* Whoever is not allowed to finds out before it disturbs who is. */
static tg_code take(struct sink_kafka *s, struct tg_held_chat *chat, const struct tg_fence *fence,
                    struct tg_commit *ret, struct tg_error *err)
{
    struct kafka_cursor there;
    struct kafka_slot *slot;
    tg_code code = tg_kafka_sink_cursor(s, chat->id, TG_KAFKA_NOW, &there, err);

    code = may_take(s, chat, code, &there, fence, err);
    if (code == TG_OK)
        code = make_slot(s, chat->id, &slot, err);
    if (code != TG_OK)
        return code;
    code = may_take(s, chat, tg_kafka_sink_settle(s, slot, &there, err), &there, fence, err);
    if (code == TG_OK) {
        slot->partition = tg_kafka_sink_partition(s, chat->id, &there);
        chat->fence = *fence;
        code = tg_kafka_begin(slot->writer, err);
    }
    if (code == TG_OK)
        code = tg_kafka_sink_put_cursor(s, slot, chat, &there.last, err);
    if (code != TG_OK)
        drop(slot);
    else
        *ret = there.last;
    return code;
}

/* A producer that another one has shut out is made anew by whoever may write. */
static tg_code gave_up(const struct sink_kafka *s, struct tg_error *err)
{
    tg_fail(err, TG_SINK, "others shut this run out of %.200s again and again",
            tg_kafka_name(s->client));
    return tg_hint(err, "look whether other runs write the same chats to that topic");
}

static tg_code attach(struct sink_kafka *s, const struct tg_fence *fence,
                      struct tg_held_chat *chat, struct tg_error *err)
{
    struct tg_commit last;
    tg_code code = tg_kafka_look(s->client, err);

    if (code == TG_OK)
        code = TG_BUSY;
    for (int i = 0; code == TG_BUSY && i < ATTEMPTS; i++)
        code = take(s, chat, fence, &last, err);
    if (code == TG_OK)
        tg_held_attached(chat, fence, &last);
    return code == TG_BUSY ? gave_up(s, err) : code;
}

static tg_code kafka_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                            struct tg_commit *ret, struct tg_error *err)
{
    struct sink_kafka *s = self;
    struct tg_held_chat *chat = NULL;
    tg_code code = tg_held_take(&s->chats, chat_id, &chat, err);

    if (code != TG_OK)
        return code;
    tg_held_forget(chat);
    return tg_held_stands(chat, attach(s, fence, chat, err), ret);
}

static tg_code kafka_again(void *self, int64_t chat_id, const struct tg_fence *fence,
                           struct tg_commit *ret, struct tg_error *err)
{
    struct sink_kafka *s = self;
    struct tg_held_chat *chat = NULL;
    tg_code code = tg_held_take(&s->chats, chat_id, &chat, err);

    if (code != TG_OK)
        return code;
    tg_held_leave(chat);
    return tg_held_stands(chat, attach(s, fence, chat, err), ret);
}

/* A transaction that a run which is gone has left open is not waited for. */
static tg_code kafka_last(void *self, int64_t chat_id, struct tg_commit *ret, struct tg_error *err)
{
    struct sink_kafka *s = self;
    struct kafka_cursor cursor;
    struct kafka_slot *slot;
    tg_code code = tg_kafka_look(s->client, err);

    if (code == TG_OK)
        code = tg_kafka_sink_cursor(s, chat_id, TG_KAFKA_ASK, &cursor, err);
    if (code == TG_AGAIN) {
        code = make_slot(s, chat_id, &slot, err);
        if (code == TG_OK)
            code = tg_kafka_sink_settle(s, slot, &cursor, err);
        drop(slot);
    }
    if (code == TG_OK && !cursor.last.seq)
        code = TG_END;
    if (code == TG_OK)
        *ret = cursor.last;
    return code;
}

/* ---- writing ---- */

/* The chat's producer, made anew if it made room or was shut out. *ret NULL: the cursor tells that
 * the commit was done. A server that has lost the commit before, as one without replicas can, must
 * not get the next: the chat is to be taken up where its cursor stands. */
static tg_code own_slot(struct sink_kafka *s, const struct tg_held_chat *chat,
                        const struct tg_commit *commit, struct kafka_slot **ret,
                        struct tg_error *err)
{
    struct kafka_slot *slot = slot_of(s, chat->id);
    struct kafka_cursor there;
    tg_code code = TG_OK;

    for (int round = 0; round < 2 && code == TG_OK && !(round == 0 && slot); round++) {
        code = round ? tg_kafka_sink_settle(s, slot, &there, err)
                     : tg_kafka_sink_cursor(s, chat->id, TG_KAFKA_NOW, &there, err);
        if (code == TG_OK || code == TG_END)
            code = tg_held_still(chat, &there.writer, err);
        if (code == TG_OK && there.last.seq == commit->seq) {
            *ret = NULL;
            return TG_OK;
        }
        if (code == TG_OK && round && there.last.seq != chat->last.seq)
            code = tg_fail(err, TG_SINK, "%.200s tells commit %llu of chat %lld as its last, not "
                           "%llu", tg_kafka_name(s->client), (unsigned long long)there.last.seq,
                           (long long)chat->id, (unsigned long long)chat->last.seq);
        if (code == TG_OK && round == 0)
            code = make_slot(s, chat->id, &slot, err);
        if (code == TG_OK)
            slot->partition = there.partition;
    }
    *ret = slot;
    return code;
}

static tg_code kafka_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_kafka *s = self;
    struct tg_held_chat *chat = NULL;
    struct kafka_slot *slot;
    tg_code code = tg_held_begin_commit(&s->chats, commit, &chat, err);

    if (code != TG_OK)
        return code;
    code = TG_BUSY;
    for (int i = 0; code == TG_BUSY && i < ATTEMPTS; i++) {
        code = own_slot(s, chat, commit, &slot, err);
        if (code == TG_OK && !slot)
            break;
        if (code == TG_OK)
            code = tg_kafka_sink_put_all(s, slot, chat, commit, err);
        if (code != TG_OK && (slot = slot_of(s, chat->id)))
            drop(slot);
    }
    if (code == TG_BUSY)
        code = gave_up(s, err);
    return tg_held_end_commit(&s->chats, chat, commit, code);
}

/* ---- going back ---- */

/* @return TG_GAP if the topic keeps nothing of that commit any more */
static tg_code find_commit(struct sink_kafka *s, const struct kafka_slot *slot, int64_t chat_id,
                           uint64_t seq, struct tg_commit *ret, struct tg_error *err)
{
    struct kafka_commits commits;
    tg_code code = tg_kafka_commits(s, chat_id, slot->partition, &commits, err);
    size_t n;

    if (code != TG_OK)
        return code;
    for (n = commits.n; n && commits.at[n - 1].commit.seq > seq; n--)
        ;
    *ret = n ? commits.at[n - 1].commit : (struct tg_commit){ .cursor = { .chat_id = chat_id } };
    if (!n && seq && commits.kept_from > 0) {
        tg_fail(err, TG_GAP, "%.200s keeps nothing of commit %llu of chat %lld",
                tg_kafka_name(s->client), (unsigned long long)seq, (long long)chat_id);
        code = tg_hint(err, "choose a later checkpoint, or --number 0 for the beginning");
    }
    tg_kafka_commits_done(&commits);
    return code;
}

/* Tells in the log that what is behind a commit does not count. */
static tg_code put_rollback(struct sink_kafka *s, const struct kafka_slot *slot,
                            const struct tg_held_chat *chat, const struct tg_commit *goal,
                            struct tg_error *err)
{
    char key[24], seq[24];
    struct tg_kafka_message m = { .partition = slot->partition, .key = { key, 0 } };
    struct tg_buf cursor;
    tg_code code = tg_kafka_begin(slot->writer, err);

    if (code != TG_OK)
        return code;
    m.key.len = (uint32_t)snprintf(key, sizeof key, "%lld", (long long)chat->id);
    snprintf(seq, sizeof seq, "%llu", (unsigned long long)goal->seq);
    tg_buf_init(&cursor, KAFKA_CURSOR_MAX);
    tg_kafka_sink_fill_cursor(s, slot, chat, goal, &cursor);
    m.header[0] = (struct tg_kafka_header){ "tgdata.rollback", tg_str_of(seq) };
    m.header[1] = (struct tg_kafka_header){ "tgdata.cursor", tg_kafka_view(&cursor) };
    code = tg_kafka_send(slot->writer, &m, err);
    if (code == TG_OK)
        code = tg_kafka_sink_put_cursor(s, slot, chat, goal, err);
    tg_buf_done(&cursor);
    return code;
}

static tg_code kafka_rollback(void *self, int64_t chat_id, const struct tg_fence *fence,
                              uint64_t seq, struct tg_error *err)
{
    struct sink_kafka *s = self;
    struct tg_held_chat *chat = NULL;
    struct kafka_slot *slot;
    struct tg_commit goal;
    tg_code code = tg_held_take(&s->chats, chat_id, &chat, err);

    if (code != TG_OK)
        return code;
    tg_held_forget(chat);
    code = attach(s, fence, chat, err);
    tg_held_leave(chat);
    if (code != TG_OK)
        return code;
    slot = slot_of(s, chat_id);
    code = find_commit(s, slot, chat_id, seq, &goal, err);
    if (code == TG_OK)
        code = put_rollback(s, slot, chat, &goal, err);
    drop(slot);
    return code == TG_BUSY ? gave_up(s, err) : code;
}

static uint64_t kafka_bytes(const void *self)
{
    const struct sink_kafka *s = self;

    return s->chats.bytes;
}

#define OPTION(member, name, type, ...) TG_KAFKA_OPTION(sink_kafka, member, name, type, __VA_ARGS__)

static const struct tg_option kafka_option[] = {
    { .name = "format",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_kafka, format),
      .fallback = "json",
      .help = "what a message is: a row, or a change event",
      .choices = TG_MESSAGE_SINGLE },
    { .name = "stream",
      .type = TG_OPT_STR,
      .offset = offsetof(struct sink_kafka, stream),
      .fallback = "messages",
      .value = "NAME",
      .help = "what debezium calls the rows" },
    OPTION(partitions, "create", TG_OPT_I64, .min = 0, .max = 10000, .fallback = "0",
           .value = "PARTITIONS", .help = "make the topic, with so many, if it is not there"),
    { .name = "compression",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_kafka, compression),
      .fallback = "zstd",
      .help = "of what is sent and stored",
      .choices = "zstd|lz4|gzip|snappy|none" },
    OPTION(tls, "tls", TG_OPT_BOOL, .fallback = "no", .help = "connect by TLS"),
    OPTION(ca, "ca", TG_OPT_STR, .value = "FILE",
           .help = "certificates that the server's is checked with; the system's else"),
    OPTION(cert, "cert", TG_OPT_STR, .value = "FILE", .help = "own certificate"),
    OPTION(key, "key", TG_OPT_STR, .value = "FILE", .help = "key of the own certificate"),
    { .name = "sasl",
      .type = TG_OPT_CHOICE,
      .offset = offsetof(struct sink_kafka, sasl),
      .fallback = "none",
      .help = "log in by KAFKA_USERNAME and KAFKA_PASSWORD",
      .choices = "none|plain|scram-sha-256|scram-sha-512" },
    OPTION(login, "login", TG_OPT_STR, .value = "FILE",
           .help = "take USER:PASSWORD from a file instead"),
    OPTION(timeout_ms, "timeout", TG_OPT_MS, .fallback = "30s", .min = 1000, .max = 600000,
           .help = "longest wait for the server, a restart of it among others"),
    OPTION(transaction_ms, "transaction-timeout", TG_OPT_MS, .fallback = "60s", .min = 1000,
           .max = 900000,
           .help = "after that the server ends the transaction of a run that is gone"),
    { 0 },
};

const struct tg_sink_ops tg_sink_kafka = {
    .head = { "kafka", "a topic of Apache Kafka, in transactions: exactly once", kafka_option,
              sizeof(struct sink_kafka) },
    .open = kafka_open,
    .attach = kafka_attach,
    .again = kafka_again,
    .write = tg_kafka_sink_write,
    .commit = kafka_commit,
    .rollback = kafka_rollback,
    .scan = tg_kafka_sink_scan,
    .commits = tg_kafka_sink_commits,
    .last = kafka_last,
    .read = tg_kafka_sink_read,
    .chats = tg_kafka_sink_chats,
    .series = true,
    .bytes = kafka_bytes,
    .close = kafka_close,
};
