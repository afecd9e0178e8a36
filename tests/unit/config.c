/* config: the table's options, and that nothing off loopback gets through. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/config.h"

#define MOST_ARGS 8

static int parse(const char *line, struct config *c, enum config_asks *asks, struct err *e)
{
    static char copy[512];
    static char *argv[MOST_ARGS + 2];
    int argc = 0;
    snprintf(copy, sizeof(copy), "espalierd %s", line);
    for (char *s = strtok(copy, " "); s && argc <= MOST_ARGS; s = strtok(NULL, " "))
        argv[argc++] = s;
    argv[argc] = NULL;
    return config_parse(c, asks, argc, argv, e);
}

static const struct {
    const char *line, *error; /* NULL: it is right */
} cases[] = {
    {"--db x", NULL},
    {"--db=x -v --lease-seconds=6 --beat-seconds 2", NULL},
    {"--db x --bind tcp://127.0.0.1:*", NULL},
    {"--db x --bind tcp://127.255.3.4:0", NULL},
    {"--db x --bind tcp://localhost:7000 --http localhost:0", NULL},
    {"--db x --bind tcp://[::1]:7000 --http [::1]:7001", NULL},
    {"", "--db CONNINFO is needed"},
    {"--db", "--db needs CONNINFO"},
    {"--db x --port 3", "unknown option \"--port\""},
    {"--db x -v=1", "unknown option \"-v=1\""},
    {"--db x extra", "unknown option \"extra\""},
    {"--db x --attempts 0", "--attempts \"0\" isn't a number from 1 to 1000"},
    {"--db x --attempts 3x", "--attempts \"3x\" isn't a number from 1 to 1000"},
    {"--db x --attempts=", "--attempts \"\" isn't a number from 1 to 1000"},
    {"--db x --lease-seconds 99999999999999999999",
     "--lease-seconds \"99999999999999999999\" isn't a number from 1 to 86400"},
    {"--db x --lease-seconds 5", "--lease-seconds 5 is less than three beats of 2 s"},
    {"--db x --bind 127.0.0.1:7411", "--bind \"127.0.0.1:7411\" doesn't begin with tcp://"},
    {"--db x --bind ipc:///tmp/x", "--bind \"ipc:///tmp/x\" doesn't begin with tcp://"},
    {"--db x --bind tcp://*:7411",
     "--bind tcp://*:7411 is off loopback: that needs keys for coordinator and workers, which aren't there yet"},
    {"--db x --bind tcp://0.0.0.0:7411", "--bind tcp://0.0.0.0:7411 is off loopback: that needs keys for "
                                         "coordinator and workers, which aren't there yet"},
    {"--db x --bind tcp://[::]:7411",
     "--bind tcp://[::]:7411 is off loopback: that needs keys for coordinator and workers, which aren't there yet"},
    {"--db x --bind tcp://127.0.0.1.evil.org:7411",
     "--bind tcp://127.0.0.1.evil.org:7411 is off loopback: that needs keys for coordinator and workers, which "
     "aren't there yet"},
    {"--db x --bind tcp://eth0:7411",
     "--bind tcp://eth0:7411 is off loopback: that needs keys for coordinator and workers, which aren't there yet"},
    {"--db x --bind tcp://127.0.0.1", "--bind \"127.0.0.1\" isn't HOST:PORT"},
    {"--db x --bind tcp://::1:7411", "--bind \"::1:7411\" isn't HOST:PORT"},
    {"--db x --bind tcp://127.0.0.1:70000", "port \"70000\" isn't a number from 0 to 65535"},
    {"--db x --http 0.0.0.0:7410",
     "--http 0.0.0.0:7410 is off loopback: that needs a token, which isn't there yet"},
    {"--db x --http 7410", "--http \"7410\" isn't HOST:PORT"},
    {"--db x --http :7410", "--http \":7410\" isn't HOST:PORT"},
};

START_TEST(lines)
{
    struct config c;
    enum config_asks asks;
    struct err e = {0};
    int rc = parse(cases[_i].line, &c, &asks, &e);
    if (cases[_i].error)
        ck_assert_int_lt(rc, 0);
    else
        ck_assert_msg(rc == 0, "%s", e.text);
    ck_assert_str_eq(e.text, cases[_i].error ? cases[_i].error : "");
}
END_TEST

START_TEST(values)
{
    struct config c;
    enum config_asks asks;
    struct err e;
    ck_assert_int_eq(parse("--db=x=y --http 127.0.0.1:80", &c, &asks, &e), 0);
    ck_assert_str_eq(c.db, "x=y");
    ck_assert_int_eq(c.lease_seconds, 60);
    ck_assert_int_eq(c.beat_seconds, 2);
    ck_assert_int_eq(c.attempts, 3);
    ck_assert_ptr_null(c.state);
    ck_assert(!c.verbose);
    ck_assert_str_eq(c.endpoint, "tcp://127.0.0.1:7411");
    ck_assert_str_eq(c.http_host, "127.0.0.1");
    ck_assert_int_eq(c.http_port, 80);
    ck_assert_int_eq(parse("--db x --bind tcp://[::1]:0 --http [::1]:* -v", &c, &asks, &e), 0);
    ck_assert_str_eq(c.endpoint, "tcp://[::1]:*");
    ck_assert_str_eq(c.http_host, "::1");
    ck_assert_int_eq(c.http_port, 0);
    ck_assert(c.verbose);
    ck_assert_int_eq(parse("--db x --bind tcp://localhost:0", &c, &asks, &e), 0);
    ck_assert_str_eq(c.endpoint, "tcp://127.0.0.1:*");
}
END_TEST

START_TEST(questions)
{
    struct config c;
    enum config_asks asks;
    struct err e;
    ck_assert_int_eq(parse("--help", &c, &asks, &e), 0);
    ck_assert_int_eq(asks, CONFIG_HELP);
    ck_assert_int_eq(parse("-v --version", &c, &asks, &e), 0);
    ck_assert_int_eq(asks, CONFIG_VERSION);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("config");
    TCase *t = tcase_create("config");
    tcase_set_timeout(t, 10);
    tcase_add_loop_test(t, lines, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(t, values);
    tcase_add_test(t, questions);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
