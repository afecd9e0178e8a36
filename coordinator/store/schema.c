#include "coordinator/store/schema.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/log.h"
#include "coordinator/store/sql.h"

struct script {
    const char *name; /* begins with its number */
    const char *sql;
};

/* Made from schema/ by schema.mk, in the order of their numbers. */
static const struct script scripts[] = {
#include "schema_scripts.inc"
};
#define SCRIPTS ((int)(sizeof(scripts) / sizeof(scripts[0])))

static const char prepare[] = "create schema if not exists espalier;"
                              "create table if not exists espalier.migrations ("
                              "    number integer primary key check (number > 0),"
                              "    name text not null,"
                              "    applied timestamptz not null default now())";

static int seen(PGconn *c, int *n, struct err *e)
{
    static const char sql[] = "select coalesce(max(number), 0) from espalier.migrations";
    PGresult *res = sql_query(c, sql, 0, NULL, false, e);
    if (!res)
        return e->code;
    *n = atoi(PQgetvalue(res, 0, 0));
    PQclear(res);
    return 0;
}

static int apply(PGconn *c, const struct script *s, int number, struct err *e)
{
    struct buf b = {0};
    if (atoi(s->name) != number)
        BUG("script %s isn't number %d", s->name, number);
    buf_text(&b, "begin;\n%s\ninsert into espalier.migrations (number, name) values (%d, '%s'); commit;", s->sql,
             number, s->name);
    int rc = sql_script(c, (const char *)b.p, e);
    buf_release(&b);
    if (rc < 0)
        return err_wrap(e, "schema %s", s->name);
    log_info("migrated", "schema=%s", s->name);
    return 0;
}

int schema_migrate(PGconn *c, struct err *e)
{
    int n = 0, rc;
    if ((rc = sql_script(c, prepare, e)) < 0 || (rc = seen(c, &n, e)) < 0)
        return err_wrap(e, "schema espalier");
    if (n > SCRIPTS)
        return err_set(e, ERR_UNSUPPORTED, "the database has schema %d, this program knows %d: it is older", n,
                       SCRIPTS);
    for (; n < SCRIPTS; n++)
        if ((rc = apply(c, &scripts[n], n + 1, e)) < 0)
            return rc;
    return 0;
}
