/* SPDX-License-Identifier: MIT */
/*
 * settings.h - the structs behind tgdata/config.h: one per scope, filled from the tables in
 * config.c
 *
 * Threads: value types; texts are owned by the config
 */
#ifndef TG_SETTINGS_H
#define TG_SETTINGS_H

#include "base/option.h"
#include "tgdata/config.h"

enum tg_setting_transport {
    TG_TRANSPORT_OBFUSCATED, /* intermediate under obfuscation, as common clients do */
    TG_TRANSPORT_INTERMEDIATE,
    TG_TRANSPORT_ABRIDGED,
    TG_TRANSPORT_PADDED,
    TG_TRANSPORT_FULL,
};

enum tg_setting_circuit_open {
    TG_CIRCUIT_OPEN_WAIT, /* calls wait until it may be tried */
    TG_CIRCUIT_OPEN_FAIL, /* calls end at once */
    TG_CIRCUIT_OPEN_FALLBACK, /* as with fail; chats are read from elsewhere */
};

enum tg_setting_strategy {
    TG_STRATEGY_TOKEN_BUCKET, /* a rate, configured or learned, that floods are avoided with */
    TG_STRATEGY_BACKOFF,      /* no pace; floods in a row are waited for longer and longer */
    TG_STRATEGY_SERVER_WAIT,  /* no pace; floods are waited for as the server says */
};

enum tg_setting_statsd {
    TG_STATSD_PLAIN,     /* labels are parts of the name */
    TG_STATSD_DOGSTATSD, /* labels are tags */
};

struct tg_account_settings {
    const char *session;
    const char *passphrase;
    const char *datacenter;
    const char *schema;
    bool test;
    int64_t api_id;
    const char *api_hash;
    const char *import;   /* session string */
    int64_t transport;    /* enum tg_setting_transport */
    const char *proxy;
    bool no_pfs;
    int64_t rate;         /* requests per second and method; 0: learned */
    int64_t burst;
    int64_t rate_strategy; /* enum tg_setting_strategy */
    int64_t rate_use;      /* percent of a configured or learned rate */
    const char *coordinate; /* URL of the Redis through which workers share limits; NULL: none */
    int64_t attempts;
    int64_t backoff_multiplier, backoff_max_ms;
    bool no_jitter;
    const char *retry_on;
    int64_t retry_budget;  /* percent; 0: no limit */
    int64_t circuit_failures, circuit_rate; /* what opens the breaker; 0: not looked at */
    int64_t recovery_timeout_ms, half_open_requests;
    int64_t circuit_open;  /* enum tg_setting_circuit_open */
    int64_t call_timeout_ms, call_deadline_ms;
};

struct tg_login_settings {
    const char *phone, *code, *password, *bot_token;
    bool qr, force;
};

struct tg_extract_settings {
    struct tg_option_list destinations; /* as given */
    const char *to;                     /* the first of them; NULL: none */
    const char *state;
    const char *job;
    int64_t batch_size;
    int64_t checkpoint_interval;
    int64_t since, until; /* Unix seconds; 0: open */
    int64_t limit, min_id, max_id;
    bool takeout;
    bool allow_protected;
    bool raw;
    bool include_replies;
    int64_t workers; /* chats at work at once; 0: by the number of accounts */
    int64_t workload;       /* enum tg_workload */
    int64_t reserved_share; /* percent */
    struct tg_option_list reserve; /* sessions for chats of high priority */
    int64_t in_flight;
    int64_t lease_ms;
    int64_t credit_bytes;
    int64_t destination_wait_ms; /* INT64_MAX: for ever */
    int64_t spill_bytes;
    int64_t keep_checkpoints;
    const char *fallback;
    const char *media;       /* directory for files; NULL: they are not fetched */
    const char *media_types; /* kinds, separated by commas; NULL: all */
    int64_t media_max_size;  /* 0: any */
    int64_t media_parts;     /* of an account, on their way at once */

    /* of a transformation, no settings: where its rows come from, NULL if it is none, and what is
     * done to them */
    const char *source;
    const char *const *stage;
    size_t n_stages;
};

struct tg_stream_settings {
    int64_t buffer_size;            /* rows on their way */
    int64_t backpressure_threshold; /* percent of them */
    int64_t parallel_workers, min_workers;
    int64_t linger_ms;              /* 0: as the destination is */
    int64_t idle_exit_ms; /* 0: never */
    bool history, rescan, keep_versions;
    const char *comparison_fields;
};

/** Steps that rows go through. */
struct tg_step_settings {
    bool enrich;                                    /* before all others */
    struct tg_option_list stage, filter, transform; /* each in the order given, one kind after the
                                                       other */
};

struct tg_worker_settings {
    const char *queue; /* NULL: none */
    bool until_empty;
    int64_t attempts;
};

enum tg_log_format { TG_LOG_TEXT, TG_LOG_JSON, TG_LOG_JOURNALD };

struct tg_monitor_settings {
    const char *listen; /* NULL: nowhere */
    const char *listen_token_file; /* NULL: TGDATA_LISTEN_TOKEN has the token, or there is none */
    bool listen_open;
    const char *metrics_endpoint; /* URL of a Pushgateway or a Prometheus; NULL: none */
    const char *statsd;           /* address; NULL: none */
    int64_t statsd_format;        /* enum tg_setting_statsd */
    const char *cloudwatch;       /* namespace; NULL: none */
    int64_t export_interval_ms;
    int64_t alert_error_rate, alert_rate_drop; /* of a million; 0: not looked at */
    int64_t alert_anomaly;                     /* score; 0: not looked at */
    int64_t alert_hold_ms, alert_interval_ms;
    const char *alert_webhook, *alert_token;
    int64_t log_format; /* enum tg_log_format */
    int64_t log_level;  /* enum tg_log_level */
    const char *journal_socket;
    const char *traces; /* where spans go; NULL: nowhere */
    const char *traces_header;
    int64_t traces_sample; /* parts of a million */
};

enum tg_setting_priority { TG_RUN_LOW, TG_RUN_NORMAL, TG_RUN_HIGH };
enum tg_setting_overlap { TG_OVERLAP_SKIP, TG_OVERLAP_QUEUE, TG_OVERLAP_CANCEL };

struct tg_schedule_settings {
    const char *schedule; /* NULL: none */
    const char *zone;
    struct tg_option_list preferred, avoided, maintenance;
    int64_t jitter_ms;
    struct tg_option_list after; /* names of jobs */
    int64_t priority;            /* enum tg_setting_priority */
    int64_t overlap;             /* enum tg_setting_overlap */
    int64_t catch_up_ms;
    bool coalesce;
    int64_t max_duration_ms, deadline_ms, flexible_ms; /* 0: none */
    int64_t retries, retry_wait_ms;
    struct tg_option_list resources, slots; /* "NAME=N" */
    int64_t max_running;
    int64_t free_space_bytes;
    const char *series; /* NULL: none */
    bool verify;
    const char *archive_checkpoints; /* directory; NULL: none */
    const char *on_complete, *on_alert;
    const char *on_complete_webhook, *on_alert_webhook;
};

struct tg_config {
    struct tg_account_settings account;
    struct tg_login_settings login;
    struct tg_extract_settings extract;
    struct tg_stream_settings stream;
    struct tg_step_settings steps;
    struct tg_worker_settings worker;
    struct tg_monitor_settings monitor;
    struct tg_schedule_settings schedule;
    struct tg_config_text *texts; /* values that were set, owned */
    struct tg_error broken;       /* a default or environment variable that does not fit */
};

/** @return the table of a scope */
const struct tg_option *tg_config_table(enum tg_scope scope);

/** @return whether all settings are the same, the one named `but` aside */
bool tg_config_same(const struct tg_config *a, const struct tg_config *b, const char *but);

/** @return TG_OK, or what tg_config_new found broken */
tg_code tg_config_check(const struct tg_config *config, struct tg_error *err);

#endif
