/* SPDX-License-Identifier: MIT */
/*
 * aws_keys.h - whose AWS account it is, and which region: from where AWS's own tools take it
 *
 *   keys     AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; else the profile in the
 *            files of credentials and configuration
 *   region   AWS_REGION, AWS_DEFAULT_REGION; else `region` of the profile
 *   profile  AWS_PROFILE, else "default"
 *   files    AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials; AWS_CONFIG_FILE, else
 *            ~/.aws/config, where profiles other than the default are called [profile NAME]
 *
 * Not asked: the metadata service of a machine or container, sign-on by browser, programs that hand
 * out keys. `aws configure export-credentials --format env` prints what those give.
 *
 * Threads: any, while nobody changes the environment      Limits: files of 1 MiB
 */
#ifndef TG_CLIENT_AWS_KEYS_H
#define TG_CLIENT_AWS_KEYS_H

#include "base/text.h"

/** NUL-terminated texts, empty where there is none. */
struct tg_aws_login {
    struct tg_buf id, secret, token, region;
};

/** Finds keys and region. @return TG_USAGE: no keys, with what to do; a missing region is "" */
tg_code tg_aws_login_find(struct tg_aws_login *ret, struct tg_error *err);
void tg_aws_login_done(struct tg_aws_login *login); /* wipes; safe on a zeroed struct */

/** @return the value of a key in a section of such a file, white space cut off; at NULL if it is
 *  not there. `section`: what stands between the brackets */
struct tg_str tg_aws_file_value(struct tg_str file, const char *section, const char *key);

#endif
