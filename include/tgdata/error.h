/* SPDX-License-Identifier: MIT */
/*
 * error.h - what can go wrong, and what a caller should do about it
 *
 * Every fallible function returns a tg_code; one that can fail for several reasons also takes a
 * struct tg_error that the caller owns. TG_OK, TG_AGAIN and TG_END are no failures and never touch
 * it. One table holds each code with its retry class, the error type that ETL policies match on
 * (`retry_on`), the exit code of the program and its text; everything else is derived from it.
 *
 * Threads: value types; no shared state.
 */
#ifndef TGDATA_ERROR_H
#define TGDATA_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define TG_MUST_CHECK __attribute__((warn_unused_result))
#define TG_API __attribute__((visibility("default")))
#else
#define TG_PRINTF(fmt, args)
#define TG_MUST_CHECK
#define TG_API
#endif

/** When the same call may be made again. */
enum tg_retry {
    TG_RETRY_NEVER,   /**< the same call fails again */
    TG_RETRY_BACKOFF, /**< after a growing, jittered pause */
    TG_RETRY_AFTER,   /**< after tg_error.retry_after_s seconds, not earlier */
};

/** The error types that retry policies and reports speak of. */
enum tg_error_type {
    TG_TYPE_NONE,
    TG_TYPE_RATE_LIMIT,
    TG_TYPE_NETWORK,
    TG_TYPE_SERVER,
    TG_TYPE_AUTH,
    TG_TYPE_NOT_FOUND,
    TG_TYPE_BAD_REQUEST,
    TG_TYPE_DATA,
    TG_TYPE_SINK,
    TG_TYPE_STATE,
    TG_TYPE_INTERNAL,
    TG_TYPE_COUNT
};

/*
 * name, retry class, error type, exit code of the program, text
 *
 * Exit codes: 0 success, 1 internal, 2 usage, 3 not found, 4 refused by policy, 5 login needed or
 * wrong, 6 network or server, 7 destination, 8 state, 9 in use by another process, 10 a check found
 * a difference, 130 stopped by a signal.
 */
#define TG_CODES(X)                                                                                \
    X(OK, NEVER, NONE, 0, "ok")                                                                    \
    X(AGAIN, NEVER, NONE, 0, "not ready")                                                          \
    X(END, NEVER, NONE, 0, "no more")                                                              \
    X(NOMEM, NEVER, INTERNAL, 1, "out of memory")                                                  \
    X(LIMIT, NEVER, INTERNAL, 1, "a size limit was reached")                                       \
    X(INTERNAL, NEVER, INTERNAL, 1, "internal error")                                              \
    X(USAGE, NEVER, BAD_REQUEST, 2, "wrong usage")                                                 \
    X(NOT_FOUND, NEVER, NOT_FOUND, 3, "not found")                                                 \
    X(FORBIDDEN, NEVER, BAD_REQUEST, 4, "not allowed")                                             \
    X(UNSUPPORTED, NEVER, BAD_REQUEST, 4, "not supported")                                         \
    X(AUTH, NEVER, AUTH, 5, "not logged in")                                                       \
    X(LOGIN, NEVER, AUTH, 5, "login refused")                                                      \
    X(NET, BACKOFF, NETWORK, 6, "network failure")                                                 \
    X(TIMEOUT, BACKOFF, NETWORK, 6, "timed out")                                                   \
    X(PROTOCOL, BACKOFF, NETWORK, 6, "the peer broke the protocol")                                \
    X(SECURITY, NEVER, NETWORK, 6, "a security check failed")                                      \
    X(SERVER, BACKOFF, SERVER, 6, "server error")                                                  \
    X(CIRCUIT, BACKOFF, SERVER, 6, "the circuit breaker is open")                                  \
    X(FLOOD, AFTER, RATE_LIMIT, 6, "rate limit")                                                   \
    X(BAD_REQUEST, NEVER, BAD_REQUEST, 6, "the server refused the request")                        \
    X(IO, NEVER, SINK, 7, "input/output error")                                                    \
    X(FULL, BACKOFF, SINK, 7, "no space left")                                                     \
    X(SINK, BACKOFF, SINK, 7, "destination failure")                                               \
    X(DATA, NEVER, DATA, 7, "bad data")                                                            \
    X(STATE, BACKOFF, STATE, 8, "state store failure")                                             \
    X(CORRUPT, NEVER, STATE, 8, "corrupt state")                                                   \
    X(UNUSABLE, NEVER, STATE, 8, "the state store cannot be used")                                 \
    X(CONFLICT, NEVER, STATE, 9, "changed by another process")                                     \
    X(BUSY, NEVER, STATE, 9, "in use by another process")                                          \
    X(GAP, NEVER, DATA, 10, "incomplete or different")                                             \
    X(CANCELLED, NEVER, NONE, 130, "stopped")

typedef enum tg_code {
#define TG_CODE_ENUM(name, retry, type, exit_code, text) TG_##name,
    TG_CODES(TG_CODE_ENUM)
#undef TG_CODE_ENUM
        TG_CODE_COUNT
} tg_code;

/** What failed, on what, and what to do next. Owned by the caller; holds no pointers. */
struct tg_error {
    tg_code code;
    int sys_errno;         /**< errno where the kernel refused, else 0 */
    int64_t retry_after_s; /**< seconds, for codes of class TG_RETRY_AFTER */
    char message[320];     /**< one line of UTF-8, no trailing full stop */
    char hint[240];        /**< what to do next; may be empty */
};

/** @return the code's short text; never NULL */
TG_API const char *tg_code_text(tg_code code);

/** @return the code's name without the prefix, such as "NOT_FOUND"; never NULL */
TG_API const char *tg_code_name(tg_code code);

/** @return the code's retry class */
TG_API enum tg_retry tg_code_retry(tg_code code);

/** @return the code's error type */
TG_API enum tg_error_type tg_code_type(tg_code code);

/** @return the exit code that the program ends with for this code */
TG_API int tg_code_exit(tg_code code);

/** @return "RateLimit", "NetworkError", "ServerError", "Auth", "NotFound", ...; never NULL */
TG_API const char *tg_error_type_name(enum tg_error_type type);

/**
 * Fills an error and returns its code, so that failing is one expression:
 * `return tg_fail(err, TG_IO, "could not open '%s'", path);`
 *
 * @param err   overwritten; the errno of the moment is kept for TG_IO, TG_FULL and TG_NET
 * @param code  a failure code (not TG_OK, TG_AGAIN or TG_END)
 * @return code
 */
TG_API tg_code tg_fail(struct tg_error *err, tg_code code, const char *fmt, ...) TG_PRINTF(3, 4);

/** Sets the hint of a filled error and returns its code. */
TG_API tg_code tg_hint(struct tg_error *err, const char *fmt, ...) TG_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
