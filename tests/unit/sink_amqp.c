/* SPDX-License-Identifier: MIT */
/*
 * sink_amqp.c - RabbitMQ: each message confirmed, and with its key
 */
#include "tests/stream_rig.h"

static int set_up(void **state)
{
    (void)state;
    rig_start("Rabbit");
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STREAM_CONTRACT_TESTS,
        STREAM_CONTRACT_REFUSALS,
    };

    return cmocka_run_group_tests(tests, set_up, rig_end);
}
