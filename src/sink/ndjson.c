/* SPDX-License-Identifier: MIT */
/*
 * ndjson.c - rows as lines of JSON in files: `ndjson:DIR`
 *
 * Each chat has a directory of its own, DIR/chat_<id>, with numbered parts (parts.h says how a
 * commit is made safe). One buffer serves all chats: it belongs to the chat that was written to
 * last, and is written out when another's turn comes, when it is full, or at a commit.
 *
 * Two processes may meet in one DIR when a run takes over from one that was stopped: the older one
 * is shut out chat by chat (parts_fence.c). Reading (scan, commits) disturbs nobody.
 *
 * Threads: one at a time
 * Limits:  256 KiB of buffer; a row of up to 80 MiB; 65536 chats in one run
 */
#include <assert.h>
#include <stdlib.h>

#include "base/json_read.h"
#include "sink/parts.h"

enum {
    BUFFER = 256 * 1024,
    FLUSH_AT = BUFFER - 32 * 1024, /* so that a usual row never makes the buffer grow */
    ROW_MAX = 80 << 20,
    CHATS_MAX = 65536,
    AHEAD_MAX = 512,
    BATCH_BYTES = 16 << 20, /* of rows that are read back: then they are given away */
};

static const char suffix[] = ".ndjson";

struct sink_ndjson {
    const struct tg_sink_env *env;
    const char *root; /* borrowed from the URL */
    struct tg_parts **chat;
    size_t n_chats;
    struct tg_buf buffer;
    struct tg_parts *owner; /* whose rows are in the buffer; NULL: it is empty */
    uint64_t buffered_rows;
    uint64_t bytes;
};

static tg_code ndjson_open(void *self, const char *target, const struct tg_sink_env *env,
                           struct tg_error *err)
{
    struct sink_ndjson *s = self;

    s->env = env;
    s->root = target;
    tg_buf_init(&s->buffer, ROW_MAX + BUFFER);
    if (!*target) {
        tg_fail(err, TG_USAGE, "no directory is named for the output");
        return tg_hint(err, "write it as ndjson:DIR");
    }
    if (strncmp(target, "//", 2) == 0) {
        tg_fail(err, TG_USAGE, "'%.200s' is no path of a directory", target);
        return tg_hint(err, "write it without '//': ndjson:DIR");
    }
    if (!tg_buf_grow(&s->buffer, BUFFER))
        return tg_fail(err, TG_NOMEM, "output buffer");
    return TG_OK;
}

static struct tg_parts *find_chat(struct sink_ndjson *s, int64_t chat_id)
{
    for (size_t i = 0; i < s->n_chats; i++)
        if (s->chat[i]->chat_id == chat_id)
            return s->chat[i];
    return NULL;
}

/* Drops what is buffered for a chat. */
static void forget(struct sink_ndjson *s, const struct tg_parts *chat)
{
    if (s->owner != chat)
        return;
    s->owner = NULL;
    s->buffered_rows = 0;
    if (s->buffer.cap > 2 * BUFFER) { /* one outsize row must not hold memory for good */
        tg_buf_done(&s->buffer);
        tg_buf_grow(&s->buffer, BUFFER);
    }
    tg_buf_clear(&s->buffer);
}

static tg_code flush(struct sink_ndjson *s, struct tg_error *err)
{
    struct tg_parts *chat = s->owner;
    tg_code code = TG_OK;

    if (chat && s->buffer.len) {
        code = tg_parts_write(chat, s->buffer.data, s->buffer.len, s->buffered_rows, err);
        s->bytes += s->buffer.len;
    }
    forget(s, chat);
    return code;
}

/* Appends an empty slot for a chat. */
static tg_code add_chat(struct sink_ndjson *s, struct tg_parts **ret, struct tg_error *err)
{
    struct tg_parts **more, *chat;

    if (s->n_chats == CHATS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d chats in one run", CHATS_MAX);
    more = reallocarray(s->chat, s->n_chats + 1, sizeof(struct tg_parts *));
    if (more)
        s->chat = more;
    chat = more ? calloc(1, sizeof *chat) : NULL;
    if (!chat)
        return tg_fail(err, TG_NOMEM, "one more chat");
    s->chat[s->n_chats++] = chat;
    *ret = chat;
    return TG_OK;
}

static tg_code take_chat(struct sink_ndjson *s, int64_t chat_id, struct tg_parts **ret,
                         struct tg_error *err)
{
    struct tg_parts *chat = find_chat(s, chat_id);
    tg_code code;

    if (chat) {
        forget(s, chat);
        *ret = chat;
        return TG_OK;
    }
    code = add_chat(s, &chat, err);
    if (code == TG_OK)
        code = tg_parts_init(chat, s->env, s->root, chat_id, suffix, err);
    if (code == TG_OK)
        *ret = chat;
    return code;
}

static tg_code ndjson_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                             struct tg_commit *ret, struct tg_error *err)
{
    struct tg_parts *chat;
    tg_code code = take_chat(self, chat_id, &chat, err);

    return code == TG_OK ? tg_parts_attach(chat, fence, ret, err) : code;
}

static tg_code not_taken(int64_t chat_id, struct tg_error *err)
{
    return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up", (long long)chat_id);
}

static tg_code ndjson_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                            struct tg_error *err)
{
    struct sink_ndjson *s = self;
    struct tg_parts *chat = find_chat(s, batch->cursor.chat_id);
    tg_code code = TG_OK;

    assert(from <= batch->n && n <= batch->n - from);
    if (!chat || !chat->attached)
        return not_taken(batch->cursor.chat_id, err);
    if (s->owner && s->owner != chat)
        code = flush(s, err);
    if (code != TG_OK)
        return code;
    s->owner = chat;
    for (size_t i = from; i < from + n; i++) {
        /* another thread has filled the rows, and read the replies in which texts stand */
        if (i + 2 < batch->n)
            tg_fetch(&batch->row[i + 2], sizeof batch->row[i]);
        if (i + 1 < batch->n)
            tg_fetch(batch->row[i + 1].text.at, TG_MIN(batch->row[i + 1].text.len, AHEAD_MAX));
        tg_row_json(&batch->row[i], &s->buffer);
        tg_buf_byte(&s->buffer, '\n');
        s->buffered_rows++;
        if (s->buffer.failed) {
            tg_fail(err, TG_LIMIT, "a row of chat %lld is larger than %d MiB, or no memory is left",
                    (long long)chat->chat_id, ROW_MAX >> 20);
            forget(s, chat);
            tg_parts_abort(chat);
            return err->code;
        }
        if (s->buffer.len >= FLUSH_AT) {
            code = flush(s, err);
            if (code != TG_OK)
                return code;
            s->owner = chat;
        }
    }
    return TG_OK;
}

static tg_code ndjson_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct sink_ndjson *s = self;
    struct tg_parts *chat = find_chat(s, commit->cursor.chat_id);
    tg_code code = TG_OK;

    if (!chat || !chat->attached)
        return not_taken(commit->cursor.chat_id, err);
    if (s->owner == chat)
        code = flush(s, err);
    return code == TG_OK ? tg_parts_commit(chat, commit, err) : code;
}

static tg_code ndjson_rollback(void *self, int64_t chat_id, const struct tg_fence *fence,
                               uint64_t seq, struct tg_error *err)
{
    struct tg_parts *chat;
    tg_code code = take_chat(self, chat_id, &chat, err);

    return code == TG_OK ? tg_parts_rollback(chat, fence, seq, err) : code;
}

/* ---- scan ---- */

struct line_scan {
    tg_sink_seen seen;
    void *ctx;
    struct tg_batch *batch; /* rows are read into it, instead of being seen; NULL: no */
    tg_sink_taken taken;
    struct tg_cursor behind;
    struct tg_buf rest; /* the beginning of a line whose end is in the next block */
    uint64_t rows;      /* of this part */
};

static tg_code bad_line(const struct line_scan *scan, const struct tg_manifest *part,
                        const char *how, struct tg_error *err)
{
    return tg_fail(err, TG_CORRUPT, "line %llu of part %llu of chat %lld %s",
                   (unsigned long long)scan->rows + 1, (unsigned long long)part->part,
                   (long long)part->chat_id, how);
}

/* Gives the rows that were read so far away. */
static tg_code give_batch(struct line_scan *scan, struct tg_error *err)
{
    tg_code code = scan->batch->n ? scan->taken(scan->ctx, scan->batch, err) : TG_OK;

    tg_batch_clear(scan->batch);
    return code;
}

static tg_code read_line(struct line_scan *scan, const struct tg_manifest *part, const char *line,
                         size_t len, struct tg_error *err)
{
    struct tg_batch *b = scan->batch;
    tg_code code = tg_row_read(b, line, len, err);

    if (code == TG_DATA)
        return bad_line(scan, part, "is not the JSON of a row", err);
    if (code != TG_OK)
        return code;
    scan->rows++;
    return b->n == b->cap || b->bytes >= BATCH_BYTES ? give_batch(scan, err) : TG_OK;
}

static tg_code take_line(struct line_scan *scan, const struct tg_manifest *part, const char *line,
                         size_t len, struct tg_error *err)
{
    int64_t chat_id = 0, id = 0;
    unsigned found = 0;
    struct tg_json_in in;
    struct tg_str key;

    if (scan->batch)
        return read_line(scan, part, line, len, err);
    tg_json_in_init(&in, line, len);
    for (tg_json_enter(&in, '{'); tg_json_next_key(&in, &key);) {
        if (tg_str_eq(key, TG_STR("chat_id"))) {
            chat_id = tg_json_take_i64(&in);
            found += 1;
        } else if (tg_str_eq(key, TG_STR("id"))) {
            id = tg_json_take_i64(&in);
            found += 16;
        } else {
            tg_json_skip(&in);
        }
    }
    if (!tg_json_in_done(&in))
        return bad_line(scan, part, "is no JSON object", err);
    if (found != 17) /* once each */
        return bad_line(scan, part, "has not one chat_id and one id", err);
    scan->rows++;
    return scan->seen(scan->ctx, chat_id, id) ? TG_OK : TG_END;
}

static tg_code end_of_part(struct line_scan *scan, const struct tg_manifest *part,
                           struct tg_error *err)
{
    uint64_t rows = scan->rows;

    if (scan->rest.len)
        return bad_line(scan, part, "has no end", err);
    scan->rows = 0;
    if (rows != part->commit.rows)
        return tg_fail(err, TG_CORRUPT,
                       "part %llu of chat %lld has %llu rows, its manifest tells %llu",
                       (unsigned long long)part->part, (long long)part->chat_id,
                       (unsigned long long)rows, (unsigned long long)part->commit.rows);
    return TG_OK;
}

static tg_code scan_block(void *ctx, const struct tg_manifest *part, const void *bytes, size_t len,
                          struct tg_error *err)
{
    struct line_scan *scan = ctx;
    const char *at = bytes, *end = at + len;
    tg_code code = TG_OK;

    if (len == 0)
        return end_of_part(scan, part, err);
    while (code == TG_OK && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((newline ? newline : end) - at);

        if (!newline || scan->rest.len)
            tg_buf_add(&scan->rest, at, n);
        if (scan->rest.failed)
            return bad_line(scan, part, "is too long", err);
        if (!newline)
            break;
        if (scan->rest.len) {
            code = take_line(scan, part, (const char *)scan->rest.data, scan->rest.len, err);
            tg_buf_clear(&scan->rest);
        } else {
            code = take_line(scan, part, at, n, err);
        }
        at = newline + 1;
    }
    return code;
}

static bool is_wanted(void *ctx, const struct tg_manifest *part)
{
    const struct line_scan *scan = ctx;
    const struct tg_cursor *end = &part->commit.cursor;

    return !scan->batch || end->segment > scan->behind.segment ||
           (end->segment == scan->behind.segment && end->id > scan->behind.id);
}

static tg_code scan_chat(struct sink_ndjson *s, int64_t chat_id, struct line_scan *scan,
                         struct tg_error *err)
{
    const struct tg_parts_reader reader = { is_wanted, scan_block, scan };
    struct tg_parts chat; /* of its own: a scan must not disturb what is being written */
    tg_code code = tg_parts_init(&chat, s->env, s->root, chat_id, suffix, err);

    tg_buf_init(&scan->rest, ROW_MAX);
    if (code == TG_OK)
        code = tg_parts_scan(&chat, &reader, err);
    tg_buf_done(&scan->rest);
    tg_parts_done(&chat);
    return code;
}

static tg_code ndjson_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                           struct tg_error *err)
{
    struct line_scan scan = { .seen = seen, .ctx = ctx };

    return scan_chat(self, chat_id, &scan, err);
}

static tg_code ndjson_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                           struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                           struct tg_error *err)
{
    struct line_scan scan = { .ctx = ctx, .batch = batch, .taken = taken, .behind = *behind };
    tg_code code = scan_chat(self, chat_id, &scan, err);

    return code == TG_OK ? give_batch(&scan, err) : code;
}

static tg_code ndjson_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                              struct tg_error *err)
{
    struct sink_ndjson *s = self;
    struct tg_parts chat;
    tg_code code = tg_parts_init(&chat, s->env, s->root, chat_id, suffix, err);

    if (code == TG_OK)
        code = tg_parts_commits(&chat, seen, ctx, err);
    tg_parts_done(&chat);
    return code;
}

static uint64_t ndjson_bytes(const void *self)
{
    const struct sink_ndjson *s = self;

    return s->bytes + s->buffer.len;
}

static void ndjson_close(void *self)
{
    struct sink_ndjson *s = self;

    for (size_t i = 0; i < s->n_chats; i++) {
        tg_parts_done(s->chat[i]);
        free(s->chat[i]);
    }
    free(s->chat);
    s->chat = NULL;
    s->n_chats = 0;
    tg_buf_done(&s->buffer);
    s->owner = NULL;
}

static const struct tg_option ndjson_option[] = { { 0 } };

const struct tg_sink_ops tg_sink_ndjson = {
    .head = { "ndjson", "lines of JSON in files, a directory per chat", ndjson_option,
              sizeof(struct sink_ndjson) },
    .open = ndjson_open,
    .attach = ndjson_attach,
    .write = ndjson_write,
    .commit = ndjson_commit,
    .rollback = ndjson_rollback,
    .scan = ndjson_scan,
    .read = ndjson_read,
    .commits = ndjson_commits,
    .series = true,
    .bytes = ndjson_bytes,
    .close = ndjson_close,
};
