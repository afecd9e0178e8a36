#include "coordinator/policy/coder.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void write_bytes(struct writer *w, uint64_t x, int n)
{
    uint8_t b[8];
    for (int i = 0; i < n; i++)
        b[i] = (uint8_t)(x >> (8 * i));
    buf_append(w->out, b, (size_t)n);
}

void write_u32(struct writer *w, uint32_t x)
{
    write_bytes(w, x, 4);
}

void write_u64(struct writer *w, uint64_t x)
{
    write_bytes(w, x, 8);
}

void write_f64(struct writer *w, double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    write_u64(w, bits);
}

void write_ints(struct writer *w, const int *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        write_u32(w, (uint32_t)x[i]);
}

void write_floats(struct writer *w, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        write_u32(w, bits);
    }
}

bool reader_fine(const struct reader *r)
{
    return r->wrong[0] == 0;
}

void reader_refuse(struct reader *r, const char *fmt, ...)
{
    if (!reader_fine(r))
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r->wrong, sizeof r->wrong, fmt, ap);
    va_end(ap);
}

static uint64_t read_bytes(struct reader *r, size_t n)
{
    if (reader_fine(r) && r->left < n)
        reader_refuse(r, "it is cut short");
    if (!reader_fine(r))
        return 0;
    uint64_t x = 0;
    for (size_t i = 0; i < n; i++)
        x |= (uint64_t)r->p[i] << (8 * i);
    r->p += n;
    r->left -= n;
    return x;
}

uint32_t read_u32(struct reader *r)
{
    return (uint32_t)read_bytes(r, 4);
}

uint64_t read_u64(struct reader *r)
{
    return read_bytes(r, 8);
}

double read_f64(struct reader *r)
{
    uint64_t bits = read_u64(r);
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

void read_ints(struct reader *r, int *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (int)read_u32(r);
}

void read_floats(struct reader *r, float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = read_u32(r);
        memcpy(x + i, &bits, sizeof bits);
    }
}

void read_same(struct reader *r, uint64_t want, const char *what)
{
    uint64_t x = read_u64(r);
    if (x != want)
        reader_refuse(r, "its %s is %" PRIu64 ", not %" PRIu64, what, x, want);
}

uint32_t read_within(struct reader *r, uint32_t most, const char *what)
{
    uint32_t x = read_u32(r);
    if (x > most) {
        reader_refuse(r, "its %s is %" PRIu32 ", at most %" PRIu32 " is possible", what, x, most);
        return 0;
    }
    return x;
}
