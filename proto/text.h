/*
 * text - what a text in a message may hold: UTF-8 without control characters, so that it can go into a log, a
 * terminal, JSON and PostgreSQL as it is.
 */
#ifndef PROTO_TEXT_H
#define PROTO_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Bytes (1..4) of the character that s begins with, n >= 1 of them there; 0 when it is malformed or a control
 * character (C0, DEL, C1). */
size_t text_character(const uint8_t *s, size_t n);

/* As much of `from` as fits into to[n], cut between two characters, with '?' for what may not be in a text. */
void text_copy(char *to, size_t n, const char *from);

#endif
