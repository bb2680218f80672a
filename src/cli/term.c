/* SPDX-License-Identifier: MIT */
/*
 * term.c - see term.h
 *
 * A signal handler may only touch what stands still: what is to be stopped and the terminal
 * settings to put back live here, as the program's only static state beside what the terminal can
 * show.
 */
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"

/* What a signal stops: changed only while `stop_set` is off. */
static struct {
    void (*stop)(void *ctx);
    void *ctx;
} to_stop;
static atomic_bool stop_set;
static volatile sig_atomic_t n_signals, n_hangups, hangups_seen;
static volatile sig_atomic_t echo_off; /* while set, `echo_fd` and `echo_saved` are good */
static bool wide_text;
static int echo_fd;
static struct termios echo_saved;

bool term_is_tty(int fd)
{
    return isatty(fd) == 1;
}

size_t term_width(int fd, size_t fallback)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return fallback;
    return size.ws_col;
}

size_t term_height(int fd, size_t fallback)
{
    struct winsize size;

    if (ioctl(fd, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
        return fallback;
    return size.ws_row;
}

void term_init(void)
{
    setlocale(LC_CTYPE, "");
    wide_text = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 || !(term_is_tty(1) || term_is_tty(2));
    setlocale(LC_CTYPE, "C.UTF-8"); /* whatever is shown, texts are read as UTF-8 */
}

bool term_utf8(void)
{
    return wide_text;
}

bool term_colour(int fd)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

    return term_is_tty(fd) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

bool term_can_ask(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Reads up to the end of the line; bytes that do not fit are only counted. */
static ssize_t read_line(int fd, char *out, size_t n)
{
    size_t len = 0;

    for (;;) {
        char c;
        ssize_t got = read(fd, &c, 1);

        if (got < 0)
            return -1;
        if (got == 0 && len == 0)
            return -2;
        if (got == 0 || c == '\n')
            break;
        if (len < n)
            out[len] = c;
        len++;
    }
    if (len && len <= n && out[len - 1] == '\r')
        len--;
    return (ssize_t)len;
}

static void say(int fd, const char *text)
{
    size_t left = strlen(text);

    while (left) {
        ssize_t n = write(fd, text, left);

        if (n < 0 && errno != EINTR)
            return; /* the question is not seen; an answer may come all the same */
        if (n > 0) {
            text += n;
            left -= (size_t)n;
        }
    }
}

static void echo_hide(int fd)
{
    struct termios quiet;

    if (tcgetattr(fd, &echo_saved) < 0)
        return;
    quiet = echo_saved;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK);
    quiet.c_lflag |= ECHONL;
    echo_fd = fd;
    echo_off = 1;
    tcsetattr(fd, TCSAFLUSH, &quiet);
}

static void echo_show(void)
{
    if (echo_off)
        tcsetattr(echo_fd, TCSAFLUSH, &echo_saved);
    echo_off = 0;
}

tg_code term_ask(const char *prompt, bool echo, char *out, size_t n, struct tg_error *err)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0)
        return TG_END;
    if (!echo)
        echo_hide(fd); /* first, as it drops what was typed: the answer may come at once */
    say(fd, prompt);
    len = read_line(fd, out, n - 1);
    echo_show();
    close(fd);
    if (len == -2)
        return TG_END;
    if (len < 0)
        return tg_fail(err, TG_CANCELLED, "stopped while waiting for an answer");
    if ((size_t)len >= n)
        return tg_fail(err, TG_LIMIT, "an answer has at most %zu characters", n - 1);
    out[len] = 0;
    return TG_OK;
}

tg_code term_read_line(int fd, char *out, size_t n, struct tg_error *err)
{
    ssize_t len = read_line(fd, out, n - 1);

    if (len == -2)
        return tg_fail(err, TG_USAGE, "nothing could be read from file descriptor %d", fd);
    if (len < 0)
        return tg_fail(err, TG_USAGE, "could not read from file descriptor %d: %s", fd,
                       strerror(errno));
    if ((size_t)len >= n)
        return tg_fail(err, TG_USAGE, "the line from file descriptor %d is longer than %zu bytes",
                       fd, n - 1);
    out[len] = 0;
    return TG_OK;
}

static void on_signal(int signum)
{
    int saved = errno;

    (void)signum;
    if (n_signals++) {
        echo_show();
        _exit(130);
    }
    if (atomic_load(&stop_set))
        to_stop.stop(to_stop.ctx);
    errno = saved;
}

void term_stops(void (*stop)(void *ctx), void *ctx)
{
    atomic_store(&stop_set, false);
    to_stop.stop = stop;
    to_stop.ctx = ctx;
    atomic_store(&stop_set, stop != NULL);
    if (stop && n_signals)
        stop(ctx);
}

static void on_hangup(int signum)
{
    (void)signum;
    n_hangups++;
}

void term_watch_hangup(void)
{
    struct sigaction count = { .sa_handler = on_hangup, .sa_flags = SA_RESTART };

    sigemptyset(&count.sa_mask);
    sigaction(SIGHUP, &count, NULL);
}

bool term_hung_up(void)
{
    sig_atomic_t n = n_hangups;
    bool more = n != hangups_seen;

    hangups_seen = n;
    return more;
}

void term_signals(void)
{
    struct sigaction stop = { .sa_handler = on_signal }; /* no SA_RESTART: reads are interrupted */
    struct sigaction ignore = { .sa_handler = SIG_IGN };

    sigemptyset(&stop.sa_mask);
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

bool term_stopped(void)
{
    return n_signals != 0;
}

double term_clock(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void term_sleep(double seconds)
{
    struct timespec span = { (time_t)seconds,
                             (long)((seconds - (double)(time_t)seconds) * 1e9) };

    nanosleep(&span, NULL);
}

void term_now(char out[21])
{
    if (!tg_time_utc(out, (int64_t)time(NULL)))
        out[0] = 0;
}
