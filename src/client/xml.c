/* SPDX-License-Identifier: MIT */
/*
 * xml.c - see xml.h
 */
#include "client/xml.h"

struct element {
    struct tg_str name;
    bool holds_elements;
};

struct reader {
    const char *at, *end;
    struct element open[TG_XML_DEPTH];
    size_t depth;
    char value[TG_XML_VALUE_MAX + 4]; /* text of the innermost element so far */
    size_t len;
    tg_xml_seen seen;
    void *ctx;
    bool bad, stopped;
};

static struct tg_str parent_of(const struct reader *r, size_t i)
{
    return i ? r->open[i - 1].name : TG_STR("");
}

/* Passes what ends with that text. @return false if it does not end */
static bool pass(struct reader *r, const char *until)
{
    size_t n = strlen(until);
    const char *found = memmem(r->at, (size_t)(r->end - r->at), until, n);

    if (found)
        r->at = found + n;
    return found;
}

static bool begins(const struct reader *r, const char *text)
{
    size_t n = strlen(text);

    return (size_t)(r->end - r->at) >= n && memcmp(r->at, text, n) == 0;
}

static void open_element(struct reader *r, struct tg_str name)
{
    if (r->depth == TG_XML_DEPTH) {
        r->bad = true;
        return;
    }
    if (r->depth)
        r->open[r->depth - 1].holds_elements = true;
    r->open[r->depth++] = (struct element){ .name = name };
    r->len = 0;
}

static void close_element(struct reader *r, struct tg_str name)
{
    const struct element *e;

    if (!r->depth || !tg_str_eq(r->open[r->depth - 1].name, name)) {
        r->bad = true;
        return;
    }
    e = &r->open[--r->depth];
    r->value[r->len] = 0;
    r->stopped = !r->seen(r->ctx, parent_of(r, r->depth), name,
                          e->holds_elements ? NULL : r->value);
    r->len = 0;
}

/* <name attributes>, </name>, <name/>; r->at stands behind '<'. */
static void take_tag(struct reader *r)
{
    bool closes = r->at < r->end && *r->at == '/', empty;
    const char *name = r->at + closes, *at = name;
    const char *end = memchr(name, '>', (size_t)(r->end - name));
    struct tg_str word;

    while (at < r->end && !strchr(" \t\r\n/>", *at))
        at++;
    if (!end || at == name || at > end) {
        r->bad = true;
        return;
    }
    empty = end[-1] == '/';
    word = (struct tg_str){ name, (uint32_t)(at - name) };
    r->at = end + 1;
    if (!closes)
        open_element(r, word);
    if ((closes || empty) && !r->bad)
        close_element(r, word);
    r->bad |= closes && empty;
}

/* Appends a character as UTF-8. */
static bool put_character(struct reader *r, unsigned long c)
{
    char *out = r->value + r->len;

    if (!c || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return false;
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 0x3f));
        *out++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        *out++ = (char)(0x80 | (c & 0x3f));
    r->len = (size_t)(out - r->value);
    return true;
}

/* &name; or &#number; */
static bool take_entity(struct reader *r)
{
    static const struct {
        const char *text;
        char is;
    } known[] = { { "&amp;", '&' }, { "&lt;", '<' }, { "&gt;", '>' }, { "&quot;", '"' },
                  { "&apos;", '\'' } };
    unsigned long c = 0;
    bool hex = begins(r, "&#x");
    const char *at = r->at + (hex ? 3 : 2);

    for (size_t i = 0; i < TG_COUNT(known); i++) {
        if (begins(r, known[i].text)) {
            r->at += strlen(known[i].text);
            return put_character(r, (unsigned char)known[i].is);
        }
    }
    if (!begins(r, "&#"))
        return false;
    for (; at < r->end && *at != ';' && c <= 0x10ffff; at++) {
        unsigned digit = *at >= '0' && *at <= '9'   ? (unsigned)(*at - '0')
                         : *at >= 'a' && *at <= 'f' ? (unsigned)(*at - 'a') + 10
                         : *at >= 'A' && *at <= 'F' ? (unsigned)(*at - 'A') + 10
                                                    : 99;

        if (digit >= (hex ? 16u : 10u))
            return false;
        c = c * (hex ? 16 : 10) + digit;
    }
    if (at >= r->end || *at != ';')
        return false;
    r->at = at + 1;
    return put_character(r, c);
}

static void take_text(struct reader *r)
{
    if (r->len >= TG_XML_VALUE_MAX)
        r->bad = true;
    else if (*r->at == '&')
        r->bad = !take_entity(r);
    else if (*r->at)
        r->value[r->len++] = *r->at++;
    else
        r->bad = true;
}

bool tg_xml_read(const void *text, size_t len, tg_xml_seen seen, void *ctx)
{
    struct reader r = { .at = text, .seen = seen, .ctx = ctx };
    bool any = false;

    for (r.end = r.at + len; r.at < r.end && !r.bad && !r.stopped;) {
        if (begins(&r, "<?")) {
            r.bad = !pass(&r, "?>");
        } else if (begins(&r, "<!--")) {
            r.bad = !pass(&r, "-->");
        } else if (*r.at == '<') {
            r.at++;
            r.bad = any && !r.depth; /* a second root */
            if (!r.bad)
                take_tag(&r);
            any = true;
        } else if (r.depth) {
            take_text(&r);
        } else { /* white space, or the mark of UTF-8 */
            r.bad = !strchr(" \t\r\n\xef\xbb\xbf", *r.at) || !*r.at;
            r.at++;
        }
    }
    return !r.bad && any && (r.stopped || !r.depth);
}
