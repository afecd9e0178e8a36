#include "coordinator/store/sql.h"

#include <string.h>

static const struct {
    const char *state; /* SQLSTATE, or the class that it begins with */
    enum fate fate;
    enum err_code code;
} states[] = {
    {"ES001", FATE_REFUSED, ERR_STATE},   {"ES002", FATE_REFUSED, ERR_NOTFOUND},
    {"ES003", FATE_REFUSED, ERR_INVALID}, {"ES009", FATE_FENCED, ERR_STATE},
    {"ES010", FATE_LOST, ERR_STATE}, /* the writer's lock isn't to be had: connect again later */
    {"25006", FATE_LOST, ERR_DB},    /* read-only: this server isn't the primary any more */
    {"57014", FATE_AGAIN, ERR_TIMEOUT},   {"08", FATE_LOST, ERR_DB},
    {"22", FATE_REFUSED, ERR_INVALID},    {"23", FATE_REFUSED, ERR_INVALID},
    {"40", FATE_AGAIN, ERR_DB}, /* deadlock, serialization */
    {"53", FATE_AGAIN, ERR_DB}, /* disk full, out of memory, too many connections */
    {"55", FATE_AGAIN, ERR_DB}, /* lock not available */
    {"57", FATE_AGAIN, ERR_DB},           {"58", FATE_AGAIN, ERR_DB}, /* the server's I/O */
    {"XX", FATE_AGAIN, ERR_DB},
};

static const char *field(const PGresult *res, int code)
{
    const char *s = PQresultErrorField(res, code);
    return s ? s : "";
}

/* libpq's own messages end in a newline and may have several lines. */
static int set_text(struct err *e, enum err_code code, const char *text)
{
    size_t n = strcspn(text, "\n");
    return err_set(e, code, "%.*s", (int)(n > 400 ? 400 : n), text);
}

enum fate sql_fate(const PGresult *res, struct err *e)
{
    ExecStatusType st = PQresultStatus(res);
    if (st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK)
        return FATE_OK;
    const char *state = field(res, PG_DIAG_SQLSTATE), *severity = field(res, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!*state) {
        const char *text = res ? PQresultErrorMessage(res) : "";
        set_text(e, ERR_DB, *text ? text : "connection to the database lost");
        return FATE_LOST;
    }
    const char *text = field(res, PG_DIAG_MESSAGE_PRIMARY);
    if (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0) {
        set_text(e, ERR_DB, text);
        return FATE_LOST;
    }
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        if (strncmp(state, states[i].state, strlen(states[i].state)) == 0) {
            set_text(e, states[i].code, text);
            return states[i].fate;
        }
    err_set(e, ERR_DB, "%.300s (%s)", text, state);
    return FATE_REFUSED;
}

static PGresult *checked(PGconn *c, PGresult *res, struct err *e)
{
    if (sql_fate(res, e) == FATE_OK)
        return res;
    if (!res)
        set_text(e, ERR_DB, PQerrorMessage(c));
    PQclear(res);
    return NULL;
}

PGresult *sql_query(PGconn *c, const char *sql, int n, const char *const *values, bool binary, struct err *e)
{
    return checked(c, PQexecParams(c, sql, n, NULL, values, NULL, NULL, binary), e);
}

int sql_script(PGconn *c, const char *sql, struct err *e)
{
    PGresult *res = checked(c, PQexec(c, sql), e);
    PQclear(res);
    return res ? 0 : e->code;
}
