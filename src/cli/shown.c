/* SPDX-License-Identifier: MIT */
/*
 * shown.c - foreign text and numbers as the user sees them
 */
#include <math.h>
#include <wchar.h>

#include "cli/cli.h"
#include "cli/term.h"

size_t cli_clean(struct tg_buf *out, const char *text, size_t columns)
{
    bool utf8 = term_utf8();
    size_t used = 0, n = strlen(text);
    mbstate_t state = { 0 };

    while (n && used < columns) {
        wchar_t c = 0;
        size_t len = mbrtowc(&c, text, n, &state);
        int wide;

        if (len == (size_t)-1 || len == (size_t)-2 || len == 0) {
            memset(&state, 0, sizeof state);
            len = 1;
            c = 0;
        }
        wide = c ? wcwidth(c) : -1;
        if (wide < 0 || (!utf8 && c > 126)) {
            tg_buf_byte(out, '?'); /* control characters would steer the terminal */
            used++;
        } else if (used + (size_t)wide > columns) {
            break;
        } else {
            tg_buf_add(out, text, len);
            used += (size_t)wide;
        }
        text += len;
        n -= len;
    }
    return used;
}

void cli_number(char out[32], uint64_t v)
{
    char digits[24];
    size_t n = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)v), at = 0;

    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
}

void cli_bytes(char out[32], uint64_t v)
{
    static const char *const unit[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    double size = (double)v;
    size_t i = 0;

    while (size >= 999.5 && i + 1 < TG_COUNT(unit)) {
        size /= 1000;
        i++;
    }
    snprintf(out, 32, size < 10 && i ? "%.1f %s" : "%.0f %s", size, unit[i]);
}

void cli_duration(char out[32], double seconds)
{
    uint64_t s = (uint64_t)fmin(fmax(ceil(seconds), 0), 1e9);
    unsigned hours = (unsigned)(s / 3600), minutes = (unsigned)(s / 60 % 60);

    if (hours)
        snprintf(out, 32, "%u:%02u:%02u", hours, minutes, (unsigned)(s % 60));
    else
        snprintf(out, 32, "%u:%02u", minutes, (unsigned)(s % 60));
}
