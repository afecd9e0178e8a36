/* The plain and residual networks of 6 * blocks + 2 layers: He et al. 2016, section 4.2. */
#include "common/zoo/architecture.h"

/* Two convolutions; with a shortcut around them unless the network is plain. */
static int block(struct builder *b, int x, int K, int stride, bool shortcut)
{
    int y = builder_conv_bn_relu(b, "1", x, (struct filter){.K = K, .R = 3, .stride = stride});
    y = builder_conv_bn(b, "2", y, (struct filter){.K = K, .R = 3, .stride = 1});
    if (shortcut)
        y = builder_add(b, y, stride > 1 ? builder_option_a(b, x, K) : x);
    return builder_relu(b, "2", y);
}

int resnet_body(struct builder *b, int x, int K, bool large, const struct architecture *a)
{
    static const int width[] = {16, 32, 64};
    if (large) {
        x = builder_conv_bn_relu(b, "1", x, (struct filter){.K = width[0], .R = 7, .stride = 2});
        x = builder_maxpool(b, x, 3, 2);
    } else {
        x = builder_conv_bn_relu(b, "1", x, (struct filter){.K = width[0], .R = 3, .stride = 1});
    }
    for (int s = 0; s < 3; s++)
        for (int k = 0; k < a->blocks; k++) {
            builder_at(b, "layer%d.%d.", s + 1, k);
            x = block(b, x, width[s], s > 0 && k == 0 ? 2 : 1, a->shortcuts);
        }
    builder_at(b, "%s", "");
    return builder_gemm(b, "", builder_mean(b, x), K);
}
