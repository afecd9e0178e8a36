#include "worker/train/rows.h"

int rows_check(unsigned long H, unsigned long W, bool held, struct err *e)
{
    if (H == 0 || W == 0)
        return err_set(e, ERR_INVALID, "%lux%lu pixels", W, H);
    if (H > ROWS_MAX_SIDE || W > ROWS_MAX_SIDE || H * W > ROWS_MAX_AREA)
        return err_set(e, ERR_LIMIT, "%lux%lu pixels, at most %d a side and %d in all are accepted", W, H,
                       ROWS_MAX_SIDE, ROWS_MAX_AREA);
    if (held && H * W > ROWS_MAX_HELD)
        return err_set(e, ERR_LIMIT, "%lux%lu pixels, progressive or interlaced: at most %d are accepted then", W,
                       H, ROWS_MAX_HELD);
    return 0;
}
