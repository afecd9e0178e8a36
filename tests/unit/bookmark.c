/* Bookmarks: written and read again, and what isn't one, or not ours, refused. */
#include "worker/bookmark.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"

static char dir[64], path[128];

static void setup(void)
{
    strcpy(dir, "/tmp/espalier-bookmark-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out.onnx.checkpoint", dir);
}

static void teardown(void)
{
    unlink(path);
    rmdir(dir);
}

static void leave(const void *p, size_t n)
{
    struct err e;
    ck_assert_int_eq(file_write(path, p, n, &e), 0);
}

START_TEST(there_and_back)
{
    struct err e;
    struct bookmark b;
    struct hash work = hash_of("work", 4);
    struct buf state = {0}, got = {0};
    ck_assert_int_eq(bookmark_open(&b, path, &work, &e), 0);
    ck_assert(!b.is_open);
    for (int epoch = 1; epoch < 3; epoch++) { /* the second one takes the first one's place */
        buf_append(&state, "some state", 10);
        ck_assert_int_eq(bookmark_write(path, &work, 0.25, epoch, &state, &e), 0);
    }
    ck_assert_msg(bookmark_open(&b, path, &work, &e) == 1, "%s", e.text);
    ck_assert(b.lr_scale == 0.25 && b.epoch == 2);
    struct hash is = hash_of(state.p, state.n);
    ck_assert(hash_equal(&b.hash, &is));
    for (int i = 0; i < 2; i++) { /* any number of times */
        buf_clear(&got);
        ck_assert_msg(file_read(b.path, 100, &got, &e) == 0, "%s", e.text);
        ck_assert_uint_eq(got.n, state.n);
        ck_assert_mem_eq(got.p, state.p, state.n);
    }
    bookmark_close(&b);
    bookmark_close(&b);
    ck_assert_int_eq(file_read(path, 100, &got, &e), 0);
    ck_assert_mem_eq(got.p + state.n, work.b, HASH_BYTES); /* how the file begins */
    buf_release(&got);
    buf_release(&state);
}
END_TEST

static void refused(const struct hash *work, const char *format)
{
    struct bookmark b;
    struct err e;
    char line[256];
    snprintf(line, sizeof line, "\"%s\" %s", path, format);
    ck_assert_int_eq(bookmark_open(&b, path, work, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, line);
    ck_assert(!b.is_open);
}

START_TEST(not_ours)
{
    struct err e;
    struct bookmark b;
    struct hash work = hash_of("work", 4), other = hash_of("another", 7);
    struct buf state = {.p = (uint8_t[]){1, 2, 3}, .n = 3};
    uint8_t bytes[HASH_BYTES + 12 + 3];
    struct buf got = {0};
    ck_assert_int_eq(bookmark_write(path, &work, 1, 10000, &state, &e), 0);
    refused(&other, "is of another training");
    ck_assert_int_eq(file_read(path, 100, &got, &e), 0);
    ck_assert_uint_eq(got.n, sizeof bytes);
    memcpy(bytes, got.p, sizeof bytes);
    buf_release(&got);
    for (size_t n = 0; n < HASH_BYTES + 12; n += 11) { /* cut short */
        leave(bytes, n);
        refused(&work, "is of another training");
    }
    bytes[HASH_BYTES + 8]++;
    leave(bytes, sizeof bytes);
    refused(&work, "is damaged: epoch 10001, learning rates times 1");
    memset(bytes + HASH_BYTES + 8, 0, 4);
    leave(bytes, sizeof bytes);
    refused(&work, "is damaged: epoch 0, learning rates times 1");
    bytes[HASH_BYTES + 8] = 7;
    bytes[HASH_BYTES + 7] = 0x40; /* 1 -> something large */
    leave(bytes, sizeof bytes);
    ck_assert_int_eq(bookmark_open(&b, path, &work, &e), ERR_INVALID);
    bytes[HASH_BYTES + 7] = 0x7f;
    bytes[HASH_BYTES + 6] = 0xf8; /* NaN */
    leave(bytes, sizeof bytes);
    refused(&work, "is damaged: epoch 7, learning rates times nan");
    snprintf(path, sizeof path, "%s", dir);
    ck_assert_int_eq(bookmark_open(&b, path, &work, &e), ERR_INVALID);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bookmark");
    TCase *t = tcase_create("bookmark");
    tcase_set_timeout(t, 20);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, not_ours);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
