#include "coordinator/policy/noise.h"

#include <math.h>

double noise_truncated(struct rng *r, double mean, double sigma, double lo, double hi)
{
    mean = fmin(fmax(mean, lo), hi);
    if (sigma <= 0 || lo >= hi)
        return mean;
    /* By rejection, from whichever of the two simple distributions is the closer one. */
    if (hi - lo > 2 * sigma) {
        double x;
        do
            x = mean + sigma * rng_normal(r);
        while (x < lo || x > hi);
        return x;
    }
    for (;;) {
        double x = lo + (hi - lo) * rng_uniform(r), z = (x - mean) / sigma;
        if (rng_uniform(r) <= exp(-0.5 * z * z))
            return x;
    }
}

double noise_decayed(double sigma_0, double decay, int episodes)
{
    return sigma_0 * pow(decay, episodes);
}
