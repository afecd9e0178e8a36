#include "worker/compress/solve.h"

#include <cblas.h>

/* LAPACK's Fortran symbols: Debian's OpenBLAS carries them without a header for them. */
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info);
void dpotri_(const char *uplo, const int *n, double *a, const int *lda, int *info);

static int factor(double *a, int n, struct err *e)
{
    int info;
    dpotrf_("U", &n, a, &n, &info); /* column-major upper = row-major lower: a = L L' */
    if (info != 0)
        return err_set(e, ERR_INVALID, "a %d by %d matrix isn't positive definite at row %d", n, n, info);
    return 0;
}

int solve_spd(double *a, int n, double *b, int k, struct err *e)
{
    int rc = factor(a, n, e);
    if (rc < 0)
        return rc;
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, n, k, 1, a, n, b, k);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, n, k, 1, a, n, b, k);
    return 0;
}

int solve_invert(double *a, int n, struct err *e)
{
    int info, rc = factor(a, n, e);
    if (rc < 0)
        return rc;
    dpotri_("U", &n, a, &n, &info);
    if (info != 0)
        return err_set(e, ERR_INVALID, "a %d by %d matrix can't be inverted (row %d)", n, n, info);
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            a[(long)i * n + j] = a[(long)j * n + i];
    return 0;
}
