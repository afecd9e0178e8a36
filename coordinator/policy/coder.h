/*
 * coder - a snapshot's bytes: by field, little-endian, floats as their bits. The reader's first mistake sticks:
 * everything after it is zero, and it's asked for once at the end.
 */
#ifndef COORDINATOR_POLICY_CODER_H
#define COORDINATOR_POLICY_CODER_H

#include <stdbool.h>

#include "common/base/buf.h"

struct writer {
    struct buf *out;
};

void write_u32(struct writer *w, uint32_t x);
void write_u64(struct writer *w, uint64_t x);
void write_f64(struct writer *w, double x);
void write_ints(struct writer *w, const int *x, size_t n);
void write_floats(struct writer *w, const float *x, size_t n);

struct reader {
    const uint8_t *p;
    size_t left;
    char wrong[128]; /* "" until the first mistake */
};

uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
double read_f64(struct reader *r);
void read_ints(struct reader *r, int *x, size_t n);
void read_floats(struct reader *r, float *x, size_t n);

/* A number that has to be `want`; `what` goes into the text. */
void read_same(struct reader *r, uint64_t want, const char *what);
/* A number in [0, most]. */
uint32_t read_within(struct reader *r, uint32_t most, const char *what);

bool reader_fine(const struct reader *r);
void reader_refuse(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
