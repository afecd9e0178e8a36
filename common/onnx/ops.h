/*
 * ops - the handlers behind op_find's table. op_*: some input is computed by the network; fold_*: all are constant.
 */
#ifndef COMMON_ONNX_OPS_H
#define COMMON_ONNX_OPS_H

struct call;

/* ops_window.c */
void op_conv(struct call *c);
void op_maxpool(struct call *c);
void op_avgpool(struct call *c);
void op_globalpool(struct call *c);
void op_globalmaxpool(struct call *c);
void op_reducemean(struct call *c);
void op_reducemax(struct call *c);

/* ops_affine.c */
void op_bn(struct call *c);
void op_gemm(struct call *c);
void op_matmul(struct call *c);
void op_add(struct call *c);
void op_sub(struct call *c);
void op_mul(struct call *c);
void op_div(struct call *c);
void op_sum(struct call *c);

/* ops_act.c */
void op_relu(struct call *c);
void op_clip(struct call *c);
void op_max(struct call *c);
void op_min(struct call *c);
void op_sigmoid(struct call *c);
void op_tanh(struct call *c);
void op_hardsigmoid(struct call *c);
void op_hardswish(struct call *c);
void op_leakyrelu(struct call *c);
void op_elu(struct call *c);
void op_prelu(struct call *c);

/* ops_simple.c */
void op_softmax(struct call *c);
void op_identity(struct call *c);
void op_dropout(struct call *c);
void op_cast(struct call *c);
void op_concat(struct call *c);
void op_lrn(struct call *c);

/* ops_layout.c */
void op_flatten(struct call *c);
void op_reshape(struct call *c);
void op_squeeze(struct call *c);
void op_unsqueeze(struct call *c);
void op_transpose(struct call *c);
void op_shape(struct call *c);

/* ops_pick.c */
void op_pad(struct call *c);
void op_slice(struct call *c);
void op_split(struct call *c);
void op_gather(struct call *c);

/* fold.c */
void fold_constant(struct call *c);
void fold_constantofshape(struct call *c);
void fold_shape(struct call *c);
void fold_cast(struct call *c);
void fold_reshape(struct call *c);
void fold_squeeze(struct call *c);
void fold_unsqueeze(struct call *c);

/* fold_pick.c */
void fold_concat(struct call *c);
void fold_gather(struct call *c);
void fold_slice(struct call *c);
void fold_transpose(struct call *c);

/* fold_arith.c */
void fold_add(struct call *c);
void fold_sub(struct call *c);
void fold_mul(struct call *c);
void fold_div(struct call *c);
void fold_floor(struct call *c);
void fold_ceil(struct call *c);

#endif
