/*
 * cli - the operator's command line: what every verb gets, and the verbs. Each lies in a file of its own and
 * answers 0, 1 when it only printed its help, or an error whose one line main.c prints.
 */
#ifndef COORDINATOR_CLI_CLI_H
#define COORDINATOR_CLI_CLI_H

#include <stdbool.h>

#include "common/base/err.h"

struct cli {
    const char *url; /* --url, or NULL */
    const char *dir; /* --dir, or NULL */
    bool usage;      /* the error is in how it was called: exit code 2 */
};

typedef int verb_fn(struct cli *c, int argc, char **argv, struct err *e); /* argv: what follows the verb */

verb_fn verb_up, verb_down;
verb_fn verb_start, verb_list, verb_status, verb_watch, verb_pause, verb_resume, verb_cancel;
verb_fn verb_pareto, verb_candidates, verb_show, verb_curve, verb_digest, verb_export;
verb_fn verb_train, verb_model, verb_score, verb_workers;

/* Shows the search or training until it ends; what `search start --watch`, `search watch` and `train --job` do.
 * ERR_STATE when it failed or was cancelled. */
MUST_CHECK int watch_search(const struct cli *c, long long id, struct err *e);

#endif
