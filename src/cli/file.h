/* SPDX-License-Identifier: MIT */
/*
 * file.h - what the commands with a configuration file share
 *
 * Threads: main
 */
#ifndef TG_CLI_FILE_H
#define TG_CLI_FILE_H

#include "cli/cli.h"

/** Loads a file; each mistake is told on stderr, "FILE:LINE:COLUMN: message; hint". */
tg_code cli_load_file(const struct cli *cli, const char *path, struct tg_config_file **ret,
                      struct tg_error *err) TG_MUST_CHECK;

#endif
