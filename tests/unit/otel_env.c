/* SPDX-License-Identifier: MIT */
/*
 * otel_env.c - what OpenTelemetry's environment variables mean, and what is left aside of them
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "observe/otel_env.h"

enum { VARIABLES = 6 };

static const char *const *variables; /* NAME, value, NAME, value, ..., NULL */

static const char *env(const char *name)
{
    for (size_t i = 0; variables[i]; i += 2)
        if (strcmp(variables[i], name) == 0)
            return variables[i + 1];
    return NULL;
}

static struct tg_otel read(const char *const *set)
{
    struct tg_error err;
    struct tg_otel o;

    variables = set;
    assert_int_equal(tg_otel_read(env, &o, &err), TG_OK);
    return o;
}

#define OTLP "OTEL_EXPORTER_OTLP_ENDPOINT"
#define OWN "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
#define EXPORTER "OTEL_TRACES_EXPORTER"
#define FORM "OTEL_EXPORTER_OTLP_PROTOCOL"

static void test_where_to(void **state)
{
    static const struct {
        const char *set[2 * VARIABLES + 1];
        const char *to, *warning; /* a word of it; "": none */
    } row[] = {
        { { NULL }, "", "" },
        { { OTLP, "" }, "", "" },
        { { OTLP, "http://c:4318" }, "otlp:http://c:4318/v1/traces", "" },
        { { OTLP, "http://c:4318/" }, "otlp:http://c:4318/v1/traces", "" },
        { { OTLP, "https://c/otlp/" }, "otlp:https://c/otlp/v1/traces", "" },
        { { OWN, "https://c/otlp" }, "otlp:https://c/otlp", "" },
        { { OWN, "http://own:1", OTLP, "http://all:2" }, "otlp:http://own:1", "" },
        { { OTLP, "http://c:4318", FORM, "http/json" }, "otlp:http://c:4318/v1/traces", "" },
        { { OTLP, "http://c:4318", FORM, "http/protobuf" }, "otlp:http://c:4318/v1/traces",
          "http/protobuf" },
        { { OTLP, "http://c:4317", FORM, "grpc" }, "otlp:http://c:4318/v1/traces", "grpc" },
        { { OTLP, "c:4317", FORM, "grpc" }, "otlp:http://c:4318/v1/traces", "grpc" },
        { { OWN, "http://c:4317", FORM, "grpc" }, "otlp:http://c:4318", "grpc" },
        { { OTLP, "http://c:43170", FORM, "grpc" }, "otlp:http://c:43170/v1/traces", "grpc" },
        { { OTLP, "http://c:4318", FORM, "smoke" }, "otlp:http://c:4318/v1/traces", "not known" },
        { { OTLP, "http://c:4318", FORM, "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "http/json" }, "otlp:http://c:4318/v1/traces", "" },
        { { EXPORTER, "otlp" }, "otlp:http://localhost:4318/v1/traces", "" },
        { { EXPORTER, "none", OTLP, "http://c:4318" }, "", "" },
        { { EXPORTER, "zipkin" }, "zipkin:http://localhost:9411/api/v2/spans", "" },
        { { EXPORTER, "zipkin", "OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://z:1/x" },
          "zipkin:http://z:1/x", "" },
        { { EXPORTER, "console" }, "", "none of" },
        { { "OTEL_SDK_DISABLED", "true", OTLP, "http://c:4318" }, "", "" },
        { { "OTEL_SDK_DISABLED", "TRUE", EXPORTER, "otlp" }, "", "" },
        { { "OTEL_SDK_DISABLED", "1", EXPORTER, "otlp" }, "otlp:http://localhost:4318/v1/traces",
          "" },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_otel o = read(row[i].set);

        assert_string_equal(o.to, row[i].to);
        assert_true(row[i].warning[0] ? strstr(o.warning, row[i].warning) != NULL
                                      : !o.warning[0]);
        tg_otel_done(&o);
    }
}

static void test_too_long(void **state)
{
    static char url[2000];
    const char *set[] = { OTLP, url, NULL };
    struct tg_otel o;

    (void)state;
    memset(url, 'a', sizeof url - 1);
    o = read(set);
    assert_true(!o.to[0] && o.warning[0]);
    tg_otel_done(&o);
}

static void test_headers(void **state)
{
    static const char *const own[] = { OTLP, "http://c", "OTEL_EXPORTER_OTLP_HEADERS",
                                       "api-key=a%20b, ,x-tenant = 7 ,nonsense,bad%2=1,"
                                       "split=a%0d%0ab: c,n:o=1", NULL };
    static const char *const first[] = { OTLP, "http://c", "OTEL_EXPORTER_OTLP_HEADERS", "a=1",
                                         "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2", NULL };
    static const char *const elsewhere[] = { EXPORTER, "zipkin", "OTEL_EXPORTER_OTLP_HEADERS",
                                             "a=1", NULL };
    struct tg_otel o = read(own);

    (void)state;
    assert_string_equal(o.header[0], "api-key: a b");
    assert_string_equal(o.header[1], "x-tenant: 7");
    assert_null(o.header[2]);
    assert_non_null(strstr(o.warning, "no header"));
    assert_null(strstr(o.warning, "split"));
    tg_otel_done(&o);
    o = read(first);
    assert_string_equal(o.header[0], "b: 2");
    assert_null(o.header[1]);
    tg_otel_done(&o);
    o = read(elsewhere);
    assert_null(o.header[0]);
    tg_otel_done(&o);
}

static void test_many(void **state)
{
    static char list[4000];
    static const char *const set[] = { OTLP, "http://c", "OTEL_EXPORTER_OTLP_HEADERS", list,
                                       "OTEL_RESOURCE_ATTRIBUTES", list, NULL };
    struct tg_otel o;
    int n = 0;

    (void)state;
    for (int i = 0; i < 100; i++)
        n += snprintf(list + n, sizeof list - (size_t)n, "k%d=v%d,", i, i);
    o = read(set);
    assert_string_equal(o.header[TG_OTEL_HEADERS - 1], "k15: v15");
    assert_null(o.header[TG_OTEL_HEADERS]);
    assert_int_equal(o.n_attributes, TG_OTEL_ATTRIBUTES);
    assert_string_equal(o.attribute[31].value, "v31");
    tg_otel_done(&o);
}

static void test_as_what(void **state)
{
    static const char *const set[] = { "OTEL_RESOURCE_ATTRIBUTES",
                                       "service.name=a%2Cb,deployment.environment=prod", NULL };
    static const char *const both[] = { "OTEL_RESOURCE_ATTRIBUTES", "service.name=a,x",
                                        "OTEL_SERVICE_NAME", "mine", NULL };
    struct tg_otel o = read(set);

    (void)state;
    assert_string_equal(o.service, "a,b");
    assert_int_equal(o.n_attributes, 1);
    assert_string_equal(o.attribute[0].key, "deployment.environment");
    assert_string_equal(o.attribute[0].value, "prod");
    tg_otel_done(&o);
    o = read(both);
    assert_string_equal(o.service, "mine");
    assert_int_equal(o.n_attributes, 0);
    assert_non_null(strstr(o.warning, "no attribute"));
    tg_otel_done(&o);
}

static void test_how_much(void **state)
{
    static const struct {
        const char *sampler, *arg;
        int begins; /* parts of a million that are told of a trace that begins here; -1: nothing */
        int sampled, unsampled; /* of one that goes on */
        bool warns;
    } row[] = {
        { NULL, NULL, 1000000, 1000000, -1, false },
        { "always_on", NULL, 1000000, 1000000, 1000000, false },
        { "always_off", NULL, -1, -1, -1, false },
        { "traceidratio", "0.25", 250000, 250000, 250000, false },
        { "traceidratio", "0.0001", 100, 100, 100, false },
        { "traceidratio", NULL, 1000000, 1000000, 1000000, false },
        { "traceidratio", "2", 1000000, 1000000, 1000000, true },
        { "traceidratio", "half", 1000000, 1000000, 1000000, true },
        { "traceidratio", "nan", 1000000, 1000000, 1000000, true },
        { "parentbased_always_on", "0.5", 1000000, 1000000, -1, false },
        { "parentbased_always_off", NULL, -1, 1000000, -1, false },
        { "parentbased_traceidratio", "0", 0, 1000000, -1, false },
        { "jaeger_remote", NULL, 1000000, 1000000, -1, true },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        const char *const set[] = { "OTEL_TRACES_SAMPLER", row[i].sampler ? row[i].sampler : "",
                                    "OTEL_TRACES_SAMPLER_ARG", row[i].arg ? row[i].arg : "", NULL };
        const int want[] = { row[i].begins, row[i].sampled, row[i].unsampled };
        struct tg_otel o = read(set);

        assert_int_equal(o.warning[0] != 0, row[i].warns);
        for (unsigned k = 0; k < 3; k++) {
            const struct tg_trace_parent parent = { .span = k, .sampled = k == 1 };
            uint32_t ppm;

            assert_int_equal(tg_otel_samples(&o, &parent, &ppm), want[k] >= 0);
            if (want[k] >= 0)
                assert_int_equal(ppm, want[k]);
        }
        tg_otel_done(&o);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_to), cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_many),
        cmocka_unit_test(test_as_what),  cmocka_unit_test(test_how_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
