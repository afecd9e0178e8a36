#include "coordinator/store/writer.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/store/link.h"
#include "coordinator/store/schema.h"
#include "coordinator/store/sql.h"

#define TRY_AGAIN_NS (200 * NS_PER_MS)

/* A server that isn't up yet is worth waiting for; a wrong password isn't. */
static bool worth_waiting(const char *conninfo)
{
    PGPing ping = link_ping(conninfo);
    return ping == PQPING_REJECT || ping == PQPING_NO_RESPONSE;
}

static PGconn *dial(const char *conninfo, int64_t until_ns, struct err *e)
{
    bool said = false;
    for (;;) {
        PGconn *c = link_dial(conninfo, e);
        if (c || clock_mono_ns() >= until_ns || !worth_waiting(conninfo))
            return c;
        if (!said)
            log_info("database", "waiting reason=\"%s\"", e->text);
        said = true;
        clock_sleep_ns(TRY_AGAIN_NS);
    }
}

static void say_who_writes(PGconn *c)
{
    static const char sql[] = "select host, pid, since from espalier.coordinator";
    struct err e;
    PGresult *res = sql_query(c, sql, 0, NULL, false, &e);
    if (res && PQntuples(res) == 1)
        log_info("standby", "writer_host=%s writer_pid=%s since=\"%s\"", PQgetvalue(res, 0, 0),
                 PQgetvalue(res, 0, 1), PQgetvalue(res, 0, 2));
    else
        log_info("standby", "another coordinator is setting up the database");
    PQclear(res);
}

/* 1 when this session has the lock now, 0 when another has it. */
static int try_lock(PGconn *c, struct err *e)
{
    PGresult *res = sql_query(c, "select pg_try_advisory_lock(" WRITER_LOCK ")", 0, NULL, false, e);
    if (!res)
        return e->code;
    int got = PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);
    return got;
}

static int wait_for_lock(PGconn *c, int64_t until_ns, struct err *e)
{
    bool said = false;
    for (;;) {
        int rc = try_lock(c, e);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (!said)
            say_who_writes(c);
        said = true;
        if (clock_mono_ns() >= until_ns)
            return err_set(e, ERR_TIMEOUT, "another coordinator is the writer of this database");
        clock_sleep_ns(TRY_AGAIN_NS);
    }
}

static int take_over(PGconn *c, int64_t *epoch, struct err *e)
{
    char host[HOST_NAME_MAX + 1] = "", pid[16];
    gethostname(host, sizeof(host) - 1);
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    const char *args[] = {host, pid};
    PGresult *res = sql_query(c, "select espalier.take_over($1, $2)", 2, args, false, e);
    if (!res)
        return err_wrap(e, "could not become the writer");
    *epoch = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
    PQclear(res);
    return 0;
}

static int set_up(PGconn *c, int64_t until_ns, int64_t *epoch, struct err *e)
{
    int rc;
    if (PQserverVersion(c) < 140000)
        return err_set(e, ERR_UNSUPPORTED, "PostgreSQL %d is too old: 14 or later is needed",
                       PQserverVersion(c) / 10000);
    if ((rc = sql_script(c, "set synchronous_commit = on; set statement_timeout = '300s'", e)) < 0 ||
        (rc = wait_for_lock(c, until_ns, e)) < 0 || (rc = schema_migrate(c, e)) < 0 ||
        (rc = take_over(c, epoch, e)) < 0)
        return rc;
    return sql_script(c, "select espalier.drop_leftovers()", e);
}

PGconn *writer_begin(const char *conninfo, int64_t until_ns, int64_t *epoch, struct err *e)
{
    PGconn *c = dial(conninfo, until_ns, e);
    if (c && set_up(c, until_ns, epoch, e) < 0) {
        PQfinish(c);
        c = NULL;
    }
    return c;
}
