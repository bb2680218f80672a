/* SPDX-License-Identifier: MIT */
/*
 * errors.c - see errors.h
 */
#include "tl/errors.h"

#include <ctype.h>

#include "tl/tables.h"

enum { ERROR_TEXT_MAX = 96, BAD_REQUEST = 400 };

static const struct tl_rpc_error *find_exact(const char *text)
{
    size_t low = 0, high = 0;

    while (tl_rpc_error_list[high].name)
        high++;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(tl_rpc_error_list[mid].name, text);

        if (order == 0)
            return &tl_rpc_error_list[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

const struct tl_rpc_error *tl_rpc_error_find(const char *text, size_t len, int64_t *ret_value)
{
    char name[ERROR_TEXT_MAX + 3];
    const struct tl_rpc_error *row;

    if (!len || len > ERROR_TEXT_MAX || memchr(text, 0, len))
        return NULL;
    memcpy(name, text, len);
    name[len] = 0;
    if (ret_value)
        *ret_value = 0;
    if ((row = find_exact(name)))
        return row;
    for (size_t i = 0, n; i < len; i += n + !n) {
        int64_t value = 0;

        /* each run of digits in turn may be the number */
        for (n = 0; i + n < len && isdigit((unsigned char)text[i + n]); n++)
            value = value < INT64_MAX / 10 - 1 ? value * 10 + (text[i + n] - '0') : INT64_MAX;
        if (!n)
            continue;
        memcpy(name + i, "%d", 2);
        memcpy(name + i + 2, text + i + n, len - i - n);
        name[len - n + 2] = 0;
        if ((row = find_exact(name))) {
            if (ret_value)
                *ret_value = value;
            return row;
        }
        memcpy(name, text, len);
    }
    return NULL;
}

int tl_rpc_error_code(const char *text)
{
    const struct tl_rpc_error *row = tl_rpc_error_find(text, strlen(text), NULL);

    return row ? row->code : BAD_REQUEST;
}

static bool holds(const uint16_t *list, uint32_t symbol)
{
    while (*list && *list != symbol)
        list++;
    return symbol && *list == symbol;
}

enum tl_access tl_method_access(uint32_t symbol)
{
    return holds(tl_for_users, symbol)  ? TL_FOR_USERS
           : holds(tl_for_bots, symbol) ? TL_FOR_BOTS
                                        : TL_FOR_ALL;
}
