/*
 * store_finals - rows that tests of finalists and training jobs begin with.
 */
#ifndef TESTS_UNIT_STORE_FINALS_H
#define TESTS_UNIT_STORE_FINALS_H

#include "tests/unit/store_trial.h"

static inline struct hash state_blob(int epoch)
{
    char text[32];
    snprintf(text, sizeof(text), "state after epoch %d", epoch);
    return put_blob(loop, s, text);
}

static inline void checkpoint(const struct task_id *t, int epoch, struct hash blob, struct note *n)
{
    const struct msg_checkpoint k = {.task = *t,
                                     .epoch = epoch,
                                     .blob = blob,
                                     .lr = 0.1 / epoch,
                                     .loss = 1.0 / epoch,
                                     .top1 = 0.5,
                                     .seconds = 2};
    store_checkpoint(s, &k, "w1", note_done, n);
}

static inline struct msg_result scored(const struct task_id *t, struct hash blob)
{
    return (struct msg_result){
        .task = *t, .seconds = 9, .test = {1000, 805, 990, 0.75}, .has_blob = true, .blob = blob};
}

/* Finalists 0 ... n - 1, each evaluated; the first attempt of each is under way. */
static inline int64_t finishing(int n)
{
    struct note done = {0};
    int32_t episodes[8];
    int64_t id = put_search(loop, s);
    for (int i = 0; i < n; i++) {
        episodes[i] = i;
        put_started(s, id, i, &done);
        put_result(s, id, i, 1, note_done, &done);
    }
    for (int i = 0; i < 2; i++)
        store_finalists(s, id, episodes, (size_t)n, note_done, &done);
    for (int i = 0; i < n; i++) {
        struct task_id t = task(TASK_FINAL, id, i, 1);
        store_attempt(s, &t, "w1", note_done, &done);
    }
    settle(loop, s);
    expect(&done, 4 * n + 2, 0, "");
    return id;
}

static inline int64_t training(bool taught)
{
    struct note n = {0};
    struct recipe r = {
        .data = DATA_SYNTHETIC, .model = put_blob(loop, s, "untrained"), .precision = PRECISION_BF16};
    r.finish.epochs = 5;
    r.finish.distill.other = taught;
    if (taught)
        r.finish.distill.teacher = put_blob(loop, s, "teacher");
    store_search_create(s, "t", "name: t\n", &r, true, note_created, &n);
    settle(loop, s);
    expect(&n, 1, 0, "");
    struct task_id t = task(TASK_TRAIN, n.id, -1, 1);
    store_attempt(s, &t, "w1", note_done, &n);
    settle(loop, s);
    expect(&n, 2, 0, "");
    return n.id;
}

#endif
