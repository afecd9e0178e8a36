/* `espalier score`: the worker's program does it, on this machine; its arguments go through as they are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/process.h"

int verb_score(struct cli *c, int argc, char **argv, struct err *e)
{
    char *program = NULL, name[] = "score";
    int rc = process_find("espalier-worker", &program, e);
    (void)c;
    if (rc < 0)
        return rc;
    char **args = xcalloc((size_t)argc + 3, sizeof(*args));
    args[0] = program;
    args[1] = name;
    memcpy(args + 2, argv, (size_t)argc * sizeof(*args));
    execv(program, args);
    rc = err_set(e, ERR_IO, "could not start \"%s\": %s", program, strerror(errno));
    free(args);
    free(program);
    return rc;
}
