/*
 * types - which types of values this CPU has kernels for; tests leave the others out.
 */
#ifndef TESTS_UNIT_TYPES_H
#define TESTS_UNIT_TYPES_H

#include "worker/engine/dnnl.h"

static inline const char *type_name(enum dtype type)
{
    return type == DTYPE_BF16 ? "bf16" : "fp32";
}

static inline bool has_type(enum dtype type)
{
    struct err e;
    struct backend *be;
    if (backend_new(&be, &e) < 0)
        return false;
    bool has = backend_require(be, type, &e) == 0;
    backend_free(be);
    return has;
}

#endif
