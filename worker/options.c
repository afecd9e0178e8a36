#include "worker/options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/version.h"
#include "proto/limits.h"
#include "worker/dealer.h"
#include "worker/train/pictures.h"

static const char usage[] =
    "usage: espalier-worker --connect tcp://HOST:PORT [options]\n"
    "       espalier-worker score FILE.onnx --data KIND:PATH [options]   (score --help says more)\n"
    "       espalier-worker train --model FILE.onnx -o OUT.onnx [options]   (train --help says more)\n"
    "\n"
    "Works for the coordinator at that address, one evaluation at a time, until it gets SIGTERM or SIGINT.\n"
    "\n"
    "  --connect ADDRESS   the coordinator; without keys only on this machine\n"
    "  --threads N         compute threads (default: all CPUs)\n"
    "  --cache DIR         where models and data are kept (default: $XDG_CACHE_HOME/espalier or "
    "~/.cache/espalier)\n"
    "  --data NAME=PATH    data sets of kind NAME lie in the folder PATH; can be given several times\n"
    "  --memory SIZE       for images that are kept decoded, such as 512M or 4G (default: 1G)\n"
    "  --name NAME         unique among the workers (default: HOST-PID)\n"
    "  -v, --verbose       log more\n"
    "  --help, --version\n";

int options_number(const char *what, const char *text, int least, int most, int *out, struct err *e)
{
    char *end;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (end == text || *end || errno || v < least || v > most)
        return err_set(e, ERR_INVALID, "%s \"%s\" isn't a whole number from %d to %d", what, text, least, most);
    *out = (int)v;
    return 0;
}

int options_bytes(const char *what, const char *text, uint64_t *out, struct err *e)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end & ~0x20) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if (*text < '0' || *text > '9' || errno || (*end && (!unit || end[1])) || v > (UINT64_MAX >> 1) >> shift)
        return err_set(e, ERR_INVALID, "%s \"%s\" isn't a number of bytes such as 512M or 4G", what, text);
    *out = (uint64_t)v << shift;
    return 0;
}

int options_data(const char *text, enum data_kind *kind, const char **path, struct err *e)
{
    const char *colon = strchr(text, ':');
    char name[RECIPE_NAME];
    snprintf(name, sizeof(name), "%.*s", colon ? (int)(colon - text) : (int)strlen(text), text);
    if (!data_kind_from_name(name, kind))
        return err_set(e, ERR_INVALID, "--data \"%s\": kinds are cifar10, cifar100, idx, images and synthetic", text);
    *path = colon && colon[1] ? colon + 1 : NULL;
    if (!*path && *kind != DATA_SYNTHETIC)
        return err_set(e, ERR_INVALID, "--data \"%s\" isn't KIND:PATH", text);
    return 0;
}

int options_unknown(char **argv, int opt, struct err *e)
{
    const char *arg = argv[optind - 1], one[] = {'-', (char)optopt, 0};
    const char *what = optopt && strncmp(arg, "--", 2) != 0 ? one : arg;
    return err_set(e, ERR_INVALID, opt == ':' ? "%s needs a value" : "%s isn't an option that is known", what);
}

int options_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < PROTO_MAX_THREADS ? n : PROTO_MAX_THREADS;
}

static void default_name(struct options *o)
{
    char host[RECIPE_NAME - 16] = "worker";
    if (gethostname(host, sizeof(host)) == 0)
        host[sizeof(host) - 1] = 0;
    snprintf(o->name, sizeof(o->name), "%s-%ld", host, (long)getpid());
}

static char *default_cache(void)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && *xdg == '/') /* a relative one is to be ignored, by the XDG specification */
        return xasprintf("%s/espalier", xdg);
    return xasprintf("%s/.cache/espalier", home && *home ? home : "/var/tmp");
}

static int set_name(struct options *o, const char *name, struct err *e)
{
    if (!*name || strlen(name) >= sizeof(o->name))
        return err_set(e, ERR_INVALID, "--name \"%s\" hasn't 1 to %zu bytes", name, sizeof(o->name) - 1);
    for (const char *p = name; *p; p++)
        if (*p <= ' ' || *p == 127)
            return err_set(e, ERR_INVALID, "--name \"%s\" isn't all printable ASCII without blanks", name);
    strcpy(o->name, name);
    return 0;
}

static int add_folder(struct options *o, const char *text, struct err *e)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text || !eq[1])
        return err_set(e, ERR_INVALID, "--data \"%s\" isn't NAME=PATH", text);
    if (o->n_folders == OPTIONS_MAX_FOLDERS)
        return err_set(e, ERR_LIMIT, "--data is given more than %d times", OPTIONS_MAX_FOLDERS);
    char *kind = xasprintf("%.*s", (int)(eq - text), text);
    enum data_kind known;
    if (!data_kind_from_name(kind, &known)) {
        free(kind);
        return err_set(e, ERR_INVALID, "--data \"%s\": kinds are cifar10, cifar100, idx and images", text);
    }
    o->folders[o->n_folders++] = (struct cache_folder){kind, eq + 1};
    return 0;
}

static int take(struct options *o, int opt, char **argv, struct err *e)
{
    switch (opt) {
    case 'c':
        o->connect = optarg;
        return dealer_check(optarg, e);
    case 'k':
        return err_set(e, ERR_UNSUPPORTED, "--key \"%s\": keys come with a later release", optarg);
    case 't':
        return options_number("--threads", optarg, 1, PROTO_MAX_THREADS, &o->threads, e);
    case 'C':
        free(o->cache);
        o->cache = xstrdup(optarg);
        return 0;
    case 'd':
        return add_folder(o, optarg, e);
    case 'M':
        return options_bytes("--memory", optarg, &o->memory, e);
    case 'n':
        return set_name(o, optarg, e);
    case 'v':
        o->verbose = true;
        return 0;
    case 'h':
        fputs(usage, stdout);
        return OPTIONS_DONE;
    case 'V':
        printf("espalier-worker %s, protocol %d\n", ESPALIER_VERSION, PROTO_VERSION);
        return OPTIONS_DONE;
    default:
        return options_unknown(argv, opt, e);
    }
}

int options_parse(struct options *o, int argc, char **argv, struct err *e)
{
    static const struct option known[] = {
        {"connect", required_argument, NULL, 'c'}, {"key", required_argument, NULL, 'k'},
        {"threads", required_argument, NULL, 't'}, {"cache", required_argument, NULL, 'C'},
        {"data", required_argument, NULL, 'd'},    {"name", required_argument, NULL, 'n'},
        {"memory", required_argument, NULL, 'M'},
        {"verbose", no_argument, NULL, 'v'},       {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},       {NULL, 0, NULL, 0},
    };
    *o = (struct options){.threads = options_cores(), .cache = default_cache(), .memory = PICTURES_MEMORY};
    default_name(o);
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, ":v", known, NULL)) != -1;) {
        int rc = take(o, opt, argv, e);
        if (rc != 0)
            return rc;
    }
    if (optind < argc)
        return err_set(e, ERR_INVALID, "\"%s\" isn't an option", argv[optind]);
    if (!o->connect)
        return err_set(e, ERR_INVALID, "--connect ADDRESS is missing (--help says more)");
    return OPTIONS_RUN;
}

void options_release(struct options *o)
{
    for (int i = 0; i < o->n_folders; i++)
        free((char *)o->folders[i].kind);
    free(o->cache);
    *o = (struct options){0};
}
