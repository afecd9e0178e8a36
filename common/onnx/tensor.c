#include "common/onnx/tensor.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is little-endian and copied as it is");

void tensors_release(struct tensors *ts)
{
    while (ts->first) {
        struct tensor *t = ts->first;
        ts->first = t->next;
        mem_free(t->f);
        mem_free(t->i);
        mem_free(t->batch);
        mem_free(t);
    }
}

static int spend(struct tensors *ts, size_t count, size_t size, struct err *e)
{
    size_t bytes;
    if (!mem_mul(count, size, &bytes) || bytes > ts->room)
        return err_set(e, ERR_LIMIT, "%zu numbers are more than a file of this size may ask for", count);
    ts->room -= bytes;
    return 0;
}

int tensors_spend(struct tensors *ts, size_t bytes, struct err *e)
{
    if (bytes > ts->room)
        return err_set(e, ERR_LIMIT, "copies of weights' names take more than a file of this size may ask for");
    ts->room -= bytes;
    return 0;
}

float *tensors_floats(struct tensors *ts, size_t count, struct err *e)
{
    if (spend(ts, count, sizeof(float), e) < 0)
        return NULL;
    float *f = mem_alloc(count, sizeof *f);
    if (!f)
        err_set(e, ERR_NOMEM, "no memory for %zu numbers", count);
    return f;
}

/* *n = the product of dims; the product without the zeros among them must fit as well, for the strides. */
static int check_dims(int rank, const int64_t *dims, size_t *n, struct err *e)
{
    int64_t all = 1;
    *n = 1;
    if (rank > TENSOR_MAX_RANK)
        return err_set(e, ERR_UNSUPPORTED, "%d dimensions, more than %d", rank, TENSOR_MAX_RANK);
    for (int k = 0; k < rank; k++) {
        if (dims[k] < 0)
            return err_set(e, ERR_INVALID, "dimension %d is %" PRId64, k, dims[k]);
        if (__builtin_mul_overflow(all, dims[k] ? dims[k] : 1, &all))
            return err_set(e, ERR_INVALID, "its dimensions multiply to more than 2^63");
        *n *= (size_t)dims[k];
    }
    return 0;
}

struct tensor *tensor_new(struct tensors *ts, enum tensor_type type, int rank, const int64_t *dims, struct err *e)
{
    size_t n;
    if (check_dims(rank, dims, &n, e) < 0 ||
        spend(ts, n, type == TENSOR_FLOAT ? sizeof(float) : sizeof(int64_t) + sizeof(bool), e) < 0)
        return NULL;
    struct tensor *t = mem_zalloc(1, sizeof *t);
    if (!t)
        goto out;
    t->next = ts->first;
    ts->first = t;
    t->type = type;
    t->rank = rank;
    t->n = n;
    if (rank > 0)
        memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
    if (type == TENSOR_FLOAT && (t->f = mem_zalloc(n, sizeof *t->f)))
        return t;
    if (type == TENSOR_INT && (t->i = mem_zalloc(n, sizeof *t->i)) && (t->batch = mem_zalloc(n, sizeof *t->batch)))
        return t;
out:
    err_set(e, ERR_NOMEM, "no memory for %zu numbers", n);
    return NULL;
}

void tensor_put(struct tensor *to, size_t at, const struct tensor *from, size_t of)
{
    if (to->type == TENSOR_FLOAT) {
        to->f[at] = from->f[of];
    } else {
        to->i[at] = from->i[of];
        to->batch[at] = from->batch[of];
    }
}

void tensor_strides(int rank, const int64_t *dims, int64_t *strides)
{
    int64_t s = 1;
    for (int k = rank - 1; k >= 0; k--) {
        strides[k] = s;
        s *= dims[k] ? dims[k] : 1;
    }
}

const char *tensor_type_name(int64_t onnx_type)
{
    static const char *const names[] = {"UNDEFINED", "FLOAT",  "UINT8",     "INT8",       "UINT16",  "INT16",
                                        "INT32",     "INT64",  "STRING",    "BOOL",       "FLOAT16", "DOUBLE",
                                        "UINT32",    "UINT64", "COMPLEX64", "COMPLEX128", "BFLOAT16"};
    if (onnx_type < 0 || onnx_type >= (int64_t)(sizeof names / sizeof names[0]))
        return "unknown";
    return names[onnx_type];
}

/* Where the numbers of a tensor lie: raw bytes, or one of the typed lists. */
struct store {
    size_t n;
    const void *p;
    enum tensor_type as;
    enum { AS_FLOAT, AS_DOUBLE, AS_HALF, AS_BRAIN, AS_INT32, AS_INT64, AS_BYTE } kind;
    size_t size; /* bytes from one number to the next */
};

/* What isn't listed isn't supported. The 16-bit floats of a typed list lie in the low halves of 32 bits. */
static bool list_of(const Onnx__TensorProto *s, struct store *out)
{
    switch (s->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        *out = (struct store){s->n_float_data, s->float_data, TENSOR_FLOAT, AS_FLOAT, 4};
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        *out = (struct store){s->n_double_data, s->double_data, TENSOR_FLOAT, AS_DOUBLE, 8};
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
        *out = (struct store){s->n_int32_data, s->int32_data, TENSOR_FLOAT, AS_HALF, 4};
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
        *out = (struct store){s->n_int32_data, s->int32_data, TENSOR_FLOAT, AS_BRAIN, 4};
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        *out = (struct store){s->n_int64_data, s->int64_data, TENSOR_INT, AS_INT64, 8};
        return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
        *out = (struct store){s->n_int32_data, s->int32_data, TENSOR_INT, AS_INT32, 4};
        return true;
    default:
        return false;
    }
}

static int find_store(const Onnx__TensorProto *s, struct store *out, struct err *e)
{
    if (!list_of(s, out))
        return err_set(e, ERR_UNSUPPORTED, "data type %s (%d) is not supported", tensor_type_name(s->data_type),
                       (int)s->data_type);
    if (!s->has_raw_data || (s->raw_data.len == 0 && out->n > 0))
        return 0;
    if (s->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__BOOL) {
        out->kind = AS_BYTE;
        out->size = 1;
    }
    if (out->kind == AS_HALF || out->kind == AS_BRAIN)
        out->size = 2;
    if (s->raw_data.len % out->size != 0)
        return err_set(e, ERR_INVALID, "%zu bytes aren't a multiple of %zu", s->raw_data.len, out->size);
    out->n = s->raw_data.len / out->size;
    out->p = s->raw_data.data;
    return 0;
}

static float of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction. */
static float of_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h >> 15) << 31, exponent = h >> 10 & 31, fraction = h & 1023;
    if (exponent == 31)
        return of_bits(sign | UINT32_C(255) << 23 | fraction << 13);
    if (exponent > 0)
        return of_bits(sign | (exponent + 127 - 15) << 23 | fraction << 13);
    float tiny = (float)fraction * 0x1p-24f;
    return sign ? -tiny : tiny;
}

static float read_float(const struct store *s, const uint8_t *p)
{
    double d;
    float f;
    uint16_t h;
    switch (s->kind) {
    case AS_DOUBLE:
        memcpy(&d, p, sizeof d);
        return (float)d;
    case AS_HALF:
        memcpy(&h, p, sizeof h);
        return of_half(h);
    case AS_BRAIN:
        memcpy(&h, p, sizeof h);
        return of_bits((uint32_t)h << 16);
    default:
        memcpy(&f, p, sizeof f);
        return f;
    }
}

static int64_t read_int(const struct store *s, const uint8_t *p)
{
    int64_t wide;
    int32_t i;
    switch (s->kind) {
    case AS_INT64:
        memcpy(&wide, p, sizeof wide);
        return wide;
    case AS_INT32:
        memcpy(&i, p, sizeof i);
        return i;
    default:
        return *p != 0;
    }
}

/* raw_data has no alignment, so numbers are copied out one by one. */
static void read_store(const struct store *s, struct tensor *t)
{
    const uint8_t *p = s->p;
    for (size_t k = 0; k < s->n; k++, p += s->size)
        if (s->as == TENSOR_FLOAT)
            t->f[k] = read_float(s, p);
        else
            t->i[k] = read_int(s, p);
}

static struct tensor *decode(struct tensors *ts, const Onnx__TensorProto *src, struct err *e)
{
    struct store s = {0};
    size_t n;
    if (src->n_external_data > 0 || src->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        err_set(e, ERR_UNSUPPORTED, "its data lies in another file, which can't be opened from here");
        return NULL;
    }
    if (src->segment) {
        err_set(e, ERR_UNSUPPORTED, "a tensor in segments is not supported");
        return NULL;
    }
    if (src->n_dims > TENSOR_MAX_RANK) {
        err_set(e, ERR_UNSUPPORTED, "%zu dimensions, more than %d", src->n_dims, TENSOR_MAX_RANK);
        return NULL;
    }
    if (find_store(src, &s, e) < 0 || check_dims((int)src->n_dims, src->dims, &n, e) < 0)
        return NULL;
    if (n != s.n) {
        err_set(e, ERR_INVALID, "its dimensions ask for %zu numbers, and %zu are there", n, s.n);
        return NULL;
    }
    struct tensor *t = tensor_new(ts, s.as, (int)src->n_dims, src->dims, e);
    if (t)
        read_store(&s, t);
    return t;
}

struct tensor *tensor_decode(struct tensors *ts, const Onnx__TensorProto *src, const char *name, struct err *e)
{
    struct tensor *t = decode(ts, src, e);
    if (!t)
        err_wrap(e, "tensor \"%s\"", name);
    return t;
}
