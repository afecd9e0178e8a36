/*
 * recipe_code - the schema of a recipe, in both directions; for message.c alone. PROTOCOL.md lists the same fields
 * in the same order.
 */
#ifndef PROTO_RECIPE_CODE_H
#define PROTO_RECIPE_CODE_H

#include "proto/codec.h"
#include "proto/recipe.h"

void recipe_code(struct codec *c, struct recipe *r);

#endif
