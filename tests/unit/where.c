/* The filter of `pareto --where`: what it selects, and the line that a mistake gets. */
#include <check.h>

#include "coordinator/cli/where.h"

static const char *const fields[] = {"episode", "top1", "macs", "macs_ratio", "latency_ms", NULL};

static const struct {
    const char *filter, *line;
} bad[] = {
    {"", "--where ends where a field such as top1 should be"},
    {"   ", "--where ends where a field such as top1 should be"},
    {"top1", "--where ends where one of < <= > >= = != should be"},
    {"top1>", "--where ends where a number should be"},
    {"top1>=", "--where ends where a number should be"},
    {"top1>=0.9 and", "--where: \"and\" stands where \"and\" or the end should be"},
    {"top1>=0.9 and ", "--where ends where a field such as top1 should be"},
    {"top1>=0.9 or macs<5", "--where: \"or\" stands where \"and\" or the end should be"},
    {"top1>=0.9 macs<5", "--where: \"macs<5\" stands where \"and\" or the end should be"},
    {"top1>=0.9,macs<5", "--where: \"0.9,macs<5\" stands where a number should be"},
    {"top1 >= 90%", "--where: \"90%\" stands where a number should be"},
    {"top1 => 0.9", "--where: \">\" stands where a number should be"},
    {"top1 ~ 0.9", "--where: \"~\" stands where one of < <= > >= = != should be"},
    {"top1 = nan", "--where: \"nan\" stands where a number should be"},
    {"top1 = 1e999", "--where: \"1e999\" stands where a number should be"},
    {"top1 = x", "--where: \"x\" stands where a number should be"},
    {"top = 1", "--where: there is no field \"top\""},
    {"stage = 1", "--where: there is no field \"stage\""},
    {"Top1 = 1", "--where: \"Top1\" stands where a field such as top1 should be"},
    {"0.9 < top1", "--where: there is no field \"0\""},
    {"(top1 > 0.9)", "--where: \"(top1\" stands where a field such as top1 should be"},
    {"top1>0 and top1>1 and top1>2 and top1>3 and top1>4 and top1>5 and top1>6 and top1>7 and top1>8 and top1>9 "
     "and "
     "top1>10 and top1>11 and top1>12 and top1>13 and top1>14 and top1>15 and top1>16",
     "--where: more than 16 comparisons"},
};

START_TEST(mistakes_get_their_line)
{
    struct where w;
    struct err e = {.text = ""};
    ck_assert_int_lt(where_parse(&w, bad[_i].filter, fields, &e), 0);
    ck_assert_str_eq(e.text, bad[_i].line);
}
END_TEST

static const struct {
    const char *filter;
    bool holds; /* for {"episode": 7, "top1": 0.9, "macs": 1000, "macs_ratio": 0.25, "latency_ms": null} */
} good[] = {
    {"top1>=0.9", true},
    {"top1 > 0.9", false},
    {" top1<=.9 ", true},
    {"top1<0.9", false},
    {"top1=0.9", true},
    {"top1==0.9", true},
    {"top1!=0.9", false},
    {"macs=1e3", true},
    {"macs>-5", true},
    {"episode=7 and macs_ratio<0.5", true},
    {"episode=7 and macs_ratio<0.25", false},
    {"episode!=7\tand\tmacs_ratio<0.5", false},
    {"latency_ms>0", false}, /* not known: fulfils nothing */
    {"latency_ms!=0", false},
    {"top1>0 and top1>0 and top1>0 and top1>0 and top1>0 and top1>0 and top1>0 and top1>0 and top1>0 and top1>0 "
     "and "
     "top1>0 and top1>0 and top1>0 and top1>0 and top1>0 and top1>0",
     true},
};

START_TEST(comparisons_select)
{
    struct where w;
    struct err e = {.text = ""};
    json_t *o = json_pack("{s:i, s:f, s:i, s:f, s:n}", "episode", 7, "top1", 0.9, "macs", 1000, "macs_ratio", 0.25,
                          "latency_ms");
    ck_assert_msg(where_parse(&w, good[_i].filter, fields, &e) == 0, "%s", e.text);
    ck_assert_msg(where_holds(&w, o) == good[_i].holds, "%s", good[_i].filter);
    json_decref(o);
}
END_TEST

START_TEST(nothing_asked_holds_for_all)
{
    struct where w = {.n = 0};
    json_t *o = json_object();
    ck_assert(where_holds(&w, o));
    json_decref(o);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("where");
    TCase *t = tcase_create("where");
    tcase_set_timeout(t, 10);
    tcase_add_loop_test(t, mistakes_get_their_line, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_loop_test(t, comparisons_select, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_test(t, nothing_asked_holds_for_all);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
