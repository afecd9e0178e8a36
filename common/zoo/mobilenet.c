/*
 * MobileNet v1 (Howard et al. 2017, table 1) and v2 (Sandler et al. 2018, table 2), at width 1. For small images
 * some of the strides of 2 are 1.
 */
#include "common/zoo/architecture.h"

static struct filter pointwise(int K)
{
    return (struct filter){.K = K, .R = 1, .stride = 1};
}

static struct filter depthwise(const struct builder *b, int x, int stride)
{
    return (struct filter){.K = builder_channels(b, x), .R = 3, .stride = stride, .depthwise = true};
}

int mobilenet_v1_body(struct builder *b, int x, int K, bool large, const struct architecture *a)
{
    /* The paper's table gives the last depthwise convolution stride 2, but its sizes are those of stride 1. */
    static const struct {
        int K, stride;
    } rows[] = {{64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},  {512, 2}, {512, 1},
                {512, 1}, {512, 1}, {512, 1}, {512, 1}, {1024, 2}, {1024, 1}};
    (void)a;
    x = builder_conv_bn_relu(b, "1", x, (struct filter){.K = 32, .R = 3, .stride = large ? 2 : 1});
    for (int i = 0; i < 13; i++) {
        builder_at(b, "block%d.", i + 1);
        x = builder_conv_bn_relu(b, "_dw", x, depthwise(b, x, rows[i].stride));
        x = builder_conv_bn_relu(b, "_pw", x, pointwise(rows[i].K));
    }
    builder_at(b, "%s", "");
    return builder_gemm(b, "", builder_mean(b, x), K);
}

/* Expand to t times the channels, filter, project to K; the sum with x where its shape allows (section 3.3). */
static int inverted_residual(struct builder *b, int x, int t, int K, int stride)
{
    int y = x, C = builder_channels(b, x);
    if (t > 1)
        y = builder_conv_bn_relu6(b, "_expand", y, pointwise(t * C));
    y = builder_conv_bn_relu6(b, "_dw", y, depthwise(b, y, stride));
    y = builder_conv_bn(b, "_project", y, pointwise(K));
    return stride == 1 && C == K ? builder_add(b, y, x) : y;
}

int mobilenet_v2_body(struct builder *b, int x, int K, bool large, const struct architecture *a)
{
    static const struct {
        int t, c, n, s;
        int small; /* stride for small images */
    } rows[] = {{1, 16, 1, 1, 1}, {6, 24, 2, 2, 1},  {6, 32, 3, 2, 2}, {6, 64, 4, 2, 2},
                {6, 96, 3, 1, 1}, {6, 160, 3, 2, 2}, {6, 320, 1, 1, 1}};
    int block = 0;
    (void)a;
    x = builder_conv_bn_relu6(b, "1", x, (struct filter){.K = 32, .R = 3, .stride = large ? 2 : 1});
    for (int i = 0; i < 7; i++)
        for (int k = 0; k < rows[i].n; k++) {
            int stride = k > 0 ? 1 : large ? rows[i].s : rows[i].small;
            builder_at(b, "block%d.", ++block);
            x = inverted_residual(b, x, rows[i].t, rows[i].c, stride);
        }
    builder_at(b, "%s", "");
    x = builder_conv_bn_relu6(b, "2", x, pointwise(1280));
    return builder_gemm(b, "", builder_mean(b, x), K);
}
