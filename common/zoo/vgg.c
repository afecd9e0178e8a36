/*
 * VGG-16: Simonyan and Zisserman 2015, table 1, column D, with BN behind each convolution (whose bias it makes
 * idle, so there is none) and without dropout.
 */
#include "common/zoo/architecture.h"

int vgg_body(struct builder *b, int x, int K, bool large, const struct architecture *a)
{
    static const struct {
        int convs, K;
    } stages[] = {{2, 64}, {2, 128}, {3, 256}, {3, 512}, {3, 512}};
    static const char *const nth[] = {"1", "2", "3"};
    (void)a;
    for (int s = 0; s < 5; s++) {
        builder_at(b, "stage%d.", s + 1);
        for (int k = 0; k < stages[s].convs; k++)
            x = builder_conv_bn_relu(b, nth[k], x, (struct filter){.K = stages[s].K, .R = 3, .stride = 1});
        x = builder_maxpool(b, x, 2, 2);
    }
    builder_at(b, "%s", "");
    x = builder_flatten(b, x);
    if (large) {
        x = builder_relu(b, "1", builder_gemm(b, "1", x, 4096));
        x = builder_relu(b, "2", builder_gemm(b, "2", x, 4096));
        return builder_gemm(b, "3", x, K);
    }
    return builder_gemm(b, "", x, K);
}
