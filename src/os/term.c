/* SPDX-License-Identifier: MIT */
/*
 * term.c - see term.h
 *
 * While a question is open, the signals that end a program only interrupt the read: the terminal's
 * echo is put back before anything else happens.
 */
#include "os/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

bool tg_term_is_tty(int fd)
{
    return isatty(fd) == 1;
}

size_t tg_term_width(int fd, size_t fallback)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return fallback;
    return size.ws_col;
}

/* Reads up to the end of the line, which is not kept; bytes that do not fit are only counted. */
static tg_code read_line(int fd, char *out, size_t n, size_t *ret_len, struct tg_error *err)
{
    size_t len = 0;

    for (;;) {
        char c;
        ssize_t got = read(fd, &c, 1);

        if (got < 0)
            return errno == EINTR
                       ? tg_fail(err, TG_CANCELLED, "interrupted while waiting for input")
                       : tg_fail(err, TG_IO, "could not read from the terminal: %s",
                                 strerror(errno));
        if (got == 0 && len == 0)
            return TG_END;
        if (got == 0 || c == '\n')
            break;
        if (len < n)
            out[len] = c;
        len++;
    }
    *ret_len = len;
    return TG_OK;
}

static void write_text(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n = write(fd, text, left);

        if (n < 0 && errno != EINTR)
            return; /* the question could not be shown; the answer may come all the same */
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
}

static void on_signal(int signum)
{
    (void)signum; /* only there so that read returns EINTR */
}

static const int ending[] = { SIGINT, SIGTERM, SIGHUP };

static void take_signals(struct sigaction old[TG_COUNT(ending)])
{
    struct sigaction interrupt = { .sa_handler = on_signal }; /* without SA_RESTART */

    for (size_t i = 0; i < TG_COUNT(ending); i++)
        sigaction(ending[i], &interrupt, &old[i]);
}

static void give_signals_back(const struct sigaction old[TG_COUNT(ending)])
{
    for (size_t i = 0; i < TG_COUNT(ending); i++)
        sigaction(ending[i], &old[i], NULL);
}

tg_code tg_term_ask(const char *prompt, bool echo, char *out, size_t n, struct tg_error *err)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct sigaction old_signals[TG_COUNT(ending)];
    struct termios old;
    bool hidden = false;
    char line[1024];
    size_t len = 0;
    tg_code code;

    if (fd < 0)
        return TG_END;
    take_signals(old_signals);
    if (!echo && tcgetattr(fd, &old) == 0) {
        struct termios quiet = old;

        quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
        quiet.c_lflag |= ECHONL;
        hidden = tcsetattr(fd, TCSAFLUSH, &quiet) == 0; /* drops what was typed before it asks */
    }
    write_text(fd, prompt);
    code = read_line(fd, line, sizeof line, &len, err);
    if (hidden)
        tcsetattr(fd, TCSAFLUSH, &old);
    give_signals_back(old_signals);
    close(fd);
    if (code == TG_OK && (len >= n || len > sizeof line))
        code = tg_fail(err, TG_LIMIT, "the line is longer than %zu characters", n - 1);
    if (code == TG_OK) {
        memcpy(out, line, len);
        out[len] = 0;
    }
    explicit_bzero(line, sizeof line);
    return code;
}
