/*
 * submit - a search is asked for: everything that can be wrong is found before its row exists.
 */
#ifndef COORDINATOR_SUBMIT_H
#define COORDINATOR_SUBMIT_H

#include "coordinator/scheduler.h"
#include "coordinator/service.h"

/* As service_submit says; spec and files are copied. */
void submit(struct scheduler *sch, const char *spec, size_t n_spec, const struct hash *model,
            const struct data_file *files, int n_files, service_reply *fn, void *arg);

#endif
