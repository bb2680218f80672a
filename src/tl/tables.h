/* SPDX-License-Identifier: MIT */
/*
 * tables.h - what tools/tlgen generates: the texts of symbols, the built-in schemas, RPC errors
 *
 * Threads: none: constants
 */
#ifndef TL_TABLES_H
#define TL_TABLES_H

#include "tl/errors.h"
#include "tl/schema.h"

extern const char *const tl_symbol_text[TLN_COUNT];    /* sorted by strcmp; [0] is "" */
extern const struct tl_schema *const tl_schema_list[]; /* by layer; ends with NULL */
extern const struct tl_rpc_error tl_rpc_error_list[];  /* by name; ends with a NULL name */
extern const uint16_t tl_for_users[], tl_for_bots[];   /* symbols, ascending; end with 0 */

#endif
