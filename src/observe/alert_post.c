/* SPDX-License-Identifier: MIT */
/*
 * alert_post.c - see alert_post.h
 *
 * Facts: prometheus.io/docs/alerting/latest/configuration (webhook_config), and api/v2/openapi.yaml
 * and types of github.com/prometheus/alertmanager; the fingerprint is that of
 * github.com/prometheus/common: FNV-1a over the sorted labels.
 */
#include "observe/alert_post.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NEVER "0001-01-01T00:00:00Z" /* an endsAt that is not there yet */

enum { N_LABELS = 4 };

struct label {
    const char *name, *value;
};

static void labels_of(struct label out[N_LABELS], char name[64],
                      const struct tg_alert_source *source, const struct tg_alert_told *a)
{
    snprintf(name, 64, "tgdata_%s", a->name);
    out[0] = (struct label){ "alertname", name }; /* in the order of their names */
    out[1] = (struct label){ "instance", source->instance };
    out[2] = (struct label){ "job", source->job };
    out[3] = (struct label){ "severity", "warning" };
}

static void put_labels(struct tg_json *j, const char *key, const struct label *label, size_t n)
{
    tg_json_key(j, key), tg_json_object(j);
    for (size_t i = 0; i < n; i++)
        tg_json_key(j, label[i].name), tg_json_cstr(j, label[i].value);
    tg_json_end_object(j);
}

static uint64_t hash(uint64_t h, const char *text)
{
    const uint64_t prime = UINT64_C(0x100000001b3);

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * prime;
    return (h ^ 0xff) * prime; /* the separator */
}

static uint64_t fingerprint(const struct label label[N_LABELS])
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < N_LABELS; i++)
        h = hash(hash(h, label[i].name), label[i].value);
    return h;
}

static void put_number(struct tg_json *j, const char *key, double v)
{
    char text[32];

    if (!isfinite(v)) /* nothing could be said */
        return;
    snprintf(text, sizeof text, "%.4g", v);
    tg_json_key(j, key), tg_json_cstr(j, text);
}

static void put_times(struct tg_json *j, const struct tg_alert_told *a, const char *open_end,
                      int64_t until_unix_s)
{
    tg_json_key(j, "startsAt"), tg_json_time(j, a->starts_unix_s);
    tg_json_key(j, "endsAt");
    if (a->fires && open_end)
        tg_json_cstr(j, open_end);
    else
        tg_json_time(j, a->fires ? until_unix_s : a->ends_unix_s);
    tg_json_key(j, "generatorURL"), tg_json_cstr(j, "");
}

static void put_alert(struct tg_json *j, bool manager, const struct tg_alert_source *source,
                      const struct tg_alert_told *a, int64_t until_unix_s)
{
    struct label label[N_LABELS];
    char name[64], print[20];

    labels_of(label, name, source, a);
    tg_json_object(j);
    if (!manager)
        tg_json_key(j, "status"), tg_json_cstr(j, a->fires ? "firing" : "resolved");
    put_labels(j, "labels", label, N_LABELS);
    tg_json_key(j, "annotations"), tg_json_object(j);
    tg_json_key(j, "summary"), tg_json_cstr(j, a->summary);
    put_number(j, "value", a->value);
    put_number(j, "threshold", a->threshold);
    tg_json_end_object(j);
    put_times(j, a, manager ? NULL : NEVER, until_unix_s);
    if (!manager) {
        snprintf(print, sizeof print, "%016" PRIx64, fingerprint(label));
        tg_json_key(j, "fingerprint"), tg_json_cstr(j, print);
    }
    tg_json_end_object(j);
}

bool tg_alert_is_manager(const char *url)
{
    static const char path[] = "/api/v2/alerts";
    size_t n = strcspn(url, "?#");

    while (n && url[n - 1] == '/')
        n--;
    return n > sizeof path - 1 && memcmp(url + n - (sizeof path - 1), path, sizeof path - 1) == 0;
}

void tg_alert_put(struct tg_buf *out, bool manager, const struct tg_alert_source *source,
                  const struct tg_alert_told *alert, size_t n, int64_t until_unix_s)
{
    const struct label common[] = { { "instance", source->instance }, { "job", source->job },
                                    { "severity", "warning" } };
    struct tg_json j;
    char key[256];
    bool fires = false;

    for (size_t i = 0; i < n; i++)
        fires = fires || alert[i].fires;
    tg_json_init(&j, out);
    if (!manager) {
        tg_json_object(&j);
        tg_json_key(&j, "version"), tg_json_cstr(&j, "4");
        snprintf(key, sizeof key, "tgdata:%.200s", source->job);
        tg_json_key(&j, "groupKey"), tg_json_cstr(&j, key);
        tg_json_key(&j, "truncatedAlerts"), tg_json_i64(&j, 0);
        tg_json_key(&j, "status"), tg_json_cstr(&j, fires ? "firing" : "resolved");
        tg_json_key(&j, "receiver"), tg_json_cstr(&j, "tgdata");
        put_labels(&j, "groupLabels", &common[1], 1);
        put_labels(&j, "commonLabels", common, TG_COUNT(common));
        put_labels(&j, "commonAnnotations", NULL, 0);
        tg_json_key(&j, "externalURL"), tg_json_cstr(&j, "");
        tg_json_key(&j, "alerts");
    }
    tg_json_array(&j);
    for (size_t i = 0; i < n; i++)
        put_alert(&j, manager, source, &alert[i], until_unix_s);
    tg_json_end_array(&j);
    if (!manager)
        tg_json_end_object(&j);
}
