#include "worker/farewell.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"

#define PATIENCE_NS (NS_PER_S / 10 * 6)

static volatile sig_atomic_t stopping, has_bar;
/* One line is shown, the other may be being written. */
static char line[2][512];
static volatile sig_atomic_t which;
static timer_t patience;

void farewell_prepare(const char *fmt, ...)
{
    va_list args;
    int next = !which;
    va_start(args, fmt);
    vsnprintf(line[next], sizeof(line[next]), fmt, args);
    va_end(args);
    which = next;
}

void farewell_say(void)
{
    (void)!write(STDERR_FILENO, line[which], strlen(line[which]));
}

void farewell_bar(bool there)
{
    has_bar = there;
}

bool farewell_due(void)
{
    return stopping;
}

/* A step that takes too long isn't waited for: all that matters is on disk. */
static void on_alarm(int sig)
{
    (void)sig;
    if (has_bar)
        (void)!write(STDOUT_FILENO, "\n", 1);
    farewell_say();
    _exit(1);
}

static void on_stop(int sig)
{
    int was = errno;
    if (stopping)
        on_alarm(sig);
    stopping = 1;
    struct itimerspec soon = {.it_value = {.tv_nsec = PATIENCE_NS}};
    timer_settime(patience, 0, &soon, NULL);
    errno = was;
}

int farewell_catch(struct err *e)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = SA_RESTART}, alarmed = {.sa_handler = on_alarm};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    if (timer_create(CLOCK_MONOTONIC, &event, &patience) < 0)
        return err_set(e, ERR_IO, "could not make a timer: %s", strerror(errno));
    sigaction(SIGALRM, &alarmed, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    return 0;
}
