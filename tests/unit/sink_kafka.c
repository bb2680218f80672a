/* SPDX-License-Identifier: MIT */
/*
 * sink_kafka.c - a Kafka topic as destination, at a real broker: the contract of all sinks, and
 * what is its own
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "sink/kafka_impl.h"
#include "tests/kafka_rig.h"
#include "tests/unit/sink_contract.h"

static char url[160];
static int n_topics;

/* Each test has a topic of its own. */
static const char *fresh(struct tg_sink_env *env)
{
    snprintf(url, sizeof url, "kafka://127.0.0.1:%d/t%d?create=3&timeout=60s", rig.port,
             ++n_topics);
    *env = (struct tg_sink_env){ .job = "job", .fs = &tg_fs_system, .unix_us = test_unix_us };
    return url;
}

static void done(void)
{
}

const struct sink_harness harness = { fresh, done };

int main(void)
{
    const struct CMUnitTest test[] = {
        SINK_CONTRACT_TESTS,
    };

    return cmocka_run_group_tests_name("unit/sink_kafka", test, kafka_set_up, kafka_tear_down);
}
