/* `--set` over a spec: what becomes of the YAML, and what is refused. */
#include <check.h>
#include <string.h>

#include "coordinator/cli/overlay.h"
#include "coordinator/spec.h"

#define BASE "# mine\nspec_version: 1\nname: x\nmodel: m.onnx\ndata: {kind: synthetic}\nbudgets:\n  flops: [0.5]\n"

static void apply(const char *yaml, const char *const *settings, int n, struct spec *s)
{
    struct buf b = {0};
    struct err e = {.text = ""};
    buf_append(&b, yaml, strlen(yaml));
    ck_assert_msg(overlay_apply(&b, settings, n, &e) == 0, "%s", e.text);
    ck_assert_msg(spec_parse((const char *)b.p, b.n, s, &e) == 0, "%s\n%s", e.text, b.p);
    buf_release(&b);
}

START_TEST(values_are_replaced_and_added)
{
    static const char *const settings[] = {"search.episodes=60",
                                           "budgets.flops=[0.3, 0.7]",
                                           "budgets.params=[0.5]",
                                           "model='/a b/it''s: #1.onnx'",
                                           "name=y",
                                           "cut.groups=inner",
                                           "search.episodes=61",
                                           "normalize.mean=[1,2]",
                                           "normalize.std=[3,4]",
                                           "precision=bf16",
                                           "finish.epochs=5",
                                           "finish.schedule=step",
                                           "finish.drops=[2, 4]",
                                           "finish.distill.kind=mse",
                                           "finish.distill.teacher='/t.onnx'",
                                           "finetune.augment.pad=0",
                                           "finetune.steps=10"};
    struct spec s;
    apply(BASE, settings, sizeof(settings) / sizeof(settings[0]), &s);
    ck_assert_int_eq(s.episodes, 61);
    ck_assert_str_eq(s.name, "y");
    ck_assert_str_eq(s.model, "/a b/it's: #1.onnx");
    ck_assert_int_eq(s.n_budgets, 3);
    ck_assert(s.budgets[0].frac == 0.3 && s.budgets[1].frac == 0.7 && s.budgets[2].kind == COST_PARAMS);
    ck_assert(s.inner_only && s.n_channels == 2 && s.std[1] == 4 && s.precision == PRECISION_BF16);
    ck_assert(s.finish.epochs == 5 && s.finish.schedule == SCHEDULE_STEP && s.finish.drop_at[1] == 4);
    ck_assert(s.finish.distill.kind == DISTILL_MSE && s.finish.distill.other);
    ck_assert_str_eq(s.finish_teacher, "/t.onnx");
    ck_assert(s.finetune.steps == 10 && s.finetune.pad == 0 && s.finetune.flip);
    spec_release(&s);
}
END_TEST

START_TEST(nothing_set_changes_nothing)
{
    struct buf b = {0};
    struct err e;
    buf_append(&b, BASE, strlen(BASE));
    ck_assert_int_eq(overlay_apply(&b, NULL, 0, &e), 0);
    ck_assert_str_eq((char *)b.p, BASE);
    buf_release(&b);
}
END_TEST

static const struct {
    const char *yaml, *setting, *line;
} bad[] = {
    {BASE, "search.episodes", "--set search.episodes: must be KEY=VALUE or KEY.KEY=VALUE"},
    {BASE, "=5", "--set =5: must be KEY=VALUE or KEY.KEY=VALUE"},
    {BASE, "search.=5", "--set search.=5: must be KEY=VALUE or KEY.KEY=VALUE"},
    {BASE, ".a=5", "--set .a=5: must be KEY=VALUE or KEY.KEY=VALUE"},
    {BASE, "a.b.c.d.e.f.g.h.i.j=5", "--set a.b.c.d.e.f.g.h.i.j=5: must be KEY=VALUE or KEY.KEY=VALUE"},
    {BASE, "name.x=5", "--set name.x=5: \"name\" isn't a mapping in the spec"},
    {BASE, "name=[1", "--set name=[1: the value isn't YAML"},
    {BASE, "name={a: b}", "--set name={a: b}: must be one value or a list of values"},
    {BASE, "budgets.flops=[[1]]", "--set budgets.flops=[[1]]: must be one value or a list of values"},
    {"- a\n", "name=x", "spec: must be a mapping"},
    {"", "name=x", "spec: must be a mapping"},
    {"a: [\n", "name=x", "spec: line 2: did not find expected node content"},
    {"a: b\n---\nc: d\n", "name=x", "spec: there is more after the first document's end"},
};

START_TEST(mistakes_get_their_line)
{
    struct buf b = {0};
    struct err e = {.text = ""};
    buf_append(&b, bad[_i].yaml, strlen(bad[_i].yaml));
    ck_assert_int_lt(overlay_apply(&b, &bad[_i].setting, 1, &e), 0);
    ck_assert_str_eq(e.text, bad[_i].line);
    ck_assert_str_eq((char *)b.p, bad[_i].yaml);
    buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("overlay");
    TCase *t = tcase_create("overlay");
    tcase_set_timeout(t, 10);
    tcase_add_test(t, values_are_replaced_and_added);
    tcase_add_test(t, nothing_set_changes_nothing);
    tcase_add_loop_test(t, mistakes_get_their_line, 0, sizeof(bad) / sizeof(bad[0]));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
