/*
 * limits - what a message may be at most; checked before anything is allocated.
 */
#ifndef PROTO_LIMITS_H
#define PROTO_LIMITS_H

#define PROTO_VERSION     4
#define PROTO_MAX_BYTES   (2 << 20) /* of one message: one ZeroMQ frame */
#define PROTO_MAX_DEPTH   6         /* nested arrays */
#define PROTO_MAX_GROUPS  4096      /* groups of a network */
#define PROTO_MAX_CURVE   262144    /* points of all sensitivity curves together */
#define PROTO_MAX_TEXT    400       /* bytes of a reason, a name, a stage */
#define PROTO_CHUNK_BYTES (1 << 20) /* of a blob in one CHUNK or PUT */
#define PROTO_MAX_TABLE   (1 << 20) /* bytes of a latency table */
#define PROTO_MAX_TIMES   2         /* batch sizes that a candidate is timed at */
#define PROTO_MAX_BATCH   4096      /* images */
#define PROTO_MAX_CLASSES (1 << 20) /* of a group: what a curve or a candidate may speak of */
#define PROTO_MAX_THREADS 4096      /* of a worker */
#define PROTO_MAX_WAIT_MS 86400000  /* beat_ms, lease_ms: a day */

/* Values of a message in all: the largest RESULT, and room for its other fields. */
#define PROTO_MAX_ELEMENTS (PROTO_MAX_CURVE + PROTO_MAX_GROUPS + 256)

#endif
