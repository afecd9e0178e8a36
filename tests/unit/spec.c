/* The spec's parser: what it refuses and with which line, what it takes, what it fills in. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/spec.h"
#include "coordinator/spec_images.h"

/* Pictures of a set and a network, as far as a spec looks at them. */
static int check_images(const char *yaml, int split, int n, int n_test, bool folders, int classes, int outputs,
                        struct err *e)
{
    struct spec s;
    struct node nodes[] = {{.C = 3, .H = 32, .W = 48}, {.C = outputs, .H = 1, .W = 1}};
    struct graph g = {.nodes = nodes, .n = 2, .output = 1};
    const struct picture_index x = {
        .split = split, .folders = folders, .n_classes = classes, .n = n, .n_test = n_test};
    int rc = spec_parse(yaml, strlen(yaml), &s, e);
    if (rc == 0)
        rc = spec_check_images(&s, &x, &g, e);
    spec_release(&s);
    return rc;
}

#define H "spec_version: 1\nname: x\nmodel: m.onnx\n"
#define S "data: {kind: synthetic}\n"
#define PHOTOS "data: {kind: images, path: a}\n"
#define B "budgets: {flops: [0.5]}\n"
#define G H S B

static const struct {
    const char *yaml, *line;
} bad[] = {
    {"", "spec: is empty"},
    {"# nothing but a comment\n", "spec: is empty"},
    {"just words\n", "spec: must be a mapping, not one value"},
    {"- a\n- b\n", "spec: must be a mapping, not a list"},
    {"[[[[[[[[[[1]]]]]]]]]]\n", "spec line 1: nested more than 8 deep"},
    {"spec_version: 1\n\tname: x\n", "spec line 2: found a tab character that violates indentation"},
    {"spec_version: 1\nname: \"x\n", "spec line 3: found unexpected end of stream"},
    {"spec_version: 1\nname: a: b\n", "spec line 2: mapping values are not allowed in this context"},
    {"%YAML 3.0\n---\nname: x\n", "spec line 1: found incompatible YAML document"},
    {"spec_version: 1\nname: &n x\nmodel: *n\n", "spec line 3: aliases such as *n aren't accepted"},
    {"spec_version: 1\n? [name]\n: x\n", "spec line 2: a key must be one value"},
    {G "---\nname: y\n", "spec line 6: a second document begins here"},
    {"spec_version: 1\nnam: x\n", "spec line 2: unknown key \"nam\": did you mean \"name\"?"},
    {H "serch: {}\n", "spec line 4: unknown key \"serch\": did you mean \"search\"?"},
    {H "search: {polcy: ddpg}\n", "spec line 4: unknown key \"polcy\" in \"search\": did you mean \"policy\"?"},
    {H "search:\n  policy: ddpg\n  epsodes: 3\n",
     "spec line 6: unknown key \"epsodes\" in \"search\": did you mean \"episodes\"?"},
    {H "finish: {distill: {temprature: 4}}\n",
     "spec line 4: unknown key \"temprature\" in \"distill\": did you mean \"temperature\"?"},
    {H "finetune: {epoch: 0}\n", "spec line 4: unknown key \"epoch\" in \"finetune\": did you mean \"epochs\"?"},
    {H "name: y\n", "spec line 4: key \"name\" stands twice"},
    {H "data:\n  kind: synthetic\n  path: a\n  kind: idx\n", "spec line 7: key \"kind\" stands twice"},
    {"spec_version: 1\nname: [x]\n", "spec line 2: \"name\": must be one value, not a list"},
    {H "data: cifar10\n", "spec line 4: \"data\": must be a mapping, not one value"},
    {H "cut:\n  groups:\n    all: true\n", "spec line 6: \"groups\": must be one value, not a mapping"},
    {H "budgets: {flops: 0.5}\n", "spec line 4: \"flops\": must be a list, not one value"},
    {H "budgets: {flops: []}\n", "spec line 4: \"flops\": is an empty list"},
    {H "budgets: {flops: [0.5, [0.7]]}\n", "spec line 4: an entry of \"flops\": must be one value, not a list"},
    {H "budgets: {flops: [.1, .11, .12, .13, .14, .15, .16, .17, .18, .19, .2, .21, .22, .23, .24, .25, .26]}\n",
     "spec line 4: \"flops\": more than 16 entries"},
    {"name: x\n", "spec: spec_version is missing: must be 1"},
    {"spec_version: 2\nname: x\n", "spec: spec_version 2: must be 1"},
    {"spec_version: one\nname: x\n", "spec: spec_version \"one\": must be a whole number"},
    {"spec_version: 1\nmodel: m\n", "spec: name is missing"},
    {"spec_version: 1\nname: a/b\n",
     "spec: name \"a/b\": must be at most 63 letters, digits, \".\", \"_\" or \"-\""},
    {"spec_version: 1\nname: \"a\\nb\"\n",
     "spec: name \"a?b\": must be at most 63 letters, digits, \".\", \"_\" or \"-\""},
    {"spec_version: 1\nname: nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\n",
     "spec: name \"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\": must be at most 63 letters, "
     "digits, \".\", \"_\" or \"-\""},
    {"spec_version: 1\nname: x\ndata: {kind: synthetic}\nbudgets: {flops: [0.5]}\n", "spec: model is missing"},
    {"spec_version: 1\nname: x\nmodel:\ndata: {kind: synthetic}\nbudgets: {flops: [0.5]}\n",
     "spec: model is missing"},
    {G "seed: -1\n", "spec: seed -1: must be 0 to 9223372036854775807"},
    {G "seed: 9223372036854775808\n", "spec: seed 9223372036854775808: must be 0 to 9223372036854775807"},
    {G "seed: 3x\n", "spec: seed \"3x\": must be a whole number"},
    {H B, "spec: data.kind is missing"},
    {H "data: {path: a}\n" B, "spec: data.kind is missing"},
    {H "data: {kind: cifar}\n" B, "spec: data.kind \"cifar\": must be one of cifar10, cifar100, idx, images, synthetic"},
    {H "data: {kind: images}\n" B, "spec: data.path is missing"},
    {H "data: {kind: images, path: a, labels: ../l.csv}\n" B,
     "spec: data.labels \"../l.csv\": must be a plain file name"},
    {H "data: {kind: images, path: a, labels: ..}\n" B, "spec: data.labels \"..\": must be a plain file name"},
    {H "data: {kind: images, path: a, resize: 0}\n" B, "spec: data.resize 0: must be 1 to 4096"},
    {H "data: {kind: images, path: a, offset: -1}\n" B, "spec: data.offset -1: must be 0 to 1000"},
    {H "data: {kind: images, path: a, size: big}\n" B, "spec: data.size \"big\": must be a whole number"},
    {H "data: {kind: images, path: a, resise: 3}\n" B,
     "spec line 4: unknown key \"resise\" in \"data\": did you mean \"resize\"?"},
    {H "data: {kind: idx, path: a, offset: 1}\n" B, "spec: data.offset: only images take it, not idx"},
    {H "data: {kind: cifar10, path: a, labels: l}\n" B, "spec: data.labels: only images take it, not cifar10"},
    {H PHOTOS "finetune: {augment: {pad: 4}}\n" B,
     "spec: finetune.augment.pad 4: images aren't padded; augment.scale cuts them"},
    {H PHOTOS "finish: {augment: {scale: [0.5]}}\n" B,
     "spec: finish.augment.scale has 1 numbers: must be least and most, such as [0.08, 1]"},
    {H PHOTOS "finish: {augment: {scale: [0.5, 0.25]}}\n" B,
     "spec: finish.augment.scale [0.5, 0.25]: must ascend and be over 0, or [0, 0] for none"},
    {H PHOTOS "finish: {augment: {scale: [0, 1]}}\n" B,
     "spec: finish.augment.scale [0, 1]: must ascend and be over 0, or [0, 0] for none"},
    {H PHOTOS "finish: {augment: {scale: [0.5, 2]}}\n" B, "spec: finish.augment.scale 2: must be 0 to 1"},
    {G "finish: {augment: {scale: [0.5, 1]}}\n", "spec: finish.augment.scale: only images take it, not synthetic"},
    {H "data: {kind: idx}\n" B, "spec: data.path is missing"},
    {H "data: {kind: synthetic, path: a}\n" B, "spec: data.path \"a\": synthetic data has no files"},
    {G "normalize: {mean: [1, 2, 3], std: [1, 2]}\n", "spec: normalize has 3 numbers for mean and 2 for std"},
    {G "normalize: {mean: [1, 2, 3, 4, 5], std: [1, 1, 1, 1, 1]}\n",
     "spec: normalize.mean has 5 numbers: must be 1 to 4"},
    {G "normalize: {mean: [1], std: [0]}\n", "spec: normalize.std 0: must be over 0 and at most 1e+06"},
    {G "normalize: {mean: [nan], std: [1]}\n", "spec: normalize.mean \"nan\": must be a number"},
    {G "normalize: {mean: [0x10], std: [1]}\n", "spec: normalize.mean \"0x10\": must be a number"},
    {G "split: {reward: 0}\n", "spec: split.reward 0: must be 1 to 1000000"},
    {G "split: {calibrate: 9}\n", "spec: split.calibrate 9: must be 10 to 1000000"},
    {G "split: {reward: 9000, calibrate: 2000}\n",
     "spec: split.reward 9000 and split.calibrate 2000: synthetic has 10000 training images"},
    {G "split: {reward: 5000.5}\n", "spec: split.reward \"5000.5\": must be a whole number"},
    {H S, "spec: budgets is missing: such as budgets: {flops: [0.5]}"},
    {H S "budgets: {flops: [1.5]}\n", "spec: budgets.flops 1.5: must be over 0 and at most 1"},
    {H S "budgets: {flops: [0]}\n", "spec: budgets.flops 0: must be over 0 and at most 1"},
    {H S "budgets: {flops: [50%]}\n", "spec: budgets.flops \"50%\": must be a number"},
    {H S "budgets: {flops: [0.5, 0.5]}\n", "spec: budgets.flops 0.5: stands twice"},
    {H S "budgets: {latency: [1.5]}\n", "spec: budgets.latency 1.5: must be over 0 and at most 1"},
    {G "latency: {batch: 0}\n", "spec: latency.batch 0: must be 1 to 4096"},
    {G "latency: {batch: 4097}\n", "spec: latency.batch 4097: must be 1 to 4096"},
    {G "latency: {bach: 8}\n", "spec line 6: unknown key \"bach\" in \"latency\": did you mean \"batch\"?"},
    {H S "budgets: {flops: [.1, .2, .3, .4, .5, .6, .7, .8], params: [.1, .2, .3, .4, .5, .6, .7, .8, .9]}\n",
     "spec: budgets: at most 16 in all"},
    {G "search: {policy: dpg}\n", "spec: search.policy \"dpg\": must be one of ddpg, random, uniform, sensitivity"},
    {G "search: {reward: speed}\n",
     "spec: search.reward \"speed\": must be one of accuracy, error-flops, error-params"},
    {G "search: {start: warm}\n", "spec: search.start \"warm\": must be one of sensitivity, random"},
    {G "search: {episodes: 0}\n", "spec: search.episodes 0: must be 1 to 100000"},
    {G "search: {episodes: 100001}\n", "spec: search.episodes 100001: must be 1 to 100000"},
    {G "search: {warmup: -1}\n", "spec: search.warmup -1: must be 0 to 100000"},
    {G "search: {lookahead: 0}\n", "spec: search.lookahead 0: must be 1 to 10000"},
    {G "cut: {kind: coarse}\n", "spec: cut.kind \"coarse\": must be one of channels, fine"},
    {G "cut: {kind: fine, round_to: 8}\n", "spec: cut.round_to \"8\" has no place beside cut.kind \"fine\""},
    {G "cut: {kind: fine, groups: all}\n", "spec: cut.groups \"all\" has no place beside cut.kind \"fine\""},
    {G "cut: {select: gram, kind: fine}\n", "spec: cut.select \"gram\" has no place beside cut.kind \"fine\""},
    {G "cut: {kind: fine, reconstruct: true}\n",
     "spec: cut.reconstruct \"true\": weights that stay aren't rebuilt with cut.kind \"fine\""},
    {G "cut: {kind: fine, reconstruct: maybe}\n", "spec: cut.reconstruct \"maybe\": must be true or false"},
    {G "cut: {kind: fine, keep_min: 0}\n", "spec: cut.keep_min 0: must be over 0 and at most 1"},
    {G "cut: {groups: some}\n", "spec: cut.groups \"some\": must be one of all, inner"},
    {G "cut: {select: l2}\n", "spec: cut.select \"l2\": must be one of gram, l1"},
    {G "cut: {round_to: 0}\n", "spec: cut.round_to 0: must be 1 to 1024"},
    {G "cut: {round_to: automatic}\n", "spec: cut.round_to \"automatic\": must be a whole number"},
    {G "cut: {keep_min: 0}\n", "spec: cut.keep_min 0: must be over 0 and at most 1"},
    {G "cut: {keep_min: 1.01}\n", "spec: cut.keep_min 1.01: must be over 0 and at most 1"},
    {G "cut: {reconstruct: yes}\n", "spec: cut.reconstruct \"yes\": must be true or false"},
    {G "cut: {recalibrate: 1}\n", "spec: cut.recalibrate \"1\": must be true or false"},
    {G "finish: {top: 101}\n", "spec: finish.top 101: must be 0 to 100"},
    {G "precision: fp16\n", "spec: precision \"fp16\": must be one of fp32, bf16"},
    {G "classes: 10\n", "spec: classes 10: only a training of a network by name takes it: plain-20, resnet-20, "
                        "resnet-32, resnet-44, resnet-56, vgg-16-bn, mobilenet-v1, mobilenet-v2"},
    {G "finetune: {top: 1}\n", "spec line 6: unknown key \"top\" in \"finetune\": did you mean \"drop\"?"},
    {G "finetune: 3\n", "spec line 6: \"finetune\": must be a mapping, not one value"},
    {G "finish: {epochs: 5, augment: {pads: 4}}\n",
     "spec line 6: unknown key \"pads\" in \"augment\": did you mean \"pad\"?"},
    {G "finish: {drops: 30}\n", "spec line 6: \"drops\": must be a list, not one value"},
    {G "finish:\n  distill:\n    weight: 1\n    weight: 1\n", "spec line 9: key \"weight\" stands twice"},
    {G "finish: {distill: true}\n", "spec line 6: \"distill\": must be a mapping, not one value"},
};

/* What the sections of training refuse, alike in all three: a value, what stands between braces, and the line. */
static const struct {
    const char *inside, *line; /* %s: the section */
} bad_training[] = {
    {"epochs: -1", "spec: %s.epochs -1: must be 0 to 10000"},
    {"epochs: 10001", "spec: %s.epochs 10001: must be 0 to 10000"},
    {"epochs: ten", "spec: %s.epochs \"ten\": must be a whole number"},
    {"steps: 1.5", "spec: %s.steps \"1.5\": must be a whole number"},
    {"steps: 100000001", "spec: %s.steps 100000001: must be 0 to 100000000"},
    {"epochs: 2, lr: 0", "spec: %s.lr 0: must be over 0 and at most 1000"},
    {"epochs: 2, lr: 1001", "spec: %s.lr 1001: must be over 0 and at most 1000"},
    {"epochs: 2, lr: fast", "spec: %s.lr \"fast\": must be a number"},
    {"epochs: 2, lr: inf", "spec: %s.lr \"inf\": must be a number"},
    {"epochs: 2, batch: 0", "spec: %s.batch 0: must be 1 to 4096"},
    {"epochs: 2, batch: 4097", "spec: %s.batch 4097: must be 1 to 4096"},
    {"epochs: 2, batch: 64x", "spec: %s.batch \"64x\": must be a whole number"},
    {"epochs: 2, momentum: -0.1", "spec: %s.momentum -0.1: must be 0 to 1"},
    {"epochs: 2, momentum: 1.1", "spec: %s.momentum 1.1: must be 0 to 1"},
    {"epochs: 2, momentum: nan", "spec: %s.momentum \"nan\": must be a number"},
    {"epochs: 2, nesterov: 1", "spec: %s.nesterov \"1\": must be true or false"},
    {"epochs: 2, weight_decay: 2", "spec: %s.weight_decay 2: must be 0 to 1"},
    {"epochs: 2, weight_decay: no", "spec: %s.weight_decay \"no\": must be a number"},
    {"epochs: 2, decay_all: yes", "spec: %s.decay_all \"yes\": must be true or false"},
    {"epochs: 2, schedule: cosin", "spec: %s.schedule \"cosin\": must be one of cosine, step, constant"},
    {"epochs: 2, schedule: step", "spec: %s.drops is missing: after which epochs schedule step drops the rate"},
    {"epochs: 2, drops: [1]", "spec: %s.drops: only schedule step drops the rate, not cosine"},
    {"epochs: 2, drop: 0.5", "spec: %s.drop: only schedule step drops the rate, not cosine"},
    {"epochs: 2, schedule: constant, drop: 0.5", "spec: %s.drop: only schedule step drops the rate, not constant"},
    {"epochs: 2, schedule: step, drops: [0]", "spec: %s.drops 0: must be over 0 and at most 10000"},
    {"epochs: 2, schedule: step, drops: [one]", "spec: %s.drops \"one\": must be a number"},
    {"epochs: 2, schedule: step, drops: [3, 2]", "spec: %s.drops: 2 stands after 3, must ascend"},
    {"epochs: 2, schedule: step, drops: [3, 3]", "spec: %s.drops: 3 stands after 3, must ascend"},
    {"epochs: 2, schedule: step, drops: [1, 2, 3, 4, 5, 6, 7, 8, 9]",
     "spec: %s.drops has 9 epochs, at most 8 are accepted"},
    {"epochs: 2, schedule: step, drops: [1], drop: 0", "spec: %s.drop 0: must be over 0 and at most 1"},
    {"epochs: 2, schedule: step, drops: [1], drop: 1.5", "spec: %s.drop 1.5: must be over 0 and at most 1"},
    {"epochs: 2, warmup: -1", "spec: %s.warmup -1: must be 0 to 10000"},
    {"epochs: 2, smoothing: 1.1", "spec: %s.smoothing 1.1: must be 0 to 1"},
    {"epochs: 2, augment: {pad: -1}", "spec: %s.augment.pad -1: must be 0 to 1024"},
    {"epochs: 2, augment: {pad: 1025}", "spec: %s.augment.pad 1025: must be 0 to 1024"},
    {"epochs: 2, augment: {flip: maybe}", "spec: %s.augment.flip \"maybe\": must be true or false"},
    {"epochs: 2, augment: {cutout: 2000}", "spec: %s.augment.cutout 2000: must be 0 to 1024"},
    {"epochs: 2, distill: {kind: hinton}", "spec: %s.distill.kind \"hinton\": must be one of kl, mse, dkd, none"},
    {"epochs: 2, distill: {temperature: 0}", "spec: %s.distill.temperature 0: must be 0.01 to 1000"},
    {"epochs: 2, distill: {weight: 1.5}", "spec: %s.distill.weight 1.5: must be 0 to 1, but for kind dkd"},
    {"epochs: 2, distill: {weight: -1}", "spec: %s.distill.weight -1: must be 0 to 1000"},
    {"epochs: 2, distill: {kind: dkd, weight: 1001}", "spec: %s.distill.weight 1001: must be 0 to 1000"},
    {"epochs: 2, distill: {alpha: -1}", "spec: %s.distill.alpha -1: must be 0 to 1000"},
    {"epochs: 2, distill: {beta: much}", "spec: %s.distill.beta \"much\": must be a number"},
    {"epochs: 2, distill: {teacher: ''}", "spec: %s.distill.teacher is empty"},
    {"epochs: 2, steps: 10", "spec: %s.epochs 2 and %s.steps 10: only one of them can be above 0"},
};

#define T H S "train: {epochs: 2}\n"

static const struct {
    const char *yaml, *line;
} bad_trains[] = {
    {T B, "spec: a spec with `train` is a training: leave out `budgets`"},
    {T "budgets: {}\n", "spec: a spec with `train` is a training: leave out `budgets`"},
    {T "search: {episodes: 3}\n", "spec: a spec with `train` is a training: leave out `search`"},
    {T "cut: {round_to: 4}\n", "spec: a spec with `train` is a training: leave out `cut`"},
    {T "finetune: {epochs: 1}\n", "spec: a spec with `train` is a training: leave out `finetune`"},
    {T "finish: {top: 1}\n", "spec: a spec with `train` is a training: leave out `finish`"},
    {T "split: {reward: 100}\n", "spec: a spec with `train` is a training: leave out `split`"},
    {H S "train: {}\n", "spec: train.epochs is missing: such as train: {epochs: 100}"},
    {H S "train: {epochs: 0}\n", "spec: train.epochs is missing: such as train: {epochs: 100}"},
    {H S "train: {epochs: 2, top: 1}\n", "spec line 5: unknown key \"top\" in \"train\": did you mean \"drop\"?"},
    {H S "train: {epochs: 2, distill: {}}\n",
     "spec: train.distill.teacher is missing: the ONNX file of a network that is trained already"},
    {T "classes: 20\n", "spec: classes 20: only a training of a network by name takes it: plain-20, resnet-20, "
                        "resnet-32, resnet-44, resnet-56, vgg-16-bn, mobilenet-v1, mobilenet-v2"},
    {"spec_version: 1\nname: x\nmodel: resnet-20\nclasses: 1\n" S "train: {epochs: 2}\n",
     "spec: classes 1: must be 2 to 100000"},
    {"spec_version: 1\nname: x\nmodel: resnet-20\nclasses: ten\n" S "train: {epochs: 2}\n",
     "spec: classes \"ten\": must be a whole number"},
};

START_TEST(bad_specs_get_their_line)
{
    struct spec s;
    struct err e;
    ck_assert_int_lt(spec_parse(bad[_i].yaml, strlen(bad[_i].yaml), &s, &e), 0);
    ck_assert_str_eq(e.text, bad[_i].line);
    ck_assert_ptr_null(s.model);
}
END_TEST

static const char *const sections[] = {"finetune", "finish", "train"};

START_TEST(bad_training_gets_its_line)
{
    struct spec s;
    struct err e;
    for (size_t i = 0; i < sizeof(sections) / sizeof(*sections); i++) {
        const char *section = sections[i], *first = strstr(bad_training[_i].line, "%s"), *rest = first + 2;
        const char *second = strstr(rest, "%s");
        bool train = strcmp(section, "train") == 0;
        char *yaml = xasprintf(H S "%s%s: {%s}\n", train ? "" : B, section, bad_training[_i].inside);
        char *line = second
                         ? xasprintf("spec: %s%.*s%s%s", section, (int)(second - rest), rest, section, second + 2)
                         : xasprintf("spec: %s%s", section, rest);
        ck_assert_int_lt(spec_parse(yaml, strlen(yaml), &s, &e), 0);
        ck_assert_str_eq(e.text, line);
        ck_assert_ptr_null(s.finish_teacher);
        free(yaml);
        free(line);
    }
}
END_TEST

START_TEST(a_training_is_no_search)
{
    struct spec s;
    struct err e;
    ck_assert_int_lt(spec_parse(bad_trains[_i].yaml, strlen(bad_trains[_i].yaml), &s, &e), 0);
    ck_assert_str_eq(e.text, bad_trains[_i].line);
    ck_assert_ptr_null(s.model);
}
END_TEST

START_TEST(sizes_have_limits)
{
    struct spec s;
    struct err e;
    char *long_value = xmalloc(SPEC_MAX_BYTES + 1);
    memset(long_value, 'a', SPEC_MAX_BYTES + 1);
    ck_assert_int_eq(spec_parse(long_value, SPEC_MAX_BYTES + 1, &s, &e), ERR_LIMIT);
    ck_assert_str_eq(e.text, "spec: 262145 bytes, at most 262144 are accepted");
    memcpy(long_value, "model: ", 7);
    ck_assert_int_eq(spec_parse(long_value, 8000, &s, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "spec line 1: \"model\": longer than 4096 bytes");
    long_value[3] = 0;
    ck_assert_int_eq(spec_parse(long_value, 8000, &s, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "spec: holds a zero byte");
    free(long_value);
}
END_TEST

static void same_training(const struct training *a, const struct training *b)
{
    ck_assert(a->epochs == b->epochs && a->steps == b->steps && a->batch == b->batch && a->lr == b->lr);
    ck_assert(a->momentum == b->momentum && a->nesterov == b->nesterov && a->weight_decay == b->weight_decay);
    ck_assert(a->decay_all == b->decay_all && a->schedule == b->schedule && a->warmup == b->warmup);
    ck_assert(a->n_drops == b->n_drops && a->drop == b->drop && a->smoothing == b->smoothing);
    for (int i = 0; i < a->n_drops; i++)
        ck_assert(a->drop_at[i] == b->drop_at[i]);
    ck_assert(a->pad == b->pad && a->flip == b->flip && a->cutout == b->cutout);
    ck_assert(a->distill.kind == b->distill.kind && a->distill.weight == b->distill.weight);
    ck_assert(a->distill.temperature == b->distill.temperature && a->distill.other == b->distill.other);
    ck_assert(a->distill.alpha == b->distill.alpha && a->distill.beta == b->distill.beta);
}

START_TEST(least_spec_gets_the_defaults)
{
    struct spec s;
    struct err e;
    ck_assert_msg(spec_parse(G, strlen(G), &s, &e) == 0, "%s", e.text);
    ck_assert_str_eq(s.name, "x");
    ck_assert_uint_eq(s.seed, 1);
    ck_assert_ptr_null(s.data_path);
    ck_assert_int_eq(s.n_channels, 0);
    ck_assert_int_eq(s.reward, 5000);
    ck_assert_int_eq(s.calibrate, 2000);
    ck_assert_int_eq(s.n_budgets, 1);
    ck_assert_int_eq(s.policy, POLICY_DDPG);
    ck_assert_int_eq(s.start, START_SENSITIVITY);
    ck_assert_int_eq(s.objective, REWARD_ACCURACY);
    ck_assert_int_eq(s.episodes, 400);
    ck_assert_int_eq(s.warmup, 100);
    ck_assert_int_eq(s.lookahead, 32);
    ck_assert_int_eq(s.round_to, 8);
    ck_assert(s.keep_min == 0.2 && !s.inner_only && s.reconstruct && s.recalibrate);
    ck_assert_int_eq(s.select, SELECT_GRAM);
    ck_assert_int_eq(s.finish_top, 1);
    ck_assert_int_eq(s.precision, PRECISION_FP32);
    ck_assert(!training_any(&s.finetune) && !training_any(&s.finish) && !s.training && s.classes == 0);
    ck_assert_ptr_null(s.finetune_teacher);
    ck_assert_ptr_null(s.finish_teacher);
    struct training none = training_none();
    same_training(&s.finetune, &none);
    same_training(&s.finish, &none);
    spec_release(&s);
}
END_TEST

/* A %YAML directive, comments, quotes, block style and an order of its own: all the same to the parser. */
START_TEST(every_key_is_read)
{
    static const char yaml[] =
        "%YAML 1.1\n---\n"
        "# a comment\n"
        "latency: {batch: 7}\n"
        "cut:\n  groups: inner\n  round_to: 1\n  keep_min: 1\n  select: l1\n"
        "  reconstruct: false\n  recalibrate: false\n"
        "search: {policy: random, episodes: 7, warmup: 0, lookahead: 3, reward: error-params,\n"
        "         start: random}\n"
        "budgets:\n  bytes: [0.25]\n  params:\n    - 1\n    - 5e-1\n  flops: [0.3]\n"
        "finish:\n  top: 0\n  epochs: 20\n  lr: 1e-3\n  batch: 64\n  momentum: 0\n  nesterov: false\n"
        "  weight_decay: 0\n  decay_all: true\n  schedule: step\n  drops: [5, 7.5]\n  drop: 0.2\n  warmup: 0.5\n"
        "  smoothing: 0.1\n  augment: {pad: 0, flip: false, cutout: 8}\n"
        "  distill: {kind: dkd, temperature: 2, weight: 3, alpha: 0.5, beta: 8, teacher: big.onnx}\n"
        "finetune: {steps: 100, lr: 1000, schedule: constant, distill: {}}\n"
        "precision: bf16\n"
        "split: {reward: 10, calibrate: 20}\n"
        "normalize: {mean: [-1.5, 2], std: [3, 4]}\n"
        "data: {kind: idx, path: \"some where/\"}\n"
        "model: '../m.onnx'\nseed: 9223372036854775807\nname: a.B_c-9\nspec_version: 1\n";
    struct spec s;
    struct err e;
    ck_assert_msg(spec_parse(yaml, strlen(yaml), &s, &e) == 0, "%s", e.text);
    ck_assert_str_eq(s.name, "a.B_c-9");
    ck_assert_uint_eq(s.seed, INT64_MAX);
    ck_assert_str_eq(s.model, "../m.onnx");
    ck_assert_str_eq(s.data_path, "some where/");
    ck_assert_int_eq(s.data, DATA_IDX);
    ck_assert_int_eq(s.n_channels, 2);
    ck_assert(s.mean[0] == -1.5 && s.mean[1] == 2 && s.std[0] == 3 && s.std[1] == 4);
    ck_assert(s.reward == 10 && s.calibrate == 20);
    ck_assert_int_eq(s.n_budgets, 4);
    ck_assert(s.budgets[0].kind == COST_FLOPS && s.budgets[0].frac == 0.3);
    ck_assert(s.budgets[1].kind == COST_PARAMS && s.budgets[1].frac == 1);
    ck_assert(s.budgets[2].kind == COST_PARAMS && s.budgets[2].frac == 0.5);
    ck_assert(s.budgets[3].kind == COST_BYTES && s.budgets[3].frac == 0.25);
    ck_assert(s.policy == POLICY_RANDOM && s.start == START_RANDOM && s.objective == REWARD_ERROR_PARAMS);
    ck_assert(s.episodes == 7 && s.warmup == 0 && s.lookahead == 3);
    ck_assert(s.latency && s.latency_batch == 7 && spec_wants_table(&s) && !s.round_auto);
    ck_assert(s.inner_only && s.round_to == 1 && s.keep_min == 1 && s.select == SELECT_L1);
    ck_assert(!s.reconstruct && !s.recalibrate);
    ck_assert_int_eq(s.finish_top, 0);
    ck_assert_int_eq(s.precision, PRECISION_BF16);
    ck_assert(!s.training);
    struct training finish = {
        .epochs = 20,
        .batch = 64,
        .lr = 1e-3,
        .decay_all = true,
        .schedule = SCHEDULE_STEP,
        .warmup = 0.5,
        .n_drops = 2,
        .drop_at = {5, 7.5},
        .drop = 0.2,
        .smoothing = 0.1,
        .cutout = 8,
        .distill = {.kind = DISTILL_DKD, .weight = 3, .temperature = 2, .alpha = 0.5, .beta = 8, .other = true}};
    same_training(&s.finish, &finish);
    ck_assert_str_eq(s.finish_teacher, "big.onnx");
    struct training finetune = training_none();
    finetune.steps = 100;
    finetune.lr = 1000;
    finetune.schedule = SCHEDULE_CONSTANT;
    finetune.distill.kind = DISTILL_KL;
    same_training(&s.finetune, &finetune);
    ck_assert_ptr_null(s.finetune_teacher);
    struct recipe r = {.n_files = 3};
    spec_recipe(&s, &r);
    same_training(&r.finish, &finish);
    same_training(&r.finetune, &finetune);
    ck_assert(r.precision == PRECISION_BF16 && r.seed == INT64_MAX && r.data == DATA_IDX && r.n_files == 3);
    ck_assert(r.n_channels == 2 && r.mean[1] == 2 && r.std[1] == 4 && r.reward == 10 && r.calibrate == 20);
    ck_assert(r.select == SELECT_L1 && !r.reconstruct && !r.recalibrate);
    spec_release(&s);
    spec_release(&s);
}
END_TEST

/* Single weights have defaults of their own. */
START_TEST(fine_has_its_defaults)
{
    static const struct {
        const char *text;
        double keep_min;
        bool recalibrate;
    } rows[] = {{G "cut: {kind: fine}\n", 0.05, true},
                {G "cut: {kind: fine, keep_min: 0.3, reconstruct: false, recalibrate: false}\n", 0.3, false}};
    for (size_t i = 0; i < 2; i++) {
        struct spec s;
        struct recipe r = {.n_files = 0};
        struct err e;
        if (spec_parse(rows[i].text, strlen(rows[i].text), &s, &e) < 0)
            ck_abort_msg("%s", e.text);
        spec_recipe(&s, &r);
        ck_assert(r.cut == CUT_FINE && !r.reconstruct && r.recalibrate == rows[i].recalibrate);
        ck_assert_double_eq(s.keep_min, rows[i].keep_min);
        spec_release(&s);
    }
}
END_TEST

START_TEST(images_are_read)
{
    static const char yaml[] = H "data: {kind: images, path: a, labels: l.csv, resize: 256, offset: 1, size: 64}\n" B
                                 "finetune: {epochs: 1, augment: {scale: [0.25, 0.5]}}\n"
                                 "finish: {epochs: 1, augment: {scale: [0, 0]}}\n",
                      plain[] = H PHOTOS B,
                      training[] = "spec_version: 1\nname: x\nmodel: resnet-20\n" PHOTOS "train: {epochs: 1}\n";
    struct spec s;
    struct recipe r;
    struct err e;
    ck_assert_msg(spec_parse(yaml, strlen(yaml), &s, &e) == 0, "%s", e.text);
    ck_assert_int_eq(s.data, DATA_IMAGES);
    ck_assert_str_eq(s.data_labels, "l.csv");
    ck_assert(s.resize == 256 && s.offset == 1 && s.size == 64);
    spec_recipe(&s, &r);
    ck_assert(r.resize == 256 && r.offset == 1 && r.finetune.pad == 0 && r.finish.pad == 0);
    ck_assert(r.finetune.scale[0] == 0.25 && r.finetune.scale[1] == 0.5);
    ck_assert(r.finish.scale[0] == 0 && r.finish.scale[1] == 0);
    spec_release(&s);
    ck_assert_msg(spec_parse(plain, strlen(plain), &s, &e) == 0, "%s", e.text);
    ck_assert_ptr_null(s.data_labels);
    ck_assert(s.resize == 0 && s.offset == 0 && s.size == 224);
    ck_assert(s.finish.pad == 0 && s.finish.scale[0] == 0.08 && s.finish.scale[1] == 1);
    spec_release(&s);
    ck_assert_msg(spec_parse(training, strlen(training), &s, &e) == 0, "%s", e.text);
    ck_assert(s.finish.pad == 0 && s.finish.scale[1] == 1 && s.finish.lr == 0.1 && s.finetune.pad == 0);
    spec_release(&s);
}
END_TEST

START_TEST(images_must_suit)
{
    static const char search[] = H PHOTOS B "split: {reward: 60, calibrate: 40}\n";
    static const char off[] = H "data: {kind: images, path: a, offset: 1}\n" B "split: {reward: 60, calibrate: 40}\n";
    static const char small[] = H "data: {kind: images, path: a, resize: 47}\n" B "split: {reward: 60, calibrate: 40}\n";
    static const char train[] = "spec_version: 1\nname: x\nmodel: resnet-20\n" PHOTOS "train: {epochs: 1}\n";
    static const struct {
        const char *yaml;
        int split, n, n_test, folders, classes, outputs;
        const char *line; /* NULL: fine */
    } cases[] = {
        {search, 1, 150, 50, 1, 10, 10, NULL},
        {search, 1, 149, 50, 1, 10, 10, "split.reward 60 and split.calibrate 40: there are 99 training images"},
        {search, 0, 101, 0, 1, 10, 10, NULL},
        {search, 0, 99, 0, 1, 10, 10, "split.reward 60 and split.calibrate 40: there are 99 images"},
        {search, 0, 100, 0, 1, 10, 10,
         "split.reward 60 and split.calibrate 40 leave none of the 100 images to test finalists on"},
        {search, 0, 101, 0, 1, 10, 9, "the images have classes 0 to 9, with an offset of 0 up to 9: the network has 9 outputs"},
        {search, 0, 101, 0, 1, 10, 12, "the images have 10 classes' folders, with an offset of 0: the network has 12 outputs"},
        {search, 0, 101, 0, 1, 10, 11,
         "the images have 10 classes' folders, with an offset of 0: the network has 11 outputs; where its first output "
         "is a background class, offset 1 passes over it"},
        {off, 0, 101, 0, 1, 10, 11, NULL},
        {off, 0, 101, 0, 1, 10, 10,
         "the images have classes 0 to 9, with an offset of 1 up to 10: the network has 10 outputs"},
        {search, 0, 101, 0, 0, 10, 1000, NULL}, /* a label file may leave classes out */
        {small, 0, 101, 0, 1, 10, 10, "data.resize 47 is less than the network's input of 32x48 pixels"},
        {train, 1, 101, 10, 1, 10, 10, NULL},
        {train, 0, 101, 0, 1, 10, 10, "data.path: a training needs two parts in it, train and test (or val)"},
    };
    struct err e = {.text = ""};
    int rc = check_images(cases[_i].yaml, cases[_i].split, cases[_i].n, cases[_i].n_test, cases[_i].folders,
                          cases[_i].classes, cases[_i].outputs, &e);
    ck_assert_str_eq(e.text, cases[_i].line ? cases[_i].line : "");
    ck_assert_int_eq(rc, cases[_i].line ? ERR_INVALID : 0);
}
END_TEST

START_TEST(a_training_is_read)
{
    static const char yaml[] = "spec_version: 1\nname: x\nmodel: resnet-20\nclasses: 47\n" S
                               "train: {epochs: 100, smoothing: 0.1, distill: {kind: mse, teacher: t.onnx}}\n";
    struct spec s;
    struct err e;
    ck_assert_msg(spec_parse(yaml, strlen(yaml), &s, &e) == 0, "%s", e.text);
    ck_assert(s.training && s.classes == 47 && s.n_budgets == 0 && s.finish_top == 0);
    ck_assert(s.reward == 0 && s.calibrate == 0);
    struct training want = training_none();
    want.epochs = 100;
    want.lr = 0.1;
    want.smoothing = 0.1;
    want.distill.kind = DISTILL_MSE;
    want.distill.other = true;
    same_training(&s.finish, &want);
    ck_assert_str_eq(s.finish_teacher, "t.onnx");
    spec_release(&s);
}
END_TEST

/* So that --set finish.distill.kind=none takes back what a spec asks for. */
START_TEST(no_distillation_needs_no_teacher)
{
    static const char yaml[] = T, with[] = H S "train: {epochs: 2, distill: {kind: none, teacher: t.onnx}}\n";
    struct spec s;
    struct err e;
    ck_assert_msg(spec_parse(yaml, strlen(yaml), &s, &e) == 0, "%s", e.text);
    spec_release(&s);
    ck_assert_msg(spec_parse(with, strlen(with), &s, &e) == 0, "%s", e.text);
    ck_assert(s.finish.distill.kind == DISTILL_NONE && !s.finish.distill.other && !s.finish_teacher);
    spec_release(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("spec");
    TCase *refused = tcase_create("refused"), *good = tcase_create("good");
    tcase_set_timeout(refused, 10);
    tcase_set_timeout(good, 10);
    tcase_add_loop_test(refused, bad_specs_get_their_line, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_loop_test(refused, bad_training_gets_its_line, 0, sizeof(bad_training) / sizeof(*bad_training));
    tcase_add_loop_test(refused, a_training_is_no_search, 0, sizeof(bad_trains) / sizeof(*bad_trains));
    tcase_add_test(refused, sizes_have_limits);
    tcase_add_test(good, least_spec_gets_the_defaults);
    tcase_add_test(good, every_key_is_read);
    tcase_add_test(good, fine_has_its_defaults);
    tcase_add_test(good, a_training_is_read);
    tcase_add_test(good, images_are_read);
    tcase_add_loop_test(good, images_must_suit, 0, 14);
    tcase_add_test(good, no_distillation_needs_no_teacher);
    suite_add_tcase(s, refused);
    suite_add_tcase(s, good);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
