#include "worker/meter.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE = 256, LEAST_BAR = 10, COLUMNS = 80 };

void meter_init(struct meter *m, FILE *out, int epochs)
{
    *m = (struct meter){.out = out, .epochs = epochs, .bar = out && isatty(fileno(out))};
}

char *meter_number(uint64_t n, char s[32])
{
    char digits[32];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            s[at++] = ',';
        s[at++] = digits[i];
    }
    s[at] = 0;
    return s;
}

static void say_time(double seconds, char s[32])
{
    unsigned long long t = seconds < 1e9 ? (unsigned long long)(seconds + 0.5) : 0;
    if (t >= 3600)
        snprintf(s, 32, "%llu:%02llu:%02llu", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(s, 32, "%llu:%02llu", t / 60, t % 60);
}

static int columns(const struct meter *m)
{
    struct winsize w;
    return ioctl(fileno(m->out), TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : COLUMNS;
}

/* The epoch of m->now, m->done images of the training being done. */
static int say_epoch(const struct meter *m, char s[LINE])
{
    const struct fit_point *p = &m->now;
    char epoch[32], rate[32], left[32];
    double images_s = p->seconds > 0 ? (double)(m->done - m->begun) / p->seconds : 0;
    snprintf(epoch, sizeof(epoch), m->epochs ? "%d/%d" : "%d", p->epoch, m->epochs);
    say_time(images_s > 0 ? (double)(m->total - m->done) / images_s : 0, left);
    meter_number((uint64_t)(images_s + 0.5), rate);
    return snprintf(s, LINE, "epoch %s  loss %.3f  train %.1f%%  lr %#.3g  %s images/s  left %s", epoch, p->loss,
                    100 * p->top1, p->lr, rate, left);
}

/* Over what stands there; blanks take away what the line before it had more. */
static void show(struct meter *m, const char *s)
{
    int n = (int)strlen(s);
    fprintf(m->out, "\r%s%*s", s, m->width > n ? m->width - n : 0, "");
    if (m->width > n)
        fprintf(m->out, "\r%s", s);
    fflush(m->out);
    m->width = n;
}

static void draw(struct meter *m)
{
    char line[LINE];
    int n = say_epoch(m, line), room = columns(m) - 1;
    int bar = room - n - 4 < 40 ? room - n - 4 : 40;
    if (bar >= LEAST_BAR && n + bar + 5 < LINE) {
        int full = (int)((double)bar * (double)m->done / (double)m->total);
        snprintf(line + n, sizeof(line) - (size_t)n, "  [%.*s%*s]", full,
                 "########################################", bar - full, "");
    }
    if (room < LINE)
        line[room] = 0;
    show(m, line);
}

void meter_point(struct meter *m, const struct fit_point *so_far)
{
    m->now = *so_far;
}

/* A training that goes on from a checkpoint begins where that epoch did. */
static uint64_t first_begun(const struct meter *m, uint64_t done, uint64_t total)
{
    return m->epochs ? total / (uint64_t)m->epochs * (uint64_t)(m->now.epoch - 1) : m->now.epoch == 1 ? 0 : done;
}

void meter_progress(struct meter *m, uint64_t done, uint64_t total)
{
    if (m->now.epoch == 0) /* no step is done yet */
        return;
    if (m->total == 0)
        m->begun = first_begun(m, done, total);
    m->done = done;
    m->total = total;
    if (m->out && m->bar)
        draw(m);
}

void meter_epoch(struct meter *m, const struct msg_checkpoint *k)
{
    char line[LINE];
    m->now =
        (struct fit_point){.epoch = k->epoch, .lr = k->lr, .loss = k->loss, .top1 = k->top1, .seconds = k->seconds};
    say_epoch(m, line);
    m->begun = m->done;
    if (!m->out)
        return;
    meter_clear(m);
    fprintf(m->out, "%s\n", line);
    fflush(m->out);
}

void meter_clear(struct meter *m)
{
    if (!m->out || m->width == 0)
        return;
    fprintf(m->out, "\r%*s\r", m->width, "");
    fflush(m->out);
    m->width = 0;
}
