/*
 * noise - a normal distribution cut off at both ends: AMC explores with it, sigma 0.5 decaying by 0.95 an episode
 * (He et al., 2018, section 4).
 */
#ifndef COORDINATOR_POLICY_NOISE_H
#define COORDINATOR_POLICY_NOISE_H

#include "common/base/rng.h"

/* One draw from N(mean, sigma^2) given that it lies in [lo, hi], lo <= hi; a mean outside is moved to the nearer
 * end first. */
double noise_truncated(struct rng *r, double mean, double sigma, double lo, double hi);

/* sigma_0 * decay^episodes */
double noise_decayed(double sigma_0, double decay, int episodes);

#endif
