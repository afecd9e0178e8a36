/* What is written, and that reading it gives back what there was. */
#include <check.h>
#include <string.h>

#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "tests/unit/onnx_text.h"

/* Loads text, saves it, and unpacks what was saved. */
static Onnx__ModelProto *save_text(const char *text, const struct onnx_meta *meta, int n_meta)
{
    struct buf b = {0}, out = {0};
    struct model m;
    struct err e;
    onnx_text_pack(text, &b);
    ck_assert_msg(onnx_load(b.p, b.n, &m, &e) == 0, "%s", e.text);
    ck_assert_int_eq(onnx_save(&m, meta, n_meta, &out, &e), 0);
    Onnx__ModelProto *file = onnx__model_proto__unpack(NULL, out.n, out.p);
    ck_assert_ptr_nonnull(file);
    model_release(&m);
    buf_release(&b);
    buf_release(&out);
    return file;
}

static void check_round_trip(const char *text)
{
    struct buf b = {0}, out = {0}, twice = {0};
    struct model m, back;
    struct err e;
    onnx_text_pack(text, &b);
    ck_assert_msg(onnx_load(b.p, b.n, &m, &e) == 0, "%s", e.text);
    ck_assert_int_eq(onnx_save(&m, NULL, 0, &out, &e), 0);
    ck_assert_int_eq(onnx_save(&m, NULL, 0, &twice, &e), 0);
    ck_assert(out.n == twice.n && memcmp(out.p, twice.p, out.n) == 0);
    ck_assert_msg(onnx_load(out.p, out.n, &back, &e) == 0, "%s\n%s", text, e.text);
    ck_assert_msg(onnx_text_same(&m, &back), "%s", text);
    model_release(&m);
    model_release(&back);
    buf_release(&b);
    buf_release(&out);
    buf_release(&twice);
}

#define IMAGE "input x 3,8,6\noutput y\n"
#define FLAT  "input x 5\noutput y\n"
#define SHUFFLE                                                                                                    \
    "input x 6,8,5\noutput y\nints s 0,2,3,8,5\nints q 0,6,8,5\nReshape a x,s -> s2\n"                             \
    "Transpose _ s2 -> t perm=0,2,1,3,4\n"
#define FLAT_SHUFFLE                                                                                               \
    "input x 6\noutput y\nints s 0,2,3\nints q 0,6\nReshape a x,s -> s2\nTranspose _ s2 -> t perm=0,2,1\n"         \
    "Reshape b t,q -> y"
#define LAST_INPUT "input x 8,6,3\noutput y\n"

/* Each operator, with every number of it away from its default. */
START_TEST(operators)
{
    static const char *const rows[] = {
        IMAGE "floats w 6,1,3,2\nfloats b 6\nConv n x,w,b -> y group=3 strides=2,3 dilations=2,1 pads=1,2,0,1",
        IMAGE "floats w 2,3,1,1\nConv n x,w -> y",
        IMAGE "floats s 3\nfloats m 3 -1 0 1\nBatchNormalization n x,s,m,m,s -> y epsilon=0.123",
        IMAGE "Relu n x -> y",
        IMAGE "floats l scalar -1.25\nfloats h scalar 3.5\nClip n x,l,h -> y",
        IMAGE "Clip n x -> y",
        IMAGE "MaxPool n x -> y kernel_shape=3,2 strides=2,1 dilations=2,3 pads=2,1,1,0",
        IMAGE "AveragePool n x -> y kernel_shape=3,2 strides=2,1 pads=2,1,1,0 count_include_pad=1",
        IMAGE "AveragePool n x -> y kernel_shape=3,2",
        IMAGE "GlobalAveragePool n x -> y",
        IMAGE "ReduceMean n x -> y axes=2,3 keepdims=0",
        IMAGE "Relu r x -> r\nAdd n r,x -> y",
        IMAGE "Relu r x -> r\nConcat n r,x,r -> y axis=1",
        IMAGE "ints p 0,1,2,3,0,4,5,6\nPad n x,p -> y",
        IMAGE "ints p 0,0,0,0,0,0,0,0\nPad n x,p -> y",
        FLAT "ints p 0,1,0,2\nPad n x,p -> y",
        IMAGE "ints b 1,2,3\nints e 3,7,6\nints a 1,2,3\nints s 1,3,2\nSlice n x,b,e,a,s -> y",
        FLAT "ints b 1\nints e 5\nints a 1\nints s 3\nSlice n x,b,e,a,s -> y",
        IMAGE "Flatten n x -> y",
        FLAT "floats w 5,4\nfloats b 4\nGemm n x,w,b -> y",
        FLAT "floats w 5,4\nMatMul n x,w -> y",
        FLAT "Softmax n x -> y",
        IMAGE "GlobalAveragePool g x -> g\nSoftmax _ g -> y axis=1",
        IMAGE "floats c scalar 2\nMul n x,c -> y",
        IMAGE "Relu r x -> r\nMul n r,x -> y",
        IMAGE "GlobalAveragePool g x -> g\nMul n g,x -> y",
        IMAGE "Sigmoid n x -> y",
        IMAGE "Tanh n x -> y",
        IMAGE "HardSigmoid n x -> y alpha=0.3 beta=0.4",
        "opset 14\n" IMAGE "HardSwish n x -> y",
        IMAGE "LeakyRelu n x -> y alpha=0.3",
        IMAGE "Elu n x -> y alpha=0.3",
        IMAGE "floats s 3,1,1\nPRelu n x,s -> y",
        FLAT "floats s 5\nPRelu n x,s -> y",
        IMAGE "LRN n x -> y size=2 alpha=0.3 beta=0.6 bias=1.5",
        SHUFFLE "Reshape b t,q -> y",
        FLAT_SHUFFLE,
        SHUFFLE "Reshape b t,q -> z\nRelu r z -> y",
        FLAT "ints t 0,5,1,1\nReshape n x,t -> y",
        LAST_INPUT "Transpose t x -> t perm=0,3,1,2\nRelu n t -> y",
        IMAGE "Transpose t x -> t perm=0,2,3,1\nFlatten n t -> y",
        IMAGE "ints p 1,2\nSplit n x,p -> a,b axis=1\nRelu m b -> y",
        IMAGE "ints p 1,2\nSplit n x,p -> a,b axis=1\nConcat m b,a -> y axis=1",
        IMAGE "floats w 3,3,1,1\nfloats b 3\nConv n x,w,b -> c\nConv m c,w,b -> y",
        FLAT "floats w 5,5\nfloats b 5\nGemm n x,w,b -> c\nGemm m c,w -> y",
        IMAGE "AveragePool n x -> y kernel_shape=3,3 strides=2,2 ceil_mode=1 count_include_pad=1",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_round_trip(rows[i]);
}
END_TEST

START_TEST(frame)
{
    static const struct onnx_meta meta[] = {{"espalier.search", "7"}, {"espalier.episode", "12"}};
    Onnx__ModelProto *f = save_text("opset 9\nbatch 1\n" IMAGE "Relu the_relu x -> y", meta, 2);
    ck_assert_str_eq(f->producer_name, "espalier");
    ck_assert_int_eq(f->opset_import[0]->version, 9);
    ck_assert_int_eq(f->ir_version, 7);
    ck_assert_str_eq(f->graph->name, "text");
    ck_assert_int_eq(f->n_metadata_props, 2);
    ck_assert_str_eq(f->metadata_props[1]->key, "espalier.episode");
    ck_assert_str_eq(f->metadata_props[1]->value, "12");
    ck_assert_str_eq(f->graph->node[0]->name, "the_relu");
    const Onnx__ValueInfoProto *in = f->graph->input[0], *out = f->graph->output[0];
    ck_assert_str_eq(in->name, "x");
    ck_assert_str_eq(out->name, "y");
    ck_assert_int_eq(in->type->tensor_type->shape->n_dim, 4);
    ck_assert_str_eq(in->type->tensor_type->shape->dim[0]->dim_param, "N");
    ck_assert_int_eq(out->type->tensor_type->shape->dim[2]->dim_value, 8);
    onnx__model_proto__free_unpacked(f, NULL);
}
END_TEST

START_TEST(versions)
{
    static const struct {
        const char *text;
        int opset, ir;
    } rows[] = {
        {"opset 7\n" FLAT "Relu n x -> y", 7, 7},
        {"opset 15\n" FLAT "Relu n x -> y", 15, 8},
        {"opset 20\n" FLAT "Relu n x -> y", 20, 8},
        {"opset 9\n" FLAT "floats w 5,4\nMatMul n x,w -> y", 11, 7},             /* Gemm's bias is optional from 11 on */
        {"opset 9\n" FLAT "floats w 5,4\nfloats b 4\nGemm n x,w,b -> y", 9, 7},
        {"opset 9\n" FLAT "Slice n x -> y axes=1, starts=0, ends=2,", 10, 7}, /* steps */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Onnx__ModelProto *f = save_text(rows[i].text, NULL, 0);
        ck_assert_int_eq(f->opset_import[0]->version, rows[i].opset);
        ck_assert_int_eq(f->ir_version, rows[i].ir);
        onnx__model_proto__free_unpacked(f, NULL);
    }
}
END_TEST

/* A value may be called what an initializer would be. */
START_TEST(names_that_meet)
{
    static const char text[] = "input y.weight 3,8,6\noutput y\nfloats w 3,3,1,1\nRelu r y.weight -> y.weight_\n"
                               "Conv n y.weight_,w -> y";
    Onnx__ModelProto *f = save_text(text, NULL, 0);
    ck_assert_int_eq(f->graph->n_initializer, 1);
    ck_assert_str_eq(f->graph->initializer[0]->name, "y.weight__");
    onnx__model_proto__free_unpacked(f, NULL);
    check_round_trip(text);
}
END_TEST

/* Old files carry in attributes what newer ones have as inputs, and the other way round. */
START_TEST(every_opset)
{
    static const char *const rows[] = {
        IMAGE "Clip n x -> y min=-1.5 max=2.5", IMAGE "Pad n x -> y pads=0,1,2,3,0,4,5,6",
        IMAGE "ReduceMean n x -> y axes=2,3 keepdims=0", IMAGE "MaxPool n x -> y kernel_shape=2,2"};
    static const char *const later[] = {
        IMAGE "floats l scalar -1.25\nfloats h scalar 3.5\nClip n x,l,h -> y",
        IMAGE "ints p 0,1,2,3,0,4,5,6\nPad n x,p -> y",
        IMAGE "ints a 2,3\nReduceMean n x,a -> y keepdims=0",
        IMAGE "MaxPool n x -> y kernel_shape=2,2"};
    for (int opset = 7; opset <= 21; opset++)
        for (size_t i = 0; i < 4; i++) {
            char text[200];
            bool new = i == 2 ? opset >= 18 : opset >= 11;
            snprintf(text, sizeof text, "opset %d\n%s", opset, new ? later[i] : rows[i]);
            Onnx__ModelProto *f = save_text(text, NULL, 0);
            ck_assert_msg(f->opset_import[0]->version == opset, "%s", text);
            onnx__model_proto__free_unpacked(f, NULL);
            check_round_trip(text);
        }
}
END_TEST

/* One kernel for two convs and one pair of bounds for two clips stay one. */
START_TEST(nothing_twice)
{
    static const char text[] = IMAGE "floats w 3,3,1,1\nfloats l scalar 0\nfloats h scalar 6\nConv a x,w -> a\n"
                                     "Clip b a,l,h -> b\nConv c b,w -> c\nClip d c,l,h -> y";
    Onnx__ModelProto *f = save_text(text, NULL, 0);
    ck_assert_int_eq(f->graph->n_initializer, 3);
    ck_assert_str_eq(f->graph->node[2]->input[1], f->graph->node[0]->input[1]);
    onnx__model_proto__free_unpacked(f, NULL);
    check_round_trip(text);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx_save");
    TCase *t = tcase_create("save");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, operators);
    tcase_add_test(t, frame);
    tcase_add_test(t, versions);
    tcase_add_test(t, names_that_meet);
    tcase_add_test(t, every_opset);
    tcase_add_test(t, nothing_twice);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad != 0;
}
