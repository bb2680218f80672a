/* SPDX-License-Identifier: MIT */
/*
 * os_queue.c - the queue between threads: order, both bounds, closing, many pushers and poppers
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "os/queue.h"

static void items_come_in_order_within_both_bounds(void **state)
{
    int item[5];
    struct tg_queue *q = tg_queue_new(3, 100);
    uint64_t bytes = 0;
    size_t n = 0;
    void *got;

    (void)state;
    assert_int_equal(tg_queue_pop(q, 0, &got, &bytes), TG_AGAIN);
    assert_int_equal(tg_queue_pop(q, 1000, &got, NULL), TG_AGAIN);
    assert_int_equal(tg_queue_try_push(q, &item[0], 1000), TG_OK); /* oversize, but alone */
    assert_int_equal(tg_queue_try_push(q, &item[1], 0), TG_AGAIN);
    assert_int_equal(tg_queue_pop(q, INT64_MAX, &got, &bytes), TG_OK);
    assert_ptr_equal(got, &item[0]);
    assert_int_equal(bytes, 1000);
    assert_int_equal(tg_queue_push(q, &item[1], 60), TG_OK);
    assert_int_equal(tg_queue_try_push(q, &item[2], 41), TG_AGAIN);
    assert_int_equal(tg_queue_push(q, &item[2], 40), TG_OK);
    assert_int_equal(tg_queue_try_push(q, &item[3], UINT64_MAX), TG_AGAIN);
    assert_int_equal(tg_queue_push(q, &item[3], 0), TG_OK);
    assert_int_equal(tg_queue_try_push(q, &item[4], 0), TG_AGAIN); /* three are there */
    tg_queue_depth(q, &n, &bytes);
    assert_int_equal(n, 3);
    assert_int_equal(bytes, 100);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(tg_queue_pop(q, 0, &got, NULL), TG_OK);
        assert_ptr_equal(got, &item[i]);
    }
    tg_queue_free(q);
    tg_queue_free(NULL);
}

static void a_closed_queue_is_drained(void **state)
{
    struct tg_queue *q = tg_queue_new(2, 100);
    void *got;
    int item;

    (void)state;
    assert_int_equal(tg_queue_push(q, &item, 1), TG_OK);
    tg_queue_close(q);
    assert_int_equal(tg_queue_push(q, &item, 1), TG_END);
    assert_int_equal(tg_queue_try_push(q, &item, 1), TG_END);
    assert_int_equal(tg_queue_pop(q, INT64_MAX, &got, NULL), TG_OK);
    assert_int_equal(tg_queue_pop(q, INT64_MAX, &got, NULL), TG_END);
    tg_queue_free(q);
}

enum { PUSHERS = 3, POPPERS = 2, ITEMS = 5000 };

struct work {
    struct tg_queue *q;
    int seen[PUSHERS * ITEMS]; /* each written by the popper that got the item */
    int next;                  /* the first item of the pusher */
    pthread_mutex_t lock;
};

static void *push_all(void *arg)
{
    struct work *w = arg;
    int first;

    pthread_mutex_lock(&w->lock);
    first = w->next;
    w->next += ITEMS;
    pthread_mutex_unlock(&w->lock);
    for (int i = 0; i < ITEMS; i++)
        if (tg_queue_push(w->q, &w->seen[first + i], (uint64_t)(i % 50)) != TG_OK)
            break;
    return NULL;
}

static void *pop_all(void *arg)
{
    struct work *w = arg;
    void *item;
    tg_code code;

    while ((code = tg_queue_pop(w->q, 50000, &item, NULL)) != TG_END)
        if (code == TG_OK)
            ++*(int *)item;
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    static struct work w;
    pthread_t pusher[PUSHERS], popper[POPPERS];
    struct tg_error err;

    (void)state;
    w.q = tg_queue_new(7, 100);
    pthread_mutex_init(&w.lock, NULL);
    for (int i = 0; i < POPPERS; i++)
        assert_int_equal(tg_thread_start(&popper[i], "a name longer than fifteen", pop_all, &w,
                                         &err),
                         TG_OK);
    for (int i = 0; i < PUSHERS; i++)
        assert_int_equal(tg_thread_start(&pusher[i], "push", push_all, &w, &err), TG_OK);
    for (int i = 0; i < PUSHERS; i++)
        pthread_join(pusher[i], NULL);
    tg_queue_close(w.q);
    for (int i = 0; i < POPPERS; i++)
        pthread_join(popper[i], NULL);
    for (int i = 0; i < PUSHERS * ITEMS; i++)
        assert_int_equal(w.seen[i], 1);
    tg_queue_free(w.q);
    pthread_mutex_destroy(&w.lock);
}

static void *push_one(void *arg)
{
    static int item;

    return tg_queue_push(arg, &item, 1) == TG_END ? arg : NULL;
}

static void *pop_one(void *arg)
{
    void *item;

    return tg_queue_pop(arg, INT64_MAX, &item, NULL) == TG_END ? arg : NULL;
}

static void closing_wakes_who_waits(void **state)
{
    struct tg_queue *full = tg_queue_new(1, 1), *empty = tg_queue_new(1, 1);
    struct tg_error err;
    pthread_t pusher, popper;
    void *ended;
    int item;

    (void)state;
    assert_int_equal(tg_queue_push(full, &item, 1), TG_OK);
    assert_int_equal(tg_thread_start(&pusher, "push", push_one, full, &err), TG_OK);
    assert_int_equal(tg_thread_start(&popper, "pop", pop_one, empty, &err), TG_OK);
    tg_queue_close(full);
    tg_queue_close(empty);
    pthread_join(pusher, &ended);
    assert_ptr_equal(ended, full);
    pthread_join(popper, &ended);
    assert_ptr_equal(ended, empty);
    tg_queue_free(full);
    tg_queue_free(empty);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_in_order_within_both_bounds),
        cmocka_unit_test(a_closed_queue_is_drained),
        cmocka_unit_test(nothing_is_lost_between_threads),
        cmocka_unit_test(closing_wakes_who_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
