/* SPDX-License-Identifier: MIT */
/*
 * sink_webhook.c - posts over HTTP: signed, bounded, each answered
 */
#include "tests/stream_rig.h"

#include "client/http.h"

/* A path may be as secret as a password. */
static void messages_show_the_beginning_of_a_url(void **state)
{
    static const struct {
        const char *url, *shown;
    } row[] = {
        { "http://127.0.0.1:1/services/T0/secret?token=secret", "http://127.0.0.1:1/service...: " },
        { "http://127.0.0.1:1/?secret", "http://127.0.0.1:1/...: " },
        { "http://127.0.0.1:1?secret", "http://127.0.0.1:1...: " },
        { "http://me:secret@127.0.0.1:1/in", "http://127.0.0.1:1/in: " },
        { "http://127.0.0.1:1", "http://127.0.0.1:1: " },
    };
    const char *const header[] = { NULL };
    struct tg_error err = { 0 };
    struct tg_http *http;
    struct tg_buf answer;

    (void)state;
    tg_buf_init(&answer, 1024);
    assert_int_equal(tg_http_new(NULL, &http, &err), TG_OK);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const struct tg_http_request request = { .url = row[i].url, .header = header,
                                                 .timeout_ms = 1000 };
        int status;

        assert_int_equal(tg_http_send(http, &request, &status, &answer, &err), TG_NET);
        if (strncmp(err.message, row[i].shown, strlen(row[i].shown)) != 0)
            fail_msg("%s: %s", row[i].url, err.message);
        assert_null(strstr(err.message, "secret"));
    }
    tg_http_free(http);
    tg_buf_done(&answer);
}

static int set_up(void **state)
{
    (void)state;
    rig_start("Webhook");
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        STREAM_CONTRACT_TESTS,
        STREAM_CONTRACT_REFUSALS,
        cmocka_unit_test(messages_show_the_beginning_of_a_url),
    };

    return cmocka_run_group_tests(tests, set_up, rig_end);
}
