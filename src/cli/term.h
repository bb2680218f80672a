/* SPDX-License-Identifier: MIT */
/*
 * term.h - the terminal, signals and the clock, as the program needs them
 *
 * Threads: one at a time; the signal handler touches only what it was given to stop
 */
#ifndef TG_CLI_TERM_H
#define TG_CLI_TERM_H

#include <stddef.h>

#include "tgdata/error.h"

/** @return whether descriptor fd is a terminal */
bool term_is_tty(int fd);

/** @return columns of fd's terminal; `fallback` if it does not tell */
size_t term_width(int fd, size_t fallback);

/** @return lines of fd's terminal; `fallback` if it does not tell */
size_t term_height(int fd, size_t fallback);

/** Looks once what the terminal can show. */
void term_init(void);

/** @return whether more than ASCII can be shown: the locale says so, or no terminal is watching */
bool term_utf8(void);

/** @return whether colours are welcome at fd: a terminal, no NO_COLOR, not TERM=dumb */
bool term_colour(int fd);

/** @return whether somebody can be asked */
bool term_can_ask(void);

/**
 * Asks on /dev/tty for one line.
 * @param echo  false for secrets
 * @return TG_END if there is no terminal or it was closed; TG_CANCELLED on a signal; TG_LIMIT
 */
tg_code term_ask(const char *prompt, bool echo, char *out, size_t n,
                 struct tg_error *err) TG_MUST_CHECK;

/** Reads one line from a descriptor. @return TG_USAGE if it cannot be read or is too long */
tg_code term_read_line(int fd, char *out, size_t n, struct tg_error *err) TG_MUST_CHECK;

/** Lets SIGINT and SIGTERM call `stop`, which a signal handler may do (NULL: nothing is called);
 *  the second one ends the program. */
void term_stops(void (*stop)(void *ctx), void *ctx);

/** From now on SIGHUP is counted and does not end the program. */
void term_watch_hangup(void);

/** @return whether a SIGHUP came since this was asked last */
bool term_hung_up(void);

/** Installs the handler; broken pipes become write errors. */
void term_signals(void);

/** @return whether a signal has asked to stop */
bool term_stopped(void);

/** @return seconds of a clock that never goes back */
double term_clock(void);

/** Sleeps, or less long when a signal comes. */
void term_sleep(double seconds);

/** Writes the UTC time of now as "2024-01-15T10:30:00Z". */
void term_now(char out[21]);

#endif
