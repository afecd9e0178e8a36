/*
 * submit - a search is asked for: everything that can be wrong is found before its row exists.
 */
#ifndef COORDINATOR_SUBMIT_H
#define COORDINATOR_SUBMIT_H

#include "coordinator/scheduler.h"
#include "coordinator/service.h"

/* As service_submit says; the order is copied. */
void submit(struct scheduler *sch, const struct order *o, service_reply *fn, void *arg);

#endif
