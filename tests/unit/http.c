/* What the API decides before anything else sees a request: its body, its origin, the shape of an error. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "coordinator/http/origin.h"
#include "coordinator/http/reply.h"
#include "coordinator/http/submit.h"

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define M   "\"spec\": \"a\", \"model\": \"" HEX "\""
#define F(name, hash, size)                                                                                        \
    "{" M ", \"files\": [{\"name\": \"" name "\", \"hash\": \"" hash "\", \"size\": " size "}]}"
#define F1 "{\"name\": \"a\", \"hash\": \"" HEX "\", \"size\": 1}"

static const struct {
    const char *json, *line;
} bad[] = {
    {"", "the request isn't JSON: line 1: '[' or '{' expected near end of file"},
    {"{", "the request isn't JSON: line 1: string or '}' expected near end of file"},
    {"{} x", "the request isn't JSON: line 1: end of file expected near 'x'"},
    {"{\"spec\": \"a\", \"spec\": \"b\"}", "the request isn't JSON: line 1: duplicate object key near '\"spec\"'"},
    {"{\"spec\": \"a\\u0000b\"}", "the request isn't JSON: line 1: \\u0000 is not allowed without JSON_ALLOW_NUL near '\"a\\u0000b\"'"},
    {"[]", "the request must be a JSON object with spec, model and files"},
    {"{}", "spec must be a string: the YAML text"},
    {"{\"spec\": 1}", "spec must be a string: the YAML text"},
    {"{" M ", \"modle\": 1}", "unknown key \"modle\" in the request"},
    {"{\"spec\": \"a\"}", "model must be a SHA-256 of 64 hexadecimal digits"},
    {"{\"spec\": \"a\", \"model\": \"00\"}", "model must be a SHA-256 of 64 hexadecimal digits"},
    {"{\"spec\": \"a\", \"model\": \"" HEX "0\"}", "model must be a SHA-256 of 64 hexadecimal digits"},
    {"{" M ", \"finetune_teacher\": 1}", "finetune_teacher must be a SHA-256 of 64 hexadecimal digits"},
    {"{" M ", \"finish_teacher\": null}", "finish_teacher must be a SHA-256 of 64 hexadecimal digits"},
    {"{" M ", \"teacher\": \"" HEX "\"}", "unknown key \"teacher\" in the request"},
    {"{" M ", \"files\": {}}", "files must be an array"},
    {"{" M ", \"files\": [1]}", "files must hold objects with name, hash and size"},
    {"{" M ", \"files\": [{\"path\": 1}]}", "unknown key \"path\" in files"},
    {"{" M ", \"files\": [{}]}", "files.name must be a plain file name of at most 63 bytes"},
    {F("", HEX, "1"), "files.name must be a plain file name of at most 63 bytes"},
    {F("..", HEX, "1"), "files.name must be a plain file name of at most 63 bytes"},
    {F("a/b", HEX, "1"), "files.name must be a plain file name of at most 63 bytes"},
    {F("a\\nb", HEX, "1"), "files.name must be a plain file name of at most 63 bytes"},
    {F("0123456789012345678901234567890123456789012345678901234567890123", HEX, "1"),
     "files.name must be a plain file name of at most 63 bytes"},
    {F("a", HEX, "0"), "files.size of \"a\" must be 1 to 4294967296 bytes"},
    {F("a", HEX, "-1"), "files.size of \"a\" must be 1 to 4294967296 bytes"},
    {F("a", HEX, "1.5"), "files.size of \"a\" must be 1 to 4294967296 bytes"},
    {F("a", HEX, "4294967297"), "files.size of \"a\" must be 1 to 4294967296 bytes"},
    {F("a", "0", "1"), "files.hash must be a SHA-256 of 64 hexadecimal digits"},
    {"{" M ", \"files\": [" F1 "," F1 "]}", "files.name \"a\" stands twice"},
    {"{" M ", \"files\": [1,1,1,1,1,1,1,1,1]}", "files has 9 entries, at most 8 are accepted"},
};

START_TEST(bad_bodies_get_their_line)
{
    struct submit s;
    struct err e = {.text = ""};
    ck_assert_int_eq(submit_parse(bad[_i].json, strlen(bad[_i].json), &s, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, bad[_i].line);
    ck_assert_ptr_null(s.spec);
}
END_TEST

START_TEST(whole_body_is_read)
{
    static const char json[] = F("a.bin", HEX, "4294967296");
    struct submit s;
    struct err e = {.text = ""};
    ck_assert_msg(submit_parse(json, strlen(json), &s, &e) == 0, "%s", e.text);
    ck_assert_str_eq(s.spec, "a");
    ck_assert_uint_eq(s.n_spec, 1);
    ck_assert_int_eq(s.n_files, 1);
    ck_assert_str_eq(s.files[0].name, "a.bin");
    ck_assert_uint_eq(s.files[0].size, UINT64_C(4) << 30);
    ck_assert_int_eq(s.files[0].hash.b[31], 0x1f);
    ck_assert(hash_equal(&s.files[0].hash, &s.model));
    ck_assert(!s.has_finetune_teacher && !s.has_finish_teacher);
    submit_release(&s);
    submit_release(&s);
}
END_TEST

START_TEST(teachers_are_told_apart)
{
    static const char one[] = "{" M ", \"finetune_teacher\": \"" HEX "\"}";
    static const char other[] = "{" M ", \"finish_teacher\": \"" HEX "\"}";
    struct submit s;
    struct err e = {.text = ""};
    ck_assert_msg(submit_parse(one, strlen(one), &s, &e) == 0, "%s", e.text);
    ck_assert(s.has_finetune_teacher && !s.has_finish_teacher && hash_equal(&s.finetune_teacher, &s.model));
    submit_release(&s);
    ck_assert_msg(submit_parse(other, strlen(other), &s, &e) == 0, "%s", e.text);
    ck_assert(!s.has_finetune_teacher && s.has_finish_teacher && hash_equal(&s.finish_teacher, &s.model));
    submit_release(&s);
}
END_TEST

static const struct {
    const char *host;
    bool local;
} hosts[] = {
    {"localhost", true},
    {"LocalHost:80", true},
    {"127.0.0.1", true},
    {"127.0.0.1:7410", true},
    {"127.9.8.7:1", true},
    {"[::1]", true},
    {"[::1]:7410", true},
    {"", false},
    {":80", false},
    {"example.org", false},
    {"localhost.evil", false},
    {"localhostx", false},
    {"localhost:", false},
    {"localhost:8x", false},
    {"127.0.0.1.evil", false},
    {"128.0.0.1", false},
    {"127.0.0", false},
    {"127.0.0.1.1", false},
    {"0.0.0.0", false},
    {"[::2]:80", false},
    {"1270.0.0.1", false},
    {"127.0.0.1:80@e", false},
    {"127.0.0.1111111111111", false},
};

START_TEST(only_loopback_is_local)
{
    ck_assert_msg(origin_host_is_local(hosts[_i].host) == hosts[_i].local, "%s", hosts[_i].host);
}
END_TEST

START_TEST(other_origins_are_told_apart)
{
    ck_assert(origin_is_same("http://localhost:7410", "localhost:7410"));
    ck_assert(origin_is_same("HTTP://LOCALHOST:7410", "localhost:7410"));
    ck_assert(!origin_is_same("http://localhost:7411", "localhost:7410"));
    ck_assert(!origin_is_same("https://localhost:7410", "localhost:7410"));
    ck_assert(!origin_is_same("http://evil.example", "localhost:7410"));
    ck_assert(!origin_is_same("null", "localhost:7410"));
    ck_assert(!origin_is_same("", "localhost:7410"));
}
END_TEST

START_TEST(errors_are_json)
{
    struct buf b = {0};
    reply_error(&b, "could not open \"a\\b\": \xc3\x28 \x01");
    json_t *j = json_loadb((char *)b.p, b.n, 0, NULL);
    ck_assert_str_eq(json_string_value(json_object_get(j, "error")), "could not open \"a\\b\": ?( ?");
    json_decref(j);
    buf_release(&b);
    ck_assert_int_eq(reply_status(ERR_INVALID), 400);
    ck_assert_int_eq(reply_status(ERR_NOTFOUND), 404);
    ck_assert_int_eq(reply_status(ERR_STATE), 409);
    ck_assert_int_eq(reply_status(ERR_LIMIT), 413);
    ck_assert_int_eq(reply_status(ERR_DB), 503);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http");
    TCase *t = tcase_create("http");
    tcase_set_timeout(t, 10);
    tcase_add_loop_test(t, bad_bodies_get_their_line, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(t, whole_body_is_read);
    tcase_add_test(t, teachers_are_told_apart);
    tcase_add_loop_test(t, only_loopback_is_local, 0, sizeof(hosts) / sizeof(hosts[0]));
    tcase_add_test(t, other_origins_are_told_apart);
    tcase_add_test(t, errors_are_json);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
