/* job - a worker that evaluates for days: its memory doesn't grow with the number of evaluations. */
#include "tests/unit/job_host.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = true }; /* they keep what was freed */
#else
enum { SANITIZED = false };
#endif

enum { EVALUATIONS = 200, WARM_UP = 50 };

static long resident_kb(void)
{
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fscanf(f, "%ld %ld", &pages, &resident), 2);
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Candidates of all sizes, every fourth one a finalist with checkpoints. */
START_TEST(memory_stays_flat)
{
    struct surroundings s;
    int32_t keep[3];
    long warm = 0;
    surroundings_init(&s);
    struct hash model = tiny_model(&s, 1);
    struct worker_state *st = new_state(2);
    struct msg_work w = {.task = {TASK_PROFILE, 7, -1, 1}, .lr_scale = 1};
    w.recipe = tiny_recipe(&s, &model);
    struct msg_result r = run(st, &w, &s);
    w.has_profile = true;
    w.profile = r.blob;
    free_result(&r);
    w.n_keep = 3;
    w.keep = keep;
    w.recipe.finetune.epochs = w.recipe.finish.epochs = 1;
    w.recipe.finetune.batch = w.recipe.finish.batch = 20;
    w.recipe.finetune.distill.kind = w.recipe.finish.distill.kind = DISTILL_KL;
    for (int i = 0; i < EVALUATIONS; i++) {
        w.task = (struct task_id){i % 4 == 3 ? TASK_FINAL : TASK_EVALUATE, 7, i, 1};
        keep[0] = 1 + i % 8;
        keep[1] = 1 + i % 10;
        keep[2] = 1 + i % 12;
        r = run(st, &w, &s);
        ck_assert_int_eq(r.reward.n, TINY_REWARD);
        if (i + 1 == WARM_UP)
            warm = resident_kb();
    }
    long end = resident_kb();
    printf("memory: %ld kB after %d evaluations, %ld kB after %d\n", warm, WARM_UP, end, EVALUATIONS);
    ck_assert_msg(SANITIZED || (double)end < 1.02 * (double)warm, "%ld kB grew to %ld kB", warm, end);
    job_state_free(st);
    surroundings_release(&s);
}
END_TEST

int main(void)
{
    if (SANITIZED) {
        printf("skipped: sanitizers keep freed memory\n");
        return 77;
    }
    Suite *s = suite_create("job_memory");
    TCase *t = tcase_create("job_memory");
    tcase_set_timeout(t, 300);
    tcase_add_test(t, memory_stays_flat);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
