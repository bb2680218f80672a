/* SPDX-License-Identifier: MIT */
/*
 * file_show.c - what a configuration file comes to, and what one can hold (JSON Schema)
 *
 * Both are read from the tables. Shown are values as they stand in the file, ${...} unfilled, so
 * that no secret is told; what stands there in clear text is covered where it is known for one: a
 * setting of that type, the password of a URL, an option of a URL with such a name.
 */
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "config/file_impl.h"

enum { TEXT_MAX = 64 << 20 };

static const char covered[] = "***";

size_t tg_text_out(struct tg_buf *text, char *out, size_t n)
{
    size_t len = text->len, copied;

    if (n) {
        copied = TG_MIN(len, n - 1);
        if (copied)
            memcpy(out, text->data, copied);
        out[copied] = 0;
    }
    tg_buf_wipe(text);
    return len;
}

/* ---- secrets ---- */

static bool is_secret_name(const char *name, size_t n)
{
    static const char *const word[] = { "password", "secret", "token", "key", "passphrase" };

    for (size_t i = 0; i < TG_COUNT(word); i++)
        for (size_t at = 0; at + strlen(word[i]) <= n; at++)
            if (strncasecmp(name + at, word[i], strlen(word[i])) == 0)
                return true;
    return false;
}

/* Copies a URL without its password and without options of such names. */
static void put_url(struct tg_buf *out, const char *url)
{
    const char *host = strstr(url, "://"), *query = strchr(url, '?');
    const char *end = query ? query : url + strlen(url), *login, *colon;

    login = host && host < end ? memrchr(host + 3, '@', (size_t)(end - host - 3)) : NULL;
    colon = login ? memchr(host + 3, ':', (size_t)(login - host - 3)) : NULL;
    if (colon) {
        tg_buf_add(out, url, (size_t)(colon + 1 - url));
        tg_buf_str(out, covered);
        tg_buf_add(out, login, (size_t)(end - login));
    } else {
        tg_buf_add(out, url, (size_t)(end - url));
    }
    while (*end) {
        size_t n = strcspn(end + 1, "&"), name = strcspn(end + 1, "=&");

        if (name < n && is_secret_name(end + 1, name)) {
            tg_buf_add(out, end, name + 2);
            tg_buf_str(out, covered);
        } else {
            tg_buf_add(out, end, n + 1);
        }
        end += n + 1;
    }
}

/* ---- show ---- */

/* JSON is YAML: texts are written as JSON strings. */
static void put_text(struct tg_json *j, const struct tg_option *row, const char *text)
{
    struct tg_buf url;
    int64_t v;

    if (row->type == TG_OPT_SECRET) {
        tg_json_cstr(j, covered);
    } else if (row->type == TG_OPT_I64 && tg_i64_parse(text, &v)) {
        tg_json_i64(j, v);
    } else if (row->type == TG_OPT_PERCENT && tg_percent_parse(text, &v)) {
        tg_json_double(j, (double)v / TG_PERCENT);
    } else if (row->type == TG_OPT_BOOL) {
        tg_json_bool(j, strcmp(text, "yes") == 0);
    } else if (row->name && strcmp(row->name, "stage") == 0) {
        tg_json_cstr(j, text); /* `keys` are fields */
    } else {
        tg_buf_init(&url, TG_EXPAND_MAX);
        put_url(&url, text);
        tg_json_str(j, url.failed ? covered : tg_buf_cstr(&url), url.failed ? 3 : url.len);
        tg_buf_done(&url);
    }
}

static void put_key(struct tg_buf *out, const char *indent, const char *name)
{
    tg_buf_str(out, indent);
    for (; *name; name++)
        tg_buf_byte(out, (uint8_t)(*name == '-' ? '_' : *name));
    tg_buf_str(out, ": ");
}

/* What stands in one of a job's own keys. */
static void put_own(struct tg_buf *out, const char *key, const char *text)
{
    static const struct tg_option plain = { .type = TG_OPT_STR };
    struct tg_json j;

    if (!text)
        return;
    tg_buf_printf(out, "    %s: ", key);
    tg_json_init(&j, out);
    put_text(&j, &plain, text);
    tg_buf_byte(out, '\n');
}

/* @param rules  what stands behind the values of the setting `stage`; NULL */
static void put_given(struct tg_buf *out, const char *indent, const struct tg_option *row,
                      const struct tg_given *given, const struct tg_rules *rules)
{
    struct tg_json j;

    put_key(out, indent, row->name);
    tg_json_init(&j, out);
    if (row->type == TG_OPT_LIST)
        tg_json_array(&j);
    for (size_t i = 0; given && i < given->n; i++)
        put_text(&j, row, given->shown[i]);
    for (size_t i = 0; rules && i < rules->n; i++)
        tg_json_cstr(&j, rules->stage[i].text);
    if (row->type == TG_OPT_LIST)
        tg_json_end_array(&j);
    tg_buf_printf(out, "  # line %u\n", given ? given->node->line : rules->section->line);
}

/* What a setting is, the section `quality` among the stages. */
static void put_setting(struct tg_buf *out, const char *indent, const struct tg_config_file *f,
                        size_t i, const struct tg_given *given, bool has_rules)
{
    bool rules = has_rules && f->rules.n && strcmp(f->setting[i].row->name, "stage") == 0;

    if (given && !given->n)
        given = NULL;
    if (given || rules)
        put_given(out, indent, f->setting[i].row, given, rules ? &f->rules : NULL);
}

static void put_names(struct tg_buf *out, const char *key, const char *const *name, size_t n)
{
    struct tg_json j;

    tg_buf_printf(out, "    %s: ", key);
    tg_json_init(&j, out);
    tg_json_array(&j);
    for (size_t i = 0; i < n; i++)
        tg_json_cstr(&j, name[i]);
    tg_json_end_array(&j);
    tg_buf_byte(out, '\n');
}

static void show_job(struct tg_buf *out, const struct tg_config_file *f,
                     const struct tg_file_job *job)
{
    const struct tg_pattern_info *info = &tg_patterns[job->job.pattern];
    const char *name[TG_FILE_ACCOUNTS];
    bool is_named = job->reads && strcmp(job->source->text, job->reads->job.name) == 0;
    size_t n = 0;
    struct tg_json j;

    tg_buf_str(out, "  - name: ");
    tg_json_init(&j, out);
    tg_json_cstr(&j, job->job.name);
    tg_buf_printf(out, "\n    pattern: %s\n", tg_pattern_name(job->job.pattern));
    for (; n < job->n_account && n < TG_FILE_ACCOUNTS; n++)
        name[n] = job->account[n]->name;
    if (n)
        put_names(out, "accounts", name, n);
    if (job->all && info->all)
        tg_buf_str(out, "    chats: all\n");
    else if (!job->all)
        put_names(out, "chats", job->job.chats, job->job.n_chats);
    put_own(out, "of", job->job.of);
    put_own(out, "from", job->source && job->job.from ? job->source->written : NULL);
    put_own(out, "from_job", is_named ? NULL : job->job.from_job);
    if (job->job.offline)
        tg_buf_str(out, "    offline: true\n");
    if (job->no_rules)
        tg_buf_str(out, "    quality: false\n");
    for (size_t i = 0; i < f->n_settings; i++) {
        const struct tg_given *given = info->scopes & 1u << f->setting[i].scope
                                           ? tg_file_given(f, job, NULL, i) : NULL;

        put_setting(out, "    ", f, i, given, tg_file_rules(f, job));
    }
}

/* Of a file without jobs: what any would get. */
static void show_defaults(struct tg_buf *out, const struct tg_config_file *f)
{
    tg_buf_str(out, "defaults:\n");
    for (size_t i = 0; i < f->n_settings; i++) {
        const struct tg_given *given = f->defaults.given ? &f->defaults.given[i] : NULL;

        if (given && !given->n)
            given = &f->seed.given[i];
        put_setting(out, "  ", f, i, given, f->rules.section != NULL);
    }
}

size_t tg_config_file_show(const struct tg_config_file *f, char *out, size_t n)
{
    struct tg_buf text;

    tg_buf_init(&text, TEXT_MAX);
    if (f->n_accounts)
        tg_buf_str(&text, "accounts:\n");
    for (size_t a = 0; a < f->n_accounts; a++) {
        struct tg_json j;

        tg_buf_str(&text, "  ");
        tg_json_init(&j, &text);
        tg_json_cstr(&j, f->account[a].name);
        tg_buf_str(&text, ":\n");
        for (size_t i = 0; i < f->n_settings; i++)
            if (f->account[a].layer.given[i].node)
                put_given(&text, "    ", f->setting[i].row, &f->account[a].layer.given[i],
                          NULL);
    }
    if (!f->n_jobs)
        show_defaults(&text, f);
    tg_buf_str(&text, f->n_jobs ? "jobs:\n" : "jobs: []\n");
    for (size_t i = 0; i < f->n_jobs; i++)
        show_job(&text, f, &f->job[i]);
    return tg_text_out(&text, out, n);
}
