#include "coordinator/cli/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/cli/args.h"

int format_parse(struct cli *c, const char *name, enum format last, enum format *f, struct err *e)
{
    static const char *const names[] = {
        [FORMAT_TABLE] = "table", [FORMAT_JSON] = "json", [FORMAT_CSV] = "csv", [FORMAT_SVG] = "svg"};
    static const char *const lists[] = {[FORMAT_TABLE] = "table",
                                        [FORMAT_JSON] = "table or json",
                                        [FORMAT_CSV] = "table, csv or json",
                                        [FORMAT_SVG] = "table, csv, json or svg"};
    if (!name)
        return 0;
    for (int i = 0; i <= (int)last; i++)
        if (strcmp(names[i], name) == 0) {
            *f = (enum format)i;
            return 0;
        }
    return args_wrong(c, e, "--format \"%s\": must be %s", name, lists[last]);
}

static bool put(const json_t *j)
{
    char *s = json_dumps(j, JSON_REAL_PRECISION(15)); /* 0.715, not 0.71499999999999997 */
    bool ok = s && fputs(s, stdout) >= 0;
    free(s);
    return ok;
}

int format_json(const json_t *j, struct err *e)
{
    bool ok = true;
    size_t n = json_array_size(j);
    if (json_is_array(j) && n > 0) {
        for (size_t i = 0; ok && i < n; i++)
            ok = fputs(i ? ",\n " : "[", stdout) >= 0 && put(json_array_get(j, i));
        ok = ok && puts("]") >= 0;
    } else {
        ok = put(j) && putchar('\n') == '\n';
    }
    return ok ? 0 : err_set(e, ERR_IO, "could not write to standard output");
}

static void csv_value(const json_t *v)
{
    if (json_is_string(v)) {
        const char *s = json_string_value(v);
        bool quote = strpbrk(s, ",\"\r\n") != NULL;
        if (quote)
            putchar('"');
        for (; *s; s++)
            fputs(*s == '"' ? "\"\"" : (char[]){*s, 0}, stdout);
        if (quote)
            putchar('"');
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                putchar(' ');
            csv_value(json_array_get(v, i));
        }
    } else if (v && !json_is_null(v)) {
        char *s = json_dumps(v, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        fputs(s ? s : "", stdout);
        free(s);
    }
}

void format_csv(const json_t *objects, const char *const *keys)
{
    size_t i;
    json_t *o;
    for (const char *const *k = keys; *k; k++)
        printf("%s%s", k == keys ? "" : ",", *k);
    putchar('\n');
    json_array_foreach(objects, i, o)
    {
        for (const char *const *k = keys; *k; k++) {
            if (k != keys)
                putchar(',');
            csv_value(json_object_get(o, *k));
        }
        putchar('\n');
    }
}

double field_number(const json_t *object, const char *key, double otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

const char *field_text(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}
