/*
 * rows - rows of the database as the structs of store.h, column after column, from results in text format.
 */
#ifndef COORDINATOR_STORE_ROWS_H
#define COORDINATOR_STORE_ROWS_H

#include <libpq-fe.h>

#include "coordinator/store/store.h"

struct row { /* where the next column is read */
    const PGresult *res;
    int row, column;
};

int64_t row_int(struct row *r); /* 0 for null, like the others */
double row_real(struct row *r);
bool row_bool(struct row *r);

/* All columns of espalier.search_rows, candidate_rows and task_rows. The caller releases `to`, also after an error:
 * ERR_UNSUPPORTED, a name that this program doesn't know. */
MUST_CHECK int row_search(struct row *r, struct search_row *to, struct err *e);
MUST_CHECK int row_candidate(struct row *r, struct candidate_row *to, struct err *e);
MUST_CHECK int row_task(struct row *r, struct task_row *to, struct err *e);

#endif
