/* SPDX-License-Identifier: MIT */
/*
 * files.c - see files.h
 */
#include "sink/files.h"

#include <assert.h>
#include <stdlib.h>

enum {
    BUFFER = 256 * 1024,
    FLUSH_AT = BUFFER - 32 * 1024, /* so that a usual row never makes the buffer grow */
    ROW_MAX = 80 << 20,
    CHATS_MAX = 65536,
    AHEAD_MAX = 512,
    HELD_MAX = 64 << 20,
    BATCH_BYTES = 16 << 20, /* of rows that are read back: then they are given away */
};

tg_code tg_files_open(struct tg_files *s, const struct tg_file_format *format, const char *target,
                      const struct tg_sink_env *env, struct tg_error *err)
{
    s->format = format;
    s->env = env;
    s->root = target;
    s->room.most = HELD_MAX;
    tg_buf_init(&s->buffer, ROW_MAX + BUFFER);
    if (!*target) {
        tg_fail(err, TG_USAGE, "no directory is named for the output");
        return tg_hint(err, "write it as %s:DIR", format->name);
    }
    if (strncmp(target, "//", 2) == 0) {
        tg_fail(err, TG_USAGE, "'%.200s' is no path of a directory", target);
        return tg_hint(err, "write it without '//': %s:DIR", format->name);
    }
    if (!tg_buf_grow(&s->buffer, BUFFER))
        return tg_fail(err, TG_NOMEM, "output buffer");
    return TG_OK;
}

static struct tg_file_chat *find_chat(struct tg_files *s, int64_t chat_id)
{
    for (size_t i = 0; i < s->n_chats; i++)
        if (s->chat[i]->parts.chat_id == chat_id)
            return s->chat[i];
    return NULL;
}

/* Drops what is buffered for a chat. */
static void forget(struct tg_files *s, const struct tg_parts *chat)
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

static tg_code flush(struct tg_files *s, struct tg_error *err)
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

/* Another chat's rows are to be buffered. That these are lost is told when their own chat is
 * written or committed next. */
static void flush_other(struct tg_files *s)
{
    struct tg_file_chat *chat = find_chat(s, s->owner->chat_id);
    struct tg_error why;

    if (flush(s, &why) == TG_OK)
        return;
    chat->late = malloc(sizeof why); /* without memory it is told that the chat was not taken up */
    if (chat->late)
        *chat->late = why;
}

/* Appends an empty slot for a chat. */
static tg_code add_chat(struct tg_files *s, struct tg_file_chat **ret, struct tg_error *err)
{
    struct tg_file_chat **more, *chat;

    if (s->n_chats == CHATS_MAX)
        return tg_fail(err, TG_LIMIT, "more than %d chats in one run", CHATS_MAX);
    more = reallocarray(s->chat, s->n_chats + 1, sizeof(struct tg_file_chat *));
    if (more)
        s->chat = more;
    chat = more ? calloc(1, sizeof *chat) : NULL;
    if (!chat)
        return tg_fail(err, TG_NOMEM, "one more chat");
    tg_staged_init(&chat->rows, &s->room);
    s->chat[s->n_chats++] = chat;
    *ret = chat;
    return TG_OK;
}

static tg_code init_parts(struct tg_files *s, struct tg_parts *p, int64_t chat_id,
                          struct tg_error *err)
{
    tg_code code = tg_parts_init(p, s->env, s->root, chat_id, s->format->suffix, err);

    return code == TG_OK && s->place ? s->place->init(s, p, err) : code;
}

static tg_code take_chat(struct tg_files *s, int64_t chat_id, struct tg_parts **ret,
                         struct tg_error *err)
{
    struct tg_file_chat *chat = find_chat(s, chat_id);
    tg_code code;

    if (chat) {
        forget(s, &chat->parts);
        tg_staged_clear(&chat->rows);
        free(chat->late);
        chat->late = NULL;
        *ret = &chat->parts;
        return TG_OK;
    }
    code = add_chat(s, &chat, err);
    if (code == TG_OK)
        code = init_parts(s, &chat->parts, chat_id, err);
    if (code == TG_OK)
        *ret = &chat->parts;
    return code;
}

tg_code tg_files_attach(void *self, int64_t chat_id, const struct tg_fence *fence,
                        struct tg_commit *ret, struct tg_error *err)
{
    struct tg_parts *chat;
    tg_code code = take_chat(self, chat_id, &chat, err);

    return code == TG_OK ? tg_parts_attach(chat, fence, ret, err) : code;
}

static tg_code not_taken(const struct tg_file_chat *chat, int64_t chat_id, struct tg_error *err)
{
    if (chat && chat->late) {
        *err = *chat->late;
        return err->code;
    }
    return tg_fail(err, TG_INTERNAL, "chat %lld was not taken up", (long long)chat_id);
}

/* Another thread has filled the rows, and read the replies in which texts stand. */
static void look_ahead(const struct tg_batch *batch, size_t i)
{
    if (i + 2 < batch->n)
        tg_fetch(&batch->row[i + 2], sizeof batch->row[i]);
    if (i + 1 < batch->n)
        tg_fetch(batch->row[i + 1].text.at, TG_MIN(batch->row[i + 1].text.len, AHEAD_MAX));
}

static tg_code stage(struct tg_file_chat *chat, const struct tg_batch *batch, size_t from,
                     size_t n, struct tg_error *err)
{
    tg_code code = TG_OK;

    for (size_t i = from; code == TG_OK && i < from + n; i++) {
        look_ahead(batch, i);
        code = tg_staged_add(&chat->rows, &batch->row[i], err);
    }
    if (code != TG_OK)
        tg_parts_abort(&chat->parts);
    return code;
}

static tg_code put_records(struct tg_files *s, struct tg_parts *chat, const struct tg_batch *batch,
                           size_t from, size_t n, struct tg_error *err)
{
    if (s->owner && s->owner != chat)
        flush_other(s);
    s->owner = chat;
    for (size_t i = from; i < from + n; i++) {
        look_ahead(batch, i);
        if (!s->buffered_rows && !chat->rows && s->format->put_head)
            s->format->put_head(s, &s->buffer);
        s->format->put_row(s, &batch->row[i], &s->buffer);
        s->buffered_rows++;
        if (s->buffer.failed) {
            tg_fail(err, TG_LIMIT, "a row of chat %lld is larger than %d MiB, or no memory is left",
                    (long long)chat->chat_id, ROW_MAX >> 20);
            forget(s, chat);
            tg_parts_abort(chat);
            return err->code;
        }
        if (s->buffer.len >= FLUSH_AT) {
            if (flush(s, err) != TG_OK)
                return err->code;
            s->owner = chat;
        }
    }
    return TG_OK;
}

tg_code tg_files_write(void *self, const struct tg_batch *batch, size_t from, size_t n,
                       struct tg_error *err)
{
    struct tg_files *s = self;
    struct tg_file_chat *chat = find_chat(s, batch->cursor.chat_id);

    assert(from <= batch->n && n <= batch->n - from);
    if (!chat || !chat->parts.attached)
        return not_taken(chat, batch->cursor.chat_id, err);
    return s->format->put_part ? stage(chat, batch, from, n, err)
                               : put_records(s, &chat->parts, batch, from, n, err);
}

tg_code tg_files_commit(void *self, const struct tg_commit *commit, struct tg_error *err)
{
    struct tg_files *s = self;
    struct tg_file_chat *chat = find_chat(s, commit->cursor.chat_id);
    tg_code code = TG_OK;

    if (!chat || !chat->parts.attached)
        return not_taken(chat, commit->cursor.chat_id, err);
    if (chat->rows.n) {
        code = s->format->put_part(s, &chat->parts, &chat->rows, err);
        s->bytes += chat->parts.bytes;
        tg_staged_clear(&chat->rows);
        if (code != TG_OK)
            tg_parts_abort(&chat->parts);
    } else if (s->owner == &chat->parts) {
        code = flush(s, err);
    }
    return code == TG_OK ? tg_parts_commit(&chat->parts, commit, err) : code;
}

tg_code tg_files_rollback(void *self, int64_t chat_id, const struct tg_fence *fence,
                          uint64_t seq, struct tg_error *err)
{
    struct tg_parts *chat;
    tg_code code = take_chat(self, chat_id, &chat, err);

    return code == TG_OK ? tg_parts_rollback(chat, fence, seq, err) : code;
}

/* ---- scan ---- */

struct record_scan {
    const struct tg_file_format *format;
    tg_sink_seen seen;
    void *ctx;
    struct tg_batch *batch; /* rows are read into it, instead of being seen; NULL: no */
    tg_sink_taken taken;
    struct tg_cursor behind;
    struct tg_buf rest; /* the beginning of a record whose end is in a later block */
    struct tg_scratch whole; /* a part that is read as a whole */
    const struct tg_manifest *part; /* that one */
    unsigned state;     /* of looking for that end */
    struct tg_file_columns columns;
    uint64_t records; /* of this part */
};

static uint64_t heads(const struct record_scan *scan)
{
    return scan->format->put_head ? 1 : 0;
}

static tg_code bad_record(const struct record_scan *scan, const struct tg_manifest *part,
                          const char *how, struct tg_error *err)
{
    return tg_fail(err, TG_CORRUPT, "record %llu of part %llu of chat %lld %s",
                   (unsigned long long)scan->records + 1, (unsigned long long)part->part,
                   (long long)part->chat_id, how);
}

/* Gives the rows that were read so far away. */
static tg_code give_batch(struct record_scan *scan, struct tg_error *err)
{
    tg_code code = scan->batch->n ? scan->taken(scan->ctx, scan->batch, err) : TG_OK;

    tg_batch_clear(scan->batch);
    return code;
}

static tg_code read_record(struct record_scan *scan, const struct tg_manifest *part,
                           const char *at, size_t len, struct tg_error *err)
{
    struct tg_batch *b = scan->batch;
    tg_code code = scan->format->read_row(&scan->columns, b, at, len, err);

    if (code == TG_DATA)
        return bad_record(scan, part, "is no row", err);
    if (code != TG_OK)
        return code;
    scan->records++;
    return b->n == b->cap || b->bytes >= BATCH_BYTES ? give_batch(scan, err) : TG_OK;
}

static tg_code take_record(struct record_scan *scan, const struct tg_manifest *part,
                           const char *at, size_t len, struct tg_error *err)
{
    bool head = scan->records < heads(scan);
    int64_t chat_id = 0, id = 0;
    const char *wrong;

    if (scan->batch && !head)
        return read_record(scan, part, at, len, err);
    wrong = head ? scan->format->take_head(&scan->columns, at, len)
                 : scan->format->take_ids(&scan->columns, at, len, &chat_id, &id);
    if (wrong)
        return bad_record(scan, part, wrong, err);
    scan->records++;
    return head || scan->seen(scan->ctx, chat_id, id) ? TG_OK : TG_END;
}

static tg_code check_count(struct record_scan *scan, const struct tg_manifest *part,
                           struct tg_error *err)
{
    uint64_t records = scan->records;

    scan->records = 0;
    if (records != part->commit.rows + heads(scan))
        return tg_fail(err, TG_CORRUPT,
                       "part %llu of chat %lld has %llu records, its manifest tells %llu",
                       (unsigned long long)part->part, (long long)part->chat_id,
                       (unsigned long long)records,
                       (unsigned long long)(part->commit.rows + heads(scan)));
    return TG_OK;
}

static tg_code end_of_part(struct record_scan *scan, const struct tg_manifest *part,
                           struct tg_error *err)
{
    return scan->rest.len ? bad_record(scan, part, "has no end", err)
                          : check_count(scan, part, err);
}

/* A row of a part that is read as a whole. */
static tg_code take_row(void *ctx, const struct tg_row *row, struct tg_error *err)
{
    struct record_scan *scan = ctx;
    struct tg_batch *b = scan->batch;

    if (!(row->present & TG_ROW_BIT(chat_id)) || !(row->present & TG_ROW_BIT(id)))
        return bad_record(scan, scan->part, "has not one chat_id and one id", err);
    scan->records++;
    if (!b)
        return scan->seen(scan->ctx, row->chat_id, row->id) ? TG_OK : TG_END;
    if (!tg_batch_copy(b, row))
        return tg_fail(err, TG_NOMEM, "no memory for a row");
    return b->n == b->cap || b->bytes >= BATCH_BYTES ? give_batch(scan, err) : TG_OK;
}

static tg_code scan_whole(void *ctx, const struct tg_manifest *part, const void *bytes, size_t len,
                          struct tg_error *err)
{
    struct record_scan *scan = ctx;
    struct tg_error why; /* tg_fail writes to what it reads */
    tg_code code = scan->whole.fd < 0 ? tg_scratch_open(&scan->whole, err) : TG_OK;

    if (code == TG_OK && len)
        return tg_scratch_add(&scan->whole, bytes, len, err);
    scan->part = part;
    if (code == TG_OK)
        code = scan->format->read_part(&scan->whole, !scan->batch, take_row, scan, err);
    tg_scratch_empty(&scan->whole);
    if (code == TG_DATA) {
        why = *err;
        return tg_fail(err, TG_CORRUPT, "part %llu of chat %lld %.120s",
                       (unsigned long long)part->part, (long long)part->chat_id, why.message);
    }
    return code == TG_OK ? check_count(scan, part, err) : code;
}

static tg_code scan_block(void *ctx, const struct tg_manifest *part, const void *bytes, size_t len,
                          struct tg_error *err)
{
    struct record_scan *scan = ctx;
    const char *at = bytes, *end = at + len;
    tg_code code = TG_OK;

    if (len == 0)
        return end_of_part(scan, part, err);
    while (code == TG_OK && at < end) {
        size_t whole = scan->format->find_end(&scan->state, at, (size_t)(end - at));
        size_t n = whole ? whole : (size_t)(end - at);

        if (!whole || scan->rest.len)
            tg_buf_add(&scan->rest, at, n);
        if (scan->rest.failed)
            return bad_record(scan, part, "is too long", err);
        if (!whole)
            break;
        scan->state = 0;
        if (scan->rest.len) {
            code = take_record(scan, part, (const char *)scan->rest.data, scan->rest.len - 1, err);
            tg_buf_clear(&scan->rest);
        } else {
            code = take_record(scan, part, at, n - 1, err);
        }
        at += n;
    }
    return code;
}

static bool is_wanted(void *ctx, const struct tg_manifest *part)
{
    const struct record_scan *scan = ctx;
    const struct tg_cursor *end = &part->commit.cursor;

    return !scan->batch || end->segment > scan->behind.segment ||
           (end->segment == scan->behind.segment && end->id > scan->behind.id);
}

static tg_code scan_chat(struct tg_files *s, int64_t chat_id, struct record_scan *scan,
                         struct tg_error *err)
{
    const struct tg_parts_reader reader = {
        is_wanted, s->format->read_part ? scan_whole : scan_block, scan
    };
    struct tg_parts chat; /* of its own: a scan must not disturb what is being written */
    tg_code code = init_parts(s, &chat, chat_id, err);

    scan->format = s->format;
    scan->whole.fd = -1;
    tg_buf_init(&scan->rest, ROW_MAX);
    if (code == TG_OK)
        code = tg_parts_scan(&chat, &reader, err);
    tg_buf_done(&scan->rest);
    tg_scratch_close(&scan->whole);
    tg_parts_done(&chat);
    return code;
}

tg_code tg_files_scan(void *self, int64_t chat_id, tg_sink_seen seen, void *ctx,
                      struct tg_error *err)
{
    struct record_scan scan = { .seen = seen, .ctx = ctx };

    return scan_chat(self, chat_id, &scan, err);
}

tg_code tg_files_read(void *self, int64_t chat_id, const struct tg_cursor *behind,
                      struct tg_batch *batch, tg_sink_taken taken, void *ctx,
                      struct tg_error *err)
{
    struct record_scan scan = { .ctx = ctx, .batch = batch, .taken = taken, .behind = *behind };
    tg_code code = scan_chat(self, chat_id, &scan, err);

    return code == TG_OK ? give_batch(&scan, err) : code;
}

tg_code tg_files_commits(void *self, int64_t chat_id, tg_commit_seen seen, void *ctx,
                         struct tg_error *err)
{
    struct tg_files *s = self;
    struct tg_parts chat;
    tg_code code = init_parts(s, &chat, chat_id, err);

    if (code == TG_OK)
        code = tg_parts_commits(&chat, seen, ctx, err);
    tg_parts_done(&chat);
    return code;
}

/* ---- which chats there are ---- */

struct chat_list {
    int64_t *id;
    size_t n;
    bool no_memory;
};

static void chat_list_done(struct chat_list *l)
{
    free(l->id);
}

static bool seen_chat(void *ctx, const char *name, bool is_dir, uint64_t size)
{
    struct chat_list *l = ctx;
    int64_t id, *more;

    (void)size;
    if (!is_dir || strncmp(name, "chat_", 5) != 0 || !tg_i64_parse(name + 5, &id))
        return true;
    more = reallocarray(l->id, l->n + 1, sizeof *more);
    l->no_memory = !more;
    if (!more)
        return false;
    l->id = more;
    l->id[l->n++] = id;
    return true;
}

static int by_id(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static tg_code list_chats(struct tg_files *s, struct chat_list *l, struct tg_error *err)
{
    const struct tg_fs *fs = s->env->fs;
    struct tg_dir *dir;
    tg_code code;

    if (s->place) {
        code = s->place->list(s, seen_chat, l, err);
    } else {
        code = fs->open_dir(fs, s->root, false, &dir, err);
        if (code != TG_OK)
            return code == TG_NOT_FOUND ? TG_OK : code;
        code = fs->list(fs, dir, seen_chat, l, err);
        fs->close_dir(fs, dir);
    }
    if (code == TG_OK && l->no_memory)
        code = tg_fail(err, TG_NOMEM, "no memory for the chats of '%.200s'", s->root);
    if (l->n)
        qsort(l->id, l->n, sizeof *l->id, by_id);
    return code;
}

tg_code tg_files_chats(void *self, tg_chat_seen seen, void *ctx, struct tg_error *err)
{
    TG_CLEANUP(chat_list_done) struct chat_list l = { 0 };
    struct tg_files *s = self;
    tg_code code = list_chats(s, &l, err);
    bool more = true;

    for (size_t i = 0; code == TG_OK && more && i < l.n; i++) {
        char job[TG_JOB_MAX + 1];
        struct tg_parts chat;

        if (i && l.id[i] == l.id[i - 1])
            continue;
        code = init_parts(s, &chat, l.id[i], err);
        if (code == TG_OK)
            code = tg_parts_job(&chat, job, err);
        tg_parts_done(&chat);
        if (code == TG_OK)
            more = seen(ctx, l.id[i], job);
        else if (code == TG_NOT_FOUND) /* taken up, but nothing was committed */
            code = TG_OK;
    }
    return code;
}

uint64_t tg_files_bytes(const void *self)
{
    const struct tg_files *s = self;

    return s->bytes + s->buffer.len;
}

void tg_files_close(void *self)
{
    struct tg_files *s = self;

    for (size_t i = 0; i < s->n_chats; i++) {
        tg_parts_done(&s->chat[i]->parts);
        tg_staged_done(&s->chat[i]->rows);
        free(s->chat[i]->late);
        free(s->chat[i]);
    }
    free(s->chat);
    s->chat = NULL;
    s->n_chats = 0;
    tg_buf_done(&s->buffer);
    s->owner = NULL;
}
