#include "common/onnx/ops.h"

#include <string.h>

#include "common/onnx/loader.h"

static const struct op_row rows[] = {
    {"Add", op_add, fold_add},
    {"AveragePool", op_avgpool, NULL},
    {"BatchNormalization", op_bn, NULL},
    {"Cast", op_cast, fold_cast},
    {"Ceil", NULL, fold_ceil},
    {"Clip", op_clip, NULL},
    {"Concat", op_concat, fold_concat},
    {"Constant", NULL, fold_constant},
    {"ConstantOfShape", NULL, fold_constantofshape},
    {"Conv", op_conv, NULL},
    {"Div", op_div, fold_div},
    {"Dropout", op_dropout, NULL},
    {"Elu", op_elu, NULL},
    {"Flatten", op_flatten, NULL},
    {"Floor", NULL, fold_floor},
    {"Gather", op_gather, fold_gather},
    {"Gemm", op_gemm, NULL},
    {"GlobalAveragePool", op_globalpool, NULL},
    {"GlobalMaxPool", op_globalmaxpool, NULL},
    {"HardSigmoid", op_hardsigmoid, NULL},
    {"HardSwish", op_hardswish, NULL},
    {"Identity", op_identity, op_identity},
    {"LRN", op_lrn, NULL},
    {"LeakyRelu", op_leakyrelu, NULL},
    {"MatMul", op_matmul, NULL},
    {"Max", op_max, NULL},
    {"MaxPool", op_maxpool, NULL},
    {"Min", op_min, NULL},
    {"Mul", op_mul, fold_mul},
    {"PRelu", op_prelu, NULL},
    {"Pad", op_pad, NULL},
    {"ReduceMax", op_reducemax, NULL},
    {"ReduceMean", op_reducemean, NULL},
    {"Relu", op_relu, NULL},
    {"Reshape", op_reshape, fold_reshape},
    {"Shape", op_shape, fold_shape},
    {"Sigmoid", op_sigmoid, NULL},
    {"Slice", op_slice, fold_slice},
    {"Softmax", op_softmax, NULL},
    {"Split", op_split, NULL},
    {"Squeeze", op_squeeze, fold_squeeze},
    {"Sub", op_sub, fold_sub},
    {"Sum", op_sum, NULL},
    {"Tanh", op_tanh, NULL},
    {"Transpose", op_transpose, fold_transpose},
    {"Unsqueeze", op_unsqueeze, fold_unsqueeze},
};

const struct op_row *op_find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}
