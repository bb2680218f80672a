/* SPDX-License-Identifier: MIT */
/*
 * term.h - the terminal: is there one, how wide, and asking a question on it
 *
 * Threads: one at a time
 */
#ifndef TG_OS_TERM_H
#define TG_OS_TERM_H

#include "base/base.h"

/** @return whether a descriptor (1: output, 2: errors) is a terminal */
bool tg_term_is_tty(int fd);

/** @return columns of the terminal at fd; `fallback` if it is none or does not tell */
size_t tg_term_width(int fd, size_t fallback);

/**
 * Asks on the controlling terminal and reads one line, whatever stdin and stdout are.
 * @param echo  false for secrets: what is typed is not shown
 * @param out   n bytes; gets the line without its end, NUL-terminated, on TG_OK only
 * @return TG_END if there is no terminal, or the user closed it (Ctrl-D); TG_LIMIT if the line does
 *         not fit; TG_CANCELLED when a signal came; TG_IO
 */
tg_code tg_term_ask(const char *prompt, bool echo, char *out, size_t n, struct tg_error *err);

#endif
