#include <check.h>

#include "tests/unit/picture_files.h"

#include "common/pictures/folder.h"
#include "common/pictures/labels.h"

/* ---- the index ---- */

static const char *const names[] = {"train/a/0.jpg", "train/a/1.jpg", "train/b/0.png", "test/b/x.jpeg"};

static void fill(struct picture_index *x)
{
    *x = (struct picture_index){.split = true, .folders = true, .n_classes = 2, .n = 4, .n_test = 1};
    x->pictures = xcalloc(4, sizeof(*x->pictures));
    for (int i = 0; i < 4; i++)
        x->pictures[i] = (struct picture){.name = names[i], .size = 1000 + (uint32_t)i, .label = i > 1};
    x->pictures[1].size = PICTURES_PART_BYTES - 1500;
    picture_index_share_out(x);
    for (int i = 0; i < x->n_parts; i++)
        x->parts[i].hash = hash_of(&i, sizeof(i));
}

START_TEST(there_and_back)
{
    struct picture_index x, y;
    struct buf b = {0}, again = {0};
    struct err e;
    fill(&x);
    ck_assert_int_eq(x.n_parts, 2); /* the third file would make the first part too large */
    picture_index_encode(&x, &b);
    ck_assert_msg(picture_index_decode(&y, b.p, b.n, &e) == 0, "%s", e.text);
    ck_assert(y.split && y.folders && y.n_classes == 2 && y.n == 4 && y.n_test == 1 && y.n_parts == 2);
    for (int i = 0; i < 4; i++) {
        const struct picture *p = &x.pictures[i], *q = &y.pictures[i];
        ck_assert_str_eq(p->name, q->name);
        ck_assert(p->size == q->size && p->label == q->label && p->part == q->part && p->offset == q->offset);
    }
    ck_assert(y.pictures[1].offset == 1000 && y.pictures[2].part == 1 && y.pictures[2].offset == 0);
    for (int i = 0; i < 2; i++) {
        ck_assert(hash_equal(&x.parts[i].hash, &y.parts[i].hash));
        ck_assert(x.parts[i].size == y.parts[i].size && y.parts[i].first == 2 * (uint32_t)i && y.parts[i].n == 2);
    }
    picture_index_encode(&y, &again);
    ck_assert_uint_eq(b.n, again.n);
    ck_assert_mem_eq(b.p, again.p, b.n);
    free(x.pictures);
    free(x.parts);
    picture_index_release(&y);
    buf_release(&b);
    buf_release(&again);
}
END_TEST

enum { HEAD = 32, PARTS = HEAD, ENTRIES = PARTS + 2 * 36, NAMES = ENTRIES + 4 * 12 };

static const struct {
    int at;
    uint32_t v; /* little-endian */
    const char *line;
} bad[] = {
    {0, 0x20505345, "image index: 204 bytes that don't begin like one"},
    {8, 7, "image index: flags 7, 3 training and 1 test images"},
    {8, 2, "image index: flags 2, 3 training and 1 test images"},
    {12, 0, "image index: 0 classes, must be 1 to 100000"},
    {12, 100001, "image index: 100001 classes, must be 1 to 100000"},
    {12, 1, "image index: image \"train/b/0.png\" has class 1 of 1"},
    {16, 0, "image index: flags 3, 0 training and 1 test images"},
    {16, 0xffffffff, "image index: 4294967296 images in 204 bytes are too many"},
    {16, 4, "image index: 204 bytes, expected 216 by its counts"},
    {20, 0, "image index: flags 3, 3 training and 0 test images"},
    {24, 0, "image index: 0 parts for 4 images"},
    {24, 5, "image index: 5 parts for 4 images"},
    {24, 3, "image index: 204 bytes, expected 240 by its counts"},
    {28, 0xffffffff, "image index: 204 bytes, expected 4294967447 by its counts"},
    {PARTS + 32, 0, "image index: part 0 has 0 of 4 images"},
    {PARTS + 32, 5, "image index: part 0 has 5 of 4 images"},
    {PARTS + 32, 3, "image index: part 0 has 67109366 bytes, at most 67108864 are accepted"},
    {PARTS + 36 + 32, 1, "image index: its parts hold 3 of 4 images"},
    {ENTRIES, 0, "image index: image \"train/a/0.jpg\" has 0 bytes, must be 1 to 67108864"},
    {ENTRIES, 67108865, "image index: image \"train/a/0.jpg\" has 67108865 bytes, must be 1 to 67108864"},
    {ENTRIES + 8, 1024, "image index: image 0 has a name of 1024 bytes"},
    {ENTRIES + 8, 0, "image index: image 0 has the name \"\", no plain relative path"},
    {ENTRIES + 3 * 12 + 8, 14, "image index: image 3 has a name of 14 bytes"},
    {ENTRIES + 3 * 12 + 8, 12, "image index: 1 bytes of names belong to no image"},
    {NAMES, 0x2f2e2e2f, "image index: image 0 has the name \"/../n/a/0.jpg\", no plain relative path"},
    {NAMES + 1, 0x2f2e2e2f, "image index: image 0 has the name \"t/..//a/0.jpg\", no plain relative path"},
    {NAMES, 0x000a6174, "image index: image 0 has the name \"ta\n\", no plain relative path"},
};

START_TEST(malformed_is_refused)
{
    struct picture_index x;
    struct buf b = {0};
    struct err e = {.text = "accepted"};
    fill(&x);
    picture_index_encode(&x, &b);
    for (int i = 0; i < 4; i++)
        b.p[bad[_i].at + i] = (uint8_t)(bad[_i].v >> 8 * i);
    free(x.pictures);
    free(x.parts);
    uint8_t *exact = malloc(b.n);
    memcpy(exact, b.p, b.n);
    int rc = picture_index_decode(&x, exact, b.n, &e);
    ck_assert(rc == ERR_INVALID || rc == ERR_LIMIT);
    ck_assert_int_eq(x.n, 0);
    if (strchr(bad[_i].line, '\n') == NULL) /* a line is made printable */
        ck_assert_str_eq(e.text, bad[_i].line);
    free(exact);
    buf_release(&b);
}
END_TEST

START_TEST(cut_short_is_refused)
{
    struct picture_index x, y;
    struct buf b = {0};
    struct err e;
    fill(&x);
    picture_index_encode(&x, &b);
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, b.p, n);
        ck_assert_int_eq(picture_index_decode(&y, exact, n, &e), ERR_INVALID);
        free(exact);
    }
    free(x.pictures);
    free(x.parts);
    buf_release(&b);
}
END_TEST

START_TEST(plain_names)
{
    static const char *const good[] = {"a", "a/b.jpg", "..a", "a..", ".../x", "a b/\xc3\xa9.png", NULL};
    static const char *const wrong[] = {"",     "/a",     "a/",  "a//b",  ".",    "..",    "../a",
                                        "a/..", "a/../b", "./a", "a/./b", "a\nb", "a\x7f", NULL};
    for (const char *const *s = good; *s; s++)
        ck_assert_msg(picture_name_is_plain(*s), "%s", *s);
    for (const char *const *s = wrong; *s; s++)
        ck_assert_msg(!picture_name_is_plain(*s), "%s", *s);
    char most[PICTURES_MAX_NAME + 1];
    memset(most, 'a', sizeof(most));
    most[PICTURES_MAX_NAME - 1] = 0;
    ck_assert(picture_name_is_plain(most));
    most[PICTURES_MAX_NAME - 1] = 'a';
    most[PICTURES_MAX_NAME] = 0;
    ck_assert(!picture_name_is_plain(most));
}
END_TEST

/* ---- label files ---- */

static const struct {
    const char *text;
    const char *line; /* behind the path; NULL: read as "a.jpg" 3 and "b/c.png" 0 */
} label_files[] = {
    {"a.jpg,3\nb/c.png,0\n", NULL},
    {"file,class\na.jpg,3\nb/c.png,0", NULL},
    {"file,class,source\r\na.jpg,3,x,y\r\n\r\nb/c.png,0,\r\n", NULL},
    {"", "\" names no image"},
    {"file,class\n", "\" names no image"},
    {"a.jpg,3\nb.jpg\n", "\" line 2: \"b.jpg\": expected file,class"},
    {"a.jpg,3\nb.jpg,dog\n", "\" line 2: class \"dog\" of \"b.jpg\" isn't a number from 0 to 99999"},
    {"a.jpg,-1\n", "\" line 1: class \"-1\" of \"a.jpg\" isn't a number from 0 to 99999"},
    {"a.jpg,3x\n", "\" line 1: class \"3x\" of \"a.jpg\" isn't a number from 0 to 99999"},
    {"a.jpg,3\nb.jpg,100000\n", "\" line 2: class \"100000\" of \"b.jpg\" isn't a number from 0 to 99999"},
    {"a.jpg,3\nb.jpg,\n", "\" line 2: class \"\" of \"b.jpg\" isn't a number from 0 to 99999"},
    {"a.jpg,3\nb.jpg,99999999999999999999\n",
     "\" line 2: class \"99999999999999999999\" of \"b.jpg\" isn't a number from 0 to 99999"},
    {"../a.jpg,3\n", "\" line 1: \"../a.jpg\" isn't the name of a file in its folder"},
    {"/etc/passwd,3\n", "\" line 1: \"/etc/passwd\" isn't the name of a file in its folder"},
    {"a.jpg,3\nb.jpg,1\na.jpg,2\n", "\" line 3: \"a.jpg\" stands in line 1, too"},
};

START_TEST(labels_are_read)
{
    struct labels l;
    struct err e = {.text = ""};
    picture_write("labels.csv", label_files[_i].text, strlen(label_files[_i].text));
    const char *path = picture_path("labels.csv");
    int rc = labels_read(&l, path, &e);
    if (label_files[_i].line) {
        char *line = xasprintf("\"%s%s", path, label_files[_i].line);
        ck_assert_int_eq(rc, ERR_INVALID);
        ck_assert_str_eq(e.text, line);
        ck_assert(l.n == 0 && !l.of);
        free(line);
        return;
    }
    ck_assert_msg(rc == 0, "%s", e.text);
    ck_assert_int_eq(l.n, 2);
    ck_assert_str_eq(l.of[0].file, "a.jpg");
    ck_assert_str_eq(l.of[1].file, "b/c.png");
    ck_assert(l.of[0].label == 3 && l.of[1].label == 0);
    labels_release(&l);
}
END_TEST

/* ---- folders ---- */

static void scan(struct picture_index *x, const char *labels)
{
    struct err e;
    ck_assert_msg(picture_folder_scan(x, picture_path("set"), labels, &e) == 0, "%s", e.text);
}

static void expect(const struct picture_index *x, int i, const char *name, int label)
{
    ck_assert_str_eq(x->pictures[i].name, name);
    ck_assert_uint_eq(x->pictures[i].label, (uint32_t)label);
}

START_TEST(classes_in_order)
{
    struct picture_index x;
    picture_make("set/dog/b.jpg", 8, 8, 1);
    picture_make("set/dog/a.png", 8, 8, 2);
    picture_make("set/Cat/a.JPG", 8, 8, 3);
    picture_make("set/train/a.jpeg", 8, 8, 4); /* a class like others */
    picture_write("set/dog/notes.txt", "x", 1);
    picture_write("set/dog/.hidden.jpg", "x", 1);
    picture_write("set/README", "x", 1);
    scan(&x, NULL);
    ck_assert(!x.split && x.folders && x.n == 4 && x.n_test == 0 && x.n_classes == 3);
    expect(&x, 0, "Cat/a.JPG", 0);
    expect(&x, 1, "dog/a.png", 1);
    expect(&x, 2, "dog/b.jpg", 1);
    expect(&x, 3, "train/a.jpeg", 2);
    picture_index_release(&x);
}
END_TEST

START_TEST(two_parts)
{
    struct picture_index x;
    picture_make("set/train/a/0.jpg", 8, 8, 1);
    picture_make("set/train/b/0.jpg", 8, 8, 2);
    picture_make("set/train/c/0.jpg", 8, 8, 2);
    picture_make("set/val/c/0.jpg", 8, 8, 3); /* its class is the training part's */
    scan(&x, NULL);
    ck_assert(x.split && x.folders && x.n == 4 && x.n_test == 1 && x.n_classes == 3);
    expect(&x, 3, "val/c/0.jpg", 2);
    picture_index_release(&x);
    picture_make("set/test/b/1.jpg", 8, 8, 3); /* goes before val */
    scan(&x, NULL);
    ck_assert(x.n == 4 && x.n_test == 1);
    expect(&x, 3, "test/b/1.jpg", 1);
    picture_index_release(&x);
}
END_TEST

START_TEST(files_with_labels)
{
    static const char train[] = "b.jpg,7\na.png,0\n", test[] = "sub/c.jpg,9\n",
                      all[] = "train/a.png,1\ntest/sub/c.jpg,2\n";
    struct picture_index x;
    picture_make("set/train/a.png", 8, 8, 1);
    picture_make("set/train/b.jpg", 8, 8, 2);
    picture_make("set/train/unnamed.jpg", 8, 8, 2);
    picture_make("set/test/sub/c.jpg", 8, 8, 3);
    picture_write("set/train/labels.csv", train, strlen(train));
    picture_write("set/test/labels.csv", test, strlen(test));
    scan(&x, NULL);
    ck_assert(x.split && !x.folders && x.n == 3 && x.n_test == 1 && x.n_classes == 10);
    expect(&x, 0, "train/b.jpg", 7);
    expect(&x, 1, "train/a.png", 0);
    expect(&x, 2, "test/sub/c.jpg", 9);
    picture_index_release(&x);
    picture_write("set/all.txt", all, strlen(all));
    scan(&x, "all.txt");
    ck_assert(!x.split && x.n == 2 && x.n_classes == 3);
    expect(&x, 1, "test/sub/c.jpg", 2);
    picture_index_release(&x);
}
END_TEST

static const struct {
    const char *file, *text; /* is added to a good set; NULL text: a picture; a name that ends in '/': a folder */
    const char *labels;
    enum err_code code;
    const char *line; /* SET stands for the folder */
} bad_sets[] = {
    {"set/a/t.jpg", "hello, world", NULL, ERR_INVALID, "\"SET/a/t.jpg\" begins like neither a JPEG nor a PNG file"},
    {"set/a/t.png", "", NULL, ERR_INVALID, "\"SET/a/t.png\" is empty"},
    {"set/a/t.webp", "RIFF", NULL, ERR_UNSUPPORTED, "\"SET/a/t.webp\": only JPEG and PNG files are read"},
    {"set/a/deep/", NULL, NULL, ERR_INVALID, "\"SET/a/deep\" is a folder inside of a class's folder"},
    {"set/c/", NULL, NULL, ERR_INVALID, "\"SET/c\": a class's folder without a JPEG or PNG file"},
    {"set/x.jpg", NULL, NULL, ERR_INVALID,
     "\"SET/x.jpg\" lies in no class's folder, and there is no label file \"labels.csv\""},
    {"set/n\nl/x.jpg", NULL, NULL, ERR_INVALID, NULL},
    {"set/labels.csv", "a/0.jpg,1\nb/9.jpg,0\n", NULL, ERR_NOTFOUND,
     "\"SET/labels.csv\" line 2: could not open \"SET/b/9.jpg\": No such file or directory"},
    {"set/labels.csv", "a,1\n", NULL, ERR_INVALID, "\"SET/labels.csv\" line 1: \"SET/a\" is not a regular file"},
    {"set/other", "x", "mine.csv", ERR_NOTFOUND, "\"SET\" has no label file \"mine.csv\""},
    {"set/other", "x", "../mine.csv", ERR_INVALID, "label file \"../mine.csv\": must be a plain file name"},
    {"set/train/a/0.jpg", NULL, NULL, ERR_INVALID,
     "\"SET\" has train but neither test nor val: name \"SET/train\" for that alone"},
    {"set/val/a/0.jpg", NULL, NULL, ERR_INVALID, "\"SET\" has val but no train: name \"SET/val\" for that alone"},
};

START_TEST(bad_sets_get_their_line)
{
    struct picture_index x;
    struct err e = {.text = ""}, ignored;
    const char *file = bad_sets[_i].file, *dir = picture_path("set");
    picture_make("set/a/0.jpg", 8, 8, 1);
    picture_make("set/b/0.jpg", 8, 8, 1);
    if (bad_sets[_i].text)
        picture_write(file, bad_sets[_i].text, strlen(bad_sets[_i].text));
    else if (file[strlen(file) - 1] == '/')
        ck_assert_int_eq(file_mkdirs(picture_path(file), &ignored), 0);
    else
        picture_make(file, 8, 8, 1);
    ck_assert_int_eq(picture_folder_scan(&x, dir, bad_sets[_i].labels, &e), bad_sets[_i].code);
    ck_assert(x.n == 0 && !x.pictures);
    char line[1024] = "";
    for (const char *s = bad_sets[_i].line; s && *s;) {
        bool set = strncmp(s, "SET", 3) == 0;
        snprintf(line + strlen(line), sizeof(line) - strlen(line), "%.*s", set ? 400 : 1, set ? dir : s);
        s += set ? 3 : 1;
    }
    if (bad_sets[_i].line)
        ck_assert_str_eq(e.text, line);
}
END_TEST

START_TEST(parts_must_agree)
{
    struct picture_index x;
    struct err e;
    picture_make("set/train/a/0.jpg", 8, 8, 1);
    picture_make("set/test/b/0.jpg", 8, 8, 1);
    ck_assert_int_eq(picture_folder_scan(&x, picture_path("set"), NULL, &e), ERR_INVALID);
    ck_assert_msg(strstr(e.text, "set/test/b\": the training part has no such class") != NULL, "%s", e.text);
    picture_write("set/test/labels.csv", "b/0.jpg,0\n", 10);
    ck_assert_int_eq(picture_folder_scan(&x, picture_path("set"), NULL, &e), ERR_INVALID);
    ck_assert_msg(strstr(e.text, "one of train and test has a label file, the other classes' folders") != NULL,
                  "%s", e.text);
    ck_assert_int_eq(picture_folder_scan(&x, picture_path("nowhere"), NULL, &e), ERR_NOTFOUND);
    ck_assert_msg(strstr(e.text, "nowhere\" is not a folder") != NULL, "%s", e.text);
}
END_TEST

START_TEST(the_files_are_the_indexs)
{
    struct picture_index x;
    struct err e;
    const char *dir = picture_path("set");
    picture_make("set/a/0.jpg", 8, 8, 1);
    picture_make("set/a/1.png", 8, 8, 1);
    scan(&x, NULL);
    ck_assert_int_eq(picture_folder_check(&x, dir, &e), ERR_INVALID); /* no hash yet */
    ck_assert_int_eq(picture_folder_hash(&x, dir, &e), 0);
    ck_assert_int_eq(picture_folder_check(&x, dir, &e), 0);
    picture_make("set/a/1.png", 8, 8, 2);
    ck_assert_int_lt(picture_folder_check(&x, dir, &e), 0);
    ck_assert_int_eq(unlink(picture_path("set/a/1.png")), 0);
    ck_assert_int_eq(picture_folder_check(&x, dir, &e), ERR_NOTFOUND);
    picture_index_release(&x);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("picture_index");
    TCase *index = tcase_create("index"), *folders = tcase_create("folders");
    tcase_add_test(index, there_and_back);
    tcase_add_loop_test(index, malformed_is_refused, 0, (int)(sizeof(bad) / sizeof(*bad)));
    tcase_add_test(index, cut_short_is_refused);
    tcase_add_test(index, plain_names);
    tcase_add_checked_fixture(folders, picture_dir_make, picture_dir_remove);
    tcase_add_loop_test(folders, labels_are_read, 0, (int)(sizeof(label_files) / sizeof(*label_files)));
    tcase_add_test(folders, classes_in_order);
    tcase_add_test(folders, two_parts);
    tcase_add_test(folders, files_with_labels);
    tcase_add_loop_test(folders, bad_sets_get_their_line, 0, (int)(sizeof(bad_sets) / sizeof(*bad_sets)));
    tcase_add_test(folders, parts_must_agree);
    tcase_add_test(folders, the_files_are_the_indexs);
    suite_add_tcase(s, index);
    suite_add_tcase(s, folders);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
