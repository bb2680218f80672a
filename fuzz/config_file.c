/* SPDX-License-Identifier: MIT */
/*
 * config_file.c - any bytes as a configuration file: mistakes or jobs, never a crash, and soon
 *
 * The environment has two variables, and every file holds a short text. What is in order can be
 * shown, and each job then has a config.
 */
#include <stdlib.h>

#include "config/file_impl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 14, SHOWN_MAX = 1 << 16 };

static void require(bool ok)
{
    if (!ok)
        abort();
}

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "A") == 0 ? "value" : strcmp(name, "B") == 0 ? "" : NULL;
}

static tg_code file(void *ctx, const char *path, struct tg_buf *out, struct tg_error *err)
{
    (void)ctx;
    if (path[0] == 'x')
        return tg_fail(err, TG_USAGE, "cannot read it");
    tg_buf_str(out, "text\n");
    return TG_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct tg_expand_from from = { .env = env, .file = file };
    static char shown[SHOWN_MAX];
    const struct tg_config_job *job;
    struct tg_config_file *f;

    if (size > INPUT_MAX || !(f = tg_config_file_read(data, size, &from)))
        return 0;
    require(f->n_warnings + f->mistakes.n_errors >= f->mistakes.n);
    for (size_t i = 0; i < f->mistakes.n; i++) {
        require(f->mistakes.item[i].line && f->mistakes.item[i].column);
        require(f->mistakes.item[i].err.message[0]);
    }
    if (!f->mistakes.n_errors && !f->mistakes.nomem) {
        require(f->yaml.root);
        tg_config_file_show(f, shown, sizeof shown);
        for (size_t i = 0; (job = tg_config_file_job(f, i)); i++)
            require(job->name && job->n_accounts && tg_config_item(job->accounts[0], "to", 0));
    }
    tg_config_file_free(f);
    return 0;
}
