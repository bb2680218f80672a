/* SPDX-License-Identifier: MIT */
/*
 * errors.h - the names of RPC errors with their codes, and who may call which method
 *
 * The table is generated from schema/errors.txt. A number inside a name stands as %d there:
 * FLOOD_WAIT_%d, so "FLOOD_WAIT_17" is found too.
 *
 * Threads: none: constant tables
 */
#ifndef TL_ERRORS_H
#define TL_ERRORS_H

#include "base/base.h"

struct tl_rpc_error {
    const char *name; /* with %d where a number stands */
    int16_t code;     /* 303, 400, 401, 403, 406, 420, 500, ... */
};

enum tl_access {
    TL_FOR_ALL,
    TL_FOR_USERS, /* a bot gets 400 BOT_METHOD_INVALID */
    TL_FOR_BOTS,  /* a user gets 400 USER_BOT_REQUIRED */
};

/**
 * Finds an error by its text as the server sends it.
 *
 * @param text       "FLOOD_WAIT_17"; need not end with a NUL
 * @param ret_value  the number in the text, 0 if there is none; may be NULL
 * @return the row, or NULL if the table has no such error
 */
const struct tl_rpc_error *tl_rpc_error_find(const char *text, size_t len, int64_t *ret_value);

/** @return the code of an error text; 400 if the table has no such error */
int tl_rpc_error_code(const char *text);

/** @return who may call the function of that symbol (TLN_messages_getHistory) */
enum tl_access tl_method_access(uint32_t symbol);

#endif
