/* The meter: its lines to a file, and its bar on a terminal of our own. */
#include "worker/meter.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* As fit tells of epoch `epoch`, `part` of it done, of 1,000 images each. */
static void tell(struct meter *m, int epoch, double part, int epochs)
{
    struct fit_point p = {.epoch = epoch, .lr = 0.1 / epoch, .loss = 2.0 / epoch, .top1 = 0.5, .seconds = 4 * part};
    meter_point(m, &p);
    meter_progress(m, (uint64_t)(1000 * (epoch - 1 + part)), (uint64_t)(1000 * epochs));
}

static void finish(struct meter *m, int epoch, int epochs)
{
    struct msg_checkpoint k = {.epoch = epoch, .lr = 0.095, .loss = 0.9125, .top1 = 0.674, .seconds = 4};
    tell(m, epoch, 1, epochs);
    meter_epoch(m, &k);
}

START_TEST(a_line_an_epoch)
{
    static const char *const lines[] = {
        "epoch 1/3000  loss 0.912  train 67.4%  lr 0.0950  250 images/s  left 3:19:56\n"
        "epoch 2/3000  loss 0.912  train 67.4%  lr 0.0950  250 images/s  left 3:19:52\n",
        "epoch 2999/3000  loss 0.912  train 67.4%  lr 0.0950  250 images/s  left 0:04\n" /* a resumed one */
        "epoch 3000/3000  loss 0.912  train 67.4%  lr 0.0950  250 images/s  left 0:00\n",
    };
    char *text = NULL;
    size_t n = 0;
    struct meter m;
    FILE *f = open_memstream(&text, &n);
    meter_init(&m, f, 3000);
    meter_progress(&m, 0, 1); /* before there is anything to tell */
    for (int i = 0; i < 2; i++) {
        int epoch = (_i ? 2999 : 1) + i;
        tell(&m, epoch, 0.25, 3000);
        tell(&m, epoch, 0.5, 3000);
        finish(&m, epoch, 3000);
    }
    meter_clear(&m);
    fclose(f);
    ck_assert_str_eq(text, lines[_i]);
    free(text);
}
END_TEST

/* By steps the number of epochs isn't known, and the last one may be a part. */
START_TEST(by_steps)
{
    char *text = NULL;
    size_t n = 0;
    struct meter m;
    FILE *f = open_memstream(&text, &n);
    struct msg_checkpoint k = {.epoch = 2, .lr = 1e-5, .loss = 12.3456, .top1 = 1, .seconds = 1};
    meter_init(&m, f, 0);
    tell(&m, 1, 0.5, 2);
    tell(&m, 1, 1, 2);
    m.begun = 1000;
    meter_progress(&m, 3500, 3500);
    meter_epoch(&m, &k);
    fclose(f);
    ck_assert_str_eq(text, "epoch 2  loss 12.346  train 100.0%  lr 1.00e-05  2,500 images/s  left 0:00\n");
    free(text);
}
END_TEST

START_TEST(quiet)
{
    struct meter m;
    meter_init(&m, NULL, 3);
    finish(&m, 1, 3);
    meter_clear(&m);
    ck_assert(!m.bar);
}
END_TEST

START_TEST(numbers)
{
    char s[32];
    ck_assert_str_eq(meter_number(0, s), "0");
    ck_assert_str_eq(meter_number(999, s), "999");
    ck_assert_str_eq(meter_number(1000, s), "1,000");
    ck_assert_str_eq(meter_number(1234567, s), "1,234,567");
    ck_assert_str_eq(meter_number(UINT64_MAX, s), "18,446,744,073,709,551,615");
}
END_TEST

/* What came out at the other end of a terminal of so many columns. */
static size_t on_terminal(int columns, char *got, size_t room)
{
    struct winsize w = {.ws_col = (unsigned short)columns, .ws_row = 20};
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    ck_assert_int_ge(master, 0);
    ck_assert(grantpt(master) == 0 && unlockpt(master) == 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    ck_assert_int_eq(ioctl(slave, TIOCSWINSZ, &w), 0);
    FILE *f = fdopen(slave, "w");
    struct meter m;
    meter_init(&m, f, 4);
    ck_assert(m.bar);
    tell(&m, 2, 0.5, 4);
    finish(&m, 2, 4);
    tell(&m, 3, 0.5, 4);
    meter_clear(&m);
    ssize_t n = read(master, got, room - 1);
    ck_assert_int_gt(n, 0);
    got[n] = 0;
    fclose(f);
    close(master);
    return (size_t)n;
}

START_TEST(bar_on_a_terminal)
{
    char got[4096];
    on_terminal(120, got, sizeof got);
    ck_assert_ptr_nonnull(
        strstr(got, "\repoch 2/4  loss 1.000  train 50.0%  lr 0.0500  250 images/s  left 0:10  [##"));
    ck_assert_ptr_nonnull(
        strstr(got, "\repoch 2/4  loss 0.912  train 67.4%  lr 0.0950  250 images/s  left 0:08\r\n"));
    ck_assert_ptr_nonnull(strstr(got, "[#########################               ]")); /* 2.5 of 4 epochs */
    ck_assert_ptr_null(strchr(got, '\033'));
    const char *last = strrchr(got, '\r');
    ck_assert_ptr_nonnull(last);
    ck_assert_str_eq(last, "\r"); /* the line is empty again */
}
END_TEST

/* No line is longer than the terminal is wide. */
START_TEST(narrow_terminals)
{
    char got[4096];
    on_terminal(_i, got, sizeof got);
    for (char *line = strtok(got, "\r\n"); line; line = strtok(NULL, "\r\n"))
        if (!strstr(line, "0.912")) /* what stays is whole */
            ck_assert_msg((int)strlen(line) < _i, "%zu of %d: %s", strlen(line), _i, line);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("meter");
    TCase *t = tcase_create("meter");
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, a_line_an_epoch, 0, 2);
    tcase_add_test(t, by_steps);
    tcase_add_test(t, quiet);
    tcase_add_test(t, numbers);
    tcase_add_test(t, bar_on_a_terminal);
    tcase_add_loop_test(t, narrow_terminals, 2, 100);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
