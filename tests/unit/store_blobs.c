#include "tests/unit/store_trial.h"

static uint8_t *noise(size_t n)
{
    uint8_t *p = malloc(n);
    for (size_t i = 0, x = 1; i < n; i++)
        p[i] = (uint8_t)((x = x * 6364136223846793005U + 1442695040888963407U) >> 56);
    return p;
}

static void write_pieces(const struct hash *h, const uint8_t *p, size_t n, struct note *to)
{
    for (size_t at = 0; at < n; at += PROTO_CHUNK_BYTES)
        store_blob_write(s, h, at, n, p + at, n - at < PROTO_CHUNK_BYTES ? n - at : PROTO_CHUNK_BYTES, note_done,
                         to);
}

START_TEST(blobs_come_back)
{
    const size_t size = 5 * PROTO_CHUNK_BYTES + 4711;
    uint8_t *p = noise(size);
    struct hash h = hash_of(p, size);
    struct note n = {0}, seal = {0}, has = {0}, piece = {0};
    for (int i = 0; i < 2; i++)
        write_pieces(&h, p, size, &n);
    settle(loop, s);
    expect(&n, 12, 0, "");
    store_blob_has(s, &h, note_has, &has);
    store_blob_read(s, &h, 0, 10, note_piece, &piece);
    settle(loop, s);
    ck_assert(!has.complete && has.size == 0);
    expect(&piece, 1, ERR_NOTFOUND, "isn't on record");
    store_blob_seal(s, &h, size, note_done, &seal);
    store_blob_seal(s, &h, size, note_done, &seal);
    settle(loop, s);
    expect(&seal, 2, 0, "");
    store_blob_has(s, &h, note_has, &has);
    write_pieces(&h, p, size, &n);
    settle(loop, s);
    ck_assert(has.complete && has.size == size);
    expect(&n, 18, 0, "");
    const struct {
        size_t at, length;
    } reads[] = {{0, PROTO_CHUNK_BYTES},    {size - 1, 1},
                 {size - 10, 100},          {PROTO_CHUNK_BYTES - 1, 2},
                 {4711, PROTO_CHUNK_BYTES}, {3 * PROTO_CHUNK_BYTES, PROTO_CHUNK_BYTES}};
    for (size_t i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
        size_t left = size - reads[i].at, want = left < reads[i].length ? left : reads[i].length;
        store_blob_read(s, &h, reads[i].at, (uint32_t)reads[i].length, note_piece, &piece);
        settle(loop, s);
        expect(&piece, (int)i + 2, 0, "");
        ck_assert(piece.size == size);
        ck_assert_msg(piece.bytes.n == want && memcmp(piece.bytes.p, p + reads[i].at, want) == 0, "read %zu", i);
    }
    store_blob_read(s, &h, size, 1, note_piece, &piece);
    settle(loop, s);
    ck_assert_int_eq(piece.code, ERR_INVALID);
    buf_release(&piece.bytes);
    free(p);
}
END_TEST

START_TEST(blobs_are_what_their_name_says)
{
    const size_t size = 2 * PROTO_CHUNK_BYTES;
    uint8_t *p = noise(size);
    struct hash h = hash_of(p, size);
    struct note n = {0}, has = {0};
    p[size - 7] ^= 1;
    write_pieces(&h, p, size, &n);
    store_blob_seal(s, &h, size, note_done, &n);
    settle(loop, s);
    expect(&n, 3, ERR_INVALID, "the SHA-256 of blob");
    store_blob_has(s, &h, note_has, &has);
    settle(loop, s);
    ck_assert(!has.complete);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.blob_chunks"), "0");
    p[size - 7] ^= 1;
    store_blob_write(s, &h, PROTO_CHUNK_BYTES, size, p + PROTO_CHUNK_BYTES, PROTO_CHUNK_BYTES, note_done, &n);
    store_blob_seal(s, &h, size, note_done, &n);
    settle(loop, s);
    expect(&n, 5, ERR_STATE, "has 1 of 2 pieces");
    store_blob_seal(s, &h, size + 1, note_done, &n);
    settle(loop, s);
    expect(&n, 6, ERR_INVALID, "bytes, not");
    write_pieces(&h, p, size, &n);
    store_blob_seal(s, &h, size, note_done, &n);
    settle(loop, s);
    expect(&n, 9, 0, "");
    free(p);
}
END_TEST

START_TEST(pieces_lie_on_chunk_borders)
{
    static const struct {
        uint64_t at, total;
        size_t n;
    } bad[] = {{1, 100, 99}, {0, 100, 99},       {0, 100, 101},     {PROTO_CHUNK_BYTES, 100, 0},
               {0, 0, 0},    {0, UINT64_MAX, 1}, {UINT64_MAX, 9, 9}};
    static uint8_t bytes[256];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct note n = {0};
        struct hash h = hash_of(&i, sizeof(i));
        store_blob_write(s, &h, bad[i].at, bad[i].total, bytes, bad[i].n, note_done, &n);
        settle(loop, s);
        ck_assert_msg(n.code == ERR_INVALID, "%zu: %s", i, n.text);
    }
    ck_assert_str_eq(ask(database, "select count(*) from espalier.blob_chunks"), "0");
}
END_TEST

START_TEST(what_nobody_ended_or_used_goes_after_a_day)
{
    struct note n = {0};
    struct hash h = hash_of("left", 4), young = hash_of("young", 5);
    store_blob_write(s, &h, 0, 4, "left", 4, note_done, &n);
    settle(loop, s);
    ask(database, "update espalier.blobs set created = now() - interval '25 hours'");
    store_blob_write(s, &young, 0, 5, "young", 5, note_done, &n);
    put_blob(loop, s, "sealed, but never used");
    put_search(loop, s);
    ask(database, "update espalier.blobs set created = now() - interval '25 hours' where complete");
    put_blob(loop, s, "sealed just now");
    store_close(s, 1000);
    s = open_store(loop, &lost);
    ck_assert_str_eq(ask(database, "select string_agg(convert_from(bytes, 'UTF8'), ', ' order by bytes)"
                                   " from espalier.blob_chunks"),
                     "images, labels, sealed just now, the model, young");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_blobs");
    TCase *t = tcase_create("store_blobs");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, blobs_come_back);
    tcase_add_test(t, blobs_are_what_their_name_says);
    tcase_add_test(t, pieces_lie_on_chunk_borders);
    tcase_add_test(t, what_nobody_ended_or_used_goes_after_a_day);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
