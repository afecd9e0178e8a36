/*
 * frames - a worker that sends rubbish: says hello under a name (or doesn't), sends what stdin has, then a beat,
 * and waits for its answer.
 *
 *   frames --connect tcp://127.0.0.1:7411 [--name NAME] <LINES
 *
 * A line is one message: its frames in hexadecimal, parted by spaces; "-" is an empty one. Exit 0: the coordinator
 * answered the beat with ALIVE, or without a name with REFUSE; 1: it didn't within five seconds.
 */
#include <czmq.h>

#include "proto/message.h"

#define ANSWER_MS 5000
#define MAX_LINE  (1 << 20)

static void send_message(void *sock, const struct message *m)
{
    struct buf b = {0};
    message_encode(m, &b);
    zmq_send(sock, b.p, b.n, 0);
    buf_release(&b);
}

/* The number of bytes, or -1. */
static int from_hex(const char *s, uint8_t *out)
{
    int n = 0;
    if (strcmp(s, "-") == 0)
        return 0;
    for (; s[0] && s[1]; s += 2) {
        char pair[3] = {s[0], s[1], 0}, *end;
        out[n++] = (uint8_t)strtoul(pair, &end, 16);
        if (*end)
            return -1;
    }
    return *s ? -1 : n;
}

static int send_line(void *sock, char *line)
{
    static uint8_t bytes[MAX_LINE / 2];
    char *more = line;
    line[strcspn(line, "\n")] = 0;
    while (more) {
        char *word = strsep(&more, " ");
        int n = from_hex(word, bytes);
        if (n < 0 || zmq_send(sock, bytes, (size_t)n, more ? ZMQ_SNDMORE : 0) < 0)
            return -1;
    }
    return 0;
}

static bool wait_for(void *sock, enum message_type type)
{
    zmq_pollitem_t item = {.socket = sock, .events = ZMQ_POLLIN};
    for (;;) {
        uint8_t bytes[4096];
        struct message m;
        struct err e;
        if (zmq_poll(&item, 1, ANSWER_MS) <= 0)
            return false;
        int n = zmq_recv(sock, bytes, sizeof(bytes), 0);
        if (n < 0 || (size_t)n > sizeof(bytes) || message_decode(bytes, (size_t)n, &m, &e) < 0)
            return false;
        enum message_type got = m.type;
        message_release(&m);
        if (got == type)
            return true;
    }
}

int main(int argc, char **argv)
{
    const char *endpoint = NULL, *name = NULL;
    struct message hello = {.type = MSG_HELLO}, beat = {.type = MSG_BEAT};
    static char line[MAX_LINE];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--connect") == 0)
            endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--name") == 0)
            name = argv[i + 1];
    }
    if (!endpoint) {
        fputs("usage: frames --connect ENDPOINT [--name NAME] <LINES\n", stderr);
        return 2;
    }
    void *context = zmq_ctx_new(), *sock = zmq_socket(context, ZMQ_DEALER);
    int linger = 1000;
    zmq_setsockopt(sock, ZMQ_LINGER, &linger, sizeof(linger));
    zmq_connect(sock, endpoint);
    if (name) {
        hello.u.hello =
            (struct msg_hello){.version = PROTO_VERSION, .cpu = "none", .kernels = "none", .threads = 1};
        snprintf(hello.u.hello.name, sizeof(hello.u.hello.name), "%s", name);
        send_message(sock, &hello);
    }
    while (fgets(line, sizeof(line), stdin))
        if (send_line(sock, line) < 0) {
            fprintf(stderr, "frames: not hexadecimal: %.40s\n", line);
            return 2;
        }
    send_message(sock, &beat);
    bool answered = wait_for(sock, name ? MSG_ALIVE : MSG_REFUSE);
    zmq_close(sock);
    zmq_ctx_term(context);
    return answered ? 0 : 1;
}
