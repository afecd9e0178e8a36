/*
 * service - what the HTTP API may ask of the running coordinator. Replies come from the loop, at once or later;
 * exactly one a call.
 */
#ifndef COORDINATOR_SERVICE_H
#define COORDINATOR_SERVICE_H

#include "common/base/buf.h"
#include "coordinator/store/store.h"

struct service;
struct scheduler;

struct service *service_new(struct scheduler *sch); /* borrowed */
void service_free(struct service *s);

/* json is borrowed during the call; e is NULL on success. */
typedef void service_reply(void *arg, const char *json, const struct err *e);

struct order { /* what a search or a training is asked for with; all borrowed */
    const char *spec;
    size_t n_spec;
    struct hash model;
    const struct data_file *files; /* (n_files) the data files' names, hashes and sizes */
    int n_files;
    const struct hash *finetune_teacher, *finish_teacher; /* when the spec names one, else NULL */
};
/*
 * Starts a search or a training: parses the spec again, checks that all blobs are complete, that the ONNX file can
 * be cut and every budget be met, or that it can be trained, and that its teachers fit it. Replies {"id": 7}.
 */
void service_submit(struct service *s, const struct order *o, service_reply *fn, void *arg);

enum control { CONTROL_PAUSE, CONTROL_RESUME, CONTROL_CANCEL };
/* Replies {"id": 7, "state": "paused"}; ERR_STATE when it isn't possible now. */
void service_control(struct service *s, int64_t search, enum control what, service_reply *fn, void *arg);

/* {"hash": "...", "size": n} when the candidate's ONNX file is on record, else {"pending": true, "workers": n} and
 * a worker is asked to make it: ask again. ERR_STATE with the reason when the last attempt to make it failed. */
void service_export(struct service *s, int64_t search, int32_t episode, service_reply *fn, void *arg);

/* Appends a JSON array: name, cpu, kernels, threads, state, search, episode, kind, stage, done, total, evaluations,
 * per_minute, connected_s. */
void service_workers(struct service *s, struct buf *json);

/* Appends a JSON object with what only the live coordinator knows of a search: {"workers": n, "working": n,
 * "waiting": "why idle workers have nothing to do, or empty"}. */
void service_live(struct service *s, int64_t search, struct buf *json);

struct store *service_store(struct service *s);

#endif
