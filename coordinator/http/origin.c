#include "coordinator/http/origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* Nothing, or ":" and digits. */
static bool port_or_end(const char *s)
{
    return !*s || (s[0] == ':' && s[1] && strspn(s + 1, "0123456789") == strlen(s + 1));
}

bool origin_host_is_local(const char *host)
{
    static const char *const names[] = {"localhost", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        size_t n = strlen(names[i]);
        if (strncasecmp(host, names[i], n) == 0)
            return port_or_end(host + n);
    }
    char address[16];
    struct in_addr in;
    size_t n = strspn(host, "0123456789.");
    if (n >= sizeof(address) || !port_or_end(host + n))
        return false;
    memcpy(address, host, n);
    address[n] = 0;
    return inet_pton(AF_INET, address, &in) == 1 && ntohl(in.s_addr) >> 24 == 127;
}

bool origin_is_same(const char *origin, const char *host)
{
    static const char scheme[] = "http://";
    size_t n = strlen(scheme);
    return strncasecmp(origin, scheme, n) == 0 && strcasecmp(origin + n, host) == 0;
}
