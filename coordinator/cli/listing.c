#include "coordinator/cli/listing.h"

#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"

int listing(struct cli *c, const char *synopsis, const char *purpose, const char *path,
            void (*print)(const json_t *value), int argc, char **argv, struct err *e)
{
    enum format format = FORMAT_TABLE;
    const char *name = NULL;
    const struct arg args[] = {{"--format", ARG_TEXT, "table|json", "how (table)", &name, 0, 0}, {0}};
    const struct usage u = {synopsis, purpose, args, 0, 0};
    struct client *cl = NULL;
    json_t *value = NULL;
    int rc = args_parse(c, &u, argc, argv, NULL, e);
    if (rc == 0)
        rc = format_parse(c, name, FORMAT_JSON, &format, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = client_get(cl, &value, e, "%s", path);
    if (rc == 0 && format == FORMAT_JSON)
        rc = format_json(value, e);
    else if (rc == 0)
        print(value);
    json_decref(value);
    client_close(cl);
    return rc;
}
