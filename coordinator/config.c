#include "coordinator/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER, FLAG };

#define INIT_TEXT(v)   .text = v
#define INIT_NUMBER(v) .number = v
#define INIT_FLAG(v)   .number = v

static const struct option_row {
    enum kind kind;
    size_t at; /* of the field in struct config */
    const char *option, *arg, *help;
    const char *text; /* defaults */
    int number;
    int least, most;
} rows[] = {
#define ROW(kind, field, option, arg, init, lo, hi, help)                                                          \
    {kind, offsetof(struct config, field), option, arg, help, INIT_##kind(init), .least = (lo), .most = (hi)},
    CONFIG_TABLE(ROW)
#undef ROW
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void *field(struct config *c, const struct option_row *r)
{
    return (char *)c + r->at;
}

static void set_text(struct config *c, const struct option_row *r, const char *v)
{
    memcpy(field(c, r), &v, sizeof(v));
}

static void set_defaults(struct config *c)
{
    memset(c, 0, sizeof(*c));
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].kind == TEXT)
            set_text(c, &rows[i], rows[i].text);
        else if (rows[i].kind == NUMBER)
            *(int *)field(c, &rows[i]) = rows[i].number;
    }
}

static int parse_number(const char *s, const char *what, int least, int most, int *out, struct err *e)
{
    char *end;
    errno = 0;
    long v = strtol(s, &end, 10);
    if (*s == '\0' || *end != '\0' || errno != 0 || v < least || v > most)
        return err_set(e, ERR_INVALID, "%s \"%s\" isn't a number from %d to %d", what, s, least, most);
    *out = (int)v;
    return 0;
}

static int set(struct config *c, const struct option_row *r, const char *v, struct err *e)
{
    if (r->kind == FLAG)
        *(bool *)field(c, r) = true;
    else if (r->kind == TEXT)
        set_text(c, r, v);
    else
        return parse_number(v, r->option, r->least, r->most, field(c, r), e);
    return 0;
}

/* "HOST:PORT", "[V6]:PORT"; host without brackets. */
static int split(const char *s, const char *what, char *host, size_t n, int *port, struct err *e)
{
    const char *colon = strrchr(s, ':'), *end = colon;
    bool bracket = s[0] == '[';
    if (bracket && colon && colon > s && colon[-1] == ']') {
        s++;
        end = colon - 1;
    }
    if (!colon || end <= s || (size_t)(end - s) >= n || (!bracket && memchr(s, ':', (size_t)(end - s))))
        return err_set(e, ERR_INVALID, "%s \"%s\" isn't HOST:PORT", what, s);
    memcpy(host, s, (size_t)(end - s));
    host[end - s] = '\0';
    *port = 0;
    return strcmp(colon + 1, "*") == 0 ? 0 : parse_number(colon + 1, "port", 0, 65535, port, e);
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int check_addresses(struct config *c, struct err *e)
{
    char host[64];
    int port, rc;
    if (strncmp(c->bind, "tcp://", 6) != 0)
        return err_set(e, ERR_INVALID, "--bind \"%s\" doesn't begin with tcp://", c->bind);
    if ((rc = split(c->bind + 6, "--bind", host, sizeof(host), &port, e)) < 0 ||
        (rc = split(c->http, "--http", c->http_host, sizeof(c->http_host), &c->http_port, e)) < 0)
        return rc;
    if (!is_loopback(host))
        return err_set(
            e, ERR_UNSUPPORTED,
            "--bind %s is off loopback: that needs keys for coordinator and workers, which aren't there yet",
            c->bind);
    if (!is_loopback(c->http_host))
        return err_set(e, ERR_UNSUPPORTED, "--http %s is off loopback: that needs a token, which isn't there yet",
                       c->http);
    char digits[12] = "*";
    if (port > 0)
        snprintf(digits, sizeof(digits), "%d", port);
    bool v6 = strchr(host, ':') != NULL, name = strcmp(host, "localhost") == 0;
    snprintf(c->endpoint, sizeof(c->endpoint), "tcp://%s%s%s:%s", v6 ? "[" : "", name ? "127.0.0.1" : host,
             v6 ? "]" : "", digits);
    return 0;
}

int config_parse(struct config *c, enum config_asks *asks, int argc, char **argv, struct err *e)
{
    set_defaults(c);
    *asks = CONFIG_RUN;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--version") == 0) {
            *asks = argv[i][2] == 'v' ? CONFIG_VERSION : CONFIG_HELP;
            return 0;
        }
        const struct option_row *r = rows, *end = rows + ROWS;
        size_t n = strcspn(argv[i], "=");
        while (r < end && (strlen(r->option) != n || strncmp(argv[i], r->option, n) != 0))
            r++;
        if (r == end || (r->kind == FLAG && argv[i][n] == '='))
            return err_set(e, ERR_INVALID, "unknown option \"%s\"", argv[i]);
        const char *v = argv[i][n] == '=' ? argv[i] + n + 1 : NULL;
        if (r->kind != FLAG && !v && !(v = argv[++i]))
            return err_set(e, ERR_INVALID, "%s needs %s", r->option, r->arg);
        int rc = set(c, r, v, e);
        if (rc < 0)
            return rc;
    }
    if (!c->db)
        return err_set(e, ERR_INVALID, "--db CONNINFO is needed");
    if (c->lease_seconds < 3 * c->beat_seconds)
        return err_set(e, ERR_INVALID, "--lease-seconds %d is less than three beats of %d s", c->lease_seconds,
                       c->beat_seconds);
    return check_addresses(c, e);
}

void config_help(FILE *f)
{
    fputs("usage: espalierd --db CONNINFO [option ...]\n\nThe coordinator: keeps the searches, hands work to "
          "workers, serves the HTTP "
          "API.\n\n",
          f);
    for (const struct option_row *r = rows; r < rows + ROWS; r++) {
        char left[40];
        snprintf(left, sizeof(left), "%s %s", r->option, r->arg ? r->arg : "");
        fprintf(f, "  %-24s %s", left, r->help);
        if (r->kind == NUMBER)
            fprintf(f, " (%d)", r->number);
        else if (r->text)
            fprintf(f, " (%s)", r->text);
        fputc('\n', f);
    }
    fputs("  --help                   this text\n  --version                the version\n", f);
}
