/* The network that a training by an architecture's name begins with. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "coordinator/cli/network.h"

static char folder[] = "/tmp/espalier-initial-XXXXXX";

static void setup(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void teardown(void)
{
    char *path = file_join(folder, "train-images-idx3-ubyte");
    unlink(path);
    free(path);
    rmdir(folder);
}

static void spec_of(struct spec *s, const char *model, const char *data, int seed, const char *more)
{
    struct err e;
    char *yaml =
        xasprintf("spec_version: 1\nname: x\nseed: %d\nmodel: %s\ndata: {kind: %s}\ntrain: {epochs: 1}\n%s", seed,
                  model, data, more);
    ck_assert_msg(spec_parse(yaml, strlen(yaml), s, &e) == 0, "%s", e.text);
    free(yaml);
}

/* The file's hash; its model in *m. */
static struct hash build(const struct spec *s, struct model *m)
{
    char *path;
    struct err e;
    struct hash h;
    uint64_t size;
    ck_assert_msg(network_build(s, folder, 0, &path, &e) == 0, "%s", e.text);
    ck_assert_msg(hash_file(path, &h, &size, &e) == 0, "%s", e.text);
    ck_assert_msg(onnx_load_file(path, m, &e) == 0, "%s", e.text);
    free(path);
    return h;
}

static void write_header(const char *bytes, size_t n)
{
    struct err e;
    char *path = file_join(folder, "train-images-idx3-ubyte");
    ck_assert_int_eq(file_write(path, bytes, n, &e), 0);
    free(path);
}

static void check_shape(const char *data, const char *more, int C, int H, int W, int classes)
{
    struct spec s;
    struct model m;
    spec_of(&s, "resnet-20", data, 1, more);
    build(&s, &m);
    const struct node *in = &m.graph.nodes[0], *out = &m.graph.nodes[m.graph.output];
    ck_assert_msg(in->C == C && in->H == H && in->W == W && out->C == classes, "%s: %dx%dx%d, %d classes", data,
                  in->C, in->H, in->W, out->C);
    model_release(&m);
    spec_release(&s);
}

START_TEST(shape_is_the_datas)
{
    write_header("\0\0\010\003\0\0\0\001\0\0\0\034\0\0\0\040", 16);
    check_shape("synthetic", "", 3, 32, 32, 10);
    check_shape("cifar10, path: x", "", 3, 32, 32, 10);
    check_shape("cifar100, path: x", "", 3, 32, 32, 100);
    check_shape("cifar100, path: x", "classes: 20\n", 3, 32, 32, 20);
    check_shape("idx, path: x", "", 1, 28, 32, 10);
    check_shape("idx, path: x", "classes: 47\n", 1, 28, 32, 47);
}
END_TEST

/* Going on after an interruption needs the same network again. */
START_TEST(same_spec_same_bytes)
{
    struct spec one, two;
    struct model m;
    spec_of(&one, "plain-20", "synthetic", 1, "");
    spec_of(&two, "plain-20", "synthetic", 2, "");
    struct hash a = build(&one, &m);
    model_release(&m);
    struct hash b = build(&one, &m);
    model_release(&m);
    struct hash c = build(&two, &m);
    model_release(&m);
    ck_assert(hash_equal(&a, &b));
    ck_assert(!hash_equal(&a, &c));
    spec_release(&one);
    spec_release(&two);
}
END_TEST

START_TEST(refused)
{
    static const struct {
        const char *model, *head;
        size_t n;
        const char *line; /* %s: the file */
    } rows[] = {
        {"resnet-20", "\0\0\010\003", 4, "\"%s\" doesn't begin like a file of images in MNIST's format"},
        {"resnet-20", "\0\0\010\001\0\0\0\001\0\0\0\034\0\0\0\034", 16,
         "\"%s\" doesn't begin like a file of images in MNIST's format"},
        {"resnet-20", "\0\0\010\003\0\0\0\001\0\0\0\0\0\0\0\034", 16, "\"%s\" has images of 0x28 pixels"},
        {"resnet-20", "\0\0\010\003\0\0\0\001\377\377\377\377\0\0\0\034", 16,
         "\"%s\" has images of 4294967295x28 pixels"},
        {"vgg-16-bn", "\0\0\010\003\0\0\0\001\0\0\0\034\0\0\0\034", 16,
         "vgg-16-bn needs images of at least 32x32 pixels, not 28x28"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct spec s;
        struct err e;
        char *path = NULL, *file = file_join(folder, "train-images-idx3-ubyte"), line[512];
        const char *at = strstr(rows[i].line, "%s");
        snprintf(line, sizeof(line), "%.*s%s%s", at ? (int)(at - rows[i].line) : 0, rows[i].line, at ? file : "",
                 at ? at + 2 : rows[i].line);
        write_header(rows[i].head, rows[i].n);
        spec_of(&s, rows[i].model, "idx, path: x", 1, "");
        ck_assert_int_lt(network_build(&s, folder, 0, &path, &e), 0);
        ck_assert_str_eq(e.text, line);
        ck_assert_ptr_null(path);
        free(file);
        spec_release(&s);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("initial");
    TCase *t = tcase_create("initial");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, shape_is_the_datas);
    tcase_add_test(t, same_spec_same_bytes);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
