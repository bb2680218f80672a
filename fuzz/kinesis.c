/* SPDX-License-Identifier: MIT */
/*
 * kinesis.c - fuzzes what a server answers to PutRecords
 *
 * The first byte says how many records were sent, the rest is the answer. What is taken tells of
 * each of them, and of no other.
 */
#include <stdlib.h>

#include "sink/kinesis.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kinesis_answer got;
    struct tg_buf answer;
    size_t n, failed = 0;

    if (!size)
        return 0;
    n = data[0];
    tg_buf_init(&answer, 1 << 20);
    tg_buf_add(&answer, data + 1, size - 1);
    if (kinesis_read(&answer, n, &got)) {
        for (size_t i = 0; i < TG_COUNT(got.failed); i++)
            failed += got.failed[i];
        for (size_t i = n; i < TG_COUNT(got.failed); i++)
            if (got.failed[i])
                abort();
        if (failed != got.n_failed || failed > n)
            abort();
        if (strnlen(got.why, sizeof got.why) == sizeof got.why || !failed != !got.why[0])
            abort();
    }
    tg_buf_done(&answer);
    return 0;
}
