/* SPDX-License-Identifier: MIT */
/*
 * config_wipe.c - secrets of a configuration file are nowhere in memory that was freed
 *
 * free and realloc are this program's own: each block is searched for the secrets before it goes
 * back. Under a sanitizer, which has its own, only that the file is read is looked at. Programs of
 * steps are no place for a secret: Lua copies them.
 */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/file_impl.h"

static const char by_env[] = "hunter2-by-env-0123456789", by_file[] = "hunter2-by-file-0123456789";
static volatile bool looking; /* compilers take it that free reads nothing of ours */
static volatile unsigned found;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { HOOKED = 0 };
#else
enum { HOOKED = 1 };

extern void __libc_free(void *p);

static void look(const void *p)
{
    size_t n = malloc_usable_size((void *)(uintptr_t)p);

    found += memmem(p, n, by_env, sizeof by_env - 1) != NULL;
    found += memmem(p, n, by_file, sizeof by_file - 1) != NULL;
}

void free(void *p)
{
    if (p && looking)
        look(p);
    __libc_free(p);
}

void *realloc(void *p, size_t n)
{
    void *q = malloc(n ? n : 1);

    if (p && q) {
        size_t had = malloc_usable_size(p);

        memcpy(q, p, had < n ? had : n);
        free(p);
    }
    return q;
}
#endif

static const char *env(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "SECRET") == 0 ? by_env : NULL;
}

static tg_code file(void *ctx, const char *path, struct tg_buf *out, struct tg_error *err)
{
    (void)ctx, (void)path, (void)err;
    tg_buf_str(out, by_file);
    return TG_OK;
}

static const struct tg_expand_from from = { .env = env, .file = file };

static unsigned leaks_of(const char *text, size_t mistakes)
{
    struct tg_config_file *f;

    found = 0;
    looking = true;
    f = tg_config_file_read(text, strlen(text), &from);
    assert_non_null(f);
    assert_int_equal(f->mistakes.n_errors, mistakes);
    if (!mistakes)
        assert_string_equal(f->job[0].job.accounts[0]->account.api_hash, by_file);
    tg_config_file_free(f);
    looking = false;
    return found;
}

static void test_what_is_looked_for_would_be_found(void **state)
{
    char *copy = strdup(by_env);

    (void)state;
    found = 0;
    looking = true;
    free(copy);
    looking = false;
    assert_int_equal(found, HOOKED);
}

static void test_a_file(void **state)
{
    static const char text[] =
        "accounts:\n  a: {session: s, api_hash: 'file:x', passphrase: \"${SECRET}\",\n"
        "      proxy: \"socks5://u:${SECRET}@h:1\"}\n"
        "defaults: {state: \"redis://:${SECRET}@h:1/0\", alert_token: \"${file:x}\"}\n"
        "quality: {rules: [{field: text, max_length: 9}]}\n"
        "jobs:\n"
        " - {name: one, chats: [\"${SECRET}\"], to: [\"postgres://u:${SECRET}@h/db\", 'csv:x']}\n"
        " - {name: two, pattern: transform, from: \"postgres://u:${SECRET}@h/db\", to: 'csv:y',\n"
        "    filter: views > 3}\n"
        " - {name: three, pattern: worker, queue: \"redis://:${SECRET}@h:1/0\", to: 'csv:z'}\n"
        " - {name: four, pattern: verify, of: one}\n";

    (void)state;
    assert_int_equal(leaks_of(text, 0), 0);
}

static void test_a_file_with_mistakes(void **state)
{
    static const char text[] =
        "accounts: {a: {session: s, api_hash: \"${SECRET}\", proxy: \"${file:x}://\"}}\n"
        "jobs:\n"
        " - {name: one, chats: all, to: \"postgres://${SECRET}?no=${file:x}\"}\n"
        " - {name: two, chats: all, workers: \"${SECRET}\", to: \"${file:x}:\"}\n";

    (void)state;
    assert_int_equal(leaks_of(text, 3), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_looked_for_would_be_found),
        cmocka_unit_test(test_a_file),
        cmocka_unit_test(test_a_file_with_mistakes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
