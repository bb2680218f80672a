/* SPDX-License-Identifier: MIT */
/*
 * kafka.c - address, login, settings of the library, and what failures mean; see kafka.h
 *
 * Facts: librdkafka's rdkafka.h and CONFIGURATION.md; kafka.apache.org/protocol (error codes).
 */
#ifdef TG_HAVE_KAFKA

#include "client/kafka_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/loop.h"

enum { LOGIN_MAX = 4096 };

/* ---- failures ---- */

static const struct {
    rd_kafka_resp_err_t kafka;
    tg_code code;
    const char *hint; /* NULL: that of what may pass */
} meaning[] = {
    { RD_KAFKA_RESP_ERR__AUTHENTICATION, TG_IO,
      "user and password: KAFKA_USERNAME and KAFKA_PASSWORD; the mechanism: ?sasl=" },
    { RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, TG_IO,
      "user and password: KAFKA_USERNAME and KAFKA_PASSWORD; the mechanism: ?sasl=" },
    { RD_KAFKA_RESP_ERR__SSL, TG_IO, "the server's certificate is checked with ?ca=FILE" },
    { RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, TG_IO,
      "make it, or let it be made: ?create=PARTITIONS" },
    { RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, TG_IO, "make it, or let it be made: ?create=PARTITIONS" },
    { RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, TG_IO,
      "the user needs READ, WRITE and DESCRIBE of the topic, and CREATE for ?create" },
    { RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, TG_IO,
      "the user needs CREATE of the cluster or the topic for ?create" },
    { RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, TG_IO,
      "the user needs READ of groups whose names begin with 'tgdata.'" },
    { RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, TG_IO,
      "the user needs WRITE and DESCRIBE of transactional ids that begin with 'tgdata.'" },
    { RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, TG_IO,
      "the server takes no longer one than its transaction.max.timeout.ms" },
    { RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR, TG_IO,
      "the topic needs as many servers as default.replication.factor of the server tells" },
    { RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, TG_DATA,
      "raise max.message.bytes of the topic" },
    { RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, TG_IO,
      "the server's offset.metadata.max.bytes is below 2048" },
    { RD_KAFKA_RESP_ERR__FENCED, TG_BUSY, NULL },
    { RD_KAFKA_RESP_ERR_PRODUCER_FENCED, TG_BUSY, NULL },
    { RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, TG_BUSY, NULL },
    { RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, TG_BUSY, NULL },
    { RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, TG_BUSY, NULL },
};

tg_code tg_kafka_failed(const struct tg_kafka *k, const char *what, rd_kafka_resp_err_t code,
                        const char *why, struct tg_error *err)
{
    const char *hint = NULL;
    tg_code as = TG_SINK;

    for (size_t i = 0; i < TG_COUNT(meaning); i++)
        if (meaning[i].kafka == code) {
            as = meaning[i].code;
            hint = meaning[i].hint;
        }
    why = why && *why ? why : rd_kafka_err2str(code);
    tg_fail(err, as, "could not %s at %s: %.*s", what, k->name, (int)strcspn(why, "\n"), why);
    return tg_hint(err, "%s", hint ? hint : "check that the server runs and can be reached");
}

tg_code tg_kafka_timed_out(const struct tg_kafka *k, const char *what,
                           const struct kafka_trouble *trouble, struct tg_error *err)
{
    if (!trouble->code)
        return tg_kafka_failed(k, what, RD_KAFKA_RESP_ERR__TIMED_OUT, NULL, err);
    tg_kafka_failed(k, what, trouble->code, trouble->text, err);
    if (!k->o.tls && strstr(trouble->text, "SSL listener"))
        tg_hint(err, "if that is a port of TLS, say ?tls");
    return err->code;
}

bool tg_kafka_hopeless(const struct kafka_trouble *trouble)
{
    return trouble->code == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
           trouble->code == RD_KAFKA_RESP_ERR__SSL ||
           trouble->code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
}

bool tg_kafka_passes(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
    case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
    case RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT:
    case RD_KAFKA_RESP_ERR__TRANSPORT:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return true;
    default:
        return false;
    }
}

int64_t tg_kafka_deadline(const struct tg_kafka *k)
{
    return tg_clock_mono_us() + k->o.timeout_ms * TG_MS_US;
}

int tg_kafka_left(int64_t deadline_us)
{
    return (int)TG_MAX((deadline_us - tg_clock_mono_us()) / TG_MS_US, (int64_t)0);
}

int tg_kafka_slice(int64_t deadline_us)
{
    return TG_MIN(tg_kafka_left(deadline_us), (int)KAFKA_SLICE_MS);
}

/* ---- handles ---- */

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct kafka_trouble *trouble = opaque;

    (void)rk;
    if (tg_kafka_hopeless(trouble) || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        return; /* the reason was told before */
    trouble->code = (rd_kafka_resp_err_t)code;
    snprintf(trouble->text, sizeof trouble->text, "%s", reason);
}

/* A library does not write to its program's standard error. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

static void on_delivered(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct kafka_trouble *trouble = opaque;

    (void)rk;
    if (!message->err || message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        return;
    trouble->code = message->err;
    snprintf(trouble->text, sizeof trouble->text, "%s", rd_kafka_message_errstr(message));
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value, struct tg_error *err)
{
    char why[200];

    if (!value || rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return true;
    tg_fail(err, TG_USAGE, "the Kafka library takes no '%s' of %.60s: %.120s", name,
            strstr(name, "password") ? "that kind" : value, why);
    tg_hint(err, "`tgdata extract --help` lists the options of kafka:");
    return false;
}

static bool set_login(const struct tg_kafka *k, rd_kafka_conf_t *conf, struct tg_error *err)
{
    return !k->o.sasl || (set(conf, "sasl.mechanisms", k->o.sasl, err) &&
                          set(conf, "sasl.username", (const char *)k->user.data, err) &&
                          set(conf, "sasl.password", (const char *)k->password.data, err));
}

static bool set_all(const struct tg_kafka *k, rd_kafka_conf_t *conf, const char *const (*more)[2],
                    struct tg_error *err)
{
    static const char *const protocol[2][2] = { { "plaintext", "sasl_plaintext" },
                                                { "ssl", "sasl_ssl" } };
    const char *const setting[][2] = {
        { "bootstrap.servers", k->brokers },
        { "client.id", "tgdata" },
        { "security.protocol", protocol[k->o.tls][k->o.sasl != NULL] },
        { "ssl.ca.location", k->o.tls ? k->o.ca : NULL },
        { "ssl.certificate.location", k->o.tls ? k->o.cert : NULL },
        { "ssl.key.location", k->o.tls ? k->o.key : NULL },
        { "reconnect.backoff.ms", "50" },
        { "reconnect.backoff.max.ms", "1000" },
        { "broker.address.ttl", "5000" },
    };

    for (size_t i = 0; i < TG_COUNT(setting); i++)
        if (!set(conf, setting[i][0], setting[i][1], err))
            return false;
    for (; (*more)[0]; more++)
        if (!set(conf, (*more)[0], (*more)[1], err))
            return false;
    return set_login(k, conf, err);
}

rd_kafka_t *tg_kafka_handle(struct tg_kafka *k, rd_kafka_type_t type,
                            const char *const (*more)[2], struct kafka_trouble *trouble,
                            struct tg_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_t *rk = NULL;
    char why[200];

    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (type == RD_KAFKA_PRODUCER)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivered);
    rd_kafka_conf_set_opaque(conf, trouble);
    *trouble = (struct kafka_trouble){ .code = RD_KAFKA_RESP_ERR_NO_ERROR };
    if (set_all(k, conf, more, err)) {
        rk = rd_kafka_new(type, conf, why, sizeof why);
        if (!rk) {
            tg_fail(err, TG_USAGE, "could not begin with %s: %.160s", k->name, why);
            tg_hint(err, "check the options, and the files that they name");
        }
    }
    if (!rk)
        rd_kafka_conf_destroy(conf);
    return rk;
}

/* ---- address and login ---- */

static tg_code read_address(struct tg_kafka *k, struct tg_error *err)
{
    static const char taken[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    const char *a = k->o.address, *slash = strncmp(a, "//", 2) == 0 ? strchr(a + 2, '/') : NULL;
    const char *suffix = k->o.suffix ? k->o.suffix : "";
    size_t n = slash ? (size_t)(slash - a) - 2 : 0, topic = slash ? strlen(slash + 1) : 0;

    if (n && memchr(a + 2, '@', n)) {
        tg_fail(err, TG_USAGE, "an address of Kafka with a user or password in it is refused");
        return tg_hint(err, "set KAFKA_USERNAME and KAFKA_PASSWORD, and say ?sasl=plain");
    }
    if (!n || n >= sizeof k->brokers || a[2] == ',' || slash[-1] == ',' || !topic) {
        tg_fail(err, TG_USAGE, "'%.120s' names no server and topic of Kafka", a);
        return tg_hint(err, "write it as kafka://HOST:PORT[,HOST:PORT]/TOPIC");
    }
    if (topic + strlen(suffix) > KAFKA_TOPIC_MAX || strspn(slash + 1, taken) != topic ||
        strspn(slash + 1, ".") == topic) {
        tg_fail(err, TG_USAGE, "'%.80s' is no name for a topic", slash + 1);
        return tg_hint(err, "letters, digits, '.', '_' and '-', at most %d",
                       KAFKA_TOPIC_MAX - (int)strlen(suffix));
    }
    snprintf(k->brokers, sizeof k->brokers, "%.*s", (int)n, a + 2);
    snprintf(k->topic, sizeof k->topic, "%s%s", slash + 1, suffix);
    snprintf(k->name, sizeof k->name, "Kafka %.100s, topic '%.120s'", k->brokers, k->topic);
    return TG_OK;
}

static void keep(struct tg_buf *to, const char *text, size_t n)
{
    tg_buf_grow(to, n + 1);
    tg_buf_add(to, text, n);
    tg_buf_cstr(to);
}

static tg_code login_of_file(struct tg_kafka *k, struct tg_error *err)
{
    char line[LOGIN_MAX] = "";
    FILE *f = fopen(k->o.login, "rbe");
    const char *colon;
    bool got;

    if (!f) {
        tg_fail(err, TG_USAGE, "could not open '%.200s', the file with the login", k->o.login);
        return tg_hint(err, "its one line is USER:PASSWORD");
    }
    setvbuf(f, NULL, _IONBF, 0); /* no copy of it stays in a buffer */
    got = fgets(line, sizeof line, f) != NULL;
    fclose(f);
    line[strcspn(line, "\r\n")] = 0;
    colon = got ? strchr(line, ':') : NULL;
    if (colon) {
        keep(&k->user, line, (size_t)(colon - line));
        keep(&k->password, colon + 1, strlen(colon + 1));
    }
    explicit_bzero(line, sizeof line);
    if (colon)
        return TG_OK;
    tg_fail(err, TG_USAGE, "'%.200s' holds no login", k->o.login);
    return tg_hint(err, "its one line is USER:PASSWORD");
}

static tg_code read_login(struct tg_kafka *k, struct tg_error *err)
{
    const char *user = getenv("KAFKA_USERNAME"), *password = getenv("KAFKA_PASSWORD");
    tg_code code = TG_OK;

    if (!k->o.sasl)
        return TG_OK;
    if (k->o.login) {
        code = login_of_file(k, err);
    } else if (user && *user && password) {
        keep(&k->user, user, strlen(user));
        keep(&k->password, password, strlen(password));
    } else {
        tg_fail(err, TG_USAGE, "?sasl needs a user and a password");
        return tg_hint(err, "set KAFKA_USERNAME and KAFKA_PASSWORD, or name a file: ?login=FILE");
    }
    if (code == TG_OK && (k->user.failed || k->password.failed))
        code = tg_fail(err, TG_NOMEM, "no memory for a login, or it is too long");
    return code;
}

/* The library's own message does not tell which. */
static tg_code look_at_files(const struct tg_kafka_options *o, struct tg_error *err)
{
    const char *const file[] = { o->ca, o->cert, o->key };

    for (size_t i = 0; i < TG_COUNT(file); i++)
        if (file[i] && access(file[i], R_OK) != 0) {
            tg_fail(err, TG_USAGE, "could not read '%.200s': %s", file[i], strerror(errno));
            return tg_hint(err, "?ca, ?cert and ?key name files in PEM");
        }
    return TG_OK;
}

tg_code tg_kafka_new(const struct tg_kafka_options *o, struct tg_kafka **ret, struct tg_error *err)
{
    struct tg_kafka *k = calloc(1, sizeof *k);
    tg_code code;

    *ret = NULL;
    if (!k)
        return tg_fail(err, TG_NOMEM, "no memory for a Kafka client");
    k->o = *o;
    tg_buf_init(&k->user, LOGIN_MAX);
    tg_buf_init(&k->password, LOGIN_MAX);
    code = look_at_files(o, err);
    if (code == TG_OK)
        code = read_address(k, err);
    if (code == TG_OK)
        code = read_login(k, err);
    if (code != TG_OK) {
        tg_kafka_free(k);
        return code;
    }
    *ret = k;
    return TG_OK;
}

void tg_kafka_free(struct tg_kafka *k)
{
    if (!k)
        return;
    if (k->rkt)
        rd_kafka_topic_destroy(k->rkt);
    if (k->rk)
        rd_kafka_destroy(k->rk);
    tg_buf_wipe(&k->user);
    tg_buf_wipe(&k->password);
    free(k);
}

const char *tg_kafka_topic(const struct tg_kafka *k)
{
    return k->topic;
}

const char *tg_kafka_name(const struct tg_kafka *k)
{
    return k->name;
}

#else
typedef int tg_kafka_is_absent; /* a translation unit may not be empty */
#endif
