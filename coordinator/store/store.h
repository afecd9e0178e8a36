/*
 * store - the only code that writes SQL. Non-blocking: requests queue, go to PostgreSQL in pipelines, many to a
 * commit, and each one's callback runs from the loop after its transaction has committed, or with the error that
 * ended it. A lost connection is made again with back-off; requests that were under way are sent again, so every
 * write is idempotent by key.
 *
 * One coordinator writes at a time: store_open takes an advisory lock on this session and raises the epoch; each
 * write checks it.
 */
#ifndef COORDINATOR_STORE_STORE_H
#define COORDINATOR_STORE_STORE_H

#include <czmq.h>

#include "common/base/buf.h"
#include "common/model/latency.h"
#include "proto/message.h"

struct store;

enum search_state {
    SEARCH_PROFILING,
    SEARCH_RUNNING,
    SEARCH_PAUSED,
    SEARCH_FINISHING,
    SEARCH_DONE,
    SEARCH_FAILED,
    SEARCH_CANCELLED,
    SEARCH_STATES
};
const char *search_state_name(enum search_state s);

/* Connects, migrates the schema, becomes the writer; waits at most `wait_ms` for that (as standby, for another
 * coordinator to go; ERR_TIMEOUT then: a main that wants to see signals calls again). Blocking: for main only.
 * on_lost is called once, from the loop, when another coordinator has taken over: the program must stop. */
MUST_CHECK int store_open(struct store **s, zloop_t *loop, const char *conninfo, int wait_ms,
                          void (*on_lost)(void *arg, const char *why), void *arg, struct err *e);
/* Waits at most wait_ms for what is queued; the callbacks of what isn't done by then get ERR_CANCELLED. The loop
 * must still exist. */
void store_close(struct store *s, int wait_ms);
bool store_connected(const struct store *s);
size_t store_queued(const struct store *s); /* requests not finished yet */

/* e is NULL when the write is durable (or was already). */
typedef void store_done(void *arg, const struct err *e);

/* --- searches --- */
struct search_row {
    int64_t id;
    enum search_state state;
    enum search_state paused_from; /* the state that `resume` goes back to */
    char *spec;                    /* YAML as it was sent */
    struct recipe recipe;          /* with all hashes; the rest of finetune and finish is the spec's to say */
    bool trained;                  /* a training job whose model is on record */
    bool has_profile;
    struct hash profile;
    struct metrics dense;
    uint32_t n_groups, *n_curve, n_points; /* as in struct msg_result */
    float *curve;
    uint8_t *table; /* (n_table) the latency table, or NULL */
    size_t n_table;
};
void search_row_release(struct search_row *r);

typedef void store_created(void *arg, int64_t id, const struct err *e);
/* training: the recipe's model is to be trained, which begins at once; else it is to be searched. */
void store_search_create(struct store *s, const char *name, const char *spec, const struct recipe *r, bool training,
                         store_created *fn, void *arg);
/* reason: for FAILED, else NULL. */
void store_search_state(struct store *s, int64_t id, enum search_state to, enum search_state paused_from,
                        const char *reason, store_done *fn, void *arg);
void store_profile(struct store *s, int64_t id, const struct msg_result *r, store_done *fn, void *arg);

/* --- candidates --- */
struct candidate_row {
    int64_t search;
    int32_t episode;
    int32_t budget; /* index into the search's budgets */
    enum cost_kind budget_kind;
    double budget_frac;
    uint32_t n_keep;
    int32_t *keep;
    struct cost cost; /* of the candidate; the dense network's is on record with the first one */
    struct cost dense;
    int32_t attempts;        /* highest attempt number given out: 0 none */
    int32_t exports;         /* likewise of EXPORT */
    int diverged;            /* of `attempts`, those whose training diverged */
    bool has_result, failed; /* failed: parked after its last attempt */
    struct metrics reward;
    bool has_final;    /* finalist with a test score */
    bool final_failed; /* finalist that was given up */
    bool has_model;    /* exported */
    struct hash model;
    bool has_timing, timing_failed; /* measured beside the dense network; could not be */
    double ratio, spread;
};
void candidate_row_release(struct candidate_row *r);
void store_candidate(struct store *s, const struct candidate_row *c, store_done *fn, void *arg);

/* An attempt begins; the lease must not be sent before this is durable. Each kind of task numbers its attempts on
 * its own. */
void store_attempt(struct store *s, const struct task_id *t, const char *worker, store_done *fn, void *arg);
/* It ends without a result: outcome is "lost", "failed", "cancelled", "handed back" or "diverged", which drops the
 * task's checkpoint. */
void store_attempt_end(struct store *s, const struct task_id *t, const char *outcome, const char *reason,
                       store_done *fn, void *arg);
/* The candidate can't be evaluated: no more attempts. */
void store_candidate_failed(struct store *s, int64_t search, int32_t episode, const char *reason, store_done *fn,
                            void *arg);
/* Result of EVALUATE (reward), FINAL and TRAIN (test, blob) or EXPORT (blob). Recorded at most once: a repeat is no
 * error. */
void store_result(struct store *s, const struct msg_result *r, const char *worker, store_done *fn, void *arg);
void store_snapshot(struct store *s, int64_t search, int32_t episode, const void *bytes, size_t n, store_done *fn,
                    void *arg);

/* --- what the clock says --- */
struct measured_by {
    const char *worker, *cpu, *kernels, *precision;
};
/* Result of MEASURE, of TIME. Likewise. `t`: r->table read; rounds (n): what each group would be rounded to by it. */
void store_table(struct store *s, const struct msg_result *r, const struct measured_by *by, const struct latency *t,
                 const int32_t *rounds, size_t n, store_done *fn, void *arg);
void store_times(struct store *s, const struct msg_result *r, const struct measured_by *by, store_done *fn, void *arg);
/* The candidate can't be timed: no more attempts. */
void store_time_failed(struct store *s, int64_t search, int32_t episode, const char *reason, store_done *fn, void *arg);
typedef void store_bytes(void *arg, const void *bytes, size_t n, const struct err *e);
/* The latency table that a former search measured of the same model on such a machine: it is this search's from now on. n 0: there
 * is none. The worker's name plays no part. */
void store_table_find(struct store *s, int64_t search, const struct measured_by *by, store_bytes *fn, void *arg);

/* --- finalists and long trainings --- */
void store_finalists(struct store *s, int64_t search, const int32_t *episodes, size_t n, store_done *fn, void *arg);
/* The finalist can't be finished: no more attempts. */
void store_final_failed(struct store *s, int64_t search, int32_t episode, const char *reason, store_done *fn,
                        void *arg);
/* A point of the task's curve, and its checkpoint in place of the one before, whose blob goes with the last that
 * refers to it. ERR_STATE when the attempt doesn't count any more, ERR_NOTFOUND when the blob isn't there. */
void store_checkpoint(struct store *s, const struct msg_checkpoint *k, const char *worker, store_done *fn,
                      void *arg);
typedef void store_model(void *arg, const struct hash *model, const struct err *e);
/* What a training job has made: ERR_STATE while there is none, ERR_NOTFOUND when there will never be any. */
void store_training_model(struct store *s, int64_t search, store_model *fn, void *arg);

/* What is on record of a task's attempts. */
struct task_row {
    struct task_id highest; /* with the highest number given out */
    int diverged;           /* attempts whose training diverged */
    int32_t epoch;          /* of the checkpoint, 0: there is none */
    struct hash checkpoint;
};

/* Everything about searches that aren't over, for a coordinator that starts: blocking, for main only. Each row is
 * the callback's to keep or release; snapshots: the latest of each search (bytes borrowed); tasks: those other than
 * EVALUATE that were ever given out. */
struct store_loader {
    void *arg;
    void (*search)(void *arg, struct search_row *r);
    void (*candidate)(void *arg, struct candidate_row *r); /* in episode order, after its search */
    void (*snapshot)(void *arg, int64_t search, int32_t episode, const void *bytes, size_t n);
    void (*task)(void *arg, const struct task_row *r);
};
MUST_CHECK int store_load(struct store *s, const struct store_loader *l, struct err *e);

/* What an export takes, of any search, over or not: both rows, borrowed during the call. ERR_NOTFOUND: no such
 * episode. */
typedef void store_exportable(void *arg, const struct search_row *s, const struct candidate_row *c,
                              const struct err *e);
void store_export_read(struct store *s, int64_t search, int32_t episode, store_exportable *fn, void *arg);

/* --- blobs: content-addressed, in chunks of PROTO_CHUNK_BYTES; complete when all are there and the SHA-256 is
 * right --- */
typedef void store_piece(void *arg, const void *bytes, size_t n, uint64_t total, const struct err *e);
void store_blob_read(struct store *s, const struct hash *h, uint64_t offset, uint32_t length, store_piece *fn,
                     void *arg);
typedef void store_has(void *arg, bool complete, uint64_t size,
                       const struct err *e); /* size: 0 when not complete */
void store_blob_has(struct store *s, const struct hash *h, store_has *fn, void *arg);
/* Pieces lie on chunk borders and all but the last are whole chunks; bytes are copied. `fn` runs when it is
 * durable. */
void store_blob_write(struct store *s, const struct hash *h, uint64_t offset, uint64_t total, const void *bytes,
                      size_t n, store_done *fn, void *arg);
/* After the last piece: checks sum and size; ERR_INVALID and the pieces dropped when they don't fit the name,
 * ERR_STATE (pieces kept) when some are missing. */
void store_blob_seal(struct store *s, const struct hash *h, uint64_t total, store_done *fn, void *arg);

/*
 * --- reports: one JSON text each, made by PostgreSQL ---
 * Accuracies are fractions, times ISO 8601 in UTC; what isn't known yet is null, never left out.
 *
 * SEARCHES    [{id name job state created finished proposed evaluated best epochs_done epochs}], newest first; job:
 *              "search" or "training"; best: the highest top1, of a training the test set's; epochs: a training's
 * STATUS      {id name job state paused_from reason created started finished spec (YAML) proposed evaluated failed
 *              dense: {n top1 top5 macs params bytes latency_ms},
 *              best: [{budget episode top1 top5 macs_ratio params_ratio bytes_ratio latency_ratio}] in the budgets' order,
 *              seconds (mean of an evaluation) per_minute (over the last 50) finals (finalists done)
 *              finalists: [{episode epoch epochs state ("waiting" "running" "done" "failed") reason timing}],
 *              table: {worker cpu kernels precision threads batch dense_ms error_median error_worst seconds inherited rounds} or null,
 *              epochs (of a finalist or the training; null where the spec says steps) epochs_done (the training's)
 *              test: {n top1 top5 loss} (the training's)}
 * CANDIDATES  [{episode budget kept top1 top5 macs macs_ratio params bytes latency_ms latency_ratio stage}], those
 * with a result, by episode; budget: "flops 0.5"; kept: array; stage: "proxy", and a second one of stage "final" a
 * finalist PARETO      the same objects (proxy), the front alone, ascending cost; x is "flops", "params", "bytes" or "latency"
 * CANDIDATE   the same keys in one object, and params_ratio bytes_ratio state ("waiting" "done" "failed") reason n
 * loss seconds worker, attempts: [{kind attempt worker started ended outcome reason}], final: {n top1 top5 loss},
 * final_failed (the reason), model: hash, timing: {batch ms dense_ms ratio spread other: {batch ms dense_ms ratio spread}
 * within worker cpu kernels threads precision failed} or null; within: null without a latency budget
 * DIGEST      {digest episodes}: SHA-256 over (episode, keep, top1, top5) of all results in episode order, and
 * their number CURVE       [{episode epoch lr loss top1 seconds worker recorded}], by episode and epoch; episode
 * null: a training job's; with an episode >= 0 that finalist's alone
 */
enum report {
    REPORT_SEARCHES,
    REPORT_STATUS,
    REPORT_CANDIDATES,
    REPORT_PARETO,
    REPORT_CANDIDATE,
    REPORT_DIGEST,
    REPORT_CURVE,
};
typedef void store_report_fn(void *arg, const char *json, size_t n,
                             const struct err *e); /* ERR_NOTFOUND: no such search or episode */
void store_report(struct store *s, enum report what, int64_t search, int32_t episode, const char *x,
                  store_report_fn *fn, void *arg);

#endif
