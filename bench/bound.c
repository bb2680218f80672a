/* SPDX-License-Identifier: MIT */
/*
 * bound.c - what an extraction cannot do without, and what it does beside that, on the same data
 *
 *   bench_bound SEED MESSAGES OUTPUT_BYTES FILE
 *
 * Takes 300 pages of 100 messages spread over the first chat of the simulator's world, packs and
 * encrypts them as the simulator does, and then handles as many of them as MESSAGES need, each
 * stage by itself:
 *
 *   decrypt  AES-256-IGE of each packet        hash    SHA-256 over its plaintext
 *   inflate  gzip of each reply                write   OUTPUT_BYTES to FILE
 *   walk     opening the page                  project filling rows        encode  rows as JSON
 *   digest   SHA-256 over OUTPUT_BYTES, as a part's manifest holds it
 *
 * The first four are the bare cost; the others are the work on top that rows and proof take. Prints
 * one JSON object: CPU seconds of each for all MESSAGES, and the sizes.
 *
 * Threads: main
 */
#include <fcntl.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "crypto/aes.h"
#include "crypto/hash.h"
#include "sim/world.h"
#include "telegram/rows.h"

enum { PAGES = 300, PER_PAGE = 100, BUFFER_MAX = 1 << 20, DEFLATE_LEVEL = 1 };

struct page {
    uint8_t *reply, *packed, *packet; /* TL, gzip of it, IGE of that */
    size_t reply_len, packed_len, packet_len;
};

static struct {
    struct page page[PAGES];
    const struct tl_schema *schema;
    struct libdeflate_decompressor *inflate;
    struct tg_page *open;
    struct tg_batch *batch;
    struct tg_buf json;
    struct tg_error err;
    uint8_t key[TG_AES_KEY], iv[TG_AES_IGE_IV], plain[BUFFER_MAX];
    volatile uint64_t sink; /* results must be used */
    double walk_s, project_s, encode_s;
} b;

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "bench_bound: %s failed: %s\n", what, b.err.message);
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- preparing ---- */

static void make_reply(const struct sim_world *w, struct sim_peers *peers, int64_t below,
                       struct tg_buf *out)
{
    const struct sim_chat *chat = sim_world_chat(w, 0);
    const struct sim_page at = { .offset_id = below, .limit = PER_PAGE };
    struct tg_arena arena;
    struct tl_value *reply, *list;
    int32_t ids[PER_PAGE], offset;
    size_t n = sim_world_page(w, chat, &at, ids, &offset);

    must(n == PER_PAGE, "a page of the world");
    tg_arena_init(&arena, 64 << 20);
    reply = tl_obj(&arena, TLN_messages_channelMessages);
    list = tl_set_vector(reply, TLN_messages);
    for (size_t i = 0; i < n; i++) {
        tl_add_obj(list, sim_world_message(w, sim_world_account(w, 0), chat, ids[i], &arena));
        sim_peers_add_message(peers, w, chat, ids[i]);
    }
    sim_peers_set(peers, w, sim_world_account(w, 0), reply, &arena);
    must(tl_encode(b.schema, reply, out, &b.err) == TG_OK, "encoding");
    sim_peers_clear(peers);
    tg_arena_done(&arena);
}

static void pack(struct page *p, const struct tg_buf *reply, struct libdeflate_compressor *deflate)
{
    p->reply_len = reply->len;
    p->reply = malloc(reply->len);
    p->packed = malloc(BUFFER_MAX);
    p->packet = malloc(BUFFER_MAX);
    must(p->reply && p->packed && p->packet, "memory");
    memcpy(p->reply, reply->data, reply->len);
    p->packed_len = libdeflate_gzip_compress(deflate, reply->data, reply->len, p->packed,
                                             BUFFER_MAX / 2);
    must(p->packed_len > 0, "packing");
    /* heads of envelope, rpc_result and gzip_packed, padding of 12 or more */
    p->packet_len = (p->packed_len + 32 + 12 + 8 + 12 + 15) / 16 * 16;
    memset(b.plain, 0, p->packet_len);
    memcpy(b.plain + 52, p->packed, p->packed_len);
    tg_aes_ige_encrypt(p->packet, b.plain, p->packet_len, b.key, b.iv);
}

static void prepare(uint64_t seed, uint64_t messages)
{
    const struct sim_world_options o = { .seed = seed, .n_chats = 1, .n_messages = messages,
                                         .holes_percent = 0 };
    struct libdeflate_compressor *deflate = libdeflate_alloc_compressor(DEFLATE_LEVEL);
    struct sim_peers *peers = sim_peers_new();
    struct sim_world *w;
    struct tg_buf reply;

    must(deflate && peers && sim_world_new(&o, &w, &b.err) == TG_OK, "a world");
    tg_buf_init(&reply, BUFFER_MAX / 2);
    for (uint64_t i = 0; i < PAGES; i++) {
        tg_buf_clear(&reply);
        make_reply(w, peers, (int64_t)(PER_PAGE + 1 + i * (messages - PER_PAGE) / PAGES), &reply);
        pack(&b.page[i], &reply, deflate);
    }
    tg_buf_done(&reply);
    sim_peers_free(peers);
    sim_world_free(w);
    libdeflate_free_compressor(deflate);
}

/* ---- stages ---- */

static void decrypt(const struct page *p)
{
    tg_aes_ige_decrypt(b.plain, p->packet, p->packet_len, b.key, b.iv);
    b.sink += b.plain[7];
}

static void hash(const struct page *p)
{
    uint8_t digest[TG_SHA256];

    tg_sha256(digest, p->packet, p->packet_len);
    b.sink += digest[0];
}

static void inflate(const struct page *p)
{
    size_t n;

    must(libdeflate_gzip_decompress(b.inflate, p->packed, p->packed_len, b.plain, sizeof b.plain,
                                    &n) == LIBDEFLATE_SUCCESS &&
             n == p->reply_len,
         "inflating");
    b.sink += b.plain[n - 1];
}

static void rows(const struct page *p)
{
    static const struct tg_row_options options = { .chat_id = -1000001234567 };
    struct tg_page_info info;
    double t0 = now_s(), t1, t2;

    must(tg_page_open(b.open, b.schema, p->reply, p->reply_len, &info, &b.err) == TG_OK &&
             info.n == PER_PAGE,
         "walking");
    t1 = now_s();
    tg_batch_clear(b.batch);
    for (size_t i = 0; i < info.n; i++)
        must(tg_page_row(b.open, i, &options, b.batch, &b.err) == TG_OK, "projecting");
    t2 = now_s();
    tg_buf_clear(&b.json);
    for (size_t i = 0; i < b.batch->n; i++) {
        tg_row_json(&b.batch->row[i], &b.json);
        tg_buf_byte(&b.json, '\n');
    }
    b.walk_s += t1 - t0;
    b.project_s += t2 - t1;
    b.encode_s += now_s() - t2;
}

/* @return CPU seconds of `stage` over n pages, after one round that warms up */
static double measure(void (*stage)(const struct page *p), uint64_t n)
{
    double start;

    for (uint64_t i = 0; i < PAGES; i++)
        stage(&b.page[i]);
    b.walk_s = b.project_s = b.encode_s = 0;
    start = now_s();
    for (uint64_t i = 0; i < n; i++)
        stage(&b.page[i % PAGES]);
    return now_s() - start;
}

static double measure_write(const char *path, uint64_t bytes)
{
    static uint8_t block[BUFFER_MAX];
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    double start;

    must(fd >= 0, "opening the file");
    memset(block, 'x', sizeof block);
    start = now_s();
    while (bytes) {
        ssize_t n = write(fd, block, TG_MIN(bytes, sizeof block));

        must(n > 0, "writing the file");
        bytes -= (uint64_t)n;
    }
    must(fsync(fd) == 0 && close(fd) == 0, "closing the file");
    return now_s() - start;
}

static double measure_digest(uint64_t bytes)
{
    static uint8_t block[64 << 10];
    uint8_t digest[TG_SHA256];
    struct tg_sha256_ctx sha;
    double start;

    memset(block, 'x', sizeof block);
    must(tg_sha256_init(&sha), "hashing");
    start = now_s();
    for (; bytes; bytes -= TG_MIN(bytes, sizeof block))
        tg_sha256_add(&sha, block, TG_MIN(bytes, sizeof block));
    tg_sha256_take(&sha, digest);
    b.sink += digest[0];
    start = now_s() - start;
    tg_sha256_done(&sha);
    return start;
}

static void print_sizes(void)
{
    size_t reply = 0, packed = 0, packet = 0;

    for (int i = 0; i < PAGES; i++) {
        reply += b.page[i].reply_len;
        packed += b.page[i].packed_len;
        packet += b.page[i].packet_len;
    }
    printf("\"reply_bytes\": %.1f, \"packed_bytes\": %.1f, \"packet_bytes\": %.1f}\n",
           (double)reply / PAGES / PER_PAGE, (double)packed / PAGES / PER_PAGE,
           (double)packet / PAGES / PER_PAGE);
}

int main(int argc, char **argv)
{
    uint64_t messages = argc == 5 ? strtoull(argv[2], NULL, 10) : 0, n = messages / PER_PAGE;

    if (messages < 2 * PER_PAGE) {
        fprintf(stderr, "usage: bench_bound SEED MESSAGES OUTPUT_BYTES FILE\n");
        return 2;
    }
    b.schema = tl_schema_builtin(228);
    b.inflate = libdeflate_alloc_decompressor();
    b.open = tg_page_new();
    b.batch = tg_batch_new(PER_PAGE);
    tg_buf_init(&b.json, 16 << 20);
    must(b.inflate && b.open && b.batch, "memory");
    prepare(strtoull(argv[1], NULL, 10), messages);
    printf("{\"decrypt_s\": %.6f, ", measure(decrypt, n));
    printf("\"hash_s\": %.6f, ", measure(hash, n));
    printf("\"inflate_s\": %.6f, ", measure(inflate, n));
    printf("\"write_s\": %.6f, ", measure_write(argv[4], strtoull(argv[3], NULL, 10)));
    printf("\"digest_s\": %.6f, ", measure_digest(strtoull(argv[3], NULL, 10)));
    measure(rows, n);
    printf("\"walk_s\": %.6f, \"project_s\": %.6f, \"encode_s\": %.6f, ", b.walk_s, b.project_s,
           b.encode_s);
    print_sizes();
    return 0;
}
