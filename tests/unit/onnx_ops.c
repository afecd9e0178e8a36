/* What each operator of a file becomes, and what is refused in which words. */
#include <check.h>
#include <float.h>

#include "common/onnx/load.h"
#include "tests/unit/onnx_text.h"

struct row {
    const char *file; /* see onnx_text.h */
    const char *want; /* the graph without its input, or the line of refusal */
};

static int load_text(const char *text, struct model *m, struct err *e)
{
    struct buf b = {0};
    onnx_text_pack(text, &b);
    int rc = onnx_load(b.p, b.n, m, e);
    buf_release(&b);
    return rc;
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct model m;
        struct err e;
        struct buf got = {0};
        if (load_text(rows[i].file, &m, &e) < 0) {
            ck_assert_msg(strcmp(e.text, rows[i].want) == 0, "%s\nwant %s\n got %s", rows[i].file, rows[i].want,
                          e.text);
            continue;
        }
        onnx_text_graph(&m.graph, &got);
        const char *rest = strchr((char *)got.p, '\n') + 1;
        ck_assert_msg(strcmp(rest, rows[i].want) == 0, "%s\nwant %s\n got %s", rows[i].file, rows[i].want, rest);
        buf_release(&got);
        model_release(&m);
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof(rows)[0])
#define IMAGE            "input x 3,8,6\noutput y\n"
#define FLAT             "input x 5\noutput y\n"

START_TEST(windows)
{
    static const struct row rows[] = {
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y", "*Conv y(x) 4,6,4 k3,3 s1,1 d1,1 p0,0,0,0 g1\n"},
        {IMAGE
         "floats w 4,3,3,1\nfloats b 4\nConv n x,w,b -> y pads=1,0,2,1 strides=2,1 dilations=1,2 kernel_shape=3,1",
         "*Conv y(x) 4,5,7 k3,1 s2,1 d1,2 p1,0,2,1 g1 bias\n"},
        {IMAGE "floats w 6,1,3,3\nConv n x,w -> y group=3 pads=1,1,1,1",
         "*Conv y(x) 6,8,6 k3,3 s1,1 d1,1 p1,1,1,1 g3\n"},
        {IMAGE "floats w 4,3,3,2\nConv n x,w -> y auto_pad=SAME_UPPER strides=2,1",
         "*Conv y(x) 4,4,6 k3,2 s2,1 d1,1 p0,0,1,1 g1\n"},
        {IMAGE "floats w 4,3,3,2\nConv n x,w -> y auto_pad=SAME_LOWER strides=2,1",
         "*Conv y(x) 4,4,6 k3,2 s2,1 d1,1 p1,1,0,0 g1\n"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y auto_pad=SAME_UPPER dilations=2,2",
         "*Conv y(x) 4,8,6 k3,3 s1,1 d2,2 p2,2,2,2 g1\n"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y auto_pad=VALID pads=0,0,0,0",
         "*Conv y(x) 4,6,4 k3,3 s1,1 d1,1 p0,0,0,0 g1\n"},
        {IMAGE "MaxPool n x -> y kernel_shape=3,3 strides=2,2 dilations=2,1 pads=1,1,1,1 storage_order=0",
         "*MaxPool y(x) 3,3,3 k3,3 s2,2 d2,1 p1,1,1,1\n"},
        {IMAGE "MaxPool n x -> y kernel_shape=2,2 strides=2,2 ceil_mode=1",
         "*MaxPool y(x) 3,4,3 k2,2 s2,2 d1,1 p0,0,0,0\n"},
        {IMAGE "AveragePool n x -> y kernel_shape=2,2 count_include_pad=1 pads=1,0,0,0",
         "*AveragePool y(x) 3,8,5 k2,2 s1,1 d1,1 p1,0,0,0 count\n"},
        {IMAGE "GlobalAveragePool n x -> y", "*GlobalAveragePool y(x) 3,1,1\n"},
        {IMAGE "ReduceMean n x -> y axes=2,3", "*GlobalAveragePool y(x) 3,1,1\n"},
        {IMAGE "ReduceMean n x -> y axes=-1,2 keepdims=0", "*GlobalAveragePool y(x) 3 flat\n"},
        {"opset 18\nints a 3,2\n" IMAGE "ReduceMean n x,a -> y keepdims=0", "*GlobalAveragePool y(x) 3 flat\n"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(windows_refused)
{
    static const struct row rows[] = {
        {IMAGE "floats w 4,3,3\nConv n x,w -> y",
         "node \"n\": weight \"w\" has 3 dimensions, only 4 (a convolution over images) are supported"},
        {IMAGE "floats w 4,2,3,3\nConv n x,w -> y",
         "node \"n\": weight \"w\" is for 2 input channels, and 3 come in"},
        {IMAGE "floats w 4,3,3,3\nfloats b 3\nConv n x,w,b -> y", "node \"n\": bias \"b\" doesn't hold 4 numbers"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y kernel_shape=5,5",
         "node \"n\": attribute \"kernel_shape\" is 5 x 5, the weight 3 x 3"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y strides=2,",
         "node \"n\": attribute \"strides\" of Conv has 1 numbers, only 2 are supported"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y strides=0,1",
         "node \"n\": attribute \"strides\" of Conv holds 0, which isn't in 1 ... 1048576"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y pads=-1,0,0,0",
         "node \"n\": attribute \"pads\" of Conv holds -1, which isn't in 0 ... 1048576"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y foo=1", "node \"n\": attribute \"foo\" of Conv is not supported"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y group=1 group=1",
         "node \"n\": attribute \"group\" of Conv is not supported"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y group=1.5",
         "node \"n\": attribute \"group\" of Conv has the wrong type"},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y auto_pad=SAME_UPPER pads=1,1,1,1",
         "node \"n\": attribute \"pads\" beside \"auto_pad\" = \"SAME_UPPER\""},
        {IMAGE "floats w 4,3,3,3\nConv n x,w -> y auto_pad=SAME",
         "node \"n\": attribute \"auto_pad\" = \"SAME\" of Conv is not supported"},
        {IMAGE "ints w 4,3\nConv n x,w -> y", "node \"n\": \"w\" holds integers in place of floats"},
        {IMAGE "floats w 1,3,1,1 1 nan 1\nConv n x,w -> y", "node \"n\": \"w\": number 1 is nan"},
        {IMAGE "floats w 1,3,1,1 1 1 inf\nConv n x,w -> y", "node \"n\": \"w\": number 2 is inf"},
        {IMAGE "Relu r x -> w\nConv n x,w -> y", "node \"n\": input 1 of Conv (\"w\") must be constant"},
        {IMAGE "floats v 4,3,3,3\nfloats w 4,3,3,3\nConv n v,w -> y",
         "node \"n\": input 0 of Conv (\"v\") must be computed from the network's input"},
        {IMAGE "Conv n x -> y", "node \"n\": input 1 of Conv is missing"},
        {IMAGE "MaxPool n x -> y", "node \"n\": attribute \"kernel_shape\" of MaxPool is missing"},
        {IMAGE "MaxPool n x -> y kernel_shape=2,2 storage_order=1",
         "node \"n\": attribute \"storage_order\" = 1 of MaxPool is not supported"},
        {IMAGE "MaxPool n x -> a,i kernel_shape=2,2\nRelu r i -> y",
         "node \"r\": input \"i\" of Relu is another node's second output, which is not supported"},
        {IMAGE "AveragePool n x -> y kernel_shape=2,2 dilations=2,1",
         "node \"n\": attribute \"dilations\" of AveragePool is not supported"},
        {IMAGE "ReduceMean n x -> y axes=1,2",
         "node \"n\": ReduceMean over other axes than height and width is not supported"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(affine)
{
    static const struct row rows[] = {
        {IMAGE
         "floats s 3\nfloats b 3\nfloats m 3\nfloats v 3\nBatchNormalization n x,s,b,m,v -> y,a,b2,c,d epsilon=0.5 "
         "momentum=0.9 spatial=1 is_test=1",
         "*BatchNormalization y(x) 3,8,6 eps 0.5\n"},
        {IMAGE "floats w 3,3,1,1\nfloats c 3,1,1\nConv k x,w -> k\nAdd n k,c -> y",
         "*Conv y(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1 bias\n"},
        {IMAGE "floats w 3,3,1,1\nfloats c 1,3,1,1\nConv k x,w -> k\nSub n k,c -> s\nRelu r s -> y",
         "Conv s(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1 bias\n*Relu y(s) 3,8,6\n"},
        {IMAGE "floats w 3,3,1,1\nfloats c 3,1,1\nConv k x,w -> k\nAdd n k,c -> a\nAdd n2 a,k -> y",
         "Conv k(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1\nBatchNormalization a(k) 3,8,6 eps 0\n*Add y(a,k) 3,8,6\n"},
        {IMAGE "floats w 3,3,1,1\nfloats c 3,1,1\nfloats b 3\nConv k x,w,b -> k\nAdd n k,c -> y",
         "Conv k(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1 bias\n*BatchNormalization y(k) 3,8,6 eps 0\n"},
        {IMAGE "floats w 3,3,1,1\nfloats c 3,1,1\nConv k x,w -> k\nIdentity i k -> j\nRelu r k -> s\nAdd n j,c -> "
               "a\nAdd m a,s -> y",
         "Conv k(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1\nRelu s(k) 3,8,6\nBatchNormalization a(k) 3,8,6 eps 0\n"
         "*Add y(a,s) 3,8,6\n"},
        {IMAGE "floats c scalar 2\nMul n c,x -> y", "*BatchNormalization y(x) 3,8,6 eps 0\n"},
        {IMAGE "Relu r x -> r\nAdd n x,r -> y", "Relu r(x) 3,8,6\n*Add y(x,r) 3,8,6\n"},
        {IMAGE "Relu r x -> r\nSum n x,r -> y", "Relu r(x) 3,8,6\n*Add y(x,r) 3,8,6\n"},
        {IMAGE "Relu r x -> r\nSum n r -> y", "*Relu y(x) 3,8,6\n"},
        {FLAT "floats w 4,5\nfloats b 1,4\nGemm n x,w,b -> y transB=1", "*Gemm y(x) 4 flat bias\n"},
        {FLAT "floats w 5,4\nGemm n x,w -> y", "*Gemm y(x) 4 flat\n"},
        {FLAT "floats w 5,4\nfloats b 4\nMatMul n x,w -> m\nAdd a b,m -> y", "*Gemm y(x) 4 flat bias\n"},
        {FLAT "floats c 5\nAdd a x,c -> y", "*BatchNormalization y(x) 5 flat eps 0\n"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(affine_refused)
{
    static const struct row rows[] = {
        {IMAGE "floats s 2\nfloats b 3\nBatchNormalization n x,s,b,b,b -> y",
         "node \"n\": \"s\" doesn't hold 3 numbers"},
        {IMAGE "floats s 3\nfloats v 3 1 -1 1\nBatchNormalization n x,s,s,s,v -> y epsilon=0.5",
         "node \"n\": variance \"v\": number 1 is -1 with epsilon 0.5"},
        {IMAGE "floats s 3\nfloats v 3 1 -1 1\nBatchNormalization n x,s,s,s,v -> y epsilon=2.0",
         "node \"n\": variance \"v\": number 1 is -1 with epsilon 2"},
        {IMAGE "floats s 3\nfloats v 3 1 0 1\nBatchNormalization n x,s,s,s,v -> y epsilon=0.0",
         "node \"n\": variance \"v\": number 1 is 0 with epsilon 0"},
        {IMAGE "floats s 3\nBatchNormalization n x,s,s,s,s -> y training_mode=1",
         "node \"n\": attribute \"training_mode\" = 1 of BatchNormalization is not supported"},
        {IMAGE "floats s 3\nBatchNormalization n x,s,s,s,s -> y spatial=0",
         "node \"n\": attribute \"spatial\" = 0 of BatchNormalization is not supported"},
        {IMAGE "floats c 6\nAdd n x,c -> y",
         "node \"n\": Add with a constant that isn't one number a channel is not supported"},
        {IMAGE "floats c 3,8,6\nMul n x,c -> y",
         "node \"n\": Mul with a constant that isn't one number a channel is not supported"},
        {FLAT "floats c 5,1,1\nMul n x,c -> y",
         "node \"n\": Mul with a constant that isn't one number a channel is not supported"},
        {IMAGE "floats c 3,1,1 1 0 1\nDiv n x,c -> y", "node \"n\": Div makes a weight of inf"},
        {IMAGE "floats c 3,1,1\nDiv n c,x -> y", "node \"n\": Div by a computed value is not supported"},
        {IMAGE "Relu r x -> r\nDiv n x,r -> y", "node \"n\": Div of two computed values is not supported"},
        {IMAGE "Relu r x -> r\nSub n x,r -> y", "node \"n\": Sub of two computed values is not supported"},
        {IMAGE "AveragePool r x -> r kernel_shape=8,1\nMul n x,r -> y",
         "node \"n\": Mul \"y\": \"x\" (3,8,6) and \"r\" (3,1,6) differ in shape"},
        {IMAGE "floats w 3,6\nGemm n x,w -> y",
         "node \"n\": Gemm of a value laid out as (N,C,H,W) is not supported"},
        {IMAGE "floats w 6,3\nMatMul n x,w -> y",
         "node \"n\": MatMul of a value laid out as (N,C,H,W) is not supported"},
        {FLAT "floats w 5\nMatMul n x,w -> y", "node \"n\": MatMul with a weight of 1 dimensions is not supported"},
        {IMAGE "Transpose t x -> t perm=0,2,3,1\nAdd n x,t -> y",
         "node \"n\": Add of values in different layouts is not supported"},
        {IMAGE "floats c 3,1,1\nTranspose t x -> t perm=0,2,3,1\nAdd n t,c -> y",
         "node \"n\": Add with a constant that isn't one number a channel is not supported"},
        {FLAT "floats w 4,5\nGemm n x,w -> y", "node \"n\": weight \"w\" is for 4 inputs, and 5 come in"},
        {FLAT "floats w 5,4\nGemm n x,w -> y transA=1",
         "node \"n\": attribute \"transA\" = 1 of Gemm is not supported"},
        {FLAT "floats w 5,4\nfloats b 3\nGemm n x,w,b -> y",
         "node \"n\": Gemm with a constant that isn't one number a channel is not supported"},
        {FLAT "floats w 5,4\nMatMul n w,x -> y",
         "node \"n\": input 0 of MatMul (\"w\") must be computed from the network's input"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(simple)
{
    static const struct row rows[] = {
        {IMAGE "Relu n x -> y", "*Relu y(x) 3,8,6\n"},
        {"opset 9\n" IMAGE "Clip n x -> y min=0.0 max=6.0", "*Clip y(x) 3,8,6 0..6\n"},
        {IMAGE "floats l scalar 0\nfloats h scalar inf\nClip n x,l,h -> y", "*Clip y(x) 3,8,6 0..3.40282e+38\n"},
        {IMAGE "floats h 1 6\nClip n x,_,h -> y", "*Clip y(x) 3,8,6 -3.40282e+38..6\n"},
        {FLAT "Softmax n x -> y", "*Softmax y(x) 5 flat\n"},
        {"opset 9\n" FLAT "Softmax n x -> y", "*Softmax y(x) 5 flat\n"},
        {"opset 9\n" IMAGE "GlobalAveragePool g x -> g\nSoftmax n g -> y",
         "GlobalAveragePool g(x) 3,1,1\nFlatten y/flatten(g) 3 flat\n*Softmax y(y/flatten) 3 flat\n"},
        {IMAGE "Relu n x -> r\nIdentity i r -> j\nDropout d j -> y,mask ratio=0.5", "*Relu y(x) 3,8,6\n"},
        {IMAGE "Relu n x -> r\nCast i r -> y to=1", "*Relu y(x) 3,8,6\n"},
        {IMAGE "Relu n x -> r\nConcat c x,r,x -> y axis=-3", "Relu r(x) 3,8,6\n*Concat y(x,r,x) 9,8,6\n"},
        {IMAGE "Relu n x -> y\nArgMax a x -> dead", "*Relu y(x) 3,8,6\n"},
        {IMAGE "floats w 3,3,1,1\nIdentity i w -> v\nConv n x,v -> y",
         "*Conv y(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1\n"},
        {IMAGE "Relu n x -> r\nClip n x,l,h -> y",
         "node \"n\": input \"l\" of Clip isn't made by anything before it"},
        {IMAGE "ints l 1\nClip n x,l -> y", "node \"n\": \"l\" isn't one float"},
        {IMAGE "floats l 1 7\nfloats h 1 6\nClip n x,l,h -> y",
         "node \"n\": Clip \"y\": lower bound 7 isn't at most upper bound 6"},
        {IMAGE "Softmax n x -> y axis=1",
         "node \"n\": Softmax over anything but the channels of a flat value is not supported"},
        {IMAGE "GlobalAveragePool g x -> g\nSoftmax n g -> s axis=1\nRelu r s -> y",
         "GlobalAveragePool g(x) 3,1,1\nFlatten s/flatten(g) 3 flat\nSoftmax s/softmax(s/flatten) 3 flat\n"
         "Unflatten s(s/softmax) 3,1,1\n*Relu y(s) 3,1,1\n"},
        {IMAGE "floats r scalar 0.5\nints t 1\nDropout d x,r,t -> y",
         "node \"d\": Dropout in training mode is not supported"},
        {IMAGE "Dropout d x -> a,b\nRelu r b -> y",
         "node \"r\": input \"b\" of Relu is another node's second output, which is not supported"},
        {IMAGE "Relu r x -> r\nCast d r -> y to=10", "*Relu y(x) 3,8,6\n"},
        {IMAGE "Cast d x -> y to=7", "node \"d\": Cast of a computed value to INT64 is not supported"},
        {IMAGE "Relu n x -> r\nConcat c x,r -> y axis=2",
         "node \"c\": Concat along another axis than the channels is not supported"},
        {IMAGE "Relu n x -> r foo=bar\nRelu m r -> y", "node \"n\": attribute \"foo\" of Relu is not supported"},
        {IMAGE "ArgMax _ x -> y", "unnamed node that makes \"y\": operator ArgMax is not supported"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(shapes)
{
    static const struct row rows[] = {
        {IMAGE "Flatten n x -> y", "*Flatten y(x) 144 flat\n"},
        {IMAGE "Flatten n x -> f axis=-3\nFlatten m f -> y", "*Flatten y(x) 144 flat\n"},
        {IMAGE "ints t 0,-1\nReshape n x,t -> y", "*Flatten y(x) 144 flat\n"},
        {IMAGE "ints t -1,144\nReshape n x,t -> y", "*Flatten y(x) 144 flat\n"},
        {"batch 2\n" IMAGE "ints t 2,-1\nReshape n x,t -> y", "*Flatten y(x) 144 flat\n"},
        {IMAGE "ints t 0,3,-1,6\nReshape n x,t -> r\nRelu m r -> y", "*Relu y(x) 3,8,6\n"},
        {IMAGE "GlobalAveragePool g x -> g\nints a 2,-1\nSqueeze n g,a -> y",
         "GlobalAveragePool g(x) 3,1,1\n*Flatten y(g) 3 flat\n"},
        {IMAGE "ints p 0,1,2,3,0,4,5,6\nPad n x,p -> y mode=constant", "*Pad y(x) 8,15,15 c1,4 h2,5 w3,6\n"},
        {"opset 9\n" IMAGE "Pad n x -> y pads=0,1,2,3,0,4,5,6 value=0.0", "*Pad y(x) 8,15,15 c1,4 h2,5 w3,6\n"},
        {"opset 18\n" IMAGE "ints p 1,2,3,4\nints a -1,1\nPad n x,p,_,a -> y", "*Pad y(x) 9,8,10 c2,4 h0,0 w1,3\n"},
        {FLAT "ints p 0,1,0,2\nPad n x,p -> y", "*Pad y(x) 8 flat c1,2 h0,0 w0,0\n"},
        {IMAGE "ints b 0,1\nints e 9223372036854775807,-1\nints a 2,3\nints s 2,3\nSlice n x,b,e,a,s -> y",
         "*Slice y(x) 3,4,2 c0:3:1 h0:7:2 w1:5:3\n"},
        {"opset 9\n" IMAGE "Slice n x -> y starts=-2,0 ends=100,4 axes=1,3",
         "*Slice y(x) 2,8,4 c1:3:1 h0:8:1 w0:4:1\n"},
        {"batch 1\n" IMAGE "ints b 0,1\nints e 1,2\nSlice n x,b,e -> y",
         "*Slice y(x) 1,8,6 c1:2:1 h0:8:1 w0:6:1\n"},
        {FLAT "ints b 0,1\nints e 2147483647,4\nSlice n x,b,e -> y", "*Slice y(x) 3 flat c1:4:1 h0:1:1 w0:1:1\n"},
        {IMAGE
         "Shape s x -> s\nConstant c -> i value_int=0\nGather g s,i -> b axis=0\nints a 0\nUnsqueeze u b,a -> u\n"
         "ints m -1\nConcat k u,m -> t axis=0\nReshape n x,t -> y",
         "*Flatten y(x) 144 flat\n"},
        {IMAGE
         "floats w 4,3,3,3\nConv c x,w -> c\nShape s c -> s\nints b 0\nints e 1\nSlice l s,b,e -> l\nints m 144\n"
         "Concat k l,m -> t axis=0\nReshape n x,t -> y",
         "*Flatten y(x) 144 flat\n"}, /* the conv, of which only the shape was asked, is gone */
        {IMAGE
         "ints p 0,1\nShape s p -> n\nints i 0\nGather g n,i -> g\nints eight 8\nSub d eight,g -> z\n"
         "ConstantOfShape o z -> f\nCast q f -> o to=7\nConcat k p,o -> k axis=0\nints t -1,2\nReshape r k,t -> r\n"
         "ints b -1\nints e -9223372036854775807\nints a 0\nSlice l r,b,e,a,b -> l\nTranspose tr l -> tr perm=1,0\n"
         "ints one -1\nReshape q2 tr,one -> pads\nPad n x,pads -> y",
         "*Pad y(x) 3,8,7 c0,0 h0,0 w0,1\n"}, /* as PyTorch writes F.pad */
        {IMAGE "Relu r x -> y\nfloats w 2,2\n", "*Relu y(x) 3,8,6\n"},
    };
    CHECK_ROWS(rows);
}
END_TEST

/* Layouts that come and go. */
START_TEST(layouts)
{
    static const struct row rows[] = {
        {IMAGE "Transpose t x -> t perm=0,2,3,1\nRelu r t -> r\nTranspose u r -> y perm=0,3,1,2", "*Relu y(x) 3,8,6\n"},
        {IMAGE "Transpose t x -> t perm=0,2,3,1\nints s -1,144\nReshape n t,s -> y", "*Flatten y(x) 144 flat last\n"},
        {IMAGE "Transpose t x -> t perm=0,2,3,1\nFlatten n t -> y", "*Flatten y(x) 144 flat last\n"},
        {IMAGE "floats c 3\nRelu r x -> r\nTranspose t r -> t perm=0,2,3,1\nMul m t,c -> m\nAdd a m,t -> a\n"
               "ints p 0,1,2,3,0,4,5,6\nPad p a,p -> p2\nConcat k p2,p2 -> k axis=-1\nTranspose u k -> y perm=0,3,1,2",
         "Relu r(x) 3,8,6\nBatchNormalization m(r) 3,8,6 eps 0\nAdd a(m,r) 3,8,6\n"
         "Pad p2(a) 12,13,13 c3,6 h1,4 w2,5\n*Concat y(p2,p2) 24,13,13\n"},
        {IMAGE "Relu r x -> r\nTranspose t r -> t perm=0,2,3,1\nReduceMean m t -> m axes=1,2 keepdims=0\nints s -1,1,1,3\n"
               "Reshape q m,s -> q\nMul k q,t -> k\nTranspose u k -> y perm=0,3,1,2",
         "Relu r(x) 3,8,6\nGlobalAveragePool m(r) 3 flat\nUnflatten k/unflatten0(m) 3,1,1\n"
         "*Mul y(r,k/unflatten0) 3,8,6\n"},
        {IMAGE "Relu r x -> r\nTranspose t r -> t perm=0,2,3,1\nReduceMean m t -> m axes=1,2 keepdims=1\n"
               "Mul k m,t -> k\nTranspose u k -> y perm=0,3,1,2",
         "Relu r(x) 3,8,6\nGlobalAveragePool m(r) 3,1,1\n*Mul y(r,m) 3,8,6\n"},
        {"input x 8,6,3\noutput y\nTranspose t x -> t perm=0,3,1,2\nRelu n t -> y", "*Relu y(x) 3,8,6\n"},
        {"input x 8,6,3\noutput y\nfloats m 3\nSub s x,m -> s\nTranspose t s -> t perm=0,3,1,2\nRelu n t -> y",
         "BatchNormalization s(x) 3,8,6 eps 0\n*Relu y(s) 3,8,6\n"},
        {"input x 8,6,1\noutput y\nints s -1,1,8,6\nReshape t x,s -> t\nRelu n t -> y", "*Relu y(x) 1,8,6\n"},
        {"input x 6,8,5\noutput y\nints s -1,2,3,40\nints q -1,6,8,5\nReshape a x,s -> s2\n"
         "Transpose b s2 -> t perm=0,2,1,3\nReshape c t,q -> y",
         "*ChannelShuffle y(x) 6,8,5 g2\n"},
        {"batch 1\ninput x 6,8,5\noutput y\nints s 1,3,2,8,5\nReshape a x,s -> s2\n"
         "Transpose b s2 -> t perm=0,2,1,3,4\nFlatten c t -> y",
         "ChannelShuffle y/shuffle(x) 6,8,5 g3\n*Flatten y(y/shuffle) 240 flat\n"},
        {"input x 6,8,5\noutput y\nShape h x -> h\nints z 0\nGather g h,z -> g\nints two 2\nints three 3\n"
         "ints p 8,5\nints w 6\nConcat k g,two,three,p -> k axis=0\nConcat l g,w,p -> l axis=0\nReshape a x,k -> s2\n"
         "Transpose b s2 -> t perm=0,2,1,3,4\nReshape c t,l -> y",
         "*ChannelShuffle y(x) 6,8,5 g2\n"},
        {"input x 6,8,5\noutput y\nints s 0,2,3,8,5\nints q 0,6,8,5\nReshape a x,s -> s2\nRelu r s2 -> r\nReshape c r,q -> y",
         "*Relu y(x) 6,8,5\n"},
        {FLAT "ints a 2,3\nUnsqueeze u x,a -> u\nfloats w 4,5,1,1\nConv n u,w -> y",
         "Unflatten u(x) 5,1,1\n*Conv y(u) 4,1,1 k1,1 s1,1 d1,1 p0,0,0,0 g1\n"},
        {IMAGE "Constant c -> i value_int=1\nGather g x,i -> g axis=1\nints a 1\nUnsqueeze u g,a -> u\nRelu r u -> y",
         "Slice g(x) 1,8,6 c1:2:1 h0:8:1 w0:6:1\n*Relu y(g) 1,8,6\n"},
        {IMAGE "ints i 0,1\nGather g x,i -> y axis=1",
         "node \"g\": Gather of anything but one channel, row or column is not supported"},
        {IMAGE "Transpose t x -> y perm=0,2,3,1", "the output \"y\" is the input"},
        {IMAGE "Relu r x -> r\nTranspose t r -> y perm=0,2,3,1",
         "the output \"y\" is laid out as (N,H,W,C), which is not supported"},
        {IMAGE "Transpose t x -> t perm=0,2,3,1\nGlobalAveragePool n t -> y",
         "node \"n\": GlobalAveragePool of a value laid out as (N,H,W,C) is not supported"},
        {IMAGE "ints s 0,3,48\nReshape r x,s -> r\nGlobalAveragePool n r -> y",
         "node \"n\": GlobalAveragePool of a value laid out as (N,C,H*W) is not supported"},
        {IMAGE "ints s 0,3,48\nReshape r x,s -> r\nReduceMean n r -> y axes=2, keepdims=0",
         "*GlobalAveragePool y(x) 3 flat\n"},
        {IMAGE "Transpose t x -> y perm=0,2,2,1", "node \"t\": attribute \"perm\" of Transpose names axis 2 twice"},
        {IMAGE "Transpose t x -> y perm=0,2,1",
         "node \"t\": attribute \"perm\" of Transpose has 3 numbers, only 4 are supported"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(parts)
{
    static const struct row rows[] = {
        {IMAGE "ints p 1,2\nSplit s x,p -> a,b axis=1\nConcat n b,a -> y axis=1",
         "Slice a(x) 1,8,6 c0:1:1 h0:8:1 w0:6:1\nSlice b(x) 2,8,6 c1:3:1 h0:8:1 w0:6:1\n*Concat y(b,a) 3,8,6\n"},
        {"opset 11\n" IMAGE "Split s x -> a,y axis=1 split=1,2", "*Slice y(x) 2,8,6 c1:3:1 h0:8:1 w0:6:1\n"},
        {"opset 18\n" IMAGE "Split s x -> a,y axis=1 num_outputs=2", "*Slice y(x) 1,8,6 c2:3:1 h0:8:1 w0:6:1\n"},
        {IMAGE "Split s x -> y,b axis=3", "*Slice y(x) 3,8,3 c0:3:1 h0:8:1 w0:3:1\n"},
        {IMAGE "Split s x -> y,b", "node \"s\": Split along the batch is not supported"},
        {IMAGE "ints p 1,1\nSplit s x,p -> y,b axis=1",
         "node \"s\": Split of 3 into 2 parts of 2 together, for 2 outputs"},
        {IMAGE "ints p 1,3\nSplit s x,p -> y,b axis=1", "node \"s\": Split of 3: part 1 is 3"},
        {IMAGE "ints p 3\nSplit s x,p -> y,b axis=1", "node \"s\": Split of 3: part 1 is 0"},
        {"opset 18\n" IMAGE "Split s x -> y,b axis=1 num_outputs=3",
         "node \"s\": Split with attribute \"num_outputs\" and 2 outputs"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(curves)
{
    static const struct row rows[] = {
        {IMAGE "Sigmoid n x -> y", "*Sigmoid y(x) 3,8,6\n"},
        {IMAGE "Tanh n x -> y", "*Tanh y(x) 3,8,6\n"},
        {IMAGE "HardSigmoid n x -> y", "*HardSigmoid y(x) 3,8,6 0.2,0.5\n"},
        {IMAGE "HardSigmoid n x -> y alpha=0.25 beta=0.75", "*HardSigmoid y(x) 3,8,6 0.25,0.75\n"},
        {IMAGE "LeakyRelu n x -> y", "*LeakyRelu y(x) 3,8,6 0.01\n"},
        {IMAGE "Elu n x -> y", "*Elu y(x) 3,8,6 1\n"},
        {"opset 14\n" IMAGE "HardSwish n x -> y", "*HardSwish y(x) 3,8,6\n"},
        {IMAGE "floats s 3,1,1\nPRelu n x,s -> y", "*PRelu y(x) 3,8,6\n"},
        {IMAGE "floats s 1\nPRelu n x,s -> y", "*PRelu y(x) 3,8,6\n"},
        {IMAGE "floats s 6\nPRelu n x,s -> y",
         "node \"n\": PRelu with a constant that isn't one number a channel is not supported"},
        {IMAGE "Relu r x -> r\nPRelu n x,r -> y", "node \"n\": input 1 of PRelu (\"r\") must be constant"},
        {IMAGE "LRN n x -> y size=5", "*LRN y(x) 3,8,6 5 0.0001,0.75,1\n"},
        {IMAGE "LRN n x -> y", "node \"n\": attribute \"size\" of LRN is 0, which isn't in 1 ... 1048576"},
        {FLAT "LRN n x -> y size=5", "node \"n\": LRN \"y\": input \"x\" has no height and width"},
        {IMAGE "floats c scalar 6\nMin n x,c -> y", "*Clip y(x) 3,8,6 -3.40282e+38..6\n"},
        {IMAGE "floats c scalar 0\nMax n c,x -> y", "*Clip y(x) 3,8,6 0..3.40282e+38\n"},
        {IMAGE "Relu r x -> r\nMax n x,r -> y", "node \"n\": Max of two computed values is not supported"},
        {IMAGE "Selu n x -> y", "node \"n\": operator Selu is not supported"},
        {IMAGE "LogSoftmax n x -> y", "node \"n\": operator LogSoftmax is not supported"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(gates)
{
    static const struct row rows[] = {
        {IMAGE "Sigmoid r x -> r\nMul n x,r -> y", "Sigmoid r(x) 3,8,6\n*Mul y(x,r) 3,8,6\n"},
        {IMAGE "GlobalAveragePool g x -> g\nMul n x,g -> y", "GlobalAveragePool g(x) 3,1,1\n*Mul y(x,g) 3,8,6\n"},
        {IMAGE "GlobalAveragePool g x -> g\nMul n g,x -> y", "GlobalAveragePool g(x) 3,1,1\n*Mul y(x,g) 3,8,6\n"},
        {IMAGE "Relu r x -> r\nSum n x,r,r,x -> y",
         "Relu r(x) 3,8,6\nAdd y/sum1(x,r) 3,8,6\nAdd y/sum2(y/sum1,r) 3,8,6\n*Add y(y/sum2,x) 3,8,6\n"},
        {IMAGE "floats c scalar 1\nSub n c,x -> y", "*BatchNormalization y(x) 3,8,6 eps 0\n"},
    };
    CHECK_ROWS(rows);
}
END_TEST

/* Two that read one weight are tied; what they have beside it doesn't matter. */
START_TEST(shared)
{
    static const struct row rows[] = {
        {IMAGE "floats w 3,3,1,1\nfloats b 3\nConv n x,w,b -> c\nIdentity i w -> v\nConv m c,v -> y strides=2,2",
         "Conv c(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1 bias\n*Conv y(c) 3,4,3 k1,1 s2,2 d1,1 p0,0,0,0 g1 as c\n"},
        {FLAT "floats w 5,5\nGemm a x,w -> a\nGemm b a,w -> b transB=1\nMatMul c b,w -> y",
         "Gemm a(x) 5 flat\nGemm b(a) 5 flat\n*Gemm y(b) 5 flat as a\n"},
        {IMAGE "floats w 3,3,1,1\nConv n x,w -> c\nShape s c -> s\nConv m x,w -> d\nConv o d,w -> y",
         "Conv d(x) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1\n*Conv y(d) 3,8,6 k1,1 s1,1 d1,1 p0,0,0,0 g1 as d\n"},
    };
    CHECK_ROWS(rows);
}
END_TEST

/* What the last window of ceil_mode overhangs by, and how a mean that counts padding does without. */
START_TEST(ceilings)
{
    static const struct row rows[] = {
        {IMAGE "MaxPool n x -> y kernel_shape=3,3 strides=2,2 ceil_mode=1",
         "*MaxPool y(x) 3,4,3 k3,3 s2,2 d1,1 p0,0,1,1\n"},
        {IMAGE "MaxPool n x -> y kernel_shape=2,2 strides=3,3 ceil_mode=1 pads=1,1,1,1", /* a last one beyond: not */
         "*MaxPool y(x) 3,3,3 k2,2 s3,3 d1,1 p1,1,1,1\n"},
        {IMAGE "AveragePool n x -> y kernel_shape=3,3 strides=2,2 ceil_mode=1",
         "*AveragePool y(x) 3,4,3 k3,3 s2,2 d1,1 p0,0,1,1\n"},
        {IMAGE "AveragePool n x -> y kernel_shape=3,3 strides=2,2 ceil_mode=1 count_include_pad=1 pads=2,0,0,1",
         "Pad y/pad(x) 3,10,7 c0,0 h2,0 w0,1\n*AveragePool y(y/pad) 3,5,3 k3,3 s2,2 d1,1 p0,0,1,0\n"},
        {IMAGE "GlobalMaxPool n x -> y", "*MaxPool y(x) 3,1,1 k8,6 s1,1 d1,1 p0,0,0,0\n"},
        {IMAGE "ReduceMax n x -> y axes=2,3 keepdims=0",
         "MaxPool y/max(x) 3,1,1 k8,6 s1,1 d1,1 p0,0,0,0\n*Flatten y(y/max) 3 flat\n"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(shapes_refused)
{
    static const struct row rows[] = {
        {IMAGE "Flatten n x -> y axis=2", "node \"n\": Flatten at axis 2 is not supported, only behind the batch"},
        {IMAGE "Flatten n x -> y axis=7", "node \"n\": axis 7 of a value with 4 dimensions"},
        {"batch 2\n" IMAGE "ints t 1,-1\nReshape n x,t -> y",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [1,-1] is not supported"},
        {IMAGE "ints t 2,-1\nReshape n x,t -> y",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [2,-1] is not supported"},
        {IMAGE "ints t -1,-1\nReshape n x,t -> y",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [-1,-1] is not supported"},
        {IMAGE "ints t -1,48\nReshape n x,t -> y",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [-1,48] is not supported"},
        {IMAGE "ints t -1\nReshape n x,t -> y", "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [-1] is not supported"},
        {IMAGE "ints t -1,3,2,4,6\nReshape n x,t -> y",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [-1,3,2,4,6] is not supported"},
        {IMAGE "ints t 0,-1\nReshape n x,t -> y allowzero=1",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [0,-1] is not supported"},
        {IMAGE "ints t 0,6,8,3\nReshape n x,t -> y",
         "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to [0,6,8,3] is not supported"},
        {IMAGE "floats t 2\nReshape n x,t -> y", "node \"n\": Reshape of (N,C,H,W), 3 x 8 x 6, to numbers that aren't "
                                                "dimensions is not supported"},
        {IMAGE "ints a 1\nSqueeze n x,a -> y", "node \"n\": Squeeze of axis 1, which is more than one, is not supported"},
        {IMAGE "ints a 0\nSqueeze n x,a -> y", "node \"n\": Squeeze of axis 0, which is more than one, is not supported"},
        {"batch 1\n" IMAGE "Squeeze n x -> y",
         "node \"n\": Squeeze without axes, which takes the batch away, is not supported"},
        {IMAGE "ints a 0,0\nUnsqueeze n x,a -> y", "node \"n\": Unsqueeze names axis 0 twice"},
        {IMAGE "Unsqueeze n x -> y", "node \"n\": Unsqueeze without axes"},
        {IMAGE "ints a 0,1,2,3,4\nUnsqueeze n x,a -> y", "node \"n\": 9 dimensions, more than 8"},
        {IMAGE "ints p 0,0,-1,0,0,0,0,0\nPad n x,p -> y",
         "node \"n\": Pad by -1 and 0 along axis 2 is not supported"},
        {IMAGE "ints p 1,0,0,0,0,0,0,0\nPad n x,p -> y", "node \"n\": Pad along the batch is not supported"},
        {IMAGE "ints p 0,0\nPad n x,p -> y", "node \"n\": Pad with 2 pads for 4 axes"},
        {IMAGE "ints p 0,0,1,0,0,0,0,0\nfloats v scalar 1\nPad n x,p,v -> y",
         "node \"n\": Pad with 1 in place of 0 is not supported"},
        {IMAGE "ints p 0,0,1,0,0,0,0,0\nPad n x,p -> y mode=reflect",
         "node \"n\": attribute \"mode\" = \"reflect\" of Pad is not supported"},
        {IMAGE "ints b 1\nints e 2\nSlice n x,b,e -> y", "node \"n\": Slice along the batch is not supported"},
        {IMAGE "ints b 3\nints e 3\nints a 2\nSlice n x,b,e,a -> y",
         "node \"n\": Slice of axis 2 that takes nothing or runs backwards is not supported"},
        {IMAGE "ints b -1\nints e -9\nints a 2\nints s -1\nSlice n x,b,e,a,s -> y",
         "node \"n\": Slice of axis 2 that takes nothing or runs backwards is not supported"},
        {IMAGE "ints b 1\nints e 3\nints s 0\nSlice n x,b,e,b,s -> y", "node \"n\": Slice by steps of 0"},
        {IMAGE "ints b 1,1\nints e 3\nSlice n x,b,e -> y",
         "node \"n\": Slice with 2 starts, 1 ends, -1 axes and -1 steps"},
        {IMAGE "ints b 1,1\nints e 3,3\nints a 2,-2\nSlice n x,b,e,a -> y", "node \"n\": Slice names axis 2 twice"},
        {IMAGE "Shape s x -> s\nMul m s,s -> t\nReshape n x,t -> y",
         "node \"m\": Mul with the batch size is not supported"},
        {IMAGE "Shape s x -> s\nAdd m s,s -> t\nReshape n x,t -> y",
         "node \"m\": Add with the batch size is not supported"},
        {IMAGE "ints b 0\nints e 1\nSlice n x,b,e -> y", "node \"n\": Slice along the batch is not supported"},
        {IMAGE "Shape s x -> s\nPad n x,s -> y",
         "node \"n\": \"s\" depends on the batch size, which is not supported"},
        {IMAGE "ints a 9223372036854775807\nints b 2\nMul m a,b -> t\nReshape n x,t -> y",
         "node \"m\": Mul of 9223372036854775807 and 2 isn't a number"},
        {IMAGE "ints a 1\nints b 0\nDiv m a,b -> t\nReshape n x,t -> y",
         "node \"m\": Div of 1 and 0 isn't a number"},
        {IMAGE "ints a 1,2\nints i 2\nGather m a,i -> t\nReshape n x,t -> y",
         "node \"m\": Gather of number 2 of 2"},
        {IMAGE "floats a 1 1e30\nCast m a -> t to=7\nReshape n x,t -> y",
         "node \"m\": Cast of 1e+30 to an integer"},
        {IMAGE "ints a 1000000,1000000\nConstantOfShape m a -> t\nConv n x,t -> y",
         "node \"m\": 1000000000000 numbers are more than a file of this size may ask for"},
        {IMAGE "Constant m -> t value_string=a\nReshape n x,t -> y",
         "node \"m\": attribute \"value_string\" of Constant is not supported"},
    };
    CHECK_ROWS(rows);
}
END_TEST

START_TEST(whole_graphs)
{
    static const struct row rows[] = {
        {"opset 6\n" IMAGE "Relu n x -> y", "opset 6 is not supported, only 7 ... 21"},
        {"opset 22\n" IMAGE "Relu n x -> y", "opset 22 is not supported, only 7 ... 21"},
        {"input a 3,8,8\ninput b 3,8,8\noutput y\nAdd n a,b -> y",
         "several inputs (\"a\", \"b\"), only one is supported"},
        {"input x 3,8,8\noutput y\noutput z\nRelu n x -> y\nRelu m x -> z",
         "2 outputs (\"y\", \"z\" ...), only one is supported"},
        {"input x 3,8,8\nRelu n x -> y", "0 outputs (\"\", \"\" ...), only one is supported"},
        {"output y\nints x 1\nRelu n x -> y", "the graph has no input"},
        {"input x 3,8,8\noutput z\nRelu n x -> y", "the output \"z\" isn't made by any node"},
        {"input x 3,8,8\noutput x\nRelu n x -> y", "the output \"x\" is the input"},
        {"input x 3,8,8\noutput y\nIdentity n x -> y", "the output \"y\" is the input"},
        {"input x 3,8,8\noutput y\nConstant n -> y value_int=1", "the output \"y\" isn't computed from the input"},
        {"input x 3,8,8\noutput y\nShape n x -> y", "the output \"y\" isn't computed from the input"},
        {"input x 3,8,8\noutput y\nRelu n x -> y\nRelu m x -> y", "the value \"y\" is defined twice"},
        {"input x 3,8,8\noutput y\nRelu n x -> x\nRelu m x -> y", "the value \"x\" is defined twice"},
        {"input x 3,8,8\noutput y\nRelu n z -> y\nRelu m x -> z",
         "node \"n\": input \"z\" of Relu isn't made by anything before it"},
        {"input x 3,8,8\noutput y\nRelu n y -> y",
         "node \"n\": input \"y\" of Relu isn't made by anything before it"},
        {"input x 3,0,8\noutput y\nRelu n x -> y", "input \"x\": dimension 2 is 0"},
        {"input x 3,8,8\ninput w 1,1,1\noutput y\nfloats w 1,3,1,1\nConv n x,w -> y",
         "*Conv y(x) 1,8,8 k1,1 s1,1 d1,1 p0,0,0,0 g1\n"}, /* initializers among the inputs, as in old files */
        {"input x 3,8,8\noutput y\nRelu n\x01 x -> y", "the name \"n?\" isn't printable UTF-8"},
        {"input x 3,8,8\noutput y\nRelu n x -> y\xff\nRelu m y\xff -> y", "the name \"y?\" isn't printable UTF-8"},
    };
    CHECK_ROWS(rows);
}
END_TEST

static void check_floats(const float *got, const float *want, size_t n)
{
    ck_assert_ptr_nonnull(got);
    for (size_t k = 0; k < n; k++)
        ck_assert_msg(got[k] == want[k], "number %zu: want %g, got %g", k, (double)want[k], (double)got[k]);
}

START_TEST(gemm_numbers)
{
    struct model m;
    struct err e;
    ck_assert_int_eq(load_text("input x 2\noutput y\nfloats w 2,3 1 2 3 4 5 6\nfloats b 3 1 2 3\n"
                               "Gemm n x,w,b -> y alpha=0.5 beta=2.0",
                               &m, &e),
                     0);
    check_floats(m.weights.of[1].w, (float[]){0.5f, 2, 1, 2.5f, 1.5f, 3}, 6);
    check_floats(m.weights.of[1].b, (float[]){2, 4, 6}, 3);
    model_release(&m);
    ck_assert_int_eq(load_text("input x 2\noutput y\nfloats w 3,2 1 2 3 4 5 6\nfloats b scalar 7\n"
                               "Gemm n x,w,b -> y transB=1",
                               &m, &e),
                     0);
    check_floats(m.weights.of[1].w, (float[]){1, 2, 3, 4, 5, 6}, 6);
    check_floats(m.weights.of[1].b, (float[]){7, 7, 7}, 3);
    model_release(&m);
}
END_TEST

START_TEST(line_numbers)
{
    static const struct {
        const char *node;
        float scale, shift;
    } rows[] = {{"Add n x,c", 1, 4}, {"Add n c,x", 1, 4}, {"Sub n x,c", 1, -4},   {"Sub n c,x", -1, 4},
                {"Mul n x,c", 4, 0}, {"Mul n c,x", 4, 0}, {"Div n x,c", 0.25f, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model m;
        struct err e;
        char *text = xasprintf("input x 2,3,3\noutput y\nfloats c 2,1,1 4 4\n%s -> y", rows[i].node);
        ck_assert_int_eq(load_text(text, &m, &e), 0);
        const struct params *p = &m.weights.of[1];
        check_floats(p->w, (float[]){rows[i].scale, rows[i].scale}, 2);
        check_floats(p->b, (float[]){rows[i].shift, rows[i].shift}, 2);
        check_floats(p->mean, (float[]){0, 0}, 2);
        check_floats(p->var, (float[]){1, 1}, 2);
        ck_assert(m.graph.nodes[1].u.bn.eps == 0);
        model_release(&m);
        free(text);
    }
}
END_TEST

/* A constant weight that passes through Transpose, Slice, Gather, Concat, Mul, Unsqueeze and Squeeze. */
START_TEST(folded_numbers)
{
    struct model m;
    struct err e;
    ck_assert_int_eq(
        load_text("input x 2\noutput y\nfloats w 2,3 1 2 3 4 5 6\nTranspose t w -> t\n" /* 1 4, 2 5, 3 6 */
                  "ints b -1\nints e -9\nints a 0\nSlice s t,b,e,a,b -> s\n"            /* 3 6, 2 5, 1 4 */
                  "ints i 1,-1\nGather g s,i -> g axis=0\n"                             /* 2 5, 1 4 */
                  "Concat c g,s -> c axis=0\n"        /* 2 5, 1 4, 3 6, 2 5, 1 4 */
                  "floats k 2 1 10\nMul m c,k -> m\n" /* second column * 10 */
                  "ints one 0,3\nUnsqueeze u m,one -> u\nints last -1\nSqueeze l u,last -> l\nSqueeze q l -> "
                  "q\nGemm n x,q -> y transB=1",
                  &m, &e),
        0);
    check_floats(m.weights.of[1].w, (float[]){2, 50, 1, 40, 3, 60, 2, 50, 1, 40}, 10);
    model_release(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx_ops");
    TCase *t = tcase_create("ops");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, windows);
    tcase_add_test(t, windows_refused);
    tcase_add_test(t, affine);
    tcase_add_test(t, affine_refused);
    tcase_add_test(t, simple);
    tcase_add_test(t, shapes);
    tcase_add_test(t, layouts);
    tcase_add_test(t, parts);
    tcase_add_test(t, curves);
    tcase_add_test(t, gates);
    tcase_add_test(t, shared);
    tcase_add_test(t, ceilings);
    tcase_add_test(t, shapes_refused);
    tcase_add_test(t, whole_graphs);
    tcase_add_test(t, gemm_numbers);
    tcase_add_test(t, line_numbers);
    tcase_add_test(t, folded_numbers);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad != 0;
}
