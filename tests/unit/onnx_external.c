/* Models whose numbers lie in another file of their folder, and those that would have them lie elsewhere. */
#include <check.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/onnx/load.h"
#include "tests/unit/onnx_text.h"

static const float numbers[] = {9, 9, 0.5F, -2, 9};

static char folder[] = "/tmp/espalier-external-XXXXXX";

static char *in_folder(const char *name)
{
    return file_join(folder, name);
}

static void put_file(const char *name, const void *p, size_t n)
{
    struct err e;
    char *path = in_folder(name);
    ck_assert_int_eq(file_write(path, p, n, &e), 0);
    free(path);
}

/* A 1x1 conv whose weight lies where the keys say; absent ones are NULL. */
static char *put_model(const char *location, const char *offset, const char *length, bool attribute)
{
    const char *const said[] = {"location", location, "offset", offset, "length", length, "checksum", "abc"};
    struct build b;
    struct buf bytes = {0};
    struct err e;
    onnx_text_build(attribute ? "input x 2,3,3\noutput y\nfloats v 1,2,1,1\nConstant k -> w\nConv n x,w -> y"
                              : "input x 2,3,3\noutput y\nfloats w 1,2,1,1\nConv n x,w -> y",
                    &b);
    Onnx__TensorProto *w = b.graph->initializer[0];
    Onnx__StringStringEntryProto entries[4], *list[4];
    Onnx__AttributeProto a = ONNX__ATTRIBUTE_PROTO__INIT, *as = &a;
    w->has_raw_data = 0;
    w->has_data_location = 1;
    w->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    w->external_data = list;
    for (int k = 0; k < 4; k++) {
        if (!said[2 * k + 1])
            continue;
        Onnx__StringStringEntryProto *x = list[w->n_external_data] = &entries[w->n_external_data];
        w->n_external_data++;
        onnx__string_string_entry_proto__init(x);
        x->key = (char *)said[2 * k];
        x->value = (char *)said[2 * k + 1];
    }
    if (attribute) { /* the initializer becomes the constant's */
        a.name = (char *)"value";
        a.has_type = 1;
        a.type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
        a.t = w;
        b.graph->n_initializer = 0;
        b.graph->node[0]->attribute = &as;
        b.graph->node[0]->n_attribute = 1;
    }
    ck_assert_int_eq(build_pack(&b, &bytes, &e), 0);
    build_release(&b);
    put_file("m.onnx", bytes.p, bytes.n);
    buf_release(&bytes);
    return in_folder("m.onnx");
}

static void check_loaded(const struct model *m)
{
    ck_assert(m->weights.of[1].w[0] == 0.5F && m->weights.of[1].w[1] == -2);
}

START_TEST(beside)
{
    static const struct {
        const char *offset, *length;
        bool attribute;
    } rows[] = {{"8", "8", false}, {"8", "8", true}};
    struct model m;
    struct err e;
    struct buf bytes = {0};
    bool joined;
    put_file("w.bin", numbers, sizeof numbers);
    char *path = put_model("w.bin", rows[_i].offset, rows[_i].length, rows[_i].attribute);
    ck_assert_msg(onnx_load_file(path, &m, &e) == 0, "%s", e.text);
    check_loaded(&m);
    model_release(&m);
    /* What is read stands alone. */
    ck_assert_int_eq(onnx_read_file(path, &bytes, &joined, &e), 0);
    ck_assert(joined);
    char *gone = in_folder("w.bin");
    unlink(gone);
    ck_assert_msg(onnx_load(bytes.p, bytes.n, &m, &e) == 0, "%s", e.text);
    check_loaded(&m);
    model_release(&m);
    ck_assert_int_eq(onnx_load_file(path, &m, &e), ERR_NOTFOUND);
    buf_release(&bytes);
    free(path);
    free(gone);
}
END_TEST

/* Without a length, all that follows. */
START_TEST(to_the_end)
{
    struct model m;
    struct err e;
    put_file("w.bin", numbers + 2, 2 * sizeof *numbers);
    char *path = put_model("w.bin", NULL, NULL, false);
    ck_assert_msg(onnx_load_file(path, &m, &e) == 0, "%s", e.text);
    check_loaded(&m);
    model_release(&m);
    free(path);
}
END_TEST

/* A file that is whole keeps its bytes. */
START_TEST(whole)
{
    struct buf bytes = {0}, read = {0};
    struct err e;
    bool joined;
    onnx_text_pack("input x 2,3,3\noutput y\nfloats w 1,2,1,1\nConv n x,w -> y", &bytes);
    put_file("m.onnx", bytes.p, bytes.n);
    char *path = in_folder("m.onnx");
    ck_assert_int_eq(onnx_read_file(path, &read, &joined, &e), 0);
    ck_assert(!joined && read.n == bytes.n && memcmp(read.p, bytes.p, bytes.n) == 0);
    buf_release(&bytes);
    buf_release(&read);
    free(path);
}
END_TEST

START_TEST(refused)
{
    static const struct {
        const char *location, *offset, *length, *want;
    } rows[] = {
        {NULL, NULL, NULL, "its data lies in another file, and nothing says which"},
        {"../w.bin", NULL, NULL, "its data lies in \"../w.bin\", which isn't the name of a file in the model's folder"},
        {"/etc/passwd", NULL, NULL,
         "its data lies in \"/etc/passwd\", which isn't the name of a file in the model's folder"},
        {"sub/w.bin", NULL, NULL, "its data lies in \"sub/w.bin\", which isn't the name of a file in the model's folder"},
        {"..", NULL, NULL, "its data lies in \"..\", which isn't the name of a file in the model's folder"},
        {"", NULL, NULL, "its data lies in \"\", which isn't the name of a file in the model's folder"},
        {"none.bin", NULL, NULL, "could not open \"none.bin\", where its data lies: No such file or directory"},
        {"link.bin", NULL, NULL, "could not open \"link.bin\", where its data lies: it is a link"},
        {"sub", NULL, NULL, "\"sub\", where its data lies, isn't a regular file"},
        {"pipe", NULL, NULL, "\"pipe\", where its data lies, isn't a regular file"},
        {"w.bin", "21", "0", "its data is 0 bytes from 21 on of \"w.bin\", which has 20"},
        {"w.bin", "16", "8", "its data is 8 bytes from 16 on of \"w.bin\", which has 20"},
        {"w.bin", "-8", "8", "its offset \"-8\" isn't a number of bytes up to 2147483648"},
        {"w.bin", "0", "99999999999", "its length \"99999999999\" isn't a number of bytes up to 2147483648"},
        {"w.bin", "0", "8 bytes", "its length \"8 bytes\" isn't a number of bytes up to 2147483648"},
    };
    struct model m;
    struct err e;
    char *link = in_folder("link.bin"), *sub = in_folder("sub"), *pipe = in_folder("pipe");
    put_file("w.bin", numbers, sizeof numbers);
    ck_assert(symlink("w.bin", link) == 0 && mkdir(sub, 0777) == 0 && mkfifo(pipe, 0600) == 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *path = put_model(rows[i].location, rows[i].offset, rows[i].length, false);
        char *want = xasprintf("%s: tensor \"w\": %s", path, rows[i].want);
        ck_assert_int_lt(onnx_load_file(path, &m, &e), 0);
        ck_assert_str_eq(e.text, want);
        ck_assert_int_eq(m.graph.n, 0);
        free(want);
        free(path);
    }
    unlink(link);
    unlink(pipe);
    rmdir(sub);
    free(link);
    free(sub);
    free(pipe);
}
END_TEST

/* Fewer numbers than the shape asks for; and bytes from somewhere open nothing. */
START_TEST(not_enough)
{
    struct model m;
    struct err e;
    struct buf bytes = {0};
    put_file("w.bin", numbers, sizeof numbers);
    char *path = put_model("w.bin", "8", "4", false);
    char *want = xasprintf("%s: node \"n\": tensor \"w\": its dimensions ask for 2 numbers, and 1 are there", path);
    ck_assert_int_eq(onnx_load_file(path, &m, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, want);
    free(want);
    free(path);
    path = put_model("w.bin", "8", "8", false);
    ck_assert_int_eq(file_read(path, 1 << 20, &bytes, &e), 0);
    ck_assert_int_eq(onnx_load(bytes.p, bytes.n, &m, &e), ERR_UNSUPPORTED);
    ck_assert_str_eq(e.text, "node \"n\": tensor \"w\": its data lies in another file, which can't be opened from here");
    buf_release(&bytes);
    free(path);
}
END_TEST

static void make_folder(void)
{
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void remove_folder(void)
{
    static const char *const names[] = {"m.onnx", "w.bin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *path = in_folder(names[i]);
        unlink(path);
        free(path);
    }
    rmdir(folder);
}

int main(void)
{
    Suite *s = suite_create("onnx_external");
    TCase *t = tcase_create("external");
    tcase_add_checked_fixture(t, make_folder, remove_folder);
    tcase_add_loop_test(t, beside, 0, 2);
    tcase_add_test(t, to_the_end);
    tcase_add_test(t, whole);
    tcase_add_test(t, refused);
    tcase_add_test(t, not_enough);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad != 0;
}
