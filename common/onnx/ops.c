#include "common/onnx/ops.h"

#include <string.h>

#include "common/onnx/loader.h"

static const struct op_row rows[] = {
    {"Add", op_add, fold_add},
    {"AveragePool", op_avgpool, NULL},
    {"BatchNormalization", op_bn, NULL},
    {"Cast", op_cast, fold_cast},
    {"Clip", op_clip, NULL},
    {"Concat", op_concat, fold_concat},
    {"Constant", NULL, fold_constant},
    {"ConstantOfShape", NULL, fold_constantofshape},
    {"Conv", op_conv, NULL},
    {"Div", op_div, fold_div},
    {"Dropout", op_dropout, NULL},
    {"Flatten", op_flatten, NULL},
    {"Gather", NULL, fold_gather},
    {"Gemm", op_gemm, NULL},
    {"GlobalAveragePool", op_globalpool, NULL},
    {"Identity", op_identity, op_identity},
    {"MatMul", op_matmul, NULL},
    {"MaxPool", op_maxpool, NULL},
    {"Mul", op_mul, fold_mul},
    {"Pad", op_pad, NULL},
    {"ReduceMean", op_reducemean, NULL},
    {"Relu", op_relu, NULL},
    {"Reshape", op_reshape, fold_reshape},
    {"Shape", op_shape, fold_shape},
    {"Slice", op_slice, fold_slice},
    {"Softmax", op_softmax, NULL},
    {"Squeeze", op_squeeze, fold_squeeze},
    {"Sub", op_sub, fold_sub},
    {"Sum", op_sum, NULL},
    {"Transpose", NULL, fold_transpose},
    {"Unsqueeze", NULL, fold_unsqueeze},
};

const struct op_row *op_find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}
