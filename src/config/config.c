/* SPDX-License-Identifier: MIT */
/*
 * config.c - the tables of all settings, and the config that is filled from them
 */
#include "tgdata/config.h"

#include <assert.h>
#include <stdlib.h>

#include "config/settings.h"

#define ROW(T, member, name_, type_, fallback_, min_, max_, value_, help_, ...)                    \
    {                                                                                              \
        .name = name_, .type = TG_OPT_##type_, .offset = offsetof(struct T, member),               \
        .fallback = fallback_, .min = min_, .max = max_, .value = value_, .help = help_,           \
        __VA_ARGS__                                                                                \
    }
#define ACCOUNT(...) ROW(tg_account_settings, __VA_ARGS__)
#define LOGIN(...) ROW(tg_login_settings, __VA_ARGS__)
#define EXTRACT(...) ROW(tg_extract_settings, __VA_ARGS__)
#define STREAM(...) ROW(tg_stream_settings, __VA_ARGS__)
#define WORKER(...) ROW(tg_worker_settings, __VA_ARGS__)
#define STEP(...) ROW(tg_step_settings, __VA_ARGS__)
#define MONITOR(...) ROW(tg_monitor_settings, __VA_ARGS__)
#define SCHEDULE(...) ROW(tg_schedule_settings, __VA_ARGS__)

static const struct tg_option account_table[] = {
    ACCOUNT(session, "session", STR, "tgdata.session", 0, 0, "FILE",
            "session file of the account, mode 0600", .env = "TGDATA_SESSION"),
    ACCOUNT(passphrase, "passphrase", SECRET, NULL, 0, 0, "TEXT",
            "passphrase of a sealed session file; a login with it seals the file",
            .env = "TGDATA_PASSPHRASE"),
    ACCOUNT(datacenter, "datacenter", STR, NULL, 0, 0, "FILE",
            "JSON file with addresses and public key of other data centres than Telegram's; the "
            "session keeps what it says, so only a login needs it",
            .env = "TGDATA_DATACENTER"),
    ACCOUNT(schema, "schema", STR, NULL, 0, 0, "FILE",
            "speak another layer than 228, from a .tl file (for servers that lag behind)"),
    ACCOUNT(test, "test-dc", BOOL, NULL, 0, 0, NULL, "use Telegram's test data centres"),
    ACCOUNT(api_id, "api-id", I64, NULL, 1, INT32_MAX, "N",
            "application id from my.telegram.org; needed to log in", .env = "TGDATA_API_ID"),
    ACCOUNT(api_hash, "api-hash", SECRET, NULL, 0, 0, "HEX", "application hash that goes with it",
            .env = "TGDATA_API_HASH"),
    ACCOUNT(import, "session-string", SECRET, NULL, 0, 0, "TEXT",
            "begin a new session file with the login of a Telethon or Pyrogram session string",
            .env = "TGDATA_SESSION_STRING"),
    ACCOUNT(transport, "transport", CHOICE, "obfuscated", 0, 0, "NAME",
            "how packets are framed on TCP",
            .choices = "obfuscated|intermediate|abridged|padded|full"),
    ACCOUNT(proxy, "proxy", SECRET, NULL, 0, 0, "URL",
            "socks5://[USER:PASSWORD@]HOST:PORT or mtproto://SECRET@HOST:PORT",
            .env = "TGDATA_PROXY"),
    ACCOUNT(no_pfs, "no-pfs", BOOL, NULL, 0, 0, NULL,
            "use the permanent key itself instead of temporary keys (no forward secrecy)"),
    ACCOUNT(rate, "rate", I64, "0", 0, 100000, "N",
            "requests a second and method at most; 0 learns the server's limit"),
    ACCOUNT(burst, "burst", I64, "0", 0, 100000, "N",
            "requests that may leave at once after a pause, with --rate; 0 takes a tenth of a "
            "second's worth"),
    ACCOUNT(rate_strategy, "rate-strategy", CHOICE, "token_bucket", 0, 0, "NAME",
            "how rate limits are met: by keeping a rate below them, or by waiting after they were "
            "hit",
            .choices = "token_bucket|exponential_backoff|server_wait"),
    ACCOUNT(rate_use, "rate-use", I64, "100", 1, 100, "PERCENT",
            "share of the configured or learned rate that is used; in a file also as "
            "rate_limit_buffer: 0.8"),
    ACCOUNT(coordinate, "coordinate", SECRET, NULL, 0, 0, "URL",
            "share rate limits with all that work on this account and name the same "
            "redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]",
            .also = "coordinate-across-workers", .env = "TGDATA_COORDINATE"),
    ACCOUNT(attempts, "attempts", I64, "12", 1, 1000, "N",
            "how often a call is tried that meets server trouble; flood waits do not count"),
    ACCOUNT(backoff_multiplier, "backoff-multiplier", I64, "2", 1, 10, "N",
            "how much longer each wait between attempts may be than the one before"),
    ACCOUNT(backoff_max_ms, "max-backoff", MS, "60s", 1, 86400000, "TIME",
            "longest wait between attempts"),
    ACCOUNT(no_jitter, "no-jitter", BOOL, NULL, 0, 0, NULL,
            "wait the full time between attempts, not a random part of it"),
    ACCOUNT(retry_on, "retry-on", STR, "RateLimit,NetworkError,ServerError", 0, 0, "TYPES",
            "error types that a call is tried again after"),
    ACCOUNT(retry_budget, "retry-budget", I64, "20", 0, 100, "PERCENT",
            "retries at most, as a share of all calls (and two a second); 0 does not limit them"),
    ACCOUNT(circuit_failures, "circuit-failures", I64, "0", 0, 100000, "N",
            "failures in a row that open a circuit breaker: that account, data centre, chat or "
            "destination is not asked for a while; 0 never does"),
    ACCOUNT(circuit_rate, "circuit-rate", I64, "0", 0, 100, "PERCENT",
            "share of the last minute's calls that opens it as well, of ten at least; 0 is not "
            "looked at"),
    ACCOUNT(recovery_timeout_ms, "recovery-timeout", MS, "60s", 1, 86400000, "TIME",
            "how long it stays open; a flood wait up to that is no failure"),
    ACCOUNT(half_open_requests, "half-open-requests", I64, "3", 1, 1000, "N",
            "calls that are tried then, and must succeed to close it"),
    ACCOUNT(circuit_open, "circuit-open", CHOICE, "wait", 0, 0, "WHAT",
            "what is done while it is open: calls wait, end at once, or what --fallback has is "
            "delivered before they end",
            .choices = "wait|fail|fallback"),
    ACCOUNT(call_timeout_ms, "call-timeout", MS, "60s", 1000, 3600000, "TIME",
            "reconnect when a call had no reply for so long"),
    ACCOUNT(call_deadline_ms, "call-deadline", MS, "0s", 0, INT64_C(30) * 86400000, "TIME",
            "give a call up when it has taken so long with all its waits; 0 never does"),
    { 0 },
};

static const struct tg_option login_table[] = {
    LOGIN(phone, "phone", STR, NULL, 0, 0, "NUMBER", "phone number in international form",
          .env = "TGDATA_PHONE"),
    LOGIN(code, "code", SECRET, NULL, 0, 0, "CODE", "login code, asked for if absent",
          .env = "TGDATA_CODE"),
    LOGIN(password, "password", SECRET, NULL, 0, 0, "TEXT",
          "two-step verification password, asked for if needed and absent",
          .env = "TGDATA_PASSWORD"),
    LOGIN(bot_token, "bot-token", SECRET, NULL, 0, 0, "TOKEN", "log in as a bot",
          .env = "TGDATA_BOT_TOKEN"),
    LOGIN(qr, "qr", BOOL, NULL, 0, 0, NULL, "log in by scanning a QR code with the phone"),
    LOGIN(force, "force", BOOL, NULL, 0, 0, NULL,
          "log in anew though the session is logged in; its file is replaced when that has worked, "
          "and the former login stays in the account's list of devices"),
    { 0 },
};

static const struct tg_option job_table[] = {
    EXTRACT(destinations, "to", LIST, NULL, 0, 0, "URL",
            "destination, such as ndjson:DIR; of several each gets all messages (a stream or delta "
            "has one)"),
    EXTRACT(state, "state", STR, "sqlite:tgdata.state", 0, 0, "URL",
            "where checkpoints are kept, such as sqlite:FILE", .env = "TGDATA_STATE"),
    EXTRACT(job, "job", STR, "default", 0, 0, "NAME",
            "name of the job: its checkpoints and parameters belong together"),
    EXTRACT(batch_size, "batch-size", I64, "1000", 1, 100000, "N", "messages in a batch",
            .env = "TGDATA_BATCH_SIZE"),
    EXTRACT(checkpoint_interval, "checkpoint-interval", I64, "10000", 1, INT64_C(1) << 40, "N",
            "messages from one commit and checkpoint to the next"),
    EXTRACT(lease_ms, "lease", MS, "30s", 1000, 3600000, "TIME",
            "how long a run that died keeps others from its job"),
    EXTRACT(destination_wait_ms, "destination-wait", MS, "forever", 0, -1, "TIME",
            "how long a destination that fails for a while is waited for; a time given also covers "
            "one that is not there at the start, or full; 0 ends the run at once"),
    EXTRACT(keep_checkpoints, "keep-checkpoints", I64, "100", 1, 1000000, "N",
            "checkpoints of a chat that are kept for rollback"),
    { 0 },
};

static const struct tg_option read_table[] = {
    EXTRACT(allow_protected, "allow-protected", BOOL, NULL, 0, 0, NULL,
            "also read chats that forbid saving their content"),
    EXTRACT(raw, "raw", BOOL, NULL, 0, 0, NULL, "keep each whole message object in the field raw"),
    EXTRACT(in_flight, "in-flight", I64, "12", 1, 64, "N", "history requests on their way at once"),
    EXTRACT(credit_bytes, "buffer", SIZE, "16MiB", 1 << 20, INT64_C(1) << 34, "SIZE",
            "batches between network and destination at most"),
    EXTRACT(spill_bytes, "spill", SIZE, "256MiB", 0, INT64_C(1) << 44, "SIZE",
            "of the temporary file (TMPDIR) that takes what is read while a destination is waited "
            "for; 0 stops reading"),
    { 0 },
};

static const struct tg_option extract_table[] = {
    EXTRACT(since, "since", TIME, NULL, 0, INT32_MAX, "DATE",
            "only messages sent at or after that time"),
    EXTRACT(until, "until", TIME, NULL, 1, INT32_MAX, "DATE",
            "only messages sent before that time"),
    EXTRACT(limit, "limit", I64, NULL, 1, INT64_C(1) << 40, "N",
            "stop after that many messages of each chat; without it all are read"),
    EXTRACT(min_id, "min-id", I64, NULL, 1, INT32_MAX, "ID", "only ids from this one on"),
    EXTRACT(max_id, "max-id", I64, NULL, 1, INT32_MAX, "ID", "only ids up to this one"),
    EXTRACT(takeout, "takeout", BOOL, NULL, 0, 0, NULL,
            "read inside an export session, with lower flood limits; also finds left channels"),
    EXTRACT(include_replies, "include-replies", BOOL, NULL, 0, 0, NULL,
            "also read the comments on a channel's posts; rows of a discussion group tell their "
            "post"),
    EXTRACT(workers, "workers", I64, "0", 0, 10000, "N",
            "chats read at once; 0: one, or four for each of several accounts"),
    EXTRACT(workload, "workload", CHOICE, "bulk_historical", 0, 0, "NAME",
            "which of several accounts reads a chat: the one with most of its rate left, or with "
            "the shortest delay",
            .choices = "bulk_historical|real_time|high_priority"),
    EXTRACT(reserved_share, "reserved-share", I64, "0", 0, 90, "PERCENT",
            "of the workers, and of the requests that each account has under way, kept for chats "
            "of high priority"),
    EXTRACT(reserve, "reserve", LIST, NULL, 0, 0, "SESSION",
            "read chats of high priority alone with that session, as long as others can read the "
            "rest"),
    EXTRACT(fallback, "fallback", STR, NULL, 0, 0, "LIST",
            "with --circuit-open fallback: where messages are taken from, marked in the field "
            "source, in order: archive (what other jobs have delivered), archive:JOB, or "
            "export:FILE (result.json of Telegram Desktop), separated by commas"),
    EXTRACT(media, "media", STR, NULL, 0, 0, "DIR",
            "also fetch photos and documents, into files named by their SHA-256 in a directory or "
            "s3://BUCKET/PREFIX; a row is delivered when its file is there"),
    EXTRACT(media_types, "media-types", STR, NULL, 0, 0, "LIST",
            "only files of these kinds, separated by commas, as in the field media_kind: photo, "
            "video, document, audio, voice, sticker, round_video, animation, custom_emoji"),
    EXTRACT(media_max_size, "media-max-size", SIZE, NULL, 1, INT64_C(1) << 40, "SIZE",
            "only files of at most that size"),
    EXTRACT(media_parts, "media-parts", I64, "8", 1, 64, "N",
            "parts of files, 1 MiB each, that an account asks for at once"),
    { 0 },
};

static const struct tg_option worker_table[] = {
    WORKER(queue, "queue", SECRET, NULL, 0, 0, "URL",
           "where tasks come from, such as redis://HOST:PORT/0?queue=NAME", .env = "TGDATA_QUEUE"),
    WORKER(until_empty, "until-empty", BOOL, NULL, 0, 0, NULL,
           "end when no task is waiting, put off, or taken by any worker"),
    WORKER(attempts, "task-attempts", I64, "5", 1, 1000, "N",
           "a task that failed so often goes to the dead letters"),
    { 0 },
};

static const struct tg_option step_table[] = {
    STEP(stage, "stage", LIST, NULL, 0, 0, "NAME?OPTIONS",
         "a step that rows go through, such as 'validate?field=text&max-length=4096'; in the order "
         "given, before filters and transformations"),
    STEP(filter, "filter", LIST, NULL, 0, 0, "EXPR",
         "keep rows for which a Lua expression is true, as 'word_count > 3'; deletions pass"),
    STEP(transform, "transform", LIST, NULL, 0, 0, "CODE",
         "change rows with Lua statements, such as 'row.text = row.text:lower()'"),
    STEP(enrich, "enrich", BOOL, NULL, 0, 0, NULL,
         "fill extracted_timestamp, word_count and has_media, before all other steps"),
    { 0 },
};

static const struct tg_option watch_table[] = {
    STREAM(comparison_fields, "comparison-fields", STR, "id,edit_date,content_hash", 0, 0, "LIST",
           "fields that tell whether a message has changed; reactions are looked at besides"),
    STREAM(parallel_workers, "parallel-workers", I64, "5", 1, 64, "N",
           "threads at most that take rows through their steps; so many as there is work for"),
    STREAM(min_workers, "min-workers", I64, "1", 1, 64, "N", "threads at least"),
    STREAM(buffer_size, "buffer-size", I64, "10000", 1, 100000000, "N",
           "rows on their way that count as a full buffer"),
    STREAM(backpressure_threshold, "backpressure-threshold", I64, "80", 1, 100, "PERCENT",
           "of that, from which on nothing more is fetched until the destination has caught up"),
    STREAM(linger_ms, "linger", MS, NULL, 1, 3600000, "TIME",
           "how long rows wait for others before they are committed; unless given 50ms, and 5s "
           "where each commit makes a file"),
    STREAM(keep_versions, "keep-versions", BOOL, NULL, 0, 0, NULL,
           "keep each message as it was with the job's state, so that rows of changes tell it in "
           "`before`"),
    STREAM(rescan, "rescan", BOOL, NULL, 0, 0, NULL,
           "read the chats again and compare, though the server would tell what has changed"),
    { 0 },
};

static const struct tg_option stream_table[] = {
    STREAM(history, "history", BOOL, NULL, 0, 0, NULL,
           "begin with the messages that are there; without it, with those that come"),
    STREAM(idle_exit_ms, "idle-exit", MS, "0", 0, INT64_C(1) << 40, "TIME",
           "end when nothing came for so long; 0: never"),
    { 0 },
};

static const struct tg_option monitor_table[] = {
    MONITOR(listen, "listen", STR, NULL, 0, 0, "ADDRESS",
            "serve a page to look at the run, /metrics, /healthz, /readyz and /api there: PORT of "
            "this machine alone, or HOST:PORT"),
    MONITOR(listen_token_file, "listen-token-file", STR, NULL, 0, 0, "FILE",
            "file with the token that reading then needs, and that allows to roll back; or set "
            "TGDATA_LISTEN_TOKEN to the token itself"),
    MONITOR(listen_open, "listen-open", BOOL, NULL, 0, 0, NULL,
            "let everybody read who reaches the address, without a token"),
    MONITOR(metrics_endpoint, "metrics-endpoint", STR, NULL, 0, 0, "URL",
            "push metrics to that Pushgateway, or by remote write to that Prometheus, again and "
            "again and at the end"),
    MONITOR(export_interval_ms, "export-interval", MS, "30s", 100, 86400000, "TIME",
            "from one push to the next, and to StatsD and CloudWatch"),
    MONITOR(statsd, "statsd", STR, NULL, 0, 0, "ADDRESS",
            "send metrics to StatsD over UDP: PORT of this machine, or HOST:PORT"),
    MONITOR(statsd_format, "statsd-format", CHOICE, "plain", 0, 0, "NAME",
            "whether labels are parts of the names, or tags as DogStatsD has them",
            .choices = "plain|dogstatsd"),
    MONITOR(cloudwatch, "cloudwatch", STR, NULL, 0, 0, "NAMESPACE",
            "put metrics into CloudWatch, with the keys and the region of the environment or the "
            "profile"),
    MONITOR(alert_error_rate, "alert-error-rate", PERCENT, "0", 0, TG_WHOLE, "PERCENT",
            "alert when a larger share of the attempts of calls fails; 0: never"),
    MONITOR(alert_rate_drop, "alert-rate-drop", PERCENT, "0", 0, TG_WHOLE, "PERCENT",
            "alert when rows are read slower by more than that than in the moving average; 0: "
            "never"),
    MONITOR(alert_anomaly, "alert-anomaly", I64, "0", 0, 1000, "SCORE",
            "alert when the rate is more than so many usual deviations off its median, such as 5; "
            "0: never"),
    MONITOR(alert_hold_ms, "alert-hold", MS, "30s", 0, 86400000, "TIME",
            "how long it must be so until an alert fires, and over until it is resolved"),
    MONITOR(alert_interval_ms, "alert-interval", MS, "5s", 50, 3600000, "TIME",
            "from one look to the next; the moving average is over 60 looks, the rate over 6"),
    MONITOR(alert_webhook, "alert-webhook", SECRET, NULL, 0, 0, "URL",
            "post alerts there, as Alertmanager posts to webhooks; to Alertmanager itself as "
            "http://HOST:9093/api/v2/alerts",
            .env = "TGDATA_ALERT_WEBHOOK"),
    MONITOR(alert_token, "alert-token", SECRET, NULL, 0, 0, "TEXT",
            "send that along, as `authorization: Bearer`", .env = "TGDATA_ALERT_TOKEN"),
    MONITOR(traces, "traces", STR, NULL, 0, 0, "FORM:URL",
            "bring traces to a collector: otlp:http://HOST:4318/v1/traces or "
            "zipkin:http://HOST:9411/api/v2/spans; else where OTEL_EXPORTER_OTLP_ENDPOINT says"),
    MONITOR(traces_header, "traces-header", SECRET, NULL, 0, 0, "TEXT",
            "a header to be let in there: 'NAME: VALUE'", .env = "TGDATA_TRACES_HEADER"),
    MONITOR(traces_sample, "traces-sample", PERCENT, "100", 0, TG_WHOLE, "PERCENT",
            "share of the batches, with their calls, that traces tell; calls that fail or wait are "
            "always told"),
    { 0 },
};

static const struct tg_option log_table[] = {
    MONITOR(log_format, "log-format", CHOICE, "text", 0, 0, "FORMAT",
            "what the log is: text on stderr, a JSON object a line there, or entries of systemd's "
            "journal",
            .choices = "text|json|journald"),
    MONITOR(log_level, "log-level", CHOICE, "info", 0, 0, "LEVEL",
            "how bad it must be to be logged",
            .choices = "error|warning|info"),
    MONITOR(journal_socket, "journal-socket", STR, "/run/systemd/journal/socket", 0, 0, "PATH",
            "where the journal takes entries"),
    { 0 },
};

static const struct tg_option schedule_table[] = {
    SCHEDULE(schedule, "schedule", STR, NULL, 0, 0, "WHEN",
             "when the job is run, such as 'every 1 hour' or '30 2 * * mon-fri'"),
    SCHEDULE(zone, "time-zone", STR, "UTC", 0, 0, "ZONE", "the time zone whose clocks are meant"),
    SCHEDULE(preferred, "preferred-times", LIST, NULL, 0, 0, "TIMES",
             "times of day to wait for if the next run is not due before, such as 02:00,14:00"),
    SCHEDULE(avoided, "avoid-times", LIST, NULL, 0, 0, "WINDOWS",
             "times of each day to put runs off to the end of, such as 09:00-17:00"),
    SCHEDULE(maintenance, "maintenance", LIST, NULL, 0, 0, "FROM/UNTIL",
             "the same once, from one time to another"),
    SCHEDULE(jitter_ms, "run-jitter", MS, "0", 0, 86400000, "TIME",
             "up to that much later, drawn from the job's name and the run"),
    SCHEDULE(after, "after", LIST, NULL, 0, 0, "JOB",
             "run when the last run of that job has succeeded; without a schedule, whenever each "
             "of them has succeeded again"),
    SCHEDULE(priority, "priority", CHOICE, "normal", 0, 0, "WHICH",
             "which of the runs that wait is started first", .choices = "low|normal|high"),
    SCHEDULE(overlap, "overlap", CHOICE, "skip", 0, 0, "WHAT",
             "what a run does that is due while the one before is at work: it is left out, waits, "
             "or ends the other",
             .choices = "skip|queue|cancel"),
    SCHEDULE(catch_up_ms, "catch-up", MS, "1h", 1000, INT64_C(366) * 86400000, "TIME",
             "how late a run that was missed is still made up for"),
    SCHEDULE(coalesce, "coalesce", BOOL, NULL, 0, 0, NULL,
             "of runs that wait only the last is run"),
    SCHEDULE(max_duration_ms, "max-duration", MS, "0", 0, INT64_C(366) * 86400000, "TIME",
             "a run is stopped when it has taken so long; it commits what it has. 0: never"),
    SCHEDULE(deadline_ms, "deadline", MS, "0", 0, INT64_C(366) * 86400000, "TIME",
             "how long after it is due a run should have ended; of those that wait, the one with "
             "the earliest deadline that can be kept is first, and one not kept is told. 0: none"),
    SCHEDULE(flexible_ms, "flexible", MS, "0", 0, 86400000, "TIME",
             "how much later a run may be, to come into an hour with fewer flood waits"),
    SCHEDULE(retries, "run-retries", I64, "10", 0, 1000, "N",
             "how often a run that failed is tried again"),
    SCHEDULE(retry_wait_ms, "run-retry-wait", MS, "30s", 1, 86400000, "TIME",
             "before that, at most; twice as long each time, up to a quarter of an hour"),
    SCHEDULE(resources, "resources", LIST, NULL, 0, 0, "NAME[=N]",
             "what a run needs while it is at work: of what is scarce, so many slots"),
    SCHEDULE(slots, "resource-slots", LIST, NULL, 0, 0, "NAME=N",
             "how many slots there are of that (stands under defaults)"),
    SCHEDULE(max_running, "max-running", I64, "4", 1, 1000, "N",
             "runs of all jobs at once (stands under defaults)"),
    SCHEDULE(free_space_bytes, "min-free-space", SIZE, "0", 0, INT64_C(1) << 50, "SIZE",
             "a run is not started while the working directory and a destination of files have "
             "less room than that"),
    SCHEDULE(series, "series", STR, NULL, 0, 0, "TEXT",
             "stands behind the job's name, after a dot, where its checkpoints are kept: each has "
             "its own, as runs of single intervals need"),
    SCHEDULE(verify, "verify", BOOL, NULL, 0, 0, NULL,
             "after a run, look whether all that the job wrote is complete, as tgdata verify does; "
             "if it is not, the run is incomplete, which is a failure"),
    SCHEDULE(archive_checkpoints, "archive-checkpoints", STR, NULL, 0, 0, "DIR",
             "after a run, keep the job's state with all its checkpoints as a file there, which "
             "tgdata state restore reads"),
    SCHEDULE(on_complete, "on-complete", STR, NULL, 0, 0, "COMMAND",
             "what is done when a run has ended: a command of the shell, which finds in its "
             "environment how it went"),
    SCHEDULE(on_alert, "on-alert", STR, NULL, 0, 0, "COMMAND",
             "the same when somebody should know: a run has failed for good, took too long, was "
             "missed, or its deadline has passed"),
    SCHEDULE(on_complete_webhook, "on-complete-webhook", SECRET, NULL, 0, 0, "URL",
             "where it is posted, as a JSON object, when a run has ended"),
    SCHEDULE(on_alert_webhook, "on-alert-webhook", SECRET, NULL, 0, 0, "URL",
             "where it is posted when somebody should know"),
    { 0 },
};

struct scope {
    const struct tg_option *table;
    size_t offset;
};

static const struct scope scope_table[TG_SCOPE_COUNT] = {
    [TG_SCOPE_ACCOUNT] = { account_table, offsetof(struct tg_config, account) },
    [TG_SCOPE_LOGIN] = { login_table, offsetof(struct tg_config, login) },
    [TG_SCOPE_JOB] = { job_table, offsetof(struct tg_config, extract) },
    [TG_SCOPE_READ] = { read_table, offsetof(struct tg_config, extract) },
    [TG_SCOPE_WATCH] = { watch_table, offsetof(struct tg_config, stream) },
    [TG_SCOPE_STREAM] = { stream_table, offsetof(struct tg_config, stream) },
    [TG_SCOPE_WORKER] = { worker_table, offsetof(struct tg_config, worker) },
    [TG_SCOPE_STAGES] = { step_table, offsetof(struct tg_config, steps) },
    [TG_SCOPE_MONITOR] = { monitor_table, offsetof(struct tg_config, monitor) },
    [TG_SCOPE_LOG] = { log_table, offsetof(struct tg_config, monitor) },
    [TG_SCOPE_SCHEDULE] = { schedule_table, offsetof(struct tg_config, schedule) },
    [TG_SCOPE_EXTRACT] = { extract_table, offsetof(struct tg_config, extract) },
};

struct tg_config_text {
    struct tg_config_text *older;
    size_t len;
    char text[];
};

const struct tg_option *tg_config_table(enum tg_scope scope)
{
    assert(scope < TG_SCOPE_COUNT);
    return scope_table[scope].table;
}

static void *settings_of(struct tg_config *c, enum tg_scope scope)
{
    return (char *)c + scope_table[scope].offset;
}

struct tg_config *tg_config_new(void)
{
    struct tg_config *c = calloc(1, sizeof *c);

    for (int i = 0; c && i < TG_SCOPE_COUNT; i++) {
        struct tg_error err;

        if (tg_options_default(scope_table[i].table, settings_of(c, (enum tg_scope)i), &err) !=
            TG_OK)
            c->broken = err;
    }
    return c;
}

void tg_config_free(struct tg_config *c)
{
    if (!c)
        return;
    while (c->texts) {
        struct tg_config_text *older = c->texts->older;

        explicit_bzero(c->texts->text, c->texts->len);
        free(c->texts);
        c->texts = older;
    }
    for (int i = 0; i < TG_SCOPE_COUNT; i++)
        tg_options_done(scope_table[i].table, settings_of(c, (enum tg_scope)i));
    free(c);
}

bool tg_config_same(const struct tg_config *a, const struct tg_config *b, const char *but)
{
    bool same = true;

    for (int i = 0; same && i < TG_SCOPE_COUNT; i++) {
        size_t at = scope_table[i].offset;

        same = tg_options_same(scope_table[i].table, (const char *)a + at, (const char *)b + at,
                               but);
    }
    return same;
}

tg_code tg_config_check(const struct tg_config *c, struct tg_error *err)
{
    if (c->broken.code == TG_OK)
        return TG_OK;
    *err = c->broken;
    return err->code;
}

static bool find_scope(const char *name, enum tg_scope *ret)
{
    for (int i = 0; i < TG_SCOPE_COUNT; i++) {
        if (tg_option_find(scope_table[i].table, name)) {
            *ret = (enum tg_scope)i;
            return true;
        }
    }
    return false;
}

const char *tg_config_item(const struct tg_config *c, const char *name, size_t i)
{
    const struct tg_option *o;
    const void *member;
    enum tg_scope scope;

    if (!find_scope(name, &scope))
        return NULL;
    o = tg_option_find(scope_table[scope].table, name);
    member = (const char *)c + scope_table[scope].offset + o->offset;
    if (o->type == TG_OPT_LIST) {
        const struct tg_option_list *list = member;

        return i < list->n ? list->item[i] : NULL;
    }
    return o->type == TG_OPT_STR && i == 0 ? *(const char *const *)member : NULL;
}

const char *tg_config_text(const struct tg_config *c, const char *name)
{
    return tg_config_item(c, name, 0);
}

bool tg_config_flag(const struct tg_config *c, const char *name)
{
    const struct tg_option *o;
    enum tg_scope scope;

    if (!find_scope(name, &scope))
        return false;
    o = tg_option_find(scope_table[scope].table, name);
    return o->type == TG_OPT_BOOL &&
           *(const bool *)((const char *)c + scope_table[scope].offset + o->offset);
}

bool tg_config_repeats(const char *name)
{
    enum tg_scope scope;

    return find_scope(name, &scope) &&
           tg_option_find(scope_table[scope].table, name)->type == TG_OPT_LIST;
}

bool tg_config_known(const char *name, bool *ret_is_flag)
{
    enum tg_scope scope;

    if (!find_scope(name, &scope))
        return false;
    *ret_is_flag = tg_option_find(scope_table[scope].table, name)->type == TG_OPT_BOOL;
    return true;
}

tg_code tg_config_set(struct tg_config *c, const char *name, const char *value,
                      struct tg_error *err)
{
    struct tg_config_text *kept = NULL;
    enum tg_scope scope;
    tg_code code;

    if (!find_scope(name, &scope)) {
        tg_fail(err, TG_USAGE, "there is no setting '%s'", name);
        for (int i = 0; i < TG_SCOPE_COUNT; i++) {
            const char *similar = tg_option_similar(scope_table[i].table, name);

            if (similar)
                return tg_hint(err, "did you mean '%s'?", similar);
        }
        return TG_USAGE;
    }
    if (value) {
        size_t len = strlen(value);

        kept = malloc(sizeof *kept + len + 1);
        if (!kept)
            return tg_fail(err, TG_NOMEM, "no memory for the setting '%s'", name);
        memcpy(kept->text, value, len + 1);
        kept->len = len;
        kept->older = c->texts;
        c->texts = kept;
    }
    code = tg_option_set(scope_table[scope].table, settings_of(c, scope), name,
                         kept ? kept->text : NULL, err);
    if (c->extract.destinations.n)
        c->extract.to = c->extract.destinations.item[0];
    return code;
}

const char *tg_config_name(enum tg_scope scope, size_t i)
{
    const struct tg_option *row;

    assert(scope < TG_SCOPE_COUNT);
    for (row = scope_table[scope].table; row->name && i; row++)
        i--;
    return row->name;
}

size_t tg_config_help(enum tg_scope scope, size_t width, char *out, size_t n)
{
    struct tg_buf text;
    size_t len;

    assert(scope < TG_SCOPE_COUNT);
    tg_buf_init(&text, 1 << 20);
    tg_options_help(scope_table[scope].table, &text, width);
    len = text.len;
    if (n) {
        size_t copied = TG_MIN(len, n - 1);

        if (copied)
            memcpy(out, text.data, copied);
        out[copied] = 0;
    }
    tg_buf_done(&text);
    return len;
}
