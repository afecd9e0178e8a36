/*
 * search - one search that isn't over: what was asked for, the network's structure, the policy, and every candidate
 * with its state. It decides and remembers; it knows no store and no bus. course.c makes it go on, scheduler.h
 * gives its tasks out. A training job is one, too, with neither groups nor policy nor candidates: only its one
 * task.
 *
 * The proposal of episode e follows from the spec and the results of episodes 0 ... e - lookahead (design:
 * reproducible at any size of cluster): search_may_propose says whether those are all there, search_propose feeds
 * the policy exactly those first.
 */
#ifndef COORDINATOR_SEARCH_H
#define COORDINATOR_SEARCH_H

#include "coordinator/candidate.h"
#include "coordinator/spec.h"

struct search {
    int64_t id; /* 0 until its row exists */
    enum search_state state, paused_from;
    struct spec spec;
    struct recipe recipe;
    struct graph graph;
    struct groups groups; /* empty when single weights are cut */
    struct fine fine;     /* empty when channels are cut */
    struct limits limits;
    struct cost dense_cost;
    struct budget budgets[SPEC_MAX_BUDGETS];

    bool wants_table, has_table;
    bool asking_table; /* whether a former search's will do is being asked */
    struct latency table;
    bool has_profile;
    struct hash profile;
    struct metrics dense; /* the dense network on the reward split */
    float *points;        /* all curves, group after group */
    const float **curve;  /* (groups) into points */
    struct setting setting;
    struct policy *policy; /* NULL until there is a profile */

    struct candidate **candidates; /* (episodes), NULL from `proposed` on */
    int proposed;                  /* episodes 0 ... proposed - 1 have a candidate */
    int observed;                  /* episodes that the policy has learnt from */
    int storing;                   /* candidates whose rows aren't durable yet */
    int over;                      /* candidates that are durably scored or given up */
    int scored;                    /* those of them that are scored */
    bool finals_chosen;
    int timings_left; /* FINISHING: candidates to be timed, before the finalists are known */
    int finals_left; /* FINISHING: finalists that are neither scored nor given up */
    struct task profiling;
    struct task measuring; /* wants_table */
    struct task training; /* spec.training: the only task there is */
    struct task_lists lists;
    bool saving; /* a snapshot is on its way to the store */

    char kernels[2 * RECIPE_NAME]; /* of the first worker whose result came in this program's life */
    bool mixed;                    /* another worker's differ: equal numbers aren't certain any more */
    struct search *next;           /* in the scheduler's list */
};

/*
 * From the spec's text and the model's bytes; the recipe is taken as it is, but for what its finetune and finish
 * don't say of the teachers: that is the spec's. ERR_INVALID or ERR_UNSUPPORTED when the spec or the model is
 * wrong, nothing can be cut, a budget can't be met, or, for a training, nothing can be trained. `s` is NULL then.
 */
MUST_CHECK int search_new(struct search **s, const char *yaml, size_t n_yaml, const struct recipe *recipe,
                          const void *onnx, size_t n_onnx, struct err *e);
void search_free(struct search *s); /* NULL is fine */

/* What the recipe isn't recorded with: the kind of cut, what is made of images, finetune and finish, but for the teachers, from the spec. */
void search_complete(const struct spec *spec, struct recipe *r);

/* ERR_INVALID when the ONNX file can't teach the search's network: another input or other classes. */
MUST_CHECK int search_check_teacher(const struct search *s, const void *onnx, size_t n, struct err *e);

void search_set_id(struct search *s, int64_t id);

/* ERR_INVALID when the result doesn't fit the network. */
MUST_CHECK int search_check_profile(const struct search *s, const struct msg_result *r, struct err *e);
/* Takes a checked profile, and makes the policy unless a table is still wanted. */
MUST_CHECK int search_set_profile(struct search *s, const struct msg_result *r, struct err *e);

/* ERR_INVALID when the bytes are no latency table of the network. */
MUST_CHECK int search_check_table(const struct search *s, const void *bytes, size_t n, struct err *e);
/* Takes a checked table: latency budgets and the rounding follow from it. Makes the policy unless the profile is still
 * wanted. ERR_INVALID when a budget can't be met. */
MUST_CHECK int search_set_table(struct search *s, const void *bytes, size_t n, struct err *e);

/* Takes back what was on record: candidates in episode order (rows are borrowed), then the snapshot's bytes, or
 * NULL. */
MUST_CHECK int search_take_candidate(struct search *s, const struct candidate_row *r, int64_t lease_ns,
                                     struct err *e);
MUST_CHECK int search_take_policy(struct search *s, const void *snapshot, size_t n, struct err *e);

/* The next episode exists and the results that it depends on are there. */
bool search_may_propose(const struct search *s);
/* Episode whose result the next proposal waits for, or -1. */
int search_awaits(const struct search *s);
/* Its candidate, task NEW. ERR_STATE when the policy broke its promise about the budget or the legal numbers. */
MUST_CHECK int search_propose(struct search *s, struct candidate **c, struct err *e);
void search_row_of(const struct search *s, const struct candidate *c,
                   struct candidate_row *r); /* keep is borrowed */

/* Counts a candidate whose evaluation is now DONE or PARKED. */
void search_count(struct search *s, const struct candidate *c);

/*
 * Marks the finalists: for each budget the finish_top most accurate candidates within it among those that no other
 * beats in accuracy and in every chosen cost. The same for the same results, whatever the order in which they came.
 *
 * A finalist is timed before it is finished, and under a latency budget passed over when it was measured slower than
 * that by more than the spread; then the next one is tried, SEARCH_TRIES times at most, and if none is fast
 * enough the fastest of those tried stands for all. Returns how many candidates (marked `timed`) have to be timed before more can be
 * said: call again when they are. 0: the marks are final.
 */
#define SEARCH_TRIES 8
int search_choose_finalists(struct search *s);

struct task *search_task(struct search *s, const struct task_id *id); /* NULL: there is none */

/* For an exported file's metadata, but for the score. */
void search_about(const char *name, const struct candidate_row *r, struct msg_about *a);

#endif
