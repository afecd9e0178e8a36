#include "proto/recipe_code.h"

#include <string.h>

/* A file's name joins a folder of the worker's choice: it must not lead out of it. */
static bool name_is_plain(const char *s)
{
    return !strchr(s, '/') && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static void code_files(struct codec *c, struct recipe *r)
{
    uint32_t n = (uint32_t)r->n_files;
    codec_list(c, "files", &n, RECIPE_MAX_FILES);
    for (uint32_t i = 0; i < n; i++) {
        struct data_file *f = &r->files[i];
        codec_open(c, "file", 3);
        codec_text(c, "name", f->name, sizeof(f->name), 1);
        codec_require(c, name_is_plain(f->name), "name \"%s\" isn't a plain file name", f->name);
        codec_hash(c, "hash", &f->hash);
        codec_u64(c, "size", &f->size, INT64_MAX);
        codec_close(c);
    }
    codec_close(c);
    r->n_files = (int)n;
}

static void code_channels(struct codec *c, const char *name, double *v, int *n_channels)
{
    uint32_t n = (uint32_t)*n_channels;
    codec_list(c, name, &n, 4);
    for (uint32_t i = 0; i < n; i++)
        codec_f64(c, "", &v[i]);
    codec_close(c);
    *n_channels = (int)n;
}

static void code_normalize(struct codec *c, struct recipe *r)
{
    int n_std = r->n_channels;
    code_channels(c, "mean", r->mean, &r->n_channels);
    code_channels(c, "std", r->std, &n_std);
    codec_require(c, n_std == r->n_channels, "%d numbers in mean, %d in std", r->n_channels, n_std);
    for (int i = 0; i < n_std; i++)
        codec_require(c, r->std[i] > 0, "std %g", r->std[i]);
}

static void code_drops(struct codec *c, struct training *t)
{
    uint32_t n = (uint32_t)t->n_drops;
    codec_list(c, "drop_at", &n, TRAINING_MAX_DROPS);
    for (uint32_t i = 0; i < n; i++)
        codec_bounded(c, "", &t->drop_at[i], i ? t->drop_at[i - 1] : 0, TRAINING_MAX_EPOCHS);
    codec_close(c);
    t->n_drops = (int)n;
    codec_bounded(c, "drop", &t->drop, 0, 1);
}

static void code_distill(struct codec *c, struct training *t)
{
    codec_open(c, "distill", 6);
    t->distill.kind = (enum distill_kind)codec_enum(c, "kind", (int)t->distill.kind, DISTILL_KINDS);
    codec_bounded(c, "weight", &t->distill.weight, 0, TRAINING_MAX_FACTOR);
    codec_bounded(c, "temperature", &t->distill.temperature, TRAINING_MIN_TEMPERATURE, TRAINING_MAX_FACTOR);
    codec_bounded(c, "alpha", &t->distill.alpha, 0, TRAINING_MAX_FACTOR);
    codec_bounded(c, "beta", &t->distill.beta, 0, TRAINING_MAX_FACTOR);
    codec_optional_hash(c, "teacher", &t->distill.other, &t->distill.teacher);
    codec_require(c, t->distill.kind == DISTILL_DKD || t->distill.weight <= 1, "weight %g of the teacher's term",
                  t->distill.weight);
    codec_close(c);
}

static void code_training(struct codec *c, const char *name, struct training *t)
{
    codec_open(c, name, 19);
    codec_i32(c, "epochs", &t->epochs, 0, TRAINING_MAX_EPOCHS);
    codec_i32(c, "steps", &t->steps, 0, TRAINING_MAX_STEPS);
    codec_require(c, t->epochs == 0 || t->steps == 0, "%d epochs and %d steps", t->epochs, t->steps);
    codec_i32(c, "batch", &t->batch, 1, TRAINING_MAX_BATCH);
    codec_bounded(c, "lr", &t->lr, 0, TRAINING_MAX_FACTOR);
    codec_bounded(c, "momentum", &t->momentum, 0, 1);
    codec_bool(c, "nesterov", &t->nesterov);
    codec_bounded(c, "weight_decay", &t->weight_decay, 0, 1);
    codec_bool(c, "decay_all", &t->decay_all);
    t->schedule = (enum schedule_kind)codec_enum(c, "schedule", (int)t->schedule, SCHEDULE_KINDS);
    codec_bounded(c, "warmup", &t->warmup, 0, TRAINING_MAX_EPOCHS);
    code_drops(c, t);
    codec_bounded(c, "smoothing", &t->smoothing, 0, 1);
    codec_i32(c, "pad", &t->pad, 0, TRAINING_MAX_PIXELS);
    codec_bool(c, "flip", &t->flip);
    codec_i32(c, "cutout", &t->cutout, 0, TRAINING_MAX_PIXELS);
    code_distill(c, t);
    codec_bounded(c, "scale_least", &t->scale[0], 0, 1);
    codec_bounded(c, "scale_most", &t->scale[1], t->scale[0], 1);
    codec_require(c, t->scale[0] > 0 || t->scale[1] == 0, "scale %g to %g", t->scale[0], t->scale[1]);
    codec_close(c);
}

void recipe_code(struct codec *c, struct recipe *r)
{
    codec_open(c, "recipe", 17);
    codec_u64(c, "seed", &r->seed, UINT64_MAX);
    codec_hash(c, "model", &r->model);
    r->data = (enum data_kind)codec_enum(c, "data", (int)r->data, DATA_KINDS);
    code_files(c, r);
    code_normalize(c, r);
    codec_i32(c, "reward", &r->reward, 0, INT32_MAX);
    codec_i32(c, "calibrate", &r->calibrate, 0, INT32_MAX);
    r->cut = (enum cut_kind)codec_enum(c, "cut", (int)r->cut, CUT_KINDS);
    r->select = (enum select_kind)codec_enum(c, "select", (int)r->select, SELECT_KINDS);
    codec_bool(c, "reconstruct", &r->reconstruct);
    codec_bool(c, "recalibrate", &r->recalibrate);
    codec_require(c, r->cut != CUT_FINE || !r->reconstruct, "reconstruction of single weights");
    r->precision = (enum precision)codec_enum(c, "precision", (int)r->precision, PRECISION_KINDS);
    code_training(c, "finetune", &r->finetune);
    code_training(c, "finish", &r->finish);
    codec_i32(c, "resize", &r->resize, 0, RECIPE_MAX_RESIZE);
    codec_i32(c, "offset", &r->offset, 0, RECIPE_MAX_OFFSET);
    codec_require(c, r->data == DATA_IMAGES || (r->finetune.scale[1] == 0 && r->finish.scale[1] == 0),
                  "scale is about images, not about %s", data_kind_name(r->data));
    codec_require(c, r->data != DATA_IMAGES || (r->finetune.pad == 0 && r->finish.pad == 0), "images aren't padded");
    codec_close(c);
}
