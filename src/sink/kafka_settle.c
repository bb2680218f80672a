/* SPDX-License-Identifier: MIT */
/*
 * kafka_settle.c - where a chat stands after a server was killed; see kafka_impl.h
 *
 * The end of a transaction is first noted by the server (from then on it is certain), then marked
 * in every partition that it wrote to. Whoever makes a producer waits until all of that was done
 * for the one before it, so that the cursor can be read at once. A broker without others that is
 * killed between note and marks forgets the marks: when it takes up the note, it does not know
 * itself as a leader yet, takes the partitions for deleted and the transaction for done. The cursor
 * then seems to be of a transaction that is open, for ever; as do the rows for readers.
 *
 *   cursor open though nobody writes --> a transaction of ours into the same two partitions, taken
 *   back: what hung there is gone --> rows that were marked are there, with their commit: the
 *   greater one of topic and cursor is where the chat stands
 *
 * If neither was marked, the rows are gone with the cursor, and come again.
 */
#include <stdio.h>

#include "sink/kafka_impl.h"

enum { ASKED = 4 };

int32_t tg_kafka_sink_partition(const struct sink_kafka *s, int64_t chat_id,
                                const struct kafka_cursor *cursor)
{
    char key[24];

    snprintf(key, sizeof key, "%lld", (long long)chat_id);
    return cursor->partition >= 0 ? cursor->partition : tg_kafka_partition_of(s->client, key);
}

/* @return TG_AGAIN if the cursor hangs, and not only its server, which tells where it stood before:
 * that is written then */
static tg_code look(struct sink_kafka *s, int64_t chat_id, struct kafka_cursor *ret,
                    struct tg_error *err)
{
    tg_code code;

    for (int i = 0; i < ASKED; i++) {
        code = tg_kafka_sink_cursor(s, chat_id, TG_KAFKA_ASK, ret, err);
        if (code != TG_AGAIN)
            return code;
        code = tg_kafka_sink_cursor(s, chat_id, TG_KAFKA_NOW, ret, err);
        if (code != TG_OK && code != TG_END)
            return code;
    }
    return TG_AGAIN;
}

static tg_code end_what_hangs(struct sink_kafka *s, const struct kafka_slot *slot,
                              int32_t partition, struct tg_error *err)
{
    struct tg_kafka_message nothing = { .partition = partition };
    char group[KAFKA_NAME_MAX], key[24];
    tg_code code = tg_kafka_begin(slot->writer, err);

    nothing.key = (struct tg_str){ key, (uint32_t)snprintf(key, sizeof key, "%lld",
                                                           (long long)slot->chat_id) };
    tg_kafka_sink_name(s, slot->chat_id, group);
    if (code == TG_OK)
        code = tg_kafka_send(slot->writer, &nothing, err);
    return code == TG_OK ? tg_kafka_abort(slot->writer, group, err) : code;
}

static tg_code add_what_was_marked(struct sink_kafka *s, int64_t chat_id, int32_t partition,
                                   struct kafka_cursor *cursor, struct tg_error *err)
{
    struct kafka_commits commits;
    tg_code code = tg_kafka_commits(s, chat_id, partition, &commits, err);

    if (code != TG_OK)
        return code;
    if (commits.n && commits.at[commits.n - 1].commit.seq > cursor->last.seq) {
        cursor->last = commits.at[commits.n - 1].commit;
        cursor->partition = partition;
    }
    tg_kafka_commits_done(&commits);
    return TG_OK;
}

tg_code tg_kafka_sink_settle(struct sink_kafka *s, const struct kafka_slot *slot,
                             struct kafka_cursor *ret, struct tg_error *err)
{
    int64_t chat_id = slot->chat_id;
    tg_code code = look(s, chat_id, ret, err), marked;
    int32_t partition;

    if (code != TG_AGAIN)
        return code;
    partition = tg_kafka_sink_partition(s, chat_id, ret);
    code = end_what_hangs(s, slot, partition, err);
    if (code == TG_OK)
        code = tg_kafka_sink_cursor(s, chat_id, TG_KAFKA_WAIT, ret, err);
    if (code != TG_OK && code != TG_END)
        return code;
    marked = add_what_was_marked(s, chat_id, partition, ret, err);
    return marked == TG_OK ? code : marked;
}
