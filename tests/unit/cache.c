/* Blobs: fetched, resumed, refused and stored, and checkpoints, against a coordinator played over a real socket. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/router.h"
#include "worker/cache.h"
#include "worker/session.h"
#include "worker/transfer.h"

enum { CHUNK = PROTO_CHUNK_BYTES, SIZE = 3 * CHUNK + 12345 };

/* A coordinator that has one blob, in a thread of its own, with the faults that a test asks for. */
struct depot {
    struct router r;
    pthread_t thread;
    atomic_bool stop;
    uint8_t *bytes;
    size_t n;
    struct hash hash;
    atomic_int gets, puts, hellos;
    _Atomic uint64_t first_offset; /* of the first GET */
    /* faults */
    bool refuse;          /* NOBLOB */
    atomic_bool garble;   /* the bytes come changed */
    int hang_up_after;    /* GETs after which the connection breaks, once */
    int drop_get;         /* the n-th GET isn't answered; 0: none */
    bool backwards;       /* the window's answers come in reverse order */
    bool lie_about_total; /* from the second chunk on */
    struct buf stored;
    atomic_int checkpoints;
    enum { KEPT, KEPT_LOST, KEPT_HANG_UP, KEPT_STRANGERS, KEPT_NEVER } kept; /* what the first one is answered */
    uint64_t stored_then;                                                    /* bytes at the first CHECKPOINT */
};

struct bench {
    struct depot depot;
    struct desk *desk;
    struct session *session;
    struct cache *cache;
    int stop_fd;
    char dir[64];
    struct cache_folder folder;
    struct message work;
};

static void answer_get(struct depot *d, const struct msg_get *g)
{
    struct message m = {.type = MSG_NOBLOB};
    uint8_t changed[2] = {'?', '?'};
    if (d->refuse || !hash_equal(&g->hash, &d->hash) || g->offset > d->n) {
        m.u.blob = (struct msg_blob){.hash = g->hash, .reason = "no such blob"};
        router_send(&d->r, &m);
        return;
    }
    uint64_t left = d->n - g->offset;
    m.type = MSG_CHUNK;
    m.u.piece = (struct msg_piece){g->hash, g->offset, d->n, d->bytes + g->offset,
                                   (uint32_t)(left < g->length ? left : g->length)};
    if (d->lie_about_total && g->offset > 0)
        m.u.piece.total++;
    if (d->garble && m.u.piece.n >= 2) {
        uint8_t *copy = mem_dup(m.u.piece.bytes, m.u.piece.n, 1);
        memcpy(copy, changed, 2);
        m.u.piece.bytes = copy;
        router_send(&d->r, &m);
        mem_free(copy);
        return;
    }
    router_send(&d->r, &m);
}

static void on_get(struct depot *d, const struct msg_get *g)
{
    static struct msg_get held[16];
    static int n_held;
    if (d->gets++ == 0)
        d->first_offset = g->offset;
    if (d->gets == d->drop_get)
        return;
    if (d->hang_up_after && d->gets > d->hang_up_after) {
        d->hang_up_after = 0;
        router_close(&d->r);
        router_open(&d->r);
        return;
    }
    if (!d->backwards) {
        answer_get(d, g);
        return;
    }
    held[n_held++] = *g;
    uint64_t last = (d->n - 1) / CHUNK * CHUNK;
    if (g->offset == 0 || g->offset == last)
        while (n_held)
            answer_get(d, &held[--n_held]);
}

static void on_put(struct depot *d, const struct msg_piece *p)
{
    struct message m = {.type = MSG_STORED};
    d->puts++;
    if (p->offset == d->stored.n)
        buf_append(&d->stored, p->bytes, p->n);
    if (d->puts == d->drop_get)
        return;
    m.u.blob = (struct msg_blob){.hash = p->hash, .offset = d->stored.n};
    router_send(&d->r, &m);
}

static void on_checkpoint(struct depot *d, const struct msg_checkpoint *k)
{
    struct message m = {.type = MSG_KEPT};
    m.u.checkpoint = (struct msg_checkpoint){.task = k->task, .epoch = k->epoch};
    bool first = d->checkpoints++ == 0;
    if (first)
        d->stored_then = d->stored.n;
    if (d->kept == KEPT_NEVER || (first && d->kept == KEPT_LOST))
        return;
    if (first && d->kept == KEPT_HANG_UP) {
        router_close(&d->r);
        router_open(&d->r);
        return;
    }
    if (first && d->kept == KEPT_STRANGERS) { /* those that another attempt or epoch got; nothing to do with ours */
        m.u.checkpoint.epoch++;
        router_send(&d->r, &m);
        m.u.checkpoint.epoch--;
        m.u.checkpoint.task.attempt++;
        router_send(&d->r, &m);
        return;
    }
    router_send(&d->r, &m);
    router_send(&d->r, &m); /* a repeat is ignored */
}

static void on_hello(struct depot *d)
{
    struct message welcome = {.type = MSG_WELCOME, .u.welcome = {PROTO_VERSION, 50, 20000}}, work = router_work(1);
    router_send(&d->r, &welcome);
    if (d->hellos++ == 0)
        router_send(&d->r, &work);
}

static void *depot_run(void *arg)
{
    struct depot *d = arg;
    static const struct message alive = {.type = MSG_ALIVE};
    struct message m;
    while (!d->stop) {
        if (!router_next(&d->r, &m, 20))
            continue;
        switch (m.type) {
        case MSG_HELLO:
            on_hello(d);
            break;
        case MSG_BEAT:
            router_send(&d->r, &alive);
            break;
        case MSG_GET:
            on_get(d, &m.u.get);
            break;
        case MSG_PUT:
            on_put(d, &m.u.piece);
            break;
        case MSG_CHECKPOINT:
            on_checkpoint(d, &m.u.checkpoint);
            break;
        default:
            break;
        }
        message_release(&m);
    }
    return NULL;
}

static void bench_open(struct bench *b, size_t n)
{
    memset(b, 0, sizeof(*b));
    log_init("test", LOG_ERROR);
    strcpy(b->dir, "/tmp/espalier-cache-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(b->dir));
    struct depot *d = &b->depot;
    d->bytes = xmalloc(n + 1);
    d->n = n;
    struct rng r;
    rng_init(&r, 1, "bytes", 0);
    for (size_t i = 0; i < n; i++)
        d->bytes[i] = (uint8_t)rng_u64(&r);
    d->hash = hash_of(d->bytes, n);
}

/* After the faults are set: connects, and takes a task, since blobs are fetched for one. */
static void bench_start(struct bench *b)
{
    struct err e;
    struct depot *d = &b->depot;
    router_open(&d->r);
    b->stop_fd = eventfd(0, 0);
    ck_assert_int_eq(desk_new(&b->desk, &e), 0);
    struct session_options o = {
        .endpoint = d->r.endpoint, .name = "tester", .cpu = "", .kernels = "", .threads = 1, .stop_fd = b->stop_fd};
    ck_assert_int_eq(cache_new(&b->cache, b->dir, &b->folder, b->folder.kind ? 1 : 0, b->desk, &e), 0);
    ck_assert_int_eq(pthread_create(&d->thread, NULL, depot_run, d), 0);
    ck_assert_int_eq(session_start(&b->session, &o, b->desk, &e), 0);
    ck_assert(desk_take(b->desk, &b->work));
}

static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    for (struct dirent *f; d && (f = readdir(d));) {
        char *path = file_join(dir, f->d_name);
        if (unlink(path) < 0 && f->d_name[0] != '.')
            remove_folder(path);
        free(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static void bench_close(struct bench *b)
{
    struct depot *d = &b->depot;
    desk_finish(b->desk, NULL);
    eventfd_write(b->stop_fd, 1);
    session_join(b->session);
    d->stop = true;
    pthread_join(d->thread, NULL);
    router_close(&d->r);
    cache_free(b->cache);
    desk_free(b->desk);
    message_release(&b->work);
    close(b->stop_fd);
    remove_folder(b->dir);
    free(d->bytes);
    buf_release(&d->stored);
}

static char *cache_path(const struct bench *b, const char *suffix)
{
    char hex[HASH_HEX];
    hash_to_hex(&b->depot.hash, hex);
    return xasprintf("%s/%s%s", b->dir, hex, suffix);
}

static void put_file(const char *path, const void *p, size_t n)
{
    struct err e;
    ck_assert_msg(file_write(path, p, n, &e) == 0, "%s", e.text);
}

static off_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void get_it(struct bench *b, uint64_t size)
{
    const char *path;
    struct err e;
    struct buf got = {0};
    int rc = cache_get(b->cache, &b->depot.hash, size, NULL, NULL, &path, &e);
    ck_assert_msg(rc == 0, "%s", e.text);
    ck_assert_int_eq(file_read(path, UINT64_MAX, &got, &e), 0);
    ck_assert_uint_eq(got.n, b->depot.n);
    ck_assert_mem_eq(got.p, b->depot.bytes, got.n);
    buf_release(&got);
}

static void get_fails(struct bench *b, uint64_t size, enum err_code code, const char *line)
{
    const char *path;
    struct err e;
    ck_assert_int_eq(cache_get(b->cache, &b->depot.hash, size, NULL, NULL, &path, &e), code);
    ck_assert_str_eq(e.text, line);
    char *final = cache_path(b, "");
    ck_assert_int_eq(file_size(final), -1);
    free(final);
}

static const size_t sizes[] = {0, 1, CHUNK, 2 * CHUNK, SIZE, 11 * CHUNK + 1};

START_TEST(fetched_once)
{
    struct bench b;
    size_t n = sizes[_i / 2];
    bench_open(&b, n);
    bench_start(&b);
    uint64_t size = _i % 2 ? n : 0; /* known or not */
    get_it(&b, size);
    int gets = b.depot.gets;
    ck_assert_int_eq(gets, n ? (int)((n + CHUNK - 1) / CHUNK) : 1);
    get_it(&b, size);
    ck_assert_int_eq(b.depot.gets, gets);
    char *part = cache_path(&b, ".part");
    ck_assert_int_eq(file_size(part), -1);
    free(part);
    bench_close(&b);
}
END_TEST

START_TEST(wrong_hash_is_refused)
{
    struct bench b;
    char line[200], hex[HASH_HEX], got[HASH_HEX];
    bench_open(&b, CHUNK);
    b.depot.garble = true;
    bench_start(&b);
    uint8_t *changed = mem_dup(b.depot.bytes, CHUNK, 1);
    memcpy(changed, "??", 2);
    struct hash h = hash_of(changed, CHUNK);
    mem_free(changed);
    hash_to_hex(&b.depot.hash, hex);
    hash_to_hex(&h, got);
    snprintf(line, sizeof(line), "blob %.12s came with bytes that hash to %.12s", hex, got);
    get_fails(&b, CHUNK, ERR_IO, line);
    char *part = cache_path(&b, ".part");
    ck_assert_int_eq(file_size(part), 0);
    free(part);
    b.depot.garble = false;
    get_it(&b, CHUNK);
    bench_close(&b);
}
END_TEST

static void leave_part(struct bench *b, size_t n, bool wrong)
{
    char *part = cache_path(b, ".part");
    uint8_t *bytes = xcalloc(n + 1, 1);
    memcpy(bytes, b->depot.bytes, n < b->depot.n ? n : b->depot.n);
    if (wrong)
        bytes[17] ^= 1;
    put_file(part, bytes, n);
    free(bytes);
    free(part);
}

START_TEST(part_is_resumed)
{
    static const struct {
        size_t part;
        bool known;
        uint64_t from;
        int gets;
    } rows[] = {
        {2 * CHUNK + 5, true, 2 * CHUNK, 2},
        {2 * CHUNK + 5, false, 2 * CHUNK, 2},
        {2 * CHUNK, true, 2 * CHUNK, 2},
        {2 * CHUNK, false, CHUNK, 3},
        {5, true, 0, 4},
        {SIZE, true, 0, 0},
        {SIZE, false, 3 * CHUNK, 1},
        {SIZE + 1, true, 0, 4},
    };
    struct bench b;
    bench_open(&b, SIZE);
    leave_part(&b, rows[_i].part, false);
    bench_start(&b);
    get_it(&b, rows[_i].known ? SIZE : 0);
    ck_assert_int_eq(b.depot.gets, rows[_i].gets);
    ck_assert_uint_eq(b.depot.first_offset, rows[_i].from);
    bench_close(&b);
}
END_TEST

START_TEST(bad_part_is_begun_again)
{
    struct bench b;
    bench_open(&b, SIZE);
    leave_part(&b, _i == 0 ? 2 * CHUNK : _i == 1 ? SIZE : 9 * CHUNK, true);
    bench_start(&b);
    get_it(&b, _i == 2 ? 0 : SIZE);
    bench_close(&b);
}
END_TEST

START_TEST(order_and_losses_dont_matter)
{
    struct bench b;
    bench_open(&b, SIZE);
    b.depot.backwards = _i == 0;
    b.depot.drop_get = _i == 1 ? 2 : 0;
    b.depot.hang_up_after = _i == 2 ? 2 : 0;
    bench_start(&b);
    int64_t start = clock_mono_ns();
    get_it(&b, _i == 2 ? SIZE : 0);
    if (_i == 2) /* asked again as soon as there was a connection */
        ck_assert_int_lt(clock_mono_ns() - start, 4 * NS_PER_S);
    bench_close(&b);
}
END_TEST

START_TEST(refusals_are_told)
{
    struct bench b;
    char line[200], hex[HASH_HEX];
    bench_open(&b, SIZE);
    b.depot.refuse = _i == 0;
    b.depot.lie_about_total = _i == 1;
    bench_start(&b);
    hash_to_hex(&b.depot.hash, hex);
    if (_i == 0)
        snprintf(line, sizeof(line), "could not fetch blob %.12s: no such blob", hex);
    else
        snprintf(line, sizeof(line), "could not fetch blob %.12s: blob of %d bytes, not %d", hex, SIZE + (_i == 1),
                 SIZE + (_i == 2) * 7);
    get_fails(&b, _i == 2 ? SIZE + 7 : 0, _i == 0 ? ERR_NOTFOUND : ERR_IO, line);
    bench_close(&b);
}
END_TEST

START_TEST(cancel_ends_a_fetch)
{
    struct bench b;
    bench_open(&b, SIZE);
    b.depot.drop_get = 1; /* it would wait for 5 s */
    bench_start(&b);
    char hex[HASH_HEX], line[200];
    hash_to_hex(&b.depot.hash, hex);
    snprintf(line, sizeof(line), "could not fetch blob %.12s: task was dropped: cancelled by the test", hex);
    ck_assert(desk_drop(b.desk, NULL, true, "cancelled by the test"));
    get_fails(&b, 0, ERR_CANCELLED, line);
    bench_close(&b);
}
END_TEST

START_TEST(spoiled_cache_is_noticed)
{
    struct bench b;
    bench_open(&b, SIZE);
    char *path = cache_path(&b, "");
    b.depot.bytes[5] ^= 1;
    put_file(path, b.depot.bytes, SIZE);
    b.depot.bytes[5] ^= 1;
    bench_start(&b);
    get_it(&b, _i ? SIZE : 0);
    ck_assert_int_eq(b.depot.gets, 4);
    free(path);
    bench_close(&b);
}
END_TEST

START_TEST(data_folders_are_used)
{
    struct bench b;
    struct err e;
    const char *path;
    bench_open(&b, 1000);
    char *folder = xasprintf("%s/set", b.dir), *file = xasprintf("%s/set/train.bin", b.dir);
    ck_assert_int_eq(mkdir(folder, 0777), 0);
    put_file(file, b.depot.bytes, 1000);
    b.folder = (struct cache_folder){"cifar100", folder};
    bench_start(&b);
    const struct hash *h = &b.depot.hash;
    ck_assert_int_eq(cache_get(b.cache, h, 1000, "train.bin", "cifar100", &path, &e), 0);
    ck_assert_str_eq(path, file);
    ck_assert_int_eq(b.depot.gets, 0);
    /* Changed under our hands: noticed by its time, and fetched instead. */
    b.depot.bytes[0] ^= 1;
    put_file(file, b.depot.bytes, 1000);
    b.depot.bytes[0] ^= 1;
    const struct timespec times[2] = {{0, UTIME_OMIT}, {1000000000, 0}}; /* some file systems' clocks are coarse */
    ck_assert_int_eq(utimensat(AT_FDCWD, file, times, 0), 0);
    ck_assert_int_eq(cache_get(b.cache, h, 1000, "train.bin", "cifar100", &path, &e), 0);
    ck_assert_str_ne(path, file);
    ck_assert_int_eq(b.depot.gets, 1);
    free(folder);
    free(file);
    bench_close(&b);
}
END_TEST

START_TEST(other_kinds_folders_arent)
{
    struct bench b;
    struct err e;
    const char *path;
    bench_open(&b, 1000);
    char *file = xasprintf("%s/train.bin", b.dir);
    put_file(file, b.depot.bytes, 1000);
    b.folder = (struct cache_folder){"cifar10", b.dir};
    bench_start(&b);
    ck_assert_int_eq(cache_get(b.cache, &b.depot.hash, 1000, "train.bin", "cifar100", &path, &e), 0);
    ck_assert_str_ne(path, file);
    free(file);
    bench_close(&b);
}
END_TEST

static void *finish_other(void *arg)
{
    struct bench *b = arg;
    clock_sleep_ns(200 * NS_PER_MS);
    char *path = cache_path(b, "");
    put_file(path, b->depot.bytes, b->depot.n);
    free(path);
    return NULL;
}

START_TEST(another_workers_fetch_is_waited_for)
{
    struct bench b;
    pthread_t other;
    bench_open(&b, SIZE);
    char *part = cache_path(&b, ".part");
    int fd = open(part, O_RDWR | O_CREAT, 0666);
    ck_assert_int_eq(flock(fd, LOCK_EX), 0);
    bench_start(&b);
    ck_assert_int_eq(pthread_create(&other, NULL, finish_other, &b), 0);
    get_it(&b, SIZE);
    ck_assert_int_eq(b.depot.gets, 0);
    pthread_join(other, NULL);
    close(fd);
    free(part);
    bench_close(&b);
}
END_TEST

START_TEST(put_arrives_whole)
{
    struct bench b;
    struct err e;
    bench_open(&b, _i == 0 ? SIZE : _i == 1 ? 2 * CHUNK : _i == 2 ? 0 : SIZE);
    b.depot.drop_get = _i == 3 ? 2 : 0; /* the answer to the second PUT is lost */
    bench_start(&b);
    int rc = transfer_put(b.desk, &b.depot.hash, b.depot.bytes, b.depot.n, &e);
    ck_assert_msg(rc == 0, "%s", e.text);
    ck_assert_uint_eq(b.depot.stored.n, b.depot.n);
    if (b.depot.n)
        ck_assert_mem_eq(b.depot.stored.p, b.depot.bytes, b.depot.n);
    bench_close(&b);
}
END_TEST

static int keep_epoch(struct bench *b, int epoch, struct err *e)
{
    const struct msg_checkpoint k = {.task = {TASK_FINAL, 1, 1, 1}, .epoch = epoch, .blob = b->depot.hash};
    const struct buf bytes = {.p = b->depot.bytes, .n = b->depot.n};
    return transfer_checkpoint(b->desk, &k, &bytes, e);
}

/* Its bytes first, then said until there is an answer to it. */
START_TEST(checkpoint_is_kept)
{
    struct bench b;
    struct err e;
    bench_open(&b, SIZE);
    b.depot.kept = _i;
    bench_start(&b);
    int64_t start = clock_mono_ns();
    int rc = keep_epoch(&b, 3, &e);
    ck_assert_msg(rc == 0, "%s", e.text);
    ck_assert_uint_eq(b.depot.stored_then, SIZE);
    ck_assert_int_eq(b.depot.checkpoints, _i == KEPT ? 1 : 2);
    if (_i == KEPT_HANG_UP) /* as soon as there was a connection */
        ck_assert_int_lt(clock_mono_ns() - start, 4 * NS_PER_S);
    rc = keep_epoch(&b, 4, &e); /* what is left of the one before doesn't count */
    ck_assert_msg(rc == 0, "%s", e.text);
    ck_assert_int_eq(b.depot.checkpoints, _i == KEPT ? 2 : 3);
    bench_close(&b);
}
END_TEST

static void *cancel_soon(void *arg)
{
    struct bench *b = arg;
    while (b->depot.checkpoints == 0)
        clock_sleep_ns(NS_PER_MS);
    desk_drop(b->desk, NULL, true, "cancelled by the test");
    return NULL;
}

START_TEST(cancel_ends_a_checkpoint)
{
    struct bench b;
    struct err e;
    pthread_t other;
    bench_open(&b, CHUNK);
    b.depot.kept = KEPT_NEVER;
    bench_start(&b);
    ck_assert_int_eq(pthread_create(&other, NULL, cancel_soon, &b), 0);
    ck_assert_int_eq(keep_epoch(&b, 7, &e), ERR_CANCELLED);
    ck_assert_str_eq(e.text, "checkpoint of epoch 7: task was dropped: cancelled by the test");
    pthread_join(other, NULL);
    bench_close(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cache");
    TCase *t = tcase_create("cache");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, fetched_once, 0, 2 * sizeof(sizes) / sizeof(sizes[0]));
    tcase_add_test(t, wrong_hash_is_refused);
    tcase_add_loop_test(t, part_is_resumed, 0, 8);
    tcase_add_loop_test(t, bad_part_is_begun_again, 0, 3);
    tcase_add_loop_test(t, order_and_losses_dont_matter, 0, 3);
    tcase_add_loop_test(t, refusals_are_told, 0, 3);
    tcase_add_test(t, cancel_ends_a_fetch);
    tcase_add_loop_test(t, spoiled_cache_is_noticed, 0, 2);
    tcase_add_test(t, data_folders_are_used);
    tcase_add_test(t, other_kinds_folders_arent);
    tcase_add_test(t, another_workers_fetch_is_waited_for);
    tcase_add_loop_test(t, put_arrives_whole, 0, 4);
    tcase_add_loop_test(t, checkpoint_is_kept, KEPT, KEPT_NEVER);
    tcase_add_test(t, cancel_ends_a_checkpoint);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
