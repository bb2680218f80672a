/* SPDX-License-Identifier: MIT */
/*
 * aws_sign.c - signatures of AWS's own test suite, and where keys and region are found
 *
 * Rows: the Signature Version 4 test suite that AWS publishes (aws-sig-v4-test-suite; also in
 * awslabs/aws-c-auth, tests/aws-signing-test-suite): key AKIDEXAMPLE, 2015-08-30T12:36:00Z,
 * us-east-1/service. The row for S3 is "GET Object" of the Amazon S3 API Reference, "Signature
 * Calculations for the Authorization Header".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "client/aws_keys.h"
#include "client/sigv4.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define TOKEN                                                                                     \
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpS" \
    "PfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDY" \
    "wT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqK" \
    "mlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static void check_signed(const char *name, const struct tg_aws_keys *keys,
                         const struct tg_sigv4_request *r, int64_t unix_s, const char *want)
{
    struct tg_error err;
    struct tg_buf out;

    tg_buf_init(&out, 4096);
    if (tg_sigv4_sign(keys, unix_s, r, &out, &err) != TG_OK)
        fail_msg("%s: %s", name, err.message);
    if (!strstr(tg_buf_cstr(&out), want))
        fail_msg("%s: want %s in %s", name, want, tg_buf_cstr(&out));
    tg_buf_done(&out);
}

static void test_suite(void **state)
{
    static const struct {
        const char *name, *method, *path, *query, *header, *value, *body, *want;
    } row[] = {
        { "get-vanilla", "GET", "/", "", NULL, NULL, "",
          "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { "post-vanilla", "POST", "/", "", NULL, NULL, "",
          "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
        { "get-unreserved", "GET", "/" UNRESERVED, "", NULL, NULL, "",
          "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f" },
        { "get-utf8", "GET", "/\xe1\x88\xb4", "", NULL, NULL, "",
          "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
        { "get-space", "GET", "/example space/", "", NULL, NULL, "",
          "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741" },
        { "get-vanilla-empty-query-key", "GET", "/", "Param1=value1", NULL, NULL, "",
          "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb" },
        { "get-vanilla-query-order-key-case", "GET", "/", "Param2=value2&Param1=value1", NULL,
          NULL, "", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
        { "get-vanilla-query-unreserved", "GET", "/", UNRESERVED "=" UNRESERVED, NULL, NULL, "",
          "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197" },
        { "get-vanilla-utf8-query", "GET", "/", "\xe1\x88\xb4=bar", NULL, NULL, "",
          "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
        { "the same, encoded as it is sent", "GET", "/", "%E1%88%b4=bar", NULL, NULL, "",
          "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04" },
        { "post-header-key-sort", "POST", "/", NULL, "my-header1", "value1", "",
          "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c" },
        { "post-header-value-case", "POST", "/", NULL, "my-header1", "VALUE1", "",
          "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d" },
        { "post-vanilla-query", "POST", "/", "Param1=value1", NULL, NULL, "",
          "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11" },
        { "post-x-www-form-urlencoded", "POST", "/", NULL, "content-type",
          "application/x-www-form-urlencoded", "Param1=value1",
          "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a" },
        { "post-x-www-form-urlencoded-parameters", "POST", "/", NULL, "content-type",
          "application/x-www-form-urlencoded; charset=utf8", "Param1=value1",
          "1a72ec8f64bd914b0e42e42607c7fbce7fb2c7465f63e3092b3b0d39fa77a6fe" },
        { "post-sts-header-before", "POST", "/", NULL, "x-amz-security-token", TOKEN, "",
          "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead" },
    };
    const struct tg_aws_keys keys = { "AKIDEXAMPLE", SECRET, NULL };
    struct tg_sigv4_header header[3] = { { "x-amz-date", "20150830T123600Z" },
                                         { "host", "example.amazonaws.com" } };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_sigv4_request r = {
            .method = row[i].method, .path = row[i].path, .query = row[i].query, .header = header,
            .n_headers = row[i].header ? 3 : 2, .body = row[i].body, .len = strlen(row[i].body),
            .region = "us-east-1", .service = "service",
        };
        char want[128];

        header[2] = (struct tg_sigv4_header){ row[i].header, row[i].value };
        snprintf(want, sizeof want, ", Signature=%s", row[i].want);
        check_signed(row[i].name, &keys, &r, 1440938160, want);
    }
}

/* get-header-value-trim: spaces around a value are cut off, and several become one. */
static void test_spaces(void **state)
{
    static const struct tg_sigv4_header header[] = {
        { "host", "example.amazonaws.com" }, { "my-header1", " value1" },
        { "my-header2", " \"a   b   c\" " }, { "x-amz-date", "20150830T123600Z" },
    };
    const struct tg_aws_keys keys = { "AKIDEXAMPLE", SECRET, NULL };
    struct tg_sigv4_request r = { .method = "GET", .path = "/", .header = header, .n_headers = 4,
                                  .body = "", .region = "us-east-1", .service = "service" };

    (void)state;
    check_signed("get-header-value-trim", &keys, &r, 1440938160,
                 "SignedHeaders=host;my-header1;my-header2;x-amz-date, Signature="
                 "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736");
}

static void test_s3(void **state)
{
    static const struct tg_sigv4_header header[] = {
        { "host", "examplebucket.s3.amazonaws.com" },
        { "range", "bytes=0-9" },
        { "x-amz-content-sha256",
          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "x-amz-date", "20130524T000000Z" },
    };
    const struct tg_aws_keys keys = { "AKIAIOSFODNN7EXAMPLE",
                                      "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", NULL };
    struct tg_sigv4_request r = { .method = "GET", .path = "/test.txt", .header = header,
                                  .n_headers = 4, .body = "", .region = "us-east-1",
                                  .service = "s3", .path_as_is = true };

    (void)state;
    check_signed("GET Object", &keys, &r, 1369353600,
                 "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
                 "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature="
                 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_limits(void **state)
{
    static const struct tg_sigv4_header header[TG_SIGV4_HEADERS_MAX + 1];
    const struct tg_aws_keys keys = { "a", "b", NULL };
    struct tg_sigv4_request r = { .method = "GET", .path = "/", .header = header, .body = "",
                                  .region = "r", .service = "s" };
    char query[4 * TG_SIGV4_PARAMETERS_MAX + 8];
    struct tg_error err;
    struct tg_buf out;

    (void)state;
    tg_buf_init(&out, 4096);
    r.n_headers = TG_COUNT(header);
    assert_int_equal(tg_sigv4_sign(&keys, 0, &r, &out, &err), TG_LIMIT);
    r.n_headers = 0;
    assert_int_equal(tg_sigv4_sign(&keys, INT64_MAX, &r, &out, &err), TG_LIMIT);
    for (int i = 0; i <= TG_SIGV4_PARAMETERS_MAX; i++)
        memcpy(query + 4 * i, "a=b&", 5);
    r.query = query;
    assert_int_equal(tg_sigv4_sign(&keys, 0, &r, &out, &err), TG_LIMIT);
    tg_buf_done(&out);
}

/* ---- keys and region ---- */

static const char credentials[] = "# made by hand\n"
                                  "[default]\n"
                                  "aws_access_key_id=AKID1\n"
                                  "aws_secret_access_key = one= \r\n"
                                  "\n"
                                  "[ other ]\n"
                                  "aws_access_key_id = AKID2\n"
                                  "aws_secret_access_key = two\n"
                                  "aws_session_token = tok";
static const char config[] = "[default]\n"
                             "s3 =\n"
                             "  region = nested\n"
                             "region = eu-west-1\n"
                             "[profile other]\n"
                             "region = ap-south-1\n"
                             "[profile third]\n"
                             "aws_access_key_id = AKID3\n"
                             "aws_secret_access_key = three\n";

static void test_file_values(void **state)
{
    static const struct {
        const char *section, *key, *want;
    } row[] = {
        { "default", "aws_access_key_id", "AKID1" },
        { "default", "aws_secret_access_key", "one=" },
        { "default", "aws_session_token", NULL },
        { "other", "aws_session_token", "tok" },
        { "nobody", "aws_access_key_id", NULL },
    };

    (void)state;
    for (size_t i = 0; i < TG_COUNT(row); i++)
        assert_true(tg_str_eq(tg_aws_file_value(TG_STR(credentials), row[i].section, row[i].key),
                              tg_str_of(row[i].want)));
    assert_null(tg_aws_file_value(TG_STR("[a\n]=\n[]\n=\nx"), "a", "x").at);
    assert_null(tg_aws_file_value((struct tg_str){ NULL, 0 }, "a", "x").at);
}

static void write_file(const char *dir, const char *env, const char *name, const char *text)
{
    char path[128];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    setenv(env, path, 1);
}

static void forget_environment(void)
{
    static const char *const name[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION",
                                        "AWS_PROFILE" };

    for (size_t i = 0; i < TG_COUNT(name); i++)
        unsetenv(name[i]);
}

static void test_logins(void **state)
{
    static const struct {
        const char *name, *set[8]; /* variable, value, ... */
        const char *id, *secret, *token, *region; /* id NULL: none is found */
    } row[] = {
        { "the default profile", { NULL }, "AKID1", "one=", "", "eu-west-1" },
        { "a profile", { "AWS_PROFILE", "other" }, "AKID2", "two", "tok", "ap-south-1" },
        { "keys in the configuration", { "AWS_PROFILE", "third" }, "AKID3", "three", "", "" },
        { "a profile that is not there", { "AWS_PROFILE", "nobody" }, NULL, "", "", "" },
        { "the environment goes before files, and its token is its own",
          { "AWS_ACCESS_KEY_ID", "E", "AWS_SECRET_ACCESS_KEY", "S", "AWS_PROFILE", "other" },
          "E", "S", "", "ap-south-1" },
        { "half of a key", { "AWS_ACCESS_KEY_ID", "E" }, NULL, "", "", "" },
        { "an empty variable is none", { "AWS_ACCESS_KEY_ID", "" }, "AKID1", "one=", "",
          "eu-west-1" },
        { "regions", { "AWS_DEFAULT_REGION", "r2", "AWS_REGION", "r1" }, "AKID1", "one=", "",
          "r1" },
        { "the other name", { "AWS_DEFAULT_REGION", "r2" }, "AKID1", "one=", "", "r2" },
    };
    char dir[] = "/tmp/tgdata-aws-XXXXXX", command[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    write_file(dir, "AWS_SHARED_CREDENTIALS_FILE", "credentials", credentials);
    write_file(dir, "AWS_CONFIG_FILE", "config", config);
    for (size_t i = 0; i < TG_COUNT(row); i++) {
        struct tg_aws_login login = { 0 };
        struct tg_error err = { 0 };
        tg_code code;

        forget_environment();
        for (size_t j = 0; row[i].set[j]; j += 2)
            setenv(row[i].set[j], row[i].set[j + 1], 1);
        code = tg_aws_login_find(&login, &err);
        if (!row[i].id) {
            assert_int_equal(code, TG_USAGE);
            assert_non_null(strstr(err.hint, "AWS_ACCESS_KEY_ID"));
            continue;
        }
        if (code != TG_OK)
            fail_msg("%s: %s", row[i].name, err.message);
        assert_string_equal(tg_buf_cstr(&login.id), row[i].id);
        assert_string_equal(tg_buf_cstr(&login.secret), row[i].secret);
        assert_string_equal(tg_buf_cstr(&login.token), row[i].token);
        assert_string_equal(tg_buf_cstr(&login.region), row[i].region);
        tg_aws_login_done(&login);
    }
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suite),       cmocka_unit_test(test_spaces),
        cmocka_unit_test(test_s3),          cmocka_unit_test(test_limits),
        cmocka_unit_test(test_file_values), cmocka_unit_test(test_logins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
