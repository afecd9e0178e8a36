/* Whole files: real ones, the forms numbers come in, and hostile bytes. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "common/onnx/tensor.h"
#include "common/onnx/wire.h"
#include "tests/unit/onnx_text.h"

/* A conv net of every kind of node that has parameters. */
#define SMALL                                                                                                      \
    "input x 2,6,6\noutput y\nfloats w 4,2,3,3\nfloats s 4\nfloats g 4,3\nfloats b 3\nConv c x,w -> c "            \
    "pads=1,1,1,1\n"                                                                                               \
    "BatchNormalization n c,s,s,s,s -> n\nRelu r n -> r\nGlobalAveragePool p r -> p\nFlatten f p -> f\n"           \
    "Gemm d f,g,b -> y\n"

/* Loads, and when that goes well saves and loads again, which must give the same; the load's code. */
static int round_trip(const void *bytes, size_t n, struct model *m, struct err *e)
{
    struct buf saved = {0}, again = {0};
    struct model back;
    int rc = onnx_load(bytes, n, m, e);
    if (rc < 0) {
        ck_assert_int_eq(rc, e->code);
        ck_assert_ptr_null(strchr(e->text, '\n'));
        ck_assert_int_eq(m->graph.n, 0);
        return rc;
    }
    ck_assert_msg(onnx_save(m, NULL, 0, &saved, e) == 0, "%s", e->text);
    ck_assert_msg(onnx_load(saved.p, saved.n, &back, e) == 0, "%s", e->text);
    ck_assert(onnx_text_same(m, &back));
    ck_assert_int_eq(onnx_save(&back, NULL, 0, &again, e), 0);
    ck_assert(saved.n == again.n && memcmp(saved.p, again.p, saved.n) == 0);
    model_release(&back);
    buf_release(&saved);
    buf_release(&again);
    return 0;
}

struct file {
    const char *path; /* under data/ of the shared folder */
    int nodes;        /* 0: refused */
    const char *want; /* name of the output, or how the refusal ends */
};

static const struct file files[] = {
    {"models/cifar10_resnet20_akamaster.bn.onnx", 75, "logits"},
    {"models/cifar10_resnet20_akamaster.fold.onnx", 56, "logits"},
    {"models/cifar10_resnet20_akamaster.rawbn.onnx", 77, "logits"},
    {"models/cifar10_resnet20_distiller_dense.bn.onnx", 75, "logits"},
    {"models/cifar10_resnet56_akamaster.bn.onnx", 201, "logits"},
    {"models/cifar10_resnet56_akamaster.fold.onnx", 146, "logits"},
    {"models/cifar10_resnet56_akamaster.rawbn.onnx", 203, "logits"},
    {"models/cifar10_resnet8_mlperftiny.bn.onnx", 33, "logits"},
    {"models/imagenet_mobilenet_v1_0.25_128.bn.onnx", 117, "logits"},
    {"models/imagenet_tf2_mobilenet_v2_1.0_224_ptq_dequant.fold.onnx", 141, "logits"},
    {"onnx/mnist-8.onnx", 9, "Plus214_Output_0"},
    {"onnx/onnc_resnet20.onnx", 74, "208"},
    {"onnx/onnx_light_densenet121.onnx", 669, "fc6_1"},
    {"onnx/onnx_light_resnet50.onnx", 177, "gpu_0/softmax_1"},
    {"onnx/onnx_light_squeezenet.onnx", 67, "softmaxout_1"},
    {"onnx/vnncomp21_Convnet_maxpool.onnx", 6, "output"},
    {"onnx/vnncomp21_cifar_base_kw.onnx", 9, "16"},
    {"onnx/vnncomp21_resnet_2b.onnx", 18, "33"},
    {"onnx/vnncomp22_NN_rul_full_window_40.onnx", 13, "fc_2_Flatten"},
    {"onnx/onnx_light_bvlc_alexnet.onnx", 23, "prob_1"},
    {"onnx/onnx_light_inception_v1.onnx", 143, "prob_1"},
    {"onnx/onnx_light_shufflenet.onnx", 172, "gpu_0/softmax_1"},
    {"onnx/vnncomp21_cifar10_small.onnx", 11, "Identity:0"},
    {"onnx/vnncomp22_unet_simp_small.onnx", 0, "node \"ArgMax_19\": operator ArgMax is not supported"},
};

static char *shared(const char *path)
{
    const char *dir = getenv("ESPALIER_SHARED");
    return xasprintf("%s/data/%s", dir ? dir : "../shared", path);
}

START_TEST(real_files)
{
    const struct file *f = &files[_i];
    char *path = shared(f->path);
    struct buf b = {0};
    struct err e;
    struct model m;
    int rc = file_read(path, ONNX_MAX_BYTES, &b, &e);
    if (rc == ERR_NOTFOUND) {
        printf("skipped: %s isn't there\n", path);
        goto out;
    }
    ck_assert_int_eq(rc, 0);
    rc = round_trip(b.p, b.n, &m, &e);
    ck_assert_msg((rc == 0) == (f->nodes > 0), "%s: %s", path, rc < 0 ? e.text : "loaded");
    if (rc < 0) {
        ck_assert_str_eq(e.text, f->want);
        ck_assert_int_eq(onnx_load_file(path, &m, &e), ERR_UNSUPPORTED);
        ck_assert_msg(strncmp(e.text, path, strlen(path)) == 0, "%s", e.text);
    } else {
        ck_assert_int_eq(m.graph.n, f->nodes);
        ck_assert_str_eq(m.graph.nodes[m.graph.output].name, f->want);
        ck_assert_int_eq(m.graph.output, m.graph.n - 1);
        model_release(&m);
    }
out:
    buf_release(&b);
    free(path);
}
END_TEST

/* Packs a file of one 1x1 conv whose weight `change` has tampered with, and loads it. */
static int load_changed(void (*change)(Onnx__TensorProto *w), struct model *m, struct err *e)
{
    struct build b;
    struct buf bytes = {0};
    onnx_text_build("input x 2,3,3\noutput y\nfloats w 1,2,1,1 0.5 -2\nConv n x,w -> y", &b);
    change(b.graph->initializer[0]);
    ck_assert_int_eq(build_pack(&b, &bytes, e), 0);
    build_release(&b);
    int rc = onnx_load(bytes.p, bytes.n, m, e);
    buf_release(&bytes);
    return rc;
}

static void no_raw(Onnx__TensorProto *w, Onnx__TensorProto__DataType type)
{
    w->has_raw_data = 0;
    w->data_type = (int32_t)type;
}

static void as_floats(Onnx__TensorProto *w)
{
    static float v[] = {0.5f, -2};
    no_raw(w, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT);
    w->n_float_data = 2;
    w->float_data = v;
}

static void as_doubles(Onnx__TensorProto *w)
{
    static double v[] = {0.5, -2};
    no_raw(w, ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE);
    w->n_double_data = 2;
    w->double_data = v;
}

static void as_raw_doubles(Onnx__TensorProto *w)
{
    static double v[] = {0.5, -2};
    w->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
    w->raw_data.data = (uint8_t *)v;
    w->raw_data.len = sizeof v;
}

/* 0.5 and -2. */
static void as_halves(Onnx__TensorProto *w)
{
    static int32_t v[] = {0x3800, 0xc000};
    w->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    w->has_raw_data = 0;
    w->n_int32_data = 2;
    w->int32_data = v;
}

static void as_raw_halves(Onnx__TensorProto *w)
{
    static uint16_t v[] = {0x3800, 0xc000};
    w->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
    w->raw_data.data = (uint8_t *)v;
    w->raw_data.len = sizeof v;
}

static void as_raw_brains(Onnx__TensorProto *w)
{
    static uint16_t v[] = {0x3f00, 0xc000};
    w->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;
    w->raw_data.data = (uint8_t *)v;
    w->raw_data.len = sizeof v;
}

START_TEST(forms_of_numbers)
{
    static void (*const forms[])(Onnx__TensorProto *) = {as_floats, as_doubles,    as_raw_doubles,
                                                         as_halves, as_raw_halves, as_raw_brains};
    struct model m;
    struct err e;
    ck_assert_msg(load_changed(forms[_i], &m, &e) == 0, "%s", e.text);
    ck_assert(m.weights.of[1].w[0] == 0.5f && m.weights.of[1].w[1] == -2);
    model_release(&m);
}
END_TEST

/* Every finite 16-bit float, by the definition of its format. */
START_TEST(halves)
{
    for (int bits = 0; bits < 0x7c00; bits++) {
        uint16_t two[] = {(uint16_t)bits, (uint16_t)(bits | 0x8000)};
        int64_t dim = 2;
        struct tensors ts = {.room = 1 << 20};
        struct err e;
        Onnx__TensorProto t = ONNX__TENSOR_PROTO__INIT;
        t.n_dims = 1;
        t.dims = &dim;
        t.has_raw_data = 1;
        as_raw_halves(&t);
        t.raw_data.data = (uint8_t *)two;
        struct tensor *got = tensor_decode(&ts, &t, "t", &e);
        ck_assert_ptr_nonnull(got);
        int exponent = bits >> 10, fraction = bits & 1023;
        double want = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
        ck_assert((double)got->f[0] == want && (double)got->f[1] == -want);
        tensors_release(&ts);
    }
}
END_TEST

static void as_half(Onnx__TensorProto *w)
{
    w->data_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16;
}

static void as_nonsense(Onnx__TensorProto *w)
{
    w->data_type = 77;
}

static void cut_short(Onnx__TensorProto *w)
{
    w->raw_data.len -= 4;
}

static void cut_odd(Onnx__TensorProto *w)
{
    w->raw_data.len--;
}

static void huge(Onnx__TensorProto *w)
{
    w->dims[0] = INT64_MAX;
}

static void negative(Onnx__TensorProto *w)
{
    w->dims[0] = -1;
}

static void external(Onnx__TensorProto *w)
{
    w->has_data_location = 1;
    w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static void high_rank(Onnx__TensorProto *w)
{
    static int64_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 2};
    w->dims = dims;
    w->n_dims = 9;
}

START_TEST(numbers_refused)
{
    static const struct {
        void (*change)(Onnx__TensorProto *);
        const char *want;
    } rows[] = {
        {as_half, "its dimensions ask for 2 numbers, and 4 are there"},
        {as_nonsense, "data type unknown (77) is not supported"},
        {cut_short, "its dimensions ask for 2 numbers, and 1 are there"},
        {cut_odd, "7 bytes aren't a multiple of 4"},
        {huge, "its dimensions multiply to more than 2^63"},
        {negative, "dimension 0 is -1"},
        {external, "its data lies in another file, which can't be opened from here"},
        {high_rank, "9 dimensions, more than 8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model m;
        struct err e;
        char *want = xasprintf("node \"n\": tensor \"w\": %s", rows[i].want);
        ck_assert_int_lt(load_changed(rows[i].change, &m, &e), 0);
        ck_assert_str_eq(e.text, want);
        free(want);
    }
}
END_TEST

/* Loads and throws away; the bytes lie in a block of their own size, so that a sanitizer sees one read too many. */
static void expose(const uint8_t *p, size_t n)
{
    struct model m;
    struct err e;
    uint8_t *own = xmalloc(n);
    if (n)
        memcpy(own, p, n);
    if (round_trip(own, n, &m, &e) == 0)
        model_release(&m);
    free(own);
}

START_TEST(truncations)
{
    struct buf b = {0};
    onnx_text_pack(SMALL, &b);
    for (size_t n = 0; n <= b.n; n++)
        expose(b.p, n);
    buf_release(&b);
}
END_TEST

START_TEST(bit_flips)
{
    struct buf b = {0};
    onnx_text_pack(SMALL, &b);
    for (size_t i = 0; i < b.n; i++)
        for (int bit = 0; bit < 8; bit++) {
            b.p[i] ^= (uint8_t)(1 << bit);
            expose(b.p, b.n);
            b.p[i] ^= (uint8_t)(1 << bit);
        }
    buf_release(&b);
}
END_TEST

/* The same on a file from elsewhere, at offsets spread over it. */
START_TEST(real_damage)
{
    char *path = shared("onnx/mnist-8.onnx");
    struct buf b = {0};
    struct err e;
    if (file_read(path, ONNX_MAX_BYTES, &b, &e) == ERR_NOTFOUND)
        printf("skipped: %s isn't there\n", path);
    for (size_t n = 0; n < b.n; n += 97)
        expose(b.p, n);
    for (size_t i = 0; i < b.n; i += 31) {
        b.p[i] ^= (uint8_t)(1 << i % 8);
        expose(b.p, b.n);
        b.p[i] ^= (uint8_t)(1 << i % 8);
    }
    buf_release(&b);
    free(path);
}
END_TEST

static void put_varint(struct buf *b, uint64_t v)
{
    do {
        uint8_t byte = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        buf_append(b, &byte, 1);
        v >>= 7;
    } while (v);
}

static void refuse(const struct buf *b, enum err_code code, const char *start)
{
    struct model m;
    struct err e;
    ck_assert_int_eq(onnx_load(b->p, b->n, &m, &e), code);
    ck_assert_msg(strncmp(e.text, start, strlen(start)) == 0, "%s", e.text);
}

/* Graph in attribute in node in graph ..., 2 MB of it: what recursion without a bound would die of. */
START_TEST(deep_nesting)
{
    static const uint8_t tags[] = {0x3a, 0x0a, 0x2a,
                                   0x32}; /* model.graph, graph.node, node.attribute, attribute.g */
    enum { DEPTH = 300000 };
    struct buf b = {0};
    size_t *left = xcalloc(DEPTH + 1, sizeof *left); /* bytes that follow level k's length */
    for (int k = DEPTH - 1; k >= 0; k--) {
        size_t inner = left[k + 1], head = 2;
        while (inner >> 7 * (head - 1))
            head++;
        left[k] = (k == DEPTH - 1) ? 2 : inner + head;
    }
    for (int k = 0; k < DEPTH; k++) {
        buf_append(&b, k == 0 ? &tags[0] : &tags[1 + (k - 1) % 3], 1);
        put_varint(&b, left[k + 1]);
    }
    refuse(&b, ERR_LIMIT, "messages nest deeper than 32 at byte ");
    free(left);
    buf_release(&b);
}
END_TEST

/* 8 million empty nodes in 16 MB, each of which would unpack into a hundred bytes and more. */
START_TEST(bloat)
{
    enum { COUNT = 8000000 };
    struct buf b = {0};
    buf_append(&b, "\x3a", 1);
    put_varint(&b, 2 * COUNT);
    for (int i = 0; i < COUNT; i++)
        buf_append(&b, "\x0a\x00", 2);
    refuse(&b, ERR_LIMIT, "the file has more parts than its size warrants");
    buf_release(&b);
}
END_TEST

START_TEST(broken_wire)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } rows[] = {
        {"\x3a\x05\x00", 3, "not an ONNX file: byte 1: a field is longer than what holds it"},
        {"\x3a", 1, "not an ONNX file: byte 1: a number is cut off"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 12,
         "not an ONNX file: byte 0: a number has more than 10 bytes"},
        {"\x3b", 1, "not an ONNX file: byte 1: a field of unknown kind"},
        {"\x02\x00", 2, "not an ONNX file: byte 0: a field number out of range"},
        {"\x3a\x00\x3a\x00", 4, "not an ONNX file: byte 2: a part stands twice"},
        {"", 0, "ir_version 0 is not supported, only 3 ... 10"},
        {"hello, world", 12, "not an ONNX file: byte 3: a field of unknown kind"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model m;
        struct err e;
        ck_assert_int_lt(onnx_load(rows[i].bytes, rows[i].n, &m, &e), 0);
        ck_assert_str_eq(e.text, rows[i].want);
    }
}
END_TEST

START_TEST(missing_file)
{
    struct model m;
    struct err e;
    ck_assert_int_eq(onnx_load_file("/nowhere/a.onnx", &m, &e), ERR_NOTFOUND);
    ck_assert_str_eq(e.text, "could not open \"/nowhere/a.onnx\": No such file or directory");
    ck_assert_int_eq(onnx_load_file("/", &m, &e), ERR_INVALID);
}
END_TEST

/* As many nodes as are allowed, and one more. */
START_TEST(many_nodes)
{
    struct buf text = {0}, b = {0};
    struct model m;
    struct err e;
    buf_text(&text, "input v0 1,2,2\noutput v%d\n", GRAPH_MAX_NODES - 1 + _i);
    for (int i = 1; i < GRAPH_MAX_NODES + _i; i++)
        buf_text(&text, "Relu n%d v%d -> v%d\n", i, i - 1, i);
    onnx_text_pack((char *)text.p, &b);
    int64_t start = clock_mono_ns();
    int rc = onnx_load(b.p, b.n, &m, &e);
    printf("%d nodes: %.0f ms\n", GRAPH_MAX_NODES + _i, (double)(clock_mono_ns() - start) / 1e6);
    if (_i == 0) {
        ck_assert_msg(rc == 0, "%s", e.text);
        ck_assert_int_eq(m.graph.n, GRAPH_MAX_NODES);
        model_release(&m);
    } else {
        ck_assert_int_eq(rc, ERR_LIMIT);
    }
    buf_release(&text);
    buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("onnx");
    TCase *t = tcase_create("files");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, real_files, 0, (int)(sizeof files / sizeof files[0]));
    tcase_add_loop_test(t, forms_of_numbers, 0, 6);
    tcase_add_test(t, halves);
    tcase_add_test(t, numbers_refused);
    tcase_add_test(t, truncations);
    tcase_add_test(t, bit_flips);
    tcase_add_test(t, real_damage);
    tcase_add_test(t, deep_nesting);
    tcase_add_test(t, bloat);
    tcase_add_test(t, broken_wire);
    tcase_add_test(t, missing_file);
    tcase_add_loop_test(t, many_nodes, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad != 0;
}
