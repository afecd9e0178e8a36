#include "coordinator/store/store_int.h"

enum { SEARCH = 1, EPISODE = 2, AXIS = 4 };

static const struct {
    struct statement st;
    int takes;
} reports[] = {
    [REPORT_SEARCHES] = {{.name = "report_searches", .sql = "select espalier.report_searches()"}, 0},
    [REPORT_STATUS] = {{.name = "report_status", .sql = "select espalier.report_status($1)"}, SEARCH},
    [REPORT_CANDIDATES] = {{.name = "report_candidates", .sql = "select espalier.report_candidates($1)"}, SEARCH},
    [REPORT_PARETO] = {{.name = "report_pareto", .sql = "select espalier.report_pareto($1,$2)"}, SEARCH | AXIS},
    [REPORT_CANDIDATE] = {{.name = "report_candidate", .sql = "select espalier.report_candidate($1,$2)"},
                          SEARCH | EPISODE},
    [REPORT_DIGEST] = {{.name = "report_digest", .sql = "select espalier.report_digest($1)"}, SEARCH},
    [REPORT_CURVE] = {{.name = "report_curve", .sql = "select espalier.report_curve($1,nullif($2,-1))"},
                      SEARCH | EPISODE},
};

static void answer_report(struct request *r, const PGresult *res, const struct err *e)
{
    store_report_fn *fn = (store_report_fn *)r->fn;
    if (e)
        fn(r->arg, NULL, 0, e);
    else
        fn(r->arg, PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0), NULL);
}

void store_report(struct store *s, enum report what, int64_t search, int32_t episode, const char *x,
                  store_report_fn *fn, void *arg)
{
    if ((unsigned)what >= sizeof(reports) / sizeof(reports[0]))
        BUG("report %d", (int)what);
    struct request *q = request_new(&reports[what].st, answer_report, (void (*)(void))fn, arg);
    if (reports[what].takes & SEARCH)
        request_int(q, search);
    if (reports[what].takes & EPISODE)
        request_int(q, episode);
    if (reports[what].takes & AXIS)
        request_text(q, x);
    pipeline_send(s->bulk, q);
}
