/*
 * Descriptors of arrays.
 */
#include "worker/engine/dnnl_int.h"

static dnnl_data_type_t type_of(enum dtype type)
{
    return type == DTYPE_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_memory_desc_t describe(int n, const dnnl_dim_t *dims, dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, n, dims, type, tag) != dnnl_success)
        BUG("no descriptor for an array of %d axes, %lldx%lldx...", n, (long long)dims[0],
            (long long)dims[n > 1 ? 1 : 0]);
    return md;
}

static dnnl_format_tag_t tag_of(enum order order, int lanes)
{
    switch (order) {
    case ORDER_PLAIN:
        return dnnl_nchw;
    case ORDER_LAST:
        return dnnl_nhwc;
    case ORDER_BLOCKED:
        return lanes == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    case ORDER_ANY:
        break;
    }
    return dnnl_format_tag_any;
}

dnnl_memory_desc_t md_image(int N, int C, int H, int W, enum dtype type, enum order order, int lanes)
{
    return describe(4, (dnnl_dims_t){N, C, H, W}, type_of(type), tag_of(order, lanes));
}

dnnl_memory_desc_t md_layout(const struct layout *l)
{
    enum order order = l->lanes == 1 ? ORDER_PLAIN : l->lanes == l->C ? ORDER_LAST : ORDER_BLOCKED;
    return md_image(l->N, l->C, l->H, l->W, l->type, order, l->lanes);
}

dnnl_memory_desc_t md_flat(int N, int C, enum dtype type)
{
    return describe(2, (dnnl_dims_t){N, C}, type_of(type), dnnl_nc);
}

dnnl_memory_desc_t md_bias(int K)
{
    return describe(1, (dnnl_dims_t){K}, dnnl_f32, dnnl_x);
}

dnnl_memory_desc_t md_conv_weights(int K, int C, int groups, const struct window *w, enum dtype type)
{
    dnnl_dims_t grouped = {groups, K / groups, C / groups, w->R, w->S}, one = {K, C, w->R, w->S};
    return describe(groups > 1 ? 5 : 4, groups > 1 ? grouped : one, type_of(type), dnnl_format_tag_any);
}

dnnl_memory_desc_t md_gemm_weights(int K, int C, enum dtype type)
{
    return describe(2, (dnnl_dims_t){K, C}, type_of(type), dnnl_format_tag_any);
}

dnnl_memory_desc_t md_plain(const dnnl_memory_desc_t *md)
{
    dnnl_format_tag_t tag = md->ndims == 5 ? dnnl_goihw : md->ndims == 4 ? dnnl_oihw : dnnl_oi;
    return describe(md->ndims, md->dims, dnnl_f32, tag);
}

bool md_recognise(const dnnl_memory_desc_t *md, struct layout *l)
{
    const int lanes[] = {1, l->C, 8, 16};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) {
        l->lanes = lanes[i];
        if (lanes[i] == 8 || lanes[i] == 16) {
            dnnl_memory_desc_t want = md_image(l->N, l->C, l->H, l->W, l->type, ORDER_BLOCKED, lanes[i]);
            if (dnnl_memory_desc_equal(&want, md))
                return true;
        }
        dnnl_memory_desc_t want = md_layout(l);
        if (dnnl_memory_desc_equal(&want, md))
            return true;
    }
    return false;
}
