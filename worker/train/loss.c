/*
 * With u = logits / T, v = teacher / T, label y, and ^ for the softmax over the classes other than the label, the
 * slopes with respect to u are
 *
 *   KL(softmax v || softmax u)                     p_k - q_k
 *   TCKD = KL((q_y, 1 - q_y) || (p_y, 1 - p_y))    k = y: p_y - q_y      else (q_y - p_y) p^_k
 *   NCKD = KL(q^ || p^)                            k = y: 0              else p^_k - q^_k
 *
 * and du = dlogits / T leaves T of the T^2 before them. All logarithms of probabilities are differences of logits
 * and log-sum-exps, so that nothing saturates.
 */
#include "worker/train/loss.h"

#include <math.h>
#include <stdbool.h>

enum { NO_CLASS = -1 };

/* What is known of one image before its slopes are. */
struct row {
    const float *z, *v; /* (K) logits, teacher's or NULL */
    int K, label;
    double lse;                     /* log-sum-exp of z */
    double per_T;                   /* 1 / temperature */
    double soft, teacher;           /* log-sum-exp of z / T, v / T */
    double soft_rest, teacher_rest; /* likewise without the label's; -inf of a single class */
    double p, q;                    /* the label's share in softmax(z / T), softmax(v / T) */
};

/* Of z / T, class `skip` left out; -inf of no class at all. */
static double log_sum_exp(const float *z, int K, double per_T, int skip)
{
    double top = -INFINITY, sum = 0;
    for (int k = 0; k < K; k++)
        if (k != skip && (double)z[k] > top)
            top = (double)z[k];
    for (int k = 0; k < K; k++)
        if (k != skip)
            sum += exp(((double)z[k] - top) * per_T);
    return top * per_T + log(sum);
}

/* One summand of a Kullback-Leibler divergence: exp(log_q) (log_q - log_p). */
static double divergence(double log_q, double log_p)
{
    double q = exp(log_q);
    return q > 0 ? q * (log_q - log_p) : 0;
}

/* Cross-entropy with the smoothed targets. An infinite logit makes it NaN even where smoothing is 0. */
static double labels_loss(const struct row *r, double smoothing)
{
    double sum = 0;
    for (int k = 0; k < r->K; k++)
        sum += (double)r->z[k];
    return r->lse - (1 - smoothing) * (double)r->z[r->label] - smoothing * sum / r->K;
}

static double labels_slope(const struct row *r, double smoothing, int k)
{
    return exp((double)r->z[k] - r->lse) - smoothing / r->K - (k == r->label ? 1 - smoothing : 0);
}

static double kl_loss(const struct row *r)
{
    double sum = 0;
    for (int k = 0; k < r->K; k++)
        sum += divergence((double)r->v[k] * r->per_T - r->teacher, (double)r->z[k] * r->per_T - r->soft);
    return sum / (r->per_T * r->per_T);
}

static double kl_slope(const struct row *r, int k)
{
    double p = exp((double)r->z[k] * r->per_T - r->soft), q = exp((double)r->v[k] * r->per_T - r->teacher);
    return (p - q) / r->per_T;
}

static double mse_loss(const struct row *r)
{
    double sum = 0;
    for (int k = 0; k < r->K; k++) {
        double d = (double)r->z[k] - (double)r->v[k];
        sum += d * d;
    }
    return sum / r->K;
}

static double mse_slope(const struct row *r, int k)
{
    return 2 * ((double)r->z[k] - (double)r->v[k]) / r->K;
}

static double dkd_loss(const struct row *r, double alpha, double beta)
{
    double u = (double)r->z[r->label] * r->per_T, v = (double)r->v[r->label] * r->per_T;
    double target =
        divergence(v - r->teacher, u - r->soft) + divergence(r->teacher_rest - r->teacher, r->soft_rest - r->soft);
    double rest = 0;
    for (int k = 0; k < r->K; k++)
        if (k != r->label)
            rest +=
                divergence((double)r->v[k] * r->per_T - r->teacher_rest, (double)r->z[k] * r->per_T - r->soft_rest);
    return (alpha * target + beta * rest) / (r->per_T * r->per_T);
}

static double dkd_slope(const struct row *r, double alpha, double beta, int k)
{
    if (k == r->label)
        return alpha * (r->p - r->q) / r->per_T;
    double p_rest = exp((double)r->z[k] * r->per_T - r->soft_rest);
    double q_rest = exp((double)r->v[k] * r->per_T - r->teacher_rest);
    return (alpha * (r->q - r->p) * p_rest + beta * (p_rest - q_rest)) / r->per_T;
}

static void row_fill(struct row *r, const struct training *t)
{
    r->lse = log_sum_exp(r->z, r->K, 1, NO_CLASS);
    if (t->distill.kind != DISTILL_KL && t->distill.kind != DISTILL_DKD)
        return;
    r->per_T = 1 / t->distill.temperature;
    r->soft = log_sum_exp(r->z, r->K, r->per_T, NO_CLASS);
    r->teacher = log_sum_exp(r->v, r->K, r->per_T, NO_CLASS);
    if (t->distill.kind != DISTILL_DKD)
        return;
    r->soft_rest = log_sum_exp(r->z, r->K, r->per_T, r->label);
    r->teacher_rest = log_sum_exp(r->v, r->K, r->per_T, r->label);
    r->p = exp((double)r->z[r->label] * r->per_T - r->soft);
    r->q = exp((double)r->v[r->label] * r->per_T - r->teacher);
}

static double teacher_loss(const struct row *r, const struct training *t)
{
    switch (t->distill.kind) {
    case DISTILL_KL:
        return kl_loss(r);
    case DISTILL_MSE:
        return mse_loss(r);
    case DISTILL_DKD:
        return dkd_loss(r, t->distill.alpha, t->distill.beta);
    default:
        return 0;
    }
}

static double teacher_slope(const struct row *r, const struct training *t, int k)
{
    switch (t->distill.kind) {
    case DISTILL_KL:
        return kl_slope(r, k);
    case DISTILL_MSE:
        return mse_slope(r, k);
    case DISTILL_DKD:
        return dkd_slope(r, t->distill.alpha, t->distill.beta, k);
    default:
        return 0;
    }
}

static bool is_top1(const float *z, int K, int label)
{
    for (int k = 0; k < K; k++)
        if (!(k < label ? z[k] < z[label] : z[k] <= z[label]))
            return false;
    return true;
}

void loss_of(const struct training *t, const float *logits, const float *teacher, const int *labels, int N, int K,
             float *dlogits, struct loss_value *out)
{
    enum distill_kind kind = t->distill.kind;
    double with_teacher = kind == DISTILL_NONE ? 0 : t->distill.weight;
    double with_labels = kind == DISTILL_NONE || kind == DISTILL_DKD ? 1 : 1 - t->distill.weight;
    *out = (struct loss_value){0};
    for (int n = 0; n < N; n++) {
        size_t at = (size_t)n * (size_t)K;
        struct row r = {.z = logits + at, .v = teacher ? teacher + at : NULL, .K = K, .label = labels[n]};
        row_fill(&r, t);
        out->labels += labels_loss(&r, t->smoothing);
        out->teacher += teacher_loss(&r, t);
        out->top1 += is_top1(r.z, K, r.label);
        for (int k = 0; k < K; k++)
            dlogits[at + (size_t)k] =
                (float)((with_labels * labels_slope(&r, t->smoothing, k) + with_teacher * teacher_slope(&r, t, k)) /
                        N);
    }
    out->labels /= N;
    out->teacher /= N;
    out->total = with_labels * out->labels + with_teacher * out->teacher;
}
