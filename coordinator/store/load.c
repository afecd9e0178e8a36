#include <stdlib.h>

#include "common/base/mem.h"
#include "coordinator/store/link.h"
#include "coordinator/store/rows.h"
#include "coordinator/store/sql.h"
#include "coordinator/store/store_int.h"

/* What is on record about searches that aren't over is read over a connection of its own, at the start of the
 * program. */

static int load_candidates(PGconn *c, const char *id, const struct store_loader *l, struct err *e)
{
    static const char sql[] = "select * from espalier.candidate_rows where search = $1 order by episode";
    PGresult *res = sql_query(c, sql, 1, &id, false, e);
    int rc = res ? 0 : e->code;
    for (struct row r = {.res = res}; rc == 0 && r.row < PQntuples(res); r.row++, r.column = 0) {
        struct candidate_row k;
        if ((rc = row_candidate(&r, &k, e)) == 0)
            l->candidate(l->arg, &k);
        else
            candidate_row_release(&k);
    }
    PQclear(res);
    return rc;
}

static int load_tasks(PGconn *c, const char *id, const struct store_loader *l, struct err *e)
{
    static const char sql[] = "select * from espalier.task_rows where search = $1 and kind <> 'evaluate'"
                              " order by kind, episode";
    PGresult *res = sql_query(c, sql, 1, &id, false, e);
    int rc = res ? 0 : e->code;
    for (struct row r = {.res = res}; rc == 0 && r.row < PQntuples(res); r.row++, r.column = 0) {
        struct task_row t;
        if ((rc = row_task(&r, &t, e)) == 0)
            l->task(l->arg, &t);
    }
    PQclear(res);
    return rc;
}

static int load_snapshot(PGconn *c, const char *id, const struct store_loader *l, struct err *e)
{
    static const char sql[] = "select bytes, episode::text from espalier.snapshots where search = $1";
    PGresult *res = sql_query(c, sql, 1, &id, true, e); /* a text is the same in binary */
    if (!res)
        return e->code;
    if (PQntuples(res) == 1)
        l->snapshot(l->arg, strtoll(id, NULL, 10), atoi(PQgetvalue(res, 0, 1)), PQgetvalue(res, 0, 0),
                    (size_t)PQgetlength(res, 0, 0));
    PQclear(res);
    return 0;
}

static int load_search(PGconn *c, struct row *r, const struct store_loader *l, struct err *e)
{
    struct search_row s;
    const char *id = PQgetvalue(r->res, r->row, 0);
    int rc = row_search(r, &s, e);
    if (rc < 0) {
        search_row_release(&s);
        return err_wrap(e, "search %s", id);
    }
    l->search(l->arg, &s);
    if ((rc = load_candidates(c, id, l, e)) < 0 || (rc = load_tasks(c, id, l, e)) < 0 ||
        (rc = load_snapshot(c, id, l, e)) < 0)
        return err_wrap(e, "search %s", id);
    return 0;
}

int store_load(struct store *s, const struct store_loader *l, struct err *e)
{
    static const char sql[] = "select r.* from espalier.search_rows r join espalier.searches s using (id)"
                              " where s.finished is null order by r.id";
    PGconn *c = link_dial(s->conninfo, e);
    if (!c)
        return e->code;
    PGresult *res = sql_query(c, sql, 0, NULL, false, e);
    int rc = res ? 0 : e->code;
    for (struct row r = {.res = res}; rc == 0 && r.row < PQntuples(res); r.row++, r.column = 0)
        rc = load_search(c, &r, l, e);
    PQclear(res);
    PQfinish(c);
    return rc;
}

/* ---- one candidate, for an export */

struct export_read {
    int64_t search;
    int32_t episode;
    store_exportable *fn;
    void *arg;
};

static void answer_export(struct request *q, const PGresult *res, const struct err *failed)
{
    struct export_read *x = q->arg;
    struct search_row s = {0};
    struct candidate_row c = {0};
    struct row r = {.res = res};
    struct err e;
    int rc = 0;
    if (failed)
        rc = (e = *failed).code;
    else if (PQntuples(res) == 0)
        rc =
            err_set(&e, ERR_NOTFOUND, "search %" PRId64 ", episode %" PRId32 " isn't known", x->search, x->episode);
    else if ((rc = row_search(&r, &s, &e)) == 0)
        rc = row_candidate(&r, &c, &e);
    if (rc < 0)
        x->fn(x->arg, NULL, NULL, &e);
    else
        x->fn(x->arg, &s, &c, NULL);
    search_row_release(&s);
    candidate_row_release(&c);
    free(x);
}

void store_export_read(struct store *s, int64_t search, int32_t episode, store_exportable *fn, void *arg)
{
    static const struct statement st = {
        .name = "export_read",
        .sql = "select s.*, c.* from espalier.search_rows s join espalier.candidate_rows c on c.search = s.id"
               " where s.id = $1 and c.episode = $2"};
    struct export_read *x = xmalloc(sizeof(*x));
    *x = (struct export_read){search, episode, fn, arg};
    struct request *q = request_new(&st, answer_export, NULL, x);
    request_int(q, search);
    request_int(q, episode);
    pipeline_send(s->bulk, q);
}
