/* The architectures by name: what they cost, what may be cut in them, what they begin with. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/model/cost.h"
#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "common/zoo/zoo.h"
#include "tests/unit/onnx_text.h"

/*
 * MACs, trained parameters and bytes as PyTorch 1.13 has them: the networks written down from the papers as modules
 * of it, multiply-adds counted by forward hooks on Conv2d and Linear, parameters and running statistics by their
 * sizes. Groups: counted by hand from the papers' tables.
 */
static const struct golden {
    const char *name;
    int C, H, W, K;
    int64_t macs, params, bytes;
    int groups, tied;
} golden[] = {
    {"plain-20", 3, 32, 32, 10, 40551040, 269722, 1084392, 19, 0},
    {"resnet-20", 3, 32, 32, 10, 40551040, 269722, 1084392, 12, 3},
    {"resnet-32", 3, 32, 32, 10, 68862592, 464154, 1865704, 18, 3},
    {"resnet-44", 3, 32, 32, 10, 97174144, 658586, 2647016, 24, 3},
    {"resnet-56", 3, 32, 32, 10, 125485696, 853018, 3428328, 30, 3},
    {"vgg-16-bn", 3, 32, 32, 10, 313201664, 14724042, 58929960, 13, 0},
    {"mobilenet-v1", 3, 32, 32, 10, 46354432, 3217226, 12956456, 14, 0},
    {"mobilenet-v2", 3, 32, 32, 10, 87976448, 2236682, 9083176, 25, 5},
    {"plain-20", 1, 28, 28, 10, 30821248, 269434, 1083240, 19, 0},
    {"resnet-20", 1, 28, 28, 10, 30821248, 269434, 1083240, 12, 3},
    {"resnet-56", 1, 28, 28, 10, 95849344, 852730, 3427176, 30, 3},
    {"mobilenet-v1", 1, 28, 28, 10, 42030208, 3216650, 12954152, 14, 0},
    {"mobilenet-v2", 1, 28, 28, 10, 72938624, 2236106, 9080872, 25, 5},
    {"resnet-20", 3, 64, 64, 200, 162214400, 282072, 1133792, 12, 3},
    {"vgg-16-bn", 3, 64, 64, 200, 1253195776, 15128712, 60548640, 13, 0},
    {"mobilenet-v1", 3, 64, 64, 200, 185581568, 3411976, 13735456, 14, 0},
    {"mobilenet-v2", 3, 64, 64, 200, 352110592, 2480072, 10056736, 25, 5},
    {"plain-20", 3, 224, 224, 1000, 152398336, 335992, 1349472, 19, 0},
    {"resnet-20", 3, 224, 224, 1000, 152398336, 335992, 1349472, 12, 3},
    {"resnet-32", 3, 224, 224, 1000, 239102464, 530424, 2130784, 18, 3},
    {"resnet-44", 3, 224, 224, 1000, 325806592, 724856, 2912096, 24, 3},
    {"resnet-56", 3, 224, 224, 1000, 412510720, 919288, 3693408, 30, 3},
    {"vgg-16-bn", 3, 224, 224, 1000, 15470264320, 138361768, 553480864, 15, 0},
    {"mobilenet-v1", 3, 224, 224, 1000, 568740352, 4231976, 17015456, 14, 0},
    {"mobilenet-v2", 3, 224, 224, 1000, 300774272, 3504872, 14155936, 25, 5},
    {"resnet-20", 3, 128, 96, 7, 37306816, 271447, 1091292, 12, 3},
    {"vgg-16-bn", 3, 128, 96, 7, 3800330240, 56698823, 226829084, 15, 0},
    {"mobilenet-v1", 3, 128, 96, 7, 139039744, 3214151, 12944156, 14, 0},
    {"mobilenet-v2", 3, 128, 96, 7, 73354496, 2232839, 9067804, 25, 5},
};
#define GOLDEN ((int)(sizeof golden / sizeof golden[0]))

static void build(const char *name, int C, int H, int W, int K, uint64_t seed, struct model *m)
{
    struct err e;
    if (zoo_build(name, C, H, W, K, seed, m, &e) < 0)
        ck_abort_msg("%s", e.text);
}

START_TEST(costs)
{
    const struct golden *want = &golden[_i];
    struct graph g;
    struct groups gs;
    struct cost cost;
    struct err e;
    ck_assert_msg(zoo_graph(want->name, want->C, want->H, want->W, want->K, &g, &e) == 0, "%s", e.text);
    ck_assert_msg(groups_find(&g, &gs, &e) == 0, "%s", e.text);
    cost_of(&g, &gs, NULL, &cost);
    ck_assert_int_eq(cost.of[COST_FLOPS], want->macs);
    ck_assert_int_eq(cost.of[COST_PARAMS], want->params);
    ck_assert_int_eq(cost.of[COST_BYTES], want->bytes);
    int tied = 0;
    for (int k = 0; k < gs.n; k++)
        tied += gs.of[k].tied;
    ck_assert_int_eq(gs.n, want->groups);
    ck_assert_int_eq(tied, want->tied);
    const struct node *out = &g.nodes[g.output], *in = &g.nodes[0];
    ck_assert(out->flat && out->C == want->K && out->op == OP_GEMM);
    ck_assert(in->C == want->C && in->H == want->H && in->W == want->W && !in->flat);
    ck_assert_str_eq(g.name, want->name);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

/* Half a gigabyte takes the same way as 60 megabytes, so the largest are left out. */
START_TEST(round_trips)
{
    const struct golden *row = &golden[_i];
    struct model m, back;
    struct buf file = {0};
    struct err e;
    if (row->params > 20000000)
        return;
    build(row->name, row->C, row->H, row->W, row->K, 5, &m);
    ck_assert_msg(onnx_save(&m, NULL, 0, &file, &e) == 0, "%s", e.text);
    ck_assert_msg(onnx_load(file.p, file.n, &back, &e) == 0, "%s", e.text);
    ck_assert(onnx_text_same(&m, &back));
    model_release(&m);
    model_release(&back);
    buf_release(&file);
}
END_TEST

/* The same decisions and costs as in files that PyTorch exported. */
START_TEST(as_exported)
{
    static const struct {
        const char *name, *file;
    } rows[] = {{"resnet-20", "cifar10_resnet20_akamaster.bn.onnx"},
                {"resnet-56", "cifar10_resnet56_akamaster.bn.onnx"}};
    char path[512];
    const char *shared = getenv("ESPALIER_SHARED");
    snprintf(path, sizeof path, "%s/data/models/%s", shared ? shared : "../shared", rows[_i].file);
    if (access(path, R_OK) != 0) {
        printf("skipped: %s isn't there\n", path);
        return;
    }
    struct model file;
    struct graph g;
    struct groups want, got;
    struct cost a, b;
    struct err e;
    ck_assert_msg(onnx_load_file(path, &file, &e) == 0, "%s", e.text);
    ck_assert_msg(zoo_graph(rows[_i].name, 3, 32, 32, 10, &g, &e) == 0, "%s", e.text);
    ck_assert_msg(groups_find(&file.graph, &want, &e) == 0, "%s", e.text);
    ck_assert_msg(groups_find(&g, &got, &e) == 0, "%s", e.text);
    ck_assert_int_eq(got.n, want.n);
    int *keep = calloc((size_t)got.n, sizeof *keep);
    for (int k = 0; k < got.n; k++) {
        ck_assert_int_eq(got.of[k].n, want.of[k].n);
        ck_assert_int_eq(got.of[k].tied, want.of[k].tied);
        keep[k] = 1 + (5 * k + 7) % got.of[k].n;
    }
    cost_of(&file.graph, &want, keep, &a);
    cost_of(&g, &got, keep, &b);
    ck_assert_mem_eq(&a, &b, sizeof a);
    free(keep);
    groups_release(&want);
    groups_release(&got);
    graph_release(&g);
    model_release(&file);
}
END_TEST

static const struct node *named(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->n; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return &g->nodes[i];
    ck_abort_msg("no node \"%s\"", name);
    return NULL;
}

static void check_node(const char *arch, int pixels, const char *name, enum op op, int C, int H)
{
    struct graph g;
    struct err e;
    ck_assert_msg(zoo_graph(arch, 3, pixels, pixels, 10, &g, &e) == 0, "%s", e.text);
    const struct node *d = named(&g, name);
    ck_assert_msg(d->op == op && d->C == C && d->H == H && strcmp(d->label, name) == 0, "%s of %s: %s (%d,%d,%d)",
                  name, arch, op_name(d->op), d->C, d->H, d->W);
    graph_release(&g);
}

/* A node of each kind, under its name, with the shape that the papers' tables give it. */
START_TEST(nodes)
{
    check_node("plain-20", 32, "layer3.2.relu2", OP_RELU, 64, 8);
    check_node("resnet-20", 32, "layer2.0.conv1", OP_CONV, 32, 16);
    check_node("resnet-20", 32, "layer2.0.shortcut.slice", OP_SLICE, 16, 16);
    check_node("resnet-20", 32, "layer2.0.shortcut.pad", OP_PAD, 32, 16);
    check_node("resnet-56", 32, "layer3.8.add", OP_ADD, 64, 8);
    check_node("resnet-20", 224, "conv1", OP_CONV, 16, 112);
    check_node("resnet-20", 224, "maxpool", OP_MAXPOOL, 16, 56);
    check_node("vgg-16-bn", 32, "stage5.maxpool", OP_MAXPOOL, 512, 1);
    check_node("vgg-16-bn", 224, "stage5.bn3", OP_BN, 512, 14);
    check_node("vgg-16-bn", 224, "fc2", OP_GEMM, 4096, 1);
    check_node("mobilenet-v1", 32, "block13.relu_pw", OP_RELU, 1024, 2);
    check_node("mobilenet-v1", 224, "block13.conv_dw", OP_CONV, 1024, 7);
    check_node("mobilenet-v2", 32, "block3.clip_expand", OP_CLIP, 144, 32);
    check_node("mobilenet-v2", 32, "block3.add", OP_ADD, 24, 32);
    check_node("mobilenet-v2", 224, "bn2", OP_BN, 1280, 7);
}
END_TEST

/* What the shapes don't show. */
START_TEST(details)
{
    struct graph g;
    struct err e;
    ck_assert_int_eq(zoo_graph("resnet-20", 3, 225, 97, 10, &g, &e), 0);
    const struct node *slice = named(&g, "layer2.0.shortcut.slice"), *pad = named(&g, "layer3.0.shortcut.pad");
    ck_assert(slice->u.slice.h.begin == 0 && slice->u.slice.h.step == 2 && slice->u.slice.w.step == 2);
    ck_assert(slice->u.slice.c.step == 1 && slice->u.slice.c.end == 16);
    ck_assert(pad->u.pad.front == 16 && pad->u.pad.back == 16 && pad->u.pad.top == 0 && pad->u.pad.right == 0);
    const struct window *pool = &named(&g, "maxpool")->u.pool.win, *conv = &named(&g, "conv1")->u.conv.win;
    ck_assert(pool->R == 3 && pool->stride_h == 2 && pool->pad_t == 1 && pool->pad_r == 1);
    ck_assert(conv->R == 7 && conv->stride_w == 2 && conv->pad_b == 3 && conv->pad_l == 3);
    ck_assert(named(&g, "bn1")->u.bn.eps == 1e-5F && !named(&g, "conv1")->u.conv.bias);
    graph_release(&g);
    ck_assert_int_eq(zoo_graph("mobilenet-v2", 3, 32, 32, 10, &g, &e), 0);
    ck_assert(named(&g, "clip2")->u.clip.lo == 0 && named(&g, "clip2")->u.clip.hi == 6);
    graph_release(&g);
}
END_TEST

/* --- what they begin with --- */

struct moments {
    double mean, var, kurtosis, most;
};

static struct moments moments(const float *x, size_t n)
{
    struct moments m = {0};
    double s2 = 0, s4 = 0;
    for (size_t i = 0; i < n; i++)
        m.mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double d = (double)x[i] - m.mean;
        s2 += d * d / (double)n;
        s4 += d * d * d * d / (double)n;
        m.most = fmax(m.most, fabs((double)x[i]));
    }
    m.var = s2;
    m.kurtosis = s4 / (s2 * s2);
    return m;
}

/* Within 5 standard errors of a normal sample's mean, variance and kurtosis. */
static void check_conv(const struct node *d, const struct params *p, double fan_out)
{
    struct moments m = moments(p->w, p->n_w);
    double n = (double)p->n_w, var = 2 / fan_out;
    ck_assert_msg(fabs(m.mean) < 5 * sqrt(var / n), "%s: mean %g", d->name, m.mean);
    ck_assert_msg(fabs(m.var / var - 1) < 5 * sqrt(2 / n), "%s: variance %g, not %g", d->name, m.var, var);
    if (n > 1000)
        ck_assert_msg(fabs(m.kurtosis - 3) < 5 * sqrt(24 / n), "%s: kurtosis %g", d->name, m.kurtosis);
}

static void check_gemm(const struct node *d, const struct params *p, double fan_in)
{
    struct moments m = moments(p->w, p->n_w), b = moments(p->b, p->n_b);
    double n = (double)p->n_w, most = 1 / sqrt(fan_in);
    ck_assert_msg(m.most <= most * (1 + 1e-6) && m.most > 0.98 * most, "%s: up to %g", d->name, m.most);
    ck_assert_msg(fabs(m.mean) < 5 * most / sqrt(3 * n), "%s: mean %g", d->name, m.mean);
    ck_assert_msg(fabs(m.var / (most * most / 3) - 1) < 5 * sqrt(0.8 / n), "%s: variance %g", d->name, m.var);
    ck_assert_msg(b.most <= most * (1 + 1e-6) && b.most > 0.3 * most, "%s: bias up to %g", d->name, b.most);
}

static void check_bn(const struct node *d, const struct params *p)
{
    for (int c = 0; c < d->C; c++)
        ck_assert_msg(p->w[c] == 1 && p->b[c] == 0 && p->mean[c] == 0 && p->var[c] == 1, "%s", d->name);
}

START_TEST(drawn)
{
    static const char *const names[] = {"resnet-20", "vgg-16-bn", "mobilenet-v1", "mobilenet-v2"};
    struct model m;
    build(names[_i], 3, 32, 32, 10, 1, &m);
    for (int i = 0; i < m.graph.n; i++) {
        const struct node *d = &m.graph.nodes[i];
        const struct params *p = &m.weights.of[i];
        if (d->op == OP_CONV) /* depthwise: each channel is read by one filter */
            check_conv(d, p, (d->u.conv.groups > 1 ? 1 : d->C) * d->u.conv.win.R * d->u.conv.win.S);
        else if (d->op == OP_GEMM)
            check_gemm(d, p, m.graph.nodes[d->in[0]].C);
        else if (d->op == OP_BN)
            check_bn(d, p);
    }
    model_release(&m);
}
END_TEST

START_TEST(seeds)
{
    struct model a, same, other;
    build("resnet-20", 3, 32, 32, 10, 7, &a);
    build("resnet-20", 3, 32, 32, 10, 7, &same);
    build("resnet-20", 3, 32, 32, 10, 8, &other);
    ck_assert(onnx_text_same(&a, &same));
    const float *last = NULL; /* of the layer before, where its weights are as many */
    size_t n_last = 0;
    for (int i = 0; i < a.graph.n; i++) {
        const struct params *p = &a.weights.of[i], *q = &other.weights.of[i];
        if (a.graph.nodes[i].op != OP_CONV && a.graph.nodes[i].op != OP_GEMM)
            continue;
        ck_assert_mem_ne(p->w, q->w, p->n_w * sizeof *p->w);
        if (n_last == p->n_w)
            ck_assert_mem_ne(p->w, last, p->n_w * sizeof *p->w);
        last = p->w;
        n_last = p->n_w;
    }
    model_release(&a);
    model_release(&same);
    model_release(&other);
}
END_TEST

/* --- names and errors --- */

START_TEST(names)
{
    char list[256];
    int n = 0;
    ck_assert_uint_lt(strlen(zoo_names()), sizeof list);
    snprintf(list, sizeof list, "%s", zoo_names());
    for (char *s = strtok(list, ", "); s; s = strtok(NULL, ", "), n++)
        ck_assert_msg(zoo_knows(s), "%s", s);
    ck_assert_int_eq(n, 8);
    static const char *const not [] = {"", "resnet", "resnet-200", "ResNet-20", " resnet-20", "vgg-16"};
    for (size_t i = 0; i < sizeof not / sizeof not [0]; i++)
        ck_assert_msg(!zoo_knows(not [i]), "%s", not [i]);
}
END_TEST

START_TEST(refusals)
{
    static const struct {
        const char *name;
        int C, H, W, K;
        int code;
        const char *text; /* begins like this */
    } rows[] = {
        {"resnet-21", 3, 32, 32, 10, ERR_UNSUPPORTED,
         "no architecture is called \"resnet-21\", only plain-20, resnet-20, resnet-32"},
        {"resnet-20", 3, 3, 32, 10, ERR_INVALID, "resnet-20 needs images of at least 4x4 pixels, not 3x32"},
        {"plain-20", 3, 15, 65, 10, ERR_INVALID,
         "plain-20 needs images of at least 16x16 pixels where one side is over 64, not 15x65"},
        {"vgg-16-bn", 1, 28, 28, 10, ERR_INVALID, "vgg-16-bn needs images of at least 32x32 pixels, not 28x28"},
        {"mobilenet-v1", 3, 16, 15, 10, ERR_INVALID,
         "mobilenet-v1 needs images of at least 16x16 pixels, not 16x15"},
        {"mobilenet-v2", 3, 0, -1, 10, ERR_INVALID, "mobilenet-v2 needs images of at least 8x8 pixels, not 0x-1"},
        {"resnet-20", 0, 32, 32, 10, ERR_INVALID, "resnet-20 for 0 channels and 10 classes: there must be"},
        {"resnet-20", 3, 32, 32, 0, ERR_INVALID, "resnet-20 for 3 channels and 0 classes: there must be"},
        {"resnet-20", 3, 1 << 20, 1 << 20, 10, ERR_LIMIT,
         "resnet-20 for images of 3x1048576x1048576 and 10 classes: Input \"input\": shape"},
        {"vgg-16-bn", 3, 32, 32, 1 << 30, ERR_INVALID,
         "vgg-16-bn for images of 3x32x32 and 1073741824 classes: Gemm \"fc\": 1073741824 output channels"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct model m;
        struct err e;
        ck_assert_int_eq(zoo_build(rows[i].name, rows[i].C, rows[i].H, rows[i].W, rows[i].K, 1, &m, &e),
                         rows[i].code);
        ck_assert_msg(strncmp(e.text, rows[i].text, strlen(rows[i].text)) == 0, "%s", e.text);
        ck_assert(!m.graph.nodes && !m.weights.of);
    }
}
END_TEST

/* The smallest that are accepted. */
START_TEST(smallest)
{
    static const struct {
        const char *name;
        int H, W;
    } rows[] = {{"plain-20", 4, 4},       {"resnet-20", 4, 4},    {"resnet-20", 16, 65},
                {"vgg-16-bn", 32, 32},    {"vgg-16-bn", 32, 65},  {"mobilenet-v1", 16, 16},
                {"mobilenet-v1", 65, 32}, {"mobilenet-v2", 8, 8}, {"mobilenet-v2", 32, 65}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct graph g;
        struct err e;
        ck_assert_msg(zoo_graph(rows[i].name, 1, rows[i].H, rows[i].W, 1, &g, &e) == 0, "%s", e.text);
        graph_release(&g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("zoo");
    TCase *t = tcase_create("zoo");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, costs, 0, GOLDEN);
    tcase_add_loop_test(t, round_trips, 0, GOLDEN);
    tcase_add_loop_test(t, as_exported, 0, 2);
    tcase_add_test(t, nodes);
    tcase_add_test(t, details);
    tcase_add_loop_test(t, drawn, 0, 4);
    tcase_add_test(t, seeds);
    tcase_add_test(t, names);
    tcase_add_test(t, refusals);
    tcase_add_test(t, smallest);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return bad;
}
