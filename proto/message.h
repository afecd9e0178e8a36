/*
 * message - what coordinator and workers say to each other; PROTOCOL.md has the grammar and what each message
 * means.
 *
 * Decoding is by schema, with limits.h, after a walk over the bytes that bounds depth and counts; a message that is
 * not exactly one of these is refused with one line that says why. Texts are copied; `keep`, `curve` and `bytes`
 * are owned by the message and freed by message_release, except where bytes are said to be borrowed.
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include "common/base/buf.h"
#include "proto/limits.h"
#include "proto/recipe.h"

enum task_kind {
    TASK_PROFILE,  /* compute the search's profile; episode is -1 */
    TASK_EVALUATE, /* score a candidate on the reward split */
    TASK_FINAL,    /* fine-tune a candidate as `finish` says, score it on the test set too, and export it */
    TASK_EXPORT,   /* make a candidate's ONNX file */
    TASK_TRAIN,    /* train the recipe's model as its `finish` says, score it on the test set; episode is -1 */
    TASK_MEASURE,  /* measure the model's latency table, with nothing else running on the machine; episode is -1 */
    TASK_TIME,     /* time a candidate beside the dense network, likewise */
    TASK_KINDS
};
const char *task_kind_name(enum task_kind k);
bool task_kind_dense(enum task_kind k); /* PROFILE, TRAIN, MEASURE: of the whole network; episode is -1, nothing is kept */
bool task_kind_quiet(enum task_kind k); /* MEASURE, TIME: its worker's machine has to do nothing else meanwhile */

struct task_id { /* one attempt at one task; what a lease is held for */
    enum task_kind kind;
    int64_t search;
    int32_t episode;
    int32_t attempt; /* from 1 */
};
bool task_id_equal(const struct task_id *a, const struct task_id *b);

struct metrics {           /* of a network on a set of images; n = 0: not measured */
    int32_t n, top1, top5; /* images; correct counts */
    double loss;           /* mean cross-entropy, nats, finite */
};

struct timing {          /* of a candidate at one batch size, on one thread */
    int32_t batch;
    double ms, dense_ms; /* medians, of the candidate and of the dense network */
    double ratio;        /* median of the pairs' ratios */
    double spread;       /* distance between their quartiles */
};

enum message_type {
    /* worker to coordinator */
    MSG_HELLO,  /* first on every connection */
    MSG_BEAT,   /* at least every beat_ms, idle or not */
    MSG_RESULT, /* repeated until acknowledged */
    MSG_FAILED, /* likewise */
    MSG_GET,    /* a piece of a blob, please */
    MSG_PUT,    /* a piece of a blob that the worker made */
    MSG_BYE,
    /* coordinator to worker */
    MSG_WELCOME,
    MSG_REFUSE, /* hello not accepted */
    MSG_WORK,
    MSG_ALIVE, /* answer to a beat */
    MSG_CHUNK, /* answer to GET */
    MSG_NOBLOB,
    MSG_STORED, /* answer to PUT: this much is durable */
    MSG_ACK,    /* the result is on record, or will never be wanted: forget it */
    MSG_CANCEL, /* stop working on it */
    /* later than the others: their numbers never change */
    MSG_CHECKPOINT, /* worker to coordinator: an epoch of FINAL or TRAIN is done */
    MSG_KEPT,       /* answer to it: durable */
    MSG_TYPES
};
const char *message_name(enum message_type t);

struct msg_hello {
    uint32_t version;
    char name[RECIPE_NAME];        /* HOST-PID by default, unique among the connected */
    char cpu[RECIPE_NAME];         /* model name of the CPU */
    char kernels[2 * RECIPE_NAME]; /* what oneDNN and OpenBLAS chose: equal numbers need it equal */
    char host[RECIPE_NAME];        /* the same for all workers on one machine, and for no others */
    uint32_t threads;
    bool busy;           /* already working on `task` for this coordinator's database */
    struct task_id task; /* when busy */
};

struct msg_beat {
    bool busy;
    struct task_id task;
    char stage[RECIPE_NAME]; /* "fetch", "cut", "score" ... */
    uint64_t done, total;    /* in the stage's own unit */
};

struct msg_result {
    struct task_id task;
    double seconds;        /* wall time of the work, fetching not counted */
    struct metrics reward; /* PROFILE: the dense network; EVALUATE, FINAL: the candidate; n = 0 for TRAIN */
    struct metrics test;   /* FINAL, TRAIN only */
    bool has_blob;         /* PROFILE: the profile; FINAL, EXPORT, TRAIN: the ONNX file; PUT and STORED beforehand */
    struct hash blob;
    uint32_t n_groups; /* PROFILE only, else 0: groups of the network */
    uint32_t *n_curve; /* (n_groups): points of each group's curve = its classes + 1 */
    uint32_t n_points; /* sum of n_curve */
    float *curve; /* (n_points), group after group: relative error when k classes are kept, k = 0 ... classes */
    uint32_t n_table; /* MEASURE only, else 0 */
    uint8_t *table;   /* (n_table) common/model/latency.h says what it holds */
    uint32_t n_times; /* TIME only, else 0 */
    struct timing times[PROTO_MAX_TIMES]; /* batch 1, then the other */
};

struct msg_failed {
    struct task_id task;
    bool permanent; /* another attempt would fail likewise */
    bool diverged;  /* training's numbers went out of hand: worth one more attempt at a lower rate */
    char reason[PROTO_MAX_TEXT];
};

struct msg_get {
    struct hash hash;
    uint64_t offset;
    uint32_t length; /* 1 ... PROTO_CHUNK_BYTES */
};

struct msg_piece { /* PUT and CHUNK */
    struct hash hash;
    uint64_t offset, total;
    const uint8_t *bytes; /* borrowed from the frame when decoded, from the caller when encoded */
    uint32_t n;           /* at most PROTO_CHUNK_BYTES */
};

struct msg_welcome {
    uint32_t version;
    uint32_t beat_ms;  /* send a beat this often */
    uint32_t lease_ms; /* a worker that can't reach the coordinator this long stops working */
};

struct msg_about { /* what an exported file's metadata says of its network */
    char name[RECIPE_NAME];   /* of the search or training; "": nobody asks for a file */
    char budget[RECIPE_NAME]; /* "flops 0.5"; "" for TRAIN */
    struct metrics reward;    /* EXPORT: the candidate's recorded score; FINAL measures it itself */
    int64_t macs, params;     /* as recorded; 0 for TRAIN */
    int64_t dense_macs, dense_params;
};

struct msg_work {
    struct task_id task;
    struct recipe recipe;
    bool has_profile; /* not for PROFILE, TRAIN and MEASURE */
    struct hash profile;
    uint32_t n_keep;            /* groups; 0 for PROFILE, TRAIN and MEASURE */
    int32_t *keep;              /* (n_keep) classes kept, each >= 1 */
    double lr_scale;            /* of the recipe's learning rates: 1, less after a divergence */
    int32_t resume_epoch;       /* FINAL, TRAIN: epochs that `resume` holds; 0: from the beginning */
    struct hash resume;         /* the checkpoint's blob, when resume_epoch > 0 */
    struct msg_about about;     /* FINAL, EXPORT, TRAIN; empty for the others */
    int32_t batch;              /* TIME: the second batch size; else 0 */
};

struct msg_checkpoint { /* CHECKPOINT; KEPT has task and epoch alone */
    struct task_id task;
    int32_t epoch;     /* 1 ... */
    struct hash blob;  /* the state after it, PUT and STORED beforehand */
    double lr, loss;   /* of the epoch: last rate, mean loss */
    double top1;       /* fraction of its augmented images that were right when they were trained on */
    double seconds;
};

struct msg_blob { /* NOBLOB, STORED */
    struct hash hash;
    uint64_t offset;             /* STORED: bytes on record so far */
    char reason[PROTO_MAX_TEXT]; /* NOBLOB */
};

struct msg_task { /* ACK, CANCEL */
    struct task_id task;
    char reason[PROTO_MAX_TEXT]; /* CANCEL; ACK: "" when recorded, else why it isn't wanted */
};

struct message {
    enum message_type type;
    union {
        struct msg_hello hello;
        struct msg_beat beat;
        struct msg_result result;
        struct msg_failed failed;
        struct msg_get get;
        struct msg_piece piece;
        struct msg_welcome welcome;
        struct msg_task task;
        struct msg_work work;
        struct msg_checkpoint checkpoint;
        struct msg_blob blob;
        char reason[PROTO_MAX_TEXT]; /* REFUSE, BYE */
    } u;
};

/* Appends the message's bytes to `out` (one ZeroMQ frame). A message that breaks a limit is BUG(): ours are right.
 */
void message_encode(const struct message *m, struct buf *out);

/* ERR_INVALID with the reason; `m` is zeroed then. */
MUST_CHECK int message_decode(const void *frame, size_t n, struct message *m, struct err *e);
void message_release(struct message *m);

#endif
