/* Messages: each one there and back, and a row for every way in which a frame can be wrong. */
#include <check.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "proto/message.h"
#include "proto/walk.h"

static const struct task_id evaluate = {TASK_EVALUATE, 7, 12, 3};
static const struct task_id profile = {TASK_PROFILE, INT64_MAX, -1, 1};
static const struct task_id final = {TASK_FINAL, 7, 12, 2};
static const struct task_id train = {TASK_TRAIN, 8, -1, 1};

static struct message make_hello(void)
{
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){.version = PROTO_VERSION,
                                   .name = "node1-4711",
                                   .cpu = "AMD EPYC 9B45 \xc3\xa9",
                                   .kernels = "oneDNN 2.6.3 Cooperlake",
                                   .host = "4f0c2a7e-boot",
                                   .threads = 16,
                                   .busy = true,
                                   .task = evaluate};
    return m;
}

static struct message make_result(void)
{
    static uint32_t n_curve[2] = {2, 3};
    static float curve[5] = {1.0f, 0.0f, 0.9f, 0.25f, -0.0f};
    struct message m = {.type = MSG_RESULT};
    m.u.result = (struct msg_result){.task = profile,
                                     .seconds = 1.5,
                                     .reward = {5000, 4321, 4999, 0.1},
                                     .has_blob = true,
                                     .blob = hash_of("x", 1),
                                     .n_groups = 2,
                                     .n_curve = n_curve,
                                     .n_points = 5,
                                     .curve = curve};
    return m;
}

/* No two fields alike. */
static struct training make_training(int seed)
{
    struct training t = training_none();
    t.epochs = 20 + seed;
    t.batch = 64 + seed;
    t.lr = 0.05 + seed;
    t.momentum = 0.875;
    t.nesterov = seed == 0;
    t.weight_decay = 1e-4;
    t.decay_all = seed == 1;
    t.schedule = SCHEDULE_STEP;
    t.warmup = 1.5;
    t.n_drops = 2;
    t.drop_at[0] = 10.5;
    t.drop_at[1] = 15 + seed;
    t.drop = 0.2;
    t.smoothing = 0.1;
    t.pad = 3 + seed;
    t.flip = seed == 0;
    t.cutout = 8 + seed;
    t.distill.kind = DISTILL_DKD;
    t.distill.weight = 1.25;
    t.distill.temperature = 2 + seed;
    t.distill.alpha = 0.5;
    t.distill.beta = 8;
    t.distill.other = seed == 1;
    if (t.distill.other)
        t.distill.teacher = hash_of("t", 1);
    return t;
}

static void same_training(const struct training *a, const struct training *b)
{
    ck_assert(a->epochs == b->epochs && a->steps == b->steps && a->batch == b->batch);
    ck_assert(a->lr == b->lr && a->momentum == b->momentum && a->nesterov == b->nesterov);
    ck_assert(a->weight_decay == b->weight_decay && a->decay_all == b->decay_all);
    ck_assert(a->schedule == b->schedule && a->warmup == b->warmup && a->n_drops == b->n_drops);
    ck_assert_mem_eq(a->drop_at, b->drop_at, sizeof(a->drop_at));
    ck_assert(a->drop == b->drop && a->smoothing == b->smoothing);
    ck_assert(a->pad == b->pad && a->flip == b->flip && a->cutout == b->cutout);
    ck_assert(a->scale[0] == b->scale[0] && a->scale[1] == b->scale[1]);
    ck_assert(a->distill.kind == b->distill.kind && a->distill.weight == b->distill.weight);
    ck_assert(a->distill.temperature == b->distill.temperature);
    ck_assert(a->distill.alpha == b->distill.alpha && a->distill.beta == b->distill.beta);
    ck_assert(a->distill.other == b->distill.other && hash_equal(&a->distill.teacher, &b->distill.teacher));
}

static struct message make_work(void)
{
    static int32_t keep[3] = {1, 64, PROTO_MAX_CLASSES};
    struct message m = {.type = MSG_WORK};
    struct msg_work *w = &m.u.work;
    *w = (struct msg_work){
        .task = final, .has_profile = true, .profile = hash_of("p", 1), .n_keep = 3, .keep = keep};
    w->recipe = (struct recipe){.seed = UINT64_MAX,
                                .model = hash_of("m", 1),
                                .data = DATA_IDX,
                                .n_files = 2,
                                .mean = {123.675, 1e-300},
                                .std = {58.395, 0.5},
                                .n_channels = 2,
                                .reward = 5000,
                                .calibrate = 2000,
                                .select = SELECT_L1,
                                .reconstruct = true,
                                .precision = PRECISION_BF16,
                                .finetune = make_training(0),
                                .finish = make_training(1)};
    w->recipe.files[0] =
        (struct data_file){.name = "train-images-idx3-ubyte", .hash = hash_of("a", 1), .size = 47040016};
    w->recipe.files[1] = (struct data_file){.name = "labels", .hash = hash_of("b", 1)};
    w->about = (struct msg_about){.name = "resnet56-cifar10",
                                  .budget = "flops 0.5",
                                  .reward = {.n = 500, .top1 = 400, .top5 = 490, .loss = 0.5},
                                  .macs = 61,
                                  .params = 71,
                                  .dense_macs = 125,
                                  .dense_params = 855};
    w->lr_scale = 0.25;
    w->resume_epoch = 7;
    w->resume = hash_of("c", 1);
    return m;
}

static struct message make_piece(enum message_type type)
{
    static const uint8_t bytes[3] = {0, 1, 255};
    struct message m = {.type = type};
    m.u.piece = (struct msg_piece){hash_of("x", 1), PROTO_CHUNK_BYTES, PROTO_CHUNK_BYTES + 3, bytes, 3};
    return m;
}

static struct message make(enum message_type type)
{
    struct message m = {.type = type};
    switch (type) {
    case MSG_HELLO:
        return make_hello();
    case MSG_RESULT:
        return make_result();
    case MSG_WORK:
        return make_work();
    case MSG_PUT:
    case MSG_CHUNK:
        return make_piece(type);
    case MSG_BEAT:
        m.u.beat =
            (struct msg_beat){.busy = true, .task = evaluate, .stage = "score", .done = 3, .total = INT64_MAX};
        break;
    case MSG_FAILED:
        m.u.failed = (struct msg_failed){.task = evaluate, .diverged = true, .reason = "loss nan at step 7"};
        break;
    case MSG_GET:
        m.u.get = (struct msg_get){.hash = hash_of("x", 1), .offset = 5, .length = PROTO_CHUNK_BYTES};
        break;
    case MSG_WELCOME:
        m.u.welcome = (struct msg_welcome){.version = PROTO_VERSION, .beat_ms = 1000, .lease_ms = 15000};
        break;
    case MSG_NOBLOB:
        m.u.blob = (struct msg_blob){.hash = hash_of("x", 1), .reason = "not here"};
        break;
    case MSG_STORED:
        m.u.blob = (struct msg_blob){.hash = hash_of("x", 1), .offset = 77};
        break;
    case MSG_ACK:
    case MSG_CANCEL:
        m.u.task = (struct msg_task){.task = profile, .reason = "search cancelled"};
        break;
    case MSG_BYE:
    case MSG_REFUSE:
        strcpy(m.u.reason, "version 3 is spoken here");
        break;
    case MSG_CHECKPOINT:
        m.u.checkpoint = (struct msg_checkpoint){.task = train,
                                                 .epoch = 3,
                                                 .blob = hash_of("c", 1),
                                                 .lr = 0.09,
                                                 .loss = -0.5,
                                                 .top1 = 0.75,
                                                 .seconds = 12.5};
        break;
    case MSG_KEPT:
        m.u.checkpoint = (struct msg_checkpoint){.task = final, .epoch = TRAINING_MAX_EPOCHS};
        break;
    case MSG_ALIVE:
    case MSG_TYPES:
        break;
    }
    return m;
}

static void same_arrays(const struct message *a, const struct message *b)
{
    if (a->type == MSG_RESULT) {
        const struct msg_result *x = &a->u.result, *y = &b->u.result;
        ck_assert_uint_eq(x->n_groups, y->n_groups);
        ck_assert_uint_eq(x->n_points, y->n_points);
        ck_assert_mem_eq(x->n_curve, y->n_curve, x->n_groups * sizeof(*x->n_curve));
        ck_assert_mem_eq(x->curve, y->curve, x->n_points * sizeof(*x->curve));
    } else if (a->type == MSG_WORK) {
        ck_assert_uint_eq(a->u.work.n_keep, b->u.work.n_keep);
        ck_assert_mem_eq(a->u.work.keep, b->u.work.keep, a->u.work.n_keep * sizeof(int32_t));
    } else if (a->type == MSG_PUT || a->type == MSG_CHUNK) {
        ck_assert_uint_eq(a->u.piece.n, b->u.piece.n);
        ck_assert_mem_eq(a->u.piece.bytes, b->u.piece.bytes, a->u.piece.n);
    }
}

/* With their pointers taken out, equal messages are equal bytes. */
static void strip(struct message *m)
{
    if (m->type == MSG_RESULT)
        m->u.result.n_curve = NULL, m->u.result.curve = NULL;
    else if (m->type == MSG_WORK)
        m->u.work.keep = NULL;
    else if (m->type == MSG_PUT || m->type == MSG_CHUNK)
        m->u.piece.bytes = NULL;
}

START_TEST(there_and_back)
{
    struct message was = make((enum message_type)_i), is;
    struct buf b = {0}, again = {0};
    struct err e;
    message_encode(&was, &b);
    ck_assert_msg(message_decode(b.p, b.n, &is, &e) == 0, "%s: %s", message_name(was.type), e.text);
    ck_assert_int_eq(is.type, was.type);
    same_arrays(&was, &is);
    message_encode(&is, &again);
    ck_assert_uint_eq(b.n, again.n);
    ck_assert_mem_eq(b.p, again.p, b.n);
    struct message bare = is;
    strip(&was);
    strip(&bare);
    if (was.type != MSG_WORK) /* padding inside the recipe's files */
        ck_assert_mem_eq(&was.u, &bare.u, sizeof(was.u.hello));
    else
        ck_assert_str_eq(was.u.work.recipe.files[0].name, bare.u.work.recipe.files[0].name);
    message_release(&is);
    buf_release(&b);
    buf_release(&again);
}
END_TEST

START_TEST(work_on_images)
{
    struct message was = make_work(), is;
    struct recipe *r = &was.u.work.recipe;
    struct buf b = {0};
    struct err e;
    r->data = DATA_IMAGES;
    r->finetune.pad = r->finish.pad = 0;
    r->finetune.scale[0] = 0.25;
    r->finetune.scale[1] = r->finish.scale[0] = r->finish.scale[1] = 1;
    r->resize = 256;
    r->offset = 1;
    message_encode(&was, &b);
    ck_assert_int_eq(message_decode(b.p, b.n, &is, &e), 0);
    const struct recipe *got = &is.u.work.recipe;
    ck_assert(got->data == DATA_IMAGES && got->resize == 256 && got->offset == 1);
    same_training(&got->finetune, &r->finetune);
    same_training(&got->finish, &r->finish);
    message_release(&is);
    buf_release(&b);
}
END_TEST

START_TEST(work_keeps_every_field)
{
    struct message was = make_work(), is;
    struct buf b = {0};
    struct err e;
    message_encode(&was, &b);
    ck_assert_int_eq(message_decode(b.p, b.n, &is, &e), 0);
    const struct recipe *r = &is.u.work.recipe;
    ck_assert(task_id_equal(&is.u.work.task, &final));
    ck_assert_uint_eq(r->seed, UINT64_MAX);
    ck_assert_int_eq(r->data, DATA_IDX);
    ck_assert_int_eq(r->n_files, 2);
    ck_assert_uint_eq(r->files[0].size, 47040016);
    ck_assert(hash_equal(&r->files[1].hash, &was.u.work.recipe.files[1].hash));
    ck_assert_int_eq(r->n_channels, 2);
    ck_assert(r->mean[1] == 1e-300 && r->std[1] == 0.5 && r->std[2] == 0);
    ck_assert(r->reward == 5000 && r->calibrate == 2000 && r->select == SELECT_L1);
    ck_assert(r->reconstruct && !r->recalibrate);
    ck_assert_int_eq(r->precision, PRECISION_BF16);
    same_training(&r->finetune, &was.u.work.recipe.finetune);
    same_training(&r->finish, &was.u.work.recipe.finish);
    ck_assert_str_eq(is.u.work.about.name, was.u.work.about.name);
    ck_assert_str_eq(is.u.work.about.budget, was.u.work.about.budget);
    ck_assert_int_eq(is.u.work.about.reward.top5, was.u.work.about.reward.top5);
    ck_assert_int_eq(is.u.work.about.macs, was.u.work.about.macs);
    ck_assert_int_eq(is.u.work.about.params, was.u.work.about.params);
    ck_assert_int_eq(is.u.work.about.dense_macs, was.u.work.about.dense_macs);
    ck_assert_int_eq(is.u.work.about.dense_params, was.u.work.about.dense_params);
    ck_assert(is.u.work.lr_scale == 0.25 && is.u.work.resume_epoch == 7);
    ck_assert(hash_equal(&is.u.work.resume, &was.u.work.resume));
    message_release(&is);
    buf_release(&b);
}
END_TEST

/* What is left out comes back as nothing. */
START_TEST(work_to_train)
{
    struct message was = {.type = MSG_WORK}, is;
    struct msg_work *w = &was.u.work;
    struct buf b = {0};
    struct err e;
    *w = (struct msg_work){.task = train, .lr_scale = 1};
    w->recipe.finetune = w->recipe.finish = training_none();
    w->recipe.finish.epochs = 5;
    message_encode(&was, &b);
    ck_assert_msg(message_decode(b.p, b.n, &is, &e) == 0, "%s", e.text);
    w = &is.u.work;
    ck_assert(task_id_equal(&w->task, &train));
    ck_assert(!w->has_profile && w->n_keep == 0 && !w->keep && w->resume_epoch == 0 && w->lr_scale == 1);
    ck_assert(!training_any(&w->recipe.finetune) && training_any(&w->recipe.finish));
    same_training(&w->recipe.finish, &was.u.work.recipe.finish);
    message_release(&is);
    buf_release(&b);
}
END_TEST

START_TEST(measurements_keep_every_field)
{
    static uint8_t table[3] = {0, 1, 255};
    struct message was = {.type = MSG_RESULT}, is;
    struct buf b = {0};
    struct err e;
    was.u.result = (struct msg_result){.task = {TASK_MEASURE, 7, -1, 1}, .seconds = 9, .n_table = 3, .table = table};
    message_encode(&was, &b);
    ck_assert_msg(message_decode(b.p, b.n, &is, &e) == 0, "%s", e.text);
    memset(b.p, 0, b.n); /* the table is the message's own */
    ck_assert_uint_eq(is.u.result.n_table, 3);
    ck_assert_mem_eq(is.u.result.table, table, 3);
    message_release(&is);
    buf_clear(&b);
    was.u.result = (struct msg_result){.task = {TASK_TIME, 7, 5, 1}, .n_times = 2, .times = {{1, 0.5, 1, 0.25, 0.01}, {32, 4, 8, 2, 3}}};
    message_encode(&was, &b);
    ck_assert_msg(message_decode(b.p, b.n, &is, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(is.u.result.n_times, 2);
    const struct timing *t = is.u.result.times;
    ck_assert(t[0].batch == 1 && t[0].ms == 0.5 && t[0].dense_ms == 1 && t[0].ratio == 0.25 && t[0].spread == 0.01);
    ck_assert(t[1].batch == 32 && t[1].ms == 4 && t[1].dense_ms == 8 && t[1].ratio == 2 && t[1].spread == 3);
    message_release(&is);
    buf_release(&b);
}
END_TEST

START_TEST(texts_are_cleaned_when_packed)
{
    struct message m = {.type = MSG_BYE}, is;
    struct buf b = {0};
    struct err e;
    strcpy(m.u.reason, "a\nb\xc3"); /* a control character, and half a character at the end */
    message_encode(&m, &b);
    ck_assert_int_eq(message_decode(b.p, b.n, &is, &e), 0);
    ck_assert_str_eq(is.u.reason, "a?b?");
    buf_release(&b);
}
END_TEST

START_TEST(hello_of_another_version_is_understood)
{
    static const uint8_t frame[] = {0x93, 0x00, 0x63, 0xa1, 'x'}; /* [0, 99, "x"] */
    struct message m;
    struct err e;
    ck_assert_int_eq(message_decode(frame, sizeof(frame), &m, &e), 0);
    ck_assert_int_eq(m.type, MSG_HELLO);
    ck_assert_uint_eq(m.u.hello.version, 99);
    ck_assert_str_eq(m.u.hello.name, "");
}
END_TEST

/* --- malformed frames --- */

/* "93 08 'text'" to bytes. */
static void assemble(const char *s, struct buf *b)
{
    while (*s) {
        if (*s == ' ') {
            s++;
        } else if (*s == '\'') {
            const char *end = strchr(s + 1, '\'');
            buf_append(b, s + 1, (size_t)(end - s - 1));
            s = end + 1;
        } else {
            ck_assert(isxdigit((unsigned char)s[0]) && isxdigit((unsigned char)s[1]));
            uint8_t byte = (uint8_t)strtoul((char[]){s[0], s[1], 0}, NULL, 16);
            buf_append(b, &byte, 1);
            s += 2;
        }
    }
}

#define TASK  "94 01 01 05 01"
#define FINAL "94 02 01 05 01"
#define HASH  "c4 20 'abcdefghijklmnopqrstuvwxyz012345'"
#define NONE  "94 00 00 00 cb 00 00 00 00 00 00 00 00"
#define ZERO  "cb 00 00 00 00 00 00 00 00"
#define ONE   "cb 3f f0 00 00 00 00 00 00"
#define NAN64 "cb 7f f8 00 00 00 00 00 00"
#define TWO   "cb 40 00 00 00 00 00 00 00"
#define BIG   "cb 40 8f 48 00 00 00 00 00" /* 1001 */
#define MINUS "cb bf f0 00 00 00 00 00 00"
#define WORK  "9a 09 " TASK " "
#define HEAD  "dc 00 11 01 " HASH " 00 "
#define TRAINING                                                                                                   \
    "dc 00 13 00 00 01 " ONE " " ZERO " c3 " ZERO " c2 00 " ZERO " 90 " ZERO " " ZERO " 00 c3 00 " DISTILL " " ZERO " " ZERO
#define RESCALED                                                                                                   \
    "dc 00 13 00 00 01 " ONE " " ZERO " c3 " ZERO " c2 00 " ZERO " 90 " ZERO " " ZERO " 00 c3 00 " DISTILL " " ONE " " ONE
#define PADDED                                                                                                     \
    "dc 00 13 00 00 01 " ONE " " ZERO " c3 " ZERO " c2 00 " ZERO " 90 " ZERO " " ZERO " 01 c3 00 " DISTILL " " ZERO " " ZERO
#define DISTILL "96 00 " ONE " " ONE " " ONE " " ONE " c0"
#define AFTER   " 00 " TRAINING " " TRAINING " 00 00"
#define ABOUT   "97 a0 a0 " NONE " 00 00 00 00"
#define END     " " ABOUT " " ONE " 00 c0 00"
#define TAIL    " 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05" END

static const struct {
    const char *frame, *line;
} bad[] = {
    {"", "message is empty"},
    {"dd 0f 00 00 00", "array of 251658240 elements with 0 bytes left"},
    {"dd ff ff ff ff 00 00 00", "array of 4294967295 elements with 3 bytes left"},
    {"dd 0f 00", "message ends at byte 3, inside a length"},
    {"91", "array of 1 elements with 0 bytes left"},
    {"92 91 0a", "message ends at byte 3, with 1 elements missing"},
    {"91 0a 00", "1 bytes after the end of the message"},
    {"91 91 91 91 91 91 91 0a", "arrays nested more than 6 deep"},
    {"81 0a 0a", "byte 0x81 at 0 begins a map, an extension or nothing known"},
    {"91 de 00 01 0a 0a", "byte 0xde at 1 begins a map, an extension or nothing known"},
    {"91 d4 01 00", "byte 0xd4 at 1 begins a map, an extension or nothing known"},
    {"91 c1", "byte 0xc1 at 1 begins a map, an extension or nothing known"},
    {"92 06 a5 'bye'", "value of 5 bytes with 3 bytes left"},
    {"92 06 db ff ff ff ff 'bye'", "value of 4294967295 bytes with 3 bytes left"},
    {"91 cf 00 00", "value of 8 bytes with 2 bytes left"},
    {"0a", "message isn't an array"},
    {"a5 'hello'", "message isn't an array"},
    {"90", "message doesn't begin with its type"},
    {"91 a5 'HELLO'", "message doesn't begin with its type"},
    {"91 ff", "message doesn't begin with its type"},
    {"91 12", "message of unknown type 18"},
    {"91 cf ff ff ff ff ff ff ff ff", "message of unknown type 18446744073709551615"},
    {"92 0a c0", "ALIVE: 2 fields, not 1"},
    {"91 06", "BYE: 1 fields, not 2"},
    {"92 06 c0", "BYE.reason: nil where text belongs"},
    {"92 06 c4 01 41", "BYE.reason: bytes where text belongs"},
    {"92 06 a3 'a' 0a 'b'", "BYE.reason: byte 0x0a in a text is a control character or no UTF-8"},
    {"92 06 a2 c2 9b", "BYE.reason: byte 0xc2 in a text is a control character or no UTF-8"},
    {"92 06 a3 ed a0 80", "BYE.reason: byte 0xed in a text is a control character or no UTF-8"},
    {"92 06 a2 c0 80", "BYE.reason: byte 0xc0 in a text is a control character or no UTF-8"},
    {"92 06 a2 'a' e2", "BYE.reason: byte 0xe2 in a text is a control character or no UTF-8"},
    {"98 00 04 a0 a0 a0 a0 01 c0", "HELLO.name: text of 0 bytes, at least 1"},
    {"98 00 04 d9 40 '0123456789012345678901234567890123456789012345678901234567890123' a0 a0 a0 01 c0",
     "HELLO.name: text of 64 bytes, at most 63"},
    {"98 00 04 a1 'n' a0 a0 a0 00 c0", "HELLO.threads: 0, at least 1"},
    {"98 00 04 a1 'n' a0 a0 a0 ce 00 01 00 00 c0", "HELLO.threads: 65536, at most 4096"},
    {"98 00 04 a1 'n' a0 a0 a0 ff c0", "HELLO.threads: -1, at least 1"},
    {"98 00 04 a1 'n' a0 a0 a0 ca 3f 80 00 00 c0", "HELLO.threads: a float where an integer belongs"},
    {"98 00 04 a1 'n' a0 a0 a0 01 c2", "HELLO.task: a boolean where an array belongs"},
    {"98 00 ff a1 'n' a0 a0 a0 01 c0", "HELLO.version: -1, at least 0"},
    {"93 0e 93 01 01 05 a0", "ACK.task: 3 fields, not 4"},
    {"93 0e 94 07 01 05 01 a0", "ACK.task.kind: 7, at most 6"},
    {"93 0e 94 ff 01 05 01 a0", "ACK.task.kind: -1, at least 0"},
    {"93 0e 94 01 00 05 01 a0", "ACK.task.search: 0, at least 1"},
    {"93 0e 94 01 cf ff ff ff ff ff ff ff ff 05 01 a0",
     "ACK.task.search: 18446744073709551615, at most 9223372036854775807"},
    {"93 0e 94 01 01 05 00 a0", "ACK.task.attempt: 0, at least 1"},
    {"93 0e 94 01 01 ff 01 a0", "ACK.task: episode -1 of a task of kind evaluate"},
    {"93 0e 94 00 01 05 01 a0", "ACK.task: episode 5 of a task of kind profile"},
    {"93 0e 94 04 01 05 01 a0", "ACK.task: episode 5 of a task of kind train"},
    {"95 01 c0 a0 ff 00", "BEAT.done: -1, at least 0"},
    {"9a 02 " TASK " " NAN64 " " NONE " " NONE " c0 90 90 c4 00 90", "RESULT.seconds: nan isn't a number that can be used"},
    {"9a 02 " TASK " cb 7f f0 00 00 00 00 00 00 " NONE " " NONE " c0 90 90 c4 00 90",
     "RESULT.seconds: inf isn't a number that can be used"},
    {"9a 02 " TASK " cb bf f0 00 00 00 00 00 00 " NONE " " NONE " c0 90 90 c4 00 90", "RESULT: seconds -1"},
    {"9a 02 " TASK " 01 " NONE " " NONE " c0 90 90 c4 00 90", "RESULT.seconds: an integer where a float of 8 bytes belongs"},
    {"9a 02 " TASK " " ONE " 94 05 06 06 " ZERO " " NONE " c0 90 90 c4 00 90", "RESULT.reward.top1: 6, at most 5"},
    {"9a 02 " TASK " " ONE " 94 05 04 03 " ZERO " " NONE " c0 90 90 c4 00 90", "RESULT.reward.top5: 3, at least 4"},
    {"9a 02 " TASK " " ONE " 94 05 04 04 " NAN64 " " NONE " c0 90 90 c4 00 90",
     "RESULT.reward.loss: nan isn't a number that can be used"},
    {"9a 02 " TASK " " ONE " " NONE " 94 01 01 01 " ZERO " c0 90 90 c4 00 90",
     "RESULT: test scores for a task of kind evaluate"},
    {"9a 02 " TASK " " ONE " " NONE " " NONE " " HASH " 90 90 c4 00 90", "RESULT: a blob for a task of kind evaluate"},
    {"9a 02 94 03 01 05 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 90", "RESULT: no blob for a task of kind export"},
    {"9a 02 " TASK " " ONE " " NONE " " NONE " c0 91 02 92 ca 00 00 00 00 ca 00 00 00 00 c4 00 90",
     "RESULT: 1 curves for a task of kind evaluate"},
    {"9a 02 94 00 01 ff 01 " ONE " " NONE " " NONE " " HASH " 91 03 92 ca 00 00 00 00 ca 00 00 00 00 c4 00 90",
     "RESULT.curve: 2 points for curves of 3"},
    {"9a 02 94 00 01 ff 01 " ONE " " NONE " " NONE " " HASH " 91 01 91 ca 00 00 00 00 c4 00 90",
     "RESULT.n_curve[0]: 1, at least 2"},
    {"9a 02 94 00 01 ff 01 " ONE " " NONE " " NONE " " HASH " 91 02 92 ca 00 00 00 00 ca 7f 80 00 00 c4 00 90",
     "RESULT.curve[1]: inf isn't a number that can be used"},
    {"9a 02 94 00 01 ff 01 " ONE " " NONE " " NONE " " HASH " 91 02 92 ca 00 00 00 00 " ZERO " c4 00 90",
     "RESULT.curve[1]: a float where a float of 4 bytes belongs"},
    {"9a 02 94 04 01 ff 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 90", "RESULT: no blob for a task of kind train"},
    {"9a 02 " TASK " " ONE " " NONE " " NONE " c0 90 90 c4 01 00 90", "RESULT: a table of 1 bytes for a task of kind evaluate"},
    {"9a 02 94 05 01 ff 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 90", "RESULT: a table of 0 bytes for a task of kind measure"},
    {"9a 02 94 05 01 ff 01 " ONE " " NONE " " NONE " " HASH " 90 90 c4 01 00 90", "RESULT: a blob for a task of kind measure"},
    {"9a 02 94 05 01 00 01 " ONE " " NONE " " NONE " c0 90 90 c4 01 00 90", "RESULT.task: episode 0 of a task of kind measure"},
    {"9a 02 94 06 01 05 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 90", "RESULT: 0 times for a task of kind time"},
    {"9a 02 94 06 01 05 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 91 95 00 " ONE " " ONE " " ONE " " ONE,
     "RESULT.times[0].time.batch: 0, at least 1"},
    {"9a 02 94 06 01 05 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 91 95 01 " ONE " " ONE " " MINUS " " ONE,
     "RESULT.times[0].time.ratio: -1, at least 0"},
    {"9a 02 94 06 01 05 01 " ONE " " NONE " " NONE " c0 90 90 c4 00 93 90 90 90", "RESULT.times: 3 elements, at most 2"},
    {"95 03 " TASK " 01 c2 a0", "FAILED.permanent: an integer where a boolean belongs"},
    {"95 03 " TASK " c2 00 a0", "FAILED.diverged: an integer where a boolean belongs"},
    {"94 03 " TASK " c2 a0", "FAILED: 4 fields, not 5"},
    {"94 04 c4 02 'ab' 00 01", "GET.hash: hash of 2 bytes, not 32"},
    {"94 04 " HASH " 00 00", "GET.length: 0, at least 1"},
    {"94 04 " HASH " 00 ce 00 10 00 01", "GET.length: 1048577, at most 1048576"},
    {"95 05 " HASH " 05 06 c4 01 00", "PUT: offset 5 isn't a multiple of 1048576"},
    {"95 05 " HASH " 00 06 c4 01 00", "PUT: a piece of 1 bytes that isn't the last"},
    {"95 0b " HASH " 05 05 c4 01 00", "CHUNK: 1 bytes at 5 of 5"},
    {"95 0b " HASH " 00 05 a1 'x'", "CHUNK.bytes: text where bytes belongs"},
    {"94 07 01 00 05", "WELCOME.beat_ms: 0, at least 1"},
    {"94 07 01 05 05", "WELCOME: lease_ms 5 isn't above beat_ms 5"},
    {WORK "dc 00 10 01 " HASH " 00" TAIL, "WORK.recipe: 16 fields, not 17"},
    {WORK "dc 00 11 01 " HASH " 05 90" TAIL, "WORK.recipe.data: 5, at most 4"},
    {WORK HEAD "91 93 a3 'a/b' " HASH " 01" TAIL,
     "WORK.recipe.files[0].file: name \"a/b\" isn't a plain file name"},
    {WORK HEAD "91 93 a2 '..' " HASH " 01" TAIL, "WORK.recipe.files[0].file: name \"..\" isn't a plain file name"},
    {WORK HEAD "92 93 a1 'a' " HASH " 01 93 a3 'a' 07 'b' " HASH " 01" TAIL,
     "WORK.recipe.files[1].file.name: byte 0x07 in a text is a control character or no UTF-8"},
    {WORK HEAD "91 93 a3 'a' 00 'b' " HASH " 01" TAIL,
     "WORK.recipe.files[0].file.name: byte 0x00 in a text is a control character or no UTF-8"},
    {WORK HEAD "99 90 90 90 90 90 90 90 90 90" TAIL, "WORK.recipe.files: 9 elements, at most 8"},
    {WORK HEAD "90 91 " ONE " 90 01 01 00 00 c3 c3" AFTER " c0 91 05" END, "WORK.recipe: 1 numbers in mean, 0 in std"},
    {WORK HEAD "90 91 " ONE " 91 " ZERO " 01 01 00 00 c3 c3" AFTER " c0 91 05" END, "WORK.recipe: std 0"},
    {WORK HEAD "90 91 " NAN64 " 91 " ONE " 01 01 00 00 c3 c3" AFTER " c0 91 05" END,
     "WORK.recipe.mean[0]: nan isn't a number that can be used"},
    {WORK HEAD "90 90 90 01 01 02 00 c3 c3" AFTER " c0 91 05" END, "WORK.recipe.cut: 2, at most 1"},
    {WORK HEAD "90 90 90 01 01 01 00 c3 c3" AFTER " c0 91 05" END, "WORK.recipe: reconstruction of single weights"},
    {WORK HEAD "90 90 90 01 01 00 02 c3 c3" AFTER " c0 91 05" END, "WORK.recipe.select: 2, at most 1"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3 02 " TRAINING " " TRAINING " 00 00 c0 91 05" END,
     "WORK.recipe.precision: 2, at most 1"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3 00 90 " TRAINING " 00 00 c0 91 05" END, "WORK.recipe.finetune: 0 fields, not 19"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3 00 " TRAINING " c0 00 00 c0 91 05" END,
     "WORK.recipe.finish: nil where an array belongs"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3 00 " TRAINING " " TRAINING " cd 10 01 00 c0 91 05" END,
     "WORK.recipe.resize: 4097, at most 4096"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3 00 " TRAINING " " TRAINING " 00 ff c0 91 05" END,
     "WORK.recipe.offset: -1, at least 0"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3 00 " TRAINING " " RESCALED " 00 00 c0 91 05" END,
     "WORK.recipe: scale is about images, not about cifar10"},
    {WORK "dc 00 11 01 " HASH " 04 90 90 90 01 01 00 00 c3 c3 00 " PADDED " " TRAINING " 00 00 c0 91 05" END,
     "WORK.recipe: images aren't padded"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 00" END, "WORK.keep[0]: 0, at least 1"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 90" END, "WORK: 0 groups to keep for a task of kind evaluate"},
    {"9a 09 94 00 01 ff 01 " HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " " HASH " 90" END,
     "WORK: a profile for a task of kind profile"},
    {"9a 09 94 04 01 ff 01 " HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " " HASH " 90" END,
     "WORK: a profile for a task of kind train"},
    {"9a 09 94 04 01 ff 01 " HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05" END,
     "WORK: 1 groups to keep for a task of kind train"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " TWO " 00 c0 00", "WORK.lr_scale: 2, at most 1"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " MINUS " 00 c0 00", "WORK.lr_scale: -1, at least 0"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " ONE " cd 27 11 c0 00",
     "WORK.resume_epoch: 10001, at most 10000"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " ONE " 00 " HASH " 00", "WORK: a checkpoint of epoch 0"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " ONE " 03 c0 00", "WORK: no checkpoint of epoch 3"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " ONE " 03 " HASH " 00",
     "WORK: a checkpoint for a task of kind evaluate"},
    {WORK HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " ONE " 00 c0 01", "WORK: batch 1 for a task of kind evaluate"},
    {"9a 09 94 06 01 05 01 " HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05" END, "WORK: batch 0 for a task of kind time"},
    {"9a 09 94 06 01 05 01 " HEAD "90 90 90 01 01 00 00 c3 c3" AFTER " c0 91 05 " ABOUT " " ONE " 00 c0 cd 10 01",
     "WORK.batch: 4097, at most 4096"},
    {"98 10 " TASK " 01 " HASH " " ONE " " ONE " " ONE " " ONE,
     "CHECKPOINT: a checkpoint of a task of kind evaluate"},
    {"98 10 " FINAL " 00 " HASH " " ONE " " ONE " " ONE " " ONE, "CHECKPOINT.epoch: 0, at least 1"},
    {"98 10 " FINAL " 01 c0 " ONE " " ONE " " ONE " " ONE, "CHECKPOINT.blob: nil where bytes belongs"},
    {"98 10 " FINAL " 01 " HASH " " MINUS " " ONE " " ONE " " ONE, "CHECKPOINT.lr: -1, at least 0"},
    {"98 10 " FINAL " 01 " HASH " " ONE " " NAN64 " " ONE " " ONE,
     "CHECKPOINT.loss: nan isn't a number that can be used"},
    {"98 10 " FINAL " 01 " HASH " " ONE " " ONE " " TWO " " ONE, "CHECKPOINT.top1: 2, at most 1"},
    {"98 10 " FINAL " 01 " HASH " " ONE " " ONE " " ONE " " MINUS, "CHECKPOINT.seconds: -1, at least 0"},
    {"93 10 " FINAL " 01", "CHECKPOINT: 3 fields, not 8"},
    {"93 11 " FINAL " cd 27 11", "KEPT.epoch: 10001, at most 10000"},
    {"93 11 " TASK " 01", "KEPT: a checkpoint of a task of kind evaluate"},
};

START_TEST(malformed_frames_are_refused)
{
    struct buf b = {0};
    struct message m;
    struct err e = {.text = "accepted"};
    assemble(bad[_i].frame, &b);
    /* A copy of the very size, so that a sanitizer sees one byte too far. */
    uint8_t *exact = malloc(b.n ? b.n : 1);
    memcpy(exact, b.p ? b.p : (const uint8_t *)"", b.n);
    int rc = message_decode(exact, b.n, &m, &e);
    ck_assert_str_eq(e.text, bad[_i].line);
    ck_assert_int_eq(rc, ERR_INVALID);
    static const struct message zero;
    ck_assert_mem_eq(&m, &zero, sizeof(m));
    free(exact);
    buf_release(&b);
}
END_TEST

/* A work's training with one field changed; those of `distill` count on from 16. */
static const char *const training_fields[] = {
    "01", "00", "01", ONE,  ZERO, "c3", ZERO, "c2", "00", ZERO, "90",
    ZERO, ZERO, "00", "c3", "00", "00", ONE,  ONE,  ONE,  ONE,  "c0", ZERO, ZERO,
};
enum { FIELDS = sizeof(training_fields) / sizeof(training_fields[0]), DISTILL_AT = 16 };

static const struct {
    int field;
    const char *bytes, *line; /* behind "WORK.recipe.finetune" */
} bad_training[] = {
    {0, "ff", ".epochs: -1, at least 0"},
    {0, "cd 27 11", ".epochs: 10001, at most 10000"},
    {1, "ce 05 f5 e1 01", ".steps: 100000001, at most 100000000"},
    {1, "01", ": 1 epochs and 1 steps"},
    {2, "00", ".batch: 0, at least 1"},
    {2, "cd 10 01", ".batch: 4097, at most 4096"},
    {3, MINUS, ".lr: -1, at least 0"},
    {3, BIG, ".lr: 1001, at most 1000"},
    {3, NAN64, ".lr: nan isn't a number that can be used"},
    {3, "01", ".lr: an integer where a float of 8 bytes belongs"},
    {4, TWO, ".momentum: 2, at most 1"},
    {5, "00", ".nesterov: an integer where a boolean belongs"},
    {6, TWO, ".weight_decay: 2, at most 1"},
    {7, "c0", ".decay_all: nil where a boolean belongs"},
    {8, "03", ".schedule: 3, at most 2"},
    {9, MINUS, ".warmup: -1, at least 0"},
    {10, "99 00 00 00 00 00 00 00 00 00", ".drop_at: 9 elements, at most 8"},
    {10, "92 " TWO " " ONE, ".drop_at[1]: 1, at least 2"},
    {10, "91 " MINUS, ".drop_at[0]: -1, at least 0"},
    {11, TWO, ".drop: 2, at most 1"},
    {12, TWO, ".smoothing: 2, at most 1"},
    {13, "cd 04 01", ".pad: 1025, at most 1024"},
    {14, "01", ".flip: an integer where a boolean belongs"},
    {15, "ff", ".cutout: -1, at least 0"},
    {16, "04", ".distill.kind: 4, at most 3"},
    {17, MINUS, ".distill.weight: -1, at least 0"},
    {17, TWO, ".distill: weight 2 of the teacher's term"},
    {17, BIG, ".distill.weight: 1001, at most 1000"},
    {18, ZERO, ".distill.temperature: 0, at least 0.01"},
    {19, BIG, ".distill.alpha: 1001, at most 1000"},
    {20, MINUS, ".distill.beta: -1, at least 0"},
    {21, "c4 01 00", ".distill.teacher: hash of 1 bytes, not 32"},
    {22, MINUS, ".scale_least: -1, at least 0"},
    {22, ONE, ".scale_most: 0, at least 1"},
    {23, TWO, ".scale_most: 2, at most 1"},
    {23, ONE, ": scale 0 to 1"},
};

static int decode_training(int field, const char *bytes, struct message *m, struct err *e)
{
    struct buf b = {0};
    assemble(WORK HEAD "90 90 90 01 01 00 00 c3 c3 00 dc 00 13", &b);
    for (int i = 0; i < FIELDS; i++) {
        if (i == DISTILL_AT)
            assemble("96", &b);
        assemble(i == field ? bytes : training_fields[i], &b);
    }
    assemble(TRAINING " 00 00 c0 91 05" END, &b);
    int rc = message_decode(b.p, b.n, m, e);
    buf_release(&b);
    return rc;
}

START_TEST(malformed_trainings_are_refused)
{
    struct message m;
    struct err e = {.text = "accepted"};
    char line[256];
    ck_assert_int_eq(decode_training(-1, NULL, &m, &e), 0);
    message_release(&m);
    ck_assert_int_eq(decode_training(bad_training[_i].field, bad_training[_i].bytes, &m, &e), ERR_INVALID);
    snprintf(line, sizeof(line), "WORK.recipe.finetune%s", bad_training[_i].line);
    ck_assert_str_eq(e.text, line);
}
END_TEST

START_TEST(sizes_have_limits)
{
    struct message m;
    struct err e;
    uint8_t *big = calloc(PROTO_MAX_BYTES + 1, 1);
    ck_assert_int_eq(message_decode(big, PROTO_MAX_BYTES + 1, &m, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "message of 2097153 bytes, at most 2097152 are accepted");
    uint32_t n = PROTO_MAX_ELEMENTS + 1;
    big[0] = 0xdd, big[1] = (uint8_t)(n >> 24), big[2] = (uint8_t)(n >> 16), big[3] = (uint8_t)(n >> 8),
    big[4] = (uint8_t)n;
    ck_assert_int_eq(message_decode(big, 5 + n, &m, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "more than 266496 elements");
    free(big);
}
END_TEST

/* Every cut of every message is refused, none crashes. */
START_TEST(cut_frames_are_refused)
{
    struct message was = make((enum message_type)_i), m;
    struct buf b = {0};
    struct err e;
    message_encode(&was, &b);
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, b.p, n);
        ck_assert_int_eq(message_decode(exact, n, &m, &e), ERR_INVALID);
        free(exact);
    }
    buf_release(&b);
}
END_TEST

START_TEST(largest_result_fits)
{
    struct message m = make_result(), is;
    struct msg_result *r = &m.u.result;
    struct buf b = {0};
    struct err e;
    r->n_groups = PROTO_MAX_GROUPS;
    r->n_points = PROTO_MAX_CURVE;
    r->n_curve = xcalloc(r->n_groups, sizeof(*r->n_curve));
    r->curve = xcalloc(r->n_points, sizeof(*r->curve));
    for (uint32_t g = 0; g < r->n_groups; g++)
        r->n_curve[g] = PROTO_MAX_CURVE / PROTO_MAX_GROUPS;
    message_encode(&m, &b);
    ck_assert_msg(message_decode(b.p, b.n, &is, &e) == 0, "%s", e.text);
    ck_assert_uint_eq(is.u.result.n_points, PROTO_MAX_CURVE);
    message_release(&is);
    free(r->n_curve);
    free(r->curve);
    buf_release(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("message");
    TCase *good = tcase_create("good"), *refused = tcase_create("refused");
    tcase_set_timeout(good, 20);
    tcase_set_timeout(refused, 20);
    tcase_add_loop_test(good, there_and_back, 0, MSG_TYPES);
    tcase_add_test(good, work_keeps_every_field);
    tcase_add_test(good, work_on_images);
    tcase_add_test(good, work_to_train);
    tcase_add_test(good, measurements_keep_every_field);
    tcase_add_test(good, texts_are_cleaned_when_packed);
    tcase_add_test(good, hello_of_another_version_is_understood);
    tcase_add_test(good, largest_result_fits);
    tcase_add_loop_test(refused, malformed_frames_are_refused, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_loop_test(refused, malformed_trainings_are_refused, 0,
                        sizeof(bad_training) / sizeof(bad_training[0]));
    tcase_add_loop_test(refused, cut_frames_are_refused, 0, MSG_TYPES);
    tcase_add_test(refused, sizes_have_limits);
    suite_add_tcase(s, good);
    suite_add_tcase(s, refused);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
