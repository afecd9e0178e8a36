/* What is written, and that reading it gives back what there was. */
#include <check.h>
#include <string.h>

#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "tests/unit/onnx_text.h"
#include "worker/compress/cut.h"

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

/* What the nodes of a file read behind their first input: "a,b c" of the first two that read more; and that this is all
 * that is stored, once each. */
static void check_reads(const Onnx__ModelProto *f, const char *expected)
{
    struct buf b = {0};
    const Onnx__GraphProto *g = f->graph;
    buf_append(&b, "", 0);
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 1; k < g->node[i]->n_input; k++)
            buf_text(&b, "%s%s", k > 1 ? "," : b.n > 0 ? " " : "", g->node[i]->input[k]);
    ck_assert_str_eq((const char *)b.p, expected);
    for (size_t i = 0; i < g->n_initializer; i++) {
        ck_assert_ptr_nonnull(strstr(expected, g->initializer[i]->name));
        for (size_t k = 0; k < i; k++)
            ck_assert_str_ne(g->initializer[i]->name, g->initializer[k]->name);
    }
    buf_release(&b);
}

/* Weights are called as they were, where they are what they were; else after the value. */
START_TEST(names)
{
    static const char *const rows[][2] = {
        {IMAGE "floats layer1.0.conv1.weight 3,3,1,1\nfloats layer1.0.conv1.bias 3\nfloats 1.running_mean 3\n"
               "Conv n x,layer1.0.conv1.weight,layer1.0.conv1.bias -> c\n"
               "BatchNormalization _ c,layer1.0.conv1.bias,1.running_mean,1.running_mean,layer1.0.conv1.bias -> y",
         "layer1.0.conv1.weight,layer1.0.conv1.bias layer1.0.conv1.bias,1.running_mean,1.running_mean,layer1.0.conv1.bias"},
        {IMAGE "floats slope 3,1,1\nPRelu n x,slope -> y", "slope"},
        {IMAGE "floats slope 1\nPRelu n x,slope -> y", "y.slope"},
        {FLAT "floats fc.weight 5,4\nfloats fc.bias 4\nMatMul _ x,fc.weight -> p\nAdd n fc.bias,p -> y", "fc.weight,fc.bias"},
        {FLAT "floats w 5,4\nfloats b 4\nMatMul _ x,w -> p\nSub n p,b -> y", "w,y.bias"},
        {FLAT "floats w 5,4\nfloats b 1\nMatMul _ x,w -> p\nAdd n p,b -> y", "w,y.bias"},
        {FLAT "floats w 4,5\nfloats b 4\nGemm n x,w,b -> y transB=1", "w,b"},
        {FLAT "floats w 4,5\nfloats b 4\nGemm n x,w,b -> y transB=1 alpha=0.5", "y.weight,b"},
        {FLAT "floats w 4,5\nfloats b 4\nGemm n x,w,b -> y transB=1 beta=0.5", "w,y.bias"},
        {FLAT "floats w 4,5\nTranspose _ w -> t\nMatMul n x,t -> y", "w"},
        {FLAT "floats w 5,4\nIdentity _ w -> t\nCast _ t -> u to=1\nMatMul n x,u -> y", "w"},
        {FLAT "floats w 5,4\nfloats two scalar 2\nMul _ w,two -> u\nMatMul n x,u -> y", "y.weight"},
        {"input x 1\noutput y\nConstant _ -> c value_float=0.5\nPRelu n x,c -> y", "c"},
        {IMAGE "floats c 3,1,1\nMul n x,c -> y", "y.scale,y.bias,y.mean,y.var"},
        /* one array read in two ways becomes two */
        {FLAT "floats w 5,5\nGemm n x,w -> a transB=1\nGemm m a,w -> y", "w y.weight"},
        {"input x 3\noutput y\nfloats w 3,3\nfloats s 3\nGemm n x,w,s -> a\nPRelu _ a,s -> y", "w,s s"},
        /* names that are taken */
        {"input y.weight 5\noutput y\nfloats w 5,4\nfloats two scalar 2\nMul _ w,two -> u\nRelu _ y.weight -> y.weight_\n"
         "MatMul n y.weight_,u -> y", "y.weight__"},
        {FLAT "floats y.weight 5,5\nGemm n x,y.weight -> a\nGemm m a,y.weight -> y transB=1", "y.weight y.weight_"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Onnx__ModelProto *f = save_text(rows[i][0], NULL, 0);
        check_reads(f, rows[i][1]);
        onnx__model_proto__free_unpacked(f, NULL);
        check_round_trip(rows[i][0]);
    }
}
END_TEST

/* The text's model without the first channel of its first group and the last of its last. */
static Onnx__ModelProto *save_cut(const char *text)
{
    struct buf b = {0}, out = {0};
    struct model m, small;
    struct groups gs;
    struct err e;
    bool live[64];
    onnx_text_pack(text, &b);
    ck_assert_msg(onnx_load(b.p, b.n, &m, &e) == 0, "%s", e.text);
    ck_assert_int_eq(groups_find(&m.graph, &gs, &e), 0);
    ck_assert(gs.n_classes <= 64 && gs.n > 0);
    memset(live, true, sizeof live);
    live[gs.of[0].classes[0]] = live[gs.of[gs.n - 1].classes[gs.of[gs.n - 1].n - 1]] = false;
    ck_assert_int_eq(cut(&m, &gs, live, &small, &e), 0);
    model_release(&m);
    buf_release(&b);
    ck_assert_int_eq(onnx_save(&small, NULL, 0, &out, &e), 0);
    Onnx__ModelProto *file = onnx__model_proto__unpack(NULL, out.n, out.p);
    ck_assert_ptr_nonnull(file);
    groups_release(&gs);
    model_release(&small);
    buf_release(&out);
    return file;
}

#define TWO "floats w 6,3,1,1\nfloats v 6,6,1,1\nfloats u 4,6,1,1\n"

/* What one bias became is one as long as its numbers are, and a weight that two share is cut once. */
START_TEST(names_after_a_cut)
{
    static const char *const rows[][2] = {
        {IMAGE TWO "floats z 6\nConv n x,w,z -> a\nConv m a,v,z -> b\nConv l b,u -> y", "w,z v,b.bias u"},
        {IMAGE TWO "floats z 6 0 0 0 0 0 0\nConv n x,w,z -> a\nConv m a,v,z -> b\nConv l b,u -> y", "w,z v,z u"},
        {IMAGE TWO "floats z 6\nConv n x,w,z -> a\nConv m a,v,z -> b\nConv l b,v,z -> c\nConv k c,u -> y", "w,z v,z v,z u"},
        {IMAGE TWO "floats b.bias 6\nConv n x,w,b.bias -> a\nConv m a,v,b.bias -> b\nConv l b,u -> y",
         "w,b.bias v,b.bias_ u"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        Onnx__ModelProto *f = save_cut(rows[i][0]);
        ck_assert_int_ne(f->graph->initializer[0]->dims[0], 0);
        check_reads(f, rows[i][1]);
        onnx__model_proto__free_unpacked(f, NULL);
    }
}
END_TEST

/* Values come first, such as those of nodes that a search puts in. */
START_TEST(names_of_values)
{
    struct buf b = {0}, out = {0};
    struct model m;
    struct err e;
    onnx_text_pack(FLAT "floats w 5,4\nfloats b 4\nGemm n x,w,b -> y", &b);
    ck_assert_int_eq(onnx_load(b.p, b.n, &m, &e), 0);
    mem_free(m.graph.nodes[1].names[NAME_W]);
    m.graph.nodes[1].names[NAME_W] = mem_dup("x", 2, 1);
    ck_assert_int_eq(onnx_save(&m, NULL, 0, &out, &e), 0);
    Onnx__ModelProto *f = onnx__model_proto__unpack(NULL, out.n, out.p);
    check_reads(f, "y.weight,b");
    onnx__model_proto__free_unpacked(f, NULL);
    model_release(&m);
    buf_release(&b);
    buf_release(&out);
}
END_TEST

/* A long name that nodes read under a short one doesn't make a small file a large model. */
START_TEST(names_at_length)
{
    enum { LONG = 1 << 20, NODES = 300 };
    struct buf text = {0}, b = {0};
    struct model m;
    struct err e;
    char *name = xmalloc(LONG + 1);
    memset(name, 'a', LONG);
    name[LONG] = 0;
    buf_text(&text, "input x0 1\noutput x%d\nfloats %s 1 1\nIdentity _ %s -> s\n", NODES, name, name);
    for (int i = 0; i < NODES; i++)
        buf_text(&text, "BatchNormalization _ x%d,s,s,s,s -> x%d\n", i, i + 1);
    onnx_text_pack((const char *)text.p, &b);
    ck_assert_int_eq(onnx_load(b.p, b.n, &m, &e), ERR_LIMIT);
    ck_assert_ptr_nonnull(strstr(e.text, "copies of weights' names"));
    free(name);
    buf_release(&text);
    buf_release(&b);
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
    tcase_add_test(t, names);
    tcase_add_test(t, names_after_a_cut);
    tcase_add_test(t, names_of_values);
    tcase_add_test(t, names_at_length);
    tcase_add_test(t, every_opset);
    tcase_add_test(t, nothing_twice);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad != 0;
}
