/* SPDX-License-Identifier: MIT */
/*
 * file_keys.c - the sections of the ETL design's etl_config.yaml: what each key means
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/file_impl.h"

const struct tg_key tg_keys[] = {
    { "extraction.strategy", NULL, TG_KEY_PATTERN },
    { "extraction.workers", "workers", TG_KEY_SAME },
    { "extraction.batch_size", "batch-size", TG_KEY_SAME },
    { "extraction.checkpoint_interval", "checkpoint-interval", TG_KEY_SAME },
    { "rate_limiting.strategy", "rate-strategy", TG_KEY_SAME },
    { "rate_limiting.tokens_per_second", "rate", TG_KEY_SAME },
    { "rate_limiting.burst_size", "burst", TG_KEY_SAME },
    { "rate_limiting.coordinate_across_workers", "coordinate", TG_KEY_COORDINATE },
    { "error_handling.circuit_breaker.enabled", NULL, TG_KEY_BREAKER },
    { "error_handling.circuit_breaker.failure_threshold", "circuit-failures", TG_KEY_SAME },
    { "error_handling.circuit_breaker.recovery_timeout", "recovery-timeout", TG_KEY_SAME },
    { "error_handling.circuit_breaker.half_open_requests", "half-open-requests", TG_KEY_SAME },
    { "error_handling.retry.max_attempts", "attempts", TG_KEY_SAME },
    { "error_handling.retry.backoff_multiplier", "backoff-multiplier", TG_KEY_SAME },
    { "error_handling.retry.max_backoff", "max-backoff", TG_KEY_SAME },
    { "error_handling.retry.jitter", "no-jitter", TG_KEY_NOT },
    { "error_handling.retry.retry_on", "retry-on", TG_KEY_SAME },
    { "monitoring.metrics_endpoint", "metrics-endpoint", TG_KEY_SAME },
    { "monitoring.export_interval", "export-interval", TG_KEY_SAME },
    { "monitoring.listen", "listen", TG_KEY_SAME },
    { "monitoring.listen_token_file", "listen-token-file", TG_KEY_SAME },
    { "monitoring.listen_open", "listen-open", TG_KEY_SAME },
    { "monitoring.statsd", "statsd", TG_KEY_SAME },
    { "monitoring.statsd_format", "statsd-format", TG_KEY_SAME },
    { "monitoring.cloudwatch", "cloudwatch", TG_KEY_SAME },
    { "monitoring.traces", "traces", TG_KEY_SAME },
    { "monitoring.traces_header", "traces-header", TG_KEY_SAME },
    { "monitoring.traces_sample", "traces-sample", TG_KEY_SAME },
    { "monitoring.log_format", "log-format", TG_KEY_SAME },
    { "monitoring.log_level", "log-level", TG_KEY_SAME },
    { "monitoring.alert_threshold.error_rate", "alert-error-rate", TG_KEY_PERCENT },
    { "monitoring.alert_threshold.extraction_rate_drop", "alert-rate-drop", TG_KEY_PERCENT },
    { "monitoring.alert_threshold.anomaly", "alert-anomaly", TG_KEY_SAME },
    { "monitoring.alert_hold", "alert-hold", TG_KEY_SAME },
    { "monitoring.alert_interval", "alert-interval", TG_KEY_SAME },
    { "monitoring.alert_webhook", "alert-webhook", TG_KEY_SAME },
    { "monitoring.alert_token", "alert-token", TG_KEY_SAME },
    { NULL, NULL, TG_KEY_SAME },
};

/* What is said in another unit than a setting's own, wherever that may stand. */
const struct tg_key tg_other_keys[] = {
    { "rate_limit_buffer", "rate-use", TG_KEY_PERCENT },
    { NULL, NULL, TG_KEY_SAME },
};

enum { PATH_BYTES = 128, NAMES_MAX = 32 };

/* ---- values ---- */

const struct tg_key *tg_file_other_key(const char *name)
{
    const struct tg_key *key = tg_other_keys;

    while (key->path && !tg_name_same(key->path, name))
        key++;
    return key->path ? key : NULL;
}

/* "0.05" to "5", "0.005" to "0.5" where the setting takes that */
void tg_file_give_percent(struct tg_config_file *f, struct tg_layer *layer,
                          const struct tg_key *key, const struct tg_yaml_node *node)
{
    const char *text = tg_file_text(f, node, key->path);
    size_t setting = tg_file_setting(f, key->setting);
    bool fine = f->setting[setting].row->type == TG_OPT_PERCENT;
    int64_t step = fine ? 1 : TG_PERCENT, v; /* parts of a million */
    char percent[32], *end;
    double share, off;

    if (!text)
        return;
    share = strtod(text, &end);
    v = share >= 0 && share <= 1 ? (int64_t)(share * TG_WHOLE + 0.5) : -1;
    off = share * TG_WHOLE - (double)v;
    if (*end || end == text || v < 0 || v % step || off > 1e-3 || off < -1e-3) {
        tg_file_wrong(f, node, "'%s' takes a share from 0 to 1 in steps of %s, not '%.64s'",
                      key->path, fine ? "0.000001" : "0.01", text);
        return;
    }
    snprintf(percent, sizeof percent, "%.7g", (double)v / TG_PERCENT);
    tg_file_give_text(f, layer, setting, node, percent);
}

/* A truth value says whether what `coordinate` or TGDATA_COORDINATE names is used; a text names
 * it. */
static void give_coordinate(struct tg_config_file *f, const struct tg_key *key, size_t setting,
                            const struct tg_yaml_node *node)
{
    bool on;

    if (node->kind == TG_YAML_TEXT && strstr(node->text, "://"))
        tg_file_give(f, &f->seed, setting, node);
    else if (tg_file_bool(f, node, key->path, &on) && !on)
        f->seed.given[setting] = (struct tg_given){ .node = node };
}

static void give_key(struct tg_config_file *f, const struct tg_key *key,
                     const struct tg_yaml_node *name, const struct tg_yaml_node *node)
{
    size_t setting = key->setting ? tg_file_setting(f, key->setting) : SIZE_MAX;
    const char *text;
    bool on;

    if (key->setting && setting == SIZE_MAX) {
        struct tg_mistake *m = tg_file_wrong(f, name, "'%s' is not supported by this build",
                                             key->path);

        tg_hint(&m->err, "leave it out to run the jobs of this file");
        m->warning = true;
        f->mistakes.n_errors--;
        return;
    }
    switch (key->kind) {
    case TG_KEY_SAME:
        tg_file_give(f, &f->seed, setting, node);
        break;
    case TG_KEY_NOT:
        if (tg_file_bool(f, node, key->path, &on))
            tg_file_give_text(f, &f->seed, setting, node, on ? "no" : "yes");
        break;
    case TG_KEY_PERCENT:
        tg_file_give_percent(f, &f->seed, key, node);
        break;
    case TG_KEY_PATTERN:
        text = tg_file_text(f, node, key->path);
        if (text && (!tg_pattern_parse(text, &f->pattern) || !tg_patterns[f->pattern].chats))
            tg_file_wrong(f, node, "'%s' is one of batch|parallel_batch|stream|delta, not '%.64s'",
                          key->path, text);
        break;
    case TG_KEY_BREAKER:
        if (tg_file_bool(f, node, key->path, &f->breaker_on))
            f->breaker = node;
        break;
    case TG_KEY_COORDINATE:
        give_coordinate(f, key, setting, node);
        break;
    }
}

/* ---- sections ---- */

/* The length of the part of a row's path that `path` begins with, up to the next dot; 0 if it does
 * not begin so. */
static size_t below(const char *row, const char *path)
{
    size_t n = strlen(path);

    return strncmp(row, path, n) == 0 && row[n] == '.' ? n + 1 + strcspn(row + n + 1, ".") : 0;
}

static void unknown_key(struct tg_config_file *f, const char *path, const struct tg_yaml_node *key)
{
    char text[NAMES_MAX][PATH_BYTES];
    const char *names[NAMES_MAX];
    size_t n = 0, len;

    for (const struct tg_key *row = tg_keys; row->path && n < NAMES_MAX; row++) {
        if (!(len = below(row->path, path)))
            continue;
        snprintf(text[n], sizeof text[n], "%.*s", (int)(len - strlen(path) - 1),
                 row->path + strlen(path) + 1);
        names[n] = text[n];
        n += n == 0 || strcmp(names[n - 1], text[n]) != 0;
    }
    tg_file_unknown(f, key, names, n);
}

static void read_section(struct tg_config_file *f, const char *path,
                         const struct tg_yaml_node *node)
{
    if (node->kind != TG_YAML_MAP) {
        tg_file_wrong(f, node, "'%s' takes keys with values", path);
        return;
    }
    for (size_t i = 0; i < node->n; i++) {
        const struct tg_yaml_node *key = node->key[i], *value = node->value[i];
        char inner[PATH_BYTES];
        const struct tg_key *row = tg_keys;
        bool group = false;

        snprintf(inner, sizeof inner, "%s.%.*s", path, PATH_BYTES / 2, key->text);
        while (row->path && !tg_name_same(row->path, inner)) {
            group = group || below(row->path, inner) != 0;
            row++;
        }
        if (row->path)
            give_key(f, row, key, value);
        else if (group)
            read_section(f, inner, value);
        else
            unknown_key(f, path, key);
    }
}

bool tg_file_section(struct tg_config_file *f, const struct tg_yaml_node *key,
                     const struct tg_yaml_node *value)
{
    for (const struct tg_key *row = tg_keys; row->path; row++) {
        char section[PATH_BYTES];

        snprintf(section, sizeof section, "%.*s", (int)strcspn(row->path, "."), row->path);
        if (tg_name_same(section, key->text)) {
            read_section(f, section, value);
            return true;
        }
    }
    return false;
}

void tg_file_sections_end(struct tg_config_file *f)
{
    size_t failures = tg_file_setting(f, "circuit-failures");
    size_t rate = tg_file_setting(f, "circuit-rate");

    if (!f->breaker)
        return;
    if (!f->breaker_on) {
        tg_file_give_text(f, &f->seed, failures, f->breaker, "0");
        tg_file_give_text(f, &f->seed, rate, f->breaker, "0");
    } else if (!f->seed.given[failures].node) {
        tg_file_give_text(f, &f->seed, failures, f->breaker, "5");
    }
}
