/* SPDX-License-Identifier: MIT */
/*
 * lua_pattern.c - see lua_pattern.h
 *
 * A pattern is a row of items: a class, alone or with one of * + - ? behind it; captures; %b %f %1.
 * An item with a repetition tries how far the rest of the pattern gets behind each number of them.
 */
#include "client/lua_pattern.h"

enum { DEPTH_MAX = 200 };

static bool spend(struct tg_pattern *m)
{
    return --*m->left >= 0;
}

static const char *wrong(struct tg_pattern *m, const char *why)
{
    m->fault = why;
    return NULL;
}

/* ---- classes ---- */

static bool between(uint8_t c, uint8_t from, uint8_t to)
{
    return c >= from && c <= to;
}

/* Of ASCII, whatever the locale. */
static bool in_named(uint8_t c, char name)
{
    bool lower = between(c, 'a', 'z'), upper = between(c, 'A', 'Z'), digit = between(c, '0', '9');
    bool in;

    switch (name | 0x20) {
    case 'a': in = lower || upper; break;
    case 'c': in = c < 0x20 || c == 0x7f; break;
    case 'd': in = digit; break;
    case 'g': in = between(c, 0x21, 0x7e); break;
    case 'l': in = lower; break;
    case 'p': in = between(c, 0x21, 0x7e) && !lower && !upper && !digit; break;
    case 's': in = c == ' ' || between(c, 9, 13); break;
    case 'u': in = upper; break;
    case 'w': in = lower || upper || digit; break;
    case 'x': in = digit || between(c | 0x20, 'a', 'f'); break;
    default: return c == (uint8_t)name;
    }
    return in != between((uint8_t)name, 'A', 'Z');
}

/* @return behind the class that begins at p */
static const char *class_end(struct tg_pattern *m, const char *p)
{
    char c = *p++;

    if (c == '%') {
        if (p == m->end)
            return wrong(m, "malformed pattern (ends with '%')");
        return p + 1;
    }
    if (c != '[')
        return p;
    if (*p == '^')
        p++;
    do { /* a ']' that comes first stands for itself */
        if (p == m->end)
            return wrong(m, "malformed pattern (missing ']')");
        c = *p++;
        if (c == '%' && p < m->end)
            p++;
    } while (p == m->end || *p != ']');
    return p + 1;
}

/* @param last  the closing bracket */
static bool in_set(uint8_t c, const char *p, const char *last)
{
    bool in = true;

    if (p[1] == '^') {
        in = false;
        p++;
    }
    while (++p < last) {
        if (*p == '%') {
            p++;
            if (in_named(c, *p))
                return in;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if (between(c, (uint8_t)p[-2], (uint8_t)*p))
                return in;
        } else if ((uint8_t)*p == c) {
            return in;
        }
    }
    return !in;
}

/* Whether the character at s is in the class that begins at p and ends before `behind`. */
static bool single(const struct tg_pattern *m, const char *s, const char *p, const char *behind)
{
    uint8_t c;

    if (s >= m->src_end)
        return false;
    c = (uint8_t)*s;
    switch (*p) {
    case '.': return true;
    case '%': return in_named(c, p[1]);
    case '[': return in_set(c, p, behind - 1);
    default: return (uint8_t)*p == c;
    }
}

/* ---- items ---- */

static const char *match(struct tg_pattern *m, const char *s, const char *p);

static const char *balanced(struct tg_pattern *m, const char *s, const char *p)
{
    char open, close;
    int level = 1;

    if (p + 1 >= m->end)
        return wrong(m, "malformed pattern (missing arguments to '%b')");
    open = p[0];
    close = p[1];
    if (s >= m->src_end || *s != open)
        return NULL;
    while (++s < m->src_end && spend(m)) {
        if (*s == close) {
            if (--level == 0)
                return s + 1;
        } else if (*s == open) {
            level++;
        }
    }
    return NULL;
}

static const char *most(struct tg_pattern *m, const char *s, const char *p, const char *behind)
{
    ptrdiff_t n = 0;

    while (single(m, s + n, p, behind) && spend(m))
        n++;
    for (; n >= 0 && *m->left >= 0 && !m->fault; n--) {
        const char *end = match(m, s + n, behind + 1);

        if (end)
            return end;
    }
    return NULL;
}

static const char *least(struct tg_pattern *m, const char *s, const char *p, const char *behind)
{
    for (;;) {
        const char *end = match(m, s, behind + 1);

        if (end)
            return end;
        if (m->fault || !spend(m) || !single(m, s, p, behind))
            return NULL;
        s++;
    }
}

static const char *open_capture(struct tg_pattern *m, const char *s, const char *p, ptrdiff_t what)
{
    const char *end;

    if (m->n_captures == TG_PATTERN_CAPTURES)
        return wrong(m, "too many captures");
    m->capture[m->n_captures++] = (struct tg_capture){ s, what };
    end = match(m, s, p);
    if (!end)
        m->n_captures--;
    return end;
}

static const char *close_capture(struct tg_pattern *m, const char *s, const char *p)
{
    const char *end;
    int i = m->n_captures - 1;

    while (i >= 0 && m->capture[i].len != TG_CAPTURE_OPEN)
        i--;
    if (i < 0)
        return wrong(m, "invalid pattern capture");
    m->capture[i].len = s - m->capture[i].at;
    end = match(m, s, p);
    if (!end)
        m->capture[i].len = TG_CAPTURE_OPEN;
    return end;
}

static const char *captured_again(struct tg_pattern *m, const char *s, char digit)
{
    int i = digit - '1';
    size_t len;

    if (i < 0 || i >= m->n_captures || m->capture[i].len == TG_CAPTURE_OPEN)
        return wrong(m, "invalid capture index");
    if (m->capture[i].len == TG_CAPTURE_PLACE)
        return NULL;
    len = (size_t)m->capture[i].len;
    *m->left -= (int64_t)(len / 16);
    if ((size_t)(m->src_end - s) < len || memcmp(m->capture[i].at, s, len) != 0)
        return NULL;
    return s + len;
}

/* Where a set begins: none of it before, one of it here. Places beside the text are NUL. */
static bool at_frontier(const struct tg_pattern *m, const char *s, const char *p,
                        const char *behind)
{
    uint8_t before = s == m->src ? 0 : (uint8_t)s[-1];
    uint8_t here = s < m->src_end ? (uint8_t)*s : 0;

    return !in_set(before, p, behind - 1) && in_set(here, p, behind - 1);
}

/* The items that begin with %. @return whether it was one; then *ret_s, *ret_p tell where to go on,
 * *ret_s NULL: it does not match */
static bool special(struct tg_pattern *m, const char **ret_s, const char **ret_p)
{
    const char *s = *ret_s, *p = *ret_p, *behind;

    switch (p[1]) {
    case 'b':
        *ret_s = balanced(m, s, p + 2);
        *ret_p = p + 4;
        return true;
    case 'f':
        p += 2;
        if (*p != '[') {
            *ret_s = wrong(m, "missing '[' after '%f' in pattern");
            return true;
        }
        behind = class_end(m, p);
        *ret_s = behind && at_frontier(m, s, p, behind) ? s : NULL;
        *ret_p = behind;
        return true;
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        *ret_s = captured_again(m, s, p[1]);
        *ret_p = p + 2;
        return true;
    default:
        return false;
    }
}

/* A class and what stands behind it. @return whether it goes on at *ret_s, *ret_p; else *ret_s is
 * the end of the whole */
static bool repeated(struct tg_pattern *m, const char **ret_s, const char **ret_p)
{
    const char *s = *ret_s, *p = *ret_p, *behind = class_end(m, p), *end;
    char sign = behind && behind < m->end ? *behind : 0;

    if (!behind) {
        *ret_s = NULL;
        return false;
    }
    if (!single(m, s, p, behind)) {
        if (sign != '*' && sign != '?' && sign != '-') {
            *ret_s = NULL;
            return false;
        }
        *ret_p = behind + 1;
        return true;
    }
    switch (sign) {
    case '?':
        end = match(m, s + 1, behind + 1);
        if (!end && !m->fault) {
            *ret_p = behind + 1;
            return true;
        }
        *ret_s = end;
        return false;
    case '+':
        *ret_s = most(m, s + 1, p, behind);
        return false;
    case '*':
        *ret_s = most(m, s, p, behind);
        return false;
    case '-':
        *ret_s = least(m, s, p, behind);
        return false;
    default:
        *ret_s = s + 1;
        *ret_p = behind;
        return true;
    }
}

static const char *match(struct tg_pattern *m, const char *s, const char *p)
{
    if (m->depth == DEPTH_MAX)
        return wrong(m, "pattern too complex");
    m->depth++;
    while (s && p != m->end) {
        if (!spend(m)) {
            s = NULL;
        } else if (*p == '(') {
            bool place = p[1] == ')';

            s = open_capture(m, s, p + 1 + place, place ? TG_CAPTURE_PLACE : TG_CAPTURE_OPEN);
            break;
        } else if (*p == ')') {
            s = close_capture(m, s, p + 1);
            break;
        } else if (*p == '$' && p + 1 == m->end) {
            s = s == m->src_end ? s : NULL;
            break;
        } else if (*p == '%' && special(m, &s, &p)) {
            continue;
        } else if (!repeated(m, &s, &p)) {
            break;
        }
    }
    m->depth--;
    return s;
}

const char *tg_pattern_match(struct tg_pattern *m, const char *at, const char *pattern)
{
    m->n_captures = 0;
    m->depth = 0;
    m->fault = NULL;
    return match(m, at, pattern);
}
