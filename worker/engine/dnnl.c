#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/dnnl_int.h"

int dnnl_check(dnnl_status_t s, const char *what, struct err *e)
{
    if (s == dnnl_success)
        return 0;
    enum err_code code = s == dnnl_out_of_memory   ? ERR_NOMEM
                         : s == dnnl_unimplemented ? ERR_UNSUPPORTED
                                                   : ERR_INVALID;
    return err_set(e, code, "oneDNN could not %s (status %d)", what, (int)s);
}

int dnnl_one_thread(void)
{
    int was = omp_get_max_threads();
    if (was != 1)
        omp_set_num_threads(1);
    return was;
}

void dnnl_threads_restore(int threads)
{
    if (threads != 1)
        omp_set_num_threads(threads);
}

static bool has(dnnl_cpu_isa_t isa)
{
    return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

int backend_new(struct backend **be, struct err *e)
{
    struct backend *b = xcalloc(1, sizeof *b);
    int rc = dnnl_check(dnnl_engine_create(&b->engine, dnnl_cpu, 0), "open the CPU", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_stream_create(&b->stream, b->engine, dnnl_stream_default_flags), "make a stream", e);
    if (rc < 0) {
        backend_free(b);
        return rc;
    }
    b->wide = has(dnnl_cpu_isa_avx512_core);
    b->bf16 = has(dnnl_cpu_isa_avx512_core_bf16);
    *be = b;
    return 0;
}

void backend_free(struct backend *be)
{
    if (!be)
        return;
    if (be->stream)
        dnnl_stream_destroy(be->stream);
    if (be->engine)
        dnnl_engine_destroy(be->engine);
    free(be);
}

int backend_lanes(const struct backend *be)
{
    return be->wide ? 16 : 8;
}

bool backend_wide(const struct backend *be)
{
    return be->wide;
}

int backend_require(const struct backend *be, enum dtype type, struct err *e)
{
    if (type == DTYPE_BF16 && !be->bf16)
        return err_set(e, ERR_UNSUPPORTED, "this CPU has no bf16 kernels (%s; avx512_core_bf16 is needed)",
                       backend_text());
    return 0;
}

struct isa {
    dnnl_cpu_isa_t isa;
    const char *text;
};

#define ISA_TEXT(name, text)                                                                                       \
    {                                                                                                              \
        name, "oneDNN " DNNL_VERSION_TEXT " " text                                                                 \
    }
#define DNNL_QUOTE_(x) #x
#define DNNL_QUOTE(x)  DNNL_QUOTE_(x)
#define DNNL_VERSION_TEXT                                                                                          \
    DNNL_QUOTE(DNNL_VERSION_MAJOR) "." DNNL_QUOTE(DNNL_VERSION_MINOR) "." DNNL_QUOTE(DNNL_VERSION_PATCH)

const char *backend_text(void)
{
    static const struct isa known[] = {
        ISA_TEXT(dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"),
        ISA_TEXT(dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"),
        ISA_TEXT(dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"),
        ISA_TEXT(dnnl_cpu_isa_avx512_core, "avx512_core"),
        ISA_TEXT(dnnl_cpu_isa_avx2_vnni, "avx2_vnni"),
        ISA_TEXT(dnnl_cpu_isa_avx2, "avx2"),
        ISA_TEXT(dnnl_cpu_isa_avx, "avx"),
    };
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (isa == known[i].isa)
            return known[i].text;
    return "oneDNN " DNNL_VERSION_TEXT;
}
