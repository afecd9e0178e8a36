/*
 * text - names from a file, which may hold any bytes, against what people and other programs are shown.
 */
#ifndef COMMON_ONNX_TEXT_H
#define COMMON_ONNX_TEXT_H

#include <stdbool.h>

/* UTF-8 without control characters? */
bool text_clean(const char *s);

/* Puts '?' in the place of every byte that isn't part of such a character, so that a message stays one line. */
void text_scrub(char *s);

#endif
